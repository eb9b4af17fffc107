// SPDX-License-Identifier: MIT
//
// `weir bench commit`: rounds in which every row has its turn, each with a fresh database.
//
// Signals that ask us to stop are blocked in all threads and taken out of the queue where the main thread
// waits (crew.c), so that the directory is removed whatever happens.
#include "bench/commit.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_SIGNALLED = 128 };

const weir__bench_row weir__bench_rows[WEIR__BENCH_ROWS] = {
    {.name = "rollback_full",
     .about = "rollback journal (DELETE), FULL, one thread",
     .run = weir__peer_run,
     .work = weir__peer_one_by_one,
     .threads = 1,
     .rollback_journal = true,
     .rows_per_transaction = 1},
    {.name = "wal_full",
     .about = "WAL, FULL, one thread",
     .run = weir__peer_run,
     .work = weir__peer_one_by_one,
     .threads = 1,
     .rows_per_transaction = 1},
    {.name = "wal_normal",
     .about = "WAL, NORMAL, one thread: a power cut takes the last writes",
     .run = weir__peer_run,
     .work = weir__peer_one_by_one,
     .threads = 1,
     .normal = true,
     .rows_per_transaction = 1},
    {.name = "wal_full_64",
     .about = "WAL, FULL, 64 threads with a connection each, waiting 5 s",
     .run = weir__peer_run,
     .work = weir__peer_in_turns,
     .threads = 64,
     .rows_per_transaction = 1},
    {.name = "bulk_1000",
     .about = "WAL, FULL, one thread, 1,000 rows a transaction: the limit",
     .run = weir__peer_run,
     .work = weir__peer_bulk,
     .threads = 1,
     .rows_per_transaction = WEIR__BENCH_BULK_ROWS},
    {.name = "weir_blocking_1",
     .about = "Weir, one thread that waits for each write",
     .run = weir__client_run,
     .work = weir__client_blocking,
     .threads = 1,
     .rows_per_transaction = 1},
    {.name = "weir_blocking_64",
     .about = "Weir, 64 threads that each wait for each write",
     .run = weir__client_run,
     .work = weir__client_blocking,
     .threads = 64,
     .rows_per_transaction = 1},
    {.name = "weir_blocking_500",
     .about = "Weir, 500 threads that each wait for each write",
     .run = weir__client_run,
     .work = weir__client_blocking,
     .threads = 500,
     .rows_per_transaction = 1},
    {.name = "weir_inflight_8x64",
     .about = "Weir, 8 threads with up to 64 writes under way each",
     .run = weir__client_run,
     .work = weir__client_in_flight,
     .threads = 8,
     .rows_per_transaction = 1},
};

// What a whole run works with.
typedef struct bench {
    weir__bench_options options;
    weir__bench_results results;
    char *directory;
    char *database;
    weir__vfs *slow;
    const char *vfs;
    char text[WEIR__BENCH_TEXT_BYTES_MAX];
    sigset_t signals;
    int signal_number;
    bool shows_progress;
} bench;

static void show_progress(const bench *b, unsigned round, const char *row_name)
{
    if (b->shows_progress)
        fprintf(stderr, "\r\033[Kround %u of %u: %s", round + 1, b->options.rounds, row_name);
}

static void hide_progress(const bench *b)
{
    if (b->shows_progress)
        fputs("\r\033[K", stderr);
}

static int run_row(bench *b, const weir__bench_row *row, weir__bench_round *round, weir_error *err)
{
    weir__bench_task task = {
        .row = row,
        .database = b->database,
        .vfs = b->vfs,
        .text = b->text,
        .text_bytes = b->options.text_bytes,
        .sync_delay_us = b->options.sync_delay_us,
        .window_ns = b->options.window_ns,
        .signals = &b->signals,
    };
    weir__crew crew = {0};
    int code = weir__bench_database_make(b->database, row->rollback_journal, err);
    if (code == WEIR_OK)
        code = row->run(&task, &crew, round, err);
    b->signal_number = task.signal_number;
    if (code == WEIR_OK)
        code = weir__bench_database_verify(b->database, row->name, &crew, err);
    weir__crew_fini(&crew);
    const int remove_code = weir__bench_database_remove(b->database, code == WEIR_OK ? err : NULL);
    return code == WEIR_OK ? remove_code : code;
}

// Whether another round like those before it would pass the time limit.
static bool is_out_of_time(const bench *b, uint64_t start_ns)
{
    const uint64_t done = b->results.rounds_done;
    const uint64_t used_ns = weir__worker_now_ns() - start_ns;
    return b->options.time_limit && done > 0 &&
           used_ns / done * (done + 1) > WEIR__BENCH_TIME_LIMIT_S * WEIR__NS_PER_S;
}

