// SPDX-License-Identifier: MIT
//
// A few threads that do what the event thread must not wait for: reading the database and files.
//
// A bounded queue, first in first out. Stopping runs what is queued, then joins.
#ifndef WEIR_SERVER_WORKERS_H
#define WEIR_SERVER_WORKERS_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/error.h>

typedef struct weir__workers weir__workers;
typedef void weir__workers_fn(void *arg);

int weir__workers_create(uint32_t threads, uint32_t queue_max, weir__workers **workers, weir_error *err);

// Has `work(arg)` run on one of the threads. False, and nothing happens, when the queue is full or the workers
// stops. Never blocks longer than for a mutex; any thread.
bool weir__workers_submit(weir__workers *workers, weir__workers_fn *work, void *arg);

// Refuses new work, runs what is queued, ends the threads. Submitting is still allowed, and refused. Not from
// one of its threads.
void weir__workers_stop(weir__workers *workers);
// Stops if need be, then frees. NULL is fine.
void weir__workers_destroy(weir__workers *workers);

#endif
