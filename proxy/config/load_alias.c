/* Aliases: old control paths, what is done for them, and the shape of the answer. */
#include "load-alias.h"

#include <stddef.h>

#define AT(field) offsetof(struct alias_config, field)
#define MEMBER(j, text) json_member(j, SPAN_LIT(text))
#define GROUP(name) (1u << REPLY_OF_##name)

enum { TESTS_MAX = 16, LITERALS_MAX = 64 };

static void read_on(struct reading *r, const struct json *j, void *into)
{
    struct alias_config *a = into;
    struct route *route = reading_alloc(r, 1, sizeof(*route));
    if (!route)
        return;
    a->on = route;
    if (j->type != JSON_STRING) {
        reading_fail(r, j, "\"on\" is %s; write \"POST /clear-cache\"", json_type_name(j->type));
        return;
    }
    a->text = reading_copy(r, j->text);
    load_pattern(r, j, route);
    if (route->any_method)
        reading_fail(r, j, "an alias names its methods; write \"POST /clear-cache\"");
}

static bool read_origin(struct reading *r, const struct json *j, struct alias_config *a)
{
    bool is_https, is_good = j->type == JSON_STRING;
    struct span authority, target;
    is_good = is_good && uri_split(j->text, &is_https, &authority, &target) && authority.len &&
              j->text.p + j->text.len == authority.p + authority.len;
    for (size_t i = 0; is_good && i < j->text.len; i++)
        is_good = (unsigned char)j->text.p[i] > 0x20 && j->text.p[i] != 0x7f;
    if (!is_good) {
        reading_fail(r, j, "write an origin, without a path: \"https://app.example\"");
        return false;
    }
    a->origins[a->origin_count++] = reading_copy(r, j->text);
    return true;
}

static void read_cors(struct reading *r, const struct json *j, void *into)
{
    struct alias_config *a = into;
    a->takes_any_origin = j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("*"));
    if (a->takes_any_origin)
        return;
    if (j->type != JSON_ARRAY || j->count < 1 || j->count > ALIAS_ORIGINS_MAX) {
        reading_fail(r, j,
                     "\"cors\" must be \"*\" or an array of 1 to %d origins such as "
                     "[\"https://app.example\"]",
                     ALIAS_ORIGINS_MAX);
        return;
    }
    a->origins = reading_alloc(r, j->count, sizeof(*a->origins));
    for (const struct json *c = j->first; c && a->origins; c = c->next)
        (void)read_origin(r, c, a);
}

static void read_limits(struct reading *r, const struct json *j, void *into)
{
    struct alias_config *a = into;
    load_rate_limit_set(r, j, &a->rate_limit);
}

/* --- when, expect --- */

static void read_literal(struct reading *r, const struct json *j, struct alias_test *t)
{
    if (j->type == JSON_OBJECT || j->type == JSON_ARRAY)
        reading_fail(r, j, "this is %s; write a text, a number, true, false or null (absent)",
                     json_type_name(j->type));
    else
        t->literals[t->count++] =
            (struct alias_literal){.type = j->type, .text = reading_copy(r, j->text)};
}

static void read_test(struct reading *r, const struct json *j, const struct alias_config *a,
                      struct alias_test *t)
{
    struct quoted q;
    bool is_list = j->type == JSON_ARRAY;
    t->text = reading_copy(r, j->name);
    if (!reply_is_of_request(t->text))
        reading_fail(r, j,
                     "\"%s\" is no value of a request; write json.x, query.x, path.x, form.x, "
                     "header.X or cookie.x",
                     quote(t->text, &q));
    else
        (void)load_param(r, j, a->on, t->text, &t->param);
    if (is_list && (j->count < 1 || j->count > LITERALS_MAX)) {
        reading_fail(r, j, "write 1 to %d values", LITERALS_MAX);
        return;
    }
    t->literals = reading_alloc(r, is_list ? j->count : 1, sizeof(*t->literals));
    if (t->literals && !is_list)
        read_literal(r, j, t);
    for (const struct json *c = is_list ? j->first : NULL; c && t->literals; c = c->next)
        read_literal(r, c, t);
}

