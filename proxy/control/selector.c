/* What an invalidation names: exactly one selector. What a bound token may not name is refused
 * here. The audit gets what was named, but for the values of secret parameters. */
#include "control-internal.h"

#include <larder/http/uri.h>

const char SELECTOR_EXAMPLE[] =
    "one of {\"key\": \"courses:organization_id=1\"}, {\"url\": "
    "\"/api/courses?organization_id=1\"}, "
    "{\"path\": \"/api/rooms/{id}\"}, {\"glob\": \"courses:*\"}, {\"tag\": \"org:1\"}, {\"tags\": "
    "[\"org:1\", \"org:2\"]}, {\"all_of\": [\"org:1\", \"rooms\"]}, {\"route\": \"courses\", "
    "\"params\": {\"organization_id\": \"1\"}}, {\"all\": true}; and \"mode\", \"dry_run\", "
    "\"refresh\", \"limit\" if you like";

const char *const selector_members[] = {"key",  "url",     "path",    "glob",   "tag",
                                        "tags", "all_of",  "route",   "params", "all",
                                        "mode", "dry_run", "refresh", "limit",  "wait"};
const unsigned selector_member_count = array_len(selector_members);

static bool refuse_bound(struct call *c)
{
    return !call_fail(c, 403, "forbidden",
                      "the token \"" SPAN_FMT "\" is bound: it may name its own tags and "
                      "parameter values only",
                      SPAN_ARG(c->token->name));
}

static bool fail_value(struct call *c, const char *what)
{
    return !call_fail(c, 400, "bad-value", "%s; write %s", what, SELECTOR_EXAMPLE);
}

/* --- route and params --- */

static bool fail_param(struct call *c, const struct route *r, const struct json *j)
{
    struct buf known;
    char block[200];
    buf_init_fixed(&known, block, sizeof(block));
    for (unsigned i = 0; i < r->param_count; i++) {
        buf_add_str(&known, i ? ", " : "");
        buf_add_span(&known, r->params[i].label);
    }
    return !call_fail(c, 400, "unknown-parameter",
                      "the key of route \"%.*s\" has no parameter \"%.*s\"; it has: %.*s",
                      SPAN_ARG(r->name), CUT(j->name), (int)known.len, known.len ? known.p : "");
}

static bool value_of(struct call *c, const struct json *j, struct span *ret)
{
    *ret = j->text;
    if (j->type == JSON_TRUE || j->type == JSON_FALSE)
        *ret = j->type == JSON_TRUE ? SPAN_LIT("true") : SPAN_LIT("false");
    else if (j->type != JSON_STRING && j->type != JSON_NUMBER)
        return !call_fail(c, 400, "bad-value", "\"%.*s\" must be a string or a number",
                          CUT(j->name));
    return true;
}

/* A declared parameter has one form: "007" names what "7" does. */
static struct span canonical(const struct param *p, struct span value, struct buf *scratch)
{
    buf_reset(scratch);
    if (p->decl && param_canonical(p->decl, value, scratch) && !scratch->failed)
        return buf_span(scratch);
    return value;
}

static bool apply_params(struct call *c, const struct route *r, const struct json *params,
                         struct purge *p)
{
    struct purge_value values[TAG_ALL_OF_MAX];
    struct buf scratch[TAG_ALL_OF_MAX];
    char blocks[TAG_ALL_OF_MAX][512];
    unsigned n = 0;
    bool is_own = !access_is_bound(c);
    for (const struct json *j = params->first; j; j = j->next) {
        const struct param *param = route_param(r, j->name);
        struct span value;
        if (!param && c->is_part)
            continue; /* an alias names one for many routes: rather more goes than less */
        if (!param)
            return fail_param(c, r, j);
        if (!value_of(c, j, &value))
            return false;
        if (n == TAG_ALL_OF_MAX)
            return !call_fail(c, 400, "bad-value", "at most %d parameters", TAG_ALL_OF_MAX);
        buf_init_fixed(&scratch[n], blocks[n], sizeof(blocks[n]));
        values[n].param = param;
        values[n].value = canonical(param, value, &scratch[n]);
        is_own |= access_may_name_value(c, param->label, values[n].value);
        buf_add_fmt(&c->audit, " %.*s=%.*s", CUT(param->label),
                    param->secret ? 3 : (int)(value.len < 60 ? value.len : 60),
                    param->secret ? "***" : value.p);
        n++;
    }
    if (!is_own)
        return refuse_bound(c);
    if (n)
        purge_route_values(p, r, values, n);
    else
        purge_route(p, r);
    return true;
}

static bool apply_route(struct call *c, const struct json *name, const struct json *params,
                        struct purge *p)
{
    const struct route *r = name->type == JSON_STRING ? call_find_route(c, name->text) : NULL;
    if (!r)
        return !call_fail(c, 400, "unknown-route", "there is no route \"%.*s\"", CUT(name->text));
    if (params && params->type != JSON_OBJECT)
        return !call_fail(c, 400, "bad-value", "\"params\" must be an object");
    buf_add_fmt(&c->audit, "route %.*s", CUT(r->name));
    if (params && params->count)
        return apply_params(c, r, params, p);
    if (access_is_bound(c))
        return refuse_bound(c);
    purge_route(p, r);
    return true;
}

/* --- tags --- */

static bool check_tag(struct call *c, const struct json *j)
{
    if (j->type == JSON_STRING && j->text.len > 0 && j->text.len <= 1024)
        return true;
    return fail_value(c, "a tag is a text of 1 to 1024 bytes");
}

