// SPDX-License-Identifier: MIT
//
// weir runs show: one run with its steps and artifacts.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/format.h"
#include "cli/records.h"

typedef struct show_values {
    const char *storage;
    bool json;
} show_values;

static const weir__option options[] = {
    WEIR__OPTION_STORAGE(show_values),
    WEIR__OPTION_JSON(show_values),
};

// "  label       value", left out when there is no value.
static void print_field(weir__screen *screen, const char *label, const char *value)
{
    enum { label_columns = 12 };
    if (value == NULL || value[0] == '\0')
        return;
    weir__screen_add(screen, "  ");
    weir__screen_styled(screen, WEIR__STYLE_DIM, "%-*s", label_columns, label);
    weir__screen_visible(screen, value, WEIR__COLUMNS_ALL);
    weir__screen_add(screen, "\n");
}

static void print_time(weir__screen *screen, const char *label, weir_local_us time)
{
    char text[WEIR_LOCAL_TEXT_SIZE];
    if (time != 0)
        print_field(screen, label, weir__time_text(time, text));
}

// A JSON value as text: strings as they are, others as JSON.
static void add_value(weir__text *text, const json_t *value)
{
    if (json_is_string(value)) {
        weir__text_append(text, json_string_value(value), json_string_length(value));
        return;
    }
    char *const dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    text->failed |= dumped == NULL;
    weir__text_add(text, dumped != NULL ? dumped : "");
    free(dumped);
}

static void print_tags(weir__screen *screen, const char *tags_json)
{
    json_t *const tags = json_loads(tags_json, 0, NULL);
    weir__text text = {0};
    size_t i;
    const json_t *value;
    json_array_foreach(tags, i, value)
    {
        weir__text_add(&text, i > 0 ? ", " : "");
        add_value(&text, value);
    }
    print_field(screen, "tags", weir__text_string(&text));
    weir__text_free(&text);
    json_decref(tags);
}

// "key=value", the first behind the label, the others below it.
static void print_object(weir__screen *screen, const char *label, const char *object_json)
{
    json_t *const object = json_loads(object_json, 0, NULL);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        weir__text text = {0};
        weir__text_printf(&text, "%s=", key);
        add_value(&text, value);
        print_field(screen, label, weir__text_string(&text));
        weir__text_free(&text);
        label = "";
    }
    json_decref(object);
}

static void print_status(weir__screen *screen, const weir_execution *execution)
{
    weir__text text = {0};
    char duration[32];
    double seconds = 0;
    weir__outcome(&text, execution);
    const weir__style style = weir__status_style(execution->status);
    weir__screen_styled(screen, style, "%s ", weir__status_glyph(screen, execution->status));
    weir__screen_style(screen, WEIR__STYLE_BOLD);
    weir__screen_visible(screen, execution->name, WEIR__COLUMNS_ALL);
    weir__screen_style(screen, WEIR__STYLE_PLAIN);
    weir__screen_add(screen, "  ");
    weir__screen_style(screen, style);
    weir__screen_visible(screen, weir__text_string(&text), WEIR__COLUMNS_ALL);
    weir__screen_style(screen, WEIR__STYLE_PLAIN);
    if (weir_execution_duration(execution, 0, &seconds))
        weir__screen_printf(screen, " %s %s", weir_run_status_is_final(execution->status) ? "after" : "for",
                            weir__seconds_text(true, seconds, duration, sizeof duration));
    weir__screen_add(screen, "\n");
    weir__text_free(&text);
}

static void print_detail(weir__screen *screen, const weir_run_detail *detail)
{
    const weir_execution *const execution = &detail->execution;
    print_status(screen, execution);
    print_field(screen, "id", execution->id);
    if (strcmp(execution->command, execution->name) != 0)
        print_field(screen, "command", execution->command);
    print_field(screen, "directory", execution->working_directory);
    print_field(screen, "user", execution->user);
    print_tags(screen, execution->tags_json);
    print_time(screen, "created", execution->created_at);
    print_time(screen, "started", execution->started_at);
    print_time(screen, "ended", execution->completed_at);
    if (!weir__timed_out(execution))
        print_field(screen, "error", execution->error_message);
    print_object(screen, "environment", execution->environment_json);
    print_object(screen, "metadata", execution->metadata_json);
    weir__print_steps(screen, &detail->steps);
    weir__print_artifacts(screen, &detail->artifacts, WEIR__ARTIFACT_PATHS_YES);
}

static int runs_show(weir__cli *cli, const weir__command *command, void *values,
                     const weir__operands *operands)
{
    (void)command;
    const show_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir_runs *runs = NULL;
    weir_run_detail detail = {0};
    char id[WEIR_ID_LENGTH_MAX + 1];
    int code = weir__records_find(v->storage, WEIR__RECORDS_READ, operands->items[0], &runs, id, &err);
    if (code == WEIR_OK)
        code = weir_runs_get_detail(runs, id, &detail, &err);
    if (code == WEIR_OK && v->json) {
        weir__screen_add(&cli->out, "{");
        weir__detail_json(&cli->out, &detail);
        weir__screen_add(&cli->out, "}\n");
    } else if (code == WEIR_OK) {
        print_detail(&cli->out, &detail);
    }
    weir_run_detail_free(&detail);
    return weir__records_finish(cli, runs, code, &err);
}

const weir__command weir__command_runs_show = {
    .name = "runs show",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "one run with its steps and artifacts",
    .about = WEIR__ABOUT_ID "\n"
                            "With --json: an object with \"execution\", \"steps\" and \"artifacts\".",
    .examples = "weir runs show last\nweir runs show 3f2a9c1e --json",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const show_values){0},
    .values_size = sizeof(show_values),
    .run = runs_show,
};
