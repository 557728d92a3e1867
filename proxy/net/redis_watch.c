/* Where the master is, asked of a sentinel again and again. A failover does not always end the
 * master that was: cut off from its sentinels, or replaced on demand, it goes on as one for
 * seconds, answers as before, and does not know what is invalidated elsewhere. So links go where
 * the sentinels' word goes, whether their server is well or not. A word from before the last
 * failover (config-epoch) is none. */
#include "redis-internal.h"

#include <larder/net/loop.h>

#include <stdlib.h>

struct redis_watch {
    struct redis *redis;
    struct redis_config config; /* the sentinels, as servers */
    struct redis sentinels;
    struct redis_link *link;
    struct timer *timer;
    uint64_t every_ms;
    int64_t epoch, heard_epoch;
    struct address master; /* empty: not told yet */
};

/* {"name", ..., "config-epoch", "3", ...}. Who may not ask this is told no epoch. */
static void on_epoch(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct redis_watch *w = arg;
    w->heard_epoch = w->epoch;
    for (unsigned i = 0; result == REDIS_OK && i + 1 < redis_reply_count(r); i += 2)
        if (span_eq(redis_reply_text(redis_reply_at(r, i)), SPAN_LIT("config-epoch")))
            w->heard_epoch = redis_reply_integer(redis_reply_at(r, i + 1));
}

static void on_master(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct redis_watch *w = arg;
    struct address master;
    if (result != REDIS_OK || !master_parse(r, &master))
        return;
    if (w->heard_epoch < w->epoch) {
        redis_link_drop(w->link, "it has not heard of the last failover");
        return;
    }
    w->epoch = w->heard_epoch;
    bool is_first = w->master.host[0] == '\0', is_news = !address_eq(&master, &w->master);
    w->master = master;
    if (is_news && !is_first)
        redis_note_master(w->redis, &master);
}

static void ask(void *arg)
{
    struct redis_watch *w = arg;
    struct span name = w->redis->config->master;
    struct span about[] = {SPAN_LIT("SENTINEL"), SPAN_LIT("MASTER"), name};
    struct span where[] = {SPAN_LIT("SENTINEL"), SPAN_LIT("get-master-addr-by-name"), name};
    struct redis_command epoch = {
        .args = about, .count = 3, .timeout_ms = w->every_ms, .on_reply = on_epoch, .arg = w};
    struct redis_command master = {
        .args = where, .count = 3, .timeout_ms = w->every_ms, .on_reply = on_master, .arg = w};
    if (redis_send(w->link, &epoch))
        (void)redis_send(w->link, &master); /* asked again soon */
    timer_start(w->timer, w->every_ms);
}

struct redis_watch *redis_watch_new(struct loop *loop, struct redis *r, uint64_t every_ms)
{
    static const struct redis_link_ops ops = {0};
    const struct redis_config *c = r->config;
    struct redis_watch *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->redis = r;
    w->every_ms = every_ms;
    w->config = *c;
    memcpy(w->config.server, c->sentinel, sizeof(w->config.server));
    w->config.server_count = c->sentinel_count;
    w->config.sentinel_count = w->config.database = 0;
    w->config.user = c->sentinel_user;
    w->config.password = c->sentinel_password;
    w->sentinels = (struct redis){.config = &w->config, .tls = r->tls, .is_sentinel = true};
    pthread_mutex_init(&w->sentinels.lock, NULL);
    w->timer = timer_new(loop, ask, w);
    w->link = w->timer ? redis_link_new(loop, &w->sentinels, "larder-watch", &ops, w) : NULL;
    if (!w->link) {
        redis_watch_free(w);
        return NULL;
    }
    timer_start(w->timer, every_ms);
    return w;
}

void redis_watch_free(struct redis_watch *w)
{
    if (!w)
        return;
    redis_link_free(w->link);
    timer_free(w->timer);
    pthread_mutex_destroy(&w->sentinels.lock);
    free(w);
}
