// SPDX-License-Identifier: MIT
//
// Durability policies as a caller sees them: which acknowledgement each gives, when `interval` gives it, and what
// happens when the log cannot be synced. Which system calls are made: tests/integration/store_syncs.
#include "support/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock_fake.h"
#include "store/open.h"

enum { INTERVAL_MS = 100 };

static const char *const NAMES[] = {"full", "interval", "normal", "off"};

static weir_stats stats_of(weir_store *store)
{
    weir_stats stats;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &stats, &err), &err);
    return stats;
}

static void a_policy_refuses_what_it_cannot_give(void **state)
{
    (void)state;
    for (int policy = WEIR_DURABILITY_FULL; policy <= WEIR_DURABILITY_OFF; policy++) {
        scratch place;
        weir_error err = WEIR_ERROR_INIT;
        scratch_init(&place);
        const weir_config config = {.durability = (weir_durability)policy, .sync_interval_ms = 1};
        weir_store *const store = must_open(place.database, &config);
        const int durable = policy <= WEIR_DURABILITY_INTERVAL ? WEIR_OK : WEIR_UNSUPPORTED;
        assert_string_equal(stats_of(store).durability, NAMES[policy]);
        const weir_write_options options[] = {
            {.ack = WEIR_ACK_DURABLE}, {.ack = WEIR_ACK_COMMITTED}, {.ack = WEIR_ACK_APPLIED}};
        const char *const sql = "CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1);";
        expect_code(run_sql(store, sql, &options[0], &err), durable, &err);
        if (durable != WEIR_OK)
            expect_contains(err.text, "COMMITTED"); // what to ask for instead
        expect_ok(run_sql(store, sql, &options[1], &err), &err);
        expect_ok(run_sql(store, sql, &options[2], &err), &err);
        expect_ok(weir_flush(store, 0, &err), &err); // durable only where the policy can give it
        const weir_write_options nonsense = {.ack = (weir_ack)3};
        expect_code(run_sql(store, sql, &nonsense, &err), WEIR_INVALID, &err);
        assert_int_equal(must_read_int64(store, "SELECT count(*) FROM t"), durable == WEIR_OK ? 3 : 2);
        must_close(store);
        scratch_fini(&place);
    }
}

// ------------------------------------------------------------------------------------ interval, on a fake clock

typedef struct fixture {
    scratch place;
    weir__clock_fake fake;
    weir_store *store;
    atomic_int acked;
    atomic_int code;
} fixture;

static void fixture_init(fixture *fx)
{
    weir_error err = WEIR_ERROR_INIT;
    memset(fx, 0, sizeof *fx);
    scratch_init(&fx->place);
    weir__clock_fake_init(&fx->fake);
    const weir__open_hooks hooks = {.clock = &fx->fake.clock};
    const weir_config config = {.durability = WEIR_DURABILITY_INTERVAL,
                                .sync_interval_ms = INTERVAL_MS,
                                .checkpoint_idle_ms = 3600 * 1000};
    expect_ok(weir__store_open(fx->place.database, &config, &hooks, &fx->store, &err), &err);
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED};
    expect_ok(run_sql(fx->store, "CREATE TABLE t(a)", &options, &err), &err);
    expect_ok(weir_flush(fx->store, 0, &err), &err);
}

static void fixture_fini(fixture *fx)
{
    weir__clock_fake_fini(&fx->fake);
    scratch_fini(&fx->place);
}

static int insert(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "INSERT INTO t VALUES(1)", "");
}

static void on_done(void *context, const weir_error *result)
{
    fixture *fx = context;
    atomic_store(&fx->code, result->code);
    atomic_fetch_add(&fx->acked, 1);
}

static void submit(fixture *fx, weir_ack ack)
{
    weir_error err = WEIR_ERROR_INIT;
    const weir_write_options options = {.ack = ack};
    expect_ok(weir_submit(fx->store, insert, NULL, &options, on_done, fx, &err), &err);
}

static bool has_acked(void *arg)
{
    return atomic_load(&((fixture *)arg)->acked) > 0;
}

