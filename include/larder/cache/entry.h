/* entry.h: a stored answer: one allocation, immutable once published, reference counted.
 *
 * Besides answers the store keeps two markers under the same keys: VARY (which request fields
 * choose the variant) and PASS (hit-for-miss: the answer was not storable, do not queue for it).
 * Thread  any, after publication; before it the maker's alone
 * Memory  entry_ref/entry_unref; the last unref frees. The store holds one reference of its own.
 * Source  RFC 9111 section 4.2 (freshness); RFC 5861 (stale-while-revalidate, stale-if-error)
 */
#ifndef LARDER_CACHE_ENTRY_H
#define LARDER_CACHE_ENTRY_H

#include <larder/base/hash.h>
#include <larder/base/list.h>
#include <larder/base/monotime.h>
#include <larder/cache/tag.h>
#include <larder/http/fresh.h>
#include <stdatomic.h>

enum entry_kind { ENTRY_RESPONSE, ENTRY_VARY, ENTRY_PASS };

enum { ENTRY_ENDLESS = 1 << 7 }; /* the last answer did not end in time: do not collect it */
enum { ENTRY_TAGS_MAX = 4096, ENTRY_VALUES_MAX = 8 };

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
/* What people see of it: the primary text, of a template's key without the route behind it. */
struct span cache_key_readable(const struct cache_key *k);

struct tag_link; /* the store's index by tag */

struct entry {
    _Atomic uint32_t refs;
    _Atomic uint8_t visited; /* SIEVE's mark: set by a hit */
    uint8_t kind;            /* enum entry_kind */
    uint16_t route;          /* index of the route, for budgets and counts */
    uint16_t status;
    uint16_t queue_state; /* the store's: whether the eviction queues hold it */
    struct cache_key key; /* text lies in this allocation */
    unsigned tag_count;
    const uint64_t *tags;
    uint64_t began;               /* number of the last invalidation when its fetch began */
    _Atomic uint64_t checked;     /* ... when its tags were looked at last */
    _Atomic mono_ms soft_ms;      /* stale since then by a soft invalidation; 0: not */
    _Atomic mono_ms retry_ms;     /* a refresh failed: none before then */
    mono_ms stored_mono_ms;       /* when the answer was complete */
    mono_ms known_mono_ms;        /* nothing older than this can have invalidated it: when its fetch
                                     began; 0: its route is not shared, other instances' do not */
    uint64_t age_at_store_ms;     /* its age then, RFC 9111 section 4.2.3 */
    uint64_t lifetime_ms;         /* freshness lifetime left when stored */
    uint64_t overdue_ms;          /* it was stale already, and since so long */
    uint64_t while_ms;            /* may be served stale so long, while it is refreshed */
    uint64_t error_ms;            /* ... where the upstream fails or is too slow */
    uint64_t keep_ms;             /* ... once the upstream has said that it still holds */
    uint64_t fetch_us;            /* what the upstream took: what a hit saves */
    int64_t last_modified_unix_s; /* -1: none */
    int64_t date_unix_s;          /* what it is dated: stands in for Last-Modified to a client */
    uint8_t flags;                /* enum fresh_flag; of a PASS marker ENTRY_ENDLESS */
    bool is_for_any_origin;       /* who sends an Origin may have it, whatever it is */
    bool is_etag_ours;            /* the app gave none: the upstream cannot be asked by it */
    size_t bytes;                 /* all that it costs, with overhead: what budgets count */
    struct span head;       /* status line and fields, each with CRLF; no empty line, no framing
                               beyond Content-Length, no Age, no Cache-Status */
    size_t status_line_len; /* of head */
    size_t length_line_len; /* of head's last line, Content-Length; 0: there is none */
    struct span hidden;     /* lines that judge it and are not for clients */
    struct span head_304;   /* the same for a 304 to If-None-Match */
    struct span body;       /* ENTRY_VARY: the names, as vary_names() writes them; under a
                               language: the text of the variant's key */
    struct span etag;       /* with quotes; empty: none */
    struct span target;     /* path and query of the request that brought it; empty: not kept */
    struct span host;       /* its Host */
    bool is_refetchable;    /* a GET of target alone brings it again, for anybody */
    struct span tag_text;   /* of the tags that have names, each with a NUL behind it */
    unsigned value_count;   /* of the parameter values and tags that are counted apart */
    uint16_t value[ENTRY_VALUES_MAX];
    _Atomic uint64_t hits;
    /* the store's own */
    struct entry *chain;
    unsigned variants; /* of a VARY marker: how many are stored */
    struct list in_all, in_route, in_expiry;
    struct tag_link *links; /* tag_count of them */
};

struct entry_parts {
    enum entry_kind kind;
    uint16_t route, status;
    const struct cache_key *key;
    const uint64_t *tags;
    unsigned tag_count; /* at most ENTRY_TAGS_MAX */
    uint64_t began;
    mono_ms stored_mono_ms, known_mono_ms;
    uint64_t age_at_store_ms, lifetime_ms, overdue_ms, while_ms, error_ms, keep_ms, fetch_us;
    int64_t last_modified_unix_s, date_unix_s;
    unsigned flags;
    bool is_etag_ours, is_for_any_origin;
    size_t length_line_len;
    struct span head, head_304, hidden, body, etag, target, host, tag_text;
    bool is_refetchable;
    unsigned value_count;
    const uint16_t *value;
};

/* Fills in what <f> says of time: age, lifetime, windows and flags. */
void entry_parts_set_freshness(struct entry_parts *parts, const struct freshness *f);
/* Copies all parts into one block. NULL: no memory. The caller owns the one reference. */
struct entry *entry_new(const struct entry_parts *parts);
struct entry *entry_ref(struct entry *e); /* returns e */
void entry_unref(struct entry *e);        /* NULL is fine */
void entry_unrefp(struct entry **e);

/* How it may be used at <now>, as far as time and soft invalidations say. */
enum entry_use {
    ENTRY_FRESH,
    ENTRY_STALE_WHILE, /* stale: at once, and refreshed meanwhile */
    ENTRY_STALE_ERROR, /* stale: where the upstream fails */
    ENTRY_KEPT,        /* stale: once the upstream has confirmed it */
    ENTRY_OVER,
};
enum entry_use entry_use_at(const struct entry *e, mono_ms now);
/* When it is of no use any more, whatever happens. */
mono_ms entry_over_ms(const struct entry *e);
/* May it be served in place of an upstream's failure (also within stale-while-revalidate)? */
bool entry_may_hide_error(const struct entry *e, mono_ms now);
uint64_t entry_age_s(const struct entry *e, mono_ms now);
/* Was it ever fresh? What is not must be validated for each request: nobody waits for another's. */
bool entry_is_shareable(const struct entry *e);
/* Can the upstream be asked whether it still holds: has it a validator of the app's? */
bool entry_has_validator(const struct entry *e);
/* Seconds of freshness left; negative once stale. */
int64_t entry_ttl_s(const struct entry *e, mono_ms now);

#endif
