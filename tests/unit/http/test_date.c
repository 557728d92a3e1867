/* test_date.c: RFC 9110 section 5.6.7. */
#include <larder/http/date.h>

#include <time.h>

#include "http-test.h"

enum { NOW = 1763596800 }; /* 2025-11-20 */

static void the_three_forms_are_one_date(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t unix_s;
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"sun, 06 NOV 1994 08:49:37 gmt", 784111777}, /* in any case */
        {"sUNDAY, 06-nov-94 08:49:37 Gmt", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Wed Nov 16 08:49:37 1994", 784975777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
        {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Sat, 01 Jan 0000 00:00:00 GMT", -62167219200},
        {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},     /* a leap second */
        {"Wednesday, 20-Nov-75 00:00:00 GMT", 3341433600}, /* 50 years ahead: 2075 */
        {"Friday, 21-Nov-75 00:00:00 GMT", 185760000},     /* and a day: 1975 */
        {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777},      /* the day's name decides nothing */
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        int64_t got;
        size_t len = strlen(cases[i].text);
        char *block = block_of(cases[i].text, len);
        if (!date_parse(span_of(block, len), NOW, &got) || got != cases[i].unix_s)
            fail_msg("%s is %lld", cases[i].text, (long long)got);
        free(block);
    }
}

static void a_broken_date_has_no_value(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "0",
        "-1",
        "never",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sux, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nux 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "1994-11-06T08:49:37Z",
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        int64_t got = 42;
        if (date_parse(span_str(cases[i]), NOW, &got) || got != 42)
            fail_msg("taken: %s", cases[i]);
    }
}

static void what_is_formatted_reads_back_as_libc_has_it(void **state)
{
    (void)state;
    for (int64_t s = -62167219200; s <= 253402300799; s += 86400 * 97 + 12345) {
        char text[DATE_LEN], want[64];
        time_t t = (time_t)s;
        struct tm tm;
        int64_t back;
        date_format(s, text);
        gmtime_r(&t, &tm);
        size_t len = strftime(want, sizeof(want), "%a, %d %b ", &tm);
        snprintf(want + len, sizeof(want) - len, "%04d %02d:%02d:%02d GMT",
                 (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_span(span_of(text, DATE_LEN), want);
        assert_true(date_parse(span_of(text, DATE_LEN), NOW, &back));
        assert_int_equal(back, s);
    }
}

static void years_of_more_than_four_digits_are_held_back(void **state)
{
    (void)state;
    char text[DATE_LEN];
    date_format(INT64_MAX, text);
    assert_span(span_of(text, DATE_LEN), "Fri, 31 Dec 9999 23:59:59 GMT");
    date_format(INT64_MIN, text);
    assert_span(span_of(text, DATE_LEN), "Sat, 01 Jan 0000 00:00:00 GMT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_are_one_date),
        cmocka_unit_test(a_broken_date_has_no_value),
        cmocka_unit_test(what_is_formatted_reads_back_as_libc_has_it),
        cmocka_unit_test(years_of_more_than_four_digits_are_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
