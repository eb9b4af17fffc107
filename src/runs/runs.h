// SPDX-License-Identifier: MIT
//
// What the files of runs/ share. Two halves: the records (schema, rows, files, queries: open, schema, rows,
// save, query, logs, artifact, clean, metrics) and the engine that runs scripts and writes records (engine_*,
// marker, output). The engine knows the records; of the engine the records know only the three functions at
// the end.
//
// Own tables, beside StepFlow Monitor's three, which it ignores:
//
//   weir_run             one row per run that Weir started: its exact arguments, the engine that owns it, the
//                        script's process
//   weir_run_output      per step (step_id '' for lines outside steps): lines and bytes known to be on disk
//   weir_cancel_request  runs that some process wants cancelled; their engine removes the row
//   weir_pending_delete  files and folders whose rows are gone and that have yet to be removed
//   weir_probe           one row, written by weir_runs_probe
#ifndef WEIR_RUNS_RUNS_H
#define WEIR_RUNS_RUNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "weir/runs.h"
#include "weir/weir.h"

typedef struct weir__runs_engine weir__runs_engine;

// Everything but the counter is set by weir_runs_open and never changed after it.
struct weir_runs {
    weir_store *store;
    char *given;    // the storage folder as the caller wrote it: the beginning of artifacts.file_path
    char *path;     // absolute
    char *database; // path of stepflow.db
    int root_fd;    // O_PATH of the storage folder
    bool must_exist, read_only, no_engine, strict_markers,
        wait_for_eof; // the configuration, defaults filled in
    uint32_t max_running, max_queued, idle_grace_ms, cancel_grace_ms;
    uint32_t open_deadline_ms; // also for the tables, which another process may be rebuilding
    weir_ack ack;
    char **redact;             // NULL-terminated; NULL: none
    bool has_stop_on_error;    // false only for an old database opened read-only
    weir__runs_engine *engine; // NULL without one
    _Atomic uint64_t warnings;
};

// ------------------------------------------------------------------------------------- records of a run

// A row of weir_run. Integers are 0 and strings NULL where not known.
typedef struct weir__run_record {
    char *execution_id;
    char *argv; // the arguments, each followed by a NUL
    size_t argv_size;
    int64_t timeout_ms;
    int64_t engine_pid; // see base/process.h
    int64_t engine_start_ticks;
    char *engine_boot_id;
    int64_t script_pid; // also its process group and session
    int64_t script_start_ticks;
} weir__run_record;

// A row of weir_run_output.
typedef struct weir__run_output {
    char *execution_id;
    char *step_id; // NULL: outside steps
    int64_t lines;
    int64_t bytes;
} weir__run_output;

int weir__run_record_copy(const weir__run_record *from, weir__run_record *to, weir_error *err);
void weir__run_record_free(weir__run_record *record);
void weir__run_output_free(weir__run_output *output);

// One upsert each, for use inside a job. A code of weir__save_is_refusal leaves the transaction usable: the
// row is as it was. The environment must have been redacted by the caller.
int weir__save_execution(weir_tx *tx, const weir_execution *execution, weir_error *err);
int weir__save_step(weir_tx *tx, const weir_run_step *step, weir_error *err);
int weir__save_artifact(weir_tx *tx, const weir_artifact *artifact, weir_error *err);
int weir__save_record(weir_tx *tx, const weir__run_record *record, weir_error *err);
int weir__save_output(weir_tx *tx, const weir__run_output *output, weir_error *err);
bool weir__save_is_refusal(int code);

// What the engine saves in one go; NULL members are left out. Saved in the order of the members, all or
// nothing.
typedef struct weir__save_set {
    const weir_execution *execution;
    const weir__run_record *record;
    const weir_run_step *steps[2]; // e.g. the one that ended and the one that began
    const weir_artifact *artifact;
    const weir__run_output *outputs[2];
    bool clear_cancel_request; // of execution (or of the first step's)
} weir__save_set;

// Copies the values, queues them as one job with the configured acknowledgement level and returns; `done`
// (may be NULL) as in weir_submit, its rules apply. Never blocks: WEIR_BUSY when the queue is full.
int weir__runs_submit(weir_runs *runs, const weir__save_set *set, weir_done_fn *done, void *context,
                      weir_error *err);
// The same, waiting for the acknowledgement.
int weir__runs_save_now(weir_runs *runs, const weir__save_set *set, weir_error *err);

// Records of runs that are pending or running and have a row in weir_run; `*records` is an array of `*count`
// to be freed with weir__run_records_free.
int weir__runs_read_records(weir_runs *runs, weir__run_record **records, size_t *count, weir_error *err);
void weir__run_records_free(weir__run_record *records, size_t count);
int weir__runs_get_record(weir_runs *runs, const char *execution_id, weir__run_record *out, weir_error *err);

