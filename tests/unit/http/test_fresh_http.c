/* test_fresh_http.c: "mode": "http", RFC 9111 in full, as tables of heads and verdicts. */
#include <larder/http/fresh.h>

#include "http-test.h"

enum { NOW = 784111777, HOUR_S = 3600 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

#define CC(value) "Cache-Control: " value "\r\n"
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define EXPIRES_100 "Expires: Sun, 06 Nov 1994 08:51:17 GMT\r\n"
#define CHANGED_1000_AGO "Last-Modified: Sun, 06 Nov 1994 08:32:57 GMT\r\n"
#define ETAG "ETag: \"a\"\r\n"
#define AUTH "Authorization: Basic x\r\n"

static const struct fresh_policy http = {.is_http = true, .keep_ms = HOUR_S * 1000};

static enum store_verdict judge(const struct fresh_policy *policy, uint64_t delay_ms,
                                const struct head *request, const struct head *response,
                                struct freshness *ret)
{
    struct fresh_case c = {.policy = policy,
                           .request = request,
                           .response = response,
                           .has_credentials = head_field(request, FIELD_AUTHORIZATION) != NULL,
                           .now_unix_s = NOW,
                           .delay_ms = delay_ms};
    return fresh_judge(&c, ret);
}

static enum store_verdict judge_text(const struct fresh_policy *policy, const char *request_fields,
                                     unsigned status, const char *fields, struct freshness *ret)
{
    cleanup(text_head_fini) struct text_head request, response;
    request_with(&request, request_fields);
    response_with(&response, status, fields);
    return judge(policy, 0, &request.head, &response.head, ret);
}

struct want {
    const char *request; /* fields */
    unsigned status;
    const char *response; /* fields */
    enum store_verdict verdict;
    uint64_t lifetime_s, age_s;
};

static void assert_verdicts(const struct fresh_policy *policy, const struct want *cases,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct want *want = &cases[i];
        struct freshness f = {.lifetime_ms = 1};
        enum store_verdict v = judge_text(policy, want->request, want->status, want->response, &f);
        if (v != want->verdict)
            fail_msg("case %zu (%u %s): %s, not %s", i, want->status, want->response,
                     store_verdict_name(v), store_verdict_name(want->verdict));
        if (v == STORE_YES &&
            (f.lifetime_ms != want->lifetime_s * 1000 || f.age_ms != want->age_s * 1000))
            fail_msg("case %zu (%u %s): lifetime %llu ms, age %llu ms", i, want->status,
                     want->response, (unsigned long long)f.lifetime_ms,
                     (unsigned long long)f.age_ms);
        if (v != STORE_YES && f.lifetime_ms != 1)
            fail_msg("case %zu: written in spite of %s", i, store_verdict_name(v));
    }
}

/* Section 4.2.2. */
static void a_tenth_of_the_time_since_the_last_change_is_a_guess_at_most_a_day(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"", 200, CHANGED_1000_AGO, STORE_YES, 100, 0},
        {"", 200, DATE CHANGED_1000_AGO, STORE_YES, 100, 0},
        {"", 200, "Date: x\r\n" CHANGED_1000_AGO, STORE_YES, 100, 0},
        /* counted from Date, and what has passed since then is age */
        {"", 200, "Date: Sun, 06 Nov 1994 08:49:27 GMT\r\n" CHANGED_1000_AGO, STORE_YES, 89, 10},
        {"", 200, "Age: 40\r\n" CHANGED_1000_AGO, STORE_YES, 60, 40},
        {"", 200, "Last-Modified: Thu, 27 Oct 1994 08:49:37 GMT\r\n", STORE_YES, 86400, 0},
        {"", 200, "Last-Modified: Thu, 27 Oct 1994 08:49:47 GMT\r\n", STORE_YES, 86399, 0},
        {"", 200, "Last-Modified: Sat, 01 Jan 1972 00:00:00 GMT\r\n", STORE_YES, 86400, 0},
        {"", 200, "Last-Modified: Sun, 06 Nov 1994 08:49:28 GMT\r\n", STORE_YES, 0, 0},
        {"", 200, "Last-Modified: Sun, 06 Nov 1994 09:49:37 GMT\r\n", STORE_YES, 0, 0},
        /* what says nothing of time, and what is no date, leaves nothing to guess from */
        {"", 200, "", STORE_NO_TTL, 0, 0},
        {"", 200, ETAG, STORE_YES, 0, 0},
        {"", 200, "Last-Modified: yesterday\r\n", STORE_YES, 0, 0},
        /* an explicit word, however short, comes first */
        {"", 200, CC("max-age=5") CHANGED_1000_AGO, STORE_YES, 5, 0},
        {"", 200, CC("max-age=x") CHANGED_1000_AGO, STORE_YES, 0, 0},
        {"", 200, "Expires: 0\r\n" CHANGED_1000_AGO, STORE_YES, 0, 0},
        /* may be one person's */
        {"Cookie: a=b\r\n", 200, CHANGED_1000_AGO, STORE_NO_TTL, 0, 0},
        {"Cookie: a=b\r\n", 200, CHANGED_1000_AGO "ETag: \"a\"\r\n", STORE_YES, 0, 0},
        {"Cookie: a=b\r\n", 200, CHANGED_1000_AGO CC("max-age=5"), STORE_YES, 5, 0},
        {"", 200, "Pragma: no-cache\r\n" CHANGED_1000_AGO, STORE_YES, 100, 0},
    };
    assert_verdicts(&http, cases, array_len(cases));
}

