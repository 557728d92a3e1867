/* FLOW_LIMIT: a request that costs the app something asks its rate limits, once, before anything is
 * begun for it. Limits that instances share are asked of Redis; where that is away, or does not
 * answer in time, this instance's own tables decide, which have learnt what Redis said before. */
#include "flow.h"

#include <larder/flow/limits.h>
#include <larder/http/reuse.h>
#include <larder/tier/quotas.h>

#include <stdlib.h>

enum { FIELDS_MAX = 16 * 1024 };

struct limited {
    struct limits_check check;
    enum flow_state next;
    bool is_hit;
    struct quota_call *call; /* Redis has been asked; NULL: it is not waited for */
    struct buf fields;
};

void limited_free(struct limited *l)
{
    if (!l)
        return;
    quota_call_cancel(l->call);
    buf_fini(&l->fields);
    free(l);
}

bool flow_is_unasked(const struct flow *f)
{
    return f->l.route->rate_limit.count > 0 && !f->is_limit_asked && !f->is_warm;
}

enum flow_state flow_limit(struct flow *f, enum flow_state next, bool is_hit)
{
    f->is_limit_asked = true;
    f->is_part = false; /* it is looked up anew */
    f->limited = calloc(1, sizeof(*f->limited));
    if (f->limited) {
        f->limited->next = next;
        f->limited->is_hit = is_hit;
        buf_init(&f->limited->fields, FIELDS_MAX);
    }
    return FLOW_LIMIT;
}

struct span flow_limit_fields(const struct flow *f)
{
    bool is_there = f->limited && !f->limited->fields.failed;
    return is_there ? buf_span(&f->limited->fields) : span_of(NULL, 0);
}

/* --- over the limit --- */

/* Do all limits that refuse it say so? */
static bool wants_stale(const struct limits_check *c)
{
    bool is_wanted = true;
    for (unsigned i = 0; i < c->count; i++)
        if (c->ask[i].is_over && !c->ask[i].is_dry)
            is_wanted &= c->of[i].limit->is_stale_over;
    return is_wanted;
}

/* In mode http the client may have said that it wants no such thing. */
static bool client_takes_stale(const struct flow *f)
{
    struct cache_control cc = {.flags = 0};
    if (!f->l.route->fresh.is_http || f->l.route->request_cc_ignored)
        return true;
    reuse_request_parse(f->head, &cc);
    return !(cc.flags & (CC_NO_CACHE | CC_NO_STORE | CC_HAS_MAX_AGE | CC_HAS_MIN_FRESH));
}

/* Whatever is still kept and was not taken back, unless the app forbids it (RFC 9111 section
 * 4.2.4), or it might be another's. */
static struct entry *find_stale(struct flow *f)
{
    struct entry *e = NULL;
    mono_ms now = mono_now_ms();
    if (!f->has_key || !client_takes_stale(f) ||
        lookup_may_share(f->w->shared, f->l.route, f->head))
        return NULL;
    enum store_result rc = lookup_find(f->w, &f->l, f->head, LOOKUP_KEPT, &e);
    bool is_good = (rc == STORE_STALE || rc == STORE_KEPT) &&
                   !(e->flags & (FRESH_MUST_VALIDATE | FRESH_NEVER_STALE)) &&
                   store_trusts(f->w->store, e, now) && lookup_knows_origin(f->head, e);
    bool is_anothers =
        is_good && lookup_is_personal(f->l.route, f->head) && !(e->flags & FRESH_FOR_AUTHORIZED);
    if (is_good && !is_anothers)
        return e;
    entry_unref(e);
    return NULL;
}

static enum flow_state refuse(struct flow *f)
{
    struct limited *l = f->limited;
    struct entry *e = wants_stale(&l->check) ? find_stale(f) : NULL;
    limits_tell(f->w->shared->limits, &l->check, f->l.route, f->head, buf_span(&f->id),
                e ? e->status : 429);
    if (!e) {
        limits_problem(&l->check, &f->problem);
        return FLOW_FAIL;
    }
    limits_note_stale(f->w->shared->limits, &l->check);
    entry_unref(f->entry);
    f->entry = e;
    f->is_stale = true;
    f->reason = REASON_RATE_LIMITED;
    return FLOW_DELIVER;
}

/* --- asking --- */

_Static_assert(sizeof(((struct limits_check *)0)->of[0].name) == QUOTA_NAME, "one name for both");
_Static_assert((int)ROUTE_RATE_LIMITS_MAX <= (int)QUOTA_ASKS_MAX &&
                   (int)RATE_POLICIES_MAX <= (int)QUOTA_LIMITS_MAX,
               "a route's limits are one call");

static void on_word(void *arg, const struct quota_word *word)
{
    struct flow *f = arg;
    struct limited *l = f->limited;
    struct limits *limits = f->w->shared->limits;
    l->call = NULL;
    if (word) {
        limits_decide_by(limits, &l->check, &word->state[0][0], word->is_over, mono_now_ms());
    } else {
        limits_note_alone(limits, &l->check);
        limits_decide(limits, &l->check, mono_now_ms());
    }
    flow_run(f);
}

/* False: it is for this instance to decide. */
static bool ask_redis(struct flow *f)
{
    struct limited *l = f->limited;
    struct quota_call_start s = {
        .count = l->check.count, .ask = l->check.ask, .on_done = on_word, .arg = f};
    if (!f->w->objects || !limits_are_shared(&l->check))
        return false;
    for (unsigned i = 0; i < l->check.count; i++) {
        memcpy(s.name[i], l->check.of[i].name, QUOTA_NAME);
        s.is_own[i] = !l->check.of[i].limit->is_shared;
    }
    l->call = quota_call(f->w->objects, &s);
    if (!l->call)
        limits_note_alone(f->w->shared->limits, &l->check);
    return l->call != NULL;
}

static bool begin(struct flow *f)
{
    struct limited *l = f->limited;
    struct limits_request r = {.head = f->head,
                               .captures = &f->l.captures,
                               .peer = gate_peer_addr(f->gate),
                               .is_ours = f->is_for_alias};
    return limits_prepare(f->w->shared->limits, &f->l.route->rate_limit, &r, l->is_hit, &l->check);
}

enum flow_state flow_step_limit(struct flow *f)
{
    struct limited *l = f->limited;
    struct limits *limits = f->w->shared->limits;
    if (!l)
        return flow_fail(f, 503, "overloaded", "out of memory");
    if (l->call)
        return FLOW_PAUSE; /* something else has happened: on_word() is still to come */
    if (!l->check.is_decided) {
        if (!begin(f))
            return l->next;
        if (ask_redis(f))
            return FLOW_PAUSE;
        limits_decide(limits, &l->check, mono_now_ms());
    }
    limits_fields_format(&l->check, unix_now_ms(), &l->fields);
    if (l->check.is_refused)
        return refuse(f);
    limits_tell(limits, &l->check, f->l.route, f->head, buf_span(&f->id), 0); /* what runs dry */
    return l->next;
}

void flow_stop_limits(struct worker *w)
{
    list_for_each_safe (it, next, &w->flows) {
        struct flow *f = container_of(it, struct flow, link);
        if (f->limited)
            quota_call_cancel(take(f->limited->call));
    }
}
