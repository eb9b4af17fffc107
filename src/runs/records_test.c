// SPDX-License-Identifier: MIT
//
// Rows: what is saved and refused, what odd rows read as, pages of lists, figures.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runs/runs.h"
#include "support/storage.h"

static test_storage storage;
static weir_error err;

static int set_up(void **state)
{
    (void)state;
    test_storage_init(&storage);
    test_storage_open(&storage, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_storage_fini(&storage);
    return 0;
}

static void replace(char **field, const char *text)
{
    expect_ok(weir__replace_string(field, text, &err), &err);
}

static weir_execution make_execution(const char *id)
{
    weir_execution e;
    expect_ok(weir_execution_init(&e, &err), &err);
    replace(&e.id, id);
    return e;
}

static const char *stored_status(const char *id)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT status FROM executions WHERE id = '%s'", id);
    return test_storage_value(&storage, sql);
}

// -------------------------------------------------------------------------------------------------- saving

static void test_columns_as_written(void **state)
{
    (void)state;
    weir_execution e = make_execution("e1");
    replace(&e.name, "n");
    replace(&e.command, "make all");
    replace(&e.environment_json, "{\"B\":\"\xC3\xA9\",\"A\":[1,2]}");
    replace(&e.tags_json, "[\"x\",\"y\"]");
    replace(&e.metadata_json, "");
    assert_true(weir_local_parse("2025-08-01T17:30:00", 19, &e.created_at));
    expect_ok(weir_runs_save_execution(storage.runs, &e, &err), &err);
    assert_string_equal(
        test_storage_value(&storage, "SELECT quote(created_at) || quote(started_at) || "
                                     "quote(environment) || quote(tags) || quote(metadata) || "
                                     "quote(user_name) || quote(exit_code) || "
                                     "quote(current_step_index) FROM executions"),
        "'2025-08-01T17:30:00.000000'NULL'{\"B\": \"\\u00e9\", \"A\": [1, 2]}''[\"x\", \"y\"]''{}'NULL"
        "NULL-1");
    weir_execution_free(&e);
}

// Invalid bytes do not reach the database, whose other readers could not decode the row.
static void test_only_utf8_is_written(void **state)
{
    (void)state;
    weir_execution e = make_execution("e1");
    replace(&e.name, "a\xFF"
                     "b");
    replace(&e.error_message, "\xC3");
    expect_ok(weir_runs_save_execution(storage.runs, &e, &err), &err);
    assert_string_equal(
        test_storage_value(&storage, "SELECT hex(name) || hex(error_message) FROM executions"),
        "61EFBFBD62EFBFBD");
    weir_execution_free(&e);
}

static void test_round_trip(void **state)
{
    weir_run_detail detail;
    weir_run_step s;
    weir_artifact a;
    (void)state;
    weir_execution e = make_execution("e1");
    replace(&e.user, "ann");
    replace(&e.error_message, "oh");
    expect_ok(weir_execution_start(&e, &err), &err);
    expect_ok(weir_execution_complete(&e, -15, &err), &err);
    expect_ok(weir_run_step_init(&s, "e1", &err), &err);
    s.has_estimated_duration = true;
    s.estimated_duration = 0.1;
    s.stop_on_error = true;
    expect_ok(weir_artifact_init(&a, "e1", &err), &err);
    replace(&a.step_id, s.id);
    a.has_retention_days = true;
    a.retention_days = 7;
    a.is_public = false;
    const weir_save_item items[] = {
        {.kind = WEIR_SAVE_ARTIFACT, .artifact = &a},
        {.kind = WEIR_SAVE_STEP, .step = &s},
        {.kind = WEIR_SAVE_EXECUTION, .execution = &e},
    };
    expect_ok(weir_runs_save(storage.runs, items, 3, NULL, &err), &err);
    expect_ok(weir_runs_get_detail(storage.runs, "e1", &detail, &err), &err);
    char *const saved = weir_execution_to_json(&e, NULL);
    char *const loaded = weir_execution_to_json(&detail.execution, NULL);
    assert_string_equal(loaded, saved);
    char *const saved_step = weir_run_step_to_json(&s, NULL, 0, NULL);
    char *const loaded_step = weir_run_step_to_json(&detail.steps.items[0], NULL, 0, NULL);
    assert_string_equal(loaded_step, saved_step);
    char *const saved_artifact = weir_artifact_to_json(&a, NULL);
    char *const loaded_artifact = weir_artifact_to_json(&detail.artifacts.items[0], NULL);
    assert_string_equal(loaded_artifact, saved_artifact);
    assert_int_equal(weir_runs_warnings(storage.runs), 0);
    free(saved);
    free(loaded);
    free(saved_step);
    free(loaded_step);
    free(saved_artifact);
    free(loaded_artifact);
    weir_run_detail_free(&detail);
    weir_artifact_free(&a);
    weir_run_step_free(&s);
    weir_execution_free(&e);
}

