/* The life of a connection: it looks for its server, connects, greets, is up, and is lost, again
 * and again. One timer does for all that waits; it looks at what is due only when it fires, so that
 * moving that on costs nothing. */
#include "redis-internal.h"

#include "tls-internal.h"

#include <larder/base/hash.h>
#include <larder/base/log.h>
#include <larder/net/loop.h>

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

static void arm(struct redis_link *l, mono_ms now)
{
    uint64_t ms = l->due > now ? l->due - now : 0;
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(l->timer, &tv);
    l->armed = l->due;
}

void link_set_due(struct redis_link *l, mono_ms due)
{
    l->due = due;
    if (due && (l->armed == 0 || l->armed > due))
        arm(l, mono_now_ms());
}

static void link_release(struct redis_link *l)
{
    event_free(l->timer);
    free(l->ring);
    free(l->name);
    free(l);
}

void link_enter(struct redis_link *l)
{
    l->depth++;
}

bool link_leave(struct redis_link *l)
{
    bool is_dead = l->is_dead;
    if (--l->depth == 0 && is_dead)
        link_release(l);
    return !is_dead;
}

/* Gives up what belongs to the try, or the connection, of now. */
static void disconnect(struct redis_link *l)
{
    resolve_cancel(take(l->resolve));
    if (l->addresses)
        freeaddrinfo(take(l->addresses));
    l->next_address = NULL;
    redis_codec_free(take(l->codec));
    if (!l->bev)
        return;
    struct ssl_st *ssl = bufferevent_openssl_get_ssl(l->bev);
    if (ssl && l->state >= LINK_GREETING)
        tls_say_end(ssl);
    bufferevent_free(take(l->bev));
}

/* Between half and one and a half of what it would be: instances that have lost the same server do
 * not come back to it all at once. */
static uint64_t next_pause_ms(struct redis_link *l)
{
    uint64_t ms = l->backoff_ms;
    l->backoff_ms = 2 * ms < REDIS_BACKOFF_MAX_MS ? 2 * ms : REDIS_BACKOFF_MAX_MS;
    return ms / 2 + random_next(&l->random) % (ms + 1);
}

static void try_later(struct redis_link *l, bool was_up)
{
    mono_ms now = mono_now_ms();
    l->is_directed = false;
    if (was_up && now - l->up_since >= REDIS_STEADY_MS)
        l->backoff_ms = REDIS_BACKOFF_MIN_MS;
    if (!was_up && link_find_other(l)) {
        link_set_due(l, now);
        return;
    }
    l->tries = 0;
    link_set_due(l, now + next_pause_ms(l));
}

void link_close(struct redis_link *l, enum redis_fault fault, const char *fmt, ...)
{
    struct redis_figures *f = &l->redis->figures;
    bool was_up = l->state == LINK_UP;
    char why[320];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    disconnect(l);
    l->state = LINK_AWAY;
    l->drop_fault = FAULT_NONE;
    link_close_breaker(l);
    f->up -= was_up;
    f->connect_failures += !was_up;
    redis_tell_away(l->redis, fault, &l->target, why);
    link_enter(l);
    link_lose_all(l);
    if (was_up && !l->is_dead && l->ops->on_down)
        l->ops->on_down(l->arg, why);
    if (!l->is_dead)
        try_later(l, was_up);
    (void)link_leave(l); /* the caller has entered, too */
}

void link_close_later(struct redis_link *l, enum redis_fault fault, const char *why)
{
    l->drop_fault = fault;
    snprintf(l->drop_why, sizeof(l->drop_why), "%s", why);
    bufferevent_disable(l->bev, EV_READ | EV_WRITE);
    event_active(l->timer, EV_TIMEOUT, 0);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    struct redis_link *l = arg;
    link_enter(l);
    if (l->codec && !l->drop_fault)
        link_read(l);
    (void)link_leave(l);
}

static void connect_next(struct redis_link *l, int error);

static void on_connected(struct redis_link *l)
{
    int one = 1;
    evutil_socket_t fd = bufferevent_getfd(l->bev);
    if (l->target.kind != TARGET_SOCKET) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
    l->state = LINK_GREETING;
    l->codec = redis_codec_new(REDIS_REPLY_MAX + (size_t)l->redis->config->max_object_bytes);
    if (!l->codec || bufferevent_enable(l->bev, EV_READ | EV_WRITE) != 0 || !link_greet(l))
        link_close(l, FAULT_MEMORY, "no memory for a connection");
}

