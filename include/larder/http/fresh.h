/* fresh.h: may an answer be stored, and how long is it fresh? Pure: time is an argument.
 *
 * Thread any. Source RFC 9111 sections 3 (storing), 4.2 (freshness), 3.5 (Authorization); RFC 5861
 * (stale windows); RFC 9213 (targeted fields).
 */
#ifndef LARDER_HTTP_FRESH_H
#define LARDER_HTTP_FRESH_H

#include <larder/http/cache_control.h>

/* An answer with Set-Cookie: not stored; stored without the cookies; stored and given to all. */
enum set_cookie_rule { SET_COOKIE_OBEY, SET_COOKIE_DROP, SET_COOKIE_STORE };

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
    unsigned set_cookie;       /* enum set_cookie_rule */
    bool share_authorized;     /* answers to requests with credentials are not personal */
    /* RFC 9111 in full: heuristic freshness, any final status with a lifetime of its own, and what
     * is stale or `no-cache` is kept where it can be validated. Otherwise the route's TTL rules
     * where the upstream says nothing. */
    bool is_http;
    uint64_t while_ms, error_ms; /* may be served stale so long, where the answer allows it */
    uint64_t keep_ms;            /* is kept so long after its freshness, to be validated */
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
    STORE_NO_VARIANTS, /* too many that Vary tells apart, or it cannot tell them apart */
    STORE_NO_TTL,      /* the freshness lifetime is zero or already over */
    STORE_NO_REQUEST_NO_STORE,
    STORE_NO_EVENT_STREAM, /* text/event-stream has no end */
    STORE_NO_ENDLESS,      /* it does not tell its length, and did not end in time */
    /* what the body says */
    STORE_NO_JSON_INVALID, /* it calls itself JSON, and is none (or cannot be looked into) */
    STORE_NO_JSON_ERROR,   /* "success": false, an "error" or "errors" */
    STORE_NO_STORE_IF,     /* the route's condition does not hold */
    STORE_NO_TTL_IF,       /* the rule of the route that holds says 0 */
    STORE_NO_TAGS,         /* more tags than an answer may have, or one that is none */
    STORE_NO_IDENTITY,     /* it varies by a credential that the key does not know */
    STORE_VERDICT_COUNT
};

/* What is judged. */
struct fresh_case {
    const struct fresh_policy *policy;
    const struct head *request, *response;
    bool takes_part;      /* a 206 is what was asked for, and its key holds the range */
    bool needs_lifetime;  /* only where the upstream says how long: no guess (answers to POST) */
    bool has_credentials; /* the request bears some that its key does not hold */
    bool has_cookies;     /* ... cookies of which the key says nothing, and the route neither */
    int64_t now_unix_s;   /* when the response came */
    uint64_t delay_ms;    /* from the request's start to then */
};

enum fresh_flag {
    FRESH_MUST_VALIDATE = 1 << 0,  /* no-cache: the upstream is asked at each use */
    FRESH_NEVER_STALE = 1 << 1,    /* must-revalidate and its like: whoever would allow it */
    FRESH_FOR_AUTHORIZED = 1 << 2, /* may answer requests with credentials, too: section 3.5 */
};

struct freshness {
    uint64_t lifetime_ms; /* freshness lifetime left, its age taken off; 0: stale already */
    uint64_t overdue_ms;  /* ... since so long */
    uint64_t age_ms;      /* the age it has, RFC 9111 section 4.2.3 */
    /* Behind its freshness: may be served stale (RFC 5861), is kept to be validated. */
    uint64_t while_ms, error_ms, keep_ms;
    unsigned flags; /* enum fresh_flag */
};

/* Judges a response head; on STORE_YES writes how the answer may be used. */
enum store_verdict fresh_judge(const struct fresh_case *c, struct freshness *ret);
/* Has the answer a validator that a conditional request can name: an entity tag or a date? */
bool fresh_has_validator(const struct head *response);
/* 401 and 407: never stored, whatever the policy says. */
bool fresh_is_login_failure(unsigned status);
const char *store_verdict_name(enum store_verdict v); /* "no-store", "set-cookie", ... */

#endif
