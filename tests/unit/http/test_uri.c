/* test_uri.c: canonical paths, queries and escapes (RFC 3986, WHATWG form-urlencoded). */
#include <larder/http/uri.h>

#include "http-test.h"

static void assert_canonical(const char *path, const char *want)
{
    struct buf out;
    char room[256], *block = block_of(path, strlen(path));
    buf_init_fixed(&out, room, sizeof(room));
    uri_path_canonical(span_of(block, strlen(path)), &out);
    assert_false(out.failed);
    assert_span(buf_span(&out), want);
    free(block);
}

static void equal_paths_have_one_form(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"/", "/"},
        {"/a/b.c_d~e-f", "/a/b.c_d~e-f"},
        {"/%61%2e%5F%7e%2D%30", "/a._~-0"},
        {"/a%2fb", "/a%2Fb"},
        {"/a%2Fb", "/a%2Fb"},
        {"/%c3%a9", "/%C3%A9"},
        {"/\xc3\xa9", "/%C3%A9"},
        {"/a;b=c,d:e@f!$&'()*+", "/a;b=c,d:e@f!$&'()*+"},
        {"/%3b%21", "/%3B%21"}, /* reserved: not the same as raw */
        {"/[x]{|}\"<>^`", "/%5Bx%5D%7B%7C%7D%22%3C%3E%5E%60"},
        {"/a\\b%5cc", "/a\\b%5Cc"},
        {"/%2E%2E/./..", "/.././.."}, /* dot segments are not ours to remove */
        {"//a//", "//a//"},
        {"/+%20", "/+%20"},
        {"/%00", "/%00"},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_canonical(cases[i][0], cases[i][1]);
}

static void broken_escapes_stay_and_never_become_whole(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/%", "/%"},         {"/%4", "/%4"},       {"/%zz", "/%zz"},     {"/%4z", "/%4z"},
        {"/%%41", "/%%41"},   {"/%%411", "/%%411"}, {"/%A%31", "/%A%31"}, {"/%A%31%31", "/%A%311"},
        {"/%zz%41", "/%zzA"}, {"/%4%31", "/%4%31"}, {"/%\xc3", "/%%C3"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        assert_canonical(cases[i][0], cases[i][1]);
        assert_canonical(cases[i][1], cases[i][1]); /* canonical is canonical already */
    }
}

/* Of all short texts over '%', two hex digits and a letter: where the forms are equal, the texts
 * as apps decode them, whole escapes only, are equal too. */
static void equal_forms_mean_equal_paths(void **state)
{
    (void)state;
    enum { COUNT = 4 * 4 * 4 * 4 * 4 * 4 };
    static char form[COUNT][24], decoded[COUNT][8];
    for (unsigned n = 0; n < COUNT; n++) {
        char text[6];
        for (unsigned i = 0, rest = n; i < sizeof(text); i++, rest /= 4)
            text[i] = "%41z"[rest % 4];
        struct buf out;
        buf_init_fixed(&out, form[n], sizeof(form[n]) - 1);
        uri_path_canonical(span_of(text, sizeof(text)), &out);
        form[n][out.len] = '\0';
        buf_init_fixed(&out, decoded[n], sizeof(decoded[n]) - 1);
        uri_decode(span_of(text, sizeof(text)), false, &out);
        decoded[n][out.len] = '\0';
    }
    for (unsigned a = 0; a < COUNT; a++) {
        for (unsigned b = 0; b < a; b++) {
            if (strcmp(form[a], form[b]) == 0 && strcmp(decoded[a], decoded[b]) != 0)
                fail_msg("%s and %s share %s", decoded[a], decoded[b], form[a]);
        }
    }
}

