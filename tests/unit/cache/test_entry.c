/* test_entry.c: how an entry may be used, from its first moment to its last; time is passed in. */
#include "../unit-test.h"

#include <larder/base/macros.h>
#include <larder/cache/entry.h>

enum { STORED = 1000000 };

static struct entry *make(const struct entry_parts *parts)
{
    struct entry_parts p = *parts;
    struct cache_key k;
    cache_key_init(&k, SPAN_LIT("k"));
    p.key = &k;
    p.stored_mono_ms = STORED;
    struct entry *e = entry_new(&p);
    assert_non_null(e);
    return e;
}

struct moment {
    mono_ms after_ms; /* from when it was stored */
    enum entry_use use;
};

static void assert_uses(const struct entry_parts *parts, const struct moment *moments, size_t count)
{
    struct entry *e = make(parts);
    for (size_t i = 0; i < count; i++) {
        mono_ms now = STORED + moments[i].after_ms;
        if (entry_use_at(e, now) != moments[i].use)
            fail_msg("at %llu: %d, not %d", (unsigned long long)moments[i].after_ms,
                     (int)entry_use_at(e, now), (int)moments[i].use);
    }
    mono_ms over = STORED + moments[count - 1].after_ms; /* each table ends with the end */
    assert_int_equal(moments[count - 1].use, ENTRY_OVER);
    assert_int_equal(entry_over_ms(e), over);
    assert_true(entry_use_at(e, over - 1) != ENTRY_OVER);
    entry_unref(e);
}

/* RFC 9111 section 4.2, RFC 5861; and behind both it is kept to be validated. */
static void it_is_fresh_then_stale_then_kept_then_over(void **state)
{
    (void)state;
    static const struct entry_parts all = {
        .lifetime_ms = 100, .while_ms = 50, .error_ms = 200, .keep_ms = 1000};
    static const struct moment of_all[] = {
        {0, ENTRY_FRESH},         {99, ENTRY_FRESH},        {100, ENTRY_STALE_WHILE},
        {149, ENTRY_STALE_WHILE}, {150, ENTRY_STALE_ERROR}, {299, ENTRY_STALE_ERROR},
        {300, ENTRY_KEPT},        {1099, ENTRY_KEPT},       {1100, ENTRY_OVER}};
    assert_uses(&all, of_all, array_len(of_all));

    static const struct entry_parts plain = {.lifetime_ms = 100};
    static const struct moment of_plain[] = {
        {0, ENTRY_FRESH}, {99, ENTRY_FRESH}, {100, ENTRY_OVER}};
    assert_uses(&plain, of_plain, array_len(of_plain));

    static const struct entry_parts kept = {.lifetime_ms = 100, .keep_ms = 10};
    static const struct moment of_kept[] = {
        {99, ENTRY_FRESH}, {100, ENTRY_KEPT}, {109, ENTRY_KEPT}, {110, ENTRY_OVER}};
    assert_uses(&kept, of_kept, array_len(of_kept));

    static const struct entry_parts longer_window = {
        .lifetime_ms = 100, .error_ms = 200, .keep_ms = 10};
    static const struct moment of_longer[] = {
        {100, ENTRY_STALE_ERROR}, {299, ENTRY_STALE_ERROR}, {300, ENTRY_OVER}};
    assert_uses(&longer_window, of_longer, array_len(of_longer));

    static const struct entry_parts born_stale = {.lifetime_ms = 0, .keep_ms = 10};
    static const struct moment of_born[] = {{0, ENTRY_KEPT}, {9, ENTRY_KEPT}, {10, ENTRY_OVER}};
    assert_uses(&born_stale, of_born, array_len(of_born));
}

/* Section 5.2.2.4: never fresh for use, however long it would be. */
static void what_must_be_validated_is_kept_from_the_start(void **state)
{
    (void)state;
    static const struct entry_parts parts = {
        .lifetime_ms = 100, .keep_ms = 1000, .flags = FRESH_MUST_VALIDATE | FRESH_NEVER_STALE};
    static const struct moment moments[] = {{0, ENTRY_KEPT},
                                            {99, ENTRY_KEPT},
                                            {100, ENTRY_KEPT},
                                            {1099, ENTRY_KEPT},
                                            {1100, ENTRY_OVER}};
    assert_uses(&parts, moments, array_len(moments));
}

static void other_flags_change_no_time(void **state)
{
    (void)state;
    static const struct entry_parts parts = {
        .lifetime_ms = 100, .keep_ms = 1000, .flags = FRESH_NEVER_STALE | FRESH_FOR_AUTHORIZED};
    static const struct moment moments[] = {
        {0, ENTRY_FRESH}, {99, ENTRY_FRESH}, {100, ENTRY_KEPT}, {1100, ENTRY_OVER}};
    assert_uses(&parts, moments, array_len(moments));
}

static void a_soft_invalidation_ends_freshness_and_not_more(void **state)
{
    (void)state;
    const struct entry_parts parts = {.lifetime_ms = 100, .while_ms = 50, .keep_ms = 1000};
    struct entry *e = make(&parts);
    e->soft_ms = STORED + 40;
    assert_int_equal(entry_use_at(e, STORED + 39), ENTRY_FRESH);
    assert_int_equal(entry_use_at(e, STORED + 40), ENTRY_STALE_WHILE);
    assert_int_equal(entry_use_at(e, STORED + 89), ENTRY_STALE_WHILE);
    assert_int_equal(entry_use_at(e, STORED + 90), ENTRY_KEPT);
    assert_int_equal(entry_use_at(e, STORED + 1039), ENTRY_KEPT);
    assert_int_equal(entry_use_at(e, STORED + 1040), ENTRY_OVER);
    assert_int_equal(entry_ttl_s(e, STORED + 40), 0);
    assert_int_equal(entry_ttl_s(e, STORED + 1041), -2);
    e->soft_ms = STORED + 500; /* it was stale already */
    assert_int_equal(entry_use_at(e, STORED + 100), ENTRY_STALE_WHILE);
    assert_int_equal(entry_use_at(e, STORED + 1100), ENTRY_OVER);
    entry_unref(e);
}

