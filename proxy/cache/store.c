/* Lookups, and the flights of what was not found. All of one primary key (its variants, markers and
 * flights) lies in one shard, so that landing, joining and invalidating are ordered by its lock. */
#include "cache-internal.h"

#include <assert.h>
#include <stdlib.h>

struct store *store_new(const struct store_config *config)
{
    struct store *s = aligned_alloc(64, (sizeof(*s) + 63) & ~(size_t)63);
    if (!s)
        return NULL;
    memset(s, 0, sizeof(*s));
    s->route_count = config->route_count;
    s->max_object_bytes = config->max_object_bytes;
    s->waiters_max = config->waiters_max;
    s->variants_max = config->variants_max;
    s->max_lag_ms = config->max_lag_ms;
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
        assert(!s->shards[i].flights); /* every leader has landed */
        shard_fini(&s->shards[i]);
    }
    order_fini(&s->order);
    tag_table_free(s->tags);
    free(s);
}

struct tag_table *store_tags(struct store *s)
{
    return s->tags;
}

void store_confirm(struct store *s, mono_ms at)
{
    atomic_store_explicit(&s->confirmed_ms, at, memory_order_release);
}

mono_ms store_confirmed_ms(const struct store *s)
{
    return atomic_load_explicit(&s->confirmed_ms, memory_order_acquire);
}

bool store_is_confirmed(const struct store *s, mono_ms now)
{
    return now <= store_confirmed_ms(s) + s->max_lag_ms;
}

/* <known>: of an entry or a flight. */
static bool is_trusted(const struct store *s, mono_ms known, mono_ms now)
{
    return !known || now <= known + s->max_lag_ms || store_is_confirmed(s, now);
}

bool store_trusts(const struct store *s, const struct entry *e, mono_ms now)
{
    return is_trusted(s, e->known_mono_ms, now);
}

/* What is not trusted may only be confirmed. */
static enum entry_use use_at(const struct store *s, const struct entry *e, mono_ms now)
{
    enum entry_use use = entry_use_at(e, now);
    return use == ENTRY_OVER || is_trusted(s, e->known_mono_ms, now) ? use : ENTRY_KEPT;
}

/* What was found, on its way out of its shard. */
struct found {
    struct entry *entry; /* usable, or good for hiding an error; still in the table */
    enum entry_use use;
    struct entry *dead; /* unlinked: to be buried when the lock is free */
    enum leave leave;
    enum store_miss miss;
};

static struct found find_usable(struct store *s, struct shard *sh, const struct cache_key *key,
                                mono_ms now)
{
    struct found f = {.use = ENTRY_OVER, .miss = STORE_MISS_ABSENT};
    struct entry *e = shard_find(sh, key);
    if (!e) {
        f.miss = gone_take(s, key);
        return f;
    }
    bool is_dead = entry_is_dead(s, e);
    f.use = is_dead ? ENTRY_OVER : use_at(s, e, now);
    f.leave = is_dead || atomic_load(&e->soft_ms) ? LEAVE_INVALIDATED : LEAVE_EXPIRED;
    if (e->kind == ENTRY_RESPONSE) /* a marker's end is not the answer's */
        f.miss = f.leave == LEAVE_INVALIDATED ? STORE_MISS_INVALIDATED : STORE_MISS_EXPIRED;
    if (f.use != ENTRY_OVER) {
        f.entry = e;
        return f;
    }
    shard_unlink(sh, e);
    f.dead = e;
    return f;
}

static void mark_visited(struct entry *e)
{
    if (!atomic_load_explicit(&e->visited, memory_order_relaxed))
        atomic_store_explicit(&e->visited, 1, memory_order_relaxed);
}

/* Counts it and takes a reference. PASS markers are none of this. */
static enum store_result use(struct entry *e, enum entry_use how, struct entry **ret_entry)
{
    mark_visited(e);
    *ret_entry = entry_ref(e);
    if (e->kind == ENTRY_VARY)
        return STORE_VARY;
    atomic_fetch_add_explicit(&e->hits, 1, memory_order_relaxed);
    return how == ENTRY_FRESH ? STORE_HIT : STORE_STALE;
}

static bool is_usable(const struct entry *e, enum entry_use how)
{
    return how == ENTRY_FRESH || (how == ENTRY_STALE_WHILE && e->kind == ENTRY_RESPONSE);
}

