/* Values from the environment, and profiles over the rest: what they mean, and what is wrong. */
#include "config-test.h"

#define UP(server) "\"upstreams\":{\"a\":{\"server\":\"" server "\"}}"

static void set_environment(void)
{
    static const char *const gone[] = {"L_UNSET", "L_UNSET2"};
    for (size_t i = 0; i < array_len(gone); i++)
        unsetenv(gone[i]);
    setenv("L_EMPTY", "", 1);
    setenv("L_PORT", "8123", 1);
    setenv("L_HOST", "app.example", 1);
    setenv("L_THREE", "3", 1);
    setenv("L_TRUE", "true", 1);
    setenv("L_HALF", "0.5", 1);
    setenv("L_HOUR", "1h", 1);
    setenv("L_ENV", "testing", 1);
    setenv("L_DOLLAR", "$L_HOST:1", 1);
    setenv("L_SECRET", "0123456789abcdef", 1);
}

static struct config *load(const char *text, const char *profile)
{
    struct err errs[4];
    unsigned count = 0;
    struct config *c = NULL;
    if (config_parse_profile(span_str(text), "f", profile, &c, errs, 4, &count) != ERR_OK)
        fail_msg("%s\n%s: %s", text, errs[0].where, errs[0].what);
    return c;
}

static void any_value_may_come_from_the_environment(void **state)
{
    (void)state;
    struct config *c = load(
        "{\"workers\":{\"env\":\"L_THREE\"},\"state_dir\":{\"env\":\"L_THREE\"},"
        "\"upstreams\":{\"a\":{\"server\":{\"env\":\"L_UNSET\",\"default\":\"${L_HOST}:$L_PORT\"},"
        "\"max\":{\"env\":\"L_THREE\"},\"idle_timeout\":{\"env\":\"L_HOUR\"}}},"
        "\"control\":{\"mount\":{\"env\":\"L_UNSET\",\"default\":false},"
        "\"token\":{\"env\":\"L_SECRET\"}},"
        "\"secret\":{\"env\":\"L_EMPTY\",\"default\":{\"env\":\"L_SECRET\"}},"
        "\"cache\":{\"max_bytes\":{\"env\":\"L_UNSET\",\"default\":\"64MiB\"}},"
        "\"drain_timeout\":{\"env\":\"L_UNSET\",\"default\":null},"
        "\"routes\":[{\"name\":\"r\",\"match\":\"GET /r\",\"ttl\":{\"env\":\"L_HOUR\"},"
        "\"strict\":{\"env\":\"L_TRUE\"},\"refresh_ahead\":{\"env\":\"L_HALF\"}}]}",
        NULL);
    assert_int_equal(c->workers, 3);
    assert_true(span_eq(c->state_dir, SPAN_LIT("3"))); /* a text where one is wanted */
    assert_string_equal(c->upstreams[0].server[0].host, "app.example");
    assert_int_equal(c->upstreams[0].server[0].port, 8123);
    assert_int_equal(c->upstreams[0].max_connections, 3);
    assert_int_equal(c->upstreams[0].idle_timeout_ms, 3600000);
    assert_false(c->control.mount);
    assert_true(span_eq(c->secret, SPAN_LIT("0123456789abcdef")));
    assert_int_equal(c->cache.max_bytes, 64 << 20);
    assert_int_equal(c->drain_timeout_ms, 10000); /* the default null leaves the member out */
    assert_int_equal(c->routes[0].unknown, UNKNOWN_REJECT);
    assert_int_equal(c->routes[0].refresh_ahead, 50);
    config_free(c);
}

static void rates_have_variables_in_them(void **state)
{
    (void)state;
    struct config *c =
        load("{\"upstreams\":{\"a\":{\"server\":\"b:1\"}},\"rate_limits\":[{\"name\":"
             "\"x\",\"limits\":[\"${L_UNSET:-60}/1m\",{\"rate\":\"$L_THREE/1h\"}],"
             "\"class\":\"header.x\",\"classes\":{\"y\":[\"${L_THREE}0/1s\"]}}]}",
             NULL);
    const struct rate_limit *l = &c->rate_limits[0];
    assert_int_equal(l->classes[0].policies[0].count, 60);
    assert_int_equal(l->classes[0].policies[1].count, 3);
    assert_int_equal(l->classes[1].policies[0].count, 30);
    config_free(c);
}

