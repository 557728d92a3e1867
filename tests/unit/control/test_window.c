/* Figures of the last minute and hour, by a clock that the test turns. */
#include "../config/config-test.h"

#include "../../../proxy/control/control-internal.h"

struct world {
    struct config *config;
    struct shared shared;
    struct worker *worker;
    struct control control;
    struct windows *windows;
};

static int make_world(void **state)
{
    static struct world w;
    struct err err;
    w.config =
        config_of("{" APP ",\"log\":{\"access\":\"off\"},\"routes\":["
                  "{\"name\":\"a\",\"match\":\"GET /a\"},{\"name\":\"b\",\"match\":\"/b\"}]}");
    w.shared.config = w.config;
    assert_int_equal(shared_init(&w.shared, &err), ERR_OK);
    w.shared.upstreams = calloc(1, sizeof(struct upstream *));
    assert_non_null(w.shared.upstreams);
    assert_int_equal(upstream_new(&w.config->upstreams[0], &w.shared.upstreams[0], &err), ERR_OK);
    w.worker = worker_new(0, &w.shared);
    assert_non_null(w.worker);
    w.shared.workers = &w.worker;
    w.shared.worker_count = 1;
    w.control.shared = &w.shared;
    w.windows = windows_new(&w.control);
    assert_non_null(w.windows);
    *state = &w;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;
    windows_free(w->windows);
    worker_free(w->worker);
    upstream_free(w->shared.upstreams[0]);
    free(w->shared.upstreams);
    shared_fini(&w->shared);
    config_free(w->config);
    return 0;
}

static void requests(struct world *w, unsigned route, unsigned n)
{
    struct route_counters *c = (struct route_counters *)(uintptr_t)&worker_route_counters(
        w->worker)[route]; /* its thread, which alone may write, does not run */
    for (unsigned i = 0; i < n; i++) {
        count(&c->requests);
        hist_record(&c->hit_time, 100 + i);
    }
}

static void pass(struct world *w, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++)
        windows_tick(w->windows);
}

/* Requests of <route>, or (2: one beyond the routes) of all, in the window. */
static uint64_t seen(const struct world *w, unsigned route, enum window window)
{
    struct route_counters *c = calloc(3, sizeof(*c));
    assert_non_null(c);
    counters_sum(&w->shared, 0, &c[0]);
    counters_sum(&w->shared, 1, &c[1]);
    if (route >= w->config->route_count) {
        for (unsigned i = 0; i < w->config->route_count; i++) {
            counters_sum(&w->shared, i, &c[0]);
            counters_add(&c[2], &c[0]);
        }
        route = w->config->route_count;
        windows_read(w->windows, route, window, &c[2], &c[0]);
    } else {
        windows_read(w->windows, route, window, &c[route], &c[2]);
        c[0] = c[2];
    }
    uint64_t n = c[0].requests, timed = c[0].hit_time.count;
    assert_int_equal(n, timed);
    free(c);
    return n;
}

static void what_is_older_than_the_window_has_left_it(void **state)
{
    struct world *w = *state;
    enum { ALL = 1000 };
    requests(w, 0, 3);
    assert_int_equal(seen(w, 0, WINDOW_MINUTE), 3);
    pass(w, 30);
    requests(w, 0, 4);
    requests(w, 1, 1);
    assert_int_equal(seen(w, 0, WINDOW_MINUTE), 7);
    assert_int_equal(seen(w, ALL, WINDOW_MINUTE), 8);
    pass(w, 40); /* the first are 70 seconds old, the others 40 */
    assert_int_equal(seen(w, 0, WINDOW_MINUTE), 4);
    assert_int_equal(seen(w, 1, WINDOW_MINUTE), 1);
    assert_int_equal(seen(w, ALL, WINDOW_MINUTE), 5);
    assert_int_equal(seen(w, ALL, WINDOW_HOUR), 8);
    pass(w, 30);
    assert_int_equal(seen(w, ALL, WINDOW_MINUTE), 0);
    assert_int_equal(seen(w, ALL, WINDOW_START), 8);
    pass(w, 3600);
    requests(w, 1, 2);
    assert_int_equal(seen(w, 1, WINDOW_MINUTE), 2);
    pass(w, 600);
    assert_int_equal(seen(w, 0, WINDOW_HOUR), 0);
    assert_int_equal(seen(w, 1, WINDOW_HOUR), 2);
    pass(w, 3600);
    assert_int_equal(seen(w, ALL, WINDOW_HOUR), 0);
    assert_int_equal(seen(w, ALL, WINDOW_START), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_older_than_the_window_has_left_it),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
