/* test_log.c: lines that arrive whole, in order, or are counted; and nothing that waits for them.
 * stderr and stdout are lent to files and pipes; nothing is asserted while they are, so that
 * cmocka's own words are not lost. */
#include <larder/base/json.h>
#include <larder/base/log.h>
#include <larder/base/monotime.h>

#include "base-test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, LINES_MAX = 1 << 17 };

struct place {
    char dir[64], messages[80], access[80], moved[80];
    int saved; /* what stood at <fd> */
    int fd;
};

static void lend(struct place *at, int fd, int to)
{
    fflush(NULL);
    at->fd = fd;
    at->saved = dup(fd);
    dup2(to, fd);
    close(to);
}

static void give_back(struct place *at)
{
    fflush(NULL);
    dup2(at->saved, at->fd);
    close(at->saved);
}

static int set_up(void **state)
{
    struct place *at = calloc(1, sizeof(*at));
    const char *tmp = getenv("TMPDIR");
    snprintf(at->dir, sizeof(at->dir), "%.40s/larder-log-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(at->dir))
        return -1;
    snprintf(at->messages, sizeof(at->messages), "%s/messages", at->dir);
    snprintf(at->access, sizeof(at->access), "%s/access", at->dir);
    snprintf(at->moved, sizeof(at->moved), "%s/moved", at->dir);
    lend(at, STDERR_FILENO, open(at->messages, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    *state = at;
    return 0;
}

static int tear_down(void **state)
{
    struct place *at = *state;
    unlink(at->messages);
    unlink(at->access);
    unlink(at->moved);
    rmdir(at->dir);
    free(at);
    return 0;
}

static struct span read_file(const char *path)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = fd >= 0 && fstat(fd, &st) == 0 ? (size_t)st.st_size : 0;
    char *text = malloc(len + 1);
    ssize_t n = fd >= 0 ? read(fd, text, len) : 0;
    if (fd >= 0)
        close(fd);
    return span_of(text, n > 0 ? (size_t)n : 0);
}

/* The lines of a file, each read as JSON. */
struct lines {
    struct json_doc *docs[LINES_MAX];
    size_t count, bad;
};

static struct lines *lines_of(struct span text)
{
    struct lines *lines = calloc(1, sizeof(*lines));
    for (struct span rest = text, line; rest.p && rest.len;) {
        line = span_split(rest, '\n', &rest);
        bool is_good = rest.p && lines->count < LINES_MAX &&
                       json_parse(line, NULL, 0, 4, &lines->docs[lines->count], NULL) == ERR_OK;
        *(is_good ? &lines->count : &lines->bad) += 1;
    }
    return lines;
}

static struct lines *read_lines(const char *path)
{
    struct span text = read_file(path);
    struct lines *lines = lines_of(text);
    free((char *)text.p);
    return lines;
}

static void lines_free(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        json_doc_free(lines->docs[i]);
    free(lines);
}

static struct span text_of(const struct lines *lines, size_t i, const char *name)
{
    const struct json *j =
        i < lines->count ? json_member(json_root(lines->docs[i]), span_str(name)) : NULL;
    return j ? j->text : span_of(NULL, 0);
}

static const struct access_record plain = {
    .time_unix_ms = 1, .method = {"GET", 3}, .target = {"/a", 2}, .outcome = "hit", .status = 200};

static void messages_are_lines_of_json_before_during_and_after(void **state)
{
    struct place *at = *state;
    static const char *const levels[] = {"warn", "error", "info", "warn", "error"};
    static const char *const texts[] = {"before", "one \"1\"\n\xef\xbf\xbd", "two", "three",
                                        "after"};
    log_debug("not at this level");
    log_warn("%s", "before");
    enum err_code rc = start_log(LOG_LEVEL_INFO, "off", NULL);
    log_error("one \"%d\"\n\xff", 1);
    log_info("two");
    log_debug("not at this level");
    log_set_level(LOG_LEVEL_WARN);
    log_info("not any more");
    log_warn("three");
    log_stop();
    log_set_level(LOG_LEVEL_INFO);
    log_error("after");
    give_back(at);

    assert_int_equal(rc, ERR_OK);
    struct lines *lines = read_lines(at->messages);
    assert_int_equal(lines->bad, 0);
    assert_int_equal(lines->count, array_len(texts));
    for (size_t i = 0; i < array_len(texts); i++) {
        assert_span(text_of(lines, i, "log.level"), span_str(levels[i]), "level");
        assert_span(text_of(lines, i, "message"), span_str(texts[i]), "message");
        struct span when = text_of(lines, i, "@timestamp");
        assert_int_equal(when.len, strlen("2026-11-20T22:29:00.123Z"));
        assert_true(when.p[10] == 'T' && when.p[19] == '.' && when.p[23] == 'Z');
    }
    lines_free(lines);
}

static void a_long_message_is_cut_and_stays_a_line(void **state)
{
    struct place *at = *state;
    char text[5000];
    memset(text, 1, sizeof(text) - 1); /* six bytes each, escaped */
    text[sizeof(text) - 1] = '\0';
    log_warn("%s", text);
    give_back(at);
    struct lines *lines = read_lines(at->messages);
    assert_int_equal(lines->bad, 0);
    assert_int_equal(lines->count, 1);
    assert_int_equal(text_of(lines, 0, "message").len, 1023);
    lines_free(lines);
}

/* 2026-11-20T22:29:00.123Z */
static const struct access_record full = {.time_unix_ms = 1795213740123,
                                          .method = {"POST", 4},
                                          .target = {"/a?q=\"\n\xff", 8},
                                          .client = {"192.0.2.1", 9},
                                          .route = {"courses", 7},
                                          .key = {"k:1", 3},
                                          .reason = {"expired", 7},
                                          .request_id = {"ab-1", 4},
                                          .outcome = "miss",
                                          .status = 200,
                                          .age_s = 7,
                                          .body_bytes = 1234567890123,
                                          .total_us = 2500,
                                          .upstream_us = 1234567};

static void access_lines_tell_all_and_leave_out_what_is_empty(void **state)
{
    struct place *at = *state;
    enum err_code rc = start_log(LOG_LEVEL_INFO, at->access, NULL);
    struct access_queue *q = access_queue_new(4096);
    log_access(q, &full);
    log_access(q, &plain);
    log_stop();
    give_back(at);

    assert_int_equal(rc, ERR_OK);
    struct span text = read_file(at->access);
    assert_span(
        text,
        SPAN_LIT("{\"@timestamp\":\"2026-11-20T22:29:00.123Z\",\"client.ip\":\"192.0.2.1\","
                 "\"http.request.method\":\"POST\",\"url.original\":\"/a?q=\\\"\\n\xef\xbf\xbd\","
                 "\"http.response.status_code\":200,\"http.response.body.bytes\":1234567890123,"
                 "\"event.duration\":2500000,\"http.request.id\":\"ab-1\","
                 "\"larder.route\":\"courses\",\"larder.key\":\"k:1\",\"larder.outcome\":\"miss\","
                 "\"larder.reason\":\"expired\",\"larder.age_s\":7,\"larder.upstream_ms\":1234.567}"
                 "\n"
                 "{\"@timestamp\":\"1970-01-01T00:00:00.001Z\",\"http.request.method\":\"GET\","
                 "\"url.original\":\"/a\",\"http.response.status_code\":200,"
                 "\"http.response.body.bytes\":0,\"event.duration\":0,\"larder.outcome\":\"hit\","
                 "\"larder.age_s\":0,\"larder.upstream_ms\":0.000}\n"),
        "access");
    free((char *)text.p);
}

static void texts_of_any_size_and_bytes_make_whole_lines(void **state)
{
    struct place *at = *state;
    uint64_t dropped = log_dropped();
    static char long_text[6000];
    memset(long_text, 1, sizeof(long_text));
    struct span s = span_of(long_text, sizeof(long_text));
    struct access_record r = {.method = s,
                              .target = s,
                              .client = s,
                              .route = s,
                              .key = s,
                              .reason = s,
                              .request_id = s,
                              .outcome = "error"};
    (void)!start_log(LOG_LEVEL_INFO, at->access, NULL);
    struct access_queue *q = access_queue_new(1 << 20);
    for (unsigned i = 0; i < 20; i++)
        log_access(q, &r);
    log_stop();
    give_back(at);

    struct lines *lines = read_lines(at->access);
    assert_int_equal(lines->bad, 0);
    assert_int_equal(lines->count + (log_dropped() - dropped), 20);
    assert_true(lines->count > 0);
    assert_int_equal(text_of(lines, 0, "larder.key").len, 4096); /* the rest is cut off */
    lines_free(lines);
}

/* Before log_start() nobody empties the ring. */
static void a_full_ring_drops_and_counts(void **state)
{
    struct place *at = *state;
    uint64_t before = log_dropped();
    struct access_queue *q = access_queue_new(4096);
    for (unsigned i = 0; i < 1000; i++)
        log_access(q, &plain);
    uint64_t dropped = log_dropped() - before;
    (void)!start_log(LOG_LEVEL_INFO, at->access, NULL);
    log_stop();
    give_back(at);

    struct lines *lines = read_lines(at->access);
    assert_true(dropped > 900 && dropped < 1000);
    assert_int_equal(lines->bad, 0);
    assert_int_equal(lines->count, 1000 - dropped);
    lines_free(lines);
}

enum { PRODUCERS = 4, RECORDS = 20000 };

struct producer {
    struct access_queue *queue;
    unsigned index;
    pthread_t thread;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    char key[200];
    memset(key, 'k', sizeof(key));
    for (unsigned i = 1; i <= RECORDS; i++) {
        struct access_record r = plain;
        r.status = p->index;
        r.body_bytes = i;
        r.key = span_of(key, i % sizeof(key));
        log_access(p->queue, &r);
        if (i % 5000 == 0)
            log_info("%u at %u", p->index, i);
    }
    return NULL;
}

static uint64_t number_of(const struct lines *lines, size_t i, const char *name)
{
    uint64_t value = 0;
    (void)span_parse_u64(text_of(lines, i, name), &value); /* 0 where there is none */
    return value;
}

static void every_record_arrives_whole_and_in_order_or_is_counted(void **state)
{
    struct place *at = *state;
    struct producer producers[PRODUCERS];
    uint64_t dropped = log_dropped();
    (void)!start_log(LOG_LEVEL_INFO, at->access, NULL);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.queue = access_queue_new(16384), .index = i};
        pthread_create(&producers[i].thread, NULL, produce, &producers[i]);
    }
    for (unsigned i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    log_stop();
    dropped = log_dropped() - dropped;
    give_back(at);

    struct lines *lines = read_lines(at->access);
    struct lines *messages = read_lines(at->messages);
    uint64_t last[PRODUCERS] = {0};
    assert_int_equal(lines->bad, 0);
    assert_int_equal(lines->count + dropped, PRODUCERS * RECORDS);
    for (size_t i = 0; i < lines->count; i++) {
        uint64_t who = number_of(lines, i, "http.response.status_code");
        uint64_t nth = number_of(lines, i, "http.response.body.bytes");
        assert_true(who < PRODUCERS && nth > last[who]);
        assert_int_equal(text_of(lines, i, "larder.key").len, nth % 200);
        last[who] = nth;
    }
    assert_int_equal(messages->bad, 0);
    assert_int_equal(messages->count, PRODUCERS * RECORDS / 5000);
    lines_free(lines);
    lines_free(messages);
}

static bool wait_for_bytes(const char *path)
{
    struct stat st;
    uint64_t until = mono_now_ms() + PATIENCE_MS;
    while (mono_now_ms() < until) {
        if (stat(path, &st) == 0 && st.st_size > 0)
            return true;
        usleep(1000);
    }
    return false;
}

static bool wait_for_file(const char *path)
{
    uint64_t until = mono_now_ms() + PATIENCE_MS;
    while (access(path, F_OK) != 0 && mono_now_ms() < until)
        usleep(1000);
    return access(path, F_OK) == 0;
}

static void a_rotated_file_is_opened_anew(void **state)
{
    struct place *at = *state;
    (void)!start_log(LOG_LEVEL_INFO, at->access, NULL);
    struct access_queue *q = access_queue_new(4096);
    log_access(q, &plain);
    bool is_written = wait_for_bytes(at->access); /* without a stop: the writer looks by itself */
    rename(at->access, at->moved);
    log_reopen();
    bool is_open = wait_for_file(at->access);
    log_access(q, &full);
    log_access(q, &full);
    log_stop();
    give_back(at);

    assert_true(is_written);
    assert_true(is_open);
    struct lines *old = read_lines(at->moved), *fresh = read_lines(at->access);
    assert_int_equal(old->count, 1);
    assert_int_equal(fresh->count, 2);
    lines_free(old);
    lines_free(fresh);
}

static void a_file_that_cannot_be_opened_anew_is_warned_of_and_the_old_one_goes_on(void **state)
{
    struct place *at = *state;
    (void)!start_log(LOG_LEVEL_INFO, at->access, NULL);
    struct access_queue *q = access_queue_new(4096);
    rename(at->access, at->moved);
    mkdir(at->access, 0700); /* stands in the way */
    log_reopen();
    bool is_warned = wait_for_bytes(at->messages);
    log_access(q, &plain);
    log_stop();
    rmdir(at->access);
    give_back(at);

    assert_true(is_warned);
    struct lines *lines = read_lines(at->moved), *messages = read_lines(at->messages);
    assert_int_equal(lines->count, 1);
    assert_int_equal(messages->count, 1);
    assert_span(text_of(messages, 0, "log.level"), SPAN_LIT("warn"), "level");
    lines_free(lines);
    lines_free(messages);
}

static void a_path_that_cannot_be_opened_is_an_error_at_the_start(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    enum err_code rc = start_log(LOG_LEVEL_INFO, at->dir, &err);
    log_warn("goes on");
    log_stop(); /* harmless */
    give_back(at);
    assert_int_equal(rc, ERR_IO);
    assert_string_equal(err.where, at->dir);
    assert_non_null(strstr(err.what, "cannot be opened"));
    struct lines *messages = read_lines(at->messages);
    assert_int_equal(messages->count, 1);
    lines_free(messages);
}

/* SIGPIPE has its default action here, which would end the test. */
static void a_reader_of_stdout_that_goes_away_costs_lines_and_nothing_else(void **state)
{
    struct place *at = *state, out;
    int ends[2];
    uint64_t dropped = log_dropped();
    (void)!pipe2(ends, O_CLOEXEC);
    lend(&out, STDOUT_FILENO, ends[1]);
    close(ends[0]);
    (void)!start_log(LOG_LEVEL_INFO, "stdout", NULL);
    struct access_queue *q = access_queue_new(1 << 16);
    for (unsigned i = 0; i < 10; i++)
        log_access(q, &plain);
    log_stop();
    give_back(&out);
    give_back(at);
    assert_int_equal(log_dropped() - dropped, 10);
    struct lines *messages = read_lines(at->messages);
    assert_int_equal(messages->count, 1); /* said once */
    assert_non_null(memmem(text_of(messages, 0, "message").p, text_of(messages, 0, "message").len,
                           "lines are dropped", 17));
    lines_free(messages);
}

static struct span drain(int fd)
{
    char *text = malloc(1 << 20);
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, (1 << 20) - len)) > 0)
        len += (size_t)n;
    return span_of(text, len);
}