// Which status a row may get from which; its other fields follow only when it may.
static void test_saves_are_guarded(void **state)
{
    static const struct {
        weir_run_status from, to;
        bool allowed;
    } cases[] = {
        {WEIR_RUN_PENDING, WEIR_RUN_PENDING, true},      {WEIR_RUN_PENDING, WEIR_RUN_RUNNING, true},
        {WEIR_RUN_PENDING, WEIR_RUN_COMPLETED, true}, // saves in between may have been merged
        {WEIR_RUN_RUNNING, WEIR_RUN_PENDING, false},     {WEIR_RUN_RUNNING, WEIR_RUN_RUNNING, true},
        {WEIR_RUN_RUNNING, WEIR_RUN_CANCELLED, true},    {WEIR_RUN_CANCELLED, WEIR_RUN_FAILED, false},
        {WEIR_RUN_CANCELLED, WEIR_RUN_COMPLETED, false}, {WEIR_RUN_COMPLETED, WEIR_RUN_RUNNING, false},
        {WEIR_RUN_FAILED, WEIR_RUN_PENDING, false},      {WEIR_RUN_FAILED, WEIR_RUN_FAILED, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[32];
        snprintf(id, sizeof id, "case-%zu", i);
        weir_execution e = make_execution(id);
        e.status = cases[i].from;
        expect_ok(weir_runs_save_execution(storage.runs, &e, &err), &err);
        e.status = cases[i].to;
        expect_code(weir_runs_save_execution(storage.runs, &e, &err), cases[i].allowed ? WEIR_OK : WEIR_STATE,
                    &err);
        assert_string_equal(stored_status(id),
                            weir_run_status_name(cases[i].allowed ? cases[i].to : cases[i].from));
        weir_execution_free(&e);
    }
}

static void test_steps_are_guarded(void **state)
{
    weir_run_step s;
    (void)state;
    expect_ok(weir_run_step_init(&s, "e", &err), &err);
    s.status = WEIR_RUN_SKIPPED;
    expect_ok(weir_runs_save_step(storage.runs, &s, &err), &err);
    s.status = WEIR_RUN_RUNNING;
    expect_code(weir_runs_save_step(storage.runs, &s, &err), WEIR_STATE, &err);
    assert_non_null(strstr(err.text, s.id));
    assert_string_equal(test_storage_value(&storage, "SELECT status FROM steps"), "skipped");
    weir_run_step_free(&s);
}

// A save keeps the row's place: INSERT OR REPLACE would move it.
static void test_update_keeps_rowid(void **state)
{
    (void)state;
    weir_execution first = make_execution("first");
    weir_execution second = make_execution("second");
    expect_ok(weir_runs_save_execution(storage.runs, &first, &err), &err);
    expect_ok(weir_runs_save_execution(storage.runs, &second, &err), &err);
    replace(&first.name, "again");
    expect_ok(weir_runs_save_execution(storage.runs, &first, &err), &err);
    assert_string_equal(
        test_storage_value(&storage, "SELECT rowid || name FROM executions WHERE id = 'first'"), "1again");
    weir_execution_free(&first);
    weir_execution_free(&second);
}

// A poison item in the middle: it alone is refused, and nothing of it appears later.
static void test_batch_with_poison(void **state)
{
    enum { count = 5 };
    weir_execution executions[count];
    weir_save_item items[count];
    weir_error results[count];
    (void)state;
    for (size_t i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof id, "e%zu", i);
        executions[i] = make_execution(id);
        items[i] = (weir_save_item){.kind = WEIR_SAVE_EXECUTION, .execution = &executions[i]};
    }
    replace(&executions[1].metadata_json, "{not json");
    executions[2].created_at = 0;
    replace(&executions[3].id, "");
    expect_code(weir_runs_save(storage.runs, items, count, results, &err), WEIR_INVALID, &err);
    assert_int_equal(results[0].code, WEIR_OK);
    assert_int_equal(results[1].code, WEIR_INVALID);
    assert_non_null(strstr(results[1].text, "e1"));
    assert_int_equal(results[2].code, WEIR_INVALID);
    assert_int_equal(results[3].code, WEIR_INVALID);
    assert_int_equal(results[4].code, WEIR_OK);
    weir_execution later = make_execution("later");
    expect_ok(weir_runs_save_execution(storage.runs, &later, &err), &err);
    assert_string_equal(test_storage_value(&storage,
                                           "SELECT group_concat(id) FROM (SELECT id FROM executions ORDER BY "
                                           "id)"),
                        "e0,e4,later");
    expect_ok(weir_runs_save(storage.runs, items, 0, NULL, &err), &err);
    weir_execution_free(&later);
    for (size_t i = 0; i < count; i++)
        weir_execution_free(&executions[i]);
}

