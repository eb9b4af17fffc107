// SPDX-License-Identifier: MIT
//
// weir activity buckets, events, export: what is there. Nothing changes.
//
// JSON is written as it is read, an event at a time; a table needs all of its rows, so it has a limit.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/format.h"
#include "cli/moment.h"
#include "cli/progress.h"
#include "cli/scratch.h"
#include "cli/table.h"
#include "cli/target.h"

enum { limit_default = 20, limit_max = 1000000 };

typedef struct buckets_values {
    weir__target_values target;
} buckets_values;

typedef struct events_values {
    weir__target_values target;
    const char *start, *end;
    uint64_t limit;
} events_values;

typedef struct export_values {
    weir__target_values target;
    const char *output;
    bool force;
} export_values;

// Results on their way to the screen.
typedef struct listing {
    weir__screen *screen;
    weir__table table;
    bool json;
    uint64_t count, limit;
    bool more; // than the limit allows
} listing;

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "not enough memory");
}

// What a table does not say, on stderr behind it.
static void say(weir__cli *cli, const char *text)
{
    (void)weir__screen_flush(&cli->out, NULL);
    weir__screen_styled(&cli->err, WEIR__STYLE_DIM, "%s", text);
    weir__screen_add(&cli->err, "\n");
    (void)weir__screen_flush(&cli->err, NULL);
}

// --------------------------------------------------------------------------------------------------- buckets

static const weir__option buckets_options[] = {WEIR__TARGET_OPTIONS(buckets_values)};

static int print_bucket_json(listing *l, const weir_bucket *bucket, weir_error *err)
{
    weir__text id = {0};
    char *const json = weir_bucket_json(bucket);
    weir__text_json_string(&id, bucket->id, strlen(bucket->id));
    const int code = json != NULL && !id.failed ? WEIR_OK : no_memory(err);
    if (code == WEIR_OK) {
        weir__screen_add(l->screen, l->count > 1 ? "," : "");
        weir__screen_add(l->screen, id.data);
        weir__screen_add(l->screen, ":");
        weir__screen_add(l->screen, json);
    }
    free(json);
    weir__text_free(&id);
    return code;
}

static int each_bucket(void *context, const weir_bucket *bucket, weir_error *err)
{
    listing *const l = context;
    char start[WEIR__MOMENT_SIZE];
    char end[WEIR__MOMENT_SIZE];
    l->count++;
    if (l->json)
        return print_bucket_json(l, bucket, err);
    weir__table_cell(&l->table, WEIR__STYLE_PLAIN, "%s", bucket->id);
    weir__table_cell(&l->table, WEIR__STYLE_PLAIN, "%s", bucket->type);
    weir__table_cell(&l->table, WEIR__STYLE_PLAIN, "%s", bucket->hostname);
    weir__table_cell(&l->table, WEIR__STYLE_DIM, "%s",
                     bucket->has_start ? weir__moment_text(bucket->start_ns, start) : "-");
    weir__table_cell(&l->table, WEIR__STYLE_DIM, "%s",
                     bucket->has_end ? weir__moment_text(bucket->end_ns, end) : "-");
    return WEIR_OK;
}

static void finish_buckets(weir__cli *cli, const listing *l)
{
    if (l->json)
        weir__screen_add(&cli->out, "}\n");
    else if (l->count > 0)
        weir__table_print(&l->table, &cli->out);
    else
        say(cli, "No buckets.");
}

