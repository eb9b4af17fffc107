// SPDX-License-Identifier: MIT
//
// Closing while other threads are inside calls: a checkpoint that insists, a check of the file, somebody who looks
// at statistics, reads that take turns. Nobody is left behind, and nobody touches a store that has gone.
#include "support/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fs.h"
#include "store/open.h"

static const weir_config STILL = {.checkpoint_idle_ms = 3600 * 1000, .checkpoint_frames = 1000000};

typedef struct guest {
    weir_store *store;
    weir_snapshot *snapshot;
    pthread_t thread;
    _Atomic int asked, stop;
    int code;
    weir_error err;
} guest;

static void guest_start(guest *g, weir_store *store, void *(*run)(void *))
{
    memset(g, 0, sizeof *g);
    g->store = store;
    assert_int_equal(pthread_create(&g->thread, NULL, run, g), 0);
}

static void guest_end(guest *g)
{
    assert_int_equal(pthread_join(g->thread, NULL), 0);
}

static void *close_main(void *arg)
{
    guest *const g = arg;
    g->code = weir_close(g->store, 0, &g->err);
    return NULL;
}

static bool is_closing(void *arg)
{
    return weir__store_is_closing(arg);
}

static void only_one_thread_closes(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, NULL);
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_snapshot_open(store, NULL, &snapshot, &err), &err);
    guest closing;
    guest_start(&closing, store, close_main);
    assert_true(await(is_closing, store));
    expect_code(weir_close(store, 0, &err), WEIR_CLOSED, &err);
    weir_snapshot_close(snapshot);
    guest_end(&closing);
    expect_ok(closing.code, &closing.err);
    scratch_fini(&place);
}

// -------------------------------------------------------------------------------------------- a checkpoint

static void *insist_main(void *arg)
{
    guest *const g = arg;
    g->code = weir_checkpoint(g->store, WEIR_CHECKPOINT_TRUNCATE, WEIR_NO_DEADLINE, NULL, &g->err);
    return NULL;
}

static bool a_checkpoint_insists(void *arg)
{
    pthread_mutex_lock(&((weir_store *)arg)->pool.lock);
    const bool yes = ((weir_store *)arg)->pool.gap_count > 1;
    pthread_mutex_unlock(&((weir_store *)arg)->pool.lock);
    return yes;
}

static void a_checkpoint_that_insists_stands_in_nobodys_way(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, &STILL);
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    must_run_sql(store, "CREATE TABLE t(a)");
    expect_ok(weir_snapshot_open(store, NULL, &snapshot, &err), &err);
    must_run_sql(store, "INSERT INTO t VALUES(1)");
    guest insisting;
    guest closing;
    guest_start(&insisting, store, insist_main);
    assert_true(await(a_checkpoint_insists, store));
    weir_checkpoint_report report;
    expect_ok(weir_checkpoint(store, WEIR_CHECKPOINT_PASSIVE, 100, &report, &err), &err);
    assert_int_equal(report.blocker, WEIR_BLOCKER_READER);
    guest_start(&closing, store, close_main);
    assert_true(await(is_closing, store));
    guest_end(&insisting);
    expect_code(insisting.code, WEIR_CLOSED, &insisting.err);
    weir_snapshot_close(snapshot);
    guest_end(&closing);
    expect_ok(closing.code, &closing.err);
    assert_int_equal(file_bytes(place.wal), -1);
    scratch_fini(&place);
}

// ------------------------------------------------------------------------------------------------- a check

static bool say_and_wait(void *context, const char *phase, uint64_t done, uint64_t total)
{
    guest *const g = context;
    (void)done, (void)total;
    if (strcmp(phase, "check") == 0) {
        atomic_store(&g->asked, 1);
        await(is_closing, g->store);
    }
    return true;
}

static void *optimize_main(void *arg)
{
    guest *const g = arg;
    weir_optimize_report report;
    const weir_optimize_options options = {.progress = say_and_wait, .context = g};
    g->code = weir_optimize(g->store, &options, &report, &g->err);
    return NULL;
}

