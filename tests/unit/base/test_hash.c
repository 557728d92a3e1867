/* test_hash.c: the published vectors, and what must hold for every input. */
#include <larder/base/hash.h>

#include "base-test.h"

static void assert_hex(const uint8_t *p, size_t len, const char *want)
{
    char hex[64];
    assert_true(2 * len <= sizeof(hex));
    hex_format(p, len, hex);
    assert_span(span_of(hex, 2 * len), span_str(want), "hex");
}

static void digests_are_sha256(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *hex;
    } cases[] = {
        {{NULL, 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {SPAN_LIT(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {SPAN_LIT("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        uint8_t digest[32];
        digest_of(cases[i].text.p, cases[i].text.len, digest);
        assert_hex(digest, 32, cases[i].hex);
    }
}

/* RFC 4231 cases 2 and 6 (a key longer than the block); no key and no text, given either way. */
static void macs_are_hmac_sha256(void **state)
{
    (void)state;
    char long_key[131];
    memset(long_key, 0xaa, sizeof(long_key));
    static const char *const empty =
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
    const struct {
        struct span key, text;
        const char *hex;
    } cases[] = {
        {SPAN_LIT("Jefe"), SPAN_LIT("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {span_of(long_key, sizeof(long_key)),
         SPAN_LIT("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {SPAN_LIT(""), SPAN_LIT(""), empty},
        {span_of(NULL, 0), span_of(NULL, 0), empty},
        {span_of(NULL, 0), SPAN_LIT(""), empty},
        {SPAN_LIT(""), span_of(NULL, 0), empty},
    };
    for (size_t i = 0; i < array_len(cases); i++) {
        uint8_t mac[32];
        hmac_of(cases[i].key, cases[i].text, mac);
        assert_hex(mac, 32, cases[i].hex);
    }
}

static bool is_same(struct hash128 a, struct hash128 b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static void table_hashes_follow_text_length_and_seed(void **state)
{
    (void)state;
    char text[300] = {0};
    hash_seed(0);
    struct hash128 empty = hash128_of(NULL, 0); /* XXH3's own value for seed 0 */
    assert_true(empty.hi == 0x99aa06d3014798d8ULL && empty.lo == 0x6001c324468d497fULL);
    for (size_t len = 1; len < sizeof(text); len++) {
        struct hash128 h = hash128_of(text, len);
        assert_true(is_same(h, hash128_of(text, len)));
        assert_false(is_same(h, hash128_of(text, len - 1)));
        text[len - 1] ^= 1;
        assert_false(is_same(h, hash128_of(text, len)));
        text[len - 1] ^= 1;
        hash_seed(1);
        assert_false(is_same(h, hash128_of(text, len)));
        hash_seed(0);
    }
}

static void secrets_are_equal_only_when_every_byte_is(void **state)
{
    (void)state;
    assert_true(secret_eq(SPAN_LIT("token"), SPAN_LIT("token")));
    assert_true(secret_eq(SPAN_LIT(""), span_of(NULL, 0)));
    assert_false(secret_eq(SPAN_LIT("token"), SPAN_LIT("tokem")));
    assert_false(secret_eq(SPAN_LIT("token"), SPAN_LIT("uoken")));
    assert_false(secret_eq(SPAN_LIT("token"), SPAN_LIT("toke")));
    assert_false(secret_eq(SPAN_LIT("token"), SPAN_LIT("")));
    assert_false(secret_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0c")));
}

static void hex_is_lower_case_and_ends_where_it_should(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x00, 0x0f, 0xa5, 0xff};
    char hex[9] = "xxxxxxxxx";
    hex_format(bytes, sizeof(bytes), hex);
    assert_memory_equal(hex, "000fa5ffx", 9);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    random_bytes(a, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_sha256),
        cmocka_unit_test(macs_are_hmac_sha256),
        cmocka_unit_test(table_hashes_follow_text_length_and_seed),
        cmocka_unit_test(secrets_are_equal_only_when_every_byte_is),
        cmocka_unit_test(hex_is_lower_case_and_ends_where_it_should),
        cmocka_unit_test(random_bytes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
