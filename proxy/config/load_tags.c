/* Texts with values in them: tags of answers, and what a write takes back. */
#include "config-internal.h"

#include <stddef.h>

enum { TAGS_OF_ROUTE_MAX = 32, RULES_MAX = 32, PIECES_MAX = 16 };

#define MEMBER(j, text) json_member(j, SPAN_LIT(text))

static bool read_response_piece(struct reading *r, const struct json *j, struct span name,
                                struct template_piece *piece)
{
    struct quoted q;
    struct span pointer = span_of(name.p + 8, name.len - 8); /* behind "response" */
    if (pointer.len < 2 || (pointer.p[0] != '/' && pointer.p[0] != '.')) {
        reading_fail(r, j, "\"%s\" is no value; write {response./rooms/*/id}", quote(name, &q));
        return false;
    }
    if (pointer.p[0] == '.')
        pointer = span_of(pointer.p + 1, pointer.len - 1);
    if (pointer.p[0] != '/') {
        reading_fail(r, j,
                     "\"%s\": a value of the answer is a JSON pointer; write "
                     "{response./rooms/*/id}",
                     quote(name, &q));
        return false;
    }
    piece->kind = PIECE_RESPONSE;
    piece->pointer = reading_copy(r, pointer);
    return true;
}

static bool read_piece(struct reading *r, const struct json *j, const struct route *route,
                       struct text_template *t, struct span name, struct template_piece *piece)
{
    if (span_starts_with(name, SPAN_LIT("response"))) {
        t->has_response = true;
        return read_response_piece(r, j, name, piece);
    }
    bool is_secret = name.len && name.p[0] == '!';
    if (is_secret)
        name = span_of(name.p + 1, name.len - 1);
    if (!load_param(r, j, route, name, &piece->param))
        return false;
    enum param_source s = piece->param.source;
    piece->kind = PIECE_REQUEST;
    piece->param.secret |= is_secret;
    t->has_request = true;
    t->needs_body |= s == PARAM_JSON || s == PARAM_FORM;
    for (unsigned i = 0; i < route->param_count; i++) /* what is secret in the key is so here */
        if (param_is_same(&route->params[i], &piece->param))
            piece->param.secret |= route->params[i].secret;
    return true;
}