static void queries_are_taken_pair_by_pair(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value; /* NULL: none */
    } pairs[] = {{"a", "1"}, {"b", NULL}, {"c", ""}, {"", "d"}, {"e", "f=g?h;i"}, {"j%20+", "%"}};
    struct span name, value, rest = SPAN_LIT("&a=1&b&&c=&=d&e=f=g?h;i&j%20+=%&");
    for (size_t i = 0; i < array_len(pairs); i++) {
        assert_true(uri_query_next(&rest, &name, &value));
        assert_span(name, pairs[i].name);
        assert_int_equal(value.p != NULL, pairs[i].value != NULL);
        assert_span(value, pairs[i].value ? pairs[i].value : "");
    }
    assert_false(uri_query_next(&rest, &name, &value));
    rest = span_of(NULL, 0);
    assert_false(uri_query_next(&rest, &name, &value));
}

static void escapes_are_decoded_and_broken_ones_kept(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool plus_is_space;
        const char *want;
    } cases[] = {
        {"", true, ""},
        {"a+b%20c", true, "a b c"},
        {"a+b%20c", false, "a+b c"},
        {"%2b%2B", true, "++"},
        {"%", true, "%"},
        {"%4", true, "%4"},
        {"%g1%1g", true, "%g1%1g"},
        {"%%41", true, "%A"},
        {"%ff", false, "\xff"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf out;
        char room[64], *block = block_of(cases[i].text, strlen(cases[i].text));
        buf_init_fixed(&out, room, sizeof(room));
        uri_decode(span_of(block, strlen(cases[i].text)), cases[i].plus_is_space, &out);
        assert_span(buf_span(&out), cases[i].want);
        free(block);
    }
}

static void a_url_is_split_behind_its_scheme(void **state)
{
    (void)state;
    static const struct {
        const char *url, *authority, *target; /* authority NULL: it is none */
        bool is_https;
    } cases[] = {
        {"http://a.test/b?c", "a.test", "/b?c", false},
        {"https://a.test:8443/", "a.test:8443", "/", true},
        {"https://a.test", "a.test", "/", true},
        {"http://", "", "/", false},
        {"http:///b", "", "/b", false},
        {"/b", NULL, NULL, false},
        {"ftp://a/b", NULL, NULL, false},
        {"", NULL, NULL, false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct span authority = SPAN_LIT("before"), target = SPAN_LIT("before");
        bool is_https, is_split = uri_split(span_str(cases[i].url), &is_https, &authority, &target);
        if (is_split != (cases[i].authority != NULL) || is_https != cases[i].is_https)
            fail_msg("%s", cases[i].url);
        assert_span(authority, is_split ? cases[i].authority : "before");
        assert_span(target, is_split ? cases[i].target : "before");
    }
}

/* RFC 3986 section 5.4, as far as paths go. */
static void references_are_resolved_by_the_present_path(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"g", "/b/c/g"},      {"./g", "/b/c/g"},     {"g/", "/b/c/g/"},    {"/g", "/g"},
        {".", "/b/c/"},       {"./", "/b/c/"},       {"..", "/b/"},        {"../", "/b/"},
        {"../g", "/b/g"},     {"../..", "/"},        {"../../g", "/g"},    {"../../../g", "/g"},
        {"/./g", "/g"},       {"/../g", "/g"},       {"g.", "/b/c/g."},    {"..g", "/b/c/..g"},
        {"./g/.", "/b/c/g/"}, {"g/./h", "/b/c/g/h"}, {"g/../h", "/b/c/h"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        char block[64];
        struct buf out;
        buf_init_fixed(&out, block, sizeof(block));
        uri_path_resolve(SPAN_LIT("/b/c/d"), span_str(cases[i][0]), &out);
        assert_span(buf_span(&out), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_paths_have_one_form),
        cmocka_unit_test(broken_escapes_stay_and_never_become_whole),
        cmocka_unit_test(equal_forms_mean_equal_paths),
        cmocka_unit_test(queries_are_taken_pair_by_pair),
        cmocka_unit_test(escapes_are_decoded_and_broken_ones_kept),
        cmocka_unit_test(a_url_is_split_behind_its_scheme),
        cmocka_unit_test(references_are_resolved_by_the_present_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
