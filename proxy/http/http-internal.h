/* http-internal.h: what the files of this layer share: byte classes, and the head's common part.
 *
 * Thread any: constant tables and pure functions.
 */
#ifndef LARDER_HTTP_INTERNAL_H
#define LARDER_HTTP_INTERNAL_H

#include <larder/http/head.h>

enum byte_class {
    BYTE_TOKEN = 1 << 0,      /* tchar, RFC 9110 section 5.6.2 */
    BYTE_VALUE = 1 << 1,      /* of field values: HTAB, 0x20..0x7e, 0x80..0xff */
    BYTE_TARGET = 1 << 2,     /* of request targets: 0x21..0x7e less '#', 0x80..0xff */
    BYTE_HEX = 1 << 3,        /* HEXDIG in both cases */
    BYTE_UNRESERVED = 1 << 4, /* RFC 3986 section 2.3 */
    BYTE_PATH = 1 << 5,       /* stays raw in canonical paths: pchar, '/' and '\' (see uri.h) */
    BYTE_HOST = 1 << 6,       /* host and port, RFC 3986 section 3.2, less ',' */
};

extern const uint8_t http_byte_class[256];

static inline bool byte_is(char c, enum byte_class class)
{
    return (http_byte_class[(uint8_t)c] & class) != 0;
}

/* The first byte from <p> on that is not of <class>, or <end>. */
static inline const char *bytes_skip(const char *p, const char *end, enum byte_class class)
{
    while (p < end && byte_is(*p, class))
        p++;
    return p;
}

#define WORD_OF(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Non-zero where a byte of <w> is less than <n>, which is at most 0x80. */
static inline uint64_t word_has_less(uint64_t w, uint8_t n)
{
    return (w - WORD_OF(n)) & ~w & WORD_OF(0x80);
}

static inline uint64_t word_has(uint64_t w, uint8_t byte)
{
    return word_has_less(w ^ WORD_OF(byte), 1);
}

/* bytes_skip() for the two classes that come in long runs, eight bytes at a time. */
static inline const char *bytes_skip_value(const char *p, const char *end)
{
    for (uint64_t w; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        if (word_has_less(w, 0x20) | word_has(w, 0x7f))
            break;
    }
    return bytes_skip(p, end, BYTE_VALUE);
}

static inline const char *bytes_skip_target(const char *p, const char *end)
{
    for (uint64_t w; end - p >= 8; p += 8) {
        memcpy(&w, p, 8);
        if (word_has_less(w, 0x21) | word_has(w, 0x7f) | word_has(w, '#'))
            break;
    }
    return bytes_skip(p, end, BYTE_TARGET);
}

static inline char byte_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Of a BYTE_HEX. */
static inline unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

/* Does a whole percent escape begin at <p>? */
static inline bool is_escape(const char *p, const char *end)
{
    return end - p >= 3 && p[0] == '%' && byte_is(p[1], BYTE_HEX) && byte_is(p[2], BYTE_HEX);
}

static inline char escape_value(const char *p)
{
    return (char)(hex_value(p[1]) << 4 | hex_value(p[2]));
}

/* uri.c */
struct buf;
void escape_add(struct buf *out, char c); /* "%2F" */

/* head.c: where the reading of one head has come to. */
struct head_reader {
    const char *start, *p, *end;
    bool is_cut;          /* <end> is the limit, and there are bytes behind it */
    const char *too_long; /* what to say when the limit comes first */
    struct head *h;
    uint64_t twice; /* bits of enum field_id: fields met more than once */
};

static inline bool reader_saw(const struct head_reader *r, enum field_id id)
{
    return (r->h->seen >> id & 1) != 0;
}

void reader_init(struct head_reader *r, const char *p, size_t len, size_t limit, struct head *h);
enum head_result reader_bad(struct head_reader *r, const char *why); /* HEAD_BAD */
enum head_result reader_ran_out(struct head_reader *r); /* HEAD_MORE, or HEAD_TOO_LARGE */
enum head_result reader_take_version(struct head_reader *r);
enum head_result reader_take_crlf(struct head_reader *r);
enum head_result reader_take_fields(struct head_reader *r); /* the empty line, too */
enum head_result reader_judge_coding(struct head_reader *r);
void reader_judge_connection(struct head_reader *r);
/* White space around the value is SP only? What is read as a number by some must not hang on it. */
bool field_is_plainly_spaced(const struct field *f);

#endif