/* RFC 9110 section 15.1 names these; of others only `public` allows a guess. */
static void guesses_are_for_statuses_that_allow_them(void **state)
{
    (void)state;
    static const unsigned may[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};
    for (unsigned status = 200; status < 600; status++) {
        struct freshness f = {.lifetime_ms = 1};
        bool is_listed = false, is_login = status == 401 || status == 407;
        for (size_t i = 0; i < array_len(may); i++)
            is_listed |= may[i] == status;
        if (status == 206 || status == 304)
            continue;
        enum store_verdict v = judge_text(&http, "", status, CHANGED_1000_AGO, &f);
        if ((v == STORE_YES) != is_listed || (is_listed && f.lifetime_ms != 100000))
            fail_msg("%u: %s, %llu ms", status, store_verdict_name(v),
                     (unsigned long long)f.lifetime_ms);
        v = judge_text(&http, "", status, CC("public") CHANGED_1000_AGO, &f);
        if ((v == STORE_YES) == is_login || (!is_login && f.lifetime_ms != 100000))
            fail_msg("public %u: %s, %llu ms", status, store_verdict_name(v),
                     (unsigned long long)f.lifetime_ms);
    }
}

/* Section 3: a final status, understood or not, with a lifetime of its own. */
static void every_final_status_with_a_lifetime_of_its_own_is_stored(void **state)
{
    (void)state;
    static const char *const said[] = {CC("max-age=100"), CC("s-maxage=100"), EXPIRES_100,
                                       "CDN-Cache-Control: max-age=100\r\n"};
    for (unsigned status = 100; status < 600; status++) {
        enum store_verdict want = status < 200 || status == 206 || status == 304 ? STORE_NO_PARTIAL
                                  : status == 401 || status == 407               ? STORE_NO_STATUS
                                                                                 : STORE_YES;
        for (size_t i = 0; i < array_len(said); i++) {
            struct freshness f;
            enum store_verdict v = judge_text(&http, "", status, said[i], &f);
            if (v != want || (v == STORE_YES && f.lifetime_ms != 100000))
                fail_msg("%u %s: %s", status, said[i], store_verdict_name(v));
        }
    }
}

