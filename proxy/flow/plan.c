/* What a route wants to know of an answer's JSON, as one row of pointers, and their values as they
 * come by. Conditions want the last value of a pointer; tags want all, up to a number. */
#include "flow-internal.h"

#include <larder/base/gunzip.h>
#include <larder/base/json_scan.h>

#include <stdlib.h>

enum {
    DEPTH_MAX = 64,
    TEXT_MAX = 1024,          /* of one value: longer ones are no tag, and equal to no literal */
    TEXTS_MAX = 256 * 1024,   /* of one answer's values for tags */
    UNPACKED_TIMES_MAX = 200, /* a small gzip text does not become a huge one */
    UNPACKED_MIN = 1 << 20,
};

struct body_plan {
    bool guards; /* the safe default for JSON: it must be valid, and tell of no error */
    struct route_pointers wanted;
};

struct kept {
    struct cond_value last;
    char text[TEXT_MAX]; /* of last */
    unsigned count;      /* of a list: values met */
};

struct body_values {
    const struct body_plan *plan;
    struct buf texts; /* of lists: number of the pattern, length, bytes */
    bool is_overfull; /* more texts than may be kept */
    struct kept kept[];
};

enum err_code body_plan_new(const struct route *r, struct body_plan **ret)
{
    struct route_pointers wanted;
    *ret = NULL;
    route_pointers_find(r, &wanted);
    if (!r->cached || wanted.count == 0)
        return ERR_OK;
    struct body_plan *p = malloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    *p = (struct body_plan){.guards = !r->store_errors, .wanted = wanted};
    *ret = p;
    return ERR_OK;
}

void body_plan_free(struct body_plan *p)
{
    free(p);
}

struct body_values *body_values_new(const struct body_plan *p)
{
    struct body_values *v = calloc(1, sizeof(*v) + p->wanted.count * sizeof(struct kept));
    if (!v)
        return NULL;
    v->plan = p;
    buf_init(&v->texts, TEXTS_MAX);
    return v;
}

void body_values_free(struct body_values *v)
{
    if (!v)
        return;
    buf_fini(&v->texts);
    free(v);
}

static void keep_last(struct kept *k, const struct json_value *value)
{
    size_t len = value->text.len < TEXT_MAX ? value->text.len : TEXT_MAX;
    if (len)
        memcpy(k->text, value->text.p, len);
    k->last = (struct cond_value){.is_there = true,
                                  .type = value->type,
                                  .text = span_of(k->text, len),
                                  .count = value->count};
    if (value->type == JSON_NUMBER && len < TEXT_MAX) {
        char number[TEXT_MAX + 1];
        memcpy(number, k->text, len);
        number[len] = '\0';
        k->last.number = strtod(number, NULL); /* the locale is "C" all along */
    }
}

/* Scalars only: of what is none no tag is made. */
static void keep_text(struct body_values *v, unsigned n, const struct json_value *value)
{
    struct kept *k = &v->kept[n];
    struct span text = value->text;
    if (value->type == JSON_TRUE || value->type == JSON_FALSE)
        text = value->type == JSON_TRUE ? SPAN_LIT("true") : SPAN_LIT("false");
    else if (value->type != JSON_STRING && value->type != JSON_NUMBER)
        return;
    if (++k->count > v->plan->wanted.pointer[n].max)
        return;
    uint32_t head[2] = {n, (uint32_t)text.len};
    buf_add(&v->texts, head, sizeof(head));
    buf_add_span(&v->texts, text);
    v->is_overfull |= v->texts.failed || text.len > TEXT_MAX;
}

static void on_value(void *arg, unsigned n, const struct json_value *value)
{
    struct body_values *v = arg;
    if (v->plan->wanted.pointer[n].is_list)
        keep_text(v, n, value);
    else
        keep_last(&v->kept[n], value);
}

static enum err_code feed_scan(void *scan, struct span text)
{
    return json_scan_feed(scan, text);
}