static void addresses_have_variables_in_them(void **state)
{
    (void)state;
    struct config *c =
        load("{\"listen\":[\":$L_PORT\",{\"address\":\"${L_UNSET:-127.0.0.1}:${L_EMPTY:-81}\","
             "\"tls\":{\"certificates\":[{\"certificate\":\"a\",\"key\":\"b\"}]}}],"
             "\"control\":{\"listen\":\"127.0.0.1:${L_UNSET:-82}\"},"
             "\"upstreams\":{\"a\":{\"servers\":[\"http://$L_HOST:1\",\"b${L_THREE}c:2\"]}},"
             "\"secret\":\"0123456789abcdef\","
             "\"redis\":{\"server\":\"${L_HOST}:${L_UNSET:-6379}\",\"prefix\":\"x\"}}",
             NULL);
    assert_int_equal(c->listen[0].address.port, 8123);
    assert_string_equal(c->listen[1].address.host, "127.0.0.1");
    assert_int_equal(c->listen[1].address.port, 81);
    assert_int_equal(c->control.listen.address.port, 82);
    assert_string_equal(c->upstreams[0].server[0].host, "app.example");
    assert_string_equal(c->upstreams[0].server[1].host, "b3c");
    assert_string_equal(c->redis->server[0].host, "app.example");
    config_free(c);
    c = load("{" UP("a:1") ",\"secret\":\"0123456789abcdef\",\"redis\":{\"sentinels\":"
                           "[\"$L_HOST:$L_PORT\"],\"master\":\"m\",\"prefix\":\"x\"},"
                           "\"state_dir\":\"/$L_HOST\"}",
             NULL);
    assert_int_equal(c->redis->sentinel[0].port, 8123);
    assert_true(span_eq(c->state_dir, SPAN_LIT("/$L_HOST"))); /* no address */
    config_free(c);
}

#define PROFILES                                                                                   \
    "\"$profiles\":{\"development\":{\"redis\":null,\"log\":{\"level\":\"debug\"}},"               \
    "\"production\":{\"cache\":{\"max_bytes\":\"1GiB\"}},"                                         \
    "\"testing\":{\"workers\":1,\"secret\":{\"env\":\"L_SECRET\"}}},"
#define FILE_OF(choice)                                                                            \
    "{" choice PROFILES UP(                                                                        \
        "a:1") ",\"secret\":{\"file\":\"/nonexistent/secret\"},\"workers\":2,"                     \
               "\"redis\":{\"server\":\"h:1\",\"prefix\":\"x\"},\"log\":{\"access\":\"off\"}}"
#define READABLE(choice)                                                                           \
    "{" choice PROFILES UP("a:1") ",\"secret\":\"0123456789abcdef\",\"workers\":2,"                \
                                  "\"redis\":{\"server\":\"h:1\",\"prefix\":\"x\"},"               \
                                  "\"log\":{\"access\":\"off\"}}"

