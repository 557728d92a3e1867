/* TLS to a real server: whom the link believes, and what it shows of itself. */
#include "redis-test.h"

#include "../../../proxy/net/tls-internal.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static struct server server;
static char certificate_path[96], key_path[96], tls_port_text[12];
static unsigned tls_port;

/* A certificate for "redis.test" and 127.0.0.1 that signs itself, and its key, as files. */
static void make_pair(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_EXTENSION *e =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:redis.test,IP:127.0.0.1");
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const void *)"redis.test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_version(x, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *f = fopen(certificate_path, "w");
    assert_true(f && PEM_write_X509(f, x) == 1);
    fclose(f);
    f = fopen(key_path, "w");
    assert_true(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int start_server(void **state)
{
    (void)state;
    server_make_dir(&server);
    snprintf(certificate_path, sizeof(certificate_path), "%s/server.pem", server.dir);
    snprintf(key_path, sizeof(key_path), "%s/server.key", server.dir);
    make_pair();
    tls_port = free_port();
    snprintf(tls_port_text, sizeof(tls_port_text), "%u", tls_port);
    server_start(&server, (const char *const[]){"--tls-port", tls_port_text, "--tls-cert-file",
                                                certificate_path, "--tls-key-file", key_path,
                                                "--tls-ca-cert-file", certificate_path,
                                                "--tls-auth-clients", "no", NULL});
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    server_end(&server);
    return 0;
}

static struct tls_upstream_config believing_the_server(void)
{
    return (struct tls_upstream_config){.verify = true, .ca.path = span_str(certificate_path)};
}

static void start(struct trial *t, const char *host, unsigned port, struct tls_upstream_config *tls)
{
    trial_init(t, 0);
    t->config.tls = tls;
    if (port == server.port) /* that waits for more of what it does not understand */
        t->config.connect_timeout_ms = 200;
    t->config.server_count = 1;
    t->config.server[0].port = (uint16_t)port;
    snprintf(t->config.server[0].host, sizeof(t->config.server[0].host), "%s", host);
    trial_connect(t);
}

static void commands_go_through_tls(void **state)
{
    enum { LARGE = 600000 };
    static struct trial t;
    struct tls_upstream_config tls = believing_the_server();
    struct tls_report report = {trial_report};
    char *large = malloc(LARGE);
    (void)state;
    start(&t, "127.0.0.1", tls_port, &tls);
    WAIT_FOR(&t, t.ups == 1);
    memset(large, 'x', LARGE);
    struct span set[] = {SPAN_LIT("SET"), SPAN_LIT("large"), span_of(large, LARGE)};
    assert_true(send_spans(&t, 0, set, 3));
    for (unsigned i = 0; i < 100; i++)
        assert_true(send_line(&t, 0, "INCR counter"));
    assert_true(send_line(&t, 0, "GET large"));
    WAIT_FOR(&t, t.answer_count == 102);
    assert_int_equal(t.answers[100].integer, 100);
    assert_int_equal(t.answers[101].text_len, LARGE);
    assert_int_equal(redis_reload(t.redis, &report), ERR_OK);
    ask(server.port, "CLIENT KILL TYPE normal SKIPME yes");
    WAIT_FOR(&t, t.ups == 2);
    free(large);
    trial_end(&t);
}

static void a_server_is_believed_by_its_certificate(void **state)
{
    static struct trial t;
    const struct {
        const char *host, *server_name;
        unsigned port;
        bool verify, has_ca, gets_in;
    } cases[] = {
        {"127.0.0.1", "", tls_port, true, true, true},
        {"127.0.0.1", "redis.test", tls_port, true, true, true},
        {"127.0.0.1", "other.test", tls_port, true, true, false},
        {"localhost", "", tls_port, true, true, false}, /* it has no such name */
        {"localhost", "redis.test", tls_port, true, true, true},
        {"127.0.0.1", "", tls_port, true, false, false}, /* the system knows it not */
        {"127.0.0.1", "other.test", tls_port, false, false, true},
        {"127.0.0.1", "", server.port, true, true, false}, /* it does not speak TLS there */
    };
    (void)state;
    for (size_t i = 0; i < array_len(cases); i++) {
        struct tls_upstream_config tls = {.verify = cases[i].verify,
                                          .server_name = span_str(cases[i].server_name)};
        if (cases[i].has_ca)
            tls.ca.path = span_str(certificate_path);
        start(&t, cases[i].host, cases[i].port, &tls);
        const struct redis_figures *f = redis_figures(t.redis);
        WAIT_FOR(&t, cases[i].gets_in ? f->up == 1 : f->connect_failures >= 1);
        assert_int_equal(t.ups, cases[i].gets_in);
        trial_end(&t);
    }
}

static void a_server_may_want_a_certificate_of_ours(void **state)
{
    static struct trial t;
    struct tls_upstream_config tls = believing_the_server();
    (void)state;
    assert_string_equal(ask(server.port, "CONFIG SET tls-auth-clients yes"), "+OK\r\n");
    start(&t, "127.0.0.1", tls_port, &tls);
    WAIT_FOR(&t, redis_figures(t.redis)->connect_failures >= 1);
    assert_int_equal(t.ups, 0);
    trial_end(&t);
    tls.certificate.path = span_str(certificate_path);
    tls.key.path = span_str(key_path);
    start(&t, "127.0.0.1", tls_port, &tls);
    WAIT_FOR(&t, t.ups == 1);
    trial_end(&t);
    assert_string_equal(ask(server.port, "CONFIG SET tls-auth-clients no"), "+OK\r\n");
}

static void a_sentinel_is_asked_through_tls_too(void **state)
{
    static struct trial t;
    struct tls_upstream_config tls = believing_the_server();
    struct server sentinel = {0};
    char path[96];
    (void)state;
    server_make_dir(&sentinel);
    snprintf(path, sizeof(path), "%s/sentinel.conf", sentinel.dir);
    FILE *f = fopen(path, "w");
    sentinel.port = free_port();
    fprintf(f,
            "port 0\ntls-port %u\nbind 127.0.0.1\ndir %s\ntls-replication yes\n"
            "tls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-auth-clients no\n"
            "sentinel monitor school 127.0.0.1 %u 1\n",
            sentinel.port, sentinel.dir, certificate_path, key_path, certificate_path, tls_port);
    fclose(f);
    sentinel.pid = spawn((const char *const[]){"redis-sentinel", path, NULL});
    trial_init(&t, 0);
    t.config.tls = &tls;
    t.config.master = SPAN_LIT("school");
    t.config.sentinel_count = 1;
    t.config.sentinel[0] = (struct address){"127.0.0.1", (uint16_t)sentinel.port};
    trial_connect(&t);
    WAIT_FOR(&t, t.ups == 1);
    assert_true(trial_is_at(&t, tls_port));
    trial_end(&t);
    server_end(&sentinel);
}

static void files_that_cannot_be_used_are_told_at_the_start(void **state)
{
    struct tls_upstream_config tls = {.verify = true, .ca.path = SPAN_LIT("/no/such/file.pem")};
    struct redis_config config = {.tls = &tls};
    struct tls_report report = {trial_report};
    struct redis *r = NULL;
    struct err err;
    (void)state;
    assert_int_equal(redis_new(&config, &report, &r, &err), ERR_CONFIG);
    assert_int_equal(err.code, ERR_CONFIG);
    assert_null(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_go_through_tls),
        cmocka_unit_test(a_server_is_believed_by_its_certificate),
        cmocka_unit_test(a_server_may_want_a_certificate_of_ours),
        cmocka_unit_test(a_sentinel_is_asked_through_tls_too),
        cmocka_unit_test(files_that_cannot_be_used_are_told_at_the_start),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
