/* "rate_limits": who may ask how often; "rate_limit": which of them hold for a route. */
#include "config-internal.h"

#include <stddef.h>

#define MEMBER(j, text) json_member(j, SPAN_LIT(text))
#define AT(field) offsetof(struct rate_limit, field)

enum { NAME_MAX_BYTES = 64, TIME_MAX_BYTES = 16, COUNT_MAX = 1000000000 };

/* Fit for a quoted String of RFC 9651 as they are. */
static bool is_name(struct span s)
{
    bool is_good = s.len > 0 && s.len <= NAME_MAX_BYTES;
    for (size_t i = 0; is_good && i < s.len; i++) {
        char c = s.p[i];
        is_good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
    }
    return is_good;
}

static void fail_name(struct reading *r, const struct json *j)
{
    struct quoted q;
    reading_fail(r, j, "\"%s\" is no name; write 1 to %d letters, digits, _ - or .",
                 quote(j->text, &q), NAME_MAX_BYTES);
}

static void read_name(struct reading *r, const struct json *j, void *into)
{
    struct rate_limit *l = into;
    struct quoted q;
    if (j->type != JSON_STRING || !is_name(j->text)) {
        fail_name(r, j);
        return;
    }
    if (span_eq(j->text, SPAN_LIT("off")))
        reading_fail(r, j, "\"off\" is what a route without limits says; choose another name");
    for (unsigned i = 0; i < l->index; i++)
        if (span_eq(r->config->rate_limits[i].name, j->text))
            reading_fail(r, j, "another of \"rate_limits\" has the name \"%s\"; choose another",
                         quote(j->text, &q));
    l->name = reading_copy(r, j->text);
}

/* --- who asks --- */

/* One whose value is known before any of the body is. <forms>: what may be written; <others>: what
 * may be, in place of a part of the body. */
static void read_head_param(struct reading *r, const struct json *j, struct param *p,
                            const char *forms, const char *others)
{
    if (j->type == JSON_OBJECT)
        load_jwt(r, j, NULL, p);
    else if (j->type != JSON_STRING)
        reading_fail(r, j, "%s", forms);
    else if (load_param(r, j, NULL, j->text, p) &&
             (p->source == PARAM_JSON || p->source == PARAM_FORM))
        reading_fail(r, j, "a limit is looked at before the body is read; %s", others);
}

static void read_key(struct reading *r, const struct json *j, struct rate_key *key)
{
    if (j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("client"))) {
        key->kind = RATE_BY_CLIENT;
        return;
    }
    if (j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("all"))) {
        key->kind = RATE_BY_ALL;
        return;
    }
    key->kind = RATE_BY_PARAM;
    read_head_param(r, j, &key->param,
                    "write \"client\", \"all\", \"header.X-Api-Key\", \"cookie.session\", "
                    "\"auth\", \"query.x\", \"path.x\" or {\"jwt\": \"/sub\", \"key\": ...}",
                    "count by header.X, cookie.x, auth, query.x or path.x");
}

static void read_by(struct reading *r, const struct json *j, void *into)
{
    struct rate_limit *l = into;
    bool is_list = j->type == JSON_ARRAY;
    if (is_list && (j->count < 1 || j->count > RATE_KEYS_MAX)) {
        reading_fail(r, j, "write an array of 1 to %d: the first that a request has counts",
                     RATE_KEYS_MAX);
        return;
    }
    for (const struct json *c = is_list ? j->first : j; c; c = is_list ? c->next : NULL)
        read_key(r, c, &l->keys[l->key_count++]);
}

/* --- how often --- */

/* "30/1m"; *ret_time is the text of its duration. */
static bool parse_rate(struct span s, struct rate_policy *p, struct span *ret_time)
{
    uint64_t count, ms;
    struct span time, number = span_split(s, '/', &time);
    if (time.len > TIME_MAX_BYTES || !span_parse_u64(number, &count) ||
        !config_duration_parse(time, &ms))
        return false;
    if (count < 1 || count > COUNT_MAX || ms < 1 || ms > UINT64_C(31) * 86400000)
        return false;
    p->count = (uint32_t)count;
    p->window_ms = ms;
    *ret_time = time;
    return true;
}

struct policy_reading {
    struct rate_policy policy;
    struct span rate, name;
    unsigned burst;
};

static const struct member policy_members[] = {
    {.name = "rate",
     .type = MEMBER_TEXT,
     .offset = offsetof(struct policy_reading, rate),
     .is_required = true,
     .doc = "how fast a token bucket is filled: write \"60/1m\""},
    {.name = "burst",
     .type = MEMBER_UINT,
     .offset = offsetof(struct policy_reading, burst),
     .min = 1,
     .max = COUNT_MAX,
     .doc = "how many it holds: so many at once; default: the rate's number"},
    {.name = "name",
     .type = MEMBER_TEXT,
     .offset = offsetof(struct policy_reading, name),
     .doc = "in RateLimit fields; default: the limit's own and \"-burst\""},
};
const struct object object_rate_policy = OBJECT("a token bucket", policy_members);

