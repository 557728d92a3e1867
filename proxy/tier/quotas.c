/* The call of SCRIPT_QUOTA. It is never asked again: a request that Redis does not answer is judged
 * by the instance itself, and waits for nothing. */
#include "objects-internal.h"

#include <larder/tier/quotas.h>

#include <stdlib.h>

enum { NUMBERS = 3 * QUOTA_LIMITS_MAX + 2, NUMBER_MAX = 24 };

struct quota_call {
    void (*on_done)(void *arg, const struct quota_word *word);
    void *arg;
    unsigned count;
    unsigned limits[QUOTA_ASKS_MAX];
    bool is_bucket[QUOTA_ASKS_MAX][QUOTA_LIMITS_MAX];
};

static uint64_t number_at(const struct redis_reply *r, unsigned i)
{
    int64_t n = redis_reply_integer(redis_reply_at(r, i));
    return n > 0 ? (uint64_t)n : 0;
}

static uint32_t small(uint64_t n)
{
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* {over, age and two figures of each limit} of each name. False: it is something else. */
static bool read_word(const struct quota_call *c, const struct redis_reply *r,
                      struct quota_word *ret)
{
    unsigned at = 0, wanted = 0;
    mono_ms now = mono_now_ms();
    for (unsigned i = 0; i < c->count; i++)
        wanted += 1 + 3 * c->limits[i];
    if (redis_reply_type(r) != REDIS_ARRAY || redis_reply_count(r) != wanted)
        return false;
    for (unsigned i = 0; i < c->count; i++) {
        ret->is_over[i] = number_at(r, at++) != 0;
        for (unsigned n = 0; n < c->limits[i]; n++, at += 3) {
            struct quota_state *s = &ret->state[i][n];
            uint64_t age = number_at(r, at);
            s->at_ms = now > age ? now - age : 0;
            if (c->is_bucket[i][n]) {
                s->level = number_at(r, at + 1);
            } else {
                s->now = small(number_at(r, at + 1));
                s->before = small(number_at(r, at + 2));
            }
        }
    }
    return true;
}

static void on_reply(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct quota_call *c = arg;
    struct quota_word word = {.is_over = {false}};
    if (c->on_done)
        c->on_done(c->arg, result == REDIS_OK && read_word(c, r, &word) ? &word : NULL);
    free(c);
}

static void add_key(const struct objects *o, const struct quota_call_start *s, unsigned i,
                    struct buf *out)
{
    object_key_format(o, 'q', s->name[i], out);
    if (s->is_own[i]) {
        buf_add_char(out, ':');
        buf_add_str(out, tier_instance(o->tier));
    }
}

/* Numbers as texts, in one block. */
struct words {
    struct buf text;
    unsigned count;
    struct span word[QUOTA_ASKS_MAX * NUMBERS];
};

static void add_number(struct words *w, uint64_t n)
{
    size_t at = w->text.len;
    buf_add_u64(&w->text, n);
    w->word[w->count++] = span_of(w->text.p + at, w->text.len - at);
}

static void add_words(const struct quota_ask *a, struct words *w)
{
    add_number(w, a->is_dry);
    add_number(w, a->count);
    for (unsigned i = 0; i < a->count; i++) {
        add_number(w, a->limits[i].count);
        add_number(w, a->limits[i].window_ms);
        add_number(w, a->limits[i].is_bucket ? a->limits[i].burst : 0);
    }
}

static bool send(struct objects *o, const struct quota_call_start *s, struct quota_call *c)
{
    char key_blocks[QUOTA_ASKS_MAX][OBJECT_KEY_MAX], text[QUOTA_ASKS_MAX * NUMBERS * NUMBER_MAX];
    struct span keys[QUOTA_ASKS_MAX];
    struct words w = {.count = 0};
    buf_init_fixed(&w.text, text, sizeof(text));
    for (unsigned i = 0; i < s->count; i++) {
        struct buf key;
        buf_init_fixed(&key, key_blocks[i], sizeof(key_blocks[i]));
        add_key(o, s, i, &key);
        if (key.failed)
            return false;
        keys[i] = buf_span(&key);
        add_words(&s->ask[i], &w);
    }
    struct script_call call = {.script = SCRIPT_QUOTA,
                               .keys = keys,
                               .key_count = s->count,
                               .args = w.word,
                               .arg_count = w.count,
                               .on_reply = on_reply,
                               .arg = c};
    return script_send(o->link, &call);
}

struct quota_call *quota_call(struct objects *o, const struct quota_call_start *s)
{
    struct quota_call *c =
        s->count <= QUOTA_ASKS_MAX && redis_link_is_up(o->link) ? calloc(1, sizeof(*c)) : NULL;
    if (!c)
        return NULL;
    c->on_done = s->on_done;
    c->arg = s->arg;
    c->count = s->count;
    for (unsigned i = 0; i < s->count; i++) {
        c->limits[i] = s->ask[i].count;
        for (unsigned n = 0; n < s->ask[i].count; n++)
            c->is_bucket[i][n] = s->ask[i].limits[n].is_bucket;
    }
    if (send(o, s, c))
        return c;
    free(c);
    return NULL;
}

void quota_call_cancel(struct quota_call *c)
{
    if (c)
        c->on_done = NULL; /* its reply frees it */
}
