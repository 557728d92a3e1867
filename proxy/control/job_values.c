/* The values of a job's parameters: as they stand, or in a file, or in another route's answer. */
#include "job-internal.h"

#include <larder/base/file.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { VALUES_MAX = 20000, VALUE_FILE_MAX = 4 * 1024 * 1024 };

bool spec_fail(struct err *err, const char *fmt, ...)
{
    char text[sizeof(err->what)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    err_set(err, ERR_SYNTAX, "job", "%s", text);
    return false;
}

bool spec_fail_nomem(struct err *err)
{
    return err_set(err, ERR_NOMEM, "job", "out of memory") == ERR_OK;
}

bool spec_fail_bound(struct err *err)
{
    return err_set(err, ERR_DENIED, "job",
                   "the token is bound: it may warm its own parameter values only") == ERR_OK;
}

char *text_copy(struct span s)
{
    char *p = malloc(s.len + 1);
    if (!p)
        return NULL;
    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return p;
}

void value_list_clear(struct value_list *v)
{
    while (v->count)
        free(v->text[--v->count]);
}

void value_list_free(struct value_list *v)
{
    for (unsigned i = 0; i < v->count; i++)
        free(v->text[i]);
    free(v->text);
    free(v->label);
    free(v->from);
    free(v->pointer);
}

enum err_code value_list_add(struct value_list *v, struct span text)
{
    if (!warm_is_clean(text, true) || memchr(text.len ? text.p : "", '\0', text.len))
        return ERR_SYNTAX;
    if (v->count == VALUES_MAX)
        return ERR_TOO_LARGE;
    if (v->count == v->room) {
        unsigned room = v->room ? v->room * 2 : 16;
        char **grown = realloc(v->text, room * sizeof(char *));
        if (!grown)
            return ERR_NOMEM;
        v->text = grown;
        v->room = room;
    }
    v->text[v->count] = text_copy(text);
    if (!v->text[v->count])
        return ERR_NOMEM;
    v->count++;
    return ERR_OK;
}

static enum err_code add_json(struct value_list *v, const struct json *j)
{
    struct span text = j->text;
    if (j->type == JSON_TRUE || j->type == JSON_FALSE)
        text = j->type == JSON_TRUE ? SPAN_LIT("true") : SPAN_LIT("false");
    else if (j->type != JSON_STRING && j->type != JSON_NUMBER)
        return ERR_SYNTAX;
    return value_list_add(v, text);
}

static enum err_code add_array(struct value_list *v, const struct json *array)
{
    enum err_code rc = ERR_OK;
    for (const struct json *j = array->first; j && !rc; j = j->next)
        rc = add_json(v, j);
    return rc;
}

/* <where> holds the values. */
static bool check(enum err_code rc, struct span where, struct err *err)
{
    switch (rc) {
    case ERR_OK:
        return true;
    case ERR_NOMEM:
        return spec_fail_nomem(err);
    case ERR_TOO_LARGE:
        return spec_fail(err, "\"%.*s\" has more than %d values", CUT(where), VALUES_MAX);
    default:
        return spec_fail(err,
                         "\"%.*s\" has a value that is no text, number or boolean, or that "
                         "holds control characters",
                         CUT(where));
    }
}

/* --- in a file: a JSON array, or a value on each line --- */

static enum err_code add_lines(struct value_list *v, struct span text)
{
    enum err_code rc = ERR_OK;
    while (text.p && !rc) {
        struct span line = span_trim(span_split(text, '\n', &text));
        if (line.len && line.p[line.len - 1] == '\r')
            line.len--;
        if (line.len)
            rc = value_list_add(v, line);
    }
    return rc;
}

static bool add_text(struct value_list *v, struct span name, struct span text, struct err *err)
{
    enum { DEPTH = 4 };
    cleanup(json_doc_freep) struct json_doc *doc = NULL;
    struct span start = span_trim(text);
    if (!start.len || start.p[0] != '[')
        return check(add_lines(v, text), name, err);
    char where[80];
    snprintf(where, sizeof(where), "%.*s", CUT(name));
    enum err_code rc = json_parse(text, where, 0, DEPTH, &doc, err);
    if (rc)
        return rc != ERR_NOMEM && spec_fail(err, "%s: %s", err->where, err->what);
    return check(add_array(v, json_root(doc)), name, err);
}

/* Only within warm_dir, by a plain name. */
static bool read_file(struct value_list *v, const struct config *config, struct span name,
                      struct err *err)
{
    char path[512];
    if (!config->warm_dir.len)
        return spec_fail(err, "values from files need \"warm_dir\" in the config");
    if (!name.len || name.len > 200 || memchr(name.p, '/', name.len) || name.p[0] == '.' ||
        !warm_is_clean(name, false))
        return spec_fail(err, "\"file\" is a name within warm_dir, without /");
    snprintf(path, sizeof(path), "%.*s/%.*s", SPAN_ARG(config->warm_dir), SPAN_ARG(name));
    struct buf text;
    buf_init(&text, VALUE_FILE_MAX);
    enum err_code rc = file_read(path, FILE_NO_LINK, &text);
    int saved = errno;
    bool is_good = rc == ERR_OK && add_text(v, name, buf_span(&text), err);
    buf_fini(&text);
    if (rc == ERR_NOMEM)
        return spec_fail_nomem(err);
    if (rc == ERR_TOO_LARGE)
        return spec_fail(err, "%s is over %d bytes", path, VALUE_FILE_MAX);
    if (rc)
        return spec_fail(err, "%s cannot be read: %s", path,
                         rc == ERR_IO && saved == EINVAL ? "it is no regular file"
                                                         : strerror(saved));
    return is_good;
}

/* --- in another answer: the job asks for it when it starts --- */

static bool read_from(struct value_list *v, const struct json *j, struct err *err)
{
    const struct json *from = MEMBER(j, "from"), *pointer = MEMBER(j, "pointer");
    bool is_good = from && pointer && from->type == JSON_STRING && pointer->type == JSON_STRING &&
                   from->text.len && from->text.p[0] == '/' && warm_is_clean(from->text, false) &&
                   pointer->text.len && pointer->text.p[0] == '/';
    if (!is_good)
        return spec_fail(err, "write {\"from\": \"/api/organizations\", \"pointer\": "
                              "\"/results/*/id\"}");
    v->from = text_copy(from->text);
    v->pointer = text_copy(pointer->text);
    return (v->from && v->pointer) || spec_fail_nomem(err);
}

bool value_list_read(struct value_list *v, const struct config *config, const struct json *j,
                     struct err *err)
{
    const struct json *file = MEMBER(j, "file");
    v->label = text_copy(j->name);
    if (!v->label)
        return spec_fail_nomem(err);
    if (file && file->type == JSON_STRING)
        return read_file(v, config, file->text, err);
    if (j->type == JSON_OBJECT)
        return read_from(v, j, err);
    return check(j->type == JSON_ARRAY ? add_array(v, j) : add_json(v, j), j->name, err);
}
