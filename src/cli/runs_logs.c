// SPDX-License-Identifier: MIT
//
// weir runs logs: what a run printed, and with -f what it prints until it ends.
//
// Following works on the log files and rows that any process writes. Lines of a run come from several
// sources, one per step and one for lines outside steps; each grows only at its end, so what was printed is
// remembered per source as a number of lines. inotify on the run's log folder says when to look again; where
// it is not available, every look counts. The row of the run says when to stop, after one more look, because
// a run's lines are on disk before its end is recorded.
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "cli/records.h"

enum { look_every_ms = 200, tail_max = 1000000 };

typedef struct logs_values {
    const char *storage, *step;
    uint64_t tail;
    bool follow, timestamps, json;
} logs_values;

static const weir__option options[] = {
    WEIR__OPTION_STORAGE(logs_values),
    {.name = "follow",
     .letter = 'f',
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(logs_values, follow),
     .help = "go on until the run ends, also when it belongs to another process"},
    {.name = "step",
     .kind = WEIR__OPTION_TEXT,
     .offset = offsetof(logs_values, step),
     .value = "STEP",
     .help = "only lines of this step: its name, number or id"},
    {.name = "tail",
     .letter = 'n',
     .kind = WEIR__OPTION_NUMBER,
     .offset = offsetof(logs_values, tail),
     .value = "N",
     .help = "begin with the last N lines",
     .min = 1,
     .max = tail_max},
    {.name = "timestamps",
     .letter = 't',
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(logs_values, timestamps),
     .help = "put its time before each line"},
    {.name = "json",
     .kind = WEIR__OPTION_FLAG,
     .offset = offsetof(logs_values, json),
     .help = "one JSON object per line"},
};

// Lines printed of one step; an empty id for those outside steps.
typedef struct source {
    char step_id[WEIR_ID_LENGTH_MAX + 1];
    uint64_t printed;
    bool drained; // its step has ended and everything was printed
} source;

typedef struct logs {
    weir__cli *cli;
    const logs_values *values;
    weir_runs *runs;
    char id[WEIR_ID_LENGTH_MAX + 1];
    char step_id[WEIR_ID_LENGTH_MAX + 1]; // "": all
    char heading[WEIR_ID_LENGTH_MAX + 1]; // step whose heading was printed last
    source *sources;
    size_t sources_count, sources_capacity;
    uint64_t skip; // lines that are counted and not printed
    bool no_memory;
} logs;

// ------------------------------------------------------------------------------------------------- printing

static const char *or_empty(const char *string)
{
    return string != NULL ? string : "";
}

// On a terminal, a line that says whose lines follow.
static void print_heading(logs *l, const weir_log_line *line)
{
    weir__screen *const out = &l->cli->out;
    const char *const step_id = or_empty(line->step_id);
    if (!out->terminal || l->step_id[0] != '\0' || strcmp(step_id, l->heading) == 0)
        return;
    snprintf(l->heading, sizeof l->heading, "%s", step_id);
    weir__screen_style(out, WEIR__STYLE_BOLD);
    weir__screen_printf(out, "%s ", weir__screen_glyph(out, "\u25b8", ">"));
    weir__screen_visible(out, line->step_id != NULL ? or_empty(line->step_name) : "(outside steps)",
                         out->columns - 2);
    weir__screen_style(out, WEIR__STYLE_PLAIN);
    weir__screen_add(out, "\n");
}

static void print_line(logs *l, const weir_log_line *line)
{
    weir__screen *const out = &l->cli->out;
    char text[WEIR_LOCAL_TEXT_SIZE];
    if (l->values->json) {
        weir__screen_take(out, weir_log_line_to_json(line));
        weir__screen_add(out, "\n");
        return;
    }
    print_heading(l, line);
    if (l->values->timestamps)
        weir__screen_styled(out, WEIR__STYLE_DIM, "%s ", weir__time_text(line->time, text));
    if (out->terminal)
        weir__screen_visible(out, line->content, WEIR__COLUMNS_ALL);
    else
        weir__text_append(&out->text, line->content, line->content_size);
    weir__screen_add(out, "\n");
}

