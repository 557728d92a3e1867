/* Answers out of the cache, and those of larder's own. Here a flow ends: it is counted and logged.
 */
#include "flow.h"

static void release_entry(void *owner)
{
    entry_unref(owner);
}

static const char *fetched_outcome(const struct flow *f)
{
    if (!f->is_led && !f->is_coalesced)
        return "hit";
    return f->is_coalesced ? "coalesced" : "miss";
}

enum flow_state flow_step_deliver(struct flow *f)
{
    struct entry *e = f->entry;
    char lines_block[1024], status_block[256];
    struct buf lines, status;
    buf_init_fixed(&lines, lines_block, sizeof(lines_block));
    buf_init_fixed(&status, status_block, sizeof(status_block));
    f->outcome = fetched_outcome(f);
    bool is_hit = !f->is_led && !f->is_coalesced;
    if (!is_hit)
        flow_cache_status_format(f, e->status, &status);
    mono_ms now = mono_now_ms();
    bool is_304 = answer_is_not_modified(f->head, e);
    bool close = gate_must_close(f->gate);
    struct answer_lines parts = {.entry = e,
                                 .cache_status = buf_span(&status),
                                 .id = buf_span(&f->id),
                                 .close = close,
                                 .keep_alive_10 = f->head->minor == 0};
    answer_lines_format(&parts, now, &lines);
    struct span head = is_304 ? e->head_304 : e->head;
    f->status = is_304 ? 304 : e->status;
    f->age_s = entry_age_s(e, now);
    gate_write_ref(f->gate, head.p, head.len, release_entry, entry_ref(e));
    gate_write(f->gate, lines.p, lines.len);
    if (!is_304 && f->head->method != METHOD_HEAD && e->body.len > 0) {
        f->body_bytes = e->body.len;
        gate_write_ref(f->gate, e->body.p, e->body.len, release_entry, entry_ref(e));
    }
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

enum flow_state flow_step_fail(struct flow *f)
{
    struct buf out, status;
    char block[2048], status_block[320];
    buf_init_fixed(&out, block, sizeof(block));
    buf_init_fixed(&status, status_block, sizeof(status_block));
    if (f->fetch)
        fetch_leave(take(f->fetch));
    buf_add_str(&status, "X-Request-Id: ");
    buf_add_span(&status, buf_span(&f->id));
    buf_add_str(&status, "\r\n");
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

static void count_outcome(struct flow *f, struct route_counters *c, uint64_t us)
{
    count(&c->requests);
    count_add(&c->body_bytes, f->body_bytes);
    count_add(&c->upstream_us, f->upstream_us);
    switch (f->outcome[0]) {
    case 'h': /* hit */
        count(&c->hits);
        if (f->status == 304)
            count(&c->not_modified);
        hist_record(&c->hit_time, us);
        return;
    case 'c': /* coalesced */
        count(&c->coalesced);
        break;
    case 'm': /* miss */
        break;
    case 'b': /* bypass */
        count(&c->bypasses);
        hist_record(&c->miss_time, us);
        return;
    case 'e': /* error */
        count(&c->errors);
        return;
    default:
        return; /* gone */
    }
    count(&c->misses);
    hist_record(&c->miss_time, us);
    _Atomic uint64_t *reasons[] = {[STORE_MISS_ABSENT] = &c->miss_absent,
                                   [STORE_MISS_EXPIRED] = &c->miss_expired,
                                   [STORE_MISS_INVALIDATED] = &c->miss_invalidated};
    count(reasons[f->miss]);
}

void flow_log(struct flow *f)
{
    uint64_t us = mono_now_us() - f->started_us;
    const struct route *r = f->l.route;
    if (!r) /* refused before it was routed: the last route takes all */
        r = &f->w->config->routes[f->w->config->route_count - 1];
    count_outcome(f, &f->w->routes[r->index], us);
    struct access_record rec = {.time_unix_ms = unix_now_ms(),
                                .method = f->head->method_text,
                                .target = f->head->target,
                                .client = f->gate ? gate_peer(f->gate) : span_of(NULL, 0),
                                .route = r->name,
                                .key = f->has_key ? f->l.key.text : span_of(NULL, 0),
                                .reason = span_str(reason_name(f->reason)),
                                .request_id = buf_span(&f->id),
                                .outcome = f->outcome,
                                .status = f->status,
                                .age_s = (uint32_t)f->age_s,
                                .body_bytes = f->body_bytes,
                                .total_us = us,
                                .upstream_us = f->upstream_us};
    if (f->outcome[0] == 'h')
        rec.reason = span_of(NULL, 0);
    else if (f->outcome[0] == 'e' && f->problem.type)
        rec.reason = span_str(f->problem.type);
    if (f->w->access)
        log_access(f->w->access, &rec);
}
