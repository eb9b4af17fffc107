// SPDX-License-Identifier: MIT
//
// weir wal verify: is a log whole, and if not, where and what is lost? The answer is the exit status; a sentence
// says it for people. It goes to standard output also when the log is bad: it is the result.
#include "cli/visible.h"
#include "cli/wal.h"

typedef struct verify_values {
    bool json;
    bool quiet;
} verify_values;

static const weir__option options[] = {
    {.name = "quiet",
     .letter = 'q',
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(verify_values, quiet),
     .help = "no sentence, only the exit status"},
    WEIR__OPTION_JSON(verify_values),
};

static void print_json(weir__screen *out, const weir__wal_file *file, const weir_wal_end *end, int verdict,
                       const weir__text *sentence)
{
    weir__screen_printf(out, "{\"verdict\":\"%s\",\"sentence\":", weir__wal_verdict_name(verdict));
    weir__text_json_string(&out->text, weir__text_string(sentence), sentence->size);
    weir__screen_add(out, ",");
    weir__wal_file_json(out, file);
    weir__screen_add(out, ",");
    weir__wal_end_json(out, end);
    weir__screen_add(out, "}\n");
}

static void print_sentence(weir__screen *out, const weir__wal_file *file, int verdict,
                           const weir__text *sentence)
{
    weir__screen_visible(out, file->has_log ? file->log : file->database, WEIR__COLUMNS_ALL);
    weir__screen_add(out, ": ");
    weir__screen_style(out, verdict == WEIR__WAL_WHOLE  ? WEIR__STYLE_GOOD
                            : verdict == WEIR__WAL_TORN ? WEIR__STYLE_WARN
                                                        : WEIR__STYLE_BAD);
    weir__screen_add(out, weir__text_string(sentence));
    weir__screen_style(out, WEIR__STYLE_PLAIN);
    weir__screen_add(out, "\n");
}

// What cannot be a log by its kind is none; what could not be read may be one.
static int failed(weir__cli *cli, const weir_error *err)
{
    (void)weir__cli_failed(cli, err);
    return err->code == WEIR_INVALID ? WEIR__WAL_NO_LOG : WEIR__WAL_UNREADABLE;
}

static int verify(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    (void)command;
    const verify_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir__wal_file file;
    weir__wal_reading reading = {0};
    weir__text sentence = {0};
    if (weir__wal_locate(operands->items[0], &file, &err) != WEIR_OK)
        return failed(cli, &err);
    if (file.has_log && weir__wal_read(cli, &file, &reading, &err) != WEIR_OK)
        return failed(cli, &err);
    const int verdict = weir__wal_verdict(&reading.end);
    if (file.has_log)
        weir__wal_end_sentence(&sentence, &reading.end);
    else
        weir__text_add(&sentence, "whole: the database has no log");
    if (v->json)
        print_json(&cli->out, &file, &reading.end, verdict, &sentence);
    else if (!v->quiet)
        print_sentence(&cli->out, &file, verdict, &sentence);
    weir__text_free(&sentence);
    if (weir__screen_flush(&cli->out, &err) != WEIR_OK)
        return failed(cli, &err);
    return verdict;
}

const weir__command weir__command_wal_verify = {
    .name = "wal verify",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "whether a log is whole, and if not, where it is bad and what is lost",
    .about = WEIR__ABOUT_WAL_FILE
    "\n\n"
    "A torn tail is normal after a crash: what was being written was never committed. Damage is not: "
    "committed\n"
    "transactions follow behind a frame that is not valid, and SQLite silently ignores them.",
    .statuses_all = "0     whole, or there is no log\n"
                    "1     a torn tail: the last transaction is not complete\n"
                    "2     damaged; or a wrong command line, then nothing is printed to standard output\n"
                    "3     not a log of SQLite that Weir knows\n"
                    "4     could not be read; a sentence on stderr says why",
    .examples = "weir wal verify app.db\n"
                "weir wal verify backup/app.db-wal --json\n"
                "weir wal verify -q app.db || echo \"look at app.db-wal\"",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const verify_values){.json = false},
    .values_size = sizeof(verify_values),
    .run = verify,
};
