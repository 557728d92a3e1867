/* test_message.c: what matches travels as it is; what is no message is none. */
#include "../unit-test.h"

#include <larder/base/macros.h>
#include <larder/base/octets.h>
#include <larder/tier/message.h>

#include <stdlib.h>

static struct message message_of_tags(enum message_kind kind, unsigned count)
{
    struct message m = {.kind = kind, .tag_count = count};
    for (unsigned i = 0; i < count; i++)
        m.tags[i] = UINT64_MAX / (i + 1);
    return m;
}

/* In a block of its own size, so that a sanitizer sees each byte read too far. */
static bool parse_copy(struct span bytes, struct message *ret)
{
    char *block = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(block);
    if (bytes.len)
        memcpy(block, bytes.p, bytes.len);
    bool is_good = message_parse(span_of(block, bytes.len), ret);
    if (is_good && ret->kind == MESSAGE_PATTERN) /* its text lay there */
        assert_true(ret->pattern.text.p >= block &&
                    ret->pattern.text.p + ret->pattern.text.len <= block + bytes.len);
    free(block);
    return is_good;
}

static void assert_same(const struct message *a, const struct message *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->is_soft, b->is_soft);
    assert_int_equal(a->wants_ack, b->wants_ack);
    if (a->kind == MESSAGE_PATTERN) {
        assert_int_equal(a->pattern.kind, b->pattern.kind);
        assert_true(span_eq(a->pattern.text, b->pattern.text));
        return;
    }
    assert_int_equal(a->tag_count, b->tag_count);
    assert_memory_equal(a->tags, b->tags, a->tag_count * sizeof(a->tags[0]));
}

static void messages_stand_one_behind_the_other(void **state)
{
    struct message list[] = {
        message_of_tags(MESSAGE_ANY_TAG, 1),
        message_of_tags(MESSAGE_ANY_TAG, MESSAGE_TAGS_MAX),
        message_of_tags(MESSAGE_ALL_OF, 2),
        message_of_tags(MESSAGE_ALL_OF, TAG_ALL_OF_MAX),
        {.kind = MESSAGE_PATTERN, .pattern = {PATTERN_GLOB, {"courses:*", 9}}},
        {.kind = MESSAGE_PATTERN, .pattern = {PATTERN_PATH, {"/a/{id}/*", 9}}},
        {.kind = MESSAGE_PATTERN, .pattern = {PATTERN_TAG_PREFIX, {"", 0}}},
    };
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 20);
    for (unsigned i = 0; i < array_len(list); i++) {
        list[i].is_soft = i & 1;
        list[i].wants_ack = i & 2;
        message_add(&list[i], &out);
    }
    assert_false(out.failed);
    struct span rest = buf_span(&out);
    for (unsigned i = 0; i < array_len(list); i++) {
        static struct message m;
        struct span bytes = message_next(&rest);
        assert_true(message_parse(bytes, &m));
        assert_same(&list[i], &m);
    }
    assert_int_equal(rest.len, 0);
    assert_int_equal(message_next(&rest).len, 0);
    buf_fini(&out);
}

static void the_form_is_the_same_on_every_machine(void **state)
{
    struct message m = {.kind = MESSAGE_ALL_OF,
                        .is_soft = true,
                        .wants_ack = true,
                        .tag_count = 2,
                        .tags = {1, 0x1122334455667788}};
    struct message pattern = {.kind = MESSAGE_PATTERN, .pattern = {PATTERN_PATH, {"/a", 2}}};
    struct buf out;
    (void)state;
    buf_init(&out, 100);
    message_add(&m, &out);
    message_add(&pattern, &out);
    static const char want[] = "\0\0\0\x14\1\3\0\2\0\0\0\0\0\0\0\1\x11\x22\x33\x44\x55\x66\x77\x88"
                               "\0\0\0\6\2\0\0\1/a";
    assert_int_equal(out.len, sizeof(want) - 1);
    assert_memory_equal(out.p, want, out.len);
    buf_fini(&out);
}

