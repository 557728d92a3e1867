/* What the cache needs to know of a request: may its answer be shared, under which key and tags. */
#include "flow-internal.h"

#include <larder/flow/purge.h>
#include <larder/http/range.h>
#include <larder/http/reuse.h>
#include <larder/http/vary.h>

/* Credentials of which neither the key nor the route says whose they are. */
static enum reason judge_credentials(const struct route *r, const struct head *h)
{
    if (r->fresh.is_http && r->identity == IDENTITY_UNSTATED)
        return REASON_NONE; /* the app says it: private, Vary; see lookup_is_personal() */
    unsigned open = route_open_credentials(r, h);
    if (!open || r->identity == IDENTITY_NONE)
        return REASON_NONE;
    if (r->identity == IDENTITY_KEYED && route_has_identity(r, h))
        return REASON_NONE;
    if (open & CREDENTIAL_AUTHORIZATION)
        return REASON_AUTHORIZATION;
    return open & CREDENTIAL_COOKIE ? REASON_COOKIE : REASON_API_KEY;
}

enum reason lookup_may_share(const struct shared *s, const struct route *r, const struct head *h)
{
    if (!r->cached)
        return REASON_NOT_CACHED;
    if (atomic_load_explicit(&s->switches[r->index].is_off, memory_order_relaxed))
        return REASON_SWITCHED_OFF;
    if (h->has_upgrade)
        return REASON_UPGRADE;
    bool is_question = h->method == METHOD_POST || h->method == METHOD_QUERY;
    if (h->method != METHOD_GET && h->method != METHOD_HEAD && (!is_question || r->fresh.is_http))
        return REASON_METHOD;
    /* RFC 9110 section 13.1: whether they hold is the app's to say */
    if (head_field(h, FIELD_IF_MATCH) || head_field(h, FIELD_IF_UNMODIFIED_SINCE))
        return REASON_CONDITION;
    return judge_credentials(r, h);
}

bool lookup_is_personal(const struct route *r, const struct head *h)
{
    return r->fresh.is_http && r->identity == IDENTITY_UNSTATED &&
           route_open_credentials(r, h) & ~(unsigned)CREDENTIAL_COOKIE;
}

bool lookup_has_cookies(const struct route *r, const struct head *h)
{
    return r->fresh.is_http && r->identity == IDENTITY_UNSTATED &&
           route_open_credentials(r, h) & CREDENTIAL_COOKIE;
}

/* Which names an entry varies by is in its key: behind the primary part. */
static bool is_keyed_by_origin(const struct entry *e)
{
    struct span rest =
        span_of(e->key.text.p + e->key.primary_len, e->key.text.len - e->key.primary_len);
    const char *at = rest.len ? memmem(rest.p, rest.len, "|origin", 7) : NULL;
    const char *end = at ? at + 7 : NULL; /* names are sorted: "|origin-x" comes behind it */
    return at && (end == rest.p + rest.len || *end == '|' || *end == '=');
}

bool lookup_knows_origin(const struct head *h, const struct entry *e)
{
    return e->is_for_any_origin || !head_field(h, FIELD_ORIGIN) || is_keyed_by_origin(e);
}

bool lookup_may_reuse(const struct route *r, const struct head *h, const struct entry *e,
                      mono_ms now)
{
    if (!r->fresh.is_http)
        return true;
    struct cache_control cc = {.flags = 0};
    enum entry_use use = entry_use_at(e, now);
    struct reuse_facts facts = {.age_s = entry_age_s(e, now),
                                .ttl_s = entry_ttl_s(e, now),
                                .is_fresh = use == ENTRY_FRESH || use == ENTRY_STALE_WHILE,
                                .flags = e->flags};
    if (!(e->flags & FRESH_FOR_AUTHORIZED) && lookup_is_personal(r, h))
        return false;
    if (!r->request_cc_ignored)
        reuse_request_parse(h, &cc);
    return reuse_is_allowed(&cc, &facts);
}

struct route_request lookup_request(const struct shared *s, const struct lookup *l,
                                    const struct head *h, struct span body, const struct json *json)
{
    return (struct route_request){.head = h,
                                  .captures = &l->captures,
                                  .body = body,
                                  .body_json = json,
                                  .secret = s->config->secret,
                                  .now_unix_s = unix_now_ms() / 1000};
}

bool lookup_is_https(const struct config *c, const struct head *h, const struct gate *g)
{
    const struct field *proto = head_field(h, FIELD_X_FORWARDED_PROTO);
    if (proto && cidr_contains(c->trusted, c->trusted_count, gate_peer_addr(g)))
        return span_eq_nocase(proto->value, SPAN_LIT("https"));
    return gate_is_tls(g);
}

