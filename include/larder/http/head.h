/* head.h: the one strict reader of HTTP/1.x message heads, for requests and for responses.
 *
 * One pass over the bytes, no allocation: spans point into the caller's buffer. What two readers
 * could read differently is refused: bare LF, bare CR, NUL and other controls, obs-fold, white
 * space before a colon, an empty or non-token name, no or two Host, two Content-Length,
 * Content-Length with Transfer-Encoding, any Transfer-Encoding but one `chunked`.
 * Thread any. Source RFC 9110 section 5, RFC 9112 sections 2 to 6, notes on request smuggling.
 */
#ifndef LARDER_HTTP_HEAD_H
#define LARDER_HTTP_HEAD_H

#include <larder/base/span.h>

enum { HEAD_FIELDS_MAX = 128 };

struct field {
    struct span name, value; /* value without surrounding white space */
    uint16_t id;             /* enum field_id, FIELD_OTHER where larder gives it no meaning */
};

/* Fields that larder itself reads or writes. */
enum field_id {
    FIELD_OTHER,
    FIELD_ACCEPT_ENCODING,
    FIELD_ACCEPT_LANGUAGE,
    FIELD_ACCEPT_RANGES,
    FIELD_ACCESS_CONTROL_ALLOW_ORIGIN,
    FIELD_AGE,
    FIELD_AUTHORIZATION,
    FIELD_CACHE_CONTROL,
    FIELD_CACHE_STATUS,
    FIELD_CDN_CACHE_CONTROL,
    FIELD_CONNECTION,
    FIELD_CONTENT_ENCODING,
    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_LOCATION,
    FIELD_CONTENT_RANGE,
    FIELD_CONTENT_TYPE,
    FIELD_COOKIE,
    FIELD_DATE,
    FIELD_ETAG,
    FIELD_EXPECT,
    FIELD_EXPIRES,
    FIELD_FORWARDED,
    FIELD_HOST,
    FIELD_IF_MATCH,
    FIELD_IF_MODIFIED_SINCE,
    FIELD_IF_NONE_MATCH,
    FIELD_IF_RANGE,
    FIELD_IF_UNMODIFIED_SINCE,
    FIELD_KEEP_ALIVE,
    FIELD_LARDER_CACHE_CONTROL,
    FIELD_LARDER_WARM,
    FIELD_LAST_MODIFIED,
    FIELD_LOCATION,
    FIELD_ORIGIN,
    FIELD_PRAGMA,
    FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHENTICATION_INFO,
    FIELD_PROXY_AUTHORIZATION,
    FIELD_PROXY_CONNECTION,
    FIELD_RANGE,
    FIELD_SET_COOKIE,
    FIELD_SURROGATE_KEY,
    FIELD_TE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_VARY,
    FIELD_VIA,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_HTTP_METHOD_OVERRIDE,
    FIELD_X_ORIGINAL_URL,
    FIELD_X_REAL_IP,
    FIELD_X_REQUEST_ID,
    FIELD_X_REWRITE_URL,
    FIELD_COUNT_
};

enum head_result {
    HEAD_OK,
    HEAD_MORE,      /* not complete yet: read on */
    HEAD_BAD,       /* 400 (request) or 502 (response) */
    HEAD_TOO_LARGE, /* over the limit of bytes or fields: 431, 414 or 502 */
    HEAD_VERSION,   /* a major version that is not 1: 505 */
};

enum framing {
    FRAMING_NONE,    /* no body */
    FRAMING_LENGTH,  /* content_length bytes */
    FRAMING_CHUNKED, /* RFC 9112 section 7.1 */
    FRAMING_CLOSE,   /* responses only: up to the end of the connection */
};

enum method {
    METHOD_OTHER, /* a valid token that larder gives no meaning */
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_PURGE,
    METHOD_TRACE,
    METHOD_CONNECT,
    METHOD_QUERY,
};

struct head {
    size_t bytes; /* length of the head with its empty line and any CRLF before the first line */
    /* request */
    enum method method;
    struct span method_text;
    struct span target; /* as received: origin-form, or absolute-form with authority split off */
    struct span path;   /* of target, before '?' */
    struct span query;  /* of target, after '?'; p == NULL where there is no '?' */
    struct span host;   /* of the absolute-form target, else of Host; empty for 1.0 without */
    /* response */
    unsigned status;
    struct span reason;
    /* both */
    unsigned minor; /* 0 or 1; a higher minor version reads as 1 */
    enum framing framing;
    uint64_t content_length;
    bool has_content_length;
    bool keep_alive;      /* what version and Connection say of persistence, RFC 9112 section 9.3 */
    bool expect_continue; /* Expect: 100-continue */
    bool expects_other;   /* Expect: something else, too */
    bool has_upgrade;     /* Connection: upgrade and an Upgrade field without h2c */
    struct span connection; /* first Connection value; others are found through the fields */
    uint64_t seen;          /* a bit for each enum field_id that is there */
    unsigned field_count;
    struct field fields[HEAD_FIELDS_MAX];
    const char *why; /* on HEAD_BAD and the others: what is wrong, static text */
};

/* Reads a request head from <p, len>; on HEAD_MORE nothing in <h> may be used. <limit>: bytes the
 * head may have. Tolerates CRLFs before the request line (RFC 9112 section 2.2). */
enum head_result head_parse_request(const char *p, size_t len, size_t limit, struct head *h);

/* Reads a response head. <request_method> decides the framing (HEAD has no body; RFC 9112
 * section 6.3). A 1xx is a head like others (framing NONE): the caller reads on. */
enum head_result head_parse_response(const char *p, size_t len, size_t limit,
                                     enum method request_method, struct head *h);

/* The first field <id>, or NULL. */
const struct field *head_field_first(const struct head *h, enum field_id id); /* which is there */
static inline const struct field *head_field(const struct head *h, enum field_id id)
{
    return h->seen >> id & 1 ? head_field_first(h, id) : NULL;
}
/* The first field of that name in any case, or NULL. */
const struct field *head_field_named(const struct head *h, struct span name);
enum field_id field_id_of(struct span name);
const char *field_name(enum field_id id); /* canonical spelling, lower case */
enum method method_of(struct span text);
bool method_is_safe(enum method m); /* RFC 9110 section 9.2.1 */
bool method_is_idempotent(enum method m);

/* True for fields that must not be forwarded: the hop-by-hop ones, and those that a Connection
 * field of <h> names, except framing, Host and credentials, which it may not take away. */
bool field_is_hop_by_hop(const struct head *h, const struct field *f);

/* A comma list (RFC 9110 section 5.6.1) member by member; quoted strings are kept whole. Returns
 * false at the end. Start with *rest = the value. */
bool field_list_next(struct span *rest, struct span *ret_member);
/* Does any <id> field hold <token>, without regard to case? */
bool field_has_token(const struct head *h, enum field_id id, struct span token);

/* Is the protocol that a 101 switches to (RFC 9110 section 7.8) one that the request asked for? Of
 * a stack of protocols one is enough (RFC 2817 names HTTP/1.1 behind TLS). */
bool head_answers_upgrade(const struct head *request, const struct head *response);

const char *status_reason(unsigned status); /* "Not Found"; "Unknown" where there is none */
bool status_is_known(unsigned status);      /* larder knows what it means to a cache */
/* May a response with this status to this method have a body at all? */
bool status_has_body(unsigned status, enum method request_method);
bool span_is_token(struct span s); /* RFC 9110 section 5.6.2, at least one character */

#endif
