/* "larder ctl": reads its arguments, makes the call, prints the answer. */
#include <larder/ctl/ctl.h>

#include "ctl-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char DEFAULT_URL[] = "http://127.0.0.1:8081";

static int fail_usage(const struct command *c, const struct err *err)
{
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 1 << 16);
    if (c)
        command_format(c, &out);
    fprintf(stderr, "larder ctl: %s\n", err->what);
    if (out.len)
        fwrite(out.p, 1, out.len, stderr);
    if (!c)
        fputs("\"larder ctl -h\" lists the commands.\n", stderr);
    return EXIT_USAGE;
}

static int print_help(const struct command *c)
{
    cleanup(buf_fini) struct buf out;
    buf_init(&out, 1 << 16);
    if (c)
        command_format(c, &out);
    else
        commands_format(&out);
    ctl_print_text(buf_span(&out));
    return EXIT_DONE;
}

static enum err_code read_token_file(const char *path, char *into, size_t cap, struct err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, ERR_IO, "--token-file", "--token-file %s: %s", path, strerror(errno));
    bool has_line = fgets(into, (int)cap, f) != NULL;
    (void)fclose(f); /* nothing was written */
    if (!has_line)
        return err_set(err, ERR_SYNTAX, "--token-file", "--token-file %s is empty", path);
    return ERR_OK;
}

/* It goes into a field of each request: one line of visible characters. */
static enum err_code read_token(const struct options *o, struct client *c, struct err *err)
{
    const char *env = getenv("LARDER_TOKEN");
    char text[sizeof(c->token) + 2];
    text[0] = '\0';
    if (o->token_file) {
        enum err_code rc = read_token_file(o->token_file, text, sizeof(text), err);
        if (rc)
            return rc;
    } else if (env) {
        snprintf(text, sizeof(text), "%s", env);
    }
    text[strcspn(text, "\r\n")] = '\0';
    struct span token = span_trim(span_str(text));
    if (token.len >= sizeof(c->token))
        return err_set(err, ERR_SYNTAX, "token", "the token is longer than 4095 bytes");
    for (size_t i = 0; i < token.len; i++)
        if (token.p[i] <= ' ' || token.p[i] >= 0x7f)
            return err_set(err, ERR_SYNTAX, "token",
                           "the token has a character that no bearer token has");
    snprintf(c->token, sizeof(c->token), SPAN_FMT, SPAN_ARG(token));
    return ERR_OK;
}

static enum err_code make_client(const struct options *o, struct client *c, struct err *err)
{
    const char *env = getenv("LARDER_URL"), *url = env && *env ? env : DEFAULT_URL;
    if (o->url)
        url = o->url;
    else if (o->socket_path)
        url = "http://localhost";
    enum err_code rc = ctl_target_parse(url, o->socket_path, &c->target, err);
    return rc ? rc : read_token(o, c, err);
}

static int show(const struct command *cmd, const struct json *root)
{
    cleanup(buf_fini) struct buf out;
    buf_init(&out, (size_t)ANSWER_MAX * 2);
    cmd->show(root, &out);
    if (out.failed) {
        fputs("larder ctl: out of memory; use --json\n", stderr);
        return EXIT_REFUSED;
    }
    ctl_print_text(buf_span(&out));
    return EXIT_DONE;
}

static int perform(const struct command *cmd, const struct client *c, const struct args *a,
                   const struct request *r)
{
    cleanup(buf_fini) struct buf body;
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    bool waits = cmd->may_wait && !args_has(a, "--no-wait");
    bool is_raw = c->is_json && !waits; /* a job that is waited for is printed at its end */
    buf_init(&body, ANSWER_MAX);
    int code = ctl_call_json(c, r, &body, is_raw ? NULL : &doc);
    if (code)
        return code;
    if (doc)
        return waits ? warm_wait(c, json_root(doc)) : show(cmd, json_root(doc));
    if (is_raw)
        ctl_print_raw(buf_span(&body));
    else
        puts("done"); /* 204 has nothing to tell */
    return EXIT_DONE;
}

static int run_command(const struct command *cmd, const struct options *o, int argc, char **argv)
{
    cleanup(args_fini) struct args a = {0};
    cleanup(ctl_request_fini) struct request r;
    struct client c = {0};
    struct err err = {0};
    ctl_request_init(&r);
    enum err_code rc = args_parse(cmd->options, argc, argv, &a, &err);
    if (!rc && (a.is_help || o->is_help))
        return print_help(cmd);
    if (!rc)
        rc = cmd->build(&a, &r, &err);
    if (!rc && (r.path.failed || r.body.failed))
        rc = err_set(&err, ERR_TOO_LARGE, "arguments", "the arguments are too long");
    if (rc)
        return fail_usage(cmd, &err);
    rc = make_client(o, &c, &err);
    if (rc) {
        fprintf(stderr, "larder ctl: %s\n", err.what);
        return EXIT_USAGE;
    }
    c.is_json = o->is_json || a.is_json;
    return perform(cmd, &c, &a, &r);
}

int ctl_main(int argc, char **argv)
{
    struct options o = {0};
    struct err err = {0};
    if (options_parse(argc, argv, &o, &err) != ERR_OK)
        return fail_usage(NULL, &err);
    if (o.command_at >= argc && o.is_help)
        return print_help(NULL);
    if (o.command_at >= argc) {
        err_set(&err, ERR_SYNTAX, "arguments", "which command?");
        return fail_usage(NULL, &err);
    }
    const char *name = argv[o.command_at];
    const struct command *cmd = command_find(name);
    if (!cmd) {
        err_set(&err, ERR_SYNTAX, "arguments", "there is no command \"%s\"", name);
        return fail_usage(NULL, &err);
    }
    return run_command(cmd, &o, argc - o.command_at - 1, argv + o.command_at + 1);
}
