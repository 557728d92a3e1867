/* Texts that should not stand in the config itself. Only a regular file is read, so that a pipe or
 * a device named by mistake cannot hold the start up. */
#include "config-internal.h"

#include <larder/base/file.h>

#include <errno.h>
#include <stdlib.h>

enum { SECRET_FILE_MAX = 4096 };

static bool has_nul(struct span s)
{
    return s.len && memchr(s.p, '\0', s.len);
}

static struct span read_file(struct reading *r, const struct json *j)
{
    char block[SECRET_FILE_MAX];
    struct buf text;
    struct quoted q;
    struct span path = reading_copy(r, j->text); /* with a NUL behind it */
    if (!path.len)
        return path;
    buf_init_fixed(&text, block, sizeof(block));
    enum err_code rc = file_read(path.p, FILE_REGULAR, &text);
    if (rc == ERR_TOO_LARGE)
        reading_fail(r, j, "\"%s\" has over %d bytes; that is no secret", quote(j->text, &q),
                     SECRET_FILE_MAX);
    else if (rc)
        reading_fail(r, j, "\"%s\" cannot be read: %s", quote(j->text, &q),
                     errno == EINVAL ? "it is no regular file" : strerror(errno));
    if (rc)
        return span_of("", 0);
    while (text.len > 0 && (block[text.len - 1] == '\n' || block[text.len - 1] == '\r'))
        text.len--;
    if (text.len == 0)
        reading_fail(r, j, "\"%s\" is empty; write the secret into it", quote(j->text, &q));
    return reading_copy(r, buf_span(&text));
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
