/* Routes: what they match, how long their answers are fresh, which rules they override. */
#include "config-internal.h"

#include <larder/http/uri.h>

#include <stddef.h>
#include <stdio.h>

#define AT(field) offsetof(struct route, field)
#define MEMBER(route, text) json_member(route, SPAN_LIT(text))

static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return false;
    }
    return s.len > 0 && s.len <= 64 && !span_eq(s, SPAN_LIT("pass"));
}

static void read_methods(struct reading *r, const struct json *j, struct route *route,
                         struct span methods)
{
    while (methods.p && methods.len) {
        struct span m = span_trim(span_split(methods, ',', &methods));
        if (!span_is_token(m) || route->method_count == ROUTE_METHODS_MAX) {
            reading_fail(r, j,
                         "\"" SPAN_FMT "\" is no method; write \"GET /path\" or "
                         "\"PUT,POST /path\"",
                         SPAN_ARG(m));
            return;
        }
        route->methods[route->method_count++] = reading_copy(r, m);
    }
}

static void read_segment(struct reading *r, const struct json *j, struct route *route,
                         struct span text, bool is_last)
{
    struct path_segment *s = &route->segments[route->segment_count++];
    if (is_last && span_eq(text, SPAN_LIT("*"))) {
        s->is_rest = true;
        return;
    }
    if (text.len > 2 && text.p[0] == '{' && text.p[text.len - 1] == '}') {
        s->is_capture = true;
        s->name = reading_copy(r, span_of(text.p + 1, text.len - 2));
        return;
    }
    if (memchr(text.p, '{', text.len) || memchr(text.p, '*', text.len)) {
        reading_fail(r, j,
                     "\"" SPAN_FMT "\": a capture is a whole segment {name}, and * stands "
                     "at the end only",
                     SPAN_ARG(text));
        return;
    }
    struct buf out;
    char block[1024];
    buf_init_fixed(&out, block, sizeof(block));
    uri_path_canonical(text, &out);
    s->literal = reading_copy(r, buf_span(&out));
}

static void read_match(struct reading *r, const struct json *j, struct route *route)
{
    if (!j || j->type != JSON_STRING) {
        reading_fail(r, j, "\"match\" must be a string such as \"GET /api/courses\"");
        return;
    }
    struct span path, text = j->text;
    struct span methods = span_split(text, ' ', &path);
    if (!path.p) {
        path = methods;
        route->any_method = true;
    } else {
        read_methods(r, j, route, methods);
    }
    path = span_trim(path);
    if (path.len == 0 || path.p[0] != '/' || memchr(path.p, '?', path.len)) {
        reading_fail(r, j,
                     "the path must begin with / and have no query; write \"GET "
                     "/api/courses\"");
        return;
    }
    unsigned count = 0;
    for (size_t i = 0; i < path.len; i++)
        count += path.p[i] == '/';
    route->segments = reading_alloc(r, count, sizeof(*route->segments));
    struct span rest = span_of(path.p + 1, path.len - 1);
    while (route->segments && rest.p) {
        struct span segment = span_split(rest, '/', &rest);
        read_segment(r, j, route, segment, rest.p == NULL);
    }
}

/* "404", "5xx" or "200-299". */
static bool parse_statuses(struct span s, unsigned *low, unsigned *high)
{
    uint64_t a, b;
    struct span rest, first = span_split(s, '-', &rest);
    if (s.len == 3 && s.p[1] == 'x' && s.p[2] == 'x' && s.p[0] >= '2' && s.p[0] <= '5') {
        *low = (unsigned)(s.p[0] - '0') * 100;
        *high = *low + 99;
        return true;
    }
    if (!span_parse_u64(first, &a) || !span_parse_u64(rest.p ? rest : first, &b))
        return false;
    *low = (unsigned)a;
    *high = (unsigned)b;
    return a >= 200 && b <= 599 && a <= b;
}

static void read_status_ttl(struct reading *r, const struct json *j, struct route *route)
{
    struct fresh_policy *p = &route->fresh;
    if (j->type != JSON_OBJECT || j->count > array_len(p->status_ttl)) {
        reading_fail(r, j, "write an object of at most %zu members such as {\"404\": \"10s\"}",
                     array_len(p->status_ttl));
        return;
    }
    for (const struct json *c = j->first; c; c = c->next) {
        unsigned n = p->status_ttl_count;
        if (!parse_statuses(c->name, &p->status_ttl[n].low, &p->status_ttl[n].high))
            reading_fail(r, c,
                         "\"" SPAN_FMT "\" is no status; write \"404\", \"5xx\" or "
                         "\"200-299\"",
                         SPAN_ARG(c->name));
        else if (c->type != JSON_STRING || !duration_parse(c->text, &p->status_ttl[n].ttl_ms))
            reading_fail(r, c, "this is not a duration; write \"10s\"");
        else
            p->status_ttl_count++;
    }
}

