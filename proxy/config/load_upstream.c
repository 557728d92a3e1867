#include "config-internal.h"

#include <stddef.h>

#define AT(field) offsetof(struct upstream_config, field)

static void read_server(struct reading *r, const struct json *j, struct upstream_config *u)
{
    struct span s = j->text;
    if (j->type == JSON_STRING && span_starts_with(s, SPAN_LIT("https://"))) {
        reading_fail(r, j, "TLS to upstreams is not there yet; write \"http://host:port\"");
        return;
    }
    if (span_starts_with(s, SPAN_LIT("http://"))) {
        s = span_of(s.p + 7, s.len - 7);
        if (s.len && s.p[s.len - 1] == '/')
            s.len--;
    }
    if (j->type != JSON_STRING || !address_parse(s, false, &u->server[u->server_count]) ||
        u->server[u->server_count].port == 0)
        reading_fail(r, j, "this is no server; write \"127.0.0.1:8000\"");
    else
        u->server_count++;
}

static void read_upstream(struct reading *r, const struct json *j, struct upstream_config *u)
{
    static const struct member members[] = {
        {"server", MEMBER_ANY, 0, 0, 0},
        {"servers", MEMBER_ANY, 0, 0, 0},
        {"max", MEMBER_UINT, AT(max_connections), 1, 100000},
        {"min_idle", MEMBER_UINT, AT(min_idle), 0, 1000},
        {"connect_timeout", MEMBER_DURATION, AT(connect_timeout_ms), 0, 0},
        {"first_byte_timeout", MEMBER_DURATION, AT(first_byte_timeout_ms), 0, 0},
        {"between_bytes_timeout", MEMBER_DURATION, AT(between_bytes_timeout_ms), 0, 0},
        {"send_timeout", MEMBER_DURATION, AT(send_timeout_ms), 0, 0},
        {"idle_timeout", MEMBER_DURATION, AT(idle_timeout_ms), 0, 0},
        {"queue", MEMBER_UINT, AT(queue_max), 0, 100000},
        {"queue_timeout", MEMBER_DURATION, AT(queue_timeout_ms), 0, 0},
    };
    *u = (struct upstream_config){.name = reading_copy(r, j->name),
                                  .max_connections = 64,
                                  .connect_timeout_ms = 2000,
                                  .first_byte_timeout_ms = 60000,
                                  .between_bytes_timeout_ms = 60000,
                                  .send_timeout_ms = 60000,
                                  .idle_timeout_ms = 1500,
                                  .queue_max = 256,
                                  .queue_timeout_ms = 10000};
    reading_members(r, j, members, array_len(members), u);
    const struct json *one = json_member(j, SPAN_LIT("server"));
    const struct json *many = json_member(j, SPAN_LIT("servers"));
    if (one)
        read_server(r, one, u);
    if (many && (many->type != JSON_ARRAY || many->count > CONFIG_SERVERS_MAX - 1))
        reading_fail(r, many, "write an array of at most %d servers", CONFIG_SERVERS_MAX - 1);
    else if (many)
        for (const struct json *s = many->first; s; s = s->next)
            read_server(r, s, u);
    if (!one && (!many || many->count == 0))
        reading_fail(r, j, "an upstream needs \"server\": \"127.0.0.1:8000\"");
    if (u->min_idle > u->max_connections)
        reading_fail(r, j, "\"min_idle\" is above \"max\"");
}

void load_upstreams(struct reading *r, const struct json *root)
{
    struct config *c = r->config;
    const struct json *j = json_member(root, SPAN_LIT("upstreams"));
    if (!j || j->type != JSON_OBJECT || j->count == 0) {
        reading_fail(r, j ? j : root,
                     "\"upstreams\" is missing; write {\"app\": {\"server\": \"127.0.0.1:8000\"}}");
        return;
    }
    c->upstreams = reading_alloc(r, j->count, sizeof(*c->upstreams));
    if (!c->upstreams)
        return;
    for (const struct json *u = j->first; u; u = u->next)
        read_upstream(r, u, &c->upstreams[c->upstream_count++]);
}
