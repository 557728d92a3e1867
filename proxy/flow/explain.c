/* The same questions in the same order as a request's flow asks them, and each answer written down.
 */
#include <larder/config/alias.h>
#include <larder/flow/explain.h>
#include <larder/http/uri.h>

#include "flow-internal.h"

#include <stdlib.h>

enum { TEXT_MAX = 128 * 1024, DEPTH = 64 };

struct asked {
    const struct shared *s;
    struct buf text;
    struct head head;
    struct span body;
    struct json_doc *json;
    struct lookup l;
    char key_block[KEY_BYTES_MAX];
    enum reason reason;
    enum key_result key;
    bool has_key;
};

static bool has_host(struct span fields)
{
    while (fields.p && fields.len) {
        struct span line = span_split(fields, '\n', &fields);
        if (line.len >= 5 && span_eq_nocase(span_of(line.p, 5), SPAN_LIT("Host:")))
            return true;
    }
    return false;
}

static void format_request(struct asked *a, const struct explain_request *r)
{
    struct span target = r->target, host = SPAN_LIT("localhost");
    (void)uri_split(r->target, &a->l.is_https, &host, &target);
    buf_add_span(&a->text, r->method);
    buf_add_char(&a->text, ' ');
    buf_add_span(&a->text, target);
    buf_add_str(&a->text, " HTTP/1.1\r\n");
    if (!has_host(r->fields))
        buf_add_fmt(&a->text, "Host: " SPAN_FMT "\r\n", SPAN_ARG(host));
    buf_add_span(&a->text, r->fields);
    if (r->body.len)
        buf_add_fmt(&a->text, "Content-Length: %zu\r\n", r->body.len);
    buf_add_str(&a->text, "\r\n");
}

static void asked_free(struct asked *a)
{
    if (!a)
        return;
    buf_fini(&a->text);
    json_doc_free(a->json);
    free(a);
}

static void asked_freep(struct asked **a)
{
    asked_free(*a);
}

static bool wants_body(const struct asked *a)
{
    const struct route *r = a->l.route;
    return (a->head.method == METHOD_POST || a->head.method == METHOD_QUERY) &&
           (r->needs_body || !r->has_key);
}

/* False: no memory. */
static bool make_key(struct asked *a)
{
    if (a->body.len && json_parse(a->body, NULL, 0, DEPTH, &a->json, NULL) == ERR_NOMEM)
        return false;
    const struct json *json = a->json ? json_root(a->json) : NULL;
    if (a->body.len && !wants_body(a)) {
        a->key = KEY_BYPASS; /* a body that the key does not know */
        return true;
    }
    a->key =
        lookup_build_key(a->s, &a->l, &a->head, a->body, json, a->key_block, sizeof(a->key_block));
    a->has_key = a->key == KEY_OK;
    if (a->has_key)
        lookup_tags(a->s, &a->l, &a->head, a->body, json);
    return true;
}

/* ERR_SYNTAX: the request is none; *ret_why says why. ERR_NOMEM. */
static enum err_code ask(const struct shared *s, const struct explain_request *r,
                         struct asked **ret, const char **ret_why)
{
    cleanup(asked_freep) struct asked *a = calloc(1, sizeof(*a));
    *ret_why = "out of memory";
    if (!a)
        return ERR_NOMEM;
    a->s = s;
    a->body = r->body;
    buf_init(&a->text, TEXT_MAX);
    format_request(a, r);
    if (a->text.no_memory)
        return ERR_NOMEM;
    if (a->text.failed) {
        *ret_why = "the request is too long";
        return ERR_SYNTAX;
    }
    if (head_parse_request(a->text.p, a->text.len, TEXT_MAX, &a->head) != HEAD_OK) {
        *ret_why = a->head.why;
        return ERR_SYNTAX;
    }
    a->l.route = route_match(s->config->routes, s->config->route_count, &a->head, &a->l.captures);
    a->reason = lookup_may_share(s, a->l.route, &a->head);
    if (a->l.route->cached && !make_key(a))
        return ERR_NOMEM;
    if (!a->reason && a->key == KEY_BYPASS)
        a->reason = REASON_KEY;
    if (!a->reason && a->key == KEY_NO_IDENTITY)
        a->reason = REASON_IDENTITY;
    *ret = take(a);
    return ERR_OK;
}

/* --- what is there --- */

static struct entry *find_entry(struct asked *a, enum store_result *ret_result)
{
    struct entry *e = NULL;
    mono_ms now = mono_now_ms();
    if (!a->has_key || !a->s->store)
        return NULL;
    *ret_result = store_lookup(a->s->store, &a->l.key, now, &e);
    if (*ret_result == STORE_VARY) {
        char block[KEY_BYTES_MAX];
        struct buf text;
        struct cache_key key;
        buf_init_fixed(&text, block, sizeof(block));
        bool is_key = lookup_variant_key(&a->l, &a->head, e->body, &text, &key);
        entry_unref(take(e));
        *ret_result = is_key ? store_lookup(a->s->store, &key, now, &e) : STORE_MISS;
    }
    if (e) /* looking is no use */
        atomic_fetch_sub_explicit(&e->hits, 1, memory_order_relaxed);
    return e;
}

