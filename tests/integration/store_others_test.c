// SPDX-License-Identifier: MIT
//
// A store beside another process: one that holds the write lock, reads, checkpoints, has the file to itself,
// or just has it open. The other process does what the test tells it, when it tells it.
#include "support/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "support/peer.h"

enum {
    SLOW_READ_MS = 1000, // a read that took this long was held up
    GRACE_MS =
        8000, // how late a deadline may be noticed on a loaded machine: less than what would be waited for else
    MISSED_MS = 60000, // how long an attempt, or a pause, would last beyond a deadline that it does not heed
};

typedef struct fixture {
    scratch place;
    weir_store *store;
    peer other;
} fixture;

static void fixture_init(fixture *fx, const weir_config *config)
{
    memset(fx, 0, sizeof *fx);
    scratch_init(&fx->place);
    fx->store = must_open(fx->place.database, config);
    must_run_sql(fx->store, "CREATE TABLE t(a INTEGER)");
    peer_start(&fx->other, fx->place.database);
}

static void fixture_fini(fixture *fx)
{
    peer_stop(&fx->other);
    must_close(fx->store);
    scratch_fini(&fx->place);
}

static void expect_named(const fixture *fx, const char *text)
{
    char pid[32];
    snprintf(pid, sizeof pid, "process %d ", (int)fx->other.pid);
    expect_contains(text, pid);
    expect_contains(text, "support-peer");
}

// ------------------------------------------------------------------------------ writes on a thread of their own

typedef struct background_write {
    weir_store *store;
    const char *sql;
    weir_write_options options;
    int code;
    weir_error err;
    uint64_t took_ms;
    atomic_bool done;
    pthread_t thread;
} background_write;

static void *write_main(void *arg)
{
    background_write *w = arg;
    const uint64_t start_ms = now_ms();
    w->code = run_sql(w->store, w->sql, &w->options, &w->err);
    w->took_ms = now_ms() - start_ms;
    atomic_store(&w->done, true);
    return NULL;
}

static void write_start(background_write *w, weir_store *store, const char *sql, uint32_t deadline_ms)
{
    memset(w, 0, sizeof *w);
    w->store = store;
    w->sql = sql;
    w->options.deadline_ms = deadline_ms;
    assert_int_equal(pthread_create(&w->thread, NULL, write_main, w), 0);
}

static void write_join(background_write *w)
{
    assert_int_equal(pthread_join(w->thread, NULL), 0);
}

static bool has_retried(void *arg)
{
    weir_stats stats;
    return weir_stats_read(arg, &stats, NULL) == WEIR_OK && stats.retries > 0;
}

static bool has_two_jobs(void *arg)
{
    weir_stats stats;
    return weir_stats_read(arg, &stats, NULL) == WEIR_OK && stats.jobs_submitted >= 3;
}

static uint64_t slowest_of_reads(weir_store *store, int reads, int64_t expected)
{
    uint64_t slowest_ms = 0;
    for (int i = 0; i < reads; i++) {
        const uint64_t start_ms = now_ms();
        assert_int_equal(must_read_int64(store, "SELECT count(*) FROM t"), expected);
        const uint64_t took_ms = now_ms() - start_ms;
        slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
    }
    return slowest_ms;
}

static void a_write_waits_for_another_process_and_reads_do_not(void **state)
{
    (void)state;
    fixture fx;
    background_write w;
    fixture_init(&fx, NULL);
    peer_do(&fx.other, "BEGIN IMMEDIATE");
    peer_do(&fx.other, "INSERT INTO t VALUES(1)");
    write_start(&w, fx.store, "INSERT INTO t VALUES(2)", AWAIT_MS);
    assert_true(await(has_retried, fx.store));
    const uint64_t slowest_ms = slowest_of_reads(fx.store, 300, 0);
    if (slowest_ms >= SLOW_READ_MS)
        fail_msg("a read took %llu ms while a write waited", (unsigned long long)slowest_ms);
    assert_false(atomic_load(&w.done));
    peer_do(&fx.other, "COMMIT");
    write_join(&w);
    expect_code(w.code, WEIR_OK, &w.err);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), 2);
    assert_int_equal(peer_number(&fx.other, "SELECT count(*) FROM t"), 2);
    fixture_fini(&fx);
}

