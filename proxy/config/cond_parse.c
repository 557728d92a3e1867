/* Text into a condition, by recursive descent with bounded depth. */
#include "cond-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 1000, NESTING_MAX = 32, LITERALS_MAX = 32 };

struct parser {
    struct span text;
    size_t at;
    unsigned depth;
    void *(*alloc)(void *arg, size_t size);
    void *arg;
    struct cond *cond;
    struct err *err;
    enum err_code code;
};

static void *fail(struct parser *p, size_t at, const char *what)
{
    if (p->code)
        return NULL; /* the first error counts */
    p->code = ERR_CONFIG;
    err_set(p->err, ERR_CONFIG, "", "column %zu: %s", at + 1, what);
    return NULL;
}

static void *allocate(struct parser *p, size_t size)
{
    void *m = p->alloc(p->arg, size);
    if (!m && !p->code) {
        p->code = ERR_NOMEM;
        err_set(p->err, ERR_NOMEM, "", "out of memory");
    }
    return m;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->text.len && (p->text.p[p->at] == ' ' || p->text.p[p->at] == '\t'))
        p->at++;
}

static bool is_at(struct parser *p, const char *word)
{
    skip_space(p);
    size_t len = strlen(word);
    return p->text.len - p->at >= len && memcmp(p->text.p + p->at, word, len) == 0;
}

static bool take_word(struct parser *p, const char *word)
{
    if (!is_at(p, word))
        return false;
    p->at += strlen(word);
    return true;
}

/* Up to a space or a character that stands for itself. */
static struct span take_run(struct parser *p)
{
    skip_space(p);
    size_t start = p->at;
    while (p->at < p->text.len && !strchr(" \t()!=<>&|,]~\"'[", p->text.p[p->at]))
        p->at++;
    return span_of(p->text.p + start, p->at - start);
}

/* --- literals --- */

static bool read_text(struct parser *p, struct literal *l)
{
    size_t start = p->at;
    char quote = p->text.p[p->at++], *out = allocate(p, p->text.len + 1);
    size_t n = 0;
    for (; out && p->at < p->text.len && p->text.p[p->at] != quote; p->at++) {
        char c = p->text.p[p->at];
        if (c == '\\' && p->at + 1 < p->text.len)
            c = p->text.p[++p->at]; /* \" \' and \\ */
        out[n++] = c;
    }
    if (!out)
        return false;
    if (p->at >= p->text.len)
        return fail(p, start, "the text that begins here is not closed; write a quote at its end");
    p->at++;
    l->type = JSON_STRING;
    l->text = span_of(out, n);
    return true;
}

static bool read_number(struct literal *l, struct span run)
{
    char text[64], *end;
    if (!run.len || run.len >= sizeof(text) || !strchr("-0123456789", run.p[0]))
        return false;
    memcpy(text, run.p, run.len);
    text[run.len] = '\0';
    l->number = strtod(text, &end);
    l->type = JSON_NUMBER;
    l->text = run;
    return *end == '\0' && text[1] != 'x';
}

