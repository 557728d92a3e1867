/* gzip and zlib text, whole, cut, broken, and blown up. */
#include "../unit-test.h"

#include <larder/base/buf.h>
#include <larder/base/gunzip.h>

#include <stdlib.h>
#include <zlib.h>

static enum err_code on_text(void *arg, struct span text)
{
    buf_add_span(arg, text);
    return ERR_OK;
}

static size_t pack(const char *text, size_t len, unsigned char *out, size_t room, int window)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = room - z.avail_out;
    deflateEnd(&z);
    return n;
}

static void text_comes_out_wherever_it_is_cut(void **state)
{
    static const char text[] = "{\"rooms\":[{\"id\":17},{\"id\":17},{\"id\":17}]}";
    unsigned char packed[256];
    (void)state;
    for (int gzip = 0; gzip < 2; gzip++) {
        size_t n = pack(text, sizeof(text) - 1, packed, sizeof(packed), gzip ? 31 : 15);
        for (size_t cut = 0; cut <= n; cut++) {
            struct buf out;
            buf_init(&out, 4096);
            struct gunzip *g = gunzip_new();
            assert_int_equal(gunzip_feed(g, span_of((char *)packed, cut), 4096, on_text, &out),
                             ERR_OK);
            assert_int_equal(gunzip_is_whole(g), cut == n);
            assert_int_equal(
                gunzip_feed(g, span_of((char *)packed + cut, n - cut), 4096, on_text, &out),
                ERR_OK);
            assert_true(gunzip_is_whole(g));
            assert_true(span_eq(buf_span(&out), SPAN_LIT(text)));
            gunzip_free(g);
            buf_fini(&out);
        }
    }
}

static void a_bomb_ends_at_its_limit(void **state)
{
    enum { SIZE = 4 << 20, LIMIT = 1 << 20 };
    char *zeros = calloc(1, SIZE);
    unsigned char packed[16384];
    struct buf out;
    (void)state;
    size_t n = pack(zeros, SIZE, packed, sizeof(packed), 31);
    buf_init(&out, SIZE);
    struct gunzip *g = gunzip_new();
    assert_int_equal(gunzip_feed(g, span_of((char *)packed, n), LIMIT, on_text, &out),
                     ERR_TOO_LARGE);
    assert_true(out.len <= LIMIT);
    gunzip_free(g);
    buf_fini(&out);
    free(zeros);
}

static void long_text_comes_out_whole_in_parts(void **state)
{
    enum { SIZE = 1 << 20 };
    char *zeros = calloc(1, SIZE);
    unsigned char packed[16384];
    struct buf out;
    (void)state;
    size_t n = pack(zeros, SIZE, packed, sizeof(packed), 31);
    buf_init(&out, SIZE);
    struct gunzip *g = gunzip_new();
    for (size_t i = 0; i < n; i++) /* a little input may make many parts */
        assert_int_equal(gunzip_feed(g, span_of((char *)packed + i, 1), SIZE, on_text, &out),
                         ERR_OK);
    assert_true(gunzip_is_whole(g));
    assert_int_equal(out.len, SIZE);
    gunzip_free(g);
    buf_fini(&out);
    free(zeros);
}

static void what_is_not_gzip_is_refused(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    struct gunzip *g = gunzip_new();
    assert_int_equal(gunzip_feed(g, SPAN_LIT("{\"a\":1}"), 4096, on_text, &out), ERR_SYNTAX);
    gunzip_free(g);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_out_wherever_it_is_cut),
        cmocka_unit_test(a_bomb_ends_at_its_limit),
        cmocka_unit_test(long_text_comes_out_whole_in_parts),
        cmocka_unit_test(what_is_not_gzip_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
