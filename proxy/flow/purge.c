/* Selectors into tags, intersections and tests. What one selector widens (a coarse tag, too many
 * tags) is always more than was named, never less. */
#include <larder/flow/purge.h>

#include <larder/base/glob.h>
#include <larder/http/uri.h>

enum { TAG_TEXT_MAX = 8192 };

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

void purge_route_tag_format(const struct route *r, struct buf *out)
{
    buf_add_str(out, "route:");
    buf_add_span(out, r->name);
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
    purge_route_tag_format(r, &text);
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
    struct store_removed r = store_invalidate(p->shared->store, &i);
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

/* Each text may stand on an answer as itself or as its coarse tag. */
struct combination {
    struct purge *p;
    const struct span *texts;
    unsigned count, at;
    uint64_t tags[TAG_ALL_OF_MAX];
};

static void combine(struct combination *c, unsigned at);

static void on_coarse_of_many(void *arg, struct span coarse)
{
    struct combination *c = arg;
    unsigned at = c->at;
    c->tags[at] = tag_of(coarse);
    combine(c, at + 1);
    c->at = at;
}

static void combine(struct combination *c, unsigned at)
{
    if (at == c->count) {
        run_all_of(c->p, c->tags, c->count);
        return;
    }
    c->at = at;
    c->tags[at] = tag_of(c->texts[at]);
    combine(c, at + 1);
    c->at = at;
    each_coarse(c->p, c->texts[at], on_coarse_of_many, c);
}

void purge_all_of(struct purge *p, const struct span *texts, unsigned count)
{
    struct combination c = {.p = p, .texts = texts, .count = count};
    if (count > TAG_ALL_OF_MAX)
        c.count = TAG_ALL_OF_MAX; /* fewer conditions: more goes */
    if (count == 1)
        purge_tag(p, texts[0]);
    else if (count > 1)
        combine(&c, 0);
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
        if (!text.failed)
            tags[n++] = tag_of(buf_span(&text));
    }
    if (n == 0)
        purge_route(p, r);
    else if (n == 1)
        add_hash(p, tags[0]);
    else
        run_all_of(p, tags, n);
}

static bool test_glob(void *arg, const struct cache_key *key, struct span target,
                      struct span tag_text)
{
    (void)target;
    (void)tag_text;
    return glob_match(*(const struct span *)arg, cache_key_readable(key));
}

void purge_glob(struct purge *p, struct span glob)
{
    const struct store_match m = {.kind = STORE_TEST, .test = test_glob, .arg = &glob};
    run(p, &m);
}

/* Segment by segment: "{id}" is any one, a final "*" all that is left. */
static bool is_path_match(struct span pattern, struct span path)
{
    while (pattern.p) {
        struct span want = span_split(pattern, '/', &pattern);
        if (!path.p)
            return false;
        if (!pattern.p && span_eq(want, SPAN_LIT("*")))
            return true;
        struct span have = span_split(path, '/', &path);
        bool is_any = want.len > 1 && want.p[0] == '{' && want.p[want.len - 1] == '}';
        if (is_any ? have.len == 0 : !glob_match(want, have))
            return false;
    }
    return !path.p;
}

/* A flight's path is not known: it is overtaken all the same, and fetched again. */
static bool test_path(void *arg, const struct cache_key *key, struct span target,
                      struct span tag_text)
{
    struct span query;
    (void)key;
    (void)tag_text;
    return !target.p || is_path_match(*(const struct span *)arg, span_split(target, '?', &query));
}

void purge_path_pattern(struct purge *p, struct span pattern)
{
    const struct store_match m = {.kind = STORE_TEST, .test = test_path, .arg = &pattern};
    run(p, &m);
}

static bool test_prefix(void *arg, const struct cache_key *key, struct span target,
                        struct span tag_text)
{
    const struct span *prefix = arg;
    (void)key;
    (void)target;
    for (struct span rest = tag_text; rest.p && rest.len;) {
        struct span tag = span_split(rest, '\0', &rest);
        if (span_starts_with(tag, *prefix))
            return true;
    }
    return false;
}

void purge_tag_prefix(struct purge *p, struct span prefix)
{
    const struct store_match m = {.kind = STORE_TEST, .test = test_prefix, .arg = &prefix};
    run(p, &m);
}

void purge_finish(struct purge *p)
{
    const struct store_match m = {
        .kind = STORE_ANY_TAG, .tags = p->tags, .tag_count = p->tag_count};
    if (p->tag_count)
        run(p, &m);
    p->tag_count = 0;
}