/* Section 5.2.2.3. */
static void must_understand_lifts_no_store_where_the_status_is_known(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"", 200, CC("no-store, must-understand, max-age=9"), STORE_YES, 9, 0},
        {"", 404, CC("must-understand, no-store, max-age=9"), STORE_YES, 9, 0},
        {"", 499, CC("must-understand, no-store, max-age=9"), STORE_NO_NO_STORE, 0, 0},
        {"", 200, CC("no-store, max-age=9"), STORE_NO_NO_STORE, 0, 0},
        {"", 200, CC("must-understand, max-age=9"), STORE_YES, 9, 0},
        {"", 200, CC("must-understand, no-store, private"), STORE_NO_PRIVATE, 0, 0},
        {CC("no-store"), 200, CC("must-understand, max-age=9"), STORE_NO_REQUEST_NO_STORE, 0, 0},
        {"", 200, "CDN-Cache-Control: no-store, must-understand, max-age=9\r\n", STORE_YES, 9, 0},
    };
    assert_verdicts(&http, cases, array_len(cases));
    struct fresh_policy by_ttl = {.has_ttl = true, .ttl_ms = 60000};
    static const struct want elsewhere = {
        "", 200, CC("no-store, must-understand, max-age=9"), STORE_NO_NO_STORE, 0, 0};
    assert_verdicts(&by_ttl, &elsewhere, 1);
}

/* Sections 5.2.2.4 and 4.3: what is stale from the start is stored where it can be validated. */
static void what_is_not_fresh_is_stored_to_be_validated(void **state)
{
    (void)state;
    static const struct want kept[] = {
        {"", 200, CC("no-cache") ETAG, STORE_YES, 0, 0},
        {"", 200, CC("no-cache, max-age=9") ETAG, STORE_YES, 9, 0},
        {"", 200, CC("no-cache") CHANGED_1000_AGO, STORE_YES, 100, 0},
        {"", 200, CC("no-cache=\"etag\"") ETAG, STORE_YES, 0, 0},
        {"", 200, CC("no-cache, max-age=9"), STORE_NO_NO_CACHE, 0, 0},
        {"", 200, CC("max-age=0") ETAG, STORE_YES, 0, 0},
        {"", 200, CC("max-age=0") "Last-Modified: x\r\n", STORE_YES, 0, 0},
        {"", 200, CC("max-age=0"), STORE_NO_TTL, 0, 0},
        {"", 200, CC("max-age=9") "Age: 10\r\n" ETAG, STORE_YES, 0, 10},
        {"", 200, CC("max-age=9") "Age: 10\r\n", STORE_NO_TTL, 0, 0},
        {"", 200, CC("max-age=0, stale-while-revalidate=5"), STORE_YES, 0, 0},
        {"", 200, CC("max-age=0, stale-if-error=5"), STORE_YES, 0, 0},
        {"", 200, CC("max-age=0, stale-if-error=0"), STORE_NO_TTL, 0, 0},
        {"", 500, ETAG, STORE_NO_STATUS, 0, 0},
        {"", 302, ETAG, STORE_NO_TTL, 0, 0},
        {"", 404, ETAG, STORE_YES, 0, 0},
        {"", 500, CC("max-age=0") ETAG, STORE_YES, 0, 0},
        {"", 200, CC("no-store") ETAG, STORE_NO_NO_STORE, 0, 0},
        {"", 200, CC("private") ETAG, STORE_NO_PRIVATE, 0, 0},
        {"", 200, "Vary: *\r\n" ETAG, STORE_NO_VARY_STAR, 0, 0},
        {"", 200, "Content-Type: text/event-stream\r\n" ETAG, STORE_NO_EVENT_STREAM, 0, 0},
    };
    assert_verdicts(&http, kept, array_len(kept));
    struct fresh_policy keeps_nothing = {.is_http = true};
    static const struct want dropped[] = {
        {"", 200, CC("no-cache, max-age=9") ETAG, STORE_NO_NO_CACHE, 0, 0},
        {"", 200, CC("max-age=0") ETAG, STORE_NO_TTL, 0, 0},
        {"", 200, ETAG, STORE_NO_TTL, 0, 0},
        {"", 200, CC("max-age=9") ETAG, STORE_YES, 9, 0},
    };
    assert_verdicts(&keeps_nothing, dropped, array_len(dropped));
}

