/* Commands and their replies, deadlines, the breaker and connections lost, with a real server. */
#include "redis-test.h"

static struct server server; /* of most tests */

static void start(struct trial *t)
{
    trial_init(t, server.port);
    trial_connect(t);
    WAIT_FOR(t, redis_link_is_up(t->link));
}

static void replies_come_in_the_order_of_their_commands(void **state)
{
    static struct trial t;
    (void)state;
    start(&t);
    assert_true(send_line(&t, 0, "DEL counter"));
    for (unsigned i = 0; i < 1000; i++)
        assert_true(send_line(&t, 0, "INCR counter"));
    assert_int_equal(t.answer_count, 0);
    WAIT_FOR(&t, t.answer_count == 1001);
    for (unsigned i = 0; i < 1001; i++) {
        assert_int_equal(t.answers[i].number, i);
        assert_int_equal(t.answers[i].result, REDIS_OK);
        assert_int_equal(i == 0 || t.answers[i].integer == i, 1);
    }
    const struct redis_figures *f = redis_figures(t.redis);
    assert_int_equal(f->commands, 1001);
    assert_int_equal(f->late + f->lost + f->errors + f->refused, 0);
    trial_end(&t);
}

static void a_reply_that_is_too_late_is_dropped_and_later_ones_still_match(void **state)
{
    static struct trial t;
    (void)state;
    start(&t);
    assert_true(send_line(&t, 30, "DEBUG SLEEP 0.2"));
    assert_true(send_line(&t, 30, "ECHO a"));
    assert_true(send_line(&t, 5000, "ECHO b"));
    WAIT_FOR(&t, t.answer_count == 2);
    assert_int_equal(t.answers[0].result, REDIS_LATE);
    assert_int_equal(t.answers[1].result, REDIS_LATE);
    WAIT_FOR(&t, t.answer_count == 3);
    assert_int_equal(t.answers[2].result, REDIS_OK);
    assert_string_equal(t.answers[2].text, "b");
    assert_string_equal(call_line(&t, "ECHO c")->text, "c");
    assert_int_equal(t.answer_count, 4);
    assert_int_equal(redis_figures(t.redis)->late, 2);
    assert_int_equal(t.downs, 0);
    trial_end(&t);
}

static void a_killed_connection_loses_its_commands_and_comes_back(void **state)
{
    static struct trial t;
    (void)state;
    start(&t);
    assert_true(send_line(&t, 0, "BLPOP nothing 0"));
    assert_true(send_line(&t, 0, "ECHO behind"));
    WAIT_FOR(&t, strstr(ask(server.port, "CLIENT LIST"), "cmd=blpop"));
    ask(server.port, "CLIENT KILL TYPE normal SKIPME yes");
    WAIT_FOR(&t, t.downs == 1);
    assert_int_equal(t.answer_count, 2);
    assert_int_equal(t.answers[0].result, REDIS_LOST);
    assert_int_equal(t.answers[1].result, REDIS_LOST);
    assert_false(send_line(&t, 0, "PING"));
    WAIT_FOR(&t, t.ups == 2);
    assert_string_equal(call_line(&t, "ECHO again")->text, "again");
    assert_int_equal(redis_figures(t.redis)->lost, 2);
    assert_int_equal(redis_figures(t.redis)->refused, 1);
    trial_end(&t);
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
    server_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_come_in_the_order_of_their_commands),
        cmocka_unit_test(a_reply_that_is_too_late_is_dropped_and_later_ones_still_match),
        cmocka_unit_test(a_killed_connection_loses_its_commands_and_comes_back),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
