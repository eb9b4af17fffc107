// SPDX-License-Identifier: MIT
//
// Appends log lines to files without ever making the event loop wait for a disk. The loop hands over lines
// and goes on; threads of the writer put them into the files, sync them when asked, and tell the loop how far
// they are.
//
// How the loop uses it:
//   - weir__log_file_open() for a step or for the lines outside steps, weir__log_file_append() for each line,
//     weir__log_file_flush() when the step has ended, weir__log_file_close() when it knows that all is on
//     disk.
//   - `wake` (any thread, must not block) says that there is progress to fetch with
//   weir__logs_next_progress().
//   - weir__log_file_is_full() says that a file, or all of them together, hold as many bytes in memory as
//   they
//     may: stop reading from that script and look again after the next progress. Lines are never refused: the
//     bound is exceeded by at most what one read brought.
//
// Lines reach their file after at most 50 ms (a busy disk apart), sooner when there are many or a flush
// waits. A file that cannot be written keeps its lines in memory and is tried again; a flush that meets an
// error reports it at once. What is still not written when the writer closes is counted, logged and returned.
//
// Threads: everything but weir__logs_status() belongs to one thread, the loop's.
#ifndef WEIR_RUNS_LOGWRITER_H
#define WEIR_RUNS_LOGWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/span.h"
#include "weir/runs.h"

typedef struct weir__logs weir__logs;
typedef struct weir__log_file weir__log_file;

// The world below, so that tests can fill a disk. NULL: the system's.
typedef struct weir__logs_ops {
    void *context;
    // Opens executions/<execution_id>/<name> for appending, creating it and its directory.
    int (*open)(void *context, const char *execution_id, const char *name, int *fd, weir_error *err);
    // Makes the name of a new file durable.
    int (*sync_dir)(void *context, const char *execution_id, weir_error *err);
    ssize_t (*write)(int fd, const void *data, size_t size); // as write(2)
    int (*sync)(int fd);                                     // as fdatasync(2)
} weir__logs_ops;

typedef struct weir__logs_options {
    weir__logs_ops ops;
    void (*wake)(void *context);
    void *wake_context;
    size_t file_bytes_max;  // of one file in memory (default 1 MiB)
    size_t total_bytes_max; // of all (default 64 MiB)
    uint32_t files_max;     // open at a time (default 256)
    uint32_t retry_ms;      // pause after a failed write (default 500)
} weir__logs_options;

int weir__logs_open(const weir__logs_options *options, weir__logs **logs, weir_error *err);

// Writes what is left, once; then joins the threads. Every file must have been closed. Returns the error that
// kept lines from being written, if there are such.
int weir__logs_close(weir__logs *logs, weir_error *err);

typedef struct weir__logs_status {
    uint64_t pending_bytes; // in memory
    uint64_t failing_files; // that could not be written at the last attempt
    uint64_t lost_bytes;    // given up
    weir_error last_error;  // code 0: never
} weir__logs_status;

// Any thread.
void weir__logs_status_read(weir__logs *logs, weir__logs_status *status);

// `owner` comes back in the progress. Touches no disk. NOMEM.
int weir__log_file_open(weir__logs *logs, const char *execution_id, const char *name, void *owner,
                        weir__log_file **file, weir_error *err);

// NOMEM: the line is lost (and counted).
int weir__log_file_append(weir__log_file *file, weir_local_us time, weir__span line, weir_error *err);

bool weir__log_file_is_full(const weir__log_file *file);

// Asks for everything appended so far to be on disk; progress answers with `flushed`. One at a time per file.
void weir__log_file_flush(weir__log_file *file);

// Forgets the file; lines that are not written yet still will be. NULL is fine.
void weir__log_file_close(weir__log_file *file);

typedef struct weir__log_progress {
    void *owner;
    uint64_t lines; // in the file
    uint64_t bytes;
    bool flushed;     // the flush that was asked for is over
    weir_error error; // of that flush; code 0: all is on disk
} weir__log_progress;

// The next file that has something to tell; false when there is none.
bool weir__logs_next_progress(weir__logs *logs, weir__log_progress *progress);

#endif
