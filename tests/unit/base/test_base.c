/* span, buf, glob, hist and hash: small rules, as tables. */
#include "../unit-test.h"

#include <larder/base/buf.h>
#include <larder/base/glob.h>
#include <larder/base/hash.h>
#include <larder/base/hist.h>
#include <larder/base/macros.h>

static void numbers_are_digits_only_and_fit_64_bits(void **state)
{
    static const struct {
        const char *text;
        bool is_number;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},    {"18446744073709551615", true, UINT64_MAX},
        {"007", true, 7},  {"18446744073709551616", false, 0},
        {"", false, 0},    {"+1", false, 0},
        {" 1", false, 0},  {"1 ", false, 0},
        {"0x1", false, 0}, {"-1", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        uint64_t v = 42;
        assert_int_equal(span_parse_u64(span_str(cases[i].text), &v), cases[i].is_number);
        assert_int_equal(v, cases[i].is_number ? cases[i].value : 42);
    }
}

static void a_split_gives_the_part_before_and_the_rest(void **state)
{
    (void)state;
    struct span rest, first = span_split(SPAN_LIT("a,b"), ',', &rest);
    assert_true(span_eq(first, SPAN_LIT("a")));
    assert_true(span_eq(rest, SPAN_LIT("b")));
    first = span_split(rest, ',', &rest);
    assert_true(span_eq(first, SPAN_LIT("b")));
    assert_null(rest.p);
    span_split(SPAN_LIT("a,"), ',', &rest);
    assert_non_null(rest.p);
    assert_int_equal(rest.len, 0);
}

static void a_buffer_never_passes_its_limit_and_stays_failed(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add_str(&b, "12345");
    buf_add_str(&b, "1234567");
    assert_true(b.failed);
    assert_int_equal(b.len, 5);
    buf_add_str(&b, "1");
    assert_int_equal(b.len, 5);
    buf_reset(&b);
    buf_add_u64(&b, 1234567890);
    assert_false(b.failed);
    assert_memory_equal(b.p, "1234567890", 10);
    buf_fini(&b);
}

static void globs_match_as_said(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"courses:*", "courses:1", true},
        {"courses:*", "courses", false},
        {"*", "", true},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-b-b-d", false},
        {"?", "x", true},
        {"?", "", false},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"*:semester=1", "courses:o=2:semester=1", true},
        {"", "", true},
        {"", "x", false},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++)
        assert_int_equal(glob_match(span_str(cases[i].pattern), span_str(cases[i].text)),
                         cases[i].matches);
}

static void quantiles_are_off_by_a_sixteenth_at_most(void **state)
{
    static struct hist h;
    (void)state;
    assert_int_equal(hist_quantile_us(&h, 0.5), 0);
    for (uint64_t us = 1; us <= 100000; us++)
        hist_record(&h, us);
    static const double quantiles[] = {0.5, 0.95, 0.99};
    for (size_t i = 0; i < array_len(quantiles); i++) {
        double exact = quantiles[i] * 100000, got = (double)hist_quantile_us(&h, quantiles[i]);
        assert_true(got >= exact * 0.999 && got <= exact * 1.0625 + 1);
    }
    hist_record(&h, UINT64_MAX); /* beyond the last bucket: counted there */
    assert_int_equal(h.count, 100001);
}

static void known_digests_come_out(void **state)
{
    uint8_t d[32];
    char hex[64];
    (void)state;
    digest_of("abc", 3, d);
    hex_format(d, 32, hex);
    assert_memory_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                        64);
    hmac_of(SPAN_LIT("Jefe"), SPAN_LIT("what do ya want for nothing?"), d); /* RFC 4231 case 2 */
    hex_format(d, 32, hex);
    assert_memory_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
                        64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_digits_only_and_fit_64_bits),
        cmocka_unit_test(a_split_gives_the_part_before_and_the_rest),
        cmocka_unit_test(a_buffer_never_passes_its_limit_and_stays_failed),
        cmocka_unit_test(globs_match_as_said),
        cmocka_unit_test(quantiles_are_off_by_a_sixteenth_at_most),
        cmocka_unit_test(known_digests_come_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
