/* Which methods clients may use at all ("methods" of the limits). */
#include "config-internal.h"

enum { METHODS_MAX = 64 };

static bool is_there(const struct config *c, struct span m)
{
    for (unsigned i = 0; i < c->limits.method_count; i++)
        if (span_eq(c->limits.methods[i], m))
            return true;
    return false;
}

static void read_method(struct reading *r, const struct json *j, struct config *c)
{
    struct quoted q;
    if (j->type != JSON_STRING) {
        reading_fail(r, j, "a method is a string; write \"GET\"");
        return;
    }
    enum method m = method_of(j->text);
    if (!reading_method(r, j, j->text))
        return;
    if (m == METHOD_CONNECT || m == METHOD_TRACE)
        reading_fail(r, j, "%s is never passed on; leave it out", quote(j->text, &q));
    else if (is_there(c, j->text))
        reading_fail(r, j, "method %s is there twice; leave one of them", quote(j->text, &q));
    else
        c->limits.methods[c->limits.method_count++] = reading_copy(r, j->text);
    c->limits.method_mask |= 1u << m;
}

void load_methods(struct reading *r, const struct json *j, void *config)
{
    struct config *c = config;
    c->limits.method_count = c->limits.method_mask = 0;
    if (j->type != JSON_ARRAY || j->count < 1 || j->count > METHODS_MAX) {
        reading_fail(r, j,
                     "\"methods\" must be a list of 1 to %d methods; write [\"GET\", \"HEAD\"]",
                     METHODS_MAX);
        return;
    }
    c->limits.methods = reading_alloc(r, j->count, sizeof(*c->limits.methods));
    for (const struct json *m = j->first; m && c->limits.methods; m = m->next)
        read_method(r, m, c);
}

bool config_allows_method(const struct config *c, const struct head *h)
{
    if (h->method == METHOD_CONNECT || h->method == METHOD_TRACE)
        return false;
    if (c->limits.method_count == 0)
        return true;
    return h->method == METHOD_OTHER ? is_there(c, h->method_text)
                                     : (c->limits.method_mask >> h->method & 1) != 0;
}
