// SPDX-License-Identifier: MIT
//
// A disk that fails, is full, or is locked: for each call of each kind that the engine makes, what was
// acknowledged must be in the file afterwards, once, and what was reported as failed must not.
//
// Faults come from the store's own VFS. The judge (tests/support/ledger.h) opens the file without it, after the
// store is closed; for some faults also a copy of the files as they were at the moment of the fault, which is
// what a crash would leave.
#include "support/ledger.h"

#include <pthread.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock_fake.h"
#include "base/error.h"
#include "store/open.h"

enum { ANY_ROLE = -1, FOREVER = 1 << 30 };

// Which calls fail: `length` of them from number `first` on, counting those of this kind.
typedef struct plan {
    int op, role, result;
    _Atomic int first, length;
    _Atomic int seen, hits;
} plan;

static int fault(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    plan *const p = context;
    (void)offset, (void)size;
    if ((int)op != p->op || (p->role != ANY_ROLE && (int)role != p->role))
        return SQLITE_OK;
    const int number = atomic_fetch_add(&p->seen, 1);
    if (number < p->first || number - p->first >= p->length)
        return SQLITE_OK;
    atomic_fetch_add(&p->hits, 1);
    return p->result;
}

typedef struct fixture {
    scratch place;
    weir_store *store;
    ledger book;
    plan plan;
} fixture;

static const weir_config QUICK = {.readers = 1,
                                  .retry_base_ms = 1,
                                  .busy_timeout_ms = 5,
                                  .checkpoint_frames = 1u << 20,
                                  .checkpoint_idle_ms = 1u << 20};

static void fixture_open(fixture *fx, const weir_config *config)
{
    memset(fx, 0, sizeof *fx);
    scratch_init(&fx->place);
    ledger_init(&fx->book, 2048);
    naive_sql(fx->place.database, "PRAGMA journal_mode=WAL;" LEDGER_SCHEMA);
    fx->store = must_open(fx->place.database, config);
}

static void break_disk(fixture *fx, int op, int role, int result, int first, int length)
{
    fx->plan.op = op;
    fx->plan.role = role;
    fx->plan.result = result;
    fx->plan.first = first;
    fx->plan.length = length;
    fx->plan.seen = fx->plan.hits = 0;
    weir__vfs_set_fault(fx->store->vfs, fault, &fx->plan);
}

static void mend_disk(fixture *fx)
{
    atomic_store(&fx->plan.length, 0); // the hook stays: it may be removed only while nobody works
}

// Closes, judges, forgets.
static ledger_verdict fixture_judge(fixture *fx, bool ordered)
{
    weir_error err = WEIR_ERROR_INIT;
    const int closed = weir_close(fx->store, 0, &err);
    const ledger_verdict verdict = ledger_judge(&fx->book, fx->place.database, closed != WEIR_OK, ordered);
    ledger_fini(&fx->book);
    scratch_fini(&fx->place);
    return verdict;
}

static weir_stats stats_of(const fixture *fx)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(fx->store, &stats, &err), &err);
    return stats;
}

static ledger_entry *add(fixture *fx, ledger_deed deed, weir_ack ack)
{
    return ledger_add(&fx->book, deed, ack);
}

static int64_t count_rows(const fixture *fx)
{
    return naive_int64(fx->place.database, "SELECT count(*) FROM ledger");
}

// -------------------------------------------------------------------------------------- every k-th call

static void submit_one_group(fixture *fx, size_t size)
{
    gate g;
    const weir_write_options brief = {.deadline_ms = 40};
    const bool stopped = gate_try_close(&g, fx->store);
    for (size_t i = 0; i < size; i++)
        ledger_submit(fx->store, add(fx, i % 5 == 3 ? LEDGER_REFUSES : LEDGER_FINE, (weir_ack)(i % 3)),
                      &brief);
    if (!stopped)
        return;
    gate_open(&g);
    gate_fini(&g);
}

// Writes of every kind: one alone, groups, failing ones; a checkpoint in between.
static void workload(fixture *fx)
{
    const weir_write_options brief = {.deadline_ms = 40};
    for (int i = 0; i < 3; i++)
        ledger_write(fx->store, add(fx, LEDGER_FINE, (weir_ack)i), &brief);
    submit_one_group(fx, 12);
    ledger_write(fx->store, add(fx, LEDGER_REFUSES, WEIR_ACK_DURABLE), &brief);
    weir_checkpoint(fx->store, WEIR_CHECKPOINT_RESTART, 40, NULL, NULL);
    submit_one_group(fx, 7);
    ledger_write(fx->store, add(fx, LEDGER_FINE, WEIR_ACK_DURABLE), &brief);
}

// Runs the workload with fault after fault, until one comes too late to hit. Returns how many did hit.
static int walk(int op, int role, int result, int length)
{
    int k = 0;
    for (bool hit = true; hit; k++) {
        fixture fx;
        fixture_open(&fx, &QUICK);
        break_disk(&fx, op, role, result, k, length);
        workload(&fx);
        hit = fx.plan.hits > 0;
        mend_disk(&fx);
        const weir_stats stats = stats_of(&fx);
        const ledger_verdict verdict = fixture_judge(&fx, true);
        assert_int_equal(verdict.answered_ok + verdict.answered_error + verdict.unknown, 24);
        if (!hit)
            assert_int_equal(verdict.unknown, 0);
        if (stats.retries == 0 && strcmp(stats.state, "fenced") != 0)
            assert_int_equal(verdict.rows, 24 - 4);
    }
    return k - 1;
}

