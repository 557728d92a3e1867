/* head_response.c: the status line, and where a response's body ends. */
#include <larder/http/head.h>

#include "http-internal.h"

/* RFC 9112 section 4; the space before an empty reason is often left out. */
static enum head_result take_status(struct head_reader *r)
{
    unsigned status = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        if (r->p == r->end)
            return reader_ran_out(r);
        char c = *r->p;
        if (i == 0 ? c != ' ' : c < '0' || c > '9')
            return reader_bad(r, "the status line has no status of three digits");
        status = i == 0 ? 0 : status * 10 + (unsigned)(c - '0');
    }
    if (status < 100 || status > 599)
        return reader_bad(r, "the status is not in 100 to 599");
    r->h->status = status;
    if (r->p == r->end)
        return reader_ran_out(r);
    if (*r->p != ' ' && *r->p != '\r')
        return reader_bad(r, "the status line has no status of three digits");
    return HEAD_OK;
}

static enum head_result take_reason(struct head_reader *r)
{
    if (*r->p == ' ')
        r->p++;
    const char *p = r->p;
    r->p = bytes_skip_value(p, r->end);
    r->h->reason = span_of(p, (size_t)(r->p - p));
    return reader_take_crlf(r);
}

/* One Content-Length value, "5" or "5, 5"; every member must agree with those before. */
static bool agree_on_length(struct head *h, struct span value)
{
    for (struct span rest = value; rest.p;) {
        uint64_t length;
        struct span member = span_trim(span_split(rest, ',', &rest));
        if (!span_parse_u64(member, &length) || length > INT64_MAX ||
            (h->has_content_length && length != h->content_length))
            return false;
        h->content_length = length;
        h->has_content_length = true;
    }
    return true;
}

static enum head_result judge_length(struct head_reader *r)
{
    struct head *h = r->h;
    if (!reader_saw(r, FIELD_CONTENT_LENGTH))
        return HEAD_OK;
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        if (f->id == FIELD_CONTENT_LENGTH &&
            (!agree_on_length(h, f->value) || !field_is_plainly_spaced(f)))
            return reader_bad(r, "Content-Length is not one plain number");
    }
    h->framing = FRAMING_LENGTH;
    return HEAD_OK;
}

/* Codings that change the bytes, and that nobody asked for: no proxy may guess at them. */
static bool is_real_coding(struct span name)
{
    static const char *const names[] = {"chunked", "gzip",     "x-gzip",
                                        "deflate", "compress", "x-compress"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_eq_nocase(name, span_str(names[i])))
            return true;
    }
    return false;
}

/* RFC 9112 section 6.3, rule 4: one coding that is no coding (identity, or a name of nothing) means
 * that the body goes on to the close. */
static enum head_result judge_response_coding(struct head_reader *r)
{
    const struct field *f = head_field(r->h, FIELD_TRANSFER_ENCODING);
    bool is_alone = f && r->h->minor == 1 && !reader_saw(r, FIELD_CONTENT_LENGTH) &&
                    !(r->twice >> FIELD_TRANSFER_ENCODING & 1);
    if (is_alone && span_is_token(f->value) && !is_real_coding(f->value) &&
        field_is_plainly_spaced(f))
        return HEAD_OK;
    return reader_judge_coding(r);
}

/* RFC 9112 section 6.3; after reading to the close nothing can follow. */
static void judge_end(struct head *h, enum method request_method)
{
    if (!status_has_body(h->status, request_method)) {
        h->framing = FRAMING_NONE;
    } else if (h->framing == FRAMING_NONE) {
        h->framing = FRAMING_CLOSE;
        h->keep_alive = false;
    }
}

enum head_result head_parse_response(const char *p, size_t len, size_t limit,
                                     enum method request_method, struct head *h)
{
    struct head_reader r;
    reader_init(&r, p, len, limit, h);
    static enum head_result (*const steps[])(struct head_reader *) = {
        reader_take_version, take_status,           take_reason,
        reader_take_fields,  judge_response_coding, judge_length,
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        enum head_result rc = steps[i](&r);
        if (rc)
            return rc;
    }
    reader_judge_connection(&r);
    judge_end(h, request_method);
    return HEAD_OK;
}
