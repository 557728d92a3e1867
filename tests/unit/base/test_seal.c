/* Sealed bytes come out again under the same secret, context and clear part, and nothing else. */
#include "base-test.h"

#include <larder/base/hash.h>
#include <larder/base/seal.h>

static const struct seal_key key = {{"secret", 6}, {"context", 7}};

static enum err_code open_copy(const struct seal_key *k, struct span clear, struct span sealed,
                               struct buf *out)
{
    struct span block = block_of(sealed);
    enum err_code rc = seal_open(k, clear, block, out);
    block_free(block);
    return rc;
}

static void what_is_sealed_comes_out_again(void **state)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 16383, 16384, 16385, 100000};
    struct buf sealed, out;
    char *text = malloc(100000);
    (void)state;
    assert_non_null(text);
    random_bytes(text, 100000);
    for (size_t i = 0; i < array_len(lengths); i++) {
        for (size_t c = 0; c < array_len(lengths); c++) {
            struct span plain = span_of(text, lengths[i]), clear = span_of(text, lengths[c]);
            buf_init(&sealed, 1 << 20);
            buf_init(&out, 1 << 20);
            buf_add_str(&out, "kept");
            assert_int_equal(seal_add(&key, clear, plain, &sealed), ERR_OK);
            assert_int_equal(sealed.len, plain.len + SEAL_OVERHEAD);
            assert_int_equal(open_copy(&key, clear, buf_span(&sealed), &out), ERR_OK);
            assert_true(span_eq(span_of(out.p + 4, out.len - 4), plain));
            buf_fini(&sealed);
            buf_fini(&out);
        }
    }
    free(text);
}

/* As Python's hmac and cryptography make it: key HMAC-SHA-256(secret, context || salt), a nonce of
 * zeros. */
static void the_format_is_what_it_says(void **state)
{
    static const uint8_t sealed[] = {
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d,
        0x0e, 0x0f, 0xbc, 0x74, 0x88, 0x93, 0xfc, 0x73, 0x65, 0x42, 0x45, 0x72, 0x83, 0x06,
        0x5f, 0x7e, 0x39, 0xee, 0x6a, 0xdd, 0xdd, 0x9c, 0x96, 0x95, 0x09, 0xfa, 0x4f, 0x3c,
    };
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    assert_int_equal(
        seal_open(&key, SPAN_LIT("clear"), span_of((const char *)sealed, sizeof(sealed)), &out),
        ERR_OK);
    assert_span(buf_span(&out), SPAN_LIT("plain text"), "text");
    buf_fini(&out);
}

static void no_two_are_alike(void **state)
{
    struct buf a, b;
    (void)state;
    buf_init(&a, 100);
    buf_init(&b, 100);
    assert_int_equal(seal_add(&key, SPAN_LIT(""), SPAN_LIT("text"), &a), ERR_OK);
    assert_int_equal(seal_add(&key, SPAN_LIT(""), SPAN_LIT("text"), &b), ERR_OK);
    assert_memory_not_equal(a.p, b.p, SEAL_SALT);
    assert_memory_not_equal(a.p + SEAL_SALT, b.p + SEAL_SALT, 4);
    assert_null(memmem(a.p, a.len, "text", 4));
    buf_fini(&a);
    buf_fini(&b);
}

static void each_changed_byte_and_each_cut_is_refused(void **state)
{
    struct buf sealed, out;
    struct span clear = SPAN_LIT("clear");
    (void)state;
    buf_init(&sealed, 1000);
    buf_init(&out, 1000);
    buf_add_str(&out, "kept");
    assert_int_equal(seal_add(&key, clear, SPAN_LIT("some text"), &sealed), ERR_OK);
    for (size_t i = 0; i < sealed.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            sealed.p[i] ^= (char)(1 << bit);
            assert_int_equal(open_copy(&key, clear, buf_span(&sealed), &out), ERR_SYNTAX);
            sealed.p[i] ^= (char)(1 << bit);
        }
        assert_int_equal(open_copy(&key, clear, span_of(sealed.p, i), &out), ERR_SYNTAX);
    }
    buf_add_char(&sealed, 'x');
    assert_int_equal(open_copy(&key, clear, buf_span(&sealed), &out), ERR_SYNTAX);
    assert_span(buf_span(&out), SPAN_LIT("kept"), "on an error");
    buf_fini(&sealed);
    buf_fini(&out);
}

