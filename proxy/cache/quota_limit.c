/* One limit's arithmetic, all in whole numbers.
 *
 * A bucket's level is in tokens times window_ms, so that a token is window_ms, and each millisecond
 * takes off exactly <count>: nothing is rounded, however odd the rate. The largest level is
 * 10^9 * 31 days in ms, below 2^62. */
#include <larder/cache/quota.h>

static uint64_t after(mono_ms now, mono_ms at)
{
    return now > at ? now - at : 0; /* another thread's clock may have been read later */
}

static uint64_t level_at(const struct quota_limit *l, const struct quota_state *s, mono_ms now)
{
    uint64_t passed = after(now, s->at_ms);
    return passed > s->level / l->count ? 0 : s->level - passed * l->count;
}

static void look_at_bucket(const struct quota_limit *l, uint64_t level, struct quota_view *ret)
{
    uint64_t room = (uint64_t)l->burst * l->window_ms;
    uint64_t left = room > level ? room - level : 0;
    ret->remaining = (uint32_t)(left / l->window_ms);
    ret->is_over = left < l->window_ms;
    ret->wait_ms = ret->is_over ? (level + l->window_ms - room + l->count - 1) / l->count : 0;
    ret->reset_ms = (level + l->count - 1) / l->count;
}

/* The same state as it is told at <now>: the window that has begun by then is the present one. */
static struct quota_state turn(const struct quota_limit *l, const struct quota_state *s,
                               mono_ms now)
{
    struct quota_state t = *s;
    uint64_t passed = after(now, s->at_ms);
    if (passed >= 2 * l->window_ms)
        return (struct quota_state){.at_ms = now};
    if (passed < l->window_ms)
        return t;
    t.at_ms += l->window_ms;
    t.before = t.now;
    t.now = 0;
    return t;
}

/* How far into a window there is room for one more, when <before> came in the one before it and
 * <now> (fewer than count) in it: from there on before * (window - passed) / window, cut to a whole
 * number, leaves room. */
static uint64_t room_from(const struct quota_limit *l, uint32_t before, uint32_t now)
{
    uint64_t all = (uint64_t)before * l->window_ms;
    uint64_t room = (uint64_t)(l->count - now) * l->window_ms;
    return before == 0 || all < room ? 0 : (all - room) / before + 1;
}

static void look_at_window(const struct quota_limit *l, const struct quota_state *s, mono_ms now,
                           struct quota_view *ret)
{
    uint64_t passed = after(now, s->at_ms), left = l->window_ms - passed;
    uint64_t used = s->now + (uint64_t)s->before * left / l->window_ms;
    ret->is_over = used >= l->count;
    ret->remaining = ret->is_over ? 0 : (uint32_t)(l->count - used);
    ret->reset_ms = s->now || s->before ? left : 0;
    ret->wait_ms = 0;
    if (ret->is_over)
        ret->wait_ms = s->now < l->count ? room_from(l, s->before, s->now) - passed
                                         : left + room_from(l, s->now, 0);
}

void quota_look(const struct quota_limit *l, const struct quota_state *s, mono_ms now,
                struct quota_view *ret)
{
    if (l->is_bucket) {
        look_at_bucket(l, level_at(l, s, now), ret);
        return;
    }
    struct quota_state t = turn(l, s, now);
    look_at_window(l, &t, now, ret);
}

void quota_add(const struct quota_limit *l, struct quota_state *s, mono_ms now)
{
    if (l->is_bucket) {
        uint64_t level = level_at(l, s, now);
        *s = (struct quota_state){.at_ms = now > s->at_ms ? now : s->at_ms,
                                  .level = level + l->window_ms};
        return;
    }
    *s = turn(l, s, now);
    if (s->now == 0 && s->before == 0)
        s->at_ms = now; /* a client's windows begin with its first request */
    s->now++;
}
