/* pack.h: texts made smaller, and back: zlib's format, at its fastest level.
 *
 * For what is read piece by piece, and was packed by others, see gunzip.h. Thread: any.
 * Source: RFC 1950.
 */
#ifndef LARDER_BASE_PACK_H
#define LARDER_BASE_PACK_H

#include <larder/base/buf.h>
#include <larder/base/err.h>
#include <larder/base/macros.h>

/* Appends <text> packed. ERR_TOO_LARGE: it would be over <limit> bytes; ERR_NOMEM. On an error
 * <out> has the length that it had. */
must_check enum err_code pack_add(struct span text, size_t limit, struct buf *out);
/* Appends the text that <packed> is, all of it and nothing more. ERR_SYNTAX: it is not whole, or no
 * packed text; ERR_TOO_LARGE: over <limit> bytes (a bomb), of which no more are ever written;
 * ERR_NOMEM. On an error <out> has the length that it had. */
must_check enum err_code unpack_add(struct span packed, size_t limit, struct buf *out);

#endif
