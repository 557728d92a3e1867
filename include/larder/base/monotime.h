/* monotime.h: the two clocks. Durations and deadlines use the monotonic one; only what is shown
 * to people or put into HTTP dates uses the wall clock. Thread: any.
 */
#ifndef LARDER_BASE_MONOTIME_H
#define LARDER_BASE_MONOTIME_H

#include <stdint.h>

typedef uint64_t mono_ms; /* milliseconds of CLOCK_MONOTONIC */

mono_ms mono_now_ms(void);
uint64_t mono_now_us(void);
int64_t unix_now_ms(void); /* milliseconds since 1970-01-01T00:00:00Z */

#endif
