/* ctl-internal.h: what the files of ctl share.
 *
 * Words in, words out: args, commands, answer, sse, progress, text, table and the show_ functions
 * are pure; wire is the only one that waits, and call, warm and ctl the only ones that do things.
 * Names that a layer of the daemon has or may come to have start with ctl_, as both are one binary.
 */
#ifndef LARDER_CTL_INTERNAL_H
#define LARDER_CTL_INTERNAL_H

#include <larder/base/buf.h>
#include <larder/base/err.h>
#include <larder/base/json.h>
#include <larder/base/macros.h>

enum {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_CONNECTION = 3,
    ANSWER_MAX = 64 * 1024 * 1024, /* bytes of one answer's body */
    REQUEST_MAX = 16 * 1024 * 1024,
    JSON_DEPTH_MAX = 64,
};

/* args.c: a command's options and words. */

enum option_kind { OPTION_FLAG, OPTION_ONE, OPTION_MANY };

struct option_spec {
    const char *name; /* "--route"; a table ends where it is NULL */
    enum option_kind kind;
};

struct given {
    const char *name, *value; /* value is NULL for a flag */
};

struct args {
    struct given *options;
    const char **words; /* what is no option */
    unsigned option_count, word_count;
    bool is_json, is_help;
};

/* Sorts argv[0..argc) into options of <known> and words. "--name value" and "--name=value" are
 * the same, "--" ends the options, and --json and -h are known to each command. ERR_SYNTAX says
 * which argument is wrong. The strings are borrowed; args_fini() frees the rest in any case. */
must_check enum err_code args_parse(const struct option_spec *known, int argc, char **argv,
                                    struct args *ret_args, struct err *err);
void args_fini(struct args *a);
bool args_has(const struct args *a, const char *name);
/* The value of option <name>; NULL if it was not given. */
const char *args_value(const struct args *a, const char *name);
/* The next value of option <name>, *at being 0 before the first; NULL at the end. */
const char *args_next(const struct args *a, const char *name, unsigned *at);

/* The options before the command. */
struct options {
    const char *url, *socket_path, *token_file; /* NULL: not given */
    bool is_json, is_help;
    int command_at; /* argv index of the command; argc if there is none */
};
must_check enum err_code options_parse(int argc, char **argv, struct options *ret_options,
                                       struct err *err);

/* Where larder's control API is. */
struct target {
    const char *socket_path; /* NULL: by host and port */
    char host[256], port[8];
    char authority[272]; /* the Host field */
    char prefix[256];    /* the URL's path, without a final slash */
};
/* Reads "http://host:port/prefix"; an IPv6 address stands in brackets, the port is 80 if absent.
 * <socket_path> may be NULL. */
must_check enum err_code ctl_target_parse(const char *url, const char *socket_path,
                                          struct target *ret_target, struct err *err);

/* request.c: one call as text. */

struct request {
    const char *method;
    struct buf path; /* with the query */
    struct buf body; /* JSON, or empty */
};
void ctl_request_init(struct request *r);
void ctl_request_fini(struct request *r);
/* Appends <s> with everything but RFC 3986's unreserved characters percent-encoded. */
void ctl_percent_encode(struct buf *out, struct span s);
/* Appends "?name=value" or, where there is a query already, "&name=value"; NULL adds nothing. */
void ctl_query_add(struct request *r, struct span name, const char *value);

/* commands.c, build_read.c, build_write.c: what each command asks. */

struct command {
    const char *name;
    const char *usage; /* what follows the name; lines after the first are indented */
    const char *what;  /* one line */
    const struct option_spec *options;
    /* Fills method, path and body; ERR_SYNTAX says what is wrong with the arguments. */
    enum err_code (*build)(const struct args *a, struct request *r, struct err *err);
    /* Appends what a person shall read of the answer. */
    void (*show)(const struct json *root, struct buf *out);
    bool may_wait; /* the answer names a job, which is then followed */
};
/* The command called <name>, or NULL. */
const struct command *command_find(const char *name);
/* Appends all commands, or the one, with their options. */
void commands_format(struct buf *out);
void command_format(const struct command *c, struct buf *out);

