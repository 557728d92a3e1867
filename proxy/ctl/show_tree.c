/* Answers whose members ctl does not know by name: as a list, as a table, as JSON. */
#include "ctl-internal.h"

enum { TEXT_MAX = 64 * 1024 * 1024, COLUMNS_SHOWN = 10 };

static bool is_scalar(const struct json *j)
{
    return j->type != JSON_ARRAY && j->type != JSON_OBJECT;
}

static void indent(struct buf *out, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        buf_add_str(out, "  ");
}

/* Members as "name: value", elements as "- value"; what has children has them below, indented. */
static void add_member(const struct json *j, unsigned depth, struct buf *out)
{
    indent(out, depth);
    if (j->parent && j->parent->type == JSON_OBJECT) {
        text_clean(out, j->name, "");
        buf_add_char(out, ':');
    } else {
        buf_add_char(out, '-');
    }
    if (is_scalar(j) || !j->first) {
        buf_add_char(out, ' ');
        text_scalar(out, j);
    }
    buf_add_char(out, '\n');
    for (const struct json *c = j->first; c; c = c->next)
        add_member(c, depth + 1, out);
}

void show_members(const struct json *root, struct buf *out)
{
    if (is_scalar(root)) {
        text_scalar(out, root);
        buf_add_char(out, '\n');
    }
    for (const struct json *c = root->first; c; c = c->next)
        add_member(c, 0, out);
}

static void add_upper(struct buf *out, struct span name)
{
    size_t from = out->len;
    text_clean(out, name, "");
    for (size_t i = from; i < out->len; i++)
        if (out->p[i] >= 'a' && out->p[i] <= 'z')
            out->p[i] = (char)(out->p[i] - 'a' + 'A');
}

/* Rows with the scalar members of the first as columns; a row of an object is led by its name. */
static void add_rows(const struct json *rows, struct buf *out)
{
    const struct json *columns[COLUMNS_SHOWN];
    unsigned count = 0;
    struct buf cells;
    bool is_named = rows->type == JSON_OBJECT;
    buf_init(&cells, TEXT_MAX);
    for (const struct json *m = rows->first->first; m && count < COLUMNS_SHOWN; m = m->next)
        if (is_scalar(m))
            columns[count++] = m;
    if (is_named)
        buf_add_str(&cells, "NAME\t");
    for (unsigned i = 0; i < count; i++) {
        add_upper(&cells, columns[i]->name);
        buf_add_char(&cells, '\t');
    }
    buf_add_char(&cells, '\n');
    for (const struct json *r = rows->first; r; r = r->next) {
        if (is_named) {
            text_clean(&cells, r->name, "");
            buf_add_char(&cells, '\t');
        }
        for (unsigned i = 0; i < count; i++) {
            text_scalar(&cells, json_member(r, columns[i]->name));
            buf_add_char(&cells, '\t');
        }
        buf_add_char(&cells, '\n');
    }
    ctl_table_format(buf_span(&cells), "lllllllllll", out);
    out->failed |= cells.failed;
    buf_fini(&cells);
}

void show_routes(const struct json *root, struct buf *out)
{
    const struct json *routes = json_member(root, SPAN_LIT("routes"));
    if (routes && routes->first && routes->first->type == JSON_OBJECT)
        add_rows(routes, out);
    else
        show_members(root, out);
}

static void add_json(const struct json *j, unsigned depth, struct buf *out)
{
    char open = j->type == JSON_ARRAY ? '[' : '{', close = j->type == JSON_ARRAY ? ']' : '}';
    indent(out, depth);
    if (j->parent && j->parent->type == JSON_OBJECT) {
        json_string_format(j->name, out);
        buf_add_str(out, ": ");
    }
    if (j->type == JSON_STRING) {
        json_string_format(j->text, out);
    } else if (j->type == JSON_NULL) {
        buf_add_str(out, "null");
    } else if (is_scalar(j)) {
        text_scalar(out, j);
    } else {
        buf_add_char(out, open);
        buf_add_str(out, j->first ? "\n" : "");
        for (const struct json *c = j->first; c; c = c->next)
            add_json(c, depth + 1, out);
        if (j->first)
            indent(out, depth);
        buf_add_char(out, close);
    }
    buf_add_str(out, j->next ? ",\n" : "\n");
}

void show_json(const struct json *root, struct buf *out)
{
    add_json(root, 0, out);
}