static struct span make_name(struct reading *r, struct span limit, struct span end)
{
    char block[2 * NAME_MAX_BYTES];
    struct buf b;
    buf_init_fixed(&b, block, sizeof(block));
    buf_add_span(&b, limit);
    buf_add_char(&b, '-');
    buf_add_span(&b, end);
    return reading_copy(r, buf_span(&b));
}

static void fail_rate(struct reading *r, const struct json *j, struct span text)
{
    struct quoted q;
    reading_fail(r, j,
                 "\"%s\" is no rate; write \"30/1m\", \"500/1h\" and so on: at most %d in at most "
                 "\"31d\"",
                 quote(text, &q), COUNT_MAX);
}

static void read_bucket(struct reading *r, const struct json *j, struct span limit,
                        struct rate_policy *p)
{
    struct policy_reading b = {.burst = 0};
    struct span time;
    if (!reading_members(r, j, &object_rate_policy, &b) || !b.rate.len)
        return;
    p->is_bucket = true;
    if (!parse_rate(b.rate, p, &time))
        fail_rate(r, MEMBER(j, "rate"), b.rate);
    p->burst = b.burst ? b.burst : p->count;
    if (b.name.len && !is_name(b.name))
        fail_name(r, MEMBER(j, "name"));
    p->name = b.name.len ? b.name : make_name(r, limit, SPAN_LIT("burst"));
}

static void read_policy(struct reading *r, const struct json *j, struct span limit,
                        struct rate_policy *p)
{
    struct span time;
    if (j->type == JSON_OBJECT) {
        read_bucket(r, j, limit, p);
    } else if (j->type != JSON_STRING || !parse_rate(j->text, p, &time)) {
        fail_rate(r, j, j->text);
    } else {
        p->name = make_name(r, limit, time);
    }
}

static void check_policy_names(struct reading *r, const struct json *j, const struct rate_class *c)
{
    const struct json *at = j->first;
    struct quoted q;
    for (unsigned i = 0; at && i < c->policy_count; i++, at = at->next)
        for (unsigned n = 0; n < i; n++)
            if (c->policies[i].name.len && span_eq(c->policies[i].name, c->policies[n].name))
                reading_fail(r, at,
                             "two of the limits are called \"%s\"; give one a name: "
                             "{\"rate\": \"60/1m\", \"burst\": 20, \"name\": \"quick\"}",
                             quote(c->policies[i].name, &q));
}

static void read_policies(struct reading *r, const struct json *j, struct span limit,
                          struct rate_class *c)
{
    if (j->type != JSON_ARRAY || j->count > RATE_POLICIES_MAX) {
        reading_fail(r, j,
                     "write an array of at most %d limits such as [\"30/1m\", \"500/1h\"]; []: "
                     "unlimited",
                     RATE_POLICIES_MAX);
        return;
    }
    c->policies = reading_alloc(r, j->count + 1, sizeof(*c->policies));
    for (const struct json *e = j->first; e && c->policies; e = e->next)
        read_policy(r, e, limit, &c->policies[c->policy_count++]);
    if (c->policies)
        check_policy_names(r, j, c);
}

static void read_limits(struct reading *r, const struct json *j, void *into)
{
    struct rate_limit *l = into;
    read_policies(r, j, l->name, &l->classes[0]);
}

/* --- classes of clients --- */

static void read_class(struct reading *r, const struct json *j, void *into)
{
    struct rate_limit *l = into;
    l->has_class_param = true;
    read_head_param(r, j, &l->class_param,
                    "write \"header.X-User-Type\", \"cookie.x\", \"query.x\" or "
                    "{\"jwt\": \"/role\", \"key\": {\"file\": path}}",
                    "use header.X, cookie.x or a token's claim");
}

static void read_classes(struct reading *r, const struct json *j, void *into)
{
    struct rate_limit *l = into;
    if (j->type != JSON_OBJECT || j->count > RATE_CLASSES_MAX) {
        reading_fail(r, j,
                     "write an object of at most %d classes such as {\"teacher\": [\"120/1m\"], "
                     "\"admin\": []}",
                     RATE_CLASSES_MAX);
        return;
    }
    struct rate_class *all = reading_alloc(r, j->count + 1, sizeof(*all));
    if (!all)
        return;
    all[0] = l->classes[0];
    l->classes = all;
    for (const struct json *c = j->first; c; c = c->next) {
        struct rate_class *class = &all[l->class_count++];
        class->name = reading_copy(r, c->name);
        read_policies(r, c, l->name, class);
    }
}