// The same while time goes on: for what may go to sleep only after the test has looked.
static bool has_acked_in_time(void *arg)
{
    weir__clock_fake_advance(&((fixture *)arg)->fake, WEIR__NS_PER_MS);
    return has_acked(arg);
}

static bool has_committed(void *arg)
{
    return stats_of(((fixture *)arg)->store).groups >= 2;
}

static void a_durable_write_waits_for_the_sync(void **state)
{
    (void)state;
    static fixture fx;
    fixture_init(&fx);
    const uint64_t syncs = stats_of(fx.store).sync_ns.count;
    submit(&fx, WEIR_ACK_DURABLE);
    assert_true(await(has_committed, &fx));
    assert_int_equal(must_read_int64(fx.store, "SELECT count(*) FROM t"), 1); // seen, but not durable
    assert_true(weir__clock_fake_await_waiters(&fx.fake, 3)); // the syncer waits for its interval
    weir__clock_fake_advance(&fx.fake, (INTERVAL_MS - 1) * WEIR__NS_PER_MS);
    assert_int_equal(atomic_load(&fx.acked), 0);
    assert_int_equal(stats_of(fx.store).sync_ns.count, syncs);
    weir__clock_fake_advance(&fx.fake, WEIR__NS_PER_MS);
    assert_true(await(has_acked, &fx));
    assert_int_equal(atomic_load(&fx.code), WEIR_OK);
    assert_int_equal(stats_of(fx.store).sync_ns.count, syncs + 1);
    assert_int_equal(stats_of(fx.store).acks_durable, 1);
    must_close(fx.store);
    fixture_fini(&fx);
}

static void a_committed_write_does_not(void **state)
{
    (void)state;
    static fixture fx;
    fixture_init(&fx);
    submit(&fx, WEIR_ACK_COMMITTED);
    assert_true(await(has_acked, &fx)); // and the clock stands still
    must_close(fx.store);
    fixture_fini(&fx);
}

static void a_flush_does_not_wait_for_the_interval(void **state)
{
    (void)state;
    static fixture fx;
    weir_error err = WEIR_ERROR_INIT;
    fixture_init(&fx);
    const uint64_t syncs = stats_of(fx.store).sync_ns.count;
    submit(&fx, WEIR_ACK_DURABLE);
    expect_ok(weir_flush(fx.store, 0, &err), &err);
    assert_true(await(has_acked, &fx));
    assert_int_equal(stats_of(fx.store).sync_ns.count, syncs + 1);
    must_close(fx.store);
    fixture_fini(&fx);
}

static void closing_syncs_and_acknowledges(void **state)
{
    (void)state;
    static fixture fx;
    fixture_init(&fx);
    submit(&fx, WEIR_ACK_DURABLE);
    must_close(fx.store);
    assert_int_equal(atomic_load(&fx.acked), 1);
    assert_int_equal(atomic_load(&fx.code), WEIR_OK);
    assert_int_equal(naive_int64(fx.place.database, "SELECT count(*) FROM t"), 1);
    fixture_fini(&fx);
}

static uint64_t database_syncs(const weir_store *store)
{
    weir__vfs_stats stats;
    weir__vfs_stats_get(store->vfs, &stats);
    return stats.roles[WEIR__VFS_MAIN].sync_count;
}

// Somebody who never syncs moves the log's frames and starts it over while the syncer is at work: what was to be
// synced is in the database file now.
static void a_log_that_starts_over_during_a_sync_is_noticed(void **state)
{
    (void)state;
    static fixture fx;
    weir_error err = WEIR_ERROR_INIT;
    fixture_init(&fx);
    const uint64_t before = database_syncs(fx.store);
    fx.store->config.sync_delay_us = 5000; // the syncer sleeps on the fake clock before it syncs the log
    submit(&fx, WEIR_ACK_DURABLE);
    assert_true(await(has_committed, &fx));
    assert_true(weir__clock_fake_await_waiters(&fx.fake, 3)); // the syncer waits for its interval
    weir__clock_fake_advance(&fx.fake, INTERVAL_MS * WEIR__NS_PER_MS);
    assert_true(weir__clock_fake_await_waiters(&fx.fake, 3)); // and is in the middle of its work
    naive_sql(fx.place.database,
              "PRAGMA synchronous=OFF; PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES(2)");
    assert_int_equal(atomic_load(&fx.acked), 0);
    assert_true(await(has_acked_in_time, &fx));
    assert_int_equal(atomic_load(&fx.code), WEIR_OK);
    assert_int_equal(database_syncs(fx.store), before + 1);
    fx.store->config.sync_delay_us = 0;
    expect_ok(weir_close(fx.store, 0, &err), &err);
    fixture_fini(&fx);
}

