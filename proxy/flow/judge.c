/* A whole answer, whose head may be stored: what its body says, its tags, and how long it lives. */
#include "flow-internal.h"

#include <larder/base/wallclock.h>
#include <larder/http/surrogate.h>

#include <stdlib.h>

static bool is_json(const struct head *h)
{
    const struct field *f = head_field(h, FIELD_CONTENT_TYPE);
    struct span rest, type = f ? span_trim(span_split(f->value, ';', &rest)) : span_of(NULL, 0);
    struct span suffix = SPAN_LIT("+json");
    return span_eq_nocase(type, SPAN_LIT("application/json")) ||
           span_eq_nocase(type, SPAN_LIT("text/json")) ||
           (type.len > suffix.len &&
            span_eq_nocase(span_of(type.p + type.len - suffix.len, suffix.len), suffix));
}

/* --- tags --- */

struct tagging {
    const struct judge *j;
    struct judged *ret;
    const struct body_values *values;
    unsigned max;
    bool is_unread;   /* the answer has a body, but its values could not be read */
    bool is_too_many; /* for this template: the coarse tag stands for all */
    bool has_failed;
};

static void put_tag(struct tagging *t, struct span text)
{
    uint64_t tag = tag_of(text);
    if (tags_have(t->ret->tags, t->ret->tag_count, tag))
        return;
    if (t->ret->tag_count >= t->max) {
        t->has_failed = true;
        return;
    }
    t->ret->tags[t->ret->tag_count++] = tag;
    buf_add_span(&t->ret->tag_text, text);
    buf_add_char(&t->ret->tag_text, '\0');
}

static bool on_field_tag(void *arg, struct span tag)
{
    struct tagging *t = arg;
    put_tag(t, tag);
    return !t->has_failed;
}

static void on_template_text(void *arg, struct span text)
{
    struct tagging *t = arg;
    put_tag(t, text);
}

static void each_response(void *arg, const struct span *pointer,
                          void (*put)(void *put_arg, struct span value), void *put_arg)
{
    struct tagging *t = arg;
    if (t->is_unread || (t->values && !body_values_each(t->values, *pointer, put, put_arg)))
        t->is_too_many = true;
}

/* Values of the answer make tags up to a number; beyond it the coarse one alone says the same. */
static void add_template(struct tagging *t, const struct text_template *template)
{
    struct template_source source = {
        .request = t->j->request, .each_response = each_response, .each_arg = t};
    unsigned count = t->ret->tag_count;
    size_t text_len = t->ret->tag_text.len;
    bool had_failed = t->has_failed;
    t->is_too_many = false;
    if (template_fill(template, &source, on_template_text, t) < 0)
        t->is_too_many = true; /* or a value that no tag can hold */
    if (!t->is_too_many)
        return;
    t->ret->tag_count = count;
    t->ret->tag_text.len = text_len;
    t->has_failed = had_failed;
    put_tag(t, template->coarse);
}

/* False: more tags than an answer may have, or one that cannot be kept. */
static bool collect_tags(const struct judge *j, const struct body_values *values, bool is_unread,
                         struct judged *ret)
{
    struct tagging t = {.j = j,
                        .ret = ret,
                        .values = values,
                        .max = j->w->config->cache.tags_max,
                        .is_unread = is_unread};
    ret->tags = calloc(t.max > j->tags->count ? t.max : j->tags->count, sizeof(*ret->tags));
    if (!ret->tags || j->tags->is_full)
        return false;
    memcpy(ret->tags, j->tags->tag, j->tags->count * sizeof(*ret->tags));
    ret->tag_count = j->tags->count;
    buf_add(&ret->tag_text, j->tags->text, j->tags->text_len);
    if (!surrogate_tags(j->response, on_field_tag, &t))
        return false;
    for (unsigned i = 0; i < j->route->tag_count; i++)
        if (j->route->tags[i].has_response)
            add_template(&t, &j->route->tags[i]);
    return !t.has_failed && !ret->tag_text.failed;
}

