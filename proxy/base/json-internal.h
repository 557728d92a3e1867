/* json-internal.h: what the JSON reader's files share.
 *
 * json_reader.c  yajl's events become a tree         json_doc.c    the memory of a tree, places
 * json_names.c   members that are there twice        json_error.c  what is wrong, in our words
 * json_utf8.c    sequences and escapes that are text      json_edit.c   a tree changed in place
 */
#ifndef LARDER_BASE_JSON_INTERNAL_H
#define LARDER_BASE_JSON_INTERNAL_H

#include <larder/base/json.h>

struct arena {
    struct arena *next;
    size_t used, cap; /* bytes */
    _Alignas(8) char bytes[];
};

struct json_doc {
    struct json *root;
    struct arena *arena;
    char *source; /* a copy, for places */
    size_t source_len;
};

/* <len> bytes that live as long as <doc>, aligned for a struct json; NULL: no memory. */
void *doc_alloc(struct json_doc *doc, size_t len);
/* A copy of <text> in <doc>; p is NULL when there is no memory. */
struct span doc_copy(struct json_doc *doc, const void *p, size_t len);
struct json_doc *doc_new(struct span source);
void source_place(struct span source, size_t offset, unsigned *ret_line, unsigned *ret_col);

/* The first byte from <at> on that is neither JSON's white space nor, where <may_comment>, in a
 * comment. A comment that is not closed is not passed over. */
size_t source_skip_space(struct span source, size_t at, bool may_comment);

/* All members read so far, by (object, name). Zeroed: empty. */
struct name_set {
    const struct json **slots; /* open addressing, cap is a power of two */
    size_t count, cap;
};
enum name_added { NAME_ADDED, NAME_TWICE, NAME_NOMEM };
enum name_added name_set_add(struct name_set *s, const struct json *member);
void name_set_fini(struct name_set *s);

/* Length of the valid UTF-8 sequence at <p>, or 0 (RFC 3629: no overlong form, no surrogate). */
size_t utf8_sequence_len(const unsigned char *p, size_t left);
/* What is wrong with the inside of a string token (between its quotes, escapes well formed), and
 * where in it; NULL: nothing. yajl lets pass what is no Unicode text and reads it as another text.
 */
const char *string_fault(struct span inside, size_t *ret_at);

/* Where yajl refused to go on. */
struct syntax_error {
    struct span source;
    size_t token_end; /* of the last good token */
    size_t consumed;  /* yajl's offset, at or behind the bad token */
    bool at_end;      /* all bytes are eaten, and more are wanted */
    bool is_lexical;  /* the token itself is bad, not its place */
    bool has_name;    /* a member's name was the last good token */
    bool may_comment;
    const struct json *open; /* the innermost open array or object; NULL: none */
    const struct json *root; /* NULL: nothing read yet */
};
/* Says into <what> what is wrong and what would be right; returns the offset to show. */
size_t syntax_error_explain(const struct syntax_error *e, struct buf *what);

#endif
