// SPDX-License-Identifier: MIT
//
// Scripts that really run: what is recorded of them, and that none can hold up another. Each test has a storage
// folder of its own. Where a script has to wait for the test, it reads from a fifo.
#include "support/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/process.h"
#include "base/text.h"
#include "runs/engine.h"
#include "runs/spawn.h"
#include "support/peer.h"
#include "weir/runs.h"

enum { patience_ms = 240000 };

typedef struct place {
    char directory[64];
    char storage[80];
    weir_runs *runs;
} place;

static void open_runs(place *here, const weir_runs_config *config)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir_runs_open(here->storage, config, &here->runs, &err) != WEIR_OK)
        fail_msg("cannot open: %s", err.text);
}

static void close_runs(place *here)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir_runs_close(here->runs, 0, &err) != WEIR_OK)
        fail_msg("cannot close: %s", err.text);
    here->runs = NULL;
}

static int set_up(void **state)
{
    place *const here = calloc(1, sizeof *here);
    (void)snprintf(here->directory, sizeof here->directory, "/tmp/weir-runs-engine-XXXXXX");
    if (mkdtemp(here->directory) == NULL)
        return -1;
    (void)snprintf(here->storage, sizeof here->storage, "%s/storage", here->directory);
    *state = here;
    return 0;
}

static int tear_down(void **state)
{
    place *const here = *state;
    (void)weir_runs_close(here->runs, 0, NULL);
    const int rc = weir__fs_remove_tree(here->directory, NULL);
    free(here);
    return rc;
}

// Starts `sh -c script` in the test's directory.
static void start(place *here, const char *script, uint64_t timeout_ms, char id[WEIR_ID_SIZE])
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const weir_run_request request = {
        .argv = argv, .name = "test", .working_directory = here->directory, .timeout_ms = timeout_ms};
    weir_error err = WEIR_ERROR_INIT;
    if (weir_runs_start(here->runs, &request, id, NULL, &err) != WEIR_OK)
        fail_msg("not started: %s", err.text);
}

static void finish(place *here, const char *id, weir_run_detail *detail)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir_runs_wait(here->runs, id, patience_ms, NULL, &err) != WEIR_OK ||
        weir_runs_get_detail(here->runs, id, detail, &err) != WEIR_OK)
        fail_msg("run %s: %s", id, err.text);
}

static void run(place *here, const char *script, weir_run_detail *detail)
{
    char id[WEIR_ID_SIZE];
    start(here, script, 0, id);
    finish(here, id, detail);
}

// "name:status:exit:error" for each step, separated by '|'.
static void assert_steps(const weir_run_detail *detail, const char *expected)
{
    weir__text seen = {0};
    for (size_t i = 0; i < detail->steps.count; i++) {
        const weir_run_step *const step = &detail->steps.items[i];
        weir__text_printf(&seen, "%s%s:%s:", i > 0 ? "|" : "", step->name,
                          weir_run_status_name(step->status));
        if (step->has_exit_code)
            weir__text_printf(&seen, "%lld", (long long)step->exit_code);
        weir__text_printf(&seen, ":%s", step->error_message != NULL ? step->error_message : "");
        assert_int_equal(step->index, i);
    }
    assert_string_equal(weir__text_string(&seen), expected);
    weir__text_free(&seen);
}

// "status:exit:error:completed/total"
static void assert_execution(const weir_run_detail *detail, const char *expected)
{
    const weir_execution *const execution = &detail->execution;
    weir__text seen = {0};
    weir__text_printf(&seen, "%s:", weir_run_status_name(execution->status));
    if (execution->has_exit_code)
        weir__text_printf(&seen, "%lld", (long long)execution->exit_code);
    weir__text_printf(&seen, ":%s:%lld/%lld",
                      execution->error_message != NULL ? execution->error_message : "",
                      (long long)execution->completed_steps, (long long)execution->total_steps);
    assert_string_equal(weir__text_string(&seen), expected);
    weir__text_free(&seen);
}

// The lines of a step (or those outside steps), separated by '|'.
static void assert_log(place *here, const weir_run_detail *detail, const char *step_id, const char *expected)
{
    weir_log_list logs = {0};
    weir_error err = WEIR_ERROR_INIT;
    const weir_logs_query query = {.step_id = step_id, .outside_only = step_id == NULL};
    if (weir_runs_logs(here->runs, detail->execution.id, &query, &logs, &err) != WEIR_OK)
        fail_msg("logs: %s", err.text);
    weir__text seen = {0};
    for (size_t i = 0; i < logs.count; i++)
        weir__text_printf(&seen, "%s%s", i > 0 ? "|" : "", logs.items[i].content);
    assert_string_equal(weir__text_string(&seen), expected);
    weir__text_free(&seen);
    weir_log_list_free(&logs);
}

static void write_fifo(const char *directory, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(mkfifo(path, 0666), 0);
}

// Blocks until a script has opened the fifo to read, then lets all its readers go on.
static void release(const char *directory, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    const int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    close(fd);
}

// Whether the process is gone, or only its zombie is left.
static bool has_vanished(void *arg)
{
    uint64_t start_ticks;
    return weir__process_start_ticks(*(const pid_t *)arg, &start_ticks, NULL) == WEIR_NOTFOUND;
}

static bool vanishes(pid_t pid)
{
    return await(has_vanished, &pid);
}

typedef struct number_file {
    char path[128];
    long number;
} number_file;

static bool holds_a_number(void *arg)
{
    number_file *const file = arg;
    char *data = NULL;
    size_t size = 0;
    const int rc = weir__fs_read_file(file->path, 100, &data, &size, NULL);
    const bool whole = rc == WEIR_OK && size > 0 && data[size - 1] == '\n';
    file->number = whole ? strtol(data, NULL, 10) : 0;
    free(data);
    return whole;
}

// A number that a script writes into a file of the test's directory.
static long number_in(place *here, const char *name)
{
    number_file file;
    (void)snprintf(file.path, sizeof file.path, "%s/%s", here->directory, name);
    if (!await(holds_a_number, &file))
        fail_msg("the script never wrote %s", name);
    return file.number;
}

// ------------------------------------------------------------------------------------------------ records

static void a_script_is_recorded_whole(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here,
        "echo before\n"
        "echo 'STEP_START:Build [duration=1.5] [level=3]'\n"
        "echo '  compiling'; echo 'META:compiler:cc'; echo done >&2\n"
        "echo hello > out.txt; echo 'ARTIFACT: out.txt : the output'\n"
        "echo 'STEP_START:Test'\n"
        "printf 'half\\rfull\\r\\nlast'; echo; echo STEP_COMPLETE:Test\n"
        "echo META:outside:yes; printf 'no newline'",
        &detail);
    assert_execution(&detail, "completed:0::2/2");
    assert_steps(&detail, "Build:completed:0:|Test:completed:0:");
    assert_string_equal(detail.execution.metadata_json, "{\"outside\": \"yes\"}");
    assert_string_equal(detail.steps.items[0].metadata_json,
                        "{\"duration\": 1.5, \"level\": 3, \"compiler\": \"cc\"}");
    assert_true(detail.steps.items[0].estimated_duration == 1.5);
    assert_int_equal(detail.execution.current_step_index, 1);
    assert_log(here, &detail, detail.steps.items[0].id, "  compiling|done");
    assert_log(here, &detail, detail.steps.items[1].id, "half|full|last");
    assert_log(here, &detail, NULL, "before|no newline");
    assert_int_equal(detail.artifacts.count, 1);
    const weir_artifact *const artifact = &detail.artifacts.items[0];
    assert_string_equal(artifact->name, "out.txt");
    assert_string_equal(artifact->description, "the output");
    assert_string_equal(artifact->step_id, detail.steps.items[0].id);
    assert_int_equal(artifact->file_size, 6);
    assert_true(artifact->exists);
    assert_non_null(strstr(artifact->file_path, "/artifacts/"));
    weir_run_detail_free(&detail);
}

