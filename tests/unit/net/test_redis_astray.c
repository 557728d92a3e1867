/* Links that are sent to and fro, and given up at every turn. */
#include "redis-fake-test.h"

#include <dirent.h>

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Links that end in each state of theirs leave nothing behind: descriptors, figures. */
static void a_thousand_links_leave_nothing_behind(void **state)
{
    static struct trial t;
    struct fake f;
    (void)state;
    start_up(&t, &f);
    redis_link_free(take(t.link));
    fake_hang_up(&f);
    for (unsigned i = 0; i < 10; i++)
        event_base_loop(loop_base(t.loop), EVLOOP_NONBLOCK);
    unsigned before = count_fds();
    for (unsigned i = 0; i < 1000; i++) {
        struct redis_link *l = redis_link_new(t.loop, t.redis, "churn", &trial_ops, &t);
        assert_non_null(l);
        for (unsigned turns = i % 12; turns > 0; turns--)
            event_base_loop(loop_base(t.loop), EVLOOP_NONBLOCK);
        if (i % 12 == 11)
            WAIT_FOR(&t, redis_link_is_up(l));
        if (i % 24 == 23)
            redis_link_drop(l, "for the test");
        if (i % 3 == 0)
            fake_hang_up(&f);
        redis_link_free(l);
    }
    fake_hang_up(&f);
    for (unsigned i = 0; i < 30; i++)
        event_base_loop(loop_base(t.loop), EVLOOP_NONBLOCK);
    fake_hang_up(&f);
    const struct redis_figures *figures = redis_figures(t.redis);
    assert_int_equal(figures->links, 0);
    assert_int_equal(figures->up, 0);
    assert_int_equal(count_fds(), before);
    end(&t, &f);
}

/* Two that send each other's clients away: it is tried again and again, but not without a pause. */
static void two_that_point_at_each_other_are_not_asked_without_end(void **state)
{
    static struct trial t;
    static struct fake f, g;
    (void)state;
    start(&t, &f);
    fake_start(&g, &t);
    f.on_command = g.on_command = say_moved;
    f.other = &g;
    g.other = &f;
    trial_connect(&t);
    for (unsigned i = 0; i < 5; i++) {
        WAIT_FOR(&t, t.ups == i + 1);
        assert_true(send_line(&t, 0, "GET a"));
        WAIT_FOR(&t, t.downs == i + 1);
    }
    assert_true(f.connections + g.connections <= 7);
    fake_stop(&g);
    end(&t, &f);
}

static struct fake *told;
static const char *tale;
static bool tell_tale(struct fake *f, const char *line)
{
    if (strncmp(line, "SENTINEL", 8) != 0)
        return false;
    char text[200];
    snprintf(text, sizeof(text), tale, told->port);
    fake_say(f, text);
    return true;
}

static void what_a_sentinel_says_is_read_with_care(void **state)
{
    static const char *const tales[] = {"*-1\r\n",
                                        "*0\r\n",
                                        "$-1\r\n",
                                        ":1\r\n",
                                        "+OK\r\n",
                                        "*1\r\n$9\r\n127.0.0.1\r\n",
                                        "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
                                        "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n65536\r\n",
                                        "*2\r\n$9\r\n127.0.0.1\r\n$2\r\n-1\r\n",
                                        "*2\r\n$9\r\n127.0.0.1\r\n*0\r\n",
                                        "*2\r\n*0\r\n$4\r\n6379\r\n",
                                        "-ERR no\r\n",
                                        "+a\r\n+b\r\n",
                                        "*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n+more\r\n"};
    static struct trial t;
    static struct fake f, master;
    (void)state;
    for (size_t i = 0; i < array_len(tales); i++) {
        trial_init(&t, 0);
        fake_start(&f, &t);
        fake_start(&master, &t);
        master.role = "*1\r\n$8\r\nsentinel\r\n";
        told = &master;
        tale = tales[i];
        f.on_command = tell_tale;
        t.config.sentinel_count = 1;
        t.config.master = SPAN_LIT("m");
        t.config.sentinel[0] = (struct address){"127.0.0.1", (uint16_t)f.port};
        trial_connect(&t);
        WAIT_FOR(&t, redis_figures(t.redis)->connect_failures >= 3);
        assert_int_equal(t.ups, 0);
        assert_true(f.connections <= 4);
        fake_stop(&master);
        end(&t, &f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_links_leave_nothing_behind),
        cmocka_unit_test(two_that_point_at_each_other_are_not_asked_without_end),
        cmocka_unit_test(what_a_sentinel_says_is_read_with_care),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
