// SPDX-License-Identifier: MIT
//
// Checkpoints of one process: what they report, whom they blame, that the pin is proved, that the log stays
// bounded whatever readers do, and that reads go on meanwhile. Other processes: tests/integration/store_others.
#include "support/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock_fake.h"
#include "store/open.h"

enum {
    MODES = 4,
    LIMIT_BYTES = 4 << 20,
    OVERLAP_MS = 3000, // how long reads overlap without end
    READ_MS = 5,       // how long each of them takes
    OVERLAPPING = 4,   // how many threads read
    ROW_BYTES = 1000,
    ROWS_MAX = 100000,
    GAP_MS_MAX = 1000, // 20 times the default, above the limit
};

// Nothing moves of its own accord.
static const weir_config STILL = {.checkpoint_idle_ms = 3600 * 1000, .checkpoint_frames = 1000000};

typedef struct fixture {
    scratch place;
    weir_store *store;
} fixture;

static void fixture_init(fixture *fx, const weir_config *config)
{
    scratch_init(&fx->place);
    fx->store = must_open(fx->place.database, config);
    must_run_sql(fx->store, "CREATE TABLE t(a)");
}

static void fixture_fini(fixture *fx)
{
    must_close(fx->store);
    must_be_intact(fx->place.database);
    scratch_fini(&fx->place);
}

static void insert(weir_store *store, int rows)
{
    for (int i = 0; i < rows; i++)
        must_run_sql(store, "INSERT INTO t VALUES(1)");
}

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

static weir_snapshot *snapshot_of(weir_store *store, const char *label)
{
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    const weir_read_options options = {.label = label, .deadline_ms = WEIR_NO_DEADLINE};
    expect_ok(weir_snapshot_open(store, &options, &snapshot, &err), &err);
    return snapshot;
}

static weir_stats stats_of(weir_store *store)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &stats, &err), &err);
    return stats;
}

// ------------------------------------------------------------------------------------------------- reports

static void every_mode_reaches_its_goal(void **state)
{
    (void)state;
    for (int mode = 0; mode < MODES; mode++) {
        fixture fx;
        fixture_init(&fx, &STILL);
        insert(fx.store, 20);
        const int64_t frames = stats_of(fx.store).wal_frames;
        const int64_t bytes = file_bytes(fx.place.wal);
        assert_int_equal(bytes, 32 + frames * (24 + 4096));
        const weir_checkpoint_report report = checkpoint(fx.store, (weir_checkpoint_mode)mode, 0);
        assert_int_equal(report.busy, 0);
        assert_int_equal(report.blocker, WEIR_BLOCKER_NONE);
        assert_int_equal(report.pinned_frames, 0);
        assert_string_equal(report.why, "");
        assert_int_equal(report.log_frames, mode == WEIR_CHECKPOINT_TRUNCATE ? 0 : frames);
        assert_int_equal(report.moved_frames, report.log_frames);
        assert_int_equal(file_bytes(fx.place.wal), mode == WEIR_CHECKPOINT_TRUNCATE ? 0 : bytes);
        assert_int_equal(stats_of(fx.store).checkpoints[mode], 1);
        insert(fx.store, 1);
        if (mode >= WEIR_CHECKPOINT_RESTART) // the log has started over
            assert_in_range(stats_of(fx.store).wal_frames, 1, 5);
        fixture_fini(&fx);
    }
}

