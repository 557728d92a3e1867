/* vary.c: which request fields chose an answer, and what they said.
 *
 * Two requests may share a variant only where an app could not tell their fields apart, so what
 * is not understood goes into the key as it is: that costs a variant, never a wrong answer.
 */
#include <larder/http/vary.h>

#include <larder/http/key.h>

#include "http-internal.h"

enum { NAMES_MAX = 32 };

struct names {
    unsigned count;
    struct span name[NAMES_MAX];
};

static int name_compare(struct span a, struct span b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int differ = (uint8_t)byte_lower(a.p[i]) - (uint8_t)byte_lower(b.p[i]);
        if (differ)
            return differ;
    }
    return (a.len > b.len) - (a.len < b.len);
}

/* Keeps the names sorted and unique; false where there are too many. */
static bool add_name(struct names *names, struct span name)
{
    unsigned i = names->count;
    while (i > 0 && name_compare(names->name[i - 1], name) > 0)
        i--;
    if (i > 0 && name_compare(names->name[i - 1], name) == 0)
        return true;
    if (names->count == NAMES_MAX)
        return false;
    memmove(&names->name[i + 1], &names->name[i], (names->count - i) * sizeof(names->name[0]));
    names->name[i] = name;
    names->count++;
    return true;
}

/* What the app has read there is not what the client sent, but what the proxy has made of it. */
static bool is_rewritten(struct span name)
{
    enum field_id id = field_id_of(name);
    return id == FIELD_X_FORWARDED_FOR || id == FIELD_X_FORWARDED_HOST ||
           id == FIELD_X_REQUEST_ID || id == FIELD_VIA;
}

/* False: `*`, or a list that is as good as `*`: it cannot be read, or its values are not known. */
static bool add_names(struct names *names, struct span list)
{
    struct span name;
    while (field_list_next(&list, &name)) {
        if (span_eq(name, SPAN_LIT("*")) || !span_is_token(name) || is_rewritten(name) ||
            !add_name(names, name))
            return false;
    }
    return true;
}

bool vary_allows_any_origin(const struct head *response)
{
    const struct field *f = head_field(response, FIELD_ACCESS_CONTROL_ALLOW_ORIGIN);
    return f && span_eq(f->value, SPAN_LIT("*"));
}

static bool is_by_origin(const struct vary_case *c)
{
    if (!c->is_cors || vary_allows_any_origin(c->response))
        return false;
    return head_field(c->response, FIELD_ACCESS_CONTROL_ALLOW_ORIGIN) ||
           head_field(c->request, FIELD_ORIGIN);
}

bool vary_names(const struct vary_case *c, struct buf *out)
{
    struct names names = {.count = 0};
    const struct head *response = c->response;
    if (!add_names(&names, c->known) ||
        (is_by_origin(c) && !add_name(&names, SPAN_LIT("origin"))) ||
        (c->is_by_host && !add_name(&names, SPAN_LIT("host"))) ||
        (c->is_by_scheme && !add_name(&names, SPAN_LIT(VARY_SCHEME))))
        return false;
    for (unsigned i = 0; i < response->field_count; i++) {
        const struct field *f = &response->fields[i];
        if (f->id == FIELD_VARY && !add_names(&names, f->value))
            return false;
        if (f->id == FIELD_CONTENT_ENCODING && f->value.len > 0 &&
            !add_name(&names, SPAN_LIT("accept-encoding")))
            return false;
    }
    for (unsigned i = 0; i < names.count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        for (size_t k = 0; k < names.name[i].len; k++)
            buf_add_char(out, byte_lower(names.name[i].p[k]));
    }
    return true;
}

enum coding { CODING_BR, CODING_GZIP, CODING_IDENTITY, CODING_ZSTD, CODING_COUNT };

static const struct span coding_names[CODING_COUNT] = {
    [CODING_BR] = {"br", 2},
    [CODING_GZIP] = {"gzip", 4},
    [CODING_IDENTITY] = {"identity", 8},
    [CODING_ZSTD] = {"zstd", 4},
};