static bool apply_tag(struct call *c, const struct json *j, struct purge *p)
{
    if (!check_tag(c, j))
        return false;
    if (!access_may_name(c, j->text))
        return refuse_bound(c);
    buf_add_fmt(&c->audit, "tag %.*s ", CUT(j->text));
    purge_tag(p, j->text);
    return true;
}

static bool apply_tags(struct call *c, const struct json *tags, struct purge *p)
{
    if (tags->type != JSON_ARRAY || tags->count < 1 || tags->count > 256)
        return fail_value(c, "\"tags\" must be an array of 1 to 256");
    for (const struct json *j = tags->first; j; j = j->next)
        if (!apply_tag(c, j, p))
            return false;
    return true;
}

static bool apply_all_of(struct call *c, const struct json *tags, struct purge *p)
{
    struct span texts[TAG_ALL_OF_MAX];
    unsigned n = 0;
    bool is_own = false;
    if (tags->type != JSON_ARRAY || tags->count < 1 || tags->count > TAG_ALL_OF_MAX)
        return fail_value(c, "\"all_of\" must be an array of 1 to 8 tags");
    buf_add_str(&c->audit, "all of");
    for (const struct json *j = tags->first; j; j = j->next) {
        if (!check_tag(c, j))
            return false;
        is_own |= access_may_name(c, j->text);
        buf_add_fmt(&c->audit, " %.*s", CUT(j->text));
        texts[n++] = j->text;
    }
    if (!is_own)
        return refuse_bound(c);
    if (!purge_all_of(p, texts, n))
        return fail_value(c, "these tags may stand for too many coarse ones; name fewer");
    return true;
}

/* --- places --- */

/* With a query: the one key that it makes, in all its variants. Without, or where more than the URL
 * goes into the key: all query strings of the path, rather than too little. */
static bool apply_url(struct call *c, const struct json *j, struct purge *p)
{
    struct span query, authority, path = span_split(j->text, '?', &query);
    char block[8192];
    struct buf key;
    bool is_only = false, is_https;
    buf_init_fixed(&key, block, sizeof(block));
    (void)uri_split(path, &is_https, &authority, &path);
    if (!path.len || path.p[0] != '/')
        return fail_value(c, "\"url\" must begin with /, http:// or https://");
    buf_add_fmt(&c->audit, "url %.*s%s", CUT(path), query.p ? "?..." : "");
    enum err_code rc = ERR_OK;
    if (query.p)
        rc = explain_url_key(c->control->shared, j->text, &key, &is_only);
    if (rc == ERR_NOMEM)
        return !call_fail_nomem(c);
    if (rc && rc != ERR_TOO_LARGE)
        return !call_fail(c, 400, "bad-value",
                          "no cached route makes a key of this url; POST /api/cache/explain says "
                          "why");
    if (is_only && rc == ERR_OK)
        purge_key(p, buf_span(&key));
    else
        purge_path(p, path);
    return true;
}

static bool apply_place(struct call *c, const struct json *j, struct purge *p)
{
    if (j->type != JSON_STRING || j->text.len == 0)
        return fail_value(c, "this selector is a text");
    if (access_is_bound(c))
        return refuse_bound(c);
    if (span_eq(j->name, SPAN_LIT("url")))
        return apply_url(c, j, p);
    buf_add_fmt(&c->audit, "%.*s %.*s", CUT(j->name), CUT(j->text));
    if (span_eq(j->name, SPAN_LIT("key"))) {
        purge_key(p, j->text);
    } else if (span_eq(j->name, SPAN_LIT("glob"))) {
        purge_glob(p, j->text);
    } else if (j->text.p[0] != '/') {
        return fail_value(c, "\"path\" must begin with /");
    } else if (memchr(j->text.p, '{', j->text.len) || memchr(j->text.p, '*', j->text.len)) {
        purge_path_pattern(p, j->text);
    } else {
        purge_path(p, j->text);
    }
    return true;
}

static bool apply_all(struct call *c, const struct json *j, struct purge *p)
{
    if (j->type != JSON_TRUE)
        return fail_value(c, "\"all\" must be true");
    if (access_is_bound(c))
        return refuse_bound(c);
    buf_add_str(&c->audit, "all");
    purge_all(p);
    return true;
}

bool selector_apply(struct call *c, const struct json *root, struct purge *p)
{
    static const struct {
        const char *name;
        bool (*apply)(struct call *c, const struct json *j, struct purge *p);
    } selectors[] = {{"key", apply_place},     {"url", apply_place}, {"path", apply_place},
                     {"glob", apply_place},    {"tag", apply_tag},   {"tags", apply_tags},
                     {"all_of", apply_all_of}, {"route", NULL},      {"all", apply_all}};
    const struct json *params = json_member(root, SPAN_LIT("params")), *found = NULL;
    unsigned which = 0, count = 0;
    for (unsigned i = 0; i < array_len(selectors); i++) {
        const struct json *j = json_member(root, span_str(selectors[i].name));
        if (!j)
            continue;
        found = j;
        which = i;
        count++;
    }
    if (count != 1 || (params && selectors[which].apply))
        return !call_fail(c, 400, "bad-selector", "write %s", SELECTOR_EXAMPLE);
    return selectors[which].apply ? selectors[which].apply(c, found, p)
                                  : apply_route(c, found, params, p);
}
