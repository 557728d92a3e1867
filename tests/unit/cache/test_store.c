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

static struct tag_set tags_of(const char *a, const char *b)
{
    struct tag_set t;
    tag_set_init(&t);
    tag_set_add(&t, SPAN_LIT("*"), false);
    tag_set_add(&t, span_str(a), false);
    if (b)
        tag_set_add(&t, span_str(b), true);
    return t;
}

struct made {
    uint64_t lifetime_ms, while_ms, error_ms;
    const char *own_tag; /* learnt from the answer */
};

static struct entry *entry_for(const struct flight *f, mono_ms now, const struct made *m)
{
    const struct tag_set *tags = flight_tags(f);
    uint64_t all[TAG_SET_MAX + 1];
    unsigned count = tags->count;
    memcpy(all, tags->tag, count * sizeof(*all));
    if (m->own_tag)
        all[count++] = tag_of(span_str(m->own_tag));
    struct entry_parts p = {.kind = ENTRY_RESPONSE,
                            .status = 200,
                            .key = flight_key(f),
                            .tags = all,
                            .tag_count = count,
                            .tag_text = span_of(tags->text, tags->text_len),
                            .began = flight_began(f),
                            .stored_mono_ms = now,
                            .lifetime_ms = m->lifetime_ms,
                            .while_ms = m->while_ms,
                            .error_ms = m->error_ms,
                            .body = SPAN_LIT("body")};
    return entry_new(&p);
}

static struct store_begun begin(struct store *s, const char *text, const struct tag_set *tags,
                                mono_ms now, struct flight_waiter *w, enum store_result expected)
{
    struct cache_key k = key_of(text);
    struct store_begin b = {.key = &k, .tags = tags, .now = now, .waiter = w};
    struct store_begun begun;
    assert_int_equal(store_begin(s, &b, &begun), expected);
    return begun;
}

static enum err_code land_as(struct store *s, struct flight *f, mono_ms now, const struct made *m)
{
    struct entry *e = entry_for(f, now, m);
    struct flight_result r = {.outcome = FLIGHT_ANSWER, .entry = e};
    enum err_code rc = store_land(s, f, &r, &e, 1, now);
    entry_unref(e);
    return rc;
}

static enum err_code land(struct store *s, struct flight *f, mono_ms now, uint64_t lifetime_ms)
{
    return land_as(s, f, now, &(struct made){.lifetime_ms = lifetime_ms});
}

static void put_as(struct store *s, const char *text, mono_ms now, const struct made *m)
{
    struct tag_set t = tags_of("route:a", text);
    struct store_begun begun = begin(s, text, &t, now, NULL, STORE_LEAD);
    assert_int_equal(land_as(s, begun.flight, now, m), ERR_OK);
    entry_unref(begun.entry);
}

static void put(struct store *s, const char *text, mono_ms now, uint64_t lifetime_ms)
{
    put_as(s, text, now, &(struct made){.lifetime_ms = lifetime_ms});
}

static enum store_result look(struct store *s, const char *text, mono_ms now)
{
    struct cache_key k = key_of(text);
    struct entry *e = NULL;
    enum store_result rc = store_lookup(s, &k, now, &e);
    entry_unref(e);
    return rc;
}