/* Sections 4.2.3 and 5.1. */
static void age_is_the_most_of_what_is_said_and_what_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        uint64_t delay_ms, age_ms;
    } cases[] = {
        {"", 0, 0},
        {"", 2500, 2500},
        {"Age: 7\r\n", 0, 7000},
        {"Age: 7\r\n", 2500, 9500},
        {"Age: 007\r\n", 0, 7000},
        {"Age: 7, 9\r\n", 0, 7000},
        {"Age: 7\r\nAge: 9\r\n", 0, 7000},
        {"Age: 9\r\nAge: 7\r\n", 0, 9000},
        {"Age: x, 7\r\n", 0, 0},
        {"Age:\r\n", 0, 0},
        {"Age: -7\r\n", 0, 0},
        {"Age: +7\r\n", 0, 0},
        {"Age: 7.0\r\n", 0, 0},
        {"Age: 0x7\r\n", 0, 0},
        {"Age: \"7\"\r\n", 0, 0},
        {"Age: 7;a=b\r\n", 0, 0},
        {"Age: 7 8\r\n", 0, 0},
        {"Age: 2147483648\r\n", 0, 2147483647000},
        {"Age: 18446744073709551615\r\n", 0, 2147483647000},
        {DATE, 0, 0},
        {"Date: Sun, 06 Nov 1994 08:48:37 GMT\r\n", 0, 60000},
        {"Date: Sun, 06 Nov 1994 08:48:37 GMT\r\n", 2500, 60000},
        {"Date: Sun, 06 Nov 1994 08:48:37 GMT\r\nAge: 59\r\n", 2500, 61500},
        {"Date: Sun, 06 Nov 1994 08:48:37 GMT\r\nAge: 61\r\n", 0, 61000},
        {"Date: Sun, 06 Nov 1994 08:50:37 GMT\r\n", 2500, 2500},
        {"Date: never\r\n", 2500, 2500},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        char fields[512];
        cleanup(text_head_fini) struct text_head request, response;
        struct freshness f;
        snprintf(fields, sizeof(fields), "%sETag: x\r\nCache-Control: max-age=1000\r\n",
                 cases[i].fields);
        request_with(&request, "");
        response_with(&response, 200, fields);
        assert_int_equal(judge(&http, cases[i].delay_ms, &request.head, &response.head, &f),
                         STORE_YES);
        uint64_t left = cases[i].age_ms < 1000000 ? 1000000 - cases[i].age_ms : 0;
        if (f.age_ms != cases[i].age_ms || f.lifetime_ms != left)
            fail_msg("%sage %llu ms, lifetime %llu ms", fields, (unsigned long long)f.age_ms,
                     (unsigned long long)f.lifetime_ms);
    }
}

/* Section 4.2.1. */
static void lifetimes_of_a_shared_cache_come_in_order(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"", 200, EXPIRES_100, STORE_YES, 100, 0},
        {"", 200, DATE EXPIRES_100, STORE_YES, 100, 0},
        {"", 200, CC("max-age=5") EXPIRES_100, STORE_YES, 5, 0},
        {"", 200, CC("s-maxage=7, max-age=5") EXPIRES_100, STORE_YES, 7, 0},
        {"", 200, CC("public") EXPIRES_100, STORE_YES, 100, 0},
        {"", 200, EXPIRES_100 "Expires: Sun, 06 Nov 1994 08:50:37 GMT\r\n", STORE_YES, 60, 0},
        {"", 200, EXPIRES_100 "Expires: x\r\n" ETAG, STORE_YES, 0, 0},
        /* lifetime is Expires less Date, whatever our clock says; age is seen by our clock */
        {"", 200, "Date: Sun, 06 Nov 1994 08:48:37 GMT\r\n" EXPIRES_100, STORE_YES, 100, 60},
        {"", 200, "Date: Sun, 06 Nov 1994 08:50:37 GMT\r\n" EXPIRES_100, STORE_YES, 40, 0},
    };
    assert_verdicts(&http, cases, array_len(cases));
}

