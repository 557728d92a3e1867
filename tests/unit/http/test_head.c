/* test_head.c: what is read out of request and response heads, at every split of their bytes. */
#include <larder/http/head.h>

#include "http-test.h"

static enum head_result parse(const char *text, size_t len, size_t limit, struct text_head *t)
{
    t->block = block_of(text, len);
    return head_parse_request(t->block, len, limit, &t->head);
}

static void assert_request(const char *text, enum head_result want)
{
    cleanup(text_head_fini) struct text_head t;
    enum head_result got = parse(text, strlen(text), 8192, &t);
    if (got != want)
        fail_msg("%d, not %d, for: %s", got, want, text);
    assert_true(want == HEAD_OK || want == HEAD_MORE ? !t.head.why : t.head.why != NULL);
}

static const char full_request[] = "\r\nGET /a/b?c=d&e HTTP/1.1\r\n"
                                   "Host: example.org:8080\r\n"
                                   "Accept:\r\n"
                                   "X-Odd_~Name:  two  words\t\r\n"
                                   "connection: Keep-Alive, Upgrade\r\n"
                                   "Upgrade: websocket\r\n"
                                   "Expect: 100-Continue\r\n"
                                   "Content-Length: 12\r\n"
                                   "\r\n";

static void a_request_is_read_into_its_parts(void **state)
{
    (void)state;
    cleanup(text_head_fini) struct text_head t;
    assert_int_equal(parse(full_request, strlen(full_request), 8192, &t), HEAD_OK);
    const struct head *h = &t.head;
    assert_int_equal(h->bytes, strlen(full_request));
    assert_int_equal(h->method, METHOD_GET);
    assert_span(h->method_text, "GET");
    assert_span(h->target, "/a/b?c=d&e");
    assert_span(h->path, "/a/b");
    assert_span(h->query, "c=d&e");
    assert_span(h->host, "example.org:8080");
    assert_int_equal(h->minor, 1);
    assert_int_equal(h->framing, FRAMING_LENGTH);
    assert_int_equal(h->content_length, 12);
    assert_true(h->has_content_length && h->keep_alive && h->expect_continue && h->has_upgrade);
    assert_span(h->connection, "Keep-Alive, Upgrade");
    assert_int_equal(h->field_count, 7);
    assert_span(h->fields[1].value, "");
    assert_span(h->fields[2].name, "X-Odd_~Name");
    assert_span(h->fields[2].value, "two  words");
    assert_span(head_field_named(h, SPAN_LIT("x-odd_~name"))->value, "two  words");
    assert_span(head_field_named(h, SPAN_LIT("UPGRADE"))->value, "websocket");
    assert_null(head_field_named(h, SPAN_LIT("absent")));
    assert_null(head_field(h, FIELD_COOKIE));
}

