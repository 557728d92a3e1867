/* log-internal.h: what the log's writer thread (log.c) and its queues (access_log.c) share. */
#ifndef LARDER_BASE_LOG_INTERNAL_H
#define LARDER_BASE_LOG_INTERNAL_H

#include <larder/base/buf.h>
#include <larder/base/log.h>

#include <stdatomic.h>

/* A ring of records: one producer (its worker), one consumer (the writer). */
struct access_queue {
    struct access_queue *next;
    size_t size;                        /* bytes, a power of two */
    _Alignas(64) _Atomic uint64_t head; /* bytes ever written */
    _Alignas(64) _Atomic uint64_t tail; /* bytes ever read */
    _Alignas(64) char ring[];
};

struct access_queue *access_queue_make(size_t bytes);
void access_queue_free(struct access_queue *q);
/* Appends the next record as a line of JSON; false: the queue is empty. */
bool access_queue_format(struct access_queue *q, struct buf *out);
void log_count_dropped(void);
void log_time_format(int64_t unix_ms, struct buf *out);

#endif
