// SPDX-License-Identifier: MIT
//
// Long and large jobs: those behind them wait but do not fail, reads go on, and the log is brought back.
#include "support/ledger.h"

#include <pthread.h>
#include <string.h>

#include "base/clock_fake.h"
#include "base/error.h"
#include "store/open.h"
#include "store/store.h"

enum { DEADLINE_MS = 100, LONG_MS = 5000 };

// ------------------------------------------------------------------------------------ on a clock of its own

typedef struct fixture {
    scratch place;
    weir__clock_fake fake;
    weir_store *store;
    ledger book;
    _Atomic int locks_refused; // how many attempts at the write lock are still to be refused
    bool gap_seen;
    bool checkpoint_is_slow; // the next write to the database takes LONG_MS, and a job comes meanwhile
} fixture;

static ledger_entry *submit(fixture *fx, ledger_deed deed);

static void be_slow(fixture *fx)
{
    fx->checkpoint_is_slow = false;
    submit(fx, LEDGER_FINE);
    weir__clock_fake_advance(&fx->fake, LONG_MS * WEIR__NS_PER_MS);
    atomic_store(&fx->locks_refused, 4);
}

static int refuse_locks(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    fixture *const fx = context;
    (void)size;
    if (op == WEIR__VFS_WRITE && role == WEIR__VFS_MAIN && fx->checkpoint_is_slow)
        be_slow(fx);
    if (op != WEIR__VFS_SHM_LOCK || offset != WEIR_WAL_LOCK_WRITE || atomic_load(&fx->locks_refused) == 0)
        return SQLITE_OK;
    atomic_fetch_sub(&fx->locks_refused, 1);
    return SQLITE_BUSY;
}

static void fixture_open(fixture *fx)
{
    memset(fx, 0, sizeof *fx);
    scratch_init(&fx->place);
    ledger_init(&fx->book, 64);
    weir__clock_fake_init(&fx->fake);
    naive_sql(fx->place.database, "PRAGMA journal_mode=WAL;" LEDGER_SCHEMA);
    const weir__open_hooks hooks = {.clock = &fx->fake.clock};
    const weir_config config = {.readers = 1};
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir__store_open(fx->place.database, &config, &hooks, &fx->store, &err), &err);
    weir__vfs_set_fault(fx->store->vfs, refuse_locks, fx);
}

static void fixture_judge(fixture *fx)
{
    must_close(fx->store);
    weir__clock_fake_fini(&fx->fake);
    ledger_judge(&fx->book, fx->place.database, false, false);
    ledger_fini(&fx->book);
    scratch_fini(&fx->place);
}

static ledger_entry *submit(fixture *fx, ledger_deed deed)
{
    ledger_entry *const entry = ledger_add(&fx->book, deed, WEIR_ACK_DURABLE);
    ledger_submit(fx->store, entry, &(weir_write_options){.deadline_ms = DEADLINE_MS});
    return entry;
}

// Time goes on while the test waits.
static bool is_answered_meanwhile(void *arg)
{
    fixture *const fx = arg;
    weir__clock_fake_advance(&fx->fake, WEIR__NS_PER_MS);
    for (size_t i = 0; i < fx->book.size; i++)
        if (atomic_load(&fx->book.entries[i].answers) == 0)
            return false;
    return true;
}

static void expect_all_fine(fixture *fx)
{
    assert_true(await(is_answered_meanwhile, fx));
    for (size_t i = 0; i < fx->book.size; i++)
        expect_code(fx->book.entries[i].code, WEIR_OK, NULL);
}

typedef struct stop {
    fixture *fx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool reached, open; // under lock
    int code;
} stop;

static int stop_job(weir_tx *tx, void *arg, weir_error *err)
{
    stop *const s = arg;
    (void)tx, (void)err;
    pthread_mutex_lock(&s->lock);
    s->reached = true;
    pthread_cond_broadcast(&s->changed);
    while (!s->open)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    return WEIR_OK;
}

static void *write_main(void *arg)
{
    stop *const s = arg;
    s->code = weir_write(s->fx->store, stop_job, s, NULL, NULL);
    return NULL;
}

