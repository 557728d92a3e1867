/* test_pattern.c: which answers a glob, a path and a prefix of tags mean. */
#include "../unit-test.h"

#include <larder/base/macros.h>
#include <larder/cache/pattern.h>

static bool matches(enum pattern_kind kind, const char *text, struct span key_text,
                    struct span target, struct span tag_text)
{
    struct pattern p = {kind, span_str(text)};
    struct cache_key key;
    cache_key_init(&key, key_text);
    return pattern_matches(&p, &key, target, tag_text);
}

static void globs_look_at_readable_keys(void **state)
{
    static const struct {
        const char *glob;
        struct span key;
        bool matches;
    } cases[] = {
        {"courses:*", {"courses:id=1", 12}, true},
        {"courses:*", {"course:id=1", 11}, false},
        {"courses:id=1", {"courses:id=1", 12}, true},
        {"*", {"", 0}, true},
        {"", {"", 0}, true},
        {"", {"a", 1}, false},
        {"a:b",
         {"a:b\x1f"
          "assess",
          10},
         true}, /* of a template: without the route behind it */
        {"*assess*",
         {"a:b\x1f"
          "assess",
          10},
         false},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++)
        if (matches(PATTERN_GLOB, cases[i].glob, cases[i].key, span_of(NULL, 0),
                    span_of(NULL, 0)) != cases[i].matches)
            fail_msg("%s of %.*s", cases[i].glob, SPAN_ARG(cases[i].key));
}

static void a_variant_is_meant_by_its_primary_key(void **state)
{
    struct pattern p = {PATTERN_GLOB, SPAN_LIT("a:b")};
    struct cache_key key;
    (void)state;
    cache_key_init_variant(&key, SPAN_LIT("a:b|en"), 3);
    assert_true(pattern_matches(&p, &key, span_of(NULL, 0), span_of(NULL, 0)));
}

static void paths_are_compared_by_segments(void **state)
{
    static const struct {
        const char *pattern, *target;
        bool matches;
    } cases[] = {
        {"/a/b", "/a/b", true},
        {"/a/b", "/a/b?c=/d", true},
        {"/a/b", "/a/b/", false},
        {"/a/b", "/a", false},
        {"/a/b", "/a/bc", false},
        {"/a/{id}", "/a/7", true},
        {"/a/{id}", "/a/", false},
        {"/a/{id}", "/a/7/8", false},
        {"/a/{id}/c", "/a/7/c", true},
        {"/a/{id}/c", "/a/7/d", false},
        {"/a/{}", "/a/x", true},
        {"/a/{", "/a/x", false},
        {"/a/*", "/a/b", true},
        {"/a/*", "/a/b/c/d", true},
        {"/a/*", "/a/", true},
        {"/a/*", "/a", false},
        {"/a/*/c", "/a/b/c", true}, /* in the middle: a glob over one segment */
        {"/a/*/c", "/a/b/b/c", false},
        {"/a/b*", "/a/bcd", true},
        {"/*", "/", true},
        {"/", "/", true},
        {"/", "/a", false},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++)
        if (matches(PATTERN_PATH, cases[i].pattern, SPAN_LIT("k"), span_str(cases[i].target),
                    span_of(NULL, 0)) != cases[i].matches)
            fail_msg("%s of %s", cases[i].pattern, cases[i].target);
    /* what keeps no target may be meant */
    assert_true(matches(PATTERN_PATH, "/a", SPAN_LIT("k"), span_of(NULL, 0), span_of(NULL, 0)));
}

static void an_entry_without_its_target_may_be_meant(void **state)
{
    struct cache_key k;
    cache_key_init(&k, SPAN_LIT("k"));
    struct entry_parts parts = {.key = &k, .host = SPAN_LIT("example.org")};
    struct entry *e = entry_new(&parts); /* of a route with a secret in its path or query */
    (void)state;
    assert_non_null(e);
    assert_true(matches(PATTERN_PATH, "/a/{id}", SPAN_LIT("k"), e->target, e->tag_text));
    entry_unref(e);
}

static void prefixes_look_at_each_tag(void **state)
{
    static const struct {
        const char *prefix;
        struct span tags;
        bool matches;
    } cases[] = {
        {"org:", {"org:1\0room:2\0", 13}, true},
        {"room:", {"org:1\0room:2\0", 13}, true},
        {"room:2", {"org:1\0room:2\0", 13}, true},
        {"room:23", {"org:1\0room:2\0", 13}, false},
        {"oom", {"org:1\0room:2\0", 13}, false},
        {"org:", {"", 0}, false},
        {"", {"a\0", 2}, true},
        {"", {"", 0}, false},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++)
        if (matches(PATTERN_TAG_PREFIX, cases[i].prefix, SPAN_LIT("org:1"), SPAN_LIT("/org:"),
                    cases[i].tags) != cases[i].matches)
            fail_msg("case %zu: %s", i, cases[i].prefix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globs_look_at_readable_keys),
        cmocka_unit_test(a_variant_is_meant_by_its_primary_key),
        cmocka_unit_test(paths_are_compared_by_segments),
        cmocka_unit_test(an_entry_without_its_target_may_be_meant),
        cmocka_unit_test(prefixes_look_at_each_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
