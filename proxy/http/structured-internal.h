/* structured-internal.h: lists of strings as structured fields (RFC 9651), a member at a time.
 *
 * Thread any; allocates nothing.
 */
#ifndef LARDER_HTTP_STRUCTURED_INTERNAL_H
#define LARDER_HTTP_STRUCTURED_INTERNAL_H

#include <larder/base/span.h>

struct buf;

struct structured {
    const char *p, *end;
    bool is_first; /* no member yet: none need be there */
};

enum structured_result {
    STRUCTURED_STRING,
    STRUCTURED_END,
    STRUCTURED_BAD, /* does not parse, or the member is no string: no part of the field counts */
};

/* At the first member of <line>, one line of a list; p == end where there is none. */
struct structured structured_of(struct span line);

/* Reads the next member with its parameters, which are checked and passed over. The string comes
 * unescaped into <text>, which is emptied first and is `failed` where it does not fit; NULL: only
 * looks whether it parses. */
enum structured_result structured_next_string(struct structured *s, struct buf *text);

#endif
