/* test_limits.c: who asks, as rate limits see it, and what is said of what is left. */
#include "../unit-test.h"

#include <larder/flow/limits.h>
#include <larder/net/reply.h>

#include <stdio.h>
#include <stdlib.h>

#define START                                                                                      \
    "{\"upstreams\":{\"app\":{\"server\":\"127.0.0.1:8000\"}},\"secret\":\"0123456789abcdef\","    \
    "\"trusted_proxies\":[\"10.0.0.0/8\",\"fd00::/8\"],\"rate_limit\":\"api\",\"rate_limits\":["

struct desk {
    struct config *config;
    struct limits *limits;
    const struct rate_limit_set *set;
};

static void desk_open(struct desk *d, const char *limits)
{
    struct err errs[4];
    unsigned count = 0;
    bool has_failed;
    char text[2048];
    snprintf(text, sizeof(text), START "%s]}", limits);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (config_parse(span_str(text), "f", &d->config, errs, 4, &count) != ERR_OK)
        fail_msg("%s\n%s: %s", text, errs[0].where, errs[0].what);
    d->limits = limits_new(d->config, &has_failed);
    assert_false(has_failed);
    d->set = &d->config->rate_limit;
}

static void desk_close(struct desk *d)
{
    limits_free(d->limits);
    config_free(d->config);
}

/* IPv4 mapped, or fd00::1 where <last> is 0. */
static void peer_of(unsigned first, unsigned last, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (!last) {
        ret[0] = 0xfd;
        ret[15] = 1;
        return;
    }
    ret[10] = ret[11] = 0xff;
    ret[12] = (uint8_t)first;
    ret[15] = (uint8_t)last;
}

