// SPDX-License-Identifier: MIT
//
// Writes: what an acknowledgement means at the moment it comes, jobs that fail among jobs that do not, and
// what a job must not do.
#include "support/ledger.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/clock_fake.h"
#include "base/error.h"
#include "store/open.h"

typedef struct fixture {
    scratch place;
    weir_store *store;
    ledger book;
    sqlite3 *witness; // a connection that knows nothing of the store
} fixture;

static sqlite3 *witness_open(const char *database)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(database, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_FULLMUTEX, NULL),
                     SQLITE_OK);
    return db;
}

// Rows of an entry as the witness sees them; -1 when it cannot see. Any thread.
static int witness_rows(sqlite3 *witness, int64_t id)
{
    sqlite3_stmt *stmt = NULL;
    int rows = -1;
    sqlite3_mutex_enter(sqlite3_db_mutex(witness));
    if (sqlite3_prepare_v2(witness, "SELECT count(*) FROM ledger WHERE id=?", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_bind_int64(stmt, 1, id) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        rows = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_mutex_leave(sqlite3_db_mutex(witness));
    return rows;
}

static void fixture_open(fixture *fx, const weir_config *config, const weir__open_hooks *hooks)
{
    memset(fx, 0, sizeof *fx);
    scratch_init(&fx->place);
    ledger_init(&fx->book, 4096);
    weir_error err = WEIR_ERROR_INIT;
    naive_sql(fx->place.database, "PRAGMA journal_mode=WAL;" LEDGER_SCHEMA);
    expect_ok(weir__store_open(fx->place.database, config, hooks, &fx->store, &err), &err);
    fx->witness = witness_open(fx->place.database);
}

static void fixture_end(fixture *fx)
{
    sqlite3_close(fx->witness);
    ledger_fini(&fx->book);
    scratch_fini(&fx->place);
}

// Closes and holds the file against the answers.
static ledger_verdict fixture_judge(fixture *fx)
{
    must_close(fx->store);
    const ledger_verdict verdict = ledger_judge(&fx->book, fx->place.database, false, true);
    fixture_end(fx);
    return verdict;
}

static weir_stats stats_of(weir_store *store)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &stats, &err), &err);
    return stats;
}

static uint64_t log_syncs(const weir_store *store)
{
    weir__vfs_stats stats;
    weir__vfs_stats_get(store->vfs, &stats);
    return stats.roles[WEIR__VFS_WAL].sync_count;
}

// ------------------------------------------------------------------------------------ acknowledgements

// What was to be seen at the moment of an acknowledgement.
typedef struct moment {
    fixture *fx;
    int64_t id;
    int rows;
    uint64_t syncs;
    _Atomic int calls;
    int code;
} moment;

static int insert_job(weir_tx *tx, void *arg, weir_error *err)
{
    const moment *const m = arg;
    return weir_exec(tx, err, "INSERT INTO ledger(id) VALUES($1)", "i", m->id);
}

static void note_moment(void *context, const weir_error *result)
{
    moment *const m = context;
    m->code = result->code;
    m->rows = witness_rows(m->fx->witness, m->id);
    m->syncs = log_syncs(m->fx->store);
    atomic_fetch_add(&m->calls, 1);
}

static bool has_been_called(void *arg)
{
    return atomic_load(&((moment *)arg)->calls) > 0;
}

static void submit_moment(moment *m, weir_ack ack)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir_write_options options = {.ack = ack};
    expect_ok(weir_submit(m->fx->store, insert_job, m, &options, note_moment, m, &err), &err);
}

static void a_durable_or_committed_row_is_visible_to_others_when_it_is_acknowledged(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, NULL, NULL);
    for (int i = 0; i < 20; i++) {
        const uint64_t syncs = log_syncs(fx.store);
        moment m = {.fx = &fx, .id = i, .rows = -2};
        submit_moment(&m, i % 2 ? WEIR_ACK_DURABLE : WEIR_ACK_COMMITTED);
        assert_true(await(has_been_called, &m));
        assert_int_equal(m.code, WEIR_OK);
        assert_int_equal(m.rows, 1);
        assert_true(m.syncs > syncs);
    }
    must_close(fx.store);
    fixture_end(&fx);
}

