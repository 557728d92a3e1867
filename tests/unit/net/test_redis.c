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

static void arguments_and_replies_are_binary(void **state)
{
    static struct trial t;
    char bytes[256];
    (void)state;
    start(&t);
    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (char)i;
    struct span whole = span_of(bytes, 255);
    struct span set[] = {SPAN_LIT("SET"), SPAN_LIT("a\0b\r\n"), whole};
    struct span get[] = {SPAN_LIT("GET"), SPAN_LIT("a\0b\r\n")};
    struct span empty[] = {SPAN_LIT("ECHO"), {NULL, 0}};
    assert_true(send_spans(&t, 0, set, 3) && send_spans(&t, 0, get, 2) &&
                send_spans(&t, 0, empty, 2));
    WAIT_FOR(&t, t.answer_count == 3);
    assert_int_equal(t.answers[1].text_len, 255);
    assert_memory_equal(t.answers[1].text, bytes, 255);
    assert_int_equal(t.answers[2].type, REDIS_TEXT);
    assert_int_equal(t.answers[2].text_len, 0);
    trial_end(&t);
}

static void large_values_and_many_arguments_arrive_whole(void **state)
{
    enum { LARGE = 3 << 20, MANY = 500 };
    static struct trial t;
    static struct span args[MANY + 2];
    char *large = malloc(LARGE);
    (void)state;
    start(&t);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 31 + i / 251);
    struct span set[] = {SPAN_LIT("SET"), SPAN_LIT("large"), span_of(large, LARGE)};
    struct span get[] = {SPAN_LIT("GET"), SPAN_LIT("large")};
    args[0] = SPAN_LIT("RPUSH");
    args[1] = SPAN_LIT("many");
    for (unsigned i = 2; i < MANY + 2; i++)
        args[i] = SPAN_LIT("x");
    assert_true(send_line(&t, 0, "DEL many") && send_spans(&t, 0, set, 3) &&
                send_spans(&t, 0, args, MANY + 2) && send_spans(&t, 0, get, 2));
    memset(large, 0, 1 << 10); /* what was sent was copied */
    WAIT_FOR(&t, t.answer_count == 4);
    assert_int_equal(t.answers[2].integer, MANY);
    assert_int_equal(t.answers[3].text_len, LARGE);
    for (size_t i = 0; i < LARGE; i++)
        assert_true(t.words[i] == (char)(i * 31 + i / 251));
    free(large);
    trial_end(&t);
}

static void every_type_of_reply_is_understood(void **state)
{
    static const struct {
        const char *line;
        enum redis_result result;
        enum redis_type type;
        const char *words;
    } cases[] = {
        {"GET none", REDIS_OK, REDIS_NIL, "nil"},
        {"ECHO text", REDIS_OK, REDIS_TEXT, "text"},
        {"PING", REDIS_OK, REDIS_TEXT, "PONG"},
        {"STRLEN none", REDIS_OK, REDIS_INTEGER, "0"},
        {"BITFIELD n GET i64 0 SET i64 0 -9223372036854775808 GET i64 0", REDIS_OK, REDIS_ARRAY,
         "[0 0 -9223372036854775808]"},
        {"LRANGE none 0 -1", REDIS_OK, REDIS_ARRAY, "[]"},
        {"BLPOP none 0.001", REDIS_OK, REDIS_NIL, "nil"},
        {"EVAL return{1,{'a',{}},false,{{'b'}}} 0", REDIS_OK, REDIS_ARRAY, "[1 [a []] nil [[b]]]"},
        {"NO-SUCH-COMMAND", REDIS_ERROR, REDIS_TEXT,
         "ERR unknown command 'NO-SUCH-COMMAND', with args beginning with: "},
        {"EVALSHA 0000000000000000000000000000000000000000 0", REDIS_ERROR, REDIS_TEXT,
         "NOSCRIPT No matching script. Please use EVAL."},
    };
    static struct trial t;
    (void)state;
    start(&t);
    for (size_t i = 0; i < array_len(cases); i++) {
        const struct answer *a = call_line(&t, cases[i].line);
        assert_int_equal(a->result, cases[i].result);
        assert_int_equal(a->type, cases[i].type);
        assert_string_equal(t.words, cases[i].words);
    }
    assert_int_equal(redis_figures(t.redis)->errors, 2);
    assert_int_equal(t.downs, 0);
    trial_end(&t);
}

