/* rate_limit.h: how many requests who may make, as the config says it.
 *
 * Thread any: immutable after load.
 */
#ifndef LARDER_CONFIG_RATE_LIMIT_H
#define LARDER_CONFIG_RATE_LIMIT_H

#include <larder/config/route.h>

enum {
    RATE_LIMITS_MAX = 64,  /* of a config */
    RATE_POLICIES_MAX = 8, /* of one of them, for one class */
    RATE_KEYS_MAX = 4,     /* in "by" */
    RATE_CLASSES_MAX = 64, /* that have limits of their own */
};

/* One quota: a sliding window of <window_ms>, or a token bucket that is filled by <count> in each
 * <window_ms>, and holds <burst>. */
struct rate_policy {
    struct span name; /* letters, digits, _ - and . */
    bool is_bucket;
    uint32_t count, burst;
    uint64_t window_ms;
};

/* What holds for those of one class. */
struct rate_class {
    struct span name;      /* the value that chooses it; of the first, for all others: empty */
    unsigned policy_count; /* 0: unlimited */
    struct rate_policy *policies;
};

/* What tells who asks. */
struct rate_key {
    enum { RATE_BY_CLIENT, RATE_BY_ALL, RATE_BY_PARAM } kind;
    struct param param;
};

struct rate_limit {
    struct span name;
    uint16_t index;
    unsigned key_count; /* the first that the request has; without any it is the client's address */
    struct rate_key keys[RATE_KEYS_MAX];
    bool has_class_param;
    struct param class_param;
    unsigned class_count; /* at least 1 */
    struct rate_class *classes;
    bool count_hits, is_dry_run, is_shared;
    bool is_stale_over; /* a stale answer goes out in place of a refusal */
    enum { RATE_HEADERS_OFF, RATE_HEADERS_DELTA, RATE_HEADERS_EPOCH } legacy_headers;
    unsigned max_clients;
};

#endif
