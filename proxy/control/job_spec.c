/* What a job fetches: URLs; a route with values for its parameters, each combination once, where
 * values are listed, in a file, or in another answer; or the hottest keys. */
#include "control-internal.h"

#include <larder/base/json_scan.h>
#include <larder/net/upstream.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PARAMS_MAX = 16,
    VALUES_MAX = 20000,
    VALUE_FILE_MAX = 4 * 1024 * 1024,
    CONCURRENCY_MAX = 64
};

#define MEMBER(j, text) json_member(j, SPAN_LIT(text))

struct value_list {
    char *label;
    unsigned count, room;
    char **text;
    char *from, *pointer; /* still to be fetched */
};

struct job_source {
    const struct route *route;
    unsigned param_count, next; /* the next one that is to be fetched */
    struct value_list params[PARAMS_MAX];
    unsigned at[PARAMS_MAX]; /* the combination in the making */
    struct job_item item;    /* the request for the next source */
    struct job *job;
    bool has_failed;
    /* of a call by a bound token */
    unsigned bound_count;
    const struct span *bound;
};

static char *copy_text(struct span s)
{
    char *p = malloc(s.len + 1);
    if (!p)
        return NULL;
    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return p;
}

static void value_list_free(struct value_list *v)
{
    for (unsigned i = 0; i < v->count; i++)
        free(v->text[i]);
    free(v->text);
    free(v->label);
    free(v->from);
    free(v->pointer);
}

void job_source_free(struct job_source *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->param_count; i++)
        value_list_free(&s->params[i]);
    free(s->item.target);
    buf_fini(&s->item.answer);
    free(s);
}

/* Once each; a value with control characters is none. */
static bool add_value(struct value_list *v, struct span text)
{
    if (v->count == VALUES_MAX || !warm_is_clean(text, true) || memchr(text.p, '\0', text.len))
        return false;
    if (v->count == v->room) {
        unsigned room = v->room ? v->room * 2 : 16;
        char **grown = realloc(v->text, room * sizeof(char *));
        if (!grown)
            return false;
        v->text = grown;
        v->room = room;
    }
    v->text[v->count] = copy_text(text);
    return v->text[v->count] && ++v->count;
}

static bool add_json_value(struct value_list *v, const struct json *j)
{
    struct span text = j->text;
    if (j->type == JSON_TRUE || j->type == JSON_FALSE)
        text = j->type == JSON_TRUE ? SPAN_LIT("true") : SPAN_LIT("false");
    else if (j->type != JSON_STRING && j->type != JSON_NUMBER)
        return false;
    return add_value(v, text);
}

static bool fail(char ret_why[400], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool fail(char ret_why[400], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ret_why, 400, fmt, args);
    va_end(args);
    return false;
}

/* --- values in a file: a JSON array, or a value a line --- */

static bool add_lines(struct value_list *v, struct span text)
{
    while (text.p) {
        struct span line = span_trim(span_split(text, '\n', &text));
        if (line.len && line.p[line.len - 1] == '\r')
            line.len--;
        if (line.len && !add_value(v, line))
            return false;
    }
    return true;
}

static bool add_text(struct value_list *v, struct span text, char ret_why[400])
{
    enum { DEPTH = 4 };
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    struct span start = span_trim(text);
    bool is_json =
        start.len && start.p[0] == '[' && json_parse(text, NULL, 0, DEPTH, &doc, NULL) == ERR_OK;
    bool is_good = is_json || add_lines(v, text);
    for (const struct json *j = is_json ? json_root(doc)->first : NULL; j && is_good; j = j->next)
        is_good = add_json_value(v, j);
    return is_good || fail(ret_why, "a file of values is a JSON array, or one value on each line");
}

/* Only within warm_dir, by a plain name. */
static bool read_file(const struct config *config, struct value_list *v, struct span name,
                      char ret_why[400])
{
    char path[512];
    if (!config->warm_dir.len)
        return fail(ret_why, "values from files need \"warm_dir\" in the config");
    if (!name.len || name.len > 200 || memchr(name.p, '/', name.len) || name.p[0] == '.' ||
        !warm_is_clean(name, false))
        return fail(ret_why, "\"file\" is a name within warm_dir, without /");
    snprintf(path, sizeof(path), "%.*s/%.*s", SPAN_ARG(config->warm_dir), SPAN_ARG(name));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *text = fd >= 0 ? malloc(VALUE_FILE_MAX) : NULL;
    ssize_t n = text ? read(fd, text, VALUE_FILE_MAX) : -1;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    bool is_good = n >= 0 && n < VALUE_FILE_MAX && add_text(v, span_of(text, (size_t)n), ret_why);
    free(text);
    if (n < 0)
        return fail(ret_why, "%s cannot be read: %s", path, strerror(saved));
    return is_good || ret_why[0] || fail(ret_why, "%s is too large", path);
}

