// SPDX-License-Identifier: MIT
//
// Every string of a record goes through weir__screen_visible() or a table, which makes it harmless.
#include "cli/records.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/format.h"
#include "cli/number.h"
#include "cli/table.h"

int weir__records_open(const char *storage, weir__records_use use, weir_runs **runs, weir_error *err)
{
    const weir_runs_config config = {
        .must_exist = true,
        .read_only = use == WEIR__RECORDS_READ,
        .no_engine = use != WEIR__RECORDS_SETTLE,
    };
    return weir_runs_open(weir__cli_storage(storage), &config, runs, err);
}

// "last" is the run that was created last; anything else an id or its beginning.
static int resolve(weir_runs *runs, const char *text, char *id, size_t id_size, weir_error *err)
{
    if (strcmp(text, "last") != 0)
        return weir_runs_resolve(runs, text, id, id_size, err);
    weir_execution_list list = {0};
    int code = weir_runs_list(runs, &(weir_runs_query){.limit = 1}, &list, err);
    if (code == WEIR_OK && list.count == 0)
        code =
            weir__error_set(err, WEIR_NOTFOUND, "there is no last run in %s: nothing is recorded there yet",
                            weir_runs_storage_path(runs));
    if (code == WEIR_OK && strlen(list.items[0].id) >= id_size)
        code = weir__error_set(err, WEIR_TOOBIG, "the id of the last run is too long");
    if (code == WEIR_OK)
        snprintf(id, id_size, "%s", list.items[0].id);
    weir_execution_list_free(&list);
    return code;
}

int weir__records_find(const char *storage, weir__records_use use, const char *text, weir_runs **runs,
                       char id[WEIR_ID_LENGTH_MAX + 1], weir_error *err)
{
    int code = weir__records_open(storage, use, runs, err);
    if (code != WEIR_OK)
        return code;
    code = resolve(*runs, text, id, WEIR_ID_LENGTH_MAX + 1, err);
    if (code != WEIR_OK) {
        (void)weir_runs_close(*runs, 0, NULL);
        *runs = NULL;
    }
    return code;
}

int weir__records_finish(weir__cli *cli, weir_runs *runs, int code, weir_error *err)
{
    weir_error close_err = WEIR_ERROR_INIT;
    const int close_code = weir_runs_close(runs, 0, &close_err);
    if (code != WEIR_OK)
        return weir__cli_failed(cli, err);
    return close_code == WEIR_OK ? WEIR__EXIT_FINE : weir__cli_failed(cli, &close_err);
}

const char *weir__status_glyph(const weir__screen *screen, weir_run_status status)
{
    switch (status) {
    case WEIR_RUN_COMPLETED:
        return weir__screen_glyph(screen, "\u2713", "+");
    case WEIR_RUN_FAILED:
        return weir__screen_glyph(screen, "\u2717", "x");
    case WEIR_RUN_CANCELLED:
        return weir__screen_glyph(screen, "\u2298", "!");
    case WEIR_RUN_RUNNING:
        return weir__screen_glyph(screen, "\u25b8", ">");
    case WEIR_RUN_PENDING:
        return weir__screen_glyph(screen, "\u00b7", ".");
    case WEIR_RUN_SKIPPED:
        return weir__screen_glyph(screen, "\u2013", "-");
    case WEIR_RUN_OTHER:
        break;
    }
    return "?";
}

weir__style weir__status_style(weir_run_status status)
{
    switch (status) {
    case WEIR_RUN_COMPLETED:
        return WEIR__STYLE_GOOD;
    case WEIR_RUN_FAILED:
        return WEIR__STYLE_BAD;
    case WEIR_RUN_CANCELLED:
        return WEIR__STYLE_WARN;
    case WEIR_RUN_RUNNING:
        return WEIR__STYLE_ACTIVE;
    case WEIR_RUN_PENDING:
    case WEIR_RUN_SKIPPED:
        return WEIR__STYLE_DIM;
    case WEIR_RUN_OTHER:
        break;
    }
    return WEIR__STYLE_WARN;
}

const char *weir__status_word(weir_run_status status, const char *stored)
{
    return stored != NULL ? stored : weir_run_status_name(status);
}

const char *weir__time_text(weir_local_us time, char text[WEIR_LOCAL_TEXT_SIZE])
{
    enum { separator = 10, fraction = 19 };
    if (time == 0)
        return "-";
    weir_local_format(time, text);
    text[separator] = ' ';
    text[fraction] = '\0';
    return text;
}

const char *weir__seconds_text(bool known, double seconds, char *text, size_t size)
{
    const double seconds_max = 1e12;
    if (!known || !(seconds <= seconds_max))
        return "-";
    weir__text out = {0};
    weir__format_duration(&out, seconds > 0 ? (uint64_t)(seconds * 1000) : 0);
    snprintf(text, size, "%s", weir__text_string(&out));
    weir__text_free(&out);
    return text;
}

static void print_heading(weir__screen *screen, const char *heading)
{
    weir__screen_add(screen, "\n");
    weir__screen_styled(screen, WEIR__STYLE_BOLD, "%s", heading);
    weir__screen_add(screen, "\n");
}

static const char *or_empty(const char *string)
{
    return string != NULL ? string : "";
}