static void any_write_of_the_log_may_fail(void **state)
{
    (void)state;
    assert_true(walk(WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_IOERR_WRITE, 1) > 10);
    assert_true(walk(WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_IOERR_WRITE, 3) > 10);
}

static void the_disk_may_be_full_at_any_write_of_the_log(void **state)
{
    (void)state;
    assert_true(walk(WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 1) > 10);
    assert_true(walk(WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 4) > 10);
}

static void any_sync_may_fail(void **state)
{
    (void)state;
    assert_true(walk(WEIR__VFS_SYNC, WEIR__VFS_WAL, SQLITE_IOERR_FSYNC, 1) > 5);
    assert_true(walk(WEIR__VFS_SYNC, ANY_ROLE, SQLITE_IOERR_FSYNC, 1) > 5);
}

static void any_other_call_may_fail(void **state)
{
    (void)state;
    walk(WEIR__VFS_READ, ANY_ROLE, SQLITE_IOERR_READ, 1);
    walk(WEIR__VFS_WRITE, WEIR__VFS_MAIN, SQLITE_IOERR_WRITE, 1);
    walk(WEIR__VFS_WRITE, WEIR__VFS_MAIN, SQLITE_FULL, 1);
    walk(WEIR__VFS_TRUNCATE, ANY_ROLE, SQLITE_IOERR_TRUNCATE, 1);
    assert_true(walk(WEIR__VFS_SHM_LOCK, ANY_ROLE, SQLITE_IOERR_SHMLOCK, 1) > 10);
    assert_true(walk(WEIR__VFS_SHM_LOCK, ANY_ROLE, SQLITE_BUSY, 1) > 10);
    walk(WEIR__VFS_SHM_MAP, ANY_ROLE, SQLITE_IOERR_SHMMAP, 1);
}

// ---------------------------------------------------------------------------------------- a full disk

static bool has_retried(void *arg)
{
    const fixture *const fx = arg;
    return fx->plan.hits >= 3;
}

static void a_full_disk_that_gets_space_again_loses_and_fails_nothing(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &QUICK);
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 0, FOREVER);
    for (int i = 0; i < 90; i++)
        ledger_submit(fx.store, add(&fx, i % 9 == 5 ? LEDGER_CONSTRAINT : LEDGER_FINE, (weir_ack)(i % 3)),
                      NULL);
    assert_true(await(has_retried, &fx));
    weir_finding findings[8];
    const size_t found = weir_health(fx.store, findings, 8);
    assert_true(found > 0);
    assert_string_equal(findings[0].name, "commit-failing");
    expect_contains(findings[0].remedy, "space");
    mend_disk(&fx);
    ledger_await(&fx.book);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    for (size_t i = 0; i < fx.book.size; i++)
        expect_code(fx.book.entries[i].code, ledger_expected(fx.book.entries[i].deed), NULL);
    assert_true(stats_of(&fx).replays > 0);
    assert_int_equal(fixture_judge(&fx, true).rows, 80);
}

static void a_disk_that_stays_full_fails_waiting_writes_at_their_deadline_and_keeps_applied_ones(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &QUICK);
    const weir_write_options brief = {.deadline_ms = 60};
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 0, FOREVER);
    ledger_entry *const applied = add(&fx, LEDGER_FINE, WEIR_ACK_APPLIED);
    assert_int_equal(ledger_write(fx.store, applied, NULL), WEIR_OK);
    ledger_entry *const durable = add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE);
    assert_int_equal(ledger_write(fx.store, durable, &brief), WEIR_FULL);
    expect_contains(durable->text, fx.place.database);
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_flush(fx.store, 30, &err), WEIR_FULL, &err);
    assert_int_equal(count_rows(&fx), 0);
    assert_int_equal(stats_of(&fx).applied_pending, 1);
    mend_disk(&fx);
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    assert_int_equal(count_rows(&fx), 1);
    assert_int_equal(fixture_judge(&fx, true).rows, 1);
}

static void closing_on_a_disk_that_stays_full_tells_that_applied_work_is_lost(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &QUICK);
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 0, FOREVER);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_APPLIED), NULL), WEIR_OK);
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_close(fx.store, 50, &err), WEIR_FULL, &err);
    expect_contains(err.text, "applied");
    assert_int_equal(fx.book.entries[1].code, WEIR_CLOSED);
    const ledger_verdict verdict = ledger_judge(&fx.book, fx.place.database, true, true);
    assert_int_equal(verdict.rows, 0);
    ledger_fini(&fx.book);
    scratch_fini(&fx.place);
}

typedef struct spender {
    _Atomic int runs;
} spender;

