/* The values of a request: of its JSON body with their types, of all else as text. */
#include "alias-internal.h"

enum { DEPTH = 16, VALUE_MAX = 8192 };

bool alias_request_read(struct alias_request *q, const struct call *c)
{
    struct span body = span_trim(buf_span(&c->body));
    *q = (struct alias_request){.call = c};
    buf_init(&q->text, VALUE_MAX);
    if (body.len && json_parse(body, "body", 0, DEPTH, &q->doc, &q->error) == ERR_NOMEM)
        return false;
    q->values = (struct route_request){.head = c->head,
                                       .captures = &q->captures,
                                       .body = buf_span(&c->body),
                                       .body_json = q->doc ? json_root(q->doc) : NULL,
                                       .now_unix_s = unix_now_ms() / 1000};
    return true;
}

void alias_request_fini(struct alias_request *q)
{
    json_doc_free(take(q->doc));
    buf_fini(&q->text);
}

struct first {
    struct buf *text;
    bool is_there;
};

static void on_value(void *arg, struct span value)
{
    struct first *f = arg;
    if (!f->is_there)
        buf_add_span(f->text, value);
    f->is_there = true;
}

bool alias_request_value(struct alias_request *q, const struct param *p, struct reply_datum *ret)
{
    *ret = (struct reply_datum){.kind = DATUM_ABSENT};
    if (p->source == PARAM_JSON) {
        ret->json = q->doc ? json_pointer(json_root(q->doc), p->name) : NULL;
        if (ret->json)
            ret->kind = DATUM_JSON;
        return true;
    }
    struct first first = {.text = &q->text};
    buf_reset(&q->text);
    /* a value that is too long for a text counts as absent */
    bool is_whole = route_param_each(p, &q->values, on_value, &first);
    if (is_whole && first.is_there) {
        ret->kind = DATUM_TEXT;
        ret->text = buf_span(&q->text);
    }
    q->has_no_memory |= q->text.no_memory;
    return !q->text.no_memory;
}

static bool is_literal(const struct reply_datum *d, const struct alias_literal *l)
{
    bool is_text = d->kind == DATUM_TEXT;
    struct span text = is_text ? d->text : d->json->text;
    if (!is_text && d->json->type != l->type)
        return false;
    switch (l->type) {
    case JSON_TRUE:
        return !is_text || span_eq(text, SPAN_LIT("true"));
    case JSON_FALSE:
        return !is_text || span_eq(text, SPAN_LIT("false"));
    default:
        return span_eq(text, l->text);
    }
}

bool alias_holds(struct alias_request *q, const struct alias_test *t)
{
    struct reply_datum d;
    if (!alias_request_value(q, &t->param, &d))
        return false;
    bool is_absent = d.kind == DATUM_ABSENT || (d.kind == DATUM_JSON && d.json->type == JSON_NULL);
    for (unsigned i = 0; i < t->count; i++) {
        const struct alias_literal *l = &t->literals[i];
        if (l->type == JSON_NULL || is_absent ? l->type == JSON_NULL && is_absent
                                              : is_literal(&d, l))
            return true;
    }
    return false;
}

void alias_test_format(const struct alias_test *t, struct buf *out)
{
    buf_add_span(out, t->text);
    buf_add_str(out, " must be ");
    alias_literals_format(t, out);
}

const char *alias_place_of(const struct param *p)
{
    switch (p->source) {
    case PARAM_JSON:
        return "in the request's JSON body";
    case PARAM_FORM:
        return "in the request's form";
    case PARAM_QUERY:
        return "in the query";
    case PARAM_PATH:
        return "in the path";
    case PARAM_COOKIE:
        return "as a cookie";
    default:
        return "as a header field";
    }
}
