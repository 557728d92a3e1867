/* octets.h: numbers and texts as big-endian octets, one behind the other. Thread: any.
 */
#ifndef LARDER_BASE_OCTETS_H
#define LARDER_BASE_OCTETS_H

#include <larder/base/buf.h>

/* The lower <count> octets of <v>; at most 8. */
static inline void octets_add(struct buf *b, uint64_t v, unsigned count)
{
    char block[8];
    for (unsigned i = 0; i < count; i++)
        block[i] = (char)(v >> (8 * (count - 1 - i)));
    buf_add(b, block, count);
}

/* Takes <count> octets off the front of <s>; false, and *ret untouched: there are not so many. */
static inline bool octets_take(struct span *s, unsigned count, uint64_t *ret)
{
    uint64_t v = 0;
    if (s->len < count)
        return false;
    for (unsigned i = 0; i < count; i++)
        v = v << 8 | (unsigned char)s->p[i];
    *s = span_of(s->p + count, s->len - count);
    *ret = v;
    return true;
}

/* A text with its length in four octets before it. */
static inline void octets_add_text(struct buf *b, struct span text)
{
    octets_add(b, text.len, 4);
    buf_add_span(b, text);
}

static inline bool octets_take_text(struct span *s, struct span *ret)
{
    uint64_t len;
    struct span rest = *s;
    if (!octets_take(&rest, 4, &len) || len > rest.len)
        return false;
    *ret = span_of(rest.p, (size_t)len);
    *s = span_of(rest.p + len, rest.len - (size_t)len);
    return true;
}

#endif
