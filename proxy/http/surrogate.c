/* surrogate.c: tags out of fields of four forms.
 *
 * Three forms are plain lists, told apart by their separators. Groups are read twice: once to know
 * that all lines of the field parse, for else none of them counts (RFC 9651 section 4.2), and
 * once to give their strings, unescaped, from a block on the stack.
 */
#include <larder/http/surrogate.h>

#include <larder/base/buf.h>
#include <larder/base/macros.h>

#include "http-internal.h"
#include "structured-internal.h"

struct sink {
    bool (*on_tag)(void *arg, struct span tag);
    void *arg;
};

enum where { IN_ANSWER = 1, IN_PURGE = 2 };

static const struct {
    const char *name, *separators;
    unsigned where;
} plain[] = {
    {"surrogate-key", " \t", IN_ANSWER | IN_PURGE}, {"xkey", " \t,", IN_ANSWER | IN_PURGE},
    {"cache-tag", ",", IN_ANSWER | IN_PURGE},       {"xkey-purge", " \t,", IN_PURGE},
    {"xkey-softpurge", " \t,", IN_PURGE},
};

static bool is_named(const struct field *f, const char *name)
{
    return span_eq_nocase(f->name, span_str(name));
}

static bool give(const struct sink *sink, struct span tag)
{
    if (tag.len > SURROGATE_TAG_MAX)
        return false;
    for (size_t i = 0; i < tag.len; i++) {
        if ((uint8_t)tag.p[i] < 0x20 || tag.p[i] == 0x7f)
            return false;
    }
    return sink->on_tag(sink->arg, tag);
}

static bool give_list(const struct sink *sink, struct span list, struct span separators)
{
    const char *p = list.p, *end = p + list.len;
    while (p < end) {
        const char *from = p;
        while (p < end && !memchr(separators.p, *p, separators.len))
            p++;
        struct span tag = span_trim(span_of(from, (size_t)(p - from)));
        if (tag.len > 0 && !give(sink, tag))
            return false;
        p += p < end; /* the separator */
    }
    return true;
}

static bool give_plain(const struct sink *sink, const struct head *h, enum where where)
{
    for (unsigned i = 0; i < h->field_count; i++) {
        const struct field *f = &h->fields[i];
        for (size_t k = 0; k < array_len(plain); k++) {
            if ((plain[k].where & where) && is_named(f, plain[k].name) &&
                !give_list(sink, f->value, span_str(plain[k].separators)))
                return false;
        }
    }
    return true;
}

/* Do all lines of field <name> together make a list of strings? */
static bool groups_parse(const struct head *h, const char *name)
{
    unsigned lines = 0, empty = 0;
    for (unsigned i = 0; i < h->field_count; i++) {
        if (!is_named(&h->fields[i], name))
            continue;
        struct structured s = structured_of(h->fields[i].value);
        enum structured_result result;
        lines++;
        empty += s.p == s.end;
        while ((result = structured_next_string(&s, NULL)) == STRUCTURED_STRING)
            continue;
        if (result == STRUCTURED_BAD)
            return false;
    }
    return lines <= 1 || empty == 0; /* joined by commas, an empty line is a member left out */
}

static bool give_groups(const struct sink *sink, const struct head *h, const char *name)
{
    char block[SURROGATE_TAG_MAX];
    struct buf text;
    if (!groups_parse(h, name))
        return true;
    buf_init_fixed(&text, block, sizeof(block));
    for (unsigned i = 0; i < h->field_count; i++) {
        if (!is_named(&h->fields[i], name))
            continue;
        struct structured s = structured_of(h->fields[i].value);
        while (structured_next_string(&s, &text) == STRUCTURED_STRING) {
            if (text.failed || !give(sink, buf_span(&text)))
                return false;
        }
    }
    return true;
}

bool surrogate_tags(const struct head *h, bool (*on_tag)(void *arg, struct span tag), void *arg)
{
    const struct sink sink = {on_tag, arg};
    return give_plain(&sink, h, IN_ANSWER) && give_groups(&sink, h, "cache-groups");
}

bool surrogate_invalidated_groups(const struct head *h, bool (*on_tag)(void *arg, struct span tag),
                                  void *arg)
{
    const struct sink sink = {on_tag, arg};
    return give_groups(&sink, h, "cache-group-invalidation");
}

static bool is_soft(const struct head *request)
{
    bool hard_names = false, soft_names = false, soft_mode = false;
    for (unsigned i = 0; i < request->field_count; i++) {
        const struct field *f = &request->fields[i];
        struct span value = span_trim(f->value);
        hard_names |= is_named(f, "xkey-purge");
        soft_names |= is_named(f, "xkey-softpurge");
        soft_mode |= is_named(f, "fastly-soft-purge") && span_eq(value, SPAN_LIT("1"));
        soft_mode |= is_named(f, "surrogate-purge-mode") && span_eq_nocase(value, SPAN_LIT("soft"));
    }
    /* One answer for all tags: what was to go must not stay because of what may. */
    return soft_mode || (soft_names && !hard_names);
}

bool surrogate_purge_tags(const struct head *request, bool (*on_tag)(void *arg, struct span tag),
                          void *arg, bool *ret_is_soft)
{
    const struct sink sink = {on_tag, arg};
    if (!give_plain(&sink, request, IN_PURGE))
        return false;
    *ret_is_soft = is_soft(request);
    return true;
}
