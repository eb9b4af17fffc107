// SPDX-License-Identifier: MIT
//
// Removing executions and artifacts, in two halves that a crash cannot separate for good:
//
//   1. one transaction deletes the rows and notes what is to go in weir_pending_delete;
//   2. the files are removed, then the notes.
//
// A process that dies in between leaves notes, and the next one that opens the storage goes on with 2. Rows
// go in portions, so that another program that waits for the write lock gets its turn.
//
// A job may run more than once, so each overwrites its own result; the caller adds up.
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "base/fs.h"
#include "runs/clean.h"
#include "runs/rows.h"

enum {
    portion = 500,
    portion_rows = 20000 /* steps and artifacts, so that the write lock is not held long */
};
enum { days_max = 10 * 1000 * 1000 /* before any time that a text can say */ };

static void add_removed(weir_runs_removed *sum, const weir_runs_removed *more)
{
    sum->executions += more->executions;
    sum->steps += more->steps;
    sum->artifacts += more->artifacts;
    sum->files += more->files;
    sum->bytes += more->bytes;
}

void weir__clean_measure(const char *path, weir_runs_removed *removed)
{
    char *const roots[] = {(char *)(uintptr_t)path, NULL}; // fts only reads it
    FTS *const tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (tree == NULL)
        return;
    for (FTSENT *entry = fts_read(tree); entry != NULL; entry = fts_read(tree))
        if (entry->fts_info == FTS_F) {
            removed->files++;
            removed->bytes += (uint64_t)entry->fts_statp->st_size;
        }
    fts_close(tree);
}

static int check_writable(const weir_runs *runs, weir_error *err)
{
    return runs->read_only ? weir__error_set(err, WEIR_DENIED, "%s is open for reading only", runs->path)
                           : WEIR_OK;
}

// -------------------------------------------------------------------------------------------- pending files

typedef struct note {
    int64_t rowid; // names the row also where its texts are odd
    char *execution_id;
    char *artifact_file; // empty: the folders of the execution
    bool kept;           // could not be removed: the note stays for the next time
} note;

typedef struct notes {
    int64_t after_rowid;
    note items[portion];
    size_t count;
} notes;

static void free_notes(notes *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].execution_id);
        free(list->items[i].artifact_file);
    }
    free(list);
}

static int read_notes(weir_tx *tx, void *arg, weir_error *err)
{
    notes *const list = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    bool failed = false;
    int rc = weir_prepare(tx,
                          "SELECT execution_id, artifact_file, rowid FROM weir_pending_delete WHERE rowid > "
                          "$1 ORDER BY rowid LIMIT $2",
                          &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, list->after_rowid);
    weir_bind_int64(stmt, 2, portion);
    while ((rc = weir_step(stmt, &row, err)) == WEIR_OK && row && list->count < portion) {
        note *const item = &list->items[list->count++];
        item->execution_id = weir__row_text(stmt, 0, "", &failed);
        item->artifact_file = weir__row_text(stmt, 1, "", &failed);
        item->rowid = weir_column_int64(stmt, 2);
    }
    weir_reset(stmt);
    return rc == WEIR_OK && failed ? weir__no_memory(err) : rc;
}

static int delete_notes(weir_tx *tx, void *arg, weir_error *err)
{
    const notes *const list = arg;
    int rc = WEIR_OK;
    for (size_t i = 0; i < list->count && rc == WEIR_OK; i++) {
        if (!list->items[i].kept)
            rc = weir_exec(tx, err, "DELETE FROM weir_pending_delete WHERE rowid = $1", "i",
                           list->items[i].rowid);
    }
    return rc;
}

static int remove_path(const weir__text *path, weir_runs_removed *removed, weir_error *err)
{
    weir_runs_removed here = {0};
    if (path->failed)
        return weir__no_memory(err);
    weir__clean_measure(path->data, &here);
    const int rc = weir__fs_remove_tree(path->data, err);
    if (rc == WEIR_OK && removed != NULL)
        add_removed(removed, &here);
    return rc;
}

