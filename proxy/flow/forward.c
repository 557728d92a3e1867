/* The request's head as the upstream gets it: built anew from parsed fields, end-to-end ones in
 * their order, framing and forwarding fields of our own.
 *
 * A fetch for the cache asks for the whole answer, or for the part that it is kept under: the
 * client's conditions stay behind. Those of a stored answer that is validated stand in their place
 * (RFC 9111 section 4.3.1). */
#include "flow-internal.h"

static bool is_forwarding(enum field_id id)
{
    switch (id) {
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_REAL_IP:
    case FIELD_FORWARDED:
    case FIELD_X_REQUEST_ID:
    case FIELD_X_ORIGINAL_URL: /* unkeyed, and some apps route by them: never from a client */
    case FIELD_X_REWRITE_URL:
        return true;
    default:
        return false;
    }
}

static bool is_client_condition(enum field_id id)
{
    switch (id) {
    case FIELD_IF_MATCH:
    case FIELD_IF_NONE_MATCH:
    case FIELD_IF_MODIFIED_SINCE:
    case FIELD_IF_UNMODIFIED_SINCE:
    case FIELD_IF_RANGE:
    case FIELD_RANGE:
    case FIELD_X_HTTP_METHOD_OVERRIDE: /* would choose another answer under the same key */
        return true;
    default:
        return false;
    }
}

static void add_field(struct buf *out, const char *name, struct span value)
{
    buf_add_str(out, name);
    buf_add_str(out, ": ");
    buf_add_span(out, value);
    buf_add_str(out, "\r\n");
}

/* X-Forwarded-*: a trusted peer's are continued, anybody else's are overwritten. What an alias asks
 * for says already who its client is. */
static void add_forwarded(const struct forward *f, bool is_trusted, struct buf *out)
{
    const struct head *h = f->head;
    bool is_believed = is_trusted || f->is_for_alias, is_first = true;
    buf_add_str(out, "X-Forwarded-For: ");
    for (unsigned i = 0; is_believed && i < h->field_count; i++) {
        if (h->fields[i].id != FIELD_X_FORWARDED_FOR || h->fields[i].value.len == 0)
            continue;
        buf_add_str(out, is_first ? "" : ", ");
        buf_add_span(out, h->fields[i].value);
        is_first = false;
    }
    if (!f->is_for_alias || is_first) {
        buf_add_str(out, is_first ? "" : ", ");
        buf_add_span(out, gate_peer(f->gate));
    }
    buf_add_str(out, "\r\n");
    const struct field *proto =
        is_believed || f->is_warm ? head_field(h, FIELD_X_FORWARDED_PROTO) : NULL;
    struct span ours = gate_is_tls(f->gate) ? SPAN_LIT("https") : SPAN_LIT("http");
    add_field(out, "X-Forwarded-Proto", proto ? proto->value : ours);
    const struct field *host = is_believed ? head_field(h, FIELD_X_FORWARDED_HOST) : NULL;
    struct span name = host ? host->value : h->host;
    if (name.len)
        add_field(out, "X-Forwarded-Host", name);
}

static void add_via(const struct head *h, struct buf *out)
{
    buf_add_str(out, "Via: ");
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id != FIELD_VIA || h->fields[i].value.len == 0)
            continue;
        buf_add_span(out, h->fields[i].value);
        buf_add_str(out, ", ");
    }
    buf_add_str(out, h->minor ? "1.1 larder\r\n" : "1.0 larder\r\n");
}

static void add_target(const struct head *h, const struct route *r, struct buf *out)
{
    if (r->unknown != UNKNOWN_DROP || !r->cached) {
        buf_add_span(out, h->target);
        return;
    }
    buf_add_span(out, h->path);
    struct buf kept;
    char block[KEY_BYTES_MAX];
    buf_init_fixed(&kept, block, sizeof(block));
    route_query_keep(r, h->query, &kept);
    if (kept.len == 0)
        return;
    buf_add_char(out, '?');
    buf_add_span(out, buf_span(&kept));
    out->failed |= kept.failed;
}

static void add_framing(bool body_chunked, uint64_t body_bytes, bool has_body, bool has_length,
                        enum method m, struct buf *out)
{
    if (body_chunked) {
        buf_add_str(out, "Transfer-Encoding: chunked\r\n");
    } else if (has_body || has_length || m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH) {
        buf_add_str(out, "Content-Length: "); /* RFC 9110 section 8.6: a POST without body says 0 */
        buf_add_u64(out, body_bytes);
        buf_add_str(out, "\r\n");
    }
}