static bool has_been_asked(void *arg)
{
    return atomic_load(&((guest *)arg)->asked) != 0;
}

static void closing_ends_a_check_of_the_file(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, &STILL);
    must_run_sql(store, "CREATE TABLE t(a UNIQUE);"
                        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50000)"
                        " INSERT INTO t SELECT i FROM n;");
    guest checking;
    guest_start(&checking, store, optimize_main);
    assert_true(await(has_been_asked, &checking));
    must_close(store);
    guest_end(&checking);
    expect_code(checking.code, WEIR_CLOSED, &checking.err);
    assert_int_equal(file_bytes(place.wal), -1);
    must_be_intact(place.database);
    scratch_fini(&place);
}

// --------------------------------------------------------------------------------------------- who looks

static void *look_main(void *arg)
{
    guest *const g = arg;
    weir_stats stats;
    weir_finding findings[4];
    weir_reader_info readers[4];
    while (weir_stats_read(g->store, &stats, &g->err) == WEIR_OK) {
        weir_health(g->store, findings, 4);
        weir_readers(g->store, readers, 4);
        atomic_store(&g->asked, 1);
    }
    return NULL;
}

static void who_looks_until_the_end_is_told_and_finds_the_store_while_he_does(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, NULL);
    must_run_sql(store, "CREATE TABLE t(a)");
    guest looking;
    expect_ok(weir__store_enter(store, true, NULL), NULL); // holds the end up until the other one has seen it
    guest_start(&looking, store, look_main);
    assert_true(await(has_been_asked, &looking));
    guest closing;
    guest_start(&closing, store, close_main);
    guest_end(&looking);
    assert_int_equal(looking.err.code, WEIR_CLOSED);
    weir__store_leave(store);
    guest_end(&closing);
    expect_ok(closing.code, &closing.err);
    scratch_fini(&place);
}

// --------------------------------------------------------------------------------- reads that take turns

static void *read_main(void *arg)
{
    guest *const g = arg;
    g->code = weir_snapshot_open(g->store, NULL, &g->snapshot, &g->err);
    if (g->code == WEIR_OK)
        weir_snapshot_close(g->snapshot);
    return NULL;
}

static bool somebody_waits_for_the_turn(void *arg)
{
    weir_store *const store = arg;
    pthread_mutex_lock(&store->queue.lock);
    const bool yes = store->queue.turn_first != NULL;
    pthread_mutex_unlock(&store->queue.lock);
    return yes;
}

static void reads_that_take_turns_are_waited_for(void **state)
{
    (void)state;
    for (int read_only = 0; read_only < 2; read_only++) {
        scratch place;
        scratch_init(&place);
        naive_sql(place.database, "CREATE TABLE t(a); INSERT INTO t VALUES(1);");
        const weir__fs_kind network = {.fs_class = WEIR__FS_NETWORK, .name = "nfs"};
        const weir_config config = {.read_only = read_only != 0};
        weir_store *store = NULL;
        weir_snapshot *snapshot = NULL;
        weir_error err = WEIR_ERROR_INIT;
        expect_ok(
            weir__store_open(place.database, &config, &(weir__open_hooks){.fs_kind = &network}, &store, &err),
            &err);
        expect_ok(weir_snapshot_open(store, NULL, &snapshot, &err), &err);
        guest reading;
        guest closing;
        guest_start(&reading, store, read_main);
        assert_true(await(somebody_waits_for_the_turn, store));
        guest_start(&closing, store, close_main);
        assert_true(await(is_closing, store));
        weir_snapshot_close(snapshot);
        guest_end(&reading);
        guest_end(&closing);
        assert_true(reading.code == WEIR_OK || reading.code == WEIR_CLOSED);
        expect_ok(closing.code, &closing.err);
        scratch_fini(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_one_thread_closes),
        cmocka_unit_test(a_checkpoint_that_insists_stands_in_nobodys_way),
        cmocka_unit_test(closing_ends_a_check_of_the_file),
        cmocka_unit_test(who_looks_until_the_end_is_told_and_finds_the_store_while_he_does),
        cmocka_unit_test(reads_that_take_turns_are_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
