/* An alias's way: which one has the call, may it be made, the app's word where it is asked, then
 * the canonical calls one behind the other, and the answer in the old shape. A canonical call is a
 * call like any other, made in the first one's name: it is checked, carried out, told to other
 * instances and audited by the same code. Nothing is done before all that the request must bring is
 * there. */
#include "alias-internal.h"

#include <larder/base/log.h>

#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *path, *audit;
    handler handle;
    unsigned scope;
} actions[] = {
    [ALIAS_STATS] = {"/api/cache/stats", NULL, api_stats, SCOPE_READ},
    [ALIAS_INVALIDATE] = {"/api/cache/invalidate", "invalidate", api_invalidate, SCOPE_INVALIDATE},
    [ALIAS_WARM] = {"/api/cache/warm", "warm", api_warm, SCOPE_WARM},
};

enum { BODY_MAX = 1024 * 1024 };

struct alias_run {
    struct call *call;
    const struct alias_config *alias;
    struct alias_request request;
    struct alias_figures figures;
    struct alias_result result;
    struct alias_app *app; /* NULL: not asked */
    unsigned next;         /* of the canonical calls */
    bool has_begun;        /* noted for repetitions */
    struct buf bodies[ALIAS_WITH_MAX];
    struct buf reply;
};

/* --- which one --- */

bool alias_takes(const struct shared *s, const struct head *h)
{
    const struct config *c = s->config;
    struct route_captures captures;
    struct span word;
    for (unsigned i = 0; i < c->alias_count; i++)
        if (route_takes(c->aliases[i].on, h, &captures) ||
            (h->method == METHOD_OPTIONS && alias_takes_preflight(&c->aliases[i], h)))
            return !shared_is_own(s, h, &word);
    return false;
}

static bool may_call(struct call *c, const struct alias_config *a)
{
    c->is_open = a->is_open;
    if (a->is_open || access_is_allowed(c, actions[a->action].scope))
        return true;
    access_tell_denied(c, actions[a->action].audit ?: "read");
    return false;
}

static bool holds_all(struct alias_request *q, const struct alias_test *tests, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!alias_holds(q, &tests[i]))
            return false;
    return true;
}

/* What would have been right, of all that might have had the call. */
static bool fail_when(struct call *c, struct alias_request *q)
{
    const struct config *config = c->control->shared->config;
    struct buf what;
    char block[500];
    bool has_any = false;
    if (q->error.code)
        return call_fail(c, 400, "bad-json", "%s: %s", q->error.where, q->error.what);
    buf_init_fixed(&what, block, sizeof(block));
    for (unsigned i = 0; i < config->alias_count; i++) {
        const struct alias_config *a = &config->aliases[i];
        if (!route_takes(a->on, c->head, &q->captures))
            continue;
        buf_add_str(&what, has_any ? "; or " : "");
        has_any = true;
        for (unsigned t = 0; t < a->when_count; t++) {
            buf_add_str(&what, t ? ", and " : "");
            alias_test_format(&a->when[t], &what);
        }
    }
    return call_fail(c, 400, "bad-value", SPAN_FMT "%s", SPAN_ARG(buf_span(&what)),
                     what.failed ? "..." : "");
}

/* What would be right is told to those only who might call one of them. */
static bool may_hear(struct call *c, struct alias_request *q)
{
    const struct config *config = c->control->shared->config;
    const struct alias_config *closed = NULL;
    for (unsigned i = 0; i < config->alias_count; i++) {
        const struct alias_config *a = &config->aliases[i];
        if (!route_takes(a->on, c->head, &q->captures))
            continue;
        if (a->is_open)
            return true;
        closed = closed ? closed : a;
    }
    return !closed || may_call(c, closed);
}

static const struct alias_config *find_alias(struct call *c, struct alias_request *q)
{
    const struct config *config = c->control->shared->config;
    for (unsigned i = 0; i < config->alias_count; i++) {
        const struct alias_config *a = &config->aliases[i];
        if (route_takes(a->on, c->head, &q->captures) && holds_all(q, a->when, a->when_count))
            return a;
    }
    return NULL;
}

static const struct alias_config *find_preflight(const struct call *c)
{
    const struct config *config = c->control->shared->config;
    for (unsigned i = 0; i < config->alias_count && c->method == METHOD_OPTIONS; i++)
        if (alias_takes_preflight(&config->aliases[i], c->head))
            return &config->aliases[i];
    return NULL;
}

/* --- its end --- */

