/* test_value.c: what one instance seals, another opens, as old as it is by then; and nothing else
 * is taken for it. */
#include "tier-test.h"

#include <larder/base/seal.h>

static struct entry *entry_of(const struct entry_parts *parts)
{
    struct entry *e = entry_new(parts);
    assert_non_null(e);
    return e;
}

static struct entry *open_good(struct span bytes, const struct cache_key *key,
                               const struct value_time *t)
{
    struct entry *e = NULL;
    assert_int_equal(value_open(&test_context, bytes, key, 9, 77, t, &e), ERR_OK);
    assert_non_null(e);
    return e;
}

#define SAME_SPAN(member)                                                                          \
    if (!span_eq(a->member, b->member))                                                            \
    fail_msg("%s: \"%.*s\", not \"%.*s\"", #member, SPAN_ARG(b->member), SPAN_ARG(a->member))
#define SAME(member) assert_int_equal(a->member, b->member)

static void assert_same(const struct entry *a, const struct entry *b)
{
    SAME(kind);
    SAME(status);
    SAME(tag_count);
    for (unsigned i = 0; i < a->tag_count; i++)
        SAME(tags[i]);
    SAME(fetch_us);
    SAME(last_modified_unix_s);
    SAME(date_unix_s);
    SAME(flags);
    SAME(is_for_any_origin);
    SAME(is_etag_ours);
    SAME(is_refetchable);
    SAME(length_line_len);
    SAME(status_line_len);
    SAME(key.primary_len);
    SAME(key.hash.hi);
    SAME(key.hash.lo);
    SAME_SPAN(key.text);
    SAME_SPAN(head);
    SAME_SPAN(hidden);
    SAME_SPAN(head_304);
    SAME_SPAN(body);
    SAME_SPAN(etag);
    SAME_SPAN(target);
    SAME_SPAN(host);
    SAME_SPAN(tag_text);
}

static void all_of_an_entry_comes_out_again(void **state)
{
    struct cache_key key = test_key();
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        struct entry_parts parts = test_parts(&key);
        parts.is_for_any_origin = i & 1;
        parts.is_etag_ours = i & 2;
        parts.is_refetchable = i & 4;
        parts.flags = i & 7;
        parts.last_modified_unix_s = i & 1 ? -1 : 0;
        parts.date_unix_s = i & 2 ? -1 : INT32_MAX;
        if (i & 8) {
            parts.tag_count = 0;
            parts.length_line_len = 0;
            parts.target = parts.host = parts.etag = parts.hidden = parts.tag_text =
                span_of(NULL, 0);
            parts.body = span_of(NULL, 0);
        }
        struct entry *e = entry_of(&parts);
        struct value_time t = test_time(e, TEST_STORED);
        struct buf value;
        test_seal(e, TEST_STORED, &value);
        t.transit_ms = 10;
        t.now = 5000;
        struct entry *o = open_good(buf_span(&value), &key, &t);
        assert_same(e, o);
        assert_int_equal(o->route, 9);
        assert_int_equal(o->began, 77);
        assert_int_equal(o->known_mono_ms, 4990);
        assert_int_equal(o->value_count, 0);
        entry_unref(o);
        entry_unref(e);
        buf_fini(&value);
    }
}

static void a_marker_comes_out_again_and_one_of_passing_never(void **state)
{
    struct cache_key key = test_key();
    struct entry_parts parts = {.kind = ENTRY_VARY,
                                .key = &key,
                                .stored_mono_ms = TEST_STORED,
                                .lifetime_ms = 1000,
                                .last_modified_unix_s = -1,
                                .body = SPAN_LIT("accept-language,origin")};
    struct entry *e = entry_of(&parts);
    struct value_time t = test_time(e, TEST_STORED);
    struct buf value;
    (void)state;
    test_seal(e, TEST_STORED, &value);
    struct entry *o = open_good(buf_span(&value), &key, &t);
    assert_same(e, o);
    assert_int_equal(entry_over_ms(o), TEST_STORED + 1000);
    entry_unref(o);
    entry_unref(e);
    buf_fini(&value);

    parts.kind = ENTRY_PASS;
    e = entry_of(&parts);
    assert_int_equal(value_life_ms(e, TEST_STORED), 0);
    buf_init(&value, 4096);
    assert_int_equal(value_seal(&test_context, e, &test_stamp, TEST_STORED, 0, 10, &value), ERR_OK);
    assert_int_equal(value_open(&test_context, buf_span(&value), &key, 0, 0, &t, &o), ERR_SYNTAX);
    entry_unref(e);
    buf_fini(&value);
}

