/* The JSON pointers of an answer that a route's rules look at, each once. */
#include <larder/config/route.h>

static void add(struct route_pointers *p, struct span pointer, bool is_list, unsigned max)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->pointer[i].is_list == is_list && span_eq(p->pointer[i].text, pointer)) {
            if (p->pointer[i].max < max)
                p->pointer[i].max = max;
            return;
        }
    if (p->count == JSON_SCAN_PATTERNS_MAX)
        p->is_over = true;
    else
        p->pointer[p->count++] =
            (struct route_pointer){.text = pointer, .is_list = is_list, .max = max};
}

static void add_cond(struct route_pointers *p, const struct cond *c)
{
    for (unsigned i = 0; c && i < cond_pointer_count(c); i++)
        add(p, cond_pointer(c, i), false, 0);
}

static void add_tag(struct route_pointers *p, const struct text_template *t)
{
    for (unsigned i = 0; i < t->piece_count; i++)
        if (t->pieces[i].kind == PIECE_RESPONSE)
            add(p, t->pieces[i].pointer, true, t->max + 1);
}

void route_pointers_find(const struct route *r, struct route_pointers *ret)
{
    ret->count = 0;
    ret->is_over = false;
    if (!r->store_errors) {
        add(ret, SPAN_LIT("/success"), false, 0);
        add(ret, SPAN_LIT("/error"), false, 0);
        add(ret, SPAN_LIT("/errors"), false, 0);
    }
    add_cond(ret, r->store_if);
    for (unsigned i = 0; i < r->ttl_rule_count; i++)
        add_cond(ret, r->ttl_rules[i].cond);
    for (unsigned i = 0; i < r->tag_count; i++)
        add_tag(ret, &r->tags[i]);
}
