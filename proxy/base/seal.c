/* By pieces through a block on the stack, so that the buffer alone grows. */
#include <larder/base/seal.h>

#include <larder/base/hash.h>

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { KEY = 32, NONCE = 12, PIECE = 16384 };

static void cipher_freep(EVP_CIPHER_CTX **c)
{
    EVP_CIPHER_CTX_free(*c);
}

static void derive_key(const struct seal_key *k, const uint8_t salt[SEAL_SALT], uint8_t key[KEY])
{
    char block[SEAL_CONTEXT_MAX + SEAL_SALT];
    assert(k->context.len <= SEAL_CONTEXT_MAX);
    if (k->context.len)
        memcpy(block, k->context.p, k->context.len);
    memcpy(block + k->context.len, salt, SEAL_SALT);
    hmac_of(k->secret, span_of(block, k->context.len + SEAL_SALT), key);
}

/* NULL: no memory. */
static EVP_CIPHER_CTX *start(const struct seal_key *k, const uint8_t salt[SEAL_SALT], bool is_seal)
{
    static const uint8_t nonce[NONCE]; /* no key is used twice */
    uint8_t key[KEY];
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    derive_key(k, salt, key);
    if (c && !EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce, is_seal)) {
        EVP_CIPHER_CTX_free(c);
        c = NULL;
    }
    OPENSSL_cleanse(key, sizeof(key));
    return c;
}

/* What <text> becomes goes to <out>; without one the text is only bound. */
static bool feed(EVP_CIPHER_CTX *c, struct span text, struct buf *out)
{
    uint8_t block[PIECE];
    while (text.len) {
        size_t piece = text.len < PIECE ? text.len : PIECE;
        int n = 0;
        if (!EVP_CipherUpdate(c, out ? block : NULL, &n, (const uint8_t *)text.p, (int)piece))
            return false;
        if (out)
            buf_add(out, block, (size_t)n);
        text = span_of(text.p + piece, text.len - piece);
    }
    return true;
}

static enum err_code end(struct buf *out, size_t before, enum err_code rc)
{
    if (!rc && out->failed)
        rc = out->no_memory ? ERR_NOMEM : ERR_TOO_LARGE;
    if (rc)
        out->len = before;
    return rc;
}

enum err_code seal_add(const struct seal_key *k, struct span clear, struct span text,
                       struct buf *out)
{
    uint8_t salt[SEAL_SALT], mac[SEAL_MAC];
    int n = 0;
    random_bytes(salt, sizeof(salt));
    cleanup(cipher_freep) EVP_CIPHER_CTX *c = start(k, salt, true);
    if (!c || !feed(c, clear, NULL)) /* before <out> may move */
        return ERR_NOMEM;
    size_t before = out->len;
    buf_add(out, salt, sizeof(salt));
    if (!feed(c, text, out) || !EVP_CipherFinal_ex(c, mac, &n) ||
        !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, SEAL_MAC, mac))
        return end(out, before, ERR_NOMEM);
    buf_add(out, mac, sizeof(mac));
    return end(out, before, ERR_OK);
}

enum err_code seal_open(const struct seal_key *k, struct span clear, struct span sealed,
                        struct buf *out)
{
    uint8_t mac[SEAL_MAC], none[SEAL_MAC];
    int n = 0;
    if (sealed.len < SEAL_OVERHEAD)
        return ERR_SYNTAX;
    struct span text = span_of(sealed.p + SEAL_SALT, sealed.len - SEAL_OVERHEAD);
    memcpy(mac, text.p + text.len, SEAL_MAC);
    cleanup(cipher_freep) EVP_CIPHER_CTX *c = start(k, (const uint8_t *)sealed.p, false);
    size_t before = out->len;
    if (!c || !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, SEAL_MAC, mac) ||
        !feed(c, clear, NULL) || !feed(c, text, out))
        return end(out, before, ERR_NOMEM);
    return end(out, before, EVP_CipherFinal_ex(c, none, &n) > 0 ? ERR_OK : ERR_SYNTAX);
}
