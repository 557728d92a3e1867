/* The first route that takes method and path has the request; spellings of one path are one. */
#include "config-test.h"

static struct config *config;

static int load(void **state)
{
    (void)state;
    config = config_of("{" APP ",\"routes\":["
                       "{\"name\":\"root\",\"match\":\"GET /\"},"
                       "{\"name\":\"courses\",\"match\":\"GET /api/courses\"},"
                       "{\"name\":\"me\",\"match\":\"GET /api/users/me\"},"
                       "{\"name\":\"user\",\"match\":\"GET /api/users/{id}\"},"
                       "{\"name\":\"seat\",\"match\":\"GET,PUT /rooms/{room}/seats/{seat}\"},"
                       "{\"name\":\"files\",\"match\":\"GET /files/*\"},"
                       "{\"name\":\"tree\",\"match\":\"GET /tree/{rest...}\"},"
                       "{\"name\":\"any\",\"match\":\"/any\"},"
                       "{\"name\":\"slash\",\"match\":\"GET /slash/\"},"
                       "{\"name\":\"umlaut\",\"match\":\"GET /pr\\u00fcfung\"},"
                       "{\"name\":\"escaped\",\"match\":\"GET /a%2fb/%63\"},"
                       "{\"name\":\"reserved\",\"match\":\"GET /x:y@z\"},"
                       "{\"name\":\"query\",\"match\":\"QUERY /search\"}]}");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    config_free(config);
    return 0;
}

static void each_request_has_its_route(void **state)
{
    static const struct {
        const char *method, *target, *route;
    } cases[] = {
        {"GET", "/", "root"},
        {"GET", "/?a=1", "root"},
        {"GET", "//", "pass"},
        {"GET", "/api/courses", "courses"},
        {"GET", "/api/courses?semester=1", "courses"},
        {"HEAD", "/api/courses", "courses"},
        {"POST", "/api/courses", "pass"},
        {"get", "/api/courses", "pass"},
        {"GET", "/api/courses/", "pass"},
        {"GET", "/api//courses", "pass"},
        {"GET", "/api/Courses", "pass"},
        {"GET", "/api/course", "pass"},
        {"GET", "/api/coursess", "pass"},
        {"GET", "/api", "pass"},
        {"GET", "/api/%63ourses", "courses"},
        {"GET", "/%61%70%69/c%6Furses", "courses"},
        {"GET", "/api/%63ourse", "pass"},
        {"GET", "/api%2Fcourses", "pass"},
        {"GET", "/api/users/me", "me"},
        {"GET", "/api/users/7", "user"},
        {"GET", "/api/users/", "pass"},
        {"GET", "/api/users/7/x", "pass"},
        {"GET", "/api/users/7%2Fx", "user"},
        {"GET", "/api/users/..", "user"},
        {"PUT", "/rooms/1/seats/2", "seat"},
        {"HEAD", "/rooms/1/seats/2", "seat"},
        {"DELETE", "/rooms/1/seats/2", "pass"},
        {"GET", "/rooms/1/seats", "pass"},
        {"GET", "/files/", "files"},
        {"GET", "/files/a/b/c", "files"},
        {"GET", "/files", "pass"},
        {"GET", "/filesystem", "pass"},
        {"GET", "/tree/a/b", "tree"},
        {"BREW", "/any", "any"},
        {"OPTIONS", "/any", "any"},
        {"OPTIONS", "*", "pass"},
        {"GET", "/slash/", "slash"},
        {"GET", "/slash", "pass"},
        {"GET", "/pr%C3%BCfung", "umlaut"},
        {"GET", "/pr%c3%bcfung", "umlaut"},
        {"GET",
         "/pr\xc3\xbc"
         "fung",
         "umlaut"},
        {"GET", "/pr%FCfung", "pass"},
        {"GET", "/a%2Fb/c", "escaped"},
        {"GET", "/a%2fb/c", "escaped"},
        {"GET", "/a/b/c", "pass"},
        {"GET", "/x:y@z", "reserved"},
        {"QUERY", "/search", "query"},
        {"HEAD", "/search", "pass"},
        {"GET", "http://example.org/api/courses", "courses"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct text_request r;
        request_match(config, &r, cases[i].method, cases[i].target, "");
        if (!span_eq(r.route->name, span_str(cases[i].route)))
            fail_msg("%s %s: " SPAN_FMT ", not %s", cases[i].method, cases[i].target,
                     SPAN_ARG(r.route->name), cases[i].route);
        if (span_eq(r.route->name, SPAN_LIT("pass")))
            assert_int_equal(r.captures.count, 0);
        free(r.text);
    }
}

static void captures_are_raw_and_in_order(void **state)
{
    static const struct {
        const char *target;
        const char *name[2], *value[2];
    } cases[] = {
        {"/api/users/a%2Fb%20c", {"id"}, {"a%2Fb%20c"}},
        {"/rooms/1/seats/22", {"room", "seat"}, {"1", "22"}},
        {"/tree/", {"rest"}, {""}},
        {"/tree/a/b%2Fc/", {"rest"}, {"a/b%2Fc/"}},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct text_request r;
        request_match(config, &r, "GET", cases[i].target, "");
        for (unsigned n = 0; n < 2 && cases[i].name[n]; n++) {
            assert_true(n < r.captures.count);
            assert_true(span_eq(r.captures.name[n], span_str(cases[i].name[n])));
            assert_true(span_eq(r.captures.value[n], span_str(cases[i].value[n])));
        }
        free(r.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_has_its_route),
        cmocka_unit_test(captures_are_raw_and_in_order),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
