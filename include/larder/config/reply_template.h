/* reply_template.h: JSON with values in it: "${hit_ratio|3}", "org:${json.organization_id}".
 *
 * A string that is one ${...} alone becomes the value, with its JSON type; within a longer text the
 * value is put in as text. A value that may be absent (${json.semester?}) takes its member, or its
 * element, away with it; JSON's null counts as absent. $${ stands for ${ itself.
 * Thread any, once it was read. Memory: the config's own; filling allocates in the caller's buf.
 */
#ifndef LARDER_CONFIG_REPLY_TEMPLATE_H
#define LARDER_CONFIG_REPLY_TEMPLATE_H

#include <larder/config/route.h>

/* Where a value comes from. */
enum reply_group {
    REPLY_OF_REQUEST,      /* json.a, query.x, path.x, form.x, header.X, cookie.x: <param> */
    REPLY_OF_ROUTE,        /* figures: of all cached routes, or of the one in <index> */
    REPLY_OF_UPSTREAM,     /* of the one in <index> */
    REPLY_OF_REDIS,        /* redis.keys */
    REPLY_OF_LIMIT,        /* of the rate limit in <index> */
    REPLY_OF_JOBS,         /* jobs.running */
    REPLY_OF_INSTANCE,     /* now, uptime */
    REPLY_OF_INVALIDATION, /* matched, removed... */
    REPLY_OF_WARM,         /* warmed, failed */
    REPLY_OF_RESULT,       /* result.ROUTE: what the app gave; <pointer> into it */
    REPLY_OF_STATS,        /* stats/totals/hits: <pointer> into GET /api/cache/stats */
};

/* X(group, NAME, "as written", unit) */
#define REPLY_NAMES(X)                                                                             \
    X(ROUTE, HITS, "hits", NONE)                                                                   \
    X(ROUTE, MISSES, "misses", NONE)                                                               \
    X(ROUTE, LOOKUPS, "lookups", NONE)                                                             \
    X(ROUTE, REQUESTS, "requests", NONE)                                                           \
    X(ROUTE, HIT_RATIO, "hit_ratio", NONE)                                                         \
    X(ROUTE, ENTRIES, "entries", NONE)                                                             \
    X(ROUTE, BYTES, "bytes", NONE)                                                                 \
    X(ROUTE, EVICTED, "evicted", NONE)                                                             \
    X(ROUTE, EXPIRED, "expired", NONE)                                                             \
    X(ROUTE, INVALIDATED, "invalidated", NONE)                                                     \
    X(ROUTE, FETCHES, "fetches", NONE)                                                             \
    X(ROUTE, COALESCED, "coalesced", NONE)                                                         \
    X(ROUTE, ERRORS, "errors", NONE)                                                               \
    X(ROUTE, MAX_ENTRIES, "max_entries", NONE)                                                     \
    X(ROUTE, MAX_BYTES, "max_bytes", NONE)                                                         \
    X(ROUTE, LATENCY_HIT_AVG, "latency.hit.avg", MS)                                               \
    X(ROUTE, LATENCY_HIT_P50, "latency.hit.p50", MS)                                               \
    X(ROUTE, LATENCY_HIT_P95, "latency.hit.p95", MS)                                               \
    X(ROUTE, LATENCY_HIT_P99, "latency.hit.p99", MS)                                               \
    X(ROUTE, LATENCY_MISS_AVG, "latency.miss.avg", MS)                                             \
    X(ROUTE, LATENCY_MISS_P50, "latency.miss.p50", MS)                                             \
    X(ROUTE, LATENCY_MISS_P95, "latency.miss.p95", MS)                                             \
    X(ROUTE, LATENCY_MISS_P99, "latency.miss.p99", MS)                                             \
    X(ROUTE, LATENCY_ALL_AVG, "latency.all.avg", MS)                                               \
    X(ROUTE, LATENCY_ALL_P50, "latency.all.p50", MS)                                               \
    X(ROUTE, LATENCY_ALL_P95, "latency.all.p95", MS)                                               \
    X(ROUTE, LATENCY_ALL_P99, "latency.all.p99", MS)                                               \
    X(ROUTE, SPEEDUP, "speedup", NONE)                                                             \
    X(ROUTE, TTL, "ttl", S)                                                                        \
    X(UPSTREAM, POOL_MAX, "max", NONE)                                                             \
    X(UPSTREAM, ACTIVE, "active", NONE)                                                            \
    X(UPSTREAM, IDLE, "idle", NONE)                                                                \
    X(UPSTREAM, WAITING, "waiting", NONE)                                                          \
    X(UPSTREAM, SENT, "requests", NONE)                                                            \
    X(UPSTREAM, REUSED, "reused", NONE)                                                            \
    X(UPSTREAM, REUSE_RATIO, "reuse_ratio", NONE)                                                  \
    X(UPSTREAM, CONNECT_FAILURES, "connect_failures", NONE)                                        \
    X(UPSTREAM, FAULTS, "errors", NONE)                                                            \
    X(REDIS, AVAILABLE, "redis.available", NONE)                                                   \
    X(REDIS, KEYS, "redis.keys", NONE)                                                             \
    X(REDIS, REDIS_HITS, "redis.hits", NONE)                                                       \
    X(REDIS, REDIS_MISSES, "redis.misses", NONE)                                                   \
    X(REDIS, REDIS_HIT_RATIO, "redis.hit_ratio", NONE)                                             \
    X(LIMIT, ALLOWED, "allowed", NONE)                                                             \
    X(LIMIT, REFUSED, "refused", NONE)                                                             \
    X(JOBS, QUEUED, "jobs.queued", NONE)                                                           \
    X(JOBS, RUNNING, "jobs.running", NONE)                                                         \
    X(JOBS, DONE, "jobs.done", NONE)                                                               \
    X(JOBS, JOBS_FAILED, "jobs.failed", NONE)                                                      \
    X(INSTANCE, NOW, "now", TIME)                                                                  \
    X(INSTANCE, UPTIME, "uptime", S)                                                               \
    X(INVALIDATION, MATCHED, "matched", NONE)                                                      \
    X(INVALIDATION, REMOVED, "removed", NONE)                                                      \
    X(INVALIDATION, STALE, "stale", NONE)                                                          \
    X(INVALIDATION, REPLICATED, "replicated", NONE)                                                \
    X(WARM, WARMED, "warmed", NONE)                                                                \
    X(WARM, FAILED, "failed", NONE)

