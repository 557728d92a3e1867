/* Commands go out in order and so do replies come in: a ring of slots matches them. A command that
 * is too late for its caller keeps its slot, so that its reply, when it comes, is dropped and not
 * taken for another's. */
#include "redis-internal.h"

#include <larder/base/log.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { SLOTS_MIN = 64, SLOTS_MAX = 1 << 16, COPY_MAX = 16 << 10 };

static struct slot *slot_at(struct redis_link *l, uint64_t number)
{
    return &l->ring[number & (l->ring_size - 1)];
}

static bool make_room(struct redis_link *l)
{
    if (l->tail - l->head < l->ring_size)
        return true;
    unsigned size = l->ring_size ? l->ring_size * 2 : SLOTS_MIN;
    struct slot *ring = size <= SLOTS_MAX ? calloc(size, sizeof(*ring)) : NULL;
    if (!ring)
        return false;
    for (uint64_t i = l->head; i < l->tail; i++)
        ring[i & (size - 1)] = *slot_at(l, i);
    free(l->ring);
    l->ring = ring;
    l->ring_size = size;
    return true;
}

static void on_written(const void *data, size_t len, void *command)
{
    (void)data;
    (void)len;
    codec_command_free(command);
}

/* Writes a command and its slot, or neither. */
static bool put(struct redis_link *l, const struct span *args, unsigned count, const struct slot *s)
{
    struct evbuffer *out = bufferevent_get_output(l->bev);
    char *command;
    size_t len;
    if (evbuffer_get_length(out) >= REDIS_OUTPUT_MAX || !make_room(l) ||
        !codec_command_format(args, count, &command, &len))
        return false;
    bool is_large = len > COPY_MAX;
    int rc = is_large ? evbuffer_add_reference(out, command, len, on_written, command)
                      : evbuffer_add(out, command, len);
    if (!is_large || rc != 0)
        codec_command_free(command);
    if (rc != 0)
        return false;
    *slot_at(l, l->tail++) = *s;
    return true;
}

static void note_deadline(struct redis_link *l, mono_ms deadline)
{
    if (l->slots_due == 0 || deadline < l->slots_due)
        l->slots_due = deadline;
    if (l->due == 0 || deadline < l->due)
        link_set_due(l, deadline);
}

/* So long after its deadline a command without a reply means that the connection is dead. */
static uint64_t grace_ms(const struct redis_link *l)
{
    uint64_t ms = 10 * l->redis->config->command_timeout_ms;
    return ms > REDIS_OVERDUE_MS ? ms : REDIS_OVERDUE_MS;
}

bool link_say(struct redis_link *l, const struct span *args, unsigned count, uint64_t close_ms,
              redis_on_reply on_reply)
{
    uint64_t now_us = mono_now_us();
    struct slot s = {.on_reply = on_reply, .arg = l, .sent_us = now_us, .is_own = true};
    if (close_ms)
        s.close_at = now_us / 1000 + close_ms;
    return put(l, args, count, &s);
}

static bool link_ping(struct redis_link *l, uint64_t close_ms, redis_on_reply on_reply)
{
    struct span ping[] = {SPAN_LIT("PING")};
    return link_say(l, ping, 1, close_ms, on_reply);
}

static bool command_put(struct redis_link *l, const struct redis_command *c)
{
    uint64_t usual_ms = l->redis->config->command_timeout_ms;
    uint64_t timeout_ms = c->timeout_ms ? c->timeout_ms : usual_ms;
    uint64_t now_us = mono_now_us();
    struct slot s = {.on_reply = c->on_reply,
                     .arg = c->arg,
                     .sent_us = now_us,
                     .deadline = now_us / 1000 + timeout_ms,
                     .is_counted = timeout_ms <= usual_ms};
    s.close_at = s.deadline + grace_ms(l);
    if (!put(l, c->args, c->count, &s))
        return false;
    note_deadline(l, s.deadline);
    return true;
}

bool redis_send(struct redis_link *l, const struct redis_command *c)
{
    struct redis_figures *f = &l->redis->figures;
    if (redis_link_is_up(l) && link_is_astray(l))
        link_close_later(l, FAULT_MOVED, "the sentinels have another master");
    if (!redis_link_is_up(l) || !command_put(l, c)) {
        f->refused++;
        return false;
    }
    f->commands++;
    return true;
}

