/* jwt.c: signature first, then what the token says.
 *
 * Only the header is read before the signature is known to be good, and of it only what decides
 * whether to go on. OpenSSL's error queue belongs to the thread and a TLS connection on it would
 * take our errors for its own: each use of it here is between a mark and the return to it.
 */
#include <larder/base/jwt.h>

#include <larder/base/hash.h>
#include <larder/base/json.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

enum {
    KEY_TEXT_MAX = 64 * 1024,
    SECRET_MIN_BYTES = 32, /* RFC 7518 section 3.2: no shorter than the hash */
    RSA_MIN_BITS = 2048,   /* RFC 7518 section 3.3 */
    LEEWAY_S = 60,
    JSON_DEPTH = 16,
    DECODED_MAX = JWT_TOKEN_MAX / 4 * 3,
    COORDINATE_BYTES = 32,                    /* of P-256 */
    DER_MAX = 2 + 2 * (3 + COORDINATE_BYTES), /* two such numbers in a SEQUENCE */
};

enum algorithm { HS256, RS256, ES256 };

struct jwt_key {
    enum algorithm algorithm;
    EVP_PKEY *public; /* NULL: a secret */
    size_t secret_len;
    char secret[];
};

static struct jwt_key *key_alloc(enum algorithm algorithm, struct span secret)
{
    struct jwt_key *k = calloc(1, sizeof(*k) + secret.len);
    if (!k)
        return NULL;
    k->algorithm = algorithm;
    k->secret_len = secret.len;
    if (secret.len > 0)
        memcpy(k->secret, secret.p, secret.len);
    return k;
}

void jwt_key_free(struct jwt_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->public);
    OPENSSL_cleanse(k->secret, k->secret_len);
    free(k);
}

/* OpenSSL's own would ask for the password at the terminal. */
static int no_password(char *text, int size, int writing, void *arg)
{
    (void)text, (void)size, (void)writing, (void)arg;
    return -1;
}

static EVP_PKEY *read_pem(struct span text)
{
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.len); /* KEY_TEXT_MAX at most */
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32];
    size_t len;
    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static enum err_code new_public(EVP_PKEY *key, struct jwt_key **ret, struct err *err)
{
    bool is_rsa = key && EVP_PKEY_is_a(key, "RSA");
    if (!key)
        return err_set(err, ERR_CONFIG, "",
                       "the key is no PEM public key; it begins with \"-----BEGIN PUBLIC KEY-----\""
                       " (openssl pkey -in private.pem -pubout prints it)");
    if (!is_rsa && !is_p256(key))
        return err_set(err, ERR_CONFIG, "",
                       "the public key is neither RSA (RS256) nor EC on P-256 (ES256)");
    if (is_rsa && EVP_PKEY_get_bits(key) < RSA_MIN_BITS)
        return err_set(err, ERR_CONFIG, "", "the RSA key has %d bits; RS256 needs %d or more",
                       EVP_PKEY_get_bits(key), (int)RSA_MIN_BITS);
    struct jwt_key *k = key_alloc(is_rsa ? RS256 : ES256, span_of(NULL, 0));
    if (!k)
        return err_set(err, ERR_NOMEM, "", "no memory for a key");
    if (EVP_PKEY_up_ref(key) != 1)
        abort(); /* a counter that cannot count */
    k->public = key;
    *ret = k;
    return ERR_OK;
}

static enum err_code new_secret(struct span text, struct jwt_key **ret, struct err *err)
{
    if (text.len < SECRET_MIN_BYTES)
        return err_set(err, ERR_CONFIG, "",
                       "the secret has %zu bytes; HS256 needs %d or more (RFC 7518 section 3.2), "
                       "or give a PEM public key",
                       text.len, (int)SECRET_MIN_BYTES);
    struct jwt_key *k = key_alloc(HS256, text);
    if (!k)
        return err_set(err, ERR_NOMEM, "", "no memory for a key");
    *ret = k;
    return ERR_OK;
}

