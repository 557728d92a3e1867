/* What a key is made of: sources, types, marks, tags, strictness, and what can have no key. */
#include "config-test.h"

#include <larder/http/key.h>

#define FORM "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
#define US "\x1f"

static struct config *config;

static int load(void **state)
{
    (void)state;
    config = config_of(
        "{" APP "," SECRET ",\"routes\":["
        "{\"name\":\"q\",\"match\":\"GET /q\",\"ttl\":\"1h\",\"key\":[\"query.a\",\"query.b\"]},"
        "{\"name\":\"p\",\"match\":\"GET /p/{id}\",\"ttl\":\"1h\",\"key\":[\"path.id\"]},"
        "{\"name\":\"r\",\"match\":\"GET /r/{rest...}\",\"ttl\":\"1h\",\"key\":[\"path.rest\"]},"
        "{\"name\":\"h\",\"match\":\"GET /h\",\"ttl\":\"1h\",\"key\":[\"header.X-Org\","
        "\"cookie.org\",\"auth\"]},"
        "{\"name\":\"j\",\"match\":\"GET,POST,QUERY /j\",\"ttl\":\"1h\",\"key\":[\"json.a.b\","
        "\"/c\"]},"
        "{\"name\":\"f\",\"match\":\"POST /f\",\"ttl\":\"1h\",\"key\":[\"form.u\"]},"
        "{\"name\":\"d\",\"match\":\"GET,POST /d/*\",\"ttl\":\"1h\",\"ignore\":[\"utm_*\",\"_\"],"
        "\"key_host\":true},"
        "{\"name\":\"t\",\"match\":\"GET,POST /t\",\"ttl\":\"1h\",\"key_template\":"
        "\"org:{query.o}:{!json.pw}\"},"
        "{\"name\":\"u\",\"match\":\"GET /u\",\"ttl\":\"1h\",\"key_template\":"
        "\"{query.a}:{query.b}\"},"
        "{\"name\":\"o\",\"match\":\"GET /o\",\"ttl\":\"1h\",\"key_template\":"
        "\"o:{query.a}:x[:b:{query.b}][:{!query.c}]:{query.d}.\"},"
        "{\"name\":\"sq\",\"match\":\"GET /sq\",\"ttl\":\"1h\",\"key\":[\"query.a\"],"
        "\"ignore\":[\"utm_*\"],\"strict\":\"reject\"},"
        "{\"name\":\"sj\",\"match\":\"POST /sj\",\"ttl\":\"1h\",\"key\":[\"json.a.b\"],"
        "\"ignore\":[\"trace\"],\"strict\":true},"
        "{\"name\":\"sf\",\"match\":\"POST /sf\",\"ttl\":\"1h\",\"key\":[\"form.a\"],"
        "\"strict\":\"reject\"},"
        "{\"name\":\"dq\",\"match\":\"GET /dq\",\"ttl\":\"1h\",\"key\":[\"query.a\"],"
        "\"strict\":\"drop\"},"
        "{\"name\":\"dj\",\"match\":\"POST /dj\",\"ttl\":\"1h\",\"key\":[\"json.a\"],"
        "\"strict\":\"drop\"},"
        "{\"name\":\"dd\",\"match\":\"GET /dd\",\"ttl\":\"1h\",\"ignore\":[\"_\"],"
        "\"strict\":\"drop\"},"
        "{\"name\":\"s\",\"match\":\"GET /s\",\"ttl\":\"1h\",\"key\":[{\"param\":\"query.a\","
        "\"secret\":true}]}]}");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    config_free(config);
    return 0;
}

struct tags {
    struct buf text; /* a line each */
};

static void on_tag(void *arg, struct span tag)
{
    struct tags *t = arg;
    buf_add_span(&t->text, tag);
    buf_add_char(&t->text, '\n');
}

struct built {
    char key[8192], tags[8192], why[256];
    enum key_result result;
};

static void build(struct built *b, const char *method, const char *target, const char *fields,
                  const char *body)
{
    struct text_request r;
    struct json_doc *doc = NULL;
    struct tags tags;
    struct buf key;
    const char *why = NULL;
    request_match(config, &r, method, target, fields);
    if (body && json_parse(span_str(body), NULL, 0, 16, &doc, NULL) != ERR_OK)
        doc = NULL;
    struct route_request req = {.head = &r.head,
                                .captures = &r.captures,
                                .body = span_str(body ? body : ""),
                                .body_json = doc ? json_root(doc) : NULL,
                                .secret = config->secret};
    buf_init_fixed(&key, b->key, sizeof(b->key) - 1);
    buf_init_fixed(&tags.text, b->tags, sizeof(b->tags) - 1);
    b->result = route_key_build(r.route, &req, &key, on_tag, &tags, &why);
    b->key[key.len] = b->tags[tags.text.len] = '\0';
    snprintf(b->why, sizeof(b->why), "%s", why ? why : "");
    json_doc_free(doc);
    free(r.text);
}

