/* JSON as text: commas where they belong, strings escaped, whatever the locale. */
#include <larder/base/json.h>

#include <math.h>

/* Length of the valid UTF-8 sequence at <p>, or 0 (RFC 3629: no overlong form, no surrogate). */
static size_t utf8_len(const unsigned char *p, size_t left)
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
        n = utf8_len(p + i, s.len - i);
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

void json_write_double(struct json_writer *w, const char *name, double value, int decimals)
{
    begin(w, name);
    if (!isfinite(value) || fabs(value) > 1e15) {
        buf_add_str(w->out, "null");
        return;
    }
    uint64_t scale = 1;
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    uint64_t scaled = (uint64_t)(fabs(value) * (double)scale + 0.5);
    if (value < 0 && scaled)
        buf_add_char(w->out, '-');
    buf_add_u64(w->out, scaled / scale);
    if (decimals == 0)
        return;
    buf_add_char(w->out, '.');
    for (uint64_t unit = scale / 10, rest = scaled % scale; unit; unit /= 10)
        buf_add_char(w->out, (char)('0' + rest / unit % 10));
}

void json_write_bool(struct json_writer *w, const char *name, bool value)
{
    begin(w, name);
    buf_add_str(w->out, value ? "true" : "false");
}
