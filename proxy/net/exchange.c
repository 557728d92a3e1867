/* One request and its answer. The owner may cancel, pause or start another from any callback: an
 * exchange that has ended under a callback is freed when the last one returns. */
#include "upstream-internal.h"

#include <larder/base/wipe.h>

#include <stdlib.h>

static void exchange_free(struct exchange *x)
{
    list_remove(&x->link);
    if (!list_is_empty(&x->in_queue)) {
        list_remove(&x->in_queue);
        x->pool->waiting_count--;
        x->pool->u->waiting--;
    }
    if (x->depth) {
        x->is_dead = true;
        return;
    }
    if (x->kick)
        event_free(x->kick);
    if (x->pending)
        evbuffer_free(x->pending);
    if (x->body)
        evbuffer_free(x->body);
    wipe_free(x->text);
    wipe_free(x->head_text);
    free(x->head);
    free(x);
}

void exchange_fail(struct exchange *x, enum upstream_error e)
{
    if (x->conn) {
        x->conn->x = NULL;
        conn_close(take(x->conn));
    }
    x->pool->u->errors++;
    list_remove(&x->link);
    struct upstream_pool *p = x->pool;
    x->depth++;
    if (!x->is_dead)
        x->ops->on_error(x->arg, e);
    x->depth--;
    exchange_free(x);
    pool_serve_queue(p);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct exchange *x = arg;
    exchange_fail(x, x->error);
}

void exchange_fail_later(struct exchange *x, enum upstream_error e)
{
    x->error = e;
    event_active(x->kick, EV_TIMEOUT, 0);
}

struct exchange *exchange_start(struct upstream_pool *p, const struct exchange_request *req,
                                const struct exchange_ops *ops, void *arg)
{
    struct exchange *x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    list_init(&x->link);
    list_init(&x->in_queue);
    x->pool = p;
    x->ops = ops;
    x->arg = arg;
    x->method = req->method;
    x->body_kind = req->body_kind;
    x->is_low = req->is_low;
    x->is_upgrade = req->is_upgrade;
    x->body_chunked = req->body_chunked;
    x->send_ended = req->body_kind != EXCHANGE_STREAMED_BODY;
    x->started_us = mono_now_us();
    x->first_byte_timeout_ms = req->first_byte_timeout_ms ? req->first_byte_timeout_ms
                                                          : p->u->config.first_byte_timeout_ms;
    x->text_len = req->head.len + req->body.len;
    x->text = malloc(x->text_len);
    x->head = malloc(sizeof(*x->head));
    x->pending = evbuffer_new();
    x->body = evbuffer_new();
    x->kick = event_new(p->base, -1, 0, on_kick, x);
    if (!x->text || !x->head || !x->pending || !x->body || !x->kick) {
        exchange_free(x);
        return NULL;
    }
    memcpy(x->text, req->head.p, req->head.len);
    if (req->body.len)
        memcpy(x->text + req->head.len, req->body.p, req->body.len);
    list_push_back(&p->exchanges, &x->link);
    p->u->requests++;
    if (p->is_stopping)
        exchange_fail_later(x, UPSTREAM_STOPPED);
    else
        pool_assign(x);
    return x;
}

void exchange_on_connected(struct exchange *x)
{
    struct conn *c = x->conn;
    bufferevent_write(c->bev, x->text, x->text_len);
    bufferevent_write_buffer(c->bev, x->pending);
    x->is_sent = x->send_ended;
    conn_set_deadline(c,
                      x->is_sent ? x->first_byte_timeout_ms : x->pool->u->config.send_timeout_ms);
}

/* The upstream is still sent the request, and has not answered; or 101, which changes nothing. */
static bool is_sending(const struct exchange *x)
{
    return x->conn->state == CONN_HEAD || (x->is_switched && !x->is_tunnel);
}

static void pause_if_full(struct exchange *x)
{
    if (x->conn && evbuffer_get_length(x->body) > UPSTREAM_BODY_HIGH)
        exchange_pause(x);
}

bool exchange_on_interim(struct exchange *x)
{
    if (!x->ops->on_interim)
        return true;
    x->depth++;
    x->ops->on_interim(x->arg, x->head);
    x->depth--;
    if (!x->is_dead)
        return true;
    exchange_free(x);
    return false;
}

void exchange_on_head(struct exchange *x)
{
    x->head_us = mono_now_us() - x->started_us;
    x->depth++;
    x->ops->on_head(x->arg, x->head);
    x->depth--;
    if (x->is_dead) {
        exchange_free(x);
        return;
    }
    if (x->conn)
        conn_read(x->conn); /* an answer without a body is whole already */
}

