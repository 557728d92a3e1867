/* One upstream exchange. A fetch for the cache belongs to no client: it collects the answer and
 * lands its flight, whoever is still there. When the answer turns out not to be storable, the
 * flight lands at once, so that nobody queues behind it, and the fetch becomes the stream of the
 * client that led it. */
#include "flow-internal.h"

#include <larder/http/vary.h>

#include <stdlib.h>

struct fetch {
    struct list link;
    struct worker *w;
    const struct route *route;
    enum fetch_mode mode;
    struct exchange *exchange;
    struct flow *client;   /* NULL once it has left */
    struct flight *flight; /* NULL once landed */
    struct evbuffer *body;
    const struct head *response; /* the exchange's */
    uint64_t lifetime_ms, age_ms, wait_us;
    char *request_text; /* the leader's head: judged and varied by when the answer comes */
    struct head *request;
};

static void fetch_free(struct fetch *f)
{
    list_remove(&f->link);
    if (f->body)
        evbuffer_free(f->body);
    free(f->request_text);
    free(f->request);
    free(f);
}

static uint64_t max_object(const struct fetch *f)
{
    uint64_t all = f->w->config->cache.max_object_bytes, own = f->route->max_object_bytes;
    return own && own < all ? own : all;
}

/* The marker that keeps the next requests for this key from queueing. */
static struct entry *pass_marker(const struct fetch *f, mono_ms now)
{
    struct entry_parts parts = {.kind = ENTRY_PASS,
                                .route = f->route->index,
                                .key = flight_key(f->flight),
                                .tags = flight_tags(f->flight),
                                .stored_mono_ms = now,
                                .lifetime_ms = f->w->config->cache.pass_memory_ms,
                                .last_modified_unix_s = -1};
    return entry_new(&parts);
}

