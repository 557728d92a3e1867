/* test_ctl.c: what words become which call, and what an answer looks like. */
#include "../unit-test.h"

#include "../../../proxy/ctl/ctl-internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 24 };

/* A text of exactly its own size, so that a sanitizer sees each byte read too far. */
static char *exact(const char *text, size_t len)
{
    char *block = malloc(len ? len : 1);
    assert_non_null(block);
    if (len)
        memcpy(block, text, len);
    return block;
}

static void assert_text(const struct buf *got, const char *want, const char *of)
{
    assert_false(got->failed);
    if (!span_eq(buf_span(got), span_str(want)))
        fail_msg("%s: got \"%.*s\", not \"%s\"", of, (int)got->len, got->len ? got->p : "", want);
}

/* Parts <line> at "|" into words: the first is the command. */
static enum err_code build(const char *line, struct request *r, struct err *err)
{
    struct args a = {0};
    char text[512], *words[WORDS_MAX];
    int count = 0;
    snprintf(text, sizeof(text), "%s", line);
    for (char *p = text; p; count++) {
        assert_true(count < WORDS_MAX);
        words[count] = p;
        p = strchr(p, '|');
        if (p)
            *p++ = '\0';
    }
    const struct command *c = command_find(words[0]);
    assert_non_null(c);
    ctl_request_init(r);
    enum err_code rc = args_parse(c->options, count - 1, words + 1, &a, err);
    if (!rc)
        rc = c->build(&a, r, err);
    args_fini(&a);
    return rc;
}

