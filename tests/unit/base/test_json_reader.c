/* test_json_reader.c: RFC 8259 as read, and what is said about texts that do not follow it. */
#include <larder/base/json.h>

#include "base-test.h"

enum { DEPTH = 4 };

static void canonical_of(const struct json_doc *doc, struct buf *out)
{
    buf_init(out, 1 << 20);
    json_canonical_format(json_root(doc), out);
    assert_false(out->failed);
}

static void assert_reads(struct span text, unsigned flags, struct span want)
{
    struct json_doc *doc = NULL;
    struct err err = {0};
    struct buf out;
    struct span block = block_of(text);
    enum err_code rc = json_parse(block, "f", flags, DEPTH, &doc, &err);
    block_free(block); /* borrowed for the call only */
    if (rc)
        fail_msg("%.*s: %s: %s", SPAN_ARG(text), err.where, err.what);
    canonical_of(doc, &out);
    assert_span(buf_span(&out), want, "canonical");
    buf_fini(&out);
    json_doc_free(doc);
}

static void texts_of_the_grammar_are_read(void **state)
{
    (void)state;
    static const struct {
        struct span text, want;
        unsigned flags;
    } cases[] = {
        {SPAN_LIT("null"), SPAN_LIT("null"), 0},
        {SPAN_LIT(" true "), SPAN_LIT("true"), 0},
        {SPAN_LIT("false"), SPAN_LIT("false"), 0},
        {SPAN_LIT("42"), SPAN_LIT("42"), 0},
        {SPAN_LIT("-0.0e-0 "), SPAN_LIT("-0.0e-0"), 0},
        {SPAN_LIT("[1e999,123456789012345678901234567890]"),
         SPAN_LIT("[1e999,123456789012345678901234567890]"), 0},
        {SPAN_LIT("[-9223372036854775808]"), SPAN_LIT("[-9223372036854775808]"), 0},
        {SPAN_LIT("\"\""), SPAN_LIT("\"\""), 0},
        {SPAN_LIT("\t[ ]\r\n"), SPAN_LIT("[]"), 0},
        {SPAN_LIT("{}"), SPAN_LIT("{}"), 0},
        {SPAN_LIT("[[[[]]]]"), SPAN_LIT("[[[[]]]]"), 0},
        {SPAN_LIT("[\"a\\u0000b\"]"), SPAN_LIT("[\"a\\u0000b\"]"), 0},
        {SPAN_LIT("{\"a\\u0000b\":1,\"a\\u0000c\":2}"),
         SPAN_LIT("{\"a\\u0000b\":1,\"a\\u0000c\":2}"), 0},
        {SPAN_LIT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
         SPAN_LIT("[\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"]"), 0},
        {SPAN_LIT("[\"\\ud83d\\ude00\"]"), SPAN_LIT("[\"\xf0\x9f\x98\x80\"]"), 0},
        {SPAN_LIT("[\"\\uDBFF\\uDFFF\"]"), SPAN_LIT("[\"\xf4\x8f\xbf\xbf\"]"), 0},
        {SPAN_LIT("[\"\xed\x9f\xbf\xee\x80\x80\"]"), SPAN_LIT("[\"\xed\x9f\xbf\xee\x80\x80\"]"), 0},
        {SPAN_LIT("[\"\\\\ud800\"]"), SPAN_LIT("[\"\\\\ud800\"]"), 0}, /* a backslash, then text */
        {SPAN_LIT("{\"a\":{\"b\":1},\"b\":{\"b\":2}}"),
         SPAN_LIT("{\"a\":{\"b\":1},\"b\":{\"b\":2}}"), 0},
        {SPAN_LIT("{\"\":{\"\":1}}"), SPAN_LIT("{\"\":{\"\":1}}"), 0},
        {SPAN_LIT("//x\n[/**/1,/***/2 //y\r\n ,3]/* , ] */ //"), SPAN_LIT("[1,2,3]"),
         JSON_COMMENTS},
        {SPAN_LIT("{/*a*/\"a\"/*b*/:/*c*/1/*d*/}"), SPAN_LIT("{\"a\":1}"), JSON_COMMENTS},
        {SPAN_LIT("7// end"), SPAN_LIT("7"), JSON_COMMENTS},
        {SPAN_LIT("[\"//\",\"/*\"]"), SPAN_LIT("[\"//\",\"/*\"]"), 0},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_reads(cases[i].text, cases[i].flags, cases[i].want);
}

static void assert_refuses(struct span text, unsigned flags, const char *where, const char *what)
{
    struct json_doc *doc = NULL;
    struct err err = {0};
    struct span block = block_of(text);
    assert_int_equal(json_parse(block, "f", flags, DEPTH, &doc, &err), ERR_SYNTAX);
    assert_int_equal(json_parse(block, "f", flags, DEPTH, &doc, NULL), ERR_SYNTAX);
    block_free(block);
    assert_null(doc);
    assert_int_equal(err.code, ERR_SYNTAX);
    if (strncmp(err.where, "f:", 2) != 0 || strcmp(err.where + 2, where) != 0 ||
        !strstr(err.what, what))
        fail_msg("\"%.*s\": got %s: %s; not %s: %s", SPAN_ARG(text), err.where, err.what, where,
                 what);
}

static void errors_have_a_place_and_say_what_would_be_right(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *where, *what;
    } cases[] = {
        /* commas, colons */
        {SPAN_LIT("[1,]"), "1:3", "a comma before ']'; remove it"},
        {SPAN_LIT("{\"a\":1,\n}"), "1:7", "a comma before '}'; remove it"},
        {SPAN_LIT("[1 2 ]"), "1:4", "no ',' before this"},
        {SPAN_LIT("[\"a\"\n\"b\"]"), "2:1", "no ',' before this"},
        {SPAN_LIT("{\"a\":1 \"b\":2}"), "1:8", "no ',' before this"},
        {SPAN_LIT("{\"a\":1 b:2}"), "1:8", "no ',' before this"},
        {SPAN_LIT("[,1]"), "1:2", "nothing stands before ','"},
        {SPAN_LIT("[1,,2]"), "1:4", "nothing stands before ','"},
        {SPAN_LIT("{\"a\" 1}"), "1:6", "no ':'"},
        {SPAN_LIT("{\"a\":,}"), "1:6", "no value; write one before ','"},
        {SPAN_LIT("{\"a\",1}"), "1:5", "no value; write ':' and one before ','"},
        {SPAN_LIT("{\"a\":}"), "1:6", "no value; write one before '}'"},
        {SPAN_LIT("{\"a\"}"), "1:5", "no value; write ':' and one before '}'"},
        {SPAN_LIT("{\"a\"::1}"), "1:6", "':' belongs between"},
        {SPAN_LIT("[1:2]"), "1:3", "':' belongs between"},
        /* names, quotes, words */
        {SPAN_LIT("{a:1}"), "1:2", "a member's name is wanted here; write it in double quotes"},
        {SPAN_LIT("{\"a\":1,b:2}"), "1:8", "a member's name is wanted here"},
        {SPAN_LIT("{1:2}"), "1:2", "a member's name is wanted here"},
        {SPAN_LIT("{'a':1}"), "1:2", "double quotes"},
        {SPAN_LIT("['x']"), "1:2", "double quotes"},
        {SPAN_LIT("[NaN]"), "1:2", "NaN is no value; write true, false, null or \"NaN\""},
        {SPAN_LIT("{\"a\":True}"), "1:6", "True is no value"},
        {SPAN_LIT("tru"), "1:1", "tru is no value"},
        {SPAN_LIT("{\"a\"=1}"), "1:5", "byte 0x3d"},
        {SPAN_LIT("[1\0]"), "1:3", "byte 0x00"},
        {SPAN_LIT("1\0"), "1:2", "byte 0x00"},
        /* numbers */
        {SPAN_LIT("[01]"), "1:3", "without leading zeros"},
        {SPAN_LIT("[0x10]"), "1:3", "right behind a number"},
        {SPAN_LIT("[+1]"), "1:2", "+1 is no number"},
        {SPAN_LIT("[.5]"), "1:2", ".5 is no number"},
        {SPAN_LIT("[1.]"), "1:2", "1. is no number"},
        {SPAN_LIT("[-Infinity]"), "1:2", "-Infinity is no number"},
        {SPAN_LIT("-"), "1:1", "- is no number"},
        /* brackets, ends */
        {SPAN_LIT(""), "1:1", "there is no value"},
        {SPAN_LIT("\n "), "2:2", "there is no value"},
        {SPAN_LIT("["), "1:2", "'[' of line 1 is not closed; write ']'"},
        {SPAN_LIT("[\n{\"a\":\n"), "3:1", "'{' of line 2 is not closed; write '}'"},
        {SPAN_LIT("[\n1}"), "2:2", "'}' closes what line 1 opened; write ']'"},
        {SPAN_LIT("{\"a\":1]"), "1:7", "']' closes what line 1 opened; write '}'"},
        {SPAN_LIT("]"), "1:1", "']' closes nothing"},
        {SPAN_LIT("{}]"), "1:3", "']' closes nothing"},
        {SPAN_LIT("{} {}"), "1:4", "more follows the value"},
        {SPAN_LIT("12 34"), "1:4", "more follows the value"},
        {SPAN_LIT("\xef\xbb\xbf{}"), "1:1", "byte order mark"},
        /* strings */
        {SPAN_LIT("[\"abc"), "1:2", "the string that begins here is not closed"},
        {SPAN_LIT("[\"\\u12"), "1:2", "the string that begins here is not closed"},
        {SPAN_LIT("[\"a\nb\"]"), "1:4", "control character 0x0a in a string; write \\u000a"},
        {SPAN_LIT("[\"a\\qb\"]"), "1:4", "no escape; write \\\\ for a backslash"},
        {SPAN_LIT("[\"\\u12G4\"]"), "1:3", "no escape"},
        /* comments that are not allowed */
        {SPAN_LIT("[1, // x\n2]"), "1:5", "comments are not allowed here"},
        {SPAN_LIT("/**/1"), "1:1", "comments are not allowed here"},
        {SPAN_LIT("[1 # x\n]"), "1:4", "comments are not allowed here"},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_refuses(cases[i].text, 0, cases[i].where, cases[i].what);
}

static void comments_must_be_closed_and_begin_with_slashes(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *where, *what;
    } cases[] = {
        {SPAN_LIT("[1 /* x"), "1:4", "not closed"},   {SPAN_LIT("{} /* x"), "1:4", "not closed"},
        {SPAN_LIT("{} /*/"), "1:4", "not closed"},    {SPAN_LIT("/* *"), "1:1", "not closed"},
        {SPAN_LIT("{} /"), "1:4", "no comment"},      {SPAN_LIT("[1 /x ]"), "1:4", "no comment"},
        {SPAN_LIT("[1 # x\n]"), "1:4", "no comment"}, {SPAN_LIT("//x"), "1:4", "there is no value"},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_refuses(cases[i].text, JSON_COMMENTS, cases[i].where, cases[i].what);
}

/* yajl reads each of these as some other text, so that two bodies would share one cache key. */
static void strings_that_are_no_unicode_text_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *where, *what;
    } cases[] = {
        {SPAN_LIT("[\"\\ud800\"]"), "1:3", "half a surrogate pair"},
        {SPAN_LIT("[\"\\udc00\"]"), "1:3", "half a surrogate pair"},
        {SPAN_LIT("[\"\\ud800x\"]"), "1:3", "half a surrogate pair"},
        {SPAN_LIT("[\"\\ud800\\u0041\"]"), "1:3", "half a surrogate pair"},
        {SPAN_LIT("[\"\\ud800\\ud800\"]"), "1:3", "half a surrogate pair"},
        {SPAN_LIT("[\"\\ud83d\\ude00\\uDE00\"]"), "1:15", "half a surrogate pair"},
        {SPAN_LIT("[\"\\\\\\ud800\"]"), "1:5", "half a surrogate pair"},
        {SPAN_LIT("{\"\\ud800\":1}"), "1:3", "half a surrogate pair"},
        {SPAN_LIT("[\"\xc0\x80\"]"), "1:3", "no UTF-8"},         /* overlong */
        {SPAN_LIT("[\"a\xe0\x9f\xbf\"]"), "1:4", "no UTF-8"},    /* overlong */
        {SPAN_LIT("[\"\xf0\x8f\xbf\xbf\"]"), "1:3", "no UTF-8"}, /* overlong */
        {SPAN_LIT("[\"\xed\xa0\x80\"]"), "1:3", "no UTF-8"},     /* a surrogate */
        {SPAN_LIT("[\"\xf4\x90\x80\x80\"]"), "1:3", "no UTF-8"}, /* past U+10FFFF */
        {SPAN_LIT("[\"\xf5\x80\x80\x80\"]"), "1:3", "no UTF-8"},
        {SPAN_LIT("[\"\x80\"]"), "1:3", "no UTF-8"},
        {SPAN_LIT("[\"\xe2\x82\"]"), "1:3", "no UTF-8"},
        {SPAN_LIT("{\"\xc1\xbf\":1}"), "1:3", "no UTF-8"},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_refuses(cases[i].text, 0, cases[i].where, cases[i].what);
}

/* RFC 8259 section 2 has four; yajl has six. An app that refuses such a body must not have its
 * refusal kept under the key of the good one. */
static void white_space_is_the_four_bytes_of_json(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *where;
    } cases[] = {
        {SPAN_LIT("\f1"), "1:1"},         {SPAN_LIT("1\f"), "1:2"},
        {SPAN_LIT("[\v1]"), "1:2"},       {SPAN_LIT("[1\v]"), "1:3"},
        {SPAN_LIT("[1,\v2]"), "1:4"},     {SPAN_LIT("[1 \f,2]"), "1:4"},
        {SPAN_LIT("{\"a\"\v:1}"), "1:5"}, {SPAN_LIT("{\"a\":\v1}"), "1:6"},
        {SPAN_LIT("{\v\"a\":1}"), "1:2"}, {SPAN_LIT("{}\n\v"), "2:1"},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_refuses(cases[i].text, 0, cases[i].where, "no white space of JSON");
}

static void members_that_are_there_twice_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *where, *what;
    } cases[] = {
        {SPAN_LIT("{\"a\":1,\n \"a\":2}"), "2:2", "member \"a\" is there twice"},
        {SPAN_LIT("{\"a\":1,\"\\u0061\":2}"), "1:8", "member \"a\" is there twice"},
        {SPAN_LIT("{\"\":1,\"\":2}"), "1:7", "member \"\" is there twice"},
        {SPAN_LIT("{\"a\":{\"b\":1,\"c\":{},\"b\":[]}}"), "1:20", "member \"b\""},
        {SPAN_LIT("{\"x\\u0000\":1,\"x\\u0000\":2}"), "1:14", "member \"x\\u0000\""},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_refuses(cases[i].text, 0, cases[i].where, cases[i].what);
}

