/* One call as text. */
#include "ctl-internal.h"

void ctl_request_init(struct request *r)
{
    *r = (struct request){.method = "GET"};
    buf_init(&r->path, REQUEST_MAX);
    buf_init(&r->body, REQUEST_MAX);
}

void ctl_request_fini(struct request *r)
{
    buf_fini(&r->path);
    buf_fini(&r->body);
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void ctl_percent_encode(struct buf *out, struct span s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(c)) {
            buf_add_char(out, (char)c);
            continue;
        }
        buf_add_char(out, '%');
        buf_add_char(out, digits[c >> 4]);
        buf_add_char(out, digits[c & 15]);
    }
}

void ctl_query_add(struct request *r, struct span name, const char *value)
{
    if (!value)
        return;
    bool has_query = r->path.len && memchr(r->path.p, '?', r->path.len);
    buf_add_char(&r->path, has_query ? '&' : '?');
    ctl_percent_encode(&r->path, name);
    buf_add_char(&r->path, '=');
    ctl_percent_encode(&r->path, span_str(value));
}
