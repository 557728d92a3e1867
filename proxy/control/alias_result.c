/* What canonical calls have done, read from their own answers. */
#include "alias-internal.h"

enum { DEPTH = 80, LIST_MAX = 16 * 1024 * 1024 }; /* bodies have up to 64 levels of their own */

void alias_result_init(struct alias_result *r)
{
    *r = (struct alias_result){.is_replicated = true};
    buf_init(&r->list, LIST_MAX);
}

void alias_result_fini(struct alias_result *r)
{
    while (r->count)
        json_doc_free(r->answers[--r->count]);
    buf_fini(&r->list);
}

static uint64_t number(const struct json *j, const char *name)
{
    const struct json *m = json_member(j, span_str(name));
    uint64_t v = 0;
    return m && m->type == JSON_NUMBER && span_parse_u64(m->text, &v) ? v : 0;
}

static struct span text(const struct json *j, const char *name)
{
    const struct json *m = json_member(j, span_str(name));
    return m ? m->text : span_of(NULL, 0);
}

static bool has_failed(const struct json *item)
{
    return json_member(item, SPAN_LIT("error")) || number(item, "status") >= 400;
}

/* Nobody is told "warmed" of what was not. */
static bool fail_item(struct call *c, const struct json *job)
{
    const struct json *items = json_member(job, SPAN_LIT("items"));
    struct span why = text(job, "why");
    for (const struct json *i = items ? items->first : NULL; i; i = i->next) {
        struct span cause = text(i, "error");
        if (!has_failed(i))
            continue;
        if (!cause.len)
            cause = text(i, "status");
        return !call_fail(c, 502, "warm-failed", "%.*s could not be warmed: %.*s",
                          CUT(text(i, "url")), CUT(cause));
    }
    return !call_fail(c, 502, "warm-failed", "the warm job is %.*s%s%.*s", CUT(text(job, "state")),
                      why.len ? ": " : "", CUT(why));
}

static bool add_warm(struct alias_result *r, const struct alias_config *a, struct call *c,
                     const struct json *root)
{
    const struct json *job = json_member(root, SPAN_LIT("job"));
    bool is_done = span_eq(text(job, "state"), SPAN_LIT("done"));
    r->warmed += number(root, "warmed");
    r->failed += number(root, "failed");
    if (!is_done || (!a->tells_failed && number(root, "failed")))
        return fail_item(c, job);
    const struct json *items = json_member(job, SPAN_LIT("items"));
    for (const struct json *i = a->needs_bodies && items ? items->first : NULL; i; i = i->next)
        if (json_member(i, SPAN_LIT("body_left_out")))
            return !call_fail(c, 503, "overloaded", "there was no room for the body of %.*s",
                              CUT(text(i, "url")));
    return true;
}

bool alias_result_add(struct alias_result *r, const struct alias_config *a, struct call *c,
                      const struct call *part)
{
    struct json_doc *doc = NULL;
    if (part->problem)
        return !call_fail(c, part->status, part->problem, "%s", part->detail);
    enum err_code rc = part->reply.failed
                           ? ERR_TOO_LARGE
                           : json_parse(buf_span(&part->reply), NULL, 0, DEPTH, &doc, NULL);
    if (rc == ERR_NOMEM || part->reply.no_memory)
        return !call_fail_nomem(c);
    if (rc)
        return !call_fail(c, 502, "warm-failed", "what the app gave is too large for one answer");
    r->answers[r->count++] = doc;
    const struct json *root = json_root(doc);
    if (a->action == ALIAS_WARM)
        return add_warm(r, a, c, root);
    const struct json *replicated = json_member(root, SPAN_LIT("replicated"));
    r->matched += number(root, "matched");
    r->removed += number(root, "removed");
    r->stale += number(root, "stale");
    r->is_replicated &= replicated && replicated->type == JSON_TRUE;
    return true;
}

/* --- bodies --- */

static bool is_of_route(const struct config *config, const struct json *item, int index)
{
    char block[16 * 1024];
    struct buf request;
    struct head h;
    struct route_captures captures;
    struct span method = text(item, "method");
    buf_init_fixed(&request, block, sizeof(block));
    buf_add_span(&request, method.len ? method : SPAN_LIT("GET"));
    buf_add_char(&request, ' ');
    buf_add_span(&request, text(item, "url"));
    buf_add_str(&request, " HTTP/1.1\r\nHost: a\r\n\r\n");
    return !request.failed &&
           head_parse_request(request.p, request.len, request.len, &h) == HEAD_OK &&
           route_match(config->routes, config->route_count, &h, &captures)->index == index;
}

/* One body is itself; several are an array. */
static void add_body(struct alias_result *r, const struct json *body, struct span pointer,
                     unsigned *count, struct reply_datum *ret)
{
    const struct json *j = json_pointer(body, pointer);
    if (!j)
        return;
    if (++*count == 1) {
        ret->kind = DATUM_JSON;
        ret->json = j;
        return;
    }
    if (*count == 2) {
        buf_reset(&r->list);
        buf_add_char(&r->list, '[');
        json_format(ret->json, &r->list);
    }
    buf_add_char(&r->list, ',');
    json_format(j, &r->list);
}

static bool set_body(struct alias_result *r, const struct config *config,
                     const struct reply_value *v, struct reply_datum *ret)
{
    unsigned count = 0;
    for (unsigned i = 0; i < r->count; i++) {
        const struct json *job = json_member(json_root(r->answers[i]), SPAN_LIT("job"));
        const struct json *items = json_member(job, SPAN_LIT("items"));
        for (const struct json *item = items ? items->first : NULL; item; item = item->next) {
            const struct json *body = json_member(item, SPAN_LIT("body"));
            if (body && !has_failed(item) && is_of_route(config, item, v->index))
                add_body(r, body, v->pointer, &count, ret);
        }
    }
    if (count > 1) {
        buf_add_char(&r->list, ']');
        ret->kind = DATUM_RAW;
        ret->text = buf_span(&r->list);
    }
    return !r->list.failed;
}

bool alias_result_value(struct alias_result *r, const struct config *config,
                        const struct reply_value *v, struct reply_datum *ret)
{
    if (v->group == REPLY_OF_RESULT)
        return set_body(r, config, v, ret);
    ret->kind = v->name == REPLY_REPLICATED ? DATUM_BOOL : DATUM_COUNT;
    ret->is_true = r->count && r->is_replicated;
    ret->count = v->name == REPLY_MATCHED   ? r->matched
                 : v->name == REPLY_REMOVED ? r->removed
                 : v->name == REPLY_STALE   ? r->stale
                 : v->name == REPLY_WARMED  ? r->warmed
                                            : r->failed;
    return true;
}