static void a_profile_says_what_differs(void **state)
{
    static const struct {
        const char *text, *wanted, *profile;
        unsigned workers;
        enum log_level level;
        bool has_redis;
    } cases[] = {
        {READABLE(""), NULL, "", 2, LOG_LEVEL_INFO, true},
        {READABLE(""), "development", "development", 2, LOG_LEVEL_DEBUG, false},
        {READABLE("\"$profile\":\"development\","), NULL, "development", 2, LOG_LEVEL_DEBUG, false},
        {READABLE("\"$profile\":\"nobody's\","), "production", "production", 2, LOG_LEVEL_INFO,
         true},
        {READABLE("\"$profile\":{\"env\":\"L_UNSET\"},"), "testing", "testing", 1, LOG_LEVEL_INFO,
         true},
        {READABLE("\"$profile\":{\"env\":\"L_ENV\",\"default\":\"development\"},"), NULL, "testing",
         1, LOG_LEVEL_INFO, true},
        {READABLE("\"$profile\":{\"env\":\"L_UNSET\",\"default\":\"development\"},"), NULL,
         "development", 2, LOG_LEVEL_DEBUG, false},
        {READABLE("\"$profile\":{\"env\":\"L_UNSET\",\"default\":null},"), NULL, "", 2,
         LOG_LEVEL_INFO, true},
        /* {"env"} takes the place of {"file"}, and is not mixed with it */
        {FILE_OF(""), "testing", "testing", 1, LOG_LEVEL_INFO, true},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct config *c = load(cases[i].text, cases[i].wanted);
        assert_true(span_eq(c->profile, span_str(cases[i].profile)));
        assert_int_equal(c->workers, cases[i].workers);
        assert_int_equal(c->log.level, cases[i].level);
        assert_true(span_eq(c->log.access, SPAN_LIT("off"))); /* merged, not replaced */
        assert_int_equal(c->redis != NULL, cases[i].has_redis);
        struct buf out;
        buf_init(&out, 1 << 20);
        config_explain(c, &out);
        bool says = memmem(out.p, out.len, "\nprofile   ", 11) != NULL;
        assert_int_equal(says, c->profile.len > 0);
        buf_fini(&out);
        config_free(c);
    }
}

