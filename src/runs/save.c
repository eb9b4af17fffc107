// SPDX-License-Identifier: MIT
//
// Writing rows. Each item is one upsert whose WHERE guards the status that the row has by then:
//
//   - a final status stays: only a save with the same status changes the row's other fields;
//   - running does not go back to pending.
//
// So a late save, out of order or of another process, cannot revive a run. Steps that were skipped over
// (pending straight to completed) are fine here: the models enforce single transitions, saves may be merged
// ones.
//
// One statement per item also is what isolates items of a batch: SQLite undoes a failing statement alone, no
// savepoint needed, as long as the failure is the item's own (weir__save_is_refusal) and not the disk's.
//
// weir__save_* run inside a job, on whatever thread runs it; the rest may be called from any thread.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "runs/runs.h"

bool weir__save_is_refusal(int code)
{
    return code == WEIR_STATE || code == WEIR_CONSTRAINT || code == WEIR_INVALID || code == WEIR_TOOBIG;
}

// ----------------------------------------------------------------------------------------------- binding

// Binds one value after the other. Times are formatted into the slots, which live as long as the statement.
typedef struct binder {
    weir_stmt *stmt;
    int index;
    char times[3][WEIR_LOCAL_TEXT_SIZE];
    int times_used;
} binder;

static void bind_text(binder *b, const char *text)
{
    weir_bind_text(b->stmt, ++b->index, text, WEIR_TEXT_TERMINATED);
}

static void bind_or(binder *b, const char *text, const char *missing)
{
    bind_text(b, text != NULL ? text : missing);
}

static void bind_int64(binder *b, bool present, int64_t value)
{
    if (present)
        weir_bind_int64(b->stmt, ++b->index, value);
    else
        weir_bind_null(b->stmt, ++b->index);
}

static void bind_time(binder *b, weir_local_us time)
{
    WEIR_ASSERT(b->times_used < 3);
    char *const slot = b->times[b->times_used++];
    weir_local_format(time, slot);
    bind_text(b, time != 0 ? slot : NULL);
}

static const char *status_word(weir_run_status status, const char *status_text)
{
    return status == WEIR_RUN_OTHER && status_text != NULL ? status_text : weir_run_status_name(status);
}

static int check_ids(const char *kind, const char *id, const char *execution_id, weir_local_us created_at,
                     weir_error *err)
{
    if (id == NULL || *id == '\0')
        return weir__error_set(err, WEIR_INVALID, "this %s has no id", kind);
    if (execution_id == NULL || *execution_id == '\0')
        return weir__error_set(err, WEIR_INVALID, "the %s %s belongs to no execution", kind, id);
    if (created_at == 0)
        return weir__error_set(err, WEIR_INVALID, "the %s %s has no time of creation", kind, id);
    return WEIR_OK;
}

// Runs an upsert; no changed row means that the guard refused it.
static int run_guarded(weir_tx *tx, weir_stmt *stmt, const char *kind, const char *id, const char *status,
                       weir_error *err)
{
    bool row = false;
    const int rc = weir_step(stmt, &row, err);
    if (rc != WEIR_OK)
        return rc;
    WEIR_ASSERT(!row);
    if (weir_changes(tx) == 0)
        return weir__error_set(err, WEIR_STATE,
                               "the %s %s cannot become %s any more: it has ended, or is running", kind, id,
                               status);
    return WEIR_OK;
}

