// SPDX-License-Identifier: MIT
//
// Weir, with its defaults: clients that wait for each write (weir_write), and clients that keep 64 in flight
// (weir_submit).
//
// A client in flight has two batches of jobs. It waits until every job of the older batch is durable, takes
// the time for all of them, and hands in a batch of new ones, while the other batch is under way: 64 jobs in
// flight at most, half of that at least. The latency of each runs from its own submission to the moment its
// client learns of it, which is a little later than its acknowledgement.
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "bench/commit.h"

typedef struct client_task {
    weir__bench_task *task;
    weir_store *store;
} client_task;

// A job's argument.
typedef struct entry {
    const weir__bench_task *task;
    int64_t value;
} entry;

static int insert_row(weir_tx *tx, void *arg, weir_error *err)
{
    const entry *e = arg;
    weir_stmt *stmt = NULL;
    bool more = false;
    const int code = weir_prepare(tx, WEIR__BENCH_INSERT, &stmt, err);
    if (code != WEIR_OK)
        return code;
    weir_bind_int64(stmt, 1, e->value);
    weir_bind_text(stmt, 2, e->task->text, e->task->text_bytes);
    return weir_step(stmt, &more, err);
}

// As WEIR_OK in an error may only be read off the returned code, the worker's error is set from that.
static void keep_error(weir__worker *worker, const weir_error *err, int code)
{
    weir__error_copy(&worker->err, err);
    worker->err.code = code;
}

void weir__client_blocking(weir__worker *worker)
{
    const client_task *context = worker->context;
    const weir_write_options options = {.ack = WEIR_ACK_DURABLE, .label = "bench"};
    weir__worker_ready(worker);
    while (weir__worker_goes_on(worker)) {
        entry e = {.task = context->task, .value = weir__worker_next_value(worker)};
        weir_error err = WEIR_ERROR_INIT;
        const uint64_t start_ns = weir__worker_now_ns();
        const int code = weir_write(context->store, insert_row, &e, &options, &err);
        if (code == WEIR_OK)
            weir__worker_acknowledge(worker, 1, e.value, weir__worker_now_ns() - start_ns);
        else
            keep_error(worker, &err, code);
    }
}

// ---------------------------------------------------------------------------------------- jobs in flight

typedef struct batch {
    _Atomic unsigned open;   // jobs that have not ended
    _Atomic unsigned failed; // of those that have
    sem_t ended;             // posted with the last one
    weir_error failure;      // of the first failed job
    unsigned size;           // submitted: owned by the client
    entry entries[WEIR__BENCH_BATCH_JOBS];
    uint64_t submitted_ns[WEIR__BENCH_BATCH_JOBS];
} batch;

static void end_one(batch *b)
{
    if (atomic_fetch_sub_explicit(&b->open, 1, memory_order_acq_rel) == 1)
        sem_post(&b->ended);
}

// On the thread that committed.
static void on_done(void *context, const weir_error *result)
{
    batch *b = context;
    if (result->code != WEIR_OK && atomic_fetch_add(&b->failed, 1) == 0)
        weir__error_copy(&b->failure, result);
    end_one(b);
}

// One job more than there are is kept open while the batch is handed in, so that it cannot end before.
static void hand_in(weir__worker *worker, batch *b)
{
    const client_task *context = worker->context;
    const weir_write_options options = {
        .ack = WEIR_ACK_DURABLE, .label = "bench", .arg_bytes = sizeof *b->entries};
    atomic_store_explicit(&b->open, WEIR__BENCH_BATCH_JOBS + 1, memory_order_relaxed);
    b->size = 0;
    while (b->size < WEIR__BENCH_BATCH_JOBS) {
        const unsigned i = b->size;
        b->entries[i] = (entry){.task = context->task, .value = weir__worker_next_value(worker)};
        b->submitted_ns[i] = weir__worker_now_ns();
        weir_error err = WEIR_ERROR_INIT;
        const int code = weir_submit(context->store, insert_row, &b->entries[i], &options, on_done, b, &err);
        if (code != WEIR_OK) {
            keep_error(worker, &err, code);
            break;
        }
        b->size++;
    }
    for (unsigned i = b->size; i <= WEIR__BENCH_BATCH_JOBS; i++)
        end_one(b);
}

static void take_back(weir__worker *worker, batch *b)
{
    while (sem_wait(&b->ended) != 0)
        continue; // a debugger may interrupt it
    if (atomic_load(&b->failed))
        keep_error(worker, &b->failure, b->failure.code);
    const uint64_t now_ns = weir__worker_now_ns();
    for (unsigned i = 0; i < b->size && worker->err.code == WEIR_OK; i++)
        weir__worker_acknowledge(worker, 1, b->entries[i].value, now_ns - b->submitted_ns[i]);
    b->size = 0;
}

void weir__client_in_flight(weir__worker *worker)
{
    batch batches[2] = {0};
    for (int i = 0; i < 2; i++)
        sem_init(&batches[i].ended, 0, 0);
    weir__worker_ready(worker);
    for (int i = 0; i < 2; i++)
        hand_in(worker, &batches[i]);
    int older = 0;
    for (; weir__worker_goes_on(worker); older = !older) {
        take_back(worker, &batches[older]);
        hand_in(worker, &batches[older]);
    }
    take_back(worker, &batches[older]);
    take_back(worker, &batches[!older]);
    for (int i = 0; i < 2; i++)
        sem_destroy(&batches[i].ended);
}

// ------------------------------------------------------------------------------------------------- a round

static int check_journal(weir_store *store, const char *path, weir_error *err)
{
    weir_stats *stats = calloc(1, sizeof *stats);
    if (!stats)
        return weir__error_set(err, WEIR_NOMEM, "out of memory");
    int code = weir_stats_read(store, stats, err);
    if (code == WEIR_OK && stats->degraded)
        code = weir__error_set(err, WEIR_UNSUPPORTED,
                               "%s: the file system cannot hold a database in WAL mode: name another "
                               "directory with --dir",
                               path);
    free(stats);
    return code;
}

static int note_groups(weir_store *store, weir__bench_round *round, weir_error *err)
{
    weir_stats *stats = calloc(1, sizeof *stats);
    if (!stats)
        return weir__error_set(err, WEIR_NOMEM, "out of memory");
    const int code = weir_stats_read(store, stats, err);
    round->group_jobs_p50 = stats->group_jobs.p50;
    free(stats);
    return code;
}

int weir__client_run(weir__bench_task *task, weir__crew *crew, weir__bench_round *round, weir_error *err)
{
    const weir__bench_row *row = task->row;
    const weir_config config = {.sync_delay_us = task->sync_delay_us, .cache_kib = WEIR__BENCH_CACHE_KIB};
    client_task context = {.task = task};
    int code = weir_open(task->database, &config, &context.store, err);
    if (code != WEIR_OK)
        return code;
    code = check_journal(context.store, task->database, err);
    if (code == WEIR_OK)
        code = weir__crew_run(crew, row->threads, row->work, &context, task->window_ns, task->signals,
                              &task->signal_number, err);
    if (code == WEIR_OK) {
        weir__bench_pace_of(crew, &round->pace);
        code = note_groups(context.store, round, err);
    }
    const int close_code = weir_close(context.store, 0, code == WEIR_OK ? err : NULL);
    return code == WEIR_OK ? close_code : code;
}
