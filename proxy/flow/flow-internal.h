/* flow-internal.h: what the flow's files share.
 *
 * worker.c   a thread: loop, pools, counters
 * hit.c      the gate's question, and the hit path: no allocation, no formatting but numbers
 * flow.c     the table of states of a request that was no plain hit
 * fetch.c    one upstream exchange: collected for the store, or streamed to a client; before it
 *            Redis is asked for what other instances have fetched (fetch_shared.c)
 * forward.c  the request's head as the upstream gets it
 * answer.c   a response's head as clients get it, and the entry made of it
 * lookup.c   a request's route, key and tags, for hit.c and flow.c alike
 * plan.c     what a route wants to know of an answer's body, and collecting it
 * judge.c    may a collected answer be stored, how long, and with which tags
 * refresh.c  fetches in the background, while an answer is served
 * write.c    what an accepted write takes back
 * limits*.c  rate limits; flow_limit.c is their state
 * validate.c asking the upstream whether a stored answer still holds
 */
#ifndef LARDER_FLOW_INTERNAL_H
#define LARDER_FLOW_INTERNAL_H

#include <larder/flow/worker.h>
#include <larder/tier/objects.h>

#include <event2/buffer.h>
#include <pthread.h>

enum {
    KEY_BYTES_MAX = 4096,
    STREAM_HIGH = 256 * 1024, /* bytes that may wait on their way in either direction */
    UPLOAD_HIGH = 64 * 1024,  /* of them: for the upstream; the gate holds some, too */
    REQUEST_ID_LEN = 16,
};

struct worker {
    unsigned index;
    struct shared *shared;
    const struct config *config;
    struct store *store;
    struct loop *loop;
    struct upstream_pool **pools;
    struct objects *objects; /* answers in Redis; NULL: this instance is alone */
    struct access_queue *access;
    struct route_counters *routes; /* config->route_count */
    struct value_counters *values; /* values_max() */
    unsigned refreshing;           /* background refreshes on their way */
    uint64_t random;               /* xorshift's state: jitter and XFetch */
    struct worker_counters counters;
    struct list flows, fetches;
    uint64_t id_seed, id_next;
    pthread_t thread;
    bool is_running, is_draining;
    mono_ms drain_deadline;
    mono_ms tls_told_ms; /* when the log was last told of a failed handshake */
    struct timer *drain_timer;
    struct letter drain_letter, ended_letter;
    uint64_t drain_ms;
    char key_block[KEY_BYTES_MAX]; /* the hit path's scratch */
    char vary_block[KEY_BYTES_MAX];
};

uint64_t worker_random(struct worker *w);

/* lookup.c: what the cache needs to know of a request */
struct lookup {
    const struct route *route;
    struct route_captures captures;
    struct buf key_text;
    struct cache_key key;
    const char *why;     /* of a KEY_REJECT */
    bool is_https;       /* the scheme of the target URI: a part of the key in mode http */
    struct tag_set tags; /* once lookup_tags() was called; so the values */
    unsigned value_count;
    uint16_t value[ENTRY_VALUES_MAX];
};
/* What a request is made of, as keys and tags see it. */
struct route_request lookup_request(const struct shared *s, const struct lookup *l,
                                    const struct head *h, struct span body,
                                    const struct json *json);
/* Was it asked by https? What the app is told, too: a trusted peer's word, or the listener's. */
bool lookup_is_https(const struct config *c, const struct head *h, const struct gate *g);
/* The bypass reason that the head alone gives; REASON_NONE: it may be looked up. */
enum reason lookup_may_share(const struct shared *s, const struct route *r, const struct head *h);
/* Builds the key into <block>. */
enum key_result lookup_build_key(const struct shared *s, struct lookup *l, const struct head *h,
                                 struct span body, const struct json *json, char *block,
                                 size_t block_len);
/* The request's tags and the values that it is counted by: not needed for a hit. */
void lookup_tags(const struct shared *s, struct lookup *l, const struct head *h, struct span body,
                 const struct json *json);