static void a_write_fails_at_its_deadline_and_names_the_holder(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir_config){.busy_timeout_ms = MISSED_MS});
    peer_do(&fx.other, "BEGIN IMMEDIATE");
    for (uint32_t deadline_ms = 50; deadline_ms <= 800; deadline_ms *= 4) {
        weir_error err = WEIR_ERROR_INIT;
        const weir_write_options options = {.deadline_ms = deadline_ms};
        const uint64_t start_ms = now_ms();
        expect_code(run_sql(fx.store, "INSERT INTO t VALUES(1)", &options, &err), WEIR_BUSY, &err);
        const uint64_t took_ms = now_ms() - start_ms;
        assert_in_range(took_ms, deadline_ms, deadline_ms + GRACE_MS);
        expect_named(&fx, err.text);
        expect_contains(err.text, fx.place.database);
    }
    peer_do(&fx.other, "COMMIT");
    must_run_sql(fx.store, "INSERT INTO t VALUES(3)");
    assert_int_equal(must_read_int64(fx.store, "SELECT sum(a) FROM t"),
                     3); // nothing that was reported as failed
    fixture_fini(&fx);
}

// The thread that leads waits for long; the one behind it wants to know soon.
static void a_queued_write_has_a_deadline_of_its_own(void **state)
{
    (void)state;
    fixture fx;
    background_write leader;
    background_write follower;
    fixture_init(&fx, NULL);
    peer_do(&fx.other, "BEGIN IMMEDIATE");
    write_start(&leader, fx.store, "INSERT INTO t VALUES(1)", AWAIT_MS);
    assert_true(await(has_retried, fx.store));
    write_start(&follower, fx.store, "INSERT INTO t VALUES(2)", 300);
    write_join(&follower);
    expect_code(follower.code, WEIR_BUSY, &follower.err);
    assert_in_range(follower.took_ms, 300, 300 + GRACE_MS);
    expect_named(&fx, follower.err.text);
    assert_false(atomic_load(&leader.done));
    peer_do(&fx.other, "COMMIT");
    write_join(&leader);
    expect_code(leader.code, WEIR_OK, &leader.err);
    assert_int_equal(must_read_int64(fx.store, "SELECT sum(a) FROM t"), 1);
    fixture_fini(&fx);
}

// The thread that leads gives up; the one behind it goes on.
static void a_leading_write_returns_at_its_own_deadline(void **state)
{
    (void)state;
    fixture fx;
    background_write leader;
    background_write follower;
    fixture_init(&fx, NULL);
    peer_do(&fx.other, "BEGIN IMMEDIATE");
    write_start(&leader, fx.store, "INSERT INTO t VALUES(1)", 600);
    assert_true(await(has_retried, fx.store));
    write_start(&follower, fx.store, "INSERT INTO t VALUES(2)", AWAIT_MS);
    assert_true(await(has_two_jobs, fx.store));
    write_join(&leader);
    expect_code(leader.code, WEIR_BUSY, &leader.err);
    assert_in_range(leader.took_ms, 600, 600 + GRACE_MS);
    expect_named(&fx, leader.err.text);
    peer_do(&fx.other, "COMMIT");
    write_join(&follower);
    expect_code(follower.code, WEIR_OK, &follower.err);
    assert_int_equal(must_read_int64(fx.store, "SELECT sum(a) FROM t"), 2);
    fixture_fini(&fx);
}

