/* route.h: which requests a route takes, and the key that it makes of them.
 *
 * Thread any: immutable after load. Matching and key building allocate nothing.
 */
#ifndef LARDER_CONFIG_ROUTE_H
#define LARDER_CONFIG_ROUTE_H

#include <larder/base/json.h>
#include <larder/http/fresh.h>

enum { ROUTE_CAPTURES_MAX = 8, ROUTE_PARAMS_MAX = 16, ROUTE_METHODS_MAX = 12 };

enum param_source {
    PARAM_PATH,   /* path.id: a capture, decoded */
    PARAM_QUERY,  /* query.semester: all its values, in order */
    PARAM_HEADER, /* header.X-Org: all lines, joined by commas */
    PARAM_COOKIE, /* cookie.org */
    PARAM_JSON,   /* json.a.b, or the pointer /a/b: of the request body */
    PARAM_FORM,   /* form.user: of an urlencoded body */
    PARAM_AUTH,   /* auth: Authorization, always as HMAC */
};

struct param {
    enum param_source source;
    struct span name;  /* as the request has it; JSON: the pointer */
    struct span label; /* as readable keys have it: "organization_id" */
    bool secret;       /* enters keys as HMAC only */
};

struct key_piece {       /* of a key template such as "{query.model}:{query.country}" */
    struct span literal; /* before the parameter; may be empty */
    int param;           /* index, or -1 at the end */
};

struct path_segment {
    struct span literal; /* canonical; empty for a capture */
    bool is_capture;     /* {id}: one whole segment, not empty */
    bool is_rest;        /* {rest...} or a final *: all that is left */
    struct span name;    /* of a capture; of a rest, empty for * */
};

struct route {
    struct span name;
    uint16_t index;
    unsigned upstream; /* index in config */
    bool any_method;
    unsigned method_count;
    struct span methods[ROUTE_METHODS_MAX];
    unsigned segment_count;
    struct path_segment *segments;
    bool cached;     /* has a ttl */
    bool needs_body; /* the key is made from the request's body: it must be read first */
    bool has_key;    /* `key` or `key_template` was given; else path + query (+ JSON body) */
    unsigned param_count;
    struct param params[ROUTE_PARAMS_MAX];
    unsigned piece_count; /* of a template; 0: the default form */
    struct key_piece *pieces;
    unsigned ignore_count;
    struct span *ignore; /* query names, `*` at the end stands for any rest */
    enum { UNKNOWN_FORWARD, UNKNOWN_REJECT, UNKNOWN_DROP } strict; /* parameters outside key */
    bool key_host;                                                 /* the Host is part of the key */
    struct fresh_policy fresh;
    bool vary_ignored;  /* "vary": "ignore" */
    bool share_cookies; /* "cookies": "share": requests with cookies are answered alike */
    uint64_t max_bytes, max_entries, max_object_bytes; /* 0: no limit of its own */
    uint64_t body_limit_bytes;
    uint64_t first_byte_timeout_ms; /* 0: the upstream's */
};

/* What matching found; spans point into the request's path, raw. */
struct route_captures {
    unsigned count;
    struct span name[ROUTE_CAPTURES_MAX], value[ROUTE_CAPTURES_MAX];
};

/* The first route that takes <method> and <path> (raw, as received; compared in canonical form).
 * HEAD is taken by routes for GET. The last route of a config takes all. */
const struct route *route_match(const struct route *routes, unsigned count, const struct head *h,
                                struct route_captures *ret_captures);

struct route_request {
    const struct head *head;
    const struct route_captures *captures;
    struct span body;             /* where needs_body: whole, decoded from its framing */
    const struct json *body_json; /* parsed, where the route wants JSON; NULL: not JSON */
    struct span secret;
};

enum key_result {
    KEY_OK,
    KEY_BYPASS, /* no key can be made (body is no JSON, too long): pass, do not cache */
    KEY_REJECT, /* strict: an unknown parameter; *ret_why names it: 400 */
};

/* Appends the request's readable, canonical key to <key> (empty before), and hands the implicit
 * tags ("*", "route:NAME", "NAME|label=value" for each value of each keyed parameter) to <on_tag>,
 * which may be NULL. Methods that may not share an answer never share a key: HEAD counts as GET,
 * others go in. The readable form of a template's key ends before its \x1f. */
enum key_result route_key_build(const struct route *r, const struct route_request *req,
                                struct buf *key, void (*on_tag)(void *arg, struct span tag),
                                void *arg, const char **ret_why);
/* The tag text of one parameter value, as route_key_build makes it: "courses|organization_id=123".
 * For secret parameters gives the HMAC form of the value. A JSON string and a number of the same
 * text have the same tag. */
void route_param_tag_format(const struct route *r, const struct param *p, struct span secret,
                            struct span value, struct buf *out);
/* Parameter of <r> by label; NULL if there is none. */
const struct param *route_param(const struct route *r, struct span label);

/* For a route whose unknown parameters are dropped: the query with the keyed ones only (where the
 * route has no "key", with all but the ignored ones), their bytes unchanged. */
void route_query_keep(const struct route *r, struct span query, struct buf *out);

#endif
