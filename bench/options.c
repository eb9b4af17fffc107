// SPDX-License-Identifier: MIT
//
// The command line of `weir bench commit`, and its help.
#include <getopt.h>
#include <string.h>

#include "base/clock.h"
#include "bench/commit.h"

enum {
    SYNC_DELAY_US_MAX = 1000 * 1000,
    ROUNDS_DEFAULT = 3,
    TEXT_BYTES_DEFAULT = 100, // as db_bench of LevelDB and its kin write
};

#define SECONDS_DEFAULT 0.8

enum {
    OPTION_HELP = 256,
    OPTION_JSON,
    OPTION_DIR,
    OPTION_DELAY,
    OPTION_SECONDS,
    OPTION_ROUNDS,
    OPTION_ROWS,
    OPTION_TEXT
};

static const struct option OPTIONS[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"json", no_argument, NULL, OPTION_JSON},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"sync-delay-us", required_argument, NULL, OPTION_DELAY},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"rounds", required_argument, NULL, OPTION_ROUNDS},
    {"rows", required_argument, NULL, OPTION_ROWS},
    {"text-bytes", required_argument, NULL, OPTION_TEXT},
    {NULL, 0, NULL, 0},
};

void weir__bench_help(FILE *out)
{
    fputs("Usage: weir bench commit [OPTIONS]\n\n"
          "Measure durable writes of one row each on this machine's disk: plain SQLite in\n"
          "its usual configurations against Weir's group commit.\n\n"
          "Everybody writes the same rows with the same statement into a fresh database,\n"
          "in several rounds that take turns, so that a machine whose speed drifts drifts\n"
          "for all. After each round the rows in the database are compared with those that\n"
          "were acknowledged; a difference is an error.\n\n"
          "Options:\n"
          "      --sync-delay-us N   every sync waits N microseconds first, at most 1000000:\n"
          "                          shows a slower disk\n"
          "      --dir DIR           where to write (default: here, or else in $TMPDIR); a\n"
          "                          directory is made in it and removed at the end\n"
          "      --seconds N         measured time of a row in a round (default: 0.8)\n"
          "      --rounds N          rounds, of which the medians are shown (default: 3)\n"
          "      --rows A,B,...      only these rows of the table below\n"
          "      --text-bytes N      the text that is written with each number, 1 to 2000\n"
          "                          (default: 100); short rows show our own cost best\n"
          "      --json              JSON for machines\n"
          "  -h, --help              this text\n\n"
          "Rows:\n",
          out);
    for (size_t i = 0; i < WEIR__BENCH_ROWS; i++)
        fprintf(out, "  %-19s %s\n", weir__bench_rows[i].name, weir__bench_rows[i].about);
    fputs("\nExit status:\n"
          "  0     fine\n"
          "  1     failed; a sentence on stderr says why\n"
          "  2     a wrong command line\n"
          "  130   stopped with Ctrl-C; nothing is left behind\n\n"
          "Examples:\n"
          "  weir bench commit                          about half a minute\n"
          "  weir bench commit --sync-delay-us 6000     as a cloud or laptop disk would do\n"
          "  weir bench commit --dir /mnt/disk --json   another disk, for a program\n"
          "  weir bench commit --rows wal_full,weir_inflight_8x64\n",
          out);
}

static int parse_rows(const char *text, bool chosen[WEIR__BENCH_ROWS], weir_error *err)
{
    memset(chosen, 0, WEIR__BENCH_ROWS * sizeof *chosen);
    for (const char *name = text;;) {
        const size_t size = strcspn(name, ",");
        size_t i = 0;
        while (i < WEIR__BENCH_ROWS && (strlen(weir__bench_rows[i].name) != size ||
                                        strncmp(weir__bench_rows[i].name, name, size) != 0))
            i++;
        if (i == WEIR__BENCH_ROWS)
            return weir__error_set(err, WEIR_INVALID,
                                   "there is no row \"%.*s\"; the rows are named by "
                                   "\"weir bench commit --help\"",
                                   (int)(size < 40 ? size : 40), name);
        chosen[i] = true;
        if (name[size] == '\0')
            return WEIR_OK;
        name += size + 1;
    }
}

static int read_one(int option, void *context, weir_error *err)
{
    weir__bench_options *options = context;
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
    case OPTION_DELAY:
        code = weir__bench_parse_count("sync-delay-us", optarg, 0, SYNC_DELAY_US_MAX, &number, err);
        options->sync_delay_us = (uint32_t)number;
        return code;
    case OPTION_SECONDS:
        options->time_limit = false;
        return weir__bench_parse_seconds(optarg, &options->window_ns, err);
    case OPTION_ROUNDS:
        options->time_limit = false;
        code = weir__bench_parse_count("rounds", optarg, 1, WEIR__BENCH_ROUNDS_MAX, &number, err);
        options->rounds = (unsigned)number;
        return code;
    case OPTION_TEXT:
        code = weir__bench_parse_count("text-bytes", optarg, 1, WEIR__BENCH_TEXT_BYTES_MAX, &number, err);
        options->text_bytes = (unsigned)number;
        return code;
    default:
        return parse_rows(optarg, options->chosen, err);
    }
}

int weir__bench_options_read(int argc, char **argv, weir__bench_options *options, weir_error *err)
{
    *options = (weir__bench_options){
        .window_ns = (uint64_t)(SECONDS_DEFAULT * (double)WEIR__NS_PER_S),
        .rounds = ROUNDS_DEFAULT,
        .text_bytes = TEXT_BYTES_DEFAULT,
        .time_limit = true,
    };
    for (size_t i = 0; i < WEIR__BENCH_ROWS; i++)
        options->chosen[i] = true;
    return weir__bench_read_line("bench commit", argc, argv, OPTIONS, read_one, options, err);
}
