/* Objects read by a table of members. An error has a place, and reading goes on after it. */
#include "config-internal.h"

#include <stdarg.h>
#include <stdio.h>

const char *quote(struct span s, struct quoted *q)
{
    enum { ROOM = sizeof(q->text) - 4 };
    size_t n = s.len < ROOM ? s.len : ROOM;
    while (n < s.len && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--; /* not within a character */
    for (size_t i = 0; i < n; i++)
        q->text[i] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f ? '?' : s.p[i];
    memcpy(q->text + n, n < s.len ? "..." : "", n < s.len ? 4 : 1);
    return q->text;
}

/* The place of a new error among those noted, by its place in the file; NULL: no room. */
static struct err *insert(struct reading *r, uint32_t offset)
{
    unsigned max = r->max < CONFIG_ERRORS_MAX ? r->max : CONFIG_ERRORS_MAX;
    r->has_failed = true;
    if (r->count >= max)
        return NULL;
    unsigned i = r->count++;
    for (; i > 0 && r->place[i - 1] > offset; i--) {
        r->place[i] = r->place[i - 1];
        r->errs[i] = r->errs[i - 1];
    }
    r->place[i] = offset;
    return &r->errs[i];
}

static void format_place(struct reading *r, const struct json *j, char *into, size_t room)
{
    struct buf path;
    char block[128];
    unsigned line, col;
    buf_init_fixed(&path, block, sizeof(block));
    json_path_format(j, &path);
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)block[i] < 0x20)
            block[i] = '?';
    json_place(r->doc, j->offset, &line, &col);
    snprintf(into, room, "%s:%u:%u at " SPAN_FMT, r->file, line, col, SPAN_ARG(buf_span(&path)));
}

struct span reading_place(struct reading *r, const struct json *j)
{
    struct err e;
    format_place(r, j, e.where, sizeof(e.where));
    return reading_copy(r, span_str(e.where));
}

/* What the environment told is not to be seen in the file; what stands before an @ nowhere. */
static void say_source(struct span from, struct err *e)
{
    struct quoted q;
    size_t len = strlen(e->what);
    bool is_text = memchr(from.p, '$', from.len) != NULL;
    if (memchr(from.p, '@', from.len)) {
        snprintf(e->what + len, sizeof(e->what) - len, " (told by the environment)");
        return;
    }
    snprintf(e->what + len, sizeof(e->what) - len, " (told by %s%s of the environment)",
             is_text ? "" : "$", quote(from, &q));
}

static void note(struct reading *r, const struct json *j, const char *fmt, va_list args)
{
    struct err *e = insert(r, j->offset);
    if (!e)
        return;
    e->code = ERR_CONFIG;
    format_place(r, j, e->where, sizeof(e->where));
    vsnprintf(e->what, sizeof(e->what), fmt, args);
    if (j->from.len)
        say_source(j->from, e);
}

void reading_fail(struct reading *r, const struct json *j, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    note(r, j, fmt, args);
    va_end(args);
}

void *reading_alloc(struct reading *r, size_t count, size_t size)
{
    void *p = config_alloc(r->config, count, size);
    r->has_no_memory |= !p;
    return p;
}

void *reading_keep(struct reading *r, void *object, void (*free_object)(void *object))
{
    struct config_object *o = reading_alloc(r, 1, sizeof(*o));
    if (!o) {
        free_object(object);
        return NULL;
    }
    *o = (struct config_object){.next = r->config->objects, .free = free_object, .object = object};
    r->config->objects = o;
    return object;
}

bool reading_percent(struct reading *r, const struct json *j, unsigned max, unsigned *into)
{
    uint64_t v;
    bool is_good = j->type == JSON_STRING && j->text.len > 1 && j->text.p[j->text.len - 1] == '%' &&
                   span_parse_u64(span_of(j->text.p, j->text.len - 1), &v) && v <= max;
    if (is_good)
        *into = (unsigned)v;
    else
        reading_fail(r, j, "write a whole number of percent up to \"%u%%\", such as \"10%%\"", max);
    return is_good;
}

struct span reading_copy(struct reading *r, struct span text)
{
    char *p = reading_alloc(r, text.len + 1, 1);
    if (!p)
        return span_of("", 0);
    if (text.len)
        memcpy(p, text.p, text.len);
    return span_of(p, text.len);
}

