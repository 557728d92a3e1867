/* One lock-free event base for each worker: only its thread touches it, letters come by mailbox.
 * Each listener is a socket of the loop's own (SO_REUSEPORT), bound to an evhttp of its own, so
 * that the kernel spreads connections and no thread hands any over. */
#include <larder/net/loop.h>

#include <larder/base/log.h>
#include <larder/base/wipe.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FRONTS_MAX = CONFIG_LISTEN_MAX + 2, SIGNALS_MAX = 4, BACKLOG = 1024, ACCEPT_PAUSE_MS = 100 };

struct front {
    struct evhttp *http;
    struct gates *gates;
    struct evconnlistener *listener; /* evhttp's; ours to pause */
    struct timer *accept_again;
};

struct loop {
    struct event_base *base;
    struct mailbox *mailbox;
    unsigned front_count;
    struct front fronts[FRONTS_MAX];
    unsigned signal_count;
    struct {
        struct event *event;
        void (*on_signal)(void *arg, int number);
        void *arg;
    } signals[SIGNALS_MAX];
};

struct timer {
    struct event *event;
    void (*on_fire)(void *arg);
    void *arg;
};

static _Thread_local struct loop *this_loop; /* evhttp takes the listener's own argument */

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof(*l));
    struct event_config *cfg = event_config_new();
    if (!l || !cfg)
        goto fail;
    event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
    l->base = event_base_new_with_config(cfg);
    if (!l->base)
        goto fail;
    l->mailbox = mailbox_new(l->base);
    if (!l->mailbox)
        goto fail;
    event_config_free(cfg);
    return l;
fail:
    if (cfg)
        event_config_free(cfg);
    loop_free(l);
    return NULL;
}

void loop_wipe_freed(void)
{
    event_set_mem_functions(NULL, NULL, wipe_free);
}

const char *loop_library_version(void)
{
    return event_get_version();
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < l->front_count; i++) {
        evhttp_free(l->fronts[i].http); /* closes its listener and its connections */
        gates_free(l->fronts[i].gates);
        timer_free(l->fronts[i].accept_again);
    }
    for (unsigned i = 0; i < l->signal_count; i++)
        event_free(l->signals[i].event);
    if (l->mailbox)
        mailbox_free(l->mailbox);
    if (l->base) {
        /* deferred callbacks hold references of bufferevents that were freed: let them go */
        event_base_loop(l->base, EVLOOP_NONBLOCK);
        event_base_free(l->base);
    }
    free(l);
}

struct event_base *loop_base(struct loop *l)
{
    return l->base;
}

struct mailbox *loop_mailbox(struct loop *l)
{
    return l->mailbox;
}

