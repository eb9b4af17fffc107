// SPDX-License-Identifier: MIT
//
// Runs whose engine is no more. Each run of Weir names its engine (pid, start time, boot id), so a live
// engine of another process is never disturbed, nor is one of another PID namespace (engine_claim.c). What a dead
// one left pending or running is failed as "interrupted by server restart", with its open steps, at the time when
// its log last grew; script processes that outlived it are ended.
//
// This is looked at when an engine starts, and every few seconds while it runs: a server shows that a `weir run`
// beside it was killed.
//
// Rows without an engine were written by StepFlow Monitor, which keeps a run "pending" until it has ended.
// They are taken for interrupted only when no other process has the database open, as far as /proc shows:
// then nobody is left who could end them. Otherwise they stay as they are.
//
// A script's process group is found by its leader (pid, start time, boot id) or, when that has ended and left
// children, or was started but not recorded any more, by the environment variable with the run's id that every
// process of it inherits. The kernel shows that a moment after a process was started, so those that just are being
// started are waited for: nobody looks for the script of a run that is settled. A group of which neither can be
// shown is left alone.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/process.h"
#include "runs/engine.h"

static const char interrupted[] = "interrupted by server restart";

enum {
    execve_ms_max = 10000, // longest wait for processes that are being started, in one search
    unrecorded_max = 100,  // runs without a script that are looked for; those that began are the oldest ones
};

// ----------------------------------------------------------------------------------------- other processes

typedef bool process_fn(pid_t pid, void *context); // false: stop

// Calls `each` for every process; false when it stopped.
static bool each_process(process_fn *each, void *context)
{
    DIR *const proc = opendir("/proc");
    bool go_on = true;
    for (const struct dirent *entry; go_on && proc != NULL && (entry = readdir(proc)) != NULL;) {
        if (isdigit((unsigned char)entry->d_name[0]))
            go_on = each((pid_t)strtol(entry->d_name, NULL, 10), context);
    }
    if (proc != NULL)
        (void)closedir(proc);
    return go_on;
}

// Whether a process has a file open; `context` is the file's stat.
static bool has_not_open(pid_t pid, void *context)
{
    const struct stat *const wanted = context;
    if (pid == getpid())
        return true;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *const fds = opendir(path);
    bool found = false;
    for (const struct dirent *entry; !found && fds != NULL && (entry = readdir(fds)) != NULL;) {
        struct stat file;
        found = fstatat(dirfd(fds), entry->d_name, &file, 0) == 0 && file.st_dev == wanted->st_dev &&
                file.st_ino == wanted->st_ino;
    }
    if (fds != NULL)
        (void)closedir(fds);
    return !found;
}

static bool others_have_it_open(const weir_runs *runs)
{
    struct stat database;
    return stat(runs->database, &database) != 0 || !each_process(has_not_open, &database);
}

typedef struct group_search {
    pid_t pgid;
    const char *variable; // of the run
    uint64_t until_ns;    // longest wait for processes that are being started
} group_search;

// Whether a process was started with the variable that is searched for. One that is being started is waited for.
static bool has_variable(pid_t pid, const group_search *search)
{
    weir__clock *const clock = weir__clock_system();
    for (;;) {
        bool has = false;
        if (weir__process_has_variable(pid, search->variable, &has, NULL) != WEIR_BUSY)
            return has;
        const uint64_t now_ns = weir__clock_now_ns(clock);
        if (now_ns >= search->until_ns)
            return false;
        weir__clock_sleep_until(clock, now_ns + WEIR__NS_PER_MS);
    }
}

// False when the process belongs to the group and has the run's variable.
static bool is_not_of_run(pid_t pid, void *context)
{
    const group_search *const search = context;
    return getpgid(pid) != search->pgid || !has_variable(pid, search);
}

// False when the process leads a session and has the run's variable; then it is search->pgid.
static bool is_no_script_of_run(pid_t pid, void *context)
{
    group_search *const search = context;
    if (getsid(pid) != pid || !has_variable(pid, search))
        return true;
    search->pgid = pid;
    return false;
}

// Looks for a process that has the run's variable and is what `is_none` does not hold for: *pgid is its group.
static bool search_group(const weir__run_record *record, process_fn *is_none, pid_t *pgid)
{
    const uint64_t now_ns = weir__clock_now_ns(weir__clock_system());
    weir__text variable = {0};
    weir__text_printf(&variable, "WEIR_EXECUTION_ID=%s", record->execution_id);
    group_search search = {.pgid = *pgid,
                           .variable = weir__text_string(&variable),
                           .until_ns = weir__deadline_ns(now_ns, execve_ms_max * WEIR__NS_PER_MS)};
    const bool found = !variable.failed && !each_process(is_none, &search);
    weir__text_free(&variable);
    *pgid = search.pgid;
    return found;
}

// The group of a script whose start its engine did not live to record; 0: there is none.
static pid_t unrecorded_group(const weir__run_record *record)
{
    pid_t pgid = 0;
    return search_group(record, is_no_script_of_run, &pgid) ? pgid : 0;
}

