/* JSON as text: commas where they belong, strings escaped, whatever the locale. */
#include "json-internal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

enum { DECIMALS_MAX = 17 };

static void add_escaped(struct buf *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    switch (c) {
    case '"':
        buf_add_str(out, "\\\"");
        return;
    case '\\':
        buf_add_str(out, "\\\\");
        return;
    case '\n':
        buf_add_str(out, "\\n");
        return;
    case '\r':
        buf_add_str(out, "\\r");
        return;
    case '\t':
        buf_add_str(out, "\\t");
        return;
    default:
        buf_add_str(out, "\\u00");
        buf_add_char(out, digits[c >> 4]);
        buf_add_char(out, digits[c & 15]);
    }
}

void json_string_format(struct span s, struct buf *out)
{
    buf_add_char(out, '"');
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0, n; i < s.len; i += n) {
        n = utf8_sequence_len(p + i, s.len - i);
        if (n == 0) {
            buf_add_str(out, "\xef\xbf\xbd");
            n = 1;
        } else if (p[i] < 0x20 || p[i] == '"' || p[i] == '\\' || p[i] == 0x7f) {
            add_escaped(out, p[i]);
        } else {
            buf_add(out, p + i, n);
        }
    }
    buf_add_char(out, '"');
}

void json_writer_init(struct json_writer *w, struct buf *out)
{
    *w = (struct json_writer){.out = out};
}

void json_write_name(struct json_writer *w, struct span name)
{
    if (w->need_comma)
        buf_add_char(w->out, ',');
    json_string_format(name, w->out);
    buf_add_char(w->out, ':');
    w->need_comma = false;
}

static void begin(struct json_writer *w, const char *name)
{
    if (name)
        json_write_name(w, span_str(name));
    else if (w->need_comma)
        buf_add_char(w->out, ',');
    w->need_comma = true;
}

void json_write_object(struct json_writer *w, const char *name)
{
    begin(w, name);
    buf_add_char(w->out, '{');
    w->need_comma = false;
}

void json_write_object_end(struct json_writer *w)
{
    buf_add_char(w->out, '}');
    w->need_comma = true;
}

void json_write_array(struct json_writer *w, const char *name)
{
    begin(w, name);
    buf_add_char(w->out, '[');
    w->need_comma = false;
}

void json_write_array_end(struct json_writer *w)
{
    buf_add_char(w->out, ']');
    w->need_comma = true;
}

void json_write_span(struct json_writer *w, const char *name, struct span value)
{
    begin(w, name);
    json_string_format(value, w->out);
}

void json_write_str(struct json_writer *w, const char *name, const char *value)
{
    begin(w, name);
    if (value)
        json_string_format(span_str(value), w->out);
    else
        buf_add_str(w->out, "null");
}

void json_write_u64(struct json_writer *w, const char *name, uint64_t value)
{
    begin(w, name);
    buf_add_u64(w->out, value);
}

void json_write_i64(struct json_writer *w, const char *name, int64_t value)
{
    begin(w, name);
    if (value < 0)
        buf_add_char(w->out, '-');
    buf_add_u64(w->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* printf rounds well but takes the point from the locale: the digits around it are what is kept. */
void json_write_double(struct json_writer *w, const char *name, double value, int decimals)
{
    char text[DBL_MAX_10_EXP + DECIMALS_MAX + 16];
    begin(w, name);
    if (!isfinite(value)) {
        buf_add_str(w->out, "null");
        return;
    }
    decimals = decimals < 0 ? 0 : decimals > DECIMALS_MAX ? DECIMALS_MAX : decimals;
    int len = snprintf(text, sizeof(text), "%.*f", decimals, fabs(value));
    size_t whole = strspn(text, "0123456789");
    const char *fraction = text + len - decimals;
    bool is_zero = strspn(text, "0") == whole && strspn(fraction, "0") == (size_t)decimals;
    if (value < 0 && !is_zero)
        buf_add_char(w->out, '-');
    buf_add(w->out, text, whole);
    if (decimals == 0)
        return;
    buf_add_char(w->out, '.');
    buf_add(w->out, fraction, (size_t)decimals);
}

void json_write_bool(struct json_writer *w, const char *name, bool value)
{
    begin(w, name);
    buf_add_str(w->out, value ? "true" : "false");
}
