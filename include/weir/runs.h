// SPDX-License-Identifier: MIT
//
// runs.h - records of scripts that ran: executions, their steps, artifacts and log lines, in a storage folder
// that StepFlow Monitor can also open; and the engine that runs scripts and writes these records.
//
//     weir_runs *runs = NULL;
//     if (weir_runs_open("storage", NULL, &runs, &err) != WEIR_OK)
//         return fprintf(stderr, "%s\n", err.text), 1;
//     weir_run_request request = {.command = "./deploy.sh"};
//     weir_runs_start(runs, &request, id, NULL, &err);             // its row is on disk, the script runs
//     weir_runs_wait(runs, id, WEIR_NO_DEADLINE, &execution, &err); // status, exit code, times
//     weir_runs_close(runs, 0, &err);
//
// A storage folder holds database/stepflow.db, executions/<id>/*.log and artifacts/<id>/*. Any number of
// processes may have one open; each run belongs to the process that started it.
//
// Conventions, besides those of weir.h (codes and sentences, outputs last, zero means the default):
//   - Strings in a weir_execution, weir_run_step or weir_artifact are UTF-8, allocated with malloc and
//     owned by the struct; release them with the struct's free function. Only those said to be nullable may
//     be NULL after a read. To fill a struct by hand, start with the init function or zero bytes and assign
//     malloc'd strings.
//   - Text that a caller hands over as const char * is copied before the call returns.
//   - Calls that read or write block for the store (reads: weir.h's read deadline, writes: its write
//     deadline) and for files. Errors without an own remark: those of weir_read and weir_write, NOMEM, IO.
//   - A row that another program filled oddly (bad JSON, unknown status, text where a number belongs) is
//     reported as well as it can be, never dropped; weir_runs_warnings counts such fields.
#ifndef WEIR_RUNS_H
#define WEIR_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/error.h>
#include <weir/weir.h>

