// SPDX-License-Identifier: MIT
//
// A few threads that do what the event thread must not wait for: reading the database and files.
//
// A bounded queue, first in first out. Stopping runs what is queued, then joins.
#ifndef WEIR_SERVER_POOL_H
#define WEIR_SERVER_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/error.h>

typedef struct weir__pool weir__pool;
typedef void weir__pool_fn(void *arg);

int weir__pool_create(uint32_t threads, uint32_t queue_max, weir__pool **pool, weir_error *err);

// Has `work(arg)` run on one of the threads. False, and nothing happens, when the queue is full or the pool
// stops. Never blocks longer than for a mutex; any thread.
bool weir__pool_submit(weir__pool *pool, weir__pool_fn *work, void *arg);

// Refuses new work, runs what is queued, ends the threads. Submitting is still allowed, and refused. Not from
// one of its threads.
void weir__pool_stop(weir__pool *pool);
// Stops if need be, then frees. NULL is fine.
void weir__pool_destroy(weir__pool *pool);

#endif