typedef struct watcher {
    _Atomic bool stop;
    _Atomic int halves;
    int whole;
} watcher;

static void *watch_batches(void *arg)
{
    watcher *const w = arg;
    while (!w->stop) {
        weir_runs_query query = {.with_total = true};
        weir_execution_list list;
        weir_error trouble = WEIR_ERROR_INIT;
        if (weir_runs_list(storage.runs, &query, &list, &trouble) == WEIR_OK &&
            list.total % (uint64_t)w->whole != 0)
            w->halves++;
        weir_execution_list_free(&list);
    }
    return NULL;
}

static void *save_batch_of_40(void *arg)
{
    enum { count = 40 };
    weir_execution executions[count];
    weir_save_item items[count];
    weir_error trouble = WEIR_ERROR_INIT;
    for (size_t i = 0; i < count; i++) {
        if (weir_execution_init(&executions[i], &trouble) != WEIR_OK)
            abort();
        items[i] = (weir_save_item){.kind = WEIR_SAVE_EXECUTION, .execution = &executions[i]};
    }
    *(int *)arg = weir_runs_save(storage.runs, items, count, NULL, &trouble);
    for (size_t i = 0; i < count; i++)
        weir_execution_free(&executions[i]);
    return NULL;
}

// Five batches at once all succeed, and no reader ever sees a part of one.
static void test_batches_are_whole(void **state)
{
    watcher w = {.whole = 40};
    pthread_t reader;
    pthread_t writers[5];
    int codes[5];
    (void)state;
    assert_int_equal(pthread_create(&reader, NULL, watch_batches, &w), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, save_batch_of_40, &codes[i]), 0);
    for (size_t i = 0; i < 5; i++) {
        pthread_join(writers[i], NULL);
        assert_int_equal(codes[i], WEIR_OK);
    }
    w.stop = true;
    pthread_join(reader, NULL);
    assert_int_equal(w.halves, 0);
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM executions"), "200");
}

static void test_redaction_is_stored(void **state)
{
    static const char *const patterns[] = {"*secret*", NULL};
    const weir_runs_config config = {.no_engine = true, .redact = patterns};
    (void)state;
    test_storage_close(&storage);
    test_storage_open(&storage, &config);
    weir_execution e = make_execution("e");
    replace(&e.environment_json, "{\"MY_SECRET\": \"pssst\", \"HOME\": \"/\"}");
    expect_ok(weir_runs_save_execution(storage.runs, &e, &err), &err);
    assert_string_equal(test_storage_value(&storage, "SELECT environment FROM executions"),
                        "{\"MY_SECRET\": \"***\", \"HOME\": \"/\"}");
    weir_execution_free(&e);
}

// ------------------------------------------------------------------------------------------- odd rows

