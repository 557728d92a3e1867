/* log.h: lines that a worker never waits for, in four streams.
 *
 * Each line is copied into a bounded queue, which one thread empties into where its stream goes.
 * When the queue is full the line is dropped and counted. Before log_start() and after log_stop()
 * messages go to stderr directly. Access lines are binary records, copied by the worker and
 * formatted as JSON by the writer thread, so that a hit formats nothing.
 * Thread: any, but log_start and log_stop (main).
 */
#ifndef LARDER_BASE_LOG_H
#define LARDER_BASE_LOG_H

#include <larder/base/buf.h>
#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/base/span.h>

enum log_stream {
    LOG_ERROR,       /* larder's own messages */
    LOG_ACCESS,      /* one line for each request */
    LOG_PERFORMANCE, /* figures, now and then */
    LOG_SECURITY,    /* what who guards the door wants to know of */
    LOG_STREAMS
};

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
    bool is_stored;         /* this request's fetch has put it into the cache */
};

/* Words of the operator's own for what became of a request: the access line's "message". ${key} in
 * them is the readable key. An answer out of Redis, or a stale one, without words of its own is
 * told by those of a hit. */
enum log_word {
    LOG_WORD_HIT,
    LOG_WORD_STALE,
    LOG_WORD_MISS,
    LOG_WORD_COALESCED,
    LOG_WORD_BYPASS,
    LOG_WORD_REDIS_HIT,
    LOG_WORD_STORE, /* behind the others, after "; " */
    LOG_WORDS
};

struct log_config {
    enum log_level level;
    /* "stdout", "stderr", "off" or a file that is appended to; NULL: messages to stderr, others
     * off */
    const char *streams[LOG_STREAMS];
    struct span words[LOG_WORDS]; /* empty: none; not copied, good until log_stop() */
};

/* Opens the streams and starts the writer thread. */
must_check enum err_code log_start(const struct log_config *config, struct err *err);
void log_stop(void);   /* writes what is queued, then joins the thread */
void log_reopen(void); /* opens all files anew, after a rotation; safe in any thread */
void log_set_level(enum log_level level);

void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* One line of JSON, without its newline. */
void log_line(enum log_stream stream, struct span json);

/* Something that who guards the door wants to know of. Texts are copied, and cut where they are
 * long; of the target the query is left out, for it may hold secrets. */
struct security_event {
    const char *action;               /* static: "rate-limited", "control-denied", "bad-request" */
    struct span client;               /* address */
    struct span method, target, what; /* what: the limit, the scope...; each may be empty */
    struct span request_id;
    struct span user;    /* by what name he has shown who he is: a token's; may be empty */
    const char *message; /* for people; NULL: made of the others */
    unsigned status;     /* that was answered */
    bool is_dry_run;     /* it was let through all the same */
    bool is_audit;       /* it was done as it should be: told always, as information */
    bool is_anybodys;    /* ... but anybody may do it: told as often as what is refused */
};
/* Any thread; never waits. Of one action at most LOG_SECURITY_RATE lines are written in a second,
 * lest who attacks fills the disk; the number of those left out is told by a line after it. */
void log_security(const struct security_event *e);
enum { LOG_SECURITY_RATE = 100 };

/* "2026-11-20T22:29:00.123Z" */
void log_time_format(int64_t unix_ms, struct buf *out);

/* One queue for each worker, so that workers share no lock on the hit path (single producer). */
struct access_queue;
struct access_queue *
access_queue_new(size_t bytes); /* registers with the writer; NULL: no memory */
/* Copies <r>, each text up to 4 KiB. <q> lives until log_stop(), which frees it. */
void log_access(struct access_queue *q, const struct access_record *r);
uint64_t log_dropped(void); /* lines lost since the start: a queue was full, a file not writable */

#endif
