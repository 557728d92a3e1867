/* Passing through: the client's body goes up, the upstream's answer comes down, both by pieces,
 * each side held back while the other is full. */
#include "flow.h"

#include <stdio.h>

const char *flow_fwd_word(const struct flow *f)
{
    switch (f->reason) {
    case REASON_METHOD:
        return "method";
    case REASON_EXPIRED:
        return "stale";
    case REASON_REQUEST:
    case REASON_NO_STORE:
        return "request";
    case REASON_RANGE:
        return "partial";
    case REASON_ORIGIN:
        return "vary-miss";
    case REASON_INVALIDATED:
    case REASON_WARM:
        return "miss";
    case REASON_ABSENT:
    case REASON_EVICTED:
    case REASON_HIT_FOR_MISS:
    case REASON_WAITERS_FULL:
    case REASON_WAIT_TIMEOUT:
    case REASON_UNSTORABLE:
        return "uri-miss";
    default:
        return "bypass";
    }
}

void flow_cache_status_format(const struct flow *f, unsigned status, struct buf *out)
{
    buf_add_str(out, "fwd=");
    buf_add_str(out, flow_fwd_word(f));
    buf_add_str(out, "; fwd-status=");
    buf_add_u64(out, status);
    if (f->is_stored) {
        buf_add_str(out, "; stored; ttl=");
        int64_t ttl = entry_ttl_s(f->entry, mono_now_ms());
        buf_add_u64(out, ttl > 0 ? (uint64_t)ttl : 0);
    }
    if (f->is_coalesced)
        buf_add_str(out, "; collapsed");
    const char *detail = "";
    if (f->verdict != STORE_YES)
        detail = store_verdict_name(f->verdict);
    else if (f->reason != REASON_ABSENT && f->reason != REASON_EXPIRED)
        detail = reason_name(f->reason);
    if (detail[0]) {
        buf_add_str(out, "; detail=");
        buf_add_str(out, detail);
    }
}

static bool upload_pieces_left(const struct flow *f)
{
    return gate_body_state(f->gate) != BODY_NONE && !f->is_body_whole;
}

/* The stored answer, where the upstream can be asked whether it still holds. */
static const struct entry *validated(const struct flow *f, const struct flight *flight)
{
    bool is_get = f->head->method == METHOD_GET || f->head->method == METHOD_HEAD;
    if (f->reason == REASON_ORIGIN || f->is_whole_stale) /* it may hold, and yet not be meant */
        return NULL;
    return flight && f->stale && is_get && !f->wants_new && entry_has_validator(f->stale) ? f->stale
                                                                                          : NULL;
}

/* The upstream itself is to be asked. */
static bool wants_new(const struct flow *f)
{
    return f->wants_new || f->reason == REASON_WARM || f->reason == REASON_REQUEST ||
           f->reason == REASON_ORIGIN;
}