/* struct.unpack('>I8', v, 21), ('>I2', v, 29), string.sub(v, 31 + 8 * i, 38 + 8 * i) */
static void what_the_script_reads_stands_in_clear(void **state)
{
    static const char tags[] = "\0\0\0\0\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff"
                               "\x11\x22\x33\x44\x55\x66\x77\x88";
    struct cache_key key = test_key();
    struct entry_parts parts = test_parts(&key);
    struct entry *e = entry_of(&parts);
    struct buf value;
    (void)state;
    test_seal(e, TEST_STORED, &value);
    assert_memory_equal(value.p, "LRD1", 4);
    assert_memory_equal(value.p + 4, test_stamp.generation, 16);
    assert_memory_equal(value.p + 20, "\1\2\3\4\5\6\7\10", 8);
    assert_memory_equal(value.p + 28, "\0\3", 2);
    assert_memory_equal(value.p + 30, tags, 24);
    assert_null(memmem(value.p, value.len, "course", 6)); /* and no more */
    assert_null(memmem(value.p, value.len, "Content", 7));
    entry_unref(e);
    buf_fini(&value);
}

/* --- time --- */

static const uint64_t times[] = {0, 1, 999, 1000, 1001, 60000};

/* All that time decides is the same on both, from now on. */
static void assert_same_time(const struct entry *e, mono_ms here, const struct entry *o,
                             mono_ms there)
{
    static const uint64_t later[] = {0, 1, 500, 1000, 1001, 1999, 2500, 61000, 200000};
    for (size_t i = 0; i < array_len(later); i++) {
        mono_ms a = here + later[i], b = there + later[i];
        assert_int_equal(entry_use_at(e, a), entry_use_at(o, b));
        assert_int_equal(entry_age_s(e, a), entry_age_s(o, b));
        assert_int_equal(entry_ttl_s(e, a), entry_ttl_s(o, b));
        assert_int_equal(entry_may_hide_error(e, a), entry_may_hide_error(o, b));
    }
    assert_int_equal(entry_over_ms(e) - here, entry_over_ms(o) - there);
    assert_int_equal(entry_is_shareable(e), entry_is_shareable(o));
}

/* Opened <gap> after it was sealed, on a machine whose clock says <there>. */
static void check_gap(const struct entry *e, mono_ms sealed, struct span value, uint64_t gap,
                      mono_ms there)
{
    uint64_t life = value_life_ms(e, sealed);
    struct value_time t = {.left_ms = life > gap ? life - gap : 0,
                           .now = there,
                           .unix_ms = TEST_UNIX_MS + (int64_t)gap};
    struct entry *o = NULL;
    enum err_code rc = value_open(&test_context, value, &e->key, 0, 0, &t, &o);
    assert_int_equal(rc, entry_over_ms(e) <= sealed + gap ? ERR_NOT_FOUND : ERR_OK);
    if (rc)
        return;
    assert_same_time(e, sealed + gap, o, there);
    atomic_store(&((struct entry *)(uintptr_t)e)->soft_ms, sealed + gap); /* and so it stays */
    atomic_store(&o->soft_ms, there);
    assert_int_equal(entry_use_at(e, sealed + gap + 1500), entry_use_at(o, there + 1500));
    atomic_store(&((struct entry *)(uintptr_t)e)->soft_ms, 0);
    entry_unref(o);
}

