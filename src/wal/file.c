// SPDX-License-Identifier: MIT
//
// A log as a file. open(2) with O_NONBLOCK returns at once also for a pipe, whose kind is then refused.
#include "wal/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

int weir__wal_file_open(const char *path, int *fd, weir_error *err)
{
    struct stat st;
    *fd = -1;
    const int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (opened < 0)
        return weir__error_errno(err, errno, "cannot open %s", path);
    if (fstat(opened, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(opened);
        return weir__error_set(err, WEIR_INVALID, "%s is not a regular file", path);
    }
    *fd = opened;
    return WEIR_OK;
}

int weir__wal_file_read(int fd, const char *path, void *bytes, size_t size, uint64_t offset, size_t *got,
                        weir_error *err)
{
    WEIR_ASSERT(offset <= INT64_MAX);
    *got = 0;
    while (*got < size) {
        const ssize_t n = pread(fd, (char *)bytes + *got, size - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return weir__error_errno(err, errno, "cannot read %s at byte %llu", path,
                                     (unsigned long long)(offset + *got));
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return WEIR_OK;
}
