/* Reads. One that also wants to fetch for all instances brings a token along: where Redis has
 * nothing, the token takes the lease, or somebody else's is waited for, until the log tells that
 * the object is there (or will not be), or the lease has run out. Then it is read once more, and
 * what comes of that is the end of it.
 *
 * Who waits is registered before Redis is asked, so that no word is missed; its waiter has a life
 * of its own, because a letter may be on its way when the read is over. */
#include "objects-internal.h"

#include <stdlib.h>

struct sleeper {
    struct tier_waiter base;
    struct object_get *get; /* NULL: it is over */
};

struct object_get {
    struct list link;
    struct objects *o;
    struct object_get_start s;
    struct cache_key key;
    struct object_lease lease; /* the one that is asked for; is_held: Redis has given it */
    bool is_cancelled;         /* the reply is waited for only to be freed */
    bool wants_only_lease;     /* what Redis has is not good enough */
    bool has_token;            /* the call under way may bring the lease */
    bool is_woken, is_waiting, has_waited;
    uint64_t asked_us;
    mono_ms asked_mono_ms;
    struct sleeper *sleeper;
    struct timer *timer; /* of the lease that is waited for */
    char text[];
};

static void end_sleeper(struct object_get *g)
{
    struct sleeper *s = take(g->sleeper);
    if (!s)
        return;
    s->get = NULL;
    if (tier_wait_end(g->o->tier, &s->base))
        free(s);
}

static void get_free(struct object_get *g)
{
    end_sleeper(g);
    list_remove(&g->link);
    timer_free(g->timer);
    free(g);
}

/* The last call. */
static void done(struct object_get *g, enum object_result result, struct entry *e)
{
    struct object_get_start s = g->s;
    struct object_lease lease = g->lease;
    get_free(g);
    s.on_done(s.arg, result, e, result == OBJECT_LEAD ? &lease : NULL);
}

static void on_reply(void *arg, enum redis_result result, const struct redis_reply *r);

static bool ask(struct object_get *g)
{
    struct objects *o = g->o;
    char object_block[OBJECT_KEY_MAX], lease_block[OBJECT_KEY_MAX], ms_block[24];
    struct buf object, lease, ms;
    buf_init_fixed(&object, object_block, sizeof(object_block));
    buf_init_fixed(&lease, lease_block, sizeof(lease_block));
    buf_init_fixed(&ms, ms_block, sizeof(ms_block));
    object_key_format(o, 'o', g->lease.name, &object);
    object_key_format(o, 'l', g->lease.name, &lease);
    buf_add_u64(&ms, g->s.lease_ms);
    size_t token_len = g->has_token ? sizeof(g->lease.token) : 0;
    struct span keys[] = {o->keys[KEY_BOOT], o->keys[KEY_EP], o->keys[KEY_WALKS], buf_span(&object),
                          buf_span(&lease)};
    struct span args[] = {octets(g->lease.generation, VALUE_GENERATION),
                          octets(g->lease.token, token_len), buf_span(&ms),
                          g->wants_only_lease ? SPAN_LIT("lease") : SPAN_LIT("")};
    struct script_call c = {.script = SCRIPT_GET,
                            .keys = keys,
                            .key_count = array_len(keys),
                            .args = args,
                            .arg_count = array_len(args),
                            .on_reply = on_reply,
                            .arg = g};
    g->asked_us = mono_now_us();
    g->asked_mono_ms = mono_now_ms();
    return !object.failed && !lease.failed && script_send(o->link, &c);
}

/* The lease has ended, or it has been waited for long enough. */
static void ask_again(struct object_get *g)
{
    g->is_waiting = g->has_token = g->wants_only_lease = false;
    if (g->timer)
        timer_stop(g->timer);
    end_sleeper(g);
    if (!ask(g))
        done(g, OBJECT_MISS, NULL);
}

