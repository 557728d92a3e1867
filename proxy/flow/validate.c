/* Validation: asking the upstream whether a stored answer still holds, and what its word changes.
 *
 * A 304 and the stored answer together make the head of a new answer (RFC 9111 sections 3.2 and
 * 4.3.4), which is then judged and stored as if it had come whole. So does the answer to a HEAD
 * (section 4.3.5), where it tells of the same representation. */
#include "flow-internal.h"

#include <stdlib.h>

enum { HEAD_BYTES_MAX = 256 * 1024 };

/* Lines of the stored head that a new one never replaces: they say in what form the body stands. */
static bool is_of_the_body(enum field_id id)
{
    return id == FIELD_CONTENT_LENGTH || id == FIELD_CONTENT_ENCODING || id == FIELD_CONTENT_RANGE;
}

/* Via is made anew, and so is an entity tag of our own. News without a Date are of now. */
static bool is_made(const struct entry *e, enum field_id id)
{
    return id == FIELD_VIA || id == FIELD_DATE || (id == FIELD_ETAG && e->is_etag_ours);
}

static bool is_replaced(const struct field *old, const struct head *news)
{
    const struct field *f = head_field_named(news, old->name);
    return f && !is_of_the_body(f->id) && !field_is_hop_by_hop(news, f);
}

static void add_line(struct buf *out, const struct field *f)
{
    buf_add_span(out, f->name);
    buf_add_str(out, ": ");
    buf_add_span(out, f->value);
    buf_add_str(out, "\r\n");
}

static void merge(const struct entry *e, const struct head *old, const struct head *news,
                  struct buf *out)
{
    buf_add(out, e->head.p, e->status_line_len);
    for (unsigned i = 0; i < old->field_count; i++) {
        const struct field *f = &old->fields[i];
        if (!is_replaced(f, news) && !is_made(e, f->id))
            add_line(out, f);
    }
    for (unsigned i = 0; i < news->field_count; i++) {
        const struct field *f = &news->fields[i];
        if (!is_of_the_body(f->id) && !field_is_hop_by_hop(news, f))
            add_line(out, f);
    }
    buf_add_str(out, "\r\n");
}

static enum err_code parse(struct buf *text, struct head *ret)
{
    if (text->failed)
        return ERR_NOMEM;
    return head_parse_response(text->p, text->len, text->len, METHOD_GET, ret) == HEAD_OK
               ? ERR_OK
               : ERR_SYNTAX;
}

/* The stored head with what is not for clients, as it can be read. */
static enum err_code stored_head(const struct entry *e, struct buf *text, struct head *ret)
{
    buf_add_span(text, e->head);
    buf_add_span(text, e->hidden);
    buf_add_str(text, "\r\n");
    return parse(text, ret);
}

struct span validate_stored_field(const struct entry *e, struct span name)
{
    struct span rest = e->head;
    while (rest.len) {
        struct span value, line = span_trim(span_split(rest, '\n', &rest));
        if (span_eq_nocase(span_split(line, ':', &value), name) && value.p) {
            value = span_trim(value);
            if (value.len && value.p[value.len - 1] == '\r')
                value.len--;
            return value;
        }
    }
    return span_of(NULL, 0);
}

static struct span opaque(struct span etag)
{
    bool is_weak = span_starts_with(etag, SPAN_LIT("W/"));
    return is_weak ? span_of(etag.p + 2, etag.len - 2) : etag;
}

bool validate_is_same(const struct entry *e, const struct head *h)
{
    const struct field *etag = head_field(h, FIELD_ETAG);
    const struct field *changed = head_field(h, FIELD_LAST_MODIFIED);
    if (etag && e->etag.len && !e->is_etag_ours)
        return span_eq(opaque(etag->value), opaque(e->etag));
    struct span old = validate_stored_field(e, SPAN_LIT("last-modified"));
    if (changed && old.len)
        return span_eq(changed->value, old);
    return !etag; /* RFC 9111 section 4.3.4: one that the stored answer lacks is another's */
}

enum err_code validate_merge(const struct entry *e, const struct head *news, struct merged *ret)
{
    cleanup(buf_fini) struct buf old_text;
    struct head *old = malloc(sizeof(*old));
    buf_init(&old_text, HEAD_BYTES_MAX);
    buf_init(&ret->text, HEAD_BYTES_MAX);
    ret->head = malloc(sizeof(*ret->head));
    enum err_code rc = old && ret->head ? stored_head(e, &old_text, old) : ERR_NOMEM;
    if (!rc) {
        merge(e, old, news, &ret->text);
        rc = parse(&ret->text, ret->head);
    }
    free(old);
    if (rc)
        merged_fini(ret);
    return rc;
}

void merged_fini(struct merged *m)
{
    buf_fini(&m->text);
    free(m->head);
    *m = (struct merged){.head = NULL};
}