static void a_flush_ends_at_its_deadline_and_says_who_is_in_the_way(void **state)
{
    (void)state;
    fixture fx;
    background_write w;
    weir_error err = WEIR_ERROR_INIT;
    fixture_init(&fx, NULL);
    peer_do(&fx.other, "BEGIN IMMEDIATE");
    write_start(&w, fx.store, "INSERT INTO t VALUES(1)", AWAIT_MS);
    assert_true(await(has_retried, fx.store));
    const uint64_t start_ms = now_ms();
    expect_code(weir_flush(fx.store, 200, &err), WEIR_BUSY, &err);
    assert_in_range(now_ms() - start_ms, 200, 200 + GRACE_MS);
    expect_named(&fx, err.text);
    peer_do(&fx.other, "COMMIT");
    expect_ok(weir_flush(fx.store, AWAIT_MS, &err), &err);
    write_join(&w);
    expect_code(w.code, WEIR_OK, &w.err);
    fixture_fini(&fx);
}

static void close_gives_up_at_its_deadline(void **state)
{
    (void)state;
    fixture fx;
    background_write w;
    weir_error err = WEIR_ERROR_INIT;
    fixture_init(&fx, NULL);
    peer_do(&fx.other, "BEGIN IMMEDIATE");
    write_start(&w, fx.store, "INSERT INTO t VALUES(1)", AWAIT_MS);
    assert_true(await(has_retried, fx.store));
    const uint64_t start_ms = now_ms();
    expect_ok(weir_close(fx.store, 300, &err), &err);
    assert_in_range(now_ms() - start_ms, 300, 300 + GRACE_MS);
    write_join(&w);
    expect_code(w.code, WEIR_CLOSED, &w.err);
    peer_do(&fx.other, "COMMIT");
    assert_int_equal(peer_number(&fx.other, "SELECT count(*) FROM t"), 0);
    peer_stop(&fx.other);
    scratch_fini(&fx.place);
}

// A writer that dies in its transaction holds nobody up.
static void a_killed_writer_lets_go(void **state)
{
    (void)state;
    fixture fx;
    background_write w;
    fixture_init(&fx, NULL);
    peer_do(&fx.other, "BEGIN IMMEDIATE");
    peer_do(&fx.other, "INSERT INTO t VALUES(1)");
    write_start(&w, fx.store, "INSERT INTO t VALUES(2)", AWAIT_MS);
    assert_true(await(has_retried, fx.store));
    peer_kill(&fx.other);
    write_join(&w);
    expect_code(w.code, WEIR_OK, &w.err);
    assert_int_equal(must_read_int64(fx.store, "SELECT sum(a) FROM t"), 2);
    must_close(fx.store);
    scratch_fini(&fx.place);
}

// -------------------------------------------------------------------------------------------- checkpoints

static const weir_checkpoint_mode MODES[] = {WEIR_CHECKPOINT_PASSIVE, WEIR_CHECKPOINT_FULL,
                                             WEIR_CHECKPOINT_RESTART, WEIR_CHECKPOINT_TRUNCATE};
// Nothing moves of its own accord.
static const weir_config STILL = {.checkpoint_idle_ms = 3600 * 1000, .checkpoint_frames = 1000000};

static weir_checkpoint_report checkpoint(weir_store *store, weir_checkpoint_mode mode, uint32_t deadline_ms)
{
    weir_checkpoint_report report;
    weir_error err = WEIR_ERROR_INIT;
    const uint64_t start_ms = now_ms();
    expect_ok(weir_checkpoint(store, mode, deadline_ms, &report, &err), &err);
    assert_int_equal(report.mode, mode);
    assert_in_range(report.time_ns, 1, (now_ms() - start_ms + 1) * 1000000);
    assert_in_range(report.writer_ns, 0, report.time_ns);
    return report;
}