// ----------------------------------------------------------------------------------- a log that cannot be synced

static void remove_log(const scratch *place)
{
    assert_int_equal(unlink(place->wal), 0);
}

static void replace_log(const scratch *place)
{
    char other[128];
    snprintf(other, sizeof other, "%s.new", place->wal);
    naive_sql(other, "CREATE TABLE x(a)"); // any file
    assert_int_equal(rename(other, place->wal), 0);
}

static bool is_fenced(weir_store *store)
{
    weir_finding findings[16];
    const size_t size = weir_health(store, findings, 16);
    return size > 0 && strcmp(findings[0].name, "fenced") == 0;
}

static void expect_fenced_after(void (*damage)(const scratch *))
{
    static fixture fx;
    weir_error err = WEIR_ERROR_INIT;
    fixture_init(&fx);
    damage(&fx.place);
    submit(&fx, WEIR_ACK_DURABLE);
    expect_code(weir_flush(fx.store, 0, &err), WEIR_FENCED, &err);
    assert_true(await(has_acked, &fx));
    assert_int_equal(atomic_load(&fx.code), WEIR_UNKNOWN); // neither "durable" nor "not there"
    assert_true(is_fenced(fx.store));
    assert_string_equal(stats_of(fx.store).state, "fenced");
    const weir_write_options options = {.ack = WEIR_ACK_COMMITTED};
    expect_code(run_sql(fx.store, "INSERT INTO t VALUES(2)", &options, &err), WEIR_FENCED, &err);
    expect_contains(err.text, "open it again");
    expect_code(weir_checkpoint(fx.store, WEIR_CHECKPOINT_PASSIVE, 0, NULL, &err), WEIR_FENCED, &err);
    weir_close(fx.store, 0, &err); // and closing does not hang
    fixture_fini(&fx);
}

static void a_log_that_has_gone_is_not_durable(void **state)
{
    (void)state;
    expect_fenced_after(remove_log);
}

static void a_log_that_was_replaced_is_not_durable(void **state)
{
    (void)state;
    expect_fenced_after(replace_log);
}

// Nothing has been synced yet: what has the name is not what SQLite has open.
static void a_log_that_was_replaced_before_its_first_sync_is_not_durable(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    naive_sql(place.database, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)");
    const weir_config config = {
        .durability = WEIR_DURABILITY_INTERVAL, .sync_interval_ms = 1, .checkpoint_idle_ms = 3600 * 1000};
    weir_store *const store = must_open(place.database, &config);
    weir_error err = WEIR_ERROR_INIT;
    replace_log(&place);
    expect_code(run_sql(store, "INSERT INTO t VALUES(1)", NULL, &err), WEIR_UNKNOWN, &err);
    assert_true(is_fenced(store));
    weir_close(store, 0, &err);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_refuses_what_it_cannot_give),
        cmocka_unit_test(a_durable_write_waits_for_the_sync),
        cmocka_unit_test(a_committed_write_does_not),
        cmocka_unit_test(a_flush_does_not_wait_for_the_interval),
        cmocka_unit_test(a_log_that_starts_over_during_a_sync_is_noticed),
        cmocka_unit_test(closing_syncs_and_acknowledges),
        cmocka_unit_test(a_log_that_has_gone_is_not_durable),
        cmocka_unit_test(a_log_that_was_replaced_is_not_durable),
        cmocka_unit_test(a_log_that_was_replaced_before_its_first_sync_is_not_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
