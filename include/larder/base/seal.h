/* seal.h: bytes that nobody can read or change without the secret.
 *
 *     salt 16 | sealed bytes | mac 16
 *
 * AES-256-GCM; its key is HMAC-SHA-256(secret, context || salt), another for each value, so that a
 * fixed nonce is used once only. Thread: any. Source: NIST SP 800-38D; RFC 5869 (the idea).
 */
#ifndef LARDER_BASE_SEAL_H
#define LARDER_BASE_SEAL_H

#include <larder/base/buf.h>
#include <larder/base/err.h>
#include <larder/base/macros.h>

enum { SEAL_SALT = 16, SEAL_MAC = 16, SEAL_OVERHEAD = SEAL_SALT + SEAL_MAC };
enum { SEAL_CONTEXT_MAX = 128 };

struct seal_key {
    struct span secret;
    struct span context; /* what the bytes are, at most SEAL_CONTEXT_MAX: another has another key */
};
/* Appends salt, sealed bytes and MAC. <clear> is bound to them and not written; it may lie in
 * <out>. ERR_NOMEM, or ERR_TOO_LARGE (out's limit): <out> has the length that it had. */
must_check enum err_code seal_add(const struct seal_key *k, struct span clear, struct span text,
                                  struct buf *out);
/* The other way: appends what was sealed. ERR_SYNTAX: not what seal_add() made with these; the
 * others as above. On any error <out> has the length that it had. */
must_check enum err_code seal_open(const struct seal_key *k, struct span clear, struct span sealed,
                                   struct buf *out);

#endif