static void a_read_of_another_process_is_named(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &STILL);
    peer_do(&fx.other, "BEGIN");
    peer_do(&fx.other, "SELECT count(*) FROM t");
    for (int i = 0; i < 10; i++)
        must_run_sql(fx.store, "INSERT INTO t VALUES(1)");
    for (size_t i = 0; i < 4; i++) {
        const weir_checkpoint_report report = checkpoint(fx.store, MODES[i], 200);
        assert_int_equal(report.blocker, WEIR_BLOCKER_OUTSIDE_READER);
        assert_int_equal(report.pid, fx.other.pid);
        expect_named(&fx, report.why);
        assert_int_equal(report.busy, MODES[i] != WEIR_CHECKPOINT_PASSIVE);
        assert_true(report.log_frames > 10);
        assert_int_equal(report.pinned_frames, 10);
        assert_int_equal(report.moved_frames, report.log_frames - 10);
    }
    peer_do(&fx.other, "COMMIT");
    const weir_checkpoint_report report = checkpoint(fx.store, WEIR_CHECKPOINT_TRUNCATE, AWAIT_MS);
    assert_int_equal(report.blocker, WEIR_BLOCKER_NONE);
    assert_int_equal(report.busy, 0);
    assert_string_equal(report.why, "");
    assert_int_equal(file_bytes(fx.place.wal), 0);
    fixture_fini(&fx);
}

static void a_writer_of_another_process_is_named(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &STILL);
    for (int i = 0; i < 10; i++)
        must_run_sql(fx.store, "INSERT INTO t VALUES(1)");
    peer_do(&fx.other, "BEGIN IMMEDIATE");
    for (size_t i = 1; i < 4; i++) {
        const uint64_t start_ms = now_ms();
        const weir_checkpoint_report report = checkpoint(fx.store, MODES[i], 200);
        assert_true(now_ms() - start_ms < 200 + GRACE_MS);
        assert_int_equal(report.blocker, WEIR_BLOCKER_WRITER);
        assert_int_equal(report.pid, fx.other.pid);
        assert_int_equal(report.busy, 1);
        expect_named(&fx, report.why);
    }
    assert_true(file_bytes(fx.place.wal) > 0);
    peer_do(&fx.other, "INSERT INTO t VALUES(5)");
    peer_do(&fx.other, "COMMIT");
    assert_int_equal(checkpoint(fx.store, WEIR_CHECKPOINT_TRUNCATE, AWAIT_MS).blocker, WEIR_BLOCKER_NONE);
    assert_int_equal(must_read_int64(fx.store, "SELECT sum(a) FROM t"), 15);
    fixture_fini(&fx);
}

static void a_checkpointer_of_another_process_is_named(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &STILL);
    must_run_sql(fx.store, "INSERT INTO t VALUES(1)");
    peer_do(&fx.other, ".lock 121"); // CKPT
    for (size_t i = 0; i < 4; i++) {
        const weir_checkpoint_report report = checkpoint(fx.store, MODES[i], 200);
        assert_int_equal(report.blocker, WEIR_BLOCKER_CHECKPOINTER);
        assert_int_equal(report.pid, fx.other.pid);
        assert_int_equal(report.busy, 1);
        expect_named(&fx, report.why);
    }
    must_run_sql(fx.store, "INSERT INTO t VALUES(2)"); // which keeps nobody from writing
    peer_stop(&fx.other);
    assert_int_equal(checkpoint(fx.store, WEIR_CHECKPOINT_TRUNCATE, AWAIT_MS).blocker, WEIR_BLOCKER_NONE);
    must_close(fx.store);
    scratch_fini(&fx.place);
}

// ------------------------------------------------------------------------------------- opening and closing

static void the_log_goes_with_the_last_process(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, NULL);
    assert_int_equal(peer_number(&fx.other, "SELECT count(*) FROM t"), 0);
    must_run_sql(fx.store, "INSERT INTO t VALUES(1)");
    must_close(fx.store);
    assert_int_equal(file_bytes(fx.place.wal), 0); // there, because somebody has it open, and empty
    assert_true(file_bytes(fx.place.shm) > 0);
    assert_int_equal(peer_number(&fx.other, "INSERT INTO t VALUES(2) RETURNING a"), 2);
    fx.store = must_open(fx.place.database, NULL);
    assert_int_equal(must_read_int64(fx.store, "SELECT sum(a) FROM t"), 3);
    peer_stop(&fx.other);
    must_close(fx.store);
    assert_int_equal(file_bytes(fx.place.wal), -1);
    assert_int_equal(file_bytes(fx.place.shm), -1);
    scratch_fini(&fx.place);
}

