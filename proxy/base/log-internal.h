/* log-internal.h: what the log's files share.
 *
 * log.c         messages, the writer thread      access_log.c  rings of access records, their JSON
 * log_sink.c    where lines go
 */
#ifndef LARDER_BASE_LOG_INTERNAL_H
#define LARDER_BASE_LOG_INTERNAL_H

#include <larder/base/buf.h>
#include <larder/base/log.h>

#include <stdatomic.h>

/* Where whole lines go. Thread: the writer's. */
struct sink {
    int fd;          /* -1: nowhere */
    bool is_torn;    /* the last line was cut off: the next one begins on a new line */
    bool is_stalled; /* the last write ran out of patience: the next one has none */
};

/* <path>: "stdout", "off" or a file that is appended to. */
enum err_code sink_open(struct sink *s, const char *path, struct err *err);
void sink_close(struct sink *s);
/* Writes lines, each with its newline, by as few calls as the system allows. Returns the lines
 * lost, and in errno why; 0 when all is well. Waits a second for a pipe that is full (if it is set
 * non-blocking), and then no more until it takes bytes again. */
unsigned sink_write(struct sink *s, struct span lines);

/* A ring of records: one producer (its worker), one consumer (the writer). */
struct access_queue {
    struct access_queue *next;
    size_t size;                        /* bytes, a power of two */
    _Alignas(64) _Atomic uint64_t head; /* bytes ever written */
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever read */
    _Alignas(64) char ring[];
};

/* Texts longer than this are cut off. A line of JSON is six times that, at the very most. */
enum { ACCESS_TEXTS = 7, ACCESS_TEXT_MAX = 4096 };
enum { ACCESS_LINE_MAX = 6 * ACCESS_TEXTS * ACCESS_TEXT_MAX + 1024 };

struct access_queue *access_queue_make(size_t bytes);
void access_queue_free(struct access_queue *q);
/* Takes the next record out and appends it as a line of JSON; false: the queue is empty. */
bool access_queue_format(struct access_queue *q, struct buf *out);
void access_queue_clear(struct access_queue *q); /* the consumer's, too */

void log_count_dropped(unsigned lines);
void log_wake(void); /* has the writer look into its queues at once; takes no lock */
void log_time_format(int64_t unix_ms, struct buf *out);

#endif
