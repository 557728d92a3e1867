/* test_key_property.c: random queries against a plain model: two keys are equal exactly where the
 * models are. A model is a row of pairs; its order among equal names counts, else it does not. */
#include <larder/http/key.h>

#include "http-test.h"

enum { PAIRS = 6, BYTES = 3, ROUNDS = 20000, POPULATION = 1500 };

struct model {
    unsigned count;
    struct model_pair {
        char name[BYTES], value[BYTES];
        unsigned name_len, value_len;
        bool is_bare, is_ignored;
    } pairs[PAIRS];
};

static uint64_t random_state = 0x6c617264657221;

static unsigned pick(unsigned below) /* xorshift64: the same numbers in each run */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % below;
}

/* Every byte that means something in queries, escapes or keys, and one that means nothing. */
static unsigned pick_bytes(char *p)
{
    static const char bytes[] = {'a', 'a', 'b', 'A', '=', '&', '?', '!', ',', ':',       '%',
                                 '+', ' ', '2', '5', 0,   '|', ';', '@', '/', (char)0xff};
    unsigned len = pick(BYTES + 1);
    for (unsigned i = 0; i < len; i++)
        p[i] = bytes[pick(sizeof(bytes))];
    return len;
}

static void random_pair(struct model_pair *p)
{
    *p = (struct model_pair){.is_ignored = pick(6) == 0, .is_bare = pick(6) == 0};
    p->name_len = p->is_ignored ? 0 : pick_bytes(p->name);
    p->value_len = p->is_bare ? 0 : pick_bytes(p->value);
    if (p->is_bare && p->name_len == 0) /* an empty piece is no pair */
        p->is_bare = false;
    if (p->is_ignored) /* one with ';' in it would not be */
        p->value_len = 0;
}

static void random_model(struct model *m)
{
    m->count = pick(PAIRS + 1);
    for (unsigned i = 0; i < m->count; i++)
        random_pair(&m->pairs[i]);
}

/* One of the ways in which a client may write <c>. */
static void write_byte(struct buf *out, char c)
{
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    bool may_be_raw = plain || strchr("?!,:;@/|", c) || (unsigned char)c >= 0x80;
    if (c == ' ' && pick(2))
        buf_add_char(out, '+');
    else if (c != '\0' && may_be_raw && pick(3))
        buf_add_char(out, c);
    else
        buf_add_fmt(out, pick(2) ? "%%%02x" : "%%%02X", (unsigned char)c);
}

static void write_query(const struct model *m, struct buf *out)
{
    for (unsigned i = 0; i < m->count; i++) {
        const struct model_pair *p = &m->pairs[i];
        if (i > 0 || pick(8) == 0)
            buf_add_str(out, pick(8) ? "&" : "&&");
        if (p->is_ignored)
            buf_add_str(out, pick(2) ? "utm_x" : "u%74m%5Fy");
        for (unsigned k = 0; k < p->name_len; k++)
            write_byte(out, p->name[k]);
        if (!p->is_bare)
            buf_add_char(out, '=');
        for (unsigned k = 0; k < p->value_len; k++)
            write_byte(out, p->value[k]);
    }
    assert_false(out->failed);
}

static bool is_ignored(void *arg, struct span name)
{
    (void)arg;
    return span_starts_with(name, SPAN_LIT("utm_"));
}

static void key_of(const struct model *m, struct buf *key)
{
    char room[512];
    struct buf query;
    buf_init_fixed(&query, room, sizeof(room));
    write_query(m, &query);
    key_add_query_all(key, buf_span(&query), is_ignored, NULL);
    assert_false(key->failed);
}