/* What stands under <key>, however stale, unless it is a PASS marker or invalidated. */
static struct entry *find_alive(struct store *s, struct shard *sh, const struct cache_key *key)
{
    struct entry *e = shard_find(sh, key);
    return e && e->kind != ENTRY_PASS && !entry_is_dead(s, e) ? e : NULL;
}

enum store_result store_lookup(struct store *s, const struct cache_key *key, mono_ms now,
                               struct entry **ret_entry)
{
    struct shard *sh = shard_of(s, key);
    enum store_result rc = STORE_MISS;
    pthread_mutex_lock(&sh->lock);
    struct entry *e = find_alive(s, sh, key);
    enum entry_use how = e ? use_at(s, e, now) : ENTRY_OVER;
    /* what is over stays for store_begin(), which tells why it was a miss */
    if (e && is_usable(e, how))
        rc = use(e, how, ret_entry);
    pthread_mutex_unlock(&sh->lock);
    return rc;
}

enum store_result store_peek(struct store *s, const struct cache_key *key, mono_ms now,
                             struct entry **ret_entry)
{
    struct shard *sh = shard_of(s, key);
    pthread_mutex_lock(&sh->lock);
    struct entry *e = find_alive(s, sh, key);
    enum entry_use how = e ? use_at(s, e, now) : ENTRY_OVER;
    enum store_result rc = how == ENTRY_OVER          ? STORE_MISS
                           : e->kind == ENTRY_VARY    ? STORE_VARY
                           : how == ENTRY_FRESH       ? STORE_HIT
                           : how == ENTRY_STALE_WHILE ? STORE_STALE
                                                      : STORE_KEPT;
    if (rc != STORE_MISS)
        *ret_entry = entry_ref(e);
    pthread_mutex_unlock(&sh->lock);
    return rc;
}

static bool flight_is_overtaken(const struct store *s, const struct flight *f)
{
    return f->is_overtaken ||
           tags_last_invalidation(s->tags, f->tags.tag, f->tags.count, f->began) != 0;
}

static struct flight *find_flight(struct store *s, struct shard *sh, const struct cache_key *key,
                                  mono_ms now)
{
    for (struct flight *f = sh->flights; f; f = f->chain) {
        if (!f->is_linked || !cache_key_eq(&f->key, key))
            continue;
        bool is_overtaken = flight_is_overtaken(s, f);
        if (!is_overtaken && is_trusted(s, f->known_mono_ms, now))
            return f;
        f->is_linked = false; /* it lands for those who wait already; nobody joins it any more */
        f->is_overtaken = is_overtaken;
    }
    return NULL;
}

static struct flight *flight_new(struct store *s, struct shard *sh, const struct cache_key *key,
                                 uint16_t route, const struct tag_set *tags, mono_ms known)
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
    f->began = tag_now(s->tags);
    f->known_mono_ms = known;
    f->route = route;
    f->is_linked = true;
    f->last = &f->first;
    f->chain = sh->flights;
    sh->flights = f;
    return f;
}

static enum store_result lead_alone(struct store *s, struct shard *sh, const struct store_begin *b,
                                    struct store_begun *ret)
{
    ret->flight = flight_new(s, sh, b->key, b->route, b->tags, b->is_guarded ? b->now : 0);
    if (!ret->flight)
        return STORE_NOMEM;
    ret->flight->is_linked = false;
    ret->flight->is_alone = true;
    return STORE_ALONE;
}

static enum store_result join_or_lead(struct store *s, struct shard *sh,
                                      const struct store_begin *b, struct store_begun *ret)
{
    struct flight *f = find_flight(s, sh, b->key, b->now);
    if (!f) {
        ret->flight = flight_new(s, sh, b->key, b->route, b->tags, b->is_guarded ? b->now : 0);
        return ret->flight ? STORE_LEAD : STORE_NOMEM;
    }
    if (f->waiting >= s->waiters_max)
        return STORE_FULL;
    b->waiter->next = NULL;
    b->waiter->joined = tag_now(s->tags);
    *f->last = b->waiter;
    f->last = &b->waiter->next;
    f->waiting++;
    return STORE_JOINED;
}

