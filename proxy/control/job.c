/* Warm jobs: from their making to their being forgotten. */
#include "control-internal.h"

#include <larder/net/upstream.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { KEPT_MAX = 200, KEEP_US = 3600u * 1000000u, EVENT_EVERY_US = 100000 };

static const char *const state_names[] = {"queued", "running", "done", "cancelled", "failed"};

static bool is_ended(const struct job *j)
{
    return j->state == JOB_DONE || j->state == JOB_CANCELLED || j->state == JOB_FAILED;
}

/* Old ones go, before another comes: so many are kept with it, and so long. */
static void clean_up(struct control *c)
{
    unsigned n = 0;
    uint64_t now = mono_now_us();
    list_for_each_safe (it, next, &c->jobs) {
        struct job *j = container_of(it, struct job, link);
        bool is_old = is_ended(j) && (++n >= KEPT_MAX || now - j->ended_us > KEEP_US);
        if (is_old && list_is_empty(&j->streams))
            job_free(j);
    }
}

struct job *job_new(struct control *c, const char *name)
{
    clean_up(c);
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return NULL;
    j->control = c;
    list_init(&j->streams);
    list_push_front(&c->jobs, &j->link);
    snprintf(j->id, sizeof(j->id), "job-%llu", (unsigned long long)++c->job_numbers);
    snprintf(j->name, sizeof(j->name), "%s", name);
    j->concurrency = 4;
    j->made_unix_ms = unix_now_ms();
    return j;
}

static void drop_body(struct job *j, struct job_item *i)
{
    j->control->body_bytes -= i->answer.len;
    buf_fini(&i->answer);
    buf_init(&i->answer, JOB_BODY_MAX);
}

static void item_free(struct job *j, struct job_item *i)
{
    drop_body(j, i);
    free(i->target);
    free(i->host);
    free(i->fields);
    free(i->body);
}

void job_free(struct job *j)
{
    list_remove(&j->link);
    for (unsigned i = 0; i < j->count; i++)
        item_free(j, &j->items[i]);
    free(j->items);
    free(j->fields);
    job_source_free(j->source);
    timer_free(j->timer);
    free(j);
}

struct job *job_find(struct control *c, struct span id)
{
    list_for_each_safe (it, next, &c->jobs) {
        struct job *j = container_of(it, struct job, link);
        if (span_eq(span_str(j->id), id))
            return j;
    }
    return NULL;
}

static bool copy(struct span s, char **into)
{
    if (!s.len)
        return true;
    *into = malloc(s.len + 1);
    if (!*into)
        return false;
    memcpy(*into, s.p, s.len);
    (*into)[s.len] = '\0';
    return true;
}

enum err_code job_add_item(struct job *j, const char *method, struct span target, struct span host,
                           struct span fields, struct span body)
{
    if (j->count == WARM_ITEMS_MAX)
        return ERR_TOO_LARGE;
    if (j->count == j->room) {
        unsigned room = j->room ? j->room * 2 : 16;
        struct job_item *grown = realloc(j->items, room * sizeof(*grown));
        if (!grown)
            return ERR_NOMEM;
        j->items = grown;
        j->room = room;
    }
    struct job_item *i = &j->items[j->count];
    memset(i, 0, sizeof(*i));
    i->method = method;
    buf_init(&i->answer, JOB_BODY_MAX);
    bool is_whole = copy(target, &i->target) && copy(host, &i->host) && copy(fields, &i->fields) &&
                    copy(body, &i->body);
    if (is_whole)
        j->count++;
    else
        item_free(j, i);
    return is_whole ? ERR_OK : ERR_NOMEM;
}

unsigned job_failed(const struct job *j)
{
    unsigned n = 0;
    for (unsigned i = 0; i < j->count; i++)
        n += j->items[i].is_done && (j->items[i].error || j->items[i].status >= 400);
    return n;
}

bool job_found_nobody(const struct job *j)
{
    bool found_nobody = j->state == JOB_FAILED && j->source;
    for (unsigned i = 0; i < j->count; i++) {
        const struct job_item *item = &j->items[i];
        bool is_gateways = item->status >= 502 && item->status <= 504;
        found_nobody |= item->is_done && (item->error || is_gateways);
    }
    return found_nobody;
}

