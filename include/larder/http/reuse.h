/* reuse.h: may a stored answer be used for this request, or must the upstream be asked first?
 *
 * Pure: ages and times are arguments. Thread any; allocates nothing.
 * Source RFC 9111 section 5.2.1 (request directives), 5.4 (Pragma).
 */
#ifndef LARDER_HTTP_REUSE_H
#define LARDER_HTTP_REUSE_H

#include <larder/http/cache_control.h>

/* What is known of the stored answer. */
struct reuse_facts {
    uint64_t age_s;
    int64_t ttl_s;  /* freshness left; negative: stale since then */
    bool is_fresh;  /* or may be served while it is refreshed (stale-while-revalidate) */
    unsigned flags; /* enum fresh_flag */
};

/* Reads Cache-Control of a request; where there is none, Pragma: no-cache counts for it. */
void reuse_request_parse(const struct head *request, struct cache_control *ret_cc);
/* May the stored answer be used as it is, by what the request and the answer say? Credentials and
 * Vary are for the caller to mind. */
bool reuse_is_allowed(const struct cache_control *request, const struct reuse_facts *facts);

#endif
