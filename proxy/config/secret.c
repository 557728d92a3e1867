/* Texts that should not stand in the config itself. Only a regular file is read, so that a pipe or
 * a device named by mistake cannot hold the start up. */
#include "config-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_FILE_MAX = 4096 };

static bool has_nul(struct span s)
{
    return s.len && memchr(s.p, '\0', s.len);
}

/* How many bytes came; -1: see errno; more than the block holds: too long. */
static ssize_t read_small(const char *path, char *block, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    ssize_t n = -1;
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        errno = EINVAL;
    else
        n = read(fd, block, cap);
    int saved = errno;
    close(fd);
    errno = saved;
    return n;
}

static struct span read_file(struct reading *r, const struct json *j)
{
    char text[SECRET_FILE_MAX + 1];
    struct quoted q;
    struct span path = reading_copy(r, j->text); /* with a NUL behind it */
    if (!path.len)
        return path;
    ssize_t n = read_small(path.p, text, sizeof(text));
    if (n < 0)
        reading_fail(r, j, "\"%s\" cannot be read: %s", quote(j->text, &q),
                     errno == EINVAL ? "it is no regular file" : strerror(errno));
    else if (n > SECRET_FILE_MAX)
        reading_fail(r, j, "\"%s\" has over %d bytes; that is no secret", quote(j->text, &q),
                     SECRET_FILE_MAX);
    if (n < 0 || n > SECRET_FILE_MAX)
        return span_of("", 0);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n == 0)
        reading_fail(r, j, "\"%s\" is empty; write the secret into it", quote(j->text, &q));
    return reading_copy(r, span_of(text, (size_t)n));
}

static struct span read_env(struct reading *r, const struct json *j)
{
    struct quoted q;
    struct span name = reading_copy(r, j->text);
    const char *value = name.len ? getenv(name.p) : NULL;
    if (value && *value)
        return reading_copy(r, span_str(value));
    reading_fail(r, j, "the environment has no %s; set it, or use {\"file\": \"/path\"}",
                 quote(j->text, &q));
    return span_of("", 0);
}

struct span reading_secret(struct reading *r, const struct json *j)
{
    const struct json *only = j->count == 1 ? j->first : NULL;
    bool is_text = only && only->type == JSON_STRING && only->text.len && !has_nul(only->text);
    if (j->type == JSON_STRING && j->text.len)
        return reading_copy(r, j->text);
    if (j->type == JSON_OBJECT && is_text && span_eq(only->name, SPAN_LIT("file")))
        return read_file(r, only);
    if (j->type == JSON_OBJECT && is_text && span_eq(only->name, SPAN_LIT("env")))
        return read_env(r, only);
    reading_fail(r, j, "write a string, {\"file\": \"/path\"} or {\"env\": \"NAME\"}");
    return span_of("", 0);
}
