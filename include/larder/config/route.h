/* route.h: which requests a route takes, and the key that it makes of them.
 *
 * Thread any: immutable after load. Matching and key building allocate nothing.
 */
#ifndef LARDER_CONFIG_ROUTE_H
#define LARDER_CONFIG_ROUTE_H

#include <larder/base/json.h>
#include <larder/base/json_scan.h>
#include <larder/config/cond.h>
#include <larder/http/fresh.h>

enum { ROUTE_CAPTURES_MAX = 8, ROUTE_PARAMS_MAX = 24, ROUTE_METHODS_MAX = 12 };

struct jwt_key;
struct wallclock;

enum {
    TEMPLATE_PARAMS_MAX = 8,
    TTL_RULES_MAX = 8,
    UNTIL_MAX = 8,
    TEMPLATE_VALUES_MAX = 4000,
    WRITE_VALUES_MAX = 256
};
enum { ENTRY_LABELS_MAX = 8, ROUTE_RATE_LIMITS_MAX = 4 };

enum param_source {
    PARAM_PATH,   /* path.id: a capture, decoded */
    PARAM_QUERY,  /* query.semester: all its values, in order */
    PARAM_HEADER, /* header.X-Org: all lines, joined by commas */
    PARAM_COOKIE, /* cookie.org */
    PARAM_JSON,   /* json.a.b, or the pointer /a/b: of the request body */
    PARAM_FORM,   /* form.user: of an urlencoded body */
    PARAM_AUTH,   /* auth: Authorization, always as HMAC */
    PARAM_JWT,    /* a claim of a verified token; the pointer is its name */
};

/* What the API means by a parameter ("params"). */
struct param_decl {
    struct span name;
    enum { DECL_STRING, DECL_INT, DECL_NUMBER, DECL_BOOL } type;
    enum { DECL_CASE_KEEP, DECL_CASE_LOWER, DECL_CASE_UPPER } letter_case;
    bool is_ignored; /* changes no answer */
    bool has_default;
    struct span fallback; /* canonical: what an absent one means */
};

struct param {
    enum param_source source;
    bool secret;                   /* enters keys as HMAC only */
    bool is_token_cookie;          /* of PARAM_JWT: the token stands in a cookie, not in a field */
    struct span name;              /* as the request has it; JSON: the pointer */
    struct span label;             /* as readable keys have it: "organization_id" */
    const struct param_decl *decl; /* NULL: as it comes */
    struct span token_name;        /* PARAM_JWT: of the field or cookie where the token stands */
    const struct jwt_key *jwt;
};

struct key_piece {       /* of a key template such as "rooms:{query.org}[:block:{query.block}]" */
    struct span literal; /* before the parameter; may be empty */
    int param;           /* index, or -1: a text alone */
    bool is_optional;    /* in [ ]: without a value the text is left out, too */
};

struct path_segment {
    struct span literal; /* canonical; empty for a capture */
    bool is_capture;     /* {id}: one whole segment, not empty */
    bool is_rest;        /* {rest...} or a final *: all that is left */
    struct span name;    /* of a capture; of a rest, empty for * */
};

/* A text with values in it: "org:{query.organization_id}", "room:{response./room/id}". */
struct text_template {
    struct span text; /* as in the file */
    unsigned piece_count;
    struct template_piece {
        struct span literal; /* before the value; may be empty */
        enum { PIECE_END, PIECE_REQUEST, PIECE_RESPONSE } kind;
        struct param param;  /* of the request */
        struct span pointer; /* of the answer's JSON; a token * is any one */
    } * pieces;
    bool has_request, has_response, needs_body;
    unsigned max; /* texts; beyond: only <coarse> is put on an answer, a write takes back more */
    struct span coarse; /* "room:*": whoever invalidates a "room:..." invalidates this, too */
};

/* What a write that the app accepted takes back. */
struct write_rules {
    unsigned tag_count;
    struct text_template *tags;
    unsigned key_count;
    struct text_template *keys; /* globs over readable keys */
    unsigned route_count;
    struct write_route {
        unsigned route;
        unsigned param_count;
        struct {
            const struct param *param;
            struct text_template value;
        } params[TEMPLATE_PARAMS_MAX];
    } * routes;
    bool is_soft;
    bool needs_body; /* values come from the request's body */
};

struct ttl_rule {
    const struct cond *cond;
    uint64_t ttl_ms; /* 0: not stored */
};

/* Which of the config's rate limits hold: ascending, each once. */
struct rate_limit_set {
    uint16_t count;
    uint16_t index[ROUTE_RATE_LIMITS_MAX];
    bool counts_hits; /* one of them does */
};

