/* Who may call. A token counts where one is sent; otherwise the peer's network, or the permissions
 * of the socket's file. A bound token may name and see only what is its own. */
#include "control-internal.h"

#include <larder/base/hash.h>

static const char *scope_name(unsigned scope)
{
    return scope == SCOPE_READ         ? "read"
           : scope == SCOPE_INVALIDATE ? "invalidate"
           : scope == SCOPE_WARM       ? "warm"
                                       : "admin";
}

/* All tokens are compared, so that the time tells nothing of which is near. */
static const struct token_config *find_token(const struct control_config *cfg, struct span given)
{
    const struct token_config *found = NULL;
    for (unsigned i = 0; i < cfg->token_count; i++)
        if (secret_eq(given, cfg->tokens[i].token))
            found = &cfg->tokens[i];
    return found;
}

bool access_is_allowed(struct call *c, unsigned scope)
{
    const struct control_config *cfg = &c->control->shared->config->control;
    const struct field *f = head_field(c->head, FIELD_AUTHORIZATION);
    struct span scheme = SPAN_LIT("Bearer ");
    if (f && cfg->token_count) {
        bool is_bearer =
            f->value.len > scheme.len && span_eq_nocase(span_of(f->value.p, scheme.len), scheme);
        if (is_bearer)
            c->token = find_token(cfg, span_of(f->value.p + scheme.len, f->value.len - scheme.len));
        if (!c->token)
            return !call_fail(c, 403, "forbidden", "the bearer token is none of the config's");
        if (!(c->token->scopes & scope))
            return !call_fail(c, 403, "forbidden",
                              "the token \"" SPAN_FMT "\" has not the scope \"%s\"",
                              SPAN_ARG(c->token->name), scope_name(scope));
        return true;
    }
    if (c->is_socket || cidr_contains(cfg->allow, cfg->allow_count, c->peer_addr))
        return true;
    return !call_fail(c, 401, "unauthorized",
                      "send \"Authorization: Bearer TOKEN\", or call from a network in "
                      "control.allow");
}

bool access_is_bound(const struct call *c)
{
    return c->token && c->token->bound_count > 0;
}

bool access_may_name(const struct call *c, struct span text)
{
    if (!access_is_bound(c))
        return true;
    for (unsigned i = 0; i < c->token->bound_count; i++)
        if (span_eq(c->token->bound[i], text))
            return true;
    return false;
}

bool access_may_name_value(const struct call *c, struct span label, struct span value)
{
    char block[2048];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    buf_add_span(&text, label);
    buf_add_char(&text, '=');
    buf_add_span(&text, value);
    return access_may_name(c, buf_span(&text)) && !text.failed;
}

bool access_may_see(const struct call *c, const struct entry *e)
{
    return !access_is_bound(c) ||
           entry_is_bound(c->control->shared, e, c->token->bound, c->token->bound_count);
}

void access_audit(const struct call *c, const char *what)
{
    struct span by = c->token       ? c->token->name
                     : c->is_socket ? SPAN_LIT("socket")
                     : c->is_open   ? SPAN_LIT("anybody")
                                    : SPAN_LIT("network");
    struct span done = buf_span(&c->audit);
    if (done.len > 800)
        done.len = 800;
    log_info("audit: %s by " SPAN_FMT " (%s): %u " SPAN_FMT "%s%s", what, SPAN_ARG(by), c->peer,
             c->status, SPAN_ARG(done), c->problem ? " " : "", c->problem ? c->problem : "");
}
