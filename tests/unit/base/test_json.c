/* JSON: what is read, where errors are, how it is written. */
#include "../unit-test.h"

#include <larder/base/json.h>

static void errors_have_a_place(void **state)
{
    static const struct {
        const char *text;
        unsigned flags;
        const char *where, *what;
    } cases[] = {
        {"{\"a\":1,\n \"a\":2}", 0, "f:2:2", "a"},
        {"{\"a\":1,}", 0, "f:1:", ""},
        {"", 0, "f:1:1", ""},
        {"{\"a\": // c\n 1}", 0, "f:1:", ""},
        {"[1, 2", 0, "f:1:", ""},
        {"[[[[[[[[[[1]]]]]]]]]]", 0, "f:1:", ""},
        {"{} {}", 0, "f:1:", ""},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct json_doc *doc = NULL;
        struct err err = {0};
        assert_int_equal(json_parse(span_str(cases[i].text), "f", cases[i].flags, 8, &doc, &err),
                         ERR_SYNTAX);
        assert_null(doc);
        assert_non_null(strstr(err.where, cases[i].where));
        assert_true(strlen(err.what) > 0);
        assert_non_null(strstr(err.what, cases[i].what));
    }
}

static void nodes_know_their_place_and_path(void **state)
{
    static const char text[] = "{ // note\n  \"routes\": [ { \"ttl\": \"x\" } ]\n}";
    (void)state;
    struct json_doc *doc = NULL;
    assert_int_equal(json_parse(SPAN_LIT(text), "f", JSON_COMMENTS, 8, &doc, NULL), ERR_OK);
    const struct json *ttl = json_pointer(json_root(doc), SPAN_LIT("/routes/0/ttl"));
    assert_non_null(ttl);
    unsigned line, col;
    json_place(doc, ttl->offset, &line, &col);
    assert_int_equal(line, 2);
    assert_int_equal(col, 24);
    struct buf path;
    buf_init(&path, 100);
    json_path_format(ttl, &path);
    assert_true(span_eq(buf_span(&path), SPAN_LIT("$.routes[0].ttl")));
    buf_fini(&path);
    json_doc_free(doc);
}

static void equal_documents_have_one_canonical_form(void **state)
{
    static const char *const texts[] = {"{\"b\":[1,2],\"a\":{\"y\":null,\"x\":\"\\u0041\"}}",
                                        " { \"a\" : {\"x\":\"A\",\"y\":null} , \"b\":[1, 2] } "};
    (void)state;
    for (size_t i = 0; i < array_len(texts); i++) {
        struct json_doc *doc = NULL;
        struct buf out;
        buf_init(&out, 1000);
        assert_int_equal(json_parse(span_str(texts[i]), NULL, 0, 8, &doc, NULL), ERR_OK);
        json_canonical_format(json_root(doc), &out);
        assert_true(
            span_eq(buf_span(&out), SPAN_LIT("{\"a\":{\"x\":\"A\",\"y\":null},\"b\":[1,2]}")));
        buf_fini(&out);
        json_doc_free(doc);
    }
}

static void what_is_written_is_json_whatever_the_bytes(void **state)
{
    (void)state;
    struct buf out;
    struct json_writer w;
    buf_init(&out, 1000);
    json_writer_init(&w, &out);
    json_write_object(&w, NULL);
    json_write_span(&w, "s", span_of("\"\\\n\x01\xff", 5));
    json_write_double(&w, "d", 0.8741, 3);
    json_write_array(&w, "a");
    json_write_i64(&w, NULL, -5);
    json_write_bool(&w, NULL, true);
    json_write_array_end(&w);
    json_write_object_end(&w);
    assert_true(
        span_eq(buf_span(&out), SPAN_LIT("{\"s\":\"\\\"\\\\\\n\\u0001\xef\xbf\xbd\",\"d\":0.874,"
                                         "\"a\":[-5,true]}")));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_a_place),
        cmocka_unit_test(nodes_know_their_place_and_path),
        cmocka_unit_test(equal_documents_have_one_canonical_form),
        cmocka_unit_test(what_is_written_is_json_whatever_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
