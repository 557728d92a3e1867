/* The scripts as text, and how they are called: by their SHA-1, which Redis knows them by. Those
 * that invalidate may run where Redis is out of memory ("allow-oom", since 7.0): they must. An
 * older server does not know that word; then they are loaded without it. The same line keeps reads
 * off a server that has become a replica: what it knows of invalidations may be old. */
#include <larder/tier/script.h>

#include <larder/base/hash.h>
#include <larder/base/log.h>
#include <larder/base/monotime.h>

#include <pthread.h>
#include <stdlib.h>

#define ALLOW_OOM "#!lua flags=allow-oom\n"

/* Frees what no single table may outgrow: the oldest tenth goes, and with it the power to judge
 * what is older. */
#define TRIM                                                                                       \
    "local function trim(key, max, boot)\n"                                                        \
    "  if redis.call('ZCARD', key) <= max then return end\n"                                       \
    "  local n = math.floor(max / 10)\n"                                                           \
    "  local last = redis.call('ZRANGE', key, n, n, 'WITHSCORES')\n"                               \
    "  redis.call('ZREMRANGEBYRANK', key, 0, n)\n"                                                 \
    "  local floor = tonumber(redis.call('HGET', boot, 'floor'))\n"                                \
    "  if tonumber(last[2]) > floor then redis.call('HSET', boot, 'floor', last[2]) end\n"         \
    "end\n"
/* Each table ends with a member of our own, ''. Where that is not there the table was evicted or
 * deleted, and what it told of cannot be known any more: all up to now counts as invalidated. */
#define WHOLE                                                                                      \
    "local function whole(boot, ep, walks)\n"                                                      \
    "  if redis.call('ZMSCORE', ep, '')[1] and redis.call('ZMSCORE', walks, '')[1] then\n"         \
    "    return true\n"                                                                            \
    "  end\n"                                                                                      \
    "  local r = redis.pcall('HSET', boot, 'floor', redis.call('HGET', boot, 'seq'))\n"            \
    "  if type(r) == 'table' and r.err then return false end\n"                                    \
    "  redis.pcall('ZADD', ep, '+inf', '')\n"                                                      \
    "  redis.pcall('ZADD', walks, '+inf', '')\n"                                                   \
    "  return false\n"                                                                             \
    "end\n"
#define CHECK_GENERATION                                                                           \
    "if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[1] then\n"                                      \
    "  return redis.error_reply('GENERATION another one')\n"                                       \
    "end\n"
#define NOTE                                                                                       \
    "local function note(boot, log, max, who, kind, message)\n"                                    \
    "  local n = redis.call('HINCRBY', boot, 'seq', 1)\n"                                          \
    "  redis.call('XADD', log, 'MAXLEN', '~', max, string.format('%.0f-0', n),\n"                  \
    "             'i', who, 't', kind, 'm', message)\n"                                            \
    "  return n\n"                                                                                 \
    "end\n"

