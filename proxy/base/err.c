#include <larder/base/err.h>

#include <larder/base/macros.h>

#include <stdarg.h>
#include <stdio.h>

enum err_code err_set(struct err *err, enum err_code code, const char *where, const char *fmt, ...)
{
    if (!err)
        return code;
    struct err now = {.code = code}; /* apart: <where> and the arguments may lie in *err */
    snprintf(now.where, sizeof(now.where), "%s", where ? where : "");
    va_list args;
    va_start(args, fmt);
    vsnprintf(now.what, sizeof(now.what), fmt, args);
    va_end(args);
    *err = now;
    return code;
}

const char *err_name(enum err_code code)
{
    static const char *const names[] = {
        [ERR_OK] = "no error",           [ERR_NOMEM] = "out of memory",
        [ERR_TOO_LARGE] = "too large",   [ERR_SYNTAX] = "malformed",
        [ERR_CONFIG] = "bad config",     [ERR_IO] = "input/output error",
        [ERR_CLOSED] = "closed by peer", [ERR_TIMEOUT] = "timed out",
        [ERR_BUSY] = "queue full",       [ERR_NOT_FOUND] = "not found",
        [ERR_DENIED] = "not allowed",
    };
    return (unsigned)code < array_len(names) ? names[code] : "unknown error";
}