static void an_applied_row_waits_for_its_commit_and_a_flush_brings_it(void **state)
{
    (void)state;
    fixture fx;
    weir__clock_fake clock;
    weir__clock_fake_init(&clock);
    const weir_config config = {.applied_linger_ms = 50, .write_deadline_ms = WEIR_NO_DEADLINE};
    fixture_open(&fx, &config, &(weir__open_hooks){.clock = &clock.clock});
    moment m = {.fx = &fx, .id = 1, .rows = -2};
    submit_moment(&m, WEIR_ACK_APPLIED);
    assert_true(await(has_been_called, &m));
    assert_int_equal(m.code, WEIR_OK);
    assert_int_equal(m.rows, 0);
    assert_int_equal(witness_rows(fx.witness, 1), 0); // time stands still: it lingers
    assert_int_equal(stats_of(fx.store).applied_pending, 1);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    assert_int_equal(witness_rows(fx.witness, 1), 1);
    assert_int_equal(stats_of(fx.store).applied_pending, 0);
    must_close(fx.store);
    fixture_end(&fx);
    weir__clock_fake_fini(&clock);
}

typedef struct sighting {
    fixture *fx;
    int64_t id;
} sighting;

static bool is_visible(void *arg)
{
    const sighting *const s = arg;
    return witness_rows(s->fx->witness, s->id) == 1;
}

// A commit is seen by others before the writer, whose thread it is, has counted it.
static bool is_counted(void *arg)
{
    return stats_of(arg).groups > 0;
}

static void a_lingering_group_is_committed_when_its_time_has_come(void **state)
{
    (void)state;
    fixture fx;
    weir__clock_fake clock;
    weir__clock_fake_init(&clock);
    const weir_config config = {.applied_linger_ms = 50};
    fixture_open(&fx, &config, &(weir__open_hooks){.clock = &clock.clock});
    for (int i = 0; i < 3; i++)
        expect_code(ledger_write(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_APPLIED), NULL),
                    WEIR_OK, NULL);
    weir__clock_fake_advance(&clock, 49 * WEIR__NS_PER_MS);
    assert_int_equal(witness_rows(fx.witness, 2), 0);
    weir__clock_fake_advance(&clock, 2 * WEIR__NS_PER_MS);
    sighting s = {&fx, 2};
    assert_true(await(is_visible, &s));
    assert_true(await(is_counted, fx.store));
    assert_int_equal(stats_of(fx.store).groups, 1);
    fixture_judge(&fx);
    weir__clock_fake_fini(&clock);
}

static void a_lingering_group_is_committed_when_it_is_full_or_somebody_wants_more(void **state)
{
    (void)state;
    fixture fx;
    weir__clock_fake clock;
    weir__clock_fake_init(&clock);
    const weir_config config = {.applied_linger_ms = 50, .applied_jobs_max = 3};
    fixture_open(&fx, &config, &(weir__open_hooks){.clock = &clock.clock});
    for (int i = 0; i < 3; i++)
        ledger_write(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_APPLIED), NULL);
    sighting s = {&fx, 2};
    assert_true(await(is_visible, &s));
    ledger_write(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_APPLIED), NULL);
    ledger_write(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
    assert_int_equal(witness_rows(fx.witness, 3), 1);
    assert_int_equal(witness_rows(fx.witness, 4), 1);
    ledger_write(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_APPLIED), NULL);
    const ledger_verdict verdict = fixture_judge(&fx); // and closing commits the rest
    assert_int_equal(verdict.rows, 6);
    weir__clock_fake_fini(&clock);
}

