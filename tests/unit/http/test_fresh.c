/* test_fresh.c: RFC 9111 sections 3, 3.5 and 4.2 as tables of heads and verdicts. */
#include <larder/http/fresh.h>

#include "http-test.h"

enum { NOW = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

struct want {
    const char *request; /* fields */
    unsigned status;
    const char *response; /* fields */
    enum store_verdict verdict;
    uint64_t lifetime_s, age_s;
};

static enum store_verdict judge(const struct fresh_policy *policy, const struct head *request,
                                const struct head *response, struct freshness *ret)
{
    struct fresh_case c = {.policy = policy,
                           .request = request,
                           .response = response,
                           .has_credentials = head_field(request, FIELD_AUTHORIZATION) != NULL,
                           .now_unix_s = NOW};
    return fresh_judge(&c, ret);
}

static void assert_verdicts(const struct fresh_policy *policy, const struct want *cases,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct want *want = &cases[i];
        cleanup(text_head_fini) struct text_head request, response;
        struct freshness f = {.lifetime_ms = 1, .age_ms = 1};
        request_with(&request, want->request);
        response_with(&response, want->status, want->response);
        enum store_verdict v = judge(policy, &request.head, &response.head, &f);
        if (v != want->verdict)
            fail_msg("case %zu: %s, not %s", i, store_verdict_name(v),
                     store_verdict_name(want->verdict));
        if (v == STORE_YES &&
            (f.lifetime_ms != want->lifetime_s * 1000 || f.age_ms != want->age_s * 1000))
            fail_msg("case %zu: lifetime %llu ms, age %llu ms", i,
                     (unsigned long long)f.lifetime_ms, (unsigned long long)f.age_ms);
        if (v != STORE_YES)
            assert_true(f.lifetime_ms == 1 && f.age_ms == 1);
    }
}

static const struct fresh_policy obeys = {.has_ttl = false};
static const struct fresh_policy ttl = {.has_ttl = true, .ttl_ms = 60000};

#define CC(value) "Cache-Control: " value "\r\n"
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define EXPIRES_100 "Expires: Sun, 06 Nov 1994 08:51:17 GMT\r\n"

static void the_upstreams_word_comes_before_the_routes(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"", 200, "", STORE_YES, 60, 0},
        {"", 200, CC("max-age=10"), STORE_YES, 10, 0},
        {"", 200, CC("max-age=10, s-maxage=20"), STORE_YES, 20, 0},
        {"", 200, CC("max-age=0"), STORE_NO_TTL, 0, 0},
        {"", 200, CC("max-age=x"), STORE_NO_TTL, 0, 0},
        {"", 200, CC("s-maxage=0, max-age=10"), STORE_NO_TTL, 0, 0},
        {"", 200, CC("public, must-revalidate"), STORE_YES, 60, 0},
        {"", 200, DATE EXPIRES_100, STORE_YES, 100, 0},
        {"", 200, EXPIRES_100, STORE_YES, 100, 0},
        {"", 200, "Date: x\r\n" EXPIRES_100, STORE_YES, 100, 0},
        {"", 200, "Date: Sun, 06 Nov 1994 08:50:17 GMT\r\n" EXPIRES_100, STORE_YES, 60, 0},
        {"", 200, DATE EXPIRES_100 "Expires: 0\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, DATE "Expires: 0\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, DATE "Expires: -1\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, DATE "Expires: Sun, 06 Nov 1994 08:49:37 GMT\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, DATE "Expires: Sun, 06 Nov 1994 08:00:00 GMT\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, CC("max-age=10") "Expires: 0\r\n", STORE_YES, 10, 0},
        {"", 200, "Pragma: no-cache\r\n", STORE_YES, 60, 0},
    };
    assert_verdicts(&ttl, cases, array_len(cases));
    static const struct want without[] = {
        {"", 200, "", STORE_NO_TTL, 0, 0},
        {"", 200, CC("public"), STORE_NO_TTL, 0, 0},
        {"", 200, CC("max-age=10"), STORE_YES, 10, 0},
    };
    assert_verdicts(&obeys, without, array_len(without));
}

