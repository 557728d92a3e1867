/* test_range.c: RFC 9110 sections 13.1.5 and 14: which part, or the whole, or none. */
#include <larder/http/range.h>

#include "http-test.h"

enum { CHANGED = 784111777 };

#define CHANGED_TEXT "Sun, 06 Nov 1994 08:49:37 GMT"

struct want {
    const char *fields;
    enum range_result result;
    uint64_t first, last;
};

static void assert_ranges(const struct range_facts *facts, const struct want *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cleanup(text_head_fini) struct text_head t;
        uint64_t first = 7777, last = 7777;
        request_with(&t, cases[i].fields);
        enum range_result r = range_judge(&t.head, facts, &first, &last);
        if (r != cases[i].result ||
            (r == RANGE_PART && (first != cases[i].first || last != cases[i].last)))
            fail_msg("case %zu: %s%d, %llu to %llu", i, cases[i].fields, (int)r,
                     (unsigned long long)first, (unsigned long long)last);
    }
}

/* Section 14.1.2, of ten bytes. */
static void one_range_of_bytes_is_a_part(void **state)
{
    (void)state;
    const struct range_facts ten = {.last_modified_unix_s = -1, .length = 10};
    static const struct want cases[] = {
        {"", RANGE_WHOLE, 0, 0},
        {"Range: bytes=0-0\r\n", RANGE_PART, 0, 0},
        {"Range: bytes=0-9\r\n", RANGE_PART, 0, 9},
        {"Range: bytes=0-\r\n", RANGE_PART, 0, 9},
        {"Range: bytes=9-\r\n", RANGE_PART, 9, 9},
        {"Range: bytes=2-4\r\n", RANGE_PART, 2, 4},
        {"Range: bytes=2-10\r\n", RANGE_PART, 2, 9},
        {"Range: bytes=2-99999\r\n", RANGE_PART, 2, 9},
        {"Range: bytes=2-18446744073709551615\r\n", RANGE_PART, 2, 9},
        {"Range: bytes=002-004\r\n", RANGE_PART, 2, 4},
        {"Range: BYTES=2-4\r\n", RANGE_PART, 2, 4},
        {"Range: bytes= 2-4\r\n", RANGE_PART, 2, 4},
        {"Range: bytes=-1\r\n", RANGE_PART, 9, 9},
        {"Range: bytes=-10\r\n", RANGE_PART, 0, 9},
        {"Range: bytes=-11\r\n", RANGE_PART, 0, 9},
        /* it begins behind the end */
        {"Range: bytes=10-\r\n", RANGE_UNSATISFIABLE, 0, 0},
        {"Range: bytes=10-10\r\n", RANGE_UNSATISFIABLE, 0, 0},
        {"Range: bytes=18446744073709551615-\r\n", RANGE_UNSATISFIABLE, 0, 0},
        {"Range: bytes=-0\r\n", RANGE_UNSATISFIABLE, 0, 0},
    };
    assert_ranges(&ten, cases, array_len(cases));
}

/* Section 14.2: a Range that cannot be read, or that is more than one, is passed over. */
static void what_is_not_one_range_of_bytes_is_answered_by_the_whole(void **state)
{
    (void)state;
    const struct range_facts ten = {.last_modified_unix_s = -1, .length = 10};
    static const struct want cases[] = {
        {"Range: bytes=0-1,3-4\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=0-1,\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=99-,0-1\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=0-1\r\nRange: bytes=3-4\r\n", RANGE_WHOLE, 0, 0},
        {"Range:\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=-\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=1\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=4-2\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=99-2\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=a-b\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=1-b\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=-b\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=--1\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=1-2-3\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=+1-2\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=1-2 3\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=0x1-2\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=18446744073709551616-\r\n", RANGE_WHOLE, 0, 0},
        {"Range: rows=0-1\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytesx=0-1\r\n", RANGE_WHOLE, 0, 0},
        {"Range: =0-1\r\n", RANGE_WHOLE, 0, 0},
        {"Range: 0-1\r\n", RANGE_WHOLE, 0, 0},
    };
    assert_ranges(&ten, cases, array_len(cases));
}

static void of_nothing_there_is_no_part(void **state)
{
    (void)state;
    const struct range_facts empty = {.last_modified_unix_s = -1, .length = 0};
    static const struct want cases[] = {
        {"Range: bytes=0-\r\n", RANGE_UNSATISFIABLE, 0, 0},
        {"Range: bytes=0-0\r\n", RANGE_UNSATISFIABLE, 0, 0},
        {"Range: bytes=-1\r\n", RANGE_UNSATISFIABLE, 0, 0},
        {"Range: bytes=x\r\n", RANGE_WHOLE, 0, 0},
    };
    assert_ranges(&empty, cases, array_len(cases));
}