// A lone weir_write runs its job on its own thread, and the store's thread waits for its turn.
static void a_long_job_on_its_callers_thread_fails_nobody(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    stop s = {.fx = &fx, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    assert_int_equal(pthread_create(&s.thread, NULL, write_main, &s), 0);
    pthread_mutex_lock(&s.lock);
    while (!s.reached)
        pthread_cond_wait(&s.changed, &s.lock);
    pthread_mutex_unlock(&s.lock);
    const ledger_entry *const behind = submit(&fx, LEDGER_FINE);
    for (int i = 0; i < 10; i++) { // the store's thread looks at deadlines each time
        assert_true(weir__clock_fake_await_waiters(&fx.fake, 2));
        weir__clock_fake_advance(&fx.fake, LONG_MS / 10 * WEIR__NS_PER_MS);
    }
    assert_true(weir__clock_fake_await_waiters(&fx.fake, 2));
    assert_int_equal(behind->answers, 0);
    pthread_mutex_lock(&s.lock);
    s.open = true;
    pthread_cond_broadcast(&s.changed);
    pthread_mutex_unlock(&s.lock);
    assert_int_equal(pthread_join(s.thread, NULL), 0);
    expect_code(s.code, WEIR_OK, NULL);
    expect_all_fine(&fx);
    fixture_judge(&fx);
}

// What waited behind it has its whole deadline left for the write lock.
static void time_behind_a_long_job_does_not_count(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    fixture_open(&fx);
    gate_close(&g, fx.store);
    submit(&fx, LEDGER_FINE);
    weir__clock_fake_advance(&fx.fake, LONG_MS * WEIR__NS_PER_MS);
    submit(&fx, LEDGER_FINE); // has not waited
    weir__clock_fake_advance(&fx.fake, (DEADLINE_MS + 1) * WEIR__NS_PER_MS);
    atomic_store(&fx.locks_refused, 4);
    gate_open(&g);
    gate_fini(&g);
    expect_all_fine(&fx);
    assert_int_equal(atomic_load(&fx.locks_refused), 0);
    fixture_judge(&fx);
}

static void time_behind_a_long_checkpoint_does_not_count(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    submit(&fx, LEDGER_FINE);
    ledger_await(&fx.book);
    fx.checkpoint_is_slow = true;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_checkpoint(fx.store, WEIR_CHECKPOINT_RESTART, 0, NULL, &err), &err);
    assert_false(fx.checkpoint_is_slow);
    expect_all_fine(&fx);
    assert_int_equal(atomic_load(&fx.locks_refused), 0);
    fixture_judge(&fx);
}

// So long as a checkpoint has the turn, as this test does.
static void a_long_checkpoint_fails_nobody(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx);
    pthread_mutex_lock(&fx.store->queue.lock);
    assert_int_equal(weir__turn_take(fx.store, WEIR__FOREVER), WEIR_OK);
    pthread_mutex_unlock(&fx.store->queue.lock);
    const ledger_entry *const behind = submit(&fx, LEDGER_FINE);
    for (int i = 0; i < 10; i++) {
        assert_true(weir__clock_fake_await_waiters(&fx.fake, 2));
        weir__clock_fake_advance(&fx.fake, LONG_MS / 10 * WEIR__NS_PER_MS);
    }
    assert_true(weir__clock_fake_await_waiters(&fx.fake, 2));
    assert_int_equal(behind->answers, 0);
    weir__turn_return(fx.store);
    expect_all_fine(&fx);
    fixture_judge(&fx);
}

static weir_stats stats_of(weir_store *store)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &stats, &err), &err);
    return stats;
}

static bool has_looked(void *arg)
{
    fixture *const fx = arg;
    weir__clock_fake_advance(&fx->fake, 100 * WEIR__NS_PER_MS);
    assert_true(
        weir__clock_fake_await_waiters(&fx->fake, 1)); // the checkpointer, for the turn or for its next time
    pthread_mutex_lock(&fx->store->pool.lock);
    fx->gap_seen = fx->gap_seen || fx->store->pool.gaps > 0;
    pthread_mutex_unlock(&fx->store->pool.lock);
    const weir_stats stats = stats_of(fx->store);
    return stats.checkpoints_short[WEIR_CHECKPOINT_TRUNCATE] >= 3;
}

static void no_read_waits_for_a_checkpoint_that_cannot_have_the_turn(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    fixture_open(&fx);
    submit(&fx, LEDGER_FINE);
    ledger_await(&fx.book);
    gate_close(&g, fx.store);
    assert_true(await(has_looked, &fx));
    assert_false(fx.gap_seen);
    assert_int_equal(stats_of(fx.store).last_checkpoint.blocker, WEIR_BLOCKER_WRITES);
    gate_open(&g);
    gate_fini(&g);
    fixture_judge(&fx);
}

