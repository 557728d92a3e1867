/* What of a config comes from the environment is put into its tree before anything is read:
 *
 *   {"env": "NAME"}, {"env": "NAME", "default": VALUE}   in place of any value
 *   $NAME, ${NAME}, ${NAME:-fallback}                    within addresses and rates
 *
 * A variable that is set but empty is as good as none, as in a shell's ${NAME:-fallback}. A text
 * that came so is read as a number or boolean where one is wanted (reader.c). */
#include "config-internal.h"

#include <stdlib.h>

enum { ADDRESS_MAX = 1024, NAME_MAX_BYTES = 128 };

static size_t name_len(struct span s)
{
    size_t n = 0;
    for (; n < s.len; n++) {
        char c = s.p[n];
        bool is_digit = c >= '0' && c <= '9';
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_' && !(n && is_digit))
            break;
    }
    return n;
}

static bool is_name(struct span s)
{
    return s.len > 0 && s.len < NAME_MAX_BYTES && name_len(s) == s.len;
}

/* The value of <name>, which is a name; empty: unset or empty. */
static struct span value_of(struct span name)
{
    char text[NAME_MAX_BYTES];
    memcpy(text, name.p, name.len);
    text[name.len] = '\0';
    const char *value = getenv(text);
    return value ? span_str(value) : span_of("", 0);
}

static void set_text(struct reading *r, struct json *j, struct span text, struct span from)
{
    if (json_set_text(r->doc, j, text, from))
        r->has_no_memory = true;
}

/* "env" alone, or with "default": anything else is an object that has a member of that name. */
bool is_env_reference(const struct json *j)
{
    const struct json *name = json_member(j, SPAN_LIT("env"));
    return name && name->type == JSON_STRING &&
           (j->count == 1 || (j->count == 2 && json_member(j, SPAN_LIT("default"))));
}

static void fail_unset(struct reading *r, const struct json *at, struct span name)
{
    struct quoted q;
    reading_fail(r, at,
                 "the environment has no %s; set it, or write {\"env\": \"%s\", "
                 "\"default\": ...}",
                 quote(name, &q), q.text);
}

static void resolve_reference(struct reading *r, struct json *j)
{
    struct quoted q;
    struct json *name = json_edit_member(j, SPAN_LIT("env"));
    struct json *fallback = json_edit_member(j, SPAN_LIT("default"));
    if (!is_name(name->text)) {
        reading_fail(r, name, "\"%s\" is no variable's name; write letters, digits and _",
                     quote(name->text, &q));
        return;
    }
    struct span value = value_of(name->text);
    if (value.len)
        set_text(r, j, value, name->text);
    else if (!fallback)
        fail_unset(r, name, name->text);
    else if (fallback->type == JSON_NULL)
        json_remove(j);
    else {
        json_replace(j, fallback);
        environment_resolve(r, j); /* the default may be another reference */
    }
}

/* What an alias answers has whatever members its app had. */
static bool is_in_reply(const struct json *j)
{
    while (j && !span_eq(j->name, SPAN_LIT("reply")))
        j = j->parent;
    return j != NULL;
}

/* {"env": "X", "defualt": 1} */
static void check_spelling(struct reading *r, const struct json *j)
{
    static const char *const names[] = {"default"};
    struct quoted q;
    const struct json *env = json_member(j, SPAN_LIT("env"));
    if (!env || env->type != JSON_STRING || j->count != 2 || is_in_reply(j))
        return;
    const struct json *other = j->first == env ? env->next : j->first;
    if (nearest_name(other->name, names, 1))
        reading_fail(r, other, "unknown member \"%s\"; did you mean \"default\"?",
                     quote(other->name, &q));
}

void environment_resolve(struct reading *r, struct json *j)
{
    if (is_env_reference(j)) {
        resolve_reference(r, j);
        return;
    }
    check_spelling(r, j);
    for (struct json *c = j->first, *next; c; c = next) {
        next = c->next;
        environment_resolve(r, c);
    }
}

/* Takes a $NAME, ${NAME} or ${NAME:-fallback} from the beginning of <s>. False: it is none. */
static bool take_variable(struct span *s, struct span *ret_name, struct span *ret_fallback)
{
    bool has_brace = s->len > 1 && s->p[1] == '{';
    struct span rest = span_of(s->p + 1 + has_brace, s->len - 1 - has_brace);
    size_t len = name_len(rest);
    *ret_name = span_of(rest.p, len);
    *ret_fallback = span_of(NULL, 0);
    rest = span_of(rest.p + len, rest.len - len);
    if (has_brace) {
        const char *end = rest.len ? memchr(rest.p, '}', rest.len) : NULL;
        struct span inside = span_of(rest.p, end ? (size_t)(end - rest.p) : 0);
        if (span_starts_with(inside, SPAN_LIT(":-")))
            *ret_fallback = span_of(inside.p + 2, inside.len - 2);
        else if (!end || inside.len)
            return false;
        if (inside.len && memchr(inside.p, '$', inside.len))
            return false;
        rest = span_of(end + 1, rest.len - inside.len - 1);
    }
    *s = rest;
    return is_name(*ret_name);
}

