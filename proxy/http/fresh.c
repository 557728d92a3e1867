/* fresh.c: RFC 9111 section 3 as a row of questions, then section 4.2 as arithmetic.
 *
 * What forbids is asked first, so that a verdict names the rule that an operator would have to
 * change; how long comes last.
 */
#include <larder/http/fresh.h>

#include <larder/http/date.h>

#include "http-internal.h"

/* What is judged, read once. */
struct judgement {
    const struct fresh_case *c;
    const struct fresh_policy *policy;
    const struct head *request, *response;
    int64_t now_unix_s;
    struct cache_control cc; /* of the field that is obeyed */
    bool is_targeted;        /* it is not Cache-Control itself, and replaces Expires, too */
    bool is_unsaid;          /* how long, and it may be its client's own */
};

/* RFC 9213 section 2.2: the first of the targeted fields that is there and can be read. */
static void read_cache_control(struct judgement *j)
{
    static const enum field_id targeted[] = {FIELD_LARDER_CACHE_CONTROL, FIELD_CDN_CACHE_CONTROL};
    for (size_t i = 0; i < sizeof(targeted) / sizeof(targeted[0]); i++) {
        if (targeted_cache_control_parse(j->response, targeted[i], &j->cc)) {
            j->is_targeted = true;
            return;
        }
    }
    cache_control_parse(j->response, FIELD_CACHE_CONTROL, &j->cc);
}

static enum store_verdict judge_request(const struct judgement *j)
{
    enum method m = j->request->method;
    if (m != METHOD_GET && m != METHOD_POST && m != METHOD_QUERY)
        return STORE_NO_METHOD;
    struct cache_control cc;
    cache_control_parse(j->request, FIELD_CACHE_CONTROL, &cc);
    return cc.flags & CC_NO_STORE ? STORE_NO_REQUEST_NO_STORE : STORE_YES;
}

static bool is_event_stream(const struct head *response)
{
    const struct field *f = head_field(response, FIELD_CONTENT_TYPE);
    struct span params;
    return f && span_eq_nocase(span_trim(span_split(f->value, ';', &params)),
                               SPAN_LIT("text/event-stream"));
}

static enum store_verdict judge_kind(const struct judgement *j)
{
    unsigned status = j->response->status;
    if (status < 200 || (status == 206 && !j->c->takes_part) || status == 304)
        return STORE_NO_PARTIAL;
    return is_event_stream(j->response) ? STORE_NO_EVENT_STREAM : STORE_YES;
}

/* Section 5.2.2.3: must-understand: who knows the status passes over no-store, who does not must
 * not store the answer. */
static bool is_no_store(const struct judgement *j)
{
    if (j->policy->is_http && j->cc.flags & CC_MUST_UNDERSTAND)
        return !status_is_known(j->response->status);
    return j->cc.flags & CC_NO_STORE;
}

bool fresh_has_validator(const struct head *response)
{
    return head_field(response, FIELD_ETAG) || head_field(response, FIELD_LAST_MODIFIED);
}

static bool can_be_validated(const struct judgement *j)
{
    return j->policy->is_http && j->policy->keep_ms && fresh_has_validator(j->response);
}

static enum store_verdict judge_directives(const struct judgement *j)
{
    if (j->policy->ignore_cache_control)
        return STORE_YES;
    if (is_no_store(j))
        return STORE_NO_NO_STORE;
    if (j->cc.flags & CC_PRIVATE)
        return STORE_NO_PRIVATE;
    return (j->cc.flags & CC_NO_CACHE) && !can_be_validated(j) ? STORE_NO_NO_CACHE : STORE_YES;
}

/* Section 3.5. */
static bool is_for_all(const struct judgement *j)
{
    return j->cc.flags & (CC_PUBLIC | CC_HAS_S_MAXAGE | CC_MUST_REVALIDATE);
}

/* An answer that may be one person's. */
static enum store_verdict judge_person(const struct judgement *j)
{
    if (j->policy->set_cookie == SET_COOKIE_OBEY && head_field(j->response, FIELD_SET_COOKIE))
        return STORE_NO_SET_COOKIE;
    if (j->c->has_credentials && !j->policy->share_authorized && !is_for_all(j))
        return STORE_NO_AUTHORIZATION;
    return STORE_YES;
}

