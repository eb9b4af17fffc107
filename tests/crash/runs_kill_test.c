// SPDX-License-Identifier: MIT
//
// kill -9 of a process that runs scripts, at any moment: what it has announced is there when the folder is opened
// again, no row says that something still runs, and no script lives on.
//
// The process announces ended steps through a pipe, as listeners hear of them, that is after their commit. It is killed
// after a number of announcements taken from a seed, which is printed.
#include "support/store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/process.h"
#include "base/random.h"
#include "weir/runs.h"

enum { rounds = 12, scripts = 8, announced_max = 400 };

typedef struct place {
    char directory[64];
    char storage[80];
} place;

static int set_up(void **state)
{
    place *const here = calloc(1, sizeof *here);
    (void)snprintf(here->directory, sizeof here->directory, "/tmp/weir-runs-kill-XXXXXX");
    if (mkdtemp(here->directory) == NULL)
        return -1;
    (void)snprintf(here->storage, sizeof here->storage, "%s/storage", here->directory);
    *state = here;
    return 0;
}

static int tear_down(void **state)
{
    place *const here = *state;
    const int rc = weir__fs_remove_tree(here->directory, NULL);
    free(here);
    return rc;
}

// ------------------------------------------------------------------------------ the process to be killed

// Lines of one size each, which a pipe takes whole.
static void announce(void *context, const weir_run_event *event)
{
    char line[WEIR_ID_SIZE];
    if (event->kind != WEIR_RUN_EVENT_STEP_ENDED)
        return;
    memcpy(line, event->step->id, sizeof line - 1);
    line[sizeof line - 1] = '\n';
    if (write(*(int *)context, line, sizeof line) != sizeof line)
        _exit(3);
}

static void run_until_killed(const place *here, int out)
{
    const char *const argv[] = {"sh", "-c",
                                "echo $$ >> pids; i=0; while :; do echo \"STEP_START:s$i\"; echo \"line of "
                                "s$i\"; echo x > f; echo ARTIFACT:f\n"
                                "echo \"STEP_COMPLETE:s$i\"; i=$((i+1)); done",
                                NULL};
    const weir_run_request request = {.argv = argv, .name = "endless", .working_directory = here->directory};
    weir_runs *runs = NULL;
    uint64_t listener;
    char id[WEIR_ID_SIZE];
    if (weir_runs_open(here->storage, NULL, &runs, NULL) != WEIR_OK ||
        weir_runs_listen(runs, announce, &out, &listener, NULL) != WEIR_OK)
        _exit(1);
    for (int i = 0; i < scripts; i++) {
        if (weir_runs_start(runs, &request, id, NULL, NULL) != WEIR_OK)
            _exit(2);
    }
    for (;;)
        pause();
}

// ------------------------------------------------------------------------------------------ after the kill

// Gone, or only its zombie is left.
static bool pid_has_gone(void *arg)
{
    uint64_t start_ticks;
    return weir__process_start_ticks(*(const pid_t *)arg, &start_ticks, NULL) == WEIR_NOTFOUND;
}

static void expect_no_script_alive(const place *here)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/pids", here->directory);
    FILE *const file = fopen(path, "re");
    char line[32];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        pid_t pid = (pid_t)strtol(line, NULL, 10);
        if (!await(pid_has_gone, &pid))
            fail_msg("script %d is still alive", (int)pid);
    }
    if (file != NULL)
        fclose(file);
}

static void expect_step_whole(weir_runs *runs, const char *id)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_run_step step;
    weir_log_list logs;
    char expected[64];
    expect_ok(weir_runs_get_step(runs, id, &step, &err), &err);
    assert_string_equal(weir_run_status_name(step.status), "completed");
    const weir_logs_query query = {.step_id = id};
    expect_ok(weir_runs_logs(runs, step.execution_id, &query, &logs, &err), &err);
    assert_int_equal(logs.count, 1);
    (void)snprintf(expected, sizeof expected, "line of %s", step.name);
    assert_string_equal(logs.items[0].content, expected);
    weir_log_list_free(&logs);
    weir_artifact_list artifacts;
    expect_ok(weir_runs_artifacts(runs, step.execution_id, &artifacts, &err), &err);
    bool found = false;
    for (size_t i = 0; i < artifacts.count; i++)
        found = found || (artifacts.items[i].step_id != NULL && strcmp(artifacts.items[i].step_id, id) == 0);
    assert_true(found);
    weir_artifact_list_free(&artifacts);
    weir_run_step_free(&step);
}

static void expect_nothing_runs(weir_runs *runs)
{
    weir_error err = WEIR_ERROR_INIT;
    weir_execution_list active;
    expect_ok(weir_runs_list_active(runs, &active, &err), &err);
    assert_int_equal(active.count, 0);
    weir_execution_list_free(&active);
    assert_int_equal(must_read_int64(weir_runs_store(runs),
                                     "SELECT count(*) FROM steps WHERE status IN ('pending', 'running')"),
                     0);
    assert_int_equal(must_read_int64(weir_runs_store(runs),
                                     "SELECT count(*) FROM executions WHERE error_message IS NOT "
                                     "'interrupted by server restart' OR exit_code IS NOT NULL"),
                     0);
}

static void one_round(const place *here, size_t announcements)
{
    static char announced[announced_max][WEIR_ID_SIZE];
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_until_killed(here, ends[1]);
    close(ends[1]);
    FILE *const from = fdopen(ends[0], "re");
    assert_non_null(from);
    size_t count = 0;
    char id[WEIR_ID_SIZE];
    while (count < announcements && fread(id, sizeof id, 1, from) == 1)
        memcpy(announced[count++], id, sizeof id);
    assert_int_equal(count, announcements); // it has not ended by itself
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    while (count < announced_max && fread(id, sizeof id, 1, from) == 1) // announced before it died
        memcpy(announced[count++], id, sizeof id);
    fclose(from);

    weir_runs *runs = NULL;
    weir_error err = WEIR_ERROR_INIT;
    expect_ok(weir_runs_open(here->storage, NULL, &runs, &err), &err);
    for (size_t i = 0; i < count; i++) {
        announced[i][WEIR_ID_SIZE - 1] = '\0';
        expect_step_whole(runs, announced[i]);
    }
    expect_nothing_runs(runs);
    expect_no_script_alive(here);
    expect_ok(weir_runs_close(runs, 0, &err), &err);
}

static void what_was_announced_survives_the_kill(void **state)
{
    const place *const here = *state;
    const uint64_t seed = weir__random_u64();
    print_message("seed %llu\n", (unsigned long long)seed);
    weir__rng rng;
    weir__rng_init(&rng, seed);
    for (int i = 0; i < rounds; i++)
        one_round(here, (size_t)weir__rng_below(&rng, 60));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_announced_survives_the_kill, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
