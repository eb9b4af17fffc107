// SPDX-License-Identifier: MIT
//
// Who a process is. A pid alone is reused; pid, start time and boot id together name one process for good,
// also from a database row that was written before the last reboot. Reads /proc; any thread; does not block
// on other processes.
#ifndef WEIR_BASE_PROCESS_H
#define WEIR_BASE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { WEIR__BOOT_ID_SIZE = 37 };

typedef struct weir__process_id {
    pid_t pid;
    uint64_t start_ticks; // clock ticks after boot
    char boot_id[WEIR__BOOT_ID_SIZE];
} weir__process_id;

int weir__process_boot_id(char out[WEIR__BOOT_ID_SIZE], weir_error *err);

// This process.
int weir__process_self(weir__process_id *out, weir_error *err);

// When process `pid` started, in clock ticks after boot. WEIR_NOTFOUND when there is none, or only its
// zombie.
int weir__process_start_ticks(pid_t pid, uint64_t *start_ticks, weir_error *err);

// Whether the very process that these three name still runs. A zombie does not. When /proc cannot be read,
// the answer is true, because nobody must take over the work of a process that may be alive.
// A process of another PID namespace (another container) cannot be seen and counts as dead.
bool weir__process_alive(pid_t pid, uint64_t start_ticks, const char *boot_id);

// Whether a process group has a member that is no zombie: who should reap those may not care, and then
// kill(-pgid, 0) finds the group for ever. True when no member can be seen. Reads the list of all processes.
bool weir__process_group_lives(pid_t pgid);

// Whether a process was started with an environment variable, "NAME=VALUE", among the first 256 KiB of them. Not so
// when there is no such process, or it may not be looked at. WEIR_BUSY for one that executes a program at this very
// moment and has no environment yet: that passes, ask again. A process that posix_spawn has just returned is one.
int weir__process_has_variable(pid_t pid, const char *variable, bool *has, weir_error *err);

// The command line of `pid` for people to read: arguments separated by spaces, valid UTF-8, no control
// characters, cut to capacity - 1 bytes; the name in brackets for a process without arguments; empty when
// there is no such process. Returns the length.
size_t weir__process_command(pid_t pid, char *out, size_t capacity);

#endif