void loop_run(struct loop *l)
{
    this_loop = l;
    event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void loop_stop(struct loop *l)
{
    event_base_loopbreak(l->base);
}

/* EMFILE would make the listener spin: pause it, and try again a little later. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    for (unsigned i = 0; this_loop && i < this_loop->front_count; i++) {
        struct front *f = &this_loop->fronts[i];
        if (f->listener != listener)
            continue;
        log_warn("accept: %s; no new connection for %d ms", strerror(errno), ACCEPT_PAUSE_MS);
        evconnlistener_disable(listener);
        timer_start(f->accept_again, ACCEPT_PAUSE_MS);
    }
}

static void on_accept_again(void *arg)
{
    struct front *f = arg;
    evconnlistener_enable(f->listener);
}

/* Without a host, and where <is_v4> does not say otherwise, that is any address of IPv6, which
 * takes IPv4 as well. */
static enum err_code resolve_listen(const struct address *addr, bool is_v4, struct addrinfo **ret,
                                    struct err *err)
{
    char port[8];
    snprintf(port, sizeof(port), "%u", addr->port);
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    const char *any = is_v4 ? "0.0.0.0" : "::";
    int rc = getaddrinfo(addr->host[0] ? addr->host : any, port, &hints, ret);
    if (rc != 0)
        return err_set(err, ERR_IO, "listen",
                       "\"%s\" cannot be resolved: %s; write an address "
                       "such as \"127.0.0.1:8080\"",
                       addr->host, gai_strerror(rc));
    return ERR_OK;
}

/* A bound socket, or -1. "::" takes IPv4 as well, whatever the system's net.ipv6.bindv6only says: a
 * client that tries ::1 first for localhost shall not wait until it falls back. */
static int open_socket(const struct addrinfo *ai)
{
    int one = 1, zero = 0;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    bool is_good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0 &&
                   (ai->ai_family != AF_INET6 ||
                    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) == 0) &&
                   bind(fd, ai->ai_addr, ai->ai_addrlen) == 0;
    if (is_good)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* -1 after an error was told. Where the machine has no IPv6, any address is one of IPv4. */
static int open_listen(const struct address *addr, struct err *err)
{
    for (unsigned is_v4 = 0; is_v4 <= 1; is_v4++) {
        struct addrinfo *ai = NULL;
        if (resolve_listen(addr, is_v4 == 1, &ai, err) != ERR_OK)
            return -1;
        int fd = open_socket(ai);
        int saved = errno;
        freeaddrinfo(ai);
        errno = saved;
        if (fd >= 0)
            return fd;
        if (addr->host[0] || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
            break;
    }
    err_set(err, ERR_IO, "listen", "%s:%u cannot be listened on: %s", addr->host, addr->port,
            strerror(errno));
    return -1;
}

static uint16_t bound_port(evutil_socket_t fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof(ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
        return 0;
    if (ss.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
    return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

static struct evconnlistener *bind_listener(struct loop *l, struct address *addr, struct err *err)
{
    int fd = open_listen(addr, err);
    if (fd < 0)
        return NULL;
    struct evconnlistener *listener =
        evconnlistener_new(l->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE, BACKLOG, fd);
    if (!listener) {
        err_set(err, ERR_IO, "listen", "%s:%u cannot be listened on: %s", addr->host, addr->port,
                strerror(errno));
        close(fd);
        return NULL;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* accepted sockets inherit it */
    if (addr->port == 0)
        addr->port = bound_port(fd);
    return listener;
}

static enum err_code add_front(struct loop *l, struct evconnlistener *listener,
                               const struct config *config, struct tls *tls,
                               const struct gate_ops *ops, void *arg, bool is_control,
                               struct err *err)
{
    struct front *f = &l->fronts[l->front_count];
    f->http = evhttp_new(l->base);
    f->gates = f->http ? gates_new(l->base, f->http, config, tls, ops, arg, is_control) : NULL;
    f->accept_again = f->gates ? timer_new(l, on_accept_again, f) : NULL;
    if (!f->accept_again || !evhttp_bind_listener(f->http, listener)) {
        evconnlistener_free(listener);
        if (f->http)
            evhttp_free(f->http);
        gates_free(f->gates);
        timer_free(f->accept_again);
        *f = (struct front){0};
        return err_set(err, ERR_NOMEM, "listen", "out of memory");
    }
    f->listener = listener;
    evconnlistener_set_error_cb(listener, on_accept_error);
    l->front_count++;
    return ERR_OK;
}

enum err_code loop_listen(struct loop *l, struct address *addr, const struct config *config,
                          struct tls *tls, const struct gate_ops *ops, void *arg, bool is_control,
                          struct err *err)
{
    if (l->front_count == FRONTS_MAX)
        return err_set(err, ERR_TOO_LARGE, "listen", "more than %d listeners", FRONTS_MAX);
    struct evconnlistener *listener = bind_listener(l, addr, err);
    return listener ? add_front(l, listener, config, tls, ops, arg, is_control, err) : ERR_IO;
}

/* A socket left behind by a run that ended badly is in the way; one that answers is another's. */
static bool remove_leftover(const struct sockaddr_un *sa)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return errno == ENOENT;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_alive = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0;
    if (fd >= 0)
        close(fd);
    return !is_alive && unlink(sa->sun_path) == 0;
}

enum err_code loop_listen_socket(struct loop *l, const char *path, unsigned mode,
                                 const struct config *config, const struct gate_ops *ops, void *arg,
                                 struct err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (l->front_count == FRONTS_MAX || strlen(path) >= sizeof(sa.sun_path))
        return err_set(err, ERR_TOO_LARGE, path, "a socket's path has at most %zu bytes",
                       sizeof(sa.sun_path) - 1);
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
    if (!remove_leftover(&sa))
        return err_set(err, ERR_IO, path, "is there already, and no socket left behind");
    mode_t old = umask(0777); /* nobody gets in before its permissions are set */
    struct evconnlistener *listener =
        evconnlistener_new_bind(l->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
                                BACKLOG, (struct sockaddr *)&sa, sizeof(sa));
    int saved = errno;
    umask(old);
    if (!listener)
        return err_set(err, ERR_IO, path, "cannot be listened on: %s", strerror(saved));
    if (chmod(path, mode) != 0) {
        evconnlistener_free(listener);
        return err_set(err, ERR_IO, path, "its permissions cannot be set: %s", strerror(errno));
    }
    return add_front(l, listener, config, NULL, ops, arg, true, err);
}

void loop_drain(struct loop *l)
{
    for (unsigned i = 0; i < l->front_count; i++) {
        struct front *f = &l->fronts[i];
        timer_stop(f->accept_again);
        evconnlistener_disable(f->listener);
        gates_drain(f->gates);
    }
}

unsigned loop_connections(const struct loop *l)
{
    unsigned n = 0;
    for (unsigned i = 0; i < l->front_count; i++)
        n += gates_count(l->fronts[i].gates);
    return n;
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)what;
    struct loop *l = arg;
    for (unsigned i = 0; i < l->signal_count; i++) {
        if (event_get_signal(l->signals[i].event) == number)
            l->signals[i].on_signal(l->signals[i].arg, (int)number);
    }
}

enum err_code loop_catch_signal(struct loop *l, int number, void (*handler)(void *arg, int number),
                                void *arg)
{
    if (l->signal_count == SIGNALS_MAX)
        return ERR_TOO_LARGE;
    signal(number, SIG_IGN); /* what libevent restores when the loop is gone: no end half way */
    struct event *e = evsignal_new(l->base, number, on_signal, l);
    if (!e || event_add(e, NULL) != 0) {
        if (e)
            event_free(e);
        return ERR_NOMEM;
    }
    l->signals[l->signal_count].event = e;
    l->signals[l->signal_count].on_signal = handler;
    l->signals[l->signal_count++].arg = arg;
    return ERR_OK;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct timer *t = arg;
    t->on_fire(t->arg);
}

struct timer *timer_new(struct loop *l, void (*on_fire)(void *arg), void *arg)
{
    struct timer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->on_fire = on_fire;
    t->arg = arg;
    t->event = event_new(l->base, -1, 0, on_timer, t);
    if (!t->event) {
        free(t);
        return NULL;
    }
    return t;
}

void timer_start(struct timer *t, uint64_t ms)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(t->event, &tv);
}

void timer_stop(struct timer *t)
{
    if (t)
        event_del(t->event);
}

void timer_free(struct timer *t)
{
    if (!t)
        return;
    event_free(t->event);
    free(t);
}
