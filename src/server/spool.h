// SPDX-License-Identifier: MIT
//
// An answer that may become large: kept in memory up to WEIR__SPOOL_MEMORY_BYTES, in an unnamed temporary
// file beyond. So an answer is complete before its first byte is sent: an error on the way is still an error
// status, its length is known, and a client that reads slowly holds neither a thread nor a snapshot of the
// database.
//
// One thread at a time. Appending never fails visibly; ask weir__spool_failed() at the end.
#ifndef WEIR_SERVER_SPOOL_H
#define WEIR_SERVER_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "server/scratch.h"
#include <weir/error.h>

#define WEIR__SPOOL_MEMORY_BYTES (1U << 20)
#define WEIR__SPOOL_BYTES_MAX (UINT64_C(256) << 20)
// All files together, those that are still being sent included: slow readers must not fill the disk.
#define WEIR__SPOOL_ALL_BYTES_MAX (UINT64_C(1) << 30)
// For exports, which may be as large as a database: one, and all together. Free space bounds them, too (scratch.h).
#define WEIR__SPOOL_EXPORT_BYTES_MAX (UINT64_C(64) << 30)
#define WEIR__SPOOL_EXPORTS_BYTES_MAX (UINT64_C(256) << 30)

typedef struct weir__spool {
    weir__text text;       // all of it, or what is not in the file yet
    const char *directory; // where the file goes
    uint64_t bytes_max;
    weir__scratch file;
    weir_error error; // the first failure
} weir__spool;

void weir__spool_init(weir__spool *spool, const char *directory);
void weir__spool_init_export(weir__spool *spool, const char *directory);
void weir__spool_add(weir__spool *spool, const char *string);
void weir__spool_append(weir__spool *spool, const void *bytes, size_t size);
void weir__spool_printf(weir__spool *spool, const char *format, ...) __attribute__((format(printf, 2, 3)));
void weir__spool_json_string(weir__spool *spool, const char *string);
// Appends what a to_json function returned, and frees it; NULL counts as lack of memory.
void weir__spool_take(weir__spool *spool, char *json);

// Has something failed so far? Worth asking in long loops.
bool weir__spool_failed(const weir__spool *spool);

// Writes what is left when there is a file. The code of the first failure: TOOBIG beyond bytes_max, BUSY beyond what
// all may have together, FULL.
int weir__spool_end(weir__spool *spool, weir_error *err);
void weir__spool_free(weir__spool *spool);

// Takes the file out of the spool; its fd is -1 when there is none. Its bytes count until weir__scratch_close().
weir__scratch weir__spool_take_file(weir__spool *spool);

#endif
