/* test_surrogate.c: tags of Surrogate-Key, xkey, Cache-Tag, and groups of RFC 9875. */
#include <larder/http/surrogate.h>

#include <larder/base/buf.h>

#include "http-test.h"

struct seen {
    char text[8192]; /* "[a][b]" */
    struct buf buf;
    unsigned most; /* tags taken before on_tag says no */
};

static bool on_tag(void *arg, struct span tag)
{
    struct seen *seen = arg;
    if (seen->most-- == 0)
        return false;
    buf_add_char(&seen->buf, '[');
    buf_add_span(&seen->buf, tag);
    buf_add_char(&seen->buf, ']');
    assert_false(seen->buf.failed);
    return true;
}

static void seen_init(struct seen *seen)
{
    buf_init_fixed(&seen->buf, seen->text, sizeof(seen->text));
    seen->most = UINT32_MAX;
}

enum ask { TAGS, INVALIDATED, PURGE };

static bool ask_of(enum ask ask, const struct head *h, struct seen *seen)
{
    bool soft;
    seen_init(seen);
    if (ask == TAGS)
        return surrogate_tags(h, on_tag, seen);
    if (ask == INVALIDATED)
        return surrogate_invalidated_groups(h, on_tag, seen);
    return surrogate_purge_tags(h, on_tag, seen, &soft);
}

struct tag_case {
    const char *fields, *tags; /* NULL: refused */
};

static void check_cases(enum ask ask, const struct tag_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct text_head t;
        struct seen seen;
        response_with(&t, 200, cases[i].fields);
        bool good = ask_of(ask, &t.head, &seen);
        if (good != (cases[i].tags != NULL))
            fail_msg("%s: %d", cases[i].fields, good);
        if (good && !span_eq(buf_span(&seen.buf), span_str(cases[i].tags)))
            fail_msg("%s: " SPAN_FMT ", not %s", cases[i].fields, SPAN_ARG(buf_span(&seen.buf)),
                     cases[i].tags);
        text_head_fini(&t);
    }
}

static void plain_lists_part_at_their_separators(void **state)
{
    (void)state;
    static const struct tag_case cases[] = {
        {"", ""},
        {"Surrogate-Key: a\r\n", "[a]"},
        {"Surrogate-Key: a  b\tc \r\n", "[a][b][c]"},
        {"Surrogate-Key: a,b c\r\n", "[a,b][c]"},
        {"Surrogate-Key:\r\n", ""},
        {"sUrRoGaTe-KeY: a\r\nSurrogate-Key: b a\r\n", "[a][b][a]"},
        {"xkey: a, b,c d,,e\r\nXKEY: f\r\n", "[a][b][c][d][e][f]"},
        {"xkey: , ,\r\n", ""},
        {"Cache-Tag: a, b c ,, \td,\r\n", "[a][b c][d]"},
        {"Cache-Tag: \"a, b\"\r\n", "[\"a][b\"]"},
        {"Cache-Tag: a\tb\r\n", NULL}, /* a control within a tag */
        {"Surrogate-Key: kurs-\xc3\xbc\r\n", "[kurs-\xc3\xbc]"},
        {"Surrogate-Keys: a\r\nX-Surrogate-Key: b\r\nxkeys: c\r\nxkey-purge: d\r\n", ""},
        {"Surrogate-Key: a\r\nCache-Tag: b\r\nCache-Groups: \"c\"\r\nxkey: d\r\n", "[a][b][d][c]"},
    };
    check_cases(TAGS, cases, array_len(cases));
}

