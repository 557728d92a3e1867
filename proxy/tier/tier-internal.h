/* tier-internal.h: what the tier's files share.
 *
 * tier.c     one instance's membership: state, stamps, waiters for leases, figures
 * log.c      the log of invalidations: joined, followed, applied; one connection that blocks
 * outbox.c   own invalidations until Redis has them; one connection for commands
 * publication.c  ... and who waits for that
 * pulse.c    heartbeats, and what Redis says of itself
 * script.c   what Redis does in one step
 * message.c  invalidations as bytes
 * value*.c   stored answers as bytes
 * objects*.c answers in Redis, as one worker reads and writes them
 * Thread: main, but for what is said to be of any.
 */
#ifndef LARDER_TIER_INTERNAL_H
#define LARDER_TIER_INTERNAL_H

#include <larder/base/list.h>
#include <larder/tier/census.h>
#include <larder/tier/script.h>
#include <larder/tier/tier.h>

#include <pthread.h>

#define LOG_MAX_TEXT "100000"  /* entries that the log keeps, about */
#define TAGS_MAX_TEXT "100000" /* tags whose last invalidation Redis keeps */

enum {
    BATCH_MAX = 128,    /* messages of one script call */
    PENDING_MAX = 1024, /* messages that may wait for Redis; beyond: all is invalidated */
    RECENT_MAX = 1024,  /* confirmed ones that are kept, to be said again to another Redis */
    PATIENCE_MS = 1000, /* where nobody waits: a slow Redis is better told late than never */
    BEAT_EVERY_MS = 1000,
    WATCH_MS = 1000,     /* sentinels are asked so often at least, and four times a lag */
    BEAT_KEPT_MS = 5000, /* who was silent for longer is no instance any more */
};

/* A message that waits, or that was confirmed lately. */
struct outbox_item {
    struct list link;
    uint64_t serial;
    unsigned announced; /* so many announcements end with it */
    bool is_again;      /* it was confirmed by a Redis that is no more */
    bool is_walk;
    size_t len;
    char bytes[];
};

/* An instance has applied an invalidation of ours, before we were told its number. */
struct early_ack {
    uint64_t number; /* 0: none */
    char instance[TIER_ID_LEN + 1];
};

struct outbox {
    struct list pending, recent;                /* items, the oldest first */
    unsigned pending_count, recent_count, sent; /* sent: of pending, in the call under way */
    uint64_t serials;
    struct outbox_item *spare; /* "all", for when there is no memory */
    bool is_outlived;          /* the call under way went to a Redis that is no more */
    bool is_replaying;         /* what another Redis may have lost has not all been said again */
    struct list waiting;       /* publications whose on_done is owed */
    struct early_ack early[TIER_INSTANCES_MAX]; /* the latest */
    unsigned early_count;
    struct timer *deadlines, *leaving;
    void (*on_left)(void *arg);
    void *on_left_arg;
};

struct pulse {
    struct timer *timer;
    unsigned beats, instances; /* instances: heard of lately */
    bool is_refused; /* the last heartbeat was: a master without its replicas, a full disk */
    char warning[512];
};

struct log_reader {
    bool is_joined, is_following; /* the generation is known; it was followed to its end since */
    bool is_behind;               /* Redis has numbers that have not been read */
    bool has_generation;          /* ever joined */
    mono_ms asked_mono_ms;
    uint64_t number; /* the last that was applied */
};

/* The names of the keys that all instances share. */
enum tier_key { KEY_BOOT, KEY_EP, KEY_WALKS, KEY_LOG, KEY_LIVE, TIER_KEYS };

struct tier {
    const struct config *config;
    const struct redis_config *redis_config;
    struct store *store;
    struct loop *loop;
    struct redis *redis;
    struct redis_link *log_link, *command_link;
    struct redis_watch *watch; /* NULL: there are no sentinels */
    char instance[TIER_ID_LEN + 1];
    char prefix_block[128];
    struct span prefix;
    char key_blocks[TIER_KEYS][160];
    struct span keys[TIER_KEYS];
    struct log_reader log;
    struct outbox outbox;
    struct pulse pulse;
    struct tier_counters counters;
    mono_ms told_mono_ms; /* when the log was told of what keeps happening */
    /* any thread */
    struct census census; /* of the objects that this instance has written */
    struct letter widen_letter;
    _Atomic bool is_widening;   /* the letter is on its way */
    _Atomic unsigned widened;   /* announcements that found no memory for their publication */
    _Atomic unsigned announced; /* own invalidations that Redis has not confirmed */
    pthread_mutex_t lock;       /* of what follows */
    struct tier_stamp stamp;    /* is_valid: joined and followed */
    struct list waiters;
};

static inline void tally(_Atomic uint64_t *c, int64_t n)
{
    atomic_fetch_add_explicit(c, (uint64_t)n, memory_order_relaxed);
}

/* A connection of this instance; <what> it is for, in its name. NULL: no memory. */
struct redis_link *tier_link_new(struct tier *t, struct loop *loop, const char *what,
                                 const struct redis_link_ops *ops, void *arg);
/* May the log be told again of what keeps happening? */
bool tier_may_tell(struct tier *t);
/* Publishes what a fetch that begins now must know. */
void tier_set_stamp(struct tier *t);
/* Whoever waits for this object's fetch elsewhere is told to look. Empty: all are. */
void tier_wake(struct tier *t, struct span name);

/* log.c */
bool log_start_reading(struct tier *t); /* false: no memory */

/* outbox.c */
bool outbox_start(struct tier *t); /* false: no memory */
void outbox_stop(struct tier *t);
void outbox_flush(struct tier *t); /* sends what waits, if it can be sent */
/* Redis is another, or has lost something: what was confirmed lately is said again. */
void outbox_replay(struct tier *t);
void outbox_acknowledge(struct tier *t, uint64_t number); /* to others: it was applied here */

void outbox_retry(struct tier *t); /* what found no memory */

/* pulse.c */
bool pulse_start(struct tier *t); /* false: no memory */
void pulse_on_up(struct tier *t); /* the connection for commands is there */
void pulse_stop(struct tier *t);

/* publication.c */
void publication_finish(struct tier_publication *p); /* its on_done comes, at home */
void publications_arm(struct tier *t);               /* after what changes deadlines */
void publications_on_deadline(void *tier);
/* Redis has the item, as <number>, and says which instances there are: who waits for it is told, or
 * waits on for these. */
void publications_confirm(struct tier *t, const struct outbox_item *i, uint64_t number,
                          const struct redis_reply *r);
/* Another instance has applied it. */
void publications_on_ack(struct tier *t, struct span instance, uint64_t number);

#endif
