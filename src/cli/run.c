// SPDX-License-Identifier: MIT
//
// weir run: a script here and now, recorded and shown.
//
// Two threads matter: the engine's, which reads the script and writes the record, and this one, which draws.
// They meet in a queue (events.h). Signals that mean "stop" are blocked in every thread and read from a
// signalfd here, so that a Ctrl-C at any moment is an ordinary event: the first asks the engine to cancel the
// run, the second to kill it, and either way this process stays until the end is recorded. The third gives that
// up.
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/events.h"
#include "cli/records.h"
#include "cli/show.h"

// Without an event for this long we ask the engine whether the run is still there.
enum { look_every_ms = 1000, user_size = 256, timeout_max_days = 3650, interrupts_max = 3 };

typedef struct run_values {
    const char *storage, *name, *cwd;
    uint64_t timeout_ms;
    weir__list environment, tags;
    bool strict_markers, json, quiet;
} run_values;

static const weir__option options[] = {
    WEIR__OPTION_STORAGE(run_values),
    {.name = "name",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(run_values, name),
     .value = "NAME",
     .help = "what to call the run (default: the command)"},
    {.name = "timeout",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(run_values, timeout_ms),
     .value = "S",
     .help = "end it after so many seconds, or 250ms, 10m, 2h",
     .min = 1,
     .max = (uint64_t)timeout_max_days * 86400 * 1000},
    {.name = "env",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(run_values, environment),
     .value = "K=V",
     .help = "set a variable for the script; may be repeated"},
    {.name = "cwd",
     .kind = WEIR__OPTION_PATH,
     .offset = offsetof(run_values, cwd),
     .value = "DIR",
     .help = "run it in this directory"},
    {.name = "tag",
     .kind = WEIR__OPTION_LIST,
     .offset = offsetof(run_values, tags),
     .value = "TAG",
     .help = "record a tag; may be repeated"},
    {.name = "strict-markers",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(run_values, strict_markers),
     .help = "markers only in upper case, at a line's start or after\na character that is none of a word"},
    {.name = "quiet",
     .letter = 'q',
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(run_values, quiet),
     .help = "do not show log lines (they are recorded)"},
    {.name = "json",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(run_values, json),
     .help = "one JSON object per line for everything that happens"},
};

typedef struct running {
    weir__cli *cli;
    const run_values *values;
    weir_runs *runs;
    weir__events events;
    weir__show show;
    uint64_t listener_id;
    int signal_fd;
    int interrupts;    // signals that meant "stop"
    int signal_number; // the first of them
    bool ended;
    weir_error
        output; // the first failed write to stdout: told at the end, because the script must not suffer from it
    char id[WEIR_ID_SIZE];
} running;

// ------------------------------------------------------------------------------------------------ the
// request

static int check_environment(const weir__list *environment, weir_error *err)
{
    for (size_t i = 0; i < environment->count; i++) {
        const char *const equals = strchr(environment->items[i], '=');
        if (equals == NULL || equals == environment->items[i])
            return weir__error_set(err, WEIR_INVALID, "--env takes NAME=VALUE, not \"%s\"",
                                   environment->items[i]);
    }
    return WEIR_OK;
}

static void tags_json(const weir__list *tags, weir__text *text)
{
    weir__text_char(text, '[');
    for (size_t i = 0; i < tags->count; i++) {
        weir__text_add(text, i > 0 ? ", " : "");
        weir__text_json_string(text, tags->items[i], strlen(tags->items[i]));
    }
    weir__text_char(text, ']');
}

// The user's name, or number where it has none.
static void find_user(char name[user_size])
{
    char memory[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwuid_r(geteuid(), &entry, memory, sizeof memory, &found) == 0 && found != NULL)
        weir__utf8_sanitize(name, user_size, found->pw_name, strlen(found->pw_name));
    else
        snprintf(name, user_size, "%u", (unsigned)geteuid());
}

// Where the script runs, absolute, because the record is read from elsewhere. A directory that is not there is left to
// the engine, which records the failure.
static char *find_directory(const char *given)
{
    char *const absolute = realpath(given != NULL ? given : ".", NULL);
    return absolute != NULL || given == NULL ? absolute : strdup(given);
}

static int start(running *r, const weir__operands *operands, weir_error *err)
{
    char user[user_size];
    const char *environment[WEIR__LIST_MAX + 1] = {NULL};
    weir__text tags = {0};
    weir_execution execution = {0};
    char *const directory = find_directory(r->values->cwd);
    find_user(user);
    tags_json(&r->values->tags, &tags);
    memcpy(environment, r->values->environment.items, r->values->environment.count * sizeof *environment);
    const weir_run_request request = {
        .name = r->values->name != NULL ? r->values->name : "",
        .argv = (const char *const *)operands->items,
        .working_directory = directory,
        .environment = environment,
        .timeout_ms = r->values->timeout_ms,
        .tags_json = weir__text_string(&tags),
        .user = user,
    };
    const int code = tags.failed ? weir__error_set(err, WEIR_NOMEM, "not enough memory")
                                 : weir_runs_start(r->runs, &request, r->id, &execution, err);
    r->ended = code == WEIR_OK && weir_run_status_is_final(execution.status);
    weir_execution_free(&execution);
    weir__text_free(&tags);
    free(directory);
    return code;
}