static void depth_ends_where_the_caller_says(void **state)
{
    (void)state;
    assert_reads(SPAN_LIT("[{\"a\":[{}]}]"), 0, SPAN_LIT("[{\"a\":[{}]}]"));
    assert_refuses(SPAN_LIT("[[[[\n[]]]]]"), 0, "2:1", "deeper than 4 levels");
    assert_refuses(SPAN_LIT("[[[[{}]]]]"), 0, "1:5", "deeper than 4 levels");
    struct json_doc *doc = NULL;
    assert_int_equal(json_parse(SPAN_LIT("[]"), NULL, 0, 0, &doc, NULL), ERR_SYNTAX);
    assert_int_equal(json_parse(SPAN_LIT("1"), NULL, 0, 0, &doc, NULL), ERR_OK);
    json_doc_free(doc);
}

static void a_million_open_brackets_are_only_an_error(void **state)
{
    (void)state;
    struct json_doc *doc = NULL;
    size_t len = 1000000;
    char *text = malloc(len);
    memset(text, '[', len);
    assert_int_equal(json_parse(span_of(text, len), NULL, 0, 64, &doc, NULL), ERR_SYNTAX);
    free(text);
}

static void texts_over_the_limit_are_not_even_looked_at(void **state)
{
    (void)state;
    struct json_doc *doc = NULL;
    struct err err;
    size_t max = 16 * 1024 * 1024;
    char *text = malloc(max + 1);
    memset(text, ' ', max + 1);
    text[0] = '1';
    assert_int_equal(json_parse(span_of(text, max + 1), "f", 0, 9, &doc, &err), ERR_TOO_LARGE);
    assert_string_equal(err.where, "f");
    assert_int_equal(json_parse(span_of(text, max), "f", 0, 9, &doc, &err), ERR_OK);
    json_doc_free(doc);
    free(text);
}

