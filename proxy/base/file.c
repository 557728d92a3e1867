#include <larder/base/file.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err_code read_all(int fd, struct buf *out)
{
    char piece[16384];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_IO;
        if (n == 0)
            return ERR_OK;
        buf_add(out, piece, (size_t)n);
        if (out->failed)
            return out->no_memory ? ERR_NOMEM : ERR_TOO_LARGE;
    }
}

enum err_code file_read(const char *path, enum file_kind kind, struct buf *out)
{
    struct stat st;
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY;
    flags |= kind == FILE_ANY ? 0 : O_NONBLOCK;
    flags |= kind == FILE_NO_LINK ? O_NOFOLLOW : 0;
    int fd = open(path, flags);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    enum err_code rc = ERR_IO;
    if (fstat(fd, &st) == 0) {
        if (kind != FILE_ANY && !S_ISREG(st.st_mode))
            errno = EINVAL;
        else
            rc = read_all(fd, out);
    }
    int saved = errno; /* what ERR_IO is told with */
    close(fd);
    errno = saved;
    return rc;
}
