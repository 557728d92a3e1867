/* Fetches in the background, while an answer is served: after its end (stale-while-revalidate),
 * or by chance before it (XFetch). They are led by nobody. */
#include "flow-internal.h"

#include <math.h>

uint64_t worker_random(struct worker *w)
{
    return random_next(&w->random);
}

/* The head as it came: one block in the gate, from the method to the empty line. */
static struct span head_text(const struct head *h)
{
    const char *end = h->fields[h->field_count - 1].value.p;
    end += h->fields[h->field_count - 1].value.len;
    while (*end != '\n') /* white space behind the last value */
        end++;
    return span_of(h->method_text.p, (size_t)(end - h->method_text.p) + 1);
}

static bool start_fetch(const struct refresh *r, struct entry *e, struct flight *flight)
{
    cleanup(buf_fini) struct buf head;
    cleanup(buf_fini) struct buf plain;
    cleanup(buf_fini) struct buf request;
    buf_init(&head, 1024 * 1024);
    buf_init(&plain, 1024 * 1024);
    buf_init(&request, 1024 * 1024);
    struct forward forward = {.config = r->w->config,
                              .head = r->head,
                              .gate = r->gate,
                              .route = r->l->route,
                              .id = r->id,
                              .is_fetch = true,
                              .is_looked_into = r->w->shared->plans[r->l->route->index] != NULL,
                              .has_body = r->body.len > 0,
                              .body_bytes = r->body.len};
    bool is_get = r->head->method == METHOD_GET || r->head->method == METHOD_HEAD;
    forward.validate = is_get && entry_has_validator(e) ? e : NULL;
    forward_head_format(&forward, &head);
    if (take(forward.validate))
        forward_head_format(&forward, &plain);
    buf_add_span(&request, head_text(r->head));
    buf_add_str(&request, "\r\n");
    if (head.failed || plain.failed || request.failed)
        return false;
    enum method m = r->head->method == METHOD_HEAD ? METHOD_GET : r->head->method;
    struct fetch_start s = {
        .w = r->w,
        .l = r->l,
        .flight = flight,
        .old = e,
        .request_text = buf_span(&request),
        .plain_head = buf_span(&plain),
        .body = r->body,
        .exchange = {.head = buf_span(&head),
                     .method = m,
                     .body_kind = r->body.len ? EXCHANGE_WHOLE_BODY : EXCHANGE_NO_BODY,
                     .body = r->body,
                     .first_byte_timeout_ms = r->l->route->first_byte_timeout_ms}};
    return fetch_start(&s) != NULL;
}

bool refresh_start(const struct refresh *r, struct entry *e)
{
    struct worker *w = r->w;
    struct flight *flight = NULL;
    mono_ms now = mono_now_ms();
    if (w->is_draining || w->refreshing >= w->config->cache.refreshes_max || !r->head->field_count)
        return false;
    if (now < atomic_load_explicit(&e->retry_ms, memory_order_relaxed))
        return false;
    lookup_tags(w->shared, r->l, r->head, r->body, r->json);
    if (store_refresh(w->store, e, &r->l->tags, now, &flight) != STORE_LEAD)
        return false;
    if (!start_fetch(r, e, flight)) {
        struct flight_result none = {.outcome = FLIGHT_UNSTORABLE};
        (void)store_land(w->store, flight, &none, NULL, 0, now);
        return false;
    }
    return true;
}

/* now - delta * beta * ln(rand) >= expiry: rarely long before the end, surely at it; and as each
 * request throws the dice, hot answers are refreshed in time, and cold ones left alone. */
bool refresh_is_due(struct worker *w, const struct route *r, const struct entry *e, mono_ms now)
{
    enum { LONGEST = 12 }; /* -ln(rand) is above it once in 160,000 times */
    if (!r->refresh_ahead)
        return false;
    double delta_ms = (double)e->fetch_us / 1000 * r->refresh_ahead / 100;
    double left_ms = (double)(e->stored_mono_ms + e->lifetime_ms) - (double)now;
    if (left_ms > delta_ms * LONGEST)
        return false;
    double chance = ((double)(worker_random(w) >> 11) + 1) / 9007199254740993.0; /* (0, 1] */
    return -delta_ms * log(chance) >= left_ms;
}

/* The budget counts seconds of the day in which a failure was hidden from somebody. */
bool refresh_may_hide_error(struct worker *w, const struct route *r)
{
    struct route_switch *s = &w->shared->switches[r->index];
    int64_t now_s = unix_now_ms() / 1000, day = now_s / 86400;
    if (!r->error_budget_ms)
        return true;
    if (s->error_day != day) {
        s->error_day = day;
        s->error_spent_ms = 0;
    }
    if (s->error_last_s == now_s)
        return true;
    if (s->error_spent_ms >= r->error_budget_ms)
        return false;
    s->error_last_s = now_s;
    s->error_spent_ms += 1000;
    return true;
}
