/* larder: reads its arguments, builds the parts, runs them, takes them down. */
#include "explain_main.h"
#include "tls_main.h"

#include <larder/base/hash.h>
#include <larder/control/control.h>
#include <larder/ctl/ctl.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXPIRE_EVERY_MS = 1000, EXPIRE_AT_ONCE = 100000, SWEEP_EVERY_MS = 200, SWEEP_AGAIN_MS = 2 };

struct daemon {
    struct config *config;
    struct shared shared;
    struct control *control;
    struct loop *loop; /* the main thread's */
    struct timer *expire, *sweep;
    struct address addresses[CONFIG_LISTEN_MAX];
    bool is_draining;
    unsigned ended; /* workers whose loop is over */
};

static void print_usage(FILE *out)
{
    fputs(
        "larder: a reverse caching proxy for the apps you already have\n\n"
        "  larder -c FILE      run with this configuration\n"
        "  larder -c FILE -p NAME    ... under one of its \"$profiles\" (--profile); also with -t\n"
        "                      and --explain; default: what its \"$profile\" says\n"
        "  larder -t -c FILE   test it, and print the routes as understood\n"
        "  larder -c FILE --explain METHOD URL [-H 'Name: value']... [-d BODY]\n"
        "                      what it would do with a request, and why\n"
        "  larder ctl ...      steer a running larder; larder ctl -h says how\n"
        "  larder -V           print the version\n"
        "  larder -h           print this\n\n"
        "SIGTERM and SIGINT finish what is in flight, then stop; SIGUSR1 reopens the log files;\n"
        "SIGHUP reads certificates and keys anew.\n"
        "The README shows a first run; conf/larder.example.json has every member.\n",
        out);
}

static struct config *load(const char *path, const char *profile)
{
    struct err errs[CONFIG_ERRORS_MAX];
    unsigned count = 0;
    struct config *c = NULL;
    if (config_load(path, profile, &c, errs, CONFIG_ERRORS_MAX, &count) == ERR_OK)
        return c;
    for (unsigned i = 0; i < count; i++)
        fprintf(stderr, "%s: %s\n", errs[i].where, errs[i].what);
    return NULL;
}

static int test_config(const char *path, const char *profile)
{
    cleanup(config_freep) struct config *c = load(path, profile);
    if (!c || !tls_main_test(c))
        return 1;
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 1 << 20);
    config_explain(c, &out);
    if (out.failed) {
        fprintf(stderr, "%s: is right, but there is no memory to print it\n", path);
        return 1;
    }
    return fwrite(out.p, 1, out.len, stdout) == out.len && fflush(stdout) == 0 ? 0 : 1;
}

static void drain(struct daemon *d, const char *signal_name)
{
    if (d->is_draining) {
        log_info("%s again: draining already", signal_name);
        return;
    }
    d->is_draining = true;
    log_info("%s: no new connections; requests in flight have %llu ms to finish", signal_name,
             (unsigned long long)d->config->drain_timeout_ms);
    control_drain(d->control);
    for (unsigned i = 0; i < d->shared.worker_count; i++)
        worker_drain(d->shared.workers[i], d->config->drain_timeout_ms);
}

static void on_left(void *arg)
{
    struct daemon *d = arg;
    loop_stop(d->loop);
}

/* The main loop, and with it /health/ready, goes on until the last worker has drained, and other
 * instances know that this one leaves. */
static void on_worker_ended(void *arg)
{
    struct daemon *d = arg;
    if (++d->ended < d->shared.worker_count)
        return;
    if (d->shared.tier)
        tier_leave(d->shared.tier, on_left, d);
    else
        loop_stop(d->loop);
}

