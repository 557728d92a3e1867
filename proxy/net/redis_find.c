/* Where a link tries next. A server of a cluster has the first word (MOVED), as long as it can be
 * reached; else the config's servers are tried in turn, or its sentinels asked. */
#include "redis-internal.h"

#include <stdio.h>

static unsigned candidates(const struct redis_config *c)
{
    if (c->socket.len)
        return 1;
    return c->sentinel_count ? c->sentinel_count : c->server_count;
}

void link_find_target(struct redis_link *l)
{
    const struct redis_config *c = l->redis->config;
    struct target *t = &l->target;
    unsigned n = candidates(c), turn = n ? l->turn % n : 0;
    size_t prefix = 0;
    l->masters = atomic_load(&l->redis->masters);
    if (redis_moved(l->redis, &t->address)) {
        t->kind = TARGET_MOVED;
    } else if (c->socket.len) {
        t->kind = TARGET_SOCKET;
        snprintf(t->name, sizeof(t->name), "%s", c->socket.p);
        return;
    } else if (c->sentinel_count) {
        t->kind = TARGET_SENTINEL;
        t->address = c->sentinel[turn];
        memcpy(t->name, "sentinel ", prefix = strlen("sentinel "));
    } else {
        t->kind = TARGET_SERVER;
        t->address = c->server[turn];
    }
    address_format(&t->address, t->name + prefix, sizeof(t->name) - prefix);
}

bool link_is_astray(struct redis_link *l)
{
    struct address now;
    unsigned masters = atomic_load_explicit(&l->redis->masters, memory_order_relaxed);
    if (l->masters == masters)
        return false;
    l->masters = masters;
    return redis_moved(l->redis, &now) && !address_eq(&now, &l->target.address);
}

bool link_find_other(struct redis_link *l)
{
    if (l->target.kind == TARGET_MOVED)
        redis_forget_moved(l->redis, &l->target.address);
    else
        l->turn++;
    return ++l->tries < candidates(l->redis->config);
}

/* host and port around the last colon: "::1:6381" is how a cluster writes IPv6. */
bool moved_parse(struct span text, const struct address *asked, struct address *ret)
{
    struct span rest, slot, to;
    uint64_t port;
    (void)span_split(text, ' ', &rest);
    slot = span_split(rest, ' ', &to);
    const char *colon = to.len ? memrchr(to.p, ':', to.len) : NULL;
    if (slot.len == 0 || !colon)
        return false;
    struct span host = span_of(to.p, (size_t)(colon - to.p));
    struct span digits = span_of(colon + 1, to.len - host.len - 1);
    if (!span_parse_u64(digits, &port) || port == 0 || port > UINT16_MAX ||
        host.len >= sizeof(ret->host) || memchr(host.p, '\0', host.len))
        return false;
    if (host.len == 0 || span_eq(host, SPAN_LIT("?"))) { /* it does not know its own name */
        if (!asked || !asked->host[0])
            return false;
        *ret = *asked;
    } else {
        *ret = (struct address){0};
        memcpy(ret->host, host.p, host.len);
    }
    ret->port = (uint16_t)port;
    return true;
}
