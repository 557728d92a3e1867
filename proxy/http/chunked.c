/* chunked.c: a table of states over the bytes between the chunks; the bytes in them are skipped.
 *
 * Each state reads one kind of byte and names what may follow. Lines are bounded by their length,
 * trailers by their sum; neither is kept. */
#include <larder/http/chunked.h>

#include "http-internal.h"

enum {
    LINE_MAX_BYTES = 256,      /* a size with its extension */
    TRAILERS_MAX_BYTES = 8192, /* all trailer lines together */
};

enum chunk_state {
    SIZE_FIRST, /* at least one digit */
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* a trailer's name, or the last line's CR */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    END,
    BAD,
};

void chunked_init(struct chunked *c)
{
    *c = (struct chunked){.state = SIZE_FIRST};
}

static enum chunk_state add_digit(struct chunked *c, char byte)
{
    if (!byte_is(byte, BYTE_HEX) || c->left > (uint64_t)INT64_MAX >> 4)
        return BAD;
    c->left = c->left << 4 | hex_value(byte);
    return SIZE;
}

static enum chunk_state on_size_byte(struct chunked *c, char byte)
{
    if (++c->line_len > LINE_MAX_BYTES)
        return BAD;
    switch (c->state) {
    case SIZE_FIRST:
        return add_digit(c, byte);
    case SIZE:
        if (byte == ';')
            return EXTENSION;
        return byte == '\r' ? SIZE_LF : add_digit(c, byte);
    case EXTENSION:
        if (byte == '\r')
            return SIZE_LF;
        return byte_is(byte, BYTE_VALUE) ? EXTENSION : BAD;
    default: /* SIZE_LF */
        if (byte != '\n')
            return BAD;
        c->line_len = 0;
        return c->left > 0 ? DATA : TRAILER_FIRST;
    }
}

static enum chunk_state on_trailer_byte(struct chunked *c, char byte)
{
    if (++c->trailer_bytes > TRAILERS_MAX_BYTES)
        return BAD;
    switch (c->state) {
    case TRAILER_FIRST:
        if (byte == '\r')
            return LAST_LF;
        return byte_is(byte, BYTE_TOKEN) ? TRAILER_NAME : BAD;
    case TRAILER_NAME:
        if (byte == ':')
            return TRAILER_VALUE;
        return byte_is(byte, BYTE_TOKEN) ? TRAILER_NAME : BAD;
    case TRAILER_VALUE:
        if (byte == '\r')
            return TRAILER_LF;
        return byte_is(byte, BYTE_VALUE) ? TRAILER_VALUE : BAD;
    case TRAILER_LF:
        return byte == '\n' ? TRAILER_FIRST : BAD;
    default: /* LAST_LF */
        return byte == '\n' ? END : BAD;
    }
}

static enum chunk_state on_byte(struct chunked *c, char byte)
{
    if (c->state < DATA)
        return on_size_byte(c, byte);
    if (c->state == DATA_CR)
        return byte == '\r' ? DATA_LF : BAD;
    if (c->state == DATA_LF)
        return byte == '\n' ? SIZE_FIRST : BAD;
    return on_trailer_byte(c, byte);
}

static void take_data(struct chunked *c, struct span in, struct span *ret_body)
{
    *ret_body = in;
    if (ret_body->len > c->left)
        ret_body->len = (size_t)c->left;
    c->left -= ret_body->len;
    if (c->left == 0)
        c->state = DATA_CR;
}

enum chunked_result chunked_feed(struct chunked *c, struct span in, size_t *ret_used,
                                 struct span *ret_body)
{
    *ret_body = span_of(NULL, 0);
    *ret_used = 0;
    while (c->state != END && c->state != BAD) {
        if (*ret_used == in.len)
            return CHUNKED_MORE;
        if (c->state == DATA) {
            take_data(c, span_of(in.p + *ret_used, in.len - *ret_used), ret_body);
            *ret_used += ret_body->len;
            return CHUNKED_BODY;
        }
        c->state = (int)on_byte(c, in.p[*ret_used]);
        ++*ret_used;
    }
    return c->state == END ? CHUNKED_END : CHUNKED_BAD;
}
