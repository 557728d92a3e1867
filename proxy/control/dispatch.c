/* Which handler a call goes to. */
#include "control-internal.h"

#include <larder/http/key.h>

#include <stdio.h>

enum { SCOPE_OPEN = 0 }; /* health: for everybody */

static const struct row {
    const char *path; /* {} stands for one segment: the call's argument */
    enum method method;
    unsigned scope; /* enum control_scope */
    bool is_mutating;
    handler handle;
    const char *audit;
} table[] = {
    {"/api/cache/invalidate", METHOD_POST, SCOPE_INVALIDATE, true, api_invalidate, "invalidate"},
    {"/api/cache/warm", METHOD_POST, SCOPE_WARM, true, api_warm, "warm"},
    {"/api/cache/jobs", METHOD_GET, SCOPE_READ, false, api_jobs, NULL},
    {"/api/cache/jobs/{}", METHOD_GET, SCOPE_READ, false, api_job, NULL},
    {"/api/cache/jobs/{}", METHOD_DELETE, SCOPE_WARM, true, api_job_cancel, "cancel"},
    {"/api/cache/jobs/{}/retry", METHOD_POST, SCOPE_WARM, true, api_job_retry, "retry"},
    {"/api/cache/stats", METHOD_GET, SCOPE_READ, false, api_stats, NULL},
    {"/api/cache/keys", METHOD_GET, SCOPE_READ, false, api_keys, NULL},
    {"/api/cache/entry", METHOD_GET, SCOPE_READ, false, api_entry, NULL},
    {"/api/cache/explain", METHOD_POST, SCOPE_READ, false, api_explain, NULL},
    {"/api/cache/routes", METHOD_GET, SCOPE_READ, false, api_routes, NULL},
    {"/api/cache/routes/{}", METHOD_POST, SCOPE_ADMIN, true, api_route, "switch"},
    {"/health/live", METHOD_GET, SCOPE_OPEN, false, api_live, NULL},
    {"/health/ready", METHOD_GET, SCOPE_OPEN, false, api_ready, NULL},
};

static const struct row purge_row = {NULL, METHOD_PURGE, SCOPE_INVALIDATE,
                                     true, api_purge,    "purge"};

static bool is_path(const char *pattern, struct span path, struct span *ret_argument)
{
    struct span want = span_str(pattern);
    while (want.p && path.p) {
        struct span a = span_split(want, '/', &want), b = span_split(path, '/', &path);
        if (span_eq(a, SPAN_LIT("{}")) && b.len)
            *ret_argument = b;
        else if (!span_eq(a, b))
            return false;
    }
    return !want.p && !path.p;
}

/* The row for path and method; NULL after call_fail(). */
static const struct row *find_row(struct call *c)
{
    static _Thread_local char allow[64];
    struct buf methods;
    if (c->method == METHOD_PURGE)
        return &purge_row;
    buf_init_fixed(&methods, allow, sizeof(allow) - 1);
    for (unsigned i = 0; i < array_len(table); i++) {
        if (!is_path(table[i].path, span_str(c->path), &c->argument))
            continue;
        bool is_get = table[i].method == METHOD_GET;
        if (c->method == table[i].method || (is_get && c->method == METHOD_HEAD))
            return &table[i];
        buf_add_fmt(&methods, "%s%s", methods.len ? ", " : "",
                    is_get                             ? "GET, HEAD"
                    : table[i].method == METHOD_DELETE ? "DELETE"
                                                       : "POST");
    }
    allow[methods.len] = '\0';
    if (methods.len) {
        c->allow = allow;
        (void)call_fail(c, 405, "method", "%s takes %s", c->path, c->allow);
        return NULL;
    }
    (void)call_fail(c, 404, "not-found",
                    "there is no such control route; there are POST /api/cache/invalidate, POST "
                    "/api/cache/warm, GET /api/cache/jobs, GET /api/cache/stats, GET "
                    "/api/cache/keys, GET /api/cache/entry, POST /api/cache/explain, GET "
                    "/api/cache/routes, GET /health/live and GET /health/ready");
    return NULL;
}

static bool handle(struct call *c)
{
    if (c->is_public && alias_takes(c->control->shared, c->head))
        return alias_handle(c);
    const struct row *row = find_row(c);
    if (!row)
        return true;
    if (row->scope != SCOPE_OPEN && !access_is_allowed(c, row->scope)) {
        log_warn("audit: %s %s refused to %s: %u", row->audit ? row->audit : "read", c->path,
                 c->peer, c->status);
        return true;
    }
    if (!row->is_mutating)
        return row->handle(c);
    if (repeats_replay(c))
        return true;
    c->audit_as = row->audit;
    bool is_done = row->handle(c);
    if (is_done) { /* otherwise the handler has: by now the call may be answered and gone */
        access_audit(c, row->audit);
        repeats_note(c);
    }
    return is_done;
}

void call_finish(struct call *c)
{
    access_audit(c, c->audit_as);
    repeats_note(c);
    call_done(c);
}

void dispatch(struct call *c)
{
    c->status = 200;
    if (c->control->is_stopping)
        (void)call_fail(c, 503, "stopping", "larder is stopping");
    else if (!handle(c))
        return;
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
    enum err_code rc = json_parse(buf_span(&c->body), "body", 0, DEPTH, &doc, &err);
    if (rc) {
        (void)(rc == ERR_NOMEM ? call_fail_nomem(c)
                               : call_fail(c, 400, "bad-json", "%s: %s", err.where, err.what));
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

bool call_bool(struct call *c, const struct json *root, const char *name, bool *ret)
{
    const struct json *j = json_member(root, span_str(name));
    if (j && j->type != JSON_TRUE && j->type != JSON_FALSE)
        return !call_fail(c, 400, "bad-value", "\"%s\" must be true or false", name);
    *ret = j && j->type == JSON_TRUE;
    return true;
}

struct span call_query(const struct call *c, const char *name, struct buf *scratch)
{
    buf_reset(scratch);
    if (!query_value(c->query, span_str(name), 0, scratch))
        return span_of(NULL, 0);
    return span_of(scratch->p ? scratch->p : "", scratch->len);
}

bool call_query_number(struct call *c, const char *name, uint64_t max, uint64_t *into)
{
    char block[64];
    struct buf scratch;
    buf_init_fixed(&scratch, block, sizeof(block));
    struct span text = call_query(c, name, &scratch);
    if (!text.p || (span_parse_u64(text, into) && *into <= max))
        return true;
    return !call_fail(c, 400, "bad-value", "\"%s\" must be a number up to %llu", name,
                      (unsigned long long)max);
}