static void a_run_is_running_when_its_start_returns(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_execution execution;
    weir_run_detail detail;
    open_runs(here, NULL);
    write_fifo(here->directory, "go");
    start(here, "echo STEP_START:A; read line < go; exit 3", 0, id);
    assert_int_equal(weir_runs_get(here->runs, id, &execution, NULL), WEIR_OK);
    assert_string_equal(weir_run_status_name(execution.status), "running");
    assert_true(execution.started_at > 0);
    weir_execution_free(&execution);
    assert_int_equal(weir_runs_active_count(here->runs), 1);
    assert_int_equal(weir_runs_wait(here->runs, id, 0, &execution, NULL), WEIR_EXPIRED);
    assert_string_equal(execution.id, id);
    weir_execution_free(&execution);
    release(here->directory, "go");
    finish(here, id, &detail);
    assert_execution(&detail, "failed:3::0/1");
    assert_steps(&detail, "A:failed:3:");
    assert_int_equal(weir_runs_active_count(here->runs), 0);
    weir_run_detail_free(&detail);
}

static void markers_without_sense_do_no_harm(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here,
        "echo STEP_COMPLETE:None; echo STEP_ERROR:none; echo META:novalue; echo 'ARTIFACT: : x'\n"
        "echo 'STEP_START:[a=1]'; echo STEP_COMPLETE:other; echo 'SCHEMA_META:k:v'\n"
        "echo STEP_START:B; echo 'STEP_ERROR:it broke [x=1]'; echo after\n"
        "echo ARTIFACT:missing.bin; echo ARTIFACT:.",
        &detail);
    assert_execution(&detail, "completed:0::1/2");
    assert_steps(&detail, ":completed:0:|B:failed:1:it broke [x=1]");
    assert_log(here, &detail, NULL, "ARTIFACT: : x|after");
    assert_log(here, &detail, detail.steps.items[0].id, "SCHEMA_META:k:v");
    assert_string_equal(detail.steps.items[0].metadata_json, "{\"a\": 1, \"k\": \"v\"}");
    assert_int_equal(detail.artifacts.count, 2);
    assert_false(detail.artifacts.items[0].exists);
    assert_int_equal(detail.artifacts.items[0].file_size, 0);
    assert_non_null(strstr(detail.artifacts.items[1].metadata_json, "directory"));
    weir_run_detail_free(&detail);
}

static void strict_markers_leave_chance_hits_alone(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, &(weir_runs_config){.strict_markers = true});
    run(here, "echo 'Uploading artifact: foo.bin'; echo step_start:x; echo STEP_START:y", &detail);
    assert_steps(&detail, "y:completed:0:");
    assert_int_equal(detail.artifacts.count, 0);
    assert_log(here, &detail, NULL, "Uploading artifact: foo.bin|step_start:x");
    weir_run_detail_free(&detail);
}

// More than a pipe holds, none of it text.
static void output_that_is_no_text_does_not_end_the_run(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here,
        "echo STEP_START:A; head -c 300000 /dev/zero | tr '\\0' '\\377'; echo; printf '\\303'; printf "
        "'\\251\\n'\n"
        "echo STEP_COMPLETE:A",
        &detail);
    assert_execution(&detail, "completed:0::1/1");
    weir_log_list logs;
    const weir_logs_query query = {.step_id = detail.steps.items[0].id};
    assert_int_equal(weir_runs_logs(here->runs, detail.execution.id, &query, &logs, NULL), WEIR_OK);
    assert_int_equal(logs.count, 2);
    assert_int_equal(logs.items[0].content_size, 900000);
    assert_string_equal(logs.items[1].content, "\xC3\xA9");
    weir_log_list_free(&logs);
    weir_run_detail_free(&detail);
}

typedef struct line_check {
    uint64_t next;
    bool in_order;
} line_check;

static bool check_line(void *context, const weir_log_line *line)
{
    line_check *const check = context;
    check->in_order = check->in_order && (uint64_t)strtoull(line->content, NULL, 10) == ++check->next;
    return true;
}

static void a_hundred_thousand_lines_arrive_in_order(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here, "echo STEP_START:A; seq 100000; echo STEP_COMPLETE:A", &detail);
    assert_execution(&detail, "completed:0::1/1");
    line_check check = {.in_order = true};
    uint64_t total = 0;
    const weir_logs_query query = {.step_id = detail.steps.items[0].id};
    assert_int_equal(
        weir_runs_read_logs(here->runs, detail.execution.id, &query, check_line, &check, &total, NULL),
        WEIR_OK);
    assert_int_equal(total, 100000);
    assert_int_equal(check.next, 100000);
    assert_true(check.in_order);
    weir_run_detail_free(&detail);
}

static void many_steps_are_all_saved(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here, "i=0; while [ $i -lt 700 ]; do echo \"STEP_START:s$i\"; echo \"line $i\"; i=$((i+1)); done",
        &detail);
    assert_execution(&detail, "completed:0::700/700");
    assert_int_equal(detail.steps.count, 700);
    for (size_t i = 0; i < detail.steps.count; i++)
        assert_int_equal(detail.steps.items[i].status, WEIR_RUN_COMPLETED);
    assert_log(here, &detail, detail.steps.items[699].id, "line 699");
    weir_run_detail_free(&detail);
}

// -------------------------------------------------------------------------------------------------- starting

static void assert_start_fails(place *here, const char *const *argv, const char *directory,
                               const char *expected)
{
    char id[WEIR_ID_SIZE];
    weir_execution execution;
    weir_error err = WEIR_ERROR_INIT;
    const weir_run_request request = {.argv = argv, .working_directory = directory};
    if (weir_runs_start(here->runs, &request, id, &execution, &err) != WEIR_OK)
        fail_msg("not accepted: %s", err.text);
    assert_string_equal(execution.error_message, expected);
    weir_execution_free(&execution);
    weir_run_detail detail;
    finish(here, id, &detail);
    weir__text text = {0};
    weir__text_printf(&text, "failed:1:%s:0/0", expected);
    assert_execution(&detail, weir__text_string(&text));
    weir__text_free(&text);
    weir_run_detail_free(&detail);
}

static void what_cannot_start_is_recorded_as_failed(void **state)
{
    place *const here = *state;
    open_runs(here, NULL);
    assert_start_fails(here, (const char *const[]){"weir-nothing", NULL}, NULL,
                       "[Errno 2] No such file or directory: 'weir-nothing'");
    assert_start_fails(here, (const char *const[]){"sh", NULL}, "/nowhere",
                       "[Errno 2] No such file or directory: '/nowhere'");
    assert_start_fails(here, (const char *const[]){"/etc/passwd", NULL}, NULL,
                       "[Errno 13] Permission denied: '/etc/passwd'");
}

static void assert_refused(place *here, const weir_run_request *request, const char *sentence)
{
    char id[WEIR_ID_SIZE];
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir_runs_start(here->runs, request, id, NULL, &err), WEIR_INVALID);
    assert_string_equal(err.text, sentence);
}

