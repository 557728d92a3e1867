/* "PUT,POST /api/rooms/{id}": methods, then a path of literals and captures. */
#include "config-internal.h"

#include <larder/http/uri.h>

enum { LITERAL_MAX = 1024, SEGMENTS_MAX = 64 };

bool reading_method(struct reading *r, const struct json *j, struct span m)
{
    static const char *const known[] = {"GET",   "HEAD",   "POST",    "PUT",
                                        "PATCH", "DELETE", "OPTIONS", "QUERY"};
    struct quoted q;
    if (!span_is_token(m)) {
        reading_fail(r, j, "\"%s\" is no method; write \"GET\" or \"PUT\"", quote(m, &q));
        return false;
    }
    for (unsigned i = 0; i < array_len(known); i++) {
        if (span_eq_nocase(m, span_str(known[i])) && !span_eq(m, span_str(known[i]))) {
            reading_fail(r, j, "\"%s\" is no method: they are in capitals; write \"%s\"",
                         quote(m, &q), known[i]);
            return false;
        }
    }
    return true;
}

static void read_method(struct reading *r, const struct json *j, struct route *route, struct span m)
{
    struct quoted q;
    if (!reading_method(r, j, m))
        return;
    for (unsigned i = 0; i < route->method_count; i++) {
        if (span_eq(route->methods[i], m)) {
            reading_fail(r, j, "method %s is there twice; leave one of them", quote(m, &q));
            return;
        }
    }
    if (route->method_count == ROUTE_METHODS_MAX)
        reading_fail(r, j, "a route has at most %d methods; leave them out for any method",
                     ROUTE_METHODS_MAX);
    else
        route->methods[route->method_count++] = reading_copy(r, m);
}

static bool is_capture_name(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool is_alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_alnum && c != '_' && c != '-')
            return false;
    }
    return s.len > 0;
}

static unsigned captures_of(const struct route *route, struct span name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < route->segment_count; i++)
        n += route->segments[i].name.len && (!name.p || span_eq(route->segments[i].name, name));
    return n;
}

/* "{id}", or "{rest...}" at the end. */
static void read_capture(struct reading *r, const struct json *j, struct route *route,
                         struct path_segment *s, struct span text, bool is_last)
{
    struct quoted q;
    struct span name = span_of(text.p + 1, text.len - 2);
    s->is_rest = is_last && name.len > 3 && memcmp(name.p + name.len - 3, "...", 3) == 0;
    s->is_capture = !s->is_rest;
    name.len -= s->is_rest ? 3 : 0;
    if (!is_capture_name(name)) {
        reading_fail(r, j,
                     "\"%s\" is no capture; write {id}, or {rest...} at the end, with a name of "
                     "letters, digits, _ and -",
                     quote(text, &q));
        return;
    }
    if (captures_of(route, name))
        reading_fail(r, j, "two captures are called \"%s\"; rename one", quote(name, &q));
    if (captures_of(route, span_of(NULL, 0)) == ROUTE_CAPTURES_MAX)
        reading_fail(r, j, "a path has at most %d captures", ROUTE_CAPTURES_MAX);
    s->name = reading_copy(r, name);
}

static void read_segment(struct reading *r, const struct json *j, struct route *route,
                         struct span text, bool is_last)
{
    struct quoted q;
    struct path_segment *s = &route->segments[route->segment_count];
    if (is_last && span_eq(text, SPAN_LIT("*"))) {
        s->is_rest = true;
    } else if (text.len > 2 && text.p[0] == '{' && text.p[text.len - 1] == '}') {
        read_capture(r, j, route, s, text, is_last);
    } else if (memchr(text.p, '{', text.len) || memchr(text.p, '}', text.len) ||
               memchr(text.p, '*', text.len)) {
        reading_fail(r, j,
                     "\"%s\": a capture is a whole segment {name}, and * stands alone at the end",
                     quote(text, &q));
    } else {
        struct buf out;
        char block[LITERAL_MAX];
        buf_init_fixed(&out, block, sizeof(block));
        uri_path_canonical(text, &out);
        if (out.failed)
            reading_fail(r, j, "a segment is longer than %d bytes", LITERAL_MAX);
        s->literal = reading_copy(r, buf_span(&out));
    }
    route->segment_count++;
}

static void read_path(struct reading *r, const struct json *j, struct route *route,
                      struct span path)
{
    unsigned count = 0;
    for (size_t i = 0; i < path.len; i++)
        count += path.p[i] == '/';
    if (count > SEGMENTS_MAX) {
        reading_fail(r, j, "a path has at most %d segments", SEGMENTS_MAX);
        return;
    }
    route->segments = reading_alloc(r, count, sizeof(*route->segments));
    struct span rest = span_of(path.p + 1, path.len - 1);
    while (route->segments && rest.p) {
        struct span segment = span_split(rest, '/', &rest);
        read_segment(r, j, route, segment, rest.p == NULL);
    }
}

static bool has_byte_of(struct span s, const char *bytes)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == '\0' || strchr(bytes, s.p[i]))
            return true;
    return false;
}

void load_pattern(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    struct quoted q;
    if (j->type != JSON_STRING) {
        reading_fail(r, j, "\"match\" is %s; write \"GET /api/courses\"", json_type_name(j->type));
        return;
    }
    struct span path, methods = span_split(j->text, ' ', &path);
    if (!path.p) {
        path = methods;
        route->any_method = true;
    }
    for (struct span rest = methods; !route->any_method && rest.p;)
        read_method(r, j, route, span_trim(span_split(rest, ',', &rest)));
    path = span_trim(path);
    if (path.len == 0 || path.p[0] != '/')
        reading_fail(r, j, "the path \"%s\" must begin with /; write \"GET /api/courses\"",
                     quote(path, &q));
    else if (has_byte_of(path, "?# "))
        reading_fail(r, j,
                     "a path has no query, fragment or space; write \"GET /api/courses\", and "
                     "name query parameters in \"key\"");
    else
        read_path(r, j, route, path);
}
