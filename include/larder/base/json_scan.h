/* json_scan.h: values picked out of JSON text as it streams by, without a tree.
 *
 * Memory grows with depth alone, whatever the text's size. Pieces may be cut anywhere. Members that
 * are there twice are both told; depth has a limit. Thread the owner's. Source RFC 8259, RFC 6901.
 */
#ifndef LARDER_BASE_JSON_SCAN_H
#define LARDER_BASE_JSON_SCAN_H

#include <larder/base/json.h>

struct json_scan;
enum { JSON_SCAN_PATTERNS_MAX = 64, JSON_SCAN_DEPTH_MAX = 256 };

struct json_value {
    enum json_type type;
    struct span text; /* decoded string, or number as written; empty for containers */
    size_t count;     /* of a container: its children; told at the container's end */
};

/* <patterns>: RFC 6901 pointers ("" is the root) in which a token that is exactly "*" stands for
 * any member or element; copied. on_value is called for each value that a pattern names, containers
 * at their end, and may keep nothing of it. Depth over <max_depth> (at most JSON_SCAN_DEPTH_MAX) is
 * ERR_SYNTAX. NULL: no memory, or too many patterns. */
struct json_scan *
json_scan_new(const struct span *patterns, unsigned count, unsigned max_depth,
              void (*on_value)(void *arg, unsigned pattern, const struct json_value *v), void *arg);
/* ERR_SYNTAX: this is no JSON; ERR_NOMEM. Once it has failed it stays so. */
must_check enum err_code json_scan_feed(struct json_scan *s, struct span piece);
/* ERR_SYNTAX: not whole, or nothing at all. */
must_check enum err_code json_scan_end(struct json_scan *s);
void json_scan_free(struct json_scan *s); /* NULL is fine */
void json_scan_freep(struct json_scan **s);

#endif
