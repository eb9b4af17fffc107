// SPDX-License-Identifier: MIT
//
// Maintenance: statistics for the planner, a checkpoint, and a check of the file.
//
// The statistics are refreshed in a job of their own, bounded by analysis_limit, so the writer is held for
// milliseconds. The check runs on a connection of its own, beside reads and writes; only its snapshot is
// felt, as a pin on the log.
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "store/store.h"

enum {
    ANALYSIS_LIMIT = 400, // rows looked at per index, as SQLite's documentation advises
    PROGRESS_OPS = 20000, // virtual machine steps between two calls of the progress function
    OPTIMIZE_DEADLINE_MS = 60000,
};

static int optimize_job(weir_tx *tx, void *arg, weir_error *err)
{
    const weir_optimize_options *options = arg;
    char limit[64];
    snprintf(limit, sizeof limit, "PRAGMA analysis_limit=%d", ANALYSIS_LIMIT);
    const int code = weir_exec_script(tx, limit, err);
    return code != WEIR_OK ? code
                           : weir_exec_script(tx, options->analyze_all ? "ANALYZE" : "PRAGMA optimize", err);
}

typedef struct check_state {
    weir_store *store;
    const weir_optimize_options *options;
    uint64_t done;
    bool cancelled, closing;
} check_state;

static bool tell(const weir_optimize_options *options, const char *phase, uint64_t done, uint64_t total)
{
    return !options->progress || options->progress(options->context, phase, done, total);
}

static int on_progress(void *arg)
{
    check_state *state = arg;
    state->done += PROGRESS_OPS;
    state->closing = weir__store_is_closing(state->store);
    state->cancelled = !state->closing && !tell(state->options, "check", state->done, 0);
    return state->closing || state->cancelled;
}

static int check_file(weir_store *store, const weir_optimize_options *options, weir_optimize_report *report,
                      weir_error *err)
{
    weir_tx *conn = NULL;
    check_state state = {.store = store, .options = options};
    int code = weir__store_connect(store, WEIR__CONN_SERVICE, &conn, err);
    if (code != WEIR_OK)
        return code;
    sqlite3_progress_handler(conn->db, PROGRESS_OPS, on_progress, &state);
    code = weir__conn_pragma_text(conn,
                                  options->full_check ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)",
                                  report->check, sizeof report->check, err);
    weir__conn_close(conn);
    if (state.cancelled)
        return weir__error_set(err, WEIR_CANCELLED, "%s: the check was cancelled", store->path);
    if (state.closing)
        return weir__error_set(err, WEIR_CLOSED, "%s: the store is closing, so its check was given up",
                               store->path);
    report->intact = code == WEIR_OK && strcmp(report->check, "ok") == 0;
    return code;
}

static int optimize(weir_store *store, weir_optimize_options options, weir_optimize_report *report,
                    weir_error *err)
{
    const uint64_t start_ns = weir__clock_now_ns(store->clock);
    const weir_write_options write = {
        .ack = WEIR_ACK_COMMITTED, .deadline_ms = OPTIMIZE_DEADLINE_MS, .label = "optimize"};
    if (!tell(&options, "optimize", 0, 1))
        return weir__error_set(err, WEIR_CANCELLED, "%s: cancelled before anything was done", store->path);
    int code = weir_write(store, optimize_job, &options, &write, err);
    const uint64_t optimized_ns = weir__clock_now_ns(store->clock);
    report->optimize_ns = optimized_ns - start_ns;
    if (code == WEIR_OK && store->wal && !tell(&options, "checkpoint", 0, 1))
        return weir__error_set(err, WEIR_CANCELLED, "%s: cancelled before the checkpoint", store->path);
    if (code == WEIR_OK && store->wal)
        code = weir_checkpoint(store, WEIR_CHECKPOINT_FULL, 0, &report->checkpoint, err);
    const uint64_t checkpointed_ns = weir__clock_now_ns(store->clock);
    report->checkpoint_ns = checkpointed_ns - optimized_ns;
    if (store->memory) {
        report->intact = true;
        snprintf(report->check, sizeof report->check, "a database in memory is not checked");
    } else if (code == WEIR_OK) {
        code = check_file(store, &options, report, err);
    } else if (code == WEIR_CORRUPT && check_file(store, &options, report, NULL) == WEIR_OK &&
               !report->intact) {
        code = WEIR_OK; // the planner's statistics stumbled on what the report now describes
    }
    report->check_ns = weir__clock_now_ns(store->clock) - checkpointed_ns;
    return code;
}

int weir_optimize(weir_store *store, const weir_optimize_options *given, weir_optimize_report *report,
                  weir_error *err)
{
    memset(report, 0, sizeof *report);
    int code = weir__store_enter(store, false, err);
    if (code != WEIR_OK)
        return code;
    code = optimize(store, given ? *given : (weir_optimize_options){0}, report, err);
    weir__store_leave(store);
    return code;
}