static void requests_that_make_no_sense_are_refused(void **state)
{
    place *const here = *state;
    open_runs(here, NULL);
    assert_refused(here, &(weir_run_request){0},
                   "there is no command to run: give a program and its arguments");
    assert_refused(here, &(weir_run_request){.command = "  "},
                   "there is no command to run: give a program and its arguments");
    assert_refused(here, &(weir_run_request){.command = "echo 'x"},
                   "the command has a ' that is not closed: echo 'x");
    assert_refused(here, &(weir_run_request){.command = "echo \xFF"}, "the command is not UTF-8");
    assert_refused(here, &(weir_run_request){.command = "echo", .tags_json = "{}"},
                   "the tags are not a JSON array");
    assert_refused(here, &(weir_run_request){.command = "echo", .metadata_json = "["},
                   "the metadata are not a JSON object");
    assert_int_equal(weir_runs_active_count(here->runs), 0);
}

static void a_request_is_recorded_as_it_was_made(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    const char *const redact[] = {"*token*", NULL};
    open_runs(here, &(weir_runs_config){.redact = redact});
    const char *const environment[] = {"API_TOKEN=secret", "B=x=y", NULL};
    const weir_run_request request = {
        .command = "sh -c 'echo \"$API_TOKEN $B\"; test -n \"$WEIR_EXECUTION_ID\"'",
        .working_directory = here->directory,
        .environment = environment,
        .tags_json = "[\"a\"]",
        .metadata_json = "{\"k\":1}",
        .user = "me",
    };
    assert_int_equal(weir_runs_start(here->runs, &request, id, NULL, NULL), WEIR_OK);
    finish(here, id, &detail);
    assert_execution(&detail, "completed:0::0/0");
    assert_string_equal(detail.execution.name, request.command);
    assert_string_equal(detail.execution.command,
                        "sh -c echo \"$API_TOKEN $B\"; test -n \"$WEIR_EXECUTION_ID\"");
    assert_string_equal(detail.execution.environment_json, "{\"API_TOKEN\": \"***\", \"B\": \"x=y\"}");
    assert_string_equal(detail.execution.tags_json, "[\"a\"]");
    assert_string_equal(detail.execution.metadata_json, "{\"k\": 1}");
    assert_string_equal(detail.execution.user, "me");
    assert_log(here, &detail, NULL, "secret x=y");
    weir_run_detail_free(&detail);
}

static void runs_beyond_the_limit_wait_in_order(void **state)
{
    place *const here = *state;
    enum { count = 5 };
    char ids[count][WEIR_ID_SIZE];
    weir_execution execution;
    open_runs(here, &(weir_runs_config){.max_running = 1, .max_queued = count - 1});
    write_fifo(here->directory, "go");
    start(here, "read line < go; echo 0 >> order", 0, ids[0]);
    for (int i = 1; i < count; i++) {
        char script[64];
        (void)snprintf(script, sizeof script, "echo %d >> order", i);
        start(here, script, 0, ids[i]);
        assert_int_equal(weir_runs_get(here->runs, ids[i], &execution, NULL), WEIR_OK);
        assert_string_equal(weir_run_status_name(execution.status), "pending");
        weir_execution_free(&execution);
    }
    char id[WEIR_ID_SIZE];
    weir_error err = WEIR_ERROR_INIT;
    const weir_run_request one_more = {.command = "true"};
    assert_int_equal(weir_runs_start(here->runs, &one_more, id, NULL, &err), WEIR_BUSY);
    assert_string_equal(err.text, "5 runs are running or waiting, which is the limit");
    assert_int_equal(weir_runs_cancel(here->runs, ids[2], NULL), WEIR_OK);
    weir_run_detail detail;
    finish(here, ids[2], &detail);
    assert_execution(&detail, "cancelled:::0/0");
    weir_run_detail_free(&detail);
    release(here->directory, "go");
    finish(here, ids[count - 1], &detail);
    weir_run_detail_free(&detail);
    char path[128];
    char *data = NULL;
    size_t size = 0;
    (void)snprintf(path, sizeof path, "%s/order", here->directory);
    assert_int_equal(weir__fs_read_file(path, 100, &data, &size, NULL), WEIR_OK);
    assert_string_equal(data, "0\n1\n3\n4\n");
    free(data);
}

// -------------------------------------------------------------------------------------------------- ending

static void a_signal_is_a_negative_exit_code(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here, "echo STEP_START:A; kill -USR1 $$", &detail);
    assert_execution(&detail, "failed:-10::0/1");
    assert_steps(&detail, "A:failed:-10:");
    weir_run_detail_free(&detail);
}

static void a_timeout_counts_from_the_start(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, NULL);
    write_fifo(here->directory, "never");
    start(here, "echo STEP_START:A; echo $$ > pid; read line < never", 1500, id);
    const pid_t pid = (pid_t)number_in(here, "pid");
    finish(here, id, &detail);
    assert_execution(&detail, "failed:-1:Execution timed out:0/1");
    assert_steps(&detail, "A:failed:-1:Execution timed out");
    assert_true(vanishes(pid));
    weir_run_detail_free(&detail);
}

// The child that goes on does not make a script late that ended in time.
static void who_ended_in_time_is_not_timed_out(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, &(weir_runs_config){.wait_for_eof = true});
    start(here, "echo STEP_START:A; sleep 1000 & echo $! > child; echo last", 5000, id);
    const pid_t child = (pid_t)number_in(here, "child");
    finish(here, id, &detail);
    assert_execution(&detail, "completed:0::1/1");
    assert_log(here, &detail, detail.steps.items[0].id, "last");
    assert_int_equal(kill(child, SIGKILL), 0); // was left alone
    weir_run_detail_free(&detail);
}

static void a_critical_error_stops_at_once(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    write_fifo(here->directory, "never");
    run(here,
        "echo 'STEP_START:A [stop_on_error=true]'; echo 'STEP_ERROR:no space'; read line < never; echo "
        "STEP_START:B",
        &detail);
    assert_execution(&detail, "failed:1:Critical step failed: A - no space:0/1");
    assert_steps(&detail, "A:failed:1:no space");
    weir_run_detail_free(&detail);
}

// The script prints on while it is being ended: that is log, not a step.
static void markers_after_a_critical_error_are_lines(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here,
        "trap 'echo STEP_START:C; exit 0' TERM\n"
        "echo 'STEP_START:A [stop_on_error=yes]'; echo STEP_ERROR:x\n"
        "while :; do read line < /dev/null; done",
        &detail);
    assert_execution(&detail, "failed:1:Critical step failed: A - x:0/1");
    assert_steps(&detail, "A:failed:1:x");
    assert_log(here, &detail, NULL, "STEP_START:C");
    weir_run_detail_free(&detail);
}

static void a_critical_exit_keeps_its_code(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here, "echo 'STEP_START:A [stop_on_error=true]'; exit 7", &detail);
    assert_execution(&detail, "failed:7:Critical step failed with exit code 7: A:0/1");
    assert_steps(&detail, "A:failed:7:");
    weir_run_detail_free(&detail);
}