static bool read_literal(struct parser *p, struct literal *l)
{
    static const struct {
        const char *word;
        enum json_type type;
    } words[] = {{"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL}};
    skip_space(p);
    size_t start = p->at;
    if (is_at(p, "\"") || is_at(p, "'"))
        return read_text(p, l);
    struct span run = take_run(p);
    for (size_t i = 0; i < array_len(words); i++) {
        if (!span_eq(run, span_str(words[i].word)))
            continue;
        l->type = words[i].type;
        return true;
    }
    if (read_number(l, run))
        return true;
    return fail(p, start, "here must stand a number, \"text\", true, false or null");
}

static bool read_list(struct parser *p, struct node *n)
{
    if (!take_word(p, "["))
        return fail(p, p->at, "\"in\" wants a list; write in [200, 404]");
    do {
        if (n->literal_count == LITERALS_MAX)
            return fail(p, p->at, "a list has at most 32 members");
        if (!read_literal(p, &n->literals[n->literal_count]))
            return false;
        n->literal_count++;
    } while (take_word(p, ","));
    return take_word(p, "]") || fail(p, p->at, "the list is not closed; write ]");
}

/* --- tests --- */

static bool add_pointer(struct parser *p, struct node *n, struct span pointer, size_t at)
{
    struct cond *c = p->cond;
    for (n->pointer = 0; n->pointer < c->pointer_count; n->pointer++)
        if (span_eq(c->pointers[n->pointer], pointer))
            return true;
    if (c->pointer_count == COND_POINTERS_MAX)
        return fail(p, at, "a condition asks for at most 16 JSON pointers");
    c->pointers[c->pointer_count++] = pointer;
    return true;
}

static bool read_operand(struct parser *p, struct node *n)
{
    struct span header = SPAN_LIT("header.");
    skip_space(p);
    size_t start = p->at;
    struct span run = take_run(p);
    if (run.len && run.p[0] == '/') {
        n->operand = OPERAND_JSON;
        return add_pointer(p, n, run, start);
    }
    if (span_eq(run, SPAN_LIT("status"))) {
        n->operand = OPERAND_STATUS;
    } else if (span_eq(run, SPAN_LIT("type"))) {
        n->operand = OPERAND_TYPE;
    } else if (span_starts_with(run, header) && run.len > header.len) {
        n->operand = OPERAND_HEADER;
        n->name = span_of(run.p + header.len, run.len - header.len);
    } else {
        return fail(p, start,
                    "here must stand status, type, header.X-Name or a JSON pointer such "
                    "as /success");
    }
    return true;
}

static bool read_op(struct parser *p, struct node *n)
{
    static const struct {
        const char *word;
        enum cond_op op;
    } ops[] = {{"==", OP_EQ}, {"!=", OP_NE},  {"<=", OP_LE},  {">=", OP_GE}, {"<", OP_LT},
               {">", OP_GT},  {"~", OP_GLOB}, {"in ", OP_IN}, {"in[", OP_IN}};
    for (size_t i = 0; i < array_len(ops); i++) {
        if (!take_word(p, ops[i].word))
            continue;
        n->op = ops[i].op;
        if (ops[i].op == OP_IN && ops[i].word[2] == '[')
            p->at--;
        return true;
    }
    n->op = OP_TRUTH;
    return !is_at(p, "=") || fail(p, p->at, "\"=\" is no operator; write ==");
}

static struct node *read_test(struct parser *p)
{
    struct node *n = allocate(p, sizeof(*n));
    if (!n)
        return NULL;
    n->kind = COND_TEST;
    n->literals = allocate(p, LITERALS_MAX * sizeof(*n->literals));
    if (!n->literals || !read_operand(p, n) || !read_op(p, n))
        return NULL;
    if (n->op == OP_TRUTH)
        return n;
    if (n->op == OP_IN)
        return read_list(p, n) ? n : NULL;
    n->literal_count = 1;
    return read_literal(p, n->literals) ? n : NULL;
}

/* --- combinations --- */

static struct node *read_or(struct parser *p);

static struct node *join(struct parser *p, enum cond_kind kind, struct node *left,
                         struct node *right)
{
    struct node *n = left && (right || kind == COND_NOT) ? allocate(p, sizeof(*n)) : NULL;
    if (n)
        *n = (struct node){.kind = kind, .left = left, .right = right};
    return n;
}

static struct node *read_group(struct parser *p)
{
    struct node *n = read_or(p);
    if (n && !take_word(p, ")"))
        return fail(p, p->at, "a ( is not closed; write )");
    return n;
}

static struct node *read_not(struct parser *p)
{
    if (++p->depth > NESTING_MAX)
        return fail(p, p->at, "this is nested too deeply");
    struct node *n;
    if (!is_at(p, "!=") && take_word(p, "!"))
        n = join(p, COND_NOT, read_not(p), NULL);
    else
        n = take_word(p, "(") ? read_group(p) : read_test(p);
    p->depth--;
    return n;
}

static struct node *read_and(struct parser *p)
{
    struct node *n = read_not(p);
    while (n && take_word(p, "&&"))
        n = join(p, COND_AND, n, read_not(p));
    return n;
}

static struct node *read_or(struct parser *p)
{
    struct node *n = read_and(p);
    while (n && take_word(p, "||"))
        n = join(p, COND_OR, n, read_and(p));
    return n;
}

static struct span copy(struct parser *p, struct span text)
{
    char *m = allocate(p, text.len + 1);
    if (m && text.len)
        memcpy(m, text.p, text.len);
    return span_of(m, m ? text.len : 0);
}

enum err_code cond_parse(struct span text, void *(*alloc)(void *arg, size_t size), void *alloc_arg,
                         const struct cond **ret, struct err *err)
{
    struct parser p = {.alloc = alloc, .arg = alloc_arg, .err = err};
    if (text.len > TEXT_BYTES_MAX)
        return err_set(err, ERR_CONFIG, "", "a condition has at most %d bytes", TEXT_BYTES_MAX);
    p.text = copy(&p, text); /* what the tree points into */
    p.cond = p.code ? NULL : allocate(&p, sizeof(*p.cond));
    if (!p.cond)
        return p.code;
    p.cond->text = p.text;
    p.cond->root = read_or(&p);
    skip_space(&p);
    if (p.cond->root && p.at < p.text.len)
        fail(&p, p.at, "here must stand &&, || or the end");
    if (p.code)
        return p.code;
    *ret = p.cond;
    return ERR_OK;
}
