// SPDX-License-Identifier: MIT
//
// Two ways in which a storage gets out of step with itself, and their repair:
//
//   - files without a row (a crash between copying and committing, rows deleted by hand): swept away, if they
//     are named as we name them and older than an hour, so that nothing that is just being made is hit;
//   - steps left "running" in executions that ended (StepFlow Monitor never saves the last step of a run, nor
//   one
//     that the next step ends): settled on request only, because the rows are another program's.
//
// Any thread.
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "runs/clean.h"
#include "runs/rows.h"

enum { uuid_length = 36, age_min_s = 3600 };

// ------------------------------------------------------------------------------------------------ sweeping

typedef struct candidate {
    char *name;            // of the folder or file
    char id[WEIR_ID_SIZE]; // of the row that it should have; empty: none can have one
    bool is_known;
    bool is_active; // an execution that has not ended
} candidate;

typedef struct sweep {
    weir_runs *runs;
    const weir_runs_cleanup_options *options;
    weir_runs_removed *removed;
    int64_t newest_s; // last change of what may be removed, seconds since 1970 UTC
    const char *sql;  // finds the row of an id, and whether it is of an execution that has not ended
    candidate *items;
    size_t count, capacity;
} sweep;

// The lower-case form that both programs write.
static bool starts_with_uuid(const char *name)
{
    for (size_t i = 0; i < uuid_length; i++) {
        const bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        const char c = name[i];
        const bool fits = is_hyphen ? c == '-' : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (!fits)
            return false;
    }
    return true;
}

static bool is_leftover_copy(const char *name)
{
    const size_t size = strlen(name);
    return strncmp(name, ".weir-", 6) == 0 && size > 10 && strcmp(name + size - 4, ".tmp") == 0;
}

// Whether a directory entry is of the kind that we make, and old enough.
static bool is_candidate(int dir, const char *name, bool folders, int64_t newest_s)
{
    struct stat st;
    if (folders ? !starts_with_uuid(name) || name[uuid_length] != '\0'
                : !(starts_with_uuid(name) && name[uuid_length] == '_') && !is_leftover_copy(name))
        return false;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_mtim.tv_sec > newest_s)
        return false;
    return folders ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode);
}

static int add_candidate(sweep *s, const char *name, weir_error *err)
{
    if (s->count == s->capacity) {
        const size_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
        candidate *const grown = realloc(s->items, capacity * sizeof *grown);
        if (grown == NULL)
            return weir__no_memory(err);
        s->items = grown;
        s->capacity = capacity;
    }
    candidate *const item = &s->items[s->count];
    *item = (candidate){0};
    if (!weir__copy_string(name, &item->name))
        return weir__no_memory(err);
    if (!is_leftover_copy(name))
        memcpy(item->id, name, uuid_length);
    s->count++;
    return WEIR_OK;
}

static void forget_candidates(sweep *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i].name);
    free(s->items);
    s->items = NULL;
    s->count = s->capacity = 0;
}

static int list_folder(sweep *s, const char *path, bool folders, weir_error *err)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *const dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        const int saved = errno;
        if (fd >= 0)
            close(fd);
        return saved == ENOENT ? WEIR_OK : weir__error_errno(err, saved, "cannot list %s", path);
    }
    int rc = WEIR_OK;
    for (const struct dirent *entry = readdir(dir); entry != NULL && rc == WEIR_OK; entry = readdir(dir))
        if (is_candidate(fd, entry->d_name, folders, s->newest_s))
            rc = add_candidate(s, entry->d_name, err);
    closedir(dir);
    return rc;
}

static int find_rows(weir_tx *tx, void *arg, weir_error *err)
{
    sweep *const s = arg;
    int rc = WEIR_OK;
    for (size_t i = 0; i < s->count && rc == WEIR_OK; i++) {
        weir_stmt *stmt = NULL;
        if (s->items[i].id[0] == '\0')
            continue;
        rc = weir_prepare(tx, s->sql, &stmt, err);
        if (rc != WEIR_OK)
            break;
        weir_bind_text(stmt, 1, s->items[i].id, WEIR_TEXT_TERMINATED);
        rc = weir_step(stmt, &s->items[i].is_known, err);
        s->items[i].is_active = s->items[i].is_known && weir_column_int64(stmt, 0) != 0;
        weir_reset(stmt);
    }
    return rc;
}

