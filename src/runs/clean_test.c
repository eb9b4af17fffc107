// SPDX-License-Identifier: MIT
//
// Removing: rows and files together, what must stay, what an interrupted removal leaves, repair.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "runs/clean.h"
#include "support/storage.h"

static test_storage storage;
static weir_error err;

static int set_up(void **state)
{
    (void)state;
    test_storage_init(&storage);
    test_storage_open(&storage, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_storage_fini(&storage);
    return 0;
}

// An execution `days` old with a step, an artifact and 10 bytes in two files.
static void make_execution(const char *id, const char *status, int days)
{
    char created_at[WEIR_LOCAL_TEXT_SIZE];
    char sql[1024];
    weir_local_format(weir_local_now() - days * 86400 * WEIR__US_PER_S, created_at);
    snprintf(
        sql, sizeof sql,
        "INSERT INTO executions (id, name, command, status, created_at) VALUES ('%s', '', '', '%s', '%s');"
        "INSERT INTO steps (id, execution_id, name, step_index, status, created_at) VALUES ('s-%s', '%s', "
        "'', 0, "
        "'running', '%s');"
        "INSERT INTO artifacts (id, execution_id, name, file_path, created_at) VALUES ('a-%s', '%s', '', "
        "'x/a-%s_f', "
        "'%s'); INSERT INTO weir_run_output VALUES ('%s', '', 1, 1);",
        id, status, created_at, id, id, created_at, id, id, id, created_at, id);
    test_storage_sql(&storage, sql);
    snprintf(sql, sizeof sql, "executions/%s/run.log", id);
    test_storage_put(&storage, sql, "12345", 5);
    snprintf(sql, sizeof sql, "artifacts/%s/a-%s_f", id, id);
    test_storage_put(&storage, sql, "12345", 5);
}

static bool has_files(const char *id)
{
    char executions[64];
    char artifacts[64];
    snprintf(executions, sizeof executions, "executions/%s", id);
    snprintf(artifacts, sizeof artifacts, "artifacts/%s", id);
    assert_int_equal(test_storage_has(&storage, executions), test_storage_has(&storage, artifacts));
    return test_storage_has(&storage, executions);
}

#define IDS "SELECT coalesce(group_concat(id), '') FROM (SELECT id FROM executions ORDER BY id)"

static void test_cleanup(void **state)
{
    weir_runs_removed removed;
    weir_runs_cleanup_options options = {.days = 30, .dry_run = true};
    (void)state;
    make_execution("old-done", "completed", 40);
    make_execution("old-failed", "failed", 31);
    make_execution("old-cancelled", "cancelled", 31);
    make_execution("old-running", "running", 40);
    make_execution("old-pending", "pending", 40);
    make_execution("old-odd", "paused", 40);
    make_execution("young", "completed", 29);
    expect_ok(weir_runs_cleanup(storage.runs, &options, &removed, &err), &err);
    assert_int_equal(removed.executions, 3);
    assert_int_equal(removed.steps, 3);
    assert_int_equal(removed.artifacts, 3);
    assert_int_equal(removed.files, 6);
    assert_int_equal(removed.bytes, 30);
    assert_true(has_files("old-done"));
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM executions"), "7");
    options.dry_run = false;
    expect_ok(weir_runs_cleanup(storage.runs, &options, &removed, &err), &err);
    assert_int_equal(removed.executions, 3);
    assert_int_equal(removed.steps, 3);
    assert_int_equal(removed.artifacts, 3);
    assert_int_equal(removed.files, 6);
    assert_int_equal(removed.bytes, 30);
    assert_string_equal(test_storage_value(&storage, IDS), "old-odd,old-pending,old-running,young");
    assert_false(has_files("old-done"));
    assert_false(has_files("old-failed"));
    assert_true(has_files("old-running"));
    assert_true(has_files("young"));
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM weir_pending_delete"), "0");
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM weir_run_output"), "4");
    expect_ok(weir_runs_cleanup(storage.runs, &options, &removed, &err), &err);
    assert_int_equal(removed.executions, 0);
}

// However large the number of days, it never turns into a time in the future.
static void test_many_days(void **state)
{
    static const uint32_t days[] = {20000, 700000, 800000, 1000000000, UINT32_MAX};
    (void)state;
    make_execution("old", "failed", 40);
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        weir_runs_removed removed;
        const weir_runs_cleanup_options options = {.days = days[i]};
        expect_ok(weir_runs_cleanup(storage.runs, &options, &removed, &err), &err);
        assert_int_equal(removed.executions, 0);
    }
    assert_true(has_files("old"));
}

