/* GET /api/cache/stats: the workers' counters, added up; totals and each route, since the start and
 * over the last minute and hour; or for one value of a parameter, or one tag. */
#include "control-internal.h"

#include <larder/base/log.h>
#include <larder/http/key.h>
#include <larder/http/uri.h>

#include <stdlib.h>

void stats_write_times(struct json_writer *w, const char *name, const struct hist *h)
{
    json_write_object(w, name);
    json_write_u64(w, "count", h->count);
    json_write_double(w, "avg", hist_average_us(h) / 1000, 3);
    json_write_double(w, "p50", (double)hist_quantile_us(h, 0.50) / 1000, 3);
    json_write_double(w, "p95", (double)hist_quantile_us(h, 0.95) / 1000, 3);
    json_write_double(w, "p99", (double)hist_quantile_us(h, 0.99) / 1000, 3);
    json_write_object_end(w);
}

static void write_ratio(struct json_writer *w, uint64_t hits, uint64_t misses)
{
    uint64_t asked = hits + misses;
    json_write_double(w, "hit_ratio", asked ? (double)hits / (double)asked : 0, 4);
}

static void write_latency(struct json_writer *w, const struct route_counters *c)
{
    struct hist all;
    json_write_object(w, "latency_ms");
    stats_write_times(w, "hit", &c->hit_time);
    stats_write_times(w, "miss", &c->miss_time);
    counters_all_times(c, &all);
    stats_write_times(w, "all", &all);
    json_write_object_end(w);
}

static void write_reasons(struct json_writer *w, const struct route_counters *c)
{
    json_write_object(w, "refused");
    for (unsigned i = 1; i < STORE_VERDICT_COUNT; i++)
        if (c->refused[i])
            json_write_u64(w, store_verdict_name((enum store_verdict)i), c->refused[i]);
    json_write_u64(w, "too-large", c->refused_too_large);
    json_write_u64(w, "overtaken", c->refused_overtaken);
    json_write_object_end(w);
    json_write_object(w, "bypassed");
    for (unsigned i = 1; i < REASON_COUNT; i++)
        if (c->bypassed[i])
            json_write_u64(w, reason_name((enum reason)i), c->bypassed[i]);
    json_write_object_end(w);
}

/* What the app was spared: calls, and the time that they would have taken. */
static void write_saved(struct json_writer *w, const struct route_counters *c)
{
    json_write_object(w, "saved");
    json_write_u64(w, "upstream_calls", c->hits + c->stale + c->coalesced);
    json_write_double(w, "upstream_ms", (double)c->saved_us / 1000, 1);
    json_write_object_end(w);
}

static void write_counters(struct json_writer *w, const struct route_counters *c)
{
#define X(name, text) json_write_u64(w, #name, c->name);
    ROUTE_COUNTERS(X)
#undef X
    write_reasons(w, c);
    write_ratio(w, c->hits + c->stale, c->misses);
    write_saved(w, c);
    write_latency(w, c);
}

/* A window's few figures that people look at first. */
static void write_summary(struct json_writer *w, const char *name, const struct route_counters *c)
{
    json_write_object(w, name);
    json_write_u64(w, "requests", c->requests);
    json_write_u64(w, "hits", c->hits);
    json_write_u64(w, "stale", c->stale);
    json_write_u64(w, "misses", c->misses);
    json_write_u64(w, "bypasses", c->bypasses);
    json_write_u64(w, "errors", c->errors);
    json_write_u64(w, "fetches", c->fetches);
    write_ratio(w, c->hits + c->stale, c->misses);
    write_latency(w, c);
    json_write_object_end(w);
}

static void write_stored(struct json_writer *w, const struct store_stats *s)
{
    json_write_u64(w, "entries", s->entries);
    json_write_u64(w, "markers", s->markers);
    json_write_u64(w, "bytes", s->bytes);
    json_write_u64(w, "evicted", s->evicted);
    json_write_u64(w, "expired", s->expired);
    json_write_u64(w, "invalidated", s->invalidated);
}

/* What of the config would change what, for what has happened so far. */
static void write_advice(struct json_writer *w, const struct route *r,
                         const struct route_counters *c)
{
    bool has_any = false;
    for (unsigned i = 1; i < REASON_COUNT; i++) {
        char block[600];
        struct buf text;
        buf_init_fixed(&text, block, sizeof(block));
        if (c->bypassed[i] && i != REASON_NOT_CACHED)
            reason_advice_format((enum reason)i, r, &text);
        if (!text.len)
            continue;
        if (!has_any)
            json_write_array(w, "advice");
        has_any = true;
        json_write_span(w, NULL, buf_span(&text));
    }
    if (has_any)
        json_write_array_end(w);
}

