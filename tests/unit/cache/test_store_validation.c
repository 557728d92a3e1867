/* test_store_validation.c: answers that are kept to be validated: who finds them, who fetches. */
#include "../unit-test.h"

#include <larder/base/macros.h>
#include <larder/cache/store.h>

enum { NOW = 1000000 };

static struct store *make(void)
{
    static const struct store_limits no_limit;
    struct store_config c = {
        .route_count = 1, .route = &no_limit, .max_object_bytes = 1 << 20, .waiters_max = 9};
    struct store *s = store_new(&c);
    assert_non_null(s);
    return s;
}

static struct store_begun begin(struct store *s, mono_ms now, struct flight_waiter *w,
                                enum store_result expected)
{
    struct cache_key k;
    struct tag_set t;
    struct store_begun begun;
    cache_key_init(&k, SPAN_LIT("k"));
    tag_set_init(&t);
    tag_set_add(&t, SPAN_LIT("route:a"), false);
    struct store_begin b = {.key = &k, .tags = &t, .now = now, .waiter = w};
    assert_int_equal(store_begin(s, &b, &begun), expected);
    return begun;
}

static void land(struct store *s, struct flight *f, const struct entry_parts *parts, mono_ms now)
{
    struct entry_parts p = *parts;
    p.key = flight_key(f);
    p.began = flight_began(f);
    p.tags = flight_tags(f)->tag;
    p.tag_count = flight_tags(f)->count;
    p.stored_mono_ms = now;
    struct entry *e = entry_new(&p);
    assert_non_null(e);
    struct flight_result r = {.outcome = FLIGHT_ANSWER, .entry = e};
    assert_int_equal(store_land(s, f, &r, &e, 1, now), ERR_OK);
    entry_unref(e);
}

static void put(struct store *s, const struct entry_parts *parts)
{
    land(s, begin(s, NOW, NULL, STORE_LEAD).flight, parts, NOW);
}

typedef enum store_result look_fn(struct store *, const struct cache_key *, mono_ms,
                                  struct entry **);

static enum store_result look(struct store *s, look_fn *how, mono_ms now, uint64_t *ret_hits)
{
    struct cache_key k;
    struct entry *e = NULL;
    cache_key_init(&k, SPAN_LIT("k"));
    enum store_result rc = how(s, &k, now, &e);
    assert_int_equal(e != NULL, rc != STORE_MISS);
    *ret_hits = e ? atomic_load(&e->hits) : 0;
    entry_unref(e);
    return rc;
}

static void a_peek_finds_what_a_lookup_may_not_use(void **state)
{
    (void)state;
    static const struct entry_parts parts = {
        .lifetime_ms = 100, .while_ms = 50, .error_ms = 200, .keep_ms = 1000};
    static const struct {
        mono_ms after_ms;
        enum store_result peek, lookup;
    } cases[] = {{99, STORE_HIT, STORE_HIT},     {100, STORE_STALE, STORE_STALE},
                 {150, STORE_KEPT, STORE_MISS},  {300, STORE_KEPT, STORE_MISS},
                 {1099, STORE_KEPT, STORE_MISS}, {1100, STORE_MISS, STORE_MISS}};
    for (size_t i = 0; i < array_len(cases); i++) {
        struct store *s = make();
        uint64_t hits;
        put(s, &parts);
        assert_int_equal(look(s, store_peek, NOW + cases[i].after_ms, &hits), cases[i].peek);
        assert_int_equal(hits, 0); /* to look is no hit */
        assert_int_equal(look(s, store_lookup, NOW + cases[i].after_ms, &hits), cases[i].lookup);
        assert_int_equal(hits, cases[i].lookup != STORE_MISS);
        store_free(s);
    }
}

static void a_peek_finds_markers_of_variants_alone(void **state)
{
    (void)state;
    static const struct {
        enum entry_kind kind;
        enum store_result result;
    } cases[] = {{ENTRY_VARY, STORE_VARY}, {ENTRY_PASS, STORE_MISS}};
    for (size_t i = 0; i < array_len(cases); i++) {
        struct store *s = make();
        struct entry_parts parts = {.kind = cases[i].kind, .lifetime_ms = 100};
        uint64_t hits;
        put(s, &parts);
        assert_int_equal(look(s, store_peek, NOW + 99, &hits), cases[i].result);
        assert_int_equal(look(s, store_peek, NOW + 100, &hits), STORE_MISS);
        store_free(s);
    }
}

