/* GET /api/cache/keys: what is cached, sorted by key, page by page. */
#include "control-internal.h"

#include <stdlib.h>

struct collected {
    const struct entry **entries;
    size_t count, cap;
    int route; /* -1: any */
    bool failed;
};

static bool on_entry(void *arg, const struct entry *e)
{
    struct collected *all = arg;
    if (all->route >= 0 && e->route != all->route)
        return true;
    if (all->count == all->cap) {
        size_t cap = all->cap ? all->cap * 2 : 256;
        const struct entry **grown = realloc(all->entries, cap * sizeof(*grown));
        if (!grown) {
            all->failed = true;
            return false;
        }
        all->entries = grown;
        all->cap = cap;
    }
    all->entries[all->count++] = entry_ref((struct entry *)e);
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    size_t n = x->key.text.len < y->key.text.len ? x->key.text.len : y->key.text.len;
    int rc = memcmp(x->key.text.p, y->key.text.p, n);
    return rc ? rc : (x->key.text.len > y->key.text.len) - (x->key.text.len < y->key.text.len);
}

static struct span readable(const struct entry *e)
{
    const char *end = memchr(e->key.text.p, 0x1f, e->key.primary_len);
    return span_of(e->key.text.p, end ? (size_t)(end - e->key.text.p) : e->key.primary_len);
}

static void write_entry(struct json_writer *w, const struct call *c, const struct entry *e,
                        mono_ms now)
{
    json_write_object(w, NULL);
    json_write_span(w, "key", readable(e));
    json_write_span(w, "route", c->control->shared->config->routes[e->route].name);
    json_write_u64(w, "status", e->status);
    json_write_u64(w, "age_s", entry_age_s(e, now));
    json_write_i64(w, "ttl_s", entry_ttl_s(e, now));
    json_write_u64(w, "bytes", e->bytes);
    json_write_u64(w, "hits", e->hits);
    json_write_object_end(w);
}

static bool read_number(struct call *c, const char *name, uint64_t max, uint64_t *into)
{
    char block[64];
    struct buf scratch;
    buf_init_fixed(&scratch, block, sizeof(block));
    struct span text = call_query(c, name, &scratch);
    if (!text.p || (span_parse_u64(text, into) && *into <= max))
        return true;
    (void)call_fail(c, 400, "bad-value", "\"%s\" must be a number up to %llu", name,
                    (unsigned long long)max);
    return false;
}

bool api_keys(struct call *c)
{
    char glob_block[4096], route_block[128];
    struct buf glob_scratch, route_scratch;
    uint64_t limit = 100, offset = 0;
    struct collected all = {.route = -1};
    buf_init_fixed(&glob_scratch, glob_block, sizeof(glob_block));
    buf_init_fixed(&route_scratch, route_block, sizeof(route_block));
    if (!read_number(c, "limit", 1000, &limit) || !read_number(c, "offset", UINT32_MAX, &offset))
        return true;
    struct span name = call_query(c, "route", &route_scratch);
    const struct route *route = name.p ? call_find_route(c, name) : NULL;
    if (name.p && !route)
        return call_fail(c, 404, "unknown-route", "there is no route \"%.*s\"", SPAN_ARG(name));
    if (route)
        all.route = route->index;
    mono_ms now = mono_now_ms();
    store_walk(c->control->shared->store, call_query(c, "glob", &glob_scratch), now, on_entry,
               &all);
    if (all.count)
        qsort(all.entries, all.count, sizeof(struct entry *), by_key);
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_u64(&w, "total", all.count);
    json_write_array(&w, "keys");
    for (size_t i = offset; i < all.count && i - offset < limit; i++)
        write_entry(&w, c, all.entries[i], now);
    json_write_array_end(&w);
    json_write_object_end(&w);
    for (size_t i = 0; i < all.count; i++)
        entry_unref((struct entry *)all.entries[i]);
    free(all.entries);
    return all.failed ? call_fail(c, 503, "overloaded", "out of memory") : true;
}
