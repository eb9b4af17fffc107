// SPDX-License-Identifier: MIT
//
// The table weir_run, which says whose a run is, and weir_cancel_request, through which one process asks
// another's engine to end a run.
//
// Any thread.
#include <stdlib.h>
#include <string.h>

#include "runs/rows.h"

#define RECORD_COLUMNS                                                                             \
    "r.execution_id, r.argv, r.timeout_ms, r.engine_pid, r.engine_start_ticks, r.engine_boot_id, " \
    "r.script_pid, r.script_start_ticks"

static int row_record(weir_stmt *stmt, weir__run_record *out, weir_error *err)
{
    bool failed = false;
    *out = (weir__run_record){0};
    out->execution_id = weir__row_text(stmt, 0, "", &failed);
    out->argv_size = weir_column_size(stmt, 1);
    const void *const argv = weir_column_blob(stmt, 1);
    out->argv = malloc(out->argv_size + 1);
    failed = failed || out->argv == NULL;
    if (out->argv != NULL && argv != NULL)
        memcpy(out->argv, argv, out->argv_size);
    out->timeout_ms = weir_column_int64(stmt, 2);
    out->engine_pid = weir_column_int64(stmt, 3);
    out->engine_start_ticks = weir_column_int64(stmt, 4);
    out->engine_boot_id = weir__row_text(stmt, 5, NULL, &failed);
    out->script_pid = weir_column_int64(stmt, 6);
    out->script_start_ticks = weir_column_int64(stmt, 7);
    if (!failed)
        return WEIR_OK;
    weir__run_record_free(out);
    return weir__no_memory(err);
}

typedef struct records {
    const char *id; // NULL: all that have not ended
    weir__run_record *items;
    size_t count;
} records;

static int add_record(records *job, weir_stmt *stmt, weir_error *err)
{
    weir__run_record *const grown = realloc(job->items, (job->count + 1) * sizeof *grown);
    if (grown == NULL)
        return weir__no_memory(err);
    job->items = grown;
    const int rc = row_record(stmt, &job->items[job->count], err);
    job->count += rc == WEIR_OK;
    return rc;
}

