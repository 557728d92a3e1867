/* Templates as the config has them: every name in them is looked up while the file is read, so that
 * a call can only lack what the request should have brought. */
#include "config-internal.h"

#include <larder/config/reply_template.h>

static const struct {
    const char *text;
    enum reply_group group;
    enum reply_unit unit;
} names[] = {
#define X(group, name, text, unit) {text, REPLY_OF_##group, REPLY_UNIT_##unit},
    REPLY_NAMES(X)
#undef X
};

static const struct {
    const char *text;
    enum reply_filter_kind kind;
} filters[] = {{"percent", REPLY_PERCENT}, {"int", REPLY_INT},  {"local", REPLY_LOCAL},
               {"utc", REPLY_UTC},         {"ms", REPLY_IN_MS}, {"s", REPLY_IN_S},
               {"m", REPLY_IN_M},          {"h", REPLY_IN_H}};

enum reply_unit reply_unit_of(const struct reply_value *v)
{
    return v->group == REPLY_OF_REQUEST || v->group == REPLY_OF_RESULT || v->group == REPLY_OF_STATS
               ? REPLY_UNIT_NONE
               : names[v->name].unit;
}

bool reply_is_of_request(struct span text)
{
    static const char *const prefixes[] = {"json.", "query.",  "path.",
                                           "form.", "header.", "cookie."};
    for (unsigned i = 0; i < array_len(prefixes); i++)
        if (span_starts_with(text, span_str(prefixes[i])) && text.len > strlen(prefixes[i]))
            return true;
    return false;
}

/* --- names --- */

struct naming {
    struct reading *r;
    const struct json *j;
    const struct reply_context *context;
    struct reply_value *v;
};

static struct span behind(struct span text, size_t n)
{
    return span_of(text.p + n, text.len - n);
}

static bool set_name(struct naming *n, enum reply_group group, struct span text)
{
    for (unsigned i = 0; i < array_len(names); i++) {
        if (names[i].group != group || !span_eq(text, span_str(names[i].text)))
            continue;
        n->v->group = group;
        n->v->name = (enum reply_name)i;
        return true;
    }
    return false;
}

/* "NAME.figure", where NAME may have points in it. */
static bool split_owner(struct span text, struct span owner, struct span *ret_rest)
{
    if (!span_starts_with(text, owner) || text.len <= owner.len + 1 || text.p[owner.len] != '.')
        return false;
    *ret_rest = behind(text, owner.len + 1);
    return true;
}

/* "; did you mean \"...\"?", or nothing. */
static void add_hint(struct buf *out, struct span given, const char *const *list, unsigned count)
{
    const char *near = nearest_name(given, list, count);
    if (near)
        buf_add_fmt(out, "; did you mean \"%s\"?", near);
}

static void hint_of_group(struct buf *out, enum reply_group group, struct span given)
{
    const char *list[REPLY_NAME_COUNT];
    unsigned count = 0;
    for (unsigned i = 0; i < array_len(names); i++)
        if (names[i].group == group)
            list[count++] = names[i].text;
    add_hint(out, given, list, count);
}

static void fail_name(struct naming *n, const char *what, struct buf *hint)
{
    struct quoted q;
    reading_fail(n->r, n->j, "\"${%s}\": %s" SPAN_FMT, quote(n->v->text, &q), what,
                 SPAN_ARG(buf_span(hint)));
}

/* Who has figures of their own, by name. */
static const struct owners {
    struct span prefix;
    enum reply_group group;
    const char *no_owner, *no_figure;
} owners[] = {
    {SPAN_LIT("route."), REPLY_OF_ROUTE, "there is no such route; write route.NAME.hits",
     "a route has no such figure"},
    {SPAN_LIT("upstream."), REPLY_OF_UPSTREAM,
     "there is no such upstream; write upstream.NAME.active", "an upstream has no such figure"},
    {SPAN_LIT("rate_limit."), REPLY_OF_LIMIT,
     "write rate_limit.NAME.allowed or .refused, of one of \"rate_limits\"",
     "a rate limit has no such figure"},
};

/* The name of number <i>; p == NULL: there are not so many. */
static struct span owner_name(const struct config *c, enum reply_group group, unsigned i)
{
    if (group == REPLY_OF_ROUTE && i < c->route_count)
        return c->routes[i].name;
    if (group == REPLY_OF_UPSTREAM && i < c->upstream_count)
        return c->upstreams[i].name;
    if (group == REPLY_OF_LIMIT && i < c->rate_limit_count)
        return c->rate_limits[i].name;
    return span_of(NULL, 0);
}

