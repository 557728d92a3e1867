/* explain_main.h: larder --explain METHOD URL: what a config would do with a request. Main only. */
#ifndef LARDER_EXPLAIN_MAIN_H
#define LARDER_EXPLAIN_MAIN_H

#include <larder/config/config.h>

struct explain_arguments {
    const char *method, *url, *body; /* body may be NULL */
    struct buf *fields;              /* lines, each with CRLF */
};

/* Prints it, a line for each member; returns the exit code. */
int explain_main(const struct config *c, const struct explain_arguments *a);

#endif