static void words_become_calls(void **state)
{
    (void)state;
    static const struct {
        const char *line, *method, *path, *body;
    } cases[] = {
        {"stats", "GET", "/api/cache/stats", ""},
        {"stats|--route|a b|--window=hour|org=1&2|semester=ä", "GET",
         "/api/cache/stats?route=a%20b&window=hour&org=1%262&semester=%C3%A4", ""},
        {"stats|x=", "GET", "/api/cache/stats?x=", ""},
        {"keys", "GET", "/api/cache/keys", ""},
        {"keys|--glob|courses:*|--limit|5|--offset|0|--tag|t|--route|r", "GET",
         "/api/cache/keys?route=r&tag=t&glob=courses%3A%2A&limit=5&offset=0", ""},
        {"entry|--key|a:b=1|--body", "GET", "/api/cache/entry?key=a%3Ab%3D1&body=1", ""},
        {"entry|--url-of|/x?y=1", "GET", "/api/cache/entry?url=%2Fx%3Fy%3D1", ""},
        {"routes", "GET", "/api/cache/routes", ""},
        {"route|a/b|on", "POST", "/api/cache/routes/a%2Fb", "{\"enabled\":true}"},
        {"route|a|off", "POST", "/api/cache/routes/a", "{\"enabled\":false}"},
        {"route|a|ttl|5m", "POST", "/api/cache/routes/a", "{\"ttl\":\"5m\"}"},
        {"route|a|ttl|config", "POST", "/api/cache/routes/a", "{\"ttl\":null}"},
        {"jobs", "GET", "/api/cache/jobs", ""},
        {"jobs|job-1", "GET", "/api/cache/jobs/job-1", ""},
        {"cancel|../x", "DELETE", "/api/cache/jobs/..%2Fx", ""},
        {"retry|job-1", "POST", "/api/cache/jobs/job-1/retry", ""},
        {"invalidate|--key|k\"1", "POST", "/api/cache/invalidate", "{\"key\":\"k\\\"1\"}"},
        {"invalidate|--url-of|/a?b=c", "POST", "/api/cache/invalidate", "{\"url\":\"/a?b=c\"}"},
        {"invalidate|--path|/a/{id}", "POST", "/api/cache/invalidate", "{\"path\":\"/a/{id}\"}"},
        {"invalidate|--glob=c:*|--dry-run", "POST", "/api/cache/invalidate",
         "{\"glob\":\"c:*\",\"dry_run\":true}"},
        {"invalidate|--tag|a|b|--tag|c|--soft", "POST", "/api/cache/invalidate",
         "{\"tags\":[\"a\",\"c\",\"b\"],\"mode\":\"soft\"}"},
        {"invalidate|--all-of|a|--all-of|b|--hard|--refresh", "POST", "/api/cache/invalidate",
         "{\"all_of\":[\"a\",\"b\"],\"mode\":\"hard\",\"refresh\":true}"},
        {"invalidate|--route|r|--param|a=1|--param|b=x=y", "POST", "/api/cache/invalidate",
         "{\"route\":\"r\",\"params\":{\"a\":\"1\",\"b\":\"x=y\"}}"},
        {"invalidate|--route|r", "POST", "/api/cache/invalidate", "{\"route\":\"r\"}"},
        {"invalidate|--all", "POST", "/api/cache/invalidate", "{\"all\":true}"},
        {"warm|/a|/b|--concurrency|4|--rate|10|--header|X-A:  b c ", "POST", "/api/cache/warm",
         "{\"urls\":[\"/a\",\"/b\"],\"concurrency\":4,\"rate\":10,\"headers\":{\"X-A\":\"b c\"}}"},
        {"warm|--|-odd", "POST", "/api/cache/warm", "{\"urls\":[\"-odd\"]}"},
        {"warm|--route|r|--param|a=1,2\\,3|--param|b=|--param|a=4", "POST", "/api/cache/warm",
         "{\"route\":\"r\",\"params\":{\"a\":[\"1\",\"2,3\",\"4\"],\"b\":[\"\"]}}"},
        {"warm|--hottest|9|--no-wait", "POST", "/api/cache/warm", "{\"hottest\":9}"},
        {"explain|POST|/x|--header|A: 1|--data|{}", "POST", "/api/cache/explain",
         "{\"method\":\"POST\",\"url\":\"/x\",\"headers\":{\"A\":\"1\"},\"body\":\"{}\"}"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct request r;
        struct err err = {0};
        if (build(cases[i].line, &r, &err))
            fail_msg("%s: %s", cases[i].line, err.what);
        assert_string_equal(r.method, cases[i].method);
        assert_text(&r.path, cases[i].path, cases[i].line);
        assert_text(&r.body, cases[i].body, cases[i].line);
        ctl_request_fini(&r);
    }
}

static void wrong_words_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"stats|--windw|hour", "--window"},
        {"stats|--window|day", "minute, hour or start"},
        {"stats|x", "LABEL=VALUE"},
        {"stats|=x", "LABEL=VALUE"},
        {"stats|route=x", "write --route x"},
        {"stats|--route", "needs a value"},
        {"stats|--route|a|--route|b", "given twice"},
        {"stats|--url|http://x", "before the command"},
        {"keys|x", "one word too many"},
        {"keys|--limit|0", "whole number from 1"},
        {"keys|--offset|-1", "whole number from 0"},
        {"entry", "one of --key and --url-of"},
        {"entry|--key|a|--url-of|b", "one of --key and --url-of"},
        {"entry|--key|a|--body=1", "takes no value"},
        {"route|a", "NAME on"},
        {"route|a|ttl", "NAME on"},
        {"route|a|on|off", "one word too many"},
        {"cancel", "which job"},
        {"retry|a|b", "one word too many"},
        {"invalidate", "give one of"},
        {"invalidate|--key|a|--all", "only one of"},
        {"invalidate|--key|", "--key is empty"},
        {"invalidate|--key|a|b", "one word too many"},
        {"invalidate|--route|a|b", "one word too many"},
        {"invalidate|--key|a|--param|b=c", "goes with --route"},
        {"invalidate|--route|r|--param|b", "LABEL=VALUE"},
        {"invalidate|--route|r|--param|b=1|--param|b=2", "given twice"},
        {"invalidate|--all|--soft|--hard", "one of --soft and --hard"},
        {"warm", "give one of"},
        {"warm|/a|--hottest|3", "give one of"},
        {"warm|--hottest|0", "whole number from 1"},
        {"warm|--route|r", "go together"},
        {"warm|/a|--param|b=c", "go together"},
        {"warm|--route|r|--param|b", "LABEL=VALUE,VALUE"},
        {"warm|/a|--header|b", "Name: value"},
        {"warm|/a|--header|b: 1|--header|B:2", "given twice"},
        {"explain|GET", "a method and a URL"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct request r;
        struct err err = {0};
        assert_int_equal(build(cases[i].line, &r, &err), ERR_SYNTAX);
        if (!strstr(err.what, cases[i].says))
            fail_msg("%s: says \"%s\", not \"%s\"", cases[i].line, err.what, cases[i].says);
        ctl_request_fini(&r);
    }
}

