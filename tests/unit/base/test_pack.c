/* Texts packed and unpacked: whole or not at all, and never over their limit. */
#include "base-test.h"

#include <larder/base/hash.h>
#include <larder/base/pack.h>

enum { SIZE = 1 << 20 };

static char *text_of(bool is_random)
{
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = "{\"id\":17},"[i % 10];
    if (is_random)
        random_bytes(text, SIZE);
    return text;
}

static void what_is_packed_comes_out_again(void **state)
{
    static const size_t lengths[] = {0, 1, 2, 100, 16383, 16384, 16385, 65536, SIZE};
    struct buf packed, out;
    (void)state;
    for (int is_random = 0; is_random < 2; is_random++) {
        char *text = text_of(is_random);
        for (size_t i = 0; i < array_len(lengths); i++) {
            struct span plain = span_of(text, lengths[i]);
            buf_init(&packed, 2 * SIZE);
            buf_init(&out, SIZE + 4);
            buf_add_str(&out, "kept");
            assert_int_equal(pack_add(plain, 2 * SIZE, &packed), ERR_OK);
            assert_int_equal(unpack_add(buf_span(&packed), plain.len, &out), ERR_OK);
            assert_true(span_eq(span_of(out.p + 4, out.len - 4), plain));
            assert_true(is_random || plain.len < 1000 || packed.len < plain.len / 10);
            buf_fini(&packed);
            buf_fini(&out);
        }
        free(text);
    }
}

static void no_more_than_the_limit_is_written(void **state)
{
    char *text = text_of(false), *noise = text_of(true);
    struct buf packed, out;
    (void)state;
    buf_init(&packed, SIZE);
    buf_init(&out, SIZE);
    buf_add_str(&out, "kept");
    assert_int_equal(pack_add(span_of(noise, 1000), 999, &packed), ERR_TOO_LARGE);
    assert_int_equal(packed.len, 0);
    assert_int_equal(pack_add(span_of(text, SIZE), SIZE, &packed), ERR_OK);
    for (size_t limit = 0; limit < SIZE; limit = limit * 3 + 1) {
        assert_int_equal(unpack_add(buf_span(&packed), limit, &out), ERR_TOO_LARGE);
        assert_int_equal(out.len, 4);
        assert_true(out.cap <= 2 * (limit + 4) || out.cap <= 256);
    }
    struct buf small;
    char block[100];
    buf_init_fixed(&small, block, sizeof(block)); /* the buffer's own limit */
    assert_int_equal(unpack_add(buf_span(&packed), SIZE, &small), ERR_TOO_LARGE);
    assert_int_equal(small.len, 0);
    buf_fini(&packed);
    buf_fini(&out);
    free(text);
    free(noise);
}

static void what_is_cut_changed_or_followed_is_refused(void **state)
{
    static const char text[] = "{\"rooms\":[{\"id\":17},{\"id\":17},{\"id\":17}]}";
    struct buf packed, out;
    (void)state;
    buf_init(&packed, 1000);
    buf_init(&out, 100000);
    assert_int_equal(pack_add(SPAN_LIT(text), 1000, &packed), ERR_OK);
    for (size_t i = 0; i < packed.len; i++) {
        struct span cut = block_of(span_of(packed.p, i));
        assert_int_equal(unpack_add(cut, 1000, &out), ERR_SYNTAX);
        block_free(cut);
        for (unsigned bit = 0; bit < 8; bit++) {
            packed.p[i] ^= (char)(1 << bit);
            enum err_code rc = unpack_add(buf_span(&packed), 1000, &out);
            packed.p[i] ^= (char)(1 << bit);
            if (rc == ERR_OK) /* a bit that means nothing: how hard it was tried, padding */
                assert_true(span_eq(buf_span(&out), SPAN_LIT(text)));
            buf_reset(&out);
        }
    }
    buf_add_char(&packed, 'x');
    assert_int_equal(unpack_add(buf_span(&packed), 1000, &out), ERR_SYNTAX);
    assert_int_equal(unpack_add(SPAN_LIT("\x1f\x8b gzip is another"), 1000, &out), ERR_SYNTAX);
    assert_int_equal(out.len, 0);
    buf_fini(&packed);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_comes_out_again),
        cmocka_unit_test(no_more_than_the_limit_is_written),
        cmocka_unit_test(what_is_cut_changed_or_followed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
