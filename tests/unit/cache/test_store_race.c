/* Fetchers, readers and an invalidator at once: no request that began after an acknowledged
 * invalidation may see what it removed. */
#include "../unit-test.h"

#include <larder/cache/store.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

enum { KEYS = 8, ROUNDS = 20000, READERS = 3 };

static struct store *store;
static _Atomic uint64_t source[KEYS];       /* what the upstream would answer now */
static _Atomic uint64_t acknowledged[KEYS]; /* no older version may be seen */
static _Atomic bool is_over;
static _Atomic uint64_t violations, hits, joins;

/* The request knows "*" and "tag<k>"; "own<k>" is learnt from the answer. */
static void tags_for(unsigned k, struct tag_set *t)
{
    char text[16];
    snprintf(text, sizeof(text), "tag%u", k);
    tag_set_init(t);
    tag_set_add(t, SPAN_LIT("*"), false);
    tag_set_add(t, span_str(text), true);
}

static uint64_t own_tag(unsigned k)
{
    char text[16];
    snprintf(text, sizeof(text), "own%u", k);
    return tag_of(span_str(text));
}

static uint64_t version_of(const struct entry *e)
{
    uint64_t version;
    memcpy(&version, e->body.p, sizeof(version));
    return version;
}

/* One who waits for another's fetch; lives on the stack of who asks until it has landed. */
struct waiting {
    struct flight_waiter base;
    _Atomic bool has_landed;
    enum flight_outcome outcome;
    uint64_t version;
};

static void on_landed(struct flight_waiter *base, const struct flight_result *r)
{
    struct waiting *w = (struct waiting *)(void *)base;
    w->outcome = r->outcome;
    if (r->entry)
        w->version = version_of(r->entry);
    w->has_landed = true;
}

static void fetch(struct flight *f, unsigned k, const struct tag_set *t)
{
    uint64_t version = source[k], tags[3] = {t->tag[0], t->tag[1], own_tag(k)};
    if (version % 5 == 0)
        sched_yield(); /* let an invalidation come in between now and then */
    struct entry_parts p = {.kind = ENTRY_RESPONSE,
                            .status = 200,
                            .key = flight_key(f),
                            .tags = tags,
                            .tag_count = 3,
                            .began = flight_began(f),
                            .stored_mono_ms = 1000,
                            .lifetime_ms = 1000000,
                            .body = span_of((const char *)&version, sizeof(version))};
    struct entry *made = entry_new(&p);
    struct flight_result r = {.outcome = FLIGHT_ANSWER, .entry = made};
    (void)store_land(store, f, &r, &made, 1, 1000);
    entry_unref(made);
}

static void ask(unsigned k)
{
    char text[16];
    struct cache_key key;
    struct tag_set t;
    struct store_begun begun;
    snprintf(text, sizeof(text), "key%u", k);
    cache_key_init(&key, span_str(text));
    tags_for(k, &t);
    uint64_t least = acknowledged[k];
    struct waiting w = {.base.on_landed = on_landed};
    struct store_begin b = {.key = &key, .tags = &t, .now = 1000, .waiter = &w.base};
    switch (store_begin(store, &b, &begun)) {
    case STORE_HIT:
        violations += version_of(begun.entry) < least;
        hits++;
        entry_unref(begun.entry);
        break;
    case STORE_LEAD:
        fetch(begun.flight, k, &t);
        break;
    case STORE_JOINED:
        while (!w.has_landed)
            sched_yield();
        violations += w.outcome == FLIGHT_ANSWER && w.version < least;
        joins++;
        break;
    default:
        break;
    }
}

static void *reader(void *arg)
{
    for (unsigned i = (unsigned)(uintptr_t)arg; !is_over; i = i * 1103515245 + 12345)
        ask((i >> 16) % KEYS);
    return NULL;
}

static bool is_key(void *arg, const struct cache_key *key, struct span target, struct span tag_text)
{
    (void)target;
    (void)tag_text;
    return span_eq(key->text, span_str(arg));
}

static void invalidate(unsigned k, unsigned how)
{
    char text[16], key[16];
    snprintf(text, sizeof(text), "tag%u", k);
    snprintf(key, sizeof(key), "key%u", k);
    uint64_t tags[2] = {tag_of(span_str(text)), own_tag(k)};
    const struct store_match matches[] = {
        {.kind = STORE_ANY_TAG, .tags = &tags[0], .tag_count = 1},
        {.kind = STORE_ANY_TAG, .tags = &tags[1], .tag_count = 1}, /* of the answer alone */
        {.kind = STORE_ALL_OF, .tags = tags, .tag_count = 2},
        {.kind = STORE_TEST, .test = is_key, .arg = key},
    };
    struct store_invalidation i = {
        .match = &matches[how % 4], .is_soft = how >= 4, .now = 1000}; /* soft: gone, too */
    uint64_t version = ++source[k];
    (void)store_invalidate(store, &i);
    acknowledged[k] = version;
}

static void no_reader_sees_what_was_invalidated_before_it_asked(void **state)
{
    struct store_limits routes[1] = {{0}};
    struct store_config c = {
        .route_count = 1, .route = routes, .max_object_bytes = 1 << 20, .waiters_max = 100};
    pthread_t threads[READERS];
    (void)state;
    store = store_new(&c);
    assert_non_null(store);
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < ROUNDS; i++)
        invalidate(i % KEYS, i / KEYS % 8);
    is_over = true;
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(violations, 0);
    assert_true(hits > 0);
    assert_true(joins > 0);
    store_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_reader_sees_what_was_invalidated_before_it_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
