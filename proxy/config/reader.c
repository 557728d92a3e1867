/* Objects read by a table of members. An error has a place, and reading goes on after it. */
#include "config-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void reading_fail(struct reading *r, const struct json *j, const char *fmt, ...)
{
    if (r->count >= r->max)
        return;
    struct err *e = &r->errs[r->count++];
    struct buf path;
    char block[128] = "";
    unsigned line, col;
    buf_init_fixed(&path, block, sizeof(block) - 1);
    json_path_format(j, &path);
    block[path.len] = '\0';
    json_place(r->doc, j->offset, &line, &col);
    e->code = ERR_CONFIG;
    snprintf(e->where, sizeof(e->where), "%s:%u:%u at %s", r->file, line, col, block);
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->what, sizeof(e->what), fmt, args);
    va_end(args);
}

void *reading_alloc(struct reading *r, size_t count, size_t size)
{
    return config_alloc(r->config, count, size);
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

static bool is_text(struct reading *r, const struct json *j, const char *example)
{
    if (j->type == JSON_STRING)
        return true;
    reading_fail(r, j, "\"" SPAN_FMT "\" is %s; write %s", SPAN_ARG(j->name),
                 json_type_name(j->type), example);
    return false;
}

static void read_number(struct reading *r, const struct json *j, const struct member *m, void *into)
{
    uint64_t v;
    uint64_t max = m->max ? m->max : UINT32_MAX;
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

static void read_member(struct reading *r, const struct json *j, const struct member *m, void *into)
{
    switch (m->type) {
    case MEMBER_DURATION:
        if (is_text(r, j, "a duration such as \"90s\", \"10m\" or \"2h\"") &&
            !duration_parse(j->text, into))
            reading_fail(r, j,
                         "\"" SPAN_FMT "\" is not a duration; write \"500ms\", \"90s\", \"10m\", "
                         "\"2h\" or \"1d\"",
                         SPAN_ARG(j->text));
        return;
    case MEMBER_SIZE:
        if (j->type == JSON_NUMBER && span_parse_u64(j->text, into))
            return;
        if (is_text(r, j, "a size such as \"256MiB\"") && !size_parse(j->text, into))
            reading_fail(r, j,
                         "\"" SPAN_FMT "\" is not a size; write \"64KiB\", \"256MiB\" or \"1GiB\"",
                         SPAN_ARG(j->text));
        return;
    case MEMBER_UINT:
    case MEMBER_U64:
        read_number(r, j, m, into);
        return;
    case MEMBER_BOOL:
        if (j->type != JSON_TRUE && j->type != JSON_FALSE)
            reading_fail(r, j, "\"%s\" is %s; write true or false", m->name,
                         json_type_name(j->type));
        *(bool *)into = j->type == JSON_TRUE;
        return;
    case MEMBER_TEXT:
        if (is_text(r, j, "a string"))
            *(struct span *)into = reading_copy(r, j->text);
        return;
    case MEMBER_ANY:
        return;
    }
}

static void fail_unknown(struct reading *r, const struct json *j, const struct member *table,
                         unsigned count)
{
    const char *names[64] = {0};
    for (unsigned i = 0; i < count; i++)
        names[i] = table[i].name;
    const char *near = nearest_name(j->name, names, count);
    if (near) {
        reading_fail(r, j, "unknown member \"" SPAN_FMT "\"; did you mean \"%s\"?",
                     SPAN_ARG(j->name), near);
        return;
    }
    struct buf known;
    char block[200];
    buf_init_fixed(&known, block, sizeof(block));
    for (unsigned i = 0; i < count && !known.failed; i++) {
        buf_add_str(&known, i ? ", " : "");
        buf_add_str(&known, names[i]);
    }
    reading_fail(r, j, "unknown member \"" SPAN_FMT "\"; known are: %.*s", SPAN_ARG(j->name),
                 (int)known.len, known.p);
}

void reading_members(struct reading *r, const struct json *j, const struct member *table,
                     unsigned count, void *into)
{
    if (j->type != JSON_OBJECT) {
        reading_fail(r, j, "this is %s; write an object {...}", json_type_name(j->type));
        return;
    }
    for (const struct json *c = j->first; c; c = c->next) {
        const struct member *m = NULL;
        for (unsigned i = 0; i < count && !m; i++)
            if (span_eq(c->name, span_str(table[i].name)))
                m = &table[i];
        if (!m)
            fail_unknown(r, c, table, count);
        else
            read_member(r, c, m, (char *)into + m->offset);
    }
}

static struct span read_file(struct reading *r, const struct json *j)
{
    char text[4096];
    FILE *f = fopen(j->text.p, "re");
    if (!f) {
        reading_fail(r, j, "\"%s\" cannot be read: %s", j->text.p, strerror(errno));
        return span_of("", 0);
    }
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n == 0)
        reading_fail(r, j, "\"%s\" is empty", j->text.p);
    return reading_copy(r, span_of(text, n));
}

struct span reading_secret(struct reading *r, const struct json *j)
{
    if (j->type == JSON_STRING)
        return reading_copy(r, j->text);
    const struct json *file = json_member(j, SPAN_LIT("file"));
    const struct json *env = json_member(j, SPAN_LIT("env"));
    if (j->count == 1 && file && file->type == JSON_STRING)
        return read_file(r, file);
    if (j->count == 1 && env && env->type == JSON_STRING) {
        const char *value = getenv(env->text.p);
        if (!value || !*value)
            reading_fail(r, env, "the environment has no %s; set it", env->text.p);
        return reading_copy(r, span_str(value ? value : ""));
    }
    reading_fail(r, j, "write a string, {\"file\": \"/path\"} or {\"env\": \"NAME\"}");
    return span_of("", 0);
}