static void a_peek_finds_nothing_that_was_invalidated(void **state)
{
    (void)state;
    static const struct entry_parts parts = {.lifetime_ms = 100, .error_ms = 50, .keep_ms = 1000};
    uint64_t tag = tag_of(SPAN_LIT("route:a")), hits;
    struct store_match m = {.kind = STORE_ANY_TAG, .tags = &tag, .tag_count = 1};
    struct store_invalidation hard = {.match = &m, .now = NOW + 1},
                              soft = {.match = &m, .is_soft = true, .now = NOW + 1};
    struct store *s = make();
    put(s, &parts);
    (void)store_invalidate(s, &soft);
    assert_int_equal(look(s, store_peek, NOW + 1, &hits), STORE_KEPT);
    (void)store_invalidate(s, &hard);
    assert_int_equal(look(s, store_peek, NOW + 1, &hits), STORE_MISS);
    store_free(s);
}

/* RFC 9111 section 4: one answer may serve all that wait only where it is fresh for them. */
static void what_must_be_validated_each_time_is_fetched_by_each_alone(void **state)
{
    (void)state;
    static const struct entry_parts cases[] = {
        {.lifetime_ms = 100, .keep_ms = 1000, .flags = FRESH_MUST_VALIDATE},
        {.lifetime_ms = 0, .keep_ms = 1000},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct store *s = make();
        struct flight_waiter w = {.next = NULL};
        put(s, &cases[i]);
        struct store_begun a = begin(s, NOW + 1, &w, STORE_ALONE),
                           b = begin(s, NOW + 1, &w, STORE_ALONE);
        assert_non_null(a.entry); /* to be asked about */
        assert_ptr_equal(a.entry, b.entry);
        assert_int_equal(a.miss, STORE_MISS_EXPIRED);
        assert_int_equal(flight_waiting(a.flight), 0);
        entry_unref(a.entry);
        entry_unref(b.entry);
        land(s, a.flight, &cases[i], NOW + 1);
        land(s, b.flight, &(struct entry_parts){.lifetime_ms = 100}, NOW + 1);
        entry_unref(begin(s, NOW + 2, &w, STORE_HIT).entry); /* it may be shared again */
        store_free(s);
    }
}

static unsigned answered;

static void on_landed(struct flight_waiter *w, const struct flight_result *r)
{
    (void)w;
    answered += r->outcome == FLIGHT_ANSWER;
}

/* What was fresh once: the upstream's word makes it so again, for all who wait. */
static void one_asks_whether_a_stale_answer_still_holds(void **state)
{
    (void)state;
    static const struct entry_parts parts = {.lifetime_ms = 100, .keep_ms = 1000};
    struct store *s = make();
    struct flight_waiter w = {.on_landed = on_landed};
    answered = 0;
    put(s, &parts);
    struct store_begun lead = begin(s, NOW + 100, NULL, STORE_LEAD),
                       join = begin(s, NOW + 100, &w, STORE_JOINED);
    assert_non_null(lead.entry);
    assert_ptr_equal(lead.entry, join.entry);
    entry_unref(join.entry);
    entry_unref(lead.entry);
    land(s, lead.flight, &parts, NOW + 101);
    assert_int_equal(answered, 1);
    entry_unref(begin(s, NOW + 200, &w, STORE_HIT).entry);
    store_free(s);
}

static void what_is_for_one_alone_is_overtaken_by_its_own_tags(void **state)
{
    (void)state;
    static const uint64_t own[] = {1, 2};
    struct store *s = make();
    struct store_begun b = begin(s, NOW, NULL, STORE_LEAD);
    struct entry_parts parts = {.key = flight_key(b.flight),
                                .began = flight_began(b.flight),
                                .tags = own,
                                .tag_count = 2,
                                .stored_mono_ms = NOW,
                                .keep_ms = 1000};
    struct entry *e = entry_new(&parts);
    assert_non_null(e);
    /* all of two tags: such an invalidation has no number of its own to be found by later */
    struct store_match match = {.kind = STORE_ALL_OF, .tags = own, .tag_count = 2};
    (void)store_invalidate(s, &(struct store_invalidation){.match = &match, .now = NOW});
    struct flight_result for_others = {.outcome = FLIGHT_UNSTORABLE};
    assert_int_equal(store_land(s, b.flight, &for_others, &e, 1, NOW), ERR_NOT_FOUND);
    entry_unref(e);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peek_finds_what_a_lookup_may_not_use),
        cmocka_unit_test(a_peek_finds_markers_of_variants_alone),
        cmocka_unit_test(a_peek_finds_nothing_that_was_invalidated),
        cmocka_unit_test(what_must_be_validated_each_time_is_fetched_by_each_alone),
        cmocka_unit_test(one_asks_whether_a_stale_answer_still_holds),
        cmocka_unit_test(what_is_for_one_alone_is_overtaken_by_its_own_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
