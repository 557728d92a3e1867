/* macros.h: the few words of ours that C lacks. Thread: any. */
#ifndef LARDER_BASE_MACROS_H
#define LARDER_BASE_MACROS_H

#include <stddef.h>

#define must_check __attribute__((warn_unused_result))
#define cleanup(fn) __attribute__((cleanup(fn)))
#define array_len(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Gives up a pointer: yields its value and leaves NULL behind, so that cleanup() frees nothing. */
#define take(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#endif
