/* What is stored without a flight: an answer to a POST that says it is the target's own (RFC 9110
 * section 9.3.3), copied while it streams by, and a stored answer that a HEAD has brought news of
 * (RFC 9111 section 4.3.5). It stays with this instance: what a POST brings is older than the
 * invalidations that it makes, and other instances could not tell it from what those mean. */
#include "flow.h"

#include <larder/http/vary.h>

#include <stdlib.h>

struct keep {
    struct evbuffer *body; /* a copy of what has gone by */
    struct head head;      /* the request, as a GET */
    struct lookup l;       /* of that GET */
    struct freshness fresh;
    mono_ms head_mono_ms;
    uint64_t began;        /* number of the last invalidation: the POST's own counts as before */
    uint64_t passed_began; /* ... and when the POST went to the app */
    mono_ms passed_mono_ms;
    char key_block[KEY_BYTES_MAX];
};

void keep_free(struct keep *k)
{
    if (!k)
        return;
    if (k->body)
        evbuffer_free(k->body);
    free(k);
}

/* Is Content-Location the request's own target, as a path or behind our own origin? */
static bool is_own_location(const struct head *request, const struct head *response)
{
    const struct field *f = head_field(response, FIELD_CONTENT_LOCATION);
    struct span authority, scheme = SPAN_LIT("://");
    if (!f)
        return false;
    if (span_eq(f->value, request->target))
        return true;
    const char *at = f->value.len > 8 ? memmem(f->value.p, 8, scheme.p, scheme.len) : NULL;
    if (!at)
        return false;
    authority = span_of(at + 3, (size_t)(f->value.p + f->value.len - at) - 3);
    return authority.len == request->host.len + request->target.len &&
           span_eq_nocase(span_of(authority.p, request->host.len), request->host) &&
           span_eq(span_of(authority.p + request->host.len, request->target.len), request->target);
}

static bool judge_head(const struct flow *f, const struct head *response, struct keep *k)
{
    struct fresh_case c = {.policy = &f->l.route->fresh,
                           .request = &k->head,
                           .response = response,
                           .needs_lifetime = true,
                           .has_credentials = lookup_is_personal(f->l.route, f->head),
                           .has_cookies = lookup_has_cookies(f->l.route, f->head),
                           .now_unix_s = unix_now_ms() / 1000,
                           .delay_ms = f->upstream_us / 1000};
    return fresh_judge(&c, &k->fresh) == STORE_YES && k->fresh.lifetime_ms > 0 &&
           !(k->fresh.flags & FRESH_MUST_VALIDATE);
}

/* Fields that a GET would have sent without, and that may have chosen the answer. */
static bool has_taken_away(const struct route *r, const struct head *h)
{
    for (unsigned i = 0; r->identity == IDENTITY_NONE && i < h->field_count; i++)
        if (field_is_credential(&h->fields[i]))
            return true;
    return false;
}

/* Would the answer stand under the key alone, if a GET had brought it? */
static bool has_no_variants(const struct route *r, const struct head *request,
                            const struct head *response)
{
    struct buf names;
    char block[1024];
    struct vary_case c = {.request = request,
                          .response = response,
                          .is_cors = !r->cors_ignored,
                          .is_by_host = !r->key_host};
    buf_init_fixed(&names, block, sizeof(block));
    return vary_names(&c, &names) && names.len == 0 && !names.failed;
}

/* Has something been invalidated while the app worked that one of <tags> tells of, or none? */
static bool is_outrun(const struct keep *k, struct worker *w, const uint64_t *tags, unsigned count)
{
    const struct tag_table *t = store_tags(w->store);
    return tag_last_untold(t) > k->passed_began ||
           tags_last_invalidation(t, tags, count, k->passed_began) != 0;
}

