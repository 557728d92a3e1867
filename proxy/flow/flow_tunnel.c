/* A request that has led out of HTTP (RFC 9110 section 7.8): bytes both ways, in their order, and
 * nobody looks at them. Each direction ends for itself, once what was on its way has left; the side
 * that is slower holds the other back. A side that breaks ends both: what it had sent still goes
 * where it was meant to. */
#include "flow.h"

/* With what the gate and one read hold, at most STREAM_HIGH waits in either direction. */
enum { DOWN_HIGH = STREAM_HIGH - 64 * 1024 };

enum flow_state flow_switch(struct flow *f)
{
    if (!head_answers_upgrade(f->head, f->stream_head))
        return flow_fail_upstream(f, UPSTREAM_BAD_ANSWER);
    if (f->is_upload_done)
        return FLOW_TUNNEL;
    struct exchange *x = fetch_exchange(f->fetch);
    if (exchange_tunnel_is_cut(x))
        return flow_fail_upstream(f, UPSTREAM_RESET);
    exchange_pause(x); /* the request's own body goes first */
    return FLOW_PAUSE;
}

static uint64_t idle_timeout(const struct flow *f)
{
    uint64_t own = f->l.route->tunnel_idle_timeout_ms;
    return own ? own : f->w->config->limits.tunnel_idle_timeout_ms;
}

/* False: no memory; nothing has been written. */
static bool open_tunnel(struct flow *f)
{
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 512 * 1024);
    answer_switch_format(f->stream_head, buf_span(&f->id), flow_limit_fields(f), &out);
    if (out.failed)
        return false;
    gate_write(f->gate, out.p, out.len);
    gate_tunnel_start(f->gate);
    exchange_tunnel_start(fetch_exchange(f->fetch));
    f->head_written = true;
    f->status = f->stream_head->status;
    f->outcome = "tunnel";
    f->tunnel.is_open = true;
    f->tunnel.moved_mono_ms = mono_now_ms();
    f->is_timeout = false;
    timer_start(f->timer, idle_timeout(f));
    count(&f->w->counters.tunnels);
    count(&f->w->counters.tunnels_open);
    return true;
}

/* NULL: there is nothing to send to. */
static struct exchange *upstream_of(const struct flow *f)
{
    struct exchange *x = f->fetch ? fetch_exchange(f->fetch) : NULL;
    return x && !exchange_tunnel_is_cut(x) ? x : NULL;
}

static void pump_up(struct flow *f)
{
    struct exchange *x = upstream_of(f);
    struct evbuffer *from = gate_body(f->gate);
    size_t len = evbuffer_get_length(from);
    if (!x)
        return;
    if (len > 0 && exchange_send_pending(x) < UPLOAD_HIGH) {
        exchange_send_body(x, from);
        f->request_bytes += len;
        f->tunnel.moved_mono_ms = mono_now_ms();
        gate_body_taken(f->gate);
    }
    if (!f->tunnel.is_up_ended && gate_body_state(f->gate) == BODY_WHOLE &&
        evbuffer_get_length(from) == 0) {
        f->tunnel.is_up_ended = true;
        exchange_send_end(x);
    }
}

static void pump_down(struct flow *f)
{
    if (!f->fetch || !fetch_exchange(f->fetch))
        return;
    struct exchange *x = fetch_exchange(f->fetch);
    struct evbuffer *from = fetch_body(f->fetch);
    size_t len = evbuffer_get_length(from);
    if (gate_tunnel_is_cut(f->gate)) {
        evbuffer_drain(from, len);
        return;
    }
    if (len > 0) {
        gate_write_buffer(f->gate, from);
        f->body_bytes += len;
        f->tunnel.moved_mono_ms = mono_now_ms();
    }
    if (gate_pending(f->gate) > DOWN_HIGH)
        exchange_pause(x);
    else
        exchange_resume(x);
    if (!f->tunnel.is_down_ended && exchange_tunnel_is_over(x)) {
        f->tunnel.is_down_ended = true;
        gate_tunnel_end_output(f->gate);
    }
}

static uint64_t waiting_bytes(const struct flow *f)
{
    struct exchange *x = upstream_of(f);
    return gate_pending(f->gate) + (x ? exchange_send_pending(x) : 0);
}

/* The timer has fired: has nothing moved since it was set? What a slow reader takes by and by is
 * seen only here. */
static bool has_stood_still(struct flow *f)
{
    mono_ms now = mono_now_ms();
    uint64_t waiting = waiting_bytes(f), most = idle_timeout(f);
    if (waiting != f->tunnel.waiting)
        f->tunnel.moved_mono_ms = now;
    f->tunnel.waiting = waiting;
    uint64_t still = now - f->tunnel.moved_mono_ms;
    if (still >= most)
        return true;
    f->is_timeout = false;
    timer_start(f->timer, most - still);
    return false;
}

static bool is_over(const struct flow *f)
{
    struct exchange *x = upstream_of(f);
    if (!x)
        return true; /* the gate sends what is left */
    bool is_up_done = f->tunnel.is_up_ended && exchange_send_pending(x) == 0;
    bool is_down_done = f->tunnel.is_down_ended && gate_pending(f->gate) == 0;
    return is_up_done && (is_down_done || gate_tunnel_is_cut(f->gate));
}

static enum flow_state finish(struct flow *f, bool may_flush)
{
    flow_log(f);
    if (may_flush && !gate_tunnel_is_cut(f->gate))
        gate_finish(f->gate, true);
    else
        gate_abort(f->gate);
    return FLOW_DONE;
}

enum flow_state flow_step_tunnel(struct flow *f)
{
    if (!f->tunnel.is_open && !open_tunnel(f))
        return flow_fail(f, 503, "overloaded", "out of memory");
    pump_up(f);
    pump_down(f);
    if (f->is_timeout && has_stood_still(f))
        return finish(f, gate_pending(f->gate) == 0); /* who takes nothing is not waited for */
    return is_over(f) ? finish(f, true) : FLOW_PAUSE;
}
