/* The log of invalidations, followed. One connection asks for what comes next (XREAD, which waits
 * at the server) and, right behind it, for generation and last number: only where these agree with
 * what was applied is the log known to be followed to its end, as of the moment of asking. Numbers
 * have no gaps, so whatever is missing is noticed: entries that were trimmed, a log that was
 * deleted, a server that forgot. Then all that is shared is dropped, for it cannot be known what of
 * it was meant. */
#include "tier-internal.h"

#include <larder/base/hash.h>
#include <larder/base/log.h>

enum { BLOCK_MAX_MS = 1000, BLOCK_MIN_MS = 20, GRACE_MS = 2000, READ_MAX = 512, DROP_TAGS = 256 };

/* Ours end with -0; what somebody else has put behind one of them is not read. */
#define LAST_OF_NUMBER "-18446744073709551615"

static void follow(struct tier *t);
static void join(struct tier *t);

/* --- obeying --- */

static void obey(struct tier *t, struct message *m)
{
    struct store_match match = message_match(m);
    struct store_invalidation i = {.match = &match, .is_soft = m->is_soft, .now = mono_now_ms()};
    (void)store_invalidate(t->store, &i); /* what it matched is its publisher's to tell */
}

/* All answers that other instances could have invalidated go. */
static void drop_shared(struct tier *t)
{
    struct message m = {.kind = MESSAGE_ANY_TAG};
    const struct config *c = t->config;
    for (unsigned i = 0; i < c->route_count; i++) {
        char block[256];
        struct buf tag;
        buf_init_fixed(&tag, block, sizeof(block));
        route_tag_format(&c->routes[i], &tag);
        if (c->routes[i].shared != SHARED_NONE)
            m.tags[m.tag_count++] = tag_of(buf_span(&tag));
        if (m.tag_count == DROP_TAGS || (m.tag_count && i + 1 == c->route_count)) {
            obey(t, &m);
            m.tag_count = 0;
        }
    }
    tier_wake(t, span_of(NULL, 0));
}

static void resync(struct tier *t)
{
    tally(&t->counters.resyncs, 1);
    drop_shared(t);
}

/* --- reading --- */

static void lose(struct tier *t, const char *why)
{
    t->log.is_following = false;
    tier_set_stamp(t);
    redis_link_drop(t->log_link, why);
}

struct log_entry {
    uint64_t number;
    struct span instance, type, message;
};

/* {"17-0", {"i", ..., "t", ..., "m", ...}} */
static bool read_entry(const struct redis_reply *r, struct log_entry *ret)
{
    struct span rest, id = redis_reply_text(redis_reply_at(r, 0));
    const struct redis_reply *fields = redis_reply_at(r, 1);
    *ret = (struct log_entry){0};
    if (!span_parse_u64(span_split(id, '-', &rest), &ret->number))
        return false;
    for (unsigned i = 0; i + 1 < redis_reply_count(fields); i += 2) {
        struct span name = redis_reply_text(redis_reply_at(fields, i));
        struct span value = redis_reply_text(redis_reply_at(fields, i + 1));
        if (span_eq(name, SPAN_LIT("i")))
            ret->instance = value;
        else if (span_eq(name, SPAN_LIT("t")))
            ret->type = value;
        else if (span_eq(name, SPAN_LIT("m")))
            ret->message = value;
    }
    return true;
}

static void apply_invalidation(struct tier *t, const struct log_entry *e)
{
    struct message m;
    if (span_eq(e->instance, span_str(t->instance)))
        return; /* the store obeyed before it was sent */
    if (message_parse(e->message, &m)) {
        obey(t, &m);
        tally(&t->counters.applied, 1);
        if (m.wants_ack)
            outbox_acknowledge(t, e->number);
        return;
    }
    log_warn("redis: message %llu in the log cannot be read (another version of larder?): all "
             "shared answers are dropped",
             (unsigned long long)e->number);
    resync(t);
}

