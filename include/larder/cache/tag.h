/* tag.h: invalidation by epochs.
 *
 * A tag is a 64-bit hash of its text. A fixed table holds an epoch for each slot (hash modulo its
 * size). What is fetched carries the epochs its tags had before the fetch began, and is valid
 * while they are the same: whatever began before an invalidation is dead after it, stored or in
 * flight. Two tags in one slot purge too much, never too little. O(1), nothing to leak or to scan.
 * Thread any (atomics).
 */
#ifndef LARDER_CACHE_TAG_H
#define LARDER_CACHE_TAG_H

#include <larder/base/span.h>

enum { TAGS_MAX = 24 };

struct tag_stamp {
    uint32_t count;
    uint64_t tag[TAGS_MAX];
    uint64_t epoch[TAGS_MAX];
};

struct tag_table;

struct tag_table *tag_table_new(void); /* 65536 slots; NULL: no memory */
void tag_table_free(struct tag_table *t);
uint64_t tag_of(struct span text);
/* Adds a tag without an epoch; false when the stamp is full (then the answer may not be stored). */
bool tag_add(struct tag_stamp *s, uint64_t tag);
/* Notes the present epochs of all tags in <s>: to be called before the fetch begins. */
void tag_stamp_now(const struct tag_table *t, struct tag_stamp *s);
bool tag_stamp_is_current(const struct tag_table *t, const struct tag_stamp *s);
bool tag_stamp_has(const struct tag_stamp *s, uint64_t tag);
/* Makes all stamps with this tag out of date, at once and for good. */
void tag_invalidate(struct tag_table *t, uint64_t tag);

#endif
