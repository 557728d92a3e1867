/* conditional.h: does what the client holds still match? Thread any. Source RFC 9110 section 13. */
#ifndef LARDER_HTTP_CONDITIONAL_H
#define LARDER_HTTP_CONDITIONAL_H

#include <larder/http/head.h>

/* True where a GET or HEAD with these fields is answered 304, given the stored validators.
 * If-None-Match (weak comparison, lists, `*`, repeated lines) wins over If-Modified-Since.
 * <last_modified_unix_s> is -1 where there is none. */
bool conditional_is_not_modified(const struct head *request, struct span etag,
                                 int64_t last_modified_unix_s);

#endif
