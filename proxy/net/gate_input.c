/* What comes in. The input callback runs inside evbuffer_read(), before evhttp looks: it takes all
 * bytes away, so that evhttp sees nothing but the stand-in head of a request that was checked. */
#include "gate-internal.h"

#include <larder/base/wipe.h>
#include <larder/net/reply.h>

#include <assert.h>
#include <stdlib.h>

/* What evhttp reads instead of the client's head: no body, no persistence rule of its own. */
static const char STAND_IN[] = "GET / HTTP/1.1\r\n\r\n";

/* A plain bufferevent keeps its input closed to all but itself; the one for TLS does not, and could
 * not read any more were it closed. */
static void add_stand_in(struct gate *g, struct evbuffer *in)
{
    if (!g->ssl)
        evbuffer_unfreeze(in, 0);
    evbuffer_add(in, STAND_IN, sizeof(STAND_IN) - 1);
    if (!g->ssl)
        evbuffer_freeze(in, 0);
}

static void feed_evhttp(struct gate *g)
{
    struct evbuffer *in = bufferevent_get_input(g->bev);
    g->feeding = true;
    if (evbuffer_get_length(in) > 0)
        evbuffer_add_buffer(g->hold, in);
    add_stand_in(g, in);
    g->feeding = false;
    if (!g->in_input)
        bufferevent_trigger(g->bev, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

/* Copies the head, which must outlive the input buffer, and reads it there once more. */
static bool take_request(struct gate *g, const char *p, size_t len)
{
    g->raw = malloc(len);
    g->head = malloc(sizeof(*g->head));
    if (!g->raw || !g->head) {
        gate_drop_request(g);
        return false;
    }
    memcpy(g->raw, p, len);
    g->raw_len = len;
    enum head_result rc = head_parse_request(g->raw, len, len, g->head);
    assert(rc == HEAD_OK);
    (void)rc;
    g->state = GATE_BUSY;
    g->finishing = g->close_after = g->is_lossy = false;
    g->is_input_over = g->is_output_ended = g->is_cut = false;
    g->body_started = false;
    g->body_bytes = 0;
    g->body_left = g->head->content_length;
    chunked_init(&g->chunked);
    bool has_body = g->head->framing == FRAMING_CHUNKED ||
                    (g->head->framing == FRAMING_LENGTH && g->body_left > 0);
    g->body_state = has_body ? BODY_MORE : BODY_NONE;
    g->deadline = 0;
    return true;
}

void gate_drop_request(struct gate *g)
{
    wipe_free(g->raw);
    free(g->head);
    g->raw = NULL;
    g->head = NULL;
    g->flow = NULL;
    evbuffer_drain(g->body, evbuffer_get_length(g->body));
}

void gate_refuse(struct gate *g, unsigned status, const char *why)
{
    struct buf out;
    char block[2048];
    buf_init_fixed(&out, block, sizeof(block));
    struct problem p = {.status = status, .type = "bad-request", .detail = why, .close = true};
    p.proxy_status = reply_proxy_status(status);
    if (status >= 500)
        p.type = "overloaded";
    reply_problem_format(&p, &out);
    struct iovec iov = {out.p, out.len};
    size_t stuck;
    if (g->gs->ops->on_refused) /* who has the answer finds it counted */
        g->gs->ops->on_refused(g->gs->arg, g, status, why);
    if (!g->is_shaking)                      /* else it could not read it */
        (void)gate_send(g, &iov, 1, &stuck); /* a full socket: the close tells enough */
    gate_start_linger(g);
}

static unsigned refusal_status(enum head_result r, const struct head *h)
{
    switch (r) {
    case HEAD_TOO_LARGE:
        return h->why && strstr(h->why, "target") ? 414 : 431;
    case HEAD_VERSION:
        return 505;
    default:
        return 400;
    }
}

/* One request out of <src>. False: nothing more to do for now. */
static bool read_one(struct gate *g, struct evbuffer *src)
{
    size_t limit = g->gs->config->limits.head_bytes, len = evbuffer_get_length(src);
    struct head *h = &g->gs->head;
    size_t want = len > limit + 4 ? limit + 4 : len;
    const char *p = (const char *)evbuffer_pullup(src, (ev_ssize_t)want);
    if (!p) {
        gate_refuse(g, 503, "out of memory");
        return false;
    }
    if (!g->head_begun)
        g->started_us = mono_now_us();
    enum head_result r = head_parse_request(p, want, limit, h);
    if (r == HEAD_MORE) {
        if (!g->head_begun)
            gate_set_deadline(g, g->gs->config->limits.head_timeout_ms);
        g->head_begun = true;
        return false;
    }
    if (r != HEAD_OK) {
        gate_refuse(g, refusal_status(r, h), h->why ? h->why : "the request's head is malformed");
        return false;
    }
    size_t bytes = h->bytes;
    g->head_begun = false;
    if (g->gs->ops->on_head(g->gs->arg, g, h) == GATE_ANSWERED) {
        evbuffer_drain(src, bytes);
        return g->state == GATE_HEAD;
    }
    if (!take_request(g, p, bytes)) {
        gate_refuse(g, 503, "out of memory");
        return false;
    }
    evbuffer_drain(src, bytes);
    feed_evhttp(g);
    return false;
}

static void read_heads(struct gate *g)
{
    struct evbuffer *in = bufferevent_get_input(g->bev);
    while (g->state == GATE_HEAD) {
        if (evbuffer_get_length(g->hold) > 0 && evbuffer_get_length(in) > 0)
            evbuffer_add_buffer(g->hold, in);
        struct evbuffer *src = evbuffer_get_length(g->hold) > 0 ? g->hold : in;
        if (evbuffer_get_length(src) == 0) {
            g->head_begun = false;
            gate_set_deadline(g, g->gs->config->limits.idle_timeout_ms);
            return;
        }
        if (!read_one(g, src))
            break;
    }
    if (g->state == GATE_HEAD && evbuffer_get_length(in) > 0)
        evbuffer_add_buffer(g->hold, in); /* an unfinished head: evhttp must not see it */
}

void gate_read_on(struct gate *g)
{
    if (g->gs->draining && evbuffer_get_length(g->hold) == 0) {
        gate_note(g, NOTE_FREE);
        return;
    }
    read_heads(g);
}

void gate_pause_reading(struct gate *g)
{
    if (!g->read_paused)
        bufferevent_disable(g->bev, EV_READ);
    g->read_paused = true;
}

void gate_resume_reading(struct gate *g)
{
    if (g->read_paused)
        bufferevent_enable(g->bev, EV_READ);
    g->read_paused = false;
}

/* Moves what has come out of evhttp's sight. While the stand-in still waits to be read, it stands
 * before the new bytes, and stays. */
static void hold_back(struct gate *g, struct evbuffer *in)
{
    bool is_waiting = g->state == GATE_BUSY && !g->evreq;
    g->feeding = true;
    if (is_waiting)
        evbuffer_drain(in, sizeof(STAND_IN) - 1);
    evbuffer_add_buffer(g->hold, in);
    if (is_waiting)
        add_stand_in(g, in);
    g->feeding = false;
}

void gate_on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
    struct gate *g = arg;
    if (g->feeding || info->n_added == 0)
        return;
    if (g->state == GATE_OPENING)
        gate_adopt(g);
    g->in_input = true;
    switch (g->state) {
    case GATE_HEAD:
        read_heads(g);
        break;
    case GATE_BUSY:
    case GATE_FLUSH:
        hold_back(g, in);
        if (g->state == GATE_BUSY && g->body_started && g->body_state == BODY_MORE)
            gate_pump_body(g);
        else if (evbuffer_get_length(g->hold) > HOLD_HIGH)
            gate_pause_reading(g);
        break;
    case GATE_TUNNEL:
        hold_back(g, in);
        gate_tunnel_pump(g);
        break;
    default:
        break;
    }
    if (g->state == GATE_LINGER)
        evbuffer_drain(in, evbuffer_get_length(in));
    g->in_input = false;
}

/* Takes the next piece of a chunked body out of the hold; false when there is no more for now. */
static bool pump_chunk(struct gate *g)
{
    struct evbuffer_iovec v;
    if (evbuffer_peek(g->hold, -1, NULL, &v, 1) < 1)
        return false;
    size_t used = 0;
    struct span body = {0};
    enum chunked_result r = chunked_feed(&g->chunked, span_of(v.iov_base, v.iov_len), &used, &body);
    if (r == CHUNKED_BODY) {
        evbuffer_drain(g->hold, used - body.len);
        evbuffer_remove_buffer(g->hold, g->body, body.len);
        g->body_bytes += body.len;
        return true;
    }
    evbuffer_drain(g->hold, used);
    if (r == CHUNKED_END)
        g->body_state = BODY_WHOLE;
    else if (r == CHUNKED_BAD)
        g->body_state = BODY_BAD;
    return r == CHUNKED_MORE && evbuffer_get_length(g->hold) > 0;
}

static bool pump_length(struct gate *g)
{
    size_t n = evbuffer_get_length(g->hold);
    if (n > g->body_left)
        n = (size_t)g->body_left;
    evbuffer_remove_buffer(g->hold, g->body, n);
    g->body_left -= n;
    g->body_bytes += n;
    if (g->body_left == 0)
        g->body_state = BODY_WHOLE;
    return false;
}

/* Moves body bytes from the hold to the flow's buffer, until one is empty or the other full. */
void gate_pump_body(struct gate *g)
{
    size_t before = evbuffer_get_length(g->body);
    while (g->body_state == BODY_MORE && evbuffer_get_length(g->hold) > 0 &&
           evbuffer_get_length(g->body) < BODY_HIGH) {
        bool more = g->head->framing == FRAMING_CHUNKED ? pump_chunk(g) : pump_length(g);
        if (g->body_bytes > g->body_limit)
            g->body_state = BODY_TOO_LARGE;
        if (!more)
            break;
    }
    bool is_full = evbuffer_get_length(g->body) >= BODY_HIGH;
    if (g->body_state == BODY_MORE && !is_full) {
        gate_resume_reading(g);
        gate_set_deadline(g, g->gs->config->limits.body_timeout_ms);
    } else {
        /* what it has not read of the answer is what may take too long now */
        gate_set_deadline(g, gate_pending(g) ? g->gs->config->limits.send_timeout_ms : 0);
        if (is_full)
            gate_pause_reading(g);
        else
            gate_resume_reading(g); /* a client that leaves is still to be seen */
    }
    if (evbuffer_get_length(g->body) != before || g->body_state != BODY_MORE)
        gate_note(g, NOTE_BODY);
}

void gate_body_start(struct gate *g, uint64_t limit)
{
    if (g->body_state != BODY_MORE || g->body_started)
        return;
    g->body_started = true;
    g->body_limit = limit;
    if (g->head->framing == FRAMING_LENGTH && g->head->content_length > limit) {
        g->body_state = BODY_TOO_LARGE;
        gate_note(g, NOTE_BODY);
        return;
    }
    if (g->head->expect_continue && evbuffer_get_length(g->hold) == 0) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        gate_write(g, go_on, sizeof(go_on) - 1);
    }
    gate_pump_body(g);
}

struct evbuffer *gate_body(struct gate *g)
{
    return g->body;
}

enum body_state gate_body_state(const struct gate *g)
{
    return g->body_state;
}

void gate_body_taken(struct gate *g)
{
    if (g->state == GATE_TUNNEL)
        gate_tunnel_pump(g);
    else if (g->body_started && g->body_state == BODY_MORE &&
             evbuffer_get_length(g->body) < BODY_HIGH)
        gate_pump_body(g);
}