/* RFC 5861 within RFC 9111 sections 4.2.4, 5.2.2.2, 5.2.2.8 and 5.2.2.10. */
static void what_an_answer_says_of_staleness_comes_before_the_route(void **state)
{
    (void)state;
    enum { STRICT = FRESH_NEVER_STALE, OPEN = FRESH_FOR_AUTHORIZED };
    static const struct {
        const char *response;
        uint64_t while_s, error_s;
        unsigned flags;
    } cases[] = {
        {CC("max-age=9"), 20, 30, 0},
        {CC("max-age=9, stale-while-revalidate=5"), 5, 30, 0},
        {CC("max-age=9, stale-if-error=6"), 20, 6, 0},
        {CC("max-age=9, stale-while-revalidate=0, stale-if-error=0"), 0, 0, 0},
        {CC("max-age=9, stale-while-revalidate=x"), 0, 30, 0},
        {CC("max-age=9, stale-while-revalidate=5, stale-if-error=6"), 5, 6, 0},
        {CC("max-age=9, public"), 20, 30, OPEN},
        {CC("max-age=9, must-revalidate"), 0, 0, STRICT | OPEN},
        {CC("max-age=9, proxy-revalidate"), 0, 0, STRICT},
        {CC("s-maxage=9"), 0, 0, STRICT | OPEN},
        {CC("s-maxage=9, stale-while-revalidate=5"), 5, 0, STRICT | OPEN},
        {CC("s-maxage=9, stale-if-error=6"), 0, 6, STRICT | OPEN},
        {CC("max-age=9, must-revalidate, stale-while-revalidate=5, stale-if-error=6"), 0, 0,
         STRICT | OPEN},
        {CC("max-age=9, proxy-revalidate, stale-while-revalidate=5, stale-if-error=6"), 0, 0,
         STRICT},
        {CC("max-age=9, no-cache, stale-while-revalidate=5, stale-if-error=6"), 0, 0,
         STRICT | FRESH_MUST_VALIDATE},
        {CC("max-age=9, must-revalidate=x"), 0, 0, STRICT | OPEN},
        {"CDN-Cache-Control: max-age=9, must-revalidate\r\n", 0, 0, STRICT | OPEN},
        {"CDN-Cache-Control: max-age=9, must-revalidate=?0\r\n", 20, 30, 0},
        {"CDN-Cache-Control: max-age=9\r\n" CC("must-revalidate"), 20, 30, 0},
    };
    struct fresh_policy p = http;
    p.while_ms = 20000;
    p.error_ms = 30000;
    for (size_t i = 0; i < array_len(cases); i++) {
        char fields[512];
        struct freshness f;
        snprintf(fields, sizeof(fields), "%sETag: x\r\n", cases[i].response);
        assert_int_equal(judge_text(&p, "", 200, fields, &f), STORE_YES);
        if (f.while_ms != cases[i].while_s * 1000 || f.error_ms != cases[i].error_s * 1000 ||
            f.flags != cases[i].flags)
            fail_msg("%swhile %llu ms, error %llu ms, flags %u", fields,
                     (unsigned long long)f.while_ms, (unsigned long long)f.error_ms, f.flags);
    }
    p.ignore_cache_control = true;
    p.has_ttl = true;
    p.ttl_ms = 60000;
    struct freshness f;
    assert_int_equal(judge_text(&p, "", 200, CC("must-revalidate, no-cache"), &f), STORE_YES);
    assert_true(f.while_ms == 20000 && f.error_ms == 30000);
    assert_int_equal(f.flags & (FRESH_NEVER_STALE | FRESH_MUST_VALIDATE), 0);
}

static void it_is_kept_only_where_it_can_be_validated(void **state)
{
    (void)state;
    static const struct {
        const char *response;
        uint64_t keep_s;
    } cases[] = {
        {CC("max-age=9"), 0},
        {CC("max-age=9") ETAG, HOUR_S},
        {CC("max-age=9") CHANGED_1000_AGO, HOUR_S},
        {CC("max-age=9, must-revalidate") ETAG, HOUR_S},
        {CC("max-age=9, no-cache") ETAG, HOUR_S},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct freshness f;
        assert_int_equal(judge_text(&http, "", 200, cases[i].response, &f), STORE_YES);
        if (f.keep_ms != cases[i].keep_s * 1000)
            fail_msg("%s%llu ms", cases[i].response, (unsigned long long)f.keep_ms);
    }
}

