/* A listener's context. Each certificate has a context of its own; new connections begin with the
 * first one's, and change once the client has said which name it wants (RFC 6066 section 3). The
 * first one's is also the one whose ticket keys and options count, so the others need none.
 *
 * The first context owns the list of all: an open connection holds a reference to it, and so the
 * list is there as long as a name may be asked for. */
#include "tls-internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* Forward secrecy and AEAD only; TLS 1.3 has nothing else anyway. */
static const char CIPHERS_1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

struct sites {
    unsigned count;
    SSL_CTX *ctx[CONFIG_CERTIFICATES_MAX]; /* the first holds us, so it is not counted here */
    X509 *certificate[CONFIG_CERTIFICATES_MAX];
};

static void free_sites(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    (void)parent;
    (void)ad;
    (void)idx;
    (void)argl;
    (void)argp;
    struct sites *s = ptr;
    for (unsigned i = 1; s && i < s->count; i++)
        SSL_CTX_free(s->ctx[i]);
    free(s);
}

/* Contexts are made by the main thread alone. */
static int sites_index(void)
{
    static int index = -1;
    if (index < 0)
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_sites);
    return index;
}

int tls_choose(X509 *const *certificates, unsigned count, const char *name)
{
    const unsigned flags =
        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    int wild = -1;
    for (unsigned i = 0; i < count; i++) {
        char *pattern = NULL;
        if (X509_check_host(certificates[i], name, 0, flags, &pattern) != 1)
            continue;
        bool is_wild = pattern && pattern[0] == '*';
        OPENSSL_free(pattern);
        if (!is_wild)
            return (int)i;
        if (wild < 0)
            wild = (int)i;
    }
    return wild;
}

static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    const struct sites *s = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    int which = name ? tls_choose(s->certificate, s->count, name) : -1;
    if (which < 0)
        return SSL_TLSEXT_ERR_NOACK; /* the first one's: the client may like it all the same */
    SSL_set_SSL_CTX(ssl, s->ctx[which]);
    return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301 section 3.2: a client whose protocols are all unknown here is told so by an alert. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    (void)ssl;
    (void)arg;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen; /* within <ours> or <in>: both outlive the call */
    return SSL_TLSEXT_ERR_OK;
}

bool tls_ctx_set_rules(SSL_CTX *ctx, unsigned min_version)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    /* a large answer's record by record: each one sent is progress, and is seen as such */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return SSL_CTX_set_min_proto_version(ctx, min_version == TLS_1_3 ? TLS1_3_VERSION
                                                                     : TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1;
}

/* One certificate's. */
static SSL_CTX *site_new(const struct tls_listen_config *c, unsigned which, struct tls_report *r)
{
    const struct tls_certificate_config *pair = &c->certificates[which];
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (!ctx || !tls_ctx_set_rules(ctx, c->min_version)) {
        tls_tell(r, false, &pair->certificate, "cannot be used: %s", err_name(ERR_NOMEM));
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    if (!c->session_tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
    if (!tls_use_pair(ctx, &pair->certificate, &pair->key, r)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

SSL_CTX *tls_server_ctx_new(const struct tls_listen_config *c, struct tls_report *r)
{
    bool is_good = true;
    struct sites *s = calloc(1, sizeof(*s));
    for (unsigned i = 0; s && i < c->certificate_count; i++) { /* all: each may have its fault */
        s->ctx[i] = site_new(c, i, r);
        s->certificate[i] = s->ctx[i] ? SSL_CTX_get0_certificate(s->ctx[i]) : NULL;
        is_good &= s->ctx[i] != NULL;
        s->count++;
    }
    SSL_CTX *first = s ? s->ctx[0] : NULL;
    if (s && is_good && sites_index() >= 0 && SSL_CTX_set_ex_data(first, sites_index(), s) == 1) {
        SSL_CTX_set_tlsext_servername_callback(first, on_server_name);
        SSL_CTX_set_tlsext_servername_arg(first, s);
        return first;
    }
    if (!s || is_good)
        tls_tell(r, false, &c->certificates[0].certificate, "cannot be used: %s",
                 err_name(ERR_NOMEM));
    free_sites(NULL, s, NULL, 0, 0, NULL);
    SSL_CTX_free(first);
    return NULL;
}
