/* The gate's life: it is born with the bufferevent that evhttp asks for, learns its connection one
 * loop turn later (evhttp sets its callbacks only then), and dies with evhttp's close callback.
 *
 * There is one timer for each connection. A deadline that moves (each request moves it) is only
 * noted; the timer looks at the note when it fires, so a hit costs no event_add. */
#include "gate-internal.h"

#include "tls-internal.h"

#include <larder/base/ip.h>

#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void arm(struct gate *g, mono_ms now)
{
    uint64_t ms = g->deadline > now ? g->deadline - now : 0;
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(g->timer, &tv);
    g->armed = g->deadline;
}

void gate_set_deadline(struct gate *g, uint64_t ms)
{
    if (ms == 0) {
        g->deadline = 0;
        return;
    }
    mono_ms now = mono_now_ms();
    g->deadline = now + ms;
    if (g->armed == 0 || g->armed > g->deadline)
        arm(g, now);
}

void gate_note(struct gate *g, unsigned note)
{
    g->notes |= note;
    event_active(g->timer, EV_TIMEOUT, 0);
}

void gate_close_now(struct gate *g)
{
    evhttp_connection_free(g->evcon); /* on_close() frees the gate */
}

static void on_deadline(struct gate *g)
{
    switch (g->state) {
    case GATE_HEAD:
        if (g->head_begun)
            gate_refuse(g, 408, "the request's head did not come in time");
        else
            gate_close_now(g);
        return;
    case GATE_BUSY: /* a body that does not come, or an answer that is not taken */
        gate_reset(g);
        gate_close_now(g);
        return;
    case GATE_TUNNEL:
    case GATE_FLUSH:
    case GATE_LINGER:
    case GATE_OPENING:
        gate_close_now(g);
        return;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct gate *g = arg;
    g->armed = 0; /* event_active and a timeout both leave it disarmed */
    if (!g->evcon) {
        gate_adopt(g);
        if (g->state == GATE_LINGER)
            return;
    }
    unsigned notes = g->notes;
    g->notes = 0;
    if (notes & NOTE_FREE) {
        gate_close_now(g);
        return;
    }
    mono_ms now = mono_now_ms();
    if (g->deadline && g->deadline <= now) {
        on_deadline(g);
        return;
    }
    if (g->deadline)
        arm(g, now);
    if ((notes & NOTE_BODY) && g->flow)
        g->flow_ops->on_body(g->flow);
}

static void on_bev_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    (void)arg; /* the input callback has taken it all */
}

static void on_bev_write(struct bufferevent *bev, void *arg)
{
    (void)bev;
    gate_on_written(arg);
}

static void on_bev_event(struct bufferevent *bev, short what, void *arg)
{
    struct gate *g = arg;
    if (g->state == GATE_LINGER) {
        gate_close_now(g);
    } else if (g->is_shaking) {
        gate_on_handshake(g, what);
    } else if (g->state == GATE_TUNNEL) {
        gate_on_tunnel_event(g, what);
    } else if ((what & BEV_EVENT_EOF) && (g->finishing || g->state == GATE_FLUSH)) {
        g->close_after = true; /* it has said all it wanted; its answer is still on the way */
        bufferevent_disable(bev, EV_READ);
        bufferevent_enable(bev, EV_WRITE); /* over TLS an end stops both directions */
    } else {
        if (g->state == GATE_BUSY)
            gate_reset(g);                    /* it may have ended its side alone, and be reading */
        g->evhttp_event(bev, what, g->evcon); /* frees the connection: on_close() follows */
    }
}

void gate_take_callbacks(struct gate *g)
{
    bufferevent_setcb(g->bev, on_bev_read, on_bev_write, on_bev_event, g);
}

void gate_return_callbacks(struct gate *g)
{
    bufferevent_setcb(g->bev, g->evhttp_read, g->evhttp_write, g->evhttp_event, g->evcon);
}