static bool prepare(const struct desk *d, const uint8_t peer[16], const char *fields,
                    struct limits_check *ret)
{
    static char text[2048];
    static struct head h;
    int n = snprintf(text, sizeof(text), "GET /a?user=q HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_int_equal(head_parse_request(text, (size_t)n, sizeof(text), &h), HEAD_OK);
    struct limits_request r = {.head = &h, .peer = peer};
    return limits_prepare(d->limits, d->set, &r, false, ret);
}

static void the_client_is_whom_the_last_trusted_proxy_names(void **state)
{
    static const struct {
        unsigned peer; /* its first byte; 0: fd00::1 */
        const char *fields, *client;
    } cases[] = {
        {192, "", "192.0.0.1"},
        {192, "X-Forwarded-For: 203.0.113.1\r\n", "192.0.0.1"}, /* who is that to say so? */
        {10, "", "10.0.0.1"},
        {10, "X-Forwarded-For: 203.0.113.1\r\n", "203.0.113.1"},
        {0, "X-Forwarded-For: 203.0.113.1\r\n", "203.0.113.1"},
        {10, "X-Forwarded-For: 6.6.6.6, 203.0.113.1\r\n", "203.0.113.1"},
        {10, "X-Forwarded-For: 203.0.113.1, 10.1.1.1 ,fd00::7\r\n", "203.0.113.1"},
        {10, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.1\r\n", "203.0.113.1"},
        {10, "X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: 10.2.2.2\r\n", "203.0.113.1"},
        {10, "X-Forwarded-For: 203.0.113.1, ,\r\n", "203.0.113.1"},
        {10, "X-Forwarded-For: 10.3.3.3, 10.2.2.2\r\n", "10.3.3.3"},
        {10, "X-Forwarded-For: 203.0.113.1:443\r\n", "203.0.113.1"},
        {10, "X-Forwarded-For: [2001:db8::1]:443\r\n", "2001:db8::1"},
        {10, "X-Forwarded-For: 2001:db8::1\r\n", "2001:db8::1"},
        {10, "X-Forwarded-For: ::ffff:203.0.113.1\r\n", "203.0.113.1"},
        {10, "X-Forwarded-For: 203.0.113.1, unknown\r\n", "10.0.0.1"},
        {10, "X-Forwarded-For: 203.0.113.1, unknown, 10.2.2.2\r\n", "10.2.2.2"},
        {10, "X-Forwarded-For: 203.0.113.256\r\n", "10.0.0.1"},
        {10, "X-Forwarded-For: \r\n", "10.0.0.1"},
        {10, "X-Forwarded-For: [\r\n", "10.0.0.1"},
    };
    struct desk d;
    (void)state;
    desk_open(&d, "{'name':'api','limits':['1/1h']}");
    for (size_t i = 0; i < array_len(cases); i++) {
        struct limits_check c;
        uint8_t peer[16];
        peer_of(cases[i].peer, cases[i].peer ? 1 : 0, peer);
        assert_true(prepare(&d, peer, cases[i].fields, &c));
        if (strcmp(c.client, cases[i].client) != 0)
            fail_msg("%s is taken for %s, not %s", cases[i].fields, c.client, cases[i].client);
    }
    desk_close(&d);
}

/* Are two requests one client's? */
static void who_is_one_client(void **state)
{
    static const struct {
        const char *by, *a, *b;
        bool is_one;
    } cases[] = {
        {"'client'", "X-Forwarded-For: 2001:db8:1:2::1\r\n",
         "X-Forwarded-For: 2001:db8:1:2:f::9\r\n", true},
        {"'client'", "X-Forwarded-For: 2001:db8:1:2::1\r\n", "X-Forwarded-For: 2001:db8:1:3::1\r\n",
         false},
        {"'client'", "X-Forwarded-For: 203.0.113.1\r\n", "X-Forwarded-For: 203.0.113.2\r\n", false},
        {"'all'", "X-Forwarded-For: 203.0.113.1\r\n", "X-Forwarded-For: 203.0.113.2\r\n", true},
        {"'header.X-Key'", "X-Key: a\r\n", "x-key:  a \r\n", true},
        {"'header.X-Key'", "X-Key: a\r\n", "X-Key: A\r\n", false},
        {"'header.X-Key'", "X-Key: a\r\nX-Key: b\r\n", "X-Key: ab\r\n", false},
        {"'header.X-Key'", "X-Key: a\r\n", "X-Key: a\r\nConnection: X-Key\r\n", false},
        {"['header.X-Key','cookie.k']", "X-Key: a\r\n", "Cookie: k=a\r\n", false},
        {"['header.X-Key','cookie.k']", "Cookie: k=a\r\n", "Cookie: b=c; k=a\r\n", true},
        {"['header.X-Key','query.user']", "", "X-Other: 1\r\n", true},
        {"'header.X-Key'", "X-Key: a\r\nX-Key: b\r\n", "X-Key: a\r\nX-Key: c\r\n", true},
        {"['cookie.k','header.X-Key']", "X-Key: a\r\n", "Cookie: k=1; k=2\r\nX-Key: a\r\n", true},
        {"'cookie.k'", "Cookie: k=ab\"c\r\n", "Cookie: k=\"\\141b\\\"c\"\r\n", true},
        {"'cookie.k'", "Cookie: k=ab\r\n", "Cookie: k=\"ab\\14\"\r\n", false},
        {"'cookie.k'", "Cookie: k=\"\"\r\n", "Cookie: k=\r\n", true},
        {"'header.X-Key'", "X-Key: a\r\n", "X-Key: \"a\"\r\n", false},
        {"'auth'", "Authorization: Bearer a\r\n", "Authorization: Bearer b\r\n", false},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct desk d;
        struct limits_check a, b;
        uint8_t peer[16];
        char limit[256];
        peer_of(10, 1, peer);
        snprintf(limit, sizeof(limit), "{'name':'api','limits':['1/1h'],'by':%s}", cases[i].by);
        desk_open(&d, limit);
        assert_true(prepare(&d, peer, cases[i].a, &a));
        assert_true(prepare(&d, peer, cases[i].b, &b));
        bool is_one = memcmp(a.of[0].name, b.of[0].name, sizeof(a.of[0].name)) == 0;
        if (is_one != cases[i].is_one)
            fail_msg("by %s: %s and %s", cases[i].by, cases[i].a, cases[i].b);
        desk_close(&d);
    }
}

static void an_unlimited_class_is_not_asked(void **state)
{
    struct desk d;
    struct limits_check c;
    uint8_t peer[16];
    char limit[1024], name[301], field[400];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)state;
    peer_of(192, 1, peer);
    snprintf(limit, sizeof(limit),
             "{'name':'api','limits':['1/1h'],'class':'header.X-Type',"
             "'classes':{'admin':[],'teacher':['5/1h','9/1d'],'%s':[]}}",
             name);
    desk_open(&d, limit);
    snprintf(field, sizeof(field), "X-Type: %s\r\n", name);
    assert_false(prepare(&d, peer, field, &c));
    assert_false(prepare(&d, peer, "X-Type: admin\r\n", &c));
    assert_true(prepare(&d, peer, "X-Type: teacher\r\n", &c));
    assert_int_equal(c.ask[0].count, 2);
    assert_true(prepare(&d, peer, "X-Type: pupil\r\n", &c));
    assert_int_equal(c.ask[0].count, 1);
    assert_true(prepare(&d, peer, "X-Type: admin\r\nX-Type: admin\r\n", &c)); /* two: neither */
    desk_close(&d);
}

static void what_is_left_is_said_in_its_fields(void **state)
{
    static const struct {
        const char *limit, *after_one, *refused; /* refused: by the second request */
    } cases[] = {
        {"'limits':['1/1m','500/1h']",
         "RateLimit-Policy: \"api-1m\";q=1;w=60, \"api-1h\";q=500;w=3600\r\n"
         "RateLimit: \"api-1m\";r=0;t=61, \"api-1h\";r=499;t=3600\r\n",
         "api-1m"},
        {"'limits':[{'rate':'60/1m','burst':1,'name':'quick'}]",
         "RateLimit-Policy: \"quick\";q=1;w=1\r\nRateLimit: \"quick\";r=0;t=1\r\n", "quick"},
        {"'limits':[{'rate':'1/1m','burst':1}],'legacy_headers':'delta'",
         "RateLimit-Policy: \"api-burst\";q=1;w=60\r\nRateLimit: \"api-burst\";r=0;t=60\r\n"
         "X-RateLimit-Limit: 1\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 60\r\n",
         "api-burst"},
        {"'limits':['9/1h',{'rate':'1/1m','burst':1}],'legacy_headers':'epoch'",
         "RateLimit-Policy: \"api-1h\";q=9;w=3600, \"api-burst\";q=1;w=60\r\n"
         "RateLimit: \"api-1h\";r=8;t=3600, \"api-burst\";r=0;t=60\r\n"
         "X-RateLimit-Limit: 1\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1060\r\n",
         "api-burst"},
        {"'limits':['1/1h'],'dry_run':true", "", NULL},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct desk d;
        struct limits_check c;
        struct problem p;
        uint8_t peer[16];
        char limit[256], block[1024];
        struct buf fields;
        peer_of(192, 1, peer);
        snprintf(limit, sizeof(limit), "{'name':'api',%s}", cases[i].limit);
        desk_open(&d, limit);
        assert_true(prepare(&d, peer, "", &c));
        limits_decide(d.limits, &c, 5000);
        assert_false(c.is_refused);
        buf_init_fixed(&fields, block, sizeof(block));
        limits_fields_format(&c, 1000 * 1000, &fields);
        buf_add_char(&fields, '\0');
        assert_string_equal(block, cases[i].after_one);
        assert_true(prepare(&d, peer, "", &c));
        limits_decide(d.limits, &c, 5000);
        assert_int_equal(c.is_refused, cases[i].refused != NULL);
        if (cases[i].refused) {
            limits_problem(&c, &p);
            assert_int_equal(p.status, 429);
            assert_int_equal(p.list_count, 1);
            assert_true(span_eq(p.list[0], span_str(cases[i].refused)));
            assert_true(p.retry_after_s > 0);
        }
        struct limits_figures f;
        limits_figures_read(d.limits, 0, 5000, &f);
        assert_int_equal(f.allowed, 1);
        assert_int_equal(f.refused + f.would_refuse, 1);
        desk_close(&d);
    }
}

/* RFC 9651 section 3.3.1: an Integer has at most 15 digits. */
static void the_longest_times_are_still_integers(void **state)
{
    struct desk d;
    struct limits_check c;
    uint8_t peer[16];
    char block[1024];
    struct buf fields;
    (void)state;
    peer_of(192, 1, peer);
    desk_open(&d, "{'name':'api','limits':[{'rate':'1/31d','burst':1000000000}]}");
    assert_true(prepare(&d, peer, "", &c));
    limits_decide(d.limits, &c, 5000);
    buf_init_fixed(&fields, block, sizeof(block));
    limits_fields_format(&c, 0, &fields);
    buf_add_char(&fields, '\0');
    assert_string_equal(block, "RateLimit-Policy: \"api-burst\";q=1000000000;w=999999999999999\r\n"
                               "RateLimit: \"api-burst\";r=999999999;t=2678400\r\n");
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_whom_the_last_trusted_proxy_names),
        cmocka_unit_test(who_is_one_client),
        cmocka_unit_test(an_unlimited_class_is_not_asked),
        cmocka_unit_test(what_is_left_is_said_in_its_fields),
        cmocka_unit_test(the_longest_times_are_still_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