static void with_the_interval_policy_a_durable_acknowledgement_waits_for_the_sync(void **state)
{
    (void)state;
    fixture fx;
    weir__clock_fake clock;
    weir__clock_fake_init(&clock);
    const weir_config config = {.durability = WEIR_DURABILITY_INTERVAL, .sync_interval_ms = 200};
    fixture_open(&fx, &config, &(weir__open_hooks){.clock = &clock.clock});
    moment committed = {.fx = &fx, .id = 1, .rows = -2};
    submit_moment(&committed, WEIR_ACK_COMMITTED);
    assert_true(await(has_been_called, &committed)); // without a sync
    assert_int_equal(committed.rows, 1);
    moment durable = {.fx = &fx, .id = 2, .rows = -2};
    submit_moment(&durable, WEIR_ACK_DURABLE);
    sighting s = {&fx, 2};
    assert_true(await(is_visible, &s));
    weir__clock_fake_advance(&clock, 150 * WEIR__NS_PER_MS);
    assert_int_equal(durable.calls, 0);
    assert_int_equal(stats_of(fx.store).sync_ns.count, 0);
    assert_int_equal(stats_of(fx.store).acks_durable, 0);
    weir__clock_fake_advance(&clock, 60 * WEIR__NS_PER_MS);
    assert_true(await(has_been_called, &durable));
    assert_int_equal(durable.code, WEIR_OK);
    assert_int_equal(stats_of(fx.store).sync_ns.count, 1);
    // A flush does not wait for the interval, but for the sync.
    moment again = {.fx = &fx, .id = 3, .rows = -2};
    submit_moment(&again, WEIR_ACK_DURABLE);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_flush(fx.store, WEIR_NO_DEADLINE, &err), &err);
    assert_int_equal(stats_of(fx.store).sync_ns.count, 2);
    assert_true(await(has_been_called, &again));
    must_close(fx.store);
    fixture_end(&fx);
    weir__clock_fake_fini(&clock);
}

static void a_level_that_the_policy_cannot_give_is_refused(void **state)
{
    (void)state;
    static const weir_durability WEAK[] = {WEIR_DURABILITY_NORMAL, WEIR_DURABILITY_OFF};
    for (size_t i = 0; i < sizeof WEAK / sizeof WEAK[0]; i++) {
        fixture fx;
        const weir_config config = {.durability = WEAK[i]};
        fixture_open(&fx, &config, NULL);
        ledger_entry *const durable = ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_DURABLE);
        assert_int_equal(ledger_write(fx.store, durable, NULL), WEIR_UNSUPPORTED);
        expect_contains(durable->text, "COMMITTED");
        assert_int_equal(ledger_submit(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_DURABLE), NULL),
                         WEIR_UNSUPPORTED);
        assert_int_equal(ledger_write(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_COMMITTED), NULL),
                         WEIR_OK);
        assert_int_equal(
            ledger_write(fx.store, ledger_add(&fx.book, LEDGER_FINE, (weir_ack)(WEIR_ACK_APPLIED + 1)), NULL),
            WEIR_INVALID);
        weir_error err = WEIR_ERROR_INIT;
        expect_ok(weir_flush(fx.store, 0, &err), &err);
        assert_int_equal(fixture_judge(&fx).rows, 1);
    }
}

// ------------------------------------------------------------------------------------------- isolation

