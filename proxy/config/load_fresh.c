/* How long an answer may be used, fresh and stale, and whether it may be stored at all. */
#include "config-internal.h"

#include <larder/base/wallclock.h>

#include <stddef.h>

static void *alloc_for_cond(void *reading, size_t size)
{
    return reading_alloc(reading, 1, size);
}

static const struct cond *read_cond(struct reading *r, const struct json *j)
{
    const struct cond *c = NULL;
    struct err err = {0};
    if (j->type != JSON_STRING) {
        reading_fail(r, j, "write a condition such as \"status == 200 && /success == true\"");
        return NULL;
    }
    if (cond_parse(j->text, alloc_for_cond, r, &c, &err) != ERR_OK)
        reading_fail(r, j, "%s", err.what);
    return c;
}

void load_store_if(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    route->store_if = read_cond(r, j);
}

struct rule_parts {
    const struct cond *cond;
    uint64_t ttl_ms;
};

static void read_rule_cond(struct reading *r, const struct json *j, void *into)
{
    struct rule_parts *p = into;
    p->cond = read_cond(r, j);
}

static const struct member rule_members[] = {
    {.name = "if",
     .type = MEMBER_OWN,
     .read = read_rule_cond,
     .is_required = true,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "a condition over the answer: write \"/status == \\\"done\\\"\""},
    {.name = "ttl",
     .type = MEMBER_DURATION,
     .offset = offsetof(struct rule_parts, ttl_ms),
     .is_required = true,
     .doc = "its freshness lifetime then; \"0s\": not stored"},
};
const struct object object_ttl_rule = OBJECT("a rule of ttl_if", rule_members);

void load_ttl_if(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    if (j->type != JSON_ARRAY || j->count < 1 || j->count > TTL_RULES_MAX) {
        reading_fail(
            r, j,
            "write an array of 1 to %d rules such as {\"if\": \"/status == \\\"running\\\"\", "
            "\"ttl\": \"0s\"}",
            TTL_RULES_MAX);
        return;
    }
    for (const struct json *c = j->first; c; c = c->next) {
        struct rule_parts parts = {0};
        if (!reading_members(r, c, &object_ttl_rule, &parts) || !parts.cond)
            continue;
        route->ttl_rules[route->ttl_rule_count++] =
            (struct ttl_rule){.cond = parts.cond, .ttl_ms = parts.ttl_ms};
    }
}

#define AT(field) offsetof(struct route, field)

static const struct member error_members[] = {
    {.name = "max",
     .type = MEMBER_DURATION,
     .offset = AT(fresh.error_ms),
     .is_required = true,
     .doc = "how long after its freshness an answer may hide an upstream's failure"},
    {.name = "per_day",
     .type = MEMBER_DURATION,
     .offset = AT(error_budget_ms),
     .fallback = "0s",
     .doc = "in all on a day (UTC); then errors are told; 0s: no limit"},
};
const struct object object_stale_if_error = OBJECT("stale_if_error", error_members);

void load_stale_if_error(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    if (j->type == JSON_OBJECT)
        reading_members(r, j, &object_stale_if_error, route);
    else if (j->type != JSON_STRING || !config_duration_parse(j->text, &route->fresh.error_ms))
        reading_fail(r, j,
                     "write a duration such as \"6h\", or {\"max\": \"6h\", \"per_day\": \"30m\"}");
}

/* true, or beta as a number with at most two decimals: "1.5" is 150. */
void load_refresh_ahead(struct reading *r, const struct json *j, void *into)
{
    enum { BETA_MAX = 10000 };
    struct route *route = into;
    uint64_t whole = 0, part = 0;
    if (j->type == JSON_TRUE || j->type == JSON_FALSE) {
        route->refresh_ahead = j->type == JSON_TRUE ? 100 : 0;
        return;
    }
    struct span rest, first = span_split(j->text, '.', &rest);
    bool is_good = j->type == JSON_NUMBER && span_parse_u64(first, &whole) &&
                   (!rest.p || (rest.len <= 2 && span_parse_u64(rest, &part)));
    uint64_t beta = whole * 100 + (rest.len == 1 ? part * 10 : part);
    if (is_good && whole <= BETA_MAX / 100 && beta <= BETA_MAX)
        route->refresh_ahead = (unsigned)beta;
    else
        reading_fail(r, j, "write true, or XFetch's beta from 0 to 100, such as 1.5");
}

void load_jitter(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    reading_percent(r, j, 90, &route->jitter_percent);
}

const struct wallclock *load_clock(struct reading *r, const struct json *j)
{
    struct wallclock *w = NULL;
    struct err err = {0};
    if (j->type != JSON_STRING)
        reading_fail(r, j, "write a time of day such as \"06:00 Asia/Kolkata\"");
    else if (wallclock_parse(j->text, &w, &err) != ERR_OK)
        reading_fail(r, j, "%s", err.what);
    else
        return reading_keep(r, w, (void (*)(void *))wallclock_free);
    return NULL;
}

void load_until(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    const struct json *first = j->type == JSON_ARRAY ? j->first : j;
    if (j->type == JSON_ARRAY && (j->count < 1 || j->count > UNTIL_MAX))
        reading_fail(r, j, "write one time of day, or 1 to %d of them", UNTIL_MAX);
    for (const struct json *c = first; c && route->until_count < UNTIL_MAX;
         c = j->type == JSON_ARRAY ? c->next : NULL) {
        const struct wallclock *w = load_clock(r, c);
        if (w)
            route->until[route->until_count++] = w;
    }
}
