/* The readable, canonical key of a request.
 *
 * Injective by construction: values are escaped down to unreserved bytes, so `:`, `=`, `,` and the
 * marks below come from larder alone. `label` is an absent parameter, `label=` an empty one,
 * `label=1,2` two values. JSON enters typed: numbers and words as they are written, and a string
 * that looks like one of those in escaped quotes, so that 1 and "1" differ. Keys of a template end
 * in \x1f and the route's name, which keeps them apart from every other route's. */
#include <larder/config/route.h>

#include <larder/http/key.h>
#include <larder/http/uri.h>

#include <stdio.h>

enum { SCRATCH = 4096, VALUES_MAX = 64 };

static _Thread_local char why_block[160];

static bool is_ignored(void *arg, struct span name)
{
    const struct route *r = arg;
    for (unsigned i = 0; i < r->ignore_count; i++) {
        struct span g = r->ignore[i];
        if (g.len && g.p[g.len - 1] == '*') {
            if (span_starts_with(name, span_of(g.p, g.len - 1)))
                return true;
        } else if (span_eq(g, name)) {
            return true;
        }
    }
    return false;
}

static void add_one(const struct param *p, struct span secret, struct span value, struct buf *out)
{
    if (p->secret)
        key_add_secret(out, secret, value);
    else
        key_add_value(out, value);
}

/* Would a JSON reader take this text for something that is not a string? */
static bool looks_typed(struct span s)
{
    if (s.len == 0)
        return false;
    char c = s.p[0];
    return (c >= '0' && c <= '9') || c == '-' || c == '"' || c == '{' || c == '[' ||
           span_eq(s, SPAN_LIT("true")) || span_eq(s, SPAN_LIT("false")) ||
           span_eq(s, SPAN_LIT("null"));
}

static void add_json(const struct param *p, struct span secret, const struct json *j,
                     struct buf *out)
{
    struct buf text;
    char block[SCRATCH];
    buf_init_fixed(&text, block, sizeof(block));
    if (j->type == JSON_STRING && !looks_typed(j->text))
        buf_add_span(&text, j->text);
    else
        json_canonical_format(j, &text);
    out->failed |= text.failed;
    add_one(p, secret, buf_span(&text), out);
}

/* All values of a query or form parameter, in their order. Returns how many. */
static unsigned add_pairs(const struct param *p, struct span secret, struct span pairs,
                          struct buf *out)
{
    struct buf value;
    char block[SCRATCH];
    unsigned n = 0;
    for (;; n++) {
        buf_init_fixed(&value, block, sizeof(block));
        if (!query_value(pairs, p->name, n, &value))
            break;
        out->failed |= n == VALUES_MAX; /* each value is a walk over all pairs */
        if (out->failed)
            break;
        out->failed |= value.failed;
        buf_add_char(out, n ? ',' : '=');
        add_one(p, secret, buf_span(&value), out);
    }
    return n;
}

static void add_header(const struct param *p, const struct route_request *req, struct buf *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < req->head->field_count; i++) {
        const struct field *f = &req->head->fields[i];
        /* what Connection names never reaches the app: it must not choose the key either */
        if (!span_eq_nocase(f->name, p->name) || field_is_hop_by_hop(req->head, f))
            continue;
        buf_add_char(out, n++ ? ',' : '=');
        add_one(p, req->secret, f->value, out);
    }
}

static void add_path(const struct param *p, const struct route_request *req, struct buf *out)
{
    for (unsigned i = 0; i < req->captures->count; i++) {
        if (!span_eq(req->captures->name[i], p->name))
            continue;
        struct buf value;
        char block[SCRATCH];
        buf_init_fixed(&value, block, sizeof(block));
        uri_decode(req->captures->value[i], false, &value);
        out->failed |= value.failed;
        buf_add_char(out, '=');
        add_one(p, req->secret, buf_span(&value), out);
    }
}