/* A connection that has failed or ended, in words. */
static enum redis_fault fault_of(struct redis_link *l, short what, int error, char *why, size_t n)
{
    struct tls_failure f = {.fault = TLS_FAULT_IO};
    if (bufferevent_openssl_get_ssl(l->bev))
        tls_failure_read(l->bev, &f);
    if (f.fault != TLS_FAULT_IO) {
        snprintf(why, n, "TLS: %s", f.words);
        return FAULT_TLS;
    }
    if ((what & BEV_EVENT_EOF) || error == 0)
        snprintf(why, n, "it closed the connection");
    else
        snprintf(why, n, "%s", strerror(error));
    return l->state == LINK_CONNECTING ? FAULT_CONNECT : FAULT_ENDED;
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    struct redis_link *l = arg;
    int error = EVUTIL_SOCKET_ERROR();
    char why[300];
    link_enter(l);
    if (what & BEV_EVENT_CONNECTED) {
        on_connected(l);
    } else if (l->state == LINK_CONNECTING && l->next_address) {
        connect_next(l, error);
    } else {
        enum redis_fault fault = fault_of(l, what, error, why, sizeof(why));
        link_close(l, fault, "%s", why);
    }
    (void)link_leave(l);
}

static struct bufferevent *make_tls_bufferevent(struct redis_link *l)
{
    struct span name = l->redis->config->tls->server_name;
    struct bufferevent *bev =
        tls_connect(l->redis->tls, l->base, name.len ? name.p : l->target.address.host);
    if (bev)
        tls_offer_no_protocol(bev);
    return bev;
}

static struct bufferevent *make_bufferevent(struct redis_link *l)
{
    enum { WRITE_MAX = 1 << 20 };
    if (l->redis->tls && l->target.kind != TARGET_SOCKET)
        return make_tls_bufferevent(l);
    struct bufferevent *bev =
        bufferevent_socket_new(l->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (bev)
        bufferevent_set_max_single_write(bev, WRITE_MAX);
    return bev;
}

/* False: it has failed already, and errno tells. */
static bool connect_to(struct redis_link *l, const struct sockaddr *sa, socklen_t len)
{
    l->bev = make_bufferevent(l);
    if (!l->bev) {
        errno = ENOMEM;
        return false;
    }
    bufferevent_setcb(l->bev, on_read, NULL, on_event, l);
    errno = 0;
    if (bufferevent_socket_connect(l->bev, sa, (int)len) != 0) {
        int saved = errno ? errno : ENOMEM;
        bufferevent_free(take(l->bev));
        errno = saved;
        return false;
    }
    l->state = LINK_CONNECTING;
    link_set_due(l, mono_now_ms() + l->redis->config->connect_timeout_ms);
    return true;
}

/* The next of the addresses that a name has; <error>: what became of the last one. */
static void connect_next(struct redis_link *l, int error)
{
    if (l->bev)
        bufferevent_free(take(l->bev));
    while (l->next_address) {
        struct addrinfo *ai = l->next_address;
        l->next_address = ai->ai_next;
        if (connect_to(l, ai->ai_addr, ai->ai_addrlen))
            return;
        error = errno;
    }
    link_close(l, FAULT_CONNECT, "%s", strerror(error));
}

static void on_found(void *arg, struct addrinfo *list, const char *why)
{
    struct redis_link *l = arg;
    link_enter(l);
    l->resolve = NULL; /* it has gone */
    l->addresses = l->next_address = list;
    if (list)
        connect_next(l, 0);
    else
        link_close(l, FAULT_NAME, "its address cannot be found: %s", why);
    (void)link_leave(l);
}

static void connect_socket(struct redis_link *l)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct span path = l->redis->config->socket;
    if (path.len >= sizeof(sa.sun_path)) {
        link_close(l, FAULT_CONNECT, "a socket's path has at most %zu bytes",
                   sizeof(sa.sun_path) - 1);
        return;
    }
    memcpy(sa.sun_path, path.p, path.len);
    if (!connect_to(l, (struct sockaddr *)&sa, sizeof(sa)))
        link_close(l, FAULT_CONNECT, "%s", strerror(errno));
}

