/* reuse.c: what a client may ask of a cache. */
#include <larder/http/reuse.h>

#include <larder/http/fresh.h>

void reuse_request_parse(const struct head *request, struct cache_control *ret_cc)
{
    cache_control_parse(request, FIELD_CACHE_CONTROL, ret_cc);
    if (!(ret_cc->flags & CC_PRESENT) &&
        field_has_token(request, FIELD_PRAGMA, SPAN_LIT("no-cache")))
        ret_cc->flags |= CC_NO_CACHE;
}

static bool is_stale_allowed(const struct cache_control *request, const struct reuse_facts *facts)
{
    if (facts->flags & (FRESH_NEVER_STALE | FRESH_MUST_VALIDATE))
        return false;
    return request->flags & CC_HAS_MAX_STALE && -facts->ttl_s <= (int64_t)request->max_stale_s;
}

bool reuse_is_allowed(const struct cache_control *request, const struct reuse_facts *facts)
{
    if (request->flags & CC_NO_CACHE || facts->flags & FRESH_MUST_VALIDATE)
        return false;
    if (request->flags & CC_HAS_MAX_AGE && facts->age_s > request->max_age_s)
        return false;
    /* section 5.2.1.1: who names an age wants nothing stale, unless he says so */
    if (request->flags & CC_HAS_MAX_AGE && facts->ttl_s < 0)
        return is_stale_allowed(request, facts);
    if (request->flags & CC_HAS_MIN_FRESH && facts->ttl_s < (int64_t)request->min_fresh_s)
        return false;
    return facts->is_fresh || is_stale_allowed(request, facts);
}