/* The pipe takes a part of the batch: one line may be torn, and the next stands by itself. */
static void a_full_pipe_tears_one_line_at_most(void **state)
{
    struct place *at = *state, out;
    int ends[2];
    uint64_t dropped = log_dropped();
    (void)!pipe2(ends, O_CLOEXEC | O_NONBLOCK);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    lend(&out, STDOUT_FILENO, ends[1]);
    (void)!start_log(LOG_LEVEL_INFO, "stdout", NULL);
    struct access_queue *q = access_queue_new(1 << 16);
    for (unsigned i = 0; i < 100; i++)
        log_access(q, &full);
    uint64_t until = mono_now_ms() + PATIENCE_MS;
    while (log_dropped() == dropped && mono_now_ms() < until)
        usleep(1000);
    struct span first = drain(ends[0]);
    dropped = log_dropped() - dropped;
    log_access(q, &plain);
    log_stop();
    struct span second = drain(ends[0]);
    give_back(&out);
    give_back(at);
    close(ends[0]);

    char *all = malloc(first.len + second.len);
    memcpy(all, first.p, first.len);
    memcpy(all + first.len, second.p, second.len);
    struct lines *lines = lines_of(span_of(all, first.len + second.len));
    assert_true(lines->bad <= 1);
    assert_int_equal(lines->count + dropped, 101);
    assert_span(text_of(lines, lines->count - 1, "url.original"), SPAN_LIT("/a"), "last");
    lines_free(lines);
    free(all);
    free((char *)first.p);
    free((char *)second.p);
}