static void an_unfinished_request_asks_for_more_at_every_split(void **state)
{
    (void)state;
    static const char pipelined[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next";
    for (size_t len = 0; len <= strlen(full_request); len++) {
        cleanup(text_head_fini) struct text_head t;
        assert_int_equal(parse(full_request, len, 8192, &t),
                         len < strlen(full_request) ? HEAD_MORE : HEAD_OK);
    }
    for (size_t len = 27; len <= strlen(pipelined); len++) {
        cleanup(text_head_fini) struct text_head t;
        assert_int_equal(parse(pipelined, len, 27, &t), HEAD_OK);
        assert_int_equal(t.head.bytes, 27);
    }
}

static void a_bad_byte_is_refused_before_the_head_is_complete(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {
#define BAD(text) {(text), sizeof(text) - 1}
        BAD("\n"),
        BAD("GET / HTTP/1.1\n"),
        BAD("GET / HTTP/1.1\r\r"),
        BAD("GET / HTTP/1.1\r\nHost: a\n"),
        BAD("GET / HTTP/1.1\r\nHost: a\0"),
        BAD("GET / HTTP/1.1\r\n\0"),
        BAD("GET / HTTP/1.1\r\nX\0"),
        BAD("GET /\0"),
        BAD("GET / HTTP/1.1\0"),
        BAD("GET / HTTP/1.1\r\nA: a very long value that goes on, with a control\x01"),
        BAD("GET / HTTP/1.1\r\nA: a very long value that goes on, with a delete\x7f"),
        BAD("GET / HTTP/1.1\r\nA: b\rc"),
        BAD("GET / HTTP/1.1\r\nA: b\r\n "),
        BAD("GET / HTTP/1.1\r\nA: b\r\n\t"),
        BAD("GET / HTTP/1.1\r\nA "),
        BAD("GET / HTTP/1.1\r\n:"),
        BAD("GET / HTTQ"),
#undef BAD
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head whole, shorter;
        if (parse(cases[i].text, cases[i].len, 8192, &whole) != HEAD_BAD)
            fail_msg("case %zu is not refused", i);
        assert_int_equal(parse(cases[i].text, cases[i].len - 1, 8192, &shorter), HEAD_MORE);
    }
}

static void a_head_over_a_limit_is_too_large(void **state)
{
    (void)state;
    cleanup(text_head_fini) struct text_head exact, line, fields, many;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_int_equal(parse(text, strlen(text), strlen(text), &exact), HEAD_OK);
    assert_int_equal(parse(text, strlen(text), 10, &line), HEAD_TOO_LARGE);
    assert_non_null(strstr(line.head.why, "target"));
    assert_int_equal(parse(text, strlen(text), strlen(text) - 1, &fields), HEAD_TOO_LARGE);
    assert_null(strstr(fields.head.why, "target"));

    char long_text[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (unsigned i = 1; i <= HEAD_FIELDS_MAX; i++)
        strcat(long_text, "A: b\r\n");
    assert_int_equal(parse(long_text, strlen(long_text), 4096, &many), HEAD_TOO_LARGE);
}

static void the_four_forms_of_a_target(void **state)
{
    (void)state;
    static const struct {
        const char *line, *target, *path, *query, *host;
    } cases[] = {
        {"GET / HTTP/1.1", "/", "/", NULL, "h"},
        {"GET /? HTTP/1.1", "/?", "/", "", "h"},
        {"GET /a?b?c HTTP/1.1", "/a?b?c", "/a", "b?c", "h"},
        {"GET //evil/p HTTP/1.1", "//evil/p", "//evil/p", NULL, "h"},
        {"GET /\xc3\xa9|{}\"<> HTTP/1.1", "/\xc3\xa9|{}\"<>", "/\xc3\xa9|{}\"<>", NULL, "h"},
        {"GET http://other HTTP/1.1", "/", "/", NULL, "other"},
        {"GET HTTPS://other:1/a?b HTTP/1.1", "/a?b", "/a", "b", "other:1"},
        {"GET http://[::1]:80/ HTTP/1.1", "/", "/", NULL, "[::1]:80"},
        {"OPTIONS * HTTP/1.1", "*", "*", NULL, "h"},
        {"OPTIONS /a HTTP/1.1", "/a", "/a", NULL, "h"},
        {"OPTIONS http://other HTTP/1.1", "*", "*", NULL, "other"},
        {"OPTIONS http://other/ HTTP/1.1", "/", "/", NULL, "other"},
        {"CONNECT other:443 HTTP/1.1", "other:443", "", NULL, "other:443"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        char text[256];
        snprintf(text, sizeof(text), "%s\r\nHost: h\r\n\r\n", cases[i].line);
        assert_int_equal(parse(text, strlen(text), 256, &t), HEAD_OK);
        assert_span(t.head.target, cases[i].target);
        assert_span(t.head.path, cases[i].path);
        assert_span(t.head.host, cases[i].host);
        assert_int_equal(t.head.query.p != NULL, cases[i].query != NULL);
        assert_span(t.head.query, cases[i].query ? cases[i].query : "");
    }
}

static void host_is_needed_once_in_1_1_and_at_most_once_in_1_0(void **state)
{
    (void)state;
    assert_request("GET / HTTP/1.1\r\nHost:\r\n\r\n", HEAD_OK);
    assert_request("GET / HTTP/1.1\r\nHost: a_b.example%41:80\r\n\r\n", HEAD_OK);
    assert_request("GET / HTTP/1.0\r\n\r\n", HEAD_OK);
    assert_request("GET / HTTP/1.0\r\nHost: a\r\n\r\n", HEAD_OK);
    assert_request("GET / HTTP/1.9\r\nHost: a\r\n\r\n", HEAD_OK);
    assert_request("GET / HTTP/1.9\r\n\r\n", HEAD_BAD);
    assert_request("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", HEAD_BAD);
    assert_request("GET http://a/ HTTP/1.1\r\n\r\n", HEAD_BAD);
}

static void persistence_follows_version_and_connection(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keep_alive, has_upgrade, expect_continue;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost:\r\nConnection: x, CLOSE\r\n\r\n", false, false, false},
        {"GET / HTTP/1.1\r\nHost:\r\nConnection: x\r\nConnection: close\r\n\r\n", false, false,
         false},
        {"GET / HTTP/1.0\r\n\r\n", false, false, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false, false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, false, false},
        {"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", false, false, false},
        {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, false, false},
        {"GET / HTTP/1.1\r\nHost:\r\nConnection: upgrade\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost:\r\nUpgrade: x\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost:\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", true, true, false},
        {"PUT / HTTP/1.1\r\nHost:\r\nExpect: 100-continue\r\n\r\n", true, false, true},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        assert_int_equal(parse(cases[i].text, strlen(cases[i].text), 256, &t), HEAD_OK);
        assert_int_equal(t.head.keep_alive, cases[i].keep_alive);
        assert_int_equal(t.head.has_upgrade, cases[i].has_upgrade);
        assert_int_equal(t.head.expect_continue, cases[i].expect_continue);
    }
}

static void expectations_are_100_continue_or_not_understood(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        bool is_continue, is_other;
    } cases[] = {
        {"", false, false},
        {"Expect:\r\n", false, false},
        {"Expect: 100-Continue\r\n", true, false},
        {"Expect: 100-continue, 100-continue\r\n", true, false},
        {"Expect: 200-ok\r\n", false, true},
        {"Expect: 100-continue;a=b\r\n", false, true},
        {"Expect: 100-continue, x\r\n", true, true},
        {"Expect: x\r\nExpect: 100-continue\r\n", true, true},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        request_with(&t, cases[i].fields);
        if (t.head.expect_continue != cases[i].is_continue ||
            t.head.expects_other != cases[i].is_other)
            fail_msg("case %zu: %s", i, cases[i].fields);
    }
    cleanup(text_head_fini) struct text_head old;
    const char *text = "GET / HTTP/1.0\r\nExpect: x\r\n\r\n";
    assert_int_equal(parse(text, strlen(text), 256, &old), HEAD_OK);
    assert_false(old.head.expects_other);
}

static void a_switch_is_to_what_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *answered;
        bool is_answer;
    } cases[] = {
        {"Upgrade: websocket\r\n", "Upgrade: WebSocket\r\n", true},
        {"Upgrade: a/1, b/2\r\n", "Upgrade: b/2\r\n", true},
        {"Upgrade: a/1\r\nUpgrade: b/2\r\n", "Upgrade: b/2\r\n", true},
        {"Upgrade: TLS/1.0\r\n", "Upgrade: TLS/1.0, HTTP/1.1\r\n", true},
        {"Upgrade: a/1\r\n", "Upgrade: a/2\r\n", false},
        {"Upgrade: websocket\r\n", "Upgrade: web\r\n", false},
        {"Upgrade: websocket\r\n", "Upgrade:\r\n", false},
        {"Upgrade: websocket\r\n", "", false},
        {"", "Upgrade: websocket\r\n", false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head request;
        cleanup(text_head_fini) struct text_head response;
        request_with(&request, cases[i].asked);
        response_with(&response, 101, cases[i].answered);
        if (head_answers_upgrade(&request.head, &response.head) != cases[i].is_answer)
            fail_msg("case %zu: %s%s", i, cases[i].asked, cases[i].answered);
    }
}

