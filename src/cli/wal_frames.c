// SPDX-License-Identifier: MIT
//
// weir wal frames: the frames of a log, or its transactions, one line each, as they are read: a log of any size
// in bounded memory. What ends the log follows as a sentence on standard error, in JSON as the last object.
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/progress.h"
#include "cli/visible.h"
#include "cli/wal.h"

enum { flush_size = 65536, frames_between_progress = 256 };

typedef struct frames_values {
    bool json;
    bool transactions;
} frames_values;

static const weir__option options[] = {
    {.name = "transactions",
     .letter = 't',
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(frames_values, transactions),
     .help = "one line per commit instead"},
    WEIR__OPTION_JSON(frames_values),
};

// What one line needs, and the screens it goes to.
typedef struct printer {
    weir__cli *cli;
    const frames_values *values;
    weir__progress progress;
    uint64_t size; // of the log
} printer;

static void print_titles(const printer *p)
{
    weir__screen *const out = &p->cli->out;
    if (p->values->json)
        return;
    weir__screen_style(out, WEIR__STYLE_BOLD);
    if (p->values->transactions)
        weir__screen_printf(out, "%11s %11s %11s %15s %15s %11s", "TRANSACTION", "FIRST", "LAST", "OFFSET",
                            "END", "PAGES");
    else
        weir__screen_printf(out, "%11s %11s %11s %15s %11s", "FRAME", "TRANSACTION", "PAGE", "OFFSET",
                            "COMMIT");
    weir__screen_style(out, WEIR__STYLE_PLAIN);
    weir__screen_add(out, "\n");
}

static void print_frame(const printer *p, const weir_wal_frame *f)
{
    weir__screen *const out = &p->cli->out;
    if (p->values->json) {
        weir__screen_printf(out,
                            "{\"frame\":%" PRIu64 ",\"transaction\":%" PRIu64 ",\"page\":%" PRIu32
                            ",\"offset\":%" PRIu64 ",\"database_pages\":",
                            f->number, f->transaction, f->page, f->offset);
        if (f->n_page != 0)
            weir__screen_printf(out, "%" PRIu32 "}\n", f->n_page);
        else
            weir__screen_add(out, "null}\n");
        return;
    }
    weir__screen_printf(out, "%11" PRIu64 " %11" PRIu64 " %11" PRIu32 " %15" PRIu64, f->number,
                        f->transaction, f->page, f->offset);
    if (f->n_page != 0)
        weir__screen_printf(out, " %11" PRIu32, f->n_page);
    weir__screen_add(out, "\n");
}

static void print_transaction(const printer *p, const weir_wal_transaction *t)
{
    weir__screen *const out = &p->cli->out;
    if (p->values->json)
        weir__screen_printf(out,
                            "{\"transaction\":%" PRIu64 ",\"first_frame\":%" PRIu64 ",\"last_frame\":%" PRIu64
                            ",\"offset\":%" PRIu64 ",\"offset_end\":%" PRIu64 ",\"database_pages\":%" PRIu32
                            "}\n",
                            t->number, t->first_frame, t->last_frame, t->offset, t->offset_end, t->n_page);
    else
        weir__screen_printf(
            out, "%11" PRIu64 " %11" PRIu64 " %11" PRIu64 " %15" PRIu64 " %15" PRIu64 " %11" PRIu32 "\n",
            t->number, t->first_frame, t->last_frame, t->offset, t->offset_end, t->n_page);
}

// One line; *number is 0 behind the last.
static int print_next(const printer *p, weir_wal_scan *scan, uint64_t *number, uint64_t *offset,
                      weir_error *err)
{
    weir_wal_transaction transaction = {0};
    weir_wal_frame frame = {0};
    const int code = p->values->transactions ? weir_wal_scan_next_transaction(scan, &transaction, err)
                                             : weir_wal_scan_next(scan, &frame, err);
    if (transaction.number != 0)
        print_transaction(p, &transaction);
    if (frame.number != 0)
        print_frame(p, &frame);
    *number = transaction.number + frame.number; // one of them is 0
    *offset = transaction.offset + frame.offset;
    return code;
}

static int print_all(printer *p, weir_wal_scan *scan, weir_error *err)
{
    weir__screen *const out = &p->cli->out;
    uint64_t number = 0;
    uint64_t offset = 0;
    print_titles(p);
    do {
        int code = print_next(p, scan, &number, &offset, err);
        if (code == WEIR_OK && (out->text.size >= flush_size || number == 0))
            code = weir__screen_flush(out, err);
        if (code != WEIR_OK || out->gone)
            return code;
        if (!out->terminal && number % frames_between_progress == 1)
            weir__progress_tell(&p->progress, "reading the log:", offset, p->size);
    } while (number != 0);
    return WEIR_OK;
}

static void print_end(printer *p, const weir__wal_file *file, const weir_wal_end *end)
{
    weir__text sentence = {0};
    weir__progress_end(&p->progress);
    if (p->values->json) {
        weir__screen_add(&p->cli->out, "{");
        weir__wal_end_json(&p->cli->out, end);
        weir__screen_add(&p->cli->out, "}\n");
        return;
    }
    weir__wal_end_sentence(&sentence, end);
    weir__screen_visible(&p->cli->err, file->log, WEIR__COLUMNS_ALL);
    weir__screen_printf(&p->cli->err, ": %s\n", weir__text_string(&sentence));
    (void)weir__screen_flush(&p->cli->err, NULL);
    weir__text_free(&sentence);
}

static int frames(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    (void)command;
    printer p = {.cli = cli, .values = values, .progress = {.screen = &cli->err}};
    weir_error err = WEIR_ERROR_INIT;
    weir_wal_end end = {0};
    weir_wal_scan *scan = NULL;
    weir__wal_file file;
    struct stat st;
    int code = weir__wal_locate(operands->items[0], &file, &err);
    if (code == WEIR_OK && !file.has_log)
        code = weir__error_set(&err, WEIR_NOTFOUND, "%s has no log: there is no %s", file.database, file.log);
    if (code == WEIR_OK)
        code = weir_wal_scan_open(file.log, &scan, &err);
    if (code == WEIR_OK)
        p.size = stat(file.log, &st) == 0 ? (uint64_t)st.st_size : 0;
    if (code == WEIR_OK)
        code = print_all(&p, scan, &err);
    if (code == WEIR_OK && !cli->out.gone)
        code = weir_wal_scan_end(scan, &end, &err);
    weir_wal_scan_close(scan);
    if (code == WEIR_OK && !cli->out.gone)
        print_end(&p, &file, &end);
    weir__progress_end(&p.progress);
    if (code != WEIR_OK)
        return weir__cli_failed(cli, &err);
    return weir__wal_verdict(&end) == WEIR__WAL_NO_LOG ? WEIR__EXIT_FAILED : WEIR__EXIT_FINE;
}

const weir__command weir__command_wal_frames = {
    .name = "wal frames",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "the frames of a log, or its transactions, one line each",
    .about = WEIR__ABOUT_WAL_FILE "\n\n"
                                  "COMMIT and PAGES are the size of the database in pages after the "
                                  "transaction; OFFSET is where it begins\n"
                                  "in the file. With --json each line is an object, the last one says what "
                                  "ends the log. A transaction that\n"
                                  "is being written may be among the frames, but not among the transactions.",
    .examples = "weir wal frames app.db\n"
                "weir wal frames app.db --transactions\n"
                "weir wal frames app.db-wal --json | tail -n 1",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const frames_values){.json = false},
    .values_size = sizeof(frames_values),
    .run = frames,
};