static void another_secret_context_or_clear_part_opens_nothing(void **state)
{
    static const struct {
        struct seal_key key;
        const char *clear;
        enum err_code rc;
    } cases[] = {
        {{{"secret", 6}, {"context", 7}}, "clear", ERR_OK},
        {{{"secrets", 7}, {"context", 7}}, "clear", ERR_SYNTAX},
        {{{"", 0}, {"context", 7}}, "clear", ERR_SYNTAX},
        {{{"secret", 6}, {"contexT", 7}}, "clear", ERR_SYNTAX},
        {{{"secret", 6}, {"", 0}}, "clear", ERR_SYNTAX},
        {{{"secret", 6}, {"context", 7}}, "clea", ERR_SYNTAX},
        {{{"secret", 6}, {"context", 7}}, "clearr", ERR_SYNTAX},
        {{{"secret", 6}, {"context", 7}}, "", ERR_SYNTAX},
    };
    struct buf sealed, out;
    (void)state;
    buf_init(&sealed, 1000);
    assert_int_equal(seal_add(&key, SPAN_LIT("clear"), SPAN_LIT("some text"), &sealed), ERR_OK);
    for (size_t i = 0; i < array_len(cases); i++) {
        buf_init(&out, 1000);
        assert_int_equal(
            open_copy(&cases[i].key, span_str(cases[i].clear), buf_span(&sealed), &out),
            cases[i].rc);
        buf_fini(&out);
    }
    buf_fini(&sealed);
}

static void what_is_bound_may_lie_in_front(void **state)
{
    struct buf value, out;
    char clear[300];
    (void)state;
    memset(clear, 'c', sizeof(clear));
    buf_init(&value, 100000);
    buf_init(&out, 100000);
    buf_add(&value, clear, sizeof(clear)); /* which moves as the buffer grows */
    assert_int_equal(seal_add(&key, buf_span(&value), SPAN_LIT("text"), &value), ERR_OK);
    assert_int_equal(seal_open(&key, span_of(value.p, sizeof(clear)),
                               span_of(value.p + sizeof(clear), value.len - sizeof(clear)), &out),
                     ERR_OK);
    assert_span(buf_span(&out), SPAN_LIT("text"), "text");
    buf_fini(&value);
    buf_fini(&out);
}

static void a_buffer_that_is_too_small_keeps_what_it_has(void **state)
{
    char block[4 + SEAL_OVERHEAD + 4];
    struct buf sealed, out;
    (void)state;
    for (size_t cap = 4; cap <= sizeof(block); cap++) {
        buf_init_fixed(&sealed, block, cap);
        buf_add_str(&sealed, "kept");
        assert_int_equal(seal_add(&key, SPAN_LIT(""), SPAN_LIT("text"), &sealed),
                         cap < sizeof(block) ? ERR_TOO_LARGE : ERR_OK);
        assert_int_equal(sealed.len, cap < sizeof(block) ? 4 : sizeof(block));
    }
    for (size_t cap = 0; cap <= 4; cap++) {
        char text[4];
        buf_init_fixed(&out, text, cap);
        assert_int_equal(seal_open(&key, SPAN_LIT(""), span_of(block + 4, sizeof(block) - 4), &out),
                         cap < 4 ? ERR_TOO_LARGE : ERR_OK);
        assert_int_equal(out.len, cap < 4 ? 0 : 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_comes_out_again),
        cmocka_unit_test(the_format_is_what_it_says),
        cmocka_unit_test(no_two_are_alike),
        cmocka_unit_test(each_changed_byte_and_each_cut_is_refused),
        cmocka_unit_test(another_secret_context_or_clear_part_opens_nothing),
        cmocka_unit_test(what_is_bound_may_lie_in_front),
        cmocka_unit_test(a_buffer_that_is_too_small_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