// Ids that no text finds again: the rows go all the same, and the removal comes to its end.
static void test_odd_ids_go_too(void **state)
{
    weir_runs_removed removed;
    (void)state;
    test_storage_put(&storage, "precious", "x", 1);
    test_storage_sql(
        &storage,
        "INSERT INTO executions (id, name, command, status, created_at) VALUES "
        "(NULL, '', '', 'failed', '2001-01-01T00:00:00'), (x'FF', '', '', 'failed', '2001-01-01T00:00:00'), "
        "(CAST(x'FF' AS TEXT), '', '', 'failed', '2001-01-01T00:00:00'), "
        "('..', '', '', 'failed', '2001-01-01T00:00:00'), ('', '', '', 'failed', '2001-01-01T00:00:00');"
        "INSERT INTO weir_pending_delete VALUES (CAST(x'FF' AS TEXT), CAST(x'FE' AS TEXT), 't');"
        "INSERT INTO artifacts (id, execution_id, name, file_path, created_at, retention_days) VALUES "
        "(NULL, 'e', '', 'f', '2001-01-01T00:00:00', 1), "
        "(x'FF', x'FE', '', x'FD', '2001-01-01T00:00:00', 1);");
    expect_ok(weir_runs_cleanup(storage.runs, NULL, &removed, &err), &err);
    assert_int_equal(removed.executions, 5);
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM executions"), "0");
    expect_ok(weir_runs_expire_artifacts(storage.runs, NULL, &removed, &err), &err);
    assert_int_equal(removed.artifacts, 2);
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM weir_pending_delete"), "0");
    assert_true(test_storage_has(&storage, "precious"));
    assert_true(test_storage_has(&storage, "database/stepflow.db"));
    assert_true(test_storage_has(&storage, "executions"));
}

static bool stop_after_first(void *context, const char *phase, uint64_t done, uint64_t total)
{
    (void)phase;
    (void)total;
    *(uint64_t *)context = done;
    return done == 0;
}

// 1,200 executions go in portions, between which the caller may stop; default is 30 days.
static void test_cleanup_in_portions(void **state)
{
    weir_runs_removed removed;
    uint64_t seen = 0;
    const weir_runs_cleanup_options options = {.progress = stop_after_first, .context = &seen};
    (void)state;
    test_storage_sql(&storage,
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) "
                     "INSERT INTO executions (id, name, command, status, created_at) "
                     "SELECT 'id-' || i, '', '', 'failed', '2001-01-01T00:00:00' FROM n;");
    expect_code(weir_runs_cleanup(storage.runs, &options, &removed, &err), WEIR_CANCELLED, &err);
    assert_int_equal(removed.executions, 500);
    assert_int_equal(seen, 500);
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM executions"), "700");
    expect_ok(weir_runs_cleanup(storage.runs, NULL, &removed, &err), &err);
    assert_int_equal(removed.executions, 700);
}

// Executions with very many steps go in smaller portions: other programs wait for the write lock 5 s at most.
static void test_portions_count_steps(void **state)
{
    weir_runs_removed removed;
    uint64_t seen = 0;
    const weir_runs_cleanup_options options = {.progress = stop_after_first, .context = &seen};
    (void)state;
    test_storage_sql(&storage,
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) "
                     "INSERT INTO executions (id, name, command, status, created_at) "
                     "SELECT 'id-' || i, '', '', 'failed', '2001-01-01T00:00:00' FROM n;"
                     "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49999) "
                     "INSERT INTO steps (id, execution_id, name, step_index, status, created_at) "
                     "SELECT i, 'id-' || (i / 10000 + 1), '', i, 'failed', 't' FROM n;");
    expect_code(weir_runs_cleanup(storage.runs, &options, &removed, &err), WEIR_CANCELLED, &err);
    assert_int_equal(removed.executions, 2);
    assert_int_equal(removed.steps, 20000);
    expect_ok(weir_runs_cleanup(storage.runs, NULL, &removed, &err), &err);
    assert_int_equal(removed.executions, 3);
    assert_int_equal(removed.steps, 30000);
}

