/* log-internal.h: what the log's files share.
 *
 * log.c           the queue of lines, the writer thread
 * log_message.c   a line that waits, its memory, its JSON     log_security.c  events at the door
 * access_log.c    rings of access records, their JSON
 * log_streams.c   which stream goes where                     log_sink.c      writing there
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

/* <path>: "stdout", "stderr", "off" or a file that is appended to. */
enum err_code sink_open(struct sink *s, const char *path, struct err *err);
void sink_close(struct sink *s);
/* Writes lines, each with its newline, by as few calls as the system allows. Returns the lines
 * lost, and in errno why; 0 when all is well. Waits a second for a pipe that is full (if it is set
 * non-blocking), and then no more until it takes bytes again. */
unsigned sink_write(struct sink *s, struct span lines);

/* --- log_streams.c; thread: the writer's, and main's while there is none --- */
enum err_code streams_open(const struct log_config *config, struct err *err);
void streams_reopen(void);
void streams_close(void);
bool stream_is_on(enum log_stream stream);
/* Writes whole lines; what cannot be written is told once, and counted. */
void stream_write(enum log_stream stream, struct span lines);

/* --- log_message.c --- */
enum { MESSAGE_BYTES = 1024 };

/* A line that waits for the writer. */
struct message {
    struct message *next;
    enum log_stream stream;
    enum log_level level;
    int64_t time_unix_ms;
    bool is_line; /* the text is JSON already */
    size_t len;
    char text[]; /* and a newline behind it */
};

/* NULL: no memory. A few short ones always find some: what is told then is worth most. */
struct message *message_new(enum log_stream stream, struct span text);
void message_free(struct message *m); /* NULL is fine */
/* Writes it to its stream. */
void message_write(const struct message *m);
/* Straight to stderr, from the stack: where there is no writer. */
void message_write_now(enum log_level level, const char *text);

/* --- log_security.c --- */
/* Tells what was left out, once its second is over, or now. The writer's. */
void security_tell_suppressed(bool now);

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
/* ... and twice the key again in words. */
enum { ACCESS_LINE_MAX = 6 * (ACCESS_TEXTS + 3) * ACCESS_TEXT_MAX + 1024 };

struct access_queue *access_queue_make(size_t bytes);
void access_queue_free(struct access_queue *q);
/* Takes the next record out and appends it as a line of JSON; false: the queue is empty. <words>
 * has LOG_WORDS texts; NULL: none. */
bool access_queue_format(struct access_queue *q, const struct span *words, struct buf *out);
void access_queue_clear(struct access_queue *q); /* the consumer's, too */

void log_count_dropped(unsigned lines);
void log_wake(void); /* has the writer look into its queues at once; takes no lock */

#endif
