// SPDX-License-Identifier: MIT
//
// Models in memory: which transitions there are, and JSON with the other program's keys in its order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs those above it
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "runs/runs.h"

static weir_error err;

static int move_execution(weir_execution *execution, weir_run_status to)
{
    switch (to) {
    case WEIR_RUN_RUNNING:
        return weir_execution_start(execution, &err);
    case WEIR_RUN_COMPLETED:
        return weir_execution_complete(execution, 0, &err);
    case WEIR_RUN_FAILED:
        return weir_execution_fail(execution, "broken", 3, &err);
    default:
        return weir_execution_cancel(execution, &err);
    }
}

static int move_step(weir_run_step *step, weir_run_status to)
{
    switch (to) {
    case WEIR_RUN_RUNNING:
        return weir_run_step_start(step, &err);
    case WEIR_RUN_COMPLETED:
        return weir_run_step_complete(step, 0, &err);
    case WEIR_RUN_FAILED:
        return weir_run_step_fail(step, "broken", 3, &err);
    default:
        return weir_run_step_skip(step, "why not", &err);
    }
}

// Which pairs are allowed, row by row: to running, completed, failed, cancelled (or skipped).
static void test_every_transition(void **state)
{
    static const bool allowed[6][6] = {
        [WEIR_RUN_PENDING] = {0, 1, 0, 1, 1, 1},
        [WEIR_RUN_RUNNING] = {0, 0, 1, 1, 1, 1},
        [WEIR_RUN_COMPLETED] = {0},
        [WEIR_RUN_FAILED] = {0},
        [WEIR_RUN_CANCELLED] = {0},
        [WEIR_RUN_SKIPPED] = {0},
    };
    (void)state;
    for (int from = 0; from < 6; from++)
        for (int to = WEIR_RUN_RUNNING; to < 6; to++) {
            weir_execution execution = {.status = (weir_run_status)from};
            weir_run_step step = {.status = (weir_run_status)from};
            const int wanted = allowed[from][to] ? WEIR_OK : WEIR_STATE;
            if (to != WEIR_RUN_SKIPPED) {
                assert_int_equal(move_execution(&execution, (weir_run_status)to), wanted);
                assert_int_equal(execution.status, wanted == WEIR_OK ? to : from);
            }
            if (to != WEIR_RUN_CANCELLED) {
                assert_int_equal(move_step(&step, (weir_run_status)to), wanted);
                assert_int_equal(step.status, wanted == WEIR_OK ? to : from);
            }
            weir_execution_free(&execution);
            weir_run_step_free(&step);
        }
}

static void test_effects(void **state)
{
    weir_execution e;
    (void)state;
    assert_int_equal(weir_execution_init(&e, &err), WEIR_OK);
    assert_int_equal(weir_execution_start(&e, &err), WEIR_OK);
    assert_true(e.started_at > 0);
    assert_int_equal(weir_execution_complete(&e, 7, &err), WEIR_OK);
    assert_int_equal(e.status, WEIR_RUN_FAILED);
    assert_int_equal(e.exit_code, 7);
    assert_null(e.error_message);
    assert_true(e.completed_at >= e.started_at);
    // A cancelled run stays so: complete() afterwards is refused and changes nothing.
    weir_execution c;
    assert_int_equal(weir_execution_copy(&e, &c, &err), WEIR_OK);
    c.status = WEIR_RUN_CANCELLED;
    assert_int_equal(weir_execution_complete(&c, 0, &err), WEIR_STATE);
    assert_int_equal(c.exit_code, 7);
    assert_int_equal(weir_execution_fail(&c, "late", 1, &err), WEIR_STATE);
    assert_null(c.error_message);
    weir_execution_free(&c);
    weir_execution_free(&e);
}

static void assert_json(char *json, const char *wanted)
{
    assert_non_null(json);
    assert_string_equal(json, wanted);
    free(json);
}

static weir_local_us at(const char *text)
{
    weir_local_us time = 0;
    assert_true(weir_local_parse(text, strlen(text), &time));
    return time;
}

