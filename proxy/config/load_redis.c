/* "redis": the server that instances share their cache through, and what a route has of it there.
 */
#include "config-internal.h"

#include <larder/base/hash.h>
#include <larder/http/uri.h>

#include <stddef.h>

enum { PORT = 6379, DATABASE_MAX = 65535, PREFIX_MAX = 64 };
enum { SOCKET_MAX = 107 }; /* of sun_path, less its NUL */
enum { OBJECT_MAX = 256 << 20, FINGERPRINT_TEXT_MAX = 64 << 20 };

struct redis_reading {
    struct redis_config redis;
    const struct json *object;
    bool has_database; /* "database" or an address has told it */
};

#define AT(field) offsetof(struct redis_reading, redis.field)
#define MEMBER(j, text) json_member(j, SPAN_LIT(text))

enum scheme { SCHEME_NONE, SCHEME_REDIS, SCHEME_REDISS };

static bool take_prefix(struct span *s, struct span prefix)
{
    if (!span_starts_with(*s, prefix))
        return false;
    *s = span_of(s->p + prefix.len, s->len - prefix.len);
    return true;
}

static enum scheme take_scheme(struct span *s)
{
    return take_prefix(s, SPAN_LIT("redis://"))    ? SCHEME_REDIS
           : take_prefix(s, SPAN_LIT("rediss://")) ? SCHEME_REDISS
                                                   : SCHEME_NONE;
}

static void read_tls(struct reading *r, const struct json *j, void *into)
{
    struct redis_reading *w = into;
    w->redis.tls = load_client_tls(r, j);
}

/* All servers are plain, or all speak TLS; "tls" has been read by now. */
static bool agree_on_scheme(struct reading *r, const struct json *j, enum scheme scheme,
                            struct redis_reading *w)
{
    struct redis_config *c = &w->redis;
    if (scheme == SCHEME_REDISS && !c->tls && !c->server_count && !MEMBER(w->object, "tls"))
        c->tls = load_upstream_tls_defaults(r);
    else if ((scheme == SCHEME_REDISS && !c->tls) || (scheme == SCHEME_REDIS && c->tls)) {
        reading_fail(r, j, "with \"tls\" all servers are rediss://, without it all are redis://");
        return false;
    }
    return true;
}

/* What stands behind the first / of a URL: nothing, or the database. */
static bool agree_on_database(struct reading *r, const struct json *j, struct span text,
                              struct redis_reading *w)
{
    uint64_t n;
    if (!text.len)
        return true;
    if (!span_parse_u64(text, &n) || n > DATABASE_MAX) {
        reading_fail(r, j, "behind the / stands the database's number; write \"redis://host:%d/0\"",
                     PORT);
        return false;
    }
    if (w->has_database && n != w->redis.database) {
        reading_fail(r, j, "this says database %u, but it is %u already; tell it once", (unsigned)n,
                     w->redis.database);
        return false;
    }
    w->redis.database = (unsigned)n;
    w->has_database = true;
    return true;
}

/* "host:6379"; of a URL the port may be missing. */
static bool parse_server(struct span s, enum scheme scheme, struct address *ret)
{
    char block[sizeof(ret->host) + 16];
    struct buf text;
    if (address_parse(s, false, ret))
        return ret->port != 0;
    if (scheme == SCHEME_NONE)
        return false;
    buf_init_fixed(&text, block, sizeof(block));
    buf_add_span(&text, s);
    buf_add_fmt(&text, ":%d", PORT);
    return !text.failed && address_parse(buf_span(&text), false, ret);
}

/* What stands before the @ is not for messages. */
static bool has_credentials(struct reading *r, const struct json *j, const char *members)
{
    if (!j->text.len || !memchr(j->text.p, '@', j->text.len))
        return false;
    reading_fail(r, j, "an address holds no credentials; write %s", members);
    return true;
}