static void cancel_ends_the_whole_group(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, NULL);
    write_fifo(here->directory, "never");
    start(here, "echo STEP_START:A; (echo $$; sh -c 'echo $$ > pid; read line < never'); :", 0, id);
    const pid_t grandchild = (pid_t)number_in(here, "pid");
    assert_int_equal(weir_runs_cancel(here->runs, id, NULL), WEIR_OK);
    finish(here, id, &detail);
    assert_execution(&detail, "cancelled:-15::0/1");
    assert_steps(&detail, "A:failed:-15:cancelled");
    assert_true(vanishes(grandchild));
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir_runs_cancel(here->runs, id, &err), WEIR_NOTFOUND);
    assert_int_equal(weir_runs_cancel(here->runs, "nothing", &err), WEIR_NOTFOUND);
    weir_run_detail_free(&detail);
}

static void who_ignores_sigterm_gets_sigkill(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, &(weir_runs_config){.cancel_grace_ms = 100});
    write_fifo(here->directory, "never");
    start(here, "trap '' TERM; echo $$ > pid; while :; do read line < never; done", 0, id);
    (void)number_in(here, "pid");
    assert_int_equal(weir_runs_cancel(here->runs, id, NULL), WEIR_OK);
    finish(here, id, &detail);
    assert_execution(&detail, "cancelled:-9::0/0");
    weir_run_detail_free(&detail);
}

// With a grace that this test would not outlive.
static void who_is_cancelled_again_gets_sigkill_at_once(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, &(weir_runs_config){.cancel_grace_ms = 600000});
    write_fifo(here->directory, "never");
    start(here, "trap '' TERM; echo $$ > pid; while :; do read line < never; done", 0, id);
    (void)number_in(here, "pid");
    assert_int_equal(weir_runs_cancel(here->runs, id, NULL), WEIR_OK);
    assert_int_equal(weir_runs_cancel(here->runs, id, NULL), WEIR_OK);
    finish(here, id, &detail);
    assert_execution(&detail, "cancelled:-9::0/0");
    weir_run_detail_free(&detail);
}

// The leader ends on SIGTERM, its child does not: the group is what counts.
static void a_child_that_ignores_sigterm_is_ended_too(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, &(weir_runs_config){.cancel_grace_ms = 100});
    write_fifo(here->directory, "never");
    start(here, "sh -c 'trap \"\" TERM; echo $$ > pid; while :; do read line < never; done' & wait", 0, id);
    const pid_t child = (pid_t)number_in(here, "pid");
    assert_int_equal(weir_runs_cancel(here->runs, id, NULL), WEIR_OK);
    finish(here, id, &detail);
    assert_execution(&detail, "cancelled:-15::0/0");
    assert_true(vanishes(child));
    weir_run_detail_free(&detail);
}

static void a_child_that_holds_the_pipe_does_not_hold_the_run(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, &(weir_runs_config){.idle_grace_ms = 100});
    write_fifo(here->directory, "go");
    run(here, "(echo $$ > pid; read line < go) & echo out", &detail);
    assert_execution(&detail, "completed:0::0/0");
    assert_log(here, &detail, NULL, "out");
    (void)number_in(here, "pid");
    release(here->directory, "go"); // it is still alive: nobody ended it
    weir_run_detail_free(&detail);
}

// A child that left the session and prints for ever cannot keep a cancelled run from ending.
static void who_escapes_cannot_hold_a_cancelled_run(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, &(weir_runs_config){.cancel_grace_ms = 50});
    write_fifo(here->directory, "never");
    start(here, "setsid sh -c 'echo $$ > pid; while echo x; do :; done' & read line < never", 0, id);
    const pid_t escaped = (pid_t)number_in(here, "pid");
    assert_int_equal(weir_runs_cancel(here->runs, id, NULL), WEIR_OK);
    finish(here, id, &detail);
    assert_execution(&detail, "cancelled:-15::0/0");
    weir_run_detail_free(&detail);
    assert_true(vanishes(escaped)); // of SIGPIPE
}

// Something is in the way of the log: the run goes on, and says that its lines are missing.
static void a_log_that_cannot_be_written_is_said_so(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    char path[192];
    weir_run_detail detail;
    open_runs(here, NULL);
    write_fifo(here->directory, "go");
    start(here, "read line < go; echo STEP_START:A; echo lost; echo STEP_COMPLETE:A", 0, id);
    (void)snprintf(path, sizeof path, "%s/executions/%s", here->storage, id);
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir__fs_write_atomic(path, "", 0, 0666, &err), &err);
    release(here->directory, "go");
    finish(here, id, &detail);
    assert_execution(&detail, "completed:0::1/1");
    expect_contains(detail.steps.items[0].metadata_json, "{\"log_error\": \"");
    weir_run_detail_free(&detail);
    weir_finding findings[8];
    assert_true(weir_runs_health(here->runs, findings, 8) > 0);
    assert_string_equal(findings[0].name, "logs-failing");
    expect_contains(findings[0].seen, "34 bytes wait in memory, 0 are lost: cannot open the folder");
    assert_int_not_equal(weir_runs_close(here->runs, 0, &err), WEIR_OK);
    here->runs = NULL;
    expect_contains(err.text, "bytes of log lines could not be written");
}

// Runs more scripts than there are descriptors for, in a process with a low limit; what is wrong comes as its status.
static int run_with_few_descriptors(const place *here)
{
    enum { count = 100 };
    const struct rlimit few = {.rlim_cur = 256, .rlim_max = 256};
    const weir_run_request request = {.command = "sh -c 'echo STEP_START:A; echo x'"};
    char ids[count][WEIR_ID_SIZE];
    weir_runs *runs = NULL;
    if (setrlimit(RLIMIT_NOFILE, &few) != 0 || weir_runs_open(here->storage, NULL, &runs, NULL) != WEIR_OK)
        return 1;
    for (int i = 0; i < count; i++) {
        if (weir_runs_start(runs, &request, ids[i], NULL, NULL) != WEIR_OK)
            return 2;
    }
    for (int i = 0; i < count; i++) {
        weir_execution execution;
        if (weir_runs_wait(runs, ids[i], patience_ms, &execution, NULL) != WEIR_OK ||
            execution.status != WEIR_RUN_COMPLETED || execution.completed_steps != 1)
            return 3;
        weir_execution_free(&execution);
    }
    return weir_runs_close(runs, 0, NULL) == WEIR_OK ? 0 : 4;
}

static void few_descriptors_mean_fewer_at_a_time(void **state)
{
    const place *const here = *state;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run_with_few_descriptors(here));
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

static void a_forked_child_is_refused(void **state)
{
    place *const here = *state;
    open_runs(here, NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char id[WEIR_ID_SIZE];
        const bool refused = weir_runs_start(here->runs, &(weir_run_request){.command = "true"}, id, NULL,
                                             NULL) == WEIR_FORKED &&
                             weir_runs_cancel(here->runs, "x", NULL) == WEIR_FORKED &&
                             weir_runs_wait(here->runs, "x", 0, NULL, NULL) == WEIR_FORKED &&
                             weir_runs_close(here->runs, 0, NULL) == WEIR_FORKED;
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    weir_run_detail detail;
    run(here, "echo still here", &detail);
    assert_log(here, &detail, NULL, "still here");
    weir_run_detail_free(&detail);
}

static void waiting_for_eof_is_a_choice(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, &(weir_runs_config){.idle_grace_ms = 1, .wait_for_eof = true});
    write_fifo(here->directory, "go");
    start(here, "(echo $$ > pid; read line < go; echo late) & echo out", 0, id);
    (void)number_in(here, "pid");
    assert_int_equal(weir_runs_wait(here->runs, id, 100, NULL, NULL), WEIR_EXPIRED);
    release(here->directory, "go");
    finish(here, id, &detail);
    assert_log(here, &detail, NULL, "out|late");
    weir_run_detail_free(&detail);
}