static void a_file_that_another_process_has_to_itself(void **state)
{
    (void)state;
    static const char *const WAYS[][3] = {
        {"PRAGMA journal_mode=WAL", "PRAGMA locking_mode=EXCLUSIVE", "INSERT INTO t VALUES(1)"},
        {"PRAGMA journal_mode=DELETE", "BEGIN EXCLUSIVE", "INSERT INTO t VALUES(1)"},
    };
    for (size_t i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++) {
        scratch place;
        peer other;
        weir_error err = WEIR_ERROR_INIT;
        weir_store *store = NULL;
        scratch_init(&place);
        naive_sql(place.database, "CREATE TABLE t(a)");
        peer_start(&other, place.database);
        for (size_t k = 0; k < 3; k++)
            peer_do(&other, WAYS[i][k]);
        const weir_config config = {.open_deadline_ms = 400};
        const uint64_t start_ms = now_ms();
        expect_code(weir_open(place.database, &config, &store, &err), WEIR_BUSY, &err);
        assert_in_range(now_ms() - start_ms, 400, 400 + GRACE_MS);
        assert_null(store);
        expect_contains(err.text, place.database);
        peer_kill(&other);
        store = must_open(place.database, &config);
        must_run_sql(store, "INSERT INTO t VALUES(2)");
        must_close(store);
        scratch_fini(&place);
    }
}

typedef struct background_open {
    const char *database;
    weir_config config;
    weir_store *store;
    int code;
    weir_error err;
    atomic_bool done;
    pthread_t thread;
} background_open;

static void *open_main(void *arg)
{
    background_open *o = arg;
    o->code = weir_open(o->database, &o->config, &o->store, &o->err);
    atomic_store(&o->done, true);
    return NULL;
}

static bool a_while_has_passed(void *arg)
{
    return now_ms() >= *(const uint64_t *)arg;
}

// Opens a database while another process is in the middle of a transaction for so long, in the rollback journal.
static void open_beside(const char *const *transaction, uint64_t ms, uint32_t deadline_ms)
{
    scratch place;
    peer other;
    static background_open o;
    memset(&o, 0, sizeof o);
    scratch_init(&place);
    naive_sql(place.database, "CREATE TABLE t(a)");
    peer_start(&other, place.database);
    for (; *transaction != NULL; transaction++)
        peer_do(&other, *transaction);
    o.database = place.database;
    o.config.open_deadline_ms = deadline_ms;
    assert_int_equal(pthread_create(&o.thread, NULL, open_main, &o), 0);
    uint64_t until_ms = now_ms() + ms;
    await(a_while_has_passed, &until_ms);
    assert_false(atomic_load(&o.done));
    peer_do(&other, "COMMIT");
    pthread_join(o.thread, NULL);
    expect_code(o.code, WEIR_OK, &o.err);
    must_close(o.store);
    peer_stop(&other);
    scratch_fini(&place);
}

// However long one is willing to wait, it is not the same as not at all.
static void opening_waits_for_a_lock_as_long_as_it_may(void **state)
{
    (void)state;
    const char *const alone[] = {"BEGIN EXCLUSIVE", NULL};
    open_beside(alone, 300, WEIR_NO_DEADLINE);
}

// The second of them keeps the journal mode from being changed, where SQLite itself does not wait.
static void opening_waits_for_seconds_unless_told_otherwise(void **state)
{
    (void)state;
    const char *const alone[] = {"BEGIN EXCLUSIVE", NULL};
    const char *const reading[] = {"BEGIN", "SELECT count(*) FROM t", NULL};
    open_beside(alone, 1500, 0);
    open_beside(reading, 1500, 0);
}