// An id that cannot be part of a path never had files of ours: nothing to remove.
static int remove_noted(weir_runs *runs, const note *item, weir_runs_removed *removed, weir_error *err)
{
    static const char *const dirs[] = {"executions", "artifacts"};
    const char *const file = item->artifact_file;
    if (!weir__fs_is_safe_id(item->execution_id, strlen(item->execution_id)) || strchr(file, '/') != NULL ||
        strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
        return WEIR_OK;
    int rc = WEIR_OK;
    for (size_t i = *file == '\0' ? 0 : 1; i < 2 && rc == WEIR_OK; i++) {
        weir__text path = {0};
        weir__text_printf(&path, "%s/%s/%s%s%s", runs->path, dirs[i], item->execution_id,
                          *file != '\0' ? "/" : "", file);
        rc = remove_path(&path, removed, err);
        weir__text_free(&path);
    }
    return rc;
}

// What cannot be removed must not keep what comes behind it from being removed: *trouble keeps the first such error.
static void remove_all_noted(weir_runs *runs, notes *list, weir_runs_removed *removed, weir_error *trouble)
{
    for (size_t i = 0; i < list->count; i++) {
        weir_error err = WEIR_ERROR_INIT;
        list->items[i].kept = remove_noted(runs, &list->items[i], removed, &err) != WEIR_OK;
        if (list->items[i].kept && trouble->code == WEIR_OK)
            *trouble = err;
    }
}

// One portion, behind *after_rowid; *more tells whether there was one.
static int clean_portion(weir_runs *runs, int64_t *after_rowid, weir_runs_removed *removed, bool *more,
                         weir_error *trouble, weir_error *err)
{
    *more = false;
    notes *const list = calloc(1, sizeof *list);
    if (list == NULL)
        return weir__no_memory(err);
    list->after_rowid = *after_rowid;
    const weir_read_options reading = {.label = "runs: files to remove"};
    const weir_write_options writing = {.ack = WEIR_ACK_COMMITTED, .label = "runs: files removed"};
    int rc = weir_read(runs->store, read_notes, list, &reading, err);
    if (rc == WEIR_OK && list->count > 0) {
        remove_all_noted(runs, list, removed, trouble);
        *after_rowid = list->items[list->count - 1].rowid;
        *more = true;
        rc = weir_write(runs->store, delete_notes, list, &writing, err);
    }
    free_notes(list);
    return rc;
}

int weir__clean_pending(weir_runs *runs, weir_runs_removed *removed, weir_error *err)
{
    weir_error trouble = WEIR_ERROR_INIT;
    int64_t after_rowid = INT64_MIN;
    bool more = true;
    int rc = WEIR_OK;
    while (rc == WEIR_OK && more)
        rc = clean_portion(runs, &after_rowid, removed, &more, &trouble, err);
    if (rc == WEIR_OK && trouble.code != WEIR_OK) {
        rc = trouble.code;
        weir__error_copy(err, &trouble);
    }
    return rc;
}

// ------------------------------------------------------------------------------------------------- rows

// An execution as the database names it: an id that is NULL, a blob or no UTF-8 finds no row again.
typedef struct victim {
    int64_t rowid;
    char *id;
} victim;

// Deletes one execution's rows and notes its folders. Adds to *removed, which the job has zeroed.
static int delete_rows(weir_tx *tx, const victim *execution, const char *now, weir_runs_removed *removed,
                       weir_error *err)
{
    const char *const id = execution->id;
    static const char *const own_tables[] = {
        "DELETE FROM weir_run WHERE execution_id = $1",
        "DELETE FROM weir_run_output WHERE execution_id = $1",
        "DELETE FROM weir_cancel_request WHERE execution_id = $1",
    };
    int rc = weir_exec(tx, err, "DELETE FROM artifacts WHERE execution_id = $1", "t", id);
    removed->artifacts += rc == WEIR_OK ? (uint64_t)weir_changes(tx) : 0;
    if (rc == WEIR_OK)
        rc = weir_exec(tx, err, "DELETE FROM steps WHERE execution_id = $1", "t", id);
    removed->steps += rc == WEIR_OK ? (uint64_t)weir_changes(tx) : 0;
    for (size_t i = 0; i < 3 && rc == WEIR_OK; i++)
        rc = weir_exec(tx, err, own_tables[i], "t", id);
    if (rc == WEIR_OK)
        rc = weir_exec(tx, err, "DELETE FROM executions WHERE rowid = $1", "i", execution->rowid);
    removed->executions += rc == WEIR_OK ? (uint64_t)weir_changes(tx) : 0;
    if (rc == WEIR_OK)
        rc = weir_exec(
            tx, err,
            "INSERT INTO weir_pending_delete (execution_id, artifact_file, noted_at) VALUES ($1, '', $2) "
            "ON CONFLICT (execution_id, artifact_file) DO UPDATE SET noted_at = excluded.noted_at",
            "tt", id, now);
    return rc;
}

typedef struct deletion {
    victim execution; // its id is the caller's
    char now[WEIR_LOCAL_TEXT_SIZE];
    weir_runs_removed removed;
} deletion;

static int check_ended(weir_tx *tx, const char *id, int64_t *rowid, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, "SELECT status IN ('pending', 'running'), rowid FROM executions WHERE id = $1",
                          &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, id, WEIR_TEXT_TERMINATED);
    rc = weir_step(stmt, &row, err);
    if (rc == WEIR_OK && !row)
        rc = weir__error_set(err, WEIR_NOTFOUND, "there is no execution %s", id);
    else if (rc == WEIR_OK && weir_column_int64(stmt, 0) != 0)
        rc = weir__error_set(err, WEIR_STATE, "the execution %s has not ended: cancel it first", id);
    else if (rc == WEIR_OK)
        *rowid = weir_column_int64(stmt, 1);
    weir_reset(stmt);
    return rc;
}

