/* Parameters that neither "key" nor "ignore" names: told, or taken off the query. What nobody keys
 * must not be able to change an answer that others get (cache poisoning). */
#include "route-internal.h"

#include <larder/http/key.h>
#include <larder/http/uri.h>

static _Thread_local char why_block[256];

bool route_is_ignored(void *route, struct span name)
{
    const struct route *r = route;
    for (unsigned i = 0; i < r->ignore_count; i++) {
        struct span g = r->ignore[i];
        bool has_star = g.len && g.p[g.len - 1] == '*';
        if (has_star ? span_starts_with(name, span_of(g.p, g.len - 1)) : span_eq(g, name))
            return true;
    }
    for (unsigned i = 0; i < r->decl_count; i++)
        if (r->decls[i].is_ignored && span_eq(r->decls[i].name, name))
            return true;
    return false;
}

static bool is_keyed(const struct route *r, enum param_source source, struct span name)
{
    for (unsigned i = 0; i < r->param_count; i++)
        if (r->params[i].source == source && span_eq(r->params[i].name, name))
            return true;
    return false;
}

bool route_is_ignored_or_keyed(void *route, struct span name)
{
    return route_is_ignored(route, name) || is_keyed(route, PARAM_QUERY, name);
}

/* Keeps in mind what to tell the client; its bytes are escaped. */
static bool found(const struct route *r, const char *what, struct span name, const char **ret_why)
{
    enum { SHOWN = 40 };
    struct buf why;
    buf_init_fixed(&why, why_block, sizeof(why_block) - 1);
    buf_add_fmt(&why, "the route \"" SPAN_FMT "\" does not know the %s \"", SPAN_ARG(r->name),
                what);
    key_add_value(&why, span_of(name.p, name.len < SHOWN ? name.len : SHOWN));
    buf_add_str(&why, name.len > SHOWN ? "...\"" : "\"");
    why_block[why.len] = '\0';
    *ret_why = why_block;
    return true;
}

static bool has_semicolon(struct span s)
{
    return s.len && memchr(s.p, ';', s.len);
}

/* Apps from before 2021 also split at ';' (CVE-2021-23336) and would see a parameter within an
 * ignored one: such a one is not ignored. */
static bool may_ignore(const struct route *r, struct span raw, struct span value, struct span name)
{
    return !has_semicolon(raw) && !has_semicolon(value) && route_is_ignored((void *)r, name);
}

static bool has_unknown_pair(const struct route *r, enum param_source source, struct span pairs,
                             const char *what, const char **ret_why)
{
    struct span rest = pairs, raw, value;
    struct buf name;
    char block[NAME_BYTES_MAX];
    while (uri_query_next(&rest, &raw, &value)) {
        buf_init_fixed(&name, block, sizeof(block));
        uri_decode(raw, true, &name);
        struct span n = buf_span(&name);
        if (name.failed || (!is_keyed(r, source, n) && !may_ignore(r, raw, value, n)))
            return found(r, what, n, ret_why);
    }
    return false;
}

bool route_has_unknown_query(const struct route *r, struct span query, const char **ret_why)
{
    /* without "key" and "params" all that is not ignored is known */
    bool has_names = r->has_key || r->decl_count;
    return has_names && has_unknown_pair(r, PARAM_QUERY, query, "parameter", ret_why);
}

bool request_has_form(const struct head *h)
{
    const struct field *f = head_field(h, FIELD_CONTENT_TYPE);
    struct span rest;
    return f && span_eq_nocase(span_trim(span_split(f->value, ';', &rest)),
                               SPAN_LIT("application/x-www-form-urlencoded"));
}

/* Is <name> the first token of <pointer> (RFC 6901 section 4)? */
static bool is_first_token(struct span pointer, struct span name)
{
    struct span rest, token = span_split(span_of(pointer.p + 1, pointer.len - 1), '/', &rest);
    size_t n = 0;
    for (size_t i = 0; i < token.len; i++, n++) {
        char c = token.p[i];
        if (c == '~' && i + 1 < token.len)
            c = token.p[++i] == '1' ? '/' : '~';
        if (n >= name.len || name.p[n] != c)
            return false;
    }
    return n == name.len;
}

static bool is_member_keyed(const struct route *r, struct span name)
{
    for (unsigned i = 0; i < r->param_count; i++)
        if (r->params[i].source == PARAM_JSON && is_first_token(r->params[i].name, name))
            return true;
    return false;
}

static bool keys_by(const struct route *r, enum param_source source)
{
    for (unsigned i = 0; i < r->param_count; i++)
        if (r->params[i].source == source)
            return true;
    return false;
}

bool route_has_unknown_body(const struct route *r, const struct route_request *req,
                            const char **ret_why)
{
    const struct json *j = req->body_json;
    if (keys_by(r, PARAM_FORM) && has_unknown_pair(r, PARAM_FORM, req->body, "form field", ret_why))
        return true;
    if (!keys_by(r, PARAM_JSON) || !j || j->type != JSON_OBJECT)
        return false;
    for (const struct json *c = j->first; c; c = c->next)
        if (!is_member_keyed(r, c->name) && !route_is_ignored((void *)r, c->name))
            return found(r, "member", c->name, ret_why);
    return false;
}

void route_query_keep(const struct route *r, struct span query, struct buf *out)
{
    struct span rest = query, raw, value;
    struct buf name;
    char block[NAME_BYTES_MAX];
    while (uri_query_next(&rest, &raw, &value)) {
        buf_init_fixed(&name, block, sizeof(block));
        uri_decode(raw, true, &name);
        struct span n = buf_span(&name);
        bool has_names = r->has_key || r->decl_count;
        bool is_kept = has_names ? !name.failed && is_keyed(r, PARAM_QUERY, n)
                                 : name.failed || !may_ignore(r, raw, value, n);
        if (!is_kept)
            continue;
        if (out->len)
            buf_add_char(out, '&');
        buf_add_span(out, raw);
        if (value.p) {
            buf_add_char(out, '=');
            buf_add_span(out, value);
        }
    }
}