static void open_breaker(struct redis_link *l, mono_ms now)
{
    struct redis_figures *f = &l->redis->figures;
    l->breaker = BREAKER_OPEN;
    l->probe_at = now + REDIS_PROBE_MS;
    f->breaker_opened++;
    if (f->breakers_open++ == 0)
        log_warn("redis %s: %d replies in a row were too late; it is asked nothing but a PING "
                 "each second until one is answered in time",
                 l->target.name, REDIS_BREAKER_LATE);
}

void link_close_breaker(struct redis_link *l)
{
    l->late_in_row = 0;
    if (l->breaker == BREAKER_CLOSED)
        return;
    l->breaker = BREAKER_CLOSED;
    l->probe_asked = 0;
    if (--l->redis->figures.breakers_open == 0 && l->state == LINK_UP)
        log_info("redis %s: it answers in time again", l->target.name);
}

static void call(redis_on_reply on_reply, void *arg, enum redis_result result,
                 const struct redis_reply *r)
{
    if (on_reply)
        on_reply(arg, result, r);
}

/* Tells those whose time is over; they may send more, close and even free the link. */
static void tell_late(struct redis_link *l, mono_ms now)
{
    uint64_t end = l->tail;
    l->slots_due = 0;
    for (uint64_t i = l->head; i < end && l->head <= i && l->state == LINK_UP; i++) {
        struct slot *s = slot_at(l, i);
        if (s->is_own || s->is_told)
            continue;
        if (s->deadline > now) {
            note_deadline(l, s->deadline);
            continue;
        }
        s->is_told = true;
        l->redis->figures.late++;
        if (s->is_counted && ++l->late_in_row >= REDIS_BREAKER_LATE && l->breaker == BREAKER_CLOSED)
            open_breaker(l, now);
        call(s->on_reply, s->arg, REDIS_LATE, NULL);
    }
}

static void on_probe(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct redis_link *l = arg;
    (void)result; /* an error is an answer, too */
    (void)r;
    mono_ms asked = l->probe_asked;
    l->probe_asked = 0;
    if (mono_now_ms() <= asked + l->redis->config->command_timeout_ms)
        link_close_breaker(l);
}

