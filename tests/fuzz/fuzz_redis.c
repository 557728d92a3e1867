/* fuzz_redis.c: any bytes as the replies of a Redis server, whole and in pieces: both ways must
 * give the same replies, end alike, and lose nothing. */
#include "../../proxy/net/redis_codec-internal.h"

#include <stdlib.h>

enum { REPLY_MAX = 2048 };

struct sum {
    bool is_bad;
    unsigned replies;
    uint64_t hash; /* of all that was said */
};

static void add(struct sum *s, const void *p, size_t len)
{
    for (size_t i = 0; i < len; i++) /* FNV-1a */
        s->hash = (s->hash ^ ((const uint8_t *)p)[i]) * UINT64_C(0x100000001b3);
}

static void add_reply(struct sum *s, const struct redis_reply *r)
{
    enum redis_type type = redis_reply_type(r);
    struct span text = redis_reply_text(r);
    int64_t integer = redis_reply_integer(r);
    unsigned count = redis_reply_count(r);
    bool is_error = redis_reply_is_error(r);
    add(s, &type, sizeof(type));
    add(s, text.p, text.len);
    add(s, &integer, sizeof(integer));
    add(s, &count, sizeof(count));
    add(s, &is_error, sizeof(is_error));
    if (redis_reply_at(r, count))
        abort();
    for (unsigned i = 0; i < count; i++) {
        if (!redis_reply_at(r, i))
            abort();
        add_reply(s, redis_reply_at(r, i));
    }
}

static struct sum feed(struct span in, size_t piece)
{
    struct redis_codec *c = redis_codec_new(REPLY_MAX);
    struct sum sum = {0};
    if (!c)
        abort();
    for (size_t at = 0; at < in.len && !sum.is_bad; at += piece) {
        struct redis_reply *r = NULL;
        enum codec_result result;
        if (!redis_codec_feed(c, in.p + at, in.len - at < piece ? in.len - at : piece))
            abort();
        while ((result = redis_codec_next(c, &r)) == CODEC_REPLY) {
            sum.replies++;
            add_reply(&sum, r);
            redis_reply_free(r);
        }
        sum.is_bad = result == CODEC_BAD;
        if (sum.is_bad && !redis_codec_error(c)[0])
            abort();
    }
    redis_codec_free(c);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    struct sum whole = feed(in, size);
    for (size_t piece = 1; piece <= 7; piece += 2) {
        struct sum parts = feed(in, piece);
        if (in.len <= REPLY_MAX && (parts.is_bad != whole.is_bad ||
                                    parts.replies != whole.replies || parts.hash != whole.hash))
            abort();
    }
    return 0;
}
