/* A request that was no plain hit, as a table of states. Events of the gate, the fetch and the
 * timer note what has happened and call run(). */
#include "flow.h"

#include <larder/base/hash.h>
#include <larder/base/log.h>

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
                    TO(FLOW_LIMIT) | TO(FLOW_READ_BODY) | TO(FLOW_LOOKUP) | TO(FLOW_PASS) |
                        TO(FLOW_FAIL)},
    [FLOW_LIMIT] = {"limit", flow_step_limit,
                    TO(FLOW_READ_BODY) | TO(FLOW_LOOKUP) | TO(FLOW_PASS) | TO(FLOW_DELIVER) |
                        TO(FLOW_FAIL)},
    [FLOW_READ_BODY] = {"read-body", step_read_body,
                        TO(FLOW_LOOKUP) | TO(FLOW_PASS) | TO(FLOW_FAIL)},
    [FLOW_LOOKUP] = {"lookup", step_lookup,
                     TO(FLOW_LIMIT) | TO(FLOW_WAIT) | TO(FLOW_DELIVER) | TO(FLOW_PASS) |
                         TO(FLOW_FAIL)},
    [FLOW_WAIT] = {"wait", step_wait,
                   TO(FLOW_LOOKUP) | TO(FLOW_WAIT) | TO(FLOW_DELIVER) | TO(FLOW_PASS) |
                       TO(FLOW_FAIL) | TO(FLOW_STREAM)},
    [FLOW_PASS] = {"pass", flow_step_pass, TO(FLOW_LIMIT) | TO(FLOW_STREAM) | TO(FLOW_FAIL)},
    [FLOW_STREAM] = {"stream", flow_step_stream,
                     TO(FLOW_TUNNEL) | TO(FLOW_DELIVER) | TO(FLOW_FAIL) | TO(FLOW_DONE)},
    [FLOW_TUNNEL] = {"tunnel", flow_step_tunnel, TO(FLOW_FAIL) | TO(FLOW_DONE)},
    [FLOW_DELIVER] = {"deliver", flow_step_deliver, TO(FLOW_FAIL) | TO(FLOW_DONE)},
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
    entry_unref(f->stale);
    json_doc_free(f->json);
    limited_free(f->limited);
    buf_fini(&f->own_lines);
    keep_free(f->keep);
    if (f->publication)
        f->publication->arg = NULL; /* its on_done is still to come, and frees it */
    if (f->held)
        evbuffer_free(f->held);
    timer_free(f->timer);
    if (f->body)
        evbuffer_free(f->body);
    list_remove(&f->link);
    if (f->tunnel.is_open)
        count_down(&f->w->counters.tunnels_open);
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
    const struct route *r = f->l.route;
    if (!r->cached)
        return r->on_write && r->on_write->needs_body && gate_body_state(f->gate) != BODY_NONE;
    bool is_post = f->head->method == METHOD_POST || f->head->method == METHOD_QUERY;
    return is_post && (r->needs_body || !r->has_key);
}

/* A warm job's request carries larder's own word for it; so does one that an alias makes of its
 * client's, which is a client's like any other but for what it says of him. */
static void look_for_warm(struct flow *f)
{
    struct span word;
    if (!shared_is_own(f->w->shared, f->head, &word))
        return;
    f->is_for_alias = span_eq(word, SPAN_LIT("alias"));
    f->is_warm = !f->is_for_alias;
    f->wants_new = span_eq(word, SPAN_LIT("refresh"));
}

/* The log tells once for each route and reason what the config could say. */
static void advise(struct flow *f, enum reason why)
{
    const struct route *r = f->l.route;
    struct route_switch *s = &f->w->shared->switches[r->index];
    bool is_of_credentials = why == REASON_AUTHORIZATION || why == REASON_COOKIE ||
                             why == REASON_API_KEY || why == REASON_IDENTITY;
    if (!is_of_credentials || atomic_fetch_or(&s->advised, 1u << why) & 1u << why)
        return;
    char block[400];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    reason_advice_format(why, r, &text);
    log_warn("a request was not cached (%s); %.*s", reason_name(why), (int)text.len, text.p);
}

static enum flow_state step_route(struct flow *f)
{
    const struct config *c = f->w->config;
    const struct head *h = f->head;
    if (h->method == METHOD_CONNECT || h->method == METHOD_TRACE)
        return flow_fail(f, 501, "method", "CONNECT and TRACE are not proxied");
    if (!config_allows_method(c, h))
        return flow_fail(f, 405, "method", "the method is not among those of limits.methods");
    if (h->expects_other)
        return flow_fail(f, 417, "expectation", "of expectations only 100-continue is understood");
    f->l.route = route_match(c->routes, c->route_count, h, &f->l.captures);
    const struct route *r = f->l.route;
    f->body_limit = r->body_limit_bytes ? r->body_limit_bytes : c->limits.body_bytes;
    if (h->framing == FRAMING_LENGTH && h->content_length > f->body_limit)
        return flow_fail(f, 413, "body-too-large",
                         "the request's body is over the limit; see limits.body_bytes and the "
                         "route's body_limit");
    look_for_warm(f);
    enum reason why = lookup_may_share(f->w->shared, r, h);
    if (why != REASON_NONE) {
        advise(f, why);
        count(&f->w->routes[r->index].bypassed[why]);
        f->reason = why;
        enum flow_state next = wants_body(f) && !r->cached ? FLOW_READ_BODY : FLOW_PASS;
        return flow_is_unasked(f) ? flow_limit(f, next, false) : next;
    }
    if (wants_body(f))
        return FLOW_READ_BODY;
    /* a body that the key does not know must not choose a shared answer */
    if (gate_body_state(f->gate) != BODY_NONE)
        return bypass(f, REASON_KEY);
    return FLOW_LOOKUP;
}

