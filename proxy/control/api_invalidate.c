/* POST /api/cache/invalidate: one selector, hard; the answer says what went. */
#include "control-internal.h"

static const char EXAMPLE[] =
    "one of {\"key\": \"courses:organization_id=1\"}, {\"glob\": \"courses:*\"}, {\"route\": "
    "\"courses\", \"params\": {\"organization_id\": \"1\"}}, {\"all\": true}, and \"dry_run\" if "
    "you like";

static bool fail_param(struct call *c, const struct route *r, const struct json *j)
{
    struct buf known;
    char block[200];
    buf_init_fixed(&known, block, sizeof(block));
    for (unsigned i = 0; i < r->param_count; i++) {
        buf_add_str(&known, i ? ", " : "");
        buf_add_span(&known, r->params[i].label);
    }
    return call_fail(c, 400, "unknown-parameter",
                     "the key of route \"%.*s\" has no parameter \"%.*s\"; it has: %.*s",
                     SPAN_ARG(r->name), CUT(j->name), (int)known.len, known.len ? known.p : "");
}

/* Adds the tag of each parameter; false after call_fail(). */
static bool match_params(struct call *c, const struct route *r, const struct json *params,
                         struct store_match *m)
{
    for (const struct json *j = params->first; j; j = j->next) {
        const struct param *p = route_param(r, j->name);
        if (!p)
            return !fail_param(c, r, j);
        struct span value = j->text;
        if (j->type == JSON_TRUE || j->type == JSON_FALSE)
            value = j->type == JSON_TRUE ? SPAN_LIT("true") : SPAN_LIT("false");
        else if (j->type != JSON_STRING && j->type != JSON_NUMBER)
            return !call_fail(c, 400, "bad-value", "\"%.*s\" must be a string or a number",
                              CUT(j->name));
        if (m->tag_count == array_len(m->tag))
            return !call_fail(c, 400, "bad-value", "at most %zu parameters", array_len(m->tag));
        struct buf tag;
        char block[4096];
        buf_init_fixed(&tag, block, sizeof(block));
        route_param_tag_format(r, p, c->control->shared->config->secret, value, &tag);
        if (tag.failed)
            return !call_fail(c, 400, "bad-value", "\"%.*s\" is too long", CUT(j->name));
        m->tag[m->tag_count++] = tag_of(buf_span(&tag));
    }
    return true;
}

static bool match_route(struct call *c, const struct json *name, const struct json *params,
                        struct store_match *m)
{
    const struct route *r = call_find_route(c, name->text);
    if (!r)
        return !call_fail(c, 400, "unknown-route", "there is no route \"%.*s\"", CUT(name->text));
    if (params && params->type != JSON_OBJECT)
        return !call_fail(c, 400, "bad-value", "\"params\" must be an object");
    if (params && params->count)
        return match_params(c, r, params, m);
    char block[96];
    struct buf tag;
    buf_init_fixed(&tag, block, sizeof(block));
    buf_add_str(&tag, "route:");
    buf_add_span(&tag, r->name);
    m->tag[m->tag_count++] = tag_of(buf_span(&tag));
    return true;
}

static bool is_nonempty_text(const struct json *j)
{
    return j->type == JSON_STRING && j->text.len > 0;
}

/* Exactly one selector. */
static bool match_body(struct call *c, const struct json *root, struct store_match *m)
{
    const struct json *key = json_member(root, SPAN_LIT("key"));
    const struct json *glob = json_member(root, SPAN_LIT("glob"));
    const struct json *route = json_member(root, SPAN_LIT("route"));
    const struct json *all = json_member(root, SPAN_LIT("all"));
    const struct json *params = json_member(root, SPAN_LIT("params"));
    if (!!key + !!glob + !!route + !!all != 1 || (params && !route))
        return !call_fail(c, 400, "bad-selector", "write %s", EXAMPLE);
    if ((key && !is_nonempty_text(key)) || (glob && !is_nonempty_text(glob)) ||
        (route && !is_nonempty_text(route)) || (all && all->type != JSON_TRUE))
        return !call_fail(c, 400, "bad-selector", "write %s", EXAMPLE);
    if (key)
        m->key = key->text;
    else if (glob)
        m->glob = glob->text;
    else if (all)
        m->tag[m->tag_count++] = tag_of(SPAN_LIT("*"));
    else
        return match_route(c, route, params, m);
    return true;
}

bool api_invalidate(struct call *c)
{
    static const char *const known[] = {"key", "glob", "route", "params", "all", "dry_run"};
    cleanup(json_doc_freep) struct json_doc *doc = call_parse(c, known, array_len(known), EXAMPLE);
    if (!doc)
        return true;
    const struct json *root = json_root(doc);
    const struct json *dry = json_member(root, SPAN_LIT("dry_run"));
    struct store_match m = {0};
    if (dry && dry->type != JSON_TRUE && dry->type != JSON_FALSE)
        return call_fail(c, 400, "bad-value", "\"dry_run\" must be true or false");
    if (!match_body(c, root, &m))
        return true;
    bool is_dry = dry && dry->type == JSON_TRUE;
    struct store_removed removed =
        store_invalidate(c->control->shared->store, &m, is_dry, mono_now_ms());
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_str(&w, "status", "ok");
    json_write_u64(&w, "removed", removed.matched);
    json_write_u64(&w, "in_flight", removed.flights);
    json_write_bool(&w, "dry_run", is_dry);
    json_write_object_end(&w);
    return true;
}