/* Formats the request's head and starts the exchange; with a flight it is for the cache. */
bool flow_start_fetch(struct flow *f, struct flight *flight)
{
    const struct head *h = f->head;
    bool is_streamed = upload_pieces_left(f);
    bool is_chunked = is_streamed && h->framing == FRAMING_CHUNKED;
    bool is_upgrade = h->has_upgrade && !flight;
    size_t whole_len = evbuffer_get_length(f->body);
    struct span whole = span_of(NULL, 0);
    if (!is_streamed && whole_len > 0)
        whole = span_of((const char *)evbuffer_pullup(f->body, -1), whole_len);
    cleanup(buf_fini) struct buf head;
    cleanup(buf_fini) struct buf plain;
    buf_init(&head, 1024 * 1024);
    buf_init(&plain, 1024 * 1024);
    struct forward forward = {.config = f->w->config,
                              .head = h,
                              .gate = f->gate,
                              .route = f->l.route,
                              .id = buf_span(&f->id),
                              .is_fetch = flight != NULL,
                              .is_part = f->is_part,
                              .is_warm = f->is_warm,
                              .is_for_alias = f->is_for_alias,
                              .is_looked_into = f->w->shared->plans[f->l.route->index] != NULL,
                              .is_upgrade = is_upgrade,
                              .body_chunked = is_chunked,
                              .has_body = is_streamed || whole.len > 0,
                              .body_bytes = is_streamed ? h->content_length : whole.len};
    forward.validate = validated(f, flight);
    forward_head_format(&forward, &head);
    if (take(forward.validate))
        forward_head_format(&forward, &plain);
    if (head.failed || plain.failed)
        return false;
    enum method m = flight && h->method == METHOD_HEAD ? METHOD_GET : h->method;
    struct fetch_start s = {
        .w = f->w,
        .l = &f->l,
        .client = f,
        .flight = flight,
        .old = f->is_whole_stale ? NULL : f->stale,
        .request_text = gate_head_text(f->gate),
        .is_part = f->is_part,
        .wants_new = wants_new(f),
        .plain_head = buf_span(&plain),
        .body = flight ? whole : span_of(NULL, 0),
        .exchange = {.head = buf_span(&head),
                     .method = m,
                     .body_kind = is_streamed ? EXCHANGE_STREAMED_BODY
                                  : whole.len ? EXCHANGE_WHOLE_BODY
                                              : EXCHANGE_NO_BODY,
                     .body = whole,
                     .body_chunked = is_chunked,
                     .is_upgrade = is_upgrade,
                     .is_low = f->is_warm,
                     .first_byte_timeout_ms = f->l.route->first_byte_timeout_ms}};
    f->fetch = fetch_start(&s);
    f->is_upload_done = !is_streamed;
    return f->fetch != NULL;
}

enum flow_state flow_step_pass(struct flow *f)
{
    if (flow_is_unasked(f))
        return flow_limit(f, FLOW_PASS, false);
    f->is_led = f->is_coalesced = false;
    f->stream_head = NULL;
    f->passed_began = tag_now(store_tags(f->w->store));
    f->passed_mono_ms = mono_now_ms();
    if (!flow_start_fetch(f, NULL))
        return flow_fail(f, 503, "overloaded", "out of memory");
    if (!f->is_upload_done)
        gate_body_start(f->gate, f->body_limit);
    return FLOW_STREAM;
}

/* Moves what has come from the client on to the upstream, as far as there is room. */
static void pump_upload(struct flow *f)
{
    struct exchange *x = f->fetch ? fetch_exchange(f->fetch) : NULL;
    if (f->is_upload_done || !x)
        return;
    enum body_state state = gate_body_state(f->gate);
    if (state == BODY_BAD || state == BODY_TOO_LARGE) {
        f->is_upload_failed = true;
        return;
    }
    if (evbuffer_get_length(f->body) > 0)
        exchange_send_body(x, f->body); /* what was read for the key */
    if (exchange_send_pending(x) >= UPLOAD_HIGH)
        return; /* on_writable comes */
    struct evbuffer *body = gate_body(f->gate);
    if (evbuffer_get_length(body) > 0) {
        exchange_send_body(x, body);
        gate_body_taken(f->gate);
    }
    if (gate_body_state(f->gate) == BODY_WHOLE && evbuffer_get_length(body) == 0) {
        exchange_send_end(x);
        f->is_upload_done = true;
    }
}

/* Content-Length has passed in its place (answer_head_format); what has none is sent in chunks. */
static void add_framing(struct flow *f, const struct head *h, struct buf *out)
{
    if (!status_has_body(h->status, f->head->method) || h->framing == FRAMING_LENGTH)
        return;
    if (f->head->minor >= 1) {
        buf_add_str(out, "Transfer-Encoding: chunked\r\n");
        f->is_chunked = true;
    } else {
        f->problem.close = true; /* HTTP/1.0: the end of the connection ends the body */
    }
}