static struct span decoded(struct reading *r, struct span s)
{
    char block[1024];
    struct buf out;
    buf_init_fixed(&out, block, sizeof(block));
    uri_decode(s, false, &out);
    return out.failed ? span_of(NULL, 0) : reading_copy(r, buf_span(&out));
}

/* Takes "user:password@" from the front of <s>. That is how hosts tell of their Redis in a
 * variable; in a file it would be a secret in clear. */
static bool take_credentials(struct reading *r, const struct json *j, struct span *s,
                             struct redis_reading *w)
{
    const char *at = s->len ? memrchr(s->p, '@', s->len) : NULL;
    struct span password;
    bool is_in_file = !j->from.len || memchr(j->from.p, '@', j->from.len);
    if (!at)
        return true;
    if (is_in_file)
        return !has_credentials(r, j, "\"user\" and \"password\", or {\"env\": \"REDIS_URL\"}");
    struct span user = span_split(span_of(s->p, (size_t)(at - s->p)), ':', &password);
    *s = span_of(at + 1, s->len - (size_t)(at + 1 - s->p));
    if (MEMBER(w->object, "user") || MEMBER(w->object, "password"))
        reading_fail(r, j, "the address tells the credentials, and so does the file; leave one");
    else if (!password.p || !password.len)
        reading_fail(r, j, "before the @ stands no password; write redis://user:password@host");
    w->redis.user = user.len ? decoded(r, user) : user;
    w->redis.password = decoded(r, password.p ? password : span_of("", 0));
    return true;
}

static void read_address(struct reading *r, const struct json *j, struct redis_reading *w)
{
    struct redis_config *c = &w->redis;
    struct quoted q;
    struct span s = j->text, database = {0};
    if (c->server_count == CONFIG_SERVERS_MAX)
        return; /* said already */
    enum scheme scheme = j->type == JSON_STRING ? take_scheme(&s) : SCHEME_NONE;
    struct span whole = s;
    if (!take_credentials(r, j, &s, w))
        return;
    struct span shown = s.p == whole.p ? j->text : s;
    if (scheme != SCHEME_NONE)
        s = span_split(s, '/', &database);
    if (!agree_on_scheme(r, j, scheme, w) || !agree_on_database(r, j, database, w))
        return;
    if (j->type == JSON_STRING && parse_server(s, scheme, &c->server[c->server_count]))
        c->server_count++;
    else
        reading_fail(r, j,
                     "\"%s\" is no Redis server; write \"127.0.0.1:%d\", \"redis://host:%d/0\" or "
                     "\"rediss://host:%d\"%s",
                     quote(shown, &q), PORT, PORT, PORT,
                     j->parent == w->object ? ", or \"unix:/run/redis.sock\"" : "");
}

static void read_socket(struct reading *r, const struct json *j, struct span path,
                        struct redis_reading *w)
{
    (void)take_prefix(&path, SPAN_LIT("//")); /* unix:///run is unix:/run: as a URL writes it */
    if (!span_starts_with(path, SPAN_LIT("/")) || memchr(path.p, '\0', path.len))
        reading_fail(r, j, "a socket has its whole path; write \"unix:/run/redis.sock\"");
    else if (path.len > SOCKET_MAX)
        reading_fail(r, j, "a socket's path has at most %d bytes", SOCKET_MAX);
    else if (w->redis.tls)
        reading_fail(r, j, "a Unix socket speaks no TLS; leave \"tls\" out");
    else
        w->redis.socket = reading_copy(r, path);
}

static void read_server(struct reading *r, const struct json *j, void *into)
{
    struct span path = j->text;
    if (j->type == JSON_STRING && take_prefix(&path, SPAN_LIT("unix:"))) {
        read_socket(r, j, path, into);
        return;
    }
    if (j->type != JSON_ARRAY) {
        read_address(r, j, into);
        return;
    }
    if (j->count < 1 || j->count > CONFIG_SERVERS_MAX)
        reading_fail(r, j, "write an array of 1 to %d servers such as [\"127.0.0.1:%d\"]",
                     CONFIG_SERVERS_MAX, PORT);
    for (const struct json *s = j->first; s; s = s->next)
        read_address(r, s, into);
}

