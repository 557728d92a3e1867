/* fresh.h: may an answer be stored, and how long is it fresh? Pure: time is an argument.
 *
 * Thread any. Source RFC 9111 sections 3 (storing), 4.2 (freshness), 3.5 (Authorization).
 */
#ifndef LARDER_HTTP_FRESH_H
#define LARDER_HTTP_FRESH_H

#include <larder/http/cache_control.h>

/* What a route rules; times in milliseconds. */
struct fresh_policy {
    bool has_ttl;
    uint64_t ttl_ms; /* the route's own freshness lifetime, used where the upstream says nothing */
    unsigned status_ttl_count;
    struct {
        unsigned low, high; /* statuses low..high; 403 and 429 only where named singly */
        uint64_t ttl_ms;    /* 0: not stored */
    } status_ttl[8];
    /* Each overrides one rule of the RFC by name. */
    bool ignore_cache_control; /* the route's TTL rules whatever the answer says */
    bool ignore_set_cookie;    /* store all the same, without the Set-Cookie fields */
    bool share_authorized;     /* answers to requests with Authorization are not personal */
};

enum store_verdict {
    STORE_YES,
    STORE_NO_METHOD,
    STORE_NO_STATUS,   /* neither TTL for it nor heuristically cacheable */
    STORE_NO_PARTIAL,  /* 206, 304 or 1xx */
    STORE_NO_NO_STORE, /* Cache-Control: no-store */
    STORE_NO_PRIVATE,  /* Cache-Control: private */
    STORE_NO_NO_CACHE, /* no-cache: would need revalidation at each use */
    STORE_NO_SET_COOKIE,
    STORE_NO_AUTHORIZATION, /* credentials, and no public, s-maxage or must-revalidate */
    STORE_NO_VARY_STAR,
    STORE_NO_TTL, /* the freshness lifetime is zero or already over */
    STORE_NO_REQUEST_NO_STORE,
    STORE_NO_EVENT_STREAM, /* text/event-stream has no end */
    /* what the body says */
    STORE_NO_JSON_INVALID, /* it calls itself JSON, and is none (or cannot be looked into) */
    STORE_NO_JSON_ERROR,   /* "success": false, an "error" or "errors" */
    STORE_NO_STORE_IF,     /* the route's condition does not hold */
    STORE_NO_TTL_IF,       /* the rule of the route that holds says 0 */
    STORE_NO_TAGS,         /* more tags than an answer may have, or one that is none */
    STORE_NO_IDENTITY,     /* it varies by a credential that the key does not know */
    STORE_VERDICT_COUNT
};

/* Judges a response head. On STORE_YES writes the freshness lifetime left (its Age taken off) and
 * the age it already has. */
enum store_verdict fresh_judge(const struct fresh_policy *policy, const struct head *request,
                               const struct head *response, int64_t now_unix_s,
                               uint64_t *ret_lifetime_ms, uint64_t *ret_age_ms);
/* How long after its freshness an answer may be served stale (RFC 5861): what the response says,
 * else what is in *while_ms and *error_ms; nothing where it must be revalidated (must-revalidate,
 * proxy-revalidate, s-maxage; RFC 9111 sections 4.2.4 and 5.2.2). */
void fresh_stale_windows(const struct fresh_policy *policy, const struct head *response,
                         uint64_t *while_ms, uint64_t *error_ms);
/* 401 and 407: never stored, whatever the policy says. */
bool fresh_is_login_failure(unsigned status);
const char *store_verdict_name(enum store_verdict v); /* "no-store", "set-cookie", ... */

#endif
