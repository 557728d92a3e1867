/* Which stream goes where. Streams that go to the same place share its sink, so that a line which
 * was cut off there is known to all of them, and a file is opened once. */
#include "log-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct stream {
    struct sink *to;
    struct sink own;
    char *path;
    bool is_failing;
} streams[LOG_STREAMS];

static const char *const names[LOG_STREAMS] = {
    [LOG_ERROR] = "error",
    [LOG_ACCESS] = "access",
    [LOG_PERFORMANCE] = "performance",
    [LOG_SECURITY] = "security",
};

/* The sink of an earlier stream that goes to the same place. */
static struct sink *find_sink(unsigned before, const char *path)
{
    for (unsigned i = 0; i < before; i++)
        if (strcmp(streams[i].path, path) == 0)
            return streams[i].to;
    return NULL;
}

static enum err_code open_stream(unsigned i, const char *path, struct err *err)
{
    struct stream *s = &streams[i];
    struct sink own;
    s->path = strdup(path);
    if (!s->path)
        return err_set(err, ERR_NOMEM, "log", "out of memory");
    s->to = find_sink(i, path);
    if (s->to)
        return ERR_OK;
    enum err_code rc = sink_open(&own, path, err);
    if (rc)
        return err_set(err, rc, path, "the %s log cannot be opened: %s", names[i], strerror(errno));
    s->own = own;
    s->to = &s->own;
    return ERR_OK;
}

enum err_code streams_open(const struct log_config *config, struct err *err)
{
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        const char *path = config->streams[i];
        if (!path)
            path = i == LOG_ERROR ? "stderr" : "off";
        enum err_code rc = open_stream(i, path, err);
        if (!rc)
            continue;
        streams_close();
        return rc;
    }
    return ERR_OK;
}

void streams_close(void)
{
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        struct stream *s = &streams[i];
        if (s->to == &s->own)
            sink_close(&s->own);
        free(s->path);
        *s = (struct stream){0};
    }
}

void streams_reopen(void)
{
    for (unsigned i = 0; i < LOG_STREAMS; i++) {
        struct stream *s = &streams[i];
        struct sink fresh;
        if (s->to != &s->own || s->own.fd <= STDERR_FILENO)
            continue;
        if (sink_open(&fresh, s->path, NULL)) {
            log_warn("%s: the %s log cannot be opened: %s; lines go on to the file that is open",
                     s->path, names[i], strerror(errno));
            continue;
        }
        sink_close(&s->own);
        s->own = fresh;
    }
}

bool stream_is_on(enum log_stream stream)
{
    return streams[stream].to && streams[stream].to->fd >= 0;
}

/* Of messages themselves stderr hears. */
static void tell_failing(enum log_stream stream, int error)
{
    char text[256];
    snprintf(text, sizeof(text), "%s log %.100s: %s; lines are dropped until it can be written to",
             names[stream], streams[stream].path, strerror(error));
    if (stream != LOG_ERROR)
        log_error("%s", text);
    else if (streams[stream].to->fd > STDERR_FILENO)
        message_write_now(LOG_LEVEL_ERROR, text);
}

void stream_write(enum log_stream stream, struct span lines)
{
    struct stream *s = &streams[stream];
    unsigned lost = sink_write(s->to, lines);
    if (lost && !s->is_failing)
        tell_failing(stream, errno);
    s->is_failing = lost > 0;
    log_count_dropped(lost);
}
