/* Who asks: the first of a limit's keys that the request has, under an HMAC; and of which class. */
#include "limits-internal.h"

#include <larder/base/ip.h>
#include <larder/base/monotime.h>

enum { WHO_MAX = 8192 };

/* An element of X-Forwarded-For: an address, perhaps with a port, IPv6 perhaps in brackets. */
static bool parse_address(struct span s, uint8_t ret[16])
{
    struct span port, rest, host = span_split(s, ':', &port);
    if (s.len > 1 && s.p[0] == '[')
        s = span_split(span_of(s.p + 1, s.len - 1), ']', &rest);
    else if (port.len && !memchr(port.p, ':', port.len))
        s = host; /* IPv6 has more colons than one */
    return ip_parse(s, ret);
}

static struct span last_element(struct span *list)
{
    const char *comma = list->len ? memrchr(list->p, ',', list->len) : NULL;
    struct span last = *list;
    if (comma)
        last = span_of(comma + 1, (size_t)(list->p + list->len - comma) - 1);
    *list = comma ? span_of(list->p, (size_t)(comma - list->p)) : span_of(NULL, 0);
    return span_trim(last);
}

/* From the right: each trusted proxy tells of the one before it; what comes before an untrusted one
 * is anybody's word. What is no address ends the walk, too. */
void limits_client_address(const struct config *c, const struct limits_request *r, uint8_t ret[16])
{
    memset(ret, 0, 16);
    if (!r->peer)
        return;
    memcpy(ret, r->peer, 16);
    if (!r->is_ours && !cidr_contains(c->trusted, c->trusted_count, ret))
        return;
    for (unsigned i = r->head->field_count; i-- > 0;) {
        const struct field *f = &r->head->fields[i];
        struct span rest = f->value;
        while (f->id == FIELD_X_FORWARDED_FOR && rest.p) {
            uint8_t next[16];
            struct span element = last_element(&rest);
            if (element.len == 0)
                continue;
            if (!parse_address(element, next))
                return;
            memcpy(ret, next, 16);
            if (!cidr_contains(c->trusted, c->trusted_count, ret))
                return;
        }
    }
}

/* --- values of the request --- */

struct gathering {
    struct buf *out;
    bool is_cookie;
    unsigned count;
};

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Apps read "a", "\141" and a as one cookie (RFC 6265 section 4.1.1; Python's http.cookies):
 * whoever writes his in another way is no other client. */
static void add_cookie(struct span v, struct buf *out)
{
    if (v.len < 2 || v.p[0] != '"' || v.p[v.len - 1] != '"') {
        buf_add_span(out, v);
        return;
    }
    v = span_of(v.p + 1, v.len - 2);
    for (size_t i = 0; i < v.len; i++) {
        bool is_escape = v.p[i] == '\\' && i + 1 < v.len;
        bool is_number = is_escape && i + 3 < v.len && is_octal(v.p[i + 1]) &&
                         is_octal(v.p[i + 2]) && is_octal(v.p[i + 3]);
        if (is_number) {
            buf_add_char(
                out, (char)((v.p[i + 1] - '0') * 64 + (v.p[i + 2] - '0') * 8 + (v.p[i + 3] - '0')));
            i += 3;
        } else {
            i += is_escape;
            buf_add_char(out, v.p[i]);
        }
    }
}

/* Of a cookie that comes twice, or under a name that only some apps read so, cookie_value() tells
 * all that lies between: what no value may hold (RFC 6265 section 4.1.1). */
static bool is_one_cookie(struct span v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.p[i] == ';' || (unsigned char)v.p[i] < 0x20 || (unsigned char)v.p[i] >= 0x7f)
            return false;
    return true;
}

static void on_value(void *arg, struct span value)
{
    struct gathering *g = arg;
    g->count += g->is_cookie && !is_one_cookie(value) ? 2 : 1;
    if (g->count > 1)
        return;
    if (g->is_cookie)
        add_cookie(value, g->out);
    else
        buf_add_span(g->out, value);
}

static struct route_request request_of(const struct config *c, const struct limits_request *r)
{
    static const struct route_captures none = {.count = 0};
    return (struct route_request){.head = r->head,
                                  .captures = r->captures ? r->captures : &none,
                                  .secret = c->secret,
                                  .now_unix_s = unix_now_ms() / 1000};
}

/* Appends the value of <p>; false, and <out> as it was: it has none, one that is too long, or
 * several. Of several the app may read but one, and who may choose the others is a new client with
 * each. */
static bool add_param(const struct config *c, const struct param *p, const struct limits_request *r,
                      struct buf *out)
{
    struct gathering g = {.out = out, .is_cookie = p->source == PARAM_COOKIE};
    struct route_request req = request_of(c, r);
    size_t before = out->len;
    bool is_good = route_param_each(p, &req, on_value, &g) && g.count == 1 && !out->failed;
    if (!is_good) {
        out->len = before;
        out->failed = false;
    }
    return is_good;
}

static void add_address(const struct config *c, const struct limits_request *r, struct buf *out)
{
    enum { IPV6_SITE = 8 }; /* a /64 is one place's own: its hosts choose the rest as they like */
    uint8_t address[16];
    limits_client_address(c, r, address);
    if (!ip_is_v4(address))
        memset(address + IPV6_SITE, 0, sizeof(address) - IPV6_SITE);
    buf_add_str(out, "client:");
    buf_add(out, address, sizeof(address));
}

/* Each kind of key has a beginning of its own, so that no header can spell another's address. */
static void add_who(const struct config *c, const struct rate_limit *l,
                    const struct limits_request *r, struct buf *out)
{
    for (unsigned i = 0; i < l->key_count; i++) {
        size_t before = out->len;
        switch (l->keys[i].kind) {
        case RATE_BY_CLIENT:
            add_address(c, r, out);
            return;
        case RATE_BY_ALL:
            buf_add_str(out, "all");
            return;
        case RATE_BY_PARAM:
            buf_add_fmt(out, "param%u:", i);
            if (add_param(c, &l->keys[i].param, r, out))
                return;
            out->len = before;
            break;
        }
    }
    add_address(c, r, out);
}

const struct rate_class *limits_class_of(const struct config *c, const struct rate_limit *l,
                                         const struct limits_request *r)
{
    char block[WHO_MAX];
    struct buf value;
    buf_init_fixed(&value, block, sizeof(block));
    if (!l->has_class_param || !add_param(c, &l->class_param, r, &value))
        return &l->classes[0];
    for (unsigned i = 1; i < l->class_count; i++)
        if (span_eq(l->classes[i].name, buf_span(&value)))
            return &l->classes[i];
    return &l->classes[0];
}

/* Under limits that were changed a client begins anew: what was counted by others means nothing. */
static void add_policies(const struct rate_class *class, struct buf *out)
{
    for (unsigned i = 0; i < class->policy_count; i++) {
        const struct rate_policy *p = &class->policies[i];
        buf_add_fmt(out, "%u/%llu/%u,", p->count, (unsigned long long)p->window_ms,
                    p->is_bucket ? p->burst : 0);
    }
}

void limits_name_client(const struct config *c, const struct rate_limit *l,
                        const struct rate_class *class, const struct limits_request *r,
                        uint8_t ret_name[32])
{
    char block[WHO_MAX];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    buf_add_fmt(&text, "rate limit %zu:" SPAN_FMT " %zu:" SPAN_FMT " ", l->name.len,
                SPAN_ARG(l->name), class->name.len, SPAN_ARG(class->name));
    add_policies(class, &text);
    add_who(c, l, r, &text);
    hmac_of(c->secret, buf_span(&text), ret_name);
}
