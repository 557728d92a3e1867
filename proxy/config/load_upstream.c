/* The apps behind larder: their servers and how patient larder is with them. */
#include "config-internal.h"

#include <stddef.h>

#define AT(field) offsetof(struct upstream_config, field)

enum scheme { SCHEME_NONE, SCHEME_HTTP, SCHEME_HTTPS };

static enum scheme take_scheme(struct span *s)
{
    bool is_http = span_starts_with(*s, SPAN_LIT("http://"));
    if (!is_http && !span_starts_with(*s, SPAN_LIT("https://")))
        return SCHEME_NONE;
    size_t n = is_http ? 7 : 8;
    *s = span_of(s->p + n, s->len - n);
    if (s->len && s->p[s->len - 1] == '/')
        s->len--;
    return is_http ? SCHEME_HTTP : SCHEME_HTTPS;
}

/* All servers of an upstream are plain, or all speak TLS; "tls" has been read by now. */
static bool agree_on_scheme(struct reading *r, const struct json *j, enum scheme scheme,
                            struct upstream_config *u)
{
    if (scheme == SCHEME_HTTPS && !u->tls && u->server_count == 0)
        u->tls = load_upstream_tls_defaults(r);
    else if ((scheme == SCHEME_HTTPS && !u->tls) || (scheme == SCHEME_HTTP && u->tls)) {
        reading_fail(r, j,
                     "with \"tls\" all servers of an upstream are https://, without it "
                     "none; make two upstreams of them");
        return false;
    }
    return true;
}

static void read_server(struct reading *r, const struct json *j, struct upstream_config *u)
{
    struct quoted q;
    struct span s = j->text;
    if (u->server_count == CONFIG_SERVERS_MAX)
        return; /* said already */
    enum scheme scheme = SCHEME_NONE;
    if (j->type == JSON_STRING)
        scheme = take_scheme(&s);
    if (!agree_on_scheme(r, j, scheme, u))
        return;
    struct address *a = &u->server[u->server_count];
    if (j->type == JSON_STRING && address_parse(s, false, a) && a->port != 0)
        u->server_count++;
    else
        reading_fail(r, j, "\"%s\" is no server; write \"127.0.0.1:8000\"", quote(j->text, &q));
}

static void read_one(struct reading *r, const struct json *j, void *into)
{
    read_server(r, j, into);
}

static void read_many(struct reading *r, const struct json *j, void *into)
{
    if (j->type != JSON_ARRAY || j->count < 1 || j->count > CONFIG_SERVERS_MAX) {
        reading_fail(r, j, "write an array of 1 to %d servers such as [\"127.0.0.1:8000\"]",
                     CONFIG_SERVERS_MAX);
        return;
    }
    for (const struct json *s = j->first; s; s = s->next)
        read_server(r, s, into);
}

/* In the order in which they are read: a server's scheme must fit "tls". */
static const struct member members[] = {
    {.name = "tls",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = load_upstream_tls,
     .schema = "\"oneOf\": [{\"type\": \"boolean\"}, {\"$ref\": \"#/definitions/upstream_tls\"}]",
     .doc = "the servers speak TLS: true, or how it is spoken; so does a server \"https://...\""},
    {.name = "server",
     .type = MEMBER_OWN,
     .read = read_one,
     .schema = "\"$ref\": \"#/definitions/server\"",
     .doc = "where the app listens; or give several as \"servers\""},
    {.name = "servers",
     .type = MEMBER_OWN,
     .read = read_many,
     .schema = "\"type\": \"array\", \"minItems\": 1, \"maxItems\": 32, "
               "\"items\": {\"$ref\": \"#/definitions/server\"}",
     .doc = "where the app listens, several times"},
    {.name = "max",
     .type = MEMBER_UINT,
     .offset = AT(max_connections),
     .min = 1,
     .max = 100000,
     .fallback = "64",
     .doc = "most connections of each worker to each server"},
    {.name = "min_idle",
     .type = MEMBER_UINT,
     .offset = AT(min_idle),
     .max = 1000,
     .fallback = "0",
     .doc = "connections that each worker keeps open to each server"},
    {.name = "connect_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(connect_timeout_ms),
     .min = 1,
     .fallback = "2s",
     .doc = "longest wait for a connection to open"},
    {.name = "first_byte_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(first_byte_timeout_ms),
     .min = 1,
     .fallback = "60s",
     .doc = "longest wait for an answer to begin"},
    {.name = "between_bytes_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(between_bytes_timeout_ms),
     .min = 1,
     .fallback = "60s",
     .doc = "longest silence within an answer"},
    {.name = "send_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(send_timeout_ms),
     .min = 1,
     .fallback = "60s",
     .doc = "longest wait until the server reads on"},
    {.name = "idle_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(idle_timeout_ms),
     .fallback = "1500ms",
     .doc = "an unused connection is closed after this; keep it below the app's own limit "
            "(gunicorn 2 s, uvicorn 5 s)"},
    {.name = "queue",
     .type = MEMBER_UINT,
     .offset = AT(queue_max),
     .max = 100000,
     .fallback = "256",
     .doc = "requests of each worker that may wait for a connection"},
    {.name = "queue_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(queue_timeout_ms),
     .min = 1,
     .fallback = "10s",
     .doc = "longest wait in that queue"},
};

const struct object object_upstream = OBJECT("an upstream", members);

static void read_upstream(struct reading *r, const struct json *j, struct upstream_config *u)
{
    u->name = reading_copy(r, j->name);
    if (j->name.len == 0 || memchr(j->name.p, '\0', j->name.len))
        reading_fail(r, j, "an upstream needs a name; write \"app\"");
    if (!reading_members(r, j, &object_upstream, u))
        return;
    const struct json *one = json_member(j, SPAN_LIT("server"));
    const struct json *many = json_member(j, SPAN_LIT("servers"));
    if (one && many)
        reading_fail(r, many,
                     "\"server\" and \"servers\" exclude each other; put all into "
                     "\"servers\"");
    else if (!one && !many)
        reading_fail(r, j, "an upstream needs \"server\": \"127.0.0.1:8000\"");
    if (u->min_idle > u->max_connections)
        reading_fail(r, j, "\"min_idle\" (%u) is above \"max\" (%u); lower it", u->min_idle,
                     u->max_connections);
}

void load_upstreams(struct reading *r, const struct json *j, void *into)
{
    enum { UPSTREAMS_MAX = 256 };
    struct config *c = into;
    if (j->type != JSON_OBJECT || j->count < 1 || j->count > UPSTREAMS_MAX) {
        reading_fail(r, j,
                     "\"upstreams\" must have 1 to %d members such as {\"app\": {\"server\": "
                     "\"127.0.0.1:8000\"}}",
                     UPSTREAMS_MAX);
        return;
    }
    c->upstreams = reading_alloc(r, j->count, sizeof(*c->upstreams));
    if (!c->upstreams)
        return;
    for (const struct json *u = j->first; u; u = u->next)
        read_upstream(r, u, &c->upstreams[c->upstream_count++]);
}
