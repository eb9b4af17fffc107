// SPDX-License-Identifier: MIT
//
// The three models in memory: defaults, copies, release, and the transitions of their status. Each struct
// owns its strings one by one; a table of their offsets does for copy and release what would otherwise be
// written out once per field.
//
// No shared state; a struct belongs to one thread at a time.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "runs/runs.h"

// ----------------------------------------------------------------------------------------------- strings

bool weir__copy_string(const char *from, char **to)
{
    *to = from != NULL ? strdup(from) : NULL;
    return from == NULL || *to != NULL;
}

int weir__replace_string(char **field, const char *text, weir_error *err)
{
    char *copy = NULL;
    if (!weir__copy_string(text, &copy))
        return weir__no_memory(err);
    free(*field);
    *field = copy;
    return WEIR_OK;
}

static char **string_at(void *model, size_t offset)
{
    return (char **)(void *)((char *)model + offset);
}

static void free_strings(void *model, const size_t *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(*string_at(model, offsets[i]));
}

// A copy that every reader of the database can decode: one invalid byte makes Python refuse the whole list.
static bool copy_valid(const char *from, char **to)
{
    if (from == NULL || weir__utf8_is_valid(from, strlen(from)))
        return weir__copy_string(from, to);
    weir__text text = {0};
    weir__text_utf8(&text, from, strlen(from));
    *to = weir__text_take(&text);
    return *to != NULL;
}

// Replaces the strings of a bitwise copy by copies of their own.
static bool own_strings(void *model, const size_t *offsets, size_t count)
{
    bool complete = true;
    for (size_t i = 0; i < count; i++) {
        char **const field = string_at(model, offsets[i]);
        complete = copy_valid(*field, field) && complete;
    }
    return complete;
}

static const size_t execution_strings[] = {
    offsetof(weir_execution, id),
    offsetof(weir_execution, name),
    offsetof(weir_execution, command),
    offsetof(weir_execution, working_directory),
    offsetof(weir_execution, status_text),
    offsetof(weir_execution, error_message),
    offsetof(weir_execution, environment_json),
    offsetof(weir_execution, user),
    offsetof(weir_execution, tags_json),
    offsetof(weir_execution, metadata_json),
};

static const size_t step_strings[] = {
    offsetof(weir_run_step, id),
    offsetof(weir_run_step, execution_id),
    offsetof(weir_run_step, name),
    offsetof(weir_run_step, description),
    offsetof(weir_run_step, status_text),
    offsetof(weir_run_step, error_message),
    offsetof(weir_run_step, metadata_json),
};

static const size_t artifact_strings[] = {
    offsetof(weir_artifact, id),
    offsetof(weir_artifact, execution_id),
    offsetof(weir_artifact, step_id),
    offsetof(weir_artifact, name),
    offsetof(weir_artifact, description),
    offsetof(weir_artifact, file_path),
    offsetof(weir_artifact, file_name),
    offsetof(weir_artifact, mime_type),
    offsetof(weir_artifact, tags_json),
    offsetof(weir_artifact, artifact_type),
    offsetof(weir_artifact, metadata_json),
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

void weir_execution_free(weir_execution *execution)
{
    if (execution == NULL)
        return;
    free_strings(execution, execution_strings, COUNT(execution_strings));
    *execution = (weir_execution){0};
}

void weir_run_step_free(weir_run_step *step)
{
    if (step == NULL)
        return;
    free_strings(step, step_strings, COUNT(step_strings));
    *step = (weir_run_step){0};
}

void weir_artifact_free(weir_artifact *artifact)
{
    if (artifact == NULL)
        return;
    free_strings(artifact, artifact_strings, COUNT(artifact_strings));
    *artifact = (weir_artifact){0};
}

int weir_execution_copy(const weir_execution *from, weir_execution *to, weir_error *err)
{
    *to = *from;
    if (own_strings(to, execution_strings, COUNT(execution_strings)))
        return WEIR_OK;
    weir_execution_free(to);
    return weir__no_memory(err);
}

int weir_run_step_copy(const weir_run_step *from, weir_run_step *to, weir_error *err)
{
    *to = *from;
    if (own_strings(to, step_strings, COUNT(step_strings)))
        return WEIR_OK;
    weir_run_step_free(to);
    return weir__no_memory(err);
}

int weir_artifact_copy(const weir_artifact *from, weir_artifact *to, weir_error *err)
{
    *to = *from;
    if (own_strings(to, artifact_strings, COUNT(artifact_strings)))
        return WEIR_OK;
    weir_artifact_free(to);
    return weir__no_memory(err);
}

void weir_execution_list_free(weir_execution_list *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        weir_execution_free(&list->items[i]);
    free(list->items);
    free(list->next_cursor);
    *list = (weir_execution_list){0};
}

void weir_run_step_list_free(weir_run_step_list *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        weir_run_step_free(&list->items[i]);
    free(list->items);
    *list = (weir_run_step_list){0};
}

void weir_artifact_list_free(weir_artifact_list *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        weir_artifact_free(&list->items[i]);
    free(list->items);
    *list = (weir_artifact_list){0};
}

void weir_run_detail_free(weir_run_detail *detail)
{
    if (detail == NULL)
        return;
    weir_execution_free(&detail->execution);
    weir_run_step_list_free(&detail->steps);
    weir_artifact_list_free(&detail->artifacts);
}

// ---------------------------------------------------------------------------------------------- defaults

typedef struct default_string {
    size_t offset;
    const char *value;
} default_string;

static int set_defaults(void *model, const default_string *strings, size_t count, weir_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!weir__copy_string(strings[i].value, string_at(model, strings[i].offset)))
            return weir__no_memory(err);
    return WEIR_OK;
}

