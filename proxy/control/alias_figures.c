/* Figures for templates. The counters are added up at the first question, and all of an answer's
 * figures are of that moment. */
#include "alias-internal.h"

#include <larder/tier/objects.h>

#include <stdlib.h>
#include <time.h>

enum { STATS_DEPTH = 16 };

void alias_figures_init(struct alias_figures *f, struct call *c)
{
    *f = (struct alias_figures){.control = c->control, .call = c, .one_index = -1};
}

void alias_figures_fini(struct alias_figures *f)
{
    free(f->sum);
    free(f->stored);
    json_doc_free(f->stats);
    f->sum = NULL;
    f->stored = NULL;
    f->stats = NULL;
}

bool alias_figures_of(struct alias_figures *f, struct span body)
{
    enum { DEPTH = 80 }; /* of the config and the request together */
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    if (json_parse(body, NULL, 0, DEPTH, &doc, NULL) != ERR_OK)
        return !call_fail_nomem(f->call);
    const struct json *value = json_root(doc)->first;
    bool is_text = value && (value->type == JSON_STRING || value->type == JSON_NUMBER);
    if (value && !is_text)
        return !call_fail(f->call, 400, "bad-value", "%.*s must be a text or a number",
                          CUT(value->name));
    if (!value)
        return true;
    f->has_value = true;
    bool is_tag = span_eq(value->name, SPAN_LIT("tag"));
    return stats_read_value(f->call, is_tag ? span_of(NULL, 0) : value->name, value->text,
                            &f->value);
}

/* --- of routes --- */

static bool add_up(struct alias_figures *f)
{
    const struct shared *s = f->control->shared;
    if (f->sum)
        return true;
    f->sum = malloc(2 * sizeof(*f->sum));
    f->stored = calloc(s->config->route_count, sizeof(*f->stored));
    if (!f->sum || !f->stored)
        return false;
    f->one = f->sum + 1;
    memset((void *)f->sum, 0, sizeof(*f->sum));
    store_stats_read(s->store, &f->all, f->stored);
    for (unsigned i = 0; i < s->config->route_count; i++) {
        if (!s->config->routes[i].cached)
            continue;
        counters_sum(s, i, f->one);
        counters_add(f->sum, f->one);
    }
    return true;
}

static const struct route_counters *counters_of(struct alias_figures *f, int index)
{
    if (index < 0)
        return f->sum;
    if (f->one_index != index)
        counters_sum(f->control->shared, (unsigned)index, f->one);
    f->one_index = index;
    return f->one;
}

static void set_count(struct reply_datum *d, uint64_t v)
{
    d->kind = DATUM_COUNT;
    d->count = v;
}

static void set_real(struct reply_datum *d, double v)
{
    d->kind = DATUM_REAL;
    d->real = v;
}

static void set_ratio(struct reply_datum *d, uint64_t part, uint64_t all)
{
    set_real(d, all ? (double)part / (double)all : 0);
}

static void set_latency(const struct route_counters *c, enum reply_name name, struct reply_datum *d)
{
    static const double quantiles[] = {0, 0.50, 0.95, 0.99};
    unsigned which = (name - REPLY_LATENCY_HIT_AVG) / 4, what = (name - REPLY_LATENCY_HIT_AVG) % 4;
    struct hist all;
    counters_all_times(c, &all);
    const struct hist *const of[] = {&c->hit_time, &c->miss_time, &all}, *h = of[which];
    set_real(d, (what ? (double)hist_quantile_us(h, quantiles[what]) : hist_average_us(h)) / 1000);
}

static void set_speedup(const struct route_counters *c, struct reply_datum *d)
{
    double hit = hist_average_us(&c->hit_time), miss = hist_average_us(&c->miss_time);
    set_real(d, hit > 0 ? miss / hit : 0);
}

static void set_ttl(const struct alias_figures *f, int index, struct reply_datum *d)
{
    const struct shared *s = f->control->shared;
    const struct route_switch *w = &s->switches[index];
    uint64_t ms = w->has_ttl ? w->ttl_ms : s->config->routes[index].fresh.ttl_ms;
    if (ms % 1000)
        set_real(d, (double)ms / 1000);
    else
        set_count(d, ms / 1000);
}