/* Section 3.5. */
static void answers_to_authorized_requests_need_leave_and_say_whom_they_serve(void **state)
{
    (void)state;
    static const struct {
        const char *request, *response;
        enum store_verdict verdict;
        bool is_for_authorized;
    } cases[] = {
        {"", CC("max-age=9"), STORE_YES, false},
        {"", CC("max-age=9, public"), STORE_YES, true},
        {"", CC("max-age=9, must-revalidate"), STORE_YES, true},
        {"", CC("s-maxage=9"), STORE_YES, true},
        {"", CC("max-age=9, proxy-revalidate"), STORE_YES, false},
        {"", CC("max-age=9, public=1"), STORE_YES, false},
        {AUTH, CC("max-age=9"), STORE_NO_AUTHORIZATION, false},
        {AUTH, CC("max-age=9") ETAG, STORE_NO_AUTHORIZATION, false},
        {AUTH, CHANGED_1000_AGO, STORE_NO_AUTHORIZATION, false},
        {AUTH, EXPIRES_100, STORE_NO_AUTHORIZATION, false},
        {AUTH, CC("max-age=9, proxy-revalidate"), STORE_NO_AUTHORIZATION, false},
        {AUTH, CC("max-age=9, public"), STORE_YES, true},
        {AUTH, CC("max-age=9, must-revalidate"), STORE_YES, true},
        {AUTH, CC("s-maxage=9"), STORE_YES, true},
        {AUTH, CC("public, no-store"), STORE_NO_NO_STORE, false},
        {AUTH, CC("s-maxage=9, private"), STORE_NO_PRIVATE, false},
        {AUTH, "CDN-Cache-Control: max-age=9, public\r\n", STORE_YES, true},
        {AUTH, "CDN-Cache-Control: max-age=9, public=?0\r\n", STORE_NO_AUTHORIZATION, false},
        {AUTH, "CDN-Cache-Control: max-age=9\r\n" CC("public"), STORE_NO_AUTHORIZATION, false},
    };
    struct fresh_policy shares = http;
    shares.share_authorized = true;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct freshness f = {.flags = 0};
        enum store_verdict v = judge_text(&http, cases[i].request, 200, cases[i].response, &f);
        if (v != cases[i].verdict ||
            ((f.flags & FRESH_FOR_AUTHORIZED) != 0) != cases[i].is_for_authorized)
            fail_msg("case %zu: %s, flags %u", i, store_verdict_name(v), f.flags);
        v = judge_text(&shares, cases[i].request, 200, cases[i].response, &f);
        if (v == STORE_NO_AUTHORIZATION || (v == STORE_YES && !(f.flags & FRESH_FOR_AUTHORIZED)))
            fail_msg("case %zu, shared: %s, flags %u", i, store_verdict_name(v), f.flags);
    }
}

static void cookies_of_an_answer_have_three_rules(void **state)
{
    (void)state;
    static const char fields[] = "Set-Cookie: a=b\r\n" CC("max-age=9");
    static const struct want rules[] = {
        [SET_COOKIE_OBEY] = {"", 200, fields, STORE_NO_SET_COOKIE, 0, 0},
        [SET_COOKIE_DROP] = {"", 200, fields, STORE_YES, 9, 0},
        [SET_COOKIE_STORE] = {"", 200, fields, STORE_YES, 9, 0},
    };
    for (unsigned rule = 0; rule < array_len(rules); rule++) {
        struct fresh_policy p = http;
        p.set_cookie = rule;
        assert_verdicts(&p, &rules[rule], 1);
    }
}

#define CDN(value) "CDN-Cache-Control: " value "\r\n"
#define OURS(value) "Larder-Cache-Control: " value "\r\n"