static void what_is_no_message_is_refused(void **state)
{
#define CASE(bytes, is_good)                                                                       \
    {                                                                                              \
        {bytes, sizeof(bytes) - 1}, is_good                                                        \
    }
    static const struct {
        struct span bytes;
        bool is_good;
    } cases[] = {
        CASE("", false),
        CASE("\0", false),
        CASE("\0\0\0", false),
        CASE("\0\0\0\0", false),                   /* no tag */
        CASE("\0\0\0\1", false),                   /* ... where one is told */
        CASE("\0\0\0\1\0\0\0\0\0\0\0", false),     /* cut */
        CASE("\0\0\0\1\0\0\0\0\0\0\0\1", true),    /* one tag */
        CASE("\0\3\0\1\0\0\0\0\0\0\0\1", true),    /* soft, acknowledged */
        CASE("\0\4\0\1\0\0\0\0\0\0\0\1", false),   /* an unknown flag */
        CASE("\3\0\0\1\0\0\0\0\0\0\0\1", false),   /* an unknown kind */
        CASE("\0\0\0\1\0\0\0\0\0\0\0\1\0", false), /* more than it says */
        CASE("\0\0\0\2\0\0\0\0\0\0\0\1", false),   /* less */
        CASE("\1\0\0\1\0\0\0\0\0\0\0\1", true),    /* all of one */
        CASE("\2\0\0\0", true),                    /* an empty glob */
        CASE("\2\0\0\2a", true),                   /* a prefix */
        CASE("\2\0\0\3a", false),                  /* an unknown pattern */
        CASE("\2\0\1\0a", false),                  /* ... */
    };
    static struct message m;
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++)
        if (parse_copy(cases[i].bytes, &m) != cases[i].is_good)
            fail_msg("case %zu", i);
}

static void counts_and_lengths_have_their_limits(void **state)
{
    enum { TEXT_MAX = 8192 };
    static char text[TEXT_MAX + 1];
    static struct message m;
    (void)state;
    memset(text, 'a', sizeof(text));
    for (unsigned over = 0; over < 2; over++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        octets_add(&out, MESSAGE_ANY_TAG, 1);
        octets_add(&out, 0, 1);
        octets_add(&out, MESSAGE_TAGS_MAX + over, 2);
        for (unsigned i = 0; i < MESSAGE_TAGS_MAX + over; i++)
            octets_add(&out, i, 8);
        assert_int_equal(parse_copy(buf_span(&out), &m), !over);
        buf_reset(&out);
        octets_add(&out, MESSAGE_ALL_OF, 1);
        octets_add(&out, 0, 1);
        octets_add(&out, TAG_ALL_OF_MAX + over, 2);
        for (unsigned i = 0; i < TAG_ALL_OF_MAX + over; i++)
            octets_add(&out, i, 8);
        assert_int_equal(parse_copy(buf_span(&out), &m), !over);
        buf_reset(&out);
        octets_add(&out, MESSAGE_PATTERN, 1);
        octets_add(&out, 0, 3);
        buf_add(&out, text, TEXT_MAX + over);
        assert_int_equal(parse_copy(buf_span(&out), &m), !over);
        buf_fini(&out);
    }
}

static void a_list_that_is_cut_ends_there(void **state)
{
    struct message m = message_of_tags(MESSAGE_ANY_TAG, 2);
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    message_add(&m, &out);
    for (size_t len = 0; len < out.len; len++) {
        struct span list = span_of(out.p, len);
        assert_int_equal(message_next(&list).len, 0);
    }
    struct span huge = SPAN_LIT("\xff\xff\xff\xff\0\0\0\1");
    assert_int_equal(message_next(&huge).len, 0);
    buf_fini(&out);
}

static void what_the_store_was_told_is_what_it_is_told_elsewhere(void **state)
{
    (void)state;
    uint64_t tags[] = {1, 2};
    struct pattern pattern = {.kind = PATTERN_PATH, .text = SPAN_LIT("/rooms/{id}")};
    const struct store_match cases[] = {
        {.kind = STORE_ANY_TAG, .tag_count = 2, .tags = tags},
        {.kind = STORE_ALL_OF, .tag_count = 2, .tags = tags},
        {.kind = STORE_TEST, .test = pattern_test, .arg = &pattern},
    };
    for (unsigned i = 0; i < array_len(cases); i++) {
        struct message m;
        message_from_match(&cases[i], i == 1, &m);
        assert_int_equal(m.is_soft, i == 1);
        struct store_match back = message_match(&m);
        assert_int_equal(back.kind, cases[i].kind);
        assert_int_equal(back.tag_count, cases[i].tag_count);
        for (unsigned n = 0; n < back.tag_count; n++)
            assert_int_equal(back.tags[n], tags[n]);
        assert_true(back.test == cases[i].test);
        if (back.kind == STORE_TEST)
            assert_true(span_eq(((struct pattern *)back.arg)->text, pattern.text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_store_was_told_is_what_it_is_told_elsewhere),
        cmocka_unit_test(messages_stand_one_behind_the_other),
        cmocka_unit_test(the_form_is_the_same_on_every_machine),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(counts_and_lengths_have_their_limits),
        cmocka_unit_test(a_list_that_is_cut_ends_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