static void to_be_kept_is_no_leave_to_hide_an_error(void **state)
{
    (void)state;
    const struct entry_parts kept = {.lifetime_ms = 100, .keep_ms = 1000},
                             window = {.lifetime_ms = 100, .error_ms = 50, .keep_ms = 1000},
                             strict = {.keep_ms = 1000, .flags = FRESH_MUST_VALIDATE};
    struct entry *e = make(&kept);
    assert_false(entry_may_hide_error(e, STORED + 100));
    entry_unref(e);
    e = make(&window);
    assert_true(entry_may_hide_error(e, STORED + 149));
    assert_false(entry_may_hide_error(e, STORED + 150));
    entry_unref(e);
    e = make(&strict);
    assert_false(entry_may_hide_error(e, STORED));
    entry_unref(e);
}

/* Section 4: who waits for another's fetch may only get what is fresh for him, too. */
static void what_was_never_fresh_is_not_shared(void **state)
{
    (void)state;
    static const struct {
        struct entry_parts parts;
        bool is_shareable;
    } cases[] = {
        {{.lifetime_ms = 1}, true},
        {{.lifetime_ms = 0, .while_ms = 1}, true},
        {{.lifetime_ms = 0, .error_ms = 1}, false},
        {{.lifetime_ms = 0, .keep_ms = 1}, false},
        {{.lifetime_ms = 1, .flags = FRESH_MUST_VALIDATE}, false},
        {{.lifetime_ms = 1, .flags = FRESH_NEVER_STALE}, true},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct entry *e = make(&cases[i].parts);
        if (entry_is_shareable(e) != cases[i].is_shareable)
            fail_msg("case %zu", i);
        entry_unref(e);
    }
}

static void the_upstream_knows_only_its_own_validators(void **state)
{
    (void)state;
    static const struct {
        struct entry_parts parts;
        bool has;
    } cases[] = {
        {{.last_modified_unix_s = -1}, false},
        {{.last_modified_unix_s = -1, .etag = {"\"a\"", 3}}, true},
        {{.last_modified_unix_s = -1, .etag = {"\"a\"", 3}, .is_etag_ours = true}, false},
        {{.last_modified_unix_s = 0}, true},
        {{.last_modified_unix_s = 0, .etag = {"\"a\"", 3}, .is_etag_ours = true}, true},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct entry *e = make(&cases[i].parts);
        if (entry_has_validator(e) != cases[i].has)
            fail_msg("case %zu", i);
        entry_unref(e);
    }
}

/* Section 4.2.3: the age that it came with, and the time that it has lain here. */
static void it_grows_older_by_the_second(void **state)
{
    (void)state;
    const struct entry_parts parts = {.age_at_store_ms = 5900, .lifetime_ms = 2000};
    struct entry *e = make(&parts);
    assert_int_equal(entry_age_s(e, STORED - 5), 5);
    assert_int_equal(entry_age_s(e, STORED), 5);
    assert_int_equal(entry_age_s(e, STORED + 99), 5);
    assert_int_equal(entry_age_s(e, STORED + 100), 6);
    assert_int_equal(entry_ttl_s(e, STORED), 2);
    assert_int_equal(entry_ttl_s(e, STORED + 1), 1);
    assert_int_equal(entry_ttl_s(e, STORED + 2000), 0);
    assert_int_equal(entry_ttl_s(e, STORED + 2001), -1);
    assert_int_equal(entry_ttl_s(e, STORED + 3000), -1);
    assert_int_equal(entry_ttl_s(e, STORED + 3001), -2);
    entry_unref(e);
}

/* What came stale from elsewhere may have become so before this machine's clock began. */
static void it_may_be_older_than_the_clock(void **state)
{
    (void)state;
    const struct entry_parts parts = {.lifetime_ms = 1,
                                      .overdue_ms = STORED + 5001,
                                      .while_ms = STORED + 5010,
                                      .error_ms = STORED + 5020,
                                      .keep_ms = 7};
    struct entry *e = make(&parts);
    assert_int_equal(entry_ttl_s(e, STORED), -(STORED + 5000) / 1000);
    assert_int_equal(entry_use_at(e, STORED), ENTRY_STALE_WHILE);
    assert_int_equal(entry_use_at(e, STORED + 9), ENTRY_STALE_WHILE);
    assert_int_equal(entry_use_at(e, STORED + 10), ENTRY_STALE_ERROR);
    assert_true(entry_may_hide_error(e, STORED + 19));
    assert_false(entry_may_hide_error(e, STORED + 20));
    assert_int_equal(entry_use_at(e, STORED + 20), ENTRY_OVER);
    assert_int_equal(entry_over_ms(e), STORED + 20);
    entry_unref(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_fresh_then_stale_then_kept_then_over),
        cmocka_unit_test(what_must_be_validated_is_kept_from_the_start),
        cmocka_unit_test(other_flags_change_no_time),
        cmocka_unit_test(a_soft_invalidation_ends_freshness_and_not_more),
        cmocka_unit_test(to_be_kept_is_no_leave_to_hide_an_error),
        cmocka_unit_test(what_was_never_fresh_is_not_shared),
        cmocka_unit_test(the_upstream_knows_only_its_own_validators),
        cmocka_unit_test(it_grows_older_by_the_second),
        cmocka_unit_test(it_may_be_older_than_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
