// SPDX-License-Identifier: MIT
//
// The database's tables: as StepFlow Monitor creates them, its old ones brought up to date, others' refused.
#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "runs/runs.h"
#include "support/storage.h"

static test_storage storage;

static int set_up(void **state)
{
    (void)state;
    test_storage_init(&storage);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_storage_fini(&storage);
    return 0;
}

// Writes a database beforehand, in the journal mode of SQLite's default.
static void make_database(const char *script)
{
    weir_error err = WEIR_ERROR_INIT;
    sqlite3 *db = NULL;
    expect_ok(weir__fs_mkdir_p(test_storage_at(&storage, "database"), 0777, &err), &err);
    assert_int_equal(sqlite3_open(test_storage_at(&storage, "database/stepflow.db"), &db), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, script, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_columns(const char *table, const char *wanted)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT group_concat(name || ' ' || type || CASE WHEN pk THEN ' pk' ELSE '' END || CASE WHEN "
             "\"notnull\" "
             "THEN ' nn' ELSE '' END || coalesce(' ' || dflt_value, ''), ',') FROM pragma_table_info('%s')",
             table);
    assert_string_equal(test_storage_value(&storage, sql), wanted);
}

#define STEPS_WANTED                                                                                      \
    "id TEXT pk,execution_id TEXT nn,name TEXT nn,description TEXT,step_index INTEGER nn,status TEXT nn," \
    "exit_code INTEGER,error_message TEXT,created_at TEXT nn,started_at TEXT,completed_at TEXT,"          \
    "estimated_duration REAL,stop_on_error BOOLEAN 0,metadata TEXT"

static void test_new_tables(void **state)
{
    (void)state;
    test_storage_open(&storage, NULL);
    assert_columns(
        "executions",
        "id TEXT pk,name TEXT nn,command TEXT nn,working_directory TEXT,status TEXT nn,exit_code INTEGER,"
        "error_message TEXT,created_at TEXT nn,started_at TEXT,completed_at TEXT,environment TEXT,"
        "user_name TEXT,tags TEXT,total_steps INTEGER 0,completed_steps INTEGER 0,"
        "current_step_index INTEGER -1,metadata TEXT");
    assert_columns("steps", STEPS_WANTED);
    assert_columns(
        "artifacts",
        "id TEXT pk,execution_id TEXT nn,step_id TEXT,name TEXT nn,description TEXT,file_path TEXT nn,"
        "file_name TEXT,file_size INTEGER 0,mime_type TEXT,artifact_type TEXT,created_at TEXT nn,tags TEXT,"
        "is_public BOOLEAN 1,retention_days INTEGER,metadata TEXT");
    assert_string_equal(
        test_storage_value(&storage,
                           "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_master WHERE "
                           "name LIKE 'idx%' ORDER BY name)"),
        "idx_artifacts_execution_id idx_artifacts_step_id idx_executions_created_at idx_executions_status "
        "idx_executions_user idx_steps_execution_id idx_steps_status");
    assert_string_equal(test_storage_value(&storage,
                                           "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name "
                                           "NOT LIKE 'weir\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'"),
                        "3");
    assert_string_equal(test_storage_value(&storage, "PRAGMA user_version"), "0");
    assert_string_equal(test_storage_value(&storage, "PRAGMA application_id"), "0");
    assert_string_equal(test_storage_value(&storage, "PRAGMA foreign_keys"), "0");
    assert_string_equal(test_storage_value(&storage, "PRAGMA page_size"), "4096");
    assert_true(test_storage_has(&storage, "executions"));
    assert_true(test_storage_has(&storage, "artifacts"));
}

// The second opening finds everything in place and writes nothing.
static void test_opening_again_writes_nothing(void **state)
{
    (void)state;
    test_storage_open(&storage, NULL);
    test_storage_close(&storage);
    test_storage_open(&storage, NULL);
    weir_stats *const stats = calloc(1, sizeof *stats);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(weir_runs_store(storage.runs), stats, &err), &err);
    assert_int_equal(stats->groups, 0);
    free(stats);
}

#define OLD_STEPS                                                                               \
    "CREATE TABLE steps (id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, " \
    "description TEXT, step_index INTEGER NOT NULL, status TEXT NOT NULL, exit_code INTEGER, "  \
    "error_message TEXT, created_at TEXT NOT NULL, started_at TEXT, completed_at TEXT, "        \
    "estimated_duration REAL, metadata TEXT, FOREIGN KEY (execution_id) REFERENCES executions (id));"

