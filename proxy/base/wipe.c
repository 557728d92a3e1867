#include <larder/base/wipe.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void wipe_free(void *p)
{
    if (!p)
        return;
    explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

void *wipe_realloc(void *p, size_t used, size_t size)
{
    void *larger = malloc(size);
    if (!larger)
        return NULL;
    if (used)
        memcpy(larger, p, used < size ? used : size);
    wipe_free(p);
    return larger;
}