static struct alias_test *read_tests(struct reading *r, const struct json *j,
                                     const struct alias_config *a, unsigned *ret_count)
{
    if (j->type != JSON_OBJECT || j->count < 1 || j->count > TESTS_MAX) {
        reading_fail(r, j,
                     "write an object of 1 to %d members such as "
                     "{\"json.resource_type\": [\"courses\", \"rooms\"]}",
                     TESTS_MAX);
        return NULL;
    }
    struct alias_test *tests = reading_alloc(r, j->count, sizeof(*tests));
    for (const struct json *c = j->first; c && tests; c = c->next)
        read_test(r, c, a, &tests[(*ret_count)++]);
    return tests;
}

static void read_when(struct reading *r, const struct json *j, void *into)
{
    struct alias_config *a = into;
    a->when = read_tests(r, j, a, &a->when_count);
}

static void read_expect(struct reading *r, const struct json *j, void *into)
{
    struct alias_config *a = into;
    a->expect = read_tests(r, j, a, &a->expect_count);
}

/* --- reply --- */

static void read_status(struct reading *r, const struct json *j, void *into)
{
    struct alias_config *a = into;
    uint64_t v;
    if (j->type != JSON_NUMBER || !span_parse_u64(j->text, &v) || v < 200 || v > 599 || v == 204 ||
        v == 205 || v == 304)
        reading_fail(r, j, "\"status\" must be from 200 to 599, and one that has a body");
    else
        a->status = (unsigned)v;
}

static void read_reply(struct reading *r, const struct json *j, void *into)
{
    struct alias_config *a = into;
    unsigned groups = GROUP(REQUEST) | GROUP(ROUTE) | GROUP(UPSTREAM) | GROUP(REDIS) |
                      GROUP(LIMIT) | GROUP(JOBS) | GROUP(INSTANCE) | GROUP(STATS);
    if (a->action == ALIAS_INVALIDATE)
        groups |= GROUP(INVALIDATION);
    if (a->action == ALIAS_WARM)
        groups |= GROUP(WARM) | GROUP(RESULT);
    struct reply_context context = {.on = a->on, .groups = groups};
    a->reply = reply_template_read(r, j, &context);
}

const char *const alias_action_names[] = {"stats", "invalidate", "warm", NULL};
_Static_assert(ALIAS_STATS == 0 && ALIAS_WARM == 2, "the words are in the enum's order");

#define TESTS_SCHEMA                                                                               \
    "\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 16, \"propertyNames\": "       \
    "{\"pattern\": \"^(json|query|path|form|header|cookie)[.].+$\"}"

/* In the order in which they are read: what stands in a template depends on "on" and "do". */
static const struct member members[] = {
    {.name = "on",
     .type = MEMBER_OWN,
     .read = read_on,
     .is_required = true,
     .schema = "\"type\": \"string\", \"pattern\": \"^[^ ]+ +/[^ ?#]*$\"",
     .doc = "methods and path, as in a route's match: write \"POST /clear-cache\""},
    {.name = "do",
     .type = MEMBER_CHOICE,
     .offset = AT(action),
     .words = alias_action_names,
     .is_required = true,
     .doc = "what is done: write \"stats\", \"invalidate\" or \"warm\""},
    {.name = "open",
     .type = MEMBER_BOOL,
     .offset = AT(is_open),
     .fallback = "false",
     .doc =
         "who reaches the public listener may call it; else as control routes: by token, or from "
         "control.allow"},
    {.name = "cors",
     .type = MEMBER_OWN,
     .read = read_cors,
     .schema = "\"oneOf\": [{\"const\": \"*\"}, {\"type\": \"array\", \"minItems\": 1, "
               "\"maxItems\": 32, \"items\": {\"type\": \"string\", \"pattern\": "
               "\"^https?://[^/ ]+$\"}}]",
     .doc = "origins whose scripts may read its answers; preflights are answered, too"},
    {.name = "rate_limit",
     .type = MEMBER_OWN,
     .read = read_limits,
     .schema = "\"$ref\": \"#/definitions/rate_limit_set\"",
     .doc = "rate limits that its calls count against, by what this instance has counted"},
    {.name = "when",
     .type = MEMBER_OWN,
     .read = read_when,
     .schema = TESTS_SCHEMA,
     .doc = "of aliases with the same \"on\" the first has the call whose values are these; null: "
            "absent"},
    {.name = "expect",
     .type = MEMBER_OWN,
     .read = read_expect,
     .schema = TESTS_SCHEMA,
     .doc = "values that are allowed; others are answered 400"},
    {.name = "with",
     .type = MEMBER_OWN,
     .read = load_alias_with,
     .schema = "\"oneOf\": [{\"type\": \"object\"}, {\"type\": \"array\", \"minItems\": 1, "
               "\"maxItems\": 16, \"items\": {\"type\": \"object\"}}]",
     .doc = "the canonical call's body, or several: {\"tag\": \"org:${json.organization_id}\"}; of "
            "stats: whose figures"},
    {.name = "merge",
     .type = MEMBER_BOOL,
     .offset = AT(is_merged),
     .fallback = "false",
     .doc = "the app is asked first; where it answers 2xx with a JSON object, the reply is merged "
            "into that, otherwise its answer passes"},
    {.name = "status",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_status,
     .schema = "\"type\": \"integer\", \"minimum\": 200, \"maximum\": 599",
     .doc = "of the answer; default: 200, or the app's"},
    {.name = "reply",
     .type = MEMBER_OWN,
     .read = read_reply,
     .schema = "\"type\": [\"object\", \"array\", \"string\", \"number\", \"boolean\", \"null\"]",
     .doc = "the answer, JSON with values in it: \"${hits}\", \"${hit_ratio|percent|1}\"; default: "
            "the canonical call's own"},
};
const struct object object_alias = OBJECT("an alias", members);

