/* Texts that should not stand in the config itself, but in a file, or among what systemd hands
 * over; those of the environment are in their place already. Only a regular file is read, so that a
 * pipe or a device named by mistake cannot hold the start up. */
#include "config-internal.h"

#include <larder/base/file.h>

#include <errno.h>
#include <stdlib.h>

enum { SECRET_FILE_MAX = 4096 };

static bool has_nul(struct span s)
{
    return s.len && memchr(s.p, '\0', s.len);
}

/* <path>: with a NUL behind it. */
static struct span read_file(struct reading *r, const struct json *j, struct span path)
{
    char block[SECRET_FILE_MAX];
    struct buf text;
    struct quoted q;
    if (!path.len)
        return path;
    buf_init_fixed(&text, block, sizeof(block));
    enum err_code rc = file_read(path.p, FILE_REGULAR, &text);
    if (rc == ERR_TOO_LARGE)
        reading_fail(r, j, "\"%s\" has over %d bytes; that is no secret", quote(path, &q),
                     SECRET_FILE_MAX);
    else if (rc)
        reading_fail(r, j, "\"%s\" cannot be read: %s", quote(path, &q),
                     errno == EINVAL ? "it is no regular file" : strerror(errno));
    if (rc)
        return span_of("", 0);
    while (text.len > 0 && (block[text.len - 1] == '\n' || block[text.len - 1] == '\r'))
        text.len--;
    if (text.len == 0)
        reading_fail(r, j, "\"%s\" is empty; write the secret into it", quote(path, &q));
    return reading_copy(r, buf_span(&text));
}

/* As systemd hands them over: a file of that name in a directory of the unit's own. */
static struct span read_credential(struct reading *r, const struct json *j)
{
    char block[SECRET_FILE_MAX];
    struct buf path;
    struct quoted q;
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (memchr(j->text.p, '/', j->text.len) || j->text.p[0] == '.') {
        reading_fail(r, j, "\"%s\" is no credential's name; write it as in LoadCredential=NAME:...",
                     quote(j->text, &q));
        return span_of("", 0);
    }
    if (!directory || !*directory) {
        reading_fail(r, j,
                     "there is no $CREDENTIALS_DIRECTORY; add LoadCredential=%s:/path to the unit, "
                     "or use {\"file\": \"/path\"}",
                     quote(j->text, &q));
        return span_of("", 0);
    }
    buf_init_fixed(&path, block, sizeof(block));
    buf_add_fmt(&path, "%s/" SPAN_FMT, directory, SPAN_ARG(j->text));
    if (path.failed) {
        reading_fail(r, j, "the path of $CREDENTIALS_DIRECTORY and this name is too long");
        return span_of("", 0);
    }
    return read_file(r, j, reading_copy(r, buf_span(&path)));
}

struct span reading_secret(struct reading *r, const struct json *j)
{
    const struct json *only = j->count == 1 ? j->first : NULL;
    bool is_text = only && only->type == JSON_STRING && only->text.len && !has_nul(only->text);
    if (j->type == JSON_STRING && j->text.len)
        return reading_copy(r, j->text);
    if (j->type == JSON_OBJECT && is_text && span_eq(only->name, SPAN_LIT("file")))
        return read_file(r, only, reading_copy(r, only->text));
    if (j->type == JSON_OBJECT && is_text && span_eq(only->name, SPAN_LIT("credential")))
        return read_credential(r, only);
    reading_fail(r, j,
                 "write a string, {\"file\": \"/path\"}, {\"env\": \"NAME\"} or "
                 "{\"credential\": \"NAME\"}");
    return span_of("", 0);
}