static bool read_owned(struct naming *n, const struct owners *of, struct span text)
{
    const struct config *c = n->r->config;
    const char *list[64] = {NULL};
    char block[120];
    struct buf hint;
    unsigned count = 0;
    struct span rest = span_of(NULL, 0), owner = span_split(text, '.', &rest), known;
    buf_init_fixed(&hint, block, sizeof(block));
    for (unsigned i = 0; (known = owner_name(c, of->group, i)).p; i++) {
        if (count < array_len(list))
            list[count++] = known.p;
        if (!split_owner(text, known, &rest))
            continue;
        n->v->index = (int)i;
        if (set_name(n, of->group, rest))
            return true;
        hint_of_group(&hint, of->group, rest);
        fail_name(n, of->no_figure, &hint);
        return false;
    }
    add_hint(&hint, owner, list, count);
    fail_name(n, of->no_owner, &hint);
    return false;
}

/* "result.ROUTE" and "result.ROUTE/json/pointer". */
static bool read_result(struct naming *n, struct span text)
{
    const struct config *c = n->r->config;
    const char *slash = memchr(text.p, '/', text.len);
    struct span route = span_of(text.p, slash ? (size_t)(slash - text.p) : text.len);
    const char *list[64] = {NULL};
    struct buf hint;
    char block[120];
    n->v->group = REPLY_OF_RESULT;
    n->v->pointer = behind(text, route.len);
    for (unsigned i = 0; i < c->route_count; i++) {
        if (i < array_len(list))
            list[i] = c->routes[i].name.p;
        if (!span_eq(c->routes[i].name, route))
            continue;
        n->v->index = (int)i;
        return true;
    }
    buf_init_fixed(&hint, block, sizeof(block));
    add_hint(&hint, route, list,
             c->route_count < array_len(list) ? c->route_count : array_len(list));
    fail_name(n, "there is no such route; write result.ROUTE or result.ROUTE/json/pointer", &hint);
    return false;
}

static bool read_plain(struct naming *n, struct span text)
{
    static const enum reply_group groups[] = {REPLY_OF_ROUTE,        REPLY_OF_REDIS,
                                              REPLY_OF_JOBS,         REPLY_OF_INSTANCE,
                                              REPLY_OF_INVALIDATION, REPLY_OF_WARM};
    const char *list[REPLY_NAME_COUNT];
    char block[120];
    struct buf hint;
    buf_init_fixed(&hint, block, sizeof(block));
    for (unsigned i = 0; i < array_len(groups); i++) {
        if (!set_name(n, groups[i], text))
            continue;
        if (n->v->name == REPLY_TTL)
            fail_name(n, "each route has one of its own; write route.NAME.ttl", &hint);
        return n->v->name != REPLY_TTL;
    }
    unsigned count = 0;
    for (unsigned i = 0; i < array_len(names); i++)
        if (names[i].group != REPLY_OF_UPSTREAM && names[i].group != REPLY_OF_LIMIT)
            list[count++] = names[i].text;
    add_hint(&hint, text, list, count);
    fail_name(n,
              hint.len ? "there is no such value"
                       : "there is no such value; write json.x, query.x, path.x, form.x, header.X, "
                         "cookie.x, hits, route.NAME.hits, now...",
              &hint);
    return false;
}

static bool read_known(struct naming *n, struct span text)
{
    for (unsigned i = 0; i < array_len(owners); i++)
        if (span_starts_with(text, owners[i].prefix))
            return read_owned(n, &owners[i], behind(text, owners[i].prefix.len));
    if (span_starts_with(text, SPAN_LIT("result.")))
        return read_result(n, behind(text, strlen("result.")));
    if (span_starts_with(text, SPAN_LIT("stats/"))) {
        n->v->group = REPLY_OF_STATS;
        n->v->pointer = behind(text, strlen("stats"));
        return true;
    }
    return read_plain(n, text);
}

static void check_place(struct naming *n)
{
    struct buf none;
    char block[1];
    unsigned group = 1u << n->v->group;
    buf_init_fixed(&none, block, sizeof(block));
    if (n->context->groups & group)
        return;
    if (n->v->group == REPLY_OF_INVALIDATION || n->v->group == REPLY_OF_WARM ||
        n->v->group == REPLY_OF_RESULT)
        fail_name(n,
                  n->v->group == REPLY_OF_INVALIDATION
                      ? "only the reply of \"do\": \"invalidate\" knows it"
                      : "only the reply of \"do\": \"warm\" knows it",
                  &none);
    else
        fail_name(n,
                  "here only values of the request are known: json.x, query.x, path.x, form.x, "
                  "header.X, cookie.x",
                  &none);
}

