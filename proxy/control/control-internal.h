/* control-internal.h: what the control layer's files share.
 *
 * control.c       a call's way: from the gate to the main loop and back; streams of events
 * dispatch.c      which handler a call goes to
 * access.c        who may make it: tokens, scopes, networks; the audit's line
 * repeat.c        idempotency keys
 * alias*.c        old control paths, by canonical calls: alias-internal.h
 * selector.c      what an invalidation names
 * window.c        figures of the last minute and hour; performance.c: lines of them
 * job.c           warm jobs: their life; job_spec.c: what they fetch; job_run.c: fetching it
 * schedule.c      jobs of the config: at start, by the clock, after invalidations
 * hottest.c       the hottest keys, now and of the last run
 * api_*.c         the handlers
 */
#ifndef LARDER_CONTROL_INTERNAL_H
#define LARDER_CONTROL_INTERNAL_H

#include <larder/base/json.h>
#include <larder/control/control.h>
#include <larder/flow/explain.h>
#include <larder/flow/limits.h>
#include <larder/flow/purge.h>
#include <larder/net/reply.h>

/* A client's text in a message: not NUL-terminated, and not all of it. For "%.*s". */
#define CUT(s) (int)((s).len < 60 ? (s).len : 60), ((s).p ? (s).p : "")

enum {
    CALL_BODY_MAX = 1024 * 1024,
    REPLY_MAX = 64 * 1024 * 1024,
    WARM_ITEMS_MAX = 20000,
    JOB_BODY_MAX = 8 * 1024 * 1024,   /* of one item, or of values that a job fetches */
    JOB_BODIES_MAX = 32 * 1024 * 1024 /* of all jobs */
};

struct windows;
struct schedule;
struct repeats;
struct performance;

struct control {
    struct shared *shared;
    struct loop *loop; /* the main thread's: where handlers run */
    bool is_ready, is_stopping;
    bool has_socket; /* ours to remove */
    struct upstream_config front_config;
    struct tls_upstream_config front_tls;
    struct upstream *front;
    struct upstream_pool *front_pool;
    char front_host[280];
    struct list jobs; /* newest first */
    uint64_t job_numbers;
    uint64_t body_bytes; /* that jobs keep of what they fetched */
    struct {
        uint64_t done, failed, cancelled;
        struct hist time;
    } jobs_ended; /* since the start */
    struct windows *windows;
    struct schedule *schedule;
    struct repeats *repeats;
    struct performance *performance; /* NULL: that log is off */
    char boot[9];                    /* of this run: in the ids of invalidations */
};

/* One control request. Its gate's thread makes it, reads its body and writes its reply; between
 * two letters it belongs to the main loop. */
struct call {
    struct letter letter;
    struct control *control;
    struct mailbox *home; /* of the gate's loop */
    struct gate *gate;    /* touched at home only; NULL: the client has left */
    enum method method;
    char path[512];
    struct buf text; /* the request's head, and read anew from it: */
    struct head *head;
    struct span query;
    struct buf body;
    uint8_t peer_addr[16];
    char peer[48];
    bool is_main;            /* the gate's loop is the main one */
    bool is_socket;          /* it came by the Unix socket, whose file's permissions let it */
    bool is_public;          /* it came by a public listener */
    bool is_trusted, is_tls; /* its peer is believed; it came by TLS */
    bool is_open;            /* nobody was asked who he is */
    bool is_sent;
    const struct token_config *token; /* who calls; NULL: from an allowed network */
    struct span argument;             /* of the path: a job's id, a route's name */
    unsigned status;
    const char *problem; /* type, where the reply is a problem */
    char detail[600];
    const char *allow;
    char location[64]; /* of a job that was made */
    bool is_replayed;
    struct buf reply;
    struct buf fields; /* further ones of the answer, each with CRLF */
    struct buf passed; /* an app's status line and fields, in place of larder's own; empty: none */
    struct limits_check *limited; /* the rate limits that have refused it; NULL: none */
    struct buf audit;             /* what was done, for the audit's line */
    const char *audit_as;         /* what kind of call it was, for the same */
    struct buf scope; /* what of the head chose the answer, beside the target: of repetitions */
    /* a part of another call, whose head it shares: it is handed back, not answered */
    void (*on_done)(struct call *part);
    void *on_done_arg;
    bool is_part;
    /* a stream of events */
    struct list in_stream;
    _Atomic bool is_gone;
    bool has_begun; /* at home: the stream's head has been written */
};