static void closing_cancels_what_runs(void **state)
{
    place *const here = *state;
    enum { count = 20 };
    char ids[count][WEIR_ID_SIZE];
    open_runs(here, &(weir_runs_config){.max_running = 10});
    write_fifo(here->directory, "never");
    for (int i = 0; i < count; i++)
        start(here, "echo STEP_START:A; read line < never", 0, ids[i]);
    const uint64_t began_ms = now_ms();
    close_runs(here);
    assert_true(now_ms() - began_ms < 10000);
    open_runs(here, &(weir_runs_config){.no_engine = true});
    for (int i = 0; i < count; i++) {
        weir_execution execution;
        assert_int_equal(weir_runs_get(here->runs, ids[i], &execution, NULL), WEIR_OK);
        assert_string_equal(weir_run_status_name(execution.status), "cancelled");
        weir_execution_free(&execution);
    }
    char id[WEIR_ID_SIZE];
    assert_int_equal(weir_runs_start(here->runs, &(weir_run_request){.command = "true"}, id, NULL, NULL),
                     WEIR_UNSUPPORTED);
}

static void closing_with_grace_lets_runs_end(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    open_runs(here, NULL);
    start(here, "exec sleep 0.2", 0, id);
    assert_int_equal(weir_runs_close(here->runs, 30000, NULL), WEIR_OK);
    here->runs = NULL;
    open_runs(here, NULL);
    weir_run_detail detail;
    finish(here, id, &detail);
    assert_execution(&detail, "completed:0::0/0");
    weir_run_detail_free(&detail);
}

// ------------------------------------------------------------------------------------------------- events

typedef struct event_story {
    pthread_mutex_t lock;
    weir__text text; // under lock
    place *here;
    bool behind; // under lock: an event spoke of what was not committed
} event_story;

static void tell(void *context, const weir_run_event *event)
{
    static const char *const names[] = {"queued",       "started",    "changed",  "ended", "step",
                                        "step-changed", "step-ended", "artifact", "log"};
    event_story *const story = context;
    if (event->kind == WEIR_RUN_EVENT_CHANGED || event->kind == WEIR_RUN_EVENT_STEP_CHANGED)
        return; // comes when there is time for it
    pthread_mutex_lock(&story->lock);
    weir__text_printf(&story->text, "%s", names[event->kind]);
    if (event->kind == WEIR_RUN_EVENT_LOG) {
        for (size_t i = 0; i < event->lines_count; i++)
            weir__text_printf(&story->text, " %s%s#%d", event->lines[i].step_name != NULL ? "in:" : "",
                              event->lines[i].content, (int)event->lines[i].number);
    } else if (event->step != NULL) {
        weir__text_printf(&story->text, " %s", event->step->name);
    }
    weir__text_char(&story->text, '\n');
    if (event->kind == WEIR_RUN_EVENT_STEP_ENDED) {
        weir_run_step step;
        if (weir_runs_get_step(story->here->runs, event->step->id, &step, NULL) != WEIR_OK ||
            step.status != event->step->status)
            story->behind = true;
        weir_run_step_free(&step);
    }
    pthread_mutex_unlock(&story->lock);
}

static void events_follow_their_commits(void **state)
{
    place *const here = *state;
    event_story story = {.here = here};
    uint64_t listener = 0;
    weir_run_detail detail;
    pthread_mutex_init(&story.lock, NULL);
    open_runs(here, NULL);
    assert_int_equal(weir_runs_listen(here->runs, tell, &story, &listener, NULL), WEIR_OK);
    run(here,
        "echo STEP_START:A; echo one; echo STEP_COMPLETE:A\n"
        "echo STEP_START:B; echo x > x; echo ARTIFACT:x; echo STEP_COMPLETE:B",
        &detail);
    weir_runs_unlisten(here->runs, listener);
    assert_string_equal(weir__text_string(&story.text),
                        "queued\nstarted\nstep A\nlog in:one#0\nstep-ended A\n"
                        "step B\nartifact B\nstep-ended B\nended\n");
    assert_false(story.behind);
    weir__text_free(&story.text);
    weir_run_detail_free(&detail);
    pthread_mutex_destroy(&story.lock);
}

// -------------------------------------------------------------------------------------------------- many

static void silent_scripts_do_not_delay_others(void **state)
{
    place *const here = *state;
    enum { silent = 100 };
    char ids[silent][WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, NULL);
    write_fifo(here->directory, "never");
    for (int i = 0; i < silent; i++)
        start(here, "read line < never", 0, ids[i]);
    run(here, "echo STEP_START:A; echo STEP_COMPLETE:A", &detail);
    assert_execution(&detail, "completed:0::1/1");
    assert_int_equal(weir_runs_active_count(here->runs), silent); // it came to its end before all of them
    weir_run_detail_free(&detail);
}

static void on_started(void *context, const weir_error *result, const weir_execution *execution)
{
    (void)execution;
    atomic_int *const started = context;
    atomic_fetch_add(started, result->code == WEIR_OK ? 1 : 1000000);
}

typedef struct crowd {
    const char *path;
    int64_t bytes;
} crowd;

static bool has_grown(void *arg)
{
    const crowd *const all = arg;
    return file_bytes(all->path) >= all->bytes;
}

// A reader that was not there yet misses a release, so it is repeated until no run is left.
static bool has_been_released(void *arg)
{
    place *const here = arg;
    char fifo[128];
    (void)snprintf(fifo, sizeof fifo, "%s/go", here->directory);
    const int fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return weir_runs_active_count(here->runs) == 0;
}

// All at once: each waits in the middle of its step until the last one has come that far.
static void a_thousand_scripts_at_a_time(void **state)
{
    place *const here = *state;
    enum { count = 1000 };
    atomic_int started = 0;
    open_runs(here, &(weir_runs_config){.max_running = count});
    write_fifo(here->directory, "go");
    const char *const argv[] = {
        "sh", "-c", "echo STEP_START:A; echo x; echo up >> up; read line < go; echo y; echo STEP_COMPLETE:A",
        NULL};
    const weir_run_request request = {.argv = argv, .name = "many", .working_directory = here->directory};
    for (int i = 0; i < count; i++) {
        weir_error err = WEIR_ERROR_INIT;
        if (weir_runs_start_async(here->runs, &request, on_started, &started, &err) != WEIR_OK)
            fail_msg("run %d: %s", i, err.text);
    }
    // All have written their line before any goes on.
    char up[128];
    (void)snprintf(up, sizeof up, "%s/up", here->directory);
    crowd all = {.path = up, .bytes = 3 * count};
    bool up_now = false;
    for (int i = 0; i < 5 && !up_now; i++) // a busy machine needs longer for so many
        up_now = await(has_grown, &all);
    assert_true(up_now);
    assert_true(await(has_been_released, here));
    assert_int_equal(started, count);
    weir_runs_statistics statistics;
    assert_int_equal(weir_runs_read_statistics(here->runs, &statistics, NULL), WEIR_OK);
    assert_int_equal(statistics.by_status[WEIR_RUN_COMPLETED], count);
}

// ------------------------------------------------------------------------------------- several processes

