/* Shards of a chained hash table, one lock each. All of one primary key (its variants, markers and
 * flights) lies in one shard, so that landing, joining and invalidating are ordered by its lock. */
#include "cache-internal.h"

#include <assert.h>
#include <stdlib.h>

struct shard *shard_of(struct store *s, const struct cache_key *key)
{
    return &s->shards[key->primary % SHARDS];
}

struct store *store_new(const struct store_config *config)
{
    struct store *s = aligned_alloc(64, (sizeof(*s) + 63) & ~(size_t)63);
    if (!s)
        return NULL;
    memset(s, 0, sizeof(*s));
    s->route_count = config->route_count;
    s->max_object_bytes = config->max_object_bytes;
    s->waiters_max = config->waiters_max;
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_init(&s->shards[i].lock, NULL);
    s->tags = tag_table_new();
    if (!order_init(&s->order, config) || !s->tags) {
        store_free(s);
        return NULL;
    }
    return s;
}

static void flight_free(struct flight *f)
{
    free((void *)f->key.text.p);
    free(f);
}

void store_free(struct store *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *sh = &s->shards[i];
        assert(!sh->flights); /* every leader has landed */
        for (size_t n = 0; n < sh->size; n++) {
            for (struct entry *e = sh->table[n], *next; e; e = next) {
                next = e->chain;
                entry_unref(e);
            }
        }
        free(sh->table);
        pthread_mutex_destroy(&sh->lock);
    }
    order_fini(&s->order);
    tag_table_free(s->tags);
    free(s);
}

struct tag_table *store_tags(struct store *s)
{
    return s->tags;
}

static struct entry **slot_of(struct shard *sh, const struct cache_key *key)
{
    return &sh->table[key->hash.lo & (sh->size - 1)];
}

static struct entry *find(struct shard *sh, const struct cache_key *key)
{
    if (!sh->size)
        return NULL;
    struct entry *e = *slot_of(sh, key);
    while (e && !cache_key_eq(&e->key, key))
        e = e->chain;
    return e;
}

