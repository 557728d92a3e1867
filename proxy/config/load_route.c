/* Routes: what they match, how long their answers are fresh, which rules they override. */
#include "config-internal.h"

#include <stddef.h>

#define AT(field) offsetof(struct route, field)
#define MEMBER(j, text) json_member(j, SPAN_LIT(text))

enum { UNTIL_TTL_MS = 8 * 86400000 }; /* no time of day is further away than a week */

static void read_name(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    struct quoted q;
    bool is_good = j->type == JSON_STRING && j->text.len > 0 && j->text.len <= 64;
    for (size_t i = 0; is_good && i < j->text.len; i++) {
        char c = j->text.p[i];
        is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
    }
    if (!is_good) {
        reading_fail(r, j, "\"%s\" is no name for a route; write 1 to 64 letters, digits, _ - or .",
                     quote(j->text, &q));
        return;
    }
    if (span_eq(j->text, SPAN_LIT("pass")))
        reading_fail(r, j, "\"pass\" is the name of the last, implicit route; choose another");
    for (unsigned i = 0; i < route->index; i++)
        if (span_eq(r->config->routes[i].name, j->text))
            reading_fail(r, j, "another route has the name \"%s\"; choose another",
                         quote(j->text, &q));
    route->name = reading_copy(r, j->text);
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
    if (a < 200 || b > 599 || a > b)
        return false;
    *low = (unsigned)a;
    *high = (unsigned)b;
    return true;
}

/* The first rule that fits a status wins, so "404" goes before "4xx", whatever the file's order. */
static void insert_status_ttl(struct fresh_policy *p, unsigned low, unsigned high, uint64_t ttl_ms)
{
    unsigned i = p->status_ttl_count++;
    for (; i > 0 && p->status_ttl[i - 1].high - p->status_ttl[i - 1].low > high - low; i--)
        p->status_ttl[i] = p->status_ttl[i - 1];
    p->status_ttl[i].low = low;
    p->status_ttl[i].high = high;
    p->status_ttl[i].ttl_ms = ttl_ms;
}

static void read_status_ttl(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    struct fresh_policy *p = &route->fresh;
    struct quoted q;
    if (j->type != JSON_OBJECT || j->count < 1 || j->count > array_len(p->status_ttl)) {
        reading_fail(r, j, "write an object of 1 to %zu members such as {\"404\": \"10s\"}",
                     array_len(p->status_ttl));
        return;
    }
    for (const struct json *c = j->first; c; c = c->next) {
        unsigned low, high;
        uint64_t ms;
        if (!parse_statuses(c->name, &low, &high))
            reading_fail(r, c,
                         "\"%s\" is no status; write \"404\", \"5xx\" or \"200-299\", from "
                         "200 to 599",
                         quote(c->name, &q));
        else if (c->type != JSON_STRING || !config_duration_parse(c->text, &ms))
            reading_fail(r, c, "this is not a duration; write \"10s\", or \"0s\" for never");
        else if (low == high && ms && fresh_is_login_failure(low))
            reading_fail(r, c, "a failed login is never stored; leave \"%u\" out", low);
        else
            insert_status_ttl(p, low, high, ms);
    }
}

static void read_strict(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    if (j->type == JSON_TRUE || (j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("reject"))))
        route->unknown = UNKNOWN_REJECT;
    else if (j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("drop")))
        route->unknown = UNKNOWN_DROP;
    else if (j->type != JSON_FALSE &&
             (j->type != JSON_STRING || !span_eq(j->text, SPAN_LIT("forward"))))
        reading_fail(r, j, "\"strict\" must be \"forward\", \"reject\" (or true) or \"drop\"");
}

static void read_ignore(struct reading *r, const struct json *j, void *into)
{
    enum { IGNORE_MAX = 64 };
    struct route *route = into;
    if (j->type != JSON_ARRAY || j->count > IGNORE_MAX) {
        reading_fail(r, j, "write an array of at most %d names such as [\"utm_*\", \"_\"]",
                     IGNORE_MAX);
        return;
    }
    route->ignore = reading_alloc(r, j->count + 1, sizeof(*route->ignore));
    for (const struct json *c = j->first; c && route->ignore; c = c->next) {
        const char *star = c->text.len ? memchr(c->text.p, '*', c->text.len) : NULL;
        if (c->type != JSON_STRING || c->text.len == 0)
            reading_fail(r, c, "write the name of a query parameter");
        else if (star && star != c->text.p + c->text.len - 1)
            reading_fail(r, c, "a * stands at the end only; write \"utm_*\"");
        else
            route->ignore[route->ignore_count++] = reading_copy(r, c->text);
    }
}