/* Section 14.2: Range is for GET. */
static void only_a_get_has_a_range(void **state)
{
    (void)state;
    const struct range_facts ten = {.last_modified_unix_s = -1, .length = 10};
    uint64_t first, last;
    for (unsigned m = METHOD_OTHER; m <= METHOD_QUERY; m++) {
        cleanup(text_head_fini) struct text_head t;
        request_with(&t, "Range: bytes=0-1\r\n");
        t.head.method = m;
        assert_int_equal(range_judge(&t.head, &ten, &first, &last),
                         m == METHOD_GET ? RANGE_PART : RANGE_WHOLE);
    }
}

#define IF(value) "Range: bytes=2-4\r\nIf-Range: " value "\r\n"

/* Section 13.1.5. */
static void if_range_wants_a_strong_tag_or_the_very_date(void **state)
{
    (void)state;
    const struct range_facts both = {
        .etag = SPAN_LIT("\"a\""), .last_modified_unix_s = CHANGED, .length = 10};
    static const struct want of_both[] = {
        {IF("\"a\""), RANGE_PART, 2, 4},
        {IF("\"b\""), RANGE_WHOLE, 0, 0},
        {IF("\"A\""), RANGE_WHOLE, 0, 0},
        {IF("W/\"a\""), RANGE_WHOLE, 0, 0},
        {IF("a"), RANGE_WHOLE, 0, 0},
        {IF("*"), RANGE_WHOLE, 0, 0},
        {IF(""), RANGE_WHOLE, 0, 0},
        {IF("\"a\", \"b\""), RANGE_WHOLE, 0, 0},
        {IF("\"a\"") "If-Range: \"a\"\r\n", RANGE_WHOLE, 0, 0},
        {IF(CHANGED_TEXT), RANGE_PART, 2, 4},
        {IF("Sunday, 06-Nov-94 08:49:37 GMT"), RANGE_PART, 2, 4},
        {IF("Sun, 06 Nov 1994 08:49:36 GMT"), RANGE_WHOLE, 0, 0},
        {IF("Sun, 06 Nov 1994 08:49:38 GMT"), RANGE_WHOLE, 0, 0},
        {IF("yesterday"), RANGE_WHOLE, 0, 0},
        {"If-Range: \"a\"\r\n", RANGE_WHOLE, 0, 0},
        /* a range that cannot be satisfied is not asked for where the condition does not hold */
        {"Range: bytes=99-\r\nIf-Range: \"b\"\r\n", RANGE_WHOLE, 0, 0},
        {"Range: bytes=99-\r\nIf-Range: \"a\"\r\n", RANGE_UNSATISFIABLE, 0, 0},
    };
    assert_ranges(&both, of_both, array_len(of_both));

    const struct range_facts weak = {
        .etag = SPAN_LIT("W/\"a\""), .last_modified_unix_s = -1, .length = 10};
    static const struct want of_weak[] = {
        {IF("\"a\""), RANGE_WHOLE, 0, 0},
        {IF("W/\"a\""), RANGE_WHOLE, 0, 0},
        {IF(CHANGED_TEXT), RANGE_WHOLE, 0, 0},
    };
    assert_ranges(&weak, of_weak, array_len(of_weak));

    const struct range_facts none = {.last_modified_unix_s = -1, .length = 10};
    static const struct want of_none[] = {
        {IF("\"\""), RANGE_WHOLE, 0, 0},
        {IF(CHANGED_TEXT), RANGE_WHOLE, 0, 0},
        {IF("Wed, 31 Dec 1969 23:59:59 GMT"), RANGE_WHOLE, 0, 0},
    };
    assert_ranges(&none, of_none, array_len(of_none));
}

static void a_part_is_kept_by_its_one_plain_range(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *want; /* NULL: none */
    } cases[] = {
        {"", NULL},
        {"Range: bytes=0-99\r\n", "bytes=0-99"},
        {"Range: Bytes = 0 - 99\r\n", "bytes=0-99"},
        {"Range: bytes=-5\r\n", "bytes=-5"},
        {"Range: bytes=5-\r\n", "bytes=5-"},
        {"Range: bytes=-\r\n", NULL},
        {"Range: bytes=0-1,3-4\r\n", NULL},
        {"Range: rows=0-1\r\n", NULL},
        {"Range: bytes=a-1\r\n", NULL},
        {"Range: bytes=0-1\r\nRange: bytes=0-1\r\n", NULL},
        {"Range: bytes=0-1\r\nIf-Range: \"a\"\r\n", NULL},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        char block[64];
        struct buf out;
        buf_init_fixed(&out, block, sizeof(block));
        request_with(&t, cases[i].fields);
        if (range_key(&t.head, &out) != (cases[i].want != NULL))
            fail_msg("%s", cases[i].fields);
        if (cases[i].want)
            assert_span(buf_span(&out), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_range_of_bytes_is_a_part),
        cmocka_unit_test(what_is_not_one_range_of_bytes_is_answered_by_the_whole),
        cmocka_unit_test(of_nothing_there_is_no_part),
        cmocka_unit_test(only_a_get_has_a_range),
        cmocka_unit_test(if_range_wants_a_strong_tag_or_the_very_date),
        cmocka_unit_test(a_part_is_kept_by_its_one_plain_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
