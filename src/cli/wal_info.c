// SPDX-License-Identifier: MIT
//
// weir wal info: what a log says of itself in its header, and how much is in it.
#include <inttypes.h>
#include <string.h>

#include "cli/format.h"
#include "cli/visible.h"
#include "cli/wal.h"

typedef struct info_values {
    bool json;
} info_values;

static const weir__option options[] = {WEIR__OPTION_JSON(info_values)};

static void print_header_json(weir__screen *out, const weir_wal_header *header)
{
    weir__screen_printf(out,
                        "{\"page_size\":%" PRIu32 ",\"sequence\":%" PRIu32 ",\"salts\":[%" PRIu32 ",%" PRIu32
                        "],\"checksums\":\"%s\"}",
                        header->page_size, header->sequence, header->salt[0], header->salt[1],
                        header->big_endian_checksum ? "big-endian" : "little-endian");
}

static void print_json(weir__screen *out, const weir__wal_file *file, const weir__wal_reading *reading)
{
    weir__screen_add(out, "{");
    weir__wal_file_json(out, file);
    weir__screen_add(out, ",\"header\":");
    if (reading->has_header)
        print_header_json(out, &reading->header);
    else
        weir__screen_add(out, "null");
    weir__screen_printf(out, ",\"largest_transaction_frames\":%" PRIu64 ",", reading->frames_max);
    weir__wal_end_json(out, &reading->end);
    weir__screen_add(out, "}\n");
}

static void print_count(weir__screen *out, const char *name, uint64_t count, const char *behind)
{
    weir__text text = {0};
    weir__format_count(&text, count);
    weir__screen_printf(out, "%-22s%s%s\n", name, weir__text_string(&text), behind);
    weir__text_free(&text);
}

static void print_path(weir__screen *out, const char *name, const char *path)
{
    weir__screen_printf(out, "%-22s", name);
    weir__screen_visible(out, path, WEIR__COLUMNS_ALL);
    weir__screen_add(out, "\n");
}

static void print_header(weir__screen *out, const weir_wal_header *header)
{
    print_count(out, "page size", header->page_size, " bytes");
    print_count(out, "checkpoint sequence", header->sequence, "");
    weir__screen_printf(out, "%-22s%08" PRIx32 " %08" PRIx32 "\n", "salts", header->salt[0], header->salt[1]);
    weir__screen_printf(out, "%-22s%s\n", "checksums",
                        header->big_endian_checksum ? "big-endian words" : "little-endian words");
}

static void print_text(weir__screen *out, const weir__wal_file *file, const weir__wal_reading *reading)
{
    const weir_wal_end *const end = &reading->end;
    weir__text sentence = {0};
    print_path(out, "log", file->log);
    if (file->database[0] != '\0')
        print_path(out, "database", file->database);
    print_count(out, "size", end->size, " bytes");
    if (reading->has_header) {
        print_header(out, &reading->header);
        print_count(out, "transactions", end->transactions, "");
        print_count(out, "frames", end->frames_committed, "");
        print_count(out, "largest transaction", reading->frames_max,
                    reading->frames_max == 1 ? " frame" : " frames");
        print_count(out, "database afterwards", end->n_page, end->n_page == 1 ? " page" : " pages");
    }
    weir__wal_end_sentence(&sentence, end);
    weir__screen_printf(out, "%-22s%s\n", "state", weir__text_string(&sentence));
    weir__text_free(&sentence);
}

static int info(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    (void)command;
    const info_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir__wal_file file;
    weir__wal_reading reading = {0};
    int code = weir__wal_locate(operands->items[0], &file, &err);
    if (code == WEIR_OK && !file.has_log)
        code = weir__error_set(&err, WEIR_NOTFOUND, "%s has no log: there is no %s", file.database, file.log);
    if (code == WEIR_OK)
        code = weir__wal_read(cli, &file, &reading, &err);
    if (code == WEIR_OK && weir__wal_verdict(&reading.end) == WEIR__WAL_NO_LOG) {
        weir__text sentence = {0};
        weir__wal_end_sentence(&sentence, &reading.end);
        code =
            weir__error_set(&err, reading.end.header_code, "%s: %s", file.log, weir__text_string(&sentence));
        weir__text_free(&sentence);
    }
    if (code != WEIR_OK)
        return weir__cli_failed(cli, &err);
    if (v->json)
        print_json(&cli->out, &file, &reading);
    else
        print_text(&cli->out, &file, &reading);
    return WEIR__EXIT_FINE;
}

const weir__command weir__command_wal_info = {
    .name = "wal info",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "what a log says of itself, and how much is in it",
    .about = WEIR__ABOUT_WAL_FILE,
    .examples = "weir wal info app.db\n"
                "weir wal info app.db-wal --json",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const info_values){.json = false},
    .values_size = sizeof(info_values),
    .run = info,
};
