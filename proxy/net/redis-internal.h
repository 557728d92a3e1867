/* redis-internal.h: what the Redis client's files share.
 *
 * redis.c          the server: figures, what the log is told, where MOVED has sent us
 * redis_find.c     where a link tries next: servers in turn, Sentinel's word, MOVED
 * redis_greet.c    what is said first on a connection, and what must be answered
 * redis_link.c     the life of a connection: connecting, losing, trying again, its one timer
 * redis_command.c  commands and their replies in order, deadlines, the breaker
 * redis_codec.c    RESP2
 * redis_watch.c    whether the sentinels have another master by now
 * redis_resolve.c  addresses of a host, without waiting for the name service
 */
#ifndef LARDER_NET_REDIS_INTERNAL_H
#define LARDER_NET_REDIS_INTERNAL_H

#include "redis_codec-internal.h"

#include <larder/base/buf.h>
#include <larder/base/hist.h>
#include <larder/base/monotime.h>
#include <larder/net/redis.h>

#include <pthread.h>

enum {
    REDIS_OUTPUT_MAX = 64 << 20, /* with so many bytes waiting nothing more is sent */
    REDIS_REPLY_MAX = 64 << 20,  /* and the config's max_object_bytes */
    REDIS_READ_PIECE = 16 << 10, /* the codec moves what it has not read yet */
    REDIS_READ_PIECES = 16,      /* in one turn of the loop */
    REDIS_BACKOFF_MIN_MS = 50,
    REDIS_BACKOFF_MAX_MS = 2000,
    REDIS_STEADY_MS = 1000,  /* up for so long: the next trouble is a new one */
    REDIS_BREAKER_LATE = 5,  /* in a row */
    REDIS_PROBE_MS = 1000,   /* between PINGs while the breaker is open */
    REDIS_OVERDUE_MS = 2000, /* the oldest command past its deadline, or 10 command_timeouts */
    REDIS_PING_GRACE_MS = 1000,
};

/* Why a link is away. The log is told of each once, until all are back; of sentinels apart. */
enum redis_fault {
    FAULT_NONE,
    FAULT_NAME,    /* its host has no address */
    FAULT_CONNECT, /* refused, unreachable */
    FAULT_TIMEOUT, /* no connection and greeting in time */
    FAULT_TLS,
    FAULT_ENDED,    /* the connection was closed or reset */
    FAULT_SILENT,   /* no reply for far too long */
    FAULT_PROTOCOL, /* what it said makes no sense */
    FAULT_LOGIN,    /* AUTH or SELECT refused */
    FAULT_LOADING,
    FAULT_REPLICA,  /* it is no master */
    FAULT_SENTINEL, /* one that does not know the master */
    FAULT_MOVED,
    FAULT_DROPPED, /* the link's owner said so */
    FAULT_MEMORY,
    FAULT_COUNT,
};

struct redis {
    const struct redis_config *config;
    struct tls *tls; /* NULL: plain */
    struct redis_figures figures;
    pthread_mutex_t lock; /* of all below */
    struct address moved; /* where MOVED, or a sentinel's news, has sent us; empty host: nowhere */
    char where[sizeof(struct address)]; /* the server last reached, or the first to try */
    uint64_t told;                      /* 1 << enum redis_fault; sentinels' above those */
    bool is_told_up;
    bool is_sentinel;         /* it is one itself: no master, and nobody's news */
    _Atomic unsigned masters; /* how often another master was told of; without the lock */
};

/* redis.c */
void redis_note_moved(struct redis *r, const struct address *to);
void redis_forget_moved(struct redis *r, const struct address *to);
bool redis_moved(struct redis *r, struct address *ret);
void redis_note_master(struct redis *r, const struct address *to); /* links elsewhere are lost */
/* Logs that a link is away, or that all are there: once for each change. */
struct target;
void redis_tell_away(struct redis *r, enum redis_fault fault, const struct target *at,
                     const char *why);
void redis_tell_up(struct redis *r, const char *where);

/* redis_resolve.c: the addresses of <a>, which <on_found> frees with freeaddrinfo(); NULL and a
 * reason: none. An address in digits is answered at once, within this call, and *ret is NULL; a
 * name by a thread of its own. False: no memory. */
struct resolve;
struct event_base;
struct addrinfo;
typedef void (*resolve_on_found)(void *arg, struct addrinfo *list, const char *why);
bool resolve_start(struct event_base *base, const struct address *a, resolve_on_found on_found,
                   void *arg, struct resolve **ret);
void resolve_cancel(struct resolve *r); /* on_found will not be called. NULL is fine */

