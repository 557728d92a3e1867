/* Warm jobs of the config. What a job fetches is written as in POST /api/cache/warm, and kept as
 * JSON, so that both ways lead to the same code; here it is checked as far as a file can be wrong.
 */
#include "config-internal.h"

#include <stddef.h>

enum { URLS_MAX = 10000, SPEC_MAX = 1 << 20 };

struct warm_reading {
    struct warm_config *warm;
    struct json_writer out;
    struct buf *spec;
};

static void fail_event(struct reading *r, const struct json *j)
{
    reading_fail(r, j,
                 "write \"start\", \"invalidation\", \"every 10m\" or a time of day such as "
                 "\"05:30 Asia/Kolkata\"");
}

static void read_event(struct reading *r, const struct json *j, struct warm_config *w)
{
    struct span every = SPAN_LIT("every ");
    if (j->type != JSON_STRING) {
        fail_event(r, j);
    } else if (span_eq(j->text, SPAN_LIT("start"))) {
        w->events |= WARM_AT_START;
    } else if (span_eq(j->text, SPAN_LIT("invalidation"))) {
        w->events |= WARM_AFTER_INVALIDATION;
    } else if (span_starts_with(j->text, every)) {
        struct span text = span_of(j->text.p + every.len, j->text.len - every.len);
        if (!config_duration_parse(text, &w->every_ms) || w->every_ms < 1000)
            reading_fail(r, j, "write a duration of at least 1s: \"every 10m\"");
    } else if (!memchr(j->text.p, ':', j->text.len)) {
        fail_event(r, j);
    } else if (w->clock_count < UNTIL_MAX) {
        const struct wallclock *clock = load_clock(r, j);
        if (clock)
            w->clocks[w->clock_count++] = clock;
    }
}

static void read_on(struct reading *r, const struct json *j, void *into)
{
    struct warm_reading *w = into;
    if (j->type != JSON_ARRAY) {
        read_event(r, j, w->warm);
        return;
    }
    for (const struct json *c = j->first; c; c = c->next)
        read_event(r, c, w->warm);
}

static void read_name(struct reading *r, const struct json *j, void *into)
{
    struct warm_reading *w = into;
    if (j->type != JSON_STRING || !j->text.len || j->text.len > 64)
        reading_fail(r, j, "write a name of 1 to 64 bytes");
    else
        w->warm->name = reading_copy(r, j->text);
}

static void add_name(struct warm_reading *w, const struct json *j)
{
    json_write_name(&w->out, j->name);
}

/* As it stands; its value follows the name, so the writer must know that a comma is due next. */
static void add_member(struct warm_reading *w, const struct json *j)
{
    add_name(w, j);
    json_canonical_format(j, w->spec);
    w->out.need_comma = true;
}

static void read_urls(struct reading *r, const struct json *j, void *into)
{
    if (j->type != JSON_ARRAY || j->count < 1 || j->count > URLS_MAX)
        reading_fail(r, j, "write an array of 1 to %d paths such as [\"/api/config\"]", URLS_MAX);
    for (const struct json *c = j->type == JSON_ARRAY ? j->first : NULL; c; c = c->next)
        if (c->type != JSON_STRING || !c->text.len || c->text.p[0] != '/')
            reading_fail(r, c, "write a path such as \"/api/config\"");
    add_member(into, j);
}

static void read_route(struct reading *r, const struct json *j, void *into)
{
    struct quoted q;
    bool is_known = false;
    for (unsigned i = 0; i < r->config->route_count; i++)
        is_known |= j->type == JSON_STRING && span_eq(r->config->routes[i].name, j->text);
    if (!is_known)
        reading_fail(r, j, "there is no route \"%s\"; name one of \"routes\"", quote(j->text, &q));
    add_member(into, j);
}

static void read_params(struct reading *r, const struct json *j, void *into)
{
    if (j->type != JSON_OBJECT)
        reading_fail(r, j, "write an object such as {\"organization_id\": [\"1\", \"2\"]}");
    add_member(into, j);
}

static void read_number(struct reading *r, const struct json *j, void *into)
{
    uint64_t v;
    if (j->type != JSON_NUMBER || !span_parse_u64(j->text, &v) || v < 1 || v > 100000)
        reading_fail(r, j, "write a whole number from 1 to 100000");
    add_member(into, j);
}