static void every_known_field_name_is_found_in_any_case(void **state)
{
    (void)state;
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT_; id++) {
        char name[64];
        size_t len = strlen(field_name(id));
        assert_in_range(len, 2, sizeof(name) - 1);
        for (size_t i = 0; i < len; i++)
            name[i] = (char)(field_name(id)[i] - (field_name(id)[i] >= 'a' && i % 2 ? 32 : 0));
        assert_int_equal(field_id_of(span_of(name, len)), id);
        for (size_t i = 0; i < len; i++) { /* one letter off is another field */
            char right = name[i];
            name[i] = right == '-' ? '\r' : (char)(right ^ 0x80);
            assert_int_equal(field_id_of(span_of(name, len)), FIELD_OTHER);
            name[i] = right;
        }
    }
    assert_int_equal(field_id_of(SPAN_LIT("")), FIELD_OTHER);
    assert_int_equal(field_id_of(SPAN_LIT("user-agent")), FIELD_OTHER);
}

static void methods_are_known_by_their_exact_names(void **state)
{
    (void)state;
    assert_int_equal(method_of(SPAN_LIT("QUERY")), METHOD_QUERY);
    assert_int_equal(method_of(SPAN_LIT("get")), METHOD_OTHER);
    assert_int_equal(method_of(SPAN_LIT("GETS")), METHOD_OTHER);
    assert_true(method_is_safe(METHOD_HEAD) && method_is_safe(METHOD_QUERY));
    assert_false(method_is_safe(METHOD_POST) || method_is_safe(METHOD_OTHER));
    assert_true(method_is_idempotent(METHOD_PUT) && method_is_idempotent(METHOD_DELETE));
    assert_false(method_is_idempotent(METHOD_PATCH) || method_is_idempotent(METHOD_POST));
}

