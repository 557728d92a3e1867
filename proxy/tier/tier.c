/* One instance among others: what it knows of Redis, and who waits for a word from there. */
#include "tier-internal.h"

#include <larder/base/hash.h>
#include <larder/base/log.h>

#include <stdio.h>
#include <stdlib.h>

enum { QUIET_MS = 10000 };

static void name_keys(struct tier *t)
{
    static const char *const names[TIER_KEYS] = {"boot", "ep", "walks", "log", "live"};
    for (unsigned i = 0; i < TIER_KEYS; i++) {
        struct buf b;
        buf_init_fixed(&b, t->key_blocks[i], sizeof(t->key_blocks[i]));
        buf_add_span(&b, t->prefix);
        buf_add_str(&b, names[i]);
        t->keys[i] = buf_span(&b);
    }
}

struct redis_link *tier_link_new(struct tier *t, struct loop *loop, const char *what,
                                 const struct redis_link_ops *ops, void *arg)
{
    char name[64];
    snprintf(name, sizeof(name), "larder-%s-%s", t->instance, what);
    return redis_link_new(loop, t->redis, name, ops, arg);
}

enum err_code tier_new(const struct config *config, struct store *store, struct loop *loop,
                       struct tls_report *report, struct tier **ret, struct err *err)
{
    uint8_t id[TIER_ID_LEN / 2];
    *ret = NULL;
    if (!config->redis)
        return ERR_OK;
    struct tier *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, ERR_NOMEM, "start", "out of memory");
    pthread_mutex_init(&t->lock, NULL);
    census_init(&t->census);
    list_init(&t->waiters);
    list_init(&t->outbox.pending);
    list_init(&t->outbox.recent);
    list_init(&t->outbox.waiting);
    t->config = config;
    t->redis_config = config->redis;
    t->store = store;
    t->loop = loop;
    random_bytes(id, sizeof(id));
    hex_format(id, sizeof(id), t->instance);
    struct buf prefix;
    buf_init_fixed(&prefix, t->prefix_block, sizeof(t->prefix_block));
    buf_add_str(&prefix, "{larder:");
    buf_add_span(&prefix, config->redis->prefix);
    buf_add_str(&prefix, "}:");
    t->prefix = buf_span(&prefix);
    name_keys(t);
    enum err_code rc = prefix.failed ? err_set(err, ERR_TOO_LARGE, "redis.prefix", "is too long")
                                     : redis_new(config->redis, report, &t->redis, err);
    if (rc) {
        tier_free(t);
        return rc;
    }
    *ret = t;
    return ERR_OK;
}

enum err_code tier_start(struct tier *t)
{
    const struct redis_config *c = t->redis_config;
    uint64_t every_ms = c->max_invalidation_lag_ms / 4;
    if (!outbox_start(t) || !log_start_reading(t))
        return ERR_NOMEM;
    if (c->sentinel_count == 0)
        return ERR_OK;
    t->watch = redis_watch_new(t->loop, t->redis, every_ms < WATCH_MS ? every_ms : WATCH_MS);
    return t->watch ? ERR_OK : ERR_NOMEM;
}

void tier_free(struct tier *t)
{
    if (!t)
        return;
    redis_watch_free(take(t->watch));
    redis_link_free(take(t->log_link));
    outbox_stop(t);
    redis_free(t->redis);
    census_fini(&t->census);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

struct redis *tier_redis(struct tier *t)
{
    return t->redis;
}

const char *tier_instance(const struct tier *t)
{
    return t->instance;
}

struct tier_counters *tier_counters(struct tier *t)
{
    return &t->counters;
}

bool tier_may_tell(struct tier *t)
{
    mono_ms now = mono_now_ms();
    if (t->told_mono_ms && now - t->told_mono_ms < QUIET_MS)
        return false;
    t->told_mono_ms = now;
    return true;
}

void tier_set_stamp(struct tier *t)
{
    pthread_mutex_lock(&t->lock);
    t->stamp.number = t->log.number;
    t->stamp.is_valid = t->log.is_joined && t->log.is_following && !t->outbox.is_replaying;
    pthread_mutex_unlock(&t->lock);
}

void tier_stamp_now(struct tier *t, struct tier_stamp *ret)
{
    pthread_mutex_lock(&t->lock);
    *ret = t->stamp;
    pthread_mutex_unlock(&t->lock);
    if (atomic_load(&t->announced) > 0)
        ret->is_valid = false;
}

void tier_announce(struct tier *t)
{
    atomic_fetch_add(&t->announced, 1);
}

/* --- who waits for another instance's fetch --- */

static void on_wake(struct letter *l)
{
    struct tier_waiter *w = container_of(l, struct tier_waiter, letter);
    w->on_wake(w);
}

void tier_wait(struct tier *t, struct tier_waiter *w)
{
    w->letter.on_delivery = on_wake;
    w->is_registered = true;
    pthread_mutex_lock(&t->lock);
    list_push_back(&t->waiters, &w->link);
    pthread_mutex_unlock(&t->lock);
}

bool tier_wait_end(struct tier *t, struct tier_waiter *w)
{
    pthread_mutex_lock(&t->lock);
    bool was_registered = w->is_registered;
    w->is_registered = false;
    if (was_registered)
        list_remove(&w->link);
    pthread_mutex_unlock(&t->lock);
    return was_registered;
}

void tier_wake(struct tier *t, struct span name)
{
    pthread_mutex_lock(&t->lock);
    list_for_each_safe (it, next, &t->waiters) {
        struct tier_waiter *w = container_of(it, struct tier_waiter, link);
        if (name.len && !span_eq(name, span_of((const char *)w->name, sizeof(w->name))))
            continue;
        list_remove(&w->link);
        w->is_registered = false;
        mailbox_post(w->home, &w->letter);
    }
    pthread_mutex_unlock(&t->lock);
}

void tier_state_read(struct tier *t, struct tier_state *ret)
{
    mono_ms now = mono_now_ms(), confirmed = store_confirmed_ms(t->store);
    memset(ret, 0, sizeof(*ret));
    ret->is_available = t->log.is_joined && t->log.is_following && redis_link_is_up(t->log_link) &&
                        redis_link_is_up(t->command_link);
    ret->is_in_contact = confirmed && store_is_confirmed(t->store, now);
    ret->lag_ms = confirmed && now > confirmed ? now - confirmed : 0;
    ret->number = t->log.number;
    ret->instances = t->pulse.instances;
    snprintf(ret->warning, sizeof(ret->warning), "%s", t->pulse.warning);
}

uint64_t tier_keys(struct tier *t)
{
    return census_count(&t->census, mono_now_ms());
}
