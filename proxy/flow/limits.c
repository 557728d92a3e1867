/* Rate limits of one instance: a table for each, asked together, so that a request is counted by
 * all of its limits or by none. */
#include "limits-internal.h"

#include <larder/base/ip.h>
#include <larder/base/log.h>

#include <stdlib.h>

struct class_limits {
    struct quota_limit limit[RATE_POLICIES_MAX];
};

struct limit_table {
    struct quota *quota;
    struct class_limits *classes; /* as the config's */
    _Atomic uint64_t allowed, refused, would_refuse, shared, alone, stale;
    _Atomic uint64_t told_second, told; /* lines of the security log in that second */
};

struct limits {
    const struct config *config;
    unsigned count;
    struct limit_table table[];
};

static void tally(_Atomic uint64_t *c)
{
    atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

static bool table_init(struct limit_table *t, const struct rate_limit *l)
{
    unsigned most = 1;
    t->classes = calloc(l->class_count, sizeof(*t->classes));
    for (unsigned i = 0; t->classes && i < l->class_count; i++) {
        const struct rate_class *class = &l->classes[i];
        most = class->policy_count > most ? class->policy_count : most;
        for (unsigned n = 0; n < class->policy_count; n++)
            t->classes[i].limit[n] =
                (struct quota_limit){.is_bucket = class->policies[n].is_bucket,
                                     .count = class->policies[n].count,
                                     .burst = class->policies[n].burst,
                                     .window_ms = class->policies[n].window_ms};
    }
    t->quota = quota_new(l->max_clients, most);
    return t->classes && t->quota;
}

struct limits *limits_new(const struct config *c, bool *ret_failed)
{
    struct limits *l = calloc(1, sizeof(*l) + c->rate_limit_count * sizeof(l->table[0]));
    *ret_failed = true;
    if (!l)
        return NULL;
    l->config = c;
    for (; l->count < c->rate_limit_count; l->count++) {
        if (!table_init(&l->table[l->count], &c->rate_limits[l->count])) {
            l->count++;
            limits_free(l);
            return NULL;
        }
    }
    *ret_failed = false;
    return l;
}

void limits_free(struct limits *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->count; i++) {
        quota_free(l->table[i].quota);
        free(l->table[i].classes);
    }
    free(l);
}

/* --- a question --- */

static void add_ask(const struct limits *l, const struct rate_limit *limit,
                    const struct limits_request *r, struct limits_check *c)
{
    const struct limit_table *t = &l->table[limit->index];
    const struct rate_class *class = limits_class_of(l->config, limit, r);
    if (class->policy_count == 0)
        return; /* unlimited */
    unsigned n = c->count++;
    c->of[n].limit = limit;
    c->of[n].class = class;
    limits_name_client(l->config, limit, class, r, c->of[n].name);
    c->ask[n] = (struct quota_ask){.table = t->quota,
                                   .count = class->policy_count,
                                   .limits = t->classes[class - limit->classes].limit,
                                   .is_dry = limit->is_dry_run};
    memcpy(&c->ask[n].who, c->of[n].name, sizeof(c->ask[n].who));
}

bool limits_prepare(const struct limits *l, const struct rate_limit_set *set,
                    const struct limits_request *r, bool is_hit, struct limits_check *c)
{
    uint8_t address[16];
    *c = (struct limits_check){.count = 0};
    for (unsigned i = 0; i < set->count; i++) {
        const struct rate_limit *limit = &l->config->rate_limits[set->index[i]];
        if (!is_hit || limit->count_hits)
            add_ask(l, limit, r, c);
    }
    if (c->count == 0)
        return false;
    limits_client_address(l->config, r, address);
    ip_format(address, c->client);
    return true;
}

bool limits_are_shared(const struct limits_check *c)
{
    bool is_shared = false;
    for (unsigned i = 0; i < c->count; i++)
        is_shared |= c->of[i].limit->is_shared;
    return is_shared;
}