static void a_text_of_digits_is_an_integer_too(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {{"0", 0},
                 {"42", 42},
                 {"-7", -7},
                 {"9223372036854775807", INT64_MAX},
                 {"9223372036854775808", 0},
                 {"1x", 0},
                 {"-", 0}};
    static struct trial t;
    char line[64];
    (void)state;
    start(&t);
    for (size_t i = 0; i < array_len(cases); i++) {
        snprintf(line, sizeof(line), "ECHO %s", cases[i].text);
        assert_int_equal(call_line(&t, line)->integer, cases[i].value);
    }
    assert_int_equal(redis_reply_type(NULL), REDIS_NIL);
    assert_int_equal(redis_reply_integer(NULL), 0);
    assert_int_equal(redis_reply_text(NULL).len, 0);
    assert_int_equal(redis_reply_count(NULL), 0);
    assert_null(redis_reply_at(NULL, 0));
    trial_end(&t);
}

/* The server stands still while another connection makes it sleep. */
static int put_to_sleep(const char *seconds)
{
    char line[64];
    int fd = connect_port(server.port),
        n = snprintf(line, sizeof(line), "DEBUG SLEEP %s\r\n", seconds);
    assert_int_equal(write(fd, line, (size_t)n), n);
    return fd;
}

static void a_server_that_stands_still_opens_the_breaker_until_it_answers(void **state)
{
    static struct trial t;
    (void)state;
    trial_init(&t, server.port);
    t.config.command_timeout_ms = 100;
    trial_connect(&t);
    WAIT_FOR(&t, redis_link_is_up(t.link));
    const struct redis_figures *f = redis_figures(t.redis);
    int fd = put_to_sleep("1.5");
    while (f->breaker_opened == 0) {
        unsigned before = t.answer_count;
        if (!send_line(&t, 100, "ECHO x"))
            break;
        WAIT_FOR(&t, t.answer_count > before);
    }
    assert_int_equal(f->breakers_open, 1);
    assert_int_equal(f->up, 1); /* connected it still is */
    assert_true(f->late >= 5);
    assert_false(redis_link_is_up(t.link));
    assert_false(send_line(&t, 0, "PING"));
    assert_int_equal(f->refused, 1);
    WAIT_FOR(&t, redis_link_is_up(t.link));
    assert_int_equal(f->breakers_open, 0);
    assert_int_equal(f->breaker_opened, 1);
    assert_int_equal(t.downs, 0);
    assert_string_equal(call_line(&t, "ECHO again")->text, "again");
    close(fd);
    trial_end(&t);
}

static void blocking_commands_do_not_count_for_the_breaker(void **state)
{
    static struct trial t;
    (void)state;
    trial_init(&t, server.port);
    t.config.command_timeout_ms = 20;
    trial_connect(&t);
    WAIT_FOR(&t, redis_link_is_up(t.link));
    for (unsigned i = 0; i < 8; i++)
        assert_true(send_line(&t, 30, "BLPOP none 0.3"));
    WAIT_FOR(&t, t.answer_count == 8);
    assert_int_equal(t.answers[7].result, REDIS_LATE);
    assert_int_equal(redis_figures(t.redis)->late, 8);
    assert_int_equal(redis_figures(t.redis)->breaker_opened, 0);
    trial_end(&t);
}

static void a_server_that_has_gone_is_found_again_when_it_is_back(void **state)
{
    static struct trial t;
    struct server other = {0};
    (void)state;
    server_start(&other, NULL);
    trial_init(&t, other.port);
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    ask(other.port, "SHUTDOWN NOSAVE");
    WAIT_FOR(&t, t.downs == 1);
    WAIT_FOR(&t, redis_figures(t.redis)->connect_failures > 2);
    assert_int_equal(redis_figures(t.redis)->up, 0);
    server_stop(&other);
    server_start(&other, NULL);
    WAIT_FOR(&t, t.ups == 2);
    assert_int_equal(redis_figures(t.redis)->up, 1);
    trial_end(&t);
    server_end(&other);
}

static void greeting_names_the_connection_and_chooses_the_database(void **state)
{
    static struct trial t;
    (void)state;
    trial_init(&t, server.port);
    t.config.database = 7;
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    const char *clients = ask(server.port, "CLIENT LIST");
    const char *ours = strstr(clients, "name=larder-test");
    assert_non_null(ours);
    assert_non_null(strstr(ours, "db=7"));
    assert_true(trial_is_at(&t, server.port));
    trial_end(&t);
}

