/* cond.h: a small language for conditions over an answer, compiled once.
 *
 *   or   := and { "||" and }        and := not { "&&" not }        not := "!" not | "(" or ")" |
 * test test := operand [ op literal | "in" "[" literal { "," literal } "]" ] operand := status |
 * type | header.X-Name | /json/pointer op := == != < <= > >= ~ (a glob)      literal := number |
 * "text" | 'text' | true | false | null
 *
 * An operand alone holds where it is there and is neither false, null, 0, "", [] nor {}. A
 * comparison with what is absent is false, but for !=, the negation of ==. JSON compares typed:
 * true is not "true", and 1 is 1.0; status compares as a number, header and type as text.
 * Thread any, after cond_parse(). Evaluation allocates nothing.
 */
#ifndef LARDER_CONFIG_COND_H
#define LARDER_CONFIG_COND_H

#include <larder/base/json.h>
#include <larder/http/head.h>

enum { COND_POINTERS_MAX = 16 };

struct cond;

/* Memory comes from <alloc> (zeroed; NULL: none) and is never freed singly: it is the config's own.
 * On ERR_CONFIG err->what names the column (from 1) and what would be right. */
must_check enum err_code cond_parse(struct span text, void *(*alloc)(void *arg, size_t size),
                                    void *alloc_arg, const struct cond **ret, struct err *err);
/* The JSON pointers that it asks for, each once. */
unsigned cond_pointer_count(const struct cond *c);
struct span cond_pointer(const struct cond *c, unsigned i);

struct cond_value { /* of one pointer */
    bool is_there;
    enum json_type type;
    double number;    /* of a JSON_NUMBER */
    struct span text; /* of a JSON_STRING */
    size_t count;     /* children of a container */
};
struct cond_facts {
    const struct head *response;
    const struct cond_value *values; /* as cond_pointer() */
};
/* There, and neither false, null, 0, "", [] nor {}. */
bool cond_value_is_set(const struct cond_value *v);
bool cond_holds(const struct cond *c, const struct cond_facts *f);
struct span cond_text(const struct cond *c); /* as written */

#endif
