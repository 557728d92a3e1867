/* Readings: figures and listings. */
#include "cache-internal.h"

#include <stdlib.h>

static void read_queue(struct queue *q, struct store_stats *ret)
{
    *ret = (struct store_stats){.entries = q->answers,
                                .markers = q->count - q->answers,
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

void store_tag_stats(struct store *s, uint64_t tag, uint64_t *ret_entries, uint64_t *ret_bytes)
{
    uint64_t entries = 0, bytes = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shards[i];
        pthread_mutex_lock(&sh->lock);
        struct tag_record *r = index_find(&sh->index, tag);
        for (struct tag_link *l = r ? r->first : NULL; l; l = l->next) {
            entries += l->entry->kind == ENTRY_RESPONSE;
            bytes += l->entry->bytes;
        }
        pthread_mutex_unlock(&sh->lock);
    }
    *ret_entries = entries;
    *ret_bytes = bytes;
}

/* References of a shard's matching answers, for a walk without its lock. */
struct collected {
    struct entry **list;
    size_t count, room;
};

static void collect(struct store *s, struct entry *e, mono_ms now, struct collected *c)
{
    if (c->count == c->room || e->kind != ENTRY_RESPONSE || entry_is_dead(s, e) ||
        entry_use_at(e, now) == ENTRY_OVER)
        return;
    c->list[c->count++] = entry_ref(e);
}

static bool has_all(const struct store_match *m, const struct entry *e)
{
    for (unsigned i = 0; i < m->tag_count; i++)
        if (!tags_have(e->tags, e->tag_count, m->tags[i]))
            return false;
    return true;
}

static bool is_wanted(const struct store_match *m, const struct entry *e)
{
    return !m || !m->test || m->test(m->arg, &e->key, e->target, e->tag_text);
}

/* With tags: all of them, and the test as well. */
static void collect_shard(struct store *s, struct shard *sh, const struct store_match *m,
                          mono_ms now, struct collected *c)
{
    if (m && m->tag_count) {
        struct tag_record *r = index_find(&sh->index, m->tags[0]);
        c->room = r ? r->count : 0;
        c->list = c->room ? calloc(c->room, sizeof(struct entry *)) : NULL;
        for (struct tag_link *l = c->list ? r->first : NULL; l; l = l->next)
            if (has_all(m, l->entry) && is_wanted(m, l->entry))
                collect(s, l->entry, now, c);
        return;
    }
    c->room = sh->count;
    c->list = c->room ? calloc(c->room, sizeof(struct entry *)) : NULL;
    for (size_t i = 0; c->list && i < sh->size; i++)
        for (struct entry *e = sh->table[i]; e; e = e->chain)
            if (is_wanted(m, e))
                collect(s, e, now, c);
}

void store_walk(struct store *s, const struct store_match *match, mono_ms now,
                bool (*on_entry)(void *arg, struct entry *e), void *arg)
{
    bool goes_on = true;
    for (unsigned i = 0; i < SHARDS && goes_on; i++) {
        struct collected c = {0};
        pthread_mutex_lock(&s->shards[i].lock);
        collect_shard(s, &s->shards[i], match, now, &c);
        pthread_mutex_unlock(&s->shards[i].lock);
        for (size_t n = 0; n < c.count; n++) {
            goes_on = goes_on && on_entry(arg, c.list[n]);
            entry_unref(c.list[n]);
        }
        free(c.list);
    }
}
