/* The certificates and keys of all listeners and upstreams. */
#include "tls_main.h"

#include <larder/base/log.h>
#include <larder/net/tls.h>

#include <stdio.h>

static void on_print(struct tls_report *r, bool is_warning, const struct err *e)
{
    (void)r;
    fprintf(stderr, "%s: %s%s\n", e->where, is_warning ? "warning: " : "", e->what);
}

static void on_log(struct tls_report *r, bool is_warning, const struct err *e)
{
    (void)r;
    if (is_warning)
        log_warn("%s: %s", e->where, e->what);
    else
        log_error("%s: %s", e->where, e->what);
}

static bool test_listener(const struct tls_listen_config *c, struct tls_report *r)
{
    struct tls *t = NULL;
    if (!c || tls_server_new(c, r, &t) == ERR_OK) {
        tls_free(t);
        return true;
    }
    return false;
}

static bool test_upstream(const struct tls_upstream_config *c, struct tls_report *r)
{
    struct tls *t = NULL;
    if (!c || tls_client_new(c, r, &t) == ERR_OK) {
        tls_free(t);
        return true;
    }
    return false;
}

bool tls_main_test(const struct config *c)
{
    struct tls_report r = {.on_found = on_print};
    bool is_good = true;
    for (unsigned i = 0; i < c->listen_count; i++)
        is_good &= test_listener(c->listen[i].tls, &r);
    if (c->control.enabled)
        is_good &= test_listener(c->control.listen.tls, &r);
    for (unsigned i = 0; i < c->upstream_count; i++)
        is_good &= test_upstream(c->upstreams[i].tls, &r);
    if (c->redis)
        is_good &= test_upstream(c->redis->tls, &r);
    return is_good;
}

/* The first error is for the caller, who tells it; those behind it go to the log. */
struct open_report {
    struct tls_report report;
    struct err *err;
    bool has_error;
};

static void on_open(struct tls_report *r, bool is_warning, const struct err *e)
{
    struct open_report *o = container_of(r, struct open_report, report);
    if (is_warning || o->has_error) {
        on_log(r, is_warning, e);
        return;
    }
    *o->err = *e;
    o->has_error = true;
}

enum err_code tls_main_open(struct shared *s, struct err *err)
{
    const struct config *c = s->config;
    struct open_report o = {.report.on_found = on_open, .err = err};
    enum err_code rc = ERR_OK;
    for (unsigned i = 0; !rc && i < c->listen_count; i++)
        if (c->listen[i].tls)
            rc = tls_server_new(c->listen[i].tls, &o.report, &s->listen_tls[i]);
    if (!rc && c->control.enabled && c->control.listen.tls)
        rc = tls_server_new(c->control.listen.tls, &o.report, &s->control_tls);
    return rc;
}

enum err_code tls_main_open_tier(struct shared *s, struct loop *main_loop, struct err *err)
{
    struct open_report o = {.report.on_found = on_open, .err = err};
    return tier_new(s->config, s->store, main_loop, &o.report, &s->tier, err);
}

static void reload(struct tls *t, struct tls_report *r, const char *what, unsigned *good,
                   unsigned *bad)
{
    if (!t)
        return;
    if (tls_reload(t, r) == ERR_OK) {
        ++*good;
        return;
    }
    ++*bad;
    log_error("SIGHUP: %s goes on with the certificates and keys that it had", what);
}

void tls_main_reload(struct shared *s)
{
    struct tls_report r = {.on_found = on_log};
    unsigned good = 0, bad = 0;
    char what[300];
    for (unsigned i = 0; i < s->config->listen_count; i++) {
        const struct address *a = &s->config->listen[i].address;
        snprintf(what, sizeof(what), "listener %s:%u", a->host, a->port);
        reload(s->listen_tls[i], &r, what, &good, &bad);
    }
    reload(s->control_tls, &r, "the control listener", &good, &bad);
    for (unsigned i = 0; i < s->config->upstream_count; i++) {
        snprintf(what, sizeof(what), "upstream " SPAN_FMT, SPAN_ARG(s->config->upstreams[i].name));
        reload(upstream_tls(s->upstreams[i]), &r, what, &good, &bad);
    }
    if (s->tier && s->config->redis->tls) {
        bool is_good = redis_reload(tier_redis(s->tier), &r) == ERR_OK;
        good += is_good;
        bad += !is_good;
        if (!is_good)
            log_error("SIGHUP: redis goes on with the certificates and keys that it had");
    }
    if (good + bad == 0)
        log_info("SIGHUP: no listener and no upstream has TLS, so nothing is read anew; a changed "
                 "configuration needs a restart");
    else if (bad == 0)
        log_info("SIGHUP: certificates and keys were read anew, for %u listener%s or upstream%s",
                 good, good == 1 ? "" : "s", good == 1 ? "" : "s");
}

void tls_main_close(struct shared *s)
{
    for (unsigned i = 0; i < CONFIG_LISTEN_MAX; i++)
        tls_free(take(s->listen_tls[i]));
    tls_free(take(s->control_tls));
}
