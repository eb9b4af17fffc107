// SPDX-License-Identifier: MIT
//
// Reads: snapshots that do not move, reads that are current, deadlines, the pool, and stores without a log.
#include "support/ledger.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "store/open.h"

#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"

typedef struct fixture {
    scratch place;
    weir_store *store;
} fixture;

static void fixture_open(fixture *fx, const weir_config *config)
{
    scratch_init(&fx->place);
    fx->store = must_open(fx->place.database, config);
    must_run_sql(fx->store, LEDGER_SCHEMA);
}

static void fixture_close(fixture *fx)
{
    must_close(fx->store);
    scratch_fini(&fx->place);
}

static weir_stats stats_of(weir_store *store)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &stats, &err), &err);
    return stats;
}

static int insert_row(weir_tx *tx, void *arg, weir_error *err)
{
    return weir_exec(tx, err, "INSERT INTO ledger(id) VALUES($1)", "i", *(const int64_t *)arg);
}

static void must_insert(weir_store *store, int64_t id, weir_ack ack)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir_write_options options = {.ack = ack};
    expect_ok(weir_write(store, insert_row, &id, &options, &err), &err);
}

static int count_rows(weir_tx *tx, void *arg, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int code = weir_prepare(tx, "SELECT count(*) FROM ledger", &stmt, err);
    if (code == WEIR_OK)
        code = weir_step(stmt, &row, err);
    if (code == WEIR_OK)
        *(int64_t *)arg = weir_column_int64(stmt, 0);
    return code;
}

static int64_t rows_in(weir_tx *tx)
{
    int64_t rows = -1;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(count_rows(tx, &rows, &err), &err);
    return rows;
}

static int run_endless(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, ENDLESS, "");
}

// --------------------------------------------------------------------------------------------- snapshots

static void a_snapshot_stays_while_writes_and_checkpoints_go_on(void **state)
{
    (void)state;
    fixture fx;
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    fixture_open(&fx, &(weir_config){.checkpoint_frames = 5});
    must_insert(fx.store, 0, WEIR_ACK_DURABLE);
    expect_ok(weir_snapshot_open(fx.store, NULL, &snapshot, &err), &err);
    for (int64_t i = 1; i < 50; i++) {
        must_insert(fx.store, i, (weir_ack)(i % 3));
        assert_int_equal(rows_in(weir_snapshot_tx(snapshot)), 1);
    }
    expect_ok(weir_checkpoint(fx.store, WEIR_CHECKPOINT_PASSIVE, 0, NULL, &err), &err);
    assert_int_equal(rows_in(weir_snapshot_tx(snapshot)), 1);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM ledger"), 50);
    weir_snapshot_close(snapshot);
    weir_snapshot_close(NULL);
    fixture_close(&fx);
}

static void a_read_sees_what_was_acknowledged_at_every_level(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &(weir_config){.applied_linger_ms = 15000});
    for (int64_t i = 0; i < 60; i++) {
        must_insert(fx.store, i, (weir_ack)(i % 3));
        assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM ledger"), i + 1);
    }
    fixture_close(&fx);
}

static void a_read_that_may_be_stale_does_not_wait_for_applied_work(void **state)
{
    (void)state;
    fixture fx;
    weir_error err = WEIR_ERROR_INIT;
    fixture_open(&fx, &(weir_config){.applied_linger_ms = 15000});
    int64_t rows = -1;
    must_insert(fx.store, 1, WEIR_ACK_APPLIED);
    const weir_read_options stale = {.may_be_stale = true};
    expect_ok(weir_read(fx.store, count_rows, &rows, &stale, &err), &err);
    assert_int_equal(rows, 0);
    expect_ok(weir_read(fx.store, count_rows, &rows, NULL, &err), &err);
    assert_int_equal(rows, 1);
    fixture_close(&fx);
}

static int change_something(weir_tx *tx, void *arg, weir_error *err)
{
    return weir_exec_script(tx, arg, err);
}