// Writes more than the page cache holds, and makes a code of its own of what SQLite says.
static int spend(weir_tx *tx, void *arg, weir_error *err)
{
    spender *const s = arg;
    atomic_fetch_add(&s->runs, 1);
    const int code = weir_exec(tx, err, "INSERT INTO ledger(id) SELECT zeroblob(100000)", "");
    const int again = weir_exec(tx, err, "INSERT INTO ledger(id) SELECT zeroblob(100000)", "");
    return code == WEIR_OK && again == WEIR_OK ? WEIR_OK : weir__error_set(err, WEIR_STATE, "did not work");
}

static bool has_failed_twice(void *arg)
{
    return stats_of(arg).retries >= 2;
}

static void a_job_that_renames_a_full_disk_is_tried_again_with_its_neighbours(void **state)
{
    (void)state;
    fixture fx;
    weir_config config = QUICK;
    config.cache_kib = 20;
    fixture_open(&fx, &config);
    spender s = {0};
    gate g;
    weir_error err = WEIR_ERROR_INIT;
    gate_close(&g, fx.store);
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
    expect_ok(weir_submit(fx.store, spend, &s, NULL, NULL, NULL, &err), &err);
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 2, FOREVER);
    gate_open(&g);
    assert_true(await(has_failed_twice, &fx));
    mend_disk(&fx);
    ledger_await(&fx.book);
    gate_fini(&g);
    for (size_t i = 0; i < fx.book.size; i++)
        if (fx.book.entries[i].code != WEIR_OK)
            fail_msg("%s", fx.book.entries[i].text);
    assert_true(s.runs >= 2);
    must_close(fx.store);
    assert_int_equal(count_rows(&fx), 4);
    must_be_intact(fx.place.database);
    ledger_fini(&fx.book);
    scratch_fini(&fx.place);
}

// ------------------------------------------------------------------------------------------------ replays

// What was acknowledged as APPLIED runs again after a failed commit. If somebody else's commit made it
// impossible meanwhile, it is lost, and the store must say so.
static int take_name(weir_tx *tx, void *arg, weir_error *err)
{
    return weir_exec(tx, err, "INSERT INTO taken VALUES($1)", "t", (const char *)arg);
}

static void applied_work_that_cannot_be_repeated_is_told_as_lost(void **state)
{
    (void)state;
    for (int others = 0; others < 2; others++) {
        fixture fx;
        fixture_open(&fx, &QUICK);
        static char name[] = "mine";
        const weir_write_options applied = {.ack = WEIR_ACK_APPLIED};
        weir_error err = WEIR_ERROR_INIT;
        break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 0, FOREVER);
        expect_ok(weir_write(fx.store, take_name, name, &applied, &err), &err);
        for (int i = 0; i < others * 3; i++)
            ledger_submit(fx.store, add(&fx, LEDGER_FINE, (weir_ack)i), NULL);
        assert_true(await(has_retried, &fx));
        naive_sql(fx.place.database, "INSERT INTO taken VALUES('mine')");
        mend_disk(&fx);
        expect_code(weir_flush(fx.store, 0, &err), WEIR_CONSTRAINT, &err);
        expect_contains(err.text, "applied");
        ledger_await(&fx.book);
        assert_int_equal(stats_of(&fx).applied_pending, 0);
        expect_ok(weir_flush(fx.store, 0, &err), &err); // told once
        expect_code(weir_close(fx.store, 0, &err), WEIR_CONSTRAINT, &err);
        ledger_judge(&fx.book, fx.place.database, false, true);
        ledger_fini(&fx.book);
        scratch_fini(&fx.place);
    }
}

// ------------------------------------------------------------------------------------------------- flush

typedef struct flushing {
    weir_store *store;
    int code;
    weir_error err;
} flushing;

static void *flush_main(void *arg)
{
    flushing *const f = arg;
    f->code = weir_flush(f->store, 20000, &f->err);
    return NULL;
}

static bool somebody_flushes(void *arg)
{
    weir_store *const store = arg;
    pthread_mutex_lock(&store->queue.lock);
    const bool yes = store->queue.flushers > 0;
    pthread_mutex_unlock(&store->queue.lock);
    return yes;
}

static bool has_been_answered(void *arg)
{
    return ((ledger_entry *)arg)->answers > 0;
}

// The flush must hear of the first job, although a later one was dropped after it and its own last one was
// committed.
static void a_flush_hears_of_every_job_that_was_dropped(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &QUICK);
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 0, FOREVER);
    ledger_entry *const early = add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE);
    ledger_entry *const late = add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE);
    ledger_entry *const behind = add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE);
    ledger_submit(fx.store, early, &(weir_write_options){.deadline_ms = 3000});
    ledger_submit(fx.store, late, &(weir_write_options){.deadline_ms = AWAIT_MS});
    flushing f = {.store = fx.store};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, flush_main, &f), 0);
    assert_true(await(somebody_flushes, fx.store));
    ledger_submit(fx.store, behind, &(weir_write_options){.deadline_ms = 3200});
    assert_true(await(has_been_answered, early));
    assert_true(await(has_been_answered, behind));
    assert_int_equal(late->answers, 0);
    mend_disk(&fx);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(early->code, WEIR_FULL);
    assert_int_equal(behind->code, WEIR_FULL);
    assert_int_equal(late->code, WEIR_OK);
    expect_code(f.code, WEIR_FULL, &f.err);
    assert_int_equal(fixture_judge(&fx, true).rows, 1);
}

