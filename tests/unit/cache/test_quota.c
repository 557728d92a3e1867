/* test_quota.c: what token buckets and sliding windows let through, and whom a full table forgets.
 */
#include "../unit-test.h"

#include <larder/cache/quota.h>

#include <pthread.h>
#include <stdlib.h>

#define WINDOW(n, ms)                                                                              \
    {                                                                                              \
        .count = (n), .window_ms = (ms)                                                            \
    }
#define BUCKET(n, ms, most)                                                                        \
    {                                                                                              \
        .is_bucket = true, .count = (n), .window_ms = (ms), .burst = (most)                        \
    }

static struct hash128 who(uint64_t n)
{
    uint64_t x = n * 0x9e3779b97f4a7c15u + 1;
    return (struct hash128){.hi = x ^ x >> 29, .lo = x};
}

static bool take_one(struct quota *q, uint64_t client, const struct quota_limit *l, unsigned count,
                     mono_ms now, struct quota_view *ret)
{
    struct quota_ask a = {.table = q, .who = who(client), .count = count, .limits = l};
    bool is_allowed = quota_take(&a, 1, now);
    if (ret)
        memcpy(ret, a.view, count * sizeof(*ret));
    return is_allowed;
}

/* --- one limit --- */

static const struct {
    const char *rule;
    struct quota_limit limit;
    struct {
        uint64_t at_ms;
        unsigned times, allowed;     /* so many requests at that time, of which so many pass */
        unsigned remaining, wait_ms; /* after them */
    } steps[6];
} cases[] = {
    {"a window lets its number through, and the next one only after it",
     WINDOW(3, 1000),
     {{100, 5, 3, 0, 1001}, {1099, 1, 0, 0, 2}, {1100, 1, 0, 0, 1}, {1101, 2, 1, 0, 333}}},
    {"what came in the window before fades evenly",
     WINDOW(10, 1000),
     {{0, 10, 10, 0, 1001}, {1500, 10, 5, 0, 1}, {1501, 2, 1, 0, 100}}},
    {"after two windows of silence nothing is remembered",
     WINDOW(2, 1000),
     {{0, 3, 2, 0, 1001}, {2000, 3, 2, 0, 1001}}},
    {"one in a second is one in a second, and not one in two",
     WINDOW(1, 1000),
     {{0, 1, 1, 0, 1001}, {1001, 1, 1, 0, 1000}, {2001, 1, 1, 0, 1000}}},
    {"windows begin with a client's first request",
     WINDOW(2, 1000),
     {{999, 1, 1, 1, 0}, {1001, 2, 1, 0, 999}, {1998, 1, 0, 0, 2}, {2000, 1, 1, 0, 500}}},
    {"a bucket gives what it holds at once, then what flows in",
     BUCKET(60, 60000, 3),
     {{0, 5, 3, 0, 1000}, {999, 1, 0, 0, 1}, {1000, 2, 1, 0, 1000}, {4000, 9, 3, 0, 1000}}},
    {"a bucket's rate need not divide",
     BUCKET(3, 1000, 1),
     {{0, 2, 1, 0, 334},
      {333, 1, 0, 0, 1},
      {334, 1, 1, 0, 334},
      {667, 1, 0, 0, 1},
      {668, 1, 1, 0, 334}}},
    {"a bucket never holds more than its burst",
     BUCKET(1000, 1000, 5),
     {{0, 1, 1, 4, 0}, {1000000, 9, 5, 0, 1}}},
    {"the largest numbers do not overflow",
     BUCKET(QUOTA_COUNT_MAX, 31ull * 86400000, QUOTA_COUNT_MAX),
     {{UINT64_C(1) << 50, 2, 2, QUOTA_COUNT_MAX - 2, 0}, {UINT64_C(1) << 60, 1, 1, 999999999, 0}}},
    {"... nor in a window",
     WINDOW(QUOTA_COUNT_MAX, 31ull * 86400000),
     {{UINT64_C(1) << 50, 2, 2, QUOTA_COUNT_MAX - 2, 0}, {UINT64_C(1) << 60, 1, 1, 999999999, 0}}},
};

