/* POST /api/cache/warm: each URL is fetched through larder's own public listener, so that it takes
 * the very way of a client: same route, same key, same judgement. */
#include "control-internal.h"

#include <event2/buffer.h>
#include <stdlib.h>

enum { URLS_MAX = 1000, CONCURRENCY_MAX = 64 };

static const char EXAMPLE[] =
    "{\"urls\": [\"/api/courses?organization_id=1\"], \"concurrency\": 4, \"headers\": {}}";

struct item {
    struct warm *warm;
    struct span url; /* in the document */
    struct exchange *exchange;
    unsigned status;
    enum upstream_error error;
    bool is_done, is_stored;
    char outcome[24];
    uint64_t bytes, started_us, us;
};

struct warm {
    struct list link;
    struct call *call; /* NULL: answered */
    struct control *control;
    struct json_doc *doc;
    const struct json *headers;
    unsigned count, next, running, concurrency, done;
    struct item items[];
};

static void warm_free(struct warm *w)
{
    list_remove(&w->link);
    json_doc_free(w->doc);
    free(w);
}

static void write_item(struct json_writer *w, const struct item *i)
{
    json_write_object(w, NULL);
    json_write_span(w, "url", i->url);
    if (i->error) {
        json_write_str(w, "error", upstream_error_name(i->error));
    } else {
        json_write_u64(w, "status", i->status);
        json_write_str(w, "outcome", i->outcome);
        json_write_bool(w, "stored", i->is_stored);
        json_write_u64(w, "bytes", i->bytes);
    }
    json_write_double(w, "ms", (double)i->us / 1000, 3);
    json_write_object_end(w);
}

static void answer(struct warm *w)
{
    struct call *c = take(w->call);
    unsigned failed = 0;
    struct json_writer out;
    for (unsigned i = 0; i < w->count; i++)
        failed += w->items[i].error || w->items[i].status >= 400;
    json_writer_init(&out, &c->reply);
    json_write_object(&out, NULL);
    json_write_str(&out, "status", failed ? "partial" : "ok");
    json_write_u64(&out, "warmed", w->count - failed);
    json_write_u64(&out, "failed", failed);
    json_write_array(&out, "results");
    for (unsigned i = 0; i < w->count; i++)
        write_item(&out, &w->items[i]);
    json_write_array_end(&out);
    json_write_object_end(&out);
    log_info("control: warm by %s: %u warmed, %u failed", c->peer, w->count - failed, failed);
    warm_free(w);
    call_done(c);
}

static void start_more(struct warm *w);

static void item_done(struct item *i, enum upstream_error e)
{
    struct warm *w = i->warm;
    i->exchange = NULL;
    i->error = e;
    i->is_done = true;
    i->us = mono_now_us() - i->started_us;
    w->running--;
    w->done++;
    start_more(w);
}

/* "larder; hit; ttl=9" and "larder; fwd=uri-miss; stored": the last member is our own. */
static void on_head(void *arg, const struct head *h)
{
    struct item *i = arg;
    struct span status = span_of(NULL, 0);
    i->status = h->status;
    for (unsigned n = 0; n < h->field_count; n++)
        if (h->fields[n].id == FIELD_CACHE_STATUS)
            status = h->fields[n].value;
    struct buf out;
    buf_init_fixed(&out, i->outcome, sizeof(i->outcome) - 1);
    while (status.p) {
        struct span part = span_trim(span_split(status, ';', &status));
        if (span_eq(part, SPAN_LIT("hit")))
            buf_add_str(&out, "hit");
        else if (span_starts_with(part, SPAN_LIT("fwd=")))
            buf_add_span(&out, span_of(part.p + 4, part.len - 4));
        i->is_stored |= span_eq(part, SPAN_LIT("stored"));
    }
}

static void on_body(void *arg)
{
    struct item *i = arg;
    struct evbuffer *body = exchange_body(i->exchange);
    i->bytes += evbuffer_get_length(body);
    evbuffer_drain(body, evbuffer_get_length(body));
}

static void on_end(void *arg)
{
    on_body(arg);
    item_done(arg, UPSTREAM_OK);
}

static void on_writable(void *arg)
{
    (void)arg;
}

static void on_error(void *arg, enum upstream_error e)
{
    item_done(arg, e);
}

static const struct exchange_ops item_ops = {.on_head = on_head,
                                             .on_body = on_body,
                                             .on_end = on_end,
                                             .on_writable = on_writable,
                                             .on_error = on_error};