/* --- params --- */

static bool read_from(struct value_list *v, const struct json *j, char ret_why[400])
{
    const struct json *from = MEMBER(j, "from"), *pointer = MEMBER(j, "pointer");
    bool is_good = from && pointer && from->type == JSON_STRING && pointer->type == JSON_STRING &&
                   from->text.len && from->text.p[0] == '/' && warm_is_clean(from->text, false) &&
                   pointer->text.len && pointer->text.p[0] == '/';
    if (!is_good)
        return fail(ret_why, "write {\"from\": \"/api/organizations\", \"pointer\": "
                             "\"/results/*/id\"}");
    v->from = copy_text(from->text);
    v->pointer = copy_text(pointer->text);
    return (v->from && v->pointer) || fail(ret_why, "out of memory");
}

static bool read_values(struct control *c, struct value_list *v, const struct json *j,
                        char ret_why[400])
{
    const struct json *file = MEMBER(j, "file");
    v->label = copy_text(j->name);
    if (!v->label)
        return fail(ret_why, "out of memory");
    if (file && file->type == JSON_STRING)
        return read_file(c->shared->config, v, file->text, ret_why);
    if (j->type == JSON_OBJECT)
        return read_from(v, j, ret_why);
    if (j->type != JSON_ARRAY)
        return add_json_value(v, j) ||
               fail(ret_why, "\"%.*s\" must be a value, or an array of them", CUT(j->name));
    for (const struct json *e = j->first; e; e = e->next)
        if (!add_json_value(v, e))
            return fail(ret_why,
                        "\"%.*s\" has a value that is no text, number or boolean, or more "
                        "than %d",
                        CUT(j->name), VALUES_MAX);
    return true;
}

static bool knows_label(const struct route *r, struct span label)
{
    for (unsigned i = 0; i < r->segment_count; i++)
        if (r->segments[i].name.len && span_eq(r->segments[i].name, label))
            return true;
    return route_param(r, label) != NULL;
}

static struct job_source *read_params(struct control *c, const struct route *r,
                                      const struct json *params, char ret_why[400])
{
    struct job_source *s = calloc(1, sizeof(*s));
    if (!s) {
        (void)fail(ret_why, "out of memory");
        return NULL;
    }
    s->route = r;
    buf_init(&s->item.answer, 8 * 1024 * 1024);
    for (const struct json *j = params ? params->first : NULL; j; j = j->next) {
        bool is_good = s->param_count < PARAMS_MAX;
        if (!is_good)
            (void)fail(ret_why, "at most %d parameters", PARAMS_MAX);
        else if (!knows_label(r, j->name))
            is_good = fail(ret_why, "route \"%.*s\" has no parameter \"%.*s\"", CUT(r->name),
                           CUT(j->name));
        if (is_good)
            is_good = read_values(c, &s->params[s->param_count++], j, ret_why);
        if (!is_good) {
            job_source_free(s);
            return NULL;
        }
    }
    return s;
}

/* --- combinations --- */

static struct span value_of(void *arg, struct span label)
{
    const struct job_source *s = arg;
    for (unsigned i = 0; i < s->param_count; i++)
        if (span_eq(span_str(s->params[i].label), label))
            return span_str(s->params[i].text[s->at[i]]);
    return span_of(NULL, 0);
}

static bool is_bound_item(struct job *j, const char *method, struct span target, struct span fields,
                          struct span body)
{
    const struct job_source *s = j->source;
    if (!s || !s->bound_count)
        return true;
    struct explain_request r = {
        .method = span_str(method), .target = target, .fields = fields, .body = body};
    return explain_is_bound(j->control->shared, &r, s->bound, s->bound_count);
}