static void a_read_changes_nothing_and_keeps_its_snapshot(void **state)
{
    (void)state;
    static const char *const REFUSED[] = {"INSERT INTO ledger(id) VALUES(1)",
                                          "CREATE TABLE u(x)",
                                          "COMMIT",
                                          "ROLLBACK",
                                          "BEGIN",
                                          "PRAGMA query_only=0",
                                          "PRAGMA journal_mode=DELETE",
                                          "ATTACH ':memory:' AS m",
                                          "PRAGMA wal_checkpoint(TRUNCATE)"};
    fixture fx;
    fixture_open(&fx, &(weir_config){.readers = 1});
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        char sql[64];
        weir_error err = WEIR_ERROR_INIT;
        snprintf(sql, sizeof sql, "%s", REFUSED[i]);
        for (int j = 0; j < 2; j++)
            expect_code(weir_read(fx.store, change_something, sql, NULL, &err), WEIR_DENIED, &err);
    }
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM sqlite_schema WHERE type='table'"), 2);
    fixture_close(&fx);
}

static int end_snapshot(weir_tx *tx, void *arg, weir_error *err)
{
    return weir_exec(tx, err, arg, "");
}

// The engine's own BEGIN and ROLLBACK are in the same connection's cache.
static void a_read_does_not_find_the_engines_statements_in_the_cache(void **state)
{
    (void)state;
    fixture fx;
    weir_error err = WEIR_ERROR_INIT;
    char sql[] = "ROLLBACK";
    fixture_open(&fx, &(weir_config){.readers = 1});
    for (int i = 0; i < 3; i++)
        expect_code(weir_read(fx.store, end_snapshot, sql, NULL, &err), WEIR_DENIED, &err);
    fixture_close(&fx);
}

// --------------------------------------------------------------------------------------------- deadlines

static void a_deadline_interrupts_a_long_query_and_names_it(void **state)
{
    (void)state;
    fixture fx;
    weir_error err = WEIR_ERROR_INIT;
    fixture_open(&fx, &(weir_config){.readers = 1});
    const weir_read_options brief = {.deadline_ms = 60};
    const uint64_t start_ms = now_ms();
    expect_code(weir_read(fx.store, run_endless, NULL, &brief, &err), WEIR_EXPIRED, &err);
    assert_in_range(now_ms() - start_ms, 60, 10000);
    expect_contains(err.text, "WITH RECURSIVE");
    expect_contains(err.text, fx.place.database);
    assert_int_equal(stats_of(fx.store).reads_expired, 1);
    // The connection's next read is not hurt.
    assert_int_equal(must_read_int64(fx.store, "SELECT 7"), 7);
    assert_int_equal(stats_of(fx.store).reads_expired, 1);
    fixture_close(&fx);
}

static bool has_expired(void *arg)
{
    weir_reader_info info;
    return weir_readers(arg, &info, 1) == 1 && info.deadline_left_ms == 0;
}

static void an_expired_snapshot_gives_its_pin_up_at_the_next_call(void **state)
{
    (void)state;
    fixture fx;
    weir_snapshot *snapshot = NULL;
    weir_stmt *stmt = NULL;
    bool row = true;
    weir_error err = WEIR_ERROR_INIT;
    weir_checkpoint_report report;
    fixture_open(&fx, &(weir_config){.checkpoint_idle_ms = 60000});
    must_insert(fx.store, 1, WEIR_ACK_DURABLE);
    const weir_read_options brief = {.deadline_ms = 2000, .label = "brief"};
    expect_ok(weir_snapshot_open(fx.store, &brief, &snapshot, &err), &err);
    expect_ok(weir_prepare(weir_snapshot_tx(snapshot), "SELECT id FROM ledger", &stmt, &err), &err);
    expect_ok(weir_step(stmt, &row, &err), &err);
    must_insert(fx.store, 2, WEIR_ACK_DURABLE);
    assert_true(await(has_expired, fx.store));
    expect_ok(weir_checkpoint(fx.store, WEIR_CHECKPOINT_RESTART, 50, &report, &err), &err);
    assert_int_equal(report.blocker, WEIR_BLOCKER_READER);
    expect_contains(report.why, "brief");
    expect_code(weir_step(stmt, &row, &err), WEIR_EXPIRED, &err);
    assert_false(row);
    expect_contains(err.text, "SELECT id FROM ledger");
    expect_code(weir_prepare(weir_snapshot_tx(snapshot), "SELECT 1", &stmt, &err), WEIR_EXPIRED, &err);
    assert_null(stmt);
    naive_sql(fx.place.database, "PRAGMA wal_checkpoint(RESTART)");
    assert_int_equal(naive_int64(fx.place.database, "PRAGMA wal_checkpoint(TRUNCATE)"), 0); // not busy
    weir_snapshot_close(snapshot);
    fixture_close(&fx);
}