static void check_entry(const struct entry_parts *parts)
{
    static const mono_ms clocks[] = {1, 1500, 100000000};
    struct entry *e = entry_of(parts);
    for (size_t s = 0; s < array_len(times); s++) {
        mono_ms sealed = TEST_STORED + times[s];
        struct buf value;
        if (!value_life_ms(e, sealed))
            continue;
        test_seal(e, sealed, &value);
        for (size_t g = 0; g < array_len(times); g++)
            for (size_t c = 0; c < array_len(clocks); c++)
                check_gap(e, sealed, buf_span(&value), times[g], clocks[c]);
        buf_fini(&value);
    }
    entry_unref(e);
}

static void an_entry_lives_on_as_where_it_was_made(void **state)
{
    static const struct entry_parts cases[] = {
        {.lifetime_ms = 1000},
        {.lifetime_ms = 1000, .age_at_store_ms = 777},
        {.lifetime_ms = 1000, .while_ms = 500, .error_ms = 2000},
        {.lifetime_ms = 1000, .keep_ms = 60000},
        {.lifetime_ms = 1000, .while_ms = 100000, .keep_ms = 1000},
        {.lifetime_ms = 0, .keep_ms = 1000, .flags = FRESH_MUST_VALIDATE},
        {.lifetime_ms = 1000, .keep_ms = 1000, .flags = FRESH_MUST_VALIDATE},
        {.lifetime_ms = 0, .overdue_ms = 5000, .while_ms = 6000, .error_ms = 70000},
        {.lifetime_ms = 0, .overdue_ms = 5000, .keep_ms = 61000},
        {.lifetime_ms = 0, .overdue_ms = 700000, .error_ms = 800000},
        {.lifetime_ms = 61000, .while_ms = 1, .age_at_store_ms = 123456789},
    };
    struct cache_key key = test_key();
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct entry_parts parts = test_parts(&key);
        parts.lifetime_ms = cases[i].lifetime_ms;
        parts.overdue_ms = cases[i].overdue_ms;
        parts.while_ms = cases[i].while_ms;
        parts.error_ms = cases[i].error_ms;
        parts.keep_ms = cases[i].keep_ms;
        parts.age_at_store_ms = cases[i].age_at_store_ms;
        parts.flags = cases[i].flags;
        check_entry(&parts);
    }
}

static void the_longer_of_two_clocks_is_believed(void **state)
{
    enum { LIFE = 60000 + 30000, AGE_S = 1 };
    static const struct {
        uint64_t left_ms, transit_ms;
        int64_t clock_ms; /* the opener's, less the sealer's */
        uint64_t elapsed_ms;
    } cases[] = {
        {LIFE, 0, 0, 0},
        {LIFE - 1000, 0, 1000, 1000},
        {LIFE - 1000, 0, 0, 1000},         /* the opener's clock goes behind, */
        {LIFE - 1000, 0, -3600000, 1000},  /* far behind, */
        {LIFE - 1000, 0, INT64_MIN, 1000}, /* or is broken */
        {LIFE - 1000, 0, 5000, 5000},      /* or it goes ahead: older is the safe side */
        {LIFE, 0, 5000, 5000},             /* Redis was stopped, or restored */
        {LIFE + 5000, 0, 0, 0},            /* somebody has let it live longer */
        {LIFE + 5000, 0, 7000, 7000},
        {UINT64_MAX, 0, 0, 0}, /* no end at all */
        {LIFE - 1000, 30, 0, 1030},
        {LIFE, 30, 0, 30},
        {LIFE, 30, 1000, 1030},
        {0, 0, 0, UINT64_MAX},
        {LIFE, UINT64_MAX, 0, UINT64_MAX},
        {LIFE, 0, INT64_MAX - TEST_UNIX_MS, UINT64_MAX},
        {LIFE, 0, LIFE - 1, LIFE - 1},
        {LIFE, 1, LIFE - 1, UINT64_MAX}, /* over: not found */
    };
    struct cache_key key = test_key();
    struct entry_parts parts = test_parts(&key);
    struct entry *e = entry_of(&parts);
    struct buf value;
    (void)state;
    test_seal(e, TEST_STORED, &value);
    for (size_t i = 0; i < array_len(cases); i++) {
        struct value_time t = {.left_ms = cases[i].left_ms,
                               .transit_ms = cases[i].transit_ms,
                               .now = 10,
                               .unix_ms = cases[i].clock_ms == INT64_MIN
                                              ? INT64_MIN
                                              : TEST_UNIX_MS + cases[i].clock_ms};
        struct entry *o = NULL;
        enum err_code rc = value_open(&test_context, buf_span(&value), &key, 0, 0, &t, &o);
        if (rc != (cases[i].elapsed_ms == UINT64_MAX ? ERR_NOT_FOUND : ERR_OK))
            fail_msg("case %zu: %s", i, err_name(rc));
        if (rc)
            continue;
        uint64_t age_s = (parts.age_at_store_ms + cases[i].elapsed_ms) / 1000;
        if (entry_age_s(o, 10) != age_s || entry_over_ms(o) != 10 + LIFE - cases[i].elapsed_ms)
            fail_msg("case %zu", i);
        assert_int_equal(o->known_mono_ms, cases[i].transit_ms < 10 ? 10 - cases[i].transit_ms : 1);
        entry_unref(o);
    }
    entry_unref(e);
    buf_fini(&value);
}

