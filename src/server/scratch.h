// SPDX-License-Identifier: MIT
//
// Unnamed temporary files for what is too large for memory: bodies of requests, answers. A file has no name, so
// nothing is left behind whatever happens. Each counts against a *pool*, which bounds all of its kind together, and
// none is written while the disk has little room left: what is kept for good goes before what is kept for a moment.
//
// A scratch belongs to one thread at a time; pools are shared.
#ifndef WEIR_SERVER_SCRATCH_H
#define WEIR_SERVER_SCRATCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/error.h>

#define WEIR__SCRATCH_FREE_BYTES_MIN (UINT64_C(64) << 20)

typedef struct weir__scratch_pool {
    const char *what;        // in sentences: "large answers"
    uint64_t bytes_max;      // of all files together
    uint64_t free_bytes_min; // that the disk keeps
    _Atomic uint64_t bytes;
} weir__scratch_pool;

typedef struct weir__scratch {
    weir__scratch_pool *pool;
    int fd; // -1: none yet
    uint64_t bytes;
    uint64_t looked_bytes; // how many there were when free space was last looked at
} weir__scratch;

void weir__scratch_init(weir__scratch *scratch, weir__scratch_pool *pool);
// Appends; the first time makes the file, in `directory` or, where that has none without a name, in /tmp. Errors:
// FULL (little room is left), BUSY (the pool is used up), IO, DENIED.
int weir__scratch_write(weir__scratch *scratch, const char *directory, const void *data, size_t size,
                        weir_error *err);
// Closes the file and gives its bytes back. Fine when there is none.
void weir__scratch_close(weir__scratch *scratch);

#endif
