/* A document's memory comes in chunks and goes as a whole: nodes and texts are never freed alone.
 */
#include "json-internal.h"

#include <larder/base/wipe.h>

#include <stdlib.h>

enum { ARENA_CHUNK = 16 * 1024 };

static struct arena *arena_new(size_t least, struct arena *next)
{
    size_t cap = least > ARENA_CHUNK ? least : ARENA_CHUNK;
    struct arena *a = malloc(sizeof(*a) + cap);
    if (a)
        *a = (struct arena){.next = next, .cap = cap};
    return a;
}

void *doc_alloc(struct json_doc *doc, size_t len)
{
    len = (len + 7) & ~(size_t)7;
    if (!doc->arena || doc->arena->cap - doc->arena->used < len) {
        struct arena *a = arena_new(len, doc->arena);
        if (!a)
            return NULL;
        doc->arena = a;
    }
    void *p = doc->arena->bytes + doc->arena->used;
    doc->arena->used += len;
    return p;
}

struct span doc_copy(struct json_doc *doc, const void *p, size_t len)
{
    char *copy = doc_alloc(doc, len ? len : 1); /* an empty text has a place, too */
    if (copy && len)
        memcpy(copy, p, len);
    return span_of(copy, copy ? len : 0);
}

struct json_doc *doc_new(struct span source)
{
    cleanup(json_doc_freep) struct json_doc *doc = calloc(1, sizeof(*doc));
    if (!doc || !(doc->source = malloc(source.len + 1)))
        return NULL;
    if (source.len)
        memcpy(doc->source, source.p, source.len);
    doc->source_len = source.len;
    return take(doc);
}

void json_doc_free(struct json_doc *doc)
{
    if (!doc)
        return;
    while (doc->arena) {
        struct arena *next = doc->arena->next;
        wipe_free(doc->arena);
        doc->arena = next;
    }
    wipe_free(doc->source);
    free(doc);
}

void json_doc_freep(struct json_doc **doc)
{
    json_doc_free(*doc);
}

const struct json *json_root(const struct json_doc *doc)
{
    return doc->root;
}

void source_place(struct span source, size_t offset, unsigned *ret_line, unsigned *ret_col)
{
    unsigned line = 1, col = 1;
    for (size_t i = 0; i < offset && i < source.len; i++) {
        bool is_end = source.p[i] == '\n';
        line += is_end;
        col = is_end ? 1 : col + 1;
    }
    *ret_line = line;
    *ret_col = col;
}

void json_place(const struct json_doc *doc, uint32_t offset, unsigned *ret_line, unsigned *ret_col)
{
    source_place(span_of(doc->source, doc->source_len), offset, ret_line, ret_col);
}

/* Where the comment that begins at <at> ends; <at> itself if none does. */
static size_t skip_comment(struct span s, size_t at)
{
    if (at + 1 >= s.len)
        return at;
    if (s.p[at + 1] == '/') {
        const char *end = memchr(s.p + at, '\n', s.len - at);
        return end ? (size_t)(end - s.p) : s.len;
    }
    if (s.p[at + 1] != '*')
        return at;
    const char *end = memmem(s.p + at + 2, s.len - at - 2, "*/", 2);
    return end ? (size_t)(end + 2 - s.p) : at;
}

size_t source_skip_space(struct span source, size_t at, bool may_comment)
{
    for (;;) {
        while (at < source.len && strchr(" \t\r\n", source.p[at]) && source.p[at])
            at++;
        if (!may_comment || at == source.len || source.p[at] != '/')
            return at;
        size_t end = skip_comment(source, at);
        if (end == at)
            return at;
        at = end;
    }
}
