/* reply.h: the answers that larder itself gives: problem details and JSON.
 *
 * Thread any; text only. Source RFC 9457 (problem details), RFC 9209 (Proxy-Status).
 */
#ifndef LARDER_NET_REPLY_H
#define LARDER_NET_REPLY_H

#include <larder/base/buf.h>

struct problem {
    unsigned status;
    const char *type;         /* anchor in docs/errors.md: "upstream-timeout" */
    const char *type_uri;     /* in its place, where others have a name for it; NULL: no */
    const char *detail;       /* what is wrong, and what would be right */
    const char *proxy_status; /* RFC 9209 error token, or NULL */
    struct span request_id;   /* may be empty */
    const char *list_name;    /* a further member: an array of texts; NULL: none */
    const struct span *list;
    unsigned list_count;
    unsigned retry_after_s; /* 0: none */
    bool head_only;         /* the answer to a HEAD */
    bool close, keep_alive_10;
    struct span extra_fields; /* further lines, each with CRLF */
};

/* The RFC 9209 error of an answer that larder gives for reasons of its own. */
const char *reply_proxy_status(unsigned status);

/* Appends the whole answer, head and body; returns the body's bytes. */
size_t reply_problem_format(const struct problem *p, struct buf *out);

/* Appends the head of a JSON answer of ours with <body_bytes> to come. */
void reply_json_head_format(unsigned status, size_t body_bytes, bool close, bool keep_alive_10,
                            struct span extra_fields, struct buf *out);

#endif
