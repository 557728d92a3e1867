/* Each allocation of reading a config with aliases, and of filling their templates, fails in turn:
 * it is said, and nothing leaks. The sources stand in this file, so that their malloc() is ours. */
#include "reply-test.h"

#include "../failing-memory.h"

#define malloc try_malloc
#define calloc try_calloc
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../proxy/base/wipe.c"

#include "../../../proxy/base/buf.c"
#include "../../../proxy/base/json_tree.c"
#include "../../../proxy/config/load.c"
#undef AT /* of each table of members its own */
#include "../../../proxy/config/reply_fill.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef malloc
#undef calloc

enum { TRIES_MAX = 2000 };

#define REPLY                                                                                      \
    "{'a':'${hits}','b':['<${json.o}>','${json.list}'],'c':'${now|local} ${hit_ratio|percent|1}'," \
    "'d':'${json.none?}'}"
#define CONFIG                                                                                     \
    "{" APP                                                                                        \
    ",\"control\":{\"token\":\"sesame\"},\"rate_limits\":[{\"name\":\"l\",\"limits\":[\"1/"        \
    "1m\"]}],\"routes\":[{\"name\":\"r\",\"match\":\"GET /r\",\"ttl\":\"6h\",\"key\":"             \
    "[\"query.k\"]}],\"aliases\":[{\"on\":\"POST /x/{id}\",\"do\":\"invalidate\",\"cors\":"        \
    "[\"https://a\"],\"rate_limit\":[\"l\"],\"when\":{\"json.a\":[1,\"b\"]},\"expect\":"           \
    "{\"path.id\":\"7\"},\"with\":[{\"route\":\"r\",\"params\":{\"k\":\"${path.id}\"}},"           \
    "{\"glob\":\"r:${json.a}*\"}],\"reply\":{\"n\":\"${removed} of ${matched}\"}}]}"

static void a_config_with_aliases_is_read_whole_or_not_at_all(void **state)
{
    int tries = 0;
    (void)state;
    for (;; tries++) {
        struct err errs[4];
        unsigned count = 0;
        struct config *c = NULL;
        allocations_left = tries;
        enum err_code rc = config_parse(SPAN_LIT(CONFIG), "f", &c, errs, 4, &count);
        allocations_left = -1;
        if (rc == ERR_OK) {
            config_free(c);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_int_equal(count, 1);
        assert_null(c);
        assert_true(tries < TRIES_MAX);
    }
    assert_true(tries > 30);
}

static void a_template_is_filled_whole_or_not_at_all(void **state)
{
    struct json_doc *doc = NULL;
    const struct reply_value *bad;
    int tries = 0;
    (void)state;
    struct config *c = reply_config(REPLY);
    assert_int_equal(json_parse(SPAN_LIT(TEST_BODY), NULL, 0, 8, &doc, NULL), ERR_OK);
    struct reply_source source = {.value_of = test_value, .arg = (void *)json_root(doc)};
    for (enum err_code rc = ERR_NOMEM; rc; tries++) {
        struct buf out;
        buf_init(&out, 4096);
        allocations_left = tries;
        rc = reply_fill(c->aliases[0].reply, &source, &out, &bad);
        allocations_left = -1;
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        assert_int_equal(out.failed, rc != ERR_OK && out.no_memory);
        assert_true(tries < TRIES_MAX);
        buf_fini(&out);
    }
    assert_true(tries > 3);
    json_doc_free(doc);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_with_aliases_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_template_is_filled_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
