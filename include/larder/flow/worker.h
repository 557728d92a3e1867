/* worker.h: one thread with its loop, its listeners, its upstream pools and its counters.
 *
 * Thread  worker_new, worker_listen, worker_start, worker_join, worker_free: main; the rest as said
 * Memory  worker_free() after worker_join(); everything in `shared` outlives all workers
 */
#ifndef LARDER_FLOW_WORKER_H
#define LARDER_FLOW_WORKER_H

#include <larder/cache/store.h>
#include <larder/flow/counters.h>
#include <larder/flow/values.h>
#include <larder/net/loop.h>
#include <larder/net/upstream.h>

struct worker;

/* What may be switched at run time, until the config is read anew. */
struct route_switch {
    _Atomic bool is_off; /* not cached: passes */
    _Atomic bool has_ttl;
    _Atomic uint64_t ttl_ms;         /* in place of the config's */
    _Atomic int64_t error_day;       /* of the budget: days since 1970 */
    _Atomic uint64_t error_spent_ms; /* on that day: seconds in which stale answers hid errors */
    _Atomic int64_t error_last_s;
    _Atomic unsigned advised; /* reasons that the log has told of, as bits */
};

struct body_plan;
struct limits;
struct objects;
struct tier;

/* What all workers share; immutable but for what has its own locks. */
struct shared {
    const struct config *config;
    struct store *store;
    struct tier *tier;                         /* what instances share; NULL: this one is alone */
    struct upstream **upstreams;               /* as config->upstreams */
    struct tls *listen_tls[CONFIG_LISTEN_MAX]; /* as config->listen; NULL: plain */
    struct tls *control_tls;                   /* the control listener's; NULL: plain */
    struct route_switch *switches;             /* as config->routes */
    struct body_plan **plans; /* as config->routes; NULL: nothing in an answer is looked at */
    struct values *values;
    struct limits *limits; /* rate limits: as config->rate_limits */
    char warm_token[33];   /* what requests of warm jobs carry, NUL-terminated */
    struct worker **workers;
    unsigned worker_count;
    mono_ms started_mono_ms;
    int64_t started_unix_ms;
    /* A request for a control route that is mounted on the public listeners, or for an alias: the
     * callee takes it as a gate's on_request does. In the worker's thread, <mailbox> is the
     * worker's. NULL: there are none. */
    bool (*is_control)(const void *control, const struct head *h);
    void (*on_control)(void *control, struct gate *g, const struct head *h,
                       struct mailbox *mailbox);
    void *control;
    /* A worker's loop has ended: called in the main thread, by <main>. */
    struct mailbox *main;
    void (*on_worker_ended)(void *arg);
    void *on_worker_ended_arg;
};

/* Switches, plans and values of <s>, whose config is set. */
must_check enum err_code shared_init(struct shared *s, struct err *err);
void shared_fini(struct shared *s);
/* Has larder itself made this request? Then *ret_word is what it says of it: "refresh", "alias", or
 * nothing. Any thread. */
bool shared_is_own(const struct shared *s, const struct head *h, struct span *ret_word);

struct worker *worker_new(unsigned index, struct shared *shared);
/* Listens on all of config->listen; ports that were 0 are written back into <addresses>. */
must_check enum err_code worker_listen(struct worker *w, struct address *addresses,
                                       struct err *err);
must_check enum err_code worker_start(struct worker *w); /* its thread begins */
/* From the main thread, once: accepts no more, finishes what is in flight, then ends; at the latest
 * after <deadline_ms>. Nothing happens where its thread never began. */
void worker_drain(struct worker *w, uint64_t deadline_ms);
void worker_join(struct worker *w);
void worker_stop_upstreams(struct worker *w); /* after all have been joined, before any free */
void worker_free(struct worker *w);

/* Read by any thread. <route> counters are config->route_count long. */
const struct route_counters *worker_route_counters(const struct worker *w);
const struct worker_counters *worker_counters(const struct worker *w);
/* NULL: this instance is alone. */
const struct objects *worker_objects(const struct worker *w);
/* values_max() of them. */
const struct value_counters *worker_value_counters(const struct worker *w);

#endif
