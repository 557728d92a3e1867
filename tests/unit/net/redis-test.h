/* redis-test.h: real servers to test against, a link to them, and what its commands got.
 *
 * Servers listen on free loopback ports and end with the test, by their process id. */
#ifndef LARDER_REDIS_TEST_H
#define LARDER_REDIS_TEST_H

#include "../unit-test.h"

#include <larder/base/buf.h>
#include <larder/base/monotime.h>
#include <larder/net/loop.h>
#include <larder/net/redis.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, ANSWERS_MAX = 4096, WORDS_MAX = 32 };

/* Turns the loop until <condition> holds; fails where it does not come true. */
#define WAIT_FOR(t, condition)                                                                     \
    for (mono_ms end_ = mono_now_ms() + PATIENCE_MS; !(condition);) {                              \
        if (mono_now_ms() > end_)                                                                  \
            fail_msg("line %d: never so: %s", __LINE__, #condition);                               \
        event_base_loop(loop_base((t)->loop), EVLOOP_ONCE);                                        \
    }

/* Processes */

struct server {
    pid_t pid;
    unsigned port;
    char dir[64]; /* its own; "": not made yet */
};

static inline int listen_somewhere(unsigned *ret_port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *ret_port = ntohs(sa.sin_port);
    return fd;
}

static inline unsigned free_port(void)
{
    unsigned port;
    close(listen_somewhere(&port));
    return port;
}

static inline int connect_port(unsigned port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline bool is_whole(const char *p, size_t len)
{
    const char *end = memmem(p, len, "\r\n", 2);
    if (!end || p[0] != '$')
        return end != NULL;
    long n = strtol(p + 1, NULL, 10);
    return n < 0 || len >= (size_t)(end - p) + 2 + (size_t)n + 2;
}

/* The reply to one inline command, as it comes; "" without one. Blocks. */
static inline const char *ask(unsigned port, const char *fmt, ...)
{
    static char reply[65536];
    char line[1024];
    size_t len = 0;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line) - 2, fmt, ap);
    va_end(ap);
    reply[0] = '\0';
    strcat(line, "\r\n");
    int fd = connect_port(port);
    if (fd < 0)
        return reply;
    struct timeval tv = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line)) {
        ssize_t n;
        while (!is_whole(reply, len) && (n = read(fd, reply + len, sizeof(reply) - len - 1)) > 0)
            reply[len += (size_t)n] = '\0';
    }
    close(fd);
    return reply;
}

static inline pid_t spawn(const char *const *words)
{
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    execvp(words[0], (char *const *)words);
    _exit(127);
}

