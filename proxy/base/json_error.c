/* yajl says that a token is wrong, and roughly where. What a person needs is the byte and the
 * mend, so the text is read again from the last good token on: at most one `,` or `:` is right
 * there, then comes what is wrong. */
#include "json-internal.h"

#include <ctype.h>

struct spot {
    const struct syntax_error *e;
    size_t at;   /* of the bad token */
    char c;      /* its first byte; NUL at the end of the text */
    char before; /* the `,` or `:` between it and the last good token, or NUL */
    size_t before_at;
    struct buf *what;
};

static unsigned line_of(const struct syntax_error *e, size_t offset)
{
    unsigned line, col;
    source_place(e->source, offset, &line, &col);
    return line;
}

static struct spot find_spot(const struct syntax_error *e, struct buf *what)
{
    struct spot s = {.e = e, .what = what};
    s.at = source_skip_space(e->source, e->token_end, e->may_comment);
    while (s.at < e->source.len && (e->at_end || e->is_lexical || s.at + 1 < e->consumed) &&
           (e->source.p[s.at] == ',' || e->source.p[s.at] == ':')) {
        s.before = e->source.p[s.at];
        s.before_at = s.at;
        s.at = source_skip_space(e->source, s.at + 1, e->may_comment);
    }
    if (s.at < e->source.len)
        s.c = e->source.p[s.at];
    return s;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_numeric(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.';
}

static bool starts_value(char c)
{
    return c == '"' || c == '[' || c == '{' || is_word(c) || is_numeric(c);
}

static struct span word_at(const struct spot *s)
{
    size_t end = s->at;
    while (end < s->e->source.len && end - s->at < 40 &&
           (is_word(s->e->source.p[end]) || is_numeric(s->e->source.p[end])))
        end++;
    return span_of(s->e->source.p + s->at, end - s->at);
}

static char closing_of(const struct json *open)
{
    return open->type == JSON_OBJECT ? '}' : ']';
}

/* Whether the escape at <at> is one of RFC 8259 section 7. */
static bool is_escape(struct span s, size_t at)
{
    if (at + 1 >= s.len || !s.p[at + 1] || !strchr("\"\\/bfnrtu", s.p[at + 1]))
        return false;
    if (s.p[at + 1] != 'u')
        return true;
    size_t end = at + 2;
    while (end < s.len && end < at + 6 && isxdigit((unsigned char)s.p[end]))
        end++;
    return end == at + 6;
}

/* yajl's offset lies now on the bad byte and now behind it, so the string is read again. */
static size_t explain_string(const struct spot *s)
{
    struct span source = s->e->source;
    const unsigned char *p = (const unsigned char *)source.p;
    size_t at = s->at + 1, n = 1;
    for (; at < source.len && p[at] >= 0x20; at += n) {
        n = p[at] == '\\' ? 2 * is_escape(source, at) : utf8_sequence_len(p + at, source.len - at);
        if (n == 0)
            break;
    }
    if (at >= source.len)
        buf_add_str(s->what, "the string is malformed");
    else if (p[at] < 0x20)
        buf_add_fmt(s->what,
                    "control character 0x%02x in a string; write \\u%04x, or '\"' before it", p[at],
                    p[at]);
    else if (p[at] == '\\')
        buf_add_str(s->what, "this makes no escape; write \\\\ for a backslash, or one of "
                             "\\\" \\/ \\b \\f \\n \\r \\t \\uXXXX");
    else
        buf_add_str(s->what, "bytes that are no UTF-8; save the text as UTF-8");
    return at;
}

static void explain_comment(const struct spot *s)
{
    const struct syntax_error *e = s->e;
    bool is_open = s->c == '/' && s->at + 1 < e->source.len && e->source.p[s->at + 1] == '*';
    if (!e->may_comment)
        buf_add_str(s->what, "comments are not allowed here; remove it");
    else if (is_open)
        buf_add_str(s->what, "the comment that begins here is not closed; write */ at its end");
    else
        buf_add_fmt(s->what, "'%c' begins no comment; write // or /* */", s->c);
}

/* What could be a value, but not here. */
static void explain_order(const struct spot *s)
{
    const struct syntax_error *e = s->e;
    if (!e->open)
        buf_add_str(s->what, "more follows the value; remove it, or put all into one array");
    else if (e->has_name && !s->before)
        buf_add_str(s->what, "the name before has no ':'; write one between name and value");
    else if (e->open->first && !s->before)
        buf_add_str(s->what, "no ',' before this; write one");
    else
        buf_add_str(s->what, "a member's name is wanted here; write it in double quotes");
}

static size_t explain_end(const struct spot *s)
{
    const struct syntax_error *e = s->e;
    if (s->c == '"') {
        buf_add_str(s->what, "the string that begins here is not closed; write '\"' at its end");
        return s->at;
    }
    if (s->c == '/' && e->may_comment) {
        explain_comment(s);
        return s->at;
    }
    if (!e->open && e->root) {
        explain_order(s);
        return s->at;
    }
    if (e->open)
        buf_add_fmt(s->what, "the text ends, but '%c' of line %u is not closed; write '%c'",
                    e->open->type == JSON_OBJECT ? '{' : '[', line_of(e, e->open->offset),
                    closing_of(e->open));
    else
        buf_add_str(s->what, "there is no value; write one, such as {}");
    return e->source.len;
}

static size_t explain_closing(const struct spot *s)
{
    const struct syntax_error *e = s->e;
    if (!e->open) {
        buf_add_fmt(s->what, "'%c' closes nothing; remove it", s->c);
    } else if (s->before == ',') {
        buf_add_fmt(s->what, "a comma before '%c'; remove it", s->c);
        return s->before_at;
    } else if (e->has_name) {
        buf_add_fmt(s->what, "the member has no value; write %s before '%c'",
                    s->before ? "one" : "':' and one", s->c);
    } else {
        buf_add_fmt(s->what, "'%c' closes what line %u opened; write '%c'", s->c,
                    line_of(e, e->open->offset), closing_of(e->open));
    }
    return s->at;
}

static void explain_punctuation(const struct spot *s)
{
    if (s->c == ',' && s->e->has_name)
        buf_add_fmt(s->what, "the member has no value; write %s before ','",
                    s->before ? "one" : "':' and one");
    else if (s->c == ',')
        buf_add_str(s->what, "nothing stands before ','; write a value there, or remove it");
    else
        buf_add_str(s->what, "':' belongs between a member's name and its value; remove it");
}

/* 01, 0x10 and 1_000 are a number to yajl, with something else right behind it. */
static bool is_glued(const struct spot *s)
{
    return s->at > 0 && s->at == s->e->token_end && (is_word(s->c) || is_numeric(s->c)) &&
           is_numeric(s->e->source.p[s->at - 1]);
}

/* What is no value at all, wherever it stands; false: it could be one. */
static bool explain_token(const struct spot *s)
{
    struct span word = word_at(s);
    if (span_starts_with(s->e->source, SPAN_LIT("\xef\xbb\xbf")) && s->at == 0)
        buf_add_str(s->what, "a byte order mark; save the text without one");
    else if (s->c == '/' || s->c == '#')
        explain_comment(s);
    else if (s->c == '\'')
        buf_add_str(s->what, "a single quote; write strings in double quotes");
    else if (s->c == ',' || s->c == ':')
        explain_punctuation(s);
    else if (is_glued(s))
        buf_add_fmt(s->what,
                    "%.*s right behind a number; write it like 10, -1.5 or 2e9, without "
                    "leading zeros",
                    SPAN_ARG(word));
    else if (!starts_value(s->c))
        buf_add_fmt(s->what, "byte 0x%02x has no place in JSON; remove it", (unsigned char)s->c);
    else if (s->e->is_lexical && is_numeric(s->c))
        buf_add_fmt(s->what, "%.*s is no number; write it like 10, -1.5 or 2e9", SPAN_ARG(word));
    else if (s->e->is_lexical && is_word(s->c))
        buf_add_fmt(s->what, "%.*s is no value; write true, false, null or \"%.*s\"",
                    SPAN_ARG(word), SPAN_ARG(word));
    else
        return false;
    return true;
}

/* yajl finds a bare word bad in itself; where a name or a comma is wanted, say that. */
static bool is_bare_name(const struct spot *s)
{
    return is_word(s->c) && s->e->open && !s->e->has_name && !is_glued(s) &&
           (s->e->open->type == JSON_OBJECT || (s->e->open->first && !s->before));
}

size_t syntax_error_explain(const struct syntax_error *e, struct buf *what)
{
    struct spot s = find_spot(e, what);
    if (s.c == '}' || s.c == ']')
        return explain_closing(&s);
    if (e->at_end && (s.c == '"' || !e->is_lexical))
        return explain_end(&s);
    if (s.c == '"' && e->is_lexical)
        return explain_string(&s);
    if (is_bare_name(&s) || !explain_token(&s))
        explain_order(&s);
    return s.at;
}
