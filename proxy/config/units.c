/* Numbers with units, addresses, networks. */
#include "config-internal.h"

#include <larder/base/ip.h>

#include <stdio.h>

static bool parse_unit(struct span s, uint64_t *ret_number, struct span *ret_unit)
{
    size_t n = 0;
    while (n < s.len && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    *ret_unit = span_of(s.p + n, s.len - n);
    return span_parse_u64(span_of(s.p, n), ret_number);
}

bool config_duration_parse(struct span s, uint64_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    uint64_t n;
    struct span unit;
    if (!parse_unit(s, &n, &unit))
        return false;
    for (unsigned i = 0; i < array_len(units); i++) {
        if (span_eq(unit, span_str(units[i].unit)) && n <= UINT32_MAX * 1000ull / units[i].ms) {
            *ret_ms = n * units[i].ms;
            return true;
        }
    }
    return false;
}

bool size_parse(struct span s, uint64_t *ret_bytes)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    uint64_t n;
    struct span unit;
    if (!parse_unit(s, &n, &unit))
        return false;
    for (unsigned i = 0; i < array_len(units); i++) {
        if (span_eq(unit, span_str(units[i].unit)) && n <= (UINT64_MAX >> 1) >> units[i].shift) {
            *ret_bytes = n << units[i].shift;
            return true;
        }
    }
    return false;
}

/* A name or an address; what a resolver makes of it is its own affair. */
static bool is_host(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && c != '.' && c != '-' && c != '_' && c != ':')
            return false;
    }
    return true;
}

static bool is_ipv6(struct span host)
{
    uint8_t ip[16];
    return host.len && memchr(host.p, ':', host.len) && ip_parse(host, ip);
}

bool address_parse(struct span s, bool may_lack_host, struct address *ret)
{
    const char *colon = s.len ? memrchr(s.p, ':', s.len) : NULL;
    uint64_t port;
    if (!colon || !span_parse_u64(span_of(colon + 1, (size_t)(s.p + s.len - colon) - 1), &port) ||
        port > 65535)
        return false;
    struct span host = span_of(s.p, (size_t)(colon - s.p));
    if (host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']') {
        host = span_of(host.p + 1, host.len - 2);
        if (!is_ipv6(host))
            return false;
    } else if (host.len && memchr(host.p, ':', host.len)) {
        return false; /* IPv6 without brackets */
    }
    if (!is_host(host) || (host.len == 0 && !may_lack_host) || host.len >= sizeof(ret->host))
        return false;
    memset(ret, 0, sizeof(*ret));
    if (host.len)
        memcpy(ret->host, host.p, host.len);
    ret->port = (uint16_t)port;
    return true;
}

bool address_eq(const struct address *a, const struct address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

void address_format(const struct address *a, char *out, size_t room)
{
    bool is_v6 = strchr(a->host, ':') != NULL;
    snprintf(out, room, is_v6 ? "[%s]:%u" : "%s:%u", a->host, a->port);
}

bool cidr_parse(struct span s, struct cidr *ret)
{
    struct span bits, host = span_split(s, '/', &bits);
    uint64_t prefix = 0;
    memset(ret, 0, sizeof(*ret));
    if (!ip_parse(host, ret->addr))
        return false;
    const unsigned most = memchr(host.p, ':', host.len) ? 128 : 32;
    if (!bits.p)
        prefix = most;
    else if (!span_parse_u64(bits, &prefix) || prefix > most)
        return false;
    ret->prefix_bits = (unsigned)prefix + (128 - most);
    return true;
}

bool cidr_contains(const struct cidr *list, unsigned count, const uint8_t addr[16])
{
    for (unsigned i = 0; i < count; i++) {
        unsigned bytes = list[i].prefix_bits / 8, bits = list[i].prefix_bits % 8;
        if (memcmp(list[i].addr, addr, bytes) != 0)
            continue;
        uint8_t mask = (uint8_t)(0xff00 >> bits);
        if (bits == 0 || (list[i].addr[bytes] & mask) == (addr[bytes] & mask))
            return true;
    }
    return false;
}
