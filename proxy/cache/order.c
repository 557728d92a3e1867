/* Which entry goes when there is no room (SIEVE: one queue, a hand for each kind of excess, a mark
 * set by hits), and which has expired (a wheel of one-second slots, looked into once a round).
 *
 * Victims are chosen and unlinked here under order.lock, and taken out of their shards afterwards:
 * the two locks are never held in the wrong order. */
#include "cache-internal.h"

#include <stdlib.h>

static void queue_init(struct queue *q, struct store_limits limits)
{
    list_init(&q->entries);
    q->limits = limits;
}

bool order_init(struct order *o, const struct store_config *config)
{
    pthread_mutex_init(&o->lock, NULL);
    queue_init(&o->all, config->all);
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        list_init(&o->wheel[i]);
    o->routes = calloc(config->route_count ? config->route_count : 1, sizeof(*o->routes));
    if (!o->routes)
        return false;
    for (unsigned i = 0; i < config->route_count; i++)
        queue_init(&o->routes[i], config->route[i]);
    return true;
}

void order_fini(struct order *o)
{
    free(o->routes);
    pthread_mutex_destroy(&o->lock);
}

/* A limit of entries is one of answers. Markers (of what varies, of what may not be stored) have
 * room beside them, but not for ever; each kind makes room for its own, so that failed logins,
 * however many, push nobody's answer out. */
static enum excess excess_of(const struct queue *q)
{
    enum { MARKERS_OF_ANSWER = 3 };
    uint64_t max = q->limits.max_entries;
    if (q->limits.max_bytes && q->bytes > q->limits.max_bytes)
        return EXCESS_BYTES;
    if (max && q->answers > max)
        return EXCESS_ANSWERS;
    return max && q->count - q->answers > MARKERS_OF_ANSWER * max ? EXCESS_MARKERS : EXCESS_NONE;
}

static void queue_add(struct queue *q, struct list *link, const struct entry *e)
{
    list_push_front(&q->entries, link);
    q->count++;
    q->answers += e->kind == ENTRY_RESPONSE;
    q->bytes += e->bytes;
    q->inserted++;
}

static void queue_remove(struct queue *q, struct list *link, const struct entry *e)
{
    for (unsigned i = 0; i < EXCESS_NONE; i++)
        if (q->hand[i] == link)
            q->hand[i] = link->prev == &q->entries ? NULL : link->prev; /* on, to the newest */
    list_remove(link);
    q->count--;
    q->answers -= e->kind == ENTRY_RESPONSE;
    q->bytes -= e->bytes;
}

static struct entry *entry_at(struct list *link, bool is_all)
{
    return is_all ? container_of(link, struct entry, in_all)
                  : container_of(link, struct entry, in_route);
}

static bool is_of(const struct entry *e, enum excess excess)
{
    return excess == EXCESS_BYTES || (e->kind == ENTRY_RESPONSE) == (excess == EXCESS_ANSWERS);
}

/* SIEVE: from the hand towards the newest, unmark what was visited, take what was not. There is one
 * of the kind that is too many. With one hand for all, each kind would drag it past the other's: a
 * walk through the whole queue for each newcomer, and victims that have only just come. */
static struct entry *choose_victim(struct queue *q, bool is_all, enum excess excess)
{
    if (list_is_empty(&q->entries))
        return NULL;
    struct list *at = q->hand[excess] ? q->hand[excess] : q->entries.prev;
    for (;;) {
        struct entry *e = entry_at(at, is_all);
        struct list *on = at->prev == &q->entries ? q->entries.prev : at->prev;
        bool is_victim = is_of(e, excess);
        if (is_victim && (!atomic_load_explicit(&e->visited, memory_order_relaxed) || on == at)) {
            q->hand[excess] = at; /* queue_remove moves it on */
            return e;
        }
        if (is_victim)
            atomic_store_explicit(&e->visited, 0, memory_order_relaxed);
        at = on;
    }
}

static void unlink_all(struct store *s, struct entry *e)
{
    struct order *o = &s->order;
    queue_remove(&o->all, &e->in_all, e);
    queue_remove(&o->routes[e->route], &e->in_route, e);
    list_remove(&e->in_expiry);
    e->queue_state = QUEUE_DEAD;
}

static void count_leave(struct store *s, const struct entry *e, enum leave why)
{
    struct queue *all = &s->order.all, *route = &s->order.routes[e->route];
    if (why == LEAVE_EVICTED) {
        all->evicted++;
        route->evicted++;
    } else if (why == LEAVE_EXPIRED) {
        all->expired++;
        route->expired++;
    } else if (why == LEAVE_INVALIDATED && e->kind == ENTRY_RESPONSE) {
        all->invalidated++;
        route->invalidated++;
    }
}

static void link_all(struct store *s, struct entry *e)
{
    struct order *o = &s->order;
    uint64_t expires_s = entry_over_ms(e) / 1000 + 1;
    queue_add(&o->all, &e->in_all, e);
    queue_add(&o->routes[e->route], &e->in_route, e);
    list_push_back(&o->wheel[expires_s % WHEEL_SLOTS], &e->in_expiry);
    e->queue_state = QUEUE_LINKED;
}