/* 300 000 members: a check of each against each would take hours. */
static void huge_objects_are_read_in_linear_time(void **state)
{
    (void)state;
    struct buf text;
    struct json_doc *doc = NULL;
    struct err err;
    buf_init(&text, 8 << 20);
    buf_add_char(&text, '{');
    for (unsigned i = 0; i < 300000; i++)
        buf_add_fmt(&text, "%s\"m%u\":%u", i ? "," : "", i, i);
    buf_add_str(&text, "}");
    assert_int_equal(json_parse(buf_span(&text), NULL, 0, 1, &doc, NULL), ERR_OK);
    assert_int_equal(json_root(doc)->count, 300000);
    json_doc_free(doc);
    text.len--;
    buf_add_str(&text, ",\"m7\":0}");
    assert_int_equal(json_parse(buf_span(&text), NULL, 0, 1, &doc, &err), ERR_SYNTAX);
    assert_non_null(strstr(err.what, "\"m7\" is there twice"));
    buf_fini(&text);
}

static void every_node_knows_where_it_and_its_name_begin(void **state)
{
    (void)state;
    static const char text[] = "// c\n{\"a\\u0062\" : [1 , /* ] \" */ \"x\\\"\" , true,null],\n"
                               "\t\"o\":{\"n\":-1.5e3}//\n, \"e\":[]}";
    static const struct {
        const char *pointer;
        const char *value; /* as the text goes on from the value, and from the name */
        const char *name;
    } cases[] = {
        {"", "{\"a", ""},         {"/ab", "[1 ,", "\"a\\u0062\" "},
        {"/ab/0", "1 ,", ""},     {"/ab/1", "\"x\\\"\" ,", ""},
        {"/ab/2", "true", ""},    {"/ab/3", "null", ""},
        {"/o", "{\"n", "\"o\":"}, {"/o/n", "-1.5e3}", "\"n\":"},
        {"/e", "[]}", "\"e\":"},
    };
    struct json_doc *doc = NULL;
    assert_int_equal(json_parse(SPAN_LIT(text), NULL, JSON_COMMENTS, 9, &doc, NULL), ERR_OK);
    for (size_t i = 0; i < array_len(cases); i++) {
        const struct json *j = json_pointer(json_root(doc), span_str(cases[i].pointer));
        assert_non_null(j);
        assert_int_equal(strncmp(text + j->offset, cases[i].value, strlen(cases[i].value)), 0);
        if (cases[i].name[0])
            assert_int_equal(strncmp(text + j->name_offset, cases[i].name, strlen(cases[i].name)),
                             0);
        else
            assert_int_equal(j->name.len, 0);
    }
    json_doc_free(doc);
}