static void an_open_snapshot_is_named(void **state)
{
    (void)state;
    fixture fx;
    weir_reader_info reader;
    char id[32];
    fixture_init(&fx, &STILL);
    insert(fx.store, 5);
    weir_snapshot *const oldest = snapshot_of(fx.store, "weekly report");
    insert(fx.store, 7);
    weir_snapshot *const younger = snapshot_of(fx.store, "innocent");
    insert(fx.store, 3);
    assert_int_equal(weir_readers(fx.store, &reader, 1), 2);
    snprintf(id, sizeof id, "read %llu ", (unsigned long long)reader.id);
    for (int mode = 0; mode < MODES; mode++) {
        const weir_checkpoint_report report = checkpoint(fx.store, (weir_checkpoint_mode)mode, 150);
        assert_int_equal(report.blocker, WEIR_BLOCKER_READER);
        assert_int_equal(report.reader_id, reader.id);
        assert_int_equal(report.busy, mode != WEIR_CHECKPOINT_PASSIVE);
        assert_int_equal(report.pinned_frames, 10);
        assert_int_equal(report.moved_frames, report.log_frames - 10);
        assert_int_equal(report.pid, 0);
        expect_contains(report.why, id);
        expect_contains(report.why, "weekly report");
        expect_contains(report.why, "pins 10 ");
        assert_int_equal(stats_of(fx.store).checkpoints_short[mode], 1);
    }
    assert_int_equal(reader.pinned_frames, 10);
    assert_int_equal(stats_of(fx.store).wal_pinned, 10);
    weir_snapshot_close(oldest);
    assert_int_equal(checkpoint(fx.store, WEIR_CHECKPOINT_PASSIVE, 0).pinned_frames, 3);
    weir_snapshot_close(younger);
    assert_int_equal(checkpoint(fx.store, WEIR_CHECKPOINT_TRUNCATE, 0).blocker, WEIR_BLOCKER_NONE);
    fixture_fini(&fx);
}

// A snapshot that began on a log which had been moved completely reads the database file alone. The log may start
// over beside it, and then nothing of the new one can be moved.
static void a_snapshot_of_the_file_alone_pins_the_whole_new_log(void **state)
{
    (void)state;
    fixture fx;
    weir_reader_info reader;
    fixture_init(&fx, &STILL);
    insert(fx.store, 5);
    assert_int_equal(checkpoint(fx.store, WEIR_CHECKPOINT_PASSIVE, 0).blocker, WEIR_BLOCKER_NONE);
    weir_snapshot *const snapshot = snapshot_of(fx.store, "old");
    insert(fx.store, 4);
    const weir_checkpoint_report report = checkpoint(fx.store, WEIR_CHECKPOINT_PASSIVE, 0);
    assert_int_equal(report.blocker, WEIR_BLOCKER_READER);
    assert_in_range(report.log_frames, 4, 5);
    assert_int_equal(report.moved_frames, 0);
    assert_int_equal(report.pinned_frames, report.log_frames);
    assert_int_equal(weir_readers(fx.store, &reader, 1), 1);
    assert_int_equal(reader.pinned_frames, report.log_frames);
    assert_int_equal(stats_of(fx.store).wal_pinned, report.log_frames);
    weir_snapshot_close(snapshot);
    assert_int_equal(checkpoint(fx.store, WEIR_CHECKPOINT_PASSIVE, 0).blocker, WEIR_BLOCKER_NONE);
    fixture_fini(&fx);
}

static void an_empty_log_has_nothing_to_move(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &STILL);
    checkpoint(fx.store, WEIR_CHECKPOINT_TRUNCATE, 0);
    for (int mode = 0; mode < MODES; mode++) {
        const weir_checkpoint_report report = checkpoint(fx.store, (weir_checkpoint_mode)mode, 0);
        assert_int_equal(report.busy, 0);
        assert_int_equal(report.blocker, WEIR_BLOCKER_NONE);
        assert_int_equal(report.log_frames, 0);
        assert_int_equal(report.moved_frames, 0);
    }
    fixture_fini(&fx);
}

static int checkpoint_from_inside(weir_tx *tx, void *arg, weir_error *err)
{
    (void)tx;
    return weir_checkpoint(arg, WEIR_CHECKPOINT_PASSIVE, 0, NULL, err);
}

static void wrong_calls_are_refused(void **state)
{
    (void)state;
    fixture fx;
    weir_checkpoint_report report;
    weir_error err = WEIR_ERROR_INIT;
    fixture_init(&fx, &STILL);
    expect_code(weir_checkpoint(fx.store, (weir_checkpoint_mode)4, 0, &report, &err), WEIR_INVALID, &err);
    expect_code(weir_checkpoint(fx.store, (weir_checkpoint_mode)-1, 0, NULL, &err), WEIR_INVALID, &err);
    expect_code(weir_write(fx.store, checkpoint_from_inside, fx.store, NULL, &err), WEIR_INVALID, &err);
    expect_code(run_sql(fx.store, "PRAGMA wal_checkpoint", NULL, &err), WEIR_DENIED, &err);
    expect_code(run_sql(fx.store, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, &err), WEIR_DENIED, &err);
    expect_code(run_sql(fx.store, "PRAGMA wal_autocheckpoint=1", NULL, &err), WEIR_DENIED, &err);
    expect_ok(weir_checkpoint(fx.store, WEIR_CHECKPOINT_FULL, 0, NULL, NULL), NULL);
    fixture_fini(&fx);
}

