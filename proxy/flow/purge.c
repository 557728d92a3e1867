/* Selectors into tags, intersections and tests. What one selector widens (a coarse tag, too many
 * tags) is always more than was named, never less. */
#include <larder/flow/purge.h>

#include <larder/http/uri.h>

enum { TAG_TEXT_MAX = 8192, COMBINATIONS_MAX = 256 };

void purge_init(struct purge *p, const struct shared *s)
{
    memset(p, 0, offsetof(struct purge, tags));
    p->shared = s;
    p->sum.is_exact = true;
}

static void add_hash(struct purge *p, uint64_t tag)
{
    if (tags_have(p->tags, p->tag_count, tag))
        return;
    if (p->tag_count == PURGE_TAGS_MAX) {
        p->tag_count = 0;
        tag = tag_of(SPAN_LIT("*"));
    }
    p->tags[p->tag_count++] = tag;
}

void purge_all(struct purge *p)
{
    add_hash(p, tag_of(SPAN_LIT("*")));
}

/* Calls <on_coarse> for each coarse tag that may stand for <text>. */
static void each_coarse(const struct purge *p, struct span text,
                        void (*on_coarse)(void *arg, struct span coarse), void *arg)
{
    const struct config *c = p->shared->config;
    for (unsigned i = 0; i < c->route_count; i++) {
        for (unsigned n = 0; n < c->routes[i].tag_count; n++) {
            const struct text_template *t = &c->routes[i].tags[n];
            if (!t->has_response || !span_starts_with(text, t->pieces[0].literal))
                continue;
            if (!span_eq(text, t->coarse))
                on_coarse(arg, t->coarse);
        }
    }
}

static void on_coarse_tag(void *arg, struct span coarse)
{
    add_hash(arg, tag_of(coarse));
}

void purge_tag(struct purge *p, struct span text)
{
    add_hash(p, tag_of(text));
    each_coarse(p, text, on_coarse_tag, p);
}

void purge_key_tag_format(struct span readable_key, struct buf *out)
{
    buf_add_str(out, "key:");
    buf_add_span(out, readable_key);
}

void purge_path_tag_format(struct span path, struct buf *out)
{
    buf_add_str(out, "path:");
    uri_path_canonical(path, out);
}

void purge_route(struct purge *p, const struct route *r)
{
    char block[96];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    route_tag_format(r, &text);
    add_hash(p, tag_of(buf_span(&text)));
}

void purge_key(struct purge *p, struct span readable_key)
{
    char block[TAG_TEXT_MAX];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    purge_key_tag_format(readable_key, &text);
    if (!text.failed) /* no key is so long */
        add_hash(p, tag_of(buf_span(&text)));
}

void purge_path(struct purge *p, struct span path)
{
    char block[TAG_TEXT_MAX];
    struct buf text;
    buf_init_fixed(&text, block, sizeof(block));
    purge_path_tag_format(path, &text);
    if (!text.failed)
        add_hash(p, tag_of(buf_span(&text)));
}

static void on_entry(void *arg, struct entry *e)
{
    struct purge *p = arg;
    p->listed++;
    if (p->on_entry)
        p->on_entry(p->arg, e);
}

/* Before the store obeys: nothing older is read from Redis from here on. */
static void announce(struct purge *p)
{
    if (p->is_dry_run || !p->shared->tier || p->is_announced)
        return;
    p->is_announced = true;
    tier_announce(p->shared->tier);
    p->publication = tier_publication_new();
}

static void note(struct purge *p, const struct store_match *m)
{
    struct message message;
    if (!p->publication)
        return;
    message_from_match(m, p->is_soft, &message);
    message_add(&message, &p->publication->messages);
}

static void run(struct purge *p, const struct store_match *m)
{
    struct store_invalidation i = {.match = m,
                                   .is_soft = p->is_soft,
                                   .is_dry_run = p->is_dry_run,
                                   .now = mono_now_ms(),
                                   .list_max =
                                       p->list_max > p->listed ? p->list_max - p->listed : 0,
                                   .on_entry = on_entry,
                                   .arg = p};
    announce(p);
    struct store_removed r = store_invalidate(p->shared->store, &i);
    note(p, m);
    p->sum.matched += r.matched;
    p->sum.stale += r.stale;
    p->sum.flights += r.flights;
    p->sum.number = r.number;
    p->sum.is_exact &= r.is_exact;
}

