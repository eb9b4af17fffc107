// SPDX-License-Identifier: MIT
//
// Another process keeps the write lock for three whole seconds: clients that write wait and succeed, clients that read
// notice nothing. The short version, with every other outcome, is tests/integration/store_others.
#include "support/store.h"

#include <pthread.h>
#include <stdatomic.h>

#include "support/peer.h"

enum { HELD_MS = 3000, WRITERS = 8, READERS = 4, SLOW_READ_MS = 500 };

typedef struct load {
    weir_store *store;
    atomic_bool stop;
    atomic_int written, failed, reads;
    atomic_uint_fast64_t slowest_ms;
} load;

static void *write_main(void *arg)
{
    load *l = arg;
    weir_error err = WEIR_ERROR_INIT;
    const weir_write_options options = {.deadline_ms = AWAIT_MS};
    if (run_sql(l->store, "INSERT INTO t VALUES(1)", &options, &err) == WEIR_OK)
        atomic_fetch_add(&l->written, 1);
    else
        atomic_fetch_add(&l->failed, 1);
    return NULL;
}

static int read_rows(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "SELECT count(*) FROM t", "");
}

static void *read_main(void *arg)
{
    load *l = arg;
    while (!atomic_load(&l->stop)) {
        const uint64_t start_ms = now_ms();
        if (weir_read(l->store, read_rows, NULL, NULL, NULL) != WEIR_OK)
            atomic_fetch_add(&l->failed, 1);
        const uint64_t took_ms = now_ms() - start_ms;
        atomic_fetch_add(&l->reads, 1);
        if (took_ms > atomic_load(&l->slowest_ms))
            atomic_store(&l->slowest_ms, took_ms);
    }
    return NULL;
}

static bool is_over(void *arg)
{
    return now_ms() >= *(const uint64_t *)arg;
}

static void three_seconds(void **state)
{
    (void)state;
    static load l;
    scratch place;
    peer other;
    pthread_t writers[WRITERS];
    pthread_t readers[READERS];
    scratch_init(&place);
    l.store = must_open(place.database, NULL);
    must_run_sql(l.store, "CREATE TABLE t(a)");
    peer_start(&other, place.database);
    peer_do(&other, "BEGIN IMMEDIATE");
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_main, &l), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_main, &l), 0);
    uint64_t end_ms = now_ms() + HELD_MS;
    await(is_over, &end_ms);
    assert_int_equal(atomic_load(&l.written), 0);
    peer_do(&other, "COMMIT");
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    atomic_store(&l.stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    print_message("%d reads, the slowest %llu ms\n", atomic_load(&l.reads),
                  (unsigned long long)atomic_load(&l.slowest_ms));
    assert_int_equal(atomic_load(&l.failed), 0);
    assert_int_equal(atomic_load(&l.written), WRITERS);
    assert_int_equal(must_read_int64(l.store, "SELECT count(*) FROM t"), WRITERS);
    assert_true(atomic_load(&l.reads) > READERS);
    assert_in_range(atomic_load(&l.slowest_ms), 0, SLOW_READ_MS);
    peer_stop(&other);
    must_close(l.store);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
