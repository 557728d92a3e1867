/* config.h: the configuration as larder uses it: read, checked whole, then immutable.
 *
 * Thread any, after config_load(). Memory: config_free() frees all; spans point into it.
 */
#ifndef LARDER_CONFIG_CONFIG_H
#define LARDER_CONFIG_CONFIG_H

#include <larder/base/log.h>
#include <larder/config/rate_limit.h>
#include <larder/config/route.h>

enum { CONFIG_ERRORS_MAX = 50, CONFIG_LISTEN_MAX = 8, CONFIG_SERVERS_MAX = 32 };
enum { CONFIG_CERTIFICATES_MAX = 64 };

struct address {
    char host[256]; /* "127.0.0.1", "::1", "localhost"; without brackets */
    uint16_t port;  /* 0 for a listener: the system chooses */
};

bool address_eq(const struct address *a, const struct address *b);
/* "127.0.0.1:80", "[::1]:80"; cut where there is no room. */
void address_format(const struct address *a, char *out, size_t room);

/* A file that is read later, by who knows what it should hold. */
struct tls_file {
    struct span path; /* NUL-terminated; empty: none */
    struct span
        where; /* the config's place that names it, for messages: "larder.json:3:9 at ..." */
};

struct tls_certificate_config {
    struct tls_file certificate, key; /* PEM; the certificate's chain behind it */
};

enum tls_version { TLS_1_2, TLS_1_3 };

/* A listener that speaks TLS. */
struct tls_listen_config {
    unsigned certificate_count;
    struct tls_certificate_config
        *certificates;    /* by the name asked for; the first is the default */
    unsigned min_version; /* enum tls_version */
    bool session_tickets;
};

/* TLS to an upstream's servers. */
struct tls_upstream_config {
    struct span server_name; /* NUL-terminated; empty: each server's own host */
    bool verify;
    struct tls_file ca; /* none: the system's */
    struct tls_file certificate, key;
    unsigned min_version; /* enum tls_version */
};

struct listen_config {
    struct address address;
    struct tls_listen_config *tls; /* NULL: plain */
};

struct upstream_config {
    struct span name;
    unsigned server_count;
    struct address server[CONFIG_SERVERS_MAX];
    unsigned max_connections; /* for each worker and server */
    unsigned min_idle;        /* kept open for each worker and server */
    uint64_t connect_timeout_ms, first_byte_timeout_ms, between_bytes_timeout_ms;
    uint64_t send_timeout_ms, idle_timeout_ms;
    unsigned queue_max; /* requests that may wait for a connection, for each worker */
    uint64_t queue_timeout_ms;
    struct tls_upstream_config *tls; /* NULL: plain */
};

/* "redis": the cache that instances share. */
struct redis_config {
    unsigned server_count; /* tried in turn; 0 with a socket or sentinels */
    struct address server[CONFIG_SERVERS_MAX];
    struct span socket; /* path of its Unix socket, NUL-terminated; empty: none */
    unsigned sentinel_count;
    struct address sentinel[CONFIG_SERVERS_MAX];
    struct span master; /* the name that the sentinels know it by, NUL-terminated */
    /* all NUL-terminated; empty: none */
    struct span user, password, sentinel_user, sentinel_password;
    unsigned database;
    struct span prefix;               /* of all keys: "{larder:PREFIX}:" */
    struct tls_upstream_config *tls;  /* NULL: plain; to sentinels, too */
    uint64_t connect_timeout_ms;      /* connect, and say who we are */
    uint64_t command_timeout_ms;      /* then the request goes on without it */
    uint64_t idle_timeout_ms;         /* so long without a word: PING */
    uint64_t max_object_bytes;        /* larger answers stay local */
    unsigned queue_max;               /* answers that may wait to be written, for each worker */
    uint64_t queue_bytes;             /* ... and their bytes */
    uint64_t compress_bytes;          /* bodies from this size on; 0: none */
    uint64_t max_invalidation_lag_ms; /* out of contact for longer: on_partition */
    unsigned shared;                  /* of routes that do not say it; as route.shared */
};

struct cidr {
    uint8_t addr[16];     /* IPv4 as ::ffff:a.b.c.d */
    unsigned prefix_bits; /* of 128 */
};

enum control_scope {
    SCOPE_READ = 1 << 0,
    SCOPE_INVALIDATE = 1 << 1,
    SCOPE_WARM = 1 << 2,
    SCOPE_ADMIN = 1 << 3, /* switches, and all the others */
};

struct token_config {
    struct span name; /* for the audit; never the token itself */
    struct span token;
    unsigned scopes; /* enum control_scope */
    /* Bound to these tags ("org:123") and parameter values ("organization_id=123"): it may name
     * nothing wider. 0: unbound. */
    unsigned bound_count;
    struct span *bound;
};

struct control_config {
    bool enabled; /* a control listener is configured (default: 127.0.0.1:8081) */
    struct listen_config listen;
    bool is_guarded;     /* it says itself who may call: by tokens, or by networks */
    bool names_networks; /* it has "allow"; else by public listeners no network may call */
    bool mount;          /* also at /api/cache/ and /health/ on the public listeners */
    struct span socket;  /* path of a Unix socket, NUL-terminated; empty: none */
    unsigned socket_mode;
    unsigned token_count;
    struct token_config *tokens;
    unsigned allow_count; /* who may call without a token; default loopback */
    struct cidr allow[32];
};

