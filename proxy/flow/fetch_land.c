/* What becomes of a whole answer: judged by its body, made an entry under the key of its variant,
 * stored, and given to all who wait for it. */
#include "fetch-internal.h"

#include <larder/http/vary.h>

#include <ctype.h>

/* Under which key an answer is stored. */
struct variant {
    struct buf names, text;
    char names_block[1024], text_block[KEY_BYTES_MAX];
    struct cache_key key;
    mono_ms over_ms;
};

/* Of this instance, or of those that share with it. */
static struct entry *known_marker(const struct fetch *f, const struct cache_key *primary)
{
    struct entry *marker = lookup_marker(f->w, primary);
    return marker || !f->found_vary ? marker : entry_ref(f->found_vary);
}

/* The names by which the answer varies, with the key it is stored under, and when the last of the
 * other variants is over; false: too long. */
static bool variant_of(struct fetch *f, struct variant *v)
{
    const struct cache_key *k = flight_key(f->flight);
    struct lookup l;
    struct buf *names = &v->names, *text = &v->text;
    struct cache_key *ret_key = &v->key;
    cache_key_init(&l.key, span_of(k->text.p, k->primary_len));
    l.route = f->l.route;
    l.is_https = f->l.is_https;
    /* where the key has scheme and Host it does not matter what the answer says of them */
    bool names_host = !(f->l.route->fresh.is_http && f->l.route->key_host) &&
                      answer_names_host(f->request, f->response, f->body);
    cleanup(entry_unrefp) struct entry *marker = known_marker(f, &l.key);
    struct vary_case c = {.request = f->request,
                          .response = f->response,
                          .known = marker ? marker->body : span_of(NULL, 0),
                          .is_cors = !f->l.route->cors_ignored,
                          .is_by_host = names_host && !f->l.route->key_host,
                          .is_by_scheme = names_host && !f->l.route->fresh.is_http};
    bool is_plain_part =
        !head_field(f->response, FIELD_VARY) && !head_field(f->response, FIELD_CONTENT_ENCODING);
    if (f->is_part && f->response->status != 200) { /* the flight's own key holds its range */
        *ret_key = *k;
        return is_plain_part && !marker && !c.is_by_host &&
               (f->l.route->cors_ignored || !head_field(f->request, FIELD_ORIGIN));
    }
    v->over_ms = marker ? entry_over_ms(marker) : 0;
    if (!f->l.route->vary_ignored && !vary_names(&c, names))
        return false;
    if (names->len == 0) {
        buf_add_span(text, l.key.text);
        cache_key_init(ret_key, buf_span(text));
        return !text->failed;
    }
    return !names->failed && lookup_variant_key(&l, f->request, buf_span(names), text, ret_key);
}

static struct entry *marker_new(const struct fetch *f, const struct cache_key *key, mono_ms over,
                                mono_ms now, struct span body)
{
    const struct tag_set *tags = flight_tags(f->flight);
    struct entry_parts parts = {.kind = ENTRY_VARY,
                                .route = f->l.route->index,
                                .key = key,
                                .tags = tags->tag,
                                .tag_count = tags->count,
                                .began = flight_began(f->flight),
                                .stored_mono_ms = now,
                                .lifetime_ms = over - now,
                                .last_modified_unix_s = -1,
                                .body = body};
    return entry_new(&parts);
}

/* A marker lives as long as the longest of its variants may be served. */
static struct entry *vary_marker(const struct fetch *f, const struct variant *v,
                                 const struct entry *e, mono_ms now)
{
    mono_ms over = entry_over_ms(e) > v->over_ms ? entry_over_ms(e) : v->over_ms;
    struct cache_key key;
    const struct cache_key *k = flight_key(f->flight);
    cache_key_init(&key, span_of(k->text.p, k->primary_len));
    return marker_new(f, &key, over, now, buf_span(&v->names));
}

static struct span answer_language(const struct head *h)
{
    const struct field *f = head_field_named(h, SPAN_LIT("content-language"));
    return f ? f->value : span_of(NULL, 0);
}

/* Under the <language> that the answer is in: where its variant stands. NULL: it does not say, or
 * nothing tells languages apart. */