// ----------------------------------------------------------------------------------------------------- pin

// Stands below the pin while it begins and does something at the worst moment.
typedef struct ambush {
    const char *database;
    const char *sql; // done once, by somebody else
    bool refuse;     // and the pin has to look again
    int sprung;
    int checkpoint_locks; // how often a checkpoint of the store really began
} ambush;

enum { LOCK_CKPT = 1, LOCK_READ1 = 4 };

static int on_file_access(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    ambush *a = context;
    (void)role;
    if (op != WEIR__VFS_SHM_LOCK)
        return SQLITE_OK;
    a->checkpoint_locks += offset == LOCK_CKPT && size == 1;
    if (offset < LOCK_READ1 || a->sprung || !a->sql)
        return SQLITE_OK;
    a->sprung = 1;
    naive_sql(a->database, a->sql);
    return a->refuse ? SQLITE_BUSY : SQLITE_OK;
}

static weir_checkpoint_report ambushed(fixture *fx, ambush *a)
{
    a->database = fx->place.database;
    weir__vfs_set_fault(fx->store->vfs, on_file_access, a);
    const weir_checkpoint_report report = checkpoint(fx->store, WEIR_CHECKPOINT_PASSIVE, 0);
    weir__vfs_set_fault(fx->store->vfs, NULL, NULL);
    return report;
}

static void open_as(fixture *fx, int pretend_fixed)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir__open_hooks hooks = {.pretend_fixed = pretend_fixed};
    scratch_init(&fx->place);
    expect_ok(weir__store_open(fx->place.database, &STILL, &hooks, &fx->store, &err), &err);
    must_run_sql(fx->store, "CREATE TABLE t(a)");
    insert(fx->store, 10);
}

static void the_ambush_itself_works(void **state)
{
    (void)state;
    fixture fx;
    ambush a = {.sql = NULL};
    open_as(&fx, -1);
    const weir_checkpoint_report report = ambushed(&fx, &a);
    assert_int_equal(a.checkpoint_locks, 1); // an undisturbed pin is a pin
    assert_int_equal(report.moved_frames, report.log_frames);
    fixture_fini(&fx);
}

// Everything is moved between the pin's look and its lock, so it gets READ0, which keeps nobody from starting the
// log over: no checkpoint may rely on it.
static void a_pin_on_a_fully_moved_log_does_not_count(void **state)
{
    (void)state;
    for (int refuse = 0; refuse < 2; refuse++) {
        fixture fx;
        ambush a = {.sql = "PRAGMA wal_checkpoint(PASSIVE)", .refuse = refuse};
        open_as(&fx, -1);
        const weir_checkpoint_report report = ambushed(&fx, &a);
        assert_int_equal(a.sprung, 1);
        assert_int_equal(a.checkpoint_locks, 0);
        assert_int_equal(report.blocker, WEIR_BLOCKER_NONE);
        assert_int_equal(report.moved_frames, report.log_frames);
        fixture_fini(&fx);
    }
}

// The log starts over in that moment: the pin is not proved by what was seen of the log before, and is tried again.
static void a_pin_on_another_generation_is_taken_again(void **state)
{
    (void)state;
    fixture fx;
    ambush a = {.sql = "PRAGMA wal_checkpoint(PASSIVE); INSERT INTO t VALUES(1);", .refuse = true};
    open_as(&fx, -1);
    const weir_checkpoint_report report = ambushed(&fx, &a);
    assert_int_equal(a.sprung, 1);
    assert_int_equal(a.checkpoint_locks, 1);
    assert_in_range(report.log_frames, 1, 3);
    assert_int_equal(report.moved_frames, report.log_frames);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), 11);
    fixture_fini(&fx);
}