static bool add_combination(struct job *j, char ret_why[400])
{
    struct job_source *s = j->source;
    cleanup(buf_fini) struct buf target;
    cleanup(buf_fini) struct buf fields;
    cleanup(buf_fini) struct buf body;
    struct route_fill fill = {.value_of = value_of, .arg = s};
    const char *why = "";
    buf_init(&target, 16 * 1024);
    buf_init(&fields, 16 * 1024);
    buf_init(&body, 64 * 1024);
    if (!route_request_format(s->route, &fill, &target, &fields, &body, &why))
        return fail(ret_why, "%s", why);
    const char *method = body.len ? "POST" : "GET";
    if (target.failed || fields.failed || body.failed)
        return fail(ret_why, "a request of these values is too long");
    if (!is_bound_item(j, method, buf_span(&target), buf_span(&fields), buf_span(&body)))
        return fail(ret_why, "the token is bound: it may warm its own parameter values only");
    return job_add_item(j, method, buf_span(&target), span_of(NULL, 0), buf_span(&fields),
                        buf_span(&body)) ||
           fail(ret_why, "a job has at most %d requests", WARM_ITEMS_MAX);
}

static bool combine(struct job *j, unsigned param, char ret_why[400])
{
    struct job_source *s = j->source;
    if (param == s->param_count)
        return add_combination(j, ret_why);
    for (s->at[param] = 0; s->at[param] < s->params[param].count; s->at[param]++)
        if (!combine(j, param + 1, ret_why))
            return false;
    return true;
}

/* The next source to ask; NULL: all values are there. */
static struct value_list *next_source(struct job_source *s)
{
    while (s->next < s->param_count && !s->params[s->next].from)
        s->next++;
    return s->next < s->param_count ? &s->params[s->next] : NULL;
}

struct job_item *job_source_item(struct job *j)
{
    struct job_source *s = j->source;
    struct value_list *v = next_source(s);
    free(s->item.target);
    buf_reset(&s->item.answer);
    s->item.method = "GET";
    s->item.target = v ? copy_text(span_str(v->from)) : NULL;
    return &s->item;
}

static void on_source_value(void *arg, unsigned pattern, const struct json_value *value)
{
    struct job_source *s = arg;
    bool is_scalar = value->type == JSON_STRING || value->type == JSON_NUMBER;
    (void)pattern;
    if (is_scalar && !add_value(&s->params[s->next], value->text))
        s->has_failed = true;
}

bool job_source_on_answer(struct job *j, struct span body)
{
    enum { DEPTH = 64 };
    struct job_source *s = j->source;
    struct value_list *v = &s->params[s->next];
    struct span pointer = span_str(v->pointer);
    char why[400] = "";
    cleanup(json_scan_freep) struct json_scan *scan =
        json_scan_new(&pointer, 1, DEPTH, on_source_value, s);
    bool is_read = scan && json_scan_feed(scan, body) == ERR_OK && json_scan_end(scan) == ERR_OK;
    if (!is_read || s->has_failed || v->count == 0) {
        job_fail(j, "%s has no values at %s that could be used", v->from, v->pointer);
        return false;
    }
    s->next++;
    if (next_source(s))
        return true; /* there is another to ask */
    if (!combine(j, 0, why)) {
        job_fail(j, "%s", why);
        return false;
    }
    job_source_free(take(j->source));
    return true;
}

void job_source_cancel(struct job_source *s)
{
    if (s && s->item.exchange)
        exchange_cancel(take(s->item.exchange));
}

/* --- the whole --- */

static bool read_route(struct job *j, const struct json *root, const struct call *call,
                       char ret_why[400])
{
    const struct json *name = MEMBER(root, "route"), *params = MEMBER(root, "params");
    const struct config *c = j->control->shared->config;
    const struct route *r = NULL;
    for (unsigned i = 0; i < c->route_count; i++)
        if (name->type == JSON_STRING && span_eq(c->routes[i].name, name->text))
            r = &c->routes[i];
    if (!r || !r->cached)
        return fail(ret_why, r ? "route \"%.*s\" is not cached" : "there is no route \"%.*s\"",
                    CUT(name->text));
    if (params && params->type != JSON_OBJECT)
        return fail(ret_why, "\"params\" must be an object");
    j->source = read_params(j->control, r, params, ret_why);
    if (!j->source)
        return false;
    if (call && access_is_bound(call)) {
        j->source->bound = call->token->bound;
        j->source->bound_count = call->token->bound_count;
    }
    if (next_source(j->source))
        return true; /* the job asks for it when it starts */
    if (!combine(j, 0, ret_why))
        return false;
    job_source_free(take(j->source));
    return true;
}

