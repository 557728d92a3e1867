/* One upstream exchange. A fetch for the cache belongs to no client: it collects the answer, judges
 * it and lands its flight, whoever is still there. When the answer turns out to be one client's
 * own, the flight lands at once, so that nobody queues behind it, and the fetch becomes the stream
 * of the client that led it. An answer that is nobody's own but may not be stored either (an error,
 * a condition of the route) is shared by those who wait for it. */
#include "fetch-internal.h"

#include <larder/base/wipe.h>

#include <stdlib.h>

void fetch_free(struct fetch *f)
{
    fetch_leave_shared(f);
    list_remove(&f->link);
    if (f->is_refresh)
        f->w->refreshing--;
    if (f->body)
        evbuffer_free(f->body);
    entry_unref(f->old);
    wipe_free(f->request_text);
    free(f->request);
    wipe_free(f->request_body);
    free((void *)f->plain_head.p);
    merged_fini(&f->merged);
    timer_free(f->patience);
    free(f);
}

struct route_counters *fetch_counters(const struct fetch *f)
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

const struct head *fetch_response(const struct fetch *f)
{
    return f->response;
}

void fetch_note_failed_refresh(struct fetch *f)
{
    if (!f->is_refresh)
        return;
    count(&fetch_counters(f)->refresh_failures);
    if (f->old)
        store_refresh_failed(f->old, mono_now_ms(), f->w->config->cache.retry_ms);
}

/* The marker that keeps the next requests for this key from queueing. */
static struct entry *pass_marker(const struct fetch *f, enum store_verdict why, mono_ms now)
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
                                .flags = why == STORE_NO_ENDLESS ? ENTRY_ENDLESS : 0,
                                .last_modified_unix_s = -1};
    return entry_new(&parts);
}

static void land_unstorable(struct fetch *f, enum store_verdict why)
{
    mono_ms now = mono_now_ms();
    cleanup(entry_unrefp) struct entry *marker = pass_marker(f, why, now);
    struct flight_result r = {.outcome = FLIGHT_UNSTORABLE};
    end_old(f);
    fetch_note_failed_refresh(f);
    fetch_release_lease(f);
    (void)store_land(f->w->store, take(f->flight), &r, &marker, marker ? 1 : 0, now);
}

/* The answer goes to the leading client alone; without one there is nobody to read it for. */
static void go_stream(struct fetch *f, enum store_verdict verdict)
{
    f->mode = FETCH_STREAM;
    if (f->patience)
        timer_stop(f->patience);
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
    struct fresh_case c = {.policy = &policy,
                           .request = f->request,
                           .response = f->response,
                           .takes_part = f->is_part,
                           .has_credentials = lookup_is_personal(f->l.route, f->request),
                           .has_cookies = lookup_has_cookies(f->l.route, f->request),
                           .now_unix_s = unix_now_ms() / 1000,
                           .delay_ms = f->wait_us / 1000};
    if (atomic_load_explicit(&s->has_ttl, memory_order_relaxed)) {
        policy.has_ttl = true;
        policy.ttl_ms = s->ttl_ms;
    }
    return fresh_judge(&c, &f->fresh);
}

/* An app's failure is one for all who wait: they share it instead of repeating it. What was asked
 * for with credentials of which the key says nothing may be a page of its sender's own. */
static bool is_shared_failure(const struct fetch *f)
{
    const struct route *r = f->l.route;
    if (r->fresh.is_http && r->identity == IDENTITY_UNSTATED &&
        route_open_credentials(r, f->request))
        return false;
    return f->response->status >= 500 &&
           (f->verdict == STORE_NO_STATUS || f->verdict == STORE_NO_TTL);
}

static bool start_exchange(struct fetch *f, const struct exchange_request *req);

static void on_interim(void *arg, const struct head *h)
{
    struct fetch *f = arg;
    if (f->client)
        flow_on_interim(f->client, h);
}

static void release_entry(const void *data, size_t len, void *entry)
{
    (void)data;
    (void)len;
    entry_unref(entry);
}

/* A 304 to our own question: with the stored answer it makes a whole one. False: it tells of
 * something else, or there is no memory. */
static bool take_confirmation(struct fetch *f, const struct head *h)
{
    if (!validate_is_same(f->old, h) || validate_merge(f->old, h, &f->merged) != ERR_OK)
        return false;
    f->response = f->merged.head;
    count(&fetch_counters(f)->revalidated);
    struct span body = f->old->body;
    if (body.len &&
        evbuffer_add_reference(f->body, body.p, body.len, release_entry, entry_ref(f->old)) != 0) {
        entry_unref(f->old);
        return false;
    }
    return true;
}

/* The question was not understood: the whole answer is asked for, and nothing else. */
static void ask_plainly(struct fetch *f)
{
    struct exchange_request req = {.head = f->plain_head,
                                   .method = f->method,
                                   .body_kind =
                                       f->request_body_len ? EXCHANGE_WHOLE_BODY : EXCHANGE_NO_BODY,
                                   .body = span_of(f->request_body, f->request_body_len),
                                   .first_byte_timeout_ms = f->first_byte_timeout_ms};
    exchange_cancel(take(f->exchange));
    f->is_conditional = false;
    if (!start_exchange(f, &req))
        fetch_fail(f, UPSTREAM_BAD_ANSWER);
}

/* It may never end, and its client shall not wait for that: what has come goes to him, and so does
 * the rest as it comes. What nobody waits for may take its time. */
static void on_patience(void *arg)
{
    struct fetch *f = arg;
    if (f->mode != FETCH_COLLECT || !f->client)
        return;
    count(&fetch_counters(f)->refused[STORE_NO_ENDLESS]);
    land_unstorable(f, STORE_NO_ENDLESS);
    go_stream(f, STORE_NO_ENDLESS);
}

