/* The values of one parameter: where they stand in a request, and how they are written.
 *
 * Each value is decoded, then escaped down to unreserved bytes and @, so the marks come from
 * larder alone: ',' between values, '?' for a query parameter without "=", and '!' before a value
 * in which a "%" begins no escape, which apps read in different ways. JSON enters typed: numbers
 * and words as they are written, and a string that looks like one of those in escaped quotes, so
 * that 1 and "1" differ. A tag has the plain text: who invalidates "1" means both. */
#include "route-internal.h"

#include <larder/http/key.h>
#include <larder/http/uri.h>

/* One parameter's values on their way into key and tags. */
struct sink {
    const struct key_build *build;
    const struct param *param;
    const char *before_first;
    unsigned count;
};

static void add_text(const struct param *p, struct span secret, struct span value, struct buf *out)
{
    if (p->secret)
        key_add_secret(out, secret, value);
    else
        key_add_value(out, value);
}

void route_param_tag_format(const struct route *r, const struct param *p, struct span secret,
                            struct span value, struct buf *out)
{
    buf_add_span(out, r->name);
    buf_add_char(out, '|');
    key_add_value(out, p->label);
    buf_add_char(out, '=');
    add_text(p, secret, value, out);
}

/* Without its tag an answer could not be invalidated: then there is no key either. */
static void emit_tag(const struct key_build *k, const struct param *p, struct span value)
{
    struct buf tag;
    char block[VALUE_BYTES_MAX];
    if (!k->on_tag)
        return;
    buf_init_fixed(&tag, block, sizeof(block));
    route_param_tag_format(k->route, p, k->request->secret, value, &tag);
    if (tag.failed)
        k->key->failed = true;
    else
        k->on_tag(k->arg, buf_span(&tag));
}

static void note_failure(struct sink *s, bool has_failed)
{
    if (has_failed && s->build->key)
        s->build->key->failed = true;
    if (has_failed && s->build->value_failed)
        *s->build->value_failed = true;
}

/* A value that is not of its parameter's type is an error only where unknown ones are. */
static void refuse_value(struct sink *s)
{
    if (s->build->result && s->build->route->unknown == UNKNOWN_REJECT)
        *s->build->result = KEY_REJECT;
}

/* Takes one value; <mark> is '?', '!' or none. <plain> is what its tag says. */
static void put_as_it_is(struct sink *s, char mark, struct span value, struct span plain)
{
    struct buf *key = s->build->key;
    if (s->build->on_value) {
        s->count++;
        if (!*s->build->value_failed)
            s->build->on_value(s->build->arg, plain);
        return;
    }
    if (!key || key->failed)
        return;
    if (s->count++)
        buf_add_char(key, ',');
    else
        buf_add_str(key, s->before_first);
    if (mark)
        buf_add_char(key, mark);
    if (mark != '?')
        add_text(s->param, s->build->request->secret, value, key);
    emit_tag(s->build, s->param, plain);
}

/* In the form that its declaration gives it; what has not its type keeps a mark. */
static void put(struct sink *s, char mark, struct span value, struct span plain)
{
    const struct param_decl *d = s->param->decl;
    struct buf canonical;
    char block[VALUE_BYTES_MAX];
    if (!d || mark) {
        put_as_it_is(s, mark, value, plain);
        return;
    }
    buf_init_fixed(&canonical, block, sizeof(block));
    if (param_canonical(d, plain, &canonical) && !canonical.failed) {
        put_as_it_is(s, '\0', buf_span(&canonical), buf_span(&canonical));
        return;
    }
    refuse_value(s);
    put_as_it_is(s, '!', value, plain);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool has_broken_escape(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == '%' && (i + 2 >= s.len || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2])))
            return true;
    return false;
}

static void put_escaped(struct sink *s, struct span raw, bool plus_is_space)
{
    struct buf value;
    char block[VALUE_BYTES_MAX];
    buf_init_fixed(&value, block, sizeof(block));
    uri_decode(raw, plus_is_space, &value);
    note_failure(s, value.failed);
    put(s, has_broken_escape(raw) ? '!' : '\0', buf_span(&value), buf_span(&value));
}

/* All pairs of a query or form with the parameter's name, in their order. */
static void put_pairs(struct sink *s, struct span pairs)
{
    struct span rest = pairs, raw, value;
    struct buf name;
    char block[NAME_BYTES_MAX];
    while (uri_query_next(&rest, &raw, &value)) {
        buf_init_fixed(&name, block, sizeof(block));
        uri_decode(raw, true, &name);
        if (name.failed || !span_eq(buf_span(&name), s->param->name))
            continue;
        if (value.p)
            put_escaped(s, value, true);
        else
            put(s, '?', SPAN_LIT(""), SPAN_LIT(""));
    }
}

static void put_fields(struct sink *s, const struct head *h)
{
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        /* what Connection names never reaches the app: it must not choose the key either */
        bool is_it = s->param->source == PARAM_AUTH ? f->id == FIELD_AUTHORIZATION
                                                    : span_eq_nocase(f->name, s->param->name);
        if (is_it && !field_is_hop_by_hop(h, f))
            put(s, '\0', f->value, f->value);
    }
}

/* A capture of one segment is decoded, so that all spellings are one. The rest of a path keeps its
 * canonical form: in it "/" and "%2F" differ. */
