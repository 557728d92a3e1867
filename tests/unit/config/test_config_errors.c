/* Each mistake is told at its exact place, with what would be right; all of a file at once. */
#include "config-test.h"

#include "../../../proxy/config/config-internal.h"

#define PAIR "{\"certificate\":\"a\",\"key\":\"b\"}"
#define LISTEN_TLS(tls) "{" APP ",\"listen\":{\"address\":\":443\",\"tls\":" tls "}}"
#define UPSTREAM_TLS(tls) "{\"upstreams\":{\"a\":{\"server\":\"h:1\",\"tls\":" tls "}}}"
#define ROUTE(more) "{" APP ",\n\"routes\":[{\"name\":\"a\"," more "}]}"

static const struct {
    const char *text, *where, *what;
} cases[] = {
    {"", "f:1:1", ""},
    {"{", "f:1:2", "not closed"},
    {"[]", "f:1:1 at $", "write an object"},
    {"{" APP ",}", "f:1:49", "comma"},
    {"{\"upstreams\":{}}", "f:1:14 at $.upstreams", "1 to 256"},
    {"{" APP ",\n  \"maxBytes\": 1}", "f:2:15 at $.maxBytes", "the configuration has: "},
    {"{" APP ",\"cache\":{\n\"maxBytes\":1}}", "f:2:12 at $.cache.maxBytes",
     "did you mean \"max_bytes\"?"},
    {"{" APP ",\"cache\":{\"max_bytes\":\"1MiB\"}}", "at $.cache", "\"max_object_bytes\""},
    {"{" APP ",\"cache\":{\"wait_timeout\":30}}", "at $.cache.wait_timeout", "write \"30s\""},
    {"{" APP ",\"limits\":{\"head_timeout\":\"0s\"}}", "at $.limits.head_timeout", "from 1ms"},
    {"{" APP ",\"limits\":{\"head_bytes\":\"1GiB\"}}", "at $.limits.head_bytes", "512 to 1048576"},
    {"{" APP ",\"limits\":{\"connections\":1.5}}", "at $.limits.connections", "whole number"},
    {"{" APP ",\"log\":{\"level\":\"inf\"}}", "at $.log.level", "did you mean \"info\"?"},
    {"{" APP ",\"log\":{\"access\":\"\"}}", "at $.log.access", "not empty"},
    {"{" APP ",\"log\":{\"access\":\"a\\u0000b\"}}", "at $.log.access", "not a text"},
    {"{" APP ",\"listen\":[\":80\",\"80\"]}", "at $.listen[1]", "\"80\" is no address"},
    {"{" APP ",\"listen\":[]}", "at $.listen", "1 to 8"},
    {"{" APP ",\"listen\":{\"address\":\":80\",\"tsl\":1}}", "at $.listen.tsl",
     "did you mean \"tls\"?"},
    {"{" APP ",\"listen\":{\"tls\":{\"certificates\":[" PAIR "]}}}", "at $.listen",
     "\"address\" is missing"},
    {LISTEN_TLS("{}"), "at $.listen.tls", "\"certificates\" is missing"},
    {LISTEN_TLS("true"), "at $.listen.tls", "write an object"},
    {LISTEN_TLS("{\"certificates\":[]}"), "at $.listen.tls.certificates", "array of 1 to 64"},
    {LISTEN_TLS("{\"certificates\":[{\"certificate\":\"a.pem\"}]}"),
     "at $.listen.tls.certificates[0]", "\"key\" is missing"},
    {LISTEN_TLS("{\"certificates\":[{\"certificate\":\"\",\"key\":\"b\"}]}"),
     "at $.listen.tls.certificates[0].certificate", "no path"},
    {LISTEN_TLS("{\"certificates\":[" PAIR "],\"min_version\":\"1.1\"}"),
     "at $.listen.tls.min_version", "\"1.2\" or \"1.3\""},
    {LISTEN_TLS("{\"certificates\":[" PAIR "],\"session_tickets\":1}"),
     "at $.listen.tls.session_tickets", "true or false"},
    {"{" APP ",\"control\":{\"listen\":{\"address\":\":8081\",\"tls\":{\"certificates\":[" PAIR
     "]}}}}",
     "at $.control", "beyond loopback"},
    {UPSTREAM_TLS("{\"key\":\"a\"}"), "at $.upstreams.a.tls", "belong together"},
    {UPSTREAM_TLS("{\"verify\":false,\"ca\":\"a\"}"), "at $.upstreams.a.tls", "of no use"},
    {UPSTREAM_TLS("{\"ca\":7}"), "at $.upstreams.a.tls.ca", "no path"},
    {UPSTREAM_TLS("{\"server_name\":\".x\"}"), "at $.upstreams.a.tls", "one host's name"},
    {UPSTREAM_TLS("{\"server_name\":\"*.x\"}"), "at $.upstreams.a.tls", "one host's name"},
    {UPSTREAM_TLS("{\"server_name\":\"a b\"}"), "at $.upstreams.a.tls", "one host's name"},
    {UPSTREAM_TLS("{\"servername\":\"x\"}"), "at $.upstreams.a.tls.servername", "\"server_name\"?"},
    {UPSTREAM_TLS("\"yes\""), "at $.upstreams.a.tls", "write an object"},
    {"{\"upstreams\":{\"a\":{\"servers\":[\"https://h:1\",\"http://h:2\"]}}}",
     "at $.upstreams.a.servers[1]", "all servers"},
    {"{\"upstreams\":{\"a\":{\"servers\":[\"h:1\",\"https://h:2\"]}}}",
     "at $.upstreams.a.servers[1]", "all servers"},
    {"{\"upstreams\":{\"a\":{\"server\":\"http://h:1\",\"tls\":true}}}", "at $.upstreams.a.server",
     "all servers"},
    {"{" APP ",\"workers\":65}", "at $.workers", "1 to 64"},
    {"{" APP ",\"secret\":{\"file\":\"/nonexistent/x\"}}", "at $.secret.file", "cannot be read"},
    {"{" APP ",\"secret\":{\"file\":\"/dev/zero\"}}", "at $.secret.file", "no regular file"},
    {"{" APP ",\"secret\":{\"env\":\"LARDER_TEST_UNSET\"}}", "at $.secret.env", "set it"},
    {"{" APP ",\"secret\":7}", "at $.secret", "{\"env\": \"NAME\"}"},
    {"{" APP ",\"control\":{\"listen\":\":8081\"}}", "at $.control", "beyond loopback"},
    {"{" APP ",\"control\":{\"listen\":true}}", "at $.control.listen", "not an address"},
    {"{" APP ",\"control\":{\"token\":\"a b\"}}", "at $.control.token", "visible ASCII"},
    {"{" APP ",\"control\":{\"allow\":[\"localhost\"]}}", "at $.control.allow[0]", "no network"},
    {"{\"upstreams\":{\"a\":{}}}", "f:1:19 at $.upstreams.a", "needs \"server\""},
    {"{\"upstreams\":{\"a\":{\"server\":\"a:1\",\"servers\":[\"b:1\"]}}}",
     "at $.upstreams.a.servers", "exclude each other"},
    {"{\"upstreams\":{\"a\":{\"server\":\"a:0\"}}}", "at $.upstreams.a.server", "no server"},
    {"{\"upstreams\":{\"a\":{\"server\":\"http://a:1/x\"}}}", "at $.upstreams.a.server",
     "no server"},
    {"{\"upstreams\":{\"a\":{\"server\":\"a:1\",\"max\":1,\"min_idle\":2}}}", "at $.upstreams.a",
     "\"min_idle\" (2) is above \"max\" (1)"},
    {"{" APP ",\"default_upstream\":\"ap\"}", "at $.default_upstream", "did you mean \"app\"?"},
    {"{\"upstreams\":{\"a\":{\"server\":\"a:1\"},\"b\":{\"server\":\"b:1\"}},"
     "\"routes\":[{\"name\":\"r\",\"match\":\"/\"}]}",
     "at $.routes[0]", "\"default_upstream\""},
    {ROUTE("\"match\":\"/\",\"upstream\":\"b\""), "at $.routes[0].upstream", "no upstream \"b\""},
    {"{" APP ",\"routes\":[{\"match\":\"/\"}]}", "at $.routes[0]", "\"name\" is missing"},
    {"{" APP ",\"routes\":[{\"name\":\"pass\",\"match\":\"/\"}]}", "at $.routes[0].name",
     "implicit route"},
    {"{" APP ",\"routes\":[{\"name\":\"a b\",\"match\":\"/\"}]}", "at $.routes[0].name",
     "no name for a route"},
    {ROUTE("\"ttl\":\"1s\""), "f:2:11 at $.routes[0]", "\"match\" is missing"},
    {ROUTE("\"match\":\"get /\""), "f:2:31 at $.routes[0].match", "write \"GET\""},
    {ROUTE("\"match\":\"GET, /\""), "at $.routes[0].match", "\"\" is no method"},
    {ROUTE("\"match\":\" /\""), "at $.routes[0].match", "no method"},
    {ROUTE("\"match\":\"GET,GET /\""), "at $.routes[0].match", "twice"},
    {ROUTE("\"match\":\"GET api\""), "at $.routes[0].match", "begin with /"},
    {ROUTE("\"match\":\"GET /a?b\""), "at $.routes[0].match", "no query"},
    {ROUTE("\"match\":\"GET /a{b}\""), "at $.routes[0].match", "whole segment"},
    {ROUTE("\"match\":\"GET /*/a\""), "at $.routes[0].match", "at the end"},
    {ROUTE("\"match\":\"GET /{a}/{a}\""), "at $.routes[0].match", "two captures"},
    {ROUTE("\"match\":\"GET /{a...}/b\""), "at $.routes[0].match", "no capture"},
    {ROUTE("\"match\":\"DELETE /a\",\"ttl\":\"1s\""), "at $.routes[0].match", "never cached"},
    {ROUTE("\"match\":\"GET /a\",\"key\":[]"), "at $.routes[0].key", "without \"ttl\""},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key\":[\"json.a\"]"), "at $.routes[0].key",
     "write \"POST ...\""},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key\":[\"quer.a\"]"), "at $.routes[0].key[0]",
     "did you mean \"query\"?"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key\":[7]"), "at $.routes[0].key[0]",
     "this is a number"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key\":[{\"parm\":\"query.a\",\"param\":"
           "\"query.b\"}]"),
     "at $.routes[0].key[0].parm", "did you mean \"param\"?"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key\":[{\"secret\":true}]"),
     "at $.routes[0].key[0]", "\"param\" is missing"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key\":[\"query.a\",\"header.a\"]"),
     "at $.routes[0].key[1]", "give one a \"label\""},
    {ROUTE("\"match\":\"GET /{a}\",\"ttl\":\"1s\",\"key\":[\"query.b\"]"), "at $.routes[0].key",
     "add path.a"},
    {ROUTE("\"match\":\"GET /*\",\"ttl\":\"1s\",\"key\":[\"query.b\"]"), "at $.routes[0].key",
     "{rest...}"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key\":[],\"key_template\":\"x\""),
     "at $.routes[0].key_template", "exclude each other"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"{query.a}{query.b}\""),
     "at $.routes[0].key_template", "separator"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"{query.a}-{query.b}\""),
     "at $.routes[0].key_template", "separator"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"{query.a}!{query.b}\""),
     "at $.routes[0].key_template", "separator"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"{query.a\""),
     "at $.routes[0].key_template", "not closed"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"{query.a}:{query.a}\""),
     "at $.routes[0].key_template", "twice"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"{query.a}[{query.b}]\""),
     "at $.routes[0].key_template", "separator"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"a[:{query.b}:x]\""),
     "at $.routes[0].key_template", "ends with a ]"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"a[:{query.b}\""),
     "at $.routes[0].key_template", "ends with a ]"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"{query.a}[:x]\""),
     "at $.routes[0].key_template", "only around a text and a parameter"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"key_template\":\"a\\u001fb\""),
     "at $.routes[0].key_template", "control characters"},
    {ROUTE("\"match\":\"GET /a\",\"ttl_by_status\":{\"99\":\"1s\"}"),
     "at $.routes[0].ttl_by_status.99", "no status"},
    {ROUTE("\"match\":\"GET /a\",\"ttl_by_status\":{\"401\":\"1s\"}"),
     "at $.routes[0].ttl_by_status.401", "failed login"},
    {ROUTE("\"match\":\"GET /a\",\"ttl_by_status\":{\"404\":\"1\"}"),
     "at $.routes[0].ttl_by_status.404", "not a duration"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"strict\":\"maybe\""), "at $.routes[0].strict",
     "\"forward\""},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"ignore\":[\"*a\"]"), "at $.routes[0].ignore[0]",
     "at the end only"},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"vary\":\"share\""), "at $.routes[0].vary",
     "\"obey\" or \"ignore\""},
    {ROUTE("\"match\":\"GET /a\",\"ttl\":\"1s\",\"max_object_bytes\":\"1GiB\""),
     "at $.routes[0].max_object_bytes", "above the cache's"},
};