static void write_switch(struct json_writer *w, const struct route_switch *s)
{
    if (!s->is_off && !s->has_ttl)
        return;
    json_write_object(w, "switched");
    json_write_bool(w, "enabled", !s->is_off);
    if (s->has_ttl)
        json_write_u64(w, "ttl_ms", s->ttl_ms);
    json_write_object_end(w);
}

static void write_workers(struct json_writer *w, const struct shared *s)
{
    uint64_t waiting = 0, active = 0, gone = 0, bad = 0, shaken = 0, resumed = 0, failed = 0;
    uint64_t opened = 0, open = 0;
    for (unsigned i = 0; i < s->worker_count; i++) {
        const struct worker_counters *c = worker_counters(s->workers[i]);
        waiting += c->coalesced_waiting;
        active += c->active;
        gone += c->clients_gone;
        bad += c->bad_requests;
        opened += c->tunnels;
        open += c->tunnels_open;
        shaken += c->tls_handshakes;
        resumed += c->tls_resumed;
        failed += c->tls_failures;
    }
    json_write_u64(w, "coalesced_waiting", waiting);
    json_write_u64(w, "active", active);
    json_write_u64(w, "clients_gone", gone);
    json_write_u64(w, "bad_requests", bad);
    json_write_object(w, "tunnels");
    json_write_u64(w, "opened", opened);
    json_write_u64(w, "open", open);
    json_write_object_end(w);
    json_write_object(w, "tls");
    json_write_u64(w, "handshakes", shaken);
    json_write_u64(w, "resumed", resumed);
    json_write_u64(w, "failures", failed);
    json_write_object_end(w);
}

static void write_upstreams(struct json_writer *w, const struct shared *s)
{
    json_write_object(w, "upstreams");
    for (unsigned i = 0; i < s->config->upstream_count; i++) {
        struct upstream_stats u;
        upstream_stats_read(s->upstreams[i], &u);
        json_write_name(w, s->config->upstreams[i].name);
        json_write_object(w, NULL);
        json_write_u64(w, "active", u.active);
        json_write_u64(w, "idle", u.idle);
        json_write_u64(w, "waiting", u.waiting);
        json_write_u64(w, "max_connections", u.max_connections);
        json_write_u64(w, "requests", u.requests);
        json_write_u64(w, "reused", u.reused);
        json_write_double(w, "reuse_rate", u.requests ? (double)u.reused / (double)u.requests : 0,
                          4);
        json_write_u64(w, "connects", u.connects);
        json_write_u64(w, "connect_failures", u.connect_failures);
        json_write_u64(w, "retries", u.retries);
        json_write_u64(w, "errors", u.errors);
        json_write_object_end(w);
    }
    json_write_object_end(w);
}

static void write_cache(struct json_writer *w, const struct shared *s, const struct store_stats *a)
{
    json_write_object(w, "cache");
    json_write_u64(w, "entries", a->entries);
    json_write_u64(w, "bytes", a->bytes);
    json_write_u64(w, "max_bytes", s->config->cache.max_bytes);
    json_write_u64(w, "max_entries", s->config->cache.max_entries);
    json_write_u64(w, "inserted", a->inserted);
    json_write_u64(w, "evicted", a->evicted);
    json_write_u64(w, "expired", a->expired);
    json_write_u64(w, "invalidated", a->invalidated);
    json_write_u64(w, "too_large", a->too_large);
    json_write_u64(w, "overtaken", a->overtaken);
    json_write_object_end(w);
}

struct reading {
    struct call *call;
    const struct shared *shared;
    enum window window;
    struct route_counters *now, *part, *sum; /* scratch: they are large */
    struct store_stats all, *stored;
};

/* Where answers came from: this process's memory, and what instances share. */
static void write_tiers(struct json_writer *w, const struct reading *r)
{
    const struct route_counters *c = r->sum;
    struct tier *t = r->shared->tier;
    uint64_t memory_hits = c->hits + c->stale - c->redis_hits;
    json_write_object(w, "tiers");
    json_write_object(w, "memory");
    json_write_u64(w, "hits", memory_hits);
    json_write_u64(w, "misses", c->misses + c->redis_hits);
    write_ratio(w, memory_hits, c->misses + c->redis_hits);
    write_stored(w, &r->all);
    json_write_object_end(w);
    if (t) {
        const struct tier_counters *n = tier_counters(t);
        json_write_object(w, "redis");
        json_write_u64(w, "hits", n->hits);
        json_write_u64(w, "misses", n->misses);
        write_ratio(w, n->hits, n->misses);
        json_write_object_end(w);
    }
    json_write_object_end(w);
}