static const char *const refuse_stale[] = {"refuse", "stale", NULL};
static const char *const legacy_words[] = {"off", "delta", "epoch", NULL};
_Static_assert(RATE_HEADERS_OFF == 0 && RATE_HEADERS_EPOCH == 2, "the words are in that order");

/* In the order in which they are read: policies are named after the limit. */
static const struct member members[] = {
    {.name = "name",
     .type = MEMBER_OWN,
     .read = read_name,
     .is_required = true,
     .schema = "\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9_.-]{1,64}$\", "
               "\"not\": {\"const\": \"off\"}",
     .doc = "routes name it by this, and so do stats and RateLimit fields; write \"api\""},
    {.name = "by",
     .type = MEMBER_OWN,
     .read = read_by,
     .fallback = "client",
     .schema = "\"oneOf\": [{\"$ref\": \"#/definitions/rate_key\"}, "
               "{\"type\": \"array\", \"minItems\": 1, \"maxItems\": 4, "
               "\"items\": {\"$ref\": \"#/definitions/rate_key\"}}]",
     .doc = "who is counted: client (the address; of IPv6 its /64), all (one count for everybody), "
            "or a value of the request; of several the first that it has, else the address"},
    {.name = "limits",
     .type = MEMBER_OWN,
     .read = read_limits,
     .is_required = true,
     .schema = "\"type\": \"array\", \"maxItems\": 8, "
               "\"items\": {\"$ref\": \"#/definitions/rate\"}",
     .doc = "all must allow a request: \"30/1m\" (a sliding window), or a token bucket "
            "{\"rate\": \"60/1m\", \"burst\": 20}; write [\"30/1m\", \"500/1h\"]"},
    {.name = "class",
     .type = MEMBER_OWN,
     .read = read_class,
     .schema =
         "\"oneOf\": [{\"$ref\": \"#/definitions/param\"}, {\"$ref\": \"#/definitions/jwt\"}]",
     .doc = "whose value chooses among \"classes\"; what a client itself may write is to be "
            "believed only where a front sets it"},
    {.name = "classes",
     .type = MEMBER_OWN,
     .read = read_classes,
     .schema = "\"type\": \"object\", \"maxProperties\": 64, \"additionalProperties\": "
               "{\"type\": \"array\", \"maxItems\": 8, "
               "\"items\": {\"$ref\": \"#/definitions/rate\"}}",
     .doc = "limits of single classes in place of \"limits\"; []: unlimited"},
    {.name = "count_hits",
     .type = MEMBER_BOOL,
     .offset = AT(count_hits),
     .fallback = "false",
     .doc = "true: what the cache answers counts, too; it costs hits their shortest way"},
    {.name = "over",
     .type = MEMBER_FLAG,
     .offset = AT(is_stale_over),
     .words = refuse_stale,
     .fallback = "refuse",
     .doc = "over the limit: 429, or stale: a stale answer in its place, where one is kept"},
    {.name = "dry_run",
     .type = MEMBER_BOOL,
     .offset = AT(is_dry_run),
     .fallback = "false",
     .doc = "counts and logs, refuses nothing, and tells clients nothing"},
    {.name = "legacy_headers",
     .type = MEMBER_CHOICE,
     .offset = AT(legacy_headers),
     .words = legacy_words,
     .fallback = "off",
     .doc = "X-RateLimit-Limit, -Remaining and -Reset as well: in seconds from now, or since 1970"},
    {.name = "max_clients",
     .type = MEMBER_UINT,
     .offset = AT(max_clients),
     .min = 1,
     .max = 10000000,
     .fallback = "65536",
     .doc = "who is remembered at most; beyond, those who have used least are forgotten"},
    {.name = "shared",
     .type = MEMBER_BOOL,
     .offset = AT(is_shared),
     .fallback = "true",
     .doc = "with \"redis\": one count for all instances"},
};
const struct object object_rate_limit = OBJECT("a rate limit", members);

static void read_one(struct reading *r, const struct json *j, struct rate_limit *l)
{
    l->classes = reading_alloc(r, 1, sizeof(*l->classes));
    l->class_count = 1;
    if (!l->classes || !reading_members(r, j, &object_rate_limit, l))
        return;
    if (!MEMBER(j, "by"))
        l->key_count = 1; /* the client */
    const struct json *class = MEMBER(j, "class"), *classes = MEMBER(j, "classes");
    if (class && !classes)
        reading_fail(r, class,
                     "\"class\" has no use without \"classes\"; add \"classes\": "
                     "{\"teacher\": [\"120/1m\"]}");
    if (classes && !class)
        reading_fail(r, classes,
                     "\"classes\" need to know whose is which; add \"class\": "
                     "\"header.X-User-Type\"");
}

