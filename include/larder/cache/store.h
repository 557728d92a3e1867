/* store.h: entries by key under byte and entry budgets, and the flights that will fill them.
 *
 * Thread   any; each call holds one shard's lock for the lookup or the link alone. A second lock,
 *          taken by inserts and removals only, orders eviction (SIEVE: a hit sets a mark and moves
 *          nothing) and expiry (a timer wheel)
 * Time     mono_ms, always passed in
 * Memory   entries and flights are counted references, and the store holds one of its own
 * Source   RFC 9111 section 4; RFC 5861; Zhang et al., SIEVE, NSDI 2024
 */
#ifndef LARDER_CACHE_STORE_H
#define LARDER_CACHE_STORE_H

#include <larder/base/err.h>
#include <larder/cache/entry.h>
#include <larder/cache/flight.h>

struct store;

struct store_limits {
    uint64_t max_bytes, max_entries; /* 0: no limit; entries: answers, markers beside them */
};

enum { STORE_ROUTES_MAX = 1024 };

struct store_config {
    struct store_limits all;
    unsigned route_count;             /* entry.route is below it */
    const struct store_limits *route; /* route_count of them; copied */
    uint64_t max_object_bytes;
    unsigned waiters_max;  /* for each flight */
    unsigned variants_max; /* of each primary key; 0: no limit */
    uint64_t max_lag_ms;   /* what is guarded is trusted so long without store_confirm() */
};

enum store_result {
    STORE_HIT,    /* *ret_entry: fresh answer */
    STORE_STALE,  /* *ret_entry: may be served while it is refreshed: try store_refresh() */
    STORE_KEPT,   /* *ret_entry, of store_peek(): stale; good where upstream or client agree */
    STORE_VARY,   /* *ret_entry: the marker that names the fields; look again by the variant key */
    STORE_MISS,   /* store_lookup and store_refresh: nothing usable, nothing to do */
    STORE_JOINED, /* <waiter> was taken: its on_landed comes exactly once */
    STORE_LEAD,   /* *ret_flight: the caller fetches, then calls store_land() */
    STORE_ALONE,  /* the same, but nobody will join: the last answer could not be shared */
    STORE_FULL,   /* the flight has all the waiters it may have */
    STORE_NOMEM,
};

/* Why a lookup was a miss, for Cache-Status and counters. Of answers that are gone already the
 * reason is remembered for a while, as far as a small table goes. */
enum store_miss {
    STORE_MISS_ABSENT, /* never stored, or forgotten */
    STORE_MISS_EXPIRED,
    STORE_MISS_INVALIDATED,
    STORE_MISS_EVICTED,
    STORE_MISS_COUNT
};

/* NULL: no memory. */
struct store *store_new(const struct store_config *config);
void store_free(struct store *s);
struct tag_table *store_tags(struct store *s);

/* The hit path: finds what is usable at <now>. On HIT, STALE and VARY *ret_entry is a new
 * reference; otherwise it is untouched, and the result is MISS. Counts the hit in the entry.
 * Allocates nothing. */
enum store_result store_lookup(struct store *s, const struct cache_key *key, mono_ms now,
                               struct entry **ret_entry);

/* The same, but finds also what may only be used once the upstream has confirmed it, or where it
 * fails: STORE_KEPT. Counts no hit. */
enum store_result store_peek(struct store *s, const struct cache_key *key, mono_ms now,
                             struct entry **ret_entry);

/* --- guarded answers: those of routes that other instances invalidate, too ---
 *
 * Such an answer is trusted until max_lag_ms after its fetch began, or after all that others have
 * invalidated was last known here. What is not trusted is not served, fresh or stale: it is kept,
 * to be confirmed by the upstream (STORE_KEPT); no flight is joined that began so long ago. */

/* All that other instances have invalidated up to <at> has been obeyed. Any thread. */
void store_confirm(struct store *s, mono_ms at);
/* Is that less than max_lag_ms ago? */
bool store_is_confirmed(const struct store *s, mono_ms now);
mono_ms store_confirmed_ms(const struct store *s); /* 0: never */
bool store_trusts(const struct store *s, const struct entry *e, mono_ms now);

struct store_begin {
    const struct cache_key *key;
    uint16_t route;
    const struct tag_set *tags; /* of the request; copied into a new flight */
    mono_ms now;
    struct flight_waiter *waiter;
    bool is_guarded; /* others may invalidate it: its entry has a known_mono_ms */
};
struct store_begun {
    struct entry *entry;   /* of HIT, STALE and VARY; on LEAD, ALONE and JOINED what may be served
                              if the upstream fails, or NULL: a new reference in each case */
    struct flight *flight; /* of LEAD and ALONE */
    enum store_miss miss;  /* on LEAD, ALONE and JOINED: why it was no hit */
};
/* Lookup, and on a miss, under the same lock, join the key's flight or lead a new one. Never joins
 * a flight that an invalidation has overtaken: then the caller leads a new one, which takes the old
 * one's place. */