bool shard_unlink(struct shard *sh, struct entry *e)
{
    if (!sh->size)
        return false;
    for (struct entry **at = slot_of(sh, &e->key); *at; at = &(*at)->chain) {
        if (*at == e) {
            *at = e->chain;
            e->chain = NULL;
            sh->count--;
            return true;
        }
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

static bool shard_link(struct shard *sh, struct entry *e)
{
    if (sh->count >= sh->size && !grow(sh))
        return false;
    struct entry **slot = slot_of(sh, &e->key);
    e->chain = *slot;
    *slot = e;
    sh->count++;
    return true;
}

/* What is in the table and may still be used. What may not is unlinked: its reference is handed
 * out by *ret_dead, to be dropped when the lock is free. */
static struct entry *find_usable(struct store *s, struct shard *sh, const struct cache_key *key,
                                 mono_ms now, enum store_miss *ret_miss, struct entry **ret_dead)
{
    struct entry *e = find(sh, key);
    *ret_miss = STORE_MISS_ABSENT;
    if (!e)
        return NULL;
    if (!tag_stamp_is_current(s->tags, &e->tags))
        *ret_miss = STORE_MISS_INVALIDATED;
    else if (!entry_is_fresh(e, now))
        *ret_miss = STORE_MISS_EXPIRED;
    else
        return e;
    if (e->kind != ENTRY_RESPONSE)
        *ret_miss = STORE_MISS_ABSENT; /* a marker's end is not the answer's */
    shard_unlink(sh, e);
    *ret_dead = e;
    return NULL;
}

static void bury(struct store *s, struct entry *dead, enum leave why)
{
    if (!dead)
        return;
    order_remove(s, dead, why);
    entry_unref(dead);
}

static void bury_missed(struct store *s, struct entry *dead, enum store_miss miss)
{
    bury(s, dead, miss == STORE_MISS_INVALIDATED ? LEAVE_INVALIDATED : LEAVE_EXPIRED);
}

static enum store_result use(struct entry *e, struct entry **ret_entry)
{
    if (e->kind == ENTRY_PASS)
        return STORE_PASS;
    if (!atomic_load_explicit(&e->visited, memory_order_relaxed))
        atomic_store_explicit(&e->visited, 1, memory_order_relaxed);
    if (e->kind == ENTRY_RESPONSE)
        atomic_fetch_add_explicit(&e->hits, 1, memory_order_relaxed);
    *ret_entry = entry_ref(e);
    return e->kind == ENTRY_VARY ? STORE_VARY : STORE_HIT;
}

enum store_result store_lookup(struct store *s, const struct cache_key *key, mono_ms now,
                               struct entry **ret_entry)
{
    struct shard *sh = shard_of(s, key);
    enum store_result rc = STORE_MISS;
    pthread_mutex_lock(&sh->lock);
    struct entry *e = find(sh, key);
    /* what has expired stays for store_begin(), which tells why it was a miss */
    if (e && entry_is_fresh(e, now) && tag_stamp_is_current(s->tags, &e->tags))
        rc = use(e, ret_entry);
    pthread_mutex_unlock(&sh->lock);
    return rc;
}

static bool flight_is_overtaken(const struct store *s, const struct flight *f)
{
    return f->is_overtaken || !tag_stamp_is_current(s->tags, &f->tags);
}

static struct flight *find_flight(struct store *s, struct shard *sh, const struct cache_key *key)
{
    for (struct flight *f = sh->flights; f; f = f->chain) {
        if (!f->is_linked || !cache_key_eq(&f->key, key))
            continue;
        if (!flight_is_overtaken(s, f))
            return f;
        f->is_linked = false; /* it lands for those who wait already; nobody joins it any more */
        f->is_overtaken = true;
    }
    return NULL;
}

static struct flight *flight_new(struct store *s, struct shard *sh, const struct cache_key *key,
                                 uint16_t route, const struct tag_stamp *tags)
{
    struct flight *f = calloc(1, sizeof(*f));
    char *text = malloc(key->text.len ? key->text.len : 1);
    if (!f || !text) {
        free(f);
        free(text);
        return NULL;
    }
    memcpy(text, key->text.p, key->text.len);
    f->key = *key;
    f->key.text.p = text;
    f->tags = *tags;
    tag_stamp_now(s->tags, &f->tags);
    f->route = route;
    f->is_linked = true;
    f->last = &f->first;
    f->chain = sh->flights;
    sh->flights = f;
    return f;
}

static enum store_result join_or_lead(struct store *s, struct shard *sh,
                                      const struct cache_key *key, uint16_t route,
                                      const struct tag_stamp *tags, struct flight_waiter *waiter,
                                      struct flight **ret_flight)
{
    struct flight *f = find_flight(s, sh, key);
    if (!f) {
        f = flight_new(s, sh, key, route, tags);
        if (!f)
            return STORE_PASS;
        *ret_flight = f;
        return STORE_LEAD;
    }
    if (f->waiting >= s->waiters_max)
        return STORE_FULL;
    waiter->next = NULL;
    *f->last = waiter;
    f->last = &waiter->next;
    f->waiting++;
    return STORE_JOINED;
}

enum store_result store_begin(struct store *s, const struct cache_key *key, uint16_t route,
                              const struct tag_stamp *tags, mono_ms now,
                              struct flight_waiter *waiter, struct entry **ret_entry,
                              struct flight **ret_flight, enum store_miss *ret_miss)
{
    struct shard *sh = shard_of(s, key);
    struct entry *dead = NULL;
    enum store_miss miss;
    enum store_result rc;
    pthread_mutex_lock(&sh->lock);
    struct entry *e = find_usable(s, sh, key, now, &miss, &dead);
    if (e)
        rc = use(e, ret_entry);
    else
        rc = join_or_lead(s, sh, key, route, tags, waiter, ret_flight);
    pthread_mutex_unlock(&sh->lock);
    bury_missed(s, dead, miss);
    if (rc == STORE_JOINED || rc == STORE_LEAD)
        *ret_miss = miss;
    return rc;
}

/* Links <e> in its shard, whose lock is held; *ret_old is what it replaces. */
static bool insert_locked(struct shard *sh, struct entry *e, struct entry **ret_old)
{
    struct entry *old = find(sh, &e->key);
    if (old)
        shard_unlink(sh, old);
    *ret_old = old;
    if (!shard_link(sh, e))
        return false;
    entry_ref(e); /* the table's */
    return true;
}

static void flight_unlink(struct shard *sh, struct flight *f)
{
    struct flight **at = &sh->flights;
    while (*at != f)
        at = &(*at)->chain;
    *at = f->chain;
}

static enum err_code may_store(struct store *s, const struct flight *f,
                               struct entry *const *entries, unsigned count)
{
    struct store_limits own = s->order.routes[f->route].limits, all = s->order.all.limits;
    if (flight_is_overtaken(s, f))
        return ERR_NOT_FOUND;
    for (unsigned i = 0; i < count; i++) {
        size_t bytes = entries[i]->bytes;
        if (bytes > s->max_object_bytes || (own.max_bytes && bytes > own.max_bytes) ||
            (all.max_bytes && bytes > all.max_bytes))
            return ERR_TOO_LARGE;
    }
    return ERR_OK;
}

static void count_refused(struct store *s, uint16_t route, enum err_code rc)
{
    struct queue *all = &s->order.all, *own = &s->order.routes[route];
    if (rc == ERR_TOO_LARGE) {
        all->too_large++;
        own->too_large++;
    } else if (rc == ERR_NOT_FOUND) {
        all->overtaken++;
        own->overtaken++;
    }
}

enum err_code store_land(struct store *s, struct flight *f, const struct flight_result *result,
                         struct entry *const *entries, unsigned count, mono_ms now)
{
    enum { LAND_MAX = 4 };
    struct shard *sh = shard_of(s, &f->key);
    struct entry *old[LAND_MAX] = {0};
    bool is_in[LAND_MAX] = {0};
    (void)now;
    assert(count <= LAND_MAX);
    pthread_mutex_lock(&sh->lock);
    flight_unlink(sh, f);
    enum err_code rc = count ? may_store(s, f, entries, count) : ERR_OK;
    for (unsigned i = 0; !rc && i < count; i++) {
        assert(shard_of(s, &entries[i]->key) == sh);
        is_in[i] = insert_locked(sh, entries[i], &old[i]);
    }
    pthread_mutex_unlock(&sh->lock);
    for (unsigned i = 0; i < count; i++) {
        bury(s, old[i], LEAVE_REPLACED);
        if (is_in[i])
            order_insert(s, entries[i]);
        else if (!rc)
            rc = ERR_NOMEM;
    }
    count_refused(s, f->route, rc);
    for (struct flight_waiter *w = f->first, *next; w; w = next) {
        next = w->next;
        w->on_landed(w, result);
    }
    flight_free(f);
    return rc;
}

const struct cache_key *flight_key(const struct flight *f)
{
    return &f->key;
}

const struct tag_stamp *flight_tags(const struct flight *f)
{
    return &f->tags;
}

unsigned flight_waiting(const struct flight *f)
{
    return f->waiting;
}