static void test_odd_execution(void **state)
{
    weir_execution_list list;
    const weir_runs_query query = {.limit = 10};
    (void)state;
    test_storage_sql(
        &storage,
        "INSERT INTO executions VALUES ('ok', 'n', 'c', NULL, 'completed', 0, NULL, '2025-08-01T10:00:00', "
        "NULL, NULL, NULL, NULL, '', 1, 1, 0, '');"
        "INSERT INTO executions VALUES ('odd', CAST(x'FF61' AS TEXT), 'c', '/w', 'paused', 'seven', NULL, "
        "'2025-08-01T09:00:00Z', 'yesterday', '', '{broken', 42, '{}', NULL, NULL, NULL, '[1]');"
        "INSERT INTO executions VALUES ('odd2', 'n', 'c', '/w', 'running', '5', 'm', 'junk', NULL, NULL, "
        "'{\"a\": NaN}', '', '[1]', 1, 0, 0, '{}');");
    expect_ok(weir_runs_list(storage.runs, &query, &list, &err), &err);
    assert_int_equal(list.count, 3);
    const weir_execution *const odd2 = &list.items[0]; // "junk" sorts last in text, so first here
    assert_string_equal(odd2->id, "odd2");
    assert_int_equal(odd2->created_at, 0);
    assert_int_equal(odd2->exit_code, 5);
    assert_string_equal(odd2->environment_json, "{\"a\": null}");
    const weir_execution *const ok = &list.items[1];
    assert_string_equal(ok->id, "ok");
    assert_string_equal(ok->environment_json, "{}");
    assert_string_equal(ok->tags_json, "[]");
    assert_string_equal(ok->metadata_json, "{}");
    assert_string_equal(ok->working_directory, "");
    assert_null(ok->user);
    const weir_execution *const odd = &list.items[2];
    assert_string_equal(odd->name, "\xEF\xBF\xBD"
                                   "a");
    assert_int_equal(odd->status, WEIR_RUN_OTHER);
    assert_string_equal(odd->status_text, "paused");
    assert_false(odd->has_exit_code);
    assert_int_not_equal(odd->created_at, 0);
    assert_int_equal(odd->started_at, 0);
    assert_string_equal(odd->environment_json, "{}");
    assert_string_equal(odd->tags_json, "[]");
    assert_string_equal(odd->metadata_json, "{}");
    assert_string_equal(odd->user, "42");
    assert_int_equal(odd->total_steps, 0);
    assert_int_equal(odd->completed_steps, 0);
    assert_int_equal(odd->current_step_index, -1);
    assert_int_equal(weir_runs_warnings(storage.runs), 7);
    weir_execution_list_free(&list);
}

static void test_odd_step(void **state)
{
    weir_run_step_list list;
    (void)state;
    test_storage_sql(&storage, "INSERT INTO steps VALUES ('a', 'e', '', NULL, 0, 'running', NULL, NULL, "
                               "'2025-08-01T10:00:00', NULL, "
                               "NULL, '60s', 'yes', '{\"duration\": \"60s\"}');"
                               "INSERT INTO steps VALUES ('b', 'e', 'x', NULL, 1, 'running', NULL, NULL, "
                               "'2025-08-01T10:00:00', NULL, "
                               "NULL, '1e3', '', NULL);"
                               "INSERT INTO steps VALUES ('c', 'e', 'x', NULL, 2, 'running', NULL, NULL, "
                               "'2025-08-01T10:00:00', NULL, "
                               "NULL, NULL, NULL, NULL);"
                               "INSERT INTO steps VALUES ('d', 'e', 'x', NULL, 3, 'running', NULL, NULL, "
                               "'2025-08-01T10:00:00', NULL, "
                               "NULL, 7, 1, NULL);");
    expect_ok(weir_runs_steps(storage.runs, "e", &list, &err), &err);
    assert_int_equal(list.count, 4);
    assert_false(list.items[0].has_estimated_duration); // "60s": the text stays in metadata.duration
    assert_true(list.items[0].stop_on_error);
    assert_string_equal(list.items[0].metadata_json, "{\"duration\": \"60s\"}");
    assert_true(list.items[1].estimated_duration == 1000.0); // by the column's affinity
    assert_false(list.items[1].stop_on_error);
    assert_false(list.items[2].stop_on_error);
    assert_true(list.items[3].estimated_duration == 7.0);
    assert_true(list.items[3].stop_on_error);
    weir_run_step_list_free(&list);
}

static void test_odd_artifact(void **state)
{
    weir_artifact a;
    (void)state;
    test_storage_sql(&storage,
                     "INSERT INTO artifacts VALUES ('a', 'e', NULL, 'n', NULL, './missing.bin', NULL, NULL, "
                     "NULL, 'picture', '2025-08-01T10:00:00', NULL, NULL, NULL, NULL);");
    expect_ok(weir_runs_get_artifact(storage.runs, "a", &a, &err), &err);
    assert_string_equal(a.file_name, "");
    assert_string_equal(a.mime_type, "");
    assert_int_equal(a.file_size, 0);
    assert_string_equal(a.artifact_type, "other");
    assert_false(a.exists);
    assert_false(a.has_retention_days);
    weir_artifact_free(&a);
}