static void each_mistake_has_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct err errs[8] = {0};
        unsigned count = 0;
        struct config *c = NULL;
        enum err_code rc = config_parse(span_str(cases[i].text), "f", &c, errs, 8, &count);
        const char *where = strstr(errs[0].where, cases[i].where);
        bool is_there = where && (cases[i].where[0] != 'f' || where == errs[0].where);
        bool is_end = where && where[strlen(cases[i].where)] == '\0'; /* the whole path */
        if (rc == ERR_OK || count != 1 || !is_there || !is_end ||
            !strstr(errs[0].what, cases[i].what))
            fail_msg("%s\n%u errors, %s: %s", cases[i].text, count, errs[0].where, errs[0].what);
        assert_null(c);
    }
}

static void errors_come_in_the_order_of_the_file(void **state)
{
    static const char text[] = "{\"routes\":[{\"name\":\"x y\",\"match\":\"GET x\"}],\n"
                               "\"log\":{\"level\":1},\n"
                               "\"listen\":1,\n"
                               "\"nonsense\":1,\n"
                               "\"upstreams\":{\"a\":{\"server\":\"x\"}}}";
    struct err errs[8];
    unsigned count = 0;
    struct config *c = NULL;
    (void)state;
    assert_int_equal(config_parse(span_str(text), "f", &c, errs, 8, &count), ERR_CONFIG);
    assert_int_equal(count, 6);
    static const char *const places[] = {
        "f:1:20 at $.routes[0].name", "f:1:34 at $.routes[0].match",
        "f:2:16 at $.log.level",      "f:3:10 at $.listen",
        "f:4:12 at $.nonsense",       "f:5:28 at $.upstreams.a.server"};
    for (unsigned i = 0; i < count; i++)
        assert_string_equal(errs[i].where, places[i]);
}

