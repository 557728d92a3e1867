/* Mistakes in the rules of routes, warm jobs and control: each is told at its place, with what
 * would be right. A ' in these texts stands for a ". */
#include "config-test.h"

static const struct {
    const char *route, *member, *what;
} route_cases[] = {
    {"'store_if':['a']", "store_if", "write a condition such as"},
    {"'store_if':'status = 200'", "store_if", "=="},
    {"'store_if':'status == 200 &&'", "store_if", ""},
    {"'ttl_if':{}", "ttl_if", "1 to"},
    {"'ttl_if':[]", "ttl_if", "1 to"},
    {"'ttl_if':[{'if':'/a == 1'}]", "ttl_if[0]", "ttl"},
    {"'ttl_if':[{'if':'/a == 1','ttl':'5'}]", "ttl_if[0].ttl", "not a duration"},
    {"'stale_if_error':7", "stale_if_error", "per_day"},
    {"'stale_if_error':{'max':'1h','perday':'1m'}", "stale_if_error.perday", "per_day"},
    {"'stale_while_revalidate':'soon'", "stale_while_revalidate", "duration"},
    {"'refresh_ahead':'yes'", "refresh_ahead", "XFetch"},
    {"'refresh_ahead':101", "refresh_ahead", "0 to 100"},
    {"'jitter':'200%'", "jitter", "%"},
    {"'until':7", "until", "06:00 Asia/Kolkata"},
    {"'until':[]", "until", "one time of day"},
    {"'until':'25:00 UTC'", "until", "25:00"},
    {"'until':'06:00 Asia/Calcuta'", "until", "no time zone"},
    {"'tags':'org'", "tags", "array of at most"},
    {"'tags':[7]", "tags[0]", "write a tag"},
    {"'tags':['']", "tags[0]", "1 to"},
    {"'tags':['org:{query.a']", "tags[0]", "not closed"},
    {"'tags':['org:{response.rooms}']", "tags[0]", "JSON pointer"},
    {"'tags':['{response./rooms/*/id}']", "tags[0]", "a word of its own"},
    {"'tags':['a:{quer.a}']", "tags[0]", "did you mean \"query\"?"},
    {"'tags':[{'tag':'a','maximum':3}]", "tags[0].maximum", "max"},
    {"'stats_by':'a'", "stats_by", "labels"},
    {"'stats_by':[7]", "stats_by[0]", "label"},
    {"'identity':7", "identity", "write \"none\", \"auth\""},
    {"'identity':'nobody.x'", "identity", "nobody"},
    {"'identity':{'jwt':'org','key':'0123456789abcdef0123456789abcdef'}", "identity",
     "JSON pointer into the token"},
    {"'identity':{'jwt':'/org','from':'query.t','key':'0123456789abcdef0123456789abcdef'}",
     "identity", "header or a cookie"},
    {"'params':['page']", "params", "write an object"},
    {"'params':{'page':'skip'}", "params.page", "\"ignore\""},
    {"'params':{'page':{'type':'integer'}}", "params.page.type", "\"int\""},
    {"'params':{'page':{'type':'int','default':'x'}}", "params.page.default", "type"},
    {"'unknown':'refuse'", "unknown", "\"reject\""},
    {"'unknown':'ignore'", "unknown", "without \"key\""},
    {"'on_write':{'tags':['a']}", "on_write", "either cached or a write"},
};

static const struct {
    const char *rules, *member, *what;
} write_cases[] = {
    {"{}", "on_write", "names nothing"},
    {"{'tags':[]}", "on_write", "names nothing"},
    {"{'tags':'a'}", "on_write.tags", "array of at most"},
    {"{'tags':[7]}", "on_write.tags[0]", "write a text"},
    {"{'tags':['a:{response./id}']}", "on_write.tags[0]", "path, query or body"},
    {"{'keys':['a:{quer.x}']}", "on_write.keys[0]", "did you mean"},
    {"{'mode':'gentle','tags':['a']}", "on_write.mode", "\"soft\""},
    {"{'routes':{}}", "on_write.routes", "write an array"},
    {"{'routes':[{'route':'nobody'}]}", "on_write.routes[0].route", "no route \"nobody\""},
    {"{'routes':[{'route':'a','params':['x']}]}", "on_write.routes[0].params", "write an object"},
    {"{'routes':[{'route':'a','params':{'org':'1'}}]}", "on_write.routes[0].params.org",
     "no parameter \"org\""},
    {"{'routes':[{'route':'a','params':{'page':7}}]}", "on_write.routes[0].params.page",
     "write at most"},
};