/* --- an answer that is held until others have heard of the write --- */

static void write_bytes(struct flow *f, const void *p, size_t len)
{
    if (f->publication && evbuffer_add(f->held, p, len) == 0)
        return;
    gate_write(f->gate, p, len);
}

static void write_buffer(struct flow *f, struct evbuffer *b)
{
    if (f->publication && evbuffer_add_buffer(f->held, b) == 0)
        return;
    gate_write_buffer(f->gate, b);
}

static void on_published(struct tier_publication *p)
{
    struct flow *f = p->arg;
    tier_publication_free(p);
    if (!f)
        return; /* it has left */
    f->publication = NULL;
    gate_write_buffer(f->gate, f->held);
    flow_run(f);
}

static void apply_write(struct flow *f, const struct head *h)
{
    struct write write = {.l = &f->l,
                          .request = f->head,
                          .response = h,
                          .body = flow_whole_body(f),
                          .json = flow_json(f),
                          .on_done = on_published,
                          .arg = f};
    f->publication = write_apply(f->w, &write);
    if (!f->publication)
        return;
    f->held = evbuffer_new();
    if (!f->held) /* then it is not held */
        take(f->publication)->arg = NULL;
}

/* False: no memory; nothing has been written. */
static bool write_head(struct flow *f)
{
    const struct head *h = f->stream_head;
    f->keep = keep_start(f, h);
    apply_write(f, h);
    if (f->keep)
        keep_note_write(f->keep, f->w);
    if (f->has_key && f->head->method == METHOD_HEAD && !f->is_led)
        keep_head_news(f->w, &f->l, f->head,
                       &(struct head_news){.head = h, .delay_ms = f->upstream_us / 1000});
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 512 * 1024);
    struct span limits = flow_limit_fields(f);
    answer_head_format(h, limits.len ? ANSWER_LESS_LIMITS : 0, &out);
    buf_add_span(&out, limits);
    buf_add_str(&out, "Cache-Status: larder; ");
    flow_cache_status_format(f, f->upstream_status, &out);
    buf_add_str(&out, "\r\nX-Request-Id: ");
    buf_add_span(&out, buf_span(&f->id));
    buf_add_str(&out, "\r\n");
    add_framing(f, h, &out);
    bool has_upload =
        gate_body_state(f->gate) != BODY_NONE && gate_body_state(f->gate) != BODY_WHOLE;
    f->problem.close |= gate_must_close(f->gate) || has_upload;
    if (f->problem.close)
        buf_add_str(&out, "Connection: close\r\n");
    else if (f->head->minor == 0)
        buf_add_str(&out, "Connection: keep-alive\r\n");
    buf_add_str(&out, "\r\n");
    if (out.failed)
        return false;
    write_bytes(f, out.p, out.len);
    f->head_written = true;
    f->is_head_only = !status_has_body(h->status, f->head->method);
    f->status = h->status;
    f->outcome = f->is_led ? "miss" : "bypass";
    return true;
}

/* Moves body bytes down; holds the upstream back while the client is behind. */
static void pump_download(struct flow *f)
{
    struct evbuffer *body = fetch_body(f->fetch);
    size_t len = evbuffer_get_length(body);
    if (f->is_head_only) {
        evbuffer_drain(body, len);
        return;
    }
    if (f->keep && !keep_add(f->keep, body, f->w->config->cache.max_object_bytes))
        keep_free(take(f->keep));
    if (len > 0) {
        f->body_bytes += len;
        if (f->is_chunked) {
            char size[24];
            int n = snprintf(size, sizeof(size), "%zx\r\n", len);
            write_bytes(f, size, (size_t)n);
        }
        write_buffer(f, body);
        if (f->is_chunked)
            write_bytes(f, "\r\n", 2);
    }
    struct exchange *x = fetch_exchange(f->fetch);
    if (!x)
        return;
    size_t held = f->publication ? evbuffer_get_length(f->held) : 0;
    if (gate_pending(f->gate) + held > STREAM_HIGH)
        exchange_pause(x);
    else
        exchange_resume(x);
}

