/* The store's side of a flow: begin, lead or join a flight, and what it brings. */
#include "flow.h"

#include <larder/http/reuse.h>

#include <stdlib.h>

static void on_letter(struct letter *l)
{
    struct waiter *w = container_of(l, struct waiter, letter);
    struct flow *f = w->flow;
    if (f) {
        f->waiter = NULL;
        f->is_landed = true;
        f->landed = w->outcome;
        f->landed_error = w->error;
        f->entry = take(w->entry);
        f->vary = take(w->vary);
        f->is_found = w->is_found;
        f->is_coalesced = w->outcome != FLIGHT_UNSTORABLE && !w->is_found;
        count_down(&f->w->counters.coalesced_waiting);
        timer_stop(f->timer);
        flow_run(f);
    }
    entry_unref(w->entry);
    entry_unref(w->vary);
    free(w);
}

/* In the thread that landed the flight: only a letter goes home. */
static void on_landed(struct flight_waiter *base, const struct flight_result *r)
{
    struct waiter *w = container_of(base, struct waiter, base);
    w->outcome = r->outcome;
    w->error = r->error;
    w->is_found = r->is_found;
    w->entry = r->entry ? entry_ref(r->entry) : NULL;
    w->vary = r->vary ? entry_ref(r->vary) : NULL;
    w->letter.on_delivery = on_letter;
    mailbox_post(w->home, &w->letter);
}

void flow_on_landed(struct flow *f, const struct flight_result *r, bool is_stored,
                    enum store_verdict verdict)
{
    f->upstream_us = fetch_wait_us(f->fetch);
    f->upstream_status = fetch_status(f->fetch);
    buf_reset(&f->own_lines);
    if (r->outcome == FLIGHT_ANSWER && !r->is_found && fetch_response(f->fetch))
        answer_own_format(fetch_response(f->fetch), flow_limit_fields(f).len > 0, &f->own_lines);
    f->fetch = NULL; /* it ends with this call */
    f->is_landed = true;
    f->landed = r->outcome;
    f->landed_error = r->error;
    f->is_found = r->is_found;
    f->is_stored = is_stored;
    f->verdict = verdict;
    f->entry = r->entry ? entry_ref(r->entry) : NULL;
    f->vary = r->vary ? entry_ref(r->vary) : NULL;
    flow_run(f);
}

/* Another's flight may have brought another variant than ours. */
bool flow_is_our_variant(struct flow *f)
{
    if (f->is_led || !f->vary)
        return true;
    struct buf text;
    struct cache_key key;
    buf_init_fixed(&text, f->w->vary_block, sizeof(f->w->vary_block));
    return lookup_variant_key(&f->l, f->head, f->vary->body, &text, &key) &&
           cache_key_eq(&key, &f->entry->key);
}

static enum flow_state pass(struct flow *f, enum reason r, _Atomic uint64_t *counter)
{
    f->reason = r;
    if (counter)
        count(counter);
    return FLOW_PASS;
}

static void note_miss(struct flow *f, enum store_miss miss)
{
    static const enum reason reasons[] = {[STORE_MISS_ABSENT] = REASON_ABSENT,
                                          [STORE_MISS_EXPIRED] = REASON_EXPIRED,
                                          [STORE_MISS_INVALIDATED] = REASON_INVALIDATED,
                                          [STORE_MISS_EVICTED] = REASON_EVICTED};
    f->reason = reasons[miss];
    f->miss = miss;
}

/* A warm job wants it new, or the client wants it validated: the upstream is asked, unless somebody
 * does so already. */
static enum flow_state fetch_anew(struct flow *f, struct entry *e, enum reason why)
{
    struct flight *flight = NULL;
    f->is_found = false;
    if (flow_is_unasked(f)) {
        entry_unref(e);
        return flow_limit(f, FLOW_LOOKUP, false);
    }
    lookup_tags(f->w->shared, &f->l, f->head, flow_whole_body(f), flow_json(f));
    if (store_refresh(f->w->store, e, &f->l.tags, mono_now_ms(), &flight) != STORE_LEAD) {
        if (why == REASON_WARM) {
            f->entry = e;
            return FLOW_DELIVER;
        }
        entry_unref(e);
        return pass(f, why, NULL); /* what is on its way may have begun before the request */
    }
    f->reason = why;
    entry_unref(f->stale); /* of a part, the whole */
    f->stale = e;
    f->is_whole_stale = false;
    return flow_lead(f, flight);
}

