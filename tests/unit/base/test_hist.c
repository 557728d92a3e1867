/* test_hist.c: quantiles that are off by a sixteenth at most. */
#include <larder/base/hist.h>

#include "base-test.h"

static struct hist *hist_make(void)
{
    struct hist *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    return h;
}

static void an_empty_histogram_has_no_quantile(void **state)
{
    (void)state;
    struct hist *h = hist_make();
    assert_int_equal(hist_quantile_us(h, 0.5), 0);
    assert_int_equal(hist_quantile_us(h, 1), 0);
    free(h);
}

/* The bucket of <us> is upward of it by less than a sixteenth. */
static void assert_near(uint64_t got, uint64_t us)
{
    if (got < us || got - us > us / 16)
        fail_msg("%llu us became %llu us", (unsigned long long)us, (unsigned long long)got);
}

static void every_value_is_kept_to_a_sixteenth(void **state)
{
    (void)state;
    struct hist *h = hist_make();
    for (uint64_t us = 1; us < 1ULL << 37; us += us / 50 + 1) {
        memset(h, 0, sizeof(*h));
        hist_record(h, us);
        assert_near(hist_quantile_us(h, 0), us);
        assert_near(hist_quantile_us(h, 1), us);
    }
    free(h);
}

static void powers_of_two_and_their_neighbours(void **state)
{
    (void)state;
    struct hist *h = hist_make();
    for (unsigned bit = 1; bit < 37; bit++) {
        for (int off = -1; off <= 1; off++) {
            uint64_t us = (1ULL << bit) + (uint64_t)off;
            memset(h, 0, sizeof(*h));
            hist_record(h, us);
            assert_near(hist_quantile_us(h, 0.5), us);
        }
    }
    free(h);
}

static void values_past_the_end_fall_into_the_last_bucket(void **state)
{
    (void)state;
    static const uint64_t values[] = {(1ULL << 37) - 1, 1ULL << 37, 1ULL << 60, UINT64_MAX};
    struct hist *h = hist_make();
    for (size_t i = 0; i < array_len(values); i++) {
        memset(h, 0, sizeof(*h));
        hist_record(h, values[i]);
        assert_true(hist_quantile_us(h, 1) == (1ULL << 37) - 1);
    }
    free(h);
}

static void quantiles_of_a_hundred(void **state)
{
    (void)state;
    static const struct {
        double q;
        uint64_t rank;
    } cases[] = {{0, 1}, {0.01, 1}, {0.5, 50}, {0.9, 90}, {0.99, 99}, {1, 100}, {2, 100}};
    struct hist *h = hist_make();
    for (uint64_t i = 100; i > 0; i--)
        hist_record(h, i * 1000);
    assert_int_equal(h->count, 100);
    assert_int_equal(h->sum_us, 5050 * 1000);
    for (size_t i = 0; i < array_len(cases); i++)
        assert_near(hist_quantile_us(h, cases[i].q), cases[i].rank * 1000);
    free(h);
}

static void merging_adds(void **state)
{
    (void)state;
    struct hist *a = hist_make(), *b = hist_make(), *both = hist_make();
    for (uint64_t i = 0; i < 1000; i++) {
        hist_record(i % 3 ? a : b, i * i);
        hist_record(both, i * i);
    }
    hist_merge(a, b);
    assert_int_equal(a->count, both->count);
    assert_int_equal(a->sum_us, both->sum_us);
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        assert_int_equal(a->bucket[i], both->bucket[i]);
    free(a);
    free(b);
    free(both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_has_no_quantile),
        cmocka_unit_test(every_value_is_kept_to_a_sixteenth),
        cmocka_unit_test(powers_of_two_and_their_neighbours),
        cmocka_unit_test(values_past_the_end_fall_into_the_last_bucket),
        cmocka_unit_test(quantiles_of_a_hundred),
        cmocka_unit_test(merging_adds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