static void put_capture(struct sink *s, const struct route_captures *captures)
{
    const struct route *r = s->build->route;
    bool is_rest = r && r->segment_count && r->segments[r->segment_count - 1].is_rest &&
                   span_eq(r->segments[r->segment_count - 1].name, s->param->name);
    for (unsigned i = 0; i < captures->count; i++) {
        if (!span_eq(captures->name[i], s->param->name))
            continue;
        if (!is_rest) {
            put_escaped(s, captures->value[i], false);
            continue;
        }
        struct buf path;
        char block[VALUE_BYTES_MAX];
        buf_init_fixed(&path, block, sizeof(block));
        uri_path_canonical(captures->value[i], &path);
        note_failure(s, path.failed);
        put(s, '\0', buf_span(&path), buf_span(&path));
    }
}

static size_t skip_digits(struct span s, size_t i)
{
    while (i < s.len && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i;
}

/* A number of RFC 8259 section 6? A leading zero more does no harm: quotes too many are no error.
 */
static bool is_number(struct span s)
{
    size_t i = s.len && s.p[0] == '-', start = i;
    i = skip_digits(s, i);
    if (i == start)
        return false;
    if (i < s.len && s.p[i] == '.') {
        start = ++i;
        i = skip_digits(s, i);
        if (i == start)
            return false;
    }
    if (i < s.len && (s.p[i] | 0x20) == 'e') {
        i++;
        i += i < s.len && (s.p[i] == '+' || s.p[i] == '-');
        start = i;
        i = skip_digits(s, i);
        if (i == start)
            return false;
    }
    return i == s.len;
}

/* Could this string be taken for a value of another type, or for a quoted string? */
static bool looks_typed(struct span s)
{
    return (s.len && strchr("\"{[", s.p[0])) || is_number(s) || span_eq(s, SPAN_LIT("true")) ||
           span_eq(s, SPAN_LIT("false")) || span_eq(s, SPAN_LIT("null"));
}

/* A list is as many values; what is an object is no value at all, and null is none. */
static void put_json_values(struct sink *s, const struct json *j)
{
    const struct json *first = j->type == JSON_ARRAY ? j->first : j;
    for (const struct json *c = first; c; c = j->type == JSON_ARRAY ? c->next : NULL) {
        bool is_word = c->type == JSON_TRUE || c->type == JSON_FALSE;
        struct span text = c->text;
        if (is_word)
            text = c->type == JSON_TRUE ? SPAN_LIT("true") : SPAN_LIT("false");
        note_failure(s, c->type == JSON_OBJECT || c->type == JSON_ARRAY);
        if (c->type != JSON_NULL)
            put(s, '\0', text, text);
    }
}

static void put_json(struct sink *s, const struct json *j)
{
    struct buf text;
    char block[VALUE_BYTES_MAX];
    if (!j)
        return;
    if (s->build->on_value) {
        put_json_values(s, j);
        return;
    }
    if (j->type == JSON_STRING && !looks_typed(j->text)) {
        put(s, '\0', j->text, j->text);
        return;
    }
    buf_init_fixed(&text, block, sizeof(block));
    json_canonical_format(j, &text);
    note_failure(s, text.failed);
    put(s, '\0', buf_span(&text), j->type == JSON_STRING ? j->text : buf_span(&text));
}

/* A token that does not hold says nothing of whose answer it would be. */
static void put_claim(struct sink *s)
{
    struct buf claim;
    char block[VALUE_BYTES_MAX];
    buf_init_fixed(&claim, block, sizeof(block));
    switch (param_jwt_claim(s->param, s->build->request, &claim)) {
    case JWT_OK:
        put(s, '\0', buf_span(&claim), buf_span(&claim));
        return;
    case JWT_ABSENT:
        return;
    default:
        if (s->build->result)
            *s->build->result = KEY_NO_IDENTITY;
        return;
    }
}

/* What an absent parameter means is in the key as if it were there. */
static void put_default(struct sink *s)
{
    const struct param_decl *d = s->param->decl;
    if (s->count == 0 && d && d->has_default)
        put_as_it_is(s, '\0', d->fallback, d->fallback);
}

bool route_param_each(const struct param *p, const struct route_request *req,
                      void (*on_value)(void *arg, struct span value), void *arg)
{
    bool has_failed = false;
    const struct key_build k = {
        .request = req, .on_value = on_value, .arg = arg, .value_failed = &has_failed};
    (void)param_add_values(&k, p, "");
    return !has_failed;
}

unsigned param_add_values(const struct key_build *k, const struct param *p,
                          const char *before_first)
{
    struct sink s = {.build = k, .param = p, .before_first = before_first};
    const struct route_request *req = k->request;
    struct span value;
    switch (p->source) {
    case PARAM_PATH:
        put_capture(&s, req->captures);
        break;
    case PARAM_QUERY:
        put_pairs(&s, req->head->query);
        break;
    case PARAM_FORM:
        put_pairs(&s, req->body);
        break;
    case PARAM_HEADER:
    case PARAM_AUTH:
        put_fields(&s, req->head);
        break;
    case PARAM_COOKIE:
        if (cookie_value(req->head, p->name, &value))
            put(&s, '\0', value, value);
        break;
    case PARAM_JSON:
        put_json(&s, req->body_json ? json_pointer(req->body_json, p->name) : NULL);
        break;
    case PARAM_JWT:
        put_claim(&s);
        break;
    }
    put_default(&s);
    return s.count;
}
