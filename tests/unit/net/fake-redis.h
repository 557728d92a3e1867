/* fake-redis.h: a Redis that says what a test tells it to, when it tells it to: in the loop of what
 * is tested, with two connections, of the log and of the commands. What a link asks to be greeted
 * is answered at once; so are heartbeats and the like. The rest is noted, and waits for the test.
 */
#ifndef LARDER_FAKE_REDIS_H
#define LARDER_FAKE_REDIS_H

#include "../unit-test.h"

#include <larder/base/buf.h>
#include <larder/base/monotime.h>
#include <larder/base/span.h>

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdarg.h>
#include <stdlib.h>

enum { FAKE_ARGS_MAX = 600, FAKE_PATIENCE_MS = 20000 };

/* What a connection waits for. */
enum fake_question { FAKE_NOTHING, FAKE_JOIN, FAKE_READ, FAKE_PUBLISH };

struct fake_peer {
    struct fake_redis *redis;
    struct bufferevent *bev;
    enum fake_question question;
    unsigned messages;   /* of a FAKE_PUBLISH */
    char generation[17]; /* that it was sent for */
};

struct fake_redis {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *tick; /* so that FAKE_WAIT looks now and then */
    unsigned port;
    struct fake_peer *log, *commands;
};

/* Turns the loop until <condition> holds; fails where it does not come true. */
#define FAKE_WAIT(r, condition)                                                                    \
    do {                                                                                           \
        for (mono_ms end_ = mono_now_ms() + FAKE_PATIENCE_MS;;) {                                  \
            if (condition)                                                                         \
                break;                                                                             \
            if (mono_now_ms() > end_)                                                              \
                fail_msg("line %d: never so: %s", __LINE__, #condition);                           \
            event_base_loop((r)->base, EVLOOP_ONCE);                                               \
        }                                                                                          \
    } while (0)

static inline void fake_say(struct fake_peer *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    evbuffer_add_vprintf(bufferevent_get_output(p->bev), fmt, ap);
    va_end(ap);
}

/* One command off <in>; its arguments stay good until the next. 0: it is not whole yet. */
static inline unsigned fake_take(struct evbuffer *in, struct span *args)
{
    static char block[1 << 20];
    size_t len = evbuffer_get_length(in);
    assert_true(len < sizeof(block));
    evbuffer_copyout(in, block, len);
    block[len] = '\0';
    char *at = block, *end = block + len;
    if (len == 0 || !memmem(at, len, "\r\n", 2))
        return 0;
    unsigned count = (unsigned)strtoul(at + 1, &at, 10);
    assert_true(count <= FAKE_ARGS_MAX);
    at += 2;
    for (unsigned i = 0; i < count; i++) {
        if (at >= end || !memmem(at, (size_t)(end - at), "\r\n", 2))
            return 0;
        size_t n = strtoul(at + 1, &at, 10);
        if ((size_t)(end - at) < n + 4)
            return 0;
        args[i] = span_of(at + 2, n);
        at += n + 4;
    }
    evbuffer_drain(in, (size_t)(at - block));
    return count;
}

/* Scripts are told by how many keys and arguments they have. */
static inline void fake_on_script(struct fake_peer *p, const struct span *args, unsigned count)
{
    char keys = args[2].p[0];
    if (keys == '5' && count == 11) {
        p->question = FAKE_JOIN;
        p->redis->log = p;
    } else if (keys == '5') {
        p->question = FAKE_PUBLISH;
        p->messages = (count - 12) / 3;
        memcpy(p->generation, args[8].p, 16);
    } else if (keys == '2') { /* an acknowledgement */
        fake_say(p, ":0\r\n");
    } else { /* a heartbeat, or farewell */
        p->redis->commands = p;
        fake_say(p, "*0\r\n");
    }
}

static inline void fake_on_command(struct fake_peer *p, const struct span *args, unsigned count)
{
    if (span_eq(args[0], SPAN_LIT("ROLE")))
        fake_say(p, "*1\r\n$6\r\nmaster\r\n");
    else if (span_eq(args[0], SPAN_LIT("EVALSHA")))
        fake_on_script(p, args, count);
    else if (span_eq(args[0], SPAN_LIT("XREAD")))
        p->question = FAKE_READ;
    else if (!span_eq(args[0], SPAN_LIT("HMGET")))
        fake_say(p, "+OK\r\n");
}

static inline void fake_on_read(struct bufferevent *bev, void *arg)
{
    struct span args[FAKE_ARGS_MAX];
    unsigned count;
    while ((count = fake_take(bufferevent_get_input(bev), args)) > 0)
        fake_on_command(arg, args, count);
}

static inline void fake_cut(struct fake_peer *p)
{
    if (!p)
        return;
    if (p->redis->log == p)
        p->redis->log = NULL;
    if (p->redis->commands == p)
        p->redis->commands = NULL;
    bufferevent_free(p->bev);
    free(p);
}

static inline void fake_on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    (void)what;
    fake_cut(arg);
}

