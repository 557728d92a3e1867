/* A call's way: its head and body are read in the gate's thread, a letter takes it to the main
 * loop, where it is handled, and another takes the reply back. */
#include "control-internal.h"

#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void call_free(struct call *c)
{
    buf_fini(&c->query);
    buf_fini(&c->body);
    buf_fini(&c->authorization);
    buf_fini(&c->reply);
    free(c);
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

static void write_reply(struct call *c)
{
    struct gate *g = c->gate;
    bool close = gate_must_close(g);
    bool is_head = c->method == METHOD_HEAD;
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 64 * 1024);
    if (c->reply.failed)
        (void)call_fail(c, 503, "overloaded", "the answer is too large");
    if (c->problem) {
        char fields_block[160];
        struct buf fields;
        buf_init_fixed(&fields, fields_block, sizeof(fields_block));
        if (c->allow)
            buf_add_fmt(&fields, "Allow: %s\r\n", c->allow);
        if (c->status == 401)
            buf_add_str(&fields, "WWW-Authenticate: Bearer\r\n");
        struct problem p = {.status = c->status,
                            .type = c->problem,
                            .detail = c->detail,
                            .head_only = is_head,
                            .close = close,
                            .extra_fields = buf_span(&fields)};
        reply_problem_format(&p, &out);
        gate_write(g, out.p, out.len);
    } else {
        buf_add_char(&c->reply, '\n');
        reply_json_head_format(c->status, c->reply.len, close, false, &out);
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
    if (c->gate)
        write_reply(c);
    call_free(c);
}

void call_done(struct call *c)
{
    if (c->is_main) {
        on_reply(&c->letter);
        return;
    }
    c->letter.on_delivery = on_reply;
    mailbox_post(c->home, &c->letter);
}

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
    size_t len = evbuffer_get_length(in);
    if (len) {
        buf_add(&c->body, evbuffer_pullup(in, -1), len);
        evbuffer_drain(in, len);
        gate_body_taken(c->gate);
    }
    switch (gate_body_state(c->gate)) {
    case BODY_NONE:
    case BODY_WHOLE:
        if (evbuffer_get_length(in) == 0)
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
    if (!c->is_sent)
        call_free(c); /* otherwise its letter comes back, and frees it */
}

static const struct gate_flow_ops call_ops = {
    .on_body = on_body, .on_drained = on_drained, .on_gone = on_gone};

static struct call *call_new(struct control *control, struct gate *g, const struct head *h,
                             struct mailbox *mailbox)
{
    struct call *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->control = control;
    c->home = mailbox;
    c->is_main = mailbox == loop_mailbox(control->loop);
    c->gate = g;
    c->method = h->method;
    snprintf(c->path, sizeof(c->path), "%.*s", SPAN_ARG(h->path));
    buf_init(&c->query, 64 * 1024);
    buf_init(&c->body, CALL_BODY_MAX + 1);
    buf_init(&c->authorization, 8192);
    buf_init(&c->reply, REPLY_MAX);
    buf_add_span(&c->query, h->query);
    const struct field *auth = head_field(h, FIELD_AUTHORIZATION);
    if (auth)
        buf_add_span(&c->authorization, auth->value);
    memcpy(c->peer_addr, gate_peer_addr(g), 16);
    snprintf(c->peer, sizeof(c->peer), "%.*s", SPAN_ARG(gate_peer(g)));
    return c;
}

void control_on_request(void *control, struct gate *g, const struct head *h,
                        struct mailbox *mailbox)
{
    struct call *c = call_new(control, g, h, mailbox);
    if (!c) {
        gate_abort(g);
        return;
    }
    gate_attach(g, &call_ops, c);
    gate_body_start(g, CALL_BODY_MAX);
    on_body(c);
}

bool control_is_control(const struct head *h)
{
    return span_starts_with(h->path, SPAN_LIT("/api/cache/")) ||
           span_eq(h->path, SPAN_LIT("/health/live")) ||
           span_eq(h->path, SPAN_LIT("/health/ready"));
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

static const struct gate_ops control_gate_ops = {.on_head = on_head, .on_request = on_request};

struct control *control_new(struct shared *shared, struct loop *main_loop)
{
    struct control *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->shared = shared;
    c->loop = main_loop;
    list_init(&c->warms);
    return c;
}

enum err_code control_listen(struct control *c, struct address *addr, struct err *err)
{
    return loop_listen(c->loop, addr, c->shared->config, &control_gate_ops, c, true, err);
}

enum err_code control_set_front(struct control *c, const struct address *addr, struct err *err)
{
    struct upstream_config *u = &c->front_config;
    *u = (struct upstream_config){.name = SPAN_LIT("larder itself"),
                                  .server_count = 1,
                                  .max_connections = 64,
                                  .connect_timeout_ms = 2000,
                                  .first_byte_timeout_ms = 120000,
                                  .between_bytes_timeout_ms = 60000,
                                  .send_timeout_ms = 10000,
                                  .idle_timeout_ms = 1000,
                                  .queue_max = 1000,
                                  .queue_timeout_ms = 120000};
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
    c->is_ready = is_ready;
}

void control_stop(struct control *c)
{
    if (c->front_pool)
        upstream_pool_free(take(c->front_pool));
    warms_stop(c);
}

void control_free(struct control *c)
{
    if (!c)
        return;
    if (c->front_pool)
        upstream_pool_free(c->front_pool);
    upstream_free(c->front);
    free(c);
}