// ---------------------------------------------------------------------------------------- a damaged page

static int read_damaged(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "SELECT a FROM damaged", "");
}

static void note_code(void *context, const weir_error *result)
{
    atomic_store((_Atomic int *)context, result->code);
}

static bool is_told(void *arg)
{
    return atomic_load((_Atomic int *)arg) >= 0;
}

static void damage_table(const char *database)
{
    naive_sql(database, "CREATE TABLE damaged(a); INSERT INTO damaged VALUES(1);");
    const int64_t page = naive_int64(database, "SELECT rootpage FROM sqlite_schema WHERE name='damaged'");
    const int64_t size = naive_int64(database, "PRAGMA page_size");
    FILE *const file = fopen(database, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)((page - 1) * size), SEEK_SET), 0);
    for (int64_t i = 0; i < size; i++)
        fputc(0xA5, file);
    assert_int_equal(fclose(file), 0);
}

static void a_job_that_meets_a_damaged_page_fails_alone(void **state)
{
    (void)state;
    fixture fx = {0};
    scratch_init(&fx.place);
    ledger_init(&fx.book, 64);
    naive_sql(fx.place.database, "PRAGMA journal_mode=WAL;" LEDGER_SCHEMA);
    damage_table(fx.place.database);
    fx.store = must_open(fx.place.database, &QUICK);
    _Atomic int code = -1;
    weir_error err = WEIR_ERROR_INIT;
    gate g;
    gate_close(&g, fx.store);
    for (int i = 0; i < 12; i++) {
        ledger_submit(fx.store, add(&fx, LEDGER_FINE, (weir_ack)(i % 3)), NULL);
        if (i == 5)
            expect_ok(weir_submit(fx.store, read_damaged, NULL, NULL, note_code, &code, &err), &err);
    }
    gate_open(&g);
    ledger_await(&fx.book);
    assert_true(await(is_told, &code));
    gate_fini(&g);
    expect_code(code, WEIR_CORRUPT, NULL);
    for (size_t i = 0; i < fx.book.size; i++)
        expect_code(fx.book.entries[i].code, WEIR_OK, NULL);
    must_close(fx.store);
    assert_int_equal(naive_int64(fx.place.database, "SELECT count(*) FROM ledger"), 12);
    ledger_fini(&fx.book);
    scratch_fini(&fx.place);
}

typedef struct spoiled {
    _Atomic int runs;
} spoiled;

// Runs well when it is acknowledged, and meets a damaged page whenever it is run again.
static int spoiled_job(weir_tx *tx, void *arg, weir_error *err)
{
    spoiled *const s = arg;
    return atomic_fetch_add(&s->runs, 1) == 0 ? weir_exec(tx, err, "INSERT INTO taken VALUES('first')", "")
                                              : read_damaged(tx, NULL, err);
}

static const weir_config SOON_LOST = {.readers = 1,
                                      .retry_base_ms = 1,
                                      .busy_timeout_ms = 5,
                                      .write_deadline_ms = 150,
                                      .checkpoint_frames = 1u << 20,
                                      .checkpoint_idle_ms = 1u << 20};
static const weir_write_options PATIENT = {.deadline_ms = WEIR_NO_DEADLINE};

// It is lost after write_deadline_ms, and said to be; its neighbours and those behind it are not.
static void applied_work_on_a_damaged_page_is_told_as_lost_alone(void **state)
{
    (void)state;
    fixture fx = {0};
    scratch_init(&fx.place);
    ledger_init(&fx.book, 64);
    naive_sql(fx.place.database, "PRAGMA journal_mode=WAL;" LEDGER_SCHEMA);
    damage_table(fx.place.database);
    fx.store = must_open(fx.place.database, &SOON_LOST);
    spoiled bad[20] = {0}; // more than FAULTS_MAX
    const weir_write_options applied = {.ack = WEIR_ACK_APPLIED};
    weir_error err = WEIR_ERROR_INIT;
    gate g;
    gate_close(&g, fx.store);
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_FULL, 0, 1);
    for (int i = 0; i < 20; i++) {
        ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_APPLIED), NULL);
        expect_ok(weir_submit(fx.store, spoiled_job, &bad[i], &applied, NULL, NULL, &err), &err);
    }
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), &PATIENT); // waits in the same group
    gate_open(&g);
    ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), &PATIENT);
    gate_fini(&g);
    ledger_await(&fx.book);
    for (size_t i = 0; i < fx.book.size; i++)
        expect_code(fx.book.entries[i].code, WEIR_OK, NULL);
    assert_int_equal(stats_of(&fx).applied_pending, 0);
    expect_code(weir_flush(fx.store, 0, &err), WEIR_CORRUPT, &err);
    expect_contains(err.text, "acknowledged as applied");
    weir_finding finding;
    assert_true(weir_health(fx.store, &finding, 1) > 0);
    assert_string_equal(finding.name, "applied-lost");
    expect_code(weir_close(fx.store, 0, &err), WEIR_CORRUPT, &err);
    assert_int_equal(naive_int64(fx.place.database, "SELECT count(*) FROM ledger"), 22);
    ledger_fini(&fx.book);
    scratch_fini(&fx.place);
}

