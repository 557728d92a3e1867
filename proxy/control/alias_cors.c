/* Who may read an alias's answers in a browser (Fetch, "CORS protocol"). A preflight is answered
 * here as well: once its cache is gone the app may not know the path any more. */
#include "alias-internal.h"

static bool is_allowed(const struct alias_config *a, struct span origin)
{
    for (unsigned i = 0; i < a->origin_count; i++)
        if (span_eq_nocase(a->origins[i], origin))
            return true;
    return false;
}

void alias_add_cors(struct call *c, const struct alias_config *a)
{
    const struct field *origin = head_field(c->head, FIELD_ORIGIN);
    if (a->takes_any_origin)
        buf_add_str(&c->fields, "Access-Control-Allow-Origin: *\r\n");
    if (!a->origin_count)
        return;
    buf_add_str(&c->fields, "Vary: Origin\r\n");
    if (origin && is_allowed(a, origin->value))
        buf_add_fmt(&c->fields, "Access-Control-Allow-Origin: " SPAN_FMT "\r\n",
                    SPAN_ARG(origin->value));
}

bool alias_takes_preflight(const struct alias_config *a, const struct head *h)
{
    struct route_captures captures;
    if (!(a->takes_any_origin || a->origin_count) || !head_field(h, FIELD_ORIGIN))
        return false;
    const struct field *f = head_field_named(h, SPAN_LIT("Access-Control-Request-Method"));
    if (!f || !route_takes_path(a->on, h->path, &captures))
        return false;
    for (unsigned i = 0; i < a->on->method_count; i++)
        if (span_eq(a->on->methods[i], f->value))
            return true;
    return false;
}

bool alias_answer_preflight(struct call *c, const struct alias_config *a)
{
    enum { HEADERS_MAX = 1024, LASTS_S = 600 };
    const struct field *f = head_field_named(c->head, SPAN_LIT("Access-Control-Request-Headers"));
    c->status = 204;
    buf_add_str(&c->passed, "HTTP/1.1 204 No Content\r\n");
    alias_add_cors(c, a);
    buf_add_str(&c->fields, "Access-Control-Allow-Methods: ");
    for (unsigned i = 0; i < a->on->method_count; i++)
        buf_add_fmt(&c->fields, "%s" SPAN_FMT, i ? ", " : "", SPAN_ARG(a->on->methods[i]));
    buf_add_str(&c->fields, "\r\n");
    if (f && f->value.len <= HEADERS_MAX)
        buf_add_fmt(&c->fields, "Access-Control-Allow-Headers: " SPAN_FMT "\r\n",
                    SPAN_ARG(f->value));
    buf_add_fmt(&c->fields, "Access-Control-Max-Age: %d\r\n", LASTS_S);
    return true;
}