static void each_mistake_has_its_place(void **state)
{
    static const struct {
        const char *text, *profile, *where, *what;
    } cases[] = {
        {"{" UP("a:1") ",\n\"workers\":{\"env\":\"L_UNSET\"}}", NULL, "f:2:18 at $.workers.env",
         "the environment has no L_UNSET; set it, or write {\"env\": \"L_UNSET\", \"default\""},
        {"{" UP("a:1") ",\"workers\":{\"env\":\"A-B\"}}", NULL, "at $.workers.env",
         "no variable's name"},
        {"{" UP("a:1") ",\"workers\":{\"env\":\"\"}}", NULL, "at $.workers.env",
         "no variable's name"},
        {"{" UP("a:1") ",\"workers\":{\"env\":\"L_THREE\",\"defualt\":2}}", NULL,
         "at $.workers.defualt", "did you mean \"default\"?"},
        {"{" UP("a:1") ",\"workers\":{\"env\":\"L_HOST\"}}", NULL, "at $.workers",
         "1 to 64, or \"auto\" (told by $L_HOST of the environment)"},
        {"{" UP("a:1") ",\"drain_timeout\":{\"env\":\"L_THREE\"}}", NULL, "at $.drain_timeout",
         "\"3\", which is not a duration"},
        {"{" UP("$L_UNSET:1") "}", NULL, "at $.upstreams.a.server",
         "no L_UNSET; set it, or write ${L_UNSET:-fallback}"},
        {"{" UP("$L_EMPTY:1") "}", NULL, "at $.upstreams.a.server", "no L_EMPTY"},
        {"{" UP("${L_HOST:1") "}", NULL, "at $.upstreams.a.server", "write $NAME, ${NAME}"},
        {"{" UP("${L_HOST-x}:1") "}", NULL, "at $.upstreams.a.server", "${NAME:-fallback}"},
        {"{" UP("${L_UNSET:-${L_HOST}}:1") "}", NULL, "at $.upstreams.a.server", "write $NAME"},
        {"{" UP("$:1") "}", NULL, "at $.upstreams.a.server", "write $NAME"},
        {"{" UP("x$") "}", NULL, "at $.upstreams.a.server", "write $NAME"},
        {"{" UP("${") "}", NULL, "at $.upstreams.a.server", "write $NAME"},
        {"{" UP("$L_HOST") "}", NULL, "at $.upstreams.a.server",
         "\"app.example\" is no server; write \"127.0.0.1:8000\" (told by $L_HOST"},
        {"{\"upstreams\":{\"a\":{\"server\":{\"env\":\"L_DOLLAR\"}}}}", NULL,
         "at $.upstreams.a.server", "\"$L_HOST:1\" is no server"}, /* taken as it is */
        {"{" UP("a:1") "}", "x", "f:1:1 at $", "unknown profile \"x\": the file has no"},
        {"{\"$profile\":\n\"x\"," UP("a:1") "}", NULL, "f:2:1 at", "the file has no \"$profiles\""},
        {"{" PROFILES UP("a:1") "}", "developmnt", "f:1:14 at",
         "unknown profile \"developmnt\"; \"$profiles\" has: development, production, testing; did "
         "you mean \"development\"?"},
        {"{\"$profile\":\"qa\"," PROFILES UP("a:1") "}", NULL, "f:1:13 at", "unknown profile"},
        {"{\"$profile\":7," PROFILES UP("a:1") "}", NULL, "f:1:13 at", "is no name"},
        {"{\"$profile\":\"\"," PROFILES UP("a:1") "}", NULL, "f:1:13 at", "is no name"},
        {"{\"$profile\":{\"env\":\"L_UNSET\"}," PROFILES UP("a:1") "}", NULL, "at",
         "the environment has no L_UNSET"},
        {"{\"$profiles\":[]," UP("a:1") "}", NULL, "f:1:14 at", "is an array; write {"},
        {"{\"$profiles\":{\"a\":1}," UP("a:1") "}", NULL, "f:1:19 at",
         "a profile is a number; write an object"},
        {"{\"$profiles\":{\"a\":{\"$profiles\":{}}}," UP("a:1") "}", NULL, "at", "at the top"},
        /* what a profile brings is wrong where it stands, not where it ends up */
        {"{" UP("a:1") ",\"workers\":1,\n\"$profiles\":{\"a\":{\n\"workers\":0}}}", "a",
         "f:3:11 at $.workers", "1 to 64"},
        {"{" UP("a:1") ",\n\"$profiles\":{\"a\":{\"log\":\n{\"levl\":0}}}}", "a",
         "f:3:9 at $.log.levl", "did you mean \"level\"?"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct err errs[8];
        unsigned count = 0;
        struct config *c = NULL;
        enum err_code rc = config_parse_profile(span_str(cases[i].text), "f", cases[i].profile, &c,
                                                errs, 8, &count);
        if (rc != ERR_CONFIG || count != 1 || !strstr(errs[0].where, cases[i].where) ||
            !strstr(errs[0].what, cases[i].what))
            fail_msg("%s: %u errors, %s: %s", cases[i].text, count, errs[0].where, errs[0].what);
        assert_null(c);
    }
}

static void all_that_the_environment_lacks_is_told_at_once(void **state)
{
    struct err errs[8];
    unsigned count = 0;
    struct config *c = NULL;
    (void)state;
    assert_int_equal(
        config_parse(SPAN_LIT("{" UP("$L_UNSET:1") ",\"workers\":{\"env\":\"L_UNSET\"},"
                                                   "\"secret\":{\"env\":\"L_UNSET2\"}}"),
                     "f", &c, errs, 8, &count),
        ERR_CONFIG);
    assert_int_equal(count, 3);
}

static void a_profile_that_is_not_chosen_needs_nothing(void **state)
{
    (void)state;
    config_free(load("{" UP("a:1") ",\"$profiles\":{\"p\":{\"secret\":{\"env\":\"L_UNSET\"},"
                                   "\"listen\":\":$L_UNSET\",\"workers\":0}}}",
                     NULL));
}

int main(void)
{
    set_environment();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_value_may_come_from_the_environment),
        cmocka_unit_test(addresses_have_variables_in_them),
        cmocka_unit_test(rates_have_variables_in_them),
        cmocka_unit_test(a_profile_says_what_differs),
        cmocka_unit_test(each_mistake_has_its_place),
        cmocka_unit_test(all_that_the_environment_lacks_is_told_at_once),
        cmocka_unit_test(a_profile_that_is_not_chosen_needs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