static void what_is_stale_by_an_invalidation_or_over_is_not_worth_it(void **state)
{
    struct cache_key key = test_key();
    struct entry_parts parts = test_parts(&key);
    struct entry *e = entry_of(&parts);
    (void)state;
    assert_int_equal(value_life_ms(e, TEST_STORED), 90000);
    assert_int_equal(value_life_ms(e, TEST_STORED + 60000), 30000);
    assert_int_equal(value_life_ms(e, TEST_STORED + 89999), 1);
    assert_int_equal(value_life_ms(e, TEST_STORED + 90000), 0);
    assert_int_equal(value_life_ms(e, TEST_STORED + 99999), 0);
    e->soft_ms = TEST_STORED;
    assert_int_equal(value_life_ms(e, TEST_STORED), 0);
    entry_unref(e);
}

/* --- what is no value --- */

/* In a block of its own size, so that a sanitizer sees each byte read too far. */
static enum err_code open_copy(const struct value_context *c, struct span bytes,
                               const struct cache_key *key)
{
    char *block = malloc(bytes.len ? bytes.len : 1);
    struct value_time t = {.left_ms = 90000, .now = TEST_STORED, .unix_ms = TEST_UNIX_MS};
    struct entry *e = NULL;
    assert_non_null(block);
    if (bytes.len)
        memcpy(block, bytes.p, bytes.len);
    enum err_code rc = value_open(c, span_of(block, bytes.len), key, 0, 0, &t, &e);
    assert_int_equal(rc == ERR_OK, e != NULL);
    entry_unref(e);
    free(block);
    return rc;
}

static void each_changed_byte_and_each_cut_is_refused(void **state)
{
    struct cache_key key = test_key();
    struct entry_parts parts = test_parts(&key);
    struct entry *e = entry_of(&parts);
    struct buf value;
    (void)state;
    test_seal(e, TEST_STORED, &value);
    assert_int_equal(open_copy(&test_context, buf_span(&value), &key), ERR_OK);
    for (size_t i = 0; i < value.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            value.p[i] ^= (char)(1 << bit);
            assert_int_equal(open_copy(&test_context, buf_span(&value), &key), ERR_SYNTAX);
            value.p[i] ^= (char)(1 << bit);
        }
        assert_int_equal(open_copy(&test_context, span_of(value.p, i), &key), ERR_SYNTAX);
        assert_int_equal(
            open_copy(&test_context, span_of(value.p + i + 1, value.len - i - 1), &key),
            ERR_SYNTAX);
    }
    buf_add_char(&value, '\0');
    assert_int_equal(open_copy(&test_context, buf_span(&value), &key), ERR_SYNTAX);
    entry_unref(e);
    buf_fini(&value);
}