enum store_result store_begin(struct store *s, const struct store_begin *b, struct store_begun *ret)
{
    struct shard *sh = shard_of(s, b->key);
    enum store_result rc;
    *ret = (struct store_begun){0};
    pthread_mutex_lock(&sh->lock);
    struct found found = find_usable(s, sh, b->key, b->now);
    struct entry *e = found.entry;
    ret->miss = found.miss;
    if (e && (e->kind == ENTRY_PASS ||
              (e->kind == ENTRY_RESPONSE && found.use == ENTRY_KEPT && !entry_is_shareable(e)))) {
        rc = lead_alone(s, sh, b, ret);
        if (rc == STORE_ALONE)
            ret->flight->is_endless = e->kind == ENTRY_PASS && e->flags & ENTRY_ENDLESS;
        if (e->kind == ENTRY_RESPONSE && rc == STORE_ALONE)
            ret->entry = entry_ref(e);
    } else if (e && is_usable(e, found.use)) {
        rc = use(e, found.use, &ret->entry);
    } else {
        rc = join_or_lead(s, sh, b, ret);
        if (e && e->kind == ENTRY_RESPONSE && (rc == STORE_LEAD || rc == STORE_JOINED))
            ret->entry = entry_ref(e);
    }
    pthread_mutex_unlock(&sh->lock);
    bury(s, found.dead, found.leave);
    if (found.dead)
        (void)gone_take(s, b->key); /* it has just been told */
    return rc;
}

enum store_result store_refresh(struct store *s, struct entry *e, const struct tag_set *tags,
                                mono_ms now, struct flight **ret_flight)
{
    struct shard *sh = shard_of(s, &e->key);
    if (now < atomic_load_explicit(&e->retry_ms, memory_order_relaxed))
        return STORE_MISS;
    pthread_mutex_lock(&sh->lock);
    struct entry *present = shard_find(sh, &e->key);
    bool is_replaced = present && present != e && present->kind == ENTRY_RESPONSE;
    bool is_vain = is_replaced || find_flight(s, sh, &e->key, now);
    mono_ms known = e->known_mono_ms ? now : 0;
    *ret_flight = is_vain ? NULL : flight_new(s, sh, &e->key, e->route, tags, known);
    pthread_mutex_unlock(&sh->lock);
    return *ret_flight ? STORE_LEAD : STORE_MISS;
}

void store_refresh_failed(struct entry *e, mono_ms now, uint64_t ms)
{
    atomic_store_explicit(&e->retry_ms, now + ms, memory_order_relaxed);
}

/* A marker (hit-for-miss) does not take the place of what may still be served stale. */
static bool is_kept(struct store *s, const struct entry *old, const struct entry *e, mono_ms now)
{
    return old && e->kind == ENTRY_PASS && old->kind == ENTRY_RESPONSE &&
           !entry_is_dead(s, (struct entry *)old) && entry_use_at(old, now) != ENTRY_OVER;
}

/* Links <e> in its shard, whose lock is held; *ret_old is what it replaces. */
static enum err_code insert_locked(struct store *s, struct shard *sh, struct entry *e, mono_ms now,
                                   struct entry **ret_old)
{
    struct entry *old = shard_find(sh, &e->key);
    struct entry *marker = shard_marker(sh, e);
    if (is_kept(s, old, e, now))
        return ERR_BUSY;
    if (!old && marker && s->variants_max && marker->variants >= s->variants_max)
        return ERR_DENIED;
    if (old && old->kind == ENTRY_VARY && e->kind == ENTRY_VARY)
        e->variants = old->variants;
    if (old)
        shard_unlink(sh, old);
    *ret_old = old;
    return shard_link(sh, e) ? ERR_OK : ERR_NOMEM;
}

static void flight_unlink(struct shard *sh, struct flight *f)
{
    struct flight **at = &sh->flights;
    while (*at != f)
        at = &(*at)->chain;
    *at = f->chain;
}

static uint64_t later(struct store *s, const struct flight *f, const struct entry *e, uint64_t last)
{
    uint64_t own = e ? tags_last_invalidation(s->tags, e->tags, e->tag_count, f->began) : 0;
    return own > last ? own : last;
}

/* The number of the invalidation that the answer is older than; 0: of none. What is stored need not
 * be what is handed out. */
static uint64_t overtaken_by(struct store *s, const struct flight *f, const struct entry *e,
                             struct entry *const *entries, unsigned count)
{
    uint64_t last = tags_last_invalidation(s->tags, f->tags.tag, f->tags.count, f->began);
    for (unsigned i = 0; i < count; i++)
        last = later(s, f, entries[i], last);
    return later(s, f, e, last);
}

static bool has_room(struct store *s, const struct entry *e)
{
    struct store_limits own = s->order.routes[e->route].limits, all = s->order.all.limits;
    return e->bytes <= s->max_object_bytes && (!own.max_bytes || e->bytes <= own.max_bytes) &&
           (!all.max_bytes || e->bytes <= all.max_bytes);
}