static int delete_one(weir_tx *tx, void *arg, weir_error *err)
{
    deletion *const job = arg;
    job->removed = (weir_runs_removed){0};
    const int rc = check_ended(tx, job->execution.id, &job->execution.rowid, err);
    return rc != WEIR_OK ? rc : delete_rows(tx, &job->execution, job->now, &job->removed, err);
}

int weir_runs_delete(weir_runs *runs, const char *id, weir_runs_removed *removed, weir_error *err)
{
    weir_runs_removed ignored = {0};
    removed = removed != NULL ? removed : &ignored;
    *removed = (weir_runs_removed){0};
    deletion job = {.execution.id = (char *)(uintptr_t)id}; // only read
    weir_local_format(weir_local_now(), job.now);
    const weir_write_options options = {
        .ack = runs->ack == WEIR_ACK_APPLIED ? WEIR_ACK_COMMITTED : runs->ack,
        .label = "runs: delete",
    };
    const int rc = weir_write(runs->store, delete_one, &job, &options, err);
    if (rc != WEIR_OK)
        return rc;
    *removed = job.removed;
    return weir__clean_pending(runs, removed, err);
}

// ---------------------------------------------------------------------------------------------- by age

typedef struct cleanup {
    char cutoff[WEIR_LOCAL_TEXT_SIZE];
    char now[WEIR_LOCAL_TEXT_SIZE];
    int64_t after_rowid; // go on behind this one, so that no row is met twice
    weir_runs_removed removed;
    victim *victims; // of this portion, in order of rowid
    size_t count;
    size_t done; // of these
} cleanup;

#define OLD_AND_ENDED \
    " FROM executions WHERE created_at < $1 AND status IN ('completed', 'failed', 'cancelled')"

static int take_victim(cleanup *job, weir_stmt *stmt, weir_error *err)
{
    bool failed = false;
    victim *const grown = realloc(job->victims, (job->count + 1) * sizeof *grown);
    if (grown == NULL)
        return weir__no_memory(err);
    job->victims = grown;
    victim *const item = &job->victims[job->count];
    item->id = weir__row_text(stmt, 0, "", &failed);
    item->rowid = weir_column_int64(stmt, 1);
    job->count += !failed;
    return failed ? weir__no_memory(err) : WEIR_OK;
}

