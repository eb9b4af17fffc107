// SPDX-License-Identifier: MIT
//
// The epoch: what changes it, and that nothing else does. Each test has jobs note the number that they see.
#include <sqlite3.h>
#include <string.h>

#include "base/error.h"
#include "store/open.h"
#include "store/store.h"
#include "support/ledger.h"
#include "support/peer.h"

typedef struct fixture {
    scratch place;
    weir_store *store;
    _Atomic int faults_left; // writes of the log that are still to fail
} fixture;

static const weir_config QUICK = {.readers = 1,
                                  .retry_base_ms = 1,
                                  .busy_timeout_ms = 5,
                                  .checkpoint_frames = 1u << 20,
                                  .checkpoint_idle_ms = 1u << 20};

static int fault(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    fixture *const fx = context;
    (void)offset, (void)size;
    if (op != WEIR__VFS_WRITE || role != WEIR__VFS_WAL || atomic_load(&fx->faults_left) == 0)
        return SQLITE_OK;
    atomic_fetch_sub(&fx->faults_left, 1);
    return SQLITE_FULL;
}

static void fixture_open(fixture *fx)
{
    memset(fx, 0, sizeof *fx);
    scratch_init(&fx->place);
    fx->store = must_open(fx->place.database, &QUICK);
    must_run_sql(fx->store, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)");
    weir__vfs_set_fault(fx->store->vfs, fault, fx);
}

static void fixture_end(fixture *fx)
{
    must_close(fx->store);
    scratch_fini(&fx->place);
}

enum { RUNS_MAX = 4 };

// What a job does, and the numbers that it saw, at its start and at its end, each time that it ran.
typedef struct look {
    const char *sql[4]; // one after the other
    int answer;         // what it returns when all of them succeed
    int runs;
    uint64_t start[RUNS_MAX], end[RUNS_MAX];
} look;

static int look_job(weir_tx *tx, void *arg, weir_error *err)
{
    look *const l = arg;
    assert_true(l->runs < RUNS_MAX);
    l->start[l->runs] = weir_tx_epoch(tx);
    int code = WEIR_OK;
    for (size_t i = 0; code == WEIR_OK && i < sizeof l->sql / sizeof l->sql[0] && l->sql[i]; i++)
        code = weir_exec(tx, err, l->sql[i], "");
    l->end[l->runs++] = weir_tx_epoch(tx);
    return code == WEIR_OK ? l->answer : code;
}

// A job that only asks: the number now.
static uint64_t epoch_now(weir_store *store)
{
    look l = {0};
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_write(store, look_job, &l, NULL, &err), &err);
    assert_int_not_equal(l.start[0], 0);
    assert_int_equal(l.start[0], l.end[0]);
    return l.start[0];
}

// The number before and after must be the same, or not.
static void expect_same(fixture *fx, uint64_t before)
{
    assert_int_equal(epoch_now(fx->store), before);
}

static void expect_changed(fixture *fx, uint64_t before)
{
    assert_int_not_equal(epoch_now(fx->store), before);
}

#define INSERT "INSERT INTO t(b) VALUES('x')"

static void our_own_commits_keep_it(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    const uint64_t before = epoch_now(fx.store);
    look l = {.sql = {INSERT, "UPDATE t SET b=b||'y'", "CREATE TABLE u(a)", "DELETE FROM t"}};
    expect_ok(weir_write(fx.store, look_job, &l, NULL, NULL), NULL);
    assert_int_equal(l.start[0], before);
    assert_int_equal(l.end[0], before);
    for (int i = 0; i < 20; i++)
        must_run_sql(fx.store, INSERT);
    expect_same(&fx, before);
    expect_ok(weir_checkpoint(fx.store, WEIR_CHECKPOINT_RESTART, 0, NULL, NULL), NULL);
    must_run_sql(fx.store, INSERT); // this one starts the log over
    expect_same(&fx, before);
    fixture_end(&fx);
}

static int read_job(weir_tx *tx, void *arg, weir_error *err)
{
    (void)err;
    uint64_t *const seen = arg;
    *seen = weir_tx_epoch(tx);
    return WEIR_OK;
}

static void a_read_has_none(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    uint64_t seen = 1;
    expect_ok(weir_read(fx.store, read_job, &seen, NULL, NULL), NULL);
    assert_int_equal(seen, 0);
    weir_store *memory = must_open(":memory:", NULL); // reads on the writer's connection
    seen = 1;
    expect_ok(weir_read(memory, read_job, &seen, NULL, NULL), NULL);
    assert_int_equal(seen, 0);
    must_close(memory);
    fixture_end(&fx);
}

static void a_job_that_fails_alone_changes_it(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    const uint64_t before = epoch_now(fx.store);
    look l = {.sql = {INSERT}, .answer = WEIR_STATE};
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_write(fx.store, look_job, &l, NULL, &err), WEIR_STATE, &err);
    assert_int_equal(l.end[0], before);
    expect_changed(&fx, before);
    fixture_end(&fx);
}

