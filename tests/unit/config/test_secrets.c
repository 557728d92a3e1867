/* test_secrets.c: what is secret, or tells who asks, stands in clear in no key, no tag and no
 * target that is shown; and who writes is told where a tag could not be met for that. A ' in these
 * texts stands for a ". */
#include "config-test.h"

#include <larder/config/route.h>

static void quoted(char *text)
{
    for (; *text; text++)
        *text = *text == '\'' ? '"' : *text;
}

static struct config *config_with(const char *routes)
{
    char text[2048];
    snprintf(text, sizeof(text), "{" APP "," SECRET ",'routes':[%s]}", routes);
    quoted(text);
    return config_of(text);
}

#define CACHED "'match':'GET /a/{id}','ttl':'1m','name':'a',"

static void targets_are_shown_without_secrets(void **state)
{
    static const struct {
        const char *routes, *method, *shown;
    } cases[] = {
        {"{" CACHED "'key':['path.id']}", "GET", "/a/hush?t=hush"},
        {"{" CACHED "'key':['path.id',{'param':'query.t','secret':true}]}", "GET", "/a/hush?***"},
        {"{" CACHED "'key':[{'param':'path.id','secret':true}]}", "GET", "/a/***?***"},
        {"{" CACHED "'key':['path.id'],'identity':'query.t'}", "GET", "/a/hush?***"},
        {"{" CACHED "'key':['path.id'],'tags':['of:{!query.t}']}", "GET", "/a/hush?***"},
        {"{" CACHED "'key_template':'a:{!path.id}'}", "GET", "/a/***?***"},
        {"{" CACHED "'key':['path.id']},"
         "{'name':'w','match':'PUT /a/{id}','on_write':{'tags':['of:{!query.t}']}}",
         "PUT", "/a/hush?***"},
        {"{" CACHED "'key':['path.id',{'param':'query.t','secret':true}]},"
         "{'name':'w','match':'PUT /a/{id}','on_write':{'routes':[{'route':'a','params':"
         "{'t':'{query.t}'}}]}}",
         "PUT", "/a/hush?***"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct config *c = config_with(cases[i].routes);
        struct text_request r;
        char block[100];
        struct buf out;
        request_match(c, &r, cases[i].method, "/a/hush?t=hush", "");
        buf_init_fixed(&out, block, sizeof(block));
        struct span shown = route_shown_target(r.route, &r.head, &out);
        if (!span_eq(shown, span_str(cases[i].shown)))
            fail_msg("%s: " SPAN_FMT, cases[i].routes, SPAN_ARG(shown));
        free(r.text);
        config_free(c);
    }
}

static void what_tells_who_asks_is_secret_in_tags(void **state)
{
    static const struct {
        const char *identity, *tag;
        bool is_secret;
    } cases[] = {
        {"none", "x:{header.X-Org}", false},        {"header.X-Org", "x:{header.X-Org}", true},
        {"header.X-Org", "x:{header.x-org}", true}, {"auth", "x:{auth}", true},
        {"auth", "x:{header.authorization}", true}, {"cookie.sid", "x:{header.Cookie}", true},
        {"cookie.sid", "x:{cookie.sid}", true},     {"cookie.sid", "x:{cookie.SID}", false},
        {"cookie.sid", "x:{!cookie.theme}", true},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        char text[512];
        snprintf(text, sizeof(text), "{" CACHED "'key':['path.id'],'identity':'%s','tags':['%s']}",
                 cases[i].identity, cases[i].tag);
        struct config *c = config_with(text);
        if (c->routes[0].tags[0].pieces[0].param.secret != cases[i].is_secret)
            fail_msg("%s", text);
        config_free(c);
    }
}

static void a_write_that_meets_no_tag_for_its_secret_is_told(void **state)
{
    static const struct {
        const char *tag, *taken_back;
        bool is_good;
    } cases[] = {
        {"'x:{query.t}'", "'x:{query.t}'", true},
        {"'x:{!query.t}'", "'x:{!query.t}'", true},
        {"'x:{!query.t}'", "'x:{query.t}'", false},
        {"'x:{query.t}'", "'x:{!query.t}'", false},
        {"'x:{header.X-Org}'", "'x:{header.X-Org}'", false}, /* the identity */
        {"'x:{header.X-Org}'", "'x:{!json.org}'", true},
        {"'x:{header.X-Org}'", "'x:{json.org}'", false},
        {"'x:{!query.t}'", "'y:{query.t}'", true},
        {"'x:{query.t}','x:{!query.t}'", "'x:{query.t}','x:{!query.t}'", true},
        {"'x'", "'x:{!query.t}'", true},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        char text[1024];
        struct err errs[4];
        unsigned count = 0;
        struct config *c = NULL;
        snprintf(text, sizeof(text),
                 "{" APP "," SECRET ",'routes':[{" CACHED
                 "'key':['path.id'],'identity':'header.X-Org','tags':[%s]},"
                 "{'name':'w','match':'PUT /a','on_write':{'tags':[%s]}}]}",
                 cases[i].tag, cases[i].taken_back);
        quoted(text);
        enum err_code rc = config_parse(span_str(text), "f", &c, errs, 4, &count);
        if ((rc == ERR_OK) != cases[i].is_good)
            fail_msg("%s: %s", text, rc ? errs[0].what : "is taken");
        if (rc)
            assert_non_null(strstr(errs[0].what, "as an HMAC"));
        config_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_shown_without_secrets),
        cmocka_unit_test(what_tells_who_asks_is_secret_in_tags),
        cmocka_unit_test(a_write_that_meets_no_tag_for_its_secret_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