static bool has(struct store *s, const char *text, mono_ms now)
{
    return look(s, text, now) == STORE_HIT;
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

static unsigned landed, overtaken;

static void on_landed(struct flight_waiter *w, const struct flight_result *r)
{
    (void)w;
    landed += r->outcome == FLIGHT_ANSWER;
    overtaken += r->outcome == FLIGHT_OVERTAKEN;
}

static void one_leads_some_join_and_the_rest_is_too_many(void **state)
{
    (void)state;
    struct store *s = make(0, 0);
    struct tag_set t = tags_of("route:a", NULL);
    struct flight_waiter w[3] = {{.on_landed = on_landed}, {.on_landed = on_landed}, {0}};
    landed = 0;
    struct flight *f = begin(s, "k", &t, 1000, &w[2], STORE_LEAD).flight;
    begin(s, "k", &t, 1000, &w[0], STORE_JOINED);
    begin(s, "k", &t, 1000, &w[1], STORE_JOINED);
    begin(s, "k", &t, 1000, &w[2], STORE_FULL);
    assert_int_equal(flight_waiting(f), 2);
    assert_int_equal(land(s, f, 1000, 1000), ERR_OK);
    assert_int_equal(landed, 2);
    entry_unref(begin(s, "k", &t, 1000, &w[2], STORE_HIT).entry);
    store_free(s);
}

static bool is_k(void *arg, const struct cache_key *key, struct span target, struct span tag_text)
{
    (void)arg;
    (void)target;
    (void)tag_text;
    return key->text.p[0] == 'k';
}

static uint64_t tag_pair[2];

static struct store_match match(const char *a, const char *b)
{
    tag_pair[0] = a ? tag_of(span_str(a)) : 0;
    tag_pair[1] = b ? tag_of(span_str(b)) : 0;
    if (!a)
        return (struct store_match){.kind = STORE_TEST, .test = is_k};
    return (struct store_match){
        .kind = b ? STORE_ALL_OF : STORE_ANY_TAG, .tags = tag_pair, .tag_count = b ? 2 : 1};
}

static struct store_removed invalidate(struct store *s, const struct store_match *m, bool is_soft,
                                       bool is_dry, mono_ms now)
{
    struct store_invalidation i = {
        .match = m, .is_soft = is_soft, .is_dry_run = is_dry, .now = now};
    return store_invalidate(s, &i);
}

/* Whatever began before an invalidation is dead after it, stored or in flight. */
static void an_invalidation_removes_what_is_stored_and_overtakes_what_flies(void **state)
{
    static const char *const cases[][2] = {
        {NULL, NULL}, {"*", NULL}, {"route:a", NULL}, {"k1", NULL}, {"route:a", "k1"}};
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct store *s = make(0, 0);
        struct tag_set t = tags_of("route:a", "k1");
        struct store_match m = match(cases[i][0], cases[i][1]);
        put(s, "k1", 1000, 100000);
        assert_int_equal(invalidate(s, &m, false, true, 1001).matched, 1);
        assert_true(has(s, "k1", 1001));
        assert_int_equal(invalidate(s, &m, false, false, 1001).matched, 1);
        assert_false(has(s, "k1", 1001));

        struct flight *f = begin(s, "k1", &t, 1002, NULL, STORE_LEAD).flight;
        struct store_removed r = invalidate(s, &m, false, false, 1003);
        assert_int_equal(r.matched, 0);
        assert_int_equal(r.flights, 1);
        struct flight *late = begin(s, "k1", &t, 1004, NULL, STORE_LEAD).flight;
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
    struct store_match m = match("route:a", "k1");
    assert_int_equal(invalidate(s, &m, false, false, 1001).matched, 1);
    assert_false(has(s, "k1", 1001));
    assert_true(has(s, "k2", 1001));
    store_free(s);
}

/* A tag that only the answer tells: who joined before the invalidation gets the answer, who joined
 * after it does not, and it is not stored. */
static void an_answers_own_tag_may_have_been_invalidated_while_it_was_fetched(void **state)
{
    static const char *const cases[][2] = {{"room:17", NULL}, {"route:a", "room:17"}};
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct store *s = make(0, 0);
        struct tag_set t = tags_of("route:a", NULL);
        struct flight_waiter before = {.on_landed = on_landed}, after = before;
        struct store_match m = match(cases[i][0], cases[i][1]);
        landed = overtaken = 0;
        struct flight *f = begin(s, "k", &t, 1000, NULL, STORE_LEAD).flight;
        begin(s, "k", &t, 1000, &before, STORE_JOINED);
        invalidate(s, &m, false, false, 1001);
        begin(s, "k", &t, 1002, &after, STORE_JOINED);
        struct made made = {.lifetime_ms = 1000, .own_tag = "room:17"};
        assert_int_equal(land_as(s, f, 1003, &made), ERR_NOT_FOUND);
        assert_int_equal(landed, 1);
        assert_int_equal(overtaken, 1);
        assert_false(has(s, "k", 1003));
        store_free(s);
    }
}

/* An invalidation, a waiter, and another invalidation: the last is younger than the waiter, but the
 * first is not. */
static void a_later_invalidation_hides_no_earlier_one(void **state)
{
    struct store *s = make(0, 0);
    struct tag_set t = tags_of("route:a", NULL);
    struct flight_waiter between = {.on_landed = on_landed};
    struct store_match m = match("room:17", NULL);
    (void)state;
    landed = overtaken = 0;
    struct flight *f = begin(s, "k", &t, 1000, NULL, STORE_LEAD).flight;
    invalidate(s, &m, false, false, 1001);
    begin(s, "k", &t, 1002, &between, STORE_JOINED);
    invalidate(s, &m, false, false, 1003);
    struct made made = {.lifetime_ms = 1000, .own_tag = "room:17"};
    assert_int_equal(land_as(s, f, 1004, &made), ERR_NOT_FOUND);
    assert_int_equal(landed, 0);
    assert_int_equal(overtaken, 1);
    store_free(s);
}

