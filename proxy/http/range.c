/* range.c: one byte range, If-Range, and Content-Range. */
#include <larder/http/range.h>

#include <larder/http/date.h>

/* The one field <id>; NULL where there is none, or more than one. */
static const struct field *only_field(const struct head *h, enum field_id id)
{
    const struct field *found = NULL;
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id != id)
            continue;
        if (found)
            return NULL;
        found = &h->fields[i];
    }
    return found;
}

/* Section 13.1.5: a strong entity tag that is the same, or the very date. */
static bool if_range_holds(const struct head *request, const struct range_facts *facts)
{
    int64_t date_s;
    if (!head_field(request, FIELD_IF_RANGE))
        return true;
    const struct field *f = only_field(request, FIELD_IF_RANGE);
    if (!f)
        return false;
    if (f->value.len && f->value.p[0] == '"')
        return span_eq(f->value, facts->etag);
    return facts->last_modified_unix_s >= 0 &&
           date_parse(f->value, facts->last_modified_unix_s, &date_s) &&
           date_s == facts->last_modified_unix_s;
}

/* "-5": the last five bytes. */
static enum range_result judge_suffix(struct span digits, uint64_t length, uint64_t *ret_first,
                                      uint64_t *ret_last)
{
    uint64_t n;
    if (!span_parse_u64(digits, &n))
        return RANGE_WHOLE;
    if (n == 0 || length == 0)
        return RANGE_UNSATISFIABLE;
    *ret_first = n < length ? length - n : 0;
    *ret_last = length - 1;
    return RANGE_PART;
}

/* The parts of "bytes=FIRST-LAST"; false where it is no single range of bytes. */
static bool split_range(const struct head *request, struct span *ret_first, struct span *ret_last)
{
    struct span set, last;
    uint64_t n;
    const struct field *f = only_field(request, FIELD_RANGE);
    if (!f || !span_eq_nocase(span_trim(span_split(f->value, '=', &set)), SPAN_LIT("bytes")) ||
        !set.p || memchr(set.p, ',', set.len))
        return false;
    *ret_first = span_trim(span_split(span_trim(set), '-', &last));
    *ret_last = span_trim(last);
    if (!last.p || (ret_first->len == 0 && ret_last->len == 0))
        return false;
    return (ret_first->len == 0 || span_parse_u64(*ret_first, &n)) &&
           (ret_last->len == 0 || span_parse_u64(*ret_last, &n));
}

enum range_result range_judge(const struct head *request, const struct range_facts *facts,
                              uint64_t *ret_first, uint64_t *ret_last)
{
    struct span first, last;
    if (request->method != METHOD_GET || !split_range(request, &first, &last) ||
        !if_range_holds(request, facts))
        return RANGE_WHOLE;
    if (first.len == 0)
        return judge_suffix(last, facts->length, ret_first, ret_last);
    (void)span_parse_u64(first, ret_first);
    if (last.len)
        (void)span_parse_u64(last, ret_last);
    if (last.len && *ret_last < *ret_first)
        return RANGE_WHOLE; /* invalid: section 14.1.1 */
    if (*ret_first >= facts->length)
        return RANGE_UNSATISFIABLE;
    if (last.len == 0 || *ret_last >= facts->length)
        *ret_last = facts->length - 1;
    return RANGE_PART;
}

bool range_key(const struct head *request, struct buf *out)
{
    struct span first, last;
    if (request->method != METHOD_GET || head_field(request, FIELD_IF_RANGE) ||
        !split_range(request, &first, &last))
        return false;
    buf_add_str(out, "bytes=");
    buf_add_span(out, first);
    buf_add_char(out, '-');
    buf_add_span(out, last);
    return !out->failed;
}