static void on_close(struct evhttp_connection *evcon, void *arg)
{
    (void)evcon;
    struct gate *g = arg;
    struct gates *gs = g->gs;
    void *flow = g->flow;
    g->flow = NULL;
    if (g->state == GATE_HEAD) /* in any other an answer is cut short, or the end was told */
        gate_say_end(g);
    /* libevent has let go of a request that was never answered, and so it is ours to free */
    if (g->evreq && evhttp_request_get_connection(g->evreq) == NULL)
        evhttp_request_free(g->evreq);
    evbuffer_remove_cb(bufferevent_get_input(g->bev), gate_on_input, g);
    evbuffer_remove_cb(bufferevent_get_output(g->bev), gate_on_output, g);
    if (flow)
        g->flow_ops->on_gone(flow);
    gate_drop_request(g);
    if (g->fd >= 0 && g->fd < gs->by_fd_count)
        gs->by_fd[g->fd] = NULL;
    list_remove(&g->link);
    gs->count--;
    event_free(g->timer);
    evbuffer_free(g->hold);
    evbuffer_free(g->body);
    free(g);
}

static void note_peer(struct gate *g)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getpeername(g->fd, (struct sockaddr *)&ss, &len) == 0 && ss.ss_family == AF_UNIX) {
        g->is_local = true; /* no address: all zero is in nobody's network */
        snprintf(g->peer, sizeof(g->peer), "unix");
        return;
    }
    len = sizeof(ss);
    if (getpeername(g->fd, (struct sockaddr *)&ss, &len) != 0)
        return;
    g->peer_addr[10] = g->peer_addr[11] = 0xff;
    if (ss.ss_family == AF_INET) {
        memcpy(g->peer_addr + 12, &((struct sockaddr_in *)&ss)->sin_addr, 4);
    } else if (ss.ss_family == AF_INET6) {
        memcpy(g->peer_addr, &((struct sockaddr_in6 *)&ss)->sin6_addr, 16);
    }
    ip_format(g->peer_addr, g->peer);
}

static bool register_fd(struct gates *gs, struct gate *g)
{
    if (g->fd >= gs->by_fd_count) {
        int count = (g->fd + 64) & ~63;
        struct gate **grown = realloc(gs->by_fd, (size_t)count * sizeof(*grown));
        if (!grown)
            return false;
        memset(grown + gs->by_fd_count, 0, (size_t)(count - gs->by_fd_count) * sizeof(*grown));
        gs->by_fd = grown;
        gs->by_fd_count = count;
    }
    gs->by_fd[g->fd] = g;
    return true;
}

/* evhttp has set its callbacks by now, and their argument is the connection. */
void gate_adopt(struct gate *g)
{
    void *evcon = NULL;
    bufferevent_getcb(g->bev, &g->evhttp_read, &g->evhttp_write, &g->evhttp_event, &evcon);
    g->evcon = evcon;
    g->fd = bufferevent_getfd(g->bev);
    g->state = GATE_HEAD;
    if (g->is_shaking)
        gate_take_callbacks(g); /* until the handshake is over */
    evhttp_connection_set_closecb(g->evcon, on_close, g);
    bufferevent_setwatermark(g->bev, EV_READ, 1, 0); /* evhttp is never called for nothing */
    note_peer(g);
    gate_set_deadline(g, g->gs->config->limits.head_timeout_ms);
    if (!register_fd(g->gs, g))
        gate_refuse(g, 503, "out of memory");
    else if (g->gs->count > g->gs->config->limits.connections)
        gate_refuse(g, 503, "too many connections; raise limits.connections");
}

static struct bufferevent *make_bufferevent(struct gate *g)
{
    if (!g->gs->tls)
        return bufferevent_socket_new(g->gs->base, -1, BEV_OPT_CLOSE_ON_FREE);
    struct bufferevent *bev = tls_accept(g->gs->tls, g->gs->base);
    if (bev) {
        g->ssl = bufferevent_openssl_get_ssl(bev);
        g->is_shaking = true;
    }
    return bev;
}

