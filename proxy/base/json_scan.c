/* yajl's events with the path that led to them. For each open container a set of bits says which
 * patterns its own path still fits, so that a value costs as much as its depth's one token.
 *
 * yajl is kinder than RFC 8259 in two things that matter: white space that JSON has not, and bytes
 * in strings that are no UTF-8 (it refuses malformed sequences, but takes encoded surrogates).
 * Both are looked for beside it, the first between tokens by a small reader of quotes. */
#include <larder/base/json_scan.h>

#include "json-internal.h"

#include <stdlib.h>
#include <yajl/yajl_parse.h>

struct pattern {
    unsigned token_count;
    struct span *tokens; /* unescaped */
};

struct level {
    bool is_array;
    size_t count;    /* children so far */
    uint64_t fits;   /* patterns whose first tokens are this container's path */
    uint64_t member; /* of an object: those that the present member's name goes on with */
};

struct json_scan {
    yajl_handle yajl;
    unsigned count, depth, max_depth;
    struct pattern patterns[JSON_SCAN_PATTERNS_MAX];
    char *texts; /* of all tokens */
    struct level levels[JSON_SCAN_DEPTH_MAX + 1];
    void (*on_value)(void *arg, unsigned pattern, const struct json_value *v);
    void *arg;
    bool is_in_string, is_escaped, has_value;
    enum err_code code;
};

/* A token without its escapes (RFC 6901 section 4), placed at *at. */
static struct span unescape(struct span raw, char **at)
{
    char *p = *at;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.p[i];
        if (c == '~' && i + 1 < raw.len)
            c = raw.p[++i] == '1' ? '/' : '~';
        *(*at)++ = c;
    }
    return span_of(p, (size_t)(*at - p));
}

static bool read_pattern(struct pattern *p, struct span text, char **at)
{
    unsigned slashes = 0;
    for (size_t i = 0; i < text.len; i++)
        slashes += text.p[i] == '/';
    p->tokens = calloc(slashes + 1, sizeof(*p->tokens));
    if (!p->tokens)
        return false;
    struct span rest;
    (void)span_split(text, '/', &rest); /* before the first slash is nothing */
    while (rest.p)
        p->tokens[p->token_count++] = unescape(span_split(rest, '/', &rest), at);
    return true;
}

/* --- where we are --- */

static uint64_t all_patterns(const struct json_scan *s)
{
    return s->count == 64 ? UINT64_MAX : (1ull << s->count) - 1;
}

/* Those of <among>, at depth <depth>, that go on with a name or an index. */
static uint64_t going_on(const struct json_scan *s, uint64_t among, unsigned depth,
                         struct span name)
{
    uint64_t fits = 0;
    for (unsigned i = 0; i < s->count; i++) {
        const struct pattern *p = &s->patterns[i];
        if (!(among >> i & 1) || p->token_count <= depth)
            continue;
        if (span_eq(p->tokens[depth], SPAN_LIT("*")) || span_eq(p->tokens[depth], name))
            fits |= 1ull << i;
    }
    return fits;
}

/* The patterns that the value which begins now is named by, as far as its path goes. */
static uint64_t fits_value(struct json_scan *s)
{
    struct level *l = &s->levels[s->depth];
    if (s->depth == 0)
        return all_patterns(s);
    if (!l->is_array)
        return l->member;
    char block[24];
    struct buf index;
    if (!l->fits)
        return 0;
    buf_init_fixed(&index, block, sizeof(block));
    buf_add_u64(&index, l->count);
    return going_on(s, l->fits, s->depth - 1, buf_span(&index));
}

static void tell(struct json_scan *s, uint64_t fits, unsigned depth, const struct json_value *v)
{
    for (unsigned i = 0; fits && i < s->count; i++)
        if (fits >> i & 1 && s->patterns[i].token_count == depth)
            s->on_value(s->arg, i, v);
}

static void value_ended(struct json_scan *s)
{
    s->levels[s->depth].count++;
    s->has_value = true;
}

static int scalar(struct json_scan *s, const struct json_value *v)
{
    tell(s, fits_value(s), s->depth, v);
    value_ended(s);
    return 1;
}

/* --- yajl's events --- */

static int on_null(void *s)
{
    return scalar(s, &(struct json_value){.type = JSON_NULL});
}

static int on_bool(void *s, int value)
{
    return scalar(s, &(struct json_value){.type = value ? JSON_TRUE : JSON_FALSE});
}

static int on_number(void *s, const char *p, size_t len)
{
    return scalar(s, &(struct json_value){.type = JSON_NUMBER, .text = span_of(p, len)});
}