static void lists_are_split_at_commas_outside_of_quotes(void **state)
{
    (void)state;
    struct span member, rest = SPAN_LIT(" , a,\tb c ,\"d,\\\",e\" ;f,,\"g, h");
    static const char *const members[] = {"a", "b c", "\"d,\\\",e\" ;f", "\"g, h"};
    for (size_t i = 0; i < array_len(members); i++) {
        assert_true(field_list_next(&rest, &member));
        assert_span(member, members[i]);
    }
    assert_false(field_list_next(&rest, &member));
}

static void hop_by_hop_fields_stay_behind_and_framing_does_not(void **state)
{
    (void)state;
    cleanup(text_head_fini) struct text_head t;
    request_with(&t, "Connection: close, X-Mine, host, Content-Length\r\n"
                     "Connection: cookie, ETag, te\r\nX-Mine: 1\r\nX-Other: 1\r\nCookie: a\r\n"
                     "ETag: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n"
                     "Proxy-Authorization: x\r\nTrailer: a\r\nUpgrade: a\r\nContent-Length: 0\r\n"
                     "Authorization: x\r\nProxy-Authenticate: x\r\n");
    static const struct {
        const char *name;
        bool hops;
    } cases[] = {
        {"connection", true},
        {"x-mine", true},
        {"x-other", false},
        {"cookie", false},
        {"etag", false},
        {"te", true},
        {"keep-alive", true},
        {"proxy-connection", true},
        {"proxy-authorization", true},
        {"trailer", true},
        {"upgrade", true},
        {"content-length", false},
        {"authorization", false},
        {"proxy-authenticate", true},
        {"host", false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        const struct field *f = head_field_named(&t.head, span_str(cases[i].name));
        assert_non_null(f);
        if (field_is_hop_by_hop(&t.head, f) != cases[i].hops)
            fail_msg("%s", cases[i].name);
    }
}

static const char full_response[] = "HTTP/1.1 200 All\tgood \xc3\xa9\r\n"
                                    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                    "Transfer-Encoding: Chunked\r\n"
                                    "\r\n";

static void a_response_is_read_at_every_split(void **state)
{
    (void)state;
    for (size_t len = 0; len <= strlen(full_response); len++) {
        cleanup(text_head_fini) struct text_head t;
        t.block = block_of(full_response, len);
        assert_int_equal(head_parse_response(t.block, len, 8192, METHOD_GET, &t.head),
                         len < strlen(full_response) ? HEAD_MORE : HEAD_OK);
        if (len < strlen(full_response))
            continue;
        assert_int_equal(t.head.status, 200);
        assert_span(t.head.reason, "All\tgood \xc3\xa9");
        assert_int_equal(t.head.framing, FRAMING_CHUNKED);
        assert_true(t.head.keep_alive);
    }
}

/* RFC 9112 section 6.3, rule 4: where the final coding is not chunked, the body ends with the
 * connection. A coding that changes the bytes was not asked for, and nobody could undo it. */
static void one_transfer_coding_that_is_none_means_to_the_close(void **state)
{
    (void)state;
    static const struct {
        const char *line, *fields;
        enum head_result result;
        enum framing framing;
    } cases[] = {
        {"HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", HEAD_OK, FRAMING_CHUNKED},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: identity\r\n", HEAD_OK, FRAMING_CLOSE},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: Identity\r\n", HEAD_OK, FRAMING_CLOSE},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: x-nothing\r\n", HEAD_OK, FRAMING_CLOSE},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: xchunked\r\n", HEAD_OK, FRAMING_CLOSE},
        {"HTTP/1.1 204 None", "Transfer-Encoding: identity\r\n", HEAD_OK, FRAMING_NONE},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: gzip\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: GZip\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: x-gzip\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: deflate\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: compress\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: x-compress\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: identity, chunked\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: chunked, identity\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: identity;q=1\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: \"identity\"\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding:\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding:\tidentity\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: identity\r\nTransfer-Encoding: identity\r\n",
         HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
         HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: identity\r\nContent-Length: 5\r\n", HEAD_BAD, 0},
        {"HTTP/1.1 200 OK", "Content-Length: 5\r\nTransfer-Encoding: x-nothing\r\n", HEAD_BAD, 0},
        {"HTTP/1.0 200 OK", "Transfer-Encoding: identity\r\n", HEAD_BAD, 0},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        char text[256];
        snprintf(text, sizeof(text), "%s\r\n%s\r\n", cases[i].line, cases[i].fields);
        t.block = block_of(text, strlen(text));
        enum head_result rc = head_parse_response(t.block, strlen(text), 256, METHOD_GET, &t.head);
        if (rc != cases[i].result || (rc == HEAD_OK && t.head.framing != cases[i].framing))
            fail_msg("%d, framing %d: %s", (int)rc, (int)t.head.framing, text);
        if (rc == HEAD_OK && t.head.framing == FRAMING_CLOSE)
            assert_false(t.head.keep_alive || t.head.has_content_length);
    }
}

