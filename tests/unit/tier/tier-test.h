/* tier-test.h: an answer with all that an entry can hold, and values of it. */
#ifndef LARDER_TIER_TEST_H
#define LARDER_TIER_TEST_H

#include "../unit-test.h"

#include <larder/tier/value.h>

#include <stdlib.h>

#define TEST_HEAD                                                                                  \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"e\"\r\nContent-Length: 4\r\n"
#define TEST_LENGTH_LINE "Content-Length: 4\r\n"

enum { TEST_STORED = 1000000, TEST_UNIX = 1795000000 };
#define TEST_UNIX_MS ((int64_t)TEST_UNIX * 1000)

static const uint8_t test_fingerprint[VALUE_FINGERPRINT] = "0123456789abcde";
static const struct value_context test_context = {.secret = {"0123456789abcdef", 16},
                                                  .route_name = {"courses", 7},
                                                  .fingerprint = test_fingerprint,
                                                  .compress_bytes = 100,
                                                  .max_bytes = 1 << 20};
static const struct tier_stamp test_stamp = {
    .is_valid = true, .generation = "generation of 15", .number = 0x0102030405060708};

static inline struct cache_key test_key(void)
{
    struct cache_key k;
    cache_key_init_variant(&k, SPAN_LIT("courses:id=1|en"), 12);
    return k;
}

static inline struct entry_parts test_parts(const struct cache_key *key)
{
    static const uint64_t tags[] = {1, UINT64_MAX, 0x1122334455667788};
    return (struct entry_parts){.kind = ENTRY_RESPONSE,
                                .route = 3,
                                .status = 200,
                                .key = key,
                                .tags = tags,
                                .tag_count = 3,
                                .began = 5,
                                .stored_mono_ms = TEST_STORED,
                                .age_at_store_ms = 1500,
                                .lifetime_ms = 60000,
                                .while_ms = 10000,
                                .error_ms = 20000,
                                .keep_ms = 30000,
                                .fetch_us = 123456,
                                .last_modified_unix_s = TEST_UNIX - 1000,
                                .date_unix_s = TEST_UNIX - 5,
                                .flags = FRESH_FOR_AUTHORIZED,
                                .length_line_len = sizeof(TEST_LENGTH_LINE) - 1,
                                .head = SPAN_LIT(TEST_HEAD),
                                .head_304 = SPAN_LIT("HTTP/1.1 304 Not Modified\r\n"),
                                .hidden = SPAN_LIT("Larder-Cache-Control: max-age=60\r\n"),
                                .body = SPAN_LIT("\0\xff\r\n"),
                                .etag = SPAN_LIT("\"e\""),
                                .target = SPAN_LIT("/courses?id=1"),
                                .host = SPAN_LIT("example.org"),
                                .tag_text = SPAN_LIT("org:1\0course:7\0"),
                                .is_refetchable = true};
}

/* What a peer reads: the same moment on both sides, and no time gone. */
static inline struct value_time test_time(const struct entry *e, mono_ms now)
{
    return (struct value_time){
        .left_ms = value_life_ms(e, now), .now = now, .unix_ms = TEST_UNIX_MS};
}

static inline void test_seal(const struct entry *e, mono_ms now, struct buf *out)
{
    buf_init(out, 1 << 21);
    assert_int_equal(
        value_seal(&test_context, e, &test_stamp, now, TEST_UNIX_MS, value_life_ms(e, now), out),
        ERR_OK);
}

#endif