struct span flow_whole_body(struct flow *f)
{
    size_t len = evbuffer_get_length(f->body);
    return span_of(len ? (const char *)evbuffer_pullup(f->body, -1) : NULL, len);
}

const struct json *flow_json(const struct flow *f)
{
    return f->json ? json_root(f->json) : NULL;
}

static void parse_body(struct flow *f)
{
    enum { DEPTH = 64 };
    struct span body = flow_whole_body(f);
    if (!f->json && body.len > 0 && json_parse(body, NULL, 0, DEPTH, &f->json, NULL) != ERR_OK)
        f->json = NULL; /* a form, or no JSON: the key decides what that means */
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
    if (f->l.route->cached)
        return FLOW_LOOKUP;
    parse_body(f); /* for on_write; the body is passed on as it came */
    return FLOW_PASS;
}

/* Larder's own requests say for whom they ask. */
static bool flow_is_https(const struct flow *f)
{
    const struct field *proto = head_field(f->head, FIELD_X_FORWARDED_PROTO);
    if ((f->is_warm || f->is_for_alias) && proto)
        return span_eq(proto->value, SPAN_LIT("https"));
    return lookup_is_https(f->w->config, f->head, f->gate);
}

static enum key_result make_key(struct flow *f)
{
    if (wants_body(f))
        parse_body(f);
    f->l.is_https = flow_is_https(f);
    return lookup_build_key(f->w->shared, &f->l, f->head, flow_whole_body(f), flow_json(f),
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
    case KEY_NO_IDENTITY:
        advise(f, REASON_IDENTITY);
        return bypass(f, REASON_IDENTITY);
    case KEY_OK:
        break;
    }
    f->has_key = true;
    if (lookup_is_cut_off(f->w, f->l.route))
        return bypass(f, REASON_PARTITION);
    if (f->l.route->rate_limit.counts_hits && flow_is_unasked(f))
        return flow_limit(f, FLOW_LOOKUP, flow_is_hit(f));
    return flow_begin(f);
}

/* The answer is too slow, and there is a stale one: the fetch goes on without us. */
static enum flow_state step_deadline(struct flow *f)
{
    f->is_timeout = f->is_deadline = false;
    if (!flow_may_serve_stale(f)) {
        if (f->waiter)
            timer_start(f->timer, f->w->config->cache.wait_timeout_ms);
        return FLOW_PAUSE;
    }
    if (f->waiter) {
        f->waiter->flow = NULL;
        f->waiter = NULL;
        count_down(&f->w->counters.coalesced_waiting);
    }
    if (f->fetch)
        fetch_leave(take(f->fetch));
    return flow_serve_stale(f, REASON_DEADLINE);
}

static bool has_failed(const struct flow *f)
{
    return f->landed == FLIGHT_FAILED ||
           (f->landed == FLIGHT_ANSWER && f->entry && status_is_failure(f->entry->status));
}

/* The flight has landed, or the wait was too long. */
static enum flow_state step_wait(struct flow *f)
{
    if (f->is_timeout && !f->is_landed && f->is_deadline)
        return step_deadline(f);
    if (f->is_timeout && !f->is_landed) {
        f->waiter->flow = NULL;
        f->waiter = NULL;
        count_down(&f->w->counters.coalesced_waiting);
        count(&f->w->routes[f->l.route->index].wait_timeouts);
        return bypass(f, REASON_WAIT_TIMEOUT);
    }
    if (f->stream_head) { /* we led, and the answer is ours alone */
        if (!status_is_failure(f->stream_head->status) || !flow_may_hide_error(f))
            return FLOW_STREAM;
        fetch_leave(take(f->fetch));
        return flow_serve_stale(f, REASON_IF_ERROR);
    }
    if (!f->is_landed)
        return FLOW_PAUSE;
    f->is_landed = false;
    if (has_failed(f) && flow_may_hide_error(f))
        return flow_serve_stale(f, REASON_IF_ERROR);
    switch (f->landed) {
    case FLIGHT_OVERTAKEN:
        f->is_coalesced = false;
        return FLOW_LOOKUP;
    case FLIGHT_ANSWER:
        if (!f->is_led && lookup_is_personal(f->l.route, f->head) &&
            !(f->entry->flags & FRESH_FOR_AUTHORIZED)) {
            entry_unref(take(f->entry)); /* none of this request's: nor is it a hit */
            return bypass(f, REASON_AUTHORIZATION);
        }
        if (flow_is_our_variant(f) && (f->is_led || lookup_knows_origin(f->head, f->entry)))
            return f->is_found ? flow_serve_found(f) : FLOW_DELIVER;
        f->is_found = f->is_coalesced = false; /* another variant's flight: ask anew */
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
    if (f->state == FLOW_STREAM || f->state == FLOW_TUNNEL)
        flow_run(f);
}

static void on_gone(void *flow)
{
    struct flow *f = flow;
    f->gate = NULL;
    if (f->waiter)
        count_down(&f->w->counters.coalesced_waiting);
    if (f->state != FLOW_TUNNEL) { /* there it is one of the ways to end */
        count(&f->w->counters.clients_gone);
        f->outcome = "gone";
    }
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

enum { OWN_LINES_MAX = 4096 };

static struct flow *flow_new(struct worker *w, struct gate *g, const struct head *h)
{
    struct flow *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    list_init(&f->link);
    buf_init(&f->own_lines, OWN_LINES_MAX);
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