static void more_errors_than_there_is_room_for_are_still_errors(void **state)
{
    struct err errs[2];
    unsigned count = 7;
    struct config *c = NULL;
    (void)state;
    for (unsigned max = 0; max <= 2; max++) {
        assert_int_equal(
            config_parse(SPAN_LIT("{\"a\":1,\"b\":2,\"c\":3}"), "f", &c, errs, max, &count),
            ERR_CONFIG);
        assert_int_equal(count, max);
        assert_null(c);
    }
}

static void a_long_name_leaves_room_for_the_place(void **state)
{
    char name[400];
    struct err errs[1];
    unsigned count = 0;
    struct config *c = NULL;
    (void)state;
    memset(name, 'x', sizeof(name));
    memcpy(name + sizeof(name) - 10, "/app.json", 10);
    assert_int_equal(config_parse(SPAN_LIT("{" APP ",\"workers\":0}"), name, &c, errs, 1, &count),
                     ERR_CONFIG);
    assert_non_null(strstr(errs[0].where, "/app.json:1:60 at $.workers"));
}

static void what_is_left_out_has_its_default(void **state)
{
    struct config *c = config_of("{" APP "}");
    (void)state;
    assert_int_equal(c->listen_count, 1);
    assert_string_equal(c->listen[0].address.host, "127.0.0.1");
    assert_int_equal(c->listen[0].address.port, 8080);
    assert_true(c->workers >= 1 && c->workers <= 64);
    assert_true(c->control.enabled && !c->control.mount && c->control.token_count == 0);
    assert_int_equal(c->control.listen.address.port, 8081);
    assert_int_equal(c->control.allow_count, 2);
    const struct upstream_config *u = &c->upstreams[0];
    assert_true(u->max_connections == 64 && u->min_idle == 0 && u->queue_max == 256);
    assert_true(u->connect_timeout_ms == 2000 && u->first_byte_timeout_ms == 60000 &&
                u->between_bytes_timeout_ms == 60000 && u->send_timeout_ms == 60000 &&
                u->idle_timeout_ms == 1500 && u->queue_timeout_ms == 10000);
    assert_true(c->cache.max_bytes == 256 << 20 && c->cache.max_entries == 0 &&
                c->cache.max_object_bytes == 8 << 20 && c->cache.waiters_max == 1000 &&
                c->cache.wait_timeout_ms == 30000 && c->cache.pass_memory_ms == 30000);
    assert_true(c->limits.head_bytes == 32 << 10 && c->limits.body_bytes == 1 << 30 &&
                c->limits.key_body_bytes == 64 << 10 && c->limits.connections == 10000);
    assert_true(c->limits.head_timeout_ms == 10000 && c->limits.idle_timeout_ms == 75000 &&
                c->limits.body_timeout_ms == 60000 && c->limits.send_timeout_ms == 60000);
    assert_true(c->log.level == LOG_LEVEL_INFO && span_eq(c->log.access, SPAN_LIT("stdout")));
    assert_true(c->secret_is_random && c->secret.len == 32 && c->drain_timeout_ms == 10000);
    assert_int_equal(c->route_count, 1);
    assert_true(c->routes[0].any_method && !c->routes[0].cached);
    config_free(c);
}