/* Appends "=value" once for each value; nothing where the parameter is absent. */
static void add_values(const struct param *p, const struct route_request *req, struct buf *out)
{
    struct span value;
    const struct json *j;
    switch (p->source) {
    case PARAM_PATH:
        add_path(p, req, out);
        return;
    case PARAM_QUERY:
        (void)add_pairs(p, req->secret, req->head->query, out);
        return;
    case PARAM_FORM:
        (void)add_pairs(p, req->secret, req->body, out);
        return;
    case PARAM_HEADER:
        add_header(p, req, out);
        return;
    case PARAM_COOKIE:
        if (cookie_value(req->head, p->name, &value)) {
            buf_add_char(out, '=');
            add_one(p, req->secret, value, out);
        }
        return;
    case PARAM_JSON:
        j = req->body_json ? json_pointer(req->body_json, p->name) : NULL;
        if (j) {
            buf_add_char(out, '=');
            add_json(p, req->secret, j, out);
        }
        return;
    case PARAM_AUTH:
        for (unsigned i = 0; i < req->head->field_count; i++) {
            if (req->head->fields[i].id != FIELD_AUTHORIZATION)
                continue;
            buf_add_char(out, '=');
            key_add_secret(out, req->secret, req->head->fields[i].value);
        }
        return;
    }
}

static bool is_keyed(const struct route *r, enum param_source source, struct span name)
{
    for (unsigned i = 0; i < r->param_count; i++)
        if (r->params[i].source == source && span_eq(r->params[i].name, name))
            return true;
    return false;
}

/* "strict": a parameter that neither key nor ignore names. */
static bool has_unknown(const struct route *r, const struct route_request *req,
                        const char **ret_why)
{
    struct span rest = req->head->query, raw, value;
    struct buf name;
    char block[256];
    while (uri_query_next(&rest, &raw, &value)) {
        buf_init_fixed(&name, block, sizeof(block));
        uri_decode(raw, true, &name);
        struct span n = buf_span(&name);
        if (!name.failed && (is_keyed(r, PARAM_QUERY, n) || is_ignored((void *)r, n)))
            continue;
        snprintf(why_block, sizeof(why_block),
                 "the route \"%.*s\" does not know the parameter \"%.*s\"", SPAN_ARG(r->name),
                 n.len < 60 ? (int)n.len : 60, n.p);
        *ret_why = why_block;
        return true;
    }
    return false;
}

static void emit_tag(const struct route *r, const struct param *p, struct span values,
                     void (*on_tag)(void *arg, struct span tag), void *arg)
{
    struct buf tag;
    char block[SCRATCH];
    buf_init_fixed(&tag, block, sizeof(block));
    buf_add_span(&tag, r->name);
    buf_add_char(&tag, '|');
    buf_add_span(&tag, p->label);
    buf_add_span(&tag, values);
    if (!tag.failed)
        on_tag(arg, buf_span(&tag));
}

static void add_params(const struct route *r, const struct route_request *req, struct buf *key,
                       void (*on_tag)(void *arg, struct span tag), void *arg)
{
    for (unsigned i = 0; i < r->param_count; i++) {
        const struct param *p = &r->params[i];
        buf_add_char(key, ':');
        buf_add_span(key, p->label);
        size_t from = key->len;
        add_values(p, req, key);
        if (!key->failed)
            emit_tag(r, p, span_of(key->p + from, key->len - from), on_tag, arg);
    }
}

/* The template's form: values without "=", absent ones as nothing but a mark. */
static void add_template(const struct route *r, const struct route_request *req, struct buf *key,
                         void (*on_tag)(void *arg, struct span tag), void *arg)
{
    for (unsigned i = 0; i < r->piece_count; i++) {
        buf_add_span(key, r->pieces[i].literal);
        if (r->pieces[i].param < 0)
            continue;
        const struct param *p = &r->params[r->pieces[i].param];
        struct buf values;
        char block[SCRATCH];
        buf_init_fixed(&values, block, sizeof(block));
        add_values(p, req, &values);
        key->failed |= values.failed;
        struct span v = buf_span(&values);
        if (v.len == 0)
            buf_add_str(key, "%-"); /* absent; no escaped value holds it */
        else
            buf_add_span(key, span_of(v.p + 1, v.len - 1));
        if (!key->failed)
            emit_tag(r, p, v, on_tag, arg);
    }
    buf_add_char(key, '\x1f');
    buf_add_span(key, r->name);
}

