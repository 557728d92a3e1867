/* A shard's answers by tag: a hash table of records, each with the list of its entries. The links
 * lie in the entries. */
#include "cache-internal.h"

#include <stdlib.h>

static struct tag_record **slot_of(const struct tag_index *x, uint64_t tag)
{
    return &x->table[tag & (x->size - 1)];
}

struct tag_record *index_find(const struct tag_index *x, uint64_t tag)
{
    if (!x->size)
        return NULL;
    struct tag_record *r = *slot_of(x, tag);
    while (r && r->tag != tag)
        r = r->chain;
    return r;
}

static bool grow(struct tag_index *x)
{
    size_t size = x->size ? x->size * 2 : 16;
    struct tag_record **old = x->table, **table = calloc(size, sizeof(*table));
    if (!table)
        return x->size > 0;
    size_t old_size = x->size;
    x->table = table;
    x->size = size;
    for (size_t n = 0; n < old_size; n++) {
        for (struct tag_record *r = old[n], *next; r; r = next) {
            next = r->chain;
            struct tag_record **slot = slot_of(x, r->tag);
            r->chain = *slot;
            *slot = r;
        }
    }
    free(old);
    return true;
}

static struct tag_record *find_or_make(struct tag_index *x, uint64_t tag)
{
    struct tag_record *r = index_find(x, tag);
    if (r)
        return r;
    if (x->count >= x->size && !grow(x))
        return NULL;
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    struct tag_record **slot = slot_of(x, tag);
    r->tag = tag;
    r->chain = *slot;
    *slot = r;
    x->count++;
    return r;
}

static void link_to(struct tag_record *r, struct tag_link *l, struct entry *e)
{
    l->entry = e;
    l->record = r;
    l->next = r->first;
    l->prev = &r->first;
    if (r->first)
        r->first->prev = &l->next;
    r->first = l;
    r->count++;
}

static void drop_record(struct tag_index *x, struct tag_record *r)
{
    struct tag_record **at = slot_of(x, r->tag);
    while (*at != r)
        at = &(*at)->chain;
    *at = r->chain;
    x->count--;
    free(r);
}

bool index_add(struct tag_index *x, struct entry *e)
{
    for (unsigned i = 0; i < e->tag_count; i++) {
        struct tag_record *r = find_or_make(x, e->tags[i]);
        if (!r) {
            index_remove(x, e);
            return false;
        }
        link_to(r, &e->links[i], e);
    }
    return true;
}

void index_remove(struct tag_index *x, struct entry *e)
{
    for (unsigned i = 0; i < e->tag_count; i++) {
        struct tag_link *l = &e->links[i];
        if (!l->entry)
            continue;
        *l->prev = l->next;
        if (l->next)
            l->next->prev = l->prev;
        l->entry = NULL;
        if (--l->record->count == 0)
            drop_record(x, l->record);
    }
}

void index_fini(struct tag_index *x)
{
    free(x->table); /* its records went with their last entries */
    *x = (struct tag_index){0};
}