static void run_free(struct alias_run *r)
{
    alias_request_fini(&r->request);
    alias_figures_fini(&r->figures);
    alias_result_fini(&r->result);
    alias_app_free(r->app);
    for (unsigned i = 0; i < ALIAS_WITH_MAX; i++)
        buf_fini(&r->bodies[i]);
    buf_fini(&r->reply);
    free(r);
}

/* Always true: the call has its answer. */
static bool end(struct alias_run *r)
{
    struct call *c = r->call;
    bool has_own = r->app && c->passed.len && alias_app_has_cors(r->app);
    if (!has_own)
        alias_add_cors(c, r->alias);
    if (r->alias->action != ALIAS_STATS && !r->app)
        repeats_note(c);
    run_free(r);
    return true;
}

/* --- values --- */

static bool value_of(void *arg, const struct reply_value *v, struct reply_datum *ret)
{
    struct alias_run *r = arg;
    switch (v->group) {
    case REPLY_OF_REQUEST:
        return alias_request_value(&r->request, &v->param, ret);
    case REPLY_OF_INVALIDATION:
    case REPLY_OF_WARM:
    case REPLY_OF_RESULT:
        return alias_result_value(&r->result, r->call->control->shared->config, v, ret);
    default:
        return alias_figures_value(&r->figures, v, ret);
    }
}

static bool fail_value(struct call *c, enum err_code rc, const struct reply_value *v)
{
    switch (rc) {
    case ERR_NOT_FOUND:
        return call_fail(c, 400, "missing-value", "%.*s is missing: this call needs it %s",
                         CUT(v->text), alias_place_of(&v->param));
    case ERR_SYNTAX:
        return call_fail(c, 400, "bad-value", "%.*s must be a number", CUT(v->text));
    case ERR_DENIED:
        return call_fail(c, 400, "bad-value",
                         "%.*s must be a text, a number, true, false or an array of these",
                         CUT(v->text));
    case ERR_TOO_LARGE:
        return call_fail(c, 413, "body-too-large", "a value of the request is too long");
    default:
        return call_fail_nomem(c);
    }
}

/* What is not the request's is 0 as yet. */
static bool value_before(void *arg, const struct reply_value *v, struct reply_datum *ret)
{
    struct alias_run *r = arg;
    if (v->group == REPLY_OF_REQUEST)
        return alias_request_value(&r->request, &v->param, ret);
    ret->kind = DATUM_COUNT;
    return true;
}

static bool fill(struct alias_run *r, const struct reply_node *n,
                 bool (*value)(void *arg, const struct reply_value *v, struct reply_datum *ret),
                 struct buf *out)
{
    struct reply_source source = {.value_of = value, .arg = r};
    const struct reply_value *bad = NULL;
    enum err_code rc = reply_fill(n, &source, out, &bad);
    return rc == ERR_OK || !fail_value(r->call, rc, bad);
}

/* Of the reply: what it needs of the request must be there, and good for its filters, before
 * anything is done. */
static bool check_reply(struct alias_run *r)
{
    bool is_good = fill(r, r->alias->reply, value_before, &r->reply);
    buf_reset(&r->reply);
    return is_good;
}

/* The bodies of all canonical calls. */
static bool prepare(struct alias_run *r)
{
    const struct alias_config *a = r->alias;
    struct call *c = r->call;
    if (a->needs_json && r->request.error.code)
        return !call_fail(c, 400, "bad-json", "%s: %s", r->request.error.where,
                          r->request.error.what);
    for (unsigned i = 0; i < a->expect_count; i++) {
        struct buf what;
        char block[400];
        if (alias_holds(&r->request, &a->expect[i]))
            continue;
        buf_init_fixed(&what, block, sizeof(block));
        alias_test_format(&a->expect[i], &what);
        return !call_fail(c, 400, "bad-value", SPAN_FMT, SPAN_ARG(buf_span(&what)));
    }
    for (unsigned i = 0; i < a->with_count; i++)
        if (!fill(r, &a->with[i], value_of, &r->bodies[i]))
            return false;
    return !a->reply || check_reply(r);
}

/* --- canonical calls --- */

/* The job is waited for, and its bodies are kept where the reply tells them. */
static void add_warm_members(const struct alias_config *a, struct buf *body)
{
    bool is_empty = body->len <= 2;
    body->len--;
    buf_add_fmt(body, "%s\"wait\":true,\"bodies\":%s}", is_empty ? "" : ",",
                a->needs_bodies || !a->reply ? "true" : "false");
}

