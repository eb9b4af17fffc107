// SPDX-License-Identifier: MIT
//
// Two batches that take turns; see flight.h.
#include "bench/flight.h"

#include <semaphore.h>
#include <stdatomic.h>

struct weir__flight_batch {
    _Atomic unsigned open;   // writes that have not ended
    _Atomic unsigned failed; // of those that have
    sem_t ended;             // posted with the last one
    weir_error failure;      // of the first failed write
    unsigned size;           // handed in: owned by the client
    weir__flight_write writes[WEIR__FLIGHT_WRITES];
};

static void end_one(weir__flight_batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->open, 1, memory_order_acq_rel) == 1)
        sem_post(&batch->ended);
}

void weir__flight_landed(weir__flight_write *write, const weir_error *result)
{
    weir__flight_batch *batch = write->batch;
    if (result->code != WEIR_OK && atomic_fetch_add(&batch->failed, 1) == 0)
        weir__error_copy(&batch->failure, result);
    end_one(batch);
}

// One write more than there are is kept open while the batch is handed in, so that it cannot end before.
static void hand_in(weir__worker *worker, weir__flight_batch *batch, weir__flight_submit *submit)
{
    atomic_store_explicit(&batch->open, WEIR__FLIGHT_WRITES + 1, memory_order_relaxed);
    batch->size = 0;
    while (batch->size < WEIR__FLIGHT_WRITES) {
        weir__flight_write *write = &batch->writes[batch->size];
        *write = (weir__flight_write){.batch = batch,
                                      .context = worker->context,
                                      .value = weir__worker_next_value(worker),
                                      .sent_ns = weir__worker_now_ns()};
        weir_error err = WEIR_ERROR_INIT;
        const int code = submit(worker, write, &err);
        if (code != WEIR_OK) {
            weir__worker_fail(worker, code, &err);
            break;
        }
        batch->size++;
    }
    for (unsigned i = batch->size; i <= WEIR__FLIGHT_WRITES; i++)
        end_one(batch);
}

static void take_back(weir__worker *worker, weir__flight_batch *batch)
{
    while (sem_wait(&batch->ended) != 0)
        continue; // a debugger may interrupt it
    if (atomic_load(&batch->failed))
        weir__worker_fail(worker, batch->failure.code, &batch->failure);
    const uint64_t now_ns = weir__worker_now_ns();
    for (unsigned i = 0; i < batch->size && worker->err.code == WEIR_OK; i++)
        weir__worker_acknowledge(worker, 1, batch->writes[i].value, now_ns - batch->writes[i].sent_ns);
    batch->size = 0;
}

void weir__flight_run(weir__worker *worker, weir__flight_submit *submit)
{
    weir__flight_batch batches[2] = {0};
    for (int i = 0; i < 2; i++)
        sem_init(&batches[i].ended, 0, 0);
    weir__worker_ready(worker);
    for (int i = 0; i < 2; i++)
        hand_in(worker, &batches[i], submit);
    int older = 0;
    for (; weir__worker_goes_on(worker); older = !older) {
        take_back(worker, &batches[older]);
        hand_in(worker, &batches[older], submit);
    }
    take_back(worker, &batches[older]);
    take_back(worker, &batches[!older]);
    for (int i = 0; i < 2; i++)
        sem_destroy(&batches[i].ended);
}
