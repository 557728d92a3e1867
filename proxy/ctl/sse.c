/* The event stream: lines, of which "event" and "data" count, and a blank one that sends them. */
#include "ctl-internal.h"

enum { LINE_MAX_BYTES = 1 << 20 };

void ctl_sse_init(struct sse *s, void (*on_event)(void *, struct span, struct span), void *arg)
{
    *s = (struct sse){.on_event = on_event, .arg = arg};
    buf_init(&s->line, LINE_MAX_BYTES);
    buf_init(&s->data, LINE_MAX_BYTES);
    buf_init(&s->event, LINE_MAX_BYTES);
}

void ctl_sse_fini(struct sse *s)
{
    buf_fini(&s->line);
    buf_fini(&s->data);
    buf_fini(&s->event);
}

/* An event that did not fit is dropped whole: half of one would be no JSON anyway. */
static void send_event(struct sse *s)
{
    struct span data = buf_span(&s->data), event = buf_span(&s->event);
    if (data.len && !s->data.failed && !s->event.failed) {
        data.len--; /* the last line's newline */
        s->on_event(s->arg, event.len ? event : SPAN_LIT("message"), data);
    }
    buf_reset(&s->data);
    buf_reset(&s->event);
}

static void take_line(struct sse *s)
{
    struct span value, line = buf_span(&s->line), name = span_split(line, ':', &value);
    if (value.len && value.p[0] == ' ')
        value = span_of(value.p + 1, value.len - 1);
    if (s->line.failed) {
        s->data.failed = true;
    } else if (line.len == 0) {
        send_event(s);
    } else if (span_eq(name, SPAN_LIT("event"))) {
        buf_reset(&s->event);
        buf_add_span(&s->event, value);
    } else if (span_eq(name, SPAN_LIT("data"))) {
        buf_add_span(&s->data, value);
        buf_add_char(&s->data, '\n');
    }
    buf_reset(&s->line);
}

void ctl_sse_feed(struct sse *s, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.p[i];
        bool is_second = c == '\n' && s->after_cr;
        s->after_cr = c == '\r';
        if (is_second)
            continue;
        if (c == '\n' || c == '\r')
            take_line(s);
        else
            buf_add_char(&s->line, c);
    }
}