static const char *decision(const struct asked *a, const struct entry *e, enum store_result found)
{
    if (a->key == KEY_REJECT && !a->reason)
        return "reject";
    if (a->reason)
        return "bypass";
    if (!a->s->store)
        return "cache";
    return !e ? "miss" : found == STORE_STALE ? "stale" : "hit";
}

static void write_part(void *arg, struct span tag)
{
    struct json_writer *w = arg;
    struct span pair;
    (void)span_split(tag, '|', &pair);
    if (pair.p)
        json_write_span(w, NULL, pair);
}

static void write_key(struct json_writer *w, struct asked *a)
{
    char block[KEY_BYTES_MAX];
    struct buf again;
    const char *why;
    struct route_request req =
        lookup_request(a->s, &a->l, &a->head, a->body, a->json ? json_root(a->json) : NULL);
    json_write_span(w, "key", cache_key_readable(&a->l.key));
    json_write_array(w, "parts");
    buf_init_fixed(&again, block, sizeof(block));
    (void)route_key_build(a->l.route, &req, &again, write_part, w, &why);
    json_write_array_end(w);
}

static void write_identity(struct json_writer *w, const struct asked *a)
{
    const struct route *r = a->l.route;
    const char *text = r->identity == IDENTITY_NONE    ? "none: credentials are not sent upstream"
                       : r->identity == IDENTITY_KEYED ? "part of the key"
                                                       : "not stated";
    json_write_str(w, "identity", text);
    if (r->identity == IDENTITY_KEYED)
        json_write_bool(w, "identity_present", route_has_identity(r, &a->head));
}

static void write_tags(struct json_writer *w, const struct asked *a)
{
    json_write_array(w, "tags");
    for (struct span rest = span_of(a->l.tags.text, a->l.tags.text_len); rest.p && rest.len;)
        json_write_span(w, NULL, span_split(rest, '\0', &rest));
    json_write_array_end(w);
    json_write_array(w, "tags_of_answers");
    for (unsigned i = 0; i < a->l.route->tag_count; i++)
        if (a->l.route->tags[i].has_response)
            json_write_span(w, NULL, a->l.route->tags[i].text);
    json_write_array_end(w);
}

/* What an accepted write of this route would take back. */
static void write_rules(struct json_writer *w, const struct shared *s, const struct route *r)
{
    const struct write_rules *rules = r->on_write;
    if (!rules)
        return;
    json_write_array(w, "takes_back");
    for (unsigned i = 0; i < rules->tag_count; i++)
        json_write_span(w, NULL, rules->tags[i].text);
    for (unsigned i = 0; i < rules->key_count; i++)
        json_write_span(w, NULL, rules->keys[i].text);
    for (unsigned i = 0; i < rules->route_count; i++) {
        const struct write_route *wr = &rules->routes[i];
        char block[1024];
        struct buf text;
        buf_init_fixed(&text, block, sizeof(block));
        buf_add_fmt(&text, "route " SPAN_FMT, SPAN_ARG(s->config->routes[wr->route].name));
        for (unsigned n = 0; n < wr->param_count; n++)
            buf_add_fmt(&text, " " SPAN_FMT "=" SPAN_FMT, SPAN_ARG(wr->params[n].param->label),
                        SPAN_ARG(wr->params[n].value.text));
        json_write_span(w, NULL, buf_span(&text));
    }
    json_write_array_end(w);
}

static void write_entry(struct json_writer *w, const struct entry *e)
{
    mono_ms now = mono_now_ms();
    json_write_object(w, "entry");
    json_write_u64(w, "status", e->status);
    json_write_u64(w, "age_s", entry_age_s(e, now));
    json_write_i64(w, "ttl_s", entry_ttl_s(e, now));
    json_write_u64(w, "hits", e->hits);
    json_write_u64(w, "bytes", e->bytes);
    json_write_object_end(w);
}

static void write_advice(struct json_writer *w, const struct asked *a)
{
    char block[600];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    if (a->key == KEY_REJECT && !a->reason)
        buf_add_str(&text, a->l.why ? a->l.why : "a parameter is not known to this route");
    else
        reason_advice_format(a->reason, a->l.route, &text);
    if (text.len)
        json_write_span(w, "change", buf_span(&text));
}

static void write_freshness(struct json_writer *w, const struct route *r)
{
    json_write_object(w, "freshness");
    json_write_u64(w, "ttl_ms", r->fresh.ttl_ms);
    json_write_u64(w, "stale_while_revalidate_ms", r->fresh.while_ms);
    json_write_u64(w, "stale_if_error_ms", r->fresh.error_ms);
    json_write_object_end(w);
}

static void write_limits(struct json_writer *w, const struct config *c, const struct route *r)
{
    if (r->rate_limit.count == 0)
        return;
    json_write_array(w, "rate_limits");
    for (unsigned i = 0; i < r->rate_limit.count; i++)
        json_write_span(w, NULL, c->rate_limits[r->rate_limit.index[i]].name);
    json_write_array_end(w);
}