static void on_wake(struct tier_waiter *base)
{
    struct sleeper *s = container_of(base, struct sleeper, base);
    struct object_get *g = s->get;
    free(s);
    if (!g)
        return;
    g->sleeper = NULL;
    g->is_woken = true; /* perhaps before the reply that says to wait */
    if (g->is_waiting)
        ask_again(g);
}

static void on_expired(void *arg)
{
    struct object_get *g = arg;
    if (!g->is_woken)
        tally(&g->o->counters->leases_expired, 1);
    ask_again(g);
}

/* Others' fetch is waited for. */
static void wait_for_lease(struct object_get *g)
{
    tally(&g->o->counters->leases_waited, 1);
    g->timer = timer_new(g->o->loop, on_expired, g);
    if (!g->timer) {
        done(g, OBJECT_MISS, NULL);
        return;
    }
    g->is_waiting = g->has_waited = true;
    timer_start(g->timer, g->is_woken ? 0 : g->s.wait_ms);
    g->s.on_done(g->s.arg, OBJECT_WAIT, NULL, NULL); /* which may cancel it */
}

/* Invalidations that no single tag tells of, since its fetch began. */
static bool is_outdated(const struct redis_reply *r, const struct entry *e)
{
    enum { FIRST_WALK = 3 };
    struct message m;
    for (unsigned i = FIRST_WALK; i < redis_reply_count(r); i++) {
        if (!message_parse(redis_reply_text(redis_reply_at(r, i)), &m))
            return true; /* of a later format: it may mean this */
        struct store_match match = message_match(&m);
        if (store_match_means(&match, e))
            return true;
    }
    return false;
}

/* What Redis holds, if it is of use. */
static struct entry *open_value(struct object_get *g, const struct redis_reply *r)
{
    struct tier_counters *c = g->o->counters;
    struct value_context context = object_context(g->o, g->s.route);
    int64_t left = redis_reply_integer(redis_reply_at(r, 2));
    struct value_time time = {.left_ms = left > 0 ? (uint64_t)left : 0,
                              .transit_ms = (mono_now_us() - g->asked_us + 999) / 1000,
                              .now = mono_now_ms(),
                              .unix_ms = unix_now_ms()};
    struct entry *e = NULL;
    enum err_code rc = value_open(&context, redis_reply_text(redis_reply_at(r, 1)), &g->key,
                                  g->s.route->index, g->s.began, &time, &e);
    if (rc == ERR_SYNTAX)
        tally(&c->foreign, 1);
    if (rc)
        return NULL;
    bool is_outdated_by_walk = is_outdated(r, e);
    if (is_outdated_by_walk)
        tally(&c->outdated, 1);
    if (!is_outdated_by_walk && g->s.is_good(g->s.arg, e)) {
        /* Redis knew of no invalidation of it when it was asked */
        e->known_mono_ms = route_known_ms(g->s.route, g->asked_mono_ms);
        return e;
    }
    entry_unref(e);
    return NULL;
}

static void on_hit(struct object_get *g, const struct redis_reply *r)
{
    struct tier_counters *c = g->o->counters;
    struct entry *e = open_value(g, r);
    if (!e && g->has_token && !g->wants_only_lease) {
        g->wants_only_lease = true;
        if (ask(g))
            return;
    }
    if (!e || e->kind == ENTRY_RESPONSE) /* a marker is no answer: that is read next */
        tally(e ? &c->hits : &c->misses, 1);
    if (e && g->has_waited && g->is_woken)
        tally(&c->leases_filled, 1);
    done(g, e ? OBJECT_HIT : OBJECT_MISS, e);
}

