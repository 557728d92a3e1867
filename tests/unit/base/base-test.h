/* base-test.h: what the tests of this layer share: cmocka behind its own headers, and texts in
 * blocks of exact size, so that a sanitizer sees each byte read too far. */
#ifndef LARDER_BASE_TEST_H
#define LARDER_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <larder/base/buf.h>
#include <larder/base/log.h>
#include <larder/base/macros.h>
#include <larder/base/span.h>

static inline struct span block_of(struct span text)
{
    char *block = malloc(text.len > 0 ? text.len : 1);
    assert_non_null(block);
    if (text.len)
        memcpy(block, text.p, text.len);
    return span_of(block, text.len);
}

static inline void block_free(struct span block)
{
    free((char *)block.p);
}

static inline enum err_code start_log(enum log_level level, const char *access, struct err *err)
{
    struct log_config c = {.level = level, .streams = {[LOG_ACCESS] = access}};
    return log_start(&c, err);
}

static inline void assert_span(struct span got, struct span want, const char *of)
{
    if (!span_eq(got, want))
        fail_msg("%s: got \"%.*s\", not \"%.*s\"", of, SPAN_ARG(got), SPAN_ARG(want));
}

#endif