/* --- as people see it --- */

static void write_item(struct json_writer *w, const struct job_item *i)
{
    json_write_object(w, NULL);
    json_write_str(w, "url", i->target);
    if (i->method[0] != 'G')
        json_write_str(w, "method", i->method);
    if (!i->is_done) {
        json_write_str(w, "state", i->exchange ? "running" : "queued");
    } else if (i->error) {
        json_write_str(w, "error", upstream_error_name(i->error));
    } else {
        json_write_u64(w, "status", i->status);
        json_write_str(w, "outcome", i->outcome);
        json_write_bool(w, "stored", i->is_stored);
        json_write_u64(w, "bytes", i->bytes);
    }
    if (i->is_done)
        json_write_double(w, "ms", (double)i->us / 1000, 3);
    if (i->answer.failed)
        json_write_bool(w, "body_left_out", true);
    else if (i->answer.len) {
        cleanup(json_doc_freep) struct json_doc *doc = NULL;
        enum { DEPTH = 64 };
        enum err_code rc = json_parse(buf_span(&i->answer), NULL, 0, DEPTH, &doc, NULL);
        if (rc == ERR_NOMEM) { /* nobody knows what it is */
            w->out->failed = w->out->no_memory = true;
        } else if (rc == ERR_OK) {
            json_write_name(w, SPAN_LIT("body"));
            buf_add_span(w->out, buf_span(&i->answer));
            w->need_comma = true;
        } else {
            json_write_span(w, "body", buf_span(&i->answer));
        }
    }
    json_write_object_end(w);
}

