/* test_glob.c: patterns against texts, and against the plainest matcher one can write. */
#include <larder/base/glob.h>

#include "base-test.h"

static void patterns(void **state)
{
    (void)state;
    static const struct {
        struct span pattern, text;
        bool is_match;
    } cases[] = {
        {SPAN_LIT(""), SPAN_LIT(""), true},
        {SPAN_LIT(""), SPAN_LIT("a"), false},
        {SPAN_LIT("a"), SPAN_LIT(""), false},
        {SPAN_LIT("*"), SPAN_LIT(""), true},
        {SPAN_LIT("*"), SPAN_LIT("a/b c"), true},
        {SPAN_LIT("***"), SPAN_LIT(""), true},
        {SPAN_LIT("?"), SPAN_LIT(""), false},
        {SPAN_LIT("?"), SPAN_LIT("*"), true},
        {SPAN_LIT("a?c"), SPAN_LIT("abc"), true},
        {SPAN_LIT("v:*"), SPAN_LIT("v:1:2"), true},
        {SPAN_LIT("v:*"), SPAN_LIT("w:1"), false},
        {SPAN_LIT("*:2"), SPAN_LIT("v:1:2"), true},
        {SPAN_LIT("*ab"), SPAN_LIT("aab"), true},
        {SPAN_LIT("a*b*c"), SPAN_LIT("a_b_b_c"), true},
        {SPAN_LIT("a*b*c"), SPAN_LIT("a_c_b"), false},
        {SPAN_LIT("*?"), SPAN_LIT(""), false},
        {SPAN_LIT("A"), SPAN_LIT("a"), false},
        {SPAN_LIT("[ab]"), SPAN_LIT("a"), false}, /* no classes */
        {SPAN_LIT("[ab]"), SPAN_LIT("[ab]"), true},
        {SPAN_LIT("\\*"), SPAN_LIT("*"), true},
        {SPAN_LIT("\\*"), SPAN_LIT("a"), false},
        {SPAN_LIT("\\?"), SPAN_LIT("?"), true},
        {SPAN_LIT("\\?"), SPAN_LIT("a"), false},
        {SPAN_LIT("\\\\*"), SPAN_LIT("\\a"), true},
        {SPAN_LIT("\\a"), SPAN_LIT("a"), true},
        {SPAN_LIT("*\\*"), SPAN_LIT("a*"), true},
        {SPAN_LIT("*\\*"), SPAN_LIT("a"), false},
        {SPAN_LIT("a\\"), SPAN_LIT("a\\"), true}, /* nothing to take literally but itself */
        {SPAN_LIT("a\\"), SPAN_LIT("a"), false},
        {SPAN_LIT("a\0*"), SPAN_LIT("a\0b"), true},
        {SPAN_LIT("a\0b"), SPAN_LIT("a\0c"), false},
        {SPAN_LIT("\xff?"), SPAN_LIT("\xff\x80"), true},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct span pattern = block_of(cases[i].pattern), text = block_of(cases[i].text);
        if (glob_match(pattern, text) != cases[i].is_match)
            fail_msg("\"%.*s\" on \"%.*s\"", SPAN_ARG(pattern), SPAN_ARG(text));
        block_free(pattern);
        block_free(text);
    }
}

static struct span behind(struct span s, size_t n)
{
    return span_of(s.p + n, s.len - n);
}

static bool plain_match(struct span p, struct span t)
{
    if (p.len == 0)
        return t.len == 0;
    if (p.p[0] == '*')
        return plain_match(behind(p, 1), t) || (t.len && plain_match(p, behind(t, 1)));
    if (t.len == 0)
        return false;
    if (p.p[0] == '\\' && p.len > 1)
        return p.p[1] == t.p[0] && plain_match(behind(p, 2), behind(t, 1));
    return (p.p[0] == '?' || p.p[0] == t.p[0]) && plain_match(behind(p, 1), behind(t, 1));
}

/* The <number>th text over <letters>. */
static struct span nth(size_t number, const char *letters, char *room)
{
    size_t base = strlen(letters), len = 0;
    for (; number; number = (number - 1) / base)
        room[len++] = letters[(number - 1) % base];
    return span_of(room, len);
}

static void all_short_patterns_match_as_the_plain_matcher_says(void **state)
{
    (void)state;
    char p_room[16], t_room[16];
    for (size_t p = 0; p < 3906; p++) {    /* up to five of five letters */
        for (size_t t = 0; t < 121; t++) { /* up to four of three letters */
            struct span pattern = nth(p, "a*?\\b", p_room), text = nth(t, "ab*", t_room);
            if (glob_match(pattern, text) != plain_match(pattern, text))
                fail_msg("\"%.*s\" on \"%.*s\"", SPAN_ARG(pattern), SPAN_ARG(text));
        }
    }
}

/* 1000 stars would take a matcher that tries all ways longer than the sun burns. */
static void many_stars_cost_pattern_times_text_at_most(void **state)
{
    (void)state;
    char pattern[2001], text[20000];
    for (size_t i = 0; i < 1000; i++)
        memcpy(pattern + 2 * i, "*a", 2);
    pattern[2000] = 'b';
    memset(text, 'a', sizeof(text));
    assert_false(glob_match(span_of(pattern, 2001), span_of(text, sizeof(text))));
    assert_true(glob_match(span_of(pattern, 2000), span_of(text, sizeof(text))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(all_short_patterns_match_as_the_plain_matcher_says),
        cmocka_unit_test(many_stars_cost_pattern_times_text_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