static const struct tag_case lists[] = {
    {"\"a\"", "[a]"},
    {"", ""},
    {"\"a\", \"b\",\"c\"\t ,\t\"d\"", "[a][b][c][d]"},
    {"\"\"", "[]"},
    {"\"a, b; c\"", "[a, b; c]"},
    {"\"a\\\"b\\\\c\"", "[a\"b\\c]"},
    {"\"a\";p;q=1; r=-1.5;s=tok/en:*;t=\"x\\\"\";u=:YQ==:;v=?0;*w.x-y_z=@-1", "[a]"},
    {"\"a\";d=%\"f%c3%bc%f0%9f%8d%8e\", \"b\"", "[a][b]"},
    {"\"a\";p=:YQ:;p=tok", "[a]"},
    /* not a list of strings: none counts */
    {"a", ""},
    {"\"a\", b", ""},
    {"\"a\", 1", ""},
    {"\"a\", (\"b\")", ""},
    {"?1", ""},
    {":YQ==:", ""},
    {"\"a\",", ""},
    {"\"a\",,\"b\"", ""},
    {",\"a\"", ""},
    {"\"a\" \"b\"", ""},
    {"\"a\"\"b\"", ""},
    {"\"a", ""},
    {"\"", ""},
    {"\"a\\\"", ""},
    {"\"a\\", ""},
    {"\"a\\n\"", ""},
    {"\"a\tb\"", ""},
    {"\"\xc3\xbc\"", ""},
    {"\"a\";", ""},
    {"\"a\";P", ""},
    {"\"a\";1", ""},
    {"\"a\" ;p", ""},
    {"\"a\";p =1", ""},
    {"\"a\";p= 1", ""},
    {"\"a\";p=", ""},
    {"\"a\";p=-", ""},
    {"\"a\";p=1.", ""},
    {"\"a\";p=1.1234", ""},
    {"\"a\";p=1234567890123.1", ""},
    {"\"a\";p=1234567890123456", ""},
    {"\"a\";p=@1.5", ""},
    {"\"a\";p=@", ""},
    {"\"a\";p=?2", ""},
    {"\"a\";p=?", ""},
    {"\"a\";p=:Y*:", ""},
    {"\"a\";p=:YQ", ""},
    {"\"a\";p=\"", ""},
    {"\"a\";p=%\"a", ""},
    {"\"a\";p=%a", ""},
    {"\"a\";p=%\"%C3%BC\"", ""},
    {"\"a\";p=%\"%c3\"", ""},
    {"\"a\";p=%\"%c3%28\"", ""},
    {"\"a\";p=%\"%ed%a0%80\"", ""},
    {"\"a\";p=%\"%c0%80\"", ""},
    {"\"a\";p=%\"%f4%90%80%80\"", ""},
    {"\"a\";p=%\"%a\"", ""},
    {"\"a\";p=(1)", ""},
};

/* The value as it is, in a block of its own: what no head would hold is seen here, too. */
static void groups_are_a_list_of_strings_or_absent(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_len(lists); i++) {
        size_t len = strlen(lists[i].fields);
        char *block = block_of(lists[i].fields, len);
        struct head h = {.field_count = 2};
        struct seen seen;
        h.fields[0] = (struct field){SPAN_LIT("Cache-Groups"), span_of(block, len), FIELD_OTHER};
        h.fields[1] =
            (struct field){SPAN_LIT("cache-group-INVALIDATION"), span_of(block, len), FIELD_OTHER};
        for (enum ask ask = TAGS; ask <= INVALIDATED; ask++) {
            if (!ask_of(ask, &h, &seen) || !span_eq(buf_span(&seen.buf), span_str(lists[i].tags)))
                fail_msg("%s: " SPAN_FMT, lists[i].fields, SPAN_ARG(buf_span(&seen.buf)));
        }
        free(block);
    }
}

static void the_lines_of_a_list_count_together(void **state)
{
    (void)state;
    static const struct tag_case cases[] = {
        {"Cache-Groups: \"a\"\r\ncache-groups: \"b\", \"c\"\r\n", "[a][b][c]"},
        {"Cache-Groups: \"a\"\r\nCache-Groups: b\r\n", ""},
        {"Cache-Groups: \"a\"\r\nCache-Groups:\r\n", ""},
        {"Cache-Groups: \"a\r\nCache-Groups: b\"\r\n", ""},
        {"Cache-Groups: \"a\",\r\nCache-Groups: \"b\"\r\n", ""},
        {"Cache-Groups: a\r\nSurrogate-Key: b\r\n", "[b]"},
        {"Cache-Group-Invalidation: \"a\"\r\n", ""},
    };
    static const struct tag_case invalidated[] = {
        {"Cache-Group-Invalidation: \"a\"\r\nCache-Groups: \"b\"\r\nxkey: c\r\n", "[a]"},
        {"Cache-Group-Invalidation: \"a\"\r\nCache-Group-Invalidation: \"b\"\r\n", "[a][b]"},
    };
    check_cases(TAGS, cases, array_len(cases));
    check_cases(INVALIDATED, invalidated, array_len(invalidated));
}

static void a_tag_over_the_limit_is_refused_in_every_form(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "Surrogate-Key: x %.*s y\r\n",
        "xkey: %.*s\r\n",
        "Cache-Tag: x, %.*s , y\r\n",
        "Cache-Groups: \"x\", \"%.*s\", \"y\"\r\n",
    };
    char tag[SURROGATE_TAG_MAX + 1], fields[2048];
    memset(tag, 't', sizeof(tag));
    for (size_t i = 0; i < array_len(forms); i++) {
        for (int over = 0; over <= 1; over++) {
            struct text_head t;
            struct seen seen;
            snprintf(fields, sizeof(fields), forms[i], SURROGATE_TAG_MAX + over, tag);
            response_with(&t, 200, fields);
            assert_int_equal(ask_of(TAGS, &t.head, &seen), !over);
            text_head_fini(&t);
        }
    }
}

