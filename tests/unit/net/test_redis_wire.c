/* What no good server says, and what a good one says too late or never. */
#include "redis-fake-test.h"

#include "../../../proxy/net/redis-internal.h"

static bool keep_silent(struct fake *f, const char *line)
{
    (void)f;
    return strncmp(line, "ECHO", 4) == 0;
}

static void a_reply_without_a_command_ends_the_connection(void **state)
{
    static struct trial t;
    struct fake f;
    (void)state;
    start_up(&t, &f);
    fake_say(&f, "+OK\r\n");
    WAIT_FOR(&t, t.downs == 1);
    assert_non_null(strstr(t.why, "nobody had asked for"));
    WAIT_FOR(&t, t.ups == 2);
    f.on_command = keep_silent;
    assert_true(send_line(&t, 0, "ECHO a"));
    WAIT_FOR(&t, strcmp(f.last, "ECHO a") == 0);
    fake_say(&f, "+a\r\n:1\r\n+third\r\n");
    WAIT_FOR(&t, t.downs == 2);
    assert_int_equal(t.answer_count, 1);
    assert_string_equal(t.answers[0].text, "a");
    WAIT_FOR(&t, t.ups == 3);
    fake_say(&f, "$100\r\nhalf of one"); /* or the next command would get it */
    WAIT_FOR(&t, t.downs == 3);
    assert_non_null(strstr(t.why, "nobody had asked for"));
    end(&t, &f);
}

static void what_is_no_reply_ends_the_connection(void **state)
{
    static const struct {
        const char *bytes, *why;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak"},
        {"%1\r\n+a\r\n+b\r\n", "does not speak"}, /* RESP3, which nobody has asked for */
        {":12x\r\n", "does not speak"},
        {":99999999999999999999\r\n", "does not speak"},
        {"$-2\r\n", "does not speak"},
        {"$x\r\n", "does not speak"},
        {"*-2\r\n", "does not speak"},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "does not speak"},
        {"*2000000\r\n", "too large"},
        {"*2\r\n*1000000\r\n", NULL}, /* it may yet come */
        {"*4294967296\r\n", "does not speak"},
        {"\r\n", "does not speak"},
    };
    static struct trial t;
    struct fake f;
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        start_up(&t, &f);
        f.on_command = keep_silent;
        assert_true(send_line(&t, 0, "ECHO a"));
        WAIT_FOR(&t, strcmp(f.last, "ECHO a") == 0);
        fake_say(&f, cases[i].bytes);
        if (!cases[i].why)
            fake_hang_up(&f);
        WAIT_FOR(&t, t.downs == 1);
        assert_true(!cases[i].why || strstr(t.why, cases[i].why));
        assert_int_equal(t.answer_count, 1);
        assert_int_equal(t.answers[0].result, REDIS_LOST);
        end(&t, &f);
    }
}

static void a_reply_may_come_byte_by_byte(void **state)
{
    static const char bytes[] =
        "*3\r\n$5\r\na\r\nb\n\r\n*-1\r\n*2\r\n:-12\r\n+ok\r\n-ERR no\r\n$0\r\n\r\n";
    static struct trial t;
    struct fake f;
    (void)state;
    start_up(&t, &f);
    f.on_command = keep_silent;
    assert_true(send_line(&t, 0, "ECHO a") && send_line(&t, 0, "ECHO b") &&
                send_line(&t, 0, "ECHO c"));
    WAIT_FOR(&t, strcmp(f.last, "ECHO c") == 0);
    for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
        bufferevent_write(f.bev, bytes + i, 1);
        WAIT_FOR(&t, evbuffer_get_length(bufferevent_get_output(f.bev)) == 0);
        for (unsigned turns = 0; turns < 2; turns++)
            event_base_loop(loop_base(t.loop), EVLOOP_NONBLOCK);
    }
    WAIT_FOR(&t, t.answer_count == 3);
    assert_int_equal(t.answers[0].type, REDIS_ARRAY);
    assert_int_equal(t.answers[1].result, REDIS_ERROR);
    assert_string_equal(t.answers[1].text, "ERR no");
    assert_int_equal(t.answers[2].type, REDIS_TEXT);
    assert_int_equal(t.answers[2].text_len, 0);
    assert_int_equal(t.downs, 0);
    end(&t, &f);
}

