/* What is said first, in one go: who we are, then two questions. ROLE, because a replica, or a
 * master that was, would answer with invalidations missing; PING, because a server that still loads
 * its data answers everything before it. */
#include "redis-internal.h"

#include <stdio.h>

/* What a server has said, as a log may have it. */
static void quote(struct span s, char *out, size_t room)
{
    size_t n = s.len < room - 1 ? s.len : room - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = s.p[i] >= ' ' && s.p[i] < 0x7f ? s.p[i] : '?';
    out[n] = '\0';
}

/* What a server that takes no connection says to the first command, whatever that is. */
static bool is_turned_away(struct redis_link *l, const struct redis_reply *r)
{
    struct span said = redis_reply_text(r);
    char text[100];
    if (!span_starts_with(said, SPAN_LIT("DENIED ")) &&
        !span_starts_with(said, SPAN_LIT("ERR max number of clients")))
        return false;
    quote(said, text, sizeof(text));
    link_close(l, FAULT_LOGIN, "it takes no connection: %s", text);
    return true;
}

/* Only the code of an error: a server that does not know AUTH repeats its arguments. */
static void on_auth(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct redis_link *l = arg;
    struct span rest;
    char code[24];
    if (result != REDIS_ERROR || is_turned_away(l, r))
        return;
    quote(span_split(redis_reply_text(r), ' ', &rest), code, sizeof(code));
    if (l->target.kind == TARGET_SENTINEL)
        link_close(l, FAULT_LOGIN,
                   "the sentinel refused AUTH (%s); \"sentinel_user\" and \"sentinel_password\" "
                   "must be those that it knows",
                   code);
    else
        link_close(l, FAULT_LOGIN,
                   "it refused AUTH (%s); \"user\" and \"password\" must be those that it knows",
                   code);
}

/* A convenience: refused is no matter. */
static void on_named(void *arg, enum redis_result result, const struct redis_reply *r)
{
    if (result == REDIS_ERROR)
        (void)is_turned_away(arg, r);
}

static void on_select(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct redis_link *l = arg;
    char text[100];
    if (result != REDIS_ERROR)
        return;
    quote(redis_reply_text(r), text, sizeof(text));
    link_close(l, FAULT_LOGIN, "it refused database %u: %s", l->redis->config->database, text);
}

static void refuse(struct redis_link *l, const struct redis_reply *r, const char *command)
{
    char text[100];
    quote(redis_reply_text(r), text, sizeof(text));
    if (span_starts_with(redis_reply_text(r), SPAN_LIT("LOADING")))
        link_close(l, FAULT_LOADING, "it is loading its data");
    else
        link_close(l, FAULT_LOGIN, "it refused %s: %s", command, text);
}

static void on_role(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct redis_link *l = arg;
    struct span role = redis_reply_text(redis_reply_at(r, 0));
    char word[24];
    if (result == REDIS_ERROR) {
        refuse(l, r, "ROLE");
    } else if (!span_eq(role, SPAN_LIT("master"))) {
        quote(role, word, sizeof(word));
        link_close(l, FAULT_REPLICA,
                   "its role is \"%s\"; only a master is used, because a replica's data may be old",
                   word);
    }
}

static void on_ready(void *arg, enum redis_result result, const struct redis_reply *r)
{
    if (result == REDIS_ERROR)
        refuse(arg, r, "PING");
    else
        link_on_up(arg);
}

bool master_parse(const struct redis_reply *r, struct address *ret)
{
    struct span host = redis_reply_text(redis_reply_at(r, 0));
    int64_t port = redis_reply_integer(redis_reply_at(r, 1));
    if (host.len == 0 || host.len >= sizeof(ret->host) || port <= 0 || port > UINT16_MAX ||
        memchr(host.p, '\0', host.len))
        return false;
    *ret = (struct address){.port = (uint16_t)port};
    memcpy(ret->host, host.p, host.len);
    return true;
}

static void on_master(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct redis_link *l = arg;
    struct address master;
    char text[100];
    if (result == REDIS_ERROR) {
        quote(redis_reply_text(r), text, sizeof(text));
        link_close(l, FAULT_SENTINEL, "the sentinel refused to say where the master is: %s", text);
    } else if (!master_parse(r, &master)) {
        link_close(l, FAULT_SENTINEL, "the sentinel knows no master \"%s\"",
                   l->redis->config->master.p);
    } else {
        link_go_to(l, &master);
    }
}

static bool say_auth(struct redis_link *l, struct span user, struct span password)
{
    struct span args[3] = {SPAN_LIT("AUTH")};
    unsigned n = 1;
    if (password.len == 0)
        return true;
    if (user.len)
        args[n++] = user;
    args[n++] = password;
    return link_say(l, args, n, 0, on_auth);
}

static bool greet_sentinel(struct redis_link *l)
{
    const struct redis_config *c = l->redis->config;
    struct span ask[] = {SPAN_LIT("SENTINEL"), SPAN_LIT("get-master-addr-by-name"), c->master};
    return say_auth(l, c->sentinel_user, c->sentinel_password) && link_say(l, ask, 3, 0, on_master);
}

bool link_greet(struct redis_link *l)
{
    const struct redis_config *c = l->redis->config;
    char number[12];
    snprintf(number, sizeof(number), "%u", c->database);
    struct span select[] = {SPAN_LIT("SELECT"), span_str(number)};
    struct span name[] = {SPAN_LIT("CLIENT"), SPAN_LIT("SETNAME"), span_str(l->name)};
    struct span role[] = {SPAN_LIT("ROLE")}, ping[] = {SPAN_LIT("PING")};
    if (l->target.kind == TARGET_SENTINEL)
        return greet_sentinel(l);
    return say_auth(l, c->user, c->password) &&
           (c->database == 0 || link_say(l, select, 2, 0, on_select)) &&
           link_say(l, name, 3, 0, on_named) &&
           (l->redis->is_sentinel || link_say(l, role, 1, 0, on_role)) &&
           link_say(l, ping, 1, 0, on_ready);
}