// A writer that was killed in a rollback-mode transaction leaves its journal behind, hot.
static void a_hot_journal_is_rolled_back_and_reported(void **state)
{
    (void)state;
    scratch place;
    peer other;
    weir_finding findings[16];
    bool found = false;
    scratch_init(&place);
    naive_sql(place.database, "CREATE TABLE t(a); INSERT INTO t VALUES(1);");
    peer_start(&other, place.database);
    peer_do(&other, "PRAGMA cache_size=1");
    peer_do(&other, "PRAGMA cache_spill=1");
    peer_do(&other, "BEGIN IMMEDIATE");
    peer_do(&other, "UPDATE t SET a=99");
    peer_do(&other, "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<2000) "
                    "INSERT INTO t SELECT randomblob(500) FROM n");
    peer_kill(&other);
    assert_true(file_bytes(place.journal) > 512);
    assert_true(file_bytes(place.database) > 100 * 4096); // spilled: without the rollback it is damaged
    weir_store *const store = must_open(place.database, NULL);
    const size_t size = weir_health(store, findings, 16);
    for (size_t i = 0; i < size; i++)
        found = found || strcmp(findings[i].name, "hot-journal") == 0;
    assert_true(found);
    assert_int_equal(must_read_int64(store, "SELECT count(*) FROM t"), 1);
    assert_int_equal(must_read_int64(store, "SELECT a FROM t"), 1);
    must_close(store);
    must_be_intact(place.database);
    assert_int_equal(file_bytes(place.journal), -1);
    scratch_fini(&place);
}

// Both write; neither loses a row, and closing one drops no lock of the other.
static void two_stores_of_one_process_on_one_file(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, NULL);
    weir_store *const second = must_open(fx.place.database, NULL);
    must_run_sql(second, "INSERT INTO t VALUES(1)");
    must_run_sql(fx.store, "INSERT INTO t VALUES(2)");
    assert_int_equal(must_read_int64(second, "SELECT sum(a) FROM t"), 3);
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_snapshot_open(fx.store, NULL, &snapshot, &err), &err);
    must_run_sql(fx.store, "INSERT INTO t VALUES(3)");
    must_close(second);
    peer_do(&fx.other, "PRAGMA busy_timeout=0");
    assert_int_equal(peer_number(&fx.other, "PRAGMA wal_checkpoint(TRUNCATE)"),
                     1); // the snapshot's lock stands
    weir_snapshot_close(snapshot);
    assert_int_equal(peer_number(&fx.other, "SELECT sum(a) FROM t"), 6);
    fixture_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_waits_for_another_process_and_reads_do_not),
        cmocka_unit_test(a_write_fails_at_its_deadline_and_names_the_holder),
        cmocka_unit_test(a_queued_write_has_a_deadline_of_its_own),
        cmocka_unit_test(a_leading_write_returns_at_its_own_deadline),
        cmocka_unit_test(a_flush_ends_at_its_deadline_and_says_who_is_in_the_way),
        cmocka_unit_test(close_gives_up_at_its_deadline),
        cmocka_unit_test(a_killed_writer_lets_go),
        cmocka_unit_test(a_read_of_another_process_is_named),
        cmocka_unit_test(a_writer_of_another_process_is_named),
        cmocka_unit_test(a_checkpointer_of_another_process_is_named),
        cmocka_unit_test(the_log_goes_with_the_last_process),
        cmocka_unit_test(a_file_that_another_process_has_to_itself),
        cmocka_unit_test(opening_waits_for_a_lock_as_long_as_it_may),
        cmocka_unit_test(opening_waits_for_seconds_unless_told_otherwise),
        cmocka_unit_test(a_hot_journal_is_rolled_back_and_reported),
        cmocka_unit_test(two_stores_of_one_process_on_one_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