static int read_records(weir_tx *tx, void *arg, weir_error *err)
{
    records *const job = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc =
        weir_prepare(tx,
                     job->id != NULL ? "SELECT " RECORD_COLUMNS " FROM weir_run r WHERE r.execution_id = $1"
                                     : "SELECT " RECORD_COLUMNS
                                       " FROM executions e JOIN weir_run r ON r.execution_id = e.id "
                                       "WHERE e.status IN ('pending', 'running') ORDER BY e.rowid",
                     &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    if (job->id != NULL)
        weir_bind_text(stmt, 1, job->id, WEIR_TEXT_TERMINATED);
    while ((rc = weir_step(stmt, &row, err)) == WEIR_OK && row)
        if ((rc = add_record(job, stmt, err)) != WEIR_OK)
            break;
    return rc;
}

int weir__runs_read_records(weir_runs *runs, weir__run_record **items, size_t *count, weir_error *err)
{
    records job = {0};
    const weir_read_options options = {.label = "runs: who runs what"};
    const int rc = weir_read(runs->store, read_records, &job, &options, err);
    *items = NULL;
    *count = 0;
    if (rc != WEIR_OK) {
        weir__run_records_free(job.items, job.count);
        return rc;
    }
    *items = job.items;
    *count = job.count;
    return WEIR_OK;
}

void weir__run_records_free(weir__run_record *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weir__run_record_free(&items[i]);
    free(items);
}

int weir__runs_get_record(weir_runs *runs, const char *execution_id, weir__run_record *out, weir_error *err)
{
    *out = (weir__run_record){0};
    records job = {.id = execution_id};
    const weir_read_options options = {.label = "runs: who runs it"};
    const int rc = weir_read(runs->store, read_records, &job, &options, err);
    if (rc == WEIR_OK && job.count == 1) {
        *out = job.items[0];
        free(job.items);
        return WEIR_OK;
    }
    weir__run_records_free(job.items, job.count);
    return rc != WEIR_OK
               ? rc
               : weir__error_set(err, WEIR_NOTFOUND, "the run %s was not started by Weir", execution_id);
}

// -------------------------------------------------------------------------------------------- cancelling

typedef struct cancel {
    const char *id;
    char now[WEIR_LOCAL_TEXT_SIZE];
} cancel;

// Why there is nobody who could be asked: always WEIR_NOTFOUND, or the error of looking.
static int explain_no_cancel(weir_tx *tx, const char *id, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool is_active = false;
    int rc = weir_prepare(tx, "SELECT 1 FROM executions WHERE id = $1 AND status IN ('pending', 'running')",
                          &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, id, WEIR_TEXT_TERMINATED);
    rc = weir_step(stmt, &is_active, err);
    weir_reset(stmt);
    if (rc != WEIR_OK)
        return rc;
    if (is_active)
        return weir__error_set(
            err, WEIR_NOTFOUND,
            "the run %s was not started by Weir: only the program that runs it can cancel it", id);
    return weir__error_set(err, WEIR_NOTFOUND, "there is no run %s that could be cancelled", id);
}

static int note_cancel(weir_tx *tx, void *arg, weir_error *err)
{
    const cancel *const job = arg;
    const int rc = weir_exec(tx, err,
                             "INSERT INTO weir_cancel_request (execution_id, requested_at) "
                             "SELECT e.id, $1 FROM executions e JOIN weir_run r ON r.execution_id = e.id "
                             "WHERE e.id = $2 AND e.status IN ('pending', 'running') "
                             "ON CONFLICT (execution_id) DO UPDATE SET requested_at = excluded.requested_at",
                             "tt", job->now, job->id);
    return rc == WEIR_OK && weir_changes(tx) == 0 ? explain_no_cancel(tx, job->id, err) : rc;
}

int weir__runs_request_cancel(weir_runs *runs, const char *execution_id, weir_error *err)
{
    cancel job = {.id = execution_id};
    weir_local_format(weir_local_now(), job.now);
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED, .label = "runs: ask for the end of a run"};
    return weir_write(runs->store, note_cancel, &job, &options, err);
}

typedef struct requests {
    int64_t engine_pid, engine_start_ticks;
    char **ids;
    size_t count;
} requests;

static int read_requests(weir_tx *tx, void *arg, weir_error *err)
{
    requests *const job = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(
        tx,
        "SELECT c.execution_id FROM weir_cancel_request c JOIN weir_run r "
        "ON r.execution_id = c.execution_id WHERE r.engine_pid = $1 AND r.engine_start_ticks = $2",
        &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, job->engine_pid);
    weir_bind_int64(stmt, 2, job->engine_start_ticks);
    while ((rc = weir_step(stmt, &row, err)) == WEIR_OK && row) {
        bool failed = false;
        char **const grown = realloc(job->ids, (job->count + 1) * sizeof *grown);
        if (grown == NULL)
            return weir__no_memory(err);
        job->ids = grown;
        job->ids[job->count] = weir__row_text(stmt, 0, "", &failed);
        if (failed)
            return weir__no_memory(err);
        job->count++;
    }
    return rc;
}

int weir__runs_read_cancel_requests(weir_runs *runs, int64_t engine_pid, int64_t engine_start_ticks,
                                    char ***ids, size_t *count, weir_error *err)
{
    *ids = NULL;
    *count = 0;
    requests job = {.engine_pid = engine_pid, .engine_start_ticks = engine_start_ticks};
    const weir_read_options options = {.label = "runs: cancel requests"};
    const int rc = weir_read(runs->store, read_requests, &job, &options, err);
    if (rc != WEIR_OK) {
        for (size_t i = 0; i < job.count; i++)
            free(job.ids[i]);
        free(job.ids);
        return rc;
    }
    *ids = job.ids;
    *count = job.count;
    return WEIR_OK;
}