static void moved_leads_to_another_server_as_long_as_that_is_there(void **state)
{
    static struct trial t;
    struct fake a, b;
    (void)state;
    start(&t, &a);
    fake_start(&b, &t);
    a.on_command = say_moved;
    a.other = &b;
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    assert_int_equal(call_line(&t, "GET a")->result, REDIS_ERROR);
    WAIT_FOR(&t, t.ups == 2);
    assert_int_equal(b.connections, 1);
    assert_int_equal(call_line(&t, "GET a")->result, REDIS_OK);
    assert_true(trial_is_at(&t, b.port));
    fake_hang_up(&b);
    WAIT_FOR(&t, t.ups == 3); /* it is still where our keys are */
    assert_int_equal(b.connections, 2);
    fake_stop(&b);
    WAIT_FOR(&t, t.ups == 4);
    assert_int_equal(a.connections, 2);
    end(&t, &a);
}

static void where_moved_points_to_is_read_with_care(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } cases[] = {
        {"MOVED 3999 127.0.0.1:6381", "127.0.0.1", 6381},
        {"MOVED 0 redis-2.example:7000", "redis-2.example", 7000},
        {"MOVED 3999 ::1:6381", "::1", 6381},
        {"MOVED 3999 :6382", "asked.example", 6382},
        {"MOVED 3999 ?:6382", "asked.example", 6382},
        {"MOVED 3999 127.0.0.1:", NULL, 0},
        {"MOVED 3999 127.0.0.1:0", NULL, 0},
        {"MOVED 3999 127.0.0.1:65536", NULL, 0},
        {"MOVED 3999 127.0.0.1", NULL, 0},
        {"MOVED 3999", NULL, 0},
        {"MOVED ", NULL, 0},
    };
    static const struct address asked = {"asked.example", 6379};
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct address to;
        bool is_good = moved_parse(span_str(cases[i].text), &asked, &to);
        assert_int_equal(is_good, cases[i].host != NULL);
        if (is_good) {
            assert_string_equal(to.host, cases[i].host);
            assert_int_equal(to.port, cases[i].port);
        }
    }
    struct address to;
    assert_false(moved_parse(SPAN_LIT("MOVED 1 :6379"), NULL, &to)); /* a Unix socket has no host */
}

static bool load_twice(struct fake *f, const char *line)
{
    if (strcmp(line, "PING") != 0 || f->connections > 2)
        return false;
    fake_say(f, "-LOADING Redis is loading the dataset in memory\r\n");
    return true;
}

static void a_server_that_loads_its_data_is_tried_again(void **state)
{
    static struct trial t;
    struct fake f;
    (void)state;
    start(&t, &f);
    f.on_command = load_twice;
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    assert_int_equal(f.connections, 3);
    assert_int_equal(redis_figures(t.redis)->connect_failures, 2);
    end(&t, &f);
}

static void a_replica_is_refused_and_the_next_server_taken(void **state)
{
    static struct trial t;
    struct fake replica, master;
    (void)state;
    start(&t, &replica);
    fake_start(&master, &t);
    replica.role = "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:1\r\n";
    t.config.server_count = 2;
    t.config.server[1] = (struct address){"127.0.0.1", (uint16_t)master.port};
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    assert_int_equal(replica.connections, 1);
    assert_int_equal(master.connections, 1);
    fake_stop(&master);
    end(&t, &replica);
}

static bool say_readonly(struct fake *f, const char *line)
{
    if (strncmp(line, "SET", 3) == 0)
        fake_say(f, "-READONLY You can't write against a read only replica.\r\n");
    else if (strncmp(line, "XREAD", 5) == 0)
        fake_say(f, "-UNBLOCKED force unblock from blocking operation, instance state changed\r\n");
    else
        return false;
    return true;
}

