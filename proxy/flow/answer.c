/* Answers: a response's head as clients get it, the entry made of it, and the few lines that
 * differ each time. */
#include "flow-internal.h"

#include <larder/base/gunzip.h>
#include <larder/http/conditional.h>
#include <larder/http/date.h>
#include <larder/http/range.h>

#include <stdlib.h>

static bool is_sane_id(struct span id)
{
    if (id.len == 0 || id.len > 128)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.p[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '_' || c == '-';
        if (!ok)
            return false;
    }
    return true;
}

/* A trusted peer's id is kept; otherwise 16 hex digits, unique in the fleet by their random seed.
 */
void request_id_make(struct worker *w, const struct head *h, const struct gate *g, struct buf *out)
{
    const struct config *c = w->config;
    const struct field *f = c->trusted_count ? head_field(h, FIELD_X_REQUEST_ID) : NULL;
    if (f && is_sane_id(f->value) &&
        cidr_contains(c->trusted, c->trusted_count, gate_peer_addr(g))) {
        buf_add_span(out, f->value);
        return;
    }
    uint64_t x = w->id_seed + w->id_next++ * 0x9e3779b97f4a7c15u; /* a Weyl sequence: no repeat */
    char hex[REQUEST_ID_LEN];
    for (int i = REQUEST_ID_LEN - 1; i >= 0; i--, x >>= 4)
        hex[i] = "0123456789abcdef"[x & 15];
    buf_add(out, hex, sizeof(hex));
}

static void add_part_lines(const struct answer_shape *s, struct buf *out)
{
    buf_add_str(out, "Content-Range: bytes ");
    buf_add_u64(out, s->first);
    buf_add_char(out, '-');
    buf_add_u64(out, s->last);
    buf_add_char(out, '/');
    buf_add_u64(out, s->length);
    buf_add_str(out, "\r\nContent-Length: ");
    buf_add_u64(out, s->body.len);
    buf_add_str(out, "\r\n");
}

void answer_lines_format(const struct answer_lines *l, mono_ms now, struct buf *out)
{
    if (l->shape->start.len)
        add_part_lines(l->shape, out);
    uint64_t age_s = entry_age_s(l->entry, now);
    if (!l->is_first || age_s) { /* RFC 9111 section 5.1: Age says that it comes out of a cache */
        buf_add_str(out, "Age: ");
        buf_add_u64(out, age_s);
        buf_add_str(out, "\r\n");
    }
    buf_add_str(out, "Cache-Status: larder; ");
    if (l->cache_status.len) {
        buf_add_span(out, l->cache_status);
    } else {
        int64_t ttl = entry_ttl_s(l->entry, now);
        buf_add_str(out, "hit; ttl=");
        if (ttl < 0)
            buf_add_char(out, '-');
        buf_add_u64(out, (uint64_t)(ttl < 0 ? -ttl : ttl));
        if (l->detail) {
            buf_add_str(out, "; detail=");
            buf_add_str(out, l->detail);
        }
    }
    buf_add_str(out, "\r\nX-Request-Id: ");
    buf_add_span(out, l->id);
    if (l->close)
        buf_add_str(out, "\r\nConnection: close\r\n\r\n");
    else if (l->keep_alive_10)
        buf_add_str(out, "\r\nConnection: keep-alive\r\n\r\n");
    else
        buf_add_str(out, "\r\n\r\n");
}

static void add_date(struct buf *out)
{
    char date[DATE_LEN];
    date_format(unix_now_ms() / 1000, date);
    buf_add_str(out, "Date: ");
    buf_add(out, date, sizeof(date));
    buf_add_str(out, "\r\n");
}

static void add_line(struct buf *out, struct span name, struct span value)
{
    buf_add_span(out, name);
    buf_add_str(out, ": ");
    buf_add_span(out, value);
    buf_add_str(out, "\r\n");
}

static void add_status_line(const struct head *h, struct buf *out)
{
    buf_add_str(out, "HTTP/1.1 ");
    buf_add_u64(out, h->status);
    buf_add_char(out, ' ');
    buf_add_span(out, h->reason);
    buf_add_str(out, "\r\n");
}

