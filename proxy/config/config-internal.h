/* config-internal.h: what the config's files share.
 *
 * units.c, suggest.c   texts to values: durations, sizes, addresses, networks; the name meant
 * reader.c             members of a JSON object by a table, with errors that have a place
 * secret.c             texts that may stand in a file or in the environment
 * profile.c            what differs from place to place, merged over the rest
 * environment.c        values and addresses from the environment
 * load*.c              the config by parts; each object's members stand in one table:
 *   load_route.c, load_key.c, load_params.c (parameters, identity), load_fresh.c (how long and
 *   whether stored), load_tags.c (templates, tags, on_write), load_warm.c, load_control.c,
 *   load_redis.c, load_log.c, load_alias.c, load_limits.c (rate limits) ...
 * reply_template.c     "${hit_ratio|3}": reading it; reply_fill.c: filling it
 * route_pattern.c      "GET /api/{id}" into methods and segments
 * schema.c             the same tables as a JSON Schema
 */
#ifndef LARDER_CONFIG_INTERNAL_H
#define LARDER_CONFIG_INTERNAL_H

#include <larder/config/config.h>

struct config_block {
    _Alignas(16) struct config_block *next;
};
void *config_alloc(struct config *c, size_t count, size_t size);

/* What has a destructor of its own. */
struct config_object {
    struct config_object *next;
    void (*free)(void *object);
    void *object;
};

/* One reading: where errors go, and who owns the texts. */
struct reading {
    const char *file;
    struct json_doc *doc; /* changed by profile and environment, before it is read */
    struct config *config;
    struct err *errs;
    unsigned max, count;
    uint32_t place[CONFIG_ERRORS_MAX]; /* of errs: they are kept in the order of the file */
    bool has_failed;                   /* an error was met, noted or not */
    bool has_no_memory;
};

enum member_type {
    MEMBER_DURATION, /* uint64_t, milliseconds */
    MEMBER_SIZE,     /* uint64_t, bytes */
    MEMBER_UINT,     /* unsigned */
    MEMBER_U64,
    MEMBER_BOOL,
    MEMBER_TEXT,   /* struct span; not empty, without NUL */
    MEMBER_CHOICE, /* unsigned: which of `words` */
    MEMBER_FLAG,   /* bool: the second of two `words` */
    MEMBER_OWN,    /* read by `read` */
};

struct member {
    const char *name;
    enum member_type type;
    size_t offset;            /* in the struct that is filled; MEMBER_OWN gets the struct */
    uint64_t min, max;        /* max 0: no limit but the type's */
    const char *fallback;     /* its value where absent, as in a file less quotes; NULL: none */
    const char *const *words; /* NULL behind the last */
    void (*read)(struct reading *r, const struct json *j, void *into);
    const char *schema; /* of a MEMBER_OWN: JSON Schema, without braces */
    bool is_required;
    bool may_be_literal; /* a MEMBER_OWN: the environment may tell it as a number or boolean */
    const char *doc;
};

struct object {
    const char *name;
    const struct member *members;
    unsigned count;
};
#define OBJECT(name, members)                                                                      \
    {                                                                                              \
        name, members, array_len(members)                                                          \
    }

extern const struct object object_root, object_control, object_log, object_log_words, object_cache,
    object_limits, object_upstream, object_route, object_key_part, object_token, object_param,
    object_jwt, object_tag, object_on_write, object_write_route, object_ttl_rule,
    object_stale_if_error, object_warm, object_alias, object_listen, object_tls, object_certificate,
    object_upstream_tls, object_redis, object_rate_limit, object_rate_policy;

/* A text for messages: cut where it is long, without control characters. */
struct quoted {
    char text[72];
};
const char *quote(struct span s, struct quoted *q);