static void a_fixed_library_needs_no_pin(void **state)
{
    (void)state;
    fixture fx;
    ambush a = {.sql = "SELECT 1"};
    open_as(&fx, 1);
    const weir_checkpoint_report report = ambushed(&fx, &a);
    assert_int_equal(a.checkpoint_locks, 1);
    assert_int_equal(report.moved_frames, report.log_frames);
    fixture_fini(&fx);
}

// ------------------------------------------------------------------------------------------- the WAL-reset bug

// A checkpoint reads the log's header, tells the file that pages have changed (xUnfetch), and only then looks how much
// has been moved. The trap makes another connection commit at that very point. If the log had been moved completely,
// that commit starts it over, and an affected library goes on with the length of the log before.
static struct {
    const sqlite3_io_methods *real;
    sqlite3_io_methods methods;
    sqlite3_vfs vfs; // the system's, but files of databases come with the trap in them
    sqlite3 *other;  // commits, and moves everything before
    bool set, sprung;
} trap;

static void must_exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static int spring(sqlite3_file *file, sqlite3_int64 offset, void *page)
{
    if (!page && trap.set && !trap.sprung) {
        trap.sprung = true;
        must_exec(trap.other, "INSERT INTO t VALUES(1)");
    }
    return trap.real->xUnfetch(file, offset, page);
}

static int open_with_trap(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    sqlite3_vfs *const system = vfs->pAppData;
    const int rc = system->xOpen(system, name, file, flags, out);
    if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_MAIN_DB))
        return rc;
    trap.real = file->pMethods;
    trap.methods = *trap.real;
    trap.methods.xUnfetch = spring;
    file->pMethods = &trap.methods;
    return SQLITE_OK;
}

// A store whose files have the trap in them, with 10 rows, and somebody else who has it open.
static void open_in_trap(fixture *fx, int pretend_fixed)
{
    sqlite3_vfs *const system = sqlite3_vfs_find(NULL);
    memset(&trap, 0, sizeof trap);
    trap.vfs = *system;
    trap.vfs.pNext = NULL;
    trap.vfs.zName = "trap";
    trap.vfs.pAppData = system;
    trap.vfs.xOpen = open_with_trap;
    assert_int_equal(sqlite3_vfs_register(&trap.vfs, 1), SQLITE_OK);
    open_as(fx, pretend_fixed);
    assert_int_equal(sqlite3_vfs_unregister(&trap.vfs), SQLITE_OK);
    assert_int_equal(sqlite3_vfs_register(system, 1), SQLITE_OK); // the default again
    assert_true(trap.real->iVersion >= 3);
    assert_int_equal(sqlite3_open(fx->place.database, &trap.other), SQLITE_OK);
    must_exec(trap.other, "PRAGMA wal_autocheckpoint=0; SELECT count(*) FROM t;");
}

static int move_everything_first(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset,
                                 int size)
{
    (void)context, (void)role, (void)size;
    if (op == WEIR__VFS_SHM_LOCK && offset == LOCK_CKPT && !trap.set) {
        trap.set = true;
        must_exec(trap.other, "PRAGMA wal_checkpoint(PASSIVE)");
    }
    return SQLITE_OK;
}

// Rows that are missing in the end: commits go on for a while after the trap was sprung.
static int64_t rows_lost_in_the_trap(int pretend_fixed)
{
    enum { BEFORE = 10, AFTER = 4 };
    fixture fx;
    open_in_trap(&fx, pretend_fixed);
    weir__vfs_set_fault(fx.store->vfs, move_everything_first, NULL);
    checkpoint(fx.store, WEIR_CHECKPOINT_PASSIVE, 0);
    weir__vfs_set_fault(fx.store->vfs, NULL, NULL);
    assert_true(trap.sprung);
    insert(fx.store, AFTER);
    assert_int_equal(sqlite3_close(trap.other), SQLITE_OK);
    must_close(fx.store);
    const int64_t rows = naive_int64(fx.place.database, "SELECT count(*) FROM t");
    scratch_fini(&fx.place);
    return BEFORE + 1 + AFTER - rows;
}

static void without_a_pin_an_affected_library_loses_commits(void **state)
{
    (void)state;
    weir_version_info version;
    weir_version(&version);
    const int64_t lost = rows_lost_in_the_trap(1);
    if (version.has_wal_reset_fix)
        assert_int_equal(lost, 0);
    else
        assert_true(lost > 0); // else the trap does not work, and the next test shows nothing
}