struct keep *keep_start(const struct flow *f, const struct head *response)
{
    const struct route *r = f->l.route;
    bool is_candidate = r->cached && r->fresh.is_http && f->head->method == METHOD_POST &&
                        !f->head->has_upgrade && response->status == 200 &&
                        is_own_location(f->head, response) &&
                        has_no_variants(r, f->head, response) && !has_taken_away(r, f->head);
    struct keep *k = is_candidate ? calloc(1, sizeof(*k)) : NULL;
    if (!k)
        return NULL;
    k->head = *f->head;
    k->head.method = METHOD_GET;
    k->head.method_text = SPAN_LIT("GET");
    k->head_mono_ms = mono_now_ms();
    k->l.route = r;
    k->l.captures = f->l.captures;
    k->l.is_https = lookup_is_https(f->w->config, f->head, f->gate);
    k->body = evbuffer_new();
    bool is_good = k->body && lookup_may_share(f->w->shared, r, &k->head) == REASON_NONE &&
                   judge_head(f, response, k) &&
                   lookup_build_key(f->w->shared, &k->l, &k->head, span_of(NULL, 0), NULL,
                                    k->key_block, sizeof(k->key_block)) == KEY_OK;
    if (!is_good) {
        keep_free(k);
        return NULL;
    }
    lookup_tags(f->w->shared, &k->l, &k->head, span_of(NULL, 0), NULL);
    k->passed_began = f->passed_began;
    k->passed_mono_ms = f->passed_mono_ms;
    if (is_outrun(k, f->w, k->l.tags.tag, k->l.tags.count)) {
        keep_free(k);
        return NULL;
    }
    return k;
}

void keep_note_write(struct keep *k, struct worker *w)
{
    k->began = tag_now(store_tags(w->store));
}

bool keep_add(struct keep *k, struct evbuffer *piece, uint64_t limit)
{
    struct evbuffer_iovec v[16];
    int n = evbuffer_peek(piece, -1, NULL, v, (int)array_len(v));
    if (evbuffer_get_length(k->body) + evbuffer_get_length(piece) > limit)
        return false;
    for (int i = 0; i < n && i < (int)array_len(v); i++)
        if (evbuffer_add(k->body, v[i].iov_base, v[i].iov_len) != 0)
            return false;
    return n <= (int)array_len(v);
}

void keep_store(struct keep *k, struct worker *w, const struct head *response)
{
    struct route_request req = lookup_request(w->shared, &k->l, &k->head, span_of(NULL, 0), NULL);
    struct judged judged;
    struct judge j = {.w = w,
                      .route = k->l.route,
                      .request_values = &k->l,
                      .tags = &k->l.tags,
                      .request = &req,
                      .response = response,
                      .body = k->body,
                      .lifetime_ms = k->fresh.lifetime_ms};
    judge_answer(&j, &judged);
    size_t len = evbuffer_get_length(k->body);
    struct entry_parts parts = {.route = k->l.route->index,
                                .key = &k->l.key,
                                .tags = judged.tags,
                                .tag_count = judged.tag_count,
                                .tag_text = buf_span(&judged.tag_text),
                                .began = k->began,
                                .stored_mono_ms = k->head_mono_ms,
                                .known_mono_ms = route_known_ms(k->l.route, k->passed_mono_ms),
                                .body = span_of((const char *)evbuffer_pullup(k->body, -1), len),
                                .target = k->head.target,
                                .host = k->head.host,
                                .value_count = judged.value_count,
                                .value = judged.value};
    entry_parts_set_freshness(&parts, &k->fresh);
    parts.lifetime_ms = judged.lifetime_ms;
    bool has_cookies = k->l.route->fresh.set_cookie == SET_COOKIE_STORE;
    /* tags of the answer alone: those of the request were asked before the POST's own write */
    unsigned known = k->l.tags.count;
    bool is_good = judged.verdict == STORE_YES &&
                   !is_outrun(k, w, judged.tags + known, judged.tag_count - known);
    struct entry *e = is_good ? answer_entry_new(response, has_cookies, &parts) : NULL;
    if (e && store_put(w->store, e, NULL, mono_now_ms()) == ERR_OK)
        count(&w->routes[k->l.route->index].stored);
    entry_unref(e);
    judged_fini(&judged);
}

/* --- news by HEAD --- */

