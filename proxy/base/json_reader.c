/* yajl's streaming parser builds a tree in an arena. yajl knows only where a token ends, so each
 * token's start is found by walking on from the end of the one before, over white space, comments
 * and punctuation. What yajl is too kind to is refused here: members that are there twice, depth
 * without end, white space that JSON does not have, and strings that are no Unicode text. */
#include "json-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

enum { TEXT_MAX = 16 * 1024 * 1024 };

struct reader {
    struct json_doc *doc;
    struct span source;
    yajl_handle yajl;
    struct json *open; /* the innermost open array or object */
    struct json *last; /* its last child so far */
    struct span name;  /* of the member to come; p == NULL: none */
    uint32_t name_offset;
    size_t token_end; /* of the last token */
    unsigned depth, max_depth;
    unsigned flags;
    struct name_set names;
    const char *file;
    struct err *err;
    enum err_code code;
};

/* Keeps the first error only; returns what makes yajl stop. */
static int fail(struct reader *r, enum err_code code, size_t offset, const char *what)
{
    struct err e; /* for its sizes */
    unsigned line, col;
    if (r->code)
        return 0;
    r->code = code;
    source_place(r->source, offset, &line, &col);
    snprintf(e.where, sizeof(e.where), "%.150s%s%u:%u", r->file ? r->file : "", r->file ? ":" : "",
             line, col);
    err_set(r->err, code, e.where, "%s", what);
    return 0;
}

static int fail_nomem(struct reader *r)
{
    return fail(r, ERR_NOMEM, r->token_end, "out of memory");
}

/* yajl passes over vertical tabs and form feeds, which RFC 8259 section 2 has not. */
static bool check_space(struct reader *r, size_t at)
{
    if (at < r->source.len && (r->source.p[at] == '\v' || r->source.p[at] == '\f'))
        return fail(r, ERR_SYNTAX, at,
                    "a vertical tab or form feed is no white space of JSON; "
                    "write a space");
    return true;
}

static size_t skip_space(const struct reader *r, size_t at)
{
    return source_skip_space(r->source, at, r->flags & JSON_COMMENTS);
}

/* Where the token begins that comes after the last one. */
static bool find_token(struct reader *r, size_t *ret_start)
{
    size_t at = skip_space(r, r->token_end);
    while (at < r->source.len && (r->source.p[at] == ',' || r->source.p[at] == ':'))
        at = skip_space(r, at + 1);
    *ret_start = at;
    return check_space(r, at);
}

static void append(struct reader *r, struct json *j)
{
    if (!r->open)
        r->doc->root = j;
    else if (r->last)
        r->last->next = j;
    else
        r->open->first = j;
    if (r->open)
        r->open->count++;
    r->last = j;
}

static int fail_twice(struct reader *r, const struct json *j)
{
    char block[256];
    struct buf what;
    buf_init_fixed(&what, block, sizeof(block) - 1);
    buf_add_str(&what, "member ");
    json_string_format(span_of(j->name.p, j->name.len < 25 ? j->name.len : 25), &what);
    buf_add_str(&what, " is there twice; leave one of them");
    block[what.len] = '\0';
    return fail(r, ERR_SYNTAX, j->name_offset, block);
}

/* The node of the token of <len> bytes that comes next; NULL: failed. */
static struct json *add_node(struct reader *r, enum json_type type, size_t len)
{
    size_t start;
    if (!find_token(r, &start))
        return NULL;
    r->token_end = start + len;
    struct json *j = doc_alloc(r->doc, sizeof(*j));
    if (!j) {
        fail_nomem(r);
        return NULL;
    }
    *j = (struct json){.type = type,
                       .name = r->name,
                       .name_offset = r->name_offset,
                       .parent = r->open,
                       .offset = (uint32_t)start};
    append(r, j);
    if (!r->name.p)
        return j;
    r->name = span_of(NULL, 0);
    r->name_offset = 0;
    enum name_added added = name_set_add(&r->names, j);
    if (added == NAME_ADDED)
        return j;
    (void)(added == NAME_TWICE ? fail_twice(r, j) : fail_nomem(r)); /* they return 0 for yajl */
    return NULL;
}

static int open_node(struct reader *r, enum json_type type)
{
    char what[100];
    struct json *j = add_node(r, type, 1);
    if (!j)
        return 0;
    if (r->depth >= r->max_depth) {
        snprintf(what, sizeof(what), "nested deeper than %u levels; write it flatter",
                 r->max_depth);
        return fail(r, ERR_SYNTAX, j->offset, what);
    }
    r->depth++;
    r->open = j;
    r->last = NULL;
    return 1;
}

static int on_null(void *r)
{
    return add_node(r, JSON_NULL, 4) != NULL;
}

static int on_bool(void *r, int value)
{
    return add_node(r, value ? JSON_TRUE : JSON_FALSE, value ? 4 : 5) != NULL;
}