static void with_a_pin_no_library_loses_commits(void **state)
{
    (void)state;
    assert_int_equal(rows_lost_in_the_trap(-1), 0);
}

// ---------------------------------------------------------------------------------------------------- idle

static void an_idle_database_has_an_empty_log(void **state)
{
    (void)state;
    static weir__clock_fake fake;
    fixture fx;
    weir_error err = WEIR_ERROR_INIT;
    weir__clock_fake_init(&fake);
    const weir__open_hooks hooks = {.clock = &fake.clock};
    scratch_init(&fx.place);
    expect_ok(weir__store_open(fx.place.database, NULL, &hooks, &fx.store, &err), &err);
    must_run_sql(fx.store, "CREATE TABLE t(a)");
    insert(fx.store, 3);
    assert_true(file_bytes(fx.place.wal) > 0);
    assert_true(weir__clock_fake_await_waiters(&fake, 2)); // the writer and the checkpointer are asleep
    weir__clock_fake_advance(&fake, 990 * WEIR__NS_PER_MS);
    assert_true(file_bytes(fx.place.wal) > 0); // not yet a second of silence
    for (int i = 0; i < 2; i++) {
        assert_true(weir__clock_fake_await_waiters(&fake, 2));
        weir__clock_fake_advance(&fake, 1000 * WEIR__NS_PER_MS);
    }
    assert_true(weir__clock_fake_await_waiters(&fake, 2));
    assert_int_equal(file_bytes(fx.place.wal), 0);
    fixture_fini(&fx);
    weir__clock_fake_fini(&fake);
}

static bool log_is_empty(void *arg)
{
    return file_bytes(arg) == 0;
}

// Also when it was somebody else who wrote last.
static void an_idle_log_of_another_writer_is_emptied_too(void **state)
{
    (void)state;
    fixture fx;
    fixture_init(&fx, &(weir_config){.checkpoint_idle_ms = 50});
    assert_true(await(log_is_empty, fx.place.wal));
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(fx.place.database, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, AWAIT_MS); // the checkpointer has the write lock for a moment
    assert_int_equal(sqlite3_exec(db, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), SQLITE_OK);
    assert_true(await(log_is_empty, fx.place.wal));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), 1);
    fixture_fini(&fx);
}

// ------------------------------------------------------------------------------------------ the log's limit

typedef struct overlap {
    weir_store *store;
    const char *database;
    atomic_bool stop;
    atomic_uint_fast64_t reads, slowest_ms;
    atomic_int failed;
} overlap;

// What a read does with its rows takes time.
static void work_on_rows(void)
{
    weir__clock *const clock = weir__clock_system();
    weir__clock_sleep_until(clock, weir__clock_now_ns(clock) + READ_MS * WEIR__NS_PER_MS);
}

static int slow_read(weir_tx *tx, void *arg, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    (void)arg;
    int code = weir_prepare(tx, "SELECT a FROM t LIMIT 1", &stmt, err);
    if (code == WEIR_OK)
        code = weir_step(stmt, &row, err);
    work_on_rows();
    return code;
}

static void *read_without_end(void *arg)
{
    overlap *o = arg;
    while (!atomic_load(&o->stop)) {
        weir_error err = WEIR_ERROR_INIT;
        const uint64_t start_ms = now_ms();
        if (weir_read(o->store, slow_read, NULL, NULL, &err) != WEIR_OK)
            atomic_fetch_add(&o->failed, 1);
        const uint64_t took_ms = now_ms() - start_ms;
        atomic_fetch_add(&o->reads, 1);
        if (took_ms > atomic_load(&o->slowest_ms))
            atomic_store(&o->slowest_ms, took_ms);
    }
    return NULL;
}

static void *naive_read_without_end(void *arg)
{
    overlap *o = arg;
    sqlite3 *db = NULL;
    if (sqlite3_open(o->database, &db) != SQLITE_OK)
        return NULL;
    sqlite3_busy_timeout(db, 10000);
    while (!atomic_load(&o->stop)) {
        sqlite3_exec(db, "BEGIN; SELECT count(*) FROM sqlite_schema;", NULL, NULL, NULL);
        work_on_rows();
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    sqlite3_close(db);
    return NULL;
}

static void threads_start(pthread_t *threads, void *(*main)(void *), overlap *o)
{
    for (int i = 0; i < OVERLAPPING; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, main, o), 0);
}