static enum key_result add_default(const struct route *r, const struct route_request *req,
                                   bool is_post, struct buf *key)
{
    buf_add_char(key, ':');
    uri_path_canonical(req->head->path, key);
    buf_add_char(key, '?'); /* no canonical path holds one */
    key_add_query_all(key, req->head->query, is_ignored, (void *)r);
    if (!is_post)
        return KEY_OK;
    if (!req->body_json)
        return KEY_BYPASS;
    struct buf body;
    uint8_t digest[32];
    char hex[64];
    buf_init(&body, 1 << 20);
    json_canonical_format(req->body_json, &body);
    bool is_whole = !body.failed;
    digest_of(body.p, body.len, digest);
    buf_fini(&body);
    hex_format(digest, sizeof(digest), hex);
    buf_add_str(key, ":body=");
    buf_add(key, hex, sizeof(hex));
    return is_whole ? KEY_OK : KEY_BYPASS;
}

static bool wants_json(const struct route *r)
{
    for (unsigned i = 0; i < r->param_count; i++)
        if (r->params[i].source == PARAM_JSON)
            return true;
    return false;
}

enum key_result route_key_build(const struct route *r, const struct route_request *req,
                                struct buf *key, void (*on_tag)(void *arg, struct span tag),
                                void *arg, const char **ret_why)
{
    const struct head *h = req->head;
    bool is_post = h->method != METHOD_GET && h->method != METHOD_HEAD;
    bool is_mixed = is_post && r->method_count > 1;
    char tag_block[96];
    struct buf tag;
    *ret_why = NULL;
    if (r->strict == UNKNOWN_REJECT && r->has_key && has_unknown(r, req, ret_why))
        return KEY_REJECT;
    if (is_post && wants_json(r) && !req->body_json)
        return KEY_BYPASS;
    buf_init_fixed(&tag, tag_block, sizeof(tag_block));
    buf_add_str(&tag, "route:");
    buf_add_span(&tag, r->name);
    on_tag(arg, SPAN_LIT("*"));
    on_tag(arg, buf_span(&tag));
    if (r->piece_count) {
        add_template(r, req, key, on_tag, arg);
    } else {
        buf_add_span(key, r->name);
        if (!r->has_key && add_default(r, req, is_post, key) != KEY_OK)
            return KEY_BYPASS;
        add_params(r, req, key, on_tag, arg);
    }
    if (is_mixed) {
        buf_add_char(key, '\x1d');
        buf_add_span(key, h->method_text);
    }
    if (r->key_host) {
        buf_add_str(key, ":@");
        for (size_t i = 0; i < h->host.len; i++) {
            char c = h->host.p[i];
            c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
            key_add_value(key, span_of(&c, 1));
        }
    }
    return key->failed ? KEY_BYPASS : KEY_OK;
}

void route_param_tag_format(const struct route *r, const struct param *p, struct span secret,
                            struct span value, struct buf *out)
{
    buf_add_span(out, r->name);
    buf_add_char(out, '|');
    buf_add_span(out, p->label);
    buf_add_char(out, '=');
    add_one(p, secret, value, out);
}

void route_query_keep(const struct route *r, struct span query, struct buf *out)
{
    struct span rest = query, raw, value;
    struct buf name;
    char block[256];
    while (uri_query_next(&rest, &raw, &value)) {
        buf_init_fixed(&name, block, sizeof(block));
        uri_decode(raw, true, &name);
        if (name.failed || !is_keyed(r, PARAM_QUERY, buf_span(&name)))
            continue;
        if (out->len)
            buf_add_char(out, '&');
        buf_add_span(out, raw);
        if (value.p) {
            buf_add_char(out, '=');
            buf_add_span(out, value);
        }
    }
}