enum store_result store_begin(struct store *s, const struct store_begin *b,
                              struct store_begun *ret);
/* Leads a flight that replaces <e> while it is served, unless one is there or has just landed, or a
 * refresh failed a moment ago: STORE_LEAD or STORE_MISS. */
enum store_result store_refresh(struct store *s, struct entry *e, const struct tag_set *tags,
                                mono_ms now, struct flight **ret_flight);
/* A refresh of <e> failed: no other within <ms>. */
void store_refresh_failed(struct entry *e, mono_ms now, uint64_t ms);

/* Ends a flight, and gives its reference back: stores the <count> entries of result (an answer
 * and perhaps its VARY marker, or a PASS marker; each in the flight's shard) unless an
 * invalidation has overtaken the flight, then calls each waiter's on_landed, without a lock held:
 * with <result>, or with FLIGHT_OVERTAKEN where it may have joined after the invalidation. The
 * caller keeps its own references of the entries. Returns whether they were stored; ERR_TOO_LARGE
 * or ERR_NOT_FOUND (overtaken) or ERR_DENIED (too many variants) say why not. A marker never takes
 * the place of an answer that may be served stale. */
enum err_code store_land(struct store *s, struct flight *f, const struct flight_result *result,
                         struct entry *const *entries, unsigned count, mono_ms now);

/* Stores <e> without a flight: in the place of <replaces> and only there, or (NULL) of whatever is
 * there. ERR_TOO_LARGE; ERR_NOT_FOUND: an invalidation after e->began means it (without <replaces>:
 * or may mean it: one that no tag tells of), or <replaces> is gone; ERR_DENIED: too many variants;
 * ERR_NOMEM. */
enum err_code store_put(struct store *s, struct entry *e, const struct entry *replaces,
                        mono_ms now);

/* Takes <e> out, if it is still there. */
void store_drop(struct store *s, struct entry *e);

/* Which entries and flights an invalidation means. */
struct store_match {
    enum {
        STORE_ANY_TAG, /* one of tags */
        STORE_ALL_OF,  /* all of tags, at most TAG_ALL_OF_MAX */
        STORE_TEST,    /* what <test> says: a walk over all */
    } kind;
    unsigned tag_count;
    const uint64_t *tags;
    /* <target> is empty for flights and where it was not kept. Called under a shard's lock. */
    bool (*test)(void *arg, const struct cache_key *key, struct span target, struct span tag_text);
    void *arg;
};
/* Is <e> meant? */
bool store_match_means(const struct store_match *m, const struct entry *e);

struct store_invalidation {
    const struct store_match *match;
    bool is_soft;    /* stale from now instead of gone, where the entry has a window for that */
    bool is_dry_run; /* only counts and lists */
    mono_ms now;
    unsigned list_max; /* so many of the matched answers go to on_entry, with a reference held */
    void (*on_entry)(void *arg, struct entry *e);
    void *arg;
};

struct store_removed {
    uint64_t matched; /* answers (not markers) that matched and were still usable */
    uint64_t stale;   /* of them: may still be served stale */
    uint64_t flights; /* fetches in flight that were overtaken */
    uint64_t number;  /* of this invalidation */
    bool is_exact;    /* false: too many to look at each; matched is at most so far off as other
                         invalidations' leavings and expired ones were not cleared yet */
};

/* Takes back all that matches, and overtakes the matching flights: what began before this call
 * returns is never served after it. For tags the time does not grow with the store: beyond a
 * number of matches they are dead at once, and cleared later by store_sweep(). */
struct store_removed store_invalidate(struct store *s, const struct store_invalidation *i);

/* Clears some of what invalidations have left dead; true: there is more. By the main thread. */
bool store_sweep(struct store *s, mono_ms now);
/* Frees what has expired by <now>, at most <max> entries; returns how many. Called now and then by
 * the main thread. */
unsigned store_expire(struct store *s, mono_ms now, unsigned max);

struct store_stats {
    uint64_t entries, markers, bytes; /* now: answers; what stands beside them; bytes of both */
    uint64_t inserted, evicted, expired, invalidated, too_large, overtaken; /* since the start */
};
void store_stats_read(struct store *s, struct store_stats *ret_all,
                      struct store_stats *ret_routes /* route_count, or NULL */);

/* How many answers bear <tag>, and their bytes. */
void store_tag_stats(struct store *s, uint64_t tag, uint64_t *ret_entries, uint64_t *ret_bytes);

/* Calls <on_entry> for usable answers (not markers) that match (NULL: all), shard by shard, with a
 * reference held and no lock; stops when it returns false. Keys stored or removed meanwhile may be
 * missed. */
void store_walk(struct store *s, const struct store_match *match, mono_ms now,
                bool (*on_entry)(void *arg, struct entry *e), void *arg);

#endif