/* A warm job of the config. */
enum warm_event { WARM_AT_START = 1 << 0, WARM_AFTER_INVALIDATION = 1 << 1 };

struct warm_config {
    struct span name;
    struct span spec;  /* the members that POST /api/cache/warm takes, as canonical JSON */
    unsigned events;   /* enum warm_event */
    uint64_t every_ms; /* 0: not */
    unsigned clock_count;
    const struct wallclock *clocks[UNTIL_MAX];
};

struct alias_config;
struct config_block;
struct config_object;

struct config {
    struct config_block *blocks;   /* all memory that it owns */
    struct config_object *objects; /* and all else */
    struct span profile;           /* of "$profiles", whose values these are; empty: none */
    unsigned listen_count;
    unsigned workers; /* resolved: at least 1 */
    struct listen_config listen[CONFIG_LISTEN_MAX];
    struct control_config control;
    unsigned warm_count, alias_count;
    struct warm_config *warms;
    struct alias_config *aliases; /* in the order in which they are tried: alias.h */
    struct span state_dir; /* where the hottest keys are kept for the next start; empty: nowhere */
    struct span warm_dir;  /* files with values for warm jobs stand here; empty: none may be read */
    unsigned upstream_count, rate_limit_count;
    struct upstream_config *upstreams;
    struct rate_limit *rate_limits;
    struct rate_limit_set rate_limit; /* of routes that say nothing of it */
    unsigned route_count;
    struct route *routes; /* the last one is the implicit "pass": everything else, not cached */
    struct {
        uint64_t max_bytes, max_entries, max_object_bytes;
        unsigned waiters_max, variants_max;
        uint64_t collect_timeout_ms;
        uint64_t wait_timeout_ms; /* a coalesced request waits so long, then fetches itself */
        uint64_t pass_memory_ms;  /* hit-for-miss lasts so long */
        unsigned tags_max;        /* of one answer; with more it is not stored */
        unsigned values_max;      /* parameter values and tags that are counted apart */
        unsigned refreshes_max;   /* background refreshes at once, for each worker */
        uint64_t retry_ms;        /* after a failed refresh none of the same answer within this */
    } cache;
    struct {
        uint64_t head_bytes, body_bytes, key_body_bytes; /* key_body_bytes: bodies read for keys */
        uint64_t head_timeout_ms, idle_timeout_ms, body_timeout_ms, send_timeout_ms;
        uint64_t tunnel_idle_timeout_ms;
        unsigned connections;    /* for each worker */
        bool passes_underscores; /* "underscore_fields": "pass" */
        unsigned method_count;   /* that clients may use; 0: any */
        struct span *methods;
        unsigned method_mask; /* of those that have a number: 1 << enum method */
    } limits;
    unsigned trusted_count;
    struct cidr trusted[32]; /* peers whose X-Forwarded-* and X-Request-Id are believed */
    struct {
        enum log_level level;
        /* "stdout", "stderr", "off" or a path; NUL-terminated */
        struct span error, access, performance, security;
        uint64_t performance_interval_ms;
        struct span words[LOG_WORDS]; /* empty: none */
    } log;
    struct span secret; /* for HMACs of secret parameters; random where the config gives none */
    bool secret_is_random;
    struct redis_config *redis; /* NULL: this instance is alone */
    uint64_t drain_timeout_ms;
    bool core_dumps; /* a crash may leave a core */
};

/* Reads and checks <path> under <profile>; NULL: the one that the file chooses, or none. On any
 * error *ret_config is untouched, and errs[0..*ret_errs) tell all that was found (at most <max>),
 * each with file:line:col and JSON path in `where`, in the order of the file. */
must_check enum err_code config_load(const char *path, const char *profile,
                                     struct config **ret_config, struct err *errs, unsigned max,
                                     unsigned *ret_errs);
/* The same from text; <name> stands for the file in messages. The profile is that of "$profile". */
must_check enum err_code config_parse(struct span text, const char *name,
                                      struct config **ret_config, struct err *errs, unsigned max,
                                      unsigned *ret_errs);
must_check enum err_code config_parse_profile(struct span text, const char *name,
                                              const char *profile, struct config **ret_config,
                                              struct err *errs, unsigned max, unsigned *ret_errs);
void config_free(struct config *c);
void config_freep(struct config **c);

/* Prints the routes and limits as understood, for people (larder -t). */
void config_explain(const struct config *c, struct buf *out);

/* The members of all objects as a JSON Schema (conf/larder.schema.json, less its white space). */
void config_schema_format(struct buf *out);

/* "500ms", "90s", "10m", "2h", "1d" as milliseconds; false: none. */
bool config_duration_parse(struct span s, uint64_t *ret_ms);

/* May clients use the method of <h>? CONNECT and TRACE they never may. */
bool config_allows_method(const struct config *c, const struct head *h);

bool cidr_contains(const struct cidr *list, unsigned count, const uint8_t addr[16]);

#endif
