// SPDX-License-Identifier: MIT
//
// A clock for tests: time stands still until the test moves it. Pass &fake->clock wherever a weir__clock is
// asked for.
#ifndef WEIR_BASE_CLOCK_FAKE_H
#define WEIR_BASE_CLOCK_FAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

typedef struct weir__clock_fake {
    weir__clock clock; // first, so that the interface's functions find the rest
    pthread_mutex_t lock;
    pthread_cond_t changed;                // under lock: time moved, or a thread began to wait
    uint64_t now_ns;                       // under lock
    int64_t wall_us;                       // under lock
    struct weir__clock_fake_wait *waiters; // under lock: list of the threads that wait, each on its own stack
} weir__clock_fake;

// Monotonic time starts at 1 s, wall time at 2020-01-01T00:00:00Z. No thread may wait any more at fini.
void weir__clock_fake_init(weir__clock_fake *fake);
void weir__clock_fake_fini(weir__clock_fake *fake);

// Moves both times forward and wakes every thread whose time has come. Do not hold a mutex here that a
// waiting thread waits with: advance takes it for a moment, so that no wake-up is lost.
void weir__clock_fake_advance(weir__clock_fake *fake, uint64_t ns);

// Sets the wall clock, as an administrator would: monotonic time does not move and nobody wakes.
void weir__clock_fake_set_wall_us(weir__clock_fake *fake, int64_t wall_us);

// How many threads wait or sleep and are not due yet. A thread woken by pthread_cond_signal counts until it
// has run.
size_t weir__clock_fake_waiters(weir__clock_fake *fake);

// Blocks (in real time, at most 30 s) until at least `count` threads wait. Returns false when they do not
// come.
bool weir__clock_fake_await_waiters(weir__clock_fake *fake, size_t count);

#endif
