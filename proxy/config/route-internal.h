/* route-internal.h: what the files that make keys share.
 *
 * route_key.c      the key's form
 * route_param.c    the values of one parameter, in keys and in tags
 * route_strict.c   parameters that no key knows
 */
#ifndef LARDER_ROUTE_INTERNAL_H
#define LARDER_ROUTE_INTERNAL_H

#include <larder/config/route.h>

enum { VALUE_BYTES_MAX = 4096, NAME_BYTES_MAX = 256 };

/* One key in the making. */
struct key_build {
    const struct route *route;
    const struct route_request *request;
    struct buf *key;
    void (*on_tag)(void *arg, struct span tag); /* may be NULL */
    void *arg;
};

/* Appends <before_first> and the values of <p>, and hands over a tag for each; returns how many
 * values there were: with none nothing is appended. */
unsigned param_add_values(const struct key_build *k, const struct param *p,
                          const char *before_first);

/* Is a query parameter of this name ignored? For key_add_query_all(). */
bool route_is_ignored(void *route, struct span name);
/* Is the body a form, by its Content-Type? */
bool request_has_form(const struct head *h);
/* A parameter that neither key nor ignore names; *ret_why says which, in the thread's own block. */
bool route_has_unknown_query(const struct route *r, struct span query, const char **ret_why);
bool route_has_unknown_body(const struct route *r, const struct route_request *req,
                            const char **ret_why);

#endif