static bool read_pieces(struct reading *r, const struct json *j, const struct route *route,
                        struct text_template *t, struct span rest)
{
    while (rest.p) {
        struct span after, literal = span_split(rest, '{', &after);
        if (t->piece_count == PIECES_MAX) {
            reading_fail(r, j, "at most %d values in one text", PIECES_MAX - 1);
            return false;
        }
        struct template_piece *piece = &t->pieces[t->piece_count++];
        piece->literal = reading_copy(r, literal);
        if (!after.p)
            return true;
        struct span name = span_split(after, '}', &rest);
        if (!rest.p) {
            reading_fail(r, j, "a { is not closed; write \"org:{query.organization_id}\"");
            return false;
        }
        if (!read_piece(r, j, route, t, name, piece))
            return false;
    }
    return true;
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

/* The part before the first value, with a star: "room:*". */
static struct span coarse_of(struct reading *r, const struct text_template *t)
{
    char block[1024];
    struct buf out;
    buf_init_fixed(&out, block, sizeof(block));
    if (t->piece_count)
        buf_add_span(&out, t->pieces[0].literal);
    buf_add_char(&out, '*');
    return reading_copy(r, buf_span(&out));
}

static bool read_template(struct reading *r, const struct json *j, struct span text,
                          const struct route *route, struct text_template *t)
{
    enum { TEXT_MAX_BYTES = 900 };
    if (text.len == 0 || text.len > TEXT_MAX_BYTES || has_control(text)) {
        reading_fail(r, j, "write a text of 1 to %d bytes such as \"org:{query.organization_id}\"",
                     TEXT_MAX_BYTES);
        return false;
    }
    t->text = reading_copy(r, text);
    t->max = TEMPLATE_VALUES_MAX;
    t->pieces = reading_alloc(r, PIECES_MAX, sizeof(*t->pieces));
    if (!t->pieces || !read_pieces(r, j, route, t, text))
        return false;
    t->coarse = coarse_of(r, t);
    return true;
}

struct tag_parts {
    struct span tag;
    unsigned max;
};

static const struct member tag_members[] = {
    {.name = "tag",
     .type = MEMBER_TEXT,
     .offset = offsetof(struct tag_parts, tag),
     .is_required = true,
     .doc = "the text: write \"room:{response./rooms/*/id}\""},
    {.name = "max",
     .type = MEMBER_UINT,
     .offset = offsetof(struct tag_parts, max),
     .min = 1,
     .max = 4000,
     .fallback = "100",
     .doc = "with more values than this the answer gets the one coarse tag instead (\"room:*\"), "
            "which each invalidation of a \"room:...\" means as well"},
};
const struct object object_tag = OBJECT("a tag", tag_members);

static void read_tag(struct reading *r, const struct json *j, struct route *route)
{
    struct tag_parts parts = {.tag = j->text, .max = 100};
    struct text_template *t = &route->tags[route->tag_count];
    if (j->type == JSON_OBJECT && (!reading_members(r, j, &object_tag, &parts) || !parts.tag.len))
        return;
    if (j->type != JSON_OBJECT && j->type != JSON_STRING) {
        reading_fail(r, j, "write a tag such as \"org:{query.organization_id}\"");
        return;
    }
    if (!read_template(r, j, parts.tag, route, t))
        return;
    t->max = parts.max;
    route->needs_body |= t->needs_body;
    if (t->has_response && t->pieces[0].literal.len == 0)
        reading_fail(r, j,
                     "a tag of the answer begins with a word of its own; write "
                     "\"room:{response./rooms/*/id}\"");
    route->tag_count++;
}

void load_tags(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    if (j->type != JSON_ARRAY || j->count > TAGS_OF_ROUTE_MAX) {
        reading_fail(r, j, "write an array of at most %d tags", TAGS_OF_ROUTE_MAX);
        return;
    }
    route->tags = reading_alloc(r, j->count + 1, sizeof(*route->tags));
    for (const struct json *c = j->first; c && route->tags; c = c->next)
        read_tag(r, c, route);
}

void load_stats_by(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    if (j->type != JSON_ARRAY || j->count > ENTRY_LABELS_MAX) {
        reading_fail(r, j, "write an array of at most %d labels such as [\"organization_id\"]",
                     ENTRY_LABELS_MAX);
        return;
    }
    route->stats_by = reading_alloc(r, j->count + 1, sizeof(*route->stats_by));
    for (const struct json *c = j->first; c && route->stats_by; c = c->next) {
        if (c->type == JSON_STRING && c->text.len)
            route->stats_by[route->stats_by_count++] = reading_copy(r, c->text);
        else
            reading_fail(r, c, "write the label of a parameter of the key");
    }
}

/* --- on_write --- */

struct write_reading {
    struct write_rules *rules;
    const struct route *route;
};

/* An array of templates. */
static struct text_template *read_templates(struct reading *r, const struct json *j,
                                            struct write_reading *w, unsigned *ret_count)
{
    struct text_template *list = NULL;
    if (j->type != JSON_ARRAY || j->count > RULES_MAX) {
        reading_fail(r, j, "write an array of at most %d texts", RULES_MAX);
        return NULL;
    }
    list = reading_alloc(r, j->count + 1, sizeof(*list));
    for (const struct json *c = j->first; c && list; c = c->next) {
        struct text_template *t = &list[*ret_count];
        if (c->type != JSON_STRING)
            reading_fail(r, c, "write a text such as \"room:{path.id}\"");
        else if (read_template(r, c, c->text, w->route, t)) {
            t->max = WRITE_VALUES_MAX;
            if (t->has_response)
                reading_fail(r, c, "a write's values come from its request: path, query or body");
            w->rules->needs_body |= t->needs_body;
            ++*ret_count;
        }
    }
    return list;
}

static void read_write_tags(struct reading *r, const struct json *j, void *into)
{
    struct write_reading *w = into;
    w->rules->tags = read_templates(r, j, w, &w->rules->tag_count);
}

static void read_write_keys(struct reading *r, const struct json *j, void *into)
{
    struct write_reading *w = into;
    w->rules->keys = read_templates(r, j, w, &w->rules->key_count);
}

/* Routes are resolved by finish_on_write(), once all have been read. */
static void read_write_routes(struct reading *r, const struct json *j, void *into)
{
    (void)into;
    if (j->type != JSON_ARRAY || j->count > RULES_MAX)
        reading_fail(r, j,
                     "write an array of at most %d routes such as [{\"route\": \"courses\", "
                     "\"params\": {\"organization_id\": \"{json.organization_id}\"}}]",
                     RULES_MAX);
}

static void read_write_mode(struct reading *r, const struct json *j, void *into)
{
    struct write_reading *w = into;
    if (j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("soft")))
        w->rules->is_soft = true;
    else if (j->type != JSON_STRING || !span_eq(j->text, SPAN_LIT("hard")))
        reading_fail(r, j, "\"mode\" must be \"hard\" or \"soft\"");
}

