/* Heartbeats: each second a word to Redis that this instance lives, which is also a trial whether
 * it takes writes; and now and then a look at what it may evict. */
#include "tier-internal.h"

#include <larder/base/log.h>

#include <stdio.h>

enum { MEMORY_EVERY_BEATS = 30 };

static void on_beaten(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct tier *t = arg;
    bool was_refused = t->pulse.is_refused;
    bool is_unknown = span_starts_with(redis_reply_text(r), SPAN_LIT("NOSCRIPT"));
    if (result == REDIS_OK)
        t->pulse.instances = redis_reply_count(r);
    if (result == REDIS_OK || (result == REDIS_ERROR && !is_unknown))
        t->pulse.is_refused = result == REDIS_ERROR;
    if (t->pulse.is_refused && !was_refused)
        log_warn("redis: it takes no writes, so no instance can tell others anything, and none is "
                 "in contact: " SPAN_FMT,
                 SPAN_ARG(redis_reply_text(r)));
    else if (was_refused && !t->pulse.is_refused)
        log_info("redis: it takes writes again");
    if (span_starts_with(redis_reply_text(r), SPAN_LIT("NOREPLICAS")))
        redis_link_drop(t->command_link, "it is cut off from its replicas, and may be replaced");
}

static struct span info_value(struct span info, struct span name)
{
    for (struct span rest = info, line; rest.p && rest.len;) {
        struct span value;
        line = span_trim(span_split(rest, '\n', &rest));
        if (span_eq(span_split(line, ':', &value), name) && value.p) {
            while (value.len && value.p[value.len - 1] == '\r')
                value.len--;
            return value;
        }
    }
    return span_of(NULL, 0);
}

/* A policy that evicts any key may evict the log and the table of tags, which never end. */
static void on_memory(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct tier *t = arg;
    struct span info = redis_reply_text(r);
    struct span policy = info_value(info, SPAN_LIT("maxmemory_policy"));
    struct span max = info_value(info, SPAN_LIT("maxmemory"));
    bool had_warning = t->pulse.warning[0] != '\0';
    if (result != REDIS_OK)
        return;
    t->pulse.warning[0] = '\0';
    if (!span_starts_with(policy, SPAN_LIT("allkeys-")) || span_eq(max, SPAN_LIT("0")))
        return;
    snprintf(t->pulse.warning, sizeof(t->pulse.warning),
             "its maxmemory-policy is " SPAN_FMT
             ": it may evict the log of invalidations, and then "
             "all shared answers are dropped; set it to volatile-lru or noeviction",
             SPAN_ARG(policy));
    if (!had_warning)
        log_warn("redis: %s", t->pulse.warning);
}

static void ask_memory(struct tier *t)
{
    struct span args[] = {SPAN_LIT("INFO"), SPAN_LIT("memory")};
    struct redis_command c = {.args = args,
                              .count = array_len(args),
                              .timeout_ms = PATIENCE_MS,
                              .on_reply = on_memory,
                              .arg = t};
    (void)redis_send(t->command_link, &c); /* asked again later */
}

static void beat(struct tier *t)
{
    char block[24];
    struct buf kept;
    buf_init_fixed(&kept, block, sizeof(block));
    buf_add_u64(&kept, BEAT_KEPT_MS);
    struct span args[] = {span_str(t->instance), buf_span(&kept)};
    struct script_call c = {.script = SCRIPT_BEAT,
                            .timeout_ms = PATIENCE_MS,
                            .keys = &t->keys[KEY_LIVE],
                            .key_count = 1,
                            .args = args,
                            .arg_count = array_len(args),
                            .on_reply = on_beaten,
                            .arg = t};
    (void)script_send(t->command_link, &c); /* the next one comes in a second */
}

static void on_beat(void *arg)
{
    struct tier *t = arg;
    outbox_retry(t);
    beat(t);
    if (++t->pulse.beats % MEMORY_EVERY_BEATS == 0)
        ask_memory(t);
    timer_start(t->pulse.timer, BEAT_EVERY_MS);
}

void pulse_on_up(struct tier *t)
{
    beat(t);
    ask_memory(t);
}

bool pulse_start(struct tier *t)
{
    t->pulse.timer = timer_new(t->loop, on_beat, t);
    if (!t->pulse.timer)
        return false;
    timer_start(t->pulse.timer, BEAT_EVERY_MS);
    return true;
}

void pulse_stop(struct tier *t)
{
    timer_free(take(t->pulse.timer));
}
