/* One writer thread. Messages wait in a bounded list under a lock and wake it; access records wait
 * in one ring for each worker, which the writer looks into every few milliseconds while it is
 * awake, so that a hit costs a copy and no system call. */
#include "log-internal.h"

#include <larder/base/json.h>
#include <larder/base/monotime.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGES_MAX = 1024, ROUND_MS = 20, BATCH_BYTES = 256 * 1024 };

struct message {
    struct message *next;
    enum log_level level;
    int64_t time_unix_ms;
    char text[];
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool is_running, is_stopping;
    struct message *first, **last;
    unsigned count;
    _Atomic int level;
    _Atomic bool is_reopen_wanted;
    _Atomic uint64_t dropped;
    struct access_queue *queues;
    char *path;
    int fd; /* of the access log; -1: off */
} lg = {.lock = PTHREAD_MUTEX_INITIALIZER,
        .wake = PTHREAD_COND_INITIALIZER,
        .level = LOG_LEVEL_INFO,
        .fd = -1};

void log_time_format(int64_t unix_ms, struct buf *out)
{
    struct tm tm;
    time_t s = (time_t)(unix_ms / 1000);
    gmtime_r(&s, &tm);
    buf_add_fmt(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(unix_ms % 1000));
}

/* All of it, or as much as the reader of a full pipe takes within a second. */
static void write_all(int fd, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};
            if (poll(&pfd, 1, 1000) <= 0)
                return;
        } else if (n < 0 && errno != EINTR) {
            return;
        }
    }
}

static void write_message(enum log_level level, int64_t time_unix_ms, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct buf out, when;
    char when_block[40];
    struct json_writer w;
    buf_init(&out, 64 * 1024);
    buf_init_fixed(&when, when_block, sizeof(when_block));
    log_time_format(time_unix_ms, &when);
    json_writer_init(&w, &out);
    json_write_object(&w, NULL);
    json_write_span(&w, "@timestamp", buf_span(&when));
    json_write_str(&w, "log.level", names[level]);
    json_write_str(&w, "message", text);
    json_write_object_end(&w);
    buf_add_char(&out, '\n');
    write_all(STDERR_FILENO, out.p, out.len);
    buf_fini(&out);
}

static void enqueue(enum log_level level, const char *text, size_t len)
{
    struct message *m = malloc(sizeof(*m) + len + 1);
    if (!m) {
        lg.dropped++;
        return;
    }
    *m = (struct message){.level = level, .time_unix_ms = unix_now_ms()};
    memcpy(m->text, text, len + 1);
    pthread_mutex_lock(&lg.lock);
    if (!lg.is_running || lg.count >= MESSAGES_MAX) {
        bool is_running = lg.is_running;
        pthread_mutex_unlock(&lg.lock);
        if (is_running)
            lg.dropped++;
        else
            write_message(level, m->time_unix_ms, m->text);
        free(m);
        return;
    }
    *lg.last = m;
    lg.last = &m->next;
    lg.count++;
    pthread_cond_signal(&lg.wake);
    pthread_mutex_unlock(&lg.lock);
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    if ((int)level > atomic_load_explicit(&lg.level, memory_order_relaxed))
        return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n > 0)
        enqueue(level, text, strlen(text));
}

void log_set_level(enum log_level level)
{
    lg.level = (int)level;
}

uint64_t log_dropped(void)
{
    return lg.dropped;
}

void log_count_dropped(void)
{
    lg.dropped++;
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

static int open_access(struct err *err)
{
    if (strcmp(lg.path, "off") == 0)
        return -1;
    if (strcmp(lg.path, "stdout") == 0)
        return STDOUT_FILENO;
    int fd = open(lg.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        err_set(err, ERR_IO, lg.path, "the access log cannot be opened: %s", strerror(errno));
    return fd;
}

static void reopen(void)
{
    int fd = open_access(NULL);
    if (fd < 0 || fd == STDOUT_FILENO)
        return; /* what cannot be opened anew is written to as before */
    if (lg.fd > STDERR_FILENO)
        close(lg.fd);
    lg.fd = fd;
}

static void write_access(struct access_queue *queues, struct buf *batch)
{
    for (struct access_queue *q = queues; q; q = q->next) {
        while (access_queue_format(q, batch)) {
            if (batch->len >= BATCH_BYTES / 2) {
                write_all(lg.fd, batch->p, batch->len);
                buf_reset(batch);
            }
        }
    }
    if (batch->len && lg.fd >= 0)
        write_all(lg.fd, batch->p, batch->len);
    buf_reset(batch);
}

static void write_messages(struct message *m)
{
    while (m) {
        struct message *next = m->next;
        write_message(m->level, m->time_unix_ms, m->text);
        free(m);
        m = next;
    }
}

static void wait_round(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ROUND_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&lg.wake, &lg.lock, &until);
}

static void *writer_main(void *arg)
{
    struct buf batch;
    (void)arg;
    buf_init(&batch, BATCH_BYTES);
    for (;;) {
        pthread_mutex_lock(&lg.lock);
        if (!lg.first && !lg.is_stopping)
            wait_round();
        struct message *m = lg.first;
        lg.first = NULL;
        lg.last = &lg.first;
        lg.count = 0;
        bool is_stopping = lg.is_stopping;
        struct access_queue *queues = lg.queues;
        pthread_mutex_unlock(&lg.lock);
        if (atomic_exchange(&lg.is_reopen_wanted, false))
            reopen();
        write_messages(m);
        write_access(queues, &batch);
        if (is_stopping)
            break;
    }
    buf_fini(&batch);
    return NULL;
}

enum err_code log_start(enum log_level level, const char *access_path, struct err *err)
{
    log_set_level(level);
    lg.path = strdup(access_path);
    if (!lg.path)
        return err_set(err, ERR_NOMEM, "log", "out of memory");
    lg.fd = open_access(err);
    if (lg.fd < 0 && strcmp(lg.path, "off") != 0) {
        free(lg.path);
        return ERR_IO;
    }
    lg.last = &lg.first;
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    lg.is_stopping = false;
    lg.is_running = pthread_create(&lg.thread, NULL, writer_main, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return lg.is_running ? ERR_OK : err_set(err, ERR_NOMEM, "log", "no thread for the log");
}

void log_reopen(void)
{
    lg.is_reopen_wanted = true;
}

void log_stop(void)
{
    pthread_mutex_lock(&lg.lock);
    bool was_running = lg.is_running;
    lg.is_stopping = true;
    pthread_cond_signal(&lg.wake);
    pthread_mutex_unlock(&lg.lock);
    if (was_running)
        pthread_join(lg.thread, NULL);
    lg.is_running = false;
    write_messages(lg.first);
    lg.first = NULL;
    while (lg.queues) {
        struct access_queue *next = lg.queues->next;
        access_queue_free(lg.queues);
        lg.queues = next;
    }
    if (lg.fd > STDERR_FILENO)
        close(lg.fd);
    lg.fd = -1;
    free(lg.path);
    lg.path = NULL;
}
