/* What a job fetches: URLs; a route with values for its parameters, each combination once, where
 * values may come from a file or another answer (job_values.c); or the hottest keys. */
#include "job-internal.h"

#include <larder/base/json_scan.h>
#include <larder/http/uri.h>
#include <larder/net/upstream.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARAMS_MAX = 16, CONCURRENCY_MAX = 64 };

#define MEMBER(j, text) json_member(j, SPAN_LIT(text))

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

/* --- params --- */

static bool knows_label(const struct route *r, struct span label)
{
    for (unsigned i = 0; i < r->segment_count; i++)
        if (r->segments[i].name.len && span_eq(r->segments[i].name, label))
            return true;
    return route_param(r, label) != NULL;
}

/* <is_part>: what the route does not have is left out. */
static struct job_source *read_params(struct control *c, const struct route *r,
                                      const struct json *params, bool is_part, struct err *err)
{
    struct job_source *s = calloc(1, sizeof(*s));
    if (!s) {
        (void)spec_fail_nomem(err);
        return NULL;
    }
    s->route = r;
    buf_init(&s->item.answer, JOB_BODY_MAX);
    for (const struct json *j = params ? params->first : NULL; j; j = j->next) {
        bool is_good = s->param_count < PARAMS_MAX;
        if (is_part && !knows_label(r, j->name))
            continue;
        if (!is_good)
            (void)spec_fail(err, "at most %d parameters", PARAMS_MAX);
        else if (!knows_label(r, j->name))
            is_good = spec_fail(err, "route \"%.*s\" has no parameter \"%.*s\"", CUT(r->name),
                                CUT(j->name));
        if (is_good)
            is_good = value_list_read(&s->params[s->param_count++], c->shared->config, j, err);
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

static bool add_item(struct job *j, const char *method, struct span target, struct span host,
                     struct span fields, struct span body, struct err *err)
{
    enum err_code rc = job_add_item(j, method, target, host, fields, body);
    if (rc == ERR_NOMEM)
        return spec_fail_nomem(err);
    return rc == ERR_OK || spec_fail(err, "a job has at most %d requests", WARM_ITEMS_MAX);
}

static bool add_combination(struct job *j, struct err *err)
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
        return spec_fail(err, "%s", why);
    const char *method = body.len ? "POST" : "GET";
    if (target.failed || fields.failed || body.failed)
        return target.no_memory || fields.no_memory || body.no_memory
                   ? spec_fail_nomem(err)
                   : spec_fail(err, "a request of these values is too long");
    if (!is_bound_item(j, method, buf_span(&target), buf_span(&fields), buf_span(&body)))
        return spec_fail_bound(err);
    return add_item(j, method, buf_span(&target), span_of(NULL, 0), buf_span(&fields),
                    buf_span(&body), err);
}

static bool combine(struct job *j, unsigned param, struct err *err)
{
    struct job_source *s = j->source;
    if (param == s->param_count)
        return add_combination(j, err);
    for (s->at[param] = 0; s->at[param] < s->params[param].count; s->at[param]++)
        if (!combine(j, param + 1, err))
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
    s->item.target = v ? text_copy(span_str(v->from)) : NULL;
    return &s->item;
}

static void on_source_value(void *arg, unsigned pattern, const struct json_value *value)
{
    struct job_source *s = arg;
    bool is_scalar = value->type == JSON_STRING || value->type == JSON_NUMBER;
    (void)pattern;
    if (is_scalar && value_list_add(&s->params[s->next], value->text) != ERR_OK)
        s->has_failed = true;
}

bool job_source_on_answer(struct job *j, struct span body)
{
    enum { DEPTH = 64 };
    struct job_source *s = j->source;
    struct value_list *v = &s->params[s->next];
    struct span pointer = span_str(v->pointer);
    struct err err = {0};
    cleanup(json_scan_freep) struct json_scan *scan =
        json_scan_new(&pointer, 1, DEPTH, on_source_value, s);
    bool is_read = scan && json_scan_feed(scan, body) == ERR_OK && json_scan_end(scan) == ERR_OK;
    if (!is_read || s->has_failed || v->count == 0) {
        value_list_clear(v); /* it may be tried again */
        s->has_failed = false;
        job_fail(j, "%s has no values at %s that could be used", v->from, v->pointer);
        return false;
    }
    s->next++;
    if (next_source(s))
        return true; /* there is another to ask */
    if (!combine(j, 0, &err)) {
        job_source_free(take(j->source));
        job_fail(j, "%s", err.what);
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
                       struct err *err)
{
    const struct json *name = MEMBER(root, "route"), *params = MEMBER(root, "params");
    const struct config *c = j->control->shared->config;
    const struct route *r = NULL;
    for (unsigned i = 0; i < c->route_count; i++)
        if (name->type == JSON_STRING && span_eq(c->routes[i].name, name->text))
            r = &c->routes[i];
    if (!r || !r->cached)
        return spec_fail(err, r ? "route \"%.*s\" is not cached" : "there is no route \"%.*s\"",
                         CUT(name->text));
    if (params && params->type != JSON_OBJECT)
        return spec_fail(err, "\"params\" must be an object");
    j->source = read_params(j->control, r, params, call && call->is_part, err);
    if (!j->source)
        return false;
    if (call && access_is_bound(call)) {
        j->source->bound = call->token->bound;
        j->source->bound_count = call->token->bound_count;
    }
    if (next_source(j->source))
        return true; /* the job asks for it when it starts */
    if (!combine(j, 0, err))
        return false;
    job_source_free(take(j->source));
    return true;
}

static bool add_url(struct job *j, const struct json *u, const struct call *call, struct err *err)
{
    struct span url = u->text, host = span_of(NULL, 0), target = url;
    bool is_https = false;
    bool is_whole = u->type == JSON_STRING && uri_split(url, &is_https, &host, &target);
    bool is_url = u->type == JSON_STRING && url.len && warm_is_clean(url, false) &&
                  !memchr(url.p, '\0', url.len) && (url.p[0] == '/' || is_whole);
    if (!is_url)
        return spec_fail(err, "each of \"urls\" must begin with /, http:// or https://, without "
                              "spaces");
    struct explain_request r = {.method = SPAN_LIT("GET"), .target = url};
    if (call && access_is_bound(call) &&
        !explain_is_bound(j->control->shared, &r, call->token->bound, call->token->bound_count))
        return spec_fail_bound(err);
    if (is_https) /* the item's host bears its scheme */
        host = span_of(url.p, (size_t)(host.p + host.len - url.p));
    return add_item(j, "GET", target, host, span_of(NULL, 0), span_of(NULL, 0), err);
}

static bool read_urls(struct job *j, const struct json *urls, const struct call *call,
                      struct err *err)
{
    if (urls->type != JSON_ARRAY || urls->count == 0 || urls->count > WARM_ITEMS_MAX)
        return spec_fail(err, "\"urls\" must hold 1 to %d", WARM_ITEMS_MAX);
    for (const struct json *u = urls->first; u; u = u->next)
        if (!add_url(j, u, call, err))
            return false;
    return true;
}

static bool read_number(const struct json *root, const char *name, uint64_t max, uint64_t *into,
                        struct err *err)
{
    const struct json *j = json_member(root, span_str(name));
    if (!j ||
        (j->type == JSON_NUMBER && span_parse_u64(j->text, into) && *into >= 1 && *into <= max))
        return true;
    return spec_fail(err, "\"%s\" must be a whole number from 1 to %llu", name,
                     (unsigned long long)max);
}

static bool read_headers(struct job *j, const struct json *headers, struct err *err)
{
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 64 * 1024);
    for (const struct json *h = headers ? headers->first : NULL; h; h = h->next) {
        if (headers->type != JSON_OBJECT || h->type != JSON_STRING || !span_is_token(h->name) ||
            !warm_is_clean(h->text, true))
            return spec_fail(err,
                             "\"headers\": each must be a field name with a text as its value");
        buf_add_fmt(&out, SPAN_FMT ": ", SPAN_ARG(h->name));
        buf_add_span(&out, h->text);
        buf_add_str(&out, "\r\n");
    }
    if (out.failed && !out.no_memory)
        return spec_fail(err, "\"headers\" are too long");
    j->fields = out.len ? text_copy(buf_span(&out)) : NULL;
    return !out.failed && (j->fields || !out.len) ? true : spec_fail_nomem(err);
}

static bool read_spec(struct job *j, const struct json *root, const struct call *call,
                      struct err *err)
{
    const struct json *urls = MEMBER(root, "urls"), *route = MEMBER(root, "route");
    const struct json *hottest = MEMBER(root, "hottest"), *refresh = MEMBER(root, "refresh");
    uint64_t concurrency = 4, hot = 0;
    if (!!urls + !!route + !!hottest != 1)
        return spec_fail(err, "a job has one of \"urls\", \"route\" and \"hottest\"");
    if (!read_number(root, "concurrency", CONCURRENCY_MAX, &concurrency, err) ||
        !read_number(root, "rate", 100000, &j->rate, err) ||
        !read_number(root, "hottest", WARM_ITEMS_MAX, &hot, err) ||
        !read_headers(j, MEMBER(root, "headers"), err))
        return false;
    j->concurrency = (unsigned)concurrency;
    j->wants_new = refresh && refresh->type == JSON_TRUE;
    if (urls)
        return read_urls(j, urls, call, err);
    if (route)
        return read_route(j, root, call, err);
    if (call && access_is_bound(call))
        return spec_fail_bound(err);
    return hottest_add(j, (unsigned)hot) || spec_fail_nomem(err);
}

struct job *job_from_spec(struct control *c, const struct json *root, const char *name,
                          const struct call *call, struct err *err)
{
    struct job *j = job_new(c, name);
    *err = (struct err){0};
    if (!j) {
        (void)spec_fail_nomem(err);
        return NULL;
    }
    j->owner = call ? call->token : NULL;
    if (read_spec(j, root, call, err))
        return j;
    job_free(j);
    return NULL;
}
