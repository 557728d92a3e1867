/* test_vary.c: RFC 9111 section 4.1: which requests an answer may serve. */
#include <larder/http/vary.h>

#include "http-test.h"

static bool names_of(const struct head *response, struct buf *out)
{
    cleanup(text_head_fini) struct text_head request;
    request_with(&request, "");
    struct vary_case c = {.request = &request.head, .response = response, .is_cors = true};
    return vary_names(&c, out);
}

static void names_are_one_sorted_list(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *want; /* NULL: as `*` */
    } cases[] = {
        {"", ""},
        {"Vary:\r\n", ""},
        {"Vary: Cookie, accept ,COOKIE,, Accept-Language\r\n", "accept,accept-language,cookie"},
        {"Vary: b\r\nX: y\r\nvary: A\r\n", "a,b"},
        {"Vary: *\r\n", NULL},
        {"Vary: a, *\r\n", NULL},
        {"Vary: a\r\nVary: *\r\n", NULL},
        {"Vary: a b\r\n", NULL},
        {"Vary: \"a\"\r\n", NULL},
        {"Content-Encoding: gzip\r\n", "accept-encoding"},
        {"Content-Encoding:\r\n", ""},
        {"Vary: Origin, Accept-Encoding\r\nContent-Encoding: br\r\n", "accept-encoding,origin"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head t;
        struct buf out;
        char room[256];
        response_with(&t, 200, cases[i].fields);
        buf_init_fixed(&out, room, sizeof(room));
        if (names_of(&t.head, &out) != (cases[i].want != NULL))
            fail_msg("case %zu: %s", i, cases[i].fields);
        if (cases[i].want)
            assert_span(buf_span(&out), cases[i].want);
    }
}

static void a_list_of_too_many_names_is_as_good_as_a_star(void **state)
{
    (void)state;
    for (unsigned count = 32; count <= 33; count++) {
        cleanup(text_head_fini) struct text_head t;
        struct buf out;
        char room[1024], fields[1024] = "Vary: x-0";
        for (unsigned i = 1; i < count; i++)
            snprintf(fields + strlen(fields), 16, ",x-%u", i);
        strcat(fields, ",x-0\r\n");
        response_with(&t, 200, fields);
        buf_init_fixed(&out, room, sizeof(room));
        assert_int_equal(names_of(&t.head, &out), count == 32);
    }
}

static void assert_key(const char *fields, const char *names, const char *want)
{
    cleanup(text_head_fini) struct text_head t;
    struct buf out;
    char room[512];
    request_with(&t, fields);
    buf_init_fixed(&out, room, sizeof(room));
    vary_key(&t.head, span_str(names), &(struct vary_rules){.language = {NULL, 0}}, &out);
    assert_false(out.failed);
    assert_span(buf_span(&out), want);
}

static void values_are_normalised_as_lists(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *names, *want;
    } cases[] = {
        {"A: b\r\n", "", ""},
        {"", "a", "|a"},
        {"A:\r\n", "a", "|a="},
        {"A: b\r\n", "a", "|a=b"},
        {"A: b,c\r\n", "a", "|a=b,c"},
        {"a:  b ,\tc,\r\nX: y\r\nA: d\r\n", "a", "|a=b,c,d"},
        {"A: c, b\r\n", "a", "|a=c,b"},
        {"A: \"b, c\"\r\n", "a", "|a=%22b%2C%20c%22"},
        {"A: b|c=d\r\n", "a", "|a=b%7Cc%3Dd"},
        {"C: 1\r\nA: 2\r\n", "a,b,c", "|a=2|b|c=1"},
        {"", "a|b", "|a%7Cb"},
        {"", "host", "|host=h"},
        {"Cookie: a=1, b; c\r\n", "cookie", "|cookie=a%3D1%2C%20b%3B%20c"},
        {"Authorization: X a,b\r\n", "authorization", "|authorization=X%20a%2Cb"},
        /* does not go upstream: an app answers as if it were absent */
        {"A: b\r\nConnection: a\r\n", "a", "|a"},
        {"TE: trailers\r\n", "te", "|te"},
    };
    for (size_t i = 0; i < array_len(cases); i++)
        assert_key(cases[i].fields, cases[i].names, cases[i].want);
}

