/* "key": a list of parameters; "key_template": the readable form itself. */
#include "config-internal.h"

#include <stddef.h>

enum { KEY_PARAMS_MAX = 16 }; /* the others are for identities */

static const struct {
    const char *prefix;
    enum param_source source;
} sources[] = {
    {"path.", PARAM_PATH},     {"query.", PARAM_QUERY}, {"header.", PARAM_HEADER},
    {"cookie.", PARAM_COOKIE}, {"json.", PARAM_JSON},   {"form.", PARAM_FORM},
};

static bool has_capture(const struct route *route, struct span name)
{
    for (unsigned i = 0; i < route->segment_count; i++)
        if (route->segments[i].name.len && span_eq(route->segments[i].name, name))
            return true;
    return false;
}

/* json.a.b is the pointer /a/b; ~ and / in a name are escaped as RFC 6901 section 3 says. */
static struct span pointer_of(struct reading *r, struct span dotted)
{
    char *p = reading_alloc(r, 2 * dotted.len + 2, 1);
    size_t n = 0;
    if (!p)
        return span_of("", 0);
    p[n++] = '/';
    for (size_t i = 0; i < dotted.len; i++) {
        char c = dotted.p[i];
        if (c == '~' || c == '/')
            p[n++] = '~';
        p[n++] = c == '.' ? '/' : c == '~' ? '0' : c == '/' ? '1' : c;
    }
    return span_of(p, n);
}

static struct span last_part(struct span name)
{
    const char *slash = memrchr(name.p, '/', name.len);
    return slash ? span_of(slash + 1, (size_t)(name.p + name.len - slash) - 1) : name;
}

/* As fields of a request that hold credentials whole. */
static bool is_secret_header(struct span name)
{
    return span_eq_nocase(name, SPAN_LIT("Authorization")) ||
           span_eq_nocase(name, SPAN_LIT("Proxy-Authorization")) ||
           span_eq_nocase(name, SPAN_LIT("Cookie"));
}

bool param_is_same(const struct param *a, const struct param *b)
{
    return a->source == b->source && (a->source == PARAM_HEADER ? span_eq_nocase(a->name, b->name)
                                                                : span_eq(a->name, b->name));
}

static bool parse_source(struct reading *r, struct span text, struct param *p)
{
    if (span_eq(text, SPAN_LIT("auth"))) {
        p->source = PARAM_AUTH;
        p->name = p->label = SPAN_LIT("auth");
        p->secret = true;
        return true;
    }
    if (text.len > 1 && text.p[0] == '/') {
        p->source = PARAM_JSON;
        p->name = reading_copy(r, text);
        p->label = last_part(p->name);
        return p->label.len > 0;
    }
    for (unsigned i = 0; i < array_len(sources); i++) {
        struct span prefix = span_str(sources[i].prefix);
        if (!span_starts_with(text, prefix) || text.len == prefix.len)
            continue;
        struct span name = span_of(text.p + prefix.len, text.len - prefix.len);
        p->source = sources[i].source;
        p->name = p->source == PARAM_JSON ? pointer_of(r, name) : reading_copy(r, name);
        p->label = p->source == PARAM_JSON ? last_part(p->name) : p->name;
        p->secret = p->source == PARAM_HEADER && is_secret_header(p->name);
        return p->label.len > 0;
    }
    return false;
}

static void fail_source(struct reading *r, const struct json *j, struct span text)
{
    static const char *const names[] = {"path", "query", "header", "cookie",
                                        "json", "form",  "auth"};
    struct quoted q;
    struct span rest, source = span_split(text, '.', &rest);
    const char *near = nearest_name(source, names, array_len(names));
    reading_fail(r, j,
                 "\"%s\" is no parameter; write path.x, query.x, header.X, cookie.x, json.a.b, "
                 "/json/pointer, form.x or auth%s%s%s",
                 quote(text, &q), near ? "; did you mean \"" : "", near ? near : "",
                 near ? "\"?" : "");
}