extern const struct option_spec no_options[], stats_options[], keys_options[], entry_options[],
    invalidate_options[], warm_options[], explain_options[];
enum err_code build_stats(const struct args *a, struct request *r, struct err *err);
enum err_code build_keys(const struct args *a, struct request *r, struct err *err);
enum err_code build_entry(const struct args *a, struct request *r, struct err *err);
enum err_code build_jobs(const struct args *a, struct request *r, struct err *err);
enum err_code build_cancel(const struct args *a, struct request *r, struct err *err);
enum err_code build_retry(const struct args *a, struct request *r, struct err *err);
enum err_code build_routes(const struct args *a, struct request *r, struct err *err);
enum err_code build_route(const struct args *a, struct request *r, struct err *err);
enum err_code build_invalidate(const struct args *a, struct request *r, struct err *err);
enum err_code build_warm(const struct args *a, struct request *r, struct err *err);
enum err_code build_explain(const struct args *a, struct request *r, struct err *err);
/* ERR_OK unless there are words that the command does not take. */
must_check enum err_code refuse_words(const struct args *a, unsigned max, struct err *err);
/* ERR_OK if option <name> is absent or a number of at least <least>, which *ret_value then is. */
must_check enum err_code number_value(const struct args *a, const char *name, uint64_t least,
                                      uint64_t *ret_value, struct err *err);

/* answer.c: an HTTP/1.1 answer, decoded as it comes. */

enum answer_state {
    ANSWER_STATUS,
    ANSWER_FIELD,
    ANSWER_LENGTH,  /* in a body of known length */
    ANSWER_TO_END,  /* in a body that ends with the connection */
    ANSWER_CHUNK,   /* at a chunk's size */
    ANSWER_DATA,    /* in a chunk */
    ANSWER_AFTER,   /* at the line end after a chunk */
    ANSWER_TRAILER, /* in the fields after the last chunk */
    ANSWER_DONE,
};

struct answer {
    enum answer_state state;
    unsigned status;
    bool is_chunked, has_length;
    uint64_t left;  /* bytes of the body or chunk still to come */
    uint64_t heads; /* bytes of status line and fields, which have a limit */
    char type[64];  /* media type, lower case, without parameters */
    char line[4096];
    size_t line_len;
};
void ctl_answer_init(struct answer *a);
/* Decodes <bytes>, appending what is body to <body>. ERR_SYNTAX if this is no HTTP,
 * ERR_TOO_LARGE if <body> is full. */
must_check enum err_code ctl_answer_feed(struct answer *a, struct span bytes, struct buf *body,
                                         struct err *err);
/* Whether a connection that ends now leaves a whole answer. */
bool ctl_answer_is_whole(const struct answer *a);

/* sse.c: text/event-stream (HTML standard, section 9.2), as it comes. */

struct sse {
    struct buf line, data, event;
    bool after_cr; /* an LF now belongs to the CR before */
    void (*on_event)(void *arg, struct span event, struct span data);
    void *arg;
};
void ctl_sse_init(struct sse *s, void (*on_event)(void *, struct span, struct span), void *arg);
void ctl_sse_fini(struct sse *s);
void ctl_sse_feed(struct sse *s, struct span bytes);

/* progress.c: how far a job is. */

struct progress {
    uint64_t total, done, warmed, failed, elapsed_ms;
    char state[16];
    bool is_final; /* done, cancelled or failed */
};
/* Reads a job, alone or as the member "job"; false if <root> is none. */
bool ctl_progress_parse(const struct json *root, struct progress *ret_progress);
/* Appends "[####....] 12/40  ok 11  failed 1  3.2/s  ETA 8 s" in at most <width> columns; with
 * width 0 "12/40 (30 %)  ok 11  ..." without a bar. */
