/* Conditions over an answer: what they say, and what is none. */
#include "../unit-test.h"

#include <larder/base/macros.h>
#include <larder/config/cond.h>

#include <stdio.h>
#include <stdlib.h>

static void *blocks[4096];
static unsigned block_count;

static void *alloc(void *arg, size_t size)
{
    (void)arg;
    assert_true(block_count < array_len(blocks));
    return blocks[block_count++] = calloc(1, size);
}

static void free_blocks(void)
{
    while (block_count)
        free(blocks[--block_count]);
}

static const char head_text[] =
    "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\n"
    "X-Kind: a\r\nX-Kind: b\r\nX-Empty:\r\nX-N: 7\r\n\r\n";

/* The body of all cases: {"success":true,"n":1,"zero":0,"s":"word","empty":"","nul":null,
 * "list":[1],"none":[],"no":false}. */
static struct cond_value value_of(struct span pointer)
{
    static const struct {
        const char *pointer;
        struct cond_value value;
    } body[] = {{"/success", {true, JSON_TRUE, 0, {0}, 0}},
                {"/n", {true, JSON_NUMBER, 1, {0}, 0}},
                {"/zero", {true, JSON_NUMBER, 0, {0}, 0}},
                {"/s", {true, JSON_STRING, 0, {"word", 4}, 0}},
                {"/empty", {true, JSON_STRING, 0, {"", 0}, 0}},
                {"/nul", {true, JSON_NULL, 0, {0}, 0}},
                {"/list", {true, JSON_ARRAY, 0, {0}, 1}},
                {"/none", {true, JSON_ARRAY, 0, {0}, 0}},
                {"/no", {true, JSON_FALSE, 0, {0}, 0}}};
    for (size_t i = 0; i < array_len(body); i++)
        if (span_eq(pointer, span_str(body[i].pointer)))
            return body[i].value;
    return (struct cond_value){0};
}

static bool holds(const char *text)
{
    struct head h;
    struct err err;
    const struct cond *c = NULL;
    assert_int_equal(head_parse_response(head_text, sizeof(head_text) - 1, 4096, METHOD_GET, &h),
                     HEAD_OK);
    if (cond_parse(span_str(text), alloc, NULL, &c, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.what);
    struct cond_value values[COND_POINTERS_MAX];
    for (unsigned i = 0; i < cond_pointer_count(c); i++)
        values[i] = value_of(cond_pointer(c, i));
    struct cond_facts f = {.response = &h, .values = values};
    bool rc = cond_holds(c, &f);
    free_blocks();
    return rc;
}

static void conditions_hold_as_they_say(void **state)
{
    static const struct {
        const char *text;
        bool holds;
    } cases[] = {
        {"status == 200", true},
        {"status != 200", false},
        {"status in [404, 200]", true},
        {"status in[500]", false},
        {"status >= 200 && status < 300", true},
        {"status ~ \"2*\"", true},
        {"/success == true", true},
        {"/success == \"true\"", false},
        {"/success", true},
        {"!/success", false},
        {"/n == 1.0", true},
        {"/n == '1'", false},
        {"/n > 0 && /n <= 1", true},
        {"/s == \"word\"", true},
        {"/s > 1", false},
        {"/s ~ 'w*d'", true},
        {"/s in ['x', 'word']", true},
        {"/nul == null", true},
        {"/nul", false},
        {"/zero", false},
        {"/empty", false},
        {"/list", true},
        {"/none", false},
        {"/no", false},
        {"/absent", false},
        {"/absent == 1", false},
        {"/absent != 1", true},
        {"/absent == null", false},
        {"!/errors && /success", true},
        {"type == \"application/json\"", true},
        {"header.x-kind == \"a, b\"", true},
        {"header.X-Empty", false},
        {"header.X-None", false},
        {"header.X-N == 7", true},
        {"header.X-N == \"7\"", true},
        {"status == 500 || /success && /n == 1", true},
        {"(status == 500 || /success) && /n == 2", false},
        {"!(status == 500)", true},
        {"!!/success", true},
        {"  status==200  ", true},
        {"/success==true&&!/errors", true},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++)
        if (holds(cases[i].text) != cases[i].holds)
            fail_msg("%s", cases[i].text);
}

static void what_is_no_condition_is_told_where_and_why(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "column 1: here must stand status"},
        {"status = 200", "column 8: \"=\" is no operator; write =="},
        {"status == ", "a number"},
        {"status == ok", "column 11"},
        {"state == 1", "column 1"},
        {"(status == 200", "not closed"},
        {"status == 200)", "&&, || or the end"},
        {"status in 200", "[200, 404]"},
        {"status in [200", "write ]"},
        {"/s == \"word", "not closed"},
        {"/a /b", "&&, || or the end"},
        {"header. == 1", "header.X-Name"},
        {"status == 200 &&", "here must stand"},
        {"!", "here must stand"},
        {"status == 0x10", "a number"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct err err = {0};
        const struct cond *c = NULL;
        if (cond_parse(span_str(cases[i].text), alloc, NULL, &c, &err) != ERR_CONFIG)
            fail_msg("\"%s\" was taken", cases[i].text);
        if (!strstr(err.what, cases[i].says))
            fail_msg("\"%s\": %s", cases[i].text, err.what);
        free_blocks();
    }
}

static void nesting_and_length_have_limits(void **state)
{
    char text[2048];
    struct err err = {0};
    const struct cond *c = NULL;
    (void)state;
    memset(text, '(', sizeof(text));
    assert_int_equal(cond_parse(span_of(text, 900), alloc, NULL, &c, &err), ERR_CONFIG);
    free_blocks();
    memset(text, '!', sizeof(text));
    assert_int_equal(cond_parse(span_of(text, 900), alloc, NULL, &c, &err), ERR_CONFIG);
    free_blocks();
    assert_int_equal(cond_parse(span_of(text, 1001), alloc, NULL, &c, &err), ERR_CONFIG);
    free_blocks();
    size_t n = 0;
    for (int i = 0; i < 17; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s/p%d", i ? " && " : "", i);
    assert_int_equal(cond_parse(span_of(text, n), alloc, NULL, &c, &err), ERR_CONFIG);
    free_blocks();
}

static int left;

static void *alloc_some(void *arg, size_t size)
{
    return left-- > 0 ? alloc(arg, size) : NULL;
}

static void each_failing_allocation_is_told(void **state)
{
    struct span text = SPAN_LIT("(status == 200 || /a in ['x']) && !/b");
    (void)state;
    for (int n = 0;; n++) {
        struct err err = {0};
        const struct cond *c = NULL;
        left = n;
        enum err_code rc = cond_parse(text, alloc_some, NULL, &c, &err);
        free_blocks();
        if (rc == ERR_OK) {
            assert_true(n > 5);
            return;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_hold_as_they_say),
        cmocka_unit_test(what_is_no_condition_is_told_where_and_why),
        cmocka_unit_test(nesting_and_length_have_limits),
        cmocka_unit_test(each_failing_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