#ifdef __cplusplus
extern "C" {
#endif

// ------------------------------------------------------------------------------------------------- limits

#define WEIR_ID_SIZE 37                    // a UUID with its NUL
#define WEIR_ID_LENGTH_MAX 128             // ids of other programs; longer ones never become part of a path
#define WEIR_RUNS_LIST_MAX 1000            // executions in one list
#define WEIR_RUNS_MAX_RUNNING_DEFAULT 512  // scripts at a time
#define WEIR_RUNS_MAX_QUEUED_DEFAULT 10000 // runs that wait for their turn
#define WEIR_RUNS_IDLE_GRACE_MS_DEFAULT \
    5000 // silence after the script's exit that ends a run whose pipe is held open
#define WEIR_RUNS_CANCEL_GRACE_MS_DEFAULT 2000 // between SIGTERM and SIGKILL
#define WEIR_RUNS_LOG_LINE_MAX (1024 * 1024)   // bytes of one log entry; longer lines become several entries
#define WEIR_RUNS_JSON_MAX (4 * 1024 * 1024)   // bytes of one JSON column (environment, tags, metadata)
#define WEIR_RUNS_LOG_LIST_MAX 100000          // lines in one weir_log_list; stream for more
#define WEIR_RUNS_CLEANUP_DAYS_DEFAULT 30

// --------------------------------------------------------------------------------------------------- time

// Naive local time, as the database holds it: microseconds since 1970-01-01T00:00:00 on the local calendar.
// 0: none.
typedef int64_t weir_local_us;

#define WEIR_LOCAL_TEXT_SIZE 27 // "2025-08-01T17:30:00.000000" and its NUL

weir_local_us weir_local_now(void);
// The wall time of a moment in microseconds since 1970-01-01 UTC, in the process's time zone (TZ).
weir_local_us weir_local_from_utc(int64_t utc_us);
// Writes 26 characters and a NUL; an empty string for 0. Beyond the years 1 to 9999 the nearest time within.
void weir_local_format(weir_local_us time, char text[WEIR_LOCAL_TEXT_SIZE]);
// Reads YYYY-MM-DD, then T or a blank, HH:MM[:SS[.fraction]], then nothing, Z or +hh:mm / -hh:mm (converted
// to local time). False, and 0, when it is anything else.
bool weir_local_parse(const char *text, size_t size, weir_local_us *time);

// ------------------------------------------------------------------------------------------------- models

typedef enum weir_run_status { // of executions and steps
    WEIR_RUN_PENDING = 0,
    WEIR_RUN_RUNNING = 1,
    WEIR_RUN_COMPLETED = 2,
    WEIR_RUN_FAILED = 3,
    WEIR_RUN_CANCELLED = 4, // executions only
    WEIR_RUN_SKIPPED = 5,   // steps only
    WEIR_RUN_OTHER = 6,     // the row holds another word: status_text
} weir_run_status;

// "pending", "running", …; "other" for WEIR_RUN_OTHER. Static.
const char *weir_run_status_name(weir_run_status status);
// Exact, lower case. False for any other word.
bool weir_run_status_parse(const char *name, weir_run_status *status);
// completed, failed, cancelled, skipped: final, never left again.
bool weir_run_status_is_final(weir_run_status status);

typedef struct weir_execution {
    char *id;
    char *name;
    char *command; // the arguments joined by blanks
    char *working_directory;
    weir_run_status status;
    char *status_text; // as stored, only for WEIR_RUN_OTHER, else NULL
    bool has_exit_code;
    int64_t exit_code;   // minus the signal's number when one ended it
    char *error_message; // nullable
    weir_local_us created_at, started_at, completed_at;
    char *environment_json; // object; values of names that match the redaction patterns are "***"
    char *user;             // nullable
    char *tags_json;        // array
    int64_t total_steps, completed_steps;
    int64_t current_step_index; // -1: none yet
    char *metadata_json;        // object
} weir_execution;

typedef struct weir_run_step {
    char *id;
    char *execution_id;
    char *name; // may be empty
    char *description;
    int64_t index; // from 0
    weir_run_status status;
    char *status_text;
    bool has_exit_code;
    int64_t exit_code;
    char *error_message; // nullable
    weir_local_us created_at, started_at, completed_at;
    bool has_estimated_duration;
    double estimated_duration; // as the script gave it, seconds by convention
    bool stop_on_error;
    char *metadata_json; // object
} weir_run_step;

typedef struct weir_artifact {
    char *id;
    char *execution_id;
    char *step_id; // nullable
    char *name;
    char *description;
    char *file_path; // of the stored copy, beginning with the storage folder as it was given; or the source's
    char *file_name; // of the source
    int64_t file_size;
    char *mime_type;
    char *artifact_type; // log report data image document archive other
    weir_local_us created_at;
    char *tags_json;
    bool is_public;
    bool has_retention_days;
    int64_t retention_days;
    char *metadata_json;
    bool exists; // when it was read: something is at file_path, or the stored copy is in our folder
} weir_artifact;

typedef struct weir_log_line {
    weir_local_us time;
    const char *content; // valid UTF-8, NUL-terminated, without the line's end
    size_t content_size;
    const char *step_id;   // NULL: written while no step was open
    const char *step_name; // NULL with step_id
    uint64_t number;       // of the line within what was asked for, from 0, those skipped by offset included
} weir_log_line;

typedef struct weir_execution_list {
    weir_execution *items;
    size_t count;
    bool has_total;
    uint64_t total;    // rows that match, whatever limit and offset; only when asked for
    char *next_cursor; // hand it to the next query; NULL: this was the last page
} weir_execution_list;

typedef struct weir_run_step_list {
    weir_run_step *items;
    size_t count;
} weir_run_step_list;

typedef struct weir_artifact_list {
    weir_artifact *items;
    size_t count;
} weir_artifact_list;

typedef struct weir_log_list {
    weir_log_line *items; // their strings belong to the list
    size_t count;
    uint64_t total;  // lines there are
    uint64_t offset; // number of the first one here
    void *memory;    // of the strings
} weir_log_list;

// An execution, its steps and artifacts as they were at one moment.
typedef struct weir_run_detail {
    weir_execution execution;
    weir_run_step_list steps;
    weir_artifact_list artifacts;
} weir_run_detail;

// Defaults of the model: pending, a new random id, created now, empty strings, {} and [], step index -1.
// NOMEM.
int weir_execution_init(weir_execution *execution, weir_error *err);
int weir_run_step_init(weir_run_step *step, const char *execution_id, weir_error *err);
int weir_artifact_init(weir_artifact *artifact, const char *execution_id, weir_error *err);

// Deep copies into uninitialised structs; in a copy, what was not valid UTF-8 is U+FFFD. NOMEM leaves *to zeroed.
int weir_execution_copy(const weir_execution *from, weir_execution *to, weir_error *err);
int weir_run_step_copy(const weir_run_step *from, weir_run_step *to, weir_error *err);
int weir_artifact_copy(const weir_artifact *from, weir_artifact *to, weir_error *err);

// Release what the struct owns (not the struct) and zero it; zeroed structs and NULL are fine.
void weir_execution_free(weir_execution *execution);
void weir_run_step_free(weir_run_step *step);
void weir_artifact_free(weir_artifact *artifact);
void weir_execution_list_free(weir_execution_list *list);
void weir_run_step_list_free(weir_run_step_list *list);
void weir_artifact_list_free(weir_artifact_list *list);
void weir_log_list_free(weir_log_list *list);
void weir_run_detail_free(weir_run_detail *detail);

// Transitions of a model in memory: pending -> running -> completed, failed or cancelled (steps: skipped);
// pending -> failed, cancelled (steps: skipped). Anything else is WEIR_STATE and changes nothing. `message`
// may be NULL. NOMEM.
int weir_execution_start(weir_execution *execution, weir_error *err);
int weir_execution_complete(weir_execution *execution, int64_t exit_code,
                            weir_error *err); // 0 completed, else failed
int weir_execution_fail(weir_execution *execution, const char *message, int64_t exit_code, weir_error *err);
int weir_execution_cancel(weir_execution *execution, weir_error *err); // exit_code is left as it is
int weir_run_step_start(weir_run_step *step, weir_error *err);
int weir_run_step_complete(weir_run_step *step, int64_t exit_code, weir_error *err);
int weir_run_step_fail(weir_run_step *step, const char *message, int64_t exit_code, weir_error *err);
int weir_run_step_skip(weir_run_step *step, const char *reason, weir_error *err);

// Seconds from start to end, to `now` (0: the present) for what still runs; false when it never started.
bool weir_execution_duration(const weir_execution *execution, weir_local_us now, double *seconds);
bool weir_run_step_duration(const weir_run_step *step, weir_local_us now, double *seconds);
// completed_steps of total_steps in percent, 0.0 without steps.
double weir_execution_progress(const weir_execution *execution);

// --------------------------------------------------------------------------------------------------- JSON

// One object each, with StepFlow Monitor's keys in its order and numbers as it prints them; malloc'd, NULL
// without memory. A server puts its answers together from these.
typedef struct weir_run_json_options {
    weir_local_us now;     // for durations of what still runs (0: the present)
    bool execution_id;     // executions: also "execution_id", the same as "id", last
    uint64_t log_offset;   // steps: "log_offset", with logs_extra
    uint64_t log_count;    // steps: "log_count", all there are, with logs_extra
    uint64_t log_streamed; // steps: lines that the caller puts between the brackets of "logs" by itself
    bool logs_extra;       // steps: add "log_count", "log_offset" and "logs_truncated" after the other keys
} weir_run_json_options;

char *weir_execution_to_json(const weir_execution *execution, const weir_run_json_options *options);
// `logs` (NULL: none) become {"timestamp","content","level"}; "stop_on_error" is the last key.
char *weir_run_step_to_json(const weir_run_step *step, const weir_log_line *logs, size_t logs_count,
                            const weir_run_json_options *options);
char *weir_artifact_to_json(const weir_artifact *artifact, const weir_run_json_options *options);
// {"timestamp","content","level","step_id","step_name","message"}
char *weir_log_line_to_json(const weir_log_line *line);
// A JSON array of such objects, or of a list's.
char *weir_execution_list_to_json(const weir_execution_list *list, const weir_run_json_options *options);
char *weir_artifact_list_to_json(const weir_artifact_list *list, const weir_run_json_options *options);
char *weir_log_list_to_json(const weir_log_list *list);

// ------------------------------------------------------------------------------------- opening and closing

typedef struct weir_runs weir_runs;

typedef struct weir_runs_config {
    const weir_config
        *store;          // the engine below; NULL: defaults. Its must_exist and read_only are set from these:
    bool must_exist;     // WEIR_NOTFOUND instead of a new storage folder
    bool read_only;      // change nothing: no rows, no schema, no engine
    bool no_engine;      // rows may change, but no scripts run here and interrupted runs are not settled
    bool strict_markers; // markers in upper case, at a line's start or after a character that is none of a
                         // word
    bool wait_for_eof;   // a run ends when its output ends, however long a background child holds it open
    uint32_t max_running; // scripts at a time; more wait as pending (WEIR_RUNS_MAX_RUNNING_DEFAULT)
    uint32_t max_queued; // runs that may wait, more are refused with WEIR_BUSY (WEIR_RUNS_MAX_QUEUED_DEFAULT)
    uint32_t idle_grace_ms;   // WEIR_RUNS_IDLE_GRACE_MS_DEFAULT
    uint32_t cancel_grace_ms; // WEIR_RUNS_CANCEL_GRACE_MS_DEFAULT
    weir_ack
        ack; // level of every save (default DURABLE, or COMMITTED where the policy cannot give that; APPLIED
             // is taken for COMMITTED)
    const char *const
        *redact; // NULL-terminated shell patterns, case ignored, e.g. "*TOKEN*": the value of an environment
                 // variable whose name matches is stored and read as "***" (the script gets it in full)
} weir_runs_config;

// Opens a storage folder, creating it (one level) and the database where they are missing, and settles runs
// whose own engine died. An old database without steps.stop_on_error is rebuilt in one transaction; a copy is
// left beside it as stepflow.db.bak-<time>. Blocks. `config` is not kept. Errors: NOTFOUND (no such folder,
// or its parent), DENIED, SQL (tables that are not StepFlow Monitor's), and those of weir_open.
int weir_runs_open(const char *storage, const weir_runs_config *config, weir_runs **runs, weir_error *err);

// Refuses new runs, cancels those that still run after `grace_ms`, records their end, closes the store.
// Blocks: grace_ms, then a bounded time. The handle is gone in any case. NULL is fine.
int weir_runs_close(weir_runs *runs, uint32_t grace_ms, weir_error *err);

weir_store *weir_runs_store(weir_runs *runs); // for statistics, health, checkpoints; never close it
const char *weir_runs_storage_path(const weir_runs *runs); // absolute; lives as long as the handle
bool weir_runs_is_read_only(const weir_runs *runs);
// Fields that could not be read as what they should be, since the handle was opened.
uint64_t weir_runs_warnings(const weir_runs *runs);
// As weir_health() of the store, and before it what is wrong with runs: "logs-failing", "runs-unsaved".
size_t weir_runs_health(weir_runs *runs, weir_finding *findings, size_t size);

// --------------------------------------------------------------------------------------------- running
// scripts

typedef struct weir_run_request {
    const char *name;        // NULL: the command as given; empty: the arguments joined by blanks
    const char *command;     // split at blanks; where it has quotes or backslashes, as a shell would read
                             // them (quoting only, nothing is expanded). No shell is started.
    const char *const *argv; // instead of command: the arguments, NULL-terminated
    const char *working_directory;  // default "."
    const char *const *environment; // "K=V", NULL-terminated; laid over this process's own
    uint64_t timeout_ms;            // from the script's start to its exit (0: none)
    const char *tags_json;          // an array (NULL: [])
    const char *metadata_json;      // an object (NULL: {})
    const char *user;               // NULL: null in the row
} weir_run_request;

// Records a run and starts it. Returns when its row is committed and the script runs, waits for its turn
// (status pending) or could not be started (WEIR_OK too: the execution is failed and says why). `out` may be
// NULL; free it otherwise. Errors: INVALID (no command, an unbalanced quote, JSON of the wrong kind, not
// UTF-8), TOOBIG, BUSY (max_queued), CLOSED, UNSUPPORTED (opened without an engine), and those of weir_write:
// then nothing was started.
int weir_runs_start(weir_runs *runs, const weir_run_request *request, char id[WEIR_ID_SIZE],
                    weir_execution *out, weir_error *err);

// Called once for an accepted weir_runs_start_async, on the engine's thread; must not block. `execution` is
// NULL on an error and belongs to the callee's duration only.
typedef void weir_run_started_fn(void *context, const weir_error *result, const weir_execution *execution);
// The same without blocking. When it returns an error, `started` is not called.
int weir_runs_start_async(weir_runs *runs, const weir_run_request *request, weir_run_started_fn *started,
                          void *context, weir_error *err);

// Asks for the end of a run: SIGTERM to its process group, SIGKILL after cancel_grace_ms, or at once when a run of
// this process is cancelled a second time. Returns when the request is with the engine, not when the run has ended. A
// run of another process is cancelled through that process, which notices within a second. NOTFOUND: no such run of
// Weir's, or it has ended.
int weir_runs_cancel(weir_runs *runs, const char *id, weir_error *err);

// Waits until a run has ended and its end is committed; works for runs of other processes too. `deadline_ms`
// 0 asks once. EXPIRED at the deadline, with *out filled all the same; NOTFOUND. `out` may be NULL.
int weir_runs_wait(weir_runs *runs, const char *id, uint32_t deadline_ms, weir_execution *out,
                   weir_error *err);

// Runs of this process that are pending or running.
size_t weir_runs_active_count(weir_runs *runs);

typedef enum weir_run_event_kind {
    WEIR_RUN_EVENT_QUEUED = 0, // recorded, waits for its turn
    WEIR_RUN_EVENT_STARTED = 1,
    WEIR_RUN_EVENT_CHANGED = 2, // counters, metadata
    WEIR_RUN_EVENT_ENDED = 3,
    WEIR_RUN_EVENT_STEP_STARTED = 4,
    WEIR_RUN_EVENT_STEP_CHANGED = 5,
    WEIR_RUN_EVENT_STEP_ENDED = 6,
    WEIR_RUN_EVENT_ARTIFACT = 7,
    WEIR_RUN_EVENT_LOG = 8, // lines that are in the log file
} weir_run_event_kind;

// What happened; valid during the call only. Fields that do not belong to the kind are NULL or 0.
typedef struct weir_run_event {
    weir_run_event_kind kind;
    const char *execution_id;        // always
    const weir_execution *execution; // all kinds but LOG
    const weir_run_step *step;       // STEP_*; ARTIFACT and LOG while a step was open
    const weir_artifact *artifact;   // ARTIFACT
    const weir_log_line *lines;      // LOG; their number counts within the step (or the run's own log)
    size_t lines_count;
} weir_run_event;

// Runs of this process tell what they do: on the engine's thread, in order, after the commit that an event
// speaks of. It must not block and not call back into `runs` except for weir_runs_start_async,
// weir_runs_cancel and weir_runs_unlisten.
typedef void weir_run_event_fn(void *context, const weir_run_event *event);
int weir_runs_listen(weir_runs *runs, weir_run_event_fn *listener, void *context, uint64_t *listener_id,
                     weir_error *err);
// No call is under way or comes after it returned (except when called by the listener itself).
void weir_runs_unlisten(weir_runs *runs, uint64_t listener_id);

// ------------------------------------------------------------------------------------------------- saving

typedef enum weir_save_kind {
    WEIR_SAVE_EXECUTION = 0,
    WEIR_SAVE_STEP = 1,
    WEIR_SAVE_ARTIFACT = 2,
} weir_save_kind;

typedef struct weir_save_item {
    weir_save_kind kind;
    const weir_execution *execution; // the one of its kind is read, the others are ignored
    const weir_run_step *step;
    const weir_artifact *artifact;
} weir_save_item;

// Inserts rows, or updates those with the same id, in one transaction: executions first, then steps, then
// artifacts, each kind in the order given. A row whose status is final keeps it: a save with another status
// is refused (WEIR_STATE), as is one that would lead back from running to pending. A refused item (STATE,
// CONSTRAINT, INVALID, TOOBIG) does not keep the others from being saved. `results` (NULL or `count` of them)
// tells each item's fate. Returns when all is committed: WEIR_OK, or the first item's error. Other errors
// mean that nothing was saved. Artifacts' files are not touched.
int weir_runs_save(weir_runs *runs, const weir_save_item *items, size_t count, weir_error *results,
                   weir_error *err);
int weir_runs_save_execution(weir_runs *runs, const weir_execution *execution, weir_error *err);
int weir_runs_save_step(weir_runs *runs, const weir_run_step *step, weir_error *err);

// Copies the file at artifact->file_path into the storage folder (temporary name, sync, rename), fills
// file_path, file_name, file_size, mime_type and `exists`, and saves the row. An artifact that is stored
// already is not copied again. A missing source is recorded as such (size 0), a directory with metadata.kind
// "directory"; neither is an error. This storage's own database is not copied (INVALID). When the copy fails
// the row is saved with the source's path and the copy's error is returned.
int weir_runs_save_artifact(weir_runs *runs, weir_artifact *artifact, weir_error *err);

// ------------------------------------------------------------------------------------------------- reading

// The id of the one execution whose id is `text` or begins with it (at least 4 characters). NOTFOUND; INVALID
// when several do or it is too short; TOOBIG when it does not fit.
int weir_runs_resolve(weir_runs *runs, const char *text, char *id, size_t id_size, weir_error *err);

int weir_runs_get(weir_runs *runs, const char *id, weir_execution *out, weir_error *err);         // NOTFOUND
int weir_runs_get_detail(weir_runs *runs, const char *id, weir_run_detail *out, weir_error *err); // NOTFOUND

typedef struct weir_runs_query {
    int64_t limit;      // below 0: 0, which gives an empty list; at most WEIR_RUNS_LIST_MAX
    int64_t offset;     // below 0: 0
    const char *status; // exact word, NULL or empty: any
    const char *user;   // exact, NULL or empty: any
    const char *search; // part of name, command or id, ASCII case ignored; NULL or empty: any
    const char *cursor; // next_cursor of the page before: go on behind it; offset is ignored
    bool with_total;    // count all that match
} weir_runs_query;

// Newest first (created_at, then order of insertion). INVALID for a cursor that is none. A NULL query: the
// newest 100.
int weir_runs_list(weir_runs *runs, const weir_runs_query *query, weir_execution_list *out, weir_error *err);
// Pending and running ones of every process, newest first, at most WEIR_RUNS_LIST_MAX.
int weir_runs_list_active(weir_runs *runs, weir_execution_list *out, weir_error *err);
// In order of index; empty for an unknown id.
int weir_runs_steps(weir_runs *runs, const char *execution_id, weir_run_step_list *out, weir_error *err);
int weir_runs_get_step(weir_runs *runs, const char *step_id, weir_run_step *out, weir_error *err); // NOTFOUND
// In order of creation; empty for an unknown id.
int weir_runs_artifacts(weir_runs *runs, const char *execution_id, weir_artifact_list *out, weir_error *err);
int weir_runs_get_artifact(weir_runs *runs, const char *artifact_id, weir_artifact *out,
                           weir_error *err); // NOTFOUND
// The artifact whose stored copy is artifacts/<execution_id>/<stored_name>. NOTFOUND.
int weir_runs_find_artifact(weir_runs *runs, const char *execution_id, const char *stored_name,
                            weir_artifact *out, weir_error *err);

// The stored copy of an artifact for reading: a regular file in artifacts/<execution>/ of this folder, never
// through a symbolic link and never a source path. *fd belongs to the caller; `out` may be NULL. NOTFOUND: no
// such artifact (os_errno 0) or no stored file (os_errno ENOENT).
int weir_runs_artifact_open(weir_runs *runs, const char *artifact_id, int *fd, weir_artifact *out,
                            weir_error *err);

typedef struct weir_logs_query {
    const char
        *step_id;      // that step's lines; NULL: all of the run, steps in order, lines outside steps by time
    bool outside_only; // only lines written while no step was open (without step_id)
    uint64_t offset;   // lines to skip
    uint64_t limit;    // lines at most (0: all)
    uint64_t tail;     // only the last so many (0: off; offset is ignored)
} weir_logs_query;

// Called for each line; the line is valid during the call. Returns false to stop (WEIR_CANCELLED).
typedef bool weir_log_fn(void *context, const weir_log_line *line);
// Streams a run's log lines; holds a few lines in memory however many there are. *total (may be NULL) is the
// number of lines that match whatever offset, limit and tail. NOTFOUND: no such run, or no such step in it.
int weir_runs_read_logs(weir_runs *runs, const char *execution_id, const weir_logs_query *query,
                        weir_log_fn *each, void *context, uint64_t *total, weir_error *err);
// The same as a list. TOOBIG beyond WEIR_RUNS_LOG_LIST_MAX lines.
int weir_runs_logs(weir_runs *runs, const char *execution_id, const weir_logs_query *query,
                   weir_log_list *out, weir_error *err);

// --------------------------------------------------------------------------------------------- statistics

typedef struct weir_runs_statistics {
    uint64_t total;
    uint64_t by_status[7];  // by weir_run_status
    uint64_t active;        // pending and running
    double success_percent; // completed of total
    uint64_t timed;         // completed executions that took any time
    double average_s;       // of these
} weir_runs_statistics;

// Over all rows, in one snapshot.
int weir_runs_read_statistics(weir_runs *runs, weir_runs_statistics *out, weir_error *err);
// {"total_executions","active_now","success_rate":"54.5%","avg_duration":"2.7s","status_breakdown":{…}}
char *weir_runs_statistics_to_json(const weir_runs_statistics *statistics);

typedef struct weir_runs_metrics {
    uint64_t database_bytes, wal_bytes, shm_bytes;
    uint64_t executions, steps, artifacts; // rows
    uint64_t running, completed, failed;   // executions
    char journal_mode[16];
    int64_t cache_size; // as PRAGMA cache_size gives it: negative KiB
    int64_t page_size;
    weir_local_us oldest, newest; // created_at of executions, 0: none
} weir_runs_metrics;

int weir_runs_read_metrics(weir_runs *runs, weir_runs_metrics *out, weir_error *err);
// {"database_size_bytes","database_size_mb","wal_size_bytes","shm_size_bytes","total_size_mb",
//  "table_counts":{…},"wal_mode","cache_size","page_size","storage_path"}
char *weir_runs_metrics_to_json(const weir_runs *runs, const weir_runs_metrics *metrics);

typedef struct weir_runs_probe_report {
    uint64_t read_ns;
    uint64_t write_ns; // 0: read-only
} weir_runs_probe_report;

// A real read and a real, durable write, to a table of our own. `deadline_ms` for each (0: the store's).
int weir_runs_probe(weir_runs *runs, uint32_t deadline_ms, weir_runs_probe_report *report, weir_error *err);

// -------------------------------------------------------------------------------------------- maintenance

typedef struct weir_runs_cleanup_options {
    uint32_t days;              // older than this (0: WEIR_RUNS_CLEANUP_DAYS_DEFAULT)
    bool dry_run;               // count, change nothing
    weir_progress_fn *progress; // false stops between two portions
    void *context;
} weir_runs_cleanup_options;

typedef struct weir_runs_removed {
    uint64_t executions, steps, artifacts; // rows
    uint64_t files;
    uint64_t bytes;
} weir_runs_removed;

// Removes an execution, its steps, artifacts and files. The rows go in one transaction that also notes the
// folders; these are removed afterwards, and by the next open should the process die in between. NOTFOUND;
// STATE while it is pending or running.
int weir_runs_delete(weir_runs *runs, const char *id, weir_runs_removed *removed, weir_error *err);
// The same for every ended execution created more than `days` ago.
int weir_runs_cleanup(weir_runs *runs, const weir_runs_cleanup_options *options, weir_runs_removed *removed,
                      weir_error *err);
// Artifacts whose retention_days have passed: row and file. `days` is not used.
int weir_runs_expire_artifacts(weir_runs *runs, const weir_runs_cleanup_options *options,
                               weir_runs_removed *removed, weir_error *err);
// Files that no row speaks of, older than an hour: folders of executions that are gone, and leftovers of
// interrupted copies. Only what is named as Weir and StepFlow Monitor name it. `days` is not used.
int weir_runs_sweep(weir_runs *runs, const weir_runs_cleanup_options *options, weir_runs_removed *removed,
                    weir_error *err);

typedef struct weir_runs_repaired {
    uint64_t
        steps_completed; // stale running steps of ended executions: a later step exists, or the run completed
    uint64_t steps_failed; // the others
} weir_runs_repaired;

// Settles steps that an ended execution left pending or running.
int weir_runs_repair(weir_runs *runs, bool dry_run, weir_runs_repaired *repaired, weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
