/* POST /api/cache/invalidate and PURGE: what was named goes, or becomes stale; the answer says what
 * matched. */
#include "control-internal.h"

#include <larder/http/surrogate.h>

#include <stdio.h>
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
    bool wants_all;                /* to wait for all instances */
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
    const struct json *wait = json_member(root, SPAN_LIT("wait"));
    *o = (struct options){.keys_max = KEYS_DEFAULT};
    if (!call_bool(c, root, "dry_run", &o->is_dry) ||
        !read_refresh(c, json_member(root, SPAN_LIT("refresh")), o))
        return false;
    o->is_soft = mode && mode->type == JSON_STRING && span_eq(mode->text, SPAN_LIT("soft"));
    o->is_hard = mode && mode->type == JSON_STRING && span_eq(mode->text, SPAN_LIT("hard"));
    if (mode && !o->is_soft && !o->is_hard)
        return !call_fail(c, 400, "bad-value", "\"mode\" must be \"hard\" or \"soft\"");
    o->wants_all = wait && wait->type == JSON_STRING && span_eq(wait->text, SPAN_LIT("all"));
    if (wait && !o->wants_all)
        return !call_fail(c, 400, "bad-value", "\"wait\" must be \"all\"");
    if (limit && (limit->type != JSON_NUMBER || !span_parse_u64(limit->text, &o->keys_max) ||
                  o->keys_max > KEYS_MAX))
        return !call_fail(c, 400, "bad-value", "\"limit\" must be 0 to %d", KEYS_MAX);
    return true;
}

static void write_instances(struct json_writer *w, const char *name,
                            const char (*ids)[TIER_ID_LEN + 1], unsigned count)
{
    json_write_array(w, name);
    for (unsigned i = 0; i < count; i++)
        json_write_str(w, NULL, ids[i]);
    json_write_array_end(w);
}

/* What has become of it elsewhere. NULL: this instance is alone, or Redis could not be told. */
static void write_replication(struct call *c, struct json_writer *w, bool wants_all,
                              const struct tier_publication *p)
{
    if (!c->control->shared->tier)
        return;
    bool is_replicated = p && p->is_replicated;
    json_write_bool(w, "replicated", is_replicated);
    if (wants_all) {
        write_instances(w, "applied_by", p ? p->applied : NULL, p ? p->applied_count : 0);
        write_instances(w, "not_applied_by", p ? p->missing : NULL, p ? p->missing_count : 0);
    }
    if (!is_replicated || (wants_all && p->missing_count))
        c->status = 202; /* RFC 9110 section 15.3.3: it will be done */
}

/* An invalidation that was carried out here, on its way to its answer. */
struct answering {
    struct call *call;
    struct store_removed removed;
    struct matched matched;
    char refresh_job[32]; /* empty: none */
    bool is_dry_run, wants_all;
};

static void write_answer(struct answering *a, const struct tier_publication *p)
{
    struct call *c = a->call;
    const struct store_removed *r = &a->removed;
    struct json_writer w;
    char id[64];
    struct buf text;
    buf_init_fixed(&text, id, sizeof(id));
    buf_add_fmt(&text, "inv-%s-%llu", c->control->boot, (unsigned long long)r->number);
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_str(&w, "status", "ok");
    if (!a->is_dry_run)
        json_write_span(&w, "id", buf_span(&text));
    bool is_soft = a->matched.is_soft || r->stale > 0;
    json_write_str(&w, "mode", is_soft ? "soft" : "hard");
    json_write_bool(&w, "dry_run", a->is_dry_run);
    json_write_u64(&w, "matched", r->matched);
    json_write_u64(&w, "removed", r->matched - r->stale);
    json_write_u64(&w, "stale", r->stale);
    json_write_u64(&w, "in_flight", r->flights);
    json_write_bool(&w, "exact", r->is_exact);
    json_write_array(&w, "keys");
    for (unsigned i = 0; i < a->matched.count; i++)
        json_write_span(&w, NULL, cache_key_readable(&a->matched.entries[i]->key));
    json_write_array_end(&w);
    if (a->refresh_job[0])
        json_write_str(&w, "refresh_job", a->refresh_job);
    if (!a->is_dry_run)
        write_replication(c, &w, a->wants_all, p);
    json_write_object_end(&w);
    buf_add_fmt(&c->audit, " -> %s%llu matched, %llu stale, " SPAN_FMT,
                a->is_dry_run ? "dry run, " : "", (unsigned long long)r->matched,
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

static void answering_free(struct answering *a)
{
    matched_fini(&a->matched);
    free(a);
}

static void on_published(struct tier_publication *p)
{
    struct answering *a = p->arg;
    struct call *c = a->call;
    write_answer(a, p);
    tier_publication_free(p);
    answering_free(a);
    call_finish(c);
}

/* Takes over what is in <m>. False: the answer comes later, when other instances have heard. */
static bool finish(struct call *c, struct purge *p, struct matched *m, bool wants_all)
{
    struct answering *a = calloc(1, sizeof(*a));
    purge_finish(p);
    struct job *refresh = p->is_dry_run ? NULL : start_refresh(c, m);
    if (!a) {
        purge_fini(p);
        return call_fail_nomem(c);
    }
    a->call = c;
    a->removed = p->sum;
    a->is_dry_run = p->is_dry_run;
    a->wants_all = wants_all;
    a->matched = *m;
    *m = (struct matched){0};
    if (refresh)
        snprintf(a->refresh_job, sizeof(a->refresh_job), "%s", refresh->id);
    if (!p->is_dry_run)
        schedule_on_invalidation(c->control->schedule);
    if (purge_publish(p, loop_mailbox(c->control->loop), wants_all, on_published, a)) {
        repeats_begin(c);
        return false;
    }
    write_answer(a, NULL);
    answering_free(a);
    return true;
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
    bool is_done = !selector_apply(c, json_root(doc), &p) || finish(c, &p, &m, o.wants_all);
    purge_fini(&p); /* what was done before a refusal */
    matched_fini(&m);
    return is_done;
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
    bool is_done = c->problem || finish(c, &p, &m, false);
    purge_fini(&p);
    matched_fini(&m);
    return is_done;
}
