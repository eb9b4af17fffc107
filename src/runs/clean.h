// SPDX-License-Identifier: MIT
//
// Removing records and their files.
#ifndef WEIR_RUNS_CLEAN_H
#define WEIR_RUNS_CLEAN_H

#include "runs/runs.h"

// Removes the files and folders that weir_pending_delete names, then its rows. Adds to *removed (may be
// NULL). May be called at any time and by several processes: what is gone is fine.
int weir__clean_pending(weir_runs *runs, weir_runs_removed *removed, weir_error *err);

// Adds the number and the bytes of the regular files below `path`; never follows symbolic links, skips what
// it cannot read.
void weir__clean_measure(const char *path, weir_runs_removed *removed);

#endif
