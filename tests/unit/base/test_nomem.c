/* test_nomem.c: each allocation of a call fails in turn; the call says so, and nothing leaks.
 * The sources stand in this file, so that their malloc() is ours while libyajl keeps its own,
 * whose failure it does not survive. */
#include "base-test.h"

#include "../failing-memory.h"

#include <unistd.h>

#define malloc try_malloc
#define calloc try_calloc
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../proxy/base/wipe.c"

#include "../../../proxy/base/buf.c"
#include "../../../proxy/base/json_doc.c"
#include "../../../proxy/base/json_names.c"
#include "../../../proxy/base/json_tree.c"
#include "../../../proxy/base/log_message.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef malloc
#undef calloc

enum { TRIES_MAX = 1000 };

/* Objects and texts that need several chunks, and a set of names that grows. */
static void make_text(struct buf *text)
{
    buf_init(text, 1 << 20);
    buf_add_str(text, "{\"a\":[1,\"x\",null,{}]");
    for (unsigned i = 0; i < 200; i++)
        buf_add_fmt(text, ",\"member %u\":{\"text\":\"%0200u\"}", i, i);
    buf_add_char(text, '}');
}

static void a_document_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    struct buf text;
    int tries = 0;
    allocations_left = -1;
    make_text(&text);
    for (enum err_code rc = ERR_NOMEM; rc; tries++) {
        struct json_doc *doc = NULL;
        struct err err = {0};
        allocations_left = tries;
        rc = json_parse(buf_span(&text), "f", 0, 9, &doc, &err);
        if (!rc) {
            json_doc_free(doc);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_int_equal(err.code, ERR_NOMEM);
        assert_null(doc);
        assert_true(tries < TRIES_MAX);
    }
    assert_true(tries > 5);
    allocations_left = -1;
    buf_fini(&text);
}

static void a_canonical_form_that_finds_no_memory_says_so(void **state)
{
    (void)state;
    struct buf text, out;
    struct json_doc *doc = NULL;
    allocations_left = -1;
    make_text(&text);
    assert_int_equal(json_parse(buf_span(&text), NULL, 0, 9, &doc, NULL), ERR_OK);
    int tries = 0;
    for (bool is_failed = true; is_failed; tries++) {
        buf_init(&out, 1 << 20);
        allocations_left = tries;
        json_canonical_format(json_root(doc), &out);
        is_failed = out.failed;
        assert_true(is_failed || out.len == buf_span(&text).len);
        buf_fini(&out);
        assert_true(tries < TRIES_MAX);
    }
    assert_true(tries > 5);
    allocations_left = -1;
    json_doc_free(doc);
    buf_fini(&text);
}

static void a_buffer_that_finds_no_memory_keeps_what_it_has(void **state)
{
    (void)state;
    struct buf b;
    allocations_left = 1; /* the first block only */
    buf_init(&b, 1 << 20);
    buf_add_str(&b, "kept");
    buf_add_fmt(&b, "%01000d", 1);
    assert_true(b.failed);
    assert_span(buf_span(&b), SPAN_LIT("kept"), "kept");
    buf_fini(&b);

    allocations_left = 1; /* the block, but not the one on the way */
    buf_init(&b, 1000);
    buf_add_fmt(&b, "%01000d", 1);
    assert_true(b.failed);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
    allocations_left = -1;
}

/* What larder tells when memory is short, "ready" and "no memory" above all, is not lost. */
static void messages_that_find_no_memory_are_told_all_the_same(void **state)
{
    char text[4096];
    int ends[2], saved = dup(STDERR_FILENO);
    (void)state;
    allocations_left = -1;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    enum err_code rc = ERR_OK;
    for (unsigned round = 0; !rc && round < 2; round++) { /* spares are given back */
        rc = start_log(LOG_LEVEL_INFO, "off", NULL);
        for (unsigned i = 0; !rc && i < SPARES; i++) {
            allocations_left = 0;
            log_info("%u-%u", round, i);
        }
        allocations_left = -1;
        log_stop();
    }
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    assert_int_equal(rc, ERR_OK);
    assert_true(n > 0);
    text[n] = '\0';
    for (unsigned i = 0; i < 2 * SPARES; i++) {
        char said[32];
        snprintf(said, sizeof(said), "\"%u-%u\"", i / SPARES, i % SPARES);
        assert_non_null(strstr(text, said));
    }
    assert_int_equal(log_dropped(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_canonical_form_that_finds_no_memory_says_so),
        cmocka_unit_test(a_buffer_that_finds_no_memory_keeps_what_it_has),
        cmocka_unit_test(messages_that_find_no_memory_are_told_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
