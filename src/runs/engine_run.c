// SPDX-License-Identifier: MIT
//
// One run's process. What happens to it only changes fields; weir__run_advance() then looks at all of them,
// does what is due and sets the run's one timer to the next moment at which something could be. It may be
// called at any time and any number of times.
//
// Ending a process group. SIGTERM goes to the group at once. Whether the group has vanished can be seen only
// after its leader has been reaped (a zombie belongs to its group); then kill(-pgid, 0) is asked every few
// milliseconds, and now and then the list of all processes, because orphans stay zombies where nobody reaps them.
// At the end of the grace the group gets SIGKILL. A group's number is not given to a new process while the group
// has members; once the leader has been reaped and a process has its number, the group is gone and must not be
// signalled.
#include "runs/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "runs/spawn.h"
#include "runs/words.h"

enum {
    read_bytes = 64 * 1024,   // per turn
    drain_ms = 1000,          // for the output of a stopped run, should somebody else go on writing
    tail_bytes_max = 1 << 20, // of lines that wait to be told to listeners
};

// ------------------------------------------------------------------------------------------- to and fro

static int watch_add(weir__run *run, int fd, weir__watch *watch, bool is_process)
{
    *watch = (weir__watch){run, is_process};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    return epoll_ctl(run->engine->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

static void watch_close(weir__run *run, int *fd)
{
    if (*fd < 0)
        return;
    (void)epoll_ctl(run->engine->epoll_fd, EPOLL_CTL_DEL, *fd, NULL); // ENOENT while paused
    (void)close(*fd);
    *fd = -1;
}

void weir__run_touch(weir__run *run)
{
    if (run->advance_wanted)
        return;
    run->advance_wanted = true;
    TAILQ_INSERT_TAIL(&run->engine->advance, run, advance_link);
}

void weir__run_answer(weir__run *run, const weir_error *result, const weir_execution *execution)
{
    if (run->started == NULL)
        return;
    weir_run_started_fn *const started = run->started;
    run->started = NULL;
    started(run->started_context, result, execution);
}

// ------------------------------------------------------------------------------------------------ starting

static void start_failed(weir__run *run, const weir_error *err)
{
    weir_error ignored = WEIR_ERROR_INIT;
    if (weir_execution_fail(&run->execution, err->text, 1, &ignored) != WEIR_OK)
        weir__log(WEIR__LOG_ERROR, "run %s could not be started (%s) nor recorded as failed: %s", run->id,
                  err->text, ignored.text);
    run->phase = WEIR__PHASE_ENDING;
    weir__run_touch(run);
}

// Both descriptors are ours now; without watching them the run cannot be followed.
static int watch_process(weir__run *run, weir_error *err)
{
    int error = watch_add(run, run->pidfd, &run->process_watch, true);
    if (error == 0)
        error = watch_add(run, run->output, &run->output_watch, false);
    if (error == 0)
        return WEIR_OK;
    (void)kill(-run->pid, SIGKILL);
    (void)waitid(P_PIDFD, (id_t)run->pidfd, NULL, WEXITED);
    watch_close(run, &run->pidfd);
    watch_close(run, &run->output);
    run->pid = 0;
    run->record.script_pid = run->record.script_start_ticks = 0;
    return weir__error_errno(err, error, "cannot watch a script that was started");
}

static int start_process(weir__run *run, weir_error *err)
{
    union { // the same array, as weir__spawn promises not to change it
        char **plain;
        const char *const *constant;
    } argv = {run->argv}, environment = {run->environment};
    const weir__spawn_request request = {argv.constant, environment.constant,
                                         run->execution.working_directory};
    weir__spawned spawned;
    const int rc = weir__spawn(&request, &spawned, err);
    if (rc != WEIR_OK)
        return rc;
    run->pid = spawned.pid;
    run->pidfd = spawned.pidfd;
    run->output = spawned.output;
    run->record.script_pid = spawned.pid;
    run->record.script_start_ticks = (int64_t)spawned.start_ticks;
    return watch_process(run, err);
}

// The system has no more descriptors or processes to give: that passes when another run ends.
static bool may_start_later(const weir__run *run, const weir_error *err)
{
    const int error = err->os_errno;
    return run->engine->running > 0 &&
           (error == EMFILE || error == ENFILE || error == EAGAIN || error == ENOMEM);
}

// The run goes back to where it was, and there are no more slots than are in use. Each run that ends adds one again.
static void start_later(weir__run *run, const weir_error *err)
{
    weir__runs_engine *const engine = run->engine;
    weir__log(WEIR__LOG_WARNING, "no more than %zu scripts can run at present: %s", engine->running,
              err->text);
    engine->slots = engine->running;
    TAILQ_INSERT_HEAD(&engine->queue, run, queue_link);
}

void weir__run_start(weir__run *run)
{
    WEIR_ASSERT(run->phase == WEIR__PHASE_QUEUED);
    weir_error err = WEIR_ERROR_INIT;
    if (start_process(run, &err) != WEIR_OK) {
        if (may_start_later(run, &err))
            start_later(run, &err);
        else
            start_failed(run, &err);
        return;
    }
    run->phase = WEIR__PHASE_RUNNING;
    run->engine->running++;
    const uint64_t now_ns = weir__clock_now_ns(weir__clock_system());
    run->last_output_ns = now_ns;
    if (run->record.timeout_ms > 0)
        run->timeout_ns = weir__deadline_ns(now_ns, (uint64_t)run->record.timeout_ms * WEIR__NS_PER_MS);
    weir__environment_free(run->environment);
    run->environment = NULL;
    if (weir_execution_start(&run->execution, &err) != WEIR_OK)
        weir__log(WEIR__LOG_ERROR, "run %s: %s", run->id, err.text);
    if (weir__outbox_push(run, WEIR_RUN_EVENT_STARTED, NULL) == NULL)
        weir__run_stop(run, WEIR__STOP_CANCEL, "no memory");
}

// ---------------------------------------------------------------------------------------------- output

static void unread_forget(weir__run *run)
{
    weir__text_free(&run->unread);
    run->unread_at = 0;
}

static void output_close(weir__run *run)
{
    watch_close(run, &run->output);
    run->paused = false;
    unread_forget(run);
    weir__lines_end(&run->lines, weir__run_line, run);
    weir__run_touch(run);
}

static bool output_has_room(const weir__run *run)
{
    const weir__stream *const stream = run->step.stream != NULL ? run->step.stream : run->outside;
    if (!weir__outbox_has_room(run) || stream->tail_text.size >= tail_bytes_max)
        return false;
    return stream->file == NULL || !weir__log_file_is_full(stream->file);
}

// The descriptor leaves epoll, which would report a closed pipe for ever.
static void output_pause(weir__run *run)
{
    (void)epoll_ctl(run->engine->epoll_fd, EPOLL_CTL_DEL, run->output, NULL);
    run->paused = true;
}

// Takes lines while the outbox has room for what they may be; returns the rest.
static weir__span lines_take(weir__run *run, weir__span rest)
{
    while (rest.size > 0 && weir__outbox_has_room(run))
        rest = weir__span_from(rest,
                               weir__lines_feed_line(&run->lines, rest.data, rest.size, weir__run_line, run));
    return rest;
}

// Goes on with what was read before. True when nothing of it is left.
static bool unread_take(weir__run *run)
{
    const weir__span rest = {run->unread.data + run->unread_at, run->unread.size - run->unread_at};
    if (run->unread.size == 0)
        return true;
    run->unread_at = run->unread.size - lines_take(run, rest).size;
    if (run->unread_at < run->unread.size)
        return false;
    unread_forget(run);
    return true;
}

static void chunk_take(weir__run *run, weir__span chunk)
{
    const weir__span rest = lines_take(run, chunk);
    if (rest.size == 0)
        return;
    weir__text_append(&run->unread, rest.data, rest.size);
    if (run->unread.failed) { // no memory to keep it: then now
        unread_forget(run);
        weir__lines_feed(&run->lines, rest.data, rest.size, weir__run_line, run);
        return;
    }
    output_pause(run);
}

// Reads once. Returns what read(2) does.
static ssize_t output_read(weir__run *run)
{
    static char chunk[read_bytes]; // the loop's thread only
    ssize_t size;
    do
        size = read(run->output, chunk, sizeof chunk);
    while (size < 0 && errno == EINTR);
    if (size > 0) {
        run->last_output_ns = run->engine->now_ns;
        chunk_take(run, (weir__span){chunk, (size_t)size});
    }
    return size;
}

void weir__run_output_ready(weir__run *run)
{
    weir__run_touch(run);
    if (run->output < 0 || run->paused)
        return;
    const ssize_t size = output_read(run);
    if (size == 0 || (size < 0 && errno != EAGAIN))
        output_close(run);
}

// Stops and goes on watching the output.
static void output_balance(weir__run *run)
{
    if (run->output < 0)
        return;
    const bool room = output_has_room(run) && unread_take(run) && output_has_room(run);
    if (!room && !run->paused)
        output_pause(run);
    if (!room || !run->paused || watch_add(run, run->output, &run->output_watch, false) != 0)
        return; // it is paused still: looked at again by the timer
    run->last_output_ns = run->engine->now_ns;
    run->paused = false;
}

// ----------------------------------------------------------------------------------- the process's end

void weir__run_process_ended(weir__run *run)
{
    siginfo_t info = {0};
    if (run->pidfd < 0)
        return;
    int rc;
    do
        rc = waitid(P_PIDFD, (id_t)run->pidfd, &info, WEXITED | WNOHANG);
    while (rc != 0 && errno == EINTR);
    if (rc == 0 && info.si_pid == 0)
        return; // not yet
    run->has_status = rc == 0;
    if (rc == 0)
        run->exit_code = info.si_code == CLD_EXITED ? info.si_status : -(int64_t)info.si_status;
    else
        weir__log(WEIR__LOG_ERROR, "run %s: somebody else has reaped its process", run->id);
    run->exited = true;
    run->last_output_ns = run->engine->now_ns;
    watch_close(run, &run->pidfd);
    weir__run_touch(run);
}

// Whether nothing is left of the group of a leader that has been reaped. Its number is taken as long as the group has
// members, so when a process has it again, that is somebody else's.
static bool group_is_gone(const weir__run *run)
{
    if (kill(-run->pid, 0) != 0 && errno == ESRCH)
        return true;
    return kill(run->pid, 0) == 0 || errno == EPERM;
}

void weir__run_stop(weir__run *run, weir__stop reason, const char *message)
{
    if (run->stop != WEIR__STOP_NONE || run->phase >= WEIR__PHASE_ENDING)
        return;
    weir__run_touch(run);
    run->stop = reason;
    if (!weir__copy_string(message, &run->stop_message))
        weir__log(WEIR__LOG_ERROR, "no memory for the reason why run %s is ended", run->id);
    if (run->phase != WEIR__PHASE_RUNNING)
        return;
    const uint64_t grace_ns = (uint64_t)run->engine->runs->cancel_grace_ms * WEIR__NS_PER_MS;
    run->kill_ns = weir__deadline_ns(run->engine->now_ns, grace_ns);
    if (run->exited && group_is_gone(run))
        return;
    (void)kill(-run->pid, SIGTERM);
    (void)kill(-run->pid, SIGCONT); // a stopped process gets its SIGTERM only then
}

void weir__run_hurry(weir__run *run)
{
    if (run->stop == WEIR__STOP_NONE || run->phase != WEIR__PHASE_RUNNING)
        return;
    weir__run_touch(run);
    run->kill_ns = run->engine->now_ns;
}

// Whether only zombies are left of the group. Asked seldom enough that no more than a quarter of the loop's time
// goes into it, however many groups there are.
static bool group_is_dead(weir__run *run)
{
    weir__runs_engine *const engine = run->engine;
    const uint64_t before_ns = weir__clock_now_ns(weir__clock_system());
    if (before_ns < engine->scan_after_ns)
        return false;
    const bool dead = !weir__process_group_lives(run->pid);
    const uint64_t after_ns = weir__clock_now_ns(weir__clock_system());
    engine->scan_after_ns = after_ns + 3 * (after_ns - before_ns);
    if (dead)
        (void)kill(-run->pid, SIGKILL); // should one have been born while we looked
    return dead;
}

// Looks whether the group has vanished, and helps when its grace is over.
static void group_look(weir__run *run)
{
    if (run->stop == WEIR__STOP_NONE || run->group_gone)
        return;
    if (run->exited && group_is_gone(run))
        run->group_gone = true;
    if (!run->group_gone && !run->killed && run->engine->now_ns >= run->kill_ns) {
        (void)kill(-run->pid, SIGKILL);
        run->killed = true;
    }
    if (run->exited && (run->killed || (!run->group_gone && group_is_dead(run))))
        run->group_gone = true; // on its way out, or not ours to end
    if (run->group_gone)
        run->drain_ns = run->engine->now_ns + drain_ms * WEIR__NS_PER_MS;
}

// What a stopped run printed last is in its pipe; whoever holds that open longer has left the group.
static void drain_stopped(weir__run *run)
{
    if (!run->exited || !run->group_gone || run->output < 0)
        return;
    const bool in_time = run->engine->now_ns < run->drain_ns;
    if (run->paused ? !in_time : output_read(run) <= 0 || !in_time)
        output_close(run);
}

static uint64_t idle_deadline_ns(const weir__run *run)
{
    const bool counts = run->exited && run->stop == WEIR__STOP_NONE && run->output >= 0 && !run->paused &&
                        !run->engine->runs->wait_for_eof;
    const uint64_t grace_ns = (uint64_t)run->engine->runs->idle_grace_ms * WEIR__NS_PER_MS;
    return counts ? weir__deadline_ns(run->last_output_ns, grace_ns) : WEIR__FOREVER;
}

static void idle_look(weir__run *run)
{
    if (run->engine->now_ns >= idle_deadline_ns(run) && output_read(run) <= 0)
        output_close(run);
}

// ------------------------------------------------------------------------------------------- the run's end

// The deadline is the script's. When that has ended in time, its exit status counts, and what is over is the waiting
// for those who hold its output open.
static void timeout_look(weir__run *run)
{
    const uint64_t now_ns = run->engine->now_ns;
    if (now_ns < run->timeout_ns || run->stop != WEIR__STOP_NONE)
        return;
    if (!run->exited) {
        weir__run_stop(run, WEIR__STOP_TIMEOUT, "Execution timed out");
        return;
    }
    const uint64_t drain_end_ns = weir__deadline_ns(run->timeout_ns, drain_ms * WEIR__NS_PER_MS);
    if (run->output >= 0 && !run->paused && (output_read(run) <= 0 || now_ns >= drain_end_ns))
        output_close(run);
}

static int end_execution(weir__run *run, weir_error *err)
{
    weir_execution *const execution = &run->execution;
    switch (run->stop) {
    case WEIR__STOP_CANCEL:
        weir__run_step_end(run, run->has_status ? run->exit_code : 1, "cancelled");
        execution->has_exit_code = run->has_status;
        execution->exit_code = run->exit_code;
        return weir_execution_cancel(execution, err);
    case WEIR__STOP_TIMEOUT:
        weir__run_step_end(run, -1, run->stop_message);
        return weir_execution_fail(execution, run->stop_message, -1, err);
    case WEIR__STOP_CRITICAL:
        weir__run_step_end(run, 1, run->stop_message);
        return weir_execution_fail(execution, run->stop_message, 1, err);
    case WEIR__STOP_NONE:
        break;
    }
    if (!run->has_status) {
        static const char unknown[] =
            "the exit status is not known: another part of this program has taken it";
        weir__run_step_end(run, 1, unknown);
        return weir_execution_fail(execution, unknown, 1, err);
    }
    weir__text message = {0};
    const bool critical = run->exit_code != 0 && run->step.model.id != NULL && run->step.model.stop_on_error;
    if (critical)
        weir__text_printf(&message, "Critical step failed with exit code %lld: %s", (long long)run->exit_code,
                          run->step.model.name);
    weir__run_step_end(run, run->exit_code, NULL);
    const int rc = critical ? weir_execution_fail(execution, weir__text_string(&message), run->exit_code, err)
                            : weir_execution_complete(execution, run->exit_code, err);
    weir__text_free(&message);
    return rc;
}

static void end_look(weir__run *run)
{
    const bool over = run->exited && run->output < 0 && (run->stop == WEIR__STOP_NONE || run->group_gone);
    if (run->phase != WEIR__PHASE_RUNNING || !over)
        return;
    weir_error err = WEIR_ERROR_INIT;
    if (end_execution(run, &err) != WEIR_OK)
        weir__log(WEIR__LOG_ERROR, "run %s: %s", run->id, err.text);
    run->phase = WEIR__PHASE_ENDING;
    run->engine->running--;
    if (run->engine->slots < run->engine->slots_max)
        run->engine->slots++;
    weir__lines_free(&run->lines);
    weir__text_free(&run->plain);
}

// A run that was cancelled before its turn came.
static void unstarted_look(weir__run *run)
{
    if (run->phase != WEIR__PHASE_QUEUED || run->stop == WEIR__STOP_NONE)
        return;
    TAILQ_REMOVE(&run->engine->queue, run, queue_link);
    (void)weir_execution_cancel(&run->execution, NULL);
    run->phase = WEIR__PHASE_ENDING;
}

static void push_end(weir__run *run)
{
    if (run->phase != WEIR__PHASE_ENDING || run->end_pushed)
        return;
    weir__item *const item = weir__outbox_push(run, WEIR_RUN_EVENT_ENDED, NULL);
    if (item == NULL)
        return; // tried again by the timer
    item->stream = run->outside;
    run->end_pushed = true;
}

static void forget(weir__run *run)
{
    weir__runs_engine *const engine = run->engine;
    weir__timers_set(&engine->timers, &run->timer, WEIR__FOREVER);
    engine->known--;
    run->forgotten = true;
    pthread_mutex_lock(&engine->lock);
    TAILQ_REMOVE(&engine->active, run, active_link);
    engine->active_count--;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    TAILQ_INSERT_TAIL(&engine->garbage, run, garbage_link);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static uint64_t deadline_ns(const weir__run *run)
{
    const uint64_t now_ns = run->engine->now_ns;
    uint64_t due_ns = earlier(weir__outbox_deadline_ns(run), idle_deadline_ns(run));
    if (run->phase == WEIR__PHASE_ENDING && !run->end_pushed)
        due_ns = earlier(due_ns, now_ns + WEIR__SAVE_RETRY_MS * WEIR__NS_PER_MS);
    if (run->phase != WEIR__PHASE_RUNNING)
        return due_ns;
    if (run->paused)
        due_ns = earlier(due_ns, now_ns + WEIR__PAUSE_POLL_MS * WEIR__NS_PER_MS);
    if (run->stop == WEIR__STOP_NONE)
        return run->exited && run->paused ? due_ns : earlier(due_ns, run->timeout_ns);
    if (!run->killed && !run->group_gone)
        due_ns = earlier(due_ns, run->kill_ns);
    if (run->exited && !run->group_gone)
        due_ns = earlier(due_ns, now_ns + WEIR__GROUP_POLL_MS * WEIR__NS_PER_MS);
    if (run->exited && run->group_gone && run->output >= 0)
        due_ns = run->paused ? earlier(due_ns, run->drain_ns) : now_ns;
    return due_ns;
}

void weir__run_advance(weir__run *run)
{
    if (run->forgotten)
        return;
    if (run->phase == WEIR__PHASE_RUNNING) {
        timeout_look(run);
        group_look(run);
        drain_stopped(run);
        idle_look(run);
        end_look(run);
    }
    unstarted_look(run);
    push_end(run);
    weir__outbox_changes(run);
    weir__outbox_advance(run);
    if (run->phase == WEIR__PHASE_GONE && run->outbox_flight == 0) {
        forget(run);
        return;
    }
    output_balance(run);
    weir__timers_set(&run->engine->timers, &run->timer, deadline_ns(run));
}

// ------------------------------------------------------------------------------------- making and freeing

static int take_words(const weir_run_request *request, weir__run *run, size_t *argc, weir_error *err)
{
    *argc = 0;
    if (request->argv == NULL)
        return request->command != NULL ? weir__words_split(request->command, &run->argv, argc, err)
                                        : WEIR_OK;
    while (request->argv[*argc] != NULL)
        (*argc)++;
    run->argv = calloc(*argc + 1, sizeof *run->argv);
    for (size_t i = 0; run->argv != NULL && i < *argc; i++) {
        if (!weir__copy_string(request->argv[i], &run->argv[i]))
            return weir__no_memory(err);
    }
    return run->argv != NULL ? WEIR_OK : weir__no_memory(err);
}

static int take_command(const weir_run_request *request, weir__run *run, weir_error *err)
{
    size_t argc = 0;
    int rc = take_words(request, run, &argc, err);
    if (rc != WEIR_OK)
        return rc;
    if (argc == 0 || run->argv[0][0] == '\0')
        return weir__error_set(err, WEIR_INVALID,
                               "there is no command to run: give a program and its arguments");
    weir__text joined = {0};
    weir__text exact = {0};
    for (size_t i = 0; i < argc; i++) {
        weir__text_add(&joined, i > 0 ? " " : "");
        weir__text_add(&joined, run->argv[i]);
        weir__text_append(&exact, run->argv[i], strlen(run->argv[i]) + 1);
    }
    if (!weir__utf8_is_valid(weir__text_string(&joined), joined.size))
        rc = weir__error_set(err, WEIR_INVALID, "the command is not UTF-8");
    run->record.argv_size = exact.size;
    run->record.argv = weir__text_take(&exact);
    free(run->execution.command);
    run->execution.command = weir__text_take(&joined);
    if (rc == WEIR_OK && (run->record.argv == NULL || run->execution.command == NULL))
        rc = weir__no_memory(err);
    return rc;
}

static int take_text(char **field, const char *text, const char *what, weir_error *err)
{
    if (text != NULL && !weir__utf8_is_valid(text, strlen(text)))
        return weir__error_set(err, WEIR_INVALID, "the %s is not UTF-8", what);
    return weir__replace_string(field, text, err);
}

static int take_names(const weir_run_request *request, weir__run *run, weir_error *err)
{
    const char *name = request->name;
    if (name == NULL)
        name = request->argv == NULL ? request->command : run->execution.command;
    else if (*name == '\0')
        name = run->execution.command;
    const char *const directory = request->working_directory;
    int rc = take_text(&run->execution.name, name, "name", err);
    if (rc == WEIR_OK)
        rc = take_text(&run->execution.working_directory,
                       directory != NULL && *directory != '\0' ? directory : ".", "working directory", err);
    if (rc == WEIR_OK)
        rc = take_text(&run->execution.user, request->user, "user", err);
    return rc;
}

static int take_json(const char *text, json_type wanted, const char *what, json_t **value, weir_error *err)
{
    *value = NULL;
    if (text == NULL)
        *value = wanted == JSON_OBJECT ? json_object() : json_array();
    else if (strlen(text) > WEIR_RUNS_JSON_MAX)
        return weir__error_set(err, WEIR_TOOBIG, "the %s are more than %d bytes", what, WEIR_RUNS_JSON_MAX);
    else
        *value = weir__json_load(text, strlen(text), wanted);
    if (*value != NULL)
        return WEIR_OK;
    if (text == NULL)
        return weir__no_memory(err);
    return weir__error_set(err, WEIR_INVALID, "the %s are not a JSON %s", what,
                           wanted == JSON_OBJECT ? "object" : "array");
}

static int replace_json(char **field, const json_t *value, weir_error *err)
{
    weir__text text = {0};
    weir__json_dump(&text, value);
    free(*field);
    *field = weir__text_take(&text);
    return *field != NULL ? WEIR_OK : weir__no_memory(err);
}

static int take_documents(const weir_run_request *request, weir__run *run, weir_error *err)
{
    json_t *tags = NULL;
    int rc = take_json(request->tags_json, JSON_ARRAY, "tags", &tags, err);
    if (rc == WEIR_OK)
        rc = replace_json(&run->execution.tags_json, tags, err);
    json_decref(tags);
    if (rc == WEIR_OK)
        rc = take_json(request->metadata_json, JSON_OBJECT, "metadata", &run->metadata, err);
    if (rc == WEIR_OK)
        rc = replace_json(&run->execution.metadata_json, run->metadata, err);
    if (rc == WEIR_OK)
        run->metadata_bytes = strlen(run->execution.metadata_json);
    return rc;
}

// The part of the environment that was asked for, as JSON and redacted, for the row.
static int record_environment(const char *const *entries, weir__run *run, weir_error *err)
{
    json_t *const object = json_object();
    int rc = object != NULL ? WEIR_OK : weir__no_memory(err);
    for (; rc == WEIR_OK && entries != NULL && *entries != NULL; entries++) {
        const weir__span entry = weir__span_of(*entries);
        const size_t equals = weir__span_find(entry, "=");
        const weir__span value = weir__span_from(entry, equals + 1);
        if (!weir__utf8_is_valid(entry.data, entry.size))
            rc = weir__error_set(err, WEIR_INVALID, "an environment variable is not UTF-8");
        else if (json_object_setn_new(object, entry.data, equals, json_stringn(value.data, value.size)) != 0)
            rc = weir__no_memory(err);
    }
    char *plain = NULL;
    char *redacted = NULL;
    if (rc == WEIR_OK)
        rc = replace_json(&plain, object, err);
    if (rc == WEIR_OK)
        rc = weir__json_redact(run->engine->runs, plain, &redacted, err);
    if (rc == WEIR_OK) {
        free(run->execution.environment_json);
        run->execution.environment_json = redacted;
    }
    free(plain);
    json_decref(object);
    return rc;
}

// The script's environment: ours, what was asked for, and the run's id, by which its processes are known.
static int take_environment(const weir_run_request *request, weir__run *run, weir_error *err)
{
    size_t count = 0;
    while (request->environment != NULL && request->environment[count] != NULL)
        count++;
    const char **const overlay = calloc(count + 2, sizeof *overlay);
    if (overlay == NULL)
        return weir__no_memory(err);
    if (count > 0)
        memcpy(overlay, request->environment, count * sizeof *overlay);
    char id[64 + WEIR_ID_SIZE] = "WEIR_EXECUTION_ID=";
    memcpy(id + strlen(id), run->id, sizeof run->id);
    overlay[count] = id;
    int rc = weir__environment_overlay(overlay, &run->environment, err);
    if (rc == WEIR_OK)
        rc = record_environment(request->environment, run, err);
    free(overlay);
    return rc;
}

static int take_record(const weir_run_request *request, weir__run *run, weir_error *err)
{
    weir__run_record *const record = &run->record;
    const weir__process_id *const self = &run->engine->self;
    const uint64_t timeout_ms_max = INT64_MAX / WEIR__NS_PER_MS; // three centuries; more has no nanoseconds
    record->timeout_ms =
        (int64_t)(request->timeout_ms < timeout_ms_max ? request->timeout_ms : timeout_ms_max);
    record->engine_pid = self->pid;
    record->engine_start_ticks = (int64_t)self->start_ticks;
    if (!weir__copy_string(run->id, &record->execution_id) ||
        !weir__copy_string(self->boot_id, &record->engine_boot_id))
        return weir__no_memory(err);
    return WEIR_OK;
}

static int fill(weir__run *run, const weir_run_request *request, weir_error *err)
{
    int rc = weir_execution_init(&run->execution, err);
    if (rc != WEIR_OK)
        return rc;
    WEIR_ASSERT(strlen(run->execution.id) == WEIR_ID_SIZE - 1);
    memcpy(run->id, run->execution.id, WEIR_ID_SIZE);
    rc = take_command(request, run, err);
    if (rc == WEIR_OK)
        rc = take_names(request, run, err);
    if (rc == WEIR_OK)
        rc = take_documents(request, run, err);
    if (rc == WEIR_OK)
        rc = take_environment(request, run, err);
    if (rc == WEIR_OK)
        rc = take_record(request, run, err);
    if (rc == WEIR_OK)
        rc = weir__stream_open(run, NULL, &run->outside, err);
    return rc;
}

int weir__run_create(weir__runs_engine *engine, const weir_run_request *request, weir__run **out,
                     weir_error *err)
{
    *out = NULL;
    weir__run *const run = calloc(1, sizeof *run);
    if (run == NULL)
        return weir__no_memory(err);
    run->engine = engine;
    run->pidfd = run->output = -1;
    run->timeout_ns = WEIR__FOREVER;
    TAILQ_INIT(&run->streams);
    TAILQ_INIT(&run->outbox);
    const int rc = fill(run, request, err);
    if (rc != WEIR_OK) {
        weir__run_free(run);
        return rc;
    }
    *out = run;
    return WEIR_OK;
}

void weir__run_free(weir__run *run)
{
    if (run == NULL)
        return;
    WEIR_ASSERT(run->outbox_flight == 0);
    watch_close(run, &run->pidfd);
    watch_close(run, &run->output);
    for (weir__item *item = TAILQ_FIRST(&run->outbox); item != NULL; item = TAILQ_FIRST(&run->outbox)) {
        TAILQ_REMOVE(&run->outbox, item, link);
        weir__item_free(item);
    }
    while (!TAILQ_EMPTY(&run->streams))
        weir__stream_free(TAILQ_FIRST(&run->streams));
    weir_run_step_free(&run->step.model);
    json_decref(run->step.metadata);
    json_decref(run->metadata);
    weir_execution_free(&run->execution);
    weir__run_record_free(&run->record);
    weir__words_free(run->argv);
    weir__environment_free(run->environment);
    weir__lines_free(&run->lines);
    weir__text_free(&run->unread);
    weir__text_free(&run->plain);
    free(run->stop_message);
    free(run);
}