static void format_head(const struct warm *w, const struct item *i, struct buf *out)
{
    struct span target = i->url, host = span_str(w->control->front_host);
    if (span_starts_with(target, SPAN_LIT("http://"))) {
        struct span rest = span_of(target.p + 7, target.len - 7);
        const char *slash = rest.len ? memchr(rest.p, '/', rest.len) : NULL;
        host = span_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.len);
        target = slash ? span_of(slash, rest.len - host.len) : SPAN_LIT("/");
    }
    buf_add_str(out, "GET ");
    buf_add_span(out, target);
    buf_add_str(out, " HTTP/1.1\r\nHost: ");
    buf_add_span(out, host);
    buf_add_str(out, "\r\nUser-Agent: larder-warm\r\n");
    for (const struct json *h = w->headers ? w->headers->first : NULL; h; h = h->next) {
        buf_add_span(out, h->name);
        buf_add_str(out, ": ");
        buf_add_span(out, h->text);
        buf_add_str(out, "\r\n");
    }
    buf_add_str(out, "\r\n");
}

static void start_item(struct warm *w, struct item *i)
{
    cleanup(buf_fini) struct buf head;
    buf_init(&head, 64 * 1024);
    format_head(w, i, &head);
    struct exchange_request req = {.head = buf_span(&head), .method = METHOD_GET};
    i->started_us = mono_now_us();
    if (!head.failed && w->control->front_pool)
        i->exchange = exchange_start(w->control->front_pool, &req, &item_ops, i);
    if (i->exchange) {
        w->running++;
        return;
    }
    i->error = UPSTREAM_STOPPED;
    i->is_done = true;
    w->done++;
}

static void start_more(struct warm *w)
{
    while (w->next < w->count && w->running < w->concurrency)
        start_item(w, &w->items[w->next++]);
    if (w->done == w->count)
        answer(w);
}

/* What could break out of its line never gets into a head. */
static bool is_clean(struct span s, bool may_have_space)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char b = (unsigned char)s.p[i];
        if (b < 0x20 || b == 0x7f || (b == ' ' && !may_have_space))
            return false;
    }
    return true;
}

static bool check_headers(struct call *c, const struct json *headers)
{
    if (!headers)
        return true;
    for (const struct json *h = headers->first; h; h = h->next) {
        if (headers->type != JSON_OBJECT || h->type != JSON_STRING || !span_is_token(h->name) ||
            !is_clean(h->text, true))
            return !call_fail(c, 400, "bad-value",
                              "\"headers\": each must be a field name with a "
                              "text as its value");
    }
    return true;
}

static bool check_urls(struct call *c, const struct json *urls)
{
    if (!urls || urls->type != JSON_ARRAY || urls->count == 0 || urls->count > URLS_MAX)
        return !call_fail(c, 400, "bad-value", "\"urls\" must hold 1 to %d; write %s", URLS_MAX,
                          EXAMPLE);
    for (const struct json *u = urls->first; u; u = u->next) {
        bool is_url = u->type == JSON_STRING && u->text.len && is_clean(u->text, false) &&
                      (u->text.p[0] == '/' || span_starts_with(u->text, SPAN_LIT("http://")));
        if (!is_url)
            return !call_fail(c, 400, "bad-value",
                              "each of \"urls\" must begin with / or http://, without spaces");
    }
    return true;
}

bool api_warm(struct call *c)
{
    static const char *const known[] = {"urls", "concurrency", "headers"};
    cleanup(json_doc_freep) struct json_doc *doc = call_parse(c, known, array_len(known), EXAMPLE);
    if (!doc)
        return true;
    const struct json *root = json_root(doc), *urls = json_member(root, SPAN_LIT("urls"));
    const struct json *headers = json_member(root, SPAN_LIT("headers"));
    const struct json *concurrency = json_member(root, SPAN_LIT("concurrency"));
    uint64_t n = 4;
    if (!check_urls(c, urls) || !check_headers(c, headers))
        return true;
    if (concurrency && (concurrency->type != JSON_NUMBER ||
                        !span_parse_u64(concurrency->text, &n) || n < 1 || n > CONCURRENCY_MAX))
        return call_fail(c, 400, "bad-value", "\"concurrency\" must be 1 to %d", CONCURRENCY_MAX);
    struct warm *w = calloc(1, sizeof(*w) + urls->count * sizeof(struct item));
    if (!w)
        return call_fail(c, 503, "overloaded", "out of memory");
    list_push_back(&c->control->warms, &w->link);
    w->call = c;
    w->control = c->control;
    w->headers = headers;
    w->concurrency = (unsigned)n;
    for (const struct json *u = urls->first; u; u = u->next) {
        w->items[w->count].warm = w;
        w->items[w->count++].url = u->text;
    }
    w->doc = take(doc);
    start_more(w);
    return false;
}

void warms_stop(struct control *c)
{
    while (!list_is_empty(&c->warms)) /* none is left once the pool has ended its exchanges */
        answer(list_first(&c->warms, struct warm, link));
}
