/* The whole config: read, checked, and then never changed. */
#include "config-internal.h"

#include <larder/base/file.h>
#include <larder/base/hash.h>

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 32, FILE_MAX = 4 * 1024 * 1024, SECRET_MIN = 16, WORKERS_MAX = 64 };

#define AT(field) offsetof(struct config, field)

void *config_alloc(struct config *c, size_t count, size_t size)
{
    struct config_block *b = calloc(1, sizeof(*b) + count * size);
    if (!b)
        return NULL;
    b->next = c->blocks;
    c->blocks = b;
    return b + 1;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    while (c->objects) { /* they lie in the blocks */
        c->objects->free(c->objects->object);
        c->objects = c->objects->next;
    }
    while (c->blocks) {
        struct config_block *next = c->blocks->next;
        free(c->blocks);
        c->blocks = next;
    }
    free(c);
}

void config_freep(struct config **c)
{
    config_free(*c);
}

static unsigned cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

static void read_workers(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    uint64_t n;
    if (j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("auto")))
        return;
    if (j->type != JSON_NUMBER || !span_parse_u64(j->text, &n) || n < 1 || n > WORKERS_MAX)
        reading_fail(r, j, "\"workers\" must be a whole number from 1 to %d, or \"auto\"",
                     WORKERS_MAX);
    else
        c->workers = (unsigned)n;
}

static void read_listen(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    c->listen_count = 0;
    if (j->type != JSON_ARRAY) {
        load_listen(r, j, &c->listen[c->listen_count++]);
        return;
    }
    if (j->count < 1 || j->count > CONFIG_LISTEN_MAX)
        reading_fail(r, j, "\"listen\" must have 1 to %d addresses", CONFIG_LISTEN_MAX);
    for (const struct json *a = j->first; a && c->listen_count < CONFIG_LISTEN_MAX; a = a->next)
        load_listen(r, a, &c->listen[c->listen_count++]);
}

static void read_trusted(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    c->trusted_count = reading_cidrs(r, j, c->trusted, array_len(c->trusted));
}

static void read_secret(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    c->secret = reading_secret(r, j);
    if (c->secret.len && c->secret.len < SECRET_MIN)
        reading_fail(r, j,
                     "the secret is shorter than %d bytes; make one with `openssl rand -hex 32`",
                     SECRET_MIN);
}

static const char *const drop_pass[] = {"drop", "pass", NULL};

static const struct member cache_members[] = {
    {.name = "max_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(cache.max_bytes),
     .fallback = "256MiB",
     .doc = "memory for answers, with all that belongs to them"},
    {.name = "max_entries",
     .type = MEMBER_U64,
     .offset = AT(cache.max_entries),
     .max = INT64_MAX,
     .fallback = "0",
     .doc = "most answers in the cache; 0: as many as max_bytes holds"},
    {.name = "max_object_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(cache.max_object_bytes),
     .fallback = "8MiB",
     .doc = "largest answer that is stored; larger ones stream through"},
    {.name = "waiters",
     .type = MEMBER_UINT,
     .offset = AT(cache.waiters_max),
     .max = 1000000,
     .fallback = "1000",
     .doc = "requests that may wait for one fetch; others fetch for themselves"},
    {.name = "wait_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(cache.wait_timeout_ms),
     .fallback = "30s",
     .doc = "a waiting request fetches for itself after this"},
    {.name = "pass_memory",
     .type = MEMBER_DURATION,
     .offset = AT(cache.pass_memory_ms),
     .fallback = "30s",
     .doc = "so long requests do not wait for an answer that could not be shared last time"},
    {.name = "collect_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(cache.collect_timeout_ms),
     .fallback = "10s",
     .doc = "an answer that does not tell its length and has no end within this goes to its client "
            "as it comes, and is not stored; 0s: it is waited for"},
    {.name = "max_variants",
     .type = MEMBER_UINT,
     .offset = AT(cache.variants_max),
     .max = 100000,
     .fallback = "64",
     .doc = "most answers of one key that Vary tells apart; further ones are not stored, counted "
            "and told; 0: no limit"},
    {.name = "max_tags",
     .type = MEMBER_UINT,
     .offset = AT(cache.tags_max),
     .min = 8,
     .max = 4096,
     .fallback = "256",
     .doc = "most tags of one answer; with more it is not stored, counted and told"},
    {.name = "max_values",
     .type = MEMBER_UINT,
     .offset = AT(cache.values_max),
     .max = 65535,
     .fallback = "16384",
     .doc = "most parameter values and tags that stats count apart; see a route's stats_by"},
    {.name = "refreshes",
     .type = MEMBER_UINT,
     .offset = AT(cache.refreshes_max),
     .max = 10000,
     .fallback = "32",
     .doc = "most refreshes in the background at once, for each worker"},
    {.name = "retry",
     .type = MEMBER_DURATION,
     .offset = AT(cache.retry_ms),
     .fallback = "1s",
     .doc = "a failed refresh in the background is not tried again within this"},
};
const struct object object_cache = OBJECT("cache", cache_members);

