/* alias.h: old control paths, which larder answers in an app's place with the app's own shapes.
 *
 * Thread any, after config_load(). Memory: the config's own.
 */
#ifndef LARDER_CONFIG_ALIAS_H
#define LARDER_CONFIG_ALIAS_H

#include <larder/config/reply_template.h>

enum { ALIASES_MAX = 256, ALIAS_WITH_MAX = 16, ALIAS_ORIGINS_MAX = 32 };

enum alias_action { ALIAS_STATS, ALIAS_INVALIDATE, ALIAS_WARM };
extern const char *const alias_action_names[]; /* as "do" has them; NULL behind the last */

/* "json.resource_type": ["courses", "rooms"]: the value is one of these. */
struct alias_test {
    struct span text; /* the parameter as written */
    struct param param;
    unsigned count;
    struct alias_literal {
        enum json_type type; /* no container; JSON_NULL: the value is absent */
        struct span text;
    } * literals;
};

struct alias_config {
    struct span text;       /* "on", as written */
    const struct route *on; /* of it only methods and path mean anything */
    unsigned action;        /* enum alias_action */
    bool is_open;           /* who reaches the listener may call it */
    bool is_merged;         /* the app is asked, too */
    bool needs_json;        /* a value comes from the request's JSON body */
    bool tells_failed;      /* the reply says itself what has failed */
    bool needs_bodies;      /* the reply holds what the app gave */
    bool takes_any_origin;
    unsigned origin_count;
    struct span *origins;
    struct rate_limit_set rate_limit; /* what its calls count against */
    unsigned when_count, expect_count, with_count;
    struct alias_test *when, *expect;
    struct reply_node *with;        /* bodies of canonical calls; of stats: whose figures */
    unsigned status;                /* 0: as the call's own, or the app's */
    const struct reply_node *reply; /* NULL: the canonical call's own answer */
};

/* "a", "b" or absent: the values of a test, for people. */
void alias_literals_format(const struct alias_test *t, struct buf *out);

#endif