static void the_age_it_already_has_is_taken_off(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"", 200, CC("max-age=10") "Age: 4\r\n", STORE_YES, 6, 4},
        {"", 200, CC("max-age=10") "Age: 10\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, CC("max-age=10") "Age: 11\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, CC("max-age=10") "Age: 4, 9\r\n", STORE_YES, 6, 4},
        {"", 200, CC("max-age=10") "Age: x\r\n", STORE_YES, 10, 0},
        {"", 200, CC("max-age=10") "Age: -4\r\n", STORE_YES, 10, 0},
        {"", 200, CC("max-age=2147483647") "Age: 18446744073709551615\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, "Age: 59\r\n", STORE_YES, 1, 59},
    };
    assert_verdicts(&ttl, cases, array_len(cases));
}

static void what_is_forbidden_is_not_stored(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"", 200, CC("no-store, max-age=9"), STORE_NO_NO_STORE, 0, 0},
        {"", 200, CC("max-age=9") CC("No-Store"), STORE_NO_NO_STORE, 0, 0},
        {"", 200, CC("private"), STORE_NO_PRIVATE, 0, 0},
        {"", 200, CC("private=\"x\""), STORE_NO_PRIVATE, 0, 0},
        {"", 200, CC("no-cache"), STORE_NO_NO_CACHE, 0, 0},
        {"", 200, CC("no-cache=\"x\""), STORE_YES, 60, 0},
        {"", 200, "Set-Cookie: a=b\r\n", STORE_NO_SET_COOKIE, 0, 0},
        {"", 200, "Vary: Accept, *\r\n", STORE_NO_VARY_STAR, 0, 0},
        {"", 200, "Vary: Accept\r\nVary: *\r\n", STORE_NO_VARY_STAR, 0, 0},
        {"", 200, "Vary: Accept\r\n", STORE_YES, 60, 0},
        {"", 200, "Content-Type: Text/Event-Stream ; a=b\r\n", STORE_NO_EVENT_STREAM, 0, 0},
        {"", 206, CC("max-age=9"), STORE_NO_PARTIAL, 0, 0},
        {"", 304, CC("max-age=9"), STORE_NO_PARTIAL, 0, 0},
        {"", 103, CC("max-age=9"), STORE_NO_PARTIAL, 0, 0},
        {CC("no-store"), 200, CC("max-age=9"), STORE_NO_REQUEST_NO_STORE, 0, 0},
        {CC("no-cache, max-age=0"), 200, CC("max-age=9"), STORE_YES, 9, 0},
    };
    assert_verdicts(&ttl, cases, array_len(cases));
}

static void credentials_need_leave_to_share(void **state)
{
    (void)state;
    static const char auth[] = "Authorization: Basic x\r\n";
    const struct want cases[] = {
        {auth, 200, "", STORE_NO_AUTHORIZATION, 0, 0},
        {auth, 200, CC("max-age=9"), STORE_NO_AUTHORIZATION, 0, 0},
        {auth, 200, CC("max-age=9, proxy-revalidate"), STORE_NO_AUTHORIZATION, 0, 0},
        {auth, 200, CC("max-age=9, public"), STORE_YES, 9, 0},
        {auth, 200, CC("max-age=9, must-revalidate"), STORE_YES, 9, 0},
        {auth, 200, CC("s-maxage=9"), STORE_YES, 9, 0},
        {auth, 200, CC("public, private"), STORE_NO_PRIVATE, 0, 0},
    };
    assert_verdicts(&ttl, cases, array_len(cases));
    struct fresh_policy shares = ttl;
    shares.share_authorized = true;
    const struct want shared = {auth, 200, "", STORE_YES, 60, 0};
    assert_verdicts(&shares, &shared, 1);
}