// ------------------------------------------------------------------------------------------------- lists

static void fill(int count)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d - 1) "
             "INSERT INTO executions SELECT printf('id-%%03d', i), printf('name %%d', i), 'run_50%%', '', "
             "CASE i %% 3 WHEN 0 THEN 'completed' WHEN 1 THEN 'failed' ELSE 'running' END, 0, NULL, "
             "printf('2025-08-01T10:%%02d:00.000000', i / 2), NULL, NULL, '{}', CASE i %% 2 WHEN 0 THEN "
             "'ann' END, '[]', 0, "
             "0, -1, '{}' FROM n;",
             count);
    test_storage_sql(&storage, sql);
}

static void list_ids(const weir_runs_query *query, char *ids, size_t size, weir_execution_list *list)
{
    expect_ok(weir_runs_list(storage.runs, query, list, &err), &err);
    ids[0] = '\0';
    for (size_t i = 0, at = 0; i < list->count && at < size; i++)
        at += (size_t)snprintf(ids + at, size - at, "%s%s", i > 0 ? "," : "", list->items[i].id + 3);
}

static void assert_list(weir_runs_query query, const char *wanted, int64_t total)
{
    char ids[512];
    weir_execution_list list;
    query.with_total = true;
    list_ids(&query, ids, sizeof ids, &list);
    assert_string_equal(ids, wanted);
    assert_int_equal(list.total, total);
    weir_execution_list_free(&list);
}

static void test_list_filters(void **state)
{
    (void)state;
    fill(12);
    // Two rows share each time: the later insertion first.
    assert_list((weir_runs_query){.limit = 4}, "011,010,009,008", 12);
    assert_list((weir_runs_query){.limit = 2, .offset = 3}, "008,007", 12);
    assert_list((weir_runs_query){.limit = 2, .offset = -3}, "011,010", 12);
    assert_list((weir_runs_query){.limit = 5, .offset = 100}, "", 12);
    assert_list((weir_runs_query){.limit = 0}, "", 12);
    assert_list((weir_runs_query){.limit = -1}, "", 12);
    assert_list((weir_runs_query){.limit = 9, .status = "completed"}, "009,006,003,000", 4);
    assert_list((weir_runs_query){.limit = 9, .status = "Completed"}, "", 0);
    assert_list((weir_runs_query){.limit = 9, .status = "failed", .user = "ann"}, "010,004", 2);
    assert_list((weir_runs_query){.limit = 2, .status = "", .user = ""}, "011,010", 12);
    assert_list((weir_runs_query){.limit = 9, .search = "NAME 1"}, "011,010,001", 3);
    assert_list((weir_runs_query){.limit = 9, .search = "id-00_"}, "", 0); // no wildcards
    assert_list((weir_runs_query){.limit = 1, .search = "50%"}, "011", 12);
    assert_list((weir_runs_query){.limit = 1, .search = "'; DROP TABLE executions; --"}, "", 0);
}

static void test_cursor_meets_every_row_once(void **state)
{
    char seen[512] = "";
    char *cursor = NULL;
    (void)state;
    fill(12);
    for (int pages = 0;; pages++) {
        assert_true(pages < 10);
        const weir_runs_query query = {.limit = 5, .cursor = cursor};
        char ids[128];
        weir_execution_list list;
        list_ids(&query, ids, sizeof ids, &list);
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s;", ids);
        free(cursor);
        cursor = list.next_cursor;
        list.next_cursor = NULL;
        weir_execution_list_free(&list);
        test_storage_sql(
            &storage, "INSERT INTO executions SELECT 'new' || count(*), '', '', '', 'failed', 0, NULL, "
                      "'2026-01-01T00:00:00', NULL, NULL, '{}', NULL, '[]', 0, 0, -1, '{}' FROM executions");
        if (cursor == NULL)
            break;
    }
    assert_string_equal(seen, "011,010,009,008,007;006,005,004,003,002;001,000;");
    const weir_runs_query bad = {.limit = 5, .cursor = "12"};
    weir_execution_list list;
    expect_code(weir_runs_list(storage.runs, &bad, &list, &err), WEIR_INVALID, &err);
}

