/* uri.h: paths and queries, read for keys; what goes upstream is never rewritten.
 *
 * Thread any; no allocation. Source RFC 3986 sections 2 and 6.2, WHATWG form-urlencoded.
 */
#ifndef LARDER_HTTP_URI_H
#define LARDER_HTTP_URI_H

#include <larder/base/buf.h>

/* The canonical form of a path: escapes of unreserved characters decoded, other escapes in upper
 * case, raw bytes outside of pchar escaped; `%2F` stays apart from `/`, and `%5C` from `\`, which
 * some read as `/`; broken escapes stay as they are. Equal canonical forms mean equal paths to
 * every app. */
void uri_path_canonical(struct span path, struct buf *out);

/* Takes the next pair of a query or form body: "a=1&b" gives (a,1), (b, p == NULL). Returns false
 * at the end. Empty pieces ("&&") are passed over. Start with *rest = the query. */
bool uri_query_next(struct span *rest, struct span *ret_name, struct span *ret_value);

/* Decodes percent escapes, and `+` to a space where <plus_is_space>. A broken escape stays as it
 * is. The result may hold any byte. */
void uri_decode(struct span s, bool plus_is_space, struct buf *out);

/* Splits "http://authority/path?query", or the same of https; the target of a bare authority is
 * "/". False, and nothing written but *ret_is_https, where <url> begins with neither scheme. */
bool uri_split(struct span url, bool *ret_is_https, struct span *ret_authority,
               struct span *ret_target);

/* Appends the path that <reference> (a path, absolute or relative, without scheme, authority, query
 * and fragment) means where <base> is the present path: RFC 3986 section 5.2.3 and 5.2.4. */
void uri_path_resolve(struct span base, struct span reference, struct buf *out);

#endif