/* The variant's key behind the primary one of <l>; false: too long. */
bool lookup_variant_key(const struct lookup *l, const struct head *h, struct span names,
                        struct buf *text, struct cache_key *ret_key);
/* The VARY marker under a primary key, with a reference; NULL: the URL is not known to vary. */
struct entry *lookup_marker(struct worker *w, const struct cache_key *primary);
/* The key of an alias: under it stands the key of the variant in <language>. False: the names do
 * not tell languages apart, or it is too long. */
bool lookup_language_key(const struct lookup *l, const struct head *h, struct span names,
                         struct span language, struct buf *text, struct cache_key *ret_key);
/* The key of a part, by the range that was asked for; false: none is kept for this request. */
bool lookup_part_key(const struct lookup *l, const struct head *h, struct buf *text,
                     struct cache_key *ret_key);
/* store_lookup(), or store_peek(), through a VARY marker: the request's own variant, or the one in
 * the language that it likes best. */
enum lookup_depth { LOOKUP_USABLE, LOOKUP_KEPT };
enum store_result lookup_find(struct worker *w, const struct lookup *l, const struct head *h,
                              enum lookup_depth depth, struct entry **ret_entry);
/* In mode http: does the request bear credentials of which its key says nothing? */
bool lookup_is_personal(const struct route *r, const struct head *h);
/* ... cookies, of which nobody says whose they are? */
bool lookup_has_cookies(const struct route *r, const struct head *h);
/* False: the request has an Origin, and what <e> would say to it is not known: the app decides by
 * it what a browser may read. */
bool lookup_knows_origin(const struct head *h, const struct entry *e);
/* Other instances are not heard, and the route says that the app answers everything then. */
static inline bool lookup_is_cut_off(const struct worker *w, const struct route *r)
{
    return r->shared != SHARED_NONE && r->on_partition == PARTITION_BYPASS &&
           !store_is_confirmed(w->store, mono_now_ms());
}
/* In mode http: may <e> answer the request as it is? Its Cache-Control and its credentials have a
 * say. */
bool lookup_may_reuse(const struct route *r, const struct head *h, const struct entry *e,
                      mono_ms now);

/* answer.c */
void request_id_make(struct worker *w, const struct head *h, const struct gate *g, struct buf *out);
/* The lines that differ each time: Age, Cache-Status (RFC 9211; a hit's where <status> is empty),
 * request id, Connection and the empty line. */
struct answer_shape;
struct answer_lines {
    const struct entry *entry;
    const struct answer_shape *shape;
    struct span cache_status, id;
    const char *detail; /* behind a hit's status; NULL: none */
    bool is_first;      /* the upstream has just given it, to this request */
    bool close, keep_alive_10;
};
void answer_lines_format(const struct answer_lines *l, mono_ms now, struct buf *out);
/* Response head for clients, without framing, Age, Cache-Status, Connection and empty line. */
enum {
    ANSWER_LESS_COOKIES = 1 << 0,
    ANSWER_FOR_STORE = 1 << 1,   /* nothing that larder writes anew, or that is one client's */
    ANSWER_LESS_LIMITS = 1 << 2, /* the app's RateLimit fields give way to our own */
};
void answer_head_format(const struct head *h, unsigned how, struct buf *out);
/* The lines that are one client's own, and stay out of what is stored: RateLimit and its like (less
 * those, where <has_limits>: larder says them), and a 429's Retry-After. */
void answer_own_format(const struct head *h, bool has_limits, struct buf *out);
/* Does an answer name the Host that it was asked by, or may it do so? */
bool answer_names_host(const struct head *request, const struct head *h, struct evbuffer *body);
/* The whole head of an interim answer. */
void answer_interim_format(const struct head *h, struct buf *out);
/* The whole head of a 101; <limits>: our RateLimit lines, or none. */
void answer_switch_format(const struct head *h, struct span id, struct span limits,
                          struct buf *out);