static void write_started(struct json_writer *w, const struct job *j)
{
    char text[40];
    time_t s = (time_t)(j->made_unix_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    json_write_str(w, "started", text);
}

void job_write(const struct job *j, struct json_writer *w, const char *name, bool with_items)
{
    unsigned failed = job_failed(j);
    uint64_t end_us = is_ended(j) ? j->ended_us : mono_now_us();
    json_write_object(w, name);
    json_write_str(w, "id", j->id);
    json_write_str(w, "name", j->name);
    json_write_str(w, "state", state_names[j->state]);
    json_write_u64(w, "total", j->count);
    json_write_u64(w, "done", j->done);
    json_write_u64(w, "warmed", j->done - failed);
    json_write_u64(w, "failed", failed);
    write_started(w, j);
    json_write_u64(w, "elapsed_ms", j->started_us ? (end_us - j->started_us) / 1000 : 0);
    if (j->why[0])
        json_write_str(w, "why", j->why);
    if (with_items) {
        json_write_array(w, "items");
        for (unsigned i = 0; i < j->count; i++)
            write_item(w, &j->items[i]);
        json_write_array_end(w);
    }
    json_write_object_end(w);
}

/* --- who follows it --- */

static void send_event(struct job *j, struct call *c, bool is_last)
{
    cleanup(buf_fini) struct buf text;
    struct json_writer w;
    buf_init(&text, 4096);
    json_writer_init(&w, &text);
    job_write(j, &w, NULL, false);
    call_send_event(c, is_last ? "end" : "progress", buf_span(&text), is_last);
}

/* At most ten times a second, and at the end. */
static void tell_streams(struct job *j, bool is_end)
{
    uint64_t now = mono_now_us();
    if (!is_end && now - j->event_us < EVENT_EVERY_US)
        return;
    j->event_us = now;
    list_for_each_safe (it, next, &j->streams) {
        struct call *c = container_of(it, struct call, in_stream);
        send_event(j, c, is_end || c->is_gone);
    }
}

void job_follow(struct job *j, struct call *c)
{
    list_push_back(&j->streams, &c->in_stream);
    send_event(j, c, is_ended(j));
}

static void answer_waiting(struct job *j)
{
    struct call *c = j->waiting;
    struct json_writer w;
    if (!c)
        return;
    j->waiting = NULL;
    unsigned failed = job_failed(j);
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_str(&w, "status",
                   j->state != JOB_DONE ? state_names[j->state]
                   : failed             ? "partial"
                                        : "ok");
    json_write_u64(&w, "warmed", j->done - failed);
    json_write_u64(&w, "failed", failed);
    job_write(j, &w, "job", true);
    json_write_object_end(&w);
    if (j->state == JOB_DONE)
        repeats_note(c);
    call_done(c);
    for (unsigned i = 0; i < j->count; i++)
        drop_body(j, &j->items[i]); /* they have been told */
}

static void count_end(struct job *j)
{
    struct control *c = j->control;
    uint64_t *counter = j->state == JOB_DONE     ? &c->jobs_ended.done
                        : j->state == JOB_FAILED ? &c->jobs_ended.failed
                                                 : &c->jobs_ended.cancelled;
    ++*counter;
    hist_record(&c->jobs_ended.time, j->ended_us - j->started_us);
}

void jobs_figures_read(const struct control *c, struct jobs_figures *ret)
{
    *ret = (struct jobs_figures){.done = c->jobs_ended.done,
                                 .failed = c->jobs_ended.failed,
                                 .cancelled = c->jobs_ended.cancelled};
    for (struct list *it = c->jobs.next; it != &c->jobs; it = it->next) {
        const struct job *j = container_of(it, struct job, link);
        ret->queued += j->state == JOB_QUEUED;
        ret->running += j->state == JOB_RUNNING;
        if (!is_ended(j))
            ret->items_waiting += j->count - j->done - j->running;
    }
}

void jobs_write(const struct control *c, struct json_writer *w)
{
    struct jobs_figures f;
    jobs_figures_read(c, &f);
    json_write_object(w, "jobs");
    json_write_u64(w, "queued", f.queued);
    json_write_u64(w, "running", f.running);
    json_write_u64(w, "done", f.done);
    json_write_u64(w, "failed", f.failed);
    json_write_u64(w, "cancelled", f.cancelled);
    json_write_u64(w, "items_waiting", f.items_waiting);
    stats_write_times(w, "duration_ms", &c->jobs_ended.time);
    json_write_object_end(w);
}

static void end(struct job *j, enum job_state state)
{
    j->state = state;
    j->ended_us = mono_now_us();
    count_end(j);
    timer_stop(j->timer);
    unsigned failed = job_failed(j);
    log_info("%s \"%s\" %s: %u warmed, %u failed of %u%s%s", j->id, j->name, state_names[state],
             j->done - failed, failed, j->count, j->why[0] ? ": " : "", j->why);
    answer_waiting(j);
    tell_streams(j, true);
}

void job_fail(struct job *j, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(j->why, sizeof(j->why), fmt, args);
    va_end(args);
    end(j, JOB_FAILED);
}

static void on_timer(void *arg)
{
    job_run(arg);
}

void job_start(struct job *j)
{
    if (!j->timer)
        j->timer = timer_new(j->control->loop, on_timer, j);
    j->started_us = mono_now_us();
    j->state = j->source ? JOB_QUEUED : JOB_RUNNING;
    if (!j->timer || !j->control->front_pool)
        job_fail(j, "%s", j->timer ? "larder is stopping" : "out of memory");
    else if (j->source)
        job_step_source(j);
    else
        job_run(j);
}

/* Called by job_run() after each step. */
void job_on_progress(struct job *j)
{
    if (j->state == JOB_RUNNING && j->done == j->count)
        end(j, JOB_DONE);
    else
        tell_streams(j, false);
}

void job_cancel(struct job *j)
{
    if (is_ended(j))
        return;
    for (unsigned i = 0; i < j->count; i++)
        if (j->items[i].exchange)
            exchange_cancel(take(j->items[i].exchange));
    job_source_cancel(j->source);
    j->running = 0;
    end(j, JOB_CANCELLED);
}

bool job_retry(struct job *j)
{
    unsigned again = is_ended(j) && j->source ? 1 : 0; /* its values have not come */
    for (unsigned i = 0; is_ended(j) && i < j->count; i++) {
        struct job_item *item = &j->items[i];
        if (item->is_done && !item->error && item->status < 400)
            continue;
        again++;
        j->done -= item->is_done;
        item->is_done = false;
        item->error = UPSTREAM_OK;
        item->status = 0;
        drop_body(j, item);
    }
    if (!again)
        return false;
    j->next = 0;
    j->why[0] = '\0';
    job_start(j);
    return true;
}

void jobs_stop(struct control *c)
{
    list_for_each_safe (it, next, &c->jobs)
        job_cancel(container_of(it, struct job, link));
}