static void a_response_says_where_its_body_ends(void **state)
{
    (void)state;
    static const struct {
        const char *line, *fields;
        enum method method;
        enum framing framing;
        bool keep_alive, has_length;
    } cases[] = {
        {"HTTP/1.1 200", "Content-Length: 5\r\n", METHOD_GET, FRAMING_LENGTH, true, true},
        {"HTTP/1.1 200 ", "Content-Length: 5, 5\r\n", METHOD_GET, FRAMING_LENGTH, true, true},
        {"HTTP/1.1 200 OK", "Content-Length: 5\r\nContent-Length: 5\r\n", METHOD_GET,
         FRAMING_LENGTH, true, true},
        {"HTTP/1.1 200 OK", "", METHOD_GET, FRAMING_CLOSE, false, false},
        {"HTTP/1.1 200 OK", "Content-Length: 5\r\n", METHOD_HEAD, FRAMING_NONE, true, true},
        {"HTTP/1.1 200 OK", "Transfer-Encoding: chunked\r\n", METHOD_HEAD, FRAMING_NONE, true,
         false},
        {"HTTP/1.1 200 OK", "", METHOD_CONNECT, FRAMING_NONE, true, false},
        {"HTTP/1.1 100 Continue", "", METHOD_POST, FRAMING_NONE, true, false},
        {"HTTP/1.1 101 Switching", "Content-Length: 5\r\n", METHOD_GET, FRAMING_NONE, true, true},
        {"HTTP/1.1 204 None", "", METHOD_GET, FRAMING_NONE, true, false},
        {"HTTP/1.1 304 Same", "Content-Length: 5\r\n", METHOD_GET, FRAMING_NONE, true, true},
        {"HTTP/1.0 200 OK", "Content-Length: 5\r\n", METHOD_GET, FRAMING_LENGTH, false, true},
        {"HTTP/1.0 200 OK", "Content-Length: 5\r\nConnection: keep-alive\r\n", METHOD_GET,
         FRAMING_LENGTH, true, true},
        {"HTTP/1.1 599 x", "Connection: close\r\nContent-Length: 5\r\n", METHOD_GET, FRAMING_LENGTH,
         false, true},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        char text[256];
        snprintf(text, sizeof(text), "%s\r\n%s\r\n", cases[i].line, cases[i].fields);
        t.block = block_of(text, strlen(text));
        enum head_result rc =
            head_parse_response(t.block, strlen(text), 256, cases[i].method, &t.head);
        if (rc != HEAD_OK || t.head.framing != cases[i].framing ||
            t.head.keep_alive != cases[i].keep_alive ||
            t.head.has_content_length != cases[i].has_length)
            fail_msg("case %zu: %s", i, text);
        assert_int_equal(t.head.content_length, cases[i].has_length ? 5 : 0);
    }
}

