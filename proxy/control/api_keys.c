/* GET /api/cache/keys: what is cached, sorted by key, page by page.
 * GET /api/cache/entry: one answer, with all that is known of it. */
#include "control-internal.h"

#include <larder/base/glob.h>

#include <stdlib.h>

struct wanted {
    const struct call *call;
    struct span glob;
    int route; /* -1: any */
};

struct collected {
    struct entry **entries;
    size_t count, cap;
    const struct wanted *wanted;
    bool failed;
};

static bool on_entry(void *arg, struct entry *e)
{
    struct collected *all = arg;
    const struct wanted *w = all->wanted;
    if ((w->route >= 0 && e->route != w->route) || !access_may_see(w->call, e))
        return true;
    if (all->count == all->cap) {
        size_t cap = all->cap ? all->cap * 2 : 256;
        struct entry **grown = realloc(all->entries, cap * sizeof(struct entry *));
        if (!grown) {
            all->failed = true;
            return false;
        }
        all->entries = grown;
        all->cap = cap;
    }
    all->entries[all->count++] = entry_ref(e);
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    size_t n = x->key.text.len < y->key.text.len ? x->key.text.len : y->key.text.len;
    int rc = memcmp(x->key.text.p, y->key.text.p, n);
    return rc ? rc : (x->key.text.len > y->key.text.len) - (x->key.text.len < y->key.text.len);
}

static const char *use_name(const struct entry *e, mono_ms now)
{
    switch (entry_use_at(e, now)) {
    case ENTRY_FRESH:
        return "fresh";
    case ENTRY_STALE_WHILE:
        return "stale-while-revalidate";
    case ENTRY_STALE_ERROR:
        return "stale-if-error";
    default:
        return "over";
    }
}

static void write_figures(struct json_writer *w, const struct call *c, const struct entry *e,
                          mono_ms now)
{
    json_write_span(w, "key", cache_key_readable(&e->key));
    json_write_span(w, "route", c->control->shared->config->routes[e->route].name);
    json_write_u64(w, "status", e->status);
    json_write_str(w, "state", use_name(e, now));
    json_write_u64(w, "age_s", entry_age_s(e, now));
    json_write_i64(w, "ttl_s", entry_ttl_s(e, now));
    json_write_u64(w, "bytes", e->bytes);
    json_write_u64(w, "hits", e->hits);
}

static bool test_glob(void *arg, const struct cache_key *key, struct span target,
                      struct span tag_text)
{
    const struct wanted *w = arg;
    (void)target;
    (void)tag_text;
    return !w->glob.len || glob_match(w->glob, cache_key_readable(key));
}