static const struct member write_members[] = {
    {.name = "tags",
     .type = MEMBER_OWN,
     .read = read_write_tags,
     .schema = "\"type\": \"array\", \"maxItems\": 32, \"items\": {\"type\": \"string\"}",
     .doc = "tags that the write takes back: write [\"rooms\", \"room:{path.id}\"]"},
    {.name = "keys",
     .type = MEMBER_OWN,
     .read = read_write_keys,
     .schema = "\"type\": \"array\", \"maxItems\": 32, \"items\": {\"type\": \"string\"}",
     .doc = "globs over readable keys: write [\"courses:organization_id={query.org}:*\"]"},
    {.name = "routes",
     .type = MEMBER_OWN,
     .read = read_write_routes,
     .schema = "\"type\": \"array\", \"maxItems\": 32, "
               "\"items\": {\"oneOf\": [{\"type\": \"string\"}, "
               "{\"$ref\": \"#/definitions/write_route\"}]}",
     .doc = "routes, with values of their parameters or as a whole"},
    {.name = "mode",
     .type = MEMBER_OWN,
     .read = read_write_mode,
     .fallback = "hard",
     .schema = "\"enum\": [\"hard\", \"soft\"]",
     .doc = "hard: the writer and everybody after reads the new; soft: stale answers may be "
            "served while they are refreshed"},
};
const struct object object_on_write = OBJECT("on_write", write_members);

void load_on_write(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    struct write_rules *rules = reading_alloc(r, 1, sizeof(*rules));
    struct write_reading w = {.rules = rules, .route = route};
    if (rules && reading_members(r, j, &object_on_write, &w))
        route->on_write = rules;
}

static void read_nothing(struct reading *r, const struct json *j, void *into)
{
    (void)r;
    (void)j;
    (void)into;
}

static const struct member write_route_members[] = {
    {.name = "route",
     .type = MEMBER_OWN,
     .read = read_nothing,
     .is_required = true,
     .schema = "\"type\": \"string\"",
     .doc = "a route's name"},
    {.name = "params",
     .type = MEMBER_OWN,
     .read = read_nothing,
     .schema = "\"type\": \"object\", \"maxProperties\": 8, "
               "\"additionalProperties\": {\"type\": \"string\"}",
     .doc = "values of the parameters of its key: write {\"organization_id\": \"{query.org}\"}"},
};
const struct object object_write_route = OBJECT("a route of on_write", write_route_members);

static const struct route *find_route(struct reading *r, const struct json *name)
{
    struct quoted q;
    const struct config *c = r->config;
    for (unsigned i = 0; i < c->route_count; i++)
        if (name->type == JSON_STRING && span_eq(c->routes[i].name, name->text))
            return &c->routes[i];
    reading_fail(r, name, "there is no route \"%s\"; name one of \"routes\"",
                 quote(name->text, &q));
    return NULL;
}

static void read_write_param(struct reading *r, const struct json *j, struct write_reading *w,
                             struct write_route *wr)
{
    const struct route *target = &r->config->routes[wr->route];
    const struct param *p = route_param(target, j->name);
    struct quoted q;
    if (wr->param_count == TEMPLATE_PARAMS_MAX || j->type != JSON_STRING) {
        reading_fail(r, j, "write at most %d texts such as \"{json.organization_id}\"",
                     TEMPLATE_PARAMS_MAX);
        return;
    }
    if (!p) {
        reading_fail(r, j, "the key of that route has no parameter \"%s\"", quote(j->name, &q));
        return;
    }
    struct text_template *t = &wr->params[wr->param_count].value;
    if (!read_template(r, j, j->text, w->route, t))
        return;
    t->max = WRITE_VALUES_MAX;
    wr->params[wr->param_count++].param = p;
    w->rules->needs_body |= t->needs_body;
}

