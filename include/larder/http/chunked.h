/* chunked.h: the chunked coding, read strictly and piece by piece.
 *
 * Only CRLF ends a line, sizes are hex digits only and fit 63 bits, extensions and trailers are
 * bounded and dropped. Never copies: tells which bytes of the input are body.
 * Thread: the owner's. Source: RFC 9112 section 7.1.
 */
#ifndef LARDER_HTTP_CHUNKED_H
#define LARDER_HTTP_CHUNKED_H

#include <larder/base/span.h>

enum chunked_result {
    CHUNKED_MORE, /* all input used, the body goes on */
    CHUNKED_BODY, /* *ret_body holds body bytes; call again with the rest */
    CHUNKED_END,  /* the last chunk and the trailers have been read */
    CHUNKED_BAD,  /* and stays so */
};

struct chunked {
    int state;
    uint64_t left;          /* bytes of the present chunk */
    unsigned line_len;      /* bytes of the present size line */
    unsigned trailer_bytes; /* bytes of all trailer lines so far */
};

void chunked_init(struct chunked *c);
/* Reads from <in>; *ret_used is how many bytes were taken, body included. */
enum chunked_result chunked_feed(struct chunked *c, struct span in, size_t *ret_used,
                                 struct span *ret_body);

#endif
