/* test_value_nomem.c: each allocation of sealing and of opening fails in turn; both say so, leave
 * what they were given as it was, and leak nothing. The sources stand in this file, so that their
 * malloc() is ours; libcrypto and zlib keep their own. */
#include "tier-test.h"

#include "../failing-memory.h"

#define malloc try_malloc
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../proxy/base/wipe.c"

#include "../../../proxy/base/buf.c"
#include "../../../proxy/cache/entry.c"
#include "../../../proxy/tier/value.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef malloc

enum { TRIES_MAX = 100, LONG = 20000 };

static struct entry *long_entry(const struct cache_key *key)
{
    static char body[LONG];
    struct entry_parts parts = test_parts(key);
    memset(body, 'x', sizeof(body));
    parts.head = SPAN_LIT("HTTP/1.1 200 OK\r\n");
    parts.length_line_len = 0;
    parts.body = span_of(body, sizeof(body));
    return entry_new(&parts);
}

static void sealing_says_that_there_is_no_memory(void **state)
{
    struct cache_key key = test_key();
    struct entry *e = long_entry(&key);
    int tries = 0;
    (void)state;
    for (enum err_code rc = ERR_NOMEM; rc; tries++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        buf_add_str(&out, "kept");
        allocations_left = tries;
        rc = value_seal(&test_context, e, &test_stamp, TEST_STORED, TEST_UNIX_MS, 1000, &out);
        allocations_left = -1;
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        assert_true(rc == ERR_OK || out.len == 4);
        assert_memory_equal(out.p, "kept", 4);
        assert_true(tries < TRIES_MAX);
        buf_fini(&out);
    }
    assert_true(tries > 3);
    entry_unref(e);
}

static void opening_says_that_there_is_no_memory(void **state)
{
    struct cache_key key = test_key();
    struct entry *e = long_entry(&key), *o = NULL;
    struct buf value;
    int tries = 0;
    (void)state;
    test_seal(e, TEST_STORED, &value);
    struct value_time t = test_time(e, TEST_STORED);
    for (enum err_code rc = ERR_NOMEM; rc; tries++) {
        allocations_left = tries;
        rc = value_open(&test_context, buf_span(&value), &key, 0, 0, &t, &o);
        allocations_left = -1;
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        assert_int_equal(rc == ERR_OK, o != NULL);
        assert_true(tries < TRIES_MAX);
    }
    assert_true(tries > 4);
    assert_int_equal(o->body.len, LONG);
    entry_unref(o);
    entry_unref(e);
    buf_fini(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing_says_that_there_is_no_memory),
        cmocka_unit_test(opening_says_that_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
