/* Tables of clients, in shards by hash: a chain for each bucket, and two queues by last use.
 *
 * Who has used half of a limit or more stands in the heavy queue, for such clients are what the
 * table is for; others, and those whom time has made so again, in the light one. A full table
 * forgets the light one that was silent longest, and a heavy one only where nearly all are heavy.
 * So who would push out a client that is being refused must come with as many as the table holds,
 * each of which has used up half of what it may. */
#include <larder/cache/quota.h>

#include <pthread.h>
#include <stdlib.h>

enum {
    SHARDS_MAX = 16,
    SHARD_CLIENTS_MIN = 256, /* below, fewer shards: chance must not make one of them small */
    MUCH = 128,              /* 256ths of a limit */
    LIGHT_PART = 8, /* light ones keep an eighth of the places, so that they can become heavy */
    SWEPT = 2,      /* of each queue, looked at for each newcomer */
    TELL_MS = 1000,
    NONE = UINT32_MAX,
};

struct client {
    struct hash128 who;
    const struct quota_limit *limits;
    mono_ms told_ms; /* when its refusal was last told; 0: never */
    uint32_t chain, newer, older;
    uint16_t count;
    bool is_heavy;
    struct quota_state state[];
};

struct queue {
    uint32_t newest, oldest;
    unsigned count;
};

struct shard {
    pthread_mutex_t lock;
    unsigned max, made; /* places, and places ever taken */
    uint32_t bucket_mask;
    uint32_t *buckets;
    char *places;
    uint32_t free;
    struct queue light, heavy;
};

struct quota {
    size_t place_bytes;
    unsigned limits_max, shard_count;
    struct shard shard[SHARDS_MAX];
};

static struct client *at(const struct quota *q, const struct shard *s, uint32_t i)
{
    return (struct client *)(void *)(s->places + i * q->place_bytes);
}

static bool shard_init(struct shard *s, unsigned max, size_t place_bytes)
{
    uint32_t buckets = 1;
    while (buckets < max)
        buckets *= 2;
    pthread_mutex_init(&s->lock, NULL);
    s->max = max;
    s->bucket_mask = buckets - 1;
    s->free = NONE;
    s->light = s->heavy = (struct queue){.newest = NONE, .oldest = NONE};
    s->buckets = calloc(buckets, sizeof(*s->buckets)); /* 0: none, else the place's number + 1 */
    s->places = calloc(max, place_bytes);
    return s->buckets && s->places;
}

struct quota *quota_new(unsigned max_clients, unsigned limits_max)
{
    struct quota *q = calloc(1, sizeof(*q));
    bool is_whole = q != NULL;
    if (!q)
        return NULL;
    unsigned shards = max_clients / SHARD_CLIENTS_MIN;
    q->limits_max = limits_max;
    q->place_bytes = sizeof(struct client) + limits_max * sizeof(struct quota_state);
    q->shard_count = shards < 1 ? 1 : shards > SHARDS_MAX ? SHARDS_MAX : shards;
    for (unsigned i = 0; i < q->shard_count; i++) {
        unsigned extra = i < max_clients % q->shard_count;
        is_whole &= shard_init(&q->shard[i], max_clients / q->shard_count + extra, q->place_bytes);
    }
    if (is_whole)
        return q;
    quota_free(q);
    return NULL;
}

void quota_free(struct quota *q)
{
    if (!q)
        return;
    for (unsigned i = 0; i < q->shard_count; i++) {
        pthread_mutex_destroy(&q->shard[i].lock);
        free(q->shard[i].buckets);
        free(q->shard[i].places);
    }
    free(q);
}

/* --- one shard, under its lock --- */

static uint32_t *bucket_of(struct shard *s, struct hash128 who)
{
    return &s->buckets[who.lo & s->bucket_mask];
}

static struct queue *queue_of(struct shard *s, const struct client *c)
{
    return c->is_heavy ? &s->heavy : &s->light;
}

static void unqueue(struct quota *q, struct shard *s, uint32_t i)
{
    struct client *c = at(q, s, i);
    struct queue *of = queue_of(s, c);
    *(c->newer == NONE ? &of->newest : &at(q, s, c->newer)->older) = c->older;
    *(c->older == NONE ? &of->oldest : &at(q, s, c->older)->newer) = c->newer;
    of->count--;
}

static void enqueue(struct quota *q, struct shard *s, uint32_t i)
{
    struct client *c = at(q, s, i);
    struct queue *of = queue_of(s, c);
    c->newer = NONE;
    c->older = of->newest;
    *(of->newest == NONE ? &of->oldest : &at(q, s, of->newest)->newer) = i;
    of->newest = i;
    of->count++;
}

static void move(struct quota *q, struct shard *s, uint32_t i, bool is_heavy)
{
    unqueue(q, s, i);
    at(q, s, i)->is_heavy = is_heavy;
    enqueue(q, s, i);
}

/* How much of its limits it has used, in 256ths of the one that it has used most. */
static unsigned usage(const struct client *c, mono_ms now)
{
    unsigned most = 0;
    for (unsigned i = 0; i < c->count; i++) {
        const struct quota_limit *l = &c->limits[i];
        struct quota_view v;
        quota_look(l, &c->state[i], now, &v);
        uint64_t all = l->is_bucket ? l->burst : l->count, used = all - v.remaining;
        unsigned part = (unsigned)(used * 256 / all);
        if (part == 0 && v.reset_ms)
            part = 1; /* little, but something */
        most = part > most ? part : most;
    }
    return most;
}

static void forget(struct quota *q, struct shard *s, uint32_t i)
{
    struct client *c = at(q, s, i);
    uint32_t *link = bucket_of(s, c->who);
    while (*link != i + 1)
        link = &at(q, s, *link - 1)->chain;
    *link = c->chain;
    unqueue(q, s, i);
    c->chain = s->free;
    s->free = i;
}

