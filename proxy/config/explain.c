/* The config in words, for `larder -t`. */
#include "config-internal.h"

#include <stdio.h>

struct unit {
    uint64_t count;
    const char *name;
};

static void add_units(struct buf *out, uint64_t v, const struct unit *units, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (v % units[i].count == 0 && (v > 0 || units[i].count == 1)) {
            buf_add_u64(out, v / units[i].count);
            buf_add_str(out, units[i].name);
            return;
        }
    }
}

static void add_duration(struct buf *out, uint64_t ms)
{
    static const struct unit units[] = {
        {86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    add_units(out, ms, units, array_len(units));
}

static void add_size(struct buf *out, uint64_t bytes)
{
    static const struct unit units[] = {{1ull << 40, "TiB"},
                                        {1ull << 30, "GiB"},
                                        {1ull << 20, "MiB"},
                                        {1ull << 10, "KiB"},
                                        {1, " bytes"}};
    add_units(out, bytes, units, array_len(units));
}

static void add_address(struct buf *out, const struct address *a)
{
    char text[sizeof(*a) + 8];
    address_format(a, text, sizeof(text));
    buf_add_str(out, a->host[0] ? "" : "*"); /* any of ours */
    buf_add_str(out, text);
}

static void add_listen(struct buf *out, const struct listen_config *l)
{
    add_address(out, &l->address);
    if (l->tls)
        buf_add_fmt(out, ", TLS 1.%u and newer, %u certificate%s",
                    l->tls->min_version == TLS_1_3 ? 3u : 2u, l->tls->certificate_count,
                    l->tls->certificate_count == 1 ? "" : "s");
}

static void add_cidr(struct buf *out, const struct cidr *c)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *a = c->addr;
    if (c->prefix_bits >= 96 && memcmp(a, mapped, sizeof(mapped)) == 0) {
        buf_add_fmt(out, "%u.%u.%u.%u/%u", a[12], a[13], a[14], a[15], c->prefix_bits - 96);
        return;
    }
    for (unsigned i = 0; i < 16; i += 2)
        buf_add_fmt(out, "%s%x", i ? ":" : "", a[i] << 8 | a[i + 1]);
    buf_add_fmt(out, "/%u", c->prefix_bits);
}

static void add_cidrs(struct buf *out, const struct cidr *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        buf_add_str(out, i ? ", " : "");
        add_cidr(out, &list[i]);
    }
}

static void add_match(const struct route *r, struct buf *out)
{
    buf_add_str(out, r->any_method ? "any method" : "");
    for (unsigned i = 0; i < r->method_count; i++)
        buf_add_fmt(out, "%s" SPAN_FMT, i ? "," : "", SPAN_ARG(r->methods[i]));
    buf_add_char(out, ' ');
    for (unsigned i = 0; i < r->segment_count; i++) {
        const struct path_segment *s = &r->segments[i];
        buf_add_char(out, '/');
        if (s->name.len)
            buf_add_fmt(out, "{" SPAN_FMT "%s}", SPAN_ARG(s->name), s->is_rest ? "..." : "");
        else if (s->is_rest)
            buf_add_char(out, '*');
        else
            buf_add_span(out, s->literal);
    }
}

/* "<value>": "<hmac>" where it is secret. */
static void add_value(const struct param *p, struct buf *out)
{
    buf_add_str(out, p->secret ? "<hmac>" : "<value>");
}