static void a_master_that_has_become_a_replica_is_left(void **state)
{
    static const char *const commands[] = {"SET a b", "XREAD STREAMS log 0"};
    static struct trial t;
    struct fake f;
    (void)state;
    start(&t, &f);
    f.on_command = say_readonly;
    trial_connect(&t);
    for (unsigned i = 0; i < array_len(commands); i++) {
        WAIT_FOR(&t, redis_link_is_up(t.link));
        assert_int_equal(call_line(&t, commands[i])->result, REDIS_ERROR);
        WAIT_FOR(&t, t.downs == i + 1);
        assert_non_null(strstr(t.why, "no master any more"));
    }
    end(&t, &f);
}

static void a_greeting_that_nobody_answers_has_an_end(void **state)
{
    static struct trial t;
    struct fake f;
    (void)state;
    start(&t, &f);
    t.config.connect_timeout_ms = 60;
    f.is_mute = true;
    trial_connect(&t);
    WAIT_FOR(&t, redis_figures(t.redis)->connect_failures == 2);
    assert_int_equal(t.ups, 0);
    f.is_mute = false;
    WAIT_FOR(&t, t.ups == 1);
    end(&t, &f);
}

static void late_replies_open_the_breaker_and_a_ping_closes_it(void **state)
{
    static struct trial t;
    struct fake f;
    (void)state;
    start_up(&t, &f);
    t.config.command_timeout_ms = 20;
    const struct redis_figures *figures = redis_figures(t.redis);
    f.is_mute = true;
    for (unsigned i = 0; i < 4; i++)
        assert_true(send_line(&t, 0, "ECHO a"));
    WAIT_FOR(&t, t.answer_count == 4);
    assert_int_equal(figures->late, 4);
    assert_true(redis_link_is_up(t.link)); /* not yet */
    f.is_mute = false;
    WAIT_FOR(&t, f.commands >= 4);
    fake_say(&f, "+1\r\n+2\r\n+3\r\n+4\r\n");
    assert_int_equal(call_line(&t, "ECHO in-time")->result, REDIS_OK); /* counts from 0 again */
    f.is_mute = true;
    for (unsigned i = 0; i < 4; i++)
        assert_true(send_line(&t, 0, "ECHO a"));
    WAIT_FOR(&t, t.answer_count == 9);
    assert_true(send_line(&t, 0, "ECHO a"));
    WAIT_FOR(&t, t.answer_count == 10);
    assert_int_equal(figures->breakers_open, 1);
    assert_false(redis_link_is_up(t.link));
    assert_false(send_line(&t, 0, "ECHO a"));
    WAIT_FOR(&t, strcmp(f.last, "PING") == 0); /* not answered */
    mono_ms asked = mono_now_ms();
    unsigned commands = f.commands;
    fake_say(&f, "+1\r\n+2\r\n+3\r\n+4\r\n+5\r\n");
    WAIT_FOR(&t, mono_now_ms() >= asked + REDIS_PROBE_MS); /* when another one would be due */
    fake_say(&f, "+PONG\r\n");
    WAIT_FOR(&t, f.commands > commands);
    for (unsigned turns = 0; turns < 4; turns++)
        event_base_loop(loop_base(t.loop), EVLOOP_NONBLOCK);
    assert_false(redis_link_is_up(t.link)); /* that was the first one's answer, too late */
    fake_say(&f, "+PONG\r\n");
    f.is_mute = false;
    WAIT_FOR(&t, redis_link_is_up(t.link));
    assert_int_equal(figures->breakers_open, 0);
    assert_int_equal(figures->breaker_opened, 1);
    assert_int_equal(t.downs, 0);
    assert_int_equal(t.answer_count, 10); /* late replies were dropped */
    end(&t, &f);
}

/* A loop that was busy elsewhere sees its timer first. */
static void a_reply_that_has_come_is_not_late(void **state)
{
    static struct trial t;
    struct fake f;
    (void)state;
    start_up(&t, &f);
    t.config.command_timeout_ms = 20;
    for (unsigned i = 0; i < 8; i++) {
        f.last[0] = '\0';
        assert_true(send_line(&t, 0, "ECHO a"));
        WAIT_FOR(&t, f.last[0] && evbuffer_get_length(bufferevent_get_output(f.bev)) == 0);
        assert_int_equal(t.answer_count, i);
        for (mono_ms busy = mono_now_ms() + 40; mono_now_ms() < busy;)
            continue;
        WAIT_FOR(&t, t.answer_count == i + 1);
        assert_int_equal(t.answers[i].result, REDIS_OK);
    }
    assert_int_equal(redis_figures(t.redis)->breaker_opened, 0);
    end(&t, &f);
}

