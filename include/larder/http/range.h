/* range.h: which part of a representation a request asks for.
 *
 * One part is served; several in one request are answered by the whole (RFC 9110 section 14.2
 * lets a server pass over Range), for multipart/byteranges costs more than it saves on JSON.
 * Thread any; pure. Source RFC 9110 sections 13.1.5 (If-Range) and 14.
 */
#ifndef LARDER_HTTP_RANGE_H
#define LARDER_HTTP_RANGE_H

#include <larder/base/buf.h>
#include <larder/http/head.h>

enum range_result {
    RANGE_WHOLE, /* no Range, or one that does not count here */
    RANGE_PART,  /* bytes *ret_first to *ret_last, both included */
    RANGE_UNSATISFIABLE,
};

/* What is held: its validators and its length. */
struct range_facts {
    struct span etag;             /* with quotes; empty: none */
    int64_t last_modified_unix_s; /* -1: none */
    uint64_t length;
};

/* The part that a GET asks for. On RANGE_PART *ret_first and *ret_last are positions of bytes, from
 * 0, both included; otherwise they may hold anything. */
enum range_result range_judge(const struct head *request, const struct range_facts *facts,
                              uint64_t *ret_first, uint64_t *ret_last);

/* Appends the one plain range of a GET without If-Range without white space ("bytes=0-99"), by
 * which a 206 may be kept; false where there is none. */
bool range_key(const struct head *request, struct buf *out);

#endif
