/* cache-internal.h: what the store's files share.
 *
 * store.c       shards: lookup, begin, refresh, land
 * shard.c       one shard's table
 * index.c       one shard's entries by tag
 * order.c       budgets, SIEVE and expiry, under one lock of their own
 * invalidate.c  what an invalidation does to the shards
 * walk.c        readings: listings and counts
 * Lock order: a shard's, then order's or the tag table's; never the other way round.
 */
#ifndef LARDER_CACHE_INTERNAL_H
#define LARDER_CACHE_INTERNAL_H

#include <larder/cache/store.h>

#include <pthread.h>

enum { SHARDS = 256, WHEEL_SLOTS = 4096, GONE_SLOTS = 1 << 15 };

struct flight {
    struct flight *chain; /* in its shard */
    struct cache_key key; /* text owned */
    struct tag_set tags;
    uint64_t began;
    mono_ms known_mono_ms; /* when it began, if it is guarded; else 0 */
    uint16_t route;
    bool is_overtaken; /* by an invalidation: lands for its waiters only */
    bool is_linked;    /* requests may find it */
    bool is_alone, is_endless;
    unsigned waiting;
    struct flight_waiter *first, **last;
};

/* An entry's place among those that bear one tag. */
struct tag_link {
    struct entry *entry; /* NULL: not in the index */
    struct tag_link *next, **prev;
    struct tag_record *record;
};

struct tag_record {
    struct tag_record *chain;
    uint64_t tag;
    struct tag_link *first;
    unsigned count;
};

struct tag_index {
    struct tag_record **table;
    size_t size, count; /* slots (a power of two), records */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct entry **table;
    size_t size, count;     /* slots (a power of two), entries */
    struct flight *flights; /* all that have not landed, overtaken ones too */
    struct tag_index index; /* of answers, not of markers */
};

/* What there is too much of; each has a hand of its own. */
enum excess { EXCESS_BYTES, EXCESS_ANSWERS, EXCESS_MARKERS, EXCESS_NONE };

struct queue { /* SIEVE: newest first; a hand goes from the oldest to the newest */
    struct list entries;
    struct list *hand[EXCESS_NONE]; /* NULL: at the oldest */
    uint64_t count, answers, bytes; /* count: with markers */
    struct store_limits limits;
    _Atomic uint64_t inserted, evicted, expired, invalidated, too_large, overtaken;
};

struct order {
    pthread_mutex_t lock;
    struct queue all;
    struct queue *routes;
    struct list wheel[WHEEL_SLOTS]; /* by second of expiry, modulo the wheel */
    uint64_t wheel_s;               /* seconds up to which the wheel has been emptied */
};

struct store {
    struct shard shards[SHARDS];
    struct order order;
    struct tag_table *tags;
    unsigned route_count;
    uint64_t max_object_bytes;
    unsigned waiters_max, variants_max;
    uint64_t max_lag_ms;
    _Atomic mono_ms confirmed_ms;
    /* why the last answer of a key is gone: its hash with the reason in the low two bits */
    _Atomic uint64_t gone[GONE_SLOTS];
    _Atomic unsigned sweep_left; /* shards that may hold what invalidations have left dead */
};

enum { QUEUE_NEW, QUEUE_LINKED, QUEUE_DEAD }; /* entry.queue_state, under order.lock */

/* shard.c; the shard's lock is held */
struct shard *shard_of(struct store *s, const struct cache_key *key);
struct entry *shard_find(struct shard *sh, const struct cache_key *key);
struct entry *shard_marker(struct shard *sh, const struct entry *variant); /* or NULL */
/* False: no memory. The table takes a reference. */
bool shard_link(struct shard *sh, struct entry *e);
/* Takes <e> out of table and index; false: it was not there. The table's reference is the
 * caller's then. */
bool shard_unlink(struct shard *sh, struct entry *e);
void shard_fini(struct shard *sh);
/* Have invalidations ended it? Marks it stale where one was soft. */
bool entry_is_dead(struct store *s, struct entry *e);

/* index.c; the shard's lock is held */
bool index_add(struct tag_index *x, struct entry *e); /* false: no memory, and nothing was added */
void index_remove(struct tag_index *x, struct entry *e);
struct tag_record *index_find(const struct tag_index *x, uint64_t tag); /* NULL: none */
void index_fini(struct tag_index *x);

enum leave { LEAVE_EVICTED, LEAVE_EXPIRED, LEAVE_INVALIDATED, LEAVE_REPLACED };

bool order_init(struct order *o, const struct store_config *config);
void order_fini(struct order *o);
/* Queues <e>, which its table holds, then evicts until all budgets hold. */
void order_insert(struct store *s, struct entry *e);
/* Out of all queues; counted by <why>. Once for each entry. */
void order_remove(struct store *s, struct entry *e, enum leave why);
/* Remembers why an answer has gone. */
void gone_note(struct store *s, const struct entry *e, enum leave why);
/* ... for who misses it: once. */
enum store_miss gone_take(struct store *s, const struct cache_key *key);
/* What has been unlinked from its shard goes out of the queues, too, with the table's reference.
 * NULL is fine. */
void bury(struct store *s, struct entry *dead, enum leave why);
/* The same for a chain of them by `chain`. */
void bury_chain(struct store *s, struct entry *dead, enum leave why);

#endif
