/* values.h: figures for each value of a parameter ("organization_id=123") and for each tag.
 *
 * Texts are numbered once, in a table of bounded size, first come, first served; each worker has
 * its own counters by number, so that counting shares nothing. Number 0 stands for all that found
 * no place any more.
 * Thread values_number, values_lookup: any (a lock); counters: written by their worker
 */
#ifndef LARDER_FLOW_VALUES_H
#define LARDER_FLOW_VALUES_H

#include <larder/base/span.h>
#include <stdatomic.h>

struct values;

/* X(name, "what it counts") for each value. */
#define VALUE_COUNTERS(X)                                                                          \
    X(hits, "answered from the cache, fresh")                                                      \
    X(stale, "answered from the cache, stale")                                                     \
    X(misses, "fetched, by this request or one that it waited for")                                \
    X(coalesced, "of the misses: answered by another request's fetch")                             \
    X(stored, "answers stored")                                                                    \
    X(upstream_us, "microseconds spent waiting for the upstream")                                  \
    X(saved_us, "microseconds of upstream time that hits saved")

struct value_counters {
#define X(name, text) _Atomic uint64_t name;
    VALUE_COUNTERS(X)
#undef X
};

struct values *values_new(unsigned max); /* NULL: no memory */
void values_free(struct values *v);
unsigned values_max(const struct values *v); /* counters that a worker needs: numbers are below */
/* The number of <text>, which is given one if there is room; else 0. */
uint16_t values_number(struct values *v, struct span text);
/* The same without giving one. */
uint16_t values_lookup(struct values *v, struct span text);
unsigned values_count(struct values *v);
uint64_t values_dropped(struct values *v); /* texts that found no room: at most one for each call */

#endif