static const struct {
    const char *text;
    bool is_allowed_oom;
} scripts[SCRIPT_COUNT] = {
    /* A server that has been started anew, or another one, may have lost writes; so has one whose
       last number is lower than what has been read there, or somebody else wrote to the log. */
    [SCRIPT_JOIN] = {WHOLE "local info = redis.call('INFO', 'server')\n"
                           "local replication = redis.call('INFO', 'replication')\n"
                           "local run = (string.match(info, 'run_id:(%x+)') or '?') .. ':' ..\n"
                           "  (string.match(replication, 'master_replid:(%x+)') or '?')\n"
                           "local b = redis.call('HMGET', KEYS[1], 'gen', 'run', 'seq')\n"
                           "local seq = tonumber(b[3])\n"
                           "if not b[1] or b[2] ~= run or not seq or\n"
                           "   b[1] == ARGV[2] and seq < tonumber(ARGV[3]) then\n"
                           "  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4])\n"
                           "  redis.call('HSET', KEYS[1], 'gen', ARGV[1], 'run', run, 'seq', 0,\n"
                           "             'floor', 0)\n"
                           "  b[1], seq = ARGV[1], 0\n"
                           "end\n"
                           "whole(KEYS[1], KEYS[2], KEYS[3])\n"
                           "return {b[1], seq}\n",
                     true},
    [SCRIPT_PUBLISH] = {CHECK_GENERATION TRIM NOTE WHOLE
                        "whole(KEYS[1], KEYS[2], KEYS[3])\n"
                        "local n\n"
                        "for i = 5, #ARGV, 3 do\n"
                        "  n = note(KEYS[1], KEYS[4], ARGV[3], ARGV[2], ARGV[i], ARGV[i + 1])\n"
                        "  local tags = ARGV[i + 2]\n"
                        "  for at = 1, #tags, 8 do\n"
                        "    redis.call('ZADD', KEYS[2], n, string.sub(tags, at, at + 7))\n"
                        "  end\n"
                        "  if #tags == 0 then redis.call('ZADD', KEYS[3], n, ARGV[i + 1]) end\n"
                        "end\n"
                        "trim(KEYS[2], tonumber(ARGV[4]), KEYS[1])\n"
                        "trim(KEYS[3], 1000, KEYS[1])\n"
                        "local r = redis.call('ZRANGE', KEYS[5], 0, 63)\n"
                        "table.insert(r, 1, n)\n"
                        "return r\n",
                        true},
    [SCRIPT_BEAT] = {"local t = redis.call('TIME')\n"
                     "local ms = t[1] * 1000 + math.floor(t[2] / 1000)\n"
                     "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms - ARGV[2])\n"
                     "redis.call('ZREMRANGEBYSCORE', KEYS[1], ms + ARGV[2], '+inf')\n"
                     "redis.call('ZADD', KEYS[1], ms, ARGV[1])\n"
                     "return redis.call('ZRANGE', KEYS[1], 0, 63)\n",
                     true},
    [SCRIPT_LEAVE] = {"return redis.call('ZREM', KEYS[1], ARGV[1])\n", true},
    [SCRIPT_NOTE] = {CHECK_GENERATION NOTE
                     "return note(KEYS[1], KEYS[2], ARGV[3], ARGV[2], ARGV[4], ARGV[5])\n",
                     true},
    [SCRIPT_GET] = {WHOLE "local b = redis.call('HMGET', KEYS[1], 'gen', 'floor')\n"
                          "if b[1] ~= ARGV[1] then return {'generation'} end\n"
                          "local v = ARGV[4] ~= 'lease' and redis.call('GET', KEYS[4])\n"
                          "local why = 'none'\n"
                          "if v then\n"
                          "  local count\n"
                          "  if string.sub(v, 1, 4) == 'LRD1' and #v >= 30 then\n"
                          "    count = struct.unpack('>I2', v, 29)\n"
                          "  end\n"
                          "  if not count or #v < 30 + 8 * count then\n"
                          "    why = 'foreign'\n"
                          "  elseif string.sub(v, 5, 20) ~= b[1] or\n"
                          "         not whole(KEYS[1], KEYS[2], KEYS[3]) then\n"
                          "    why = 'outdated'\n"
                          "  else\n"
                          "    local began = struct.unpack('>I8', v, 21)\n"
                          "    local alive = began >= tonumber(b[2])\n"
                          "    for from = 0, count - 1, 1000 do\n"
                          "      local tags = {}\n"
                          "      for i = from, math.min(from + 999, count - 1) do\n"
                          "        tags[#tags + 1] = string.sub(v, 31 + 8 * i, 38 + 8 * i)\n"
                          "      end\n"
                          "      local n = redis.call('ZMSCORE', KEYS[2], unpack(tags))\n"
                          "      for i = 1, #tags do\n"
                          "        if n[i] and tonumber(n[i]) > began then alive = false end\n"
                          "      end\n"
                          "    end\n"
                          "    local walks = redis.call('ZRANGEBYSCORE', KEYS[3],\n"
                          "      string.format('(%.0f', began), '(+inf', 'LIMIT', 0, 101)\n"
                          "    if alive and #walks <= 100 then\n"
                          "      local r = {'hit', v, redis.call('PTTL', KEYS[4])}\n"
                          "      for i = 1, #walks do r[3 + i] = walks[i] end\n"
                          "      return r\n"
                          "    end\n"
                          "    why = 'outdated'\n"
                          "  end\n"
                          "end\n"
                          "if ARGV[2] == '' then return {why, ''} end\n"
                          "if redis.call('HSETNX', KEYS[5], 't', ARGV[2]) == 1 then\n"
                          "  redis.call('PEXPIRE', KEYS[5], ARGV[3])\n"
                          "  return {why, 'lead'}\n"
                          "end\n"
                          "redis.call('HSET', KEYS[5], 'w', 1)\n"
                          "return {why, 'wait'}\n",
                    true},
    [SCRIPT_PUT] = {CHECK_GENERATION NOTE
                    "local old = redis.call('PTTL', KEYS[2])\n"
                    "redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])\n"
                    "if ARGV[4] ~= '' then\n"
                    "  local l = redis.call('HMGET', KEYS[3], 't', 'w')\n"
                    "  if l[1] == ARGV[4] then\n"
                    "    redis.call('UNLINK', KEYS[3])\n"
                    "    if l[2] then note(KEYS[1], KEYS[4], ARGV[6], ARGV[5], 'f', ARGV[7]) end\n"
                    "  end\n"
                    "end\n"
                    "return old\n",
                    false},
    [SCRIPT_RELEASE] = {CHECK_GENERATION NOTE
                        "local l = redis.call('HMGET', KEYS[2], 't', 'w')\n"
                        "if l[1] ~= ARGV[2] then return 0 end\n"
                        "redis.call('UNLINK', KEYS[2])\n"
                        "if l[2] then note(KEYS[1], KEYS[3], ARGV[4], ARGV[3], 'r', ARGV[5]) end\n"
                        "return 1\n",
                        true},
    /* As proxy/cache/quota_limit.c counts. What is refused is written, too (its life), so that a
       server that has become a replica says so. */
    [SCRIPT_QUOTA] =
        {"local t = redis.call('TIME')\n"
         "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
         "local at, open, all = 1, true, {}\n"
         "local function look(count, ms, burst, s, a, b)\n"
         "  if s > now then s = now end\n"
         "  local age = now - s\n"
         "  if burst > 0 then\n"
         "    a = math.max(0, a - age * count)\n"
         "    return now, a, 0, a + ms > burst * ms, burst * ms / count\n"
         "  end\n"
         "  if age >= 2 * ms then s, a, b = now, 0, 0\n"
         "  elseif age >= ms then s, a, b = s + ms, 0, a end\n"
         "  local used = a + math.floor(b * (ms - (now - s)) / ms)\n"
         "  return s, a, b, used >= count, 2 * ms\n"
         "end\n"
         "for k = 1, #KEYS do\n"
         "  local n = tonumber(ARGV[at + 1])\n"
         "  local c = {dry = ARGV[at] == '1', over = false, life = 1000}\n"
         "  local v = redis.call('GET', KEYS[k])\n"
         "  at = at + 2\n"
         "  for i = 1, n do\n"
         "    local l, life, over = {now, 0, 0}, 0, false\n"
         "    local count, ms = tonumber(ARGV[at]), tonumber(ARGV[at + 1])\n"
         "    local burst = tonumber(ARGV[at + 2])\n"
         "    at = at + 3\n"
         "    if v and #v == 24 * n then\n"
         "      l = {struct.unpack('>ddd', v, 24 * i - 23)}\n"
         "    end\n"
         "    l[1], l[2], l[3], over, life = look(count, ms, burst, l[1], l[2], l[3])\n"
         "    l.step = burst > 0 and ms or 1\n"
         "    c.over = c.over or over\n"
         "    c.life = math.max(c.life, math.ceil(life))\n"
         "    c[i] = l\n"
         "  end\n"
         "  open = open and (c.dry or not c.over)\n"
         "  all[k] = c\n"
         "end\n"
         "local r = {}\n"
         "for k = 1, #KEYS do\n"
         "  local c, v = all[k], ''\n"
         "  local counts = open and not c.over\n"
         "  r[#r + 1] = c.over and 1 or 0\n"
         "  for i = 1, #c do\n"
         "    local l = c[i]\n"
         "    if counts then l[2] = l[2] + l.step end\n"
         "    r[#r + 1], r[#r + 2], r[#r + 3] = now - l[1], l[2], l[3]\n"
         "    v = v .. struct.pack('>ddd', l[1], l[2], l[3])\n"
         "  end\n"
         "  local life = string.format('%.0f', c.life)\n"
         "  if counts then redis.call('SET', KEYS[k], v, 'PX', life)\n"
         "  else redis.call('PEXPIRE', KEYS[k], life) end\n"
         "end\n"
         "return r\n",
         false},
};

