// SPDX-License-Identifier: MIT
//
// Figures over all rows: what ran and how it ended, how large the storage is, whether it works. Statuses are
// counted by SQL; durations are computed here, because the times are text that only the tolerant reader
// understands.
//
// Any thread.
#include <stdlib.h>
#include <string.h>

#include "runs/rows.h"

// -------------------------------------------------------------------------------------------- statistics

static int count_statuses(weir_tx *tx, weir_runs_statistics *out, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, "SELECT status, count(*) FROM executions GROUP BY status", &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    while ((rc = weir_step(stmt, &row, err)) == WEIR_OK && row) {
        weir_run_status status = WEIR_RUN_OTHER;
        const char *const word = weir_column_text(stmt, 0);
        const uint64_t count = (uint64_t)weir_column_int64(stmt, 1);
        weir_run_status_parse(word != NULL ? word : "", &status);
        out->by_status[status] += count;
        out->total += count;
    }
    out->active = out->by_status[WEIR_RUN_PENDING] + out->by_status[WEIR_RUN_RUNNING];
    if (out->total > 0)
        out->success_percent = (double)out->by_status[WEIR_RUN_COMPLETED] / (double)out->total * 100.0;
    return rc;
}

static int average_duration(weir_tx *tx, weir_runs_statistics *out, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    bool odd = false;
    double sum_s = 0.0;
    int rc = weir_prepare(tx, "SELECT started_at, completed_at FROM executions WHERE status = 'completed'",
                          &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    while ((rc = weir_step(stmt, &row, err)) == WEIR_OK && row) {
        const weir_local_us started = weir__row_time(stmt, 0, &odd);
        const weir_local_us completed = weir__row_time(stmt, 1, &odd);
        if (started == 0 || completed == 0 || started == completed)
            continue;
        sum_s += (double)(completed - started) / (double)WEIR__US_PER_S;
        out->timed++;
    }
    if (out->timed > 0)
        out->average_s = sum_s / (double)out->timed;
    return rc;
}

static int read_statistics(weir_tx *tx, void *arg, weir_error *err)
{
    weir_runs_statistics *const out = arg;
    *out = (weir_runs_statistics){0};
    const int rc = count_statuses(tx, out, err);
    return rc != WEIR_OK ? rc : average_duration(tx, out, err);
}

int weir_runs_read_statistics(weir_runs *runs, weir_runs_statistics *out, weir_error *err)
{
    *out = (weir_runs_statistics){0};
    const weir_read_options options = {.label = "runs: statistics"};
    return weir_read(runs->store, read_statistics, out, &options, err);
}

// ----------------------------------------------------------------------------------------------- metrics

static int read_one(weir_tx *tx, const char *sql, weir_stmt **stmt, weir_error *err)
{
    bool row = false;
    const int rc = weir_prepare(tx, sql, stmt, err);
    if (rc != WEIR_OK)
        return rc;
    const int stepped = weir_step(*stmt, &row, err);
    if (stepped != WEIR_OK || row)
        return stepped;
    return weir__error_set(err, WEIR_SQL, "no answer to: %s", sql);
}

static int read_number(weir_tx *tx, const char *sql, int64_t *number, weir_error *err)
{
    weir_stmt *stmt = NULL;
    const int rc = read_one(tx, sql, &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    *number = weir_column_int64(stmt, 0);
    weir_reset(stmt);
    return WEIR_OK;
}

static int read_ages(weir_tx *tx, weir_runs_metrics *out, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool odd = false;
    const int rc = read_one(tx,
                            "SELECT (SELECT min(created_at) FROM executions), "
                            "(SELECT max(created_at) FROM executions)",
                            &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    out->oldest = weir__row_time(stmt, 0, &odd);
    out->newest = weir__row_time(stmt, 1, &odd);
    weir_reset(stmt);
    return WEIR_OK;
}

static int read_metrics(weir_tx *tx, void *arg, weir_error *err)
{
    static const char *const queries[] = {
        "SELECT count(*) FROM executions",
        "SELECT count(*) FROM steps",
        "SELECT count(*) FROM artifacts",
        "SELECT count(*) FROM executions WHERE status = 'running'",
        "SELECT count(*) FROM executions WHERE status = 'completed'",
        "SELECT count(*) FROM executions WHERE status = 'failed'",
        "PRAGMA cache_size",
        "PRAGMA page_size",
    };
    weir_runs_metrics *const out = arg;
    int64_t numbers[8] = {0};
    int rc = WEIR_OK;
    for (size_t i = 0; i < 8 && rc == WEIR_OK; i++)
        rc = read_number(tx, queries[i], &numbers[i], err);
    out->executions = (uint64_t)numbers[0];
    out->steps = (uint64_t)numbers[1];
    out->artifacts = (uint64_t)numbers[2];
    out->running = (uint64_t)numbers[3];
    out->completed = (uint64_t)numbers[4];
    out->failed = (uint64_t)numbers[5];
    out->cache_size = numbers[6];
    out->page_size = numbers[7];
    return rc != WEIR_OK ? rc : read_ages(tx, out, err);
}

int weir_runs_read_metrics(weir_runs *runs, weir_runs_metrics *out, weir_error *err)
{
    *out = (weir_runs_metrics){0};
    weir_stats *const stats = calloc(1, sizeof *stats); // a few KiB
    if (stats == NULL)
        return weir__no_memory(err);
    int rc = weir_stats_read(runs->store, stats, err);
    if (rc == WEIR_OK) {
        out->database_bytes = stats->database_bytes;
        out->wal_bytes = stats->wal_bytes;
        out->shm_bytes = stats->shm_bytes;
        weir__utf8_sanitize(out->journal_mode, sizeof out->journal_mode, stats->journal,
                            strlen(stats->journal));
        const weir_read_options options = {.label = "runs: metrics"};
        rc = weir_read(runs->store, read_metrics, out, &options, err);
    }
    free(stats);
    return rc;
}

// ------------------------------------------------------------------------------------------------- probe

static int probe_read(weir_tx *tx, void *arg, weir_error *err)
{
    int64_t rows = 0;
    (void)arg;
    return read_number(tx, "SELECT count(*) FROM (SELECT 1 FROM executions LIMIT 1)", &rows, err);
}

static int probe_write(weir_tx *tx, void *arg, weir_error *err)
{
    return weir_exec(tx, err,
                     "INSERT INTO weir_probe (id, written_at) VALUES (1, $1) "
                     "ON CONFLICT (id) DO UPDATE SET written_at = excluded.written_at",
                     "t", (const char *)arg);
}

int weir_runs_probe(weir_runs *runs, uint32_t deadline_ms, weir_runs_probe_report *report, weir_error *err)
{
    weir__clock *const clock = weir__clock_system();
    *report = (weir_runs_probe_report){0};
    const weir_read_options reading = {.deadline_ms = deadline_ms, .label = "runs: probe"};
    const uint64_t start_ns = weir__clock_now_ns(clock);
    const int rc = weir_read(runs->store, probe_read, NULL, &reading, err);
    const uint64_t read_ns = weir__clock_now_ns(clock);
    report->read_ns = read_ns - start_ns;
    if (rc != WEIR_OK || runs->read_only)
        return rc;
    // The text is the job's argument and lives on this stack: so the job must have ended when weir_write
    // returns.
    char now[WEIR_LOCAL_TEXT_SIZE];
    weir_local_format(weir_local_now(), now);
    const weir_write_options writing = {
        .ack = runs->ack == WEIR_ACK_APPLIED ? WEIR_ACK_COMMITTED : runs->ack,
        .deadline_ms = deadline_ms,
        .label = "runs: probe",
    };
    const int written = weir_write(runs->store, probe_write, now, &writing, err);
    report->write_ns = weir__clock_now_ns(clock) - read_ns;
    return written;
}