static void on_signal(void *arg, int number)
{
    struct daemon *d = arg;
    if (number == SIGUSR1)
        log_reopen();
    else if (number == SIGHUP)
        tls_main_reload(&d->shared);
    else
        drain(arg, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void on_expire(void *arg)
{
    struct daemon *d = arg;
    store_expire(d->shared.store, mono_now_ms(), EXPIRE_AT_ONCE);
    control_tick(d->control);
    timer_start(d->expire, EXPIRE_EVERY_MS);
}

/* A large invalidation's leavings are cleared a little at a time. */
static void on_sweep(void *arg)
{
    struct daemon *d = arg;
    bool has_more = store_sweep(d->shared.store, mono_now_ms());
    timer_start(d->sweep, has_more ? SWEEP_AGAIN_MS : SWEEP_EVERY_MS);
}

static struct store *make_store(const struct config *c)
{
    struct store_limits *limits = calloc(c->route_count, sizeof(*limits));
    if (!limits)
        return NULL;
    for (unsigned i = 0; i < c->route_count; i++) {
        limits[i].max_bytes = c->routes[i].max_bytes;
        limits[i].max_entries = c->routes[i].max_entries;
    }
    struct store_config sc = {
        .all = {.max_bytes = c->cache.max_bytes, .max_entries = c->cache.max_entries},
        .route_count = c->route_count,
        .route = limits,
        .max_object_bytes = c->cache.max_object_bytes + 256 * 1024, /* heads come on top */
        .waiters_max = c->cache.waiters_max,
        .variants_max = c->cache.variants_max,
        .max_lag_ms = c->redis ? c->redis->max_invalidation_lag_ms : 0};
    struct store *s = store_new(&sc);
    free(limits);
    return s;
}

static enum err_code make_shared(struct daemon *d, struct err *err)
{
    struct config *c = d->config;
    struct shared *s = &d->shared;
    s->config = c;
    s->started_mono_ms = mono_now_ms();
    s->started_unix_ms = unix_now_ms();
    s->store = make_store(c);
    s->upstreams = calloc(c->upstream_count, sizeof(struct upstream *));
    s->workers = calloc(c->workers, sizeof(struct worker *));
    if (!s->store || !s->upstreams || !s->workers)
        return err_set(err, ERR_NOMEM, "start", "out of memory");
    for (unsigned i = 0; i < c->upstream_count; i++) {
        enum err_code rc = upstream_new(&c->upstreams[i], &s->upstreams[i], err);
        if (rc)
            return rc;
    }
    enum err_code rc = tls_main_open(s, err);
    return rc ? rc : shared_init(s, err);
}

/* A core would hold everybody's answers. 1 and not 0: a limit of 0 keeps cores from files, but not
 * from a program that takes them (core(5)). */
static void forbid_cores(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max < 1 ? limit.rlim_max : 1;
    if (setrlimit(RLIMIT_CORE, &limit))
        log_warn("cores cannot be forbidden: %s; a crash may leave one", strerror(errno));
}

/* Credentials that a route knows of are to leave no trace; elsewhere time is worth more. */
static bool has_secrets(const struct config *c)
{
    for (unsigned i = 0; i < c->route_count; i++) {
        const struct route *r = &c->routes[i];
        for (unsigned n = 0; n < r->param_count + r->identity_count; n++)
            if (r->params[n].secret || n >= r->param_count)
                return true;
    }
    return false;
}

static enum err_code make_main_loop(struct daemon *d, struct err *err)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
    d->loop = loop_new();
    for (unsigned i = 0; d->loop && i < array_len(signals); i++) {
        if (loop_catch_signal(d->loop, signals[i], on_signal, d))
            return err_set(err, ERR_NOMEM, "start", "out of memory");
    }
    if (d->loop) {
        d->expire = timer_new(d->loop, on_expire, d);
        d->sweep = timer_new(d->loop, on_sweep, d);
        d->control = control_new(&d->shared, d->loop);
    }
    if (!d->control || !d->expire || !d->sweep)
        return err_set(err, ERR_NOMEM, "start", "out of memory");
    timer_start(d->expire, EXPIRE_EVERY_MS);
    timer_start(d->sweep, SWEEP_EVERY_MS);
    d->shared.main = loop_mailbox(d->loop);
    d->shared.on_worker_ended = on_worker_ended;
    d->shared.on_worker_ended_arg = d;
    d->shared.control = d->control;
    if (d->config->control.mount || d->config->alias_count) {
        d->shared.is_control = control_takes;
        d->shared.on_control = control_on_request;
    }
    return ERR_OK;
}

static enum err_code make_workers(struct daemon *d, struct err *err)
{
    struct shared *s = &d->shared;
    for (unsigned i = 0; i < d->config->listen_count; i++)
        d->addresses[i] = d->config->listen[i].address;
    for (unsigned i = 0; i < d->config->workers; i++) {
        struct worker *w = worker_new(i, s);
        if (!w)
            return err_set(err, ERR_NOMEM, "start", "out of memory");
        s->workers[s->worker_count++] = w;
        enum err_code rc = worker_listen(w, d->addresses, err);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

static enum err_code start(struct daemon *d, struct err *err)
{
    struct config *c = d->config;
    if (!c->core_dumps)
        forbid_cores();
    if (has_secrets(c))
        loop_wipe_freed();
    enum err_code rc = make_shared(d, err);
    if (!rc)
        rc = make_main_loop(d, err);
    if (!rc)
        rc = tls_main_open_tier(&d->shared, d->loop, err);
    if (!rc)
        rc = make_workers(d, err);
    if (!rc && d->shared.tier && tier_start(d->shared.tier))
        rc = err_set(err, ERR_NOMEM, "start", "out of memory");
    if (!rc && c->control.enabled)
        rc = control_listen(d->control, &c->control.listen.address, err);
    if (!rc && c->control.socket.len)
        rc = control_listen_socket(d->control, err);
    if (!rc)
        rc = control_set_front(d->control, &d->addresses[0], c->listen[0].tls != NULL, err);
    for (unsigned i = 0; !rc && i < d->shared.worker_count; i++) {
        rc = worker_start(d->shared.workers[i]);
        if (rc)
            err_set(err, rc, "start", "a worker thread cannot be started");
    }
    return rc;
}

static void add_address(const struct address *a, struct buf *out)
{
    char text[sizeof(*a) + 8];
    address_format(a, text, sizeof(text));
    buf_add_str(out, text);
}

static void say_ready(struct daemon *d)
{
    struct buf out;
    char block[1024];
    buf_init_fixed(&out, block, sizeof(block) - 1);
    buf_add_str(&out, "ready: public ");
    for (unsigned i = 0; i < d->config->listen_count; i++) {
        if (i)
            buf_add_str(&out, ", ");
        add_address(&d->addresses[i], &out);
        buf_add_str(&out, d->config->listen[i].tls ? " (TLS)" : "");
    }
    if (d->config->control.enabled) {
        buf_add_str(&out, ", control ");
        add_address(&d->config->control.listen.address, &out);
        buf_add_str(&out, d->config->control.listen.tls ? " (TLS)" : "");
    }
    log_info("%.*s", (int)out.len, out.p);
    if (d->config->profile.len)
        log_info("profile \"" SPAN_FMT "\"", SPAN_ARG(d->config->profile));
    if (d->config->secret_is_random)
        log_info("no \"secret\" is configured: secret parameters are hashed under a random one, "
                 "which a restart forgets");
}

/* The order matters: no thread runs any more when fetches end, and every mailbox is there still. */
static void stop(struct daemon *d)
{
    struct shared *s = &d->shared;
    for (unsigned i = 0; i < s->worker_count; i++)
        worker_join(s->workers[i]);
    if (s->main)
        mailbox_deliver(s->main); /* their last letters are parts of them */
    if (s->tier) {
        tier_stop(s->tier);
        mailbox_deliver(s->main); /* calls that waited answer to their workers' mailboxes */
    }
    if (d->control)
        control_stop(d->control);
    for (unsigned i = 0; i < s->worker_count; i++)
        worker_stop_upstreams(s->workers[i]);
    for (unsigned i = 0; i < s->worker_count; i++)
        worker_free(s->workers[i]);
    timer_free(d->expire);
    timer_free(d->sweep);
    tier_free(s->tier);
    loop_free(d->loop);
    if (d->control)
        control_free(d->control);
    for (unsigned i = 0; s->upstreams && i < d->config->upstream_count; i++)
        upstream_free(s->upstreams[i]);
    tls_main_close(s);
    free(s->upstreams);
    free(s->workers);
    shared_fini(s);
    store_free(s->store);
}

/* Instances that share a cache know tags by the same hashes; others' are nobody's to foresee. */
static void seed_hashes(const struct config *c)
{
    uint8_t mac[32];
    uint64_t seed = 0;
    if (!c->redis) {
        random_bytes(&seed, sizeof(seed));
        hash_seed(seed);
        return;
    }
    hmac_of(c->secret, SPAN_LIT("larder tag hash"), mac);
    for (unsigned i = 0; i < sizeof(seed); i++)
        seed = seed << 8 | mac[i];
    hash_seed(seed);
}

static enum err_code start_log(const struct config *c, struct err *err)
{
    struct log_config log = {.level = c->log.level,
                             .streams = {[LOG_ERROR] = c->log.error.p,
                                         [LOG_ACCESS] = c->log.access.p,
                                         [LOG_PERFORMANCE] = c->log.performance.p,
                                         [LOG_SECURITY] = c->log.security.p}};
    memcpy(log.words, c->log.words, sizeof(log.words));
    return log_start(&log, err);
}

static int run(const char *path, const char *profile)
{
    struct daemon d = {.config = load(path, profile)};
    struct err err = {0};
    if (!d.config)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    seed_hashes(d.config);
    if (start_log(d.config, &err)) {
        fprintf(stderr, "%s: %s\n", err.where, err.what);
        config_free(d.config);
        return 1;
    }
    enum err_code rc = start(&d, &err);
    if (rc) {
        log_error("%s: %s", err.where, err.what);
        for (unsigned i = 0; i < d.shared.worker_count; i++)
            worker_drain(d.shared.workers[i], 0);
    } else {
        control_set_ready(d.control, true);
        say_ready(&d);
        loop_run(d.loop);
    }
    stop(&d);
    if (!rc)
        log_info("stopped");
    log_stop();
    config_free(d.config);
    return rc ? 1 : 0;
}

struct arguments {
    const char *path, *profile, *body;
    bool is_test, is_explain;
    struct buf fields;
};

static int explain(const struct arguments *a, char **rest, int count)
{
    if (count != 2) {
        print_usage(stderr);
        return 2;
    }
    cleanup(config_freep) struct config *c = load(a->path, a->profile);
    struct explain_arguments e = {
        .method = rest[0], .url = rest[1], .body = a->body, .fields = (struct buf *)&a->fields};
    return c ? explain_main(c, &e) : 1;
}

/* -1: go on; else the exit code. */
static int read_option(int opt, struct arguments *a)
{
    switch (opt) {
    case 'c':
        a->path = optarg;
        return -1;
    case 'p':
        a->profile = optarg;
        return -1;
    case 't':
        a->is_test = true;
        return -1;
    case 'e':
        a->is_explain = true;
        return -1;
    case 'd':
        a->body = optarg;
        return -1;
    case 'H':
        buf_add_str(&a->fields, optarg);
        buf_add_str(&a->fields, "\r\n");
        return -1;
    case 'V':
        printf("larder %s (libevent %s)\n", LARDER_VERSION, loop_library_version());
        return 0;
    case 'h':
        print_usage(stdout);
        return 0;
    default:
        print_usage(stderr);
        return 2;
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"explain", no_argument, NULL, 'e'}, {"profile", required_argument, NULL, 'p'}, {0}};
    struct arguments a = {0};
    int opt, code = -1;
    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return ctl_main(argc - 1, argv + 1);
    buf_init(&a.fields, 64 * 1024);
    while (code < 0 && (opt = getopt_long(argc, argv, "c:p:td:H:hV", options, NULL)) != -1)
        code = read_option(opt, &a);
    if (code < 0 && (!a.path || (optind < argc && !a.is_explain))) {
        print_usage(stderr);
        code = 2;
    }
    if (code < 0)
        code = a.is_explain ? explain(&a, argv + optind, argc - optind)
               : a.is_test  ? test_config(a.path, a.profile)
                            : run(a.path, a.profile);
    buf_fini(&a.fields);
    return code;
}
