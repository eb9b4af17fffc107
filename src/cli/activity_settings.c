// SPDX-License-Identifier: MIT
//
// weir activity settings: what ActivityWatch's web interface keeps, the privacy filters among it. Values are
// JSON, so they are printed as JSON, too; on a terminal with everything that could do harm made visible.
#include <stdlib.h>
#include <string.h>

#include "base/json_read.h"
#include "cli/target.h"

typedef struct settings_values {
    weir__target_values target;
    bool unset;
} settings_values;

static const weir__option options[] = {
    {.name = "unset",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(settings_values, unset),
     .help = "remove it; fine also when it is not set"},
    WEIR__TARGET_OPTIONS(settings_values),
};

static int check_line(const settings_values *v, const weir__operands *operands, weir_error *err)
{
    const char *const name = operands->items[0];
    const char *const value = name != NULL ? operands->items[1] : NULL;
    weir__text canonical = {0};
    weir_error why = WEIR_ERROR_INIT;
    int code = WEIR_OK;
    if (v->unset && (name == NULL || value != NULL))
        return weir__error_set(err, WEIR_INVALID, "--unset takes a NAME and no VALUE");
    if (value != NULL &&
        weir__json_canonical(value, strlen(value), WEIR__JSON_END, &canonical, &why) != WEIR_OK)
        code = weir__error_set(err, WEIR_INVALID, "VALUE must be JSON, text in double quotes: %s", why.text);
    weir__text_free(&canonical);
    return code;
}

static void print_value(weir__screen *screen, const char *json)
{
    if (screen->terminal)
        weir__screen_visible(screen, json, WEIR__COLUMNS_ALL);
    else
        weir__screen_add(screen, json);
    weir__screen_add(screen, "\n");
}

static int settings(weir__cli *cli, const weir__command *command, void *values,
                    const weir__operands *operands)
{
    const settings_values *const v = values;
    const char *const name = operands->items[0];
    const char *const value = name != NULL ? operands->items[1] : NULL;
    const bool changes = v->unset || value != NULL;
    weir_error err = WEIR_ERROR_INIT;
    weir__target target = {0};
    char *json = NULL;
    if (check_line(v, operands, &err) != WEIR_OK)
        return weir__cli_usage(cli, command, &err);
    int code =
        weir__target_open(&v->target, changes ? WEIR__TARGET_CHANGE : WEIR__TARGET_READ, &target, &err);
    if (code == WEIR_OK && changes)
        code = weir__target_setting_set(&target, name, value, &err);
    else if (code == WEIR_OK)
        code = weir__target_setting_get(&target, name, &json, &err);
    if (code == WEIR_OK && json != NULL)
        print_value(&cli->out, json);
    free(json);
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_settings = {
    .name = "activity settings",
    .operands = "[NAME [VALUE]]",
    .operands_max = 2,
    .summary = "the settings of ActivityWatch's web interface, and the privacy filters",
    .about = "Without a NAME all of them, with one its value (null when it is not set), with a VALUE it is "
             "set. Values "
             "are JSON,\nso the output is, with and without --json.",
    .examples = "weir activity settings\n"
                "weir activity settings startOfDay '\"04:00\"'\n"
                "weir activity settings privacy_filters \"$(cat filters.json)\"\n"
                "weir activity settings startOfDay --unset",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const settings_values){.unset = false},
    .values_size = sizeof(settings_values),
    .run = settings,
};
