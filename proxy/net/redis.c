/* The server, as all links of all threads see it. What changes is small and rarely touched (an
 * address that MOVED has told, what the log has been told): one lock holds it. */
#include "redis-internal.h"

#include <larder/base/log.h>

#include <stdio.h>
#include <stdlib.h>

static void say_first(struct redis *r)
{
    const struct redis_config *c = r->config;
    if (c->socket.len)
        snprintf(r->where, sizeof(r->where), "%s", c->socket.p);
    else if (c->sentinel_count)
        snprintf(r->where, sizeof(r->where), "master %s", c->master.p);
    else if (c->server_count)
        address_format(&c->server[0], r->where, sizeof(r->where));
}

enum err_code redis_new(const struct redis_config *config, struct tls_report *report,
                        struct redis **ret, struct err *err)
{
    struct redis *r = calloc(1, sizeof(*r));
    if (!r)
        return err_set(err, ERR_NOMEM, "redis", "out of memory");
    r->config = config;
    enum err_code rc = config->tls ? tls_client_new(config->tls, report, &r->tls) : ERR_OK;
    if (rc) {
        free(r);
        return err_set(err, rc, "redis", "TLS to it cannot be set up");
    }
    pthread_mutex_init(&r->lock, NULL);
    say_first(r);
    *ret = r;
    return ERR_OK;
}

void redis_free(struct redis *r)
{
    if (!r)
        return;
    tls_free(r->tls);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

enum err_code redis_reload(struct redis *r, struct tls_report *report)
{
    return r->tls ? tls_reload(r->tls, report) : ERR_OK;
}

void redis_address_format(struct redis *r, struct buf *out)
{
    pthread_mutex_lock(&r->lock);
    buf_add_str(out, r->where);
    pthread_mutex_unlock(&r->lock);
}

const struct redis_figures *redis_figures(const struct redis *r)
{
    return &r->figures;
}

void redis_note_moved(struct redis *r, const struct address *to)
{
    pthread_mutex_lock(&r->lock);
    r->moved = *to;
    pthread_mutex_unlock(&r->lock);
}

void redis_note_master(struct redis *r, const struct address *to)
{
    redis_note_moved(r, to);
    atomic_fetch_add(&r->masters, 1);
}

void redis_forget_moved(struct redis *r, const struct address *to)
{
    pthread_mutex_lock(&r->lock);
    if (address_eq(&r->moved, to))
        r->moved = (struct address){0}; /* else another link has heard something newer */
    pthread_mutex_unlock(&r->lock);
}

bool redis_moved(struct redis *r, struct address *ret)
{
    pthread_mutex_lock(&r->lock);
    bool has = r->moved.host[0] != '\0';
    if (has)
        *ret = r->moved;
    pthread_mutex_unlock(&r->lock);
    return has;
}

void redis_tell_away(struct redis *r, enum redis_fault fault, const struct target *at,
                     const char *why)
{
    unsigned kind = fault + (at->kind == TARGET_SENTINEL ? FAULT_COUNT : 0);
    pthread_mutex_lock(&r->lock);
    bool is_news = !r->is_sentinel && !(r->told >> kind & 1);
    r->told |= UINT64_C(1) << kind;
    pthread_mutex_unlock(&r->lock);
    if (is_news)
        log_warn("redis %s: %s; %s", at->name, why,
                 fault == FAULT_MOVED ? "larder goes there"
                                      : "larder goes on without it, and tries again");
    else
        log_debug("redis %s: %s", at->name, why);
}

void redis_tell_up(struct redis *r, const char *where)
{
    bool is_whole = r->figures.up >= r->figures.links;
    pthread_mutex_lock(&r->lock);
    bool is_back = r->told != 0;
    bool is_news = is_whole && !r->is_sentinel && (is_back || !r->is_told_up);
    if (is_whole) {
        r->told = 0;
        r->is_told_up = true;
    }
    snprintf(r->where, sizeof(r->where), "%s", where);
    pthread_mutex_unlock(&r->lock);
    if (is_news)
        log_info("redis %s: %s", where, is_back ? "connected again" : "connected");
}
