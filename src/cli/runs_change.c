// SPDX-License-Identifier: MIT
//
// weir runs cancel, delete, cleanup, repair: those that change what is recorded. Each tells what it did, or
// with
// --dry-run what it would do.
#include <inttypes.h>
#include <string.h>

#include "cli/format.h"
#include "cli/records.h"

// How long cancel waits for the end: the engine's grace before SIGKILL, plus time to notice and to commit.
enum { cancel_wait_ms = 15000 };

typedef struct change_values {
    const char *storage;
    uint64_t days;
    bool dry_run;
    bool json;
} change_values;

#define OPTION_DRY_RUN                                                                            \
    {                                                                                             \
        .name = "dry-run", .kind = WEIR__OPTION_FLAG, .offset = offsetof(change_values, dry_run), \
        .help = "say what would be done, change nothing"                                          \
    }

static const weir__option options_one[] = {
    WEIR__OPTION_STORAGE(change_values),
    WEIR__OPTION_JSON(change_values),
};

static const weir__option options_repair[] = {
    WEIR__OPTION_STORAGE(change_values),
    OPTION_DRY_RUN,
    WEIR__OPTION_JSON(change_values),
};

static const weir__option options_cleanup[] = {
    WEIR__OPTION_STORAGE(change_values),
    {.name = "days",
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(change_values, days),
     .value = "N",
     .help = "remove ended runs created more than N days ago (default 30)",
     .min = 1,
     .max = 36500},
    OPTION_DRY_RUN,
    WEIR__OPTION_JSON(change_values),
};

// ---------------------------------------------------------------------------------------------------- cancel

static void print_cancelled(weir__screen *screen, const weir_execution *execution, bool json)
{
    weir__text outcome = {0};
    if (json) {
        weir__screen_take(screen, weir_execution_to_json(execution, NULL));
        weir__screen_add(screen, "\n");
        return;
    }
    weir__outcome(&outcome, execution);
    weir__screen_printf(screen, "%.*s ", WEIR__ID_SHORT, execution->id);
    weir__screen_visible(screen, execution->name, WEIR__COLUMNS_ALL);
    weir__screen_printf(screen, ": %s\n", weir__text_string(&outcome));
    weir__text_free(&outcome);
}

static int runs_cancel(weir__cli *cli, const weir__command *command, void *values,
                       const weir__operands *operands)
{
    (void)command;
    const change_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir_runs *runs = NULL;
    weir_execution execution = {0};
    char id[WEIR_ID_LENGTH_MAX + 1];
    int code = weir__records_find(v->storage, WEIR__RECORDS_SETTLE, operands->items[0], &runs, id, &err);
    if (code == WEIR_OK)
        code = weir_runs_cancel(runs, id, &err);
    if (code == WEIR_OK)
        code = weir_runs_wait(runs, id, cancel_wait_ms, &execution, &err);
    if (code == WEIR_OK)
        print_cancelled(&cli->out, &execution, v->json);
    weir_execution_free(&execution);
    return weir__records_finish(cli, runs, code, &err);
}

const weir__command weir__command_runs_cancel = {
    .name = "runs cancel",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "end a run, also one of another process",
    .about = "The script and everything it started get SIGTERM, and SIGKILL two seconds later. Returns when "
             "the end is\n"
             "recorded.\n" WEIR__ABOUT_ID,
    .examples = "weir runs cancel 3f2a9c1e",
    .options = WEIR__OPTIONS(options_one),
    .defaults = &(const change_values){0},
    .values_size = sizeof(change_values),
    .run = runs_cancel,
};

// ------------------------------------------------------------------------------------- delete and cleanup

static void add_removed(weir_runs_removed *sum, const weir_runs_removed *more)
{
    sum->executions += more->executions;
    sum->steps += more->steps;
    sum->artifacts += more->artifacts;
    sum->files += more->files;
    sum->bytes += more->bytes;
}

static void print_counted(weir__screen *screen, uint64_t count, const char *noun, const char *separator)
{
    weir__text text = {0};
    weir__format_count(&text, count);
    weir__screen_printf(screen, "%s %s%s%s", weir__text_string(&text), noun, count == 1 ? "" : "s",
                        separator);
    weir__text_free(&text);
}

static void print_removed(weir__screen *screen, const weir_runs_removed *removed, const change_values *v)
{
    if (v->json) {
        weir__screen_printf(screen,
                            "{\"dry_run\":%s,\"executions\":%" PRIu64 ",\"steps\":%" PRIu64
                            ",\"artifacts\":%" PRIu64 ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n",
                            v->dry_run ? "true" : "false", removed->executions, removed->steps,
                            removed->artifacts, removed->files, removed->bytes);
        return;
    }
    weir__text bytes = {0};
    weir__format_bytes(&bytes, removed->bytes);
    weir__screen_add(screen, v->dry_run ? "would remove " : "removed ");
    print_counted(screen, removed->executions, "run", ", ");
    print_counted(screen, removed->steps, "step", ", ");
    print_counted(screen, removed->artifacts, "artifact", ", ");
    print_counted(screen, removed->files, "file", "");
    weir__screen_printf(screen, " (%s)\n", weir__text_string(&bytes));
    weir__text_free(&bytes);
}

