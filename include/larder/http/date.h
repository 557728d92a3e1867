/* date.h: HTTP dates. Thread any, no clock. Source RFC 9110 section 5.6.7. */
#ifndef LARDER_HTTP_DATE_H
#define LARDER_HTTP_DATE_H

#include <larder/base/span.h>

enum { DATE_LEN = 29 };

/* Reads IMF-fixdate, RFC 850 and asctime forms, names and zone in any case; <now_unix_s> settles
 * two-digit years. False on anything else: a broken date has no value. */
bool date_parse(struct span s, int64_t now_unix_s, int64_t *ret_unix_s);
/* "Sun, 06 Nov 1994 08:49:37 GMT", without NUL. */
void date_format(int64_t unix_s, char ret_text[DATE_LEN]);

#endif
