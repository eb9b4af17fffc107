// SPDX-License-Identifier: MIT
//
// The id by which clients tell this installation from others: what the file `device_id` beside the database says,
// whole and as it is. Where there is none yet, a random UUID is put there. Blocks for the disk; any thread.
#ifndef WEIR_SERVER_DEVICE_H
#define WEIR_SERVER_DEVICE_H

#include <stddef.h>

#include <weir/error.h>

enum { WEIR__DEVICE_ID_BYTES_MAX = 4096 };

// *id is malloc'd. Errors: TOOBIG, INVALID (no regular file, a NUL in it), DENIED, IO, FULL, NOMEM.
int weir__device_id(const char *directory, char **id, weir_error *err);

#endif