int weir_execution_init(weir_execution *execution, weir_error *err)
{
    char id[WEIR__UUID_SIZE];
    weir__uuid4(id);
    *execution = (weir_execution){.created_at = weir_local_now(), .current_step_index = -1};
    const default_string strings[] = {
        {offsetof(weir_execution, id), id},
        {offsetof(weir_execution, name), ""},
        {offsetof(weir_execution, command), ""},
        {offsetof(weir_execution, working_directory), ""},
        {offsetof(weir_execution, environment_json), "{}"},
        {offsetof(weir_execution, tags_json), "[]"},
        {offsetof(weir_execution, metadata_json), "{}"},
    };
    const int rc = set_defaults(execution, strings, COUNT(strings), err);
    if (rc != WEIR_OK)
        weir_execution_free(execution);
    return rc;
}

int weir_run_step_init(weir_run_step *step, const char *execution_id, weir_error *err)
{
    char id[WEIR__UUID_SIZE];
    weir__uuid4(id);
    *step = (weir_run_step){.created_at = weir_local_now()};
    const default_string strings[] = {
        {offsetof(weir_run_step, id), id},
        {offsetof(weir_run_step, execution_id), execution_id},
        {offsetof(weir_run_step, name), ""},
        {offsetof(weir_run_step, description), ""},
        {offsetof(weir_run_step, metadata_json), "{}"},
    };
    const int rc = set_defaults(step, strings, COUNT(strings), err);
    if (rc != WEIR_OK)
        weir_run_step_free(step);
    return rc;
}

int weir_artifact_init(weir_artifact *artifact, const char *execution_id, weir_error *err)
{
    char id[WEIR__UUID_SIZE];
    weir__uuid4(id);
    *artifact = (weir_artifact){.created_at = weir_local_now(), .is_public = true};
    const default_string strings[] = {
        {offsetof(weir_artifact, id), id},          {offsetof(weir_artifact, execution_id), execution_id},
        {offsetof(weir_artifact, name), ""},        {offsetof(weir_artifact, description), ""},
        {offsetof(weir_artifact, file_path), ""},   {offsetof(weir_artifact, file_name), ""},
        {offsetof(weir_artifact, mime_type), ""},   {offsetof(weir_artifact, artifact_type), "other"},
        {offsetof(weir_artifact, tags_json), "[]"}, {offsetof(weir_artifact, metadata_json), "{}"},
    };
    const int rc = set_defaults(artifact, strings, COUNT(strings), err);
    if (rc != WEIR_OK)
        weir_artifact_free(artifact);
    return rc;
}

// ------------------------------------------------------------------------------------------------ status

static const char *const status_names[] = {"pending",   "running", "completed", "failed",
                                           "cancelled", "skipped", "other"};

const char *weir_run_status_name(weir_run_status status)
{
    return (unsigned)status < COUNT(status_names) ? status_names[status] : "other";
}

bool weir_run_status_parse(const char *name, weir_run_status *status)
{
    for (unsigned i = 0; i < (unsigned)WEIR_RUN_OTHER; i++)
        if (strcmp(name, status_names[i]) == 0) {
            *status = (weir_run_status)i;
            return true;
        }
    *status = WEIR_RUN_OTHER;
    return false;
}

bool weir_run_status_is_final(weir_run_status status)
{
    return status == WEIR_RUN_COMPLETED || status == WEIR_RUN_FAILED || status == WEIR_RUN_CANCELLED ||
           status == WEIR_RUN_SKIPPED;
}

// pending -> running -> any end; pending -> any end but completed.
static bool may_become(weir_run_status from, weir_run_status to)
{
    if (to == WEIR_RUN_RUNNING)
        return from == WEIR_RUN_PENDING;
    WEIR_ASSERT(weir_run_status_is_final(to));
    return from == WEIR_RUN_RUNNING || (from == WEIR_RUN_PENDING && to != WEIR_RUN_COMPLETED);
}

