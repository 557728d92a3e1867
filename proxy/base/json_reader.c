/* yajl's streaming parser builds a tree in an arena. yajl knows only where a token ends, so each
 * token's start is found by walking on from the end of the one before, over white space, comments
 * and punctuation. Duplicate members are found by a set of (object, name) hashes. */
#include <larder/base/json.h>

#include <larder/base/hash.h>

#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

enum { ARENA_CHUNK = 16 * 1024, TEXT_MAX = 16 * 1024 * 1024 };

struct arena {
    struct arena *next;
    size_t used, cap;
    char bytes[];
};

struct json_doc {
    struct json *root;
    struct arena *arena;
    char *source; /* for places */
    size_t source_len;
};

struct name_set {
    struct hash128 *slots; /* hi|lo == 0: free */
    size_t count, cap;
};

struct reader {
    struct json_doc *doc;
    yajl_handle yajl;
    struct json *at;      /* the open array or object */
    struct json *last;    /* its last child */
    struct span name;     /* of the member to come */
    uint32_t name_offset;
    size_t token_end;     /* of the token before */
    unsigned depth, max_depth;
    struct name_set names;
    struct err *err;
    const char *file;
    enum err_code code;
};

static void *arena_take(struct json_doc *doc, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    struct arena *a = doc->arena;
    if (!a || a->cap - a->used < n) {
        size_t cap = n > ARENA_CHUNK ? n : ARENA_CHUNK;
        a = malloc(sizeof(*a) + cap);
        if (!a)
            return NULL;
        *a = (struct arena){.next = doc->arena, .cap = cap};
        doc->arena = a;
    }
    void *p = a->bytes + a->used;
    a->used += n;
    return p;
}

static bool names_grow(struct name_set *s)
{
    size_t cap = s->cap ? s->cap * 2 : 64;
    struct hash128 *slots = calloc(cap, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < s->cap; i++) {
        struct hash128 h = s->slots[i];
        if (!h.hi && !h.lo)
            continue;
        size_t at = h.lo & (cap - 1);
        while (slots[at].hi || slots[at].lo)
            at = (at + 1) & (cap - 1);
        slots[at] = h;
    }
    free(s->slots);
    s->slots = slots;
    s->cap = cap;
    return true;
}

/* 1: added; 0: it was there; -1: no memory. */
static int names_add(struct name_set *s, const struct json *object, struct span name)
{
    if (s->count * 2 >= s->cap && !names_grow(s))
        return -1;
    struct hash128 h = hash128_of(name.p ? name.p : "", name.len);
    uint64_t place = (uint64_t)(uintptr_t)object * 0x9e3779b97f4a7c15u;
    h.hi ^= place;
    h.lo ^= place >> 7;
    h.lo |= (h.hi == 0 && h.lo == 0);
    size_t at = h.lo & (s->cap - 1);
    while (s->slots[at].hi || s->slots[at].lo) {
        if (s->slots[at].hi == h.hi && s->slots[at].lo == h.lo)
            return 0;
        at = (at + 1) & (s->cap - 1);
    }
    s->slots[at] = h;
    s->count++;
    return 1;
}

static void place_of(const char *text, size_t len, size_t offset, unsigned *line, unsigned *col)
{
    unsigned l = 1, c = 1;
    for (size_t i = 0; i < offset && i < len; i++) {
        if (text[i] == '\n') {
            l++;
            c = 1;
        } else {
            c++;
        }
    }
    *line = l;
    *col = c;
}

static int fail(struct reader *r, enum err_code code, size_t offset, const char *what)
{
    char where[192];
    unsigned line, col;
    r->code = code;
    place_of(r->doc->source, r->doc->source_len, offset, &line, &col);
    snprintf(where, sizeof(where), "%s%s%u:%u", r->file ? r->file : "", r->file ? ":" : "", line,
             col);
    err_set(r->err, code, where, "%s", what);
    return 0; /* yajl: cancel */
}

/* Where the token that ends at yajl's present offset begins. */
static size_t token_start(struct reader *r)
{
    const char *s = r->doc->source;
    size_t i = r->token_end, len = r->doc->source_len;
    while (i < len) {
        char c = s[i];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ':') {
            i++;
        } else if (c == '/' && i + 1 < len && s[i + 1] == '/') {
            while (i < len && s[i] != '\n')
                i++;
        } else if (c == '/' && i + 1 < len && s[i + 1] == '*') {
            i += 2;
            while (i + 1 < len && !(s[i] == '*' && s[i + 1] == '/'))
                i++;
            i += 2;
        } else {
            break;
        }
    }
    r->token_end = yajl_get_bytes_consumed(r->yajl);
    return i < len ? i : len;
}

static struct json *add_node(struct reader *r, enum json_type type)
{
    struct json *j = arena_take(r->doc, sizeof(*j));
    if (!j) {
        fail(r, ERR_NOMEM, 0, "out of memory");
        return NULL;
    }
    size_t start = token_start(r);
    *j = (struct json){.type = type,
                       .name = r->name,
                       .name_offset = r->name_offset,
                       .parent = r->at,
                       .offset = (uint32_t)start};
    r->name = span_of(NULL, 0);
    if (!r->at)
        r->doc->root = j;
    else if (r->last)
        r->last->next = j;
    else
        r->at->first = j;
    if (r->at)
        r->at->count++;
    r->last = j;
    return j;
}

static int add_text(struct reader *r, enum json_type type, const char *p, size_t len)
{
    struct json *j = add_node(r, type);
    char *copy = j ? arena_take(r->doc, len + 1) : NULL;
    if (!copy)
        return j ? fail(r, ERR_NOMEM, 0, "out of memory") : 0;
    memcpy(copy, p, len);
    copy[len] = '\0';
    j->text = span_of(copy, len);
    return 1;
}

