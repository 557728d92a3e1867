/* One upstream exchange. A fetch for the cache belongs to no client: it collects the answer, judges
 * it and lands its flight, whoever is still there. When the answer turns out to be one client's
 * own, the flight lands at once, so that nobody queues behind it, and the fetch becomes the stream
 * of the client that led it. An answer that is nobody's own but may not be stored either (an error,
 * a condition of the route) is shared by those who wait for it. */
#include "flow-internal.h"

#include <larder/http/vary.h>

#include <stdlib.h>

struct fetch {
    struct list link;
    struct worker *w;
    struct lookup l; /* route, captures and values; its key is the flight's */
    enum fetch_mode mode;
    bool is_refresh;
    struct exchange *exchange;
    struct flow *client;   /* NULL once it has left */
    struct flight *flight; /* NULL once landed */
    struct entry *old;     /* what may be served stale in its place */
    struct evbuffer *body;
    const struct head *response; /* the exchange's */
    enum store_verdict verdict;  /* of the head: STORE_YES, or why it is collected to be shared */
    uint64_t lifetime_ms, age_ms, wait_us;
    char *request_text; /* the leader's head: judged and varied by when the answer comes */
    struct head *request;
    char *request_body;
    size_t request_body_len;
};

static void fetch_free(struct fetch *f)
{
    list_remove(&f->link);
    if (f->is_refresh)
        f->w->refreshing--;
    if (f->body)
        evbuffer_free(f->body);
    entry_unref(f->old);
    free(f->request_text);
    free(f->request);
    free(f->request_body);
    free(f);
}

static struct route_counters *counters(const struct fetch *f)
{
    return &f->w->routes[f->l.route->index];
}

static uint64_t max_object(const struct fetch *f)
{
    uint64_t all = f->w->config->cache.max_object_bytes, own = f->l.route->max_object_bytes;
    return own && own < all ? own : all;
}