/* The upstream that <name> tells, as an index. */
static unsigned find_upstream(struct reading *r, const struct json *name)
{
    const struct config *c = r->config;
    const char *names[64] = {NULL};
    struct quoted q;
    unsigned count = c->upstream_count < array_len(names) ? c->upstream_count : array_len(names);
    for (unsigned i = 0; i < c->upstream_count; i++)
        if (name->type == JSON_STRING && span_eq(c->upstreams[i].name, name->text))
            return i;
    for (unsigned i = 0; i < count; i++)
        names[i] = c->upstreams[i].name.p;
    const char *near = nearest_name(name->text, names, count);
    reading_fail(r, name, "there is no upstream \"%s\"%s%s%s", quote(name->text, &q),
                 near ? "; did you mean \"" : "; name one of \"upstreams\"", near ? near : "",
                 near ? "\"?" : "");
    return 0;
}

static void read_upstream(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    route->upstream = find_upstream(r, j);
}

static const char *const obey_ignore[] = {"obey", "ignore", NULL};
static const char *const ordered_unordered[] = {"ordered", "unordered", NULL};
static const char *const auto_ignore[] = {"auto", "ignore", NULL};
static const char *const ttl_http[] = {"ttl", "http", NULL};
static const char *const set_cookie_rules[] = {"obey", "ignore", "store", NULL};
static const char *const refuse_store[] = {"refuse", "store", NULL};
static const char *const obey_share[] = {"obey", "share", NULL};
const char *const config_shared_words[] = {"none", "invalidation", "full", NULL};
_Static_assert(SHARED_NONE == 0 && SHARED_FULL == 2, "the words are in the enum's order");
static const char *const partition_words[] = {"revalidate", "serve", "bypass", NULL};
_Static_assert(PARTITION_REVALIDATE == 0 && PARTITION_BYPASS == 2, "... so are these");
static const char *const instance_fleet[] = {"instance", "fleet", NULL};

