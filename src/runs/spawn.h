// SPDX-License-Identifier: MIT
//
// Starts a script: its own session and process group (pgid = pid), stdin from /dev/null, stdout and stderr
// into one pipe, signals at their defaults, no other descriptor of ours. Nothing of this runs between fork
// and exec in our process's memory: posix_spawn does it.
//
// The program is looked up in the PATH of the environment that the script gets, relative directories counted
// from its working directory. What goes wrong is told in the words that Python's subprocess has for it
// ("[Errno 2] No such file or directory: 'x'"), because that is what the runs store records.
//
// Any thread; blocks for as long as the kernel needs to load the program.
#ifndef WEIR_RUNS_SPAWN_H
#define WEIR_RUNS_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

typedef struct weir__spawn_request {
    const char *const *argv;        // NULL-terminated, at least one
    const char *const *environment; // "K=V", NULL-terminated: the whole environment
    const char *working_directory;
} weir__spawn_request;

typedef struct weir__spawned {
    pid_t pid;
    uint64_t start_ticks; // with the boot id this names the process for good (base/process.h); 0: not known
    int pidfd;            // readable when the process has ended
    int output;           // the pipe's end to read from, non-blocking
} weir__spawned;

// The caller reaps the process and closes both descriptors. On an error nothing is left behind.
int weir__spawn(const weir__spawn_request *request, weir__spawned *spawned, weir_error *err);

// This process's environment with the "K=V" of `overlay` (may be NULL) laid over it; malloc'd, to be freed
// with weir__environment_free. INVALID for an entry without '=' or with an empty name; NOMEM.
int weir__environment_overlay(const char *const *overlay, char ***environment, weir_error *err);
void weir__environment_free(char **environment);

// Raises the soft limit of open descriptors to the hard one, once for the process. Scripts started by
// weir__spawn still get the limit from before.
void weir__spawn_raise_limits(void);

#endif
