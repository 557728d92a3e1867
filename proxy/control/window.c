/* Figures of the last minute and hour: the counters as they were then are kept, and taken off what
 * they are now. A picture is made each 5 seconds for the minute and each 5 minutes for the hour, of
 * routes that have had requests since the last; the others share it. */
#include "control-internal.h"

#include <stdlib.h>

enum { PICTURES = 13, MINUTE_EVERY_S = 5, HOUR_EVERY_S = 300 };

struct picture { /* of one route; counted, for pictures that are alike are one */
    unsigned refs;
    struct route_counters counters;
};

struct ring {
    unsigned every_s, age_s; /* seconds since the last picture */
    unsigned next, count;
    struct picture **pictures[PICTURES]; /* route_count + 1 each: the last is the sum */
};

struct windows {
    struct control *control;
    unsigned route_count;
    struct ring minute, hour;
};

void counters_add(struct route_counters *into, const struct route_counters *from)
{
#define X(name, text) into->name += from->name;
    ROUTE_COUNTERS(X)
#undef X
    for (unsigned i = 0; i < STORE_VERDICT_COUNT; i++)
        into->refused[i] += from->refused[i];
    for (unsigned i = 0; i < REASON_COUNT; i++)
        into->bypassed[i] += from->bypassed[i];
    hist_merge(&into->hit_time, &from->hit_time);
    hist_merge(&into->miss_time, &from->miss_time);
}

void counters_all_times(const struct route_counters *c, struct hist *ret)
{
    memset((void *)ret, 0, sizeof(*ret));
    hist_merge(ret, &c->hit_time);
    hist_merge(ret, &c->miss_time);
}

static void hist_subtract(struct hist *h, const struct hist *what)
{
    h->count -= what->count;
    h->sum_us -= what->sum_us;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        h->bucket[i] -= what->bucket[i];
}

void counters_subtract(struct route_counters *from, const struct route_counters *what)
{
#define X(name, text) from->name -= what->name;
    ROUTE_COUNTERS(X)
#undef X
    for (unsigned i = 0; i < STORE_VERDICT_COUNT; i++)
        from->refused[i] -= what->refused[i];
    for (unsigned i = 0; i < REASON_COUNT; i++)
        from->bypassed[i] -= what->bypassed[i];
    hist_subtract(&from->hit_time, &what->hit_time);
    hist_subtract(&from->miss_time, &what->miss_time);
}

void counters_sum(const struct shared *s, unsigned route, struct route_counters *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (unsigned i = 0; i < s->worker_count; i++)
        counters_add(ret, &worker_route_counters(s->workers[i])[route]);
}

static void unref(struct picture *p)
{
    if (p && --p->refs == 0)
        free(p);
}

static void drop(struct windows *w, struct picture **pictures)
{
    for (unsigned i = 0; pictures && i <= w->route_count; i++)
        unref(pictures[i]);
    free(pictures);
}

/* The newest picture of the ring; NULL: none yet. */
static struct picture **newest(const struct ring *r)
{
    return r->count ? r->pictures[(r->next + PICTURES - 1) % PICTURES] : NULL;
}

/* The picture of what <now> counts: the last one, where nothing has happened since. */
static struct picture *picture_of(const struct route_counters *now, struct picture *last)
{
    uint64_t seen = last ? last->counters.requests + last->counters.fetches : 0;
    if (last && now->requests + now->fetches == seen) {
        last->refs++;
        return last;
    }
    if (now->requests + now->fetches == 0)
        return NULL; /* all zero */
    struct picture *p = malloc(sizeof(*p));
    if (!p)
        return NULL;
    p->refs = 1;
    memcpy((void *)&p->counters, (const void *)now, sizeof(*now));
    return p;
}

static void take_picture(struct windows *w, struct ring *r)
{
    struct picture **made = calloc(w->route_count + 1, sizeof(struct picture *));
    struct picture **last = newest(r);
    struct route_counters *now = malloc(2 * sizeof(*now));
    if (!made || !now) {
        free(made);
        free(now);
        return;
    }
    memset(&now[1], 0, sizeof(now[1]));
    for (unsigned i = 0; i < w->route_count; i++) {
        counters_sum(w->control->shared, i, &now[0]);
        counters_add(&now[1], &now[0]);
        made[i] = picture_of(&now[0], last ? last[i] : NULL);
    }
    made[w->route_count] = picture_of(&now[1], last ? last[w->route_count] : NULL);
    free(now);
    drop(w, r->pictures[r->next]);
    r->pictures[r->next] = made;
    r->next = (r->next + 1) % PICTURES;
    r->count += r->count < PICTURES;
}

struct windows *windows_new(struct control *c)
{
    struct windows *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->control = c;
    w->route_count = c->shared->config->route_count;
    w->minute.every_s = MINUTE_EVERY_S;
    w->hour.every_s = HOUR_EVERY_S;
    return w;
}

void windows_free(struct windows *w)
{
    if (!w)
        return;
    for (unsigned i = 0; i < PICTURES; i++) {
        drop(w, w->minute.pictures[i]);
        drop(w, w->hour.pictures[i]);
    }
    free(w);
}

static void tick(struct windows *w, struct ring *r)
{
    if (++r->age_s < r->every_s)
        return;
    r->age_s = 0;
    take_picture(w, r);
}

void windows_tick(struct windows *w)
{
    tick(w, &w->minute);
    tick(w, &w->hour);
}

void windows_read(const struct windows *w, unsigned route, enum window window,
                  const struct route_counters *now, struct route_counters *ret)
{
    const struct ring *r = window == WINDOW_MINUTE ? &w->minute : &w->hour;
    memcpy((void *)ret, (const void *)now, sizeof(*now));
    if (window == WINDOW_START || r->count < PICTURES)
        return; /* larder is younger than the window: all there is, is in it */
    const struct picture *then = r->pictures[r->next] ? r->pictures[r->next][route] : NULL;
    if (then)
        counters_subtract(ret, &then->counters);
}
