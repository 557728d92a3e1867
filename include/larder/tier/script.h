/* script.h: what Redis does for larder in one step, as Lua scripts, and the names of its keys.
 *
 * All keys begin with "{larder:PREFIX}:", one hash tag, so that a cluster keeps them together:
 *
 *     boot   hash    gen (16 bytes), run (the server's run_id and master_replid), seq (the last
 * number), floor ep     zset    tag (8 bytes) -> number of the last invalidation that named it
 *     walks  zset    message -> its number: invalidations that no single tag tells of; both have a
 *                    member "" as well, by which it is seen that they are there
 *     log    stream  NUMBER-0 -> i: instance, t: type, m: message; numbers without a gap
 *     live   zset    instance -> when it was last heard of, in the server's milliseconds
 *     q:HEX  string  what a client has used of its rate limits: of each three doubles (quotas.c)
 *     o:HEX  string  a value (value.h)           l:HEX  hash  t: token, w: somebody waits
 *
 * A generation is one life of one server: scripts that are given another than boot's do nothing,
 * and say so. What is older than <floor> cannot be judged any more, and is as good as invalidated.
 * Thread: each call in its link's. Source: DESIGN section 6;
 * https://redis.io/docs/manual/programmability
 */
#ifndef LARDER_TIER_SCRIPT_H
#define LARDER_TIER_SCRIPT_H

#include <larder/net/redis.h>

enum script {
    SCRIPT_JOIN,    /* boot ep walks log live | new generation, the one that is known and the last
                       number read in it -> {generation, seq} */
    SCRIPT_PUBLISH, /* boot ep walks log live | gen, instance, log max, tag max, then type and
                       message, and tags ("" where it is no such) of each -> {seq, instances...} */
    SCRIPT_BEAT,    /* live | instance, ms that one is remembered -> {instances...} */
    SCRIPT_LEAVE,   /* live | instance */
    SCRIPT_NOTE,    /* boot log | gen, instance, log max, type, message -> seq */
    SCRIPT_GET,     /* boot ep walks object lease | gen, token or "", lease ms, "lease" (whatever is
                       there is not good enough) or ""
                       -> {"hit", value, ms left, walks...}; {"none" or "outdated" or "foreign",
                       "lead" or "wait" or ""}; {"generation"} */
    SCRIPT_PUT,     /* boot object lease log | gen, life ms, value, token or "", instance, log max,
                       object's name -> ms that the one in its place had left; -2: there was none */
    SCRIPT_RELEASE, /* boot lease log | gen, token, instance, log max, object's name */
    SCRIPT_QUOTA,   /* a name for each client | of each: "1" (dry) or "0", how many limits, and of
                       each of these count, window in ms, burst (0: a window) -> of each client 1
                       (over) or 0, and of each limit how many ms ago its state was so, and that: a
                       bucket's level and 0, or the window's number and the one before */
    SCRIPT_COUNT
};

/* Types of what stands in the log: "t" of an entry. */
#define LOG_TAGS "t"    /* an invalidation by tags */
#define LOG_WALK "w"    /* one that takes a look at each answer, or names an intersection */
#define LOG_FILL "f"    /* m: a lease's object has been stored */
#define LOG_RELEASE "r" /* m: ... and will not be */
#define LOG_ACK "a"     /* m: the number that this instance has applied, on wish of its publisher */

struct script_call {
    enum script script;
    const struct span *keys, *args;
    unsigned key_count, arg_count;
    uint64_t timeout_ms; /* 0: the config's */
    redis_on_reply on_reply;
    void *arg;
};
enum { SCRIPT_ARGS_MAX = 600 };

/* Makes the scripts known to the server; in on_up of each link, and after a NOSCRIPT. */
void script_load_all(struct redis_link *l);
/* As redis_send(). A REDIS_ERROR "NOSCRIPT" has been seen to: the next call will find them. */
bool script_send(struct redis_link *l, const struct script_call *c);

#endif
