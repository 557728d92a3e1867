/* What the API means by its parameters ("params", "unknown"), and whose its answers are
 * ("identity"). */
#include "config-internal.h"

#include <larder/base/jwt.h>

#include <stddef.h>

#define MEMBER(j, text) json_member(j, SPAN_LIT(text))

static const char *const types[] = {"string", "int", "number", "bool", NULL};
static const char *const cases[] = {"keep", "lower", "upper", NULL};
_Static_assert(DECL_STRING == 0 && DECL_BOOL == 3, "the words are in the enum's order");
_Static_assert(DECL_CASE_KEEP == 0 && DECL_CASE_UPPER == 2, "the words are in the enum's order");

static void read_default(struct reading *r, const struct json *j, void *into)
{
    struct param_decl *d = into;
    struct quoted q;
    char block[1024];
    struct buf canonical;
    buf_init_fixed(&canonical, block, sizeof(block));
    struct span text = j->text;
    if (j->type == JSON_TRUE || j->type == JSON_FALSE)
        text = j->type == JSON_TRUE ? SPAN_LIT("true") : SPAN_LIT("false");
    else if (j->type != JSON_STRING && j->type != JSON_NUMBER)
        text = span_of(NULL, 0);
    if (!text.p || !param_canonical(d, text, &canonical) || canonical.failed) {
        reading_fail(r, j, "the default \"%s\" is not of the parameter's type", quote(text, &q));
        return;
    }
    d->has_default = true;
    d->fallback = reading_copy(r, buf_span(&canonical));
}

#define AT(field) offsetof(struct param_decl, field)

static const struct member param_members[] = {
    {.name = "type",
     .type = MEMBER_CHOICE,
     .offset = AT(type),
     .words = types,
     .fallback = "string",
     .doc = "7 and 007 are one int, 1.50 and 1.5 one number, yes and true one bool"},
    {.name = "case",
     .type = MEMBER_CHOICE,
     .offset = AT(letter_case),
     .words = cases,
     .fallback = "keep",
     .doc = "lower or upper: letters differ in no answer"},
    {.name = "ignore",
     .type = MEMBER_BOOL,
     .offset = AT(is_ignored),
     .fallback = "false",
     .doc = "changes no answer: not part of the key"},
    {.name = "default", /* last: it is read by the type */
     .type = MEMBER_OWN,
     .read = read_default,
     .schema = "\"type\": [\"string\", \"number\", \"boolean\"]",
     .doc = "what an absent one means"},
};
const struct object object_param = OBJECT("a parameter", param_members);

void load_params(struct reading *r, const struct json *j, void *into)
{
    enum { DECLS_MAX = 64 };
    struct route *route = into;
    if (j->type != JSON_OBJECT || j->count > DECLS_MAX) {
        reading_fail(r, j,
                     "write an object of at most %d members such as {\"page\": {\"type\": \"int\", "
                     "\"default\": 1}, \"_\": \"ignore\"}",
                     DECLS_MAX);
        return;
    }
    route->decls = reading_alloc(r, j->count + 1, sizeof(*route->decls));
    for (const struct json *c = j->first; c && route->decls; c = c->next) {
        struct param_decl *d = &route->decls[route->decl_count];
        if (c->type == JSON_STRING && span_eq(c->text, SPAN_LIT("ignore")))
            d->is_ignored = true;
        else if (c->type == JSON_OBJECT)
            reading_members(r, c, &object_param, d);
        else
            reading_fail(r, c, "write {\"type\": \"int\"} and so on, or \"ignore\"");
        d->name = reading_copy(r, c->name);
        route->decl_count++;
    }
}

static const char *const unknowns[] = {"ignore", "reject", "drop", "key", NULL};
_Static_assert(UNKNOWN_FORWARD == 0 && UNKNOWN_KEY == 3, "the words are in the enum's order");