static unsigned used_places(const struct shard *s)
{
    return s->light.count + s->heavy.count;
}

static void make_room(struct quota *q, struct shard *s)
{
    bool has_light = s->light.count > s->max / LIGHT_PART;
    forget(q, s, has_light || s->heavy.count == 0 ? s->light.oldest : s->heavy.oldest);
}

/* Of each queue's oldest: who is light again, and who has nothing to be remembered. */
static void sweep(struct quota *q, struct shard *s, unsigned most, mono_ms now)
{
    for (unsigned n = 0; n < most && s->heavy.oldest != NONE; n++) {
        if (usage(at(q, s, s->heavy.oldest), now) >= MUCH)
            break;
        move(q, s, s->heavy.oldest, false);
    }
    for (unsigned n = 0; n < most && s->light.oldest != NONE; n++) {
        if (usage(at(q, s, s->light.oldest), now) > 0)
            break;
        forget(q, s, s->light.oldest);
    }
}

static struct client *find(struct quota *q, struct shard *s, struct hash128 who)
{
    for (uint32_t i = *bucket_of(s, who); i; i = at(q, s, i - 1)->chain) {
        struct client *c = at(q, s, i - 1);
        if (c->who.hi != who.hi || c->who.lo != who.lo)
            continue;
        move(q, s, i - 1, c->is_heavy);
        return c;
    }
    return NULL;
}

static struct client *add(struct quota *q, struct shard *s, const struct quota_ask *a, mono_ms now)
{
    sweep(q, s, SWEPT, now);
    if (used_places(s) == s->max)
        make_room(q, s);
    uint32_t i = s->free;
    if (i == NONE)
        i = s->made++;
    else
        s->free = at(q, s, i)->chain;
    struct client *c = at(q, s, i);
    memset(c, 0, q->place_bytes);
    c->who = a->who;
    c->limits = a->limits;
    c->count = (uint16_t)a->count;
    uint32_t *bucket = bucket_of(s, a->who);
    c->chain = *bucket;
    *bucket = i + 1;
    enqueue(q, s, i);
    return c;
}

static struct shard *shard_of(struct quota *q, struct hash128 who)
{
    return &q->shard[who.hi % q->shard_count];
}

/* --- questions --- */

static void look(struct quota_ask *a, const struct client *c, mono_ms now)
{
    for (unsigned i = 0; i < a->count; i++)
        quota_look(&a->limits[i], &c->state[i], now, &a->view[i]);
}

static bool is_over(const struct quota_ask *a)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->view[i].is_over)
            return true;
    return false;
}

static void note_refusal(struct quota_ask *a, struct client *c, mono_ms now)
{
    a->may_tell = a->is_over && (!c->told_ms || now >= c->told_ms + TELL_MS);
    if (a->may_tell)
        c->told_ms = now ? now : 1;
}

/* It has been used: is it one of the heavy ones now? */
static void weigh(struct quota *q, struct client *c, mono_ms now)
{
    struct shard *s = shard_of(q, c->who);
    if (!c->is_heavy && usage(c, now) >= MUCH)
        move(q, s, (uint32_t)(((char *)c - s->places) / (ptrdiff_t)q->place_bytes), true);
}

static void charge(struct quota_ask *a, struct client *c, mono_ms now)
{
    for (unsigned i = 0; i < a->count; i++)
        quota_add(&a->limits[i], &c->state[i], now);
    look(a, c, now);
    weigh(a->table, c, now);
}

bool quota_take(struct quota_ask *asks, unsigned count, mono_ms now)
{
    enum { ASKS_MAX = 16 };
    struct client *who[ASKS_MAX];
    bool is_allowed = true;
    count = count < ASKS_MAX ? count : ASKS_MAX;
    for (unsigned i = 0; i < count; i++) {
        struct quota_ask *a = &asks[i];
        struct shard *s = shard_of(a->table, a->who);
        pthread_mutex_lock(&s->lock);
        who[i] = find(a->table, s, a->who);
        if (!who[i])
            who[i] = add(a->table, s, a, now);
        look(a, who[i], now);
        a->is_over = is_over(a);
        is_allowed &= !a->is_over || a->is_dry;
    }
    for (unsigned i = 0; i < count; i++) {
        if (is_allowed && !asks[i].is_over)
            charge(&asks[i], who[i], now);
        note_refusal(&asks[i], who[i], now);
    }
    for (unsigned i = count; i-- > 0;)
        pthread_mutex_unlock(&shard_of(asks[i].table, asks[i].who)->lock);
    return is_allowed;
}

void quota_adopt(struct quota_ask *a, const struct quota_state *states, bool over, mono_ms now)
{
    struct shard *s = shard_of(a->table, a->who);
    pthread_mutex_lock(&s->lock);
    struct client *c = find(a->table, s, a->who);
    if (!c)
        c = add(a->table, s, a, now);
    memcpy(c->state, states, a->count * sizeof(*states));
    look(a, c, now);
    weigh(a->table, c, now);
    if (over && !is_over(a)) /* by a rounding */
        a->view[0] = (struct quota_view){.is_over = true, .wait_ms = 1};
    a->is_over = over;
    note_refusal(a, c, now);
    pthread_mutex_unlock(&s->lock);
}

unsigned quota_clients(struct quota *q, mono_ms now)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < q->shard_count; i++) {
        struct shard *s = &q->shard[i];
        pthread_mutex_lock(&s->lock);
        sweep(q, s, used_places(s), now);
        sum += used_places(s);
        pthread_mutex_unlock(&s->lock);
    }
    return sum;
}