static int open_node(struct reader *r, enum json_type type)
{
    struct json *j = add_node(r, type);
    if (!j)
        return 0;
    if (++r->depth > r->max_depth)
        return fail(r, ERR_SYNTAX, j->offset, "nested too deeply");
    r->at = j;
    r->last = NULL;
    return 1;
}

static int close_node(struct reader *r)
{
    token_start(r);
    r->depth--;
    r->last = r->at;
    r->at = r->at->parent;
    return 1;
}

static int on_null(void *r)
{
    return add_node(r, JSON_NULL) != NULL;
}

static int on_bool(void *r, int v)
{
    return add_node(r, v ? JSON_TRUE : JSON_FALSE) != NULL;
}

static int on_number(void *r, const char *p, size_t len)
{
    return add_text(r, JSON_NUMBER, p, len);
}

static int on_string(void *r, const unsigned char *p, size_t len)
{
    return add_text(r, JSON_STRING, (const char *)p, len);
}

static int on_map(void *r)
{
    return open_node(r, JSON_OBJECT);
}

static int on_array(void *r)
{
    return open_node(r, JSON_ARRAY);
}

static int on_end(void *r)
{
    return close_node(r);
}

static int on_key(void *arg, const unsigned char *p, size_t len)
{
    struct reader *r = arg;
    char *copy = arena_take(r->doc, len + 1);
    if (!copy)
        return fail(r, ERR_NOMEM, 0, "out of memory");
    memcpy(copy, p, len);
    copy[len] = '\0';
    r->name = span_of(copy, len);
    r->name_offset = (uint32_t)token_start(r);
    int rc = names_add(&r->names, r->at, r->name);
    if (rc < 0)
        return fail(r, ERR_NOMEM, 0, "out of memory");
    if (rc == 0) {
        char what[160];
        snprintf(what, sizeof(what), "member \"%.80s\" is there twice; leave one of them", copy);
        return fail(r, ERR_SYNTAX, r->name_offset, what);
    }
    return 1;
}

static const yajl_callbacks callbacks = {.yajl_null = on_null,
                                         .yajl_boolean = on_bool,
                                         .yajl_number = on_number,
                                         .yajl_string = on_string,
                                         .yajl_start_map = on_map,
                                         .yajl_map_key = on_key,
                                         .yajl_end_map = on_end,
                                         .yajl_start_array = on_array,
                                         .yajl_end_array = on_end};

/* yajl's words, with what would be right where we know it. */
static void fail_syntax(struct reader *r, bool at_end)
{
    if (r->code)
        return; /* cancelled by us: said already */
    size_t offset = at_end ? r->doc->source_len : yajl_get_bytes_consumed(r->yajl);
    unsigned char *text = yajl_get_error(r->yajl, 0, NULL, 0);
    char what[256];
    const char *words = text ? (const char *)text : "malformed";
    int len = (int)strcspn(words, "\n");
    const char *hint = "";
    if (at_end)
        hint = "; the text ends too early: a bracket, quote or comment is not closed";
    else if (strstr(words, "unallowed token") || strstr(words, "object key"))
        hint = "; is there a comma too many, or one missing, just before?";
    snprintf(what, sizeof(what), "%.*s%s", len, words, hint);
    if (text)
        yajl_free_error(r->yajl, text);
    fail(r, ERR_SYNTAX, offset, what);
}

static enum err_code run(struct reader *r, struct span text, unsigned flags)
{
    r->yajl = yajl_alloc(&callbacks, NULL, r);
    if (!r->yajl)
        return err_set(r->err, ERR_NOMEM, r->file, "out of memory");
    yajl_config(r->yajl, yajl_allow_comments, flags & JSON_COMMENTS ? 1 : 0);
    if (yajl_parse(r->yajl, (const unsigned char *)text.p, text.len) != yajl_status_ok)
        fail_syntax(r, false);
    else if (yajl_complete_parse(r->yajl) != yajl_status_ok)
        fail_syntax(r, true);
    else if (!r->doc->root)
        fail(r, ERR_SYNTAX, 0, "there is no value; write one, such as {}");
    yajl_free(r->yajl);
    return r->code;
}

enum err_code json_parse(struct span text, const char *file, unsigned flags, unsigned max_depth,
                         struct json_doc **ret_doc, struct err *err)
{
    if (text.len > TEXT_MAX)
        return err_set(err, ERR_TOO_LARGE, file, "over %d bytes of JSON", TEXT_MAX);
    cleanup(json_doc_freep) struct json_doc *doc = calloc(1, sizeof(*doc));
    if (!doc || !(doc->source = malloc(text.len + 1)))
        return err_set(err, ERR_NOMEM, file, "out of memory");
    if (text.len)
        memcpy(doc->source, text.p, text.len);
    doc->source[text.len] = '\0';
    doc->source_len = text.len;
    struct reader r = {.doc = doc, .max_depth = max_depth, .err = err, .file = file};
    enum err_code rc = run(&r, span_of(doc->source, text.len), flags);
    free(r.names.slots);
    if (!rc)
        *ret_doc = take(doc);
    return rc;
}

void json_doc_free(struct json_doc *doc)
{
    if (!doc)
        return;
    while (doc->arena) {
        struct arena *next = doc->arena->next;
        free(doc->arena);
        doc->arena = next;
    }
    free(doc->source);
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

void json_place(const struct json_doc *doc, uint32_t offset, unsigned *ret_line, unsigned *ret_col)
{
    place_of(doc->source, doc->source_len, offset, ret_line, ret_col);
}
