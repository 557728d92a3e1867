/* What other instances have fetched already. Before the upstream Redis is asked, under the flight's
 * key and, behind a marker, under the variant's; what it has lands the flight as if it had been
 * here. Where it has nothing, or nothing that this request may have, the exchange begins that was
 * put aside meanwhile. */
#include "fetch-internal.h"

#include <stdlib.h>

enum { LEASE_MS = 10000, LEASE_MIN_MS = 1000, LEASE_MAX_MS = 60000, NEWER_MS = 1000 };

static uint64_t lease_ms(const struct route *r)
{
    uint64_t ms = r->first_byte_timeout_ms ? r->first_byte_timeout_ms : LEASE_MS;
    return ms < LEASE_MIN_MS ? LEASE_MIN_MS : ms > LEASE_MAX_MS ? LEASE_MAX_MS : ms;
}

/* Half as long as a request waits behind one of this instance: those behind this one shall still
 * get what it fetches then. */
static mono_ms wait_end_ms(const struct fetch *f)
{
    uint64_t lease = lease_ms(f->l.route), wait = f->w->config->cache.wait_timeout_ms;
    return mono_now_ms() + (wait && wait / 2 < lease ? wait / 2 : lease);
}

/* Below 0 where that was before the clock began. */
static int64_t expires_ms(const struct entry *e)
{
    return (int64_t)(e->stored_mono_ms + e->lifetime_ms) - (int64_t)e->overdue_ms;
}

/* Not the one that is held, which came back: its times are off by the clocks and the way. What was
 * invalidated softly does not come back. */
static bool is_newer(const struct entry *e, const struct entry *old)
{
    int64_t half = (int64_t)(e->lifetime_ms / 2);
    int64_t least = half < NEWER_MS ? half : NEWER_MS;
    return atomic_load(&old->soft_ms) || expires_ms(e) >= expires_ms(old) + least;
}

/* A TTL that control has set here holds for what is stored here from then on. */
static bool obeys_switch(const struct fetch *f, const struct entry *e)
{
    const struct route_switch *s = &f->w->shared->switches[f->l.route->index];
    bool is_switched =
        !f->l.route->fresh.is_http && atomic_load_explicit(&s->has_ttl, memory_order_relaxed);
    return !is_switched || e->lifetime_ms <= s->ttl_ms;
}

static bool is_good(void *arg, const struct entry *e)
{
    const struct fetch *f = arg;
    const struct cache_key *k = flight_key(f->flight);
    mono_ms now = mono_now_ms();
    if (e->kind == ENTRY_VARY) /* an answer never stands behind two markers */
        return !f->found_vary && k->text.len == k->primary_len;
    enum entry_use use = entry_use_at(e, now);
    bool is_usable = use == ENTRY_FRESH || (use == ENTRY_STALE_WHILE && !f->is_refresh);
    return e->kind == ENTRY_RESPONSE && is_usable && obeys_switch(f, e) &&
           (!f->old || is_newer(e, f->old)) && lookup_knows_origin(f->request, e) &&
           (f->is_refresh || lookup_may_reuse(f->l.route, f->request, e, now));
}

static void on_done(void *arg, enum object_result result, struct entry *e,
                    const struct object_lease *l);

static bool ask(struct fetch *f, const struct cache_key *key)
{
    const struct route *r = f->l.route;
    mono_ms now = mono_now_ms();
    struct object_get_start s = {.route = r,
                                 .key = key,
                                 .began = flight_began(f->flight),
                                 .wants_lease = r->is_fleet_coalesced,
                                 .lease_ms = lease_ms(r),
                                 .wait_ms = f->wait_end_ms > now ? f->wait_end_ms - now : 0,
                                 .is_good = is_good,
                                 .on_done = on_done,
                                 .arg = f};
    tier_stamp_now(f->w->shared->tier, &s.stamp);
    f->get = objects_get(f->w->objects, &s);
    return f->get != NULL;
}

/* False: it has no key, or Redis cannot be asked any more. */
static bool ask_for_variant(struct fetch *f)
{
    const struct cache_key *k = flight_key(f->flight);
    struct lookup l = {.route = f->l.route, .is_https = f->l.is_https, .key = *k};
    struct buf text;
    struct cache_key key;
    char block[KEY_BYTES_MAX];
    buf_init_fixed(&text, block, sizeof(block));
    return lookup_variant_key(&l, f->request, f->found_vary->body, &text, &key) && ask(f, &key);
}

static void begin_pending(struct fetch *f)
{
    struct exchange_request req = f->pending;
    f->pending.head = span_of(NULL, 0);
    if (!fetch_begin(f, &req))
        fetch_fail(f, UPSTREAM_BAD_ANSWER);
    free((void *)req.head.p);
}

static void on_done(void *arg, enum object_result result, struct entry *e,
                    const struct object_lease *l)
{
    struct fetch *f = arg;
    if (result == OBJECT_WAIT)
        return; /* it comes again */
    f->get = NULL;
    if (l)
        f->lease = *l;
    if (e && e->kind == ENTRY_RESPONSE) {
        fetch_land_found(f, e);
        entry_unref(e);
        fetch_free(f);
        return;
    }
    if (e)
        f->found_vary = e; /* and kept, where Redis has not the variant */
    if (!e || !ask_for_variant(f))
        begin_pending(f);
}

bool fetch_ask_shared(struct fetch *f, const struct fetch_start *s)
{
    const struct exchange_request *x = &s->exchange;
    if (!f->w->objects || !f->flight || f->l.route->shared != SHARED_FULL || s->is_part ||
        s->wants_new || flight_is_alone(f->flight) || x->body_kind == EXCHANGE_STREAMED_BODY)
        return false;
    char *head = malloc(x->head.len);
    if (!head)
        return false;
    memcpy(head, x->head.p, x->head.len);
    f->pending = *x;
    f->pending.head.p = head;
    f->pending.body = span_of(f->request_body, f->request_body_len);
    f->wait_end_ms = wait_end_ms(f);
    if (ask(f, flight_key(f->flight)))
        return true;
    free(head);
    f->pending.head = span_of(NULL, 0);
    return false;
}

void fetch_leave_shared(struct fetch *f)
{
    objects_get_cancel(take(f->get));
    free((void *)f->pending.head.p);
    f->pending.head = span_of(NULL, 0);
    entry_unref(take(f->found_vary));
    fetch_release_lease(f);
}

void fetch_stop_all_shared(struct worker *w)
{
    list_for_each_safe (it, next, &w->fetches) {
        struct fetch *f = container_of(it, struct fetch, link);
        if (f->get)
            fetch_fail(f, UPSTREAM_STOPPED);
    }
}

void fetch_share(struct fetch *f, struct entry *e, struct entry *marker)
{
    if (!f->w->objects || f->l.route->shared != SHARED_FULL || f->is_part)
        return;
    struct object_lease lease = f->lease;
    f->lease.is_held = false;
    /* the marker last: who waits for the lease looks for it first */
    objects_put(f->w->objects, f->l.route, e, &f->stamp, marker ? NULL : &lease);
    if (marker)
        objects_put(f->w->objects, f->l.route, marker, &f->stamp, &lease);
}

void fetch_release_lease(struct fetch *f)
{
    if (f->lease.is_held)
        objects_release(f->w->objects, &f->lease);
    f->lease.is_held = false;
}
