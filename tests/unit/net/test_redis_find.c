/* Where the master is: Sentinel's word through a real failover, and a real cluster's MOVED. */
#include "redis-test.h"

/* A sentinel that watches <master>, in a directory of its own; any user may look, "larder" has the
 * password "sesame". */
static void sentinel_start(struct server *s, const struct server *master)
{
    char path[96];
    server_make_dir(s);
    snprintf(path, sizeof(path), "%s/sentinel.conf", s->dir);
    for (int i = 0; i < 5; i++) {
        s->port = free_port();
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fprintf(f,
                "port %u\nbind 127.0.0.1\ndir %s\n"
                "user larder on >sesame allchannels +@all\n"
                "sentinel monitor school 127.0.0.1 %u 1\n"
                "sentinel down-after-milliseconds school 300\n"
                "sentinel failover-timeout school 2000\n",
                s->port, s->dir, master->port);
        assert_int_equal(fclose(f), 0);
        s->pid = spawn((const char *const[]){"redis-sentinel", path, NULL});
        if (comes_up(s->pid, s->port))
            return;
        end_process(s->pid);
    }
    fail_msg("redis-sentinel does not start");
}

static void ask_sentinel(struct trial *t, const struct server *sentinel, const char *password)
{
    trial_init(t, 0);
    t->config.sentinel_count = 2;
    t->config.sentinel[0] = (struct address){"127.0.0.1", (uint16_t)free_port()}; /* is away */
    t->config.sentinel[1] = (struct address){"127.0.0.1", (uint16_t)sentinel->port};
    t->config.sentinel_user = SPAN_LIT("larder");
    t->config.sentinel_password = span_str(password);
    t->config.master = SPAN_LIT("school");
    trial_connect(t);
}

static void start_pair(struct server *master, struct server *replica, struct server *sentinel)
{
    char port[12];
    server_start(master, NULL);
    snprintf(port, sizeof(port), "%u", master->port);
    server_start(replica, (const char *const[]){"--replicaof", "127.0.0.1", port, NULL});
    for (mono_ms end = mono_now_ms() + PATIENCE_MS; mono_now_ms() < end; poll(NULL, 0, 5))
        if (strstr(ask(replica->port, "INFO replication"), "master_link_status:up"))
            break;
    sentinel_start(sentinel, master);
}

static void sentinels_tell_of_the_new_master_after_a_failover(void **state)
{
    static struct trial t, plain;
    struct server master = {0}, replica = {0}, sentinel = {0};
    (void)state;
    start_pair(&master, &replica, &sentinel);
    ask_sentinel(&t, &sentinel, "sesame");
    trial_init(&plain, replica.port);
    trial_connect(&plain);
    WAIT_FOR(&t, t.ups == 1);
    assert_true(trial_is_at(&t, master.port));
    assert_string_equal(call_line(&t, "SET a 1")->text, "OK");
    WAIT_FOR(&plain, redis_figures(plain.redis)->connect_failures >= 2);
    assert_int_equal(plain.ups, 0); /* a replica is refused */
    WAIT_FOR(&t, strncmp(ask(sentinel.port, "SENTINEL REPLICAS school"), "*1\r\n", 4) == 0);
    server_stop(&master);
    WAIT_FOR(&t, t.downs == 1);
    WAIT_FOR(&t, t.ups == 2);
    assert_true(trial_is_at(&t, replica.port));
    assert_string_equal(call_line(&t, "SET a 2")->text, "OK");
    WAIT_FOR(&plain, plain.ups == 1); /* it is the master now */
    trial_end(&t);
    trial_end(&plain);
    server_end(&sentinel);
    server_end(&replica);
    server_end(&master);
}

static void a_sentinel_that_knows_nothing_is_of_no_help(void **state)
{
    static struct trial t;
    struct server master = {0}, sentinel = {0};
    (void)state;
    server_start(&master, NULL);
    sentinel_start(&sentinel, &master);
    ask_sentinel(&t, &sentinel, "wrong");
    WAIT_FOR(&t, redis_figures(t.redis)->connect_failures >= 4);
    assert_int_equal(t.ups, 0);
    trial_end(&t);
    ask_sentinel(&t, &sentinel, "sesame");
    t.config.master = SPAN_LIT("university");
    WAIT_FOR(&t, redis_figures(t.redis)->connect_failures >= 4);
    assert_int_equal(t.ups, 0);
    t.config.master = SPAN_LIT("school");
    WAIT_FOR(&t, t.ups == 1);
    trial_end(&t);
    server_end(&sentinel);
    server_end(&master);
}

static void node_start(struct server *s, unsigned *ret_bus)
{
    char bus[12];
    *ret_bus = free_port();
    snprintf(bus, sizeof(bus), "%u", *ret_bus);
    server_start(s, (const char *const[]){"--cluster-enabled", "yes", "--cluster-port", bus, NULL});
}

static void a_cluster_says_which_of_its_servers_has_our_keys(void **state)
{
    static struct trial t;
    struct server a = {0}, b = {0};
    unsigned bus_a, bus_b;
    (void)state;
    node_start(&a, &bus_a);
    node_start(&b, &bus_b);
    ask(a.port, "CLUSTER ADDSLOTSRANGE 0 8191");
    ask(b.port, "CLUSTER ADDSLOTSRANGE 8192 16383");
    ask(a.port, "CLUSTER MEET 127.0.0.1 %u %u", b.port, bus_b);
    trial_init(&t, a.port);
    trial_connect(&t);
    WAIT_FOR(&t, strstr(ask(a.port, "CLUSTER INFO"), "cluster_state:ok") &&
                     strstr(ask(b.port, "CLUSTER INFO"), "cluster_state:ok"));
    WAIT_FOR(&t, t.ups == 1);
    assert_string_equal(call_line(&t, "SET {b} here")->text, "OK"); /* slot 3300 */
    const struct answer *moved = call_line(&t, "SET {a} there");    /* slot 15495 */
    assert_int_equal(moved->result, REDIS_ERROR);
    assert_int_equal(strncmp(moved->text, "MOVED 15495 127.0.0.1:", 22), 0);
    WAIT_FOR(&t, t.ups == 2);
    assert_true(trial_is_at(&t, b.port));
    assert_string_equal(call_line(&t, "SET {a} there")->text, "OK");
    trial_end(&t);
    server_end(&a);
    server_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentinels_tell_of_the_new_master_after_a_failover),
        cmocka_unit_test(a_sentinel_that_knows_nothing_is_of_no_help),
        cmocka_unit_test(a_cluster_says_which_of_its_servers_has_our_keys),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
