/* hiredis makes commands of arguments, and finds the ends of replies. What it finds is kept in
 * values of ours: one block each, a text's bytes within it, and counted while they grow, because
 * the reader believes any length that it is told. */
#include "redis_codec-internal.h"

#include <larder/base/span.h>

#include <hiredis/hiredis.h> /* after ours: its macro REDIS_OK has our REDIS_OK's value, 0 */
#include <stdlib.h>
#include <string.h>

_Static_assert(REDIS_OK == 0, "hiredis's REDIS_OK stands where ours did");

enum { IDLE_BUFFER_MAX = 64 * 1024 }; /* a larger one is given back once it is empty */
enum { ARGS_ON_STACK = 64 };
enum { LINE_MAX_BYTES = 64 * 1024 }; /* of what has no length before it: errors, mostly */

struct redis_reply {
    enum redis_type type;
    bool is_error;
    int64_t integer;
    struct span text;
    unsigned count;
    struct redis_reply *items[]; /* of an array; the bytes of a text */
};

struct redis_codec {
    redisReader *reader;
    size_t reply_max, reply_bytes; /* bytes fed since the last whole reply */
    size_t elements;               /* of the reply that is being read */
    bool is_too_large;
};

static struct redis_reply *make(const redisReadTask *t, enum redis_type type, size_t more)
{
    struct redis_reply *r = calloc(1, sizeof(*r) + more);
    if (!r)
        return NULL;
    r->type = type;
    if (t->parent)
        ((struct redis_reply *)t->parent->obj)->items[t->idx] = r;
    return r;
}

static void *make_text(const redisReadTask *t, char *p, size_t len)
{
    struct redis_reply *r = make(t, REDIS_TEXT, len + 1);
    if (!r)
        return NULL;
    r->is_error = t->type == REDIS_REPLY_ERROR;
    r->text = span_of(memcpy(r->items, p, len), len);
    return r;
}

static void *make_array(const redisReadTask *t, int count)
{
    struct redis_codec *c = t->privdata;
    if ((size_t)count > CODEC_ELEMENTS_MAX - c->elements) {
        c->is_too_large = true;
        return NULL;
    }
    c->elements += (size_t)count;
    struct redis_reply *r = make(t, REDIS_ARRAY, (size_t)count * sizeof(r->items[0]));
    if (r)
        r->count = (unsigned)count;
    return r;
}

static void *make_integer(const redisReadTask *t, long long value)
{
    struct redis_reply *r = make(t, REDIS_INTEGER, 0);
    if (r)
        r->integer = value;
    return r;
}

static void *make_nil(const redisReadTask *t)
{
    return make(t, REDIS_NIL, 0);
}

void redis_reply_free(struct redis_reply *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->count; i++)
        redis_reply_free(r->items[i]); /* the reader lets nothing nest deeper than 7 */
    free(r);
}

static void free_object(void *r)
{
    redis_reply_free(r);
}

struct redis_codec *redis_codec_new(size_t reply_max)
{
    static redisReplyObjectFunctions functions = {make_text, make_array, make_integer, make_nil,
                                                  free_object};
    struct redis_codec *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->reply_max = reply_max;
    c->reader = redisReaderCreateWithFunctions(&functions);
    if (!c->reader) {
        free(c);
        return NULL;
    }
    c->reader->privdata = c;
    c->reader->maxbuf = IDLE_BUFFER_MAX;
    return c;
}

void redis_codec_free(struct redis_codec *c)
{
    if (!c)
        return;
    redisReaderFree(c->reader);
    free(c);
}

bool redis_codec_feed(struct redis_codec *c, const char *p, size_t len)
{
    c->reply_bytes += len;
    return redisReaderFeed(c->reader, p, len) == 0;
}

/* The reader looks for the end of a line from its beginning each time that more has come: without
 * a limit a server could keep it busy by a line alone. */
static bool is_line_too_long(const redisReader *r)
{
    return r->len - r->pos > LINE_MAX_BYTES && !memmem(r->buf + r->pos, LINE_MAX_BYTES, "\r\n", 2);
}

enum codec_result redis_codec_next(struct redis_codec *c, struct redis_reply **ret)
{
    void *reply = NULL;
    if (redisReaderGetReply(c->reader, &reply) != 0)
        return CODEC_BAD;
    if (reply) {
        c->elements = 0;
        c->reply_bytes = c->reader->len - c->reader->pos;
        *ret = reply;
        return CODEC_REPLY;
    }
    c->is_too_large = c->reply_bytes > c->reply_max || is_line_too_long(c->reader);
    return c->is_too_large ? CODEC_BAD : CODEC_MORE;
}

bool redis_codec_is_within(const struct redis_codec *c)
{
    return c->reply_bytes > 0;
}

const char *redis_codec_error(const struct redis_codec *c)
{
    return c->is_too_large ? "a reply is too large" : c->reader->errstr;
}

bool codec_command_format(const struct span *args, unsigned count, char **ret, size_t *ret_len)
{
    struct {
        const char *p[ARGS_ON_STACK];
        size_t len[ARGS_ON_STACK];
    } few;
    bool is_few = count <= ARGS_ON_STACK;
    few.p[0] = NULL; /* gcc believes in commands of no arguments */
    few.len[0] = 0;
    const char **p = is_few ? few.p : malloc(count * (sizeof(*p) + sizeof(size_t)));
    if (!p)
        return false;
    size_t *len = is_few ? few.len : (size_t *)(p + count);
    for (unsigned i = 0; i < count; i++) {
        p[i] = args[i].p ? args[i].p : "";
        len[i] = args[i].len;
    }
    sds command = NULL;
    int n = redisFormatSdsCommandArgv(&command, (int)count, p, len);
    if (!is_few)
        free(p);
    if (n < 0)
        return false;
    *ret = command;
    *ret_len = (size_t)n;
    return true;
}

void codec_command_free(char *command)
{
    redisFreeSdsCommand(command);
}

bool redis_reply_is_error(const struct redis_reply *r)
{
    return r && r->is_error;
}

enum redis_type redis_reply_type(const struct redis_reply *r)
{
    return r ? r->type : REDIS_NIL;
}

struct span redis_reply_text(const struct redis_reply *r)
{
    return r && r->type == REDIS_TEXT ? r->text : span_of("", 0);
}

int64_t redis_reply_integer(const struct redis_reply *r)
{
    uint64_t value;
    if (!r || r->type != REDIS_TEXT)
        return r ? r->integer : 0;
    struct span digits = r->text;
    bool is_negative = digits.len > 0 && digits.p[0] == '-';
    if (is_negative)
        digits = span_of(digits.p + 1, digits.len - 1);
    if (!span_parse_u64(digits, &value) || value > INT64_MAX)
        return 0;
    return is_negative ? -(int64_t)value : (int64_t)value;
}

unsigned redis_reply_count(const struct redis_reply *r)
{
    return r ? r->count : 0;
}

const struct redis_reply *redis_reply_at(const struct redis_reply *r, unsigned i)
{
    return r && i < r->count ? r->items[i] : NULL;
}
