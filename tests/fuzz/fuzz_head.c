/* fuzz_head.c: any bytes as a head. What is accepted must be what it claims to be, and shorter
 * pieces of it must ask for more. */
#include <larder/http/head.h>

#include <stdlib.h>

static void demand(bool ok)
{
    if (!ok)
        abort();
}

static bool holds(struct span s, const char *p, size_t len)
{
    return s.len == 0 || (s.p >= p && s.len <= len && s.p + s.len <= p + len);
}

/* No byte that could end a line early, in a block of its own so that reading on shows. */
static void check_fields(const struct head *h, const char *p, size_t len)
{
    demand(h->bytes <= len && h->bytes >= 2 && memcmp(p + h->bytes - 2, "\r\n", 2) == 0);
    demand(h->field_count <= HEAD_FIELDS_MAX && h->minor <= 1);
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        demand(span_is_token(f->name) && holds(f->name, p, len) && holds(f->value, p, len));
        demand(!memchr(f->value.p, '\n', f->value.len) && !memchr(f->value.p, '\0', f->value.len));
        demand(f->id == field_id_of(f->name));
        (void)field_is_hop_by_hop(h, f);
    }
}

static void check_request(const struct head *h, const char *p, size_t len)
{
    check_fields(h, p, len);
    demand(span_is_token(h->method_text) && h->target.len > 0);
    demand(!memchr(h->target.p, ' ', h->target.len) && !memchr(h->target.p, '#', h->target.len));
    demand(h->framing != FRAMING_CLOSE);
    demand(!(h->has_content_length && h->framing == FRAMING_CHUNKED));
    static struct head shorter;
    size_t step = h->bytes / 16 + 1;
    for (size_t n = 0; n < h->bytes; n += step)
        demand(head_parse_request(p, n, len, &shorter) == HEAD_MORE);
    demand(head_parse_request(p, h->bytes, h->bytes, &shorter) == HEAD_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head h;
    const char *p = (const char *)data;
    size_t limit = size > 0 && data[0] == 'L' ? size / 2 : size;
    enum head_result r = head_parse_request(p, size, limit, &h);
    if (r == HEAD_OK)
        check_request(&h, p, size);
    else
        demand(r == HEAD_MORE || h.why);

    static const enum method methods[] = {METHOD_GET, METHOD_HEAD, METHOD_CONNECT};
    r = head_parse_response(p, size, limit, methods[size % 3], &h);
    if (r == HEAD_OK) {
        check_fields(&h, p, size);
        demand(h.status >= 100 && h.status <= 599);
    } else {
        demand(r == HEAD_MORE || h.why);
    }
    return 0;
}
