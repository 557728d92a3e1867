/* A chained hash table of entries, with its index by tag. */
#include "cache-internal.h"

#include <stdlib.h>

struct shard *shard_of(struct store *s, const struct cache_key *key)
{
    return &s->shards[key->primary % SHARDS];
}

static struct entry **slot_of(struct shard *sh, const struct cache_key *key)
{
    return &sh->table[key->hash.lo & (sh->size - 1)];
}

struct entry *shard_find(struct shard *sh, const struct cache_key *key)
{
    if (!sh->size)
        return NULL;
    struct entry *e = *slot_of(sh, key);
    while (e && !cache_key_eq(&e->key, key))
        e = e->chain;
    return e;
}

/* A variant's marker, where it is still there. */
struct entry *shard_marker(struct shard *sh, const struct entry *variant)
{
    struct cache_key key;
    const struct cache_key *k = &variant->key;
    if (variant->kind != ENTRY_RESPONSE || k->text.len == k->primary_len)
        return NULL;
    cache_key_init(&key, span_of(k->text.p, k->primary_len));
    struct entry *e = shard_find(sh, &key);
    return e && e->kind == ENTRY_VARY ? e : NULL;
}

bool shard_unlink(struct shard *sh, struct entry *e)
{
    if (!sh->size)
        return false;
    for (struct entry **at = slot_of(sh, &e->key); *at; at = &(*at)->chain) {
        if (*at != e)
            continue;
        *at = e->chain;
        e->chain = NULL;
        sh->count--;
        index_remove(&sh->index, e);
        struct entry *marker = shard_marker(sh, e);
        if (marker && marker->variants > 0)
            marker->variants--;
        return true;
    }
    return false;
}

static bool grow(struct shard *sh)
{
    size_t size = sh->size ? sh->size * 2 : 16;
    struct entry **old = sh->table, **table = calloc(size, sizeof(*table));
    if (!table)
        return sh->size > 0; /* longer chains will do */
    size_t old_size = sh->size;
    sh->table = table;
    sh->size = size;
    for (size_t n = 0; n < old_size; n++) {
        for (struct entry *e = old[n], *next; e; e = next) {
            next = e->chain;
            struct entry **slot = slot_of(sh, &e->key);
            e->chain = *slot;
            *slot = e;
        }
    }
    free(old);
    return true;
}

bool shard_link(struct shard *sh, struct entry *e)
{
    if (sh->count >= sh->size && !grow(sh))
        return false;
    if (e->kind == ENTRY_RESPONSE && !index_add(&sh->index, e))
        return false;
    struct entry **slot = slot_of(sh, &e->key);
    e->chain = *slot;
    *slot = entry_ref(e);
    sh->count++;
    struct entry *marker = shard_marker(sh, e);
    if (marker)
        marker->variants++;
    return true;
}

void shard_fini(struct shard *sh)
{
    for (size_t n = 0; n < sh->size; n++) {
        for (struct entry *e = sh->table[n], *next; e; e = next) {
            next = e->chain;
            index_remove(&sh->index, e);
            entry_unref(e);
        }
    }
    index_fini(&sh->index);
    free(sh->table);
    pthread_mutex_destroy(&sh->lock);
}

bool entry_is_dead(struct store *s, struct entry *e)
{
    uint64_t now = tag_now(s->tags);
    if (atomic_load_explicit(&e->checked, memory_order_relaxed) == now)
        return false;
    mono_ms soft_ms = 0;
    switch (tags_check(s->tags, e->tags, e->tag_count, e->began, &soft_ms)) {
    case TAG_DEAD:
        return true;
    case TAG_STALE:
        /* a VARY marker says nothing that could be stale: its variants are, each for itself */
        if (e->kind != ENTRY_VARY && !atomic_load_explicit(&e->soft_ms, memory_order_relaxed))
            atomic_store_explicit(&e->soft_ms, soft_ms, memory_order_relaxed);
        break;
    case TAG_CURRENT:
        break;
    }
    atomic_store_explicit(&e->checked, now, memory_order_relaxed);
    return false;
}
