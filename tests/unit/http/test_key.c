/* test_key.c: equal keys mean equal values, and equal values make equal keys. */
#include <larder/http/key.h>

#include "http-test.h"

struct text {
    struct buf buf;
    char room[8192];
};

static void text_init(struct text *t)
{
    buf_init_fixed(&t->buf, t->room, sizeof(t->room));
}

static void values_are_escaped_but_for_harmless_bytes(void **state)
{
    (void)state;
    struct text t;
    text_init(&t);
    key_add_value(&t.buf, span_of(NULL, 0));
    assert_span(buf_span(&t.buf), "");
    key_add_value(&t.buf, SPAN_LIT("aZ09._~-@"));
    key_add_value(&t.buf, span_of(":=,?!%+ /|\0\xff", 12));
    assert_span(buf_span(&t.buf), "aZ09._~-@%3A%3D%2C%3F%21%25%2B%20%2F%7C%00%FF");
}

static void secrets_enter_as_hmac(void **state)
{
    (void)state;
    struct text t;
    uint8_t mac[32];
    char want[38] = "hmac-";
    hmac_of(SPAN_LIT("key"), SPAN_LIT("value"), mac);
    hex_format(mac, 16, want + 5);
    text_init(&t);
    key_add_secret(&t.buf, SPAN_LIT("key"), SPAN_LIT("value"));
    assert_span(buf_span(&t.buf), want);
    assert_int_equal(t.buf.len, 37);
}

static void values_of_a_parameter_keep_their_order(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        unsigned count;
        const char *want;
    } cases[] = {
        {"", 0, ""},
        {"b=1", 0, ""},
        {"A=1", 0, ""},
        {"a=1", 1, "1"},
        {"b=0&a=1&a=2", 2, "1,2"},
        {"a=2&a=1", 2, "2,1"},
        {"a=1,2", 1, "1%2C2"},
        {"a=", 1, ""},
        {"a", 1, "?"},
        {"a&a=&a=%3F", 3, "?,,%3F"},
        {"%61=1", 1, "1"},
        {"a=+%20%2b/%2F", 1, "%20%20%2B%2F%2F"},
        {"a=%41%zz", 1, "A!zz"},
        {"a=%2541%25zz", 1, "%2541%25zz"},
        {"a=%e9\xe9", 1, "%E9%E9"},
        {"a=b=c", 1, "b%3Dc"},
        {"ab=1&=a&a%00=1", 0, ""},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct text t;
        text_init(&t);
        char *block = block_of(cases[i].query, strlen(cases[i].query));
        unsigned count =
            key_add_query_values(&t.buf, span_of(block, strlen(cases[i].query)), SPAN_LIT("a"));
        assert_int_equal(count, cases[i].count);
        assert_span(buf_span(&t.buf), cases[i].want);
        free(block);
    }
}

static void decoded_values_are_found_by_number(void **state)
{
    (void)state;
    const struct span query = SPAN_LIT("x+y=%41+b&a=1&%78%20y&x+y=");
    static const char *const want[] = {"A b", "", ""};
    for (unsigned n = 0; n < array_len(want); n++) {
        struct text t;
        text_init(&t);
        assert_true(query_value(query, SPAN_LIT("x y"), n, &t.buf));
        assert_span(buf_span(&t.buf), want[n]);
    }
    struct text t;
    text_init(&t);
    assert_false(query_value(query, SPAN_LIT("x y"), 3, &t.buf));
    assert_false(query_value(span_of(NULL, 0), SPAN_LIT("x y"), 0, &t.buf));
}

static bool is_utm(void *arg, struct span name)
{
    (void)arg;
    return span_starts_with(name, SPAN_LIT("utm_"));
}