static void what_another_route_secret_or_key_made_is_refused(void **state)
{
    static const uint8_t other[VALUE_FINGERPRINT] = "0123456789abcdf";
    struct value_context c[] = {test_context, test_context, test_context, test_context};
    struct cache_key key = test_key(), keys[3];
    struct entry_parts parts = test_parts(&key);
    struct entry *e = entry_of(&parts);
    struct buf value;
    uint8_t name[VALUE_NAME], another[VALUE_NAME];
    (void)state;
    c[0].secret = SPAN_LIT("0123456789abcdeF");
    c[1].route_name = SPAN_LIT("course");
    c[2].fingerprint = other;
    cache_key_init_variant(&keys[0], SPAN_LIT("courses:id=2|en"), 12);
    cache_key_init_variant(&keys[1], SPAN_LIT("courses:id=1|en"), 11);
    cache_key_init_variant(&keys[2], SPAN_LIT("courses:id=1"), 12);
    test_seal(e, TEST_STORED, &value);
    value_name(&test_context, &key, name);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(open_copy(&c[i], buf_span(&value), &key), ERR_SYNTAX);
        value_name(&c[i], &key, another);
        assert_memory_not_equal(name, another, sizeof(name));
        assert_int_equal(open_copy(&test_context, buf_span(&value), &keys[i]), ERR_SYNTAX);
        value_name(&test_context, &keys[i], another);
        assert_memory_not_equal(name, another, sizeof(name));
    }
    value_name(&c[3], &key, another);
    assert_memory_equal(name, another, sizeof(name));
    entry_unref(e);
    buf_fini(&value);
}

static void what_is_over_the_limit_is_neither_made_nor_taken(void **state)
{
    struct cache_key key = test_key();
    struct entry_parts parts = test_parts(&key);
    struct entry *e = entry_of(&parts);
    struct value_context c = test_context;
    struct buf value, kept;
    (void)state;
    test_seal(e, TEST_STORED, &value);
    buf_init(&kept, 1 << 20);
    buf_add_str(&kept, "kept");
    c.max_bytes = value.len;
    assert_int_equal(value_seal(&c, e, &test_stamp, TEST_STORED, TEST_UNIX_MS, 1, &kept), ERR_OK);
    assert_int_equal(kept.len, 4 + value.len);
    assert_int_equal(open_copy(&c, buf_span(&value), &key), ERR_OK);
    c.max_bytes--;
    assert_int_equal(value_seal(&c, e, &test_stamp, TEST_STORED, TEST_UNIX_MS, 1, &kept),
                     ERR_TOO_LARGE);
    assert_int_equal(kept.len, 4 + value.len);
    assert_int_equal(open_copy(&c, buf_span(&value), &key), ERR_TOO_LARGE);
    buf_fini(&kept);

    for (size_t limit = 4; limit < 4 + value.len; limit++) { /* of the buffer */
        buf_init(&kept, limit);
        buf_add_str(&kept, "kept");
        assert_int_equal(
            value_seal(&test_context, e, &test_stamp, TEST_STORED, TEST_UNIX_MS, 1, &kept),
            ERR_TOO_LARGE);
        assert_int_equal(kept.len, 4);
        buf_fini(&kept);
    }
    entry_unref(e);
    buf_fini(&value);
}

/* --- compression --- */

enum { BODY = 100000 };

static char *body_of(bool is_random)
{
    char *body = malloc(BODY);
    assert_non_null(body);
    memset(body, 'x', BODY);
    if (is_random)
        random_bytes(body, BODY);
    return body;
}

