// SPDX-License-Identifier: MIT
//
// Reading a log as a file: opened so that nothing waits, read at offsets. Never for the main file or the -shm of
// a database (weir/wal.h says why). Any thread.
#ifndef WEIR_WAL_FILE_H
#define WEIR_WAL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

// Opens a regular file for reading. WEIR_INVALID for any other kind, without waiting for a pipe's other end.
int weir__wal_file_open(const char *path, int *fd, weir_error *err);

// Reads up to `size` bytes at `offset`; *got is less only at the end of the file.
int weir__wal_file_read(int fd, const char *path, void *bytes, size_t size, uint64_t offset, size_t *got,
                        weir_error *err);

#endif
