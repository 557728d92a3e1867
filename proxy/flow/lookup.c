/* What the cache needs to know of a request: may its answer be shared, under which key and tags. */
#include "flow-internal.h"

#include <larder/http/vary.h>

static const char *const reason_names[REASON_COUNT] = {
    [REASON_NONE] = "",
    [REASON_NOT_CACHED] = "route-not-cached",
    [REASON_METHOD] = "method",
    [REASON_AUTHORIZATION] = "authorization",
    [REASON_COOKIE] = "cookie",
    [REASON_KEY] = "no-key",
    [REASON_BODY_TOO_LARGE] = "body-too-large-for-key",
    [REASON_ABSENT] = "absent",
    [REASON_EXPIRED] = "expired",
    [REASON_INVALIDATED] = "invalidated",
    [REASON_HIT_FOR_MISS] = "hit-for-miss",
    [REASON_WAITERS_FULL] = "waiters-full",
    [REASON_WAIT_TIMEOUT] = "wait-timeout",
    [REASON_UNSTORABLE] = "answer-not-shared",
    [REASON_UPGRADE] = "upgrade",
    [REASON_NOMEM] = "out-of-memory",
};

const char *reason_name(enum reason r)
{
    return reason_names[r];
}

static bool keys_by(const struct route *r, enum param_source source)
{
    for (unsigned i = 0; i < r->param_count; i++)
        if (r->params[i].source == source)
            return true;
    return false;
}

enum reason lookup_may_share(const struct route *r, const struct head *h)
{
    if (!r->cached)
        return REASON_NOT_CACHED;
    if (h->has_upgrade)
        return REASON_UPGRADE;
    if (h->method != METHOD_GET && h->method != METHOD_HEAD && h->method != METHOD_POST &&
        h->method != METHOD_QUERY)
        return REASON_METHOD;
    if (!r->fresh.share_authorized && head_field(h, FIELD_AUTHORIZATION) && !keys_by(r, PARAM_AUTH))
        return REASON_AUTHORIZATION;
    if (!r->share_cookies && head_field(h, FIELD_COOKIE) && !keys_by(r, PARAM_COOKIE))
        return REASON_COOKIE;
    return REASON_NONE;
}

static void on_tag(void *arg, struct span tag)
{
    struct lookup *l = arg;
    if (!tag_add(&l->tags, tag_of(tag)))
        l->tags_overflow = true;
}

enum key_result lookup_build_key(struct worker *w, struct lookup *l, const struct head *h,
                                 struct span body, const struct json *json, char *block,
                                 size_t block_len)
{
    struct route_request req = {.head = h,
                                .captures = &l->captures,
                                .body = body,
                                .body_json = json,
                                .secret = w->config->secret};
    buf_init_fixed(&l->key_text, block, block_len);
    l->tags.count = 0;
    l->tags_overflow = false;
    enum key_result rc = route_key_build(l->route, &req, &l->key_text, on_tag, l, &l->why);
    if (rc == KEY_OK && (l->key_text.failed || l->tags_overflow))
        return KEY_BYPASS;
    if (rc == KEY_OK)
        cache_key_init(&l->key, buf_span(&l->key_text));
    return rc;
}

bool lookup_variant_key(const struct lookup *l, const struct head *h, struct span names,
                        struct buf *text, struct cache_key *ret_key)
{
    buf_add_span(text, l->key.text);
    buf_add_char(text, '\x1e'); /* cannot stand in a primary key: values are escaped */
    vary_key(h, names, text);
    if (text->failed)
        return false;
    cache_key_init_variant(ret_key, buf_span(text), l->key.primary_len);
    return true;
}

enum store_result lookup_find(struct worker *w, const struct lookup *l, const struct head *h,
                              struct entry **ret_entry)
{
    mono_ms now = mono_now_ms();
    struct entry *e = NULL;
    enum store_result rc = store_lookup(w->store, &l->key, now, &e);
    if (rc == STORE_VARY) {
        struct buf text;
        struct cache_key key;
        buf_init_fixed(&text, w->vary_block, sizeof(w->vary_block));
        bool is_key = lookup_variant_key(l, h, e->body, &text, &key);
        entry_unref(e);
        e = NULL;
        rc = is_key ? store_lookup(w->store, &key, now, &e) : STORE_MISS;
        if (rc == STORE_VARY) { /* a marker never stands under a variant's key */
            entry_unref(e);
            return STORE_MISS;
        }
    }
    if (rc == STORE_HIT)
        *ret_entry = e;
    return rc;
}