void ctl_progress_format(const struct progress *p, unsigned width, struct buf *out);
/* Whether another tenth has been reached since *tenth (-1 before the first), or the end. */
bool ctl_progress_is_due(const struct progress *p, int *tenth);

/* text.c: values as people read them. */

/* Appends valid or invalid UTF-8 with control characters (C0 but for those in <keep>, DEL, C1,
 * the bidirectional overrides) and stray bytes replaced by "?". */
void text_clean(struct buf *out, struct span s, const char *keep);
void text_bytes(struct buf *out, double bytes);      /* "1.5 MiB" */
void text_duration(struct buf *out, double seconds); /* "8 s", "3 min 20 s", "2 h 5 min", "-" */
/* Text of a scalar, cleaned; "-" for null, for what is absent (NULL) and for "". */
void text_scalar(struct buf *out, const struct json *j);
double ctl_number_of(const struct json *j, double otherwise);

/* table.c */

/* Appends rows of <cells> (cells end in a tab, rows in a newline; one code point counts as one
 * column) in columns as wide as need be; align[i] is 'l' or 'r'. */
void ctl_table_format(struct span cells, const char *align, struct buf *out);

/* show.c, show_tree.c: answers as people read them. */

void show_stats(const struct json *root, struct buf *out);
void show_keys(const struct json *root, struct buf *out);
void show_jobs(const struct json *root, struct buf *out);
void show_job(const struct json *root, struct buf *out);
void show_invalidated(const struct json *root, struct buf *out);
void show_routes(const struct json *root, struct buf *out);
void show_members(const struct json *root, struct buf *out); /* "name: value", one a line */
void show_json(const struct json *root, struct buf *out);    /* indented JSON */
/* Appends a line for each of a job's items that failed. */
void show_failed(const struct json *root, struct buf *out);

/* wire.c: a socket and a deadline. */

must_check enum err_code ctl_wire_open(const struct target *t, int *ret_fd, struct err *err);
must_check enum err_code ctl_wire_send(int fd, struct span bytes, struct err *err);
/* Waits up to <idle_ms> for bytes; *ret_len is 0 at the end of the stream. ERR_CLOSED with no
 * message if Ctrl-C came. */
must_check enum err_code ctl_wire_receive(int fd, char *block, size_t cap, int idle_ms,
                                          size_t *ret_len, struct err *err);
/* From now on Ctrl-C ends waits, not the process; interrupt_release() restores it. */
void interrupt_catch(void);
void interrupt_release(void);
bool interrupt_has_come(void);
void ctl_pause_ms(int ms); /* or until Ctrl-C */

/* call.c: one request and its answer. */

struct client {
    struct target target;
    char token[4096]; /* empty: none */
    bool is_json;
};

struct call {
    const struct client *client;
    const struct request *request;
    const char *accept;
    int idle_ms;
    struct buf *body;
    /* If set, called with what has come of the body, which is then dropped; false ends the call. */
    bool (*on_body)(void *arg, const struct answer *a, struct span bytes);
    void *arg;
};
must_check enum err_code ctl_call_run(const struct call *c, struct answer *ret_answer,
                                      struct err *err);
/* Makes the request and reads the answer into <body>. If larder did not do it, says so (as --json
 * asks) and returns the exit code. Else EXIT_DONE, and where <ret_doc> is not NULL the parsed
 * answer (still NULL if it was empty, as 204 is). */
must_check int ctl_call_json(const struct client *c, const struct request *r, struct buf *body,
                             struct json_doc **ret_doc);
/* Says on stderr why larder refused: a problem's detail, or the status alone. */
void ctl_print_problem(unsigned status, struct span body);
/* Writes <text> to stdout; a terminal gets no control characters. */
void ctl_print_text(struct span text);
void ctl_print_raw(struct span text); /* ctl_print_text(), and a newline if there is none */

/* warm.c: follows the job that <root> names until it ends, and returns the exit code. */
must_check int warm_wait(const struct client *c, const struct json *root);

#endif
