/* Which certificate is for a name; and writing past libevent's queue, record by record. */
#include "../unit-test.h"

#include "../../../proxy/net/tls-internal.h"

#include <fcntl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static X509 *certificate_for(const char *names, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_NAME *subject = X509_get_subject_name(x);
    assert_non_null(e);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const void *)"subject.test", -1, -1,
                               0);
    X509_set_issuer_name(x, subject);
    X509_set_version(x, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

static void the_certificate_that_has_the_name_is_chosen(void **state)
{
    static const char *const names[] = {"DNS:*.a.test", "DNS:b.test,DNS:x.a.test", "DNS:y.a.test",
                                        "DNS:y.a.test", "DNS:w*.c.test,IP:127.0.0.1"};
    static const struct {
        const char *asked;
        int chosen;
    } cases[] = {
        {"b.test", 1},     {"B.TEST", 1},        {"x.a.test", 1}, /* the very name before a wildcard
                                                                   */
        {"z.a.test", 0},   {"y.a.test", 2},                       /* the earlier before the later */
        {"a.test", -1},    {"z.z.a.test", -1}, /* RFC 6125 section 6.4.3: one label, the whole one
                                                */
        {"ww.c.test", -1}, {"subject.test", -1}, {"127.0.0.1", -1}, {"", -1},
    };
    X509 *certificates[array_len(names)];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    (void)state;
    for (size_t i = 0; i < array_len(names); i++)
        certificates[i] = certificate_for(names[i], key);
    for (size_t i = 0; i < array_len(cases); i++) {
        int chosen = tls_choose(certificates, array_len(names), cases[i].asked);
        if (chosen != cases[i].chosen)
            fail_msg("%s: %d", cases[i].asked, chosen);
    }
    for (size_t i = 0; i < array_len(names); i++)
        X509_free(certificates[i]);
    EVP_PKEY_free(key);
}

/* Both ends of a connection in one thread; its sockets hold little. */
struct ends {
    SSL *server, *client;
    int fds[2];
};

static void connect_ends(struct ends *e, int version)
{
    int small = 8192;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = certificate_for("DNS:a.test", key);
    SSL_CTX *s = SSL_CTX_new(TLS_server_method()), *c = SSL_CTX_new(TLS_client_method());
    assert_true(tls_ctx_set_rules(s, TLS_1_2) && tls_ctx_set_rules(c, TLS_1_2));
    SSL_CTX_set_max_proto_version(s, version);
    assert_int_equal(SSL_CTX_use_certificate(s, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(s, key), 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, e->fds), 0);
    setsockopt(e->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    e->server = SSL_new(s);
    e->client = SSL_new(c);
    SSL_set_fd(e->server, e->fds[0]);
    SSL_set_fd(e->client, e->fds[1]);
    SSL_set_accept_state(e->server);
    SSL_set_connect_state(e->client);
    while (!SSL_is_init_finished(e->server) || !SSL_is_init_finished(e->client)) {
        (void)SSL_do_handshake(e->client);
        (void)SSL_do_handshake(e->server);
    }
    SSL_CTX_free(s);
    SSL_CTX_free(c);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void disconnect_ends(struct ends *e)
{
    SSL_free(e->server);
    SSL_free(e->client);
    close(e->fds[0]);
    close(e->fds[1]);
}

static size_t read_some(struct ends *e, char *into, size_t room)
{
    int n = SSL_read(e->client, into, (int)room);
    return n > 0 ? (size_t)n : 0;
}

/* Writes <iov> as the gate does: what is stuck goes first, in one piece, then all else. */
static size_t write_as_the_gate(struct ends *e, const struct iovec *iov, int count,
                                const char *whole, size_t total, char *got)
{
    size_t stuck, has = 0;
    ssize_t n = tls_writev(e->server, iov, count, &stuck);
    assert_true(n >= 0);
    size_t sent = (size_t)n;
    while (has < total) {
        size_t more = read_some(e, got + has, total - has);
        has += more;
        if (sent == total)
            continue;
        struct iovec rest = {(void *)(whole + sent), stuck ? stuck : total - sent};
        n = tls_writev(e->server, &rest, 1, &stuck);
        assert_true(n >= 0);
        sent += (size_t)n;
    }
    return has;
}

static void pieces_of_every_size_arrive_in_order(void **state)
{
    static const size_t sizes[][4] = {{0, 0, 0, 1},           {300, 100, 0, 0},
                                      {300, 100, 16384, 0},   {300, 100, 15984, 1},
                                      {300, 100, 15985, 0},   {16384, 0, 16384, 5},
                                      {100000, 3, 200000, 7}, {1, 16383, 16385, 70000}};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    (void)state;
    for (size_t v = 0; v < array_len(versions) * array_len(sizes); v++) {
        const size_t *size = sizes[v / 2];
        size_t total = size[0] + size[1] + size[2] + size[3], at = 0;
        char *whole = malloc(total), *got = malloc(total);
        struct iovec iov[4];
        struct ends e;
        for (size_t i = 0; i < total; i++)
            whole[i] = (char)(i * 31 + i / 251);
        for (int i = 0; i < 4; at += size[i++])
            iov[i] = (struct iovec){whole + at, size[i]};
        connect_ends(&e, versions[v % 2]);
        assert_int_equal(write_as_the_gate(&e, iov, 4, whole, total, got), total);
        assert_memory_equal(whole, got, total);
        disconnect_ends(&e);
        free(whole);
        free(got);
    }
}

static void an_idle_connection_is_quiet_until_the_peer_speaks_or_ends(void **state)
{
    struct ends e;
    (void)state;
    connect_ends(&e, TLS1_3_VERSION); /* whose server has sent tickets by now */
    assert_true(tls_is_quiet(e.client));
    tls_say_end(e.server);
    assert_false(tls_is_quiet(e.client));
    assert_int_equal(SSL_get_shutdown(e.client), SSL_RECEIVED_SHUTDOWN);
    disconnect_ends(&e);
    connect_ends(&e, TLS1_3_VERSION);
    assert_int_equal(SSL_write(e.server, "x", 1), 1);
    assert_false(tls_is_quiet(e.client));
    disconnect_ends(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_certificate_that_has_the_name_is_chosen),
        cmocka_unit_test(pieces_of_every_size_arrive_in_order),
        cmocka_unit_test(an_idle_connection_is_quiet_until_the_peer_speaks_or_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
