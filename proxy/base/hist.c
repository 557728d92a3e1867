/* Bucket of v: below 16 its own; above, 16 for each power of two, chosen by the four bits behind
 * the highest one. */
#include <larder/base/hist.h>

static unsigned bucket_of(uint64_t us)
{
    if (us < 16)
        return (unsigned)us;
    unsigned top = 63 - (unsigned)__builtin_clzll(us);
    unsigned b = (top - 3) * 16 + (unsigned)((us >> (top - 4)) & 15);
    return b < HIST_BUCKETS ? b : HIST_BUCKETS - 1;
}

static uint64_t upper_end(unsigned b)
{
    if (b < 16)
        return b;
    unsigned top = b / 16 + 3;
    return ((uint64_t)(16 + b % 16 + 1) << (top - 4)) - 1;
}

void hist_record(struct hist *h, uint64_t us)
{
    unsigned b = bucket_of(us);
    atomic_store_explicit(&h->bucket[b],
                          atomic_load_explicit(&h->bucket[b], memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&h->sum_us, atomic_load_explicit(&h->sum_us, memory_order_relaxed) + us,
                          memory_order_relaxed);
    atomic_store_explicit(&h->count, atomic_load_explicit(&h->count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void hist_merge(struct hist *into, const struct hist *from)
{
    into->count += atomic_load_explicit(&from->count, memory_order_relaxed);
    into->sum_us += atomic_load_explicit(&from->sum_us, memory_order_relaxed);
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        into->bucket[i] += atomic_load_explicit(&from->bucket[i], memory_order_relaxed);
}

double hist_average_us(const struct hist *h)
{
    uint64_t n = h->count;
    return n ? (double)h->sum_us / (double)n : 0;
}

uint64_t hist_quantile_us(const struct hist *h, double q)
{
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        total += h->bucket[i];
    uint64_t rank = (uint64_t)(q * (double)total + 0.5);
    if (rank == 0)
        rank = 1;
    if (rank > total)
        rank = total;
    for (unsigned i = 0; total && i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= rank)
            return upper_end(i);
    }
    return 0;
}
