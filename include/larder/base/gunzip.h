/* gunzip.h: gzip and zlib text unpacked piece by piece, for looking into answers.
 *
 * Thread the owner's. Memory: one object of about 48 KB while it lives. Source RFC 1950, RFC 1952.
 */
#ifndef LARDER_BASE_GUNZIP_H
#define LARDER_BASE_GUNZIP_H

#include <larder/base/err.h>
#include <larder/base/macros.h>
#include <larder/base/span.h>

struct gunzip;

struct gunzip *gunzip_new(void); /* NULL: no memory */
void gunzip_free(struct gunzip *g);
/* Unpacks <piece> and hands the text over in parts; ERR_SYNTAX: not gzip; ERR_TOO_LARGE: over
 * <limit> bytes in all (a bomb); what on_text returns ends it, too. */
must_check enum err_code gunzip_feed(struct gunzip *g, struct span piece, uint64_t limit,
                                     enum err_code (*on_text)(void *arg, struct span text),
                                     void *arg);
bool gunzip_is_whole(const struct gunzip *g); /* the end has been seen, and its check holds */

#endif