// -------------------------------------------------------------------------------------------------- signals

// Must come before the first thread is started, so that no other thread gets these.
static int take_signals(running *r, weir_error *err)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGWINCH);
    if (pthread_sigmask(SIG_BLOCK, &mask, NULL) == 0)
        r->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return r->signal_fd >= 0 ? WEIR_OK : weir__error_errno(err, errno, "cannot watch for signals");
}

static int on_signal(running *r, int number, weir_error *err)
{
    if (number == SIGWINCH) {
        weir__screen_measure(&r->cli->out);
        return WEIR_OK;
    }
    if (r->interrupts++ == 0)
        r->signal_number = number;
    if (r->interrupts >= interrupts_max) // the end cannot be recorded, on a full disk for example
        return weir__error_set(
            err, WEIR_CANCELLED,
            "gave up waiting for the end of run %s; unless it is recorded by now, the next weir "
            "run or weir serve on this storage folder records it",
            r->id);
    weir__show_cancelling(&r->show, r->interrupts);
    const int code = weir_runs_cancel(r->runs, r->id, err);
    return code == WEIR_NOTFOUND ? WEIR_OK : code; // it has just ended
}

static int read_signals(running *r, weir_error *err)
{
    struct signalfd_siginfo info;
    int code = WEIR_OK;
    while (code == WEIR_OK && read(r->signal_fd, &info, sizeof info) == sizeof info)
        code = on_signal(r, (int)info.ssi_signo, err);
    return code;
}

// ------------------------------------------------------------------------------------------------- watching

static uint64_t now_ns(void)
{
    return weir__clock_now_ns(weir__clock_system());
}

static void flush(running *r)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir__screen_flush(&r->cli->out, &err) != WEIR_OK && r->output.code == WEIR_OK)
        r->output = err;
}

// Everything that waits, drawn; written in one go.
static void read_events(running *r)
{
    for (weir__event *event; (event = weir__events_take(&r->events)) != NULL; weir__event_free(event)) {
        if (strcmp(event->execution_id, r->id) != 0)
            continue;
        weir__show_event(&r->show, event, now_ns());
        r->ended |= event->kind == WEIR_RUN_EVENT_ENDED;
    }
    if (!r->ended)
        weir__show_draw(&r->show, now_ns());
    flush(r);
}

static int watch(running *r, weir_error *err)
{
    const int wait_ms = r->show.mode == WEIR__SHOW_LIVE ? WEIR__SHOW_FRAME_MS : look_every_ms;
    int code = WEIR_OK;
    while (!r->ended && code == WEIR_OK) {
        struct pollfd ready[] = {{.fd = r->events.fd, .events = POLLIN},
                                 {.fd = r->signal_fd, .events = POLLIN}};
        const bool gone = weir_runs_active_count(r->runs) == 0;
        (void)poll(ready, sizeof ready / sizeof ready[0], gone ? 0 : wait_ms);
        code = read_signals(r, err);
        if (code == WEIR_OK)
            read_events(r);
        r->ended |= gone;
    }
    return code;
}

// --------------------------------------------------------------------------------------------------- the end

static int exit_status(const running *r, const weir_execution *execution)
{
    enum { status_max = 255 };
    if (execution->status == WEIR_RUN_CANCELLED && r->signal_number != 0)
        return WEIR__EXIT_SIGNAL + r->signal_number;
    if (weir__timed_out(execution))
        return WEIR__EXIT_TIMEOUT;
    if (execution->status == WEIR_RUN_COMPLETED)
        return WEIR__EXIT_FINE;
    if (weir__start_errno(execution) != 0)
        return weir__start_errno(execution) == ENOENT ? WEIR__EXIT_NOT_FOUND : WEIR__EXIT_NOT_STARTED;
    if (!execution->has_exit_code || execution->exit_code == 0)
        return WEIR__EXIT_FAILED;
    const int64_t code =
        execution->exit_code < 0 ? WEIR__EXIT_SIGNAL - execution->exit_code : execution->exit_code;
    return code <= status_max ? (int)code : status_max;
}

// What most often is behind it when a command cannot be started; NULL: nothing to say.
static const char *start_hint(int error, const weir__operands *operands)
{
    const char *const program = operands->items[0];
    if (error == ENOENT && operands->count == 1 && strchr(program, ' ') != NULL)
        return "the quotes make it one word: leave them out, or run it with sh -c";
    if (error == EACCES && strchr(program, '/') != NULL)
        return "if it is a script, make it executable with chmod +x, or run it with sh";
    return error == ENOEXEC ? "if it is a script, its first line must be #!/bin/sh or the like" : NULL;
}

