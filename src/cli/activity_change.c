// SPDX-License-Identifier: MIT
//
// weir activity create, heartbeat, insert, delete, import: what changes a database. Each returns when the
// change is on the disk.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json_read.h"
#include "cli/moment.h"
#include "cli/number.h"
#include "cli/progress.h"
#include "cli/scratch.h"
#include "cli/target.h"

enum {
    pulsetime_default_ms = 60000,
    quote_size = 128,
    piece_size = 64 << 10,
};

#define SPAN_MS_MAX (UINT64_C(366) * 24 * 3600 * 1000)

typedef struct create_values {
    weir__target_values target;
    const char *type, *client, *hostname, *data;
} create_values;

typedef struct heartbeat_values {
    weir__target_values target;
    const char *at;
    uint64_t pulsetime_ms, duration_ms;
} heartbeat_values;

typedef struct delete_values {
    weir__target_values target;
    bool force;
} delete_values;

typedef struct input_values {
    weir__target_values target;
} input_values;

static int no_memory(weir_error *err)
{
    return weir__error_set(err, WEIR_NOMEM, "not enough memory");
}

// The canonical form of an object that was typed.
static int parse_data(const char *typed, weir__text *data, weir_error *err)
{
    weir_error why = WEIR_ERROR_INIT;
    const int code = weir__json_canonical(typed, strlen(typed), WEIR__JSON_OBJECT, data, &why);
    if (code == WEIR_OK && !data->failed)
        return WEIR_OK;
    return weir__error_set(err, WEIR_INVALID, "DATA must be a JSON object such as '{\"app\":\"vim\"}': %s",
                           data->failed ? "not enough memory" : why.text);
}

// ---------------------------------------------------------------------------------------------------- create

static const weir__option create_options[] = {
    {.name = "type",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(create_values, type),
     .value = "TYPE",
     .help = "what its events are, such as currentwindow (default: unknown)"},
    {.name = "client",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(create_values, client),
     .value = "NAME",
     .help = "the program that watches (default: weir)"},
    {.name = "hostname",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(create_values, hostname),
     .value = "NAME",
     .help = "the machine that is watched (default: this one)"},
    {.name = "data",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(create_values, data),
     .value = "DATA",
     .help = "a JSON object to keep with it"},
    WEIR__TARGET_OPTIONS(create_values),
};

