/* A job's requests go through larder's own public listener, so that they take the very way of a
 * client: same route, same key, same judgement. They carry larder's word for a warm request: then
 * they give way to clients' misses upstream, and are not counted as clients. */
#include "control-internal.h"

#include <larder/http/uri.h>
#include <larder/net/drain.h>
#include <larder/net/upstream.h>

#include <event2/buffer.h>

/* What could break out of its line never gets into a head. */
bool warm_is_clean(struct span s, bool may_have_space)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char b = (unsigned char)s.p[i];
        if (b < 0x20 || b == 0x7f || (b == ' ' && !may_have_space))
            return false;
    }
    return true;
}

static void item_done(struct job_item *i, enum upstream_error e)
{
    struct job *j = i->job;
    i->exchange = NULL;
    i->error = e;
    i->is_done = true;
    i->us = mono_now_us() - i->started_us;
    j->running--;
    j->done++;
    job_run(j);
}

/* "larder; hit; ttl=9" and "larder; fwd=uri-miss; stored": the last member is our own. */
static void on_head(void *arg, const struct head *h)
{
    struct job_item *i = arg;
    struct span status = span_of(NULL, 0);
    i->status = h->status;
    for (unsigned n = 0; n < h->field_count; n++)
        if (h->fields[n].id == FIELD_CACHE_STATUS)
            status = h->fields[n].value;
    struct buf out;
    buf_init_fixed(&out, i->outcome, sizeof(i->outcome) - 1);
    while (status.p) {
        struct span part = span_trim(span_split(status, ';', &status));
        if (span_eq(part, SPAN_LIT("hit")))
            buf_add_str(&out, "hit");
        else if (span_starts_with(part, SPAN_LIT("fwd=")))
            buf_add_span(&out, span_of(part.p + 4, part.len - 4));
        i->is_stored |= span_eq(part, SPAN_LIT("stored"));
    }
    i->outcome[out.len] = '\0';
}

static void keep_body(struct job_item *i, struct evbuffer *body, size_t len)
{
    struct control *c = i->job->control;
    size_t before = i->answer.len;
    if (c->body_bytes + len <= JOB_BODIES_MAX)
        drain_to_buf(body, &i->answer);
    else
        i->answer.failed = true;
    c->body_bytes += i->answer.len - before;
}

static void on_body(void *arg)
{
    struct job_item *i = arg;
    struct evbuffer *body = exchange_body(i->exchange);
    size_t len = evbuffer_get_length(body);
    i->bytes += len;
    if (i->job->wants_bodies && len)
        keep_body(i, body, len);
    evbuffer_drain(body, len);
}

static void on_end(void *arg)
{
    on_body(arg);
    item_done(arg, UPSTREAM_OK);
}

static void on_error(void *arg, enum upstream_error e)
{
    item_done(arg, e);
}

static const struct exchange_ops item_ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};

static void format_head(const struct job_item *i, struct buf *out)
{
    const struct control *c = i->job->control;
    struct span host = span_str(i->host ? i->host : c->front_host), none;
    bool is_https;
    (void)uri_split(host, &is_https, &host, &none);
    buf_add_fmt(out, "%s %s HTTP/1.1\r\nHost: " SPAN_FMT "\r\nUser-Agent: larder-warm\r\n",
                i->method, i->target, SPAN_ARG(host));
    if (is_https)
        buf_add_str(out, "X-Forwarded-Proto: https\r\n");
    buf_add_fmt(out, "Larder-Warm: %s%s\r\n", c->shared->warm_token,
                i->job->wants_new ? "; refresh" : "");
    buf_add_str(out, i->job->fields ? i->job->fields : "");
    buf_add_str(out, i->fields ? i->fields : "");
    if (i->body)
        buf_add_fmt(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                    strlen(i->body));
    buf_add_str(out, "\r\n");
}

static struct exchange *start_exchange(struct job_item *i, const struct exchange_ops *ops)
{
    cleanup(buf_fini) struct buf head;
    buf_init(&head, 256 * 1024);
    format_head(i, &head);
    struct exchange_request req = {.head = buf_span(&head),
                                   .method = i->body ? METHOD_POST : METHOD_GET,
                                   .body_kind = i->body ? EXCHANGE_WHOLE_BODY : EXCHANGE_NO_BODY,
                                   .body = span_str(i->body)};
    i->started_us = mono_now_us();
    if (head.failed || !i->job->control->front_pool)
        return NULL;
    return exchange_start(i->job->control->front_pool, &req, ops, i);
}

static void start_item(struct job *j, struct job_item *i)
{
    i->job = j;
    i->bytes = 0;
    i->is_stored = false;
    i->exchange = start_exchange(i, &item_ops);
    if (i->exchange) {
        j->running++;
        return;
    }
    i->error = UPSTREAM_STOPPED;
    i->is_done = true;
    j->done++;
}

/* How long until the rate lets another item begin; 0: now. */
static uint64_t wait_for_rate(const struct job *j, unsigned begun)
{
    if (!j->rate)
        return 0;
    uint64_t due_us = j->started_us + begun * 1000000ull / j->rate, now = mono_now_us();
    return due_us > now ? (due_us - now) / 1000 + 1 : 0;
}

void job_run(struct job *j)
{
    if (j->is_running_now)
        return; /* an item has ended within its start */
    j->is_running_now = true;
    while (j->state == JOB_RUNNING && j->next < j->count && j->running < j->concurrency) {
        struct job_item *i = &j->items[j->next];
        uint64_t wait_ms = i->is_done ? 0 : wait_for_rate(j, j->next);
        if (wait_ms) {
            timer_start(j->timer, wait_ms);
            break;
        }
        j->next++;
        if (!i->is_done)
            start_item(j, i);
    }
    j->is_running_now = false;
    job_on_progress(j);
}

/* --- values that must be fetched first --- */

static void on_source_body(void *arg)
{
    struct job_item *i = arg;
    drain_to_buf(exchange_body(i->exchange), &i->answer);
}

static void on_source_end(void *arg)
{
    struct job_item *i = arg;
    struct job *j = i->job;
    on_source_body(i);
    i->exchange = NULL;
    unsigned status = i->status;
    if (status != 200) {
        job_fail(j, "%s, where values should come from, answered %u", i->target, status);
        return;
    }
    if (job_source_on_answer(j, buf_span(&i->answer)))
        job_start(j); /* the next source, or the items */
}

static void on_source_error(void *arg, enum upstream_error e)
{
    struct job_item *i = arg;
    i->exchange = NULL;
    job_fail(i->job, "%s, where values should come from: %s", i->target, upstream_error_name(e));
}

static const struct exchange_ops source_ops = {.on_head = on_head,
                                               .on_body = on_source_body,
                                               .on_end = on_source_end,
                                               .on_error = on_source_error};

void job_step_source(struct job *j)
{
    struct job_item *i = job_source_item(j);
    i->job = j;
    i->exchange = i->target ? start_exchange(i, &source_ops) : NULL;
    if (!i->target)
        job_fail(j, "out of memory");
    else if (!i->exchange)
        job_fail(j, "%s, where values should come from, cannot be asked", i->target);
}