static void a_user_with_the_right_password_gets_in(void **state)
{
    static const struct {
        const char *user, *password;
        unsigned database;
        bool gets_in;
    } cases[] = {
        {"larder", "open sesame", 0, true},
        {"larder", "wrong", 0, false},
        {"nobody", "open sesame", 0, false},
        {"", "of the default", 0, true},
        {"", "", 0, false},
        {"larder", "open sesame", 99, false},
        {"blind", "x", 0, false},
    };
    static struct trial t;
    struct server guarded = {0};
    (void)state;
    server_start(&guarded, NULL);
    ask(guarded.port, "ACL SETUSER larder on \">open sesame\" ~* +@all");
    ask(guarded.port, "ACL SETUSER blind on >x ~* +@all -role");
    ask(guarded.port, "CONFIG SET requirepass \"of the default\"");
    for (size_t i = 0; i < array_len(cases); i++) {
        trial_init(&t, guarded.port);
        t.config.user = span_str(cases[i].user);
        t.config.password = span_str(cases[i].password);
        t.config.database = cases[i].database;
        trial_connect(&t);
        const struct redis_figures *f = redis_figures(t.redis);
        WAIT_FOR(&t, cases[i].gets_in ? f->up == 1 : f->connect_failures >= 2);
        assert_int_equal(t.ups, cases[i].gets_in);
        assert_int_equal(t.downs, 0);
        trial_end(&t);
    }
    server_end(&guarded);
}

static void a_unix_socket_serves_as_well(void **state)
{
    static struct trial t;
    struct server local = {0};
    char path[96];
    (void)state;
    server_make_dir(&local);
    snprintf(path, sizeof(path), "%s/redis.sock", local.dir);
    const char *words[] = {"--unixsocket", path, NULL};
    trial_init(&t, 0);
    t.config.socket = span_str(path);
    trial_connect(&t);
    WAIT_FOR(&t, redis_figures(t.redis)->connect_failures >= 2); /* it is not there yet */
    server_start(&local, words);
    WAIT_FOR(&t, t.ups == 1);
    assert_string_equal(call_line(&t, "ECHO near")->text, "near");
    server_stop(&local);
    WAIT_FOR(&t, t.downs == 1);
    trial_end(&t);
    server_end(&local);
}

static void a_name_is_resolved_and_its_addresses_tried_in_turn(void **state)
{
    static struct trial t;
    (void)state;
    trial_init(&t, 0); /* "localhost" may be ::1 first, where nobody listens */
    t.config.server_count = 2;
    t.config.server[0] = (struct address){"no-such-host.invalid", 6379};
    t.config.server[1] = (struct address){"localhost", (uint16_t)server.port};
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    assert_string_equal(call_line(&t, "ECHO found")->text, "found");
    trial_end(&t);
    trial_init(&t, 0);
    t.config.server_count = 1;
    t.config.server[0] = (struct address){"no-such-host.invalid", 6379};
    trial_connect(&t);
    event_base_loop(loop_base(t.loop), EVLOOP_ONCE); /* ends while its thread still looks */
    trial_end(&t);
}

static void send_from_on_up(struct trial *t)
{
    assert_true(redis_link_is_up(t->link));
    assert_true(send_line(t, 0, "ECHO first"));
}

static void commands_may_be_sent_as_soon_as_it_is_up(void **state)
{
    static struct trial t;
    (void)state;
    trial_init(&t, server.port);
    t.on_up = send_from_on_up;
    trial_connect(&t);
    assert_false(redis_link_is_up(t.link));
    assert_false(send_line(&t, 0, "PING"));
    WAIT_FOR(&t, t.answer_count == 1);
    assert_string_equal(t.answers[0].text, "first");
    trial_end(&t);
}

static void send_another(struct trial *t, const struct answer *a)
{
    (void)a;
    if (t->answer_count < 500)
        assert_true(send_line(t, 0, "PING") && send_line(t, 0, "PING"));
}

static void drop_at_the_third(struct trial *t, const struct answer *a)
{
    (void)a;
    if (t->answer_count == 3) {
        redis_link_drop(t->link, "it is not the one");
        redis_link_drop(t->link, "twice");
        assert_false(redis_link_is_up(t->link));
        assert_int_equal(t->downs, 0);
    }
    if (t->answer_count > 3)
        assert_int_equal(a->result, REDIS_LOST);
}

