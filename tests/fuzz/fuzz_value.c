/* fuzz_value.c: any bytes as what stands behind the seal of a value, sealed as by one who has the
 * secret; and as a value itself. What is taken must be an entry that keeps its promises, and
 * sealing it again must change nothing. */
#include <larder/base/octets.h>
#include <larder/base/seal.h>
#include <larder/tier/value.h>

#include <stdlib.h>

enum { NOW = 5000, UNIX_MS = 1 << 30, HEADER = 4 };

static void demand(bool ok)
{
    if (!ok)
        abort();
}

static const uint8_t fingerprint[VALUE_FINGERPRINT] = "0123456789abcde";
static const struct value_context context = {.secret = {"secret", 6},
                                             .route_name = {"courses", 7},
                                             .fingerprint = fingerprint,
                                             .compress_bytes = 16,
                                             .max_bytes = 1 << 16};
static const struct tier_stamp stamp = {.is_valid = true, .number = 7};

static void seal(struct span text, unsigned tag_count, const struct cache_key *key, struct buf *out)
{
    uint8_t name[VALUE_NAME];
    char block[64];
    struct buf b;
    buf_init_fixed(&b, block, sizeof(block));
    buf_add_str(&b, "larder value");
    value_name(&context, key, name);
    buf_add(&b, name, sizeof(name));
    struct seal_key k = {.secret = context.secret, .context = buf_span(&b)};
    buf_add_str(out, "LRD1");
    buf_add(out, stamp.generation, VALUE_GENERATION);
    octets_add(out, stamp.number, 8);
    octets_add(out, tag_count, 2);
    for (unsigned i = 0; i < tag_count; i++)
        octets_add(out, i, 8);
    demand(seal_add(&k, buf_span(out), text, out) == ERR_OK);
}

static void check_entry(const struct entry *e, const struct cache_key *key)
{
    struct buf value;
    struct entry *again = NULL;
    struct value_time t = {.left_ms = value_life_ms(e, NOW), .now = NOW, .unix_ms = UNIX_MS};
    demand(cache_key_eq(&e->key, key) && e->length_line_len <= e->head.len && e->known_mono_ms);
    demand(e->kind == ENTRY_VARY || (e->kind == ENTRY_RESPONSE && e->status_line_len));
    demand(e->status_line_len + e->length_line_len <= e->head.len);
    demand(entry_over_ms(e) > NOW && entry_use_at(e, entry_over_ms(e)) == ENTRY_OVER);
    demand(entry_use_at(e, NOW) != ENTRY_OVER);
    demand(entry_ttl_s(e, NOW) >= 0 || entry_use_at(e, NOW) != ENTRY_FRESH);
    buf_init(&value, 1 << 18);
    enum err_code rc = value_seal(&context, e, &stamp, NOW, UNIX_MS, t.left_ms, &value);
    demand(rc == ERR_OK || rc == ERR_TOO_LARGE); /* unpacked it may be more */
    if (rc == ERR_OK) {
        demand(value_open(&context, buf_span(&value), key, 0, 0, &t, &again) == ERR_OK);
        demand(entry_over_ms(again) == entry_over_ms(e) && span_eq(again->body, e->body));
        demand(entry_age_s(again, NOW) == entry_age_s(e, NOW) && span_eq(again->head, e->head));
        demand(entry_use_at(again, NOW) == entry_use_at(e, NOW));
        demand(entry_is_shareable(again) == entry_is_shareable(e));
        entry_unref(again);
    }
    buf_fini(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cache_key key;
    struct entry *e = NULL;
    struct buf value;
    if (size < HEADER)
        return 0;
    struct span text = span_of((const char *)data + HEADER, size - HEADER);
    struct value_time t = {.left_ms = UINT64_MAX >> data[1] % 64,
                           .transit_ms = ((uint64_t)1 << data[2] % 64) - 1,
                           .now = NOW,
                           .unix_ms = (int64_t)(UINT64_MAX >> (data[3] % 63 + 1))};
    cache_key_init_variant(&key, SPAN_LIT("courses:id=1|en"), 12);
    demand(value_open(&context, span_of((const char *)data, size), &key, 0, 0, &t, &e) ==
           ERR_SYNTAX);
    buf_init(&value, 1 << 18);
    seal(text, data[0] % 8, &key, &value);
    enum err_code rc = value_open(&context, buf_span(&value), &key, 3, 9, &t, &e);
    demand((rc == ERR_OK) == (e != NULL));
    if (e) {
        demand(e->route == 3 && e->began == 9 && e->tag_count == data[0] % 8);
        check_entry(e, &key);
    }
    entry_unref(e);
    buf_fini(&value);
    return 0;
}