static void free_victims(cleanup *job)
{
    for (size_t i = 0; i < job->count; i++)
        free(job->victims[i].id);
    free(job->victims);
    job->victims = NULL;
    job->count = 0;
}

static int select_old(weir_tx *tx, cleanup *job, int64_t limit, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    free_victims(job);
    int rc = weir_prepare(tx, "SELECT id, rowid" OLD_AND_ENDED " AND rowid > $2 ORDER BY rowid LIMIT $3",
                          &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, job->cutoff, WEIR_TEXT_TERMINATED);
    weir_bind_int64(stmt, 2, job->after_rowid);
    weir_bind_int64(stmt, 3, limit);
    while ((rc = weir_step(stmt, &row, err)) == WEIR_OK && row)
        if ((rc = take_victim(job, stmt, err)) != WEIR_OK)
            break;
    weir_reset(stmt);
    return rc;
}

static int delete_old(weir_tx *tx, void *arg, weir_error *err)
{
    cleanup *const job = arg;
    job->removed = (weir_runs_removed){0};
    int rc = select_old(tx, job, portion, err);
    job->done = 0;
    while (rc == WEIR_OK && job->done < job->count &&
           job->removed.steps + job->removed.artifacts < portion_rows)
        rc = delete_rows(tx, &job->victims[job->done++], job->now, &job->removed, err);
    return rc;
}

static int count_of(weir_tx *tx, const char *sql, const char *text, uint64_t *count, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, sql, &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_text(stmt, 1, text, WEIR_TEXT_TERMINATED);
    rc = weir_step(stmt, &row, err);
    if (rc == WEIR_OK && row)
        *count = (uint64_t)weir_column_int64(stmt, 0);
    weir_reset(stmt);
    return rc;
}

static int count_old(weir_tx *tx, void *arg, weir_error *err)
{
    cleanup *const job = arg;
    weir_runs_removed *const sum = &job->removed;
    int rc = count_of(tx, "SELECT count(*)" OLD_AND_ENDED, job->cutoff, &sum->executions, err);
    if (rc == WEIR_OK)
        rc = count_of(tx, "SELECT count(*) FROM steps WHERE execution_id IN (SELECT id" OLD_AND_ENDED ")",
                      job->cutoff, &sum->steps, err);
    if (rc == WEIR_OK)
        rc = count_of(tx, "SELECT count(*) FROM artifacts WHERE execution_id IN (SELECT id" OLD_AND_ENDED ")",
                      job->cutoff, &sum->artifacts, err);
    return rc != WEIR_OK ? rc : select_old(tx, job, INT64_MAX, err);
}

static void measure_execution(weir_runs *runs, const char *id, weir_runs_removed *sum)
{
    static const char *const dirs[] = {"executions", "artifacts"};
    for (size_t i = 0; i < 2 && weir__fs_is_safe_id(id, strlen(id)); i++) {
        weir__text path = {0};
        weir__text_printf(&path, "%s/%s/%s", runs->path, dirs[i], id);
        if (!path.failed)
            weir__clean_measure(path.data, sum);
        weir__text_free(&path);
    }
}

static int cleanup_dry(weir_runs *runs, cleanup *job, weir_runs_removed *removed, weir_error *err)
{
    const weir_read_options options = {.label = "runs: what cleanup would remove"};
    const int rc = weir_read(runs->store, count_old, job, &options, err);
    if (rc == WEIR_OK) {
        *removed = job->removed;
        for (size_t i = 0; i < job->count; i++)
            measure_execution(runs, job->victims[i].id, removed);
    }
    return rc;
}

static bool go_on(const weir_runs_cleanup_options *options, const char *phase, uint64_t done)
{
    return options->progress == NULL || options->progress(options->context, phase, done, 0);
}