/* Values may be secrets: they are resolved here. */
static void read_headers(struct reading *r, const struct json *j, void *into)
{
    struct warm_reading *w = into;
    if (j->type != JSON_OBJECT) {
        reading_fail(r, j, "write an object such as {\"Authorization\": {\"env\": \"TOKEN\"}}");
        return;
    }
    add_name(w, j);
    json_write_object(&w->out, NULL);
    for (const struct json *c = j->first; c; c = c->next) {
        if (!span_is_token(c->name))
            reading_fail(r, c, "this is no field name");
        json_write_name(&w->out, c->name);
        json_write_span(&w->out, NULL, reading_secret(r, c));
    }
    json_write_object_end(&w->out);
}

static const struct member members[] = {
    {.name = "name",
     .type = MEMBER_OWN,
     .read = read_name,
     .is_required = true,
     .schema = "\"type\": \"string\", \"minLength\": 1, \"maxLength\": 64",
     .doc = "its name in the list of jobs"},
    {.name = "on",
     .type = MEMBER_OWN,
     .read = read_on,
     .schema = "\"oneOf\": [{\"type\": \"string\"}, {\"type\": \"array\", "
               "\"items\": {\"type\": \"string\"}}]",
     .doc = "when: \"start\", \"invalidation\", \"every 10m\", \"05:30 Asia/Kolkata\"; none: on "
            "demand, by its name"},
    {.name = "urls",
     .type = MEMBER_OWN,
     .read = read_urls,
     .schema = "\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\"}",
     .doc = "paths to fetch"},
    {.name = "route",
     .type = MEMBER_OWN,
     .read = read_route,
     .schema = "\"type\": \"string\"",
     .doc = "a route whose parameters are filled with each combination of \"params\""},
    {.name = "params",
     .type = MEMBER_OWN,
     .read = read_params,
     .schema = "\"type\": \"object\"",
     .doc = "values by label: a list, {\"file\": name} in warm_dir, or {\"from\": path, "
            "\"pointer\": \"/results/*/id\"} of another answer"},
    {.name = "hottest",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_number,
     .schema = "\"type\": \"integer\", \"minimum\": 1",
     .doc = "so many of the keys that were asked for most, now or (at start) in the last run"},
    {.name = "headers",
     .type = MEMBER_OWN,
     .read = read_headers,
     .schema = "\"type\": \"object\", "
               "\"additionalProperties\": {\"$ref\": \"#/definitions/secret\"}",
     .doc = "fields of its requests, such as a service's own Authorization"},
    {.name = "concurrency",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_number,
     .schema = "\"type\": \"integer\", \"minimum\": 1",
     .doc = "requests at once; default 4"},
    {.name = "rate",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_number,
     .schema = "\"type\": \"integer\", \"minimum\": 1",
     .doc = "most requests begun in a second; default: no limit"},
};
const struct object object_warm = OBJECT("a warm job", members);

static void read_warm(struct reading *r, const struct json *j, struct warm_config *warm)
{
    struct buf spec;
    struct warm_reading w = {.warm = warm, .spec = &spec};
    buf_init(&spec, SPEC_MAX);
    json_writer_init(&w.out, &spec);
    json_write_object(&w.out, NULL);
    if (reading_members(r, j, &object_warm, &w)) {
        unsigned sources = !!json_member(j, SPAN_LIT("urls")) +
                           !!json_member(j, SPAN_LIT("route")) +
                           !!json_member(j, SPAN_LIT("hottest"));
        if (sources != 1)
            reading_fail(r, j, "a job has one of \"urls\", \"route\" and \"hottest\"");
    }
    json_write_object_end(&w.out);
    r->has_no_memory |= spec.no_memory;
    if (spec.failed && !spec.no_memory)
        reading_fail(r, j, "this job is larger than %d bytes; use {\"file\": ...}", SPEC_MAX);
    warm->spec = reading_copy(r, buf_span(&spec));
    buf_fini(&spec);
}

void load_warm(struct reading *r, const struct json *j, void *into)
{
    enum { JOBS_MAX = 100 };
    struct config *c = into;
    if (j->type != JSON_ARRAY || j->count > JOBS_MAX) {
        reading_fail(r, j, "\"warm\" must be an array of at most %d jobs", JOBS_MAX);
        return;
    }
    c->warms = reading_alloc(r, j->count + 1, sizeof(*c->warms));
    for (const struct json *e = j->first; e && c->warms; e = e->next)
        read_warm(r, e, &c->warms[c->warm_count++]);
}