/* Nothing is there: who fetches it? */
static void on_nothing(struct object_get *g, const struct redis_reply *r)
{
    struct tier_counters *c = g->o->counters;
    struct span why = redis_reply_text(redis_reply_at(r, 0));
    struct span who = redis_reply_text(redis_reply_at(r, 1));
    tally(&c->misses, 1);
    if (span_eq(why, SPAN_LIT("outdated")))
        tally(&c->outdated, 1);
    else if (span_eq(why, SPAN_LIT("foreign")))
        tally(&c->foreign, 1);
    g->lease.is_held = g->has_token && span_eq(who, SPAN_LIT("lead"));
    if (g->lease.is_held)
        tally(&c->leases_led, 1);
    if (g->has_token && span_eq(who, SPAN_LIT("wait")))
        wait_for_lease(g);
    else
        done(g, g->lease.is_held ? OBJECT_LEAD : OBJECT_MISS, NULL);
}

/* Whether it has taken the lease is not known: it is held as if it had. */
static void on_failure(struct object_get *g, enum redis_result result)
{
    struct tier_counters *c = g->o->counters;
    tally(result == REDIS_LATE ? &c->late : &c->failed, 1);
    g->lease.is_held = g->has_token && result != REDIS_ERROR;
    done(g, g->lease.is_held ? OBJECT_LEAD : OBJECT_MISS, NULL);
}

static void end_cancelled(struct object_get *g, enum redis_result result,
                          const struct redis_reply *r)
{
    bool is_led = span_eq(redis_reply_text(redis_reply_at(r, 1)), SPAN_LIT("lead"));
    g->lease.is_held = g->has_token && (result == REDIS_OK ? is_led : result != REDIS_ERROR);
    g->o->releasing--;
    objects_release(g->o, &g->lease);
    free(g);
}

static void on_reply(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct object_get *g = arg;
    struct span word = redis_reply_text(redis_reply_at(r, 0));
    if (g->is_cancelled) {
        end_cancelled(g, result, r);
        return;
    }
    if (result == REDIS_OK)
        hist_record(&g->o->read_time, mono_now_us() - g->asked_us);
    if (result != REDIS_OK)
        on_failure(g, result);
    else if (span_eq(word, SPAN_LIT("hit")))
        on_hit(g, r);
    else
        on_nothing(g, r);
}

struct object_get *objects_get(struct objects *o, const struct object_get_start *s)
{
    size_t len = s->key->text.len;
    bool may_ask = s->stamp.is_valid && redis_link_is_up(o->link);
    struct object_get *g = may_ask ? calloc(1, sizeof(*g) + len) : NULL;
    if (!g)
        goto fail;
    list_init(&g->link);
    g->o = o;
    g->s = *s;
    g->key = *s->key;
    memcpy(g->text, s->key->text.p, len);
    g->key.text.p = g->text;
    g->s.key = &g->key;
    struct value_context context = object_context(o, s->route);
    value_name(&context, &g->key, g->lease.name);
    memcpy(g->lease.generation, s->stamp.generation, VALUE_GENERATION);
    g->sleeper = s->wants_lease ? calloc(1, sizeof(*g->sleeper)) : NULL;
    if (g->sleeper) {
        g->has_token = true;
        random_bytes(g->lease.token, sizeof(g->lease.token));
        g->sleeper->get = g;
        g->sleeper->base.home = loop_mailbox(o->loop);
        g->sleeper->base.on_wake = on_wake;
        memcpy(g->sleeper->base.name, g->lease.name, VALUE_NAME);
        tier_wait(o->tier, &g->sleeper->base);
    }
    if (!ask(g))
        goto fail;
    list_push_back(&o->gets, &g->link);
    return g;
fail:
    if (g)
        get_free(g);
    tally(&o->counters->skipped, 1);
    return NULL;
}

void objects_get_cancel(struct object_get *g)
{
    if (!g)
        return;
    if (g->is_waiting) { /* nothing is under way */
        get_free(g);
        return;
    }
    end_sleeper(g);
    list_remove(&g->link);
    g->is_cancelled = true; /* its reply frees it */
    g->o->releasing++;      /* it may bring a lease */
}

void objects_drop_gets(struct objects *o)
{
    list_for_each_safe (it, next, &o->gets)
        objects_get_cancel(container_of(it, struct object_get, link));
}
