/* The whole config: read, checked, and then never changed. */
#include "config-internal.h"

#include <larder/base/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 32, FILE_MAX = 4 * 1024 * 1024, SECRET_MIN = 16 };

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

static void set_defaults(struct config *c)
{
    c->cache.max_bytes = 256ull << 20;
    c->cache.max_object_bytes = 8ull << 20;
    c->cache.waiters_max = 1000;
    c->cache.wait_timeout_ms = 30000;
    c->cache.pass_memory_ms = 30000;
    c->limits.head_bytes = 32 << 10;
    c->limits.body_bytes = 1ull << 30;
    c->limits.key_body_bytes = 64 << 10;
    c->limits.head_timeout_ms = 10000;
    c->limits.idle_timeout_ms = 75000;
    c->limits.body_timeout_ms = 60000;
    c->limits.send_timeout_ms = 60000;
    c->limits.connections = 10000;
    c->control.enabled = true;
    c->log.level = LOG_LEVEL_INFO;
    c->log.access = SPAN_LIT("stdout");
    c->drain_timeout_ms = 10000;
    address_parse(SPAN_LIT("127.0.0.1:8081"), false, &c->control.listen);
}

static unsigned cpus(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
}

static void read_address(struct reading *r, const struct json *j, struct address *into)
{
    if (j->type != JSON_STRING || !address_parse(j->text, true, into))
        reading_fail(r, j,
                     "this is no address; write \"127.0.0.1:8080\", \"[::1]:8080\" or "
                     "\":8080\"");
}

static void read_listen(struct reading *r, const struct json *j)
{
    struct config *c = r->config;
    if (!j) {
        c->listen_count = 1;
        address_parse(SPAN_LIT("127.0.0.1:8080"), false, &c->listen[0]);
        return;
    }
    if (j->type != JSON_ARRAY) {
        c->listen_count = 1;
        read_address(r, j, &c->listen[0]);
        return;
    }
    if (j->count == 0 || j->count > CONFIG_LISTEN_MAX)
        reading_fail(r, j, "write 1 to %d addresses", CONFIG_LISTEN_MAX);
    for (const struct json *a = j->first; a && c->listen_count < CONFIG_LISTEN_MAX; a = a->next)
        read_address(r, a, &c->listen[c->listen_count++]);
}

static unsigned read_cidrs(struct reading *r, const struct json *j, struct cidr *into, unsigned max)
{
    unsigned n = 0;
    if (j->type != JSON_ARRAY || j->count > max) {
        reading_fail(r, j, "write an array of at most %u networks such as \"10.0.0.0/8\"", max);
        return 0;
    }
    for (const struct json *a = j->first; a; a = a->next) {
        if (a->type != JSON_STRING || !cidr_parse(a->text, &into[n]))
            reading_fail(r, a, "this is no network; write \"10.0.0.0/8\" or \"::1\"");
        else
            n++;
    }
    return n;
}

static bool is_loopback(const struct address *a)
{
    return strncmp(a->host, "127.", 4) == 0 || strcmp(a->host, "::1") == 0 ||
           strcmp(a->host, "localhost") == 0;
}

