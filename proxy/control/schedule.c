/* Jobs of the config: at start, by the clock, after an invalidation, and on demand by name. */
#include "control-internal.h"

#include <larder/base/wallclock.h>

#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = 1000, AFTER_INVALIDATION_MS = 1000, SAVE_EVERY_MS = 60000 };
enum { REDIS_TICK_MS = 20, REDIS_WAIT_MS = 2000 };
enum { AGAIN_FIRST_MS = 1000, AGAIN_MAX_MS = 32000, AGAIN_FOR_MS = 300000 };

struct planned {
    const struct warm_config *config;
    int64_t at_unix_ms; /* by the clock; 0: not */
    mono_ms every_at;   /* 0: not */
    mono_ms invalidation_at;
    mono_ms again_at, again_until; /* of the start's job; 0: not */
    unsigned again_ms;
    char last[32]; /* id of its last job */
};

struct schedule {
    struct control *control;
    struct timer *timer;
    mono_ms save_at;
    mono_ms start_by; /* the jobs of the start wait for Redis, but no longer; 0: they have begun */
    unsigned count;
    struct planned planned[];
};

static int64_t next_clock(const struct warm_config *w, int64_t now)
{
    int64_t next = 0;
    for (unsigned i = 0; i < w->clock_count; i++) {
        int64_t at = wallclock_next_ms(w->clocks[i], now);
        if (!next || at < next)
            next = at;
    }
    return next;
}

static struct job *make_job(struct control *c, const struct warm_config *w, struct err *err)
{
    enum { DEPTH = 8 };
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    if (json_parse(w->spec, "warm", 0, DEPTH, &doc, NULL) != ERR_OK) {
        err_set(err, ERR_NOMEM, "job", "out of memory");
        return NULL;
    }
    return job_from_spec(c, json_root(doc), w->name.p, NULL, err);
}

/* Not beside itself: while its last job runs it is not started again. */
static void start_planned(struct schedule *s, struct planned *p)
{
    struct err err = {0};
    struct job *last = p->last[0] ? job_find(s->control, span_str(p->last)) : NULL;
    if (last && (last->state == JOB_RUNNING || last->state == JOB_QUEUED))
        return;
    struct job *j = make_job(s->control, p->config, &err);
    if (!j) {
        log_warn("warm \"" SPAN_FMT "\": %s", SPAN_ARG(p->config->name), err.what);
        return;
    }
    memcpy(p->last, j->id, sizeof(p->last));
    job_start(j);
}

/* An app that is started together with larder answers seconds later: what it could not be asked
 * for at the start is asked for again. */
static void try_start_again(struct schedule *s, struct planned *p, mono_ms now)
{
    struct job *j = p->again_at ? job_find(s->control, span_str(p->last)) : NULL;
    if (p->again_at && (!j || now >= p->again_until || j->state == JOB_CANCELLED))
        p->again_at = 0;
    if (!p->again_at || now < p->again_at || j->state == JOB_RUNNING || j->state == JOB_QUEUED)
        return;
    p->again_at = 0;
    if (!job_found_nobody(j) || !job_retry(j))
        return;
    p->again_ms = p->again_ms < AGAIN_MAX_MS ? p->again_ms * 2 : AGAIN_MAX_MS;
    p->again_at = now + p->again_ms;
}

static bool is_due(mono_ms *at, mono_ms now)
{
    bool is_it = *at && now >= *at;
    if (is_it)
        *at = 0;
    return is_it;
}

/* What is fetched before the others can be heard would be dropped once they are. */
static bool may_start(const struct schedule *s, mono_ms now)
{
    struct tier_state state;
    if (!s->control->shared->tier || now >= s->start_by)
        return true;
    tier_state_read(s->control->shared->tier, &state);
    return state.is_in_contact;
}

static void start_first(struct schedule *s, mono_ms now)
{
    if (!s->start_by || !may_start(s, now))
        return;
    s->start_by = 0;
    for (unsigned i = 0; i < s->count; i++) {
        struct planned *p = &s->planned[i];
        if (!(p->config->events & WARM_AT_START))
            continue;
        start_planned(s, p);
        p->again_ms = AGAIN_FIRST_MS;
        p->again_at = now + AGAIN_FIRST_MS;
        p->again_until = now + AGAIN_FOR_MS;
    }
}

static void on_tick(void *arg)
{
    struct schedule *s = arg;
    mono_ms now = mono_now_ms();
    int64_t unix_now = unix_now_ms();
    start_first(s, now);
    for (unsigned i = 0; i < s->count; i++) {
        struct planned *p = &s->planned[i];
        bool is_clock = p->at_unix_ms && unix_now >= p->at_unix_ms;
        bool is_every = is_due(&p->every_at, now);
        if (is_clock)
            p->at_unix_ms = next_clock(p->config, unix_now);
        if (is_every)
            p->every_at = now + p->config->every_ms;
        if (is_due(&p->invalidation_at, now) || is_clock || is_every)
            start_planned(s, p);
        try_start_again(s, p, now);
    }
    if (is_due(&s->save_at, now)) {
        hottest_save(s->control);
        s->save_at = now + SAVE_EVERY_MS;
    }
    timer_start(s->timer, s->start_by ? REDIS_TICK_MS : TICK_MS);
}

struct schedule *schedule_new(struct control *c)
{
    const struct config *config = c->shared->config;
    struct schedule *s = calloc(1, sizeof(*s) + config->warm_count * sizeof(struct planned));
    if (!s)
        return NULL;
    s->control = c;
    s->count = config->warm_count;
    s->timer = timer_new(c->loop, on_tick, s);
    if (!s->timer) {
        free(s);
        return NULL;
    }
    for (unsigned i = 0; i < s->count; i++)
        s->planned[i].config = &config->warms[i];
    return s;
}

void schedule_free(struct schedule *s)
{
    if (!s)
        return;
    timer_free(s->timer);
    free(s);
}

void schedule_start(struct schedule *s)
{
    mono_ms now = mono_now_ms();
    int64_t unix_now = unix_now_ms();
    s->save_at = s->control->shared->config->state_dir.len ? now + SAVE_EVERY_MS : 0;
    for (unsigned i = 0; i < s->count; i++) {
        struct planned *p = &s->planned[i];
        p->at_unix_ms = next_clock(p->config, unix_now);
        p->every_at = p->config->every_ms ? now + p->config->every_ms : 0;
    }
    s->start_by = now + REDIS_WAIT_MS;
    start_first(s, now);
    timer_start(s->timer, s->start_by ? REDIS_TICK_MS : TICK_MS);
}

/* Several that come together warm once. */
void schedule_on_invalidation(struct schedule *s)
{
    for (unsigned i = 0; s && i < s->count; i++)
        if (s->planned[i].config->events & WARM_AFTER_INVALIDATION)
            s->planned[i].invalidation_at = mono_now_ms() + AFTER_INVALIDATION_MS;
}

struct job *schedule_job(struct control *c, struct span name, struct err *err)
{
    for (unsigned i = 0; i < c->shared->config->warm_count; i++)
        if (span_eq(c->shared->config->warms[i].name, name))
            return make_job(c, &c->shared->config->warms[i], err);
    err_set(err, ERR_NOT_FOUND, "job", "the config has no warm job \"%.*s\"", CUT(name));
    return NULL;
}
