/* field.c: field names as numbers, and the questions asked of fields.
 *
 * A name's length, first and last letter make a perfect hash of the known names: one table look,
 * one comparison by words. Two known names in one slot would not compile (-Woverride-init); a new
 * name that collides wants other factors in SLOT.
 */
#include <larder/http/head.h>

#include "http-internal.h"

#define SLOTS 256
#define SLOT(len, first, last)                                                                     \
    (((unsigned)(len) + ((unsigned)(first)&31) * 5 + ((unsigned)(last)&31) * 148) % SLOTS)

/* id, text, its first and last letter */
#define FIELDS(X)                                                                                  \
    X(FIELD_ACCEPT_ENCODING, "accept-encoding", 'a', 'g')                                          \
    X(FIELD_ACCEPT_LANGUAGE, "accept-language", 'a', 'e')                                          \
    X(FIELD_ACCEPT_RANGES, "accept-ranges", 'a', 's')                                              \
    X(FIELD_ACCESS_CONTROL_ALLOW_ORIGIN, "access-control-allow-origin", 'a', 'n')                  \
    X(FIELD_AGE, "age", 'a', 'e')                                                                  \
    X(FIELD_AUTHORIZATION, "authorization", 'a', 'n')                                              \
    X(FIELD_CACHE_CONTROL, "cache-control", 'c', 'l')                                              \
    X(FIELD_CACHE_STATUS, "cache-status", 'c', 's')                                                \
    X(FIELD_CDN_CACHE_CONTROL, "cdn-cache-control", 'c', 'l')                                      \
    X(FIELD_CONNECTION, "connection", 'c', 'n')                                                    \
    X(FIELD_CONTENT_ENCODING, "content-encoding", 'c', 'g')                                        \
    X(FIELD_CONTENT_LENGTH, "content-length", 'c', 'h')                                            \
    X(FIELD_CONTENT_LOCATION, "content-location", 'c', 'n')                                        \
    X(FIELD_CONTENT_RANGE, "content-range", 'c', 'e')                                              \
    X(FIELD_CONTENT_TYPE, "content-type", 'c', 'e')                                                \
    X(FIELD_COOKIE, "cookie", 'c', 'e')                                                            \
    X(FIELD_DATE, "date", 'd', 'e')                                                                \
    X(FIELD_ETAG, "etag", 'e', 'g')                                                                \
    X(FIELD_EXPECT, "expect", 'e', 't')                                                            \
    X(FIELD_EXPIRES, "expires", 'e', 's')                                                          \
    X(FIELD_FORWARDED, "forwarded", 'f', 'd')                                                      \
    X(FIELD_HOST, "host", 'h', 't')                                                                \
    X(FIELD_IF_MATCH, "if-match", 'i', 'h')                                                        \
    X(FIELD_IF_MODIFIED_SINCE, "if-modified-since", 'i', 'e')                                      \
    X(FIELD_IF_NONE_MATCH, "if-none-match", 'i', 'h')                                              \
    X(FIELD_IF_RANGE, "if-range", 'i', 'e')                                                        \
    X(FIELD_IF_UNMODIFIED_SINCE, "if-unmodified-since", 'i', 'e')                                  \
    X(FIELD_KEEP_ALIVE, "keep-alive", 'k', 'e')                                                    \
    X(FIELD_LARDER_CACHE_CONTROL, "larder-cache-control", 'l', 'l')                                \
    X(FIELD_LARDER_WARM, "larder-warm", 'l', 'm')                                                  \
    X(FIELD_LAST_MODIFIED, "last-modified", 'l', 'd')                                              \
    X(FIELD_LOCATION, "location", 'l', 'n')                                                        \
    X(FIELD_ORIGIN, "origin", 'o', 'n')                                                            \
    X(FIELD_PRAGMA, "pragma", 'p', 'a')                                                            \
    X(FIELD_PROXY_AUTHENTICATE, "proxy-authenticate", 'p', 'e')                                    \
    X(FIELD_PROXY_AUTHENTICATION_INFO, "proxy-authentication-info", 'p', 'o')                      \
    X(FIELD_PROXY_AUTHORIZATION, "proxy-authorization", 'p', 'n')                                  \
    X(FIELD_PROXY_CONNECTION, "proxy-connection", 'p', 'n')                                        \
    X(FIELD_RANGE, "range", 'r', 'e')                                                              \
    X(FIELD_SET_COOKIE, "set-cookie", 's', 'e')                                                    \
    X(FIELD_SURROGATE_KEY, "surrogate-key", 's', 'y')                                              \
    X(FIELD_TE, "te", 't', 'e')                                                                    \
    X(FIELD_TRAILER, "trailer", 't', 'r')                                                          \
    X(FIELD_TRANSFER_ENCODING, "transfer-encoding", 't', 'g')                                      \
    X(FIELD_UPGRADE, "upgrade", 'u', 'e')                                                          \
    X(FIELD_VARY, "vary", 'v', 'y')                                                                \
    X(FIELD_VIA, "via", 'v', 'a')                                                                  \
    X(FIELD_X_FORWARDED_FOR, "x-forwarded-for", 'x', 'r')                                          \
    X(FIELD_X_FORWARDED_HOST, "x-forwarded-host", 'x', 't')                                        \
    X(FIELD_X_FORWARDED_PROTO, "x-forwarded-proto", 'x', 'o')                                      \
    X(FIELD_X_HTTP_METHOD_OVERRIDE, "x-http-method-override", 'x', 'e')                            \
    X(FIELD_X_ORIGINAL_URL, "x-original-url", 'x', 'l')                                            \
    X(FIELD_X_REAL_IP, "x-real-ip", 'x', 'p')                                                      \
    X(FIELD_X_REQUEST_ID, "x-request-id", 'x', 'd')                                                \
    X(FIELD_X_REWRITE_URL, "x-rewrite-url", 'x', 'l')

