/* The gate where its connection speaks TLS: the handshake, which evhttp hears nothing of, and what
 * is written past the bufferevent's queue. */
#include "gate-internal.h"

#include "tls-internal.h"

#include <errno.h>
#include <sys/socket.h>

static void tell(struct gate *g, bool is_resumed, const char *failure)
{
    if (g->gs->ops->on_handshake)
        g->gs->ops->on_handshake(g->gs->arg, g, is_resumed, failure);
}

/* Bytes that nobody will read: left in the socket, they would make its close a reset, which
 * destroys an answer on its way. */
static void swallow(struct gate *g)
{
    enum { TIMES = 16 };
    char block[4096];
    for (int i = 0; i < TIMES && recv(g->fd, block, sizeof(block), MSG_DONTWAIT) > 0; i++)
        ;
}

void gate_on_handshake(struct gate *g, short what)
{
    struct tls_failure f;
    if (what & BEV_EVENT_CONNECTED) {
        g->is_shaking = false;
        gate_return_callbacks(g);
        tell(g, SSL_session_reused(g->ssl) == 1, NULL);
        return;
    }
    tls_failure_read(g->bev, &f);
    tell(g, false, f.words);
    g->ssl = NULL; /* of no use any more; the bufferevent frees it */
    g->is_shaking = false;
    swallow(g);
    if (f.fault == TLS_FAULT_PLAIN_HTTP)
        gate_refuse(g, 400, "this port speaks TLS, and the request came without; write https://");
    else
        gate_close_now(g);
}

ssize_t gate_send(struct gate *g, const struct iovec *iov, int count, size_t *ret_stuck)
{
    *ret_stuck = 0;
    if (g->ssl)
        return tls_writev(g->ssl, iov, count, ret_stuck);
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    ssize_t n = sendmsg(g->fd, &msg, MSG_NOSIGNAL);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

void gate_say_end(struct gate *g)
{
    if (g->ssl && !g->is_shaking)
        tls_say_end(g->ssl);
}
