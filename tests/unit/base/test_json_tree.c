/* test_json_tree.c: finding members, RFC 6901 pointers, paths, the canonical form. */
#include <larder/base/json.h>

#include "base-test.h"

static struct json_doc *read_doc(struct span text)
{
    struct json_doc *doc = NULL;
    assert_int_equal(json_parse(text, NULL, 0, 64, &doc, NULL), ERR_OK);
    return doc;
}

static void members_are_found_by_their_whole_name(void **state)
{
    (void)state;
    struct json_doc *doc = read_doc(SPAN_LIT("{\"a\":1,\"a\\u0000\":2,\"\":3,\"l\":[{\"a\":4}]}"));
    const struct json *root = json_root(doc);
    assert_span(json_member(root, SPAN_LIT("a"))->text, SPAN_LIT("1"), "a");
    assert_span(json_member(root, SPAN_LIT("a\0"))->text, SPAN_LIT("2"), "a NUL");
    assert_span(json_member(root, SPAN_LIT(""))->text, SPAN_LIT("3"), "empty");
    assert_null(json_member(root, SPAN_LIT("A")));
    assert_null(json_member(json_member(root, SPAN_LIT("l")), SPAN_LIT("a")));
    assert_null(json_member(json_member(root, SPAN_LIT("a")), SPAN_LIT("a")));
    assert_null(json_member(NULL, SPAN_LIT("a")));
    assert_int_equal(root->count, 4);
    json_doc_free(doc);
}

/* RFC 6901 section 5, and what sections 3 and 4 forbid. */
static void pointers(void **state)
{
    (void)state;
    static const struct {
        struct span pointer;
        const char *text; /* NULL: names nothing */
    } cases[] = {
        {SPAN_LIT("/foo/0"), "bar"}, {SPAN_LIT("/foo/1"), "baz"},
        {SPAN_LIT("/"), "0"},        {SPAN_LIT("/a~1b"), "1"},
        {SPAN_LIT("/c%d"), "2"},     {SPAN_LIT("/e^f"), "3"},
        {SPAN_LIT("/g|h"), "4"},     {SPAN_LIT("/i\\j"), "5"},
        {SPAN_LIT("/k\"l"), "6"},    {SPAN_LIT("/ "), "7"},
        {SPAN_LIT("/m~0n"), "8"},    {SPAN_LIT("/~01"), "9"},
        {SPAN_LIT("/o//p"), "10"},   {SPAN_LIT("foo/0"), NULL},
        {SPAN_LIT("/foo/2"), NULL},  {SPAN_LIT("/foo/-"), NULL},
        {SPAN_LIT("/foo/00"), NULL}, {SPAN_LIT("/foo/01"), NULL},
        {SPAN_LIT("/foo/+0"), NULL}, {SPAN_LIT("/foo/"), NULL},
        {SPAN_LIT("/foo/0/"), NULL}, {SPAN_LIT("/m~n"), NULL},
        {SPAN_LIT("/m~2n"), NULL},   {SPAN_LIT("/m~"), NULL},
        {SPAN_LIT("/~1"), NULL},     {SPAN_LIT("/fo"), NULL},
        {SPAN_LIT("/foox"), NULL},   {SPAN_LIT("/foo/18446744073709551616"), NULL},
    };
    struct json_doc *doc = read_doc(
        SPAN_LIT("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
                 "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8,\"~1\":9,\"o\":{\"\":{\"p\":10}}}"));
    const struct json *root = json_root(doc);
    assert_ptr_equal(json_pointer(root, SPAN_LIT("")), root);
    assert_null(json_pointer(NULL, SPAN_LIT("/foo")));
    for (size_t i = 0; i < array_len(cases); i++) {
        struct span pointer = block_of(cases[i].pointer);
        const struct json *j = json_pointer(root, pointer);
        if (!j != !cases[i].text)
            fail_msg("%.*s: %s", SPAN_ARG(pointer), j ? "found" : "not found");
        if (j)
            assert_span(j->text, span_str(cases[i].text), "pointer");
        block_free(pointer);
    }
    json_doc_free(doc);
}

static void paths_name_a_node_for_people(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "$"},
        {"/routes", "$.routes"},
        {"/routes/1/ttl", "$.routes[1].ttl"},
        {"/routes/0", "$.routes[0]"},
        {"/a.b", "$[\"a.b\"]"},
        {"/x\"\n", "$[\"x\\\"\\n\"]"},
        {"/", "$[\"\"]"},
        {"/a-b_C9", "$.a-b_C9"},
    };
    struct json_doc *doc = read_doc(
        SPAN_LIT("{\"routes\":[1,{\"ttl\":2}],\"a.b\":3,\"x\\\"\\n\":4,\"\":5,\"a-b_C9\":6}"));
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf out;
        buf_init(&out, 100);
        json_path_format(json_pointer(json_root(doc), span_str(cases[i][0])), &out);
        assert_span(buf_span(&out), span_str(cases[i][1]), cases[i][0]);
        buf_fini(&out);
    }
    json_doc_free(doc);
}

static void assert_canonical(struct span text, struct span want)
{
    struct json_doc *doc = read_doc(text);
    struct buf out;
    buf_init(&out, 1000);
    json_canonical_format(json_root(doc), &out);
    assert_span(buf_span(&out), want, "canonical");
    buf_fini(&out);
    json_doc_free(doc);
}

static void order_space_and_escapes_make_no_difference(void **state)
{
    (void)state;
    static const struct span texts[] = {
        SPAN_LIT("{\"b\":[2,1],\"a\":{\"y\":null,\"x\":\"A/\xc3\xa9\"},\"ab\":true,\"\":false}"),
        SPAN_LIT(" { \"a\" : { \"x\":\"\\u0041\\/\\u00e9\", \"y\" : null } ,\n \"\":false,"
                 "\"ab\":true,\"b\" : [ 2 , 1 ] } "),
    };
    for (size_t i = 0; i < array_len(texts); i++)
        assert_canonical(texts[i], SPAN_LIT("{\"\":false,\"a\":{\"x\":\"A/\xc3\xa9\",\"y\":null},"
                                            "\"ab\":true,\"b\":[2,1]}"));
}

static void a_canonical_form_is_canonical_already(void **state)
{
    (void)state;
    static const struct span texts[] = {
        SPAN_LIT("[1,1.0,1e0,-0,\"\\u0000\\u001f\\u007f\\\"\\\\\",{},[]]"),
        SPAN_LIT("{\"a\":1,\"a\\u0000\":2,\"aa\":3,\"\xc3\xa9\":4}"),
    };
    for (size_t i = 0; i < array_len(texts); i++)
        assert_canonical(texts[i], texts[i]);
}

static void a_canonical_form_that_does_not_fit_says_so(void **state)
{
    (void)state;
    struct json_doc *doc = read_doc(SPAN_LIT("{\"a\":[1,2,3],\"b\":\"xyz\"}"));
    for (size_t cap = 0; cap <= 23; cap++) {
        char room[32];
        struct buf out;
        buf_init_fixed(&out, room, cap);
        json_canonical_format(json_root(doc), &out);
        assert_int_equal(out.failed, cap < 23);
    }
    json_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_by_their_whole_name),
        cmocka_unit_test(pointers),
        cmocka_unit_test(paths_name_a_node_for_people),
        cmocka_unit_test(order_space_and_escapes_make_no_difference),
        cmocka_unit_test(a_canonical_form_is_canonical_already),
        cmocka_unit_test(a_canonical_form_that_does_not_fit_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
