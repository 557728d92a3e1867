/* The hottest keys: of the store as it is, of what an invalidation has taken, and of the last run,
 * kept in a file. Only answers that a plain GET brings again for anybody are among them. */
#include "control-internal.h"

#include <larder/base/file.h>
#include <larder/http/vary.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAVED_MAX = 1000, FILE_BYTES_MAX = 8 * 1024 * 1024 };

struct hot {
    char *target, *host;
    uint64_t hits;
};

/* A heap with the least hit on top, so that it can give way. */
struct hot_list {
    unsigned count, max;
    struct hot hot[];
};

struct hot_list *hot_list_new(unsigned max)
{
    struct hot_list *l = calloc(1, sizeof(*l) + max * sizeof(struct hot));
    if (l)
        l->max = max;
    return l;
}

void hot_list_free(struct hot_list *l)
{
    for (unsigned i = 0; l && i < l->count; i++) {
        free(l->hot[i].target);
        free(l->hot[i].host);
    }
    free(l);
}

static void swap(struct hot_list *l, unsigned a, unsigned b)
{
    struct hot t = l->hot[a];
    l->hot[a] = l->hot[b];
    l->hot[b] = t;
}

static void sift_up(struct hot_list *l, unsigned i)
{
    for (; i > 0 && l->hot[i].hits < l->hot[(i - 1) / 2].hits; i = (i - 1) / 2)
        swap(l, i, (i - 1) / 2);
}

static void sift_down(struct hot_list *l)
{
    for (unsigned i = 0, least;; i = least) {
        least = i;
        for (unsigned c = 2 * i + 1; c <= 2 * i + 2 && c < l->count; c++)
            if (l->hot[c].hits < l->hot[least].hits)
                least = c;
        if (least == i)
            return;
        swap(l, i, least);
    }
}

static bool fill(struct hot *h, struct span target, struct span host, uint64_t hits)
{
    h->hits = hits;
    h->target = strndup(target.p, target.len);
    h->host = strndup(host.len ? host.p : "", host.len);
    if (h->target && h->host)
        return true;
    free(h->target);
    free(h->host);
    return false;
}

static void add(struct hot_list *l, struct span target, struct span host, uint64_t hits)
{
    struct hot made;
    if (!l->max || (l->count == l->max && hits <= l->hot[0].hits) ||
        !fill(&made, target, host, hits))
        return;
    if (l->count < l->max) {
        l->hot[l->count] = made;
        sift_up(l, l->count++);
        return;
    }
    free(l->hot[0].target);
    free(l->hot[0].host);
    l->hot[0] = made;
    sift_down(l);
}

/* What larder keeps of the scheme: at the end of the primary key, or among what it varies by. */
static bool is_https(const struct entry *e)
{
    static const char end[] = "\x1fhttps", among[] = "|" VARY_SCHEME "=https";
    struct span primary = span_of(e->key.text.p, e->key.primary_len);
    struct span rest =
        span_of(e->key.text.p + e->key.primary_len, e->key.text.len - e->key.primary_len);
    size_t n = sizeof(end) - 1;
    return (primary.len > n && memcmp(primary.p + primary.len - n, end, n) == 0) ||
           (rest.len && memmem(rest.p, rest.len, among, sizeof(among) - 1));
}

void hot_list_add(struct hot_list *l, struct entry *e)
{
    char block[300];
    struct buf host;
    buf_init_fixed(&host, block, sizeof(block));
    buf_add_str(&host, is_https(e) ? "https://" : "");
    buf_add_span(&host, e->host);
    if (e->is_refetchable && e->target.len && !host.failed)
        add(l, e->target, buf_span(&host), e->hits);
}

static int hottest_first(const void *a, const void *b)
{
    const struct hot *x = a, *y = b;
    return (x->hits < y->hits) - (x->hits > y->hits);
}