static const struct {
    const char *text, *where, *what;
} top_cases[] = {
    {"'warm':{}", "$.warm", "array of at most"},
    {"'warm':[{'name':'w'}]", "$.warm[0]", "one of \"urls\""},
    {"'warm':[{'name':'w','urls':['/a'],'hottest':3}]", "$.warm[0]", "one of \"urls\""},
    {"'warm':[{'name':'','urls':['/a']}]", "$.warm[0].name", "1 to 64"},
    {"'warm':[{'urls':['/a']}]", "$.warm[0]", "\"name\" is missing"},
    {"'warm':[{'name':'w','urls':[]}]", "$.warm[0].urls", "array of 1 to"},
    {"'warm':[{'name':'w','urls':['a']}]", "$.warm[0].urls[0]", "write a path"},
    {"'warm':[{'name':'w','route':'nobody'}]", "$.warm[0].route", "no route \"nobody\""},
    {"'warm':[{'name':'w','route':'a','params':[1]}]", "$.warm[0].params", "write an object"},
    {"'warm':[{'name':'w','urls':['/a'],'rate':0}]", "$.warm[0].rate", "from 1"},
    {"'warm':[{'name':'w','urls':['/a'],'on':'boot'}]", "$.warm[0].on", "\"start\""},
    {"'warm':[{'name':'w','urls':['/a'],'on':'every 10'}]", "$.warm[0].on", "every 10m"},
    {"'warm':[{'name':'w','urls':['/a'],'on':['05:30 Nowhere']}]", "$.warm[0].on[0]", "Nowhere"},
    {"'warm':[{'name':'w','urls':['/a'],'headers':{'A:':'x'}}]", "$.warm[0].headers[\"A:\"]",
     "no field name"},
    {"'control':{'tokens':{}}", "$.control.tokens", "array of"},
    {"'control':{'tokens':[{'name':'t','token':'abcdefgh','scopes':['all']}]}",
     "$.control.tokens[0].scopes[0]", "\"invalidate\""},
    {"'control':{'tokens':[{'name':'t','token':'abcdefgh','scopes':[]}]}",
     "$.control.tokens[0].scopes", "write an array"},
    {"'control':{'tokens':[{'name':'t','token':'abcdefgh','scopes':['read'],'bound':[]}]}",
     "$.control.tokens[0].bound", "1 to"},
    {"'control':{'socket':'/x','socket_mode':'rw'}", "$.control.socket_mode", "octal"},
};