/* Piece by piece, as they lie in the buffer. */
static enum err_code feed(struct json_scan *scan, struct gunzip *gz, struct evbuffer *body,
                          uint64_t limit)
{
    struct evbuffer_ptr at;
    struct evbuffer_iovec v;
    size_t left = evbuffer_get_length(body);
    evbuffer_ptr_set(body, &at, 0, EVBUFFER_PTR_SET);
    while (left > 0 && evbuffer_peek(body, -1, &at, &v, 1) > 0) {
        struct span piece = span_of(v.iov_base, v.iov_len < left ? v.iov_len : left);
        enum err_code rc =
            gz ? gunzip_feed(gz, piece, limit, feed_scan, scan) : json_scan_feed(scan, piece);
        if (rc)
            return rc;
        left -= piece.len;
        evbuffer_ptr_set(body, &at, piece.len, EVBUFFER_PTR_ADD);
    }
    return gz && !gunzip_is_whole(gz) ? ERR_SYNTAX : ERR_OK;
}

static bool is_gzip(struct span encoding)
{
    return span_eq_nocase(encoding, SPAN_LIT("gzip")) ||
           span_eq_nocase(encoding, SPAN_LIT("x-gzip")) ||
           span_eq_nocase(encoding, SPAN_LIT("deflate"));
}

enum err_code body_values_read(struct body_values *v, struct evbuffer *body, struct span encoding,
                               uint64_t limit)
{
    struct span pointers[JSON_SCAN_PATTERNS_MAX];
    bool is_plain = encoding.len == 0 || span_eq_nocase(encoding, SPAN_LIT("identity"));
    if (!is_plain && !is_gzip(encoding))
        return ERR_SYNTAX;
    for (unsigned i = 0; i < v->plan->wanted.count; i++)
        pointers[i] = v->plan->wanted.pointer[i].text;
    cleanup(json_scan_freep) struct json_scan *scan =
        json_scan_new(pointers, v->plan->wanted.count, DEPTH_MAX, on_value, v);
    struct gunzip *gz = is_plain ? NULL : gunzip_new();
    enum err_code rc = !scan || (!is_plain && !gz) ? ERR_NOMEM : ERR_OK;
    uint64_t unpacked = limit * UNPACKED_TIMES_MAX;
    if (!rc)
        rc = feed(scan, gz, body, unpacked > UNPACKED_MIN ? unpacked : UNPACKED_MIN);
    gunzip_free(gz);
    return rc ? rc : json_scan_end(scan);
}

static const struct kept *find(const struct body_values *v, struct span pointer, bool is_list)
{
    for (unsigned i = 0; i < v->plan->wanted.count; i++) {
        const struct route_pointer *p = &v->plan->wanted.pointer[i];
        if (p->is_list == is_list && span_eq(p->text, pointer))
            return &v->kept[i];
    }
    return NULL;
}

void body_values_for(const struct body_values *v, const struct cond *c, struct cond_value *ret)
{
    for (unsigned i = 0; i < cond_pointer_count(c); i++) {
        const struct kept *k = v ? find(v, cond_pointer(c, i), false) : NULL;
        ret[i] = k ? k->last : (struct cond_value){.is_there = false};
    }
}

bool body_values_tell_error(const struct body_values *v)
{
    if (!v->plan->guards)
        return false;
    const struct cond_value *success = &v->kept[ROUTE_POINTER_SUCCESS].last;
    return (success->is_there && success->type == JSON_FALSE) ||
           cond_value_is_set(&v->kept[ROUTE_POINTER_ERROR].last) ||
           cond_value_is_set(&v->kept[ROUTE_POINTER_ERRORS].last);
}

bool body_values_each(const struct body_values *v, struct span pointer,
                      void (*put)(void *arg, struct span value), void *arg)
{
    const struct kept *k = find(v, pointer, true);
    if (!k)
        return true;
    unsigned n = (unsigned)(k - v->kept);
    if (v->is_overfull || k->count >= v->plan->wanted.pointer[n].max)
        return false;
    for (size_t at = 0; at < v->texts.len;) {
        uint32_t head[2];
        memcpy(head, v->texts.p + at, sizeof(head));
        at += sizeof(head);
        if (head[0] == n)
            put(arg, span_of(v->texts.p + at, head[1]));
        at += head[1];
    }
    return true;
}