// A fault of every commit that lasts as long ends all of them, and who comes after it is told at once.
static void applied_work_on_a_broken_disk_is_told_as_lost(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &SOON_LOST);
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_IOERR_WRITE, 0, FOREVER);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_APPLIED), NULL), WEIR_OK);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), &PATIENT), WEIR_IO);
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_flush(fx.store, 0, &err), WEIR_IO, &err);
    mend_disk(&fx);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_OK);
    assert_int_equal(fixture_judge(&fx, true).rows, 1);
}

static bool nothing_is_pending(void *arg)
{
    return stats_of(arg).applied_pending == 0;
}

// How long a fault lasts is counted for each group: one of long ago, that nothing has been committed since, takes
// nothing of the next group's time.
static void applied_work_that_meets_a_short_fault_is_kept_although_there_was_one_before(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &SOON_LOST);
    const uint64_t until_ms = now_ms() + 2 * SOON_LOST.write_deadline_ms;
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_IOERR_WRITE, 0, FOREVER);
    weir_error err = WEIR_ERROR_INIT;
    while (now_ms() < until_ms)
        expect_code(run_sql(fx.store, "INSERT INTO taken VALUES('lost')", NULL, &err), WEIR_IO, &err);
    break_disk(&fx, WEIR__VFS_WRITE, WEIR__VFS_WAL, SQLITE_IOERR_WRITE, 0, 1);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_APPLIED), NULL), WEIR_OK);
    assert_true(await(nothing_is_pending, &fx));
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    assert_int_equal(fixture_judge(&fx, true).rows, 1);
}

// ------------------------------------------------------------------------------------------------- fence

static void a_failed_sync_fences_the_store(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &QUICK);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_OK);
    gate g;
    gate_close(&g, fx.store);
    for (int i = 0; i < 30; i++)
        ledger_submit(fx.store, add(&fx, LEDGER_FINE, (weir_ack)(i % 3)), NULL);
    break_disk(&fx, WEIR__VFS_SYNC, WEIR__VFS_WAL, SQLITE_IOERR_FSYNC, 0, 1); // the gate writes nothing
    gate_open(&g);
    ledger_await(&fx.book);
    gate_fini(&g);
    for (size_t i = 1; i < fx.book.size; i++) {
        const ledger_entry *const entry = &fx.book.entries[i];
        assert_int_equal(entry->code, entry->ack == WEIR_ACK_APPLIED ? WEIR_OK : WEIR_UNKNOWN);
    }
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_FENCED);
    assert_int_equal(ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_APPLIED), NULL), WEIR_FENCED);
    weir_error err = WEIR_ERROR_INIT;
    assert_int_not_equal(weir_flush(fx.store, 0, &err), WEIR_OK);
    expect_code(weir_flush(fx.store, 0, &err), WEIR_FENCED, &err);
    expect_contains(err.text, "open it again");
    expect_code(weir_checkpoint(fx.store, WEIR_CHECKPOINT_PASSIVE, 0, NULL, &err), WEIR_FENCED, &err);
    assert_true(must_read_int64(fx.store, "SELECT count(*) FROM ledger") >= 1);
    assert_string_equal(stats_of(&fx).state, "fenced");
    weir_finding finding;
    assert_true(weir_health(fx.store, &finding, 1) > 0);
    assert_string_equal(finding.name, "fenced");
    assert_int_not_equal(weir_close(fx.store, 0, &err), WEIR_OK); // APPLIED work was lost

    fx.store = must_open(fx.place.database, &QUICK);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_OK);
    must_close(fx.store);
    ledger_judge(&fx.book, fx.place.database, true, true);
    ledger_fini(&fx.book);
    scratch_fini(&fx.place);
}

// A transaction that is larger than the page cache syncs the header of a new log before its commit.
static void a_failed_sync_inside_a_job_fences_too(void **state)
{
    (void)state;
    fixture fx;
    weir_config config = QUICK;
    config.cache_kib = 20;
    fixture_open(&fx, &config);
    spender s = {0};
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_checkpoint(fx.store, WEIR_CHECKPOINT_TRUNCATE, 0, NULL, &err), &err);
    break_disk(&fx, WEIR__VFS_SYNC, WEIR__VFS_WAL, SQLITE_IOERR_FSYNC, 0, 1);
    expect_code(weir_write(fx.store, spend, &s, NULL, &err), WEIR_UNKNOWN, &err);
    assert_int_equal(fx.plan.hits, 1);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_FENCED);
    assert_int_equal(fixture_judge(&fx, true).rows, 0);
}