/* Fields that larder writes itself or that mean something between it and the upstream only. */
static bool is_ours(const struct field *f, bool for_store)
{
    switch (f->id) {
    case FIELD_VIA:
    case FIELD_X_REQUEST_ID:
    case FIELD_LARDER_CACHE_CONTROL:
        return true;
    case FIELD_CONTENT_LENGTH: /* a stored answer gets its own */
    case FIELD_AGE:
    case FIELD_CACHE_STATUS:
        return for_store;
    default:
        return false;
    }
}

static bool begins_with(struct span name, struct span prefix)
{
    return name.len >= prefix.len && span_eq_nocase(span_of(name.p, prefix.len), prefix);
}

/* RateLimit, RateLimit-Policy, X-RateLimit-Limit and all their like: what one client has left. */
static bool is_of_limits(const struct field *f)
{
    return f->id == FIELD_OTHER && (span_eq_nocase(f->name, SPAN_LIT("RateLimit")) ||
                                    begins_with(f->name, SPAN_LIT("RateLimit-")) ||
                                    begins_with(f->name, SPAN_LIT("X-RateLimit-")) ||
                                    begins_with(f->name, SPAN_LIT("X-Rate-Limit-")));
}

/* Of a 429 Retry-After means one client; of others (503) it is the app's word to all. */
static bool is_one_clients(const struct head *h, const struct field *f)
{
    return is_of_limits(f) ||
           (h->status == 429 && span_eq_nocase(f->name, SPAN_LIT("Retry-After")));
}

void answer_own_format(const struct head *h, bool has_limits, struct buf *out)
{
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        if (is_one_clients(h, f) && !field_is_hop_by_hop(h, f) && !(has_limits && is_of_limits(f)))
            add_line(out, f->name, f->value);
    }
}

/* "2, 2" is one number, and is written so (RFC 9110 section 8.6). */
static void add_length(const struct head *h, const struct field *f, struct buf *out)
{
    buf_add_span(out, f->name);
    buf_add_str(out, ": ");
    buf_add_u64(out, h->content_length);
    buf_add_str(out, "\r\n");
}

static bool is_stripped(const struct head *h, const struct field *f, unsigned how)
{
    return is_ours(f, how & ANSWER_FOR_STORE) || field_is_hop_by_hop(h, f) ||
           (how & ANSWER_LESS_COOKIES && f->id == FIELD_SET_COOKIE) ||
           (how & ANSWER_LESS_LIMITS && is_of_limits(f)) ||
           (how & ANSWER_FOR_STORE && is_one_clients(h, f));
}

void answer_head_format(const struct head *h, unsigned how, struct buf *out)
{
    add_status_line(h, out);
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        if (is_stripped(h, f, how))
            continue;
        /* one is enough, and a 204 has none (RFC 9110 section 8.6) */
        if (f->id == FIELD_CONTENT_LENGTH &&
            (h->status == 204 || f != head_field(h, FIELD_CONTENT_LENGTH)))
            continue;
        if (f->id == FIELD_CONTENT_LENGTH && h->has_content_length)
            add_length(h, f, out);
        else
            add_line(out, f->name, f->value);
    }
    if (!head_field(h, FIELD_DATE))
        add_date(out); /* RFC 9110 section 6.6.1 */
    buf_add_str(out, "Via: ");
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id == FIELD_VIA && h->fields[i].value.len) {
            buf_add_span(out, h->fields[i].value);
            buf_add_str(out, ", ");
        }
    }
    buf_add_str(out, "1.1 larder\r\n");
}

static void add_interim(const struct head *h, bool has_limits, struct buf *out)
{
    add_status_line(h, out);
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        if (!field_is_hop_by_hop(h, f) && !is_ours(f, true) && !(has_limits && is_of_limits(f)))
            add_line(out, f->name, f->value);
    }
}

void answer_interim_format(const struct head *h, struct buf *out)
{
    add_interim(h, false, out);
    buf_add_str(out, "\r\n");
}

void answer_switch_format(const struct head *h, struct span id, struct span limits, struct buf *out)
{
    add_interim(h, limits.len > 0, out);
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id == FIELD_UPGRADE)
            add_line(out, SPAN_LIT("Upgrade"), h->fields[i].value);
    }
    add_line(out, SPAN_LIT("Connection"), SPAN_LIT("Upgrade"));
    add_line(out, SPAN_LIT("X-Request-Id"), id);
    buf_add_span(out, limits);
    buf_add_str(out, "\r\n");
}

