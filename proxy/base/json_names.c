/* One hash table for the members of all objects of a document: a member costs one look-up however
 * many its object has. Names are compared, so that two which merely hash alike are both taken. */
#include "json-internal.h"

#include <larder/base/hash.h>

#include <stdlib.h>

static size_t slot_of(const struct name_set *s, const struct json *member)
{
    uint64_t h = hash128_of(member->name.p, member->name.len).lo;
    h ^= (uint64_t)(uintptr_t)member->parent * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 32) & (s->cap - 1);
}

/* The slot of the member with this name and object, or the free one where it belongs. */
static const struct json **find(const struct name_set *s, const struct json *member)
{
    size_t i = slot_of(s, member);
    while (s->slots[i] &&
           !(s->slots[i]->parent == member->parent && span_eq(s->slots[i]->name, member->name)))
        i = (i + 1) & (s->cap - 1);
    return &s->slots[i];
}

static bool grow(struct name_set *s)
{
    struct name_set wider = {.count = s->count, .cap = s->cap ? s->cap * 2 : 64};
    wider.slots = calloc(wider.cap, sizeof(*wider.slots));
    if (!wider.slots)
        return false;
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i])
            *find(&wider, s->slots[i]) = s->slots[i];
    free(s->slots);
    *s = wider;
    return true;
}

enum name_added name_set_add(struct name_set *s, const struct json *member)
{
    if (s->count * 2 >= s->cap && !grow(s))
        return NAME_NOMEM;
    const struct json **slot = find(s, member);
    if (*slot)
        return NAME_TWICE;
    *slot = member;
    s->count++;
    return NAME_ADDED;
}

void name_set_fini(struct name_set *s)
{
    free(s->slots);
    *s = (struct name_set){0};
}