/* The right thing to write for a member, by its type. */
static const char *example_of(enum member_type t)
{
    switch (t) {
    case MEMBER_DURATION:
        return "a duration: write \"500ms\", \"90s\", \"10m\", \"2h\" or \"1d\"";
    case MEMBER_SIZE:
        return "a size: write \"64KiB\", \"256MiB\" or \"1GiB\"";
    case MEMBER_BOOL:
        return "a boolean: write true or false";
    default:
        return "a text: write a string that is not empty";
    }
}

static void fail_type(struct reading *r, const struct json *j, const struct member *m)
{
    struct quoted q;
    if (j->type == JSON_STRING || j->type == JSON_NUMBER)
        reading_fail(r, j, "\"%s\" is \"%s\", which is not %s", m->name, quote(j->text, &q),
                     example_of(m->type));
    else
        reading_fail(r, j, "\"%s\" is %s, not %s", m->name, json_type_name(j->type),
                     example_of(m->type));
}

static void read_number(struct reading *r, const struct json *j, const struct member *m, void *into)
{
    uint64_t v, max = m->max ? m->max : UINT32_MAX;
    if (j->type != JSON_NUMBER || !span_parse_u64(j->text, &v) || v < m->min || v > max) {
        reading_fail(r, j, "\"%s\" must be a whole number from %llu to %llu", m->name,
                     (unsigned long long)m->min, (unsigned long long)max);
        return;
    }
    if (m->type == MEMBER_UINT)
        *(unsigned *)into = (unsigned)v;
    else
        *(uint64_t *)into = v;
}

static void read_duration(struct reading *r, const struct json *j, const struct member *m,
                          uint64_t *into)
{
    uint64_t ms, max = m->max ? m->max : UINT64_MAX;
    if (j->type == JSON_NUMBER)
        reading_fail(r, j, "\"%s\" needs a unit; write \"" SPAN_FMT "s\" for seconds", m->name,
                     (int)(j->text.len < 20 ? j->text.len : 20), j->text.p);
    else if (j->type != JSON_STRING || !config_duration_parse(j->text, &ms))
        fail_type(r, j, m);
    else if (ms < m->min || ms > max)
        reading_fail(r, j, "\"%s\" must be from %llums to %llums", m->name,
                     (unsigned long long)m->min, (unsigned long long)max);
    else
        *into = ms;
}

static void read_size(struct reading *r, const struct json *j, const struct member *m,
                      uint64_t *into)
{
    uint64_t bytes, max = m->max ? m->max : INT64_MAX;
    bool is_text = j->type == JSON_STRING || j->type == JSON_NUMBER;
    if (!is_text || !size_parse(j->text, &bytes))
        fail_type(r, j, m);
    else if (bytes < m->min || bytes > max)
        reading_fail(r, j, "\"%s\" must be from %llu to %llu bytes", m->name,
                     (unsigned long long)m->min, (unsigned long long)max);
    else
        *into = bytes;
}