static enum flow_state serve(struct flow *f, struct entry *e, bool is_stale)
{
    if (f->wants_new)
        return fetch_anew(f, e, REASON_WARM);
    if (!lookup_knows_origin(f->head, e))
        return fetch_anew(f, e, REASON_ORIGIN);
    if (!f->is_warm && !lookup_may_reuse(f->l.route, f->head, e, mono_now_ms()))
        return fetch_anew(f, e, REASON_REQUEST);
    f->entry = e;
    bool is_due = is_stale || refresh_is_due(f->w, f->l.route, e, mono_now_ms());
    if (is_stale)
        f->reason = REASON_WHILE_REVALIDATE;
    if (is_due) {
        struct refresh r = {.w = f->w,
                            .gate = f->gate,
                            .head = f->head,
                            .l = &f->l,
                            .body = flow_whole_body(f),
                            .json = flow_json(f),
                            .id = buf_span(&f->id)};
        (void)refresh_start(&r, e); /* if not now, then with the next request */
    }
    return FLOW_DELIVER;
}

enum flow_state flow_serve_found(struct flow *f)
{
    struct entry *e = take(f->entry);
    timer_stop(f->timer);
    f->is_led = f->is_coalesced = false;
    return serve(f, e, entry_use_at(e, mono_now_ms()) != ENTRY_FRESH);
}

enum flow_state flow_lead(struct flow *f, struct flight *flight)
{
    f->is_led = true;
    if (!flow_start_fetch(f, flight)) {
        struct flight_result r = {.outcome = FLIGHT_UNSTORABLE};
        (void)store_land(f->w->store, flight, &r, NULL, 0, mono_now_ms());
        return flow_fail(f, 503, "overloaded", "out of memory");
    }
    return FLOW_WAIT;
}

/* How long to wait before something else is done: a stale answer served, or a fetch of our own. */
static void start_waiting(struct flow *f, bool is_leader)
{
    uint64_t deadline = f->stale ? f->l.route->deadline_ms : 0;
    uint64_t wait = is_leader ? 0 : f->w->config->cache.wait_timeout_ms;
    f->is_deadline = deadline && (is_leader || deadline < wait);
    if (f->is_deadline || wait)
        timer_start(f->timer, f->is_deadline ? deadline : wait);
}

static struct waiter *waiter_new(struct flow *f)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));
    if (!waiter)
        return NULL;
    waiter->base.on_landed = on_landed;
    waiter->home = loop_mailbox(f->w->loop);
    waiter->flow = f;
    return waiter;
}

/* What may be served if the upstream fails; of a part that is not stored still the whole. */
static void note_stale(struct flow *f, struct entry *e)
{
    if (!e && f->is_whole_stale)
        return;
    entry_unref(f->stale);
    f->stale = e;
    f->is_whole_stale = false;
}

static enum flow_state join(struct flow *f, const struct store_begun *begun, struct waiter *waiter)
{
    note_miss(f, begun->miss);
    f->waiter = waiter;
    note_stale(f, begun->entry);
    count(&f->w->counters.coalesced_waiting);
    start_waiting(f, false);
    return FLOW_WAIT;
}

static enum flow_state lead(struct flow *f, const struct store_begun *begun, bool is_alone)
{
    note_miss(f, begun->miss);
    note_stale(f, begun->entry);
    if (is_alone && !begun->entry) {
        f->reason = REASON_HIT_FOR_MISS;
        count(&f->w->routes[f->l.route->index].hit_for_miss);
    }
    start_waiting(f, true);
    return flow_lead(f, begun->flight);
}

/* Nothing under <key> can be used: the app will be asked, or another's fetch waited for. */
static bool is_miss(struct flow *f, const struct cache_key *key)
{
    struct entry *e = NULL;
    enum store_result rc = store_peek(f->w->store, key, mono_now_ms(), &e);
    entry_unref(e);
    return rc != STORE_HIT && rc != STORE_STALE && rc != STORE_VARY;
}

