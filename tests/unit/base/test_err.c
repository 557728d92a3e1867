/* test_err.c: what a person is told. */
#include <larder/base/err.h>

#include "base-test.h"

static void an_error_is_returned_with_its_code_even_when_nobody_reads_it(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(NULL, ERR_IO, "here", "%d", 1), ERR_IO);
    assert_int_equal(err_set(&e, ERR_BUSY, NULL, "%d of %d", 3, 4), ERR_BUSY);
    assert_int_equal(e.code, ERR_BUSY);
    assert_string_equal(e.where, "");
    assert_string_equal(e.what, "3 of 4");
}

static void an_error_may_be_told_again_with_its_own_words(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO, "upstream a", "refused");
    err_set(&e, ERR_CLOSED, e.where, "again: %s", e.what);
    assert_string_equal(e.where, "upstream a");
    assert_string_equal(e.what, "again: refused");
}

static void long_texts_are_cut_and_end(void **state)
{
    (void)state;
    struct err e;
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&e, ERR_IO, text, "%s", text);
    assert_int_equal(strlen(e.where), sizeof(e.where) - 1);
    assert_int_equal(strlen(e.what), sizeof(e.what) - 1);
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (int code = ERR_OK; code <= ERR_NOT_FOUND; code++) {
        assert_non_null(err_name((enum err_code)code));
        assert_string_not_equal(err_name((enum err_code)code), "unknown error");
    }
    assert_string_equal(err_name(ERR_NOMEM), "out of memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_returned_with_its_code_even_when_nobody_reads_it),
        cmocka_unit_test(an_error_may_be_told_again_with_its_own_words),
        cmocka_unit_test(long_texts_are_cut_and_end),
        cmocka_unit_test(every_code_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
