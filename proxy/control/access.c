/* Who may call. A token counts where one is sent; otherwise the peer's network, or the permissions
 * of the socket's file. A bound token may name and see only what is its own. */
#include "control-internal.h"

#include <larder/base/hash.h>
#include <larder/base/log.h>

#include <stdio.h>

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

/* NULL: <authorization> bears none of the config's. */
static const struct token_config *bearer(const struct call *c, struct span authorization)
{
    const struct control_config *cfg = &c->control->shared->config->control;
    struct span scheme = SPAN_LIT("Bearer ");
    if (authorization.len <= scheme.len ||
        !span_eq_nocase(span_of(authorization.p, scheme.len), scheme))
        return NULL;
    return find_token(cfg, span_of(authorization.p + scheme.len, authorization.len - scheme.len));
}

bool access_has_token(const struct call *c)
{
    const struct field *f = head_field(c->head, FIELD_AUTHORIZATION);
    return f && bearer(c, f->value);
}

bool access_is_allowed(struct call *c, unsigned scope)
{
    const struct control_config *cfg = &c->control->shared->config->control;
    const struct field *f = head_field(c->head, FIELD_AUTHORIZATION);
    if (f && cfg->token_count) {
        c->token = bearer(c, f->value);
        if (!c->token)
            return !call_fail(c, 403, "forbidden", "the bearer token is none of the config's");
        if (!(c->token->scopes & scope))
            return !call_fail(c, 403, "forbidden",
                              "the token \"" SPAN_FMT "\" has not the scope \"%s\"",
                              SPAN_ARG(c->token->name), scope_name(scope));
        return true;
    }
    /* by a public listener loopback is whoever a proxy on this machine lets through */
    bool may_by_network = !c->is_public || cfg->names_networks;
    if (c->is_socket ||
        (may_by_network && cidr_contains(cfg->allow, cfg->allow_count, c->peer_addr)))
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

static void log_call(const struct call *c, const char *action, struct span what, struct span by,
                     const char *message)
{
    struct security_event e = {.action = action,
                               .client = span_str(c->peer),
                               .method = c->head->method_text,
                               .target = span_str(c->path),
                               .what = what,
                               .user = by,
                               .message = message,
                               .status = c->status,
                               .is_audit = strcmp(action, "control-denied") != 0,
                               .is_anybodys = c->is_open};
    log_security(&e);
}

void access_audit(const struct call *c, const char *what)
{
    char block[1000];
    struct buf text;
    struct span by = c->token       ? c->token->name
                     : c->is_socket ? SPAN_LIT("socket")
                     : c->is_open   ? SPAN_LIT("anybody")
                                    : SPAN_LIT("network");
    struct span done = buf_span(&c->audit);
    if (done.len > 800)
        done.len = 800;
    buf_init_fixed(&text, block, sizeof(block) - 1);
    buf_add_fmt(&text, "audit: %s by " SPAN_FMT " (%s): %u ", what, SPAN_ARG(by), c->peer,
                c->status);
    buf_add_span(&text, done);
    buf_add_fmt(&text, "%s%s", c->problem ? " " : "", c->problem ? c->problem : "");
    block[text.len] = '\0';
    log_call(c, what, done, by, block);
}

void access_tell_denied(const struct call *c, const char *what)
{
    char text[700];
    snprintf(text, sizeof(text), "audit: %s %s refused to %s: %u", what, c->path, c->peer,
             c->status);
    log_call(c, "control-denied", span_str(what), c->token ? c->token->name : span_of(NULL, 0),
             text);
}
