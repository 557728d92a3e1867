/* head_request.c: the request line, and what a request's framing and Host may be. */
#include <larder/http/head.h>

#include "http-internal.h"

/* RFC 9112 section 2.2: empty lines before the request line are passed over. */
static enum head_result take_empty_lines(struct head_reader *r)
{
    while (r->p < r->end && *r->p == '\r') {
        enum head_result rc = reader_take_crlf(r);
        if (rc)
            return rc;
    }
    return r->p < r->end ? HEAD_OK : reader_ran_out(r);
}

static enum head_result take_method(struct head_reader *r)
{
    const char *p = r->p;
    r->p = bytes_skip(p, r->end, BYTE_TOKEN);
    if (r->p == r->end)
        return reader_ran_out(r);
    if (*r->p != ' ' || r->p == p)
        return reader_bad(r, "the request line does not begin with a method and one space");
    r->h->method_text = span_of(p, (size_t)(r->p - p));
    r->h->method = method_of(r->h->method_text);
    r->p++;
    return HEAD_OK;
}

static enum head_result take_target(struct head_reader *r)
{
    const char *p = r->p;
    r->too_long = "the request target is too long";
    r->p = bytes_skip_target(p, r->end);
    if (r->p == r->end)
        return reader_ran_out(r);
    if (*r->p != ' ' || r->p == p)
        return reader_bad(r, "the request target is empty or holds a byte that it may not");
    r->h->target = span_of(p, (size_t)(r->p - p));
    r->p++;
    return HEAD_OK;
}

static bool is_host(struct span s)
{
    return bytes_skip(s.p, s.p + s.len, BYTE_HOST) == s.p + s.len;
}

/* Gives the length of "http://" or "https://" at the start of <s>; 0 where there is neither. */
static size_t scheme_len(struct span s)
{
    const struct span http = SPAN_LIT("http://"), https = SPAN_LIT("https://");
    if (s.len > http.len && span_eq_nocase(span_of(s.p, http.len), http))
        return http.len;
    if (s.len > https.len && span_eq_nocase(span_of(s.p, https.len), https))
        return https.len;
    return 0;
}

/* RFC 9112 section 3.2.2: the authority of an absolute-form target wins over Host. Userinfo, and
 * a query right behind the authority, fail as bytes that a host may not hold. */
static enum head_result split_absolute(struct head_reader *r)
{
    struct span t = r->h->target;
    size_t skip = scheme_len(t);
    if (skip == 0)
        return reader_bad(r, "the request target has no form that the method may have");
    struct span authority = span_of(t.p + skip, t.len - skip);
    const char *slash = memchr(authority.p, '/', authority.len);
    /* RFC 9112 section 3.2.4: of a server as a whole */
    struct span origin = r->h->method == METHOD_OPTIONS ? SPAN_LIT("*") : SPAN_LIT("/");
    if (slash) {
        origin = span_of(slash, (size_t)(t.p + t.len - slash));
        authority.len = (size_t)(slash - authority.p);
    }
    if (authority.len == 0 || !is_host(authority))
        return reader_bad(r, "the authority in the request target is not a host");
    r->h->target = origin;
    r->h->host = authority;
    return HEAD_OK;
}

static void split_query(struct head *h)
{
    h->path = h->target;
    const char *mark = memchr(h->target.p, '?', h->target.len);
    if (!mark)
        return;
    h->path.len = (size_t)(mark - h->target.p);
    h->query = span_of(mark + 1, h->target.len - h->path.len - 1);
}

/* RFC 9112 section 3.2: four forms, two of them for one method each. */
static enum head_result judge_target(struct head_reader *r)
{
    struct head *h = r->h;
    if (h->method == METHOD_CONNECT) {
        if (!is_host(h->target))
            return reader_bad(r, "the target of CONNECT is not a host and port");
        h->host = h->target;
        h->path = span_of(h->target.p, 0);
        return HEAD_OK;
    }
    bool is_asterisk = h->method == METHOD_OPTIONS && span_eq(h->target, SPAN_LIT("*"));
    if (!is_asterisk && h->target.p[0] != '/') {
        enum head_result rc = split_absolute(r);
        if (rc)
            return rc;
    }
    split_query(h);
    return HEAD_OK;
}

/* RFC 9112 section 3.2: one Host in HTTP/1.1, at most one in 1.0. */
static enum head_result judge_host(struct head_reader *r)
{
    if (r->twice >> FIELD_HOST & 1)
        return reader_bad(r, "two Host fields");
    if (!reader_saw(r, FIELD_HOST))
        return r->h->minor == 0 ? HEAD_OK : reader_bad(r, "no Host field");
    struct span host = head_field(r->h, FIELD_HOST)->value;
    if (!is_host(host))
        return reader_bad(r, "the Host field holds a byte that a host may not");
    if (r->h->host.len == 0)
        r->h->host = host;
    return HEAD_OK;
}

/* RFC 9112 section 6.3. A list of equal lengths is refused, too: some take the first, some fail. */
static enum head_result judge_length(struct head_reader *r)
{
    struct head *h = r->h;
    if (!reader_saw(r, FIELD_CONTENT_LENGTH))
        return HEAD_OK;
    if (r->twice >> FIELD_CONTENT_LENGTH & 1)
        return reader_bad(r, "two Content-Length fields");
    const struct field *f = head_field(h, FIELD_CONTENT_LENGTH);
    if (!span_parse_u64(f->value, &h->content_length) || h->content_length > INT64_MAX ||
        !field_is_plainly_spaced(f))
        return reader_bad(r, "a Content-Length that is not a plain number");
    h->has_content_length = true;
    h->framing = FRAMING_LENGTH;
    return HEAD_OK;
}

/* RFC 9110 section 10.1.1; HTTP/1.0 has no expectations. */
static void judge_expect(struct head *h)
{
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id != FIELD_EXPECT)
            continue;
        struct span rest = h->fields[i].value, member;
        while (field_list_next(&rest, &member)) {
            if (span_eq_nocase(member, SPAN_LIT("100-continue")))
                h->expect_continue = true;
            else
                h->expects_other = true;
        }
    }
}

static enum head_result judge_request(struct head_reader *r)
{
    struct head *h = r->h;
    enum head_result rc = judge_host(r);
    if (rc == HEAD_OK)
        rc = reader_judge_coding(r);
    if (rc == HEAD_OK)
        rc = judge_length(r);
    if (rc)
        return rc;
    if (h->method == METHOD_TRACE && h->framing != FRAMING_NONE)
        return reader_bad(r, "TRACE with content (RFC 9110 section 9.3.8)");
    reader_judge_connection(r);
    if (h->minor == 1 && reader_saw(r, FIELD_EXPECT))
        judge_expect(h);
    return HEAD_OK;
}

enum head_result head_parse_request(const char *p, size_t len, size_t limit, struct head *h)
{
    struct head_reader r;
    reader_init(&r, p, len, limit, h);
    static enum head_result (*const steps[])(struct head_reader *) = {
        take_empty_lines, take_method,  take_target,        reader_take_version,
        reader_take_crlf, judge_target, reader_take_fields, judge_request,
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        enum head_result rc = steps[i](&r);
        if (rc)
            return rc;
    }
    return HEAD_OK;
}