static void run_all_of(struct purge *p, const uint64_t *tags, unsigned count)
{
    const struct store_match m = {.kind = STORE_ALL_OF, .tags = tags, .tag_count = count};
    run(p, &m);
}

/* Each text may stand on an answer as itself or as one of its coarse tags. */
struct alternatives {
    unsigned count;
    uint64_t tag[COMBINATIONS_MAX + 1];
};

static void on_alternative(void *arg, struct span coarse)
{
    struct alternatives *a = arg;
    uint64_t tag = tag_of(coarse);
    if (a->count < COMBINATIONS_MAX + 1 && !tags_have(a->tag, a->count, tag))
        a->tag[a->count++] = tag;
}

static void combine(struct purge *p, const struct alternatives *of, unsigned count, unsigned at,
                    uint64_t tags[TAG_ALL_OF_MAX])
{
    if (at == count) {
        run_all_of(p, tags, count);
        return;
    }
    for (unsigned i = 0; i < of[at].count; i++) {
        tags[at] = of[at].tag[i];
        combine(p, of, count, at + 1, tags);
    }
}

bool purge_all_of(struct purge *p, const struct span *texts, unsigned count)
{
    struct alternatives of[TAG_ALL_OF_MAX];
    uint64_t tags[TAG_ALL_OF_MAX];
    unsigned product = 1;
    if (count > TAG_ALL_OF_MAX)
        return false;
    if (count == 1) {
        purge_tag(p, texts[0]);
        return true;
    }
    for (unsigned i = 0; i < count; i++) {
        of[i] = (struct alternatives){.count = 1, .tag = {tag_of(texts[i])}};
        each_coarse(p, texts[i], on_alternative, &of[i]);
        product *= of[i].count;
        if (product > COMBINATIONS_MAX)
            return false;
    }
    if (count > 1)
        combine(p, of, count, 0, tags);
    return true;
}

void purge_route_values(struct purge *p, const struct route *r, const struct purge_value *values,
                        unsigned count)
{
    uint64_t tags[TAG_ALL_OF_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < count && n < TAG_ALL_OF_MAX; i++) {
        char block[TAG_TEXT_MAX];
        struct buf text;
        buf_init_fixed(&text, block, sizeof(block));
        route_param_tag_format(r, values[i].param, p->shared->config->secret, values[i].value,
                               &text);
        if (text.failed)
            return; /* no key has so long a value */
        tags[n++] = tag_of(buf_span(&text));
    }
    if (n == 0)
        purge_route(p, r);
    else if (n == 1)
        add_hash(p, tags[0]);
    else
        run_all_of(p, tags, n);
}

static void run_pattern(struct purge *p, enum pattern_kind kind, struct span text)
{
    struct pattern pattern = {.kind = kind, .text = text};
    const struct store_match m = {.kind = STORE_TEST, .test = pattern_test, .arg = &pattern};
    run(p, &m);
}

void purge_glob(struct purge *p, struct span glob)
{
    run_pattern(p, PATTERN_GLOB, glob);
}

void purge_path_pattern(struct purge *p, struct span pattern)
{
    run_pattern(p, PATTERN_PATH, pattern);
}

void purge_tag_prefix(struct purge *p, struct span prefix)
{
    run_pattern(p, PATTERN_TAG_PREFIX, prefix);
}

void purge_finish(struct purge *p)
{
    const struct store_match m = {
        .kind = STORE_ANY_TAG, .tags = p->tags, .tag_count = p->tag_count};
    if (p->tag_count)
        run(p, &m);
    p->tag_count = 0;
}

struct tier_publication *purge_publish(struct purge *p, struct mailbox *home, bool wants_all,
                                       void (*on_done)(struct tier_publication *p), void *arg)
{
    struct tier_publication *publication = take(p->publication);
    if (!p->is_announced)
        return NULL;
    p->is_announced = false;
    bool has_waiter = publication && home;
    if (publication) {
        publication->home = home;
        publication->wants_all = wants_all;
        publication->on_done = on_done;
        publication->arg = arg;
    }
    tier_publish(p->shared->tier, publication);
    return has_waiter ? publication : NULL;
}

void purge_fini(struct purge *p)
{
    (void)purge_publish(p, NULL, false, NULL, NULL);
}
