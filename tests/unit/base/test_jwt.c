/* test_jwt.c: tokens with real signatures, and what must not pass for one. */
#include <larder/base/jwt.h>

#include <larder/base/hash.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base-test.h"

enum { NOW = 1763596800 };

static const struct span secret = SPAN_LIT("0123456789abcdef0123456789abcdef");
static EVP_PKEY *rsa, *ec;
static struct buf rsa_pem, ec_pem;
static struct jwt_key *hs_key, *rs_key, *es_key;

static void pem_of(EVP_PKEY *key, struct buf *out)
{
    char *text;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    long len = BIO_get_mem_data(bio, &text);
    buf_init(out, 65536);
    buf_add(out, text, (size_t)len);
    BIO_free(bio);
}

static void add_base64url(struct buf *out, const void *data, size_t len)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *p = data;
    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned two = (unsigned)p[bit / 8] << 8 | (bit / 8 + 1 < len ? p[bit / 8 + 1] : 0);
        buf_add_char(out, letters[two >> (10 - bit % 8) & 63]);
    }
}

/* One INTEGER of a DER signature as 32 bytes; returns what follows it. */
static const uint8_t *raw_number(const uint8_t *der, uint8_t ret[32])
{
    size_t len = der[1];
    const uint8_t *p = der + 2, *next = p + len;
    for (; len > 32; len--)
        p++;
    memset(ret, 0, 32);
    memcpy(ret + 32 - len, p, len);
    return next;
}

static size_t sign_public(EVP_PKEY *key, struct span text, uint8_t sig[1024])
{
    size_t len = 1024;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &len, (const uint8_t *)text.p, text.len), 1);
    EVP_MD_CTX_free(ctx);
    if (key != ec)
        return len;
    uint8_t raw[64];
    raw_number(raw_number(sig + 2, raw), raw + 32);
    memcpy(sig, raw, 64);
    return 64;
}

/* Appends ".<signature>" of all that is there; key NULL: HS256 with <hmac_secret>. */
static void add_signature(struct buf *token, EVP_PKEY *key, struct span hmac_secret)
{
    uint8_t sig[1024];
    size_t len = 32;
    if (key)
        len = sign_public(key, buf_span(token), sig);
    else
        hmac_of(hmac_secret, buf_span(token), sig);
    buf_add_char(token, '.');
    add_base64url(token, sig, len);
}

static void make(struct buf *token, const char *header, const char *payload, EVP_PKEY *key)
{
    buf_init(token, 65536);
    add_base64url(token, header, strlen(header));
    buf_add_char(token, '.');
    add_base64url(token, payload, strlen(payload));
    add_signature(token, key, secret);
}

static enum jwt_result claim_of(const struct jwt_key *k, struct span token, const char *claim,
                                struct buf *out)
{
    struct span block = block_of(token);
    buf_init(out, 4096);
    enum jwt_result result = jwt_claim(k, block, span_str(claim), NOW, out);
    block_free(block);
    return result;
}

static enum jwt_result result_of(const struct jwt_key *k, struct span token, const char *claim)
{
    struct buf out;
    enum jwt_result result = claim_of(k, token, claim, &out);
    if (result != JWT_OK)
        assert_int_equal(out.len, 0);
    buf_fini(&out);
    return result;
}

static struct jwt_key *key_of(struct span text)
{
    struct jwt_key *k;
    struct err err;
    if (jwt_key_new(text, &k, &err))
        fail_msg("%s", err.what);
    return k;
}

static int set_up(void **state)
{
    (void)state;
    rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    pem_of(rsa, &rsa_pem);
    pem_of(ec, &ec_pem);
    hs_key = key_of(secret);
    rs_key = key_of(buf_span(&rsa_pem));
    es_key = key_of(buf_span(&ec_pem));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jwt_key_free(hs_key);
    jwt_key_free(rs_key);
    jwt_key_free(es_key);
    jwt_key_free(NULL);
    buf_fini(&rsa_pem);
    buf_fini(&ec_pem);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    return 0;
}

/* The three algorithms, each with its key. */
static struct {
    const char *header;
    struct jwt_key **key;
    EVP_PKEY **signer; /* NULL within: the secret */
} algorithms[] = {
    {"{\"alg\":\"HS256\",\"typ\":\"JWT\"}", &hs_key, NULL},
    {"{\"alg\":\"RS256\",\"typ\":\"JWT\"}", &rs_key, &rsa},
    {"{\"alg\":\"ES256\",\"typ\":\"JWT\"}", &es_key, &ec},
};