static void find_backup(char *name, size_t size)
{
    DIR *const dir = opendir(test_storage_at(&storage, "database"));
    assert_non_null(dir);
    name[0] = '\0';
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (strncmp(entry->d_name, "stepflow.db.bak-", 16) == 0)
            snprintf(name, size, "database/%s", entry->d_name);
    closedir(dir);
}

static void test_old_steps_are_rebuilt(void **state)
{
    (void)state;
    make_database(
        "CREATE TABLE executions (id TEXT PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL, "
        "working_directory TEXT, status TEXT NOT NULL, exit_code INTEGER, error_message TEXT, created_at "
        "TEXT "
        "NOT NULL, started_at TEXT, completed_at TEXT, environment TEXT, user_name TEXT, tags TEXT, "
        "total_steps "
        "INTEGER DEFAULT 0, completed_steps INTEGER DEFAULT 0, current_step_index INTEGER DEFAULT -1, "
        "metadata "
        "TEXT);" OLD_STEPS "INSERT INTO steps VALUES ('s2', 'e', 'second', NULL, 1, 'running', NULL, NULL, "
        "'2025-08-01T10:00:00', NULL, NULL, 2.5, '{\"k\": \"v\"}');"
        "INSERT INTO steps VALUES ('s1', 'e', 'first', 'd', 0, 'completed', 0, 'm', '2025-08-01T09:00:00', "
        "'a', 'b', NULL, NULL);"
        "CREATE INDEX idx_steps_status ON steps(status);");
    test_storage_open(&storage, NULL);
    assert_columns("steps", STEPS_WANTED);
    assert_string_equal(test_storage_value(&storage,
                                           "SELECT group_concat(quote(id) || quote(name) || "
                                           "quote(description) || quote(step_index) || quote(status) || "
                                           "quote(exit_code) || quote(error_message) || quote(created_at) || "
                                           "quote(started_at) || quote(estimated_duration) || "
                                           "quote(stop_on_error) || quote(metadata), ';') FROM steps"),
                        "'s2''second'NULL1'running'NULLNULL'2025-08-01T10:00:00'NULL2.50'{\"k\": \"v\"}';"
                        "'s1''first''d'0'completed'0'm''2025-08-01T09:00:00''a'NULL0NULL");
    assert_string_equal(
        test_storage_value(&storage, "SELECT tbl_name FROM sqlite_master WHERE name = 'idx_steps_status'"),
        "steps");
    assert_string_equal(
        test_storage_value(&storage, "SELECT count(*) FROM sqlite_master WHERE name LIKE '%steps_new%'"),
        "0");
    // The copy is the old database.
    char name[300];
    find_backup(name, sizeof name);
    assert_string_not_equal(name, "");
    sqlite3 *copy = NULL;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_open_v2(test_storage_at(&storage, name), &copy, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(copy,
                                        "SELECT (SELECT count(*) FROM steps), (SELECT count(*) FROM "
                                        "pragma_table_info('steps'))",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(stmt, 0), 2);
    assert_int_equal(sqlite3_column_int(stmt, 1), 13);
    sqlite3_finalize(stmt);
    sqlite3_close(copy);
}

// stop_on_error where ALTER TABLE puts it: its values survive the move to its place.
static void test_misplaced_column_moves(void **state)
{
    (void)state;
    make_database(OLD_STEPS
                  "ALTER TABLE steps ADD COLUMN stop_on_error BOOLEAN DEFAULT 0;"
                  "INSERT INTO steps VALUES ('s', 'e', 'n', NULL, 0, 'running', NULL, NULL, 'c', NULL, NULL, "
                  "NULL, 'meta', 'yes');");
    test_storage_open(&storage, NULL);
    assert_columns("steps", STEPS_WANTED);
    assert_string_equal(test_storage_value(&storage, "SELECT stop_on_error || metadata FROM steps"),
                        "yesmeta");
}

static void test_further_columns_are_fine(void **state)
{
    (void)state;
    test_storage_open(&storage, NULL);
    test_storage_sql(&storage,
                     "ALTER TABLE executions ADD COLUMN note TEXT; ALTER TABLE steps ADD COLUMN note TEXT;");
    test_storage_close(&storage);
    test_storage_open(&storage, NULL);
    char name[300];
    find_backup(name, sizeof name);
    assert_string_equal(name, "");
}

static void test_foreign_tables_are_refused(void **state)
{
    const weir_runs_config config = {.no_engine = true};
    weir_error err = WEIR_ERROR_INIT;
    (void)state;
    make_database("CREATE TABLE executions (id TEXT PRIMARY KEY, title TEXT);");
    expect_code(weir_runs_open(storage.path, &config, &storage.runs, &err), WEIR_SQL, &err);
    assert_null(storage.runs);
    assert_non_null(strstr(err.text, "executions"));
    assert_non_null(strstr(err.text, storage.path));
}

static void test_missing_folders(void **state)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_runs *runs = NULL;
    char deep[128];
    (void)state;
    const weir_runs_config must_exist = {.must_exist = true, .no_engine = true};
    const weir_runs_config read_only = {.read_only = true};
    expect_code(weir_runs_open(storage.path, &must_exist, &runs, &err), WEIR_NOTFOUND, &err);
    assert_null(runs);
    assert_non_null(strstr(err.text, storage.path));
    expect_code(weir_runs_open(storage.path, &read_only, &runs, &err), WEIR_NOTFOUND, &err);
    assert_false(test_storage_has(&storage, "."));
    snprintf(deep, sizeof deep, "%s/a/b", storage.root);
    expect_code(weir_runs_open(deep, NULL, &runs, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_open("", NULL, &runs, &err), WEIR_INVALID, &err);
    assert_null(runs);
}

static void test_a_file_is_no_folder(void **state)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_runs *runs = NULL;
    (void)state;
    expect_ok(weir__fs_write_atomic(storage.path, "x", 1, 0666, &err), &err);
    assert_int_not_equal(weir_runs_open(storage.path, NULL, &runs, &err), WEIR_OK);
    assert_null(runs);
    assert_non_null(strstr(err.text, storage.path));
}

