/* test_log_streams.c: each stream goes where it is told to, security events are bounded and hold no
 * secrets, and the operator's words stand in access lines. */
#include <larder/base/json.h>
#include <larder/base/log.h>
#include <larder/base/monotime.h>

#include "base-test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 100 };

static char directory[64];
static char paths[LOG_STREAMS][PATH_BYTES];

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(directory, sizeof(directory), "%.40s/larder-log-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(directory))
        return -1;
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        snprintf(paths[i], PATH_BYTES, "%s/%u", directory, i);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        unlink(paths[i]);
    return rmdir(directory);
}

static struct log_config to_files(void)
{
    struct log_config c = {.level = LOG_LEVEL_INFO};
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        c.streams[i] = paths[i];
    return c;
}

/* The text of a file, NUL behind it. */
static char *text_of(const char *path)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
    close(fd);
    return text;
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void assert_says(unsigned stream, const char *what)
{
    char *text = text_of(paths[stream]);
    if (!strstr(text, what))
        fail_msg("\"%s\" is not in: %s", what, text);
    free(text);
}

static void each_line_goes_to_its_stream(void **state)
{
    struct log_config c = to_files();
    struct access_record r = {.outcome = "hit", .method = SPAN_LIT("GET")};
    struct security_event e = {.action = "bad-request"};
    (void)state;
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    log_access(access_queue_new(4096), &r);
    log_warn("a message");
    log_line(LOG_PERFORMANCE, SPAN_LIT("{\"a\":1}"));
    log_security(&e);
    log_stop();
    assert_says(LOG_ERROR, "\"log.level\":\"warn\",\"message\":\"a message\"}\n");
    assert_says(LOG_ACCESS, "\"larder.outcome\":\"hit\"");
    assert_says(LOG_PERFORMANCE, "{\"a\":1}\n");
    assert_says(LOG_SECURITY, "\"event.action\":\"bad-request\"");
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        char *text = text_of(paths[i]);
        assert_int_equal(count_of(text, "\n"), 1);
        free(text);
    }
}

static void streams_to_one_file_keep_their_order(void **state)
{
    enum { LINES = 100 };
    struct log_config c = to_files();
    char *at;
    (void)state;
    c.streams[LOG_SECURITY] = c.streams[LOG_PERFORMANCE] = c.streams[LOG_ERROR];
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    for (unsigned i = 0; i < LINES; i++) {
        char line[40];
        snprintf(line, sizeof(line), "{\"line\":\"%u.1\"}", i);
        log_info("%u.0", i);
        log_line(i % 2 ? LOG_PERFORMANCE : LOG_SECURITY, span_str(line));
    }
    log_stop();
    char *text = text_of(paths[LOG_ERROR]);
    at = text;
    for (unsigned i = 0; i < 2 * LINES; i++) {
        char what[16];
        snprintf(what, sizeof(what), "\"%u.%u\"", i / 2, i % 2);
        at = strstr(at, what);
        if (!at)
            fail_msg("%s is not in its place", what);
    }
    assert_int_equal(count_of(text, "\n"), 2 * LINES);
    free(text);
}

/* Until the writer has been there. */
static void wait_for_bytes(const char *path, off_t least)
{
    struct stat st = {0};
    while (stat(path, &st) != 0 || st.st_size < least)
        usleep(1000);
}

static void a_file_of_each_stream_is_opened_anew(void **state)
{
    struct log_config c = to_files();
    char moved[LOG_STREAMS][PATH_BYTES + 8];
    (void)state;
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        snprintf(moved[i], sizeof(moved[i]), "%.*s.old", PATH_BYTES - 1, paths[i]);
        log_line((enum log_stream)i, SPAN_LIT("{}"));
        wait_for_bytes(paths[i], 3);
        assert_int_equal(rename(paths[i], moved[i]), 0);
    }
    log_reopen();
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        wait_for_bytes(paths[i], 0);
    for (unsigned i = 0; i < LOG_STREAMS; i++)
        log_line((enum log_stream)i, SPAN_LIT("{\"new\":1}"));
    log_stop();
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        char *old = text_of(moved[i]), *new = text_of(paths[i]);
        assert_string_equal(new, "{\"new\":1}\n");
        assert_true(strcmp(old, "{}\n") == 0);
        free(old);
        free(new);
        unlink(moved[i]);
    }
}