/* What one parameter alone can have wrong. */
static void check_param(struct reading *r, const struct json *j, const struct route *route,
                        const struct param *p)
{
    enum { NAME_MAX_BYTES = 200 };
    struct quoted q;
    if (p->name.len > NAME_MAX_BYTES || memchr(p->name.p, '\0', p->name.len))
        reading_fail(r, j, "a parameter's name has at most %d bytes, and no NUL", NAME_MAX_BYTES);
    if (p->source == PARAM_PATH && route->segment_count && !has_capture(route, p->name))
        reading_fail(r, j, "\"match\" has no capture {%s}; add it there, or leave this out",
                     quote(p->name, &q));
    if ((p->source == PARAM_HEADER || p->source == PARAM_COOKIE) && !span_is_token(p->name))
        reading_fail(r, j, "\"%s\" is no name of a header or cookie", quote(p->name, &q));
}

bool load_param(struct reading *r, const struct json *j, const struct route *route,
                struct span text, struct param *p)
{
    if (!parse_source(r, text, p)) {
        fail_source(r, j, text);
        return false;
    }
    if (route)
        check_param(r, j, route, p);
    return true;
}

static struct param *add_param(struct reading *r, const struct json *j, struct route *route,
                               struct span text)
{
    if (route->param_count == KEY_PARAMS_MAX) {
        reading_fail(r, j, "a key has at most %d parameters", KEY_PARAMS_MAX);
        return NULL;
    }
    struct param *p = &route->params[route->param_count];
    if (!load_param(r, j, route, text, p))
        return NULL;
    route->needs_body |= p->source == PARAM_JSON || p->source == PARAM_FORM;
    route->param_count++;
    return p;
}

static bool is_label_taken(const struct route *route, const struct param *p)
{
    for (unsigned i = 0; i < route->param_count; i++)
        if (&route->params[i] != p && span_eq(route->params[i].label, p->label))
            return true;
    return false;
}

struct part {
    struct span param, label;
    bool secret;
};

static const struct member part_members[] = {
    {.name = "param",
     .type = MEMBER_TEXT,
     .offset = offsetof(struct part, param),
     .is_required = true,
     .doc = "where the value comes from: write \"json.password\""},
    {.name = "label",
     .type = MEMBER_TEXT,
     .offset = offsetof(struct part, label),
     .doc = "its name in readable keys and in invalidations; default: the parameter's own"},
    {.name = "secret",
     .type = MEMBER_BOOL,
     .offset = offsetof(struct part, secret),
     .fallback = "false",
     .doc = "enters keys as HMAC only, and is shown nowhere"},
};

const struct object object_key_part = OBJECT("a key's parameter", part_members);

static void read_part(struct reading *r, const struct json *j, struct route *route)
{
    struct part part = {.param = j->text};
    struct quoted q;
    if (j->type != JSON_STRING && j->type != JSON_OBJECT) {
        reading_fail(r, j,
                     "this is %s; write \"query.x\" or {\"param\": \"json.password\", "
                     "\"secret\": true}",
                     json_type_name(j->type));
        return;
    }
    if (j->type == JSON_OBJECT) {
        reading_members(r, j, &object_key_part, &part);
        if (!part.param.len)
            return; /* said already */
    }
    struct param *p = add_param(r, j, route, part.param);
    if (!p)
        return;
    p->secret |= part.secret;
    if (part.label.len)
        p->label = part.label;
    if (is_label_taken(route, p))
        reading_fail(r, j, "two parameters are called \"%s\"; give one a \"label\"",
                     quote(p->label, &q));
}

/* A capture that the key leaves out would let different paths share one answer. */
static void check_captures(struct reading *r, const struct json *j, const struct route *route)
{
    struct quoted q;
    for (unsigned i = 0; i < route->segment_count; i++) {
        const struct path_segment *s = &route->segments[i];
        bool is_keyed = !s->is_capture && !s->is_rest;
        for (unsigned n = 0; n < route->param_count; n++)
            is_keyed |=
                route->params[n].source == PARAM_PATH && span_eq(route->params[n].name, s->name);
        if (is_keyed)
            continue;
        if (s->name.len)
            reading_fail(r, j,
                         "all values of {%s} in \"match\" would share one answer; add path.%s",
                         quote(s->name, &q), q.text);
        else
            reading_fail(r, j,
                         "all paths behind * in \"match\" would share one answer; write "
                         "{rest...} there, and add path.rest");
    }
}

void load_key(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    route->has_key = true;
    if (j->type != JSON_ARRAY) {
        reading_fail(r, j, "\"key\" is %s; write an array such as [\"query.organization_id\"]",
                     json_type_name(j->type));
        return;
    }
    for (const struct json *c = j->first; c; c = c->next)
        read_part(r, c, route);
    check_captures(r, j, route);
}

