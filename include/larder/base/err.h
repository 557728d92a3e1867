/* err.h: what went wrong, where, and what would be right.
 *
 * Lower layers return an err_code and stay silent; a function whose message a person will read
 * takes a struct err last. Thread: any; no shared state.
 */
#ifndef LARDER_BASE_ERR_H
#define LARDER_BASE_ERR_H

enum err_code {
    ERR_OK = 0,
    ERR_NOMEM,     /* an allocation failed; nothing has changed */
    ERR_TOO_LARGE, /* over a configured limit */
    ERR_SYNTAX,    /* bytes from outside that do not follow their grammar */
    ERR_CONFIG,    /* a config member that cannot be used */
    ERR_IO,        /* the system refused: errno tells */
    ERR_CLOSED,    /* the peer went away */
    ERR_TIMEOUT,   /* a deadline passed */
    ERR_BUSY,      /* a bounded queue is full */
    ERR_NOT_FOUND,
    ERR_DENIED, /* the caller may not do that */
};

struct err {
    enum err_code code;
    char where[192]; /* "conf/school.json:14:9 at $.routes[0].ttl", "upstream api-2" */
    char what[320];  /* what is wrong, and what would be right */
};

/* Fills <err> (which may be NULL) and returns <code>, so that callers can return it at once. */
enum err_code err_set(struct err *err, enum err_code code, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* A short English name of <code> for logs: "out of memory". Static storage. */
const char *err_name(enum err_code code);

#endif
