/* conditional.c: entity tags are compared weakly, dates by "not newer than". */
#include <larder/http/conditional.h>

#include <larder/http/date.h>

/* Takes an entity tag (RFC 9110 section 8.8.3) off <rest>; *ret_tag is what the quotes hold. They
 * know no backslash, unlike those of field_list_next(). False at the end or at anything else. */
static bool take_tag(struct span *rest, struct span *ret_tag)
{
    struct span s = *rest;
    while (s.len > 0 && (*s.p == ' ' || *s.p == '\t' || *s.p == ','))
        s = span_of(s.p + 1, s.len - 1);
    if (s.len > 2 && s.p[0] == 'W' && s.p[1] == '/')
        s = span_of(s.p + 2, s.len - 2);
    if (s.len < 2 || *s.p != '"')
        return false;
    const char *open = s.p + 1, *close = memchr(open, '"', s.len - 1);
    if (!close)
        return false;
    *ret_tag = span_of(open, (size_t)(close - open));
    *rest = span_of(close + 1, (size_t)(s.p + s.len - close - 1));
    return true;
}

/* RFC 9110 section 13.1.2. */
static bool list_has(struct span list, struct span etag)
{
    if (span_eq(list, SPAN_LIT("*")))
        return true;
    struct span mine, theirs;
    if (!take_tag(&etag, &mine))
        return false;
    while (take_tag(&list, &theirs)) {
        if (span_eq(mine, theirs))
            return true;
    }
    return false;
}

/* RFC 9110 section 13.1.3: anything but one valid date is passed over. */
static bool is_not_modified_since(const struct head *request, int64_t last_modified_unix_s)
{
    const struct field *since = NULL;
    int64_t since_unix_s;
    if (!head_field(request, FIELD_IF_MODIFIED_SINCE))
        return false;
    for (unsigned i = 0; i < request->field_count; i++) {
        if (request->fields[i].id != FIELD_IF_MODIFIED_SINCE)
            continue;
        if (since)
            return false;
        since = &request->fields[i];
    }
    return since && last_modified_unix_s >= 0 &&
           date_parse(since->value, last_modified_unix_s, &since_unix_s) &&
           last_modified_unix_s <= since_unix_s;
}

bool conditional_is_not_modified(const struct head *request, struct span etag,
                                 int64_t last_modified_unix_s)
{
    bool has_list = false;
    if (!head_field(request, FIELD_IF_NONE_MATCH))
        return is_not_modified_since(request, last_modified_unix_s);
    for (unsigned i = 0; i < request->field_count; i++) {
        if (request->fields[i].id != FIELD_IF_NONE_MATCH)
            continue;
        has_list = true;
        if (list_has(request->fields[i].value, etag))
            return true;
    }
    return !has_list && is_not_modified_since(request, last_modified_unix_s);
}
