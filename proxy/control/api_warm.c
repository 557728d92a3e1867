/* POST /api/cache/warm and the routes of its jobs. */
#include "control-internal.h"

#include <stdio.h>

static const char EXAMPLE[] =
    "{\"urls\": [\"/api/courses?organization_id=1\"]}, {\"route\": \"courses\", \"params\": "
    "{\"organization_id\": [\"1\", \"2\"], \"semester\": [1, 2]}}, {\"hottest\": 100} or {\"job\": "
    "\"a warm job of the config\"}; and \"concurrency\", \"rate\", \"headers\", \"refresh\", "
    "\"wait\", \"bodies\" if you like";

static void write_job(struct call *c, const struct job *j)
{
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    job_write(j, &w, "job", false);
    json_write_object_end(&w);
}

static struct job *make_job(struct call *c, const struct json *root, struct err *err)
{
    const struct json *name = json_member(root, SPAN_LIT("job"));
    if (!name)
        return job_from_spec(c->control, root, "on demand", c, err);
    if (!access_is_bound(c))
        return schedule_job(c->control, name->text, err);
    err_set(err, ERR_DENIED, "job", "the token is bound");
    return NULL;
}

static bool refuse(struct call *c, const struct err *err)
{
    if (err->code == ERR_NOMEM)
        return call_fail_nomem(c);
    if (err->code == ERR_DENIED)
        return call_fail(c, 403, "forbidden", "%s", err->what);
    return call_fail(c, 400, "bad-value", "%s; write %s", err->what, EXAMPLE);
}

bool api_warm(struct call *c)
{
    static const char *const known[] = {"urls", "route",  "params",     "hottest",
                                        "job",  "rate",   "headers",    "refresh",
                                        "wait", "bodies", "concurrency"};
    cleanup(json_doc_freep) struct json_doc *doc = call_parse(c, known, array_len(known), EXAMPLE);
    bool wants_wait = false, wants_bodies = false;
    struct err err = {0};
    if (!doc || !call_bool(c, json_root(doc), "wait", &wants_wait) ||
        !call_bool(c, json_root(doc), "bodies", &wants_bodies))
        return true;
    struct job *j = make_job(c, json_root(doc), &err);
    if (!j)
        return refuse(c, &err);
    buf_add_fmt(&c->audit, "%s, %u requests", j->id, j->count);
    j->wants_bodies = wants_bodies;
    if (wants_wait) {
        j->waiting = c;
        access_audit(c, "warm");
        job_start(j);
        return false;
    }
    c->status = 202;
    snprintf(c->location, sizeof(c->location), "/api/cache/jobs/%s", j->id);
    job_start(j);
    write_job(c, j);
    return true;
}

/* A bound token knows of its own jobs only. */
static bool may_see(const struct call *c, const struct job *j)
{
    return !access_is_bound(c) || j->owner == c->token;
}

bool api_jobs(struct call *c)
{
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_array(&w, "jobs");
    list_for_each_safe (it, next, &c->control->jobs) {
        const struct job *j = container_of(it, struct job, link);
        if (may_see(c, j))
            job_write(j, &w, NULL, false);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    return true;
}

static struct job *find(struct call *c)
{
    struct job *j = job_find(c->control, c->argument);
    if (j && may_see(c, j))
        return j;
    (void)call_fail(c, 404, "unknown-job", "there is no job \"%.*s\" any more", CUT(c->argument));
    return NULL;
}

/* As JSON, or as server-sent events until it ends. */
bool api_job(struct call *c)
{
    struct job *j = find(c);
    const struct field *accept = head_field_named(c->head, SPAN_LIT("Accept"));
    if (!j)
        return true;
    bool is_stream = accept && memmem(accept->value.p, accept->value.len, "text/event-stream", 17);
    if (is_stream && c->method == METHOD_GET) {
        job_follow(j, c);
        return false;
    }
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    job_write(j, &w, NULL, true);
    return true;
}

bool api_job_cancel(struct call *c)
{
    struct job *j = find(c);
    if (!j)
        return true;
    job_cancel(j);
    buf_add_fmt(&c->audit, "%s", j->id);
    write_job(c, j);
    return true;
}

bool api_job_retry(struct call *c)
{
    struct job *j = find(c);
    if (!j)
        return true;
    buf_add_fmt(&c->audit, "%s", j->id);
    if (!job_retry(j))
        return call_fail(c, 409, "nothing-to-retry",
                         "the job %s has not ended, or nothing of it has failed", j->id);
    c->status = 202;
    write_job(c, j);
    return true;
}