/* "q=0", "q=0.000" */
static bool is_zero_weight(struct span weight)
{
    for (size_t i = 2; i < weight.len; i++)
        if (weight.p[i] != '0' && weight.p[i] != '.')
            return false;
    return weight.len > 2;
}

/* "gzip" or "gzip;q=0.5", but not "gzip;q=0" (RFC 9110 section 12.5.3). */
static bool takes_gzip(const struct head *h)
{
    struct span rest, member, weight;
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id != FIELD_ACCEPT_ENCODING)
            continue;
        rest = h->fields[i].value;
        while (field_list_next(&rest, &member)) {
            struct span name = span_trim(span_split(member, ';', &weight));
            if (span_eq_nocase(name, SPAN_LIT("gzip")) && !is_zero_weight(span_trim(weight)))
                return true;
        }
    }
    return false;
}

/* Of an answer that is looked into only encodings that can be unpacked are asked for. */
static void add_accept_encoding(const struct forward *f, struct buf *out)
{
    if (takes_gzip(f->head))
        add_field(out, "Accept-Encoding", SPAN_LIT("gzip"));
}

/* RFC 9111 section 4.3.1. */
static void add_conditions(const struct entry *e, struct buf *out)
{
    struct span changed = validate_stored_field(e, SPAN_LIT("last-modified"));
    if (e->etag.len && !e->is_etag_ours)
        add_field(out, "If-None-Match", e->etag);
    if (changed.len)
        add_field(out, "If-Modified-Since", changed);
}

/* RFC 9110 section 7.8. */
static void add_upgrade(const struct head *h, struct buf *out)
{
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id == FIELD_UPGRADE)
            add_field(out, "Upgrade", h->fields[i].value);
    }
    buf_add_str(out, "Connection: Upgrade\r\n");
}

/* Of the old upgrade to HTTP/2, and of one connection only (RFC 7540 section 3.2.1). Where a client
 * fails to say so, an upstream would take it, and further requests would pass unseen. */
static bool is_of_h2c(const struct field *field)
{
    return field->id == FIELD_OTHER && span_eq_nocase(field->name, SPAN_LIT("http2-settings"));
}

static bool is_left_out(const struct forward *f, const struct field *field)
{
    if (field->id == FIELD_HOST || field->id == FIELD_CONTENT_LENGTH || field->id == FIELD_EXPECT ||
        field->id == FIELD_VIA || is_forwarding(field->id) || field->id == FIELD_LARDER_WARM ||
        field_is_hop_by_hop(f->head, field) || is_of_h2c(field))
        return true;
    /* CGI and WSGI write both as HTTP_X_REAL_IP: what larder says of the client, what the key holds
       and what is a credential must not have a second spelling */
    if (!f->config->limits.passes_underscores && memchr(field->name.p, '_', field->name.len))
        return true;
    if (!f->is_fetch)
        return false;
    /* an answer that is nobody's must not depend on who asks */
    bool is_nobodys = f->route->identity == IDENTITY_NONE && field_is_credential(field);
    bool is_range = f->is_part && field->id == FIELD_RANGE;
    return (is_client_condition(field->id) && !is_range) || is_nobodys ||
           (f->is_looked_into && field->id == FIELD_ACCEPT_ENCODING);
}

void forward_head_format(const struct forward *f, struct buf *out)
{
    const struct head *h = f->head;
    const struct config *c = f->config;
    bool is_trusted = cidr_contains(c->trusted, c->trusted_count, gate_peer_addr(f->gate));
    /* an entry made for HEAD would have no body: the cache asks for the whole answer */
    buf_add_span(out, f->is_fetch && h->method == METHOD_HEAD ? SPAN_LIT("GET") : h->method_text);
    buf_add_char(out, ' ');
    add_target(h, f->route, out);
    buf_add_str(out, " HTTP/1.1\r\n");
    add_field(out, "Host", h->host);
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *field = &h->fields[i];
        if (is_left_out(f, field))
            continue;
        buf_add_span(out, field->name);
        buf_add_str(out, ": ");
        buf_add_span(out, field->value);
        buf_add_str(out, "\r\n");
    }
    if (f->is_fetch && f->is_looked_into)
        add_accept_encoding(f, out);
    if (f->validate)
        add_conditions(f->validate, out);
    add_forwarded(f, is_trusted, out);
    add_via(h, out);
    add_field(out, "X-Request-Id", f->id);
    if (f->is_upgrade)
        add_upgrade(h, out);
    add_framing(f->body_chunked, f->body_bytes, f->has_body, h->has_content_length, h->method, out);
    buf_add_str(out, "\r\n");
}
