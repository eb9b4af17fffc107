// SPDX-License-Identifier: MIT
//
// Opening a store with parts replaced: for tests that need a clock they can move, a file system that this
// machine does not have, or an SQLite with (or without) the WAL-reset fix.
#ifndef WEIR_STORE_OPEN_H
#define WEIR_STORE_OPEN_H

#include "base/fs.h"
#include "store/store.h"

typedef struct weir__open_hooks {
    weir__clock *clock;           // NULL: the system's
    const weir__fs_kind *fs_kind; // NULL: what statfs says
    int pretend_fixed; // 0: as it is; 1: checkpoints as with a fixed library; -1: as with an affected one
} weir__open_hooks;

int weir__store_open(const char *path, const weir_config *config, const weir__open_hooks *hooks,
                     weir_store **store, weir_error *err);

#endif