bool flow_is_hit(const struct flow *f)
{
    struct entry *e = NULL;
    enum store_result rc = lookup_find(f->w, &f->l, f->head, LOOKUP_KEPT, &e);
    bool is_hit = (rc == STORE_HIT || rc == STORE_STALE) && lookup_knows_origin(f->head, e) &&
                  lookup_may_reuse(f->l.route, f->head, e, mono_now_ms());
    entry_unref(e);
    return is_hit;
}

static enum flow_state begin_with(struct flow *f, const struct cache_key *key, bool is_variant)
{
    if (flow_is_unasked(f) && is_miss(f, key))
        return flow_limit(f, FLOW_LOOKUP, false);
    struct waiter *waiter = waiter_new(f);
    if (!waiter)
        return pass(f, REASON_NOMEM, NULL);
    struct store_begin b = {.key = key,
                            .route = f->l.route->index,
                            .tags = &f->l.tags,
                            .now = mono_now_ms(),
                            .waiter = &waiter->base,
                            .is_guarded = route_is_guarded(f->l.route)};
    struct store_begun begun;
    enum store_result rc = store_begin(f->w->store, &b, &begun);
    if (rc == STORE_JOINED)
        return join(f, &begun, waiter);
    free(waiter);
    switch (rc) {
    case STORE_HIT:
    case STORE_STALE:
        return serve(f, begun.entry, rc == STORE_STALE);
    case STORE_VARY:
        if (!is_variant) {
            f->vary = begun.entry;
            return FLOW_LOOKUP; /* flow_begin() goes on with the variant's key */
        }
        entry_unref(begun.entry);
        return pass(f, REASON_NOMEM, NULL);
    case STORE_LEAD:
    case STORE_ALONE:
        return lead(f, &begun, rc == STORE_ALONE);
    case STORE_FULL:
        return pass(f, REASON_WAITERS_FULL, &f->w->routes[f->l.route->index].waiters_full);
    default:
        return pass(f, REASON_NOMEM, NULL);
    }
}

/* Of a URL that is known to vary no part is kept or used: its range alone does not tell which. */
static bool has_variants(struct flow *f)
{
    struct entry *marker = lookup_marker(f->w, &f->l.key);
    bool is_marked = marker != NULL;
    entry_unref(marker);
    return is_marked;
}

/* Is the very part stored that is asked for? */
static bool find_part(struct flow *f)
{
    struct buf text;
    struct cache_key key;
    struct entry *e = NULL;
    char block[KEY_BYTES_MAX];
    buf_init_fixed(&text, block, sizeof(block));
    if (!lookup_part_key(&f->l, f->head, &text, &key) || has_variants(f) ||
        store_lookup(f->w->store, &key, mono_now_ms(), &e) == STORE_MISS)
        return false;
    if (!lookup_may_reuse(f->l.route, f->head, e, mono_now_ms())) {
        entry_unref(e);
        return false;
    }
    f->entry = e;
    return true;
}

/* A part of what is not stored whole: kept by its range, and asked for as such. */
static enum flow_state begin_part(struct flow *f)
{
    struct buf text;
    struct cache_key key;
    char block[KEY_BYTES_MAX];
    buf_init_fixed(&text, block, sizeof(block));
    if (!lookup_part_key(&f->l, f->head, &text, &key) || has_variants(f))
        return pass(f, REASON_RANGE, NULL);
    f->is_part = true;
    lookup_tags(f->w->shared, &f->l, f->head, flow_whole_body(f), flow_json(f));
    return begin_with(f, &key, true);
}

/* What is stored answers the request as it is. */
static enum flow_state reuse(struct flow *f, struct entry *e, enum store_result found)
{
    f->is_stale = found == STORE_KEPT;
    if (!f->is_stale)
        return serve(f, e, found == STORE_STALE);
    f->entry = e;
    f->reason = REASON_MAX_STALE;
    return FLOW_DELIVER;
}

static enum flow_state only_if_cached(struct flow *f)
{
    if (find_part(f))
        return FLOW_DELIVER;
    return flow_fail(f, 504, "only-if-cached",
                     "the request asks for a stored answer only, and there is none");
}

/* HEAD and Range go up as they are. If the upstream fails, what is stored whole may do; it is the
 * flow's. */