static void forgotten_intersections_count_against_what_flies(void **state)
{
    struct store *s = make(0, 0);
    struct tag_set t = tags_of("route:a", NULL);
    (void)state;
    struct flight *f = begin(s, "k", &t, 1000, NULL, STORE_LEAD).flight;
    for (int i = 0; i < 2000; i++) {
        struct store_match m = match("other", "still-other");
        invalidate(s, &m, false, false, 1001);
    }
    assert_int_equal(land(s, f, 1002, 1000), ERR_NOT_FOUND);
    store_free(s);
}

static void stale_answers_have_their_windows(void **state)
{
    static const struct {
        mono_ms now;
        enum store_result result;
        bool may_hide;
    } cases[] = {{1499, STORE_HIT, true},  {1500, STORE_STALE, true}, {1599, STORE_STALE, true},
                 {1600, STORE_MISS, true}, {1799, STORE_MISS, true},  {1800, STORE_MISS, false}};
    const struct made m = {.lifetime_ms = 500, .while_ms = 100, .error_ms = 300};
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct store *s = make(0, 0);
        struct tag_set t = tags_of("route:a", "k");
        put_as(s, "k", 1000, &m);
        assert_int_equal(look(s, "k", cases[i].now), cases[i].result);
        if (cases[i].result == STORE_MISS) {
            struct store_begun b = begin(s, "k", &t, cases[i].now, NULL, STORE_LEAD);
            assert_int_equal(b.entry != NULL, cases[i].may_hide);
            assert_int_equal(b.miss, STORE_MISS_EXPIRED);
            entry_unref(b.entry);
            assert_int_equal(land(s, b.flight, cases[i].now, 1000), ERR_OK);
        }
        store_free(s);
    }
}

static void a_soft_invalidation_begins_the_windows(void **state)
{
    const struct made window = {.lifetime_ms = 100000, .while_ms = 100},
                      none = {100000, 0, 0, NULL};
    struct store_match by_tag = match("k1", NULL), by_test = match(NULL, NULL);
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct store *s = make(0, 0);
        put_as(s, "k1", 1000, &window);
        put_as(s, "k2", 1000, &none);
        by_tag = match("route:a", NULL);
        struct store_removed r = invalidate(s, i ? &by_test : &by_tag, true, false, 2000);
        assert_int_equal(r.matched, 2);
        assert_int_equal(r.stale, 1);
        assert_int_equal(look(s, "k1", 2000), STORE_STALE);
        assert_int_equal(look(s, "k1", 2099), STORE_STALE);
        assert_int_equal(look(s, "k1", 2100), STORE_MISS);
        assert_int_equal(look(s, "k2", 2000), STORE_MISS);
        store_free(s);
    }
}

static void one_refresh_at_a_time_and_none_after_a_failure(void **state)
{
    const struct made m = {.lifetime_ms = 500, .while_ms = 1000};
    struct store *s = make(0, 0);
    struct tag_set t = tags_of("route:a", "k");
    struct flight *f = NULL, *other = NULL;
    (void)state;
    put_as(s, "k", 1000, &m);
    struct store_begun b = begin(s, "k", &t, 1600, NULL, STORE_STALE);
    assert_int_equal(store_refresh(s, b.entry, &t, 1600, &f), STORE_LEAD);
    assert_int_equal(store_refresh(s, b.entry, &t, 1600, &other), STORE_MISS);
    struct flight_result failed = {.outcome = FLIGHT_FAILED};
    store_refresh_failed(b.entry, 1600, 100);
    assert_int_equal(store_land(s, f, &failed, NULL, 0, 1600), ERR_OK);
    assert_int_equal(store_refresh(s, b.entry, &t, 1699, &f), STORE_MISS);
    assert_int_equal(store_refresh(s, b.entry, &t, 1700, &f), STORE_LEAD);
    assert_int_equal(land(s, f, 1700, 1000), ERR_OK);
    assert_true(has(s, "k", 1701));
    /* who found it stale before the refresh landed starts no second one */
    assert_int_equal(store_refresh(s, b.entry, &t, 1701, &f), STORE_MISS);
    entry_unref(b.entry);
    store_free(s);
}

static enum err_code land_marker(struct store *s, struct flight *f, mono_ms now)
{
    struct entry_parts p = {.kind = ENTRY_PASS,
                            .key = flight_key(f),
                            .began = flight_began(f),
                            .stored_mono_ms = now,
                            .lifetime_ms = 1000};
    struct entry *e = entry_new(&p);
    struct flight_result r = {.outcome = FLIGHT_UNSTORABLE};
    enum err_code rc = store_land(s, f, &r, &e, 1, now);
    entry_unref(e);
    return rc;
}