static size_t sealed_bytes(const struct value_context *c, const struct entry *e)
{
    struct buf value;
    buf_init(&value, 1 << 20);
    assert_int_equal(value_seal(c, e, &test_stamp, TEST_STORED, TEST_UNIX_MS,
                                value_life_ms(e, TEST_STORED), &value),
                     ERR_OK);
    struct value_time t = test_time(e, TEST_STORED);
    struct entry *o = NULL;
    assert_int_equal(value_open(c, buf_span(&value), &e->key, 0, 0, &t, &o), ERR_OK);
    assert_same(e, o);
    size_t len = value.len;
    entry_unref(o);
    buf_fini(&value);
    return len;
}

static void a_body_is_packed_where_that_helps(void **state)
{
    static const struct {
        bool is_random, has_encoding, is_packed;
        size_t body_len, compress_bytes;
    } cases[] = {
        {false, false, true, BODY, 100},  {false, false, true, 1000, 100},
        {false, false, true, 100, 100},   {false, false, false, 99, 100},
        {false, false, false, BODY, 0},   {false, true, false, BODY, 100},
        {true, false, false, BODY, 100},  {true, false, false, 1000, 100},
        {false, false, false, 1, 1},      {false, false, false, 0, 1},
        {false, false, true, BODY, BODY}, {false, false, false, BODY, BODY + 1},
    };
    struct cache_key key = test_key();
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        char *body = body_of(cases[i].is_random);
        struct entry_parts parts = test_parts(&key);
        struct value_context c = test_context;
        c.compress_bytes = cases[i].compress_bytes;
        parts.body = span_of(body, cases[i].body_len);
        parts.head = cases[i].has_encoding
                         ? SPAN_LIT("HTTP/1.1 200 OK\r\nA: b\r\nCONTENT-encoding: br\r\n")
                         : SPAN_LIT("HTTP/1.1 200 OK\r\nA: content-encoding: br\r\n");
        parts.length_line_len = 0;
        struct entry *e = entry_of(&parts);
        size_t len = sealed_bytes(&c, e);
        c.compress_bytes = 0;
        bool is_smaller = len < sealed_bytes(&c, e);
        if (is_smaller != cases[i].is_packed)
            fail_msg("case %zu", i);
        entry_unref(e);
        free(body);
    }
}

static void a_packed_body_counts_as_large_as_it_is(void **state)
{
    struct cache_key key = test_key();
    char *body = body_of(false);
    struct entry_parts parts = test_parts(&key);
    struct value_context c = test_context;
    struct buf value;
    (void)state;
    parts.body = span_of(body, BODY);
    parts.length_line_len = 0;
    parts.head = SPAN_LIT("HTTP/1.1 200 OK\r\n");
    struct entry *e = entry_of(&parts);
    test_seal(e, TEST_STORED, &value);
    assert_true(value.len < BODY / 2);
    c.max_bytes = BODY - 1;
    assert_int_equal(open_copy(&c, buf_span(&value), &key), ERR_TOO_LARGE);
    buf_reset(&value);
    assert_int_equal(value_seal(&c, e, &test_stamp, TEST_STORED, TEST_UNIX_MS, 1, &value),
                     ERR_TOO_LARGE);
    buf_fini(&value);
    entry_unref(e);
    free(body);
}

/* --- what only a holder of the secret can have written --- */

/* An entry whose parts are not what larder makes: it is sealed as it is, and refused. */
static void assert_refused(const struct entry_parts *parts, const char *what)
{
    struct entry *e = entry_of(parts);
    struct buf value;
    buf_init(&value, 1 << 20);
    assert_int_equal(
        value_seal(&test_context, e, &test_stamp, TEST_STORED, TEST_UNIX_MS, 90000, &value),
        ERR_OK);
    if (open_copy(&test_context, buf_span(&value), parts->key) != ERR_SYNTAX)
        fail_msg("%s is taken", what);
    buf_fini(&value);
    entry_unref(e);
}

