/* tag.h: invalidation by epochs.
 *
 * A tag (surrogate key) is a 64-bit hash of its text. Invalidations are numbered; a fixed table
 * holds for each slot (hash modulo its size) the number of the last one, hard and soft apart. What
 * is fetched remembers the number that was the last when its fetch began, and is dead (or stale)
 * once one of its tags has a higher one: whatever began before an invalidation is over after it,
 * stored or in flight. Tags that are learnt from the answer need no epoch of their own that was
 * noted before it came. Two tags in one slot purge too much, never too little. O(1), nothing to
 * leak or to scan.
 *
 * An intersection (all of several tags) has no slot. It is kept in a ring that landing fetches are
 * checked against; what is stored already is looked for by the store.
 * Thread any: readers take atomics only, invalidations one after another a lock.
 */
#ifndef LARDER_CACHE_TAG_H
#define LARDER_CACHE_TAG_H

#include <larder/base/monotime.h>
#include <larder/base/span.h>

enum { TAG_SET_MAX = 48, TAG_SET_TEXT_MAX = 2048, TAG_ALL_OF_MAX = 8 };

/* The tags of one request, without allocation. */
struct tag_set {
    unsigned count;
    uint64_t tag[TAG_SET_MAX];
    size_t text_len; /* of the explicit ones, each with a NUL behind it */
    char text[TAG_SET_TEXT_MAX];
    bool is_full; /* one did not fit: then the answer may not be stored */
};

uint64_t tag_of(struct span text);
void tag_set_init(struct tag_set *s);
/* Adds a tag once. <is_explicit>: its text is kept, too. */
void tag_set_add(struct tag_set *s, struct span text, bool is_explicit);
bool tags_have(const uint64_t *tags, unsigned count, uint64_t tag);

struct tag_table;

struct tag_table *tag_table_new(void); /* NULL: no memory */
void tag_table_free(struct tag_table *t);

/* The number of the last invalidation: to be noted before a fetch begins. */
uint64_t tag_now(const struct tag_table *t);

/* Makes all that has one of these tags out of date (<is_soft>: stale) at once and for good, unless
 * it begins after this call has begun to return; returns the invalidation's number. */
uint64_t tag_invalidate(struct tag_table *t, const uint64_t *tags, unsigned count, bool is_soft,
                        mono_ms now);
/* The same for what has all of these tags (at most TAG_ALL_OF_MAX), for what lands from now on. */
uint64_t tag_invalidate_all_of(struct tag_table *t, const uint64_t *tags, unsigned count);
/* A number for an invalidation that is made by other means (a walk). */
uint64_t tag_invalidate_other(struct tag_table *t);
/* The number of the last invalidation that no single tag tells of: of all of several tags, or found
 * by a walk over the entries. */
uint64_t tag_last_untold(const struct tag_table *t);

enum tag_state { TAG_CURRENT, TAG_STALE, TAG_DEAD };
/* What invalidations after number <since> have made of something with these tags. On TAG_STALE
 * *ret_soft_ms is when. Intersections are not looked at. */
enum tag_state tags_check(const struct tag_table *t, const uint64_t *tags, unsigned count,
                          uint64_t since, mono_ms *ret_soft_ms);
/* The number of the last invalidation after <since>, of any kind, intersections too, that means
 * something with these tags; 0: none. Where the ring has forgotten some since then, the last of
 * those. */
uint64_t tags_last_invalidation(const struct tag_table *t, const uint64_t *tags, unsigned count,
                                uint64_t since);

#endif
