/* Answers out of the cache, and those of larder's own. Here a flow ends: it is counted and logged.
 */
#include "flow.h"

#define FOUND "redis" /* the detail of a hit that other instances have made possible */

static void release_entry(void *owner)
{
    entry_unref(owner);
}

static const char *fetched_outcome(const struct flow *f)
{
    if (f->is_stale || f->reason == REASON_WHILE_REVALIDATE)
        return "stale";
    if (!f->is_led && !f->is_coalesced)
        return "hit";
    return f->is_coalesced ? "coalesced" : "miss";
}

/* In an upstream's place: it was asked, or is being asked, and the stale answer goes out. */
static void format_stale_status(const struct flow *f, mono_ms now, struct buf *out)
{
    int64_t ttl = entry_ttl_s(f->entry, now);
    buf_add_str(out, "fwd=stale; ttl=");
    buf_add_str(out, ttl < 0 ? "-" : "");
    buf_add_u64(out, (uint64_t)(ttl < 0 ? -ttl : ttl));
    buf_add_str(out, "; detail=");
    buf_add_str(out, reason_name(f->reason));
}

enum flow_state flow_step_deliver(struct flow *f)
{
    struct entry *e = f->entry;
    char lines_block[1024], status_block[256];
    struct buf lines, status;
    buf_init_fixed(&lines, lines_block, sizeof(lines_block));
    buf_init_fixed(&status, status_block, sizeof(status_block));
    f->outcome = fetched_outcome(f);
    bool is_unasked = f->reason == REASON_WHILE_REVALIDATE || f->reason == REASON_MAX_STALE ||
                      f->reason == REASON_RATE_LIMITED;
    if (f->is_stale && !is_unasked)
        format_stale_status(f, mono_now_ms(), &status);
    else if (f->is_led || f->is_coalesced)
        flow_cache_status_format(f, f->upstream_status ? f->upstream_status : e->status, &status);
    mono_ms now = mono_now_ms();
    struct answer_shape shape;
    answer_shape(f->head, e, &shape);
    if (shape.status == 416) {
        f->unsatisfied_length = shape.length;
        return flow_fail(f, 416, "range", "the range begins behind the end of what there is");
    }
    bool close = gate_must_close(f->gate);
    struct answer_lines parts = {.entry = e,
                                 .shape = &shape,
                                 .cache_status = buf_span(&status),
                                 .detail = is_unasked    ? reason_name(f->reason)
                                           : f->is_found ? FOUND
                                                         : NULL,
                                 .id = buf_span(&f->id),
                                 .is_first = f->is_led && !f->is_stale,
                                 .close = close,
                                 .keep_alive_10 = f->head->minor == 0};
    answer_lines_format(&parts, now, &lines);
    f->status = shape.status;
    f->age_s = entry_age_s(e, now);
    f->body_bytes = shape.body.len;
    gate_write(f->gate, shape.start.p, shape.start.len);
    gate_write_ref(f->gate, shape.head.p, shape.head.len, release_entry, entry_ref(e));
    struct span limits = flow_limit_fields(f);
    gate_write(f->gate, limits.p, limits.len);
    if (parts.is_first && !f->own_lines.failed)
        gate_write(f->gate, f->own_lines.p, f->own_lines.len);
    gate_write(f->gate, lines.p, lines.len);
    if (shape.body.len > 0)
        gate_write_ref(f->gate, shape.body.p, shape.body.len, release_entry, entry_ref(e));
    flow_log(f);
    gate_finish(f->gate, close);
    return FLOW_DONE;
}

enum flow_state flow_fail_upstream(struct flow *f, enum upstream_error e)
{
    unsigned status = upstream_error_status(e);
    const char *name = upstream_error_name(e);
    struct buf detail;
    buf_init_fixed(&detail, f->detail, sizeof(f->detail) - 1);
    buf_add_str(&detail, "the upstream \"");
    buf_add_span(&detail, f->w->config->upstreams[f->l.route->upstream].name);
    buf_add_str(&detail, "\" gave no answer: ");
    buf_add_str(&detail, name);
    f->detail[detail.len] = '\0';
    f->problem.proxy_status = name;
    if (status == 503)
        f->problem.retry_after_s = 1;
    return flow_fail(f, status, name, f->detail);
}

/* RFC 9211: was the upstream asked at all? */
static void add_fwd(const struct flow *f, struct buf *out)
{
    if (f->entry && !f->is_led && !f->is_coalesced) {
        buf_add_str(out, "hit; "); /* of what is stored whole, no part was wanted that it has */
        return;
    }
    if (!f->is_led && !f->is_coalesced && !f->problem.proxy_status)
        return;
    buf_add_str(out, "fwd=");
    buf_add_str(out, flow_fwd_word(f));
    buf_add_str(out, "; ");
}

/* RFC 9110 section 10.2.1. */
static void add_allow(const struct config *c, struct buf *out)
{
    buf_add_str(out, "Allow: ");
    for (unsigned i = 0; i < c->limits.method_count; i++) {
        buf_add_str(out, i ? ", " : "");
        buf_add_span(out, c->limits.methods[i]);
    }
    buf_add_str(out, "\r\n");
}