/* --- the whole --- */

static void note_value(void *arg, const struct reply_value *v)
{
    struct alias_config *a = arg;
    a->needs_json |= v->group == REPLY_OF_REQUEST && v->param.source == PARAM_JSON;
    a->needs_bodies |= v->group == REPLY_OF_RESULT;
    a->tells_failed |= v->group == REPLY_OF_WARM && v->name == REPLY_FAILED;
}

static void note_tests(struct alias_config *a, const struct alias_test *tests, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        a->needs_json |= tests[i].param.source == PARAM_JSON;
}

static void check_alias(struct reading *r, const struct json *j, const struct alias_config *a)
{
    const struct config *c = r->config;
    if (!a->is_open && !c->control.is_guarded)
        reading_fail(r, j,
                     "an alias needs \"token\" or \"allow\" in \"control\": behind a proxy on this "
                     "machine every client would come from loopback, and be let in; or write "
                     "\"open\": true, where everybody may");
    if (a->with_count > 1 && !a->reply)
        reading_fail(r, j, "of several calls none is the answer; write \"reply\"");
    if (a->is_merged && !a->reply)
        reading_fail(r, j, "\"merge\" needs a \"reply\" that is merged into the app's answer");
    if (a->is_merged && a->reply && a->reply->type != JSON_OBJECT)
        reading_fail(r, MEMBER(j, "reply"), "a \"reply\" that is merged must be an object");
    if (a->action != ALIAS_STATS && !a->with_count && MEMBER(j, "do") && !MEMBER(j, "with"))
        reading_fail(r, j, "\"with\" is missing: write what is to be done, such as %s",
                     a->action == ALIAS_WARM ? "{\"urls\": [\"/api/config\"]}" : "{\"all\": true}");
    for (const struct alias_config *b = c->aliases; b < a; b++)
        if (a->text.len && span_eq(a->text, b->text) && !b->when_count) {
            reading_fail(r, j,
                         "an alias before it has the same \"on\" and takes every call; add "
                         "\"when\" to that one");
            return;
        }
}

static void read_alias(struct reading *r, const struct json *j, struct alias_config *a)
{
    if (!reading_members(r, j, &object_alias, a))
        return;
    note_tests(a, a->when, a->when_count);
    note_tests(a, a->expect, a->expect_count);
    for (unsigned i = 0; i < a->with_count; i++)
        reply_each_value(&a->with[i], note_value, a);
    if (a->reply)
        reply_each_value(a->reply, note_value, a);
    check_alias(r, j, a);
}

void load_aliases(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    if (j->type != JSON_ARRAY || j->count > ALIASES_MAX) {
        reading_fail(r, j, "\"aliases\" must be an array of at most %d", ALIASES_MAX);
        return;
    }
    c->aliases = reading_alloc(r, j->count + 1, sizeof(*c->aliases));
    for (const struct json *e = j->first; e && c->aliases; e = e->next)
        read_alias(r, e, &c->aliases[c->alias_count++]);
}
