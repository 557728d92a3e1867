/* test_chunked.c: RFC 9112 section 7.1, strictly, and equal at every split. */
#include <larder/http/chunked.h>

#include "http-test.h"

struct fed {
    enum chunked_result result;
    size_t used, body_len;
    char body[512];
};

/* Feeds <text> in two pieces, as a connection would: each on until it is used up. */
static void feed(const char *text, size_t len, size_t split, struct fed *ret)
{
    struct chunked c;
    chunked_init(&c);
    *ret = (struct fed){.result = CHUNKED_MORE};
    const size_t ends[] = {split, len};
    for (size_t i = 0; i < array_len(ends); i++) {
        while (ret->result == CHUNKED_MORE || ret->result == CHUNKED_BODY) {
            size_t size = ends[i] - ret->used, used;
            char *block = block_of(text + ret->used, size);
            struct span body;
            ret->result = chunked_feed(&c, span_of(block, size), &used, &body);
            assert_true(used <= size);
            assert_int_equal(ret->result == CHUNKED_BODY, body.len > 0);
            assert_true(ret->body_len + body.len <= sizeof(ret->body));
            if (body.len > 0)
                memcpy(ret->body + ret->body_len, body.p, body.len);
            ret->body_len += body.len;
            ret->used += used;
            free(block);
            if (ret->result == CHUNKED_MORE)
                break;
        }
    }
}

static void bodies_are_read_at_every_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *body, *rest;
    } cases[] = {
        {"0\r\n\r\n", "", ""},
        {"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
        {"5\r\nhello\r\n00a\r\n, w\xc3\xb6rld\r\n\r\n0\r\n\r\nGET /", "hello, w\xc3\xb6rld\r\n",
         "GET /"},
        {"3;x=y\r\nabc\r\n0;z=\"a;b\"\r\n\r\n", "abc", ""},
        {"0000000000000003\r\nabc\r\n000\r\n\r\n0\r\n", "abc", "0\r\n"},
        {"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n\r\n",
         "01234567890123456789", "\r\n"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        size_t len = strlen(cases[i].text);
        for (size_t split = 0; split <= len; split++) {
            struct fed fed;
            feed(cases[i].text, len, split, &fed);
            if (fed.result != CHUNKED_END)
                fail_msg("%d at %zu of: %s", fed.result, split, cases[i].text);
            assert_span(span_of(fed.body, fed.body_len), cases[i].body);
            assert_span(span_of(cases[i].text + fed.used, len - fed.used), cases[i].rest);
        }
    }
}

static void a_cut_body_never_looks_whole(void **state)
{
    (void)state;
    static const char text[] = "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        struct fed fed;
        feed(text, len, len / 2, &fed);
        assert_int_equal(fed.result, CHUNKED_MORE);
        assert_int_equal(fed.used, len);
    }
}

static void whatever_is_not_plain_is_refused_at_every_split(void **state)
{
    (void)state;
#define BAD(text)                                                                                  \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
        BAD("0x5\r\n"),
        BAD("+5\r\n"),
        BAD(" 5\r\n"),
        BAD("-0\r\n"),
        BAD("5 \r\n"),
        BAD("5 junk\r\n"),
        BAD("5\0x\r\n"),
        BAD("5\n"),
        BAD("5\r5"),
        BAD("\r\n"),
        BAD("\r\n5\r\n"),
        BAD(";x=y\r\n"),
        BAD("g\r\n"),
        BAD("5;x\ny\r\n"),
        BAD("5;x\ry"),
        BAD("5;x\0y\r\n"),
        BAD("5\r\nhello0\r\n\r\n"),
        BAD("5\r\nhello\n0\r\n\r\n"),
        BAD("5\r\nhello\r0"),
        BAD("5\r\nhello\r\n\r\n0\r\n\r\n"),
        BAD("5\r\nhello!\r\n"),
        BAD("8000000000000000\r\n"),
        BAD("10000000000000005\r\n"),
        BAD("0\r\n\n"),
        BAD("0\r\n\rX"),
        BAD("0\r\nno colon\r\n\r\n"),
        BAD("0\r\n: empty name\r\n\r\n"),
        BAD("0\r\n folded: x\r\n\r\n"),
        BAD("0\r\nA: b\n\r\n"),
        BAD("0\r\nA: b\0\r\n\r\n"),
        BAD("0\r\nA : b\r\n\r\n"),
    };
#undef BAD
    for (size_t i = 0; i < array_len(cases); i++) {
        for (size_t split = 0; split <= cases[i].len; split++) {
            struct fed fed;
            feed(cases[i].text, cases[i].len, split, &fed);
            if (fed.result != CHUNKED_BAD)
                fail_msg("%d at %zu of: %s", fed.result, split, cases[i].text);
        }
    }
}

static void sizes_up_to_63_bits_are_taken(void **state)
{
    (void)state;
    struct chunked c;
    size_t used;
    struct span body, in = SPAN_LIT("7fffffffffffffff\r\nab");
    chunked_init(&c);
    assert_int_equal(chunked_feed(&c, in, &used, &body), CHUNKED_BODY);
    assert_int_equal(used, in.len);
    assert_span(body, "ab");
    assert_int_equal(c.left, INT64_MAX - 2);
}

/* Feeds <piece> until the answer is no longer MORE; gives how many bytes that took. */
static size_t bytes_until_refused(const char *start, const char *piece)
{
    struct chunked c;
    struct span body;
    size_t used, sum = 0;
    chunked_init(&c);
    enum chunked_result r = chunked_feed(&c, span_str(start), &used, &body);
    while (r == CHUNKED_MORE && sum < 100000) {
        r = chunked_feed(&c, span_str(piece), &used, &body);
        sum += used;
    }
    assert_int_equal(r, CHUNKED_BAD);
    assert_int_equal(chunked_feed(&c, span_str("0\r\n\r\n"), &used, &body), CHUNKED_BAD);
    assert_int_equal(used, 0);
    return sum;
}

static void what_is_dropped_is_bounded(void **state)
{
    (void)state;
    assert_in_range(bytes_until_refused("", "0"), 16, 1024);
    assert_in_range(bytes_until_refused("5;", "x"), 16, 1024);
    assert_in_range(bytes_until_refused("0\r\nA:", "x"), 1024, 16384);
    assert_in_range(bytes_until_refused("0\r\n", "A: b\r\n"), 1024, 16384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_read_at_every_split),
        cmocka_unit_test(a_cut_body_never_looks_whole),
        cmocka_unit_test(whatever_is_not_plain_is_refused_at_every_split),
        cmocka_unit_test(sizes_up_to_63_bits_are_taken),
        cmocka_unit_test(what_is_dropped_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