// Runs `size` jobs as one group; `failing` says which of them fail and how.
static void run_one_group(size_t size, ledger_deed (*deed_of)(size_t index, size_t size, size_t key),
                          size_t key)
{
    fixture fx;
    gate g;
    fixture_open(&fx, &(weir_config){.durability = WEIR_DURABILITY_NORMAL, .readers = 1}, NULL);
    gate_close(&g, fx.store);
    for (size_t i = 0; i < size; i++)
        ledger_submit(fx.store, ledger_add(&fx.book, deed_of(i, size, key), WEIR_ACK_COMMITTED), NULL);
    const uint64_t groups = stats_of(fx.store).groups;
    gate_open(&g);
    ledger_await(&fx.book);
    gate_fini(&g);
    assert_true(stats_of(fx.store).groups - groups <= 2); // the gate's, and one for all
    for (size_t i = 0; i < size; i++) {
        const ledger_entry *const entry = &fx.book.entries[i];
        if (entry->code != ledger_expected(entry->deed))
            fail_msg("of %zu jobs, with key %zu, job %zu (deed %d): %s \"%s\"", size, key, i,
                     (int)entry->deed, weir_code_name(entry->code), entry->text);
        if (entry->deed == LEDGER_REFUSES) {
            char sentence[64];
            snprintf(sentence, sizeof sentence, "entry %lld refuses", (long long)entry->id);
            assert_string_equal(entry->text, sentence);
        }
    }
    fixture_judge(&fx);
}

static ledger_deed only_at_key(size_t index, size_t size, size_t key)
{
    (void)size;
    return index == key ? (ledger_deed)(1 + key % (LEDGER_DEEDS - 1)) : LEDGER_FINE;
}

static void one_failing_job_fails_alone_wherever_it_stands(void **state)
{
    (void)state;
    static const size_t SIZES[] = {1, 2, 3, 63, 64, 65, 127, 128, 129, 200};
    static const size_t PLACES[] = {0, 1, 2, 31, 62, 63, 64, 65, 126, 127, 128, 129, 199};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++)
        for (size_t k = 0; k < sizeof PLACES / sizeof PLACES[0]; k++)
            if (PLACES[k] < SIZES[i])
                run_one_group(SIZES[i], only_at_key, PLACES[k]);
}

static ledger_deed each_nth(size_t index, size_t size, size_t key)
{
    (void)size;
    return index % key == key - 1 ? (ledger_deed)(1 + index % (LEDGER_DEEDS - 1)) : LEDGER_FINE;
}

static ledger_deed the_ends(size_t index, size_t size, size_t key)
{
    (void)key;
    return index == 0 || index == size - 1 ? LEDGER_CONSTRAINT : LEDGER_FINE;
}

static void several_failing_jobs_fail_alone(void **state)
{
    (void)state;
    static const size_t STEPS[] = {1, 2, 3, 32, 63, 64, 65};
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++)
        run_one_group(200, each_nth, STEPS[i]);
    run_one_group(2, the_ends, 0);
    run_one_group(64, the_ends, 0);
    run_one_group(128, the_ends, 0);
}

typedef struct naming {
    const char *name;
    bool refuses;
    _Atomic int answers;
    int code;
} naming;

static int name_job(weir_tx *tx, void *arg, weir_error *err)
{
    const naming *const n = arg;
    const int code = weir_exec(tx, err, "INSERT INTO taken VALUES($1)", "t", n->name);
    return code == WEIR_OK && n->refuses ? weir__error_set(err, WEIR_STATE, "refused") : code;
}

static void name_done(void *context, const weir_error *result)
{
    naming *const n = context;
    n->code = result->code;
    atomic_fetch_add(&n->answers, 1);
}

static bool all_named(void *arg)
{
    const naming *const names = arg;
    return names[0].answers && names[1].answers && names[2].answers && names[3].answers;
}

// A job sees its neighbours' changes before they are committed: it may fail because of one that stays, and
// must not because of one that is undone.
static void a_job_fails_because_of_a_neighbour_only_if_that_one_stays(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    fixture_open(&fx, NULL, NULL);
    naming names[] = {{.name = "a"}, {.name = "a"}, {.name = "b", .refuses = true}, {.name = "b"}};
    weir_error err = WEIR_ERROR_INIT;
    gate_close(&g, fx.store);
    for (size_t i = 0; i < 4; i++)
        expect_ok(weir_submit(fx.store, name_job, &names[i], NULL, name_done, &names[i], &err), &err);
    gate_open(&g);
    assert_true(await(all_named, names));
    gate_fini(&g);
    assert_int_equal(names[0].code, WEIR_OK);
    assert_int_equal(names[1].code, WEIR_CONSTRAINT);
    assert_int_equal(names[2].code, WEIR_STATE);
    assert_int_equal(names[3].code, WEIR_OK);
    must_close(fx.store);
    assert_int_equal(naive_int64(fx.place.database, "SELECT count(*) FROM taken WHERE name IN ('a','b')"), 2);
    fixture_end(&fx);
}

