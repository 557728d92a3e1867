/* cache_control.h: Cache-Control directives as numbers and flags.
 *
 * Unknown directives are passed over, the strictest reading wins where a directive is repeated or
 * broken. Thread any. Source RFC 9111 section 5.2, RFC 5861, RFC 8246.
 */
#ifndef LARDER_HTTP_CACHE_CONTROL_H
#define LARDER_HTTP_CACHE_CONTROL_H

#include <larder/http/head.h>

enum cc_flag {
    CC_NO_STORE = 1 << 0,
    CC_NO_CACHE = 1 << 1,
    CC_PRIVATE = 1 << 2,
    CC_PUBLIC = 1 << 3,
    CC_MUST_REVALIDATE = 1 << 4,
    CC_PROXY_REVALIDATE = 1 << 5,
    CC_ONLY_IF_CACHED = 1 << 6,
    CC_IMMUTABLE = 1 << 7,
    CC_NO_TRANSFORM = 1 << 8,
    CC_MUST_UNDERSTAND = 1 << 9,
    CC_HAS_MAX_AGE = 1 << 10,
    CC_HAS_S_MAXAGE = 1 << 11,
    CC_HAS_MIN_FRESH = 1 << 12,
    CC_HAS_MAX_STALE = 1 << 13,
    CC_HAS_SWR = 1 << 14, /* stale-while-revalidate */
    CC_HAS_SIE = 1 << 15, /* stale-if-error */
    CC_PRESENT = 1 << 16, /* there was a field at all */
};

struct cache_control {
    unsigned flags; /* enum cc_flag */
    uint32_t max_age_s, s_maxage_s, min_fresh_s, max_stale_s, swr_s, sie_s;
};

/* Reads all fields <id> of <h> as one list. Absent: flags 0. `private` with a list of fields counts
 * as without; `no-cache` with a list counts only where <h> has one of them, Set-Cookie aside. */
void cache_control_parse(const struct head *h, enum field_id id, struct cache_control *ret_cc);

/* The same of a targeted field (CDN-Cache-Control, Larder-Cache-Control), which is a structured
 * dictionary: RFC 9213 section 2.1. False where it is absent, empty, does not parse, or where a
 * number of seconds is none: then it counts for nothing. */
bool targeted_cache_control_parse(const struct head *h, enum field_id id,
                                  struct cache_control *ret_cc);

#endif
