// SPDX-License-Identifier: MIT
//
// `weir bench commit`, inside: the rows of its table, what a round of one measures, and who does what.
//
//   commit.c   the rows, the rounds, from one to the other     options.c   its command line
//   peers.c    plain SQLite                                    clients.c   Weir
//   place.c    databases: made, looked into, removed           report.c    ratios, text and JSON
//   slow.c     the VFS of --sync-delay-us
//
// and what all benchmarks share: crew.c (threads that work for a measured time), flight.c (many writes under way),
// session.c (the directory, the signals), figures.c (medians, columns), arguments.c.
//
// Everybody writes the same rows with the same statement into the same table of a fresh database, with pages
// of PAGE_BYTES, a page cache of CACHE_KIB and checkpoints on: SQLite's own at 1000 pages, Weir's its own
// way.
#ifndef WEIR_BENCH_COMMIT_H
#define WEIR_BENCH_COMMIT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/fs.h"
#include "base/text.h"
#include "bench/crew.h"
#include "bench/figures.h"
#include "bench/session.h"

enum {
    WEIR__BENCH_ROWS = 9,
    WEIR__BENCH_PAGE_BYTES = 4096,
    WEIR__BENCH_CACHE_KIB = 8192,
    WEIR__BENCH_BULK_ROWS = 1000,
    WEIR__BENCH_TIME_LIMIT_S = 38,
    WEIR__BENCH_TEXT_BYTES_MAX = 2000, // a row stays on one page
};

#define WEIR__BENCH_INSERT "INSERT INTO event(value, note) VALUES ($1, $2)"

typedef struct weir__bench_options {
    uint32_t sync_delay_us;
    const char *directory; // in which a fresh one is made; NULL: here, or else $TMPDIR
    uint64_t window_ns;    // measured time of a row in a round
    unsigned rounds;
    unsigned text_bytes; // of a row's text
    bool time_limit;     // neither of the two was given: keep the whole run within WEIR__BENCH_TIME_LIMIT_S
    bool chosen[WEIR__BENCH_ROWS];
    bool json;
    bool help;
} weir__bench_options;

// What one round of one row measured.
typedef struct weir__bench_round {
    weir__bench_pace pace;
    uint64_t group_jobs_p50; // Weir only
} weir__bench_round;

typedef struct weir__bench_row weir__bench_row;

// What a round needs to know.
typedef struct weir__bench_task {
    const weir__bench_row *row;
    const char *database; // exists, with the table and its journal mode
    const char *vfs;      // for SQLite; NULL for the default
    const char *text;     // of every row
    size_t text_bytes;
    uint32_t sync_delay_us;
    uint64_t window_ns;
    const sigset_t *signals;
    int signal_number; // the one that stopped the round
} weir__bench_task;

// Runs one round and fills `crew` (to be ended by the caller, also after an error) and `round`.
typedef int weir__bench_run(weir__bench_task *task, weir__crew *crew, weir__bench_round *round,
                            weir_error *err);

struct weir__bench_row {
    const char *name;
    const char *about; // what it measures, at most 58 columns
    weir__bench_run *run;
    weir__crew_work *work;
    unsigned threads;
    bool rollback_journal;         // else WAL
    bool normal;                   // synchronous=NORMAL, else FULL
    unsigned rows_per_transaction; // that the caller asks for: what one latency is about
};

extern const weir__bench_row weir__bench_rows[WEIR__BENCH_ROWS];

typedef struct weir__bench_results {
    weir__bench_round rounds[WEIR__BENCH_ROWS][WEIR__BENCH_ROUNDS_MAX];
    unsigned rounds_done; // by every chosen row
    bool cut_short;       // fewer than asked for, because of the time limit
} weir__bench_results;

// ---- options.c
// Fills `options`; WEIR_INVALID with a sentence for a wrong line.
int weir__bench_options_read(int argc, char **argv, weir__bench_options *options, weir_error *err);
void weir__bench_help(FILE *out);

// ---- place.c
// An empty database with the table.
int weir__bench_database_make(const char *path, bool rollback_journal, weir_error *err);
// WEIR_CORRUPT when the rows that the crew had acknowledged are not exactly those in the database.
int weir__bench_database_verify(const char *path, const char *row_name, const weir__crew *crew,
                                weir_error *err);
int weir__bench_database_remove(const char *path, weir_error *err);

// ---- peers.c, clients.c
weir__bench_run weir__peer_run;
weir__crew_work weir__peer_one_by_one, weir__peer_in_turns, weir__peer_bulk;
weir__bench_run weir__client_run;
weir__crew_work weir__client_blocking, weir__client_in_flight;

// ---- slow.c
// A VFS for SQLite that waits before every sync; *name is NULL when there is nothing to wait for. Every
// connection must be closed before it ends.
typedef struct weir__vfs weir__vfs;
int weir__bench_slow_open(uint32_t sync_delay_us, weir__vfs **vfs, const char **name, weir_error *err);
void weir__bench_slow_close(weir__vfs *vfs);

// ---- report.c
void weir__bench_report_text(const weir__bench_session *session, const weir__bench_options *options,
                             const weir__bench_results *results, weir__text *out);
void weir__bench_report_json(const weir__bench_session *session, const weir__bench_options *options,
                             const weir__bench_results *results, weir__text *out);

#endif
