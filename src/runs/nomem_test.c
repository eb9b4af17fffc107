// SPDX-License-Identifier: MIT
//
// Without memory: the k-th allocation of a call fails, for k = 0, 1, 2 … until the call succeeds. Each time it has
// to say WEIR_NOMEM (or get along), leave its output empty and keep nothing.
//
// Under a sanitizer this test does nothing (see support/sanitized.h).
#include <stdlib.h>
#include <string.h>

#include "runs/runs.h"
#include "support/nomem.h"
#include "support/storage.h"

#if IS_SANITIZED

int main(void)
{
    return skip_sanitized();
}

#else

static test_storage storage;
static weir_execution execution;
static weir_run_step step;
static weir_artifact artifact;

// jansson takes a failed allocation within a string for a syntax error.
static int unless_jansson_erred(int rc)
{
    return rc == WEIR_INVALID && nomem_has_failed ? WEIR_NOMEM : rc;
}

static int copy_models(weir_error *err)
{
    weir_execution e = {0};
    weir_run_step s = {0};
    weir_artifact a = {0};
    int rc = weir_execution_copy(&execution, &e, err);
    if (rc == WEIR_OK)
        rc = weir_run_step_copy(&step, &s, err);
    if (rc == WEIR_OK)
        rc = weir_artifact_copy(&artifact, &a, err);
    weir_execution_free(&e);
    weir_run_step_free(&s);
    weir_artifact_free(&a);
    return rc;
}

static int init_models(weir_error *err)
{
    weir_execution e = {0};
    weir_run_step s = {0};
    weir_artifact a = {0};
    int rc = weir_execution_init(&e, err);
    if (rc == WEIR_OK)
        rc = weir_run_step_init(&s, "e", err);
    if (rc == WEIR_OK)
        rc = weir_artifact_init(&a, "e", err);
    weir_execution_free(&e);
    weir_run_step_free(&s);
    weir_artifact_free(&a);
    return rc;
}

static int fail_model(weir_error *err)
{
    weir_execution e = {.status = WEIR_RUN_RUNNING};
    const int rc = weir_execution_fail(&e, "message", 1, err);
    assert_int_equal(e.status, rc == WEIR_OK ? WEIR_RUN_FAILED : WEIR_RUN_RUNNING);
    weir_execution_free(&e);
    return rc;
}

static int write_json(weir_error *err)
{
    char *texts[3] = {weir_execution_to_json(&execution, NULL), weir_run_step_to_json(&step, NULL, 0, NULL),
                      weir_artifact_to_json(&artifact, NULL)};
    int rc = WEIR_OK;
    for (size_t i = 0; i < 3; i++) {
        if (texts[i] == NULL)
            rc = weir__no_memory(err);
        free(texts[i]);
    }
    return rc;
}

static int put_json(weir_error *err)
{
    char *object = NULL;
    json_t *const value = json_string("text that is long enough to need memory");
    const int rc =
        value != NULL ? unless_jansson_erred(weir__json_put(&object, "key", value, err)) : WEIR_NOMEM;
    assert_int_equal(object != NULL, rc == WEIR_OK);
    free(object);
    return rc;
}

static int redact_json(weir_error *err)
{
    char pattern[] = "secret*";
    char *patterns[] = {pattern, NULL};
    const weir_runs runs = {.redact = patterns};
    char *out = NULL;
    const int rc = weir__json_redact(&runs, "{\"SECRET_A\": \"x\", \"B\": \"y\"}", &out, err);
    if (rc == WEIR_OK)
        assert_string_equal(out, "{\"SECRET_A\": \"***\", \"B\": \"y\"}");
    free(out);
    return unless_jansson_erred(rc);
}

static int read_detail(weir_error *err)
{
    weir_run_detail detail;
    const int rc = weir_runs_get_detail(storage.runs, "e", &detail, err);
    assert_int_equal(detail.execution.id != NULL, rc == WEIR_OK);
    if (rc == WEIR_OK) {
        if (!nomem_has_failed ||
            strcmp(detail.execution.metadata_json, "{}") != 0) // see unless_jansson_erred
            assert_string_equal(detail.execution.metadata_json, "{\"k\": [1, 2.5, \"x\"]}");
        assert_int_equal(detail.steps.count, 3);
        assert_int_equal(detail.artifacts.count, 1);
    }
    weir_run_detail_free(&detail);
    return rc;
}

