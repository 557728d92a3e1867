/* A name may take seconds to resolve, and the C library knows no way but to wait: a thread of its
 * own does, one for each try. It shares nothing with the loop but this object, which whoever leaves
 * it last frees, and wakes the loop through an eventfd. */
#include "redis-internal.h"

#include <event2/event.h>
#include <netdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct resolve {
    atomic_int holders; /* the loop and the thread */
    struct address address;
    int fd;
    struct event *wake; /* the loop's */
    resolve_on_found on_found;
    void *arg;
    atomic_bool is_done; /* then these two are the loop's */
    struct addrinfo *list;
    int error;
};

static int look_up(const struct address *a, int flags, struct addrinfo **ret)
{
    char port[8];
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    snprintf(port, sizeof(port), "%u", a->port);
    return getaddrinfo(a->host, port, &hints, ret);
}

static void let_go(struct resolve *r)
{
    if (atomic_fetch_sub(&r->holders, 1) > 1)
        return;
    if (r->list)
        freeaddrinfo(r->list);
    if (r->fd >= 0)
        close(r->fd);
    free(r);
}

static void *run(void *arg)
{
    struct resolve *r = arg;
    uint64_t one = 1;
    r->error = look_up(&r->address, 0, &r->list);
    atomic_store(&r->is_done, true);
    (void)!write(r->fd, &one, sizeof(one)); /* a counter of 0 takes it */
    let_go(r);
    return NULL;
}

void resolve_cancel(struct resolve *r)
{
    if (!r)
        return;
    event_free(r->wake);
    let_go(r);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct resolve *r = arg;
    if (!atomic_load(&r->is_done))
        return; /* cannot be: the thread says so before it wakes us */
    struct addrinfo *list = take(r->list);
    const char *why = list ? NULL : gai_strerror(r->error);
    resolve_on_found on_found = r->on_found;
    void *owner = r->arg;
    resolve_cancel(r);
    on_found(owner, list, why);
}

static bool start_thread(struct resolve *r)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    bool is_running = pthread_create(&thread, NULL, run, r) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_running)
        pthread_detach(thread);
    return is_running;
}

bool resolve_start(struct event_base *base, const struct address *a, resolve_on_found on_found,
                   void *arg, struct resolve **ret)
{
    struct addrinfo *list = NULL;
    *ret = NULL;
    if (look_up(a, AI_NUMERICHOST, &list) == 0) {
        on_found(arg, list, NULL);
        return true;
    }
    struct resolve *r = calloc(1, sizeof(*r));
    if (!r)
        return false;
    r->holders = 2;
    r->address = *a;
    r->on_found = on_found;
    r->arg = arg;
    r->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->wake = r->fd >= 0 ? event_new(base, r->fd, EV_READ, on_wake, r) : NULL;
    if (r->wake && event_add(r->wake, NULL) == 0 && start_thread(r)) {
        *ret = r;
        return true;
    }
    if (r->wake)
        event_free(r->wake);
    r->holders = 1;
    let_go(r);
    return false;
}
