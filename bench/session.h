// SPDX-License-Identifier: MIT
//
// What every benchmark has around it: a fresh directory that is removed whatever happens, facts about the
// machine, and signals that are taken out of the queue where the main thread waits (crew.c).
#ifndef WEIR_BENCH_SESSION_H
#define WEIR_BENCH_SESSION_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"

enum { WEIR__BENCH_FINE = 0, WEIR__BENCH_FAILED = 1, WEIR__BENCH_USAGE = 2, WEIR__BENCH_SIGNALLED = 128 };

typedef struct weir__bench_session {
    const char *name; // "bench commit"
    char *directory;
    weir__fs_kind fs_kind;
    unsigned cores;
    uint64_t sync_ns;    // median of a write of 4 KiB and its fdatasync, in the directory
    sigset_t signals;    // blocked
    int signal_number;   // the one that ended it, 0
    bool shows_progress; // stderr is a terminal
} weir__bench_session;

typedef int weir__bench_body(weir__bench_session *session, void *context, weir_error *err);

// Makes a directory in `parent` (NULL: here, or else in $TMPDIR), runs `body` with the signals blocked, removes the
// directory and prints the sentence of an error. Returns the exit status.
int weir__bench_session_run(const char *name, const char *parent, weir__bench_body *body, void *context);

// A line on a terminal's stderr that the next one replaces.
void weir__bench_progress(const weir__bench_session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void weir__bench_progress_end(const weir__bench_session *session);

// To stdout; takes the text's content.
int weir__bench_print(weir__text *out, weir_error *err);

// ---- arguments.c: values of options, WEIR_INVALID with a sentence that names the option
int weir__bench_parse_count(const char *name, const char *text, unsigned long min, unsigned long max,
                            unsigned long *value, weir_error *err);
// Seconds, from 0.01 to 60.
int weir__bench_parse_seconds(const char *text, uint64_t *time_ns, weir_error *err);
// Takes one option; its value is in optarg.
typedef int weir__bench_take_option(int option, void *options, weir_error *err);
// Reads the command line of `weir NAME`, which takes options and nothing else; -h counts as 'h'.
struct option;
int weir__bench_read_line(const char *name, int argc, char **argv, const struct option *table,
                          weir__bench_take_option *take, void *options, weir_error *err);

#endif