/* The figures of <r->now>, whose number is <route>, in the window that was asked for. */
static void write_windows(struct json_writer *w, struct reading *r, unsigned route,
                          const struct store_stats *stored)
{
    const struct windows *windows = r->call->control->windows;
    windows_read(windows, route, r->window, r->now, r->part);
    write_counters(w, r->part);
    write_stored(w, stored);
    windows_read(windows, route, WINDOW_MINUTE, r->now, r->part);
    write_summary(w, "minute", r->part);
    windows_read(windows, route, WINDOW_HOUR, r->now, r->part);
    write_summary(w, "hour", r->part);
}

static void write_routes(struct json_writer *w, struct reading *r, const struct route *only)
{
    const struct shared *s = r->shared;
    json_write_object(w, "routes");
    for (unsigned i = 0; i < s->config->route_count; i++) {
        if (only && only->index != i)
            continue;
        counters_sum(s, i, r->now);
        json_write_name(w, s->config->routes[i].name);
        json_write_object(w, NULL);
        write_switch(w, &s->switches[i]);
        write_windows(w, r, i, &r->stored[i]);
        write_advice(w, &s->config->routes[i], r->now);
        json_write_object_end(w);
    }
    json_write_object_end(w);
}

static const char *const window_names[] = {"start", "minute", "hour"};

static void write_all(struct reading *r, const struct route *only)
{
    const struct shared *s = r->shared;
    unsigned n = s->config->route_count;
    struct json_writer w;
    store_stats_read(s->store, &r->all, r->stored);
    memset(r->sum, 0, sizeof(*r->sum));
    for (unsigned i = 0; i < n; i++) {
        counters_sum(s, i, r->now);
        counters_add(r->sum, r->now);
    }
    memcpy((void *)r->now, (const void *)r->sum, sizeof(*r->now));
    json_writer_init(&w, &r->call->reply);
    json_write_object(&w, NULL);
    json_write_double(&w, "uptime_s", (double)(mono_now_ms() - s->started_mono_ms) / 1000, 3);
    json_write_str(&w, "window", window_names[r->window]);
    json_write_object(&w, "totals");
    write_windows(&w, r, n, &r->all);
    write_workers(&w, s);
    json_write_object_end(&w);
    write_routes(&w, r, only);
    write_tiers(&w, r);
    stats_write_redis(&w, s, &r->part->hit_time);
    stats_write_limits(&w, s);
    write_upstreams(&w, s);
    write_cache(&w, s, &r->all);
    jobs_write(r->call->control, &w);
    json_write_object(&w, "values");
    json_write_u64(&w, "counted", values_count(s->values));
    json_write_u64(&w, "not_counted", values_dropped(s->values));
    json_write_object_end(&w);
    json_write_u64(&w, "log_dropped", log_dropped());
    json_write_object_end(&w);
}

/* --- for one value or tag --- */

static void sum_value(const struct shared *s, uint16_t number, struct value_counters *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (unsigned i = 0; i < s->worker_count; i++) {
        const struct value_counters *c = &worker_value_counters(s->workers[i])[number];
#define X(name, text) ret->name += c->name;
        VALUE_COUNTERS(X)
#undef X
    }
}

/* Answers with "label=value" in any route that has such a parameter. */
static void sum_stored(const struct shared *s, struct span label, struct span value,
                       uint64_t *entries, uint64_t *bytes)
{
    for (unsigned i = 0; i < s->config->route_count; i++) {
        const struct route *r = &s->config->routes[i];
        const struct param *p = route_param(r, label);
        char block[4096];
        struct buf tag;
        uint64_t n, b;
        if (!p)
            continue;
        buf_init_fixed(&tag, block, sizeof(block));
        route_param_tag_format(r, p, s->config->secret, value, &tag);
        store_tag_stats(s->store, tag_of(buf_span(&tag)), &n, &b);
        *entries += n;
        *bytes += b;
    }
}

