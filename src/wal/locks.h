// SPDX-License-Identifier: MIT
//
// Reading /proc/locks for one file. The public side is weir_wal_lock_holders() in weir/wal.h.
#ifndef WEIR_WAL_LOCKS_H
#define WEIR_WAL_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

// What names a file in /proc/locks. On btrfs and some overlay file systems the device there is not the one of
// stat(2) but that of the mount; where they are the same, both fields are.
typedef struct weir__lock_file {
    dev_t device;
    dev_t mount_device;
    ino_t inode;
} weir__lock_file;

// Looks the file up without opening it. WEIR_NOTFOUND when there is none.
int weir__lock_file_of(const char *path, weir__lock_file *file, weir_error *err);

// One entry: bytes first … last (both included; UINT64_MAX is the end of the file) of the file are held.
typedef struct weir__lock {
    int64_t pid; // -1: an open file description lock, which has no process
    bool exclusive;
    uint64_t first;
    uint64_t last;
} weir__lock;

// Reads one line of /proc/locks, without its end of line. False for a waiting request, a lock of another kind
// or file, or a line in an unknown form.
bool weir__lock_parse(const char *line, const weir__lock_file *file, weir__lock *lock);

// The locks in `content`, the NUL-terminated text of /proc/locks, that touch bytes first … last of the file,
// each once, ordered by pid. *locks is malloc'd, the caller frees it.
int weir__locks_parse(const char *content, const weir__lock_file *file, uint64_t first, uint64_t last,
                      weir__lock **locks, size_t *count, weir_error *err);

#endif