/* RFC 9110 section 15.4.5: what a 200 would have said of these goes into the 304. */
static void format_304(const struct head *h, struct span etag, struct buf *out)
{
    buf_add_str(out, "HTTP/1.1 304 Not Modified\r\n");
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        if (is_stripped(h, f, ANSWER_FOR_STORE) || f->id == FIELD_ETAG)
            continue;
        if (f->id == FIELD_CONTENT_TYPE || f->id == FIELD_CONTENT_ENCODING ||
            f->id == FIELD_SET_COOKIE)
            continue;
        add_line(out, f->name, f->value);
    }
    if (!head_field(h, FIELD_DATE))
        add_date(out);
    if (etag.len)
        add_line(out, SPAN_LIT("ETag"), etag);
    buf_add_str(out, "Via: 1.1 larder\r\n");
}

static bool is_not_modified(const struct head *request, const struct entry *e)
{
    bool has_date = e->last_modified_unix_s >= 0;
    if (e->status != 200 || (request->method != METHOD_GET && request->method != METHOD_HEAD))
        return false;
    /* RFC 9111 section 4.3.2: without a Last-Modified the Date stands in for it */
    return conditional_is_not_modified(request, e->etag,
                                       has_date ? e->last_modified_unix_s : e->date_unix_s);
}

static enum range_result range_of(const struct head *request, const struct entry *e,
                                  uint64_t *ret_first, uint64_t *ret_last)
{
    struct range_facts facts = {
        .etag = e->etag, .last_modified_unix_s = e->last_modified_unix_s, .length = e->body.len};
    if (e->status != 200)
        return RANGE_WHOLE;
    return range_judge(request, &facts, ret_first, ret_last);
}

static const char PART_START[] = "HTTP/1.1 206 Partial Content\r\n";

void answer_shape(const struct head *request, const struct entry *e, struct answer_shape *ret)
{
    *ret = (struct answer_shape){.status = e->status, .head = e->head, .body = e->body};
    if (is_not_modified(request, e)) {
        ret->status = 304;
        ret->head = e->head_304;
        ret->body = span_of(NULL, 0);
        return;
    }
    switch (range_of(request, e, &ret->first, &ret->last)) {
    case RANGE_WHOLE:
        break;
    case RANGE_UNSATISFIABLE:
        ret->status = 416;
        ret->length = e->body.len;
        return;
    case RANGE_PART:
        ret->status = 206;
        ret->length = e->body.len;
        ret->start = span_of(PART_START, sizeof(PART_START) - 1);
        ret->head = span_of(e->head.p + e->status_line_len,
                            e->head.len - e->status_line_len - e->length_line_len);
        ret->body = span_of(e->body.p + ret->first, (size_t)(ret->last - ret->first) + 1);
        return;
    }
    if (request->method == METHOD_HEAD)
        ret->body = span_of(NULL, 0);
}

/* A strong validator where the app gives none, so that clients of legacy apps get their 304s. */
static struct span make_etag(const struct head *h, struct span body, char block[40])
{
    const struct field *f = head_field(h, FIELD_ETAG);
    if (f)
        return f->value;
    if (h->status != 200)
        return span_of(NULL, 0);
    uint8_t digest[32];
    digest_of(body.p, body.len, digest);
    block[0] = '"';
    hex_format(digest, 16, block + 1);
    block[33] = '"';
    return span_of(block, 34);
}

/* What judges an answer and goes no further: needed again when it is validated. */
static void add_hidden(const struct head *h, struct buf *out)
{
    for (unsigned i = 0; i < h->field_count; i++)
        if (h->fields[i].id == FIELD_LARDER_CACHE_CONTROL)
            add_line(out, h->fields[i].name, h->fields[i].value);
}