static void test_active_and_default(void **state)
{
    weir_execution_list list;
    (void)state;
    fill(12);
    expect_ok(weir_runs_list_active(storage.runs, &list, &err), &err);
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[0].id, "id-011");
    weir_execution_list_free(&list);
    expect_ok(weir_runs_list(storage.runs, NULL, &list, &err), &err);
    assert_int_equal(list.count, 12);
    weir_execution_list_free(&list);
}

// Lists by status and user and steps in order need no sort.
static void test_lists_use_indexes(void **state)
{
    static const char *const queries[] = {
        "SELECT id FROM executions WHERE status = 'failed' ORDER BY created_at DESC, rowid DESC LIMIT 10",
        "SELECT id FROM executions WHERE user_name = 'ann' ORDER BY created_at DESC, rowid DESC LIMIT 10",
        "SELECT id FROM executions ORDER BY created_at DESC, rowid DESC LIMIT 10",
        "SELECT id FROM steps WHERE execution_id = 'e' ORDER BY step_index, rowid",
    };
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char sql[256];
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", queries[i]);
        test_storage_value(&storage, sql); // the plan has one row when there is no sort
        weir_error trouble = WEIR_ERROR_INIT;
        weir_snapshot *snapshot = NULL;
        weir_stmt *stmt = NULL;
        bool row = false;
        expect_ok(weir_snapshot_open(weir_runs_store(storage.runs), NULL, &snapshot, &trouble), &trouble);
        expect_ok(weir_prepare(weir_snapshot_tx(snapshot), sql, &stmt, &trouble), &trouble);
        expect_ok(weir_step(stmt, &row, &trouble), &trouble);
        while (row) {
            if (strstr(weir_column_text(stmt, 3), "TEMP B-TREE") != NULL)
                fail_msg("%s: %s", queries[i], weir_column_text(stmt, 3));
            expect_ok(weir_step(stmt, &row, &trouble), &trouble);
        }
        weir_snapshot_close(snapshot);
    }
}

