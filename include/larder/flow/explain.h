/* explain.h: what larder would do with a request, and why, without asking the app.
 *
 * Thread any. Memory: text only.
 */
#ifndef LARDER_FLOW_EXPLAIN_H
#define LARDER_FLOW_EXPLAIN_H

#include <larder/base/json.h>
#include <larder/flow/worker.h>

struct explain_request {
    struct span method, target; /* target: "/path?query", or a whole http:// URL */
    struct span fields;         /* lines, each with CRLF; Host is added where it lacks */
    struct span body;
};

/* Appends a JSON object: route, key and its parts, identity, tags, decision, the entry that is
 * there, and what in the config would change it. <s> needs config, switches and values; its store
 * may be NULL (a config alone). ERR_SYNTAX: the request is none; *ret_why says why. */
must_check enum err_code explain_format(const struct shared *s, const struct explain_request *r,
                                        struct buf *out, const char **ret_why);
/* Does the request bear a tag of <bound> ("org:123", "organization_id=123")? */
bool explain_is_bound(const struct shared *s, const struct explain_request *r,
                      const struct span *bound, unsigned count);
/* Does a stored answer? */
bool entry_is_bound(const struct shared *s, const struct entry *e, const struct span *bound,
                    unsigned count);
/* The readable key that a request has; false: none. */
bool explain_key(const struct shared *s, const struct explain_request *r, struct buf *ret_key);

#endif