// A process with an engine that runs a script until somebody kills it.
static pid_t fork_engine(place *here, const char *script)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    char id[WEIR_ID_SIZE];
    weir_runs *runs = NULL;
    const char *const argv[] = {"sh", "-c", script, NULL};
    const weir_run_request request = {.argv = argv, .name = "child", .working_directory = here->directory};
    if (weir_runs_open(here->storage, NULL, &runs, NULL) != WEIR_OK ||
        weir_runs_start(runs, &request, id, NULL, NULL) != WEIR_OK)
        _exit(1);
    (void)weir_runs_wait(runs, id, patience_ms, NULL, NULL);
    _exit(weir_runs_close(runs, 0, NULL) == WEIR_OK ? 0 : 2);
}

static void newest(place *here, weir_run_detail *detail)
{
    weir_execution_list list;
    assert_int_equal(weir_runs_list(here->runs, NULL, &list, NULL), WEIR_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(weir_runs_get_detail(here->runs, list.items[0].id, detail, NULL), WEIR_OK);
    weir_execution_list_free(&list);
}

static bool has_a_step(void *arg)
{
    const place *const here = arg;
    return must_read_int64(weir_runs_store(here->runs), "SELECT count(*) FROM steps") > 0;
}

static void what_a_killed_engine_left_is_settled(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    write_fifo(here->directory, "never");
    // The leader ends with the engine; its child goes on silently and has to be found.
    const pid_t engine =
        fork_engine(here, "echo STEP_START:A; sh -c 'echo $$ > pid; read line < never' & wait");
    const pid_t script = (pid_t)number_in(here, "pid");
    open_runs(here, &(weir_runs_config){.no_engine = true});
    assert_true(await(has_a_step, here));
    close_runs(here);
    assert_int_equal(kill(engine, SIGKILL), 0);
    assert_int_equal(waitpid(engine, NULL, 0), engine);
    open_runs(here, NULL);
    newest(here, &detail);
    assert_execution(&detail, "failed::interrupted by server restart:0/1");
    assert_steps(&detail, "A:failed::interrupted by server restart");
    assert_true(detail.execution.completed_at > 0);
    assert_true(vanishes(script));
    weir_run_detail_free(&detail);
}

// A server that is up notices that another engine is killed.
static void an_engine_that_dies_later_is_noticed(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    write_fifo(here->directory, "never");
    const pid_t engine = fork_engine(here, "echo STEP_START:A; echo $$ > pid; read line < never");
    const pid_t script = (pid_t)number_in(here, "pid");
    open_runs(here, NULL);
    assert_true(await(has_a_step, here));
    newest(here, &detail);
    char id[WEIR_ID_SIZE];
    (void)snprintf(id, sizeof id, "%s", detail.execution.id);
    weir_run_detail_free(&detail);
    assert_int_equal(kill(engine, SIGKILL), 0);
    assert_int_equal(waitpid(engine, NULL, 0), engine);
    finish(here, id, &detail);
    assert_execution(&detail, "failed::interrupted by server restart:0/1");
    weir_run_detail_free(&detail);
    assert_true(vanishes(script));
}

enum {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    flood_kib_max = 1024 * 1024, // the sanitizers' own memory is not what is measured
#else
    flood_kib_max = 24 * 1024,
#endif
};

// Sixty megabytes as fast as they come: what cannot be written yet waits in the pipe, not in memory.
static void a_flood_stays_out_of_memory(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    struct rusage before;
    struct rusage after;
    open_runs(here, NULL);
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    run(here,
        "echo STEP_START:A; head -c 60000000 /dev/zero | tr '\\0' x | fold -w 1000; echo; echo "
        "STEP_COMPLETE:A",
        &detail);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_execution(&detail, "completed:0::1/1");
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, flood_kib_max);
    assert_int_equal(must_read_int64(weir_runs_store(here->runs), "SELECT max(lines) FROM weir_run_output"),
                     60000);
    weir_run_detail_free(&detail);
}

static void the_runs_of_a_living_engine_are_left_alone(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    write_fifo(here->directory, "go");
    const pid_t engine =
        fork_engine(here, "echo STEP_START:A; echo $$ > pid; read line < go; echo STEP_COMPLETE:A");
    (void)number_in(here, "pid");
    open_runs(here, NULL);
    assert_true(await(has_a_step, here));
    newest(here, &detail);
    assert_string_equal(weir_run_status_name(detail.execution.status), "running");
    char id[WEIR_ID_SIZE];
    (void)snprintf(id, sizeof id, "%s", detail.execution.id);
    weir_run_detail_free(&detail);
    run(here, "echo mine", &detail);
    assert_execution(&detail, "completed:0::0/0");
    weir_run_detail_free(&detail);
    release(here->directory, "go");
    finish(here, id, &detail); // waits for a run of the other process
    assert_execution(&detail, "completed:0::1/1");
    weir_run_detail_free(&detail);
    int status = -1;
    assert_int_equal(waitpid(engine, &status, 0), engine);
    assert_int_equal(status, 0);
}

static void a_run_of_another_process_can_be_cancelled(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    write_fifo(here->directory, "never");
    const pid_t engine = fork_engine(here, "echo $$ > pid; read line < never");
    (void)number_in(here, "pid");
    open_runs(here, &(weir_runs_config){.no_engine = true});
    newest(here, &detail);
    char id[WEIR_ID_SIZE];
    (void)snprintf(id, sizeof id, "%s", detail.execution.id);
    weir_run_detail_free(&detail);
    assert_int_equal(weir_runs_cancel(here->runs, id, NULL), WEIR_OK);
    finish(here, id, &detail);
    assert_execution(&detail, "cancelled:-15::0/0");
    weir_run_detail_free(&detail);
    int status = -1;
    assert_int_equal(waitpid(engine, &status, 0), engine);
    assert_int_equal(status, 0);
}

static void start_peer(place *here, peer *other)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/database/stepflow.db", here->storage);
    peer_start(other, path);
}

// Longer than any save may wait: they fail, are tried again and arrive in the end, once and in order.
static void a_foreign_write_lock_delays_records_and_loses_none(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    const weir_config store = {.write_deadline_ms = 100, .busy_timeout_ms = 20, .retry_base_ms = 10};
    write_fifo(here->directory, "go");
    open_runs(here, &(weir_runs_config){.store = &store});
    start(here,
          "echo $$ > pid; read line < go\n"
          "i=0; while [ $i -lt 100 ]; do echo \"STEP_START:s$i\"; echo \"line $i\"; i=$((i+1)); done; echo "
          "META:x:y",
          0, id);
    (void)number_in(here, "pid");
    peer other;
    start_peer(here, &other);
    peer_do(&other, "BEGIN IMMEDIATE");
    release(here->directory, "go");
    weir_error err = WEIR_ERROR_INIT;
    assert_int_equal(weir_runs_wait(here->runs, id, 1000, NULL, &err), WEIR_EXPIRED);
    assert_int_equal(weir_runs_active_count(here->runs), 1);
    peer_do(&other, "ROLLBACK");
    peer_stop(&other);
    finish(here, id, &detail);
    assert_execution(&detail, "completed:0::100/100");
    assert_int_equal(detail.steps.count, 100);
    for (size_t i = 0; i < detail.steps.count; i++)
        assert_int_equal(detail.steps.items[i].status, WEIR_RUN_COMPLETED);
    assert_log(here, &detail, detail.steps.items[99].id, "line 99");
    weir_run_detail_free(&detail);
}

// As StepFlow Monitor would: a row, no engine.
static void save_stranger(place *here)
{
    weir_execution execution;
    open_runs(here, &(weir_runs_config){.no_engine = true});
    assert_int_equal(weir_execution_init(&execution, NULL), WEIR_OK);
    assert_int_equal(weir_runs_save_execution(here->runs, &execution, NULL), WEIR_OK);
    weir_execution_free(&execution);
    close_runs(here);
}

