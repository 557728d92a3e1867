#include "control-internal.h"

/* Redis away makes no instance unfit: it goes on by itself. */
static void write_redis(struct json_writer *w, struct tier *t)
{
    struct tier_state state;
    tier_state_read(t, &state);
    json_write_object(w, "redis");
    json_write_bool(w, "available", state.is_available);
    json_write_bool(w, "in_contact", state.is_in_contact);
    if (state.warning[0])
        json_write_str(w, "warning", state.warning);
    json_write_object_end(w);
}

static bool say(struct call *c, unsigned status, const char *text, bool with_redis)
{
    struct json_writer w;
    c->status = status;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_str(&w, "status", text);
    if (c->control->shared->tier && with_redis)
        write_redis(&w, c->control->shared->tier);
    json_write_object_end(&w);
    return true;
}

bool api_live(struct call *c)
{
    return say(c, 200, "live", false);
}

bool api_ready(struct call *c)
{
    return c->control->is_ready ? say(c, 200, "ready", true) : say(c, 503, "draining", true);
}