static inline void fake_on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
                                  int len, void *arg)
{
    struct fake_peer *p = calloc(1, sizeof(*p));
    (void)l;
    (void)sa;
    (void)len;
    assert_non_null(p);
    p->redis = arg;
    p->bev = bufferevent_socket_new(p->redis->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(p->bev, fake_on_read, NULL, fake_on_event, p);
    bufferevent_enable(p->bev, EV_READ | EV_WRITE);
}

static inline void fake_on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static inline void fake_start(struct fake_redis *r, struct event_base *base)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval tv = {.tv_usec = 2000};
    socklen_t len = sizeof(sa);
    *r = (struct fake_redis){.base = base};
    r->listener = evconnlistener_new_bind(base, fake_on_accept, r, LEV_OPT_CLOSE_ON_FREE, -1,
                                          (struct sockaddr *)&sa, sizeof(sa));
    assert_non_null(r->listener);
    getsockname(evconnlistener_get_fd(r->listener), (struct sockaddr *)&sa, &len);
    r->port = ntohs(sa.sin_port);
    r->tick = event_new(base, -1, EV_PERSIST, fake_on_tick, NULL);
    event_add(r->tick, &tv);
}

static inline void fake_stop(struct fake_redis *r)
{
    evconnlistener_free(r->listener);
    event_free(r->tick);
    fake_cut(r->log);
    fake_cut(r->commands);
}

/* What is waited for, and its answer. A generation has 16 bytes. */
static inline void fake_join(struct fake_redis *r, const char *generation, unsigned last)
{
    FAKE_WAIT(r, r->log && r->log->question == FAKE_JOIN);
    r->log->question = FAKE_NOTHING;
    fake_say(r->log, "*2\r\n$16\r\n%s\r\n:%u\r\n", generation, last);
}

/* <entries>: as XREAD gives them; "*-1\r\n": nothing came in time. */
static inline void fake_read(struct fake_redis *r, const char *entries, const char *generation,
                             unsigned last)
{
    FAKE_WAIT(r, r->log && r->log->question == FAKE_READ);
    r->log->question = FAKE_NOTHING;
    fake_say(r->log, "%s*2\r\n$16\r\n%s\r\n:%u\r\n", entries, generation, last);
}

static inline void fake_await_publish(struct fake_redis *r)
{
    FAKE_WAIT(r, r->commands && r->commands->question == FAKE_PUBLISH);
}

/* <instances>: elements behind the number, each as a bulk string; <count> of them. */
static inline void fake_confirm(struct fake_redis *r, unsigned last, unsigned count,
                                const char *instances)
{
    fake_await_publish(r);
    r->commands->question = FAKE_NOTHING;
    fake_say(r->commands, "*%u\r\n:%u\r\n%s", count + 1, last, instances);
}

#endif
