/* Keys: two requests that differ in a keyed parameter never share one; those that differ only in
 * order, in the escapes of unreserved characters or in ignored parameters always do. */
#include "../unit-test.h"

#include <larder/config/config.h>

#include <stdio.h>
#include <stdlib.h>

static struct config *config;

static int load(void **state)
{
    static const char text[] =
        "{\"upstreams\":{\"app\":{\"server\":\"127.0.0.1:8000\"}},\"secret\":\"0123456789abcdef\","
        "\"routes\":["
        "{\"name\":\"list\",\"match\":\"GET "
        "/list\",\"ttl\":\"1h\",\"key\":[\"query.a\",\"query.b\"]},"
        "{\"name\":\"all\",\"match\":\"GET /all/*\",\"ttl\":\"1h\",\"ignore\":[\"utm_*\"]},"
        "{\"name\":\"item\",\"match\":\"GET /item/{id}\",\"ttl\":\"1h\",\"key\":[\"path.id\","
        "\"header.X-Org\",\"cookie.sid\"]},"
        "{\"name\":\"post\",\"match\":\"POST /post\",\"ttl\":\"1h\",\"key\":[\"json.user.name\","
        "{\"param\":\"json.password\",\"secret\":true}]},"
        "{\"name\":\"body\",\"match\":\"POST /body\",\"ttl\":\"1h\"},"
        "{\"name\":\"tpl\",\"match\":\"GET /tpl\",\"ttl\":\"1h\",\"key_template\":"
        "\"{query.m}:{query.c}\"},"
        "{\"name\":\"opt\",\"match\":\"GET /opt\",\"ttl\":\"1h\",\"key_template\":"
        "\"a:{query.a}[:s:{query.b}][:s:{query.c}]:s:{query.d}\"}]}";
    struct err errs[4];
    unsigned count;
    (void)state;
    if (config_parse(SPAN_LIT(text), "f", &config, errs, 4, &count) != ERR_OK)
        fail_msg("%s: %s", errs[0].where, errs[0].what);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    config_free(config);
    return 0;
}

static void on_tag(void *arg, struct span tag)
{
    (void)arg;
    (void)tag;
}

/* The key of a request, as a text of the caller's. */
static enum key_result key_of(const char *head, const char *body, char *out, size_t size)
{
    struct head h;
    struct route_captures captures;
    struct json_doc *doc = NULL;
    const char *why;
    assert_int_equal(head_parse_request(head, strlen(head), 65536, &h), HEAD_OK);
    const struct route *r = route_match(config->routes, config->route_count, &h, &captures);
    if (body)
        (void)!json_parse(span_str(body), NULL, 0, 8, &doc, NULL);
    struct route_request req = {.head = &h,
                                .captures = &captures,
                                .body = span_str(body),
                                .body_json = doc ? json_root(doc) : NULL,
                                .secret = config->secret};
    struct buf key;
    buf_init_fixed(&key, out, size - 1);
    enum key_result rc = route_key_build(r, &req, &key, on_tag, NULL, &why);
    out[key.len] = '\0';
    json_doc_free(doc);
    return rc;
}

static void get(const char *target, char *out, size_t size)
{
    char head[8192];
    snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
    assert_int_equal(key_of(head, NULL, out, size), KEY_OK);
}

static void readable_keys_are_as_the_legacy_systems_have_them(void **state)
{
    char key[4096];
    (void)state;
    get("/list?b=1&a=123", key, sizeof(key));
    assert_string_equal(key, "list:a=123:b=1");
    get("/tpl?m=OECD&c=USA", key, sizeof(key));
    assert_string_equal(key, "OECD:USA\x1ftpl");
}

