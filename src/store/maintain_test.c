// SPDX-License-Identifier: MIT
//
// weir_optimize: what it reports, that it can be watched and stopped, that it finds damage, and that writes and reads
// go on beside it.
#include "support/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, ROWS = 20000 };

static const char FILL[] = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); CREATE INDEX i ON t(a);"
                           "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n WHERE x<20000) "
                           "INSERT INTO t SELECT x, x%100, hex(randomblob(50)) FROM n;";

static weir_optimize_report optimize(weir_store *store, const weir_optimize_options *options)
{
    weir_optimize_report report;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_optimize(store, options, &report, &err), &err);
    return report;
}

static void an_intact_database(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        scratch place;
        scratch_init(&place);
        weir_store *const store = must_open(place.database, NULL);
        must_run_sql(store, FILL);
        const weir_optimize_options options = {.full_check = full, .analyze_all = true};
        const weir_optimize_report report = optimize(store, &options);
        assert_true(report.intact);
        assert_string_equal(report.check, "ok");
        assert_true(report.optimize_ns > 0 && report.checkpoint_ns > 0 && report.check_ns > 0);
        assert_int_equal(report.checkpoint.mode, WEIR_CHECKPOINT_FULL);
        assert_int_equal(report.checkpoint.blocker, WEIR_BLOCKER_NONE);
        assert_int_equal(report.checkpoint.moved_frames, report.checkpoint.log_frames);
        assert_int_equal(must_read_int64(store, "SELECT count(*) > 0 FROM sqlite_stat1 WHERE tbl='t'"), 1);
        assert_true(optimize(store, NULL).intact); // with what is there already
        must_close(store);
        scratch_fini(&place);
    }
}

// ----------------------------------------------------------------------------------------- progress and cancel

typedef struct watch {
    const char *stop_in; // phase
    int calls;
    int optimize, checkpoint, check;
    uint64_t done; // of the phase "check", never falling
} watch;

static bool on_progress(void *context, const char *phase, uint64_t done, uint64_t total)
{
    watch *w = context;
    (void)total;
    w->calls++;
    w->optimize += strcmp(phase, "optimize") == 0;
    w->checkpoint += strcmp(phase, "checkpoint") == 0;
    w->check += strcmp(phase, "check") == 0;
    if (strcmp(phase, "check") == 0) {
        assert_true(done >= w->done);
        w->done = done;
    }
    return !w->stop_in || strcmp(w->stop_in, phase) != 0;
}

static void it_tells_how_far_it_is(void **state)
{
    (void)state;
    scratch place;
    watch w = {.stop_in = NULL};
    scratch_init(&place);
    weir_store *const store = must_open(place.database, NULL);
    must_run_sql(store, FILL);
    const weir_optimize_options options = {.full_check = true, .progress = on_progress, .context = &w};
    assert_true(optimize(store, &options).intact);
    assert_int_equal(w.optimize, 1);
    assert_int_equal(w.checkpoint, 1);
    assert_true(w.check >= 1);
    assert_true(w.done > 0);
    must_close(store);
    scratch_fini(&place);
}

static void it_can_be_stopped_in_each_phase(void **state)
{
    (void)state;
    static const char *const PHASES[] = {"optimize", "checkpoint", "check"};
    scratch place;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, NULL);
    must_run_sql(store, FILL);
    for (size_t i = 0; i < 3; i++) {
        watch w = {.stop_in = PHASES[i]};
        weir_error err = WEIR_ERROR_INIT;
        weir_optimize_report report;
        const weir_optimize_options options = {.full_check = true, .progress = on_progress, .context = &w};
        expect_code(weir_optimize(store, &options, &report, &err), WEIR_CANCELLED, &err);
        expect_contains(err.text, place.database);
        assert_int_equal(w.calls, i + 1); // not asked again once it said no
        assert_false(report.intact);      // nobody has found out
    }
    assert_true(optimize(store, NULL).intact); // and the store is as good as before
    must_run_sql(store, "INSERT INTO t(a) VALUES(1)");
    must_close(store);
    scratch_fini(&place);
}

// -------------------------------------------------------------------------------------------------- damage

static void overwrite(const char *path, off_t offset, const void *bytes, size_t size)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, offset), (ssize_t)size);
    close(fd);
}