static int runs_delete(weir__cli *cli, const weir__command *command, void *values,
                       const weir__operands *operands)
{
    (void)command;
    const change_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir_runs *runs = NULL;
    weir_runs_removed removed = {0};
    char id[WEIR_ID_LENGTH_MAX + 1];
    int code = weir__records_find(v->storage, WEIR__RECORDS_SETTLE, operands->items[0], &runs, id, &err);
    if (code == WEIR_OK)
        code = weir_runs_delete(runs, id, &removed, &err);
    if (code == WEIR_OK)
        print_removed(&cli->out, &removed, v);
    return weir__records_finish(cli, runs, code, &err);
}

const weir__command weir__command_runs_delete = {
    .name = "runs delete",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "remove a run that has ended, with its logs and artifacts",
    .about = WEIR__ABOUT_ID,
    .examples = "weir runs delete 3f2a9c1e",
    .options = WEIR__OPTIONS(options_one),
    .defaults = &(const change_values){0},
    .values_size = sizeof(change_values),
    .run = runs_delete,
};

static int runs_cleanup(weir__cli *cli, const weir__command *command, void *values,
                        const weir__operands *operands)
{
    (void)command;
    (void)operands;
    typedef int clean_fn(weir_runs *, const weir_runs_cleanup_options *, weir_runs_removed *, weir_error *);
    static clean_fn *const cleaners[] = {weir_runs_cleanup, weir_runs_expire_artifacts, weir_runs_sweep};
    const change_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir_runs *runs = NULL;
    weir_runs_removed sum = {0};
    const weir_runs_cleanup_options cleanup = {.days = (uint32_t)v->days, .dry_run = v->dry_run};
    const weir__records_use use = v->dry_run ? WEIR__RECORDS_READ : WEIR__RECORDS_SETTLE;
    int code = weir__records_open(v->storage, use, &runs, &err);
    for (size_t i = 0; code == WEIR_OK && i < sizeof cleaners / sizeof cleaners[0]; i++) {
        weir_runs_removed removed = {0};
        code = cleaners[i](runs, &cleanup, &removed, &err);
        add_removed(&sum, &removed);
    }
    if (code == WEIR_OK)
        print_removed(&cli->out, &sum, v);
    return weir__records_finish(cli, runs, code, &err);
}

const weir__command weir__command_runs_cleanup = {
    .name = "runs cleanup",
    .operands = "",
    .summary = "remove old runs, expired artifacts and files that belong to nothing",
    .about = "Runs that are pending or running are never removed.",
    .examples = "weir runs cleanup --days 90 --dry-run\nweir runs cleanup --days 90",
    .options = WEIR__OPTIONS(options_cleanup),
    .defaults = &(const change_values){.days = WEIR_RUNS_CLEANUP_DAYS_DEFAULT},
    .values_size = sizeof(change_values),
    .run = runs_cleanup,
};

// ---------------------------------------------------------------------------------------------------- repair

static void print_repaired(weir__screen *screen, const weir_runs_repaired *repaired, const change_values *v)
{
    if (v->json) {
        weir__screen_printf(screen,
                            "{\"dry_run\":%s,\"steps_completed\":%" PRIu64 ",\"steps_failed\":%" PRIu64 "}\n",
                            v->dry_run ? "true" : "false", repaired->steps_completed, repaired->steps_failed);
        return;
    }
    weir__screen_add(screen, v->dry_run ? "would set " : "set ");
    print_counted(screen, repaired->steps_completed, "step", " to completed, ");
    print_counted(screen, repaired->steps_failed, "step", " to failed\n");
}

static int runs_repair(weir__cli *cli, const weir__command *command, void *values,
                       const weir__operands *operands)
{
    (void)command;
    (void)operands;
    const change_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir_runs *runs = NULL;
    weir_runs_repaired repaired = {0};
    const weir__records_use use = v->dry_run ? WEIR__RECORDS_READ : WEIR__RECORDS_SETTLE;
    int code = weir__records_open(v->storage, use, &runs, &err);
    if (code == WEIR_OK)
        code = weir_runs_repair(runs, v->dry_run, &repaired, &err);
    if (code == WEIR_OK)
        print_repaired(&cli->out, &repaired, v);
    return weir__records_finish(cli, runs, code, &err);
}

const weir__command weir__command_runs_repair = {
    .name = "runs repair",
    .operands = "",
    .summary = "settle runs whose process died, and steps left running in runs that ended",
    .about = "A step that was left running becomes completed when a later step exists or the run completed, "
             "else failed.\n"
             "Databases written by StepFlow Monitor have many of them.",
    .examples = "weir runs repair --dry-run\nweir runs repair",
    .options = WEIR__OPTIONS(options_repair),
    .defaults = &(const change_values){0},
    .values_size = sizeof(change_values),
    .run = runs_repair,
};
