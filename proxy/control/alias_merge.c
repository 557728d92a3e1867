/* The app is asked by a request to larder's own front, so that routes, limits and pools are those
 * of any client. It bears larder's word, by which an alias is not met again; the client's
 * end-to-end fields, cookies and body go along, and so do the app's own fields on the way back. */
#include "alias-internal.h"

#include <larder/net/drain.h>
#include <larder/net/upstream.h>

#include <stdlib.h>

enum { HEAD_MAX = 256 * 1024, DEPTH = 64, PATCH_DEPTH = 160 };

struct alias_app {
    struct call *call;
    struct exchange *exchange;
    void (*on_end)(void *arg);
    void *arg;
    unsigned status; /* 0: no answer */
    enum upstream_error error;
    bool has_cors;
    struct buf line, fields; /* of its head: those that stay whatever becomes of the body... */
    struct buf of_body;      /* ... and those that tell of these very bytes */
    struct buf body;
};

static void add_line(struct buf *out, struct span name, struct span value)
{
    buf_add_span(out, name);
    buf_add_str(out, ": ");
    buf_add_span(out, value);
    buf_add_str(out, "\r\n");
}

/* --- asking --- */

static bool is_ours(const struct call *c, const struct field *f)
{
    switch (f->id) {
    case FIELD_HOST:
    case FIELD_CONTENT_LENGTH:
    case FIELD_EXPECT:
    case FIELD_ACCEPT_ENCODING: /* what is packed cannot be merged into */
    case FIELD_IF_MATCH:
    case FIELD_IF_NONE_MATCH:
    case FIELD_IF_MODIFIED_SINCE:
    case FIELD_IF_UNMODIFIED_SINCE:
    case FIELD_IF_RANGE:
    case FIELD_RANGE:
    case FIELD_FORWARDED:
    case FIELD_X_FORWARDED_FOR:
    case FIELD_X_FORWARDED_HOST:
    case FIELD_X_FORWARDED_PROTO:
    case FIELD_X_REAL_IP:
    case FIELD_LARDER_WARM:
        return true;
    case FIELD_X_REQUEST_ID:
        return !c->is_trusted;
    case FIELD_AUTHORIZATION: /* the app need not know larder's tokens */
        return access_has_token(c);
    default:
        return field_is_hop_by_hop(c->head, f);
    }
}

/* What any client's request would tell the app of who asks. */
static void add_forwarded(const struct call *c, struct buf *out)
{
    const struct head *h = c->head;
    const struct field *proto = c->is_trusted ? head_field(h, FIELD_X_FORWARDED_PROTO) : NULL;
    const struct field *host = c->is_trusted ? head_field(h, FIELD_X_FORWARDED_HOST) : NULL;
    buf_add_str(out, "X-Forwarded-For: ");
    for (unsigned i = 0; c->is_trusted && i < h->field_count; i++) {
        if (h->fields[i].id != FIELD_X_FORWARDED_FOR || !h->fields[i].value.len)
            continue;
        buf_add_span(out, h->fields[i].value);
        buf_add_str(out, ", ");
    }
    buf_add_str(out, c->peer);
    buf_add_str(out, "\r\n");
    add_line(out, SPAN_LIT("X-Forwarded-Proto"),
             proto       ? proto->value
             : c->is_tls ? SPAN_LIT("https")
                         : SPAN_LIT("http"));
    if (host || h->host.len)
        add_line(out, SPAN_LIT("X-Forwarded-Host"), host ? host->value : h->host);
}

static void format_head(const struct call *c, struct buf *out)
{
    const struct head *h = c->head;
    buf_add_span(out, h->method == METHOD_HEAD ? SPAN_LIT("GET") : h->method_text);
    buf_add_char(out, ' ');
    buf_add_span(out, h->target);
    buf_add_str(out, " HTTP/1.1\r\n");
    add_line(out, SPAN_LIT("Host"), h->host.len ? h->host : span_str(c->control->front_host));
    for (unsigned i = 0; i < h->field_count; i++)
        if (!is_ours(c, &h->fields[i]))
            add_line(out, h->fields[i].name, h->fields[i].value);
    add_forwarded(c, out);
    buf_add_fmt(out, "Larder-Warm: %s; alias\r\n", c->control->shared->warm_token);
    if (c->body.len || h->framing != FRAMING_NONE)
        buf_add_fmt(out, "Content-Length: %zu\r\n", c->body.len);
    buf_add_str(out, "\r\n");
}

/* Of these very bytes, or of how long they may be kept: larder's figures are of this moment, and of
 * a closed alias they are not for everybody. */
static bool tells_of_body(const struct field *f)
{
    static const char *const names[] = {
        "content-md5", "digest", "repr-digest",       "content-digest",   "expires",
        "age",         "pragma", "cdn-cache-control", "surrogate-control"};
    if (f->id == FIELD_ETAG || f->id == FIELD_LAST_MODIFIED || f->id == FIELD_ACCEPT_RANGES ||
        f->id == FIELD_CONTENT_ENCODING || f->id == FIELD_CACHE_CONTROL)
        return true;
    for (unsigned i = 0; i < array_len(names); i++)
        if (span_eq_nocase(f->name, span_str(names[i])))
            return true;
    return false;
}

