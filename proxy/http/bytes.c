/* bytes.c: one table that says what each byte may be part of. Ranges do not overlap, so that the
 * compiler would report a byte that is named twice. */
#include "http-internal.h"

#define T BYTE_TOKEN
#define V BYTE_VALUE
#define G BYTE_TARGET
#define H BYTE_HEX
#define U BYTE_UNRESERVED
#define P BYTE_PATH
#define O BYTE_HOST

const uint8_t http_byte_class[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | G | P | O,
    ['"'] = V | G,
    ['#'] = T | V,
    ['$'] = T | V | G | P | O,
    ['%'] = T | V | G | O,
    ['&' ... '\''] = T | V | G | P | O,
    ['(' ... ')'] = V | G | P | O,
    ['*' ... '+'] = T | V | G | P | O,
    [','] = V | G | P,
    ['-' ... '.'] = T | V | G | U | P | O,
    ['/'] = V | G | P,
    ['0' ... '9'] = T | V | G | H | U | P | O,
    [':' ... ';'] = V | G | P | O,
    ['<'] = V | G,
    ['='] = V | G | P | O,
    ['>' ... '?'] = V | G,
    ['@'] = V | G | P,
    ['A' ... 'F'] = T | V | G | H | U | P | O,
    ['G' ... 'Z'] = T | V | G | U | P | O,
    ['['] = V | G | O,
    ['\\'] = V | G | P,
    [']'] = V | G | O,
    ['^'] = T | V | G,
    ['_'] = T | V | G | U | P | O,
    ['`'] = T | V | G,
    ['a' ... 'f'] = T | V | G | H | U | P | O,
    ['g' ... 'z'] = T | V | G | U | P | O,
    ['{'] = V | G,
    ['|'] = T | V | G,
    ['}'] = V | G,
    ['~'] = T | V | G | U | P | O,
    [0x80 ... 0xff] = V | G,
};
