/* What goes out: a hit straight to the socket by one sendmsg() (over TLS record by record),
 * everything else through the bufferevent's output buffer. A connection is always closed in the
 * lingering way (RFC 9112 section 9.6): our side first, then what still comes is swallowed, so that
 * no reset destroys the answer on its way. */
#include "gate-internal.h"

#include <stdlib.h>
#include <sys/socket.h>

void gate_start_linger(struct gate *g)
{
    gate_drop_request(g);
    g->state = GATE_LINGER;
    evbuffer_drain(g->hold, evbuffer_get_length(g->hold));
    gate_say_end(g);
    shutdown(g->fd, SHUT_WR);
    gate_take_callbacks(g);
    g->read_paused = false;
    bufferevent_enable(g->bev, EV_READ);
    gate_set_deadline(g, LINGER_MS);
}

/* The flow's reply has left: evhttp is told, and the connection goes on or ends. */
static void finish_now(struct gate *g)
{
    if (g->close_after) {
        gate_start_linger(g);
        return;
    }
    struct evhttp_request *req = g->evreq;
    gate_drop_request(g);
    g->finishing = false;
    g->state = GATE_HEAD;
    g->head_begun = false;
    g->read_paused = false;
    evhttp_send_reply_end(req); /* the output is empty: done at once, evhttp reads on */
    gate_read_on(g);
}

static void flush_done(struct gate *g)
{
    if (g->close_after) {
        gate_start_linger(g);
        return;
    }
    g->state = GATE_HEAD;
    gate_return_callbacks(g);
    g->read_paused = false;
    bufferevent_enable(g->bev, EV_READ);
    gate_read_on(g);
}

void gate_on_written(struct gate *g)
{
    if (evbuffer_get_length(bufferevent_get_output(g->bev)) > 0)
        return;
    if (g->state == GATE_FLUSH) {
        flush_done(g);
    } else if (g->state == GATE_BUSY) {
        if (g->body_state != BODY_MORE || !g->body_started || g->read_paused)
            g->deadline = 0; /* what was to be sent has left, and nothing is to come */
        if (g->finishing)
            finish_now(g);
        else if (g->flow)
            g->flow_ops->on_drained(g->flow);
    } else if (g->state == GATE_TUNNEL) {
        gate_on_tunnel_written(g);
    }
}

/* Any progress in sending moves the deadline, so that only a reader that stands still is cut. */
void gate_on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg)
{
    (void)out;
    struct gate *g = arg;
    if (info->n_deleted > 0 && (g->state == GATE_BUSY || g->state == GATE_FLUSH))
        gate_set_deadline(g, g->gs->config->limits.send_timeout_ms);
}

struct reference {
    void (*release)(void *owner);
    void *owner;
};

static void release_bytes(const void *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    struct reference *r = arg;
    r->release(r->owner);
    free(r);
}

/* Appends <p, len> by reference; where there is no memory for that, by copy. False: nor for that.
 */
static bool add_ref(struct evbuffer *out, const void *p, size_t len, void (*release)(void *owner),
                    void *owner)
{
    struct reference *r = malloc(sizeof(*r));
    if (r) {
        r->release = release;
        r->owner = owner;
        if (evbuffer_add_reference(out, p, len, release_bytes, r) == 0)
            return true;
        free(r);
    }
    bool is_added = evbuffer_add(out, p, len) == 0;
    release(owner);
    return is_added;
}

/* <len> bytes behind the first <sent>, in one piece of the output buffer. */
static bool queue_piece(struct evbuffer *out, const struct iovec *iov, int count, size_t sent,
                        size_t len)
{
    struct evbuffer_iovec piece;
    size_t n = 0;
    if (len == 0)
        return true;
    if (evbuffer_reserve_space(out, (ev_ssize_t)len, &piece, 1) < 1)
        return false;
    for (int i = 0; i < count && n < len; i++) {
        size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
        size_t here = iov[i].iov_len - skip;
        size_t step = here < len - n ? here : len - n;
        memcpy((char *)piece.iov_base + n, (const char *)iov[i].iov_base + skip, step);
        sent -= skip;
        n += step;
    }
    piece.iov_len = n;
    return evbuffer_commit_space(out, &piece, 1) == 0;
}

/* The socket took <sent> bytes of the answer: the rest goes into the output buffer, the last piece
 * (the body) by reference; but <stuck> bytes first, in a piece of their own. */