// ------------------------------------------------------------------------------------------------- pool

typedef struct queued_read {
    weir_store *store;
    _Atomic int *turn;
    int got, code;
    pthread_t thread;
} queued_read;

static int take_number(weir_tx *tx, void *arg, weir_error *err)
{
    queued_read *const q = arg;
    (void)tx, (void)err;
    q->got = atomic_fetch_add(q->turn, 1);
    return WEIR_OK;
}

static void *read_main(void *arg)
{
    queued_read *const q = arg;
    q->code = weir_read(q->store, take_number, q, NULL, NULL);
    return NULL;
}

typedef struct line {
    weir_store *store;
    uint32_t length;
} line;

static bool has_length(void *arg)
{
    const line *const l = arg;
    pthread_mutex_lock(&l->store->pool.lock);
    const bool yes = l->store->pool.waiting == l->length;
    pthread_mutex_unlock(&l->store->pool.lock);
    return yes;
}

static void the_pool_is_bounded_and_serves_who_comes_first(void **state)
{
    (void)state;
    enum { READS = 6 };
    fixture fx;
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    _Atomic int turn = 0;
    queued_read reads[READS];
    fixture_open(&fx, &(weir_config){.readers = 1});
    expect_ok(weir_snapshot_open(fx.store, NULL, &snapshot, &err), &err);
    assert_int_equal(stats_of(fx.store).readers_size, 1);
    for (uint32_t i = 0; i < READS; i++) {
        reads[i] = (queued_read){.store = fx.store, .turn = &turn, .got = -1};
        assert_int_equal(pthread_create(&reads[i].thread, NULL, read_main, &reads[i]), 0);
        line l = {fx.store, i + 1};
        assert_true(await(has_length, &l));
    }
    const weir_read_options brief = {.deadline_ms = 20};
    int64_t rows = 0;
    expect_code(weir_read(fx.store, count_rows, &rows, &brief, &err), WEIR_EXPIRED, &err);
    expect_contains(err.text, "in use");
    weir_snapshot_close(snapshot);
    for (int i = 0; i < READS; i++) {
        assert_int_equal(pthread_join(reads[i].thread, NULL), 0);
        expect_ok(reads[i].code, NULL);
        assert_int_equal(reads[i].got, i);
    }
    assert_int_equal(stats_of(fx.store).reads_waited, READS + 1);
    assert_int_equal(stats_of(fx.store).readers_open, 0);
    fixture_close(&fx);
}

static void open_snapshots_are_listed_with_what_they_pin(void **state)
{
    (void)state;
    fixture fx;
    weir_snapshot *first = NULL;
    weir_snapshot *second = NULL;
    weir_error err = WEIR_ERROR_INIT;
    weir_reader_info info[2];
    fixture_open(&fx, &(weir_config){.readers = 3, .checkpoint_idle_ms = 60000});
    must_insert(fx.store, 1, WEIR_ACK_DURABLE);
    const weir_read_options named = {.label = "first", .deadline_ms = WEIR_NO_DEADLINE};
    expect_ok(weir_snapshot_open(fx.store, &named, &first, &err), &err);
    must_insert(fx.store, 2, WEIR_ACK_DURABLE);
    must_insert(fx.store, 3, WEIR_ACK_DURABLE);
    expect_ok(weir_snapshot_open(fx.store, NULL, &second, &err), &err);
    assert_int_equal(rows_in(weir_snapshot_tx(first)), 1);
    assert_int_equal(weir_readers(fx.store, NULL, 0), 2);
    assert_int_equal(weir_readers(fx.store, info, 1), 2);
    assert_string_equal(info[0].label, "first");
    expect_contains(info[0].sql, "count(*)");
    assert_int_equal(info[0].pinned_frames, 2);
    assert_int_equal(info[0].deadline_left_ms, WEIR_NO_DEADLINE);
    assert_true(info[0].age_ns > 0);
    assert_int_equal(stats_of(fx.store).wal_pinned, 2);
    assert_int_equal(weir_readers(fx.store, info, 2), 2);
    assert_int_equal(info[1].pinned_frames, 0);
    assert_string_equal(info[1].label, "");
    assert_true(info[1].deadline_left_ms <= 30000);
    weir_snapshot_close(first);
    weir_snapshot_close(second);
    assert_int_equal(weir_readers(fx.store, info, 2), 0);
    fixture_close(&fx);
}

