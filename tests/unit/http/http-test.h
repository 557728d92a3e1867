/* http-test.h: what the tests of this layer share: heads from text, in blocks of exact size so
 * that a sanitizer sees each byte read too far. */
#ifndef LARDER_HTTP_TEST_H
#define LARDER_HTTP_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <larder/base/macros.h>
#include <larder/http/head.h>

struct text_head {
    char *block;
    struct head head;
};

static inline void text_head_fini(struct text_head *t)
{
    free(t->block);
}

static inline char *block_of(const char *text, size_t len)
{
    char *block = malloc(len > 0 ? len : 1);
    assert_non_null(block);
    memcpy(block, text, len);
    return block;
}

/* Reads "Name: value\r\n..." as the fields of a GET request. */
static inline void request_with(struct text_head *t, const char *fields)
{
    char text[8192] = "GET / HTTP/1.1\r\nHost: h\r\n";
    assert_true(strlen(text) + strlen(fields) + 3 < sizeof(text));
    strcat(text, fields);
    strcat(text, "\r\n");
    t->block = block_of(text, strlen(text));
    assert_int_equal(head_parse_request(t->block, strlen(text), 8192, &t->head), HEAD_OK);
}

static inline void response_with(struct text_head *t, unsigned status, const char *fields)
{
    char text[8192] = "HTTP/1.1 000 Reason\r\n";
    text[9] = (char)('0' + status / 100);
    text[10] = (char)('0' + status / 10 % 10);
    text[11] = (char)('0' + status % 10);
    assert_true(strlen(text) + strlen(fields) + 3 < sizeof(text));
    strcat(text, fields);
    strcat(text, "\r\n");
    t->block = block_of(text, strlen(text));
    assert_int_equal(head_parse_response(t->block, strlen(text), 8192, METHOD_GET, &t->head),
                     HEAD_OK);
}

#define assert_span(s, text)                                                                       \
    do {                                                                                           \
        struct span span_ = (s);                                                                   \
        if (!span_eq(span_, span_str(text)))                                                       \
            fail_msg("is \"" SPAN_FMT "\", should be \"%s\"", SPAN_ARG(span_), (text));            \
    } while (0)

#endif
