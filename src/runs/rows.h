// SPDX-License-Identifier: MIT
//
// Rows of the three shared tables as models. A SELECT lists the columns by the macros below, from its first
// column on; more may follow.
#ifndef WEIR_RUNS_ROWS_H
#define WEIR_RUNS_ROWS_H

#include "runs/runs.h"

#define WEIR__EXECUTION_COLUMNS                                                                        \
    "id, name, command, working_directory, status, exit_code, error_message, created_at, started_at, " \
    "completed_at, environment, user_name, tags, total_steps, completed_steps, current_step_index, metadata"
enum { WEIR__EXECUTION_COLUMN_COUNT = 17 };

// An old database that was opened read-only lacks one column.
#define WEIR__STEP_COLUMNS(stop_on_error)                                                             \
    "id, execution_id, name, description, step_index, status, exit_code, error_message, created_at, " \
    "started_at, completed_at, estimated_duration, " stop_on_error ", metadata"

#define WEIR__ARTIFACT_COLUMNS                                                                   \
    "id, execution_id, step_id, name, description, file_path, file_name, file_size, mime_type, " \
    "artifact_type, created_at, tags, is_public, retention_days, metadata"

// Reads the current row. NOMEM is the only error: what does not fit its field is reported as well as it can be
// and counted in runs->warnings.
int weir__row_execution(weir_runs *runs, weir_stmt *stmt, weir_execution *out, weir_error *err);
int weir__row_step(weir_runs *runs, weir_stmt *stmt, weir_run_step *out, weir_error *err);
int weir__row_artifact(weir_runs *runs, weir_stmt *stmt, weir_artifact *out, weir_error *err);

// Sets `exists`. Blocks for the file system that a stored path leads to, so it belongs behind the read: a dead
// network mount must not keep a snapshot open.
void weir__artifact_look(const weir_runs *runs, weir_artifact *artifacts, size_t count);

// A column as a malloc'd string of valid UTF-8; `missing` (may be NULL) for NULL. Sets *failed without
// memory.
char *weir__row_text(weir_stmt *stmt, int column, const char *missing, bool *failed);
// A time column; 0 when it is NULL, or none (*odd is set).
weir_local_us weir__row_time(weir_stmt *stmt, int column, bool *odd);

#endif