static source *find_source(logs *l, const char *step_id)
{
    for (size_t i = l->sources_count; i > 0; i--) { // the newest is asked for most
        if (strcmp(l->sources[i - 1].step_id, step_id) == 0)
            return &l->sources[i - 1];
    }
    if (l->sources_count == l->sources_capacity) {
        const size_t capacity = l->sources_capacity * 2 + 8;
        source *const sources = reallocarray(l->sources, capacity, sizeof *sources);
        l->no_memory |= sources == NULL;
        if (sources == NULL)
            return NULL;
        l->sources = sources;
        l->sources_capacity = capacity;
    }
    source *const added = &l->sources[l->sources_count++];
    *added = (source){0};
    snprintf(added->step_id, sizeof added->step_id, "%s", step_id);
    return added;
}

// Called for each line, in the order in which they are to appear. A reader that went away ends it.
static bool on_line(void *context, const weir_log_line *line)
{
    logs *const l = context;
    source *const from = find_source(l, or_empty(line->step_id));
    if (from == NULL)
        return false;
    from->printed++;
    if (l->skip > 0)
        l->skip--;
    else
        print_line(l, line);
    return !l->cli->out.gone;
}

// -------------------------------------------------------------------------------------------------- reading

// A stop that on_line() asked for is no error, unless memory was the reason.
static int checked(const logs *l, int code, weir_error *err)
{
    if (l->no_memory)
        return weir__error_set(err, WEIR_NOMEM, "not enough memory to follow the logs");
    return code == WEIR_CANCELLED ? WEIR_OK : code;
}

// What there is now.
static int read_first(logs *l, weir_error *err)
{
    weir_logs_query query = {.step_id = l->step_id[0] != '\0' ? l->step_id : NULL, .tail = l->values->tail};
    if (l->values->follow && l->values->tail > 0) {
        // All lines pass, so that they are counted by source; those before the tail are not printed.
        uint64_t total = 0;
        query.tail = 1;
        logs ignored = {.cli = l->cli, .values = l->values, .skip = UINT64_MAX};
        const int code = weir_runs_read_logs(l->runs, l->id, &query, on_line, &ignored, &total, err);
        free(ignored.sources);
        if (code != WEIR_OK)
            return code;
        l->skip = total > l->values->tail ? total - l->values->tail : 0;
        query.tail = 0;
    }
    return checked(l, weir_runs_read_logs(l->runs, l->id, &query, on_line, l, NULL, err), err);
}

static int read_source(logs *l, const char *step_id, bool ended, weir_error *err)
{
    source *const from = find_source(l, step_id);
    if (from == NULL)
        return checked(l, WEIR_OK, err);
    if (from->drained)
        return WEIR_OK;
    const weir_logs_query query = {
        .step_id = step_id[0] != '\0' ? step_id : NULL,
        .outside_only = step_id[0] == '\0',
        .offset = from->printed,
    };
    from->drained = ended;
    return checked(l, weir_runs_read_logs(l->runs, l->id, &query, on_line, l, NULL, err), err);
}

// What was added since.
static int read_more(logs *l, weir_error *err)
{
    if (l->step_id[0] != '\0')
        return read_source(l, l->step_id, false, err);
    weir_run_step_list steps = {0};
    int code = weir_runs_steps(l->runs, l->id, &steps, err);
    for (size_t i = 0; code == WEIR_OK && i < steps.count; i++)
        code = read_source(l, steps.items[i].id, weir_run_status_is_final(steps.items[i].status), err);
    if (code == WEIR_OK)
        code = read_source(l, "", false, err);
    weir_run_step_list_free(&steps);
    return code;
}

// ------------------------------------------------------------------------------------------------ following

// Watches the run's log folder; it may not be there yet. -1 when nothing can be watched.
static int watch(const logs *l)
{
    weir__text path = {0};
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    weir__text_printf(&path, "%s/executions/%s", weir_runs_storage_path(l->runs), l->id);
    const bool watched =
        fd >= 0 && inotify_add_watch(fd, weir__text_string(&path), IN_MODIFY | IN_CREATE | IN_MOVED_TO) >= 0;
    weir__text_free(&path);
    if (fd >= 0 && !watched) {
        close(fd);
        return -1;
    }
    return fd;
}

