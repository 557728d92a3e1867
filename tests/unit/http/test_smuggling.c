/* test_smuggling.c: what two readers could read differently is refused (RFC 9112 section 11.2).
 *
 * The rows are what evhttp 2.1.12 was found to accept, and their neighbours.
 */
#include <larder/http/head.h>

#include "http-test.h"

struct bytes {
    const char *p;
    size_t len;
};
#define BYTES(text)                                                                                \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

/* Each as a whole head, alone in its block. */
static void assert_requests(const struct bytes *cases, size_t count, enum head_result want)
{
    for (size_t i = 0; i < count; i++) {
        cleanup(text_head_fini) struct text_head t;
        t.block = block_of(cases[i].p, cases[i].len);
        enum head_result got = head_parse_request(t.block, cases[i].len, 8192, &t.head);
        if (got != want || !t.head.why)
            fail_msg("%d, not %d, for: " SPAN_FMT, got, want, (int)cases[i].len, cases[i].p);
    }
}

/* Fields of a POST, which is otherwise right. */
static void assert_fields_refused(const struct bytes *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        static const char line[] = "POST / HTTP/1.1\r\nHost: a\r\n";
        char text[512];
        size_t len = sizeof(line) - 1;
        memcpy(text, line, len);
        memcpy(text + len, cases[i].p, cases[i].len);
        len += cases[i].len;
        memcpy(text + len, "\r\n\r\n", 4);
        const struct bytes whole = {text, len + 4};
        assert_requests(&whole, 1, HEAD_BAD);
    }
}

static void a_length_is_one_plain_number(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES("Content-Length: 5\r\nContent-Length: 6"),
        BYTES("Content-Length: 5\r\nContent-Length: 5"),
        BYTES("Content-Length: 5\r\ncontent-length: 5"),
        BYTES("Content-Length: 5, 5"),
        BYTES("Content-Length: +5"),
        BYTES("Content-Length: -0"),
        BYTES("Content-Length: -1"),
        BYTES("Content-Length:\t5"),
        BYTES("Content-Length: \t5"),
        BYTES("Content-Length: 5\t"),
        BYTES("Content-Length: \x0b"
              "5"),
        BYTES("Content-Length: 5\0 6"),
        BYTES("Content-Length: 5 6"),
        BYTES("Content-Length: 0x5"),
        BYTES("Content-Length: 5."),
        BYTES("Content-Length: \"5\""),
        BYTES("Content-Length:"),
        BYTES("Content-Length: 9223372036854775808"),
        BYTES("Content-Length: 18446744073709551616"),
        BYTES("Content-Length: 100000000000000000000000"),
        BYTES("Content-Length : 5"),
        BYTES("Content-Length\t: 5"),
        BYTES("Content-Length\x0b: 5"),
        BYTES("Content-Length\0: 5"),
        BYTES(" Content-Length: 5"),
    };
    assert_fields_refused(cases, array_len(cases));
}

static void a_coding_is_exactly_chunked(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES("Transfer-Encoding: identity"),
        BYTES("Transfer-Encoding: gzip"),
        BYTES("Transfer-Encoding: xchunked"),
        BYTES("Transfer-Encoding: chunkedx"),
        BYTES("Transfer-Encoding: \"chunked\""),
        BYTES("Transfer-Encoding:"),
        BYTES("Transfer-Encoding: \x0b"
              "chunked"),
        BYTES("Transfer-Encoding: chunked\x0c"),
        BYTES("Transfer-Encoding:\tchunked"),
        BYTES("Transfer-Encoding: gzip, chunked"),
        BYTES("Transfer-Encoding: chunked, x"),
        BYTES("Transfer-Encoding: chunked,"),
        BYTES("Transfer-Encoding: chunked;q=1"),
        BYTES("Transfer-Encoding: chunked, chunked"),
        BYTES("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        BYTES("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        BYTES("Transfer-Encoding: chunked\r\nContent-Length: 5"),
        BYTES("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        BYTES("Content-Length: 5\r\nTransfer-Encoding: identity"),
        BYTES("Transfer-Encoding\t: chunked"),
        BYTES("Transfer-Encoding : chunked"),
        BYTES("Transfer-Encoding\r: chunked"),
        BYTES("Transfer-Encoding:\r\n chunked"),
        BYTES("\xffTransfer-Encoding: chunked"),
    };
    assert_fields_refused(cases, array_len(cases));
    static const struct bytes whole[] = {
        BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BYTES("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BYTES("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"),
        BYTES("TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
    };
    assert_requests(whole, array_len(whole), HEAD_BAD);
}

static void every_method_has_its_body_framed(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "HEAD", "DELETE", "QUERY", "REPORT"};
    for (size_t i = 0; i < array_len(methods); i++) {
        cleanup(text_head_fini) struct text_head sized, chunked;
        char text[128];
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost:\r\nContent-Length: 5\r\n\r\n",
                 methods[i]);
        sized.block = block_of(text, strlen(text));
        assert_int_equal(head_parse_request(sized.block, strlen(text), 128, &sized.head), HEAD_OK);
        assert_int_equal(sized.head.framing, FRAMING_LENGTH);
        snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost:\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
                 methods[i]);
        chunked.block = block_of(text, strlen(text));
        assert_int_equal(head_parse_request(chunked.block, strlen(text), 128, &chunked.head),
                         HEAD_OK);
        assert_int_equal(chunked.head.framing, FRAMING_CHUNKED);
    }
}