void load_unknown(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    const struct json *other = MEMBER(j->parent, "strict");
    if (other)
        reading_fail(r, other, "\"unknown\" and \"strict\" mean the same; leave \"unknown\"");
    for (unsigned i = 0; unknowns[i]; i++) {
        if (j->type == JSON_STRING && span_eq(j->text, span_str(unknowns[i]))) {
            route->unknown = i;
            return;
        }
    }
    reading_fail(r, j, "\"unknown\" must be \"ignore\", \"key\", \"drop\" or \"reject\"");
}

/* --- identity --- */

struct jwt_part {
    struct span claim, from;
    const struct jwt_key *key;
};

static void read_jwt_key(struct reading *r, const struct json *j, void *into)
{
    struct jwt_part *p = into;
    struct jwt_key *key = NULL;
    struct err err = {0};
    struct span text = reading_secret(r, j);
    if (!text.len)
        return; /* told already */
    if (jwt_key_new(text, &key, &err) != ERR_OK)
        reading_fail(r, j, "%s", err.what);
    else
        p->key = reading_keep(r, key, (void (*)(void *))jwt_key_free);
}

static const struct member jwt_members[] = {
    {.name = "jwt",
     .type = MEMBER_TEXT,
     .offset = offsetof(struct jwt_part, claim),
     .is_required = true,
     .doc = "the pointer of a claim in a verified token: write \"/org_id\""},
    {.name = "key",
     .type = MEMBER_OWN,
     .read = read_jwt_key,
     .is_required = true,
     .schema = "\"$ref\": \"#/definitions/secret\"",
     .doc = "the shared secret (HS256) or PEM public key (RS256, ES256); write {\"file\": path}"},
    {.name = "from",
     .type = MEMBER_TEXT,
     .offset = offsetof(struct jwt_part, from),
     .fallback = "header.Authorization",
     .doc = "where the token stands: header.X or cookie.x"},
};
const struct object object_jwt = OBJECT("an identity by token", jwt_members);

void load_jwt(struct reading *r, const struct json *j, const struct route *route, struct param *p)
{
    struct jwt_part part = {0};
    struct param from = {0};
    if (!reading_members(r, j, &object_jwt, &part) || !part.claim.len)
        return;
    if (part.claim.p[0] != '/')
        reading_fail(r, j, "\"jwt\" is a JSON pointer into the token: write \"/org_id\"");
    if (!load_param(r, j, route, part.from, &from))
        return;
    if (from.source != PARAM_HEADER && from.source != PARAM_COOKIE)
        reading_fail(r, j, "a token stands in a header or a cookie: write \"header.X\"");
    *p = (struct param){.source = PARAM_JWT,
                        .name = part.claim,
                        .label = SPAN_LIT("identity"),
                        .secret = true,
                        .token_name = from.name,
                        .is_token_cookie = from.source == PARAM_COOKIE,
                        .jwt = part.key};
}

static void read_one_identity(struct reading *r, const struct json *j, struct route *route)
{
    enum { IDENTITIES_MAX = 4 };
    if (route->identity_count == IDENTITIES_MAX) {
        reading_fail(r, j, "an identity has at most %d parts", IDENTITIES_MAX);
        return;
    }
    /* kept apart behind the key's parameters, which may not have been read yet */
    struct param *p = &route->params[ROUTE_PARAMS_MAX - 1 - route->identity_count];
    if (j->type == JSON_OBJECT)
        load_jwt(r, j, route, p);
    else if (j->type != JSON_STRING)
        reading_fail(r, j,
                     "write \"none\", \"auth\", \"header.X-Org\", \"cookie.sessionid\", "
                     "\"json.user\" or {\"jwt\": \"/org_id\", \"key\": {\"file\": path}}");
    else if (load_param(r, j, route, j->text, p))
        p->secret = true; /* it is somebody: never in clear */
    route->identity_count++;
}