static void a_whole_query_is_sorted_and_less_what_is_ignored(void **state)
{
    (void)state;
    static const struct {
        const char *query, *want;
    } cases[] = {
        {"", ""},
        {"&&", ""},
        {"b=2&a=1", ":a=1:b=2"},
        {"b=2&a=2&b=1&a=1", ":a=2:a=1:b=2:b=1"},
        {"a", ":a?"},
        {"a=", ":a="},
        {"=a", ":=a"},
        {"=", ":="},
        {"aa=1&a=2&%61%61=3", ":a=2:aa=1:aa=3"},
        {"a[]=1&a%5B%5d=2", ":a%5B%5D=1:a%5B%5D=2"},
        {"utm_x=1&a=1&%75tm_y=2&utm_", ":a=1"},
        {"utm_x=1;a=2&a=1", ":a=1:utm_x=1%3Ba%3D2"},
        {"utm_x;a=2", ":utm_x%3Ba=2"},
        {"a%=1&a%25=2", ":a!=1:a%25=2"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct text t;
        text_init(&t);
        char *block = block_of(cases[i].query, strlen(cases[i].query));
        key_add_query_all(&t.buf, span_of(block, strlen(cases[i].query)), is_utm, NULL);
        assert_false(t.buf.failed);
        assert_span(buf_span(&t.buf), cases[i].want);
        free(block);
    }
}

static void a_query_without_bounds_makes_no_key(void **state)
{
    (void)state;
    struct text t;
    char query[16384];
    for (unsigned pairs = 64; pairs <= 65; pairs++) {
        query[0] = '\0';
        for (unsigned i = 0; i < pairs; i++)
            strcat(query, "utm_x&a=1&");
        text_init(&t);
        key_add_query_all(&t.buf, span_str(query), is_utm, NULL);
        assert_int_equal(t.buf.failed, pairs > 64);
    }
    query[0] = '\0';
    for (unsigned i = 0; i < 9; i++) {
        size_t len = strlen(query);
        memset(query + len, 'n', 1000);
        memcpy(query + len + 1000, "+=&", 4);
    }
    struct buf large;
    buf_init(&large, 1 << 20);
    key_add_query_all(&large, span_str(query), NULL, NULL);
    assert_true(large.failed); /* more names with escapes than there is room for */
    buf_fini(&large);

    char small[8];
    buf_init_fixed(&t.buf, small, sizeof(small));
    key_add_query_all(&t.buf, SPAN_LIT("a=123456789"), NULL, NULL);
    assert_true(t.buf.failed);
}

static void cookies_are_found_and_doubled_ones_stand_apart(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *want; /* NULL: none */
    } cases[] = {
        {"", NULL},
        {"Cookie: org=1\r\n", "1"},
        {"Cookie: a=b; org=1 ;c=d\r\n", "1"},
        {"Cookie: a=b\r\nCookie: c=d; org=a=b\r\n", "a=b"},
        {"Cookie: org=\r\n", ""},
        {"Cookie: org\r\n", NULL},
        {"Cookie: Org=1; xorg=1; orgx=1; a=org=1\r\n", NULL},
        {"Cookie: org=\"1\"\r\n", "\"1\""},
        {"Cookie: org=1; org=2\r\n", "1; org=2"},
        {"Cookie: org=1; a=b\r\nCookie: org=2; c=d\r\n", "1; a=b\r\nCookie: org=2"},
        {"Cookie: org=1; org\xc2\xa0=2\r\n", "1; org\xc2\xa0=2"},
        {"X-Cookie: org=1\r\n", NULL},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        struct span value;
        request_with(&t, cases[i].fields);
        assert_int_equal(cookie_value(&t.head, SPAN_LIT("org"), &value), cases[i].want != NULL);
        if (cases[i].want)
            assert_span(value, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_escaped_but_for_harmless_bytes),
        cmocka_unit_test(secrets_enter_as_hmac),
        cmocka_unit_test(values_of_a_parameter_keep_their_order),
        cmocka_unit_test(decoded_values_are_found_by_number),
        cmocka_unit_test(a_whole_query_is_sorted_and_less_what_is_ignored),
        cmocka_unit_test(a_query_without_bounds_makes_no_key),
        cmocka_unit_test(cookies_are_found_and_doubled_ones_stand_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