static enum err_code may_store(struct store *s, const struct flight *f, uint64_t overtaken,
                               struct entry *const *entries, unsigned count)
{
    if (f->is_overtaken || overtaken)
        return ERR_NOT_FOUND;
    for (unsigned i = 0; i < count; i++)
        if (!has_room(s, entries[i]))
            return ERR_TOO_LARGE;
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

/* Who joined after an invalidation that the answer is older than must not get it. The last such one
 * is known, earlier ones are not: who joined when anything at all had been invalidated since the
 * flight began asks anew. */
static void tell_waiters(struct flight *f, const struct flight_result *result, uint64_t overtaken)
{
    struct flight_result again = {.outcome = FLIGHT_OVERTAKEN};
    for (struct flight_waiter *w = f->first, *next; w; w = next) {
        next = w->next;
        bool is_late = overtaken && w->joined > f->began && result->outcome == FLIGHT_ANSWER;
        w->on_landed(w, is_late ? &again : result);
    }
}

enum err_code store_land(struct store *s, struct flight *f, const struct flight_result *result,
                         struct entry *const *entries, unsigned count, mono_ms now)
{
    enum { LAND_MAX = 4 };
    struct shard *sh = shard_of(s, &f->key);
    struct entry *old[LAND_MAX] = {0};
    enum err_code linked[LAND_MAX] = {0};
    assert(count <= LAND_MAX);
    pthread_mutex_lock(&sh->lock);
    flight_unlink(sh, f);
    uint64_t overtaken = overtaken_by(s, f, result->entry, entries, count);
    enum err_code rc = count ? may_store(s, f, overtaken, entries, count) : ERR_OK;
    for (unsigned i = 0; !rc && i < count; i++) {
        assert(shard_of(s, &entries[i]->key) == sh);
        /* what points at an answer that has not been let in is not stored either */
        bool is_vain = i > 0 && (linked[i - 1] == ERR_DENIED || linked[i - 1] == ERR_NOMEM);
        linked[i] = is_vain ? ERR_BUSY : insert_locked(s, sh, entries[i], now, &old[i]);
    }
    pthread_mutex_unlock(&sh->lock);
    for (unsigned i = 0; !rc && i < count; i++)
        bury(s, old[i], LEAVE_REPLACED);
    enum err_code stored = rc;
    for (unsigned i = 0; !rc && i < count; i++) {
        if (linked[i] == ERR_OK)
            order_insert(s, entries[i]);
        else if (linked[i] == ERR_NOMEM || linked[i] == ERR_DENIED)
            stored = linked[i];
    }
    count_refused(s, f->route, stored);
    tell_waiters(f, result, overtaken);
    flight_free(f);
    return stored;
}

enum err_code store_put(struct store *s, struct entry *e, const struct entry *replaces, mono_ms now)
{
    struct shard *sh = shard_of(s, &e->key);
    struct entry *old = NULL;
    enum err_code rc = has_room(s, e) ? ERR_OK : ERR_TOO_LARGE;
    pthread_mutex_lock(&sh->lock);
    bool is_over = tags_last_invalidation(s->tags, e->tags, e->tag_count, e->began) != 0;
    /* what is found by a walk leaves a mark on the answer replaced, and no other on a new one */
    is_over |= replaces ? shard_find(sh, &e->key) != replaces || atomic_load(&replaces->soft_ms)
                        : tag_last_untold(s->tags) > e->began;
    if (!rc)
        rc = is_over ? ERR_NOT_FOUND : insert_locked(s, sh, e, now, &old);
    pthread_mutex_unlock(&sh->lock);
    bury(s, old, LEAVE_REPLACED);
    if (!rc)
        order_insert(s, e);
    return rc;
}

void store_drop(struct store *s, struct entry *e)
{
    struct shard *sh = shard_of(s, &e->key);
    pthread_mutex_lock(&sh->lock);
    bool was_there = shard_unlink(sh, e);
    pthread_mutex_unlock(&sh->lock);
    if (was_there)
        bury(s, e, LEAVE_INVALIDATED);
}

const struct cache_key *flight_key(const struct flight *f)
{
    return &f->key;
}

const struct tag_set *flight_tags(const struct flight *f)
{
    return &f->tags;
}

uint64_t flight_began(const struct flight *f)
{
    return f->began;
}

unsigned flight_waiting(const struct flight *f)
{
    return f->waiting;
}

bool flight_is_endless(const struct flight *f)
{
    return f->is_endless;
}

bool flight_is_alone(const struct flight *f)
{
    return f->is_alone;
}