static void a_damaged_page_is_found(void **state)
{
    (void)state;
    scratch place;
    unsigned char noise[200];
    scratch_init(&place);
    memset(noise, 0xA5, sizeof noise);
    naive_sql(place.database, "PRAGMA journal_mode=WAL");
    naive_sql(place.database, FILL);
    const off_t page = naive_int64(place.database, "SELECT rootpage FROM sqlite_schema WHERE name='i'");
    overwrite(place.database, (page - 1) * PAGE, noise, sizeof noise); // the root of the index
    weir_store *const store = must_open(place.database, NULL);
    for (int i = 0; i < 4; i++) {
        weir_error err = WEIR_ERROR_INIT;
        weir_optimize_report report;
        const weir_optimize_options options = {.full_check = i & 1,
                                               .analyze_all = i & 2}; // ANALYZE stumbles on it
        const int code = weir_optimize(store, &options, &report, &err);
        expect_ok(code, &err); // that it is damaged is the answer, not a failure to answer
        assert_false(report.intact);
        assert_string_not_equal(report.check, "ok");
        assert_true(strlen(report.check) > 5);
        assert_int_equal(must_read_int64(store, "SELECT count(*) FROM t NOT INDEXED"), ROWS);
    }
    must_close(store);
    scratch_fini(&place);
}

// The index lacks a row that the table has: only the full check compares them.
static void only_the_full_check_compares_indexes(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    naive_sql(place.database,
              "CREATE TABLE t(a); CREATE INDEX i ON t(a); INSERT INTO t VALUES(1),(2),(3);"
              "PRAGMA writable_schema=ON;"
              "UPDATE sqlite_schema SET sql='CREATE INDEX i ON t(a) WHERE a<>2' WHERE name='i';");
    naive_sql(place.database, "DELETE FROM t WHERE a=2; INSERT INTO t VALUES(2);");
    naive_sql(place.database, "PRAGMA writable_schema=ON;"
                              "UPDATE sqlite_schema SET sql='CREATE INDEX i ON t(a)' WHERE name='i';");
    weir_store *const store = must_open(place.database, NULL);
    const weir_optimize_options full = {.full_check = true};
    assert_true(optimize(store, NULL).intact);
    const weir_optimize_report report = optimize(store, &full);
    assert_false(report.intact);
    expect_contains(report.check, "index i");
    must_close(store);
    scratch_fini(&place);
}

// -------------------------------------------------------------------------------------------- beside the work

typedef struct load {
    weir_store *store;
    atomic_bool stop;
    atomic_int written, failed;
} load;

static void *write_main(void *arg)
{
    load *l = arg;
    while (!atomic_load(&l->stop)) {
        weir_error err = WEIR_ERROR_INIT;
        if (run_sql(l->store, "INSERT INTO t(a) VALUES(1)", NULL, &err) == WEIR_OK)
            atomic_fetch_add(&l->written, 1);
        else
            atomic_fetch_add(&l->failed, 1);
    }
    return NULL;
}

typedef struct beside {
    load *l;
    int before;
} beside;

static bool has_written_more(void *arg)
{
    const beside *b = arg;
    return atomic_load(&b->l->written) > b->before;
}

// The check is under way: it goes on only once a write and a read have ended beside it.
static bool wait_for_others(void *context, const char *phase, uint64_t done, uint64_t total)
{
    beside *b = context;
    (void)done, (void)total;
    if (strcmp(phase, "check") != 0 || b->before >= 0)
        return true;
    b->before = atomic_load(&b->l->written);
    return await(has_written_more, b) && must_read_int64(b->l->store, "SELECT count(*) FROM t") >= ROWS;
}

static void writes_and_reads_go_on_beside_it(void **state)
{
    (void)state;
    static load l;
    scratch place;
    pthread_t thread;
    beside b = {.l = &l, .before = -1};
    memset(&l, 0, sizeof l);
    scratch_init(&place);
    l.store = must_open(place.database, NULL);
    must_run_sql(l.store, FILL);
    assert_int_equal(pthread_create(&thread, NULL, write_main, &l), 0);
    const weir_optimize_options options = {
        .full_check = true, .analyze_all = true, .progress = wait_for_others, .context = &b};
    const weir_optimize_report report = optimize(l.store, &options);
    atomic_store(&l.stop, true);
    pthread_join(thread, NULL);
    assert_true(report.intact);
    assert_true(b.before >= 0);
    assert_int_equal(atomic_load(&l.failed), 0);
    assert_int_equal(must_read_int64(l.store, "SELECT count(*) FROM t"), ROWS + atomic_load(&l.written));
    must_close(l.store);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_intact_database),
        cmocka_unit_test(it_tells_how_far_it_is),
        cmocka_unit_test(it_can_be_stopped_in_each_phase),
        cmocka_unit_test(a_damaged_page_is_found),
        cmocka_unit_test(only_the_full_check_compares_indexes),
        cmocka_unit_test(writes_and_reads_go_on_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