static struct entry *language_alias(const struct fetch *f, const struct variant *v,
                                    const struct entry *e, struct span language, mono_ms now)
{
    const struct cache_key *k = flight_key(f->flight);
    char block[KEY_BYTES_MAX], lower[64];
    struct buf text;
    struct cache_key key;
    struct lookup l = {.route = f->l.route, .is_https = f->l.is_https};
    if (!span_is_token(language) || language.len > sizeof(lower))
        return NULL;
    for (size_t i = 0; i < language.len; i++)
        lower[i] = (char)tolower((unsigned char)language.p[i]);
    cache_key_init(&l.key, span_of(k->text.p, k->primary_len));
    buf_init_fixed(&text, block, sizeof(block));
    if (!lookup_language_key(&l, f->request, buf_span(&v->names), span_of(lower, language.len),
                             &text, &key))
        return NULL;
    return marker_new(f, &key, entry_over_ms(e), now, v->key.text);
}

/* What a later request needs in order to bring the same answer for anybody. */
static bool is_refetchable(const struct fetch *f)
{
    const struct route *r = f->l.route;
    bool has_secret = false;
    for (unsigned i = 0; i < r->param_count; i++)
        has_secret |= r->params[i].secret || r->params[i].source == PARAM_HEADER ||
                      r->params[i].source == PARAM_COOKIE;
    return f->request->method == METHOD_GET && !has_secret && r->identity_count == 0;
}

static struct entry *make_entry(struct fetch *f, const struct cache_key *key, struct span body,
                                const struct judged *judged, mono_ms now)
{
    struct span no_span = span_of(NULL, 0);
    struct entry_parts parts = {.route = f->l.route->index,
                                .key = key,
                                .tags = judged->tags,
                                .tag_count = judged->tag_count,
                                .tag_text = buf_span(&judged->tag_text),
                                .began = flight_began(f->flight),
                                /* RFC 9111 section 4.2.3: an answer ages while its body comes */
                                .stored_mono_ms = f->l.route->fresh.is_http ? f->head_mono_ms : now,
                                .known_mono_ms = route_known_ms(f->l.route, f->asked_mono_ms),
                                .fetch_us = f->wait_us,
                                .body = body,
                                .target = f->l.route->hides_target ? no_span : f->request->target,
                                .host = f->request->host,
                                .is_for_any_origin =
                                    f->l.route->cors_ignored || vary_allows_any_origin(f->response),
                                .is_refetchable = is_refetchable(f),
                                .value_count = judged->value_count,
                                .value = judged->value};
    bool has_cookies = f->l.route->fresh.set_cookie == SET_COOKIE_STORE;
    entry_parts_set_freshness(&parts, &f->fresh);
    parts.lifetime_ms = judged->lifetime_ms;
    return answer_entry_new(f->response, has_cookies, &parts);
}

static struct json_doc *request_json(const struct fetch *f)
{
    enum { DEPTH = 64 };
    struct json_doc *doc = NULL;
    if (f->request_body_len &&
        json_parse(span_of(f->request_body, f->request_body_len), NULL, 0, DEPTH, &doc, NULL))
        return NULL;
    return doc;
}

static void judge(struct fetch *f, struct judged *ret)
{
    cleanup(json_doc_freep) struct json_doc *doc = request_json(f);
    struct route_request req =
        lookup_request(f->w->shared, &f->l, f->request,
                       span_of(f->request_body, f->request_body_len), doc ? json_root(doc) : NULL);
    struct judge j = {.w = f->w,
                      .route = f->l.route,
                      .request_values = &f->l,
                      .tags = flight_tags(f->flight),
                      .request = &req,
                      .response = f->response,
                      .body = f->body,
                      .lifetime_ms = f->fresh.lifetime_ms};
    judge_answer(&j, ret);
    if (f->verdict != STORE_YES)
        ret->verdict = f->verdict;
    /* the app may allow to store its failure, but not in the place of what hides it */
    if (f->old && status_is_failure(f->response->status) &&
        entry_may_hide_error(f->old, mono_now_ms()))
        ret->verdict = STORE_NO_STATUS;
}

static void count_landed(struct fetch *f, const struct judged *judged, enum err_code stored)
{
    struct route_counters *c = fetch_counters(f);
    if (judged->verdict != STORE_YES) {
        count(&c->refused[judged->verdict]);
    } else if (stored == ERR_TOO_LARGE) {
        count(&c->refused_too_large);
    } else if (stored == ERR_DENIED) {
        count(&c->refused[STORE_NO_VARIANTS]);
    } else if (stored) {
        count(&c->refused_overtaken);
    } else {
        count(&c->stored);
        for (unsigned i = 0; i < f->l.value_count; i++)
            count_add(&f->w->values[f->l.value[i]].stored, 1);
    }
}

