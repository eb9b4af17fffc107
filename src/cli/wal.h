// SPDX-License-Identifier: MIT
//
// What the commands about a log share: which file is meant, reading it to its end with a line of progress, and the
// words for what ends it. These commands never open a database through SQLite, so they may look into its file to
// see that it is one. One thread.
#ifndef WEIR_CLI_WAL_H
#define WEIR_CLI_WAL_H

#include <limits.h>

#include <weir/wal.h>

#include "cli/cli.h"

#define WEIR__ABOUT_WAL_FILE                                                                                \
    "FILE is a database or its log (the file beside it whose name ends in -wal), of any program. Nothing\n" \
    "is changed and no lock is taken; the database may be in use."

// Exit statuses of weir wal verify.
enum {
    WEIR__WAL_WHOLE = 0,
    WEIR__WAL_TORN = 1,
    WEIR__WAL_DAMAGED = 2,
    WEIR__WAL_NO_LOG = 3,
    WEIR__WAL_UNREADABLE = 4,
};

typedef struct weir__wal_file {
    char log[PATH_MAX + 8];
    char database[PATH_MAX]; // "" when FILE is a log
    bool has_log;            // false: a database without one
} weir__wal_file;

// What one reading of the whole log found.
typedef struct weir__wal_reading {
    weir_wal_header header;
    bool has_header;
    uint64_t frames_max; // of the largest transaction
    weir_wal_end end;
} weir__wal_reading;

// WEIR_NOTFOUND, WEIR_INVALID for what is no regular file, WEIR_DENIED, WEIR_IO.
int weir__wal_locate(const char *file, weir__wal_file *found, weir_error *err);

// Reads the log to its end. Where somebody is writing, again until the end is steady, for some seconds at most:
// then the end may be WEIR_WAL_END_RESTARTED.
int weir__wal_read(weir__cli *cli, const weir__wal_file *file, weir__wal_reading *reading, weir_error *err);

// An exit status from above, and its name: "whole", "torn", "damaged", "not-a-log", "unreadable".
int weir__wal_verdict(const weir_wal_end *end);
const char *weir__wal_verdict_name(int verdict);

// "clean", "older", "torn", "damaged", "header", "restarted".
const char *weir__wal_end_name(weir_wal_end_kind kind);

// One sentence: how far the log is whole, what ends it, what is lost.
void weir__wal_end_sentence(weir__text *text, const weir_wal_end *end);

// Members of a JSON object, without braces.
void weir__wal_file_json(weir__screen *screen, const weir__wal_file *file);
void weir__wal_end_json(weir__screen *screen, const weir_wal_end *end);

#endif
