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
 * may be NULL (a config alone). ERR_SYNTAX: the request is none; *ret_why says why. ERR_NOMEM. */
must_check enum err_code explain_format(const struct shared *s, const struct explain_request *r,
                                        struct buf *out, const char **ret_why);
/* Does the request bear a tag of <bound> ("org:123", "organization_id=123")? */
bool explain_is_bound(const struct shared *s, const struct explain_request *r,
                      const struct span *bound, unsigned count);
/* Does a stored answer? */
bool entry_is_bound(const struct shared *s, const struct entry *e, const struct span *bound,
                    unsigned count);
/* Appends the readable key of a GET of <target>, or nothing where such a request has none.
 * *ret_is_only: no request for this URL has another key; else a field, the host or an identity goes
 * into it, too. ERR_NOT_FOUND: no cached route takes it; ERR_SYNTAX: it is no target;
 * ERR_TOO_LARGE; ERR_NOMEM. */
must_check enum err_code explain_url_key(const struct shared *s, struct span target,
                                         struct buf *ret_key, bool *ret_is_only);

#endif