static int remove_candidate(sweep *s, const char *folder, const candidate *item, weir_error *err)
{
    weir_runs_removed here = {0};
    weir__text path = {0};
    weir__fs_join(&path, folder, item->name);
    int rc = path.failed ? weir__no_memory(err) : WEIR_OK;
    if (rc == WEIR_OK)
        weir__clean_measure(path.data, &here);
    if (rc == WEIR_OK && !s->options->dry_run)
        rc = weir__fs_remove_tree(path.data, err);
    weir__text_free(&path);
    if (rc == WEIR_OK) {
        s->removed->files += here.files;
        s->removed->bytes += here.bytes;
    }
    return rc;
}

// Sweeps one folder: what is in it and has no row goes. *known (may be NULL) keeps the names that have one.
static int sweep_folder(sweep *s, const char *folder, bool folders, weir_error *err)
{
    const weir_read_options reading = {.label = "runs: files without a row"};
    int rc = list_folder(s, folder, folders, err);
    if (rc == WEIR_OK)
        rc = weir_read(s->runs->store, find_rows, s, &reading, err);
    for (size_t i = 0; i < s->count && rc == WEIR_OK; i++) {
        const bool stop =
            s->options->progress != NULL && !s->options->progress(s->options->context, "files", i, s->count);
        if (stop)
            rc = weir__error_set(err, WEIR_CANCELLED, "stopped before everything was swept");
        else if (!s->items[i].is_known)
            rc = remove_candidate(s, folder, &s->items[i], err);
    }
    return rc;
}

// The folders of executions that have ended: files in them without an artifact's row. While one runs, a copy may
// wait for its row to be committed, and its age says nothing, because it has its source's.
static int sweep_inside(sweep *outer, const char *folder, weir_error *err)
{
    int rc = WEIR_OK;
    for (size_t i = 0; i < outer->count && rc == WEIR_OK; i++) {
        if (!outer->items[i].is_known || outer->items[i].is_active)
            continue;
        sweep inner = *outer;
        inner.items = NULL;
        inner.count = inner.capacity = 0;
        inner.sql = "SELECT 0 FROM artifacts WHERE id = $1";
        weir__text path = {0};
        weir__fs_join(&path, folder, outer->items[i].name);
        rc = path.failed ? weir__no_memory(err) : sweep_folder(&inner, path.data, false, err);
        weir__text_free(&path);
        forget_candidates(&inner);
    }
    return rc;
}

int weir_runs_sweep(weir_runs *runs, const weir_runs_cleanup_options *options, weir_runs_removed *removed,
                    weir_error *err)
{
    static const weir_runs_cleanup_options standard;
    static const char *const dirs[] = {"executions", "artifacts"};
    weir_runs_removed ignored = {0};
    sweep s = {.runs = runs,
               .options = options != NULL ? options : &standard,
               .removed = removed != NULL ? removed : &ignored,
               .sql = "SELECT status IN ('pending', 'running') FROM executions WHERE id = $1",
               .newest_s = weir__clock_wall_us(weir__clock_system()) / WEIR__US_PER_S - age_min_s};
    *s.removed = (weir_runs_removed){0};
    if (runs->read_only && !s.options->dry_run)
        return weir__error_set(err, WEIR_DENIED, "%s is open for reading only", runs->path);
    int rc = WEIR_OK;
    for (size_t i = 0; i < 2 && rc == WEIR_OK; i++) {
        weir__text folder = {0};
        weir__fs_join(&folder, runs->path, dirs[i]);
        rc = folder.failed ? weir__no_memory(err) : sweep_folder(&s, folder.data, true, err);
        if (rc == WEIR_OK && i == 1)
            rc = sweep_inside(&s, folder.data, err);
        weir__text_free(&folder);
        forget_candidates(&s);
    }
    return rc;
}

// ------------------------------------------------------------------------------------------------- repair