static void add_key(const struct route *r, struct buf *out)
{
    if (r->has_key && !r->piece_count)
        buf_add_span(out, r->name);
    for (unsigned i = 0; r->has_key && !r->piece_count && i < r->param_count; i++) {
        buf_add_fmt(out, ":" SPAN_FMT "=", SPAN_ARG(r->params[i].label));
        add_value(&r->params[i], out);
    }
    for (unsigned i = 0; i < r->piece_count; i++) {
        const struct key_piece *piece = &r->pieces[i];
        buf_add_str(out, piece->is_optional ? "[" : "");
        buf_add_span(out, piece->literal);
        if (piece->param >= 0)
            buf_add_fmt(out, "<" SPAN_FMT "%s>", SPAN_ARG(r->params[piece->param].label),
                        r->params[piece->param].secret ? " as hmac" : "");
        buf_add_str(out, piece->is_optional ? "]" : "");
    }
    if (!r->has_key)
        buf_add_str(out, r->needs_body ? "path, all query parameters and the JSON body"
                                       : "path and all query parameters, sorted");
    for (unsigned i = 0; i < r->ignore_count; i++)
        buf_add_fmt(out, "%s" SPAN_FMT, i ? ", " : "; ignored: ", SPAN_ARG(r->ignore[i]));
    buf_add_str(out, r->key_host ? "; and the Host" : "");
}

static void add_ttl(const struct fresh_policy *p, struct buf *out)
{
    if (p->has_ttl)
        add_duration(out, p->ttl_ms);
    buf_add_str(out, p->has_ttl   ? (p->is_http ? " where the app says nothing (mode http)" : "")
                     : p->is_http ? "as the app says (mode http)"
                                  : "as the app says");
    buf_add_str(out, !p->has_ttl && p->status_ttl_count ? ", but" : "");
    for (unsigned i = 0; i < p->status_ttl_count; i++) {
        unsigned low = p->status_ttl[i].low, high = p->status_ttl[i].high;
        buf_add_fmt(out, low == high ? "%s%u: " : "%s%u-%u: ", p->has_ttl || i ? "; " : " ", low,
                    high);
        add_duration(out, p->status_ttl[i].ttl_ms);
    }
}

static void add_rules(const struct route *r, struct buf *out)
{
    const struct {
        bool is_on;
        const char *text;
    } rules[] = {
        {r->unknown == UNKNOWN_REJECT, "unknown parameters are answered 400"},
        {r->unknown == UNKNOWN_DROP, "unknown parameters are dropped"},
        {r->fresh.ignore_cache_control, "Cache-Control of the app is ignored"},
        {r->fresh.set_cookie == SET_COOKIE_DROP, "Set-Cookie is taken off and ignored"},
        {r->fresh.set_cookie == SET_COOKIE_STORE, "Set-Cookie is stored and given to everybody"},
        {r->fresh.share_authorized, "answers to requests with Authorization are shared"},
        {r->share_cookies, "answers to requests with cookies are shared"},
        {r->vary_ignored, "Vary is ignored"},
        {r->cors_ignored, "Origin is looked at only where Vary names it"},
        {r->is_any_language_order, "languages of one weight are one in any order"},
        {r->fresh.is_http && r->request_cc_ignored, "Cache-Control of requests is ignored"},
    };
    for (unsigned i = 0; i < array_len(rules); i++)
        if (rules[i].is_on)
            buf_add_fmt(out, "  rule      %s\n", rules[i].text);
}

static void add_stale(const struct route *r, struct buf *out)
{
    const struct {
        uint64_t ms;
        const char *text;
    } windows[] = {{r->fresh.while_ms, "while it is refreshed"},
                   {r->fresh.error_ms, "where the upstream fails"},
                   {r->fresh.keep_ms, "kept, to be validated"},
                   {r->error_budget_ms, "in all on a day for that"},
                   {r->deadline_ms, "is the deadline: slower counts as failed"}};
    for (unsigned i = 0; i < array_len(windows); i++) {
        if (!windows[i].ms)
            continue;
        buf_add_str(out, "  stale     ");
        add_duration(out, windows[i].ms);
        buf_add_fmt(out, " %s\n", windows[i].text);
    }
    if (r->refresh_ahead)
        buf_add_fmt(out, "  rule      refreshed ahead of expiry, beta %u.%02u\n",
                    r->refresh_ahead / 100, r->refresh_ahead % 100);
    if (r->jitter_percent)
        buf_add_fmt(out, "  rule      lifetimes are up to %u%% shorter, by chance\n",
                    r->jitter_percent);
    if (r->until_count)
        buf_add_fmt(out, "  rule      lifetimes end at %u times of day\n", r->until_count);
}