static const struct member members[] = {
    {.name = "name",
     .type = MEMBER_OWN,
     .read = read_name,
     .is_required = true,
     .schema = "\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_.-]{1,64}$\", "
               "\"not\": {\"const\": \"pass\"}",
     .doc = "begins its keys, and names it in stats and invalidations; write \"courses\""},
    {.name = "match",
     .type = MEMBER_OWN,
     .read = load_pattern,
     .is_required = true,
     .schema = "\"type\": \"string\", \"pattern\": \"^([^ ]+ +)?/[^ ?#]*$\"",
     .doc = "methods and path: write \"GET /api/courses/{id}\"; a final * takes the rest"},
    {.name = "upstream",
     .type = MEMBER_OWN,
     .read = read_upstream,
     .schema = "\"type\": \"string\"",
     .doc = "where it goes; default: default_upstream, or the only one"},
    {.name = "ttl",
     .type = MEMBER_DURATION,
     .offset = AT(fresh.ttl_ms),
     .doc = "makes the route cached: how long an answer is fresh where the app says nothing"},
    {.name = "mode",
     .type = MEMBER_FLAG,
     .offset = AT(fresh.is_http),
     .words = ttl_http,
     .fallback = "ttl",
     .doc = "http: cached as RFC 9111 says, by the app's own fields, with validation; it needs no "
            "ttl. ttl: the route's ttl rules where the app says nothing"},
    {.name = "keep",
     .type = MEMBER_DURATION,
     .offset = AT(fresh.keep_ms),
     .doc = "so long after its freshness an answer with ETag or Last-Modified is kept, to be "
            "validated; default: \"1h\" in mode http, \"0s\" in mode ttl"},
    {.name = "request_cache_control",
     .type = MEMBER_FLAG,
     .offset = AT(request_cc_ignored),
     .words = obey_ignore,
     .fallback = "obey",
     .doc = "in mode http: what clients ask of the cache (no-cache, max-age, only-if-cached...); "
            "ignored, a reload in a browser does not reach the app"},
    {.name = "ttl_by_status",
     .type = MEMBER_OWN,
     .read = read_status_ttl,
     .schema = "\"type\": \"object\", \"minProperties\": 1, \"maxProperties\": 8, "
               "\"propertyNames\": {\"pattern\": \"^[2-5](xx|[0-9]{2}(-[2-5][0-9]{2})?)$\"}, "
               "\"additionalProperties\": {\"$ref\": \"#/definitions/duration\"}",
     .doc = "ttl of single statuses: \"404\", \"5xx\", \"200-299\"; \"0s\": never stored. 403 and "
            "429 only where named singly, 401 and 407 never"},
    {.name = "key",
     .type = MEMBER_OWN,
     .read = load_key,
     .schema = "\"type\": \"array\", \"maxItems\": 16, "
               "\"items\": {\"oneOf\": [{\"$ref\": \"#/definitions/param\"}, "
               "{\"$ref\": \"#/definitions/key_part\"}]}",
     .doc = "what tells answers apart; default: path, query and JSON body"},
    {.name = "key_template",
     .type = MEMBER_OWN,
     .read = load_key_template,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "the readable key itself: \"{query.model}:{query.country}\"; {!x} is secret; "
            "[:semester:{query.semester}] is left out where there is no value"},
    {.name = "params",
     .type = MEMBER_OWN,
     .read = load_params,
     .schema = "\"type\": \"object\", \"maxProperties\": 64, \"additionalProperties\": "
               "{\"oneOf\": [{\"const\": \"ignore\"}, {\"$ref\": \"#/definitions/param_decl\"}]}",
     .doc = "what the API means by its parameters: type, default, case, or \"ignore\""},
    {.name = "unknown",
     .type = MEMBER_OWN,
     .read = load_unknown,
     .schema = "\"enum\": [\"ignore\", \"key\", \"drop\", \"reject\"]",
     .doc = "query parameters that neither key nor params name: forwarded but not in the key "
            "(default with a key), part of it (default without), taken off, or answered 400"},
    {.name = "identity",
     .type = MEMBER_OWN,
     .read = load_identity,
     .schema = "\"oneOf\": [{\"const\": \"none\"}, {\"$ref\": \"#/definitions/identity\"}, "
               "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 4, "
               "\"items\": {\"$ref\": \"#/definitions/identity\"}}]",
     .doc = "whose an answer is: part of the key, as HMAC; none: nobody's, and credentials are not "
            "sent upstream. Without it requests with credentials are not cached"},
    {.name = "key_host",
     .type = MEMBER_BOOL,
     .offset = AT(key_host),
     .fallback = "false",
     .doc = "the Host is part of the key; default in mode http: true"},
    {.name = "ignore",
     .type = MEMBER_OWN,
     .read = read_ignore,
     .schema = "\"type\": \"array\", \"maxItems\": 64, "
               "\"items\": {\"type\": \"string\", \"pattern\": \"^[^*]*[*]?$\", \"minLength\": 1}",
     .doc = "query parameters that change no answer; a final * stands for any rest"},
    {.name = "strict",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = read_strict,
     .fallback = "forward",
     .schema = "\"enum\": [\"forward\", \"reject\", \"drop\", true, false]",
     .doc = "parameters outside key and ignore: forwarded, answered 400, or taken off the query"},
    {.name = "cache_control",
     .type = MEMBER_FLAG,
     .offset = AT(fresh.ignore_cache_control),
     .words = obey_ignore,
     .fallback = "obey",
     .doc = "of the app's answers; ignored, the route's ttl rules"},
    {.name = "set_cookie",
     .type = MEMBER_CHOICE,
     .offset = AT(fresh.set_cookie),
     .words = set_cookie_rules,
     .fallback = "obey",
     .doc = "obeyed: not stored; ignored: stored without the cookies; stored: the same cookies for "
            "everybody"},
    {.name = "authorization",
     .type = MEMBER_FLAG,
     .offset = AT(fresh.share_authorized),
     .words = obey_share,
     .fallback = "obey",
     .doc = "shared: answers to requests with credentials are for everybody"},
    {.name = "stale_while_revalidate",
     .type = MEMBER_DURATION,
     .offset = AT(fresh.while_ms),
     .fallback = "0s",
     .doc = "so long after its freshness an answer is served while it is refreshed"},
    {.name = "stale_if_error",
     .type = MEMBER_OWN,
     .read = load_stale_if_error,
     .schema = "\"oneOf\": [{\"$ref\": \"#/definitions/duration\"}, "
               "{\"$ref\": \"#/definitions/stale_if_error\"}]",
     .doc = "so long after its freshness an answer is served where the upstream fails"},
    {.name = "deadline",
     .type = MEMBER_DURATION,
     .offset = AT(deadline_ms),
     .fallback = "0s",
     .doc = "an upstream slower than this counts as failed where something stale is there; its "
            "answer is stored when it comes"},
    {.name = "refresh_ahead",
     .type = MEMBER_OWN,
     .may_be_literal = true,
     .read = load_refresh_ahead,
     .schema = "\"oneOf\": [{\"type\": \"boolean\"}, {\"type\": \"number\", \"minimum\": 0, "
               "\"maximum\": 100}]",
     .doc = "refresh before expiry, the likelier the hotter and the costlier (XFetch): true, or "
            "beta"},
    {.name = "jitter",
     .type = MEMBER_OWN,
     .read = load_jitter,
     .schema = "\"type\": \"string\", \"pattern\": \"^[0-9]{1,2}%$\"",
     .doc = "lifetimes are shorter by a random part up to this, so that not all end at once"},
    {.name = "until",
     .type = MEMBER_OWN,
     .read = load_until,
     .schema = "\"oneOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, "
               "\"maxItems\": 8, \"items\": {\"type\": \"string\"}}]",
     .doc = "lifetimes end at the next of these times of day: \"06:00 Asia/Kolkata\""},
    {.name = "store_if",
     .type = MEMBER_OWN,
     .read = load_store_if,
     .schema = "\"type\": \"string\", \"minLength\": 1",
     .doc = "stored only where this holds: \"status == 200 && /success == true && !/errors\""},
    {.name = "ttl_if",
     .type = MEMBER_OWN,
     .read = load_ttl_if,
     .schema = "\"type\": \"array\", \"minItems\": 1, \"maxItems\": 8, "
               "\"items\": {\"$ref\": \"#/definitions/ttl_rule\"}",
     .doc = "lifetimes by the answer's own words; the first rule that holds"},
    {.name = "json_errors",
     .type = MEMBER_FLAG,
     .offset = AT(store_errors),
     .words = refuse_store,
     .fallback = "refuse",
     .doc = "JSON that is not valid, or says \"success\": false, \"error\" or \"errors\", is "
            "served, but not stored; default in mode http: store"},
    {.name = "tags",
     .type = MEMBER_OWN,
     .read = load_tags,
     .schema = "\"type\": \"array\", \"maxItems\": 32, \"items\": {\"oneOf\": "
               "[{\"type\": \"string\"}, {\"$ref\": \"#/definitions/tag\"}]}",
     .doc = "names for groups of answers: \"org:{query.organization_id}\", "
            "\"room:{response./rooms/*/id}\""},
    {.name = "on_write",
     .type = MEMBER_OWN,
     .read = load_on_write,
     .schema = "\"$ref\": \"#/definitions/on_write\"",
     .doc = "what a request of this route takes back once the app has accepted it"},
    {.name = "stats_by",
     .type = MEMBER_OWN,
     .read = load_stats_by,
     .schema = "\"type\": \"array\", \"maxItems\": 8, \"items\": {\"type\": \"string\"}",
     .doc = "labels whose values stats count apart; default: all that are not secret"},
    {.name = "cookies",
     .type = MEMBER_FLAG,
     .offset = AT(share_cookies),
     .words = obey_share,
     .fallback = "obey",
     .doc = "shared: answers to requests with cookies are for everybody"},
    {.name = "vary",
     .type = MEMBER_FLAG,
     .offset = AT(vary_ignored),
     .words = obey_ignore,
     .fallback = "obey",
     .doc = "ignored: one variant of each answer"},
    {.name = "languages",
     .type = MEMBER_FLAG,
     .offset = AT(is_any_language_order),
     .words = ordered_unordered,
     .fallback = "ordered",
     .doc =
         "of Accept-Language where answers vary by it: unordered, \"en, de\" and \"de, en\" share "
         "an answer, as HTTP allows; most frameworks take the first"},
    {.name = "cors",
     .type = MEMBER_FLAG,
     .offset = AT(cors_ignored),
     .words = auto_ignore,
     .fallback = "auto",
     .doc =
         "auto: answers that name an origin in Access-Control-Allow-Origin vary by it, even where "
         "the app forgets Vary; ignore: only Vary counts"},
    {.name = "max_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(max_bytes),
     .fallback = "0",
     .doc = "most bytes of the route in the cache; 0: no limit of its own"},
    {.name = "max_entries",
     .type = MEMBER_U64,
     .offset = AT(max_entries),
     .max = INT64_MAX,
     .fallback = "0",
     .doc = "most answers of the route in the cache; 0: no limit of its own"},
    {.name = "max_object_bytes",
     .type = MEMBER_SIZE,
     .offset = AT(max_object_bytes),
     .fallback = "0",
     .doc = "largest answer that is stored; 0: as in \"cache\""},
    {.name = "body_limit",
     .type = MEMBER_SIZE,
     .offset = AT(body_limit_bytes),
     .fallback = "0",
     .doc = "largest request body, else 413; 0: as in \"limits\""},
    {.name = "first_byte_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(first_byte_timeout_ms),
     .fallback = "0s",
     .doc = "longest wait for an answer to begin; 0s: the upstream's"},
    {.name = "tunnel_idle_timeout",
     .type = MEMBER_DURATION,
     .offset = AT(tunnel_idle_timeout_ms),
     .fallback = "0s",
     .doc = "an upgraded connection is closed after such a silence; 0s: as in \"limits\""},
    {.name = "rate_limit",
     .type = MEMBER_OWN,
     .read = load_route_rate_limit,
     .schema = "\"$ref\": \"#/definitions/rate_limit_set\"",
     .doc = "which of \"rate_limits\" hold here; off: none. Default: the \"rate_limit\" of all"},
    {.name = "shared",
     .type = MEMBER_CHOICE,
     .offset = AT(shared),
     .words = config_shared_words,
     .doc = "what instances share by Redis: nothing, invalidations, or answers, too; default: as "
            "\"redis\" says"},
    {.name = "on_partition",
     .type = MEMBER_CHOICE,
     .offset = AT(on_partition),
     .words = partition_words,
     .fallback = "revalidate",
     .doc = "out of contact with Redis for longer than max_invalidation_lag: answers are "
            "revalidated, served all the same, or the cache is bypassed"},
    {.name = "coalesce",
     .type = MEMBER_FLAG,
     .offset = AT(is_fleet_coalesced),
     .words = instance_fleet,
     .fallback = "instance",
     .doc = "who waits for one fetch: an instance's requests, or those of all; fleet needs "
            "\"shared\": \"full\""},
};