static int stopped(weir_error *err)
{
    return weir__error_set(err, WEIR_CANCELLED,
                           "stopped before everything was removed; what was removed stays so");
}

static int cleanup_portions(weir_runs *runs, cleanup *job, const weir_runs_cleanup_options *options,
                            weir_runs_removed *removed, weir_error *err)
{
    const weir_write_options writing = {.ack = WEIR_ACK_COMMITTED, .label = "runs: cleanup"};
    int rc = WEIR_OK;
    do {
        if (!go_on(options, "executions", removed->executions))
            return stopped(err);
        rc = weir_write(runs->store, delete_old, job, &writing, err);
        if (rc != WEIR_OK)
            return rc;
        add_removed(removed, &job->removed);
        if (job->done > 0)
            job->after_rowid = job->victims[job->done - 1].rowid;
        rc = weir__clean_pending(runs, removed, err);
    } while (rc == WEIR_OK && job->count > 0);
    return rc;
}

static const weir_runs_cleanup_options standard;

int weir_runs_cleanup(weir_runs *runs, const weir_runs_cleanup_options *options, weir_runs_removed *removed,
                      weir_error *err)
{
    weir_runs_removed ignored = {0};
    removed = removed != NULL ? removed : &ignored;
    *removed = (weir_runs_removed){0};
    options = options != NULL ? options : &standard;
    const uint32_t days = options->days != 0 ? options->days : WEIR_RUNS_CLEANUP_DAYS_DEFAULT;
    const weir_local_us now = weir_local_now();
    const int64_t age_us = (int64_t)(days < days_max ? days : days_max) * 86400 * WEIR__US_PER_S;
    cleanup job = {.after_rowid = INT64_MIN};
    weir_local_format(now, job.now);
    weir_local_format(now - age_us, job.cutoff);
    int rc = options->dry_run ? WEIR_OK : check_writable(runs, err);
    if (rc == WEIR_OK)
        rc = options->dry_run ? cleanup_dry(runs, &job, removed, err)
                              : cleanup_portions(runs, &job, options, removed, err);
    free_victims(&job);
    return rc;
}

// ------------------------------------------------------------------------------------- expired artifacts

typedef struct expired {
    int64_t rowid;
    char *execution_id;
    char *file; // the stored copy's name
} expired;

typedef struct expiry {
    weir_runs *runs;
    weir_local_us now;
    char now_text[WEIR_LOCAL_TEXT_SIZE];
    int64_t after_rowid; // go on behind this one
    expired items[portion];
    size_t count;
    uint64_t deleted;
} expiry;

static void free_expired(expiry *job)
{
    for (size_t i = 0; i < job->count; i++) {
        free(job->items[i].execution_id);
        free(job->items[i].file);
    }
    job->count = 0;
}

static bool has_expired(weir_stmt *stmt, weir_local_us now)
{
    bool odd = false;
    int64_t kept_us = 0;
    int64_t end = 0;
    const weir_local_us created_at = weir__row_time(stmt, 2, &odd);
    return created_at != 0 &&
           !__builtin_mul_overflow(weir_column_int64(stmt, 3), 86400 * WEIR__US_PER_S, &kept_us) &&
           !__builtin_add_overflow(created_at, kept_us, &end) && now > end;
}

static int take_expired(expiry *job, weir_stmt *stmt, weir_error *err)
{
    bool failed = false;
    expired *const item = &job->items[job->count++];
    item->rowid = job->after_rowid;
    item->execution_id = weir__row_text(stmt, 1, "", &failed);
    char *const path = weir__row_text(stmt, 4, "", &failed);
    item->file = NULL;
    if (!failed)
        failed = !weir__copy_string(weir__path_name(path), &item->file);
    free(path);
    return failed ? weir__no_memory(err) : WEIR_OK;
}

