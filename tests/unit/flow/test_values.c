/* Numbers for texts, up to a limit. */
#include "../unit-test.h"

#include <larder/flow/values.h>

#include <stdio.h>

static void a_text_keeps_its_number(void **state)
{
    struct values *v = values_new(100);
    (void)state;
    uint16_t a = values_number(v, SPAN_LIT("org=1")), b = values_number(v, SPAN_LIT("org=2"));
    assert_int_not_equal(a, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(values_number(v, SPAN_LIT("org=1")), a);
    assert_int_equal(values_lookup(v, SPAN_LIT("org=2")), b);
    assert_int_equal(values_lookup(v, SPAN_LIT("org=3")), 0);
    assert_int_equal(values_count(v), 2);
    values_free(v);
}

static void what_finds_no_room_has_number_nought(void **state)
{
    struct values *v = values_new(50);
    char text[32];
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "id=%u", i);
        uint16_t n = values_number(v, span_str(text));
        assert_int_equal(n != 0, i < 50);
        assert_true(n < values_max(v));
    }
    assert_int_equal(values_count(v), 50);
    assert_int_equal(values_dropped(v), 950);
    assert_int_not_equal(values_lookup(v, SPAN_LIT("id=49")), 0);
    values_free(v);
}

static void none_may_be_counted_at_all(void **state)
{
    struct values *v = values_new(0);
    (void)state;
    assert_int_equal(values_max(v), 1);
    assert_int_equal(values_number(v, SPAN_LIT("a=1")), 0);
    values_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_keeps_its_number),
        cmocka_unit_test(what_finds_no_room_has_number_nought),
        cmocka_unit_test(none_may_be_counted_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
