/* upstream-internal.h: what the upstream client's files share.
 *
 * upstream.c       addresses, names of errors, counters
 * upstream_pool.c  which connection an exchange gets: idle, new, or a place in the queue
 * upstream_conn.c  a connection: connecting, reading the answer strictly, timers
 * exchange.c       one request and its answer, as its owner sees it
 */
#ifndef LARDER_NET_UPSTREAM_INTERNAL_H
#define LARDER_NET_UPSTREAM_INTERNAL_H

#include <larder/base/list.h>
#include <larder/http/chunked.h>
#include <larder/net/upstream.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum { UPSTREAM_HEAD_MAX = 64 * 1024, UPSTREAM_BODY_HIGH = 256 * 1024, INTERIM_MAX = 16 };

struct server {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    const char *name; /* whom its certificate must be for */
};

struct upstream {
    struct upstream_config config;
    unsigned server_count;
    struct server servers[CONFIG_SERVERS_MAX];
    struct tls *tls;              /* NULL: plain */
    _Atomic uint64_t tls_told_ms; /* when the log was last told of a failed handshake */
    _Atomic int64_t active, idle, waiting;
    _Atomic uint64_t requests, reused, connects, connect_failures, retries, errors, pools;
};

struct upstream_pool {
    struct event_base *base;
    struct upstream *u;
    struct list idle[CONFIG_SERVERS_MAX], busy;
    unsigned conns[CONFIG_SERVERS_MAX]; /* idle, connecting and busy ones */
    struct list waiting, exchanges;
    unsigned waiting_count, next_server, busy_count;
    struct event *refill; /* keeps min_idle open */
    bool is_stopping;
};

enum conn_state { CONN_CONNECTING, CONN_HEAD, CONN_BODY, CONN_IDLE };

struct conn {
    struct list link; /* in idle or busy */
    struct upstream_pool *pool;
    unsigned server;
    struct bufferevent *bev;
    struct ssl_st *ssl; /* the bufferevent's; NULL: plain */
    enum conn_state state;
    struct exchange *x; /* NULL: idle, or opened ahead */
    struct event *timer;
    mono_ms deadline, armed;
    bool is_reused, has_answer_byte;
    bool is_deaf; /* it takes no more of the request; its answer may still be there */
    unsigned interim;
    struct chunked chunked;
    uint64_t left;
};

struct exchange {
    struct list link; /* in pool->exchanges */
    struct list in_queue;
    struct upstream_pool *pool;
    struct conn *conn;
    const struct exchange_ops *ops;
    void *arg;
    enum method method;
    enum exchange_body_kind body_kind;
    bool is_low, body_chunked, send_ended, is_sent, is_retried, is_paused, is_dead;
    bool is_upgrade;            /* asks for a tunnel */
    bool is_switched;           /* and has been answered 101 */
    bool is_tunnel;             /* its owner has taken it for one */
    bool is_input_over, is_cut; /* of a tunnel */
    unsigned depth;             /* callbacks on the stack: freed when the last returns */
    unsigned tried;             /* servers whose connecting failed */
    uint64_t first_byte_timeout_ms, started_us, head_us;
    char *text; /* head, and the whole body behind it: kept for a retry */
    size_t text_len;
    struct evbuffer *pending; /* streamed pieces that came before the connection */
    struct evbuffer *body;
    char *head_text;
    struct head *head;
    struct event *kick; /* an error to tell in the next turn, and the queue's deadline */
    enum upstream_error error;
};

/* upstream_pool.c */
void pool_assign(struct exchange *x); /* a connection, a place in the queue, or an error */
void pool_conn_gone(struct conn *c);  /* unlinked; room for another */
void pool_conn_idle(struct conn *c);  /* whole and clean: to be used again */
void pool_serve_queue(struct upstream_pool *p);

/* upstream_conn.c */
struct conn *conn_open(struct upstream_pool *p, unsigned server, struct exchange *x);
void conn_use(struct conn *c, struct exchange *x); /* an idle one */
void conn_close(struct conn *c);
void conn_read(struct conn *c); /* goes on with what is in the input buffer */
void conn_set_deadline(struct conn *c, uint64_t ms);
void conn_end_output(struct conn *c);     /* nothing more will be sent; it may still be read */
bool conn_is_alive(const struct conn *c); /* an idle one that the upstream has neither closed nor
                                             spoken on */

/* exchange.c */
void exchange_on_connected(struct exchange *x);
bool exchange_on_interim(struct exchange *x); /* false: it has been cancelled */
void exchange_on_head(struct exchange *x);
void exchange_on_body(struct exchange *x);
void exchange_on_end(struct exchange *x);
void exchange_on_written(struct exchange *x);
void exchange_fail(struct exchange *x, enum upstream_error e);       /* at once */
void exchange_fail_later(struct exchange *x, enum upstream_error e); /* in the next turn */

#endif
