/* Fetchers, readers and an invalidator at once: no request that began after an acknowledged
 * invalidation may see what it removed. */
#include "../unit-test.h"

#include <larder/cache/store.h>

#include <pthread.h>
#include <stdio.h>

enum { KEYS = 8, ROUNDS = 20000, READERS = 3 };

static struct store *store;
static _Atomic uint64_t source[KEYS];       /* what the upstream would answer now */
static _Atomic uint64_t acknowledged[KEYS]; /* no older version may be seen */
static _Atomic bool is_over;
static _Atomic uint64_t violations, hits;

static void tags_for(unsigned k, struct tag_stamp *t)
{
    char text[16];
    snprintf(text, sizeof(text), "tag%u", k);
    t->count = 0;
    tag_add(t, tag_of(SPAN_LIT("*")));
    tag_add(t, tag_of(span_str(text)));
}

static void ask(unsigned k)
{
    char text[16];
    struct cache_key key;
    struct tag_stamp t;
    struct entry *e = NULL;
    struct flight *f = NULL;
    enum store_miss miss;
    snprintf(text, sizeof(text), "key%u", k);
    cache_key_init(&key, span_str(text));
    tags_for(k, &t);
    uint64_t least = acknowledged[k];
    struct flight_waiter none = {0};
    enum store_result rc = store_begin(store, &key, 0, &t, 1000, &none, &e, &f, &miss);
    if (rc == STORE_HIT) {
        uint64_t version;
        memcpy(&version, e->body.p, sizeof(version));
        violations += version < least;
        hits++;
        entry_unref(e);
    } else if (rc == STORE_LEAD) {
        uint64_t version = source[k];
        struct entry_parts p = {.kind = ENTRY_RESPONSE,
                                .status = 200,
                                .key = flight_key(f),
                                .tags = flight_tags(f),
                                .stored_mono_ms = 1000,
                                .lifetime_ms = 1000000,
                                .body = span_of((const char *)&version, sizeof(version))};
        struct entry *made = entry_new(&p);
        struct flight_result r = {.outcome = FLIGHT_ANSWER, .entry = made};
        (void)store_land(store, f, &r, &made, 1, 1000);
        entry_unref(made);
    }
}

static void *reader(void *arg)
{
    for (unsigned i = (unsigned)(uintptr_t)arg; !is_over; i = i * 1103515245 + 12345)
        ask((i >> 16) % KEYS);
    return NULL;
}

static void invalidate(unsigned k, unsigned how)
{
    char text[16];
    struct store_match m = {0};
    uint64_t version = ++source[k];
    if (how == 0) {
        snprintf(text, sizeof(text), "tag%u", k);
        m.tag[m.tag_count++] = tag_of(span_str(text));
    } else {
        snprintf(text, sizeof(text), how == 1 ? "key%u" : "k*%u", k);
        *(how == 1 ? &m.key : &m.glob) = span_str(text);
    }
    (void)store_invalidate(store, &m, false, 1000);
    acknowledged[k] = version;
}

static void no_reader_sees_what_was_invalidated_before_it_asked(void **state)
{
    struct store_limits routes[1] = {{0}};
    struct store_config c = {.route_count = 1, .route = routes, .max_object_bytes = 1 << 20};
    pthread_t threads[READERS];
    (void)state;
    store = store_new(&c);
    assert_non_null(store);
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < ROUNDS; i++)
        invalidate(i % KEYS, i % 3);
    is_over = true;
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(violations, 0);
    assert_true(hits > 0);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_reader_sees_what_was_invalidated_before_it_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
