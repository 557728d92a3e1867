/* objects.h: answers in Redis, as one worker reads and writes them.
 *
 * Reading is one script: it gives an answer only if no invalidation after its fetch began means it.
 * Writing happens behind: a bounded queue of references, sealed when their turn comes; what does
 * not fit is not written, and counted. Neither ever holds up a request beyond the deadline.
 * Thread: the worker's own, all of it; objects_new and objects_free by main, with no loop running.
 */
#ifndef LARDER_TIER_OBJECTS_H
#define LARDER_TIER_OBJECTS_H

#include <larder/base/hist.h>
#include <larder/config/route.h>
#include <larder/tier/tier.h>

struct objects;

/* NULL: no memory. Connects when the loop runs. */
struct objects *objects_new(struct tier *t, struct loop *loop, const struct config *config,
                            unsigned worker);
/* Reads that are under way end without a word; NULL is fine. */
void objects_free(struct objects *o);

enum object_result {
    OBJECT_HIT,  /* <e>, for the key asked for; a VARY marker, perhaps */
    OBJECT_MISS, /* fetch it */
    OBJECT_LEAD, /* fetch it for other instances, too: then objects_put() or objects_release() */
    OBJECT_WAIT, /* another instance fetches it: on_done comes again, with HIT or MISS */
};
/* Held by who fetches for all instances. */
struct object_lease {
    bool is_held;
    uint8_t name[VALUE_NAME], token[16], generation[VALUE_GENERATION];
};
struct object_get;
struct object_get_start {
    const struct route *route;
    const struct cache_key *key; /* copied */
    uint64_t began;              /* local number of the last invalidation: flight_began() */
    bool wants_lease;
    uint64_t lease_ms; /* how long it is held, at most */
    uint64_t wait_ms;  /* how long another's is waited for, at most */
    struct tier_stamp stamp;
    /* Is what Redis has good enough for who asks? If not it is a miss, and a lease is asked for as
     * if it had nothing. */
    bool (*is_good)(void *arg, const struct entry *e);
    /* Not before objects_get() has returned. <e>: a reference for the callee; <l>: of LEAD, its
     * own from then on. After WAIT it is called once more. */
    void (*on_done)(void *arg, enum object_result result, struct entry *e,
                    const struct object_lease *l);
    void *arg;
};
/* NULL: Redis is not to be asked (away, breaker, own invalidations wait): a miss. */
struct object_get *objects_get(struct objects *o, const struct object_get_start *s);
/* on_done does not come any more. Only before its last call, but within one of WAIT. */
void objects_get_cancel(struct object_get *g);

/* Writes <e> behind; takes a reference of its own. <l>: the lease that ends with it, or NULL. */
void objects_put(struct objects *o, const struct route *r, struct entry *e,
                 const struct tier_stamp *stamp, const struct object_lease *l);
/* There is nothing to store: whoever waits fetches for himself. */
void objects_release(struct objects *o, const struct object_lease *l);
/* Is something being written, or about to be, or a lease given back? Not where Redis is away. */
bool objects_are_writing(const struct objects *o);

/* Adds the time of reads, from asking to the reply. Any thread. */
void objects_latency(const struct objects *o, struct hist *into);

#endif