static EVP_PKEY *signer_of(size_t i)
{
    return algorithms[i].signer ? *algorithms[i].signer : NULL;
}

static void the_example_of_rfc_7515_verifies(void **state)
{
    (void)state;
    /* Appendix A.3: ES256 over the claims of RFC 7519 section 3.1. */
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                              "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
                              "-----END PUBLIC KEY-----\n";
    static const char token[] = "eyJhbGciOiJFUzI1NiJ9."
                                "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                                "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
                                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
                                "pmWQxfKTUJqPP3-Kg6NU1Q";
    struct jwt_key *k = key_of(SPAN_LIT(pem));
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(jwt_claim(k, SPAN_LIT(token), SPAN_LIT("/iss"), 1300819379, &out), JWT_OK);
    assert_span(buf_span(&out), SPAN_LIT("joe"), "iss");
    assert_int_equal(jwt_claim(k, SPAN_LIT(token), SPAN_LIT("/iss"), 1300819379 + 61, &out),
                     JWT_EXPIRED);
    buf_fini(&out);
    jwt_key_free(k);
}

static void claims_come_as_text(void **state)
{
    (void)state;
    static const char payload[] =
        "{\"sub\":\"u-1\",\"n\":42.50,\"t\":true,\"f\":false,\"z\":null,\"o\":{\"id\":\"\\u00fc\"},"
        "\"a\":[1,\"two\"],\"e\":\"\",\"a/b\":\"slash\",\"nul\":\"a\\u0000b\"}";
    static const struct {
        const char *claim;
        struct span text; /* p == NULL: absent */
    } cases[] = {
        {"/sub", {"u-1", 3}},
        {"/n", {"42.50", 5}},
        {"/t", {"true", 4}},
        {"/f", {"false", 5}},
        {"/o/id", {"\xc3\xbc", 2}},
        {"/a/1", {"two", 3}},
        {"/e", {"", 0}},
        {"/a~1b", {"slash", 5}},
        {"/nul", {"a\0b", 3}},
        {"/z", {NULL, 0}},
        {"/o", {NULL, 0}},
        {"/a", {NULL, 0}},
        {"/missing", {NULL, 0}},
        {"", {NULL, 0}},
        {"sub", {NULL, 0}},
        {"/a/2", {NULL, 0}},
    };
    for (size_t i = 0; i < array_len(algorithms); i++) {
        struct buf token;
        make(&token, algorithms[i].header, payload, signer_of(i));
        for (size_t c = 0; c < array_len(cases); c++) {
            struct buf out;
            enum jwt_result want = cases[c].text.p ? JWT_OK : JWT_ABSENT;
            assert_int_equal(claim_of(*algorithms[i].key, buf_span(&token), cases[c].claim, &out),
                             want);
            assert_span(buf_span(&out), cases[c].text, cases[c].claim);
            buf_fini(&out);
        }
        buf_fini(&token);
    }
}

static void times_have_a_minute_of_leeway(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        enum jwt_result result;
    } cases[] = {
        {"{\"s\":1}", JWT_OK},
        {"{\"s\":1,\"exp\":1763596801}", JWT_OK},
        {"{\"s\":1,\"exp\":1763596741}", JWT_OK},
        {"{\"s\":1,\"exp\":1763596740}", JWT_EXPIRED},
        {"{\"s\":1,\"exp\":1763596740.5}", JWT_OK},
        {"{\"s\":1,\"exp\":1.763596741e9}", JWT_OK},
        {"{\"s\":1,\"exp\":17635967E2}", JWT_EXPIRED},
        {"{\"s\":1,\"exp\":17635967410000e-4}", JWT_OK},
        {"{\"s\":1,\"exp\":1763596741e+0}", JWT_OK},
        {"{\"s\":1,\"exp\":0}", JWT_EXPIRED},
        {"{\"s\":1,\"exp\":-1e99999999}", JWT_EXPIRED},
        {"{\"s\":1,\"exp\":0e99999999}", JWT_EXPIRED},
        {"{\"s\":1,\"exp\":1e-99999999}", JWT_EXPIRED},
        {"{\"s\":1,\"exp\":1e400}", JWT_OK},
        {"{\"s\":1,\"nbf\":1763596860}", JWT_OK},
        {"{\"s\":1,\"nbf\":1763596861}", JWT_EXPIRED},
        {"{\"s\":1,\"nbf\":1e400}", JWT_EXPIRED},
        {"{\"s\":1,\"nbf\":1763596800,\"exp\":1763596801}", JWT_OK},
        {"{\"s\":1,\"exp\":\"1763596801\"}", JWT_BAD},
        {"{\"s\":1,\"exp\":null}", JWT_BAD},
        {"{\"s\":1,\"nbf\":true}", JWT_BAD},
        {"{\"exp\":0}", JWT_EXPIRED}, /* before it is asked what is in it */
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf token;
        make(&token, algorithms[0].header, cases[i].payload, NULL);
        if (result_of(hs_key, buf_span(&token), "/s") != cases[i].result)
            fail_msg("%s", cases[i].payload);
        buf_fini(&token);
    }
}