/* Handlers fill call->reply (JSON) and status, or call_fail(). False: call_done() comes later. */
typedef bool (*handler)(struct call *c);
bool call_fail(struct call *c, unsigned status, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5))); /* returns true: done */
bool call_fail_nomem(struct call *c);
void call_done(struct call *c);
/* The same for a handler that has returned false: audited, and kept for a repetition. */
void call_finish(struct call *c);
void dispatch(struct call *c);

/* A call in the name of <whole>, for the same head and token; NULL: no memory. */
struct call *call_part_new(struct call *whole, const char *path);
void call_part_free(struct call *part); /* NULL is fine */

/* Sends one event; after the last the call is gone. A client that has left is known by is_gone. */
void call_send_event(struct call *c, const char *name, struct span data, bool is_last);

/* Parses the body as an object whose members are all in <known>; NULL after call_fail(). */
struct json_doc *call_parse(struct call *c, const char *const *known, unsigned count,
                            const char *example);
const struct route *call_find_route(const struct call *c, struct span name);
/* The decoded value of a query parameter as text; p == NULL: absent. */
struct span call_query(const struct call *c, const char *name, struct buf *scratch);
/* A member of the body; false after call_fail(). Absent: false. */
bool call_bool(struct call *c, const struct json *root, const char *name, bool *ret);
/* A number of the query, up to <max>; false after call_fail(). Absent: untouched. */
bool call_query_number(struct call *c, const char *name, uint64_t max, uint64_t *into);

/* access.c */
bool access_is_allowed(struct call *c, unsigned scope); /* false after call_fail() */
bool access_is_bound(const struct call *c);
bool access_has_token(const struct call *c); /* one of the config's, whether asked for or not */
/* May a bound token name this tag, or label=value? An unbound one may name all. */
bool access_may_name(const struct call *c, struct span text);
bool access_may_name_value(const struct call *c, struct span label, struct span value);
bool access_may_see(const struct call *c, const struct entry *e);
/* Lines of the security stream. */
void access_audit(const struct call *c, const char *what);
void access_tell_denied(const struct call *c, const char *what);

/* repeat.c */
struct repeats *repeats_new(void);
void repeats_free(struct repeats *r);
/* True: the call was answered as it was before, or refused. */
bool repeats_replay(struct call *c);
/* It has been done, and its answer comes later: repeats_note(). */
void repeats_begin(struct call *c);
void repeats_note(struct call *c);

/* selector.c: fills <p> from the body's members; false after call_fail(). What is named goes into
 * call->audit, secrets left out. */
bool selector_apply(struct call *c, const struct json *root, struct purge *p);
extern const char *const selector_members[];
extern const unsigned selector_member_count;
extern const char SELECTOR_EXAMPLE[];

/* window.c */
struct windows *windows_new(struct control *c);
void windows_free(struct windows *w);
void windows_tick(struct windows *w); /* once a second */
enum window { WINDOW_START, WINDOW_MINUTE, WINDOW_HOUR };
void counters_add(struct route_counters *into, const struct route_counters *from);
void counters_subtract(struct route_counters *from, const struct route_counters *what);
void counters_sum(const struct shared *s, unsigned route, struct route_counters *ret);
/* What route <route> has counted since <window> began, of <now>'s sum. */
void windows_read(const struct windows *w, unsigned route, enum window window,
                  const struct route_counters *now, struct route_counters *ret);

/* Of all requests that were answered, by whatever way. */
void counters_all_times(const struct route_counters *c, struct hist *ret);

/* performance.c */
struct performance *performance_new(const struct shared *s);
void performance_free(struct performance *p);
void performance_tick(struct performance *p); /* once a second */
void performance_tell(struct performance *p); /* now, whatever the interval */

/* job.c */
enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_CANCELLED, JOB_FAILED };
struct job;
struct job_item {
    struct job *job;
    const char *method;
    /* the job's; NUL-terminated, NULL: none. Of https the host begins with "https://". */
    char *target, *host, *fields, *body;
    struct exchange *exchange;
    struct buf answer; /* its body, where bodies are wanted; failed: too large to be kept */
    unsigned status;
    enum upstream_error error;
    bool is_done, is_stored;
    char outcome[24];
    uint64_t bytes, started_us, us;
};
struct job {
    struct list link;
    struct control *control;
    const struct token_config *owner; /* who made it; NULL: nobody by a token */
    char id[32], name[72], why[200];  /* why: of a failure */
    enum job_state state;
    bool wants_bodies, wants_new;
    unsigned concurrency;
    uint64_t rate; /* items begun in a second; 0: no limit */
    unsigned count, room, next, running, done;
    struct job_item *items;
    int64_t made_unix_ms;
    uint64_t started_us, ended_us, event_us;
    struct timer *timer;       /* of the rate */
    char *fields;              /* of all its requests, each with CRLF */
    struct job_source *source; /* values that must be fetched first */
    struct call *waiting;      /* answered at the end */
    struct list streams;       /* calls that follow it */
    bool is_running_now;       /* against coming back into job_run() */
};
struct job *job_new(struct control *c, const char *name);
void job_free(struct job *j);
struct job *job_find(struct control *c, struct span id);
/* Texts are copied. ERR_NOMEM; ERR_TOO_LARGE: the job is full. */
must_check enum err_code job_add_item(struct job *j, const char *method, struct span target,
                                      struct span host, struct span fields, struct span body);