static void try_now(struct redis_link *l)
{
    struct resolve *resolve = NULL;
    if (!l->is_directed)
        link_find_target(l);
    l->redis->figures.connects++;
    l->state = LINK_RESOLVING;
    l->due = 0; /* the name service has its own patience */
    if (l->target.kind == TARGET_SOCKET)
        connect_socket(l);
    else if (!resolve_start(l->base, &l->target.address, on_found, l, &resolve))
        link_close(l, FAULT_MEMORY, "no memory to find its address");
    else if (resolve)
        l->resolve = resolve;
}

void link_go_to(struct redis_link *l, const struct address *master)
{
    disconnect(l);
    link_lose_all(l);
    l->state = LINK_AWAY;
    l->is_directed = true;
    l->target.kind = TARGET_MASTER;
    l->target.address = *master;
    address_format(master, l->target.name, sizeof(l->target.name));
    link_set_due(l, mono_now_ms());
}

void link_on_up(struct redis_link *l)
{
    l->state = LINK_UP;
    l->up_since = l->heard = mono_now_ms();
    l->tries = 0;
    l->redis->figures.up++;
    redis_tell_up(l->redis, l->target.name);
    link_set_due(l, link_check(l, l->heard));
    if (l->ops->on_up)
        l->ops->on_up(l->arg);
}

static void on_due(struct redis_link *l, mono_ms now)
{
    unsigned long long patience = l->redis->config->connect_timeout_ms;
    switch (l->state) {
    case LINK_AWAY:
        try_now(l);
        return;
    case LINK_RESOLVING:
        return;
    case LINK_CONNECTING:
        if (l->next_address)
            connect_next(l, ETIMEDOUT);
        else
            link_close(l, FAULT_TIMEOUT, "no connection within %llu ms", patience);
        return;
    case LINK_GREETING:
        link_close(l, FAULT_TIMEOUT, "no answer to our greeting within %llu ms", patience);
        return;
    case LINK_UP:
        l->due = 0;
        if (evbuffer_get_length(bufferevent_get_input(l->bev)) > 0)
            link_read(l); /* this loop was busy: what has come is not late */
        now = link_check(l, now);
        if (l->state == LINK_UP && !l->is_dead)
            link_set_due(l, now);
        return;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct redis_link *l = arg;
    mono_ms now = mono_now_ms();
    l->armed = 0;
    link_enter(l);
    if (l->drop_fault)
        link_close(l, l->drop_fault, "%s", l->drop_why);
    else if (l->due && l->due <= now)
        on_due(l, now);
    if (!l->is_dead && l->due && l->armed == 0)
        arm(l, mono_now_ms());
    (void)link_leave(l);
}

struct redis_link *redis_link_new(struct loop *loop, struct redis *r, const char *name,
                                  const struct redis_link_ops *ops, void *arg)
{
    struct redis_link *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->redis = r;
    l->base = loop_base(loop);
    l->ops = ops;
    l->arg = arg;
    l->backoff_ms = REDIS_BACKOFF_MIN_MS;
    l->random = (mono_now_us() ^ (uintptr_t)l) | 1;
    l->name = strdup(name);
    l->timer = event_new(l->base, -1, 0, on_timer, l);
    if (!l->name || !l->timer) {
        if (l->timer)
            event_free(l->timer);
        free(l->name);
        free(l);
        return NULL;
    }
    r->figures.links++;
    link_set_due(l, mono_now_ms());
    return l;
}

void redis_link_free(struct redis_link *l)
{
    if (!l || l->is_dead)
        return;
    struct redis_figures *f = &l->redis->figures;
    f->up -= l->state == LINK_UP;
    f->links--;
    disconnect(l);
    l->state = LINK_AWAY;
    l->is_dead = true;
    l->drop_fault = FAULT_NONE;
    l->due = 0;
    link_close_breaker(l);
    link_enter(l);
    link_lose_all(l);
    (void)link_leave(l);
}

bool redis_link_is_up(const struct redis_link *l)
{
    return l->state == LINK_UP && l->breaker == BREAKER_CLOSED && !l->drop_fault;
}

void redis_link_drop(struct redis_link *l, const char *why)
{
    if (l->state == LINK_UP && !l->drop_fault)
        link_close_later(l, FAULT_DROPPED, why);
}
