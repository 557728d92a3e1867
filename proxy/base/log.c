/* One writer thread. Messages wait in a bounded list under a lock and wake it; access records wait
 * in one ring for each worker, into which the writer looks every few milliseconds while there is
 * traffic and seldom while there is none, so that a hit costs a copy and no system call. */
#include "log-internal.h"

#include <larder/base/json.h>
#include <larder/base/monotime.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGES_MAX = 1024, MESSAGE_BYTES = 1024, BUSY_MS = 20, IDLE_MS = 100, SPARES = 16 };
enum { BATCH_FULL = 256 * 1024, BATCH_BYTES = BATCH_FULL + ACCESS_LINE_MAX };

struct message {
    struct message *next;
    enum log_level level;
    int64_t time_unix_ms;
    char text[];
};

struct messages {
    struct message *first, **last;
    unsigned count;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under the lock */
    bool is_running, is_stopping, is_reopen_wanted;
    struct messages waiting;
    struct access_queue *queues;
    /* any thread */
    _Atomic int level;
    _Atomic uint64_t dropped;
    /* the writer, and main while there is no writer */
    pthread_t thread;
    char *path;
    struct sink access, messages;
    bool is_access_failing;
} lg = {.lock = PTHREAD_MUTEX_INITIALIZER,
        .wake = PTHREAD_COND_INITIALIZER,
        .level = LOG_LEVEL_INFO,
        .access = {.fd = -1},
        .messages = {.fd = STDERR_FILENO}};

void log_time_format(int64_t unix_ms, struct buf *out)
{
    struct tm tm;
    time_t s = (time_t)(unix_ms / 1000);
    gmtime_r(&s, &tm);
    buf_add_fmt(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(unix_ms % 1000));
}

/* On the stack, so that "out of memory" can be said when it is true. */
static void write_message(struct sink *to, enum log_level level, int64_t time_unix_ms,
                          const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char line[6 * MESSAGE_BYTES + 256], when_block[40];
    struct buf out, when;
    struct json_writer w;
    buf_init_fixed(&out, line, sizeof(line));
    buf_init_fixed(&when, when_block, sizeof(when_block));
    log_time_format(time_unix_ms, &when);
    json_writer_init(&w, &out);
    json_write_object(&w, NULL);
    json_write_span(&w, "@timestamp", buf_span(&when));
    json_write_str(&w, "log.level", names[level]);
    json_write_str(&w, "message", text);
    json_write_object_end(&w);
    buf_add_char(&out, '\n');
    log_count_dropped(sink_write(to, buf_span(&out)));
}

/* Messages that find no memory: what is told then is worth most. */
static struct spare {
    _Atomic bool is_taken;
    _Alignas(struct message) char block[sizeof(struct message) + MESSAGE_BYTES];
} spares[SPARES];

static void *spare_take(void)
{
    for (unsigned i = 0; i < SPARES; i++)
        if (!atomic_exchange(&spares[i].is_taken, true))
            return spares[i].block;
    return NULL;
}

static void message_free(struct message *m)
{
    for (unsigned i = 0; i < SPARES; i++) {
        if ((char *)m != spares[i].block)
            continue;
        atomic_store(&spares[i].is_taken, false);
        return;
    }
    free(m);
}

static struct message *message_new(enum log_level level, const char *text)
{
    size_t size = strlen(text) + 1; /* at most MESSAGE_BYTES */
    struct message *m = malloc(sizeof(*m) + size);
    if (!m)
        m = spare_take();
    if (!m)
        return NULL;
    *m = (struct message){.level = level, .time_unix_ms = unix_now_ms()};
    memcpy(m->text, text, size);
    return m;
}

/* Under the lock. */
static bool messages_take(struct message *m)
{
    struct messages *q = &lg.waiting;
    if (!m || q->count >= MESSAGES_MAX)
        return false;
    *(q->first ? q->last : &q->first) = m;
    q->last = &m->next;
    q->count++;
    return true;
}

static void enqueue(enum log_level level, const char *text)
{
    struct message *m = message_new(level, text);
    pthread_mutex_lock(&lg.lock);
    bool is_running = lg.is_running;
    bool is_taken = is_running && messages_take(m);
    pthread_mutex_unlock(&lg.lock);
    if (is_taken) {
        log_wake();
        return;
    }
    if (is_running)
        log_count_dropped(1);
    else
        write_message(&(struct sink){.fd = STDERR_FILENO}, level, unix_now_ms(), text);
    message_free(m);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    if ((int)level > atomic_load_explicit(&lg.level, memory_order_relaxed))
        return;
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n >= 0)
        enqueue(level, text);
}

void log_set_level(enum log_level level)
{
    lg.level = (int)level;
}

uint64_t log_dropped(void)
{
    return lg.dropped;
}

void log_count_dropped(unsigned lines)
{
    if (lines)
        atomic_fetch_add_explicit(&lg.dropped, lines, memory_order_relaxed);
}

/* A signal just before the writer waits is lost; it looks by itself a little later. */
void log_wake(void)
{
    pthread_cond_signal(&lg.wake);
}

void log_reopen(void)
{
    pthread_mutex_lock(&lg.lock);
    lg.is_reopen_wanted = true;
    pthread_mutex_unlock(&lg.lock);
    log_wake();
}

struct access_queue *access_queue_new(size_t bytes)
{
    struct access_queue *q = access_queue_make(bytes);
    if (!q)
        return NULL;
    pthread_mutex_lock(&lg.lock);
    q->next = lg.queues;
    lg.queues = q;
    pthread_mutex_unlock(&lg.lock);
    return q;
}