static bool group_is_of_run(const weir__run_record *record)
{
    pid_t pgid = (pid_t)record->script_pid;
    if (pgid <= 1 || record->engine_boot_id == NULL || kill(-pgid, 0) != 0)
        return false;
    char boot_id[WEIR__BOOT_ID_SIZE];
    if (weir__process_boot_id(boot_id, NULL) != WEIR_OK || strcmp(boot_id, record->engine_boot_id) != 0)
        return false;
    uint64_t start_ticks = 0;
    if (record->script_start_ticks > 0 && weir__process_start_ticks(pgid, &start_ticks, NULL) == WEIR_OK &&
        start_ticks == (uint64_t)record->script_start_ticks)
        return true;
    return search_group(record, is_not_of_run, &pgid);
}

// ------------------------------------------------------------------------------------------------- groups

typedef struct groups {
    pid_t *pgids;
    size_t count;
} groups;

// False when the process belongs to one of the groups and lives. Zombies do not count: who should reap them may
// not care.
static bool is_in_no_group(pid_t pid, void *context)
{
    const groups *const left = context;
    const pid_t pgid = getpgid(pid);
    uint64_t start_ticks;
    for (size_t i = 0; i < left->count; i++) {
        if (left->pgids[i] == pgid)
            return weir__process_start_ticks(pid, &start_ticks, NULL) != WEIR_OK;
    }
    return true;
}

static bool groups_are_gone(groups *left)
{
    return each_process(is_in_no_group, left);
}

// SIGTERM has been sent: waits for the groups to vanish, then ends them.
static void finish_groups(groups *left, uint32_t grace_ms)
{
    weir__clock *const clock = weir__clock_system();
    const uint64_t until_ns = weir__deadline_ns(weir__clock_now_ns(clock), grace_ms * WEIR__NS_PER_MS);
    while (!groups_are_gone(left) && weir__clock_now_ns(clock) < until_ns)
        weir__clock_sleep_until(clock, weir__clock_now_ns(clock) + WEIR__GROUP_POLL_MS * WEIR__NS_PER_MS);
    for (size_t i = 0; i < left->count; i++)
        (void)kill(-left->pgids[i], SIGKILL);
}

// --------------------------------------------------------------------------------------------------- rows

static int64_t file_time_us(weir_runs *runs, const char *execution_id, int64_t index, const char *step_id)
{
    char name[WEIR__LOG_NAME_SIZE];
    int fd = -1;
    struct stat file;
    int64_t time_us = 0;
    if (weir__log_name(name, index, step_id, NULL) != WEIR_OK ||
        weir__log_open(runs, execution_id, name, O_RDONLY, &fd, NULL) != WEIR_OK)
        return 0;
    if (fstat(fd, &file) == 0)
        time_us = (int64_t)file.st_mtim.tv_sec * 1000000 + file.st_mtim.tv_nsec / 1000;
    (void)close(fd);
    return time_us;
}

// When the run last said something, as far as its logs show; else now.
static weir_local_us last_output(weir_runs *runs, const weir_run_detail *detail)
{
    int64_t latest_us = file_time_us(runs, detail->execution.id, 0, NULL);
    for (size_t i = 0; i < detail->steps.count; i++) {
        const weir_run_step *const step = &detail->steps.items[i];
        const int64_t time_us = file_time_us(runs, detail->execution.id, step->index, step->id);
        latest_us = time_us > latest_us ? time_us : latest_us;
    }
    return latest_us > 0 ? weir_local_from_utc(latest_us) : weir_local_now();
}

static int save_settled(weir_runs *runs, const weir_run_detail *detail, weir_error *err)
{
    weir_save_item *const items = calloc(detail->steps.count + 1, sizeof *items);
    if (items == NULL)
        return weir__no_memory(err);
    size_t count = 0;
    items[count++] = (weir_save_item){.kind = WEIR_SAVE_EXECUTION, .execution = &detail->execution};
    for (size_t i = 0; i < detail->steps.count; i++) {
        const weir_run_step *const step = &detail->steps.items[i];
        if (step->error_message != NULL && step->error_message[0] != '\0' &&
            strcmp(step->error_message, interrupted) == 0)
            items[count++] = (weir_save_item){.kind = WEIR_SAVE_STEP, .step = step};
    }
    int rc = weir_runs_save(runs, items, count, NULL, err);
    free(items);
    if (rc == WEIR_OK) {
        const weir__save_set set = {.execution = &detail->execution, .clear_cancel_request = true};
        rc = weir__runs_save_now(runs, &set, err);
    }
    // Another process settled the same run a moment ago, or its owner ended it after all.
    return rc == WEIR_STATE ? WEIR_OK : rc;
}