/* On a public listener these come before all routes; true: there is one. */
static bool write_aliases(struct json_writer *w, const struct config *c, const struct head *h)
{
    struct route_captures captures;
    bool has_any = false;
    for (unsigned i = 0; i < c->alias_count; i++) {
        const struct alias_config *a = &c->aliases[i];
        char block[40];
        struct buf text;
        if (!route_takes(a->on, h, &captures))
            continue;
        if (!has_any)
            json_write_array(w, "aliases");
        has_any = true;
        buf_init_fixed(&text, block, sizeof(block));
        buf_add_fmt(&text, "%s%s", a->is_merged ? "the app, then " : "",
                    alias_action_names[a->action]);
        json_write_span(w, NULL, buf_span(&text));
    }
    if (has_any)
        json_write_array_end(w);
    return has_any;
}

enum err_code explain_format(const struct shared *s, const struct explain_request *r,
                             struct buf *out, const char **ret_why)
{
    cleanup(asked_freep) struct asked *a = NULL;
    enum store_result found = STORE_MISS;
    struct json_writer w;
    enum err_code rc = ask(s, r, &a, ret_why);
    if (rc)
        return rc;
    struct entry *e = find_entry(a, &found);
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    bool has_alias = write_aliases(&w, s->config, &a->head);
    json_write_span(&w, "route", a->l.route->name);
    json_write_u64(&w, "config_line", a->l.route->config_line);
    json_write_str(&w, "decision", decision(a, e, found));
    if (a->reason)
        json_write_str(&w, "reason", reason_name(a->reason));
    if (!has_alias)
        write_advice(&w, a);
    if (a->has_key)
        write_key(&w, a);
    if (a->l.route->cached) {
        write_identity(&w, a);
        write_freshness(&w, a->l.route);
    }
    if (a->has_key)
        write_tags(&w, a);
    write_rules(&w, s, a->l.route);
    write_limits(&w, s->config, a->l.route);
    json_write_span(&w, "upstream", s->config->upstreams[a->l.route->upstream].name);
    if (e)
        write_entry(&w, e);
    json_write_object_end(&w);
    entry_unref(e);
    return ERR_OK;
}

/* "label=value" as the route's own tag has it; else the text is a tag. */
static bool is_one_of(const struct route *route, const struct shared *s, const uint64_t *tags,
                      unsigned count, struct span bound)
{
    struct span value, label = span_split(bound, '=', &value);
    const struct param *p = value.p ? route_param(route, label) : NULL;
    if (p) {
        char block[KEY_BYTES_MAX];
        struct buf text;
        buf_init_fixed(&text, block, sizeof(block));
        route_param_tag_format(route, p, s->config->secret, value, &text);
        if (tags_have(tags, count, tag_of(buf_span(&text))))
            return true;
    }
    return tags_have(tags, count, tag_of(bound));
}

bool explain_is_bound(const struct shared *s, const struct explain_request *r,
                      const struct span *bound, unsigned count)
{
    const char *why;
    cleanup(asked_freep) struct asked *a = NULL;
    if (ask(s, r, &a, &why) != ERR_OK || !a->has_key)
        return false;
    bool is_bound = false;
    for (unsigned i = 0; i < count && !is_bound; i++)
        is_bound = is_one_of(a->l.route, s, a->l.tags.tag, a->l.tags.count, bound[i]);
    return is_bound;
}

bool entry_is_bound(const struct shared *s, const struct entry *e, const struct span *bound,
                    unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (is_one_of(&s->config->routes[e->route], s, e->tags, e->tag_count, bound[i]))
            return true;
    return false;
}

/* Do all requests for one URL have one key? */
static bool is_keyed_by_url(const struct route *r)
{
    bool is_it = !r->key_host && !r->any_method;
    for (unsigned i = 0; i < r->method_count; i++) /* other methods have keys of their own */
        is_it &=
            span_eq(r->methods[i], SPAN_LIT("GET")) || span_eq(r->methods[i], SPAN_LIT("HEAD"));
    for (unsigned i = 0; i < r->param_count + r->identity_count; i++)
        is_it &= r->params[i].source == PARAM_PATH || r->params[i].source == PARAM_QUERY;
    return is_it;
}

enum err_code explain_url_key(const struct shared *s, struct span target, struct buf *ret_key,
                              bool *ret_is_only)
{
    struct explain_request r = {.method = SPAN_LIT("GET"), .target = target};
    cleanup(asked_freep) struct asked *a = NULL;
    const char *why;
    enum err_code rc = ask(s, &r, &a, &why);
    if (rc)
        return rc;
    if (!a->l.route->cached)
        return ERR_NOT_FOUND;
    *ret_is_only = a->has_key && is_keyed_by_url(a->l.route);
    if (a->has_key)
        buf_add_span(ret_key, cache_key_readable(&a->l.key));
    return ret_key->failed ? ERR_TOO_LARGE : ERR_OK;
}
