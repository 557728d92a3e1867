/* The config: every error has a place, and says what would be right. */
#include "../unit-test.h"

#include <larder/config/config.h>

#define APP "\"upstreams\":{\"app\":{\"server\":\"127.0.0.1:8000\"}}"

static void every_error_has_a_place_and_says_what_would_be_right(void **state)
{
    static const struct {
        const char *text, *where, *what;
    } cases[] = {
        {"{" APP ",\"routs\":[]}", "f:1:58 at $.routs", "did you mean \"routes\""},
        {"{}", "f:1:1 at $", "\"upstreams\" is missing"},
        {"{\"upstreams\":{\"a\":{\"server\":\"nonsense\"}}}", "$.upstreams.a.server",
         "write \"127.0.0.1:8000\""},
        {"{" APP ",\n\"drain_timeout\":\"10 min\"}", "f:2:17 at $.drain_timeout",
         "is not a duration"},
        {"{" APP ",\"cache\":{\"max_bytes\":\"1GB\"}}", "$.cache.max_bytes", "256MiB"},
        {"{" APP ",\"workers\":0}", "$.workers", "1 to 64"},
        {"{" APP ",\"secret\":\"short\"}", "$.secret", "16 bytes"},
        {"{" APP ",\"control\":{\"mount\":true}}", "$.control", "token"},
        {"{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"GET /a\",\"ttl\":\"5\"}]}",
         "$.routes[0].ttl", "is not a duration"},
        {"{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"PUT /a\",\"ttl\":\"5s\"}]}",
         "$.routes[0].match", "never cached"},
        {"{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"/a\",\"ttl\":\"5s\"}]}",
         "$.routes[0].match", "name its methods"},
        {"{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"GET /a\",\"ttl\":\"5s\","
         "\"key\":[\"path.id\"]}]}",
         "$.routes[0].key[0]", "no capture {id}"},
        {"{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"GET /a\",\"ttl\":\"5s\","
         "\"key\":[\"qery.id\"]}]}",
         "$.routes[0].key[0]", "query.x"},
        {"{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"GET /a\",\"ttl\":\"5s\","
         "\"key_template\":\"{query.a}x{query.b}\"}]}",
         "$.routes[0].key_template", "separator"},
        {"{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"GET /a\"},"
         "{\"name\":\"a\",\"match\":\"GET /b\"}]}",
         "$.routes[1]", "another route"},
        {"{" APP ",\"trusted_proxies\":[\"10.0.0.0/33\"]}", "$.trusted_proxies[0]", "network"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct err errs[8];
        unsigned count = 0;
        struct config *c = NULL;
        enum err_code rc = config_parse(span_str(cases[i].text), "f", &c, errs, 8, &count);
        if (rc == ERR_OK || count != 1 || !strstr(errs[0].where, cases[i].where) ||
            !strstr(errs[0].what, cases[i].what))
            fail_msg("%s: %u errors, %s: %s", cases[i].text, count, errs[0].where, errs[0].what);
        assert_null(c);
    }
}

static void all_errors_are_told_at_once(void **state)
{
    struct err errs[8];
    unsigned count = 0;
    struct config *c = NULL;
    (void)state;
    assert_int_equal(config_parse(SPAN_LIT("{\"workers\":0,\"drain_timeout\":1,\"x\":2}"), "f", &c,
                                  errs, 8, &count),
                     ERR_CONFIG);
    assert_int_equal(count, 4); /* and the upstreams are missing */
}

static void the_example_is_good(void **state)
{
    struct err errs[8];
    unsigned count = 0;
    struct config *c = NULL;
    (void)state;
    enum err_code rc =
        config_load(LARDER_ROOT "/conf/larder.example.json", NULL, &c, errs, 8, &count);
    if (rc)
        fail_msg("%s: %s", errs[0].where, errs[0].what);
    assert_int_equal(c->route_count, 9); /* and the implicit last one */
    struct buf out;
    buf_init(&out, 1 << 20);
    config_explain(c, &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "attendance:username=<value>:pw=<hmac>"));
    buf_fini(&out);
    config_free(c);
}

static void networks_contain_what_they_say(void **state)
{
    struct err errs[2];
    unsigned count = 0;
    struct config *c = NULL;
    (void)state;
    assert_int_equal(config_parse(SPAN_LIT("{" APP ",\"trusted_proxies\":[\"10.1.0.0/16\","
                                           "\"fd00::/8\"]}"),
                                  "f", &c, errs, 2, &count),
                     ERR_OK);
    const uint8_t in4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1, [15] = 9};
    const uint8_t out4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 2};
    const uint8_t in6[16] = {0xfd, 1};
    assert_true(cidr_contains(c->trusted, c->trusted_count, in4));
    assert_false(cidr_contains(c->trusted, c->trusted_count, out4));
    assert_true(cidr_contains(c->trusted, c->trusted_count, in6));
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_place_and_says_what_would_be_right),
        cmocka_unit_test(all_errors_are_told_at_once),
        cmocka_unit_test(the_example_is_good),
        cmocka_unit_test(networks_contain_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
