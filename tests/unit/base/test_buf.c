/* test_buf.c: appending up to a limit, and failing for good. */
#include <larder/base/buf.h>

#include "base-test.h"

static void appends_add_up(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_add(&b, "ab", 2);
    buf_add(&b, NULL, 0);
    buf_add_span(&b, SPAN_LIT("c\0d"));
    buf_add_span(&b, span_of(NULL, 0));
    buf_add_str(&b, "ef");
    buf_add_str(&b, "");
    buf_add_char(&b, 'g');
    buf_add_u64(&b, 0);
    buf_add_u64(&b, UINT64_MAX);
    buf_add_fmt(&b, "%s-%03d", "h", 7);
    buf_add_fmt(&b, "%s", "");
    assert_false(b.failed);
    assert_span(buf_span(&b), SPAN_LIT("abc\0defg018446744073709551615h-007"), "buf");
    buf_fini(&b);
    assert_null(b.p);
}

static void a_buffer_grows_to_its_limit_and_not_past_it(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 255, 256, 257, 511, 512, 513, 5000};
    for (size_t i = 0; i < array_len(limits); i++) {
        struct buf b;
        buf_init(&b, limits[i]);
        for (size_t n = 0; n < limits[i]; n++)
            buf_add_char(&b, (char)n);
        assert_false(b.failed);
        assert_int_equal(b.len, limits[i]);
        assert_true(b.cap <= limits[i]);
        buf_add_char(&b, 'x');
        assert_true(b.failed);
        assert_int_equal(b.len, limits[i]);
        for (size_t n = 0; n < b.len; n++)
            assert_int_equal(b.p[n], (char)n);
        buf_fini(&b);
    }
}

static void a_failed_buffer_stays_failed_until_it_is_reset(void **state)
{
    (void)state;
    char room[4];
    struct buf b;
    buf_init_fixed(&b, room, sizeof(room));
    buf_add_str(&b, "ab");
    buf_add_str(&b, "cde"); /* all or nothing */
    buf_add_str(&b, "f");   /* would fit */
    assert_true(b.failed);
    assert_span(buf_span(&b), SPAN_LIT("ab"), "failed");
    buf_reset(&b);
    buf_add_str(&b, "wxyz");
    assert_false(b.failed);
    assert_span(buf_span(&b), SPAN_LIT("wxyz"), "reset");
    assert_ptr_equal(b.p, room);
    buf_fini(&b);
}

static void a_length_near_the_end_of_memory_fails_and_does_not_wrap(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_add_char(&b, 'a');
    buf_add(&b, "b", SIZE_MAX); /* over the limit by one */
    assert_true(b.failed);
    assert_int_equal(b.len, 1);
    buf_fini(&b);
}

/* printf wants a byte more than the text: around the sizes where the way changes, and where the
 * text fills the block. */
static void formatted_texts_of_every_length_come_whole(void **state)
{
    (void)state;
    static const int lens[] = {0, 1, 255, 256, 257, 510, 511, 512, 513, 1000, 4000};
    for (size_t i = 0; i < array_len(lens); i++) {
        for (size_t spare = 0; spare < 3; spare++) {
            struct buf b;
            size_t len = (size_t)lens[i];
            char *room = malloc(len + spare + 2);
            buf_init_fixed(&b, room, len + spare + 1);
            room[len + spare + 1] = '!';
            buf_add_char(&b, '<');
            buf_add_fmt(&b, "%*s", lens[i], lens[i] ? "x" : "");
            assert_false(b.failed);
            assert_int_equal(b.len, len + 1);
            assert_int_equal(room[0], '<');
            assert_int_equal(room[len], len ? 'x' : '<');
            assert_int_equal(room[len + spare + 1], '!');
            buf_add_fmt(&b, "%*s", (int)spare + 1, "x");
            assert_true(b.failed);
            assert_int_equal(b.len, len + 1);
            free(room);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_add_up),
        cmocka_unit_test(a_buffer_grows_to_its_limit_and_not_past_it),
        cmocka_unit_test(a_failed_buffer_stays_failed_until_it_is_reset),
        cmocka_unit_test(a_length_near_the_end_of_memory_fails_and_does_not_wrap),
        cmocka_unit_test(formatted_texts_of_every_length_come_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
