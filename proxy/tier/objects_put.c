/* Writes: a queue of references, bounded by number and bytes, of which a few are under way at once.
 * An answer is sealed when its turn comes, so that what waits costs no more than its entry. A lease
 * ends with its write, in one step; where that comes to nothing it is given back. */
#include "objects-internal.h"

#include <stdlib.h>

enum { WRITES_MAX = 8, AGAIN_MS = 500, WRITE_TIMEOUT_MS = 2000, SEAL_ROOM = 1 << 20 };

struct object_put {
    struct list link; /* in the queue */
    struct objects *o;
    const struct route *route;
    struct entry *e; /* until it is sealed */
    size_t bytes;    /* that it takes in the queue */
    struct tier_stamp stamp;
    struct object_lease lease;
    uint64_t life_ms;
};

static void put_free(struct object_put *p)
{
    tally(&p->o->counters->queued, -1);
    list_remove(&p->link);
    entry_unref(p->e);
    free(p);
}

/* It is not written, or may not have been. */
static void put_fail(struct object_put *p, _Atomic uint64_t *counter)
{
    if (counter)
        tally(counter, 1);
    objects_release(p->o, &p->lease);
    put_free(p);
}

static void on_put(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct object_put *p = arg;
    struct objects *o = p->o;
    o->writing--;
    if (result == REDIS_OK) {
        int64_t left = redis_reply_integer(r);
        tally(&o->counters->stores, 1);
        if (left >= 0)
            census_remove(&o->tier->census, mono_now_ms(), (uint64_t)left);
        census_add(&o->tier->census, mono_now_ms(), p->life_ms);
        put_free(p);
    } else {
        if (result == REDIS_ERROR && span_starts_with(redis_reply_text(r), SPAN_LIT("OOM")))
            tally(&o->counters->out_of_memory, 1);
        put_fail(p, &o->counters->store_errors);
    }
    objects_pump(o);
}

static bool send_put(struct object_put *p, struct span value)
{
    struct objects *o = p->o;
    char object_block[OBJECT_KEY_MAX], lease_block[OBJECT_KEY_MAX], ms_block[24];
    struct buf object, lease, ms;
    uint8_t name[VALUE_NAME];
    struct value_context context = object_context(o, p->route);
    value_name(&context, &p->e->key, name);
    const uint8_t *noted = p->lease.is_held ? p->lease.name : name;
    buf_init_fixed(&object, object_block, sizeof(object_block));
    buf_init_fixed(&lease, lease_block, sizeof(lease_block));
    buf_init_fixed(&ms, ms_block, sizeof(ms_block));
    object_key_format(o, 'o', name, &object);
    object_key_format(o, 'l', noted, &lease);
    buf_add_u64(&ms, p->life_ms);
    struct span keys[] = {o->keys[KEY_BOOT], buf_span(&object), buf_span(&lease), o->keys[KEY_LOG]};
    struct span args[] = {octets(p->stamp.generation, VALUE_GENERATION),
                          buf_span(&ms),
                          value,
                          octets(p->lease.token, p->lease.is_held ? sizeof(p->lease.token) : 0),
                          span_str(tier_instance(o->tier)),
                          SPAN_LIT(LOG_MAX_TEXT),
                          octets(noted, VALUE_NAME)};
    struct script_call c = {.script = SCRIPT_PUT,
                            .keys = keys,
                            .key_count = array_len(keys),
                            .args = args,
                            .arg_count = array_len(args),
                            .timeout_ms = WRITE_TIMEOUT_MS,
                            .on_reply = on_put,
                            .arg = p};
    return !object.failed && !lease.failed && script_send(o->link, &c);
}

static void unqueue(struct object_put *p)
{
    struct objects *o = p->o;
    list_remove(&p->link);
    o->queued--;
    o->queued_bytes -= p->bytes;
}