static void test_delete(void **state)
{
    weir_runs_removed removed;
    (void)state;
    make_execution("gone", "failed", 0);
    make_execution("alive", "running", 0);
    expect_ok(weir_runs_delete(storage.runs, "gone", &removed, &err), &err);
    assert_int_equal(removed.executions, 1);
    assert_int_equal(removed.files, 2);
    assert_false(has_files("gone"));
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM artifacts"), "1");
    expect_code(weir_runs_delete(storage.runs, "gone", &removed, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_delete(storage.runs, "alive", &removed, &err), WEIR_STATE, &err);
    assert_true(has_files("alive"));
    assert_string_equal(test_storage_value(&storage, IDS), "alive");
}

// A crash between the rows' commit and the files' removal: the next opening goes on.
static void test_interrupted_removal(void **state)
{
    (void)state;
    make_execution("half", "failed", 0);
    test_storage_put(&storage, "precious", "x", 1);
    test_storage_sql(&storage,
                     "DELETE FROM executions; INSERT INTO weir_pending_delete VALUES ('half', '', 't'), "
                     "('never-was', '', 't'), ('..', '', 't'), ('half', '../../precious', 't'), "
                     "('..', 'precious', 't');");
    assert_true(has_files("half"));
    test_storage_close(&storage);
    test_storage_open(&storage, NULL);
    assert_false(has_files("half"));
    assert_true(test_storage_has(&storage, "precious"));
    assert_true(test_storage_has(&storage, "database/stepflow.db"));
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM weir_pending_delete"), "0");
}

// What cannot be removed does not keep what comes after it.
static void test_what_cannot_be_removed_is_passed_over(void **state)
{
    enum { depth = WEIR__FS_DEPTH_MAX + 2 };
    char path[32 + 2 * depth] = "executions/deep";
    (void)state;
    for (size_t i = 0; i <= depth; i++) {
        const size_t size = strlen(path);
        snprintf(path + size, sizeof path - size, "/%s", i < depth ? "d" : "x");
    }
    test_storage_put(&storage, path, "x", 1);
    make_execution("good", "failed", 0);
    test_storage_sql(&storage, "INSERT INTO weir_pending_delete VALUES ('deep', '', 't')");
    expect_code(weir_runs_delete(storage.runs, "good", NULL, &err), WEIR_TOOBIG, &err);
    assert_false(has_files("good"));
    assert_string_equal(
        test_storage_value(&storage, "SELECT group_concat(execution_id) FROM weir_pending_delete"), "deep");
    for (size_t i = 0; i < 4; i++) { // now it can
        (void)remove(test_storage_at(&storage, path));
        *strrchr(path, '/') = '\0';
    }
    test_storage_close(&storage);
    test_storage_open(&storage, NULL);
    assert_false(test_storage_has(&storage, "executions/deep"));
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM weir_pending_delete"), "0");
}

// A link in an execution's folder is removed, what it leads to is not.
static void test_links_are_not_followed(void **state)
{
    (void)state;
    make_execution("gone", "failed", 0);
    test_storage_put(&storage, "precious/file", "x", 1);
    assert_int_equal(symlink("../../precious", test_storage_at(&storage, "executions/gone/link")), 0);
    expect_ok(weir_runs_delete(storage.runs, "gone", NULL, &err), &err);
    assert_false(has_files("gone"));
    assert_true(test_storage_has(&storage, "precious/file"));
}

static void test_expired_artifacts(void **state)
{
    weir_runs_removed removed;
    weir_runs_cleanup_options options = {.dry_run = true};
    (void)state;
    make_execution("e", "completed", 10);
    make_execution("f", "completed", 10);
    make_execution("g", "completed", 10);
    make_execution("h", "completed", 10);
    test_storage_sql(&storage, "UPDATE artifacts SET retention_days = 9 WHERE execution_id = 'e';"
                               "UPDATE artifacts SET retention_days = 11 WHERE execution_id = 'f';"
                               "UPDATE artifacts SET retention_days = 0 WHERE execution_id = 'g';");
    expect_ok(weir_runs_expire_artifacts(storage.runs, &options, &removed, &err), &err);
    assert_int_equal(removed.artifacts, 1);
    assert_int_equal(removed.bytes, 5);
    assert_true(test_storage_has(&storage, "artifacts/e/a-e_f"));
    expect_ok(weir_runs_expire_artifacts(storage.runs, NULL, &removed, &err), &err);
    assert_int_equal(removed.artifacts, 1);
    assert_int_equal(removed.files, 1);
    assert_int_equal(removed.bytes, 5);
    assert_false(test_storage_has(&storage, "artifacts/e/a-e_f"));
    assert_string_equal(test_storage_value(&storage, "SELECT group_concat(id) FROM artifacts"),
                        "a-f,a-g,a-h");
    assert_true(test_storage_has(&storage, "executions/e/run.log"));
}

// ------------------------------------------------------------------------------------------------- sweep

#define KNOWN "11111111-1111-4111-8111-111111111111"
#define GONE "22222222-2222-4222-8222-222222222222"
#define OTHER "33333333-3333-4333-8333-333333333333"

static void make_old(const char *name)
{
    const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, test_storage_at(&storage, name), times, AT_SYMLINK_NOFOLLOW), 0);
}

