/* flow-internal.h: what the flow's files share.
 *
 * worker.c   a thread: loop, pools, counters
 * hit.c      the gate's question, and the hit path: no allocation, no formatting but numbers
 * flow.c     the table of states of a request that was no plain hit
 * fetch.c    one upstream exchange: collected for the store, or streamed to a client
 * forward.c  the request's head as the upstream gets it
 * answer.c   a response's head as clients get it, and the entry made of it
 * lookup.c   a request's route, key and tags, for hit.c and flow.c alike
 */
#ifndef LARDER_FLOW_INTERNAL_H
#define LARDER_FLOW_INTERNAL_H

#include <larder/flow/worker.h>

#include <event2/buffer.h>
#include <pthread.h>

enum {
    KEY_BYTES_MAX = 4096,
    STREAM_HIGH = 256 * 1024, /* bytes that may wait on their way in either direction */
    REQUEST_ID_LEN = 16,
};

/* Why a request was not a hit: for Cache-Status, the log and the counters. */
enum reason {
    REASON_NONE,
    REASON_NOT_CACHED, /* its route has no ttl */
    REASON_METHOD,
    REASON_AUTHORIZATION, /* credentials, and the route does not say whose answer it is */
    REASON_COOKIE,
    REASON_KEY,            /* no key can be made of it: its body is not as the route says */
    REASON_BODY_TOO_LARGE, /* for a key */
    REASON_ABSENT,
    REASON_EXPIRED,
    REASON_INVALIDATED,
    REASON_HIT_FOR_MISS,
    REASON_WAITERS_FULL,
    REASON_WAIT_TIMEOUT,
    REASON_UNSTORABLE, /* waited, and the answer was another client's own */
    REASON_UPGRADE,
    REASON_NOMEM,
    REASON_COUNT
};
const char *reason_name(enum reason r);

struct worker {
    unsigned index;
    struct shared *shared;
    const struct config *config;
    struct store *store;
    struct loop *loop;
    struct upstream_pool **pools;
    struct access_queue *access;
    struct route_counters *routes; /* config->route_count */
    struct worker_counters counters;
    struct list flows, fetches;
    uint64_t id_seed, id_next;
    pthread_t thread;
    bool is_running, is_draining;
    mono_ms drain_deadline;
    struct timer *drain_timer;
    struct letter drain_letter, ended_letter;
    uint64_t drain_ms;
    char key_block[KEY_BYTES_MAX]; /* the hit path's scratch */
    char vary_block[KEY_BYTES_MAX];
};

/* lookup.c: what the cache needs to know of a request */
struct lookup {
    const struct route *route;
    struct route_captures captures;
    struct buf key_text;
    struct cache_key key;
    struct tag_stamp tags;
    bool tags_overflow;
    const char *why; /* of a KEY_REJECT */
};
/* The bypass reason that the head alone gives; REASON_NONE: it may be looked up. */
enum reason lookup_may_share(const struct route *r, const struct head *h);
/* Builds the key into <block>. */
enum key_result lookup_build_key(struct worker *w, struct lookup *l, const struct head *h,
                                 struct span body, const struct json *json, char *block,
                                 size_t block_len);
/* The variant's key behind the primary one of <l>; false: too long. */
bool lookup_variant_key(const struct lookup *l, const struct head *h, struct span names,
                        struct buf *text, struct cache_key *ret_key);
/* store_lookup() through a VARY marker. */
enum store_result lookup_find(struct worker *w, const struct lookup *l, const struct head *h,
                              struct entry **ret_entry);

/* answer.c */
void request_id_make(struct worker *w, const struct head *h, const struct gate *g, struct buf *out);
/* The lines that differ each time: Age, Cache-Status (RFC 9211; a hit's where <status> is empty),
 * request id, Connection and the empty line. */
struct answer_lines {
    const struct entry *entry;
    struct span cache_status, id;
    bool close, keep_alive_10;
};
void answer_lines_format(const struct answer_lines *l, mono_ms now, struct buf *out);
/* Response head for clients, without framing, Age, Cache-Status, Connection and empty line. */
void answer_head_format(const struct head *h, bool strip_set_cookie, bool for_store,
                        struct buf *out);
/* True: answer 304. */
bool answer_is_not_modified(const struct head *request, const struct entry *e);
struct entry *answer_entry_new(const struct route *r, const struct cache_key *key,
                               const struct tag_stamp *tags, const struct head *h, struct span body,
                               uint64_t lifetime_ms, uint64_t age_ms, mono_ms now);

/* forward.c: the whole head with framing, for the upstream */
void forward_head_format(const struct config *config, const struct head *h, struct span peer,
                         const uint8_t peer_addr[16], struct span id, const struct route *r,
                         bool is_fetch, bool body_chunked, uint64_t body_bytes, bool has_body,
                         struct buf *out);

/* fetch.c */
struct flow;
struct fetch;
enum fetch_mode { FETCH_COLLECT, FETCH_STREAM };
struct fetch_start {
    struct worker *w;
    const struct route *route;
    struct flow *client;      /* the flow it is for; may leave later */
    struct flight *flight;    /* NULL: streamed, not stored */
    struct span request_text; /* the leader's head; copied for a flight */
    struct exchange_request exchange;
};
struct fetch *fetch_start(const struct fetch_start *s);
/* The client leaves: a collecting fetch goes on, a streaming one ends. */
void fetch_leave(struct fetch *f);
struct exchange *fetch_exchange(struct fetch *f); /* NULL: it has ended */
struct evbuffer *fetch_body(struct fetch *f);
uint64_t fetch_wait_us(const struct fetch *f);

/* flow.c: called by fetch.c */
void flow_on_landed(struct flow *f, const struct flight_result *r, enum err_code stored);
void flow_on_stream_head(struct flow *f, const struct head *h, enum store_verdict verdict);
void flow_on_stream_body(struct flow *f);
void flow_on_stream_end(struct flow *f);
void flow_on_stream_error(struct flow *f, enum upstream_error e);
void flow_on_writable(struct flow *f);

void flow_start(struct worker *w, struct gate *g, const struct head *h);

/* hit.c */
enum gate_verdict hit_on_head(void *arg, struct gate *g, const struct head *h);

#endif