enum reply_name {
#define X(group, name, text, unit) REPLY_##name,
    REPLY_NAMES(X)
#undef X
        REPLY_NAME_COUNT
};

enum reply_unit { REPLY_UNIT_NONE, REPLY_UNIT_MS, REPLY_UNIT_S, REPLY_UNIT_TIME };

enum reply_filter_kind {
    REPLY_PERCENT,  /* of a share: times 100 */
    REPLY_DECIMALS, /* rounded; so many digits are written, be they 0 */
    REPLY_INT,      /* whole, the rest cut off; of a text: the number that it is */
    REPLY_LOCAL,    /* of a time: "2025-09-09T19:34:18.553911", in the process's zone */
    REPLY_UTC,      /* of a time: "2025-12-02T00:00:00Z" */
    REPLY_IN_MS,    /* of a duration, in that unit: ms, s, m, h */
    REPLY_IN_S,
    REPLY_IN_M,
    REPLY_IN_H,
};

enum { REPLY_FILTERS_MAX = 4, REPLY_DECIMALS_MAX = 6 };

struct reply_value {
    struct span text; /* its name as written */
    enum reply_group group;
    enum reply_name name;
    int index;           /* of a route, an upstream or a rate limit; -1: of all */
    struct span pointer; /* of REPLY_OF_RESULT and _STATS */
    struct param param;  /* of REPLY_OF_REQUEST */
    bool is_optional;
    unsigned filter_count;
    struct reply_filter {
        enum reply_filter_kind kind;
        unsigned decimals;
    } filters[REPLY_FILTERS_MAX];
};

struct reply_piece {
    struct span literal;             /* before the value; may be empty */
    const struct reply_value *value; /* NULL at the end */
};

struct reply_node {
    enum json_type type;
    bool is_escaped; /* values within its text are written as keys write them */
    bool is_plain;   /* the request may give no object for it */
    struct span name, text;
    unsigned count, piece_count;
    struct reply_node *children; /* count */
    struct reply_piece *pieces;  /* of a string with values in it: piece_count */
};

/* What a value is now. */
struct reply_datum {
    enum {
        DATUM_ABSENT,
        DATUM_COUNT,
        DATUM_REAL,
        DATUM_BOOL,
        DATUM_TEXT,
        DATUM_TIME,
        DATUM_JSON, /* a node */
        DATUM_RAW,  /* JSON text */
    } kind;
    uint64_t count;
    double real;
    bool is_true;
    int64_t unix_us;
    struct span text; /* of DATUM_TEXT and _RAW; lives until the next value is asked for */
    const struct json *json;
};

struct reply_source {
    /* False: no memory. */
    bool (*value_of)(void *arg, const struct reply_value *v, struct reply_datum *ret);
    void *arg;
};

/* Appends the filled template. ERR_NOT_FOUND: a request value is absent that must be there;
 * ERR_SYNTAX: one is not what its filter wants; ERR_DENIED: one is an object where there may be
 * none; these tell which in *ret_bad. ERR_NOMEM, ERR_TOO_LARGE: <out> or a text within has no room.
 */
must_check enum err_code reply_fill(const struct reply_node *n, const struct reply_source *s,
                                    struct buf *out, const struct reply_value **ret_bad);
/* Calls <visit> with each value of the template. */
void reply_each_value(const struct reply_node *n,
                      void (*visit)(void *arg, const struct reply_value *v), void *arg);
enum reply_unit reply_unit_of(const struct reply_value *v);

#endif
