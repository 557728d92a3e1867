/* A target with parts that are secret in the key, in a tag or in what a write takes back has them
 * in clear. What of it may stand where people read: all but its values. The readable key tells
 * those that are no secrets. */
#include "route-internal.h"

static bool is_secret_in(const struct text_template *t, unsigned count, enum param_source source)
{
    for (unsigned n = 0; n < count; n++)
        for (unsigned i = 0; i < t[n].piece_count; i++)
            if (t[n].pieces[i].kind == PIECE_REQUEST && t[n].pieces[i].param.secret &&
                t[n].pieces[i].param.source == source)
                return true;
    return false;
}

/* What is secret in the key of a route is so in a write that names it. */
static bool fills_secret(const struct write_route *w, enum param_source source)
{
    for (unsigned i = 0; i < w->param_count; i++)
        for (unsigned n = 0; w->params[i].param->secret && n < w->params[i].value.piece_count; n++)
            if (w->params[i].value.pieces[n].kind == PIECE_REQUEST &&
                w->params[i].value.pieces[n].param.source == source)
                return true;
    return false;
}

static bool is_secret_in_write(const struct write_rules *w, enum param_source source)
{
    if (is_secret_in(w->tags, w->tag_count, source) || is_secret_in(w->keys, w->key_count, source))
        return true;
    for (unsigned i = 0; i < w->route_count; i++)
        if (fills_secret(&w->routes[i], source))
            return true;
    return false;
}

static bool has_secret(const struct route *r, enum param_source source)
{
    for (unsigned i = 0; i < r->param_count + r->identity_count; i++)
        if (r->params[i].secret && r->params[i].source == source)
            return true;
    return is_secret_in(r->tags, r->tag_count, source) ||
           (r->on_write && is_secret_in_write(r->on_write, source));
}

bool route_hides_target(const struct route *r)
{
    return has_secret(r, PARAM_QUERY) || has_secret(r, PARAM_PATH);
}

static void add_path(const struct route *r, const struct head *h, struct buf *out)
{
    if (!has_secret(r, PARAM_PATH)) {
        buf_add_span(out, h->path);
        return;
    }
    for (unsigned i = 0; i < r->segment_count; i++) {
        const struct path_segment *s = &r->segments[i];
        buf_add_char(out, '/');
        buf_add_span(out, s->is_capture || s->is_rest ? SPAN_LIT("***") : s->literal);
    }
}

struct span route_shown_target(const struct route *r, const struct head *h, struct buf *block)
{
    if (!r || !r->hides_target)
        return h->target;
    add_path(r, h, block);
    if (h->query.p)
        buf_add_str(block, "?***");
    return block->failed ? SPAN_LIT("***") : buf_span(block);
}

const struct route *route_shown_as(const struct route *routes, unsigned count,
                                   const struct route *r, const struct head *h)
{
    struct route_captures captures;
    if (r && r != &routes[count - 1])
        return r;
    for (unsigned i = 0; i + 1 < count; i++)
        if (routes[i].hides_target && route_takes_path(&routes[i], h->path, &captures))
            return &routes[i];
    return r;
}
