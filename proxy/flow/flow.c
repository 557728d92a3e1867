/* A request that was no plain hit, as a table of states. Events of the gate, the fetch and the
 * timer note what has happened and call run(). */
#include "flow.h"

#include <assert.h>
#include <stdlib.h>

#define TO(state) (1u << (state))

static enum flow_state step_route(struct flow *f);
static enum flow_state step_read_body(struct flow *f);
static enum flow_state step_lookup(struct flow *f);
static enum flow_state step_wait(struct flow *f);

static const struct {
    const char *name;
    enum flow_state (*step)(struct flow *f);
    unsigned next; /* the states this one may lead to */
} flow_table[] = {
    [FLOW_ROUTE] = {"route", step_route,
                    TO(FLOW_READ_BODY) | TO(FLOW_LOOKUP) | TO(FLOW_PASS) | TO(FLOW_FAIL)},
    [FLOW_READ_BODY] = {"read-body", step_read_body,
                        TO(FLOW_LOOKUP) | TO(FLOW_PASS) | TO(FLOW_FAIL)},
    [FLOW_LOOKUP] = {"lookup", step_lookup,
                     TO(FLOW_WAIT) | TO(FLOW_DELIVER) | TO(FLOW_PASS) | TO(FLOW_FAIL)},
    [FLOW_WAIT] = {"wait", step_wait,
                   TO(FLOW_LOOKUP) | TO(FLOW_DELIVER) | TO(FLOW_PASS) | TO(FLOW_FAIL) |
                       TO(FLOW_STREAM)},
    [FLOW_PASS] = {"pass", flow_step_pass, TO(FLOW_STREAM) | TO(FLOW_FAIL)},
    [FLOW_STREAM] = {"stream", flow_step_stream, TO(FLOW_FAIL) | TO(FLOW_DONE)},
    [FLOW_DELIVER] = {"deliver", flow_step_deliver, TO(FLOW_DONE)},
    [FLOW_FAIL] = {"fail", flow_step_fail, TO(FLOW_DONE)},
};

static void flow_free(struct flow *f)
{
    if (f->fetch)
        fetch_leave(take(f->fetch));
    if (f->waiter)
        f->waiter->flow = NULL; /* its letter is still to come, and frees it */
    entry_unref(f->entry);
    entry_unref(f->vary);
    json_doc_free(f->json);
    timer_free(f->timer);
    if (f->body)
        evbuffer_free(f->body);
    list_remove(&f->link);
    count_down(&f->w->counters.active);
    free(f);
}

void flow_run(struct flow *f)
{
    while (f->state != FLOW_DONE) {
        enum flow_state next = flow_table[f->state].step(f);
        if (next == FLOW_PAUSE)
            return; /* an event will resume us */
        assert(flow_table[f->state].next & TO(next));
        f->state = next;
    }
    flow_free(f);
}

enum flow_state flow_fail(struct flow *f, unsigned status, const char *type, const char *detail)
{
    f->problem.status = status;
    f->problem.type = type;
    f->problem.detail = detail;
    return FLOW_FAIL;
}

static enum flow_state bypass(struct flow *f, enum reason r)
{
    f->reason = r;
    return FLOW_PASS;
}

static bool wants_body(const struct flow *f)
{
    bool is_post = f->head->method == METHOD_POST || f->head->method == METHOD_QUERY;
    return is_post && (f->l.route->needs_body || !f->l.route->has_key);
}

static enum flow_state step_route(struct flow *f)
{
    const struct config *c = f->w->config;
    const struct head *h = f->head;
    if (h->method == METHOD_CONNECT || h->method == METHOD_TRACE)
        return flow_fail(f, 501, "method", "CONNECT and TRACE are not proxied");
    f->l.route = route_match(c->routes, c->route_count, h, &f->l.captures);
    const struct route *r = f->l.route;
    f->body_limit = r->body_limit_bytes ? r->body_limit_bytes : c->limits.body_bytes;
    if (h->framing == FRAMING_LENGTH && h->content_length > f->body_limit)
        return flow_fail(f, 413, "body-too-large",
                         "the request's body is over the limit; see limits.body_bytes and the "
                         "route's body_limit");
    enum reason why = lookup_may_share(r, h);
    if (why != REASON_NONE)
        return bypass(f, why);
    if (wants_body(f))
        return FLOW_READ_BODY;
    /* a body that the key does not know must not choose a shared answer */
    if (gate_body_state(f->gate) != BODY_NONE)
        return bypass(f, REASON_KEY);
    return FLOW_LOOKUP;
}