static bool is_text(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0, n; i < s.len; i += n) {
        n = utf8_sequence_len(p + i, s.len - i);
        if (n == 0)
            return false;
    }
    return true;
}

static int on_string(void *arg, const unsigned char *p, size_t len)
{
    struct span text = span_of((const char *)p, len);
    if (!is_text(text))
        return 0;
    return scalar(arg, &(struct json_value){.type = JSON_STRING, .text = text});
}

static int on_name(void *arg, const unsigned char *p, size_t len)
{
    struct json_scan *s = arg;
    struct level *l = &s->levels[s->depth];
    struct span name = span_of((const char *)p, len);
    l->member = l->fits ? going_on(s, l->fits, s->depth - 1, name) : 0;
    return is_text(name);
}

static int begin(struct json_scan *s, bool is_array)
{
    uint64_t fits = fits_value(s);
    if (s->depth == s->max_depth)
        return 0;
    s->levels[++s->depth] = (struct level){.is_array = is_array, .fits = fits};
    return 1;
}

static int on_object(void *s)
{
    return begin(s, false);
}

static int on_array(void *s)
{
    return begin(s, true);
}

static int on_end(void *arg)
{
    struct json_scan *s = arg;
    struct level *l = &s->levels[s->depth--];
    struct json_value v = {.type = l->is_array ? JSON_ARRAY : JSON_OBJECT, .count = l->count};
    tell(s, l->fits, s->depth, &v);
    value_ended(s);
    return 1;
}

static const yajl_callbacks callbacks = {.yajl_null = on_null,
                                         .yajl_boolean = on_bool,
                                         .yajl_number = on_number,
                                         .yajl_string = on_string,
                                         .yajl_start_map = on_object,
                                         .yajl_map_key = on_name,
                                         .yajl_end_map = on_end,
                                         .yajl_start_array = on_array,
                                         .yajl_end_array = on_end};

struct json_scan *
json_scan_new(const struct span *patterns, unsigned count, unsigned max_depth,
              void (*on_value)(void *arg, unsigned pattern, const struct json_value *v), void *arg)
{
    size_t bytes = 1;
    struct json_scan *s = count <= JSON_SCAN_PATTERNS_MAX ? calloc(1, sizeof(*s)) : NULL;
    if (!s)
        return NULL;
    for (unsigned i = 0; i < count; i++)
        bytes += patterns[i].len;
    s->max_depth = max_depth < JSON_SCAN_DEPTH_MAX ? max_depth : JSON_SCAN_DEPTH_MAX;
    s->on_value = on_value;
    s->arg = arg;
    s->texts = malloc(bytes);
    s->yajl = yajl_alloc(&callbacks, NULL, s);
    char *at = s->texts;
    bool is_good = s->texts && s->yajl;
    for (; is_good && s->count < count; s->count++)
        is_good = read_pattern(&s->patterns[s->count], patterns[s->count], &at);
    if (is_good)
        return s;
    json_scan_free(s);
    return NULL;
}

/* White space that yajl would pass over, outside of strings. */
static bool has_odd_space(struct json_scan *s, struct span piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        char c = piece.p[i];
        if (s->is_escaped)
            s->is_escaped = false;
        else if (s->is_in_string && c == '\\')
            s->is_escaped = true;
        else if (c == '"')
            s->is_in_string = !s->is_in_string;
        else if (!s->is_in_string && (c == '\v' || c == '\f'))
            return true;
    }
    return false;
}

enum err_code json_scan_feed(struct json_scan *s, struct span piece)
{
    if (s->code || piece.len == 0)
        return s->code;
    yajl_status rc = yajl_parse(s->yajl, (const unsigned char *)piece.p, piece.len);
    if (rc != yajl_status_ok || has_odd_space(s, piece))
        s->code = ERR_SYNTAX;
    return s->code;
}

enum err_code json_scan_end(struct json_scan *s)
{
    if (!s->code && (yajl_complete_parse(s->yajl) != yajl_status_ok || s->depth || !s->has_value))
        s->code = ERR_SYNTAX;
    return s->code;
}

void json_scan_free(struct json_scan *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->count || (i < JSON_SCAN_PATTERNS_MAX && s->patterns[i].tokens); i++)
        free(s->patterns[i].tokens);
    if (s->yajl)
        yajl_free(s->yajl);
    free(s->texts);
    free(s);
}

void json_scan_freep(struct json_scan **s)
{
    json_scan_free(*s);
}
