/* redis-fake-test.h: servers that do what a real one rarely does: scripted ones in the test's own
 * loop. */
#ifndef LARDER_REDIS_FAKE_TEST_H
#define LARDER_REDIS_FAKE_TEST_H

#include "redis-test.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>

struct fake {
    struct evconnlistener *listener;
    unsigned port;
    struct bufferevent *bev; /* the connection; NULL: none */
    unsigned connections, commands;
    char last[256];                                       /* command, its words with spaces */
    bool (*on_command)(struct fake *f, const char *line); /* false: answered as usual */
    const char *role;
    bool is_mute;
    struct fake *other;
};

static inline void fake_say(struct fake *f, const char *text)
{
    bufferevent_write(f->bev, text, strlen(text));
}

static inline void fake_answer(struct fake *f, const char *line)
{
    f->commands++;
    snprintf(f->last, sizeof(f->last), "%s", line);
    if (f->is_mute || (f->on_command && f->on_command(f, line)))
        return;
    if (strcmp(line, "ROLE") == 0)
        fake_say(f, f->role);
    else
        fake_say(f, strcmp(line, "PING") == 0 ? "+PONG\r\n" : "+OK\r\n");
}

/* One command off <in>, its words joined by spaces; false: not whole yet. */
static inline bool read_command(struct evbuffer *in, char *line, size_t room)
{
    size_t len = evbuffer_get_length(in), used = 0;
    const char *p = (const char *)evbuffer_pullup(in, -1), *at = p, *end = p + len;
    line[0] = '\0';
    if (!p || !memmem(at, len, "\r\n", 2))
        return false;
    assert_int_equal(*at, '*');
    long words = strtol(at + 1, NULL, 10);
    at = (const char *)memmem(at, len, "\r\n", 2) + 2;
    for (long i = 0; i < words; i++) {
        const char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
        if (!eol)
            return false;
        size_t n = (size_t)strtol(at + 1, NULL, 10);
        if ((size_t)(end - eol) < n + 4)
            return false;
        used += (size_t)snprintf(line + used, room - used, "%s%.*s", i ? " " : "", (int)n, eol + 2);
        assert_true(used < room);
        at = eol + 2 + n + 2;
    }
    evbuffer_drain(in, (size_t)(at - p));
    return true;
}

static inline void fake_on_read(struct bufferevent *bev, void *arg)
{
    struct fake *f = arg;
    char line[4096];
    while (f->bev == bev && read_command(bufferevent_get_input(bev), line, sizeof(line)))
        fake_answer(f, line);
}

static inline void fake_hang_up(struct fake *f)
{
    if (f->bev)
        bufferevent_free(take(f->bev));
}

static inline void fake_on_event(struct bufferevent *bev, short what, void *arg)
{
    struct fake *f = arg;
    (void)what;
    if (f->bev == bev)
        fake_hang_up(f);
}

static inline void fake_on_accept(struct evconnlistener *listener, evutil_socket_t fd,
                                  struct sockaddr *sa, int len, void *arg)
{
    struct fake *f = arg;
    (void)sa;
    (void)len;
    fake_hang_up(f);
    f->connections++;
    evutil_make_socket_nonblocking(fd);
    f->bev = bufferevent_socket_new(evconnlistener_get_base(listener), fd,
                                    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    bufferevent_setcb(f->bev, fake_on_read, NULL, fake_on_event, f);
    bufferevent_enable(f->bev, EV_READ | EV_WRITE);
}

static inline void fake_start(struct fake *f, struct trial *t)
{
    *f = (struct fake){.role = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"};
    int fd = listen_somewhere(&f->port);
    evutil_make_socket_nonblocking(fd);
    f->listener =
        evconnlistener_new(loop_base(t->loop), fake_on_accept, f, LEV_OPT_CLOSE_ON_FREE, 16, fd);
    assert_non_null(f->listener);
}

static inline void fake_stop(struct fake *f)
{
    fake_hang_up(f);
    if (f->listener)
        evconnlistener_free(take(f->listener));
}

/* A link to one fake server, up. */
static inline void start(struct trial *t, struct fake *f)
{
    trial_init(t, 0);
    fake_start(f, t);
    t->config.server_count = 1;
    t->config.server[0] = (struct address){"127.0.0.1", (uint16_t)f->port};
}

static inline void start_up(struct trial *t, struct fake *f)
{
    start(t, f);
    trial_connect(t);
    WAIT_FOR(t, t->ups == 1);
}

static inline void end(struct trial *t, struct fake *f)
{
    fake_stop(f);
    trial_end(t);
}

static inline bool say_moved(struct fake *f, const char *line)
{
    char text[64];
    if (strncmp(line, "GET", 3) != 0)
        return false;
    snprintf(text, sizeof(text), "-MOVED 3999 %s:%u\r\n", f->other->is_mute ? "" : "127.0.0.1",
             f->other->port);
    fake_say(f, text);
    return true;
}

#endif
