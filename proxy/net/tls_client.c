/* An upstream's context: whom to believe, and what to show of ourselves. */
#include "tls-internal.h"

#include <larder/base/err.h>

#include <openssl/err.h>

static bool tell_no_memory(struct tls_report *r)
{
    struct err e;
    err_set(&e, ERR_NOMEM, "tls", "out of memory");
    r->on_found(r, false, &e);
    return false;
}

static bool use_system_roots(SSL_CTX *ctx, struct tls_report *r)
{
    struct err e;
    if (SSL_CTX_set_default_verify_paths(ctx) == 1)
        return true;
    ERR_clear_error();
    err_set(&e, ERR_CONFIG, "tls", "the system's roots cannot be read; name some with \"ca\"");
    r->on_found(r, false, &e);
    return false;
}

static bool use_files(SSL_CTX *ctx, const struct tls_upstream_config *c, struct tls_report *r)
{
    bool is_good = true;
    if (c->verify && c->ca.path.len)
        is_good = tls_use_roots(ctx, &c->ca, r);
    else if (c->verify)
        is_good = use_system_roots(ctx, r);
    if (c->certificate.path.len && !tls_use_pair(ctx, &c->certificate, &c->key, r))
        is_good = false;
    return is_good;
}

SSL_CTX *tls_client_ctx_new(const struct tls_upstream_config *c, struct tls_report *r)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    bool is_good = ctx && tls_ctx_set_rules(ctx, c->min_version) &&
                   SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1) == 0;
    if (!is_good)
        tell_no_memory(r);
    else
        is_good = use_files(ctx, c, r);
    if (!is_good) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, c->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (c->ca.path.len) /* what the operator lists is trusted, root or not */
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return ctx;
}