static enum flow_state step_read_body(struct flow *f)
{
    gate_body_start(f->gate, f->body_limit);
    switch (gate_body_state(f->gate)) {
    case BODY_BAD:
        return flow_fail(f, 400, "bad-body", "the request's chunked body is malformed");
    case BODY_TOO_LARGE:
        return flow_fail(f, 413, "body-too-large", "the request's body is over the limit");
    default:
        break;
    }
    evbuffer_add_buffer(f->body, gate_body(f->gate));
    if (evbuffer_get_length(f->body) > f->w->config->limits.key_body_bytes)
        return bypass(f, REASON_BODY_TOO_LARGE); /* what has been read goes first */
    if (gate_body_state(f->gate) == BODY_MORE) {
        gate_body_taken(f->gate);
        return FLOW_PAUSE;
    }
    f->is_body_whole = true;
    return FLOW_LOOKUP;
}

static struct span whole_body(struct flow *f)
{
    size_t len = evbuffer_get_length(f->body);
    return span_of((const char *)evbuffer_pullup(f->body, -1), len);
}

static enum key_result make_key(struct flow *f)
{
    struct span body = whole_body(f);
    if (wants_body(f) && !f->json && body.len > 0) {
        enum { DEPTH = 64 };
        if (json_parse(body, NULL, 0, DEPTH, &f->json, NULL) != ERR_OK)
            f->json = NULL; /* a form, or no JSON: the key decides what that means */
    }
    return lookup_build_key(f->w, &f->l, f->head, body, f->json ? json_root(f->json) : NULL,
                            f->key_block, sizeof(f->key_block));
}

static enum flow_state step_lookup(struct flow *f)
{
    switch (make_key(f)) {
    case KEY_REJECT:
        return flow_fail(f, 400, "unknown-parameter",
                         f->l.why ? f->l.why : "a parameter is not known to this route");
    case KEY_BYPASS:
        return bypass(f, REASON_KEY);
    case KEY_OK:
        break;
    }
    f->has_key = true;
    return flow_begin(f);
}

/* The flight has landed, or the wait was too long. */
static enum flow_state step_wait(struct flow *f)
{
    if (f->is_timeout && !f->is_landed) {
        f->waiter->flow = NULL;
        f->waiter = NULL;
        count_down(&f->w->counters.coalesced_waiting);
        count(&f->w->routes[f->l.route->index].wait_timeouts);
        return bypass(f, REASON_WAIT_TIMEOUT);
    }
    if (f->stream_head)
        return FLOW_STREAM; /* we led, and the answer is ours alone */
    if (!f->is_landed)
        return FLOW_PAUSE;
    f->is_landed = false;
    switch (f->landed) {
    case FLIGHT_ANSWER:
        if (flow_is_our_variant(f))
            return FLOW_DELIVER;
        f->is_coalesced = false; /* another variant's flight: ask anew */
        entry_unref(take(f->entry));
        entry_unref(take(f->vary));
        return FLOW_LOOKUP;
    case FLIGHT_UNSTORABLE:
        return bypass(f, REASON_UNSTORABLE);
    case FLIGHT_FAILED:
        break;
    }
    return flow_fail_upstream(f, (enum upstream_error)f->landed_error);
}

static void on_body(void *flow)
{
    flow_run(flow);
}

static void on_drained(void *flow)
{
    struct flow *f = flow;
    if (f->state == FLOW_STREAM)
        flow_run(f);
}

static void on_gone(void *flow)
{
    struct flow *f = flow;
    f->gate = NULL;
    count(&f->w->counters.clients_gone);
    if (f->waiter)
        count_down(&f->w->counters.coalesced_waiting);
    f->outcome = "gone";
    flow_log(f);
    flow_free(f);
}

static const struct gate_flow_ops gate_ops = {
    .on_body = on_body, .on_drained = on_drained, .on_gone = on_gone};

static void on_timer(void *arg)
{
    struct flow *f = arg;
    f->is_timeout = true;
    flow_run(f);
}

static struct flow *flow_new(struct worker *w, struct gate *g, const struct head *h)
{
    struct flow *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    list_init(&f->link);
    f->w = w;
    f->gate = g;
    f->head = h;
    f->started_us = gate_started_us(g);
    f->body = evbuffer_new();
    f->timer = timer_new(w->loop, on_timer, f);
    buf_init_fixed(&f->id, f->id_block, sizeof(f->id_block));
    request_id_make(w, h, g, &f->id);
    count(&w->counters.active);
    list_push_back(&w->flows, &f->link);
    if (!f->body || !f->timer) {
        flow_free(f);
        return NULL;
    }
    return f;
}

void flow_start(struct worker *w, struct gate *g, const struct head *h)
{
    struct flow *f = flow_new(w, g, h);
    if (!f) {
        gate_abort(g);
        return;
    }
    gate_attach(g, &gate_ops, f);
    flow_run(f);
}
