/* tls.h: what TLS needs of files: a listener's certificates, what an upstream is verified by.
 *
 * A struct tls holds the context that new connections take. Reading the files anew replaces it;
 * connections that are open keep the one they began with.
 * Thread   tls_server_new, tls_client_new, tls_reload, tls_free: main; connections take the present
 *          context in any thread
 * Memory   tls_free() frees; the config must outlive it. Open connections hold their own references
 * Source   RFC 8446 and 5246 (TLS 1.3, 1.2), 6066 section 3 (SNI), 7301 (ALPN), 6125 (names), 5077
 */
#ifndef LARDER_NET_TLS_H
#define LARDER_NET_TLS_H

#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/config/config.h>

struct tls;

/* Who is told what is wrong with a file, once for each fault: <e> has its place in the config, the
 * file and the fault in words. A warning (a certificate that has expired) stops nothing. */
struct tls_report {
    void (*on_found)(struct tls_report *r, bool is_warning, const struct err *e);
};

/* Reads the files of a listener, or of an upstream. On ERR_CONFIG and ERR_NOMEM the report has been
 * told, and *ret is untouched. */
must_check enum err_code tls_server_new(const struct tls_listen_config *config,
                                        struct tls_report *report, struct tls **ret);
must_check enum err_code tls_client_new(const struct tls_upstream_config *config,
                                        struct tls_report *report, struct tls **ret);
/* Reads the files anew. Where one cannot be used the report has been told, and all stays as it is.
 * Session tickets given out before are not taken any more: their clients shake hands in full. */
must_check enum err_code tls_reload(struct tls *t, struct tls_report *report);
void tls_free(struct tls *t); /* NULL is fine */

#endif