static void read_write_route(struct reading *r, const struct json *j, struct write_reading *w)
{
    struct write_route *wr = &w->rules->routes[w->rules->route_count];
    if (j->type == JSON_OBJECT && !reading_members(r, j, &object_write_route, wr))
        return;
    const struct json *name = j->type == JSON_OBJECT ? MEMBER(j, "route") : j;
    const struct json *params = MEMBER(j, "params");
    const struct route *target = name ? find_route(r, name) : NULL;
    if (!target)
        return;
    wr->route = target->index;
    w->rules->route_count++;
    if (params && params->type != JSON_OBJECT)
        reading_fail(r, params, "write an object such as {\"organization_id\": \"{query.org}\"}");
    for (const struct json *c = params ? params->first : NULL; c; c = c->next)
        read_write_param(r, c, w, wr);
}

enum alike { ALIKE_NOT, ALIKE_BUT_SECRETS, ALIKE };

/* Do two templates make the same texts of the same values? */
static enum alike compare(const struct text_template *a, const struct text_template *b)
{
    enum alike alike = ALIKE;
    if (a->piece_count != b->piece_count)
        return ALIKE_NOT;
    for (unsigned i = 0; i < a->piece_count; i++) {
        const struct template_piece *x = &a->pieces[i], *y = &b->pieces[i];
        if ((x->kind == PIECE_END) != (y->kind == PIECE_END) || !span_eq(x->literal, y->literal))
            return ALIKE_NOT;
        if (x->kind != PIECE_END && x->param.secret != y->param.secret)
            alike = ALIKE_BUT_SECRETS;
    }
    return alike;
}

/* A value in clear takes no answer back whose tag has it as an HMAC, nor the other way round. */
static void check_secrets(struct reading *r, const struct json *j, const struct write_rules *w,
                          const struct route *of)
{
    struct quoted q, name;
    for (unsigned t = 0; t < of->tag_count; t++) {
        const struct text_template *near = NULL;
        bool is_met = false;
        for (unsigned i = 0; i < w->tag_count; i++) {
            enum alike alike = compare(&w->tags[i], &of->tags[t]);
            is_met |= alike == ALIKE;
            near = alike == ALIKE_BUT_SECRETS ? &w->tags[i] : near;
        }
        if (near && !is_met)
            reading_fail(r, j,
                         "\"%s\" takes nothing back of the route \"%s\": what is secret there, or "
                         "its identity, stands in tags as an HMAC; write a ! before it in both, "
                         "{!query.x}, or in neither",
                         quote(near->text, &q), quote(of->name, &name));
    }
}

void finish_on_write(struct reading *r, const struct json *j, struct route *route)
{
    const struct json *on_write = MEMBER(j, "on_write");
    const struct json *routes = on_write ? MEMBER(on_write, "routes") : NULL;
    if (!route->on_write)
        return;
    struct write_rules *rules = (struct write_rules *)route->on_write; /* ours until it is read */
    struct write_reading w = {.rules = rules, .route = route};
    if (routes && routes->type == JSON_ARRAY) {
        rules->routes = reading_alloc(r, routes->count + 1, sizeof(*rules->routes));
        for (const struct json *c = routes->first; c && rules->routes; c = c->next)
            read_write_route(r, c, &w);
    }
    for (unsigned i = 0; i < r->config->route_count; i++)
        check_secrets(r, on_write, rules, &r->config->routes[i]);
    if (route->cached)
        reading_fail(r, on_write,
                     "a route is either cached or a write: \"on_write\" has no use "
                     "beside \"ttl\"; give writes a route of their own");
    if (!rules->tag_count && !rules->key_count && !rules->route_count)
        reading_fail(r, on_write,
                     "\"on_write\" names nothing; write \"tags\", \"keys\" or "
                     "\"routes\"");
}
