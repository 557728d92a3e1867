/* store.h: entries by key under byte and entry budgets, and the flights that will fill them.
 *
 * Thread   any; each call holds one shard's lock for the lookup or the link alone. A second lock,
 *          taken by inserts and removals only, orders eviction (SIEVE: a hit sets a mark and moves
 *          nothing) and expiry (a timer wheel)
 * Time     mono_ms, always passed in
 * Memory   entries and flights are counted references, and the store holds one of its own
 * Source   RFC 9111 section 4; Zhang et al., SIEVE, NSDI 2024
 */
#ifndef LARDER_CACHE_STORE_H
#define LARDER_CACHE_STORE_H

#include <larder/base/err.h>
#include <larder/cache/entry.h>
#include <larder/cache/flight.h>

struct store;

struct store_limits {
    uint64_t max_bytes, max_entries; /* 0: no limit */
};

enum { STORE_ROUTES_MAX = 1024 };

struct store_config {
    struct store_limits all;
    unsigned route_count;             /* entry.route is below it */
    const struct store_limits *route; /* route_count of them; copied */
    uint64_t max_object_bytes;
    unsigned waiters_max; /* for each flight */
};

enum store_result {
    STORE_HIT,    /* *ret_entry: fresh answer */
    STORE_VARY,   /* *ret_entry: the marker that names the fields; look again by the variant key */
    STORE_PASS,   /* hit-for-miss: fetch on your own, do not store by a flight */
    STORE_MISS,   /* store_lookup only: nothing usable */
    STORE_JOINED, /* <waiter> was taken: its on_landed comes exactly once */
    STORE_LEAD,   /* *ret_flight: the caller fetches, then calls store_land() */
    STORE_FULL,   /* the flight has all the waiters it may have */
};

/* Why a lookup was a miss, for Cache-Status and counters. */
enum store_miss { STORE_MISS_ABSENT, STORE_MISS_EXPIRED, STORE_MISS_INVALIDATED };

/* NULL: no memory. */
struct store *store_new(const struct store_config *config);
void store_free(struct store *s);
struct tag_table *store_tags(struct store *s);

/* The hit path: finds what is usable at <now>. On HIT and VARY *ret_entry is a new reference;
 * otherwise it is untouched. Counts the hit in the entry. Allocates nothing. */
enum store_result store_lookup(struct store *s, const struct cache_key *key, mono_ms now,
                               struct entry **ret_entry);

/* Lookup, and on a miss, under the same lock, join the key's flight or lead a new one. <tags> are
 * the request's tags without epochs: a new flight notes the epochs before this returns. Never
 * joins a flight that an invalidation has overtaken: then the caller leads a new one, which takes
 * the old one's place. Memory failure: STORE_PASS. *ret_miss is written on JOINED and LEAD. */
enum store_result store_begin(struct store *s, const struct cache_key *key, uint16_t route,
                              const struct tag_stamp *tags, mono_ms now,
                              struct flight_waiter *waiter, struct entry **ret_entry,
                              struct flight **ret_flight, enum store_miss *ret_miss);

/* Ends a flight, and gives its reference back: stores the <count> entries of result (an answer
 * and perhaps its VARY marker, or a PASS marker; each in the flight's shard) unless an
 * invalidation has overtaken the flight, then calls each waiter's on_landed with <result>, without
 * a lock held. The caller keeps its own references of the entries. Returns whether they were
 * stored; ERR_TOO_LARGE or ERR_NOT_FOUND (overtaken) say why not. */
enum err_code store_land(struct store *s, struct flight *f, const struct flight_result *result,
                         struct entry *const *entries, unsigned count, mono_ms now);

/* Which entries and flights an invalidation means. All members that are set must match. */
struct store_match {
    struct span glob;   /* over readable (primary) keys; empty: any */
    struct span key;    /* exact readable key, all its variants; empty: any */
    unsigned tag_count; /* entries must carry all of them */
    uint64_t tag[8];
};

struct store_removed {
    uint64_t matched; /* answers (not markers) that matched and were still usable */
    uint64_t flights; /* fetches in flight that were overtaken */
};

/* Removes all that matches, and overtakes the matching flights: what began before this call
 * returns is never served after it. With <dry_run> only counts. */
struct store_removed store_invalidate(struct store *s, const struct store_match *m, bool dry_run,
                                      mono_ms now);

/* Frees what has expired by <now>, at most <max> entries; returns how many. Called now and then by
 * the main thread. */
unsigned store_expire(struct store *s, mono_ms now, unsigned max);

struct store_stats {
    uint64_t entries, bytes;                                                /* now */
    uint64_t inserted, evicted, expired, invalidated, too_large, overtaken; /* since the start */
};
void store_stats_read(struct store *s, struct store_stats *ret_all,
                      struct store_stats *ret_routes /* route_count, or NULL */);

/* Calls <on_entry> for answers (not markers) whose readable key matches <glob>, shard by shard,
 * with a reference held and no lock; stops when it returns false. Keys stored or removed meanwhile
 * may be missed. */
void store_walk(struct store *s, struct span glob, mono_ms now,
                bool (*on_entry)(void *arg, const struct entry *e), void *arg);

#endif