/* Members of the first of "rate_limits", and what stands behind it. */
static const struct {
    const char *limit, *more, *where, *what;
} rate_cases[] = {
    {"'name':'a b','limits':['1/1s']", "", ".rate_limits[0].name", "1 to 64 letters"},
    {"'name':'off','limits':['1/1s']", "", ".rate_limits[0].name", "choose another"},
    {"'name':'a'", "", ".rate_limits[0]", "\"limits\" is missing"},
    {"'name':'a','limits':'30/1m'", "", ".rate_limits[0].limits", "write an array"},
    {"'name':'a','limits':['30']", "", ".rate_limits[0].limits[0]", "\"30/1m\""},
    {"'name':'a','limits':['30/minute']", "", ".rate_limits[0].limits[0]", "no rate"},
    {"'name':'a','limits':['0/1m']", "", ".rate_limits[0].limits[0]", "no rate"},
    {"'name':'a','limits':['1/0s']", "", ".rate_limits[0].limits[0]", "no rate"},
    {"'name':'a','limits':['1/32d']", "", ".rate_limits[0].limits[0]", "at most \"31d\""},
    {"'name':'a','limits':[7]", "", ".rate_limits[0].limits[0]", "no rate"},
    {"'name':'a','limits':['1/1m','2/1m']", "", ".rate_limits[0].limits[1]", "give one a name"},
    {"'name':'a','limits':[{'burst':2}]", "", ".rate_limits[0].limits[0]", "\"60/1m\""},
    {"'name':'a','limits':[{'rate':'1/x'}]", "", ".rate_limits[0].limits[0].rate", "no rate"},
    {"'name':'a','limits':[{'rate':'1/1s','burst':0}]", "", ".rate_limits[0].limits[0].burst",
     "from 1"},
    {"'name':'a','limits':[{'rate':'1/1s','name':'b c'}]", "", ".rate_limits[0].limits[0].name",
     "no name"},
    {"'name':'a','limits':['1/1s'],'by':'json.user'", "", ".rate_limits[0].by", "before the body"},
    {"'name':'a','limits':['1/1s'],'by':'clients'", "", ".rate_limits[0].by", "header.X"},
    {"'name':'a','limits':['1/1s'],'by':[]", "", ".rate_limits[0].by", "1 to 4"},
    {"'name':'a','limits':['1/1s'],'by':[7]", "", ".rate_limits[0].by[0]", "\"client\""},
    {"'name':'a','limits':['1/1s'],'class':'header.X'", "", ".rate_limits[0].class", "\"classes\""},
    {"'name':'a','limits':['1/1s'],'classes':{'t':[]}", "", ".rate_limits[0].classes",
     "\"header.X-User-Type\""},
    {"'name':'a','limits':['1/1s'],'class':'header.X','classes':{'t':'1/1s'}", "",
     ".rate_limits[0].classes.t", "write an array"},
    {"'name':'a','limits':['1/1s'],'class':'form.x','classes':{'t':[]}", "",
     ".rate_limits[0].class", "before the body"},
    {"'name':'a','limits':['1/1s'],'over':'stales'", "", ".rate_limits[0].over", "\"stale\""},
    {"'name':'a','limits':['1/1s'],'max_client':5", "", ".rate_limits[0].max_client",
     "did you mean \"max_clients\""},
    {"'name':'a','limits':['1/1s']", ",{'name':'a','limits':['1/1s']}", ".rate_limits[1].name",
     "choose another"},
    {"'name':'a','limits':['1/1s']", ",{'name':'b','limits':[{'rate':'1/1s','name':'a-1s'}]}",
     ".rate_limits[1]", "another name"},
    {"'name':'a','limits':['1/1s']",
     ",{'name':'b','limits':['1/1s'],'class':'header.X','classes':{'t':[{'rate':'1/1s',"
     "'name':'a-1s'}]}}",
     ".rate_limits[1]", "another name"},
};

static const struct {
    const char *value, *where, *what;
} rate_set_cases[] = {
    {"'apy'", ".rate_limit", "did you mean \"api\""},
    {"'nobody'", ".rate_limit", "no rate limit \"nobody\""},
    {"7", ".rate_limit", "\"off\""},
    {"['api','api']", ".rate_limit[1]", "twice"},
    {"['api',7]", ".rate_limit[1]", "no rate limit"},
    {"['api','b','c','d','e']", ".rate_limit", "at most 4"},
};