static void read_sentinels(struct reading *r, const struct json *j, void *into)
{
    struct redis_config *c = &((struct redis_reading *)into)->redis;
    struct quoted q;
    if (j->type != JSON_ARRAY || j->count < 1 || j->count > CONFIG_SERVERS_MAX) {
        reading_fail(r, j, "write an array of 1 to %d sentinels such as [\"10.0.0.1:26379\"]",
                     CONFIG_SERVERS_MAX);
        return;
    }
    for (const struct json *s = j->first; s; s = s->next) {
        struct address *a = &c->sentinel[c->sentinel_count];
        if (has_credentials(r, s, "\"sentinel_user\" and \"sentinel_password\""))
            continue;
        if (s->type == JSON_STRING && address_parse(s->text, false, a) && a->port != 0)
            c->sentinel_count++;
        else
            reading_fail(r, s, "\"%s\" is no sentinel; write \"10.0.0.1:26379\"",
                         quote(s->text, &q));
    }
}

static void read_database(struct reading *r, const struct json *j, void *into)
{
    struct redis_reading *w = into;
    uint64_t n;
    if (j->type != JSON_NUMBER || !span_parse_u64(j->text, &n) || n > DATABASE_MAX) {
        reading_fail(r, j, "\"database\" must be a whole number from 0 to %d", DATABASE_MAX);
        return;
    }
    w->redis.database = (unsigned)n;
    w->has_database = true;
}

static void read_password(struct reading *r, const struct json *j, void *into)
{
    ((struct redis_reading *)into)->redis.password = reading_secret(r, j);
}

static void read_sentinel_password(struct reading *r, const struct json *j, void *into)
{
    ((struct redis_reading *)into)->redis.sentinel_password = reading_secret(r, j);
}

/* No braces: a cluster takes what stands between them for all that counts of a key. */
static void read_prefix(struct reading *r, const struct json *j, void *into)
{
    bool is_good = j->type == JSON_STRING && j->text.len > 0 && j->text.len <= PREFIX_MAX;
    for (size_t i = 0; is_good && i < j->text.len; i++) {
        char c = j->text.p[i];
        is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
    }
    if (is_good)
        ((struct redis_reading *)into)->redis.prefix = reading_copy(r, j->text);
    else
        reading_fail(r, j, "\"prefix\" must be 1 to %d letters, digits, -, _ or .", PREFIX_MAX);
}

