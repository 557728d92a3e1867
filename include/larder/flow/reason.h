/* reason.h: why a request was not a hit: for Cache-Status, the log, the counters and explain.
 * Thread any: static texts.
 */
#ifndef LARDER_FLOW_REASON_H
#define LARDER_FLOW_REASON_H

#include <larder/base/buf.h>
#include <larder/config/route.h>

enum reason {
    REASON_NONE,
    REASON_NOT_CACHED, /* its route has no ttl */
    REASON_SWITCHED_OFF,
    REASON_METHOD,
    REASON_AUTHORIZATION, /* credentials, and the route does not say whose answer it is */
    REASON_COOKIE,
    REASON_API_KEY,
    REASON_IDENTITY,       /* a token that says whose answer it would be does not hold */
    REASON_KEY,            /* no key can be made of it: its body is not as the route says */
    REASON_BODY_TOO_LARGE, /* for a key */
    REASON_ABSENT,
    REASON_EXPIRED,
    REASON_INVALIDATED,
    REASON_EVICTED,
    REASON_HIT_FOR_MISS,
    REASON_WAITERS_FULL,
    REASON_WAIT_TIMEOUT,
    REASON_UNSTORABLE, /* waited, and the answer was another client's own */
    REASON_UPGRADE,
    REASON_CONDITION,        /* If-Match or If-Unmodified-Since: the app decides */
    REASON_WHILE_REVALIDATE, /* stale, and being refreshed */
    REASON_IF_ERROR,         /* stale, in place of an error */
    REASON_DEADLINE,         /* stale, in place of a slow answer */
    REASON_RATE_LIMITED,     /* stale, in place of a 429 */
    REASON_WARM,             /* asked for a new answer by a warm job */
    /* what the client asked for, in mode http */
    REASON_REQUEST,   /* its Cache-Control or Pragma: the stored answer is validated */
    REASON_NO_STORE,  /* its Cache-Control: no-store */
    REASON_MAX_STALE, /* stale, as its max-stale allows */
    REASON_ORIGIN,    /* Origin: what is stored was not asked for with one */
    REASON_RANGE,     /* a part of something that is not stored whole */
    REASON_PARTITION, /* other instances' invalidations are not heard, and the route says bypass */
    REASON_NOMEM,
    REASON_COUNT
};
const char *reason_name(enum reason r); /* "authorization", ...; "" for REASON_NONE */
/* What would change it, in the words of <r>'s config; nothing where there is nothing to say. */
void reason_advice_format(enum reason why, const struct route *r, struct buf *out);

#endif