// Waits a moment, or for a change; false when nothing changed for sure.
static bool wait_for_change(int watch_fd)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct pollfd ready = {.fd = watch_fd, .events = POLLIN};
    (void)poll(&ready, 1, look_every_ms);
    bool changed = watch_fd < 0;
    while (watch_fd >= 0 && read(watch_fd, events, sizeof events) > 0)
        changed = true;
    return changed;
}

static bool has_ended(const logs *l, int *code, weir_error *err)
{
    weir_execution execution = {0};
    *code = weir_runs_get(l->runs, l->id, &execution, err);
    const bool ended =
        *code != WEIR_OK || weir_run_status_is_final(execution.status) || execution.status == WEIR_RUN_OTHER;
    weir_execution_free(&execution);
    return ended;
}

static int follow(logs *l, weir_error *err)
{
    int watch_fd = -1;
    int code = WEIR_OK;
    bool ended = false;
    while (code == WEIR_OK && !ended && !l->cli->out.gone) {
        const int before = watch_fd;
        if (watch_fd < 0)
            watch_fd = watch(l);
        const bool changed = before != watch_fd || wait_for_change(watch_fd);
        ended = has_ended(l, &code, err);
        if (code == WEIR_OK && (changed || ended))
            code = read_more(l, err);
        if (code == WEIR_OK)
            code = weir__screen_flush(&l->cli->out, err);
    }
    if (watch_fd >= 0)
        close(watch_fd);
    return code;
}

// ------------------------------------------------------------------------------------------------ one step

static bool step_matches(const weir_run_step *step, const char *text, bool by_id)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIi64, step->index + 1);
    if (by_id)
        return strcmp(step->id, text) == 0 || strcmp(number, text) == 0 ||
               (strlen(text) >= 4 && strncmp(step->id, text, strlen(text)) == 0);
    return strcmp(step->name, text) == 0;
}

// The step that is meant: by name first, then by number or the beginning of its id.
static int find_step(logs *l, const char *text, weir_error *err)
{
    weir_run_step_list steps = {0};
    const weir_run_step *found = NULL;
    int code = weir_runs_steps(l->runs, l->id, &steps, err);
    for (int by_id = 0; by_id <= 1 && found == NULL; by_id++) {
        for (size_t i = 0; i < steps.count && code == WEIR_OK; i++) {
            if (!step_matches(&steps.items[i], text, by_id != 0))
                continue;
            if (found != NULL)
                code = weir__error_set(err, WEIR_INVALID,
                                       "several steps are called \"%s\"; give the number of one", text);
            found = &steps.items[i];
        }
    }
    if (code == WEIR_OK && found == NULL)
        code =
            weir__error_set(err, WEIR_NOTFOUND, "run %s has no step \"%s\"; weir runs show %.*s lists them",
                            l->id, text, WEIR__ID_SHORT, l->id);
    if (code == WEIR_OK)
        snprintf(l->step_id, sizeof l->step_id, "%s", found->id);
    weir_run_step_list_free(&steps);
    return code;
}

static int runs_logs(weir__cli *cli, const weir__command *command, void *values,
                     const weir__operands *operands)
{
    (void)command;
    weir_error err = WEIR_ERROR_INIT;
    logs l = {.cli = cli, .values = values};
    int code =
        weir__records_find(l.values->storage, WEIR__RECORDS_READ, operands->items[0], &l.runs, l.id, &err);
    if (code == WEIR_OK && l.values->step != NULL)
        code = find_step(&l, l.values->step, &err);
    if (code == WEIR_OK)
        code = read_first(&l, &err);
    if (code == WEIR_OK && l.values->follow)
        code = follow(&l, &err);
    free(l.sources);
    return weir__records_finish(cli, l.runs, code, &err);
}

const weir__command weir__command_runs_logs = {
    .name = "runs logs",
    .operands = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "what a run printed, or prints right now",
    .about = WEIR__ABOUT_ID "\n"
                            "On a terminal the lines stand below the name of their step, and control "
                            "characters are shown; elsewhere\n"
                            "they come as the script wrote them.",
    .examples = "weir runs logs last\n"
                "weir runs logs -f 3f2a9c1e --tail 20\n"
                "weir runs logs 3f2a9c1e --step Build --timestamps",
    .options = WEIR__OPTIONS(options),
    .defaults = &(const logs_values){0},
    .values_size = sizeof(logs_values),
    .run = runs_logs,
};
