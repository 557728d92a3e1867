#include "value-internal.h"

#include <larder/base/octets.h>
#include <larder/base/pack.h>
#include <larder/base/seal.h>

#define MAGIC "LRD1"
enum { MAGIC_LEN = 4, DIGEST = 32 };
/* A long body is tried by its beginning: pictures and the like are packed already. */
enum { PROBE_FROM = 32 * 1024, PROBE = 4096, PROBE_MOST = PROBE / 8 * 7 };

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- names and keys --- */

void value_name(const struct value_context *c, const struct cache_key *key,
                uint8_t ret_name[VALUE_NAME])
{
    char block[256];
    uint8_t route[DIGEST], text[DIGEST];
    struct buf b;
    digest_of(c->route_name.p, c->route_name.len, route);
    digest_of(key->text.p, key->text.len, text);
    buf_init_fixed(&b, block, sizeof(block));
    buf_add_str(&b, "larder object");
    buf_add(&b, route, sizeof(route));
    buf_add(&b, c->fingerprint, VALUE_FINGERPRINT);
    octets_add(&b, key->primary_len, 8);
    buf_add(&b, text, sizeof(text));
    hmac_of(c->secret, buf_span(&b), ret_name);
}

struct own_key {
    struct seal_key key;
    char context[64];
};

/* Each object has a key of its own: under another's name a value does not open. */
static void own_key_init(struct own_key *k, const struct value_context *c,
                         const struct cache_key *key)
{
    uint8_t name[VALUE_NAME];
    struct buf b;
    value_name(c, key, name);
    buf_init_fixed(&b, k->context, sizeof(k->context));
    buf_add_str(&b, "larder value");
    buf_add(&b, name, sizeof(name));
    k->key = (struct seal_key){.secret = c->secret, .context = buf_span(&b)};
}

/* --- time --- */

uint64_t value_life_ms(const struct entry *e, mono_ms now)
{
    mono_ms over = entry_over_ms(e);
    if (e->kind == ENTRY_PASS || over <= now ||
        atomic_load_explicit(&e->soft_ms, memory_order_relaxed))
        return 0;
    return least_of(over - now, VALUE_TIME_MAX);
}

/* What has gone since it was sealed. The server may have lost or kept time that the wall clocks
 * tell of, and these may have been set: the longer is believed. */
static uint64_t elapsed_ms(const struct value_record *r, const struct value_time *t)
{
    uint64_t by_server = r->life_ms > t->left_ms ? r->life_ms - t->left_ms : 0;
    int64_t sealed = (int64_t)r->unix_ms; /* it is in bounds */
    uint64_t by_clock = t->unix_ms > sealed ? (uint64_t)(t->unix_ms - sealed) : 0;
    uint64_t most = by_server > by_clock ? by_server : by_clock;
    return least_of(most, VALUE_TIME_MAX) + least_of(t->transit_ms, VALUE_TIME_MAX);
}

/* As if it had been stored now: its freshness ends when it would have ended, and so do the windows
 * behind it. What was fresh once stays known as such (entry_is_shareable). */
static void set_times(struct entry_parts *p, const struct value_record *r,
                      const struct value_time *t)
{
    int64_t gone = (int64_t)(r->resident_ms + elapsed_ms(r, t));
    int64_t fresh = (int64_t)r->lifetime_ms - (int64_t)r->overdue_ms; /* from when it was stored */
    int64_t left = fresh - gone;
    int64_t least = r->lifetime_ms > 0, kept = (fresh > 0 ? fresh : 0) + (int64_t)r->keep_ms - gone;
    p->age_at_store_ms = least_of(r->age_at_store_ms + (uint64_t)gone, VALUE_TIME_MAX);
    p->lifetime_ms = (uint64_t)(left > least ? left : least);
    p->overdue_ms = least_of(p->lifetime_ms - (uint64_t)left, VALUE_TIME_MAX); /* past windows */
    p->while_ms = r->while_ms;
    p->error_ms = r->error_ms;
    p->keep_ms = left > 0 ? r->keep_ms : (uint64_t)(kept > 0 ? kept : 0);
    p->stored_mono_ms = t->now;
    p->known_mono_ms = t->now > t->transit_ms ? t->now - t->transit_ms : 1; /* 0: not shared */
}

/* --- sealing --- */

static bool has_encoding(struct span head)
{
    struct span name = SPAN_LIT("content-encoding:");
    while (head.len) {
        struct span line = span_split(head, '\n', &head);
        if (line.len >= name.len && span_eq_nocase(span_of(line.p, name.len), name))
            return true;
    }
    return false;
}

static bool is_worth_packing(const struct value_context *c, const struct entry *e)
{
    return c->compress_bytes && e->kind == ENTRY_RESPONSE && e->body.len > 1 &&
           e->body.len >= c->compress_bytes && !has_encoding(e->head);
}

