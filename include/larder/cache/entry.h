/* entry.h: a stored answer: one allocation, immutable once published, reference counted.
 *
 * Besides answers the store keeps two markers under the same keys: VARY (which request fields
 * choose the variant) and PASS (hit-for-miss: the answer was not storable, do not queue for it).
 * Thread  any, after publication; before it the maker's alone
 * Memory  entry_ref/entry_unref; the last unref frees. The store holds one reference of its own.
 */
#ifndef LARDER_CACHE_ENTRY_H
#define LARDER_CACHE_ENTRY_H

#include <larder/base/hash.h>
#include <larder/base/list.h>
#include <larder/base/monotime.h>
#include <larder/cache/tag.h>
#include <stdatomic.h>

enum entry_kind { ENTRY_RESPONSE, ENTRY_VARY, ENTRY_PASS };

/* A key as the store wants it. A variant's text is its primary text and the secondary key behind
 * it; both lie in the shard of the primary, so that one lock orders them. */
struct cache_key {
    struct span text;    /* canonical, compared in full on a hit */
    size_t primary_len;  /* bytes of text that are the primary, readable key */
    struct hash128 hash; /* of text */
    uint64_t primary;    /* hash of the primary text: chooses the shard */
};

void cache_key_init(struct cache_key *k, struct span primary_text);
/* <text> starts with the primary key's text. */
void cache_key_init_variant(struct cache_key *k, struct span text, size_t primary_len);
bool cache_key_eq(const struct cache_key *a, const struct cache_key *b);

struct entry {
    _Atomic uint32_t refs;
    _Atomic uint8_t visited; /* SIEVE's mark: set by a hit */
    uint8_t kind;            /* enum entry_kind */
    uint16_t route;          /* index of the route, for budgets and counts */
    uint16_t status;
    uint16_t queue_state;         /* the store's: whether the eviction queues hold it */
    struct cache_key key;         /* text lies in this allocation */
    struct tag_stamp tags;        /* epochs as they were before the fetch began */
    mono_ms stored_mono_ms;       /* when the answer was complete */
    uint64_t age_at_store_ms;     /* its age then, RFC 9111 section 4.2.3 */
    uint64_t lifetime_ms;         /* freshness lifetime left when stored */
    int64_t last_modified_unix_s; /* -1: none */
    size_t bytes;                 /* all that it costs, with overhead: what budgets count */
    struct span head;     /* status line and fields, each with CRLF; no empty line, no framing
                             beyond Content-Length, no Age, no Cache-Status */
    struct span head_304; /* the same for a 304 to If-None-Match */
    struct span body;     /* ENTRY_VARY: the names, as vary_names() writes them */
    struct span etag;     /* with quotes; empty: none */
    _Atomic uint64_t hits;
    /* the store's own */
    struct entry *chain;
    struct list in_all, in_route, in_expiry;
};

struct entry_parts {
    enum entry_kind kind;
    uint16_t route, status;
    const struct cache_key *key;
    const struct tag_stamp *tags;
    mono_ms stored_mono_ms;
    uint64_t age_at_store_ms, lifetime_ms;
    int64_t last_modified_unix_s;
    struct span head, head_304, body, etag;
};

/* Copies all parts into one block. NULL: no memory. The caller owns the one reference. */
struct entry *entry_new(const struct entry_parts *parts);
struct entry *entry_ref(struct entry *e); /* returns e */
void entry_unref(struct entry *e);        /* NULL is fine */
void entry_unrefp(struct entry **e);
bool entry_is_fresh(const struct entry *e, mono_ms now);
uint64_t entry_age_s(const struct entry *e, mono_ms now);
/* Seconds of freshness left; negative once stale. */
int64_t entry_ttl_s(const struct entry *e, mono_ms now);

#endif