bool stats_read_value(struct call *c, struct span label, struct span value,
                      struct value_figures *ret)
{
    const struct shared *s = c->control->shared;
    *ret = (struct value_figures){.is_tag = !label.p};
    buf_init_fixed(&ret->text, ret->block, sizeof(ret->block));
    if (ret->is_tag) {
        buf_add_span(&ret->text, value);
    } else {
        key_add_value(&ret->text, label);
        buf_add_char(&ret->text, '=');
        key_add_value(&ret->text, value);
    }
    struct span text = buf_span(&ret->text);
    if (!access_may_name(c, text))
        return !call_fail(c, 403, "forbidden", "the token is bound to other tags and values");
    uint16_t number = ret->text.failed ? 0 : values_lookup(s->values, text);
    ret->is_counted = number != 0; /* number 0 is the sum of all that found no place */
    if (ret->is_counted)
        sum_value(s, number, &ret->sum);
    if (ret->is_tag)
        store_tag_stats(s->store, tag_of(text), &ret->entries, &ret->bytes);
    else
        sum_stored(s, label, value, &ret->entries, &ret->bytes);
    return true;
}

void stats_write_value(struct call *c, const struct value_figures *v)
{
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_span(&w, v->is_tag ? "tag" : "value", buf_span(&v->text));
    json_write_bool(&w, "counted", v->is_counted);
#define X(name, unused) json_write_u64(&w, #name, v->sum.name);
    VALUE_COUNTERS(X)
#undef X
    write_ratio(&w, v->sum.hits + v->sum.stale, v->sum.misses);
    json_write_u64(&w, "entries", v->entries);
    json_write_u64(&w, "bytes", v->bytes);
    json_write_object_end(&w);
}

static bool write_value(struct call *c, struct span label, struct span value)
{
    struct value_figures v;
    if (stats_read_value(c, label, value, &v))
        stats_write_value(c, &v);
    return true;
}

static bool is_label(const struct shared *s, struct span name)
{
    for (unsigned i = 0; i < s->config->route_count; i++)
        if (route_param(&s->config->routes[i], name))
            return true;
    return false;
}

/* ?tag=... or ?label=value; *ret_found tells whether one of them is there. */
static bool stats_of_value(struct call *c, bool *ret_found)
{
    char tag_block[1100], name_block[256], value_block[1100];
    struct buf tag, name, value;
    struct span raw_name, raw_value, rest = c->query;
    buf_init_fixed(&tag, tag_block, sizeof(tag_block));
    struct span tag_text = call_query(c, "tag", &tag);
    *ret_found = true;
    if (tag_text.p)
        return write_value(c, span_of(NULL, 0), tag_text);
    while (uri_query_next(&rest, &raw_name, &raw_value)) {
        buf_init_fixed(&name, name_block, sizeof(name_block));
        buf_init_fixed(&value, value_block, sizeof(value_block));
        uri_decode(raw_name, true, &name);
        uri_decode(raw_value, true, &value);
        if (!is_label(c->control->shared, buf_span(&name)))
            continue;
        return write_value(c, buf_span(&name), buf_span(&value));
    }
    *ret_found = false;
    return true;
}

static bool read_window(struct call *c, enum window *ret)
{
    char block[32];
    struct buf scratch;
    buf_init_fixed(&scratch, block, sizeof(block));
    struct span text = call_query(c, "window", &scratch);
    for (unsigned i = 0; i < array_len(window_names); i++)
        if (text.p && span_eq(text, span_str(window_names[i])))
            *ret = (enum window)i;
    if (!text.p || span_eq(text, span_str(window_names[*ret])))
        return true;
    return !call_fail(c, 400, "bad-value", "\"window\" must be start, minute or hour");
}

bool api_stats(struct call *c)
{
    const struct shared *s = c->control->shared;
    struct reading r = {.call = c, .shared = s, .window = WINDOW_START};
    char block[128];
    struct buf scratch;
    bool is_value;
    (void)stats_of_value(c, &is_value);
    if (is_value)
        return true;
    if (access_is_bound(c))
        return call_fail(c, 403, "forbidden",
                         "the token is bound: ask for its own with ?label=value or ?tag=");
    buf_init_fixed(&scratch, block, sizeof(block));
    struct span name = call_query(c, "route", &scratch);
    const struct route *only = name.p ? call_find_route(c, name) : NULL;
    if (name.p && !only)
        return call_fail(c, 404, "unknown-route", "there is no route \"%.*s\"", CUT(name));
    if (!read_window(c, &r.window))
        return true;
    r.now = malloc(3 * sizeof(*r.now));
    r.stored = calloc(s->config->route_count, sizeof(*r.stored));
    if (r.now && r.stored) {
        r.part = r.now + 1;
        r.sum = r.now + 2;
        write_all(&r, only);
    } else {
        (void)call_fail_nomem(c);
    }
    free(r.now);
    free(r.stored);
    return true;
}
