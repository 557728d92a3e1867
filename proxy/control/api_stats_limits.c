/* The part of the figures that is about rate limits. */
#include "control-internal.h"

#include <larder/flow/limits.h>

void stats_write_limits(struct json_writer *w, const struct shared *s)
{
    if (s->config->rate_limit_count == 0)
        return;
    json_write_object(w, "rate_limits");
    for (unsigned i = 0; i < s->config->rate_limit_count; i++) {
        struct limits_figures f;
        limits_figures_read(s->limits, i, mono_now_ms(), &f);
        json_write_name(w, s->config->rate_limits[i].name);
        json_write_object(w, NULL);
        json_write_u64(w, "allowed", f.allowed);
        json_write_u64(w, "refused", f.refused);
        json_write_u64(w, "would_refuse", f.would_refuse);
        json_write_u64(w, "stale", f.stale);
        json_write_u64(w, "clients", f.clients);
        json_write_u64(w, "shared", f.shared);
        json_write_u64(w, "alone", f.alone);
        json_write_object_end(w);
    }
    json_write_object_end(w);
}
