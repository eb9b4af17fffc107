// SPDX-License-Identifier: MIT
//
// The VFS under a real database in a temporary directory: what is counted, what a fault does, what the guard
// lets through.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock_fake.h"
#include "base/fs.h"
#include "store/vfs.h"

enum { page_size = 4096, frame_size = page_size + 24, wal_header_size = 32, backfill_offset = 96 };

typedef struct fixture {
    char directory[64];
    char database[96];
    char wal_index_path[128];
    weir__vfs *vfs;
} fixture;

static void fixture_init(fixture *fx, const weir__vfs_config *config)
{
    *fx = (fixture){.directory = "/tmp/weir-vfs-XXXXXX"};
    assert_non_null(mkdtemp(fx->directory));
    snprintf(fx->database, sizeof fx->database, "%s/test.db", fx->directory);
    snprintf(fx->wal_index_path, sizeof fx->wal_index_path, "%s-shm", fx->database);
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__vfs_create(config, &fx->vfs, &err), WEIR_OK);
}

static void fixture_fini(fixture *fx)
{
    assert_int_equal(weir__vfs_open_files(fx->vfs), 0);
    weir__vfs_destroy(fx->vfs);
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__fs_remove_tree(fx->directory, &err), WEIR_OK);
}

static sqlite3 *open_db(const fixture *fx)
{
    sqlite3 *db = NULL;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
    assert_int_equal(sqlite3_open_v2(fx->database, &db, flags, weir__vfs_name(fx->vfs)), SQLITE_OK);
    sqlite3_extended_result_codes(db, 1);
    return db;
}

static void must(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static sqlite3 *open_wal(const fixture *fx, const char *synchronous)
{
    sqlite3 *const db = open_db(fx);
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA synchronous=%s", synchronous);
    must(db, "PRAGMA journal_mode=WAL");
    must(db, "PRAGMA wal_autocheckpoint=0");
    must(db, sql);
    must(db, "CREATE TABLE IF NOT EXISTS t(a)");
    return db;
}

static weir__vfs_role_stats stats_of(const fixture *fx, weir__vfs_role role)
{
    weir__vfs_stats stats;
    weir__vfs_stats_get(fx->vfs, &stats);
    return stats.roles[role];
}

static uint32_t backfilled_frames(sqlite3 *db)
{
    const volatile void *wal_index = NULL;
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__vfs_wal_index(db, &wal_index, &err), WEIR_OK);
    assert_non_null(wal_index);
    return *(const volatile uint32_t *)((const volatile char *)wal_index + backfill_offset);
}

static void full_syncs_the_log_once_per_commit(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){0});
    sqlite3 *const db = open_wal(&fx, "FULL");
    must(db, "INSERT INTO t VALUES(0)");
    const weir__vfs_role_stats before = stats_of(&fx, WEIR__VFS_WAL);
    for (int i = 0; i < 10; i++)
        must(db, "INSERT INTO t VALUES(1)");
    const weir__vfs_role_stats after = stats_of(&fx, WEIR__VFS_WAL);
    assert_int_equal(after.sync_count - before.sync_count, 10);
    assert_int_equal(after.sync_failed_count, 0);
    assert_int_equal(after.write_bytes - before.write_bytes, 10 * frame_size);
    assert_true(after.sync_ns > before.sync_ns);

    weir__histogram_snapshot *const syncs = malloc(sizeof *syncs);
    assert_non_null(syncs);
    weir__vfs_sync_histogram(fx.vfs, WEIR__VFS_WAL, syncs);
    assert_int_equal(syncs->count, after.sync_count);
    assert_int_equal(syncs->sum, after.sync_ns);
    free(syncs);
    sqlite3_close(db);
    fixture_fini(&fx);
}

static void normal_syncs_nothing_at_a_commit(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){0});
    sqlite3 *const db = open_wal(&fx, "NORMAL");
    const weir__vfs_role_stats wal_before = stats_of(&fx, WEIR__VFS_WAL);
    const weir__vfs_role_stats main_before = stats_of(&fx, WEIR__VFS_MAIN);
    for (int i = 0; i < 10; i++)
        must(db, "INSERT INTO t VALUES(1)");
    assert_int_equal(stats_of(&fx, WEIR__VFS_WAL).sync_count - wal_before.sync_count, 0);
    assert_int_equal(stats_of(&fx, WEIR__VFS_WAL).write_bytes - wal_before.write_bytes, 10 * frame_size);
    must(db, "PRAGMA wal_checkpoint(PASSIVE)");
    assert_int_equal(stats_of(&fx, WEIR__VFS_WAL).sync_count - wal_before.sync_count, 1);
    assert_int_equal(stats_of(&fx, WEIR__VFS_MAIN).sync_count - main_before.sync_count, 1);
    sqlite3_close(db);
    fixture_fini(&fx);
}