static void keys_read_as_their_routes_say(void **state)
{
    static const struct {
        const char *method, *target, *fields, *body, *key;
    } cases[] = {
        {"GET", "/q?b=1&a=2&c=3", "", NULL, "q:a=2:b=1"},
        {"GET", "/q", "", NULL, "q:a:b"},
        {"GET", "/q?a=&b", "", NULL, "q:a=:b=?"},
        {"GET", "/q?a=1&a=2,3&a", "", NULL, "q:a=1,2%2C3,?:b"},
        {"GET", "/q?%61=x+y%2Bz", "", NULL, "q:a=x%20y%2Bz:b"},
        {"GET", "/q?a=%zz&b=%25zz", "", NULL, "q:a=!%25zz:b=%25zz"},
        {"GET", "/q?a=%", "", NULL, "q:a=!%25:b"},
        {"GET", "/p/a%2Fb:c", "", NULL, "p:id=a%2Fb%3Ac"},
        {"GET", "/p/a+b", "", NULL, "p:id=a%2Bb"},
        {"GET", "/r/a/b%2fc/%7e", "", NULL, "r:rest=a%2Fb%252Fc%2F~"},
        {"GET", "/r/", "", NULL, "r:rest="},
        {"GET", "/h", "X-Org: 7\r\nx-org: 8\r\nCookie: a=b; org=9\r\n", NULL,
         "h:X-Org=7,8:org=9:auth"},
        {"GET", "/h", "X-Org: 7\r\nConnection: x-org\r\n", NULL, "h:X-Org:org:auth"},
        {"POST", "/j", "", "{\"a\":{\"b\":1},\"c\":\"x\"}", "j:POST:b=1:c=x"},
        {"QUERY", "/j", "", "{\"a\":{\"b\":1},\"c\":\"x\"}", "j:QUERY:b=1:c=x"},
        {"GET", "/j", "", NULL, "j:b:c"},
        {"HEAD", "/j", "", NULL, "j:b:c"},
        {"POST", "/j", "", "{\"a\":1,\"c\":null}", "j:POST:b:c=null"},
        {"POST", "/j", "", "{\"c\":\"null\"}", "j:POST:b:c=%22null%22"},
        {"POST", "/j", "", "{\"c\":\"1e5\"}", "j:POST:b:c=%221e5%22"},
        {"POST", "/j", "", "{\"c\":\"2024-01-01\"}", "j:POST:b:c=2024-01-01"},
        {"POST", "/j", "", "{\"c\":\"21bce123\"}", "j:POST:b:c=21bce123"},
        {"POST", "/j", "", "{\"c\":[\"x\",{\"z\":1,\"y\":2}]}",
         "j:POST:b:c=%5B%22x%22%2C%7B%22y%22%3A2%2C%22z%22%3A1%7D%5D"},
        {"POST", "/f", FORM, "u=a%20b&v=1", "f:u=a%20b"},
        {"GET", "/d/x?utm_id=3&b=1&_=4&a=2", "", NULL, "d:/d/x?:a=2:b=1:@example.org"},
        {"GET", "/t?o=1", "", NULL, "org:1:%-" US "t"},
        {"GET", "/t?o=", "", NULL, "org::%-" US "t"},
        {"POST", "/t?o=1", "", "{}", "org:1:%-" US "t:POST"},
        {"GET", "/o?a=1&b=2&d=4", "", NULL, "o:1:x:b:2:4." US "o:[10"},
        {"GET", "/o?a=1&d=4", "", NULL, "o:1:x:4." US "o:[00"},
        {"GET", "/o?a=1&b=&d=4", "", NULL, "o:1:x:b::4." US "o:[10"},
        {"GET", "/o?d=4", "", NULL, "o:%-:x:4." US "o:[00"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct built b;
        build(&b, cases[i].method, cases[i].target, cases[i].fields, cases[i].body);
        if (b.result != KEY_OK || strcmp(b.key, cases[i].key) != 0)
            fail_msg("%s %s: %d %s, not %s", cases[i].method, cases[i].target, b.result, b.key,
                     cases[i].key);
    }
}

static void bodies_that_cannot_be_read_have_no_key(void **state)
{
    static const struct {
        const char *target, *fields, *body;
    } cases[] = {
        {"/j", "", "a=1"},
        {"/j", "", ""},
        {"/j", "", "{\"c\":1,\"c\":2}"},
        {"/d/x", "", "not json"},
        {"/f", "", "u=1"},
        {"/f", "Content-Type: application/json\r\n", "{\"u\":1}"},
        {"/f", "Content-Type: multipart/form-data; boundary=x\r\n", "--x"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct built b;
        build(&b, "POST", cases[i].target, cases[i].fields, cases[i].body);
        if (b.result != KEY_BYPASS)
            fail_msg("%s %s: %d %s", cases[i].target, cases[i].body, b.result, b.key);
    }
}

static void keys_that_do_not_fit_are_no_keys(void **state)
{
    char target[6000] = "/q?a=";
    struct built b;
    (void)state;
    memset(target + 5, 'x', sizeof(target) - 6);
    target[sizeof(target) - 1] = '\0';
    build(&b, "GET", target, "", NULL);
    assert_int_equal(b.result, KEY_BYPASS);
}

static void strict_routes_name_what_they_do_not_know(void **state)
{
    static const struct {
        const char *method, *target, *fields, *body, *why; /* NULL: there is a key */
    } cases[] = {
        {"GET", "/sq?a=1&utm_id=2", "", NULL, NULL},
        {"GET", "/sq?a=1&b=2", "", NULL, "the parameter \"b\""},
        {"GET", "/sq?%62=2", "", NULL, "the parameter \"b\""},
        {"GET", "/sq?utm_id=1;b=2", "", NULL, "the parameter \"utm_id\""},
        {"GET", "/sq?%22%0a", "", NULL, "the parameter \"%22%0A\""},
        {"POST", "/sj", "", "{\"a\":{\"b\":1,\"x\":2},\"trace\":1}", NULL},
        {"POST", "/sj", "", "{\"a\":{\"b\":1},\"x\":2}", "the member \"x\""},
        {"POST", "/sj?q=1", "", "{\"a\":{\"b\":1}}", "the parameter \"q\""},
        {"POST", "/sf", FORM, "a=1", NULL},
        {"POST", "/sf", FORM, "a=1&b=2", "the form field \"b\""},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct built b;
        build(&b, cases[i].method, cases[i].target, cases[i].fields, cases[i].body);
        enum key_result right = cases[i].why ? KEY_REJECT : KEY_OK;
        if (b.result != right || (cases[i].why && !strstr(b.why, cases[i].why)))
            fail_msg("%s %s: %d %s", cases[i].target, cases[i].body, b.result, b.why);
    }
}

static void what_a_body_cannot_drop_is_not_cached(void **state)
{
    struct built b;
    (void)state;
    build(&b, "POST", "/dj", "", "{\"a\":1}");
    assert_int_equal(b.result, KEY_OK);
    build(&b, "POST", "/dj", "", "{\"a\":1,\"x\":2}");
    assert_int_equal(b.result, KEY_BYPASS);
}

static void dropping_keeps_the_bytes_of_what_is_known(void **state)
{
    static const char *const cases[][3] = {
        {"/dq", "x=1&a=%41+b&y&a=2&a", "a=%41+b&a=2&a"},
        {"/dq", "%61=1&b=2", "%61=1"},
        {"/dq", "b=2", ""},
        {"/dq", "", ""},
        {"/dd", "x=1&_=2&y=3", "x=1&y=3"},
        {"/dd", "_=1;x=2", "_=1;x=2"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct text_request r;
        struct buf out;
        char block[256];
        buf_init_fixed(&out, block, sizeof(block));
        request_match(config, &r, "GET", cases[i][0], "");
        route_query_keep(r.route, span_str(cases[i][1]), &out);
        if (!span_eq(buf_span(&out), span_str(cases[i][2])))
            fail_msg("%s: " SPAN_FMT, cases[i][1], SPAN_ARG(buf_span(&out)));
        free(r.text);
    }
}

static void each_value_has_a_tag(void **state)
{
    struct built b;
    (void)state;
    build(&b, "GET", "/q?a=1&a=x%20y", "", NULL);
    assert_string_equal(b.tags, "*\nroute:q\nq|a=1\nq|a=x%20y\n");
    build(&b, "POST", "/j", "", "{\"a\":{\"b\":\"1\"},\"c\":1}");
    assert_string_equal(b.tags, "*\nroute:j\nj|b=1\nj|c=1\n");
}

static void tags_are_what_an_invalidation_writes(void **state)
{
    static const char *const values[] = {"1", "x y", "", "a:b", "%zz"};
    (void)state;
    for (size_t i = 0; i < 2 * array_len(values); i++) {
        const char *value = values[i / 2], *name = i % 2 ? "/s" : "/q";
        struct text_request r;
        struct built b;
        struct buf tag, target;
        char tag_block[256], target_block[256];
        buf_init_fixed(&target, target_block, sizeof(target_block) - 1);
        buf_add_fmt(&target, "%s?a=", name);
        key_add_value(&target, span_str(value));
        target.p[target.len] = '\0';
        build(&b, "GET", target.p, "", NULL);
        request_match(config, &r, "GET", target.p, "");
        buf_init_fixed(&tag, tag_block, sizeof(tag_block) - 1);
        route_param_tag_format(r.route, route_param(r.route, SPAN_LIT("a")), config->secret,
                               span_str(value), &tag);
        tag.p[tag.len] = '\0';
        assert_non_null(strstr(b.tags, tag.p));
        free(r.text);
    }
}

static void secrets_are_nowhere_in_clear(void **state)
{
    struct built b;
    (void)state;
    build(&b, "GET", "/s?a=hunter2&a=hunter3", "", NULL);
    assert_null(strstr(b.key, "hunter"));
    assert_null(strstr(b.tags, "hunter"));
    build(&b, "GET", "/h", "Authorization: Bearer hunter2\r\n", NULL);
    assert_null(strstr(b.key, "hunter"));
    assert_null(strstr(b.tags, "hunter"));
    build(&b, "POST", "/t?o=1", "", "{\"pw\":\"hunter2\"}");
    assert_null(strstr(b.key, "hunter"));
    assert_null(strstr(b.tags, "hunter"));
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

/* A few values that are easily taken for each other: a request's, as JSON and in a query. */
static const struct {
    const char *json, *query;
} hard[] = {
    {"1", "1"},           {"\"1\"", "%31,"},
    {"1.0", "1.0"},       {"true", "true"},
    {"\"true\"", "a:b"},  {"null", ""},
    {"\"null\"", "%2D"},  {"\"\"", "%25-"},
    {"[]", "a%1fb"},      {"\"[]\"", "%5B%5D"},
    {"{}", "?"},          {"\"{}\"", "!"},
    {"[\"a\"]", ","},     {"\"\\\"1\\\"\"", "%22"},
    {"\"%221%22\"", "%"}, {"\"a:b\"", "a%3Ab%3A"},
    {"\"%-\"", "%2525-"}, {"\"-1\"", "hmac-"},
    {"-1", "%-"},         {"1e0", "1,,"},
};

static void random_pairs_of_hard_values_never_meet(void **state)
{
    unsigned seed = 11;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct built json[2], list[2], template[2];
        unsigned v[2][2];
        for (int n = 0; n < 2; n++) {
            char body[128], target[128];
            v[n][0] = next_random(&seed) % array_len(hard);
            v[n][1] = next_random(&seed) % array_len(hard);
            snprintf(body, sizeof(body),
                     next_random(&seed) % 2 ? "{\"a\":{\"b\":%s},\"c\":%s}"
                                            : "{ \"x\":0, \"a\" : {\"b\": %s}, \"c\": %s }",
                     hard[v[n][0]].json, hard[v[n][1]].json);
            build(&json[n], "POST", "/j", "", body);
            snprintf(target, sizeof(target), "/q?a=%s&b=%s", hard[v[n][0]].query,
                     hard[v[n][1]].query);
            build(&list[n], "GET", target, "", NULL);
            snprintf(target, sizeof(target), "/u?b=%s&a=%s", hard[v[n][1]].query,
                     hard[v[n][0]].query);
            build(&template[n], "GET", target, "", NULL);
            assert_true(json[n].result == KEY_OK && list[n].result == KEY_OK &&
                        template[n].result == KEY_OK);
        }
        bool is_same = v[0][0] == v[1][0] && v[0][1] == v[1][1];
        assert_int_equal(strcmp(json[0].key, json[1].key) == 0, is_same);
        assert_int_equal(strcmp(list[0].key, list[1].key) == 0, is_same);
        assert_int_equal(strcmp(template[0].key, template[1].key) == 0, is_same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_read_as_their_routes_say),
        cmocka_unit_test(bodies_that_cannot_be_read_have_no_key),
        cmocka_unit_test(keys_that_do_not_fit_are_no_keys),
        cmocka_unit_test(strict_routes_name_what_they_do_not_know),
        cmocka_unit_test(what_a_body_cannot_drop_is_not_cached),
        cmocka_unit_test(dropping_keeps_the_bytes_of_what_is_known),
        cmocka_unit_test(each_value_has_a_tag),
        cmocka_unit_test(tags_are_what_an_invalidation_writes),
        cmocka_unit_test(secrets_are_nowhere_in_clear),
        cmocka_unit_test(random_pairs_of_hard_values_never_meet),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