/* The body of <r> becomes what <packed> holds, if that is smaller. */
static enum err_code pack_body(struct value_record *r, struct buf *packed)
{
    struct span body = r->text[TEXT_BODY];
    enum err_code rc = ERR_OK;
    if (body.len >= PROBE_FROM) {
        rc = pack_add(span_of(body.p, PROBE), PROBE_MOST, packed);
        buf_reset(packed);
    }
    if (!rc)
        rc = pack_add(body, body.len - 1, packed);
    if (rc)
        return rc == ERR_TOO_LARGE ? ERR_OK : rc; /* then it stays as it is */
    r->text[TEXT_BODY] = buf_span(packed);
    r->marks |= VALUE_PACKED;
    return ERR_OK;
}

static void record_init(struct value_record *r, const struct value_context *c,
                        const struct entry *e)
{
    *r = (struct value_record){
        .version = VALUE_VERSION,
        .kind = e->kind,
        .status = e->status,
        .flags = e->flags,
        .marks = (e->is_for_any_origin ? VALUE_FOR_ANY_ORIGIN : 0) |
                 (e->is_etag_ours ? VALUE_ETAG_IS_OURS : 0) |
                 (e->is_refetchable ? VALUE_REFETCHABLE : 0),
        .length_line_len = e->length_line_len,
        .primary_len = e->key.primary_len,
        .body_len = e->body.len,
        .age_at_store_ms = least_of(e->age_at_store_ms, VALUE_TIME_MAX),
        .lifetime_ms = least_of(e->lifetime_ms, VALUE_TIME_MAX),
        .overdue_ms = least_of(e->overdue_ms, VALUE_TIME_MAX),
        .while_ms = least_of(e->while_ms, VALUE_TIME_MAX),
        .error_ms = least_of(e->error_ms, VALUE_TIME_MAX),
        .keep_ms = least_of(e->keep_ms, VALUE_TIME_MAX),
        .fetch_us = e->fetch_us,
        .last_modified_unix_s = (uint64_t)e->last_modified_unix_s,
        .date_unix_s = (uint64_t)e->date_unix_s,
        .text = {[TEXT_ROUTE] = c->route_name,
                 [TEXT_FINGERPRINT] = span_of((const char *)c->fingerprint, VALUE_FINGERPRINT),
                 [TEXT_KEY] = e->key.text,
                 [TEXT_HEAD] = e->head,
                 [TEXT_HIDDEN] = e->hidden,
                 [TEXT_HEAD_304] = e->head_304,
                 [TEXT_ETAG] = e->etag,
                 [TEXT_TARGET] = e->target,
                 [TEXT_HOST] = e->host,
                 [TEXT_TAGS] = e->tag_text,
                 [TEXT_BODY] = e->body},
    };
}

static size_t clear_bytes(unsigned tag_count)
{
    return MAGIC_LEN + VALUE_GENERATION + 8 + 2 + (size_t)tag_count * 8;
}

/* As SCRIPT_GET reads it. */
static void format_clear(const struct entry *e, const struct tier_stamp *stamp, struct buf *out)
{
    buf_add(out, MAGIC, MAGIC_LEN);
    buf_add(out, stamp->generation, VALUE_GENERATION);
    octets_add(out, stamp->number, 8);
    octets_add(out, e->tag_count, 2);
    for (unsigned i = 0; i < e->tag_count; i++)
        octets_add(out, e->tags[i], 8);
}

static enum err_code failure_of(const struct buf *b)
{
    return !b->failed ? ERR_OK : b->no_memory ? ERR_NOMEM : ERR_TOO_LARGE;
}

static enum err_code seal_record(const struct value_context *c, const struct entry *e,
                                 const struct tier_stamp *stamp, const struct value_record *r,
                                 struct buf *out)
{
    struct own_key k;
    cleanup(buf_fini) struct buf text;
    buf_init(&text, record_bytes(r));
    record_format(r, &text);
    size_t before = out->len;
    format_clear(e, stamp, out);
    enum err_code rc = failure_of(&text);
    if (!rc)
        rc = failure_of(out);
    own_key_init(&k, c, &e->key);
    if (!rc)
        rc = seal_add(&k.key, span_of(out->p + before, out->len - before), buf_span(&text), out);
    if (rc)
        out->len = before;
    return rc;
}

enum err_code value_seal(const struct value_context *c, const struct entry *e,
                         const struct tier_stamp *stamp, mono_ms now, int64_t unix_ms,
                         uint64_t life_ms, struct buf *out)
{
    struct value_record r;
    record_init(&r, c, e);
    r.resident_ms = now > e->stored_mono_ms ? least_of(now - e->stored_mono_ms, VALUE_TIME_MAX) : 0;
    r.unix_ms = unix_ms > 0 ? least_of((uint64_t)unix_ms, VALUE_TIME_MAX) : 0;
    r.life_ms = least_of(life_ms, VALUE_TIME_MAX);
    if (clear_bytes(e->tag_count) + SEAL_OVERHEAD + record_bytes(&r) >
        least_of(c->max_bytes, VALUE_BYTES_MAX))
        return ERR_TOO_LARGE;
    cleanup(buf_fini) struct buf packed;
    buf_init(&packed, e->body.len);
    enum err_code rc = is_worth_packing(c, e) ? pack_body(&r, &packed) : ERR_OK;
    return rc ? rc : seal_record(c, e, stamp, &r, out);
}

