/* The answers that are tables, and those that are one sentence. */
#include "ctl-internal.h"

enum { TEXT_MAX = 64 * 1024 * 1024 };

static const struct json *member(const struct json *j, const char *name)
{
    return json_member(j, span_str(name));
}

/* Cells of the members <names>, one after another. */
static void add_cells(struct buf *cells, const struct json *j, const char *const *names,
                      unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        text_scalar(cells, member(j, names[i]));
        buf_add_char(cells, '\t');
    }
}

static void add_bytes(struct buf *cells, const struct json *j)
{
    if (j && j->type == JSON_NUMBER)
        text_bytes(cells, ctl_number_of(j, 0));
    else
        buf_add_char(cells, '-');
    buf_add_char(cells, '\t');
}

static void add_seconds(struct buf *cells, const struct json *j, double per_second)
{
    text_duration(cells, ctl_number_of(j, -1) / per_second);
    buf_add_char(cells, '\t');
}

/* "p50/p99", or "-" where nothing was measured. */
static void add_latency(struct buf *cells, const struct json *latency)
{
    const struct json *p50 = member(latency, "p50"), *p99 = member(latency, "p99");
    if (p50 && p99 && ctl_number_of(member(latency, "count"), 1) > 0)
        buf_add_fmt(cells, "%.2f/%.2f", ctl_number_of(p50, 0), ctl_number_of(p99, 0));
    else
        buf_add_char(cells, '-');
    buf_add_char(cells, '\t');
}

static void add_stats_row(struct buf *cells, struct span name, const struct json *j)
{
    static const char *const names[] = {"requests", "hits", "misses", "stale", "bypasses"};
    const struct json *latency = member(j, "latency_ms"), *ratio = member(j, "hit_ratio");
    text_clean(cells, name, "");
    buf_add_char(cells, '\t');
    add_cells(cells, j, names, array_len(names));
    if (ratio && ratio->type == JSON_NUMBER)
        buf_add_fmt(cells, "%.1f\t", ctl_number_of(ratio, 0) * 100);
    else
        buf_add_str(cells, "-\t");
    text_scalar(cells, member(j, "entries"));
    buf_add_char(cells, '\t');
    add_bytes(cells, member(j, "bytes"));
    add_latency(cells, member(latency, "hit"));
    add_latency(cells, member(latency, "miss"));
    buf_add_char(cells, '\n');
}

static bool is_true(const struct json *j)
{
    return j && j->type == JSON_TRUE;
}

/* One line: is it there, and what did it bring? */
static void add_redis(const struct json *redis, struct buf *out)
{
    static const char *const names[] = {"hits", "misses", "late", "pending", "resyncs"};
    const struct json *warning = member(redis, "warning");
    buf_add_str(out, is_true(member(redis, "available"))    ? "\nredis: available"
                     : is_true(member(redis, "in_contact")) ? "\nredis: away"
                                                            : "\nredis: away, out of contact");
    buf_add_str(out, ", instances ");
    text_scalar(out, member(redis, "instances"));
    for (unsigned i = 0; i < array_len(names); i++) {
        buf_add_fmt(out, ", %s ", names[i]);
        text_scalar(out, member(redis, names[i]));
    }
    buf_add_char(out, '\n');
    if (warning && warning->type == JSON_STRING) {
        buf_add_str(out, "warning: ");
        text_clean(out, warning->text, "");
        buf_add_char(out, '\n');
    }
}

/* One line for each: whom did it stop? */
static void add_rate_limits(const struct json *limits, struct buf *out)
{
    static const char *const names[] = {"allowed", "refused", "would_refuse", "clients"};
    for (const struct json *l = limits->first; l; l = l->next) {
        buf_add_str(out, "\nrate limit ");
        text_clean(out, l->name, "");
        for (unsigned i = 0; i < array_len(names); i++) {
            buf_add_fmt(out, "%s %s ", i ? "," : ":", names[i]);
            text_scalar(out, member(l, names[i]));
        }
    }
    buf_add_char(out, '\n');
}

