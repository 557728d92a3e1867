/* upstream.h: requests to the apps: keep-alive pools, a bounded queue, a strict response reader.
 *
 * One pool for each worker and upstream; it keeps its connections for each server apart. An
 * exchange is one request with its one answer; what the answer is not (trailers, surplus bytes)
 * ends here.
 * Thread   the worker whose event base it was made for; only upstream_stats_read() may be called
 *          by others
 * Memory   exchange_start() gives an exchange that lives until on_end or on_error has returned, or
 *          until exchange_cancel(); after either nothing of it may be touched
 * Source   RFC 9112 sections 6, 7 and 9; RFC 9110 section 9.2.2
 */
#ifndef LARDER_NET_UPSTREAM_H
#define LARDER_NET_UPSTREAM_H

#include <larder/base/monotime.h>
#include <larder/config/config.h>
#include <larder/http/head.h>

struct evbuffer;
struct event_base;
struct upstream_pool;
struct exchange;
struct tls;

enum upstream_error {
    UPSTREAM_OK,
    UPSTREAM_REFUSED,         /* no server could be connected to: 502 */
    UPSTREAM_CONNECT_TIMEOUT, /* 504 */
    UPSTREAM_QUEUE_FULL,      /* 503 */
    UPSTREAM_QUEUE_TIMEOUT,   /* 503 */
    UPSTREAM_TIMEOUT,         /* no first byte, or none between two, in time: 504 */
    UPSTREAM_RESET,           /* the connection ended before a head: 502 */
    UPSTREAM_TRUNCATED,       /* the answer ended before its end: 502, or a cut connection */
    UPSTREAM_BAD_ANSWER,      /* not HTTP, or not to be read in one way only: 502 */
    UPSTREAM_TOO_LARGE,       /* its head is over the limit: 502 */
    UPSTREAM_STOPPED,         /* larder is shutting down */
    UPSTREAM_TLS_CERTIFICATE, /* its certificate is not to be trusted: 502 */
    UPSTREAM_TLS_ALERT,       /* it ended the handshake with an alert: 502 */
    UPSTREAM_TLS_PROTOCOL,    /* no TLS, or none that both speak: 502 */
    UPSTREAM_ERROR_COUNT
};

const char *upstream_error_name(enum upstream_error e); /* RFC 9209: "connection_refused" */
unsigned upstream_error_status(enum upstream_error e);  /* 502, 503 or 504 */

/* Callbacks, all from the loop, never before exchange_start() has returned. */
struct exchange_ops {
    /* An interim head (1xx, but not 101), before the final one; valid in this call only. NULL: they
     * are of no use. */
    void (*on_interim)(void *arg, const struct head *h);
    /* The final head (never a 1xx, but 101 where it was asked for: then exchange_tunnel_start()
     * must follow); valid until on_end/on_error/cancel. */
    void (*on_head)(void *arg, const struct head *h);
    /* Body bytes have come into exchange_body(), decoded from their framing. */
    void (*on_body)(void *arg);
    /* The answer is whole. Bytes may be left in exchange_body(): take them here. */
    void (*on_end)(void *arg);
    /* What exchange_send_body() was given has left: room for more. NULL: it is given nothing. */
    void (*on_writable)(void *arg);
    void (*on_error)(void *arg, enum upstream_error e);
};

enum exchange_body_kind {
    EXCHANGE_NO_BODY,
    EXCHANGE_WHOLE_BODY,    /* body is in the request; it is kept for a retry */
    EXCHANGE_STREAMED_BODY, /* exchange_send_body() pieces, then exchange_send_end() */
};

struct exchange_request {
    struct span head; /* whole request head with its framing fields and the empty line; copied */
    enum method method;
    enum exchange_body_kind body_kind;
    struct span body;  /* EXCHANGE_WHOLE_BODY; copied */
    bool body_chunked; /* streamed pieces are sent as chunks; else as they are */
    bool is_upgrade;   /* may be answered 101; gets a new connection, which is never used again */
    bool is_low; /* gives way: waits behind all others, and leaves half of the connections free */
    uint64_t first_byte_timeout_ms; /* 0: the upstream's */
};

/* Resolves the servers' names and reads the files of TLS (may block: call it before the loops run).
 * ERR_CONFIG tells which name cannot be resolved, or what is wrong with which file. */
struct upstream; /* resolved addresses and shared counters of one upstream, for all workers */
must_check enum err_code upstream_new(const struct upstream_config *config, struct upstream **ret,
                                      struct err *err);
void upstream_free(struct upstream *u);
struct tls *upstream_tls(struct upstream *u); /* for tls_reload(); NULL: plain */

struct upstream_pool *upstream_pool_new(struct event_base *base, struct upstream *u);
/* Ends all exchanges with UPSTREAM_STOPPED, closes all connections. */
void upstream_pool_free(struct upstream_pool *p);

/* Starts an exchange on an idle connection, a new one, or in the queue. NULL: no memory. A retry
 * is made by the pool itself: for an idempotent method without a streamed body, when a reused
 * connection ended before a byte of the answer came; and for any method when connecting failed
 * and another server is left. */
struct exchange *exchange_start(struct upstream_pool *p, const struct exchange_request *req,
                                const struct exchange_ops *ops, void *arg);
/* Moves all of <piece> into the request; bounded by the caller, who waits for on_writable while
 * exchange_send_pending() is over its mark. Pieces given before the connection is there wait. */
void exchange_send_body(struct exchange *x, struct evbuffer *piece);
void exchange_send_end(struct exchange *x);
size_t exchange_send_pending(const struct exchange *x);
/* Decoded body bytes that have come and were not taken yet. */
struct evbuffer *exchange_body(struct exchange *x);

/* After a 101, once the request's own body has left: the connection leaves HTTP (RFC 9110 section
 * 7.8). exchange_send_body() sends bytes as they are; exchange_send_end() ends this direction
 * alone, when all has left. What the upstream sends comes with on_body, and so does its end; on_end
 * never follows, and no deadline applies: exchange_cancel() ends it. */
void exchange_tunnel_start(struct exchange *x);
bool exchange_tunnel_is_over(const struct exchange *x); /* the upstream has ended its side */
bool exchange_tunnel_is_cut(const struct exchange *x);  /* it has broken: nothing can be sent */

/* Stops and goes on reading from the upstream (backpressure); between-bytes time stands still. */
void exchange_pause(struct exchange *x);
void exchange_resume(struct exchange *x);
/* Ends it without a callback; the connection is closed unless the answer was whole. NULL is fine.
 */
void exchange_cancel(struct exchange *x);
/* Microseconds from exchange_start to the first byte of the final head (0: not yet) and to now. */
uint64_t exchange_wait_us(const struct exchange *x);

struct upstream_stats {
    uint64_t active, idle, waiting;                                         /* now */
    uint64_t requests, reused, connects, connect_failures, retries, errors; /* since the start */
    uint64_t max_connections;
};
void upstream_stats_read(const struct upstream *u, struct upstream_stats *ret);

#endif
