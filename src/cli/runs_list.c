// SPDX-License-Identifier: MIT
//
// weir runs list: what ran, newest first.
#include <inttypes.h>
#include <string.h>

#include "cli/format.h"
#include "cli/records.h"
#include "cli/table.h"

typedef struct list_values {
    const char *storage, *user, *search;
    uint64_t limit;
    int status; // index into statuses
    bool json;
} list_values;

// "any" and the names of weir_run_status, in its order.
static const char *const statuses[] = {"any", "pending", "running", "completed", "failed", "cancelled", NULL};

static const weir__option options[] = {
    WEIR__OPTION_STORAGE(list_values),
    {.name = "status",
     .kind = WEIR__OPTION_CHOICE,
     .offset = offsetof(list_values, status),
     .value = "STATUS",
     .help = "only pending, running, completed, failed or cancelled runs",
     .choices = statuses},
    {.name = "user",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(list_values, user),
     .value = "NAME",
     .help = "only runs of this user"},
    {.name = "search",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(list_values, search),
     .value = "TEXT",
     .help = "only runs with this text in name, command or id"},
    {.name = "limit",
     .letter = 'n',
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(list_values, limit),
     .value = "N",
     .help = "at most so many (default 20)",
     .min = 1,
     .max = WEIR_RUNS_LIST_MAX},
    WEIR__OPTION_JSON(list_values),
};

static void add_row(weir__table *table, const weir__screen *screen, const weir_execution *execution)
{
    char text[WEIR_LOCAL_TEXT_SIZE];
    char duration[32];
    double seconds = 0;
    const bool known = weir_execution_duration(execution, 0, &seconds);
    const weir_local_us began = execution->started_at != 0 ? execution->started_at : execution->created_at;
    const weir__style style = weir__status_style(execution->status);
    weir__table_cell(table, WEIR__STYLE_DIM, "%.*s", WEIR__ID_SHORT, execution->id);
    weir__table_cell(table, style, "%s %s", weir__status_glyph(screen, execution->status),
                     weir__status_word(execution->status, execution->status_text));
    weir__table_cell(table, WEIR__STYLE_PLAIN, "%s", execution->name);
    weir__table_cell(table, WEIR__STYLE_PLAIN, "%" PRIi64 "/%" PRIi64, execution->completed_steps,
                     execution->total_steps);
    weir__table_cell(table, WEIR__STYLE_DIM, "%s", weir__time_text(began, text));
    weir__table_cell(table, WEIR__STYLE_PLAIN, "%s",
                     weir__seconds_text(known, seconds, duration, sizeof duration));
}

static void print_table(weir__screen *screen, const weir_execution_list *list)
{
    weir__table table;
    weir__table_init(&table, 6,
                     (weir__column[]){{"ID", WEIR__COLUMN_LEFT},
                                      {"STATUS", WEIR__COLUMN_LEFT},
                                      {"NAME", WEIR__COLUMN_ELASTIC},
                                      {"STEPS", WEIR__COLUMN_RIGHT},
                                      {"STARTED", WEIR__COLUMN_SPARE},
                                      {"DURATION", WEIR__COLUMN_RIGHT}});
    for (size_t i = 0; i < list->count; i++)
        add_row(&table, screen, &list->items[i]);
    weir__table_print(&table, screen);
    weir__table_fini(&table);
}

static void print_list(weir__cli *cli, const weir_execution_list *list)
{
    if (list->count > 0)
        print_table(&cli->out, list);
    if (list->total == 0)
        weir__screen_styled(&cli->err, WEIR__STYLE_DIM, "No runs.");
    else if (list->total > list->count)
        weir__screen_styled(&cli->err, WEIR__STYLE_DIM,
                            "The newest %zu of %" PRIu64 " runs; --limit N shows more.", list->count,
                            list->total);
    else
        return;
    weir__screen_add(&cli->err, "\n");
    (void)weir__screen_flush(&cli->out, NULL);
    (void)weir__screen_flush(&cli->err, NULL);
}

static int runs_list(weir__cli *cli, const weir__command *command, void *values,
                     const weir__operands *operands)
{
    (void)command;
    (void)operands;
    const list_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir_runs *runs = NULL;
    weir_execution_list list = {0};
    const weir_runs_query query = {
        .limit = (int64_t)v->limit,
        .status = v->status > 0 ? statuses[v->status] : NULL,
        .user = v->user,
        .search = v->search,
        .with_total = true,
    };
    int code = weir__records_open(v->storage, WEIR__RECORDS_READ, &runs, &err);
    if (code == WEIR_OK)
        code = weir_runs_list(runs, &query, &list, &err);
    if (code == WEIR_OK && v->json) {
        weir__screen_add(&cli->out, "{\"executions\":");
        weir__screen_take(&cli->out, weir_execution_list_to_json(&list, NULL));
        weir__screen_printf(&cli->out, ",\"count\":%zu,\"total\":%" PRIu64 "}\n", list.count, list.total);
    } else if (code == WEIR_OK) {
        print_list(cli, &list);
    }
    weir_execution_list_free(&list);
    return weir__records_finish(cli, runs, code, &err);
}

const weir__command weir__command_runs_list = {
    .name = "runs list",
    .operands = "",
    .summary = "what ran, newest first",
    .about = "With --json: an object with \"executions\", an array, \"count\", its size, and \"total\", all "
             "that match.",
    .examples = "weir runs list\n"
                "weir runs list --status failed --limit 5\n"
                "weir runs list --search deploy --json",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const list_values){.limit = 20},
    .values_size = sizeof(list_values),
    .run = runs_list,
};
