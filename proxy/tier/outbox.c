/* Own invalidations until Redis has them. They wait in order, and go out by up to BATCH_MAX in one
 * script, which numbers them; what is not confirmed is sent again (said twice, an invalidation does
 * no harm). Those confirmed lately are kept: where Redis turns out to be another, it may never have
 * heard of them. */
#include "tier-internal.h"

#include <larder/base/log.h>

#include <stdio.h>
#include <stdlib.h>

enum { LEAVE_MS = 500 };

/* --- what waits --- */

static struct outbox_item *item_new(struct span message, bool is_walk)
{
    struct outbox_item *i = calloc(1, sizeof(*i) + message.len);
    if (!i)
        return NULL;
    list_init(&i->link);
    i->is_walk = is_walk;
    i->len = message.len;
    if (message.len)
        memcpy(i->bytes, message.p, message.len);
    return i;
}

static struct outbox_item *item_of_all(void)
{
    char block[64];
    struct buf text;
    struct message all = {.kind = MESSAGE_ANY_TAG,
                          .wants_ack = true, /* as one of those it stands for may */
                          .tag_count = 1,
                          .tags = {tag_of(SPAN_LIT("*"))}};
    buf_init_fixed(&text, block, sizeof(block));
    message_add(&all, &text);
    struct span list = buf_span(&text);
    return item_new(message_next(&list), false);
}

static void note_pending(struct tier *t)
{
    atomic_store(&t->counters.pending, t->outbox.pending_count);
}

static void push(struct tier *t, struct outbox_item *i)
{
    i->serial = ++t->outbox.serials;
    list_push_back(&t->outbox.pending, &i->link);
    t->outbox.pending_count++;
    note_pending(t);
}

/* Too many wait, or there is no memory for them: one that means all takes the place of those that
 * are not under way. */
static void widen(struct tier *t, unsigned announced)
{
    struct outbox *o = &t->outbox;
    struct outbox_item *all = o->spare ? take(o->spare) : item_of_all();
    unsigned n = 0;
    o->spare = item_of_all();
    if (!all) { /* the next heartbeat tries again */
        atomic_fetch_add(&t->widened, announced);
        return;
    }
    list_for_each_safe (it, next, &o->pending) {
        struct outbox_item *i = container_of(it, struct outbox_item, link);
        if (n++ < o->sent)
            continue;
        announced += i->announced;
        list_remove(&i->link);
        o->pending_count--;
        free(i);
    }
    all->announced = announced;
    push(t, all);
    list_for_each_safe (it, next, &o->waiting) {
        struct tier_publication *p = container_of(it, struct tier_publication, in_waiting);
        p->serial = p->is_replicated ? p->serial : all->serial;
    }
    tally(&t->counters.widened, 1);
    log_warn("redis: too many invalidations wait for it: all shared answers are invalidated "
             "instead, once it is back");
}

/* False: no memory; some of its messages may wait already, which does no harm. */
static bool add_messages(struct tier *t, const struct tier_publication *p)
{
    struct span list = buf_span(&p->messages), bytes;
    struct outbox_item *last = NULL;
    if (p->messages.failed)
        return false;
    while ((bytes = message_next(&list)).len) {
        struct outbox_item *i = item_new(bytes, bytes.p[0] != MESSAGE_ANY_TAG);
        if (!i)
            return false;
        push(t, i);
        last = i;
    }
    if (!last)
        return false;
    last->announced = 1;
    if (p->wants_all)
        message_want_ack(last->bytes);
    return true;
}

static void on_publication(struct letter *l)
{
    struct tier_publication *p = container_of(l, struct tier_publication, letter);
    struct tier *t = p->tier;
    bool is_added = add_messages(t, p);
    if (!is_added || t->outbox.pending_count > PENDING_MAX)
        widen(t, is_added ? 0 : 1);
    p->serial = t->outbox.serials;
    p->deadline = mono_now_ms() + t->redis_config->command_timeout_ms;
    if (!p->home) {
        tier_publication_free(p);
    } else if (!t->log.is_joined || !redis_link_is_up(t->command_link)) {
        publication_finish(p); /* there is nothing to wait for */
    } else {
        list_push_back(&t->outbox.waiting, &p->in_waiting);
        publications_arm(t);
    }
    outbox_flush(t);
}

/* Those that found no memory, or whose "all" did not. */
void outbox_retry(struct tier *t)
{
    unsigned announced = atomic_exchange(&t->widened, 0);
    if (announced)
        widen(t, announced);
}

