#include <larder/base/buf.h>

#include <larder/base/wipe.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_init_fixed(struct buf *b, char *block, size_t cap)
{
    *b = (struct buf){.p = block, .cap = cap, .limit = cap, .borrowed = true};
}

void buf_fini(struct buf *b)
{
    if (!b->borrowed)
        wipe_free(b->p);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = b->no_memory = false;
}

/* Room for <more> bytes behind what is there; doubles, so that appending is linear in all. */
static bool reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return false;
    if (more <= b->cap - b->len)
        return true;
    if (b->borrowed || more > b->limit - b->len) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + more, cap = b->cap ? b->cap : 256;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > b->limit)
        cap = b->limit;
    char *p = wipe_realloc(b->p, b->len, cap);
    if (!p) {
        b->failed = b->no_memory = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, const void *p, size_t len)
{
    if (len == 0 || !reserve(b, len))
        return;
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

void buf_add_span(struct buf *b, struct span s)
{
    buf_add(b, s.p, s.len);
}

void buf_add_str(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t i = sizeof(digits);
    do {
        digits[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_add(b, digits + i, sizeof(digits) - i);
}

/* printf needs a byte for its NUL: short texts come by the stack, long ones are printed in place
 * where that byte is free, and only a long text that fills the block to the last byte takes a
 * block of its own on the way. */
static void add_printed(struct buf *b, size_t n, const char *fmt, va_list args)
{
    char small[512];
    if (!reserve(b, n))
        return;
    if (n >= sizeof(small) && b->cap - b->len > n) {
        vsnprintf(b->p + b->len, n + 1, fmt, args);
        b->len += n;
        return;
    }
    char *text = n < sizeof(small) ? small : malloc(n + 1);
    if (text) {
        vsnprintf(text, n + 1, fmt, args);
        buf_add(b, text, n);
    } else {
        b->failed = b->no_memory = true;
    }
    if (text != small)
        free(text);
}

void buf_add_fmt(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    else
        add_printed(b, (size_t)n, fmt, again);
    va_end(again);
}
