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
        reading_address(r, j, &c->listen);
}

static void read_token(struct reading *r, const struct json *j, void *into)
{
    struct control_config *c = into;
    c->token = reading_secret(r, j);
    for (size_t i = 0; i < c->token.len; i++) {
        if ((unsigned char)c->token.p[i] <= 0x20 || (unsigned char)c->token.p[i] >= 0x7f) {
            reading_fail(r, j, "a token is sent in a header: write visible ASCII characters");
            return;
        }
    }
}

static void read_allow(struct reading *r, const struct json *j, void *into)
{
    struct control_config *c = into;
    c->allow_count = reading_cidrs(r, j, c->allow, array_len(c->allow));
}

static const struct member members[] = {
    {.name = "listen",
     .type = MEMBER_OWN,
     .read = read_listen,
     .fallback = "127.0.0.1:8081",
     .schema = "\"oneOf\": [{\"$ref\": \"#/definitions/address\"}, {\"const\": false}]",
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
    if (json_member(j, SPAN_LIT("token")) || json_member(j, SPAN_LIT("allow")))
        return;
    if (c->mount)
        reading_fail(r, j,
                     "a mounted control needs \"token\" or \"allow\": behind a proxy on this "
                     "machine every client would come from loopback, and be allowed");
    else if (c->enabled && !is_loopback(&c->listen))
        reading_fail(r, j,
                     "control listens beyond loopback: give it a \"token\", or say with \"allow\" "
                     "who may call it");
}
