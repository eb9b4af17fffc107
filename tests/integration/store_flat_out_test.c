// SPDX-License-Identifier: MIT
//
// Checkpoints of every mode, flat out, beside commits of this process and of another one, on an SQLite that has the
// WAL-reset bug (or is treated as if it had). The engine asserts that no unpinned checkpoint moves frames without the
// write lock; here every acknowledged row is looked for afterwards. tests/soak shows what plain SQLite makes of this.
#include "support/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "store/open.h"
#include "support/peer.h"

enum { RUN_MS = 4000, WRITERS = 2 };

typedef struct load {
    weir_store *store;
    atomic_bool stop;
    atomic_int failed;
    atomic_llong acknowledged;
    atomic_llong checkpoints[4];
    atomic_llong complete[4];
    char why[256]; // of a failed write; the first thread that fails writes it
} load;

static int insert(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "INSERT INTO t(source, filler) VALUES(1, randomblob(300))", "");
}

static void on_done(void *context, const weir_error *result)
{
    load *l = context;
    if (result->code == WEIR_OK)
        atomic_fetch_add(&l->acknowledged, 1);
    else if (atomic_fetch_add(&l->failed, 1) == 0)
        snprintf(l->why, sizeof l->why, "%.250s", result->text);
}

static void *write_main(void *arg)
{
    load *l = arg;
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED, .deadline_ms = AWAIT_MS};
    for (unsigned i = 0; !atomic_load(&l->stop); i++) {
        weir_error result = WEIR_ERROR_INIT;
        if (i % 8 > 0 && weir_submit(l->store, insert, NULL, &options, on_done, l, &result) == WEIR_OK)
            continue;
        const int code =
            weir_write(l->store, insert, NULL, &options, &result); // and wait, so that groups stay small
        result.code = code;
        on_done(l, &result);
    }
    return NULL;
}

static void *checkpoint_main(void *arg)
{
    load *l = arg;
    for (unsigned i = 0; !atomic_load(&l->stop); i++) {
        weir_checkpoint_report report;
        weir_error err = WEIR_ERROR_INIT;
        const unsigned mode = i % 4;
        if (weir_checkpoint(l->store, (weir_checkpoint_mode)mode, 100, &report, &err) != WEIR_OK) {
            on_done(l, &err);
            continue;
        }
        atomic_fetch_add(&l->checkpoints[mode], 1);
        atomic_fetch_add(&l->complete[mode], report.blocker == WEIR_BLOCKER_NONE);
    }
    return NULL;
}

static void run(load *l)
{
    pthread_t threads[WRITERS + 1];
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_main, l), 0);
    assert_int_equal(pthread_create(&threads[WRITERS], NULL, checkpoint_main, l), 0);
    const uint64_t until_ms = now_ms() + RUN_MS;
    int64_t seen = 0;
    while (now_ms() < until_ms) { // reads come and go, and rows never go back
        const int64_t now = must_read_int64(l->store, "SELECT max(rowid) FROM t");
        assert_true(now >= seen);
        seen = now;
    }
    atomic_store(&l->stop, true);
    for (int i = 0; i < WRITERS + 1; i++)
        pthread_join(threads[i], NULL);
}

static void every_acknowledged_row_is_there(void **state)
{
    (void)state;
    static load l;
    scratch place;
    peer other;
    weir_error err = WEIR_ERROR_INIT;
    const weir__open_hooks hooks = {.pretend_fixed = -1};
    const weir_config config = {.checkpoint_frames = 20, .wal_limit_bytes = 1 << 20};
    memset(&l, 0, sizeof l);
    scratch_init(&place);
    expect_ok(weir__store_open(place.database, &config, &hooks, &l.store, &err), &err);
    must_run_sql(l.store, "CREATE TABLE t(id INTEGER PRIMARY KEY, source INTEGER, filler); "
                          "CREATE INDEX i ON t(filler);");
    peer_start(&other, place.database);
    peer_do(&other, "PRAGMA synchronous=NORMAL");
    peer_do(&other, ".repeat INSERT INTO t(source, filler) VALUES(2, randomblob(300))");
    run(&l);
    const long long others = peer_number(&other, "SELECT 1"); // how often it ran
    expect_ok(weir_flush(l.store, AWAIT_MS, &err), &err);
    print_message("%lld rows of ours, %lld of the other process; checkpoints %lld %lld %lld %lld\n",
                  atomic_load(&l.acknowledged), others, atomic_load(&l.checkpoints[0]),
                  atomic_load(&l.checkpoints[1]), atomic_load(&l.checkpoints[2]),
                  atomic_load(&l.checkpoints[3]));
    if (atomic_load(&l.failed))
        fail_msg("%d writes or checkpoints failed: %s", atomic_load(&l.failed), l.why);
    assert_true(others > 10);
    for (int mode = 0; mode < 4; mode++)
        assert_true(atomic_load(&l.complete[mode]) > 0); // else nothing was shown
    assert_int_equal(must_read_int64(l.store, "SELECT count(*) FROM t WHERE source=1"),
                     atomic_load(&l.acknowledged));
    assert_int_equal(must_read_int64(l.store, "SELECT count(*) FROM t WHERE source=2"), others);
    peer_stop(&other);
    must_close(l.store);
    must_be_intact(place.database);
    assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM t"),
                     atomic_load(&l.acknowledged) + others);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_acknowledged_row_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
