/* The control listener, and who may steer. Nobody gets control of a cache by being forgotten:
 * reachable from beyond this machine it needs a token or a list of networks. */
#include "config-internal.h"

#include <stddef.h>

#define AT(field) offsetof(struct control_config, field)

void reading_address(struct reading *r, const struct json *j, struct address *into)
{
    struct quoted q;
    if (j->type != JSON_STRING)
        reading_fail(r, j, "this is %s, not an address; write \"127.0.0.1:8080\"",
                     json_type_name(j->type));
    else if (!address_parse(j->text, true, into))
        reading_fail(r, j,
                     "\"%s\" is no address; write \"127.0.0.1:8080\", \"[::1]:8080\" or \":8080\"",
                     quote(j->text, &q));
}

unsigned reading_cidrs(struct reading *r, const struct json *j, struct cidr *into, unsigned max)
{
    unsigned n = 0;
    struct quoted q;
    if (j->type != JSON_ARRAY || j->count > max) {
        reading_fail(r, j, "write an array of at most %u networks such as [\"10.0.0.0/8\"]", max);
        return 0;
    }
    for (const struct json *a = j->first; a; a = a->next) {
        if (a->type == JSON_STRING && cidr_parse(a->text, &into[n]))
            n++;
        else
            reading_fail(r, a, "\"%s\" is no network; write \"10.0.0.0/8\" or \"::1\"",
                         quote(a->text, &q));
    }
    return n;
}

static bool is_loopback(const struct address *a)
{
    return strncmp(a->host, "127.", 4) == 0 || strcmp(a->host, "::1") == 0 ||
           strcmp(a->host, "localhost") == 0;
}

static void read_listen(struct reading *r, const struct json *j, void *into)
{
    struct control_config *c = into;
    if (j->type == JSON_FALSE)
        c->enabled = false;
    else
        load_listen(r, j, &c->listen);
}

static bool check_token(struct reading *r, const struct json *j, struct span token)
{
    for (size_t i = 0; i < token.len; i++) {
        if ((unsigned char)token.p[i] <= 0x20 || (unsigned char)token.p[i] >= 0x7f) {
            reading_fail(r, j, "a token is sent in a header: write visible ASCII characters");
            return false;
        }
    }
    return true;
}

static struct token_config *add_token(struct reading *r, const struct json *j,
                                      struct control_config *c)
{
    enum { TOKENS_MAX = 100 };
    if (!c->tokens)
        c->tokens = reading_alloc(r, TOKENS_MAX, sizeof(*c->tokens));
    if (c->token_count < TOKENS_MAX)
        return c->tokens ? &c->tokens[c->token_count++] : NULL;
    reading_fail(r, j, "at most %d tokens", TOKENS_MAX);
    return NULL;
}

/* The one token: it may do all. */
static void read_token(struct reading *r, const struct json *j, void *into)
{
    struct token_config *t = add_token(r, j, into);
    if (!t)
        return;
    t->name = SPAN_LIT("token");
    t->token = reading_secret(r, j);
    t->scopes = SCOPE_READ | SCOPE_INVALIDATE | SCOPE_WARM | SCOPE_ADMIN;
    (void)check_token(r, j, t->token); /* it has told what is wrong */
}

static void read_token_text(struct reading *r, const struct json *j, void *into)
{
    struct token_config *t = into;
    t->token = reading_secret(r, j);
    (void)check_token(r, j, t->token);
}

static void read_scopes(struct reading *r, const struct json *j, void *into)
{
    static const char *const names[] = {"read", "invalidate", "warm", "admin"};
    struct token_config *t = into;
    for (const struct json *c = j->type == JSON_ARRAY ? j->first : NULL; c; c = c->next) {
        unsigned scope = 0;
        for (unsigned i = 0; i < array_len(names); i++)
            if (c->type == JSON_STRING && span_eq(c->text, span_str(names[i])))
                scope = 1u << i;
        if (!scope)
            reading_fail(r, c, "a scope is \"read\", \"invalidate\", \"warm\" or \"admin\"");
        t->scopes |= scope;
    }
    if (t->scopes & SCOPE_ADMIN)
        t->scopes |= SCOPE_READ | SCOPE_INVALIDATE | SCOPE_WARM;
    if (j->type != JSON_ARRAY || !j->first)
        reading_fail(r, j, "write an array such as [\"read\", \"invalidate\"]");
}

static void read_bound(struct reading *r, const struct json *j, void *into)
{
    enum { BOUND_MAX = 32 };
    struct token_config *t = into;
    if (j->type != JSON_ARRAY || j->count < 1 || j->count > BOUND_MAX) {
        reading_fail(r, j,
                     "write an array of 1 to %d texts such as [\"org:123\", "
                     "\"organization_id=123\"]",
                     BOUND_MAX);
        return;
    }
    t->bound = reading_alloc(r, j->count, sizeof(*t->bound));
    for (const struct json *c = j->first; c && t->bound; c = c->next) {
        if (c->type == JSON_STRING && c->text.len)
            t->bound[t->bound_count++] = reading_copy(r, c->text);
        else
            reading_fail(r, c, "write a tag, or label=value");
    }
}

