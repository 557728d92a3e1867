/* The readable, canonical key of a request.
 *
 *   key            NAME[:METHOD]:label=value:label=1,2:absent[:@host]
 *   no key         NAME[:METHOD]:/canonical/path?:name=value[:body=SHA-256][:@host]
 *   key_template   as the template says, then \x1f NAME[:METHOD][:[1, or 0, for each [ ]][:@host]
 *
 * Injective by construction: each value is written with none of the bytes that part the key (see
 * route_param.c), a route has a fixed row of labels, and a template's parameters have a byte
 * between them that no value holds. Two routes never share a key, for names differ and have no
 * ':'; the readable form of a template's key ends at \x1f, which no other key holds; behind it
 * stands which of the template's optional parts are there. METHOD
 * stands there where the route takes methods that may not share an answer, and is none for GET
 * and HEAD. A JSON body without "key" enters as SHA-256 of its canonical form: nobody can make
 * two bodies with one digest. */
#include "route-internal.h"

#include <larder/http/key.h>
#include <larder/http/uri.h>

static bool takes(const struct route *r, enum method m)
{
    for (unsigned i = 0; i < r->method_count; i++)
        if (method_of(r->methods[i]) == m)
            return true;
    return false;
}

static bool has_body_method(const struct key_build *k)
{
    return k->request->head->method != METHOD_GET && k->request->head->method != METHOD_HEAD;
}

/* ":POST" where answers to GET, or to the other method with a body, must stay apart. */
static void add_method(const struct key_build *k)
{
    const struct route *r = k->route;
    unsigned classes = takes(r, METHOD_GET) || takes(r, METHOD_HEAD);
    if (!has_body_method(k))
        return;
    classes += takes(r, METHOD_POST);
    classes += takes(r, METHOD_QUERY);
    if (classes < 2)
        return;
    buf_add_char(k->key, ':');
    buf_add_span(k->key, k->request->head->method_text);
}

