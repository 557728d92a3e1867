/* What an invalidation does to the shards. The epochs come first: from then on nothing that began
 * before is served or stored. Then each shard is looked at under its lock: by its index where tags
 * are named, as a whole where a test is. What matches goes at once, up to a number; beyond it the
 * answers are dead already, and the sweep frees them. Intersections and tests have no epoch of
 * their own: there every match is taken out here, and the matching flights are overtaken under the
 * lock that landing takes as well. */
#include "cache-internal.h"

#include <larder/base/macros.h>

enum { AT_ONCE_MAX = 4096, SWEEP_SHARDS = 8 };

struct work {
    struct store *s;
    const struct store_invalidation *i;
    const struct store_match *m;
    bool has_epoch; /* of its own: then what is left out here is dead all the same */
    unsigned listed, done;
    struct entry *list[256]; /* matched in this shard, for on_entry without the lock */
    unsigned list_count;
    struct entry *dead; /* unlinked in this shard */
    struct store_removed removed;
};

static bool is_match(const struct store_match *m, const struct cache_key *key, const uint64_t *tags,
                     unsigned count, struct span target, struct span tag_text)
{
    if (m->kind == STORE_TEST)
        return !m->test || m->test(m->arg, key, target, tag_text);
    unsigned n = 0;
    for (unsigned i = 0; i < m->tag_count; i++)
        n += tags_have(tags, count, m->tags[i]);
    return m->kind == STORE_ALL_OF ? n == m->tag_count : n > 0;
}

bool store_match_means(const struct store_match *m, const struct entry *e)
{
    return is_match(m, &e->key, e->tags, e->tag_count, e->target, e->tag_text);
}

/* Usable in some way until now? The tags that are invalidated just now do not count against it. */
static bool was_usable(const struct work *w, const struct entry *e)
{
    mono_ms soft_ms;
    if (e->kind != ENTRY_RESPONSE || entry_use_at(e, w->i->now) == ENTRY_OVER)
        return false;
    for (unsigned i = 0; i < e->tag_count; i++) {
        bool is_raised =
            w->has_epoch && !w->i->is_dry_run && tags_have(w->m->tags, w->m->tag_count, e->tags[i]);
        if (!is_raised && tags_check(w->s->tags, &e->tags[i], 1, e->began, &soft_ms) == TAG_DEAD)
            return false;
    }
    return true;
}

static bool has_window(const struct entry *e)
{
    return e->while_ms > 0 || e->error_ms > 0;
}

static void list_it(struct work *w, struct entry *e)
{
    bool has_room = w->listed < w->i->list_max && w->list_count < array_len(w->list);
    if (!w->i->on_entry || !has_room)
        return;
    w->listed++;
    w->list[w->list_count++] = entry_ref(e);
}

static void take_out(struct work *w, struct shard *sh, struct entry *e)
{
    if (!shard_unlink(sh, e))
        return;
    e->chain = w->dead;
    w->dead = e;
}

static void hit_entry(struct work *w, struct shard *sh, struct entry *e)
{
    bool is_stale = w->i->is_soft && has_window(e) && e->kind == ENTRY_RESPONSE;
    w->done++;
    if (was_usable(w, e)) {
        w->removed.matched++;
        w->removed.stale += is_stale;
        list_it(w, e);
    }
    if (w->i->is_dry_run || (w->i->is_soft && e->kind == ENTRY_VARY))
        return;
    if (!is_stale)
        take_out(w, sh, e);
    else if (!atomic_load_explicit(&e->soft_ms, memory_order_relaxed))
        atomic_store_explicit(&e->soft_ms, w->i->now, memory_order_relaxed);
}

/* <seen>: an entry with one of the first so many tags has had its turn. */
static void hit_record(struct work *w, struct shard *sh, const struct tag_record *r, unsigned seen)
{
    for (struct tag_link *l = r ? r->first : NULL, *next; l; l = next) {
        struct entry *e = l->entry;
        next = l->next;
        if (w->m->kind == STORE_ALL_OF && !store_match_means(w->m, e))
            continue;
        bool is_seen = false;
        for (unsigned i = 0; i < seen && !is_seen; i++)
            is_seen = tags_have(e->tags, e->tag_count, w->m->tags[i]);
        if (!is_seen)
            hit_entry(w, sh, e);
    }
}

/* Beyond the number that is looked at singly a record's count tells as much. */
static void count_record(struct work *w, const struct tag_record *r)
{
    unsigned room = array_len(w->list);
    for (struct tag_link *l = r ? r->first : NULL; l && room; l = l->next, room--)
        list_it(w, l->entry);
    w->removed.matched += r ? r->count : 0;
    w->removed.is_exact = false;
}

