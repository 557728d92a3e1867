/* Lines to a file descriptor that may be slow, full or gone; none of that may stop larder. */
#include "log-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000 };

enum err_code sink_open(struct sink *s, const char *path, struct err *err)
{
    int fd = -1;
    if (strcmp(path, "stdout") == 0)
        fd = STDOUT_FILENO;
    else if (strcmp(path, "stderr") == 0)
        fd = STDERR_FILENO;
    else if (strcmp(path, "off") != 0) {
        /* a FIFO that nobody reads is an error, and neither opening nor writing it may block */
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
        if (fd < 0)
            return err_set(err, ERR_IO, path, "cannot be opened: %s", strerror(errno));
    }
    *s = (struct sink){.fd = fd};
    return ERR_OK;
}

void sink_close(struct sink *s)
{
    if (s->fd > STDERR_FILENO)
        close(s->fd);
    *s = (struct sink){.fd = -1};
}

/* Bytes written of <text>: all, or fewer when the descriptor takes no more (errno). */
static size_t write_some(struct sink *s, struct span text)
{
    size_t done = 0;
    while (done < text.len) {
        ssize_t n = write(s->fd, text.p + done, text.len - done);
        if (n > 0) {
            done += (size_t)n;
            s->is_stalled = false;
            continue;
        }
        struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && poll(&pfd, 1, s->is_stalled ? 0 : PATIENCE_MS) > 0)
            continue;
        s->is_stalled = true;
        break;
    }
    return done;
}

static unsigned count_lines(struct span text)
{
    unsigned lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.p[i] == '\n';
    return lines;
}

unsigned sink_write(struct sink *s, struct span lines)
{
    if (s->fd < 0 || lines.len == 0)
        return 0;
    if (s->is_torn && write_some(s, SPAN_LIT("\n")) == 0)
        return count_lines(lines);
    s->is_torn = false;
    size_t done = write_some(s, lines);
    if (done == lines.len)
        return 0;
    s->is_torn = done > 0 && lines.p[done - 1] != '\n';
    return count_lines(span_of(lines.p + done, lines.len - done));
}