static void options_come_before_the_command(void **state)
{
    (void)state;
    char *good[] = {
        (char *)"ctl", (char *)"--url=http://h", (char *)"--json", (char *)"--token-file",
        (char *)"f",   (char *)"stats",          (char *)"--route"};
    char *bad[] = {(char *)"ctl", (char *)"--token", (char *)"x"};
    struct options o;
    struct err err = {0};
    assert_int_equal(options_parse(7, good, &o, &err), ERR_OK);
    assert_string_equal(o.url, "http://h");
    assert_string_equal(o.token_file, "f");
    assert_true(o.is_json && !o.is_help && !o.socket_path);
    assert_int_equal(o.command_at, 5);
    assert_int_equal(options_parse(3, bad, &o, &err), ERR_SYNTAX);
    assert_non_null(strstr(err.what, "--token-file"));
}

static void urls_name_host_port_and_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *port, *authority, *prefix;
    } good[] = {
        {"http://127.0.0.1:8081", "127.0.0.1", "8081", "127.0.0.1:8081", ""},
        {"http://larder/", "larder", "80", "larder", ""},
        {"http://[::1]:9/a/b//", "::1", "9", "[::1]:9", "/a/b"},
        {"http://[::1]", "::1", "80", "[::1]", ""},
    };
    static const char *const bad[] = {
        "",
        "127.0.0.1:8081",
        "https://h",
        "http://",
        "http://:80",
        "http://h:",
        "http://h:0",
        "http://h:65536",
        "http://h:1x",
        "http://[::1",
        "http://[]:1",
        "http://[::1]9",
        "http://u:p@h",
        "http://h/?a=b",
        "http://h/#x",
        "http://h /",
        "http://h/\r\nX",
        "http://h\xc3\xa4",
    };
    struct target t;
    struct err err = {0};
    for (size_t i = 0; i < array_len(good); i++) {
        assert_int_equal(ctl_target_parse(good[i].url, NULL, &t, &err), ERR_OK);
        assert_string_equal(t.host, good[i].host);
        assert_string_equal(t.port, good[i].port);
        assert_string_equal(t.authority, good[i].authority);
        assert_string_equal(t.prefix, good[i].prefix);
    }
    for (size_t i = 0; i < array_len(bad); i++)
        if (ctl_target_parse(bad[i], NULL, &t, &err) != ERR_SYNTAX)
            fail_msg("\"%s\" is accepted", bad[i]);
}

/* Feeds <text> in pieces of <step> bytes. */
static enum err_code decode(const char *text, size_t step, struct answer *a, struct buf *body)
{
    struct err err = {0};
    size_t len = strlen(text);
    ctl_answer_init(a);
    for (size_t i = 0; i < len; i += step) {
        size_t n = len - i < step ? len - i : step;
        char *piece = exact(text + i, n);
        enum err_code rc = ctl_answer_feed(a, span_of(piece, n), body, &err);
        free(piece);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static void answers_are_decoded_however_they_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text, *body, *type;
        unsigned status;
        bool is_whole;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=x\r\nContent-Length: "
         "3\r\n\r\nabcX",
         "abc", "application/json", 200, true},
        {"HTTP/1.1 404 \nContent-Length: 0\n\n", "", "", 404, true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n\r\nx", "x",
         "", 202, true},
        {"HTTP/1.1 204 No\r\n\r\nrest", "", "", 204, true},
        {"HTTP/1.0 200 OK\r\n\r\nto the end", "to the end", "", 200, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n"
         "0\r\nT: v\r\n\r\n",
         "abc0123456789", "", 200, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "abc", "", 200,
         false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "abc", "", 200, false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        for (size_t step = 1; step < 200; step += step < 8 ? 1 : 61) {
            struct answer a;
            struct buf body;
            buf_init(&body, 1000);
            assert_int_equal(decode(cases[i].text, step, &a, &body), ERR_OK);
            assert_int_equal(a.status, cases[i].status);
            assert_string_equal(a.type, cases[i].type);
            assert_int_equal(ctl_answer_is_whole(&a), cases[i].is_whole);
            assert_text(&body, cases[i].body, cases[i].text);
            buf_fini(&body);
        }
    }
}