static void read_control(struct reading *r, const struct json *j)
{
    static const struct member members[] = {
        {"listen", MEMBER_ANY, 0, 0, 0},
        {"mount", MEMBER_BOOL, offsetof(struct control_config, mount), 0, 0},
        {"token", MEMBER_ANY, 0, 0, 0},
        {"allow", MEMBER_ANY, 0, 0, 0},
    };
    struct control_config *c = &r->config->control;
    c->allow_count = 2;
    cidr_parse(SPAN_LIT("127.0.0.0/8"), &c->allow[0]);
    cidr_parse(SPAN_LIT("::1"), &c->allow[1]);
    if (!j)
        return;
    reading_members(r, j, members, array_len(members), c);
    const struct json *listen = json_member(j, SPAN_LIT("listen"));
    const struct json *token = json_member(j, SPAN_LIT("token"));
    const struct json *allow = json_member(j, SPAN_LIT("allow"));
    if (listen && listen->type == JSON_FALSE)
        c->enabled = false;
    else if (listen)
        read_address(r, listen, &c->listen);
    if (token)
        c->token = reading_secret(r, token);
    if (allow)
        c->allow_count = read_cidrs(r, allow, c->allow, array_len(c->allow));
    if (token || allow)
        return;
    if (c->mount)
        reading_fail(r, j,
                     "a mounted control needs \"token\" or \"allow\": behind a proxy on this "
                     "machine every client would come from loopback");
    else if (c->enabled && !is_loopback(&c->listen))
        reading_fail(r, j,
                     "control listens beyond loopback: give it a \"token\" or say with "
                     "\"allow\" who may call it");
}

static void read_log(struct reading *r, const struct json *j)
{
    static const struct member members[] = {{"level", MEMBER_ANY, 0, 0, 0},
                                            {"access", MEMBER_TEXT, AT(log.access), 0, 0}};
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    if (!j)
        return;
    reading_members(r, j, members, array_len(members), r->config);
    const struct json *level = json_member(j, SPAN_LIT("level"));
    for (unsigned i = 0; level && i < array_len(levels); i++) {
        if (span_eq(level->text, span_str(levels[i]))) {
            r->config->log.level = (enum log_level)i;
            return;
        }
    }
    if (level)
        reading_fail(r, level, "write \"error\", \"warn\", \"info\" or \"debug\"");
}

static void read_cache(struct reading *r, const struct json *j)
{
    static const struct member members[] = {
        {"max_bytes", MEMBER_SIZE, AT(cache.max_bytes), 0, 0},
        {"max_entries", MEMBER_U64, AT(cache.max_entries), 0, 0},
        {"max_object_bytes", MEMBER_SIZE, AT(cache.max_object_bytes), 0, 0},
        {"waiters", MEMBER_UINT, AT(cache.waiters_max), 0, 1000000},
        {"wait_timeout", MEMBER_DURATION, AT(cache.wait_timeout_ms), 0, 0},
        {"pass_memory", MEMBER_DURATION, AT(cache.pass_memory_ms), 0, 0},
    };
    if (j)
        reading_members(r, j, members, array_len(members), r->config);
}

static void read_limits(struct reading *r, const struct json *j)
{
    static const struct member members[] = {
        {"head_bytes", MEMBER_SIZE, AT(limits.head_bytes), 0, 0},
        {"body_bytes", MEMBER_SIZE, AT(limits.body_bytes), 0, 0},
        {"key_body_bytes", MEMBER_SIZE, AT(limits.key_body_bytes), 0, 0},
        {"head_timeout", MEMBER_DURATION, AT(limits.head_timeout_ms), 0, 0},
        {"idle_timeout", MEMBER_DURATION, AT(limits.idle_timeout_ms), 0, 0},
        {"body_timeout", MEMBER_DURATION, AT(limits.body_timeout_ms), 0, 0},
        {"send_timeout", MEMBER_DURATION, AT(limits.send_timeout_ms), 0, 0},
        {"connections", MEMBER_UINT, AT(limits.connections), 1, 1000000},
    };
    if (j)
        reading_members(r, j, members, array_len(members), r->config);
}

static void read_secret(struct reading *r, const struct json *j)
{
    struct config *c = r->config;
    if (j) {
        c->secret = reading_secret(r, j);
        if (c->secret.len && c->secret.len < SECRET_MIN)
            reading_fail(r, j,
                         "the secret is shorter than %d bytes; make one with `openssl rand "
                         "-hex 32`",
                         SECRET_MIN);
        return;
    }
    char *random = reading_alloc(r, 32, 1);
    if (random)
        random_bytes(random, 32);
    c->secret = span_of(random, random ? 32 : 0);
    c->secret_is_random = true;
}

