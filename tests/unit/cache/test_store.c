/* The store: lookups, budgets, SIEVE, expiry, flights, invalidation; time is passed in. */
#include "../unit-test.h"

#include <larder/base/macros.h>
#include <larder/cache/store.h>

#include <stdio.h>

struct fixture {
    struct store *store;
    struct store_limits routes[2];
};

static struct store *make(uint64_t max_entries, uint64_t route_entries)
{
    struct store_limits routes[2] = {{.max_entries = route_entries}, {0}};
    struct store_config c = {.all = {.max_bytes = 10 << 20, .max_entries = max_entries},
                             .route_count = 2,
                             .route = routes,
                             .max_object_bytes = 1 << 20,
                             .waiters_max = 2};
    struct store *s = store_new(&c);
    assert_non_null(s);
    return s;
}

static struct cache_key key_of(const char *text)
{
    struct cache_key k;
    cache_key_init(&k, span_str(text));
    return k;
}

static struct tag_stamp tags_of(const char *a, const char *b)
{
    struct tag_stamp t = {0};
    tag_add(&t, tag_of(SPAN_LIT("*")));
    tag_add(&t, tag_of(span_str(a)));
    if (b)
        tag_add(&t, tag_of(span_str(b)));
    return t;
}

static struct entry *entry_for(const struct flight *f, uint16_t route, mono_ms now,
                               uint64_t lifetime_ms)
{
    struct entry_parts p = {.kind = ENTRY_RESPONSE,
                            .route = route,
                            .status = 200,
                            .key = flight_key(f),
                            .tags = flight_tags(f),
                            .stored_mono_ms = now,
                            .lifetime_ms = lifetime_ms,
                            .body = SPAN_LIT("body")};
    return entry_new(&p);
}

static enum store_result begin(struct store *s, const char *text, const struct tag_stamp *tags,
                               mono_ms now, struct flight_waiter *w, struct flight **f)
{
    struct cache_key k = key_of(text);
    struct entry *e = NULL;
    enum store_miss miss;
    enum store_result rc = store_begin(s, &k, 0, tags, now, w, &e, f, &miss);
    entry_unref(e);
    return rc;
}

static enum err_code land(struct store *s, struct flight *f, mono_ms now, uint64_t lifetime_ms)
{
    struct entry *e = entry_for(f, 0, now, lifetime_ms);
    struct flight_result r = {.outcome = FLIGHT_ANSWER, .entry = e};
    enum err_code rc = store_land(s, f, &r, &e, 1, now);
    entry_unref(e);
    return rc;
}

static void put(struct store *s, const char *text, mono_ms now, uint64_t lifetime_ms)
{
    struct tag_stamp t = tags_of("route:a", text);
    struct flight *f = NULL;
    assert_int_equal(begin(s, text, &t, now, NULL, &f), STORE_LEAD);
    assert_int_equal(land(s, f, now, lifetime_ms), ERR_OK);
}

static bool has(struct store *s, const char *text, mono_ms now)
{
    struct cache_key k = key_of(text);
    struct entry *e = NULL;
    enum store_result rc = store_lookup(s, &k, now, &e);
    entry_unref(e);
    return rc == STORE_HIT;
}

static void an_answer_is_found_until_its_lifetime_ends(void **state)
{
    (void)state;
    struct store *s = make(0, 0);
    put(s, "k", 1000, 500);
    assert_true(has(s, "k", 1000));
    assert_true(has(s, "k", 1499));
    assert_false(has(s, "k", 1500));
    assert_int_equal(store_expire(s, 5000, 100), 1);
    struct store_stats all;
    store_stats_read(s, &all, NULL);
    assert_int_equal(all.entries, 0);
    assert_int_equal(all.bytes, 0);
    assert_int_equal(all.expired, 1);
    store_free(s);
}

static void budgets_are_kept_exactly(void **state)
{
    (void)state;
    struct store *s = make(50, 10);
    char text[16];
    struct store_stats all, routes[2];
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "k%d", i);
        put(s, text, 1000, 100000);
        store_stats_read(s, &all, routes);
        assert_true(routes[0].entries <= 10);
    }
    assert_int_equal(routes[0].entries, 10);
    assert_int_equal(all.evicted, 90);
    store_free(s);
}

static void what_was_hit_survives_what_was_not(void **state)
{
    (void)state;
    struct store *s = make(0, 4);
    char text[16];
    put(s, "hot", 1000, 100000);
    for (int i = 0; i < 50; i++) {
        assert_true(has(s, "hot", 1001));
        snprintf(text, sizeof(text), "scan%d", i);
        put(s, text, 1000, 100000);
    }
    assert_true(has(s, "hot", 1001));
    store_free(s);
}

static unsigned landed;

static void on_landed(struct flight_waiter *w, const struct flight_result *r)
{
    (void)w;
    assert_int_equal(r->outcome, FLIGHT_ANSWER);
    landed++;
}