static void add_conditions(const struct route *r, struct buf *out)
{
    if (r->store_if)
        buf_add_fmt(out, "  rule      stored if " SPAN_FMT "\n", SPAN_ARG(cond_text(r->store_if)));
    for (unsigned i = 0; i < r->ttl_rule_count; i++) {
        buf_add_str(out, "  rule      ttl ");
        add_duration(out, r->ttl_rules[i].ttl_ms);
        buf_add_fmt(out, " if " SPAN_FMT "\n", SPAN_ARG(cond_text(r->ttl_rules[i].cond)));
    }
    if (r->store_errors && !r->fresh.is_http)
        buf_add_str(out, "  rule      JSON that tells of an error is stored, too\n");
}

static void add_texts(const char *what, const struct text_template *list, unsigned count,
                      struct buf *out)
{
    for (unsigned i = 0; i < count; i++)
        buf_add_fmt(out, "  %-9s " SPAN_FMT "\n", what, SPAN_ARG(list[i].text));
}

static void add_write_rules(const struct config *c, const struct write_rules *w, struct buf *out)
{
    add_texts("on write", w->tags, w->tag_count, out);
    add_texts("on write", w->keys, w->key_count, out);
    for (unsigned i = 0; i < w->route_count; i++) {
        const struct write_route *r = &w->routes[i];
        buf_add_fmt(out, "  on write  route " SPAN_FMT, SPAN_ARG(c->routes[r->route].name));
        for (unsigned n = 0; n < r->param_count; n++)
            buf_add_fmt(out, " " SPAN_FMT "=" SPAN_FMT, SPAN_ARG(r->params[n].param->label),
                        SPAN_ARG(r->params[n].value.text));
        buf_add_char(out, '\n');
    }
}

static void add_identity(const struct route *r, struct buf *out)
{
    if (r->identity == IDENTITY_NONE)
        buf_add_str(out, "  identity  none: shared by all; credentials are not sent upstream\n");
    for (unsigned i = 0; i < r->identity_count; i++)
        buf_add_fmt(
            out, "  identity  " SPAN_FMT "%s\n", SPAN_ARG(r->params[r->param_count + i].name),
            r->params[r->param_count + i].source == PARAM_JWT ? " of a verified token" : "");
}

static void add_shared(const struct route *r, struct buf *out)
{
    static const char *const partitions[] = {"revalidated", "served all the same", "bypassed"};
    if (r->shared == SHARED_NONE)
        return;
    buf_add_str(out, r->shared == SHARED_FULL ? "  shared    answers and invalidations"
                                              : "  shared    invalidations");
    buf_add_str(out, r->is_fleet_coalesced ? "; one fetch for all instances" : "");
    if (r->cached)
        buf_add_fmt(out, "; out of contact answers are %s", partitions[r->on_partition]);
    buf_add_char(out, '\n');
}

static void add_limit(struct buf *out, const char *text, uint64_t v,
                      void (*add)(struct buf *out, uint64_t v))
{
    if (v == 0)
        return;
    buf_add_fmt(out, "  limit     %s ", text);
    add(out, v);
    buf_add_char(out, '\n');
}

static void add_rate_limit_set(const struct config *c, const struct route *r, struct buf *out)
{
    for (unsigned i = 0; i < r->rate_limit.count; i++)
        buf_add_fmt(out, "%s" SPAN_FMT, i ? ", " : "  rate      ",
                    SPAN_ARG(c->rate_limits[r->rate_limit.index[i]].name));
    if (r->rate_limit.count)
        buf_add_char(out, '\n');
}