static void a_limit_lets_through_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct quota *q = quota_new(10, 1);
        assert_non_null(q);
        for (size_t n = 0; n < array_len(cases[i].steps) && cases[i].steps[n].times; n++) {
            unsigned allowed = 0;
            struct quota_view v;
            for (unsigned k = 0; k < cases[i].steps[n].times; k++)
                allowed += take_one(q, 1, &cases[i].limit, 1, cases[i].steps[n].at_ms, &v);
            if (allowed != cases[i].steps[n].allowed ||
                v.remaining != cases[i].steps[n].remaining ||
                v.wait_ms != cases[i].steps[n].wait_ms)
                fail_msg("%s: step %zu: %u allowed, %u remain, wait %llu ms", cases[i].rule, n,
                         allowed, v.remaining, (unsigned long long)v.wait_ms);
        }
        quota_free(q);
    }
}

static void who_waits_as_told_is_let_through_and_not_before(void **state)
{
    (void)state;
    static const struct quota_limit limits[] = {WINDOW(7, 1000),     WINDOW(1, 50),
                                                WINDOW(1000, 60000), BUCKET(7, 1000, 3),
                                                BUCKET(3, 7, 1),     BUCKET(1, 86400000, 2)};
    uint64_t random = 1;
    for (size_t i = 0; i < array_len(limits); i++) {
        struct quota_state s = {.at_ms = 0};
        mono_ms now = 1;
        for (unsigned n = 0; n < 20000; n++) {
            struct quota_view v, then;
            quota_look(&limits[i], &s, now, &v);
            if (!v.is_over) {
                quota_add(&limits[i], &s, now);
            } else {
                assert_true(v.wait_ms > 0);
                quota_look(&limits[i], &s, now + v.wait_ms, &then);
                assert_false(then.is_over);
                quota_look(&limits[i], &s, now + v.wait_ms - 1, &then);
                assert_true(then.is_over);
            }
            now += random_next(&random) % (2 + limits[i].window_ms / limits[i].count);
        }
    }
}

/* Requests at random, in bursts and pauses, and how many of them pass in any window. */
static unsigned most_in_any_window(const struct quota_limit *l, uint64_t seed, uint64_t *ret_all,
                                   mono_ms *ret_time)
{
    enum { MANY = 4000 };
    static mono_ms passed[MANY];
    unsigned count = 0, most = 0, from = 0;
    struct quota_state s = {.at_ms = 0};
    mono_ms now = 1000;
    while (count < MANY) {
        struct quota_view v;
        quota_look(l, &s, now, &v);
        if (!v.is_over) {
            quota_add(l, &s, now);
            passed[count++] = now;
        }
        uint64_t dice = random_next(&seed) % 100;
        now += dice < 80   ? random_next(&seed) % 3
               : dice < 95 ? random_next(&seed) % (1 + l->window_ms / 4)
                           : random_next(&seed) % (2 * l->window_ms);
    }
    for (unsigned i = 0; i < count; i++) {
        while (passed[i] - passed[from] >= l->window_ms)
            from++;
        most = i - from + 1 > most ? i - from + 1 : most;
    }
    *ret_all = count;
    *ret_time = passed[count - 1] - passed[0];
    return most;
}

