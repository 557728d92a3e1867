/* The gate's question about each request, and the hit path: match, key, lookup, one write. All
 * scratch is the worker's; the only numbers formatted are Age, the TTL left and the request's id.
 */
#include "flow-internal.h"

static void release_entry(void *owner)
{
    entry_unref(owner);
}

static void log_hit(struct worker *w, const struct gate *g, const struct head *h,
                    const struct lookup *l, const struct entry *e, uint64_t body_bytes,
                    struct span id, unsigned status, mono_ms now)
{
    uint64_t us = mono_now_us() - gate_started_us(g);
    struct route_counters *c = &w->routes[l->route->index];
    count(&c->requests);
    count(&c->hits);
    if (status == 304)
        count(&c->not_modified);
    count_add(&c->body_bytes, body_bytes);
    hist_record(&c->hit_time, us);
    struct access_record r = {.time_unix_ms = unix_now_ms(),
                              .method = h->method_text,
                              .target = h->target,
                              .client = gate_peer(g),
                              .route = l->route->name,
                              .key = span_of(e->key.text.p, e->key.primary_len),
                              .request_id = id,
                              .outcome = "hit",
                              .status = status,
                              .age_s = (uint32_t)entry_age_s(e, now),
                              .body_bytes = body_bytes,
                              .total_us = us};
    if (w->access)
        log_access(w->access, &r);
}

static void answer_hit(struct worker *w, struct gate *g, const struct head *h,
                       const struct lookup *l, struct entry *e)
{
    char lines_block[512], id_block[128];
    struct buf lines, id;
    mono_ms now = mono_now_ms();
    buf_init_fixed(&lines, lines_block, sizeof(lines_block));
    buf_init_fixed(&id, id_block, sizeof(id_block));
    request_id_make(w, h, g, &id);
    bool is_304 = answer_is_not_modified(h, e);
    bool close = gate_must_close(g);
    struct answer_lines parts = {
        .entry = e, .id = buf_span(&id), .close = close, .keep_alive_10 = h->minor == 0};
    answer_lines_format(&parts, now, &lines);
    struct span head = is_304 ? e->head_304 : e->head;
    struct span body = is_304 || h->method == METHOD_HEAD ? span_of(NULL, 0) : e->body;
    struct iovec iov[3] = {
        {(void *)head.p, head.len}, {lines.p, lines.len}, {(void *)body.p, body.len}};
    log_hit(w, g, h, l, e, body.len, buf_span(&id), is_304 ? 304 : e->status, now);
    gate_answer(g, iov, 3, close, release_entry, e);
}

enum gate_verdict hit_on_head(void *arg, struct gate *g, const struct head *h)
{
    struct worker *w = arg;
    if ((h->method != METHOD_GET && h->method != METHOD_HEAD) || h->framing != FRAMING_NONE)
        return GATE_TAKE;
    struct lookup l;
    l.route = route_match(w->config->routes, w->config->route_count, h, &l.captures);
    if (lookup_may_share(l.route, h) != REASON_NONE)
        return GATE_TAKE;
    if (w->shared->is_control && w->shared->is_control(h))
        return GATE_TAKE;
    if (lookup_build_key(w, &l, h, span_of(NULL, 0), NULL, w->key_block, sizeof(w->key_block)) !=
        KEY_OK)
        return GATE_TAKE;
    struct entry *e = NULL;
    if (lookup_find(w, &l, h, &e) != STORE_HIT)
        return GATE_TAKE;
    answer_hit(w, g, h, &l, e);
    return GATE_ANSWERED;
}