static void a_rollback_journal_has_its_own_role(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){0});
    sqlite3 *const db = open_db(&fx);
    must(db, "PRAGMA synchronous=FULL");
    must(db, "CREATE TABLE t(a)");
    assert_true(stats_of(&fx, WEIR__VFS_JOURNAL).sync_count > 0);
    assert_true(stats_of(&fx, WEIR__VFS_MAIN).sync_count > 0);
    assert_int_equal(stats_of(&fx, WEIR__VFS_WAL).sync_count, 0);
    sqlite3_close(db);
    fixture_fini(&fx);
}

typedef struct fault_plan {
    weir__vfs_op op;
    int result;
    int skip; // lets this many pass first
    int hits;
} fault_plan;

static int planned_fault(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    (void)role;
    (void)offset;
    (void)size;
    fault_plan *const plan = context;
    if (op != plan->op || plan->skip-- > 0)
        return SQLITE_OK;
    plan->hits++;
    return plan->result;
}

// Everything a database does in a short life: open, create, commit, checkpoint, close. Returns the first
// error.
static int short_life(const fixture *fx)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(fx->database, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                             weir__vfs_name(fx->vfs));
    sqlite3_extended_result_codes(db, 1);
    static const char *const steps[] = {
        "PRAGMA synchronous=FULL",
        "CREATE TABLE IF NOT EXISTS t(a)", // with a rollback journal, which is deleted
        "PRAGMA journal_mode=WAL",         "INSERT INTO t VALUES(randomblob(20000))",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps && rc == SQLITE_OK; i++)
        rc = sqlite3_exec(db, steps[i], NULL, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

static void a_fault_at_every_step_is_reported_and_survived(void **state)
{
    (void)state;
    static const int results[WEIR__VFS_OPS] = {
        [WEIR__VFS_OPEN] = SQLITE_CANTOPEN,           [WEIR__VFS_DELETE] = SQLITE_IOERR_DELETE,
        [WEIR__VFS_READ] = SQLITE_IOERR_READ,         [WEIR__VFS_WRITE] = SQLITE_FULL,
        [WEIR__VFS_TRUNCATE] = SQLITE_IOERR_TRUNCATE, [WEIR__VFS_SYNC] = SQLITE_IOERR_FSYNC,
        [WEIR__VFS_LOCK] = SQLITE_IOERR_LOCK,         [WEIR__VFS_SHM_MAP] = SQLITE_IOERR_SHMMAP,
        [WEIR__VFS_SHM_LOCK] = SQLITE_IOERR_SHMLOCK,
    };
    for (int op = 0; op < WEIR__VFS_OPS; op++) {
        int reported = 0;
        fault_plan plan = {.hits = 1};
        for (int skip = 0; plan.hits > 0 && skip < 1000; skip++) {
            fixture fx;
            fixture_init(&fx, &(weir__vfs_config){0});
            plan = (fault_plan){.op = (weir__vfs_op)op, .result = results[op], .skip = skip};
            weir__vfs_set_fault(fx.vfs, planned_fault, &plan);
            const int rc = short_life(&fx);
            // A failed read repeats as long as it fails, so every other fault but these shows as itself at
            // least once.
            reported += (rc & 0xFF) == (results[op] & 0xFF);
            weir__vfs_set_fault(fx.vfs, NULL, NULL);
            assert_int_equal(short_life(&fx), SQLITE_OK);
            fixture_fini(&fx);
        }
        assert_int_equal(plan.hits, 0); // walked to the end
        if (reported == 0)
            fail_msg("no fault of operation %d was ever reported", op);
    }
}

static void a_checkpoint_falls_back_without_a_guard(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){0});
    sqlite3 *const writer = open_wal(&fx, "FULL");
    sqlite3 *const checkpointer = open_wal(&fx, "FULL");
    must(writer, "INSERT INTO t VALUES(1); BEGIN IMMEDIATE; INSERT INTO t VALUES(2)");
    assert_int_equal(backfilled_frames(writer), 0);

    weir_error err = WEIR_ERROR_INIT;
    weir__vfs_guard_report report;
    int log = 0;
    int moved = 0;
    assert_int_equal(weir__vfs_guard_begin(checkpointer, WEIR__VFS_GUARD_OBSERVE, &err), WEIR_OK);
    const int rc = sqlite3_wal_checkpoint_v2(checkpointer, NULL, SQLITE_CHECKPOINT_FULL, &log, &moved);
    assert_int_equal(weir__vfs_guard_end(checkpointer, &report, &err), WEIR_OK);

    assert_int_equal(rc, SQLITE_BUSY);
    assert_true(backfilled_frames(writer) > 0); // this is what the guard is there to prevent
    assert_true(report.backfilled);
    assert_true(report.backfilled_without_write);
    assert_false(report.write_taken);
    assert_int_equal(report.write_busy_count, 1);
    must(writer, "COMMIT");
    sqlite3_close(checkpointer);
    sqlite3_close(writer);
    fixture_fini(&fx);
}

