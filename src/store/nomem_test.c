// SPDX-License-Identifier: MIT
//
// Lack of memory inside SQLite: its k-th allocation fails, for each k until the run succeeds. An error is fine,
// a crash, a hang or a wrong answer is not. A program of its own, because SQLite's allocator is set for the whole
// process.
#include "support/ledger.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Under ThreadSanitizer, which is slow, every fifth.
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
enum { STEP = 5 };
#else
enum { STEP = 1 };
#endif

static sqlite3_mem_methods standard;
static _Atomic int countdown = -1; // allocations until the one that fails; negative: none
static _Atomic int failures;

static bool fails_now(void)
{
    if (atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) != 0)
        return false;
    atomic_fetch_add(&failures, 1);
    return true;
}

static void *failing_malloc(int size)
{
    return fails_now() ? NULL : standard.xMalloc(size);
}

static void *failing_realloc(void *old, int size)
{
    return fails_now() ? NULL : standard.xRealloc(old, size);
}

static int install_allocator(void **state)
{
    (void)state;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &standard) != SQLITE_OK)
        return -1;
    sqlite3_mem_methods failing = standard;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) == SQLITE_OK ? 0 : -1;
}

static void arm(int k)
{
    atomic_store(&failures, 0);
    atomic_store(&countdown, k);
}

static const weir_config QUICK = {.durability = WEIR_DURABILITY_OFF,
                                  .readers = 1,
                                  .retry_base_ms = 1,
                                  .checkpoint_frames = 1u << 20,
                                  .checkpoint_idle_ms = 1u << 20};

static int count_rows(weir_tx *tx, void *arg, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int code = weir_prepare(tx, "SELECT count(*) FROM ledger", &stmt, err);
    if (code == WEIR_OK)
        code = weir_step(stmt, &row, err);
    if (code == WEIR_OK)
        *(int64_t *)arg = weir_column_int64(stmt, 0);
    return code;
}

static void workload(weir_store *store, ledger *book)
{
    const weir_write_options brief = {.deadline_ms = 40};
    const weir_ack committed = WEIR_ACK_COMMITTED;
    int64_t rows = 0;
    gate g;
    ledger_write(store, ledger_add(book, LEDGER_REFUSES, committed), &brief);
    ledger_write(store, ledger_add(book, LEDGER_FINE, committed), &brief);
    const bool stopped = gate_try_close(&g, store);
    for (int i = 0; i < 6; i++)
        ledger_submit(
            store, ledger_add(book, i == 3 ? LEDGER_CONSTRAINT : LEDGER_FINE, (weir_ack)(1 + i % 2)), &brief);
    if (stopped) {
        gate_open(&g);
        gate_fini(&g);
    }
    ledger_await(book);
    weir_read(store, count_rows, &rows, NULL, NULL);
    weir_checkpoint(store, WEIR_CHECKPOINT_TRUNCATE, 40, NULL, NULL);
    ledger_write(store, ledger_add(book, LEDGER_FINE, committed), &brief);
}

static void any_allocation_of_sqlite_may_fail_while_a_store_works(void **state)
{
    (void)state;
    bool hit = true;
    int k = 0;
    for (; hit; k += STEP) {
        scratch place;
        ledger book;
        weir_error err = WEIR_ERROR_INIT;
        scratch_init(&place);
        ledger_init(&book, 64);
        naive_sql(place.database, "PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL;" LEDGER_SCHEMA);
        weir_store *const store = must_open(place.database, &QUICK);
        arm(k);
        workload(store, &book);
        hit = failures > 0;
        arm(-1);
        const int closed = weir_close(store, 0, &err);
        const ledger_verdict verdict = ledger_judge(&book, place.database, closed != WEIR_OK, true);
        if (!hit)
            assert_int_equal(verdict.rows, 7);
        ledger_fini(&book);
        scratch_fini(&place);
    }
    assert_true(k > 50);
}

static void any_allocation_of_sqlite_may_fail_while_a_store_opens_and_closes(void **state)
{
    (void)state;
    bool hit = true;
    int k = 0;
    for (; hit; k += STEP) {
        scratch place;
        weir_store *store = NULL;
        weir_error err = WEIR_ERROR_INIT;
        scratch_init(&place);
        arm(k);
        const int code = weir_open(place.database, &QUICK, &store, &err);
        if (code == WEIR_OK)
            weir_close(store, 0, &err);
        else
            assert_null(store);
        hit = failures > 0;
        arm(-1);
        if (code != WEIR_OK && code != WEIR_NOMEM && code != WEIR_UNSUPPORTED)
            fail_msg("allocation %d: %s: %s", k, weir_code_name(code), err.text);
        if (!hit)
            expect_ok(code, &err);
        must_be_intact(place.database);
        scratch_fini(&place);
    }
    assert_true(k > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_of_sqlite_may_fail_while_a_store_works),
        cmocka_unit_test(any_allocation_of_sqlite_may_fail_while_a_store_opens_and_closes),
    };
    return cmocka_run_group_tests_name("nomem", tests, install_allocator, NULL);
}