static void the_narrowest_status_rule_comes_first(void **state)
{
    struct config *c = config_of("{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"GET /a\","
                                 "\"ttl_by_status\":{\"200-599\":\"1s\",\"4xx\":\"2s\","
                                 "\"404\":\"3s\"}}]}");
    const struct fresh_policy *p = &c->routes[0].fresh;
    (void)state;
    assert_true(c->routes[0].cached && !p->has_ttl);
    assert_int_equal(p->status_ttl_count, 3);
    assert_int_equal(p->status_ttl[0].low, 404);
    assert_int_equal(p->status_ttl[1].low, 400);
    assert_int_equal(p->status_ttl[2].low, 200);
    config_free(c);
}

static void routes_find_their_upstream(void **state)
{
    struct config *c = config_of("{\"upstreams\":{\"a\":{\"server\":\"a:1\"},"
                                 "\"b\":{\"servers\":[\"http://b:2/\",\"[::1]:3\"]}},"
                                 "\"default_upstream\":\"b\",\"routes\":["
                                 "{\"name\":\"x\",\"match\":\"/x\",\"upstream\":\"a\"},"
                                 "{\"name\":\"y\",\"match\":\"/y\"}]}");
    (void)state;
    assert_int_equal(c->routes[0].upstream, 0);
    assert_int_equal(c->routes[1].upstream, 1);
    assert_int_equal(c->routes[2].upstream, 1);
    assert_string_equal(c->upstreams[1].server[1].host, "::1");
    config_free(c);
}