/* What is landed: the answer, and what of it is stored. */
struct landing {
    struct entry *entry, *marker, *alias;
    bool is_alone; /* for its leader only */
    bool is_found; /* another instance has fetched it */
    struct judged judged;
};

static void landing_fini(struct landing *l)
{
    entry_unref(l->marker);
    entry_unref(l->alias);
    judged_fini(&l->judged);
}

/* What must be validated at each use is its leader's alone (RFC 9111 section 4), stored or not. */
static bool is_for_one(const struct fetch *f)
{
    bool has_time = f->fresh.lifetime_ms || f->fresh.while_ms;
    return f->verdict == STORE_YES && (!has_time || f->fresh.flags & FRESH_MUST_VALIDATE);
}

static void land(struct fetch *f, const struct landing *l, mono_ms now)
{
    bool is_stored = l->entry && l->judged.verdict == STORE_YES;
    struct flight_result own = {.outcome = FLIGHT_UNSTORABLE};
    struct flight_result r = {.outcome = l->entry ? FLIGHT_ANSWER : FLIGHT_FAILED,
                              .entry = l->entry,
                              .vary = l->marker,
                              .is_found = l->is_found,
                              .error = UPSTREAM_BAD_ANSWER};
    /* the marker first: it counts its variants */
    struct entry *entries[3] = {l->marker ? l->marker : l->entry, l->entry, l->alias};
    unsigned count_stored = is_stored ? 1u + (l->marker != NULL) + (l->alias != NULL) : 0;
    if (!is_stored)
        fetch_note_failed_refresh(f);
    bool is_for_all =
        !l->is_alone &&
        (l->is_found || (!is_for_one(f) && (!is_stored || entry_is_shareable(l->entry))));
    enum err_code stored = store_land(f->w->store, take(f->flight), is_for_all ? &r : &own, entries,
                                      count_stored, now);
    count_landed(f, &l->judged, stored);
    if (is_stored && !stored && is_for_all && !l->is_found)
        fetch_share(f, l->entry, l->marker);
    if (f->client)
        flow_on_landed(f->client, &r, is_stored && !stored, l->judged.verdict);
}

void fetch_land(struct fetch *f)
{
    struct variant v;
    struct landing l = {0};
    mono_ms now = mono_now_ms();
    buf_init_fixed(&v.names, v.names_block, sizeof(v.names_block));
    buf_init_fixed(&v.text, v.text_block, sizeof(v.text_block));
    judge(f, &l.judged);
    size_t len = evbuffer_get_length(f->body);
    struct span body = span_of((const char *)evbuffer_pullup(f->body, -1), len);
    if (!variant_of(f, &v)) { /* its leader's alone, and not stored */
        buf_reset(&v.names);
        v.key = *flight_key(f->flight);
        l.is_alone = true;
        l.judged.verdict = STORE_NO_VARIANTS;
    }
    l.entry = make_entry(f, &v.key, body, &l.judged, now);
    if (l.entry && v.names.len) {
        l.marker = vary_marker(f, &v, l.entry, now);
        if (!l.marker)
            entry_unref(take(l.entry));
        else
            l.alias = language_alias(f, &v, l.entry, answer_language(f->response), now);
    }
    land(f, &l, now);
    entry_unref(l.entry);
    landing_fini(&l);
}

void fetch_land_found(struct fetch *f, struct entry *e)
{
    struct variant v;
    struct landing l = {.entry = e, .is_found = true};
    mono_ms now = mono_now_ms();
    struct cache_key primary;
    cache_key_init(&primary, span_of(e->key.text.p, e->key.primary_len));
    cleanup(entry_unrefp) struct entry *marker =
        e->key.text.len > e->key.primary_len ? known_marker(f, &primary) : NULL;
    if (marker) {
        buf_init_fixed(&v.names, v.names_block, sizeof(v.names_block));
        buf_add_span(&v.names, marker->body);
        v.key = e->key;
        v.over_ms = entry_over_ms(marker);
        l.marker = v.names.failed ? NULL : vary_marker(f, &v, e, now);
        l.is_alone = !l.marker; /* no memory: others could not tell whose variant it is */
    }
    if (l.marker)
        l.alias =
            language_alias(f, &v, e, validate_stored_field(e, SPAN_LIT("content-language")), now);
    /* what it is counted by has other numbers in each instance */
    e->value_count = f->l.value_count;
    memcpy(e->value, f->l.value, f->l.value_count * sizeof(e->value[0]));
    land(f, &l, now);
    landing_fini(&l);
}
