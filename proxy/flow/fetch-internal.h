/* fetch-internal.h: what a fetch's files share: its life (fetch.c), what Redis has of it
 * (fetch_shared.c), and what becomes of a whole answer (fetch_land.c). */
#ifndef LARDER_FLOW_FETCH_INTERNAL_H
#define LARDER_FLOW_FETCH_INTERNAL_H

#include "flow-internal.h"

struct fetch {
    struct list link;
    struct worker *w;
    struct lookup l; /* route, captures and values; its key is the flight's */
    enum fetch_mode mode;
    bool is_refresh, is_part;
    struct exchange *exchange;
    struct flow *client;   /* NULL once it has left */
    struct flight *flight; /* NULL once landed */
    struct entry *old;     /* what may be served stale in its place, or be confirmed */
    struct evbuffer *body;
    const struct head *response; /* the exchange's, or the merged one */
    unsigned upstream_status;
    enum store_verdict verdict; /* of the head: STORE_YES, or why it is collected to be shared */
    struct freshness fresh;
    uint64_t wait_us;
    mono_ms head_mono_ms; /* when the answer's head came */
    char *request_text;   /* the leader's head: judged and varied by when the answer comes */
    struct head *request;
    char *request_body;
    size_t request_body_len;
    /* where the upstream is asked whether <old> still holds */
    bool is_conditional;
    struct span plain_head; /* the request without the question; owned */
    enum method method;
    uint64_t first_byte_timeout_ms;
    struct timer *patience; /* with an answer of unknown length; NULL: none */
    struct merged merged;   /* what its 304 and <old> make together */
    /* where other instances may have it */
    struct object_get *get;          /* Redis is being asked; then there is no exchange yet */
    struct exchange_request pending; /* ... and this is what it will be; its head is owned */
    mono_ms wait_end_ms;             /* another instance's fetch is waited for until then */
    struct entry *found_vary;        /* the VARY marker that Redis has */
    struct object_lease lease;       /* of a fetch for all instances */
    struct tier_stamp stamp;         /* what was known of Redis when the upstream was asked */
    mono_ms asked_mono_ms;           /* when that was */
};

struct route_counters *fetch_counters(const struct fetch *f);
/* A refresh has brought nothing to store. */
void fetch_note_failed_refresh(struct fetch *f);
/* Asks the upstream. False: no memory. */
bool fetch_begin(struct fetch *f, const struct exchange_request *req);
/* Lands the flight without an answer, and ends. */
void fetch_fail(struct fetch *f, enum upstream_error error);
void fetch_free(struct fetch *f);

/* fetch_shared.c */
/* True: Redis is asked first, and the upstream only if it does not have it. */
bool fetch_ask_shared(struct fetch *f, const struct fetch_start *s);
/* Ends that, without a word to the flight. */
void fetch_leave_shared(struct fetch *f);
/* It has been stored, and is anybody's: for the other instances, too. <marker>: NULL for none. */
void fetch_share(struct fetch *f, struct entry *e, struct entry *marker);
/* There will be nothing to share. */
void fetch_release_lease(struct fetch *f);

/* fetch_land.c */
/* The flight lands with what another instance has stored. */
void fetch_land_found(struct fetch *f, struct entry *e);
/* The answer is whole: it becomes an entry, and the flight lands with it. */
void fetch_land(struct fetch *f);

#endif