static enum store_verdict judge_vary(const struct judgement *j)
{
    return field_has_token(j->response, FIELD_VARY, SPAN_LIT("*")) ? STORE_NO_VARY_STAR : STORE_YES;
}

/* Expires less Date (section 5.3). False: no Expires. Invalid means over, the soonest counts. */
static bool expires_lifetime_ms(const struct judgement *j, uint64_t *ret_ms)
{
    const struct field *date = head_field(j->response, FIELD_DATE);
    int64_t from = j->now_unix_s, soonest = INT64_MAX;
    if (date && !date_parse(date->value, j->now_unix_s, &from))
        from = j->now_unix_s;
    for (unsigned i = 0; i < j->response->field_count; i++) {
        const struct field *f = &j->response->fields[i];
        int64_t until;
        if (f->id != FIELD_EXPIRES)
            continue;
        if (!date_parse(f->value, j->now_unix_s, &until))
            until = from;
        if (until < soonest)
            soonest = until;
    }
    if (soonest == INT64_MAX)
        return false;
    *ret_ms = soonest > from ? (uint64_t)(soonest - from) * 1000 : 0;
    return true;
}

/* Section 4.2.1, for a shared cache. False: the upstream says nothing. */
static bool explicit_lifetime_ms(const struct judgement *j, uint64_t *ret_ms)
{
    if (j->policy->ignore_cache_control)
        return false;
    if (j->cc.flags & CC_HAS_S_MAXAGE)
        *ret_ms = (uint64_t)j->cc.s_maxage_s * 1000;
    else if (j->cc.flags & CC_HAS_MAX_AGE)
        *ret_ms = (uint64_t)j->cc.max_age_s * 1000;
    else
        return !j->is_targeted && expires_lifetime_ms(j, ret_ms);
    return true;
}

/* A tenth of the time since the last change, at most a day (section 4.2.2). What a request with
 * cookies brought may be its sender's own where nobody says otherwise. */
static bool heuristic_lifetime_ms(const struct judgement *j, uint64_t *ret_ms)
{
    enum { PART = 10, MOST_S = 86400 };
    const struct field *changed = head_field(j->response, FIELD_LAST_MODIFIED);
    const struct field *date = head_field(j->response, FIELD_DATE);
    int64_t changed_s, date_s = j->now_unix_s;
    if (!changed || head_field(j->request, FIELD_COOKIE) ||
        !date_parse(changed->value, j->now_unix_s, &changed_s))
        return false;
    if (date && !date_parse(date->value, j->now_unix_s, &date_s))
        date_s = j->now_unix_s;
    int64_t lifetime_s = date_s > changed_s ? (date_s - changed_s) / PART : 0;
    *ret_ms = (uint64_t)(lifetime_s < MOST_S ? lifetime_s : MOST_S) * 1000;
    return true;
}

enum status_rule {
    RULE_NEVER,     /* not stored, whatever the upstream says */
    RULE_EXPLICIT,  /* stored where the upstream says how long */
    RULE_HEURISTIC, /* ... or a guess may be made */
    RULE_ROUTE,     /* the route's lifetime holds where the upstream says nothing */
};

bool fresh_is_login_failure(unsigned status)
{
    return status == 401 || status == 407;
}

/* One client's, not everybody's: no class of statuses means it. */
static bool is_refusal(unsigned status)
{
    return status == 403 || status == 429;
}

/* What the policy says of <status>: its own entries first, then what statuses mean. */
static enum status_rule rule_for(const struct fresh_policy *policy, unsigned status,
                                 uint64_t *ret_ttl_ms)
{
    if (fresh_is_login_failure(status))
        return RULE_NEVER;
    for (unsigned i = 0; i < policy->status_ttl_count; i++) {
        unsigned low = policy->status_ttl[i].low, high = policy->status_ttl[i].high;
        if (status < low || status > high || (low != high && is_refusal(status)))
            continue;
        *ret_ttl_ms = policy->status_ttl[i].ttl_ms;
        return *ret_ttl_ms > 0 ? RULE_ROUTE : RULE_NEVER;
    }
    *ret_ttl_ms = policy->ttl_ms;
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 206:
    case 300:
    case 301:
    case 308:
        return policy->has_ttl ? RULE_ROUTE : policy->is_http ? RULE_HEURISTIC : RULE_EXPLICIT;
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
        return policy->is_http ? RULE_HEURISTIC : RULE_EXPLICIT;
    default:
        return policy->is_http ? RULE_EXPLICIT : RULE_NEVER;
    }
}

