/* flight.h: one fetch that answers all who wait for it (RFC 9111 section 4, "collapse requests").
 *
 * A flight belongs to no client. It lives in the store's shard of its key, under the same lock.
 */
#ifndef LARDER_CACHE_FLIGHT_H
#define LARDER_CACHE_FLIGHT_H

#include <larder/cache/entry.h>

struct flight;

enum flight_outcome {
    FLIGHT_ANSWER, /* entry is the answer (stored or not); a waiter of another variant asks anew */
    FLIGHT_UNSTORABLE, /* the answer was one client's own: each waiter fetches for itself */
    FLIGHT_OVERTAKEN,  /* an invalidation came before the waiter did: it asks anew */
    FLIGHT_FAILED,     /* no answer came: error says why, and all share it */
};

struct flight_result {
    enum flight_outcome outcome;
    struct entry *entry; /* borrowed: a waiter that keeps it takes a reference */
    struct entry *vary;  /* the answer's VARY marker, borrowed; NULL: it has one variant only */
    bool is_found;       /* it was stored elsewhere, and not fetched: a hit for all who wait */
    int error;           /* the flow layer's own */
};

/* One who waits. The store owns it from STORE_JOINED until on_landed, which is called in the
 * thread that landed the flight, without a lock held, exactly once. */
struct flight_waiter {
    struct flight_waiter *next;
    uint64_t joined; /* the store's: number of the last invalidation when it joined */
    void (*on_landed)(struct flight_waiter *w, const struct flight_result *r);
};

/* The leader's view; the reference from STORE_LEAD keeps the flight alive until store_land(). */
const struct cache_key *flight_key(const struct flight *f);
const struct tag_set *flight_tags(const struct flight *f);
uint64_t flight_began(const struct flight *f); /* number of the last invalidation at its start */
unsigned flight_waiting(const struct flight *f);
bool flight_is_alone(const struct flight *f);   /* nobody may join it: hit-for-miss */
bool flight_is_endless(const struct flight *f); /* ... because the last answer had no end in time */

#endif
