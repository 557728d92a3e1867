/* One block: the struct, then key, heads, ETag and body behind one another. */
#include <larder/cache/entry.h>

#include <stdlib.h>

void cache_key_init(struct cache_key *k, struct span primary_text)
{
    k->text = primary_text;
    k->primary_len = primary_text.len;
    k->hash = hash128_of(primary_text.p, primary_text.len);
    k->primary = k->hash.hi;
}

void cache_key_init_variant(struct cache_key *k, struct span text, size_t primary_len)
{
    k->text = text;
    k->primary_len = primary_len;
    k->hash = hash128_of(text.p, text.len);
    k->primary = hash128_of(text.p, primary_len).hi;
}

bool cache_key_eq(const struct cache_key *a, const struct cache_key *b)
{
    return a->hash.lo == b->hash.lo && a->hash.hi == b->hash.hi &&
           a->primary_len == b->primary_len && span_eq(a->text, b->text);
}

static struct span place(char **at, struct span from)
{
    struct span s = span_of(*at, from.len);
    if (from.len)
        memcpy(*at, from.p, from.len);
    *at += from.len;
    return s;
}

struct entry *entry_new(const struct entry_parts *parts)
{
    size_t extra = parts->key->text.len + parts->head.len + parts->head_304.len + parts->etag.len +
                   parts->body.len;
    struct entry *e = malloc(sizeof(*e) + extra);
    if (!e)
        return NULL;
    memset(e, 0, sizeof(*e));
    e->refs = 1;
    e->kind = (uint8_t)parts->kind;
    e->route = parts->route;
    e->status = parts->status;
    if (parts->tags)
        e->tags = *parts->tags;
    e->stored_mono_ms = parts->stored_mono_ms;
    e->age_at_store_ms = parts->age_at_store_ms;
    e->lifetime_ms = parts->lifetime_ms;
    e->last_modified_unix_s = parts->last_modified_unix_s;
    e->bytes = sizeof(*e) + extra + 2 * sizeof(void *); /* what malloc itself takes */
    char *at = (char *)(e + 1);
    e->key = *parts->key;
    e->key.text = place(&at, parts->key->text);
    e->head = place(&at, parts->head);
    e->head_304 = place(&at, parts->head_304);
    e->etag = place(&at, parts->etag);
    e->body = place(&at, parts->body);
    list_init(&e->in_all);
    list_init(&e->in_route);
    list_init(&e->in_expiry);
    return e;
}

struct entry *entry_ref(struct entry *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void entry_unref(struct entry *e)
{
    if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
        free(e);
}

void entry_unrefp(struct entry **e)
{
    entry_unref(*e);
}

bool entry_is_fresh(const struct entry *e, mono_ms now)
{
    return now < e->stored_mono_ms + e->lifetime_ms;
}

uint64_t entry_age_s(const struct entry *e, mono_ms now)
{
    uint64_t resident = now > e->stored_mono_ms ? now - e->stored_mono_ms : 0;
    return (e->age_at_store_ms + resident) / 1000;
}

int64_t entry_ttl_s(const struct entry *e, mono_ms now)
{
    int64_t left = (int64_t)(e->stored_mono_ms + e->lifetime_ms) - (int64_t)now;
    return left >= 0 ? left / 1000 : -((999 - left) / 1000);
}
