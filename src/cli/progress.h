// SPDX-License-Identifier: MIT
//
// A line on the terminal that says how far something is; nothing where standard error is no terminal. Redrawn
// a few times a second, gone at the end. One thread.
#ifndef WEIR_CLI_PROGRESS_H
#define WEIR_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/screen.h"

typedef struct weir__progress {
    weir__screen *screen;
    uint64_t drawn_ns; // 0: not yet
} weir__progress;

// A weir_progress_fn with the weir__progress as its context; `done` and `total` are bytes.
bool weir__progress_tell(void *progress, const char *phase, uint64_t done, uint64_t total);
void weir__progress_end(weir__progress *progress);

#endif
