/* Invalidations with somebody who waits for them: until Redis has the last message of each, or its
 * deadline; where that is wished, until all other instances have said that they applied it. */
#include "tier-internal.h"

#include <larder/base/macros.h>

#include <stdlib.h>

struct tier_publication *tier_publication_new(void)
{
    struct tier_publication *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    list_init(&p->in_waiting);
    buf_init(&p->messages, 1 << 20);
    return p;
}

void tier_publication_free(struct tier_publication *p)
{
    if (!p)
        return;
    buf_fini(&p->messages);
    free(p);
}

static void on_finished(struct letter *l)
{
    struct tier_publication *p = container_of(l, struct tier_publication, letter);
    p->on_done(p);
}

void publication_finish(struct tier_publication *p)
{
    list_remove(&p->in_waiting);
    p->letter.on_delivery = on_finished;
    mailbox_post(p->home, &p->letter);
}

void publications_arm(struct tier *t)
{
    mono_ms now = mono_now_ms(), first = 0;
    list_for_each_safe (it, next, &t->outbox.waiting) {
        struct tier_publication *p = container_of(it, struct tier_publication, in_waiting);
        first = !first || p->deadline < first ? p->deadline : first;
    }
    if (first)
        timer_start(t->outbox.deadlines, first > now ? first - now : 1);
}

void publications_on_deadline(void *arg)
{
    struct tier *t = arg;
    mono_ms now = mono_now_ms();
    list_for_each_safe (it, next, &t->outbox.waiting) {
        struct tier_publication *p = container_of(it, struct tier_publication, in_waiting);
        if (p->deadline <= now)
            publication_finish(p);
    }
    publications_arm(t);
}

static void take_instances(struct tier *t, struct tier_publication *p, const struct redis_reply *r)
{
    for (unsigned i = 1; i < redis_reply_count(r); i++) {
        struct span id = redis_reply_text(redis_reply_at(r, i));
        if (id.len != TIER_ID_LEN || p->applied_count + p->missing_count == TIER_INSTANCES_MAX)
            continue;
        if (span_eq(id, span_str(t->instance)))
            memcpy(p->applied[p->applied_count++], id.p, id.len);
        else
            memcpy(p->missing[p->missing_count++], id.p, id.len);
    }
}

static void note_applied(struct tier_publication *p, struct span instance)
{
    for (unsigned i = 0; i < p->missing_count; i++) {
        if (!span_eq(instance, span_str(p->missing[i])))
            continue;
        memcpy(p->applied[p->applied_count++], p->missing[i], sizeof(p->missing[i]));
        memmove(p->missing[i], p->missing[i + 1],
                (p->missing_count - i - 1) * sizeof(p->missing[i]));
        p->missing_count--;
        return;
    }
}

/* Redis has the item: who waits for it is told, or waits on for the other instances. */
void publications_confirm(struct tier *t, const struct outbox_item *i, uint64_t number,
                          const struct redis_reply *r)
{
    list_for_each_safe (it, next, &t->outbox.waiting) {
        struct tier_publication *p = container_of(it, struct tier_publication, in_waiting);
        if (p->serial != i->serial || p->is_replicated)
            continue;
        p->is_replicated = true;
        p->number = number;
        if (p->wants_all)
            take_instances(t, p, r);
        for (unsigned n = 0; n < array_len(t->outbox.early); n++)
            if (t->outbox.early[n].number == number)
                note_applied(p, span_str(t->outbox.early[n].instance));
        /* who has not answered by then hears nothing, and trusts nothing either */
        p->deadline = mono_now_ms() + t->redis_config->max_invalidation_lag_ms + BEAT_EVERY_MS;
        if (p->missing_count == 0)
            publication_finish(p);
    }
}

/* The log is read by another connection than the one that confirms: it may be ahead. */
static void keep_early(struct outbox *o, struct span instance, uint64_t number)
{
    struct early_ack *a = &o->early[o->early_count++ % array_len(o->early)];
    if (instance.len != TIER_ID_LEN)
        return;
    a->number = number;
    memcpy(a->instance, instance.p, instance.len);
}

void publications_on_ack(struct tier *t, struct span instance, uint64_t number)
{
    bool is_early = false;
    list_for_each_safe (it, next, &t->outbox.waiting) {
        struct tier_publication *p = container_of(it, struct tier_publication, in_waiting);
        is_early |= p->wants_all && !p->is_replicated;
        if (!p->wants_all || !p->is_replicated || p->number != number)
            continue;
        note_applied(p, instance);
        if (p->missing_count == 0)
            publication_finish(p);
    }
    if (is_early)
        keep_early(&t->outbox, instance, number);
}

void tier_stop(struct tier *t)
{
    list_for_each_safe (it, next, &t->outbox.waiting)
        publication_finish(container_of(it, struct tier_publication, in_waiting));
}