const struct object object_route = OBJECT("a route", members);

static bool takes_body(const struct route *route)
{
    for (unsigned i = 0; i < route->method_count && !route->fresh.is_http; i++) {
        enum method m = method_of(route->methods[i]);
        if (m == METHOD_POST || m == METHOD_QUERY)
            return true;
    }
    return false;
}

static void check_methods(struct reading *r, const struct json *match, const struct route *route)
{
    struct quoted q;
    if (route->fresh.is_http)
        return; /* GET and HEAD are cached, others pass, and unsafe ones invalidate */
    if (route->any_method)
        reading_fail(r, match, "a cached route must name its methods; write \"GET %s\"",
                     quote(match->text, &q));
    for (unsigned i = 0; i < route->method_count; i++) {
        enum method m = method_of(route->methods[i]);
        if (m != METHOD_GET && m != METHOD_HEAD && m != METHOD_POST && m != METHOD_QUERY)
            reading_fail(r, match,
                         "answers to %s are never cached: only GET, HEAD, POST and QUERY may have "
                         "a \"ttl\"; give it a route of its own",
                         quote(route->methods[i], &q));
    }
}

static void check_cached(struct reading *r, const struct json *j, struct route *route)
{
    const struct json *match = MEMBER(j, "match"), *key = MEMBER(j, "key");
    if (!key)
        key = MEMBER(j, "key_template");
    if (!route->cached && key) {
        reading_fail(r, key,
                     "a key without \"ttl\" has no use: nothing is cached; write "
                     "\"ttl\": \"30m\", or \"mode\": \"http\"");
        return;
    }
    if (!route->cached || !match || match->type != JSON_STRING)
        return;
    check_methods(r, match, route);
    if (route->needs_body && !takes_body(route) && !route->any_method)
        reading_fail(r, key ? key : match,
                     "the key, a tag or the identity is made from the body, but no method of the "
                     "route has one; "
                     "write \"POST ...\" in \"match\"");
    route->needs_body |= !route->has_key && takes_body(route);
}