static void land_unstorable(struct fetch *f, bool is_remembered)
{
    mono_ms now = mono_now_ms();
    cleanup(entry_unrefp) struct entry *marker = is_remembered ? pass_marker(f, now) : NULL;
    struct flight_result r = {.outcome = FLIGHT_UNSTORABLE};
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

static void on_head(void *arg, const struct head *h)
{
    struct fetch *f = arg;
    f->response = h;
    f->wait_us = exchange_wait_us(f->exchange);
    if (f->mode == FETCH_STREAM) {
        flow_on_stream_head(f->client, h, STORE_YES);
        return;
    }
    enum store_verdict v = fresh_judge(&f->route->fresh, f->request, h, unix_now_ms() / 1000,
                                       &f->lifetime_ms, &f->age_ms);
    bool is_too_large = h->has_content_length && h->content_length > max_object(f);
    if (v == STORE_YES && !is_too_large)
        return; /* collect */
    struct route_counters *c = &f->w->routes[f->route->index];
    count(v == STORE_YES ? &c->refused_too_large : &c->refused[v]);
    /* a failing app may be well again in a moment: its errors are not remembered */
    land_unstorable(f, h->status < 500);
    go_stream(f, v);
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
    count(&f->w->routes[f->route->index].refused_too_large);
    land_unstorable(f, true);
    go_stream(f, STORE_YES); /* the client takes what has been collected; f may be gone */
}

/* The names by which the answer varies, with the key it is stored under; false: too long. */
static bool variant_of(struct fetch *f, struct buf *names, struct buf *text,
                       struct cache_key *ret_key)
{
    const struct cache_key *k = flight_key(f->flight);
    struct lookup l;
    cache_key_init(&l.key, span_of(k->text.p, k->primary_len));
    if (!f->route->vary_ignored && !vary_names(f->response, names))
        return false;
    if (names->len == 0) {
        buf_add_span(text, l.key.text);
        cache_key_init(ret_key, buf_span(text));
        return !text->failed;
    }
    return !names->failed && lookup_variant_key(&l, f->request, buf_span(names), text, ret_key);
}

static struct entry *vary_marker(const struct fetch *f, struct span names, mono_ms now)
{
    struct cache_key key;
    const struct cache_key *k = flight_key(f->flight);
    cache_key_init(&key, span_of(k->text.p, k->primary_len));
    struct entry_parts parts = {.kind = ENTRY_VARY,
                                .route = f->route->index,
                                .key = &key,
                                .tags = flight_tags(f->flight),
                                .stored_mono_ms = now,
                                .lifetime_ms = f->lifetime_ms,
                                .last_modified_unix_s = -1,
                                .body = names};
    return entry_new(&parts);
}

/* The collected answer becomes an entry; the flight lands with it. */
static void land_answer(struct fetch *f)
{
    char names_block[1024], text_block[KEY_BYTES_MAX];
    struct buf names, text;
    struct cache_key key;
    mono_ms now = mono_now_ms();
    buf_init_fixed(&names, names_block, sizeof(names_block));
    buf_init_fixed(&text, text_block, sizeof(text_block));
    size_t len = evbuffer_get_length(f->body);
    struct span body = span_of((const char *)evbuffer_pullup(f->body, -1), len);
    cleanup(entry_unrefp) struct entry *e = NULL;
    cleanup(entry_unrefp) struct entry *marker = NULL;
    if (variant_of(f, &names, &text, &key)) {
        e = answer_entry_new(f->route, &key, flight_tags(f->flight), f->response, body,
                             f->lifetime_ms, f->age_ms, now);
        if (names.len)
            marker = vary_marker(f, buf_span(&names), now);
    }
    bool is_whole = e && (names.len == 0 || marker);
    struct flight_result r = {.outcome = is_whole ? FLIGHT_ANSWER : FLIGHT_FAILED,
                              .entry = e,
                              .vary = marker,
                              .error = UPSTREAM_BAD_ANSWER};
    struct entry *entries[2] = {e, marker};
    enum err_code stored =
        store_land(f->w->store, take(f->flight), &r, entries, is_whole ? (marker ? 2 : 1) : 0, now);
    struct route_counters *c = &f->w->routes[f->route->index];
    if (is_whole && !stored)
        count(&c->stored);
    else if (stored == ERR_TOO_LARGE)
        count(&c->refused_too_large);
    else if (stored)
        count(&c->refused_overtaken);
    if (f->client)
        flow_on_landed(f->client, &r, stored);
}

static void on_end(void *arg)
{
    struct fetch *f = arg;
    evbuffer_add_buffer(f->body, exchange_body(f->exchange));
    f->exchange = NULL; /* ends with this call */
    if (f->mode == FETCH_COLLECT && evbuffer_get_length(f->body) > max_object(f)) {
        count(&f->w->routes[f->route->index].refused_too_large);
        land_unstorable(f, true);
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
    count(&f->w->routes[f->route->index].upstream_errors);
    if (f->mode == FETCH_COLLECT) {
        struct flight_result r = {.outcome = FLIGHT_FAILED, .error = (int)error};
        (void)store_land(f->w->store, take(f->flight), &r, NULL, 0, mono_now_ms());
        if (f->client)
            flow_on_landed(f->client, &r, ERR_OK);
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

/* The leader's head, whose connection may be gone when the answer comes. What is fetched for a
 * HEAD is the answer to the GET. */
static bool copy_request(struct fetch *f, struct span text)
{
    f->request_text = malloc(text.len);
    f->request = malloc(sizeof(*f->request));
    if (!f->request_text || !f->request)
        return false;
    memcpy(f->request_text, text.p, text.len);
    if (head_parse_request(f->request_text, text.len, text.len, f->request) != HEAD_OK)
        return false;
    if (f->request->method == METHOD_HEAD)
        f->request->method = METHOD_GET;
    return true;
}

struct fetch *fetch_start(const struct fetch_start *s)
{
    struct fetch *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    list_init(&f->link);
    f->w = s->w;
    f->route = s->route;
    f->client = s->client;
    f->flight = s->flight;
    f->mode = s->flight ? FETCH_COLLECT : FETCH_STREAM;
    f->body = evbuffer_new();
    if (!f->body || (s->flight && !copy_request(f, s->request_text)))
        goto fail;
    f->exchange = exchange_start(s->w->pools[s->route->upstream], &s->exchange, &fetch_ops, f);
    if (!f->exchange)
        goto fail;
    list_push_back(&s->w->fetches, &f->link);
    count(&s->w->routes[s->route->index].fetches);
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