static const struct member limits_members[] = {
    {.name = "head_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(limits.head_bytes),
     .min = 512,
     .max = 1 << 20,
     .fallback = "32KiB",
     .doc = "largest head of a request or an answer"},
    {.name = "body_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(limits.body_bytes),
     .fallback = "1GiB",
     .doc = "largest request body, else 413"},
    {.name = "key_body_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(limits.key_body_bytes),
     .max = 64 << 20,
     .fallback = "64KiB",
     .doc = "largest body that a key is made from; larger ones pass, not cached"},
    {.name = "underscore_fields",
     .type = MEMBER_FLAG,
     .offset = AT(limits.passes_underscores),
     .words = drop_pass,
     .fallback = "drop",
     .doc =
         "request fields with _ in their name: WSGI apps cannot tell X_Real_IP from X-Real-IP, so "
         "they are not sent upstream; pass: the apps can"},
    {.name = "head_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(limits.head_timeout_ms),
     .min = 1,
     .fallback = "10s",
     .doc = "longest time for a request's head, else 408"},
    {.name = "idle_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(limits.idle_timeout_ms),
     .min = 1,
     .fallback = "75s",
     .doc = "a client's unused connection is closed after this"},
    {.name = "body_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(limits.body_timeout_ms),
     .min = 1,
     .fallback = "60s",
     .doc = "longest silence within a request's body"},
    {.name = "send_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(limits.send_timeout_ms),
     .min = 1,
     .fallback = "60s",
     .doc = "longest wait until a client reads on"},
    {.name = "tunnel_idle_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(limits.tunnel_idle_timeout_ms),
     .min = 1,
     .fallback = "10m",
     .doc = "a WebSocket, or another upgraded connection, is closed after such a silence"},
    {.name = "connections",
     .type = MEMBER_UINT,
     .offset = AT(limits.connections),
     .min = 1,
     .max = 1000000,
     .fallback = "10000",
     .doc = "most client connections of each worker"},
    {.name = "methods",
     .type = MEMBER_OWN,
     .read = load_methods,
     .schema = "\"type\": \"array\", \"minItems\": 1, \"maxItems\": 64, \"uniqueItems\": true, "
               "\"items\": {\"type\": \"string\", \"minLength\": 1}",
     .doc = "the methods that clients may use, others get 405; default: all but CONNECT and TRACE"},
};
const struct object object_limits = OBJECT("limits", limits_members);

static void read_cache(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    if (!reading_members(r, j, &object_cache, c))
        return;
    if (c->cache.max_object_bytes > c->cache.max_bytes)
        reading_fail(r, j, "\"max_object_bytes\" (%llu) is above \"max_bytes\" (%llu); lower it",
                     (unsigned long long)c->cache.max_object_bytes,
                     (unsigned long long)c->cache.max_bytes);
}

static void read_limits(struct reading *r, const struct json *j, void *into)
{
    reading_members(r, j, &object_limits, into);
}

/* "$schema" is the editor's; "$profile" and "$profiles" are gone by now; "default_upstream" is
 * looked at with the routes. */
static void read_nothing(struct reading *r, const struct json *j, void *into)
{
    (void)r;
    (void)j;
    (void)into;
}