static void reopen(void)
{
    struct sink fresh;
    struct err err;
    if (sink_open(&fresh, lg.path, &err)) {
        log_warn("%s: %s; lines go on to the file that is open", err.where, err.what);
        return;
    }
    sink_close(&lg.access);
    lg.access = fresh;
}

static void flush(struct buf *batch)
{
    unsigned lost = sink_write(&lg.access, buf_span(batch));
    if (lost && !lg.is_access_failing)
        log_error("access log %s: %s; lines are dropped until it can be written to", lg.path,
                  strerror(errno));
    lg.is_access_failing = lost > 0;
    log_count_dropped(lost);
    buf_reset(batch);
}

/* Fills <batch> from <q> to the mark; false: <q> is empty. */
static bool drain_queue(struct access_queue *q, struct buf *batch)
{
    while (batch->len < BATCH_FULL) {
        size_t before = batch->len;
        if (!access_queue_format(q, batch))
            return false;
        if (batch->failed) { /* no memory: whole lines stay whole */
            batch->len = before;
            batch->failed = batch->no_memory = false;
            log_count_dropped(1);
        }
    }
    return true;
}

enum drained { DRAINED_NOTHING, DRAINED_ALL, DRAINED_SOME };

/* One batch of each queue at most, so that a busy worker holds up neither another nor messages. */
static enum drained drain_queues(struct access_queue *queues, struct buf *batch)
{
    enum drained drained = DRAINED_NOTHING;
    for (struct access_queue *q = queues; q; q = q->next) {
        if (lg.access.fd < 0) {
            access_queue_clear(q);
            continue;
        }
        bool is_full = drain_queue(q, batch);
        if (batch->len && drained == DRAINED_NOTHING)
            drained = DRAINED_ALL;
        if (is_full) {
            drained = DRAINED_SOME;
            flush(batch);
        }
    }
    if (batch->len)
        flush(batch);
    return drained;
}

static void write_messages(struct message *m)
{
    while (m) {
        struct message *next = m->next;
        write_message(&lg.messages, m->level, m->time_unix_ms, m->text);
        message_free(m);
        m = next;
    }
}

/* Under the lock. The monotonic clock, lest a step of the wall clock stops the log. */
static void wait_round(unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_clockwait(&lg.wake, &lg.lock, CLOCK_MONOTONIC, &until);
}

static struct message *take_messages(void)
{
    struct message *m = lg.waiting.first;
    lg.waiting = (struct messages){0};
    return m;
}

static void *writer_main(void *arg)
{
    enum drained drained = DRAINED_NOTHING;
    bool is_stopping = false;
    struct buf batch;
    (void)arg;
    buf_init(&batch, BATCH_BYTES);
    while (!is_stopping || drained == DRAINED_SOME) {
        pthread_mutex_lock(&lg.lock);
        if (!lg.waiting.first && !lg.is_stopping && !lg.is_reopen_wanted && drained != DRAINED_SOME)
            wait_round(drained == DRAINED_NOTHING ? IDLE_MS : BUSY_MS);
        struct message *messages = take_messages();
        struct access_queue *queues = lg.queues;
        is_stopping = lg.is_stopping;
        bool is_reopen_wanted = lg.is_reopen_wanted;
        lg.is_reopen_wanted = false;
        pthread_mutex_unlock(&lg.lock);
        if (is_reopen_wanted)
            reopen();
        write_messages(messages);
        drained = drain_queues(queues, &batch);
    }
    buf_fini(&batch);
    return NULL;
}

/* With all signals blocked: they are for main's loop, and a reader of stdout that goes away must
 * end a write, not larder. */
static int start_thread(void)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&lg.thread, NULL, writer_main, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

enum err_code log_start(enum log_level level, const char *access_path, struct err *err)
{
    struct sink access;
    enum err_code rc = sink_open(&access, access_path, err);
    if (rc)
        return rc;
    lg.path = strdup(access_path);
    lg.access = access;
    lg.is_access_failing = false;
    lg.is_stopping = false;
    lg.is_running = true;
    log_set_level(level);
    int failed = lg.path ? start_thread() : ENOMEM;
    if (!failed)
        return ERR_OK;
    lg.is_running = false;
    log_stop();
    return err_set(err, ERR_NOMEM, "log", "the writer thread cannot start: %s", strerror(failed));
}

static void stop_thread(void)
{
    pthread_mutex_lock(&lg.lock);
    bool was_running = lg.is_running;
    lg.is_stopping = true;
    pthread_cond_signal(&lg.wake); /* under the lock: this one must not be lost */
    pthread_mutex_unlock(&lg.lock);
    if (was_running)
        pthread_join(lg.thread, NULL);
    pthread_mutex_lock(&lg.lock);
    lg.is_running = false;
    struct message *late = take_messages();
    pthread_mutex_unlock(&lg.lock);
    write_messages(late);
}

void log_stop(void)
{
    stop_thread();
    while (lg.queues) {
        struct access_queue *next = lg.queues->next;
        access_queue_free(lg.queues);
        lg.queues = next;
    }
    sink_close(&lg.access);
    free(lg.path);
    lg.path = NULL;
}

void log_security(const struct security_event *e)
{
    log_warn("security: %s%s by " SPAN_FMT ": " SPAN_FMT " " SPAN_FMT " " SPAN_FMT ": %u",
             e->action, e->is_dry_run ? " (dry run)" : "", SPAN_ARG(e->client), SPAN_ARG(e->method),
             SPAN_ARG(e->target), SPAN_ARG(e->what), e->status);
}