static void accept_encoding_is_a_set(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *want; /* behind "|accept-encoding" */
    } cases[] = {
        {"", ""},
        {"Accept-Encoding:\r\n", "=identity"},
        {"Accept-Encoding: gzip\r\n", "=gzip,identity"},
        {"Accept-Encoding: x-gzip\r\n", "=gzip,identity"},
        {"Accept-Encoding: zstd, GZIP ,br\r\n", "=br,gzip,identity,zstd"},
        {"Accept-Encoding: br;q=0.5, gzip; q=1.0, zstd;Q=0.001\r\n", "=br,gzip,identity,zstd"},
        {"Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n", "=br,gzip,identity"},
        {"Accept-Encoding: gzip;q=0, br\r\n", "=br,identity"},
        {"Accept-Encoding: gzip;q=0.000, br\r\n", "=br,identity"},
        {"Accept-Encoding: gzip, identity;q=0\r\n", "=gzip"},
        {"Accept-Encoding: identity;q=0\r\n", "="},
        /* what is not understood counts as it is */
        {"Accept-Encoding: gzip, deflate, br\r\n", "=!deflate,br,gzip,identity"},
        {"Accept-Encoding: *\r\n", "=!%2A,identity"},
        {"Accept-Encoding: gzip;q=0, gzip\r\n", "=!gzip,identity"},
        {"Accept-Encoding: gzip;q=2\r\n", "=!gzip%3Bq%3D2,identity"},
        {"Accept-Encoding: gzip;q=1.1\r\n", "=!gzip%3Bq%3D1.1,identity"},
        {"Accept-Encoding: gzip;q=0.0000\r\n", "=!gzip%3Bq%3D0.0000,identity"},
        {"Accept-Encoding: gzip;q=\r\n", "=!gzip%3Bq%3D,identity"},
        {"Accept-Encoding: gzip;x=1\r\n", "=!gzip%3Bx%3D1,identity"},
        {"Accept-Encoding: gzip;q=0;x\r\n", "=!gzip%3Bq%3D0%3Bx,identity"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        char want[128];
        snprintf(want, sizeof(want), "|accept-encoding%s", cases[i].want);
        assert_key(cases[i].fields, "accept-encoding", want);
    }
}

static void origins_are_told_apart_where_the_answer_may_depend_on_them(void **state)
{
    (void)state;
    static const struct {
        const char *request, *response, *want;
        bool is_cors;
    } cases[] = {
        {"", "", "", true},
        {"Origin: http://a\r\n", "", "origin", true}, /* another origin may be allowed */
        {"Origin: http://a\r\n", "Access-Control-Allow-Origin: *\r\n", "", true},
        {"Origin: http://a\r\n", "Access-Control-Allow-Origin: http://a\r\n", "origin", true},
        {"", "Access-Control-Allow-Origin: http://a\r\n", "origin", true},
        {"Origin: http://a\r\n", "Vary: origin, A\r\n", "a,origin", true},
        {"Origin: http://a\r\n", "Access-Control-Allow-Origin: http://a\r\n", "", false},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        cleanup(text_head_fini) struct text_head request, response;
        char block[256];
        struct buf out;
        request_with(&request, cases[i].request);
        response_with(&response, 200, cases[i].response);
        buf_init_fixed(&out, block, sizeof(block));
        struct vary_case c = {&request.head,    &response.head, {NULL, 0},
                              cases[i].is_cors, false,          false};
        assert_true(vary_names(&c, &out));
        assert_span(buf_span(&out), cases[i].want);
    }
}

static void names_that_are_known_stay(void **state)
{
    (void)state;
    cleanup(text_head_fini) struct text_head request, response;
    char block[256];
    struct buf out;
    request_with(&request, "");
    response_with(&response, 200, "Vary: B, Accept\r\n");
    buf_init_fixed(&out, block, sizeof(block));
    struct vary_case c = {&request.head, &response.head, SPAN_LIT("a,b,origin"),
                          true,          false,          false};
    assert_true(vary_names(&c, &out));
    assert_span(buf_span(&out), "a,accept,b,origin");
}

/* RFC 9110 section 12.5.4: case and white space say nothing; order does, where weights are equal.
 */
static void accept_language_is_read_without_case_and_space(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *want; /* behind "|accept-language" */
    } cases[] = {
        {"", ""},
        {"Accept-Language:\r\n", "="},
        {"Accept-Language: en\r\n", "=en"},
        {"Accept-Language: EN\r\n", "=en"},
        {"Accept-Language: de-AT, EN-gb\r\n", "=de-at,en-gb"},
        {"Accept-Language: en-gb,de-at\r\n", "=en-gb,de-at"},
        {"Accept-Language: en;q=0.5\r\n", "=en%3Bq%3D0.5"},
        {"Accept-Language: en ; Q=0.5\r\n", "=en%3Bq%3D0.5"},
        {"Accept-Language: en;\tq = 0.5 ,, *;q=0\r\n", "=en%3Bq%3D0.5,%2A%3Bq%3D0"},
        {"Accept-Language: en\r\nX: y\r\naccept-language: DE\r\n", "=en,de"},
        /* what is not understood stays apart: weights are not numbers here */
        {"Accept-Language: en;q=0.50\r\n", "=en%3Bq%3D0.50"},
        /* 64 bytes without the spaces are folded, more are taken as they came */
        {"Accept-Language: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\r\n",
         "=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},
        {"Accept-Language: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBC\r\n",
         "=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%20BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBC"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        char want[256];
        snprintf(want, sizeof(want), "|accept-language%s", cases[i].want);
        assert_key(cases[i].fields, "accept-language", want);
    }
    assert_key("Accept: EN\r\nX-Language: EN ;q=1\r\n", "accept,x-language",
               "|accept=EN|x-language=EN%20%3Bq%3D1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_one_sorted_list),
        cmocka_unit_test(origins_are_told_apart_where_the_answer_may_depend_on_them),
        cmocka_unit_test(names_that_are_known_stay),
        cmocka_unit_test(a_list_of_too_many_names_is_as_good_as_a_star),
        cmocka_unit_test(values_are_normalised_as_lists),
        cmocka_unit_test(accept_encoding_is_a_set),
        cmocka_unit_test(accept_language_is_read_without_case_and_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