static void add_route(const struct config *c, const struct route *r, struct buf *out)
{
    buf_add_fmt(out, "\nroute " SPAN_FMT "\n  match     ", SPAN_ARG(r->name));
    add_match(r, out);
    buf_add_fmt(out, "\n  upstream  " SPAN_FMT "\n", SPAN_ARG(c->upstreams[r->upstream].name));
    if (r->cached) {
        buf_add_str(out, "  key       ");
        add_key(r, out);
        buf_add_str(out, "\n  ttl       ");
        add_ttl(&r->fresh, out);
        buf_add_char(out, '\n');
        add_stale(r, out);
        add_identity(r, out);
        add_rules(r, out);
        add_conditions(r, out);
        add_texts("tag", r->tags, r->tag_count, out);
    } else {
        buf_add_str(out, "  cached    no: passes through\n");
    }
    if (r->on_write)
        add_write_rules(c, r->on_write, out);
    add_shared(r, out);
    add_rate_limit_set(c, r, out);
    add_limit(out, "answers in the cache", r->max_entries, buf_add_u64);
    add_limit(out, "memory in the cache", r->max_bytes, add_size);
    add_limit(out, "one answer", r->max_object_bytes, add_size);
    add_limit(out, "request body", r->body_limit_bytes, add_size);
    add_limit(out, "wait for the first byte", r->first_byte_timeout_ms, add_duration);
    add_limit(out, "silence of a tunnel", r->tunnel_idle_timeout_ms, add_duration);
}

static void add_policies(const struct rate_class *class, struct buf *out)
{
    for (unsigned i = 0; i < class->policy_count; i++) {
        const struct rate_policy *p = &class->policies[i];
        buf_add_fmt(out, "%s%u in ", i ? ", " : "", p->count);
        add_duration(out, p->window_ms);
        if (p->is_bucket)
            buf_add_fmt(out, " and %u at once", p->burst);
    }
    buf_add_str(out, class->policy_count ? "" : "unlimited");
}

static void add_rate_keys(const struct rate_limit *l, struct buf *out)
{
    for (unsigned i = 0; i < l->key_count; i++) {
        const struct rate_key *k = &l->keys[i];
        buf_add_str(out, i ? ", else " : "; by ");
        if (k->kind == RATE_BY_PARAM)
            buf_add_fmt(out, SPAN_FMT "%s", SPAN_ARG(k->param.name),
                        k->param.source == PARAM_JWT ? " of a verified token" : "");
        else
            buf_add_str(out, k->kind == RATE_BY_ALL ? "nothing: one count for all" : "address");
    }
}

static void add_rate_limit(const struct config *c, const struct rate_limit *l, struct buf *out)
{
    buf_add_fmt(out, "rate      " SPAN_FMT ": ", SPAN_ARG(l->name));
    add_policies(&l->classes[0], out);
    add_rate_keys(l, out);
    for (unsigned i = 1; i < l->class_count; i++) {
        buf_add_fmt(out, "; " SPAN_FMT ": ", SPAN_ARG(l->classes[i].name));
        add_policies(&l->classes[i], out);
    }
    buf_add_str(out, l->count_hits ? "; hits count" : "");
    buf_add_str(out, l->is_stale_over ? "; over it stale answers, else 429" : "");
    buf_add_str(out, l->is_dry_run ? "; dry run: refuses nothing" : "");
    buf_add_str(out, c->redis && l->is_shared ? "; shared by Redis\n" : "\n");
}

static void add_control(const struct config *c, struct buf *out)
{
    const struct control_config *k = &c->control;
    buf_add_str(out, "control   ");
    if (k->enabled)
        add_listen(out, &k->listen);
    buf_add_str(out, k->enabled && k->mount ? ", and " : "");
    buf_add_str(out, k->mount ? "mounted on the public listeners" : k->enabled ? "" : "none");
    if (k->enabled || k->mount) {
        buf_add_str(out, k->token_count ? "; for who has the token, or comes from "
                                        : "; for who comes from ");
        add_cidrs(out, k->allow, k->allow_count);
        buf_add_str(out, k->allow_count ? "" : "nowhere");
    }
    buf_add_char(out, '\n');
}

