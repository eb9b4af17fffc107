// SPDX-License-Identifier: MIT
//
// `weir bench heartbeat`: the command line; a prepared database, of which every row gets a copy of its own in every
// round.
#include "bench/heartbeat.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum { ROUNDS_DEFAULT = 3 };
enum {
    OPTION_HELP = 256,
    OPTION_JSON,
    OPTION_DIR,
    OPTION_SECONDS,
    OPTION_ROUNDS,
    OPTION_ROWS,
    OPTION_EVENTS
};

static const uint64_t WINDOW_NS_DEFAULT = UINT64_C(3000000000);
static const char EXPORT_ROW[] = "export";

const weir__beat_about weir__beat_rows[WEIR__BEAT_ROWS] = {
    [WEIR__BEAT_PEER] = {"peer", "plain SQLite as aw-server-rust: commits of 100, answered before"},
    [WEIR__BEAT_PLAIN] = {"plain", "plain SQLite, a commit for each heartbeat"},
    [WEIR__BEAT_IN_FLIGHT] = {"weir_inflight_8x64",
                              "Weir, 8 threads with up to 64 heartbeats under way each"},
    [WEIR__BEAT_HTTP] = {"weir_http_16", "weir serve, wrk with 16 connections on the same cores"},
    [WEIR__BEAT_DAY_IDLE] = {"weir_day_idle", "reads of one day of one bucket, nothing else"},
    [WEIR__BEAT_DAY_BUSY] = {"weir_day_busy", "the same beside weir_inflight_8x64"},
};

static weir__beat_run *const runs[WEIR__BEAT_ROWS] = {
    [WEIR__BEAT_PEER] = weir__beat_peer,           [WEIR__BEAT_PLAIN] = weir__beat_plain,
    [WEIR__BEAT_IN_FLIGHT] = weir__beat_in_flight, [WEIR__BEAT_HTTP] = weir__beat_http,
    [WEIR__BEAT_DAY_IDLE] = weir__beat_day_idle,   [WEIR__BEAT_DAY_BUSY] = weir__beat_day_busy,
};

static const struct option OPTIONS[] = {
    {"help", no_argument, NULL, OPTION_HELP},           {"json", no_argument, NULL, OPTION_JSON},
    {"dir", required_argument, NULL, OPTION_DIR},       {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"rounds", required_argument, NULL, OPTION_ROUNDS}, {"rows", required_argument, NULL, OPTION_ROWS},
    {"events", required_argument, NULL, OPTION_EVENTS}, {NULL, 0, NULL, 0},
};

static void print_help(void)
{
    fputs("Usage: weir bench heartbeat [OPTIONS]\n\n"
          "Measure ActivityWatch's work on this machine: heartbeats into a database of 544,000\n"
          "events in 6 buckets, of which three in four are merged, each on disk (FULL) before it\n"
          "is acknowledged; reads of a day beside them; the export of everything.\n\n"
          "After every round the database is compared with what was acknowledged; a difference\n"
          "is an error. Over HTTP it is driven by wrk, if that is installed, which does not tell\n"
          "how much it wrote: there every answer must be a good one instead.\n\n"
          "Options:\n"
          "      --dir DIR      where to write (default: here, or else in $TMPDIR); a directory\n"
          "                     is made in it and removed at the end\n"
          "      --events N     prepared events, 1000 to 100000000 (default: 544000)\n"
          "      --seconds N    measured time of a row in a round (default: 3)\n"
          "      --rounds N     rounds, of which the medians are shown (default: 3)\n"
          "      --rows A,B,... only these rows of the table below\n"
          "      --json         JSON for machines\n"
          "  -h, --help         this text\n\n"
          "Rows:\n",
          stdout);
    for (int i = 0; i < WEIR__BEAT_ROWS; i++)
        printf("  %-19s %s\n", weir__beat_rows[i].name, weir__beat_rows[i].about);
    printf("  %-19s %s\n", EXPORT_ROW, "all events as JSON: how much memory that takes");
    fputs("\nExit status:\n"
          "  0     fine\n"
          "  1     failed; a sentence on stderr says why\n"
          "  2     a wrong command line\n"
          "  130   stopped with Ctrl-C; nothing is left behind\n\n"
          "Examples:\n"
          "  weir bench heartbeat                       about a minute and a half\n"
          "  weir bench heartbeat --dir /mnt/disk --json\n"
          "  weir bench heartbeat --rows weir_http_16 --seconds 10\n",
          stdout);
}

