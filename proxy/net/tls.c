/* The present context. A new connection takes a reference under a lock, which costs nothing beside
 * its handshake; a replaced context lives on until its last connection has ended. */
#include "tls-internal.h"

#include <pthread.h>
#include <stdlib.h>

struct tls {
    pthread_mutex_t lock;
    SSL_CTX *ctx;
    const struct tls_listen_config *listen; /* one of the two */
    const struct tls_upstream_config *upstream;
};

static SSL_CTX *make_ctx(const struct tls *t, struct tls_report *r)
{
    return t->listen ? tls_server_ctx_new(t->listen, r) : tls_client_ctx_new(t->upstream, r);
}

static enum err_code make(const struct tls_listen_config *listen,
                          const struct tls_upstream_config *upstream, struct tls_report *r,
                          struct tls **ret)
{
    struct tls *t = calloc(1, sizeof(*t));
    if (!t) {
        struct err e;
        err_set(&e, ERR_NOMEM, "tls", "out of memory");
        r->on_found(r, false, &e);
        return ERR_NOMEM;
    }
    t->listen = listen;
    t->upstream = upstream;
    t->ctx = make_ctx(t, r);
    if (!t->ctx) {
        free(t);
        return ERR_CONFIG;
    }
    pthread_mutex_init(&t->lock, NULL);
    *ret = t;
    return ERR_OK;
}

enum err_code tls_server_new(const struct tls_listen_config *config, struct tls_report *report,
                             struct tls **ret)
{
    return make(config, NULL, report, ret);
}

enum err_code tls_client_new(const struct tls_upstream_config *config, struct tls_report *report,
                             struct tls **ret)
{
    return make(NULL, config, report, ret);
}

enum err_code tls_reload(struct tls *t, struct tls_report *report)
{
    SSL_CTX *fresh = make_ctx(t, report);
    if (!fresh)
        return ERR_CONFIG;
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->ctx;
    t->ctx = fresh;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old);
    return ERR_OK;
}

SSL_CTX *tls_ctx_ref(struct tls *t)
{
    pthread_mutex_lock(&t->lock);
    SSL_CTX *ctx = t->ctx;
    SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&t->lock);
    return ctx;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