bool status_is_failure(unsigned status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

/* The upstream has said something else, which is no failure: the old answer has had its time. */
static void end_old(struct fetch *f)
{
    if (f->old && !status_is_failure(f->response->status))
        store_drop(f->w->store, f->old);
}

static void refresh_failed(struct fetch *f)
{
    if (!f->is_refresh)
        return;
    count(&counters(f)->refresh_failures);
    if (f->old)
        store_refresh_failed(f->old, mono_now_ms(), f->w->config->cache.retry_ms);
}

/* The marker that keeps the next requests for this key from queueing. */
static struct entry *pass_marker(const struct fetch *f, mono_ms now)
{
    const struct tag_set *tags = flight_tags(f->flight);
    struct entry_parts parts = {.kind = ENTRY_PASS,
                                .route = f->l.route->index,
                                .key = flight_key(f->flight),
                                .tags = tags->tag,
                                .tag_count = tags->count,
                                .began = flight_began(f->flight),
                                .stored_mono_ms = now,
                                .lifetime_ms = f->w->config->cache.pass_memory_ms,
                                .last_modified_unix_s = -1};
    return entry_new(&parts);
}

static void land_unstorable(struct fetch *f)
{
    mono_ms now = mono_now_ms();
    cleanup(entry_unrefp) struct entry *marker = pass_marker(f, now);
    struct flight_result r = {.outcome = FLIGHT_UNSTORABLE};
    end_old(f);
    refresh_failed(f);
    (void)store_land(f->w->store, take(f->flight), &r, &marker, marker ? 1 : 0, now);
}

/* The answer goes to the leading client alone; without one there is nobody to read it for. */
static void go_stream(struct fetch *f, enum store_verdict verdict)
{
    f->mode = FETCH_STREAM;
    if (f->client) {
        flow_on_stream_head(f->client, f->response, verdict);
        return;
    }
    exchange_cancel(f->exchange);
    fetch_free(f);
}

static enum store_verdict judge_head(struct fetch *f)
{
    const struct route_switch *s = &f->w->shared->switches[f->l.route->index];
    struct fresh_policy policy = f->l.route->fresh;
    /* whose answer it is has been asked of the request (lookup_may_share): the key tells, or the
       route says that it is nobody's */
    policy.share_authorized = true;
    if (atomic_load_explicit(&s->has_ttl, memory_order_relaxed)) {
        policy.has_ttl = true;
        policy.ttl_ms = s->ttl_ms;
    }
    return fresh_judge(&policy, f->request, f->response, unix_now_ms() / 1000, &f->lifetime_ms,
                       &f->age_ms);
}

/* An app's failure is one for all who wait: they share it instead of repeating it. */
static bool is_shared_failure(const struct fetch *f)
{
    return f->response->status >= 500 &&
           (f->verdict == STORE_NO_STATUS || f->verdict == STORE_NO_TTL);
}

static void on_head(void *arg, const struct head *h)
{
    struct fetch *f = arg;
    f->response = h;
    f->wait_us = exchange_wait_us(f->exchange);
    if (f->mode == FETCH_STREAM) {
        flow_on_stream_head(f->client, h, STORE_YES);
        return;
    }
    f->verdict = judge_head(f);
    bool is_too_large = h->has_content_length && h->content_length > max_object(f);
    if ((f->verdict == STORE_YES || is_shared_failure(f)) && !is_too_large)
        return; /* collect */
    count(f->verdict == STORE_YES ? &counters(f)->refused_too_large
                                  : &counters(f)->refused[f->verdict]);
    land_unstorable(f);
    go_stream(f, f->verdict);
}

static void give_up_collecting(struct fetch *f)
{
    count(&counters(f)->refused_too_large);
    land_unstorable(f);
}

static void on_body(void *arg)
{
    struct fetch *f = arg;
    evbuffer_add_buffer(f->body, exchange_body(f->exchange));
    if (f->mode == FETCH_STREAM) {
        flow_on_stream_body(f->client);
        return;
    }
    if (evbuffer_get_length(f->body) <= max_object(f))
        return;
    give_up_collecting(f);
    go_stream(f, STORE_YES); /* the client takes what has been collected; f may be gone */
}

/* The names by which the answer varies, with the key it is stored under; false: too long. */
static bool variant_of(struct fetch *f, struct buf *names, struct buf *text,
                       struct cache_key *ret_key)
{
    const struct cache_key *k = flight_key(f->flight);
    struct lookup l;
    cache_key_init(&l.key, span_of(k->text.p, k->primary_len));
    if (!f->l.route->vary_ignored && !vary_names(f->response, names))
        return false;
    if (names->len == 0) {
        buf_add_span(text, l.key.text);
        cache_key_init(ret_key, buf_span(text));
        return !text->failed;
    }
    return !names->failed && lookup_variant_key(&l, f->request, buf_span(names), text, ret_key);
}

/* A marker lives as long as the longest of its variants may be served. */
static struct entry *vary_marker(const struct fetch *f, struct span names, const struct entry *e,
                                 mono_ms now)
{
    struct cache_key key;
    const struct cache_key *k = flight_key(f->flight);
    const struct tag_set *tags = flight_tags(f->flight);
    cache_key_init(&key, span_of(k->text.p, k->primary_len));
    struct entry_parts parts = {.kind = ENTRY_VARY,
                                .route = f->l.route->index,
                                .key = &key,
                                .tags = tags->tag,
                                .tag_count = tags->count,
                                .began = flight_began(f->flight),
                                .stored_mono_ms = now,
                                .lifetime_ms = entry_over_ms(e) - now,
                                .last_modified_unix_s = -1,
                                .body = names};
    return entry_new(&parts);
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

static bool has_secret_target(const struct route *r)
{
    for (unsigned i = 0; i < r->param_count + r->identity_count; i++)
        if (r->params[i].secret &&
            (r->params[i].source == PARAM_QUERY || r->params[i].source == PARAM_PATH))
            return true;
    return false;
}

static struct entry *make_entry(struct fetch *f, const struct cache_key *key, struct span body,
                                const struct judged *judged, mono_ms now)
{
    uint64_t while_ms = f->l.route->while_ms, error_ms = f->l.route->error_ms;
    fresh_stale_windows(&f->l.route->fresh, f->response, &while_ms, &error_ms);
    struct span no_span = span_of(NULL, 0);
    struct entry_parts parts = {.route = f->l.route->index,
                                .key = key,
                                .tags = judged->tags,
                                .tag_count = judged->tag_count,
                                .tag_text = buf_span(&judged->tag_text),
                                .began = flight_began(f->flight),
                                .stored_mono_ms = now,
                                .age_at_store_ms = f->age_ms,
                                .lifetime_ms = judged->lifetime_ms,
                                .while_ms = while_ms,
                                .error_ms = error_ms,
                                .fetch_us = f->wait_us,
                                .body = body,
                                .target =
                                    has_secret_target(f->l.route) ? no_span : f->request->target,
                                .host = f->request->host,
                                .is_refetchable = is_refetchable(f),
                                .value_count = judged->value_count,
                                .value = judged->value};
    return answer_entry_new(f->response, &parts);
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
                      .lifetime_ms = f->lifetime_ms};
    judge_answer(&j, ret);
    if (f->verdict != STORE_YES)
        ret->verdict = f->verdict;
}

static void count_landed(struct fetch *f, const struct judged *judged, enum err_code stored)
{
    struct route_counters *c = counters(f);
    if (judged->verdict != STORE_YES) {
        count(&c->refused[judged->verdict]);
    } else if (stored == ERR_TOO_LARGE) {
        count(&c->refused_too_large);
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
    struct entry *entry, *marker;
    struct judged judged;
};

static void land(struct fetch *f, const struct landing *l, mono_ms now)
{
    bool is_stored = l->entry && l->judged.verdict == STORE_YES;
    struct flight_result r = {.outcome = l->entry ? FLIGHT_ANSWER : FLIGHT_FAILED,
                              .entry = l->entry,
                              .vary = l->marker,
                              .error = UPSTREAM_BAD_ANSWER};
    struct entry *entries[2] = {l->entry, l->marker};
    unsigned count_stored = is_stored ? (l->marker ? 2 : 1) : 0;
    if (!is_stored)
        refresh_failed(f);
    enum err_code stored = store_land(f->w->store, take(f->flight), &r, entries, count_stored, now);
    count_landed(f, &l->judged, stored);
    if (f->client)
        flow_on_landed(f->client, &r, is_stored && !stored, l->judged.verdict);
}

/* The collected answer becomes an entry; the flight lands with it. */
static void land_answer(struct fetch *f)
{
    char names_block[1024], text_block[KEY_BYTES_MAX];
    struct buf names, text;
    struct cache_key key;
    struct landing l = {0};
    mono_ms now = mono_now_ms();
    buf_init_fixed(&names, names_block, sizeof(names_block));
    buf_init_fixed(&text, text_block, sizeof(text_block));
    judge(f, &l.judged);
    size_t len = evbuffer_get_length(f->body);
    struct span body = span_of((const char *)evbuffer_pullup(f->body, -1), len);
    if (variant_of(f, &names, &text, &key))
        l.entry = make_entry(f, &key, body, &l.judged, now);
    if (l.entry && names.len) {
        l.marker = vary_marker(f, buf_span(&names), l.entry, now);
        if (!l.marker)
            entry_unref(take(l.entry));
    }
    land(f, &l, now);
    entry_unref(l.entry);
    entry_unref(l.marker);
    judged_fini(&l.judged);
}

static void on_end(void *arg)
{
    struct fetch *f = arg;
    evbuffer_add_buffer(f->body, exchange_body(f->exchange));
    f->exchange = NULL; /* ends with this call */
    if (f->mode == FETCH_COLLECT && evbuffer_get_length(f->body) > max_object(f)) {
        give_up_collecting(f);
        f->mode = FETCH_STREAM;
        if (f->client)
            flow_on_stream_head(f->client, f->response, STORE_YES);
    }
    if (f->mode == FETCH_COLLECT)
        land_answer(f);
    else if (f->client)
        flow_on_stream_end(f->client);
    fetch_free(f);
}

static void on_error(void *arg, enum upstream_error error)
{
    struct fetch *f = arg;
    f->exchange = NULL;
    count(&counters(f)->upstream_errors);
    if (f->mode == FETCH_COLLECT) {
        struct flight_result r = {.outcome = FLIGHT_FAILED, .error = (int)error};
        refresh_failed(f);
        (void)store_land(f->w->store, take(f->flight), &r, NULL, 0, mono_now_ms());
        if (f->client)
            flow_on_landed(f->client, &r, false, STORE_YES);
    } else if (f->client) {
        flow_on_stream_error(f->client, error);
    }
    fetch_free(f);
}

static void on_writable(void *arg)
{
    struct fetch *f = arg;
    if (f->client)
        flow_on_writable(f->client);
}

static const struct exchange_ops fetch_ops = {.on_head = on_head,
                                              .on_body = on_body,
                                              .on_end = on_end,
                                              .on_writable = on_writable,
                                              .on_error = on_error};

static char *copy_text(struct span s)
{
    char *p = malloc(s.len ? s.len : 1);
    if (p && s.len)
        memcpy(p, s.p, s.len);
    return p;
}

/* The leader's request, whose connection may be gone when the answer comes. What is fetched for a
 * HEAD is the answer to the GET. */
static bool copy_request(struct fetch *f, const struct fetch_start *s)
{
    f->request_text = copy_text(s->request_text);
    f->request = malloc(sizeof(*f->request));
    f->request_body = copy_text(s->body);
    if (!f->request_text || !f->request || !f->request_body)
        return false;
    f->request_body_len = s->body.len;
    size_t len = s->request_text.len;
    if (head_parse_request(f->request_text, len, len, f->request) != HEAD_OK)
        return false;
    if (f->request->method == METHOD_HEAD)
        f->request->method = METHOD_GET;
    /* captures point into the head: find them anew in the copy */
    (void)route_match(f->w->config->routes, f->w->config->route_count, f->request, &f->l.captures);
    return true;
}

struct fetch *fetch_start(const struct fetch_start *s)
{
    struct fetch *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    list_init(&f->link);
    f->w = s->w;
    f->l.route = s->l->route;
    f->l.value_count = s->flight ? s->l->value_count : 0;
    memcpy(f->l.value, s->l->value, f->l.value_count * sizeof(f->l.value[0]));
    f->client = s->client;
    f->flight = s->flight;
    f->old = s->old ? entry_ref(s->old) : NULL;
    f->mode = s->flight ? FETCH_COLLECT : FETCH_STREAM;
    f->body = evbuffer_new();
    if (!f->body || (s->flight && !copy_request(f, s)))
        goto fail;
    f->exchange = exchange_start(s->w->pools[f->l.route->upstream], &s->exchange, &fetch_ops, f);
    if (!f->exchange)
        goto fail;
    list_push_back(&s->w->fetches, &f->link);
    count(&counters(f)->fetches);
    f->is_refresh = !s->client;
    if (f->is_refresh)
        s->w->refreshing++;
    return f;
fail:
    fetch_free(f);
    return NULL;
}

void fetch_leave(struct fetch *f)
{
    f->client = NULL;
    if (f->mode == FETCH_COLLECT)
        return;
    if (f->exchange) { /* otherwise it is ending, and frees itself */
        exchange_cancel(f->exchange);
        fetch_free(f);
    }
}

void fetch_abandon_all(struct worker *w)
{
    list_for_each_safe (it, next, &w->fetches) {
        struct fetch *f = container_of(it, struct fetch, link);
        struct flight_result none = {.outcome = FLIGHT_UNSTORABLE};
        if (f->client || !f->exchange)
            continue;
        exchange_cancel(f->exchange);
        if (f->flight) /* who waits for it elsewhere asks for itself */
            (void)store_land(w->store, take(f->flight), &none, NULL, 0, mono_now_ms());
        fetch_free(f);
    }
}

struct exchange *fetch_exchange(struct fetch *f)
{
    return f->exchange;
}

struct evbuffer *fetch_body(struct fetch *f)
{
    return f->body;
}

uint64_t fetch_wait_us(const struct fetch *f)
{
    return f->wait_us;
}
