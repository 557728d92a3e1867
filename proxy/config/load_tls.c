/* TLS in the configuration: which files, on which listener, to which upstream. What the files hold
 * is looked at by net/tls.c; here it is noted where the config names them. */
#include "config-internal.h"

#include <stddef.h>

static const char *const versions[] = {"1.2", "1.3", NULL};
_Static_assert(TLS_1_2 == 0 && TLS_1_3 == 1, "the words are in the enum's order");

static void read_file(struct reading *r, const struct json *j, struct tls_file *into)
{
    if (j->type != JSON_STRING || j->text.len == 0 || memchr(j->text.p, '\0', j->text.len)) {
        reading_fail(r, j, "this is no path; write \"/etc/larder/tls/site.pem\"");
        return;
    }
    into->path = reading_copy(r, j->text);
    into->where = reading_place(r, j);
}

static void read_certificate(struct reading *r, const struct json *j, void *into)
{
    read_file(r, j, &((struct tls_certificate_config *)into)->certificate);
}

static void read_key(struct reading *r, const struct json *j, void *into)
{
    read_file(r, j, &((struct tls_certificate_config *)into)->key);
}

static const struct member certificate_members[] = {
    {.name = "certificate",
     .type = MEMBER_OWN,
     .read = read_certificate,
     .is_required = true,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "a PEM file: the certificate, then those that lead to its root"},
    {.name = "key",
     .type = MEMBER_OWN,
     .read = read_key,
     .is_required = true,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "a PEM file: the certificate's private key, not encrypted"},
};
const struct object object_certificate = OBJECT("a certificate", certificate_members);

static void read_certificates(struct reading *r, const struct json *j, void *into)
{
    struct tls_listen_config *t = into;
    if (j->type != JSON_ARRAY || j->count < 1 || j->count > CONFIG_CERTIFICATES_MAX) {
        reading_fail(r, j,
                     "write an array of 1 to %d such as [{\"certificate\": \"site.pem\", \"key\": "
                     "\"site.key\"}]",
                     CONFIG_CERTIFICATES_MAX);
        return;
    }
    t->certificates = reading_alloc(r, j->count, sizeof(*t->certificates));
    for (const struct json *c = j->first; c && t->certificates; c = c->next)
        reading_members(r, c, &object_certificate, &t->certificates[t->certificate_count++]);
}

static const struct member tls_members[] = {
    {.name = "certificates",
     .type = MEMBER_OWN,
     .read = read_certificates,
     .is_required = true,
     .schema = "\"type\": \"array\", \"minItems\": 1, \"maxItems\": 64, "
               "\"items\": {\"$ref\": \"#/definitions/certificate\"}",
     .doc = "chosen by the name that the client asks for; the first is for all other names"},
    {.name = "min_version",
     .type = MEMBER_CHOICE,
     .offset = offsetof(struct tls_listen_config, min_version),
     .words = versions,
     .fallback = "1.2",
     .doc = "the oldest version of TLS that is spoken"},
    {.name = "session_tickets",
     .type = MEMBER_BOOL,
     .offset = offsetof(struct tls_listen_config, session_tickets),
     .fallback = "true",
     .doc = "a client that comes again is spared the long handshake"},
};
const struct object object_tls = OBJECT("tls", tls_members);

static void read_address(struct reading *r, const struct json *j, void *into)
{
    reading_address(r, j, &((struct listen_config *)into)->address);
}

static void read_tls(struct reading *r, const struct json *j, void *into)
{
    struct listen_config *l = into;
    l->tls = reading_alloc(r, 1, sizeof(*l->tls));
    if (l->tls)
        reading_members(r, j, &object_tls, l->tls);
}