static int read_list(weir_error *err)
{
    weir_execution_list list;
    const weir_runs_query query = {.limit = 1, .search = "e", .with_total = true};
    const int rc = weir_runs_list(storage.runs, &query, &list, err);
    if (rc == WEIR_OK) {
        assert_int_equal(list.count, 1);
        assert_int_equal(list.total, 2);
        assert_non_null(list.next_cursor);
    } else {
        assert_null(list.items);
    }
    weir_execution_list_free(&list);
    return rc;
}

static int read_logs(weir_error *err)
{
    weir_log_list list;
    const int rc = weir_runs_logs(storage.runs, "e", NULL, &list, err);
    assert_int_equal(list.count, rc == WEIR_OK ? 2 : 0);
    weir_log_list_free(&list);
    return rc;
}

static int save_batch(weir_error *err)
{
    weir_error results[3];
    const weir_save_item items[] = {
        {.kind = WEIR_SAVE_EXECUTION, .execution = &execution},
        {.kind = WEIR_SAVE_STEP, .step = &step},
        {.kind = WEIR_SAVE_ARTIFACT, .artifact = &artifact},
    };
    return unless_jansson_erred(weir_runs_save(storage.runs, items, 3, results, err));
}

static int set_up(void **state)
{
    weir_error err = WEIR_ERROR_INIT;
    static const char log[] = "[2025-08-01T10:00:00] one\n[2025-08-01T10:00:01] two\n";
    (void)state;
    test_storage_init(&storage);
    test_storage_open(&storage, NULL);
    test_storage_sql(
        &storage,
        "INSERT INTO executions (id, name, command, status, created_at, metadata) VALUES "
        "('e', '', '', 'failed', '2025-08-01T10:00:00', '{\"k\": [1, 2.5, \"x\"]}'), "
        "('e2', '', '', 'failed', '2025-08-01T10:00:00', '{}');"
        "INSERT INTO steps (id, execution_id, name, step_index, status, created_at) VALUES "
        "('s1', 'e', 'a', 0, 'failed', 't'), ('s2', 'e', 'b', 1, 'failed', 't'), "
        "('s3', 'e', 'c', 2, 'failed', 't');"
        "INSERT INTO artifacts (id, execution_id, name, file_path, created_at, artifact_type) VALUES "
        "('a', 'e', 'n', 'f', 't', 'odd');");
    test_storage_put(&storage, "executions/e/step_0_s1.log", log, sizeof log - 1);
    expect_ok(weir_execution_init(&execution, &err), &err);
    expect_ok(weir_run_step_init(&step, execution.id, &err), &err);
    expect_ok(weir_artifact_init(&artifact, execution.id, &err), &err);
    expect_ok(weir__replace_string(&execution.name, "\xFF", &err), &err);
    expect_ok(weir__replace_string(&execution.metadata_json, "{\"a\":NaN}", &err), &err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir_execution_free(&execution);
    weir_run_step_free(&step);
    weir_artifact_free(&artifact);
    test_storage_fini(&storage);
    return 0;
}

static void test_models(void **state)
{
    (void)state;
    NOMEM_WALK(copy_models, true);
    NOMEM_WALK(init_models, true);
    NOMEM_WALK(fail_model, true);
}

static void test_json(void **state)
{
    (void)state;
    NOMEM_WALK(write_json, true);
    NOMEM_WALK(put_json, true);
    NOMEM_WALK(redact_json, true);
}

static void test_reading(void **state)
{
    (void)state;
    NOMEM_WALK(read_detail, false);
    NOMEM_WALK(read_list, false);
    NOMEM_WALK(read_logs, false);
}

static void test_saving(void **state)
{
    (void)state;
    NOMEM_WALK(save_batch, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_models, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_saving, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