static void rows_without_an_engine_count_when_nobody_else_is_there(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    save_stranger(here);
    peer other; // has the database open: the run might be its own
    start_peer(here, &other);
    open_runs(here, NULL);
    newest(here, &detail);
    assert_execution(&detail, "pending:::0/0");
    weir_run_detail_free(&detail);
    close_runs(here);
    peer_stop(&other);
    open_runs(here, NULL);
    newest(here, &detail);
    assert_execution(&detail, "failed::interrupted by server restart:0/0");
    weir_run_detail_free(&detail);
}

static void looking_changes_nothing(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    save_stranger(here);
    open_runs(here, &(weir_runs_config){.no_engine = true});
    newest(here, &detail);
    assert_execution(&detail, "pending:::0/0");
    weir_run_detail_free(&detail);
}

// ------------------------------------------------------------------------------------------ hostile output

// A progress bar in metadata: each value takes the place of the one before, and of its room.
static void metadata_that_is_replaced_takes_no_more_room(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    open_runs(here, NULL);
    run(here, "seq -f 'META:progress:%.0f' 1 100000", &detail);
    assert_string_equal(detail.execution.metadata_json, "{\"progress\": \"100000\"}");
    weir_run_detail_free(&detail);
    run(here,
        "awk 'BEGIN { v = \"x\"; while (length(v) < 100000) v = v v; v = substr(v, 1, 100000)\n"
        "for (i = 0; i < 30; i++) { print \"STEP_START:a\"; print \"META:k:\" v } }'",
        &detail);
    assert_int_equal(detail.steps.count, 30);
    for (size_t i = 0; i < detail.steps.count; i++)
        assert_int_equal(strlen(detail.steps.items[i].metadata_json), 100000 + strlen("{\"k\": \"\"}"));
    weir_run_detail_free(&detail);
}

// Every marker makes a copy of the run's metadata; what one read brings would be hundreds of megabytes.
static void many_markers_and_much_metadata_stay_out_of_memory(void **state)
{
    place *const here = *state;
    weir_run_detail detail;
    struct rusage before;
    struct rusage after;
    open_runs(here, NULL);
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    run(here,
        "awk 'BEGIN { v = \"x\"; while (length(v) < 900000) v = v v; v = substr(v, 1, 900000); print "
        "\"META:k:\" v\n"
        "for (i = 0; i < 300; i++) print \"STEP_START:a\" }'",
        &detail);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_execution(&detail, "completed:0::300/300");
    assert_int_equal(strlen(detail.execution.metadata_json), 900000 + strlen("{\"k\": \"\"}"));
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 4L * flood_kib_max);
    weir_run_detail_free(&detail);
}

static bool memory_for_logs_is_used_up(void *arg)
{
    place *const here = arg;
    weir_finding findings[8];
    const char *const waiting = "log files cannot be written, ";
    if (weir_runs_health(here->runs, findings, 8) == 0 || strstr(findings[0].seen, waiting) == NULL)
        return false;
    return strtoull(strstr(findings[0].seen, waiting) + strlen(waiting), NULL, 10) >= UINT64_C(64) << 20;
}

typedef struct log_wait {
    place *here;
    const char *id;
} log_wait;

static bool has_a_line(void *arg)
{
    const log_wait *const wait = arg;
    uint64_t lines = 0;
    weir_log_list logs;
    if (weir_runs_logs(wait->here->runs, wait->id, NULL, &logs, NULL) == WEIR_OK) {
        lines = logs.count;
        weir_log_list_free(&logs);
    }
    return lines > 0;
}

// The lines of one run that cannot be written use up the memory for lines. Another, whose own are all written, waits,
// and nothing of its own tells it when there is room again.
static void who_waits_for_room_of_others_goes_on(void **state)
{
    place *const here = *state;
    char greedy[WEIR_ID_SIZE];
    char other[WEIR_ID_SIZE];
    char path[192];
    weir_run_detail detail;
    weir_error err = WEIR_ERROR_INIT;
    open_runs(here, NULL);
    write_fifo(here->directory, "go");
    start(here,
          "read line < go; awk 'BEGIN { v = sprintf(\"%1000s\", \"\"); gsub(/ /, \"x\", v)\n"
          "for (s = 0; s < 80; s++) { print \"STEP_START:a\"; for (i = 0; i < 900; i++) print v } }'",
          0, greedy);
    (void)snprintf(path, sizeof path, "%s/executions/%s", here->storage, greedy);
    expect_ok(weir__fs_write_atomic(path, "", 0, 0666, &err), &err);
    release(here->directory, "go");
    assert_true(await(memory_for_logs_is_used_up, here));
    start(here, "head -c 400000 /dev/zero | tr '\\0' x | fold -w 1000", 0, other);
    assert_true(await(has_a_line, &(log_wait){here, other}));
    assert_int_equal(unlink(path), 0);
    finish(here, other, &detail);
    assert_execution(&detail, "completed:0::0/0");
    weir_run_detail_free(&detail);
    finish(here, greedy, &detail);
    assert_execution(&detail, "completed:0::80/80");
    weir_run_detail_free(&detail);
}

static void an_endless_timeout_is_none(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    open_runs(here, NULL);
    start(here, "sleep 0.1", UINT64_MAX / WEIR__NS_PER_MS + 1, id); // in nanoseconds less than one
    finish(here, id, &detail);
    assert_execution(&detail, "completed:0::0/0");
    weir_run_detail_free(&detail);
}

// ---------------------------------------------------------------------------------- who lives, and who does not

static bool is_idle(void *arg)
{
    const place *const here = arg;
    return weir_runs_active_count(here->runs) == 0;
}

// Somebody has ended the row of a run that waits: nobody would know of its script.
static void a_start_that_cannot_be_recorded_is_undone(void **state)
{
    place *const here = *state;
    char first[WEIR_ID_SIZE];
    char second[WEIR_ID_SIZE];
    weir_execution execution;
    weir_error err = WEIR_ERROR_INIT;
    open_runs(here, &(weir_runs_config){.max_running = 1});
    write_fifo(here->directory, "go");
    start(here, "read line < go", 0, first);
    start(here, "sleep 1000", 0, second);
    expect_ok(weir_runs_get(here->runs, second, &execution, &err), &err);
    expect_ok(weir_execution_cancel(&execution, &err), &err);
    expect_ok(weir_runs_save_execution(here->runs, &execution, &err), &err);
    weir_execution_free(&execution);
    release(here->directory, "go");
    assert_true(await(is_idle, here));
    expect_ok(weir_runs_get(here->runs, second, &execution, &err), &err);
    assert_string_equal(weir_run_status_name(execution.status), "cancelled");
    weir_execution_free(&execution);
}

// Orphans come to this process, which does not reap them, as the first process of a container may not.
static void zombies_do_not_make_a_cancel_wait(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_execution execution;
    weir_error err = WEIR_ERROR_INIT;
    open_runs(here, &(weir_runs_config){.cancel_grace_ms = 10 * patience_ms});
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    start(here, "sleep 1000 & echo $! > child; wait", 0, id);
    const pid_t child = (pid_t)number_in(here, "child");
    expect_ok(weir_runs_cancel(here->runs, id, &err), &err);
    expect_ok(weir_runs_wait(here->runs, id, patience_ms, &execution, &err), &err);
    assert_string_equal(weir_run_status_name(execution.status), "cancelled");
    weir_execution_free(&execution);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    assert_int_equal(waitpid(child, NULL, 0), child); // it was one
}

