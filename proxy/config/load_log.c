/* Which lines go where, and the operator's own words in them. */
#include "config-internal.h"

#include <stddef.h>

#define AT(field) offsetof(struct config, log.field)
#define STREAM "\"stdout\", \"stderr\", \"off\" or a file's path, which SIGUSR1 opens anew"

enum { WORDS_MAX = 512 };

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
_Static_assert(LOG_LEVEL_ERROR == 0 && LOG_LEVEL_DEBUG == 3, "the words are in the enum's order");
_Static_assert(sizeof(enum log_level) == sizeof(unsigned), "a MEMBER_CHOICE is an unsigned");

/* Only the key can stand in them, and once: a line of the log has its limits. */
static void check_words(struct reading *r, const struct json *j)
{
    struct quoted q;
    if (j->type != JSON_STRING || !j->text.p)
        return; /* said already */
    const char *at = memmem(j->text.p, j->text.len, "${", 2);
    struct span rest = span_of(at, at ? (size_t)(j->text.p + j->text.len - at) : 0);
    bool has_other = at && (!span_starts_with(rest, SPAN_LIT("${key}")) ||
                            memmem(rest.p + 2, rest.len - 2, "${", 2));
    if (has_other)
        reading_fail(r, j, "\"%s\": of a request only ${key} can be told, once",
                     quote(j->text, &q));
    else if (j->text.len > WORDS_MAX)
        reading_fail(r, j, "over %d bytes of words; write fewer", WORDS_MAX);
}

static void read_words(struct reading *r, const struct json *j, void *into)
{
    if (!reading_members(r, j, &object_log_words, into))
        return;
    for (const struct json *c = j->first; c; c = c->next)
        check_words(r, c);
}

static const struct member word_members[] = {
    {.name = "hit",
     .type = MEMBER_TEXT,
     .offset = AT(words[LOG_WORD_HIT]),
     .doc = "answered from the cache; ${key} is the readable key"},
    {.name = "stale",
     .type = MEMBER_TEXT,
     .offset = AT(words[LOG_WORD_STALE]),
     .doc = "answered from the cache, stale; default: as a hit"},
    {.name = "miss",
     .type = MEMBER_TEXT,
     .offset = AT(words[LOG_WORD_MISS]),
     .doc = "fetched from the app"},
    {.name = "coalesced",
     .type = MEMBER_TEXT,
     .offset = AT(words[LOG_WORD_COALESCED]),
     .doc = "answered by another request's fetch"},
    {.name = "bypass",
     .type = MEMBER_TEXT,
     .offset = AT(words[LOG_WORD_BYPASS]),
     .doc = "passed, and not looked up"},
    {.name = "redis_hit",
     .type = MEMBER_TEXT,
     .offset = AT(words[LOG_WORD_REDIS_HIT]),
     .doc = "answered from Redis; default: as a hit"},
    {.name = "store",
     .type = MEMBER_TEXT,
     .offset = AT(words[LOG_WORD_STORE]),
     .doc = "stored: behind the words of the miss"},
};
const struct object object_log_words = OBJECT("words", word_members);

static const struct member members[] = {
    {.name = "level",
     .type = MEMBER_CHOICE,
     .offset = AT(level),
     .words = levels,
     .fallback = "info",
     .doc = "the least important of larder's messages that are written"},
    {.name = "error",
     .type = MEMBER_TEXT,
     .offset = AT(error),
     .fallback = "stderr",
     .doc = "larder's messages: " STREAM},
    {.name = "access",
     .type = MEMBER_TEXT,
     .offset = AT(access),
     .fallback = "stdout",
     .doc = "one line for each request: " STREAM},
    {.name = "performance",
     .type = MEMBER_TEXT,
     .offset = AT(performance),
     .fallback = "off",
     .doc = "requests, hits and latencies of each route, now and then: " STREAM},
    {.name = "performance_interval",
     .type = MEMBER_DURATION,
     .offset = AT(performance_interval_ms),
     .min = 1000,
     .fallback = "1m",
     .doc = "how often; and once more at the stop"},
    {.name = "security",
     .type = MEMBER_TEXT,
     .offset = AT(security),
     .fallback = "stderr",
     .doc = "refused heads, rate limits, denied control calls, and those that change "
            "something: " STREAM},
    {.name = "words",
     .type = MEMBER_OWN,
     .read = read_words,
     .schema = "\"$ref\": \"#/definitions/log_words\"",
     .doc = "your own words for what became of a request: the access line's \"message\""},
};
const struct object object_log = OBJECT("log", members);

void load_log(struct reading *r, const struct json *j, void *config)
{
    reading_members(r, j, &object_log, config);
}