static void statuses_have_their_own_rules(void **state)
{
    (void)state;
    static const struct want by_route[] = {
        {"", 203, "", STORE_YES, 60, 0},
        {"", 204, "", STORE_YES, 60, 0},
        {"", 301, "", STORE_YES, 60, 0},
        {"", 308, "", STORE_YES, 60, 0},
        {"", 302, "", STORE_NO_STATUS, 0, 0},
        {"", 302, CC("max-age=9"), STORE_NO_STATUS, 0, 0},
        {"", 404, "", STORE_NO_STATUS, 0, 0},
        {"", 404, CC("max-age=9"), STORE_YES, 9, 0},
        {"", 410, EXPIRES_100, STORE_YES, 100, 0},
        {"", 501, CC("max-age=9"), STORE_YES, 9, 0},
        {"", 400, CC("max-age=9"), STORE_NO_STATUS, 0, 0},
        {"", 500, "", STORE_NO_STATUS, 0, 0},
        {"", 503, CC("max-age=9"), STORE_NO_STATUS, 0, 0},
    };
    assert_verdicts(&ttl, by_route, array_len(by_route));

    struct fresh_policy entries = ttl;
    entries.status_ttl_count = 3;
    entries.status_ttl[0].low = entries.status_ttl[0].high = 404;
    entries.status_ttl[0].ttl_ms = 5000;
    entries.status_ttl[1].low = 300;
    entries.status_ttl[1].high = 399;
    entries.status_ttl[2].low = 500;
    entries.status_ttl[2].high = 599;
    entries.status_ttl[2].ttl_ms = 1000;
    static const struct want by_entry[] = {
        {"", 200, "", STORE_YES, 60, 0},
        {"", 404, "", STORE_YES, 5, 0},
        {"", 404, CC("max-age=9"), STORE_YES, 9, 0},
        {"", 404, CC("no-store"), STORE_NO_NO_STORE, 0, 0},
        {"", 301, "", STORE_NO_STATUS, 0, 0},
        {"", 301, CC("max-age=9"), STORE_NO_STATUS, 0, 0},
        {"", 503, "", STORE_YES, 1, 0},
        {"", 304, "", STORE_NO_PARTIAL, 0, 0},
    };
    assert_verdicts(&entries, by_entry, array_len(by_entry));

    struct fresh_policy classes = ttl;
    classes.status_ttl_count = 3;
    classes.status_ttl[0].low = classes.status_ttl[0].high = 429;
    classes.status_ttl[0].ttl_ms = 2000;
    classes.status_ttl[1].low = classes.status_ttl[1].high = 401;
    classes.status_ttl[1].ttl_ms = 2000;
    classes.status_ttl[2].low = 400;
    classes.status_ttl[2].high = 499;
    classes.status_ttl[2].ttl_ms = 1000;
    static const struct want by_class[] = {
        {"", 400, "", STORE_YES, 1, 0},
        {"", 401, CC("max-age=9"), STORE_NO_STATUS, 0, 0},
        {"", 403, CC("max-age=9"), STORE_NO_STATUS, 0, 0},
        {"", 407, "", STORE_NO_STATUS, 0, 0},
        {"", 429, "", STORE_YES, 2, 0},
    };
    assert_verdicts(&classes, by_class, array_len(by_class));
}

