#define XXH_INLINE_ALL
#include <larder/base/hash.h>

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <xxhash.h>

static uint64_t seed_of_process;

void hash_seed(uint64_t seed)
{
    seed_of_process = seed;
}

struct hash128 hash128_of(const void *p, size_t len)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(p, len, seed_of_process);
    return (struct hash128){.hi = h.high64, .lo = h.low64};
}

void digest_of(const void *p, size_t len, uint8_t ret_digest[32])
{
    if (!EVP_Digest(p, len, ret_digest, NULL, EVP_sha256(), NULL))
        abort(); /* SHA-256 is always there; without memory for its context nothing goes on */
}

void sha1_of(const void *p, size_t len, uint8_t ret_digest[20])
{
    if (!EVP_Digest(p, len, ret_digest, NULL, EVP_sha1(), NULL))
        abort();
}

void hmac_of(struct span secret, struct span text, uint8_t ret_mac[32])
{
    const char *key = secret.len ? secret.p : ""; /* NULL means to OpenSSL: the key as before */
    const uint8_t *data = (const uint8_t *)(text.len ? text.p : "");
    unsigned len = 0;
    if (secret.len > INT_MAX ||
        !HMAC(EVP_sha256(), key, (int)secret.len, data, text.len, ret_mac, &len))
        abort();
}

void random_bytes(void *p, size_t len)
{
    if (len > INT_MAX || RAND_bytes(p, (int)len) != 1)
        abort();
}

bool secret_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.p, b.p, a.len) == 0);
}

void hex_format(const uint8_t *p, size_t len, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        ret_hex[2 * i] = digits[p[i] >> 4];
        ret_hex[2 * i + 1] = digits[p[i] & 15];
    }
}