/* Its turn has come. False: Redis takes nothing now; it waits on. */
static bool put_start(struct object_put *p)
{
    struct objects *o = p->o;
    cleanup(buf_fini) struct buf value;
    struct value_context context = object_context(o, p->route);
    mono_ms now = mono_now_ms();
    buf_init(&value, o->redis->max_object_bytes + SEAL_ROOM);
    p->life_ms = value_life_ms(p->e, now);
    enum err_code rc =
        p->life_ms ? value_seal(&context, p->e, &p->stamp, now, unix_now_ms(), p->life_ms, &value)
                   : ERR_NOT_FOUND;
    if (!rc && !send_put(p, buf_span(&value)))
        return false;
    unqueue(p);
    if (rc) {
        put_fail(p, rc == ERR_TOO_LARGE ? &o->counters->too_large
                    : rc == ERR_NOMEM   ? &o->counters->store_errors
                                        : NULL);
        return true;
    }
    o->writing++;
    entry_unref(take(p->e));
    return true;
}

void objects_pump(struct objects *o)
{
    while (!o->is_ended && o->writing < WRITES_MAX && !list_is_empty(&o->queue)) {
        if (redis_link_is_up(o->link) && put_start(list_first(&o->queue, struct object_put, link)))
            continue;
        timer_start(o->again, AGAIN_MS);
        return;
    }
}

void objects_put(struct objects *o, const struct route *r, struct entry *e,
                 const struct tier_stamp *stamp, const struct object_lease *l)
{
    bool is_full =
        o->queued >= o->redis->queue_max || o->queued_bytes + e->bytes > o->redis->queue_bytes;
    bool is_too_large = e->body.len > o->redis->max_object_bytes;
    bool is_wanted = stamp->is_valid && !is_too_large && !is_full;
    struct object_put *p = is_wanted ? calloc(1, sizeof(*p)) : NULL;
    if (!p) {
        if (stamp->is_valid)
            tally(is_too_large ? &o->counters->too_large : &o->counters->queue_drops, 1);
        if (l)
            objects_release(o, l);
        return;
    }
    list_init(&p->link);
    p->o = o;
    p->route = r;
    p->e = entry_ref(e);
    p->bytes = e->bytes;
    p->stamp = *stamp;
    if (l)
        p->lease = *l;
    list_push_back(&o->queue, &p->link);
    o->queued++;
    o->queued_bytes += p->bytes;
    tally(&o->counters->queued, 1);
    objects_pump(o);
}

static void on_released(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct objects *o = arg;
    (void)result; /* if not, it runs out */
    (void)r;
    o->releasing--;
}

void objects_release(struct objects *o, const struct object_lease *l)
{
    char block[OBJECT_KEY_MAX];
    struct buf key;
    if (!l->is_held || o->is_ended)
        return;
    buf_init_fixed(&key, block, sizeof(block));
    object_key_format(o, 'l', l->name, &key);
    struct span keys[] = {o->keys[KEY_BOOT], buf_span(&key), o->keys[KEY_LOG]};
    struct span args[] = {octets(l->generation, VALUE_GENERATION),
                          octets(l->token, sizeof(l->token)), span_str(tier_instance(o->tier)),
                          SPAN_LIT(LOG_MAX_TEXT), octets(l->name, VALUE_NAME)};
    struct script_call c = {.script = SCRIPT_RELEASE,
                            .keys = keys,
                            .key_count = array_len(keys),
                            .args = args,
                            .arg_count = array_len(args),
                            .on_reply = on_released,
                            .arg = o};
    if (!key.failed && script_send(o->link, &c))
        o->releasing++;
}

bool objects_are_writing(const struct objects *o)
{
    return o->writing > 0 || o->releasing > 0 || (o->queued > 0 && redis_link_is_up(o->link));
}

void objects_drop_writes(struct objects *o)
{
    while (!list_is_empty(&o->queue)) {
        struct object_put *p = list_first(&o->queue, struct object_put, link);
        unqueue(p);
        put_free(p);
    }
}