/* Would <response> be stored where <e> is? What it varies by, or for whom, may have changed. */
static bool is_found_there(struct worker *w, const struct lookup *l, const struct head *request,
                           const struct head *response, const struct entry *e)
{
    struct buf names, text;
    char names_block[1024], text_block[KEY_BYTES_MAX];
    struct cache_key key;
    struct entry *marker = lookup_marker(w, &l->key);
    struct vary_case c = {.request = request,
                          .response = response,
                          .known = marker ? marker->body : span_of(NULL, 0),
                          .is_cors = !l->route->cors_ignored,
                          .is_by_host = !l->route->key_host};
    buf_init_fixed(&names, names_block, sizeof(names_block));
    buf_init_fixed(&text, text_block, sizeof(text_block));
    bool is_good = (l->route->vary_ignored || vary_names(&c, &names)) && !names.failed;
    entry_unref(marker);
    if (is_good && names.len == 0)
        return e->key.text.len == e->key.primary_len;
    return is_good && lookup_variant_key(l, request, buf_span(&names), &text, &key) &&
           cache_key_eq(&key, &e->key);
}

/* <*ret_is_elsewhere>: it may not stand under this key any more. NULL without that: the news are
 * nothing to store (the request forbids it), or there is no memory. */
static struct entry *updated(struct worker *w, const struct lookup *l, const struct head *request,
                             const struct entry *e, const struct head_news *n,
                             bool *ret_is_elsewhere)
{
    struct merged m;
    struct freshness fresh;
    *ret_is_elsewhere = false;
    if (validate_merge(e, n->head, &m) != ERR_OK)
        return NULL;
    struct head as_get = *request;
    as_get.method = METHOD_GET;
    struct fresh_case c = {.policy = &l->route->fresh,
                           .request = &as_get,
                           .response = m.head,
                           .has_credentials = lookup_is_personal(l->route, request),
                           .has_cookies = lookup_has_cookies(l->route, request),
                           .now_unix_s = unix_now_ms() / 1000,
                           .delay_ms = n->delay_ms};
    struct entry_parts parts = {.route = e->route,
                                .key = &e->key,
                                .tags = e->tags,
                                .tag_count = e->tag_count,
                                .tag_text = e->tag_text,
                                .began = e->began,
                                .stored_mono_ms = mono_now_ms(),
                                .known_mono_ms = e->known_mono_ms,
                                .fetch_us = e->fetch_us,
                                .body = e->body,
                                .target = e->target,
                                .host = e->host,
                                .is_refetchable = e->is_refetchable,
                                .is_for_any_origin =
                                    l->route->cors_ignored || vary_allows_any_origin(m.head),
                                .value_count = e->value_count,
                                .value = e->value};
    struct entry *ret = NULL;
    *ret_is_elsewhere = !is_found_there(w, l, request, m.head, e);
    if (!*ret_is_elsewhere && fresh_judge(&c, &fresh) == STORE_YES) {
        entry_parts_set_freshness(&parts, &fresh);
        ret = answer_entry_new(m.head, l->route->fresh.set_cookie == SET_COOKIE_STORE, &parts);
    }
    merged_fini(&m);
    return ret;
}

void keep_head_news(struct worker *w, const struct lookup *l, const struct head *request,
                    const struct head_news *n)
{
    const struct head *news = n->head;
    struct entry *e = NULL;
    bool is_gone = news->status == 404 || news->status == 410;
    if (!l->route->fresh.is_http || (news->status != 200 && !is_gone))
        return;
    (void)lookup_find(w, l, request, LOOKUP_KEPT, &e);
    if (!e)
        return;
    bool is_same = !is_gone && e->status == 200 && validate_is_same(e, news) &&
                   (!news->has_content_length || news->content_length == e->body.len);
    bool is_elsewhere = false;
    struct entry *new_entry = is_same ? updated(w, l, request, e, n, &is_elsewhere) : NULL;
    if (!is_same || is_elsewhere)
        store_drop(w->store, e);
    else if (new_entry) /* else this request's own affair: what is stored stays as it is */
        (void)store_put(w->store, new_entry, e, mono_now_ms());
    entry_unref(new_entry);
    entry_unref(e);
}
