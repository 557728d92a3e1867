/* The name that was meant is told where a slip explains the one given, and only there. */
#include "../unit-test.h"

#include "../../../proxy/config/config-internal.h"

static const char *const names[] = {"listen", "upstreams",     "cache",     "limits",
                                    "log",    "routes",        "max_bytes", "max_entries",
                                    "ttl",    "ttl_by_status", "key",       "key_template"};

static void slips_are_understood(void **state)
{
    static const char *const cases[][2] = {
        {"routs", "routes"},
        {"route", "routes"},
        {"lisetn", "listen"},
        {"upstream", "upstreams"},
        {"maxBytes", "max_bytes"},
        {"MAX-BYTES", "max_bytes"},
        {"max_bites", "max_bytes"},
        {"ttlByStatus", "ttl_by_status"},
        {"keys", "key"},
        {"key_tempalte", "key_template"},
        {"tll", "ttl"},
        {"cahce", "cache"},
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        const char *near = nearest_name(span_str(cases[i][0]), names, array_len(names));
        if (!near || strcmp(near, cases[i][1]) != 0)
            fail_msg("\"%s\" is taken for %s", cases[i][0], near ? near : "nothing");
    }
}

static void other_words_are_not(void **state)
{
    static const char *const cases[] = {
        "",    "x", "database", "timeout",
        "zzz", "_", "--",       "a_name_that_is_far_longer_than_any_member_there_is"};
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        const char *near = nearest_name(span_str(cases[i]), names, array_len(names));
        if (near)
            fail_msg("\"%s\" is taken for \"%s\"", cases[i], near);
    }
    assert_null(nearest_name(SPAN_LIT("listen"), NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_are_understood),
        cmocka_unit_test(other_words_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