static void a_token_that_was_touched_is_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < array_len(algorithms); i++) {
        struct buf token;
        make(&token, algorithms[i].header, "{\"sub\":\"u-1\",\"role\":\"student\"}", signer_of(i));
        assert_int_equal(result_of(*algorithms[i].key, buf_span(&token), "/sub"), JWT_OK);
        for (size_t at = 0; at < token.len; at++) {
            char was = token.p[at];
            token.p[at] = was == 'A' ? 'B' : 'A';
            if (result_of(*algorithms[i].key, buf_span(&token), "/sub") != JWT_BAD)
                fail_msg("%s: byte %zu of %zu", algorithms[i].header, at, token.len);
            token.p[at] = was;
        }
        for (size_t len = 0; len < token.len; len++)
            assert_int_equal(result_of(*algorithms[i].key, span_of(token.p, len), "/sub"), JWT_BAD);
        for (const char *more = "A=.\n "; *more; more++) {
            buf_add_char(&token, *more);
            assert_int_equal(result_of(*algorithms[i].key, buf_span(&token), "/sub"), JWT_BAD);
            token.len--;
        }
        buf_fini(&token);
    }
}

static void a_key_takes_its_own_algorithm_alone(void **state)
{
    (void)state;
    static const char payload[] = "{\"sub\":\"u-1\"}";
    for (size_t i = 0; i < array_len(algorithms); i++) {
        for (size_t k = 0; k < array_len(algorithms); k++) {
            struct buf token; /* signed as <i>, said to be <k> */
            make(&token, algorithms[k].header, payload, signer_of(i));
            for (size_t j = 0; j < array_len(algorithms); j++)
                assert_int_equal(result_of(*algorithms[j].key, buf_span(&token), "/sub"),
                                 i == k && k == j ? JWT_OK : JWT_BAD);
            buf_fini(&token);
        }
    }
}

static void a_public_key_is_no_secret(void **state)
{
    (void)state;
    const struct buf *pems[] = {&rsa_pem, &ec_pem};
    struct jwt_key *keys[] = {rs_key, es_key};
    static const char *const headers[] = {"{\"alg\":\"HS256\"}", "{\"alg\":\"RS256\"}",
                                          "{\"alg\":\"ES256\"}"};
    for (size_t i = 0; i < array_len(pems); i++) {
        for (size_t k = 0; k < array_len(headers); k++) {
            struct buf token;
            make(&token, headers[k], "{\"sub\":\"u-1\"}", NULL);
            token.len = (size_t)((char *)memrchr(token.p, '.', token.len) - token.p);
            add_signature(&token, NULL, buf_span(pems[i]));
            assert_int_equal(result_of(keys[i], buf_span(&token), "/sub"), JWT_BAD);
            buf_fini(&token);
        }
        struct buf late; /* not at the first byte: a key, still */
        struct jwt_key *k;
        buf_init(&late, 65536);
        buf_add_str(&late, "\n \n");
        buf_add_span(&late, buf_span(pems[i]));
        k = key_of(buf_span(&late));
        struct buf token;
        make(&token, headers[0], "{\"sub\":\"u-1\"}", NULL);
        token.len = (size_t)((char *)memrchr(token.p, '.', token.len) - token.p);
        add_signature(&token, NULL, buf_span(&late));
        assert_int_equal(result_of(k, buf_span(&token), "/sub"), JWT_BAD);
        buf_fini(&token);
        buf_fini(&late);
        jwt_key_free(k);
    }
}