#define NAME(id, text, first, last) [id] = {(text), sizeof(text) - 1},
static const struct span names[FIELD_COUNT_] = {[FIELD_OTHER] = {"", 0}, FIELDS(NAME)};

#define SLOT_OF(id, text, first, last) [SLOT(sizeof(text) - 1, first, last)] = (id),
static const uint8_t slots[SLOTS] = {FIELDS(SLOT_OF)};

/* Lower case of eight bytes, exact as far as letters and '-' go: only bytes of 0x40 and above
 * change, so that no control becomes a '-'. */
static uint64_t fold(uint64_t w)
{
    return w | (w & WORD_OF(0x40)) >> 1;
}

static uint64_t load8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}

/* <text> is one of the names above: letters and '-' in lower case. */
static bool is_name(const char *p, const char *text, size_t len)
{
    if (len < 8) {
        for (size_t i = 0; i < len; i++) {
            if (byte_lower(p[i]) != text[i])
                return false;
        }
        return true;
    }
    uint64_t differ = fold(load8(p + len - 8)) ^ fold(load8(text + len - 8));
    for (size_t i = 0; i + 8 < len; i += 8)
        differ |= fold(load8(p + i)) ^ fold(load8(text + i));
    return differ == 0;
}

enum field_id field_id_of(struct span name)
{
    if (name.len == 0)
        return FIELD_OTHER;
    enum field_id id = slots[SLOT(name.len, name.p[0], name.p[name.len - 1])];
    if (names[id].len != name.len || !is_name(name.p, names[id].p, name.len))
        return FIELD_OTHER;
    return id;
}

const char *field_name(enum field_id id)
{
    return names[id].p;
}

const struct field *head_field_first(const struct head *h, enum field_id id)
{
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id == id)
            return &h->fields[i];
    }
    return NULL;
}

const struct field *head_field_named(const struct head *h, struct span name)
{
    enum field_id id = field_id_of(name);
    if (id != FIELD_OTHER)
        return head_field(h, id);
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id == FIELD_OTHER && span_eq_nocase(h->fields[i].name, name))
            return &h->fields[i];
    }
    return NULL;
}

/* The end of the member that begins at <p>: a comma outside of quotes, or <end>. */
static const char *member_end(const char *p, const char *end)
{
    bool quoted = false;
    for (; p < end; p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (quoted && *p == '\\' && p + 1 < end)
            p++;
        else if (!quoted && *p == ',')
            break;
    }
    return p;
}

bool field_list_next(struct span *rest, struct span *ret_member)
{
    while (rest->len > 0) {
        const char *p = rest->p, *end = p + rest->len, *stop = member_end(p, end);
        struct span member = span_trim(span_of(p, (size_t)(stop - p)));
        const char *next = stop < end ? stop + 1 : end;
        *rest = span_of(next, (size_t)(end - next));
        if (member.len > 0) {
            *ret_member = member;
            return true;
        }
    }
    return false;
}

bool field_has_token(const struct head *h, enum field_id id, struct span token)
{
    if (!head_field(h, id))
        return false;
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id != id)
            continue;
        struct span rest = h->fields[i].value, member;
        while (field_list_next(&rest, &member)) {
            if (span_eq_nocase(member, token))
                return true;
        }
    }
    return false;
}

bool field_is_hop_by_hop(const struct head *h, const struct field *f)
{
    switch (f->id) {
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_AUTHENTICATE:
    case FIELD_PROXY_AUTHENTICATION_INFO:
    case FIELD_PROXY_AUTHORIZATION:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return true;
    case FIELD_AUTHORIZATION: /* what Connection may not take away: losing these changes */
    case FIELD_CACHE_CONTROL: /* who is asking, what may be kept, or where the body ends */
    case FIELD_CONTENT_ENCODING:
    case FIELD_CONTENT_LENGTH:
    case FIELD_CONTENT_TYPE:
    case FIELD_COOKIE:
    case FIELD_ETAG:
    case FIELD_HOST:
    case FIELD_SET_COOKIE:
    case FIELD_VARY:
        return false;
    default:
        return h->connection.p && field_has_token(h, FIELD_CONNECTION, f->name);
    }
}

bool span_is_token(struct span s)
{
    return s.len > 0 && bytes_skip(s.p, s.p + s.len, BYTE_TOKEN) == s.p + s.len;
}
