/* The store's side of a flow: begin, lead or join a flight, and what it brings. */
#include "flow.h"

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
        f->is_coalesced = w->outcome != FLIGHT_UNSTORABLE;
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
    w->entry = r->entry ? entry_ref(r->entry) : NULL;
    w->vary = r->vary ? entry_ref(r->vary) : NULL;
    w->letter.on_delivery = on_letter;
    mailbox_post(w->home, &w->letter);
}

void flow_on_landed(struct flow *f, const struct flight_result *r, enum err_code stored)
{
    f->upstream_us = fetch_wait_us(f->fetch);
    f->fetch = NULL; /* it ends with this call */
    f->is_landed = true;
    f->landed = r->outcome;
    f->landed_error = r->error;
    f->is_stored = !stored;
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
                                          [STORE_MISS_INVALIDATED] = REASON_INVALIDATED};
    f->reason = reasons[miss];
    f->miss = miss;
}

static enum flow_state begin_with(struct flow *f, const struct cache_key *key, bool is_variant)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));
    if (!waiter)
        return pass(f, REASON_NOMEM, NULL);
    waiter->base.on_landed = on_landed;
    waiter->home = loop_mailbox(f->w->loop);
    waiter->flow = f;
    struct entry *e = NULL;
    struct flight *flight = NULL;
    enum store_miss miss = STORE_MISS_ABSENT;
    enum store_result rc = store_begin(f->w->store, key, f->l.route->index, &f->l.tags,
                                       mono_now_ms(), &waiter->base, &e, &flight, &miss);
    if (rc == STORE_JOINED) {
        note_miss(f, miss);
        f->waiter = waiter;
        count(&f->w->counters.coalesced_waiting);
        timer_start(f->timer, f->w->config->cache.wait_timeout_ms);
        return FLOW_WAIT;
    }
    free(waiter);
    struct route_counters *c = &f->w->routes[f->l.route->index];
    switch (rc) {
    case STORE_HIT:
        f->entry = e;
        return FLOW_DELIVER;
    case STORE_VARY:
        if (!is_variant) {
            f->vary = e;
            return FLOW_LOOKUP; /* flow_begin() goes on with the variant's key */
        }
        entry_unref(e);
        return pass(f, REASON_NOMEM, NULL);
    case STORE_LEAD:
        note_miss(f, miss);
        f->is_led = true;
        if (!flow_start_fetch(f, flight)) {
            struct flight_result r = {.outcome = FLIGHT_UNSTORABLE};
            (void)store_land(f->w->store, flight, &r, NULL, 0, mono_now_ms());
            return flow_fail(f, 503, "overloaded", "out of memory");
        }
        return FLOW_WAIT;
    case STORE_FULL:
        return pass(f, REASON_WAITERS_FULL, &c->waiters_full);
    case STORE_PASS:
        return pass(f, REASON_HIT_FOR_MISS, &c->hit_for_miss);
    default:
        return pass(f, REASON_NOMEM, NULL);
    }
}

enum flow_state flow_begin(struct flow *f)
{
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