static bool takes_route_ttl(unsigned status)
{
    return status < 400;
}

/* What the upstream does not say. */
static enum store_verdict no_lifetime(struct judgement *j, enum status_rule rule, uint64_t *ret_ms)
{
    bool may_guess = rule == RULE_HEURISTIC || (j->policy->is_http && j->cc.flags & CC_PUBLIC);
    *ret_ms = 0;
    if (j->c->needs_lifetime)
        return STORE_NO_TTL;
    if (may_guess && heuristic_lifetime_ms(j, ret_ms))
        return STORE_YES;
    /* stale from the start: good for being validated */
    if (rule == RULE_HEURISTIC && can_be_validated(j)) {
        j->is_unsaid = head_field(j->request, FIELD_COOKIE) || j->c->has_credentials;
        /* of what may be its client's own a date says too little: two pages may have one */
        return j->is_unsaid && !head_field(j->response, FIELD_ETAG) ? STORE_NO_TTL : STORE_YES;
    }
    return rule == RULE_HEURISTIC || takes_route_ttl(j->response->status) ? STORE_NO_TTL
                                                                          : STORE_NO_STATUS;
}

static enum store_verdict judge_lifetime(struct judgement *j, uint64_t *ret_ms)
{
    uint64_t ttl_ms;
    enum status_rule rule = rule_for(j->policy, j->response->status, &ttl_ms);
    if (rule == RULE_NEVER)
        return STORE_NO_STATUS;
    if (explicit_lifetime_ms(j, ret_ms))
        return STORE_YES;
    if (rule == RULE_ROUTE && j->c->has_cookies)
        rule = RULE_HEURISTIC; /* the route says how long, but not that it is everybody's */
    if (rule != RULE_ROUTE)
        return no_lifetime(j, rule, ret_ms);
    *ret_ms = ttl_ms;
    return STORE_YES;
}

static bool are_digits(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.len > 0;
}

/* Section 5.1: of a list the first member, and nothing where that is no number. */
static uint64_t age_field_ms(const struct head *response)
{
    const struct field *f = head_field(response, FIELD_AGE);
    struct span rest;
    uint64_t age_s;
    if (!f)
        return 0;
    struct span first = span_trim(span_split(f->value, ',', &rest));
    if (!are_digits(first))
        return 0;
    if (!span_parse_u64(first, &age_s) || age_s > INT32_MAX)
        age_s = INT32_MAX; /* section 1.2.2: for ever */
    return age_s * 1000;
}

/* Section 4.2.3. The Date of a slow clock makes it older, that of a fast one changes nothing. A
 * route's own TTL begins when the answer comes, whatever the app's clock says. */
static uint64_t age_ms(const struct judgement *j)
{
    const struct field *date = head_field(j->response, FIELD_DATE);
    uint64_t stated = age_field_ms(j->response), apparent = 0;
    int64_t date_s;
    if (!j->policy->is_http)
        return stated;
    if (date && date_parse(date->value, j->now_unix_s, &date_s) && date_s < j->now_unix_s)
        apparent = (uint64_t)(j->now_unix_s - date_s) * 1000;
    uint64_t corrected = stated + j->c->delay_ms;
    return corrected > apparent ? corrected : apparent;
}

/* RFC 5861: what the answer says of being served stale comes before what the route says; and
 * nothing where it must be validated (RFC 9111 sections 4.2.4 and 5.2.2). */
