/* A call's way: its head and body are read in the gate's thread, a letter takes it to the main
 * loop, where it is handled, and another takes the reply back; of a stream of events, many. */
#include "control-internal.h"

#include <larder/base/hash.h>
#include <larder/base/log.h>
#include <larder/net/drain.h>

#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void call_free(struct call *c)
{
    list_remove(&c->in_stream);
    buf_fini(&c->text);
    buf_fini(&c->body);
    buf_fini(&c->reply);
    buf_fini(&c->fields);
    buf_fini(&c->passed);
    buf_fini(&c->audit);
    buf_fini(&c->scope);
    if (!c->is_part)
        free(c->head);
    free(c->limited);
    free(c);
}

static void init_buffers(struct call *c)
{
    buf_init(&c->text, 1024 * 1024);
    buf_init(&c->body, CALL_BODY_MAX + 1);
    buf_init(&c->reply, REPLY_MAX);
    buf_init(&c->fields, 4096);
    buf_init(&c->passed, 1024 * 1024);
    buf_init(&c->audit, 2048);
    buf_init(&c->scope, 256 * 1024);
}

struct call *call_part_new(struct call *whole, const char *path)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    list_init(&c->in_stream);
    init_buffers(c);
    c->is_part = true;
    c->control = whole->control;
    c->head = whole->head;
    c->method = METHOD_POST;
    c->status = 200;
    c->token = whole->token;
    c->is_open = whole->is_open;
    memcpy(c->peer_addr, whole->peer_addr, sizeof(c->peer_addr));
    memcpy(c->peer, whole->peer, sizeof(c->peer));
    snprintf(c->path, sizeof(c->path), "%s", path);
    return c;
}

void call_part_free(struct call *part)
{
    if (part)
        call_free(part);
}

bool call_fail(struct call *c, unsigned status, const char *type, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->detail, sizeof(c->detail), fmt, args);
    va_end(args);
    c->status = status;
    c->problem = type;
    return true;
}

bool call_fail_nomem(struct call *c)
{
    return call_fail(c, 503, "overloaded", "out of memory");
}

static void format_fields(const struct call *c, struct buf *fields)
{
    if (c->allow)
        buf_add_fmt(fields, "Allow: %s\r\n", c->allow);
    if (c->problem && c->status == 401)
        buf_add_str(fields, "WWW-Authenticate: Bearer\r\n");
    if (c->location[0])
        buf_add_fmt(fields, "Location: %s\r\n", c->location);
    if (c->is_replayed)
        buf_add_str(fields, "Idempotency-Replayed: true\r\n");
    buf_add_span(fields, buf_span(&c->fields));
}

/* The head that came from elsewhere, with framing of this connection's own. */
static void write_passed(struct call *c, bool close)
{
    char out_block[128];
    struct buf out;
    buf_init_fixed(&out, out_block, sizeof(out_block));
    gate_write(c->gate, c->passed.p, c->passed.len);
    gate_write(c->gate, c->fields.p, c->fields.len);
    if (status_has_body(c->status, METHOD_GET))
        buf_add_fmt(&out, "Content-Length: %zu\r\n", c->reply.len);
    buf_add_str(&out, close ? "Connection: close\r\n\r\n" : "\r\n");
    gate_write(c->gate, out.p, out.len);
    if (c->method != METHOD_HEAD && status_has_body(c->status, METHOD_GET))
        gate_write(c->gate, c->reply.p, c->reply.len);
}

static void check_reply(struct call *c)
{
    if (c->reply.no_memory || c->fields.no_memory || c->passed.no_memory)
        (void)call_fail_nomem(c);
    else if (c->reply.failed || c->fields.failed || c->passed.failed)
        (void)call_fail(c, 503, "overloaded", "the answer is too large");
}

