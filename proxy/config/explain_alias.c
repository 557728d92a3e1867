/* Aliases in words, for `larder -t`. */
#include "config-internal.h"

#include <larder/config/alias.h>

void alias_literals_format(const struct alias_test *t, struct buf *out)
{
    for (unsigned i = 0; i < t->count; i++) {
        const struct alias_literal *l = &t->literals[i];
        struct json scalar = {.type = l->type, .text = l->text};
        buf_add_str(out, i == 0 ? "" : i + 1 < t->count ? ", " : " or ");
        if (l->type == JSON_NULL)
            buf_add_str(out, "absent");
        else
            json_format(&scalar, out);
    }
}

static void add_tests(const struct alias_test *tests, unsigned count, const char *before,
                      struct buf *out)
{
    for (unsigned i = 0; i < count; i++) {
        buf_add_fmt(out, "%s" SPAN_FMT " is ", i ? " and " : before, SPAN_ARG(tests[i].text));
        alias_literals_format(&tests[i], out);
    }
}

static void add_list(const struct span *list, unsigned count, struct buf *out)
{
    for (unsigned i = 0; i < count; i++)
        buf_add_fmt(out, "%s" SPAN_FMT, i ? ", " : "", SPAN_ARG(list[i]));
}

static void add_alias(const struct config *c, const struct alias_config *a, struct buf *out)
{
    buf_add_fmt(out, "alias     " SPAN_FMT " -> %s%s", SPAN_ARG(a->text),
                a->is_merged ? "the app, then " : "", alias_action_names[a->action]);
    if (a->with_count > 1)
        buf_add_fmt(out, ", %u calls", a->with_count);
    add_tests(a->when, a->when_count, "; when ", out);
    add_tests(a->expect, a->expect_count, "; only where ", out);
    buf_add_str(out, a->is_open ? "; open to anybody" : "; for whom control lets in");
    for (unsigned i = 0; i < a->rate_limit.count; i++)
        buf_add_fmt(out, "%s" SPAN_FMT, i ? ", " : "; limited by ",
                    SPAN_ARG(c->rate_limits[a->rate_limit.index[i]].name));
    if (a->takes_any_origin || a->origin_count) {
        buf_add_str(out, "; scripts of ");
        add_list(a->origins, a->origin_count, out);
        buf_add_str(out, a->takes_any_origin ? "any origin" : "");
    }
    buf_add_char(out, '\n');
}

void explain_aliases(const struct config *c, struct buf *out)
{
    for (unsigned i = 0; i < c->alias_count; i++)
        add_alias(c, &c->aliases[i], out);
}