static void threads_join(pthread_t *threads, overlap *o)
{
    atomic_store(&o->stop, true);
    for (int i = 0; i < OVERLAPPING; i++)
        pthread_join(threads[i], NULL);
}

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// The control: plain SQLite with its automatic checkpoints, the same reads, the same rows.
static void plain_sqlite_lets_the_log_grow(void **state)
{
    (void)state;
    scratch place;
    overlap o = {0};
    pthread_t threads[OVERLAPPING];
    sqlite3 *db = NULL;
    scratch_init(&place);
    o.database = place.database;
    naive_sql(place.database, "PRAGMA journal_mode=WAL; CREATE TABLE t(a);");
    assert_int_equal(sqlite3_open(place.database, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    threads_start(threads, naive_read_without_end, &o);
    const uint64_t until_ms = now_ms() + AWAIT_MS;
    while (file_bytes(place.wal) <= 2 * LIMIT_BYTES && now_ms() < until_ms)
        sqlite3_exec(db, "INSERT INTO t VALUES(zeroblob(1000))", NULL, NULL, NULL);
    threads_join(threads, &o);
    assert_true(file_bytes(place.wal) > 2 * LIMIT_BYTES);
    sqlite3_close(db);
    scratch_fini(&place);
}

static int insert_row(weir_tx *tx, void *arg, weir_error *err)
{
    static const char ROW[ROW_BYTES];
    (void)arg;
    return weir_exec(tx, err, "INSERT INTO t VALUES($1)", "b", ROW, sizeof ROW);
}

static void reads_that_overlap_without_end_do_not_make_the_log_grow(void **state)
{
    (void)state;
    fixture fx;
    overlap o = {0};
    pthread_t threads[OVERLAPPING];
    weir_error err = WEIR_ERROR_INIT;
    int64_t peak = 0;
    int64_t rows = 0;
    fixture_init(&fx, &(weir_config){.wal_limit_bytes = LIMIT_BYTES});
    o.store = fx.store;
    threads_start(threads, read_without_end, &o);
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED, .deadline_ms = AWAIT_MS};
    const uint64_t until_ms = now_ms() + OVERLAP_MS;
    while (now_ms() < until_ms || rows * ROW_BYTES <= 2 * LIMIT_BYTES) { // else nothing is shown
        expect_ok(weir_submit(fx.store, insert_row, NULL, &options, NULL, NULL, &err), &err);
        rows++;
        if (rows % 16 == 0)
            peak = largest(peak, file_bytes(fx.place.wal));
    }
    expect_ok(weir_flush(fx.store, AWAIT_MS, &err), &err);
    threads_join(threads, &o);
    print_message("%lld rows, log at most %lld bytes, %llu reads, slowest %llu ms\n", (long long)rows,
                  (long long)peak, (unsigned long long)atomic_load(&o.reads),
                  (unsigned long long)atomic_load(&o.slowest_ms));
    assert_int_equal(atomic_load(&o.failed), 0);
    assert_in_range(peak, 1, LIMIT_BYTES);
    assert_in_range(stats_of(fx.store).wal_bytes_peak, 1, LIMIT_BYTES);
    assert_true(stats_of(fx.store).reader_gaps > 0);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), rows);
    fixture_fini(&fx);
}