static mono_ms earlier(mono_ms a, mono_ms b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* When the connection is dead unless a reply comes before; 0: none is waited for. */
static mono_ms patience_end(struct redis_link *l)
{
    return l->head != l->tail ? slot_at(l, l->head)->close_at : 0;
}

/* When the server is asked whether it is there; 0: never, or not while replies are waited for. */
static mono_ms idle_end(const struct redis_link *l)
{
    uint64_t ms = l->redis->config->idle_timeout_ms;
    return ms && l->head == l->tail ? l->heard + ms : 0;
}

static void ping_if_due(struct redis_link *l, mono_ms now)
{
    uint64_t timeout_ms = l->redis->config->command_timeout_ms;
    mono_ms idle_at = idle_end(l);
    if (l->breaker == BREAKER_OPEN && l->probe_at <= now) {
        l->probe_at = now + REDIS_PROBE_MS;
        /* one at a time, or the answer to one could pass for the next one's; no memory: then */
        if (!l->probe_asked && link_ping(l, timeout_ms + grace_ms(l), on_probe))
            l->probe_asked = now;
    } else if (idle_at && idle_at <= now && !link_ping(l, timeout_ms + REDIS_PING_GRACE_MS, NULL)) {
        l->heard = now; /* no memory: later */
    }
}

mono_ms link_check(struct redis_link *l, mono_ms now)
{
    if (l->slots_due && l->slots_due <= now)
        tell_late(l, now);
    if (l->state != LINK_UP || l->drop_fault)
        return 0;
    mono_ms end = patience_end(l);
    if (end && end <= now) {
        link_close(l, FAULT_SILENT, "no reply for %llu ms",
                   (unsigned long long)(now - slot_at(l, l->head)->sent_us / 1000));
        return 0;
    }
    ping_if_due(l, now);
    mono_ms due = earlier(earlier(l->slots_due, patience_end(l)), idle_end(l));
    return l->breaker == BREAKER_OPEN ? earlier(due, l->probe_at) : due;
}

/* Errors that tell that this is not, or no more, the server to talk to. */
static void heed_error(struct redis_link *l, struct span text)
{
    const struct address *here = l->target.kind == TARGET_SOCKET ? NULL : &l->target.address;
    struct address to;
    if (span_starts_with(text, SPAN_LIT("MOVED ")) && moved_parse(text, here, &to)) {
        char name[sizeof(to)];
        address_format(&to, name, sizeof(name));
        redis_note_moved(l->redis, &to);
        link_close(l, FAULT_MOVED, "our keys are at %s now", name);
    } else if (span_starts_with(text, SPAN_LIT("READONLY")) ||
               span_starts_with(text, SPAN_LIT("UNBLOCKED"))) {
        link_close(l, FAULT_REPLICA, "it is no master any more");
    } else if (span_starts_with(text, SPAN_LIT("LOADING"))) {
        link_close(l, FAULT_LOADING, "it is loading its data");
    } else if (span_starts_with(text, SPAN_LIT("NOAUTH"))) {
        link_close(l, FAULT_LOGIN, "it wants to know again who we are");
    }
}

static void close_unasked(struct redis_link *l)
{
    link_close(l, FAULT_PROTOCOL, "it sent a reply that nobody had asked for");
}

static void answer(struct redis_link *l, const struct redis_reply *r)
{
    if (l->head == l->tail) {
        close_unasked(l);
        return;
    }
    struct slot s = *slot_at(l, l->head++);
    struct redis_figures *f = &l->redis->figures;
    bool is_error = redis_reply_is_error(r);
    if (s.is_own) {
        call(s.on_reply, s.arg, is_error ? REDIS_ERROR : REDIS_OK, r);
        return;
    }
    if (!s.is_told) {
        l->late_in_row = 0;
        f->errors += is_error;
        call(s.on_reply, s.arg, is_error ? REDIS_ERROR : REDIS_OK, r);
    }
    if (is_error && l->state == LINK_UP && !l->drop_fault)
        heed_error(l, redis_reply_text(r));
}

/* False: the connection is over, or about to be. */
static bool read_replies(struct redis_link *l, struct redis_codec *codec)
{
    struct redis_reply *r = NULL;
    enum codec_result result;
    while ((result = redis_codec_next(codec, &r)) == CODEC_REPLY) {
        answer(l, r);
        redis_reply_free(r);
        if (l->codec != codec || l->drop_fault)
            return false;
    }
    if (result == CODEC_BAD)
        link_close(l, FAULT_PROTOCOL, "it does not speak Redis's protocol: %s",
                   redis_codec_error(codec));
    else if (l->head == l->tail && redis_codec_is_within(codec)) /* the next command's it is not */
        close_unasked(l);
    return l->codec == codec;
}

/* False: as of read_replies(). */
static bool take_bytes(struct redis_link *l, struct redis_codec *codec, const char *p, size_t len)
{
    if (redis_codec_feed(codec, p, len))
        return read_replies(l, codec);
    link_close(l, FAULT_MEMORY, "no memory for its reply");
    return false;
}

static bool read_input(struct redis_link *l, struct redis_codec *codec)
{
    struct evbuffer *in = bufferevent_get_input(l->bev);
    char block[REDIS_READ_PIECE];
    int n;
    while ((n = evbuffer_remove(in, block, sizeof(block))) > 0)
        if (!take_bytes(l, codec, block, (size_t)n))
            return false;
    return true;
}

/* libevent takes 4 KB off a socket in each turn: what else is there is read past it. An end or an
 * error it sees for itself. */
static bool read_socket(struct redis_link *l, struct redis_codec *codec)
{
    char block[REDIS_READ_PIECE];
    if (bufferevent_openssl_get_ssl(l->bev))
        return true;
    for (unsigned i = 0; i < REDIS_READ_PIECES; i++) {
        ssize_t n = recv(bufferevent_getfd(l->bev), block, sizeof(block), MSG_DONTWAIT);
        if (n <= 0)
            return true;
        if (!take_bytes(l, codec, block, (size_t)n))
            return false;
        if ((size_t)n < sizeof(block))
            return true;
    }
    return true;
}

void link_read(struct redis_link *l)
{
    struct redis_codec *codec = l->codec;
    l->heard = mono_now_ms();
    if (!read_input(l, codec) || !read_socket(l, codec))
        return;
    mono_ms idle_at = idle_end(l);
    if (l->state == LINK_UP && idle_at && idle_at < l->due)
        link_set_due(l, idle_at);
}

void link_lose_all(struct redis_link *l)
{
    while (l->head != l->tail) {
        struct slot s = *slot_at(l, l->head++);
        if (s.is_own || s.is_told)
            continue;
        l->redis->figures.lost++;
        call(s.on_reply, s.arg, REDIS_LOST, NULL);
    }
    l->slots_due = 0;
}