static struct call *new_part(struct alias_run *r)
{
    struct buf *body = &r->bodies[r->next];
    struct call *part = call_part_new(r->call, actions[r->alias->action].path);
    if (!part)
        return NULL;
    part->body = *body;
    buf_init(body, 0); /* it is the part's now */
    if (r->alias->action == ALIAS_WARM)
        add_warm_members(r->alias, &part->body);
    part->audit_as = actions[r->alias->action].audit;
    if (!part->body.failed)
        return part;
    call_part_free(part);
    return NULL;
}

static bool answer(struct alias_run *r);
static bool run_next(struct alias_run *r);

/* A refusal does not take back what is done already. */
static void tell_done(const struct alias_run *r)
{
    struct call *c = r->call;
    size_t len = strlen(c->detail);
    unsigned done = r->next - 1; /* before the one that was refused */
    if (done && c->problem)
        snprintf(c->detail + len, sizeof(c->detail) - len, " (%u of %u calls had been made)", done,
                 r->alias->with_count);
}

/* True: go on with the next. */
static bool take_part(struct alias_run *r, struct call *part)
{
    struct call *c = r->call;
    r->next++;
    bool is_good = alias_result_add(&r->result, r->alias, c, part);
    if (!is_good)
        tell_done(r);
    if (is_good && !r->alias->reply) {
        buf_fini(&c->reply);
        c->reply = part->reply;
        buf_init(&part->reply, 0);
        c->status = part->status;
    }
    call_part_free(part);
    return is_good;
}

static void on_part_done(struct call *part)
{
    struct alias_run *r = part->on_done_arg;
    struct call *c = r->call;
    if (take_part(r, part) ? run_next(r) : end(r))
        call_done(c);
}

/* False: the answer comes later. */
static bool run_next(struct alias_run *r)
{
    while (r->next < r->alias->with_count) {
        struct call *part = new_part(r);
        if (!part)
            return call_fail_nomem(r->call) && end(r);
        part->on_done = on_part_done;
        part->on_done_arg = r;
        if (!r->has_begun && !r->app)
            repeats_begin(r->call);
        r->has_begun = true;
        if (!actions[r->alias->action].handle(part))
            return false; /* on_part_done() comes, or has come: <r> may be gone */
        access_audit(part, part->audit_as);
        if (!take_part(r, part))
            return end(r);
    }
    return answer(r);
}

/* Whose figures are wanted. */
static bool run_stats(struct alias_run *r)
{
    bool is_all = r->alias->with_count == 0;
    if (!is_all && !alias_figures_of(&r->figures, buf_span(&r->bodies[0])))
        return end(r);
    if (access_is_bound(r->call) && !r->figures.has_value)
        return call_fail(r->call, 403, "forbidden",
                         "the token is bound: it may see the figures of its own values only") &&
               end(r);
    if (r->alias->reply)
        return answer(r);
    struct call *part = call_part_new(r->call, actions[ALIAS_STATS].path);
    if (!part)
        return call_fail_nomem(r->call) && end(r);
    if (r->figures.has_value)
        stats_write_value(part, &r->figures.value);
    else
        (void)api_stats(part);
    (void)take_part(r, part);
    return end(r);
}

static bool run_action(struct alias_run *r)
{
    return r->alias->action == ALIAS_STATS ? run_stats(r) : run_next(r);
}

/* --- the answer --- */

static bool answer(struct alias_run *r)
{
    const struct alias_config *a = r->alias;
    struct call *c = r->call;
    if (!a->reply)
        return end(r);
    if (!fill(r, a->reply, value_of, &r->reply))
        return end(r);
    if (r->app) {
        alias_app_merge(r->app, c, buf_span(&r->reply), a->status);
        return end(r);
    }
    c->status = a->status ? a->status : 200;
    buf_fini(&c->reply);
    c->reply = r->reply;
    buf_init(&r->reply, 0);
    return end(r);
}

/* The app is asked first: what it refuses is not done. */
static void on_app_end(void *arg)
{
    struct alias_run *r = arg;
    struct call *c = r->call;
    bool is_done;
    if (!alias_app_has_answered(r->app, c)) {
        is_done = end(r);
    } else if (!alias_app_has_agreed(r->app)) {
        alias_app_pass(r->app, c);
        is_done = end(r);
    } else {
        is_done = run_action(r);
    }
    if (is_done)
        call_done(c);
}