struct route {
    struct span name;
    uint16_t index;
    uint32_t config_line; /* where it stands in the file */
    bool any_method;
    bool cached;       /* has a ttl, or mode http */
    bool needs_body;   /* the key is made from the request's body: it must be read first */
    bool has_key;      /* `key` or `key_template` was given; else path + query (+ JSON body) */
    bool key_host;     /* the Host is part of the key */
    bool store_errors; /* "json_errors": "store": the safe default for JSON is off */
    bool vary_ignored; /* "vary": "ignore" */
    bool is_any_language_order; /* "languages": "unordered" */
    bool cors_ignored;          /* "cors": "ignore" */
    bool request_cc_ignored;    /* "request_cache_control": "ignore" */
    bool share_cookies;         /* "cookies": "share": requests with cookies are answered alike */
    bool hides_target;          /* route_hides_target(), asked once */
    unsigned upstream;          /* index in config */
    unsigned method_count;
    struct span methods[ROUTE_METHODS_MAX];
    unsigned segment_count;
    unsigned piece_count; /* of a template; 0: the default form */
    struct path_segment *segments;
    struct key_piece *pieces;
    /* the key's, and behind them those that say whose answer it is */
    unsigned param_count, identity_count;
    struct param params[ROUTE_PARAMS_MAX];
    enum { IDENTITY_UNSTATED, IDENTITY_NONE, IDENTITY_KEYED } identity;
    /* query parameters that neither key nor params name: forwarded but not in the key, answered
       400, taken off, or part of the key */
    enum { UNKNOWN_FORWARD, UNKNOWN_REJECT, UNKNOWN_DROP, UNKNOWN_KEY } unknown;
    unsigned ignore_count, decl_count;
    struct span *ignore; /* query names, `*` at the end stands for any rest */
    struct param_decl *decls;
    struct fresh_policy fresh;
    uint64_t error_budget_ms; /* ... in an upstream's failure, in all on a day; 0: no limit */
    uint64_t deadline_ms;     /* slower than this, and something stale is there; 0: none */
    unsigned refresh_ahead;   /* XFetch's beta in percent; 0: off */
    unsigned jitter_percent;  /* lifetimes are shorter by up to this */
    unsigned until_count, ttl_rule_count;
    const struct wallclock *until[UNTIL_MAX]; /* lifetimes end at the next of them */
    struct ttl_rule ttl_rules[TTL_RULES_MAX];
    const struct cond *store_if; /* NULL: none */
    unsigned tag_count;
    unsigned stats_by_count; /* labels counted apart; stats_by NULL: all but secrets */
    struct text_template *tags;
    struct span *stats_by;
    const struct write_rules *on_write;                /* NULL: none */
    uint64_t max_bytes, max_entries, max_object_bytes; /* 0: no limit of its own */
    uint64_t body_limit_bytes;
    uint64_t first_byte_timeout_ms;  /* 0: the upstream's */
    uint64_t tunnel_idle_timeout_ms; /* 0: that of the limits */
    /* "shared", "on_partition", "coalesce": what of it other instances have; without "redis"
       SHARED_NONE */
    enum { SHARED_NONE, SHARED_INVALIDATION, SHARED_FULL } shared;
    enum { PARTITION_REVALIDATE, PARTITION_SERVE, PARTITION_BYPASS } on_partition;
    bool is_fleet_coalesced; /* one fetch for all instances */
    struct rate_limit_set rate_limit;
    uint8_t fingerprint[16]; /* of its text in the file: what another one made is not taken */
};

/* Do other instances invalidate its answers, so that they are trusted only while those are heard?
 */
static inline bool route_is_guarded(const struct route *r)
{
    return r->shared != SHARED_NONE && r->on_partition != PARTITION_SERVE;
}

/* An answer's known_mono_ms, when nothing before <at> can have invalidated it unheard. */
static inline uint64_t route_known_ms(const struct route *r, uint64_t at)
{
    return route_is_guarded(r) ? at : 0;
}

/* What matching found; spans point into the request's path, raw. */
struct route_captures {
    unsigned count;
    struct span name[ROUTE_CAPTURES_MAX], value[ROUTE_CAPTURES_MAX];
};

/* The first route that takes <method> and <path> (raw, as received; compared in canonical form).
 * HEAD is taken by routes for GET. The last route of a config takes all. */
const struct route *route_match(const struct route *routes, unsigned count, const struct head *h,
                                struct route_captures *ret_captures);

/* Does <r> take the method and the path? Then *ret_captures is filled. */
bool route_takes(const struct route *r, const struct head *h, struct route_captures *ret_captures);
bool route_takes_path(const struct route *r, struct span path, struct route_captures *ret_captures);

struct route_request {
    const struct head *head;
    const struct route_captures *captures;
    struct span body;             /* where needs_body: whole, decoded from its framing */
    const struct json *body_json; /* parsed, where the route wants JSON; NULL: not JSON */
    struct span secret;
    int64_t now_unix_s; /* for tokens' lifetimes */
};

enum key_result {
    KEY_OK,
    KEY_BYPASS,      /* no key can be made (body is no JSON, too long): pass, do not cache */
    KEY_REJECT,      /* an unknown parameter, or one of the wrong type; *ret_why names it: 400 */
    KEY_NO_IDENTITY, /* a token that says whose answer it would be does not hold: pass */
};

