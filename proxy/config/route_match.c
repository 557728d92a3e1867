/* Matching goes segment by segment over the raw path. Bytes that are equal are equal; only where
 * they differ, and an escape is in sight, are canonical forms compared. */
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

static bool has_eight_bit(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return true;
    return false;
}

static bool is_literal(struct span literal, struct span raw)
{
    if (span_eq(literal, raw))
        return true;
    if (raw.len == literal.len && !has_eight_bit(raw))
        return false; /* an escape makes it longer, raw bytes outside ASCII shorter */
    struct buf canonical;
    char block[1024];
    buf_init_fixed(&canonical, block, sizeof(block));
    uri_path_canonical(raw, &canonical);
    return !canonical.failed && span_eq(literal, buf_span(&canonical));
}

static bool matches_path(const struct route *r, struct span path, struct route_captures *captures)
{
    captures->count = 0;
    if (path.len == 0 || path.p[0] != '/') /* "*" of OPTIONS */
        return r->segment_count && r->segments[0].is_rest;
    struct span rest = span_of(path.p + 1, path.len - 1);
    for (unsigned i = 0; i < r->segment_count; i++) {
        const struct path_segment *s = &r->segments[i];
        if (s->is_rest)
            return true;
        if (!rest.p)
            return false;
        struct span raw = span_split(rest, '/', &rest);
        if (!s->is_capture) {
            if (!is_literal(s->literal, raw))
                return false;
            continue;
        }
        if (raw.len == 0 || captures->count == ROUTE_CAPTURES_MAX)
            return false;
        captures->name[captures->count] = s->name;
        captures->value[captures->count++] = raw;
    }
    return rest.p == NULL;
}

const struct route *route_match(const struct route *routes, unsigned count, const struct head *h,
                                struct route_captures *ret_captures)
{
    for (unsigned i = 0; i + 1 < count; i++)
        if (takes_method(&routes[i], h) && matches_path(&routes[i], h->path, ret_captures))
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
