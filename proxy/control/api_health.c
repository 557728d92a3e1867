#include "control-internal.h"

static bool say(struct call *c, unsigned status, const char *text)
{
    struct json_writer w;
    c->status = status;
    json_writer_init(&w, &c->reply);
    json_write_object(&w, NULL);
    json_write_str(&w, "status", text);
    json_write_object_end(&w);
    return true;
}

bool api_live(struct call *c)
{
    return say(c, 200, "live");
}

bool api_ready(struct call *c)
{
    return c->control->is_ready ? say(c, 200, "ready") : say(c, 503, "draining");
}
