/* Matching goes segment by segment over the raw path. Bytes that are equal are equal; only where
 * they differ, and one of them could be written in another way, are canonical forms compared. */
#include <larder/config/route.h>

#include <larder/http/uri.h>

static bool takes_method(const struct route *r, const struct head *h)
{
    if (r->any_method)
        return true;
    for (unsigned i = 0; i < r->method_count; i++) {
        if (span_eq(r->methods[i], h->method_text))
            return true;
        if (h->method == METHOD_HEAD && span_eq(r->methods[i], SPAN_LIT("GET")))
            return true;
    }
    return false;
}

/* Is there a byte that the canonical form writes in another way? An escape, or one that should be
 * one: letters, digits and the usual marks never are. */
static bool may_differ(struct span raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && c != '-' && c != '_' && c != '.' && c != '~')
            return true;
    }
    return false;
}

/* <literal> is canonical, and no longer than the block: what does not fit is not equal. */
static bool is_literal(struct span literal, struct span raw)
{
    if (span_eq(literal, raw))
        return true;
    if (!may_differ(raw))
        return false;
    struct buf canonical;
    char block[1024];
    buf_init_fixed(&canonical, block, sizeof(block));
    uri_path_canonical(raw, &canonical);
    return !canonical.failed && span_eq(literal, buf_span(&canonical));
}

static bool capture(struct route_captures *captures, struct span name, struct span value)
{
    if (captures->count == ROUTE_CAPTURES_MAX)
        return false;
    captures->name[captures->count] = name;
    captures->value[captures->count++] = value;
    return true;
}

bool route_takes_path(const struct route *r, struct span path, struct route_captures *captures)
{
    captures->count = 0;
    if (path.len == 0 || path.p[0] != '/') /* "*" of OPTIONS */
        return r->segment_count && r->segments[0].is_rest && !r->segments[0].name.len;
    struct span rest = span_of(path.p + 1, path.len - 1);
    for (unsigned i = 0; i < r->segment_count; i++) {
        const struct path_segment *s = &r->segments[i];
        if (!rest.p)
            return false;
        if (s->is_rest)
            return s->name.len == 0 || capture(captures, s->name, rest);
        struct span raw = span_split(rest, '/', &rest);
        if (s->is_capture ? raw.len == 0 || !capture(captures, s->name, raw)
                          : !is_literal(s->literal, raw))
            return false;
    }
    return rest.p == NULL;
}

bool route_takes(const struct route *r, const struct head *h, struct route_captures *ret_captures)
{
    return takes_method(r, h) && route_takes_path(r, h->path, ret_captures);
}

const struct route *route_match(const struct route *routes, unsigned count, const struct head *h,
                                struct route_captures *ret_captures)
{
    for (unsigned i = 0; i + 1 < count; i++)
        if (route_takes(&routes[i], h, ret_captures))
            return &routes[i];
    ret_captures->count = 0;
    return &routes[count - 1];
}

const struct param *route_param(const struct route *r, struct span label)
{
    for (unsigned i = 0; i < r->param_count; i++)
        if (span_eq(r->params[i].label, label))
            return &r->params[i];
    return NULL;
}