static void these_pairs_are_one_key(void **state)
{
    static const char *const pairs[][2] = {
        {"/list?a=1&b=2", "/list?b=2&a=1"},
        {"/list?a=a-b", "/list?a=%61%2Db"},
        {"/list?a=x+y", "/list?a=x%20y"},
        {"/list?a=1", "/list?a=1&other=2"},
        {"/all/x?q=1&utm_source=a", "/all/x?utm_id=2&q=1"},
        {"/all/%7Ex?b=1&a=2", "/all/~x?a=2&b=1"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(pairs); i++) {
        char a[4096], b[4096];
        get(pairs[i][0], a, sizeof(a));
        get(pairs[i][1], b, sizeof(b));
        assert_string_equal(a, b);
    }
}

static void these_pairs_are_two_keys(void **state)
{
    static const char *const pairs[][2] = {
        {"/list?a=1", "/list?a="},          {"/list?a=", "/list"},
        {"/list?a=1&a=2", "/list?a=2&a=1"}, {"/list?a=1,2", "/list?a=1&a=2"},
        {"/list?a=1:b=2", "/list?a=1&b=2"}, {"/list?a=1%3Ab%3D2", "/list?a=1&b=2"},
        {"/all/a%2Fb", "/all/a/b"},         {"/all/a:b=1", "/all/a?b=1"},
        {"/all/a?b", "/all/a?b="},          {"/tpl?m=a&c=b", "/tpl?m=a%3Ab&c="},
        {"/tpl?m=&c=x", "/tpl?c=x"},        {"/item/1", "/item/%31%2F"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(pairs); i++) {
        char a[4096], b[4096];
        get(pairs[i][0], a, sizeof(a));
        get(pairs[i][1], b, sizeof(b));
        assert_string_not_equal(a, b);
    }
}

static void body_members_are_typed_and_secrets_are_not_shown(void **state)
{
    static const char head[] = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    char a[4096], b[4096];
    (void)state;
    assert_int_equal(
        key_of(head, "{\"user\":{\"name\":1},\"password\":\"pass-word\"}", a, sizeof(a)), KEY_OK);
    assert_null(strstr(a, "pass-word"));
    assert_non_null(strstr(a, "post:name=1:password=hmac-"));
    key_of(head, "{\"user\":{\"name\":\"1\"},\"password\":\"pass-word\"}", b, sizeof(b));
    assert_string_not_equal(a, b);
    key_of(head, "{\"password\":\"pass-word\",\"x\":[],\"user\":{\"y\":2,\"name\":1}}", b,
           sizeof(b));
    assert_string_equal(a, b);
    assert_int_equal(key_of(head, "user=1", a, sizeof(a)), KEY_BYPASS);
    static const char whole[] = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    key_of(whole, "{\"a\":1,\"b\":[2]}", a, sizeof(a));
    key_of(whole, "{ \"b\":[2], \"a\":1 }", b, sizeof(b));
    assert_string_equal(a, b);
}

static void fields_that_connection_names_do_not_choose_the_key(void **state)
{
    char a[4096], b[4096];
    (void)state;
    key_of("GET /item/1 HTTP/1.1\r\nHost: a\r\nX-Org: 7\r\nConnection: x-org\r\n\r\n", NULL, a,
           sizeof(a));
    key_of("GET /item/1 HTTP/1.1\r\nHost: a\r\n\r\n", NULL, b, sizeof(b));
    assert_string_equal(a, b);
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

/* A random value, and the same one written with other escapes. */
static void random_value(unsigned *seed, char *value, char *plain, char *escaped)
{
    static const char bytes[] = "ab1:=,&%+ ~/\"{";
    unsigned len = next_random(seed) % 5;
    *plain = *escaped = *value = '\0';
    for (unsigned i = 0; i < len; i++) {
        char c = bytes[next_random(seed) % (sizeof(bytes) - 1)];
        bool is_unreserved = c == 'a' || c == 'b' || c == '1' || c == '~';
        value[i] = c;
        value[i + 1] = '\0';
        sprintf(plain + strlen(plain), is_unreserved ? "%c" : "%%%02X", c);
        sprintf(escaped + strlen(escaped), "%%%02x", (unsigned char)c);
    }
}

static void random_requests_share_a_key_only_if_their_values_are_equal(void **state)
{
    unsigned seed = 7;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char va[2][8], vb[2][8], pa[2][32], pb[2][32], ea[2][32], eb[2][32];
        char target[256], key[2][4096], again[4096];
        for (int n = 0; n < 2; n++) {
            random_value(&seed, va[n], pa[n], ea[n]);
            random_value(&seed, vb[n], pb[n], eb[n]);
            snprintf(target, sizeof(target), "/list?a=%s&b=%s", pa[n], pb[n]);
            get(target, key[n], sizeof(key[n]));
            snprintf(target, sizeof(target), "/list?x=%d&b=%s&a=%s", i, eb[n], ea[n]);
            get(target, again, sizeof(again));
            assert_string_equal(key[n], again);
        }
        bool is_same = strcmp(va[0], va[1]) == 0 && strcmp(vb[0], vb[1]) == 0;
        assert_int_equal(strcmp(key[0], key[1]) == 0, is_same);
    }
}

/* A part that is left out must not be made up for by what stands in another. */
static void optional_parts_of_a_template_make_no_two_requests_one(void **state)
{
    unsigned seed = 11;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char target[2][256], key[2][4096], values[2][64];
        for (int n = 0; n < 2; n++) {
            strcpy(target[n], "/opt?x=1");
            values[n][0] = '\0';
            for (const char *name = "abcd"; *name; name++) {
                char value[8], plain[32], escaped[32];
                random_value(&seed, value, plain, escaped);
                bool is_there = next_random(&seed) % 2;
                snprintf(values[n] + strlen(values[n]), 16, "%c%s|", is_there ? '+' : '-',
                         is_there ? value : "");
                if (is_there)
                    sprintf(target[n] + strlen(target[n]), "&%c=%s", *name, plain);
            }
            get(target[n], key[n], sizeof(key[n]));
        }
        if ((strcmp(key[0], key[1]) == 0) != (strcmp(values[0], values[1]) == 0))
            fail_msg("%s and %s: %s", target[0], target[1], key[0]);
    }
    for (unsigned i = 0; i < 256;
         i++) { /* who is there and who is not, with values like the text */
        char target[2][256], key[2][4096];
        for (int n = 0; n < 2; n++) {
            strcpy(target[n], "/opt?x=1");
            for (int at = 0; at < 4; at++)
                if (i >> (4 * n + at) & 1)
                    sprintf(target[n] + strlen(target[n]), "&%c=%%3As%%3A1", 'a' + at);
            get(target[n], key[n], sizeof(key[n]));
        }
        assert_int_equal(strcmp(key[0], key[1]) == 0, i % 16 == i / 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readable_keys_are_as_the_legacy_systems_have_them),
        cmocka_unit_test(these_pairs_are_one_key),
        cmocka_unit_test(these_pairs_are_two_keys),
        cmocka_unit_test(body_members_are_typed_and_secrets_are_not_shown),
        cmocka_unit_test(fields_that_connection_names_do_not_choose_the_key),
        cmocka_unit_test(random_requests_share_a_key_only_if_their_values_are_equal),
        cmocka_unit_test(optional_parts_of_a_template_make_no_two_requests_one),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
