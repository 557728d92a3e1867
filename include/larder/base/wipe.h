/* wipe.h: freed memory that held what a client has sent is cleared first, so that no password is
 * found in a core, in a page that was swapped out, or by a fault that shows memory.
 *
 * Thread   any
 */
#ifndef LARDER_BASE_WIPE_H
#define LARDER_BASE_WIPE_H

#include <stddef.h>

void wipe_free(void *p); /* NULL is fine */
/* As realloc(), but what it leaves behind is cleared. <used>: bytes to keep. */
void *wipe_realloc(void *p, size_t used, size_t size);

#endif
