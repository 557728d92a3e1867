/* structured.c: RFC 9651 section 4.2, as far as lists of strings and dictionaries need it.
 *
 * Each function takes one production from the front and says whether it was there.
 */
#include "structured-internal.h"

#include <larder/base/buf.h>

#include "http-internal.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_printable(char c)
{
    return c >= 0x20 && c < 0x7f;
}

static void skip_ows(struct structured *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
        s->p++;
}

static bool take_char(struct structured *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* Section 4.2.5. */
static bool take_string(struct structured *s, struct buf *text)
{
    if (!take_char(s, '"'))
        return false;
    while (s->p < s->end) {
        char c = *s->p++;
        if (c == '"')
            return true;
        if (c == '\\') {
            if (s->p == s->end || (*s->p != '"' && *s->p != '\\'))
                return false;
            c = *s->p++;
        } else if (!is_printable(c)) {
            return false;
        }
        if (text)
            buf_add_char(text, c);
    }
    return false;
}

static size_t take_digits(struct structured *s)
{
    const char *from = s->p;
    while (s->p < s->end && is_digit(*s->p))
        s->p++;
    return (size_t)(s->p - from);
}

/* Section 4.2.4: up to 15 digits, or up to 12 with one to three behind a point. */
static bool take_number(struct structured *s, bool may_be_decimal)
{
    (void)take_char(s, '-');
    size_t whole = take_digits(s);
    if (whole == 0 || whole > 15)
        return false;
    if (!may_be_decimal || !take_char(s, '.'))
        return true;
    size_t fraction = take_digits(s);
    return whole <= 12 && fraction >= 1 && fraction <= 3;
}

/* Section 4.2.6. */
static bool take_token(struct structured *s)
{
    s->p++; /* a letter or '*': the caller has looked */
    while (s->p < s->end && (byte_is(*s->p, BYTE_TOKEN) || *s->p == ':' || *s->p == '/'))
        s->p++;
    return true;
}

/* Section 4.2.7. Padding may be missing, and more of it says nothing. */
static bool take_bytes(struct structured *s)
{
    if (!take_char(s, ':'))
        return false;
    for (; s->p < s->end && *s->p != ':'; s->p++) {
        char c = *s->p;
        if (!is_digit(c) && !is_lower(byte_lower(c)) && c != '+' && c != '/' && c != '=')
            return false;
    }
    return take_char(s, ':');
}

/* UTF-8 byte by byte: how many bytes are to come, and what the next one may be (RFC 3629). */
struct utf8 {
    unsigned more;
    uint8_t least, most;
};

static bool utf8_take(struct utf8 *u, uint8_t c)
{
    if (u->more > 0) {
        bool good = c >= u->least && c <= u->most;
        *u = (struct utf8){u->more - 1, 0x80, 0xbf};
        return good;
    }
    if (c < 0x80)
        return true;
    if (c < 0xc2 || c > 0xf4)
        return false;
    u->more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    u->least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    u->most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static bool is_lower_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* Section 4.2.10. */
static bool take_display_string(struct structured *s)
{
    struct utf8 utf8 = {.more = 0};
    if (!take_char(s, '%') || !take_char(s, '"'))
        return false;
    while (s->p < s->end) {
        char c = *s->p;
        if (c == '"') {
            s->p++;
            return utf8.more == 0;
        }
        if (!is_printable(c))
            return false;
        if (c == '%') {
            if (s->end - s->p < 3 || !is_lower_hex(s->p[1]) || !is_lower_hex(s->p[2]))
                return false;
            c = escape_value(s->p);
            s->p += 2;
        }
        if (!utf8_take(&utf8, (uint8_t)c))
            return false;
        s->p++;
    }
    return false;
}

/* Section 4.2.3.1. */
static bool take_bare_item(struct structured *s)
{
    if (s->p == s->end)
        return false;
    switch (*s->p) {
    case '"':
        return take_string(s, NULL);
    case ':':
        return take_bytes(s);
    case '%':
        return take_display_string(s);
    case '?': /* section 4.2.8 */
        s->p++;
        return take_char(s, '0') || take_char(s, '1');
    case '@': /* section 4.2.9 */
        s->p++;
        return take_number(s, false);
    default:
        if (*s->p == '-' || is_digit(*s->p))
            return take_number(s, true);
        return (*s->p == '*' || is_lower(byte_lower(*s->p))) && take_token(s);
    }
}

/* Section 4.2.3.3. */
static bool take_key(struct structured *s)
{
    if (s->p == s->end || (*s->p != '*' && !is_lower(*s->p)))
        return false;
    while (s->p < s->end && (is_lower(*s->p) || is_digit(*s->p) || *s->p == '_' || *s->p == '-' ||
                             *s->p == '.' || *s->p == '*'))
        s->p++;
    return true;
}

/* Section 4.2.3.2. */
static bool take_parameters(struct structured *s)
{
    while (take_char(s, ';')) {
        while (take_char(s, ' '))
            continue;
        if (!take_key(s) || (take_char(s, '=') && !take_bare_item(s)))
            return false;
    }
    return true;
}

struct structured structured_of(struct span line)
{
    struct span text = span_trim(line);
    return (struct structured){text.p, text.p + text.len, true};
}

/* What stands between two members. False: none is behind it, or something else is there. */
static bool take_comma(struct structured *s)
{
    if (s->is_first) {
        s->is_first = false;
        return true;
    }
    skip_ows(s);
    if (!take_char(s, ','))
        return false;
    skip_ows(s);
    return s->p < s->end;
}

/* Section 4.2.1.2. */
static bool take_inner_list(struct structured *s)
{
    if (!take_char(s, '('))
        return false;
    while (true) {
        while (take_char(s, ' '))
            continue;
        if (take_char(s, ')'))
            return take_parameters(s);
        if (!take_bare_item(s) || !take_parameters(s))
            return false;
        if (s->p == s->end || (*s->p != ' ' && *s->p != ')'))
            return false;
    }
}

/* Digits that take_number() has let pass: 15 at most. */
static int64_t integer_of(struct span text)
{
    bool is_negative = text.p[0] == '-';
    int64_t value = 0;
    for (size_t i = is_negative; i < text.len; i++)
        value = value * 10 + (text.p[i] - '0');
    return is_negative ? -value : value;
}

static bool take_member_value(struct structured *s, struct structured_member *ret)
{
    const char *from = s->p;
    if (s->p < s->end && *s->p == '(')
        return take_inner_list(s);
    if (!take_bare_item(s))
        return false;
    struct span text = span_of(from, (size_t)(s->p - from));
    if (text.p[0] == '?') {
        ret->kind = text.p[1] == '1' ? STRUCTURED_TRUE : STRUCTURED_FALSE;
    } else if ((is_digit(text.p[0]) || text.p[0] == '-') && !memchr(text.p, '.', text.len)) {
        ret->kind = STRUCTURED_INTEGER;
        ret->integer = integer_of(text);
    }
    return take_parameters(s);
}

/* Section 4.2.2, a member at a time. */
enum structured_next structured_next_member(struct structured *s, struct structured_member *ret)
{
    if (s->p == s->end)
        return STRUCTURED_DICT_END;
    if (!take_comma(s))
        return STRUCTURED_DICT_BAD;
    const char *key = s->p;
    if (!take_key(s))
        return STRUCTURED_DICT_BAD;
    *ret = (struct structured_member){.key = span_of(key, (size_t)(s->p - key)),
                                      .kind = STRUCTURED_OTHER};
    if (take_char(s, '='))
        return take_member_value(s, ret) ? STRUCTURED_MEMBER : STRUCTURED_DICT_BAD;
    ret->kind = STRUCTURED_TRUE;
    return take_parameters(s) ? STRUCTURED_MEMBER : STRUCTURED_DICT_BAD;
}

/* Section 4.2.1, a member at a time. */
enum structured_result structured_next_string(struct structured *s, struct buf *text)
{
    if (s->p == s->end)
        return STRUCTURED_END;
    if (!s->is_first) {
        skip_ows(s);
        if (!take_char(s, ','))
            return STRUCTURED_BAD;
        skip_ows(s); /* what then ends the line is a comma too many: no string is there */
    }
    s->is_first = false;
    if (text)
        buf_reset(text);
    return take_string(s, text) && take_parameters(s) ? STRUCTURED_STRING : STRUCTURED_BAD;
}