static void test_not_found(void **state)
{
    weir_execution e;
    weir_run_step s;
    weir_artifact a;
    weir_run_detail d;
    weir_run_step_list steps;
    (void)state;
    expect_code(weir_runs_get(storage.runs, "nobody", &e, &err), WEIR_NOTFOUND, &err);
    assert_non_null(strstr(err.text, "nobody"));
    assert_null(e.id);
    expect_code(weir_runs_get_step(storage.runs, "nobody", &s, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_get_artifact(storage.runs, "nobody", &a, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_get_detail(storage.runs, "nobody", &d, &err), WEIR_NOTFOUND, &err);
    expect_ok(weir_runs_steps(storage.runs, "nobody", &steps, &err), &err);
    assert_int_equal(steps.count, 0);
}

static void test_resolve(void **state)
{
    char id[WEIR_ID_SIZE];
    (void)state;
    test_storage_sql(&storage, "INSERT INTO executions (id, name, command, status, created_at) VALUES "
                               "('abcd1', '', '', 'failed', 't'), ('abcd2', '', '', 'failed', 't'), "
                               "('abc', '', '', 'failed', 't');");
    expect_ok(weir_runs_resolve(storage.runs, "abcd1", id, sizeof id, &err), &err);
    assert_string_equal(id, "abcd1");
    expect_ok(weir_runs_resolve(storage.runs, "abc", id, sizeof id, &err), &err); // whole, however short
    assert_string_equal(id, "abc");
    expect_code(weir_runs_resolve(storage.runs, "abcd", id, sizeof id, &err), WEIR_INVALID, &err);
    assert_string_equal(id, "");
    expect_code(weir_runs_resolve(storage.runs, "ab", id, sizeof id, &err), WEIR_INVALID, &err);
    expect_code(weir_runs_resolve(storage.runs, "ab%d", id, sizeof id, &err), WEIR_NOTFOUND, &err);
    expect_code(weir_runs_resolve(storage.runs, "abcd1", id, 5, &err), WEIR_TOOBIG, &err);
}

// ------------------------------------------------------------------------------------------------ figures

static void test_statistics(void **state)
{
    weir_runs_statistics s;
    (void)state;
    test_storage_sql(
        &storage, "INSERT INTO executions (id, name, command, status, created_at, started_at, completed_at) "
                  "VALUES ('1', '', '', 'completed', 't', '2025-08-01T10:00:00', '2025-08-01T10:00:02.5'), "
                  "('2', '', '', 'completed', 't', '2025-08-01T10:00:00', '2025-08-01T10:00:01'), "
                  "('3', '', '', 'completed', 't', '2025-08-01T10:00:00', '2025-08-01T10:00:00'), "
                  "('4', '', '', 'completed', 't', 'junk', '2025-08-01T10:00:01'), "
                  "('5', '', '', 'failed', 't', '2025-08-01T10:00:00', '2025-08-01T11:00:00'), "
                  "('6', '', '', 'running', 't', NULL, NULL), ('7', '', '', 'pending', 't', NULL, NULL), "
                  "('8', '', '', 'paused', 't', NULL, NULL);");
    expect_ok(weir_runs_read_statistics(storage.runs, &s, &err), &err);
    assert_int_equal(s.total, 8);
    assert_int_equal(s.by_status[WEIR_RUN_COMPLETED], 4);
    assert_int_equal(s.by_status[WEIR_RUN_OTHER], 1);
    assert_int_equal(s.active, 2);
    assert_true(s.success_percent == 50.0);
    assert_int_equal(s.timed, 2);
    assert_true(s.average_s == 1.75);
}

static void test_metrics(void **state)
{
    weir_runs_metrics m;
    (void)state;
    fill(6);
    expect_ok(weir_runs_read_metrics(storage.runs, &m, &err), &err);
    assert_int_equal(m.executions, 6);
    assert_int_equal(m.running, 2);
    assert_int_equal(m.completed, 2);
    assert_int_equal(m.page_size, 4096);
    assert_string_equal(m.journal_mode, "wal");
    assert_true(m.oldest != 0 && m.oldest < m.newest);
    char *const json = weir_runs_metrics_to_json(storage.runs, &m);
    static const char *const keys[] = {
        "\"database_size_bytes\": ", "\"database_size_mb\": ",
        "\"wal_size_bytes\": ",      "\"shm_size_bytes\": ",
        "\"total_size_mb\": ",       "\"table_counts\": {\"executions\": 6, \"steps\": 0, \"artifacts\": 0}",
        "\"wal_mode\": \"wal\"",     "\"cache_size\": -",
        "\"page_size\": 4096",       "\"storage_path\": \""};
    const char *at = json;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        at = strstr(at, keys[i]); // in this order
        if (at == NULL)
            fail_msg("no %s in its place in %s", keys[i], json);
    }
    free(json);
}

static void test_probe(void **state)
{
    weir_runs_probe_report report;
    (void)state;
    expect_ok(weir_runs_probe(storage.runs, 0, &report, &err), &err);
    expect_ok(weir_runs_probe(storage.runs, 0, &report, &err), &err);
    assert_true(report.read_ns > 0);
    assert_true(report.write_ns > 0);
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM weir_probe"), "1");
    test_storage_sql(&storage, "DROP TABLE weir_probe"); // a store that cannot write its probe is not healthy
    expect_code(weir_runs_probe(storage.runs, 0, &report, &err), WEIR_SQL, &err);
}

// ---------------------------------------------------------------------------------------------- own tables

static void test_run_records(void **state)
{
    weir__run_record *records = NULL;
    char **ids = NULL;
    size_t count = 0;
    (void)state;
    weir_execution e = make_execution("e");
    char argv[] = "sh\0-c\0\xFF";
    char boot[] = "boot";
    const weir__run_record record = {.execution_id = e.id,
                                     .argv = argv,
                                     .argv_size = sizeof argv,
                                     .timeout_ms = 5,
                                     .engine_pid = 11,
                                     .engine_start_ticks = 22,
                                     .engine_boot_id = boot,
                                     .script_pid = 33};
    const weir__run_output output = {.execution_id = e.id, .lines = 3, .bytes = 99};
    const weir__save_set set = {.execution = &e, .record = &record, .outputs = {&output}};
    expect_ok(weir__runs_save_now(storage.runs, &set, &err), &err);
    expect_ok(weir__runs_read_records(storage.runs, &records, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_int_equal(records[0].argv_size, sizeof argv);
    assert_memory_equal(records[0].argv, argv, sizeof argv);
    assert_int_equal(records[0].engine_start_ticks, 22);
    assert_string_equal(records[0].engine_boot_id, "boot");
    weir__run_records_free(records, count);

    expect_code(weir__runs_request_cancel(storage.runs, "other", &err), WEIR_NOTFOUND, &err);
    test_storage_sql(&storage, "INSERT INTO executions (id, name, command, status, created_at) VALUES "
                               "('theirs', '', '', 'running', 't')");
    expect_code(weir__runs_request_cancel(storage.runs, "theirs", &err), WEIR_NOTFOUND, &err);
    expect_contains(err.text, "not started by Weir");
    expect_ok(weir__runs_request_cancel(storage.runs, "e", &err), &err);
    expect_ok(weir__runs_request_cancel(storage.runs, "e", &err), &err);
    expect_ok(weir__runs_read_cancel_requests(storage.runs, 11, 23, &ids, &count, &err), &err);
    assert_int_equal(count, 0);
    expect_ok(weir__runs_read_cancel_requests(storage.runs, 11, 22, &ids, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(ids[0], "e");
    free(ids[0]);
    free(ids);

    e.status = WEIR_RUN_CANCELLED;
    const weir__save_set end = {.execution = &e, .clear_cancel_request = true};
    expect_ok(weir__runs_save_now(storage.runs, &end, &err), &err);
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM weir_cancel_request"), "0");
    expect_ok(weir__runs_read_records(storage.runs, &records, &count, &err), &err);
    assert_int_equal(count, 0);
    expect_code(weir__runs_request_cancel(storage.runs, "e", &err), WEIR_NOTFOUND, &err);
    weir_execution_free(&e);
}

static void note_result(void *context, const weir_error *result)
{
    *(int *)context = result->code;
}

// What is submitted is copied: later changes of the caller's struct do not leak in.
static void test_submit_copies(void **state)
{
    int code = -1;
    (void)state;
    weir_execution e = make_execution("e");
    replace(&e.name, "as submitted");
    const weir__save_set set = {.execution = &e};
    expect_ok(weir__runs_submit(storage.runs, &set, note_result, &code, &err), &err);
    replace(&e.name, "changed later");
    weir_execution_free(&e);
    expect_ok(weir_flush(weir_runs_store(storage.runs), 0, &err), &err);
    assert_string_equal(test_storage_value(&storage, "SELECT name FROM executions"), "as submitted");
    test_storage_close(&storage); // after it every callback has been made
    assert_int_equal(code, WEIR_OK);
}

// A set is all or nothing.
static void test_set_is_whole(void **state)
{
    weir_run_step step;
    (void)state;
    weir_execution e = make_execution("e");
    expect_ok(weir_run_step_init(&step, "e", &err), &err);
    step.status = WEIR_RUN_COMPLETED;
    expect_ok(weir_runs_save_step(storage.runs, &step, &err), &err);
    step.status = WEIR_RUN_RUNNING;
    const weir__save_set set = {.execution = &e, .steps = {&step}};
    expect_code(weir__runs_save_now(storage.runs, &set, &err), WEIR_STATE, &err);
    assert_string_equal(test_storage_value(&storage, "SELECT count(*) FROM executions"), "0");
    weir_run_step_free(&step);
    weir_execution_free(&e);
}

int main(void)
{
#define WITH_STORAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_STORAGE(test_columns_as_written),
        WITH_STORAGE(test_only_utf8_is_written),
        WITH_STORAGE(test_round_trip),
        WITH_STORAGE(test_saves_are_guarded),
        WITH_STORAGE(test_steps_are_guarded),
        WITH_STORAGE(test_update_keeps_rowid),
        WITH_STORAGE(test_batch_with_poison),
        WITH_STORAGE(test_batches_are_whole),
        WITH_STORAGE(test_redaction_is_stored),
        WITH_STORAGE(test_odd_execution),
        WITH_STORAGE(test_odd_step),
        WITH_STORAGE(test_odd_artifact),
        WITH_STORAGE(test_list_filters),
        WITH_STORAGE(test_cursor_meets_every_row_once),
        WITH_STORAGE(test_active_and_default),
        WITH_STORAGE(test_lists_use_indexes),
        WITH_STORAGE(test_not_found),
        WITH_STORAGE(test_resolve),
        WITH_STORAGE(test_statistics),
        WITH_STORAGE(test_metrics),
        WITH_STORAGE(test_probe),
        WITH_STORAGE(test_run_records),
        WITH_STORAGE(test_submit_copies),
        WITH_STORAGE(test_set_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
