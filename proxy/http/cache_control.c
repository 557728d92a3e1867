/* cache_control.c: a lexer that is strict with what permits and lenient with what forbids.
 *
 * "no-store; private" and "max-age=60 no-store" are not what the grammar wants, yet the meaning is
 * plain, and some cache on the way may read it so. So a directive that forbids counts wherever its
 * name stands as a word, and one that permits only where it stands clean between commas.
 */
#include <larder/http/cache_control.h>

#include "http-internal.h"
#include "structured-internal.h"

enum { SECONDS_MAX = INT32_MAX }; /* RFC 9111 section 1.2.2: any more is "forever", too */

struct directive {
    struct span name, value; /* value.p == NULL: none */
    bool is_clean;           /* comma or end on both sides, and a whole value */
};

struct lexer {
    const char *p, *end;
    bool after_comma; /* or at the start */
};

static void skip_space(struct lexer *l)
{
    while (l->p < l->end && (*l->p == ' ' || *l->p == '\t'))
        l->p++;
}

/* A quoted string at <p>, to behind its closing quote; NULL where it does not close. */
static const char *quoted_end(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p++;
    }
    return NULL;
}

/* Passes over what can begin no directive: commas, white space, strings, stray bytes. */
static void skip_to_name(struct lexer *l)
{
    while (l->p < l->end && !byte_is(*l->p, BYTE_TOKEN)) {
        const char *close = *l->p == '"' ? quoted_end(l->p, l->end) : NULL;
        if (*l->p == ',')
            l->after_comma = true;
        else if (*l->p != ' ' && *l->p != '\t')
            l->after_comma = false;
        l->p = close ? close : l->p + 1;
    }
}

static void take_value(struct lexer *l, struct directive *d)
{
    const char *p = ++l->p;
    if (p < l->end && *p == '"') {
        const char *close = quoted_end(p, l->end);
        if (close) {
            d->value = span_of(p + 1, (size_t)(close - p - 2));
            l->p = close;
        } else {
            d->is_clean = false; /* what follows is read as if the quote were not there */
        }
        return;
    }
    l->p = bytes_skip(p, l->end, BYTE_TOKEN);
    d->value = span_of(p, (size_t)(l->p - p));
}

static bool next_directive(struct lexer *l, struct directive *ret)
{
    skip_to_name(l);
    if (l->p == l->end)
        return false;
    const char *name = l->p;
    l->p = bytes_skip(name, l->end, BYTE_TOKEN);
    *ret = (struct directive){.name = span_of(name, (size_t)(l->p - name)),
                              .is_clean = l->after_comma};
    if (l->p < l->end && *l->p == '=')
        take_value(l, ret);
    skip_space(l);
    l->after_comma = false;
    if (l->p < l->end && *l->p != ',')
        ret->is_clean = false;
    return true;
}

enum kind {
    FORBIDS,   /* a flag that counts wherever it stands */
    PERMITS,   /* a flag that must be clean */
    NO_CACHE,  /* forbids, unless its list of fields concerns nothing */
    SECONDS,   /* the smallest wins, broken is 0 */
    MIN_FRESH, /* the largest wins, broken is for ever */
    MAX_STALE, /* as SECONDS, and without a value any staleness will do */
};

static const struct {
    struct span name;
    enum kind kind;
    enum cc_flag flag;
    size_t field; /* of the seconds in struct cache_control */
} directives[] = {
#define SECONDS_OF(member) offsetof(struct cache_control, member)
    {{"max-age", 7}, SECONDS, CC_HAS_MAX_AGE, SECONDS_OF(max_age_s)},
    {{"s-maxage", 8}, SECONDS, CC_HAS_S_MAXAGE, SECONDS_OF(s_maxage_s)},
    {{"stale-while-revalidate", 22}, SECONDS, CC_HAS_SWR, SECONDS_OF(swr_s)},
    {{"stale-if-error", 14}, SECONDS, CC_HAS_SIE, SECONDS_OF(sie_s)},
    {{"min-fresh", 9}, MIN_FRESH, CC_HAS_MIN_FRESH, SECONDS_OF(min_fresh_s)},
    {{"max-stale", 9}, MAX_STALE, CC_HAS_MAX_STALE, SECONDS_OF(max_stale_s)},
    {{"no-store", 8}, FORBIDS, CC_NO_STORE, 0},
    {{"private", 7}, FORBIDS, CC_PRIVATE, 0},
    {{"no-cache", 8}, NO_CACHE, CC_NO_CACHE, 0},
    {{"must-revalidate", 15}, FORBIDS, CC_MUST_REVALIDATE, 0},
    {{"proxy-revalidate", 16}, FORBIDS, CC_PROXY_REVALIDATE, 0},
    {{"only-if-cached", 14}, FORBIDS, CC_ONLY_IF_CACHED, 0},
    {{"no-transform", 12}, FORBIDS, CC_NO_TRANSFORM, 0},
    {{"must-understand", 15}, FORBIDS, CC_MUST_UNDERSTAND, 0},
    {{"public", 6}, PERMITS, CC_PUBLIC, 0},
    {{"immutable", 9}, PERMITS, CC_IMMUTABLE, 0},
};

