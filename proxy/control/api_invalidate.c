/* POST /api/cache/invalidate and PURGE: what was named goes, or becomes stale; the answer says what
 * matched. */
#include "control-internal.h"

#include <larder/http/surrogate.h>

#include <stdlib.h>

enum { KEYS_DEFAULT = 20, KEYS_MAX = 1000, REFRESH_DEFAULT = 100, REFRESH_MAX = 1000 };

/* What is noted of each matched answer, as it goes. */
struct matched {
    struct entry **entries; /* for the answer's page of keys */
    unsigned count, max;
    struct hot_list *hot; /* to be fetched again; NULL: not asked for */
    bool is_soft;         /* by the caller's own word */
};

static void on_entry(void *arg, struct entry *e)
{
    struct matched *m = arg;
    if (m->count < m->max)
        m->entries[m->count++] = entry_ref(e);
    if (m->hot)
        hot_list_add(m->hot, e);
}

static bool matched_init(struct matched *m, unsigned keys_max, unsigned refresh_max)
{
    *m = (struct matched){.max = keys_max};
    m->entries = calloc(keys_max ? keys_max : 1, sizeof(struct entry *));
    m->hot = refresh_max ? hot_list_new(refresh_max) : NULL;
    return m->entries && (m->hot || !refresh_max);
}

static void matched_fini(struct matched *m)
{
    for (unsigned i = 0; i < m->count; i++)
        entry_unref(m->entries[i]);
    free(m->entries);
    hot_list_free(m->hot);
}

/* What was asked beside the selector. */
struct options {
    bool is_dry, is_soft, is_hard; /* neither: soft where there is a window for it */
    uint64_t keys_max, refresh_max;
};

/* true, or {"max": 50} */
static bool read_refresh(struct call *c, const struct json *j, struct options *o)
{
    const struct json *max = j && j->type == JSON_OBJECT ? json_member(j, SPAN_LIT("max")) : NULL;
    if (!j || j->type == JSON_FALSE)
        return true;
    o->refresh_max = REFRESH_DEFAULT;
    if (j->type == JSON_TRUE)
        return true;
    if (max && max->type == JSON_NUMBER && span_parse_u64(max->text, &o->refresh_max) &&
        o->refresh_max >= 1 && o->refresh_max <= REFRESH_MAX)
        return true;
    return !call_fail(c, 400, "bad-value", "\"refresh\" must be true or {\"max\": 1 to %d}",
                      REFRESH_MAX);
}

static bool read_options(struct call *c, const struct json *root, struct options *o)
{
    const struct json *mode = json_member(root, SPAN_LIT("mode"));
    const struct json *limit = json_member(root, SPAN_LIT("limit"));
    *o = (struct options){.keys_max = KEYS_DEFAULT};
    if (!call_bool(c, root, "dry_run", &o->is_dry) ||
        !read_refresh(c, json_member(root, SPAN_LIT("refresh")), o))
        return false;
    o->is_soft = mode && mode->type == JSON_STRING && span_eq(mode->text, SPAN_LIT("soft"));
    o->is_hard = mode && mode->type == JSON_STRING && span_eq(mode->text, SPAN_LIT("hard"));
    if (mode && !o->is_soft && !o->is_hard)
        return !call_fail(c, 400, "bad-value", "\"mode\" must be \"hard\" or \"soft\"");
    if (limit && (limit->type != JSON_NUMBER || !span_parse_u64(limit->text, &o->keys_max) ||
                  o->keys_max > KEYS_MAX))
        return !call_fail(c, 400, "bad-value", "\"limit\" must be 0 to %d", KEYS_MAX);
    return true;
}

static void write_answer(struct call *c, const struct purge *p, const struct matched *m,
                         const struct job *refresh)
{
    const struct store_removed *r = &p->sum;
    struct json_writer w;
    char id[64];
    struct buf text;
    buf_init_fixed(&text, id, sizeof(id));
    buf_add_fmt(&text, "inv-%s-%llu", c->control->boot, (unsigned long long)r->number);
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_str(&w, "status", "ok");
    if (!p->is_dry_run)
        json_write_span(&w, "id", buf_span(&text));
    bool is_soft = m->is_soft || r->stale > 0;
    json_write_str(&w, "mode", is_soft ? "soft" : "hard");
    json_write_bool(&w, "dry_run", p->is_dry_run);
    json_write_u64(&w, "matched", r->matched);
    json_write_u64(&w, "removed", r->matched - r->stale);
    json_write_u64(&w, "stale", r->stale);
    json_write_u64(&w, "in_flight", r->flights);
    json_write_bool(&w, "exact", r->is_exact);
    json_write_array(&w, "keys");
    for (unsigned i = 0; i < m->count; i++)
        json_write_span(&w, NULL, cache_key_readable(&m->entries[i]->key));
    json_write_array_end(&w);
    if (refresh)
        json_write_str(&w, "refresh_job", refresh->id);
    json_write_object_end(&w);
    buf_add_fmt(&c->audit, " -> %s%llu matched, %llu stale, " SPAN_FMT,
                p->is_dry_run ? "dry run, " : "", (unsigned long long)r->matched,
                (unsigned long long)r->stale, SPAN_ARG(buf_span(&text)));
}