/* What of a stored answer goes to this request: all, its 304, one part of it, or (416) none. */
struct answer_shape {
    unsigned status;
    struct span start, head, body; /* start: the status line, where it is not head's own */
    uint64_t first, last, length;  /* of a part: RFC 9110 section 14.4; of a 416: length */
};
void answer_shape(const struct head *request, const struct entry *e, struct answer_shape *ret);
/* The entry of a whole answer; what is not of the head comes in <parts>, which is completed. */
struct entry *answer_entry_new(const struct head *h, bool has_cookies, struct entry_parts *parts);

/* forward.c: the whole head with framing, for the upstream */
struct forward {
    const struct config *config;
    const struct head *head;
    const struct gate *gate;
    const struct route *route;
    struct span id;
    bool is_fetch;       /* for the cache: the whole answer, without the client's conditions */
    bool is_upgrade;     /* it may be answered 101 */
    bool is_part;        /* ... but for Range: a part is fetched as such */
    bool is_warm;        /* a warm job's own: its scheme is believed */
    bool is_for_alias;   /* an alias's own: what it says of its client is believed, and is all */
    bool is_looked_into; /* its body: only encodings that can be unpacked are asked for */
    const struct entry *validate; /* ask whether this still holds; NULL: no */
    bool body_chunked, has_body;
    uint64_t body_bytes;
};
void forward_head_format(const struct forward *f, struct buf *out);

/* validate.c */
struct merged {
    struct buf text;
    struct head *head; /* NULL: none; points into text */
};
/* The head that <e> has once a 304, or the answer to a HEAD, has confirmed it. ERR_NOMEM or
 * ERR_SYNTAX; then *ret needs no merged_fini(). */
must_check enum err_code validate_merge(const struct entry *e, const struct head *news,
                                        struct merged *ret);
void merged_fini(struct merged *m);
/* Do the validators of <h> tell of the representation that <e> holds? */
bool validate_is_same(const struct entry *e, const struct head *h);
/* The first field <name> of the stored head; empty: none. */
struct span validate_stored_field(const struct entry *e, struct span name);

/* plan.c */
struct body_values;
/* *ret is NULL where nothing of <r>'s answers is looked at. ERR_NOMEM. */
must_check enum err_code body_plan_new(const struct route *r, struct body_plan **ret);
void body_plan_free(struct body_plan *p);
/* What a body says. <encoding>: its Content-Encoding; ERR_SYNTAX: no JSON, or cannot be read. */
struct body_values *body_values_new(const struct body_plan *p);
void body_values_free(struct body_values *v);
must_check enum err_code body_values_read(struct body_values *v, struct evbuffer *body,
                                          struct span encoding, uint64_t limit);
/* The values for cond_holds(), in the order of <c>'s pointers. */
void body_values_for(const struct body_values *v, const struct cond *c, struct cond_value *ret);
/* Does it tell of an error in an answer that says 200? */
bool body_values_tell_error(const struct body_values *v);
/* Calls <put> for each value of <pointer>; false: there were more than could be kept. */
bool body_values_each(const struct body_values *v, struct span pointer,
                      void (*put)(void *arg, struct span value), void *arg);

/* judge.c: of a whole answer whose head may be stored */
struct judged {
    enum store_verdict verdict;
    uint64_t lifetime_ms; /* as ttl_if, until, jitter and switches leave it */
    unsigned tag_count;
    uint64_t *tags;
    struct buf tag_text;
    unsigned value_count;
    uint16_t value[ENTRY_VALUES_MAX];
};
struct judge {
    struct worker *w;
    const struct route *route;
    const struct lookup *request_values; /* NULL: none */
    const struct tag_set *tags;          /* of the request */
    const struct route_request *request;
    const struct head *response;
    struct evbuffer *body;
    uint64_t lifetime_ms;
};
void judge_answer(const struct judge *j, struct judged *ret);
void judged_fini(struct judged *j);