static void statuses_have_reasons(void **state)
{
    (void)state;
    assert_string_equal(status_reason(404), "Not Found");
    assert_string_equal(status_reason(599), "Unknown");
    assert_true(span_is_token(SPAN_LIT("a!b")));
    assert_false(span_is_token(SPAN_LIT("")) || span_is_token(SPAN_LIT("a b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read_into_its_parts),
        cmocka_unit_test(an_unfinished_request_asks_for_more_at_every_split),
        cmocka_unit_test(a_bad_byte_is_refused_before_the_head_is_complete),
        cmocka_unit_test(a_head_over_a_limit_is_too_large),
        cmocka_unit_test(the_four_forms_of_a_target),
        cmocka_unit_test(host_is_needed_once_in_1_1_and_at_most_once_in_1_0),
        cmocka_unit_test(persistence_follows_version_and_connection),
        cmocka_unit_test(expectations_are_100_continue_or_not_understood),
        cmocka_unit_test(a_switch_is_to_what_was_asked_for),
        cmocka_unit_test(every_known_field_name_is_found_in_any_case),
        cmocka_unit_test(methods_are_known_by_their_exact_names),
        cmocka_unit_test(lists_are_split_at_commas_outside_of_quotes),
        cmocka_unit_test(hop_by_hop_fields_stay_behind_and_framing_does_not),
        cmocka_unit_test(a_response_is_read_at_every_split),
        cmocka_unit_test(one_transfer_coding_that_is_none_means_to_the_close),
        cmocka_unit_test(a_response_says_where_its_body_ends),
        cmocka_unit_test(statuses_have_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