// The index of a row; WEIR__BEAT_ROWS for the export, -1 for none.
static int find_row(const char *name, size_t size)
{
    for (int i = 0; i < WEIR__BEAT_ROWS; i++)
        if (strlen(weir__beat_rows[i].name) == size && strncmp(weir__beat_rows[i].name, name, size) == 0)
            return i;
    return size == sizeof EXPORT_ROW - 1 && strncmp(name, EXPORT_ROW, size) == 0 ? WEIR__BEAT_ROWS : -1;
}

static int parse_rows(const char *text, weir__beat_options *options, weir_error *err)
{
    memset(options->chosen, 0, sizeof options->chosen);
    options->export = false;
    for (const char *name = text;; name++) {
        const size_t size = strcspn(name, ",");
        const int row = find_row(name, size);
        if (row < 0)
            return weir__error_set(
                err, WEIR_INVALID,
                "there is no row \"%.*s\"; the rows are named by \"weir bench heartbeat --help\"",
                (int)(size < 40 ? size : 40), name);
        if (row == WEIR__BEAT_ROWS)
            options->export = true;
        else
            options->chosen[row] = true;
        name += size;
        if (*name == '\0')
            return WEIR_OK;
    }
}

static int read_one(int option, void *context, weir_error *err)
{
    weir__beat_options *options = context;
    unsigned long number = 0;
    int code = WEIR_OK;
    switch (option) {
    case 'h':
    case OPTION_HELP:
        options->help = true;
        return WEIR_OK;
    case OPTION_JSON:
        options->json = true;
        return WEIR_OK;
    case OPTION_DIR:
        options->directory = optarg;
        return optarg[0] ? WEIR_OK : weir__error_set(err, WEIR_INVALID, "--dir takes a directory");
    case OPTION_SECONDS:
        return weir__bench_parse_seconds(optarg, &options->window_ns, err);
    case OPTION_ROUNDS:
        code = weir__bench_parse_count("rounds", optarg, 1, WEIR__BENCH_ROUNDS_MAX, &number, err);
        options->rounds = (unsigned)number;
        return code;
    case OPTION_EVENTS:
        code = weir__bench_parse_count("events", optarg, 1000, WEIR__BEAT_EVENTS_MAX, &number, err);
        options->events = number;
        return code;
    default:
        return parse_rows(optarg, options, err);
    }
}

static int read_options(int argc, char **argv, weir__beat_options *options, weir_error *err)
{
    *options = (weir__beat_options){.window_ns = WINDOW_NS_DEFAULT,
                                    .rounds = ROUNDS_DEFAULT,
                                    .events = WEIR__BEAT_EVENTS,
                                    .export = true};
    for (int i = 0; i < WEIR__BEAT_ROWS; i++)
        options->chosen[i] = true;
    return weir__bench_read_line("bench heartbeat", argc, argv, OPTIONS, read_one, options, err);
}

// --------------------------------------------------------------------------------------------------- rounds

typedef struct bench {
    weir__beat_options options;
    weir__beat_results results;
    char *prepared, *database;
} bench;

static int remove_copy(const char *path, weir_error *err)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    int code = WEIR_OK;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && code == WEIR_OK; i++) {
        weir__text name = {0};
        weir__text_printf(&name, "%s%s", path, suffixes[i]);
        code = weir__fs_remove_tree(weir__text_string(&name), err);
        weir__text_free(&name);
    }
    return code;
}

