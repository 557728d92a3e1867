/* buf.h: bytes that grow, in one owned block, up to a limit.
 *
 * After a failed append the buffer is `failed` and stays so: a row of appends needs one check at
 * its end. Thread: the owner's. Memory: buf_fini() frees; buf_init_fixed() works in a caller's
 * block that never grows: what does not fit fails.
 */
#ifndef LARDER_BASE_BUF_H
#define LARDER_BASE_BUF_H

#include <larder/base/span.h>

struct buf {
    char *p;
    size_t len;     /* bytes in use */
    size_t cap;     /* bytes allocated */
    size_t limit;   /* bytes never exceeded */
    bool failed;    /* an append did not fit or found no memory */
    bool no_memory; /* it was the latter */
    bool borrowed;  /* p is the caller's block, not to be freed */
};

void buf_init(struct buf *b, size_t limit);
void buf_init_fixed(struct buf *b, char *block, size_t cap); /* limit = cap */
void buf_fini(struct buf *b);
void buf_reset(struct buf *b); /* empty again, block kept */
void buf_add(struct buf *b, const void *p, size_t len);
void buf_add_span(struct buf *b, struct span s);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_add_u64(struct buf *b, uint64_t v); /* decimal */
void buf_add_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline struct span buf_span(const struct buf *b)
{
    return span_of(b->p, b->len);
}

#endif
