/* config-test.h: configs and requests from text. */
#ifndef LARDER_CONFIG_TEST_H
#define LARDER_CONFIG_TEST_H

#include "../unit-test.h"

#include <larder/config/config.h>

#include <stdio.h>
#include <stdlib.h>

#define APP "\"upstreams\":{\"app\":{\"server\":\"127.0.0.1:8000\"}}"
#define SECRET "\"secret\":\"0123456789abcdef\""

/* Loads what must be good. */
static inline struct config *config_of(const char *text)
{
    struct err errs[4];
    unsigned count = 0;
    struct config *c = NULL;
    if (config_parse(span_str(text), "f", &c, errs, 4, &count) != ERR_OK)
        fail_msg("%s\n%s: %s", text, errs[0].where, errs[0].what);
    return c;
}

/* A request and what route_match() makes of it; its text is a copy. */
struct text_request {
    char *text;
    struct head head;
    struct route_captures captures;
    const struct route *route;
};

static inline void request_match(const struct config *c, struct text_request *r, const char *method,
                                 const char *target, const char *fields)
{
    size_t size = strlen(method) + strlen(target) + strlen(fields) + 64;
    r->text = malloc(size);
    assert_non_null(r->text);
    int n = snprintf(r->text, size, "%s %s HTTP/1.1\r\nHost: Example.org\r\n%s\r\n", method, target,
                     fields);
    assert_int_equal(head_parse_request(r->text, (size_t)n, size, &r->head), HEAD_OK);
    r->route = route_match(c->routes, c->route_count, &r->head, &r->captures);
}

#endif
