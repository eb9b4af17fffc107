// SPDX-License-Identifier: MIT
//
// A crew: threads that do the same work for a measured time. Each prepares itself, waits until all are ready,
// and then works until it is told to stop. The time before the measured window (the warm-up) is worked but
// not counted.
//
// Throughput counts what was acknowledged inside the window. Latencies also take in what was under way when
// it ended and was acknowledged afterwards: the slowest writes are the ones most likely to outlive the
// window, and leaving them out would flatter.
//
// Threads: everything is called on the thread that runs the crew, except weir__worker_*(), which belong to
// the worker.
#ifndef WEIR_BENCH_CREW_H
#define WEIR_BENCH_CREW_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/histogram.h"

typedef struct weir__crew weir__crew;

// All fields belong to the worker's thread while it runs, and to the crew's afterwards.
typedef struct weir__worker {
    weir__crew *crew;
    void *context; // the same for all of a crew
    unsigned number;
    pthread_t thread;
    bool started;

    uint64_t values;       // handed out by weir__worker_next_value()
    uint64_t acknowledged; // rows, from the first to the last
    int64_t values_sum;    // of these rows' values, to find them again
    uint64_t counted;      // of these, acknowledged inside the window
    uint64_t gave_up;      // writes that met SQLITE_BUSY beyond the busy timeout
    weir__histogram latency_ns;
    weir_error err; // why it stopped working; code 0 when it did not
} weir__worker;

typedef void weir__crew_work(weir__worker *worker);

struct weir__crew {
    weir__worker *workers;
    unsigned size;
    weir__crew_work *work;
    uint64_t window_ns; // how long the window really was

    pthread_mutex_t lock;
    // Guarded by lock:
    unsigned ready;
    bool go;
    pthread_cond_t changed;

    _Atomic int phase; // written by the crew's thread only
};

// Works for a warm-up and then for window_ns. WEIR_CANCELLED when one of `signals` arrived, which is then in
// *signal_number; otherwise the first error of a worker. `signals` must be blocked in the calling thread.
// The crew is to be ended with weir__crew_fini() in any case; one that is {0} never ran, and may be, too.
int weir__crew_run(weir__crew *crew, unsigned size, weir__crew_work *work, void *context, uint64_t window_ns,
                   const sigset_t *signals, int *signal_number, weir_error *err);
void weir__crew_fini(weir__crew *crew);

// Waits until all workers are ready and the crew begins.
void weir__worker_ready(weir__worker *worker);

// False when it is time to stop.
bool weir__worker_goes_on(const weir__worker *worker);

// A value for a row: no two rows of a crew get the same.
int64_t weir__worker_next_value(weir__worker *worker);

// `rows` rows with these values were acknowledged, `latency_ns` after they had been handed over together.
void weir__worker_acknowledge(weir__worker *worker, uint64_t rows, int64_t values_sum, uint64_t latency_ns);

// Ends the worker's work with an error. As WEIR_OK may only be read off a returned code, `code` is that.
void weir__worker_fail(weir__worker *worker, int code, const weir_error *err);

// Nanoseconds for latencies.
uint64_t weir__worker_now_ns(void);

#endif