// -------------------------------------------------------------------------------------------------- alone

typedef struct hermit {
    weir_store *store;
    _Atomic int runs;
    _Atomic int64_t pending; // jobs acknowledged as APPLIED whose commit it would hold up
} hermit;

static int hermit_job(weir_tx *tx, void *arg, weir_error *err)
{
    hermit *const h = arg;
    atomic_fetch_add(&h->runs, 1);
    weir_stats stats;
    const int code = weir_stats_read(h->store, &stats, err);
    atomic_store(&h->pending, (int64_t)stats.applied_pending);
    return code == WEIR_OK ? weir_exec(tx, err, "INSERT INTO taken VALUES('hermit')", "") : code;
}

static const weir_write_options ALONE = {.alone = true};

static void a_job_that_is_alone_has_no_neighbours(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    fixture_open(&fx);
    hermit h = {.store = fx.store, .pending = -1};
    const uint64_t groups = stats_of(fx.store).groups;
    gate_close(&g, fx.store);
    for (int i = 0; i < 3; i++)
        ledger_submit(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_APPLIED), NULL);
    expect_ok(weir_submit(fx.store, hermit_job, &h, &ALONE, NULL, NULL, NULL), NULL);
    ledger_submit(fx.store, ledger_add(&fx.book, LEDGER_REFUSES, WEIR_ACK_DURABLE), NULL);
    ledger_submit(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
    gate_open(&g);
    gate_fini(&g);
    ledger_await(&fx.book);
    assert_int_equal(atomic_load(&h.runs), 1);
    assert_int_equal(atomic_load(&h.pending), 0);
    assert_int_equal(stats_of(fx.store).groups - groups, 4); // the gate, three, one, two
    fixture_judge(&fx);
}

// A group that lingers for more is committed before it, and it does not linger itself.
static void a_job_that_is_alone_does_not_linger(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    const weir_config config = {.applied_linger_ms = 3600 * 1000};
    weir_store *const store = must_open(place.database, &config);
    must_run_sql(store, LEDGER_SCHEMA);
    const weir_write_options applied = {.ack = WEIR_ACK_APPLIED};
    const weir_write_options alone = {.ack = WEIR_ACK_COMMITTED, .alone = true};
    hermit h = {.store = store, .pending = -1};
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(run_sql(store, "INSERT INTO ledger(id) VALUES(1)", &applied, &err), &err);
    expect_ok(weir_write(store, hermit_job, &h, &alone, &err), &err);
    assert_int_equal(atomic_load(&h.pending), 0);
    assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM ledger,taken"), 1);
    must_close(store);
    scratch_fini(&place);
}

// -------------------------------------------------------------------------------------------------- large

enum {
    LARGE_ROWS = 400,
    LARGE_BYTES = 100000,
    WAL_LIMIT = 1 << 20,
    BRIEF_MS = 3000, // of the small writes: long enough for what is not the large job, on a slow disk, too
    LARGE_MS = BRIEF_MS + 1000, // the large job takes at least
};

typedef struct traffic {
    weir_store *store;
    scratch *place;
    pthread_t threads[2];
    _Atomic bool stop;
    _Atomic int done[2], wrong[2]; // reads, writes
} traffic;

static int large_job(weir_tx *tx, void *arg, weir_error *err)
{
    traffic *const t = arg;
    const int reads_before = atomic_load(&t->done[0]);
    const uint64_t start_ms = now_ms();
    int code = WEIR_OK;
    for (int64_t i = 0; code == WEIR_OK && i < LARGE_ROWS; i++)
        code = weir_exec(tx, err, "INSERT INTO t(b) VALUES(randomblob($1))", "i", (int64_t)LARGE_BYTES);
    while (code == WEIR_OK && !atomic_load(&t->stop) &&
           (atomic_load(&t->done[0]) < reads_before + 10 || now_ms() - start_ms < LARGE_MS))
        weir__clock_sleep_until(weir__clock_system(),
                                weir__clock_now_ns(weir__clock_system()) + WEIR__NS_PER_MS);
    return code;
}

static int count_job(weir_tx *tx, void *arg, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int code = weir_prepare(tx, "SELECT count(*) FROM t", &stmt, err);
    if (code == WEIR_OK)
        code = weir_step(stmt, &row, err);
    *(int64_t *)arg = row ? weir_column_int64(stmt, 0) : -1;
    return code;
}