static void land_marker_at(struct store *s, const char *text, mono_ms now)
{
    struct tag_set t = tags_of("route:a", text);
    assert_int_equal(land_marker(s, begin(s, text, &t, now, NULL, STORE_LEAD).flight, now), ERR_OK);
}

static void markers_take_no_answers_place_until_they_are_many(void **state)
{
    (void)state;
    struct store *s = make(0, 10);
    struct store_stats all, routes[2];
    char text[16];
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof(text), "k%d", i);
        put(s, text, 1000, 100000);
    }
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof(text), "m%d", i);
        land_marker_at(s, text, 1000);
    }
    store_stats_read(s, &all, routes);
    assert_int_equal(routes[0].entries, 10);
    assert_int_equal(routes[0].evicted, 0);
    land_marker_at(s, "one more", 1000);
    store_stats_read(s, &all, routes);
    assert_int_equal(routes[0].evicted, 1);
    store_free(s);
}

/* Each kind's hand stays among its own: a marker's victim must not lead to the newest answers. */
static void markers_and_answers_in_turn_push_out_the_oldest_of_their_kind(void **state)
{
    enum { ANSWERS = 100, MARKERS = 3 * ANSWERS, MORE = 40 };
    struct store *s = make(0, ANSWERS);
    char text[16];
    (void)state;
    for (int i = 0; i < ANSWERS + MORE; i++) {
        snprintf(text, sizeof(text), "k%d", i);
        put(s, text, 1000, 100000);
        for (int m = 0; i == ANSWERS - 1 && m < MARKERS; m++) {
            snprintf(text, sizeof(text), "m%d", m);
            land_marker_at(s, text, 1000);
        }
        snprintf(text, sizeof(text), "n%d", i);
        if (i >= ANSWERS)
            land_marker_at(s, text, 1000);
    }
    for (int i = 0; i < ANSWERS + MORE; i++) {
        snprintf(text, sizeof(text), "k%d", i);
        if (has(s, text, 1000) != (i >= MORE))
            fail_msg("%s is %s", text, i >= MORE ? "gone" : "still there");
    }
    store_free(s);
}

static void behind_a_marker_everybody_flies_alone(void **state)
{
    struct store *s = make(0, 0);
    struct tag_set t = tags_of("route:a", "k");
    (void)state;
    struct flight *f = begin(s, "k", &t, 1000, NULL, STORE_LEAD).flight;
    assert_int_equal(land_marker(s, f, 1000), ERR_OK);
    struct flight *a = begin(s, "k", &t, 1001, NULL, STORE_ALONE).flight;
    struct flight *b = begin(s, "k", &t, 1001, NULL, STORE_ALONE).flight;
    assert_int_equal(land_marker(s, a, 1001), ERR_OK);
    assert_int_equal(land(s, b, 1001, 1000), ERR_OK); /* it could be stored this time */
    assert_true(has(s, "k", 1002));
    store_free(s);
}

static void a_marker_does_not_replace_what_may_be_served_stale(void **state)
{
    const struct made m = {.lifetime_ms = 500, .error_ms = 1000};
    struct store *s = make(0, 0);
    struct tag_set t = tags_of("route:a", "k");
    (void)state;
    put_as(s, "k", 1000, &m);
    struct store_begun b = begin(s, "k", &t, 1600, NULL, STORE_LEAD);
    entry_unref(b.entry);
    (void)land_marker(s, b.flight, 1600);
    b = begin(s, "k", &t, 1601, NULL, STORE_LEAD);
    assert_non_null(b.entry);
    store_drop(s, b.entry); /* a definite end */
    assert_int_equal(land_marker(s, b.flight, 1601), ERR_OK);
    entry_unref(b.entry);
    b = begin(s, "k", &t, 1602, NULL, STORE_ALONE);
    assert_null(b.entry);
    (void)land_marker(s, b.flight, 1602);
    store_free(s);
}

static unsigned listed;

static void on_entry(void *arg, struct entry *e)
{
    (void)arg;
    (void)e;
    listed++;
}