static void check_pointers(struct reading *r, const struct json *j, const struct route *route)
{
    struct route_pointers p;
    route_pointers_find(route, &p);
    if (route->cached && p.is_over)
        reading_fail(r, j,
                     "\"store_if\", \"ttl_if\" and \"tags\" name more than %u different JSON "
                     "pointers of the answer; name fewer",
                     JSON_SCAN_PATTERNS_MAX);
}

static void set_http_defaults(const struct json *j, struct route *route)
{
    enum { KEEP_MS = 3600 * 1000 };
    if (!MEMBER(j, "keep"))
        route->fresh.keep_ms = KEEP_MS;
    if (!MEMBER(j, "key_host"))
        route->key_host = true; /* the target URI has it: RFC 9111 section 2 */
    if (!MEMBER(j, "json_errors"))
        route->store_errors = true;
}

static void read_route(struct reading *r, const struct json *j, struct route *route)
{
    const struct config *c = r->config;
    const struct json *root = j->parent->parent;
    if (!reading_members(r, j, &object_route, route))
        return;
    const struct json *ttl = MEMBER(j, "ttl"), *by_status = MEMBER(j, "ttl_by_status");
    unsigned line, col;
    json_place(r->doc, j->offset, &line, &col);
    route->config_line = line;
    route->fresh.has_ttl = ttl != NULL || route->until_count;
    if (!ttl && route->until_count)
        route->fresh.ttl_ms = UNTIL_TTL_MS;
    route->cached = ttl || by_status || route->until_count || route->fresh.is_http;
    if (route->fresh.is_http)
        set_http_defaults(j, route);
    if (route->identity == IDENTITY_NONE)
        route->fresh.share_authorized = route->share_cookies = true;
    finish_params(r, j, route);
    if (c->upstream_count > 1 && !MEMBER(j, "upstream") && !MEMBER(root, "default_upstream"))
        reading_fail(r, j,
                     "there are several upstreams: name one by \"upstream\", or set "
                     "\"default_upstream\"");
    if (c->cache.max_bytes && route->max_object_bytes > c->cache.max_bytes)
        reading_fail(r, MEMBER(j, "max_object_bytes"),
                     "\"max_object_bytes\" is above the cache's \"max_bytes\"; lower it");
    check_cached(r, j, route);
    check_pointers(r, j, route);
    finish_shared(r, j, route);
}