bool hot_list_to_job(struct hot_list *l, struct job *j)
{
    qsort(l->hot, l->count, sizeof(l->hot[0]), hottest_first);
    for (unsigned i = 0; i < l->count; i++)
        if (job_add_item(j, "GET", span_str(l->hot[i].target), span_str(l->hot[i].host),
                         span_of(NULL, 0), span_of(NULL, 0)) != ERR_OK)
            return false;
    return true;
}

static bool on_entry(void *arg, struct entry *e)
{
    hot_list_add(arg, e);
    return true;
}

static struct hot_list *of_store(struct control *c, unsigned max)
{
    struct hot_list *l = hot_list_new(max);
    if (l)
        store_walk(c->shared->store, NULL, mono_now_ms(), on_entry, l);
    return l;
}

/* --- the file --- */

static bool file_name(const struct control *c, const char *suffix, char path[600])
{
    struct span dir = c->shared->config->state_dir;
    if (!dir.len || dir.len > 500)
        return false;
    snprintf(path, 600, "%.*s/hottest.json%s", SPAN_ARG(dir), suffix);
    return true;
}

static void format_list(struct hot_list *l, struct buf *out)
{
    struct json_writer w;
    qsort(l->hot, l->count, sizeof(l->hot[0]), hottest_first);
    json_writer_init(&w, out);
    json_write_array(&w, NULL);
    for (unsigned i = 0; i < l->count; i++) {
        json_write_object(&w, NULL);
        json_write_str(&w, "target", l->hot[i].target);
        json_write_str(&w, "host", l->hot[i].host);
        json_write_u64(&w, "hits", l->hot[i].hits);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
}

/* Whole or not at all: written beside, then renamed into its place. */
void hottest_save(struct control *c)
{
    char path[600], made[600];
    if (!file_name(c, "", path) || !file_name(c, ".new", made))
        return;
    cleanup(buf_fini) struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    struct hot_list *l = of_store(c, SAVED_MAX);
    if (l && l->count)
        format_list(l, &text);
    bool has_any = l && l->count && !text.failed;
    hot_list_free(l);
    if (!has_any)
        return; /* what the last run has left is worth more than nothing */
    FILE *f = fopen(made, "we");
    bool is_written = f && fwrite(text.p, 1, text.len, f) == text.len;
    if (f && fclose(f) != 0)
        is_written = false;
    if (!is_written || rename(made, path) != 0)
        log_warn("state_dir: %s cannot be written: %s", path, strerror(errno));
}

static struct hot_list *of_file(struct control *c, unsigned max)
{
    enum { DEPTH = 4 };
    char path[600];
    struct json_doc *doc = NULL;
    struct hot_list *l = hot_list_new(max);
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    enum err_code rc = ERR_NOT_FOUND;
    if (l && file_name(c, "", path))
        rc = file_read(path, FILE_REGULAR, &text);
    if (rc == ERR_OK)
        rc = json_parse(buf_span(&text), path, 0, DEPTH, &doc, NULL);
    if (rc && rc != ERR_NOT_FOUND)
        log_warn("state_dir: %s cannot be read; it is passed over", path);
    for (const struct json *j = doc ? json_root(doc)->first : NULL; j; j = j->next) {
        const struct json *target = json_member(j, SPAN_LIT("target"));
        const struct json *host = json_member(j, SPAN_LIT("host"));
        const struct json *hits = json_member(j, SPAN_LIT("hits"));
        uint64_t count;
        if (target && host && hits && target->text.len && target->text.p[0] == '/' &&
            warm_is_clean(target->text, false) && warm_is_clean(host->text, false) &&
            span_parse_u64(hits->text, &count))
            add(l, target->text, host->text, count);
    }
    json_doc_free(doc);
    buf_fini(&text);
    return l;
}

bool hottest_add(struct job *j, unsigned count)
{
    struct hot_list *l = of_store(j->control, count);
    if (l && l->count == 0) { /* a cache that has just begun: as the last one ended */
        hot_list_free(l);
        l = of_file(j->control, count);
    }
    bool is_good = l && hot_list_to_job(l, j);
    hot_list_free(l);
    return is_good;
}