static void a_header_or_payload_of_another_form_is_bad(void **state)
{
    (void)state;
    static const struct {
        const char *header, *payload;
    } cases[] = {
        {"{\"alg\":\"none\"}", "{\"sub\":1}"},
        {"{\"alg\":\"None\"}", "{\"sub\":1}"},
        {"{\"alg\":\"hs256\"}", "{\"sub\":1}"},
        {"{\"alg\":\"HS384\"}", "{\"sub\":1}"},
        {"{\"alg\":\"HS256\\u0000\"}", "{\"sub\":1}"},
        {"{\"alg\":[\"HS256\"]}", "{\"sub\":1}"},
        {"{\"alg\":null}", "{\"sub\":1}"},
        {"{\"typ\":\"JWT\"}", "{\"sub\":1}"},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", "{\"sub\":1}"},
        {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{\"sub\":1}"},
        {"[\"HS256\"]", "{\"sub\":1}"},
        {"\"HS256\"", "{\"sub\":1}"},
        {"", "{\"sub\":1}"},
        {"{", "{\"sub\":1}"},
        {"{\"alg\":\"HS256\"}", ""},
        {"{\"alg\":\"HS256\"}", "{"},
        {"{\"alg\":\"HS256\"}", "[1]"},
        {"{\"alg\":\"HS256\"}", "1"},
        {"{\"alg\":\"HS256\"}", "{\"sub\":1,\"sub\":2}"},
        {"{\"alg\":\"HS256\"}", "{\"sub\":1}x"},
        {"{\"alg\":\"HS256\"}", "{\"sub\":\"\xff\"}"},
        {"{\"alg\":\"HS256\"}", "{\"sub\":1,\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        struct buf token;
        make(&token, cases[i].header, cases[i].payload, NULL);
        if (result_of(hs_key, buf_span(&token), "/sub") != JWT_BAD)
            fail_msg("%s.%s", cases[i].header, cases[i].payload);
        buf_fini(&token);
    }
}

/* Even under a good signature: two texts must never be one token. */
static void base64url_is_strict(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "eyJzdWIiOjF9=",   "eyJzdWIiOjF9==", "eyJzdWIi OjF9", "eyJzdWIiOjF9\n",
        "eyJzdWIiOjF9A",   "eyJzdWIiOjEgfR", /* bits left over: "eyJzdWIiOjEgfQ" is right */
        "eyJzIjoiPz8/In0",                   /* '/' of the other alphabet */
    };
    for (size_t i = 0; i <= array_len(payloads); i++) {
        struct buf token;
        buf_init(&token, 65536);
        add_base64url(&token, "{\"alg\":\"HS256\"}", 15);
        buf_add_char(&token, '.');
        buf_add_str(&token, i < array_len(payloads) ? payloads[i] : "eyJzdWIiOjEgfQ");
        add_signature(&token, NULL, secret);
        assert_int_equal(result_of(hs_key, buf_span(&token), "/sub"),
                         i < array_len(payloads) ? JWT_BAD : JWT_OK);
        buf_fini(&token);
    }
}

static void odd_es256_signatures_are_bad(void **state)
{
    (void)state;
    uint8_t sig[96];
    static const uint8_t fills[] = {0x00, 0xff, 0x80, 0x01};
    for (size_t len = 0; len <= sizeof(sig); len++) {
        for (size_t f = 0; f < array_len(fills); f++) {
            struct buf token;
            memset(sig, fills[f], sizeof(sig));
            make(&token, algorithms[2].header, "{\"sub\":1}", NULL);
            token.len = (size_t)((char *)memrchr(token.p, '.', token.len) - token.p) + 1;
            add_base64url(&token, sig, len);
            assert_int_equal(result_of(es_key, buf_span(&token), "/sub"), JWT_BAD);
            buf_fini(&token);
        }
    }
    /* Numbers of fewer bytes, whose DER form is shorter: about one in 128. */
    for (unsigned i = 0; i < 600; i++) {
        char payload[32];
        struct buf token;
        snprintf(payload, sizeof(payload), "{\"sub\":%u}", i);
        make(&token, algorithms[2].header, payload, ec);
        assert_int_equal(result_of(es_key, buf_span(&token), "/sub"), JWT_OK);
        buf_fini(&token);
    }
}

static void sizes_have_limits(void **state)
{
    (void)state;
    char payload[8192];
    struct buf token, out;
    for (int fill = 6000; fill < 6200; fill++) {
        snprintf(payload, sizeof(payload), "{\"sub\":1,\"x\":\"%0*d\"}", fill, 0);
        make(&token, algorithms[0].header, payload, NULL);
        assert_int_equal(result_of(hs_key, buf_span(&token), "/sub"),
                         token.len <= JWT_TOKEN_MAX ? JWT_OK : JWT_BAD);
        buf_fini(&token);
    }
    make(&token, algorithms[0].header, "{\"sub\":\"12345\"}", NULL);
    char block[6] = "ab";
    buf_init_fixed(&out, block, sizeof(block));
    buf_add_str(&out, "ab");
    assert_int_equal(jwt_claim(hs_key, buf_span(&token), SPAN_LIT("/sub"), NOW, &out), JWT_BAD);
    assert_true(out.failed);
    assert_int_equal(out.len, 2);
    buf_fini(&token);
}

static EVP_PKEY *other_key(unsigned i)
{
    switch (i) {
    case 0:
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    case 1:
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    case 2:
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
    default:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
}

static void refused(struct span text, enum err_code code)
{
    struct jwt_key *k = (struct jwt_key *)&k;
    struct err err = {.code = ERR_OK};
    assert_int_equal(jwt_key_new(text, &k, &err), code);
    assert_int_equal(err.code, code);
    assert_true(strlen(err.what) > 20);
    assert_ptr_equal(k, &k);
    assert_int_equal(jwt_key_new(text, &k, NULL), code);
}

static void weak_and_broken_keys_are_refused(void **state)
{
    (void)state;
    static char large[65537];
    refused(SPAN_LIT(""), ERR_CONFIG);
    refused(span_of(NULL, 0), ERR_CONFIG);
    refused(SPAN_LIT("0123456789abcdef0123456789abcde"), ERR_CONFIG);
    refused(SPAN_LIT("-----BEGIN PUBLIC KEY-----"), ERR_CONFIG);
    refused(SPAN_LIT("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), ERR_CONFIG);
    refused(span_of(rsa_pem.p, rsa_pem.len / 2), ERR_CONFIG);
    refused(SPAN_LIT("-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"
                     "00000000000000000000000000000000\n\nAAAA\n-----END PUBLIC KEY-----\n"),
            ERR_CONFIG);
    refused(span_of(large, sizeof(large)), ERR_TOO_LARGE);
    for (unsigned i = 0; i < 4; i++) {
        struct buf pem;
        EVP_PKEY *key = other_key(i);
        pem_of(key, &pem);
        refused(buf_span(&pem), ERR_CONFIG);
        buf_fini(&pem);
        EVP_PKEY_free(key);
    }
}

/* A TLS connection on the same thread would take what is left there for its own error. */
static void openssl_errors_stay_as_they_were(void **state)
{
    (void)state;
    struct buf token;
    struct jwt_key *k;
    ERR_clear_error();
    make(&token, algorithms[2].header, "{}", ec);
    token.p[token.len - 5] ^= 1;
    assert_int_equal(result_of(es_key, buf_span(&token), "/a"), JWT_BAD);
    assert_int_equal(jwt_key_new(SPAN_LIT("-----BEGIN X-----"), &k, NULL), ERR_CONFIG);
    assert_int_equal(ERR_peek_error(), 0);
    ERR_raise(ERR_LIB_USER, 1);
    assert_int_equal(result_of(es_key, buf_span(&token), "/a"), JWT_BAD);
    assert_int_equal(ERR_GET_REASON(ERR_get_error()), 1);
    assert_int_equal(ERR_peek_error(), 0);
    buf_fini(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_rfc_7515_verifies),
        cmocka_unit_test(claims_come_as_text),
        cmocka_unit_test(times_have_a_minute_of_leeway),
        cmocka_unit_test(a_token_that_was_touched_is_bad),
        cmocka_unit_test(a_key_takes_its_own_algorithm_alone),
        cmocka_unit_test(a_public_key_is_no_secret),
        cmocka_unit_test(a_header_or_payload_of_another_form_is_bad),
        cmocka_unit_test(base64url_is_strict),
        cmocka_unit_test(odd_es256_signatures_are_bad),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(weak_and_broken_keys_are_refused),
        cmocka_unit_test(openssl_errors_stay_as_they_were),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
