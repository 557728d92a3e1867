/* file.h: whole files. Thread: any; reading blocks, so only where that is allowed: at start, and
 * for what an operator asks of the main loop.
 */
#ifndef LARDER_BASE_FILE_H
#define LARDER_BASE_FILE_H

#include <larder/base/buf.h>
#include <larder/base/err.h>
#include <larder/base/macros.h>

enum file_kind {
    FILE_REGULAR, /* a pipe or device named by mistake is refused, so that it holds nobody up */
    FILE_NO_LINK, /* the same, and no symbolic link: nothing leads out of its directory */
    FILE_ANY,
};

/* Appends all bytes of <path> to <out>, up to its limit. ERR_NOT_FOUND; ERR_IO (errno tells;
 * EINVAL: it is no regular file); ERR_TOO_LARGE; ERR_NOMEM. */
must_check enum err_code file_read(const char *path, enum file_kind kind, struct buf *out);

#endif