/* Nobody reads stderr: messages are dropped, and log_stop() does not wait for each. */
static void stalled_messages_are_bounded_and_do_not_hold_up_the_stop(void **state)
{
    struct place *at = *state, pipe_at;
    int ends[2];
    uint64_t dropped = log_dropped();
    (void)!pipe2(ends, O_CLOEXEC | O_NONBLOCK);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    lend(&pipe_at, STDERR_FILENO, ends[1]);
    (void)!start_log(LOG_LEVEL_INFO, "off", NULL);
    for (unsigned i = 0; i < 5000; i++)
        log_info("message %u", i);
    uint64_t begun = mono_now_ms();
    log_stop();
    uint64_t took = mono_now_ms() - begun;
    struct span text = drain(ends[0]);
    give_back(&pipe_at);
    give_back(at);
    close(ends[0]);

    struct lines *lines = lines_of(text);
    assert_true(took < PATIENCE_MS / 2);
    assert_true(lines->bad <= 1);
    assert_int_equal(lines->count + (log_dropped() - dropped), 5000);
    lines_free(lines);
    free((char *)text.p);
}

/* A signal goes to any thread that does not block it: here to none, or the test would end. */
static void the_writer_takes_no_signals(void **state)
{
    struct place *at = *state;
    sigset_t mine, pending, old;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR1);
    sigaddset(&mine, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &mine, &old);
    (void)!start_log(LOG_LEVEL_INFO, "off", NULL);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGTERM);
    usleep(50000);
    sigpending(&pending);
    int got, both = 0;
    while (both < 2 && sigwait(&mine, &got) == 0)
        both++;
    log_stop();
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    give_back(at);
    assert_true(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGTERM));
}