static const struct member listen_members[] = {
    {.name = "address",
     .type = MEMBER_OWN,
     .read = read_address,
     .is_required = true,
     .schema = "\"$ref\": \"#/definitions/address\"",
     .doc = "where it listens: \"127.0.0.1:8443\", \":8443\""},
    {.name = "tls",
     .type = MEMBER_OWN,
     .read = read_tls,
     .schema = "\"$ref\": \"#/definitions/tls\"",
     .doc = "clients speak TLS there"},
};
const struct object object_listen = OBJECT("a listener", listen_members);

void load_listen(struct reading *r, const struct json *j, struct listen_config *into)
{
    into->tls = NULL;
    if (j->type == JSON_OBJECT)
        reading_members(r, j, &object_listen, into);
    else
        reading_address(r, j, &into->address);
}

static void read_ca(struct reading *r, const struct json *j, void *into)
{
    read_file(r, j, &((struct tls_upstream_config *)into)->ca);
}

static void read_client_certificate(struct reading *r, const struct json *j, void *into)
{
    read_file(r, j, &((struct tls_upstream_config *)into)->certificate);
}

static void read_client_key(struct reading *r, const struct json *j, void *into)
{
    read_file(r, j, &((struct tls_upstream_config *)into)->key);
}

#define AT(field) offsetof(struct tls_upstream_config, field)

static const struct member upstream_members[] = {
    {.name = "server_name",
     .type = MEMBER_TEXT,
     .offset = AT(server_name),
     .doc = "the name asked for, and that the certificate must have; default: the server's host"},
    {.name = "verify",
     .type = MEMBER_BOOL,
     .offset = AT(verify),
     .fallback = "true",
     .doc =
         "the certificate must lead to a known root, and bear the name; false: anybody's will do"},
    {.name = "ca",
     .type = MEMBER_OWN,
     .read = read_ca,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "a PEM file: the roots that are trusted; default: the system's"},
    {.name = "certificate",
     .type = MEMBER_OWN,
     .read = read_client_certificate,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "a PEM file: what larder shows of itself, where the server wants to see it"},
    {.name = "key",
     .type = MEMBER_OWN,
     .read = read_client_key,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "a PEM file: that certificate's private key, not encrypted"},
    {.name = "min_version",
     .type = MEMBER_CHOICE,
     .offset = AT(min_version),
     .words = versions,
     .fallback = "1.2",
     .doc = "the oldest version of TLS that is spoken"},
};
const struct object object_upstream_tls = OBJECT("tls", upstream_members);

struct tls_upstream_config *load_upstream_tls_defaults(struct reading *r)
{
    struct tls_upstream_config *t = reading_alloc(r, 1, sizeof(*t));
    if (t)
        reading_defaults(&object_upstream_tls, t);
    return t;
}

/* A name with a dot in front would mean all that end in it (X509_check_host). */
static bool is_host_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == ':' || c == '_';
        if (!is_good || (c == '.' && i == 0))
            return false;
    }
    return true;
}

struct tls_upstream_config *load_client_tls(struct reading *r, const struct json *j)
{
    enum { NAME_MAX = 253 }; /* RFC 1035 section 3.1, written with dots */
    if (j->type == JSON_FALSE)
        return NULL;
    struct tls_upstream_config *t = load_upstream_tls_defaults(r);
    if (!t || j->type == JSON_TRUE || !reading_members(r, j, &object_upstream_tls, t))
        return t;
    if (!t->certificate.path.len != !t->key.path.len)
        reading_fail(r, j, "\"certificate\" and \"key\" belong together; give both, or neither");
    if (t->server_name.len > NAME_MAX)
        reading_fail(r, j, "\"server_name\" is longer than a host's name may be");
    else if (t->server_name.len && !is_host_name(t->server_name))
        reading_fail(r, j,
                     "\"server_name\" must be one host's name or address, such as "
                     "\"billing.internal\"");
    if (!t->verify && t->ca.path.len)
        reading_fail(r, j, "\"ca\" is of no use where \"verify\" is false; leave one out");
    return t;
}

void load_upstream_tls(struct reading *r, const struct json *j, void *into)
{
    ((struct upstream_config *)into)->tls = load_client_tls(r, j);
}
