/* How long an invalidation takes, by the size of the store: a tag of 10 answers, a tag of none, a
 * route of all answers. Prints a table; docs/BENCH.md has one run of it. */
#include <larder/base/macros.h>
#include <larder/cache/store.h>

#include <stdio.h>
#include <stdlib.h>

enum { GROUP = 10, ROUNDS = 200 };

static struct store *store;

static void put(unsigned n)
{
    char text[32], group[32];
    struct cache_key key;
    struct tag_set tags;
    snprintf(text, sizeof(text), "courses:id=%u", n);
    snprintf(group, sizeof(group), "org:%u", n / GROUP);
    cache_key_init(&key, span_str(text));
    tag_set_init(&tags);
    tag_set_add(&tags, SPAN_LIT("*"), false);
    tag_set_add(&tags, SPAN_LIT("route:courses"), false);
    tag_set_add(&tags, span_str(group), true);
    struct store_begin b = {.key = &key, .tags = &tags, .now = 1000};
    struct store_begun begun;
    if (store_begin(store, &b, &begun) != STORE_LEAD)
        abort();
    struct entry_parts parts = {.kind = ENTRY_RESPONSE,
                                .status = 200,
                                .key = &key,
                                .tags = tags.tag,
                                .tag_count = tags.count,
                                .began = flight_began(begun.flight),
                                .stored_mono_ms = 1000,
                                .lifetime_ms = 1000000,
                                .body = SPAN_LIT("{}")};
    struct entry *e = entry_new(&parts);
    struct flight_result r = {.outcome = FLIGHT_ANSWER, .entry = e};
    if (!e || store_land(store, begun.flight, &r, &e, 1, 1000) != ERR_OK)
        abort();
    entry_unref(e);
}

static struct store_removed invalidate(const char *tag_text, uint64_t *ret_us)
{
    uint64_t tag = tag_of(span_str(tag_text)), begun = mono_now_us();
    struct store_match m = {.kind = STORE_ANY_TAG, .tags = &tag, .tag_count = 1};
    struct store_invalidation i = {.match = &m, .now = 1000};
    struct store_removed r = store_invalidate(store, &i);
    *ret_us = mono_now_us() - begun;
    return r;
}

static void measure(unsigned entries)
{
    struct store_limits route = {0};
    struct store_config c = {.route_count = 1, .route = &route, .max_object_bytes = 1 << 20};
    uint64_t us, tag_us = 0, none_us = 0;
    char text[32];
    store = store_new(&c);
    for (unsigned n = 0; n < entries; n++)
        put(n);
    unsigned rounds = ROUNDS < entries / GROUP / 2 ? ROUNDS : entries / GROUP / 2;
    for (unsigned i = 0; i < rounds; i++) {
        snprintf(text, sizeof(text), "org:%u", (unsigned)((uint64_t)i * 7919 % (entries / GROUP)));
        (void)invalidate(text, &us);
        tag_us += us;
        snprintf(text, sizeof(text), "none:%u", i);
        (void)invalidate(text, &us);
        none_us += us;
    }
    struct store_removed r = invalidate("route:courses", &us);
    uint64_t sweep_us = mono_now_us();
    while (store_sweep(store, 1000))
        ;
    sweep_us = mono_now_us() - sweep_us;
    printf("| %9u | %10.1f | %10.1f | %9llu | %10.1f | %10.1f |\n", entries,
           (double)none_us / rounds, (double)tag_us / rounds, (unsigned long long)r.matched,
           (double)us, (double)sweep_us);
    store_free(store);
}

int main(void)
{
    static const unsigned sizes[] = {1000, 10000, 100000, 1000000};
    printf("|   answers | no match us | 10 match us | of route | route us | swept in us |\n"
           "|---|---|---|---|---|---|\n");
    hash_seed(1);
    for (size_t i = 0; i < array_len(sizes); i++)
        measure(sizes[i]);
    return 0;
}