/* Appends the request's readable, canonical key to <key> (empty before), and hands the implicit
 * tags ("*", "route:NAME", "NAME|label=value" for each value of each keyed parameter) to <on_tag>,
 * which may be NULL. Methods that may not share an answer never share a key: HEAD counts as GET,
 * others go in. The readable form of a template's key ends before its \x1f. */
enum key_result route_key_build(const struct route *r, const struct route_request *req,
                                struct buf *key, void (*on_tag)(void *arg, struct span tag),
                                void *arg, const char **ret_why);
/* Does the request have what the route's identity is read from? */
bool route_has_identity(const struct route *r, const struct head *h);
/* The credentials of a request that neither the key of <r> holds nor its options share: a set of
 * these. A route that keys by one cookie or field says nothing of the others. */
enum credential {
    CREDENTIAL_AUTHORIZATION = 1 << 0,
    CREDENTIAL_COOKIE = 1 << 1,
    CREDENTIAL_API_KEY = 1 << 2, /* X-Api-Key and its like */
};
unsigned route_open_credentials(const struct route *r, const struct head *h);
bool field_is_credential(const struct field *f);

/* Does the target of a request hold what is secret in the key, in tags, or in what it takes back?
 */
bool route_hides_target(const struct route *r);
/* The target as logs may show it: without values where it hides some. <r>: NULL before it is known;
 * <block>: empty, used where it has to be written anew. */
struct span route_shown_target(const struct route *r, const struct head *h, struct buf *block);
/* Whose rules say what may be shown of a request: <r>'s; where that is NULL, or the last, which
 * takes all (a preflight, another method), those of a route that has a secret at that path. */
const struct route *route_shown_as(const struct route *routes, unsigned count,
                                   const struct route *r, const struct head *h);

/* A canonical form of <value>, as its declaration says; false (and <out> as it was): not of its
 * type. */
bool param_canonical(const struct param_decl *d, struct span value, struct buf *out);

/* Fills a template with all values of the request, and of the answer by <on_response> (NULL where
 * there is none): on_text gets each text. Returns how many; 0 where a value is absent, -1 where a
 * text would be over 1000 bytes or hold control bytes, or where there are more than t->max.
 * <escape>: values as keys write them. */
struct template_source {
    const struct route_request *request;
    bool escape;
    /* Calls <put> with each value of the answer's pointer. */
    void (*each_response)(void *arg, const struct span *pointer,
                          void (*put)(void *put_arg, struct span value), void *put_arg);
    void *each_arg;
};
int template_fill(const struct text_template *t, const struct template_source *s,
                  void (*on_text)(void *arg, struct span text), void *arg);
/* Calls <on_value> with each plain value of a parameter in the request; of a JSON array with each
 * of its elements. False: one is too long, or an object: not all could be told. */
bool route_param_each(const struct param *p, const struct route_request *req,
                      void (*on_value)(void *arg, struct span value), void *arg);

/* The target and the fields of a request to this route with these parameter values, for warming:
 * <value_of> gives the value of a label, or an empty span with p == NULL. False: a capture or the
 * method cannot be filled; *ret_why says which. */
struct route_fill {
    struct span (*value_of)(void *arg, struct span label);
    void *arg;
};
bool route_request_format(const struct route *r, const struct route_fill *fill, struct buf *target,
                          struct buf *fields, struct buf *body, const char **ret_why);

/* The tag text of all its answers: "route:courses". */
void route_tag_format(const struct route *r, struct buf *out);
/* The tag text of one parameter value, as route_key_build makes it: "courses|organization_id=123".
 * For secret parameters gives the HMAC form of the value. A JSON string and a number of the same
 * text have the same tag. */
void route_param_tag_format(const struct route *r, const struct param *p, struct span secret,
                            struct span value, struct buf *out);
/* Parameter of <r> by label; NULL if there is none. */
const struct param *route_param(const struct route *r, struct span label);

/* The JSON pointers that store_if, ttl_if, tags and the guard against errors look at in an answer
 * of <r>, each once; where the guard is on, ROUTE_POINTER_SUCCESS, _ERROR and _ERRORS come first.
 */
enum { ROUTE_POINTER_SUCCESS, ROUTE_POINTER_ERROR, ROUTE_POINTER_ERRORS };
struct route_pointer {
    struct span text;
    bool is_list; /* of a tag: all values; else the last */
    unsigned max; /* values that are kept of a list */
};
struct route_pointers {
    unsigned count;
    bool is_over; /* there are more than fit: the config is refused */
    struct route_pointer pointer[JSON_SCAN_PATTERNS_MAX];
};
void route_pointers_find(const struct route *r, struct route_pointers *ret);

/* For a route whose unknown parameters are dropped: the query with the keyed ones only (where the
 * route has no "key", with all but the ignored ones), their bytes unchanged. */
void route_query_keep(const struct route *r, struct span query, struct buf *out);

#endif
