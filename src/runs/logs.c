// SPDX-License-Identifier: MIT
//
// Step logs: text files of "[<time>] <content>\n" lines, one per step, and run.log for lines outside steps.
// Other programs write them too, so a reader here takes what it finds: a line that does not begin with '[' or
// has no "] " is no entry and is skipped; one whose time cannot be read is shown whole, with the present
// time; bytes that are not UTF-8 are replaced; of a line longer than the limit the beginning is kept.
//
// A run's lines are a merge of two streams: its steps' files one after the other, and run.log, by time. Steps
// do not overlap, so this is the order of time, with two open files and two lines in memory however large the
// logs are. A request for the last N lines counts first, and then reads again from there.
//
// Any thread; files may grow meanwhile.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/span.h"
#include "runs/rows.h"

enum { chunk_size = 64 * 1024, prefix_max = 64 /* the time and its brackets */ };
enum { list_bytes_max = 256 * 1024 * 1024 };

// ------------------------------------------------------------------------------------------- one line

void weir__log_format(weir__text *text, weir_local_us time, const char *content, size_t size)
{
    char formatted[WEIR_LOCAL_TEXT_SIZE];
    weir_local_format(time, formatted);
    weir__text_printf(text, "[%s] ", formatted);
    const size_t start = text->size;
    weir__text_utf8(text, content, size);
    for (size_t i = start; !text->failed && i < text->size; i++)
        if (text->data[i] == '\n' || text->data[i] == '\r' || text->data[i] == '\0')
            text->data[i] = ' ';
    weir__text_char(text, '\n');
}

bool weir__log_parse(const char *line, size_t size, weir_local_us *time, const char **content,
                     size_t *content_size)
{
    const weir__span entry = weir__span_trim((weir__span){line, size});
    line = entry.data;
    size = entry.size;
    *time = 0;
    *content = line;
    *content_size = size;
    if (size == 0 || line[0] != '[')
        return false;
    const char *const end = memmem(line, size, "] ", 2);
    if (end == NULL)
        return false;
    if (weir_local_parse(line + 1, (size_t)(end - line) - 1, time)) {
        *content = end + 2;
        *content_size = size - (size_t)(end + 2 - line);
    }
    return true;
}

// ------------------------------------------------------------------------------------------- one file

// Lines of a file. `line` points into the buffer and is good until the next call.
typedef struct line_reader {
    int fd; // -1: no file, no lines
    char *buffer;
    size_t start, end, capacity;
    bool eof;
    bool skipping; // the rest of a line whose beginning was too long already
} line_reader;

static void close_reader(line_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    r->start = r->end = 0;
    r->eof = r->skipping = false;
}

