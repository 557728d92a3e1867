#include <larder/tier/census.h>

#include <stdbool.h>

/* A level's slots are 8 times as long as those of the one before, and there are 128: what a level
 * takes is at least 16 of its slots away, and none is overwritten before its end. */
static uint64_t unit_ms(unsigned level)
{
    return (uint64_t)1000 << (3 * level);
}

static uint64_t ahead(unsigned level, uint64_t life_ms)
{
    return life_ms / unit_ms(level) + 2;
}

static unsigned level_of(uint64_t life_ms)
{
    unsigned level = 0;
    while (level + 1 < CENSUS_LEVELS && ahead(level, life_ms) >= CENSUS_SLOTS)
        level++;
    return level;
}

/* In units of its level: the first that is wholly behind it. What lies beyond the last level is
 * counted as far as that goes. */
static uint64_t end_of(unsigned level, mono_ms now, uint64_t life_ms)
{
    bool is_beyond = ahead(level, life_ms) >= CENSUS_SLOTS;
    uint64_t unit = unit_ms(level);
    return is_beyond ? now / unit + CENSUS_SLOTS - 1 : (now + life_ms) / unit + 1;
}

void census_add(struct census *c, mono_ms now, uint64_t life_ms)
{
    unsigned level = level_of(life_ms);
    uint64_t end = end_of(level, now, life_ms), i = end % CENSUS_SLOTS;
    bool is_other = atomic_load(&c->slot[level][i].end) != end; /* long past */
    uint64_t count = is_other ? 0 : atomic_load(&c->slot[level][i].count);
    atomic_store(&c->slot[level][i].count, count + 1);
    atomic_store(&c->slot[level][i].end, end);
}

/* Which slot it was counted in depends on how long it was to live then: the levels are tried from
 * the finest on, and neighbours, for the clocks' sake. */
void census_remove(struct census *c, mono_ms now, uint64_t left_ms)
{
    for (unsigned level = level_of(left_ms); level < CENSUS_LEVELS; level++) {
        uint64_t end = end_of(level, now, left_ms);
        for (uint64_t near = end - 1; near <= end + 1; near++) {
            uint64_t i = near % CENSUS_SLOTS, count = atomic_load(&c->slot[level][i].count);
            if (atomic_load(&c->slot[level][i].end) != near || count == 0)
                continue;
            atomic_store(&c->slot[level][i].count, count - 1);
            return;
        }
    }
}

uint64_t census_count(const struct census *c, mono_ms now)
{
    uint64_t sum = 0;
    for (unsigned level = 0; level < CENSUS_LEVELS; level++)
        for (unsigned i = 0; i < CENSUS_SLOTS; i++)
            if (atomic_load(&c->slot[level][i].end) > now / unit_ms(level))
                sum += atomic_load(&c->slot[level][i].count);
    return sum;
}