static void write_reply(struct call *c)
{
    struct gate *g = c->gate;
    bool close = gate_must_close(g);
    bool is_head = c->method == METHOD_HEAD;
    char fields_block[5120], out_block[8192]; /* a problem and the fields fit */
    struct buf fields, out;
    buf_init_fixed(&out, out_block, sizeof(out_block));
    buf_init_fixed(&fields, fields_block, sizeof(fields_block));
    if (!c->problem && !c->passed.len)
        buf_add_char(&c->reply, '\n');
    check_reply(c);
    if (c->passed.len && !c->problem) {
        write_passed(c, close);
        c->gate = NULL;
        gate_finish(g, close);
        return;
    }
    format_fields(c, &fields);
    if (c->problem) {
        struct problem p = {.status = c->status, .type = c->problem, .detail = c->detail};
        if (c->limited && c->status == 429)
            limits_problem(c->limited, &p);
        p.head_only = is_head;
        p.close = close;
        p.extra_fields = buf_span(&fields);
        reply_problem_format(&p, &out);
        gate_write(g, out.p, out.len);
    } else {
        reply_json_head_format(c->status, c->reply.len, close, false, buf_span(&fields), &out);
        gate_write(g, out.p, out.len);
        if (!is_head)
            gate_write(g, c->reply.p, c->reply.len);
    }
    c->gate = NULL;
    gate_finish(g, close);
}

static void on_reply(struct letter *l)
{
    struct call *c = container_of(l, struct call, letter);
    if (c->gate && c->has_begun)
        gate_finish(take(c->gate), true); /* of events: no more can be said */
    else if (c->gate)
        write_reply(c);
    call_free(c);
}

void call_done(struct call *c)
{
    if (c->on_done) {
        c->on_done(c);
        return;
    }
    if (c->is_main) {
        on_reply(&c->letter);
        return;
    }
    c->letter.on_delivery = on_reply;
    mailbox_post(c->home, &c->letter);
}

/* --- events --- */

struct event_letter {
    struct letter letter;
    struct call *call;
    bool is_last;
    size_t len;
    char text[];
};

static void on_event(struct letter *l)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
                               "Connection: close\r\n\r\n";
    struct event_letter *e = container_of(l, struct event_letter, letter);
    struct call *c = e->call;
    if (c->gate && !c->has_begun) {
        gate_write(c->gate, head, sizeof(head) - 1);
        c->has_begun = true;
    }
    if (c->gate)
        gate_write(c->gate, e->text, e->len);
    if (e->is_last) {
        struct gate *g = take(c->gate);
        if (g)
            gate_finish(g, true);
        call_free(c);
    }
    free(e);
}

void call_send_event(struct call *c, const char *name, struct span data, bool is_last)
{
    size_t room = strlen(name) + data.len + 32;
    struct event_letter *e = malloc(sizeof(*e) + room);
    if (is_last)
        list_remove(&c->in_stream); /* from here on it is its home's */
    if (!e) {
        if (is_last) {
            (void)call_fail_nomem(c);
            call_done(c);
        }
        return;
    }
    e->letter.on_delivery = on_event;
    e->call = c;
    e->is_last = is_last;
    int n = snprintf(e->text, room, "event: %s\ndata: %.*s\n\n", name, (int)data.len, data.p);
    e->len = n > 0 ? (size_t)n : 0;
    if (c->is_main)
        on_event(&e->letter);
    else
        mailbox_post(c->home, &e->letter);
}

/* --- the way here --- */

static void on_call(struct letter *l)
{
    dispatch(container_of(l, struct call, letter));
}

/* The body is there: the call goes to the main loop. */
static void send_call(struct call *c)
{
    c->is_sent = true;
    if (c->is_main) {
        dispatch(c);
        return;
    }
    c->letter.on_delivery = on_call;
    mailbox_post(loop_mailbox(c->control->loop), &c->letter);
}

static void refuse_body(struct call *c, unsigned status, const char *type, const char *detail)
{
    c->is_sent = true;
    (void)call_fail(c, status, type, "%s", detail);
    write_reply(c);
    call_free(c);
}