static void free_at_the_third(struct trial *t, const struct answer *a)
{
    assert_int_equal(a->result, t->answer_count > 3 ? REDIS_LOST : REDIS_OK);
    if (t->answer_count == 3) {
        redis_link_free(t->link);
        assert_int_equal(t->answer_count, 10); /* all others have had their REDIS_LOST */
        t->link = NULL;
    }
}

static void free_when_late(struct trial *t, const struct answer *a)
{
    assert_int_equal(a->result, t->answer_count > 2 ? REDIS_LOST : REDIS_LATE);
    if (t->answer_count == 2) {
        redis_link_free(t->link);
        t->link = NULL;
    }
}

static void callbacks_may_send_drop_and_free(void **state)
{
    static struct trial t;
    (void)state;
    start(&t);
    t.on_answer = send_another;
    assert_true(send_line(&t, 0, "PING"));
    WAIT_FOR(&t, t.answer_count > 900);
    trial_end(&t);

    start(&t);
    t.on_answer = drop_at_the_third;
    for (unsigned i = 0; i < 10; i++)
        assert_true(send_line(&t, 0, "PING"));
    WAIT_FOR(&t, t.downs == 1);
    assert_int_equal(t.answer_count, 10);
    assert_string_equal(t.why, "it is not the one");
    t.on_answer = NULL;
    WAIT_FOR(&t, t.ups == 2);
    trial_end(&t);

    start(&t);
    t.on_answer = free_at_the_third;
    for (unsigned i = 0; i < 10; i++)
        assert_true(send_line(&t, 0, "PING"));
    WAIT_FOR(&t, t.link == NULL);
    assert_int_equal(t.downs, 0);
    assert_int_equal(redis_figures(t.redis)->links, 0);
    assert_int_equal(redis_figures(t.redis)->up, 0);
    trial_end(&t);

    start(&t);
    t.on_answer = free_when_late;
    for (unsigned i = 0; i < 10; i++)
        assert_true(send_line(&t, i < 5 ? 20 : 5000, "BLPOP none 0.5"));
    WAIT_FOR(&t, t.link == NULL);
    assert_int_equal(t.answer_count, 10);
    trial_end(&t);
}

static void an_idle_connection_is_asked_whether_it_is_alive(void **state)
{
    static struct trial t;
    unsigned pings = 0;
    (void)state;
    ask(server.port, "CONFIG RESETSTAT");
    trial_init(&t, server.port);
    t.config.idle_timeout_ms = 20;
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    WAIT_FOR(&t, sscanf(strstr(ask(server.port, "INFO commandstats"), "cmdstat_ping:calls="),
                        "cmdstat_ping:calls=%u", &pings) == 1 &&
                     pings >= 4);
    assert_int_equal(t.downs, 0);
    assert_int_equal(redis_figures(t.redis)->commands, 0); /* it is none of the callers' */
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
    server_end(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_and_replies_are_binary),
        cmocka_unit_test(large_values_and_many_arguments_arrive_whole),
        cmocka_unit_test(every_type_of_reply_is_understood),
        cmocka_unit_test(a_text_of_digits_is_an_integer_too),
        cmocka_unit_test(a_server_that_stands_still_opens_the_breaker_until_it_answers),
        cmocka_unit_test(blocking_commands_do_not_count_for_the_breaker),
        cmocka_unit_test(a_server_that_has_gone_is_found_again_when_it_is_back),
        cmocka_unit_test(greeting_names_the_connection_and_chooses_the_database),
        cmocka_unit_test(a_user_with_the_right_password_gets_in),
        cmocka_unit_test(a_unix_socket_serves_as_well),
        cmocka_unit_test(a_name_is_resolved_and_its_addresses_tried_in_turn),
        cmocka_unit_test(commands_may_be_sent_as_soon_as_it_is_up),
        cmocka_unit_test(callbacks_may_send_drop_and_free),
        cmocka_unit_test(an_idle_connection_is_asked_whether_it_is_alive),
        cmocka_unit_test(replies_come_in_the_order_of_their_commands),
        cmocka_unit_test(a_reply_that_is_too_late_is_dropped_and_later_ones_still_match),
        cmocka_unit_test(a_killed_connection_loses_its_commands_and_comes_back),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