void load_identity(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    if (j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("none"))) {
        route->identity = IDENTITY_NONE;
        return;
    }
    route->identity = IDENTITY_KEYED;
    if (j->type != JSON_ARRAY)
        read_one_identity(r, j, route);
    for (const struct json *c = j->type == JSON_ARRAY ? j->first : NULL; c; c = c->next)
        read_one_identity(r, c, route);
}

/* --- once the whole route has been read --- */

static const struct param_decl *find_decl(const struct route *route, struct span name)
{
    for (unsigned i = 0; i < route->decl_count; i++)
        if (span_eq(route->decls[i].name, name))
            return &route->decls[i];
    return NULL;
}

static bool is_in_key(const struct route *route, const struct param_decl *d)
{
    for (unsigned i = 0; i < route->param_count; i++)
        if (route->params[i].decl == d)
            return true;
    return false;
}

/* Behind the key's parameters, in the file's order. */
static void place_identity(struct route *route)
{
    struct param parts[ROUTE_PARAMS_MAX];
    for (unsigned i = 0; i < route->identity_count; i++)
        parts[i] = route->params[ROUTE_PARAMS_MAX - 1 - i];
    for (unsigned i = 0; i < route->identity_count; i++) {
        route->params[route->param_count + i] = parts[i];
        route->needs_body |= parts[i].source == PARAM_JSON || parts[i].source == PARAM_FORM;
    }
}

/* What says whose an answer is stands in no tag in clear. */
static void hide_identity_in_tags(const struct route *route)
{
    for (unsigned t = 0; t < route->tag_count; t++) {
        for (unsigned i = 0; i < route->tags[t].piece_count; i++) {
            struct template_piece *piece = &route->tags[t].pieces[i];
            for (unsigned n = 0; n < route->identity_count; n++) {
                const struct param *p = &route->params[route->param_count + n];
                if (piece->kind == PIECE_REQUEST && param_is_same(&piece->param, p))
                    piece->param.secret = true;
            }
        }
    }
}

/* Without "key" a declared query parameter is one of the key's; the others follow as they come. */
static void add_declared(struct reading *r, const struct json *j, struct route *route)
{
    for (unsigned i = 0; i < route->decl_count; i++) {
        const struct param_decl *d = &route->decls[i];
        if (d->is_ignored || is_in_key(route, d))
            continue;
        if (route->has_key) {
            struct quoted q;
            reading_fail(r, MEMBER(j, "params"),
                         "\"%s\" is declared, but \"key\" does not have it; add it there, or "
                         "write \"ignore\"",
                         quote(d->name, &q));
            continue;
        }
        if (route->param_count + route->identity_count >= ROUTE_PARAMS_MAX) {
            reading_fail(r, j, "at most %d parameters", ROUTE_PARAMS_MAX);
            return;
        }
        route->params[route->param_count++] =
            (struct param){.source = PARAM_QUERY, .name = d->name, .label = d->name, .decl = d};
    }
}

/* What it is called by in "params": a JSON member by its last name. */
static struct span declared_name(const struct param *p)
{
    return p->source == PARAM_JSON ? p->label : p->name;
}

void finish_params(struct reading *r, const struct json *j, struct route *route)
{
    const struct json *unknown = MEMBER(j, "unknown");
    for (unsigned i = 0; i < route->param_count; i++)
        route->params[i].decl = find_decl(route, declared_name(&route->params[i]));
    add_declared(r, j, route);
    place_identity(route);
    hide_identity_in_tags(route);
    if (route->has_key || route->unknown != UNKNOWN_FORWARD)
        return;
    route->unknown = UNKNOWN_KEY;
    if (unknown && unknown->type == JSON_STRING && span_eq(unknown->text, SPAN_LIT("ignore")))
        reading_fail(r, unknown,
                     "without \"key\" no parameter may be left out of the key unseen; write "
                     "\"key\", \"drop\" or \"reject\", or give the route a \"key\"");
}