static int run_rounds(bench *b, weir_error *err)
{
    const uint64_t start_ns = weir__worker_now_ns();
    int code = WEIR_OK;
    for (unsigned round = 0; round < b->options.rounds && code == WEIR_OK; round++) {
        b->results.cut_short = is_out_of_time(b, start_ns);
        if (b->results.cut_short)
            break;
        for (size_t i = 0; i < WEIR__BENCH_ROWS && code == WEIR_OK; i++) {
            if (!b->options.chosen[i])
                continue;
            show_progress(b, round, weir__bench_rows[i].name);
            code = run_row(b, &weir__bench_rows[i], &b->results.rounds[i][round], err);
        }
        b->results.rounds_done += code == WEIR_OK;
    }
    hide_progress(b);
    return code;
}

static unsigned count_cores(void)
{
    cpu_set_t cores;
    const int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 0;
    return count > 0 ? (unsigned)count : 1;
}

static void warn_of_memory(const bench *b)
{
    if (b->results.fs_kind.fs_class == WEIR__FS_MEMORY)
        fprintf(stderr,
                "weir bench commit: %s is on %s, in memory: a sync costs nothing there, so the\n"
                "figures say nothing about a disk. Name a directory on one with --dir.\n",
                b->directory, b->results.fs_kind.name);
}

static int prepare(bench *b, weir_error *err)
{
    int code = weir__bench_place_make(&b->options, &b->directory, err);
    if (code != WEIR_OK)
        return code;
    weir__text path = {0};
    weir__fs_join(&path, b->directory, "bench.db");
    b->database = weir__text_take(&path);
    if (!b->database)
        return weir__error_set(err, WEIR_NOMEM, "not enough memory");
    code = weir__fs_kind_of(b->directory, &b->results.fs_kind, err);
    if (code != WEIR_OK)
        return code;
    warn_of_memory(b);
    b->results.cores = count_cores();
    memset(b->text, 'w', sizeof b->text);
    code = weir__bench_place_time_sync(b->directory, &b->results.sync_ns, err);
    return code == WEIR_OK ? weir__bench_slow_open(b->options.sync_delay_us, &b->slow, &b->vfs, err) : code;
}

static int print_results(const bench *b, weir_error *err)
{
    weir__text out = {0};
    if (b->options.json)
        weir__bench_report_json(&b->options, &b->results, &out);
    else
        weir__bench_report_text(&b->options, &b->results, &out);
    int code = WEIR_OK;
    if (out.failed)
        code = weir__error_set(err, WEIR_NOMEM, "not enough memory for the report");
    else if (fputs(weir__text_string(&out), stdout) < 0 || fflush(stdout) != 0)
        code = weir__error_set(err, WEIR_IO, "cannot write the results to the standard output");
    weir__text_free(&out);
    return code;
}

static int run(bench *b, weir_error *err)
{
    int code = prepare(b, err);
    if (code == WEIR_OK)
        code = run_rounds(b, err);
    weir__bench_slow_close(b->slow);
    const int remove_code =
        b->directory ? weir__fs_remove_tree(b->directory, code == WEIR_OK ? err : NULL) : WEIR_OK;
    free(b->database);
    free(b->directory);
    if (code == WEIR_OK)
        code = remove_code;
    return code == WEIR_OK ? print_results(b, err) : code;
}

// A blocked signal waits in the queue even when it is to be ignored (as nohup asks for SIGHUP), so such a one
// is left alone.
static void hold_signal(bench *b, int number)
{
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN)
        sigaddset(&b->signals, number);
}

static int run_with_signals_held(bench *b, weir_error *err)
{
    sigset_t before;
    sigemptyset(&b->signals);
    hold_signal(b, SIGINT);
    hold_signal(b, SIGTERM);
    hold_signal(b, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &b->signals, &before);
    const int code = run(b, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

int weir__bench_commit(int argc, char **argv)
{
    weir_error err = WEIR_ERROR_INIT;
    int status = EXIT_FINE;
    bench *b = calloc(1, sizeof *b);
    int code = b ? weir__bench_options_read(argc, argv, &b->options, &err)
                 : weir__error_set(&err, WEIR_NOMEM, "not enough memory");
    if (code != WEIR_OK) {
        fprintf(stderr, "weir: %s\nTry \"weir bench commit --help\".\n", err.text);
        status = b ? EXIT_USAGE : EXIT_FAILED;
    } else if (b->options.help) {
        weir__bench_help(stdout);
    } else {
        b->shows_progress = isatty(STDERR_FILENO) == 1;
        code = run_with_signals_held(b, &err);
        if (code != WEIR_OK) {
            fprintf(stderr, "weir: %s\n", err.text);
            status = b->signal_number ? EXIT_SIGNALLED + b->signal_number : EXIT_FAILED;
        }
    }
    free(b);
    return status;
}
