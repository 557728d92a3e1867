/* A target with parts that are secret in the key has them in clear. What of it may stand where
 * people read: all but its values. The readable key tells those that are no secrets. */
#include "route-internal.h"

static bool has_secret(const struct route *r, enum param_source source)
{
    for (unsigned i = 0; i < r->param_count + r->identity_count; i++)
        if (r->params[i].secret && r->params[i].source == source)
            return true;
    return false;
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