// ----------------------------------------------------------------------------------- the raw connection

// Leaves a statement of its own in the middle of its rows.
static int leave_running(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg, (void)err;
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(weir_tx_sqlite(tx), "SELECT * FROM sqlite_schema, ledger", -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    return WEIR_OK;
}

static void a_statement_left_running_on_the_raw_connection_ends_with_its_use(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, &(weir_config){.readers = 1});
    weir_error err = WEIR_ERROR_INIT;
    must_run_sql(store, LEDGER_SCHEMA);
    must_insert(store, 1, WEIR_ACK_DURABLE);
    expect_ok(weir_read(store, leave_running, NULL, NULL, &err), &err);
    must_insert(store, 2, WEIR_ACK_DURABLE);
    assert_int_equal(must_read_int64(store, "SELECT count(*) FROM ledger"), 2); // on the same connection
    expect_ok(weir_write(store, leave_running, NULL, NULL, &err), &err);
    naive_sql(place.database, "INSERT INTO ledger(id) VALUES(3)"); // the writer must not stay at its snapshot
    must_insert(store, 4, WEIR_ACK_DURABLE);
    weir_checkpoint_report report;
    expect_ok(weir_checkpoint(store, WEIR_CHECKPOINT_TRUNCATE, 0, &report, &err), &err);
    assert_int_equal(report.blocker, WEIR_BLOCKER_NONE);
    must_close(store);
    assert_int_equal(file_bytes(place.wal), -1);
    assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM ledger"), 4);
    scratch_fini(&place);
}

// -------------------------------------------------------------------------------------------- degraded

static int nested_read(weir_tx *tx, void *arg, weir_error *err)
{
    (void)tx, (void)err;
    int64_t rows = 0;
    return weir_read(arg, count_rows, &rows, NULL, err);
}

static void exercise_degraded(weir_store *store, bool durable)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_finding findings[8];
    int64_t id = 0;
    must_run_sql(store, LEDGER_SCHEMA);
    for (; id < 9; id++) {
        must_insert(store, id, durable || id % 3 ? (weir_ack)(id % 3) : WEIR_ACK_COMMITTED);
        assert_int_equal(must_read_int64(store, "SELECT count(*) FROM ledger"), id + 1);
    }
    expect_ok(weir_flush(store, AWAIT_MS, &err), &err);
    const weir_read_options brief = {.deadline_ms = 50};
    expect_code(weir_read(store, run_endless, NULL, &brief, &err), WEIR_EXPIRED, &err);
    expect_contains(err.text, "WITH RECURSIVE");
    char change[] = "INSERT INTO ledger(id) VALUES(1)";
    expect_code(weir_read(store, change_something, change, NULL, &err), WEIR_DENIED, &err);
    must_insert(store, id, WEIR_ACK_COMMITTED); // and the next write is not hurt
    const weir_write_options committed = {.ack = WEIR_ACK_COMMITTED};
    expect_code(weir_write(store, nested_read, store, &committed, &err), WEIR_INVALID, &err);
    expect_code(weir_checkpoint(store, WEIR_CHECKPOINT_PASSIVE, 0, NULL, &err), WEIR_UNSUPPORTED, &err);
    assert_true(stats_of(store).degraded);
    assert_true(weir_health(store, findings, 8) > 0);
    assert_string_equal(findings[0].name, "degraded");
}

static void a_store_in_memory_reads_and_writes(void **state)
{
    (void)state;
    static const weir_durability POLICIES[] = {WEIR_DURABILITY_FULL, WEIR_DURABILITY_INTERVAL};
    for (size_t i = 0; i < 2; i++) {
        weir_store *const store = must_open(":memory:", &(weir_config){.durability = POLICIES[i]});
        weir_error err = WEIR_ERROR_INIT;
        int64_t id = 1;
        expect_code(weir_write(store, insert_row, &id, NULL, &err), WEIR_UNSUPPORTED, &err);
        exercise_degraded(store, false);
        assert_string_equal(stats_of(store).journal, "memory");
        must_close(store);
    }
}