enum flow_state flow_step_fail(struct flow *f)
{
    struct buf out, status;
    char block[24 * 1024], status_block[18 * 1024]; /* with RateLimit fields they may be long */
    buf_init_fixed(&out, block, sizeof(block));
    buf_init_fixed(&status, status_block, sizeof(status_block));
    if (f->fetch)
        fetch_leave(take(f->fetch));
    buf_add_str(&status, "Cache-Status: larder; ");
    add_fwd(f, &status);
    buf_add_str(&status, "detail=");
    buf_add_str(&status, f->problem.type);
    buf_add_str(&status, "\r\nX-Request-Id: ");
    buf_add_span(&status, buf_span(&f->id));
    buf_add_str(&status, "\r\n");
    if (!f->problem.proxy_status)
        f->problem.proxy_status = reply_proxy_status(f->problem.status);
    if (f->problem.status == 405)
        add_allow(f->w->config, &status);
    if (f->problem.status == 416)
        buf_add_fmt(&status, "Content-Range: bytes */%llu\r\n",
                    (unsigned long long)f->unsatisfied_length);
    buf_add_span(&status, flow_limit_fields(f));
    bool has_body = gate_body_state(f->gate) != BODY_NONE && gate_body_state(f->gate) != BODY_WHOLE;
    bool close = gate_must_close(f->gate) || has_body;
    f->problem.close = close;
    f->problem.keep_alive_10 = f->head->minor == 0;
    f->problem.head_only = f->head->method == METHOD_HEAD;
    f->problem.request_id = buf_span(&f->id);
    f->problem.extra_fields = buf_span(&status);
    f->body_bytes = reply_problem_format(&f->problem, &out);
    f->status = f->problem.status;
    f->outcome = "error";
    gate_write(f->gate, out.p, out.len);
    flow_log(f);
    gate_finish(f->gate, close);
    return FLOW_DONE;
}

static void count_stale(struct flow *f, struct route_counters *c)
{
    count(&c->stale);
    if (f->reason != REASON_MAX_STALE) /* the client's wish, and none of the route's windows */
        count(f->reason == REASON_DEADLINE       ? &c->stale_deadline
              : f->reason == REASON_IF_ERROR     ? &c->stale_if_error
              : f->reason == REASON_RATE_LIMITED ? &c->stale_rate_limited
                                                 : &c->stale_while_revalidate);
}

static void count_hit(struct flow *f, struct route_counters *c, uint64_t us, bool is_stale)
{
    uint64_t saved = f->entry ? f->entry->fetch_us : 0;
    if (is_stale)
        count_stale(f, c);
    else
        count(&c->hits);
    if (!is_stale && f->is_found)
        count(&c->redis_hits);
    if (f->status == 304)
        count(&c->not_modified);
    count_add(&c->saved_us, saved);
    hist_record(&c->hit_time, us);
    if (f->entry)
        count_values(f->w, f->entry->value, f->entry->value_count,
                     is_stale ? VALUE_STALE : VALUE_HIT, saved);
}

static void count_miss(struct flow *f, struct route_counters *c, uint64_t us)
{
    _Atomic uint64_t *reasons[] = {[STORE_MISS_ABSENT] = &c->miss_absent,
                                   [STORE_MISS_EXPIRED] = &c->miss_expired,
                                   [STORE_MISS_INVALIDATED] = &c->miss_invalidated,
                                   [STORE_MISS_EVICTED] = &c->miss_evicted};
    count(&c->misses);
    count(reasons[f->miss]);
    hist_record(&c->miss_time, us);
    if (f->is_coalesced)
        count(&c->coalesced);
    count_values(f->w, f->l.value, f->l.value_count, f->is_coalesced ? VALUE_COALESCED : VALUE_MISS,
                 f->upstream_us);
}

static void count_outcome(struct flow *f, struct route_counters *c, uint64_t us)
{
    count(&c->requests);
    count_add(&c->body_bytes, f->body_bytes);
    count_add(&c->upstream_us, f->upstream_us);
    if (f->is_warm) {
        count(&c->warmed);
        return;
    }
    switch (f->outcome[0]) {
    case 'h': /* hit */
    case 's': /* stale */
        count_hit(f, c, us, f->outcome[0] == 's');
        return;
    case 'c': /* coalesced */
    case 'm': /* miss */
        count_miss(f, c, us);
        return;
    case 'b': /* bypass */
        count(&c->bypasses);
        hist_record(&c->miss_time, us);
        return;
    case 't': /* tunnel: it ends when it likes, so its time says nothing */
        count(&c->bypasses);
        return;
    case 'e': /* error */
        count(&c->errors);
        return;
    default:
        return; /* gone */
    }
}

void flow_log(struct flow *f)
{
    char block[512];
    struct buf target;
    uint64_t us = mono_now_us() - f->started_us;
    const struct route *r = f->l.route;
    buf_init_fixed(&target, block, sizeof(block));
    const struct config *c = f->w->config;
    const struct route *shown = route_shown_as(c->routes, c->route_count, r, f->head);
    if (!r) /* refused before it was routed: the last route takes all */
        r = &c->routes[c->route_count - 1];
    count_outcome(f, &f->w->routes[r->index], us);
    struct access_record rec = {.time_unix_ms = unix_now_ms(),
                                .method = f->head->method_text,
                                .target = route_shown_target(shown, f->head, &target),
                                .client = f->gate ? gate_peer(f->gate) : span_of(NULL, 0),
                                .route = r->name,
                                .key =
                                    f->has_key ? cache_key_readable(&f->l.key) : span_of(NULL, 0),
                                .reason = span_str(reason_name(f->reason)),
                                .request_id = buf_span(&f->id),
                                .outcome = f->outcome,
                                .status = f->status,
                                .age_s = (uint32_t)f->age_s,
                                .body_bytes = f->body_bytes,
                                .request_bytes = f->request_bytes,
                                .total_us = us,
                                .upstream_us = f->upstream_us,
                                .is_stored = f->is_stored};
    if (f->outcome[0] == 'h')
        rec.reason = span_str(f->is_found ? FOUND : NULL);
    else if (f->outcome[0] == 'e' && f->problem.type)
        rec.reason = span_str(f->problem.type);
    if (f->w->access)
        log_access(f->w->access, &rec);
}
