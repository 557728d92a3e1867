#include <larder/tier/census.h>

#include <stdbool.h>

void census_init(struct census *c)
{
    pthread_mutex_init(&c->lock, NULL);
}

void census_fini(struct census *c)
{
    pthread_mutex_destroy(&c->lock);
}

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
    pthread_mutex_lock(&c->lock);
    struct census_slot *slot = &c->slot[level][i];
    slot->count = slot->end == end ? slot->count + 1 : 1; /* another end is long past */
    slot->end = end;
    pthread_mutex_unlock(&c->lock);
}

/* Which slot it was counted in depends on how long it was to live then: the levels are tried from
 * the finest on, and neighbours, for the clocks' sake. NULL: none. */
static struct census_slot *find(struct census *c, mono_ms now, uint64_t left_ms)
{
    for (unsigned level = level_of(left_ms); level < CENSUS_LEVELS; level++) {
        uint64_t end = end_of(level, now, left_ms);
        for (uint64_t near = end - 1; near <= end + 1; near++) {
            struct census_slot *slot = &c->slot[level][near % CENSUS_SLOTS];
            if (slot->end == near && slot->count > 0)
                return slot;
        }
    }
    return NULL;
}

void census_remove(struct census *c, mono_ms now, uint64_t left_ms)
{
    pthread_mutex_lock(&c->lock);
    struct census_slot *slot = find(c, now, left_ms);
    if (slot)
        slot->count--;
    pthread_mutex_unlock(&c->lock);
}

uint64_t census_count(struct census *c, mono_ms now)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&c->lock);
    for (unsigned level = 0; level < CENSUS_LEVELS; level++)
        for (unsigned i = 0; i < CENSUS_SLOTS; i++)
            if (c->slot[level][i].end > now / unit_ms(level))
                sum += c->slot[level][i].count;
    pthread_mutex_unlock(&c->lock);
    return sum;
}