static void no_window_holds_more_than_is_known(void **state)
{
    (void)state;
    static const struct quota_limit limits[] = {
        WINDOW(1, 500),      WINDOW(10, 1000),     WINDOW(30, 777),    WINDOW(100, 60000),
        BUCKET(10, 1000, 1), BUCKET(10, 1000, 10), BUCKET(7, 333, 20), BUCKET(100, 60000, 5)};
    for (size_t i = 0; i < array_len(limits); i++) {
        const struct quota_limit *l = &limits[i];
        for (uint64_t seed = 1; seed <= 20; seed++) {
            uint64_t all;
            mono_ms time;
            unsigned most = most_in_any_window(l, seed * 7919, &all, &time);
            /* a bucket: its burst, and what flows in; a window: less than twice its number */
            unsigned bound = l->is_bucket ? l->burst + l->count : 2 * l->count;
            assert_in_range(most, 1, bound);
            uint64_t in_the_long_run = time / l->window_ms * l->count + 2ull * bound;
            assert_in_range(all, 1, in_the_long_run);
        }
    }
}

/* --- several limits --- */

static void all_limits_must_allow_or_none_is_charged(void **state)
{
    (void)state;
    static const struct quota_limit both[] = {WINDOW(3, 1000), WINDOW(5, 3600000)};
    struct quota_view v[2];
    struct quota *q = quota_new(10, 2);
    for (unsigned i = 0; i < 3; i++)
        assert_true(take_one(q, 1, both, 2, 10, v));
    for (unsigned i = 0; i < 9; i++)
        assert_false(take_one(q, 1, both, 2, 10, v));
    assert_true(v[0].is_over);
    assert_false(v[1].is_over);
    assert_int_equal(v[1].remaining, 2); /* the refused ones cost the hour nothing */
    assert_true(take_one(q, 1, both, 2, 3000, v));
    assert_true(take_one(q, 1, both, 2, 3000, v));
    assert_false(take_one(q, 1, both, 2, 3000, v));
    assert_false(v[0].is_over);
    assert_true(v[1].is_over);
    quota_free(q);
}

static void a_refusal_by_one_table_charges_no_other(void **state)
{
    (void)state;
    static const struct quota_limit wide[] = {WINDOW(10, 1000)}, narrow[] = {WINDOW(2, 1000)};
    struct quota *a = quota_new(10, 1), *b = quota_new(10, 1);
    struct quota_ask asks[] = {{.table = a, .who = who(1), .count = 1, .limits = wide},
                               {.table = b, .who = who(1), .count = 1, .limits = narrow}};
    assert_true(quota_take(asks, 2, 5));
    assert_true(quota_take(asks, 2, 5));
    assert_false(quota_take(asks, 2, 5));
    assert_int_equal(asks[0].view[0].remaining, 8);
    assert_false(asks[0].is_over);
    assert_true(asks[1].is_over);
    asks[1].is_dry = true; /* it says what it would say, and stops nobody */
    assert_true(quota_take(asks, 2, 5));
    assert_true(asks[1].is_over);
    assert_int_equal(asks[0].view[0].remaining, 7);
    quota_free(a);
    quota_free(b);
}

static void a_refusal_is_told_once_a_second(void **state)
{
    (void)state;
    static const struct quota_limit one[] = {WINDOW(1, 3600000)};
    struct quota *q = quota_new(10, 1);
    struct quota_ask a = {.table = q, .who = who(1), .count = 1, .limits = one};
    unsigned told = 0;
    for (mono_ms now = 500; now < 3500; now += 10) {
        (void)quota_take(&a, 1, now);
        told += a.may_tell;
    }
    assert_int_equal(told, 3);
    quota_free(q);
}

static void what_others_have_counted_takes_the_place_of_our_own(void **state)
{
    (void)state;
    static const struct quota_limit both[] = {WINDOW(10, 1000), BUCKET(10, 1000, 10)};
    struct quota *q = quota_new(10, 2);
    struct quota_ask a = {.table = q, .who = who(1), .count = 2, .limits = both};
    const struct quota_state theirs[] = {{.at_ms = 100, .now = 9}, {.at_ms = 500, .level = 4000}};
    quota_adopt(&a, theirs, false, 500);
    assert_int_equal(a.view[0].remaining, 1);
    assert_int_equal(a.view[1].remaining, 6);
    assert_true(quota_take(&a, 1, 500)); /* alone from now on, it goes on from there */
    assert_false(quota_take(&a, 1, 500));
    quota_free(q);
}