/* What is configured; a route without a limit of its own has the cache's. */
static void set_limit(const struct alias_figures *f, const struct reply_value *v,
                      struct reply_datum *d)
{
    const struct config *c = f->control->shared->config;
    const struct route *r = v->index < 0 ? NULL : &c->routes[v->index];
    uint64_t own = !r ? 0 : v->name == REPLY_MAX_BYTES ? r->max_bytes : r->max_entries;
    set_count(d, own                          ? own
                 : v->name == REPLY_MAX_BYTES ? c->cache.max_bytes
                                              : c->cache.max_entries);
}

static void set_stored(const struct store_stats *s, enum reply_name name, struct reply_datum *d)
{
    set_count(d, name == REPLY_ENTRIES   ? s->entries
                 : name == REPLY_BYTES   ? s->bytes
                 : name == REPLY_EVICTED ? s->evicted
                 : name == REPLY_EXPIRED ? s->expired
                                         : s->invalidated);
}

/* Those of one value; false: that is not counted by value, and <d> is untouched. */
static bool set_of_value(const struct value_figures *v, enum reply_name name, struct reply_datum *d)
{
    uint64_t hits = v->sum.hits + v->sum.stale, lookups = hits + v->sum.misses;
    switch (name) {
    case REPLY_HITS:
        set_count(d, hits);
        return true;
    case REPLY_MISSES:
        set_count(d, v->sum.misses);
        return true;
    case REPLY_LOOKUPS:
    case REPLY_REQUESTS:
        set_count(d, lookups);
        return true;
    case REPLY_HIT_RATIO:
        set_ratio(d, hits, lookups);
        return true;
    case REPLY_COALESCED:
        set_count(d, v->sum.coalesced);
        return true;
    case REPLY_ENTRIES:
        set_count(d, v->entries);
        return true;
    case REPLY_BYTES:
        set_count(d, v->bytes);
        return true;
    default:
        return false;
    }
}

/* A bound token sees what is counted of its own value, and what tells of nobody; other figures are
 * of all, and absent for it. */
static bool may_see(const struct alias_figures *f, const struct reply_value *v)
{
    bool is_of_nobody =
        v->group == REPLY_OF_INSTANCE || (v->group == REPLY_OF_REDIS && v->name == REPLY_AVAILABLE);
    if (v->group == REPLY_OF_ROUTE)
        is_of_nobody =
            v->name == REPLY_TTL || v->name == REPLY_MAX_ENTRIES || v->name == REPLY_MAX_BYTES;
    return is_of_nobody || !access_is_bound(f->call);
}

static bool set_of_route(struct alias_figures *f, const struct reply_value *v,
                         struct reply_datum *d)
{
    if (f->has_value && v->index < 0 && set_of_value(&f->value, v->name, d))
        return true;
    if (!may_see(f, v))
        return true;
    if (!add_up(f))
        return false;
    const struct route_counters *c = counters_of(f, v->index);
    uint64_t hits = c->hits + c->stale, lookups = hits + c->misses;
    switch (v->name) {
    case REPLY_HITS:
        set_count(d, hits);
        break;
    case REPLY_MISSES:
        set_count(d, c->misses);
        break;
    case REPLY_LOOKUPS:
        set_count(d, lookups);
        break;
    case REPLY_REQUESTS:
        set_count(d, c->requests);
        break;
    case REPLY_HIT_RATIO:
        set_ratio(d, hits, lookups);
        break;
    case REPLY_FETCHES:
        set_count(d, c->fetches);
        break;
    case REPLY_COALESCED:
        set_count(d, c->coalesced);
        break;
    case REPLY_ERRORS:
        set_count(d, c->errors);
        break;
    case REPLY_MAX_ENTRIES:
    case REPLY_MAX_BYTES:
        set_limit(f, v, d);
        break;
    case REPLY_SPEEDUP:
        set_speedup(c, d);
        break;
    case REPLY_TTL:
        set_ttl(f, v->index, d);
        break;
    default:
        if (v->name >= REPLY_LATENCY_HIT_AVG && v->name <= REPLY_LATENCY_ALL_P99)
            set_latency(c, v->name, d);
        else
            set_stored(v->index < 0 ? &f->all : &f->stored[v->index], v->name, d);
    }
    return true;
}

/* --- of all else --- */

