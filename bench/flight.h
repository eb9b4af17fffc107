// SPDX-License-Identifier: MIT
//
// A client that keeps many writes under way. It has two batches: it waits until every write of the older batch is
// acknowledged, takes the time for all of them, and hands in a batch of new ones, while the other batch is under
// way: 2 x WEIR__FLIGHT_WRITES in flight at most, half of that at least. The latency of each runs from its own
// submission to the moment its client learns of it, which is a little later than its acknowledgement.
#ifndef WEIR_BENCH_FLIGHT_H
#define WEIR_BENCH_FLIGHT_H

#include <stdint.h>

#include "bench/crew.h"

enum { WEIR__FLIGHT_WRITES = 32 };

typedef struct weir__flight_batch weir__flight_batch;

typedef struct weir__flight_write {
    weir__flight_batch *batch;
    void *context;    // the worker's
    int64_t value;    // unlike every other of the crew, until `submit` or the acknowledgement sets another
    uint64_t sent_ns; // the client's
} weir__flight_write;

// Hands a write in without waiting for it; weir__flight_landed() is to be called once for it, unless this returns an
// error.
typedef int weir__flight_submit(weir__worker *worker, weir__flight_write *write, weir_error *err);

// Works until the crew stops; values of acknowledged writes are summed up in the worker.
void weir__flight_run(weir__worker *worker, weir__flight_submit *submit);

// The write has ended. Any thread; `write` must not be touched after it.
void weir__flight_landed(weir__flight_write *write, const weir_error *result);

#endif
