// SPDX-License-Identifier: MIT
//
// Three tables belong to StepFlow Monitor, which reads rows by position: their columns, and the columns'
// order, are exactly its own. Opening goes
//
//   look (one snapshot) -> nothing missing: done, without a write
//                       -> old steps table: backup copy, rebuild in one transaction
//                       -> anything missing: create it in one transaction
//
// and every transaction looks again first, since another process may have been faster.
//
// Old databases have a steps table without stop_on_error, whose last column is metadata. Adding the column
// at the end would put it where StepFlow Monitor expects metadata, so the table is rebuilt in order.
//
// Foreign keys are declared as that program declares them, and never enforced: orphans are legal there.
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "runs/schema.h"

#define STEPS_COLUMNS                                                                            \
    "id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, description TEXT, "    \
    "step_index INTEGER NOT NULL, status TEXT NOT NULL, exit_code INTEGER, error_message TEXT, " \
    "created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT, estimated_duration REAL, "    \
    "stop_on_error BOOLEAN DEFAULT 0, metadata TEXT, "                                           \
    "FOREIGN KEY (execution_id) REFERENCES executions (id)"

static const char create_all[] =
    "CREATE TABLE IF NOT EXISTS executions (id TEXT PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL, "
    "working_directory TEXT, status TEXT NOT NULL, exit_code INTEGER, error_message TEXT, "
    "created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT, environment TEXT, user_name TEXT, tags "
    "TEXT, "
    "total_steps INTEGER DEFAULT 0, completed_steps INTEGER DEFAULT 0, current_step_index INTEGER DEFAULT "
    "-1, "
    "metadata TEXT);"
    "CREATE TABLE IF NOT EXISTS steps (" STEPS_COLUMNS ");"
    "CREATE TABLE IF NOT EXISTS artifacts (id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, step_id TEXT, "
    "name TEXT NOT NULL, description TEXT, file_path TEXT NOT NULL, file_name TEXT, file_size INTEGER "
    "DEFAULT 0, "
    "mime_type TEXT, artifact_type TEXT, created_at TEXT NOT NULL, tags TEXT, is_public BOOLEAN DEFAULT 1, "
    "retention_days INTEGER, metadata TEXT, FOREIGN KEY (execution_id) REFERENCES executions (id), "
    "FOREIGN KEY (step_id) REFERENCES steps (id));"
    "CREATE INDEX IF NOT EXISTS idx_executions_status ON executions(status);"
    "CREATE INDEX IF NOT EXISTS idx_executions_created_at ON executions(created_at);"
    "CREATE INDEX IF NOT EXISTS idx_executions_user ON executions(user_name);"
    "CREATE INDEX IF NOT EXISTS idx_steps_execution_id ON steps(execution_id);"
    "CREATE INDEX IF NOT EXISTS idx_steps_status ON steps(status);"
    "CREATE INDEX IF NOT EXISTS idx_artifacts_execution_id ON artifacts(execution_id);"
    "CREATE INDEX IF NOT EXISTS idx_artifacts_step_id ON artifacts(step_id);"
    // Ours: lists by status or user and steps in order, without a sort.
    "CREATE INDEX IF NOT EXISTS weir_idx_executions_status_created ON executions(status, created_at);"
    "CREATE INDEX IF NOT EXISTS weir_idx_executions_user_created ON executions(user_name, created_at);"
    "CREATE INDEX IF NOT EXISTS weir_idx_steps_order ON steps(execution_id, step_index);"
    "CREATE TABLE IF NOT EXISTS weir_run (execution_id TEXT PRIMARY KEY, argv BLOB, timeout_ms INTEGER, "
    "engine_pid INTEGER, engine_start_ticks INTEGER, engine_boot_id TEXT, script_pid INTEGER, "
    "script_start_ticks INTEGER);"
    "CREATE TABLE IF NOT EXISTS weir_run_output (execution_id TEXT NOT NULL, step_id TEXT NOT NULL, "
    "lines INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (execution_id, step_id));"
    "CREATE TABLE IF NOT EXISTS weir_cancel_request (execution_id TEXT PRIMARY KEY, requested_at TEXT NOT "
    "NULL);"
    "CREATE TABLE IF NOT EXISTS weir_pending_delete (execution_id TEXT NOT NULL, artifact_file TEXT NOT "
    "NULL, "
    "noted_at TEXT NOT NULL, PRIMARY KEY (execution_id, artifact_file));"
    "CREATE TABLE IF NOT EXISTS weir_probe (id INTEGER PRIMARY KEY, written_at TEXT NOT NULL);";

