/* A worker: one thread, one loop, its own listeners, pools and counters. Draining is looked after
 * in the loop itself: a short timer asks whether the last connection is gone. */
#include "flow-internal.h"

#include <larder/flow/limits.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { DRAIN_POLL_MS = 20, ACCESS_QUEUE_BYTES = 1 << 20 };

enum err_code shared_init(struct shared *s, struct err *err)
{
    const struct config *c = s->config;
    uint8_t token[16];
    random_bytes(token, sizeof(token));
    hex_format(token, sizeof(token), s->warm_token);
    s->switches = calloc(c->route_count, sizeof(*s->switches));
    s->plans = calloc(c->route_count, sizeof(struct body_plan *));
    s->values = values_new(c->cache.values_max);
    bool has_failed;
    s->limits = limits_new(c, &has_failed);
    if (!s->switches || !s->plans || !s->values || has_failed)
        return err_set(err, ERR_NOMEM, "start", "out of memory");
    for (unsigned i = 0; i < c->route_count; i++)
        if (body_plan_new(&c->routes[i], &s->plans[i]) != ERR_OK)
            return err_set(err, ERR_NOMEM, "start", "out of memory");
    return ERR_OK;
}

void shared_fini(struct shared *s)
{
    for (unsigned i = 0; s->plans && i < s->config->route_count; i++)
        body_plan_free(s->plans[i]);
    free(s->plans);
    free(s->switches);
    values_free(s->values);
    limits_free(s->limits);
}

bool shared_is_own(const struct shared *s, const struct head *h, struct span *ret_word)
{
    const struct field *f = head_field(h, FIELD_LARDER_WARM);
    struct span rest;
    if (!f || !secret_eq(span_split(f->value, ';', &rest), span_str(s->warm_token)))
        return false;
    *ret_word = span_trim(rest);
    return true;
}

static void on_refused(void *arg, struct gate *g, unsigned status, const char *why)
{
    struct worker *w = arg;
    count(&w->counters.bad_requests);
    struct access_record r = {.time_unix_ms = unix_now_ms(),
                              .client = gate_peer(g),
                              .reason = span_str(why),
                              .outcome = "error",
                              .status = status};
    struct security_event e = {
        .action = "bad-request", .client = gate_peer(g), .what = span_str(why), .status = status};
    log_security(&e);
    if (w->access)
        log_access(w->access, &r);
}

static void on_handshake(void *arg, struct gate *g, bool is_resumed, const char *failure)
{
    enum { QUIET_MS = 1000 }; /* anybody can make handshakes fail, as many as he likes */
    struct worker *w = arg;
    mono_ms now = mono_now_ms();
    if (!failure) {
        count(&w->counters.tls_handshakes);
        if (is_resumed)
            count(&w->counters.tls_resumed);
        return;
    }
    count(&w->counters.tls_failures);
    if (w->tls_told_ms && now - w->tls_told_ms < QUIET_MS)
        return;
    w->tls_told_ms = now;
    char text[256];
    snprintf(text, sizeof(text), "TLS with client " SPAN_FMT ": %s", SPAN_ARG(gate_peer(g)),
             failure);
    struct security_event e = {.action = "tls-handshake-failed",
                               .client = gate_peer(g),
                               .what = span_str(failure),
                               .message = text};
    log_security(&e);
}

static void on_request(void *arg, struct gate *g, const struct head *h)
{
    struct worker *w = arg;
    struct shared *s = w->shared;
    if (s->is_control && s->is_control(s->control, h))
        s->on_control(s->control, g, h, loop_mailbox(w->loop));
    else
        flow_start(w, g, h);
}

static const struct gate_ops worker_gate_ops = {
    .on_head = hit_on_head,
    .on_request = on_request,
    .on_refused = on_refused,
    .on_handshake = on_handshake,
};

static bool make_pools(struct worker *w)
{
    unsigned n = w->config->upstream_count;
    w->pools = calloc(n, sizeof(struct upstream_pool *));
    if (!w->pools)
        return false;
    for (unsigned i = 0; i < n; i++) {
        w->pools[i] = upstream_pool_new(loop_base(w->loop), w->shared->upstreams[i]);
        if (!w->pools[i])
            return false;
    }
    return true;
}

