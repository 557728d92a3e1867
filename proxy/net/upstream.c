#include "upstream-internal.h"

#include <larder/base/log.h>
#include <larder/net/tls.h>

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    unsigned status;
} errors[UPSTREAM_ERROR_COUNT] = {
    [UPSTREAM_OK] = {"none", 200},
    [UPSTREAM_REFUSED] = {"connection_refused", 502},
    [UPSTREAM_CONNECT_TIMEOUT] = {"connection_timeout", 504},
    [UPSTREAM_QUEUE_FULL] = {"connection_limit_reached", 503},
    [UPSTREAM_QUEUE_TIMEOUT] = {"connection_limit_reached", 503},
    [UPSTREAM_TIMEOUT] = {"http_response_timeout", 504},
    [UPSTREAM_RESET] = {"connection_terminated", 502},
    [UPSTREAM_TRUNCATED] = {"http_response_incomplete", 502},
    [UPSTREAM_BAD_ANSWER] = {"http_protocol_error", 502},
    [UPSTREAM_TOO_LARGE] = {"http_response_header_section_size", 502},
    [UPSTREAM_STOPPED] = {"proxy_internal_response", 503},
    [UPSTREAM_TLS_CERTIFICATE] = {"tls_certificate_error", 502},
    [UPSTREAM_TLS_ALERT] = {"tls_alert_received", 502},
    [UPSTREAM_TLS_PROTOCOL] = {"tls_protocol_error", 502},
};

const char *upstream_error_name(enum upstream_error e)
{
    return errors[e].name;
}

unsigned upstream_error_status(enum upstream_error e)
{
    return errors[e].status;
}

static enum err_code resolve(struct upstream *u, const struct address *a, struct err *err)
{
    char port[8], where[64];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    snprintf(port, sizeof(port), "%u", a->port);
    int rc = getaddrinfo(a->host, port, &hints, &list);
    if (rc != 0) {
        snprintf(where, sizeof(where), "upstream %.*s", SPAN_ARG(u->config.name));
        return err_set(err, ERR_CONFIG, where, "\"%s\" cannot be resolved: %s", a->host,
                       gai_strerror(rc));
    }
    for (struct addrinfo *ai = list; ai && u->server_count < CONFIG_SERVERS_MAX; ai = ai->ai_next) {
        struct server *s = &u->servers[u->server_count++];
        memcpy(&s->addr, ai->ai_addr, ai->ai_addrlen);
        s->addr_len = ai->ai_addrlen;
        s->name = u->config.tls && u->config.tls->server_name.len ? u->config.tls->server_name.p
                                                                  : a->host;
    }
    freeaddrinfo(list);
    return ERR_OK;
}

struct first_error {
    struct tls_report report;
    struct err *err;
    bool is_told;
};

static void on_found(struct tls_report *r, bool is_warning, const struct err *e)
{
    struct first_error *f = container_of(r, struct first_error, report);
    if (is_warning || f->is_told || !f->err) {
        log_warn("%s: %s", e->where, e->what);
        return;
    }
    *f->err = *e;
    f->is_told = true;
}

enum err_code upstream_new(const struct upstream_config *config, struct upstream **ret,
                           struct err *err)
{
    struct upstream *u = calloc(1, sizeof(*u));
    if (!u)
        return err_set(err, ERR_NOMEM, "upstream", "out of memory");
    u->config = *config;
    struct first_error f = {.report.on_found = on_found, .err = err};
    enum err_code tls = config->tls ? tls_client_new(config->tls, &f.report, &u->tls) : ERR_OK;
    if (tls) {
        upstream_free(u);
        return tls;
    }
    for (unsigned i = 0; i < config->server_count; i++) {
        enum err_code rc = resolve(u, &u->config.server[i], err);
        if (rc) {
            upstream_free(u);
            return rc;
        }
    }
    *ret = u;
    return ERR_OK;
}

void upstream_free(struct upstream *u)
{
    if (u)
        tls_free(u->tls);
    free(u);
}

struct tls *upstream_tls(struct upstream *u)
{
    return u->tls;
}

static uint64_t present(const _Atomic int64_t *n)
{
    int64_t v = atomic_load(n);
    return v > 0 ? (uint64_t)v : 0;
}

void upstream_stats_read(const struct upstream *u, struct upstream_stats *ret)
{
    *ret = (struct upstream_stats){.active = present(&u->active),
                                   .idle = present(&u->idle),
                                   .waiting = present(&u->waiting),
                                   .requests = u->requests,
                                   .reused = u->reused,
                                   .connects = u->connects,
                                   .connect_failures = u->connect_failures,
                                   .retries = u->retries,
                                   .errors = u->errors,
                                   .max_connections =
                                       u->config.max_connections * u->server_count * u->pools};
}