enum err_code jwt_key_new(struct span text, struct jwt_key **ret, struct err *err)
{
    static const char begin[] = "-----BEGIN";
    if (text.len > KEY_TEXT_MAX)
        return err_set(err, ERR_TOO_LARGE, "", "the key has %zu bytes; %d are the most", text.len,
                       (int)KEY_TEXT_MAX);
    /* Anywhere, not only in front: a public key behind a blank line must not become a secret that
     * everybody knows. */
    if (text.len == 0 || !memmem(text.p, text.len, begin, sizeof(begin) - 1))
        return new_secret(text, ret, err);
    ERR_set_mark();
    EVP_PKEY *key = read_pem(text);
    enum err_code rc = new_public(key, ret, err);
    EVP_PKEY_free(key);
    ERR_pop_to_mark();
    return rc;
}

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* RFC 7515 section 2: no padding. Bits left over must be 0, so that no two texts are one token
 * (RFC 4648 section 3.5). */
static bool base64url_parse(struct span s, uint8_t ret[DECODED_MAX], size_t *ret_len)
{
    uint32_t bits = 0;
    unsigned count = 0;
    size_t len = 0;
    if (s.len > JWT_TOKEN_MAX || s.len % 4 == 1)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int value = base64url_value(s.p[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            ret[len++] = (uint8_t)(bits >> count);
            bits &= (1u << count) - 1;
        }
    }
    *ret_len = len;
    return bits == 0;
}

/* A part's JSON object; NULL where it is none. */
static struct json_doc *parse_part(struct span part)
{
    uint8_t decoded[DECODED_MAX];
    size_t len;
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    if (!base64url_parse(part, decoded, &len) ||
        json_parse(span_of((const char *)decoded, len), NULL, 0, JSON_DEPTH, &doc, NULL))
        return NULL;
    return json_root(doc)->type == JSON_OBJECT ? take(doc) : NULL;
}

static bool header_fits(struct span part, enum algorithm algorithm)
{
    static const char *const names[] = {[HS256] = "HS256", [RS256] = "RS256", [ES256] = "ES256"};
    cleanup(json_doc_freep) struct json_doc *doc = parse_part(part);
    if (!doc)
        return false;
    const struct json *alg = json_member(json_root(doc), SPAN_LIT("alg"));
    return alg && alg->type == JSON_STRING && span_eq(alg->text, span_str(names[algorithm])) &&
           !json_member(json_root(doc), SPAN_LIT("crit"));
}

/* A positive DER INTEGER: no leading zeros, but for one before a high bit. Returns its length. */
static size_t der_put_number(const uint8_t *p, uint8_t *ret_der)
{
    size_t len = COORDINATE_BYTES;
    for (; len > 1 && *p == 0; len--)
        p++;
    size_t zero = *p >> 7;
    ret_der[0] = 0x02;
    ret_der[1] = (uint8_t)(len + zero);
    ret_der[2] = 0;
    memcpy(ret_der + 2 + zero, p, len);
    return 2 + zero + len;
}

/* RFC 7518 section 3.4: r and s one after the other, where OpenSSL wants them as a DER SEQUENCE of
 * two numbers. Returns its length, or 0. */
static size_t der_of_raw(const uint8_t *raw, size_t len, uint8_t ret_der[DER_MAX])
{
    if (len != 2 * COORDINATE_BYTES)
        return 0;
    size_t at = 2;
    at += der_put_number(raw, ret_der + at);
    at += der_put_number(raw + COORDINATE_BYTES, ret_der + at);
    ret_der[0] = 0x30;
    ret_der[1] = (uint8_t)(at - 2);
    return at;
}

