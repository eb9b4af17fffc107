// SPDX-License-Identifier: MIT
//
// What a `weir activity` command works on: a database file, or a server that has one. The commands see one set
// of calls; results are the same for both, so they look alike on a screen and as JSON.
//
// Over a server what comes is kept in a nameless file and read from there piece by piece, so a long answer
// needs no memory, and a broken one is noticed before its first line is printed. One thread.
#ifndef WEIR_CLI_TARGET_H
#define WEIR_CLI_TARGET_H

#include <weir/activity.h>

#include "cli/cli.h"
#include "cli/remote.h"

// Options that all commands have; the first members of their values.
typedef struct weir__target_values {
    const char *db, *url, *api_key_file;
    uint64_t timeout_ms;
    bool json;
} weir__target_values;

#define WEIR__TARGET_TIMEOUT_MS 60000

#define WEIR__TARGET_OPTIONS(type)                                                                 \
    {                                                                                              \
        .name = "db",                                                                              \
        .kind = WEIR__OPTION_PATH,                                                                 \
        .offset = offsetof(type, target.db),                                                       \
        .value = "FILE",                                                                           \
        .help = "the database (default: $WEIR_ACTIVITY, or else that of ActivityWatch's\nserver)", \
    },                                                                                             \
        {                                                                                          \
            .name = "url",                                                                         \
            .kind = WEIR__OPTION_TEXT,                                                             \
            .offset = offsetof(type, target.url),                                                  \
            .value = "URL",                                                                        \
            .help = "ask this server instead, such as http://127.0.0.1:5600",                      \
        },                                                                                         \
        {                                                                                          \
            .name = "api-key-file",                                                                \
            .kind = WEIR__OPTION_PATH,                                                             \
            .offset = offsetof(type, target.api_key_file),                                         \
            .value = "FILE",                                                                       \
            .help = "its first line is the server's key (or $WEIR_ACTIVITY_API_KEY)",              \
        },                                                                                         \
        {                                                                                          \
            .name = "timeout",                                                                     \
            .kind = WEIR__OPTION_DURATION,                                                         \
            .offset = offsetof(type, target.timeout_ms),                                           \
            .value = "S",                                                                          \
            .help = "how long the server may be silent, or another process keep the\n"             \
                    "database locked (default 60, and 10)",                                        \
            .min = 1,                                                                              \
            .max = 24 * 3600 * 1000,                                                               \
        },                                                                                         \
    {                                                                                              \
        .name = "json", .kind = WEIR__OPTION_FLAG, .offset = offsetof(type, target.json),          \
        .help = "JSON for machines"                                                                \
    }

typedef enum weir__target_use {
    WEIR__TARGET_READ,   // nothing changes
    WEIR__TARGET_CHANGE, // the database must exist
    WEIR__TARGET_CREATE, // and is made when it does not
} weir__target_use;

typedef struct weir__target {
    weir_activity *file; // one of the two
    weir__remote *remote;
    bool wrong_line; // opening failed because of the command line
} weir__target;

int weir__target_open(const weir__target_values *values, weir__target_use use, weir__target *target,
                      weir_error *err);
// Closes and turns a code into an exit status, with the sentence on stderr. The error of closing counts when
// there was none before.
int weir__target_finish(weir__cli *cli, const weir__command *command, weir__target *target, int code,
                        weir_error *err);

int weir__target_buckets(weir__target *target, weir_bucket_fn *each, void *context, weir_error *err);
int weir__target_events(weir__target *target, const char *bucket, const weir_event_query *query,
                        weir_event_fn *each, void *context, weir_error *err);
int weir__target_heartbeat(weir__target *target, const char *bucket, const weir_event *beat,
                           double pulsetime_s, weir_event **result, weir_error *err);
int weir__target_create(weir__target *target, const weir_bucket *bucket, weir_error *err);
// The bucket, or one event of it.
int weir__target_delete(weir__target *target, const char *bucket, const int64_t *event_id, weir_error *err);
// `bucket` NULL: all.
int weir__target_export(weir__target *target, const char *bucket, weir_activity_sink_fn *sink, void *context,
                        weir_error *err);

typedef struct weir__target_input {
    int fd; // stands at its beginning; a regular file unless the target is a server
    uint64_t bytes;
} weir__target_input;

// *known: whether *report was filled; a server does not say what it did.
int weir__target_import(weir__target *target, const weir__target_input *input, weir_progress_fn *progress,
                        void *context, weir_activity_import_report *report, bool *known, weir_error *err);
// Inserts a JSON array of events; `each` gets them with their ids.
int weir__target_insert(weir__target *target, const char *bucket, const weir__target_input *input,
                        weir_event_fn *each, void *context, weir_error *err);

// The value of a setting, or all of them as one object (`name` NULL), as JSON, malloc'd; "null" for one that is not
// set.
int weir__target_setting_get(weir__target *target, const char *name, char **json, weir_error *err);
// `json` NULL: removes it.
int weir__target_setting_set(weir__target *target, const char *name, const char *json, weir_error *err);

// The path of the database of ActivityWatch's server.
int weir__target_default_path(weir__text *path, weir_error *err);

#endif