static void on_head(void *arg, const struct head *h)
{
    struct alias_app *a = arg;
    a->status = h->status;
    a->has_cors = head_field(h, FIELD_ACCESS_CONTROL_ALLOW_ORIGIN) != NULL;
    buf_add_fmt(&a->line, "HTTP/1.1 %u " SPAN_FMT "\r\n", h->status, SPAN_ARG(h->reason));
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        if (f->id != FIELD_CONTENT_LENGTH && !field_is_hop_by_hop(h, f))
            add_line(tells_of_body(f) ? &a->of_body : &a->fields, f->name, f->value);
    }
}

static void on_body(void *arg)
{
    struct alias_app *a = arg;
    drain_to_buf(exchange_body(a->exchange), &a->body);
}

static void on_end(void *arg)
{
    struct alias_app *a = arg;
    on_body(a);
    a->exchange = NULL;
    a->on_end(a->arg);
}

static void on_error(void *arg, enum upstream_error e)
{
    struct alias_app *a = arg;
    a->exchange = NULL;
    a->status = 0;
    a->error = e;
    a->on_end(a->arg);
}

static const struct exchange_ops ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

static struct exchange *start(struct alias_app *a, struct call *c)
{
    cleanup(buf_fini) struct buf head;
    buf_init(&head, HEAD_MAX);
    format_head(c, &head);
    enum method m = c->head->method == METHOD_HEAD ? METHOD_GET : c->head->method;
    struct exchange_request req = {.head = buf_span(&head),
                                   .method = m,
                                   .body_kind =
                                       c->body.len ? EXCHANGE_WHOLE_BODY : EXCHANGE_NO_BODY,
                                   .body = buf_span(&c->body)};
    return head.failed || !c->control->front_pool
               ? NULL
               : exchange_start(c->control->front_pool, &req, &ops, a);
}

struct alias_app *alias_app_ask(struct call *c, void (*on_end_)(void *arg), void *arg)
{
    struct alias_app *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->call = c;
    a->on_end = on_end_;
    a->arg = arg;
    buf_init(&a->line, HEAD_MAX);
    buf_init(&a->fields, HEAD_MAX);
    buf_init(&a->of_body, HEAD_MAX);
    buf_init(&a->body, REPLY_MAX);
    a->exchange = start(a, c);
    if (a->exchange)
        return a;
    alias_app_free(a);
    return NULL;
}

void alias_app_free(struct alias_app *a)
{
    if (!a)
        return;
    if (a->exchange)
        exchange_cancel(take(a->exchange));
    buf_fini(&a->line);
    buf_fini(&a->fields);
    buf_fini(&a->of_body);
    buf_fini(&a->body);
    free(a);
}

bool alias_app_has_answered(const struct alias_app *a, struct call *c)
{
    bool no_memory = a->line.failed || a->fields.failed || a->of_body.failed || a->body.no_memory;
    if (a->status && no_memory)
        return !call_fail_nomem(c);
    if (a->status && a->body.failed)
        return !call_fail(c, 502, "too-large", "the app's answer is over %d bytes", REPLY_MAX);
    if (a->status)
        return true;
    return !call_fail(c, upstream_error_status(a->error), "upstream",
                      "the app could not be asked: %s", upstream_error_name(a->error));
}

bool alias_app_has_agreed(const struct alias_app *a)
{
    return a->status >= 200 && a->status < 300;
}

bool alias_app_has_cors(const struct alias_app *a)
{
    return a->has_cors;
}

/* --- its answer --- */

void alias_app_pass(struct alias_app *a, struct call *c)
{
    c->status = a->status;
    buf_add_span(&c->passed, buf_span(&a->line));
    buf_add_span(&c->passed, buf_span(&a->fields));
    buf_add_span(&c->passed, buf_span(&a->of_body));
    buf_reset(&c->reply);
    buf_add_span(&c->reply, buf_span(&a->body));
}

void alias_app_merge(struct alias_app *a, struct call *c, struct span patch, unsigned status)
{
    cleanup(json_doc_freep) struct json_doc *own = NULL;
    cleanup(json_doc_freep) struct json_doc *ours = NULL; /* some of it becomes part of <own> */
    enum err_code rc = json_parse(buf_span(&a->body), NULL, 0, DEPTH, &own, NULL);
    bool is_part = a->status == 206; /* what it is a part of is not known */
    if (is_part || (rc != ERR_NOMEM && (rc || json_root(own)->type != JSON_OBJECT))) {
        alias_app_pass(a, c);
        return;
    }
    if (rc || json_parse(patch, NULL, 0, PATCH_DEPTH, &ours, NULL) != ERR_OK) {
        (void)call_fail_nomem(c);
        return;
    }
    c->status = status ? status : a->status;
    if (status)
        buf_add_fmt(&c->passed, "HTTP/1.1 %u %s\r\n", status, status_reason(status));
    else
        buf_add_span(&c->passed, buf_span(&a->line));
    buf_add_span(&c->passed, buf_span(&a->fields));
    buf_add_str(&c->passed, "Cache-Control: no-store\r\n");
    buf_reset(&c->reply);
    json_merge_patch(json_edit(own), json_edit(ours), NULL);
    json_format(json_root(own), &c->reply);
}