enum key_result lookup_build_key(const struct shared *s, struct lookup *l, const struct head *h,
                                 struct span body, const struct json *json, char *block,
                                 size_t block_len)
{
    struct route_request req = lookup_request(s, l, h, body, json);
    buf_init_fixed(&l->key_text, block, block_len);
    enum key_result rc = route_key_build(l->route, &req, &l->key_text, NULL, NULL, &l->why);
    /* RFC 9111 section 2: the target URI, with its scheme; no part of what people see */
    if (l->is_https && l->route->fresh.is_http)
        buf_add_str(&l->key_text, "\x1fhttps");
    if (rc == KEY_OK && l->key_text.failed)
        return KEY_BYPASS;
    if (rc == KEY_OK)
        cache_key_init(&l->key, buf_span(&l->key_text));
    return rc;
}

/* --- tags --- */

struct tagging {
    struct values *values;
    struct lookup *l;
};

static bool is_counted(const struct route *r, struct span label)
{
    for (unsigned i = 0; i < r->stats_by_count; i++)
        if (span_eq(r->stats_by[i], label))
            return true;
    return !r->stats_by;
}

static void count_by(struct tagging *t, struct span text)
{
    struct lookup *l = t->l;
    if (l->value_count == ENTRY_VALUES_MAX)
        return;
    uint16_t number = values_number(t->values, text);
    for (unsigned i = 0; i < l->value_count; i++)
        if (l->value[i] == number)
            return;
    l->value[l->value_count++] = number;
}

/* "courses|organization_id=123" is counted as "organization_id=123", whatever route it is of. */
static void on_implicit_tag(void *arg, struct span tag)
{
    struct tagging *t = arg;
    struct span pair, value, label;
    tag_set_add(&t->l->tags, tag, false);
    (void)span_split(tag, '|', &pair);
    if (!pair.p)
        return;
    label = span_split(pair, '=', &value);
    const struct param *p = route_param(t->l->route, label);
    if (p && !p->secret && is_counted(t->l->route, label))
        count_by(t, pair);
}

static void on_tag(void *arg, struct span tag)
{
    struct tagging *t = arg;
    tag_set_add(&t->l->tags, tag, true);
    count_by(t, tag);
}

static void add_own_tags(struct tagging *t, const struct head *h)
{
    char block[KEY_BYTES_MAX + 64];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    purge_key_tag_format(cache_key_readable(&t->l->key), &text);
    tag_set_add(&t->l->tags, buf_span(&text), false);
    bool has_failed = text.failed;
    buf_init_fixed(&text, block, sizeof(block));
    purge_path_tag_format(h->path, &text);
    tag_set_add(&t->l->tags, buf_span(&text), false);
    t->l->tags.is_full |= has_failed || text.failed;
}

void lookup_tags(const struct shared *s, struct lookup *l, const struct head *h, struct span body,
                 const struct json *json)
{
    struct tagging t = {.values = s->values, .l = l};
    struct route_request req = lookup_request(s, l, h, body, json);
    struct template_source source = {.request = &req};
    char block[KEY_BYTES_MAX];
    struct buf again; /* the key anew: its tags fall out of the making */
    const char *why;
    tag_set_init(&l->tags);
    l->value_count = 0;
    buf_init_fixed(&again, block, sizeof(block));
    if (route_key_build(l->route, &req, &again, on_implicit_tag, &t, &why) != KEY_OK)
        l->tags.is_full = true;
    add_own_tags(&t, h);
    for (unsigned i = 0; i < l->route->tag_count; i++) {
        const struct text_template *tag = &l->route->tags[i];
        if (!tag->has_response && template_fill(tag, &source, on_tag, &t) < 0)
            l->tags.is_full = true; /* an answer without its tag could not be taken back */
    }
}

static bool variant_key(const struct lookup *l, const struct head *h, struct span names,
                        struct span language, struct buf *text, struct cache_key *ret_key)
{
    struct vary_rules rules = {.is_https = l->is_https,
                               .is_any_language_order = l->route->is_any_language_order,
                               .language = language};
    buf_add_span(text, l->key.text);
    buf_add_char(text, '\x1e'); /* cannot stand in a primary key: values are escaped */
    vary_key(h, names, &rules, text);
    if (text->failed)
        return false;
    cache_key_init_variant(ret_key, buf_span(text), l->key.primary_len);
    return true;
}

bool lookup_variant_key(const struct lookup *l, const struct head *h, struct span names,
                        struct buf *text, struct cache_key *ret_key)
{
    return variant_key(l, h, names, span_of(NULL, 0), text, ret_key);
}

struct entry *lookup_marker(struct worker *w, const struct cache_key *primary)
{
    struct entry *e = NULL;
    if (store_peek(w->store, primary, mono_now_ms(), &e) != STORE_VARY)
        entry_unref(take(e));
    return e;
}

