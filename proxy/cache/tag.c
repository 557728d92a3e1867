/* A table of numbers in 2^20 slots: its pages cost memory only once something in them has been
 * invalidated. Raising goes slot first, number last: who reads the new number sees the slot, and
 * who began with the old one is below the slot. */
#include <larder/cache/tag.h>

#include <larder/base/hash.h>
#include <larder/base/macros.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SLOTS = 1 << 20, RING = 1024 };

struct all_of {
    uint64_t number;
    unsigned count;
    uint64_t tag[TAG_ALL_OF_MAX];
};

struct tag_table {
    pthread_mutex_t lock; /* invalidations, and the ring */
    uint64_t numbers;     /* the next one */
    _Atomic uint64_t last;
    _Atomic uint64_t all_of_last; /* the last number in the ring, so that most need no lock */
    _Atomic uint64_t untold_last; /* the last that no single tag tells of */
    uint64_t forgotten;           /* the last number that the ring has lost */
    uint64_t ring_count;
    struct all_of ring[RING];
    _Atomic uint64_t hard[SLOTS], soft[SLOTS];
    _Atomic mono_ms soft_ms[SLOTS];
};

struct tag_table *tag_table_new(void)
{
    struct tag_table *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    t->numbers = 1;
    return t;
}

void tag_table_free(struct tag_table *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

uint64_t tag_of(struct span text)
{
    return hash128_of(text.p, text.len).lo;
}

bool tags_have(const uint64_t *tags, unsigned count, uint64_t tag)
{
    for (unsigned i = 0; i < count; i++)
        if (tags[i] == tag)
            return true;
    return false;
}

void tag_set_init(struct tag_set *s)
{
    s->count = 0;
    s->text_len = 0;
    s->is_full = false;
}

void tag_set_add(struct tag_set *s, struct span text, bool is_explicit)
{
    uint64_t tag = tag_of(text);
    if (tags_have(s->tag, s->count, tag))
        return;
    if (s->count == TAG_SET_MAX || (is_explicit && text.len + 1 > sizeof(s->text) - s->text_len)) {
        s->is_full = true;
        return;
    }
    s->tag[s->count++] = tag;
    if (!is_explicit)
        return;
    if (text.len)
        memcpy(s->text + s->text_len, text.p, text.len);
    s->text[s->text_len + text.len] = '\0';
    s->text_len += text.len + 1;
}

uint64_t tag_now(const struct tag_table *t)
{
    return atomic_load_explicit(&t->last, memory_order_acquire);
}

/* The next number, which commit() makes known. */
static uint64_t begin(struct tag_table *t)
{
    pthread_mutex_lock(&t->lock);
    return t->numbers++;
}

static uint64_t commit(struct tag_table *t, uint64_t number)
{
    atomic_store_explicit(&t->last, number, memory_order_release);
    pthread_mutex_unlock(&t->lock);
    return number;
}

uint64_t tag_invalidate(struct tag_table *t, const uint64_t *tags, unsigned count, bool is_soft,
                        mono_ms now)
{
    uint64_t number = begin(t);
    for (unsigned i = 0; i < count; i++) {
        size_t slot = tags[i] % SLOTS;
        if (is_soft) {
            atomic_store_explicit(&t->soft_ms[slot], now, memory_order_relaxed);
            atomic_store_explicit(&t->soft[slot], number, memory_order_release);
        } else {
            atomic_store_explicit(&t->hard[slot], number, memory_order_release);
        }
    }
    return commit(t, number);
}

uint64_t tag_invalidate_all_of(struct tag_table *t, const uint64_t *tags, unsigned count)
{
    uint64_t number = begin(t);
    struct all_of *a = &t->ring[t->ring_count++ % RING];
    if (a->number)
        t->forgotten = a->number;
    a->number = number;
    a->count = count < TAG_ALL_OF_MAX ? count : TAG_ALL_OF_MAX;
    memcpy(a->tag, tags, a->count * sizeof(*tags));
    atomic_store_explicit(&t->all_of_last, number, memory_order_release);
    atomic_store_explicit(&t->untold_last, number, memory_order_release);
    return commit(t, number);
}

uint64_t tag_invalidate_other(struct tag_table *t)
{
    uint64_t number = begin(t);
    atomic_store_explicit(&t->untold_last, number, memory_order_release);
    return commit(t, number);
}

uint64_t tag_last_untold(const struct tag_table *t)
{
    return atomic_load_explicit(&t->untold_last, memory_order_acquire);
}

enum tag_state tags_check(const struct tag_table *t, const uint64_t *tags, unsigned count,
                          uint64_t since, mono_ms *ret_soft_ms)
{
    mono_ms soft_ms = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t slot = tags[i] % SLOTS;
        if (atomic_load_explicit(&t->hard[slot], memory_order_acquire) > since)
            return TAG_DEAD;
        if (atomic_load_explicit(&t->soft[slot], memory_order_acquire) <= since)
            continue;
        mono_ms at = atomic_load_explicit(&t->soft_ms[slot], memory_order_relaxed);
        soft_ms = !soft_ms || at < soft_ms ? at : soft_ms;
    }
    if (!soft_ms)
        return TAG_CURRENT;
    *ret_soft_ms = soft_ms;
    return TAG_STALE;
}

static uint64_t last_all_of(struct tag_table *t, const uint64_t *tags, unsigned count,
                            uint64_t since)
{
    uint64_t last = 0;
    pthread_mutex_lock(&t->lock);
    if (t->forgotten > since)
        last = t->forgotten;
    for (unsigned i = 0; i < RING; i++) {
        const struct all_of *a = &t->ring[i];
        bool is_meant = a->number > since && a->number > last;
        for (unsigned n = 0; is_meant && n < a->count; n++)
            is_meant = tags_have(tags, count, a->tag[n]);
        if (is_meant)
            last = a->number;
    }
    pthread_mutex_unlock(&t->lock);
    return last;
}

uint64_t tags_last_invalidation(const struct tag_table *t, const uint64_t *tags, unsigned count,
                                uint64_t since)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t slot = tags[i] % SLOTS;
        uint64_t hard = atomic_load_explicit(&t->hard[slot], memory_order_acquire);
        uint64_t soft = atomic_load_explicit(&t->soft[slot], memory_order_acquire);
        last = hard > last ? hard : last;
        last = soft > last ? soft : last;
    }
    if (atomic_load_explicit(&t->all_of_last, memory_order_acquire) > since) {
        uint64_t all = last_all_of((struct tag_table *)t, tags, count, since); /* only its lock */
        last = all > last ? all : last;
    }
    return last > since ? last : 0;
}