static void add_route(struct config *c, unsigned upstream)
{
    struct route *route = &c->routes[c->route_count];
    route->index = (uint16_t)c->route_count++;
    route->rate_limit = c->rate_limit;
    route->upstream = upstream;
}

/* "default_upstream", or the first. */
static unsigned default_upstream(struct reading *r, const struct json *root, bool is_first)
{
    const struct json *name = MEMBER(root, "default_upstream");
    struct reading quiet = {.doc = r->doc, .config = r->config};
    return name ? find_upstream(is_first ? r : &quiet, name) : 0;
}

void load_routes(struct reading *r, const struct json *j, void *into)
{
    enum { ROUTES_MAX = 1000 };
    struct config *c = into;
    if (j->type != JSON_ARRAY || j->count > ROUTES_MAX) {
        reading_fail(r, j, "\"routes\" must be an array of at most %d routes", ROUTES_MAX);
        return;
    }
    c->routes = reading_alloc(r, j->count + 1, sizeof(*c->routes));
    unsigned upstream = default_upstream(r, j->parent, false);
    for (const struct json *e = j->first; e && c->routes; e = e->next) {
        struct route *route = &c->routes[c->route_count];
        add_route(c, upstream);
        read_route(r, e, route);
    }
    unsigned n = 0;
    for (const struct json *e = j->first; e && c->routes; e = e->next, n++) {
        finish_on_write(r, e, &c->routes[n]);
        c->routes[n].hides_target = route_hides_target(&c->routes[n]);
    }
}

void load_pass(struct reading *r)
{
    struct config *c = r->config;
    if (!c->routes)
        c->routes = reading_alloc(r, 1, sizeof(*c->routes));
    if (!c->routes)
        return;
    struct route *pass = &c->routes[c->route_count];
    add_route(c, default_upstream(r, json_root(r->doc), true));
    pass->name = SPAN_LIT("pass");
    pass->any_method = true;
    pass->shared = c->redis ? SHARED_INVALIDATION : SHARED_NONE; /* its writes take back, too */
    pass->segments = reading_alloc(r, 1, sizeof(*pass->segments));
    if (!pass->segments)
        return;
    pass->segment_count = 1;
    pass->segments[0].is_rest = true;
}
