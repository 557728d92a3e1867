/* One file for all places: "$profiles" names what differs, each as a merge patch (RFC 7396) over
 * the rest, and the command line or "$profile" says which of them holds. Done in the tree, so that
 * all that reads the config knows nothing of it, and places are those of the text. */
#include "config-internal.h"

#include <stdio.h>

/* A value that is written as an object: it is put in place of another, and never mixed with it. */
static bool is_one_value(const struct json *j)
{
    static const char *const names[] = {"file", "credential"};
    if (is_env_reference(j))
        return true;
    for (size_t i = 0; i < array_len(names); i++) {
        const struct json *m = json_member(j, span_str(names[i]));
        if (m && m->type == JSON_STRING && j->count == 1)
            return true;
    }
    return false;
}

static bool check_patch(struct reading *r, const struct json *j)
{
    struct quoted q;
    if (j->type != JSON_OBJECT) {
        reading_fail(r, j, "a profile is %s; write an object of what differs in it",
                     json_type_name(j->type));
        return false;
    }
    for (const struct json *m = j->first; m; m = m->next) {
        if (!span_starts_with(m->name, SPAN_LIT("$profile")))
            continue;
        reading_fail(r, m, "\"%s\" within a profile; write it at the top of the file",
                     quote(m->name, &q));
        return false;
    }
    return true;
}

static bool check_patches(struct reading *r, const struct json *profiles)
{
    bool are_good = true;
    if (profiles->type != JSON_OBJECT) {
        reading_fail(r, profiles,
                     "\"$profiles\" is %s; write {\"development\": {...}, \"production\": {...}}",
                     json_type_name(profiles->type));
        return false;
    }
    for (const struct json *p = profiles->first; p; p = p->next)
        are_good = check_patch(r, p) && are_good;
    return are_good;
}

static void fail_unknown(struct reading *r, const struct json *at, const struct json *profiles,
                         struct span name)
{
    const char *names[32];
    char block[160];
    struct quoted q, each;
    struct buf known;
    unsigned count = 0;
    buf_init_fixed(&known, block, sizeof(block));
    for (const struct json *p = profiles ? profiles->first : NULL; p; p = p->next) {
        buf_add_fmt(&known, "%s%s", p == profiles->first ? "" : ", ", quote(p->name, &each));
        if (count < array_len(names) && !memchr(p->name.p, '\0', p->name.len))
            names[count++] = (const char *)reading_copy(r, p->name).p;
    }
    if (!profiles || !profiles->first) {
        reading_fail(r, at,
                     "unknown profile \"%s\": the file has no \"$profiles\"; write them, or "
                     "leave the profile out",
                     quote(name, &q));
        return;
    }
    const char *near = nearest_name(name, names, count);
    reading_fail(r, at, "unknown profile \"%s\"; \"$profiles\" has: " SPAN_FMT "%s%s%s%s",
                 quote(name, &q), SPAN_ARG(buf_span(&known)), known.failed ? "..." : "",
                 near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* The profile that "$profile" names; empty: none, or an error was told. */
static struct span name_of(struct reading *r, struct json *chosen)
{
    environment_resolve(r, chosen);
    if (!chosen->parent)
        return span_of("", 0); /* a default of null */
    if (!r->has_failed && (chosen->type != JSON_STRING || !chosen->text.len))
        reading_fail(r, chosen,
                     "\"$profile\" is no name; write one of \"$profiles\", or {\"env\": "
                     "\"NAME\", \"default\": \"development\"}");
    return r->has_failed ? span_of("", 0) : chosen->text;
}

bool profile_apply(struct reading *r, const char *wanted)
{
    struct json *root = json_edit(r->doc);
    struct json *chosen = json_edit_member(root, SPAN_LIT("$profile"));
    struct json *profiles = json_edit_member(root, SPAN_LIT("$profiles"));
    struct span name = span_of("", 0);
    if (profiles && !check_patches(r, profiles))
        return false;
    if (wanted)
        name = span_str(wanted);
    else if (chosen)
        name = name_of(r, chosen);
    if (r->has_failed)
        return false;
    if (wanted || name.len) {
        struct json *patch = json_edit_member(profiles, name);
        if (!patch) {
            fail_unknown(r, wanted ? profiles ? profiles : root : chosen, profiles, name);
            return false;
        }
        r->config->profile = reading_copy(r, name);
        json_remove(profiles);
        json_merge_patch(root, patch, is_one_value);
    } else if (profiles) {
        json_remove(profiles);
    }
    if (chosen && chosen->parent)
        json_remove(chosen);
    return true;
}
