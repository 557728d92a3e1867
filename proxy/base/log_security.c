/* Events at the door, as lines of JSON with ECS names. Anybody can cause them, as many as he likes,
 * so each action has a number of lines for each second; what is left out is counted, and told. */
#include "log-internal.h"

#include <larder/base/json.h>
#include <larder/base/monotime.h>

#include <pthread.h>
#include <stdio.h>

enum { ACTIONS_MAX = 16, LINE_BYTES = 16 * 1024, TEXT_MAX = 256, SECOND_MS = 1000 };

static struct {
    pthread_mutex_t lock;
    unsigned count;
    struct action {
        const char *name;
        mono_ms since; /* the second that is counted */
        unsigned lines;
        uint64_t suppressed; /* since the last line that told of it */
    } actions[ACTIONS_MAX];
} door = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct action *find_action(const char *name)
{
    for (unsigned i = 0; i < door.count; i++)
        if (strcmp(door.actions[i].name, name) == 0)
            return &door.actions[i];
    if (door.count == ACTIONS_MAX)
        return NULL; /* there are not so many */
    door.actions[door.count] = (struct action){.name = name};
    return &door.actions[door.count++];
}

static bool may_tell(const char *name)
{
    mono_ms now = mono_now_ms();
    pthread_mutex_lock(&door.lock);
    struct action *a = find_action(name);
    if (a && now - a->since >= SECOND_MS) {
        a->since = now;
        a->lines = 0;
    }
    bool may = !a || a->lines < LOG_SECURITY_RATE;
    if (a && may)
        a->lines++;
    else if (a)
        a->suppressed++;
    pthread_mutex_unlock(&door.lock);
    return may;
}

static void begin_line(struct json_writer *w, struct buf *out, bool is_audit, const char *action)
{
    char when_block[40];
    struct buf when;
    buf_init_fixed(&when, when_block, sizeof(when_block));
    log_time_format(unix_now_ms(), &when);
    json_writer_init(w, out);
    json_write_object(w, NULL);
    json_write_span(w, "@timestamp", buf_span(&when));
    json_write_str(w, "log.level", is_audit ? "info" : "warn");
    json_write_str(w, "event.action", action);
}

static void end_line(struct json_writer *w, struct buf *out)
{
    json_write_object_end(w);
    if (out->failed)
        log_count_dropped(1);
    else
        log_line(LOG_SECURITY, buf_span(out));
}

void security_tell_suppressed(bool is_due)
{
    mono_ms now = mono_now_ms();
    for (unsigned i = 0; i < ACTIONS_MAX; i++) {
        pthread_mutex_lock(&door.lock);
        struct action *a = &door.actions[i];
        struct action was = *a;
        bool is_over = i < door.count && a->suppressed && (is_due || now - a->since >= SECOND_MS);
        if (is_over)
            a->suppressed = 0;
        pthread_mutex_unlock(&door.lock);
        if (!is_over)
            continue;
        char line[512], text[160];
        struct buf out;
        struct json_writer w;
        buf_init_fixed(&out, line, sizeof(line));
        snprintf(text, sizeof(text), "security: %s: %llu more that no line tells of", was.name,
                 (unsigned long long)was.suppressed);
        begin_line(&w, &out, false, was.name);
        json_write_u64(&w, "larder.suppressed", was.suppressed);
        json_write_str(&w, "message", text);
        end_line(&w, &out);
    }
}

static struct span cut(struct span s)
{
    return span_of(s.p, s.len < TEXT_MAX ? s.len : TEXT_MAX);
}

static void write_text(struct json_writer *w, const char *name, struct span text)
{
    if (text.len)
        json_write_span(w, name, cut(text));
}

/* The path alone: a query may hold what a route calls secret. */
static struct span without_query(struct span target, char block[TEXT_MAX])
{
    struct span query, path = span_split(target, '?', &query);
    if (!query.p)
        return target;
    struct buf out;
    buf_init_fixed(&out, block, TEXT_MAX);
    buf_add_span(&out, span_of(path.p, path.len < TEXT_MAX - 8 ? path.len : TEXT_MAX - 8));
    buf_add_str(&out, "?...");
    return buf_span(&out);
}

static void add_part(struct buf *out, const char *before, struct span text)
{
    if (!text.len)
        return;
    buf_add_str(out, before);
    buf_add_span(out, cut(text));
}

static void add_message(const struct security_event *e, struct span target, struct buf *out)
{
    if (e->message) {
        struct span text = span_str(e->message);
        buf_add_span(out, span_of(text.p, text.len < MESSAGE_BYTES ? text.len : MESSAGE_BYTES - 1));
        return;
    }
    buf_add_fmt(out, "security: %s%s", e->action, e->is_dry_run ? " (dry run)" : "");
    add_part(out, " by ", e->client);
    add_part(out, ": ", e->method);
    add_part(out, e->method.len ? " " : ": ", target);
    add_part(out, e->method.len || target.len ? " " : ": ", e->what);
    if (e->status)
        buf_add_fmt(out, ": %u", e->status);
}

static void write_event(struct json_writer *w, const struct security_event *e)
{
    char target_block[TEXT_MAX], text_block[5 * TEXT_MAX];
    struct span target = without_query(e->target, target_block);
    struct buf text;
    buf_init_fixed(&text, text_block, sizeof(text_block));
    add_message(e, target, &text);
    write_text(w, "client.ip", e->client);
    write_text(w, "user.name", e->user);
    write_text(w, "http.request.method", e->method);
    write_text(w, "url.original", target);
    if (e->status)
        json_write_u64(w, "http.response.status_code", e->status);
    write_text(w, strcmp(e->action, "rate-limited") == 0 ? "larder.policy" : "event.reason",
               e->what);
    write_text(w, "http.request.id", e->request_id);
    if (e->is_dry_run)
        json_write_bool(w, "larder.dry_run", true);
    json_write_span(w, "message", buf_span(&text));
}

void log_security(const struct security_event *e)
{
    char line[LINE_BYTES];
    struct buf out;
    struct json_writer w;
    if ((!e->is_audit || e->is_anybodys) && !may_tell(e->action))
        return;
    buf_init_fixed(&out, line, sizeof(line));
    begin_line(&w, &out, e->is_audit, e->action);
    write_event(&w, e);
    end_line(&w, &out);
}
