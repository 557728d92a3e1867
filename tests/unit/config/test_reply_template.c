/* Templates: what is written for each value, by its type, its filters and its place. */
#include "reply-test.h"

#include <time.h>

static enum err_code fill(const char *reply, struct buf *out, char bad[64])
{
    struct json_doc *doc = NULL;
    const struct reply_value *v = NULL;
    struct config *c = reply_config(reply);
    assert_int_equal(json_parse(SPAN_LIT(TEST_BODY), NULL, 0, 8, &doc, NULL), ERR_OK);
    struct reply_source source = {.value_of = test_value, .arg = (void *)json_root(doc)};
    enum err_code rc = reply_fill(c->aliases[0].reply, &source, out, &v);
    snprintf(bad, 64, "%.*s", v ? (int)v->text.len : 0, v ? v->text.p : "");
    json_doc_free(doc);
    config_free(c);
    return rc;
}

/* In both a ' stands for a ". */
struct filled {
    const char *reply, *want;
};

static void check(const struct filled *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf out;
        char bad[64], want[256];
        size_t n = strlen(cases[i].want);
        buf_init(&out, 4096);
        if (fill(cases[i].reply, &out, bad) != ERR_OK)
            fail_msg("%s: %s", cases[i].reply, bad);
        for (size_t k = 0; k <= n; k++)
            want[k] = cases[i].want[k] == '\'' ? '"' : cases[i].want[k];
        if (!span_eq(buf_span(&out), span_of(want, n)))
            fail_msg("%s gives %.*s, not %s", cases[i].reply, (int)out.len, out.p, want);
        buf_fini(&out);
    }
}

static void a_lone_value_keeps_its_type(void **state)
{
    static const struct filled cases[] = {
        {"'${hits}'", "1250"},
        {"'${bytes}'", "18446744073709551615"},
        {"'${redis.available}'", "true"},
        {"'${stats/a}'", "{'b':1}"},
        {"'${stats/nope}'", "null"},
        {"'${query.n}'", "'12'"},
        {"'${query.empty}'", "''"},
        {"'${query.s}'", "'a \\'b\\':*'"},
        {"'${json.n}'", "1.50"},
        {"'${json.s}'", "'x'"},
        {"'${json.t}'", "true"},
        {"'${json.list}'", "[1,'a']"},
        {"'${json.o}'", "{'z':1,'a':2}"},
        {"'${json.o.z}'", "1"},
        {"'${ hits }'", "1250"},
        {"'${json.none?}'", "null"},
    };
    (void)state;
    check(cases, array_len(cases));
}

static void filters_round_and_convert(void **state)
{
    static const struct filled cases[] = {
        {"'${hit_ratio}'", "0.874126"},
        {"'${hit_ratio|3}'", "0.874"},
        {"'${hit_ratio|percent|1}'", "87.4"},
        {"'${hit_ratio|percent|0}'", "87"},
        {"'${hit_ratio | percent | int}'", "87"},
        {"'${hits|2}'", "1250.00"},
        {"'${hits|0}'", "1250"},
        {"'${latency.hit.avg|0}'", "45"},
        {"'${latency.hit.avg|int}'", "44"},
        {"'${latency.hit.avg}'", "44.96"},
        {"'${latency.miss.avg}'", "2000"},
        {"'${latency.miss.avg|s}'", "2"},
        {"'${latency.miss.avg|s|1}'", "2.0"},
        {"'${latency.hit.avg|ms|1}'", "45.0"},
        {"'${route.r.ttl}'", "21600"},
        {"'${route.r.ttl|h}'", "6"},
        {"'${route.r.ttl|m}'", "360"},
        {"'${route.r.ttl|ms}'", "21600000"},
        {"'${uptime}'", "90.5"},
        {"'${uptime|int}'", "90"},
        {"'${uptime|m|2}'", "1.51"},
        {"'${query.n|int}'", "12"},
        {"'${query.n|1}'", "12.0"},
        {"'${json.n|0}'", "2"},
        {"'${json.n|int}'", "1"},
        {"'${now}'", "'2025-09-09T19:34:18Z'"},
        {"'${now|utc}'", "'2025-09-09T19:34:18Z'"},
        {"'${now|local}'", "'2025-09-10T01:04:18.553911'"},
        {"'${stats/a|1}'", "{'b':1}"},
    };
    (void)state;
    setenv("TZ", "IST-5:30", 1);
    tzset();
    check(cases, array_len(cases));
}

