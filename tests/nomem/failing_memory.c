/* failing_memory.c: larder's own allocations fail as a test says; those of the libraries do not.
 * Linked with --wrap, into a program of its own. The file that LARDER_NOMEM names holds numbers
 * which the test may change at any time: <at> (the at-th allocation from now fails; 0: none),
 * <one_in> (each fails with the probability 1 / one_in; 0: none) and the <seed> of that.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct orders {
    _Atomic uint32_t at, one_in;
    _Atomic uint32_t seed;
    _Atomic uint32_t failed; /* for the test to read */
};

static struct orders none, *orders = &none;
static _Atomic uint64_t calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("LARDER_NOMEM");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        orders = map;
    close(fd);
}

static uint64_t mixed(uint64_t n) /* splitmix64 */
{
    n += 0x9e3779b97f4a7c15u;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    return n ^ (n >> 31);
}

static bool fails(void)
{
    uint32_t at = orders->at, one_in = orders->one_in;
    bool is_failed = false;
    while (at && !atomic_compare_exchange_weak(&orders->at, &at, at - 1))
        ;
    if (at == 1 || (one_in && mixed(((uint64_t)orders->seed << 32) + calls++) % one_in == 0))
        is_failed = true;
    orders->failed += is_failed;
    return is_failed;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __real_aligned_alloc(alignment, size);
}