void show_stats(const struct json *root, struct buf *out)
{
    const struct json *totals = member(root, "totals"), *routes = member(root, "routes");
    const struct json *uptime = member(root, "uptime_s"), *window = member(root, "window");
    struct buf cells;
    buf_init(&cells, TEXT_MAX);
    if (uptime) {
        buf_add_str(out, "up ");
        text_duration(out, ctl_number_of(uptime, -1));
    }
    if (window && window->type == JSON_STRING) {
        buf_add_str(out, uptime ? ", window " : "window ");
        text_clean(out, window->text, "");
    }
    if (out->len)
        buf_add_str(out, "\n\n");
    buf_add_str(&cells, "ROUTE\tREQUESTS\tHITS\tMISSES\tSTALE\tBYPASSES\tHIT %\tENTRIES\tBYTES\t"
                        "HIT p50/p99 ms\tMISS p50/p99 ms\t\n");
    if (totals)
        add_stats_row(&cells, SPAN_LIT("(all)"), totals);
    for (const struct json *r = routes ? routes->first : NULL; r; r = r->next)
        add_stats_row(&cells, r->name, r);
    ctl_table_format(buf_span(&cells), "lrrrrrrrrrr", out);
    if (member(root, "redis"))
        add_redis(member(root, "redis"), out);
    if (member(root, "rate_limits"))
        add_rate_limits(member(root, "rate_limits"), out);
    out->failed |= cells.failed;
    buf_fini(&cells);
}

/* What is left of the lifetime may be below nothing, while the answer still serves as stale. */
static void add_ttl(struct buf *cells, const struct json *ttl)
{
    if (ctl_number_of(ttl, 0) < 0)
        buf_add_str(cells, "stale\t");
    else
        add_seconds(cells, ttl, 1);
}

void show_keys(const struct json *root, struct buf *out)
{
    static const char *const before[] = {"key", "route", "status"};
    const struct json *keys = member(root, "keys"), *total = member(root, "total");
    struct buf cells;
    buf_init(&cells, TEXT_MAX);
    buf_add_str(&cells, "KEY\tROUTE\tSTATUS\tAGE\tTTL\tBYTES\tHITS\t\n");
    for (const struct json *k = keys ? keys->first : NULL; k; k = k->next) {
        add_cells(&cells, k, before, array_len(before));
        add_seconds(&cells, member(k, "age_s"), 1);
        add_ttl(&cells, member(k, "ttl_s"));
        add_bytes(&cells, member(k, "bytes"));
        text_scalar(&cells, member(k, "hits"));
        buf_add_str(&cells, "\t\n");
    }
    ctl_table_format(buf_span(&cells), "llrrrrr", out);
    buf_add_fmt(out, "%zu of ", keys ? keys->count : 0);
    text_scalar(out, total);
    buf_add_str(out, " keys\n");
    out->failed |= cells.failed;
    buf_fini(&cells);
}

static void add_job_row(struct buf *cells, const struct json *job)
{
    static const char *const names[] = {"id", "name", "state"};
    add_cells(cells, job, names, array_len(names));
    text_scalar(cells, member(job, "done"));
    buf_add_char(cells, '/');
    text_scalar(cells, member(job, "total"));
    buf_add_char(cells, '\t');
    text_scalar(cells, member(job, "warmed"));
    buf_add_char(cells, '\t');
    text_scalar(cells, member(job, "failed"));
    buf_add_char(cells, '\t');
    text_scalar(cells, member(job, "started"));
    buf_add_char(cells, '\t');
    add_seconds(cells, member(job, "elapsed_ms"), 1000);
    buf_add_char(cells, '\n');
}

static void show_items(const struct json *items, struct buf *out)
{
    static const char *const names[] = {"url", "status", "outcome", "ms", "error"};
    struct buf cells;
    buf_init(&cells, TEXT_MAX);
    buf_add_str(&cells, "URL\tSTATUS\tOUTCOME\tMS\tERROR\t\n");
    for (const struct json *i = items->first; i; i = i->next) {
        add_cells(&cells, i, names, array_len(names));
        buf_add_char(&cells, '\n');
    }
    buf_add_char(out, '\n');
    ctl_table_format(buf_span(&cells), "lrlrl", out);
    out->failed |= cells.failed;
    buf_fini(&cells);
}

void show_jobs(const struct json *root, struct buf *out)
{
    const struct json *jobs = member(root, "jobs"), *inner = member(root, "job");
    const struct json *job = inner ? inner : root, *items = member(job, "items");
    struct buf cells;
    buf_init(&cells, TEXT_MAX);
    if (jobs && jobs->count == 0) {
        buf_add_str(out, "no jobs\n");
        return;
    }
    buf_add_str(&cells, "ID\tNAME\tSTATE\tDONE\tOK\tFAILED\tSTARTED\tELAPSED\t\n");
    if (!jobs)
        add_job_row(&cells, job);
    for (const struct json *j = jobs ? jobs->first : NULL; j; j = j->next)
        add_job_row(&cells, j);
    ctl_table_format(buf_span(&cells), "lllrrrlr", out);
    if (!jobs && items && items->count)
        show_items(items, out);
    out->failed |= cells.failed;
    buf_fini(&cells);
}

