/* Who could write a record has the secret, but may be of another version, or broken: nothing that
 * is relied on later is taken without a look. */
#include "value-internal.h"

#include <larder/base/octets.h>

#include <stdio.h>

enum { FLAGS = FRESH_MUST_VALIDATE | FRESH_NEVER_STALE | FRESH_FOR_AUTHORIZED };
enum { MARKS = VALUE_FOR_ANY_ORIGIN | VALUE_ETAG_IS_OURS | VALUE_REFETCHABLE | VALUE_PACKED };

#define NUMBER(field, octets, max)                                                                 \
    {                                                                                              \
        offsetof(struct value_record, field), octets, max                                          \
    }
static const struct number {
    size_t offset;
    unsigned octets;
    uint64_t max;
} numbers[] = {
    NUMBER(version, 1, VALUE_VERSION),
    NUMBER(kind, 1, ENTRY_VARY),
    NUMBER(status, 2, 599),
    NUMBER(flags, 1, FLAGS),
    NUMBER(marks, 1, MARKS),
    NUMBER(length_line_len, 4, UINT32_MAX),
    NUMBER(primary_len, 4, UINT32_MAX),
    NUMBER(body_len, 4, VALUE_BYTES_MAX),
    NUMBER(resident_ms, 8, VALUE_TIME_MAX),
    NUMBER(age_at_store_ms, 8, VALUE_TIME_MAX),
    NUMBER(lifetime_ms, 8, VALUE_TIME_MAX),
    NUMBER(overdue_ms, 8, VALUE_TIME_MAX),
    NUMBER(while_ms, 8, VALUE_TIME_MAX),
    NUMBER(error_ms, 8, VALUE_TIME_MAX),
    NUMBER(keep_ms, 8, VALUE_TIME_MAX),
    NUMBER(unix_ms, 8, VALUE_TIME_MAX),
    NUMBER(life_ms, 8, VALUE_TIME_MAX),
    NUMBER(fetch_us, 8, UINT64_MAX),
    NUMBER(last_modified_unix_s, 8, UINT64_MAX),
    NUMBER(date_unix_s, 8, UINT64_MAX),
};

static uint64_t *number_in(struct value_record *r, const struct number *n)
{
    return (uint64_t *)(void *)((char *)r + n->offset);
}

size_t record_bytes(const struct value_record *r)
{
    size_t n = 0;
    for (unsigned i = 0; i < array_len(numbers); i++)
        n += numbers[i].octets;
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        n += 4 + r->text[i].len;
    return n;
}

void record_format(const struct value_record *r, struct buf *out)
{
    struct value_record copy = *r;
    for (unsigned i = 0; i < array_len(numbers); i++)
        octets_add(out, *number_in(&copy, &numbers[i]), numbers[i].octets);
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        octets_add_text(out, r->text[i]);
}

static bool take_fields(struct span bytes, struct value_record *ret)
{
    for (unsigned i = 0; i < array_len(numbers); i++) {
        uint64_t *v = number_in(ret, &numbers[i]);
        if (!octets_take(&bytes, numbers[i].octets, v) || *v > numbers[i].max)
            return false;
    }
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        if (!octets_take_text(&bytes, &ret->text[i]))
            return false;
    return bytes.len == 0;
}

/* Whole lines, none of them empty: nothing that could end a head, or begin another answer. */
static bool are_lines(struct span s)
{
    while (s.len) {
        const char *end = memchr(s.p, '\n', s.len);
        size_t n = end ? (size_t)(end - s.p) : 0; /* with its CR */
        if (n < 2 || s.p[n - 1] != '\r' || memchr(s.p, '\r', n - 1) || memchr(s.p, '\0', n))
            return false;
        s = span_of(end + 1, s.len - n - 1);
    }
    return true;
}

/* What goes into a request to the upstream: nothing of it may end a line, or a word. */
static bool is_line(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

static bool is_word(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool is_length_line(const struct value_record *r)
{
    char line[64];
    struct span head = r->text[TEXT_HEAD];
    if (r->length_line_len == 0)
        return true;
    int n =
        snprintf(line, sizeof(line), "Content-Length: %llu\r\n", (unsigned long long)r->body_len);
    return r->length_line_len == (size_t)n && head.len > (size_t)n &&
           head.p[head.len - (size_t)n - 1] == '\n' &&
           memcmp(head.p + head.len - n, line, (size_t)n) == 0;
}

static bool is_answer(const struct value_record *r)
{
    return r->status >= 200 && span_starts_with(r->text[TEXT_HEAD], SPAN_LIT("HTTP/1.1 ")) &&
           are_lines(r->text[TEXT_HEAD]) && are_lines(r->text[TEXT_HIDDEN]) &&
           are_lines(r->text[TEXT_HEAD_304]) && is_length_line(r) && is_line(r->text[TEXT_ETAG]) &&
           is_word(r->text[TEXT_TARGET]) && is_word(r->text[TEXT_HOST]);
}

static bool is_marker(const struct value_record *r)
{
    return r->length_line_len == 0 && !(r->marks & VALUE_PACKED) && !r->text[TEXT_HEAD].len &&
           !r->text[TEXT_HIDDEN].len && !r->text[TEXT_HEAD_304].len && !r->text[TEXT_ETAG].len;
}

bool record_parse(struct span bytes, struct value_record *ret)
{
    if (!take_fields(bytes, ret) || ret->version != VALUE_VERSION)
        return false;
    struct span tags = ret->text[TEXT_TAGS];
    bool is_packed = ret->marks & VALUE_PACKED;
    return ret->primary_len <= ret->text[TEXT_KEY].len &&
           (is_packed || ret->body_len == ret->text[TEXT_BODY].len) &&
           (int64_t)ret->last_modified_unix_s >= -1 &&
           (tags.len == 0 || tags.p[tags.len - 1] == '\0') &&
           (ret->kind == ENTRY_VARY ? is_marker(ret) : is_answer(ret));
}