static void many_matches_are_dead_at_once_and_swept_later(void **state)
{
    enum { MANY = 20000 };
    struct store_limits route = {0};
    struct store_config c = {.route_count = 1, .route = &route, .max_object_bytes = 1 << 20};
    struct store *s = store_new(&c);
    struct store_stats all;
    char text[32];
    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof(text), "k%d", i);
        put(s, text, 1000, 100000);
    }
    struct store_match m = match("route:a", NULL);
    struct store_invalidation i = {.match = &m, .now = 1001, .list_max = 50, .on_entry = on_entry};
    listed = 0;
    struct store_removed r = store_invalidate(s, &i);
    assert_int_equal(r.matched, MANY);
    assert_false(r.is_exact);
    assert_int_equal(listed, 50);
    for (int n = 0; n < MANY; n += 997) {
        snprintf(text, sizeof(text), "k%d", n);
        assert_false(has(s, text, 1001));
    }
    while (store_sweep(s, 1001))
        ;
    store_stats_read(s, &all, NULL);
    assert_int_equal(all.entries, 0);
    assert_int_equal(all.bytes, 0);
    assert_int_equal(all.invalidated, MANY);
    store_free(s);
}

static enum store_miss miss_of(struct store *s, const char *text, mono_ms now)
{
    struct tag_set t = tags_of("route:a", text);
    struct store_begun b = begin(s, text, &t, now, NULL, STORE_LEAD);
    struct flight_result r = {.outcome = FLIGHT_FAILED};
    (void)store_land(s, b.flight, &r, NULL, 0, now);
    entry_unref(b.entry);
    return b.miss;
}

/* Also of what is out of the store already, and once. */
static void a_miss_knows_why(void **state)
{
    struct store *s = make(2, 0);
    (void)state;
    assert_int_equal(miss_of(s, "k1", 1000), STORE_MISS_ABSENT);
    put(s, "k1", 1000, 500);
    assert_int_equal(store_expire(s, 9000, 10), 1);
    assert_int_equal(miss_of(s, "k1", 9000), STORE_MISS_EXPIRED);
    assert_int_equal(miss_of(s, "k1", 9000), STORE_MISS_ABSENT);
    put(s, "k1", 9000, 500);
    assert_int_equal(miss_of(s, "k1", 9600), STORE_MISS_EXPIRED);
    assert_int_equal(miss_of(s, "k1", 9600), STORE_MISS_ABSENT);
    put(s, "k1", 9600, 5000);
    struct store_match m = match("k1", NULL);
    invalidate(s, &m, false, false, 9601);
    assert_int_equal(miss_of(s, "k1", 9602), STORE_MISS_INVALIDATED);
    put(s, "k1", 9600, 50000);
    put(s, "k2", 9600, 50000);
    put(s, "k3", 9600, 50000);
    assert_int_equal(miss_of(s, "k1", 9602), STORE_MISS_EVICTED);
    store_free(s);
}

static void tags_are_counted_with_their_bytes(void **state)
{
    struct store *s = make(0, 0);
    uint64_t entries, bytes;
    (void)state;
    put(s, "k1", 1000, 1000);
    put(s, "k2", 1000, 1000);
    store_tag_stats(s, tag_of(SPAN_LIT("route:a")), &entries, &bytes);
    assert_int_equal(entries, 2);
    assert_true(bytes > 0);
    assert_int_equal(store_expire(s, 10000, 100), 2);
    store_tag_stats(s, tag_of(SPAN_LIT("route:a")), &entries, &bytes);
    assert_int_equal(entries, 0);
    store_free(s);
}

static void what_is_too_large_is_not_stored(void **state)
{
    (void)state;
    static char huge[2 << 20];
    struct store *s = make(0, 0);
    struct tag_set t = tags_of("route:a", NULL);
    struct flight *f = begin(s, "k", &t, 1000, NULL, STORE_LEAD).flight;
    struct entry_parts p = {.kind = ENTRY_RESPONSE,
                            .status = 200,
                            .key = flight_key(f),
                            .tags = t.tag,
                            .tag_count = t.count,
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
        cmocka_unit_test(an_answers_own_tag_may_have_been_invalidated_while_it_was_fetched),
        cmocka_unit_test(a_later_invalidation_hides_no_earlier_one),
        cmocka_unit_test(forgotten_intersections_count_against_what_flies),
        cmocka_unit_test(stale_answers_have_their_windows),
        cmocka_unit_test(a_soft_invalidation_begins_the_windows),
        cmocka_unit_test(one_refresh_at_a_time_and_none_after_a_failure),
        cmocka_unit_test(markers_take_no_answers_place_until_they_are_many),
        cmocka_unit_test(markers_and_answers_in_turn_push_out_the_oldest_of_their_kind),
        cmocka_unit_test(behind_a_marker_everybody_flies_alone),
        cmocka_unit_test(a_marker_does_not_replace_what_may_be_served_stale),
        cmocka_unit_test(many_matches_are_dead_at_once_and_swept_later),
        cmocka_unit_test(a_miss_knows_why),
        cmocka_unit_test(tags_are_counted_with_their_bytes),
        cmocka_unit_test(what_is_too_large_is_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