static enum flow_state pass_as_asked(struct flow *f, struct entry *e, enum store_result found)
{
    if (e && found != STORE_KEPT) /* it is fresh: the request wants it confirmed, or nothing */
        f->reason = REASON_REQUEST;
    f->stale = e;
    f->is_whole_stale = true;
    return f->head->method == METHOD_HEAD ? FLOW_PASS : begin_part(f);
}

/* Mode http, and the client has a say: what is stored decides what can be done for it. FLOW_LOOKUP:
 * nothing special, the store begins as always. */
static enum flow_state look_first(struct flow *f)
{
    const struct route *r = f->l.route;
    struct cache_control cc = {.flags = 0};
    struct entry *e = NULL;
    f->is_whole_stale = false;
    if (!r->request_cc_ignored)
        reuse_request_parse(f->head, &cc);
    enum store_result found = lookup_find(f->w, &f->l, f->head, LOOKUP_KEPT, &e);
    bool is_good = e && store_trusts(f->w->store, e, mono_now_ms());
    if (is_good && lookup_knows_origin(f->head, e) &&
        lookup_may_reuse(r, f->head, e, mono_now_ms()))
        return reuse(f, e, found);
    note_miss(f, e ? STORE_MISS_EXPIRED : STORE_MISS_ABSENT);
    if (!(cc.flags & (CC_ONLY_IF_CACHED | CC_NO_STORE)) &&
        (f->head->method == METHOD_HEAD || head_field(f->head, FIELD_RANGE)))
        return pass_as_asked(f, e, found);
    bool is_usable = e && found != STORE_KEPT, is_personal = lookup_is_personal(r, f->head);
    if (is_usable && !is_personal && !(cc.flags & (CC_ONLY_IF_CACHED | CC_NO_STORE)))
        return fetch_anew(f, e, REASON_REQUEST);
    entry_unref(e);
    if (cc.flags & CC_ONLY_IF_CACHED)
        return only_if_cached(f);
    if (cc.flags & CC_NO_STORE)
        return pass(f, REASON_NO_STORE, NULL);
    return is_usable ? pass(f, REASON_AUTHORIZATION, NULL) : FLOW_LOOKUP;
}

enum flow_state flow_begin(struct flow *f)
{
    entry_unref(take(f->stale)); /* of an earlier turn */
    if (f->l.route->fresh.is_http && !f->is_warm) {
        enum flow_state first = look_first(f);
        if (first != FLOW_LOOKUP)
            return first;
    }
    lookup_tags(f->w->shared, &f->l, f->head, flow_whole_body(f), flow_json(f));
    enum flow_state next = begin_with(f, &f->l.key, false);
    if (next != FLOW_LOOKUP)
        return next;
    struct buf text;
    struct cache_key key;
    char block[KEY_BYTES_MAX];
    buf_init_fixed(&text, block, sizeof(block));
    bool is_key = lookup_variant_key(&f->l, f->head, f->vary->body, &text, &key);
    entry_unref(take(f->vary));
    return is_key ? begin_with(f, &key, true) : pass(f, REASON_KEY, NULL);
}

bool flow_may_serve_stale(const struct flow *f)
{
    mono_ms now = mono_now_ms();
    if (!f->stale || !entry_may_hide_error(f->stale, now) ||
        !store_trusts(f->w->store, f->stale, now))
        return false;
    if (f->reason == REASON_REQUEST) /* it wants what is confirmed, or nothing */
        return false;
    bool is_anothers =
        lookup_is_personal(f->l.route, f->head) && !(f->stale->flags & FRESH_FOR_AUTHORIZED);
    return !is_anothers && lookup_knows_origin(f->head, f->stale);
}

bool flow_may_hide_error(struct flow *f)
{
    if (!flow_may_serve_stale(f))
        return false;
    if (refresh_may_hide_error(f->w, f->l.route))
        return true;
    count(&f->w->routes[f->l.route->index].stale_budget_spent);
    return false;
}

enum flow_state flow_serve_stale(struct flow *f, enum reason why)
{
    entry_unref(f->entry);
    f->entry = take(f->stale);
    f->reason = why;
    f->is_stale = true;
    return FLOW_DELIVER;
}