static void set_of_upstream(const struct alias_figures *f, const struct reply_value *v,
                            struct reply_datum *d)
{
    struct upstream_stats u;
    upstream_stats_read(f->control->shared->upstreams[v->index], &u);
    if (v->name == REPLY_REUSE_RATIO)
        set_ratio(d, u.reused, u.requests);
    else
        set_count(d, v->name == REPLY_POOL_MAX  ? u.max_connections
                     : v->name == REPLY_ACTIVE  ? u.active
                     : v->name == REPLY_IDLE    ? u.idle
                     : v->name == REPLY_WAITING ? u.waiting
                     : v->name == REPLY_SENT    ? u.requests
                     : v->name == REPLY_REUSED  ? u.reused
                     : v->name == REPLY_FAULTS  ? u.errors
                                                : u.connect_failures);
}

/* Without Redis it is not available, and all is 0. */
static void set_of_redis(const struct alias_figures *f, enum reply_name name, struct reply_datum *d)
{
    struct tier *t = f->control->shared->tier;
    struct tier_state state = {0};
    uint64_t hits = t ? tier_counters(t)->hits : 0, misses = t ? tier_counters(t)->misses : 0;
    if (t)
        tier_state_read(t, &state);
    if (name == REPLY_AVAILABLE) {
        d->kind = DATUM_BOOL;
        d->is_true = state.is_available;
    } else if (name == REPLY_REDIS_HIT_RATIO) {
        set_ratio(d, hits, hits + misses);
    } else {
        set_count(d, name == REPLY_KEYS         ? t ? tier_keys(t) : 0
                     : name == REPLY_REDIS_HITS ? hits
                                                : misses);
    }
}

static void set_of_jobs(const struct alias_figures *f, enum reply_name name, struct reply_datum *d)
{
    struct jobs_figures j;
    jobs_figures_read(f->control, &j);
    set_count(d, name == REPLY_QUEUED    ? j.queued
                 : name == REPLY_RUNNING ? j.running
                 : name == REPLY_DONE    ? j.done
                                         : j.failed);
}

static void set_of_limit(const struct alias_figures *f, const struct reply_value *v,
                         struct reply_datum *d)
{
    struct limits_figures l;
    limits_figures_read(f->control->shared->limits, (unsigned)v->index, mono_now_ms(), &l);
    set_count(d, v->name == REPLY_ALLOWED ? l.allowed : l.refused);
}

static void set_of_instance(struct alias_figures *f, enum reply_name name, struct reply_datum *d)
{
    struct timespec now;
    if (name == REPLY_UPTIME) {
        set_real(d, (double)(mono_now_ms() - f->control->shared->started_mono_ms) / 1000);
        return;
    }
    if (!f->now_unix_us) {
        clock_gettime(CLOCK_REALTIME, &now);
        f->now_unix_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    }
    d->kind = DATUM_TIME;
    d->unix_us = f->now_unix_us;
}

/* GET /api/cache/stats as a tree; NULL: no memory. */
static const struct json *whole_stats(struct alias_figures *f)
{
    struct call *part = f->stats ? NULL : call_part_new(f->call, "/api/cache/stats");
    if (!f->stats && part && api_stats(part) && !part->problem)
        (void)!json_parse(buf_span(&part->reply), NULL, 0, STATS_DEPTH, &f->stats, NULL);
    call_part_free(part);
    return f->stats ? json_root(f->stats) : NULL;
}

static bool set_of_stats(struct alias_figures *f, const struct reply_value *v,
                         struct reply_datum *d)
{
    const struct json *root = whole_stats(f);
    if (!root)
        return false;
    const struct json *j = json_pointer(root, v->pointer);
    d->kind = j ? DATUM_JSON : DATUM_ABSENT;
    d->json = j;
    return true;
}

bool alias_figures_value(struct alias_figures *f, const struct reply_value *v,
                         struct reply_datum *ret)
{
    if (v->group != REPLY_OF_ROUTE && !may_see(f, v))
        return true;
    switch (v->group) {
    case REPLY_OF_ROUTE:
        return set_of_route(f, v, ret);
    case REPLY_OF_UPSTREAM:
        set_of_upstream(f, v, ret);
        return true;
    case REPLY_OF_REDIS:
        set_of_redis(f, v->name, ret);
        return true;
    case REPLY_OF_JOBS:
        set_of_jobs(f, v->name, ret);
        return true;
    case REPLY_OF_INSTANCE:
        set_of_instance(f, v->name, ret);
        return true;
    case REPLY_OF_LIMIT:
        set_of_limit(f, v, ret);
        return true;
    case REPLY_OF_STATS:
        return set_of_stats(f, v, ret);
    default:
        return true; /* the others are not figures */
    }
}