/* What the answers of all limits mean for the request. */
static void conclude(struct limits *l, struct limits_check *c, bool is_allowed)
{
    c->is_decided = true;
    c->is_refused = !is_allowed;
    c->wait_ms = 0;
    c->violated_count = 0;
    for (unsigned i = 0; i < c->count; i++) {
        const struct quota_ask *a = &c->ask[i];
        struct limit_table *t = &l->table[c->of[i].limit->index];
        if (a->is_over)
            tally(a->is_dry ? &t->would_refuse : &t->refused);
        else if (is_allowed)
            tally(&t->allowed);
        for (unsigned n = 0; n < a->count && a->is_over && !a->is_dry; n++) {
            if (!a->view[n].is_over)
                continue;
            c->violated[c->violated_count++] = c->of[i].class->policies[n].name;
            if (a->view[n].wait_ms > c->wait_ms)
                c->wait_ms = a->view[n].wait_ms;
        }
    }
}

void limits_decide(struct limits *l, struct limits_check *c, mono_ms now)
{
    conclude(l, c, quota_take(c->ask, c->count, now));
}

void limits_decide_by(struct limits *l, struct limits_check *c, const struct quota_state *states,
                      const bool *over, mono_ms now)
{
    bool is_allowed = true;
    for (unsigned i = 0; i < c->count; i++) {
        quota_adopt(&c->ask[i], states + i * QUOTA_LIMITS_MAX, over[i], now);
        is_allowed &= !over[i] || c->ask[i].is_dry;
        if (c->of[i].limit->is_shared)
            tally(&l->table[c->of[i].limit->index].shared);
    }
    conclude(l, c, is_allowed);
}

void limits_note_alone(struct limits *l, const struct limits_check *c)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->of[i].limit->is_shared)
            tally(&l->table[c->of[i].limit->index].alone);
}

void limits_note_stale(struct limits *l, const struct limits_check *c)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->ask[i].is_over && !c->ask[i].is_dry)
            tally(&l->table[c->of[i].limit->index].stale);
}

/* --- the security log --- */

/* However many clients an attack has. */
static bool may_tell(struct limit_table *t)
{
    enum { LINES = 50 };
    uint64_t second = mono_now_ms() / 1000;
    if (atomic_exchange(&t->told_second, second) != second)
        atomic_store(&t->told, 0);
    return atomic_fetch_add(&t->told, 1) < LINES;
}

static void add_violated(const struct limits_check *c, unsigned i, struct buf *out)
{
    for (unsigned n = 0; n < c->ask[i].count; n++) {
        if (!c->ask[i].view[n].is_over)
            continue;
        buf_add_str(out, out->len ? ", " : "");
        buf_add_span(out, c->of[i].class->policies[n].name);
    }
}

void limits_tell(struct limits *l, const struct limits_check *c, const struct route *route,
                 const struct head *h, struct span request_id, unsigned status)
{
    char target_block[512];
    struct buf target;
    buf_init_fixed(&target, target_block, sizeof(target_block));
    route = route_shown_as(l->config->routes, l->config->route_count, route, h);
    struct span shown = route_shown_target(route, h, &target);
    for (unsigned i = 0; i < c->count; i++) {
        char block[RATE_POLICIES_MAX * 140];
        struct buf what;
        if (!c->ask[i].may_tell || !may_tell(&l->table[c->of[i].limit->index]))
            continue;
        buf_init_fixed(&what, block, sizeof(block));
        add_violated(c, i, &what);
        struct security_event e = {.action = "rate-limited",
                                   .client = span_str(c->client),
                                   .method = h->method_text,
                                   .target = shown,
                                   .what = buf_span(&what),
                                   .request_id = request_id,
                                   .status = c->ask[i].is_dry ? 0 : status,
                                   .is_dry_run = c->ask[i].is_dry};
        log_security(&e);
    }
}

bool limits_allow(struct limits *l, const struct rate_limit_set *set,
                  const struct limits_request *r, struct span request_id, struct limits_check *c)
{
    if (!limits_prepare(l, set, r, false, c))
        return true;
    limits_decide(l, c, mono_now_ms());
    limits_tell(l, c, NULL, r->head, request_id, 429);
    return !c->is_refused;
}

void limits_figures_read(struct limits *l, unsigned index, mono_ms now, struct limits_figures *ret)
{
    struct limit_table *t = &l->table[index];
    *ret = (struct limits_figures){.allowed = atomic_load(&t->allowed),
                                   .refused = atomic_load(&t->refused),
                                   .would_refuse = atomic_load(&t->would_refuse),
                                   .shared = atomic_load(&t->shared),
                                   .alone = atomic_load(&t->alone),
                                   .stale = atomic_load(&t->stale),
                                   .clients = quota_clients(t->quota, now)};
}
