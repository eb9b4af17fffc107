// SPDX-License-Identifier: MIT
//
// The weir command: a table of commands, each with its options, help and function. weir__cli_main() finds the
// command, reads its options and calls it; the function gets what was read and returns the exit status.
//
// Exit statuses, the same for all commands: 0 fine, 1 failed, 2 a wrong command line. `weir run` adds those
// of the script; `weir wal verify` has its own.
#ifndef WEIR_CLI_CLI_H
#define WEIR_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "cli/args.h"
#include "cli/screen.h"

enum {
    WEIR__EXIT_FINE = 0,
    WEIR__EXIT_FAILED = 1,
    WEIR__EXIT_USAGE = 2,
    WEIR__EXIT_TIMEOUT = 124,
    WEIR__EXIT_NOT_STARTED = 126,
    WEIR__EXIT_NOT_FOUND = 127,
    WEIR__EXIT_SIGNAL = 128, // and the signal's number
    WEIR__OPERANDS_ANY = 1 << 30,
};

// What every command gets.
typedef struct weir__cli {
    weir__screen out; // results
    weir__screen err; // sentences for people
} weir__cli;

typedef struct weir__command weir__command;

// `values` is a struct of the command's own. Returns the exit status.
typedef int weir__command_fn(weir__cli *cli, const weir__command *command, void *values,
                             const weir__operands *operands);

struct weir__command {
    const char *name;     // "runs list"
    const char *operands; // in the usage line, "ID"; "" when there are none
    int operands_min, operands_max;
    const char *summary;      // one line
    const char *about;        // paragraphs for --help; may be NULL
    const char *statuses;     // lines for --help about exit statuses beyond 0, 1 and 2; may be NULL
    const char *statuses_all; // the same instead of 0, 1 and 2; may be NULL
    const char *examples;     // lines for --help
    weir__options options;
    const void *defaults; // the struct of values to start from
    size_t values_size;
    weir__command_fn *run;
    int (*raw)(int argc,
               char **argv); // instead of all from `about` on: reads its own command line, --help included
    bool rest_is_foreign;    // the first operand ends the options
};

// Options that many commands have; each takes the struct of the command's values and its member.
#define WEIR__OPTIONS(table)                        \
    {                                               \
        (table), sizeof(table) / sizeof((table)[0]) \
    }
#define WEIR__OPTION_JSON(type)                                                    \
    {                                                                              \
        .name = "json", .kind = WEIR__OPTION_FLAG, .offset = offsetof(type, json), \
        .help = "JSON for machines"                                                \
    }
#define WEIR__OPTION_STORAGE(type)                                                                       \
    {                                                                                                    \
        .name = "storage", .kind = WEIR__OPTION_PATH, .offset = offsetof(type, storage), .value = "DIR", \
        .help = "where the runs are kept (default: $STEPFLOW_STORAGE_PATH, or else \"storage\" here)",   \
        .variable = "STEPFLOW_STORAGE_PATH"                                                              \
    }

extern const weir__command weir__command_run;
extern const weir__command weir__command_runs_list;
extern const weir__command weir__command_runs_show;
extern const weir__command weir__command_runs_logs;
extern const weir__command weir__command_runs_cancel;
extern const weir__command weir__command_runs_cleanup;
extern const weir__command weir__command_runs_repair;
extern const weir__command weir__command_runs_delete;
extern const weir__command weir__command_activity_buckets;
extern const weir__command weir__command_activity_events;
extern const weir__command weir__command_activity_export;
extern const weir__command weir__command_activity_create;
extern const weir__command weir__command_activity_heartbeat;
extern const weir__command weir__command_activity_insert;
extern const weir__command weir__command_activity_delete;
extern const weir__command weir__command_activity_import;
extern const weir__command weir__command_activity_settings;
extern const weir__command weir__command_serve;
extern const weir__command weir__command_stats;
extern const weir__command weir__command_wal_info;
extern const weir__command weir__command_wal_frames;
extern const weir__command weir__command_wal_verify;
extern const weir__command weir__command_bench_commit;
extern const weir__command weir__command_bench_heartbeat;
extern const weir__command weir__command_version;

// Everything main() does.
int weir__cli_main(int argc, char **argv);

// The storage folder that is meant: `given`, or the environment's, or the default.
const char *weir__cli_storage(const char *given);

// "weir: SENTENCE" on stderr; returns WEIR__EXIT_FAILED, or WEIR__EXIT_USAGE for weir__cli_usage(), which
// adds where to read more.
int weir__cli_failed(weir__cli *cli, const weir_error *err);
int weir__cli_usage(weir__cli *cli, const weir__command *command, const weir_error *err);

#endif