static int on_number(void *arg, const char *p, size_t len)
{
    struct reader *r = arg;
    struct json *j = add_node(r, JSON_NUMBER, len);
    if (!j)
        return 0;
    j->text = doc_copy(r->doc, p, len);
    return j->text.p ? 1 : fail_nomem(r);
}

/* The token reaches from its quote to yajl's offset; its inside may be longer than the text. */
static bool check_string(struct reader *r, size_t *ret_len)
{
    size_t start, at, end = yajl_get_bytes_consumed(r->yajl);
    if (!find_token(r, &start))
        return false;
    *ret_len = end - start;
    const char *fault = string_fault(span_of(r->source.p + start + 1, end - start - 2), &at);
    return fault ? fail(r, ERR_SYNTAX, start + 1 + at, fault) : true;
}

static int on_string(void *arg, const unsigned char *p, size_t len)
{
    struct reader *r = arg;
    size_t token_len;
    struct json *j = check_string(r, &token_len) ? add_node(r, JSON_STRING, token_len) : NULL;
    if (!j)
        return 0;
    j->text = doc_copy(r->doc, p, len);
    return j->text.p ? 1 : fail_nomem(r);
}

static int on_name(void *arg, const unsigned char *p, size_t len)
{
    struct reader *r = arg;
    size_t token_len;
    if (!check_string(r, &token_len))
        return 0;
    r->token_end = yajl_get_bytes_consumed(r->yajl);
    r->name_offset = (uint32_t)(r->token_end - token_len);
    r->name = doc_copy(r->doc, p, len);
    return r->name.p ? 1 : fail_nomem(r);
}

static int on_object(void *r)
{
    return open_node(r, JSON_OBJECT);
}

static int on_array(void *r)
{
    return open_node(r, JSON_ARRAY);
}

static int on_end(void *arg)
{
    struct reader *r = arg;
    size_t start;
    if (!find_token(r, &start))
        return 0;
    r->token_end = start + 1;
    r->depth--;
    r->last = r->open;
    r->open = r->open->parent;
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

static void fail_syntax(struct reader *r, bool at_end)
{
    char block[256];
    struct buf what;
    if (r->code)
        return; /* we stopped yajl, and have said why */
    unsigned char *words = yajl_get_error(r->yajl, 0, NULL, 0);
    struct syntax_error e = {.source = r->source,
                             .token_end = r->token_end,
                             .consumed = yajl_get_bytes_consumed(r->yajl),
                             .at_end = at_end,
                             .is_lexical = words && strstr((const char *)words, "lexical error"),
                             .has_name = r->name.p != NULL,
                             .may_comment = r->flags & JSON_COMMENTS,
                             .open = r->open,
                             .root = r->doc->root};
    yajl_free_error(r->yajl, words);
    buf_init_fixed(&what, block, sizeof(block) - 1);
    size_t offset = syntax_error_explain(&e, &what);
    block[what.len] = '\0';
    if (check_space(r, offset))
        fail(r, ERR_SYNTAX, offset, block);
}

/* yajl takes a comment that is still open at the end, and its own idea of white space. */
static void check_rest(struct reader *r)
{
    size_t at = skip_space(r, r->token_end);
    if (at < r->source.len && check_space(r, at))
        fail(r, ERR_SYNTAX, at, "the comment that begins here is not closed; write */ at its end");
}

static enum err_code run(struct reader *r)
{
    r->yajl = yajl_alloc(&callbacks, NULL, r);
    if (!r->yajl)
        return err_set(r->err, ERR_NOMEM, r->file, "out of memory");
    yajl_config(r->yajl, yajl_allow_comments, r->flags & JSON_COMMENTS ? 1 : 0);
    if (yajl_parse(r->yajl, (const unsigned char *)r->source.p, r->source.len) != yajl_status_ok)
        fail_syntax(r, false);
    else if (yajl_complete_parse(r->yajl) != yajl_status_ok)
        fail_syntax(r, true);
    else
        check_rest(r);
    yajl_free(r->yajl);
    return r->code;
}

enum err_code json_parse(struct span text, const char *file, unsigned flags, unsigned max_depth,
                         struct json_doc **ret_doc, struct err *err)
{
    if (text.len > TEXT_MAX)
        return err_set(err, ERR_TOO_LARGE, file, "%zu bytes of JSON; at most %d are read", text.len,
                       TEXT_MAX);
    cleanup(json_doc_freep) struct json_doc *doc = doc_new(text);
    if (!doc)
        return err_set(err, ERR_NOMEM, file, "out of memory");
    struct reader r = {.doc = doc,
                       .source = span_of(doc->source, doc->source_len),
                       .max_depth = max_depth,
                       .flags = flags,
                       .file = file,
                       .err = err};
    enum err_code rc = run(&r);
    name_set_fini(&r.names);
    if (!rc)
        *ret_doc = take(doc);
    return rc;
}
