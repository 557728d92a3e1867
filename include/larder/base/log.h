/* log.h: lines that a worker never waits for.
 *
 * Each line is copied into a bounded queue, which one thread empties into stderr (messages) and
 * into the access file. When the queue is full the line is dropped and counted. Before log_start()
 * and after log_stop() messages go to stderr directly. Access lines are binary records, copied by
 * the worker and formatted as JSON by the writer thread, so that a hit formats nothing.
 * Thread: any, but log_start and log_stop (main).
 */
#ifndef LARDER_BASE_LOG_H
#define LARDER_BASE_LOG_H

#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/base/span.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* What one request was, and what became of it. Spans are copied by log_access(). */
struct access_record {
    int64_t time_unix_ms;
    struct span method, target, client, route, key, reason, request_id;
    const char *outcome; /* static text: hit, stale, miss, coalesced, bypass, tunnel, error,
                          control */
    uint32_t status;
    uint32_t age_s;
    uint64_t body_bytes;    /* sent to the client */
    uint64_t request_bytes; /* of a tunnel: sent to the upstream; else 0 */
    uint64_t total_us;      /* from the head's first byte to the answer's last */
    uint64_t upstream_us;   /* 0: no upstream was asked */
};

/* Starts the writer thread. <access_path>: "stdout", "off" or a file that is appended to. */
must_check enum err_code log_start(enum log_level level, const char *access_path, struct err *err);
void log_stop(void);   /* writes what is queued, then joins the thread */
void log_reopen(void); /* opens the access file anew, after a rotation; safe in any thread */
void log_set_level(enum log_level level);

void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Something that who guards the door wants to know of. Texts are copied, and cut where they are
 * long.
 */
struct security_event {
    const char *action;               /* static: "rate-limited", "control-denied", "bad-request" */
    struct span client;               /* address */
    struct span method, target, what; /* what: the limit, the scope...; each may be empty */
    struct span request_id;
    unsigned status; /* that was answered */
    bool is_dry_run; /* it was let through all the same */
};
/* Any thread; never waits. */
void log_security(const struct security_event *e);

/* One queue for each worker, so that workers share no lock on the hit path (single producer). */
struct access_queue;
struct access_queue *
access_queue_new(size_t bytes); /* registers with the writer; NULL: no memory */
/* Copies <r>, each text up to 4 KiB. <q> lives until log_stop(), which frees it. */
void log_access(struct access_queue *q, const struct access_record *r);
uint64_t log_dropped(void); /* lines lost since the start: a queue was full, a file not writable */

#endif