static bool ask_app(struct alias_run *r)
{
    r->app = alias_app_ask(r->call, on_app_end, r);
    if (r->app)
        return false;
    return call_fail(r->call, 503, "overloaded", "the app cannot be asked now") && end(r);
}

/* --- the call --- */

/* By what this instance has counted. False after call_fail(). */
static bool is_within_limits(struct call *c, const struct alias_config *a)
{
    struct limits *limits = c->control->shared->limits;
    struct limits_request request = {.head = c->head, .peer = c->peer_addr};
    if (!limits || !a->rate_limit.count)
        return true;
    struct limits_check *check = calloc(1, sizeof(*check));
    if (!check)
        return !call_fail_nomem(c);
    bool is_allowed = limits_allow(limits, &a->rate_limit, &request, span_of(NULL, 0), check);
    limits_fields_format(check, unix_now_ms(), &c->fields);
    if (is_allowed) {
        free(check);
        return true;
    }
    c->limited = check;
    return !call_fail(c, 429, "rate-limited", "too many calls");
}

/* Fields and cookies that the alias looks at: another's are another call, whatever its key. */
static void note_scope(void *arg, const struct param *p)
{
    struct alias_run *r = arg;
    struct buf *scope = &r->call->scope;
    struct reply_datum d;
    if (p->source == PARAM_JSON || p->source == PARAM_FORM)
        return; /* the body counts as a whole */
    if (!alias_request_value(&r->request, p, &d))
        scope->failed = true;
    else if (d.kind == DATUM_TEXT)
        buf_add_fmt(scope, "%zu:", d.text.len);
    else
        buf_add_char(scope, '-');
    if (d.kind == DATUM_TEXT)
        buf_add_span(scope, d.text);
}

static void note_value(void *arg, const struct reply_value *v)
{
    if (v->group == REPLY_OF_REQUEST)
        note_scope(arg, &v->param);
}

static void set_scope(struct alias_run *r)
{
    const struct alias_config *a = r->alias;
    buf_add_u64(&r->call->scope, (uint64_t)(a - r->call->control->shared->config->aliases));
    for (unsigned i = 0; i < a->expect_count; i++)
        note_scope(r, &a->expect[i].param);
    for (unsigned i = 0; i < a->with_count; i++)
        reply_each_value(&a->with[i], note_value, r);
    if (a->reply)
        reply_each_value(a->reply, note_value, r);
}

static struct alias_run *run_new(struct call *c)
{
    struct alias_run *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->call = c;
    alias_figures_init(&r->figures, c);
    alias_result_init(&r->result);
    for (unsigned i = 0; i < ALIAS_WITH_MAX; i++)
        buf_init(&r->bodies[i], BODY_MAX);
    buf_init(&r->reply, REPLY_MAX);
    if (alias_request_read(&r->request, c))
        return r;
    run_free(r);
    return NULL;
}

/* Which alias has the call. False after call_fail(). */
static bool choose(struct alias_run *r)
{
    struct call *c = r->call;
    r->alias = find_alias(c, &r->request);
    if (r->request.has_no_memory) /* one that comes first may have been passed by */
        return !call_fail_nomem(c);
    if (r->alias)
        return true;
    return may_hear(c, &r->request) && !fail_when(c, &r->request);
}

bool alias_handle(struct call *c)
{
    const struct alias_config *preflight = find_preflight(c);
    if (preflight)
        return alias_answer_preflight(c, preflight);
    struct alias_run *r = run_new(c);
    if (!r)
        return call_fail_nomem(c);
    if (!choose(r)) {
        run_free(r);
        return true;
    }
    bool changes = r->alias->action != ALIAS_STATS && !r->alias->is_merged;
    if (changes)
        set_scope(r);
    if (!may_call(c, r->alias) || !is_within_limits(c, r->alias) ||
        (changes && repeats_replay(c))) {
        alias_add_cors(c, r->alias);
        run_free(r);
        return true;
    }
    if (!prepare(r))
        return end(r);
    return r->alias->is_merged ? ask_app(r) : run_action(r);
}

void aliases_warn(const struct config *c)
{
    for (unsigned i = 0; i < c->alias_count; i++) {
        const struct alias_config *a = &c->aliases[i];
        if (!a->is_open || a->action == ALIAS_STATS)
            continue;
        log_warn("the alias \"" SPAN_FMT "\" is open: anybody who reaches the public listener may "
                 "%s; take \"open\" away, or let only those in who may",
                 SPAN_ARG(a->text),
                 a->action == ALIAS_WARM ? "warm the cache" : "invalidate what it names");
    }
}