static void a_connection_that_stays_silent_is_given_up(void **state)
{
    static struct trial t;
    struct fake f;
    (void)state;
    start_up(&t, &f);
    t.config.command_timeout_ms = 20;
    f.is_mute = true;
    mono_ms begin = mono_now_ms();
    assert_true(send_line(&t, 0, "ECHO a") && send_line(&t, 60000, "ECHO b"));
    WAIT_FOR(&t, t.downs == 1);
    assert_true(mono_now_ms() - begin >= 2020);
    assert_non_null(strstr(t.why, "no reply for"));
    assert_int_equal(t.answer_count, 2);
    assert_int_equal(t.answers[0].result, REDIS_LATE); /* and not lost on top of it */
    assert_int_equal(t.answers[1].result, REDIS_LOST);
    end(&t, &f);
}

static void an_idle_connection_without_a_pong_is_given_up(void **state)
{
    static struct trial t;
    struct fake f;
    (void)state;
    start(&t, &f);
    t.config.command_timeout_ms = 20;
    t.config.idle_timeout_ms = 50;
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    unsigned before = f.commands;
    WAIT_FOR(&t, f.commands >= before + 3); /* each of them answered */
    assert_int_equal(t.downs, 0);
    f.is_mute = true;
    WAIT_FOR(&t, t.downs == 1);
    f.is_mute = false;
    WAIT_FOR(&t, t.ups == 2);
    end(&t, &f);
}

static void what_waits_to_be_sent_has_a_limit(void **state)
{
    static struct trial t;
    struct fake f;
    char *mega = calloc(1, 1 << 20);
    unsigned n = 0;
    (void)state;
    start_up(&t, &f);
    bufferevent_disable(f.bev, EV_READ);
    struct span args[] = {SPAN_LIT("SET"), SPAN_LIT("a"), span_of(mega, 1 << 20)};
    while (n < 200 && send_spans(&t, 60000, args, 3))
        n++;
    assert_true(n >= 60 && n <= 70);
    assert_int_equal(redis_figures(t.redis)->refused, 1);
    assert_true(redis_link_is_up(t.link));
    free(mega);
    redis_link_free(take(t.link));
    assert_int_equal(t.answer_count, n);
    assert_int_equal(redis_figures(t.redis)->lost, n);
    end(&t, &f);
}

static void a_reply_has_a_limit(void **state)
{
    static const char *const bad[] = {"$2000\r\n", "*3\r\n$1200\r\n", "+"};
    char filler[1500];
    struct redis_reply *r;
    (void)state;
    memset(filler, 'x', sizeof(filler));
    for (size_t i = 0; i < array_len(bad); i++) {
        struct redis_codec *c = redis_codec_new(1000);
        assert_true(redis_codec_feed(c, bad[i], strlen(bad[i])));
        assert_int_equal(redis_codec_next(c, &r), CODEC_MORE);
        enum codec_result result = CODEC_MORE;
        for (size_t at = 0; at < sizeof(filler) && result == CODEC_MORE; at += 100) {
            assert_true(redis_codec_feed(c, filler + at, 100));
            result = redis_codec_next(c, &r);
        }
        assert_int_equal(result, CODEC_BAD);
        redis_codec_free(c);
    }
    struct redis_codec *c = redis_codec_new(1000);
    for (size_t i = 0; i < 50; i++) { /* the limit is each reply's own */
        assert_true(redis_codec_feed(c, "$500\r\n", 6) && redis_codec_feed(c, filler, 500) &&
                    redis_codec_feed(c, "\r\n", 2));
        assert_int_equal(redis_codec_next(c, &r), CODEC_REPLY);
        assert_int_equal(redis_reply_text(r).len, 500);
        redis_reply_free(r);
    }
    redis_codec_free(c);
}

