/* test_span.c: runs of bytes that may hold NULs. */
#include <larder/base/span.h>

#include "base-test.h"

static void equality_without_case_knows_ascii_only_and_sees_behind_nul(void **state)
{
    (void)state;
    static const struct {
        struct span a, b;
        bool is_equal;
    } cases[] = {
        {SPAN_LIT(""), {NULL, 0}, true},
        {SPAN_LIT("Cache-Control"), SPAN_LIT("cAcHE-cONTROL"), true},
        {SPAN_LIT("azAZ"), SPAN_LIT("AZaz"), true},
        {SPAN_LIT("ab"), SPAN_LIT("abc"), false},
        {SPAN_LIT("a\0b"), SPAN_LIT("A\0B"), true},
        {SPAN_LIT("a\0b"), SPAN_LIT("a\0c"), false},
        {SPAN_LIT("@["), SPAN_LIT("`{"), false}, /* the neighbours of A and Z */
        {SPAN_LIT("\xc4"), SPAN_LIT("\xe4"), false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        assert_int_equal(span_eq_nocase(cases[i].a, cases[i].b), cases[i].is_equal);
        assert_int_equal(span_eq_nocase(cases[i].b, cases[i].a), cases[i].is_equal);
    }
}

static void equality_compares_every_byte(void **state)
{
    (void)state;
    assert_true(span_eq(span_of(NULL, 0), SPAN_LIT("")));
    assert_true(span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0b")));
    assert_false(span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0c")));
    assert_false(span_eq(SPAN_LIT("a"), SPAN_LIT("A")));
    assert_true(span_eq(span_str(NULL), span_str("")));
}

static void prefixes(void **state)
{
    (void)state;
    assert_true(span_starts_with(SPAN_LIT("abc"), SPAN_LIT("")));
    assert_true(span_starts_with(span_of(NULL, 0), span_of(NULL, 0)));
    assert_true(span_starts_with(SPAN_LIT("abc"), SPAN_LIT("abc")));
    assert_false(span_starts_with(SPAN_LIT("ab"), SPAN_LIT("abc")));
    assert_false(span_starts_with(SPAN_LIT("abc"), SPAN_LIT("b")));
}

static void trim_takes_ows_and_no_other_space(void **state)
{
    (void)state;
    static const struct {
        struct span text, want;
    } cases[] = {
        {SPAN_LIT(""), SPAN_LIT("")},          {SPAN_LIT(" \t "), SPAN_LIT("")},
        {SPAN_LIT(" a b\t"), SPAN_LIT("a b")}, {SPAN_LIT("\r a\n"), SPAN_LIT("\r a\n")},
        {SPAN_LIT("\v\f"), SPAN_LIT("\v\f")},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct span text = block_of(cases[i].text);
        assert_span(span_trim(text), cases[i].want, "trim");
        block_free(text);
    }
}

/* Joins the parts with '|'. */
static void split_all(struct span text, struct buf *out)
{
    for (struct span rest = text, part; rest.p;) {
        part = span_split(rest, ',', &rest);
        buf_add_span(out, part);
        buf_add_char(out, '|');
    }
}

static void split_yields_every_part_and_then_no_rest(void **state)
{
    (void)state;
    static const struct {
        struct span text, want;
    } cases[] = {
        {SPAN_LIT(""), SPAN_LIT("|")},       {SPAN_LIT("a"), SPAN_LIT("a|")},
        {SPAN_LIT("a,b"), SPAN_LIT("a|b|")}, {SPAN_LIT("a,"), SPAN_LIT("a||")},
        {SPAN_LIT(",,a"), SPAN_LIT("||a|")}, {SPAN_LIT("a\0,b"), SPAN_LIT("a\0|b|")},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        char room[32];
        struct buf out;
        struct span text = block_of(cases[i].text);
        buf_init_fixed(&out, room, sizeof(room));
        split_all(text, &out);
        assert_span(buf_span(&out), cases[i].want, "split");
        block_free(text);
    }
}

static void numbers_are_digits_only_and_do_not_wrap(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        bool is_number;
        uint64_t value;
    } cases[] = {
        {SPAN_LIT("0"), true, 0},
        {SPAN_LIT("007"), true, 7},
        {SPAN_LIT("18446744073709551615"), true, UINT64_MAX},
        {SPAN_LIT("00000000000000000000000018446744073709551615"), true, UINT64_MAX},
        {SPAN_LIT("18446744073709551616"), false, 0},
        {SPAN_LIT("18446744073709551620"), false, 0},
        {SPAN_LIT("99999999999999999999"), false, 0},
        {SPAN_LIT("184467440737095516150"), false, 0},
        {SPAN_LIT(""), false, 0},
        {{NULL, 0}, false, 0},
        {SPAN_LIT("+1"), false, 0},
        {SPAN_LIT("-1"), false, 0},
        {SPAN_LIT(" 1"), false, 0},
        {SPAN_LIT("1 "), false, 0},
        {SPAN_LIT("1\0"), false, 0},
        {SPAN_LIT("0x1"), false, 0},
        {SPAN_LIT("1.0"), false, 0},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        uint64_t value = 42;
        struct span text = block_of(cases[i].text);
        assert_int_equal(span_parse_u64(text, &value), cases[i].is_number);
        assert_true(value == (cases[i].is_number ? cases[i].value : 42));
        block_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_without_case_knows_ascii_only_and_sees_behind_nul),
        cmocka_unit_test(equality_compares_every_byte),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(trim_takes_ows_and_no_other_space),
        cmocka_unit_test(split_yields_every_part_and_then_no_rest),
        cmocka_unit_test(numbers_are_digits_only_and_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