struct entry *answer_entry_new(const struct head *h, bool has_cookies, struct entry_parts *parts)
{
    char etag_block[40];
    struct span etag = make_etag(h, parts->body, etag_block);
    cleanup(buf_fini) struct buf head;
    cleanup(buf_fini) struct buf head_304;
    cleanup(buf_fini) struct buf hidden;
    buf_init(&head, 256 * 1024);
    buf_init(&head_304, 256 * 1024);
    buf_init(&hidden, 256 * 1024);
    answer_head_format(h, ANSWER_FOR_STORE | (has_cookies ? 0 : ANSWER_LESS_COOKIES), &head);
    add_hidden(h, &hidden);
    if (etag.len && !head_field(h, FIELD_ETAG))
        add_line(&head, SPAN_LIT("ETag"), etag);
    size_t before = head.len;
    if (status_has_body(h->status, METHOD_GET)) {
        buf_add_str(&head, "Content-Length: ");
        buf_add_u64(&head, parts->body.len);
        buf_add_str(&head, "\r\n");
    }
    format_304(h, etag, &head_304);
    if (head.failed || head_304.failed || hidden.failed)
        return NULL;
    const struct field *lm = head_field(h, FIELD_LAST_MODIFIED);
    const struct field *date = head_field(h, FIELD_DATE);
    parts->last_modified_unix_s = -1;
    if (!date || !date_parse(date->value, unix_now_ms() / 1000, &parts->date_unix_s))
        parts->date_unix_s = unix_now_ms() / 1000;
    if (lm && !date_parse(lm->value, unix_now_ms() / 1000, &parts->last_modified_unix_s))
        parts->last_modified_unix_s = -1;
    parts->kind = ENTRY_RESPONSE;
    parts->status = (uint16_t)h->status;
    parts->head = buf_span(&head);
    parts->head_304 = buf_span(&head_304);
    parts->hidden = buf_span(&hidden);
    parts->length_line_len = head.len - before;
    parts->etag = etag;
    parts->is_etag_ours = !head_field(h, FIELD_ETAG);
    return entry_new(parts);
}

/* --- does an answer name the Host that it was asked by? --- */

enum { HOST_MAX = 255 };

/* "/HOST", of "//HOST" or of JSON's "\/\/HOST". */
static bool has_host(struct span text, struct span host)
{
    const char *p = text.p, *end = text.p + text.len;
    while (p && p < end && (p = memmem(p, (size_t)(end - p), host.p, host.len))) {
        if (p > text.p && p[-1] == '/')
            return true;
        p++;
    }
    return false;
}

/* In a text that comes in parts: the end of one and the beginning of the next are one text, too. */
struct host_search {
    struct span host;
    char seam[2 * HOST_MAX + 2];
    size_t kept; /* bytes of the last part in <seam> */
    bool is_found;
};

static enum err_code on_part(void *arg, struct span part)
{
    struct host_search *s = arg;
    size_t most = s->host.len, head = part.len < most ? part.len : most;
    memcpy(s->seam + s->kept, part.p, head);
    s->is_found = has_host(span_of(s->seam, s->kept + head), s->host) || has_host(part, s->host);
    size_t tail = part.len < most + 1 ? part.len : most + 1;
    if (tail < most + 1) { /* a short part: what was kept before it stays beside it */
        size_t all = s->kept + head, keep = all < most + 1 ? all : most + 1;
        memmove(s->seam, s->seam + all - keep, keep);
        s->kept = keep;
    } else {
        memcpy(s->seam, part.p + part.len - tail, tail);
        s->kept = tail;
    }
    return s->is_found ? ERR_BUSY : ERR_OK;
}

/* True also where it cannot be unpacked. */
static bool packed_has_host(struct span body, struct span host)
{
    enum { TEXT_MAX = 16 << 20 }; /* more would hold the worker up */
    struct host_search s = {.host = host};
    struct gunzip *g = gunzip_new();
    enum err_code rc = g ? gunzip_feed(g, body, TEXT_MAX, on_part, &s) : ERR_NOMEM;
    bool is_read = !rc && gunzip_is_whole(g);
    gunzip_free(g);
    return !is_read || s.is_found;
}

bool answer_names_host(const struct head *request, const struct head *h, struct evbuffer *body)
{
    struct span port, host = span_split(request->host, ':', &port);
    const struct field *coding = head_field(h, FIELD_CONTENT_ENCODING);
    if (host.len == 0)
        return false;
    for (unsigned i = 0; i < h->field_count; i++)
        if (h->fields[i].id != FIELD_ACCESS_CONTROL_ALLOW_ORIGIN &&
            has_host(h->fields[i].value, host))
            return true;
    size_t len = evbuffer_get_length(body);
    if (len == 0)
        return false;
    struct span text = span_of((const char *)evbuffer_pullup(body, -1), len);
    if (!coding)
        return has_host(text, host);
    if (host.len > HOST_MAX || !span_eq_nocase(coding->value, SPAN_LIT("gzip")))
        return true; /* it may */
    return packed_has_host(text, host);
}
