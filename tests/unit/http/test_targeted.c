/* test_targeted.c: RFC 9213: Cache-Control for one kind of cache, which is a structured dictionary
 * (RFC 9651) and not the lax list that Cache-Control is. */
#include <larder/http/cache_control.h>

#include "http-test.h"

#define CDN(value) "CDN-Cache-Control: " value "\r\n"

static bool parse(const char *fields, struct cache_control *cc)
{
    cleanup(text_head_fini) struct text_head t;
    response_with(&t, 200, fields);
    return targeted_cache_control_parse(&t.head, FIELD_CDN_CACHE_CONTROL, cc);
}

static void directives_are_members_of_a_dictionary(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        unsigned flags;
        uint32_t max_age_s;
    } cases[] = {
        {CDN("max-age=5"), CC_HAS_MAX_AGE, 5},
        {CDN("max-age=5, no-store"), CC_HAS_MAX_AGE | CC_NO_STORE, 5},
        {CDN(" \tmax-age=5 \t,\t no-store "), CC_HAS_MAX_AGE | CC_NO_STORE, 5},
        {CDN("max-age=5,no-store,private,no-cache"),
         CC_HAS_MAX_AGE | CC_NO_STORE | CC_PRIVATE | CC_NO_CACHE, 5},
        {CDN("public, immutable, no-transform, must-understand"),
         CC_PUBLIC | CC_IMMUTABLE | CC_NO_TRANSFORM | CC_MUST_UNDERSTAND, 0},
        {CDN("must-revalidate, proxy-revalidate"), CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE, 0},
        {CDN("max-age=0"), CC_HAS_MAX_AGE, 0},
        {CDN("max-age=005"), CC_HAS_MAX_AGE, 5},
        {CDN("max-age=-5"), CC_HAS_MAX_AGE, 0},
        {CDN("max-age=2147483648"), CC_HAS_MAX_AGE, INT32_MAX},
        {CDN("max-age=999999999999999"), CC_HAS_MAX_AGE, INT32_MAX},
        /* lines are one dictionary */
        {CDN("no-store") CDN("max-age=5"), CC_HAS_MAX_AGE | CC_NO_STORE, 5},
        /* the last of a key counts, a smaller one before it or not */
        {CDN("max-age=3, max-age=5"), CC_HAS_MAX_AGE, 5},
        {CDN("max-age=9, max-age=5"), CC_HAS_MAX_AGE, 5},
        {CDN("max-age=3") CDN("max-age=5"), CC_HAS_MAX_AGE, 5},
        {CDN("no-store, no-store=?0"), 0, 0},
        {CDN("no-store=?0, no-store"), CC_NO_STORE, 0},
        {CDN("private") CDN("private=?0"), 0, 0},
        /* flags: true, or any value of what forbids; false takes it back */
        {CDN("no-store=?1"), CC_NO_STORE, 0},
        {CDN("no-store=?0"), 0, 0},
        {CDN("no-store=no"), CC_NO_STORE, 0},
        {CDN("private=\"a\""), CC_PRIVATE, 0},
        {CDN("private=(\"a\" \"b\")"), CC_PRIVATE, 0},
        {CDN("no-cache=(\"set-cookie\")"), CC_NO_CACHE, 0},
        {CDN("public=?1"), CC_PUBLIC, 0},
        {CDN("public=?0"), 0, 0},
        {CDN("public=1"), 0, 0},
        {CDN("public=\"x\""), 0, 0},
        /* parameters and unknown members of any type say nothing, but must be well-formed */
        {CDN("max-age=5;a=1;b"), CC_HAS_MAX_AGE, 5},
        {CDN("no-store;a=?0"), CC_NO_STORE, 0},
        {CDN("x=\"no-store\", max-age=5"), CC_HAS_MAX_AGE, 5},
        {CDN("x=(1 2.5 \"a\";q=1);r, y=:YQ==:, z=@1659578233, w=%\"a%20b\", max-age=5"),
         CC_HAS_MAX_AGE, 5},
        {CDN("max-agex=1, no-stores, *a, a.b_c-d=tok/en:*"), 0, 0},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct cache_control cc;
        if (!parse(cases[i].fields, &cc))
            fail_msg("not read: %s", cases[i].fields);
        if (cc.flags != (cases[i].flags | CC_PRESENT) || cc.max_age_s != cases[i].max_age_s)
            fail_msg("flags 0x%x, max-age %u: %s", cc.flags, cc.max_age_s, cases[i].fields);
    }
}

