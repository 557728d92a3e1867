/* pattern.h: what an invalidation looks for where no tag says it: a text that each answer is held
 * against. Thread any: pure functions.
 */
#ifndef LARDER_CACHE_PATTERN_H
#define LARDER_CACHE_PATTERN_H

#include <larder/cache/entry.h>

enum pattern_kind {
    PATTERN_GLOB,       /* over readable keys */
    PATTERN_PATH,       /* of paths: {x} is any segment, a final * all that is left */
    PATTERN_TAG_PREFIX, /* of tags that have names */
    PATTERN_KIND_COUNT
};
struct pattern {
    enum pattern_kind kind;
    struct span text;
};

/* <target> is empty for flights and where it was not kept: then it may be meant. */
bool pattern_matches(const struct pattern *p, const struct cache_key *key, struct span target,
                     struct span tag_text);
/* The same as the test of a struct store_match, whose arg is the pattern. */
bool pattern_test(void *pattern, const struct cache_key *key, struct span target,
                  struct span tag_text);

#endif
