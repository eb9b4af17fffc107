// SPDX-License-Identifier: MIT
//
// After fork() the store is the parent's: every call of the child says so and touches nothing, and the parent goes
// on with its locks.
#include "support/store.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/peer.h"

typedef struct inherited {
    weir_store *store;
    weir_snapshot *snapshot;
    weir_stmt *stmt; // at a row
} inherited;

static int nothing(weir_tx *tx, void *arg, weir_error *err)
{
    (void)tx, (void)arg, (void)err;
    _exit(100); // it must not run at all
}

static int released;

static void release(void *arg)
{
    (void)arg;
    released++;
}

static void on_done(void *context, const weir_error *result)
{
    (void)context, (void)result;
    _exit(101);
}

static bool refuses_all(const inherited *from)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_stats stats;
    weir_snapshot *snapshot = NULL;
    weir_reader_info reader;
    weir_finding finding;
    weir_optimize_report optimized;
    weir_stmt *stmt = NULL;
    bool row = false;
    const weir_write_options options = {.release = release};
    weir_tx *const tx = weir_snapshot_tx(from->snapshot);
    const int codes[] = {
        weir_write(from->store, nothing, NULL, &options, &err),
        weir_submit(from->store, nothing, NULL, &options, on_done, NULL, &err),
        weir_flush(from->store, 0, &err),
        weir_read(from->store, nothing, NULL, NULL, &err),
        weir_snapshot_open(from->store, NULL, &snapshot, &err),
        weir_checkpoint(from->store, WEIR_CHECKPOINT_TRUNCATE, 0, NULL, &err),
        weir_stats_read(from->store, &stats, &err),
        weir_optimize(from->store, NULL, &optimized, &err),
        weir_prepare(tx, "SELECT 1", &stmt, &err),
        weir_step(from->stmt, &row, &err),
        weir_exec(tx, &err, "SELECT 1", ""),
        weir_exec_script(tx, "SELECT 1", &err),
        weir_close(from->store, 0, &err),
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i] != WEIR_FORKED)
            _exit(10 + (int)i);
    weir_snapshot_close(from->snapshot);
    return err.code == WEIR_FORKED && strstr(err.text, "fork") && released == 2 && !snapshot && !row &&
           weir_readers(from->store, &reader, 1) == 0 && weir_health(from->store, &finding, 1) == 0 &&
           !weir_stats_json(from->store);
}

static void fork_and_touch(const inherited *what)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0)
        _exit(refuses_all(what) ? 0 : 1);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); // 10 and up: the number of the call that did not refuse
}

static void a_child_is_refused_and_the_parent_unharmed(void **state)
{
    (void)state;
    scratch place;
    peer other;
    inherited what = {.store = NULL};
    weir_error err = WEIR_ERROR_INIT;
    bool row = false;
    scratch_init(&place);
    what.store = must_open(place.database, NULL);
    must_run_sql(what.store, "CREATE TABLE t(a); INSERT INTO t VALUES(1),(2);");
    expect_ok(weir_snapshot_open(what.store, NULL, &what.snapshot, &err), &err);
    expect_ok(weir_prepare(weir_snapshot_tx(what.snapshot), "SELECT a FROM t", &what.stmt, &err), &err);
    expect_ok(weir_step(what.stmt, &row, &err), &err);
    assert_true(row);
    peer_start(&other, place.database);
    peer_do(&other, "PRAGMA busy_timeout=0");
    assert_int_equal(peer_number(&other, "PRAGMA wal_checkpoint(TRUNCATE)"), 1);

    fork_and_touch(&what);

    assert_int_equal(peer_number(&other, "PRAGMA wal_checkpoint(TRUNCATE)"),
                     1); // the snapshot's lock still stands
    expect_ok(weir_step(what.stmt, &row, &err), &err);
    assert_true(row);
    assert_int_equal(weir_column_int64(what.stmt, 0), 2);
    weir_snapshot_close(what.snapshot);
    must_run_sql(what.store, "INSERT INTO t VALUES(3)");
    assert_int_equal(must_read_int64(what.store, "SELECT sum(a) FROM t"), 6);
    assert_int_equal(peer_number(&other, "SELECT sum(a) FROM t"), 6);
    peer_stop(&other);
    must_close(what.store);
    must_be_intact(place.database);
    scratch_fini(&place);
}

// What a child opens itself is its own.
static void a_child_may_open_a_store_of_its_own(void **state)
{
    (void)state;
    scratch place;
    int status = 0;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, NULL);
    must_run_sql(store, "CREATE TABLE t(a)");
    must_close(store);
    const pid_t child = fork();
    if (child == 0) {
        weir_store *own = NULL;
        weir_error err = WEIR_ERROR_INIT;
        int code = weir_open(place.database, NULL, &own, &err);
        if (code == WEIR_OK)
            code = run_sql(own, "INSERT INTO t VALUES(1)", NULL, &err);
        _exit(code != WEIR_OK || weir_close(own, 0, &err) != WEIR_OK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM t"), 1);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_is_refused_and_the_parent_unharmed),
        cmocka_unit_test(a_child_may_open_a_store_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