static void a_line_ends_with_crlf_and_holds_no_control(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES("A: b\nC: d"),  BYTES("A: b\rC: d"),    BYTES("A: b\r\r\nC: d"), BYTES("A: b\r\n c"),
        BYTES("A: b\r\n\tc"), BYTES("A: b\0c"),       BYTES("\0A: b"),         BYTES(": b"),
        BYTES("A B: c"),      BYTES("A(: b"),         BYTES("A\xc3\xa9: b"),   BYTES("A"),
        BYTES("A\r\nB: c"),   BYTES("A: \x01"),       BYTES("A: \x7f"),        BYTES(" A: b"),
        BYTES("Host: b"),     BYTES("A: b\r\nhOST:"), BYTES("A: b\n"),         BYTES("\n"),
    };
    assert_fields_refused(cases, array_len(cases));
}

static void a_request_line_has_one_reading(void **state)
{
    (void)state;
#define LINE(line) BYTES(line "\r\nHost: a\r\n\r\n")
    static const struct bytes bad[] = {
        LINE("GET / HTTP/1.1\0"),
        LINE("GET /\0 HTTP/1.1"),
        LINE("GET  / HTTP/1.1"),
        LINE("GET /  HTTP/1.1"),
        LINE("GET / HTTP/1.1 "),
        LINE(" GET / HTTP/1.1"),
        LINE("GET\t/\tHTTP/1.1"),
        LINE("GET /a b HTTP/1.1"),
        LINE("GET /a#b HTTP/1.1"),
        LINE("GET /\x01 HTTP/1.1"),
        LINE("GET /\x7f HTTP/1.1"),
        LINE("GET /"),
        LINE("GET"),
        LINE("G(T / HTTP/1.1"),
        LINE("GET / HTTP/1.10"),
        LINE("GET / HTTP/+1.+1"),
        LINE("GET / HTTP/01.01"),
        LINE("GET / HTTP/-1.1"),
        LINE("GET / HTTP/1.-1"),
        LINE("GET / HTTP/1.99999999999"),
        LINE("GET / HTTP/1"),
        LINE("GET / http/1.1"),
        LINE("GET / HTTPS/1.1"),
        LINE("GET a HTTP/1.1"),
        LINE("GET * HTTP/1.1"),
        LINE("OPTIONS *a HTTP/1.1"),
        LINE("GET a:443 HTTP/1.1"),
        LINE("CONNECT / HTTP/1.1"),
        LINE("CONNECT a/b HTTP/1.1"),
        LINE("GET http:// HTTP/1.1"),
        LINE("GET http:/// HTTP/1.1"),
        LINE("GET http://u@a/ HTTP/1.1"),
        LINE("GET http://a?b HTTP/1.1"),
        LINE("GET ftp://a/ HTTP/1.1"),
        LINE("GET ?a HTTP/1.1"),
        LINE("GET http://a\\b/ HTTP/1.1"),
        BYTES("GET / HTTP/1.1\nHost: a\n\n"),
    };
    static const struct bytes versions[] = {
        LINE("GET / HTTP/0.9"),
        LINE("GET / HTTP/2.0"),
        LINE("PRI * HTTP/2.0"),
        LINE("GET / HTTP/3.1"),
    };
#undef LINE
    assert_requests(bad, array_len(bad), HEAD_BAD);
    assert_requests(versions, array_len(versions), HEAD_VERSION);
}

static void a_host_is_a_host(void **state)
{
    (void)state;
    static const struct bytes cases[] = {
        BYTES("GET / HTTP/1.1\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a/../b@c d\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a/\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a?\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a#\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
        BYTES("GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"),
        BYTES("GET http://a/ HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    };
    assert_requests(cases, array_len(cases), HEAD_BAD);
}

static void a_response_that_could_be_read_twice_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        enum head_result want;
    } cases[] = {
        {BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 304 OK\r\nContent-Length: x\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
         HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\nA: b\n\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 O\0K\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200 O\x01K\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 99 x\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 099 x\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 600 x\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 2000 x\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1  200 x\r\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1 200\n\r\n"), HEAD_BAD},
        {BYTES("HTTP/1.1\r\n\r\n"), HEAD_BAD},
        {BYTES("\r\nHTTP/1.1 200 OK\r\n\r\n"), HEAD_BAD},
        {BYTES("ICY 200 OK\r\n\r\n"), HEAD_BAD},
        {BYTES("{\"not\": \"http\"}"), HEAD_BAD},
        {BYTES("HTTP/2.0 200 OK\r\n\r\n"), HEAD_VERSION},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        t.block = block_of(cases[i].text.p, cases[i].text.len);
        enum head_result got =
            head_parse_response(t.block, cases[i].text.len, 8192, METHOD_GET, &t.head);
        if (got != cases[i].want || !t.head.why)
            fail_msg("%d for: %s", got, cases[i].text.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_one_plain_number),
        cmocka_unit_test(a_coding_is_exactly_chunked),
        cmocka_unit_test(every_method_has_its_body_framed),
        cmocka_unit_test(a_line_ends_with_crlf_and_holds_no_control),
        cmocka_unit_test(a_request_line_has_one_reading),
        cmocka_unit_test(a_host_is_a_host),
        cmocka_unit_test(a_response_that_could_be_read_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
