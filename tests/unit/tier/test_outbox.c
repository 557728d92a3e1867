/* test_outbox.c: own invalidations on their way to a Redis that answers in an order of the test's
 * choice, or is replaced by another meanwhile. */
#include "../net/fake-redis.h"

#include <larder/base/macros.h>
#include <larder/tier/tier.h>

#define FIRST "generation of A "
#define SECOND "generation of B "
#define NOTHING_NEW "*-1\r\n"
#define OTHER "0123456789abcdef"

struct trial {
    struct loop *loop;
    struct fake_redis redis;
    struct redis_config redis_config;
    struct config config;
    struct store *store;
    struct tier *tier;
};

static void on_found(struct tls_report *r, bool is_warning, const struct err *e)
{
    (void)r;
    (void)is_warning;
    fail_msg("%s: %s", e->where, e->what);
}

static void trial_init(struct trial *t)
{
    static const struct store_limits no_limit;
    struct tls_report report = {on_found};
    struct err err;
    memset(t, 0, sizeof(*t));
    t->loop = loop_new();
    assert_non_null(t->loop);
    fake_start(&t->redis, loop_base(t->loop));
    t->redis_config = (struct redis_config){.server_count = 1,
                                            .server = {{"127.0.0.1", (uint16_t)t->redis.port}},
                                            .prefix = SPAN_LIT("test"),
                                            .connect_timeout_ms = 10000,
                                            .command_timeout_ms = 10000,
                                            .idle_timeout_ms = 60000,
                                            .max_object_bytes = 1 << 20,
                                            .max_invalidation_lag_ms = 40000};
    t->config.redis = &t->redis_config;
    struct store_config sc = {.route = &no_limit, .route_count = 1, .waiters_max = 9};
    t->store = store_new(&sc);
    assert_non_null(t->store);
    assert_int_equal(tier_new(&t->config, t->store, t->loop, &report, &t->tier, &err), ERR_OK);
    assert_int_equal(tier_start(t->tier), ERR_OK);
    fake_join(&t->redis, FIRST, 0);
    fake_read(&t->redis, NOTHING_NEW, FIRST, 0);
    FAKE_WAIT(&t->redis, t->redis.commands && t->redis.log->question == FAKE_READ);
}

static void trial_end(struct trial *t)
{
    tier_stop(t->tier);
    mailbox_deliver(loop_mailbox(t->loop));
    tier_free(t->tier);
    fake_stop(&t->redis);
    loop_free(t->loop);
    store_free(t->store);
}

static bool may_read(struct trial *t)
{
    struct tier_stamp stamp;
    tier_stamp_now(t->tier, &stamp);
    return stamp.is_valid;
}

static void on_done(struct tier_publication *p)
{
    *(struct tier_publication **)p->arg = p;
}

/* *ret: the publication, once it has come back. */
static void publish(struct trial *t, bool wants_all, struct tier_publication **ret)
{
    struct message m = {.kind = MESSAGE_ANY_TAG, .tag_count = 1, .tags = {7}};
    struct tier_publication *p = tier_publication_new();
    assert_non_null(p);
    *ret = NULL;
    tier_announce(t->tier);
    message_add(&m, &p->messages);
    p->home = loop_mailbox(t->loop);
    p->on_done = on_done;
    p->arg = ret;
    p->wants_all = wants_all;
    tier_publish(t->tier, p);
}

static void forget(struct trial *t, unsigned count)
{
    struct message m = {.kind = MESSAGE_ANY_TAG, .tag_count = 1, .tags = {7}};
    for (unsigned i = 0; i < count; i++) {
        struct tier_publication *p = tier_publication_new();
        assert_non_null(p);
        tier_announce(t->tier);
        message_add(&m, &p->messages);
        tier_publish(t->tier, p);
    }
}

static uint64_t pending(struct trial *t)
{
    return atomic_load(&tier_counters(t->tier)->pending);
}

static void what_is_announced_keeps_reads_off_until_it_is_confirmed(void **state)
{
    struct trial t;
    struct tier_publication *done;
    (void)state;
    trial_init(&t);
    assert_true(may_read(&t));
    publish(&t, false, &done);
    assert_false(may_read(&t));
    fake_confirm(&t.redis, 1, 0, "");
    FAKE_WAIT(&t.redis, done);
    assert_true(done->is_replicated && may_read(&t));
    tier_publication_free(done);
    trial_end(&t);
}

