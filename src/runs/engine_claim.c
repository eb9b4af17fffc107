// SPDX-License-Identifier: MIT
//
// How an engine shows that it lives, to processes that cannot see it: those of another PID namespace, such as two
// containers that share a storage folder. There /proc says nothing, and taking an engine for dead would fail runs
// that are going well.
//
// Each engine holds a read lock on one byte of database/.engine.lock, whose position is made of the start time and
// the process id that its runs are recorded with. The kernel gives the lock back when the process ends, however it
// ends. Locks are of the open file description, so a second look from the same process does not drop them. Two
// engines with the same position (one pid in two namespaces, started in the same hundredth of a second) share it.
//
// The file holds nothing and stays when everybody is gone.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "runs/engine.h"

enum { pid_bits = 22 }; // the kernel's largest pid

static struct flock byte_of(short type, int64_t pid, int64_t start_ticks)
{
    const uint64_t place = (uint64_t)start_ticks << pid_bits | ((uint64_t)pid & ((1u << pid_bits) - 1));
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)(place & INT64_MAX >> 1), .l_len = 1};
}

static int lock_file_open(const weir_runs *runs, int flags, int *fd, weir_error *err)
{
    weir__text path = {0};
    weir__text_printf(&path, "%s/database/.engine.lock", runs->path);
    *fd = path.failed ? -1 : open(path.data, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
    int rc = WEIR_OK;
    if (path.failed)
        rc = weir__no_memory(err);
    else if (*fd < 0)
        rc = weir__error_errno(
            err, errno, "cannot open %s, which shows other processes that this one runs scripts", path.data);
    weir__text_free(&path);
    return rc;
}

int weir__engine_claim(const weir_runs *runs, const weir__process_id *engine, int *fd, weir_error *err)
{
    struct flock lock = byte_of(F_RDLCK, engine->pid, (int64_t)engine->start_ticks);
    const int rc = lock_file_open(runs, O_CREAT, fd, err);
    if (rc != WEIR_OK || fcntl(*fd, F_OFD_SETLK, &lock) == 0)
        return rc;
    const int error = errno;
    (void)close(*fd);
    *fd = -1;
    return weir__error_errno(err, error, "cannot lock a byte of %s/database/.engine.lock", runs->path);
}

bool weir__engine_is_claimed(const weir_runs *runs, int64_t pid, int64_t start_ticks)
{
    struct flock lock = byte_of(F_WRLCK, pid, start_ticks);
    int fd = -1;
    const int rc = lock_file_open(runs, 0, &fd, NULL);
    if (rc != WEIR_OK)
        return rc != WEIR_NOTFOUND;
    const bool claimed = fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
    (void)close(fd);
    return claimed;
}