static void a_failed_sync_of_a_checkpoint_fences_too(void **state)
{
    (void)state;
    static const int ROLES[] = {WEIR__VFS_MAIN, WEIR__VFS_WAL};
    for (int i = 0; i < 4; i++) {
        fixture fx;
        fixture_open(&fx, &QUICK);
        weir_error err = WEIR_ERROR_INIT;
        assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_OK);
        break_disk(&fx, WEIR__VFS_SYNC, ROLES[i % 2], SQLITE_IOERR_FSYNC, 0, 1);
        const weir_checkpoint_mode mode = i < 2 ? WEIR_CHECKPOINT_PASSIVE : WEIR_CHECKPOINT_TRUNCATE;
        expect_code(weir_checkpoint(fx.store, mode, 0, NULL, &err), WEIR_IO, &err);
        assert_int_equal(fx.plan.hits, 1);
        expect_code(weir_checkpoint(fx.store, mode, 0, NULL, &err), WEIR_FENCED, &err);
        assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_FENCED);
        plan *const seen = &fx.plan;
        expect_code(weir_close(fx.store, 0, &err), WEIR_OK, &err);
        assert_int_equal(seen->seen, 1); // no second try, not even while closing
        assert_int_equal(ledger_judge(&fx.book, fx.place.database, true, true).rows, 1);
        ledger_fini(&fx.book);
        scratch_fini(&fx.place);
    }
}

static bool checkpointer_is_done(void *arg)
{
    return !atomic_load(&((weir_store *)arg)->checkpointer.busy);
}

static void a_fenced_store_leaves_its_log_alone(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &QUICK);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_OK);
    break_disk(&fx, WEIR__VFS_SYNC, WEIR__VFS_WAL, SQLITE_IOERR_FSYNC, 0, 1);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_UNKNOWN);
    // As if a commit had asked for a checkpoint just before.
    weir__checkpointer *const checkpointer = &fx.store->checkpointer;
    pthread_mutex_lock(&checkpointer->wake_lock);
    checkpointer->busy = checkpointer->wanted = true;
    pthread_cond_signal(&checkpointer->wake);
    pthread_mutex_unlock(&checkpointer->wake_lock);
    assert_true(await(checkpointer_is_done, fx.store));
    assert_true(stats_of(&fx).wal_frames > 0);
    assert_int_equal(stats_of(&fx).wal_moved, 0);
    assert_int_equal(fx.plan.seen, 1);
    fixture_judge(&fx, true);
}

// The interval's syncer: before its sync fails, one more group is committed.
typedef struct late_group {
    fixture fx;
    ledger_entry *entry;
    _Atomic int syncs;
} late_group;

static bool all_is_committed(void *arg)
{
    weir_store *const store = arg;
    pthread_mutex_lock(&store->queue.lock);
    const bool yes = store->queue.committed_seq == store->queue.submitted_seq;
    pthread_mutex_unlock(&store->queue.lock);
    return yes;
}

static int fail_first_sync(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    late_group *const l = context;
    (void)offset, (void)size;
    if (op != WEIR__VFS_SYNC || role != WEIR__VFS_MAIN || atomic_fetch_add(&l->syncs, 1) > 0)
        return SQLITE_OK;
    ledger_submit(l->fx.store, l->entry, &(weir_write_options){.fail_when_full = true});
    await(all_is_committed, l->fx.store);
    return SQLITE_IOERR_FSYNC;
}

static void no_sync_of_the_interval_follows_one_that_failed(void **state)
{
    (void)state;
    late_group l = {0};
    weir_config config = QUICK;
    config.durability = WEIR_DURABILITY_INTERVAL;
    config.sync_interval_ms = 1;
    fixture_open(&l.fx, &config);
    ledger_entry *const first = add(&l.fx, LEDGER_FINE, WEIR_ACK_DURABLE);
    l.entry = add(&l.fx, LEDGER_FINE, WEIR_ACK_DURABLE);
    weir__vfs_set_fault(l.fx.store->vfs, fail_first_sync, &l);
    ledger_submit(l.fx.store, first, NULL);
    ledger_await(&l.fx.book);
    assert_int_equal(l.syncs, 1);
    assert_int_equal(first->code, WEIR_UNKNOWN);
    assert_int_equal(l.entry->code, WEIR_UNKNOWN);
    assert_int_equal(ledger_write(l.fx.store, add(&l.fx, LEDGER_FINE, WEIR_ACK_COMMITTED), NULL),
                     WEIR_FENCED);
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_flush(l.fx.store, 0, &err), WEIR_FENCED, &err);
    fixture_judge(&l.fx, true);
}

// ------------------------------------------------------------------------------------------ after the log

static int fail_second_block(void *context, weir__vfs_op op, weir__vfs_role role, int64_t offset, int size)
{
    plan *const p = context;
    (void)role, (void)size;
    if (op != WEIR__VFS_SHM_MAP || offset != 1 || p->length == 0)
        return SQLITE_OK;
    atomic_fetch_add(&p->hits, 1);
    return SQLITE_IOERR_SHMMAP;
}