static void test_execution_json(void **state)
{
    char id[] = "e1", name[] = "n\"\xC3\xA9", command[] = "make all", empty[] = "",
         environment[] = "{\"A\": \"1\"}";
    char tags[] = "[\"x\"]", metadata[] = "{}", other[] = "paused";
    (void)state;
    const weir_run_json_options options = {.now = at("2025-08-01T10:00:02.5"), .execution_id = true};
    weir_execution e = {
        .id = id,
        .name = name,
        .command = command,
        .working_directory = empty,
        .status = WEIR_RUN_RUNNING,
        .created_at = at("2025-08-01T10:00:00"),
        .started_at = at("2025-08-01T10:00:00.25"),
        .environment_json = environment,
        .tags_json = tags,
        .total_steps = 3,
        .completed_steps = 1,
        .current_step_index = 1,
        .metadata_json = metadata,
    };
    assert_json(
        weir_execution_to_json(&e, &options),
        "{\"id\": \"e1\", \"name\": \"n\\\"\\u00e9\", \"command\": \"make all\", \"working_directory\": "
        "\"\", "
        "\"status\": \"running\", \"exit_code\": null, \"error_message\": null, "
        "\"created_at\": \"2025-08-01T10:00:00.000000\", \"started_at\": \"2025-08-01T10:00:00.250000\", "
        "\"completed_at\": null, \"environment\": {\"A\": \"1\"}, \"user\": null, \"tags\": [\"x\"], "
        "\"total_steps\": 3, \"completed_steps\": 1, \"current_step_index\": 1, \"duration_seconds\": 2.25, "
        "\"progress_percentage\": 33.33333333333333, \"metadata\": {}, \"execution_id\": \"e1\"}");
    e.status = WEIR_RUN_OTHER;
    e.status_text = other;
    char *const json = weir_execution_to_json(&e, NULL);
    assert_non_null(strstr(json, "\"status\": \"paused\""));
    assert_null(strstr(json, "execution_id"));
    free(json);
    weir_execution list[] = {e, e};
    const weir_execution_list two = {.items = list, .count = 2};
    char *const array = weir_execution_list_to_json(&two, NULL);
    assert_int_equal(array[0], '[');
    assert_non_null(strstr(array, "}, {\"id\": \"e1\""));
    free(array);
}

static void test_step_json(void **state)
{
    char id[] = "s1", execution[] = "e1", name[] = "Build", empty[] = "", metadata[] = "{\"k\": 1}",
         error[] = "no";
    (void)state;
    const weir_log_line logs[] = {
        {.time = at("2025-08-01T10:00:01"), .content = "a\tb", .content_size = 3},
        {.time = at("2025-08-01T10:00:02"), .content = "c", .content_size = 1},
    };
    const weir_run_json_options options = {.logs_extra = true, .log_count = 5, .log_offset = 3};
    const weir_run_step s = {
        .id = id,
        .execution_id = execution,
        .name = name,
        .description = empty,
        .index = 2,
        .status = WEIR_RUN_FAILED,
        .has_exit_code = true,
        .exit_code = -15,
        .error_message = error,
        .created_at = at("2025-08-01T10:00:00"),
        .started_at = at("2025-08-01T10:00:00"),
        .completed_at = at("2025-08-01T10:00:10"),
        .has_estimated_duration = true,
        .estimated_duration = 60,
        .stop_on_error = true,
        .metadata_json = metadata,
    };
    assert_json(
        weir_run_step_to_json(&s, logs, 2, &options),
        "{\"id\": \"s1\", \"execution_id\": \"e1\", \"name\": \"Build\", \"description\": \"\", \"index\": "
        "2, "
        "\"status\": \"failed\", \"exit_code\": -15, \"error_message\": \"no\", "
        "\"created_at\": \"2025-08-01T10:00:00.000000\", \"started_at\": \"2025-08-01T10:00:00.000000\", "
        "\"completed_at\": \"2025-08-01T10:00:10.000000\", \"estimated_duration\": 60.0, "
        "\"duration_seconds\": 10.0, \"logs\": [{\"timestamp\": \"2025-08-01T10:00:01.000000\", "
        "\"content\": \"a\\tb\", \"level\": \"info\"}, {\"timestamp\": \"2025-08-01T10:00:02.000000\", "
        "\"content\": \"c\", \"level\": \"info\"}], \"metadata\": {\"k\": 1}, \"is_finished\": true, "
        "\"stop_on_error\": true, \"log_count\": 5, \"log_offset\": 3, \"logs_truncated\": true}");
    char *const plain = weir_run_step_to_json(&s, NULL, 0, NULL);
    assert_non_null(strstr(plain, "\"logs\": [], \"metadata\""));
    assert_null(strstr(plain, "log_count"));
    free(plain);
}

