// SPDX-License-Identifier: MIT
//
// Threads of the library: named, so that `top -H` and a debugger tell them apart, and with every signal
// blocked, so that the program's handlers run on the program's own threads.
#ifndef WEIR_BASE_THREAD_H
#define WEIR_BASE_THREAD_H

#include <pthread.h>

#include "base/error.h"

// Starts `run(arg)` on a new thread called `name` (cut to 15 bytes), to be joined by the caller. WEIR_IO or
// WEIR_NOMEM when the system has none left.
int weir__thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg, weir_error *err);

#endif
