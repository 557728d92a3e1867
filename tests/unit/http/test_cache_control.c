/* test_cache_control.c: RFC 9111 section 5.2 read strictly, in every spelling. */
#include <larder/http/cache_control.h>

#include "http-test.h"

static void parse(const char *fields, struct cache_control *cc)
{
    cleanup(text_head_fini) struct text_head t;
    response_with(&t, 200, fields);
    cache_control_parse(&t.head, FIELD_CACHE_CONTROL, cc);
}

static void flags_are_read_in_any_case_line_and_order(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        unsigned flags;
    } cases[] = {
        {"", 0},
        {"Cache-Control:\r\n", CC_PRESENT},
        {"Cache-Control: , ,\r\n", CC_PRESENT},
        {"Cache-Control: NO-STORE\r\n", CC_PRESENT | CC_NO_STORE},
        {"Cache-Control: public,immutable , must-revalidate\r\n",
         CC_PRESENT | CC_PUBLIC | CC_IMMUTABLE | CC_MUST_REVALIDATE},
        {"Cache-Control: Proxy-Revalidate\r\ncache-control: only-if-cached, no-transform\r\n",
         CC_PRESENT | CC_PROXY_REVALIDATE | CC_ONLY_IF_CACHED | CC_NO_TRANSFORM},
        {"Cache-Control: must-understand, no-store, private, no-cache\r\n",
         CC_PRESENT | CC_MUST_UNDERSTAND | CC_NO_STORE | CC_PRIVATE | CC_NO_CACHE},
        {"Cache-Control: unknown, x=\"no-store, private\", no-storex, xno-store\r\n", CC_PRESENT},
        {"Cache-Control: x=\"a\\\", no-store\", public\r\n", CC_PRESENT | CC_PUBLIC},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct cache_control cc;
        parse(cases[i].fields, &cc);
        if (cc.flags != cases[i].flags)
            fail_msg("0x%x, not 0x%x, for %s", cc.flags, cases[i].flags, cases[i].fields);
    }
}

static void what_forbids_counts_even_where_the_list_is_broken(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        unsigned flags;
    } cases[] = {
        {"no-store; private", CC_NO_STORE | CC_PRIVATE},
        {"public no-store", CC_NO_STORE},
        {"public; no-cache", CC_NO_CACHE},
        {"no-store=1", CC_NO_STORE},
        {"no-store=\"\"", CC_NO_STORE},
        {"private=\"x-me\"", CC_PRIVATE},
        {"\"junk\" private", CC_PRIVATE},
        {"x=\"never closed, no-store", CC_NO_STORE},
        {"public=1", 0},
        {"x public", 0},
        {"immutable x", 0},
        {"no-cache", CC_NO_CACHE},
        {"no-cache=", CC_NO_CACHE},
        {"no-cache=\"\"", CC_NO_CACHE},
        {"no-cache=\"x-here\"", CC_NO_CACHE},
        {"no-cache=X-Here", CC_NO_CACHE},
        {"no-cache=\"x-absent, X-HERE\"", CC_NO_CACHE},
        {"no-cache=\"x absent\"", CC_NO_CACHE},
        {"no-cache=\"x-absent\" x", CC_NO_CACHE},
        {"no-cache=\"x-absent\"", 0},
        {"no-cache=\"set-cookie\"", 0},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        char fields[256];
        struct cache_control cc;
        snprintf(fields, sizeof(fields), "X-Here: 1\r\nSet-Cookie: a=b\r\nCache-Control: %s\r\n",
                 cases[i].value);
        parse(fields, &cc);
        if (cc.flags != (cases[i].flags | CC_PRESENT))
            fail_msg("0x%x for %s", cc.flags, cases[i].value);
    }
}

static void seconds_are_digits_and_the_strictest_wins(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint32_t max_age_s;
    } cases[] = {
        {"max-age=60", 60},
        {"max-age=\"60\"", 60},
        {"Max-Age=060", 60},
        {"max-age=0", 0},
        {"max-age=2147483647", INT32_MAX},
        {"max-age=2147483648", INT32_MAX},
        {"max-age=99999999999999999999999", INT32_MAX},
        {"max-age=60, max-age=30", 30},
        {"max-age=30\r\nCache-Control: max-age=60", 30},
        {"max-age=60, max-age=x", 0},
        {"max-age", 0},
        {"max-age=", 0},
        {"max-age=-1", 0},
        {"max-age=+1", 0},
        {"max-age=1.5", 0},
        {"max-age=0x10", 0},
        {"max-age = 60", 0},
        {"max-age= 60", 0},
        {"max-age=60 s", 0},
        {"max-age=60; public", 0},
        {"max-age=\"60", 0},
        {"x max-age=60", 0},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        char fields[256];
        struct cache_control cc;
        snprintf(fields, sizeof(fields), "Cache-Control: %s\r\n", cases[i].value);
        parse(fields, &cc);
        if (!(cc.flags & CC_HAS_MAX_AGE) || cc.max_age_s != cases[i].max_age_s)
            fail_msg("%u for %s", cc.max_age_s, cases[i].value);
    }
}

static void each_number_has_its_own_place_and_sense(void **state)
{
    (void)state;
    struct cache_control cc;
    parse("Cache-Control: max-age=1, s-maxage=2, stale-while-revalidate=3\r\n"
          "Cache-Control: stale-if-error=4, min-fresh=5, max-stale=6\r\n",
          &cc);
    assert_int_equal(cc.flags, CC_PRESENT | CC_HAS_MAX_AGE | CC_HAS_S_MAXAGE | CC_HAS_SWR |
                                   CC_HAS_SIE | CC_HAS_MIN_FRESH | CC_HAS_MAX_STALE);
    assert_int_equal(cc.max_age_s, 1);
    assert_int_equal(cc.s_maxage_s, 2);
    assert_int_equal(cc.swr_s, 3);
    assert_int_equal(cc.sie_s, 4);
    assert_int_equal(cc.min_fresh_s, 5);
    assert_int_equal(cc.max_stale_s, 6);

    parse("Cache-Control: max-stale, min-fresh=1, min-fresh=9, stale-if-error\r\n", &cc);
    assert_int_equal(cc.max_stale_s, UINT32_MAX); /* without a value: however stale */
    assert_int_equal(cc.min_fresh_s, 9);
    assert_int_equal(cc.sie_s, 0);

    parse("Cache-Control: max-stale=x, min-fresh=x\r\n", &cc);
    assert_int_equal(cc.max_stale_s, 0);
    assert_int_equal(cc.min_fresh_s, UINT32_MAX);
}

static void only_the_named_field_is_read(void **state)
{
    (void)state;
    cleanup(text_head_fini) struct text_head t;
    struct cache_control cc;
    response_with(&t, 200, "Cache-Control: no-store\r\nCDN-Cache-Control: max-age=5\r\n");
    cache_control_parse(&t.head, FIELD_CDN_CACHE_CONTROL, &cc);
    assert_int_equal(cc.flags, CC_PRESENT | CC_HAS_MAX_AGE);
    assert_int_equal(cc.max_age_s, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_read_in_any_case_line_and_order),
        cmocka_unit_test(what_forbids_counts_even_where_the_list_is_broken),
        cmocka_unit_test(seconds_are_digits_and_the_strictest_wins),
        cmocka_unit_test(each_number_has_its_own_place_and_sense),
        cmocka_unit_test(only_the_named_field_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
