// SPDX-License-Identifier: MIT
//
// A store under the load that meets the WAL-reset bug: commits of two processes and PASSIVE checkpoints without a
// pause, so that the log is moved completely and starts over all the time. Transactions are large and small in turn: a
// checkpoint that took the length of the log before for that of the log now would skip many commits, and with a page
// cache that holds next to nothing a page that never reached the file is soon missed.
//
// That an affected library loses commits when the pin is missing is shown, at once, in src/store/checkpoint_test.c.
#include "support/store.h"

#include <pthread.h>
#include <stdatomic.h>

#include "store/open.h"
#include "support/peer.h"

enum { SOAK_MS = 60000, COUNTERS = 1000, LARGE = 200, LARGE_EVERY = 16 };

static const char SCHEMA[] = "CREATE TABLE c(id INTEGER PRIMARY KEY, n INTEGER, filler);"
                             "WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM i WHERE x<1000) "
                             "INSERT INTO c SELECT x, 0, zeroblob(3000) FROM i;";

typedef struct soak {
    weir_store *store;
    atomic_bool stop;
    atomic_llong changes, checkpoints;
    atomic_int failed;
} soak;

typedef struct step {
    int64_t first, last, changed;
} step;

static int count_up(weir_tx *tx, void *arg, weir_error *err)
{
    step *s = arg;
    const int code =
        weir_exec(tx, err, "UPDATE c SET n=n+1 WHERE id BETWEEN $1 AND $2", "ii", s->first, s->last);
    s->changed = weir_changes(tx);
    return code;
}

static void *soak_write(void *arg)
{
    soak *s = arg;
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED, .deadline_ms = AWAIT_MS};
    for (unsigned i = 0; !atomic_load(&s->stop); i++) {
        weir_error err = WEIR_ERROR_INIT;
        step now = {.first = 1 + i * 7 % COUNTERS};
        now.last = i % LARGE_EVERY ? now.first : now.first + LARGE;
        if (weir_write(s->store, count_up, &now, &options, &err) == WEIR_OK)
            atomic_fetch_add(&s->changes, now.changed);
        else
            atomic_fetch_add(&s->failed, 1);
    }
    return NULL;
}

static void *soak_checkpoint(void *arg)
{
    soak *s = arg;
    for (unsigned i = 0; !atomic_load(&s->stop); i++) {
        weir_error err = WEIR_ERROR_INIT;
        const weir_checkpoint_mode mode =
            i % 50 ? WEIR_CHECKPOINT_PASSIVE : (weir_checkpoint_mode)(1 + i / 50 % 3); // and the others, too
        if (weir_checkpoint(s->store, mode, 100, NULL, &err) == WEIR_OK)
            atomic_fetch_add(&s->checkpoints, 1);
        else
            atomic_fetch_add(&s->failed, 1);
    }
    return NULL;
}

static bool is_over(void *arg)
{
    return now_ms() >= *(const uint64_t *)arg;
}

static void no_commit_is_lost(void **state)
{
    (void)state;
    static soak s;
    scratch place;
    peer other;
    pthread_t threads[2];
    weir_error err = WEIR_ERROR_INIT;
    const weir__open_hooks hooks = {.pretend_fixed = -1};
    const weir_config config = {.durability = WEIR_DURABILITY_OFF, .checkpoint_frames = 1, .cache_kib = 40};
    scratch_init(&place);
    expect_ok(weir__store_open(place.database, &config, &hooks, &s.store, &err), &err);
    must_run_sql(s.store, SCHEMA);
    peer_start(&other, place.database);
    peer_do(&other, "PRAGMA synchronous=OFF");
    peer_do(&other, ".repeat UPDATE c SET n=n+1 WHERE id=7");
    assert_int_equal(pthread_create(&threads[0], NULL, soak_write, &s), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, soak_checkpoint, &s), 0);
    uint64_t end_ms = now_ms() + SOAK_MS;
    while (!await(is_over, &end_ms)) {
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    const long long others = peer_number(&other, "SELECT 1"); // how often it ran
    print_message("%lld changes, %lld of another process, %lld checkpoints\n", atomic_load(&s.changes),
                  others, atomic_load(&s.checkpoints));
    assert_int_equal(atomic_load(&s.failed), 0);
    peer_stop(&other);
    must_close(s.store);
    assert_int_equal(naive_int64(place.database, "SELECT sum(n) FROM c"), atomic_load(&s.changes) + others);
    must_be_intact(place.database);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_commit_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