/* In the order in which they are read: a server's scheme must fit "tls", its number "database". */
static const struct member members[] = {
    {.name = "tls",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_tls,
     .schema = "\"oneOf\": [{\"type\": \"boolean\"}, {\"$ref\": \"#/definitions/upstream_tls\"}]",
     .doc = "the servers, and the sentinels, speak TLS: true, or how it is spoken; so does a "
            "server \"rediss://...\""},
    {.name = "database",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_database,
     .schema = "\"type\": \"integer\", \"minimum\": 0, \"maximum\": 65535",
     .doc = "the number of the database; default: what the address says, or 0"},
    {.name = "server",
     .type = MEMBER_OWN,
     .read = read_server,
     .schema = "\"oneOf\": [{\"$ref\": \"#/definitions/redis_server\"}, "
               "{\"type\": \"string\", \"pattern\": \"^unix:/.+$\"}, "
               "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 32, "
               "\"items\": {\"$ref\": \"#/definitions/redis_server\"}}]",
     .doc = "where Redis listens: \"127.0.0.1:6379\", \"redis://host:6379/0\", \"rediss://host\" "
            "(TLS), \"unix:/run/redis.sock\"; or several, the nodes of a cluster, tried in turn"},
    {.name = "sentinels",
     .type = MEMBER_OWN,
     .read = read_sentinels,
     .schema = "\"type\": \"array\", \"minItems\": 1, \"maxItems\": 32, \"items\": "
               "{\"type\": \"string\", \"pattern\": \"^[^/@]+:[0-9]{1,5}$|[$]\"}",
     .doc = "in place of \"server\": who knows where the master is: [\"10.0.0.1:26379\"]"},
    {.name = "master",
     .type = MEMBER_TEXT,
     .offset = AT(master),
     .doc = "the name that the sentinels know it by"},
    {.name = "user",
     .type = MEMBER_TEXT,
     .offset = AT(user),
     .doc = "who larder is to Redis (ACL); default: the server's default user"},
    {.name = "password",
     .type = MEMBER_OWN,
     .read = read_password,
     .schema = "\"$ref\": \"#/definitions/secret\"",
     .doc = "for AUTH"},
    {.name = "sentinel_user",
     .type = MEMBER_TEXT,
     .offset = AT(sentinel_user),
     .doc = "who larder is to the sentinels"},
    {.name = "sentinel_password",
     .type = MEMBER_OWN,
     .read = read_sentinel_password,
     .schema = "\"$ref\": \"#/definitions/secret\"",
     .doc = "for AUTH to the sentinels; default: none"},
    {.name = "prefix",
     .type = MEMBER_OWN,
     .read = read_prefix,
     .fallback = "larder",
     .schema = "\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_.-]{1,64}$\"",
     .doc = "all keys begin with {larder:PREFIX}: instances with one prefix share one cache"},
    {.name = "connect_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(connect_timeout_ms),
     .min = 1,
     .fallback = "1s",
     .doc = "longest wait for a connection to open, and for Redis to know us"},
    {.name = "command_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(command_timeout_ms),
     .min = 1,
     .fallback = "50ms",
     .doc = "a request waits so long for Redis, then it goes on without it"},
    {.name = "idle_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(idle_timeout_ms),
     .min = 1,
     .fallback = "30s",
     .doc = "after such a silence Redis is asked whether it is there"},
    {.name = "max_object_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(max_object_bytes),
     .min = 1,
     .max = OBJECT_MAX,
     .fallback = "1MiB",
     .doc = "largest answer that is written to Redis; larger ones stay with their instance"},
    {.name = "queue",
     .type = MEMBER_UINT,
     .offset = AT(queue_max),
     .min = 1,
     .max = 1000000,
     .fallback = "1024",
     .doc = "answers of each worker that may wait to be written; others are not written"},
    {.name = "queue_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(queue_bytes),
     .min = 1,
     .fallback = "32MiB",
     .doc = "... and their bytes"},
    {.name = "compress",
     .type = MEMBER_SIZE,
     .offset = AT(compress_bytes),
     .fallback = "1KiB",
     .doc = "bodies from this size on are compressed where that makes them smaller; 0: none"},
    {.name = "max_invalidation_lag",
     .type = MEMBER_DURATION,
     .offset = AT(max_invalidation_lag_ms),
     .min = 100,
     .fallback = "5s",
     .doc = "out of contact with Redis, shared answers are trusted so long; then a route's "
            "on_partition says what is done"},
    {.name = "shared",
     .type = MEMBER_CHOICE,
     .offset = AT(shared),
     .words = config_shared_words,
     .fallback = "invalidation",
     .doc = "what the routes share that do not say it themselves"},
};
const struct object object_redis = OBJECT("redis", members);

