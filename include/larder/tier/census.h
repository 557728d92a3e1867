/* census.h: about how many of the things that were counted in have not ended yet.
 *
 * Ends are counted in slots, of a second where they are near, and the longer the farther off they
 * are: what is counted is counted too long by a sixteenth of its life at most (or a second), and
 * nothing is kept of each. Thread: any.
 */
#ifndef LARDER_TIER_CENSUS_H
#define LARDER_TIER_CENSUS_H

#include <larder/base/monotime.h>

#include <pthread.h>
#include <stdint.h>

enum { CENSUS_LEVELS = 7, CENSUS_SLOTS = 128 };

struct census {
    pthread_mutex_t lock;
    struct census_slot {
        uint64_t end; /* in units of its level; past: what is counted has ended */
        uint64_t count;
    } slot[CENSUS_LEVELS][CENSUS_SLOTS];
};

/* <c> holds zeros. */
void census_init(struct census *c);
void census_fini(struct census *c);

/* Something that ends <life_ms> after <now>. */
void census_add(struct census *c, mono_ms now, uint64_t life_ms);
/* It ends before its time, which was <left_ms> after <now>; where it was not counted here, another
 * may be taken for it, or none. */
void census_remove(struct census *c, mono_ms now, uint64_t left_ms);
uint64_t census_count(struct census *c, mono_ms now);

#endif
