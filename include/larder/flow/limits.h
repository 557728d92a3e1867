/* limits.h: rate limits: who asks, whether there is room, and what is said about it.
 *
 * One table for each of the config's "rate_limits", for all workers. Clients are known by an HMAC
 * of what tells them apart: no address and no credential stands in a table, a log or a key.
 * Thread   any; a struct limits_check is its caller's
 * Source   draft-ietf-httpapi-ratelimit-headers-10 (RateLimit, RateLimit-Policy, quota-exceeded),
 *          RFC 6585 section 4 (429), RFC 9110 section 10.2.3 (Retry-After)
 */
#ifndef LARDER_FLOW_LIMITS_H
#define LARDER_FLOW_LIMITS_H

#include <larder/base/ip.h>
#include <larder/cache/quota.h>
#include <larder/config/config.h>
#include <stdatomic.h>

struct limits;
struct problem;

/* Tables and counters. NULL: no memory; also, harmlessly, where the config has no limits:
 * <*ret_failed> tells. */
struct limits *limits_new(const struct config *config, bool *ret_failed);
void limits_free(struct limits *l); /* NULL is fine */

/* The request, as limits look at it. */
struct limits_request {
    const struct head *head;
    const struct route_captures *captures; /* NULL: none */
    const uint8_t *peer;                   /* 16 bytes, IPv4 mapped; NULL: a Unix socket */
    bool is_ours; /* larder asks itself in a client's name, which X-Forwarded-For tells */
};

enum { LIMITS_VIOLATED_MAX = ROUTE_RATE_LIMITS_MAX * RATE_POLICIES_MAX };

/* One request's question to all its limits, and what came of it. */
struct limits_check {
    unsigned count; /* 0: nothing limits it */
    bool is_refused, is_decided;
    uint64_t wait_ms; /* refused: until it may be tried again */
    struct {
        const struct rate_limit *limit;
        const struct rate_class *class;
        uint8_t name[32]; /* the client's, under this limit */
    } of[ROUTE_RATE_LIMITS_MAX];
    struct quota_ask ask[ROUTE_RATE_LIMITS_MAX];
    unsigned violated_count; /* policies without room, of limits that are not dry */
    struct span violated[LIMITS_VIOLATED_MAX];
    char client[IP_TEXT_MAX]; /* the address, for the log */
};

/* Prepares the question to those of <set> that limit the request; <is_hit>: it costs the app
 * nothing, so only those are asked that count hits. False: there are none. */
bool limits_prepare(const struct limits *l, const struct rate_limit_set *set,
                    const struct limits_request *r, bool is_hit, struct limits_check *ret);
/* Is one of them shared with other instances? */
bool limits_are_shared(const struct limits_check *c);
/* Asks the tables; counts. The caller logs what limits_tell() has. */
void limits_decide(struct limits *l, struct limits_check *c, mono_ms now);
/* In place of that: what all instances together have counted. <states>: QUOTA_LIMITS_MAX of
 * each limit, of its policies in their order; <is_over>: of each limit. */
void limits_decide_by(struct limits *l, struct limits_check *c, const struct quota_state *states,
                      const bool *is_over, mono_ms now);
/* Tells the security log of refusals, of each client and limit once a second. <route>: of the
 * request, and what its target may show; NULL: none. */
void limits_tell(struct limits *l, const struct limits_check *c, const struct route *route,
                 const struct head *h, struct span request_id, unsigned status);

/* RateLimit-Policy, RateLimit and, on wish, X-RateLimit-*: lines with CRLF; nothing of limits that
 * run dry. */
void limits_fields_format(const struct limits_check *c, int64_t unix_ms, struct buf *out);
/* What a 429 says; <p> points into <c>. */
void limits_problem(const struct limits_check *c, struct problem *p);

/* All of it at once, for whoever has no loop to wait in: asks this instance's tables alone. True:
 * the request may go on. Either way <ret> has what limits_fields_format() wants; where it is
 * refused, limits_problem() as well. */
bool limits_allow(struct limits *l, const struct rate_limit_set *set,
                  const struct limits_request *r, struct span request_id, struct limits_check *ret);

/* Figures since the start, of one limit. */
struct limits_figures {
    uint64_t allowed, refused, would_refuse;
    uint64_t shared; /* of these: decided by what all instances together had counted */
    uint64_t alone;  /* of these: should have been, but Redis was away, or too slow */
    uint64_t stale;  /* of the refused: answered with something stale */
    uint64_t clients;
};
void limits_figures_read(struct limits *l, unsigned index, mono_ms now, struct limits_figures *ret);
/* A refused request has been answered with something stale. */
void limits_note_stale(struct limits *l, const struct limits_check *c);
/* Redis was to be asked, and was not, or has not answered. */
void limits_note_alone(struct limits *l, const struct limits_check *c);

#endif