static void on_body(void *arg)
{
    struct call *c = arg;
    if (c->is_sent)
        return;
    struct evbuffer *in = gate_body(c->gate);
    if (evbuffer_get_length(in)) {
        drain_to_buf(in, &c->body);
        gate_body_taken(c->gate);
    }
    switch (gate_body_state(c->gate)) {
    case BODY_NONE:
    case BODY_WHOLE:
        if (c->body.failed)
            refuse_body(c, 503, "overloaded", "out of memory");
        else if (evbuffer_get_length(in) == 0)
            send_call(c);
        return;
    case BODY_TOO_LARGE:
        refuse_body(c, 413, "body-too-large", "a control request has at most 1 MiB");
        return;
    case BODY_BAD:
        refuse_body(c, 400, "bad-body", "the chunked body is malformed");
        return;
    case BODY_MORE:
        return;
    }
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void on_gone(void *arg)
{
    struct call *c = arg;
    c->gate = NULL;
    c->is_gone = true;
    if (!c->is_sent)
        call_free(c); /* otherwise its letter comes back, and frees it */
}

static const struct gate_flow_ops call_ops = {
    .on_body = on_body, .on_drained = on_drained, .on_gone = on_gone};

/* The head is read anew from a copy: the gate's own ends with its connection. */
static bool copy_head(struct call *c, const struct gate *g)
{
    struct span text = gate_head_text(g);
    buf_add_span(&c->text, text);
    c->head = malloc(sizeof(*c->head));
    return !c->text.failed && c->head &&
           head_parse_request(c->text.p, text.len, text.len, c->head) == HEAD_OK;
}

static struct call *call_new(struct control *control, struct gate *g, struct mailbox *mailbox)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    list_init(&c->in_stream);
    c->control = control;
    c->home = mailbox;
    c->is_main = mailbox == loop_mailbox(control->loop);
    c->is_socket = gate_is_local(g);
    c->is_public = !gate_is_control(g);
    c->is_tls = gate_is_tls(g);
    c->gate = g;
    init_buffers(c);
    if (!copy_head(c, g)) {
        call_free(c);
        return NULL;
    }
    c->method = c->head->method;
    c->query = c->head->query;
    snprintf(c->path, sizeof(c->path), "%.*s", SPAN_ARG(c->head->path));
    memcpy(c->peer_addr, gate_peer_addr(g), 16);
    const struct config *config = control->shared->config;
    c->is_trusted = cidr_contains(config->trusted, config->trusted_count, c->peer_addr);
    snprintf(c->peer, sizeof(c->peer), "%.*s", SPAN_ARG(gate_peer(g)));
    return c;
}

void control_on_request(void *control, struct gate *g, const struct head *h,
                        struct mailbox *mailbox)
{
    (void)h;
    struct call *c = call_new(control, g, mailbox);
    if (!c) {
        gate_abort(g);
        return;
    }
    gate_attach(g, &call_ops, c);
    gate_body_start(g, CALL_BODY_MAX);
    on_body(c);
}

static bool is_route(const struct head *h)
{
    return h->method == METHOD_PURGE || span_starts_with(h->path, SPAN_LIT("/api/cache/")) ||
           span_eq(h->path, SPAN_LIT("/health/live")) ||
           span_eq(h->path, SPAN_LIT("/health/ready"));
}

bool control_takes(const void *control, const struct head *h)
{
    const struct shared *s = ((const struct control *)control)->shared;
    return (s->config->alias_count && alias_takes(s, h)) ||
           (s->config->control.mount && is_route(h));
}

static enum gate_verdict on_head(void *arg, struct gate *g, const struct head *h)
{
    (void)arg;
    (void)g;
    (void)h;
    return GATE_TAKE;
}

static void on_request(void *arg, struct gate *g, const struct head *h)
{
    struct control *c = arg;
    control_on_request(c, g, h, loop_mailbox(c->loop));
}

static void on_refused(void *arg, struct gate *g, unsigned status, const char *why)
{
    struct security_event e = {
        .action = "bad-request", .client = gate_peer(g), .what = span_str(why), .status = status};
    (void)arg;
    log_security(&e);
}

static const struct gate_ops control_gate_ops = {
    .on_head = on_head, .on_request = on_request, .on_refused = on_refused};

/* --- life --- */

