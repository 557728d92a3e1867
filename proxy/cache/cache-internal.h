/* cache-internal.h: what the store's files share.
 *
 * store.c       shards: lookup, begin, land
 * order.c       budgets, SIEVE and expiry, under one lock of their own
 * invalidate.c  walks over the shards
 * Lock order: a shard's, then order's; never the other way round.
 */
#ifndef LARDER_CACHE_INTERNAL_H
#define LARDER_CACHE_INTERNAL_H

#include <larder/cache/store.h>

#include <pthread.h>

enum { SHARDS = 256, WHEEL_SLOTS = 4096 };

struct flight {
    struct flight *chain; /* in its shard */
    struct cache_key key; /* text owned */
    struct tag_stamp tags;
    uint16_t route;
    bool is_overtaken; /* by an invalidation: lands for its waiters only */
    bool is_linked;    /* requests may find it */
    unsigned waiting;
    struct flight_waiter *first, **last;
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct entry **table;
    size_t size, count;     /* slots (a power of two), entries */
    struct flight *flights; /* all that have not landed, overtaken ones too */
};

struct queue { /* SIEVE: newest first; the hand goes from the oldest to the newest */
    struct list entries;
    struct list *hand; /* NULL: at the oldest */
    uint64_t count, bytes;
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
    unsigned waiters_max;
};

enum { QUEUE_NEW, QUEUE_LINKED, QUEUE_DEAD }; /* entry.queue_state, under order.lock */

struct shard *shard_of(struct store *s, const struct cache_key *key);
/* Takes <e> out of its shard's table, whose lock is held; false: it was not there. The table's
 * reference is the caller's then. */
bool shard_unlink(struct shard *sh, struct entry *e);

enum leave { LEAVE_EVICTED, LEAVE_EXPIRED, LEAVE_INVALIDATED, LEAVE_REPLACED };

bool order_init(struct order *o, const struct store_config *config);
void order_fini(struct order *o);
/* Queues <e>, which its table holds, then evicts until all budgets hold. */
void order_insert(struct store *s, struct entry *e);
/* Out of all queues; counted by <why>. Once for each entry. */
void order_remove(struct store *s, struct entry *e, enum leave why);

#endif