static void failing_applied_jobs_are_told_and_their_neighbours_stay(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    fixture_open(&fx, NULL, NULL);
    gate_close(&g, fx.store);
    for (size_t i = 0; i < 150; i++)
        ledger_submit(fx.store,
                      ledger_add(&fx.book, i % 7 == 3 ? LEDGER_REFUSES : LEDGER_FINE, (weir_ack)(i % 3)),
                      NULL);
    gate_open(&g);
    ledger_await(&fx.book);
    gate_fini(&g);
    assert_int_equal(stats_of(fx.store).applied_pending, 0);
    fixture_judge(&fx);
}

// -------------------------------------------------------------------------------- what a job must not do

typedef struct forbidden {
    const char *sql;
    bool script, raw;
    bool swallow; // returns WEIR_OK all the same
    int code;
} forbidden;

static int forbidden_job(weir_tx *tx, void *arg, weir_error *err)
{
    forbidden *const f = arg;
    int code = weir_exec(tx, err, "INSERT INTO taken VALUES($1)", "t", f->sql);
    if (code != WEIR_OK)
        return code;
    if (f->raw) {
        const int rc = sqlite3_exec(weir_tx_sqlite(tx), f->sql, NULL, NULL, NULL);
        f->code = rc == SQLITE_OK ? WEIR_OK : rc == SQLITE_AUTH ? WEIR_DENIED : WEIR_SQL;
    } else if (f->script) {
        f->code = weir_exec_script(tx, f->sql, err);
    } else {
        f->code = weir_exec(tx, err, f->sql, "");
    }
    return f->swallow ? WEIR_OK : f->code;
}

static const char *const FORBIDDEN[] = {
    "COMMIT",
    "ROLLBACK",
    "END",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "SAVEPOINT weir_job",
    "RELEASE weir_job",
    "ROLLBACK TO weir_job",
    "SAVEPOINT weir_chunk",
    "RELEASE weir_chunk",
    "ROLLBACK TO weir_chunk",
    "ATTACH ':memory:' AS other",
    "PRAGMA journal_mode=DELETE",
    "PRAGMA main.journal_mode=DELETE",
    "PRAGMA synchronous=OFF",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA wal_autocheckpoint=1",
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA busy_timeout=60000",
};

// Each of them alone and among others, so that the engine's own statements of the same text have been
// prepared before: a cache must not let a job past the authorizer.
static void a_job_cannot_end_its_transaction_nor_change_what_the_engine_has_set(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        gate g;
        gate_close(&g, fx.store);
        ledger_submit(fx.store, ledger_add(&fx.book, LEDGER_REFUSES, WEIR_ACK_DURABLE), NULL);
        ledger_submit(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
        gate_open(&g);
        ledger_await(&fx.book);
        gate_fini(&g);
    }
    for (size_t i = 0; i < sizeof FORBIDDEN / sizeof FORBIDDEN[0]; i++)
        for (int how = 0; how < 3; how++) {
            forbidden f = {.sql = FORBIDDEN[i], .script = how == 1, .raw = how == 2};
            weir_error err = WEIR_ERROR_INIT;
            const int code = weir_write(fx.store, forbidden_job, &f, NULL, &err);
            if (f.code != WEIR_DENIED || code != WEIR_DENIED)
                fail_msg("%s (way %d): %s in the job, %s to its caller: %s", f.sql, how,
                         weir_code_name(f.code), weir_code_name(code), err.text);
        }
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM taken"), 0);
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM ledger"), 2);
    fixture_judge(&fx);
}

