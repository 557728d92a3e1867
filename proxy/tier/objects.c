/* A worker's own link to Redis, and the names under which it finds things there. */
#include "objects-internal.h"

#include <stdio.h>
#include <stdlib.h>

void object_key_format(const struct objects *o, char kind, const uint8_t name[VALUE_NAME],
                       struct buf *out)
{
    char hex[OBJECT_HEX];
    hex_format(name, VALUE_NAME, hex);
    buf_add_span(out, o->tier->prefix);
    buf_add_char(out, kind);
    buf_add_char(out, ':');
    buf_add(out, hex, sizeof(hex));
}

struct value_context object_context(const struct objects *o, const struct route *r)
{
    return (struct value_context){.secret = o->secret,
                                  .route_name = r->name,
                                  .fingerprint = r->fingerprint,
                                  .compress_bytes = o->redis->compress_bytes,
                                  .max_bytes = o->redis->max_object_bytes};
}

static void on_up(void *arg)
{
    struct objects *o = arg;
    script_load_all(o->link);
    objects_pump(o);
}

static void on_again(void *arg)
{
    objects_pump(arg);
}

struct objects *objects_new(struct tier *t, struct loop *loop, const struct config *config,
                            unsigned worker)
{
    static const struct redis_link_ops ops = {.on_up = on_up};
    struct objects *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->tier = t;
    o->counters = tier_counters(t);
    o->keys = t->keys;
    o->loop = loop;
    o->redis = config->redis;
    o->secret = config->secret;
    list_init(&o->gets);
    list_init(&o->queue);
    o->again = timer_new(loop, on_again, o);
    char what[16];
    snprintf(what, sizeof(what), "w%u", worker);
    o->link = o->again ? tier_link_new(t, loop, what, &ops, o) : NULL;
    if (!o->link) {
        objects_free(o);
        return NULL;
    }
    return o;
}

void objects_free(struct objects *o)
{
    if (!o)
        return;
    o->is_ended = true;
    objects_drop_gets(o);
    redis_link_free(take(o->link)); /* what is under way is told so, and frees itself */
    objects_drop_writes(o);
    timer_free(o->again);
    free(o);
}

void objects_latency(const struct objects *o, struct hist *into)
{
    hist_merge(into, &o->read_time);
}
