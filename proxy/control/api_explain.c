/* POST /api/cache/explain: what would be done with a request, and why, without asking the app. */
#include "control-internal.h"

static const char EXAMPLE[] = "{\"method\": \"GET\", \"url\": \"/api/courses?organization_id=1\", "
                              "\"headers\": {\"Authorization\": \"...\"}, \"body\": \"\"}";

static bool read_fields(struct call *c, const struct json *headers, struct buf *fields)
{
    if (!headers)
        return true;
    for (const struct json *h = headers->first; h; h = h->next) {
        if (headers->type != JSON_OBJECT || h->type != JSON_STRING || !span_is_token(h->name) ||
            !warm_is_clean(h->text, true))
            return !call_fail(c, 400, "bad-value",
                              "\"headers\": each must be a field name with a text as its value");
        buf_add_span(fields, h->name);
        buf_add_str(fields, ": ");
        buf_add_span(fields, h->text);
        buf_add_str(fields, "\r\n");
    }
    return true;
}

/* A text is the body as it is; anything else is its own JSON. */
static void read_body(const struct json *body, struct buf *out)
{
    if (body && body->type == JSON_STRING)
        buf_add_span(out, body->text);
    else if (body)
        json_canonical_format(body, out);
}

bool api_explain(struct call *c)
{
    static const char *const known[] = {"method", "url", "headers", "body"};
    cleanup(json_doc_freep) struct json_doc *doc = call_parse(c, known, array_len(known), EXAMPLE);
    if (!doc)
        return true;
    const struct json *root = json_root(doc), *url = json_member(root, SPAN_LIT("url"));
    const struct json *method = json_member(root, SPAN_LIT("method"));
    cleanup(buf_fini) struct buf fields;
    cleanup(buf_fini) struct buf body;
    buf_init(&fields, 64 * 1024);
    buf_init(&body, CALL_BODY_MAX);
    bool is_good = url && url->type == JSON_STRING && warm_is_clean(url->text, false) &&
                   (!method || (method->type == JSON_STRING && span_is_token(method->text)));
    if (!is_good)
        return call_fail(c, 400, "bad-value", "write %s", EXAMPLE);
    if (!read_fields(c, json_member(root, SPAN_LIT("headers")), &fields))
        return true;
    read_body(json_member(root, SPAN_LIT("body")), &body);
    struct explain_request r = {.method = method ? method->text : SPAN_LIT("GET"),
                                .target = url->text,
                                .fields = buf_span(&fields),
                                .body = buf_span(&body)};
    const char *why = "";
    if (access_is_bound(c) &&
        !explain_is_bound(c->control->shared, &r, c->token->bound, c->token->bound_count))
        return call_fail(c, 403, "forbidden", "the token is bound to other tags and values");
    enum err_code rc = explain_format(c->control->shared, &r, &c->reply, &why);
    if (rc == ERR_NOMEM)
        return call_fail_nomem(c);
    if (rc)
        return call_fail(c, 400, "bad-value", "this is no request that larder takes: %s", why);
    return true;
}