static int read_expired(weir_tx *tx, void *arg, weir_error *err)
{
    expiry *const job = arg;
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc =
        weir_prepare(tx,
                     "SELECT id, execution_id, created_at, retention_days, file_path, rowid FROM artifacts "
                     "WHERE rowid > $1 AND typeof(retention_days) = 'integer' AND retention_days <> 0 "
                     "ORDER BY rowid",
                     &stmt, err);
    if (rc != WEIR_OK)
        return rc;
    weir_bind_int64(stmt, 1, job->after_rowid);
    while (job->count < portion && (rc = weir_step(stmt, &row, err)) == WEIR_OK && row) {
        job->after_rowid = weir_column_int64(stmt, 5);
        if (has_expired(stmt, job->now) && (rc = take_expired(job, stmt, err)) != WEIR_OK)
            break;
    }
    weir_reset(stmt);
    return rc;
}

static int delete_expired(weir_tx *tx, void *arg, weir_error *err)
{
    expiry *const job = arg;
    job->deleted = 0;
    int rc = WEIR_OK;
    for (size_t i = 0; i < job->count && rc == WEIR_OK; i++) {
        const expired *const item = &job->items[i];
        rc = weir_exec(tx, err, "DELETE FROM artifacts WHERE rowid = $1", "i", item->rowid);
        job->deleted += rc == WEIR_OK ? (uint64_t)weir_changes(tx) : 0;
        if (rc == WEIR_OK && *item->file != '\0')
            rc = weir_exec(tx, err,
                           "INSERT INTO weir_pending_delete (execution_id, artifact_file, noted_at) "
                           "VALUES ($1, $2, $3) ON CONFLICT (execution_id, artifact_file) DO UPDATE SET "
                           "noted_at = excluded.noted_at",
                           "ttt", item->execution_id, item->file, job->now_text);
    }
    return rc;
}

static void measure_expired(expiry *job, weir_runs_removed *removed)
{
    for (size_t i = 0; i < job->count; i++) {
        const expired *const item = &job->items[i];
        weir__text path = {0};
        weir__text_printf(&path, "%s/artifacts/%s/%s", job->runs->path, item->execution_id, item->file);
        if (*item->file != '\0' && weir__fs_is_safe_id(item->execution_id, strlen(item->execution_id)) &&
            !path.failed)
            weir__clean_measure(path.data, removed);
        weir__text_free(&path);
    }
    removed->artifacts += job->count;
}

static int expire_portion(expiry *job, bool dry_run, weir_runs_removed *removed, weir_error *err)
{
    const weir_read_options reading = {.label = "runs: expired artifacts"};
    const weir_write_options writing = {.ack = WEIR_ACK_COMMITTED, .label = "runs: expired artifacts"};
    free_expired(job);
    int rc = weir_read(job->runs->store, read_expired, job, &reading, err);
    if (rc != WEIR_OK || job->count == 0)
        return rc;
    if (dry_run) {
        measure_expired(job, removed);
        return WEIR_OK;
    }
    rc = weir_write(job->runs->store, delete_expired, job, &writing, err);
    if (rc != WEIR_OK)
        return rc;
    removed->artifacts += job->deleted;
    return weir__clean_pending(job->runs, removed, err);
}

int weir_runs_expire_artifacts(weir_runs *runs, const weir_runs_cleanup_options *options,
                               weir_runs_removed *removed, weir_error *err)
{
    weir_runs_removed ignored = {0};
    removed = removed != NULL ? removed : &ignored;
    *removed = (weir_runs_removed){0};
    options = options != NULL ? options : &standard;
    expiry *const job = calloc(1, sizeof *job);
    if (job == NULL)
        return weir__no_memory(err);
    job->runs = runs;
    job->now = weir_local_now();
    job->after_rowid = INT64_MIN;
    weir_local_format(job->now, job->now_text);
    int rc = options->dry_run ? WEIR_OK : check_writable(runs, err);
    while (rc == WEIR_OK) {
        if (!go_on(options, "artifacts", removed->artifacts)) {
            rc = stopped(err);
            break;
        }
        rc = expire_portion(job, options->dry_run, removed, err);
        if (job->count == 0)
            break;
    }
    free_expired(job);
    free(job);
    return rc;
}
