/* GET /api/cache/stats: the workers' counters, added up; totals and each route. */
#include "control-internal.h"

#include <stdlib.h>

static void add_counters(struct route_counters *into, const struct route_counters *from)
{
#define X(name, text) into->name += from->name;
    ROUTE_COUNTERS(X)
#undef X
    for (unsigned i = 0; i < STORE_VERDICT_COUNT; i++)
        into->refused[i] += from->refused[i];
    hist_merge(&into->hit_time, &from->hit_time);
    hist_merge(&into->miss_time, &from->miss_time);
}

static void write_times(struct json_writer *w, const char *name, const struct hist *h)
{
    uint64_t n = h->count;
    json_write_object(w, name);
    json_write_u64(w, "count", n);
    json_write_double(w, "avg", n ? (double)h->sum_us / (double)n / 1000 : 0, 3);
    json_write_double(w, "p50", (double)hist_quantile_us(h, 0.50) / 1000, 3);
    json_write_double(w, "p95", (double)hist_quantile_us(h, 0.95) / 1000, 3);
    json_write_double(w, "p99", (double)hist_quantile_us(h, 0.99) / 1000, 3);
    json_write_object_end(w);
}

static void write_counters(struct json_writer *w, const struct route_counters *c,
                           const struct store_stats *s)
{
#define X(name, text) json_write_u64(w, #name, c->name);
    ROUTE_COUNTERS(X)
#undef X
    json_write_object(w, "refused");
    for (unsigned i = 1; i < STORE_VERDICT_COUNT; i++)
        if (c->refused[i])
            json_write_u64(w, store_verdict_name((enum store_verdict)i), c->refused[i]);
    json_write_u64(w, "too-large", c->refused_too_large);
    json_write_u64(w, "overtaken", c->refused_overtaken);
    json_write_object_end(w);
    uint64_t hits = c->hits + c->stale, asked = hits + c->misses;
    json_write_double(w, "hit_ratio", asked ? (double)hits / (double)asked : 0, 4);
    json_write_u64(w, "entries", s->entries);
    json_write_u64(w, "bytes", s->bytes);
    json_write_u64(w, "evicted", s->evicted);
    json_write_u64(w, "expired", s->expired);
    json_write_u64(w, "invalidated", s->invalidated);
    json_write_object(w, "latency_ms");
    write_times(w, "hit", &c->hit_time);
    write_times(w, "miss", &c->miss_time);
    json_write_object_end(w);
}

static void write_workers(struct json_writer *w, const struct shared *s)
{
    uint64_t waiting = 0, active = 0, gone = 0, bad = 0;
    for (unsigned i = 0; i < s->worker_count; i++) {
        const struct worker_counters *c = worker_counters(s->workers[i]);
        waiting += c->coalesced_waiting;
        active += c->active;
        gone += c->clients_gone;
        bad += c->bad_requests;
    }
    json_write_u64(w, "coalesced_waiting", waiting);
    json_write_u64(w, "active", active);
    json_write_u64(w, "clients_gone", gone);
    json_write_u64(w, "bad_requests", bad);
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

static void write_all(struct call *c, const struct route *only, struct route_counters *sums,
                      struct store_stats *stored)
{
    const struct shared *s = c->control->shared;
    unsigned n = s->config->route_count;
    struct store_stats all;
    struct json_writer w;
    store_stats_read(s->store, &all, stored);
    for (unsigned r = 0; r < n; r++) {
        for (unsigned i = 0; i < s->worker_count; i++)
            add_counters(&sums[r], &worker_route_counters(s->workers[i])[r]);
        add_counters(&sums[n], &sums[r]);
    }
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_double(&w, "uptime_s", (double)(mono_now_ms() - s->started_mono_ms) / 1000, 3);
    json_write_u64(&w, "workers", s->worker_count);
    json_write_object(&w, "totals");
    write_counters(&w, &sums[n], &all);
    write_workers(&w, s);
    json_write_object_end(&w);
    json_write_object(&w, "routes");
    for (unsigned r = 0; r < n; r++) {
        if (only && only->index != r)
            continue;
        json_write_name(&w, s->config->routes[r].name);
        json_write_object(&w, NULL);
        write_counters(&w, &sums[r], &stored[r]);
        json_write_object_end(&w);
    }
    json_write_object_end(&w);
    write_upstreams(&w, s);
    write_cache(&w, s, &all);
    json_write_u64(&w, "log_dropped", log_dropped());
    json_write_object_end(&w);
}

bool api_stats(struct call *c)
{
    unsigned n = c->control->shared->config->route_count;
    char block[128];
    struct buf scratch;
    buf_init_fixed(&scratch, block, sizeof(block));
    struct span name = call_query(c, "route", &scratch);
    const struct route *only = name.p ? call_find_route(c, name) : NULL;
    if (name.p && !only)
        return call_fail(c, 404, "unknown-route", "there is no route \"%.*s\"", SPAN_ARG(name));
    struct route_counters *sums = calloc(n + 1, sizeof(*sums));
    struct store_stats *stored = calloc(n, sizeof(*stored));
    if (sums && stored)
        write_all(c, only, sums, stored);
    else
        (void)call_fail(c, 503, "overloaded", "out of memory");
    free(sums);
    free(stored);
    return true;
}
