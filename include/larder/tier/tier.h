/* tier.h: one cache of many instances: what they tell each other through Redis.
 *
 * Each instance follows the log of invalidations and applies it to its own store; it appends its
 * own, and keeps them until Redis has confirmed them. Where the log has a gap, or Redis is another
 * than before, all that is shared is dropped. store_confirm() learns how far the log was followed,
 * so that answers of shared routes are not trusted for longer than max_invalidation_lag without it.
 * Thread   tier_new, tier_start, tier_stop, tier_free: main; the rest as said
 * Source   DESIGN sections 6 and 7
 */
#ifndef LARDER_TIER_TIER_H
#define LARDER_TIER_TIER_H

#include <larder/cache/store.h>
#include <larder/config/config.h>
#include <larder/net/loop.h>
#include <larder/net/redis.h>
#include <larder/tier/message.h>
#include <larder/tier/value.h>

struct tier;

/* NULL where the config has no "redis". <loop>: the main thread's. */
must_check enum err_code tier_new(const struct config *config, struct store *store,
                                  struct loop *loop, struct tls_report *report, struct tier **ret,
                                  struct err *err);
must_check enum err_code tier_start(struct tier *t); /* begins to connect; ERR_NOMEM */
/* Tells Redis what waits still and that this instance leaves, then calls <on_left> in the loop, at
 * the latest after half a second. */
void tier_leave(struct tier *t, void (*on_left)(void *arg), void *arg);
/* Whoever waits for others is told that nothing more is known. The workers' threads have ended. */
void tier_stop(struct tier *t);
void tier_free(struct tier *t); /* after all workers; NULL is fine */
struct redis *tier_redis(struct tier *t);
const char *tier_instance(const struct tier *t); /* this instance's id: 16 hex digits */

/* What a fetch that begins now must know. Any thread. */
void tier_stamp_now(struct tier *t, struct tier_stamp *ret);

/* --- invalidations --- */

/* Before the store obeys an invalidation: from now on nothing is read from Redis here, until
 * tier_publish() has been confirmed, for what Redis has may be older than it. Any thread. */
void tier_announce(struct tier *t);

/* One announced invalidation on its way to Redis, with one who may wait for it. */
struct tier_publication {
    struct letter letter;
    struct mailbox *home;                        /* whose loop gets on_done; NULL: nobody waits */
    void (*on_done)(struct tier_publication *p); /* at home, once; then it is the callee's again */
    void *arg;
    bool wants_all;      /* on_done only when all live instances have applied it */
    struct buf messages; /* message_add(); failed: all is invalidated instead */
    /* the result */
    bool is_replicated; /* Redis has it; false: it will, as soon as it can */
    uint64_t number;    /* in the log */
    unsigned applied_count, missing_count;
    char applied[TIER_INSTANCES_MAX][TIER_ID_LEN + 1];
    char missing[TIER_INSTANCES_MAX][TIER_ID_LEN + 1];
    /* the tier's own */
    struct tier *tier;
    struct list in_waiting;
    uint64_t serial; /* of its last message */
    mono_ms deadline;
};
/* NULL: no memory. */
struct tier_publication *tier_publication_new(void);
void tier_publication_free(struct tier_publication *p); /* NULL is fine */
/* Hands <p> over, whose invalidation was announced, and which the store has obeyed; NULL, for want
 * of memory: all is invalidated. From any thread. Who has a home gets it back by on_done: at the
 * latest after the command's deadline; with wants_all, once those who have not answered must have
 * noticed that they hear nothing. */
void tier_publish(struct tier *t, struct tier_publication *p);

/* --- leases: of fetches that another instance may be making --- */

struct tier_waiter {
    struct list link;
    uint8_t name[VALUE_NAME];
    struct mailbox *home;
    void (*on_wake)(struct tier_waiter *w); /* at home, at most once */
    struct letter letter;
    bool is_registered; /* the tier's own */
};
/* Registers before the lease is asked for, so that no word is missed. Any thread. */
void tier_wait(struct tier *t, struct tier_waiter *w);
/* True: <w> is the caller's again; false: its on_wake is on its way. */
must_check bool tier_wait_end(struct tier *t, struct tier_waiter *w);

/* --- figures, read by any thread --- */

#define TIER_COUNTERS(X)                                                                           \
    X(published, "invalidations of this instance that Redis has confirmed")                        \
    X(pending, "now: invalidations that wait for Redis")                                           \
    X(replayed, "of the published: sent again, because Redis had lost them or may have")           \
    X(widened, "times that too many waited, and all was invalidated instead")                      \
    X(applied, "other instances' invalidations that were applied here")                            \
    X(gaps, "times that invalidations were missing in the log")                                    \
    X(resyncs, "times that all shared answers were dropped, because something may be missing")     \
    X(joins, "times that this instance joined, or joined anew")                                    \
    X(hits, "answers read from Redis")                                                             \
    X(misses, "answers that Redis did not have")                                                   \
    X(outdated, "of the misses: it had one that was invalidated")                                  \
    X(foreign, "of the misses: what it had is cut short, forged or of another format")             \
    X(skipped, "not asked: away, breaker open, or invalidations waited")                           \
    X(late, "reads given up at the deadline")                                                      \
    X(failed, "reads that ended in an error")                                                      \
    X(stores, "answers written to Redis")                                                          \
    X(store_errors, "writes that ended in an error, or too late")                                  \
    X(out_of_memory, "of these: Redis was out of memory")                                          \
    X(too_large, "answers not written: too large")                                                 \
    X(queued, "now: answers that wait to be written, or are being written")                        \
    X(queue_drops, "answers not written: too many waited")                                         \
    X(leases_led, "fetches made for other instances, too")                                         \
    X(leases_waited, "fetches that waited for another instance's")                                 \
    X(leases_filled, "of these: answered by it")                                                   \
    X(leases_expired, "of these: it did not come in time")
struct tier_counters {
#define X(name, text) _Atomic uint64_t name;
    TIER_COUNTERS(X)
#undef X
};
struct tier_counters *tier_counters(struct tier *t);

struct tier_state {
    bool is_available;  /* joined, and the log is being followed */
    bool is_in_contact; /* within max_invalidation_lag */
    uint64_t lag_ms;    /* since the log was last known to be followed to its end */
    uint64_t number;    /* of the last invalidation applied */
    unsigned instances; /* heard of lately */
    char warning[512];  /* of the server's memory policy; empty: none */
};
void tier_state_read(struct tier *t, struct tier_state *ret); /* main thread */
/* About how many objects this instance has written that have not ended. Any thread. */
uint64_t tier_keys(struct tier *t);

#endif
