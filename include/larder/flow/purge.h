/* purge.h: invalidations as people name them, made into the store's.
 *
 * Selectors are added one by one; what tags can say is gathered and done as one invalidation by
 * purge_finish(), the rest at once. Where instances share a cache, what was done here is told to
 * the others: purge_publish(). Thread any: no state but the caller's and the store.
 */
#ifndef LARDER_FLOW_PURGE_H
#define LARDER_FLOW_PURGE_H

#include <larder/flow/worker.h>
#include <larder/tier/tier.h>

enum { PURGE_TAGS_MAX = 512 };

struct purge {
    const struct shared *shared;
    bool is_soft, is_dry_run;
    unsigned list_max; /* so many matched answers go to on_entry */
    void (*on_entry)(void *arg, struct entry *e);
    void *arg;
    struct store_removed sum;
    struct tier_publication *publication; /* what others must hear; NULL: nothing yet */
    bool is_announced;                    /* ... but they must hear something */
    unsigned tag_count, listed;
    uint64_t tags[PURGE_TAGS_MAX];
};

void purge_init(struct purge *p, const struct shared *s);
void purge_all(struct purge *p);
/* A tag, with the coarse one of a route's template that would stand for it ("room:*"). */
void purge_tag(struct purge *p, struct span text);
void purge_key(struct purge *p, struct span readable_key); /* all variants */
/* All query strings, variants and methods of a path (raw; compared in canonical form). */
void purge_path(struct purge *p, struct span path);
void purge_route(struct purge *p, const struct route *r);
/* At once: what has all of these tags. False, and nothing done: more than TAG_ALL_OF_MAX, or too
 * many coarse tags that may stand for them. */
must_check bool purge_all_of(struct purge *p, const struct span *texts, unsigned count);
/* At once: answers of <r> with these plain values of its parameters. */
struct purge_value {
    const struct param *param;
    struct span value;
};
void purge_route_values(struct purge *p, const struct route *r, const struct purge_value *values,
                        unsigned count);
void purge_glob(struct purge *p, struct span glob);            /* over readable keys */
void purge_path_pattern(struct purge *p, struct span pattern); /* {x}: a segment; a final *: rest */
void purge_tag_prefix(struct purge *p, struct span prefix);    /* tags that have names */
/* Does what has been gathered; <sum> is complete then. Beyond PURGE_TAGS_MAX tags all goes: more,
 * never less. */
void purge_finish(struct purge *p);
/* Tells other instances what was done. With <home> on_done gets the result there, and frees it
 * (tier_publication_free()); NULL: nobody has to be told, on_done does not come. Each purge that
 * was begun ends with this or with purge_fini(). */
struct tier_publication *purge_publish(struct purge *p, struct mailbox *home, bool wants_all,
                                       void (*on_done)(struct tier_publication *p), void *arg);
/* Tells others what was done and not told yet; nobody waits for it. */
void purge_fini(struct purge *p);

/* The texts of implicit tags. */
void purge_key_tag_format(struct span readable_key, struct buf *out);
void purge_path_tag_format(struct span path, struct buf *out);

#endif
