// SPDX-License-Identifier: MIT
//
// Files and directories. Every call blocks as long as the file system does; any thread. Errors name the path.
//
// Never use the calls that open files on the main file or the -shm of a database that this process has open
// through SQLite: closing any descriptor of them drops the process's POSIX locks.
#ifndef WEIR_BASE_FS_H
#define WEIR_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"

enum { WEIR__FS_DEPTH_MAX = 128, WEIR__FS_ID_SIZE_MAX = 128 };

// Appends directory and name with exactly one '/' between them. An empty directory adds nothing.
void weir__fs_join(weir__text *path, const char *directory, const char *name);

// Appends the directory that holds `path`: "." for a bare name, "/" for the root.
void weir__fs_parent(weir__text *directory, const char *path);

// Whether id[size] may name a file or directory of ours: 1 to 128 of A-Z a-z 0-9 . _ - and neither "." nor
// "..".
bool weir__fs_is_safe_id(const char *id, size_t size);

// Makes the directory and what is missing above it; fine when it exists. The umask applies to mode.
int weir__fs_mkdir_p(const char *path, mode_t mode, weir_error *err);

// Reads a regular file whole. *data is malloc'd, terminated with a NUL that *size does not count; the caller
// frees it. WEIR_TOOBIG beyond size_max bytes, WEIR_INVALID for a directory, pipe or device (never blocks on
// one).
int weir__fs_read_file(const char *path, size_t size_max, char **data, size_t *size, weir_error *err);

// Writes all of data[size], from where the descriptor stands; `name` is what the sentence calls it.
int weir__fs_write_all(int fd, const char *name, const void *data, size_t size, weir_error *err);

// Replaces the file's content so that a crash leaves the old or the new one: temporary file, fsync, rename,
// fsync of the directory. A symbolic link at `path` is replaced, not followed. The umask applies to mode.
int weir__fs_write_atomic(const char *path, const void *data, size_t size, mode_t mode, weir_error *err);

// fsync of a directory, or of the directory that holds `path`: makes new names in it durable.
int weir__fs_sync_dir(const char *directory, weir_error *err);
int weir__fs_sync_parent(const char *path, weir_error *err);

// Copies a regular file: content, permission bits and modification time. The copy appears complete and synced
// under its name or not at all; its directory is not synced (weir__fs_sync_parent). Follows a link at `from`,
// replaces one at `to`. Copies at most the size that the file had at the start, so a file that keeps growing
// does not keep us.
int weir__fs_copy_file(const char *from, const char *to, weir_error *err);
// The same for the very file that `from_fd`, opened with O_PATH, stands for; `from` is its name in sentences.
int weir__fs_copy_pinned(int from_fd, const char *from, const char *to, weir_error *err);

// Removes a file or a whole directory; fine when there is none. Never follows a symbolic link. WEIR_TOOBIG
// for directories nested deeper than WEIR__FS_DEPTH_MAX.
int weir__fs_remove_tree(const char *path, weir_error *err);

typedef enum weir__fs_class {
    WEIR__FS_UNKNOWN, // not in our list
    WEIR__FS_LOCAL,   // a disk of this machine: shared memory and locks work
    WEIR__FS_NETWORK, // other machines may have it open: shared memory between them does not work
    WEIR__FS_FUSE,    // FUSE or virtiofs: depends on what is behind it, shared memory mostly does not work
    WEIR__FS_MEMORY,  // gone after a restart: everything works, nothing is durable
} weir__fs_class;

typedef struct weir__fs_kind {
    weir__fs_class fs_class;
    char name[24]; // "ext4", "nfs"; "0x1234" for one that is not in our list
} weir__fs_kind;

// The file system that holds `path`, which must exist.
int weir__fs_kind_of(const char *path, weir__fs_kind *kind, weir_error *err);

// The same from statfs's f_type.
void weir__fs_kind_of_magic(unsigned long magic, weir__fs_kind *kind);

#endif
