/* "redis", and what routes share by it. A ' in these texts stands for a ". */
#include "config-test.h"

#include <unistd.h>

#define SOME "'upstreams':{'app':{'server':'127.0.0.1:8000'}},'secret':'0123456789abcdef'"
#define ROUTE(more) "'routes':[{'name':'a','match':'GET /a','ttl':'1m'" more "}]"
#define REDIS(text) "{" SOME ",'redis':" text "}"

static char *quoted_of(const char *text)
{
    char *quoted = strdup(text);
    assert_non_null(quoted);
    for (char *p = quoted; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    return quoted;
}

static struct config *good(const char *text)
{
    char *quoted = quoted_of(text);
    struct config *c = config_of(quoted);
    free(quoted);
    return c;
}

static void each_mistake_has_its_place(void **state)
{
    static const struct {
        const char *text, *where, *what;
    } cases[] = {
        {REDIS("'127.0.0.1:6379'"), "f:1:86 at $.redis", "write an object"},
        {REDIS("{}"), "at $.redis", "needs \"server\": \"127.0.0.1:6379\", or \"sentinels\""},
        {REDIS("{'servr':'h:1','server':'h:1'}"), "at $.redis.servr", "did you mean \"server\"?"},
        {REDIS("{'server':7}"), "at $.redis.server", "no Redis server"},
        {REDIS("{'server':'localhost'}"), "at $.redis.server", "write \"127.0.0.1:6379\""},
        {REDIS("{'server':'h:0'}"), "at $.redis.server", "no Redis server"},
        {REDIS("{'server':'h:65536'}"), "at $.redis.server", "no Redis server"},
        {REDIS("{'server':'http://h:1'}"), "at $.redis.server", "rediss://host:6379"},
        {REDIS("{'server':'redis://'}"), "at $.redis.server", "no Redis server"},
        {REDIS("{'server':'redis://u:hunter2@h:1'}"), "at $.redis.server", "no credentials"},
        {REDIS("{'server':'redis://h:1/a'}"), "at $.redis.server", "the database's number"},
        {REDIS("{'server':'redis://h:1/65536'}"), "at $.redis.server", "the database's number"},
        {REDIS("{'server':'redis://h:1/1/2'}"), "at $.redis.server", "the database's number"},
        {REDIS("{'server':'redis://h:1/1','database':2}"), "at $.redis.server", "it is 2 already"},
        {REDIS("{'server':['redis://h:1/1','redis://i:1/2']}"), "at $.redis.server[1]",
         "it is 1 already"},
        {REDIS("{'server':['redis://h:1','rediss://i:1']}"), "at $.redis.server[1]",
         "all servers are rediss://"},
        {REDIS("{'server':['h:1','rediss://i:1']}"), "at $.redis.server[1]",
         "all servers are rediss://"},
        {REDIS("{'server':'redis://h:1','tls':true}"), "at $.redis.server", "all servers"},
        {REDIS("{'server':'rediss://h:1','tls':false}"), "at $.redis.server", "all servers"},
        {REDIS("{'server':'h:1','tls':{'verify':false,'ca':'a'}}"), "at $.redis.tls", "of no use"},
        {REDIS("{'server':'h:1','tls':'yes'}"), "at $.redis.tls", "write an object"},
        {REDIS("{'server':[]}"), "at $.redis.server", "array of 1 to 32"},
        {REDIS("{'server':['unix:/a']}"), "at $.redis.server[0]", "no Redis server"},
        {REDIS("{'server':'unix:redis.sock'}"), "at $.redis.server", "its whole path"},
        {REDIS("{'server':'unix:'}"), "at $.redis.server", "its whole path"},
        {REDIS("{'server':'unix:/a\\u0000b'}"), "at $.redis.server", "its whole path"},
        {REDIS("{'server':'unix:/a','tls':true}"), "at $.redis.server", "speaks no TLS"},
        {REDIS("{'server':'h:1','sentinels':['s:1'],'master':'m'}"), "at $.redis.sentinels",
         "exclude each other"},
        {REDIS("{'sentinels':['s:1']}"), "at $.redis.sentinels", "add \"master\""},
        {REDIS("{'sentinels':[],'master':'m'}"), "at $.redis.sentinels", "array of 1 to 32"},
        {REDIS("{'sentinels':'s:1','master':'m'}"), "at $.redis.sentinels", "array of 1 to 32"},
        {REDIS("{'sentinels':['s'],'master':'m'}"), "at $.redis.sentinels[0]", "no sentinel"},
        {REDIS("{'sentinels':['u:hunter2@s:1'],'master':'m'}"), "at $.redis.sentinels[0]",
         "no credentials"},
        {REDIS("{'server':'h:1','master':'m'}"), "at $.redis.master", "without \"sentinels\""},
        {REDIS("{'server':'h:1','sentinel_password':'p'}"), "at $.redis.sentinel_password",
         "without \"sentinels\""},
        {REDIS("{'sentinels':['s:1'],'master':'m','sentinel_user':'u'}"),
         "at $.redis.sentinel_user", "needs \"sentinel_password\""},
        {REDIS("{'server':'h:1','user':'u'}"), "at $.redis.user", "needs \"password\""},
        {REDIS("{'server':'h:1','password':7}"), "at $.redis.password", "{\"credential\""},
        {REDIS("{'server':'h:1','password':{'env':'LARDER_TEST_UNSET'}}"),
         "at $.redis.password.env", "set it"},
        {REDIS("{'server':'h:1','password':{'credential':'../x'}}"),
         "at $.redis.password.credential", "no credential's name"},
        {REDIS("{'server':'h:1','password':{'credential':'unset'}}"),
         "at $.redis.password.credential", "LoadCredential=unset:/path"},
        {REDIS("{'server':'h:1','database':-1}"), "at $.redis.database", "0 to 65535"},
        {REDIS("{'server':'h:1','prefix':'a{b}'}"), "at $.redis.prefix", "letters, digits"},
        {REDIS("{'server':'h:1','prefix':''}"), "at $.redis.prefix", "1 to 64"},
        {REDIS("{'server':'h:1','command_timeout':'0s'}"), "at $.redis.command_timeout",
         "from 1ms"},
        {REDIS("{'server':'h:1','command_timeout':50}"), "at $.redis.command_timeout", "a unit"},
        {REDIS("{'server':'h:1','max_object_bytes':'1GiB'}"), "at $.redis.max_object_bytes",
         "to 268435456"},
        {REDIS("{'server':'h:1','queue_bytes':'1KiB'}"), "at $.redis", "above \"queue_bytes\""},
        {REDIS("{'server':'h:1','max_invalidation_lag':'99ms'}"), "at $.redis.max_invalidation_lag",
         "from 100ms"},
        {"{'upstreams':{'a':{'server':'h:1'}},\n'redis':{'server':'h:1'}}", "f:2:9 at $.redis",
         "openssl rand -hex 32"},
        {"{" SOME "," ROUTE(",'shared':'full'") "}", "at $.routes[0].shared", "write \"none\""},
        {"{" SOME "," ROUTE(",'shared':'invalidation'") "}", "at $.routes[0].shared",
         "add \"redis\": {\"server\": \"127.0.0.1:6379\"}"},
        {"{" SOME "," ROUTE(",'shared':'all'") "}", "at $.routes[0].shared",
         "\"none\", \"invalidation\" or \"full\""},
        {"{" SOME "," ROUTE(",'on_partition':'reject'") "}", "at $.routes[0].on_partition",
         "\"bypass\""},
        {"{" SOME "," ROUTE(",'coalesce':'fleet'") "}", "at $.routes[0].coalesce",
         "needs \"shared\": \"full\""},
        {"{" SOME ",'redis':{'server':'h:1'}," ROUTE(",'coalesce':'fleet'") "}",
         "at $.routes[0].coalesce", "needs \"shared\": \"full\""},
        {"{" SOME ",'redis':{'server':'h:1'},'routes':[{'name':'a','match':'PUT /a',"
         "'shared':'full'}]}",
         "at $.routes[0].shared", "nothing is cached"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct err errs[8] = {0};
        unsigned count = 0;
        struct config *c = NULL;
        char *text = quoted_of(cases[i].text);
        enum err_code rc = config_parse(span_str(text), "f", &c, errs, 8, &count);
        const char *where = strstr(errs[0].where, cases[i].where);
        bool is_there = where && (cases[i].where[0] != 'f' || where == errs[0].where);
        bool is_end = where && where[strlen(cases[i].where)] == '\0'; /* the whole path */
        if (rc == ERR_OK || count != 1 || !is_there || !is_end ||
            !strstr(errs[0].what, cases[i].what))
            fail_msg("%s\n%u errors, %s: %s", text, count, errs[0].where, errs[0].what);
        assert_null(strstr(errs[0].what, "hunter2"));
        assert_null(c);
        free(text);
    }
}

static void what_is_left_out_has_its_default(void **state)
{
    struct config *c = good(REDIS("{'server':'127.0.0.1:6379'}"));
    const struct redis_config *r = c->redis;
    (void)state;
    assert_int_equal(r->server_count, 1);
    assert_string_equal(r->server[0].host, "127.0.0.1");
    assert_int_equal(r->server[0].port, 6379);
    assert_true(!r->socket.len && !r->sentinel_count && !r->user.len && !r->password.len);
    assert_true(!r->tls && r->database == 0 && span_eq(r->prefix, SPAN_LIT("larder")));
    assert_int_equal(r->connect_timeout_ms, 1000);
    assert_int_equal(r->command_timeout_ms, 50);
    assert_int_equal(r->idle_timeout_ms, 30000);
    assert_int_equal(r->max_object_bytes, 1 << 20);
    assert_int_equal(r->queue_max, 1024);
    assert_int_equal(r->queue_bytes, 32 << 20);
    assert_int_equal(r->compress_bytes, 1024);
    assert_int_equal(r->max_invalidation_lag_ms, 5000);
    config_free(c);

    c = good("{'upstreams':{'app':{'server':'127.0.0.1:8000'}}}");
    assert_null(c->redis);
    config_free(c);
}

static void a_server_is_written_in_several_ways(void **state)
{
    static const struct {
        const char *redis, *host;
        unsigned count, port, database;
        bool has_tls;
    } cases[] = {
        {"{'server':'[::1]:6380'}", "::1", 1, 6380, 0, false},
        {"{'server':'redis://cache'}", "cache", 1, 6379, 0, false},
        {"{'server':'redis://cache/'}", "cache", 1, 6379, 0, false},
        {"{'server':'redis://[::1]/3'}", "::1", 1, 6379, 3, false},
        {"{'server':'redis://cache:7000/15','database':15}", "cache", 1, 7000, 15, false},
        {"{'server':'rediss://cache/0'}", "cache", 1, 6379, 0, true},
        {"{'server':'rediss://cache','tls':{'verify':false}}", "cache", 1, 6379, 0, true},
        {"{'server':'cache:1','tls':true,'database':2}", "cache", 1, 1, 2, true},
        {"{'server':['a:1','redis://b:2/4','redis://c/4']}", "a", 3, 1, 4, false},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        char text[512];
        snprintf(text, sizeof(text), REDIS("%s"), cases[i].redis);
        struct config *c = good(text);
        const struct redis_config *r = c->redis;
        assert_int_equal(r->server_count, cases[i].count);
        assert_string_equal(r->server[0].host, cases[i].host);
        assert_int_equal(r->server[0].port, cases[i].port);
        assert_int_equal(r->database, cases[i].database);
        assert_int_equal(r->tls != NULL, cases[i].has_tls);
        config_free(c);
    }
    for (int i = 0; i < 2; i++) {
        struct config *c = good(i ? REDIS("{'server':'unix:///run/redis.sock'}")
                                  : REDIS("{'server':'unix:/run/redis.sock'}"));
        assert_string_equal(c->redis->socket.p, "/run/redis.sock");
        assert_int_equal(c->redis->server_count, 0);
        config_free(c);
    }
}

static void sentinels_stand_in_a_servers_place(void **state)
{
    struct config *c =
        good(REDIS("{'sentinels':['10.0.0.1:26379','[::1]:26380'],'master':'mine','tls':true,"
                   "'user':'u','password':{'env':'T'},'sentinel_user':'su',"
                   "'sentinel_password':'sp','database':7,'prefix':'a-b_c.d','compress':'0'}"));
    const struct redis_config *r = c->redis;
    (void)state;
    assert_int_equal(r->sentinel_count, 2);
    assert_string_equal(r->sentinel[1].host, "::1");
    assert_int_equal(r->sentinel[1].port, 26380);
    assert_string_equal(r->master.p, "mine");
    assert_string_equal(r->user.p, "u");
    assert_string_equal(r->password.p, "of-the-environment");
    assert_string_equal(r->sentinel_user.p, "su");
    assert_string_equal(r->sentinel_password.p, "sp");
    assert_string_equal(r->prefix.p, "a-b_c.d");
    assert_true(r->tls && r->tls->verify && r->database == 7 && r->compress_bytes == 0);
    config_free(c);
}

static void an_address_of_the_environment_may_tell_credentials(void **state)
{
    static const struct {
        const char *url, *config, *what;
    } wrong[] = {
        {"redis://u:hunter2@h", "{'server':{'env':'URL'},'user':'u','password':'p'}", "leave one"},
        {"redis://hunter2@h", "{'server':{'env':'URL'}}", "no password"},
        {"redis://u:@h", "{'server':{'env':'URL'}}", "no password"},
        {"redis://u:hunter2@h:x", "{'server':{'env':'URL'}}", "\"h:x\" is no Redis server"},
        {"redis://u:hunter2@h/x", "{'server':{'env':'URL'}}", "the database's number"},
        {"h", "{'server':'redis://u:hunter2@$URL'}", "no credentials"},
    };
    (void)state;
    setenv("URL", "rediss://:p%40ss%3a@h.example:6380/3", 1);
    struct config *c = good(REDIS("{'server':{'env':'URL'},'tls':{'verify':false}}"));
    assert_string_equal(c->redis->server[0].host, "h.example");
    assert_int_equal(c->redis->server[0].port, 6380);
    assert_string_equal(c->redis->password.p, "p@ss:");
    assert_true(c->redis->user.len == 0 && c->redis->database == 3 && c->redis->tls);
    config_free(c);
    setenv("URL", "redis://u:a:b@h", 1);
    c = good(REDIS("{'server':'$URL'}"));
    assert_string_equal(c->redis->user.p, "u");
    assert_string_equal(c->redis->password.p, "a:b");
    assert_int_equal(c->redis->server[0].port, 6379);
    config_free(c);
    for (size_t i = 0; i < array_len(wrong); i++) {
        struct err errs[4];
        unsigned count = 0;
        char text[400];
        snprintf(text, sizeof(text), "{" SOME ",'redis':%s}", wrong[i].config);
        char *quoted = quoted_of(text);
        setenv("URL", wrong[i].url, 1);
        assert_int_equal(config_parse(span_str(quoted), "f", &c, errs, 4, &count), ERR_CONFIG);
        assert_non_null(strstr(errs[0].what, wrong[i].what));
        assert_null(strstr(errs[0].what, "hunter2"));
        free(quoted);
    }
    unsetenv("URL");
}

static void credentials_come_from_their_directory(void **state)
{
    char directory[] = "/tmp/larder-credentials-XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/redis", directory);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs("hunter2\n", f);
    fclose(f);
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    struct config *c = good(REDIS("{'server':'h:1','password':{'credential':'redis'}}"));
    assert_string_equal(c->redis->password.p, "hunter2");
    config_free(c);

    struct err errs[2];
    unsigned count = 0;
    char *text = quoted_of(REDIS("{'server':'h:1','password':{'credential':'other'}}"));
    assert_int_equal(config_parse(span_str(text), "f", &c, errs, 2, &count), ERR_CONFIG);
    assert_non_null(strstr(errs[0].what, "/other\" cannot be read"));
    free(text);
    unsetenv("CREDENTIALS_DIRECTORY");
    unlink(path);
    rmdir(directory);
}

static void redis_says_what_routes_share_that_do_not(void **state)
{
    struct config *c = good("{" SOME ",'redis':{'server':'h:1','shared':'full'},'routes':["
                            "{'name':'a','match':'GET /a','ttl':'1m','coalesce':'fleet'},"
                            "{'name':'b','match':'GET /b','ttl':'1m','shared':'none'},"
                            "{'name':'c','match':'PUT /c','on_write':{'tags':['c']}}]}");
    (void)state;
    assert_int_equal(c->routes[0].shared, SHARED_FULL);
    assert_int_equal(c->routes[1].shared, SHARED_NONE);
    assert_int_equal(c->routes[2].shared, SHARED_INVALIDATION); /* it has no answers */
    config_free(c);
}

static void routes_share_what_they_say(void **state)
{
    struct config *c = good("{" SOME "," ROUTE(",'shared':'none'") "}");
    (void)state;
    assert_int_equal(c->routes[0].shared, SHARED_NONE);
    assert_int_equal(c->routes[1].shared, SHARED_NONE);
    config_free(c);

    c = good("{" SOME ",'redis':{'server':'h:1'},'routes':["
             "{'name':'a','match':'GET /a','ttl':'1m'},"
             "{'name':'b','match':'GET /b','ttl':'1m','shared':'none','on_partition':'serve'},"
             "{'name':'c','match':'GET /c','ttl':'1m','shared':'full','coalesce':'fleet',"
             "'on_partition':'bypass'}]}");
    const struct route *r = c->routes;
    assert_int_equal(r[0].shared, SHARED_INVALIDATION);
    assert_int_equal(r[1].shared, SHARED_NONE);
    assert_int_equal(r[2].shared, SHARED_FULL);
    assert_int_equal(r[3].shared, SHARED_INVALIDATION); /* writes of no route take back, too */
    assert_int_equal(r[0].on_partition, PARTITION_REVALIDATE);
    assert_int_equal(r[1].on_partition, PARTITION_SERVE);
    assert_int_equal(r[2].on_partition, PARTITION_BYPASS);
    assert_true(!r[0].is_fleet_coalesced && r[2].is_fleet_coalesced);
    struct buf out;
    buf_init(&out, 1 << 20);
    config_explain(c, &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "redis     h:1; database 0, keys {larder:larder}:*\n"));
    assert_non_null(strstr(out.p, "  shared    invalidations; out of contact"));
    assert_non_null(strstr(out.p, "  shared    answers and invalidations; one fetch for all"));
    buf_fini(&out);
    config_free(c);
}