static void write_page(struct call *c, struct collected *all, uint64_t offset, uint64_t limit)
{
    mono_ms now = mono_now_ms();
    struct json_writer w;
    if (all->count)
        qsort(all->entries, all->count, sizeof(struct entry *), by_key);
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_u64(&w, "total", all->count);
    json_write_u64(&w, "offset", offset);
    json_write_array(&w, "keys");
    for (size_t i = offset; i < all->count && i - offset < limit; i++) {
        json_write_object(&w, NULL);
        write_figures(&w, c, all->entries[i], now);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
}

static void collected_fini(struct collected *all)
{
    for (size_t i = 0; i < all->count; i++)
        entry_unref(all->entries[i]);
    free(all->entries);
}

bool api_keys(struct call *c)
{
    char glob_block[4096], route_block[128], tag_block[1100];
    struct buf glob_scratch, route_scratch, tag_scratch;
    uint64_t limit = 100, offset = 0, tag;
    buf_init_fixed(&glob_scratch, glob_block, sizeof(glob_block));
    buf_init_fixed(&route_scratch, route_block, sizeof(route_block));
    buf_init_fixed(&tag_scratch, tag_block, sizeof(tag_block));
    if (!call_query_number(c, "limit", 1000, &limit) ||
        !call_query_number(c, "offset", UINT32_MAX, &offset))
        return true;
    struct span name = call_query(c, "route", &route_scratch);
    struct span tag_text = call_query(c, "tag", &tag_scratch);
    const struct route *route = name.p ? call_find_route(c, name) : NULL;
    if (name.p && !route)
        return call_fail(c, 404, "unknown-route", "there is no route \"%.*s\"", CUT(name));
    struct wanted wanted = {.call = c,
                            .glob = call_query(c, "glob", &glob_scratch),
                            .route = route ? route->index : -1};
    struct collected all = {.wanted = &wanted};
    struct store_match match = {.kind = STORE_TEST, .test = test_glob, .arg = &wanted};
    if (tag_text.p) {
        tag = tag_of(tag_text);
        match.tags = &tag;
        match.tag_count = 1;
    }
    store_walk(c->control->shared->store, &match, mono_now_ms(), on_entry, &all);
    write_page(c, &all, offset, limit);
    collected_fini(&all);
    return all.failed ? call_fail_nomem(c) : true;
}

/* --- one entry --- */

static void write_tags(struct json_writer *w, const struct entry *e)
{
    json_write_array(w, "tags");
    for (struct span rest = e->tag_text; rest.p && rest.len;)
        json_write_span(w, NULL, span_split(rest, '\0', &rest));
    json_write_array_end(w);
}

static void write_body(struct json_writer *w, struct span body)
{
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    enum { DEPTH = 64 };
    if (json_parse(body, NULL, 0, DEPTH, &doc, NULL) != ERR_OK) {
        json_write_span(w, "body", body);
        return;
    }
    json_write_name(w, SPAN_LIT("body"));
    buf_add_span(w->out, body);
    w->need_comma = true;
}

/* Everything of the key behind the readable part, which tells variants and identities apart. */
static void write_variant(struct json_writer *w, const struct call *c, const struct entry *e,
                          bool with_body)
{
    mono_ms now = mono_now_ms();
    struct span readable = cache_key_readable(&e->key);
    json_write_object(w, NULL);
    write_figures(w, c, e, now);
    json_write_span(w, "variant",
                    span_of(e->key.text.p + readable.len, e->key.text.len - readable.len));
    json_write_i64(w, "stored_unix_ms", unix_now_ms() - (int64_t)(now - e->stored_mono_ms));
    json_write_u64(w, "lifetime_ms", e->lifetime_ms);
    json_write_u64(w, "stale_while_revalidate_ms", e->while_ms);
    json_write_u64(w, "stale_if_error_ms", e->error_ms);
    json_write_u64(w, "fetch_us", e->fetch_us);
    json_write_span(w, "target", e->target);
    json_write_span(w, "etag", e->etag);
    write_tags(w, e);
    json_write_span(w, "head", e->head);
    json_write_u64(w, "body_bytes", e->body.len);
    if (with_body)
        write_body(w, e->body);
    json_write_object_end(w);
}

/* The key that ?key= or ?url= names; false after call_fail(). */
static bool read_key(struct call *c, struct buf *key)
{
    char block[8192];
    struct buf scratch;
    buf_init_fixed(&scratch, block, sizeof(block));
    struct span text = call_query(c, "key", &scratch);
    if (text.p) {
        buf_add_span(key, text);
        return true;
    }
    text = call_query(c, "url", &scratch);
    bool is_only;
    enum err_code rc = ERR_NOT_FOUND;
    if (text.p)
        rc = explain_url_key(c->control->shared, text, key, &is_only);
    if (rc == ERR_OK && key->len)
        return true;
    if (rc == ERR_NOMEM)
        return !call_fail_nomem(c);
    return !call_fail(c, 400, "bad-value",
                      "write ?key=KEY, as /api/cache/keys lists them, or ?url=/path?query of a "
                      "cached route");
}

bool api_entry(struct call *c)
{
    char key_block[8192], tag_block[8300], body_block[16];
    struct buf key, tag, scratch;
    uint64_t hash;
    buf_init_fixed(&key, key_block, sizeof(key_block));
    buf_init_fixed(&tag, tag_block, sizeof(tag_block));
    buf_init_fixed(&scratch, body_block, sizeof(body_block));
    bool with_body = call_query(c, "body", &scratch).p != NULL;
    if (with_body && c->token && !(c->token->scopes & SCOPE_ADMIN))
        return call_fail(c, 403, "forbidden",
                         "bodies are shown to tokens with the scope \"admin\"");
    if (!read_key(c, &key))
        return true;
    purge_key_tag_format(buf_span(&key), &tag);
    hash = tag_of(buf_span(&tag));
    struct wanted wanted = {.call = c, .route = -1};
    struct collected all = {.wanted = &wanted};
    struct store_match match = {.kind = STORE_TEST, .tags = &hash, .tag_count = 1};
    store_walk(c->control->shared->store, &match, mono_now_ms(), on_entry, &all);
    if (all.count == 0) {
        collected_fini(&all);
        return call_fail(c, 404, "not-cached", "nothing is cached under \"%.*s\"",
                         CUT(buf_span(&key)));
    }
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_span(&w, "key", buf_span(&key));
    json_write_array(&w, "variants");
    for (size_t i = 0; i < all.count; i++)
        write_variant(&w, c, all.entries[i], with_body);
    json_write_array_end(&w);
    json_write_object_end(&w);
    collected_fini(&all);
    return true;
}