static void an_access_log_that_is_off_loses_nothing_and_fills_nothing(void **state)
{
    struct place *at = *state;
    uint64_t dropped = log_dropped();
    (void)!start_log(LOG_LEVEL_INFO, "off", NULL);
    struct access_queue *q = access_queue_new(4096);
    for (unsigned i = 0; i < 100; i++) {
        log_access(q, &plain);
        if (i % 10 == 0)
            usleep(30000);
    }
    log_stop();
    give_back(at);
    assert_int_equal(log_dropped() - dropped, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_are_lines_of_json_before_during_and_after, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_long_message_is_cut_and_stays_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(access_lines_tell_all_and_leave_out_what_is_empty, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(texts_of_any_size_and_bytes_make_whole_lines, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_ring_drops_and_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_record_arrives_whole_and_in_order_or_is_counted,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rotated_file_is_opened_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_file_that_cannot_be_opened_anew_is_warned_of_and_the_old_one_goes_on, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(a_path_that_cannot_be_opened_is_an_error_at_the_start,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_reader_of_stdout_that_goes_away_costs_lines_and_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_pipe_tears_one_line_at_most, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stalled_messages_are_bounded_and_do_not_hold_up_the_stop,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_writer_takes_no_signals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_access_log_that_is_off_loses_nothing_and_fills_nothing,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