void weir__print_steps(weir__screen *screen, const weir_run_step_list *steps)
{
    weir__table table;
    if (steps->count == 0)
        return;
    print_heading(screen, "Steps");
    weir__table_init(&table, 5,
                     (weir__column[]){{NULL, 0},
                                      {NULL, WEIR__COLUMN_RIGHT},
                                      {NULL, WEIR__COLUMN_ELASTIC},
                                      {NULL, WEIR__COLUMN_RIGHT},
                                      {NULL, WEIR__COLUMN_ELASTIC}});
    for (size_t i = 0; i < steps->count; i++) {
        const weir_run_step *const step = &steps->items[i];
        char text[32];
        double seconds = 0;
        const bool known = weir_run_step_duration(step, 0, &seconds);
        weir__table_cell(&table, weir__status_style(step->status), "  %s",
                         weir__status_glyph(screen, step->status));
        weir__table_cell(&table, WEIR__STYLE_DIM, "%" PRIi64, step->index + 1);
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", step->name);
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s",
                         weir__seconds_text(known, seconds, text, sizeof text));
        weir__table_cell(&table, weir__status_style(step->status), "%s", or_empty(step->error_message));
    }
    weir__table_print(&table, screen);
    weir__table_fini(&table);
}

void weir__print_artifacts(weir__screen *screen, const weir_artifact_list *artifacts,
                           weir__artifact_paths paths)
{
    weir__table table;
    if (artifacts->count == 0)
        return;
    print_heading(screen, "Artifacts");
    weir__table_init(&table, 4,
                     (weir__column[]){{NULL, WEIR__COLUMN_ELASTIC},
                                      {NULL, WEIR__COLUMN_RIGHT},
                                      {NULL, WEIR__COLUMN_ELASTIC},
                                      {NULL, WEIR__COLUMN_ELASTIC}});
    for (size_t i = 0; i < artifacts->count; i++) {
        const weir_artifact *const artifact = &artifacts->items[i];
        weir__text size = {0};
        weir__format_bytes(&size, artifact->file_size > 0 ? (uint64_t)artifact->file_size : 0);
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "  %s", artifact->name);
        weir__table_cell(&table, artifact->exists ? WEIR__STYLE_PLAIN : WEIR__STYLE_WARN, "%s",
                         artifact->exists ? weir__text_string(&size) : "missing");
        weir__table_cell(&table, WEIR__STYLE_PLAIN, "%s", artifact->description);
        weir__table_cell(&table, WEIR__STYLE_DIM, "%s",
                         paths == WEIR__ARTIFACT_PATHS_YES ? artifact->file_path : "");
        weir__text_free(&size);
    }
    weir__table_print(&table, screen);
    weir__table_fini(&table);
}

bool weir__timed_out(const weir_execution *execution)
{
    return execution->status == WEIR_RUN_FAILED && execution->has_exit_code && execution->exit_code == -1 &&
           execution->error_message != NULL && strcmp(execution->error_message, "Execution timed out") == 0;
}

int weir__start_errno(const weir_execution *execution)
{
    // The record keeps the words of StepFlow Monitor: "[Errno 2] No such file or directory: './deploy.sh'".
    static const char words[] = "[Errno ";
    const char *const message = or_empty(execution->error_message);
    char digits[8];
    uint64_t number = 0;
    if (execution->status != WEIR_RUN_FAILED || strncmp(message, words, sizeof words - 1) != 0)
        return 0;
    const char *const first = message + sizeof words - 1;
    snprintf(digits, sizeof digits, "%.*s", (int)strcspn(first, "]"), first);
    return weir__number_parse(digits, 1, 4095, &number) ? (int)number : 0;
}

void weir__outcome(weir__text *text, const weir_execution *execution)
{
    enum { signals_max = 64 };
    weir__text_add(text, weir__status_word(execution->status, execution->status_text));
    if (weir__timed_out(execution)) {
        weir__text_clear(text);
        weir__text_add(text, "timed out");
    } else if (weir__start_errno(execution) != 0) {
        weir__text_clear(text);
        weir__text_add(text, "could not be started");
    } else if (execution->has_exit_code && execution->exit_code < 0 && execution->exit_code >= -signals_max) {
        const int number = (int)-execution->exit_code;
        const char *const name = sigabbrev_np(number);
        weir__text_printf(text, " by signal %d%s%s", number, name != NULL ? ", SIG" : "", or_empty(name));
    } else if (execution->has_exit_code && execution->exit_code != 0) {
        weir__text_printf(text, " with exit code %" PRIi64, execution->exit_code);
    }
}

void weir__detail_json(weir__screen *screen, const weir_run_detail *detail)
{
    weir__screen_add(screen, "\"execution\":");
    weir__screen_take(screen, weir_execution_to_json(&detail->execution, NULL));
    weir__screen_add(screen, ",\"steps\":[");
    for (size_t i = 0; i < detail->steps.count; i++) {
        weir__screen_add(screen, i > 0 ? "," : "");
        weir__screen_take(screen, weir_run_step_to_json(&detail->steps.items[i], NULL, 0, NULL));
    }
    weir__screen_add(screen, "],\"artifacts\":");
    weir__screen_take(screen, weir_artifact_list_to_json(&detail->artifacts, NULL));
}