// An old folder can be looked at without being changed.
static void test_read_only_old_database(void **state)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_run_step_list steps;
    (void)state;
    test_storage_open(&storage, NULL);
    test_storage_sql(&storage, "DROP TABLE steps; DROP TABLE weir_probe;" OLD_STEPS
                               "INSERT INTO steps VALUES ('s', 'e', 'n', NULL, 0, 'running', NULL, NULL, "
                               "'2025-08-01T10:00:00', NULL, NULL, NULL, '{\"k\": 1}');");
    test_storage_close(&storage);
    const weir_runs_config read_only = {.read_only = true};
    test_storage_open(&storage, &read_only);
    assert_true(weir_runs_is_read_only(storage.runs));
    expect_ok(weir_runs_steps(storage.runs, "e", &steps, &err), &err);
    assert_int_equal(steps.count, 1);
    assert_false(steps.items[0].stop_on_error);
    assert_string_equal(steps.items[0].metadata_json, "{\"k\": 1}");
    expect_code(weir_runs_save_step(storage.runs, &steps.items[0], &err), WEIR_DENIED, &err);
    expect_code(weir_runs_repair(storage.runs, false, NULL, &err), WEIR_DENIED, &err);
    expect_code(weir_runs_cleanup(storage.runs, NULL, NULL, &err), WEIR_DENIED, &err);
    weir_runs_probe_report report;
    expect_ok(weir_runs_probe(storage.runs, 0, &report, &err), &err);
    assert_int_equal(report.write_ns, 0);
    weir_run_step_list_free(&steps);
    assert_columns(
        "steps",
        "id TEXT pk,execution_id TEXT nn,name TEXT nn,description TEXT,step_index INTEGER nn,status "
        "TEXT nn,exit_code INTEGER,error_message TEXT,created_at TEXT nn,started_at TEXT,completed_at "
        "TEXT,estimated_duration REAL,metadata TEXT");
}

int main(void)
{
#define WITH_STORAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_STORAGE(test_new_tables),
        WITH_STORAGE(test_opening_again_writes_nothing),
        WITH_STORAGE(test_old_steps_are_rebuilt),
        WITH_STORAGE(test_misplaced_column_moves),
        WITH_STORAGE(test_further_columns_are_fine),
        WITH_STORAGE(test_foreign_tables_are_refused),
        WITH_STORAGE(test_missing_folders),
        WITH_STORAGE(test_a_file_is_no_folder),
        WITH_STORAGE(test_read_only_old_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
