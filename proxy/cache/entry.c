/* One block: the struct, then the arrays, then key, heads, ETag, body and the rest as bytes. */
#include "cache-internal.h"

#include <stdlib.h>

enum { READABLE_END = 0x1f }; /* ends the readable part of a template route's key */

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

struct span cache_key_readable(const struct cache_key *k)
{
    const char *end = k->primary_len ? memchr(k->text.p, READABLE_END, k->primary_len) : NULL;
    return span_of(k->text.p, end ? (size_t)(end - k->text.p) : k->primary_len);
}

static struct span place(char **at, struct span from)
{
    struct span s = span_of(*at, from.len);
    if (from.len)
        memcpy(*at, from.p, from.len);
    *at += from.len;
    return s;
}

static size_t text_bytes(const struct entry_parts *p)
{
    return p->key->text.len + p->head.len + p->head_304.len + p->hidden.len + p->etag.len +
           p->body.len + p->target.len + p->host.len + p->tag_text.len;
}

static void place_texts(struct entry *e, const struct entry_parts *p, char *at)
{
    e->key = *p->key;
    e->key.text = place(&at, p->key->text);
    e->head = place(&at, p->head);
    e->head_304 = place(&at, p->head_304);
    e->hidden = place(&at, p->hidden);
    e->etag = place(&at, p->etag);
    e->body = place(&at, p->body);
    e->target = place(&at, p->target);
    e->host = place(&at, p->host);
    e->tag_text = place(&at, p->tag_text);
}

/* The links lie first, for their alignment. */
static char *place_tags(struct entry *e, const struct entry_parts *p)
{
    e->links = (struct tag_link *)(e + 1);
    memset(e->links, 0, p->tag_count * sizeof(*e->links));
    uint64_t *tags = (uint64_t *)(e->links + p->tag_count);
    if (p->tag_count)
        memcpy(tags, p->tags, p->tag_count * sizeof(*tags));
    e->tags = tags;
    e->tag_count = p->tag_count;
    return (char *)(tags + p->tag_count);
}

static void copy_numbers(struct entry *e, const struct entry_parts *p)
{
    e->kind = (uint8_t)p->kind;
    e->route = p->route;
    e->status = p->status;
    e->began = p->began;
    e->checked = p->began;
    e->stored_mono_ms = p->stored_mono_ms;
    e->known_mono_ms = p->known_mono_ms;
    e->age_at_store_ms = p->age_at_store_ms;
    e->lifetime_ms = p->lifetime_ms;
    e->overdue_ms = p->overdue_ms;
    e->while_ms = p->while_ms;
    e->error_ms = p->error_ms;
    e->keep_ms = p->keep_ms;
    e->flags = (uint8_t)p->flags;
    e->date_unix_s = p->date_unix_s;
    e->is_for_any_origin = p->is_for_any_origin;
    e->is_etag_ours = p->is_etag_ours;
    e->length_line_len = p->length_line_len;
    e->fetch_us = p->fetch_us;
    e->last_modified_unix_s = p->last_modified_unix_s;
    e->is_refetchable = p->is_refetchable;
    e->value_count = p->value_count < ENTRY_VALUES_MAX ? p->value_count : ENTRY_VALUES_MAX;
    for (unsigned i = 0; i < e->value_count; i++)
        e->value[i] = p->value[i];
}

void entry_parts_set_freshness(struct entry_parts *parts, const struct freshness *f)
{
    parts->age_at_store_ms = f->age_ms;
    parts->lifetime_ms = f->lifetime_ms;
    parts->overdue_ms = f->overdue_ms;
    parts->while_ms = f->while_ms;
    parts->error_ms = f->error_ms;
    parts->keep_ms = f->keep_ms;
    parts->flags = f->flags;
}

struct entry *entry_new(const struct entry_parts *parts)
{
    size_t extra =
        parts->tag_count * (sizeof(struct tag_link) + sizeof(uint64_t)) + text_bytes(parts);
    struct entry *e = malloc(sizeof(*e) + extra);
    if (!e)
        return NULL;
    memset(e, 0, sizeof(*e));
    e->refs = 1;
    copy_numbers(e, parts);
    /* what malloc itself takes, and about what a tag's record does */
    e->bytes = sizeof(*e) + extra + 2 * sizeof(void *) + parts->tag_count * 16;
    place_texts(e, parts, place_tags(e, parts));
    const char *end = e->head.len ? memchr(e->head.p, '\n', e->head.len) : NULL;
    e->status_line_len = end ? (size_t)(end - e->head.p) + 1 : 0;
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

/* By its lifetime alone. Below 0 where that was before the clock began: then it came from another
 * machine, or was stale when it came. */
static int64_t expires_at(const struct entry *e)
{
    return (int64_t)(e->stored_mono_ms + e->lifetime_ms) - (int64_t)e->overdue_ms;
}

static int64_t stale_from(const struct entry *e)
{
    int64_t expires = expires_at(e);
    int64_t soft = (int64_t)atomic_load_explicit(&e->soft_ms, memory_order_relaxed);
    return soft && soft < expires ? soft : expires;
}

/* What came stale is kept from then on. */
static int64_t kept_from(const struct entry *e, int64_t stale)
{
    int64_t stored = (int64_t)e->stored_mono_ms;
    return stale > stored ? stale : stored;
}

enum entry_use entry_use_at(const struct entry *e, mono_ms now)
{
    int64_t from = stale_from(e), at = (int64_t)now;
    if (at < from)
        return e->flags & FRESH_MUST_VALIDATE ? ENTRY_KEPT : ENTRY_FRESH;
    if (at < from + (int64_t)e->while_ms)
        return ENTRY_STALE_WHILE;
    if (at < from + (int64_t)e->error_ms)
        return ENTRY_STALE_ERROR;
    return at < kept_from(e, from) + (int64_t)e->keep_ms ? ENTRY_KEPT : ENTRY_OVER;
}

static int64_t stale_window(const struct entry *e)
{
    return (int64_t)(e->while_ms > e->error_ms ? e->while_ms : e->error_ms);
}

mono_ms entry_over_ms(const struct entry *e)
{
    int64_t expires = expires_at(e);
    int64_t stale = expires + stale_window(e), kept = kept_from(e, expires) + (int64_t)e->keep_ms;
    return (mono_ms)(stale > kept ? stale : kept); /* kept is never below 0 */
}

bool entry_is_shareable(const struct entry *e)
{
    return e->lifetime_ms + e->while_ms > 0 && !(e->flags & FRESH_MUST_VALIDATE);
}

bool entry_has_validator(const struct entry *e)
{
    return (e->etag.len && !e->is_etag_ours) || e->last_modified_unix_s >= 0;
}

bool entry_may_hide_error(const struct entry *e, mono_ms now)
{
    return !(e->flags & FRESH_MUST_VALIDATE) && (int64_t)now < stale_from(e) + stale_window(e);
}

uint64_t entry_age_s(const struct entry *e, mono_ms now)
{
    uint64_t resident = now > e->stored_mono_ms ? now - e->stored_mono_ms : 0;
    return (e->age_at_store_ms + resident) / 1000;
}

int64_t entry_ttl_s(const struct entry *e, mono_ms now)
{
    int64_t left = stale_from(e) - (int64_t)now;
    return left >= 0 ? left / 1000 : -((999 - left) / 1000);
}
