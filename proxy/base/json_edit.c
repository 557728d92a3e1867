/* A tree changed in place: what moves is linked anew, nothing is copied but texts. A node that is
 * left over stays in the document's memory until that goes. */
#include "json-internal.h"

struct json *json_edit(struct json_doc *doc)
{
    return doc->root;
}

struct json *json_edit_member(struct json *j, struct span name)
{
    if (!j || j->type != JSON_OBJECT)
        return NULL;
    for (struct json *c = j->first; c; c = c->next)
        if (span_eq(c->name, name))
            return c;
    return NULL;
}

void json_remove(struct json *j)
{
    if (!j->parent)
        return;
    struct json **at = &j->parent->first;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    j->parent->count--;
    j->parent = j->next = NULL;
}

static void append(struct json *parent, struct json *child)
{
    struct json **at = &parent->first;
    while (*at)
        at = &(*at)->next;
    *at = child;
    child->parent = parent;
    child->next = NULL;
    parent->count++;
}

void json_replace(struct json *j, struct json *value)
{
    j->type = value->type;
    j->text = value->text;
    j->from = value->from;
    j->first = value->first;
    j->count = value->count;
    j->offset = value->offset;
    for (struct json *c = j->first; c; c = c->next)
        c->parent = j;
}

enum err_code json_set_text(struct json_doc *doc, struct json *j, struct span text,
                            struct span from)
{
    struct span text_copy = doc_copy(doc, text.p, text.len);
    struct span from_copy = doc_copy(doc, from.p, from.len);
    if (!text_copy.p || !from_copy.p)
        return ERR_NOMEM;
    j->type = JSON_STRING;
    j->text = text_copy;
    j->from = from_copy;
    j->first = NULL;
    j->count = 0;
    return ERR_OK;
}

typedef bool is_whole_fn(const struct json *j);

static bool has_members(const struct json *j, is_whole_fn *is_whole)
{
    return j->type == JSON_OBJECT && !(is_whole && is_whole(j));
}

/* What a patch makes of nothing: itself, without its nulls. */
static void drop_nulls(struct json *j, is_whole_fn *is_whole)
{
    for (struct json *c = j->first, *next; has_members(j, is_whole) && c; c = next) {
        next = c->next;
        if (c->type == JSON_NULL)
            json_remove(c);
        else
            drop_nulls(c, is_whole);
    }
}

static void merge_member(struct json *target, struct json *m, is_whole_fn *is_whole)
{
    struct json *old = json_edit_member(target, m->name);
    if (old && m->type == JSON_NULL) {
        json_remove(old);
    } else if (old) {
        json_merge_patch(old, m, is_whole);
    } else if (m->type != JSON_NULL) {
        json_remove(m);
        drop_nulls(m, is_whole);
        append(target, m);
    }
}

void json_merge_patch(struct json *target, struct json *patch, is_whole_fn *is_whole)
{
    if (!has_members(target, is_whole) || !has_members(patch, is_whole)) {
        drop_nulls(patch, is_whole);
        json_replace(target, patch);
        return;
    }
    for (struct json *m = patch->first, *next; m; m = next) {
        next = m->next;
        merge_member(target, m, is_whole);
    }
}
