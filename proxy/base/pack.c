#include <larder/base/pack.h>

#include <limits.h>
#include <zlib.h>

enum { PIECE = 16384 };

/* zlib counts in unsigned int: longer texts go in by pieces. */
static void feed(z_stream *z, struct span *text)
{
    if (z->avail_in > 0 || text->len == 0)
        return;
    size_t piece = text->len < INT_MAX ? text->len : INT_MAX;
    z->next_in = (Bytef *)(uintptr_t)text->p; /* zlib's type; it only reads */
    z->avail_in = (uInt)piece;
    *text = span_of(text->p + piece, text->len - piece);
}

/* Appends what <step> makes of <text>, until it says that this was the end. */
static enum err_code run(z_stream *z, int (*step)(z_stream *z, int flush), struct span text,
                         size_t limit, struct buf *out)
{
    char block[PIECE];
    for (int rc = Z_OK; rc != Z_STREAM_END;) {
        feed(z, &text);
        z->next_out = (Bytef *)block;
        z->avail_out = sizeof(block);
        rc = step(z, text.len ? Z_NO_FLUSH : Z_FINISH);
        size_t n = sizeof(block) - z->avail_out;
        if (rc == Z_MEM_ERROR)
            return ERR_NOMEM;
        if (rc != Z_OK && rc != Z_STREAM_END && (rc != Z_BUF_ERROR || n == 0))
            return ERR_SYNTAX; /* also where the text ends too early */
        if (n > limit)
            return ERR_TOO_LARGE;
        limit -= n;
        buf_add(out, block, n);
        if (out->failed)
            return out->no_memory ? ERR_NOMEM : ERR_TOO_LARGE;
    }
    return z->avail_in || text.len ? ERR_SYNTAX : ERR_OK; /* something stands behind the end */
}

enum err_code pack_add(struct span text, size_t limit, struct buf *out)
{
    z_stream z = {0};
    size_t before = out->len;
    if (deflateInit(&z, Z_BEST_SPEED) != Z_OK)
        return ERR_NOMEM;
    enum err_code rc = run(&z, deflate, text, limit, out);
    deflateEnd(&z);
    if (rc)
        out->len = before;
    return rc;
}

enum err_code unpack_add(struct span packed, size_t limit, struct buf *out)
{
    z_stream z = {0};
    size_t before = out->len;
    if (inflateInit(&z) != Z_OK)
        return ERR_NOMEM;
    enum err_code rc = run(&z, inflate, packed, limit, out);
    inflateEnd(&z);
    if (rc)
        out->len = before;
    return rc;
}
