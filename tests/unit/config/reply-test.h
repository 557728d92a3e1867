/* reply-test.h: one template out of a config, and values to fill it with. */
#ifndef LARDER_REPLY_TEST_H
#define LARDER_REPLY_TEST_H

#include "config-test.h"

#include <larder/config/alias.h>

/* What the request and the figures of all cases say. A name that is not here is absent. */
static inline bool test_value(void *arg, const struct reply_value *v, struct reply_datum *ret)
{
    static const struct {
        const char *name;
        struct reply_datum datum;
    } values[] = {
        {"hits", {.kind = DATUM_COUNT, .count = 1250}},
        {"bytes", {.kind = DATUM_COUNT, .count = UINT64_MAX}},
        {"hit_ratio", {.kind = DATUM_REAL, .real = 1250.0 / 1430}},
        {"speedup", {.kind = DATUM_REAL, .real = 44.444}},
        {"latency.hit.avg", {.kind = DATUM_REAL, .real = 44.96}},
        {"latency.miss.avg", {.kind = DATUM_REAL, .real = 2000}},
        {"route.r.ttl", {.kind = DATUM_COUNT, .count = 21600}},
        {"uptime", {.kind = DATUM_REAL, .real = 90.5}},
        {"redis.available", {.kind = DATUM_BOOL, .is_true = true}},
        {"now", {.kind = DATUM_TIME, .unix_us = 1757446458553911}},
        {"query.n", {.kind = DATUM_TEXT, .text = {"12", 2}}},
        {"query.s", {.kind = DATUM_TEXT, .text = {"a \"b\":*", 7}}},
        {"query.empty", {.kind = DATUM_TEXT, .text = {"", 0}}},
        {"stats/a", {.kind = DATUM_RAW, .text = {"{\"b\":1}", 7}}},
    };
    const struct json *root = arg;
    if (v->group == REPLY_OF_REQUEST && v->param.source == PARAM_JSON) {
        ret->json = json_pointer(root, v->param.name);
        ret->kind = ret->json ? DATUM_JSON : DATUM_ABSENT;
        return true;
    }
    for (size_t i = 0; i < array_len(values); i++)
        if (span_eq(v->text, span_str(values[i].name)))
            *ret = values[i].datum;
    return true;
}

#define TEST_BODY                                                                                  \
    "{\"n\":1.50,\"s\":\"x\",\"t\":true,\"nul\":null,\"list\":[1,\"a\"],\"o\":{\"z\":1,\"a\":2}}"

/* A config whose alias has this reply; a ' stands for a ". */
static inline struct config *reply_config(const char *reply)
{
    char *text = NULL;
    int n = asprintf(&text,
                     "{" APP ",\"routes\":[{\"name\":\"r\",\"match\":\"GET /r\",\"ttl\":\"6h\","
                     "\"key\":[\"query.k\"]}],\"aliases\":[{\"on\":\"GET /x/{id}\",\"open\":"
                     "true,\"do\":\"stats\",\"reply\":%s}]}",
                     reply);
    assert_true(n > 0);
    for (char *p = text; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    struct config *c = config_of(text);
    free(text);
    return c;
}

#endif
