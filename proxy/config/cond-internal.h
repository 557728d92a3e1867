/* cond-internal.h: a condition as a tree; cond_parse.c makes it, cond.c asks it. */
#ifndef LARDER_COND_INTERNAL_H
#define LARDER_COND_INTERNAL_H

#include <larder/config/cond.h>

enum cond_kind { COND_OR, COND_AND, COND_NOT, COND_TEST };
enum cond_operand { OPERAND_STATUS, OPERAND_TYPE, OPERAND_HEADER, OPERAND_JSON };
enum cond_op { OP_TRUTH, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_GLOB, OP_IN };

struct literal {
    enum json_type type;
    double number;
    struct span text; /* of a string decoded; of a number as written */
};

struct node {
    enum cond_kind kind;
    struct node *left, *right; /* NOT has left alone */
    enum cond_operand operand;
    struct span name; /* of a header */
    unsigned pointer; /* of JSON: its number */
    enum cond_op op;
    unsigned literal_count;
    struct literal *literals;
};

struct cond {
    struct span text;
    struct node *root;
    unsigned pointer_count;
    struct span pointers[COND_POINTERS_MAX];
};

#endif