int weir__save_execution(weir_tx *tx, const weir_execution *e, weir_error *err)
{
    static const char sql[] =
        "INSERT INTO executions (id, name, command, working_directory, status, exit_code, error_message, "
        "created_at, started_at, completed_at, environment, user_name, tags, total_steps, completed_steps, "
        "current_step_index, metadata) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) "
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name, command = excluded.command, "
        "working_directory = excluded.working_directory, status = excluded.status, "
        "exit_code = excluded.exit_code, error_message = excluded.error_message, "
        "created_at = excluded.created_at, started_at = excluded.started_at, "
        "completed_at = excluded.completed_at, environment = excluded.environment, "
        "user_name = excluded.user_name, tags = excluded.tags, total_steps = excluded.total_steps, "
        "completed_steps = excluded.completed_steps, current_step_index = excluded.current_step_index, "
        "metadata = excluded.metadata "
        "WHERE executions.status = excluded.status OR (executions.status NOT IN ('completed', 'failed', "
        "'cancelled') AND NOT (executions.status = 'running' AND excluded.status = 'pending'))";
    binder b = {0};
    int rc = check_ids("execution", e->id, e->id, e->created_at, err);
    if (rc == WEIR_OK)
        rc = weir_prepare(tx, sql, &b.stmt, err);
    if (rc != WEIR_OK)
        return rc;
    bind_text(&b, e->id);
    bind_or(&b, e->name, "");
    bind_or(&b, e->command, "");
    bind_or(&b, e->working_directory, "");
    bind_text(&b, status_word(e->status, e->status_text));
    bind_int64(&b, e->has_exit_code, e->exit_code);
    bind_text(&b, e->error_message);
    bind_time(&b, e->created_at);
    bind_time(&b, e->started_at);
    bind_time(&b, e->completed_at);
    bind_or(&b, e->environment_json, "{}");
    bind_text(&b, e->user);
    bind_or(&b, e->tags_json, "[]");
    bind_int64(&b, true, e->total_steps);
    bind_int64(&b, true, e->completed_steps);
    bind_int64(&b, true, e->current_step_index);
    bind_or(&b, e->metadata_json, "{}");
    return run_guarded(tx, b.stmt, "execution", e->id, status_word(e->status, e->status_text), err);
}

int weir__save_step(weir_tx *tx, const weir_run_step *s, weir_error *err)
{
    static const char sql[] =
        "INSERT INTO steps (id, execution_id, name, description, step_index, status, exit_code, "
        "error_message, "
        "created_at, started_at, completed_at, estimated_duration, stop_on_error, metadata) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) "
        "ON CONFLICT (id) DO UPDATE SET execution_id = excluded.execution_id, name = excluded.name, "
        "description = excluded.description, step_index = excluded.step_index, status = excluded.status, "
        "exit_code = excluded.exit_code, error_message = excluded.error_message, "
        "created_at = excluded.created_at, started_at = excluded.started_at, "
        "completed_at = excluded.completed_at, estimated_duration = excluded.estimated_duration, "
        "stop_on_error = excluded.stop_on_error, metadata = excluded.metadata "
        "WHERE steps.status = excluded.status OR (steps.status NOT IN ('completed', 'failed', 'skipped') "
        "AND NOT (steps.status = 'running' AND excluded.status = 'pending'))";
    binder b = {0};
    int rc = check_ids("step", s->id, s->execution_id, s->created_at, err);
    if (rc == WEIR_OK)
        rc = weir_prepare(tx, sql, &b.stmt, err);
    if (rc != WEIR_OK)
        return rc;
    bind_text(&b, s->id);
    bind_text(&b, s->execution_id);
    bind_or(&b, s->name, "");
    bind_or(&b, s->description, "");
    bind_int64(&b, true, s->index);
    bind_text(&b, status_word(s->status, s->status_text));
    bind_int64(&b, s->has_exit_code, s->exit_code);
    bind_text(&b, s->error_message);
    bind_time(&b, s->created_at);
    bind_time(&b, s->started_at);
    bind_time(&b, s->completed_at);
    if (s->has_estimated_duration)
        weir_bind_double(b.stmt, ++b.index, s->estimated_duration);
    else
        weir_bind_null(b.stmt, ++b.index);
    bind_int64(&b, true, s->stop_on_error);
    bind_or(&b, s->metadata_json, "{}");
    return run_guarded(tx, b.stmt, "step", s->id, status_word(s->status, s->status_text), err);
}

int weir__save_artifact(weir_tx *tx, const weir_artifact *a, weir_error *err)
{
    static const char sql[] =
        "INSERT INTO artifacts (id, execution_id, step_id, name, description, file_path, file_name, "
        "file_size, "
        "mime_type, artifact_type, created_at, tags, is_public, retention_days, metadata) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) "
        "ON CONFLICT (id) DO UPDATE SET execution_id = excluded.execution_id, step_id = excluded.step_id, "
        "name = excluded.name, description = excluded.description, file_path = excluded.file_path, "
        "file_name = excluded.file_name, file_size = excluded.file_size, mime_type = excluded.mime_type, "
        "artifact_type = excluded.artifact_type, created_at = excluded.created_at, tags = excluded.tags, "
        "is_public = excluded.is_public, retention_days = excluded.retention_days, "
        "metadata = excluded.metadata";
    binder b = {0};
    bool row = false;
    int rc = check_ids("artifact", a->id, a->execution_id, a->created_at, err);
    if (rc == WEIR_OK)
        rc = weir_prepare(tx, sql, &b.stmt, err);
    if (rc != WEIR_OK)
        return rc;
    bind_text(&b, a->id);
    bind_text(&b, a->execution_id);
    bind_text(&b, a->step_id);
    bind_or(&b, a->name, "");
    bind_or(&b, a->description, "");
    bind_or(&b, a->file_path, "");
    bind_or(&b, a->file_name, "");
    bind_int64(&b, true, a->file_size);
    bind_or(&b, a->mime_type, "");
    bind_or(&b, a->artifact_type, "other");
    bind_time(&b, a->created_at);
    bind_or(&b, a->tags_json, "[]");
    bind_int64(&b, true, a->is_public);
    bind_int64(&b, a->has_retention_days, a->retention_days);
    bind_or(&b, a->metadata_json, "{}");
    return weir_step(b.stmt, &row, err);
}

