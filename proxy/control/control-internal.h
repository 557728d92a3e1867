/* control-internal.h: what the control layer's files share.
 *
 * control.c         a call's way: from the gate to the main loop and back
 * dispatch.c        which handler a call goes to; access
 * api_*.c           the handlers
 */
#ifndef LARDER_CONTROL_INTERNAL_H
#define LARDER_CONTROL_INTERNAL_H

#include <larder/base/json.h>
#include <larder/control/control.h>
#include <larder/net/reply.h>

/* A client's text in a message: not NUL-terminated, and not all of it. For "%.*s". */
#define CUT(s) (int)((s).len < 60 ? (s).len : 60), ((s).p ? (s).p : "")

enum { CALL_BODY_MAX = 1024 * 1024, REPLY_MAX = 64 * 1024 * 1024 };

struct control {
    struct shared *shared;
    struct loop *loop; /* the main thread's: where handlers run */
    bool is_ready, is_listening;
    struct upstream_config front_config;
    struct upstream *front;
    struct upstream_pool *front_pool;
    char front_host[280];
    struct list warms;
    _Atomic uint64_t calls; /* that have not been answered: for a clean end */
};

/* One control request. Its gate's thread makes it, reads its body and writes its reply; between
 * two letters it belongs to the main loop. */
struct call {
    struct letter letter;
    struct control *control;
    struct mailbox *home; /* of the gate's loop */
    struct gate *gate;    /* touched at home only; NULL: the client has left */
    enum method method;
    char path[256];
    struct buf query, body, authorization;
    uint8_t peer_addr[16];
    char peer[48];
    bool is_main; /* the gate's loop is the main one */
    bool is_sent;
    unsigned status;
    const char *problem; /* type, where the reply is a problem */
    char detail[400];
    const char *allow;
    struct buf reply;
};

/* Handlers fill call->reply (JSON) and status, or call_fail(). False: call_done() comes later. */
typedef bool (*handler)(struct call *c);
bool call_fail(struct call *c, unsigned status, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5))); /* returns true: done */
void call_done(struct call *c);
void dispatch(struct call *c);

/* Parses the body as an object whose members are all in <known>; NULL after call_fail(). */
struct json_doc *call_parse(struct call *c, const char *const *known, unsigned count,
                            const char *example);
const struct route *call_find_route(const struct call *c, struct span name);
/* The decoded value of a query parameter as text; empty: absent. */
struct span call_query(const struct call *c, const char *name, struct buf *scratch);

bool api_invalidate(struct call *c);
bool api_stats(struct call *c);
bool api_keys(struct call *c);
bool api_warm(struct call *c);
bool api_live(struct call *c);
bool api_ready(struct call *c);
void warms_stop(struct control *c);

#endif