// Without a log a read needs the writer's turn: a group that lingers gives way.
static void a_read_without_a_log_does_not_wait_for_a_lingering_group(void **state)
{
    (void)state;
    weir_store *const store = must_open(":memory:", &(weir_config){.applied_linger_ms = 15000});
    weir_error err = WEIR_ERROR_INIT;
    int64_t rows = -1;
    must_run_sql(store, LEDGER_SCHEMA);
    must_insert(store, 1, WEIR_ACK_APPLIED);
    const uint64_t start_ms = now_ms();
    const weir_read_options stale = {.may_be_stale = true};
    expect_ok(weir_read(store, count_rows, &rows, &stale, &err), &err);
    assert_int_equal(rows, 1);
    assert_in_range(now_ms() - start_ms, 0, 5000);
    must_close(store);
}

static void a_store_on_a_network_file_system_reads_and_writes(void **state)
{
    (void)state;
    static const weir_durability POLICIES[] = {WEIR_DURABILITY_FULL, WEIR_DURABILITY_INTERVAL};
    for (size_t i = 0; i < 2; i++) {
        scratch place;
        scratch_init(&place);
        weir_store *store = NULL;
        weir_error err = WEIR_ERROR_INIT;
        const weir__fs_kind nfs = {.name = "nfs", .fs_class = WEIR__FS_NETWORK};
        const weir_config config = {.durability = POLICIES[i]};
        expect_ok(
            weir__store_open(place.database, &config, &(weir__open_hooks){.fs_kind = &nfs}, &store, &err),
            &err);
        exercise_degraded(store, true);
        assert_string_equal(stats_of(store).journal, "delete");
        must_close(store);
        assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM ledger"), 10);
        must_be_intact(place.database);
        scratch_fini(&place);
    }
}

static int write_inside(weir_tx *tx, void *arg, weir_error *err)
{
    (void)tx;
    int64_t id = 3;
    return weir_write(arg, insert_row, &id, &(weir_write_options){.deadline_ms = 60}, err);
}

static void a_write_behind_a_read_without_a_log_keeps_its_deadline(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *store = NULL;
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    const weir__fs_kind nfs = {.name = "nfs", .fs_class = WEIR__FS_NETWORK};
    expect_ok(weir__store_open(place.database, NULL, &(weir__open_hooks){.fs_kind = &nfs}, &store, &err),
              &err);
    must_run_sql(store, LEDGER_SCHEMA);
    expect_ok(weir_snapshot_open(store, NULL, &snapshot, &err), &err);
    int64_t id = 1;
    const weir_write_options brief = {.deadline_ms = 60};
    expect_code(weir_write(store, insert_row, &id, &brief, &err), WEIR_BUSY, &err);
    expect_contains(err.text, "read");
    weir_snapshot_close(snapshot);
    expect_ok(weir_flush(store, AWAIT_MS, &err), &err); // nothing is left that it could wait for
    // Even one that waits for its own read ends.
    expect_code(weir_read(store, write_inside, store, NULL, &err), WEIR_BUSY, &err);
    must_insert(store, 2, WEIR_ACK_DURABLE);
    must_close(store);
    assert_int_equal(naive_int64(place.database, "SELECT sum(id) FROM ledger"), 2);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_stays_while_writes_and_checkpoints_go_on),
        cmocka_unit_test(a_read_sees_what_was_acknowledged_at_every_level),
        cmocka_unit_test(a_read_that_may_be_stale_does_not_wait_for_applied_work),
        cmocka_unit_test(a_read_changes_nothing_and_keeps_its_snapshot),
        cmocka_unit_test(a_read_does_not_find_the_engines_statements_in_the_cache),
        cmocka_unit_test(a_deadline_interrupts_a_long_query_and_names_it),
        cmocka_unit_test(an_expired_snapshot_gives_its_pin_up_at_the_next_call),
        cmocka_unit_test(the_pool_is_bounded_and_serves_who_comes_first),
        cmocka_unit_test(a_statement_left_running_on_the_raw_connection_ends_with_its_use),
        cmocka_unit_test(open_snapshots_are_listed_with_what_they_pin),
        cmocka_unit_test(a_store_in_memory_reads_and_writes),
        cmocka_unit_test(a_read_without_a_log_does_not_wait_for_a_lingering_group),
        cmocka_unit_test(a_store_on_a_network_file_system_reads_and_writes),
        cmocka_unit_test(a_write_behind_a_read_without_a_log_keeps_its_deadline),
    };
    return cmocka_run_group_tests_name("read", tests, NULL, NULL);
}
