/* What a condition says of an answer. */
#include "cond-internal.h"

#include <larder/base/glob.h>

#include <stdio.h>
#include <string.h>

unsigned cond_pointer_count(const struct cond *c)
{
    return c->pointer_count;
}

struct span cond_pointer(const struct cond *c, unsigned i)
{
    return c->pointers[i];
}

struct span cond_text(const struct cond *c)
{
    return c->text;
}

/* All lines of a field, joined by ", "; false: it is not there. */
static bool header_text(const struct head *h, struct span name, struct buf *out)
{
    bool is_there = false;
    for (unsigned i = 0; i < h->field_count; i++) {
        if (!span_eq_nocase(h->fields[i].name, name))
            continue;
        if (is_there)
            buf_add_str(out, ", ");
        buf_add_span(out, h->fields[i].value);
        is_there = true;
    }
    return is_there;
}

/* "application/json" of "Application/JSON; charset=utf-8". */
static bool type_text(const struct head *h, struct buf *out)
{
    const struct field *f = head_field(h, FIELD_CONTENT_TYPE);
    struct span rest, type = f ? span_trim(span_split(f->value, ';', &rest)) : span_of(NULL, 0);
    for (size_t i = 0; i < type.len; i++) {
        char c = type.p[i];
        buf_add_char(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
    }
    return f != NULL;
}

static bool compare(enum cond_op op, double a, double b)
{
    switch (op) {
    case OP_LT:
        return a < b;
    case OP_LE:
        return a <= b;
    case OP_GT:
        return a > b;
    case OP_GE:
        return a >= b;
    default:
        return a == b;
    }
}

static bool is_order(enum cond_op op)
{
    return op == OP_LT || op == OP_LE || op == OP_GT || op == OP_GE;
}

static bool json_matches(enum cond_op op, const struct cond_value *v, const struct literal *l)
{
    if (!v->is_there)
        return false;
    if (op == OP_GLOB)
        return v->type == JSON_STRING && glob_match(l->text, v->text);
    if (v->type == JSON_NUMBER && l->type == JSON_NUMBER)
        return compare(op, v->number, l->number);
    if (is_order(op) || v->type != l->type)
        return false;
    return v->type != JSON_STRING || span_eq(v->text, l->text);
}

/* Of text a number is what is written; others have no order. */
static bool text_matches(enum cond_op op, struct span text, const struct literal *l)
{
    bool has_text = l->type == JSON_STRING || l->type == JSON_NUMBER;
    if (op == OP_GLOB)
        return has_text && glob_match(l->text, text);
    return has_text && !is_order(op) && span_eq(text, l->text);
}

static bool status_matches(enum cond_op op, unsigned status, const struct literal *l)
{
    char block[16];
    int n = snprintf(block, sizeof(block), "%u", status);
    if (op == OP_GLOB)
        return glob_match(l->text, span_of(block, (size_t)n));
    return l->type == JSON_NUMBER && compare(op, status, l->number);
}

bool cond_value_is_set(const struct cond_value *v)
{
    switch (v->type) {
    case JSON_NULL:
    case JSON_FALSE:
        return false;
    case JSON_TRUE:
        return v->is_there;
    case JSON_NUMBER:
        return v->is_there && v->number != 0;
    case JSON_STRING:
        return v->is_there && v->text.len > 0;
    default:
        return v->is_there && v->count > 0;
    }
}

static bool matches(const struct node *n, enum cond_op op, const struct cond_facts *f,
                    struct span text, bool has_text)
{
    for (unsigned i = 0; i < n->literal_count; i++) {
        const struct literal *l = &n->literals[i];
        bool is_it = n->operand == OPERAND_STATUS ? status_matches(op, f->response->status, l)
                     : n->operand == OPERAND_JSON ? json_matches(op, &f->values[n->pointer], l)
                                                  : has_text && text_matches(op, text, l);
        if (is_it)
            return true;
    }
    return false;
}

static bool test(const struct node *n, const struct cond_facts *f)
{
    char block[8192];
    struct buf text;
    bool has_text = false;
    buf_init_fixed(&text, block, sizeof(block)); /* what does not fit equals nothing */
    if (n->operand == OPERAND_HEADER)
        has_text = header_text(f->response, n->name, &text) && !text.failed;
    else if (n->operand == OPERAND_TYPE)
        has_text = type_text(f->response, &text) && !text.failed;
    if (n->op == OP_TRUTH)
        return n->operand == OPERAND_STATUS ? true
               : n->operand == OPERAND_JSON ? cond_value_is_set(&f->values[n->pointer])
                                            : has_text && text.len > 0;
    if (n->op == OP_NE)
        return !matches(n, OP_EQ, f, buf_span(&text), has_text);
    return matches(n, n->op == OP_IN ? OP_EQ : n->op, f, buf_span(&text), has_text);
}

static bool holds(const struct node *n, const struct cond_facts *f)
{
    switch (n->kind) {
    case COND_OR:
        return holds(n->left, f) || holds(n->right, f);
    case COND_AND:
        return holds(n->left, f) && holds(n->right, f);
    case COND_NOT:
        return !holds(n->left, f);
    case COND_TEST:
        break;
    }
    return test(n, f);
}

bool cond_holds(const struct cond *c, const struct cond_facts *f)
{
    return holds(c->root, f);
}