static bool make_objects(struct worker *w)
{
    struct tier *t = w->shared->tier;
    w->objects = t ? objects_new(t, w->loop, w->config, w->index) : NULL;
    return !t || w->objects;
}

static void on_drain_poll(void *arg)
{
    struct worker *w = arg;
    bool is_idle = loop_connections(w->loop) == 0;
    if (is_idle)
        fetch_abandon_all(w); /* nobody is left to serve what they bring */
    bool is_done = is_idle && !(w->objects && objects_are_writing(w->objects));
    if (is_done || mono_now_ms() >= w->drain_deadline)
        loop_stop(w->loop);
    else
        timer_start(w->drain_timer, DRAIN_POLL_MS);
}

struct worker *worker_new(unsigned index, struct shared *shared)
{
    struct worker *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->index = index;
    w->shared = shared;
    w->config = shared->config;
    w->store = shared->store;
    list_init(&w->flows);
    list_init(&w->fetches);
    random_bytes(&w->id_seed, sizeof(w->id_seed));
    random_bytes(&w->random, sizeof(w->random));
    w->random |= 1; /* xorshift has no way out of 0 */
    w->routes = calloc(w->config->route_count, sizeof(*w->routes));
    w->values = calloc(values_max(shared->values), sizeof(*w->values));
    w->loop = loop_new();
    w->drain_timer = w->loop ? timer_new(w->loop, on_drain_poll, w) : NULL;
    bool is_logged = !span_eq(w->config->log.access, SPAN_LIT("off"));
    w->access = is_logged ? access_queue_new(ACCESS_QUEUE_BYTES) : NULL;
    if (!w->routes || !w->values || !w->drain_timer || (is_logged && !w->access) ||
        !make_pools(w) || !make_objects(w)) {
        worker_free(w);
        return NULL;
    }
    return w;
}

enum err_code worker_listen(struct worker *w, struct address *addresses, struct err *err)
{
    for (unsigned i = 0; i < w->config->listen_count; i++) {
        enum err_code rc = loop_listen(w->loop, &addresses[i], w->config, w->shared->listen_tls[i],
                                       &worker_gate_ops, w, false, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static void on_ended(struct letter *l)
{
    struct shared *s = container_of(l, struct worker, ended_letter)->shared;
    s->on_worker_ended(s->on_worker_ended_arg);
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    loop_run(w->loop);
    w->ended_letter.on_delivery = on_ended;
    mailbox_post(w->shared->main, &w->ended_letter);
    return NULL;
}

enum err_code worker_start(struct worker *w)
{
    sigset_t all, old; /* signals belong to the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&w->thread, NULL, thread_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    w->is_running = rc == 0;
    return rc == 0 ? ERR_OK : ERR_NOMEM;
}

static void on_drain(struct letter *l)
{
    struct worker *w = container_of(l, struct worker, drain_letter);
    if (w->is_draining)
        return;
    w->is_draining = true;
    w->drain_deadline = mono_now_ms() + w->drain_ms;
    loop_drain(w->loop);
    on_drain_poll(w);
}

void worker_drain(struct worker *w, uint64_t deadline_ms)
{
    if (!w->is_running)
        return;
    w->drain_ms = deadline_ms;
    w->drain_letter.on_delivery = on_drain;
    mailbox_post(loop_mailbox(w->loop), &w->drain_letter);
}

void worker_join(struct worker *w)
{
    if (w->is_running)
        pthread_join(w->thread, NULL);
    w->is_running = false;
}

void worker_stop_upstreams(struct worker *w)
{
    for (unsigned i = 0; w->pools && i < w->config->upstream_count; i++) {
        if (w->pools[i])
            upstream_pool_free(take(w->pools[i]));
    }
    fetch_stop_all_shared(w);
    flow_stop_limits(w);
    objects_free(take(w->objects));
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    worker_stop_upstreams(w);
    timer_free(w->drain_timer);
    loop_free(w->loop);
    free(w->pools);
    free(w->routes);
    free(w->values);
    free(w);
}

const struct route_counters *worker_route_counters(const struct worker *w)
{
    return w->routes;
}

const struct objects *worker_objects(const struct worker *w)
{
    return w->objects;
}

const struct value_counters *worker_value_counters(const struct worker *w)
{
    return w->values;
}

const struct worker_counters *worker_counters(const struct worker *w)
{
    return &w->counters;
}