/* False: an answer of unknown length, and the last one had no end in time. */
static bool may_collect(struct fetch *f)
{
    const struct head *h = f->response;
    uint64_t ms = f->w->config->cache.collect_timeout_ms;
    bool is_unknown = h->framing == FRAMING_CHUNKED || h->framing == FRAMING_CLOSE;
    if (!is_unknown || ms == 0)
        return true;
    if (flight_is_endless(f->flight))
        return false;
    f->patience = timer_new(f->w->loop, on_patience, f);
    if (f->patience)
        timer_start(f->patience, ms);
    return f->patience != NULL;
}

static void on_head(void *arg, const struct head *h)
{
    struct fetch *f = arg;
    f->response = h;
    f->upstream_status = h->status;
    f->wait_us = exchange_wait_us(f->exchange);
    f->head_mono_ms = mono_now_ms();
    if (f->is_conditional && h->status == 304 && !take_confirmation(f, h)) {
        ask_plainly(f);
        return;
    }
    if (f->mode == FETCH_STREAM) {
        flow_on_stream_head(f->client, h, STORE_YES);
        return;
    }
    f->verdict = judge_head(f);
    h = f->response; /* a merged one, perhaps */
    bool is_too_large = h->has_content_length && h->content_length > max_object(f);
    if ((f->verdict == STORE_YES || is_shared_failure(f)) && !is_too_large && may_collect(f))
        return;
    if (f->verdict == STORE_YES && !is_too_large)
        f->verdict = STORE_NO_ENDLESS;
    count(f->verdict == STORE_YES ? &fetch_counters(f)->refused_too_large
                                  : &fetch_counters(f)->refused[f->verdict]);
    land_unstorable(f, f->verdict);
    go_stream(f, f->verdict);
}

static void give_up_collecting(struct fetch *f)
{
    count(&fetch_counters(f)->refused_too_large);
    land_unstorable(f, STORE_YES);
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
        fetch_land(f);
    else if (f->client)
        flow_on_stream_end(f->client);
    fetch_free(f);
}

static void on_error(void *arg, enum upstream_error error)
{
    struct fetch *f = arg;
    f->exchange = NULL;
    count(&fetch_counters(f)->upstream_errors);
    if (f->mode == FETCH_COLLECT) {
        fetch_fail(f, error);
        return;
    }
    if (f->client)
        flow_on_stream_error(f->client, error);
    fetch_free(f);
}

static void on_writable(void *arg)
{
    struct fetch *f = arg;
    if (f->client)
        flow_on_writable(f->client);
}

static const struct exchange_ops fetch_ops = {.on_interim = on_interim,
                                              .on_head = on_head,
                                              .on_body = on_body,
                                              .on_end = on_end,
                                              .on_writable = on_writable,
                                              .on_error = on_error};

void fetch_fail(struct fetch *f, enum upstream_error error)
{
    struct flight_result r = {.outcome = FLIGHT_FAILED, .error = (int)error};
    fetch_note_failed_refresh(f);
    (void)store_land(f->w->store, take(f->flight), &r, NULL, 0, mono_now_ms());
    if (f->client)
        flow_on_landed(f->client, &r, false, STORE_YES);
    fetch_free(f);
}

static bool start_exchange(struct fetch *f, const struct exchange_request *req)
{
    f->exchange = exchange_start(f->w->pools[f->l.route->upstream], req, &fetch_ops, f);
    return f->exchange != NULL;
}

bool fetch_begin(struct fetch *f, const struct exchange_request *req)
{
    struct route_counters *c = fetch_counters(f);
    f->asked_mono_ms = mono_now_ms();
    if (f->w->shared->tier && f->flight)
        tier_stamp_now(f->w->shared->tier, &f->stamp);
    if (!start_exchange(f, req))
        return false;
    count(&c->fetches);
    if (f->is_refresh) {
        count(&c->refreshes);
        if (f->old && entry_use_at(f->old, f->asked_mono_ms) == ENTRY_FRESH)
            count(&c->refreshes_ahead);
    }
    return true;
}

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
    f->is_refresh = !s->client;
    if (f->is_refresh)
        s->w->refreshing++;
    f->l.route = s->l->route;
    f->l.is_https = s->l->is_https;
    f->l.value_count = s->flight ? s->l->value_count : 0;
    memcpy(f->l.value, s->l->value, f->l.value_count * sizeof(f->l.value[0]));
    f->client = s->client;
    f->flight = s->flight;
    f->old = s->old ? entry_ref(s->old) : NULL;
    f->mode = s->flight ? FETCH_COLLECT : FETCH_STREAM;
    f->body = evbuffer_new();
    if (!f->body || (s->flight && !copy_request(f, s)))
        goto fail;
    f->is_part = s->is_part;
    f->is_conditional = s->plain_head.len > 0;
    f->method = s->exchange.method;
    f->first_byte_timeout_ms = s->exchange.first_byte_timeout_ms;
    if (f->is_conditional)
        f->plain_head = span_of(copy_text(s->plain_head), s->plain_head.len);
    if (f->is_conditional && !f->plain_head.p)
        goto fail;
    if (!fetch_ask_shared(f, s) && !fetch_begin(f, &s->exchange))
        goto fail;
    list_push_back(&s->w->fetches, &f->link);
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
        if (f->client || (!f->exchange && !f->get))
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

unsigned fetch_status(const struct fetch *f)
{
    return f->upstream_status;
}

uint64_t fetch_wait_us(const struct fetch *f)
{
    return f->wait_us;
}