static void places_count_lines_and_bytes_from_one(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset;
        unsigned line, col;
    } cases[] = {{0, 1, 1}, {1, 1, 2}, {2, 2, 1}, {4, 2, 3}, {6, 3, 1}, {99, 3, 2}};
    struct json_doc *doc = NULL;
    assert_int_equal(json_parse(SPAN_LIT("[\n 1 \n]"), NULL, 0, 1, &doc, NULL), ERR_OK);
    for (size_t i = 0; i < array_len(cases); i++) {
        unsigned line, col;
        json_place(doc, cases[i].offset, &line, &col);
        assert_int_equal(line, cases[i].line);
        assert_int_equal(col, cases[i].col);
    }
    json_doc_free(doc);
}

static void places_are_told_without_a_file_and_with_a_long_one(void **state)
{
    (void)state;
    struct json_doc *doc = NULL;
    struct err err;
    char file[500];
    memset(file, 'd', sizeof(file) - 1);
    file[sizeof(file) - 1] = '\0';
    assert_int_equal(json_parse(SPAN_LIT("\n]"), NULL, 0, 1, &doc, &err), ERR_SYNTAX);
    assert_string_equal(err.where, "2:1");
    assert_int_equal(json_parse(SPAN_LIT("\n]"), file, 0, 1, &doc, &err), ERR_SYNTAX);
    assert_string_equal(err.where + strlen(err.where) - 4, ":2:1");
}

