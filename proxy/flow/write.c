/* What an accepted write takes back, before its client gets the answer: who has written reads what
 * he wrote. The route's own rules, the groups that the answer names (RFC 9875), and the target,
 * Location and Content-Location (RFC 9111 section 4.4). A value that a rule names and the request
 * lacks widens the rule: more is taken back, never less. */
#include "flow-internal.h"

#include <larder/base/log.h>
#include <larder/flow/explain.h>
#include <larder/flow/purge.h>
#include <larder/http/surrogate.h>
#include <larder/http/uri.h>

struct writing {
    struct purge purge;
    const struct template_source *source;
    struct worker *w;
    const struct lookup *l;
    bool is_widened;
};

static void on_tag(void *arg, struct span text)
{
    struct writing *w = arg;
    purge_tag(&w->purge, text);
}

static void on_key(void *arg, struct span text)
{
    struct writing *w = arg;
    if (memchr(text.p, '*', text.len) || memchr(text.p, '?', text.len))
        purge_glob(&w->purge, text);
    else
        purge_key(&w->purge, text);
}

static void apply_tags(struct writing *w, const struct write_rules *rules)
{
    for (unsigned i = 0; i < rules->tag_count; i++) {
        const struct text_template *t = &rules->tags[i];
        if (template_fill(t, w->source, on_tag, w) > 0)
            continue;
        w->is_widened = true;
        purge_tag_prefix(&w->purge, t->pieces[0].literal);
    }
}

static void apply_keys(struct writing *w, const struct write_rules *rules)
{
    struct template_source escaped = *w->source;
    escaped.escape = true; /* as keys write values */
    for (unsigned i = 0; i < rules->key_count; i++) {
        if (template_fill(&rules->keys[i], &escaped, on_key, w) > 0)
            continue;
        w->is_widened = true;
        purge_glob(&w->purge, rules->keys[i].coarse);
    }
}

/* Values of a route's parameters, combination by combination. */
struct combining {
    struct writing *w;
    const struct write_route *rule;
    unsigned at, count, made;
    struct purge_value values[TEMPLATE_PARAMS_MAX];
    char blocks[TEMPLATE_PARAMS_MAX][1000];
};

static void combine(struct combining *c, unsigned at);

static void on_route_value(void *arg, struct span text)
{
    struct combining *c = arg;
    unsigned at = c->at, n = c->count;
    if (c->made > WRITE_VALUES_MAX)
        return;
    memcpy(c->blocks[n], text.p, text.len); /* template_fill() makes no longer ones */
    c->values[n] = (struct purge_value){.param = c->rule->params[at].param,
                                        .value = span_of(c->blocks[n], text.len)};
    c->count = n + 1;
    combine(c, at + 1);
    c->count = n;
    c->at = at;
}

static void combine(struct combining *c, unsigned at)
{
    if (at == c->rule->param_count) {
        const struct route *r = &c->w->w->config->routes[c->rule->route];
        if (++c->made > WRITE_VALUES_MAX)
            return;
        purge_route_values(&c->w->purge, r, c->values, c->count);
        return;
    }
    c->at = at;
    if (template_fill(&c->rule->params[at].value, c->w->source, on_route_value, c) > 0)
        return;
    c->w->is_widened = true; /* without it: all its values */
    combine(c, at + 1);
}

static void apply_routes(struct writing *w, const struct write_rules *rules)
{
    for (unsigned i = 0; i < rules->route_count; i++) {
        struct combining c;
        c.w = w;
        c.rule = &rules->routes[i];
        c.count = c.made = 0;
        combine(&c, 0);
        if (c.made <= WRITE_VALUES_MAX)
            continue;
        w->is_widened = true;
        purge_route(&w->purge, &w->w->config->routes[c.rule->route]);
    }
}

/* The path of a Location as the target's own reference (RFC 3986 section 5.2), or behind our own
 * origin; another's is none of ours. */
