/* Whose answer it is: what in a request says so, and credentials about which no route has said a
 * word. */
#include "route-internal.h"

#include <larder/base/jwt.h>
#include <larder/http/key.h>

static bool is_api_key(struct span name)
{
    static const char *const names[] = {"x-api-key",           "api-key",        "apikey",
                                        "x-auth-token",        "x-access-token", "x-session-token",
                                        "x-amz-security-token"};
    for (size_t i = 0; i < array_len(names); i++)
        if (span_eq_nocase(name, span_str(names[i])))
            return true;
    return false;
}

bool field_is_credential(const struct field *f)
{
    return f->id == FIELD_AUTHORIZATION || f->id == FIELD_COOKIE ||
           (f->id == FIELD_OTHER && is_api_key(f->name));
}

static bool is_keyed(const struct route *r, enum param_source source, struct span name)
{
    for (unsigned i = 0; i < r->param_count; i++) {
        const struct param *p = &r->params[i];
        if (p->source != source)
            continue;
        if (source == PARAM_AUTH ||
            (source == PARAM_COOKIE ? span_eq(p->name, name) : span_eq_nocase(p->name, name)))
            return true;
    }
    return false;
}

/* All of a line's cookies? */
static bool are_cookies_keyed(const struct route *r, struct span line)
{
    while (line.p) {
        struct span value, pair = span_trim(span_split(line, ';', &line));
        if (pair.len && !is_keyed(r, PARAM_COOKIE, span_trim(span_split(pair, '=', &value))))
            return false;
    }
    return true;
}

unsigned route_open_credentials(const struct route *r, const struct head *h)
{
    unsigned open = 0;
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        if (!field_is_credential(f) || is_keyed(r, PARAM_HEADER, f->name))
            continue;
        if (f->id == FIELD_COOKIE)
            open |= r->share_cookies || are_cookies_keyed(r, f->value) ? 0 : CREDENTIAL_COOKIE;
        else if (f->id == FIELD_AUTHORIZATION)
            open |= r->fresh.share_authorized || is_keyed(r, PARAM_AUTH, f->name)
                        ? 0
                        : CREDENTIAL_AUTHORIZATION;
        else
            open |= CREDENTIAL_API_KEY;
    }
    return open;
}

static struct span token_of(const struct param *p, const struct head *h)
{
    struct span value = span_of(NULL, 0), scheme = SPAN_LIT("Bearer ");
    if (p->is_token_cookie) {
        (void)cookie_value(h, p->token_name, &value); /* absent: the empty value */
        return value;
    }
    const struct field *f = head_field_named(h, p->token_name);
    if (!f || field_is_hop_by_hop(h, f))
        return value;
    bool is_bearer =
        f->value.len > scheme.len && span_eq_nocase(span_of(f->value.p, scheme.len), scheme);
    return is_bearer ? span_of(f->value.p + scheme.len, f->value.len - scheme.len) : f->value;
}

enum jwt_result param_jwt_claim(const struct param *p, const struct route_request *req,
                                struct buf *out)
{
    struct span token = token_of(p, req->head);
    if (!token.p || !token.len)
        return JWT_ABSENT;
    enum jwt_result rc = jwt_claim(p->jwt, token, p->name, req->now_unix_s, out);
    bool says_nothing = rc == JWT_ABSENT || (rc == JWT_OK && out->len == 0);
    return says_nothing ? JWT_BAD : rc;
}

static bool has_part(const struct param *p, const struct head *h)
{
    struct span value;
    switch (p->source) {
    case PARAM_AUTH:
        return head_field(h, FIELD_AUTHORIZATION) != NULL;
    case PARAM_HEADER:
        return head_field_named(h, p->name) != NULL;
    case PARAM_COOKIE:
        return cookie_value(h, p->name, &value);
    case PARAM_JWT:
        return token_of(p, h).len > 0;
    default:
        return true; /* of the body or the target: the key finds it, or there is none */
    }
}

bool route_has_identity(const struct route *r, const struct head *h)
{
    for (unsigned i = 0; i < r->identity_count; i++)
        if (has_part(&r->params[r->param_count + i], h))
            return true;
    return false;
}
