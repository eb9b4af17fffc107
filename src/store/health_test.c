// SPDX-License-Identifier: MIT
//
// Findings: each is there when it should be and not otherwise, with its severity, its numbers and what to do.
// "fenced" is in sync_test.c, "degraded", "hot-journal" and "memory-file-system" in open_test.c and
// tests/integration/store_others.
#include "support/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/open.h"

enum { FINDINGS = 16 };

// Nothing moves of its own accord.
static const weir_config STILL = {.checkpoint_idle_ms = 3600 * 1000, .checkpoint_frames = 1000000};

// The finding of that name; false when there is none.
static bool find(weir_store *store, const char *name, weir_finding *out)
{
    weir_finding findings[FINDINGS];
    const size_t size = weir_health(store, findings, FINDINGS);
    assert_in_range(size, 0, FINDINGS);
    for (size_t i = 0; i < size; i++) {
        assert_true(findings[i].seen[0] && findings[i].meaning[0] && findings[i].remedy[0]);
        if (i > 0)
            assert_true(findings[i].severity <= findings[i - 1].severity); // worst first
    }
    for (size_t i = 0; i < size; i++)
        if (strcmp(findings[i].name, name) == 0) {
            *out = findings[i];
            return true;
        }
    return false;
}

static weir_finding must_find(weir_store *store, const char *name, weir_severity severity)
{
    weir_finding finding = {.name = ""};
    if (!find(store, name, &finding))
        fail_msg("there is no finding %s", name);
    assert_int_equal(finding.severity, severity);
    return finding;
}

static void must_not_find(weir_store *store, const char *name)
{
    weir_finding finding;
    if (find(store, name, &finding))
        fail_msg("the finding %s should not be there: %s", name, finding.seen);
}

static void a_new_store_is_healthy(void **state)
{
    (void)state;
    scratch place;
    weir_version_info version;
    weir_finding findings[FINDINGS];
    scratch_init(&place);
    weir_store *const store = must_open(place.database, NULL);
    must_run_sql(store, "CREATE TABLE t(a)");
    weir_version(&version);
    for (size_t i = 0, size = weir_health(store, findings, FINDINGS); i < size; i++)
        if (strcmp(findings[i].name, "memory-file-system") != 0) // of the machine that runs the tests
            assert_string_equal(version.has_wal_reset_fix ? "" : "wal-reset-bug", findings[i].name);
    must_close(store);
    scratch_fini(&place);
}

static void few_findings_fit_into_a_small_array(void **state)
{
    (void)state;
    scratch place;
    weir_finding only;
    scratch_init(&place);
    weir_config config = STILL;
    config.durability = WEIR_DURABILITY_OFF;
    config.wal_warning_bytes = 1;
    config.wal_error_bytes = 2;
    weir_store *const store = must_open(place.database, &config);
    must_run_sql(store, "CREATE TABLE t(a)");
    assert_true(weir_health(store, NULL, 0) >= 2);
    assert_true(weir_health(store, &only, 1) >= 2); // how many there are, not how many fitted
    assert_string_equal(only.name, "wal-large");    // the worst
    must_close(store);
    scratch_fini(&place);
}

static void a_large_log(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_config config = STILL;
    config.wal_warning_bytes = 200 * 1000;
    config.wal_error_bytes = 400 * 1000;
    weir_store *const store = must_open(place.database, &config);
    must_run_sql(store, "CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(100000));");
    must_not_find(store, "wal-large");
    must_run_sql(store, "INSERT INTO t VALUES(zeroblob(150000))");
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%lld bytes", (long long)file_bytes(place.wal));
    expect_contains(must_find(store, "wal-large", WEIR_SEVERITY_WARNING).seen, bytes);
    must_run_sql(store, "INSERT INTO t VALUES(zeroblob(200000))");
    must_find(store, "wal-large", WEIR_SEVERITY_ERROR);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_checkpoint(store, WEIR_CHECKPOINT_TRUNCATE, 0, NULL, &err), &err);
    must_not_find(store, "wal-large");
    must_close(store);
    scratch_fini(&place);
}