static void queue_rest(struct gate *g, const struct iovec *iov, int count, size_t sent,
                       size_t stuck, void (*release)(void *owner), void *owner)
{
    struct evbuffer *out = bufferevent_get_output(g->bev);
    bool is_released = false, is_whole = true;
    if (!queue_piece(out, iov, count, sent, stuck)) {
        if (release)
            release(owner);
        gate_abort(g); /* OpenSSL would take the next bytes for these */
        return;
    }
    sent += stuck;
    for (int i = 0; i < count; i++) {
        if (sent >= iov[i].iov_len) {
            sent -= iov[i].iov_len;
            continue;
        }
        const char *p = (const char *)iov[i].iov_base + sent;
        size_t len = iov[i].iov_len - sent;
        sent = 0;
        if (i == count - 1 && release) {
            is_whole &= add_ref(out, p, len, release, owner);
            is_released = true;
        } else {
            is_whole &= evbuffer_add(out, p, len) == 0;
        }
    }
    if (release && !is_released)
        release(owner);
    if (!is_whole) { /* no memory: what is missing must not look like the end */
        gate_abort(g);
        return;
    }
    g->state = GATE_FLUSH;
    gate_take_callbacks(g);
    bufferevent_enable(g->bev, EV_WRITE);
    gate_set_deadline(g, g->gs->config->limits.send_timeout_ms);
}

void gate_answer(struct gate *g, const struct iovec *iov, int count, bool close,
                 void (*release)(void *owner), void *owner)
{
    size_t total = 0, stuck = 0;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    ssize_t n = gate_send(g, iov, count, &stuck);
    g->close_after = close;
    if (n < 0) {
        if (release)
            release(owner);
        gate_start_linger(g); /* the client is gone: the next read tells */
        return;
    }
    if (n < (ssize_t)total) {
        queue_rest(g, iov, count, (size_t)n, stuck, release, owner);
        return;
    }
    if (release)
        release(owner);
    if (close)
        gate_start_linger(g);
}

void gate_attach(struct gate *g, const struct gate_flow_ops *ops, void *flow)
{
    g->flow_ops = ops;
    g->flow = flow;
}

static void note_writing(struct gate *g)
{
    if (g->deadline == 0 && g->state != GATE_TUNNEL)
        gate_set_deadline(g, g->gs->config->limits.send_timeout_ms);
}

void gate_write(struct gate *g, const void *p, size_t len)
{
    g->is_lossy |= bufferevent_write(g->bev, p, len) != 0;
    note_writing(g);
}

void gate_write_buffer(struct gate *g, struct evbuffer *from)
{
    g->is_lossy |= bufferevent_write_buffer(g->bev, from) != 0;
    note_writing(g);
}

void gate_write_ref(struct gate *g, const void *p, size_t len, void (*release)(void *owner),
                    void *owner)
{
    g->is_lossy |= !add_ref(bufferevent_get_output(g->bev), p, len, release, owner);
    note_writing(g);
}

size_t gate_pending(const struct gate *g)
{
    return evbuffer_get_length(bufferevent_get_output(g->bev));
}

void gate_finish(struct gate *g, bool close)
{
    if (g->is_lossy) {
        gate_abort(g);
        return;
    }
    if (g->state == GATE_TUNNEL) {
        g->state = GATE_BUSY; /* what is left to send has a deadline again */
        g->body_state = BODY_WHOLE;
        close = true;
    }
    g->flow = NULL;
    g->finishing = true;
    g->close_after = close || gate_must_close(g) || g->body_state == BODY_MORE ||
                     g->body_state == BODY_BAD || g->body_state == BODY_TOO_LARGE;
    if (gate_pending(g) == 0)
        finish_now(g);
    else
        note_writing(g);
}

/* A reset at once: evhttp would end the connection in an orderly way before it closes it, which an
 * HTTP/1.0 client takes for the answer's end. */
void gate_reset(struct gate *g)
{
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)connect(g->fd, &nobody, sizeof(nobody)); /* a Unix socket has no reset */
}

void gate_abort(struct gate *g)
{
    gate_reset(g);
    g->flow = NULL;
    g->state = GATE_LINGER;
    gate_take_callbacks(g);
    gate_note(g, NOTE_FREE);
}
