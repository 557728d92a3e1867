/* json.h: JSON read into a small tree that remembers places, and written by hand.
 *
 * yajl's streaming parser stands behind it and nowhere else (its tree API cuts strings at NUL,
 * knows no place and overflows the stack). Duplicate members are an error, depth and size have
 * limits; so are half surrogate pairs and malformed UTF-8, which yajl would read as some other
 * text. Numbers keep their text. Thread: the owner's. Source: RFC 8259, RFC 6901 (pointers).
 */
#ifndef LARDER_BASE_JSON_H
#define LARDER_BASE_JSON_H

#include <larder/base/buf.h>
#include <larder/base/err.h>
#include <larder/base/macros.h>

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER, /* text is the number as written */
    JSON_STRING, /* text is decoded UTF-8, may hold NUL */
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json {
    enum json_type type;
    struct span name;          /* as a member: its name; else empty */
    struct span text;          /* of a string or number */
    struct span from;          /* what told the text in place of the source; empty: nothing did */
    struct json *first, *next; /* first child; next sibling */
    struct json *parent;       /* NULL at the root */
    size_t count;              /* children */
    uint32_t offset;           /* byte in the source where the value starts */
    uint32_t name_offset;      /* byte where the member's name starts */
};

struct json_doc; /* owns the tree and all its text */

enum json_flags { JSON_COMMENTS = 1 }; /* slash-slash and slash-star comments, for config */

/* Parses all of <text> (borrowed only for the call). ERR_SYNTAX fills err->where with
 * "<file>:line:col" and says what is wrong. <file> may be NULL (then "line:col"). Depth over
 * <max_depth> and duplicate members are ERR_SYNTAX, too; over 16 MiB of text are ERR_TOO_LARGE. */
must_check enum err_code json_parse(struct span text, const char *file, unsigned flags,
                                    unsigned max_depth, struct json_doc **ret_doc, struct err *err);
void json_doc_free(struct json_doc *doc);
void json_doc_freep(struct json_doc **doc);
const struct json *json_root(const struct json_doc *doc);

/* Member <name> of an object; NULL if absent or <j> is no object (or is NULL). */
const struct json *json_member(const struct json *j, struct span name);
/* What an RFC 6901 pointer ("" or "/a/0/b") names, or NULL. */
const struct json *json_pointer(const struct json *root, struct span pointer);
/* Line and column (in bytes), both from 1, of byte <offset> in the text the document was parsed
 * from. */
void json_place(const struct json_doc *doc, uint32_t offset, unsigned *ret_line, unsigned *ret_col);
/* "$.routes[0].ttl" of a node; names that are no plain words as ["two words"]. */
void json_path_format(const struct json *j, struct buf *out);
/* Canonical form: members sorted by name, no white space, number texts kept. Equal documents (but
 * for order and space) give equal bytes. */
void json_canonical_format(const struct json *j, struct buf *out);
/* The same with the members in their own order. */
void json_format(const struct json *j, struct buf *out);
const char *json_type_name(enum json_type t);

/* Changes: what is moved stays in its own document's memory, so that this must live as long. Places
 * stay those of the text. */

struct json *json_edit(struct json_doc *doc); /* the root, to be changed */
struct json *json_edit_member(struct json *j, struct span name);
void json_remove(struct json *j); /* takes it out of its parent; the root stays */
/* <j> becomes what <value>, which is in no other use, was; it keeps its name and its parent. */
void json_replace(struct json *j, struct json *value);
/* <j> becomes a string with a copy of <text>, which <from> told. ERR_NOMEM: as it was. */
must_check enum err_code json_set_text(struct json_doc *doc, struct json *j, struct span text,
                                       struct span from);
/* RFC 7396: <target> becomes what <patch> makes of it; <patch> is used up. An object for which
 * is_whole() holds (NULL: none) is one value like a string, and no object of members. */
void json_merge_patch(struct json *target, struct json *patch,
                      bool (*is_whole)(const struct json *j));

/* Writer: knows where commas go; strings are escaped, invalid UTF-8 becomes U+FFFD. */
struct json_writer {
    struct buf *out;
    bool need_comma;
};
void json_writer_init(struct json_writer *w, struct buf *out);
/* <name> is NULL in arrays and at the root. */
void json_write_object(struct json_writer *w, const char *name);
void json_write_object_end(struct json_writer *w);
void json_write_array(struct json_writer *w, const char *name);
void json_write_array_end(struct json_writer *w);
void json_write_span(struct json_writer *w, const char *name, struct span value);
void json_write_str(struct json_writer *w, const char *name, const char *value); /* NULL: null */
void json_write_u64(struct json_writer *w, const char *name, uint64_t value);
void json_write_i64(struct json_writer *w, const char *name, int64_t value);
/* With <decimals> digits after a point whatever the locale; NaN and infinities become null. */
void json_write_double(struct json_writer *w, const char *name, double value, int decimals);
void json_write_bool(struct json_writer *w, const char *name, bool value);
/* A member whose name is a span (a route's name from the config). */
void json_write_name(struct json_writer *w, struct span name); /* then call with name == NULL */
/* The quoted and escaped form of <s> alone. */
void json_string_format(struct span s, struct buf *out);

#endif