int weir__save_record(weir_tx *tx, const weir__run_record *r, weir_error *err)
{
    static const char sql[] =
        "INSERT INTO weir_run (execution_id, argv, timeout_ms, engine_pid, engine_start_ticks, "
        "engine_boot_id, "
        "script_pid, script_start_ticks) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
        "ON CONFLICT (execution_id) DO UPDATE SET argv = excluded.argv, timeout_ms = excluded.timeout_ms, "
        "engine_pid = excluded.engine_pid, engine_start_ticks = excluded.engine_start_ticks, "
        "engine_boot_id = excluded.engine_boot_id, script_pid = excluded.script_pid, "
        "script_start_ticks = excluded.script_start_ticks";
    return weir_exec(tx, err, sql, "tbiiitii", r->execution_id, (const void *)r->argv, r->argv_size,
                     r->timeout_ms, r->engine_pid, r->engine_start_ticks, r->engine_boot_id, r->script_pid,
                     r->script_start_ticks);
}

int weir__save_output(weir_tx *tx, const weir__run_output *o, weir_error *err)
{
    static const char sql[] =
        "INSERT INTO weir_run_output (execution_id, step_id, lines, bytes) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (execution_id, step_id) DO UPDATE SET lines = excluded.lines, bytes = excluded.bytes";
    return weir_exec(tx, err, sql, "ttii", o->execution_id, o->step_id != NULL ? o->step_id : "", o->lines,
                     o->bytes);
}

// ------------------------------------------------------------------------------------------------ batches

typedef struct batch {
    const weir_save_item *items; // with JSON columns checked and redacted
    size_t count;
    weir_error *results;
} batch;

static int save_item(weir_tx *tx, const weir_save_item *item, weir_error *err)
{
    switch (item->kind) {
    case WEIR_SAVE_EXECUTION:
        return weir__save_execution(tx, item->execution, err);
    case WEIR_SAVE_STEP:
        return weir__save_step(tx, item->step, err);
    case WEIR_SAVE_ARTIFACT:
        return weir__save_artifact(tx, item->artifact, err);
    }
    return weir__error_set(err, WEIR_INVALID, "an item of an unknown kind");
}

// Parents before children: three passes, one per kind. May run again, so it overwrites every result.
static int save_batch(weir_tx *tx, void *arg, weir_error *err)
{
    batch *const job = arg;
    for (int kind = WEIR_SAVE_EXECUTION; kind <= WEIR_SAVE_ARTIFACT; kind++)
        for (size_t i = 0; i < job->count; i++) {
            if ((int)job->items[i].kind != kind || job->results[i].code == WEIR_INVALID)
                continue;
            weir_error result = WEIR_ERROR_INIT;
            const int rc = save_item(tx, &job->items[i], &result);
            if (rc != WEIR_OK && !weir__save_is_refusal(rc)) {
                weir__error_copy(err, &result);
                return rc;
            }
            job->results[i] = result;
        }
    return WEIR_OK;
}

// A JSON column as Python would write it.
static int normalise(char **column, json_type wanted)
{
    weir__text text = {0};
    json_t *value = NULL;
    if (*column == NULL || **column == '\0')
        return weir__replace_string(column, wanted == JSON_ARRAY ? "[]" : "{}", NULL);
    const int rc = weir__json_parse(*column, strlen(*column), wanted, &value);
    if (rc != WEIR_OK)
        return rc;
    weir__json_dump(&text, value);
    json_decref(value);
    char *const json = weir__text_take(&text);
    if (json == NULL)
        return WEIR_NOMEM;
    free(*column);
    *column = json;
    return WEIR_OK;
}

