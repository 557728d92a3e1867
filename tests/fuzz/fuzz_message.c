/* fuzz_message.c: any bytes as messages of invalidations, one behind the other. What is taken is
 * in bounds, matches without a fault, and is the same when it is written again. */
#include <larder/tier/message.h>

#include <stdlib.h>

static void demand(bool ok)
{
    if (!ok)
        abort();
}

static void check(struct span bytes)
{
    static struct message m;
    struct cache_key key;
    struct buf again;
    if (!message_parse(bytes, &m))
        return;
    demand(m.kind == MESSAGE_PATTERN ? m.pattern.kind < PATTERN_KIND_COUNT
                                     : m.tag_count > 0 && m.tag_count <= MESSAGE_TAGS_MAX);
    demand(m.kind != MESSAGE_ALL_OF || m.tag_count <= TAG_ALL_OF_MAX);
    buf_init(&again, 1 << 16);
    message_add(&m, &again);
    struct span rest = buf_span(&again);
    demand(span_eq(message_next(&rest), bytes) && rest.len == 0);
    buf_fini(&again);
    cache_key_init(&key, SPAN_LIT("courses:id=1"));
    if (m.kind == MESSAGE_PATTERN)
        (void)pattern_matches(&m.pattern, &key, SPAN_LIT("/a/b/c?d=e"), SPAN_LIT("org:1\0a\0"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span list = span_of((const char *)data, size);
    check(list);
    for (;;) {
        size_t before = list.len;
        struct span bytes = message_next(&list);
        if (list.len == before)
            return 0;
        demand(list.len < before && bytes.len < before);
        check(bytes);
    }
}
