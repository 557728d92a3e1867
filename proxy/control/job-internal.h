/* job-internal.h: what the parts of reading a job share. Main thread only. */
#ifndef LARDER_JOB_INTERNAL_H
#define LARDER_JOB_INTERNAL_H

#include "control-internal.h"

#define MEMBER(j, text) json_member(j, SPAN_LIT(text))

/* Fill <err> (ERR_SYNTAX, ERR_NOMEM, ERR_DENIED) and return false. */
bool spec_fail(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool spec_fail_nomem(struct err *err);
bool spec_fail_bound(struct err *err);

/* The values of one parameter. */
struct value_list {
    char *label;
    unsigned count, room;
    char **text;
    char *from, *pointer; /* of an answer that is still to be fetched; else NULL */
};
/* From "params": a value, an array, {"file": name in warm_dir} or {"from": path, "pointer": p}. */
bool value_list_read(struct value_list *v, const struct config *config, const struct json *j,
                     struct err *err);
/* ERR_SYNTAX: it has control characters; ERR_TOO_LARGE: there are too many; ERR_NOMEM. */
must_check enum err_code value_list_add(struct value_list *v, struct span text);
void value_list_clear(struct value_list *v); /* its values go; what they come from stays */
void value_list_free(struct value_list *v);

char *text_copy(struct span s); /* NUL-terminated, to be freed; NULL: no memory */

#endif