static void test_artifact_json(void **state)
{
    char id[] = "a1", execution[] = "e1", name[] = "x", empty[] = "", path[] = "storage/x",
         file[] = "r.TAR.GZ";
    char mime[] = "application/gzip", type[] = "other", tags[] = "[]", metadata[] = "{}";
    (void)state;
    weir_artifact a = {
        .id = id,
        .execution_id = execution,
        .name = name,
        .description = empty,
        .file_path = path,
        .file_name = file,
        .file_size = 1536,
        .mime_type = mime,
        .artifact_type = type,
        .created_at = at("2025-08-01T10:00:00"),
        .tags_json = tags,
        .is_public = true,
        .has_retention_days = true,
        .retention_days = 7,
        .metadata_json = metadata,
        .exists = true,
    };
    const weir_run_json_options options = {.now = at("2025-08-08T10:00:00.000001")};
    assert_json(
        weir_artifact_to_json(&a, &options),
        "{\"id\": \"a1\", \"execution_id\": \"e1\", \"step_id\": null, \"name\": \"x\", \"description\": "
        "\"\", "
        "\"file_path\": \"storage/x\", \"file_name\": \"r.TAR.GZ\", \"file_size\": 1536, "
        "\"file_size_human\": \"1.5 KB\", \"mime_type\": \"application/gzip\", \"artifact_type\": \"other\", "
        "\"file_extension\": \".gz\", \"created_at\": \"2025-08-01T10:00:00.000000\", \"tags\": [], "
        "\"metadata\": {}, \"is_public\": true, \"retention_days\": 7, \"exists\": true, "
        "\"download_url\": \"/api/artifacts/a1/download\", \"is_expired\": true}");
    const weir_run_json_options earlier = {.now = at("2025-08-08T10:00:00")};
    char *json = weir_artifact_to_json(&a, &earlier);
    assert_non_null(strstr(json, "\"is_expired\": false"));
    free(json);
    a.retention_days = INT64_MAX; // does not overflow into the past
    a.file_size = 0;
    json = weir_artifact_to_json(&a, &options);
    assert_non_null(strstr(json, "\"is_expired\": false"));
    assert_non_null(strstr(json, "\"file_size_human\": \"0 B\""));
    free(json);
    a.retention_days = 0;
    a.file_size = 8;
    json = weir_artifact_to_json(&a, &options);
    assert_non_null(strstr(json, "\"is_expired\": false"));
    assert_non_null(strstr(json, "\"file_size_human\": \"8.0 B\""));
    free(json);
}

static void test_log_line_json(void **state)
{
    (void)state;
    const weir_log_line line = {.time = at("2025-08-01T10:00:01"), .content = "hi", .content_size = 2};
    assert_json(weir_log_line_to_json(&line),
                "{\"timestamp\": \"2025-08-01T10:00:01.000000\", \"content\": \"hi\", \"level\": \"info\", "
                "\"step_id\": null, \"step_name\": null, \"message\": \"hi\"}");
}

static void test_statistics_json(void **state)
{
    (void)state;
    weir_runs_statistics statistics = {.total = 11,
                                       .by_status = {1, 1, 6, 2, 1},
                                       .active = 2,
                                       .success_percent = 600.0 / 11.0,
                                       .timed = 3,
                                       .average_s = 2.66};
    assert_json(weir_runs_statistics_to_json(&statistics),
                "{\"total_executions\": 11, \"active_now\": 2, \"success_rate\": \"54.5%\", "
                "\"avg_duration\": \"2.7s\", "
                "\"status_breakdown\": {\"pending\": 1, \"running\": 1, \"completed\": 6, \"failed\": 2, "
                "\"cancelled\": 1}}");
    statistics = (weir_runs_statistics){0};
    char *const json = weir_runs_statistics_to_json(&statistics);
    assert_non_null(strstr(json, "\"success_rate\": \"0.0%\", \"avg_duration\": \"-\""));
    free(json);
}

static void test_names_of_files(void **state)
{
    (void)state;
    assert_string_equal(weir__file_extension("a.b.PDF"), ".PDF");
    assert_string_equal(weir__file_extension(".bashrc"), "");
    assert_string_equal(weir__file_extension("dir.d/x"), "");
    assert_string_equal(weir__file_extension("x."), "");
    assert_string_equal(weir__mime_type("x.PDF"), "application/pdf");
    assert_string_equal(weir__mime_type("run.log"), "text/plain");
    assert_string_equal(weir__mime_type("x.jpeg"), "image/jpeg");
    assert_string_equal(weir__mime_type(".gz"), "application/octet-stream");
    assert_string_equal(weir__mime_type("x.svg"), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_transition), cmocka_unit_test(test_effects),
        cmocka_unit_test(test_execution_json),   cmocka_unit_test(test_step_json),
        cmocka_unit_test(test_artifact_json),    cmocka_unit_test(test_log_line_json),
        cmocka_unit_test(test_statistics_json),  cmocka_unit_test(test_names_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