static void a_guarded_checkpoint_moves_nothing_beside_a_writer(void **state)
{
    (void)state;
    static const int modes[] = {SQLITE_CHECKPOINT_FULL, SQLITE_CHECKPOINT_RESTART,
                                SQLITE_CHECKPOINT_TRUNCATE};
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){0});
    sqlite3 *const writer = open_wal(&fx, "FULL");
    sqlite3 *const checkpointer = open_wal(&fx, "FULL");
    must(writer, "INSERT INTO t VALUES(1); BEGIN IMMEDIATE; INSERT INTO t VALUES(2)");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        weir_error err = WEIR_ERROR_INIT;
        weir__vfs_guard_report report;
        assert_int_equal(weir__vfs_guard_begin(checkpointer, WEIR__VFS_GUARD_LOCKED_ONLY, &err), WEIR_OK);
        const int rc = sqlite3_wal_checkpoint_v2(checkpointer, NULL, modes[i], NULL, NULL);
        assert_int_equal(weir__vfs_guard_end(checkpointer, &report, &err), WEIR_OK);
        assert_int_equal(rc, SQLITE_BUSY);
        assert_int_equal(backfilled_frames(writer), 0);
        assert_true(report.backfill_refused);
        assert_false(report.backfilled);
        assert_int_equal(report.write_busy_count, 1);
    }
    must(writer, "COMMIT");
    sqlite3_close(checkpointer);
    sqlite3_close(writer);
    fixture_fini(&fx);
}

static void a_guarded_checkpoint_moves_all_when_it_gets_the_lock(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){0});
    sqlite3 *const writer = open_wal(&fx, "FULL");
    sqlite3 *const checkpointer = open_wal(&fx, "FULL");
    must(writer, "INSERT INTO t VALUES(1)");
    must(checkpointer, "SELECT count(*) FROM t");

    weir_error err = WEIR_ERROR_INIT;
    weir__vfs_guard_report report;
    int log = 0;
    int moved = 0;
    assert_int_equal(weir__vfs_guard_begin(checkpointer, WEIR__VFS_GUARD_LOCKED_ONLY, &err), WEIR_OK);
    // PASSIVE never takes the write lock, so under this guard it has nothing it may do.
    int rc = sqlite3_wal_checkpoint_v2(checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &moved);
    assert_int_equal(rc, SQLITE_OK);
    assert_int_equal(moved, 0);
    rc = sqlite3_wal_checkpoint_v2(checkpointer, NULL, SQLITE_CHECKPOINT_FULL, &log, &moved);
    assert_int_equal(weir__vfs_guard_end(checkpointer, &report, &err), WEIR_OK);
    assert_int_equal(rc, SQLITE_OK);
    assert_true(moved > 0);
    assert_int_equal(moved, log);
    assert_int_equal(backfilled_frames(writer), (uint32_t)moved);
    assert_true(report.write_taken);
    assert_true(report.backfilled);
    assert_false(report.backfilled_without_write);
    sqlite3_close(checkpointer);
    sqlite3_close(writer);
    fixture_fini(&fx);
}

static void the_guard_refuses_a_foreign_connection(void **state)
{
    (void)state;
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir__vfs_guard_begin(db, WEIR__VFS_GUARD_OBSERVE, &err), WEIR_INVALID);
    assert_string_not_equal(err.text, "");
    sqlite3_close(db);
}

