/* counters.h: what a worker counts, declared once, from which stats and docs are made.
 *
 * Each worker has its own set, so that counting shares nothing; readers add them up.
 * Thread: written by its worker (relaxed), read by any.
 */
#ifndef LARDER_FLOW_COUNTERS_H
#define LARDER_FLOW_COUNTERS_H

#include <larder/base/hist.h>
#include <larder/flow/reason.h>
#include <larder/http/fresh.h>
#include <stdatomic.h>

/* X(name, "what it counts") for each route. */
#define ROUTE_COUNTERS(X)                                                                          \
    X(requests, "requests of this route")                                                          \
    X(hits, "answered from the cache, fresh")                                                      \
    X(redis_hits, "of the hits: found in Redis, not in memory")                                    \
    X(stale, "answered from the cache, stale")                                                     \
    X(stale_while_revalidate, "of the stale: while a refresh was on its way")                      \
    X(stale_if_error, "of the stale: in place of an upstream's failure")                           \
    X(stale_deadline, "of the stale: the upstream was slower than the deadline")                   \
    X(stale_rate_limited, "of the stale: in place of a 429")                                       \
    X(stale_budget_spent, "errors told: the day's budget of stale_if_error was spent")             \
    X(misses, "not in the cache: fetched, by this request or one that it waited for")              \
    X(coalesced, "misses that were answered by another request's fetch")                           \
    X(bypasses, "not looked up, or not to be shared: passed through")                              \
    X(errors, "answered with an error of larder's own")                                            \
    X(not_modified, "of the hits: answered 304")                                                   \
    X(miss_absent, "misses: never stored, or long gone")                                           \
    X(miss_evicted, "misses: the stored answer had to give way to others")                         \
    X(miss_expired, "misses: the stored answer's lifetime was over")                               \
    X(miss_invalidated, "misses: the stored answer had been invalidated")                          \
    X(hit_for_miss, "bypasses: the key's last answer could not be stored")                         \
    X(wait_timeouts, "requests that waited for a fetch too long and made their own")               \
    X(waiters_full, "requests that found the fetch's waiting room full and made their own")        \
    X(fetches, "upstream requests begun")                                                          \
    X(revalidated, "of the fetches: the app confirmed the stored answer (304)")                    \
    X(refreshes, "of the fetches: in the background, while an answer was served")                  \
    X(refreshes_ahead, "of the refreshes: before the answer was stale")                            \
    X(refresh_failures, "refreshes that brought nothing to store")                                 \
    X(upstream_errors, "upstream requests that gave no answer")                                    \
    X(upstream_us, "microseconds spent waiting for the upstream's answer heads")                   \
    X(saved_us, "microseconds of upstream time that hits saved: what their answers had taken")     \
    X(stored, "answers stored")                                                                    \
    X(warmed, "requests of warm jobs: not counted as hits or misses")                              \
    X(writes, "writes that took answers back")                                                     \
    X(write_removed, "answers that writes took back")                                              \
    X(write_widened, "writes that took back more, for want of a value that on_write names")        \
    X(refused_too_large, "answers not stored: over the object or route limit")                     \
    X(refused_overtaken, "answers not stored: an invalidation came in between")                    \
    X(body_bytes, "body bytes sent to clients")

struct route_counters {
#define X(name, text) _Atomic uint64_t name;
    ROUTE_COUNTERS(X)
#undef X
    _Atomic uint64_t refused[STORE_VERDICT_COUNT]; /* answers not stored, by verdict */
    _Atomic uint64_t bypassed[REASON_COUNT];       /* requests not looked up, by reason */
    struct hist hit_time, miss_time;               /* head in to answer handed over */
};

/* For each worker, beyond routes. */
struct worker_counters {
    _Atomic uint64_t bad_requests;      /* heads refused by the gate */
    _Atomic uint64_t coalesced_waiting; /* now: requests that wait for another's fetch */
    _Atomic uint64_t active;            /* now: requests with a flow (not hits) */
    _Atomic uint64_t clients_gone;      /* clients that left before their answer was complete */
    _Atomic uint64_t tunnels;           /* connections that left HTTP (answered 101) */
    _Atomic uint64_t tunnels_open;      /* of them: now */
    _Atomic uint64_t tls_handshakes;    /* TLS connections begun by clients */
    _Atomic uint64_t tls_resumed;       /* of them: by a session ticket */
    _Atomic uint64_t tls_failures;      /* handshakes of clients that came to nothing */
};

static inline void count_add(_Atomic uint64_t *c, uint64_t n)
{
    /* one writer: a plain read and write, no locked instruction */
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void count(_Atomic uint64_t *c)
{
    count_add(c, 1);
}
static inline void count_down(_Atomic uint64_t *c)
{
    count_add(c, (uint64_t)-1);
}

#endif