static void test_sweep(void **state)
{
    static const char *const old[] = {
        "executions/" GONE,
        "artifacts/" GONE,
        "executions/backup",
        "artifacts/" KNOWN "/" GONE "_orphan",
        "artifacts/" KNOWN "/" OTHER "_kept",
        "artifacts/" KNOWN "/.weir-0123456789abcdef.tmp",
        "artifacts/" KNOWN "/notes.txt",
        "artifacts/" KNOWN,
        "executions/" KNOWN,
    };
    weir_runs_removed removed;
    weir_runs_cleanup_options options = {.dry_run = true};
    (void)state;
    make_execution(KNOWN, "completed", 0);
    test_storage_sql(&storage, "INSERT INTO artifacts (id, execution_id, name, file_path, created_at) VALUES "
                               "('" OTHER "', '" KNOWN "', '', 'x', 't');");
    test_storage_put(&storage, "executions/" GONE "/run.log", "123", 3);
    test_storage_put(&storage, "artifacts/" GONE "/x", "123", 3);
    test_storage_put(&storage, "executions/backup/x", "123", 3);
    test_storage_put(&storage, "executions/" OTHER "/young", "123", 3);
    for (size_t i = 3; i < 7; i++)
        test_storage_put(&storage, old[i], "123", 3);
    test_storage_put(&storage, "artifacts/" KNOWN "/" GONE "_young", "123", 3);
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        make_old(old[i]);
    expect_ok(weir_runs_sweep(storage.runs, &options, &removed, &err), &err);
    assert_int_equal(removed.files, 4);
    assert_true(test_storage_has(&storage, "executions/" GONE));
    options.dry_run = false;
    expect_ok(weir_runs_sweep(storage.runs, &options, &removed, &err), &err);
    assert_int_equal(removed.files, 4);
    assert_int_equal(removed.bytes, 12);
    assert_false(test_storage_has(&storage, "executions/" GONE));
    assert_false(test_storage_has(&storage, "artifacts/" GONE));
    assert_false(test_storage_has(&storage, "artifacts/" KNOWN "/" GONE "_orphan"));
    assert_false(test_storage_has(&storage, "artifacts/" KNOWN "/.weir-0123456789abcdef.tmp"));
    assert_true(test_storage_has(&storage, "executions/backup/x"));                // not our kind of name
    assert_true(test_storage_has(&storage, "executions/" OTHER "/young"));         // may be in the making
    assert_true(test_storage_has(&storage, "artifacts/" KNOWN "/" GONE "_young")); // may be in the making
    assert_true(test_storage_has(&storage, "artifacts/" KNOWN "/" OTHER "_kept"));
    assert_true(test_storage_has(&storage, "artifacts/" KNOWN "/notes.txt"));
    assert_true(test_storage_has(&storage, "executions/" KNOWN "/run.log"));
}

