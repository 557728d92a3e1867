/* quotas.h: rate limits that all instances count together, in Redis.
 *
 * One script looks at all limits of a request, by the server's clock, and counts it by all of them
 * or by none; it gives back what they have come to. Names are HMACs: Redis learns no address and no
 * credential. What is counted there ends by itself, once it means nothing any more.
 * Thread: the worker's own, as its struct objects.
 */
#ifndef LARDER_TIER_QUOTAS_H
#define LARDER_TIER_QUOTAS_H

#include <larder/cache/quota.h>
#include <larder/tier/objects.h>

enum { QUOTA_ASKS_MAX = 4, QUOTA_NAME = VALUE_NAME };

/* What Redis says. */
struct quota_word {
    bool is_over[QUOTA_ASKS_MAX];
    struct quota_state state[QUOTA_ASKS_MAX][QUOTA_LIMITS_MAX]; /* times as this instance's */
};

struct quota_call;
struct quota_call_start {
    unsigned count;              /* at most QUOTA_ASKS_MAX */
    const struct quota_ask *ask; /* limits, and whether they are dry */
    uint8_t name[QUOTA_ASKS_MAX][QUOTA_NAME];
    bool is_own[QUOTA_ASKS_MAX]; /* counted for this instance alone */
    /* Once, not before quota_call() has returned. NULL: Redis has not answered in time, or not to
     * the point; it may have counted the request all the same. */
    void (*on_done)(void *arg, const struct quota_word *word);
    void *arg;
};
/* NULL: Redis is not to be asked now: it is away, or its breaker is open. */
struct quota_call *quota_call(struct objects *o, const struct quota_call_start *s);
void quota_call_cancel(struct quota_call *c); /* on_done does not come; NULL is fine */

#endif