static bool read_name(struct naming *n, struct span text)
{
    n->v->index = -1;
    if (text.len > 1 && text.p[text.len - 1] == '?') {
        n->v->is_optional = true;
        text.len--;
    }
    n->v->text = reading_copy(n->r, text);
    text = n->v->text;
    if (!reply_is_of_request(text)) {
        if (!read_known(n, text))
            return false;
        check_place(n);
        return true;
    }
    n->v->group = REPLY_OF_REQUEST;
    return load_param(n->r, n->j, n->context->on, text, &n->v->param);
}

/* --- filters --- */

enum value_kind { KIND_ANY, KIND_NUMBER, KIND_DURATION, KIND_TIME, KIND_OTHER };

static enum value_kind kind_of(const struct reply_value *v)
{
    if (v->group == REPLY_OF_REQUEST || v->group == REPLY_OF_RESULT || v->group == REPLY_OF_STATS)
        return KIND_ANY;
    if (v->name == REPLY_REPLICATED || v->name == REPLY_AVAILABLE)
        return KIND_OTHER;
    return names[v->name].unit == REPLY_UNIT_TIME   ? KIND_TIME
           : names[v->name].unit == REPLY_UNIT_NONE ? KIND_NUMBER
                                                    : KIND_DURATION;
}

static bool parse_filter(struct span text, struct reply_filter *f)
{
    if (text.len == 1 && text.p[0] >= '0' && text.p[0] <= '0' + REPLY_DECIMALS_MAX) {
        f->kind = REPLY_DECIMALS;
        f->decimals = (unsigned)(text.p[0] - '0');
        return true;
    }
    for (unsigned i = 0; i < array_len(filters); i++) {
        if (!span_eq(text, span_str(filters[i].text)))
            continue;
        f->kind = filters[i].kind;
        return true;
    }
    return false;
}

/* May it stand behind a value of this kind? Then *kind is what comes out. */
static bool takes(enum reply_filter_kind filter, enum value_kind *kind)
{
    enum value_kind k = *kind;
    switch (filter) {
    case REPLY_LOCAL:
    case REPLY_UTC:
        *kind = KIND_OTHER;
        return k == KIND_TIME;
    case REPLY_IN_MS:
    case REPLY_IN_S:
    case REPLY_IN_M:
    case REPLY_IN_H:
        *kind = KIND_NUMBER;
        return k == KIND_DURATION;
    default:
        *kind = KIND_NUMBER;
        return k == KIND_ANY || k == KIND_NUMBER || k == KIND_DURATION;
    }
}

static void read_filter(struct naming *n, struct span text, enum value_kind *kind)
{
    struct reply_value *v = n->v;
    struct quoted q, q2;
    if (v->filter_count == REPLY_FILTERS_MAX) {
        reading_fail(n->r, n->j, "\"${%s}\" has more than %d filters", quote(v->text, &q),
                     REPLY_FILTERS_MAX);
        return;
    }
    struct reply_filter *f = &v->filters[v->filter_count];
    if (!parse_filter(text, f))
        reading_fail(n->r, n->j,
                     "\"%s\" is no filter of \"${%s}\"; there are percent, 0 to %d (decimals), "
                     "int, ms, s, m, h, local and utc",
                     quote(text, &q), quote(v->text, &q2), REPLY_DECIMALS_MAX);
    else if (!takes(f->kind, kind))
        reading_fail(n->r, n->j,
                     "\"%s\" says nothing of \"${%s}\": local and utc are for now, ms, s, m and h "
                     "for durations, the others for numbers",
                     quote(text, &q), quote(v->text, &q2));
    else
        v->filter_count++;
}

/* "hit_ratio|percent|1" */
static const struct reply_value *read_value(struct reading *r, const struct json *j,
                                            const struct reply_context *context, struct span text)
{
    struct reply_value *v = reading_alloc(r, 1, sizeof(*v));
    struct span rest, name = span_trim(span_split(text, '|', &rest));
    struct naming n = {.r = r, .j = j, .context = context, .v = v};
    if (!v || !read_name(&n, name))
        return v;
    enum value_kind kind = kind_of(v);
    while (rest.p)
        read_filter(&n, span_trim(span_split(rest, '|', &rest)), &kind);
    return v;
}