static enum flow_state finish(struct flow *f)
{
    if (f->publication)
        return FLOW_PAUSE; /* on_published() comes */
    if (f->is_chunked && !f->is_head_only)
        gate_write(f->gate, "0\r\n\r\n", 5);
    flow_log(f);
    gate_finish(f->gate, f->problem.close);
    return FLOW_DONE;
}

/* The answer can no longer be made whole: cut, so that nobody takes it for whole. */
static enum flow_state cut(struct flow *f)
{
    f->outcome = "error";
    f->problem.type = upstream_error_name(f->stream_error);
    flow_log(f);
    struct gate *g = f->gate;
    if (f->fetch)
        fetch_leave(take(f->fetch));
    gate_abort(g);
    return FLOW_DONE;
}

enum flow_state flow_step_stream(struct flow *f)
{
    if (f->is_ended && f->head_written && !f->fetch)
        return finish(f); /* it was held; the upstream's head is no more */
    pump_upload(f);
    if (f->is_upload_failed && !f->head_written) {
        if (gate_body_state(f->gate) == BODY_TOO_LARGE)
            return flow_fail(f, 413, "body-too-large", "the request's body is over the limit");
        return flow_fail(f, 400, "bad-body", "the request's chunked body is malformed");
    }
    bool has_failed =
        f->stream_error || (f->stream_head && status_is_failure(f->stream_head->status));
    if (has_failed && !f->head_written && flow_may_hide_error(f)) {
        if (f->fetch)
            fetch_leave(take(f->fetch));
        return flow_serve_stale(f, REASON_IF_ERROR);
    }
    if (f->stream_error || f->is_upload_failed)
        return f->head_written ? cut(f) : flow_fail_upstream(f, f->stream_error);
    if (!f->stream_head)
        return FLOW_PAUSE;
    if (f->stream_head->status == 101)
        return flow_switch(f);
    if (!f->head_written && !write_head(f))
        return flow_fail(f, 503, "overloaded", "out of memory");
    if (f->fetch)
        pump_download(f);
    if (f->is_head_only && f->fetch && fetch_exchange(f->fetch) && f->is_led) {
        /* we asked for the whole answer, and the client wants its head only */
        fetch_leave(take(f->fetch));
        f->is_ended = true;
    }
    return f->is_ended ? finish(f) : FLOW_PAUSE;
}

/* RFC 9110 section 15.2: passed on as it comes; 100 is said by who reads the body: the gate. */
void flow_on_interim(struct flow *f, const struct head *h)
{
    if (h->status == 100 || f->head->minor == 0 || f->head_written)
        return;
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 128 * 1024);
    answer_interim_format(h, &out);
    if (!out.failed)
        gate_write(f->gate, out.p, out.len);
}

void flow_on_stream_head(struct flow *f, const struct head *h, enum store_verdict verdict)
{
    f->stream_head = h;
    f->verdict = verdict;
    f->upstream_us = fetch_wait_us(f->fetch);
    f->upstream_status = fetch_status(f->fetch);
    flow_run(f);
}

void flow_on_stream_body(struct flow *f)
{
    flow_run(f);
}

void flow_on_stream_end(struct flow *f)
{
    f->is_ended = true;
    /* the fetch and its head end with this call: take what is left of the body first */
    if (f->head_written)
        pump_download(f);
    if (f->keep && f->head_written)
        keep_store(f->keep, f->w, f->stream_head);
    f->fetch = NULL;
    flow_run(f);
}

void flow_on_stream_error(struct flow *f, enum upstream_error e)
{
    f->stream_error = e;
    f->fetch = NULL;
    flow_run(f);
}

void flow_on_writable(struct flow *f)
{
    flow_run(f);
}