static void read_root(struct reading *r, const struct json *root)
{
    static const struct member members[] = {
        {"listen", MEMBER_ANY, 0, 0, 0},
        {"workers", MEMBER_ANY, 0, 0, 0},
        {"control", MEMBER_ANY, 0, 0, 0},
        {"upstreams", MEMBER_ANY, 0, 0, 0},
        {"default_upstream", MEMBER_ANY, 0, 0, 0},
        {"cache", MEMBER_ANY, 0, 0, 0},
        {"limits", MEMBER_ANY, 0, 0, 0},
        {"trusted_proxies", MEMBER_ANY, 0, 0, 0},
        {"log", MEMBER_ANY, 0, 0, 0},
        {"secret", MEMBER_ANY, 0, 0, 0},
        {"routes", MEMBER_ANY, 0, 0, 0},
        {"drain_timeout", MEMBER_DURATION, AT(drain_timeout_ms), 0, 0},
        {"$schema", MEMBER_ANY, 0, 0, 0},
    };
    struct config *c = r->config;
    reading_members(r, root, members, array_len(members), c);
    if (root->type != JSON_OBJECT)
        return;
    c->workers = cpus();
    const struct json *workers = json_member(root, SPAN_LIT("workers"));
    uint64_t n = 0;
    if (workers && !span_eq(workers->text, SPAN_LIT("auto"))) {
        if (workers->type != JSON_NUMBER || !span_parse_u64(workers->text, &n) || n < 1 || n > 64)
            reading_fail(r, workers, "write a number from 1 to 64, or \"auto\"");
        else
            c->workers = (unsigned)n;
    }
    read_listen(r, json_member(root, SPAN_LIT("listen")));
    read_control(r, json_member(root, SPAN_LIT("control")));
    read_cache(r, json_member(root, SPAN_LIT("cache")));
    read_limits(r, json_member(root, SPAN_LIT("limits")));
    read_log(r, json_member(root, SPAN_LIT("log")));
    read_secret(r, json_member(root, SPAN_LIT("secret")));
    const struct json *trusted = json_member(root, SPAN_LIT("trusted_proxies"));
    if (trusted)
        c->trusted_count = read_cidrs(r, trusted, c->trusted, array_len(c->trusted));
    load_upstreams(r, root);
    load_routes(r, root);
}

enum err_code config_parse(struct span text, const char *name, struct config **ret_config,
                           struct err *errs, unsigned max, unsigned *ret_errs)
{
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    cleanup(config_freep) struct config *c = calloc(1, sizeof(*c));
    *ret_errs = 1;
    if (!c)
        return err_set(errs, ERR_NOMEM, name, "out of memory");
    enum err_code rc = json_parse(text, name, JSON_COMMENTS, DEPTH_MAX, &doc, errs);
    if (rc)
        return rc;
    set_defaults(c);
    struct reading r = {.file = name, .doc = doc, .config = c, .errs = errs, .max = max};
    read_root(&r, json_root(doc));
    *ret_errs = r.count;
    if (r.count)
        return ERR_CONFIG;
    *ret_config = take(c);
    return ERR_OK;
}

static char *read_all(int fd, size_t *ret_len)
{
    char *text = malloc(FILE_MAX);
    size_t len = 0;
    for (ssize_t n = 1; text && n > 0 && len < FILE_MAX;) {
        n = read(fd, text + len, FILE_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    }
    *ret_len = len;
    return text;
}

enum err_code config_load(const char *path, struct config **ret_config, struct err *errs,
                          unsigned max, unsigned *ret_errs)
{
    *ret_errs = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(errs, ERR_IO, path, "cannot be read: %s", strerror(errno));
    size_t len;
    char *text = read_all(fd, &len);
    close(fd);
    if (!text)
        return err_set(errs, ERR_NOMEM, path, "out of memory");
    enum err_code rc = config_parse(span_of(text, len), path, ret_config, errs, max, ret_errs);
    free(text);
    return rc;
}