static int create(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    const create_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir__target target = {0};
    weir__text data = {0};
    char host[256] = "";
    (void)gethostname(host, sizeof host - 1);
    if (v->data != NULL && parse_data(v->data, &data, &err) != WEIR_OK) {
        weir__text_free(&data);
        return weir__cli_usage(cli, command, &err);
    }
    const weir_bucket bucket = {
        .id = operands->items[0],
        .type = v->type,
        .client = v->client,
        .hostname = v->hostname != NULL ? v->hostname : host,
        .data = data.data,
        .data_size = data.size,
    };
    int code = weir__target_open(&v->target, WEIR__TARGET_CREATE, &target, &err);
    if (code == WEIR_OK)
        code = weir__target_create(&target, &bucket, &err);
    if (code == WEIR_OK && v->target.json)
        weir__screen_add(&cli->out, "{\"created\":true}\n");
    weir__text_free(&data);
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_create = {
    .name = "activity create",
    .operands = "BUCKET",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "make a bucket, and the database if there is none",
    .about = NULL,
    .examples = "weir activity create tea_kitchen --type app.tea.cup\n"
                "weir activity create tea_kitchen --type app.tea.cup --url http://127.0.0.1:5600",
    .options = WEIR__OPTIONS(create_options),
    .defaults = &(const create_values){.type = "unknown", .client = "weir"},
    .values_size = sizeof(create_values),
    .run = create,
};

// ------------------------------------------------------------------------------------------------- heartbeat

static const weir__option heartbeat_options[] = {
    {.name = "pulsetime",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(heartbeat_values, pulsetime_ms),
     .value = "S",
     .help = "so long after the newest event it may come to be merged into it\n(default 60)",
     .min = 0,
     .max = SPAN_MS_MAX},
    {.name = "at",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(heartbeat_values, at),
     .value = "TIME",
     .help = "when it was (default: now)"},
    {.name = "duration",
     .kind = WEIR__OPTION_DURATION,
     .offset = offsetof(heartbeat_values, duration_ms),
     .value = "S",
     .help = "how long it lasted (default 0)",
     .min = 0,
     .max = SPAN_MS_MAX},
    WEIR__TARGET_OPTIONS(heartbeat_values),
};

static int print_event(weir__screen *screen, const weir_event *event, bool json, weir_error *err)
{
    char start[WEIR__MOMENT_SIZE];
    weir__text duration = {0};
    if (json) {
        char *const text = malloc(weir_event_json_size(event) + 2);
        if (text == NULL)
            return no_memory(err);
        const size_t size = weir_event_json(event, text);
        text[size] = '\n';
        text[size + 1] = '\0';
        weir__screen_take(screen, text);
        return WEIR_OK;
    }
    if (!event->has_id) {
        weir__screen_add(screen, "a privacy filter dropped it\n");
        return WEIR_OK;
    }
    weir__moment_duration(&duration, event->duration_ns);
    weir__screen_printf(screen, "event %" PRIi64 ": from %s, %s\n", event->id,
                        weir__moment_text(event->start_ns, start), weir__text_string(&duration));
    weir__text_free(&duration);
    return WEIR_OK;
}

static int make_beat(const heartbeat_values *v, const weir__text *data, weir_event *beat, weir_error *err)
{
    const int64_t now_ns = weir__clock_wall_us(weir__clock_system()) * 1000;
    char quoted[quote_size];
    *beat = (weir_event){.start_ns = now_ns,
                         .duration_ns = (int64_t)v->duration_ms * 1000000,
                         .data = data->data,
                         .data_size = data->size};
    if (v->at == NULL || weir__moment_parse(v->at, now_ns, &beat->start_ns))
        return WEIR_OK;
    return weir__error_set(
        err, WEIR_INVALID,
        "--at takes a time such as 2026-01-31T12:00:00Z, \"2026-01-31 12:00\", now or -2h, not \"%s\"",
        weir__visible_quote(v->at, quoted, sizeof quoted));
}

static int heartbeat(weir__cli *cli, const weir__command *command, void *values,
                     const weir__operands *operands)
{
    const heartbeat_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir__target target = {0};
    weir__text data = {0};
    weir_event beat;
    weir_event *result = NULL;
    if (parse_data(operands->items[1] != NULL ? operands->items[1] : "{}", &data, &err) != WEIR_OK ||
        make_beat(v, &data, &beat, &err) != WEIR_OK) {
        weir__text_free(&data);
        return weir__cli_usage(cli, command, &err);
    }
    int code = weir__target_open(&v->target, WEIR__TARGET_CHANGE, &target, &err);
    if (code == WEIR_OK)
        code = weir__target_heartbeat(&target, operands->items[0], &beat, (double)v->pulsetime_ms / 1000,
                                      &result, &err);
    if (code == WEIR_OK)
        code = print_event(&cli->out, result, v->target.json, &err);
    free(result);
    weir__text_free(&data);
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_heartbeat = {
    .name = "activity heartbeat",
    .operands = "BUCKET [DATA]",
    .operands_min = 1,
    .operands_max = 2,
    .summary = "say what goes on now; equal ones become one event",
    .about = "DATA is a JSON object (default {}). When the newest event of the bucket has the same data and "
             "ended at "
             "most\n--pulsetime ago, it becomes longer; otherwise a new event begins. Prints the event as it "
             "is then.\n"
             "\n" WEIR__MOMENT_FORMS,
    .examples = "weir activity heartbeat tea_kitchen '{\"cup\":1}'\n"
                "weir activity heartbeat tea_kitchen '{\"cup\":1}' --pulsetime 10m --at -5m --duration 3m",
    .options = WEIR__OPTIONS(heartbeat_options),
    .defaults = &(const heartbeat_values){.pulsetime_ms = pulsetime_default_ms},
    .values_size = sizeof(heartbeat_values),
    .run = heartbeat,
};

// ---------------------------------------------------------------------------------------------------- delete

static const weir__option delete_options[] = {
    {.name = "force",
     .letter = 'f',
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(delete_values, force),
     .help = "a whole bucket, with all its events"},
    WEIR__TARGET_OPTIONS(delete_values),
};

static int delete (weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    const delete_values *const v = values;
    const char *const event = operands->items[1];
    weir_error err = WEIR_ERROR_INIT;
    weir__target target = {0};
    uint64_t id = 0;
    if (event == NULL && !v->force)
        weir__error_set(
            &err, WEIR_INVALID,
            "without an EVENT this deletes the whole bucket with all its events; --force does so");
    else if (event != NULL && !weir__number_parse(event, 0, INT64_MAX, &id))
        weir__error_set(&err, WEIR_INVALID,
                        "EVENT is the number of an event, as weir activity events shows it");
    if (err.code != WEIR_OK)
        return weir__cli_usage(cli, command, &err);
    const int64_t event_id = (int64_t)id;
    int code = weir__target_open(&v->target, WEIR__TARGET_CHANGE, &target, &err);
    if (code == WEIR_OK)
        code = weir__target_delete(&target, operands->items[0], event != NULL ? &event_id : NULL, &err);
    if (code == WEIR_OK && v->target.json)
        weir__screen_add(&cli->out, "{\"deleted\":true}\n");
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_delete = {
    .name = "activity delete",
    .operands = "BUCKET [EVENT]",
    .operands_min = 1,
    .operands_max = 2,
    .summary = "remove an event, or a bucket with all its events",
    .about = "Fine also when there is no such event, as with ActivityWatch's server.",
    .examples = "weir activity delete tea_kitchen 12\nweir activity delete tea_kitchen --force",
    .options = WEIR__OPTIONS(delete_options),
    .defaults = &(const delete_values){.target = {0}},
    .values_size = sizeof(delete_values),
    .run = delete,
};

// --------------------------------------------------------------------------------------- import and insert

static const weir__option input_options[] = {WEIR__TARGET_OPTIONS(input_values)};

// Copies all that can be read from `from` into a nameless file.
static int spool(int from, const char *name, int *fd, weir_error *err)
{
    char *const piece = malloc(piece_size);
    int code = piece != NULL ? weir__scratch_open(fd, err) : no_memory(err);
    while (code == WEIR_OK) {
        const ssize_t got = read(from, piece, piece_size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = weir__error_errno(err, errno, "cannot read %s", name);
        else if (got > 0)
            code = weir__fs_write_all(*fd, "a temporary file", piece, (size_t)got, err);
        else
            break;
    }
    free(piece);
    return code;
}

// Opens FILE or standard input ("-"). A pipe is read to its end first, unless the bytes only pass through.
static int open_input(const char *name, bool passes_through, weir__target_input *input, weir_error *err)
{
    const bool is_stdin = strcmp(name, "-") == 0;
    const char *const shown = is_stdin ? "standard input" : name;
    struct stat file;
    *input = (weir__target_input){.fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                                 : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY)};
    if (input->fd < 0 || fstat(input->fd, &file) != 0)
        return weir__error_errno(err, errno, "cannot open %s", shown);
    if (S_ISDIR(file.st_mode))
        return weir__error_errno(err, EISDIR, "cannot read %s", shown);
    const bool is_whole = S_ISREG(file.st_mode) && lseek(input->fd, 0, SEEK_CUR) == 0;
    if (!is_whole && !passes_through) {
        int spooled = -1;
        const int code = spool(input->fd, shown, &spooled, err);
        (void)close(input->fd);
        input->fd = spooled;
        if (code != WEIR_OK || lseek(spooled, 0, SEEK_SET) < 0 || fstat(spooled, &file) != 0)
            return code != WEIR_OK ? code : weir__error_errno(err, errno, "cannot read a temporary file");
    }
    input->bytes = is_whole || !passes_through ? (uint64_t)file.st_size : 0;
    return WEIR_OK;
}

static void print_imported(weir__screen *screen, const weir_activity_import_report *r, bool known, bool json)
{
    if (!known) {
        weir__screen_add(screen, json ? "{\"imported\":true}\n" : "imported\n");
        return;
    }
    const char *const format = json ? "{\"buckets_created\":%" PRIu64 ",\"buckets_merged\":%" PRIu64
                                      ",\"events_inserted\":%" PRIu64 ",\"events_known\":%" PRIu64
                                      ",\"events_dropped\":%" PRIu64 ",\"events_invalid\":%" PRIu64 "}\n"
                                    : "buckets: %" PRIu64 " created, %" PRIu64 " merged; events: %" PRIu64
                                      " inserted, %" PRIu64 " known already, %" PRIu64
                                      " dropped by privacy filters, %" PRIu64 " invalid\n";
    // NOLINTNEXTLINE(clang-diagnostic-format-nonliteral): one of the two above
    weir__screen_printf(screen, format, r->buckets_created, r->buckets_merged, r->events_inserted,
                        r->events_known, r->events_dropped, r->events_invalid);
}

static int import(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    const input_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir__target target = {0};
    weir__target_input input = {.fd = -1};
    weir__progress progress = {.screen = &cli->err};
    weir_activity_import_report report = {0};
    bool known = false;
    int code = open_input(operands->items[0], v->target.url != NULL, &input, &err);
    if (code == WEIR_OK)
        code = weir__target_open(&v->target, WEIR__TARGET_CREATE, &target, &err);
    if (code == WEIR_OK)
        code = weir__target_import(&target, &input, weir__progress_tell, &progress, &report, &known, &err);
    weir__progress_end(&progress);
    if (code == WEIR_OK)
        print_imported(&cli->out, &report, known, v->target.json);
    if (input.fd >= 0)
        (void)close(input.fd);
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_import = {
    .name = "activity import",
    .operands = "FILE",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "add what was exported, here or from ActivityWatch",
    .about = "FILE is - for standard input. All of it is added or nothing. Events that are there already are "
             "not added "
             "again, so\nan import can be repeated. Their ids are not kept. A database that does not exist "
             "is made.",
    .examples = "weir activity import activity.json\n"
                "weir activity export --db old.db | weir activity import --db new.db -",
    .options = WEIR__OPTIONS(input_options),
    .defaults = &(const input_values){.target = {0}},
    .values_size = sizeof(input_values),
    .run = import,
};

typedef struct inserting {
    weir__screen *screen;
    bool json;
    uint64_t count;
} inserting;

static int each_inserted(void *context, const weir_event *event, weir_error *err)
{
    inserting *const i = context;
    i->count++;
    if (!i->json)
        return WEIR_OK;
    char *const json = malloc(weir_event_json_size(event) + 1);
    if (json == NULL)
        return no_memory(err);
    json[weir_event_json(event, json)] = '\0';
    weir__screen_add(i->screen, i->count > 1 ? "," : "[");
    weir__screen_take(i->screen, json);
    return WEIR_OK;
}

static int insert(weir__cli *cli, const weir__command *command, void *values, const weir__operands *operands)
{
    const input_values *const v = values;
    weir_error err = WEIR_ERROR_INIT;
    weir__target target = {0};
    weir__target_input input = {.fd = -1};
    inserting i = {.screen = &cli->out, .json = v->target.json};
    int code = open_input(operands->items[1], v->target.url != NULL, &input, &err);
    if (code == WEIR_OK)
        code = weir__target_open(&v->target, WEIR__TARGET_CHANGE, &target, &err);
    if (code == WEIR_OK)
        code = weir__target_insert(&target, operands->items[0], &input, each_inserted, &i, &err);
    if (code == WEIR_OK && i.json)
        weir__screen_add(&cli->out, i.count > 0 ? "]\n" : "[]\n");
    else if (code == WEIR_OK)
        weir__screen_printf(&cli->out, "%" PRIu64 " event%s inserted\n", i.count, i.count == 1 ? "" : "s");
    if (input.fd >= 0)
        (void)close(input.fd);
    return weir__target_finish(cli, command, &target, code, &err);
}

const weir__command weir__command_activity_insert = {
    .name = "activity insert",
    .operands = "BUCKET FILE",
    .operands_min = 2,
    .operands_max = 2,
    .summary = "add events to a bucket",
    .about = "FILE (- for standard input) is a JSON array of {\"timestamp\":…, \"duration\":…, \"data\":…}. "
             "All of them "
             "are added or\nnone. One with an \"id\" replaces the event of that id. With --json: the events "
             "with their "
             "ids.",
    .examples = "weir activity insert tea_kitchen cups.json\n"
                "weir activity events tea_kitchen --json | weir activity insert --db other.db tea_kitchen -",
    .options = WEIR__OPTIONS(input_options),
    .defaults = &(const input_values){.target = {0}},
    .values_size = sizeof(input_values),
    .run = insert,
};