// A running row whose engine is a process that nobody can see.
static void save_run_of(place *here, const weir__process_id *engine, char id[WEIR_ID_SIZE])
{
    weir_execution execution;
    weir_error err = WEIR_ERROR_INIT;
    char boot_id[WEIR__BOOT_ID_SIZE];
    memcpy(boot_id, engine->boot_id, sizeof boot_id);
    expect_ok(weir_execution_init(&execution, &err), &err);
    expect_ok(weir_execution_start(&execution, &err), &err);
    const weir__run_record record = {.execution_id = execution.id,
                                     .engine_pid = engine->pid,
                                     .engine_start_ticks = (int64_t)engine->start_ticks,
                                     .engine_boot_id = boot_id};
    const weir__save_set set = {.execution = &execution, .record = &record};
    expect_ok(weir__runs_save_now(here->runs, &set, &err), &err);
    (void)snprintf(id, WEIR_ID_SIZE, "%s", execution.id);
    weir_execution_free(&execution);
}

// As an engine that died between the start and its commit leaves it.
static void a_script_whose_start_was_not_recorded_is_found(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    char variable[64];
    weir_run_detail detail;
    weir__process_id engine;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir__process_self(&engine, &err), &err);
    engine.start_ticks++;
    open_runs(here, &(weir_runs_config){.no_engine = true});
    save_run_of(here, &engine, id);
    close_runs(here);
    (void)snprintf(variable, sizeof variable, "WEIR_EXECUTION_ID=%s", id);
    const weir__spawn_request request = {
        .argv = (const char *const[]){"/bin/sleep", "1000", NULL},
        .environment = (const char *const[]){variable, NULL},
        .working_directory = "/",
    };
    weir__spawned script;
    expect_ok(weir__spawn(&request, &script, &err), &err);
    open_runs(here, NULL);
    const bool vanished = vanishes(script.pid);
    (void)kill(script.pid, SIGKILL);
    assert_int_equal(waitpid(script.pid, NULL, 0), script.pid);
    assert_true(vanished);
    close(script.pidfd);
    close(script.output);
    newest(here, &detail);
    assert_execution(&detail, "failed::interrupted by server restart:0/0");
    weir_run_detail_free(&detail);
}

// The kernel shows the environment, by which it is found, only a moment after the start.
static void a_script_that_is_being_started_is_found(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    char variable[64];
    weir__process_id engine;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir__process_self(&engine, &err), &err);
    engine.start_ticks++;
    open_runs(here, &(weir_runs_config){.no_engine = true});
    for (int i = 0; i < 40; i++) {
        save_run_of(here, &engine, id);
        (void)snprintf(variable, sizeof variable, "WEIR_EXECUTION_ID=%s", id);
        const weir__spawn_request request = {
            .argv = (const char *const[]){"/bin/sleep", "1000", NULL},
            .environment = (const char *const[]){variable, NULL},
            .working_directory = "/",
        };
        weir__spawned script;
        expect_ok(weir__spawn(&request, &script, &err), &err);
        const int rc = weir__engine_settle(here->runs, &err);
        const bool vanished = has_vanished(&script.pid);
        (void)kill(script.pid, SIGKILL);
        assert_int_equal(waitpid(script.pid, NULL, 0), script.pid);
        close(script.pidfd);
        close(script.output);
        expect_ok(rc, &err);
        assert_true(vanished);
    }
}

static void an_engine_of_another_namespace_lives_as_long_as_its_claim(void **state)
{
    place *const here = *state;
    char id[WEIR_ID_SIZE];
    weir_run_detail detail;
    weir__process_id engine;
    weir_error err = WEIR_ERROR_INIT;
    int claim = -1;
    expect_ok(weir__process_self(&engine, &err), &err);
    engine.start_ticks++; // no process that can be seen
    open_runs(here, &(weir_runs_config){.no_engine = true});
    save_run_of(here, &engine, id);
    expect_ok(weir__engine_claim(here->runs, &engine, &claim, &err), &err);
    close_runs(here);
    open_runs(here, NULL);
    newest(here, &detail);
    assert_execution(&detail, "running:::0/0");
    weir_run_detail_free(&detail);
    close_runs(here);
    assert_int_equal(close(claim), 0);
    open_runs(here, NULL);
    newest(here, &detail);
    assert_execution(&detail, "failed::interrupted by server restart:0/0");
    weir_run_detail_free(&detail);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_script_is_recorded_whole),
        TEST(a_run_is_running_when_its_start_returns),
        TEST(markers_without_sense_do_no_harm),
        TEST(strict_markers_leave_chance_hits_alone),
        TEST(output_that_is_no_text_does_not_end_the_run),
        TEST(a_hundred_thousand_lines_arrive_in_order),
        TEST(many_steps_are_all_saved),
        TEST(what_cannot_start_is_recorded_as_failed),
        TEST(requests_that_make_no_sense_are_refused),
        TEST(a_request_is_recorded_as_it_was_made),
        TEST(runs_beyond_the_limit_wait_in_order),
        TEST(a_signal_is_a_negative_exit_code),
        TEST(a_timeout_counts_from_the_start),
        TEST(who_ended_in_time_is_not_timed_out),
        TEST(a_critical_error_stops_at_once),
        TEST(markers_after_a_critical_error_are_lines),
        TEST(a_critical_exit_keeps_its_code),
        TEST(cancel_ends_the_whole_group),
        TEST(who_ignores_sigterm_gets_sigkill),
        TEST(who_is_cancelled_again_gets_sigkill_at_once),
        TEST(a_child_that_ignores_sigterm_is_ended_too),
        TEST(a_child_that_holds_the_pipe_does_not_hold_the_run),
        TEST(waiting_for_eof_is_a_choice),
        TEST(who_escapes_cannot_hold_a_cancelled_run),
        TEST(a_log_that_cannot_be_written_is_said_so),
        TEST(few_descriptors_mean_fewer_at_a_time),
        TEST(a_forked_child_is_refused),
        TEST(closing_cancels_what_runs),
        TEST(closing_with_grace_lets_runs_end),
        TEST(events_follow_their_commits),
        TEST(silent_scripts_do_not_delay_others),
        TEST(a_thousand_scripts_at_a_time),
        TEST(what_a_killed_engine_left_is_settled),
        TEST(an_engine_that_dies_later_is_noticed),
        TEST(the_runs_of_a_living_engine_are_left_alone),
        TEST(a_flood_stays_out_of_memory),
        TEST(a_run_of_another_process_can_be_cancelled),
        TEST(a_foreign_write_lock_delays_records_and_loses_none),
        TEST(rows_without_an_engine_count_when_nobody_else_is_there),
        TEST(looking_changes_nothing),
        TEST(metadata_that_is_replaced_takes_no_more_room),
        TEST(many_markers_and_much_metadata_stay_out_of_memory),
        TEST(who_waits_for_room_of_others_goes_on),
        TEST(an_endless_timeout_is_none),
        TEST(a_start_that_cannot_be_recorded_is_undone),
        TEST(zombies_do_not_make_a_cancel_wait),
        TEST(a_script_whose_start_was_not_recorded_is_found),
        TEST(a_script_that_is_being_started_is_found),
        TEST(an_engine_of_another_namespace_lives_as_long_as_its_claim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
