// SPDX-License-Identifier: MIT
//
// `weir bench commit`: rounds in which every row has its turn, each with a fresh database.
#include "bench/commit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"

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
    weir__bench_session *session;
    char *database;
    weir__vfs *slow;
    const char *vfs;
    char text[WEIR__BENCH_TEXT_BYTES_MAX];
} bench;

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
        .signals = &b->session->signals,
    };
    weir__crew crew = {0};
    int code = weir__bench_database_make(b->database, row->rollback_journal, err);
    if (code == WEIR_OK)
        code = row->run(&task, &crew, round, err);
    b->session->signal_number = task.signal_number;
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
            weir__bench_progress(b->session, "round %u of %u: %s", round + 1, b->options.rounds,
                                 weir__bench_rows[i].name);
            code = run_row(b, &weir__bench_rows[i], &b->results.rounds[i][round], err);
        }
        b->results.rounds_done += code == WEIR_OK;
    }
    weir__bench_progress_end(b->session);
    return code;
}

static int print_results(const bench *b, weir_error *err)
{
    weir__text out = {0};
    if (b->options.json)
        weir__bench_report_json(b->session, &b->options, &b->results, &out);
    else
        weir__bench_report_text(b->session, &b->options, &b->results, &out);
    return weir__bench_print(&out, err);
}

static int run(weir__bench_session *session, void *context, weir_error *err)
{
    bench *b = context;
    weir__text path = {0};
    b->session = session;
    memset(b->text, 'w', sizeof b->text);
    weir__fs_join(&path, session->directory, "bench.db");
    b->database = weir__text_take(&path);
    if (!b->database)
        return weir__error_set(err, WEIR_NOMEM, "not enough memory");
    int code = weir__bench_slow_open(b->options.sync_delay_us, &b->slow, &b->vfs, err);
    if (code == WEIR_OK)
        code = run_rounds(b, err);
    weir__bench_slow_close(b->slow);
    free(b->database);
    return code == WEIR_OK ? print_results(b, err) : code;
}

int weir__bench_commit(int argc, char **argv)
{
    weir_error err = WEIR_ERROR_INIT;
    int status = WEIR__BENCH_FINE;
    bench *b = calloc(1, sizeof *b);
    const int code = b ? weir__bench_options_read(argc, argv, &b->options, &err)
                       : weir__error_set(&err, WEIR_NOMEM, "not enough memory");
    if (code != WEIR_OK) {
        fprintf(stderr, "weir: %s\nTry \"weir bench commit --help\".\n", err.text);
        status = b ? WEIR__BENCH_USAGE : WEIR__BENCH_FAILED;
    } else if (b->options.help) {
        weir__bench_help(stdout);
    } else {
        status = weir__bench_session_run("bench commit", b->options.directory, run, b);
    }
    free(b);
    return status;
}