static int buckets(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    (void)operands;
    const buckets_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir__target target = {0};
    listing l = {.screen = &cli->out, .json = v->target.json};
    weir__table_init(&l.table, 5,
                     (weir__column[]){{"BUCKET", WEIR__COLUMN_ELASTIC},
                                      {"TYPE", WEIR__COLUMN_ELASTIC},
                                      {"HOST", WEIR__COLUMN_ELASTIC},
                                      {"FROM", WEIR__COLUMN_SPARE},
                                      {"UNTIL", WEIR__COLUMN_LEFT}});
    int code = weir__target_open(&v->target, WEIR__TARGET_READ, &target, &err);
    if (code == WEIR_OK && l.json)
        weir__screen_add(&cli->out, "{");
    if (code == WEIR_OK)
        code = weir__target_buckets(&target, each_bucket, &l, &err);
    if (code == WEIR_OK)
        finish_buckets(cli, &l);
    weir__table_fini(&l.table);
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_buckets = {
    .name = "activity buckets",
    .operands = "",
    .summary = "which watchers have recorded what, and when",
    .about = "Times are local. With --json: what GET /api/0/buckets answers.",
    .examples = "weir activity buckets\n"
                "weir activity buckets --url http://127.0.0.1:5600\n"
                "weir activity buckets --db sqlite.db --json",
    .options = WEIR__OPTIONS(buckets_options),
    .defaults = &(const buckets_values){.target = {0}},
    .values_size = sizeof(buckets_values),
    .run = buckets,
};

// ---------------------------------------------------------------------------------------------------- events

static const weir__option events_options[] = {
    {.name = "start",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(events_values, start),
     .value = "TIME",
     .help = "only events that end then or later"},
    {.name = "end",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(events_values, end),
     .value = "TIME",
     .help = "only events that begin then or earlier"},
    {.name = "limit",
     .letter = 'n',
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(events_values, limit),
     .value = "N",
     .help = "at most so many, the newest (default 20)",
     .min = 1,
     .max = limit_max},
    WEIR__TARGET_OPTIONS(events_values),
};

static int print_event_json(weir__screen *screen, const weir_event *event, weir_error *err)
{
    char *const json = malloc(weir_event_json_size(event) + 1);
    if (json == NULL)
        return no_memory(err);
    json[weir_event_json(event, json)] = '\0';
    weir__screen_take(screen, json);
    return WEIR_OK;
}

static int each_event(void *context, const weir_event *event, weir_error *err)
{
    listing *const l = context;
    char start[WEIR__MOMENT_SIZE];
    weir__text duration = {0};
    if (l->count == l->limit) { // one more was asked for, to know whether there is one
        l->more = true;
        return WEIR_OK;
    }
    l->count++;
    if (l->json) {
        weir__screen_add(l->screen, l->count > 1 ? "," : "");
        return print_event_json(l->screen, event, err);
    }
    weir__moment_duration(&duration, event->duration_ns);
    weir__table_cell(&l->table, WEIR__STYLE_DIM, "%" PRIi64, event->id);
    weir__table_cell(&l->table, WEIR__STYLE_PLAIN, "%s", weir__moment_text(event->start_ns, start));
    weir__table_cell(&l->table, WEIR__STYLE_PLAIN, "%s", weir__text_string(&duration));
    weir__table_cell(&l->table, WEIR__STYLE_PLAIN, "%.*s", (int)event->data_size, event->data);
    weir__text_free(&duration);
    return WEIR_OK;
}

static int parse_time(const char *option, const char *text, int64_t *ns, bool *given, weir_error *err)
{
    const int64_t now_ns = weir__clock_wall_us(weir__clock_system()) * 1000;
    char quoted[128];
    *given = text != NULL;
    if (text == NULL || weir__moment_parse(text, now_ns, ns))
        return WEIR_OK;
    return weir__error_set(
        err, WEIR_INVALID,
        "--%s takes a time such as 2026-01-31T12:00:00Z, \"2026-01-31 12:00\", today or -2h, "
        "not \"%s\"",
        option, weir__visible_quote(text, quoted, sizeof quoted));
}

static int make_query(const events_values *v, weir_event_query *query, weir_error *err)
{
    *query = (weir_event_query){.has_limit = true, .limit = v->limit + 1};
    const int code = parse_time("start", v->start, &query->start_ns, &query->has_start, err);
    return code == WEIR_OK ? parse_time("end", v->end, &query->end_ns, &query->has_end, err) : code;
}

static void finish_events(weir__cli *cli, const listing *l)
{
    char text[96];
    if (l->json)
        weir__screen_add(&cli->out, "]\n");
    else if (l->count > 0)
        weir__table_print(&l->table, &cli->out);
    if (!l->json && l->count == 0)
        say(cli, "No events.");
    if (!l->more)
        return;
    snprintf(text, sizeof text, "The newest %" PRIu64 " events; --limit N shows more.", l->count);
    say(cli, text);
}

static int events(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    const events_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir_event_query query;
    weir__target target = {0};
    listing l = {.screen = &cli->out, .json = v->target.json, .limit = v->limit};
    if (make_query(v, &query, &err) != WEIR_OK)
        return weir__cli_usage(cli, command, &err);
    weir__table_init(&l.table, 4,
                     (weir__column[]){{"ID", WEIR__COLUMN_RIGHT},
                                      {"START", WEIR__COLUMN_LEFT},
                                      {"DURATION", WEIR__COLUMN_RIGHT},
                                      {"DATA", WEIR__COLUMN_ELASTIC}});
    int code = weir__target_open(&v->target, WEIR__TARGET_READ, &target, &err);
    if (code == WEIR_OK && l.json)
        weir__screen_add(&cli->out, "[");
    if (code == WEIR_OK)
        code = weir__target_events(&target, operands->items[0], &query, each_event, &l, &err);
    if (code == WEIR_OK)
        finish_events(cli, &l);
    weir__table_fini(&l.table);
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_events = {
    .name = "activity events",
    .operands = "BUCKET",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "the events of a bucket, newest first",
    .about =
        WEIR__MOMENT_FORMS "\nEvents are cut to what lies between --start and --end. With --json: what GET "
                           "/api/0/buckets/BUCKET/events answers.",
    .examples = "weir activity events aw-watcher-window_laptop\n"
                "weir activity events aw-watcher-window_laptop --start today --limit 100\n"
                "weir activity events aw-watcher-afk_laptop --start 2026-01-31 --end 2026-02-01 --json",
    .options = WEIR__OPTIONS(events_options),
    .defaults = &(const events_values){.limit = limit_default},
    .values_size = sizeof(events_values),
    .run = events,
};

// ---------------------------------------------------------------------------------------------------- export

static const weir__option export_options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = WEIR__OPTION_PATH,
     .offset = offsetof(export_values, output),
     .value = "FILE",
     .help = "write to this file, which appears when it is complete\n(default: standard output)"},
    {.name = "force",
     .letter = 'f',
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(export_values, force),
     .help = "overwrite the file"},
    WEIR__TARGET_OPTIONS(export_values),
};

