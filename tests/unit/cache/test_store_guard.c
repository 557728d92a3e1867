/* test_store_guard.c: answers that other instances invalidate, too: how long they are trusted. */
#include "../unit-test.h"

#include <larder/base/macros.h>
#include <larder/cache/store.h>

enum { NOW = 1000000, LAG = 500 };

static struct store *make(void)
{
    static const struct store_limits no_limit;
    struct store_config c = {.route_count = 1,
                             .route = &no_limit,
                             .max_object_bytes = 1 << 20,
                             .waiters_max = 9,
                             .max_lag_ms = LAG};
    struct store *s = store_new(&c);
    assert_non_null(s);
    return s;
}

static struct store_begun begin(struct store *s, mono_ms now, bool is_guarded,
                                struct flight_waiter *w, enum store_result expected)
{
    struct cache_key k;
    struct tag_set t;
    struct store_begun begun;
    cache_key_init(&k, SPAN_LIT("k"));
    tag_set_init(&t);
    tag_set_add(&t, SPAN_LIT("route:a"), false);
    struct store_begin b = {
        .key = &k, .tags = &t, .now = now, .waiter = w, .is_guarded = is_guarded};
    assert_int_equal(store_begin(s, &b, &begun), expected);
    return begun;
}

static void land_nothing(struct store *s, struct flight *f)
{
    struct flight_result r = {.outcome = FLIGHT_UNSTORABLE};
    assert_int_equal(store_land(s, f, &r, NULL, 0, NOW), ERR_OK);
}

static void put(struct store *s, mono_ms known)
{
    struct flight *f = begin(s, NOW, known != 0, NULL, STORE_LEAD).flight;
    struct entry_parts p = {.key = flight_key(f),
                            .tags = flight_tags(f)->tag,
                            .tag_count = flight_tags(f)->count,
                            .began = flight_began(f),
                            .stored_mono_ms = NOW,
                            .known_mono_ms = known,
                            .lifetime_ms = 10000,
                            .while_ms = 10000,
                            .error_ms = 20000};
    struct entry *e = entry_new(&p);
    assert_non_null(e);
    struct flight_result r = {.outcome = FLIGHT_ANSWER, .entry = e};
    assert_int_equal(store_land(s, f, &r, &e, 1, NOW), ERR_OK);
    entry_unref(e);
}

typedef enum store_result look_fn(struct store *, const struct cache_key *, mono_ms,
                                  struct entry **);

static enum store_result look(struct store *s, look_fn *how, mono_ms now)
{
    struct cache_key k;
    struct entry *e = NULL;
    cache_key_init(&k, SPAN_LIT("k"));
    enum store_result rc = how(s, &k, now, &e);
    entry_unref(e);
    return rc;
}

static void a_guarded_answer_is_used_only_while_others_are_heard(void **state)
{
    (void)state;
    static const struct {
        mono_ms known, confirmed, now;
        enum store_result lookup, peek;
    } cases[] = {
        {NOW, 0, NOW + LAG, STORE_HIT, STORE_HIT},
        {NOW, 0, NOW + LAG + 1, STORE_MISS, STORE_KEPT},
        {NOW, NOW + 300, NOW + 300 + LAG, STORE_HIT, STORE_HIT},
        {NOW, NOW + 300, NOW + 301 + LAG, STORE_MISS, STORE_KEPT},
        {NOW, NOW - 300, NOW + LAG, STORE_HIT, STORE_HIT}, /* its own fetch is later */
        {NOW, 0, NOW + 15000, STORE_MISS, STORE_KEPT},     /* nor is it served stale */
        {NOW, NOW + 15000, NOW + 15000, STORE_STALE, STORE_STALE},
        {0, 0, NOW + LAG + 1, STORE_HIT, STORE_HIT}, /* not guarded */
        {0, 0, NOW + 15000, STORE_STALE, STORE_STALE},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct store *s = make();
        put(s, cases[i].known);
        store_confirm(s, cases[i].confirmed);
        assert_int_equal(look(s, store_lookup, cases[i].now), cases[i].lookup);
        assert_int_equal(look(s, store_peek, cases[i].now), cases[i].peek);
        store_free(s);
    }
}

static void what_is_not_trusted_is_led_anew_with_the_old_answer_beside_it(void **state)
{
    (void)state;
    struct store *s = make();
    put(s, NOW);
    struct store_begun b = begin(s, NOW + LAG + 1, true, NULL, STORE_LEAD);
    assert_non_null(b.entry);
    assert_false(store_trusts(s, b.entry, NOW + LAG + 1));
    store_confirm(s, NOW + LAG);
    assert_true(store_trusts(s, b.entry, NOW + LAG + 1));
    entry_unref(b.entry);
    land_nothing(s, b.flight);
    store_free(s);
}

static void on_landed(struct flight_waiter *w, const struct flight_result *r)
{
    (void)w;
    (void)r;
}

static void a_flight_is_joined_only_while_it_is_trusted(void **state)
{
    (void)state;
    for (int is_guarded = 0; is_guarded < 2; is_guarded++) {
        struct store *s = make();
        struct flight_waiter w[2] = {{.on_landed = on_landed}, {.on_landed = on_landed}};
        struct flight *f = begin(s, NOW, is_guarded, NULL, STORE_LEAD).flight;
        begin(s, NOW + LAG, is_guarded, &w[0], STORE_JOINED);
        struct store_begun late =
            begin(s, NOW + LAG + 1, is_guarded, &w[1], is_guarded ? STORE_LEAD : STORE_JOINED);
        land_nothing(s, f);
        if (is_guarded)
            land_nothing(s, late.flight);
        store_free(s);
    }
}

static void the_bound_begins_anew_with_each_confirmation(void **state)
{
    (void)state;
    struct store *s = make();
    assert_int_equal(store_confirmed_ms(s), 0);
    assert_false(store_is_confirmed(s, NOW));
    store_confirm(s, NOW);
    assert_int_equal(store_confirmed_ms(s), NOW);
    assert_true(store_is_confirmed(s, NOW + LAG));
    assert_false(store_is_confirmed(s, NOW + LAG + 1));
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guarded_answer_is_used_only_while_others_are_heard),
        cmocka_unit_test(what_is_not_trusted_is_led_anew_with_the_old_answer_beside_it),
        cmocka_unit_test(a_flight_is_joined_only_while_it_is_trusted),
        cmocka_unit_test(the_bound_begins_anew_with_each_confirmation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