static void add_upstream(const struct upstream_config *u, struct buf *out)
{
    buf_add_fmt(out, "upstream  " SPAN_FMT ":", SPAN_ARG(u->name));
    for (unsigned i = 0; i < u->server_count; i++) {
        buf_add_char(out, ' ');
        add_address(out, &u->server[i]);
    }
    if (u->tls)
        buf_add_str(out, u->tls->verify ? "; TLS, verified" : "; TLS, not verified");
    buf_add_fmt(out, "; at most %u connections for each worker and server, idle ones ",
                u->max_connections);
    add_duration(out, u->idle_timeout_ms);
    buf_add_str(out, "; first byte within ");
    add_duration(out, u->first_byte_timeout_ms);
    buf_add_char(out, '\n');
}

static void add_addresses(struct buf *out, const struct address *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        buf_add_str(out, i ? ", " : "");
        add_address(out, &list[i]);
    }
}

static void add_redis(const struct redis_config *c, struct buf *out)
{
    buf_add_str(out, "redis     ");
    buf_add_span(out, c->socket);
    add_addresses(out, c->server, c->server_count);
    if (c->sentinel_count)
        buf_add_fmt(out, SPAN_FMT " by the sentinels ", SPAN_ARG(c->master));
    add_addresses(out, c->sentinel, c->sentinel_count);
    if (c->tls)
        buf_add_str(out, c->tls->verify ? "; TLS, verified" : "; TLS, not verified");
    if (c->password.len)
        buf_add_fmt(out, "; as " SPAN_FMT,
                    SPAN_ARG(c->user.len ? c->user : SPAN_LIT("the default user")));
    buf_add_fmt(out, "; database %u, keys {larder:" SPAN_FMT "}:*\n          ", c->database,
                SPAN_ARG(c->prefix));
    buf_add_str(out, "waited for ");
    add_duration(out, c->command_timeout_ms);
    buf_add_str(out, ", answers up to ");
    add_size(out, c->max_object_bytes);
    buf_add_str(out, ", trusted without contact for ");
    add_duration(out, c->max_invalidation_lag_ms);
    buf_add_char(out, '\n');
}

static void add_cache(const struct config *c, struct buf *out)
{
    buf_add_str(out, "cache     ");
    add_size(out, c->cache.max_bytes);
    if (c->cache.max_entries)
        buf_add_fmt(out, ", %llu answers", (unsigned long long)c->cache.max_entries);
    buf_add_str(out, ", each up to ");
    add_size(out, c->cache.max_object_bytes);
    buf_add_fmt(out, "; up to %u requests wait for one fetch, ", c->cache.waiters_max);
    add_duration(out, c->cache.wait_timeout_ms);
    buf_add_str(out, "\nsecret    ");
    buf_add_str(out, c->secret_is_random ? "random, a new one at each start\n"
                                         : "from the configuration\n");
}

void config_explain(const struct config *c, struct buf *out)
{
    buf_add_str(out, "the configuration is good\n\n");
    if (c->profile.len)
        buf_add_fmt(out, "profile   " SPAN_FMT "\n", SPAN_ARG(c->profile));
    buf_add_fmt(out, "workers   %u\n", c->workers);
    for (unsigned i = 0; i < c->listen_count; i++) {
        buf_add_str(out, "listen    ");
        add_listen(out, &c->listen[i]);
        buf_add_char(out, '\n');
    }
    add_control(c, out);
    add_cache(c, out);
    if (c->redis)
        add_redis(c->redis, out);
    if (c->trusted_count) {
        buf_add_str(out, "trusted   ");
        add_cidrs(out, c->trusted, c->trusted_count);
        buf_add_char(out, '\n');
    }
    for (unsigned i = 0; i < c->upstream_count; i++)
        add_upstream(&c->upstreams[i], out);
    for (unsigned i = 0; i < c->rate_limit_count; i++)
        add_rate_limit(c, &c->rate_limits[i], out);
    for (unsigned i = 0; i < c->route_count; i++)
        add_route(c, &c->routes[i], out);
    explain_aliases(c, out);
}
