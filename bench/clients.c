// SPDX-License-Identifier: MIT
//
// Weir, with its defaults: clients that wait for each write (weir_write), and clients that keep 64 in flight
// (weir_submit, flight.h).
#include <stdlib.h>

#include <weir/weir.h>

#include "bench/commit.h"
#include "bench/flight.h"

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
            weir__worker_fail(worker, code, &err);
    }
}

// ---------------------------------------------------------------------------------------- jobs in flight

static int insert_write(weir_tx *tx, void *arg, weir_error *err)
{
    const weir__flight_write *write = arg;
    const client_task *context = write->context;
    entry e = {.task = context->task, .value = write->value};
    return insert_row(tx, &e, err);
}

// On the thread that committed.
static void on_done(void *context, const weir_error *result)
{
    weir__flight_landed(context, result);
}

static int submit(weir__worker *worker, weir__flight_write *write, weir_error *err)
{
    const client_task *context = worker->context;
    const weir_write_options options = {
        .ack = WEIR_ACK_DURABLE, .label = "bench", .arg_bytes = sizeof *write};
    return weir_submit(context->store, insert_write, write, &options, on_done, write, err);
}

void weir__client_in_flight(weir__worker *worker)
{
    weir__flight_run(worker, submit);
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
        weir__bench_pace_of(crew, 0, crew->size, &round->pace);
        code = note_groups(context.store, round, err);
    }
    const int close_code = weir_close(context.store, 0, code == WEIR_OK ? err : NULL);
    return code == WEIR_OK ? close_code : code;
}
