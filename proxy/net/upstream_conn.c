/* A connection to a server. Its reader takes the answer out of its framing, strictly, and moves
 * body bytes on without copying them. */
#include "upstream-internal.h"

#include "tls-internal.h"

#include <larder/base/log.h>

#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

static void arm(struct conn *c, mono_ms now)
{
    uint64_t ms = c->deadline > now ? c->deadline - now : 0;
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(c->timer, &tv);
    c->armed = c->deadline;
}

/* The timer looks at the deadline only when it fires: moving it on costs nothing. */
void conn_set_deadline(struct conn *c, uint64_t ms)
{
    mono_ms now = mono_now_ms();
    c->deadline = ms ? now + ms : 0;
    if (ms && (c->armed == 0 || c->armed > c->deadline))
        arm(c, now);
}

bool conn_is_alive(const struct conn *c)
{
    char byte;
    if (evbuffer_get_length(bufferevent_get_input(c->bev)) > 0)
        return false;
    return c->ssl ? tls_is_quiet(c->ssl)
                  : recv(bufferevent_getfd(c->bev), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

void conn_close(struct conn *c)
{
    pool_conn_gone(c);
    if (c->ssl && c->state == CONN_IDLE)
        tls_say_end(c->ssl); /* in any other state something was cut short */
    event_free(c->timer);
    bufferevent_free(c->bev);
    free(c);
}

/* Ends the connection, and its exchange with <e>. */
static void conn_fail(struct conn *c, enum upstream_error e)
{
    struct exchange *x = c->x;
    struct upstream_pool *p = c->pool;
    if (x)
        x->conn = NULL;
    conn_close(c);
    if (x)
        exchange_fail(x, e);
    else
        pool_serve_queue(p);
}

/* A connection that ended before a byte of the answer: another try where that is safe (RFC 9112
 * section 9.3.1, RFC 9110 section 9.2.2). */
static void conn_retry(struct conn *c, enum upstream_error e)
{
    struct exchange *x = c->x;
    bool is_new = c->state == CONN_CONNECTING;
    bool has_body_left = x && x->body_kind == EXCHANGE_STREAMED_BODY;
    bool may = x && !has_body_left && c->is_reused && !c->has_answer_byte && !x->is_retried &&
               method_is_idempotent(x->method);
    bool may_elsewhere = x && is_new && x->tried + 1 < c->pool->u->server_count;
    if (!may && !may_elsewhere) {
        conn_fail(c, e);
        return;
    }
    c->pool->u->retries++;
    if (may)
        x->is_retried = true;
    else
        x->tried++;
    x->conn = NULL;
    conn_close(c);
    pool_assign(x);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *c = arg;
    mono_ms now = mono_now_ms();
    c->armed = 0;
    if (c->deadline == 0)
        return;
    if (c->deadline > now) {
        arm(c, now);
        return;
    }
    switch (c->state) {
    case CONN_CONNECTING:
        c->pool->u->connect_failures++;
        conn_retry(c, UPSTREAM_CONNECT_TIMEOUT);
        return;
    case CONN_IDLE:
        if (c->pool->conns[c->server] > c->pool->u->config.min_idle)
            conn_close(c);
        else
            conn_set_deadline(c, c->pool->u->config.idle_timeout_ms);
        return;
    case CONN_HEAD:
    case CONN_BODY:
        conn_fail(c, UPSTREAM_TIMEOUT);
        return;
    }
}

/* The answer is whole. The connection is used again only if nothing is left over on either side. */
static void finish(struct conn *c)
{
    struct exchange *x = c->x;
    struct upstream_pool *p = c->pool;
    bool is_clean = x->head->keep_alive && x->head->framing != FRAMING_CLOSE && x->is_sent &&
                    evbuffer_get_length(bufferevent_get_output(c->bev)) == 0 &&
                    evbuffer_get_length(bufferevent_get_input(c->bev)) == 0 && !p->is_stopping;
    x->conn = NULL;
    c->x = NULL;
    if (is_clean) {
        pool_conn_idle(c);
    } else {
        conn_close(c);
        pool_serve_queue(p);
    }
    exchange_on_end(x);
}

/* Body bytes from the input to the exchange. False: the connection is gone, or it must wait. */
static bool read_chunk(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct evbuffer_iovec v;
    size_t used = 0;
    struct span body = {0};
    if (evbuffer_peek(in, -1, NULL, &v, 1) < 1)
        return false;
    enum chunked_result r = chunked_feed(&c->chunked, span_of(v.iov_base, v.iov_len), &used, &body);
    if (r == CHUNKED_BODY) {
        evbuffer_drain(in, used - body.len);
        evbuffer_remove_buffer(in, c->x->body, body.len);
        return true;
    }
    evbuffer_drain(in, used);
    if (r == CHUNKED_END) {
        c->state = CONN_IDLE; /* whole: read_body() sees it */
        return false;
    }
    if (r == CHUNKED_BAD) {
        conn_fail(c, UPSTREAM_BAD_ANSWER);
        return false;
    }
    return evbuffer_get_length(in) > 0;
}

static void read_body(struct conn *c)
{
    struct exchange *x = c->x;
    struct evbuffer *in = bufferevent_get_input(c->bev);
    size_t before = evbuffer_get_length(x->body);
    bool is_whole = false;
    if (x->head->framing == FRAMING_CHUNKED) {
        x->depth++; /* a malformed chunk ends the exchange under our feet */
        while (evbuffer_get_length(in) > 0 && read_chunk(c))
            ;
        x->depth--;
        if (x->is_dead) {
            exchange_cancel(x); /* frees it, now that nobody needs it */
            return;
        }
        is_whole = c->state == CONN_IDLE;
        c->state = CONN_BODY;
    } else {
        size_t n = evbuffer_get_length(in);
        if (x->head->framing == FRAMING_NONE)
            n = 0; /* what follows is none of this answer: finish() sees it, and closes */
        else if (x->head->framing == FRAMING_LENGTH && n > c->left)
            n = (size_t)c->left;
        evbuffer_remove_buffer(in, x->body, n);
        c->left -= x->head->framing == FRAMING_LENGTH ? n : 0;
        is_whole = x->head->framing == FRAMING_NONE ||
                   (x->head->framing == FRAMING_LENGTH && c->left == 0);
    }
    if (is_whole) {
        finish(c);
        return;
    }
    conn_set_deadline(c, x->is_switched ? 0 : c->pool->u->config.between_bytes_timeout_ms);
    if (evbuffer_get_length(x->body) > before)
        exchange_on_body(x);
}

static bool take_head(struct conn *c, const char *p, const struct head *parsed)
{
    struct exchange *x = c->x;
    x->head_text = malloc(parsed->bytes);
    if (!x->head_text)
        return false;
    memcpy(x->head_text, p, parsed->bytes);
    return head_parse_response(x->head_text, parsed->bytes, parsed->bytes, x->method, x->head) ==
           HEAD_OK;
}

/* RFC 9110 section 15.2.2; a 101 that nobody asked for is no answer, nor is that of a connection
 * which has not taken the whole request. */
static bool is_switch(const struct exchange *x)
{
    return x->is_upgrade && !x->conn->is_deaf && x->head->status == 101 &&
           head_field(x->head, FIELD_UPGRADE);
}

/* One head out of the input, and the interim ones (1xx) before it. */
static void read_head(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->bev);
    struct exchange *x = c->x;
    while (c->state == CONN_HEAD && evbuffer_get_length(in) > 0) {
        size_t len = evbuffer_get_length(in);
        size_t want = len < UPSTREAM_HEAD_MAX ? len : UPSTREAM_HEAD_MAX;
        const char *p = (const char *)evbuffer_pullup(in, (ev_ssize_t)want);
        enum head_result r =
            p ? head_parse_response(p, want, UPSTREAM_HEAD_MAX, x->method, x->head) : HEAD_BAD;
        if (r == HEAD_MORE && want < UPSTREAM_HEAD_MAX)
            return;
        if (r == HEAD_MORE || r == HEAD_TOO_LARGE) {
            conn_fail(c, UPSTREAM_TOO_LARGE);
            return;
        }
        x->is_switched = r == HEAD_OK && is_switch(x);
        bool is_interim = r == HEAD_OK && x->head->status < 200 && !x->is_switched;
        if (r != HEAD_OK ||
            (is_interim && (x->head->status == 101 || ++c->interim > INTERIM_MAX)) ||
            (!is_interim && !take_head(c, p, x->head))) {
            conn_fail(c, UPSTREAM_BAD_ANSWER);
            return;
        }
        if (is_interim && !exchange_on_interim(x))
            return;
        evbuffer_drain(in, x->head->bytes);
        if (is_interim)
            continue;
        c->state = CONN_BODY;
        c->left = x->head->content_length;
        chunked_init(&c->chunked);
        if (x->is_switched)
            x->head->framing = FRAMING_CLOSE; /* what follows has no frame but the connection */
        exchange_on_head(x); /* goes on with conn_read(), unless it was cancelled */
        return;
    }
}

void conn_read(struct conn *c)
{
    if (c->x->is_paused)
        return;
    if (c->state == CONN_HEAD)
        read_head(c);
    else if (c->state == CONN_BODY)
        read_body(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct conn *c = arg;
    if (!c->x) { /* nobody asked */
        conn_fail(c, UPSTREAM_BAD_ANSWER);
        return;
    }
    c->has_answer_byte = true;
    conn_read(c);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct conn *c = arg;
    if (c->x && c->state != CONN_CONNECTING)
        exchange_on_written(c->x);
}

static void on_connected(struct conn *c)
{
    int one = 1;
    setsockopt(bufferevent_getfd(c->bev), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    if (c->x) {
        c->state = CONN_HEAD;
        exchange_on_connected(c->x);
    } else {
        c->state = CONN_HEAD;
        pool_conn_idle(c);
    }
}

/* A broken upstream fails with each request: the log is told once a second. */
static void tell_failure(struct conn *c, const char *words)
{
    enum { QUIET_MS = 1000 };
    struct upstream *u = c->pool->u;
    uint64_t now = mono_now_ms(), told = u->tls_told_ms;
    if ((told && now - told < QUIET_MS) ||
        !atomic_compare_exchange_strong(&u->tls_told_ms, &told, now))
        return;
    log_warn("upstream " SPAN_FMT " (%s): TLS: %s", SPAN_ARG(u->config.name),
             u->servers[c->server].name, words);
}

/* Why a connection that has no answer yet is over; <plain> where TLS has nothing to say to it. */
static enum upstream_error tls_error(struct conn *c, enum upstream_error plain)
{
    struct tls_failure f;
    if (!c->ssl)
        return plain;
    tls_failure_read(c->bev, &f);
    if (f.fault == TLS_FAULT_IO)
        return plain;
    tell_failure(c, f.words);
    return f.fault == TLS_FAULT_CERTIFICATE ? UPSTREAM_TLS_CERTIFICATE
           : f.fault == TLS_FAULT_ALERT     ? UPSTREAM_TLS_ALERT
                                            : UPSTREAM_TLS_PROTOCOL;
}

void conn_end_output(struct conn *c)
{
    if (c->ssl)
        tls_say_end(c->ssl);
    else
        shutdown(bufferevent_getfd(c->bev), SHUT_WR);
}

/* The end of one direction of a tunnel, or of both; what came before it is passed on first. */
static void on_tunnel_event(struct conn *c, short what)
{
    struct exchange *x = c->x;
    x->is_input_over = true;
    if (what & BEV_EVENT_EOF && !(what & BEV_EVENT_WRITING)) {
        bufferevent_disable(c->bev, EV_READ);
        bufferevent_enable(c->bev, EV_WRITE); /* over TLS an end stops both directions */
    } else {
        bufferevent_disable(c->bev, EV_READ | EV_WRITE);
        x->is_cut = true;
    }
    evbuffer_add_buffer(x->body, bufferevent_get_input(c->bev));
    exchange_on_body(x);
}

/* An upstream that has answered before it has read the whole request, and closed: writing fails,
 * and what it has said is still to be read (RFC 9112 section 9.6). */
static void stop_writing(struct conn *c)
{
    c->is_deaf = true;
    bufferevent_disable(c->bev, EV_WRITE);
    if (!c->x->is_paused)
        bufferevent_enable(c->bev, EV_READ); /* over TLS an error stops both directions */
    if (c->state == CONN_HEAD)
        conn_set_deadline(c, c->x->first_byte_timeout_ms);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    struct conn *c = arg;
    if (what & BEV_EVENT_CONNECTED) {
        on_connected(c);
        return;
    }
    if (c->x && c->x->is_switched) {
        on_tunnel_event(c, what);
    } else if (c->state == CONN_CONNECTING) {
        c->pool->u->connect_failures++;
        conn_retry(c, tls_error(c, UPSTREAM_REFUSED));
    } else if ((what & BEV_EVENT_WRITING) && c->x && !c->is_deaf) {
        stop_writing(c);
    } else if (c->state == CONN_HEAD) {
        conn_retry(c, tls_error(c, UPSTREAM_RESET));
    } else if (c->state == CONN_BODY && (what & BEV_EVENT_EOF) && c->x &&
               c->x->head->framing == FRAMING_CLOSE) {
        evbuffer_add_buffer(c->x->body, bufferevent_get_input(c->bev));
        finish(c);
    } else {
        conn_fail(c, UPSTREAM_TRUNCATED);
    }
}

static struct bufferevent *make_bufferevent(struct upstream_pool *p, const struct server *s)
{
    if (p->u->tls)
        return tls_connect(p->u->tls, p->base, s->name);
    struct bufferevent *bev =
        bufferevent_socket_new(p->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (bev)
        bufferevent_set_max_single_write(bev, 1 << 20);
    return bev;
}

struct conn *conn_open(struct upstream_pool *p, unsigned server, struct exchange *x)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->pool = p;
    c->server = server;
    c->x = x;
    c->timer = event_new(p->base, -1, 0, on_timer, c);
    struct server *s = &p->u->servers[server];
    c->bev = make_bufferevent(p, s);
    if (!c->timer || !c->bev)
        goto fail;
    c->ssl = bufferevent_openssl_get_ssl(c->bev);
    bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
    if (bufferevent_socket_connect(c->bev, (struct sockaddr *)&s->addr, (int)s->addr_len) != 0)
        goto fail;
    list_push_back(&p->busy, &c->link);
    p->conns[server]++;
    p->busy_count++;
    p->u->active++;
    p->u->connects++;
    if (x)
        x->conn = c;
    conn_set_deadline(c, p->u->config.connect_timeout_ms);
    return c;
fail:
    if (c->bev)
        bufferevent_free(c->bev);
    if (c->timer)
        event_free(c->timer);
    free(c);
    return NULL;
}

void conn_use(struct conn *c, struct exchange *x)
{
    struct upstream_pool *p = c->pool;
    list_remove(&c->link);
    list_push_back(&p->busy, &c->link);
    p->u->idle--;
    p->busy_count++;
    p->u->active++;
    c->state = CONN_HEAD;
    c->is_reused = true;
    c->has_answer_byte = false;
    c->interim = 0;
    c->x = x;
    x->conn = c;
    exchange_on_connected(x);
}