static int refuse(const char *what, const char *id, weir_run_status from, weir_run_status to, weir_error *err)
{
    return weir__error_set(err, WEIR_STATE, "%s %s is %s and cannot become %s", what, id != NULL ? id : "?",
                           weir_run_status_name(from), weir_run_status_name(to));
}

static int move_execution(weir_execution *execution, weir_run_status to, weir_error *err)
{
    if (!may_become(execution->status, to))
        return refuse("execution", execution->id, execution->status, to, err);
    execution->status = to;
    *(to == WEIR_RUN_RUNNING ? &execution->started_at : &execution->completed_at) = weir_local_now();
    return WEIR_OK;
}

static int move_step(weir_run_step *step, weir_run_status to, weir_error *err)
{
    if (!may_become(step->status, to))
        return refuse("step", step->id, step->status, to, err);
    step->status = to;
    *(to == WEIR_RUN_RUNNING ? &step->started_at : &step->completed_at) = weir_local_now();
    return WEIR_OK;
}

int weir_execution_start(weir_execution *execution, weir_error *err)
{
    return move_execution(execution, WEIR_RUN_RUNNING, err);
}

int weir_execution_complete(weir_execution *execution, int64_t exit_code, weir_error *err)
{
    const int rc = move_execution(execution, exit_code == 0 ? WEIR_RUN_COMPLETED : WEIR_RUN_FAILED, err);
    if (rc != WEIR_OK)
        return rc;
    execution->has_exit_code = true;
    execution->exit_code = exit_code;
    return WEIR_OK;
}

int weir_execution_fail(weir_execution *execution, const char *message, int64_t exit_code, weir_error *err)
{
    if (!may_become(execution->status, WEIR_RUN_FAILED))
        return refuse("execution", execution->id, execution->status, WEIR_RUN_FAILED, err);
    const int rc = weir__replace_string(&execution->error_message, message, err);
    if (rc != WEIR_OK)
        return rc;
    execution->has_exit_code = true;
    execution->exit_code = exit_code;
    return move_execution(execution, WEIR_RUN_FAILED, err);
}

int weir_execution_cancel(weir_execution *execution, weir_error *err)
{
    return move_execution(execution, WEIR_RUN_CANCELLED, err);
}

int weir_run_step_start(weir_run_step *step, weir_error *err)
{
    return move_step(step, WEIR_RUN_RUNNING, err);
}

int weir_run_step_complete(weir_run_step *step, int64_t exit_code, weir_error *err)
{
    const int rc = move_step(step, exit_code == 0 ? WEIR_RUN_COMPLETED : WEIR_RUN_FAILED, err);
    if (rc != WEIR_OK)
        return rc;
    step->has_exit_code = true;
    step->exit_code = exit_code;
    return WEIR_OK;
}

int weir_run_step_fail(weir_run_step *step, const char *message, int64_t exit_code, weir_error *err)
{
    if (!may_become(step->status, WEIR_RUN_FAILED))
        return refuse("step", step->id, step->status, WEIR_RUN_FAILED, err);
    const int rc = weir__replace_string(&step->error_message, message, err);
    if (rc != WEIR_OK)
        return rc;
    step->has_exit_code = true;
    step->exit_code = exit_code;
    return move_step(step, WEIR_RUN_FAILED, err);
}

int weir_run_step_skip(weir_run_step *step, const char *reason, weir_error *err)
{
    if (!may_become(step->status, WEIR_RUN_SKIPPED))
        return refuse("step", step->id, step->status, WEIR_RUN_SKIPPED, err);
    const int rc = weir__replace_string(&step->error_message, reason, err);
    return rc != WEIR_OK ? rc : move_step(step, WEIR_RUN_SKIPPED, err);
}

// --------------------------------------------------------------------------------------------- durations

static bool duration(weir_local_us started_at, weir_local_us completed_at, weir_local_us now, double *seconds)
{
    *seconds = 0.0;
    if (started_at == 0)
        return false;
    if (completed_at == 0)
        completed_at = now != 0 ? now : weir_local_now();
    *seconds = (double)(completed_at - started_at) / (double)WEIR__US_PER_S;
    return true;
}

bool weir_execution_duration(const weir_execution *execution, weir_local_us now, double *seconds)
{
    return duration(execution->started_at, execution->completed_at, now, seconds);
}

bool weir_run_step_duration(const weir_run_step *step, weir_local_us now, double *seconds)
{
    return duration(step->started_at, step->completed_at, now, seconds);
}

double weir_execution_progress(const weir_execution *execution)
{
    if (execution->total_steps == 0)
        return 0.0;
    return (double)execution->completed_steps / (double)execution->total_steps * 100;
}