static void looking_for_a_wal_index_does_not_make_one(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){0});
    sqlite3 *const db = open_db(&fx);
    const volatile void *wal_index = &fx;
    weir_error err = WEIR_ERROR_INIT;
    must(db, "CREATE TABLE t(a)");
    assert_int_equal(weir__vfs_wal_index(db, &wal_index, &err), WEIR_OK);
    assert_null((const void *)wal_index);
    assert_int_not_equal(access(fx.wal_index_path, F_OK), 0);
    must(db, "PRAGMA journal_mode=WAL; INSERT INTO t VALUES(1)");
    assert_int_equal(weir__vfs_wal_index(db, &wal_index, &err), WEIR_OK);
    assert_non_null((const void *)wal_index);
    must(db, "PRAGMA journal_mode=DELETE");
    assert_int_equal(weir__vfs_wal_index(db, &wal_index, &err), WEIR_OK);
    assert_null((const void *)wal_index);
    sqlite3_close(db);
    fixture_fini(&fx);
}

static void *insert_one(void *argument)
{
    sqlite3 *const db = argument;
    return sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL) == SQLITE_OK ? db : NULL;
}

static void the_sync_delay_is_slept_and_measured(void **state)
{
    (void)state;
    weir__clock_fake clock;
    weir__clock_fake_init(&clock);
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){.clock = &clock.clock});
    sqlite3_close(open_wal(&fx, "FULL"));
    weir__vfs_destroy(fx.vfs);
    weir_error err = WEIR_ERROR_INIT;
    const weir__vfs_config config = {.clock = &clock.clock, .sync_delay_us = 5000};
    assert_int_equal(weir__vfs_create(&config, &fx.vfs, &err), WEIR_OK);

    sqlite3 *const db = open_db(&fx);
    must(db, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=NORMAL");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, insert_one, db), 0);
    // At NORMAL the first commit of a log syncs once: the log's header.
    assert_true(weir__clock_fake_await_waiters(&clock, 1));
    weir__clock_fake_advance(&clock, 5 * WEIR__NS_PER_MS);
    void *done = NULL;
    pthread_join(thread, &done);
    assert_ptr_equal(done, db);
    assert_int_equal(stats_of(&fx, WEIR__VFS_WAL).sync_count, 1);
    assert_int_equal(stats_of(&fx, WEIR__VFS_WAL).sync_ns, 5 * WEIR__NS_PER_MS);
    must(db, "PRAGMA synchronous=OFF");
    sqlite3_close(db);
    fixture_fini(&fx);
    weir__clock_fake_fini(&clock);
}

static void a_vfs_has_a_name_of_its_own_until_destroyed(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir__vfs_config){0});
    weir_error err = WEIR_ERROR_INIT;
    weir__vfs *second = NULL;
    assert_int_equal(weir__vfs_create(&(weir__vfs_config){0}, &second, &err), WEIR_OK);
    assert_string_not_equal(weir__vfs_name(fx.vfs), weir__vfs_name(second));
    char name[64];
    snprintf(name, sizeof name, "%s", weir__vfs_name(second));
    assert_non_null(sqlite3_vfs_find(name));
    weir__vfs_destroy(second);
    assert_null(sqlite3_vfs_find(name));

    sqlite3 *const db = open_db(&fx);
    char *stacked = NULL;
    char wanted[96];
    snprintf(wanted, sizeof wanted, "%s/unix", weir__vfs_name(fx.vfs));
    assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_VFSNAME, &stacked), SQLITE_OK);
    assert_string_equal(stacked, wanted);
    sqlite3_free(stacked);
    sqlite3_close(db);
    assert_int_equal(weir__vfs_create(&(weir__vfs_config){.below = "no such"}, &second, &err),
                     WEIR_UNSUPPORTED);
    fixture_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_syncs_the_log_once_per_commit),
        cmocka_unit_test(normal_syncs_nothing_at_a_commit),
        cmocka_unit_test(a_rollback_journal_has_its_own_role),
        cmocka_unit_test(a_fault_at_every_step_is_reported_and_survived),
        cmocka_unit_test(a_checkpoint_falls_back_without_a_guard),
        cmocka_unit_test(a_guarded_checkpoint_moves_nothing_beside_a_writer),
        cmocka_unit_test(a_guarded_checkpoint_moves_all_when_it_gets_the_lock),
        cmocka_unit_test(the_guard_refuses_a_foreign_connection),
        cmocka_unit_test(looking_for_a_wal_index_does_not_make_one),
        cmocka_unit_test(the_sync_delay_is_slept_and_measured),
        cmocka_unit_test(a_vfs_has_a_name_of_its_own_until_destroyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