static bool has_policy(const struct rate_limit *l, struct span name)
{
    for (unsigned i = 0; i < l->class_count; i++)
        for (unsigned n = 0; n < l->classes[i].policy_count; n++)
            if (span_eq(l->classes[i].policies[n].name, name))
                return true;
    return false;
}

/* One answer may tell of several limits: their policies must not be taken for each other. */
static void check_others(struct reading *r, const struct json *j, const struct rate_limit *l,
                         const struct rate_class *class)
{
    struct quoted q;
    for (unsigned i = 0; i < class->policy_count; i++) {
        struct span name = class->policies[i].name;
        for (unsigned n = 0; name.len && n < l->index; n++)
            if (has_policy(&r->config->rate_limits[n], name))
                reading_fail(r, j,
                             "a policy of another limit is called \"%s\", too; give this one "
                             "another name",
                             quote(name, &q));
    }
}

void load_rate_limits(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    if (j->type != JSON_ARRAY || j->count > RATE_LIMITS_MAX) {
        reading_fail(r, j,
                     "write an array of at most %d such as [{\"name\": \"api\", \"limits\": "
                     "[\"30/1m\"]}]",
                     RATE_LIMITS_MAX);
        return;
    }
    c->rate_limits = reading_alloc(r, j->count + 1, sizeof(*c->rate_limits));
    for (const struct json *e = j->first; e && c->rate_limits; e = e->next) {
        struct rate_limit *l = &c->rate_limits[c->rate_limit_count];
        l->index = (uint16_t)c->rate_limit_count++;
        read_one(r, e, l);
        for (unsigned i = 0; l->classes && i < l->class_count; i++)
            check_others(r, e, l, &l->classes[i]);
    }
}

/* --- which of them hold --- */

static bool find_limit(struct reading *r, const struct json *j, uint16_t *ret)
{
    const struct config *c = r->config;
    const char *names[RATE_LIMITS_MAX] = {NULL};
    unsigned count = 0;
    struct quoted q;
    for (unsigned i = 0; j->type == JSON_STRING && i < c->rate_limit_count; i++) {
        if (c->rate_limits[i].name.len)
            names[count++] = c->rate_limits[i].name.p;
        if (span_eq(c->rate_limits[i].name, j->text)) {
            *ret = (uint16_t)i;
            return true;
        }
    }
    const char *near = j->type == JSON_STRING ? nearest_name(j->text, names, count) : NULL;
    reading_fail(r, j, "there is no rate limit \"%s\"%s%s%s", quote(j->text, &q),
                 near ? "; did you mean \"" : "; name one of \"rate_limits\", or write \"off\"",
                 near ? near : "", near ? "\"?" : "");
    return false;
}

/* Ascending, each once: in this order their tables are locked. */
static void add_limit(struct reading *r, const struct json *j, uint16_t limit,
                      struct rate_limit_set *set)
{
    unsigned at = set->count;
    for (unsigned i = 0; i < set->count; i++) {
        if (set->index[i] == limit) {
            reading_fail(r, j, "this limit is named twice; leave one of them");
            return;
        }
    }
    for (; at > 0 && set->index[at - 1] > limit; at--)
        set->index[at] = set->index[at - 1];
    set->index[at] = limit;
    set->count++;
}

void load_rate_limit_set(struct reading *r, const struct json *j, struct rate_limit_set *set)
{
    bool is_list = j->type == JSON_ARRAY;
    *set = (struct rate_limit_set){.count = 0};
    if (j->type == JSON_STRING && span_eq(j->text, SPAN_LIT("off")))
        return;
    if ((!is_list && j->type != JSON_STRING) || j->count > ROUTE_RATE_LIMITS_MAX) {
        reading_fail(r, j,
                     "write the name of one of \"rate_limits\", an array of at most %d, or \"off\"",
                     ROUTE_RATE_LIMITS_MAX);
        return;
    }
    for (const struct json *c = is_list ? j->first : j; c; c = is_list ? c->next : NULL) {
        uint16_t limit;
        if (find_limit(r, c, &limit))
            add_limit(r, c, limit, set);
    }
    for (unsigned i = 0; i < set->count; i++)
        set->counts_hits |= r->config->rate_limits[set->index[i]].count_hits;
}

void load_default_rate_limit(struct reading *r, const struct json *j, void *into)
{
    struct config *c = into;
    load_rate_limit_set(r, j, &c->rate_limit);
}

void load_route_rate_limit(struct reading *r, const struct json *j, void *into)
{
    struct route *route = into;
    load_rate_limit_set(r, j, &route->rate_limit);
}