/* A command that waits for its reply. */
struct slot {
    redis_on_reply on_reply; /* NULL: nobody wants to know (any more) */
    void *arg;
    uint64_t sent_us;
    mono_ms deadline; /* of its caller */
    mono_ms close_at; /* no reply by then: the connection is dead */
    bool is_own;      /* the link's: no deadline, no figures */
    bool is_told;     /* its caller has had REDIS_LATE */
    bool is_counted;  /* by the breaker */
};

enum link_state {
    LINK_AWAY,       /* waits to try again */
    LINK_RESOLVING,  /* a name */
    LINK_CONNECTING, /* TCP, TLS */
    LINK_GREETING,   /* the server has yet to agree; or a sentinel to answer */
    LINK_UP,
};

enum target_kind { TARGET_SERVER, TARGET_SOCKET, TARGET_SENTINEL, TARGET_MASTER, TARGET_MOVED };

struct target {
    enum target_kind kind;
    struct address address;                 /* of all but TARGET_SOCKET */
    char name[sizeof(struct address) + 16]; /* for people */
};

struct redis_link {
    struct redis *redis;
    struct event_base *base;
    const struct redis_link_ops *ops;
    void *arg;
    char *name;
    enum link_state state;
    unsigned depth; /* callbacks under way: it is freed when the last one has returned */
    bool is_dead;

    struct target target;
    unsigned masters; /* of struct redis, when the target was chosen */
    bool is_directed; /* the target is what a sentinel has just told */
    unsigned turn;    /* which server or sentinel is tried */
    unsigned tries;   /* since the last pause */
    uint64_t random;
    uint64_t backoff_ms;
    mono_ms up_since;

    struct resolve *resolve;
    struct addrinfo *addresses, *next_address; /* of the target; those not tried yet */
    struct bufferevent *bev;
    struct redis_codec *codec;

    struct event *timer;
    mono_ms armed; /* when it fires; 0: it does not */
    mono_ms due;   /* away: the next try. Connecting, greeting: the end of patience */

    struct slot *ring; /* slots head..tail, by number modulo its size */
    unsigned ring_size;
    uint64_t head, tail;
    mono_ms slots_due; /* no deadline passes before; 0: none is open */
    mono_ms heard;     /* when the server last said something */

    enum breaker_state breaker;
    unsigned late_in_row;
    mono_ms probe_at;    /* of an open breaker: when the next PING is sent, if none is waited for */
    mono_ms probe_asked; /* when the one that is waited for was; 0: none is */

    enum redis_fault drop_fault; /* not FAULT_NONE: to be closed in the loop's next turn */
    char drop_why[160];
};

/* redis_link.c */

/* Around everything that may call the link's owner. False: the link is gone. */
void link_enter(struct redis_link *l);
bool link_leave(struct redis_link *l);
/* Closes, tells the owner, and tries again later. The link lives on at least until link_leave(). */
void link_close(struct redis_link *l, enum redis_fault fault, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from the loop's next turn. */
void link_close_later(struct redis_link *l, enum redis_fault fault, const char *why);
void link_set_due(struct redis_link *l, mono_ms due);
/* Greeted. */
void link_on_up(struct redis_link *l);
/* The sentinel has said where the master is. */
void link_go_to(struct redis_link *l, const struct address *master);

/* redis_greet.c: writes what comes first. False: no memory. */
bool link_greet(struct redis_link *l);
/* {host, port}; false: it is none. */
bool master_parse(const struct redis_reply *r, struct address *ret);

/* redis_find.c */
void link_find_target(struct redis_link *l);
/* It is up, but the master is elsewhere by now. */
bool link_is_astray(struct redis_link *l);
/* The target was none. True: there is another to try before a pause. */
bool link_find_other(struct redis_link *l);
/* "MOVED 3999 127.0.0.1:6381": false: it does not say where. */
bool moved_parse(struct span text, const struct address *asked, struct address *ret);

/* redis_command.c */

/* A command of the link's own, without a deadline of its own; <close_ms>: no reply by then is the
 * end of the connection; 0: the greeting's patience says so. */
bool link_say(struct redis_link *l, const struct span *args, unsigned count, uint64_t close_ms,
              redis_on_reply on_reply);
void link_read(struct redis_link *l);
/* What has to be done by now, once a link is up; returns when to look again. */
mono_ms link_check(struct redis_link *l, mono_ms now);
/* Tells all whose commands are open. */
void link_lose_all(struct redis_link *l);
void link_close_breaker(struct redis_link *l);

#endif
