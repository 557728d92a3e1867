/* One request on one connection, and what is said when that goes wrong. */
#include "ctl-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { IDLE_MS = 30000, BLOCK = 64 * 1024 };

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void add_head(const struct call *c, struct buf *out)
{
    const struct target *t = &c->client->target;
    const struct request *r = c->request;
    buf_add_fmt(out, "%s %s", r->method, t->prefix);
    buf_add_span(out, buf_span(&r->path));
    buf_add_fmt(out, " HTTP/1.1\r\nHost: %s\r\nUser-Agent: larder-ctl/%s\r\nAccept: %s\r\n",
                t->authority, LARDER_VERSION, c->accept);
    if (c->client->token[0])
        buf_add_fmt(out, "Authorization: Bearer %s\r\n", c->client->token);
    if (r->body.len)
        buf_add_str(out, "Content-Type: application/json\r\n");
    if (strcmp(r->method, "GET") != 0)
        buf_add_fmt(out, "Content-Length: %zu\r\n", r->body.len);
    buf_add_str(out, "Connection: close\r\n\r\n");
}

static enum err_code read_answer(const struct call *c, int fd, char *block, struct answer *a,
                                 struct err *err)
{
    while (a->state != ANSWER_DONE) {
        size_t len = 0;
        enum err_code rc = ctl_wire_receive(fd, block, BLOCK, c->idle_ms, &len, err);
        if (!rc && len == 0)
            return ctl_answer_is_whole(a) ? ERR_OK
                                          : err_set(err, ERR_CLOSED, "answer",
                                                    "the connection ended before the answer did");
        if (!rc)
            rc = ctl_answer_feed(a, span_of(block, len), c->body, err);
        if (rc)
            return rc;
        if (!c->on_body || !c->body->len)
            continue;
        bool goes_on = c->on_body(c->arg, a, buf_span(c->body));
        buf_reset(c->body);
        if (!goes_on)
            return ERR_OK;
    }
    return ERR_OK;
}

static void freep(char **p)
{
    free(*p);
}

enum err_code ctl_call_run(const struct call *c, struct answer *ret_answer, struct err *err)
{
    cleanup(closep) int fd = -1;
    cleanup(buf_fini) struct buf head;
    cleanup(freep) char *block = malloc(BLOCK);
    buf_init(&head, REQUEST_MAX + 64 * 1024);
    add_head(c, &head);
    if (!block || head.failed)
        return err_set(err, ERR_NOMEM, "request", "out of memory");
    ctl_answer_init(ret_answer);
    enum err_code rc = ctl_wire_open(&c->client->target, &fd, err);
    if (!rc)
        rc = ctl_wire_send(fd, buf_span(&head), err);
    if (!rc)
        rc = ctl_wire_send(fd, buf_span(&c->request->body), err);
    /* an answer may come before all was sent, and says why the rest was not wanted */
    if (!rc || (rc == ERR_IO && fd >= 0))
        rc = read_answer(c, fd, block, ret_answer, err);
    return rc;
}

static void write_clean(FILE *to, struct span text)
{
    cleanup(buf_fini) struct buf out;
    buf_init(&out, (size_t)ANSWER_MAX * 2);
    text_clean(&out, text, "\n\t");
    if (out.failed)
        fputs("larder ctl: out of memory\n", stderr);
    if (out.len)
        fwrite(out.p, 1, out.len, to);
}

void ctl_print_text(struct span text)
{
    if (isatty(STDOUT_FILENO))
        write_clean(stdout, text);
    else if (text.len)
        fwrite(text.p, 1, text.len, stdout);
    fflush(stdout);
}

void ctl_print_raw(struct span text)
{
    ctl_print_text(text);
    if (text.len && text.p[text.len - 1] != '\n')
        ctl_print_text(SPAN_LIT("\n"));
}

void ctl_print_problem(unsigned status, struct span body)
{
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    cleanup(buf_fini) struct buf out;
    struct err ignored; /* no problem+json: the status is all there is to tell */
    const struct json *detail = NULL;
    buf_init(&out, ANSWER_MAX);
    if (json_parse(body, NULL, 0, JSON_DEPTH_MAX, &doc, &ignored) == ERR_OK) {
        detail = json_member(json_root(doc), SPAN_LIT("detail"));
        if (!detail)
            detail = json_member(json_root(doc), SPAN_LIT("title"));
    }
    buf_add_fmt(&out, "larder ctl: %u", status);
    if (detail && detail->type == JSON_STRING) {
        buf_add_str(&out, ": ");
        buf_add_span(&out, detail->text);
    } else {
        buf_add_str(&out, ", and no word why; is this larder's control API?");
    }
    buf_add_char(&out, '\n');
    if (status == 401 || status == 403)
        buf_add_str(&out, "The token comes from --token-file FILE or LARDER_TOKEN.\n");
    write_clean(stderr, buf_span(&out));
}

/* The reader's message may quote the answer. */
static int fail_json(const struct target *t, const struct err *err)
{
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 4096);
    buf_add_fmt(&out,
                "larder ctl: what answers at %s does not speak larder's control API (%s: %s); give "
                "the address of control.listen with --url or LARDER_URL\n",
                t->socket_path ? t->socket_path : t->authority, err->where, err->what);
    write_clean(stderr, buf_span(&out));
    return EXIT_NO_CONNECTION;
}

/* The tree's limit is lower than the answer's: what is too large for it can still be printed. */
static int parse_answer(const struct client *c, struct span body, struct json_doc **ret_doc)
{
    struct err err = {0};
    enum err_code rc = json_parse(body, "answer", 0, JSON_DEPTH_MAX, ret_doc, &err);
    if (rc == ERR_TOO_LARGE) {
        fputs("larder ctl: the answer is too large for a table; use --json\n", stderr);
        return EXIT_REFUSED;
    }
    return rc ? fail_json(&c->target, &err) : EXIT_DONE;
}

int ctl_call_json(const struct client *c, const struct request *r, struct buf *body,
                  struct json_doc **ret_doc)
{
    struct call call = {.client = c,
                        .request = r,
                        .accept = "application/json, application/problem+json",
                        .idle_ms = IDLE_MS,
                        .body = body};
    struct answer a;
    struct err err = {0};
    enum err_code rc = ctl_call_run(&call, &a, &err);
    if (rc == ERR_SYNTAX && strcmp(err.where, "answer") == 0)
        return fail_json(&c->target, &err);
    if (rc) {
        fprintf(stderr, "larder ctl: %s\n", err.what);
        return EXIT_NO_CONNECTION;
    }
    bool is_good = a.status >= 200 && a.status < 300;
    if (!is_good && c->is_json)
        ctl_print_raw(buf_span(body));
    else if (!is_good)
        ctl_print_problem(a.status, buf_span(body));
    if (!is_good)
        return EXIT_REFUSED;
    return ret_doc && body->len ? parse_answer(c, buf_span(body), ret_doc) : EXIT_DONE;
}