static struct gate *gate_new(struct gates *gs)
{
    struct gate *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->gs = gs;
    g->fd = -1;
    g->hold = evbuffer_new();
    g->body = evbuffer_new();
    g->timer = event_new(gs->base, -1, 0, on_timer, g);
    g->bev = make_bufferevent(g);
    if (!g->hold || !g->body || !g->timer || !g->bev)
        goto fail;
    if (!evbuffer_add_cb(bufferevent_get_input(g->bev), gate_on_input, g) ||
        !evbuffer_add_cb(bufferevent_get_output(g->bev), gate_on_output, g))
        goto fail;
    if (!g->ssl)
        bufferevent_set_max_single_write(g->bev, 1 << 20);
    return g;
fail:
    if (g->bev)
        bufferevent_free(g->bev);
    if (g->timer)
        event_free(g->timer);
    if (g->hold)
        evbuffer_free(g->hold);
    if (g->body)
        evbuffer_free(g->body);
    free(g);
    return NULL;
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    (void)base;
    struct gates *gs = arg;
    struct gate *g = gate_new(gs);
    if (!g)
        return NULL; /* evhttp makes a bare one, whose requests our handler refuses */
    list_push_back(&gs->all, &g->link);
    gs->count++;
    event_active(g->timer, EV_TIMEOUT, 0); /* gate_adopt() in the next turn */
    return g->bev;
}

static void on_request_complete(struct evhttp_request *req, void *arg)
{
    (void)req;
    struct gate *g = arg;
    g->evreq = NULL; /* evhttp frees it */
}

/* evhttp's handler: the stand-in head has come back as a request. */
static void on_evhttp_request(struct evhttp_request *req, void *arg)
{
    struct gates *gs = arg;
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(req));
    int fd = bufferevent_getfd(bev);
    struct gate *g = fd >= 0 && fd < gs->by_fd_count ? gs->by_fd[fd] : NULL;
    if (!g || g->bev != bev || g->state != GATE_BUSY || !g->head) {
        evhttp_send_error(req, 503, NULL);
        return;
    }
    g->evreq = req;
    evhttp_request_set_on_complete_cb(req, on_request_complete, g);
    gate_take_callbacks(g);
    g->read_paused = false;
    bufferevent_enable(bev, EV_READ | EV_WRITE); /* a client that leaves is seen from here on */
    gs->ops->on_request(gs->arg, g, g->head);
}

struct gates *gates_new(struct event_base *base, struct evhttp *http, const struct config *config,
                        struct tls *tls, const struct gate_ops *ops, void *arg, bool is_control)
{
    struct gates *gs = calloc(1, sizeof(*gs));
    if (!gs)
        return NULL;
    gs->http = http;
    gs->base = base;
    gs->config = config;
    gs->ops = ops;
    gs->tls = tls;
    gs->arg = arg;
    gs->is_control = is_control;
    list_init(&gs->all);
    evhttp_set_max_headers_size(http, 4096); /* of the stand-in */
    evhttp_set_max_body_size(http, 0);
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET);
    evhttp_set_default_content_type(http, NULL);
    evhttp_set_bevcb(http, on_connection, gs);
    evhttp_set_gencb(http, on_evhttp_request, gs);
    return gs;
}

void gates_drain(struct gates *gs)
{
    gs->draining = true;
    list_for_each_safe (it, next, &gs->all) {
        struct gate *g = container_of(it, struct gate, link);
        if (g->state == GATE_HEAD && !g->head_begun)
            gate_note(g, NOTE_FREE);
    }
}

unsigned gates_count(const struct gates *gs)
{
    return gs->count;
}

void gates_free(struct gates *gs)
{
    if (!gs)
        return;
    free(gs->by_fd);
    free(gs);
}

struct span gate_peer(const struct gate *g)
{
    return span_str(g->peer);
}

bool gate_is_local(const struct gate *g)
{
    return g->is_local;
}

bool gate_is_tls(const struct gate *g)
{
    return g->gs->tls != NULL;
}

const uint8_t *gate_peer_addr(const struct gate *g)
{
    return g->peer_addr;
}

bool gate_must_close(const struct gate *g)
{
    const struct head *h = g->head ? g->head : &g->gs->head;
    return g->gs->draining || !h->keep_alive;
}

uint64_t gate_started_us(const struct gate *g)
{
    return g->started_us;
}

bool gate_is_control(const struct gate *g)
{
    return g->gs->is_control;
}

struct span gate_head_text(const struct gate *g)
{
    return span_of(g->raw, g->raw_len);
}
