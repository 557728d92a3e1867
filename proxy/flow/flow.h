/* flow.h: a flow's insides, shared by flow.c (its states), flow_cache.c (store and flights),
 * flow_limit.c (rate limits), flow_stream.c (passing through), flow_tunnel.c (what has left HTTP)
 * and flow_reply.c (answers of the cache and of our own). */
#ifndef LARDER_FLOW_FLOW_H
#define LARDER_FLOW_FLOW_H

#include "flow-internal.h"

#include <larder/net/reply.h>

enum flow_state {
    FLOW_ROUTE,
    FLOW_LIMIT, /* is there room in its rate limits? Redis may be asked */
    FLOW_READ_BODY,
    FLOW_LOOKUP,
    FLOW_WAIT, /* for a flight: our own fetch's or another's */
    FLOW_PASS,
    FLOW_STREAM,
    FLOW_TUNNEL, /* answered 101: bytes both ways, until both have ended */
    FLOW_DELIVER,
    FLOW_FAIL,
    FLOW_DONE,
    FLOW_PAUSE, /* not a state: an event will resume the flow */
};

/* A flow's place in another's flight. It outlives a flow that leaves: its letter frees it. */
struct waiter {
    struct flight_waiter base;
    struct letter letter;
    struct mailbox *home;
    struct flow *flow; /* touched in the home thread only; NULL: it has left */
    struct entry *entry, *vary;
    enum flight_outcome outcome;
    int error;
    bool is_found;
};

struct flow {
    struct list link;
    struct worker *w;
    struct gate *gate;
    const struct head *head;
    enum flow_state state;
    struct timer *timer;
    bool is_timeout, is_deadline; /* what the timer is for */
    uint64_t started_us;
    struct buf id;
    char id_block[128];

    struct lookup l;
    char key_block[KEY_BYTES_MAX];
    bool has_key;
    enum reason reason;
    enum store_miss miss;
    uint64_t body_limit;
    struct evbuffer *body; /* read for the key; goes upstream first */
    bool is_body_whole;
    struct json_doc *json;

    struct fetch *fetch;   /* our own */
    struct waiter *waiter; /* our place in another's */
    bool is_led, is_coalesced;
    bool is_found; /* the flight has found it in Redis: neither of the two, then */
    bool is_landed;
    enum flight_outcome landed;
    int landed_error;
    bool is_stored, is_stale;
    bool is_whole_stale;     /* stale is not what is fetched, but the whole of which a part is */
    bool is_part;            /* a range of something that is not stored whole is fetched */
    bool is_for_alias;       /* an alias asks in its client's name */
    struct limited *limited; /* what its rate limits said; NULL: nothing limits it so far */
    bool is_limit_asked;
    struct buf own_lines;    /* of the app's answer: what is its first client's alone */
    bool is_warm, wants_new; /* a warm job's request; it wants a new answer */
    struct entry *entry, *vary;
    struct entry *stale; /* what may be served if the upstream fails */

    /* stream */
    const struct head *stream_head; /* the upstream's answer; its head has not been written yet */
    enum store_verdict verdict;
    bool head_written, is_head_only, is_chunked, is_ended, is_upload_done, is_upload_failed;
    enum upstream_error stream_error;
    uint64_t passed_began;  /* number of the last invalidation when the request was passed on */
    mono_ms passed_mono_ms; /* when that was */
    struct keep *keep;      /* a copy of what streams by, to be stored */
    struct tier_publication *publication; /* others are being told of a write: its answer is held */
    struct evbuffer *held;                /* ... here; NULL: nothing was */

    struct {
        bool is_open, is_up_ended, is_down_ended; /* up: to the upstream */
        mono_ms moved_mono_ms;                    /* when bytes moved last */
        uint64_t waiting;                         /* bytes on their way at the last look */
    } tunnel;

    struct problem problem;
    char detail[256];
    const char *outcome;
    unsigned status, upstream_status;
    uint64_t body_bytes, request_bytes, upstream_us, age_s, unsatisfied_length;
};

void flow_run(struct flow *f);
enum flow_state flow_fail(struct flow *f, unsigned status, const char *type, const char *detail);
enum flow_state flow_fail_upstream(struct flow *f, enum upstream_error e);
void flow_log(struct flow *f);

/* flow_cache.c */
enum flow_state flow_begin(struct flow *f);
/* What is stored answers it as it is. */
bool flow_is_hit(const struct flow *f);
bool flow_is_our_variant(struct flow *f);
enum flow_state flow_lead(struct flow *f, struct flight *flight);
/* The entry was found in Redis: as good as if it had been here. */
enum flow_state flow_serve_found(struct flow *f);
/* There is a stale answer, and nothing forbids to serve it to this request. */
bool flow_may_serve_stale(const struct flow *f);
/* ... in a failure's place: the route's budget has a say, and is spent. */
bool flow_may_hide_error(struct flow *f);
enum flow_state flow_serve_stale(struct flow *f, enum reason why);

/* flow_limit.c */
/* Its rate limits have not been asked, and must be before the app is. */
bool flow_is_unasked(const struct flow *f);
/* FLOW_LIMIT, which leads on to <next>. <is_hit>: the cache will answer it. */
enum flow_state flow_limit(struct flow *f, enum flow_state next, bool is_hit);
enum flow_state flow_step_limit(struct flow *f);
struct span flow_limit_fields(const struct flow *f); /* RateLimit lines for its answer; or none */
void limited_free(struct limited *l);                /* NULL is fine */

/* flow.c: what was read of the request's body, and its JSON or NULL */
struct span flow_whole_body(struct flow *f);
const struct json *flow_json(const struct flow *f);

/* flow_stream.c */
enum flow_state flow_step_pass(struct flow *f);
enum flow_state flow_step_stream(struct flow *f);
bool flow_start_fetch(struct flow *f, struct flight *flight);
const char *flow_fwd_word(const struct flow *f); /* RFC 9211 section 2.2: "uri-miss", ... */
/* The Cache-Status member of an answer that was fetched. */
void flow_cache_status_format(const struct flow *f, unsigned status, struct buf *out);

/* flow_tunnel.c */
/* The upstream has answered 101: FLOW_TUNNEL, FLOW_FAIL, or FLOW_PAUSE until the upload is done. */
enum flow_state flow_switch(struct flow *f);
enum flow_state flow_step_tunnel(struct flow *f);

/* keep.c */
struct keep;
/* NULL: the answer is not one that is kept, or there is no memory. */
struct keep *keep_start(const struct flow *f, const struct head *response);
/* The POST's own invalidations are over: they are older than what it has brought. */
void keep_note_write(struct keep *k, struct worker *w);
/* Copies what goes by; false: it has become too large, or there is no memory. */
bool keep_add(struct keep *k, struct evbuffer *piece, uint64_t limit);
void keep_store(struct keep *k, struct worker *w, const struct head *response);
void keep_free(struct keep *k); /* NULL is fine */
struct head_news {
    const struct head *head; /* of the answer to a HEAD */
    uint64_t delay_ms;       /* how long it took to come */
};
/* What <n> says of what is stored: it is updated, or dropped. */
void keep_head_news(struct worker *w, const struct lookup *l, const struct head *request,
                    const struct head_news *n);

/* flow_reply.c */
enum flow_state flow_step_deliver(struct flow *f);
enum flow_state flow_step_fail(struct flow *f);

#endif