static void submit_looks(fixture *fx, look *looks, size_t size)
{
    gate g;
    gate_close(&g, fx->store);
    weir_error err = WEIR_ERROR_INIT;
    for (size_t i = 0; i < size; i++)
        expect_ok(weir_submit(fx->store, look_job, &looks[i], NULL, NULL, NULL, &err), &err);
    gate_open(&g);
    gate_fini(&g);
    expect_ok(weir_flush(fx->store, 0, &err), &err);
}

// The first run of the chunk is undone for all of it, the second for the job that fails.
static void a_neighbour_that_fails_changes_it(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    look looks[4] = {
        {.sql = {INSERT}}, {.sql = {INSERT}}, {.sql = {INSERT}, .answer = WEIR_STATE}, {.sql = {INSERT}}};
    submit_looks(&fx, looks, 4);
    assert_int_equal(looks[0].runs, 2);
    assert_int_equal(looks[1].runs, 2);
    assert_int_equal(looks[2].runs, 2);
    assert_int_equal(looks[3].runs, 1);
    assert_int_equal(looks[1].start[0], looks[0].end[0]);
    assert_int_not_equal(looks[0].start[1], looks[2].end[0]); // the chunk
    assert_int_equal(looks[1].start[1], looks[0].end[1]);
    assert_int_equal(looks[2].start[1], looks[1].end[1]);
    assert_int_not_equal(looks[3].start[0], looks[2].end[1]); // the job
    expect_same(&fx, looks[3].end[0]);
    fixture_end(&fx);
}

static void a_commit_that_fails_changes_it(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    for (int ack = WEIR_ACK_DURABLE; ack <= WEIR_ACK_APPLIED; ack++) {
        look l = {.sql = {INSERT}};
        const weir_write_options options = {.ack = (weir_ack)ack};
        atomic_store(&fx.faults_left, 1);
        expect_ok(weir_write(fx.store, look_job, &l, &options, NULL), NULL);
        expect_ok(weir_flush(fx.store, 0, NULL), NULL);
        assert_int_equal(atomic_load(&fx.faults_left), 0);
        assert_int_equal(l.runs, 2);
        assert_int_not_equal(l.start[1], l.end[0]);
        expect_same(&fx, l.end[1]);
    }
    fixture_end(&fx);
}

static void other_connections_change_it(void **state)
{
    static const char *const THEIRS[] = {"INSERT INTO t(b) VALUES('theirs')", "UPDATE t SET b=b||'z'",
                                         "CREATE TABLE theirs(a)", "VACUUM", "DROP TABLE theirs"};
    (void)state;
    fixture fx;
    fixture_open(&fx);
    peer other;
    peer_start(&other, fx.place.database);
    for (size_t i = 0; i < sizeof THEIRS / sizeof THEIRS[0]; i++) {
        uint64_t before = epoch_now(fx.store);
        naive_sql(fx.place.database, THEIRS[i % 2]); // in this process
        expect_changed(&fx, before);
        before = epoch_now(fx.store);
        peer_do(&other, THEIRS[i]);
        expect_changed(&fx, before);
        before = epoch_now(fx.store);
        peer_number(&other, "SELECT count(*) FROM t"); // reads do not
        expect_same(&fx, before);
        peer_do(&other, THEIRS[i % 2]);
        must_run_sql(fx.store, INSERT); // a transaction that does not ask hides nothing
        expect_changed(&fx, before);
    }
    peer_stop(&other);
    fixture_end(&fx);
}

static void a_savepoint_of_the_job_changes_it(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    for (int i = 0; i < 2; i++) { // prepared, and from the cache
        look l = {.sql = {"SAVEPOINT mine", INSERT, "ROLLBACK TO mine", "RELEASE mine"}};
        expect_ok(weir_write(fx.store, look_job, &l, NULL, NULL), NULL);
        assert_int_not_equal(l.end[0], l.start[0]);
        expect_same(&fx, l.end[0]);
        look released = {.sql = {"SAVEPOINT mine", INSERT, "RELEASE mine"}};
        expect_ok(weir_write(fx.store, look_job, &released, NULL, NULL), NULL);
        assert_int_equal(released.end[0], l.end[0]);
    }
    fixture_end(&fx);
}

typedef struct raw_look {
    uint64_t before, prepared, undone;
} raw_look;