/* Notes an error at <j>; goes on, so that all errors of a file are told. */
void reading_fail(struct reading *r, const struct json *j, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Fills <into> from object <j>, in the table's order, first with defaults. Unknown and missing
 * members are errors. False: <j> is no object. */
bool reading_members(struct reading *r, const struct json *j, const struct object *o, void *into);
void reading_defaults(const struct object *o, void *into);
struct span reading_copy(struct reading *r, struct span text);     /* config's own, NUL behind it */
void *reading_alloc(struct reading *r, size_t count, size_t size); /* zeroed, the config's own */
/* A string, {"file": path}, {"env": NAME} or {"credential": NAME}; empty on error. */
struct span reading_secret(struct reading *r, const struct json *j);
/* An array of networks, at most <max>; returns how many were read. */
unsigned reading_cidrs(struct reading *r, const struct json *j, struct cidr *into, unsigned max);
/* "FILE:LINE:COLUMN at PATH" of <j>, the config's own. */
struct span reading_place(struct reading *r, const struct json *j);
void reading_address(struct reading *r, const struct json *j, struct address *into);

bool size_parse(struct span s, uint64_t *ret_bytes);
bool address_parse(struct span s, bool may_lack_host, struct address *ret);
bool cidr_parse(struct span s, struct cidr *ret);
/* The nearest of <count> names, if it is near enough to be meant; else NULL. */
const char *nearest_name(struct span given, const char *const *names, unsigned count);

/* The config owns <object> from now on; NULL (and freed at once) where there is no memory. */
void *reading_keep(struct reading *r, void *object, void (*free_object)(void *object));
/* A whole number of percent: "10%". */
bool reading_percent(struct reading *r, const struct json *j, unsigned max, unsigned *into);

/* Is <m> a method, spelled as those that are known? False after an error was told. */
bool reading_method(struct reading *r, const struct json *j, struct span m);

/* One value of a request? Names of fields are the same in any case. */
bool param_is_same(const struct param *a, const struct param *b);
/* "query.x" and so on into <p>; false after an error was told. <route> may be NULL. */
bool load_param(struct reading *r, const struct json *j, const struct route *route,
                struct span text, struct param *p);

/* profile.c: puts the profile <wanted>, or that of "$profile" where it is NULL, over the rest of
 * the tree. False after an error was told. */
bool profile_apply(struct reading *r, const char *wanted);

/* environment.c */
/* Is <j> {"env": NAME}, with or without "default"? */
bool is_env_reference(const struct json *j);
/* Puts in place of each reference in <j> what it means; a default of null takes it out. */
void environment_resolve(struct reading *r, struct json *j);
/* Puts variables into the addresses and rates of the config. */
void environment_expand(struct reading *r, struct json *root);
/* If <j> is a text of the environment that is a number or boolean: as such in *ret. */
bool environment_literal(const struct json *j, struct json *ret);

/* load_params.c */
void load_params(struct reading *r, const struct json *j, void *route);
void load_unknown(struct reading *r, const struct json *j, void *route);
void load_identity(struct reading *r, const struct json *j, void *route);
/* {"jwt": "/claim", "key": ...} into <p>; <route> may be NULL. */
void load_jwt(struct reading *r, const struct json *j, const struct route *route, struct param *p);
/* Once all members of the route have been read. */
void finish_params(struct reading *r, const struct json *j, struct route *route);

/* load_fresh.c */
void load_stale_if_error(struct reading *r, const struct json *j, void *route);
void load_refresh_ahead(struct reading *r, const struct json *j, void *route);
void load_jitter(struct reading *r, const struct json *j, void *route);
void load_until(struct reading *r, const struct json *j, void *route);
void load_store_if(struct reading *r, const struct json *j, void *route);
void load_ttl_if(struct reading *r, const struct json *j, void *route);
const struct wallclock *load_clock(struct reading *r, const struct json *j);

/* load_tags.c */
void load_tags(struct reading *r, const struct json *j, void *route);
void load_on_write(struct reading *r, const struct json *j, void *route);
void load_stats_by(struct reading *r, const struct json *j, void *route);
/* Once all routes have been read: on_write may name a later one. */
void finish_on_write(struct reading *r, const struct json *j, struct route *route);

/* load_tls.c: an address, or an object with an address and its TLS. */
void load_listen(struct reading *r, const struct json *j, struct listen_config *into);
/* "tls" towards a server: true, false (NULL), or how it is spoken. */
struct tls_upstream_config *load_client_tls(struct reading *r, const struct json *j);
/* "tls" of an upstream; <into> is its struct upstream_config. */
void load_upstream_tls(struct reading *r, const struct json *j, void *into);
/* What {} in its place would mean. */
struct tls_upstream_config *load_upstream_tls_defaults(struct reading *r);

/* reply_template.c */
struct reply_node;
struct reply_context {
    const struct route *on; /* whose captures path.x names */
    unsigned groups;        /* 1 << enum reply_group, of those that are known in this place */
    bool has_places; /* it is a canonical call's body, and members such as "key" name places */
};
/* NULL: no memory. Errors are told with their place. */
struct reply_node *reply_template_read(struct reading *r, const struct json *j,
                                       const struct reply_context *context);
bool reply_is_of_request(struct span text); /* "json.x", "query.x"... */

/* load_alias.c, load_alias_with.c */
void load_aliases(struct reading *r, const struct json *j, void *config);
/* explain_alias.c */
void explain_aliases(const struct config *c, struct buf *out);

/* load_redis.c */
extern const char *const config_shared_words[]; /* in the order of route.shared */
void load_redis(struct reading *r, const struct json *j, void *config);
/* "shared" and what goes with it, once all members of the route have been read. */
void finish_shared(struct reading *r, const struct json *j, struct route *route);

/* load_limits.c */
void load_rate_limits(struct reading *r, const struct json *j, void *config);
void load_default_rate_limit(struct reading *r, const struct json *j, void *config);
void load_route_rate_limit(struct reading *r, const struct json *j, void *route);
/* A name of "rate_limits", several, or "off": of whatever has such a member. */
void load_rate_limit_set(struct reading *r, const struct json *j, struct rate_limit_set *set);

void load_log(struct reading *r, const struct json *j, void *config);
void load_methods(struct reading *r, const struct json *j, void *config);
void load_warm(struct reading *r, const struct json *j, void *config);
void load_control(struct reading *r, const struct json *j, void *into);
void load_upstreams(struct reading *r, const struct json *j, void *into);
void load_routes(struct reading *r, const struct json *j, void *into);
/* Appends the implicit last route. */
void load_pass(struct reading *r);
/* Reads "match" into <route>. */
void load_pattern(struct reading *r, const struct json *j, void *route);
/* Reads "key" or "key_template" into <route>, whose pattern has been read. */
void load_key(struct reading *r, const struct json *j, void *route);
void load_key_template(struct reading *r, const struct json *j, void *route);

#endif
