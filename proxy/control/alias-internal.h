/* alias-internal.h: what the files of aliases share. Main thread only, but for alias_takes().
 *
 * alias.c          from the call to its answer: which alias, may it, and its canonical calls
 * alias_request.c  the request's values, and conditions over them
 * alias_figures.c  figures for templates
 * alias_result.c   what the canonical calls have done
 * alias_merge.c    asking the app, and merging into what it says
 * alias_cors.c     which origins may read the answer; preflights
 */
#ifndef LARDER_ALIAS_INTERNAL_H
#define LARDER_ALIAS_INTERNAL_H

#include "control-internal.h"

#include <larder/config/alias.h>

/* The values of one request. */
struct alias_request {
    const struct call *call;
    struct route_captures captures;
    struct route_request values;
    struct json_doc *doc; /* of the body; NULL: it is empty, or no JSON */
    struct err error;     /* why it is no JSON; code ERR_OK: it is, or it is empty */
    struct buf text;      /* the value that was asked for last */
    bool has_no_memory;   /* a value could not be looked at */
};
bool alias_request_read(struct alias_request *q, const struct call *c); /* false: no memory */
void alias_request_fini(struct alias_request *q);
/* False: no memory. The datum lives until the next is asked for. */
bool alias_request_value(struct alias_request *q, const struct param *p, struct reply_datum *ret);
bool alias_holds(struct alias_request *q, const struct alias_test *t); /* no memory: false */
/* "json.resource_type must be "courses" or "rooms"". */
void alias_test_format(const struct alias_test *t, struct buf *out);
/* Where a value that is missing would stand: "in the JSON body". */
const char *alias_place_of(const struct param *p);

/* Figures, gathered as they are asked for. */
struct alias_figures {
    struct control *control;
    struct call *call;
    struct route_counters *sum, *one; /* NULL: not yet */
    int one_index;
    struct store_stats all, *stored; /* with <sum> */
    bool has_value;                  /* those of one value, for all that are counted by it */
    struct value_figures value;
    struct json_doc *stats; /* NULL: not yet */
    int64_t now_unix_us;    /* 0: not yet */
};
void alias_figures_init(struct alias_figures *f, struct call *c);
void alias_figures_fini(struct alias_figures *f);
/* The figures of the value that <body>, {"organization_id": "1"}, names; of all, where it names
 * none. False after call_fail(). */
bool alias_figures_of(struct alias_figures *f, struct span body);
/* False: no memory. */
bool alias_figures_value(struct alias_figures *f, const struct reply_value *v,
                         struct reply_datum *ret);

/* What canonical calls have done, one behind the other. */
struct alias_result {
    uint64_t matched, removed, stale, warmed, failed;
    bool is_replicated;
    unsigned count;
    struct json_doc *answers[ALIAS_WITH_MAX];
    struct buf list; /* bodies of one route, as an array */
};
void alias_result_init(struct alias_result *r);
void alias_result_fini(struct alias_result *r);
/* Takes in the answer of <part>; false: it failed, and <c> says why. */
bool alias_result_add(struct alias_result *r, const struct alias_config *a, struct call *c,
                      const struct call *part);
/* False: no memory. */
bool alias_result_value(struct alias_result *r, const struct config *config,
                        const struct reply_value *v, struct reply_datum *ret);

/* alias_merge.c: the app's answer to the request of a call. */
struct alias_app;
/* <on_end> comes later, unless it returns NULL: no memory, or larder stops. */
struct alias_app *alias_app_ask(struct call *c, void (*on_end)(void *arg), void *arg);
void alias_app_free(struct alias_app *app); /* NULL is fine; ends the exchange */
/* After on_end: was there an answer at all? Else <c> has been failed. */
bool alias_app_has_answered(const struct alias_app *app, struct call *c);
bool alias_app_has_agreed(const struct alias_app *app); /* 2xx */
/* Its answer as it is becomes the call's. */
void alias_app_pass(struct alias_app *app, struct call *c);
/* The same with <patch> (JSON text) merged in; where it is no JSON object it passes as it is.
 * <status>: 0: the app's. */
void alias_app_merge(struct alias_app *app, struct call *c, struct span patch, unsigned status);
bool alias_app_has_cors(const struct alias_app *app);

/* alias_cors.c */
void alias_add_cors(struct call *c, const struct alias_config *a);
bool alias_takes_preflight(const struct alias_config *a, const struct head *h);
bool alias_answer_preflight(struct call *c, const struct alias_config *a);

#endif