// The columns may be NULL where the kind does not have them.
static int normalise_all(const char *kind, const char *id, char **object, char **array, char **other_object,
                         weir_error *err)
{
    int rc = object != NULL ? normalise(object, JSON_OBJECT) : WEIR_OK;
    if (rc == WEIR_OK && array != NULL)
        rc = normalise(array, JSON_ARRAY);
    if (rc == WEIR_OK)
        rc = normalise(other_object, JSON_OBJECT);
    if (rc == WEIR_NOMEM)
        return weir__no_memory(err);
    if (rc == WEIR_OK)
        return WEIR_OK;
    return weir__error_set(err, WEIR_INVALID,
                           "the %s %s has environment, tags or metadata that are not a JSON object or array",
                           kind, id != NULL ? id : "?");
}

// One item's copy with its JSON columns as Python would write them, and the environment redacted.
typedef union clean_copy {
    weir_execution execution;
    weir_run_step step;
    weir_artifact artifact;
} clean_copy;

static int clean_execution(weir_runs *runs, const weir_execution *from, weir_execution *to, weir_error *err)
{
    int rc = weir_execution_copy(from, to, err);
    if (rc != WEIR_OK)
        return rc;
    rc = normalise_all("execution", to->id, &to->environment_json, &to->tags_json, &to->metadata_json, err);
    if (rc != WEIR_OK)
        return rc;
    char *redacted = NULL;
    rc = weir__json_redact(runs, to->environment_json, &redacted, err);
    if (rc != WEIR_OK)
        return rc;
    free(to->environment_json);
    to->environment_json = redacted;
    return WEIR_OK;
}

static int clean_item(weir_runs *runs, weir_save_item *item, clean_copy *copy, weir_error *err)
{
    int rc = WEIR_OK;
    if (item->kind == WEIR_SAVE_EXECUTION && item->execution != NULL) {
        rc = clean_execution(runs, item->execution, &copy->execution, err);
        item->execution = &copy->execution;
    } else if (item->kind == WEIR_SAVE_STEP && item->step != NULL) {
        rc = weir_run_step_copy(item->step, &copy->step, err);
        item->step = &copy->step;
        if (rc == WEIR_OK)
            rc = normalise_all("step", copy->step.id, NULL, NULL, &copy->step.metadata_json, err);
    } else if (item->kind == WEIR_SAVE_ARTIFACT && item->artifact != NULL) {
        rc = weir_artifact_copy(item->artifact, &copy->artifact, err);
        item->artifact = &copy->artifact;
        if (rc == WEIR_OK)
            rc = normalise_all("artifact", copy->artifact.id, NULL, &copy->artifact.tags_json,
                               &copy->artifact.metadata_json, err);
    } else {
        rc = weir__error_set(err, WEIR_INVALID, "an item of an unknown kind, or without its value");
    }
    return rc;
}

static void free_clean(const weir_save_item *item, clean_copy *copy)
{
    if (item->kind == WEIR_SAVE_EXECUTION && item->execution == &copy->execution)
        weir_execution_free(&copy->execution);
    else if (item->kind == WEIR_SAVE_STEP && item->step == &copy->step)
        weir_run_step_free(&copy->step);
    else if (item->kind == WEIR_SAVE_ARTIFACT && item->artifact == &copy->artifact)
        weir_artifact_free(&copy->artifact);
}

// These calls promise that the rows are committed when they return, or when their callback is called.
static weir_ack committed_at_least(weir_ack ack)
{
    return ack == WEIR_ACK_APPLIED ? WEIR_ACK_COMMITTED : ack;
}

static int write_batch(weir_runs *runs, batch *job, weir_error *err)
{
    const weir_write_options options = {.ack = committed_at_least(runs->ack), .label = "runs: save"};
    const int rc = weir_write(runs->store, save_batch, job, &options, err);
    if (rc != WEIR_OK) {
        for (size_t i = 0; err != NULL && i < job->count; i++)
            job->results[i] = *err;
        for (size_t i = 0; err == NULL && i < job->count; i++)
            weir__error_set(&job->results[i], rc, "the batch was not saved");
        return rc;
    }
    for (size_t i = 0; i < job->count; i++)
        if (job->results[i].code != WEIR_OK) {
            weir__error_copy(err, &job->results[i]);
            return job->results[i].code;
        }
    return WEIR_OK;
}