/* --- opening --- */

/* Takes what stands in clear off <bytes>; the tags are appended to <tags> as they are in memory. */
static enum err_code take_clear(struct span *bytes, struct span *ret_clear, struct buf *tags)
{
    uint64_t count = 0, tag = 0;
    struct span s = *bytes;
    size_t before_count = MAGIC_LEN + VALUE_GENERATION + 8;
    if (!span_starts_with(s, SPAN_LIT(MAGIC)) || s.len < before_count)
        return ERR_SYNTAX;
    s = span_of(s.p + before_count, s.len - before_count);
    if (!octets_take(&s, 2, &count) || count > ENTRY_TAGS_MAX || s.len < count * 8)
        return ERR_SYNTAX;
    for (uint64_t i = 0; i < count; i++) {
        (void)octets_take(&s, 8, &tag); /* there are so many */
        buf_add(tags, &tag, sizeof(tag));
    }
    *ret_clear = span_of(bytes->p, bytes->len - s.len);
    *bytes = s;
    return failure_of(tags);
}

static bool is_meant(const struct value_record *r, const struct value_context *c,
                     const struct cache_key *key)
{
    return span_eq(r->text[TEXT_ROUTE], c->route_name) &&
           span_eq(r->text[TEXT_FINGERPRINT],
                   span_of((const char *)c->fingerprint, VALUE_FINGERPRINT)) &&
           span_eq(r->text[TEXT_KEY], key->text) && r->primary_len == key->primary_len;
}

static enum err_code unpack_body(struct value_record *r, uint64_t max, struct buf *body)
{
    if (!(r->marks & VALUE_PACKED))
        return ERR_OK;
    if (r->body_len > max)
        return ERR_TOO_LARGE;
    body->limit = (size_t)r->body_len;
    enum err_code rc = unpack_add(r->text[TEXT_BODY], body->limit, body);
    if (rc == ERR_NOMEM)
        return rc;
    if (rc || body->len != r->body_len)
        return ERR_SYNTAX;
    r->text[TEXT_BODY] = buf_span(body);
    return ERR_OK;
}

static void parts_init(struct entry_parts *p, const struct value_record *r)
{
    *p = (struct entry_parts){
        .kind = (enum entry_kind)r->kind,
        .status = (uint16_t)r->status,
        .flags = (unsigned)r->flags,
        .is_for_any_origin = r->marks & VALUE_FOR_ANY_ORIGIN,
        .is_etag_ours = r->marks & VALUE_ETAG_IS_OURS,
        .is_refetchable = r->marks & VALUE_REFETCHABLE,
        .length_line_len = (size_t)r->length_line_len,
        .fetch_us = r->fetch_us,
        .last_modified_unix_s = (int64_t)r->last_modified_unix_s,
        .date_unix_s = (int64_t)r->date_unix_s,
        .head = r->text[TEXT_HEAD],
        .hidden = r->text[TEXT_HIDDEN],
        .head_304 = r->text[TEXT_HEAD_304],
        .body = r->text[TEXT_BODY],
        .etag = r->text[TEXT_ETAG],
        .target = r->text[TEXT_TARGET],
        .host = r->text[TEXT_HOST],
        .tag_text = r->text[TEXT_TAGS],
    };
}

enum err_code value_open(const struct value_context *c, struct span bytes,
                         const struct cache_key *key, uint16_t route, uint64_t began,
                         const struct value_time *t, struct entry **ret)
{
    struct own_key k;
    struct value_record r;
    struct entry_parts parts;
    struct span clear;
    cleanup(buf_fini) struct buf tags;
    cleanup(buf_fini) struct buf text;
    cleanup(buf_fini) struct buf body;
    buf_init(&tags, (size_t)ENTRY_TAGS_MAX * sizeof(uint64_t));
    buf_init(&text, bytes.len);
    buf_init(&body, 0); /* its limit comes with the record */
    if (bytes.len > least_of(c->max_bytes, VALUE_BYTES_MAX))
        return ERR_TOO_LARGE;
    own_key_init(&k, c, key);
    enum err_code rc = take_clear(&bytes, &clear, &tags);
    if (!rc)
        rc = seal_open(&k.key, clear, bytes, &text);
    if (rc)
        return rc;
    if (!record_parse(buf_span(&text), &r) || !is_meant(&r, c, key))
        return ERR_SYNTAX;
    rc = unpack_body(&r, c->max_bytes, &body);
    if (rc)
        return rc;
    parts_init(&parts, &r);
    set_times(&parts, &r, t);
    parts.route = route;
    parts.key = key;
    parts.began = began;
    parts.tags = (const uint64_t *)(const void *)tags.p;
    parts.tag_count = (unsigned)(tags.len / sizeof(uint64_t));
    cleanup(entry_unrefp) struct entry *e = entry_new(&parts);
    if (!e)
        return ERR_NOMEM;
    if (entry_over_ms(e) <= t->now)
        return ERR_NOT_FOUND;
    *ret = take(e);
    return ERR_OK;
}