static void check_server(struct reading *r, const struct json *j)
{
    const struct json *server = MEMBER(j, "server"), *sentinels = MEMBER(j, "sentinels");
    if (server && sentinels)
        reading_fail(r, sentinels, "\"server\" and \"sentinels\" exclude each other; give one");
    else if (!server && !sentinels)
        reading_fail(r, j,
                     "\"redis\" needs \"server\": \"127.0.0.1:%d\", or \"sentinels\" and "
                     "\"master\"",
                     PORT);
    if (sentinels && !MEMBER(j, "master"))
        reading_fail(r, sentinels,
                     "\"sentinels\" need the name of what they watch; add \"master\": "
                     "\"mymaster\"");
    static const char *const theirs[] = {"master", "sentinel_user", "sentinel_password"};
    for (unsigned i = 0; i < array_len(theirs); i++) {
        const struct json *m = json_member(j, span_str(theirs[i]));
        if (m && !sentinels)
            reading_fail(r, m, "\"%s\" has no use without \"sentinels\"; leave it out", theirs[i]);
    }
}

static void check_credentials(struct reading *r, const struct json *j)
{
    static const char *const pairs[][2] = {{"user", "password"},
                                           {"sentinel_user", "sentinel_password"}};
    for (unsigned i = 0; i < array_len(pairs); i++) {
        const struct json *user = json_member(j, span_str(pairs[i][0]));
        if (user && !json_member(j, span_str(pairs[i][1])))
            reading_fail(r, user, "\"%s\" needs \"%s\"; add {\"file\": \"/path\"}", pairs[i][0],
                         pairs[i][1]);
    }
}

void load_redis(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    struct redis_reading *w = reading_alloc(r, 1, sizeof(*w));
    if (!w)
        return;
    c->redis = &w->redis;
    w->object = j;
    w->redis.prefix = SPAN_LIT("larder");
    if (!reading_members(r, j, &object_redis, w))
        return;
    check_server(r, j);
    check_credentials(r, j);
    if (w->redis.max_object_bytes > w->redis.queue_bytes)
        reading_fail(r, j,
                     "\"max_object_bytes\" is above \"queue_bytes\": such an answer could never "
                     "wait to be written; lower it");
    if (!MEMBER(j->parent, "secret"))
        reading_fail(r, j,
                     "\"redis\" needs a \"secret\", the same for all instances: they must agree on "
                     "the hashes of keys and tags; make one with `openssl rand -hex 32`, and write "
                     "\"secret\": {\"file\": \"/etc/larder/secret\"}");
}

/* Of its text in canonical form, and of where it leads. */
static void make_fingerprint(struct reading *r, const struct json *j, struct route *route)
{
    uint8_t digest[32];
    cleanup(buf_fini) struct buf text;
    buf_init(&text, FINGERPRINT_TEXT_MAX);
    json_canonical_format(j, &text);
    buf_add_span(&text, r->config->upstreams[route->upstream].name);
    r->has_no_memory |= text.failed;
    digest_of(text.p, text.len, digest);
    memcpy(route->fingerprint, digest, sizeof(route->fingerprint));
}

void finish_shared(struct reading *r, const struct json *j, struct route *route)
{
    const struct json *shared = MEMBER(j, "shared"), *coalesce = MEMBER(j, "coalesce");
    const struct redis_config *redis = r->config->redis;
    if (!shared && redis) /* what is not cached has no answers to share */
        route->shared =
            redis->shared == SHARED_FULL && !route->cached ? SHARED_INVALIDATION : redis->shared;
    if (route->shared != SHARED_NONE && !redis)
        reading_fail(r, shared,
                     "\"shared\" needs a Redis to share by; add \"redis\": {\"server\": "
                     "\"127.0.0.1:%d\"} beside \"routes\", or write \"none\"",
                     PORT);
    else if (route->shared == SHARED_FULL && !route->cached)
        reading_fail(r, shared,
                     "\"shared\": \"full\" without \"ttl\" has no use: nothing is cached; write "
                     "\"ttl\": \"30m\", or \"mode\": \"http\"");
    else if (route->is_fleet_coalesced && route->shared != SHARED_FULL)
        reading_fail(r, coalesce,
                     "one fetch for the fleet needs \"shared\": \"full\", so that others see its "
                     "answer; add it, or write \"instance\"");
    if (redis && r->config->upstream_count)
        make_fingerprint(r, j, route);
}
