/* uri.c: percent escapes, in one pass, in runs of bytes that stay as they are. */
#include <larder/http/uri.h>

#include "http-internal.h"

void escape_add(struct buf *out, char c)
{
    static const char hex[] = "0123456789ABCDEF";
    uint8_t byte = (uint8_t)c;
    const char text[3] = {'%', hex[byte >> 4], hex[byte & 15]};
    buf_add(out, text, sizeof(text));
}

static void add_run(struct buf *out, const char *p, const char *end)
{
    if (end > p)
        buf_add(out, p, (size_t)(end - p));
}

/* Behind a broken escape ("%" or "%4") nothing is decoded that would make it look whole: "%%411"
 * must not become "%A1". <solid> is where decoding is safe again. */
void uri_path_canonical(struct span path, struct buf *out)
{
    if (path.len == 0)
        return;
    const char *p = path.p, *end = p + path.len, *solid = p;
    while (p < end) {
        const char *run = p;
        p = bytes_skip(p, end, BYTE_PATH);
        add_run(out, run, p);
        if (p == end)
            break;
        if (!is_escape(p, end)) {
            if (*p == '%') {
                buf_add_char(out, '%');
                solid = p + 3;
            } else {
                escape_add(out, *p);
            }
            p++;
            continue;
        }
        char c = escape_value(p);
        if (byte_is(c, BYTE_UNRESERVED) && p >= solid)
            buf_add_char(out, c);
        else
            escape_add(out, c);
        p += 3;
    }
}

bool uri_query_next(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    while (rest->len > 0) {
        const char *p = rest->p, *end = p + rest->len;
        const char *stop = memchr(p, '&', rest->len);
        const char *next = stop ? stop + 1 : end;
        if (!stop)
            stop = end;
        *rest = span_of(next, (size_t)(end - next));
        if (stop == p)
            continue;
        const char *equals = memchr(p, '=', (size_t)(stop - p));
        *ret_name = span_of(p, (size_t)((equals ? equals : stop) - p));
        *ret_value = span_of(NULL, 0);
        if (equals)
            *ret_value = span_of(equals + 1, (size_t)(stop - equals - 1));
        return true;
    }
    return false;
}

void uri_decode(struct span s, bool plus_is_space, struct buf *out)
{
    if (s.len == 0)
        return;
    const char *p = s.p, *end = p + s.len;
    while (p < end) {
        const char *run = p;
        while (p < end && *p != '%' && !(plus_is_space && *p == '+'))
            p++;
        add_run(out, run, p);
        if (p == end)
            break;
        if (is_escape(p, end)) {
            buf_add_char(out, escape_value(p));
            p += 3;
        } else {
            buf_add_char(out, *p == '+' ? ' ' : '%');
            p++;
        }
    }
}

bool uri_split(struct span url, bool *ret_is_https, struct span *ret_authority,
               struct span *ret_target)
{
    static const struct span http = {"http://", 7}, https = {"https://", 8};
    *ret_is_https = span_starts_with(url, https);
    if (!*ret_is_https && !span_starts_with(url, http))
        return false;
    size_t scheme = *ret_is_https ? https.len : http.len;
    struct span rest = span_of(url.p + scheme, url.len - scheme);
    const char *slash = rest.len ? memchr(rest.p, '/', rest.len) : NULL;
    size_t len = slash ? (size_t)(slash - rest.p) : rest.len;
    *ret_authority = span_of(rest.p, len);
    *ret_target = slash ? span_of(slash, rest.len - len) : SPAN_LIT("/");
    return true;
}

/* The last segment goes, and the '/' before it stays. */
static void drop_segment(struct buf *out, size_t from)
{
    if (out->len > from && out->p[out->len - 1] == '/')
        out->len--;
    while (out->len > from && out->p[out->len - 1] != '/')
        out->len--;
}

static void add_segments(struct buf *out, size_t from, struct span path)
{
    while (path.p) {
        struct span segment = span_split(path, '/', &path);
        bool is_last = path.p == NULL;
        if (span_eq(segment, SPAN_LIT(".."))) {
            drop_segment(out, from);
            if (out->len == from)
                buf_add_char(out, '/');
        } else if (!span_eq(segment, SPAN_LIT("."))) {
            buf_add_span(out, segment);
            if (!is_last)
                buf_add_char(out, '/');
        }
    }
}

void uri_path_resolve(struct span base, struct span reference, struct buf *out)
{
    size_t from = out->len;
    bool is_absolute = reference.len && reference.p[0] == '/';
    if (is_absolute) {
        reference = span_of(reference.p + 1, reference.len - 1);
        buf_add_char(out, '/');
    } else {
        while (base.len && base.p[base.len - 1] != '/')
            base.len--;
        buf_add_span(out, base);
    }
    add_segments(out, from, reference);
}