static bool add_url(struct job *j, const struct json *u, const struct call *call, char ret_why[400])
{
    struct span url = u->text, host = span_of(NULL, 0), http = SPAN_LIT("http://");
    bool is_url = u->type == JSON_STRING && url.len && warm_is_clean(url, false) &&
                  !memchr(url.p, '\0', url.len) && (url.p[0] == '/' || span_starts_with(url, http));
    if (!is_url)
        return fail(ret_why, "each of \"urls\" must begin with / or http://, without spaces");
    struct explain_request r = {.method = SPAN_LIT("GET"), .target = url};
    if (call && access_is_bound(call) &&
        !explain_is_bound(j->control->shared, &r, call->token->bound, call->token->bound_count))
        return fail(ret_why, "the token is bound: it may warm its own parameter values only");
    if (url.p[0] != '/') {
        struct span rest = span_of(url.p + http.len, url.len - http.len);
        const char *slash = rest.len ? memchr(rest.p, '/', rest.len) : NULL;
        host = span_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.len);
        url = slash ? span_of(slash, rest.len - host.len) : SPAN_LIT("/");
    }
    return job_add_item(j, "GET", url, host, span_of(NULL, 0), span_of(NULL, 0)) ||
           fail(ret_why, "a job has at most %d requests", WARM_ITEMS_MAX);
}

static bool read_urls(struct job *j, const struct json *urls, const struct call *call,
                      char ret_why[400])
{
    if (urls->type != JSON_ARRAY || urls->count == 0 || urls->count > WARM_ITEMS_MAX)
        return fail(ret_why, "\"urls\" must hold 1 to %d", WARM_ITEMS_MAX);
    for (const struct json *u = urls->first; u; u = u->next)
        if (!add_url(j, u, call, ret_why))
            return false;
    return true;
}

static bool read_number(const struct json *root, const char *name, uint64_t max, uint64_t *into,
                        char ret_why[400])
{
    const struct json *j = json_member(root, span_str(name));
    if (!j ||
        (j->type == JSON_NUMBER && span_parse_u64(j->text, into) && *into >= 1 && *into <= max))
        return true;
    return fail(ret_why, "\"%s\" must be a whole number from 1 to %llu", name,
                (unsigned long long)max);
}

static bool read_headers(struct job *j, const struct json *headers, char ret_why[400])
{
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 64 * 1024);
    for (const struct json *h = headers ? headers->first : NULL; h; h = h->next) {
        if (headers->type != JSON_OBJECT || h->type != JSON_STRING || !span_is_token(h->name) ||
            !warm_is_clean(h->text, true))
            return fail(ret_why, "\"headers\": each must be a field name with a text as its value");
        buf_add_fmt(&out, SPAN_FMT ": ", SPAN_ARG(h->name));
        buf_add_span(&out, h->text);
        buf_add_str(&out, "\r\n");
    }
    j->fields = out.len ? copy_text(buf_span(&out)) : NULL;
    return !out.failed || fail(ret_why, "\"headers\" are too long");
}

static bool read_spec(struct job *j, const struct json *root, const struct call *call,
                      char ret_why[400])
{
    const struct json *urls = MEMBER(root, "urls"), *route = MEMBER(root, "route");
    const struct json *hottest = MEMBER(root, "hottest"), *refresh = MEMBER(root, "refresh");
    uint64_t concurrency = 4, hot = 0;
    if (!!urls + !!route + !!hottest != 1)
        return fail(ret_why, "a job has one of \"urls\", \"route\" and \"hottest\"");
    if (!read_number(root, "concurrency", CONCURRENCY_MAX, &concurrency, ret_why) ||
        !read_number(root, "rate", 100000, &j->rate, ret_why) ||
        !read_number(root, "hottest", WARM_ITEMS_MAX, &hot, ret_why) ||
        !read_headers(j, MEMBER(root, "headers"), ret_why))
        return false;
    j->concurrency = (unsigned)concurrency;
    j->wants_new = refresh && refresh->type == JSON_TRUE;
    if (urls)
        return read_urls(j, urls, call, ret_why);
    if (route)
        return read_route(j, root, call, ret_why);
    if (call && access_is_bound(call))
        return fail(ret_why, "the token is bound: it may warm its own parameter values only");
    return hottest_add(j, (unsigned)hot) || fail(ret_why, "out of memory");
}

struct job *job_from_spec(struct control *c, const struct json *root, const char *name,
                          const struct call *call, char ret_why[400])
{
    struct job *j = job_new(c, name);
    ret_why[0] = '\0';
    if (!j) {
        (void)fail(ret_why, "out of memory");
        return NULL;
    }
    if (read_spec(j, root, call, ret_why))
        return j;
    job_free(j);
    return NULL;
}
