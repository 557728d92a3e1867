/* head.c: what request and response heads have in common: version, field lines, connection.
 *
 * The bytes are read once, from left to right, and the first one out of place ends the reading,
 * whether or not the rest has come. Where the bytes run out the answer is HEAD_MORE and the next
 * call begins anew: a head nearly always comes in one piece, and then there is no state to keep.
 * Meaning is taken from a set of the ids seen, so a head without framing fields pays nothing.
 */
#include <larder/http/head.h>

#include "http-internal.h"

void reader_init(struct head_reader *r, const char *p, size_t len, size_t limit, struct head *h)
{
    r->start = r->p = p;
    r->is_cut = len > limit;
    r->end = p + (r->is_cut ? limit : len);
    r->too_long = "the first line is too long";
    r->h = h;
    h->seen = r->twice = 0;

    /* Field by field: clearing the whole struct would cost more than reading a head. */
    const struct span none = {NULL, 0};
    h->bytes = 0;
    h->method = METHOD_OTHER;
    h->method_text = h->target = h->path = h->query = h->host = h->reason = h->connection = none;
    h->status = h->minor = h->field_count = 0;
    h->framing = FRAMING_NONE;
    h->content_length = 0;
    h->has_content_length = h->keep_alive = h->expect_continue = h->expects_other = false;
    h->has_upgrade = false;
    h->why = NULL;
}

enum head_result reader_bad(struct head_reader *r, const char *why)
{
    r->h->why = why;
    return HEAD_BAD;
}

enum head_result reader_ran_out(struct head_reader *r)
{
    if (!r->is_cut)
        return HEAD_MORE;
    r->h->why = r->too_long;
    return HEAD_TOO_LARGE;
}