// A copy is as old as its source, and there before its row: while the run goes on it is not to be judged.
static void test_sweep_waits_for_the_end(void **state)
{
    const char *const copy = "artifacts/" KNOWN "/" GONE "_copied";
    weir_runs_removed removed;
    (void)state;
    make_execution(KNOWN, "running", 0);
    test_storage_put(&storage, copy, "123", 3);
    make_old(copy);
    make_old("artifacts/" KNOWN);
    expect_ok(weir_runs_sweep(storage.runs, NULL, &removed, &err), &err);
    assert_int_equal(removed.files, 0);
    assert_true(test_storage_has(&storage, copy));
    test_storage_sql(&storage, "UPDATE executions SET status = 'completed'");
    expect_ok(weir_runs_sweep(storage.runs, NULL, &removed, &err), &err);
    assert_int_equal(removed.files, 1);
    assert_false(test_storage_has(&storage, copy));
}

// ------------------------------------------------------------------------------------------------ repair

static void test_repair(void **state)
{
    weir_runs_repaired repaired;
    (void)state;
    test_storage_sql(&storage,
                     "INSERT INTO executions (id, name, command, status, exit_code, created_at, "
                     "completed_at, total_steps, "
                     "completed_steps) VALUES ('done', '', '', 'completed', 0, 't', 'T-done', 3, 1), "
                     "('bad', '', '', 'failed', 3, 't', 'T-bad', 2, 0), ('live', '', '', 'running', NULL, "
                     "'t', NULL, 1, 0);"
                     "INSERT INTO steps (id, execution_id, name, step_index, status, created_at, started_at, "
                     "completed_at, "
                     "error_message) VALUES ('d0', 'done', '', 0, 'running', 't', 's0', NULL, NULL), "
                     "('d1', 'done', '', 1, 'completed', 't', 's1', 'c1', NULL), ('d2', 'done', '', 2, "
                     "'running', 't', 's2', NULL, "
                     "NULL), ('b0', 'bad', '', 0, 'running', 't', 's0', NULL, NULL), ('b1', 'bad', '', 1, "
                     "'running', 't', 's1', NULL, "
                     "NULL), ('l0', 'live', '', 0, 'running', 't', 's0', NULL, NULL), "
                     "('orphan', 'nobody', '', 0, 'running', 't', 's0', NULL, NULL);");
    static const char all[] =
        "SELECT group_concat(id || ' ' || status || ' ' || coalesce(exit_code, '-') || ' ' || "
        "coalesce(completed_at, '-') || ' ' || coalesce(error_message, '-'), ';') FROM (SELECT * "
        "FROM steps ORDER BY id)";
    char before[1024];
    snprintf(before, sizeof before, "%s", test_storage_value(&storage, all));
    expect_ok(weir_runs_repair(storage.runs, true, &repaired, &err), &err);
    assert_int_equal(repaired.steps_completed, 3);
    assert_int_equal(repaired.steps_failed, 1);
    assert_string_equal(test_storage_value(&storage, all), before);
    expect_ok(weir_runs_repair(storage.runs, false, &repaired, &err), &err);
    assert_int_equal(repaired.steps_completed, 3);
    assert_int_equal(repaired.steps_failed, 1);
    assert_string_equal(test_storage_value(&storage, all),
                        "b0 completed 0 s1 -;b1 failed 3 T-bad the run ended while this step was open;"
                        "d0 completed 0 s1 -;d1 completed - c1 -;d2 completed 0 T-done -;"
                        "l0 running - - -;orphan running - - -");
    assert_string_equal(test_storage_value(&storage,
                                           "SELECT group_concat(id || completed_steps) FROM (SELECT * FROM "
                                           "executions ORDER BY id)"),
                        "bad1,done3,live0");
    expect_ok(weir_runs_repair(storage.runs, false, &repaired, &err), &err);
    assert_int_equal(repaired.steps_completed + repaired.steps_failed, 0);
}

int main(void)
{
#define WITH_STORAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_STORAGE(test_cleanup),
        WITH_STORAGE(test_many_days),
        WITH_STORAGE(test_odd_ids_go_too),
        WITH_STORAGE(test_cleanup_in_portions),
        WITH_STORAGE(test_portions_count_steps),
        WITH_STORAGE(test_delete),
        WITH_STORAGE(test_interrupted_removal),
        WITH_STORAGE(test_what_cannot_be_removed_is_passed_over),
        WITH_STORAGE(test_links_are_not_followed),
        WITH_STORAGE(test_expired_artifacts),
        WITH_STORAGE(test_sweep),
        WITH_STORAGE(test_sweep_waits_for_the_end),
        WITH_STORAGE(test_repair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
