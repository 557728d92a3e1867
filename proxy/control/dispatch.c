/* Which handler a call goes to, and who may make it. */
#include "control-internal.h"

#include <larder/base/hash.h>
#include <larder/http/key.h>

static const struct {
    const char *path;
    enum method method;
    bool is_open; /* without access rule */
    bool is_mutating;
    handler handle;
} table[] = {
    {"/api/cache/invalidate", METHOD_POST, false, true, api_invalidate},
    {"/api/cache/warm", METHOD_POST, false, true, api_warm},
    {"/api/cache/stats", METHOD_GET, false, false, api_stats},
    {"/api/cache/keys", METHOD_GET, false, false, api_keys},
    {"/health/live", METHOD_GET, true, false, api_live},
    {"/health/ready", METHOD_GET, true, false, api_ready},
};

/* With a token only the token counts where one is sent; otherwise the peer's network. */
static bool may_call(struct call *c)
{
    const struct control_config *cfg = &c->control->shared->config->control;
    struct span given = buf_span(&c->authorization), scheme = SPAN_LIT("Bearer ");
    if (given.len && cfg->token.len) {
        bool is_right =
            span_starts_with(given, scheme) &&
            secret_eq(span_of(given.p + scheme.len, given.len - scheme.len), cfg->token);
        if (!is_right)
            (void)call_fail(c, 403, "forbidden", "the bearer token is not the one of the config");
        return is_right;
    }
    if (cidr_contains(cfg->allow, cfg->allow_count, c->peer_addr))
        return true;
    (void)call_fail(c, 401, "unauthorized",
                    "send \"Authorization: Bearer TOKEN\", or call from a network in "
                    "control.allow");
    return false;
}

static bool handle(struct call *c)
{
    for (unsigned i = 0; i < array_len(table); i++) {
        if (strcmp(c->path, table[i].path) != 0)
            continue;
        bool is_get = table[i].method == METHOD_GET;
        if (c->method != table[i].method && !(is_get && c->method == METHOD_HEAD)) {
            c->allow = is_get ? "GET, HEAD" : "POST";
            return call_fail(c, 405, "method", "%s takes %s", c->path, c->allow);
        }
        if (!table[i].is_open && !may_call(c)) {
            log_warn("control: %s refused to %s: %u", c->path, c->peer, c->status);
            return true;
        }
        bool is_done = table[i].handle(c);
        if (table[i].is_mutating && is_done && !c->problem)
            log_info("control: %s by %s: %.*s", c->path, c->peer,
                     c->reply.len < 200 ? (int)c->reply.len : 200, c->reply.p);
        return is_done;
    }
    return call_fail(c, 404, "not-found",
                     "there is no such control route; there are POST /api/cache/invalidate, POST "
                     "/api/cache/warm, GET /api/cache/stats, GET /api/cache/keys, GET /health/live "
                     "and GET /health/ready");
}

void dispatch(struct call *c)
{
    c->status = 200;
    if (handle(c))
        call_done(c);
}

struct json_doc *call_parse(struct call *c, const char *const *known, unsigned count,
                            const char *example)
{
    enum { DEPTH = 16 };
    struct json_doc *doc = NULL;
    struct err err = {0};
    if (c->body.len == 0) {
        (void)call_fail(c, 400, "bad-json", "the body is empty; write %s", example);
        return NULL;
    }
    if (json_parse(buf_span(&c->body), "body", 0, DEPTH, &doc, &err) != ERR_OK) {
        (void)call_fail(c, 400, "bad-json", "%s: %s", err.where, err.what);
        return NULL;
    }
    const struct json *root = json_root(doc);
    if (root->type != JSON_OBJECT) {
        (void)call_fail(c, 400, "bad-json", "the body is %s; write %s", json_type_name(root->type),
                        example);
        json_doc_free(doc);
        return NULL;
    }
    for (const struct json *m = root->first; m; m = m->next) {
        bool is_known = false;
        for (unsigned i = 0; i < count; i++)
            is_known |= span_eq(m->name, span_str(known[i]));
        if (is_known)
            continue;
        (void)call_fail(c, 400, "unknown-member", "unknown member \"%.*s\"; write %s", CUT(m->name),
                        example);
        json_doc_free(doc);
        return NULL;
    }
    return doc;
}

const struct route *call_find_route(const struct call *c, struct span name)
{
    const struct config *cfg = c->control->shared->config;
    for (unsigned i = 0; i < cfg->route_count; i++)
        if (span_eq(cfg->routes[i].name, name))
            return &cfg->routes[i];
    return NULL;
}

struct span call_query(const struct call *c, const char *name, struct buf *scratch)
{
    buf_reset(scratch);
    if (!query_value(buf_span(&c->query), span_str(name), 0, scratch))
        return span_of(NULL, 0);
    return buf_span(scratch);
}