// Notes the wish to cancel a pending or running run of any process. NOTFOUND when there is none such.
int weir__runs_request_cancel(weir_runs *runs, const char *execution_id, weir_error *err);
// Ids of runs with such a note that belong to the engine given, malloc'd strings in a malloc'd array.
int weir__runs_read_cancel_requests(weir_runs *runs, int64_t engine_pid, int64_t engine_start_ticks,
                                    char ***ids, size_t *count, weir_error *err);

// ------------------------------------------------------------------------------------------ JSON columns

// Python's json.dumps(value) with default arguments: ASCII, ", " and ": ", shortest round-trip floats.
// json_real NaN and infinities become null.
void weir__json_dump(weir__text *text, const json_t *value);
// A string literal in ASCII; invalid UTF-8 becomes U+FFFD.
void weir__json_string(weir__text *text, const char *string, size_t size);
// A float as Python's repr prints it.
void weir__json_double(weir__text *text, double value);
// Parses tolerantly: NaN, Infinity and -Infinity are null, integers beyond 64 bits floats, invalid UTF-8 is
// U+FFFD. WEIR_INVALID when it is not JSON, too large, or not of the type wanted (JSON_OBJECT or JSON_ARRAY);
// WEIR_NOMEM.
int weir__json_parse(const char *text, size_t size, json_type wanted, json_t **value);
// The same; NULL for either.
json_t *weir__json_load(const char *text, size_t size, json_type wanted);
// Sets object_json[key] = value (stolen, also on error) in a malloc'd JSON object and replaces the string.
// INVALID when it is not an object, TOOBIG beyond WEIR_RUNS_JSON_MAX.
int weir__json_put(char **object_json, const char *key, json_t *value, weir_error *err);
// The environment (object) with values of names that match a pattern replaced by "***", malloc'd.
int weir__json_redact(const weir_runs *runs, const char *environment_json, char **redacted, weir_error *err);

// ------------------------------------------------------------------------------------------------- files

typedef enum weir__runs_dir {
    WEIR__DIR_EXECUTIONS = 0,
    WEIR__DIR_ARTIFACTS = 1,
} weir__runs_dir;

// Opens executions/<execution_id> or artifacts/<execution_id>, never through a symbolic link, and makes it
// (and its parent, and their names durable) when `create`. INVALID for an id that cannot be part of a path.
int weir__runs_dir_open(weir_runs *runs, weir__runs_dir dir, const char *execution_id, bool create, int *fd,
                        weir_error *err);

#define WEIR__LOG_NAME_SIZE 192
// step_<index>_<step_id>.log, or run.log without a step. INVALID for an id that cannot be part of a path.
int weir__log_name(char name[WEIR__LOG_NAME_SIZE], int64_t step_index, const char *step_id, weir_error *err);
// Opens such a file of an execution. `flags` as for open(2); O_NOFOLLOW | O_CLOEXEC are added, the file must
// be a regular one. With O_CREAT its directory is made too. NOTFOUND when there is none.
int weir__log_open(weir_runs *runs, const char *execution_id, const char *name, int flags, int *fd,
                   weir_error *err);
// Appends "[<time>] <content>\n". Invalid UTF-8 becomes U+FFFD, line ends within the content blanks.
void weir__log_format(weir__text *text, weir_local_us time, const char *content, size_t size);
// Reads one line (without its end) as the reader of the contract does; false when it is no entry. *content
// points into the line.
bool weir__log_parse(const char *line, size_t size, weir_local_us *time, const char **content,
                     size_t *content_size);

// "application/pdf" for "x.PDF", "application/octet-stream" for what it does not know. Static.
const char *weir__mime_type(const char *file_name);
// The extension with its dot, or an empty string; points into file_name.
const char *weir__file_extension(const char *file_name);
// The last component of a path; points into it.
const char *weir__path_name(const char *path);
// Does the file part of weir_runs_save_artifact; the row is up to the caller, also when this fails. Blocks:
// call it where that does not matter.
int weir__artifact_store(weir_runs *runs, weir_artifact *artifact, weir_error *err);

// ------------------------------------------------------------------------------------------------ little

// A malloc'd copy; NULL stays NULL. False without memory.
bool weir__copy_string(const char *from, char **to);
// Replaces *field by a copy of `text` (NULL: frees it). NOMEM.
int weir__replace_string(char **field, const char *text, weir_error *err);
static inline int weir__no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "out of memory");
}

// ------------------------------------------------------------------------------------------- the engine

// Called by weir_runs_open, when the records can be read and written, unless read_only or no_engine: settles
// interrupted runs, starts the engine's threads. On an error nothing is left behind.
int weir__runs_engine_open(weir_runs *runs, weir__runs_engine **engine, weir_error *err);
// Called by weir_runs_close, before the store is closed: ends the runs as documented there, joins the
// threads. WEIR_FORKED in a child of the process that opened it: then nothing was done.
int weir__runs_engine_close(weir__runs_engine *engine, uint32_t grace_ms, weir_error *err);
// Called after the store is closed, which answers saves that were still under way; frees the engine.
void weir__runs_engine_destroy(weir__runs_engine *engine);

#endif