static void each_override_lifts_one_rule(void **state)
{
    (void)state;
    struct fresh_policy p = ttl;
    p.ignore_cache_control = true;
    static const struct want ignoring[] = {
        {"", 200, CC("no-store"), STORE_YES, 60, 0},
        {"", 200, CC("private, max-age=9"), STORE_YES, 60, 0},
        {"", 200, "Expires: 0\r\n", STORE_YES, 60, 0},
        {"", 200, "Age: 100\r\n", STORE_YES, 60, 100},
        {"", 404, CC("max-age=9"), STORE_NO_STATUS, 0, 0},
        {"", 200, "Set-Cookie: a\r\n", STORE_NO_SET_COOKIE, 0, 0},
        {"", 200, "Vary: *\r\n", STORE_NO_VARY_STAR, 0, 0},
        {CC("no-store"), 200, "", STORE_NO_REQUEST_NO_STORE, 0, 0},
        {"Authorization: x\r\n", 200, "", STORE_NO_AUTHORIZATION, 0, 0},
    };
    assert_verdicts(&p, ignoring, array_len(ignoring));
    p = ttl;
    p.set_cookie = SET_COOKIE_DROP;
    static const struct want with_cookie[] = {
        {"", 200, "Set-Cookie: a\r\n", STORE_YES, 60, 0},
        {"", 200, "Set-Cookie: a\r\n" CC("private"), STORE_NO_PRIVATE, 0, 0},
    };
    assert_verdicts(&p, with_cookie, array_len(with_cookie));
}

static void a_targeted_field_replaces_cache_control_and_expires(void **state)
{
    (void)state;
#define OURS(value) "Larder-Cache-Control: " value "\r\n"
#define CDN(value) "CDN-Cache-Control: " value "\r\n"
    static const struct want cases[] = {
        {"", 200, CDN("max-age=5") CC("no-store"), STORE_YES, 5, 0},
        {"", 200, CDN("no-store") CC("max-age=9"), STORE_NO_NO_STORE, 0, 0},
        {"", 200, OURS("max-age=4") CDN("no-store"), STORE_YES, 4, 0},
        {"", 200, OURS("") CDN("max-age=5") CC("max-age=9"), STORE_YES, 5, 0},
        {"", 200, CDN("") CC("max-age=9"), STORE_YES, 9, 0},
        {"", 200, CDN("public") CC("max-age=9") EXPIRES_100, STORE_YES, 60, 0},
        {"Authorization: x\r\n", 200, CDN("max-age=5") CC("public"), STORE_NO_AUTHORIZATION, 0, 0},
    };
    assert_verdicts(&ttl, cases, array_len(cases));
}

static void only_methods_whose_answers_can_be_shared(void **state)
{
    (void)state;
    static const struct {
        enum method method;
        enum store_verdict verdict;
    } cases[] = {
        {METHOD_GET, STORE_YES},           {METHOD_POST, STORE_YES},
        {METHOD_QUERY, STORE_YES},         {METHOD_HEAD, STORE_NO_METHOD},
        {METHOD_PUT, STORE_NO_METHOD},     {METHOD_DELETE, STORE_NO_METHOD},
        {METHOD_OPTIONS, STORE_NO_METHOD}, {METHOD_OTHER, STORE_NO_METHOD},
    };
    cleanup(text_head_fini) struct text_head request, response;
    request_with(&request, "");
    response_with(&response, 200, CC("max-age=9"));
    for (size_t i = 0; i < array_len(cases); i++) {
        struct freshness f;
        request.head.method = cases[i].method;
        assert_int_equal(judge(&ttl, &request.head, &response.head, &f), cases[i].verdict);
    }
}

static void every_verdict_has_its_own_name(void **state)
{
    (void)state;
    for (unsigned a = 0; a < STORE_VERDICT_COUNT; a++) {
        assert_non_null(store_verdict_name(a));
        for (unsigned b = 0; b < a; b++)
            assert_string_not_equal(store_verdict_name(a), store_verdict_name(b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_upstreams_word_comes_before_the_routes),
        cmocka_unit_test(the_age_it_already_has_is_taken_off),
        cmocka_unit_test(what_is_forbidden_is_not_stored),
        cmocka_unit_test(credentials_need_leave_to_share),
        cmocka_unit_test(statuses_have_their_own_rules),
        cmocka_unit_test(each_override_lifts_one_rule),
        cmocka_unit_test(a_targeted_field_replaces_cache_control_and_expires),
        cmocka_unit_test(only_methods_whose_answers_can_be_shared),
        cmocka_unit_test(every_verdict_has_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
