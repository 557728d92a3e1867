/* "key": a list of parameters; "key_template": the readable form itself. */
#include "config-internal.h"

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
        if (route->segments[i].is_capture && span_eq(route->segments[i].name, name))
            return true;
    return false;
}

/* json.a.b is the pointer /a/b. */
static struct span pointer_of(struct reading *r, struct span dotted)
{
    char *p = reading_alloc(r, dotted.len + 2, 1);
    if (!p)
        return span_of("", 0);
    p[0] = '/';
    for (size_t i = 0; i < dotted.len; i++)
        p[i + 1] = dotted.p[i] == '.' ? '/' : dotted.p[i];
    return span_of(p, dotted.len + 1);
}

static struct span last_part(struct span name)
{
    const char *slash = memrchr(name.p, '/', name.len);
    return slash ? span_of(slash + 1, (size_t)(name.p + name.len - slash) - 1) : name;
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
        return true;
    }
    for (unsigned i = 0; i < array_len(sources); i++) {
        struct span prefix = span_str(sources[i].prefix);
        if (!span_starts_with(text, prefix) || text.len == prefix.len)
            continue;
        struct span name = span_of(text.p + prefix.len, text.len - prefix.len);
        p->source = sources[i].source;
        p->name = p->source == PARAM_JSON ? pointer_of(r, name) : reading_copy(r, name);
        p->label = p->source == PARAM_JSON ? last_part(p->name) : p->name;
        return true;
    }
    return false;
}

static struct param *add_param(struct reading *r, const struct json *j, struct route *route,
                               struct span text)
{
    if (route->param_count == ROUTE_PARAMS_MAX) {
        reading_fail(r, j, "a key has at most %d parameters", ROUTE_PARAMS_MAX);
        return NULL;
    }
    struct param *p = &route->params[route->param_count];
    if (!parse_source(r, text, p)) {
        reading_fail(r, j,
                     "\"" SPAN_FMT "\" is no parameter; write path.x, query.x, header.X, "
                     "cookie.x, json.a.b, /json/pointer, form.x or auth",
                     SPAN_ARG(text));
        return NULL;
    }
    if (p->source == PARAM_PATH && !has_capture(route, p->name))
        reading_fail(r, j, "\"match\" has no capture {" SPAN_FMT "}", SPAN_ARG(p->name));
    route->needs_body |= p->source == PARAM_JSON || p->source == PARAM_FORM;
    for (unsigned i = 0; i < route->param_count; i++)
        if (span_eq(route->params[i].label, p->label))
            reading_fail(r, j, "two parameters are called \"" SPAN_FMT "\"; give one a \"label\"",
                         SPAN_ARG(p->label));
    route->param_count++;
    return p;
}

static void read_part(struct reading *r, const struct json *j, struct route *route)
{
    struct {
        struct span param, label;
        bool secret;
    } part = {0};
    static const struct member members[] = {
        {"param", MEMBER_TEXT, 0, 0, 0},
        {"label", MEMBER_TEXT, sizeof(struct span), 0, 0},
        {"secret", MEMBER_BOOL, 2 * sizeof(struct span), 0, 0},
    };
    if (j->type == JSON_STRING) {
        add_param(r, j, route, j->text);
        return;
    }
    reading_members(r, j, members, array_len(members), &part);
    if (!part.param.len) {
        reading_fail(r, j, "write \"query.x\" or {\"param\": \"json.password\", \"secret\": true}");
        return;
    }
    unsigned at = route->param_count;
    struct param *p = add_param(r, j, route, part.param);
    if (!p)
        return;
    p->secret |= part.secret;
    if (part.label.len)
        route->params[at].label = part.label;
}

/* Between two parameters must stand a byte that no escaped value holds. */
static bool separates(struct span literal)
{
    for (size_t i = 0; i < literal.len; i++) {
        unsigned char c = (unsigned char)literal.p[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c > 0x20 && c < 0x7f && !strchr("._~@%-,", c))
            return true;
    }
    return false;
}

/* "{query.model}:{!json.password}": literal texts and parameters in turn. */
static void read_template(struct reading *r, const struct json *j, struct route *route)
{
    struct span rest = j->text;
    unsigned max = 2;
    for (size_t i = 0; i < rest.len; i++)
        max += rest.p[i] == '{';
    route->pieces = reading_alloc(r, max, sizeof(*route->pieces));
    while (route->pieces && rest.p) {
        struct span after, literal = span_split(rest, '{', &after);
        struct key_piece *piece = &route->pieces[route->piece_count++];
        piece->literal = reading_copy(r, literal);
        piece->param = -1;
        if (!after.p)
            return;
        if (route->piece_count > 1 && !separates(literal))
            reading_fail(r, j,
                         "two parameters need a separator such as : between them, or "
                         "different values could make one key; write \"{a}:{b}\"");
        struct span name = span_split(after, '}', &rest);
        if (!rest.p) {
            reading_fail(r, j, "a { is not closed");
            return;
        }
        bool is_secret = name.len && name.p[0] == '!';
        if (is_secret)
            name = span_of(name.p + 1, name.len - 1);
        struct param *p = add_param(r, j, route, name);
        if (!p)
            return;
        p->secret |= is_secret;
        piece->param = (int)route->param_count - 1;
    }
}

void load_key(struct reading *r, struct route *route, const struct json *key,
              const struct json *template)
{
    route->has_key = key || template;
    if (key && template)
        reading_fail(r, template, "\"key\" and \"key_template\" exclude each other");
    if (route->has_key && !route->cached)
        reading_fail(r, key ? key : template,
                     "a key without \"ttl\" has no use: nothing is cached");
    if (template && template->type == JSON_STRING)
        read_template(r, template, route);
    else if (template)
        reading_fail(r, template, "write a text such as \"{query.model}:{query.country}\"");
    if (!key)
        return;
    if (key->type != JSON_ARRAY) {
        reading_fail(r, key, "write an array such as [\"query.organization_id\"]");
        return;
    }
    for (const struct json *c = key->first; c; c = c->next)
        read_part(r, c, route);
}