static void what_is_no_http_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SSH-2.0-x\r\n",
        "HTTP/1.1\r\n",
        "HTTP/1.1 abc\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3x\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    };
    struct answer a;
    struct buf body;
    for (size_t i = 0; i < array_len(texts); i++) {
        buf_init(&body, 1000);
        assert_int_equal(decode(texts[i], 5, &a, &body), ERR_SYNTAX);
        buf_fini(&body);
    }
    buf_init(&body, 2);
    assert_int_equal(decode("HTTP/1.1 200 OK\r\n\r\nabc", 50, &a, &body), ERR_TOO_LARGE);
    buf_fini(&body);
}

static void note_event(void *arg, struct span event, struct span data)
{
    buf_add_fmt(arg, "<" SPAN_FMT "|" SPAN_FMT ">", SPAN_ARG(event), SPAN_ARG(data));
}

static void event_streams_are_read_however_they_are_cut(void **state)
{
    (void)state;
    static const char text[] = "event: progress\ndata: {\"a\":\ndata:1}\n\n: a heartbeat\n\n"
                               "data\r\n\r\ndata: x\rid: 7\r\revent: lost\n\n"
                               "event:end\r\ndata:  two\r\n\r\ndata: unfinished\n";
    for (size_t step = 1; step < sizeof(text); step++) {
        struct sse s;
        struct buf seen;
        buf_init(&seen, 1000);
        ctl_sse_init(&s, note_event, &seen);
        for (size_t i = 0; i < sizeof(text) - 1; i += step) {
            size_t n = sizeof(text) - 1 - i < step ? sizeof(text) - 1 - i : step;
            char *piece = exact(text + i, n);
            ctl_sse_feed(&s, span_of(piece, n));
            free(piece);
        }
        assert_text(&seen, "<progress|{\"a\":\n1}><message|><message|x><end| two>", "events");
        ctl_sse_fini(&s);
        buf_fini(&seen);
    }
}

static void an_event_that_is_too_large_is_left_out(void **state)
{
    (void)state;
    enum { LONG = 2 << 20 };
    struct sse s;
    struct buf seen;
    char *block = malloc(LONG);
    assert_non_null(block);
    memset(block, 'x', LONG);
    buf_init(&seen, 1000);
    ctl_sse_init(&s, note_event, &seen);
    ctl_sse_feed(&s, SPAN_LIT("data: a\ndata: "));
    ctl_sse_feed(&s, span_of(block, LONG));
    ctl_sse_feed(&s, SPAN_LIT("\n\ndata: b\n\n"));
    assert_text(&seen, "<message|b>", "events");
    ctl_sse_fini(&s);
    buf_fini(&seen);
    free(block);
}

static struct json_doc *parse(const char *text)
{
    struct json_doc *doc = NULL;
    struct err err = {0};
    if (json_parse(span_str(text), NULL, 0, JSON_DEPTH_MAX, &doc, &err))
        fail_msg("%s: %s in %s", err.where, err.what, text);
    return doc;
}

