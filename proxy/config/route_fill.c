/* A request made of a route and values for its parameters: the way of a key, backwards. */
#include "route-internal.h"

static bool is_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("-._~", c));
}

static void add_encoded(struct buf *out, struct span value)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (is_unreserved(c)) {
            buf_add_char(out, (char)c);
            continue;
        }
        buf_add_char(out, '%');
        buf_add_char(out, hex[c >> 4]);
        buf_add_char(out, hex[c & 15]);
    }
}

static bool fail_with(const char **ret_why, const char *why)
{
    *ret_why = why;
    return false;
}

/* The label by which a path's capture is known, and its value. */
static struct span capture_value(const struct route *r, const struct route_fill *fill,
                                 struct span name)
{
    for (unsigned i = 0; i < r->param_count; i++)
        if (r->params[i].source == PARAM_PATH && span_eq(r->params[i].name, name))
            return fill->value_of(fill->arg, r->params[i].label);
    return fill->value_of(fill->arg, name);
}

static bool add_path(const struct route *r, const struct route_fill *fill, struct buf *target,
                     const char **ret_why)
{
    for (unsigned i = 0; i < r->segment_count; i++) {
        const struct path_segment *s = &r->segments[i];
        buf_add_char(target, '/');
        if (!s->is_capture && !s->is_rest) {
            buf_add_span(target, s->literal);
            continue;
        }
        struct span value = s->name.len ? capture_value(r, fill, s->name) : span_of(NULL, 0);
        if (!value.p || !value.len)
            return fail_with(ret_why, "a capture of the route's path has no value in \"params\"");
        for (size_t n = 0; n < value.len; n++) {
            if (s->is_rest && value.p[n] == '/')
                buf_add_char(target, '/');
            else
                add_encoded(target, span_of(&value.p[n], 1));
        }
    }
    return true;
}

static bool add_field(const struct param *p, struct span value, struct buf *fields)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
            return false;
    if (p->source == PARAM_COOKIE)
        buf_add_fmt(fields, "Cookie: " SPAN_FMT "=", SPAN_ARG(p->name));
    else
        buf_add_fmt(fields, SPAN_FMT ": ", SPAN_ARG(p->name));
    buf_add_span(fields, value);
    buf_add_str(fields, "\r\n");
    return true;
}

/* Only members of the body's top level can be made. */
static bool add_member(const struct param *p, struct span value, struct buf *body)
{
    struct span name = span_of(p->name.p + 1, p->name.len - 1);
    if (memchr(name.p, '/', name.len) || memchr(name.p, '~', name.len))
        return false;
    buf_add_char(body, body->len ? ',' : '{');
    json_string_format(name, body);
    buf_add_char(body, ':');
    json_string_format(value, body);
    return true;
}

static bool takes(const struct route *r, enum method m)
{
    for (unsigned i = 0; i < r->method_count; i++)
        if (method_of(r->methods[i]) == m)
            return true;
    return false;
}

bool route_request_format(const struct route *r, const struct route_fill *fill, struct buf *target,
                          struct buf *fields, struct buf *body, const char **ret_why)
{
    char sep = '?';
    if (!takes(r, METHOD_GET) && !takes(r, METHOD_POST))
        return fail_with(ret_why, "only routes for GET or POST can be warmed");
    if (!add_path(r, fill, target, ret_why))
        return false;
    for (unsigned i = 0; i < r->param_count; i++) {
        const struct param *p = &r->params[i];
        struct span value = fill->value_of(fill->arg, p->label);
        if (!value.p || p->source == PARAM_PATH)
            continue;
        if (p->source == PARAM_QUERY) {
            buf_add_char(target, sep);
            add_encoded(target, p->name);
            buf_add_char(target, '=');
            add_encoded(target, value);
            sep = '&';
        } else if (p->source == PARAM_JSON) {
            if (!add_member(p, value, body))
                return fail_with(ret_why, "a nested JSON parameter cannot be filled; warm by url");
        } else if (p->source != PARAM_HEADER && p->source != PARAM_COOKIE) {
            return fail_with(ret_why, "forms and credentials cannot be filled from \"params\"");
        } else if (!add_field(p, value, fields)) {
            return fail_with(ret_why, "a header's value has control characters");
        }
    }
    if (body->len)
        buf_add_char(body, '}');
    return true;
}
