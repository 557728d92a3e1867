/* objects-internal.h: what the files of objects.h share: a worker's link and names (objects.c), its
 * reads (objects_get.c) and its writes (objects_put.c). */
#ifndef LARDER_TIER_OBJECTS_INTERNAL_H
#define LARDER_TIER_OBJECTS_INTERNAL_H

#include "tier-internal.h"

#include <larder/tier/objects.h>

enum { OBJECT_KEY_MAX = 512, OBJECT_HEX = 2 * VALUE_NAME };

struct objects {
    struct tier *tier;
    struct tier_counters *counters;
    struct loop *loop;
    const struct redis_config *redis;
    struct span secret;
    struct redis_link *link;
    const struct span *keys;  /* the tier's, by enum tier_key */
    struct list gets;         /* reads that somebody waits for */
    struct list queue;        /* writes whose turn has not come */
    unsigned queued, writing; /* waiting, and under way */
    unsigned releasing;       /* leases that are being given back */
    uint64_t queued_bytes;
    struct timer *again; /* the queue waits, and no reply will come that moves it on */
    struct hist read_time;
    bool is_ended;
};

static inline struct span octets(const uint8_t *p, size_t len)
{
    return span_of((const char *)p, len);
}

/* The key of an object ('o') or of its lease ('l'). */
void object_key_format(const struct objects *o, char kind, const uint8_t name[VALUE_NAME],
                       struct buf *out);
struct value_context object_context(const struct objects *o, const struct route *r);

/* objects_put.c: sends what waits, as far as there is room. */
void objects_pump(struct objects *o);
void objects_drop_writes(struct objects *o);
/* objects_get.c */
void objects_drop_gets(struct objects *o);

#endif
