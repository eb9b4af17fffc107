// SPDX-License-Identifier: MIT
//
// Reading records: one, a page, all of an execution. Each call is one snapshot. Pages go on behind a cursor,
// the (created_at, rowid) of a page's last row as stored, so that neither new rows nor odd timestamps make a
// page repeat or skip others.
//
// Any thread.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "runs/rows.h"

enum { list_default = 100, prefix_min = 4, id_shown_size = 80 };

static int not_found(const char *what, const char *id, weir_error *err)
{
    char shown[id_shown_size];
    weir__utf8_sanitize(shown, sizeof shown, id, strlen(id));
    return weir__error_set(err, WEIR_NOTFOUND, "there is no %s %s", what, shown);
}

// A growing array of structs, doubled when full.
static bool grow(void **items, size_t count, size_t size)
{
    const bool full = (count & (count - 1)) == 0; // 0, 1, 2, 4, 8, …
    if (!full)
        return true;
    void *const grown = realloc(*items, (count == 0 ? 1 : count * 2) * size);
    if (grown == NULL)
        return false;
    *items = grown;
    return true;
}

// --------------------------------------------------------------------------------------------- single rows

typedef struct lookup {
    weir_runs *runs;
    const char *id;
    const char *second; // a further key, where the query has one
    void *out;
} lookup;

