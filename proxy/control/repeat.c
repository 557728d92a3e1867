/* Idempotency keys: a call that is made again under the same key is answered as it was the first
 * time, and not done again; while the first has no answer yet it is a conflict (the draft of the
 * Idempotency-Key field, httpapi working group). */
#include "control-internal.h"

#include <larder/base/hash.h>

#include <stdlib.h>

enum { REPEATS_MAX = 1000, KEEP_MS = 24 * 3600 * 1000, REPLY_KEPT_MAX = 256 * 1024 };

struct repeat {
    struct list link;
    uint8_t key[32];  /* digest of caller, method, path, key, and what of the head counts */
    uint8_t body[32]; /* digest */
    mono_ms until;
    unsigned status; /* 0: the first call is not answered yet */
    size_t len;
    char reply[];
};

struct repeats {
    struct list all; /* oldest first */
    unsigned count;
};

struct repeats *repeats_new(void)
{
    struct repeats *r = calloc(1, sizeof(*r));
    if (r)
        list_init(&r->all);
    return r;
}

static void drop(struct repeats *r, struct repeat *e)
{
    list_remove(&e->link);
    r->count--;
    free(e);
}

void repeats_free(struct repeats *r)
{
    if (!r)
        return;
    while (!list_is_empty(&r->all))
        drop(r, list_first(&r->all, struct repeat, link));
    free(r);
}

/* False: the call has no key. */
static bool digests(const struct call *c, uint8_t key[32], uint8_t body[32])
{
    const struct field *f = head_field_named(c->head, SPAN_LIT("Idempotency-Key"));
    if (!f || !f->value.len || c->is_part)
        return false;
    cleanup(buf_fini) struct buf text;
    buf_init(&text, 512 * 1024);
    buf_add_span(&text, c->token ? c->token->name : SPAN_LIT(""));
    buf_add_char(&text, '\0');
    buf_add_span(&text, c->head->method_text);
    buf_add_span(&text, c->head->target);
    buf_add_char(&text, '\0');
    buf_add_span(&text, f->value);
    buf_add_char(&text, '\0');
    buf_add_span(&text, buf_span(&c->scope));
    digest_of(text.p, text.len, key);
    digest_of(c->body.p, c->body.len, body);
    return !text.failed && !c->scope.failed;
}

bool repeats_replay(struct call *c)
{
    struct repeats *r = c->control->repeats;
    uint8_t key[32], body[32];
    if (!digests(c, key, body))
        return false;
    list_for_each_safe (it, next, &r->all) {
        struct repeat *e = container_of(it, struct repeat, link);
        if (e->until < mono_now_ms()) {
            drop(r, e);
            continue;
        }
        if (memcmp(e->key, key, sizeof(key)) != 0)
            continue;
        if (memcmp(e->body, body, sizeof(body)) != 0)
            return call_fail(c, 422, "idempotency-key",
                             "this Idempotency-Key was used with another body; take a new one");
        if (e->status == 0)
            return call_fail(c, 409, "idempotency-key",
                             "the first call with this Idempotency-Key is not answered yet; ask "
                             "again");
        c->status = e->status;
        c->is_replayed = true;
        buf_add(&c->reply, e->reply, e->len);
        return true;
    }
    return false;
}

static void add(struct repeats *r, const uint8_t key[32], const uint8_t body[32], unsigned status,
                struct span reply)
{
    struct repeat *e = malloc(sizeof(*e) + reply.len);
    if (!e)
        return;
    memcpy(e->key, key, sizeof(e->key));
    memcpy(e->body, body, sizeof(e->body));
    e->until = mono_now_ms() + KEEP_MS;
    e->status = status;
    e->len = reply.len;
    if (e->len)
        memcpy(e->reply, reply.p, e->len);
    list_push_back(&r->all, &e->link);
    if (++r->count > REPEATS_MAX)
        drop(r, list_first(&r->all, struct repeat, link));
}

void repeats_begin(struct call *c)
{
    uint8_t key[32], body[32];
    if (digests(c, key, body))
        add(c->control->repeats, key, body, 0, span_of(NULL, 0));
}

static void end_begun(struct repeats *r, const uint8_t key[32])
{
    list_for_each_safe (it, next, &r->all) {
        struct repeat *e = container_of(it, struct repeat, link);
        if (e->status == 0 && memcmp(e->key, key, sizeof(e->key)) == 0)
            drop(r, e);
    }
}

void repeats_note(struct call *c)
{
    struct repeats *r = c->control->repeats;
    uint8_t key[32], body[32];
    if (!digests(c, key, body))
        return;
    end_begun(r, key);
    if (!c->problem && !c->reply.failed && c->reply.len <= REPLY_KEPT_MAX)
        add(r, key, body, c->status, buf_span(&c->reply));
}