static struct config *route_with(const char *upstream, const char *route)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{'upstreams':{'a':{'server':'h:1'},'b':{'server':'h:2'}},'default_upstream':'%s',"
             "'secret':'0123456789abcdef','redis':{'server':'h:1'},'routes':[{%s}]}",
             upstream, route);
    return good(text);
}

static void a_fingerprint_tells_routes_apart(void **state)
{
    static const char usual[] = "'name':'a','match':'GET /a','ttl':'1m'";
    static const struct {
        const char *upstream, *route;
        bool is_same;
    } cases[] = {
        {"a", "'name':'a','match':'GET /a','ttl':'1m'", true},
        {"a", "'ttl' : '1m', 'match':'GET /a', /* soon */ 'name':'a'", true},
        {"a", "'name':'a','match':'GET /a','ttl':'2m'", false},
        {"a", "'name':'b','match':'GET /a','ttl':'1m'", false},
        {"a", "'name':'a','match':'GET /a','ttl':'1m','key':[]", false},
        {"b", "'name':'a','match':'GET /a','ttl':'1m'", false},
    };
    struct config *first = route_with("a", usual);
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct config *c = route_with(cases[i].upstream, cases[i].route);
        bool is_same = memcmp(c->routes[0].fingerprint, first->routes[0].fingerprint,
                              sizeof(c->routes[0].fingerprint)) == 0;
        if (is_same != cases[i].is_same)
            fail_msg("%s", cases[i].route);
        config_free(c);
    }
    config_free(first);
}

int main(void)
{
    setenv("T", "of-the-environment", 1);
    unsetenv("CREDENTIALS_DIRECTORY");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_has_its_place),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(a_server_is_written_in_several_ways),
        cmocka_unit_test(sentinels_stand_in_a_servers_place),
        cmocka_unit_test(an_address_of_the_environment_may_tell_credentials),
        cmocka_unit_test(credentials_come_from_their_directory),
        cmocka_unit_test(redis_says_what_routes_share_that_do_not),
        cmocka_unit_test(routes_share_what_they_say),
        cmocka_unit_test(a_fingerprint_tells_routes_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
