/* zone.c: a time zone from its TZif file.
 *
 * A file has two parts: one with 32-bit times, which is passed over, and one with 64-bit times and
 * a TZ text for what comes after them. "Fat" files list the changes up to 2037, "slim" ones only
 * those that the text does not tell; the reader need not know which it has. Every count in a file
 * is compared with the bytes that are there before it is used. Source RFC 9636 section 3.
 */
#include "wallclock-internal.h"

#include <larder/base/file.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 128, FILE_MAX_BYTES = 256 * 1024, HEADER_BYTES = 44, TYPE_BYTES = 6 };

struct zone_change {
    int64_t at_unix_s;
    int64_t offset_s; /* from then on */
};

struct zone {
    int64_t first_s; /* the offset before all changes */
    bool has_rule;
    struct zone_rule rule; /* from the last change on */
    size_t count;
    struct zone_change changes[];
};

/* The six counts of a header, and where its data lies. */
struct block {
    uint64_t isut, isstd, leaps, times, types, chars;
    const uint8_t *data;
    uint64_t bytes;
};

static uint64_t load_be(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* Reads the header at *file and moves *file behind its data. */
static bool take_block(struct span *file, unsigned time_bytes, struct block *b)
{
    const uint8_t *p = (const uint8_t *)file->p;
    if (file->len < HEADER_BYTES || memcmp(p, "TZif", 4) != 0 || p[4] < '2')
        return false;
    *b = (struct block){.isut = load_be(p + 20, 4),
                        .isstd = load_be(p + 24, 4),
                        .leaps = load_be(p + 28, 4),
                        .times = load_be(p + 32, 4),
                        .types = load_be(p + 36, 4),
                        .chars = load_be(p + 40, 4),
                        .data = p + HEADER_BYTES};
    b->bytes = b->times * (time_bytes + 1) + b->types * TYPE_BYTES + b->chars +
               b->leaps * (time_bytes + 4) + b->isstd + b->isut;
    if (b->bytes > file->len - HEADER_BYTES)
        return false;
    *file = span_of(file->p + HEADER_BYTES + b->bytes, file->len - HEADER_BYTES - b->bytes);
    return true;
}

/* The offset of local time type <index>; false where no such type or offset may be. */
static bool offset_of(const struct block *b, uint64_t index, int64_t *ret_s)
{
    if (index >= b->types)
        return false;
    *ret_s = (int32_t)load_be(b->data + b->times * 9 + index * TYPE_BYTES, 4);
    return *ret_s > -ZONE_OFFSET_MAX_S && *ret_s < ZONE_OFFSET_MAX_S;
}

static bool read_changes(struct zone *z, const struct block *b)
{
    if (!offset_of(b, 0, &z->first_s))
        return false;
    for (size_t i = 0; i < b->times; i++) {
        struct zone_change *c = &z->changes[i];
        c->at_unix_s = (int64_t)load_be(b->data + 8 * i, 8);
        if (!offset_of(b, b->data[b->times * 8 + i], &c->offset_s))
            return false;
        if (i > 0 && c->at_unix_s <= c[-1].at_unix_s)
            return false;
    }
    z->count = b->times;
    return true;
}

/* The footer: a line of its own, which may be empty. */
static bool read_rule(struct zone *z, struct span footer)
{
    struct span after, text;
    if (footer.len < 2 || footer.p[0] != '\n')
        return false;
    text = span_split(span_of(footer.p + 1, footer.len - 1), '\n', &after);
    if (!after.p)
        return false;
    z->has_rule = text.len > 0;
    return !z->has_rule || zone_rule_parse(text, &z->rule);
}

/* NULL with *ret_rc ERR_SYNTAX or ERR_NOMEM. */
static struct zone *zone_of(struct span file, enum err_code *ret_rc)
{
    struct block narrow, wide;
    *ret_rc = ERR_SYNTAX;
    /* Times of a zone with leap seconds are no Unix times: all of them would be late. */
    if (!take_block(&file, 4, &narrow) || !take_block(&file, 8, &wide) || wide.leaps > 0)
        return NULL;
    struct zone *z = calloc(1, sizeof(*z) + wide.times * sizeof(z->changes[0]));
    if (!z)
        *ret_rc = ERR_NOMEM;
    if (z && read_changes(z, &wide) && read_rule(z, file))
        return z;
    zone_free(z);
    return NULL;
}

void zone_free(struct zone *z)
{
    free(z);
}

/* Words of letters, digits, '_', '+' and '-' between slashes: nothing that leaves the directory. */
static bool is_zone_name(struct span name)
{
    bool word = false;
    if (name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (c == '/' && !word)
            return false;
        if (c != '/' && !letter && !(c >= '0' && c <= '9') && c != '_' && c != '+' && c != '-')
            return false;
        word = c != '/';
    }
    return word;
}

static enum err_code say(struct err *err, enum err_code rc, const char *dir, struct span name)
{
    int saved = errno;
    switch (rc) {
    case ERR_NOT_FOUND:
        if (access(dir, X_OK) < 0)
            return err_set(err, rc, "",
                           "time zone \"" SPAN_FMT "\": there is no tz database at %s; install "
                           "tzdata, or name its directory in TZDIR",
                           SPAN_ARG(name), dir);
        return err_set(err, rc, "",
                       "\"" SPAN_FMT "\" is no time zone of %s; write a name such as "
                       "\"Asia/Kolkata\", \"Europe/Berlin\" or \"UTC\"",
                       SPAN_ARG(name), dir);
    case ERR_IO:
        return err_set(err, rc, "", "time zone \"" SPAN_FMT "\" in %s cannot be read: %s",
                       SPAN_ARG(name), dir, strerror(saved));
    case ERR_SYNTAX:
        return err_set(err, rc, "",
                       "%s/" SPAN_FMT " is no time zone in TZif form, version 2 or later and "
                       "without leap seconds; install tzdata again, or name another zone",
                       dir, SPAN_ARG(name));
    default:
        return err_set(err, rc, "", "no memory for time zone \"" SPAN_FMT "\"", SPAN_ARG(name));
    }
}

static enum err_code load(struct span name, const char *dir, struct zone **ret)
{
    char block[512];
    struct buf path, file;
    buf_init_fixed(&path, block, sizeof(block));
    buf_add_str(&path, dir);
    buf_add_char(&path, '/');
    buf_add_span(&path, name);
    buf_add_char(&path, '\0');
    if (path.failed)
        return ERR_NOT_FOUND;

    buf_init(&file, FILE_MAX_BYTES);
    enum err_code rc = file_read(block, FILE_REGULAR, &file);
    if (rc == ERR_IO && errno == EINVAL)
        rc = ERR_NOT_FOUND; /* a directory is a part of a name */
    else if (rc == ERR_TOO_LARGE)
        rc = ERR_SYNTAX;
    if (rc == ERR_OK)
        *ret = zone_of(buf_span(&file), &rc);
    buf_fini(&file);
    return rc;
}

enum err_code zone_load(struct span name, struct zone **ret, struct err *err)
{
    const char *dir = secure_getenv("TZDIR");
    struct zone *z = NULL;
    if (!dir || !*dir)
        dir = "/usr/share/zoneinfo";
    if (!is_zone_name(name))
        return err_set(err, ERR_NOT_FOUND, "",
                       "\"" SPAN_FMT "\" is no name of a time zone; write one such as "
                       "\"Asia/Kolkata\", \"Europe/Berlin\" or \"UTC\"",
                       (int)(name.len < 60 ? name.len : 60), name.p);
    enum err_code rc = load(name, dir, &z);
    if (!z)
        return say(err, rc, dir, name);
    *ret = z;
    return ERR_OK;
}

struct zone_span zone_at(const struct zone *z, int64_t unix_s)
{
    if (!z)
        return (struct zone_span){0, INT64_MAX};
    size_t low = 0, high = z->count; /* the first change after <unix_s> */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (z->changes[mid].at_unix_s <= unix_s)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == z->count && z->has_rule)
        return zone_rule_at(&z->rule, unix_s);
    return (struct zone_span){
        .offset_s = low == 0 ? z->first_s : z->changes[low - 1].offset_s,
        .end_unix_s = low == z->count ? INT64_MAX : z->changes[low].at_unix_s,
    };
}
