/* hist.h: a log-linear histogram of durations: 16 sub-buckets for each power of two, so that a
 * quantile is off by 6.25 % at most; fixed size, no allocation, merged by adding.
 *
 * Thread  one writer; any reader (relaxed atomics: a reader may see a record half counted)
 * Source  G. Tene, HdrHistogram (the layout)
 */
#ifndef LARDER_BASE_HIST_H
#define LARDER_BASE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

enum { HIST_BUCKETS = 16 * 34 }; /* up to 2^37 us, about 38 hours */

struct hist {
    _Atomic uint64_t count;
    _Atomic uint64_t sum_us;
    _Atomic uint32_t bucket[HIST_BUCKETS];
};

void hist_record(struct hist *h, uint64_t us);
void hist_merge(struct hist *into, const struct hist *from);
/* In microseconds; 0 when empty. */
double hist_average_us(const struct hist *h);
/* The upper end in microseconds of the bucket that holds quantile <q> (0..1); 0 when empty. */
uint64_t hist_quantile_us(const struct hist *h, double q);

#endif