static void progress_is_a_line_of_the_width_there_is(void **state)
{
    (void)state;
    static const char running[] = "{\"job\":{\"state\":\"running\",\"total\":40,\"done\":12,"
                                  "\"warmed\":11,\"failed\":1,\"elapsed_ms\":3750}}";
    static const struct {
        const char *json, *want;
        unsigned width;
    } cases[] = {
        {running, "[###.......] 12/40  ok 11  failed 1  3.2/s  ETA 9 s", 51},
        {running,
         "[############............................] 12/40  ok 11  failed 1  3.2/s  ETA 9 s", 300},
        {running, "12/40  ok 11  failed 1  3.2/s  ETA 9 s", 45},
        {running, "12/40  ok ", 10},
        {running, "12/40 (30 %)  ok 11  failed 1  3.2/s  ETA 9 s", 0},
        {"{\"state\":\"queued\",\"total\":40}", "[.....] 0/40  ok 0  failed 0", 28},
        {"{\"state\":\"done\",\"total\":2,\"done\":2,\"warmed\":2,\"elapsed_ms\":1001}",
         "2/2 (100 %)  ok 2  failed 0  2.0/s  in 2 s", 0},
        {"{\"state\":\"done\",\"total\":0}", "[#####] 0/0  ok 0  failed 0", 27},
        {"{\"state\":\"running\",\"total\":-1,\"done\":1e300}", "0/0  ok 0  failed 0", 0},
        {"{\"state\":\"running\",\"total\":1,\"done\":5,\"elapsed_ms\":9e14}",
         "5/5 (100 %)  ok 0  failed 0  0.0/s  ETA 0 s", 0},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct json_doc *doc = parse(cases[i].json);
        struct progress p;
        char block[400];
        struct buf out;
        buf_init_fixed(&out, block, sizeof(block));
        assert_true(ctl_progress_parse(json_root(doc), &p));
        ctl_progress_format(&p, cases[i].width, &out);
        assert_text(&out, cases[i].want, cases[i].json);
        json_doc_free(doc);
    }
}

static void what_is_no_job_is_no_progress(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "[]", "1", "{\"state\":1}", "{\"job\":null}"};
    struct progress p;
    for (size_t i = 0; i < array_len(texts); i++) {
        struct json_doc *doc = parse(texts[i]);
        assert_false(ctl_progress_parse(json_root(doc), &p));
        json_doc_free(doc);
    }
}

static void each_tenth_and_the_end_are_told_once(void **state)
{
    (void)state;
    struct progress p = {.total = 40};
    int tenth = -1;
    unsigned lines = 0;
    for (p.done = 0; p.done <= 40; p.done++) {
        p.is_final = p.done == 40;
        lines += ctl_progress_is_due(&p, &tenth);
    }
    assert_int_equal(lines, 11);
}

static void tables_are_as_wide_as_their_cells(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    ctl_table_format(SPAN_LIT("NAME\tN\tWHY\t\nä\t10\tx\t\nlonger\t9\t-\t\nshort\t\n"), "lrl",
                     &out);
    assert_text(&out, "NAME     N  WHY\nä       10  x\nlonger   9  -\nshort\n", "table");
    buf_reset(&out);
    ctl_table_format(span_of(NULL, 0), "l", &out);
    assert_text(&out, "", "no table");
    buf_fini(&out);
}

