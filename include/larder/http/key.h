/* key.h: the cache key: a readable text that is canonical and injective.
 *
 * A key is a row of parts behind a name: "courses:organization_id=123:semester=1". Each value is
 * escaped, so that no value can look like two parts: bytes other than unreserved ones (RFC 3986)
 * and @ become %XX. An absent parameter, an empty one and a repeated one differ, and so does one
 * without "=" (written "?"); a "%" that begins no escape is written "!", for apps differ on it.
 * Thread any; builds into a caller's buf, so the hit path allocates nothing.
 */
#ifndef LARDER_HTTP_KEY_H
#define LARDER_HTTP_KEY_H

#include <larder/base/buf.h>
#include <larder/base/hash.h>
#include <larder/http/head.h>

/* Appends <value> so that it cannot be taken for anything but one value: bytes outside
 * [A-Za-z0-9._~-] and @ become %XX. */
void key_add_value(struct buf *key, struct span value);
/* Appends the form a secret value has: "hmac-" and 32 hex digits. */
void key_add_secret(struct buf *key, struct span secret, struct span value);
/* Appends ":name=value" (":name?" without "=") for each pair of <query>, sorted by name, stable for
 * repeated names, less the names (decoded) that <is_ignored> tells, which may be NULL. More than 64
 * pairs, or more than 8 KB of names with escapes, set key->failed. */
void key_add_query_all(struct buf *key, struct span query,
                       bool (*is_ignored)(void *arg, struct span name), void *arg);
/* All values of query or form parameter <name>, in their order: "1", "1,2"; returns how many.
 * None and one that is empty append nothing: the caller keeps 0 and 1 apart. */
unsigned key_add_query_values(struct buf *key, struct span query, struct span name);
/* The n-th decoded value of a parameter (from 0), into <out>; false if there is none. */
bool query_value(struct span query, struct span name, unsigned n, struct buf *out);
/* The value of cookie <name> in any Cookie field of <h>; false if there is none. Given twice, all
 * bytes from the first value to the last: no single value is equal to that. <h> must be as
 * head_parse_request() left it, its fields in one buffer. */
bool cookie_value(const struct head *h, struct span name, struct span *ret_value);

#endif