static void a_stream_that_cannot_be_opened_is_named(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        static const char *const names[] = {"error", "access", "performance", "security"};
        char what[100];
        struct log_config c = to_files();
        struct err err;
        c.streams[i] = directory;
        assert_int_equal(log_start(&c, &err), ERR_IO);
        snprintf(what, sizeof(what), "the %s log cannot be opened: ", names[i]);
        assert_non_null(strstr(err.what, what));
        assert_string_equal(err.where, directory);
    }
}

/* Neither the start, nor a rotation and the stop after it, may hang on it. */
static void a_fifo_without_a_reader_holds_nothing_up(void **state)
{
    struct log_config c = to_files();
    struct err err;
    (void)state;
    assert_int_equal(mkfifo(paths[LOG_ACCESS], 0600), 0);
    assert_int_equal(log_start(&c, &err), ERR_IO);
    assert_string_equal(err.where, paths[LOG_ACCESS]);
    unlink(paths[LOG_ACCESS]);
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    unlink(paths[LOG_ACCESS]);
    assert_int_equal(mkfifo(paths[LOG_ACCESS], 0600), 0);
    log_reopen();
    log_stop();
    assert_says(LOG_ERROR, "the access log cannot be opened: ");
    unlink(paths[LOG_ACCESS]);
}

static void an_event_tells_all_but_queries_and_control_characters(void **state)
{
    struct log_config c = to_files();
    struct security_event e = {.action = "rate-limited",
                               .client = SPAN_LIT("192.0.2.1"),
                               .method = SPAN_LIT("GET"),
                               .target = SPAN_LIT("/a\x01\"?password=hunter2"),
                               .what = SPAN_LIT("api-1m"),
                               .request_id = SPAN_LIT("id-1"),
                               .status = 429,
                               .is_dry_run = true};
    (void)state;
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    log_security(&e);
    log_stop();
    assert_says(LOG_SECURITY,
                "\"log.level\":\"warn\",\"event.action\":\"rate-limited\",\"client.ip\":"
                "\"192.0.2.1\",\"http.request.method\":\"GET\",\"url.original\":"
                "\"/a\\u0001\\\"?...\",\"http.response.status_code\":429,\"larder.policy\":"
                "\"api-1m\",\"http.request.id\":\"id-1\",\"larder.dry_run\":true,\"message\":"
                "\"security: rate-limited (dry run) by 192.0.2.1: GET /a\\u0001\\\"?... api-1m: "
                "429\"}\n");
}

static void events_of_any_size_make_whole_lines(void **state)
{
    static char longest[5000];
    struct log_config c = to_files();
    struct json_doc *doc = NULL;
    uint64_t dropped = log_dropped();
    (void)state;
    memset(longest, 1, sizeof(longest) - 1);
    longest[2000] = '?';
    struct span s = span_of(longest, sizeof(longest) - 1);
    struct security_event e = {.action = "control-denied",
                               .client = s,
                               .method = s,
                               .target = s,
                               .what = s,
                               .request_id = s,
                               .user = s,
                               .message = longest};
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    log_security(&e);
    e.message = NULL;
    log_security(&e);
    log_stop();
    char *text = text_of(paths[LOG_SECURITY]);
    struct span second, first = span_split(span_str(text), '\n', &second);
    assert_int_equal(log_dropped(), dropped);
    assert_int_equal(json_parse(first, NULL, 0, 2, &doc, NULL), ERR_OK);
    json_doc_free(doc);
    assert_int_equal(json_parse(second, NULL, 0, 2, &doc, NULL), ERR_OK);
    json_doc_free(doc);
    free(text);
}

/* Whoever may call what is open may not fill the disk either. */
static void what_anybody_may_do_is_told_as_often_as_what_is_refused(void **state)
{
    enum { EVENTS = 5000 };
    struct log_config c = to_files();
    struct security_event open = {.action = "opened", .is_audit = true, .is_anybodys = true};
    (void)state;
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    mono_ms began = mono_now_ms();
    for (unsigned i = 0; i < EVENTS; i++)
        log_security(&open);
    uint64_t seconds = (uint64_t)(mono_now_ms() - began) / 1000 + 2;
    log_stop();
    char *text = text_of(paths[LOG_SECURITY]);
    assert_true(count_of(text, "\"log.level\":\"info\"") <= seconds * LOG_SECURITY_RATE);
    assert_non_null(strstr(text, "\"larder.suppressed\":"));
    free(text);
}