static weir__beat_task task_of(const bench *b, weir__bench_session *session)
{
    return (weir__beat_task){.session = session,
                             .database = b->database,
                             .events = b->options.events,
                             .window_ns = b->options.window_ns};
}

static int run_row(bench *b, weir__bench_session *session, weir__beat_row row, unsigned round,
                   weir_error *err)
{
    const weir__beat_task task = task_of(b, session);
    weir__bench_progress(session, "round %u of %u: %s", round + 1, b->options.rounds,
                         weir__beat_rows[row].name);
    int code = weir__fs_copy_file(b->prepared, b->database, err);
    if (code == WEIR_OK)
        code = runs[row](&task, &b->results.paces[row][round], err);
    if (code == WEIR_NOTFOUND && row == WEIR__BEAT_HTTP) {
        b->results.without_wrk = true;
        b->options.chosen[row] = false;
        code = WEIR_OK;
    }
    const int remove_code = remove_copy(b->database, code == WEIR_OK ? err : NULL);
    return code == WEIR_OK ? remove_code : code;
}

static int run_rounds(bench *b, weir__bench_session *session, weir_error *err)
{
    int code = WEIR_OK;
    for (unsigned round = 0; round < b->options.rounds && code == WEIR_OK; round++) {
        for (int row = 0; row < WEIR__BEAT_ROWS && code == WEIR_OK; row++)
            if (b->options.chosen[row])
                code = run_row(b, session, (weir__beat_row)row, round, err);
        b->results.rounds_done += code == WEIR_OK;
    }
    return code;
}

static int run_export(bench *b, weir__bench_session *session, weir_error *err)
{
    const weir__beat_task task = task_of(b, session);
    weir__bench_progress(session, "export");
    int code = weir__fs_copy_file(b->prepared, b->database, err);
    if (code == WEIR_OK)
        code = weir__beat_export_run(&task, &b->results.export, err);
    const int remove_code = remove_copy(b->database, code == WEIR_OK ? err : NULL);
    return code == WEIR_OK ? remove_code : code;
}

static int run_inside(bench *b, weir__bench_session *session, weir_error *err)
{
    weir__text out = {0};
    int code = weir__beat_prepare(session, b->prepared, b->options.events, err);
    if (code == WEIR_OK && b->options.export)
        code = run_export(b, session, err);
    if (code == WEIR_OK)
        code = run_rounds(b, session, err);
    weir__bench_progress_end(session);
    if (code != WEIR_OK)
        return code;
    if (b->options.json)
        weir__beat_report_json(session, &b->options, &b->results, &out);
    else
        weir__beat_report_text(session, &b->options, &b->results, &out);
    return weir__bench_print(&out, err);
}

static int run(weir__bench_session *session, void *context, weir_error *err)
{
    bench *b = context;
    weir__text prepared = {0}, database = {0};
    weir__fs_join(&prepared, session->directory, "prepared.db");
    weir__fs_join(&database, session->directory, "bench.db");
    b->prepared = weir__text_take(&prepared);
    b->database = weir__text_take(&database);
    const int code = b->prepared && b->database ? run_inside(b, session, err)
                                                : weir__error_set(err, WEIR_NOMEM, "not enough memory");
    free(b->prepared);
    free(b->database);
    return code;
}

int weir__bench_heartbeat(int argc, char **argv)
{
    weir_error err = WEIR_ERROR_INIT;
    int status = WEIR__BENCH_FINE;
    bench *b = calloc(1, sizeof *b);
    const int code = b ? read_options(argc, argv, &b->options, &err)
                       : weir__error_set(&err, WEIR_NOMEM, "not enough memory");
    if (code != WEIR_OK) {
        fprintf(stderr, "weir: %s\nTry \"weir bench heartbeat --help\".\n", err.text);
        status = b ? WEIR__BENCH_USAGE : WEIR__BENCH_FAILED;
    } else if (b->options.help) {
        print_help();
    } else {
        status = weir__bench_session_run("bench heartbeat", b->options.directory, run, b);
    }
    free(b);
    return status;
}
