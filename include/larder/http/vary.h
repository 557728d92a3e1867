/* vary.h: the secondary key (RFC 9111 section 4.1). Thread any; no allocation.
 *
 * A variant's key is its request's values of the fields that Vary names: normalised (members
 * trimmed, repeated lines joined, Accept-Encoding reduced to a sorted set of br, gzip, identity and
 * zstd, with whatever else it names before that set, Accept-Language in lower case) and escaped. A
 * field that Connection names does not go upstream and counts as absent.
 */
#ifndef LARDER_HTTP_VARY_H
#define LARDER_HTTP_VARY_H

#include <larder/base/buf.h>
#include <larder/http/head.h>

/* What an answer varies by, whether it says so or not. */
struct vary_case {
    const struct head *request, *response;
    struct span known; /* names that other answers of the key have told, as written here before */
    bool is_cors;      /* look at Origin, too */
    bool is_by_host;   /* it names the Host that it was asked by, or may do so */
    bool is_by_scheme; /* ... in a URL, and the key does not know http from https */
};
/* Writes the names in all Vary fields of the response and in <known>, lower case, sorted, unique,
 * joined by commas. Accept-Encoding is added where there is a Content-Encoding; Origin where the
 * answer names one in Access-Control-Allow-Origin, or where one was asked with and none was named
 * (another may be: apps forget to say so); Host, and VARY_SCHEME, where the caller says so. Empty:
 * no Vary. False: Vary is `*`, or cannot be read, or names more than 32, or one that a proxy writes
 * itself (X-Forwarded-For and -Host, X-Request-Id, Via): what the app has read is not in the
 * request. */
bool vary_names(const struct vary_case *c, struct buf *out);
/* May an answer that was stored without regard to Origin be given to who sends one? Where it allows
 * all of them (Fetch standard, CORS protocol). */
bool vary_allows_any_origin(const struct head *response);
/* No field: the scheme that the client used. */
#define VARY_SCHEME "larder-scheme"
/* How a request's values become a key. */
struct vary_rules {
    bool is_https;
    bool is_any_language_order; /* Accept-Language: languages of one weight in any order are one */
    struct span language;       /* not empty: stands for all that Accept-Language says */
};
/* Appends the values that <request> has for <names> (as vary_names wrote them): "name=value" each
 * behind a "|", a bare "name" where the field is absent. */
void vary_key(const struct head *request, struct span names, const struct vary_rules *rules,
              struct buf *out);
/* The one language that a request likes best, lower case, into <out>; false where there is none
 * that has more weight than all others. Who holds an answer in it need not ask for another. */
bool vary_best_language(const struct head *request, struct buf *out);

#endif