static inline void end_process(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* True: <port> answers PING, in whatever way, before <pid> has ended. */
static inline bool comes_up(pid_t pid, unsigned port)
{
    for (mono_ms end = mono_now_ms() + PATIENCE_MS; mono_now_ms() < end;) {
        if (ask(port, "PING")[0])
            return true;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return false;
        poll(NULL, 0, 5);
    }
    return false;
}

static inline int remove_it(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* A server with these words behind the usual ones; NULL ends them. A port of 0: a free one, unless
 * it has had one. */
static inline bool server_try(struct server *s, const char *const *more)
{
    char text[12];
    const char *words[WORDS_MAX] = {"redis-server",
                                    "--bind",
                                    "127.0.0.1",
                                    "--save",
                                    "",
                                    "--appendonly",
                                    "no",
                                    "--loglevel",
                                    "warning",
                                    "--port",
                                    text,
                                    "--dir",
                                    s->dir,
                                    "--enable-debug-command",
                                    "yes"};
    unsigned n = 15;
    snprintf(text, sizeof(text), "%u", s->port);
    for (; more && *more; more++)
        words[n++] = *more;
    s->pid = spawn(words);
    if (comes_up(s->pid, s->port))
        return true;
    end_process(s->pid);
    s->pid = 0;
    return false;
}

static inline void server_make_dir(struct server *s)
{
    snprintf(s->dir, sizeof(s->dir), "/tmp/larder-redis-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
}

/* Starts it on a free port, or again on its own. */
static inline void server_start(struct server *s, const char *const *more)
{
    unsigned port = s->port;
    if (!s->dir[0])
        server_make_dir(s);
    for (int i = 0; i < 5; i++) { /* somebody may take the port first */
        s->port = port ? port : free_port();
        if (server_try(s, more))
            return;
    }
    fail_msg("redis-server does not start");
}

static inline void server_stop(struct server *s)
{
    end_process(s->pid);
    s->pid = 0;
}

static inline void server_end(struct server *s)
{
    server_stop(s);
    if (s->dir[0])
        nftw(s->dir, remove_it, 8, FTW_DEPTH | FTW_PHYS);
    *s = (struct server){0};
}

/* A link, and what became of its commands */

struct answer {
    unsigned number; /* of the command */
    enum redis_result result;
    enum redis_type type;
    int64_t integer;
    char text[256];
    size_t text_len;
};

struct trial {
    struct loop *loop;
    struct event *tick; /* so that WAIT_FOR looks now and then */
    struct redis_config config;
    struct redis *redis;
    struct redis_link *link;
    unsigned ups, downs;
    char why[320];
    unsigned sent, answer_count;
    struct answer answers[ANSWERS_MAX];
    char *words; /* of the last reply, arrays in brackets */
    void (*on_up)(struct trial *t);
    void (*on_answer)(struct trial *t, const struct answer *a);
};

static inline void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static inline void trial_on_up(void *arg)
{
    struct trial *t = arg;
    t->ups++;
    if (t->on_up)
        t->on_up(t);
}

static inline void trial_on_down(void *arg, const char *why)
{
    struct trial *t = arg;
    t->downs++;
    snprintf(t->why, sizeof(t->why), "%s", why);
}

static const struct redis_link_ops trial_ops = {trial_on_up, trial_on_down};

static inline void trial_report(struct tls_report *r, bool is_warning, const struct err *e)
{
    (void)r;
    (void)is_warning;
    fprintf(stderr, "%s: %s\n", e->where, e->what);
}

/* <port> 0: the caller fills in the config before trial_connect(). */
static inline void trial_init(struct trial *t, unsigned port)
{
    struct timeval tv = {.tv_usec = 2000};
    memset(t, 0, sizeof(*t));
    t->loop = loop_new();
    assert_non_null(t->loop);
    t->tick = event_new(loop_base(t->loop), -1, EV_PERSIST, on_tick, NULL);
    event_add(t->tick, &tv);
    t->config.connect_timeout_ms = 5000;
    t->config.command_timeout_ms = 2000; /* sanitizers and neighbours take their time */
    t->config.idle_timeout_ms = 60000;
    t->config.max_object_bytes = 1 << 20;
    if (port) {
        t->config.server_count = 1;
        t->config.server[0] = (struct address){"127.0.0.1", (uint16_t)port};
    }
}

static inline void trial_connect(struct trial *t)
{
    struct tls_report report = {trial_report};
    struct err err;
    assert_int_equal(redis_new(&t->config, &report, &t->redis, &err), ERR_OK);
    t->link = redis_link_new(t->loop, t->redis, "larder-test", &trial_ops, t);
    assert_non_null(t->link);
}

static inline bool trial_is_at(struct trial *t, unsigned port)
{
    struct buf where;
    char block[300] = {0}, expected[32];
    buf_init_fixed(&where, block, sizeof(block) - 1);
    redis_address_format(t->redis, &where);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u", port);
    return strcmp(block, expected) == 0;
}

static inline void trial_end(struct trial *t)
{
    redis_link_free(t->link);
    redis_free(t->redis);
    event_free(t->tick);
    loop_free(t->loop);
    free(t->words);
}

static inline void format_reply(const struct redis_reply *r, struct buf *out)
{
    switch (redis_reply_type(r)) {
    case REDIS_NIL:
        buf_add_str(out, "nil");
        break;
    case REDIS_TEXT:
        buf_add_span(out, redis_reply_text(r));
        break;
    case REDIS_INTEGER:
        buf_add_fmt(out, "%lld", (long long)redis_reply_integer(r));
        break;
    case REDIS_ARRAY:
        buf_add_char(out, '[');
        for (unsigned i = 0; i < redis_reply_count(r); i++) {
            if (i)
                buf_add_char(out, ' ');
            format_reply(redis_reply_at(r, i), out);
        }
        buf_add_char(out, ']');
        break;
    }
}

/* What a command's argument is: its number, and whose trial. */
struct ticket {
    struct trial *trial;
    unsigned number;
};

static inline void trial_on_reply(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct ticket *k = arg;
    struct trial *t = k->trial;
    struct span text = redis_reply_text(r);
    struct buf words;
    assert_true(t->answer_count < ANSWERS_MAX);
    struct answer *a = &t->answers[t->answer_count++];
    *a = (struct answer){.number = k->number,
                         .result = result,
                         .type = redis_reply_type(r),
                         .integer = redis_reply_integer(r),
                         .text_len = text.len};
    memcpy(a->text, text.p, text.len < sizeof(a->text) - 1 ? text.len : sizeof(a->text) - 1);
    free(t->words);
    buf_init(&words, 16 << 20);
    format_reply(r, &words);
    buf_add_char(&words, '\0');
    t->words = words.p;
    free(k);
    if (t->on_answer)
        t->on_answer(t, a);
}

static inline bool send_spans(struct trial *t, uint64_t timeout_ms, const struct span *args,
                              unsigned count)
{
    struct ticket *k = malloc(sizeof(*k));
    *k = (struct ticket){t, t->sent};
    struct redis_command c = {.args = args,
                              .count = count,
                              .timeout_ms = timeout_ms,
                              .on_reply = trial_on_reply,
                              .arg = k};
    unsigned before = t->answer_count;
    if (!redis_send(t->link, &c)) {
        free(k);
        return false;
    }
    assert_int_equal(t->answer_count, before); /* never before redis_send() has returned */
    t->sent++;
    return true;
}

/* <line>: words with single spaces between them. */
static inline bool send_line(struct trial *t, uint64_t timeout_ms, const char *line)
{
    struct span args[16], rest = span_str(line);
    unsigned n = 0;
    while (rest.p && n < 16)
        args[n++] = span_split(rest, ' ', &rest);
    return send_spans(t, timeout_ms, args, n);
}

/* Sends and waits for the answer. */
static inline const struct answer *call_line(struct trial *t, const char *line)
{
    unsigned before = t->answer_count;
    assert_true(send_line(t, 0, line));
    WAIT_FOR(t, t->answer_count > before);
    return &t->answers[t->answer_count - 1];
}

#endif
