/* jwt.h: verified JSON Web Tokens, so that a part of one may say whose answer it is.
 *
 * One key, one algorithm: what a token's header says is compared with the key's algorithm and
 * never chooses it. Thread: any, a key does not change. Memory: the caller owns keys; a secret is
 * wiped when its key goes. Source: RFC 7515 (JWS), RFC 7519 (JWT), RFC 7518, RFC 8725.
 */
#ifndef LARDER_BASE_JWT_H
#define LARDER_BASE_JWT_H

#include <larder/base/buf.h>
#include <larder/base/err.h>
#include <larder/base/macros.h>

enum { JWT_TOKEN_MAX = 8192 }; /* bytes */

struct jwt_key;

enum jwt_result {
    JWT_OK,
    JWT_BAD,     /* malformed, wrong algorithm, bad signature; or no memory to know better */
    JWT_EXPIRED, /* genuine, but past its exp or before its nbf */
    JWT_ABSENT,  /* genuine, but without such a claim */
};

/* A key from the text of a PEM public key (RS256 with RSA of 2048 bits or more, ES256 with P-256),
 * or else from a shared secret of 32 bytes or more (HS256, RFC 7518 section 3.2), byte for byte: a
 * newline at its end belongs to it. Text that holds "-----BEGIN" anywhere is never a secret.
 * <text> is borrowed for the call. On ERR_OK *ret is the caller's, for jwt_key_free(); else only
 * <err> (may be NULL) is written: ERR_CONFIG (no such key, or too weak a one), ERR_TOO_LARGE (over
 * 64 KiB), ERR_NOMEM. No message holds a part of the text. */
must_check enum err_code jwt_key_new(struct span text, struct jwt_key **ret, struct err *err);

void jwt_key_free(struct jwt_key *k); /* NULL is fine */

/* Verifies the compact JWS <token> and appends the claim that the RFC 6901 pointer <claim> ("/sub",
 * "/user/id") names to <out>, as text: strings as they are (they may be empty, or hold any byte),
 * numbers and booleans as written. Null, arrays and objects are JWT_ABSENT. A token without exp is
 * good for ever; exp and nbf are compared with <now_unix_s>, with 60 s of leeway. Header extensions
 * ("crit") are refused, for none is known (RFC 7515 section 4.1.11).
 * With all results but JWT_OK <out> keeps its bytes; where the claim does not fit it becomes
 * `failed` and the result is JWT_BAD. Allocates; leaves OpenSSL's error queue as it was. */
enum jwt_result jwt_claim(const struct jwt_key *k, struct span token, struct span claim,
                          int64_t now_unix_s, struct buf *out);

#endif