/* fetch.c */
struct flow;
struct fetch;
enum fetch_mode { FETCH_COLLECT, FETCH_STREAM };
struct fetch_start {
    struct worker *w;
    const struct lookup *l; /* route, and values to count by */
    struct flow *client;    /* the flow it is for; may leave later. NULL: a refresh */
    struct flight *flight;  /* NULL: streamed, not stored */
    struct entry *old;      /* what may be served stale meanwhile, or NULL; a reference is taken */
    struct span request_text; /* the leader's head; copied for a flight */
    bool is_part;             /* a range is asked for */
    bool wants_new;           /* what other instances have stored will not do */
    struct span plain_head;   /* where <old> is validated: the exchange's head without that */
    struct span body;         /* its body, where the key was made of it; copied */
    struct exchange_request exchange;
};
struct fetch *fetch_start(const struct fetch_start *s);
/* The client leaves: a collecting fetch goes on, a streaming one ends. */
void fetch_leave(struct fetch *f);
/* Ends what is fetched for no client. */
void fetch_abandon_all(struct worker *w);
/* Ends what waits for Redis: no loop runs any more. */
void fetch_stop_all_shared(struct worker *w);
struct exchange *fetch_exchange(struct fetch *f); /* NULL: it has ended */
unsigned fetch_status(const struct fetch *f);     /* as the upstream said it; 0: not yet */
/* What the app has answered, or what that has made of the stored answer; NULL: nothing so far. */
const struct head *fetch_response(const struct fetch *f);
struct evbuffer *fetch_body(struct fetch *f);
uint64_t fetch_wait_us(const struct fetch *f);
/* An upstream's failure that RFC 5861 lets a stale answer hide. */
bool status_is_failure(unsigned status);

/* refresh.c */
struct refresh {
    struct worker *w;
    struct gate *gate;
    const struct head *head;
    struct lookup *l; /* its tags are made here */
    struct span body; /* what the key was made of */
    const struct json *json;
    struct span id;
};
/* Begins a fetch that replaces <e>, unless one is on its way, too many are, or one has failed a
 * moment ago. */
bool refresh_start(const struct refresh *r, struct entry *e);
/* Shall a fresh answer be refreshed ahead of its end? XFetch: Vattani et al., VLDB 2015. */
bool refresh_is_due(struct worker *w, const struct route *r, const struct entry *e, mono_ms now);
/* May a stale answer hide a failure now, by the route's budget for the day? Counts it. */
bool refresh_may_hide_error(struct worker *w, const struct route *r);

/* write.c: an answer to an unsafe request has come; before the client gets any of it. Where other
 * instances must hear of it <on_done> comes, at the latest after their deadline; NULL: it does not.
 */
struct write {
    const struct lookup *l;
    const struct head *request, *response;
    struct span body;
    const struct json *json;
    void (*on_done)(struct tier_publication *p);
    void *arg;
};
struct tier_publication *write_apply(struct worker *worker, const struct write *write);

/* Counts a request by the values that it or its answer has. */
enum value_counter { VALUE_HIT, VALUE_STALE, VALUE_MISS, VALUE_COALESCED };
void count_values(struct worker *w, const uint16_t *numbers, unsigned count,
                  enum value_counter what, uint64_t us);

/* flow.c: called by fetch.c */
void flow_on_landed(struct flow *f, const struct flight_result *r, bool is_stored,
                    enum store_verdict verdict);
void flow_on_interim(struct flow *f, const struct head *h);
void flow_on_stream_head(struct flow *f, const struct head *h, enum store_verdict verdict);
void flow_on_stream_body(struct flow *f);
void flow_on_stream_end(struct flow *f);
void flow_on_stream_error(struct flow *f, enum upstream_error e);
void flow_on_writable(struct flow *f);

/* No loop runs any more: what Redis might still say of limits is of no use. */
void flow_stop_limits(struct worker *w);

void flow_start(struct worker *w, struct gate *g, const struct head *h);

/* hit.c */
enum gate_verdict hit_on_head(void *arg, struct gate *g, const struct head *h);

#endif