bool lookup_language_key(const struct lookup *l, const struct head *h, struct span names,
                         struct span language, struct buf *text, struct cache_key *ret_key)
{
    struct span names_all = names;
    const struct field *f = head_field(h, FIELD_ACCEPT_LANGUAGE);
    struct span name;
    if (!f || field_is_hop_by_hop(h, f)) /* to the app it is absent */
        return false;
    while (field_list_next(&names, &name))
        if (span_eq(name, SPAN_LIT("accept-language")))
            return variant_key(l, h, names_all, language, text, ret_key);
    return false;
}

bool lookup_part_key(const struct lookup *l, const struct head *h, struct buf *text,
                     struct cache_key *ret_key)
{
    buf_add_span(text, l->key.text);
    buf_add_char(text, '\x1d'); /* cannot stand in a primary key: values are escaped */
    if (!range_key(h, text))
        return false;
    cache_key_init_variant(ret_key, buf_span(text), l->key.primary_len);
    return true;
}

typedef enum store_result (*look_fn)(struct store *, const struct cache_key *, mono_ms,
                                     struct entry **);

/* An answer in the language that the request likes best, whatever else it would take. */
static enum store_result find_by_language(struct worker *w, const struct lookup *l,
                                          const struct head *h, struct span names, look_fn look,
                                          struct entry **ret_entry)
{
    char language_block[64], block[KEY_BYTES_MAX];
    struct buf language, text;
    struct cache_key key;
    struct entry *alias = NULL;
    mono_ms now = mono_now_ms();
    buf_init_fixed(&language, language_block, sizeof(language_block));
    buf_init_fixed(&text, block, sizeof(block));
    if (!head_field(h, FIELD_ACCEPT_LANGUAGE) || !vary_best_language(h, &language) ||
        !lookup_language_key(l, h, names, buf_span(&language), &text, &key) ||
        store_peek(w->store, &key, now, &alias) != STORE_VARY) {
        entry_unref(alias);
        return STORE_MISS;
    }
    struct entry *e = NULL;
    cache_key_init_variant(&key, alias->body, l->key.primary_len);
    enum store_result rc = look(w->store, &key, now, &e);
    entry_unref(alias);
    /* its variant may have been brought again in another language since */
    if (e && !span_eq_nocase(validate_stored_field(e, SPAN_LIT("content-language")),
                             buf_span(&language))) {
        entry_unref(e);
        return STORE_MISS;
    }
    *ret_entry = e;
    return rc;
}

/* Behind a marker: the variant of this request. */
static enum store_result find_variant(struct worker *w, const struct lookup *l,
                                      const struct head *h, struct span names, look_fn look,
                                      struct entry **ret_entry)
{
    struct buf text;
    struct cache_key key;
    buf_init_fixed(&text, w->vary_block, sizeof(w->vary_block));
    if (!lookup_variant_key(l, h, names, &text, &key))
        return STORE_MISS;
    enum store_result rc = look(w->store, &key, mono_now_ms(), ret_entry);
    return rc == STORE_MISS ? find_by_language(w, l, h, names, look, ret_entry) : rc;
}

enum store_result lookup_find(struct worker *w, const struct lookup *l, const struct head *h,
                              enum lookup_depth depth, struct entry **ret_entry)
{
    struct entry *e = NULL, *marker;
    look_fn look = depth == LOOKUP_KEPT ? store_peek : store_lookup;
    enum store_result rc = look(w->store, &l->key, mono_now_ms(), &e);
    if (rc == STORE_VARY) {
        marker = take(e);
        rc = find_variant(w, l, h, marker->body, look, &e);
        entry_unref(marker);
        if (rc == STORE_VARY) { /* an answer never stands behind two markers */
            entry_unref(e);
            return STORE_MISS;
        }
    }
    if (rc == STORE_HIT || rc == STORE_STALE || rc == STORE_KEPT)
        *ret_entry = e;
    return rc;
}

void count_values(struct worker *w, const uint16_t *numbers, unsigned count,
                  enum value_counter what, uint64_t us)
{
    for (unsigned i = 0; i < count; i++) {
        struct value_counters *c = &w->values[numbers[i]];
        switch (what) {
        case VALUE_STALE:
        case VALUE_HIT:
            count_add(what == VALUE_HIT ? &c->hits : &c->stale, 1);
            count_add(&c->saved_us, us);
            break;
        case VALUE_COALESCED:
            count_add(&c->coalesced, 1);
            count_add(&c->misses, 1);
            break;
        case VALUE_MISS:
            count_add(&c->misses, 1);
            count_add(&c->upstream_us, us);
            break;
        }
    }
}