void exchange_on_body(struct exchange *x)
{
    x->depth++;
    x->ops->on_body(x->arg);
    x->depth--;
    if (x->is_dead)
        exchange_free(x);
    else
        pause_if_full(x);
}

void exchange_on_end(struct exchange *x)
{
    list_remove(&x->link);
    x->depth++;
    if (!x->is_dead)
        x->ops->on_end(x->arg);
    x->depth--;
    exchange_free(x);
}

static void end_tunnel_output(struct exchange *x)
{
    if (x->is_tunnel && x->send_ended && !x->is_cut && exchange_send_pending(x) == 0)
        conn_end_output(x->conn);
}

void exchange_tunnel_start(struct exchange *x)
{
    x->is_tunnel = true;
    conn_set_deadline(x->conn, 0);           /* from here on its owner's */
    x->send_ended = x->body_chunked = false; /* these were the request's */
}

bool exchange_tunnel_is_over(const struct exchange *x)
{
    return x->is_input_over;
}

bool exchange_tunnel_is_cut(const struct exchange *x)
{
    return x->is_cut;
}

void exchange_on_written(struct exchange *x)
{
    struct conn *c = x->conn;
    if (x->send_ended && !x->is_sent)
        x->is_sent = true;
    bool has_left = evbuffer_get_length(bufferevent_get_output(c->bev)) == 0;
    if (has_left && is_sending(x)) /* it is the upstream's turn, or still the client's */
        conn_set_deadline(c, x->is_sent ? x->first_byte_timeout_ms : 0);
    end_tunnel_output(x);
    x->depth++;
    if (x->ops->on_writable)
        x->ops->on_writable(x->arg);
    x->depth--;
    if (x->is_dead)
        exchange_free(x);
}

void exchange_send_body(struct exchange *x, struct evbuffer *piece)
{
    size_t len = evbuffer_get_length(piece);
    bool is_open = x->conn && x->conn->state != CONN_CONNECTING;
    struct evbuffer *to = x->pending;
    if (len == 0)
        return;
    if (x->conn && x->conn->is_deaf) {
        evbuffer_drain(piece, len);
        return;
    }
    if (x->body_chunked)
        evbuffer_add_printf(to, "%zx\r\n", len);
    evbuffer_add_buffer(to, piece);
    if (x->body_chunked)
        evbuffer_add(to, "\r\n", 2);
    if (is_open) {
        bufferevent_write_buffer(x->conn->bev, to);
        if (is_sending(x))
            conn_set_deadline(x->conn, x->pool->u->config.send_timeout_ms);
    }
}

void exchange_send_end(struct exchange *x)
{
    x->send_ended = true;
    bool is_open = x->conn && x->conn->state != CONN_CONNECTING;
    if (x->body_chunked)
        evbuffer_add(x->pending, "0\r\n\r\n", 5);
    if (!is_open)
        return;
    bufferevent_write_buffer(x->conn->bev, x->pending);
    if (evbuffer_get_length(bufferevent_get_output(x->conn->bev)) == 0) {
        x->is_sent = true;
        if (x->conn->state == CONN_HEAD)
            conn_set_deadline(x->conn, x->first_byte_timeout_ms);
        end_tunnel_output(x);
    }
}

size_t exchange_send_pending(const struct exchange *x)
{
    size_t n = evbuffer_get_length(x->pending);
    if (x->conn && !x->conn->is_deaf)
        n += evbuffer_get_length(bufferevent_get_output(x->conn->bev));
    return n;
}

struct evbuffer *exchange_body(struct exchange *x)
{
    return x->body;
}

void exchange_pause(struct exchange *x)
{
    if (x->is_paused || !x->conn)
        return;
    x->is_paused = true;
    bufferevent_disable(x->conn->bev, EV_READ);
    bool is_behind = is_sending(x) && exchange_send_pending(x) > 0;
    conn_set_deadline(x->conn, is_behind ? x->pool->u->config.send_timeout_ms : 0);
}

void exchange_resume(struct exchange *x)
{
    if (!x->is_paused || !x->conn)
        return;
    x->is_paused = false;
    if (x->is_input_over)
        return;
    bufferevent_enable(x->conn->bev, EV_READ);
    conn_set_deadline(x->conn, x->is_switched ? 0 : x->pool->u->config.between_bytes_timeout_ms);
    bufferevent_trigger(x->conn->bev, EV_READ,
                        BEV_TRIG_DEFER_CALLBACKS); /* what is there already */
}

void exchange_cancel(struct exchange *x)
{
    if (!x)
        return;
    struct upstream_pool *p = x->pool;
    if (x->conn) {
        x->conn->x = NULL;
        conn_close(take(x->conn));
    }
    exchange_free(x);
    pool_serve_queue(p);
}

uint64_t exchange_wait_us(const struct exchange *x)
{
    return x->head_us;
}
