/* failing-memory.h: for tests in which each allocation of a call fails in turn. The file that has
 * this defines malloc as try_malloc and so on, and includes the sources under test. */
#ifndef LARDER_TEST_FAILING_MEMORY_H
#define LARDER_TEST_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int allocations_left = -1; /* before the one that fails; below 0: none fails */
static unsigned failures;

static inline bool fails(void)
{
    bool is_it = allocations_left >= 0 && allocations_left-- == 0;
    failures += is_it;
    return is_it;
}

static inline void *try_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

static inline void *try_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

static inline char *try_strdup(const char *s)
{
    return fails() ? NULL : strdup(s);
}

#endif