static void a_job_that_makes_sqlite_roll_everything_back_hurts_nobody_else(void **state)
{
    (void)state;
    for (int swallow = 0; swallow < 2; swallow++) {
        fixture fx;
        gate g;
        fixture_open(&fx, NULL, NULL);
        must_run_sql(fx.store, "INSERT INTO taken VALUES('x')");
        forbidden f = {
            .sql = "INSERT OR ROLLBACK INTO taken VALUES('x')", .script = true, .swallow = swallow != 0};
        naming n[4] = {{.name = ""}, {.answers = 1}, {.answers = 1}, {.answers = 1}};
        weir_error err = WEIR_ERROR_INIT;
        gate_close(&g, fx.store);
        for (int i = 0; i < 6; i++)
            ledger_submit(fx.store, ledger_add(&fx.book, LEDGER_FINE, (weir_ack)(i % 3)), NULL);
        expect_ok(weir_submit(fx.store, forbidden_job, &f, NULL, name_done, &n[0], &err), &err);
        for (int i = 0; i < 6; i++)
            ledger_submit(fx.store, ledger_add(&fx.book, LEDGER_FINE, (weir_ack)(i % 3)), NULL);
        gate_open(&g);
        assert_true(await(all_named, n));
        ledger_await(&fx.book);
        gate_fini(&g);
        assert_int_not_equal(n[0].code, WEIR_OK);
        for (size_t i = 0; i < fx.book.size; i++)
            if (fx.book.entries[i].code != WEIR_OK)
                fail_msg("entry %zu: %s", i, fx.book.entries[i].text);
        assert_int_equal(fixture_judge(&fx).rows, 12);
    }
}

typedef struct stubborn {
    bool raw;
    int code;
} stubborn;

// Goes on writing after SQLite has rolled everything back, and says that all is well.
static int stubborn_job(weir_tx *tx, void *arg, weir_error *err)
{
    static const char *const INSERT = "INSERT INTO ledger(id) VALUES(-1)";
    stubborn *const s = arg;
    weir_exec_script(tx, "INSERT OR ROLLBACK INTO taken VALUES('x')", err);
    s->code =
        s->raw ? sqlite3_exec(weir_tx_sqlite(tx), INSERT, NULL, NULL, NULL) : weir_exec(tx, err, INSERT, "");
    return WEIR_OK;
}

static void what_a_job_writes_after_a_rollback_is_not_committed_by_itself(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, NULL, NULL);
    must_run_sql(fx.store, "INSERT INTO taken VALUES('x')");
    for (int i = 0; i < 2; i++) {
        stubborn s = {.raw = i > 0};
        weir_error err = WEIR_ERROR_INIT;
        expect_code(weir_write(fx.store, stubborn_job, &s, NULL, &err), WEIR_INVALID, &err);
        assert_int_not_equal(s.code, WEIR_OK);
    }
    must_close(fx.store);
    assert_int_equal(naive_int64(fx.place.database, "SELECT count(*) FROM ledger"), 0);
    fixture_end(&fx);
}

// ------------------------------------------------------------------------------- calls in the wrong place

typedef struct inner {
    weir_store *store;
    int write, flush, checkpoint, close, submit_blocking, submit, read;
    int64_t seen;
    _Atomic int calls;
} inner;

static int no_job(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "INSERT INTO ledger(id) VALUES(-1)", "");
}

static int count_ledger(weir_tx *tx, void *arg, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int code = weir_prepare(tx, "SELECT count(*) FROM ledger", &stmt, err);
    if (code == WEIR_OK)
        code = weir_step(stmt, &row, err);
    if (code == WEIR_OK && row)
        *(int64_t *)arg = weir_column_int64(stmt, 0);
    return code;
}

