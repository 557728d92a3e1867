/* The part of the figures that is about Redis: what it brought, and how it is. */
#include "control-internal.h"

#include <larder/tier/objects.h>

static void write_counters(struct json_writer *w, struct tier *t)
{
    struct tier_counters *c = tier_counters(t);
    const struct redis_figures *f = redis_figures(tier_redis(t));
#define X(name, text) json_write_u64(w, #name, atomic_load(&c->name));
    TIER_COUNTERS(X)
#undef X
    json_write_u64(w, "commands", f->commands);
    json_write_u64(w, "errors", f->errors);
    json_write_u64(w, "timeouts", f->late);
    json_write_u64(w, "lost", f->lost);
    json_write_u64(w, "refused", f->refused);
    json_write_u64(w, "connections", f->up);
    json_write_u64(w, "connects", f->connects);
    json_write_u64(w, "connect_failures", f->connect_failures);
    json_write_str(w, "breaker", f->breakers_open ? "open" : "closed");
    json_write_u64(w, "breaker_opened", f->breaker_opened);
}

void stats_write_redis(struct json_writer *w, const struct shared *s, struct hist *scratch)
{
    struct tier_state state;
    char block[256];
    struct buf address;
    if (!s->tier)
        return;
    tier_state_read(s->tier, &state);
    buf_init_fixed(&address, block, sizeof(block));
    redis_address_format(tier_redis(s->tier), &address);
    memset((void *)scratch, 0, sizeof(*scratch));
    for (unsigned i = 0; i < s->worker_count; i++)
        objects_latency(worker_objects(s->workers[i]), scratch);
    json_write_object(w, "redis");
    json_write_bool(w, "available", state.is_available);
    json_write_bool(w, "in_contact", state.is_in_contact);
    json_write_span(w, "server", buf_span(&address));
    json_write_str(w, "instance", tier_instance(s->tier));
    json_write_u64(w, "instances", state.instances);
    json_write_u64(w, "lag_ms", state.lag_ms);
    json_write_u64(w, "number", state.number);
    if (state.warning[0])
        json_write_str(w, "warning", state.warning);
    json_write_u64(w, "keys", tier_keys(s->tier));
    stats_write_times(w, "latency_ms", scratch);
    write_counters(w, s->tier);
    json_write_object_end(w);
}
