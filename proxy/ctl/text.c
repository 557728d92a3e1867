/* Values as people read them, and bytes of strangers as a terminal may see them. */
#include "ctl-internal.h"

#include <stdlib.h>

/* Length of the UTF-8 sequence at p[0..len) and its code point; 0 if there is none. */
static size_t decode(const unsigned char *p, size_t len, uint32_t *ret_point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > len)
        return 0;
    uint32_t point = n == 1 ? p[0] : p[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (p[i] & 0x3f);
    }
    if (point < least[n] || point > 0x10ffff)
        return 0;
    *ret_point = point;
    return n;
}

/* What moves the cursor, changes colours or turns the line round. */
static bool is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0x2028 || point == 0x2029;
}

void text_clean(struct buf *out, struct span s, const char *keep)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0, n; i < s.len; i += n) {
        uint32_t point = 0;
        n = decode(p + i, s.len - i, &point);
        bool is_kept = n == 1 && point && strchr(keep, (int)point);
        if (n == 0 || (is_control(point) && !is_kept))
            buf_add_char(out, '?');
        else
            buf_add(out, p + i, n);
        if (n == 0)
            n = 1;
    }
}

void text_bytes(struct buf *out, double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    unsigned i = 0;
    for (; bytes >= 1024 && i + 1 < array_len(units); i++)
        bytes /= 1024;
    buf_add_fmt(out, i ? "%.1f %s" : "%.0f %s", bytes, units[i]);
}

void text_duration(struct buf *out, double seconds)
{
    bool is_known = seconds >= 0 && seconds < 1e15;
    unsigned long long s = is_known ? (unsigned long long)seconds : 0;
    if (!is_known)
        buf_add_char(out, '-');
    else if (s < 60)
        buf_add_fmt(out, "%llu s", s);
    else if (s < 3600)
        buf_add_fmt(out, "%llu min %llu s", s / 60, s % 60);
    else if (s < 48 * 3600ULL)
        buf_add_fmt(out, "%llu h %llu min", s / 3600, s / 60 % 60);
    else
        buf_add_fmt(out, "%llu d %llu h", s / 86400, s / 3600 % 24);
}

void text_scalar(struct buf *out, const struct json *j)
{
    size_t before = out->len;
    if (j && (j->type == JSON_TRUE || j->type == JSON_FALSE))
        buf_add_str(out, j->type == JSON_TRUE ? "true" : "false");
    else if (j && (j->type == JSON_STRING || j->type == JSON_NUMBER))
        text_clean(out, j->text, "");
    if (out->len == before)
        buf_add_char(out, '-');
}

double ctl_number_of(const struct json *j, double otherwise)
{
    char text[64];
    if (!j || j->type != JSON_NUMBER || j->text.len >= sizeof(text))
        return otherwise;
    memcpy(text, j->text.p, j->text.len);
    text[j->text.len] = '\0';
    return strtod(text, NULL);
}
