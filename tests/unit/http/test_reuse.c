/* test_reuse.c: RFC 9111 section 5.2.1: what a request's directives say of a stored answer. */
#include <larder/http/reuse.h>

#include <larder/http/fresh.h>

#include "http-test.h"

#define CC(value) "Cache-Control: " value "\r\n"

static bool is_allowed(const char *fields, const struct reuse_facts *facts)
{
    cleanup(text_head_fini) struct text_head t;
    struct cache_control cc;
    request_with(&t, fields);
    reuse_request_parse(&t.head, &cc);
    return reuse_is_allowed(&cc, facts);
}

struct want {
    const char *fields;
    bool fresh, stale, served_while_refreshed;
};

/* Of age 40: fresh for 60 s more; stale for 20 s; stale for 20 s, and refreshed meanwhile. */
static void assert_uses(const struct want *cases, size_t count, unsigned flags)
{
    const struct reuse_facts fresh = {.age_s = 40, .ttl_s = 60, .is_fresh = true, .flags = flags},
                             stale = {.age_s = 40, .ttl_s = -20, .flags = flags},
                             served = {.age_s = 40, .ttl_s = -20, .is_fresh = true, .flags = flags};
    for (size_t i = 0; i < count; i++) {
        const char *fields = cases[i].fields;
        if (is_allowed(fields, &fresh) != cases[i].fresh)
            fail_msg("fresh: %s", fields);
        if (is_allowed(fields, &stale) != cases[i].stale)
            fail_msg("stale: %s", fields);
        if (is_allowed(fields, &served) != cases[i].served_while_refreshed)
            fail_msg("stale-while-revalidate: %s", fields);
    }
}

static void a_request_may_want_it_newer_or_take_it_older(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"", true, false, true},
        {CC(""), true, false, true},
        {CC("no-cache"), false, false, false},
        {CC("No-Cache"), false, false, false},
        {CC("x, no-cache"), false, false, false},
        {CC("no-cache, max-stale"), false, false, false},
        {CC("x-no-cache"), true, false, true},
        {CC("max-age=39"), false, false, false},
        {CC("max-age=40"), true, false, true},
        {CC("max-age=41"), true, false, true},
        {CC("max-age=0"), false, false, false},
        {CC("max-age=x"), false, false, false},
        {CC("max-age"), false, false, false},
        {CC("max-age=100, max-age=1"), false, false, false},
        {CC("max-age=99999999999999999999"), true, false, true},
        {CC("min-fresh=60"), true, false, false},
        {CC("min-fresh=61"), false, false, false},
        {CC("min-fresh=0"), true, false, false},
        {CC("min-fresh=x"), false, false, false},
        {CC("min-fresh"), false, false, false},
        {CC("min-fresh=1, min-fresh=61"), false, false, false},
        {CC("max-stale"), true, true, true},
        {CC("max-stale=20"), true, true, true},
        {CC("max-stale=19"), true, false, true},
        {CC("max-stale=0"), true, false, true},
        {CC("max-stale=x"), true, false, true},
        {CC("max-stale, max-stale=19"), true, false, true},
        {CC("max-stale=99999999999999999999"), true, true, true},
        {CC("max-age=40, max-stale=20"), true, true, true},
        {CC("max-age=39, max-stale=20"), false, false, false},
        {CC("min-fresh=1, max-stale=20"), true, false, false},
        /* these say nothing of what is stored already: no-store and only-if-cached are judged by
         * who forwards */
        {CC("no-store"), true, false, true},
        {CC("only-if-cached"), true, false, true},
        {CC("no-transform, s-maxage=0, must-revalidate, private"), true, false, true},
    };
    assert_uses(cases, array_len(cases), 0);
}

/* Sections 5.2.2.2, 5.2.2.8 and 4.2.4: max-stale changes nothing for these. */
static void what_is_never_stale_is_no_staler_for_max_stale(void **state)
{
    (void)state;
    static const struct want never[] = {
        {"", true, false, true},
        {CC("max-stale"), true, false, true},
        {CC("max-stale=1000"), true, false, true},
    };
    assert_uses(never, array_len(never), FRESH_NEVER_STALE);
    assert_uses(never, array_len(never), FRESH_NEVER_STALE | FRESH_FOR_AUTHORIZED);
}

/* Section 5.2.2.4. */
static void what_must_be_validated_is_not_used_whatever_the_request_says(void **state)
{
    (void)state;
    static const struct want never[] = {
        {"", false, false, false},
        {CC("max-stale"), false, false, false},
        {CC("max-age=100"), false, false, false},
    };
    assert_uses(never, array_len(never), FRESH_MUST_VALIDATE);
}

/* The edges: just stale, and an age that is the limit itself. */
static void staleness_is_counted_from_the_end_of_freshness(void **state)
{
    (void)state;
    const struct reuse_facts last = {.age_s = 0, .ttl_s = 0, .is_fresh = true},
                             just = {.age_s = 0, .ttl_s = 0},
                             old = {.age_s = UINT32_MAX, .ttl_s = -(int64_t)UINT32_MAX - 1};
    assert_true(is_allowed("", &last));
    assert_true(is_allowed(CC("max-age=0"), &last));
    assert_true(is_allowed(CC("min-fresh=0"), &last));
    assert_false(is_allowed(CC("min-fresh=1"), &last));
    assert_false(is_allowed("", &just));
    assert_true(is_allowed(CC("max-stale=0"), &just));
    assert_false(is_allowed(CC("max-stale=2147483647"), &old));
}

/* Section 5.4. */
static void pragma_counts_where_there_is_no_cache_control(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"Pragma: no-cache\r\n", false, false, false},
        {"Pragma: NO-CACHE\r\n", false, false, false},
        {"Pragma: x, no-cache\r\n", false, false, false},
        {"Pragma: x\r\nPragma: no-cache\r\n", false, false, false},
        {"Pragma: no-cachex\r\n", true, false, true},
        {"Pragma: no-store\r\n", true, false, true},
        {"Pragma: max-age=0\r\n", true, false, true},
        {"Pragma: no-cache\r\n" CC("max-age=100"), true, false, true},
        {"Pragma: no-cache\r\n" CC("x"), true, false, true},
        {"Pragma: no-cache\r\n" CC("no-cache"), false, false, false},
    };
    assert_uses(cases, array_len(cases), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_may_want_it_newer_or_take_it_older),
        cmocka_unit_test(what_is_never_stale_is_no_staler_for_max_stale),
        cmocka_unit_test(what_must_be_validated_is_not_used_whatever_the_request_says),
        cmocka_unit_test(staleness_is_counted_from_the_end_of_freshness),
        cmocka_unit_test(pragma_counts_where_there_is_no_cache_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