static void an_old_reader(void **state)
{
    (void)state;
    scratch place;
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    const weir_read_options options = {.label = "export of everything"};
    scratch_init(&place);
    weir_store *const store = must_open(place.database, &STILL);
    must_run_sql(store, "CREATE TABLE t(a)");
    expect_ok(weir_snapshot_open(store, &options, &snapshot, &err), &err);
    expect_ok(weir_exec(weir_snapshot_tx(snapshot), &err, "SELECT 'what it does' FROM t", ""), &err);
    must_run_sql(store, "INSERT INTO t VALUES(zeroblob(400000))");
    must_not_find(store, "reader-old"); // it pins 100 pages only
    must_run_sql(store, "INSERT INTO t VALUES(zeroblob(4000000))");
    const weir_finding finding = must_find(store, "reader-old", WEIR_SEVERITY_WARNING);
    expect_contains(finding.seen, "export of everything");
    expect_contains(finding.seen, "what it does");
    weir_snapshot_close(snapshot);
    must_not_find(store, "reader-old");
    must_close(store);
    scratch_fini(&place);
}

static void a_policy_that_is_not_durable(void **state)
{
    (void)state;
    for (int policy = WEIR_DURABILITY_FULL; policy <= WEIR_DURABILITY_OFF; policy++) {
        scratch place;
        scratch_init(&place);
        weir_store *const store =
            must_open(place.database, &(weir_config){.durability = (weir_durability)policy});
        if (policy <= WEIR_DURABILITY_INTERVAL)
            must_not_find(store, "not-durable");
        else
            expect_contains(
                must_find(store, "not-durable",
                          policy == WEIR_DURABILITY_OFF ? WEIR_SEVERITY_WARNING : WEIR_SEVERITY_INFO)
                    .seen,
                policy == WEIR_DURABILITY_OFF ? "off" : "normal");
        must_close(store);
        scratch_fini(&place);
    }
}

static void the_wal_reset_bug_is_mentioned_where_it_is(void **state)
{
    (void)state;
    scratch place;
    weir_version_info version;
    scratch_init(&place);
    weir_store *const store = must_open(place.database, NULL);
    weir_version(&version);
    if (version.has_wal_reset_fix)
        must_not_find(store, "wal-reset-bug");
    else
        expect_contains(must_find(store, "wal-reset-bug", WEIR_SEVERITY_INFO).seen, version.sqlite);
    must_close(store);
    scratch_fini(&place);
}

// ------------------------------------------------------------------------------------- somebody holds the lock

static int insert(weir_tx *tx, void *arg, weir_error *err)
{
    (void)arg;
    return weir_exec(tx, err, "INSERT INTO t VALUES(1)", "");
}

static bool commits_fail(void *arg)
{
    weir_finding finding;
    return find(arg, "commit-failing", &finding);
}

static void a_held_write_lock_and_a_long_queue(void **state)
{
    (void)state;
    scratch place;
    sqlite3 *db = NULL;
    weir_error err = WEIR_ERROR_INIT;
    scratch_init(&place);
    const weir_config config = {.queue_jobs_max = 20, .write_deadline_ms = AWAIT_MS};
    weir_store *const store = must_open(place.database, &config);
    must_run_sql(store, "CREATE TABLE t(a)");
    must_not_find(store, "queue-long");
    must_not_find(store, "commit-failing");
    assert_int_equal(sqlite3_open(place.database, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, AWAIT_MS);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 18; i++)
        expect_ok(weir_submit(store, insert, NULL, NULL, NULL, NULL, &err), &err);
    assert_true(await(commits_fail, store));
    must_find(store, "commit-failing", WEIR_SEVERITY_WARNING);
    expect_contains(must_find(store, "queue-long", WEIR_SEVERITY_WARNING).seen, "of 20 jobs");
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    expect_ok(weir_flush(store, AWAIT_MS, &err), &err);
    must_not_find(store, "commit-failing");
    must_not_find(store, "queue-long");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(must_read_int64(store, "SELECT count(*) FROM t"), 18);
    must_close(store);
    scratch_fini(&place);
}

// ------------------------------------------------------------------------- the log is taken from under it

static bool is_fenced(void *arg)
{
    weir_finding finding;
    return find(arg, "fenced", &finding);
}

static weir_store *open_with_rows(const scratch *place, uint32_t idle_ms)
{
    const weir_config config = {.checkpoint_idle_ms = idle_ms, .checkpoint_frames = 1000000};
    weir_store *const store = must_open(place->database, &config);
    must_run_sql(store, "CREATE TABLE t(a)");
    for (int i = 0; i < 10; i++)
        must_run_sql(store, "INSERT INTO t VALUES(1)");
    return store;
}

