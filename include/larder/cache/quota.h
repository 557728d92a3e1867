/* quota.h: who may still ask, by token buckets and sliding windows, in tables of bounded size.
 *
 * A client stands in a table by a keyed hash of who it is, with what it has used of each of its
 * limits. A full table forgets those who have used little first, so that who comes with many
 * addresses cannot make it forget whom it refuses.
 * Thread   any; each call holds one shard's lock of each table that it asks
 * Time     milliseconds of one clock that does not go back, always passed in
 * Memory   a table is one block for all its clients, which the system gives as it is used
 * Source   ITU-T I.371 annex A (GCRA, as the continuous-state leaky bucket); the two-window counter
 *          is Cloudflare's ("How we built rate limiting capable of scaling to millions of domains")
 */
#ifndef LARDER_CACHE_QUOTA_H
#define LARDER_CACHE_QUOTA_H

#include <larder/base/hash.h>
#include <larder/base/macros.h>
#include <larder/base/monotime.h>

enum { QUOTA_LIMITS_MAX = 8, QUOTA_COUNT_MAX = 1000000000 };

struct quota_limit {
    bool is_bucket;
    uint32_t count, burst; /* at most QUOTA_COUNT_MAX; burst: of a bucket, at least 1 */
    uint64_t window_ms;    /* at least 1, at most 31 days */
};

/* What has been used of one limit. Zeros: nothing. */
struct quota_state {
    mono_ms at_ms;  /* a window: when the present one began; a bucket: when <level> was so */
    uint64_t level; /* of a bucket: used, in tokens times window_ms; it sinks by <count> each ms */
    uint32_t now, before; /* of a window: let through in the present one, and in the one before */
};

/* A limit as one client finds it. */
struct quota_view {
    bool is_over;       /* one more would be too many */
    uint32_t remaining; /* so many more, at once */
    uint64_t wait_ms;   /* until one more may come; 0: it may */
    uint64_t reset_ms;  /* until the bucket is full, or the present window ends */
};

/* A window lets <count> through in the present window and that part of the one before which a
 * window that ended now would still hold, as if its requests had come evenly: at most <count>
 * within a window counted from the first request, at most twice as many within any (where a client
 * comes at the end of one window, and at the end of the next), and in the long run <count> in each.
 * A bucket lets at most <burst> and what <count> per window make of the time through, in any span
 * of time. */
void quota_look(const struct quota_limit *l, const struct quota_state *s, mono_ms now,
                struct quota_view *ret);
/* One more is let through, whether or not there is room for it. */
void quota_add(const struct quota_limit *l, struct quota_state *s, mono_ms now);

struct quota; /* a table */

/* For at most <max_clients>, each with at most <limits_max> limits. NULL: no memory. */
struct quota *quota_new(unsigned max_clients, unsigned limits_max);
void quota_free(struct quota *q); /* NULL is fine */
/* Clients of whom something has to be remembered, about. */
unsigned quota_clients(struct quota *q, mono_ms now);

/* One table's part of a question. */
struct quota_ask {
    struct quota *table;
    struct hash128 who; /* of no two clients the same, nor of one under other limits */
    unsigned count;     /* at least 1 */
    const struct quota_limit *limits; /* as long-lived as the table */
    bool is_dry;                      /* it says what it would say, and stops nobody */
    /* the answer */
    bool is_over;                             /* one of its limits has no room */
    bool may_tell;                            /* the first refusal of this client within a second */
    struct quota_view view[QUOTA_LIMITS_MAX]; /* with this request, where it was counted */
};

/* All limits of all <asks> that are not dry must allow, or the request is counted by none of them;
 * a dry one that does not allow does not count it either. Returns whether it may go on. Tables in
 * one order for all callers, each once. */
bool quota_take(struct quota_ask *asks, unsigned count, mono_ms now);
/* What others have counted for this client takes the place of what this table has, and the answer
 * is made of it; <is_over> is theirs. */
void quota_adopt(struct quota_ask *ask, const struct quota_state *states, bool is_over,
                 mono_ms now);

#endif