enum { QUIET_MS = 10000 };

/* Does the server know "allow-oom"? One answer for all links: they speak to one server. */
static _Atomic bool is_plain;

static void text_of(enum script s, bool plain, struct buf *out)
{
    if (scripts[s].is_allowed_oom && !plain)
        buf_add_str(out, ALLOW_OOM);
    buf_add_str(out, scripts[s].text);
}

static char shas[2][SCRIPT_COUNT][40]; /* with "allow-oom", and plain */

static void make_shas(void)
{
    for (unsigned plain = 0; plain < 2; plain++) {
        for (unsigned i = 0; i < SCRIPT_COUNT; i++) {
            char block[8192];
            struct buf text;
            uint8_t digest[20];
            buf_init_fixed(&text, block, sizeof(block));
            text_of((enum script)i, plain, &text);
            sha1_of(text.p, text.len, digest);
            hex_format(digest, sizeof(digest), shas[plain][i]);
        }
    }
}

static struct span sha_of(enum script s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_shas);
    return span_of(shas[atomic_load(&is_plain)][s], 40);
}

static void on_loaded(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct redis_link *l = arg;
    if (result != REDIS_ERROR || atomic_load(&is_plain))
        return;
    struct span said = redis_reply_text(r);
    if (!said.len || !memmem(said.p, said.len, "compil", 6)) {
        static _Atomic mono_ms told; /* by whichever link */
        mono_ms now = mono_now_ms();
        if (now - atomic_exchange(&told, now) > QUIET_MS)
            log_warn("redis: its scripts cannot be loaded: " SPAN_FMT, SPAN_ARG(said));
        return;
    }
    atomic_store(&is_plain, true);
    script_load_all(l);
}

