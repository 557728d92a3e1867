/* A socket that never makes a person wait without end. It is non-blocking only so that each wait
 * is poll()'s, which knows deadlines; and ppoll() lets Ctrl-C in nowhere but there. */
#include "ctl-internal.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 5000, SEND_MS = 30000 };

static volatile sig_atomic_t interrupt_came;
static sigset_t wait_mask; /* in force while waiting */
static bool is_catching;

static void on_interrupt(int number)
{
    (void)number;
    interrupt_came = 1;
}

static void set_handler(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void interrupt_catch(void)
{
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    interrupt_came = 0;
    set_handler(on_interrupt);
    sigprocmask(SIG_BLOCK, &both, &wait_mask);
    is_catching = true;
}

void interrupt_release(void)
{
    if (!is_catching)
        return;
    is_catching = false;
    set_handler(SIG_DFL);
    sigprocmask(SIG_SETMASK, &wait_mask, NULL);
}

bool interrupt_has_come(void)
{
    return interrupt_came != 0;
}

/* As poll(2), with time left for what other signals take away not counted. */
static int wait_for(int fd, short events, int ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    int n;
    do
        n = ppoll(&p, fd >= 0 ? 1 : 0, &left, is_catching ? &wait_mask : NULL);
    while (n < 0 && errno == EINTR && !(is_catching && interrupt_came));
    return n;
}

void ctl_pause_ms(int ms)
{
    (void)wait_for(-1, 0, ms);
}

/* errno of the connection once it is made or refused. */
static int connect_to(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (connect(fd, addr, len) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    int n = wait_for(fd, POLLOUT, CONNECT_MS), error = 0;
    socklen_t size = sizeof(error);
    if (n <= 0)
        return n == 0 ? ETIMEDOUT : errno;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) ? errno : error;
}

static int open_socket(int family, const struct sockaddr *addr, socklen_t len, int *ret_fd)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = connect_to(fd, addr, len);
    if (error) {
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

static enum err_code open_path(const char *path, int *ret_fd, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return err_set(err, ERR_SYNTAX, "--socket", "the path has over %zu bytes",
                       sizeof(addr.sun_path) - 1);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    int error = open_socket(AF_UNIX, (struct sockaddr *)&addr, sizeof(addr), ret_fd);
    if (!error)
        return ERR_OK;
    return err_set(err, ERR_IO, "connect",
                   "cannot connect to %s: %s; is larder running, and is this its control socket?",
                   path, strerror(error));
}

enum err_code ctl_wire_open(const struct target *t, int *ret_fd, struct err *err)
{
    if (t->socket_path)
        return open_path(t->socket_path, ret_fd, err);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
    int rc = getaddrinfo(t->host, t->port, &hints, &all);
    if (rc)
        return err_set(err, ERR_IO, "connect",
                       "cannot find \"%s\": %s; write --url "
                       "http://HOST:PORT with the address of larder's control.listen",
                       t->host, gai_strerror(rc));
    int error = ECONNREFUSED;
    for (const struct addrinfo *a = all; a && error; a = a->ai_next)
        error = open_socket(a->ai_family, a->ai_addr, a->ai_addrlen, ret_fd);
    freeaddrinfo(all);
    if (!error)
        return ERR_OK;
    return err_set(err, ERR_IO, "connect",
                   "cannot connect to %s port %s: %s; is larder running? give the address of its "
                   "control.listen with --url or LARDER_URL",
                   t->host, t->port, strerror(error));
}

enum err_code ctl_wire_send(int fd, struct span bytes, struct err *err)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.p, bytes.len, MSG_NOSIGNAL);
        if (n >= 0) {
            bytes = span_of(bytes.p + n, bytes.len - (size_t)n);
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return err_set(err, ERR_IO, "send", "the connection broke: %s", strerror(errno));
        int ready = wait_for(fd, POLLOUT, SEND_MS);
        if (ready < 0)
            return err_set(err, ERR_CLOSED, "send", "interrupted");
        if (ready == 0)
            return err_set(err, ERR_TIMEOUT, "send", "larder takes no more of the request");
    }
    return ERR_OK;
}

enum err_code ctl_wire_receive(int fd, char *block, size_t cap, int idle_ms, size_t *ret_len,
                               struct err *err)
{
    for (;;) {
        int ready = wait_for(fd, POLLIN, idle_ms);
        if (ready < 0)
            return err_set(err, ERR_CLOSED, "receive", "interrupted");
        if (ready == 0)
            return err_set(err, ERR_TIMEOUT, "receive",
                           "no answer within %d s; what was asked may be done nevertheless",
                           idle_ms / 1000);
        ssize_t n = recv(fd, block, cap, 0);
        if (n >= 0) {
            *ret_len = (size_t)n;
            return ERR_OK;
        }
        if (errno != EINTR && errno != EAGAIN)
            return err_set(err, ERR_IO, "receive", "the connection broke: %s", strerror(errno));
    }
}