// In another process: closing a descriptor of the database in this one would drop SQLite's locks.
static void copy_file(const char *from, const char *to)
{
    char *const command[] = {(char[]){"cp"}, strdup(from), strdup(to), NULL};
    pid_t child = 0;
    int status = 0;
    assert_int_equal(posix_spawnp(&child, "cp", NULL, NULL, command, environ), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    free(command[1]);
    free(command[2]);
}

// What a crash at this moment would leave, and somebody who opens the database would find.
static void judge_a_crash(fixture *fx)
{
    char copy[160];
    char copied_log[176];
    snprintf(copy, sizeof copy, "%s/crash.db", fx->place.directory);
    snprintf(copied_log, sizeof copied_log, "%s-wal", copy);
    copy_file(fx->place.database, copy);
    copy_file(fx->place.wal, copied_log);
    ledger_judge(&fx->book, copy, false, true);
}

// SQLite writes and syncs a commit's frames before it enters them into the wal-index. If that fails the commit is
// undone, but a crash before the next one would bring it back.
static void a_commit_that_fails_after_its_frames_are_written_is_not_called_failed(void **state)
{
    (void)state;
    fixture fx;
    memset(&fx, 0, sizeof fx);
    scratch_init(&fx.place);
    ledger_init(&fx.book, 2048);
    naive_sql(fx.place.database,
              "PRAGMA page_size=512; PRAGMA journal_mode=WAL; CREATE TABLE filler(x);" LEDGER_SCHEMA);
    fx.store = must_open(fx.place.database, &QUICK);
    must_run_sql(fx.store, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3600)"
                           "INSERT INTO filler SELECT randomblob(400) FROM n");
    assert_in_range(stats_of(&fx).wal_frames, 3600, 4062); // what the first block of the index has room for
    fx.plan.length = 1;
    weir__vfs_set_fault(fx.store->vfs, fail_second_block, &fx.plan);
    int code = WEIR_OK;
    while (code == WEIR_OK && fx.book.size < 1500)
        code = ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
    assert_true(fx.plan.hits > 0);
    judge_a_crash(&fx);
    expect_code(code, WEIR_UNKNOWN, NULL);
    mend_disk(&fx);
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL), WEIR_OK);
    judge_a_crash(&fx);
    fixture_judge(&fx, true);
}

// -------------------------------------------------------------------------------------------------- locks

static sqlite3 *lock_database(const fixture *fx)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(fx->place.database, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static bool has_retries(void *arg)
{
    return stats_of(arg).retries > 0;
}

static void a_write_lock_held_elsewhere_delays_writes_and_fails_those_past_their_deadline(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, &QUICK);
    sqlite3 *const other = lock_database(&fx);
    ledger_entry *const brief = add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE);
    assert_int_equal(ledger_write(fx.store, brief, &(weir_write_options){.deadline_ms = 50}), WEIR_BUSY);
    expect_contains(brief->text, fx.place.database);
    for (int i = 0; i < 20; i++)
        ledger_submit(fx.store, add(&fx, i % 5 == 4 ? LEDGER_WRONG_SQL : LEDGER_FINE, (weir_ack)(i % 3)),
                      NULL);
    assert_true(await(has_retries, &fx));
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM ledger"), 0); // reads go on
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    ledger_await(&fx.book);
    assert_int_equal(fixture_judge(&fx, true).rows, 16);
}

typedef struct fencing {
    weir_store *store;
    _Atomic int done;
} fencing;

static void *fence_main(void *arg)
{
    fencing *const f = arg;
    weir_error why = WEIR_ERROR_INIT;
    weir__error_set(&why, WEIR_IO, "a sync that failed elsewhere");
    weir__writer_fence_in_turn(f->store, &why);
    atomic_store(&f->done, 1);
    return NULL;
}

static bool is_fenced(void *arg)
{
    return atomic_load(&((fencing *)arg)->done) == 1;
}

// A sync of a checkpoint or of the interval fails while a group waits for another process, for as long as that likes.
static void the_fence_does_not_wait_for_a_group_that_cannot_begin(void **state)
{
    (void)state;
    fixture fx;
    weir_config config = QUICK;
    config.retry_base_ms = 3600 * 1000;
    fixture_open(&fx, &config);
    sqlite3 *const other = lock_database(&fx);
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), &PATIENT);
    assert_true(await(has_retries, &fx));
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), &PATIENT);
    fencing f = {.store = fx.store};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fence_main, &f), 0);
    assert_true(await(is_fenced, &f));
    assert_int_equal(pthread_join(thread, NULL), 0);
    ledger_await(&fx.book);
    assert_int_equal(fx.book.entries[0].code, WEIR_FENCED); // it was never begun: not UNKNOWN
    assert_int_equal(fx.book.entries[1].code, WEIR_FENCED);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(fixture_judge(&fx, true).rows, 0);
}

// The log was started over, so the sync needs the database file, too.
static void a_sync_of_the_interval_does_not_wait_for_a_group_that_cannot_begin(void **state)
{
    (void)state;
    fixture fx;
    weir_config config = QUICK;
    config.durability = WEIR_DURABILITY_INTERVAL;
    config.sync_interval_ms = 3600 * 1000;
    fixture_open(&fx, &config);
    const weir_write_options committed = {.ack = WEIR_ACK_COMMITTED};
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_COMMITTED), NULL), WEIR_OK);
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    expect_ok(weir_checkpoint(fx.store, WEIR_CHECKPOINT_RESTART, 0, NULL, &err), &err);
    expect_ok(run_sql(fx.store, "INSERT INTO taken VALUES('restarts the log')", &committed, &err), &err);
    sqlite3 *const other = lock_database(&fx);
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_COMMITTED), &PATIENT);
    assert_true(await(has_retries, &fx));
    expect_ok(weir__sync_wait(fx.store, UINT64_MAX, weir__store_deadline(fx.store, AWAIT_MS, 0), &err), &err);
    assert_int_equal(fx.book.entries[1].answers, 0);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    ledger_await(&fx.book);
    assert_int_equal(fixture_judge(&fx, true).rows, 2);
}