static void apply(struct tier *t, const struct log_entry *e)
{
    uint64_t number;
    if (span_eq(e->type, SPAN_LIT(LOG_TAGS)) || span_eq(e->type, SPAN_LIT(LOG_WALK)))
        apply_invalidation(t, e);
    else if (span_eq(e->type, SPAN_LIT(LOG_FILL)) || span_eq(e->type, SPAN_LIT(LOG_RELEASE)))
        tier_wake(t, e->message);
    else if (span_eq(e->type, SPAN_LIT(LOG_ACK)) && span_parse_u64(e->message, &number))
        publications_on_ack(t, e->instance, number);
}

static void on_gap(struct tier *t, uint64_t from, uint64_t to)
{
    tally(&t->counters.gaps, 1);
    log_warn("redis: invalidations %llu to %llu are missing in the log: all shared answers are "
             "dropped",
             (unsigned long long)from, (unsigned long long)to);
    resync(t);
}

/* {{key, {entry, ...}}}, or nil: nothing came in time. */
static void on_entries(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct tier *t = arg;
    const struct redis_reply *list = redis_reply_at(redis_reply_at(r, 0), 1);
    struct log_entry e;
    if (result == REDIS_LOST)
        return;
    if (result != REDIS_OK) {
        lose(t, "the log of invalidations cannot be read");
        return;
    }
    for (unsigned i = 0; i < redis_reply_count(list); i++) {
        if (!read_entry(redis_reply_at(list, i), &e)) {
            lose(t, "the log of invalidations holds what is none");
            return;
        }
        if (e.number > t->log.number + 1)
            on_gap(t, t->log.number + 1, e.number - 1);
        apply(t, &e);
        t->log.number = e.number;
        t->log.is_behind = false; /* what Redis has is told next */
    }
}

static bool is_generation(const struct tier *t, const struct redis_reply *r)
{
    struct span now = redis_reply_text(r);
    return span_eq(now, span_of((const char *)t->stamp.generation, VALUE_GENERATION));
}

/* {generation, last number}, as they are behind on_entries(). */
static void on_state(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct tier *t = arg;
    uint64_t last = (uint64_t)redis_reply_integer(redis_reply_at(r, 1));
    if (result == REDIS_LOST)
        return;
    if (result != REDIS_OK) {
        lose(t, "its state cannot be read");
        return;
    }
    if (!is_generation(t, redis_reply_at(r, 0)) || last < t->log.number) {
        join(t);
        return;
    }
    if (last > t->log.number && t->log.is_behind) { /* asked for, and not there */
        on_gap(t, t->log.number + 1, last);
        t->log.number = last;
    }
    t->log.is_behind = last > t->log.number;
    if (!t->log.is_behind)
        t->log.is_following = true;
    /* a server that takes no writes may not be the one that others write to */
    if (!t->log.is_behind && !t->pulse.is_refused)
        store_confirm(t->store, t->log.asked_mono_ms);
    tier_set_stamp(t);
    outbox_flush(t);
    follow(t);
}

static uint64_t block_ms(const struct tier *t)
{
    uint64_t ms = t->redis_config->max_invalidation_lag_ms / 4;
    return ms > BLOCK_MAX_MS ? BLOCK_MAX_MS : ms < BLOCK_MIN_MS ? BLOCK_MIN_MS : ms;
}