static void *read_main(void *arg)
{
    traffic *const t = arg;
    while (!atomic_load(&t->stop)) {
        int64_t rows = -1;
        const int code = weir_read(t->store, count_job, &rows, NULL, NULL);
        atomic_fetch_add(&t->wrong[0], code != WEIR_OK || (rows != 0 && rows != LARGE_ROWS));
        atomic_fetch_add(&t->done[0], 1);
    }
    return NULL;
}

static void *small_main(void *arg)
{
    traffic *const t = arg;
    const weir_write_options brief = {.deadline_ms = BRIEF_MS};
    while (!atomic_load(&t->stop)) {
        const int code = run_sql(t->store, "INSERT INTO u VALUES(1)", &brief, NULL);
        atomic_fetch_add(&t->wrong[1], code != WEIR_OK);
        atomic_fetch_add(&t->done[1], 1);
    }
    return NULL;
}

static bool log_is_small_again(void *arg)
{
    const traffic *const t = arg;
    return file_bytes(t->place->wal) <= WAL_LIMIT;
}

static void a_large_job_delays_nobody_for_good_and_its_log_is_brought_back(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    const weir_config config = {.wal_limit_bytes = WAL_LIMIT, .cache_kib = 1024, .busy_timeout_ms = 20};
    traffic t = {.store = must_open(place.database, &config), .place = &place};
    must_run_sql(t.store, "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE TABLE u(a)");
    assert_int_equal(pthread_create(&t.threads[0], NULL, read_main, &t), 0);
    assert_int_equal(pthread_create(&t.threads[1], NULL, small_main, &t), 0);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_write(t.store, large_job, &t, &ALONE, &err), &err);
    assert_true(stats_of(t.store).wal_bytes_peak > (uint64_t)LARGE_ROWS * LARGE_BYTES);
    assert_true(await(log_is_small_again, &t));
    atomic_store(&t.stop, true);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(t.threads[i], NULL), 0);
        assert_true(t.done[i] > 0);
        assert_int_equal(t.wrong[i], 0);
    }
    assert_int_equal(must_read_int64(t.store, "SELECT count(*) FROM t"), LARGE_ROWS);
    assert_int_equal(must_read_int64(t.store, "SELECT count(*) FROM u"), t.done[1]);
    must_close(t.store);
    must_be_intact(place.database);
    scratch_fini(&place);
}

// While a checkpoint moves the log, groups wait that would take it over its limit, but not small ones behind a large
// job.
static void groups_wait_for_a_checkpoint_only_where_that_bounds_the_log(void **state)
{
    static const struct {
        int log_frames, since_checkpoint;
        bool waits;
    } CASES[] = {
        {100, 100, false}, {200, 200, true}, {400, 10, true}, {40000, 10, false}, {40000, 200, true}};
    (void)state;
    scratch place;
    scratch_init(&place);
    const weir_config config = {
        .wal_limit_bytes = WAL_LIMIT, .checkpoint_idle_ms = 3600 * 1000, .checkpoint_frames = 1u << 20};
    weir_store *const store = must_open(place.database, &config);
    weir__checkpointer *const checkpointer = &store->checkpointer;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        atomic_store(&checkpointer->frames, CASES[i].log_frames);
        atomic_store(&checkpointer->tried, CASES[i].log_frames - CASES[i].since_checkpoint);
        atomic_store(&checkpointer->busy, true);
        assert_int_equal(weir__checkpoint_is_behind(store), CASES[i].waits);
        atomic_store(&checkpointer->busy, false);
        assert_false(weir__checkpoint_is_behind(store));
    }
    must_close(store);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_job_on_its_callers_thread_fails_nobody),
        cmocka_unit_test(time_behind_a_long_job_does_not_count),
        cmocka_unit_test(time_behind_a_long_checkpoint_does_not_count),
        cmocka_unit_test(a_long_checkpoint_fails_nobody),
        cmocka_unit_test(no_read_waits_for_a_checkpoint_that_cannot_have_the_turn),
        cmocka_unit_test(a_job_that_is_alone_has_no_neighbours),
        cmocka_unit_test(a_job_that_is_alone_does_not_linger),
        cmocka_unit_test(groups_wait_for_a_checkpoint_only_where_that_bounds_the_log),
        cmocka_unit_test(a_large_job_delays_nobody_for_good_and_its_log_is_brought_back),
    };
    return cmocka_run_group_tests_name("long", tests, NULL, NULL);
}
