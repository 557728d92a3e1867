/* test_census.c: what is counted in is counted until its end, and not much longer. */
#include "../unit-test.h"

#include <larder/tier/census.h>

#include <stdlib.h>

enum { NOW = 1234567 };

static struct census *make(void)
{
    struct census *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    census_init(c);
    return c;
}

static void end(struct census *c)
{
    census_fini(c);
    free(c);
}

static void test_is_counted_until_its_end_and_not_much_longer(void **state)
{
    (void)state;
    static const uint64_t lives_ms[] = {1,       999,      1000,       60000,
                                        126999,  127000,   128000,     1000000,
                                        3600000, 86400000, 1000000000, 31536000000};
    for (unsigned i = 0; i < sizeof(lives_ms) / sizeof(lives_ms[0]); i++) {
        struct census *c = make();
        uint64_t life = lives_ms[i];
        census_add(c, NOW, life);
        assert_int_equal(census_count(c, NOW), 1);
        assert_int_equal(census_count(c, NOW + life - 1), 1);
        if (census_count(c, NOW + life + life / 15 + 1000) != 0)
            fail_msg("a life of %llu ms is counted too long", (unsigned long long)life);
        end(c);
    }
}

static void test_counts_each_of_many(void **state)
{
    (void)state;
    struct census *c = make();
    for (unsigned i = 0; i < 1000; i++)
        census_add(c, NOW + i * 10, 60000); /* ends between 60 and 70 s from now */
    assert_int_equal(census_count(c, NOW + 59999), 1000);
    uint64_t half = census_count(c, NOW + 65000);
    assert_true(half >= 400 && half <= 600);
    assert_int_equal(census_count(c, NOW + 72000), 0);
    end(c);
}

static void test_slots_are_used_again(void **state)
{
    (void)state;
    struct census *c = make();
    for (mono_ms now = NOW; now < NOW + 1000000; now += 500)
        census_add(c, now, 10000);
    uint64_t count = census_count(c, NOW + 999999);
    assert_true(count >= 20 && count <= 23);
    end(c);
}

static void test_what_is_beyond_the_last_slot_is_counted_as_far_as_that_goes(void **state)
{
    (void)state;
    struct census *c = make();
    census_add(c, NOW, UINT64_MAX / 4);
    assert_int_equal(census_count(c, NOW + 1000ull * 86400 * 300), 1);
    assert_int_equal(census_count(c, NOW + 1000ull * 86400 * 500), 0);
    end(c);
}

static void test_another_takes_the_place_of_one(void **state)
{
    (void)state;
    static const uint64_t lives_ms[] = {2000, 60000, 1000000, 86400000};
    for (unsigned i = 0; i < sizeof(lives_ms) / sizeof(lives_ms[0]); i++) {
        struct census *c = make();
        mono_ms now = NOW;
        census_add(c, now, lives_ms[i]);
        for (unsigned n = 0; n < 50; n++) { /* brought anew, each time near the other's end */
            uint64_t part = lives_ms[i] / 100 * (n % 90);
            now += part;
            census_remove(c, now, lives_ms[i] - part);
            census_add(c, now, lives_ms[i]);
            assert_int_equal(census_count(c, now), 1);
        }
        end(c);
    }
}

static void test_what_was_never_counted_is_not_counted_out(void **state)
{
    (void)state;
    struct census *c = make();
    census_remove(c, NOW, 60000);
    census_add(c, NOW, 5000);
    census_remove(c, NOW, 60000);
    assert_int_equal(census_count(c, NOW), 1);
    end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_counted_until_its_end_and_not_much_longer),
        cmocka_unit_test(test_counts_each_of_many),
        cmocka_unit_test(test_slots_are_used_again),
        cmocka_unit_test(test_what_is_beyond_the_last_slot_is_counted_as_far_as_that_goes),
        cmocka_unit_test(test_another_takes_the_place_of_one),
        cmocka_unit_test(test_what_was_never_counted_is_not_counted_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