static void follow(struct tier *t)
{
    char numbers[3][48];
    struct buf block, count, after;
    buf_init_fixed(&block, numbers[0], sizeof(numbers[0]));
    buf_init_fixed(&count, numbers[1], sizeof(numbers[1]));
    buf_init_fixed(&after, numbers[2], sizeof(numbers[2]));
    /* what is there already comes at once, and what is not there leaves no time to wait; nor is
       there any before the first word of where the log ends: until then nothing is trusted */
    buf_add_u64(&block, t->log.is_behind || !t->log.is_following ? 1 : block_ms(t));
    buf_add_u64(&count, READ_MAX);
    buf_add_u64(&after, t->log.number);
    buf_add_str(&after, LAST_OF_NUMBER);
    struct span read[] = {SPAN_LIT("XREAD"), SPAN_LIT("COUNT"), buf_span(&count),
                          SPAN_LIT("BLOCK"), buf_span(&block),  SPAN_LIT("STREAMS"),
                          t->keys[KEY_LOG],  buf_span(&after)};
    struct span state[] = {SPAN_LIT("HMGET"), t->keys[KEY_BOOT], SPAN_LIT("gen"), SPAN_LIT("seq")};
    struct redis_command c = {.args = read,
                              .count = array_len(read),
                              .timeout_ms = block_ms(t) + GRACE_MS,
                              .on_reply = on_entries,
                              .arg = t};
    struct redis_command s = {.args = state,
                              .count = array_len(state),
                              .timeout_ms = block_ms(t) + GRACE_MS,
                              .on_reply = on_state,
                              .arg = t};
    t->log.asked_mono_ms = mono_now_ms();
    if (!redis_send(t->log_link, &c) || !redis_send(t->log_link, &s))
        lose(t, "it cannot be asked"); /* on_up comes again */
}

/* --- joining --- */

static void on_joined(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct tier *t = arg;
    const struct redis_reply *generation = redis_reply_at(r, 0);
    bool is_good = result == REDIS_OK && redis_reply_text(generation).len == VALUE_GENERATION;
    if (result == REDIS_LOST)
        return;
    if (!is_good) {
        if (tier_may_tell(t)) {
            struct span said = redis_reply_text(r);
            log_warn("redis: cannot join: " SPAN_FMT, SPAN_ARG(said));
        }
        lose(t, "the instance could not join");
        return;
    }
    tally(&t->counters.joins, 1);
    if (!is_generation(t, generation) || !t->log.has_generation) {
        pthread_mutex_lock(&t->lock);
        memcpy(t->stamp.generation, redis_reply_text(generation).p, VALUE_GENERATION);
        pthread_mutex_unlock(&t->lock);
        t->log.number = (uint64_t)redis_reply_integer(redis_reply_at(r, 1));
        if (t->log.has_generation) {
            log_warn("redis: it is another, or has forgotten: all shared answers are dropped");
            outbox_replay(t);
            resync(t);
        } else {
            drop_shared(t); /* what was fetched before others could be heard */
        }
        t->log.has_generation = true;
    }
    t->log.is_joined = true;
    t->log.is_behind = false;
    tier_set_stamp(t);
    outbox_flush(t);
    follow(t);
}

static void join(struct tier *t)
{
    uint8_t generation[VALUE_GENERATION];
    char number[24];
    struct buf last;
    buf_init_fixed(&last, number, sizeof(number));
    buf_add_u64(&last, t->log.number);
    struct span args[] = {
        span_of((const char *)generation, sizeof(generation)),
        span_of((const char *)t->stamp.generation, t->log.has_generation ? VALUE_GENERATION : 0),
        buf_span(&last)};
    struct script_call c = {.script = SCRIPT_JOIN,
                            .keys = t->keys,
                            .key_count = TIER_KEYS,
                            .args = args,
                            .arg_count = array_len(args),
                            .timeout_ms = GRACE_MS,
                            .on_reply = on_joined,
                            .arg = t};
    random_bytes(generation, sizeof(generation));
    t->log.is_joined = t->log.is_following = false;
    tier_set_stamp(t);
    if (!script_send(t->log_link, &c))
        redis_link_drop(t->log_link, "it cannot be asked to join");
}

static void on_up(void *arg)
{
    struct tier *t = arg;
    script_load_all(t->log_link);
    join(t);
}

static void on_down(void *arg, const char *why)
{
    struct tier *t = arg;
    (void)why; /* the link has told */
    t->log.is_joined = t->log.is_following = false;
    tier_set_stamp(t);
    tier_wake(t, span_of(NULL, 0)); /* no word of any lease would come now */
}

bool log_start_reading(struct tier *t)
{
    static const struct redis_link_ops ops = {.on_up = on_up, .on_down = on_down};
    t->log_link = tier_link_new(t, t->loop, "log", &ops, t);
    return t->log_link != NULL;
}