struct codings {
    unsigned named, accepted; /* bits of enum coding */
};

/* A weight, RFC 9110 section 12.4.2: 0 for none, 1 for any other; -1 for anything else. */
static int weight_of(struct span s)
{
    if (s.len < 3 || s.len > 7 || (s.p[0] | 0x20) != 'q' || s.p[1] != '=' ||
        (s.p[2] != '0' && s.p[2] != '1') || (s.len > 3 && s.p[3] != '.'))
        return -1;
    int weight = s.p[2] == '1';
    for (size_t i = 4; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9' || (s.p[2] == '1' && s.p[i] != '0'))
            return -1;
        weight |= s.p[i] != '0';
    }
    return weight;
}

/* Notes one member of Accept-Encoding. False where it is none of the codings known here, is not
 * plain, or is named again: such a member counts by its text, behind a '!'. */
static bool note_coding(struct codings *set, struct span member)
{
    struct span params, name = span_trim(span_split(member, ';', &params));
    int weight = params.p ? weight_of(span_trim(params)) : 1;
    if (weight < 0)
        return false;
    if (span_eq_nocase(name, SPAN_LIT("x-gzip")))
        name = coding_names[CODING_GZIP];
    for (unsigned c = 0; c < CODING_COUNT; c++) {
        if (!span_eq_nocase(name, coding_names[c]))
            continue;
        if (set->named >> c & 1)
            return false;
        set->named |= 1u << c;
        set->accepted |= (unsigned)weight << c;
        return true;
    }
    return false;
}

static void add_member(struct buf *out, struct span text, bool *any)
{
    if (*any)
        buf_add_char(out, ',');
    *any = true;
    key_add_value(out, text);
}

/* RFC 9110 section 12.5.3: identity is accepted unless it is refused by name. */
static void add_codings(struct buf *out, const struct head *request)
{
    struct codings set = {0, 0};
    bool any = false;
    for (unsigned i = 0; i < request->field_count; i++) {
        struct span rest = request->fields[i].value, member;
        if (request->fields[i].id != FIELD_ACCEPT_ENCODING)
            continue;
        while (field_list_next(&rest, &member)) {
            if (note_coding(&set, member))
                continue;
            buf_add_char(out, '!'); /* no value holds one: "!gzip" is not gzip of the set */
            add_member(out, member, &any);
        }
    }
    if (!(set.named >> CODING_IDENTITY & 1))
        set.accepted |= 1u << CODING_IDENTITY;
    for (unsigned c = 0; c < CODING_COUNT; c++) {
        if (set.accepted >> c & 1)
            add_member(out, coding_names[c], &any);
    }
}

/* Credentials and cookies are not lists: a comma in them is theirs. */
static bool is_list(const struct field *f)
{
    return f->id != FIELD_COOKIE && f->id != FIELD_AUTHORIZATION;
}

/* RFC 9110 section 12.5.4: tags have no case, and white space says nothing. Their order does where
 * weights are equal, to the frameworks that take the first. */
enum { LANGUAGE_MAX = 64, LANGUAGES_MAX = 32 };

static size_t fold_language(struct span member, char text[LANGUAGE_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < member.len; i++) {
        if (member.p[i] == ' ' || member.p[i] == '\t')
            continue;
        if (len == LANGUAGE_MAX)
            return 0;
        text[len++] = byte_lower(member.p[i]);
    }
    return len;
}

static void add_language(struct buf *out, struct span member, bool *any)
{
    char text[LANGUAGE_MAX];
    size_t len = fold_language(member, text);
    add_member(out, len ? span_of(text, len) : member, any);
}

/* All members, in the order of their bytes; false: too many, they stay as they are. */
static bool add_sorted_languages(struct buf *out, const struct head *request)
{
    struct names members = {.count = 0};
    bool any = false;
    for (unsigned i = 0; i < request->field_count; i++) {
        struct span rest = request->fields[i].value, member;
        if (request->fields[i].id != FIELD_ACCEPT_LANGUAGE)
            continue;
        while (field_list_next(&rest, &member))
            if (!add_name(&members, member))
                return false;
    }
    for (unsigned i = 0; i < members.count; i++)
        add_language(out, members.name[i], &any);
    return true;
}

