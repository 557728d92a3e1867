#include <larder/flow/reason.h>

static const struct {
    const char *name, *advice;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {"", ""},
    [REASON_NOT_CACHED] = {"route-not-cached", "give the route a \"ttl\", or \"mode\": \"http\""},
    [REASON_SWITCHED_OFF] = {"switched-off", "POST {\"enabled\": true} to "
                                             "/api/cache/routes/NAME switches it on again"},
    [REASON_METHOD] = {"method", "only GET, HEAD, POST and QUERY are cached"},
    [REASON_AUTHORIZATION] = {"authorization",
                              "say whose answers they are: \"identity\": \"auth\", "
                              "\"header.X-Org\" or {\"jwt\": \"/org_id\", \"key\": ...}; or "
                              "\"identity\": \"none\" if they are the same for everybody"},
    [REASON_COOKIE] = {"cookie",
                       "say whose answers they are: \"identity\": \"cookie.sessionid\"; or "
                       "\"none\" if they are the same for everybody"},
    [REASON_API_KEY] = {"api-key",
                        "say whose answers they are: \"identity\": \"header.X-Api-Key\"; or "
                        "\"none\" if they are the same for everybody"},
    [REASON_IDENTITY] = {"identity", "the request's token does not hold: the app answers it"},
    [REASON_KEY] = {"no-key",
                    "the body must be what \"key\" is read from (JSON or a form), and the "
                    "key not over 4096 bytes"},
    [REASON_BODY_TOO_LARGE] = {"body-too-large-for-key", "raise limits.key_body_bytes"},
    [REASON_ABSENT] = {"absent", ""},
    [REASON_EXPIRED] = {"expired", "a longer \"ttl\", \"stale_while_revalidate\" or "
                                   "\"refresh_ahead\" would have answered it"},
    [REASON_INVALIDATED] = {"invalidated", "a soft invalidation with \"stale_while_revalidate\" "
                                           "would have answered it"},
    [REASON_EVICTED] = {"evicted", "raise cache.max_bytes, or the route's own limits"},
    [REASON_HIT_FOR_MISS] = {"hit-for-miss", "the last answer could not be stored; stats' "
                                             "\"refused\" says why"},
    [REASON_WAITERS_FULL] = {"waiters-full", "raise cache.waiters"},
    [REASON_WAIT_TIMEOUT] = {"wait-timeout", "raise cache.wait_timeout, or give the route a "
                                             "\"deadline\" and a stale window"},
    [REASON_UNSTORABLE] = {"answer-not-shared", "the answer was one client's own; stats' "
                                                "\"refused\" says why"},
    [REASON_UPGRADE] = {"upgrade", ""},
    [REASON_CONDITION] = {"condition", ""},
    [REASON_WHILE_REVALIDATE] = {"stale-while-revalidate", ""},
    [REASON_IF_ERROR] = {"stale-if-error", ""},
    [REASON_DEADLINE] = {"deadline", ""},
    [REASON_RATE_LIMITED] = {"rate-limited", ""},
    [REASON_WARM] = {"warm", ""},
    [REASON_REQUEST] = {"request-cache-control",
                        "\"request_cache_control\": \"ignore\" takes no orders from clients"},
    [REASON_NO_STORE] = {"request-no-store",
                         "\"request_cache_control\": \"ignore\" takes no orders from clients"},
    [REASON_MAX_STALE] = {"max-stale", ""},
    [REASON_ORIGIN] = {"origin", "\"cors\": \"ignore\" if the app never looks at Origin"},
    [REASON_RANGE] = {"range", ""},
    [REASON_PARTITION] = {"partition", "Redis is out of reach; \"on_partition\" says what is done "
                                       "then"},
    [REASON_NOMEM] = {"out-of-memory", ""},
};

const char *reason_name(enum reason r)
{
    return reasons[r].name;
}

void reason_advice_format(enum reason why, const struct route *r, struct buf *out)
{
    if (!reasons[why].advice[0])
        return;
    if (why == REASON_NOT_CACHED && r->on_write) {
        buf_add_str(out, "nothing: it is a write, and takes back what its on_write says");
        return;
    }
    if (why == REASON_NOT_CACHED && !r->config_line) {
        buf_add_str(out, "no route of the config matches: add one with a \"match\" and a \"ttl\"");
        return;
    }
    if (r->config_line)
        buf_add_fmt(out, "route \"" SPAN_FMT "\" (line %u of the config): ", SPAN_ARG(r->name),
                    r->config_line);
    buf_add_str(out, reasons[why].advice);
}