/* False where <s> is not all digits; past SECONDS_MAX it is that. */
static bool parse_seconds(struct span s, uint32_t *ret_s)
{
    uint64_t seconds = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        seconds = seconds * 10 + (uint64_t)(s.p[i] - '0');
        if (seconds > SECONDS_MAX)
            seconds = SECONDS_MAX;
    }
    *ret_s = (uint32_t)seconds;
    return true;
}

static uint32_t seconds_of(const struct directive *d, enum kind kind)
{
    uint32_t seconds;
    if (kind == MAX_STALE && !d->value.p && d->is_clean)
        return UINT32_MAX;
    if (d->is_clean && parse_seconds(d->value, &seconds))
        return seconds;
    return kind == MIN_FRESH ? UINT32_MAX : 0;
}

static void note_seconds(struct cache_control *cc, const struct directive *d, size_t i)
{
    uint32_t seconds = seconds_of(d, directives[i].kind);
    uint32_t *field = (uint32_t *)(void *)((char *)cc + directives[i].field);
    bool is_first = !(cc->flags & (unsigned)directives[i].flag);
    bool is_stricter = directives[i].kind == MIN_FRESH ? seconds > *field : seconds < *field;
    if (is_first || is_stricter)
        *field = seconds;
    cc->flags |= (unsigned)directives[i].flag;
}

/* RFC 9111 section 5.2.2.4: with a list, only the fields named may not be used again. None of
 * them is there, or only Set-Cookie, which is never stored: then nothing is forbidden. */
static bool concerns_nothing(const struct head *h, const struct directive *d)
{
    struct span rest = d->value, name;
    if (!d->is_clean || d->value.len == 0)
        return false;
    while (field_list_next(&rest, &name)) {
        if (!span_is_token(name) ||
            (head_field_named(h, name) && field_id_of(name) != FIELD_SET_COOKIE))
            return false;
    }
    return true;
}

static void note_directive(struct cache_control *cc, const struct head *h,
                           const struct directive *d)
{
    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (!span_eq_nocase(directives[i].name, d->name))
            continue;
        unsigned flag = (unsigned)directives[i].flag;
        switch (directives[i].kind) {
        case FORBIDS:
            cc->flags |= flag;
            return;
        case PERMITS:
            cc->flags |= d->is_clean && !d->value.p ? flag : 0;
            return;
        case NO_CACHE:
            cc->flags |= concerns_nothing(h, d) ? 0 : flag;
            return;
        default:
            note_seconds(cc, d, i);
            return;
        }
    }
}

void cache_control_parse(const struct head *h, enum field_id id, struct cache_control *ret_cc)
{
    *ret_cc = (struct cache_control){.flags = 0};
    if (!head_field(h, id))
        return;
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id != id)
            continue;
        ret_cc->flags |= CC_PRESENT;
        struct span value = h->fields[i].value;
        if (value.len == 0)
            continue;
        struct lexer lexer = {value.p, value.p + value.len, true};
        struct directive d;
        while (next_directive(&lexer, &d))
            note_directive(ret_cc, h, &d);
    }
}

/* --- targeted fields --- */

static uint32_t clamp_seconds(int64_t n)
{
    return n < 0 ? 0 : n > SECONDS_MAX ? (uint32_t)SECONDS_MAX : (uint32_t)n;
}

/* False: a number was wanted. A key that comes again replaces the earlier one. */
static bool note_member(struct cache_control *cc, const struct structured_member *m)
{
    for (size_t i = 0; i < sizeof(directives) / sizeof(directives[0]); i++) {
        if (!span_eq(directives[i].name, m->key))
            continue;
        unsigned flag = (unsigned)directives[i].flag;
        bool is_number = directives[i].kind == SECONDS || directives[i].kind == MIN_FRESH ||
                         directives[i].kind == MAX_STALE;
        if (is_number && m->kind != STRUCTURED_INTEGER)
            return false;
        if (is_number)
            *(uint32_t *)(void *)((char *)cc + directives[i].field) = clamp_seconds(m->integer);
        if (m->kind == STRUCTURED_FALSE)
            cc->flags &= ~flag;
        else if (directives[i].kind != PERMITS || m->kind == STRUCTURED_TRUE)
            cc->flags |= flag;
        return true;
    }
    return true;
}

bool targeted_cache_control_parse(const struct head *h, enum field_id id,
                                  struct cache_control *ret_cc)
{
    struct structured_member m;
    unsigned members = 0;
    *ret_cc = (struct cache_control){.flags = 0};
    for (unsigned i = 0; i < h->field_count; i++) {
        if (h->fields[i].id != id)
            continue;
        struct structured s = structured_of(h->fields[i].value);
        enum structured_next next;
        while ((next = structured_next_member(&s, &m)) == STRUCTURED_MEMBER) {
            members++;
            if (!note_member(ret_cc, &m))
                return false;
        }
        if (next == STRUCTURED_DICT_BAD)
            return false;
    }
    ret_cc->flags |= members ? CC_PRESENT : 0;
    return members > 0;
}
