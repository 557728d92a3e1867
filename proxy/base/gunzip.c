#include <larder/base/gunzip.h>

#include <stdlib.h>
#include <zlib.h>

struct gunzip {
    z_stream z;
    uint64_t total;
    bool is_whole;
    char out[16384];
};

struct gunzip *gunzip_new(void)
{
    enum { ANY_WINDOW = 15 + 32 }; /* +32: gzip or zlib, by its header */
    struct gunzip *g = calloc(1, sizeof(*g));
    if (g && inflateInit2(&g->z, ANY_WINDOW) != Z_OK) {
        free(g);
        return NULL;
    }
    return g;
}

void gunzip_free(struct gunzip *g)
{
    if (!g)
        return;
    inflateEnd(&g->z);
    free(g);
}

enum err_code gunzip_feed(struct gunzip *g, struct span piece, uint64_t limit,
                          enum err_code (*on_text)(void *arg, struct span text), void *arg)
{
    g->z.next_in = (Bytef *)(uintptr_t)piece.p; /* zlib's type; it only reads */
    g->z.avail_in = (uInt)piece.len;
    bool is_full = false; /* the last part filled <out>: there may be more without more input */
    while ((g->z.avail_in > 0 || is_full) && !g->is_whole) {
        g->z.next_out = (Bytef *)g->out;
        g->z.avail_out = sizeof(g->out);
        int rc = inflate(&g->z, Z_NO_FLUSH);
        if (rc == Z_BUF_ERROR)
            return ERR_OK; /* it wants more */
        if (rc != Z_OK && rc != Z_STREAM_END)
            return rc == Z_MEM_ERROR ? ERR_NOMEM : ERR_SYNTAX;
        size_t n = sizeof(g->out) - g->z.avail_out;
        is_full = g->z.avail_out == 0;
        g->total += n;
        if (g->total > limit)
            return ERR_TOO_LARGE;
        enum err_code code = n ? on_text(arg, span_of(g->out, n)) : ERR_OK;
        if (code)
            return code;
        g->is_whole = rc == Z_STREAM_END;
    }
    return ERR_OK;
}

bool gunzip_is_whole(const struct gunzip *g)
{
    return g->is_whole;
}
