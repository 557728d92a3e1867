/* redis.h: a Redis server as larder speaks to it: connections that are kept open, commands that are
 * pipelined, each with a deadline.
 *
 * struct redis is the server as the config names it, or as Sentinel or MOVED have last said where
 * it is; struct redis_link is one connection to it in one loop. A link connects by itself, says who
 * it is (AUTH, SELECT, CLIENT SETNAME), asks whether this is a master and ready (ROLE, PING), and
 * connects anew with backoff and jitter when it has lost its server. A replica is refused. A
 * breaker keeps a server that does not answer in time out of the way: after five late replies in a
 * row nothing is sent but one PING a second, until one is answered in time. What has gone wrong is
 * logged here, once for each change and not for each try.
 * Thread   redis_new, redis_free: main; a link: its loop's own; figures are read by any
 * Memory   a link is freed before its struct redis and its loop
 * Source   RESP2: https://redis.io/docs/reference/protocol-spec; hiredis is used as its codec
 */
#ifndef LARDER_NET_REDIS_H
#define LARDER_NET_REDIS_H

#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/config/config.h>
#include <larder/net/tls.h>
#include <stdatomic.h>

struct loop;
struct redis;
struct redis_link;
struct redis_reply; /* valid until the callback that got it returns */

/* ERR_CONFIG and ERR_NOMEM; the report tells what is wrong with files of TLS. Connects to nothing:
 * a server that is away is no error. A Unix socket is spoken to without TLS. <config> outlives it.
 */
must_check enum err_code redis_new(const struct redis_config *config, struct tls_report *report,
                                   struct redis **ret, struct err *err);
void redis_free(struct redis *r); /* NULL is fine */
/* Reads the files of TLS anew, for connections to come. */
must_check enum err_code redis_reload(struct redis *r, struct tls_report *report);
/* Where it is now: "127.0.0.1:6379", "/run/redis.sock"; for people. Any thread. */
void redis_address_format(struct redis *r, struct buf *out);

enum redis_result {
    REDIS_OK,    /* the reply is there, and is no error */
    REDIS_ERROR, /* the server's error; its text begins with a code: "OOM ...", "NOSCRIPT ..." */
    REDIS_LATE,  /* no reply within the deadline; it may still be carried out */
    REDIS_LOST,  /* the connection ended before the reply; it may have been carried out */
};
typedef void (*redis_on_reply)(void *arg, enum redis_result result, const struct redis_reply *r);

struct redis_command {
    const struct span *args; /* the command's name first; binary-safe; copied */
    unsigned count;
    /* 0: the config's command_timeout. A longer one tells of a command that may block, or whose
     * sender is patient: it does not count for the breaker. */
    uint64_t timeout_ms;
    /* Called exactly once, never before redis_send() has returned. NULL: nobody wants to know. */
    redis_on_reply on_reply;
    void *arg;
};
/* False: not connected, or the breaker is open, or too much waits to be sent, or there is no
 * memory: nothing was sent, and on_reply is not called. on_reply may do anything to the link, free
 * it too.
 *
 * A reply that comes after REDIS_LATE is dropped. One that stays away for the longer of 2 s and ten
 * command_timeouts after its deadline ends the connection. Errors that tell of another server
 * (MOVED, READONLY, LOADING) are given to on_reply, and then end it, too. */
bool redis_send(struct redis_link *l, const struct redis_command *c);

enum redis_type { REDIS_NIL, REDIS_TEXT, REDIS_INTEGER, REDIS_ARRAY };
/* All take NULL, and what is of another type: REDIS_NIL, an empty span, 0, NULL. */
enum redis_type redis_reply_type(const struct redis_reply *r);
struct span redis_reply_text(const struct redis_reply *r); /* of an error, too */
int64_t redis_reply_integer(const struct redis_reply *r);  /* of a text of digits, too */
unsigned redis_reply_count(const struct redis_reply *r);
const struct redis_reply *redis_reply_at(const struct redis_reply *r, unsigned i);

struct redis_link_ops {
    void (*on_up)(void *arg);                    /* greeted: commands may be sent; NULL: nothing */
    void (*on_down)(void *arg, const char *why); /* after all commands had their REDIS_LOST */
};
/* <name>: of this connection, for CLIENT SETNAME: "larder-1f3a-worker0". It begins to connect in
 * the loop's next turn. NULL: no memory. */
struct redis_link *redis_link_new(struct loop *loop, struct redis *r, const char *name,
                                  const struct redis_link_ops *ops, void *arg);
/* What is under way gets REDIS_LOST before it returns; on_down is not called. NULL is fine. */
void redis_link_free(struct redis_link *l);
bool redis_link_is_up(const struct redis_link *l); /* connected and greeted, breaker closed */
/* Closes the connection, and connects anew: the server is not, or no more, what it should be.
 * Nothing can be sent from here on; REDIS_LOST and on_down come in the loop's next turn. */
void redis_link_drop(struct redis_link *l, const char *why);

/* Asks the sentinels each <every_ms> where the master is; links of <r> that are elsewhere than
 * where it has gone are lost, and come up there. In <loop>'s thread, freed before <r>. NULL: no
 * memory. */
struct redis_watch;
struct redis_watch *redis_watch_new(struct loop *loop, struct redis *r, uint64_t every_ms);
void redis_watch_free(struct redis_watch *w); /* NULL is fine */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN };
/* Of all links of <r> together, since the start. Written by their threads, read by any. */
struct redis_figures {
    _Atomic uint64_t links, up; /* now: links there are, links that are connected */
    _Atomic uint64_t commands, errors, late, lost; /* by result; commands: sent */
    _Atomic uint64_t refused;                      /* not sent: away, or the breaker was open */
    _Atomic uint64_t connects, connect_failures; /* tries; those that ended before it was greeted */
    _Atomic uint64_t breakers_open;              /* now: links whose breaker is open */
    _Atomic uint64_t breaker_opened;             /* how often one opened */
};
const struct redis_figures *redis_figures(const struct redis *r);

#endif