// The steps' rows are newer than the execution's counters, which are saved a few times per second only.
static void count_steps(weir_run_detail *detail)
{
    weir_execution *const execution = &detail->execution;
    int64_t completed = 0;
    for (size_t i = 0; i < detail->steps.count; i++)
        completed += detail->steps.items[i].status == WEIR_RUN_COMPLETED;
    const int64_t total = (int64_t)detail->steps.count;
    if (total > execution->total_steps) {
        execution->total_steps = total;
        execution->current_step_index = detail->steps.items[total - 1].index;
    }
    if (completed > execution->completed_steps)
        execution->completed_steps = completed;
}

static int settle(weir_runs *runs, const char *id, weir_error *err)
{
    weir_run_detail detail = {0};
    int rc = weir_runs_get_detail(runs, id, &detail, err);
    if (rc != WEIR_OK)
        return rc == WEIR_NOTFOUND ? WEIR_OK : rc;
    const weir_local_us when = last_output(runs, &detail);
    weir_execution *const execution = &detail.execution;
    if (!weir_run_status_is_final(execution->status)) {
        rc = weir_execution_fail(execution, interrupted, 1, err);
        execution->has_exit_code = false;
        execution->exit_code = 0;
        execution->completed_at = when;
        count_steps(&detail);
        for (size_t i = 0; rc == WEIR_OK && i < detail.steps.count; i++) {
            weir_run_step *const step = &detail.steps.items[i];
            if (step->status != WEIR_RUN_PENDING && step->status != WEIR_RUN_RUNNING)
                continue;
            rc = weir_run_step_fail(step, interrupted, 1, err);
            step->has_exit_code = false;
            step->exit_code = 0;
            step->completed_at = when;
        }
        if (rc == WEIR_OK)
            rc = save_settled(runs, &detail, err);
        weir__log(WEIR__LOG_WARNING, "run %s was interrupted: its engine is gone", id);
    }
    weir_run_detail_free(&detail);
    return rc;
}

// Seen, or, where it cannot be seen, shown by its claim.
static bool engine_lives(const weir_runs *runs, const weir__run_record *record)
{
    char boot_id[WEIR__BOOT_ID_SIZE];
    if (record->engine_boot_id == NULL)
        return false;
    if (weir__process_alive((pid_t)record->engine_pid, (uint64_t)record->engine_start_ticks,
                            record->engine_boot_id))
        return true;
    if (weir__process_boot_id(boot_id, NULL) == WEIR_OK && strcmp(boot_id, record->engine_boot_id) != 0)
        return false;
    return weir__engine_is_claimed(runs, record->engine_pid, record->engine_start_ticks);
}

int weir__engine_settle(weir_runs *runs, weir_error *err)
{
    weir__run_record *records = NULL;
    size_t count = 0;
    int rc = weir__runs_read_records(runs, &records, &count, err);
    if (rc != WEIR_OK || count == 0)
        goto out;
    size_t unrecorded_left = unrecorded_max;
    groups left = {.pgids = calloc(count, sizeof *left.pgids)};
    if (left.pgids == NULL) {
        rc = weir__no_memory(err);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        const weir__run_record *const record = &records[i];
        if (engine_lives(runs, record)) {
            // Not ours: an empty id marks it as settled.
            records[i].execution_id[0] = '\0';
            continue;
        }
        if (record->script_pid == 0 && unrecorded_left > 0) {
            unrecorded_left--;
            records[i].script_pid = unrecorded_group(record);
        }
        if (group_is_of_run(record)) {
            (void)kill(-(pid_t)record->script_pid, SIGTERM);
            (void)kill(-(pid_t)record->script_pid, SIGCONT);
            left.pgids[left.count++] = (pid_t)record->script_pid;
        }
    }
    if (left.count > 0)
        finish_groups(&left, runs->cancel_grace_ms);
    free(left.pgids);
    for (size_t i = 0; rc == WEIR_OK && i < count; i++) {
        if (records[i].execution_id[0] != '\0')
            rc = settle(runs, records[i].execution_id, err);
    }
out:
    weir__run_records_free(records, count);
    return rc;
}

// Rows without an engine.
static int settle_strangers(weir_runs *runs, weir_error *err)
{
    weir_execution_list list = {0};
    int rc = weir_runs_list_active(runs, &list, err);
    bool asked = false;
    for (size_t i = 0; rc == WEIR_OK && i < list.count; i++) {
        weir__run_record record = {0};
        const int found = weir__runs_get_record(runs, list.items[i].id, &record, err);
        weir__run_record_free(&record);
        if (found == WEIR_OK)
            continue;
        if (found != WEIR_NOTFOUND) {
            rc = found;
            break;
        }
        if (!asked && others_have_it_open(runs)) {
            weir__log(
                WEIR__LOG_WARNING,
                "%s has runs without an engine that are not ended; they are left alone, because another "
                "process has the database open",
                runs->path);
            break;
        }
        asked = true;
        rc = settle(runs, list.items[i].id, err);
    }
    weir_execution_list_free(&list);
    return rc;
}

int weir__engine_reconcile(weir_runs *runs, weir_error *err)
{
    const int rc = weir__engine_settle(runs, err);
    return rc == WEIR_OK ? settle_strangers(runs, err) : rc;
}
