/* structured-internal.h: structured fields (RFC 9651), a member at a time: lists of strings, and
 * dictionaries.
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

struct structured_member {
    struct span key;
    enum { STRUCTURED_INTEGER, STRUCTURED_TRUE, STRUCTURED_FALSE, STRUCTURED_OTHER } kind;
    int64_t integer;
};

/* The next member of a dictionary; its parameters are checked and passed over. */
enum structured_next { STRUCTURED_MEMBER, STRUCTURED_DICT_END, STRUCTURED_DICT_BAD };
enum structured_next structured_next_member(struct structured *s, struct structured_member *ret);

#endif