// One forgotten snapshot makes the log grow beyond its limit: nothing can be done about that but to name it. Writers
// and other readers must not be made to pay for attempts that are in vain.
static void a_forgotten_snapshot_stops_neither_writers_nor_readers(void **state)
{
    (void)state;
    fixture fx;
    overlap o = {0};
    pthread_t threads[OVERLAPPING];
    weir_error err = WEIR_ERROR_INIT;
    weir_finding worst;
    int64_t rows = 0;
    fixture_init(&fx, &(weir_config){.wal_limit_bytes = LIMIT_BYTES, .wal_warning_bytes = LIMIT_BYTES});
    o.store = fx.store;
    weir_snapshot *const forgotten = snapshot_of(fx.store, "forgotten");
    threads_start(threads, read_without_end, &o);
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED, .deadline_ms = AWAIT_MS};
    const uint64_t until_ms = now_ms() + OVERLAP_MS;
    while (rows * ROW_BYTES <= 4 * LIMIT_BYTES || (now_ms() < until_ms && rows < ROWS_MAX)) {
        expect_ok(weir_submit(fx.store, insert_row, NULL, &options, NULL, NULL, &err), &err);
        rows++;
    }
    expect_ok(weir_flush(fx.store, AWAIT_MS, &err), &err);
    threads_join(threads, &o);
    print_message("%lld rows, %llu reads, slowest %llu ms\n", (long long)rows,
                  (unsigned long long)atomic_load(&o.reads), (unsigned long long)atomic_load(&o.slowest_ms));
    assert_int_equal(atomic_load(&o.failed), 0);
    assert_true(file_bytes(fx.place.wal) > LIMIT_BYTES);
    assert_in_range(atomic_load(&o.slowest_ms), 0, 2 * GAP_MS_MAX);
    assert_true(weir_health(fx.store, &worst, 1) > 0);
    assert_string_equal(worst.name, "wal-large");
    expect_contains(worst.seen, "forgotten");
    weir_snapshot_close(forgotten);
    must_run_sql(fx.store, "INSERT INTO t VALUES(1)");
    assert_int_equal(checkpoint(fx.store, WEIR_CHECKPOINT_TRUNCATE, 0).blocker, WEIR_BLOCKER_NONE);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), rows + 1);
    fixture_fini(&fx);
}

// A checkpoint that waits for one forgotten snapshot must not make all others wait with it.
typedef struct patient_checkpoint {
    weir_store *store;
    _Atomic bool ended;
} patient_checkpoint;

static void *truncate_main(void *arg)
{
    patient_checkpoint *const p = arg;
    weir_checkpoint(p->store, WEIR_CHECKPOINT_TRUNCATE, AWAIT_MS, NULL, NULL);
    atomic_store(&p->ended, true);
    return NULL;
}

static bool gap_was_made(void *arg)
{
    weir_stats stats;
    return weir_stats_read(arg, &stats, NULL) == WEIR_OK && stats.reader_gaps > 0;
}

static void reads_go_on_beside_a_checkpoint_that_cannot_finish(void **state)
{
    (void)state;
    fixture fx;
    pthread_t thread;
    fixture_init(&fx, &STILL);
    insert(fx.store, 5);
    weir_snapshot *const forgotten = snapshot_of(fx.store, "forgotten");
    insert(fx.store, 5);
    patient_checkpoint p = {.store = fx.store};
    assert_int_equal(pthread_create(&thread, NULL, truncate_main, &p), 0);
    assert_true(await(gap_was_made, fx.store));
    for (int i = 0; i < 50; i++)
        assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), 10);
    assert_false(atomic_load(&p.ended)); // they did not wait for its end
    weir_snapshot_close(forgotten);
    pthread_join(thread, NULL);
    fixture_fini(&fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_reaches_its_goal),
        cmocka_unit_test(an_open_snapshot_is_named),
        cmocka_unit_test(a_snapshot_of_the_file_alone_pins_the_whole_new_log),
        cmocka_unit_test(an_empty_log_has_nothing_to_move),
        cmocka_unit_test(wrong_calls_are_refused),
        cmocka_unit_test(the_ambush_itself_works),
        cmocka_unit_test(a_pin_on_a_fully_moved_log_does_not_count),
        cmocka_unit_test(a_pin_on_another_generation_is_taken_again),
        cmocka_unit_test(a_fixed_library_needs_no_pin),
        cmocka_unit_test(without_a_pin_an_affected_library_loses_commits),
        cmocka_unit_test(with_a_pin_no_library_loses_commits),
        cmocka_unit_test(an_idle_database_has_an_empty_log),
        cmocka_unit_test(an_idle_log_of_another_writer_is_emptied_too),
        cmocka_unit_test(plain_sqlite_lets_the_log_grow),
        cmocka_unit_test(reads_that_overlap_without_end_do_not_make_the_log_grow),
        cmocka_unit_test(a_forgotten_snapshot_stops_neither_writers_nor_readers),
        cmocka_unit_test(reads_go_on_beside_a_checkpoint_that_cannot_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