// Prepares a query with one text parameter and makes its first step.
static int first_row(weir_tx *tx, const char *sql, const char *id, weir_stmt **stmt, bool *row,
                     weir_error *err)
{
    const int rc = weir_prepare(tx, sql, stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(*stmt, 1, id, WEIR_TEXT_TERMINATED);
    return weir_step(*stmt, row, err);
}

static int read_execution(weir_tx *tx, void *arg, weir_error *err)
{
    const lookup *const job = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = first_row(tx, "SELECT " WEIR__EXECUTION_COLUMNS " FROM executions WHERE id = $1", job->id, &stmt,
                       &row, err);
    if (rc != WEIR_OK)
        return rc;
    if (!row)
        return not_found("execution", job->id, err);
    rc = weir__row_execution(job->runs, stmt, job->out, err);
    weir_reset(stmt);
    return rc;
}

static int read_step(weir_tx *tx, void *arg, weir_error *err)
{
    const lookup *const job = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    const char *const sql = job->runs->has_stop_on_error
                                ? "SELECT " WEIR__STEP_COLUMNS("stop_on_error") " FROM steps WHERE id = $1"
                                : "SELECT " WEIR__STEP_COLUMNS("0") " FROM steps WHERE id = $1";
    int rc = first_row(tx, sql, job->id, &stmt, &row, err);
    if (rc != WEIR_OK)
        return rc;
    if (!row)
        return not_found("step", job->id, err);
    rc = weir__row_step(job->runs, stmt, job->out, err);
    weir_reset(stmt);
    return rc;
}

static int read_artifact(weir_tx *tx, void *arg, weir_error *err)
{
    const lookup *const job = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = first_row(tx, "SELECT " WEIR__ARTIFACT_COLUMNS " FROM artifacts WHERE id = $1", job->id, &stmt,
                       &row, err);
    if (rc != WEIR_OK)
        return rc;
    if (!row)
        return not_found("artifact", job->id, err);
    rc = weir__row_artifact(job->runs, stmt, job->out, err);
    weir_reset(stmt);
    return rc;
}

int weir_runs_get(weir_runs *runs, const char *id, weir_execution *out, weir_error *err)
{
    *out = (weir_execution){0};
    lookup job = {.runs = runs, .id = id, .out = out};
    const weir_read_options options = {.label = "runs: one execution"};
    return weir_read(runs->store, read_execution, &job, &options, err);
}

int weir_runs_get_step(weir_runs *runs, const char *step_id, weir_run_step *out, weir_error *err)
{
    *out = (weir_run_step){0};
    lookup job = {.runs = runs, .id = step_id, .out = out};
    const weir_read_options options = {.label = "runs: one step"};
    return weir_read(runs->store, read_step, &job, &options, err);
}

int weir_runs_get_artifact(weir_runs *runs, const char *artifact_id, weir_artifact *out, weir_error *err)
{
    *out = (weir_artifact){0};
    lookup job = {.runs = runs, .id = artifact_id, .out = out};
    const weir_read_options options = {.label = "runs: one artifact"};
    const int rc = weir_read(runs->store, read_artifact, &job, &options, err);
    if (rc == WEIR_OK)
        weir__artifact_look(runs, out, 1);
    return rc;
}

// ------------------------------------------------------------------------------------- rows of an execution

static int read_steps(weir_tx *tx, void *arg, weir_error *err)
{
    const lookup *const job = arg;
    weir_run_step_list *const list = job->out;
    const char *const sql =
        job->runs->has_stop_on_error
            ? "SELECT " WEIR__STEP_COLUMNS(
                  "stop_on_error") " FROM steps WHERE execution_id = $1 ORDER BY step_index, rowid"
            : "SELECT " WEIR__STEP_COLUMNS(
                  "0") " FROM steps WHERE execution_id = $1 ORDER BY step_index, rowid";
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = first_row(tx, sql, job->id, &stmt, &row, err);
    for (; rc == WEIR_OK && row; rc = weir_step(stmt, &row, err)) {
        void *items = list->items;
        const bool grown = grow(&items, list->count, sizeof *list->items);
        list->items = items;
        rc = grown ? weir__row_step(job->runs, stmt, &list->items[list->count], err) : weir__no_memory(err);
        if (rc != WEIR_OK)
            break;
        list->count++;
    }
    if (rc != WEIR_OK)
        weir_run_step_list_free(list);
    return rc;
}

static int read_artifacts(weir_tx *tx, void *arg, weir_error *err)
{
    const lookup *const job = arg;
    weir_artifact_list *const list = job->out;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = first_row(tx,
                       "SELECT " WEIR__ARTIFACT_COLUMNS
                       " FROM artifacts WHERE execution_id = $1 ORDER BY created_at, rowid",
                       job->id, &stmt, &row, err);
    for (; rc == WEIR_OK && row; rc = weir_step(stmt, &row, err)) {
        void *items = list->items;
        const bool grown = grow(&items, list->count, sizeof *list->items);
        list->items = items;
        rc = grown ? weir__row_artifact(job->runs, stmt, &list->items[list->count], err)
                   : weir__no_memory(err);
        if (rc != WEIR_OK)
            break;
        list->count++;
    }
    if (rc != WEIR_OK)
        weir_artifact_list_free(list);
    return rc;
}

int weir_runs_steps(weir_runs *runs, const char *execution_id, weir_run_step_list *out, weir_error *err)
{
    *out = (weir_run_step_list){0};
    lookup job = {.runs = runs, .id = execution_id, .out = out};
    const weir_read_options options = {.label = "runs: steps"};
    return weir_read(runs->store, read_steps, &job, &options, err);
}

int weir_runs_artifacts(weir_runs *runs, const char *execution_id, weir_artifact_list *out, weir_error *err)
{
    *out = (weir_artifact_list){0};
    lookup job = {.runs = runs, .id = execution_id, .out = out};
    const weir_read_options options = {.label = "runs: artifacts"};
    const int rc = weir_read(runs->store, read_artifacts, &job, &options, err);
    if (rc == WEIR_OK)
        weir__artifact_look(runs, out->items, out->count);
    return rc;
}

static int read_detail(weir_tx *tx, void *arg, weir_error *err)
{
    const lookup *const job = arg;
    weir_run_detail *const detail = job->out;
    lookup part = {.runs = job->runs, .id = job->id, .out = &detail->execution};
    int rc = read_execution(tx, &part, err);
    part.out = &detail->steps;
    if (rc == WEIR_OK)
        rc = read_steps(tx, &part, err);
    part.out = &detail->artifacts;
    if (rc == WEIR_OK)
        rc = read_artifacts(tx, &part, err);
    if (rc != WEIR_OK)
        weir_run_detail_free(detail);
    return rc;
}

int weir_runs_get_detail(weir_runs *runs, const char *id, weir_run_detail *out, weir_error *err)
{
    *out = (weir_run_detail){0};
    lookup job = {.runs = runs, .id = id, .out = out};
    const weir_read_options options = {.label = "runs: an execution with its steps and artifacts"};
    const int rc = weir_read(runs->store, read_detail, &job, &options, err);
    if (rc == WEIR_OK)
        weir__artifact_look(runs, out->artifacts.items, out->artifacts.count);
    return rc;
}

int weir_runs_find_artifact(weir_runs *runs, const char *execution_id, const char *stored_name,
                            weir_artifact *out, weir_error *err)
{
    weir_artifact_list list;
    *out = (weir_artifact){0};
    const int rc = weir_runs_artifacts(runs, execution_id, &list, err);
    if (rc != WEIR_OK)
        return rc;
    size_t found = 0;
    while (found < list.count && strcmp(weir__path_name(list.items[found].file_path), stored_name) != 0)
        found++;
    const bool is_found = *stored_name != '\0' && found < list.count;
    if (is_found) {
        *out = list.items[found];
        list.items[found] = (weir_artifact){0}; // *out owns its strings now
    }
    weir_artifact_list_free(&list);
    return is_found ? WEIR_OK : not_found("stored artifact", stored_name, err);
}

// ------------------------------------------------------------------------------------------------- pages

// Conditions as SQL, with the values that their placeholders $1, $2, … stand for.
typedef struct filter {
    weir__text where;
    struct {
        const char *text; // NULL: value
        int64_t value;
    } binds[8];
    int count;
    char *pattern;     // of the search
    char *cursor_time; // of the cursor
} filter;

static int bind_text(filter *f, const char *text)
{
    WEIR_ASSERT(f->count < 8);
    f->binds[f->count].text = text;
    return ++f->count;
}

static int bind_int64(filter *f, int64_t value)
{
    WEIR_ASSERT(f->count < 8);
    f->binds[f->count].value = value;
    return ++f->count;
}

static void bind_all(weir_stmt *stmt, const filter *f, int count)
{
    for (int i = 0; i < count; i++)
        if (f->binds[i].text != NULL)
            weir_bind_text(stmt, i + 1, f->binds[i].text, WEIR_TEXT_TERMINATED);
        else
            weir_bind_int64(stmt, i + 1, f->binds[i].value);
}

static void free_filter(filter *f)
{
    weir__text_free(&f->where);
    free(f->pattern);
    free(f->cursor_time);
}

// "%text%" for LIKE, whose own signs are escaped.
static char *like_pattern(const char *text)
{
    weir__text pattern = {0};
    weir__text_char(&pattern, '%');
    for (; *text != '\0'; text++) {
        if (*text == '%' || *text == '_' || *text == '\\')
            weir__text_char(&pattern, '\\');
        weir__text_char(&pattern, *text);
    }
    weir__text_char(&pattern, '%');
    return weir__text_take(&pattern);
}

static int add_conditions(filter *f, const weir_runs_query *query, weir_error *err)
{
    weir__text_add(&f->where, " WHERE 1 = 1");
    if (query->status != NULL && *query->status != '\0')
        weir__text_printf(&f->where, " AND status = $%d", bind_text(f, query->status));
    if (query->user != NULL && *query->user != '\0')
        weir__text_printf(&f->where, " AND user_name = $%d", bind_text(f, query->user));
    if (query->search != NULL && *query->search != '\0') {
        f->pattern = like_pattern(query->search);
        if (f->pattern == NULL)
            return weir__no_memory(err);
        const int at = bind_text(f, f->pattern);
        weir__text_printf(
            &f->where,
            " AND (name LIKE $%d ESCAPE '\\' OR command LIKE $%d ESCAPE '\\' OR id LIKE $%d ESCAPE '\\')", at,
            at, at);
    }
    return WEIR_OK;
}

// A cursor is "<rowid>@<created_at>".
static int add_cursor(filter *f, const char *cursor, weir_error *err)
{
    char *end = NULL;
    errno = 0;
    const long long rowid = strtoll(cursor, &end, 10);
    if (end == cursor || *end != '@' || errno != 0)
        return weir__error_set(err, WEIR_INVALID, "the cursor is not one that a list gave");
    if (!weir__copy_string(end + 1, &f->cursor_time))
        return weir__no_memory(err);
    const int time_at = bind_text(f, f->cursor_time);
    weir__text_printf(&f->where, " AND (created_at, rowid) < ($%d, $%d)", time_at, bind_int64(f, rowid));
    return WEIR_OK;
}

typedef struct page {
    weir_runs *runs;
    filter *filter;
    int total_binds; // placeholders of the count, 0: no count
    char *total_sql;
    char *sql;
    size_t limit;
    weir_execution_list *out;
} page;

static int count_all(weir_tx *tx, const page *job, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, job->total_sql, &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    bind_all(stmt, job->filter, job->total_binds);
    rc = weir_step(stmt, &row, err);
    if (rc != WEIR_OK)
        return rc;
    job->out->has_total = true;
    job->out->total = (uint64_t)weir_column_int64(stmt, 0);
    weir_reset(stmt);
    return WEIR_OK;
}

static int set_next_cursor(weir_execution_list *list, const weir__text *last, weir_error *err)
{
    list->next_cursor = strdup(weir__text_string(last));
    return list->next_cursor != NULL && !last->failed ? WEIR_OK : weir__no_memory(err);
}

// The page's rows, and one more that only tells whether there is a next page.
static int read_rows(weir_tx *tx, const page *job, weir_error *err)
{
    weir_execution_list *const list = job->out;
    weir__text last = {0}; // cursor behind the row read last
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, job->sql, &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    bind_all(stmt, job->filter, job->filter->count);
    while ((rc = weir_step(stmt, &row, err)) == WEIR_OK && row) {
        if (list->count == job->limit) {
            rc = set_next_cursor(list, &last, err);
            break;
        }
        rc = weir__row_execution(job->runs, stmt, &list->items[list->count], err);
        if (rc != WEIR_OK)
            break;
        list->count++;
        const char *const created_at = weir_column_text(stmt, WEIR__EXECUTION_COLUMN_COUNT + 1);
        weir__text_clear(&last);
        weir__text_printf(&last, "%lld@%s", (long long)weir_column_int64(stmt, WEIR__EXECUTION_COLUMN_COUNT),
                          created_at != NULL ? created_at : "");
    }
    weir_reset(stmt);
    weir__text_free(&last);
    return rc;
}

static int read_page(weir_tx *tx, void *arg, weir_error *err)
{
    const page *const job = arg;
    int rc = job->total_sql != NULL ? count_all(tx, job, err) : WEIR_OK;
    if (rc == WEIR_OK && job->limit > 0)
        rc = read_rows(tx, job, err);
    return rc;
}

static size_t clamp_limit(int64_t limit)
{
    return limit < 0 ? 0 : limit > WEIR_RUNS_LIST_MAX ? WEIR_RUNS_LIST_MAX : (size_t)limit;
}

// The two statements of a page: count (when asked for) and rows.
static int compose(page *job, const weir_runs_query *query, weir_error *err)
{
    filter *const f = job->filter;
    const bool goes_on = query->cursor != NULL && *query->cursor != '\0';
    weir__text sql = {0};
    int rc = f->where.size == 0 ? add_conditions(f, query, err) : WEIR_OK;
    if (rc == WEIR_OK && query->with_total) {
        weir__text_printf(&sql, "SELECT count(*) FROM executions%s", weir__text_string(&f->where));
        job->total_binds = f->count;
        job->total_sql = weir__text_take(&sql);
    }
    if (rc == WEIR_OK && goes_on)
        rc = add_cursor(f, query->cursor, err);
    if (rc != WEIR_OK)
        return rc;
    const int limit_at = bind_int64(f, (int64_t)job->limit + 1);
    const int offset_at = bind_int64(f, goes_on || query->offset < 0 ? 0 : query->offset);
    weir__text_printf(&sql,
                      "SELECT " WEIR__EXECUTION_COLUMNS ", rowid, created_at FROM executions%s "
                      "ORDER BY created_at DESC, rowid DESC LIMIT $%d OFFSET $%d",
                      weir__text_string(&f->where), limit_at, offset_at);
    job->sql = weir__text_take(&sql);
    job->out->items = calloc(job->limit + 1, sizeof *job->out->items);
    const bool complete = job->sql != NULL && !f->where.failed && job->out->items != NULL &&
                          (!query->with_total || job->total_sql != NULL);
    return complete ? WEIR_OK : weir__no_memory(err);
}

static int list_filtered(weir_runs *runs, filter *f, const weir_runs_query *query, weir_execution_list *out,
                         weir_error *err)
{
    *out = (weir_execution_list){0};
    page job = {.runs = runs, .filter = f, .limit = clamp_limit(query->limit), .out = out};
    const weir_read_options options = {.label = "runs: list"};
    int rc = compose(&job, query, err);
    if (rc == WEIR_OK)
        rc = weir_read(runs->store, read_page, &job, &options, err);
    if (rc != WEIR_OK)
        weir_execution_list_free(out);
    free(job.sql);
    free(job.total_sql);
    free_filter(f);
    return rc;
}

int weir_runs_list(weir_runs *runs, const weir_runs_query *query, weir_execution_list *out, weir_error *err)
{
    static const weir_runs_query newest = {.limit = list_default};
    filter f = {0};
    return list_filtered(runs, &f, query != NULL ? query : &newest, out, err);
}

int weir_runs_list_active(weir_runs *runs, weir_execution_list *out, weir_error *err)
{
    static const weir_runs_query all = {.limit = WEIR_RUNS_LIST_MAX};
    filter f = {0};
    weir__text_add(&f.where, " WHERE status IN ('pending', 'running')");
    return list_filtered(runs, &f, &all, out, err);
}

// ------------------------------------------------------------------------------------------- abbreviations

typedef struct resolving {
    const char *text;
    char *id;
    size_t id_size;
} resolving;

static int give_id(const resolving *job, const char *found, weir_error *err)
{
    const size_t size = found != NULL ? strlen(found) : 0;
    if (size >= job->id_size)
        return weir__error_set(err, WEIR_TOOBIG, "the id that %s stands for is too long", job->text);
    memcpy(job->id, found != NULL ? found : "", size + 1);
    return WEIR_OK;
}

// Exact first; then those that begin with it, of which there must be one.
static int resolve(weir_tx *tx, void *arg, weir_error *err)
{
    const resolving *const job = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = first_row(tx, "SELECT id FROM executions WHERE id = $1", job->text, &stmt, &row, err);
    if (rc == WEIR_OK && !row && strlen(job->text) >= prefix_min)
        rc = first_row(tx, "SELECT id FROM executions WHERE substr(id, 1, length($1)) = $1 LIMIT 2",
                       job->text, &stmt, &row, err);
    if (rc != WEIR_OK)
        return rc;
    if (!row && strlen(job->text) < prefix_min)
        return weir__error_set(err, WEIR_INVALID, "give at least %d characters of an execution's id",
                               prefix_min);
    if (!row)
        return not_found("execution", job->text, err);
    rc = give_id(job, weir_column_text(stmt, 0), err);
    if (rc == WEIR_OK)
        rc = weir_step(stmt, &row, err);
    if (rc == WEIR_OK && row)
        rc = weir__error_set(err, WEIR_INVALID, "%s stands for more than one execution: give more of its id",
                             job->text);
    weir_reset(stmt);
    return rc;
}

int weir_runs_resolve(weir_runs *runs, const char *text, char *id, size_t id_size, weir_error *err)
{
    WEIR_ASSERT(id_size > 0);
    id[0] = '\0';
    resolving job = {.text = text, .id = id, .id_size = id_size};
    const weir_read_options options = {.label = "runs: find by prefix"};
    const int rc = weir_read(runs->store, resolve, &job, &options, err);
    if (rc != WEIR_OK)
        id[0] = '\0';
    return rc;
}