static const char *const objects[] = {
    "executions",
    "steps",
    "artifacts",
    "idx_executions_status",
    "idx_executions_created_at",
    "idx_executions_user",
    "idx_steps_execution_id",
    "idx_steps_status",
    "idx_artifacts_execution_id",
    "idx_artifacts_step_id",
    "weir_idx_executions_status_created",
    "weir_idx_executions_user_created",
    "weir_idx_steps_order",
    "weir_run",
    "weir_run_output",
    "weir_cancel_request",
    "weir_pending_delete",
    "weir_probe",
};

static const char *const execution_columns[] = {
    "id",         "name",         "command",         "working_directory",
    "status",     "exit_code",    "error_message",   "created_at",
    "started_at", "completed_at", "environment",     "user_name",
    "tags",       "total_steps",  "completed_steps", "current_step_index",
    "metadata",   NULL,
};

static const char *const step_columns[] = {
    "id",           "execution_id",       "name",          "description", "step_index",
    "status",       "exit_code",          "error_message", "created_at",  "started_at",
    "completed_at", "estimated_duration", "stop_on_error", "metadata",    NULL,
};

static const char *const artifact_columns[] = {
    "id",        "execution_id", "step_id",       "name",       "description", "file_path", "file_name",
    "file_size", "mime_type",    "artifact_type", "created_at", "tags",        "is_public", "retention_days",
    "metadata",  NULL,
};

typedef enum table_state {
    TABLE_MISSING = 0,
    TABLE_RIGHT,   // our columns, in order; more may follow
    TABLE_OLD,     // steps: without stop_on_error, or with it in another place
    TABLE_FOREIGN, // a column that we need is not there
} table_state;

typedef struct schema_view {
    table_state executions, steps, artifacts;
    bool has_stop_on_error;
    bool complete; // every object exists
} schema_view;

// ------------------------------------------------------------------------------------------------ looking

static size_t find_column(const char *const *columns, const char *name)
{
    size_t i = 0;
    while (columns[i] != NULL && strcmp(columns[i], name) != 0)
        i++;
    return i;
}

// How the columns of `table` compare with those expected; stop_on_error alone may be missing.
static int look_at_table(weir_tx *tx, const char *table, const char *const *columns, table_state *state,
                         bool *has_stop_on_error, weir_error *err)
{
    weir_stmt *stmt = NULL;
    int rc = weir_prepare(tx, "SELECT name FROM pragma_table_info($1) ORDER BY cid", &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, table, WEIR_TEXT_TERMINATED);
    size_t at = 0;
    size_t known = 0;
    bool in_order = true;
    bool row = false;
    while ((rc = weir_step(stmt, &row, err)) == WEIR_OK && row) {
        const char *const text = weir_column_text(stmt, 0);
        const char *const name = text != NULL ? text : "";
        const size_t index = find_column(columns, name);
        known += columns[index] != NULL;
        in_order = in_order && (columns[at] == NULL || index == at);
        at += columns[at] != NULL;
        *has_stop_on_error =
            *has_stop_on_error || (columns[index] != NULL && strcmp(name, "stop_on_error") == 0);
    }
    if (rc != WEIR_OK)
        return rc;
    const size_t needed = find_column(columns, "");
    const bool may_miss = columns == step_columns && !*has_stop_on_error;
    if (at == 0)
        *state = TABLE_MISSING;
    else if (known + may_miss < needed)
        *state = TABLE_FOREIGN;
    else
        *state =
            in_order && known == needed ? TABLE_RIGHT : (columns == step_columns ? TABLE_OLD : TABLE_RIGHT);
    return WEIR_OK;
}

static int count_objects(weir_tx *tx, size_t *count, weir_error *err)
{
    *count = 0;
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        weir_stmt *stmt = NULL;
        bool row = false;
        int rc = weir_prepare(tx, "SELECT 1 FROM sqlite_master WHERE name = $1", &stmt, err);
        if (rc != WEIR_OK)
            return rc;
        weir_bind_text(stmt, 1, objects[i], WEIR_TEXT_TERMINATED);
        rc = weir_step(stmt, &row, err);
        if (rc != WEIR_OK)
            return rc;
        weir_reset(stmt);
        *count += row;
    }
    return WEIR_OK;
}

