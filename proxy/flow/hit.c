/* The gate's question about each request, and the hit path: match, key, lookup, one write. All
 * scratch is the worker's; the only numbers formatted are Age, the TTL left, the request's id, and
 * of a part (206) its range and length.
 */
#include "flow-internal.h"

static void release_entry(void *owner)
{
    entry_unref(owner);
}

static void count_it(struct worker *w, const struct lookup *l, const struct entry *e, bool is_stale,
                     uint64_t us)
{
    struct route_counters *c = &w->routes[l->route->index];
    count(&c->requests);
    count(is_stale ? &c->stale : &c->hits);
    if (is_stale)
        count(&c->stale_while_revalidate);
    count_add(&c->saved_us, e->fetch_us);
    hist_record(&c->hit_time, us);
    count_values(w, e->value, e->value_count, is_stale ? VALUE_STALE : VALUE_HIT, e->fetch_us);
}

struct answered {
    const struct lookup *l;
    const struct entry *e;
    struct span id;
    unsigned status;
    uint64_t body_bytes;
    bool is_stale;
};

static void log_hit(struct worker *w, const struct gate *g, const struct head *h,
                    const struct answered *a, mono_ms now)
{
    char block[512];
    struct buf target;
    uint64_t us = mono_now_us() - gate_started_us(g);
    struct route_counters *c = &w->routes[a->l->route->index];
    count_it(w, a->l, a->e, a->is_stale, us);
    if (a->status == 304)
        count(&c->not_modified);
    count_add(&c->body_bytes, a->body_bytes);
    buf_init_fixed(&target, block, sizeof(block));
    struct access_record r = {.time_unix_ms = unix_now_ms(),
                              .method = h->method_text,
                              .target = route_shown_target(a->l->route, h, &target),
                              .client = gate_peer(g),
                              .route = a->l->route->name,
                              .key = cache_key_readable(&a->e->key),
                              .request_id = a->id,
                              .outcome = a->is_stale ? "stale" : "hit",
                              .status = a->status,
                              .age_s = (uint32_t)entry_age_s(a->e, now),
                              .body_bytes = a->body_bytes,
                              .total_us = us};
    if (w->access)
        log_access(w->access, &r);
}

static void answer_hit(struct worker *w, struct gate *g, const struct head *h,
                       const struct lookup *l, struct entry *e, const struct answer_shape *shape,
                       struct span id, bool is_stale)
{
    char lines_block[512];
    struct buf lines;
    mono_ms now = mono_now_ms();
    buf_init_fixed(&lines, lines_block, sizeof(lines_block));
    bool close = gate_must_close(g);
    struct answer_lines parts = {.entry = e,
                                 .shape = shape,
                                 .id = id,
                                 .close = close,
                                 .keep_alive_10 = h->minor == 0,
                                 .detail = is_stale ? reason_name(REASON_WHILE_REVALIDATE) : NULL};
    answer_lines_format(&parts, now, &lines);
    struct iovec iov[4] = {{(void *)shape->start.p, shape->start.len},
                           {(void *)shape->head.p, shape->head.len},
                           {lines.p, lines.len},
                           {(void *)shape->body.p, shape->body.len}};
    struct answered a = {.l = l,
                         .e = e,
                         .id = id,
                         .status = shape->status,
                         .body_bytes = shape->body.len,
                         .is_stale = is_stale};
    log_hit(w, g, h, &a, now);
    unsigned from = shape->start.len ? 0 : 1;
    gate_answer(g, iov + from, (int)(4 - from), close, release_entry, e);
}

/* Stale, or near its end: fetched anew in the background, and served as it is meanwhile. */
static void refresh(struct worker *w, struct gate *g, const struct head *h, struct lookup *l,
                    struct entry *e, struct span id)
{
    struct refresh r = {.w = w, .gate = g, .head = h, .l = l, .id = id};
    (void)refresh_start(&r, e); /* if not now, then with the next request */
}

enum gate_verdict hit_on_head(void *arg, struct gate *g, const struct head *h)
{
    struct worker *w = arg;
    if ((h->method != METHOD_GET && h->method != METHOD_HEAD) || h->framing != FRAMING_NONE)
        return GATE_TAKE;
    if (h->expects_other || !config_allows_method(w->config, h))
        return GATE_TAKE; /* to be refused */
    struct lookup l;
    l.is_https = lookup_is_https(w->config, h, g);
    l.route = route_match(w->config->routes, w->config->route_count, h, &l.captures);
    if (l.route->rate_limit.counts_hits || lookup_may_share(w->shared, l.route, h) != REASON_NONE ||
        head_field(h, FIELD_LARDER_WARM))
        return GATE_TAKE;
    if (w->shared->is_control && w->shared->is_control(w->shared->control, h))
        return GATE_TAKE;
    if (lookup_is_cut_off(w, l.route))
        return GATE_TAKE;
    if (lookup_build_key(w->shared, &l, h, span_of(NULL, 0), NULL, w->key_block,
                         sizeof(w->key_block)) != KEY_OK)
        return GATE_TAKE;
    struct entry *e = NULL;
    enum store_result rc = lookup_find(w, &l, h, LOOKUP_USABLE, &e);
    if (rc != STORE_HIT && rc != STORE_STALE)
        return GATE_TAKE;
    if (!lookup_knows_origin(h, e) || !lookup_may_reuse(l.route, h, e, mono_now_ms())) {
        entry_unref(e);
        return GATE_TAKE;
    }
    struct answer_shape shape;
    answer_shape(h, e, &shape);
    if (shape.status == 416) {
        entry_unref(e);
        return GATE_TAKE;
    }
    char id_block[128];
    struct buf id;
    buf_init_fixed(&id, id_block, sizeof(id_block));
    request_id_make(w, h, g, &id);
    if (rc == STORE_STALE || refresh_is_due(w, l.route, e, mono_now_ms()))
        refresh(w, g, h, &l, e, buf_span(&id));
    answer_hit(w, g, h, &l, e, &shape, buf_span(&id), rc == STORE_STALE);
    return GATE_ANSWERED;
}
