/* gate.h: a client's connection: the strict reader in front of evhttp, and the writer behind it.
 *
 * A callback on the connection's input buffer sees every byte before evhttp does and holds it
 * back. Once a head is whole and checked, on_head may answer it at once from the cache: then evhttp
 * never sees the request. Otherwise evhttp gets a plain stand-in head, so that its own reading
 * decides nothing, and on_request follows from its handler; the body stays with the gate, which
 * takes it out of its framing piece by piece. Replies are written by us; evhttp adds nothing.
 *
 * Thread  the worker of the event base it was made for
 * Memory  a gate lives as long as its evhttp connection; it is gone once on_gone was called, or
 *         after gate_finish(); the request's head lives until then
 * Source  RFC 9112 (sections 2, 6, 7, 9); libevent 2.1.12 http.c
 */
#ifndef LARDER_NET_GATE_H
#define LARDER_NET_GATE_H

#include <larder/base/monotime.h>
#include <larder/config/config.h>
#include <larder/http/head.h>
#include <sys/uio.h>

struct evbuffer;
struct event_base;
struct evhttp;
struct gate;
struct tls;
struct gates; /* all the gates of one worker */

enum gate_verdict {
    GATE_ANSWERED, /* gate_answer() was called */
    GATE_TAKE,     /* on_request shall follow */
};

enum body_state { BODY_NONE, BODY_MORE, BODY_WHOLE, BODY_BAD, BODY_TOO_LARGE };

/* What the layer above does with requests; set once for a worker. */
struct gate_ops {
    /* A whole, strictly checked head; <h> is valid only during the call. */
    enum gate_verdict (*on_head)(void *arg, struct gate *g, const struct head *h);
    /* The request is the callee's, until gate_finish(), gate_abort() or on_gone. */
    void (*on_request)(void *arg, struct gate *g, const struct head *h);
    /* A head was refused with <status>: for log and counters. */
    void (*on_refused)(void *arg, struct gate *g, unsigned status, const char *why);
    /* A TLS handshake is over: <failure> is NULL, or says why it came to nothing. */
    void (*on_handshake)(void *arg, struct gate *g, bool is_resumed, const char *failure);
};

/* What a taken request is told. */
struct gate_flow_ops {
    void (*on_body)(void *flow);    /* gate_body() or gate_body_state() has changed */
    void (*on_drained)(void *flow); /* all that was written has left */
    void (*on_gone)(void *flow);    /* the client is gone, and the gate with it */
};

/* With <tls> (which outlives it, and may be NULL) clients speak TLS. */
struct gates *gates_new(struct event_base *base, struct evhttp *http, const struct config *config,
                        struct tls *tls, const struct gate_ops *ops, void *arg, bool is_control);
void gates_drain(struct gates *gs); /* no keep-alive from now on; idle connections are closed */
unsigned gates_count(const struct gates *gs);
void gates_free(struct gates *gs); /* after evhttp_free() */

struct span gate_peer(const struct gate *g); /* "127.0.0.1" or "::1" */
bool gate_is_local(const struct gate *g);    /* it came by a Unix socket */
bool gate_is_tls(const struct gate *g);
const uint8_t *gate_peer_addr(const struct gate *g); /* 16 bytes, IPv4 mapped */
bool gate_must_close(const struct gate *g);          /* this answer is the connection's last */
uint64_t gate_started_us(const struct gate *g);      /* mono_now_us of the head's arrival */
bool gate_is_control(const struct gate *g);
/* The taken request's head as it came; lives as long as the head itself. */
struct span gate_head_text(const struct gate *g);

/* Writes a whole answer from on_head, straight to the socket. What does not fit goes out later by
 * reference: then <owner> is kept and <release> called with it once it has left; otherwise it is
 * called before this returns. */
void gate_answer(struct gate *g, const struct iovec *iov, int count, bool close,
                 void (*release)(void *owner), void *owner);

/* Makes <flow> the listener of a taken request. */
void gate_attach(struct gate *g, const struct gate_flow_ops *ops, void *flow);
/* Begins to read the request's body (and asks for it where the client waits for 100 Continue);
 * at most <limit> bytes of body in all. */
void gate_body_start(struct gate *g, uint64_t limit);
struct evbuffer *gate_body(struct gate *g); /* decoded bytes; take them out to go on */
enum body_state gate_body_state(const struct gate *g);
void gate_body_taken(struct gate *g); /* bytes were taken out of gate_body(): read on */

/* The request's body is whole and its answer's head (101) was written: the connection leaves HTTP
 * (RFC 9110 section 7.8). From now on gate_body() is what the client sends, as it comes, first what
 * it had sent behind its request; BODY_WHOLE says that it has ended its side. What is written goes
 * out as it is. The gate keeps no deadline until gate_finish() or gate_abort(). */
void gate_tunnel_start(struct gate *g);
/* Nothing more will be written: the client is told so once all has left, and may go on sending. */
void gate_tunnel_end_output(struct gate *g);
/* The connection has broken: nothing can be written, but what came may still be taken. */
bool gate_tunnel_is_cut(const struct gate *g);

/* Queues reply bytes. The second moves all of <from>. */
void gate_write(struct gate *g, const void *p, size_t len);
void gate_write_buffer(struct gate *g, struct evbuffer *from);
void gate_write_ref(struct gate *g, const void *p, size_t len, void (*release)(void *owner),
                    void *owner);
size_t gate_pending(const struct gate *g); /* bytes not yet in the socket */
/* The reply is complete: once it has left, the next request is read, or the connection is closed
 * where <close>, or where body bytes of the request are unread. The gate is not the caller's any
 * more. */
void gate_finish(struct gate *g, bool close);
/* Cuts the connection so that the client cannot take what it got for a whole answer. */
void gate_abort(struct gate *g);

#endif