void job_start(struct job *j);
void job_cancel(struct job *j);
/* <c> is sent events of its progress until it ends. */
void job_follow(struct job *j, struct call *c);
void job_on_progress(struct job *j);             /* by job_run(), after each step */
struct job_item *job_source_item(struct job *j); /* the request for the values needed next */
bool job_retry(struct job *j);                   /* false: nothing has failed */
void job_fail(struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned job_failed(const struct job *j);
bool job_found_nobody(const struct job *j); /* something failed because no app was there to ask */
void job_write(const struct job *j, struct json_writer *w, const char *name, bool with_items);
/* Of all jobs: now, and of those that have ended, since the start. */
struct jobs_figures {
    uint64_t queued, running, items_waiting;
    uint64_t done, failed, cancelled;
};
void jobs_figures_read(const struct control *c, struct jobs_figures *ret);
void jobs_write(const struct control *c, struct json_writer *w);
void jobs_stop(struct control *c);

/* job_spec.c: reads what a job fetches from <root> (of POST /api/cache/warm, or of the config);
 * NULL: <err> says why. The job is not started. */
struct job *job_from_spec(struct control *c, const struct json *root, const char *name,
                          const struct call *call, struct err *err);
struct job_source;
void job_source_free(struct job_source *s);
void job_source_cancel(struct job_source *s);               /* NULL is fine */
bool job_source_on_answer(struct job *j, struct span body); /* false: job_fail() was called */

/* job_run.c */
void job_run(struct job *j);
void job_step_source(struct job *j);
bool warm_is_clean(struct span s, bool may_have_space);

/* hottest.c */
bool hottest_add(struct job *j, unsigned count); /* items for the hottest keys; false: no memory */
void hottest_save(struct control *c);
struct hot_list;
struct hot_list *hot_list_new(unsigned max);
void hot_list_free(struct hot_list *l);
void hot_list_add(struct hot_list *l, struct entry *e);
bool hot_list_to_job(struct hot_list *l, struct job *j);

/* schedule.c */
struct schedule *schedule_new(struct control *c);
void schedule_free(struct schedule *s);
void schedule_start(struct schedule *s);
void schedule_on_invalidation(struct schedule *s);
/* The config's job of that name, not started; NULL: <err> says why. */
struct job *schedule_job(struct control *c, struct span name, struct err *err);

/* api_stats.c, api_stats_redis.c; <scratch> is overwritten. Nothing where there is no Redis. */
void stats_write_times(struct json_writer *w, const char *name, const struct hist *h);
/* api_stats_limits.c: "rate_limits"; nothing where there are none */
void stats_write_limits(struct json_writer *w, const struct shared *s);
void stats_write_redis(struct json_writer *w, const struct shared *s, struct hist *scratch);

/* Figures of one value of a parameter, or (label.p == NULL) of one tag. */
struct value_figures {
    struct value_counters sum;
    uint64_t entries, bytes;
    bool is_tag, is_counted;
    struct buf text; /* "organization_id=1", or the tag */
    char block[3000];
};
/* False after call_fail(): the token may not name it. */
bool stats_read_value(struct call *c, struct span label, struct span value,
                      struct value_figures *ret);
void stats_write_value(struct call *c, const struct value_figures *v);

/* alias.c */
bool alias_takes(const struct shared *s, const struct head *h); /* any thread */
bool alias_handle(struct call *c);
void aliases_warn(const struct config *c); /* of those that are open to anybody */

bool api_invalidate(struct call *c);
bool api_purge(struct call *c);
bool api_stats(struct call *c);
bool api_keys(struct call *c);
bool api_entry(struct call *c);
bool api_explain(struct call *c);
bool api_routes(struct call *c);
bool api_route(struct call *c);
bool api_warm(struct call *c);
bool api_jobs(struct call *c);
bool api_job(struct call *c);
bool api_job_cancel(struct call *c);
bool api_job_retry(struct call *c);
bool api_live(struct call *c);
bool api_ready(struct call *c);

#endif