/* RFC 9213 section 2. */
static void targeted_fields_come_first_where_they_can_be_read(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {"", 200, CDN("max-age=5") CC("no-store"), STORE_YES, 5, 0},
        {"", 200, CDN("max-age=5") EXPIRES_100, STORE_YES, 5, 0},
        {"", 200, CDN("s-maxage=6, max-age=5"), STORE_YES, 6, 0},
        {"", 200, CDN("no-store") CC("max-age=9"), STORE_NO_NO_STORE, 0, 0},
        {"", 200, CDN("private") CC("max-age=9"), STORE_NO_PRIVATE, 0, 0},
        {"", 200, CDN("private=(\"a\" \"b\")") CC("max-age=9"), STORE_NO_PRIVATE, 0, 0},
        {"", 200, CDN("no-cache") CC("max-age=9"), STORE_NO_NO_CACHE, 0, 0},
        {"", 200, CDN("no-store=?0, max-age=5") CC("no-store"), STORE_YES, 5, 0},
        {"", 200, CDN("private=?1, max-age=5"), STORE_NO_PRIVATE, 0, 0},
        {"", 200, OURS("max-age=4") CDN("max-age=5") CC("max-age=9"), STORE_YES, 4, 0},
        {"", 200, CDN("max-age=5") OURS("no-store") CC("max-age=9"), STORE_NO_NO_STORE, 0, 0},
        /* says nothing of time: Expires and Cache-Control do not count any more */
        {"", 200, CDN("public") CC("max-age=9") EXPIRES_100 ETAG, STORE_YES, 0, 0},
        {"", 200, CDN("x-unknown") CC("max-age=9") CHANGED_1000_AGO, STORE_YES, 100, 0},
        /* empty or broken: as if it were not there */
        {"", 200, CDN("") CC("max-age=9"), STORE_YES, 9, 0},
        {"", 200, OURS("max-age=\"4\"") CDN("max-age=5") CC("max-age=9"), STORE_YES, 5, 0},
        {"", 200, CDN("max-age=5 no-store") CC("max-age=9"), STORE_YES, 9, 0},
        {"", 200, CDN("no-store;;") CC("max-age=9"), STORE_YES, 9, 0},
        {"", 200, CDN("&") CC("no-store"), STORE_NO_NO_STORE, 0, 0},
        /* Age holds for each of them */
        {"", 200, CDN("max-age=5") "Age: 3\r\n", STORE_YES, 2, 3},
        {"", 200, CDN("max-age=5") "Age: 6\r\n", STORE_NO_TTL, 0, 0},
    };
    assert_verdicts(&http, cases, array_len(cases));
}

static void request_and_method_have_their_say(void **state)
{
    (void)state;
    static const struct want cases[] = {
        {CC("no-store"), 200, CC("max-age=9"), STORE_NO_REQUEST_NO_STORE, 0, 0},
        {CC("no-cache"), 200, CC("max-age=9"), STORE_YES, 9, 0},
        {CC("max-age=0"), 200, CC("max-age=9"), STORE_YES, 9, 0},
        {"Pragma: no-store\r\n", 200, CC("max-age=9"), STORE_YES, 9, 0},
        {"Cookie: a=b\r\n", 200, CC("max-age=9"), STORE_YES, 9, 0},
    };
    assert_verdicts(&http, cases, array_len(cases));
}

static void a_validator_is_a_tag_or_a_date(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool has;
    } cases[] = {
        {"", false},
        {ETAG, true},
        {CHANGED_1000_AGO, true},
        {ETAG CHANGED_1000_AGO, true},
        {"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", false},
        {"X-ETag: \"a\"\r\n", false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        response_with(&t, 200, cases[i].fields);
        if (fresh_has_validator(&t.head) != cases[i].has)
            fail_msg("%s", cases[i].fields);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tenth_of_the_time_since_the_last_change_is_a_guess_at_most_a_day),
        cmocka_unit_test(guesses_are_for_statuses_that_allow_them),
        cmocka_unit_test(every_final_status_with_a_lifetime_of_its_own_is_stored),
        cmocka_unit_test(must_understand_lifts_no_store_where_the_status_is_known),
        cmocka_unit_test(what_is_not_fresh_is_stored_to_be_validated),
        cmocka_unit_test(age_is_the_most_of_what_is_said_and_what_is_seen),
        cmocka_unit_test(lifetimes_of_a_shared_cache_come_in_order),
        cmocka_unit_test(what_an_answer_says_of_staleness_comes_before_the_route),
        cmocka_unit_test(it_is_kept_only_where_it_can_be_validated),
        cmocka_unit_test(answers_to_authorized_requests_need_leave_and_say_whom_they_serve),
        cmocka_unit_test(cookies_of_an_answer_have_three_rules),
        cmocka_unit_test(targeted_fields_come_first_where_they_can_be_read),
        cmocka_unit_test(request_and_method_have_their_say),
        cmocka_unit_test(a_validator_is_a_tag_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
