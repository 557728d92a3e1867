/* Open addressing over a table of fixed size, twice as large as what may go in. */
#include <larder/flow/values.h>

#include <larder/base/hash.h>

#include <pthread.h>
#include <stdlib.h>

enum { TEXT_MAX = 256 };

struct slot {
    uint64_t hash;
    uint16_t number; /* 0: empty */
    uint16_t len;
    char *text;
};

struct values {
    pthread_mutex_t lock;
    unsigned max, count;
    size_t size; /* a power of two */
    struct slot *slots;
    uint64_t dropped;
};

struct values *values_new(unsigned max)
{
    struct values *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    v->max = max < UINT16_MAX ? max : UINT16_MAX - 1;
    for (v->size = 16; v->size < 2 * (size_t)v->max;)
        v->size *= 2;
    v->slots = calloc(v->size, sizeof(*v->slots));
    if (!v->slots) {
        free(v);
        return NULL;
    }
    pthread_mutex_init(&v->lock, NULL);
    return v;
}

void values_free(struct values *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->size; i++)
        free(v->slots[i].text);
    free(v->slots);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

unsigned values_max(const struct values *v)
{
    return v->max + 1;
}

/* Its slot, or the empty one where it would stand. */
static struct slot *find(struct values *v, uint64_t hash, struct span text)
{
    size_t i = hash & (v->size - 1);
    while (v->slots[i].number) {
        struct slot *s = &v->slots[i];
        if (s->hash == hash && span_eq(span_of(s->text, s->len), text))
            return s;
        i = (i + 1) & (v->size - 1);
    }
    return &v->slots[i];
}

static uint16_t take_number(struct values *v, struct slot *s, uint64_t hash, struct span text)
{
    char *copy = v->count < v->max ? malloc(text.len ? text.len : 1) : NULL;
    if (!copy) {
        v->dropped++;
        return 0;
    }
    if (text.len)
        memcpy(copy, text.p, text.len);
    *s = (struct slot){
        .hash = hash, .number = (uint16_t)++v->count, .len = (uint16_t)text.len, .text = copy};
    return s->number;
}

uint16_t values_number(struct values *v, struct span text)
{
    if (text.len > TEXT_MAX)
        return 0;
    uint64_t hash = hash128_of(text.p, text.len).lo;
    pthread_mutex_lock(&v->lock);
    struct slot *s = find(v, hash, text);
    uint16_t number = s->number ? s->number : take_number(v, s, hash, text);
    pthread_mutex_unlock(&v->lock);
    return number;
}

uint16_t values_lookup(struct values *v, struct span text)
{
    if (text.len > TEXT_MAX)
        return 0;
    uint64_t hash = hash128_of(text.p, text.len).lo;
    pthread_mutex_lock(&v->lock);
    uint16_t number = find(v, hash, text)->number;
    pthread_mutex_unlock(&v->lock);
    return number;
}

unsigned values_count(struct values *v)
{
    pthread_mutex_lock(&v->lock);
    unsigned n = v->count;
    pthread_mutex_unlock(&v->lock);
    return n;
}

uint64_t values_dropped(struct values *v)
{
    pthread_mutex_lock(&v->lock);
    uint64_t n = v->dropped;
    pthread_mutex_unlock(&v->lock);
    return n;
}