/* A weight in thousandths; -1: it is none. */
static int thousandths_of(struct span params)
{
    struct span s = span_trim(params), rest, whole;
    int value = 0;
    if (!params.p)
        return 1000;
    if (weight_of(s) < 0)
        return -1;
    whole = span_split(span_of(s.p + 2, s.len - 2), '.', &rest);
    for (size_t i = 0; i < 3; i++)
        value = value * 10 + (i < rest.len ? rest.p[i] - '0' : 0);
    return whole.p[0] == '1' ? 1000 : value;
}

bool vary_best_language(const struct head *request, struct buf *out)
{
    struct span best = {NULL, 0};
    int most = 0, rivals = 0;
    for (unsigned i = 0; i < request->field_count; i++) {
        struct span rest = request->fields[i].value, member, params;
        if (request->fields[i].id != FIELD_ACCEPT_LANGUAGE)
            continue;
        while (field_list_next(&rest, &member)) {
            struct span tag = span_trim(span_split(member, ';', &params));
            int weight = thousandths_of(params);
            if (weight < 0)
                return false;
            rivals = weight > most ? 0 : rivals + (weight == most);
            best = weight > most ? tag : best;
            most = weight > most ? weight : most;
        }
    }
    char text[LANGUAGE_MAX];
    size_t len = best.len && span_is_token(best) && !rivals ? fold_language(best, text) : 0;
    if (len == 0 || text[0] == '*')
        return false;
    buf_add(out, text, len);
    return !out->failed;
}

static void add_languages(struct buf *out, const struct head *request,
                          const struct vary_rules *rules)
{
    bool any = false;
    if (rules->language.len) {
        buf_add_char(out, '!'); /* no value holds one */
        add_member(out, rules->language, &any);
        return;
    }
    if (rules->is_any_language_order && add_sorted_languages(out, request))
        return;
    for (unsigned i = 0; i < request->field_count; i++) {
        struct span rest = request->fields[i].value, member;
        while (request->fields[i].id == FIELD_ACCEPT_LANGUAGE && field_list_next(&rest, &member))
            add_language(out, member, &any);
    }
}

static void add_values(struct buf *out, const struct head *request, struct span name)
{
    bool any = false;
    for (unsigned i = 0; i < request->field_count; i++) {
        const struct field *f = &request->fields[i];
        if (!span_eq_nocase(f->name, name))
            continue;
        struct span rest = f->value, member;
        if (!is_list(f))
            add_member(out, f->value, &any);
        while (is_list(f) && field_list_next(&rest, &member))
            add_member(out, member, &any);
    }
}

/* A field that Connection names does not go upstream: to the app it is absent. */
static bool is_forwarded(const struct head *request, struct span name)
{
    const struct field *f = head_field_named(request, name);
    return f && !field_is_hop_by_hop(request, f);
}

void vary_key(const struct head *request, struct span names, const struct vary_rules *rules,
              struct buf *out)
{
    for (struct span rest = names; rest.len > 0;) {
        struct span name = span_split(rest, ',', &rest);
        buf_add_char(out, '|');
        key_add_value(out, name);
        if (span_eq(name, SPAN_LIT(VARY_SCHEME))) {
            buf_add_str(out, rules->is_https ? "=https" : "=http");
            continue;
        }
        enum field_id id = field_id_of(name);
        /* of an absolute target, where there is one, even if HTTP/1.0 came without the field */
        bool is_there = id == FIELD_HOST ? request->host.len > 0 : is_forwarded(request, name);
        if (!is_there)
            continue;
        buf_add_char(out, '=');
        if (id == FIELD_HOST) {
            bool any = false;
            add_member(out, request->host, &any);
            continue;
        }
        if (id == FIELD_ACCEPT_ENCODING)
            add_codings(out, request);
        else if (id == FIELD_ACCEPT_LANGUAGE)
            add_languages(out, request, rules);
        else
            add_values(out, request, name);
    }
}