/* --- tables --- */

static void a_full_table_forgets_who_has_used_least(void **state)
{
    (void)state;
    static const struct quota_limit ten[] = {WINDOW(10, 3600000)};
    struct quota *q = quota_new(50, 1);
    for (unsigned client = 0; client < 20; client++) /* refused from now on */
        for (unsigned i = 0; i < 10; i++)
            assert_true(take_one(q, client, ten, 1, 5, NULL));
    for (unsigned client = 1000; client < 100000; client++) /* each with an address of its own */
        assert_true(take_one(q, client, ten, 1, 6, NULL));
    for (unsigned client = 0; client < 20; client++)
        assert_false(take_one(q, client, ten, 1, 7, NULL));
    assert_int_equal(quota_clients(q, 7), 50);
    quota_free(q);
}

static void a_table_full_of_heavy_ones_still_takes_newcomers(void **state)
{
    (void)state;
    static const struct quota_limit two[] = {WINDOW(2, 3600000)};
    struct quota *q = quota_new(50, 1);
    for (unsigned client = 0; client < 1000; client++) {
        assert_true(take_one(q, client, two, 1, 5, NULL));
        assert_true(take_one(q, client, two, 1, 5, NULL));
        assert_false(take_one(q, client, two, 1, 5, NULL));
    }
    assert_int_equal(quota_clients(q, 5), 50);
    quota_free(q);
}

static void who_is_idle_is_not_kept(void **state)
{
    (void)state;
    static const struct quota_limit ten[] = {WINDOW(10, 1000), BUCKET(10, 1000, 10)};
    struct quota *q = quota_new(100000, 2);
    for (unsigned client = 0; client < 5000; client++)
        assert_true(take_one(q, client, ten, 2, 5, NULL));
    assert_int_equal(quota_clients(q, 1000), 5000);
    assert_int_equal(quota_clients(q, 2005), 0);
    assert_true(take_one(q, 1, ten, 2, 3000, NULL));
    assert_int_equal(quota_clients(q, 3000), 1);
    quota_free(q);
}

struct crowd {
    struct quota *tables[2];
    const struct quota_limit *limit;
    _Atomic unsigned allowed;
};

static void *come(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < 5000; i++) {
        struct quota_ask asks[] = {
            {.table = c->tables[0], .who = who(i % 3), .count = 1, .limits = c->limit},
            {.table = c->tables[1], .who = who(i), .count = 1, .limits = c->limit}};
        if (quota_take(asks, 2, 100))
            c->allowed++;
    }
    return NULL;
}

static void threads_count_together(void **state)
{
    (void)state;
    static const struct quota_limit many[] = {WINDOW(1000, 3600000)};
    struct crowd c = {.tables = {quota_new(5000, 1), quota_new(64, 1)}, .limit = many};
    pthread_t threads[4];
    for (size_t i = 0; i < array_len(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come, &c), 0);
    for (size_t i = 0; i < array_len(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.allowed, 3000);
    quota_free(c.tables[0]);
    quota_free(c.tables[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_lets_through_what_it_says),
        cmocka_unit_test(who_waits_as_told_is_let_through_and_not_before),
        cmocka_unit_test(no_window_holds_more_than_is_known),
        cmocka_unit_test(all_limits_must_allow_or_none_is_charged),
        cmocka_unit_test(a_refusal_by_one_table_charges_no_other),
        cmocka_unit_test(a_refusal_is_told_once_a_second),
        cmocka_unit_test(what_others_have_counted_takes_the_place_of_our_own),
        cmocka_unit_test(a_full_table_forgets_who_has_used_least),
        cmocka_unit_test(a_table_full_of_heavy_ones_still_takes_newcomers),
        cmocka_unit_test(who_is_idle_is_not_kept),
        cmocka_unit_test(threads_count_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
