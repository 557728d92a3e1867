/* What is said of limits: RateLimit-Policy and RateLimit (each policy a member of both lists), the
 * older X-RateLimit-*, and the problem of a 429.
 *
 * Of a bucket q is what it holds, and w how long it takes to fill, so that r, which is never more
 * than q, tells what may come at once. t says when r is whole again; where r is 0, when there is
 * room for one, which is Retry-After. */
#include "limits-internal.h"

#include <larder/net/reply.h>

/* At most what an Integer holds (RFC 9651 section 3.3.1). */
static uint64_t seconds(uint64_t ms)
{
    uint64_t s = (ms + 999) / 1000, most = UINT64_C(999999999999999);
    return s < most ? s : most;
}

static void add_policy(const struct rate_policy *p, struct buf *out)
{
    uint64_t window_ms =
        p->is_bucket ? (p->burst * p->window_ms + p->count - 1) / p->count : p->window_ms;
    buf_add_fmt(out, "\"" SPAN_FMT "\";q=%u;w=%llu", SPAN_ARG(p->name),
                p->is_bucket ? p->burst : p->count, (unsigned long long)seconds(window_ms));
}

static uint64_t until_s(const struct quota_view *v)
{
    return seconds(v->remaining ? v->reset_ms : v->wait_ms > 0 ? v->wait_ms : v->reset_ms);
}

static void add_state(const struct rate_policy *p, const struct quota_view *v, struct buf *out)
{
    buf_add_fmt(out, "\"" SPAN_FMT "\";r=%u;t=%llu", SPAN_ARG(p->name), v->remaining,
                (unsigned long long)until_s(v));
}

/* The policy that has least left, for fields that have room for one only. */
struct tightest {
    const struct rate_policy *policy;
    const struct quota_view *view;
    unsigned style;
};

static void note_tightest(const struct limits_check *c, unsigned i, struct tightest *ret)
{
    if (c->of[i].limit->legacy_headers == RATE_HEADERS_OFF)
        return;
    ret->style = c->of[i].limit->legacy_headers;
    for (unsigned n = 0; n < c->ask[i].count; n++) {
        const struct quota_view *v = &c->ask[i].view[n];
        bool is_tighter = !ret->view || v->remaining < ret->view->remaining ||
                          (v->remaining == ret->view->remaining && until_s(v) > until_s(ret->view));
        if (is_tighter)
            *ret = (struct tightest){&c->of[i].class->policies[n], v, ret->style};
    }
}

static void add_legacy(const struct tightest *t, int64_t unix_ms, struct buf *out)
{
    uint64_t at_s = until_s(t->view);
    if (t->style == RATE_HEADERS_EPOCH)
        at_s += (uint64_t)unix_ms / 1000;
    buf_add_fmt(out,
                "X-RateLimit-Limit: %u\r\nX-RateLimit-Remaining: %u\r\nX-RateLimit-Reset: %llu\r\n",
                t->policy->is_bucket ? t->policy->burst : t->policy->count, t->view->remaining,
                (unsigned long long)at_s);
}

void limits_fields_format(const struct limits_check *c, int64_t unix_ms, struct buf *out)
{
    const char *name[] = {"RateLimit-Policy: ", "RateLimit: "};
    struct tightest tightest = {.view = NULL};
    for (unsigned line = 0; line < 2; line++) {
        const char *before = name[line];
        for (unsigned i = 0; i < c->count; i++) {
            if (c->ask[i].is_dry)
                continue;
            for (unsigned n = 0; n < c->ask[i].count; n++, before = ", ") {
                buf_add_str(out, before);
                if (line == 0)
                    add_policy(&c->of[i].class->policies[n], out);
                else
                    add_state(&c->of[i].class->policies[n], &c->ask[i].view[n], out);
            }
            note_tightest(c, i, &tightest);
        }
        if (before != name[line])
            buf_add_str(out, "\r\n");
    }
    if (tightest.view)
        add_legacy(&tightest, unix_ms, out);
}

void limits_problem(const struct limits_check *c, struct problem *p)
{
    *p = (struct problem){
        .status = 429,
        .type = "rate-limited",
        .type_uri = "https://iana.org/assignments/http-problem-types#quota-exceeded",
        .detail = "too many requests; try again after the time that Retry-After says",
        .list_name = "violated-policies",
        .list = c->violated,
        .list_count = c->violated_count,
        .retry_after_s = (unsigned)seconds(c->wait_ms)};
}
