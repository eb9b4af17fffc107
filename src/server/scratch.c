// SPDX-License-Identifier: MIT
//
// See scratch.h. Bytes are counted before they are written, so two files cannot pass the bound together; free space
// is looked at when a file is made and after each further LOOK_BYTES.
#include "server/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fs.h"

enum { LOOK_BYTES = 8 << 20 };

void weir__scratch_init(weir__scratch *scratch, weir__scratch_pool *pool)
{
    *scratch = (weir__scratch){.pool = pool, .fd = -1};
}

static int open_file(weir__scratch *scratch, const char *directory, weir_error *err)
{
    scratch->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (scratch->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EROFS || errno == EACCES))
        scratch->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    return scratch->fd >= 0 ? WEIR_OK
                            : weir__error_errno(err, errno, "cannot make a temporary file in %s for %s",
                                                directory, scratch->pool->what);
}

static int check_room(weir__scratch *scratch, weir_error *err)
{
    struct statvfs fs;
    scratch->looked_bytes = scratch->bytes;
    if (fstatvfs(scratch->fd, &fs) != 0)
        return WEIR_OK; // writing will tell
    const uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (free_bytes >= scratch->pool->free_bytes_min)
        return WEIR_OK;
    return weir__error_set(
        err, WEIR_FULL,
        "only %llu bytes are free on the disk, too few for temporary files of %s: make room, then "
        "try again",
        (unsigned long long)free_bytes, scratch->pool->what);
}

static int claim(weir__scratch *scratch, size_t size, weir_error *err)
{
    weir__scratch_pool *pool = scratch->pool;
    if (atomic_fetch_add(&pool->bytes, size) + size <= pool->bytes_max) {
        scratch->bytes += size;
        return WEIR_OK;
    }
    atomic_fetch_sub(&pool->bytes, size);
    return weir__error_set(err, WEIR_BUSY, "too many %s are under way; try again", pool->what);
}

int weir__scratch_write(weir__scratch *scratch, const char *directory, const void *data, size_t size,
                        weir_error *err)
{
    const bool fresh = scratch->fd < 0;
    int code = fresh ? open_file(scratch, directory, err) : WEIR_OK;
    if (code == WEIR_OK && (fresh || scratch->bytes - scratch->looked_bytes >= LOOK_BYTES))
        code = check_room(scratch, err);
    if (code == WEIR_OK)
        code = claim(scratch, size, err);
    return code == WEIR_OK ? weir__fs_write_all(scratch->fd, "a temporary file", data, size, err) : code;
}

void weir__scratch_close(weir__scratch *scratch)
{
    if (scratch->fd >= 0)
        (void)close(scratch->fd);
    if (scratch->bytes > 0)
        atomic_fetch_sub(&scratch->pool->bytes, scratch->bytes);
    weir__scratch_init(scratch, scratch->pool);
}
