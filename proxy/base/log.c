/* One writer thread. Messages wait in a bounded list under a lock and wake it; access records wait
 * in one ring for each worker, into which the writer looks every few milliseconds while there is
 * traffic and seldom while there is none, so that a hit costs a copy and no system call. */
#include "log-internal.h"

#include <larder/base/monotime.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { MESSAGES_MAX = 1024, BUSY_MS = 20, IDLE_MS = 100 };
enum { BATCH_FULL = 256 * 1024, BATCH_BYTES = BATCH_FULL + ACCESS_LINE_MAX };

/* In the order in which they came, whatever their stream: two may go to the same place. */
struct messages {
    struct message *first, **last;
    unsigned count[LOG_STREAMS]; /* so that none crowds out another */
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
    struct span words[LOG_WORDS];
    bool has_words;
} lg = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .level = LOG_LEVEL_INFO};

/* Under the lock. */
static bool messages_take(struct message *m)
{
    struct messages *q = &lg.waiting;
    if (!m || q->count[m->stream] >= MESSAGES_MAX)
        return false;
    *(q->first ? q->last : &q->first) = m;
    q->last = &m->next;
    q->count[m->stream]++;
    return true;
}

/* False: there is no writer; otherwise <m> is taken, or dropped and counted. */
static bool post(struct message *m)
{
    pthread_mutex_lock(&lg.lock);
    bool is_running = lg.is_running;
    bool is_taken = is_running && messages_take(m);
    pthread_mutex_unlock(&lg.lock);
    if (is_taken) {
        log_wake();
        return true;
    }
    if (is_running)
        log_count_dropped(1);
    message_free(m);
    return is_running;
}

void log_line(enum log_stream stream, struct span json)
{
    struct message *m = message_new(stream, json);
    if (m)
        m->is_line = true;
    (void)post(m); /* without a writer there is no stream but stderr, which is for messages */
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
    if (n < 0)
        return;
    struct message *m = message_new(LOG_ERROR, span_str(text));
    if (m)
        m->level = level;
    if (!post(m))
        message_write_now(level, text);
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

static void flush(struct buf *batch)
{
    stream_write(LOG_ACCESS, buf_span(batch));
    buf_reset(batch);
}

/* Fills <batch> from <q> to the mark; false: <q> is empty. */
static bool drain_queue(struct access_queue *q, struct buf *batch)
{
    while (batch->len < BATCH_FULL) {
        size_t before = batch->len;
        if (!access_queue_format(q, lg.has_words ? lg.words : NULL, batch))
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
        if (!stream_is_on(LOG_ACCESS)) {
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
        message_write(m);
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
            streams_reopen();
        write_messages(messages);
        security_tell_suppressed(is_stopping);
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

enum err_code log_start(const struct log_config *config, struct err *err)
{
    enum err_code rc = streams_open(config, err);
    if (rc)
        return rc;
    memcpy(lg.words, config->words, sizeof(lg.words));
    lg.has_words = false;
    for (unsigned i = 0; i < LOG_WORDS; i++)
        lg.has_words |= lg.words[i].len > 0;
    lg.is_stopping = false;
    lg.is_running = true;
    log_set_level(config->level);
    int failed = start_thread();
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
    streams_close();
}