/* Between two parameters must stand a byte that no written value holds. */
static bool separates(struct span literal)
{
    for (size_t i = 0; i < literal.len; i++) {
        unsigned char c = (unsigned char)literal.p[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && !strchr("._~@%-,?!", c))
            return true;
    }
    return false;
}

/* <is_between>: another parameter follows. */
static void check_literal(struct reading *r, const struct json *j, struct span literal,
                          bool is_between)
{
    for (size_t i = 0; i < literal.len; i++) {
        char c = literal.p[i];
        if ((unsigned char)c < 0x20 || c == 0x7f || c == '}' || c == '[' || c == ']') {
            reading_fail(
                r, j,
                "a template's text has no control characters, no } without {, and [ ] "
                "only around a text and a parameter: write \"[:semester:{query.semester}]\"");
            break;
        }
    }
    if (is_between && !separates(literal))
        reading_fail(r, j,
                     "two parameters need a separator such as : between them, or different "
                     "values could make one key; write \"{a}:{b}\"");
}

/* "query.model" or "!json.password". False: the template cannot be read on. */
static bool read_piece(struct reading *r, const struct json *j, struct route *route,
                       struct key_piece *piece, struct span name)
{
    struct quoted q;
    bool is_secret = name.len && name.p[0] == '!';
    if (is_secret)
        name = span_of(name.p + 1, name.len - 1);
    struct param *p = add_param(r, j, route, name);
    if (!p)
        return false;
    p->secret |= is_secret;
    if (is_label_taken(route, p))
        p->label = reading_copy(r, name); /* a template cannot give labels */
    for (unsigned i = 0; i + 1 < route->param_count; i++)
        if (param_is_same(&route->params[i], p))
            reading_fail(r, j, "{%s} is there twice; leave one of them", quote(name, &q));
    piece->param = (int)route->param_count - 1;
    return true;
}

/* Adds a piece without a parameter, yet. */
static struct key_piece *add_key_piece(struct reading *r, struct route *route, struct span literal)
{
    struct key_piece *piece = &route->pieces[route->piece_count++];
    piece->literal = reading_copy(r, literal);
    piece->param = -1;
    return piece;
}

/* "courses:" and "[:semester:" before a parameter: the text before the [ is a piece of its own. */
static struct key_piece *read_literal(struct reading *r, const struct json *j, struct route *route,
                                      struct span literal)
{
    struct span optional, before = span_split(literal, '[', &optional);
    if (optional.p && before.len)
        check_literal(r, j, add_key_piece(r, route, before)->literal, false);
    check_literal(r, j, optional.p ? optional : literal, route->param_count > 0);
    struct key_piece *piece = add_key_piece(r, route, optional.p ? optional : literal);
    piece->is_optional = optional.p != NULL;
    return piece;
}

static void read_template(struct reading *r, const struct json *j, struct route *route)
{
    struct span rest = j->text;
    unsigned max = 2;
    for (size_t i = 0; i < rest.len; i++)
        max += rest.p[i] == '{' || rest.p[i] == '[';
    route->pieces = reading_alloc(r, max, sizeof(*route->pieces));
    while (route->pieces && rest.p) {
        struct span after, literal = span_split(rest, '{', &after);
        if (!after.p) {
            check_literal(r, j, add_key_piece(r, route, literal)->literal, false);
            return;
        }
        struct key_piece *piece = read_literal(r, j, route, literal);
        struct span name = span_split(after, '}', &rest);
        if (!rest.p) {
            reading_fail(r, j, "a { is not closed; write \"{query.model}\"");
            return;
        }
        if (!read_piece(r, j, route, piece, name))
            return;
        if (!piece->is_optional)
            continue;
        if (!rest.len || rest.p[0] != ']') {
            reading_fail(r, j,
                         "a [ ends with a ] behind its one parameter; write "
                         "\"[:semester:{query.semester}]\"");
            return;
        }
        rest = span_of(rest.p + 1, rest.len - 1);
    }
}

void load_key_template(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    if (route->has_key) {
        reading_fail(r, j, "\"key\" and \"key_template\" exclude each other; leave one");
        return;
    }
    route->has_key = true;
    if (j->type != JSON_STRING || j->text.len == 0) {
        reading_fail(r, j, "write a text such as \"{query.model}:{query.country}\"");
        return;
    }
    read_template(r, j, route);
    check_captures(r, j, route);
}
