/* test_conditional.c: RFC 9110 section 13: when 304 says all. */
#include <larder/http/conditional.h>

#include "http-test.h"

enum { MODIFIED = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */

static void entity_tags_are_compared_weakly(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *etag;
        bool same;
    } cases[] = {
        {"If-None-Match: \"a\"\r\n", "\"a\"", true},
        {"If-None-Match: W/\"a\"\r\n", "\"a\"", true},
        {"If-None-Match: \"a\"\r\n", "W/\"a\"", true},
        {"If-None-Match: \"b\"\r\n", "\"a\"", false},
        {"If-None-Match: \"A\"\r\n", "\"a\"", false},
        {"If-None-Match: w/\"a\"\r\n", "\"a\"", false},
        {"If-None-Match: \"b\", W/\"c\" ,\"a\"\r\n", "\"a\"", true},
        {"If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", "\"a\"", true},
        {"If-None-Match: \"x,y\", \"a\"\r\n", "\"a\"", true},
        {"If-None-Match: \"x\\\", \"a\"\r\n", "\"a\"", true},
        {"If-None-Match: \"x,\\\"a\\\"\r\n", "\"a\"", false},
        {"If-None-Match: \"\"\r\n", "\"\"", true},
        {"If-None-Match: *\r\n", "\"a\"", true},
        {"If-None-Match: *\r\n", "", true},
        {"If-None-Match: \"*\"\r\n", "\"a\"", false},
        {"If-None-Match: a\r\n", "\"a\"", false},
        {"If-None-Match: a\r\n", "a", false},
        {"If-None-Match: \"a\r\n", "\"a\"", false},
        {"If-None-Match:\r\n", "\"a\"", false},
        {"If-None-Match:\r\n", "", false},
        {"", "\"a\"", false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        request_with(&t, cases[i].fields);
        if (conditional_is_not_modified(&t.head, span_str(cases[i].etag), -1) != cases[i].same)
            fail_msg("case %zu: %s", i, cases[i].fields);
    }
}

static void dates_count_only_without_tags(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int64_t modified;
        bool same;
    } cases[] = {
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", MODIFIED, true},
        {"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", MODIFIED, true},
        {"If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", MODIFIED, true},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", MODIFIED, false},
        {"If-Modified-Since: Mon, 07 Nov 1994 08:49:36 GMT\r\n", MODIFIED, true},
        {"If-Modified-Since: Mon, 07 Nov 1994 08:49:36 GMT\r\n", -1, false},
        {"If-Modified-Since: yesterday\r\n", MODIFIED, false},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
         "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
         MODIFIED, false},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nIf-None-Match: \"b\"\r\n", MODIFIED,
         false},
        {"If-Modified-Since: Sat, 05 Nov 1994 08:49:37 GMT\r\nIf-None-Match: \"a\"\r\n", MODIFIED,
         true},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        request_with(&t, cases[i].fields);
        if (conditional_is_not_modified(&t.head, SPAN_LIT("\"a\""), cases[i].modified) !=
            cases[i].same)
            fail_msg("case %zu: %s", i, cases[i].fields);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entity_tags_are_compared_weakly),
        cmocka_unit_test(dates_count_only_without_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
