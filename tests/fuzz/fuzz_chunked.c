/* fuzz_chunked.c: any bytes as a chunked body, whole and in pieces: both ways must give the same
 * body, end at the same byte and judge alike. */
#include <larder/http/chunked.h>

#include <stdlib.h>

struct sum {
    enum chunked_result result;
    size_t used, body_bytes;
    uint64_t body_hash;
};

static void add_body(struct sum *sum, struct span body)
{
    sum->body_bytes += body.len;
    for (size_t i = 0; i < body.len; i++) /* FNV-1a */
        sum->body_hash = (sum->body_hash ^ (uint8_t)body.p[i]) * UINT64_C(0x100000001b3);
}

static struct sum feed(struct span in, size_t piece)
{
    struct chunked c;
    struct sum sum = {.result = CHUNKED_MORE};
    chunked_init(&c);
    while (sum.used < in.len && (sum.result == CHUNKED_MORE || sum.result == CHUNKED_BODY)) {
        size_t left = in.len - sum.used, used;
        struct span part = span_of(in.p + sum.used, left < piece ? left : piece), body;
        sum.result = chunked_feed(&c, part, &used, &body);
        if (used > part.len || (sum.result == CHUNKED_BODY) != (body.len > 0) ||
            (sum.result == CHUNKED_MORE && used != part.len))
            abort();
        if (body.len > 0 && (body.p < part.p || body.p + body.len != part.p + used))
            abort();
        add_body(&sum, body);
        sum.used += used;
    }
    return sum;
}

static bool same(struct sum a, struct sum b)
{
    bool a_open = a.result == CHUNKED_MORE || a.result == CHUNKED_BODY;
    bool b_open = b.result == CHUNKED_MORE || b.result == CHUNKED_BODY;
    return a_open == b_open && (a_open || a.result == b.result) && a.used == b.used &&
           a.body_bytes == b.body_bytes && a.body_hash == b.body_hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    struct sum whole = feed(in, size);
    for (size_t piece = 1; piece <= 7; piece += 2) {
        if (!same(whole, feed(in, piece)))
            abort();
    }
    return 0;
}