static const struct member token_members[] = {
    {.name = "name",
     .type = MEMBER_TEXT,
     .offset = offsetof(struct token_config, name),
     .is_required = true,
     .doc = "stands in the audit's lines"},
    {.name = "token",
     .type = MEMBER_OWN,
     .read = read_token_text,
     .is_required = true,
     .schema = "\"$ref\": \"#/definitions/secret\"",
     .doc = "the bearer token: write {\"file\": path} or {\"env\": NAME}"},
    {.name = "scopes",
     .type = MEMBER_OWN,
     .read = read_scopes,
     .is_required = true,
     .schema = "\"type\": \"array\", \"minItems\": 1, \"items\": {\"enum\": [\"read\", "
               "\"invalidate\", \"warm\", \"admin\"]}",
     .doc = "what it may do; admin: all, and switch routes"},
    {.name = "bound",
     .type = MEMBER_OWN,
     .read = read_bound,
     .schema = "\"type\": \"array\", \"minItems\": 1, \"maxItems\": 32, "
               "\"items\": {\"type\": \"string\"}",
     .doc = "tags and label=value: it may invalidate, warm and read nothing that is not one's"},
};
const struct object object_token = OBJECT("a token", token_members);

static void read_tokens(struct reading *r, const struct json *j, void *into)
{
    if (j->type != JSON_ARRAY) {
        reading_fail(r, j, "write an array of {\"name\", \"token\", \"scopes\"}");
        return;
    }
    for (const struct json *c = j->first; c; c = c->next) {
        struct token_config *t = add_token(r, c, into);
        if (t)
            reading_members(r, c, &object_token, t);
    }
}

static void read_socket_mode(struct reading *r, const struct json *j, void *into)
{
    struct control_config *c = into;
    unsigned mode = 0;
    bool is_good = j->type == JSON_STRING && j->text.len >= 3 && j->text.len <= 4;
    for (size_t i = 0; is_good && i < j->text.len; i++) {
        is_good = j->text.p[i] >= '0' && j->text.p[i] <= '7';
        mode = mode * 8 + (unsigned)(j->text.p[i] - '0');
    }
    if (is_good && mode <= 0777)
        c->socket_mode = mode;
    else
        reading_fail(r, j, "write file permissions in octal such as \"0660\"");
}

static void read_allow(struct reading *r, const struct json *j, void *into)
{
    struct control_config *c = into;
    c->allow_count = reading_cidrs(r, j, c->allow, array_len(c->allow));
}

static const struct member members[] = {
    {.name = "listen",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_listen,
     .fallback = "127.0.0.1:8081",
     .schema = "\"oneOf\": [{\"$ref\": \"#/definitions/listener\"}, {\"const\": false}]",
     .doc = "where control calls are taken; false: no listener of its own"},
    {.name = "mount",
     .type = MEMBER_BOOL,
     .offset = AT(mount),
     .fallback = "false",
     .doc = "also at /api/cache/ and /health/ of the public listeners; needs token or allow"},
    {.name = "token",
     .type = MEMBER_OWN,
     .read = read_token,
     .schema = "\"$ref\": \"#/definitions/secret\"",
     .doc = "the bearer token that control calls carry"},
    {.name = "tokens",
     .type = MEMBER_OWN,
     .read = read_tokens,
     .schema = "\"type\": \"array\", \"maxItems\": 100, "
               "\"items\": {\"$ref\": \"#/definitions/token\"}",
     .doc = "tokens that may do less, each with a name for the audit"},
    {.name = "socket",
     .type = MEMBER_TEXT,
     .offset = AT(socket),
     .doc = "a Unix socket's path: who may open the file may call"},
    {.name = "socket_mode",
     .type = MEMBER_OWN,
     .read = read_socket_mode,
     .fallback = "0600",
     .schema = "\"type\": \"string\", \"pattern\": \"^0?[0-7]{3}$\"",
     .doc = "the socket's file permissions"},
    {.name = "allow",
     .type = MEMBER_OWN,
     .read = read_allow,
     .schema = "\"$ref\": \"#/definitions/networks\"",
     .doc = "who may call without a token; default: loopback"},
};

const struct object object_control = OBJECT("control", members);

void load_control(struct reading *r, const struct json *j, void *into)
{
    struct config *config = into;
    struct control_config *c = &config->control;
    if (!reading_members(r, j, &object_control, c))
        return;
    c->names_networks = json_member(j, SPAN_LIT("allow"));
    c->is_guarded = c->names_networks || json_member(j, SPAN_LIT("token")) ||
                    json_member(j, SPAN_LIT("tokens"));
    if (c->is_guarded)
        return;
    if (c->mount)
        reading_fail(r, j,
                     "a mounted control needs \"token\" or \"allow\": behind a proxy on this "
                     "machine every client would come from loopback, and be allowed");
    else if (c->enabled && !is_loopback(&c->listen.address))
        reading_fail(r, j,
                     "control listens beyond loopback: give it a \"token\", or say with \"allow\" "
                     "who may call it");
}