static void each_number_has_its_own_place(void **state)
{
    (void)state;
    struct cache_control cc;
    assert_true(
        parse(CDN("max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4"), &cc));
    assert_int_equal(cc.flags,
                     CC_PRESENT | CC_HAS_MAX_AGE | CC_HAS_S_MAXAGE | CC_HAS_SWR | CC_HAS_SIE);
    assert_true(cc.max_age_s == 1 && cc.s_maxage_s == 2 && cc.swr_s == 3 && cc.sie_s == 4);
}

/* Section 2.1: empty, or with an error in it, it is as if it were not there. */
static void what_does_not_parse_counts_for_nothing(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        CDN(""),
        CDN("") CDN(""),
        "Cache-Control: max-age=5\r\n",
        CDN("max-age=5,"),
        CDN(",max-age=5"),
        CDN("max-age=5,,no-store"),
        CDN("max-age=5 no-store"),
        CDN("max-age=5; no-store ,"),
        CDN("no-store; "),
        CDN("no-store;;a"),
        CDN("no-store;A"),
        CDN("max-age= 5"),
        CDN("max-age =5"),
        CDN("max-age="),
        CDN("Max-Age=5"),
        CDN("NO-STORE"),
        CDN("max-age=5, 1no"),
        CDN("max-age=5, \"no-store\""),
        CDN("max-age=1000000000000000"),
        CDN("max-age=--5"),
        CDN("max-age=-"),
        CDN("max-age=5x"),
        CDN("no-store=?2"),
        CDN("no-store=?"),
        CDN("no-store=?true"),
        CDN("x=\"open"),
        CDN("x=\"a\\b\""),
        CDN("x=\"a\\"),
        CDN("x=(1 2"),
        CDN("x=(1,2)"),
        CDN("x=(1\"a\")"),
        CDN("x=(1)2"),
        CDN("x=1.2345"),
        CDN("x=1."),
        CDN("x=1234567890123.1"),
        CDN("x=:a b:"),
        CDN("x=:YQ=="),
        CDN("x=@1.5"),
        CDN("x=@"),
        CDN("x=%\"%C3%A9\""),
        CDN("x=%\"%c3\""),
        CDN("x=&"),
        CDN("&"),
        /* one bad line spoils the others */
        CDN("max-age=5") CDN("&"),
        CDN("no-store;") CDN("max-age=5"),
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct cache_control cc;
        if (parse(cases[i], &cc))
            fail_msg("case %zu is read: %s", i, cases[i]);
    }
}

/* Seconds that are none: no guess is made at what was meant. */
static void a_number_of_seconds_is_an_integer(void **state)
{
    (void)state;
    static const char *const names[] = {"max-age", "s-maxage", "stale-while-revalidate",
                                        "stale-if-error"};
    static const char *const values[] = {"",     "=?1",   "=?0",     "=\"5\"", "=5.0",
                                         "=(5)", "=five", "=:NQ==:", "=@5",    "=%\"5\""};
    for (size_t n = 0; n < array_len(names); n++) {
        for (size_t v = 0; v < array_len(values); v++) {
            char fields[128];
            struct cache_control cc;
            snprintf(fields, sizeof(fields), "CDN-Cache-Control: no-store, %s%s\r\n", names[n],
                     values[v]);
            if (parse(fields, &cc))
                fail_msg("%s", fields);
        }
    }
}

static void only_the_field_that_is_asked_for_is_read(void **state)
{
    (void)state;
    struct cache_control cc;
    assert_true(parse(
        "Larder-Cache-Control: no-store\r\n" CDN("max-age=5") "Cache-Control: private\r\n", &cc));
    assert_int_equal(cc.flags, CC_PRESENT | CC_HAS_MAX_AGE);
    assert_false(parse("Larder-Cache-Control: no-store\r\n", &cc));
    assert_int_equal(cc.flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directives_are_members_of_a_dictionary),
        cmocka_unit_test(each_number_has_its_own_place),
        cmocka_unit_test(what_does_not_parse_counts_for_nothing),
        cmocka_unit_test(a_number_of_seconds_is_an_integer),
        cmocka_unit_test(only_the_field_that_is_asked_for_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