static void check(const char *text, const char *where, const char *what)
{
    struct err errs[8] = {0};
    unsigned count = 0;
    struct config *c = NULL;
    char *quoted = strdup(text);
    assert_non_null(quoted);
    for (char *p = quoted; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (config_parse(span_str(quoted), "f", &c, errs, 8, &count) == ERR_OK)
        fail_msg("%s is taken", text);
    bool is_found = false;
    for (unsigned i = 0; i < count; i++) {
        const char *at = strstr(errs[i].where, where);
        is_found |= at && !at[strlen(where)] && strstr(errs[i].what, what);
    }
    if (!is_found)
        fail_msg("%s\n%s: %s\nnot %s: %s", text, errs[0].where, errs[0].what, where, what);
    free(quoted);
}

#define START "{'upstreams':{'app':{'server':'127.0.0.1:8000'}},"

static void mistakes_in_a_routes_rules_are_told(void **state)
{
    char text[1024], where[128];
    (void)state;
    for (size_t i = 0; i < array_len(route_cases); i++) {
        snprintf(text, sizeof(text),
                 START "'routes':[{'name':'a','match':'GET /a','ttl':'1m',%s}]}",
                 route_cases[i].route);
        snprintf(where, sizeof(where), " at $.routes[0].%s", route_cases[i].member);
        check(text, where, route_cases[i].what);
    }
}

static void mistakes_in_what_a_write_takes_back_are_told(void **state)
{
    char text[1024], where[128];
    (void)state;
    for (size_t i = 0; i < array_len(write_cases); i++) {
        snprintf(text, sizeof(text),
                 START "'routes':[{'name':'a','match':'GET /a','ttl':'1m','key':['query.page']},"
                       "{'name':'w','match':'PUT /a','on_write':%s}]}",
                 write_cases[i].rules);
        snprintf(where, sizeof(where), " at $.routes[1].%s", write_cases[i].member);
        check(text, where, write_cases[i].what);
    }
}

static void mistakes_in_jobs_and_tokens_are_told(void **state)
{
    char text[1024], where[128];
    (void)state;
    for (size_t i = 0; i < array_len(top_cases); i++) {
        snprintf(text, sizeof(text),
                 START "'routes':[{'name':'a','match':'GET /a','ttl':'1m'}],%s}",
                 top_cases[i].text);
        snprintf(where, sizeof(where), " at %s", top_cases[i].where);
        check(text, where, top_cases[i].what);
    }
}

static void mistakes_in_rate_limits_are_told(void **state)
{
    char text[1024], where[128];
    (void)state;
    for (size_t i = 0; i < array_len(rate_cases); i++) {
        snprintf(text, sizeof(text), START "'rate_limits':[{%s}%s]}", rate_cases[i].limit,
                 rate_cases[i].more);
        snprintf(where, sizeof(where), " at $%s", rate_cases[i].where);
        check(text, where, rate_cases[i].what);
    }
    for (size_t i = 0; i < array_len(rate_set_cases); i++) {
        static const char *const places[] = {"", "'routes':[{'name':'a','match':'GET /a',"};
        for (unsigned n = 0; n < array_len(places); n++) {
            snprintf(text, sizeof(text),
                     START "'rate_limits':[{'name':'api','limits':['1/1s']}],%s'rate_limit':%s%s}",
                     places[n], rate_set_cases[i].value, n ? "}]" : "");
            snprintf(where, sizeof(where), " at $%s%s", n ? ".routes[0]" : "",
                     rate_set_cases[i].where);
            check(text, where, rate_set_cases[i].what);
        }
    }
}

static void more_pointers_than_one_reading_can_follow_are_refused(void **state)
{
    (void)state;
    for (unsigned more = 1; more <= 2; more++) { /* beside 60 of the rules and the guard's three */
        char text[4096];
        struct buf b;
        struct err errs[2];
        unsigned errors = 0;
        struct config *c = NULL;
        buf_init_fixed(&b, text, sizeof(text));
        buf_add_str(&b, "{" APP ",\"routes\":[{\"name\":\"a\",\"match\":\"GET /a\",\"ttl\":\"1m\","
                        "\"ttl_if\":[");
        for (unsigned i = 0; i < 60; i++)
            buf_add_fmt(&b, "%s/p%u == 1%s",
                        i == 0        ? "{\"if\":\""
                        : i % 15 == 0 ? ",{\"if\":\""
                                      : " || ",
                        i, i % 15 == 14 ? "\",\"ttl\":\"1m\"}" : "");
        buf_add_fmt(&b, "],\"store_if\":\"/q == 1%s\"}]}", more == 2 ? " || /r == 1" : "");
        assert_false(b.failed);
        enum err_code rc = config_parse(buf_span(&b), "f", &c, errs, 2, &errors);
        assert_int_equal(rc, more == 1 ? ERR_OK : ERR_CONFIG);
        if (rc) {
            assert_non_null(strstr(errs[0].where, "at $.routes[0]"));
            assert_non_null(strstr(errs[0].what, "more than 64 different JSON pointers"));
        }
        config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_in_a_routes_rules_are_told),
        cmocka_unit_test(mistakes_in_what_a_write_takes_back_are_told),
        cmocka_unit_test(mistakes_in_jobs_and_tokens_are_told),
        cmocka_unit_test(mistakes_in_rate_limits_are_told),
        cmocka_unit_test(more_pointers_than_one_reading_can_follow_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