void show_job(const struct json *root, struct buf *out)
{
    const struct json *inner = member(root, "job"), *job = inner ? inner : root;
    if (!member(job, "id")) {
        show_members(root, out);
        return;
    }
    text_scalar(out, member(job, "id"));
    if (member(job, "state")) {
        buf_add_str(out, ": ");
        text_scalar(out, member(job, "state"));
    }
    if (member(job, "total")) {
        buf_add_str(out, ", ");
        text_scalar(out, member(job, "done"));
        buf_add_str(out, " of ");
        text_scalar(out, member(job, "total"));
        buf_add_str(out, " done");
    }
    buf_add_char(out, '\n');
}

static bool has_text(const struct json *j)
{
    return j && j->type == JSON_STRING && j->text.len;
}

/* What has become of it at other instances, where there may be any. */
static void show_replication(const struct json *root, struct buf *out)
{
    const struct json *replicated = member(root, "replicated");
    const struct json *applied = member(root, "applied_by");
    const struct json *missing = member(root, "not_applied_by");
    if (replicated && !is_true(replicated))
        buf_add_str(out, "Redis is away: other instances will know when it is back\n");
    if (applied && is_true(replicated))
        buf_add_fmt(out, "applied by %zu instances\n", applied->count);
    for (const struct json *i = missing ? missing->first : NULL; i; i = i->next) {
        buf_add_str(out, "not applied by ");
        text_scalar(out, i);
        buf_add_char(out, '\n');
    }
}

void show_invalidated(const struct json *root, struct buf *out)
{
    const struct json *dry = member(root, "dry_run"), *mode = member(root, "mode");
    const struct json *removed = member(root, "removed"), *keys = member(root, "keys");
    bool is_dry = dry && dry->type == JSON_TRUE;
    bool is_soft = mode && span_eq(mode->text, SPAN_LIT("soft"));
    if ((is_dry || is_soft) && member(root, "matched"))
        removed = member(root, "matched");
    text_scalar(out, removed);
    buf_add_str(out, ctl_number_of(removed, 0) == 1 ? " answer " : " answers ");
    buf_add_str(out, is_dry ? "would be " : "");
    buf_add_str(out, is_soft ? "marked stale" : "removed");
    double flights = ctl_number_of(member(root, "in_flight"), 0);
    buf_add_fmt(out, " (%.0f %s in flight overtaken)", flights, flights == 1 ? "fetch" : "fetches");
    if (has_text(member(root, "id"))) {
        buf_add_str(out, ", id ");
        text_scalar(out, member(root, "id"));
    }
    buf_add_char(out, '\n');
    show_replication(root, out);
    for (const struct json *k = keys ? keys->first : NULL; k; k = k->next) {
        text_scalar(out, k);
        buf_add_char(out, '\n');
    }
    if (has_text(member(root, "refresh_job"))) {
        buf_add_str(out, "fetched again by ");
        text_scalar(out, member(root, "refresh_job"));
        buf_add_str(out, ": larder ctl jobs ");
        text_scalar(out, member(root, "refresh_job"));
        buf_add_char(out, '\n');
    }
}

static bool has_failed(const struct json *item)
{
    const struct json *error = member(item, "error"), *outcome = member(item, "outcome");
    return (error && error->text.len) || ctl_number_of(member(item, "status"), 200) >= 400 ||
           (outcome && span_eq(outcome->text, SPAN_LIT("failed")));
}

void show_failed(const struct json *root, struct buf *out)
{
    const struct json *inner = member(root, "job"), *job = inner ? inner : root;
    const struct json *items = member(job, "items");
    struct buf cells;
    buf_init(&cells, TEXT_MAX);
    for (const struct json *i = items ? items->first : NULL; i; i = i->next) {
        if (!has_failed(i))
            continue;
        buf_add_str(&cells, "failed\t");
        text_scalar(&cells, member(i, "url"));
        buf_add_char(&cells, '\t');
        text_scalar(&cells, member(i, "status"));
        buf_add_char(&cells, '\t');
        text_scalar(&cells, member(i, member(i, "error") ? "error" : "outcome"));
        buf_add_str(&cells, "\t\n");
    }
    ctl_table_format(buf_span(&cells), "llrl", out);
    out->failed |= cells.failed;
    buf_fini(&cells);
}