static void secrets_come_from_files_and_the_environment(void **state)
{
    struct config *c = config_of("{" APP ",\"secret\":{\"file\":\"" LARDER_ROOT
                                 "/.clang-format\"},\"control\":{\"token\":{\"env\":\"T\"}}}");
    (void)state;
    assert_true(c->secret.len > 16 && span_starts_with(c->secret, SPAN_LIT("BasedOnStyle")));
    assert_true(c->secret.p[c->secret.len - 1] != '\n' && !c->secret_is_random);
    assert_true(span_eq(c->control.tokens[0].token, SPAN_LIT("of-the-environment")));
    config_free(c);
}

static char *read_text(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    char *text = malloc(1 << 20);
    assert_non_null(text);
    *ret_len = fread(text, 1, 1 << 20, f);
    fclose(f);
    return text;
}

static void the_example_shows_all_members(void **state)
{
    static const struct object *const objects[] = {
        &object_root,         &object_control,     &object_log,        &object_cache,
        &object_limits,       &object_upstream,    &object_route,      &object_key_part,
        &object_token,        &object_param,       &object_jwt,        &object_tag,
        &object_on_write,     &object_write_route, &object_ttl_rule,   &object_stale_if_error,
        &object_warm,         &object_listen,      &object_tls,        &object_certificate,
        &object_upstream_tls, &object_redis,       &object_rate_limit, &object_rate_policy};
    size_t len;
    char *text = read_text(LARDER_ROOT "/conf/larder.example.json", &len);
    (void)state;
    for (size_t i = 0; i < array_len(objects); i++) {
        for (unsigned m = 0; m < objects[i]->count; m++) {
            char quoted[64];
            snprintf(quoted, sizeof(quoted), "\"%s\":", objects[i]->members[m].name);
            if (!memmem(text, len, quoted, strlen(quoted)))
                fail_msg("%s of %s is not in the example", quoted, objects[i]->name);
        }
    }
    free(text);
}