static bool own_path(const struct head *h, struct span location, struct buf *ret_path)
{
    struct span rest;
    location = span_split(span_split(location, '#', &rest), '?', &rest);
    if (!location.p || location.len == 0)
        return false;
    const char *slashes = memmem(location.p, location.len, "//", 2);
    bool has_authority = slashes && (slashes == location.p || slashes[-1] == ':');
    if (!has_authority && memchr(location.p, ':', location.len) && location.p[0] != '/')
        return false; /* mailto: and its like */
    if (has_authority) {
        struct span tail = span_of(slashes + 2, (size_t)(location.p + location.len - slashes) - 2);
        const char *slash = tail.len ? memchr(tail.p, '/', tail.len) : NULL;
        if (!slash || !span_eq_nocase(span_of(tail.p, (size_t)(slash - tail.p)), h->host))
            return false;
        location = span_of(slash, (size_t)(tail.p + tail.len - slash));
    }
    uri_path_resolve(h->path, location, ret_path);
    return !ret_path->failed;
}

/* The target as a GET would ask for it. Where the route says nothing, all query strings of its
 * path: a write to a collection changes its pages as well. Where it has rules, they say what else.
 */
static void apply_target(struct writing *w, const struct head *h)
{
    char block[8192];
    struct buf key;
    bool is_only = false;
    buf_init_fixed(&key, block, sizeof(block));
    enum err_code rc = ERR_OK;
    if (w->l->route->on_write)
        rc = explain_url_key(w->w->shared, h->target, &key, &is_only);
    if (rc == ERR_OK && is_only)
        purge_key(&w->purge, buf_span(&key));
    else if (rc != ERR_NOT_FOUND)
        purge_path(&w->purge, h->path); /* rather more than what was meant */
}

static void apply_rfc(struct writing *w, const struct head *h, const struct head *response)
{
    static const enum field_id fields[] = {FIELD_LOCATION, FIELD_CONTENT_LOCATION};
    char block[8192];
    struct buf path;
    apply_target(w, h);
    for (unsigned i = 0; i < array_len(fields); i++) {
        const struct field *f = head_field(response, fields[i]);
        buf_init_fixed(&path, block, sizeof(block));
        if (f && own_path(h, f->value, &path))
            purge_path(&w->purge, buf_span(&path));
    }
}

static bool on_group(void *arg, struct span group)
{
    struct writing *w = arg;
    purge_tag(&w->purge, group);
    return true;
}

static void count_write(struct writing *w)
{
    struct route_counters *c = &w->w->routes[w->l->route->index];
    count(&c->writes);
    count_add(&c->write_removed, w->purge.sum.matched);
    if (w->is_widened) {
        count(&c->write_widened);
        log_warn("route \"" SPAN_FMT "\": a write lacks a value that its on_write names; more than "
                 "it meant was taken back",
                 SPAN_ARG(w->l->route->name));
    }
}

struct tier_publication *write_apply(struct worker *worker, const struct write *write)
{
    const struct lookup *l = write->l;
    const struct head *h = write->request, *response = write->response;
    const struct write_rules *rules = l->route->on_write;
    bool is_accepted = response->status >= 200 && response->status < 400;
    if (!is_accepted || method_is_safe(h->method) ||
        (l->route->cached && !l->route->fresh.is_http && !rules))
        return NULL; /* a cached POST is a question, not a write */
    struct route_request req = lookup_request(worker->shared, l, h, write->body, write->json);
    struct template_source source = {.request = &req};
    struct writing w = {.source = &source, .w = worker, .l = l};
    purge_init(&w.purge, worker->shared);
    w.purge.is_soft = rules && rules->is_soft;
    if (rules) {
        apply_tags(&w, rules);
        apply_keys(&w, rules);
        apply_routes(&w, rules);
    }
    (void)surrogate_invalidated_groups(response, on_group, &w); /* what it names until it ends */
    apply_rfc(&w, h, response);
    purge_finish(&w.purge);
    count_write(&w);
    return purge_publish(&w.purge, loop_mailbox(worker->loop), false, write->on_done, write->arg);
}