/* In the order in which they are read: routes need the upstreams and the cache's limits. */
static const struct member members[] = {
    {.name = "$schema",
     .type = MEMBER_OWN,
     .read = read_nothing,
     .schema = "\"type\": \"string\"",
     .doc = "where an editor finds this schema"},
    {.name = "$profile",
     .type = MEMBER_OWN,
     .read = read_nothing,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "which of \"$profiles\" holds, where -p does not say; default: none"},
    {.name = "$profiles",
     .type = MEMBER_OWN,
     .read = read_nothing,
     .schema = "\"type\": \"object\", "
               "\"additionalProperties\": {\"$ref\": \"#/definitions/profile\"}",
     .doc = "by name, what differs from the rest of the file: a merge patch (RFC 7396), in which "
            "null takes a member out"},
    {.name = "listen",
     .type = MEMBER_OWN,
     .read = read_listen,
     .fallback = "127.0.0.1:8080",
     .schema =
         "\"oneOf\": [{\"$ref\": \"#/definitions/listener\"}, {\"type\": \"array\", "
         "\"minItems\": 1, \"maxItems\": 8, \"items\": {\"$ref\": \"#/definitions/listener\"}}]",
     .doc = "where clients are taken: one address or several, each plain or with TLS"},
    {.name = "workers",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_workers,
     .fallback = "auto",
     .schema = "\"oneOf\": [{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 64}, "
               "{\"const\": \"auto\"}]",
     .doc = "threads that serve requests; auto: one for each CPU"},
    {.name = "control",
     .type = MEMBER_OWN,
     .read = load_control,
     .schema = "\"$ref\": \"#/definitions/control\"",
     .doc = "invalidate, warm, stats"},
    {.name = "upstreams",
     .type = MEMBER_OWN,
     .read = load_upstreams,
     .is_required = true,
     .schema = "\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 256, "
               "\"propertyNames\": {\"minLength\": 1}, "
               "\"additionalProperties\": {\"$ref\": \"#/definitions/upstream\"}",
     .doc = "the apps by name; write {\"app\": {\"server\": \"127.0.0.1:8000\"}}"},
    {.name = "default_upstream",
     .type = MEMBER_OWN,
     .read = read_nothing,
     .schema = "\"type\": \"string\"",
     .doc = "of routes that name none; default: the only upstream"},
    {.name = "cache",
     .type = MEMBER_OWN,
     .read = read_cache,
     .schema = "\"$ref\": \"#/definitions/cache\"",
     .doc = "what the cache may use"},
    {.name = "limits",
     .type = MEMBER_OWN,
     .read = read_limits,
     .schema = "\"$ref\": \"#/definitions/limits\"",
     .doc = "what a client may use"},
    {.name = "trusted_proxies",
     .type = MEMBER_OWN,
     .read = read_trusted,
     .schema = "\"$ref\": \"#/definitions/networks\"",
     .doc = "peers whose X-Forwarded-* and X-Request-Id are believed"},
    {.name = "log",
     .type = MEMBER_OWN,
     .read = load_log,
     .schema = "\"$ref\": \"#/definitions/log\"",
     .doc = "which lines go where"},
    {.name = "secret",
     .type = MEMBER_OWN,
     .read = read_secret,
     .schema = "\"$ref\": \"#/definitions/secret\"",
     .doc = "for HMACs of secret parameters and for what is shared by Redis, at least 16 bytes; "
            "default: a new one at each start"},
    {.name = "redis",
     .type = MEMBER_OWN,
     .read = load_redis,
     .schema = "\"$ref\": \"#/definitions/redis\"",
     .doc = "the Redis that instances share invalidations and answers by; it needs \"secret\""},
    {.name = "state_dir",
     .type = MEMBER_TEXT,
     .offset = AT(state_dir),
     .doc = "a directory where the hottest keys are kept for the next start"},
    {.name = "warm_dir",
     .type = MEMBER_TEXT,
     .offset = AT(warm_dir),
     .doc = "a directory whose files warm jobs may take values from"},
    {.name = "drain_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(drain_timeout_ms),
     .fallback = "10s",
     .doc = "time that requests in flight have after SIGTERM"},
    {.name = "core_dumps",
     .type = MEMBER_BOOL,
     .offset = AT(core_dumps),
     .fallback = "false",
     .doc = "a crash may leave a core, with all answers in it, and whatever was being asked"},
    {.name = "rate_limits",
     .type = MEMBER_OWN,
     .read = load_rate_limits,
     .schema = "\"type\": \"array\", \"maxItems\": 64, "
               "\"items\": {\"$ref\": \"#/definitions/rate_limit\"}",
     .doc = "who may ask how often; routes name those that hold for them"},
    {.name = "rate_limit",
     .type = MEMBER_OWN,
     .read = load_default_rate_limit,
     .schema = "\"$ref\": \"#/definitions/rate_limit_set\"",
     .doc = "those that hold for all routes that say nothing of it, and for what passes through"},
    {.name = "routes",
     .type = MEMBER_OWN,
     .read = load_routes,
     .schema = "\"type\": \"array\", \"maxItems\": 1000, "
               "\"items\": {\"$ref\": \"#/definitions/route\"}",
     .doc = "the first that matches has the request; what none matches passes through"},
    {.name = "warm",
     .type = MEMBER_OWN,
     .read = load_warm,
     .schema = "\"type\": \"array\", \"maxItems\": 100, "
               "\"items\": {\"$ref\": \"#/definitions/warm\"}",
     .doc = "jobs that fill the cache: at start, by the clock, after an invalidation"},
    {.name = "aliases",
     .type = MEMBER_OWN,
     .read = load_aliases,
     .schema = "\"type\": \"array\", \"maxItems\": 256, "
               "\"items\": {\"$ref\": \"#/definitions/alias\"}",
     .doc = "old control paths that larder answers with the app's own shapes, on the public "
            "listeners"},
};
const struct object object_root = OBJECT("the configuration", members);