/* The reply was on its way when the log's connection had found the new master. */
static void what_another_generation_has_confirmed_is_said_again(void **state)
{
    struct trial t;
    struct tier_publication *done;
    (void)state;
    trial_init(&t);
    publish(&t, false, &done);
    fake_await_publish(&t.redis);
    assert_string_equal(t.redis.commands->generation, FIRST);
    fake_cut(t.redis.log);
    fake_join(&t.redis, SECOND, 5);
    fake_read(&t.redis, NOTHING_NEW, SECOND, 5);
    FAKE_WAIT(&t.redis, t.redis.log->question == FAKE_READ);
    fake_confirm(&t.redis, 1, 0, "");
    fake_await_publish(&t.redis);
    assert_string_equal(t.redis.commands->generation, SECOND);
    assert_null(done);
    assert_false(may_read(&t));
    fake_confirm(&t.redis, 6, 0, "");
    FAKE_WAIT(&t.redis, done);
    assert_true(done->is_replicated && done->number == 6 && may_read(&t));
    tier_publication_free(done);
    trial_end(&t);
}

/* They come by two connections. */
static void an_acknowledgement_that_is_read_before_the_confirmation_counts(void **state)
{
    struct trial t;
    struct tier_publication *done;
    char instances[200];
    (void)state;
    trial_init(&t);
    publish(&t, true, &done);
    fake_await_publish(&t.redis);
    fake_read(&t.redis,
              "*1\r\n*2\r\n$3\r\nlog\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*6\r\n$1\r\ni\r\n$16\r\n" OTHER
              "\r\n$1\r\nt\r\n$1\r\na\r\n$1\r\nm\r\n$1\r\n1\r\n",
              FIRST, 2);
    FAKE_WAIT(&t.redis, t.redis.log->question == FAKE_READ);
    snprintf(instances, sizeof(instances), "$16\r\n%s\r\n$16\r\n" OTHER "\r\n",
             tier_instance(t.tier));
    fake_confirm(&t.redis, 1, 2, instances);
    FAKE_WAIT(&t.redis, done);
    assert_int_equal(done->applied_count, 2);
    assert_int_equal(done->missing_count, 0);
    tier_publication_free(done);
    trial_end(&t);
}

/* More wait than may, because another Redis must hear it all again, and then one comes that does
 * not fit into memory. */
static void no_announcement_is_forgotten_where_too_many_wait(void **state)
{
    struct trial t;
    unsigned number = 0;
    struct tier_publication *p = tier_publication_new();
    (void)state;
    trial_init(&t);
    for (unsigned told = 0; told < 1000; told += t.redis.commands->messages) {
        if (told == 0)
            forget(&t, 1000);
        fake_await_publish(&t.redis);
        number += t.redis.commands->messages;
        fake_confirm(&t.redis, number, 0, "");
        FAKE_WAIT(&t.redis, pending(&t) == 1000 - number);
        if (number < 1000)
            fake_await_publish(&t.redis);
        else
            break;
    }
    forget(&t, 100);
    fake_await_publish(&t.redis);
    fake_cut(t.redis.log);
    fake_join(&t.redis, SECOND, 0);
    fake_read(&t.redis, NOTHING_NEW, SECOND, 0);
    FAKE_WAIT(&t.redis, pending(&t) > 1024);
    p->messages.failed = true;
    tier_announce(t.tier);
    tier_publish(t.tier, p);
    for (number = 0; pending(&t) > 0;) {
        fake_await_publish(&t.redis);
        number += t.redis.commands->messages;
        fake_confirm(&t.redis, number, 0, "");
        FAKE_WAIT(&t.redis, pending(&t) == 0 || t.redis.commands->question == FAKE_PUBLISH);
    }
    FAKE_WAIT(&t.redis, t.redis.log->question == FAKE_READ);
    assert_true(may_read(&t));
    trial_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_announced_keeps_reads_off_until_it_is_confirmed),
        cmocka_unit_test(what_another_generation_has_confirmed_is_said_again),
        cmocka_unit_test(an_acknowledgement_that_is_read_before_the_confirmation_counts),
        cmocka_unit_test(no_announcement_is_forgotten_where_too_many_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
