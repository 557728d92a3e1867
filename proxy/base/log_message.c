/* A line that waits: copied once by who tells it, made JSON and written by the writer. */
#include "log-internal.h"

#include <larder/base/json.h>
#include <larder/base/monotime.h>

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SPARES = 16 };

void log_time_format(int64_t unix_ms, struct buf *out)
{
    struct tm tm;
    time_t s = (time_t)(unix_ms / 1000);
    gmtime_r(&s, &tm);
    buf_add_fmt(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(unix_ms % 1000));
}

/* On the stack, so that "out of memory" can be said when it is true. */
static void format_message(enum log_level level, int64_t time_unix_ms, struct span text,
                           struct buf *out)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char when_block[40];
    struct buf when;
    struct json_writer w;
    buf_init_fixed(&when, when_block, sizeof(when_block));
    log_time_format(time_unix_ms, &when);
    json_writer_init(&w, out);
    json_write_object(&w, NULL);
    json_write_span(&w, "@timestamp", buf_span(&when));
    json_write_str(&w, "log.level", names[level]);
    json_write_span(&w, "message", text);
    json_write_object_end(&w);
    buf_add_char(out, '\n');
}

static void write_stderr(struct span line)
{
    log_count_dropped(sink_write(&(struct sink){.fd = STDERR_FILENO}, line));
}

enum { LINE_BYTES = 6 * MESSAGE_BYTES + 256 };

void message_write(const struct message *m)
{
    char line[LINE_BYTES];
    struct buf out;
    buf_init_fixed(&out, line, sizeof(line));
    if (!m->is_line)
        format_message(m->level, m->time_unix_ms, span_of(m->text, m->len), &out);
    struct span text = m->is_line ? span_of(m->text, m->len + 1) : buf_span(&out);
    if (stream_is_on(m->stream))
        stream_write(m->stream, text);
}

void message_write_now(enum log_level level, const char *text)
{
    char line[LINE_BYTES];
    struct buf out;
    buf_init_fixed(&out, line, sizeof(line));
    format_message(level, unix_now_ms(), span_str(text), &out);
    write_stderr(buf_span(&out));
}

/* Messages that find no memory: what is told then is worth most. */
static struct spare {
    _Atomic bool is_taken;
    _Alignas(struct message) char block[sizeof(struct message) + MESSAGE_BYTES];
} spares[SPARES];

static void *spare_take(size_t size)
{
    for (unsigned i = 0; size <= MESSAGE_BYTES && i < SPARES; i++)
        if (!atomic_exchange(&spares[i].is_taken, true))
            return spares[i].block;
    return NULL;
}

void message_free(struct message *m)
{
    for (unsigned i = 0; i < SPARES; i++) {
        if ((char *)m != spares[i].block)
            continue;
        atomic_store(&spares[i].is_taken, false);
        return;
    }
    free(m);
}

struct message *message_new(enum log_stream stream, struct span text)
{
    struct message *m = malloc(sizeof(*m) + text.len + 1);
    if (!m)
        m = spare_take(text.len + 1);
    if (!m)
        return NULL;
    *m = (struct message){.stream = stream, .time_unix_ms = unix_now_ms(), .len = text.len};
    if (text.len)
        memcpy(m->text, text.p, text.len);
    m->text[text.len] = '\n'; /* of a line of JSON, the end */
    return m;
}