static void nothing_in_a_text_steers_the_terminal(void **state)
{
    (void)state;
    static const struct {
        struct span in;
        const char *want;
    } cases[] = {
        {SPAN_LIT("a\x1b[31mb\r\n\tc\0d\x7f"), "a?[31mb??\?c?d?"},
        {SPAN_LIT("\xc2\x9b"
                  "1m ä €"),
         "?1m ä €"},
        {SPAN_LIT("\xe2\x80\xae"
                  "x\xe2\x81\xa6"
                  "y"),
         "?x?y"},
        {SPAN_LIT("\xff\xc3"), "??"},
        {SPAN_LIT("\xc0\x9b\xf8"), "??\?"},
        {SPAN_LIT("\xf0\x9f\x8d\xaf\xf4\x90\x80\x80"), "\xf0\x9f\x8d\xaf???\?"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf out;
        char *text = exact(cases[i].in.p, cases[i].in.len);
        buf_init(&out, 1000);
        text_clean(&out, span_of(text, cases[i].in.len), "");
        assert_text(&out, cases[i].want, "text");
        buf_fini(&out);
        free(text);
    }
}

static void answers_are_shown_as_people_read_them(void **state)
{
    (void)state;
    static const struct {
        void (*show)(const struct json *root, struct buf *out);
        const char *json, *want;
    } cases[] = {
        {show_stats,
         "{\"uptime_s\":7384.5,\"totals\":{\"requests\":12,\"hits\":5,\"misses\":5,\"stale\":0,"
         "\"bypasses\":2,\"hit_ratio\":0.5,\"entries\":3,\"bytes\":1536,\"latency_ms\":{\"hit\":{"
         "\"count\":5,\"p50\":0.1,\"p99\":1.239},\"miss\":{\"count\":0,\"p50\":0,\"p99\":0}}},"
         "\"routes\":{\"a\\u001b\":{\"requests\":12}}}",
         "up 2 h 3 min\n\n"
         "ROUTE  REQUESTS  HITS  MISSES  STALE  BYPASSES  HIT %  ENTRIES    BYTES  HIT p50/p99 ms"
         "  MISS p50/p99 ms\n"
         "(all)        12     5       5      0         2   50.0        3  1.5 KiB       0.10/1.24"
         "                -\n"
         "a?           12     -       -      -         -      -        -        -               -"
         "                -\n"},
        {show_stats,
         "{\"totals\":{\"requests\":1},\"rate_limits\":{\"api\":{\"allowed\":9,\"refused\":2,"
         "\"would_refuse\":0,\"stale\":1,\"clients\":3}}}",
         "ROUTE  REQUESTS  HITS  MISSES  STALE  BYPASSES  HIT %  ENTRIES  BYTES  HIT p50/p99 ms"
         "  MISS p50/p99 ms\n"
         "(all)         1     -       -      -         -      -        -      -               -"
         "                -\n"
         "\nrate limit api: allowed 9, refused 2, would_refuse 0, clients 3\n"},
        {show_keys,
         "{\"total\":7,\"keys\":[{\"key\":\"a:1\",\"route\":\"a\",\"status\":200,\"age_s\":61,"
         "\"ttl_s\":-4,\"bytes\":12,\"hits\":3}]}",
         "KEY  ROUTE  STATUS        AGE    TTL  BYTES  HITS\n"
         "a:1  a         200  1 min 1 s  stale   12 B     3\n1 of 7 keys\n"},
        {show_invalidated,
         "{\"mode\":\"hard\",\"matched\":12,\"removed\":12,\"in_flight\":3,\"id\":\"inv-1\","
         "\"dry_run\":false,\"keys\":[\"a\",\"b\"],\"refresh_job\":null}",
         "12 answers removed (3 fetches in flight overtaken), id inv-1\na\nb\n"},
        {show_invalidated,
         "{\"mode\":\"soft\",\"matched\":1,\"removed\":0,\"in_flight\":1,\"dry_run\":true}",
         "1 answer would be marked stale (1 fetch in flight overtaken)\n"},
        {show_invalidated, "{\"removed\":0,\"in_flight\":0,\"refresh_job\":\"job-7\"}",
         "0 answers removed (0 fetches in flight overtaken)\n"
         "fetched again by job-7: larder ctl jobs job-7\n"},
        {show_jobs, "{\"jobs\":[]}", "no jobs\n"},
        {show_jobs,
         "{\"id\":\"job-1\",\"name\":null,\"state\":\"done\",\"total\":2,\"done\":2,\"warmed\":1,"
         "\"failed\":1,\"started\":\"2026-01-01T00:00:00Z\",\"elapsed_ms\":1500,\"items\":[{"
         "\"url\":\"/a\",\"status\":502,\"outcome\":\"failed\",\"error\":\"x\",\"ms\":3.5}]}",
         "ID     NAME  STATE  DONE  OK  FAILED  STARTED               ELAPSED\n"
         "job-1  -     done    2/2   1       1  2026-01-01T00:00:00Z      1 s\n\n"
         "URL  STATUS  OUTCOME   MS  ERROR\n/a      502  failed   3.5  x\n"},
        {show_job, "{\"job\":{\"id\":\"job-1\",\"state\":\"queued\",\"total\":2,\"done\":0}}",
         "job-1: queued, 0 of 2 done\n"},
        {show_failed,
         "{\"items\":[{\"url\":\"/a\",\"status\":200,\"outcome\":\"miss\",\"error\":null},"
         "{\"url\":\"/b\",\"status\":404,\"outcome\":\"miss\"},{\"url\":\"/"
         "c\",\"error\":\"timeout\"}]}",
         "failed  /b  404  miss\nfailed  /c    -  timeout\n"},
        {show_members,
         "{\"route\":\"courses\",\"n\":null,\"tags\":[\"a\",{\"b\":true}],\"none\":[]}",
         "route: courses\nn: -\ntags:\n  - a\n  -\n    b: true\nnone: -\n"},
        {show_routes,
         "{\"routes\":[{\"name\":\"a\",\"ttl\":\"5m\",\"x\":[1]},{\"name\":\"longer\"}]}",
         "NAME    TTL\na       5m\nlonger  -\n"},
        {show_routes, "{\"routes\":{\"a\":{\"on\":true}}}", "NAME  ON\na     true\n"},
        {show_routes, "{\"routes\":[]}", "routes: -\n"},
        {show_json, "{\"a\":[1,\"\\u001b\",{}],\"b\":null}",
         "{\n  \"a\": [\n    1,\n    \"\\u001b\",\n    {}\n  ],\n  \"b\": null\n}\n"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct json_doc *doc = parse(cases[i].json);
        struct buf out;
        buf_init(&out, 10000);
        cases[i].show(json_root(doc), &out);
        assert_text(&out, cases[i].want, cases[i].json);
        buf_fini(&out);
        json_doc_free(doc);
    }
}

/* What a stranger's server may answer: any JSON at all. */
static void each_show_takes_each_json(void **state)
{
    (void)state;
    static void (*const shows[])(const struct json *, struct buf *) = {
        show_stats,  show_keys,   show_jobs,    show_job, show_invalidated,
        show_failed, show_routes, show_members, show_json};
    static const char *const texts[] = {
        "null",
        "1",
        "\"x\"",
        "[]",
        "[1,[2]]",
        "{}",
        "{\"routes\":1,\"keys\":1,\"jobs\":1}",
        "{\"routes\":[[]],\"keys\":[1],\"jobs\":[1],\"items\":[null]}",
        "{\"routes\":{\"a\":1,\"b\":{}},\"keys\":{\"a\":[]},\"jobs\":{\"a\":{}},\"job\":7}",
        "{\"uptime_s\":1e300,\"totals\":[],\"routes\":[{}],\"in_flight\":1e300,\"id\":{}}",
    };
    for (size_t s = 0; s < array_len(shows); s++) {
        for (size_t i = 0; i < array_len(texts); i++) {
            struct json_doc *doc = parse(texts[i]);
            struct buf out;
            buf_init(&out, 10000);
            shows[s](json_root(doc), &out);
            assert_false(out.failed);
            buf_fini(&out);
            json_doc_free(doc);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_calls),
        cmocka_unit_test(wrong_words_are_told),
        cmocka_unit_test(options_come_before_the_command),
        cmocka_unit_test(urls_name_host_port_and_prefix),
        cmocka_unit_test(answers_are_decoded_however_they_are_cut),
        cmocka_unit_test(what_is_no_http_is_refused),
        cmocka_unit_test(event_streams_are_read_however_they_are_cut),
        cmocka_unit_test(an_event_that_is_too_large_is_left_out),
        cmocka_unit_test(progress_is_a_line_of_the_width_there_is),
        cmocka_unit_test(what_is_no_job_is_no_progress),
        cmocka_unit_test(each_tenth_and_the_end_are_told_once),
        cmocka_unit_test(tables_are_as_wide_as_their_cells),
        cmocka_unit_test(nothing_in_a_text_steers_the_terminal),
        cmocka_unit_test(answers_are_shown_as_people_read_them),
        cmocka_unit_test(each_show_takes_each_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
