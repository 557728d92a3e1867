/* Values picked out of JSON as it streams by, however its pieces are cut. */
#include "../unit-test.h"

#include <larder/base/json_scan.h>
#include <larder/base/macros.h>

#include <stdio.h>

struct seen {
    struct buf text; /* "0=a;1=[2];" */
};

static void on_value(void *arg, unsigned pattern, const struct json_value *v)
{
    struct seen *s = arg;
    buf_add_fmt(&s->text, "%u=", pattern);
    if (v->type == JSON_ARRAY || v->type == JSON_OBJECT)
        buf_add_fmt(&s->text, v->type == JSON_ARRAY ? "[%zu]" : "{%zu}", v->count);
    else if (v->type == JSON_STRING || v->type == JSON_NUMBER)
        buf_add_span(&s->text, v->text);
    else
        buf_add_str(&s->text, v->type == JSON_NULL   ? "null"
                              : v->type == JSON_TRUE ? "true"
                                                     : "false");
    buf_add_char(&s->text, ';');
}

/* Feeds <text> in two pieces, cut at <cut>. */
static enum err_code scan(const struct span *patterns, unsigned count, struct span text, size_t cut,
                          struct buf *out)
{
    struct seen s;
    buf_init(&s.text, 65536);
    struct json_scan *scan = json_scan_new(patterns, count, 16, on_value, &s);
    assert_non_null(scan);
    enum err_code rc = json_scan_feed(scan, span_of(text.p, cut));
    if (!rc)
        rc = json_scan_feed(scan, span_of(text.p + cut, text.len - cut));
    if (!rc)
        rc = json_scan_end(scan);
    buf_add_span(out, buf_span(&s.text));
    buf_fini(&s.text);
    json_scan_free(scan);
    return rc;
}

static void values_are_found_wherever_the_text_is_cut(void **state)
{
    static const struct {
        const char *patterns[3], *text, *seen;
    } cases[] = {
        {{"/success"}, "{\"success\":true,\"a\":{\"success\":false}}", "0=true;"},
        {{"/rooms/*/id"}, "{\"rooms\":[{\"id\":17},{\"id\":\"b\"},{\"x\":1}]}", "0=17;0=b;"},
        {{"/rooms/*/id"}, "{\"rooms\":{\"a\":{\"id\":1},\"b\":{\"id\":2}}}", "0=1;0=2;"},
        {{"", "/a", "/a/0"}, "{\"a\":[null,2]}", "2=null;1=[2];0={1};"},
        {{"/*"}, "[1,[2],{}]", "0=1;0=[1];0={0};"},
        {{"/errors", "/errors/*"}, "{\"errors\":[\"x\"]}", "1=x;0=[1];"},
        {{"/a~1b", "/m~0n"}, "{\"a/b\":1,\"m~n\":2}", "0=1;1=2;"},
        {{"/1/x"}, "[{\"x\":1},{\"x\":2}]", "0=2;"},
        {{"/a"}, "{\"a\":1,\"a\":2}", "0=1;0=2;"},
        {{"/\xc3\xbc"},
         "{\"\xc3\xbc\":\"\\u00e9\xf0\x9f\x98\x80\"}",
         "0=\xc3\xa9\xf0\x9f\x98\x80;"},
        {{"/a"}, "{\"a\":-1.50e+3}", "0=-1.50e+3;"},
        {{"/"}, "{\"\":7}", "0=7;"},
        {{""}, "\"word\"", "0=word;"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct span patterns[3];
        unsigned count = 0;
        while (count < 3 && cases[i].patterns[count]) {
            patterns[count] = span_str(cases[i].patterns[count]);
            count++;
        }
        struct span text = span_str(cases[i].text);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct buf out;
            buf_init(&out, 65536);
            assert_int_equal(scan(patterns, count, text, cut, &out), ERR_OK);
            if (!span_eq(buf_span(&out), span_str(cases[i].seen)))
                fail_msg("%s cut at %zu: %.*s", cases[i].text, cut, (int)out.len, out.p);
            buf_fini(&out);
        }
    }
}

static void what_is_no_json_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "{\"a\":}",
        "[1,]",
        "{} {}",
        "{\"a\":1}x",
        "nul",
        "\"a",
        "{\"a\" 1}",
        "[1 2]",
        "\v[1]",
        "[1\f]",
        "[\"\xff\"]",
        "[\"\xed\xa0\x80\"]",
        "{\"\xc0\x80\":1}",
        "01",
        "<html>",
        "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", /* 17 deep */
    };
    struct span none = SPAN_LIT("/x");
    (void)state;
    for (size_t i = 0; i < array_len(bad); i++) {
        struct span text = span_str(bad[i]);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct buf out;
            buf_init(&out, 65536);
            if (scan(&none, 1, text, cut, &out) != ERR_SYNTAX)
                fail_msg("\"%s\" cut at %zu was taken", bad[i], cut);
            buf_fini(&out);
        }
    }
}

static void a_scan_that_has_failed_stays_so(void **state)
{
    struct seen s;
    struct span pattern = SPAN_LIT("/a");
    (void)state;
    buf_init(&s.text, 100);
    struct json_scan *scan = json_scan_new(&pattern, 1, 16, on_value, &s);
    assert_int_equal(json_scan_feed(scan, SPAN_LIT("{]")), ERR_SYNTAX);
    assert_int_equal(json_scan_feed(scan, SPAN_LIT("{\"a\":1}")), ERR_SYNTAX);
    assert_int_equal(json_scan_end(scan), ERR_SYNTAX);
    json_scan_free(scan);
    buf_fini(&s.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_wherever_the_text_is_cut),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(a_scan_that_has_failed_stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
