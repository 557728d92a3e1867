/* The performance log: of each route that had requests since the last time, one line of figures.
 * What the counters were then is kept, and taken off what they are now. */
#include "control-internal.h"

#include <larder/base/log.h>
#include <larder/base/monotime.h>

#include <stdlib.h>

struct performance {
    const struct shared *shared;
    uint64_t every_ms;
    mono_ms since_mono_ms;
    struct route_counters now;
    struct route_counters last[]; /* of each route */
};

struct performance *performance_new(const struct shared *s)
{
    unsigned n = s->config->route_count;
    struct performance *p = calloc(1, sizeof(*p) + n * sizeof(p->last[0]));
    if (!p)
        return NULL;
    p->shared = s;
    p->every_ms = s->config->log.performance_interval_ms;
    p->since_mono_ms = mono_now_ms();
    return p;
}

void performance_free(struct performance *p)
{
    free(p);
}

static void write_times(struct json_writer *w, const char *name, const struct hist *h)
{
    json_write_object(w, name);
    json_write_double(w, "avg", hist_average_us(h) / 1000, 3);
    json_write_double(w, "p95", (double)hist_quantile_us(h, 0.95) / 1000, 3);
    json_write_double(w, "p99", (double)hist_quantile_us(h, 0.99) / 1000, 3);
    json_write_object_end(w);
}

static void write_latency(struct json_writer *w, const struct route_counters *c)
{
    struct hist all;
    counters_all_times(c, &all);
    json_write_object(w, "larder.latency_ms");
    write_times(w, "hit", &c->hit_time);
    write_times(w, "miss", &c->miss_time);
    write_times(w, "all", &all);
    json_write_object_end(w);
}

static void tell_route(const struct performance *p, const struct route *r, uint64_t interval_ms)
{
    enum { LINE_BYTES = 4096, NAME_MAX_BYTES = 256 };
    const struct route_counters *c = &p->now;
    char line[LINE_BYTES], when_block[40];
    struct buf out, when;
    struct json_writer w;
    uint64_t hits = c->hits + c->stale, asked = hits + c->misses;
    buf_init_fixed(&out, line, sizeof(line));
    buf_init_fixed(&when, when_block, sizeof(when_block));
    log_time_format(unix_now_ms(), &when);
    json_writer_init(&w, &out);
    json_write_object(&w, NULL);
    json_write_span(&w, "@timestamp", buf_span(&when));
    json_write_str(&w, "event.action", "performance");
    json_write_double(&w, "larder.interval_s", (double)interval_ms / 1000, 3);
    json_write_span(
        &w, "larder.route",
        span_of(r->name.p, r->name.len < NAME_MAX_BYTES ? r->name.len : NAME_MAX_BYTES));
    json_write_u64(&w, "larder.requests", c->requests);
    json_write_u64(&w, "larder.hits", hits);
    json_write_u64(&w, "larder.misses", c->misses);
    json_write_u64(&w, "larder.errors", c->errors);
    json_write_double(&w, "larder.hit_ratio", asked ? (double)hits / (double)asked : 0, 4);
    write_latency(&w, c);
    json_write_object_end(&w);
    if (!out.failed)
        log_line(LOG_PERFORMANCE, buf_span(&out));
}

void performance_tell(struct performance *p)
{
    mono_ms now = mono_now_ms();
    const struct config *c = p->shared->config;
    for (unsigned i = 0; i < c->route_count; i++) {
        counters_sum(p->shared, i, &p->now);
        if (p->now.requests == p->last[i].requests)
            continue;
        counters_subtract(&p->now, &p->last[i]);
        tell_route(p, &c->routes[i], (uint64_t)(now - p->since_mono_ms));
        counters_add(&p->last[i], &p->now);
    }
    p->since_mono_ms = now;
}

void performance_tick(struct performance *p)
{
    if (mono_now_ms() - p->since_mono_ms >= (mono_ms)p->every_ms)
        performance_tell(p);
}