#define ENDED "('completed', 'failed', 'cancelled')"
#define STALE "steps.status IN ('pending', 'running')"
#define ITS_EXECUTION "SELECT 1 FROM executions e WHERE e.id = steps.execution_id AND e.status IN " ENDED
#define LATER_STEP                                                                                \
    "EXISTS (SELECT 1 FROM steps l WHERE l.execution_id = steps.execution_id AND l.step_index > " \
    "steps.step_index)"
#define IS_DONE STALE " AND EXISTS (" ITS_EXECUTION " AND (e.status = 'completed' OR " LATER_STEP "))"
#define IS_UNDONE STALE " AND EXISTS (" ITS_EXECUTION " AND e.status <> 'completed') AND NOT " LATER_STEP

typedef struct repair {
    weir_runs_repaired repaired;
} repair;

static int count_stale(weir_tx *tx, const char *sql, uint64_t *count, weir_error *err)
{
    weir_stmt *stmt = NULL;
    bool row = false;
    int rc = weir_prepare(tx, sql, &stmt, err);
    if (rc == WEIR_OK)
        rc = weir_step(stmt, &row, err);
    if (rc != WEIR_OK)
        return rc;
    *count = row ? (uint64_t)weir_column_int64(stmt, 0) : 0;
    weir_reset(stmt);
    return WEIR_OK;
}

static int count_repairs(weir_tx *tx, void *arg, weir_error *err)
{
    repair *const job = arg;
    const int rc =
        count_stale(tx, "SELECT count(*) FROM steps WHERE " IS_DONE, &job->repaired.steps_completed, err);
    return rc != WEIR_OK ? rc
                         : count_stale(tx, "SELECT count(*) FROM steps WHERE " IS_UNDONE,
                                       &job->repaired.steps_failed, err);
}

// The executions' counters first, while the stale steps can still be told from the others; then the steps.
static int do_repairs(weir_tx *tx, void *arg, weir_error *err)
{
    static const char counters[] =
        "UPDATE executions SET completed_steps = (SELECT count(*) FROM steps WHERE "
        "steps.execution_id = executions.id AND (steps.status = 'completed' OR (" IS_DONE "))) "
        "WHERE status IN " ENDED
        " AND EXISTS (SELECT 1 FROM steps WHERE steps.execution_id = executions.id AND " STALE ")";
    static const char done[] =
        "UPDATE steps SET status = 'completed', exit_code = COALESCE(exit_code, 0), "
        "completed_at = COALESCE(completed_at, (SELECT l.started_at FROM steps l WHERE "
        "l.execution_id = steps.execution_id AND l.step_index > steps.step_index ORDER BY l.step_index LIMIT "
        "1), "
        "(SELECT e.completed_at FROM executions e WHERE e.id = steps.execution_id)) WHERE " IS_DONE;
    static const char undone[] =
        "UPDATE steps SET status = 'failed', "
        "error_message = COALESCE(error_message, 'the run ended while this step was open'), "
        "exit_code = COALESCE(exit_code, (SELECT e.exit_code FROM executions e WHERE e.id = "
        "steps.execution_id)), "
        "completed_at = COALESCE(completed_at, (SELECT e.completed_at FROM executions e WHERE "
        "e.id = steps.execution_id)) WHERE " IS_UNDONE;
    repair *const job = arg;
    int rc = count_repairs(tx, job, err);
    if (rc == WEIR_OK)
        rc = weir_exec(tx, err, counters, "");
    if (rc == WEIR_OK)
        rc = weir_exec(tx, err, done, "");
    return rc != WEIR_OK ? rc : weir_exec(tx, err, undone, "");
}

int weir_runs_repair(weir_runs *runs, bool dry_run, weir_runs_repaired *repaired, weir_error *err)
{
    repair job = {0};
    const weir_read_options reading = {.label = "runs: what repair would change"};
    const weir_write_options writing = {.ack = runs->ack == WEIR_ACK_APPLIED ? WEIR_ACK_COMMITTED : runs->ack,
                                        .label = "runs: repair"};
    const int rc = dry_run ? weir_read(runs->store, count_repairs, &job, &reading, err)
                           : weir_write(runs->store, do_repairs, &job, &writing, err);
    if (repaired != NULL)
        *repaired = rc == WEIR_OK ? job.repaired : (weir_runs_repaired){0};
    return rc;
}