// Moves what is left to the front and reads more behind it.
static int fill(line_reader *r, weir_error *err)
{
    memmove(r->buffer, r->buffer + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    if (r->capacity - r->end < chunk_size) {
        char *const grown = realloc(r->buffer, r->capacity * 2);
        if (grown == NULL)
            return weir__no_memory(err);
        r->buffer = grown;
        r->capacity *= 2;
    }
    ssize_t got = 0;
    do
        got = read(r->fd, r->buffer + r->end, r->capacity - r->end);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return weir__error_errno(err, errno, "cannot read a step's log");
    r->eof = got == 0;
    r->end += (size_t)got;
    return WEIR_OK;
}

// The next line without its end; *found is false at the file's end.
static int next_line(line_reader *r, const char **line, size_t *size, bool *found, weir_error *err)
{
    *found = false;
    size_t searched = 0;
    while (r->fd >= 0) {
        const char *const from = r->buffer + r->start;
        const size_t available = r->end - r->start;
        const char *const newline = memchr(from + searched, '\n', available - searched);
        const size_t length = newline != NULL ? (size_t)(newline - from) : available;
        const bool too_long = length >= WEIR_RUNS_LOG_LINE_MAX + prefix_max;
        if (newline != NULL || too_long || (r->eof && length > 0)) {
            const bool skip = r->skipping;
            r->start += length + (newline != NULL);
            r->skipping = newline == NULL && too_long;
            searched = 0;
            *line = from;
            *size =
                length < WEIR_RUNS_LOG_LINE_MAX + prefix_max ? length : WEIR_RUNS_LOG_LINE_MAX + prefix_max;
            *found = !skip;
            if (*found)
                return WEIR_OK;
            continue;
        }
        if (r->eof)
            return WEIR_OK;
        searched = available;
        const int rc = fill(r, err);
        if (rc != WEIR_OK)
            return rc;
    }
    return WEIR_OK;
}

// ---------------------------------------------------------------------------------------- files in a row

// The entries of several files one after the other. Its current entry is good until the next advance.
typedef struct stream {
    weir_runs *runs;
    const char *execution_id;
    const weir_run_step *steps; // NULL: run.log
    size_t files, next_file;
    line_reader reader;
    bool has_entry;
    weir_local_us time;  // of the entry as it is shown
    weir_local_us order; // of the entry in the merge: never before the one in front of it
    const char *content;
    size_t content_size;
    const weir_run_step *step;
} stream;

static int init_stream(stream *s, weir_runs *runs, const char *execution_id, const weir_run_step *steps,
                       size_t files, weir_error *err)
{
    *s = (stream){.runs = runs, .execution_id = execution_id, .steps = steps, .files = files};
    s->reader = (line_reader){.fd = -1, .capacity = 2 * chunk_size};
    s->reader.buffer = malloc(s->reader.capacity);
    return s->reader.buffer != NULL ? WEIR_OK : weir__no_memory(err);
}

static void fini_stream(stream *s)
{
    close_reader(&s->reader);
    free(s->reader.buffer);
}

// A file that is not there has no lines; nor has one that we must not touch, which counts as a warning.
static int open_next(stream *s, weir_error *err)
{
    char name[WEIR__LOG_NAME_SIZE];
    weir_error trouble = WEIR_ERROR_INIT;
    close_reader(&s->reader);
    s->step = s->steps != NULL ? &s->steps[s->next_file] : NULL;
    s->next_file++;
    int rc = weir__log_name(name, s->step != NULL ? s->step->index : 0, s->step != NULL ? s->step->id : NULL,
                            &trouble);
    if (rc == WEIR_OK)
        rc = weir__log_open(s->runs, s->execution_id, name, O_RDONLY, &s->reader.fd, &trouble);
    if (rc == WEIR_OK || rc == WEIR_NOTFOUND)
        return WEIR_OK;
    if (trouble.os_errno != 0 && trouble.os_errno != ELOOP && trouble.os_errno != ENOTDIR) {
        weir__error_copy(err, &trouble);
        return rc;
    }
    atomic_fetch_add_explicit(&s->runs->warnings, 1, memory_order_relaxed);
    return WEIR_OK;
}

static int advance(stream *s, weir_error *err)
{
    s->has_entry = false;
    for (;;) {
        const char *line = NULL;
        size_t size = 0;
        bool found = false;
        int rc = next_line(&s->reader, &line, &size, &found, err);
        if (rc == WEIR_OK && !found) {
            if (s->next_file == s->files)
                return WEIR_OK;
            rc = open_next(s, err);
        }
        if (rc != WEIR_OK)
            return rc;
        if (!found || !weir__log_parse(line, size, &s->time, &s->content, &s->content_size))
            continue;
        s->order = s->time > s->order ? s->time : s->order;
        s->has_entry = true;
        return WEIR_OK;
    }
}

// --------------------------------------------------------------------------------------------- the merge

typedef struct reading {
    const weir_logs_query *query;
    stream steps, outside;
    weir_log_fn *each; // NULL: only count
    void *context;
    uint64_t number;     // of the next line
    uint64_t first, end; // the lines wanted
    bool count_all;      // go on behind `end`
    weir__text content;
} reading;

static int give(reading *r, const stream *s, weir_error *err)
{
    weir__text_clear(&r->content);
    weir__text_utf8(&r->content, s->content, s->content_size);
    if (r->content.failed)
        return weir__no_memory(err);
    const weir_log_line line = {
        .time = s->time != 0 ? s->time : weir_local_now(),
        .content = weir__text_string(&r->content),
        .content_size = r->content.size,
        .step_id = s->step != NULL ? s->step->id : NULL,
        .step_name = s->step != NULL ? s->step->name : NULL,
        .number = r->number,
    };
    if (r->each(r->context, &line))
        return WEIR_OK;
    return weir__error_set(err, WEIR_CANCELLED, "reading the log was stopped by the reader");
}

static int merge(reading *r, weir_error *err)
{
    int rc = advance(&r->steps, err);
    if (rc == WEIR_OK)
        rc = advance(&r->outside, err);
    while (rc == WEIR_OK && (r->steps.has_entry || r->outside.has_entry)) {
        const bool from_steps =
            !r->outside.has_entry || (r->steps.has_entry && r->steps.order <= r->outside.order);
        stream *const s = from_steps ? &r->steps : &r->outside;
        if (r->number >= r->end && !r->count_all)
            break;
        if (r->each != NULL && r->number >= r->first && r->number < r->end)
            rc = give(r, s, err);
        r->number++;
        if (rc == WEIR_OK)
            rc = advance(s, err);
    }
    return rc;
}

// One pass over the files, from the beginning. *lines: how many were seen.
static int pass(weir_runs *runs, const char *execution_id, const weir_logs_query *query,
                const weir_run_step_list *steps, reading *r, weir_error *err)
{
    const bool with_outside = query->step_id == NULL;
    const bool with_steps = !query->outside_only || query->step_id != NULL;
    r->number = 0;
    int rc = init_stream(&r->steps, runs, execution_id, steps->items, with_steps ? steps->count : 0, err);
    const int rc_outside = init_stream(&r->outside, runs, execution_id, NULL, with_outside ? 1 : 0, err);
    if (rc == WEIR_OK)
        rc = rc_outside;
    if (rc == WEIR_OK)
        rc = merge(r, err);
    fini_stream(&r->outside);
    fini_stream(&r->steps);
    weir__text_free(&r->content);
    return rc;
}

// The steps whose files are to be read; their existence, and the execution's, is checked on the way.
static int plan(weir_runs *runs, const char *execution_id, const weir_logs_query *query,
                weir_run_step_list *steps, weir_error *err)
{
    *steps = (weir_run_step_list){0};
    if (query->step_id == NULL) {
        weir_execution execution;
        int rc = weir_runs_get(runs, execution_id, &execution, err);
        weir_execution_free(&execution);
        return rc != WEIR_OK ? rc : weir_runs_steps(runs, execution_id, steps, err);
    }
    steps->items = calloc(1, sizeof *steps->items);
    if (steps->items == NULL)
        return weir__no_memory(err);
    int rc = weir_runs_get_step(runs, query->step_id, &steps->items[0], err);
    steps->count = rc == WEIR_OK;
    if (rc == WEIR_OK && strcmp(steps->items[0].execution_id, execution_id) != 0)
        rc = weir__error_set(err, WEIR_NOTFOUND, "the step %s does not belong to the execution %s",
                             query->step_id, execution_id);
    if (rc != WEIR_OK)
        weir_run_step_list_free(steps);
    return rc;
}

static int read_planned(weir_runs *runs, const char *execution_id, const weir_logs_query *query,
                        const weir_run_step_list *steps, weir_log_fn *each, void *context, uint64_t *total,
                        weir_error *err)
{
    reading r = {.query = query, .count_all = true};
    uint64_t first = query->offset;
    uint64_t count = query->limit;
    int rc = WEIR_OK;
    if (query->tail > 0) {
        rc = pass(runs, execution_id, query, steps, &r, err);
        first = r.number > query->tail ? r.number - query->tail : 0;
        count = query->limit > 0 && query->limit < query->tail ? query->limit : query->tail;
    }
    if (rc != WEIR_OK)
        return rc;
    r = (reading){.query = query, .each = each, .context = context, .first = first};
    r.end = count == 0 || first > UINT64_MAX - count ? UINT64_MAX : first + count;
    r.count_all = total != NULL;
    rc = pass(runs, execution_id, query, steps, &r, err);
    if (total != NULL)
        *total = r.number;
    return rc;
}

int weir_runs_read_logs(weir_runs *runs, const char *execution_id, const weir_logs_query *query,
                        weir_log_fn *each, void *context, uint64_t *total, weir_error *err)
{
    static const weir_logs_query everything;
    if (total != NULL)
        *total = 0;
    if (query == NULL)
        query = &everything;
    weir_run_step_list steps;
    int rc = plan(runs, execution_id, query, &steps, err);
    if (rc != WEIR_OK)
        return rc;
    rc = read_planned(runs, execution_id, query, &steps, each, context, total, err);
    weir_run_step_list_free(&steps);
    return rc;
}

// ----------------------------------------------------------------------------------------------- as a list

// Strings lie one after the other in one text; positions become pointers when it no longer moves.
typedef struct collected {
    size_t content, step_id, step_name;
} collected;

typedef struct collecting {
    weir__text strings;
    weir_log_list *list;
    collected *places;
    size_t capacity;
    const char *last_step; // whose id and name were stored last
    collected last_place;
    bool too_big;
} collecting;

static const size_t nowhere = SIZE_MAX;

static size_t keep_string(collecting *c, const char *string, size_t size)
{
    if (string == NULL)
        return nowhere;
    const size_t at = c->strings.size;
    weir__text_append(&c->strings, string, size);
    weir__text_char(&c->strings, '\0');
    return at;
}

static bool grow_places(collecting *c)
{
    if (c->list->count < c->capacity)
        return true;
    const size_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
    weir_log_line *const items = realloc(c->list->items, capacity * sizeof *items);
    if (items != NULL)
        c->list->items = items;
    collected *const places = realloc(c->places, capacity * sizeof *places);
    if (places != NULL)
        c->places = places;
    if (items == NULL || places == NULL) {
        c->strings.failed = true;
        return false;
    }
    c->capacity = capacity;
    return true;
}

static bool collect(void *context, const weir_log_line *line)
{
    collecting *const c = context;
    weir_log_list *const list = c->list;
    c->too_big = list->count == WEIR_RUNS_LOG_LIST_MAX || c->strings.size > list_bytes_max;
    if (c->too_big || !grow_places(c))
        return false;
    if (list->count == 0)
        list->offset = line->number;
    if (list->count == 0 || line->step_id != c->last_step) {
        c->last_step = line->step_id;
        c->last_place.step_id =
            keep_string(c, line->step_id, line->step_id != NULL ? strlen(line->step_id) : 0);
        c->last_place.step_name =
            keep_string(c, line->step_name, line->step_name != NULL ? strlen(line->step_name) : 0);
    }
    collected place = c->last_place;
    place.content = keep_string(c, line->content, line->content_size);
    list->items[list->count] = *line;
    c->places[list->count] = place;
    list->count++;
    return !c->strings.failed;
}

static void point_at_strings(collecting *c)
{
    weir_log_list *const list = c->list;
    char *const strings = weir__text_take(&c->strings);
    list->memory = strings;
    for (size_t i = 0; i < list->count; i++) {
        const collected *const place = &c->places[i];
        list->items[i].content = strings + place->content;
        list->items[i].step_id = place->step_id != nowhere ? strings + place->step_id : NULL;
        list->items[i].step_name = place->step_name != nowhere ? strings + place->step_name : NULL;
    }
}

int weir_runs_logs(weir_runs *runs, const char *execution_id, const weir_logs_query *query,
                   weir_log_list *out, weir_error *err)
{
    *out = (weir_log_list){0};
    collecting c = {.list = out};
    weir_error trouble = WEIR_ERROR_INIT;
    int rc = weir_runs_read_logs(runs, execution_id, query, collect, &c, &out->total, &trouble);
    if (c.strings.failed)
        rc = weir__no_memory(&trouble);
    else if (c.too_big)
        rc = weir__error_set(&trouble, WEIR_TOOBIG,
                             "more than %d log lines, or %d MiB: ask for fewer, or read them as a stream",
                             WEIR_RUNS_LOG_LIST_MAX, list_bytes_max / (1024 * 1024));
    if (rc == WEIR_OK) {
        point_at_strings(&c);
    } else {
        weir__error_copy(err, &trouble);
        weir__text_free(&c.strings);
        weir_log_list_free(out);
    }
    free(c.places);
    return rc;
}

void weir_log_list_free(weir_log_list *list)
{
    if (list == NULL)
        return;
    free(list->items);
    free(list->memory);
    *list = (weir_log_list){0};
}