static void a_flood_is_counted_and_audits_are_all_told(void **state)
{
    enum { EVENTS = 5000 };
    struct log_config c = to_files();
    struct security_event flood = {.action = "flood"};
    struct security_event audit = {.action = "audited", .is_audit = true};
    uint64_t told = 0;
    (void)state;
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    for (unsigned i = 0; i < EVENTS; i++) {
        log_security(&flood);
        if (i % 10 == 0)
            log_security(&audit);
    }
    log_stop();
    char *text = text_of(paths[LOG_SECURITY]);
    assert_int_equal(count_of(text, "\"event.action\":\"audited\""), EVENTS / 10);
    const char *name = "\"larder.suppressed\":";
    size_t sums = count_of(text, name);
    assert_true(sums > 0);
    for (const char *at = text; (at = strstr(at, name)) != NULL; at++)
        told += strtoull(at + strlen(name), NULL, 10);
    assert_int_equal(told + count_of(text, "\"event.action\":\"flood\"") - sums, EVENTS);
    free(text);
}

static void words_tell_what_became_of_a_request(void **state)
{
    static const struct {
        const char *outcome, *reason, *message;
        bool is_stored;
    } cases[] = {
        {"hit", "", "hit k:1!", false},
        {"hit", "redis", "redis k:1", false},
        {"stale", "", "hit k:1!", false},
        {"miss", "absent", "\xf0\x9f\x94\x84", false},
        {"miss", "absent", "\xf0\x9f\x94\x84; put k:1", true},
        {"bypass", "cookie", NULL, false},
        {"bypass", "x", "put k:1", true},
        {"coalesced", "", "waited", false},
        {"error", "", NULL, false},
    };
    struct log_config c = to_files();
    (void)state;
    c.words[LOG_WORD_HIT] = SPAN_LIT("hit ${key}!");
    c.words[LOG_WORD_REDIS_HIT] = SPAN_LIT("redis ${key}");
    c.words[LOG_WORD_MISS] = SPAN_LIT("\xf0\x9f\x94\x84");
    c.words[LOG_WORD_COALESCED] = SPAN_LIT("waited");
    c.words[LOG_WORD_STORE] = SPAN_LIT("put ${key}");
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    struct access_queue *q = access_queue_new(65536);
    for (size_t i = 0; i < array_len(cases); i++) {
        struct access_record r = {.outcome = cases[i].outcome,
                                  .reason = span_str(cases[i].reason),
                                  .key = SPAN_LIT("k:1"),
                                  .is_stored = cases[i].is_stored};
        log_access(q, &r);
    }
    log_stop();
    char *text = text_of(paths[LOG_ACCESS]);
    struct span rest = span_str(text);
    for (size_t i = 0; i < array_len(cases); i++) {
        struct json_doc *doc = NULL;
        assert_int_equal(json_parse(span_split(rest, '\n', &rest), NULL, 0, 2, &doc, NULL), ERR_OK);
        const struct json *message = json_member(json_root(doc), SPAN_LIT("message"));
        assert_int_equal(message != NULL, cases[i].message != NULL);
        if (message)
            assert_span(message->text, span_str(cases[i].message), cases[i].outcome);
        json_doc_free(doc);
    }
    free(text);
}

static void the_longest_key_fits_into_words(void **state)
{
    static char key[5000];
    struct log_config c = to_files();
    struct json_doc *doc = NULL;
    (void)state;
    memset(key, 1, sizeof(key));
    c.words[LOG_WORD_MISS] = c.words[LOG_WORD_STORE] = SPAN_LIT("${key}");
    assert_int_equal(log_start(&c, NULL), ERR_OK);
    struct access_record r = {
        .outcome = "miss", .key = span_of(key, sizeof(key)), .is_stored = true};
    log_access(access_queue_new(65536), &r);
    log_stop();
    char *text = text_of(paths[LOG_ACCESS]);
    assert_int_equal(json_parse(span_str(text), NULL, 0, 2, &doc, NULL), ERR_OK);
    assert_int_equal(json_member(json_root(doc), SPAN_LIT("message"))->text.len, 2 * 4096 + 2);
    json_doc_free(doc);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_line_goes_to_its_stream),
        TEST(streams_to_one_file_keep_their_order),
        TEST(a_file_of_each_stream_is_opened_anew),
        TEST(a_stream_that_cannot_be_opened_is_named),
        TEST(a_fifo_without_a_reader_holds_nothing_up),
        TEST(an_event_tells_all_but_queries_and_control_characters),
        TEST(events_of_any_size_make_whole_lines),
        TEST(a_flood_is_counted_and_audits_are_all_told),
        TEST(what_anybody_may_do_is_told_as_often_as_what_is_refused),
        TEST(words_tell_what_became_of_a_request),
        TEST(the_longest_key_fits_into_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
