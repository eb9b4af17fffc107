// SPDX-License-Identifier: MIT
//
// weir version: what is running, down to the SQLite that the system loaded.
#include "cli/cli.h"

#include <string.h>

#include <weir/weir.h>

typedef struct version_values {
    bool json;
} version_values;

static const weir__option options[] = {WEIR__OPTION_JSON(version_values)};

static const char with_fix[] = "it has the fix of the WAL-reset bug";
static const char without_fix[] =
    "it has the WAL-reset bug, which can lose a commit that overlaps a checkpoint; "
    "Weir never lets the two overlap unguarded, other programs on the same file may";

static void print_json(weir__screen *out, const weir_version_info *info)
{
    weir__screen_add(out, "{\"weir\":");
    weir__text_json_string(&out->text, info->weir, strlen(info->weir));
    weir__screen_add(out, ",\"sqlite\":");
    weir__text_json_string(&out->text, info->sqlite, strlen(info->sqlite));
    weir__screen_add(out, ",\"sqlite_source_id\":");
    weir__text_json_string(&out->text, info->sqlite_id, strlen(info->sqlite_id));
    weir__screen_printf(out, ",\"has_wal_reset_fix\":%s}\n", info->has_wal_reset_fix ? "true" : "false");
}

static int version(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    (void)command;
    (void)operands;
    const version_values *const v = values;
    weir_version_info info = {0};
    weir_version(&info);
    if (v->json) {
        print_json(&cli->out, &info);
        return WEIR__EXIT_FINE;
    }
    weir__screen_printf(&cli->out, "weir %s\nSQLite %s (%s)\n", info.weir, info.sqlite, info.sqlite_id);
    weir__screen_printf(&cli->out, "SQLite %s: %s\n", info.sqlite,
                        info.has_wal_reset_fix ? with_fix : without_fix);
    return WEIR__EXIT_FINE;
}

const weir__command weir__command_version = {
    .name = "version",
    .operands = "",
    .summary = "what is running, and whether the loaded SQLite has the WAL-reset fix",
    .examples = "weir version\nweir version --json",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const version_values){0},
    .values_size = sizeof(version_values),
    .run = version,
};
