/* GET /api/cache/routes, and POST /api/cache/routes/NAME: switches that hold until the config is
 * read anew. */
#include "control-internal.h"

static const char EXAMPLE[] =
    "{\"enabled\": false} or {\"ttl\": \"5m\"}; {\"ttl\": null} goes back "
    "to the config's";

static void write_route(struct json_writer *w, const struct shared *s, const struct route *r)
{
    const struct route_switch *sw = &s->switches[r->index];
    json_write_object(w, NULL);
    json_write_span(w, "name", r->name);
    json_write_u64(w, "config_line", r->config_line);
    json_write_bool(w, "cached", r->cached);
    json_write_bool(w, "enabled", !sw->is_off);
    json_write_u64(w, "ttl_ms", sw->has_ttl ? sw->ttl_ms : r->fresh.ttl_ms);
    json_write_u64(w, "config_ttl_ms", r->fresh.ttl_ms);
    json_write_bool(w, "switched", sw->is_off || sw->has_ttl);
    json_write_object_end(w);
}

bool api_routes(struct call *c)
{
    const struct shared *s = c->control->shared;
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_array(&w, "routes");
    for (unsigned i = 0; i < s->config->route_count; i++)
        write_route(&w, s, &s->config->routes[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    return true;
}

static bool read_ttl(struct call *c, const struct json *j, struct route_switch *sw)
{
    uint64_t ms;
    if (j->type == JSON_NULL) {
        sw->has_ttl = false;
        return true;
    }
    if (j->type != JSON_STRING || !config_duration_parse(j->text, &ms))
        return !call_fail(c, 400, "bad-value", "\"ttl\" must be a duration; write %s", EXAMPLE);
    sw->ttl_ms = ms;
    sw->has_ttl = true;
    return true;
}

bool api_route(struct call *c)
{
    static const char *const known[] = {"enabled", "ttl"};
    cleanup(json_doc_freep) struct json_doc *doc = call_parse(c, known, array_len(known), EXAMPLE);
    if (!doc)
        return true;
    const struct route *r = call_find_route(c, c->argument);
    const struct json *enabled = json_member(json_root(doc), SPAN_LIT("enabled"));
    const struct json *ttl = json_member(json_root(doc), SPAN_LIT("ttl"));
    if (!r)
        return call_fail(c, 404, "unknown-route", "there is no route \"%.*s\"", CUT(c->argument));
    if (access_is_bound(c))
        return call_fail(c, 403, "forbidden", "the token is bound, and a route is everybody's");
    if (!r->cached)
        return call_fail(c, 409, "not-cached", "the route \"%.*s\" is not cached by the config",
                         CUT(r->name));
    if (enabled && enabled->type != JSON_TRUE && enabled->type != JSON_FALSE)
        return call_fail(c, 400, "bad-value", "\"enabled\" must be true or false; write %s",
                         EXAMPLE);
    if (!enabled && !ttl)
        return call_fail(c, 400, "bad-value", "write %s", EXAMPLE);
    struct route_switch *sw = &c->control->shared->switches[r->index];
    if (ttl && !read_ttl(c, ttl, sw))
        return true;
    if (enabled)
        sw->is_off = enabled->type == JSON_FALSE;
    buf_add_fmt(&c->audit, "route %.*s: %s, ttl %s", CUT(r->name), sw->is_off ? "off" : "on",
                sw->has_ttl ? "switched" : "of the config");
    struct json_writer w;
    json_writer_init(&w, &c->reply);
    write_route(&w, c->control->shared, r);
    return true;
}