static void controls_are_refused_wherever_they_come_from(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        static const char *const names[] = {"Surrogate-Key", "xkey", "Cache-Tag"};
        char value[] = {'a', (char)c, 'b'};
        bool control = c < 0x20 || c == 0x7f;
        for (size_t i = 0; i < array_len(names); i++) {
            struct head h = {.field_count = 1};
            struct seen seen;
            h.fields[0].name = span_str(names[i]);
            h.fields[0].value = span_of(value, sizeof(value));
            bool separates = c == '\t' && i < 2;
            assert_int_equal(ask_of(TAGS, &h, &seen), !control || separates);
        }
    }
}

static void the_caller_may_stop(void **state)
{
    (void)state;
    struct text_head t;
    struct seen seen;
    response_with(&t, 200, "Surrogate-Key: a b c\r\nCache-Groups: \"d\", \"e\"\r\n");
    for (unsigned most = 0; most <= 5; most++) {
        seen_init(&seen);
        seen.most = most;
        assert_int_equal(surrogate_tags(&t.head, on_tag, &seen), most == 5);
        assert_int_equal(seen.buf.len, 3 * most);
    }
    text_head_fini(&t);
}

static void a_purge_names_tags_and_how_softly(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *tags;
        bool soft;
    } cases[] = {
        {"", "", false},
        {"Surrogate-Key: a b\r\n", "[a][b]", false},
        {"xkey-purge: a,b c\r\n", "[a][b][c]", false},
        {"xkey-softpurge: a\r\n", "[a]", true},
        {"xkey-softpurge: a\r\nxkey-purge: b\r\n", "[a][b]", false},
        {"xkey: a\r\nCache-Tag: b c, d\r\n", "[a][b c][d]", false},
        {"Surrogate-Key: a\r\nFastly-Soft-Purge: 1\r\n", "[a]", true},
        {"Surrogate-Key: a\r\nFastly-Soft-Purge: 0\r\n", "[a]", false},
        {"Surrogate-Key: a\r\nFastly-Soft-Purge: 11\r\n", "[a]", false},
        {"Surrogate-Key: a\r\nSurrogate-Purge-Mode: Soft\r\n", "[a]", true},
        {"Surrogate-Key: a\r\nSurrogate-Purge-Mode: hard\r\n", "[a]", false},
        {"Cache-Groups: \"a\"\r\n", "", false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct text_head t;
        struct seen seen;
        bool soft = !cases[i].soft;
        request_with(&t, cases[i].fields);
        seen_init(&seen);
        assert_true(surrogate_purge_tags(&t.head, on_tag, &seen, &soft));
        if (soft != cases[i].soft || !span_eq(buf_span(&seen.buf), span_str(cases[i].tags)))
            fail_msg("%s: " SPAN_FMT " %d", cases[i].fields, SPAN_ARG(buf_span(&seen.buf)), soft);
        text_head_fini(&t);
    }
}

static void a_refused_purge_says_nothing_of_its_mode(void **state)
{
    (void)state;
    struct text_head t;
    struct seen seen;
    request_with(&t, "xkey-softpurge: a\r\nCache-Tag: a\tb\r\n");
    for (int before = 0; before <= 1; before++) {
        bool soft = before;
        seen_init(&seen);
        assert_false(surrogate_purge_tags(&t.head, on_tag, &seen, &soft));
        assert_int_equal(soft, before);
    }
    text_head_fini(&t);
}

/* Any bytes at all: only a sanitizer has something to say. */
static void random_lists_are_read_within_their_bounds(void **state)
{
    (void)state;
    static const char letters[] = "\"\"\"\\,,;=ab1 \t%:?@-.*()\x80";
    uint32_t x = 1;
    for (unsigned i = 0; i < 200000; i++) {
        char text[24];
        struct head h = {.field_count = 1};
        struct seen seen;
        x = x * 1664525 + 1013904223;
        size_t len = (x >> 16) % sizeof(text);
        for (size_t k = 0; k < len; k++) {
            x = x * 1664525 + 1013904223;
            text[k] = letters[(x >> 16) % (sizeof(letters) - 1)];
        }
        char *block = block_of(text, len);
        h.fields[0] = (struct field){SPAN_LIT("cache-groups"), span_of(block, len), FIELD_OTHER};
        assert_true(ask_of(TAGS, &h, &seen));
        free(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lists_part_at_their_separators),
        cmocka_unit_test(groups_are_a_list_of_strings_or_absent),
        cmocka_unit_test(the_lines_of_a_list_count_together),
        cmocka_unit_test(a_tag_over_the_limit_is_refused_in_every_form),
        cmocka_unit_test(controls_are_refused_wherever_they_come_from),
        cmocka_unit_test(the_caller_may_stop),
        cmocka_unit_test(a_purge_names_tags_and_how_softly),
        cmocka_unit_test(a_refused_purge_says_nothing_of_its_mode),
        cmocka_unit_test(random_lists_are_read_within_their_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