int weir_runs_save(weir_runs *runs, const weir_save_item *items, size_t count, weir_error *results,
                   weir_error *err)
{
    if (count == 0)
        return WEIR_OK;
    weir_save_item *const cleaned = calloc(count, sizeof *cleaned);
    clean_copy *const copies = calloc(count, sizeof *copies);
    weir_error *const made = results == NULL ? calloc(count, sizeof *made) : NULL;
    batch job = {.items = cleaned, .count = count, .results = results != NULL ? results : made};
    int rc = WEIR_OK;
    if (cleaned == NULL || copies == NULL || job.results == NULL) {
        rc = weir__no_memory(err);
        goto out;
    }
    for (size_t i = 0; i < count && rc == WEIR_OK; i++) {
        cleaned[i] = items[i];
        weir__error_clear(&job.results[i]);
        rc = clean_item(runs, &cleaned[i], &copies[i], &job.results[i]);
        if (rc == WEIR_INVALID) // its own trouble: the job leaves it out
            rc = WEIR_OK;
        else if (rc != WEIR_OK)
            weir__error_copy(err, &job.results[i]);
    }
    if (rc == WEIR_OK)
        rc = write_batch(runs, &job, err);
    for (size_t i = 0; i < count; i++)
        free_clean(&cleaned[i], &copies[i]);
out:
    free(made);
    free(copies);
    free(cleaned);
    return rc;
}

int weir_runs_save_execution(weir_runs *runs, const weir_execution *execution, weir_error *err)
{
    const weir_save_item item = {.kind = WEIR_SAVE_EXECUTION, .execution = execution};
    return weir_runs_save(runs, &item, 1, NULL, err);
}

int weir_runs_save_step(weir_runs *runs, const weir_run_step *step, weir_error *err)
{
    const weir_save_item item = {.kind = WEIR_SAVE_STEP, .step = step};
    return weir_runs_save(runs, &item, 1, NULL, err);
}

// --------------------------------------------------------------------------------- what the engine saves

int weir__run_record_copy(const weir__run_record *from, weir__run_record *to, weir_error *err)
{
    *to = *from;
    to->argv = from->argv != NULL ? malloc(from->argv_size + 1) : NULL;
    bool complete = from->argv == NULL || to->argv != NULL;
    if (to->argv != NULL)
        memcpy(to->argv, from->argv, from->argv_size);
    complete = weir__copy_string(from->execution_id, &to->execution_id) && complete;
    complete = weir__copy_string(from->engine_boot_id, &to->engine_boot_id) && complete;
    if (complete)
        return WEIR_OK;
    weir__run_record_free(to);
    return weir__no_memory(err);
}

void weir__run_record_free(weir__run_record *record)
{
    free(record->execution_id);
    free(record->argv);
    free(record->engine_boot_id);
    *record = (weir__run_record){0};
}

void weir__run_output_free(weir__run_output *output)
{
    free(output->execution_id);
    free(output->step_id);
    *output = (weir__run_output){0};
}

// A save set that owns its values; set's pointers point at them.
typedef struct owned_set {
    weir__save_set set;
    weir_execution execution;
    weir__run_record record;
    weir_run_step steps[2];
    weir_artifact artifact;
    weir__run_output outputs[2];
} owned_set;

static void release_set(void *arg)
{
    owned_set *const owned = arg;
    weir_execution_free(&owned->execution);
    weir__run_record_free(&owned->record);
    weir_artifact_free(&owned->artifact);
    for (int i = 0; i < 2; i++) {
        weir_run_step_free(&owned->steps[i]);
        weir__run_output_free(&owned->outputs[i]);
    }
    free(owned);
}

static int copy_output(const weir__run_output *from, weir__run_output *to, weir_error *err)
{
    *to = *from;
    bool complete = weir__copy_string(from->execution_id, &to->execution_id);
    complete = weir__copy_string(from->step_id, &to->step_id) && complete;
    if (complete)
        return WEIR_OK;
    weir__run_output_free(to);
    return weir__no_memory(err);
}

static int copy_pair(const weir__save_set *from, int i, owned_set *to, weir_error *err)
{
    int rc = WEIR_OK;
    if (from->steps[i] != NULL) {
        rc = weir_run_step_copy(from->steps[i], &to->steps[i], err);
        to->set.steps[i] = &to->steps[i];
    }
    if (rc == WEIR_OK && from->outputs[i] != NULL) {
        rc = copy_output(from->outputs[i], &to->outputs[i], err);
        to->set.outputs[i] = &to->outputs[i];
    }
    return rc;
}