/* False after an error was told. */
static bool expand_variable(struct reading *r, const struct json *j, struct span *s,
                            struct buf *out)
{
    struct quoted q;
    struct span name, fallback;
    if (!take_variable(s, &name, &fallback)) {
        reading_fail(r, j, "\"%s\": write $NAME, ${NAME} or ${NAME:-fallback}", quote(j->text, &q));
        return false;
    }
    struct span value = value_of(name);
    if (!value.len && !fallback.p) {
        reading_fail(r, j, "the environment has no %s; set it, or write ${%s:-fallback}",
                     quote(name, &q), q.text);
        return false;
    }
    buf_add_span(out, value.len ? value : fallback);
    return true;
}

static void expand_text(struct reading *r, struct json *j)
{
    char block[ADDRESS_MAX];
    struct buf out;
    struct span s = j->text;
    if (j->from.len || !s.len || !memchr(s.p, '$', s.len))
        return; /* what the environment told is taken as it is */
    buf_init_fixed(&out, block, sizeof(block));
    while (s.len) {
        if (*s.p == '$') {
            if (!expand_variable(r, j, &s, &out))
                return;
            continue;
        }
        buf_add_char(&out, *s.p);
        s = span_of(s.p + 1, s.len - 1);
    }
    if (out.failed)
        reading_fail(r, j,
                     "with what the environment holds this is no address: it has over %d "
                     "bytes",
                     ADDRESS_MAX);
    else
        set_text(r, j, buf_span(&out), j->text);
}

/* An address, an array of them, or an object that has one. */
static void expand(struct reading *r, struct json *j)
{
    if (!j)
        return;
    if (j->type == JSON_STRING)
        expand_text(r, j);
    else if (j->type == JSON_OBJECT)
        expand(r, json_edit_member(j, SPAN_LIT("address")));
    else if (j->type == JSON_ARRAY)
        for (struct json *c = j->first; c; c = c->next)
            expand(r, c);
}

static void expand_members(struct reading *r, struct json *j, const char *one, const char *other)
{
    expand(r, json_edit_member(j, span_str(one)));
    expand(r, json_edit_member(j, span_str(other)));
}

/* "limits" of a rate limit, or of one of its classes. */
static void expand_rates(struct reading *r, struct json *rates)
{
    for (struct json *c = rates && rates->type == JSON_ARRAY ? rates->first : NULL; c; c = c->next)
        expand(r, c->type == JSON_OBJECT ? json_edit_member(c, SPAN_LIT("rate")) : c);
}

static void expand_rate_limit(struct reading *r, struct json *limit)
{
    struct json *classes = json_edit_member(limit, SPAN_LIT("classes"));
    expand_rates(r, json_edit_member(limit, SPAN_LIT("limits")));
    for (struct json *c = classes && classes->type == JSON_OBJECT ? classes->first : NULL; c;
         c = c->next)
        expand_rates(r, c);
}

void environment_expand(struct reading *r, struct json *root)
{
    struct json *upstreams = json_edit_member(root, SPAN_LIT("upstreams"));
    expand(r, json_edit_member(root, SPAN_LIT("listen")));
    expand(r, json_edit_member(json_edit_member(root, SPAN_LIT("control")), SPAN_LIT("listen")));
    expand_members(r, json_edit_member(root, SPAN_LIT("redis")), "server", "sentinels");
    for (struct json *u = upstreams ? upstreams->first : NULL; u; u = u->next)
        expand_members(r, u, "server", "servers");
    struct json *limits = json_edit_member(root, SPAN_LIT("rate_limits"));
    for (struct json *l = limits && limits->type == JSON_ARRAY ? limits->first : NULL; l;
         l = l->next)
        expand_rate_limit(r, l);
}

bool environment_literal(const struct json *j, struct json *ret)
{
    struct span point, whole = span_split(j->text, '.', &point);
    uint64_t n;
    if (j->type != JSON_STRING || !j->from.len)
        return false;
    *ret = *j;
    if (span_eq(j->text, SPAN_LIT("true")))
        ret->type = JSON_TRUE;
    else if (span_eq(j->text, SPAN_LIT("false")))
        ret->type = JSON_FALSE;
    else if (span_parse_u64(whole, &n) && (!point.p || span_parse_u64(point, &n)))
        ret->type = JSON_NUMBER;
    return ret->type != JSON_STRING;
}