enum head_result reader_take_crlf(struct head_reader *r)
{
    if (r->p == r->end)
        return reader_ran_out(r);
    if (*r->p != '\r')
        return reader_bad(r, *r->p == '\n' ? "a line ends with LF alone"
                                           : "a line holds a byte that it may not");
    if (r->p + 1 == r->end)
        return reader_ran_out(r);
    if (r->p[1] != '\n')
        return reader_bad(r, "CR without LF");
    r->p += 2;
    return HEAD_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

enum head_result reader_take_version(struct head_reader *r)
{
    static const char shape[] = "HTTP/0.0";
    for (size_t i = 0; i < sizeof(shape) - 1; i++) {
        if (r->p + i == r->end)
            return reader_ran_out(r);
        bool fits = shape[i] == '0' ? is_digit(r->p[i]) : r->p[i] == shape[i];
        if (!fits)
            return reader_bad(r, "the version is not HTTP/1.0 or HTTP/1.1");
    }
    if (r->p[5] != '1') {
        r->h->why = "only versions 1.0 and 1.1 of HTTP are spoken here";
        return HEAD_VERSION;
    }
    r->h->minor = r->p[7] == '0' ? 0 : 1;
    r->p += sizeof(shape) - 1;
    return HEAD_OK;
}

static enum head_result refuse_name(struct head_reader *r, const char *name)
{
    char c = *r->p;
    if (r->p == name && (c == ' ' || c == '\t'))
        return reader_bad(r, "a line begins with white space (obs-fold)");
    if (r->p == name && c == ':')
        return reader_bad(r, "a field has no name");
    if (c == ' ' || c == '\t')
        return reader_bad(r, "white space before a field's colon");
    return reader_bad(r, "a field's name holds a byte that it may not");
}

/* RFC 9112 section 5: field-line = field-name ":" OWS field-value OWS */
static inline enum head_result take_field(struct head_reader *r)
{
    const char *name = r->p, *end = r->end;
    const char *colon = r->p = bytes_skip(name, end, BYTE_TOKEN);
    if (colon == end)
        return reader_ran_out(r);
    if (*colon != ':' || colon == name)
        return refuse_name(r, name);

    const char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    const char *value_end = r->p = bytes_skip_value(value, end);
    enum head_result rc = reader_take_crlf(r);
    if (rc)
        return rc;
    while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
        value_end--;

    struct head *h = r->h;
    if (h->field_count == HEAD_FIELDS_MAX) {
        h->why = "the head has too many fields";
        return HEAD_TOO_LARGE;
    }
    struct field *f = &h->fields[h->field_count++];
    f->name = span_of(name, (size_t)(colon - name));
    f->value = span_of(value, (size_t)(value_end - value));
    f->id = (uint16_t)field_id_of(f->name);
    uint64_t bit = UINT64_C(1) << f->id;
    r->twice |= r->h->seen & bit;
    r->h->seen |= bit;
    return HEAD_OK;
}

_Static_assert(FIELD_COUNT_ <= 64, "the ids seen are kept in 64 bits");

enum head_result reader_take_fields(struct head_reader *r)
{
    r->too_long = "the head is too large";
    while (r->p < r->end && *r->p != '\r') {
        enum head_result rc = take_field(r);
        if (rc)
            return rc;
    }
    enum head_result rc = reader_take_crlf(r);
    if (rc == HEAD_OK)
        r->h->bytes = (size_t)(r->p - r->start);
    return rc;
}

bool field_is_plainly_spaced(const struct field *f)
{
    for (const char *p = f->name.p + f->name.len + 1; p < f->value.p; p++) {
        if (*p != ' ')
            return false;
    }
    const char *p = f->value.p + f->value.len;
    while (*p == ' ')
        p++;
    return *p == '\r';
}

/* RFC 9112 section 6.1. Other codings may be legal, but readers differ on them. */
enum head_result reader_judge_coding(struct head_reader *r)
{
    if (!reader_saw(r, FIELD_TRANSFER_ENCODING))
        return HEAD_OK;
    if (r->h->minor == 0)
        return reader_bad(r, "Transfer-Encoding in HTTP/1.0");
    if (reader_saw(r, FIELD_CONTENT_LENGTH))
        return reader_bad(r, "both Content-Length and Transfer-Encoding");
    if (r->twice >> FIELD_TRANSFER_ENCODING & 1)
        return reader_bad(r, "two Transfer-Encoding fields");
    const struct field *f = head_field(r->h, FIELD_TRANSFER_ENCODING);
    if (!span_eq_nocase(f->value, SPAN_LIT("chunked")) || !field_is_plainly_spaced(f))
        return reader_bad(r, "a Transfer-Encoding other than chunked");
    r->h->framing = FRAMING_CHUNKED;
    return HEAD_OK;
}

/* RFC 9113 section 3.1 has done away with the upgrade to HTTP/2. An app that still takes it (some
 * do without HTTP2-Settings) would get requests that no rule sees. */
static bool asks_for_h2c(const struct head *h)
{
    const struct span h2c = SPAN_LIT("h2c"); /* and the drafts' "h2c-14" */
    struct span rest, member;
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id != FIELD_UPGRADE)
            continue;
        rest = h->fields[i].value;
        while (field_list_next(&rest, &member)) {
            if (member.len >= h2c.len && span_eq_nocase(span_of(member.p, h2c.len), h2c))
                return true;
        }
    }
    return false;
}

/* RFC 9112 section 9.3 (persistence), RFC 9110 section 7.8 (Upgrade, ignored from HTTP/1.0). */
void reader_judge_connection(struct head_reader *r)
{
    struct head *h = r->h;
    h->keep_alive = h->minor == 1;
    if (!reader_saw(r, FIELD_CONNECTION))
        return;
    h->connection = head_field(h, FIELD_CONNECTION)->value;
    if (field_has_token(h, FIELD_CONNECTION, SPAN_LIT("close")))
        h->keep_alive = false;
    else if (h->minor == 0)
        h->keep_alive = field_has_token(h, FIELD_CONNECTION, SPAN_LIT("keep-alive"));
    h->has_upgrade = h->minor == 1 && reader_saw(r, FIELD_UPGRADE) &&
                     field_has_token(h, FIELD_CONNECTION, SPAN_LIT("upgrade")) && !asks_for_h2c(h);
}
