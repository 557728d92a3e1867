/* Certificates and keys out of PEM files. Each file is read once and as a whole, so that what was
 * checked is what is used, and each fault is told in words with the place that names the file. */
#include "tls-internal.h"

#include <larder/base/file.h>

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PEM_FILE_MAX = 4 << 20 }; /* the system's roots have a quarter of it */

void tls_tell(struct tls_report *r, bool is_warning, const struct tls_file *f, const char *fmt, ...)
{
    struct err e = {.code = is_warning ? ERR_OK : ERR_CONFIG};
    char why[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    snprintf(e.where, sizeof(e.where), SPAN_FMT, SPAN_ARG(f->where));
    snprintf(e.what, sizeof(e.what), "\"" SPAN_FMT "\" %s", SPAN_ARG(f->path), why);
    r->on_found(r, is_warning, &e);
}

/* The first of OpenSSL's errors in its own words; forgets them all. */
static const char *openssl_words(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return words ? words : "it cannot be used";
}

/* The file as a BIO over <text>, which the caller wipes. NULL: told. */
static BIO *open_pem(const struct tls_file *f, struct buf *text, struct tls_report *r)
{
    buf_init(text, PEM_FILE_MAX);
    enum err_code rc = file_read(f->path.p, FILE_REGULAR, text);
    if (rc == ERR_TOO_LARGE)
        tls_tell(r, false, f, "has over %d bytes; that is no PEM file", PEM_FILE_MAX);
    else if (rc)
        tls_tell(r, false, f, "cannot be read: %s",
                 rc == ERR_NOMEM   ? err_name(rc)
                 : errno == EINVAL ? "it is no regular file"
                                   : strerror(errno));
    if (rc)
        return NULL;
    ERR_clear_error();
    BIO *bio = text->len ? BIO_new_mem_buf(text->p, (int)text->len) : BIO_new(BIO_s_mem());
    if (!bio)
        tls_tell(r, false, f, "cannot be read: %s", err_name(ERR_NOMEM));
    return bio;
}

static void close_pem(BIO *bio, struct buf *text)
{
    BIO_free(bio);
    if (text->p)
        OPENSSL_cleanse(text->p, text->len);
    buf_fini(text);
}

static bool holds(const struct buf *text, const char *what)
{
    return text->len && memmem(text->p, text->len, what, strlen(what));
}

static bool is_end_of_pem(void)
{
    unsigned long e = ERR_peek_last_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static void format_time(const ASN1_TIME *t, char *into, size_t room)
{
    struct tm tm;
    if (!ASN1_TIME_to_tm(t, &tm) || strftime(into, room, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        snprintf(into, room, "at an unreadable time");
}

static void check_time(const struct tls_file *f, const X509 *cert, struct tls_report *r)
{
    char when[40];
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        format_time(X509_get0_notAfter(cert), when, sizeof(when));
        tls_tell(r, true, f, "has expired: %s; clients will refuse it, so renew it", when);
    } else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        format_time(X509_get0_notBefore(cert), when, sizeof(when));
        tls_tell(r, true, f, "is not valid yet: from %s", when);
    }
}

/* The certificate, and those that lead to its root. */
static bool use_certificates(SSL_CTX *ctx, const struct tls_file *f, BIO *bio,
                             const struct buf *text, struct tls_report *r)
{
    X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
    if (!cert) {
        if (holds(text, "PRIVATE KEY"))
            tls_tell(r, false, f, "holds a key and no certificate; are the two exchanged?");
        else
            tls_tell(r, false, f, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----): %s",
                     openssl_words());
        return false;
    }
    bool is_good = SSL_CTX_use_certificate(ctx, cert) == 1;
    if (is_good)
        check_time(f, cert, r);
    X509_free(cert);
    while (is_good && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        is_good = SSL_CTX_add0_chain_cert(ctx, cert) == 1;
        if (!is_good)
            X509_free(cert);
    }
    if (is_good && !is_end_of_pem())
        is_good = false;
    if (!is_good)
        tls_tell(r, false, f, "cannot be used: %s", openssl_words());
    ERR_clear_error();
    return is_good;
}

/* OpenSSL would ask the terminal for a password. */
static int no_password(char *block, int room, int is_writing, void *arg)
{
    (void)block;
    (void)room;
    (void)is_writing;
    *(bool *)arg = true;
    return -1;
}

static bool use_key(SSL_CTX *ctx, const struct tls_file *f, const struct tls_file *certificate,
                    BIO *bio, const struct buf *text, struct tls_report *r)
{
    bool is_encrypted = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &is_encrypted);
    if (!key) {
        if (is_encrypted)
            tls_tell(r, false, f,
                     "is encrypted, and nobody is there to give its password; decrypt "
                     "it with `openssl pkey`");
        else if (holds(text, "BEGIN CERTIFICATE") && !holds(text, "PRIVATE KEY"))
            tls_tell(r, false, f, "holds a certificate and no key; are the two exchanged?");
        else
            tls_tell(r, false, f, "holds no private key in PEM (-----BEGIN PRIVATE KEY-----): %s",
                     openssl_words());
        ERR_clear_error();
        return false;
    }
    bool fits = X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) == 1;
    if (!fits)
        tls_tell(r, false, f, "does not fit the certificate \"" SPAN_FMT "\": it is another's key",
                 SPAN_ARG(certificate->path));
    else if (SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        fits = false;
        tls_tell(r, false, f, "cannot be used: %s", openssl_words());
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return fits;
}

bool tls_use_pair(SSL_CTX *ctx, const struct tls_file *certificate, const struct tls_file *key,
                  struct tls_report *r)
{
    struct buf text;
    BIO *bio = open_pem(certificate, &text, r);
    bool has_certificate = bio && use_certificates(ctx, certificate, bio, &text, r);
    close_pem(bio, &text);
    bio = open_pem(key, &text, r); /* looked at in any case: all faults are told at once */
    bool is_good = has_certificate && bio && use_key(ctx, key, certificate, bio, &text, r);
    close_pem(bio, &text);
    return is_good;
}

bool tls_use_roots(SSL_CTX *ctx, const struct tls_file *ca, struct tls_report *r)
{
    struct buf text;
    unsigned count = 0;
    X509 *cert = NULL;
    BIO *bio = open_pem(ca, &text, r);
    bool is_good = bio != NULL;
    while (is_good && (cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
        is_good = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) == 1;
        if (is_good && count++ == 0)
            check_time(ca, cert, r);
        X509_free(cert);
    }
    bool is_whole = is_good && is_end_of_pem();
    if (bio && count == 0)
        tls_tell(r, false, ca, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----): %s",
                 openssl_words());
    else if (bio && !is_whole)
        tls_tell(r, false, ca, "cannot be used: %s", openssl_words());
    ERR_clear_error();
    close_pem(bio, &text);
    return is_whole && count > 0;
}