static void call_everything(inner *in)
{
    const weir_write_options quick = {.ack = WEIR_ACK_COMMITTED, .fail_when_full = true};
    const weir_write_options slow = {.ack = WEIR_ACK_COMMITTED};
    in->write = weir_write(in->store, no_job, NULL, &slow, NULL);
    in->flush = weir_flush(in->store, 0, NULL);
    in->checkpoint = weir_checkpoint(in->store, WEIR_CHECKPOINT_PASSIVE, 0, NULL, NULL);
    in->close = weir_close(in->store, 0, NULL);
    in->submit_blocking = weir_submit(in->store, no_job, NULL, &slow, NULL, NULL, NULL);
    in->submit = weir_submit(in->store, no_job, NULL, &quick, NULL, NULL, NULL);
    in->read = weir_read(in->store, count_ledger, &in->seen, NULL, NULL);
    atomic_fetch_add(&in->calls, 1);
}

static int calling_job(weir_tx *tx, void *arg, weir_error *err)
{
    call_everything(arg);
    return weir_exec(tx, err, "INSERT INTO taken VALUES('job')", "");
}

static void calling_done(void *context, const weir_error *result)
{
    (void)result;
    call_everything(context);
}

static int plain_job(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "INSERT INTO taken VALUES('callback')", "");
}

static bool was_called(void *arg)
{
    return atomic_load(&((inner *)arg)->calls) > 0;
}

static void check_refusals(const inner *in)
{
    assert_int_equal(in->write, WEIR_INVALID);
    assert_int_equal(in->flush, WEIR_INVALID);
    assert_int_equal(in->checkpoint, WEIR_INVALID);
    assert_int_equal(in->close, WEIR_INVALID);
    assert_int_equal(in->submit_blocking, WEIR_INVALID);
    assert_int_equal(in->submit, WEIR_OK);
    assert_int_equal(in->read, WEIR_OK);
}

static void what_would_wait_for_the_writer_is_refused_inside_jobs_and_callbacks(void **state)
{
    (void)state;
    static const weir_durability POLICIES[] = {WEIR_DURABILITY_FULL, WEIR_DURABILITY_INTERVAL};
    for (size_t i = 0; i < sizeof POLICIES / sizeof POLICIES[0]; i++) {
        fixture fx;
        const weir_config config = {.durability = POLICIES[i], .sync_interval_ms = 1};
        fixture_open(&fx, &config, NULL);
        weir_error err = WEIR_ERROR_INIT;
        inner job = {.store = fx.store};
        expect_ok(weir_write(fx.store, calling_job, &job, NULL, &err), &err);
        assert_int_equal(job.calls, 1);
        check_refusals(&job);
        inner callback = {.store = fx.store};
        expect_ok(weir_submit(fx.store, plain_job, NULL, NULL, calling_done, &callback, &err), &err);
        assert_true(await(was_called, &callback));
        check_refusals(&callback);
        must_close(fx.store);
        assert_int_equal(naive_int64(fx.place.database, "SELECT count(*) FROM taken"), 2);
        assert_int_equal(naive_int64(fx.place.database, "SELECT count(*) FROM ledger"), 2);
        fixture_end(&fx);
    }
}

// ------------------------------------------------------------------------------------- deferred foreign keys

static int insert_orphan(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "INSERT INTO child VALUES(99)", "");
}

// Wrong in between, right at its end.
static int insert_child_and_parent(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    const int code = weir_exec(tx, err, "INSERT INTO child VALUES(1)", "");
    return code == WEIR_OK ? weir_exec(tx, err, "INSERT INTO parent VALUES(1)", "") : code;
}

typedef struct answer {
    _Atomic int count, code;
} answer;

static void keep_answer(void *context, const weir_error *result)
{
    answer *const a = context;
    atomic_store(&a->code, result->code);
    atomic_fetch_add(&a->count, 1);
}