typedef struct lone_write {
    fixture *fx;
    ledger_entry *entry;
} lone_write;

static void *lone_write_main(void *arg)
{
    const lone_write *const w = arg;
    ledger_write(w->fx->store, w->entry, &PATIENT);
    return NULL;
}

// The thread of a lone weir_write waits for its next attempt while the store's own thread sleeps: who wakes one of them
// must not reach the other.
static void a_write_behind_one_that_waits_for_the_lock_on_its_own_thread_is_not_forgotten(void **state)
{
    (void)state;
    fixture fx;
    weir_config config = QUICK;
    config.retry_base_ms = 3000;
    config.retry_tries = 1;
    fixture_open(&fx, &config);
    sqlite3 *const other = lock_database(&fx);
    lone_write first = {.fx = &fx, .entry = add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, lone_write_main, &first), 0);
    assert_true(await(has_retries, &fx));
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_flush(fx.store, 50, &err), WEIR_BUSY, &err); // wakes the store's thread, for nothing
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), &PATIENT);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ledger_await(&fx.book);
    assert_int_equal(fixture_judge(&fx, true).rows, 2);
}

static bool has_retried_thrice(void *arg)
{
    return stats_of(arg).retries >= 3;
}

// One write has time, and pauses between its attempts grow. Another one behind it has none.
static void a_write_behind_one_that_waits_for_the_lock_fails_at_its_own_deadline(void **state)
{
    (void)state;
    fixture fx;
    weir_config config = QUICK;
    config.retry_base_ms = 5000;
    config.retry_tries = 1;
    fixture_open(&fx, &config);
    sqlite3 *const other = lock_database(&fx);
    ledger_submit(fx.store, add(&fx, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
    assert_true(await(has_retries, &fx));
    for (int i = 0; i < 3; i++) {
        const uint64_t start_ms = now_ms();
        assert_int_equal(ledger_write(fx.store, add(&fx, LEDGER_FINE, (weir_ack)i),
                                      &(weir_write_options){.deadline_ms = 50}),
                         WEIR_BUSY);
        assert_in_range(now_ms() - start_ms, 50, 4000);
    }
    assert_true(has_retried_thrice(&fx));
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    ledger_await(&fx.book);
    assert_int_equal(fixture_judge(&fx, true).rows, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_write_of_the_log_may_fail),
        cmocka_unit_test(the_disk_may_be_full_at_any_write_of_the_log),
        cmocka_unit_test(any_sync_may_fail),
        cmocka_unit_test(any_other_call_may_fail),
        cmocka_unit_test(a_full_disk_that_gets_space_again_loses_and_fails_nothing),
        cmocka_unit_test(
            a_disk_that_stays_full_fails_waiting_writes_at_their_deadline_and_keeps_applied_ones),
        cmocka_unit_test(closing_on_a_disk_that_stays_full_tells_that_applied_work_is_lost),
        cmocka_unit_test(a_job_that_renames_a_full_disk_is_tried_again_with_its_neighbours),
        cmocka_unit_test(applied_work_that_cannot_be_repeated_is_told_as_lost),
        cmocka_unit_test(a_flush_hears_of_every_job_that_was_dropped),
        cmocka_unit_test(a_job_that_meets_a_damaged_page_fails_alone),
        cmocka_unit_test(applied_work_on_a_damaged_page_is_told_as_lost_alone),
        cmocka_unit_test(applied_work_on_a_broken_disk_is_told_as_lost),
        cmocka_unit_test(applied_work_that_meets_a_short_fault_is_kept_although_there_was_one_before),
        cmocka_unit_test(a_failed_sync_fences_the_store),
        cmocka_unit_test(a_failed_sync_inside_a_job_fences_too),
        cmocka_unit_test(a_failed_sync_of_a_checkpoint_fences_too),
        cmocka_unit_test(a_fenced_store_leaves_its_log_alone),
        cmocka_unit_test(no_sync_of_the_interval_follows_one_that_failed),
        cmocka_unit_test(a_commit_that_fails_after_its_frames_are_written_is_not_called_failed),
        cmocka_unit_test(a_write_behind_one_that_waits_for_the_lock_fails_at_its_own_deadline),
        cmocka_unit_test(a_write_behind_one_that_waits_for_the_lock_on_its_own_thread_is_not_forgotten),
        cmocka_unit_test(the_fence_does_not_wait_for_a_group_that_cannot_begin),
        cmocka_unit_test(a_sync_of_the_interval_does_not_wait_for_a_group_that_cannot_begin),
        cmocka_unit_test(a_write_lock_held_elsewhere_delays_writes_and_fails_those_past_their_deadline),
    };
    return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
