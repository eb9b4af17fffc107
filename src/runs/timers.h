// SPDX-License-Identifier: MIT
//
// Deadlines of many things, the next one first: a binary heap of embedded timers. Setting, moving and
// removing cost O(log n) and never fail, because room is reserved when a thing comes to life. One thread at a
// time.
#ifndef WEIR_RUNS_TIMERS_H
#define WEIR_RUNS_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct weir__timer {
    uint64_t due_ns;
    size_t place; // in the heap, from 1; 0: not set
} weir__timer;

typedef struct weir__timers {
    weir__timer **heap;
    size_t count, capacity;
} weir__timers;

// Makes room for `count` timers at a time. NOMEM.
int weir__timers_reserve(weir__timers *timers, size_t count, weir_error *err);
void weir__timers_free(weir__timers *timers);

// Sets or moves a timer; WEIR__FOREVER removes it.
void weir__timers_set(weir__timers *timers, weir__timer *timer, uint64_t due_ns);

// The one that is due first, NULL without any.
weir__timer *weir__timers_first(const weir__timers *timers);

#endif
