/* route-internal.h: what the files that make keys share.
 *
 * route_key.c      the key's form
 * route_param.c    the values of one parameter, in keys and in tags
 * route_strict.c   parameters that no key knows
 * route_decl.c     declared parameters: one form for all spellings of a value
 * route_identity.c whose answer it is
 * route_template.c texts with values in them
 * route_fill.c     a request made of a route and values
 */
#ifndef LARDER_ROUTE_INTERNAL_H
#define LARDER_ROUTE_INTERNAL_H

#include <larder/base/jwt.h>
#include <larder/config/route.h>

enum { VALUE_BYTES_MAX = 4096, NAME_BYTES_MAX = 256 };

/* One key in the making. */
struct key_build {
    const struct route *route;
    const struct route_request *request;
    struct buf *key;
    void (*on_tag)(void *arg, struct span tag); /* may be NULL */
    /* where this is set, plain values go here, and neither key nor tags are made */
    void (*on_value)(void *arg, struct span value);
    bool *value_failed; /* with on_value: one is too long, or none that a text could hold */
    void *arg;
    enum key_result *result; /* where a value forbids the key; may be NULL */
};

/* Appends <before_first> and the values of <p>, and hands over a tag for each; returns how many
 * values there were: with none nothing is appended. */
unsigned param_add_values(const struct key_build *k, const struct param *p,
                          const char *before_first);

/* The claim of the request's token, verified; JWT_ABSENT: there is no token. */
enum jwt_result param_jwt_claim(const struct param *p, const struct route_request *req,
                                struct buf *out);

/* Is a query parameter of this name ignored? For key_add_query_all(). */
bool route_is_ignored(void *route, struct span name);
/* ... or one of the key's own? */
bool route_is_ignored_or_keyed(void *route, struct span name);
/* Is the body a form, by its Content-Type? */
bool request_has_form(const struct head *h);
/* A parameter that neither key nor ignore names; *ret_why says which, in the thread's own block. */
bool route_has_unknown_query(const struct route *r, struct span query, const char **ret_why);
bool route_has_unknown_body(const struct route *r, const struct route_request *req,
                            const char **ret_why);

#endif
