/* fetch-internal.h: what a fetch's two files share: its life (fetch.c), and what becomes of a whole
 * answer (fetch_land.c). */
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
    struct merged merged; /* what its 304 and <old> make together */
};

struct route_counters *fetch_counters(const struct fetch *f);
/* A refresh has brought nothing to store. */
void fetch_note_failed_refresh(struct fetch *f);
/* The answer is whole: it becomes an entry, and the flight lands with it. */
void fetch_land(struct fetch *f);

#endif
