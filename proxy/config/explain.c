/* The config in words, for `larder -t`. */
#include <larder/config/config.h>

static void add_duration(struct buf *out, uint64_t ms)
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    for (unsigned i = 0; i < array_len(units); i++) {
        if (ms % units[i].ms == 0 && (ms > 0 || i == 3)) {
            buf_add_fmt(out, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
            return;
        }
    }
}

static void add_path(const struct route *r, struct buf *out)
{
    for (unsigned i = 0; i < r->segment_count; i++) {
        const struct path_segment *s = &r->segments[i];
        buf_add_char(out, '/');
        if (s->is_rest)
            buf_add_char(out, '*');
        else if (s->is_capture)
            buf_add_fmt(out, "{%.*s}", SPAN_ARG(s->name));
        else
            buf_add_span(out, s->literal);
    }
}

static void add_key(const struct route *r, struct buf *out)
{
    if (!r->has_key) {
        buf_add_str(out, "path and all query parameters, sorted");
        return;
    }
    for (unsigned i = 0; i < r->piece_count; i++) {
        buf_add_span(out, r->pieces[i].literal);
        if (r->pieces[i].param >= 0)
            buf_add_fmt(out, "<%.*s>", SPAN_ARG(r->params[r->pieces[i].param].label));
    }
    if (r->piece_count)
        return;
    buf_add_span(out, r->name);
    for (unsigned i = 0; i < r->param_count; i++)
        buf_add_fmt(out, ":%.*s=<%s>", SPAN_ARG(r->params[i].label),
                    r->params[i].secret ? "hmac" : "value");
}

static void add_route(const struct config *c, const struct route *r, struct buf *out)
{
    buf_add_fmt(out, "\nroute %.*s\n  match     ", SPAN_ARG(r->name));
    if (r->any_method)
        buf_add_str(out, "any method");
    for (unsigned i = 0; i < r->method_count; i++)
        buf_add_fmt(out, "%s%.*s", i ? "," : "", SPAN_ARG(r->methods[i]));
    buf_add_char(out, ' ');
    add_path(r, out);
    buf_add_fmt(out, "\n  upstream  %.*s\n", SPAN_ARG(c->upstreams[r->upstream].name));
    if (!r->cached) {
        buf_add_str(out, "  cached    no: passes through\n");
        return;
    }
    buf_add_str(out, "  key       ");
    add_key(r, out);
    buf_add_str(out, "\n  ttl       ");
    if (r->fresh.has_ttl)
        add_duration(out, r->fresh.ttl_ms);
    else
        buf_add_str(out, "as the app says");
    for (unsigned i = 0; i < r->fresh.status_ttl_count; i++) {
        buf_add_fmt(out, ", %u-%u: ", r->fresh.status_ttl[i].low, r->fresh.status_ttl[i].high);
        add_duration(out, r->fresh.status_ttl[i].ttl_ms);
    }
    if (r->max_entries)
        buf_add_fmt(out, "\n  entries   at most %llu", (unsigned long long)r->max_entries);
    if (r->max_bytes)
        buf_add_fmt(out, "\n  bytes     at most %llu", (unsigned long long)r->max_bytes);
    buf_add_char(out, '\n');
}

void config_explain(const struct config *c, struct buf *out)
{
    buf_add_fmt(out, "the configuration is good\n\nworkers   %u\n", c->workers);
    for (unsigned i = 0; i < c->listen_count; i++)
        buf_add_fmt(out, "listen    %s:%u\n", c->listen[i].host, c->listen[i].port);
    if (c->control.enabled)
        buf_add_fmt(out, "control   %s:%u, %s\n", c->control.listen.host, c->control.listen.port,
                    c->control.token.len ? "with a token or from an allowed network"
                                         : "from an allowed network");
    buf_add_fmt(out, "cache     %llu bytes, objects up to %llu\n",
                (unsigned long long)c->cache.max_bytes,
                (unsigned long long)c->cache.max_object_bytes);
    for (unsigned i = 0; i < c->upstream_count; i++) {
        const struct upstream_config *u = &c->upstreams[i];
        buf_add_fmt(out, "upstream  %.*s:", SPAN_ARG(u->name));
        for (unsigned s = 0; s < u->server_count; s++)
            buf_add_fmt(out, " %s:%u", u->server[s].host, u->server[s].port);
        buf_add_fmt(out, ", at most %u connections for each worker\n", u->max_connections);
    }
    for (unsigned i = 0; i < c->route_count; i++)
        add_route(c, &c->routes[i], out);
}
