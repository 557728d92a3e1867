/* A connection that has left HTTP (RFC 9110 section 7.8). It stays the gate's: evhttp, which waits
 * for an answer that never comes, sees none of its bytes.
 *
 * The two directions end each for itself. A client that has said its last may still be answered; a
 * connection that has broken still owes the flow what had come before. */
#include "gate-internal.h"

#include <sys/socket.h>

void gate_tunnel_pump(struct gate *g)
{
    size_t before = evbuffer_get_length(g->body);
    enum body_state state = g->body_state;
    if (before < BODY_HIGH)
        evbuffer_add_buffer(g->body, g->hold);
    if (g->is_input_over && evbuffer_get_length(g->hold) == 0)
        g->body_state = BODY_WHOLE;
    if (!g->is_input_over) {
        if (evbuffer_get_length(g->body) >= BODY_HIGH)
            gate_pause_reading(g);
        else
            gate_resume_reading(g);
    }
    if (evbuffer_get_length(g->body) != before || g->body_state != state)
        gate_note(g, NOTE_BODY);
}

void gate_tunnel_start(struct gate *g)
{
    g->state = GATE_TUNNEL;
    g->deadline = 0;
    g->body_state = BODY_MORE;
    gate_tunnel_pump(g);
}

static void end_output(struct gate *g)
{
    gate_say_end(g);
    if (!g->ssl) /* TLS may still have to speak for itself: a new key, an alert */
        shutdown(g->fd, SHUT_WR);
}

void gate_tunnel_end_output(struct gate *g)
{
    g->is_output_ended = true;
    if (gate_pending(g) == 0 && !g->is_cut)
        end_output(g);
}

bool gate_tunnel_is_cut(const struct gate *g)
{
    return g->is_cut;
}

void gate_on_tunnel_event(struct gate *g, short what)
{
    g->is_input_over = true;
    if (what & BEV_EVENT_EOF && !(what & BEV_EVENT_WRITING)) {
        bufferevent_disable(g->bev, EV_READ);
        bufferevent_enable(g->bev, EV_WRITE); /* over TLS an end stops both directions */
    } else {
        bufferevent_disable(g->bev, EV_READ | EV_WRITE);
        g->is_cut = true;
        gate_note(g, NOTE_BODY);
    }
    gate_tunnel_pump(g);
}

void gate_on_tunnel_written(struct gate *g)
{
    if (g->is_output_ended && !g->is_cut)
        end_output(g);
    if (g->flow)
        g->flow_ops->on_drained(g->flow);
}