typedef struct exporting {
    weir__screen *screen; // unless there is a file
    weir__result file;
    weir__progress progress;
} exporting;

static int take_piece(void *context, const void *bytes, size_t size, weir_error *err)
{
    exporting *const e = context;
    if (e->file.fd >= 0) {
        (void)weir__progress_tell(&e->progress, "exporting", e->file.bytes, 0);
        return weir__result_append(&e->file, bytes, size, err);
    }
    weir__screen_printf(e->screen, "%.*s", (int)size, (const char *)bytes);
    return !e->screen->gone ? WEIR_OK : weir__error_set(err, WEIR_CANCELLED, "nobody reads the export");
}

static void print_exported(weir__screen *screen, const export_values *v, uint64_t bytes)
{
    weir__text text = {0};
    if (v->target.json) {
        weir__text_add(&text, "{\"file\":");
        weir__text_json_string(&text, v->output, strlen(v->output));
        weir__text_printf(&text, ",\"bytes\":%" PRIu64 "}\n", bytes);
        weir__screen_take(screen, weir__text_take(&text));
        return;
    }
    weir__format_bytes(&text, bytes);
    weir__screen_add(screen, "wrote ");
    weir__screen_visible(screen, v->output, WEIR__COLUMNS_ALL);
    weir__screen_printf(screen, " (%s)\n", weir__text_string(&text));
    weir__text_free(&text);
}

static int export(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    const export_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir__target target = {0};
    exporting e = {.screen = &cli->out, .file = WEIR__RESULT_INIT, .progress = {.screen = &cli->err}};
    int code = weir__target_open(&v->target, WEIR__TARGET_READ, &target, &err);
    if (code == WEIR_OK && v->output != NULL)
        code = weir__result_create(v->output, v->force, &e.file, &err);
    if (code == WEIR_OK)
        code = weir__target_export(&target, operands->items[0], take_piece, &e, &err);
    weir__progress_end(&e.progress);
    if (code == WEIR_OK && v->output != NULL)
        code = weir__result_publish(&e.file, &err);
    if (code == WEIR_OK && v->output != NULL)
        print_exported(&cli->out, v, e.file.bytes);
    else if (code == WEIR_OK && cli->out.terminal)
        weir__screen_add(&cli->out, "\n");
    if (code == WEIR_CANCELLED && cli->out.gone)
        code = WEIR_OK; // a full disk is told by the flush at the end, a reader that went away is fine
    weir__result_close(&e.file);
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_export = {
    .name = "activity export",
    .operands = "[BUCKET]",
    .operands_max = 1,
    .summary = "all events of one bucket, or of all, as JSON",
    .about = "The form is that of ActivityWatch, which can import it. It is one moment of the database, "
             "whatever is "
             "written\n"
             "meanwhile. A file appears under its name when it is complete and on the disk. --json tells "
             "about it.",
    .examples = "weir activity export -o activity.json\n"
                "weir activity export aw-watcher-window_laptop | jq length\n"
                "weir activity export --url http://127.0.0.1:5600 -o activity.json --force",
    .options = WEIR__OPTIONS(export_options),
    .defaults = &(const export_values){.target = {0}},
    .values_size = sizeof(export_values),
    .run = export,
};