static bool same_name(const struct model_pair *a, const struct model_pair *b)
{
    return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

static bool same_pair(const struct model_pair *a, const struct model_pair *b)
{
    return same_name(a, b) && a->is_bare == b->is_bare && a->value_len == b->value_len &&
           memcmp(a->value, b->value, a->value_len) == 0;
}

/* For each name the same values in the same order. */
static bool models_equal(const struct model *a, const struct model *b)
{
    bool taken[PAIRS] = {false};
    unsigned left = 0;
    for (unsigned i = 0; i < b->count; i++)
        left += !b->pairs[i].is_ignored;
    for (unsigned i = 0; i < a->count; i++) {
        unsigned k = 0;
        if (a->pairs[i].is_ignored)
            continue;
        while (k < b->count &&
               (taken[k] || b->pairs[k].is_ignored || !same_name(&a->pairs[i], &b->pairs[k])))
            k++;
        if (k == b->count || !same_pair(&a->pairs[i], &b->pairs[k]))
            return false;
        taken[k] = true;
        left--;
    }
    return left == 0;
}

/* Moves pairs about, but none past one of its own name. */
static void shuffle(struct model *m)
{
    for (unsigned n = 0; m->count > 1 && n < 20; n++) {
        struct model_pair *p = &m->pairs[pick(m->count - 1)], first = p[0];
        if (same_name(&p[0], &p[1]) && !p[0].is_ignored && !p[1].is_ignored)
            continue;
        p[0] = p[1];
        p[1] = first;
    }
}

static void mutate(struct model *m)
{
    unsigned i = pick(PAIRS);
    if (i >= m->count && m->count < PAIRS)
        random_pair(&m->pairs[m->count++]);
    else if (pick(4) == 0)
        m->pairs[i] = m->pairs[--m->count];
    else
        random_pair(&m->pairs[i]);
}

static void spelling_and_order_do_not_matter_and_values_do(void **state)
{
    (void)state;
    unsigned differing = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct model a, b;
        char room_a[512], room_b[512];
        struct buf key_a, key_b;
        random_model(&a);
        b = a;
        shuffle(&b);
        assert_true(models_equal(&a, &b));
        if (round % 2)
            mutate(&b);
        buf_init_fixed(&key_a, room_a, sizeof(room_a));
        buf_init_fixed(&key_b, room_b, sizeof(room_b));
        key_of(&a, &key_a);
        key_of(&b, &key_b);
        bool equal = models_equal(&a, &b);
        differing += !equal;
        if (span_eq(buf_span(&key_a), buf_span(&key_b)) != equal)
            fail_msg("round %u: " SPAN_FMT " and " SPAN_FMT, round, SPAN_ARG(buf_span(&key_a)),
                     SPAN_ARG(buf_span(&key_b)));
    }
    assert_in_range(differing, ROUNDS / 4, ROUNDS / 2);
}

static void no_two_of_many_share_a_key(void **state)
{
    (void)state;
    static struct model models[POPULATION];
    static char rooms[POPULATION][512];
    static struct buf keys[POPULATION];
    unsigned equal = 0;
    for (unsigned i = 0; i < POPULATION; i++) {
        random_model(&models[i]);
        if (models[i].count > 2)
            models[i].count = 2; /* small ones, that meet often */
        buf_init_fixed(&keys[i], rooms[i], sizeof(rooms[i]));
        key_of(&models[i], &keys[i]);
        for (unsigned k = 0; k < i; k++) {
            bool same = models_equal(&models[i], &models[k]);
            equal += same;
            if (span_eq(buf_span(&keys[i]), buf_span(&keys[k])) != same)
                fail_msg(SPAN_FMT " and " SPAN_FMT, SPAN_ARG(buf_span(&keys[i])),
                         SPAN_ARG(buf_span(&keys[k])));
        }
    }
    assert_true(equal > 100);
}

/* The same for one keyed parameter: its values and their number tell all that was said of it. */
static void values_of_one_parameter_are_told_apart(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct model m[2];
        char rooms[2][512];
        struct buf keys[2];
        unsigned counts[2];
        for (unsigned i = 0; i < 2; i++) {
            char room[512];
            struct buf query;
            random_model(&m[i]);
            m[i].count %= 3;
            for (unsigned k = 0; k < m[i].count; k++) {
                struct model_pair *p = &m[i].pairs[k];
                p->is_ignored = false;
                p->name_len = 1;
                p->name[0] = 'a';
                p->value_len = p->value_len > 1 ? 1 : p->value_len;
            }
            buf_init_fixed(&query, room, sizeof(room));
            write_query(&m[i], &query);
            buf_init_fixed(&keys[i], rooms[i], sizeof(rooms[i]));
            counts[i] = key_add_query_values(&keys[i], buf_span(&query), SPAN_LIT("a"));
            assert_int_equal(counts[i], m[i].count);
        }
        bool equal = counts[0] == counts[1] && span_eq(buf_span(&keys[0]), buf_span(&keys[1]));
        assert_int_equal(equal, models_equal(&m[0], &m[1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelling_and_order_do_not_matter_and_values_do),
        cmocka_unit_test(no_two_of_many_share_a_key),
        cmocka_unit_test(values_of_one_parameter_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