static void add_host(const struct key_build *k)
{
    struct span host = k->request->head->host;
    if (!k->route->key_host)
        return;
    buf_add_str(k->key, ":@");
    while (host.len) {
        char lower[64];
        size_t n = host.len < sizeof(lower) ? host.len : sizeof(lower);
        for (size_t i = 0; i < n; i++) {
            char c = host.p[i];
            lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
        key_add_value(k->key, span_of(lower, n));
        host = span_of(host.p + n, host.len - n);
    }
}

static void add_list(const struct key_build *k)
{
    for (unsigned i = 0; i < k->route->param_count; i++) {
        buf_add_char(k->key, ':');
        key_add_value(k->key, k->route->params[i].label);
        param_add_values(k, &k->route->params[i], "=");
    }
}

/* True: the part is there. */
static bool add_piece(const struct key_build *k, const struct key_piece *piece)
{
    size_t len = k->key->len;
    buf_add_span(k->key, piece->literal);
    if (piece->param < 0 || param_add_values(k, &k->route->params[piece->param], "") > 0)
        return true;
    if (piece->is_optional)
        k->key->len = len;
    else
        buf_add_str(k->key, "%-"); /* absent: no value is written so */
    return false;
}

static void add_template(const struct key_build *k)
{
    char present[ROUTE_PARAMS_MAX];
    unsigned optional = 0;
    for (unsigned i = 0; i < k->route->piece_count; i++) {
        bool is_there = add_piece(k, &k->route->pieces[i]);
        if (k->route->pieces[i].is_optional)
            present[optional++] = is_there ? '1' : '0';
    }
    buf_add_char(k->key, '\x1f');
    buf_add_span(k->key, k->route->name);
    add_method(k);
    if (optional) {
        buf_add_str(k->key, ":[");
        buf_add(k->key, present, optional);
    }
}

/* Whose answer it is. In a template's key this stands behind \x1f: no part of what people see. */
static void add_identity(const struct key_build *k)
{
    const struct route *r = k->route;
    for (unsigned i = 0; i < r->identity_count; i++) {
        buf_add_str(k->key, ":~"); /* no label begins so: they are escaped, ~ is not */
        buf_add_u64(k->key, i);
        param_add_values(k, &r->params[r->param_count + i], "=");
    }
}

/* "unknown": "key": what the key does not name is a part of it all the same. */
static void add_others(const struct key_build *k)
{
    if (k->route->unknown != UNKNOWN_KEY || !k->route->has_key)
        return;
    buf_add_str(k->key, ":?");
    key_add_query_all(k->key, k->request->head->query, route_is_ignored_or_keyed, (void *)k->route);
}

/* False: the body is no JSON, or there is no memory. */
static bool add_body(const struct key_build *k)
{
    struct buf body;
    uint8_t digest[32];
    char hex[64];
    if (!k->request->body_json)
        return false;
    buf_init(&body, (1 << 20) + 8 * k->request->body.len); /* a byte is 6 at most, as an escape */
    json_canonical_format(k->request->body_json, &body);
    bool is_whole = !body.failed;
    if (is_whole)
        digest_of(body.p, body.len, digest);
    buf_fini(&body);
    if (!is_whole)
        return false;
    hex_format(digest, sizeof(digest), hex);
    buf_add_str(k->key, ":body=");
    buf_add(k->key, hex, sizeof(hex));
    return true;
}

static bool add_default(const struct key_build *k)
{
    const struct head *h = k->request->head;
    buf_add_char(k->key, ':');
    uri_path_canonical(h->path, k->key);
    buf_add_char(k->key, '?'); /* no canonical path holds one */
    add_list(k);
    if (k->route->unknown == UNKNOWN_KEY || !k->route->decl_count)
        key_add_query_all(k->key, h->query, route_is_ignored_or_keyed, (void *)k->route);
    return !has_body_method(k) || add_body(k);
}

/* Is the body what the key's parameters are read from? */
static bool has_known_body(const struct key_build *k)
{
    for (unsigned i = 0; i < k->route->param_count + k->route->identity_count; i++) {
        enum param_source source = k->route->params[i].source;
        if ((source == PARAM_JSON && !k->request->body_json) ||
            (source == PARAM_FORM && !request_has_form(k->request->head)))
            return false;
    }
    return true;
}

/* KEY_OK: nothing in the request forbids a key. */
static enum key_result judge(const struct key_build *k, const char **ret_why)
{
    const struct route *r = k->route;
    const char *why;
    bool has_body = has_body_method(k);
    if (r->unknown == UNKNOWN_REJECT &&
        route_has_unknown_query(r, k->request->head->query, ret_why))
        return KEY_REJECT;
    if (has_body && !has_known_body(k))
        return KEY_BYPASS;
    if (r->unknown == UNKNOWN_REJECT && has_body && route_has_unknown_body(r, k->request, ret_why))
        return KEY_REJECT;
    /* a body goes upstream as it came: nothing can be taken off it */
    if (r->unknown == UNKNOWN_DROP && has_body && route_has_unknown_body(r, k->request, &why))
        return KEY_BYPASS;
    return KEY_OK;
}

void route_tag_format(const struct route *r, struct buf *out)
{
    buf_add_str(out, "route:");
    buf_add_span(out, r->name);
}

static void emit_route_tags(const struct key_build *k)
{
    char block[96]; /* a name has at most 64 bytes */
    struct buf tag;
    if (!k->on_tag)
        return;
    buf_init_fixed(&tag, block, sizeof(block));
    route_tag_format(k->route, &tag);
    k->on_tag(k->arg, SPAN_LIT("*"));
    k->on_tag(k->arg, buf_span(&tag));
}

enum key_result route_key_build(const struct route *r, const struct route_request *req,
                                struct buf *key, void (*on_tag)(void *arg, struct span tag),
                                void *arg, const char **ret_why)
{
    enum key_result values = KEY_OK;
    const struct key_build k = {
        .route = r, .request = req, .key = key, .on_tag = on_tag, .arg = arg, .result = &values};
    *ret_why = NULL;
    enum key_result rc = judge(&k, ret_why);
    if (rc != KEY_OK)
        return rc;
    emit_route_tags(&k);
    if (r->piece_count) {
        add_template(&k);
    } else {
        buf_add_span(key, r->name);
        add_method(&k);
        if (r->has_key)
            add_list(&k);
        else if (!add_default(&k))
            return KEY_BYPASS;
    }
    add_others(&k);
    add_identity(&k);
    add_host(&k);
    if (values == KEY_REJECT)
        *ret_why = "a parameter is not of the type that the route declares";
    return key->failed ? KEY_BYPASS : values;
}
