/* Connections. libevent 2.1.12's bufferevent does the reading, and the writing of what has to wait;
 * what the socket takes at once is written here, past its queue.
 *
 * Two of its ways decide how it is used: after a part of a piece was written it goes on with the
 * next piece, so it may look at one piece at a time only (max_single_write); and a connection that
 * ends without close_notify is an error to it, never an end, which is what a client wants. */
#include "tls-internal.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_MAX = 16384 }; /* RFC 8446 section 5.1 */

static SSL *connection_new(struct tls *t)
{
    SSL_CTX *ctx = tls_ctx_ref(t);
    SSL *ssl = SSL_new(ctx);
    SSL_CTX_free(ctx); /* the connection holds its own reference */
    return ssl;
}

static struct bufferevent *wrap(struct event_base *base, SSL *ssl, enum bufferevent_ssl_state state,
                                int options)
{
    if (!ssl)
        return NULL;
    struct bufferevent *bev =
        bufferevent_openssl_socket_new(base, -1, ssl, state, BEV_OPT_CLOSE_ON_FREE | options);
    if (bev)
        bufferevent_set_max_single_write(bev, 1); /* one piece at a time, whatever its size */
    return bev;
}

struct bufferevent *tls_accept(struct tls *t, struct event_base *base)
{
    return wrap(base, connection_new(t), BUFFEREVENT_SSL_ACCEPTING, 0);
}

/* An address is verified as such, and is no name that could be asked for (RFC 6066 section 3). */
static bool set_peer(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return true;
    ERR_clear_error();
    /* RFC 9110 section 4.3.4: the subject's common name is no host's name */
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct bufferevent *tls_connect(struct tls *t, struct event_base *base, const char *server_name)
{
    SSL *ssl = connection_new(t);
    if (ssl && !set_peer(ssl, server_name)) {
        SSL_free(ssl);
        ssl = NULL;
    }
    return wrap(base, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_DEFER_CALLBACKS);
}

void tls_offer_no_protocol(struct bufferevent *bev)
{
    (void)SSL_set_alpn_protos(bufferevent_openssl_get_ssl(bev), NULL, 0); /* frees: cannot fail */
}

struct cursor {
    const struct iovec *iov;
    int count;
    size_t offset;
};

static void pass_empty(struct cursor *c)
{
    while (c->count > 0 && c->offset == c->iov->iov_len) {
        c->iov++;
        c->count--;
        c->offset = 0;
    }
}

static void advance(struct cursor *c, size_t n)
{
    while (n > 0) {
        size_t here = c->iov->iov_len - c->offset;
        size_t step = n < here ? n : here;
        c->offset += step;
        n -= step;
        pass_empty(c);
    }
}

/* As much as a record holds, in one block: one record costs one system call. */
static size_t gather(struct cursor c, char *block)
{
    size_t n = 0;
    while (c.count > 0 && n < RECORD_MAX) {
        size_t here = c.iov->iov_len - c.offset;
        size_t step = here < RECORD_MAX - n ? here : RECORD_MAX - n;
        memcpy(block + n, (const char *)c.iov->iov_base + c.offset, step);
        n += step;
        advance(&c, step);
    }
    return n;
}

ssize_t tls_writev(SSL *ssl, const struct iovec *iov, int count, size_t *ret_stuck)
{
    char block[RECORD_MAX];
    struct cursor c = {.iov = iov, .count = count};
    ssize_t sent = 0;
    *ret_stuck = 0;
    for (pass_empty(&c); c.count > 0;) {
        const char *p = (const char *)c.iov->iov_base + c.offset;
        size_t n = RECORD_MAX;
        if (c.iov->iov_len - c.offset < RECORD_MAX) { /* else it needs no copy */
            n = gather(c, block);
            p = block;
        }
        ERR_clear_error();
        int rc = SSL_write(ssl, p, (int)n);
        if (rc <= 0) {
            int why = SSL_get_error(ssl, rc);
            ERR_clear_error();
            *ret_stuck = n;
            return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? sent : -1;
        }
        sent += rc;
        advance(&c, (size_t)rc);
    }
    return sent;
}

void tls_say_end(SSL *ssl)
{
    if (!SSL_is_init_finished(ssl) || (SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(
        ssl); /* a full or broken socket: the peer takes it for a cut, and is right */
    ERR_clear_error();
}

bool tls_is_quiet(SSL *ssl)
{
    char byte;
    ERR_clear_error();
    int rc = SSL_peek(ssl, &byte, 1); /* takes tickets off the socket, too */
    bool is_quiet = rc <= 0 && SSL_get_error(ssl, rc) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return is_quiet;
}

/* The first error of OpenSSL that the bufferevent has kept: it gives the last one first. */
static unsigned long first_error(struct bufferevent *bev)
{
    unsigned long e, first = 0;
    while ((e = bufferevent_get_openssl_error(bev)) != 0)
        if (ERR_GET_LIB(e) == ERR_LIB_SSL)
            first = e;
    return first;
}

static void say_certificate(SSL *ssl, long verdict, struct tls_failure *f)
{
    f->fault = TLS_FAULT_CERTIFICATE;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
        snprintf(f->words, sizeof(f->words),
                 "its certificate is for another name than %s (its subjectAltName counts); "
                 "\"server_name\" says which to expect",
                 name ? name : "its address");
    else
        snprintf(f->words, sizeof(f->words), "its certificate is refused: %s",
                 X509_verify_cert_error_string(verdict));
}

/* Writing to a peer that has closed fails before its last words were read: they tell why. */
static unsigned long last_words(SSL *ssl)
{
    char byte;
    ERR_clear_error();
    int rc = SSL_peek(ssl, &byte, 1);
    unsigned long e = rc <= 0 && SSL_get_error(ssl, rc) == SSL_ERROR_SSL ? ERR_peek_error() : 0;
    ERR_clear_error();
    return e;
}

void tls_failure_read(struct bufferevent *bev, struct tls_failure *ret)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    unsigned long e = first_error(bev);
    if (e == 0 && SSL_is_init_finished(ssl))
        e = last_words(ssl);
    int reason = ERR_GET_REASON(e);
    const char *words = e ? ERR_reason_error_string(e) : NULL;
    snprintf(ret->words, sizeof(ret->words), "%s", words ? words : "the connection ended");
    if (e == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ret->fault = TLS_FAULT_IO;
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        say_certificate(ssl, SSL_get_verify_result(ssl), ret);
    } else if (reason >= SSL_AD_REASON_OFFSET) {
        ret->fault = TLS_FAULT_ALERT;
    } else if (reason == SSL_R_HTTP_REQUEST) {
        ret->fault = TLS_FAULT_PLAIN_HTTP;
    } else {
        ret->fault = TLS_FAULT_PROTOCOL;
        if (reason == SSL_R_WRONG_VERSION_NUMBER)
            snprintf(ret->words, sizeof(ret->words), "it does not speak TLS there");
    }
}
