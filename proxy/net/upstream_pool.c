/* Which connection an exchange gets. The newest idle connection first, so that surplus ones age and
 * close; then a new one on the next server that has room; then a place in the bounded queue. */
#include "upstream-internal.h"

#include <stdlib.h>

enum { REFILL_MS = 1000 };

static void on_refill(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct upstream_pool *p = arg;
    struct timeval tv = {.tv_sec = REFILL_MS / 1000};
    for (unsigned s = 0; s < p->u->server_count; s++)
        while (p->conns[s] < p->u->config.min_idle && conn_open(p, s, NULL))
            ;
    event_add(p->refill, &tv);
}

struct upstream_pool *upstream_pool_new(struct event_base *base, struct upstream *u)
{
    struct upstream_pool *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->base = base;
    p->u = u;
    for (unsigned i = 0; i < CONFIG_SERVERS_MAX; i++)
        list_init(&p->idle[i]);
    list_init(&p->busy);
    list_init(&p->waiting);
    list_init(&p->exchanges);
    u->pools++;
    if (u->config.min_idle) {
        p->refill = event_new(base, -1, 0, on_refill, p);
        if (!p->refill) {
            upstream_pool_free(p);
            return NULL;
        }
        event_active(p->refill, EV_TIMEOUT, 0);
    }
    return p;
}

void upstream_pool_free(struct upstream_pool *p)
{
    p->is_stopping = true;
    while (!list_is_empty(&p->exchanges))
        exchange_fail(list_first(&p->exchanges, struct exchange, link), UPSTREAM_STOPPED);
    for (unsigned i = 0; i < CONFIG_SERVERS_MAX; i++)
        while (!list_is_empty(&p->idle[i]))
            conn_close(list_first(&p->idle[i], struct conn, link));
    while (!list_is_empty(&p->busy))
        conn_close(list_first(&p->busy, struct conn, link));
    if (p->refill)
        event_free(p->refill);
    p->u->pools--;
    free(p);
}

static struct conn *take_idle(struct upstream_pool *p, unsigned server)
{
    while (!list_is_empty(&p->idle[server])) {
        struct conn *c = list_first(&p->idle[server], struct conn, link);
        if (conn_is_alive(c))
            return c;
        conn_close(c);
    }
    return NULL;
}

static bool assign_idle(struct exchange *x)
{
    struct upstream_pool *p = x->pool;
    for (unsigned i = 0; i < p->u->server_count && !x->is_retried && !x->is_upgrade; i++) {
        struct conn *c = take_idle(p, (p->next_server + i) % p->u->server_count);
        if (!c)
            continue;
        p->next_server = (c->server + 1) % p->u->server_count;
        p->u->reused++;
        conn_use(c, x);
        return true;
    }
    return false;
}

/* What wants a connection of its own gets the place of an idle one. */
static void make_room(struct upstream_pool *p, unsigned server)
{
    if (p->conns[server] >= p->u->config.max_connections && !list_is_empty(&p->idle[server]))
        conn_close(container_of(p->idle[server].prev, struct conn, link)); /* the oldest */
}

static bool assign_new(struct exchange *x)
{
    struct upstream_pool *p = x->pool;
    for (unsigned i = 0; i < p->u->server_count; i++) {
        unsigned s = (p->next_server + i) % p->u->server_count;
        if (x->is_upgrade)
            make_room(p, s);
        if (p->conns[s] >= p->u->config.max_connections)
            continue;
        p->next_server = (s + 1) % p->u->server_count;
        if (conn_open(p, s, x))
            return true;
    }
    return false;
}

static bool has_room(const struct upstream_pool *p)
{
    for (unsigned s = 0; s < p->u->server_count; s++)
        if (p->conns[s] < p->u->config.max_connections)
            return true;
    return false;
}

/* Exchanges that give way take at most half of the connections, and none that another waits for. */
static bool may_start(const struct exchange *x)
{
    const struct upstream_pool *p = x->pool;
    unsigned most = p->u->config.max_connections * p->u->server_count / 2;
    return !x->is_low || p->busy_count < (most ? most : 1);
}

/* In the order of their coming, but those that give way behind all others. */
static void enqueue(struct exchange *x)
{
    struct upstream_pool *p = x->pool;
    struct list *before = &p->waiting;
    while (!x->is_low && before->prev != &p->waiting &&
           container_of(before->prev, struct exchange, in_queue)->is_low)
        before = before->prev;
    list_push_back(before, &x->in_queue);
    p->waiting_count++;
    p->u->waiting++;
}

void pool_assign(struct exchange *x)
{
    enum { LOW_WAITS_TIMES = 12 };
    struct upstream_pool *p = x->pool;
    if (may_start(x) && (assign_idle(x) || assign_new(x)))
        return;
    if (may_start(x) && has_room(p)) { /* no descriptor or no memory for a connection */
        exchange_fail_later(x, UPSTREAM_REFUSED);
        return;
    }
    if (p->waiting_count >= p->u->config.queue_max) {
        exchange_fail_later(x, UPSTREAM_QUEUE_FULL);
        return;
    }
    uint64_t ms = p->u->config.queue_timeout_ms * (x->is_low ? LOW_WAITS_TIMES : 1);
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    enqueue(x);
    x->error = UPSTREAM_QUEUE_TIMEOUT;
    event_add(x->kick, &tv);
}

void pool_serve_queue(struct upstream_pool *p)
{
    if (p->is_stopping || list_is_empty(&p->waiting))
        return;
    struct exchange *x = list_first(&p->waiting, struct exchange, in_queue);
    bool has_idle = false;
    for (unsigned s = 0; s < p->u->server_count && !has_idle; s++)
        has_idle = !list_is_empty(&p->idle[s]);
    if ((!has_idle && !has_room(p)) || !may_start(x))
        return;
    list_remove(&x->in_queue);
    p->waiting_count--;
    p->u->waiting--;
    event_del(x->kick);
    x->error = UPSTREAM_OK;
    pool_assign(x);
}

static void busy_ended(struct upstream_pool *p)
{
    p->busy_count--;
    p->u->active--;
}

void pool_conn_gone(struct conn *c)
{
    struct upstream_pool *p = c->pool;
    list_remove(&c->link);
    p->conns[c->server]--;
    if (c->state == CONN_IDLE)
        p->u->idle--;
    else
        busy_ended(p);
}

void pool_conn_idle(struct conn *c)
{
    struct upstream_pool *p = c->pool;
    list_remove(&c->link);
    list_push_front(&p->idle[c->server], &c->link);
    c->state = CONN_IDLE;
    c->x = NULL;
    busy_ended(p);
    p->u->idle++;
    conn_set_deadline(c, p->u->config.idle_timeout_ms);
    pool_serve_queue(p);
}
