/* hash.h: hashes of three strengths.
 *
 * hash128_of   fast and seeded for each process: for tables; never a proof of equality
 * digest_of    SHA-256: for ETags that must be equal on every machine
 * hmac_of      HMAC-SHA-256 under the operator's secret: for parameters that are secret
 * Thread: any. Source: xxHash XXH3; FIPS 180-4; RFC 2104.
 */
#ifndef LARDER_BASE_HASH_H
#define LARDER_BASE_HASH_H

#include <larder/base/span.h>

struct hash128 {
    uint64_t hi, lo;
};

void hash_seed(uint64_t seed); /* once, before threads start */
struct hash128 hash128_of(const void *p, size_t len);
void digest_of(const void *p, size_t len, uint8_t ret_digest[32]);
/* SHA-1, where another's protocol names things by it (Redis its scripts); no proof of anything. */
void sha1_of(const void *p, size_t len, uint8_t ret_digest[20]);
void hmac_of(struct span secret, struct span text, uint8_t ret_mac[32]);
void random_bytes(void *p, size_t len); /* aborts where the system has no randomness */
/* Chance, not secrecy: the next of Marsaglia's xorshift64; <state> is not 0, and stays so. */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
/* Equal, in a time that does not depend on where they differ. */
bool secret_eq(struct span a, struct span b);
/* Writes 2*len lower-case hex digits, without NUL. */
void hex_format(const uint8_t *p, size_t len, char *ret_hex);

#endif