/* A member with two words: false for the first (the default), true for the second. */
static bool read_choice(struct reading *r, const struct json *j, const char *no, const char *yes)
{
    if (!j || (j->type == JSON_STRING && span_eq(j->text, span_str(no))))
        return false;
    if (j->type == JSON_STRING && span_eq(j->text, span_str(yes)))
        return true;
    reading_fail(r, j, "write \"%s\" or \"%s\"", no, yes);
    return false;
}

static void read_strict(struct reading *r, const struct json *j, struct route *route)
{
    if (!j || j->type == JSON_FALSE || span_eq(j->text, SPAN_LIT("forward")))
        return;
    if (j->type == JSON_TRUE || span_eq(j->text, SPAN_LIT("reject")))
        route->strict = UNKNOWN_REJECT;
    else if (span_eq(j->text, SPAN_LIT("drop")))
        route->strict = UNKNOWN_DROP;
    else
        reading_fail(r, j, "write \"forward\", \"reject\" or \"drop\"");
}

static void read_ignore(struct reading *r, const struct json *j, struct route *route)
{
    if (!j)
        return;
    if (j->type != JSON_ARRAY) {
        reading_fail(r, j, "write an array of names such as [\"utm_*\", \"_\"]");
        return;
    }
    route->ignore = reading_alloc(r, j->count + 1, sizeof(*route->ignore));
    for (const struct json *c = j->first; c && route->ignore; c = c->next) {
        if (c->type != JSON_STRING)
            reading_fail(r, c, "write the name of a query parameter");
        else
            route->ignore[route->ignore_count++] = reading_copy(r, c->text);
    }
}

static void find_upstream(struct reading *r, const struct json *root, const struct json *j,
                          struct route *route)
{
    struct config *c = r->config;
    const struct json *name = j ? MEMBER(j, "upstream") : NULL;
    if (!name)
        name = MEMBER(root, "default_upstream");
    if (!name) {
        if (c->upstream_count > 1 && j)
            reading_fail(r, j,
                         "there are several upstreams: name one by \"upstream\", or set "
                         "\"default_upstream\"");
        return;
    }
    for (unsigned i = 0; i < c->upstream_count; i++) {
        if (span_eq(c->upstreams[i].name, name->text)) {
            route->upstream = i;
            return;
        }
    }
    reading_fail(r, name, "there is no upstream \"" SPAN_FMT "\"", SPAN_ARG(name->text));
}

static bool takes_method(const struct route *route, const char *name)
{
    for (unsigned i = 0; i < route->method_count; i++)
        if (span_eq(route->methods[i], span_str(name)))
            return true;
    return false;
}

static void check_methods(struct reading *r, const struct json *j, const struct route *route)
{
    if (!route->cached)
        return;
    if (route->any_method) {
        reading_fail(r, j, "a cached route must name its methods: write \"GET ...\"");
        return;
    }
    for (unsigned i = 0; i < route->method_count; i++) {
        enum method m = method_of(route->methods[i]);
        if (m != METHOD_GET && m != METHOD_HEAD && m != METHOD_POST && m != METHOD_QUERY)
            reading_fail(r, j,
                         "answers to " SPAN_FMT " are never cached: only GET, HEAD, POST and "
                         "QUERY may have a ttl",
                         SPAN_ARG(route->methods[i]));
    }
}

static void read_rules(struct reading *r, const struct json *j, struct route *route)
{
    const struct json *ttl = MEMBER(j, "ttl"), *by_status = MEMBER(j, "ttl_by_status");
    struct fresh_policy *p = &route->fresh;
    p->has_ttl = ttl != NULL;
    route->cached = ttl || by_status;
    if (by_status)
        read_status_ttl(r, by_status, route);
    p->ignore_cache_control = read_choice(r, MEMBER(j, "cache_control"), "obey", "ignore");
    p->ignore_set_cookie = read_choice(r, MEMBER(j, "set_cookie"), "obey", "ignore");
    p->share_authorized = read_choice(r, MEMBER(j, "authorization"), "obey", "share");
    route->share_cookies = read_choice(r, MEMBER(j, "cookies"), "obey", "share");
    route->vary_ignored = read_choice(r, MEMBER(j, "vary"), "obey", "ignore");
    read_strict(r, MEMBER(j, "strict"), route);
    read_ignore(r, MEMBER(j, "ignore"), route);
}