void script_load_all(struct redis_link *l)
{
    for (unsigned i = 0; i < SCRIPT_COUNT; i++) {
        char block[8192];
        struct buf text;
        buf_init_fixed(&text, block, sizeof(block));
        text_of((enum script)i, atomic_load(&is_plain), &text);
        struct span args[] = {SPAN_LIT("SCRIPT"), SPAN_LIT("LOAD"), buf_span(&text)};
        struct redis_command c = {
            .args = args, .count = 3, .timeout_ms = 1000, .on_reply = on_loaded, .arg = l};
        if (!redis_send(l, &c))
            return; /* its on_up comes again */
    }
}

struct running {
    struct redis_link *link;
    redis_on_reply on_reply;
    void *arg;
};

static void on_reply(void *arg, enum redis_result result, const struct redis_reply *r)
{
    struct running *run = arg;
    if (result == REDIS_ERROR && span_starts_with(redis_reply_text(r), SPAN_LIT("NOSCRIPT")))
        script_load_all(run->link);
    if (run->on_reply)
        run->on_reply(run->arg, result, r);
    free(run);
}

bool script_send(struct redis_link *l, const struct script_call *c)
{
    struct span args[SCRIPT_ARGS_MAX];
    char number[8];
    struct buf keys;
    unsigned n = 0;
    struct running *run = malloc(sizeof(*run));
    if (!run || c->key_count + c->arg_count + 3 > SCRIPT_ARGS_MAX) {
        free(run);
        return false;
    }
    *run = (struct running){.link = l, .on_reply = c->on_reply, .arg = c->arg};
    buf_init_fixed(&keys, number, sizeof(number));
    buf_add_u64(&keys, c->key_count);
    args[n++] = SPAN_LIT("EVALSHA");
    args[n++] = sha_of(c->script);
    args[n++] = buf_span(&keys);
    for (unsigned i = 0; i < c->key_count; i++)
        args[n++] = c->keys[i];
    for (unsigned i = 0; i < c->arg_count; i++)
        args[n++] = c->args[i];
    struct redis_command command = {
        .args = args, .count = n, .timeout_ms = c->timeout_ms, .on_reply = on_reply, .arg = run};
    if (redis_send(l, &command))
        return true;
    free(run);
    return false;
}