/* --- may it be stored, and how long --- */

static bool holds(const struct cond *c, const struct body_values *values,
                  const struct head *response)
{
    struct cond_value v[COND_POINTERS_MAX];
    struct cond_facts facts = {.response = response, .values = v};
    body_values_for(values, c, v);
    return cond_holds(c, &facts);
}

/* <*ret_is_unread>: there is a body of which not all values are known. */
static enum store_verdict judge_body(const struct judge *j, struct body_values *values,
                                     bool *ret_is_unread)
{
    const struct field *encoding = head_field(j->response, FIELD_CONTENT_ENCODING);
    uint64_t len = evbuffer_get_length(j->body);
    *ret_is_unread = len > 0 && !is_json(j->response);
    if (!values || !is_json(j->response) || len == 0)
        return STORE_YES;
    enum err_code rc =
        body_values_read(values, j->body, encoding ? encoding->value : span_of(NULL, 0), len);
    *ret_is_unread = rc != ERR_OK;
    if (rc && !j->route->store_errors)
        return STORE_NO_JSON_INVALID;
    return body_values_tell_error(values) ? STORE_NO_JSON_ERROR : STORE_YES;
}

static enum store_verdict judge_rules(const struct judge *j, const struct body_values *values,
                                      struct judged *ret)
{
    const struct route *r = j->route;
    if (r->store_if && !holds(r->store_if, values, j->response))
        return STORE_NO_STORE_IF;
    for (unsigned i = 0; i < r->ttl_rule_count; i++) {
        if (!holds(r->ttl_rules[i].cond, values, j->response))
            continue;
        ret->lifetime_ms = r->ttl_rules[i].ttl_ms;
        return ret->lifetime_ms ? STORE_YES : STORE_NO_TTL_IF;
    }
    return STORE_YES;
}

/* Until the next of the route's times of day, and a little shorter by chance. */
static void limit_lifetime(const struct judge *j, struct judged *ret)
{
    const struct route *r = j->route;
    int64_t now = unix_now_ms();
    for (unsigned i = 0; i < r->until_count; i++) {
        int64_t until = wallclock_next_ms(r->until[i], now);
        if (until > now && (uint64_t)(until - now) < ret->lifetime_ms)
            ret->lifetime_ms = (uint64_t)(until - now);
    }
    if (r->jitter_percent) {
        uint64_t most = ret->lifetime_ms / 100 * r->jitter_percent;
        ret->lifetime_ms -= most ? worker_random(j->w) % most : 0;
    }
}

static void copy_values(const struct judge *j, struct judged *ret)
{
    if (!j->request_values)
        return;
    ret->value_count = j->request_values->value_count;
    memcpy(ret->value, j->request_values->value, sizeof(ret->value));
}

void judge_answer(const struct judge *j, struct judged *ret)
{
    enum { TAG_TEXTS_MAX = 1 << 20 };
    const struct body_plan *plan = j->w->shared->plans[j->route->index];
    struct body_values *values = plan ? body_values_new(plan) : NULL;
    *ret = (struct judged){.lifetime_ms = j->lifetime_ms};
    buf_init(&ret->tag_text, TAG_TEXTS_MAX);
    copy_values(j, ret);
    bool is_unread = true;
    ret->verdict = plan && !values ? STORE_NO_JSON_INVALID : judge_body(j, values, &is_unread);
    if (ret->verdict == STORE_YES)
        ret->verdict = judge_rules(j, values, ret);
    if (!collect_tags(j, values, is_unread, ret) && ret->verdict == STORE_YES)
        ret->verdict = STORE_NO_TAGS;
    limit_lifetime(j, ret);
    body_values_free(values);
}

void judged_fini(struct judged *j)
{
    free(j->tags);
    buf_fini(&j->tag_text);
}