static void on_widen(struct letter *l)
{
    struct tier *t = container_of(l, struct tier, widen_letter);
    atomic_store(&t->is_widening, false);
    outbox_retry(t);
    outbox_flush(t);
}

void tier_publish(struct tier *t, struct tier_publication *p)
{
    if (p) {
        p->tier = t;
        p->letter.on_delivery = on_publication;
        mailbox_post(loop_mailbox(t->loop), &p->letter);
        return;
    }
    atomic_fetch_add(&t->widened, 1);
    if (atomic_exchange(&t->is_widening, true))
        return;
    t->widen_letter.on_delivery = on_widen;
    mailbox_post(loop_mailbox(t->loop), &t->widen_letter);
}

/* --- sending --- */

static void keep_recent(struct tier *t, struct outbox_item *i)
{
    struct outbox *o = &t->outbox;
    i->announced = 0;
    i->is_again = true;
    list_push_back(&o->recent, &i->link);
    if (++o->recent_count <= RECENT_MAX)
        return;
    struct outbox_item *oldest = list_first(&o->recent, struct outbox_item, link);
    list_remove(&oldest->link);
    o->recent_count--;
    free(oldest);
}

static void leave_if_done(struct tier *t);

static void tell_failure(struct tier *t, const struct redis_reply *r)
{
    if (!tier_may_tell(t))
        return;
    struct span said = redis_reply_text(r);
    log_warn("redis: invalidations cannot be told to others, %u wait: " SPAN_FMT,
             t->outbox.pending_count, SPAN_ARG(said));
}

static void on_published(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct tier *t = arg;
    struct outbox *o = &t->outbox;
    unsigned sent = o->sent;
    bool is_outlived = o->is_outlived;
    o->sent = 0;
    o->is_outlived = false;
    if (is_outlived) {
        outbox_flush(t); /* whatever it says, the Redis that is there now has not said it */
        return;
    }
    if (result == REDIS_ERROR && span_starts_with(redis_reply_text(r), SPAN_LIT("GENERATION"))) {
        /* one of the two connections is where it should not be: both look for Redis anew */
        redis_link_drop(t->command_link, "it is another generation than the log's");
        return;
    }
    if (result == REDIS_ERROR)
        tell_failure(t, r);
    if (result != REDIS_OK)
        return; /* sent again when the log is read next */
    uint64_t last = (uint64_t)redis_reply_integer(redis_reply_at(r, 0));
    for (unsigned n = 0; n < sent; n++) {
        struct outbox_item *i = list_first(&o->pending, struct outbox_item, link);
        list_remove(&i->link);
        o->pending_count--;
        tally(&t->counters.published, 1);
        tally(&t->counters.replayed, i->is_again);
        /* Redis may be read again: who is told so below may ask at once */
        atomic_fetch_sub(&t->announced, i->announced);
        publications_confirm(t, i, last - (sent - 1 - n), r);
        keep_recent(t, i);
    }
    note_pending(t);
    publications_arm(t);
    if (o->pending_count == 0 && o->is_replaying) {
        o->is_replaying = false;
        tier_set_stamp(t);
    }
    outbox_flush(t);
    leave_if_done(t);
}

void outbox_flush(struct tier *t)
{
    struct outbox *o = &t->outbox;
    struct span args[4 + 3 * BATCH_MAX];
    unsigned n = 4, count = 0;
    if (o->sent || o->pending_count == 0 || !t->log.is_joined)
        return;
    args[0] = span_of((const char *)t->stamp.generation, VALUE_GENERATION);
    args[1] = span_str(t->instance);
    args[2] = span_str(LOG_MAX_TEXT);
    args[3] = span_str(TAGS_MAX_TEXT);
    list_for_each_safe (it, next, &o->pending) {
        const struct outbox_item *i = container_of(it, struct outbox_item, link);
        struct span bytes = span_of(i->bytes, i->len);
        if (count == BATCH_MAX)
            break;
        count++;
        args[n++] = i->is_walk ? SPAN_LIT(LOG_WALK) : SPAN_LIT(LOG_TAGS);
        args[n++] = bytes;
        args[n++] = i->is_walk ? span_of("", 0) : message_tags(bytes);
    }
    struct script_call c = {.script = SCRIPT_PUBLISH,
                            .timeout_ms = PATIENCE_MS,
                            .keys = t->keys,
                            .key_count = TIER_KEYS,
                            .args = args,
                            .arg_count = n,
                            .on_reply = on_published,
                            .arg = t};
    if (script_send(t->command_link, &c))
        o->sent = count;
}