/* The next victim while a budget is exceeded: unlinked, with a reference for the caller. */
static struct entry *next_victim(struct store *s, struct queue *route)
{
    struct entry *victim = NULL;
    enum excess excess = excess_of(route), of_all = excess_of(&s->order.all);
    if (excess != EXCESS_NONE)
        victim = choose_victim(route, false, excess);
    else if (of_all != EXCESS_NONE)
        victim = choose_victim(&s->order.all, true, of_all);
    if (!victim)
        return NULL;
    unlink_all(s, victim);
    count_leave(s, victim, LEAVE_EVICTED);
    return entry_ref(victim);
}

static _Atomic uint64_t *gone_slot(struct store *s, const struct cache_key *key)
{
    return &s->gone[(key->primary >> 2) % GONE_SLOTS];
}

void gone_note(struct store *s, const struct entry *e, enum leave why)
{
    static const uint64_t misses[] = {[LEAVE_EVICTED] = STORE_MISS_EVICTED,
                                      [LEAVE_EXPIRED] = STORE_MISS_EXPIRED,
                                      [LEAVE_INVALIDATED] = STORE_MISS_INVALIDATED};
    if (e->kind != ENTRY_RESPONSE || why == LEAVE_REPLACED)
        return;
    uint64_t mark = (e->key.primary & ~3ull) | misses[why]; /* of whichever variant */
    atomic_store_explicit(gone_slot(s, &e->key), mark, memory_order_relaxed);
}

enum store_miss gone_take(struct store *s, const struct cache_key *key)
{
    _Atomic uint64_t *slot = gone_slot(s, key);
    uint64_t mark = atomic_load_explicit(slot, memory_order_relaxed);
    if (!mark || (mark & ~3ull) != (key->primary & ~3ull))
        return STORE_MISS_ABSENT;
    atomic_store_explicit(slot, 0, memory_order_relaxed);
    return (enum store_miss)(mark & 3);
}

static void drop_from_shard(struct store *s, struct entry *e, enum leave why)
{
    gone_note(s, e, why);
    struct shard *sh = shard_of(s, &e->key);
    pthread_mutex_lock(&sh->lock);
    bool was_there = shard_unlink(sh, e);
    pthread_mutex_unlock(&sh->lock);
    if (was_there)
        entry_unref(e);
    entry_unref(e);
}

void order_insert(struct store *s, struct entry *e)
{
    struct order *o = &s->order;
    pthread_mutex_lock(&o->lock);
    if (e->queue_state == QUEUE_NEW) /* an invalidation may have been quicker */
        link_all(s, e);
    for (struct entry *v; (v = next_victim(s, &o->routes[e->route])) != NULL;) {
        pthread_mutex_unlock(&o->lock);
        drop_from_shard(s, v, LEAVE_EVICTED);
        pthread_mutex_lock(&o->lock);
    }
    pthread_mutex_unlock(&o->lock);
}

void bury(struct store *s, struct entry *dead, enum leave why)
{
    if (!dead)
        return;
    gone_note(s, dead, why);
    order_remove(s, dead, why);
    entry_unref(dead);
}

void bury_chain(struct store *s, struct entry *dead, enum leave why)
{
    for (struct entry *next; dead; dead = next) {
        next = dead->chain;
        dead->chain = NULL;
        bury(s, dead, why);
    }
}

void order_remove(struct store *s, struct entry *e, enum leave why)
{
    struct order *o = &s->order;
    pthread_mutex_lock(&o->lock);
    if (e->queue_state == QUEUE_LINKED)
        unlink_all(s, e);
    e->queue_state = QUEUE_DEAD;
    count_leave(s, e, why);
    pthread_mutex_unlock(&o->lock);
}

/* One wheel slot may hold entries of later rounds: those stay. What has expired is unlinked into
 * <dead>, each with a reference for the caller; nobody else touches a dead entry's links. */
static unsigned expire_slot(struct store *s, uint64_t second, mono_ms now, unsigned max,
                            struct list *dead)
{
    struct order *o = &s->order;
    unsigned n = 0;
    pthread_mutex_lock(&o->lock);
    list_for_each_safe (it, next, &o->wheel[second % WHEEL_SLOTS]) {
        struct entry *e = container_of(it, struct entry, in_expiry);
        if (n == max || now < entry_over_ms(e))
            continue;
        unlink_all(s, e);
        count_leave(s, e, LEAVE_EXPIRED);
        list_push_back(dead, &entry_ref(e)->in_expiry);
        n++;
    }
    pthread_mutex_unlock(&o->lock);
    return n;
}

unsigned store_expire(struct store *s, mono_ms now, unsigned max)
{
    struct order *o = &s->order;
    uint64_t until = now / 1000;
    unsigned total = 0;
    struct list dead;
    list_init(&dead);
    if (until > o->wheel_s + WHEEL_SLOTS)
        o->wheel_s = until - WHEEL_SLOTS; /* one round visits every slot */
    for (uint64_t second = o->wheel_s; second <= until && total < max; second++) {
        total += expire_slot(s, second, now, max - total, &dead);
        o->wheel_s = second;
    }
    list_for_each_safe (it, next, &dead) {
        list_remove(it);
        drop_from_shard(s, container_of(it, struct entry, in_expiry), LEAVE_EXPIRED);
    }
    return total;
}