/* The record with the fewest entries of an intersection. */
static const struct tag_record *smallest(const struct work *w, const struct shard *sh)
{
    const struct tag_record *best = NULL;
    for (unsigned i = 0; i < w->m->tag_count; i++) {
        const struct tag_record *r = index_find(&sh->index, w->m->tags[i]);
        if (!r)
            return NULL;
        if (!best || r->count < best->count)
            best = r;
    }
    return best;
}

static void hit_table(struct work *w, struct shard *sh)
{
    for (size_t n = 0; n < sh->size; n++) {
        for (struct entry *e = sh->table[n], *next; e; e = next) {
            next = e->chain;
            if (store_match_means(w->m, e))
                hit_entry(w, sh, e);
        }
    }
}

static void hit_tags(struct work *w, struct shard *sh)
{
    for (unsigned i = 0; i < w->m->tag_count; i++) {
        const struct tag_record *r = index_find(&sh->index, w->m->tags[i]);
        if (w->done >= AT_ONCE_MAX)
            count_record(w, r);
        else
            hit_record(w, sh, r, i);
    }
}

static void hit_entries(struct work *w, struct shard *sh)
{
    if (w->m->kind == STORE_TEST)
        hit_table(w, sh);
    else if (w->m->kind == STORE_ALL_OF)
        hit_record(w, sh, smallest(w, sh), 0);
    else
        hit_tags(w, sh);
}

static void hit_flights(struct work *w, struct shard *sh)
{
    for (struct flight *f = sh->flights; f; f = f->chain) {
        struct span text = span_of(f->tags.text, f->tags.text_len);
        if (f->is_overtaken ||
            !is_match(w->m, &f->key, f->tags.tag, f->tags.count, span_of(NULL, 0), text))
            continue;
        w->removed.flights++;
        if (w->i->is_dry_run)
            continue;
        f->is_overtaken = true;
        f->is_linked = false;
    }
}

static void raise_epochs(struct work *w)
{
    struct tag_table *t = w->s->tags;
    const struct store_match *m = w->m;
    if (m->kind == STORE_ANY_TAG)
        w->removed.number = tag_invalidate(t, m->tags, m->tag_count, w->i->is_soft, w->i->now);
    else if (m->kind == STORE_ALL_OF)
        w->removed.number = tag_invalidate_all_of(t, m->tags, m->tag_count);
    else
        w->removed.number = tag_invalidate_other(t);
}

static void hand_out_list(struct work *w)
{
    for (unsigned i = 0; i < w->list_count; i++) {
        w->i->on_entry(w->i->arg, w->list[i]);
        entry_unref(w->list[i]);
    }
    w->list_count = 0;
}

struct store_removed store_invalidate(struct store *s, const struct store_invalidation *i)
{
    struct work w = {.s = s, .i = i, .m = i->match, .removed.is_exact = true};
    w.has_epoch = i->match->kind == STORE_ANY_TAG;
    if (i->is_dry_run)
        w.removed.number = tag_now(s->tags);
    else
        raise_epochs(&w);
    for (unsigned n = 0; n < SHARDS; n++) {
        struct shard *sh = &s->shards[n];
        pthread_mutex_lock(&sh->lock);
        hit_entries(&w, sh);
        hit_flights(&w, sh);
        pthread_mutex_unlock(&sh->lock);
        bury_chain(s, take(w.dead), LEAVE_INVALIDATED);
        hand_out_list(&w);
    }
    if (!w.removed.is_exact && !i->is_dry_run)
        atomic_store(&s->sweep_left, SHARDS);
    return w.removed;
}

/* Entries of one shard that invalidations have ended. */
static struct entry *sweep_shard(struct store *s, struct shard *sh, mono_ms now)
{
    struct entry *dead = NULL;
    pthread_mutex_lock(&sh->lock);
    for (size_t n = 0; n < sh->size; n++) {
        for (struct entry *e = sh->table[n], *next; e; e = next) {
            next = e->chain;
            bool is_over = entry_is_dead(s, e) ||
                           (atomic_load(&e->soft_ms) && entry_use_at(e, now) == ENTRY_OVER);
            if (!is_over || !shard_unlink(sh, e))
                continue;
            e->chain = dead;
            dead = e;
        }
    }
    pthread_mutex_unlock(&sh->lock);
    return dead;
}

bool store_sweep(struct store *s, mono_ms now)
{
    for (unsigned i = 0; i < SWEEP_SHARDS; i++) {
        unsigned left = atomic_load(&s->sweep_left);
        if (left == 0)
            return false;
        /* a new invalidation may have set it to the beginning meanwhile: then that holds */
        if (!atomic_compare_exchange_strong(&s->sweep_left, &left, left - 1))
            continue;
        bury_chain(s, sweep_shard(s, &s->shards[left - 1], now), LEAVE_INVALIDATED);
    }
    return atomic_load(&s->sweep_left) > 0;
}
