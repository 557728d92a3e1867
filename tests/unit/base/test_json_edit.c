/* A tree is changed in place: merge patches (RFC 7396), texts from elsewhere. */
#include "base-test.h"

#include <larder/base/json.h>

/* A stand-in for {"env": ...}: one value, though it is written as an object. */
static bool is_whole(const struct json *j)
{
    return json_member(j, SPAN_LIT("whole")) != NULL;
}

static void merge_patches_do_what_rfc_7396_says(void **state)
{
    static const struct {
        const char *target, *patch, *result;
    } cases[] = {
        /* appendix A */
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        /* several at once, and arrays keep their nulls */
        {"{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":null,\"a\":null,\"d\":null}", "{\"b\":2}"},
        {"{}", "{\"a\":[null,{\"b\":null}]}", "{\"a\":[null,{\"b\":null}]}"},
        /* what is one value is never mixed */
        {"{\"a\":{\"whole\":1,\"b\":2}}", "{\"a\":{\"c\":3}}", "{\"a\":{\"c\":3}}"},
        {"{\"a\":{\"b\":2}}", "{\"a\":{\"whole\":1,\"c\":null}}",
         "{\"a\":{\"c\":null,\"whole\":1}}"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        char text[200];
        struct json_doc *doc = NULL;
        struct buf out;
        snprintf(text, sizeof(text), "{\"t\":%s,\"p\":%s}", cases[i].target, cases[i].patch);
        assert_int_equal(json_parse(span_str(text), NULL, 0, 8, &doc, NULL), ERR_OK);
        struct json *t = json_edit_member(json_edit(doc), SPAN_LIT("t"));
        json_merge_patch(t, json_edit_member(json_edit(doc), SPAN_LIT("p")), is_whole);
        buf_init(&out, 1000);
        json_canonical_format(t, &out);
        if (!span_eq(buf_span(&out), span_str(cases[i].result)))
            fail_msg("%s + %s: " SPAN_FMT, cases[i].target, cases[i].patch,
                     SPAN_ARG(buf_span(&out)));
        buf_fini(&out);
        json_doc_free(doc);
    }
}

static void what_has_moved_knows_its_path_and_its_place(void **state)
{
    struct json_doc *doc = NULL;
    unsigned line, col;
    (void)state;
    assert_int_equal(json_parse(SPAN_LIT("{\"a\":{\"b\":1},\n\"p\":{\"a\":{\"c\":\n[7]}}}"), NULL,
                                0, 8, &doc, NULL),
                     ERR_OK);
    struct json *root = json_edit(doc), *patch = json_edit_member(root, SPAN_LIT("p"));
    json_remove(patch);
    json_merge_patch(root, patch, is_whole);
    const struct json *moved = json_pointer(root, SPAN_LIT("/a/c/0"));
    assert_non_null(moved);
    struct buf path;
    buf_init(&path, 100);
    json_path_format(moved, &path);
    assert_true(span_eq(buf_span(&path), SPAN_LIT("$.a.c[0]")));
    json_place(doc, moved->offset, &line, &col);
    assert_int_equal(line, 3);
    assert_int_equal(col, 2);
    assert_int_equal(root->count, 1);
    assert_int_equal(root->first->count, 2);
    buf_fini(&path);
    json_doc_free(doc);
}

static void a_text_takes_the_place_of_any_value(void **state)
{
    struct json_doc *doc = NULL;
    (void)state;
    assert_int_equal(json_parse(SPAN_LIT("[{\"a\":1},2]"), NULL, 0, 8, &doc, NULL), ERR_OK);
    struct json *j = json_edit(doc)->first;
    assert_int_equal(json_set_text(doc, j, SPAN_LIT("x"), SPAN_LIT("NAME")), ERR_OK);
    assert_int_equal(j->type, JSON_STRING);
    assert_true(span_eq(j->text, SPAN_LIT("x")) && span_eq(j->from, SPAN_LIT("NAME")));
    assert_null(j->first);
    json_remove(json_edit(doc)); /* the root stays */
    json_remove(j);
    assert_int_equal(json_root(doc)->count, 1);
    assert_true(span_eq(json_root(doc)->first->text, SPAN_LIT("2")));
    json_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_patches_do_what_rfc_7396_says),
        cmocka_unit_test(what_has_moved_knows_its_path_and_its_place),
        cmocka_unit_test(a_text_takes_the_place_of_any_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