struct control *control_new(struct shared *shared, struct loop *main_loop)
{
    uint8_t boot[4];
    struct control *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->shared = shared;
    c->loop = main_loop;
    list_init(&c->jobs);
    random_bytes(boot, sizeof(boot));
    hex_format(boot, sizeof(boot), c->boot);
    c->windows = windows_new(c);
    c->schedule = schedule_new(c);
    c->repeats = repeats_new();
    bool is_told = !span_eq(shared->config->log.performance, SPAN_LIT("off"));
    c->performance = is_told ? performance_new(shared) : NULL;
    if (!c->windows || !c->schedule || !c->repeats || (is_told && !c->performance)) {
        control_free(c);
        return NULL;
    }
    return c;
}

enum err_code control_listen(struct control *c, struct address *addr, struct err *err)
{
    return loop_listen(c->loop, addr, c->shared->config, c->shared->control_tls, &control_gate_ops,
                       c, true, err);
}

enum err_code control_listen_socket(struct control *c, struct err *err)
{
    const struct control_config *k = &c->shared->config->control;
    enum err_code rc = loop_listen_socket(c->loop, k->socket.p, k->socket_mode, c->shared->config,
                                          &control_gate_ops, c, err);
    c->has_socket = rc == ERR_OK;
    return rc;
}

enum err_code control_set_front(struct control *c, const struct address *addr, bool is_tls,
                                struct err *err)
{
    struct upstream_config *u = &c->front_config;
    *u = (struct upstream_config){.name = SPAN_LIT("larder itself"),
                                  .server_count = 1,
                                  .max_connections = 64,
                                  .connect_timeout_ms = 2000,
                                  .first_byte_timeout_ms = 300000,
                                  .between_bytes_timeout_ms = 60000,
                                  .send_timeout_ms = 10000,
                                  .idle_timeout_ms = 1000,
                                  .queue_max = WARM_ITEMS_MAX,
                                  .queue_timeout_ms = 600000};
    c->front_tls = (struct tls_upstream_config){.verify = false}; /* we know who that is */
    u->tls = is_tls ? &c->front_tls : NULL;
    u->server[0] = *addr;
    bool is_any =
        !addr->host[0] || strcmp(addr->host, "0.0.0.0") == 0 || strcmp(addr->host, "::") == 0;
    if (is_any)
        snprintf(u->server[0].host, sizeof(u->server[0].host), "127.0.0.1");
    snprintf(c->front_host, sizeof(c->front_host), "%s:%u", u->server[0].host, addr->port);
    enum err_code rc = upstream_new(u, &c->front, err);
    if (rc)
        return rc;
    c->front_pool = upstream_pool_new(loop_base(c->loop), c->front);
    return c->front_pool ? ERR_OK : err_set(err, ERR_NOMEM, "control", "out of memory");
}

void control_set_ready(struct control *c, bool is_ready)
{
    bool has_started = is_ready && !c->is_ready;
    c->is_ready = is_ready;
    if (!has_started)
        return;
    aliases_warn(c->shared->config);
    schedule_start(c->schedule);
}

void control_drain(struct control *c)
{
    c->is_ready = false;
    jobs_stop(c); /* who follows one must not hold the drain up */
}

void control_tick(struct control *c)
{
    windows_tick(c->windows);
    if (c->performance)
        performance_tick(c->performance);
}

void control_stop(struct control *c)
{
    c->is_stopping = true;
    hottest_save(c);
    jobs_stop(c);
    if (c->performance)
        performance_tell(c->performance);
    if (c->front_pool)
        upstream_pool_free(take(c->front_pool));
    schedule_free(take(c->schedule));
    if (c->has_socket)
        (void)unlink(
            c->shared->config->control.socket.p); /* a leftover is removed at the next start, too */
}

void control_free(struct control *c)
{
    if (!c)
        return;
    while (!list_is_empty(&c->jobs))
        job_free(list_first(&c->jobs, struct job, link));
    if (c->front_pool)
        upstream_pool_free(c->front_pool);
    schedule_free(c->schedule);
    windows_free(c->windows);
    performance_free(c->performance);
    repeats_free(c->repeats);
    upstream_free(c->front);
    free(c);
}