static void the_schema_is_what_the_tables_say(void **state)
{
    struct buf made, ours, theirs;
    struct json_doc *a = NULL, *b = NULL;
    struct err err;
    size_t len;
    (void)state;
    buf_init(&made, 1 << 20);
    buf_init(&ours, 1 << 20);
    buf_init(&theirs, 1 << 20);
    config_schema_format(&made);
    if (json_parse(buf_span(&made), "schema", 0, 32, &a, &err) != ERR_OK)
        fail_msg("%s: %s", err.where, err.what);
    char *text = read_text(LARDER_ROOT "/conf/larder.schema.json", &len);
    assert_int_equal(json_parse(span_of(text, len), NULL, 0, 32, &b, NULL), ERR_OK);
    json_canonical_format(json_root(a), &ours);
    json_canonical_format(json_root(b), &theirs);
    assert_true(span_eq(buf_span(&ours), buf_span(&theirs)));
    json_doc_free(a);
    json_doc_free(b);
    free(text);
    buf_fini(&made);
    buf_fini(&ours);
    buf_fini(&theirs);
}

int main(void)
{
    setenv("T", "of-the-environment", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_has_its_place),
        cmocka_unit_test(errors_come_in_the_order_of_the_file),
        cmocka_unit_test(more_errors_than_there_is_room_for_are_still_errors),
        cmocka_unit_test(a_long_name_leaves_room_for_the_place),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(the_narrowest_status_rule_comes_first),
        cmocka_unit_test(routes_find_their_upstream),
        cmocka_unit_test(secrets_come_from_files_and_the_environment),
        cmocka_unit_test(the_example_shows_all_members),
        cmocka_unit_test(the_schema_is_what_the_tables_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