static void one_leads_some_join_and_the_rest_is_too_many(void **state)
{
    (void)state;
    struct store *s = make(0, 0);
    struct tag_stamp t = tags_of("route:a", NULL);
    struct flight *f = NULL, *other = NULL;
    struct flight_waiter w[3] = {{.on_landed = on_landed}, {.on_landed = on_landed}, {0}};
    landed = 0;
    assert_int_equal(begin(s, "k", &t, 1000, &w[2], &f), STORE_LEAD);
    assert_int_equal(begin(s, "k", &t, 1000, &w[0], &other), STORE_JOINED);
    assert_int_equal(begin(s, "k", &t, 1000, &w[1], &other), STORE_JOINED);
    assert_int_equal(begin(s, "k", &t, 1000, &w[2], &other), STORE_FULL);
    assert_int_equal(flight_waiting(f), 2);
    assert_int_equal(land(s, f, 1000, 1000), ERR_OK);
    assert_int_equal(landed, 2);
    assert_int_equal(begin(s, "k", &t, 1000, &w[2], &other), STORE_HIT);
    store_free(s);
}

static struct store_match match(const char *glob, const char *key, const char *tag,
                                const char *tag2)
{
    struct store_match m = {.glob = span_str(glob), .key = span_str(key)};
    if (tag)
        m.tag[m.tag_count++] = tag_of(span_str(tag));
    if (tag2)
        m.tag[m.tag_count++] = tag_of(span_str(tag2));
    return m;
}

/* Whatever began before an invalidation is dead after it, stored or in flight. */
static void an_invalidation_removes_what_is_stored_and_overtakes_what_flies(void **state)
{
    const struct store_match cases[] = {
        match("k*", NULL, NULL, NULL),      match(NULL, "k1", NULL, NULL),
        match(NULL, NULL, "*", NULL),       match(NULL, NULL, "route:a", NULL),
        match(NULL, NULL, "route:a", "k1"),
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct store *s = make(0, 0);
        struct tag_stamp t = tags_of("route:a", "k1");
        struct flight *f = NULL, *late = NULL;
        put(s, "k1", 1000, 100000);
        struct store_removed dry = store_invalidate(s, &cases[i], true, 1001);
        assert_int_equal(dry.matched, 1);
        assert_true(has(s, "k1", 1001));
        struct store_removed r = store_invalidate(s, &cases[i], false, 1001);
        assert_int_equal(r.matched, 1);
        assert_false(has(s, "k1", 1001));

        assert_int_equal(begin(s, "k1", &t, 1002, NULL, &f), STORE_LEAD);
        r = store_invalidate(s, &cases[i], false, 1003);
        assert_int_equal(r.matched, 0);
        assert_int_equal(r.flights, 1);
        assert_int_equal(begin(s, "k1", &t, 1004, NULL, &late), STORE_LEAD);
        assert_int_equal(land(s, f, 1005, 1000), ERR_NOT_FOUND);
        assert_false(has(s, "k1", 1005));
        assert_int_equal(land(s, late, 1006, 1000), ERR_OK);
        assert_true(has(s, "k1", 1006));
        store_free(s);
    }
}

static void an_intersection_of_tags_spares_what_has_but_one(void **state)
{
    (void)state;
    struct store *s = make(0, 0);
    put(s, "k1", 1000, 100000);
    put(s, "k2", 1000, 100000);
    struct store_match m = match(NULL, NULL, "route:a", "k1");
    assert_int_equal(store_invalidate(s, &m, false, 1001).matched, 1);
    assert_false(has(s, "k1", 1001));
    assert_true(has(s, "k2", 1001));
    store_free(s);
}

static void what_is_too_large_is_not_stored(void **state)
{
    (void)state;
    static char huge[2 << 20];
    struct store *s = make(0, 0);
    struct tag_stamp t = tags_of("route:a", NULL);
    struct flight *f = NULL;
    assert_int_equal(begin(s, "k", &t, 1000, NULL, &f), STORE_LEAD);
    struct entry_parts p = {.kind = ENTRY_RESPONSE,
                            .status = 200,
                            .key = flight_key(f),
                            .tags = flight_tags(f),
                            .stored_mono_ms = 1000,
                            .lifetime_ms = 1000,
                            .body = span_of(huge, sizeof(huge))};
    struct entry *e = entry_new(&p);
    struct flight_result r = {.outcome = FLIGHT_ANSWER, .entry = e};
    assert_int_equal(store_land(s, f, &r, &e, 1, 1000), ERR_TOO_LARGE);
    entry_unref(e);
    assert_false(has(s, "k", 1000));
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_found_until_its_lifetime_ends),
        cmocka_unit_test(budgets_are_kept_exactly),
        cmocka_unit_test(what_was_hit_survives_what_was_not),
        cmocka_unit_test(one_leads_some_join_and_the_rest_is_too_many),
        cmocka_unit_test(an_invalidation_removes_what_is_stored_and_overtakes_what_flies),
        cmocka_unit_test(an_intersection_of_tags_spares_what_has_but_one),
        cmocka_unit_test(what_is_too_large_is_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