static void fail_choice(struct reading *r, const struct json *j, const struct member *m)
{
    struct buf words;
    char block[160];
    unsigned count = 0;
    buf_init_fixed(&words, block, sizeof(block));
    for (; m->words[count]; count++)
        buf_add_fmt(&words, "%s\"%s\"", count ? m->words[count + 1] ? ", " : " or " : "",
                    m->words[count]);
    const char *near = j->type == JSON_STRING ? nearest_name(j->text, m->words, count) : NULL;
    reading_fail(r, j, "\"%s\" must be " SPAN_FMT "%s%s%s", m->name, SPAN_ARG(buf_span(&words)),
                 near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static void read_choice(struct reading *r, const struct json *j, const struct member *m, void *into)
{
    for (unsigned i = 0; m->words[i]; i++) {
        if (j->type != JSON_STRING || !span_eq(j->text, span_str(m->words[i])))
            continue;
        if (m->type == MEMBER_FLAG)
            *(bool *)into = i == 1;
        else
            *(unsigned *)into = i;
        return;
    }
    fail_choice(r, j, m);
}

static void read_member(struct reading *r, const struct json *j, const struct member *m, char *into)
{
    struct json literal;
    bool may_be_literal = m->type == MEMBER_UINT || m->type == MEMBER_U64 ||
                          m->type == MEMBER_BOOL || m->may_be_literal;
    if (may_be_literal && environment_literal(j, &literal))
        j = &literal;
    switch (m->type) {
    case MEMBER_DURATION:
        read_duration(r, j, m, (void *)(into + m->offset));
        return;
    case MEMBER_SIZE:
        read_size(r, j, m, (void *)(into + m->offset));
        return;
    case MEMBER_UINT:
    case MEMBER_U64:
        read_number(r, j, m, into + m->offset);
        return;
    case MEMBER_BOOL:
        if (j->type != JSON_TRUE && j->type != JSON_FALSE)
            fail_type(r, j, m);
        else
            *(bool *)(into + m->offset) = j->type == JSON_TRUE;
        return;
    case MEMBER_TEXT:
        if (j->type != JSON_STRING || j->text.len == 0 || memchr(j->text.p, '\0', j->text.len))
            fail_type(r, j, m);
        else
            *(struct span *)(void *)(into + m->offset) = reading_copy(r, j->text);
        return;
    case MEMBER_CHOICE:
    case MEMBER_FLAG:
        read_choice(r, j, m, into + m->offset);
        return;
    case MEMBER_OWN:
        m->read(r, j, into);
        return;
    }
}

static void set_default(const struct member *m, char *into)
{
    struct span text = span_str(m->fallback);
    uint64_t v = 0;
    void *at = into + m->offset;
    switch (m->type) {
    case MEMBER_DURATION:
        (void)config_duration_parse(text,
                                    at); /* the tables are right: a test loads an empty object */
        return;
    case MEMBER_SIZE:
        (void)size_parse(text, at);
        return;
    case MEMBER_UINT:
        (void)span_parse_u64(text, &v);
        *(unsigned *)at = (unsigned)v;
        return;
    case MEMBER_U64:
        (void)span_parse_u64(text, at);
        return;
    case MEMBER_BOOL:
        *(bool *)at = span_eq(text, SPAN_LIT("true"));
        return;
    case MEMBER_TEXT:
        *(struct span *)at = text;
        return;
    case MEMBER_FLAG:
        *(bool *)at = span_eq(text, span_str(m->words[1]));
        return;
    case MEMBER_CHOICE:
        while (!span_eq(text, span_str(m->words[v])))
            v++;
        *(unsigned *)at = (unsigned)v;
        return;
    case MEMBER_OWN:
        return; /* its owner sets it; here for the schema */
    }
}

void reading_defaults(const struct object *o, void *into)
{
    for (unsigned i = 0; i < o->count; i++)
        if (o->members[i].fallback)
            set_default(&o->members[i], into);
}

static const struct member *find_member(const struct object *o, struct span name)
{
    for (unsigned i = 0; i < o->count; i++)
        if (span_eq(name, span_str(o->members[i].name)))
            return &o->members[i];
    return NULL;
}

static void fail_unknown(struct reading *r, const struct json *j, const struct object *o)
{
    const char *names[64] = {NULL};
    struct quoted q;
    unsigned count = o->count < array_len(names) ? o->count : array_len(names);
    for (unsigned i = 0; i < count; i++)
        names[i] = o->members[i].name;
    const char *near = nearest_name(j->name, names, count);
    if (near) {
        reading_fail(r, j, "unknown member \"%s\"; did you mean \"%s\"?", quote(j->name, &q), near);
        return;
    }
    struct buf known;
    char block[220];
    buf_init_fixed(&known, block, sizeof(block));
    for (unsigned i = 0; i < count && !known.failed; i++)
        buf_add_fmt(&known, "%s%s", i ? ", " : "", names[i]);
    reading_fail(r, j, "unknown member \"%s\"; %s has: " SPAN_FMT "%s", quote(j->name, &q), o->name,
                 SPAN_ARG(buf_span(&known)), known.failed ? "..." : "");
}

bool reading_members(struct reading *r, const struct json *j, const struct object *o, void *into)
{
    reading_defaults(o, into);
    if (j->type != JSON_OBJECT) {
        reading_fail(r, j, "this is %s; write an object {...}", json_type_name(j->type));
        return false;
    }
    for (const struct json *c = j->first; c; c = c->next)
        if (!find_member(o, c->name))
            fail_unknown(r, c, o);
    for (unsigned i = 0; i < o->count; i++) {
        const struct member *m = &o->members[i];
        const struct json *c = json_member(j, span_str(m->name));
        if (c)
            read_member(r, c, m, into);
        else if (m->is_required)
            reading_fail(r, j, "\"%s\" is missing: %s", m->name, m->doc);
    }
    return true;
}