static void a_log_that_is_removed_is_saved_and_fences(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = open_with_rows(&place, 3600 * 1000);
    assert_int_equal(unlink(place.wal), 0);
    must_run_sql(store, "INSERT INTO t VALUES(2)"); // nobody has looked yet
    weir_error err = WEIR_ERROR_INIT;
    expect_code(weir_checkpoint(store, WEIR_CHECKPOINT_PASSIVE, 0, NULL, &err), WEIR_FENCED, &err);
    expect_contains(err.text, "-wal was removed");
    expect_code(run_sql(store, "INSERT INTO t VALUES(3)", NULL, &err), WEIR_FENCED, &err);
    expect_contains(must_find(store, "fenced", WEIR_SEVERITY_ERROR).seen, "-wal was removed");
    assert_int_equal(must_read_int64(store, "SELECT count(*) FROM t"), 11);
    must_close(store);
    assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM t"), 11);
    must_be_intact(place.database);
    scratch_fini(&place);
}

// While a read needs older pages, the log cannot be moved completely; it is once the read has ended.
static void a_removed_log_is_saved_although_a_read_was_in_the_way(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = open_with_rows(&place, 3600 * 1000);
    weir_snapshot *snapshot = NULL;
    weir_error err = WEIR_ERROR_INIT;
    const weir_read_options patient = {.deadline_ms = WEIR_NO_DEADLINE};
    expect_ok(weir_snapshot_open(store, &patient, &snapshot, &err), &err);
    must_run_sql(store, "INSERT INTO t VALUES(2)");
    assert_int_equal(unlink(place.wal), 0);
    expect_code(weir_checkpoint(store, WEIR_CHECKPOINT_PASSIVE, 0, NULL, &err), WEIR_FENCED, &err);
    weir_snapshot_close(snapshot);
    must_close(store);
    assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM t"), 11);
    must_be_intact(place.database);
    scratch_fini(&place);
}

// Somebody else's log may describe pages that ours does not: nothing is moved.
static void a_log_that_is_replaced_fences_and_nothing_is_moved(void **state)
{
    (void)state;
    scratch place;
    char away[128];
    scratch_init(&place);
    weir_store *const store = open_with_rows(&place, 3600 * 1000);
    weir_stats before;
    weir_stats after;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_stats_read(store, &before, &err), &err);
    snprintf(away, sizeof away, "%s.away", place.wal);
    assert_int_equal(rename(place.wal, away), 0);
    FILE *const other = fopen(place.wal, "wx");
    assert_non_null(other);
    fclose(other);
    expect_code(weir_checkpoint(store, WEIR_CHECKPOINT_TRUNCATE, 0, NULL, &err), WEIR_FENCED, &err);
    expect_contains(err.text, "-wal was replaced");
    expect_ok(weir_stats_read(store, &after, &err), &err);
    assert_true(before.wal_frames > before.wal_moved);
    assert_int_equal(after.wal_moved, before.wal_moved);
    must_close(store);
    assert_true(file_bytes(away) > 0);
    scratch_fini(&place);
}

static void a_lost_log_is_noticed_by_itself(void **state)
{
    (void)state;
    scratch place;
    scratch_init(&place);
    weir_store *const store = open_with_rows(&place, 10);
    assert_int_equal(unlink(place.wal), 0);
    assert_true(await(is_fenced, store));
    must_close(store);
    assert_int_equal(naive_int64(place.database, "SELECT count(*) FROM t"), 10);
    scratch_fini(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_is_healthy),
        cmocka_unit_test(few_findings_fit_into_a_small_array),
        cmocka_unit_test(a_large_log),
        cmocka_unit_test(an_old_reader),
        cmocka_unit_test(a_policy_that_is_not_durable),
        cmocka_unit_test(the_wal_reset_bug_is_mentioned_where_it_is),
        cmocka_unit_test(a_held_write_lock_and_a_long_queue),
        cmocka_unit_test(a_log_that_is_removed_is_saved_and_fences),
        cmocka_unit_test(a_removed_log_is_saved_although_a_read_was_in_the_way),
        cmocka_unit_test(a_log_that_is_replaced_fences_and_nothing_is_moved),
        cmocka_unit_test(a_lost_log_is_noticed_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