/* Of members that are objects or have readers of their own. */
static void set_defaults(struct config *c)
{
    c->workers = cpus();
    c->listen_count = 1;
    (void)address_parse(SPAN_LIT("127.0.0.1:8080"), false, &c->listen[0].address);
    c->control.enabled = true;
    (void)address_parse(SPAN_LIT("127.0.0.1:8081"), false, &c->control.listen.address);
    c->control.allow_count = 2;
    (void)cidr_parse(SPAN_LIT("127.0.0.0/8"), &c->control.allow[0]);
    (void)cidr_parse(SPAN_LIT("::1"), &c->control.allow[1]);
    reading_defaults(&object_log, c);
    reading_defaults(&object_cache, c);
    reading_defaults(&object_limits, c);
}

static void make_secret(struct reading *r)
{
    enum { RANDOM_BYTES = 32 };
    char *p = reading_alloc(r, RANDOM_BYTES, 1);
    if (!p)
        return;
    random_bytes(p, RANDOM_BYTES);
    r->config->secret = span_of(p, RANDOM_BYTES);
    r->config->secret_is_random = true;
}

/* Profile and environment, in the tree. False after an error was told: others would follow from it
 * that are none. */
static bool prepare(struct reading *r, const char *profile)
{
    if (!profile_apply(r, profile))
        return false;
    environment_resolve(r, json_edit(r->doc));
    environment_expand(r, json_edit(r->doc));
    return !r->has_failed && !r->has_no_memory;
}

static void read_root(struct reading *r, const char *profile)
{
    const struct json *root = json_root(r->doc);
    set_defaults(r->config);
    if (!prepare(r, profile))
        return;
    if (!reading_members(r, root, &object_root, r->config))
        return;
    if (!json_member(root, SPAN_LIT("secret")))
        make_secret(r);
    load_pass(r);
}

enum { NAME_SHOWN = 100 };

/* The end of a long path tells more than its beginning, and the place must have room behind it. */
static const char *shorten(const char *name, char block[NAME_SHOWN])
{
    size_t len = strlen(name);
    if (len < NAME_SHOWN)
        return name;
    snprintf(block, NAME_SHOWN, "...%s", name + len - (NAME_SHOWN - 4));
    return block;
}

/* Reads the parsed text into <r->config>. */
static enum err_code read_config(struct reading *r, const char *profile)
{
    read_root(r, profile);
    if (r->has_no_memory) {
        r->count = r->max ? 1 : 0;
        return err_set(r->max ? r->errs : NULL, ERR_NOMEM, r->file, "out of memory");
    }
    return r->has_failed ? ERR_CONFIG : ERR_OK;
}

enum err_code config_parse_profile(struct span text, const char *name, const char *profile,
                                   struct config **ret_config, struct err *errs, unsigned max,
                                   unsigned *ret_errs)
{
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    struct err *first = max ? errs : NULL;
    char block[NAME_SHOWN];
    name = shorten(name, block);
    *ret_errs = max ? 1 : 0;
    enum err_code rc = json_parse(text, name, JSON_COMMENTS, DEPTH_MAX, &doc, first);
    if (rc)
        return rc;
    struct config *c = calloc(1, sizeof(*c));
    if (!c)
        return err_set(first, ERR_NOMEM, name, "out of memory");
    struct reading r = {.file = name, .doc = doc, .config = c, .errs = errs, .max = max};
    rc = read_config(&r, profile);
    *ret_errs = r.count;
    if (rc)
        config_free(c);
    else
        *ret_config = c;
    return rc;
}

enum err_code config_parse(struct span text, const char *name, struct config **ret_config,
                           struct err *errs, unsigned max, unsigned *ret_errs)
{
    return config_parse_profile(text, name, NULL, ret_config, errs, max, ret_errs);
}

enum err_code config_load(const char *path, const char *profile, struct config **ret_config,
                          struct err *errs, unsigned max, unsigned *ret_errs)
{
    struct err *first = max ? errs : NULL;
    char block[NAME_SHOWN];
    *ret_errs = max ? 1 : 0;
    struct buf text;
    buf_init(&text, FILE_MAX);
    enum err_code rc = file_read(path, FILE_ANY, &text);
    if (rc == ERR_TOO_LARGE)
        err_set(first, rc, shorten(path, block), "has over %d bytes; is this the config?",
                FILE_MAX);
    else if (rc)
        err_set(first, rc, shorten(path, block), "cannot be read: %s",
                rc == ERR_NOMEM ? err_name(rc) : strerror(errno));
    else
        rc = config_parse_profile(buf_span(&text), path, profile, ret_config, errs, max, ret_errs);
    buf_fini(&text);
    return rc;
}