/* Each prefix of a good text is refused, with an error that stands in the text or at its end. */
static void cut_texts_are_refused_at_every_byte(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\n\xc3\xa9\",/*c*/true,null],\"b\":{}}";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        struct json_doc *doc = NULL;
        struct err err = {0};
        struct span block = block_of(span_of(text, len));
        assert_int_equal(json_parse(block, NULL, JSON_COMMENTS, 9, &doc, &err), ERR_SYNTAX);
        unsigned col = (unsigned)strtoul(err.where + 2, NULL, 10);
        assert_true(col >= 1 && col <= len + 1);
        assert_true(strlen(err.what) > 0);
        block_free(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_the_grammar_are_read),
        cmocka_unit_test(errors_have_a_place_and_say_what_would_be_right),
        cmocka_unit_test(comments_must_be_closed_and_begin_with_slashes),
        cmocka_unit_test(strings_that_are_no_unicode_text_are_refused),
        cmocka_unit_test(white_space_is_the_four_bytes_of_json),
        cmocka_unit_test(members_that_are_there_twice_are_refused),
        cmocka_unit_test(depth_ends_where_the_caller_says),
        cmocka_unit_test(a_million_open_brackets_are_only_an_error),
        cmocka_unit_test(texts_over_the_limit_are_not_even_looked_at),
        cmocka_unit_test(huge_objects_are_read_in_linear_time),
        cmocka_unit_test(every_node_knows_where_it_and_its_name_begin),
        cmocka_unit_test(places_count_lines_and_bytes_from_one),
        cmocka_unit_test(places_are_told_without_a_file_and_with_a_long_one),
        cmocka_unit_test(cut_texts_are_refused_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