static void a_deferred_constraint_fails_its_job_alone(void **state)
{
    (void)state;
    fixture fx;
    gate g;
    answer orphan = {0};
    answer family = {0};
    weir_error err = WEIR_ERROR_INIT;
    fixture_open(&fx, &(weir_config){.foreign_keys = true}, NULL);
    must_run_sql(fx.store, "CREATE TABLE parent(id INTEGER PRIMARY KEY);"
                           "CREATE TABLE child(of INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)");
    gate_close(&g, fx.store);
    expect_ok(weir_submit(fx.store, insert_orphan, NULL, NULL, keep_answer, &orphan, &err), &err);
    expect_ok(weir_submit(fx.store, insert_child_and_parent, NULL, NULL, keep_answer, &family, &err), &err);
    gate_open(&g);
    gate_fini(&g);
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    expect_code(orphan.code, WEIR_CONSTRAINT, NULL);
    expect_code(family.code, WEIR_OK, NULL);
    expect_code(weir_write(fx.store, insert_orphan, NULL, NULL, &err), WEIR_CONSTRAINT, &err); // by itself
    expect_contains(err.text, "FOREIGN KEY");
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM child"), 1);
    must_close(fx.store);
    fixture_end(&fx);
}

static void counters_add_up(void **state)
{
    (void)state;
    fixture fx;
    fixture_open(&fx, NULL, NULL);
    for (int i = 0; i < 300; i++)
        ledger_submit(fx.store, ledger_add(&fx.book, (ledger_deed)(i % 5), (weir_ack)(i % 3)), NULL);
    ledger_write(fx.store, ledger_add(&fx.book, LEDGER_FINE, WEIR_ACK_DURABLE), NULL);
    ledger_await(&fx.book);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    const weir_stats stats = stats_of(fx.store);
    assert_int_equal(stats.jobs_submitted, 301);
    assert_int_equal(stats.jobs_done, 301);
    assert_int_equal(stats.jobs_failed, 240);
    assert_int_equal(stats.acks_durable + stats.acks_committed + stats.acks_applied, 61);
    assert_int_equal(stats.acks_applied, 20);
    assert_int_equal(stats.write_ns.count, 301);
    assert_int_equal(stats.commit_ns.count, stats.groups);
    assert_int_equal(stats.group_jobs.count, stats.groups);
    assert_true(stats.group_jobs.sum <= 301);
    assert_int_equal(stats.queue_jobs, 0);
    assert_int_equal(stats.applied_pending, 0);
    assert_string_equal(stats.state, "idle");
    assert_int_equal(fixture_judge(&fx).rows, 61);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_durable_or_committed_row_is_visible_to_others_when_it_is_acknowledged),
        cmocka_unit_test(an_applied_row_waits_for_its_commit_and_a_flush_brings_it),
        cmocka_unit_test(a_lingering_group_is_committed_when_its_time_has_come),
        cmocka_unit_test(a_lingering_group_is_committed_when_it_is_full_or_somebody_wants_more),
        cmocka_unit_test(with_the_interval_policy_a_durable_acknowledgement_waits_for_the_sync),
        cmocka_unit_test(a_level_that_the_policy_cannot_give_is_refused),
        cmocka_unit_test(one_failing_job_fails_alone_wherever_it_stands),
        cmocka_unit_test(several_failing_jobs_fail_alone),
        cmocka_unit_test(a_job_fails_because_of_a_neighbour_only_if_that_one_stays),
        cmocka_unit_test(failing_applied_jobs_are_told_and_their_neighbours_stay),
        cmocka_unit_test(a_job_cannot_end_its_transaction_nor_change_what_the_engine_has_set),
        cmocka_unit_test(a_job_that_makes_sqlite_roll_everything_back_hurts_nobody_else),
        cmocka_unit_test(what_a_job_writes_after_a_rollback_is_not_committed_by_itself),
        cmocka_unit_test(what_would_wait_for_the_writer_is_refused_inside_jobs_and_callbacks),
        cmocka_unit_test(a_deferred_constraint_fails_its_job_alone),
        cmocka_unit_test(counters_add_up),
    };
    return cmocka_run_group_tests_name("write", tests, NULL, NULL);
}