void outbox_replay(struct tier *t)
{
    struct outbox *o = &t->outbox;
    list_for_each_safe (it, next, &o->recent) {
        struct outbox_item *i = container_of(it, struct outbox_item, link);
        list_remove(&i->link);
        push(t, i);
    }
    o->recent_count = 0;
    o->is_replaying = o->pending_count > 0;
    o->is_outlived = o->sent > 0;
    memset(o->early, 0, sizeof(o->early)); /* numbers begin anew */
}

/* --- acknowledgements --- */

void outbox_acknowledge(struct tier *t, uint64_t number)
{
    char block[24];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    buf_add_u64(&text, number);
    struct span keys[] = {t->keys[KEY_BOOT], t->keys[KEY_LOG]};
    struct span args[] = {span_of((const char *)t->stamp.generation, VALUE_GENERATION),
                          span_str(t->instance), span_str(LOG_MAX_TEXT), SPAN_LIT(LOG_ACK),
                          buf_span(&text)};
    struct script_call c = {.script = SCRIPT_NOTE,
                            .timeout_ms = PATIENCE_MS,
                            .keys = keys,
                            .key_count = array_len(keys),
                            .args = args,
                            .arg_count = array_len(args)};
    (void)script_send(t->command_link, &c); /* without it its publisher waits until it may not */
}

/* --- life --- */

static void on_up(void *arg)
{
    struct tier *t = arg;
    script_load_all(t->command_link);
    pulse_on_up(t);
    outbox_flush(t);
}

/* Where the server is no more what it was the log's connection must look for it, too. */
static void on_down(void *arg, const char *why)
{
    struct tier *t = arg;
    redis_link_drop(t->log_link, why);
}

bool outbox_start(struct tier *t)
{
    static const struct redis_link_ops ops = {.on_up = on_up, .on_down = on_down};
    struct outbox *o = &t->outbox;
    o->spare = item_of_all();
    o->deadlines = timer_new(t->loop, publications_on_deadline, t);
    t->command_link = tier_link_new(t, t->loop, "main", &ops, t);
    if (!o->spare || !o->deadlines || !t->command_link || !pulse_start(t))
        return false;
    return true;
}

static void free_items(struct list *items)
{
    list_for_each_safe (it, next, items) {
        list_remove(it);
        free(container_of(it, struct outbox_item, link));
    }
}

void outbox_stop(struct tier *t)
{
    struct outbox *o = &t->outbox;
    redis_link_free(take(t->command_link));
    free_items(&o->pending);
    free_items(&o->recent);
    free(o->spare);
    timer_free(o->deadlines);
    pulse_stop(t);
    timer_free(o->leaving);
}

static void left(struct tier *t)
{
    void (*on_left)(void *arg) = take(t->outbox.on_left);
    if (!on_left)
        return;
    if (t->outbox.pending_count)
        log_warn("redis: %u invalidations could not be told to others", t->outbox.pending_count);
    on_left(t->outbox.on_left_arg);
}

static void on_left_reply(void *arg, enum redis_result result, const struct redis_reply *r)
{
    (void)result; /* if not by a word, others will know it by silence */
    (void)r;
    left(arg);
}

static void on_leaving(void *arg)
{
    left(arg);
}

static void leave_if_done(struct tier *t)
{
    struct span instance = span_str(t->instance);
    if (!t->outbox.on_left || t->outbox.pending_count)
        return;
    struct script_call c = {.script = SCRIPT_LEAVE,
                            .keys = &t->keys[KEY_LIVE],
                            .key_count = 1,
                            .args = &instance,
                            .arg_count = 1,
                            .on_reply = on_left_reply,
                            .arg = t};
    if (!script_send(t->command_link, &c))
        left(t);
}

void tier_leave(struct tier *t, void (*on_left)(void *arg), void *arg)
{
    t->outbox.on_left = on_left;
    t->outbox.on_left_arg = arg;
    pulse_stop(t);
    t->outbox.leaving = timer_new(t->loop, on_leaving, t);
    if (!t->outbox.leaving || !redis_link_is_up(t->command_link)) {
        left(t);
        return;
    }
    timer_start(t->outbox.leaving, LEAVE_MS);
    outbox_flush(t);
    leave_if_done(t);
}
