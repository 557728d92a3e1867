/* tls-internal.h: what the files about TLS share, and what gate, upstream and redis call. OpenSSL
 * and libevent's bufferevent for it are used nowhere else.
 *
 * tls.c         the present context, and its replacement
 * tls_files.c   certificates and keys out of PEM files, with words for what is wrong
 * tls_server.c  a listener's context: which certificate, which protocol
 * tls_client.c  an upstream's context: whom to believe
 * tls_io.c      connections: made, written to, ended, and why they failed
 */
#ifndef LARDER_NET_TLS_INTERNAL_H
#define LARDER_NET_TLS_INTERNAL_H

#include <larder/net/tls.h>

#include <openssl/ssl.h>
#include <sys/uio.h>

struct bufferevent;
struct event_base;

/* tls.c: a new reference to the present context. */
SSL_CTX *tls_ctx_ref(struct tls *t);

/* tls_files.c. All tell the report what is wrong, and return false then. */
void tls_tell(struct tls_report *r, bool is_warning, const struct tls_file *f, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool tls_use_pair(SSL_CTX *ctx, const struct tls_file *certificate, const struct tls_file *key,
                  struct tls_report *r);
bool tls_use_roots(SSL_CTX *ctx, const struct tls_file *ca, struct tls_report *r);

/* tls_server.c, tls_client.c: NULL after the report was told. */
SSL_CTX *tls_server_ctx_new(const struct tls_listen_config *c, struct tls_report *r);
SSL_CTX *tls_client_ctx_new(const struct tls_upstream_config *c, struct tls_report *r);
/* Old protocols and renegotiation off; the same on both sides. */
bool tls_ctx_set_rules(SSL_CTX *ctx, unsigned min_version);

/* Which of <count> certificates is for <name>: one that has the very name before one with a
 * wildcard, the earlier before the later; -1: none. */
int tls_choose(X509 *const *certificates, unsigned count, const char *name);

/* tls_io.c */

/* A bufferevent without a socket yet; the handshake begins when it gets one. NULL: no memory. */
struct bufferevent *tls_accept(struct tls *t, struct event_base *base);
/* <server_name> is asked for, and verified where the config says so. */
struct bufferevent *tls_connect(struct tls *t, struct event_base *base, const char *server_name);
/* What will be spoken is not HTTP: no protocol is offered (ALPN). Before it gets its socket. */
void tls_offer_no_protocol(struct bufferevent *bev);

/* Writes as much of <iov> as the socket takes and returns how much; -1: the connection is broken.
 * *ret_stuck bytes behind these are a record that waits within OpenSSL: exactly they must be the
 * beginning of what is written next, in one piece. */
ssize_t tls_writev(SSL *ssl, const struct iovec *iov, int count, size_t *ret_stuck);
/* Tells the peer that nothing more comes (close_notify), where the handshake was finished. */
void tls_say_end(SSL *ssl);
/* Nothing has come on an idle connection but what TLS needs for itself. */
bool tls_is_quiet(SSL *ssl);

enum tls_fault {
    TLS_FAULT_IO,          /* the connection ended or failed below TLS */
    TLS_FAULT_CERTIFICATE, /* the peer's certificate was refused */
    TLS_FAULT_ALERT,       /* the peer sent an alert */
    TLS_FAULT_PROTOCOL,
    TLS_FAULT_PLAIN_HTTP, /* a client spoke HTTP without TLS */
};
struct tls_failure {
    enum tls_fault fault;
    char words[256];
};
/* Why the connection of <bev> has failed; asks the bufferevent for its errors, once. */
void tls_failure_read(struct bufferevent *bev, struct tls_failure *ret);

#endif
