/* value.h: a stored answer as Redis holds it.
 *
 *     "LRD1" | generation 16 | began 8 | tag count 2 | tags 8 each | salt 16 | sealed... | mac 16
 *
 * Numbers are big-endian. What stands before the salt is in clear, for the script that reads an
 * answer only if no invalidation after <began> names one of its tags; all of it is bound to what is
 * sealed. What is sealed (AES-256-GCM, under a key of its own made of the secret, the object's name
 * and the salt; base/seal.h) is the entry: numbers, head, body (compressed, where that makes it
 * smaller), ETag, target, host, names of tags, the full key, the route's name and fingerprint.
 * What somebody without the secret has written, what was cut short, what is of another format or
 * under another name (and so of another route, key or configuration) is no value.
 *
 * Clocks of two machines have nothing to do with each other, so times are sealed as seen from the
 * moment of sealing; who opens it counts what has gone since, and rather too much than too little.
 * Thread any: pure functions, time passed in. Source NIST SP 800-38D (GCM).
 */
#ifndef LARDER_TIER_VALUE_H
#define LARDER_TIER_VALUE_H

#include <larder/base/buf.h>
#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/cache/entry.h>

enum { VALUE_GENERATION = 16, VALUE_NAME = 32, VALUE_FINGERPRINT = 16 };
enum { VALUE_BYTES_MAX = 512 << 20 }; /* of Redis' strings */

/* What a fetch knew of Redis when it began: the generation of its log, and the number of the last
 * invalidation in it that was applied here. */
struct tier_stamp {
    bool is_valid; /* false: no contact, or own invalidations wait: neither read nor written */
    uint8_t generation[VALUE_GENERATION];
    uint64_t number;
};

struct value_context {
    struct span secret;
    struct span route_name;
    const uint8_t *fingerprint; /* of the route's configuration: VALUE_FINGERPRINT bytes */
    uint64_t compress_bytes;    /* bodies from this size on are compressed; 0: none */
    uint64_t max_bytes;         /* of a value, packed or not; at most VALUE_BYTES_MAX */
};

/* The object's name: HMAC-SHA-256 over route, fingerprint and the full key, in binary. */
void value_name(const struct value_context *c, const struct cache_key *key,
                uint8_t ret_name[VALUE_NAME]);

/* How long Redis shall hold it: until it is of no use any more. 0: it is not worth it (it is over,
 * or stale by an invalidation), or is no value (a PASS marker). */
uint64_t value_life_ms(const struct entry *e, mono_ms now);

/* Appends the value of <e> (an answer or a VARY marker). <life_ms> is what value_life_ms() said,
 * <unix_ms> the wall clock. ERR_TOO_LARGE (over max_bytes, or out's limit), ERR_NOMEM: <out> has
 * the length that it had. */
must_check enum err_code value_seal(const struct value_context *c, const struct entry *e,
                                    const struct tier_stamp *stamp, mono_ms now, int64_t unix_ms,
                                    uint64_t life_ms, struct buf *out);

struct value_time {
    uint64_t left_ms;    /* what Redis says is left of its life (PTTL) */
    uint64_t transit_ms; /* from asking to having the answer */
    mono_ms now;
    int64_t unix_ms;
};
/* The entry that <bytes> hold for <key>, aged by the time that has gone since it was sealed: what
 * Redis says of it, or the wall clocks, whichever is more, and the transit. <began> is the local
 * number of the last invalidation when asking began. ERR_SYNTAX: no value of ours, cut, forged, of
 * another format, or of another route, key or configuration; ERR_TOO_LARGE: over max_bytes, whoever
 * may have taken it; ERR_NOT_FOUND: over by now; ERR_NOMEM. */
must_check enum err_code value_open(const struct value_context *c, struct span bytes,
                                    const struct cache_key *key, uint16_t route, uint64_t began,
                                    const struct value_time *t, struct entry **ret);

#endif
