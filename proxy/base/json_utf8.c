/* What is Unicode text. yajl takes overlong forms and encoded surrogates for UTF-8, and reads an
 * escaped surrogate without its other half as `?` or as some unrelated character; two texts that
 * differ would become one cache key. */
#include "json-internal.h"

size_t utf8_sequence_len(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
}

/* The code unit that a \uXXXX at <at> stands for; 0 where there is none (\u0000 is no surrogate,
 * so that the two need not be told apart). */
static unsigned escaped_unit(struct span s, size_t at)
{
    if (at + 6 > s.len || s.p[at] != '\\' || s.p[at + 1] != 'u')
        return 0;
    return hex_digit(s.p[at + 2]) << 12 | hex_digit(s.p[at + 3]) << 8 |
           hex_digit(s.p[at + 4]) << 4 | hex_digit(s.p[at + 5]);
}

/* Bytes of the escape at <at>; 0: half a surrogate pair (RFC 8259 section 8.2). */
static size_t escape_len(struct span s, size_t at)
{
    if (at + 1 >= s.len || s.p[at + 1] != 'u')
        return 2;
    unsigned unit = escaped_unit(s, at) & 0xfc00;
    if (unit == 0xdc00)
        return 0;
    if (unit != 0xd800)
        return 6;
    return (escaped_unit(s, at + 6) & 0xfc00) == 0xdc00 ? 12 : 0;
}

const char *string_fault(struct span inside, size_t *ret_at)
{
    const unsigned char *p = (const unsigned char *)inside.p;
    for (size_t i = 0, n; i < inside.len; i += n) {
        bool is_escape = p[i] == '\\';
        n = is_escape ? escape_len(inside, i) : utf8_sequence_len(p + i, inside.len - i);
        if (n == 0) {
            *ret_at = i;
            return is_escape ? "half a surrogate pair; write both halves, as in \\ud83d\\ude00"
                             : "bytes that are no UTF-8; save the text as UTF-8";
        }
    }
    return NULL;
}
