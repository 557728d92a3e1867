/* Following a job: its event stream, a line that is drawn again, and Ctrl-C.
 *
 * A stream that ends early or falls silent is asked for again, and an answer that is no stream but
 * a job counts as one event: so a proxy that buffers costs smoothness, not the result.
 */
#include "ctl-internal.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { SILENCE_MS = 30000, AGAIN_MS = 500, TRIES = 5 };

struct watch {
    const struct client *client;
    struct buf id;
    struct progress now;
    struct sse sse;
    struct buf plain; /* an answer that is no stream */
    int tenth;        /* the last one told */
    bool is_terminal, has_line, has_news;
};

static unsigned terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        return size.ws_col - 1U; /* the last column would wrap */
    return 79;
}

static void draw(struct watch *w)
{
    char block[512];
    struct buf out;
    if (w->client->is_json)
        return;
    buf_init_fixed(&out, block, sizeof(block));
    if (w->is_terminal) {
        buf_add_char(&out, '\r');
        ctl_progress_format(&w->now, terminal_width(), &out);
        buf_add_str(&out, "\033[K"); /* the line before may have been longer */
        w->has_line = true;
    } else if (ctl_progress_is_due(&w->now, &w->tenth)) {
        ctl_progress_format(&w->now, 0, &out);
        buf_add_char(&out, '\n');
    }
    fwrite(block, 1, out.len, stdout);
    fflush(stdout);
}

static void end_line(struct watch *w)
{
    if (w->has_line)
        putchar('\n');
    w->has_line = false;
    fflush(stdout);
}

static void take_news(struct watch *w, struct span text)
{
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    struct err ignored; /* an event that is no job is none of ours */
    struct progress p;
    if (w->now.is_final || json_parse(text, NULL, 0, JSON_DEPTH_MAX, &doc, &ignored) ||
        !ctl_progress_parse(json_root(doc), &p))
        return;
    w->now = p;
    w->has_news = true;
    draw(w);
}

static void on_event(void *arg, struct span event, struct span data)
{
    if (span_eq(event, SPAN_LIT("progress")) || span_eq(event, SPAN_LIT("end")))
        take_news(arg, data);
}

static bool on_body(void *arg, const struct answer *a, struct span bytes)
{
    struct watch *w = arg;
    if (a->status == 200 && strcmp(a->type, "text/event-stream") == 0)
        ctl_sse_feed(&w->sse, bytes);
    else
        buf_add_span(&w->plain, bytes);
    return !w->now.is_final;
}

static void job_request(const struct watch *w, const char *method, struct request *r)
{
    ctl_request_init(r);
    r->method = method;
    buf_add_str(&r->path, "/api/cache/jobs/");
    ctl_percent_encode(&r->path, buf_span(&w->id));
}

/* Follows one stream to its end. Returns an exit code; EXIT_DONE if another look makes sense. */
static int look(struct watch *w)
{
    cleanup(ctl_request_fini) struct request r;
    cleanup(buf_fini) struct buf body;
    struct answer a;
    struct err err = {0};
    buf_init(&body, ANSWER_MAX);
    buf_reset(&w->plain);
    ctl_sse_fini(&w->sse);
    ctl_sse_init(&w->sse, on_event, w);
    job_request(w, "GET", &r);
    struct call call = {.client = w->client,
                        .request = &r,
                        .accept = "text/event-stream, application/json",
                        .idle_ms = SILENCE_MS,
                        .body = &body,
                        .on_body = on_body,
                        .arg = w};
    enum err_code rc = ctl_call_run(&call, &a, &err);
    if (!rc && a.status != 200) {
        end_line(w);
        ctl_print_problem(a.status, buf_span(&w->plain));
        return EXIT_REFUSED;
    }
    if (!rc && w->plain.len)
        take_news(w, buf_span(&w->plain));
    return EXIT_DONE;
}

/* Until the job has ended, Ctrl-C came, or nothing was heard of it again and again. */
static int follow(struct watch *w)
{
    for (int tries = 0; !w->now.is_final && !interrupt_has_come();) {
        w->has_news = false;
        int code = look(w);
        if (code)
            return code;
        tries = w->has_news ? 0 : tries + 1;
        if (tries == TRIES) {
            end_line(w);
            fprintf(stderr,
                    "larder ctl: the connection is lost; the job may go on: larder ctl "
                    "jobs %.*s tells\n",
                    (int)w->id.len, w->id.p);
            return EXIT_NO_CONNECTION;
        }
        if (!w->now.is_final)
            ctl_pause_ms(AGAIN_MS);
    }
    return EXIT_DONE;
}

/* From here on a second Ctrl-C ends ctl at once. */
static int cancel(struct watch *w)
{
    cleanup(ctl_request_fini) struct request r;
    cleanup(buf_fini) struct buf body;
    buf_init(&body, ANSWER_MAX);
    end_line(w);
    job_request(w, "DELETE", &r);
    int code = ctl_call_json(w->client, &r, &body, NULL);
    if (code)
        return code;
    fprintf(stderr, "%.*s cancelled: %llu of %llu were done\n", (int)w->id.len, w->id.p,
            (unsigned long long)w->now.done, (unsigned long long)w->now.total);
    return EXIT_REFUSED;
}

static int finish(struct watch *w)
{
    cleanup(ctl_request_fini) struct request r;
    cleanup(buf_fini) struct buf body, out;
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    bool is_good = w->now.failed == 0 && strcmp(w->now.state, "done") == 0;
    buf_init(&body, ANSWER_MAX);
    buf_init(&out, ANSWER_MAX);
    end_line(w);
    job_request(w, "GET", &r);
    if (is_good && !w->client->is_json)
        return EXIT_DONE;
    int code = ctl_call_json(w->client, &r, &body, w->client->is_json ? NULL : &doc);
    if (code)
        return code;
    if (w->client->is_json)
        ctl_print_raw(buf_span(&body));
    if (doc) {
        show_failed(json_root(doc), &out);
        ctl_print_text(buf_span(&out));
        if (strcmp(w->now.state, "done") != 0)
            fprintf(stderr, "larder ctl: %.*s was %s\n", (int)w->id.len, w->id.p, w->now.state);
    }
    return is_good ? EXIT_DONE : EXIT_REFUSED;
}

static int run(struct watch *w)
{
    interrupt_catch();
    if (w->now.total)
        draw(w);
    int code = follow(w);
    bool is_cancelled = interrupt_has_come() && !w->now.is_final;
    interrupt_release();
    if (code)
        return code;
    return is_cancelled ? cancel(w) : finish(w);
}

int warm_wait(const struct client *c, const struct json *root)
{
    struct watch w = {.client = c, .tenth = -1, .is_terminal = isatty(STDOUT_FILENO) == 1};
    const struct json *job = json_member(root, SPAN_LIT("job"));
    const struct json *id = json_member(job ? job : root, SPAN_LIT("id"));
    if (!id || id->type != JSON_STRING) {
        fputs("larder ctl: the answer names no job to wait for; this larder warms before it "
              "answers: use --no-wait\n",
              stderr);
        return EXIT_REFUSED;
    }
    (void)ctl_progress_parse(root, &w.now); /* the first figures, if they are there already */
    buf_init(&w.id, 4096);
    buf_init(&w.plain, ANSWER_MAX);
    ctl_sse_init(&w.sse, on_event, &w);
    text_clean(&w.id, id->text, "");
    int code = run(&w);
    buf_fini(&w.id);
    buf_fini(&w.plain);
    ctl_sse_fini(&w.sse);
    return code;
}