/* A reader that looked for its end anew with each piece would be busy for half a minute. */
static void a_line_has_a_limit_of_its_own(void **state)
{
    enum { PIECE = 16384, LIMIT = 64 << 20 };
    static char piece[PIECE];
    static const char *const kinds[] = {"+", "-", ":", "$", "*", "*2\r\n+a\r\n-"};
    (void)state;
    memset(piece, '1', sizeof(piece));
    for (size_t i = 0; i < array_len(kinds); i++) {
        struct redis_codec *c = redis_codec_new(LIMIT);
        struct redis_reply *r;
        size_t fed = 0;
        assert_true(redis_codec_feed(c, kinds[i], strlen(kinds[i])));
        while (fed < LIMIT && redis_codec_next(c, &r) == CODEC_MORE) {
            assert_true(redis_codec_feed(c, piece, sizeof(piece)));
            fed += sizeof(piece);
        }
        assert_in_range(fed, 64 << 10, 128 << 10);
        assert_string_equal(redis_codec_error(c), "a reply is too large");
        redis_codec_free(c);
    }
}

static const char *refusal;

static bool refuse(struct fake *f, const char *line)
{
    (void)line;
    fake_say(f, refusal);
    return true;
}

/* What the log says where a server answers the first command with <said>. */
static void read_log(const char *said, const char *password, char *log, size_t room)
{
    static struct trial t;
    struct fake f;
    int saved = dup(2), ends[2];
    ssize_t n;
    assert_int_equal(pipe(ends), 0);
    start(&t, &f);
    refusal = said;
    f.on_command = refuse;
    t.config.password = span_str(password);
    trial_connect(&t);
    dup2(ends[1], 2);
    WAIT_FOR(&t, redis_figures(t.redis)->connect_failures == 1);
    dup2(saved, 2);
    assert_true((n = read(ends[0], log, room - 1)) > 0);
    log[n] = '\0';
    close(saved);
    close(ends[0]);
    close(ends[1]);
    end(&t, &f);
}

static void a_password_is_never_repeated(void **state)
{
    char log[4096];
    (void)state;
    read_log("-ERR unknown command 'AUTH', with args beginning with: 'sesame'\r\n", "sesame", log,
             sizeof(log));
    assert_non_null(strstr(log, "refused AUTH (ERR)"));
    assert_null(strstr(log, "sesame"));
}

static void a_server_that_takes_nobody_is_quoted(void **state)
{
    static const char *const said[] = {"-DENIED Redis is running in protected mode\r\n",
                                       "-ERR max number of clients reached\r\n"};
    static const char *const passwords[] = {"", "sesame"};
    char log[4096];
    (void)state;
    for (size_t i = 0; i < array_len(said) * array_len(passwords); i++) {
        read_log(said[i / 2], passwords[i % 2], log, sizeof(log));
        assert_non_null(strstr(log, i / 2 ? "max number of clients" : "protected mode"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_without_a_command_ends_the_connection),
        cmocka_unit_test(what_is_no_reply_ends_the_connection),
        cmocka_unit_test(a_reply_may_come_byte_by_byte),
        cmocka_unit_test(moved_leads_to_another_server_as_long_as_that_is_there),
        cmocka_unit_test(where_moved_points_to_is_read_with_care),
        cmocka_unit_test(a_server_that_loads_its_data_is_tried_again),
        cmocka_unit_test(a_replica_is_refused_and_the_next_server_taken),
        cmocka_unit_test(a_master_that_has_become_a_replica_is_left),
        cmocka_unit_test(a_greeting_that_nobody_answers_has_an_end),
        cmocka_unit_test(late_replies_open_the_breaker_and_a_ping_closes_it),
        cmocka_unit_test(a_reply_that_has_come_is_not_late),
        cmocka_unit_test(a_connection_that_stays_silent_is_given_up),
        cmocka_unit_test(an_idle_connection_without_a_pong_is_given_up),
        cmocka_unit_test(what_waits_to_be_sent_has_a_limit),
        cmocka_unit_test(a_reply_has_a_limit),
        cmocka_unit_test(a_line_has_a_limit_of_its_own),
        cmocka_unit_test(a_password_is_never_repeated),
        cmocka_unit_test(a_server_that_takes_nobody_is_quoted),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