/* --- texts and trees --- */

static size_t find(struct span s, size_t from, const char *what)
{
    const char *at = from < s.len ? memmem(s.p + from, s.len - from, what, strlen(what)) : NULL;
    return at ? (size_t)(at - s.p) : s.len;
}

static unsigned count_values(struct span s)
{
    unsigned n = 0;
    for (size_t at = find(s, 0, "${"); at < s.len; at = find(s, at + 2, "${"))
        n++;
    return n;
}

/* Everything up to the next value, with $${ made into ${; returns where that value begins. */
static size_t read_literal(struct span s, size_t at, struct buf *out)
{
    for (;;) {
        size_t next = find(s, at, "${");
        bool is_escape = next < s.len && next > at && s.p[next - 1] == '$';
        buf_add(out, s.p + at, next - at - (is_escape ? 1 : 0));
        if (!is_escape)
            return next;
        buf_add_str(out, "${");
        at = next + 2;
    }
}

static void read_text(struct reading *r, const struct json *j, const struct reply_context *context,
                      struct reply_node *n)
{
    struct span s = j->text;
    struct buf literal;
    n->pieces = reading_alloc(r, count_values(s) + 1, sizeof(*n->pieces));
    if (!n->pieces)
        return;
    buf_init(&literal, s.len + 1);
    for (size_t at = 0; at < s.len;) {
        buf_reset(&literal);
        at = read_literal(s, at, &literal);
        struct reply_piece *piece = &n->pieces[n->piece_count++];
        piece->literal = reading_copy(r, buf_span(&literal));
        if (at == s.len)
            break;
        size_t end = find(s, at, "}");
        if (end == s.len) {
            reading_fail(r, j,
                         "\"${\" has no \"}\" behind it; write ${hits}, or $${ for a plain ${");
            break;
        }
        piece->value = read_value(r, j, context, span_of(s.p + at + 2, end - at - 2));
        at = end + 1;
    }
    r->has_no_memory |= literal.no_memory;
    buf_fini(&literal);
    if (n->piece_count == 1 && !n->pieces[0].value) { /* a plain text */
        n->text = n->pieces[0].literal;
        n->piece_count = 0;
    }
}

/* Texts in which a value must stay one value, whatever it holds: {"key": ...}, and
 * {"params": {"x": {"from": ...}}}. */
static bool is_place(struct span name, unsigned depth)
{
    static const char *const list[] = {"key", "glob", "url", "urls", "path"};
    for (unsigned i = 0; depth == 0 && i < array_len(list); i++)
        if (span_eq(name, span_str(list[i])))
            return true;
    return depth == 2 && span_eq(name, SPAN_LIT("from"));
}

/* An object among a call's parameters says where values are to be had, {"file": ...} or
 * {"from": ...}: that is the config's to say, not the client's. */
static bool is_param(const struct json *j)
{
    return j->parent && j->parent->type == JSON_OBJECT &&
           span_eq(j->parent->name, SPAN_LIT("params"));
}

static void read_node(struct reading *r, const struct json *j, const struct reply_context *context,
                      bool is_escaped, unsigned depth, struct reply_node *n)
{
    n->type = j->type;
    n->name = reading_copy(r, j->name);
    n->is_escaped = is_escaped;
    n->is_plain = context->has_places && depth == 2 && is_param(j);
    if (j->type == JSON_STRING) {
        read_text(r, j, context, n);
        return;
    }
    n->text = reading_copy(r, j->text);
    if (!j->count)
        return;
    n->children = reading_alloc(r, j->count, sizeof(*n->children));
    for (const struct json *c = j->first; c && n->children; c = c->next) {
        bool is_in_place = context->has_places && is_place(c->name, depth);
        read_node(r, c, context, is_escaped || is_in_place, depth + 1, &n->children[n->count++]);
    }
}

struct reply_node *reply_template_read(struct reading *r, const struct json *j,
                                       const struct reply_context *context)
{
    struct reply_node *n = reading_alloc(r, 1, sizeof(*n));
    if (n)
        read_node(r, j, context, false, 0, n);
    return n;
}

void reply_each_value(const struct reply_node *n,
                      void (*visit)(void *arg, const struct reply_value *v), void *arg)
{
    for (unsigned i = 0; i < n->piece_count; i++)
        if (n->pieces[i].value)
            visit(arg, n->pieces[i].value);
    for (unsigned i = 0; i < n->count; i++)
        reply_each_value(&n->children[i], visit, arg);
}