static bool public_verifies(const struct jwt_key *k, struct span text, const uint8_t *sig,
                            size_t len)
{
    uint8_t der[DER_MAX];
    if (k->algorithm == ES256) {
        len = der_of_raw(sig, len, der);
        sig = der;
    }
    EVP_MD_CTX *ctx = len > 0 ? EVP_MD_CTX_new() : NULL;
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k->public) == 1 &&
                EVP_DigestVerify(ctx, sig, len, (const uint8_t *)text.p, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool secret_verifies(const struct jwt_key *k, struct span text, const uint8_t *sig,
                            size_t len)
{
    uint8_t mac[32];
    hmac_of(span_of(k->secret, k->secret_len), text, mac);
    return secret_eq(span_of((const char *)mac, sizeof(mac)), span_of((const char *)sig, len));
}

/* <text>: header and payload as received, with the dot between. */
static bool verifies(const struct jwt_key *k, struct span text, struct span signature)
{
    uint8_t sig[DECODED_MAX];
    size_t len;
    if (!base64url_parse(signature, sig, &len))
        return false;
    if (k->algorithm == HS256)
        return secret_verifies(k, text, sig, len);
    ERR_set_mark();
    bool good = public_verifies(k, text, sig, len);
    ERR_pop_to_mark();
    return good;
}

static double scaled(double v, int exponent)
{
    for (; exponent > 0; exponent--)
        v *= 10;
    for (; exponent < 0; exponent++)
        v /= 10;
    return v;
}

/* A JSON number's text, which the parser has checked, in any locale. Near enough for times. */
static double number_of(struct span s)
{
    const char *p = s.p, *end = p + s.len;
    bool minus = *p == '-', in_fraction = false, exponent_minus = false;
    double v = 0;
    int exponent = 0, shift = 0;
    for (p += minus; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            in_fraction = true;
            continue;
        }
        v = v * 10 + (*p - '0');
        shift -= in_fraction;
    }
    for (p += p < end; p < end; p++) {
        exponent_minus |= *p == '-';
        if (*p >= '0' && *p <= '9' && exponent < 10000)
            exponent = exponent * 10 + (*p - '0');
    }
    v = scaled(v, shift + (exponent_minus ? -exponent : exponent));
    return minus ? -v : v;
}

/* NumericDate (RFC 7519 section 2), where there is one. */
static bool read_date(const struct json *payload, struct span name, bool *ret_there, double *ret)
{
    const struct json *j = json_member(payload, name);
    *ret_there = j != NULL;
    if (j && j->type != JSON_NUMBER)
        return false;
    if (j)
        *ret = number_of(j->text);
    return true;
}

static enum jwt_result judge_time(const struct json *payload, int64_t now_unix_s)
{
    double exp, nbf, now = (double)now_unix_s;
    bool has_exp, has_nbf;
    if (!read_date(payload, SPAN_LIT("exp"), &has_exp, &exp) ||
        !read_date(payload, SPAN_LIT("nbf"), &has_nbf, &nbf))
        return JWT_BAD;
    /* "On or after" exp and "before" nbf: sections 4.1.4 and 4.1.5. */
    if ((has_exp && now >= exp + LEEWAY_S) || (has_nbf && now < nbf - LEEWAY_S))
        return JWT_EXPIRED;
    return JWT_OK;
}

static enum jwt_result add_claim(const struct json *claim, struct buf *out)
{
    if (!claim)
        return JWT_ABSENT;
    switch (claim->type) {
    case JSON_STRING:
    case JSON_NUMBER:
        buf_add_span(out, claim->text);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_add_str(out, claim->type == JSON_TRUE ? "true" : "false");
        break;
    default:
        return JWT_ABSENT;
    }
    return out->failed ? JWT_BAD : JWT_OK;
}

enum jwt_result jwt_claim(const struct jwt_key *k, struct span token, struct span claim,
                          int64_t now_unix_s, struct buf *out)
{
    struct span rest, signature;
    if (token.len > JWT_TOKEN_MAX)
        return JWT_BAD;
    struct span header = span_split(token, '.', &rest);
    struct span payload = span_split(rest, '.', &signature);
    if (!signature.p || memchr(signature.p, '.', signature.len))
        return JWT_BAD;
    struct span text = span_of(token.p, header.len + 1 + payload.len);
    if (!header_fits(header, k->algorithm) || !verifies(k, text, signature))
        return JWT_BAD;

    cleanup(json_doc_freep) struct json_doc *doc = parse_part(payload);
    if (!doc)
        return JWT_BAD;
    enum jwt_result result = judge_time(json_root(doc), now_unix_s);
    return result == JWT_OK ? add_claim(json_pointer(json_root(doc), claim), out) : result;
}