static void read_route(struct reading *r, const struct json *root, const struct json *j,
                       struct route *route)
{
    static const struct member members[] = {
        {"name", MEMBER_TEXT, AT(name), 0, 0},
        {"match", MEMBER_ANY, 0, 0, 0},
        {"upstream", MEMBER_ANY, 0, 0, 0},
        {"ttl", MEMBER_DURATION, AT(fresh.ttl_ms), 0, 0},
        {"ttl_by_status", MEMBER_ANY, 0, 0, 0},
        {"key", MEMBER_ANY, 0, 0, 0},
        {"key_template", MEMBER_ANY, 0, 0, 0},
        {"key_host", MEMBER_BOOL, AT(key_host), 0, 0},
        {"ignore", MEMBER_ANY, 0, 0, 0},
        {"strict", MEMBER_ANY, 0, 0, 0},
        {"cache_control", MEMBER_ANY, 0, 0, 0},
        {"set_cookie", MEMBER_ANY, 0, 0, 0},
        {"authorization", MEMBER_ANY, 0, 0, 0},
        {"cookies", MEMBER_ANY, 0, 0, 0},
        {"vary", MEMBER_ANY, 0, 0, 0},
        {"max_bytes", MEMBER_SIZE, AT(max_bytes), 0, 0},
        {"max_entries", MEMBER_U64, AT(max_entries), 0, 0},
        {"max_object_bytes", MEMBER_SIZE, AT(max_object_bytes), 0, 0},
        {"body_limit", MEMBER_SIZE, AT(body_limit_bytes), 0, 0},
        {"first_byte_timeout", MEMBER_DURATION, AT(first_byte_timeout_ms), 0, 0},
    };
    reading_members(r, j, members, array_len(members), route);
    if (j->type != JSON_OBJECT)
        return;
    if (!is_name(route->name))
        reading_fail(r, MEMBER(j, "name") ? MEMBER(j, "name") : j,
                     "a route needs a \"name\" of letters, digits, _ - and . (not \"pass\")");
    const struct json *match = MEMBER(j, "match");
    read_match(r, match ? match : j, route);
    find_upstream(r, root, j, route);
    read_rules(r, j, route);
    check_methods(r, match ? match : j, route);
    load_key(r, route, MEMBER(j, "key"), MEMBER(j, "key_template"));
    bool is_post = takes_method(route, "POST") || takes_method(route, "QUERY");
    if (route->needs_body && !is_post)
        reading_fail(r, j,
                     "the key is made from the body, but no method of the route has one; "
                     "write \"POST ...\"");
}

static void add_pass(struct reading *r, const struct json *root)
{
    struct config *c = r->config;
    struct route *pass = &c->routes[c->route_count];
    pass->name = SPAN_LIT("pass");
    pass->index = (uint16_t)c->route_count++;
    pass->any_method = true;
    pass->segments = reading_alloc(r, 1, sizeof(*pass->segments));
    if (!pass->segments)
        return;
    pass->segment_count = 1;
    pass->segments[0].is_rest = true;
    find_upstream(r, root, NULL, pass);
}

void load_routes(struct reading *r, const struct json *root)
{
    enum { ROUTES_MAX = 1000 };
    struct config *c = r->config;
    const struct json *j = MEMBER(root, "routes");
    if (j && (j->type != JSON_ARRAY || j->count > ROUTES_MAX)) {
        reading_fail(r, j, "write an array of at most %d routes", ROUTES_MAX);
        j = NULL;
    }
    c->routes = reading_alloc(r, (j ? j->count : 0) + 1, sizeof(*c->routes));
    if (!c->routes)
        return;
    for (const struct json *e = j ? j->first : NULL; e; e = e->next) {
        struct route *route = &c->routes[c->route_count];
        route->index = (uint16_t)c->route_count;
        read_route(r, root, e, route);
        for (unsigned i = 0; i < c->route_count; i++)
            if (span_eq(c->routes[i].name, route->name))
                reading_fail(r, e, "another route has the name \"" SPAN_FMT "\"",
                             SPAN_ARG(route->name));
        c->route_count++;
    }
    add_pass(r, root);
}
