/* Walking a tree that has been read: members, pointers, paths, the canonical form. */
#include <larder/base/json.h>

#include <stdlib.h>

const struct json *json_member(const struct json *j, struct span name)
{
    if (!j || j->type != JSON_OBJECT)
        return NULL;
    for (const struct json *c = j->first; c; c = c->next)
        if (span_eq(c->name, name))
            return c;
    return NULL;
}

/* Equal to a reference token of RFC 6901 section 4, in which ~1 is / and ~0 is ~; a ~ before
 * anything else is malformed, and equals nothing. */
static bool is_token(struct span name, struct span token)
{
    size_t n = 0;
    for (size_t i = 0; i < token.len; i++, n++) {
        char c = token.p[i];
        if (c == '~') {
            char code = ++i < token.len ? token.p[i] : '\0';
            if (code != '0' && code != '1')
                return false;
            c = code == '1' ? '/' : '~';
        }
        if (n >= name.len || name.p[n] != c)
            return false;
    }
    return n == name.len;
}

static const struct json *step(const struct json *j, struct span token)
{
    if (j->type == JSON_OBJECT) {
        for (const struct json *c = j->first; c; c = c->next)
            if (is_token(c->name, token))
                return c;
        return NULL;
    }
    uint64_t index;
    if (j->type != JSON_ARRAY || !span_parse_u64(token, &index) ||
        (token.len > 1 && token.p[0] == '0'))
        return NULL;
    const struct json *c = j->first;
    while (c && index--)
        c = c->next;
    return c;
}

const struct json *json_pointer(const struct json *root, struct span pointer)
{
    if (pointer.len == 0 || !root)
        return root;
    if (pointer.p[0] != '/')
        return NULL;
    struct span rest = span_of(pointer.p + 1, pointer.len - 1);
    while (root && rest.p)
        root = step(root, span_split(rest, '/', &rest));
    return root;
}

static bool is_plain(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '-')
            return false;
    }
    return name.len > 0;
}

/* .ttl, or ["two words"] where a point would mislead. */
static void format_step(struct span name, struct buf *out)
{
    if (is_plain(name)) {
        buf_add_char(out, '.');
        buf_add_span(out, name);
        return;
    }
    buf_add_char(out, '[');
    json_string_format(name, out);
    buf_add_char(out, ']');
}

void json_path_format(const struct json *j, struct buf *out)
{
    if (!j->parent) {
        buf_add_char(out, '$');
        return;
    }
    json_path_format(j->parent, out);
    if (j->parent->type == JSON_OBJECT) {
        format_step(j->name, out);
        return;
    }
    uint64_t index = 0;
    for (const struct json *c = j->parent->first; c != j; c = c->next)
        index++;
    buf_add_char(out, '[');
    buf_add_u64(out, index);
    buf_add_char(out, ']');
}

static int by_name(const void *a, const void *b)
{
    const struct json *x = *(const struct json *const *)a, *y = *(const struct json *const *)b;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int rc = n ? memcmp(x->name.p, y->name.p, n) : 0;
    return rc ? rc : (x->name.len > y->name.len) - (x->name.len < y->name.len);
}

static void format_sorted(const struct json *j, struct buf *out)
{
    const struct json **members = calloc(j->count ? j->count : 1, sizeof(*members));
    if (!members) {
        out->failed = out->no_memory = true;
        return;
    }
    size_t n = 0;
    for (const struct json *c = j->first; c; c = c->next)
        members[n++] = c;
    qsort(members, n, sizeof(*members), by_name);
    buf_add_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        json_string_format(members[i]->name, out);
        buf_add_char(out, ':');
        json_canonical_format(members[i], out);
    }
    buf_add_char(out, '}');
    free(members);
}

static void format(const struct json *j, bool is_sorted, struct buf *out)
{
    switch (j->type) {
    case JSON_NULL:
        buf_add_str(out, "null");
        return;
    case JSON_FALSE:
        buf_add_str(out, "false");
        return;
    case JSON_TRUE:
        buf_add_str(out, "true");
        return;
    case JSON_NUMBER:
        buf_add_span(out, j->text);
        return;
    case JSON_STRING:
        json_string_format(j->text, out);
        return;
    case JSON_OBJECT:
        if (is_sorted) {
            format_sorted(j, out);
            return;
        }
        break;
    case JSON_ARRAY:
        break;
    }
    bool is_object = j->type == JSON_OBJECT;
    buf_add_char(out, is_object ? '{' : '[');
    for (const struct json *c = j->first; c; c = c->next) {
        if (c != j->first)
            buf_add_char(out, ',');
        if (is_object) {
            json_string_format(c->name, out);
            buf_add_char(out, ':');
        }
        format(c, is_sorted, out);
    }
    buf_add_char(out, is_object ? '}' : ']');
}

void json_canonical_format(const struct json *j, struct buf *out)
{
    format(j, true, out);
}

void json_format(const struct json *j, struct buf *out)
{
    format(j, false, out);
}

const char *json_type_name(enum json_type t)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",        [JSON_FALSE] = "a boolean", [JSON_TRUE] = "a boolean",
        [JSON_NUMBER] = "a number",  [JSON_STRING] = "a string", [JSON_ARRAY] = "an array",
        [JSON_OBJECT] = "an object",
    };
    return names[t];
}
