#include <larder/cache/tag.h>

#include <larder/base/hash.h>

#include <stdatomic.h>
#include <stdlib.h>

enum { SLOTS = 65536 };

struct tag_table {
    _Atomic uint64_t epoch[SLOTS];
};

struct tag_table *tag_table_new(void)
{
    return calloc(1, sizeof(struct tag_table));
}

void tag_table_free(struct tag_table *t)
{
    free(t);
}

uint64_t tag_of(struct span text)
{
    return hash128_of(text.p, text.len).lo;
}

bool tag_add(struct tag_stamp *s, uint64_t tag)
{
    if (tag_stamp_has(s, tag))
        return true;
    if (s->count == TAGS_MAX)
        return false;
    s->tag[s->count++] = tag;
    return true;
}

void tag_stamp_now(const struct tag_table *t, struct tag_stamp *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        s->epoch[i] = atomic_load(&t->epoch[s->tag[i] % SLOTS]);
}

bool tag_stamp_is_current(const struct tag_table *t, const struct tag_stamp *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (atomic_load_explicit(&t->epoch[s->tag[i] % SLOTS], memory_order_acquire) != s->epoch[i])
            return false;
    return true;
}

bool tag_stamp_has(const struct tag_stamp *s, uint64_t tag)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->tag[i] == tag)
            return true;
    return false;
}

void tag_invalidate(struct tag_table *t, uint64_t tag)
{
    atomic_fetch_add(&t->epoch[tag % SLOTS], 1);
}