static int copy_set(const weir__save_set *from, owned_set **copy, weir_error *err)
{
    *copy = NULL;
    owned_set *const to = calloc(1, sizeof *to);
    if (to == NULL)
        return weir__no_memory(err);
    to->set.clear_cancel_request = from->clear_cancel_request;
    int rc = WEIR_OK;
    if (from->execution != NULL) {
        rc = weir_execution_copy(from->execution, &to->execution, err);
        to->set.execution = &to->execution;
    }
    if (rc == WEIR_OK && from->record != NULL) {
        rc = weir__run_record_copy(from->record, &to->record, err);
        to->set.record = &to->record;
    }
    if (rc == WEIR_OK && from->artifact != NULL) {
        rc = weir_artifact_copy(from->artifact, &to->artifact, err);
        to->set.artifact = &to->artifact;
    }
    for (int i = 0; i < 2 && rc == WEIR_OK; i++)
        rc = copy_pair(from, i, to, err);
    if (rc != WEIR_OK) {
        release_set(to);
        return rc;
    }
    *copy = to;
    return WEIR_OK;
}

static int clear_cancel_request(weir_tx *tx, const weir__save_set *set, weir_error *err)
{
    const char *const id = set->execution != NULL  ? set->execution->id
                           : set->steps[0] != NULL ? set->steps[0]->execution_id
                                                   : NULL;
    return id != NULL ? weir_exec(tx, err, "DELETE FROM weir_cancel_request WHERE execution_id = $1", "t", id)
                      : WEIR_OK;
}

static int save_set(weir_tx *tx, void *arg, weir_error *err)
{
    const weir__save_set *const set = &((const owned_set *)arg)->set;
    int rc = WEIR_OK;
    if (set->execution != NULL)
        rc = weir__save_execution(tx, set->execution, err);
    if (rc == WEIR_OK && set->record != NULL)
        rc = weir__save_record(tx, set->record, err);
    for (int i = 0; i < 2 && rc == WEIR_OK; i++)
        if (set->steps[i] != NULL)
            rc = weir__save_step(tx, set->steps[i], err);
    if (rc == WEIR_OK && set->artifact != NULL)
        rc = weir__save_artifact(tx, set->artifact, err);
    for (int i = 0; i < 2 && rc == WEIR_OK; i++)
        if (set->outputs[i] != NULL)
            rc = weir__save_output(tx, set->outputs[i], err);
    if (rc == WEIR_OK && set->clear_cancel_request)
        rc = clear_cancel_request(tx, set, err);
    return rc;
}

static size_t length(const char *text)
{
    return text != NULL ? strlen(text) : 0;
}

// What the queue's bound on memory counts: the struct and the strings that may be large.
static size_t set_bytes(const owned_set *owned)
{
    size_t bytes = sizeof *owned + owned->record.argv_size;
    bytes += length(owned->execution.command) + length(owned->execution.environment_json) +
             length(owned->execution.metadata_json) + length(owned->execution.tags_json) +
             length(owned->execution.error_message) + length(owned->artifact.metadata_json);
    for (int i = 0; i < 2; i++)
        bytes += length(owned->steps[i].metadata_json) + length(owned->steps[i].error_message);
    return bytes;
}

int weir__runs_submit(weir_runs *runs, const weir__save_set *set, weir_done_fn *done, void *context,
                      weir_error *err)
{
    owned_set *owned = NULL;
    const int rc = copy_set(set, &owned, err);
    if (rc != WEIR_OK)
        return rc;
    const weir_write_options options = {
        .ack = committed_at_least(runs->ack),
        .fail_when_full = true,
        .arg_bytes = set_bytes(owned),
        .release = release_set,
        .label = "runs: state of a run",
    };
    return weir_submit(runs->store, save_set, owned, &options, done, context, err);
}

int weir__runs_save_now(weir_runs *runs, const weir__save_set *set, weir_error *err)
{
    owned_set *owned = NULL;
    const int rc = copy_set(set, &owned, err);
    if (rc != WEIR_OK)
        return rc;
    const weir_write_options options = {
        .ack = committed_at_least(runs->ack),
        .arg_bytes = set_bytes(owned),
        .release = release_set,
        .label = "runs: state of a run",
    };
    return weir_write(runs->store, save_set, owned, &options, err);
}
