/* gate-internal.h: what the gate's files share: its life (gate.c), what comes in (gate_input.c),
 * what goes out (gate_output.c), its handshake where it speaks TLS (gate_tls.c), and what it is
 * once it has left HTTP (gate_tunnel.c). */
#ifndef LARDER_NET_GATE_INTERNAL_H
#define LARDER_NET_GATE_INTERNAL_H

#include <larder/base/list.h>
#include <larder/http/chunked.h>
#include <larder/net/gate.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

enum {
    HOLD_HIGH = 64 * 1024, /* bytes a connection may send ahead before it is not read any more */
    BODY_HIGH = 64 * 1024, /* body bytes, or a tunnel's, that may wait for the flow */
    LINGER_MS = 2000,      /* a closing connection's unread bytes are swallowed so long */
};

enum gate_state {
    GATE_OPENING, /* evhttp has not set its callbacks yet */
    GATE_HEAD,    /* between requests, or in the middle of a head */
    GATE_BUSY,    /* a request is with its flow */
    GATE_TUNNEL,  /* a request has led out of HTTP: bytes, not messages */
    GATE_FLUSH,   /* a hit that did not fit the socket is on its way */
    GATE_LINGER,  /* our side is closed; what comes is swallowed */
};

enum gate_note { NOTE_BODY = 1, NOTE_FREE = 2 };

struct gates {
    struct evhttp *http;
    struct event_base *base;
    const struct config *config;
    const struct gate_ops *ops;
    void *arg;
    struct tls *tls; /* NULL: plain */
    struct list all;
    unsigned count;
    bool is_control, draining;
    struct gate **by_fd; /* evhttp's handler finds the gate of its connection here */
    int by_fd_count;
    struct head head; /* of the request being read: too large to copy for each hit */
};

struct gate {
    struct list link;
    struct gates *gs;
    enum gate_state state;
    struct bufferevent *bev;
    struct ssl_st *ssl; /* the bufferevent's; NULL: plain, or its handshake has failed */
    bool is_shaking;    /* the handshake is not finished: nothing can be read or written */
    struct evhttp_connection *evcon;
    bufferevent_data_cb evhttp_read, evhttp_write;
    bufferevent_event_cb evhttp_event;
    int fd;
    bool is_local;
    char peer[48];
    uint8_t peer_addr[16];

    struct evbuffer *hold; /* bytes that evhttp has not seen, behind the present request's */
    bool feeding;          /* our own change of the input buffer: not news */
    bool in_input;         /* the input callback is on the stack: evhttp will be called by itself */
    bool head_begun;

    struct event *timer;
    mono_ms deadline, armed; /* 0: none */
    unsigned notes;          /* enum gate_note: what to do in the next turn of the loop */

    /* the request taken */
    char *raw;
    size_t raw_len;
    struct head *head;
    struct evhttp_request *evreq;
    const struct gate_flow_ops *flow_ops;
    void *flow;
    uint64_t started_us;
    bool finishing, close_after;
    bool is_lossy; /* there was no memory for a piece of the answer */

    /* its body */
    struct evbuffer *body;
    enum body_state body_state;
    bool body_started, read_paused;
    uint64_t body_left, body_bytes, body_limit;
    struct chunked chunked;

    /* a tunnel */
    bool is_input_over;   /* the client has ended its side */
    bool is_output_ended; /* ours ends once all has left */
    bool is_cut;
};

/* gate.c */
void gate_set_deadline(struct gate *g, uint64_t ms); /* 0: none */
void gate_note(struct gate *g, unsigned note);
void gate_take_callbacks(struct gate *g);   /* the bufferevent's events come to the gate */
void gate_return_callbacks(struct gate *g); /* and to evhttp again */
void gate_close_now(struct gate *g);        /* frees the connection, and with it the gate */
void gate_adopt(struct gate *g);

/* gate_input.c */
void gate_on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg);
void gate_read_on(struct gate *g); /* HEAD: handles what is held */
void gate_pump_body(struct gate *g);
void gate_pause_reading(struct gate *g);
void gate_resume_reading(struct gate *g);
void gate_drop_request(struct gate *g);
void gate_refuse(struct gate *g, unsigned status, const char *why);

/* gate_tls.c: only where the gate has a TLS connection, but for gate_send(). */
void gate_on_handshake(struct gate *g, short what); /* the bufferevent's event while it shakes */
/* Writes what the socket takes at once, and returns how much; -1: the connection is broken. Bytes
 * told by *ret_stuck go out first and in one piece when the rest does. */
ssize_t gate_send(struct gate *g, const struct iovec *iov, int count, size_t *ret_stuck);
void gate_say_end(struct gate *g); /* the client may know that nothing more comes */

/* gate_tunnel.c */
void gate_tunnel_pump(struct gate *g); /* what is held goes to the flow, as far as there is room */
void gate_on_tunnel_event(struct gate *g, short what);
void gate_on_tunnel_written(struct gate *g);

/* gate_output.c */
void gate_on_written(struct gate *g);
void gate_start_linger(struct gate *g);
void gate_reset(struct gate *g);
void gate_on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *arg);

#endif
