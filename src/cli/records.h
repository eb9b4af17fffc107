// SPDX-License-Identifier: MIT
//
// What the commands about runs share: opening the storage folder, finding a run by a shortened id, and how
// runs, steps and artifacts look on a screen. One thread.
#ifndef WEIR_CLI_RECORDS_H
#define WEIR_CLI_RECORDS_H

#include <weir/runs.h>

#include "cli/cli.h"

enum { WEIR__ID_SHORT = 8 }; // characters of an id that tables show

// For --help of commands that take an id.
#define WEIR__ABOUT_ID                                                                               \
    "ID is a run's id or its first characters, four at least, as long as only one run has them; or " \
    "\"last\"."

typedef enum weir__records_use {
    WEIR__RECORDS_READ,   // nothing changes
    WEIR__RECORDS_CHANGE, // rows may change, nothing runs
    WEIR__RECORDS_SETTLE, // and runs whose process died are settled
} weir__records_use;

// Opens an existing storage folder (NULL: the default one).
int weir__records_open(const char *storage, weir__records_use use, weir_runs **runs, weir_error *err);

// Opens it and finds the run that `text` is the id, or the beginning of the id, of. On an error *runs is
// NULL.
int weir__records_find(const char *storage, weir__records_use use, const char *text, weir_runs **runs,
                       char id[WEIR_ID_LENGTH_MAX + 1], weir_error *err);

// Closes and turns a code into an exit status, with the sentence on stderr. The error of closing counts when
// there was none before.
int weir__records_finish(weir__cli *cli, weir_runs *runs, int code, weir_error *err);

const char *weir__status_glyph(const weir__screen *screen, weir_run_status status);
weir__style weir__status_style(weir_run_status status);
// The word that the row holds.
const char *weir__status_word(weir_run_status status, const char *stored);

// "2026-01-31 12:00:00", "-" for none.
const char *weir__time_text(weir_local_us time, char text[WEIR_LOCAL_TEXT_SIZE]);
// "0.4 s" into a buffer; "-" when it never started.
const char *weir__seconds_text(bool known, double seconds, char *text, size_t size);

// A heading and a table with a margin; nothing when there is nothing.
void weir__print_steps(weir__screen *screen, const weir_run_step_list *steps);

typedef enum weir__artifact_paths {
    WEIR__ARTIFACT_PATHS_NO,
    WEIR__ARTIFACT_PATHS_YES, // where the stored copies are
} weir__artifact_paths;

void weir__print_artifacts(weir__screen *screen, const weir_artifact_list *artifacts,
                           weir__artifact_paths paths);

// "completed", "failed with exit code 3", "killed by signal 9 (Killed)", "timed out", …
void weir__outcome(weir__text *text, const weir_execution *execution);
bool weir__timed_out(const weir_execution *execution);
// The errno when the command could not be started at all, else 0.
int weir__start_errno(const weir_execution *execution);

// {"execution":{…},"steps":[…],"artifacts":[…]} without the braces.
void weir__detail_json(weir__screen *screen, const weir_run_detail *detail);

#endif