static int raw_job(weir_tx *tx, void *arg, weir_error *err)
{
    raw_look *const l = arg;
    sqlite3_stmt *undo = NULL;
    weir_exec_script(tx, "SAVEPOINT mine; INSERT INTO t(b) VALUES(1)", err);
    l->before = weir_tx_epoch(tx);
    sqlite3_prepare_v2(weir_tx_sqlite(tx), "ROLLBACK TO mine", -1, &undo, NULL);
    l->prepared = weir_tx_epoch(tx);
    sqlite3_step(undo);
    sqlite3_finalize(undo);
    l->undone = weir_tx_epoch(tx);
    return weir_exec_script(tx, "RELEASE mine", err);
}

static int script_job(weir_tx *tx, void *arg, weir_error *err)
{
    raw_look *const l = arg;
    l->before = weir_tx_epoch(tx);
    const int code = weir_exec_script(
        tx, "SAVEPOINT mine; INSERT INTO t(b) VALUES(1); ROLLBACK TO mine; RELEASE mine", err);
    l->undone = weir_tx_epoch(tx);
    return code;
}

static void a_savepoint_past_the_wrapper_changes_it(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    raw_look l = {0};
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_write(fx.store, raw_job, &l, NULL, &err), &err);
    assert_int_not_equal(l.undone, l.prepared);
    assert_int_not_equal(l.undone, l.before);
    const uint64_t after = epoch_now(fx.store);
    assert_int_not_equal(after, l.undone);
    expect_same(&fx, after); // and is trusted again
    expect_ok(weir_write(fx.store, script_job, &l, NULL, &err), &err);
    assert_int_equal(l.before, after);
    assert_int_not_equal(l.undone, after);
    fixture_end(&fx);
}

static void a_job_that_loses_the_transaction_changes_it(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    must_run_sql(fx.store, "CREATE TABLE taken(name UNIQUE); INSERT INTO taken VALUES('a')");
    const uint64_t before = epoch_now(fx.store);
    look l = {.sql = {INSERT, "INSERT OR ROLLBACK INTO taken VALUES('a')"}};
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_write(fx.store, look_job, &l, NULL, &err), WEIR_CONSTRAINT, &err);
    assert_int_equal(l.start[0], before);
    assert_int_not_equal(l.end[0], before);
    expect_same(&fx, l.end[0]);
    fixture_end(&fx);
}

static void opening_again_changes_it(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    const uint64_t before = epoch_now(fx.store);
    must_close(fx.store);
    fx.store = must_open(fx.place.database, &QUICK);
    const uint64_t after = epoch_now(fx.store);
    assert_int_not_equal(after, before);
    fixture_end(&fx);
}

static void a_store_without_a_log_has_one_too(void **state)
{
    (void)state;
    weir_store *memory = must_open(":memory:", NULL);
    const weir_write_options committed = {.ack = WEIR_ACK_COMMITTED};
    look l[3] = {
        {.sql = {"CREATE TABLE t(a INTEGER PRIMARY KEY, b)"}}, {.sql = {INSERT}}, {.answer = WEIR_STATE}};
    for (int i = 0; i < 3; i++)
        assert_int_equal(weir_write(memory, look_job, &l[i], &committed, NULL), l[i].answer);
    assert_int_equal(l[1].start[0], l[0].end[0]);
    assert_int_equal(l[2].start[0], l[1].end[0]);
    look last = {0};
    expect_ok(weir_write(memory, look_job, &last, &committed, NULL), NULL);
    assert_int_not_equal(last.start[0], l[2].end[0]);
    must_close(memory);
}

static int changes_job(weir_tx *tx, void *arg, weir_error *err)
{
    int64_t *const seen = arg;
    seen[0] = weir_tx_changes_total(tx);
    int code = weir_exec(tx, err, "INSERT INTO t(b) VALUES(1),(2),(3)", "");
    seen[1] = weir_tx_changes_total(tx);
    if (code == WEIR_OK)
        code = weir_exec(tx, err, "DELETE FROM t WHERE b=7", "");
    seen[2] = weir_tx_changes_total(tx);
    return code;
}

static void changes_are_counted(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    int64_t seen[3] = {0};
    expect_ok(weir_write(fx.store, changes_job, seen, NULL, NULL), NULL);
    assert_int_equal(seen[1] - seen[0], 3);
    assert_int_equal(seen[2], seen[1]);
    fixture_end(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_commits_keep_it),
        cmocka_unit_test(a_read_has_none),
        cmocka_unit_test(a_job_that_fails_alone_changes_it),
        cmocka_unit_test(a_neighbour_that_fails_changes_it),
        cmocka_unit_test(a_commit_that_fails_changes_it),
        cmocka_unit_test(other_connections_change_it),
        cmocka_unit_test(a_savepoint_of_the_job_changes_it),
        cmocka_unit_test(a_savepoint_past_the_wrapper_changes_it),
        cmocka_unit_test(a_job_that_loses_the_transaction_changes_it),
        cmocka_unit_test(opening_again_changes_it),
        cmocka_unit_test(a_store_without_a_log_has_one_too),
        cmocka_unit_test(changes_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
