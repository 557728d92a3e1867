/* Each allocation of a connection's life fails in turn: what cannot be done is said, what could not
 * be sent was not, and the link comes up all the same, a little later. The sources stand in this
 * file, so that their malloc() is ours while hiredis and libevent, which do not survive it, keep
 * theirs. */
#include "redis-test.h"

#include "../failing-memory.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#if !defined(__clang__)
/* With all files in one gcc believes in paths that there are not: a link freed while it is entered,
 * a fault without words. */
#pragma GCC diagnostic ignored "-Wformat-overflow"
#pragma GCC diagnostic ignored "-Wuse-after-free"
#endif

#define malloc try_malloc
#define calloc try_calloc
#define strdup try_strdup
/* NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../proxy/net/redis.c"
#include "../../../proxy/net/redis_codec.c"
#include "../../../proxy/net/redis_command.c"
#include "../../../proxy/net/redis_find.c"
#include "../../../proxy/net/redis_greet.c"
#include "../../../proxy/net/redis_resolve.c"
#include "../../../proxy/net/redis_link.c"
/* NOLINTEND(bugprone-suspicious-include) */
#undef malloc
#undef calloc
#undef strdup

enum { TRIES_MAX = 2000 };

static struct server server;

static bool begin(struct trial *t)
{
    struct tls_report report = {trial_report};
    struct err err;
    if (redis_new(&t->config, &report, &t->redis, &err) != ERR_OK)
        return false;
    t->link = redis_link_new(t->loop, t->redis, "larder-test", &trial_ops, t);
    if (t->link)
        return true;
    redis_free(take(t->redis));
    return false;
}

/* One life, in which the allocation <at> fails. */
static void live(struct trial *t, int at, const char *host, unsigned commands)
{
    trial_init(t, server.port);
    snprintf(t->config.server[0].host, sizeof(t->config.server[0].host), "%s", host);
    allocations_left = at;
    if (!begin(t))
        assert_true(begin(t)); /* none fails any more */
    WAIT_FOR(t, redis_link_is_up(t->link));
    unsigned sent = 0, refused = 0;
    char large[20000];
    memset(large, 'x', sizeof(large));
    for (unsigned i = 0; i < commands; i++) {
        struct span args[] = {SPAN_LIT("ECHO"), span_of(large, i % 10 ? 10 : sizeof(large))};
        bool is_sent = send_spans(t, 0, args, 2);
        sent += is_sent;
        refused += !is_sent;
    }
    assert_true(refused <= 1);
    WAIT_FOR(t, t->answer_count == sent);
    for (unsigned i = 0; i < sent; i++)
        assert_true(t->answers[i].result == REDIS_OK || t->answers[i].result == REDIS_LOST);
    WAIT_FOR(t, redis_link_is_up(t->link));
    assert_true(send_line(t, 0, "EVAL return{1,{'a',{}},false} 0"));
    WAIT_FOR(t, t->answer_count == sent + 1);
    assert_true(t->answers[sent].result == REDIS_OK || t->answers[sent].result == REDIS_LOST);
    allocations_left = -1;
    trial_end(t);
}

static void each_allocation_may_fail(void **state)
{
    static const struct {
        const char *host;
        unsigned commands;
    } cases[] = {{"127.0.0.1", 70 /* more than slots at first */}, {"localhost", 2}};
    static struct trial t;
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        int tries = 0;
        for (unsigned before = UINT_MAX; before != failures && tries < TRIES_MAX; tries++) {
            before = failures;
            live(&t, tries, cases[i].host, cases[i].commands);
        }
        assert_true(tries > 20 && tries < TRIES_MAX);
    }
}

static int start_server(void **state)
{
    (void)state;
    server_start(&server, NULL);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    server_end(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation_may_fail)};
    struct err err;
    signal(SIGPIPE, SIG_IGN);
    if (log_start(&(struct log_config){.level = LOG_LEVEL_ERROR}, &err) != ERR_OK)
        return 1;
    int rc = cmocka_run_group_tests(tests, start_server, stop_server);
    log_stop();
    return rc;
}