static void in_a_text_values_are_text(void **state)
{
    static const struct filled cases[] = {
        {"'${speedup|1}x'", "'44.4x'"},
        {"'<${hits}>'", "'<1250>'"},
        {"'${hits}/${query.n}'", "'1250/12'"},
        {"'${json.s}${json.n}${json.t}'", "'x1.50true'"},
        {"'<${json.o}>'", "'<{\\'z\\':1,\\'a\\':2}>'"},
        {"'<${query.s}>'", "'<a \\'b\\':*>'"},
        {"'at ${now}'", "'at 2025-09-09T19:34:18Z'"},
        {"'$${hits} is ${hits}'", "'${hits} is 1250'"},
        {"'$${'", "'${'"},
        {"'$ {hits} $hits } $'", "'$ {hits} $hits } $'"},
        {"'$$${hits}'", "'$${hits}'"},
        {"''", "''"},
    };
    (void)state;
    check(cases, array_len(cases));
}

static void absent_ones_take_their_member_along(void **state)
{
    static const struct filled cases[] = {
        {"{'a':'${json.none?}','b':1,'c':'${json.nul?}'}", "{'b':1}"},
        {"{'a':'<${json.none?}>','b':{'c':'${json.none?}'}}", "{'b':{}}"},
        {"['${json.none?}',1,'${json.none?|int}',[],'${json.s?}']", "[1,[],'x']"},
        {"{'a':null,'b':true,'c':1e5,'d':[{}]}", "{'a':null,'b':true,'c':1e5,'d':[{}]}"},
        {"{'z':1,'a':'${hits}'}", "{'z':1,'a':1250}"},
        {"{'x\\u0000y':'${hits}','\\u00e4':2}", "{'x\\u0000y':1250,'\xc3\xa4':2}"},
    };
    (void)state;
    check(cases, array_len(cases));
}

static void what_must_be_there_is_asked_for(void **state)
{
    static const struct {
        const char *reply, *bad;
        enum err_code rc;
    } cases[] = {
        {"{'a':'${json.none}'}", "json.none", ERR_NOT_FOUND},
        {"{'a':['x ${json.nul}']}", "json.nul", ERR_NOT_FOUND},
        {"'${query.x}'", "query.x", ERR_NOT_FOUND},
        {"'${query.s|int}'", "query.s", ERR_SYNTAX},
        {"'${query.empty|1}'", "query.empty", ERR_SYNTAX},
        {"'${json.list|0}'", "json.list", ERR_SYNTAX},
        {"'${json.t|0}'", "json.t", ERR_SYNTAX},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf out;
        char bad[64];
        buf_init(&out, 4096);
        assert_int_equal(fill(cases[i].reply, &out, bad), cases[i].rc);
        assert_string_equal(bad, cases[i].bad);
        buf_fini(&out);
    }
}

static void what_has_no_room_is_no_answer(void **state)
{
    char bad[64], block[8];
    struct buf out;
    (void)state;
    buf_init_fixed(&out, block, sizeof(block));
    assert_int_equal(fill("{'a':'${hits}','b':'${hits}'}", &out, bad), ERR_TOO_LARGE);
}

static void values_within_places_stay_values(void **state)
{
    struct json_doc *doc = NULL;
    const struct reply_value *v = NULL;
    struct buf out;
    (void)state;
    struct config *c =
        config_of("{" APP ",\"routes\":[{\"name\":\"r\",\"match\":\"GET /r\",\"ttl\":\"6h\"}],"
                  "\"aliases\":[{\"on\":\"GET /x\",\"open\":true,\"do\":\"invalidate\",\"with\":["
                  "{\"glob\":\"r:k=${query.s}:*\"},{\"glob\":\"${query.s}\"},"
                  "{\"tag\":\"t:${query.s}\"}],\"reply\":1}]}");
    static const char *const want[] = {"{\"glob\":\"r:k=a%20%22b%22%3A%2A:*\"}",
                                       "{\"glob\":\"a \\\"b\\\":*\"}",
                                       "{\"tag\":\"t:a \\\"b\\\":*\"}"};
    assert_int_equal(json_parse(SPAN_LIT(TEST_BODY), NULL, 0, 8, &doc, NULL), ERR_OK);
    struct reply_source source = {.value_of = test_value, .arg = (void *)json_root(doc)};
    assert_int_equal(c->aliases[0].with_count, 3);
    for (size_t i = 0; i < array_len(want); i++) {
        buf_init(&out, 4096);
        assert_int_equal(reply_fill(&c->aliases[0].with[i], &source, &out, &v), ERR_OK);
        buf_add_char(&out, '\0');
        assert_string_equal(out.p, want[i]);
        buf_fini(&out);
    }
    json_doc_free(doc);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_value_keeps_its_type),
        cmocka_unit_test(filters_round_and_convert),
        cmocka_unit_test(in_a_text_values_are_text),
        cmocka_unit_test(absent_ones_take_their_member_along),
        cmocka_unit_test(what_must_be_there_is_asked_for),
        cmocka_unit_test(what_has_no_room_is_no_answer),
        cmocka_unit_test(values_within_places_stay_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