static void judge_stale_windows(const struct judgement *j, struct freshness *ret)
{
    unsigned cc = j->cc.flags;
    ret->while_ms = j->policy->while_ms;
    ret->error_ms = j->policy->error_ms;
    if (j->policy->ignore_cache_control)
        return;
    if (cc & CC_HAS_SWR)
        ret->while_ms = (uint64_t)j->cc.swr_s * 1000;
    if (cc & CC_HAS_SIE)
        ret->error_ms = (uint64_t)j->cc.sie_s * 1000;
    bool is_strict = cc & (CC_MUST_REVALIDATE | CC_PROXY_REVALIDATE | CC_NO_CACHE);
    bool is_shared_only = cc & CC_HAS_S_MAXAGE; /* it means proxy-revalidate, too */
    if (is_strict || (is_shared_only && !(cc & CC_HAS_SWR)))
        ret->while_ms = 0;
    if (is_strict || (is_shared_only && !(cc & CC_HAS_SIE)))
        ret->error_ms = 0;
    if (is_strict || is_shared_only)
        ret->flags |= FRESH_NEVER_STALE;
    if (cc & CC_NO_CACHE)
        ret->flags |= FRESH_MUST_VALIDATE;
}

enum store_verdict fresh_judge(const struct fresh_case *c, struct freshness *ret)
{
    struct judgement j = {.c = c,
                          .policy = c->policy,
                          .request = c->request,
                          .response = c->response,
                          .now_unix_s = c->now_unix_s};
    static enum store_verdict (*const questions[])(const struct judgement *) = {
        judge_request, judge_kind, judge_directives, judge_person, judge_vary,
    };
    read_cache_control(&j);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        enum store_verdict v = questions[i](&j);
        if (v != STORE_YES)
            return v;
    }
    struct freshness f = {.age_ms = age_ms(&j)};
    uint64_t lifetime_ms;
    enum store_verdict v = judge_lifetime(&j, &lifetime_ms);
    if (v != STORE_YES)
        return v;
    /* where the answer's word does not count, the route's time begins here */
    uint64_t spent_ms = j.policy->ignore_cache_control ? 0 : f.age_ms;
    f.lifetime_ms = lifetime_ms > spent_ms ? lifetime_ms - spent_ms : 0;
    f.overdue_ms = spent_ms > lifetime_ms ? spent_ms - lifetime_ms : 0;
    f.flags = is_for_all(&j) || j.policy->share_authorized ? FRESH_FOR_AUTHORIZED : 0;
    f.keep_ms = fresh_has_validator(j.response) ? j.policy->keep_ms : 0;
    judge_stale_windows(&j, &f);
    if (j.is_unsaid) {
        f.while_ms = f.error_ms = 0;
        f.flags |= FRESH_MUST_VALIDATE | FRESH_NEVER_STALE;
    }
    bool has_windows = j.policy->is_http && (f.while_ms || f.error_ms);
    if (f.lifetime_ms == 0 && !can_be_validated(&j) && !has_windows)
        return STORE_NO_TTL;
    *ret = f;
    return STORE_YES;
}

const char *store_verdict_name(enum store_verdict v)
{
    static const char *const names[STORE_VERDICT_COUNT] = {
        [STORE_YES] = "yes",
        [STORE_NO_METHOD] = "method",
        [STORE_NO_STATUS] = "status",
        [STORE_NO_PARTIAL] = "partial",
        [STORE_NO_NO_STORE] = "no-store",
        [STORE_NO_PRIVATE] = "private",
        [STORE_NO_NO_CACHE] = "no-cache",
        [STORE_NO_SET_COOKIE] = "set-cookie",
        [STORE_NO_AUTHORIZATION] = "authorization",
        [STORE_NO_VARY_STAR] = "vary-star",
        [STORE_NO_VARIANTS] = "variants",
        [STORE_NO_TTL] = "ttl",
        [STORE_NO_REQUEST_NO_STORE] = "request-no-store",
        [STORE_NO_EVENT_STREAM] = "event-stream",
        [STORE_NO_ENDLESS] = "endless",
        [STORE_NO_JSON_INVALID] = "json-invalid",
        [STORE_NO_JSON_ERROR] = "json-error",
        [STORE_NO_STORE_IF] = "store-if",
        [STORE_NO_TTL_IF] = "ttl-if",
        [STORE_NO_TAGS] = "too-many-tags",
        [STORE_NO_IDENTITY] = "identity",
    };
    return (unsigned)v < STORE_VERDICT_COUNT ? names[v] : "unknown";
}