static int summary(running *r, const weir__operands *operands, int *status, weir_error *err)
{
    weir_run_detail detail = {0};
    const int code = weir_runs_get_detail(r->runs, r->id, &detail, err);
    if (code == WEIR_OK) {
        weir__show_summary(&r->show, &detail, weir_runs_storage_path(r->runs));
        *status = exit_status(r, &detail.execution);
        const char *const hint = start_hint(weir__start_errno(&detail.execution), operands);
        if (hint != NULL && r->show.mode != WEIR__SHOW_JSON)
            weir__screen_printf(&r->cli->out, "  %s\n", hint);
    }
    weir_run_detail_free(&detail);
    return code;
}

static int open_and_start(running *r, const weir__operands *operands, weir_error *err)
{
    const weir_runs_config config = {.strict_markers = r->values->strict_markers};
    int code = take_signals(r, err);
    if (code == WEIR_OK)
        code = weir_runs_open(weir__cli_storage(r->values->storage), &config, &r->runs, err);
    if (code == WEIR_OK)
        code = weir_runs_listen(r->runs, weir__events_listener, &r->events, &r->listener_id, err);
    return code == WEIR_OK ? start(r, operands, err) : code;
}

static weir__show_mode mode_of(const weir__cli *cli, const run_values *v)
{
    if (v->json)
        return WEIR__SHOW_JSON;
    return cli->out.terminal ? WEIR__SHOW_LIVE : WEIR__SHOW_PLAIN;
}

static int run(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    weir_error err = WEIR_ERROR_INIT;
    int status = WEIR__EXIT_FAILED;
    running r = {.cli = cli, .values = values, .signal_fd = -1};
    if (check_environment(&r.values->environment, &err) != WEIR_OK)
        return weir__cli_usage(cli, command, &err);
    int code = weir__events_init(&r.events, &err);
    if (code != WEIR_OK)
        return weir__cli_failed(cli, &err);
    weir__show_init(&r.show, &cli->out, mode_of(cli, r.values), r.values->quiet);
    code = open_and_start(&r, operands, &err);
    if (code == WEIR_OK)
        code = watch(&r, &err);
    if (code == WEIR_OK) {
        read_events(&r);
        code = summary(&r, operands, &status, &err);
    }
    if (code != WEIR_OK)
        weir__show_erase(&r.show);
    flush(&r);
    if (r.runs != NULL)
        weir_runs_unlisten(r.runs, r.listener_id);
    int finished = weir__records_finish(cli, r.runs, code, &err);
    if (r.output.code != WEIR_OK)
        finished = weir__cli_failed(cli, &r.output);
    weir__show_fini(&r.show);
    weir__events_fini(&r.events);
    if (r.signal_fd >= 0)
        close(r.signal_fd);
    return finished != WEIR__EXIT_FINE && status == WEIR__EXIT_FINE ? finished : status;
}

const weir__command weir__command_run = {
    .name = "run",
    .operands = "-- COMMAND [ARGUMENT...]",
    .operands_min = 1,
    .operands_max = WEIR__OPERANDS_ANY,
    .summary = "run a command here, show its steps as they go, and record everything",
    .about =
        "The command's output is searched for markers, one per line:\n"
        "  STEP_START:Build [duration=60]    a step begins; the one before ends\n"
        "  STEP_COMPLETE:Build               it is done\n"
        "  STEP_ERROR:what went wrong        it failed\n"
        "  ARTIFACT:dist/app.tar:the build   a file to keep\n"
        "  META:version:1.2.3                a fact about the step, or the run outside of one\n"
        "Every other line is kept in the step's log. Other Weir processes may use the storage meanwhile.\n"
        "Ctrl-C cancels the command and everything it started, a second one kills it; the record is "
        "complete\n"
        "in either case. A third one does not wait for that any longer.\n\n"
        "With --json each line is an object with \"event\" and \"execution_id\": queued, started, "
        "changed and ended have\n"
        "\"execution\"; step_started, step_changed and step_ended have \"step\" too; artifact has "
        "\"artifact\"; log has\n"
        "\"lines\"; gap has \"lines\", a number of log lines that were not printed because the reader "
        "was slow; the last is\n"
        "summary, with \"storage\", \"execution\", \"steps\" and \"artifacts\".",
    .statuses = "124   it ran into --timeout\n"
                "126   the command could not be started\n"
                "127   there is no such command or directory\n"
                "128+N signal N ended it, 130 after Ctrl-C\n"
                "other what the command exited with",
    .examples = "weir run -- ./deploy.sh --fast\n"
                "weir run --name nightly --tag db --timeout 2h -- pg_dump -f out.sql app\n"
                "weir run --json -- make test | jq -r .event",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const run_values){0},
    .values_size = sizeof(run_values),
    .run = run,
    .rest_is_foreign = true,
};
