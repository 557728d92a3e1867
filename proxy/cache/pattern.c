#include <larder/cache/pattern.h>

#include <larder/base/glob.h>

/* Segment by segment: "{id}" is any one, a final "*" all that is left. */
static bool is_path_match(struct span pattern, struct span path)
{
    while (pattern.p) {
        struct span want = span_split(pattern, '/', &pattern);
        if (!path.p)
            return false;
        if (!pattern.p && span_eq(want, SPAN_LIT("*")))
            return true;
        struct span have = span_split(path, '/', &path);
        bool is_any = want.len > 1 && want.p[0] == '{' && want.p[want.len - 1] == '}';
        if (is_any ? have.len == 0 : !glob_match(want, have))
            return false;
    }
    return !path.p;
}

static bool has_prefix(struct span prefix, struct span tag_text)
{
    for (struct span rest = tag_text; rest.p && rest.len;) {
        struct span tag = span_split(rest, '\0', &rest);
        if (span_starts_with(tag, prefix))
            return true;
    }
    return false;
}

bool pattern_matches(const struct pattern *p, const struct cache_key *key, struct span target,
                     struct span tag_text)
{
    struct span query;
    switch (p->kind) {
    case PATTERN_GLOB:
        return glob_match(p->text, cache_key_readable(key));
    case PATTERN_PATH: /* where the path is not known it may be this one */
        return target.len == 0 || is_path_match(p->text, span_split(target, '?', &query));
    default:
        return has_prefix(p->text, tag_text);
    }
}

bool pattern_test(void *pattern, const struct cache_key *key, struct span target,
                  struct span tag_text)
{
    return pattern_matches(pattern, key, target, tag_text);
}
