/* An alias's "with": the bodies of canonical calls. What the call would refuse each time is refused
 * here once, with its place. */
#include "load-alias.h"

#define MEMBER(j, text) json_member(j, SPAN_LIT(text))

/* Members of a call's body; those that name what it is about come first. */
static const struct {
    unsigned selector_count, count;
    const char *const names[16];
    const char *example;
} calls[] = {
    [ALIAS_INVALIDATE] = {9,
                          15,
                          {"key", "url", "path", "glob", "tag", "tags", "all_of", "route", "all",
                           "params", "mode", "dry_run", "refresh", "limit", "wait"},
                          "{\"all\": true}, {\"tag\": \"org:${json.organization_id}\"} or "
                          "{\"route\": \"courses\", \"params\": {...}}"},
    [ALIAS_WARM] = {4,
                    9,
                    {"urls", "route", "hottest", "job", "params", "rate", "headers", "refresh",
                     "concurrency"},
                    "{\"route\": \"courses\", \"params\": {...}} or {\"urls\": [\"/api/config\"]}"},
};

static bool is_fixed(const struct json *j)
{
    return j->type == JSON_STRING && !memmem(j->text.p, j->text.len, "${", 2);
}

static bool has_label(const struct route *route, struct span name, bool with_captures)
{
    for (unsigned i = 0; with_captures && i < route->segment_count; i++)
        if (route->segments[i].name.len && span_eq(route->segments[i].name, name))
            return true;
    return route_param(route, name) != NULL;
}

static bool any_route_has(const struct config *c, struct span name, bool with_captures)
{
    for (unsigned i = 0; i < c->route_count; i++)
        if (has_label(&c->routes[i], name, with_captures))
            return true;
    return false;
}

/* The route that <j> names; NULL where that is not known before the call, or there is none. */
static const struct route *find_route(struct reading *r, const struct json *j)
{
    const struct config *c = r->config;
    const char *list[64] = {NULL};
    struct quoted q;
    unsigned count = c->route_count < array_len(list) ? c->route_count : array_len(list);
    if (!j || !is_fixed(j))
        return NULL;
    for (unsigned i = 0; i < c->route_count; i++)
        if (span_eq(c->routes[i].name, j->text))
            return &c->routes[i];
    for (unsigned i = 0; i < count; i++)
        list[i] = c->routes[i].name.p;
    const char *near = nearest_name(j->text, list, count);
    reading_fail(r, j, "there is no route \"%s\"%s%s%s", quote(j->text, &q),
                 near ? "; did you mean \"" : "; name one of \"routes\"", near ? near : "",
                 near ? "\"?" : "");
    return NULL;
}

/* Parameters that the called route has not are left out of the call, so that one alias may name
 * many routes; what no route has is a slip. */
static void check_params(struct reading *r, const struct json *j, const struct alias_config *a)
{
    const struct json *params = MEMBER(j, "params"), *name = MEMBER(j, "route");
    const struct route *route = find_route(r, name);
    bool with_captures = a->action == ALIAS_WARM, is_known = name && is_fixed(name);
    struct quoted q;
    if (params && params->type != JSON_OBJECT) {
        reading_fail(r, params,
                     "write an object such as {\"organization_id\": "
                     "\"${json.organization_id}\"}");
        return;
    }
    for (const struct json *p = params ? params->first : NULL; p; p = p->next)
        if (is_known ? route && !has_label(route, p->name, with_captures)
                     : !any_route_has(r->config, p->name, with_captures))
            reading_fail(r, p,
                         is_known ? "the key of that route has no parameter \"%s\""
                                  : "no route's key has a parameter \"%s\"",
                         quote(p->name, &q));
}

static void check_job(struct reading *r, const struct json *j)
{
    const struct config *c = r->config;
    struct quoted q;
    if (!j || !is_fixed(j))
        return;
    for (unsigned i = 0; i < c->warm_count; i++)
        if (span_eq(c->warms[i].name, j->text))
            return;
    reading_fail(r, j, "\"warm\" has no job \"%s\"", quote(j->text, &q));
}

static void check_names(struct reading *r, const struct json *j, unsigned action)
{
    unsigned selectors = 0;
    struct quoted q;
    for (const struct json *m = j->first; m; m = m->next) {
        unsigned i = 0;
        while (i < calls[action].count && !span_eq(m->name, span_str(calls[action].names[i])))
            i++;
        selectors += i < calls[action].selector_count;
        if (i < calls[action].count)
            continue;
        const char *near = nearest_name(m->name, calls[action].names, calls[action].count);
        reading_fail(r, m, "unknown member \"%s\"%s%s%s%s", quote(m->name, &q),
                     near ? "; did you mean \"" : "; write ", near ? near : calls[action].example,
                     near ? "\"?" : "", "");
        return;
    }
    if (selectors != 1)
        reading_fail(r, j, "name one thing: %s", calls[action].example);
}

/* Of stats: {"organization_id": "..."} or {"tag": "..."}. */
static void check_value(struct reading *r, const struct json *j)
{
    struct quoted q;
    if (j->count != 1)
        reading_fail(r, j,
                     "name one parameter whose value is counted, such as "
                     "{\"organization_id\": \"${query.organization_id}\"}, or a \"tag\"");
    else if (!span_eq(j->first->name, SPAN_LIT("tag")) &&
             !any_route_has(r->config, j->first->name, false))
        reading_fail(r, j->first, "no route's key has a parameter \"%s\"",
                     quote(j->first->name, &q));
}

static void read_with(struct reading *r, const struct json *j, struct alias_config *a)
{
    struct reply_context context = {
        .on = a->on, .groups = 1u << REPLY_OF_REQUEST, .has_places = a->action != ALIAS_STATS};
    if (j->type != JSON_OBJECT) {
        reading_fail(r, j, "this is %s; write an object such as %s", json_type_name(j->type),
                     a->action == ALIAS_STATS ? "{\"organization_id\": \"...\"}"
                                              : calls[a->action].example);
        return;
    }
    if (a->action == ALIAS_STATS) {
        check_value(r, j);
    } else {
        check_names(r, j, a->action);
        check_params(r, j, a);
        check_job(r, MEMBER(j, "job"));
    }
    struct reply_node *n = reply_template_read(r, j, &context);
    if (n)
        a->with[a->with_count++] = *n;
}

void load_alias_with(struct reading *r, const struct json *j, void *alias)
{
    struct alias_config *a = alias;
    bool is_list = j->type == JSON_ARRAY;
    unsigned max = a->action == ALIAS_STATS ? 1 : ALIAS_WITH_MAX;
    if (is_list && (j->count < 1 || j->count > max)) {
        reading_fail(r, j, "write 1 to %u calls", max);
        return;
    }
    a->with = reading_alloc(r, is_list ? j->count : 1, sizeof(*a->with));
    if (a->with && !is_list)
        read_with(r, j, a);
    for (const struct json *c = is_list ? j->first : NULL; c && a->with; c = c->next)
        read_with(r, c, a);
}
