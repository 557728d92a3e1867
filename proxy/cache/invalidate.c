/* Walks over the shards. The epochs of a single tag are raised first, so that its entries are dead
 * at once; the walk then frees and counts them. Several tags (their intersection), keys and globs
 * have no epoch of their own: the walk removes the entries and overtakes the flights, under the
 * lock that landing takes as well. */
#include "cache-internal.h"

#include <larder/base/glob.h>

#include <stdlib.h>

enum { READABLE_END = 0x1f }; /* ends the readable part of a template route's key */

static struct span readable(const struct cache_key *k)
{
    const char *end = k->primary_len ? memchr(k->text.p, READABLE_END, k->primary_len) : NULL;
    return span_of(k->text.p, end ? (size_t)(end - k->text.p) : k->primary_len);
}

static bool is_match(const struct store_match *m, const struct cache_key *key,
                     const struct tag_stamp *tags)
{
    if (m->key.len && !span_eq(m->key, readable(key)))
        return false;
    if (m->glob.len && !glob_match(m->glob, readable(key)))
        return false;
    for (unsigned i = 0; i < m->tag_count; i++)
        if (!tag_stamp_has(tags, m->tag[i]))
            return false;
    return true;
}

/* Was it usable until this invalidation? The tag just raised does not count against it. */
static bool was_usable(struct store *s, const struct entry *e, uint64_t raised, bool is_raised,
                       mono_ms now)
{
    if (e->kind != ENTRY_RESPONSE || !entry_is_fresh(e, now))
        return false;
    struct tag_stamp present = e->tags;
    tag_stamp_now(s->tags, &present);
    for (uint32_t i = 0; i < present.count; i++) {
        uint64_t epoch = present.epoch[i] - (is_raised && present.tag[i] == raised ? 1 : 0);
        if (epoch != e->tags.epoch[i])
            return false;
    }
    return true;
}

struct walk {
    struct store *s;
    const struct store_match *m;
    bool dry_run, is_raised;
    mono_ms now;
    struct store_removed removed;
};

/* Unlinks what matches; returns it as a chain, to be buried without the lock. */
static struct entry *walk_entries(struct walk *w, struct shard *sh)
{
    struct entry *dead = NULL;
    for (size_t n = 0; n < sh->size; n++) {
        for (struct entry **at = &sh->table[n]; *at;) {
            struct entry *e = *at;
            if (!is_match(w->m, &e->key, &e->tags)) {
                at = &e->chain;
                continue;
            }
            w->removed.matched += was_usable(w->s, e, w->m->tag[0], w->is_raised, w->now);
            if (w->dry_run) {
                at = &e->chain;
                continue;
            }
            *at = e->chain;
            sh->count--;
            e->chain = dead;
            dead = e;
        }
    }
    return dead;
}

static void walk_flights(struct walk *w, struct shard *sh)
{
    for (struct flight *f = sh->flights; f; f = f->chain) {
        if (f->is_overtaken || !is_match(w->m, &f->key, &f->tags))
            continue;
        w->removed.flights++;
        if (!w->dry_run) {
            f->is_overtaken = true;
            f->is_linked = false;
        }
    }
}

struct store_removed store_invalidate(struct store *s, const struct store_match *m, bool dry_run,
                                      mono_ms now)
{
    struct walk w = {.s = s, .m = m, .dry_run = dry_run, .now = now};
    w.is_raised = !dry_run && m->tag_count == 1 && m->key.len == 0 && m->glob.len == 0;
    if (w.is_raised)
        tag_invalidate(s->tags, m->tag[0]);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shards[i];
        pthread_mutex_lock(&sh->lock);
        struct entry *dead = walk_entries(&w, sh);
        walk_flights(&w, sh);
        pthread_mutex_unlock(&sh->lock);
        for (struct entry *next; dead; dead = next) {
            next = dead->chain;
            dead->chain = NULL;
            order_remove(s, dead, LEAVE_INVALIDATED);
            entry_unref(dead);
        }
    }
    return w.removed;
}

static void read_queue(struct queue *q, struct store_stats *ret)
{
    *ret = (struct store_stats){.entries = q->count,
                                .bytes = q->bytes,
                                .inserted = q->inserted,
                                .evicted = q->evicted,
                                .expired = q->expired,
                                .invalidated = q->invalidated,
                                .too_large = q->too_large,
                                .overtaken = q->overtaken};
}

void store_stats_read(struct store *s, struct store_stats *ret_all, struct store_stats *ret_routes)
{
    pthread_mutex_lock(&s->order.lock);
    read_queue(&s->order.all, ret_all);
    for (unsigned i = 0; ret_routes && i < s->route_count; i++)
        read_queue(&s->order.routes[i], &ret_routes[i]);
    pthread_mutex_unlock(&s->order.lock);
}

/* References of the shard's matching answers, for a walk without its lock; NULL: none or no memory.
 */
static struct entry **collect(struct store *s, struct shard *sh, struct span glob, mono_ms now,
                              size_t *ret_count)
{
    struct store_match m = {.glob = glob};
    pthread_mutex_lock(&sh->lock);
    struct entry **list = sh->count ? calloc(sh->count, sizeof(*list)) : NULL;
    size_t n = 0;
    for (size_t i = 0; list && i < sh->size; i++) {
        for (struct entry *e = sh->table[i]; e; e = e->chain) {
            if (e->kind == ENTRY_RESPONSE && entry_is_fresh(e, now) &&
                tag_stamp_is_current(s->tags, &e->tags) && is_match(&m, &e->key, &e->tags))
                list[n++] = entry_ref(e);
        }
    }
    pthread_mutex_unlock(&sh->lock);
    *ret_count = n;
    return list;
}

void store_walk(struct store *s, struct span glob, mono_ms now,
                bool (*on_entry)(void *arg, const struct entry *e), void *arg)
{
    bool goes_on = true;
    for (unsigned i = 0; i < SHARDS && goes_on; i++) {
        size_t count = 0;
        struct entry **list = collect(s, &s->shards[i], glob, now, &count);
        for (size_t n = 0; n < count; n++) {
            goes_on = goes_on && on_entry(arg, list[n]);
            entry_unref(list[n]);
        }
        free(list);
    }
}