static void what_no_entry_can_be_made_of_is_refused_behind_its_seal(void **state)
{
    static const char *const heads[] = {"",
                                        "HTTP/1.1 200 OK",
                                        "HTTP/1.1 200 OK\n",
                                        "HTTP/1.1 200 OK\r\n\r\n",
                                        "HTTP/1.1 200 OK\r\n\r\nA: b\r\n",
                                        "HTTP/1.1 200 OK\r\nA: b\n",
                                        "HTTP/1.1 200 OK\r\nA: \rb\r\n",
                                        "\r\nHTTP/1.1 200 OK\r\n",
                                        "HTTP/2 200\r\n"};
    struct cache_key key = test_key();
    struct entry_parts parts = test_parts(&key);
    (void)state;
#define REFUSED(change)                                                                            \
    parts = test_parts(&key);                                                                      \
    change;                                                                                        \
    assert_refused(&parts, #change)
    for (size_t i = 0; i < array_len(heads); i++) {
        REFUSED(parts.head = span_str(heads[i]); parts.length_line_len = 0);
        if (i == 0 || i == array_len(heads) - 1)
            continue;
        REFUSED(parts.head_304 = span_str(heads[i]));
        REFUSED(parts.hidden = span_str(heads[i]));
    }
    REFUSED(parts.head = SPAN_LIT("HTTP/1.1 200 OK\r\nA: \0b\r\n"); parts.length_line_len = 0);
    REFUSED(parts.status = 199);
    REFUSED(parts.status = 600);
    REFUSED(parts.flags = 8);
    REFUSED(parts.length_line_len = 1);
    REFUSED(parts.length_line_len = 18);
    REFUSED(parts.length_line_len = UINT32_MAX);
    REFUSED(parts.length_line_len = sizeof(TEST_HEAD) - 1);
    REFUSED(parts.body = SPAN_LIT("12345")); /* the head says 4 */
    REFUSED(parts.last_modified_unix_s = -2);
    REFUSED(parts.target = SPAN_LIT("/a b"));
    REFUSED(parts.target = SPAN_LIT("/a\r\nb"));
    REFUSED(parts.host = SPAN_LIT("a\nb"));
    REFUSED(parts.host = SPAN_LIT("a\x7f"));
    REFUSED(parts.etag = SPAN_LIT("\"a\r\n\""));
    REFUSED(parts.tag_text = SPAN_LIT("org:1"));
    REFUSED(parts.kind = ENTRY_VARY); /* with a head */
    parts = test_parts(&key);
    struct entry *e = entry_of(&parts);
    struct buf value;
    test_seal(e, TEST_STORED, &value); /* and as it should be it is taken */
    assert_int_equal(open_copy(&test_context, buf_span(&value), &key), ERR_OK);
    buf_fini(&value);
    entry_unref(e);
}

/* What is behind the seal, to be changed and sealed anew. */
struct record {
    struct cache_key key;
    char context[64];
    struct seal_key seal;
    struct buf value, text;
    size_t clear_len;
};

static void record_open(struct record *r, const struct entry *e)
{
    uint8_t name[VALUE_NAME];
    struct buf context;
    r->key = test_key();
    buf_init_fixed(&context, r->context, sizeof(r->context));
    buf_add_str(&context, "larder value");
    value_name(&test_context, &r->key, name);
    buf_add(&context, name, sizeof(name));
    r->seal = (struct seal_key){.secret = test_context.secret, .context = buf_span(&context)};
    r->clear_len = 30 + e->tag_count * 8;
    test_seal(e, TEST_STORED, &r->value);
    buf_init(&r->text, 1 << 20);
    assert_int_equal(seal_open(&r->seal, span_of(r->value.p, r->clear_len),
                               span_of(r->value.p + r->clear_len, r->value.len - r->clear_len),
                               &r->text),
                     ERR_OK);
}

static void record_close(struct record *r)
{
    buf_fini(&r->value);
    buf_fini(&r->text);
}

static enum err_code record_try(struct record *r, struct span text)
{
    struct buf value;
    buf_init(&value, 1 << 21);
    buf_add(&value, r->value.p, r->clear_len);
    assert_int_equal(seal_add(&r->seal, span_of(r->value.p, r->clear_len), text, &value), ERR_OK);
    enum err_code rc = open_copy(&test_context, buf_span(&value), &r->key);
    buf_fini(&value);
    return rc;
}

/* Each single byte of what is sealed changed or cut, and sealed anew: nothing is read too far. */
static void a_record_with_any_byte_changed_is_read_in_bounds(void **state)
{
    struct cache_key key = test_key();
    struct entry_parts parts = test_parts(&key);
    struct entry *e = entry_of(&parts);
    struct record r;
    (void)state;
    record_open(&r, e);
    for (size_t i = 0; i < r.text.len; i++) {
        assert_int_equal(record_try(&r, span_of(r.text.p, i)), ERR_SYNTAX);
        for (unsigned bit = 0; bit < 9; bit++) {
            r.text.p[i] ^= (char)(bit < 8 ? 1 << bit : 0xff);
            enum err_code rc = record_try(&r, buf_span(&r.text));
            assert_true(rc == ERR_SYNTAX || rc == ERR_NOT_FOUND || rc == ERR_OK);
            r.text.p[i] ^= (char)(bit < 8 ? 1 << bit : 0xff);
        }
    }
    assert_int_equal(record_try(&r, buf_span(&r.text)), ERR_OK);
    buf_add_char(&r.text, '\0');
    assert_int_equal(record_try(&r, buf_span(&r.text)), ERR_SYNTAX);
    record_close(&r);
    entry_unref(e);
}

static void a_packed_body_that_is_not_as_long_as_told_is_refused(void **state)
{
    enum { BODY_LEN_AT = 14 };
    struct cache_key key = test_key();
    char *body = body_of(false);
    struct entry_parts parts = test_parts(&key);
    struct record r;
    (void)state;
    parts.body = span_of(body, 1000);
    parts.length_line_len = 0;
    parts.head = SPAN_LIT("HTTP/1.1 200 OK\r\n");
    struct entry *e = entry_of(&parts);
    record_open(&r, e);
    assert_true(r.value.len < 1000);
    assert_memory_equal(r.text.p + BODY_LEN_AT, "\0\0\x03\xe8", 4);
    for (int by = -1; by <= 1; by++) {
        r.text.p[BODY_LEN_AT + 3] = (char)(0xe8 + by);
        assert_int_equal(record_try(&r, buf_span(&r.text)), by ? ERR_SYNTAX : ERR_OK);
    }
    r.text.p[BODY_LEN_AT] = 1; /* 16 MiB */
    assert_int_equal(record_try(&r, buf_span(&r.text)), ERR_TOO_LARGE);
    record_close(&r);
    entry_unref(e);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_an_entry_comes_out_again),
        cmocka_unit_test(a_marker_comes_out_again_and_one_of_passing_never),
        cmocka_unit_test(what_the_script_reads_stands_in_clear),
        cmocka_unit_test(an_entry_lives_on_as_where_it_was_made),
        cmocka_unit_test(the_longer_of_two_clocks_is_believed),
        cmocka_unit_test(what_is_stale_by_an_invalidation_or_over_is_not_worth_it),
        cmocka_unit_test(each_changed_byte_and_each_cut_is_refused),
        cmocka_unit_test(what_another_route_secret_or_key_made_is_refused),
        cmocka_unit_test(what_is_over_the_limit_is_neither_made_nor_taken),
        cmocka_unit_test(a_body_is_packed_where_that_helps),
        cmocka_unit_test(a_packed_body_counts_as_large_as_it_is),
        cmocka_unit_test(what_no_entry_can_be_made_of_is_refused_behind_its_seal),
        cmocka_unit_test(a_record_with_any_byte_changed_is_read_in_bounds),
        cmocka_unit_test(a_packed_body_that_is_not_as_long_as_told_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