static int look(weir_tx *tx, void *arg, weir_error *err)
{
    schema_view *const view = arg;
    *view = (schema_view){0};
    bool ignored = false;
    size_t count = 0;
    int rc = look_at_table(tx, "executions", execution_columns, &view->executions, &ignored, err);
    if (rc == WEIR_OK)
        rc = look_at_table(tx, "steps", step_columns, &view->steps, &view->has_stop_on_error, err);
    if (rc == WEIR_OK)
        rc = look_at_table(tx, "artifacts", artifact_columns, &view->artifacts, &ignored, err);
    if (rc == WEIR_OK)
        rc = count_objects(tx, &count, err);
    view->complete = count == sizeof objects / sizeof *objects;
    return rc;
}

static int refuse_foreign(const weir_runs *runs, const schema_view *view, weir_error *err)
{
    const char *const table = view->executions == TABLE_FOREIGN  ? "executions"
                              : view->steps == TABLE_FOREIGN     ? "steps"
                              : view->artifacts == TABLE_FOREIGN ? "artifacts"
                                                                 : NULL;
    if (table == NULL)
        return WEIR_OK;
    return weir__error_set(
        err, WEIR_SQL,
        "the table %s in %s lacks columns that a StepFlow Monitor database has: it belongs to "
        "another program, or was changed by hand",
        table, runs->database);
}

// ----------------------------------------------------------------------------------------------- changing

// Moves every row of steps into a table with the columns in order.
static int rebuild_steps(weir_tx *tx, bool has_stop_on_error, weir_error *err)
{
    static const char without[] =
        "INSERT INTO weir_steps_new SELECT id, execution_id, name, description, step_index, status, "
        "exit_code, "
        "error_message, created_at, started_at, completed_at, estimated_duration, 0, metadata FROM steps "
        "ORDER BY rowid;";
    static const char with[] =
        "INSERT INTO weir_steps_new SELECT id, execution_id, name, description, step_index, status, "
        "exit_code, "
        "error_message, created_at, started_at, completed_at, estimated_duration, stop_on_error, metadata "
        "FROM steps ORDER BY rowid;";
    int rc = weir_exec_script(tx, "CREATE TABLE weir_steps_new (" STEPS_COLUMNS ");", err);
    if (rc == WEIR_OK)
        rc = weir_exec_script(tx, has_stop_on_error ? with : without, err);
    if (rc == WEIR_OK)
        rc = weir_exec_script(tx, "DROP TABLE steps; ALTER TABLE weir_steps_new RENAME TO steps;", err);
    return rc;
}

static int bring_up_to_date(weir_tx *tx, void *arg, weir_error *err)
{
    const weir_runs *const runs = arg;
    schema_view view;
    int rc = look(tx, &view, err);
    if (rc == WEIR_OK)
        rc = refuse_foreign(runs, &view, err);
    if (rc == WEIR_OK && view.steps == TABLE_OLD)
        rc = rebuild_steps(tx, view.has_stop_on_error, err);
    return rc != WEIR_OK ? rc : weir_exec_script(tx, create_all, err);
}

static int back_up_before_rebuild(weir_runs *runs, weir_error *err)
{
    char *path = NULL;
    const int rc = weir__schema_backup(runs, &path, err);
    if (rc == WEIR_OK)
        weir__log(WEIR__LOG_WARNING,
                  "%s is of an older StepFlow Monitor; rebuilding its table steps, a copy is in %s",
                  runs->database, path);
    free(path);
    return rc;
}

// A read-only store is taken as it is, as long as there is something to read.
static int accept_read_only(weir_runs *runs, const schema_view *view, weir_error *err)
{
    runs->has_stop_on_error = view->has_stop_on_error;
    if (view->executions != TABLE_MISSING && view->steps != TABLE_MISSING && view->artifacts != TABLE_MISSING)
        return WEIR_OK;
    return weir__error_set(err, WEIR_SQL, "%s has no tables of StepFlow Monitor", runs->database);
}

int weir__schema_prepare(weir_runs *runs, weir_error *err)
{
    const weir_read_options reading = {.label = "runs: schema"};
    schema_view view;
    int rc = weir_read(runs->store, look, &view, &reading, err);
    if (rc == WEIR_OK)
        rc = refuse_foreign(runs, &view, err);
    if (rc != WEIR_OK)
        return rc;
    if (runs->read_only)
        return accept_read_only(runs, &view, err);
    runs->has_stop_on_error = true;
    if (view.complete && view.steps == TABLE_RIGHT)
        return WEIR_OK;
    if (view.steps == TABLE_OLD)
        rc = back_up_before_rebuild(runs, err);
    const weir_write_options writing = {
        .ack = WEIR_ACK_COMMITTED, .deadline_ms = runs->open_deadline_ms, .label = "runs: schema"};
    return rc != WEIR_OK ? rc : weir_write(runs->store, bring_up_to_date, runs, &writing, err);
}