/* Hottest first, within the budget, through larder's own front. */
static struct job *start_refresh(struct call *c, struct matched *m)
{
    struct job *j = m->hot ? job_new(c->control, "refresh") : NULL;
    if (!j)
        return NULL;
    j->wants_new = true;
    j->owner = c->token;
    if (!hot_list_to_job(m->hot, j)) {
        job_free(j);
        return NULL;
    }
    job_start(j);
    return j;
}

static void finish(struct call *c, struct purge *p, struct matched *m)
{
    purge_finish(p);
    struct job *refresh = p->is_dry_run ? NULL : start_refresh(c, m);
    write_answer(c, p, m, refresh);
    if (!p->is_dry_run)
        schedule_on_invalidation(c->control->schedule);
}

bool api_invalidate(struct call *c)
{
    cleanup(json_doc_freep) struct json_doc *doc =
        call_parse(c, selector_members, selector_member_count, SELECTOR_EXAMPLE);
    struct options o;
    struct purge p;
    if (!doc || !read_options(c, json_root(doc), &o))
        return true;
    struct matched m;
    if (!matched_init(&m, (unsigned)o.keys_max, (unsigned)o.refresh_max)) {
        matched_fini(&m);
        return call_fail_nomem(c);
    }
    purge_init(&p, c->control->shared);
    m.is_soft = o.is_soft;
    p.is_soft = !o.is_hard; /* soft where there is a window for it; gone where there is none */
    p.is_dry_run = o.is_dry;
    p.list_max = o.refresh_max ? 100000 : (unsigned)o.keys_max;
    p.on_entry = on_entry;
    p.arg = &m;
    if (selector_apply(c, json_root(doc), &p))
        finish(c, &p, &m);
    matched_fini(&m);
    return true;
}

/* --- PURGE, as Varnish's and Fastly's tools speak it --- */

struct purging {
    struct call *c;
    struct purge *p;
    unsigned count;
};

static bool on_purge_tag(void *arg, struct span tag)
{
    struct purging *g = arg;
    if (!access_may_name(g->c, tag)) {
        (void)call_fail(g->c, 403, "forbidden", "the token is bound to other tags");
        return false;
    }
    buf_add_fmt(&g->c->audit, "tag %.*s ", CUT(tag));
    purge_tag(g->p, tag);
    g->count++;
    return true;
}

/* Without tags: the path, and with a query the one key, in all variants. */
static void purge_place(struct call *c, struct purge *p)
{
    struct json place = {.type = JSON_STRING, .name = SPAN_LIT("url"), .text = c->head->target};
    struct json root = {.type = JSON_OBJECT, .first = &place, .count = 1};
    (void)selector_apply(c, &root, p); /* a refusal is in the call */
}

bool api_purge(struct call *c)
{
    struct purge p;
    struct matched m;
    bool is_soft = false;
    if (!matched_init(&m, KEYS_DEFAULT, 0)) {
        matched_fini(&m);
        return call_fail_nomem(c);
    }
    purge_init(&p, c->control->shared);
    p.list_max = KEYS_DEFAULT;
    p.on_entry = on_entry;
    p.arg = &m;
    struct purging g = {.c = c, .p = &p};
    bool is_good = surrogate_purge_tags(c->head, on_purge_tag, &g, &is_soft);
    p.is_soft = m.is_soft = is_soft;
    if (!is_good && !c->problem)
        (void)call_fail(c, 400, "bad-value", "a tag is a text of 1 to 1024 bytes");
    else if (is_good && g.count == 0)
        purge_place(c, &p);
    if (!c->problem)
        finish(c, &p, &m);
    matched_fini(&m);
    return true;
}
