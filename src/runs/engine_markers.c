// SPDX-License-Identifier: MIT
//
// What a line does. Markers change the model in memory and push what changed into the outbox; every other
// line goes to the log of the open step, or of the run. One step is open at most: a new one completes the one
// before. Once we have ended a run because of a critical error its markers no longer count, they are lines like
// any other.
//
// Metadata is kept parsed, so that a script that prints a thousand META lines costs a thousand insertions and
// not a thousand times the whole text; its size is bounded, for the run and the open step together.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "runs/engine.h"
#include "runs/markers.h"

// ---------------------------------------------------------------------------------------------- streams

int weir__stream_open(weir__run *run, const weir_run_step *step, weir__stream **out, weir_error *err)
{
    *out = NULL;
    weir__stream *const stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return weir__no_memory(err);
    stream->run = run;
    if (step != NULL) {
        stream->step_index = step->index;
        if (!weir__copy_string(step->id, &stream->step_id) ||
            !weir__copy_string(step->name, &stream->step_name)) {
            free(stream->step_id);
            free(stream);
            return weir__no_memory(err);
        }
    }
    TAILQ_INSERT_TAIL(&run->streams, stream, link);
    *out = stream;
    return WEIR_OK;
}

void weir__stream_free(weir__stream *stream)
{
    if (stream == NULL)
        return;
    TAILQ_REMOVE(&stream->run->streams, stream, link);
    weir__log_file_close(stream->file);
    weir__text_free(&stream->tail_text);
    free(stream->tail);
    free(stream->step_id);
    free(stream->step_name);
    free(stream);
}

static int open_file(weir__stream *stream, weir_error *err)
{
    if (stream->file != NULL)
        return WEIR_OK;
    char name[WEIR__LOG_NAME_SIZE];
    const int rc = weir__log_name(name, stream->step_index, stream->step_id, err);
    if (rc != WEIR_OK)
        return rc;
    return weir__log_file_open(stream->run->engine->logs, stream->run->id, name, stream, &stream->file, err);
}

static void log_line(weir__run *run, weir__span line)
{
    weir__stream *const stream = run->step.stream != NULL ? run->step.stream : run->outside;
    const weir_local_us now = weir_local_now();
    weir_error err = WEIR_ERROR_INIT;
    int rc = open_file(stream, &err);
    if (rc == WEIR_OK)
        rc = weir__log_file_append(stream->file, now, line, &err);
    if (rc != WEIR_OK) {
        weir__log(WEIR__LOG_ERROR, "a log line of run %s is lost: %s", run->id, err.text);
        return;
    }
    weir__stream_remember(stream, now, line);
    stream->lines++;
}

// --------------------------------------------------------------------------------------------- metadata

static size_t entry_bytes(weir__span key, const json_t *value)
{
    if (value == NULL)
        return 0;
    return key.size + (json_is_string(value) ? json_string_length(value) : 8) + 8;
}

// Sets object[key] = value (stolen), unless the run and its open step have used up their room.
static bool put_metadata(weir__run *run, json_t *object, weir__span key, json_t *value)
{
    const size_t room = WEIR_RUNS_JSON_MAX / 4; // a byte may take six in the column, two runs of it one row
    size_t *const used = object == run->metadata ? &run->metadata_bytes : &run->step.metadata_bytes;
    const size_t before = entry_bytes(key, json_object_getn(object, key.data, key.size));
    const size_t after = entry_bytes(key, value);
    const bool fits = run->metadata_bytes + run->step.metadata_bytes - before + after <= room;
    if (fits && json_object_setn_new(object, key.data, key.size, value) == 0) {
        *used += after - before;
        return true;
    }
    if (!fits)
        json_decref(value);
    if (!run->metadata_full)
        weir__log(WEIR__LOG_WARNING, "run %s has too much metadata: '%.*s' and more is not kept", run->id,
                  (int)(key.size < 100 ? key.size : 100), key.data);
    run->metadata_full = true;
    return false;
}

static bool is_number(weir__span text, double *number)
{
    char *const copy = weir__span_copy(weir__span_trim(text));
    json_error_t error;
    json_t *const value =
        copy != NULL ? json_loads(copy, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &error) : NULL;
    free(copy);
    const bool yes = json_is_real(value);
    *number = yes ? json_real_value(value) : 0.0;
    json_decref(value);
    return yes;
}

static void on_meta(weir__run *run, weir__span content)
{
    weir__span key;
    weir__span value;
    if (!weir__marker_split(content, &key, &value)) {
        weir__log(WEIR__LOG_INFO, "run %s: META without a value: '%.*s'", run->id,
                  (int)(content.size < 100 ? content.size : 100), content.data);
        return;
    }
    const bool in_step = run->step.model.id != NULL;
    json_t *const object = in_step ? run->step.metadata : run->metadata;
    if (!put_metadata(run, object, key, json_stringn(value.data, value.size)))
        return;
    double number = 0.0;
    if (in_step && weir__span_is(key, "ESTIMATED_DURATION") && !run->step.model.has_estimated_duration &&
        is_number(value, &number)) {
        run->step.model.has_estimated_duration = true;
        run->step.model.estimated_duration = number;
    }
    if (in_step)
        run->step.dirty = true;
    else
        run->execution_dirty = true;
    weir__run_touch(run);
}

// ------------------------------------------------------------------------------------------------- steps

static void forget_step(weir__run *run)
{
    weir_run_step_free(&run->step.model);
    json_decref(run->step.metadata);
    run->step = (weir__run_step_open){0};
}

void weir__run_step_end(weir__run *run, int64_t exit_code, const char *message)
{
    weir_run_step *const step = &run->step.model;
    if (step->id == NULL)
        return;
    weir_error err = WEIR_ERROR_INIT;
    int rc = WEIR_OK;
    if (message != NULL)
        rc = weir_run_step_fail(step, message, exit_code, &err);
    else
        rc = weir_run_step_complete(step, exit_code, &err);
    if (rc != WEIR_OK)
        weir__log(WEIR__LOG_ERROR, "a step of run %s cannot end: %s", run->id, err.text);
    if (step->status == WEIR_RUN_COMPLETED)
        run->execution.completed_steps++;
    weir__item *const item = weir__outbox_push(run, WEIR_RUN_EVENT_STEP_ENDED, step);
    if (item != NULL)
        item->stream = run->step.stream;
    else
        weir__stream_free(run->step.stream);
    forget_step(run);
}

static void take_params(weir__run *run, weir__span content)
{
    weir_run_step *const step = &run->step.model;
    weir__params params;
    weir__params_parse(content, &params);
    for (size_t i = 0; i < params.count; i++)
        (void)put_metadata(run, run->step.metadata, params.items[i].key, weir__param_value(&params.items[i]));
    const weir__param *const duration = weir__params_get(&params, "duration");
    step->has_estimated_duration =
        duration != NULL && weir__param_number(duration, &step->estimated_duration);
    step->stop_on_error = weir__param_truth(weir__params_get(&params, "stop_on_error"));
}

static int begin_step(weir__run *run, weir__span content, weir_error *err)
{
    weir_run_step *const step = &run->step.model;
    int rc = weir_run_step_init(step, run->id, err);
    if (rc != WEIR_OK)
        return rc;
    run->step.metadata = json_object();
    char *const name = weir__span_copy(weir__marker_step_name(content));
    if (name == NULL || run->step.metadata == NULL) {
        free(name);
        return weir__no_memory(err);
    }
    free(step->name);
    step->name = name;
    step->index = run->execution.total_steps;
    take_params(run, content);
    rc = weir_run_step_start(step, err);
    if (rc == WEIR_OK)
        rc = weir__stream_open(run, step, &run->step.stream, err);
    return rc;
}

static void on_step_start(weir__run *run, weir__span content)
{
    weir__run_step_end(run, 0, NULL);
    weir_error err = WEIR_ERROR_INIT;
    if (begin_step(run, content, &err) != WEIR_OK) {
        weir__log(WEIR__LOG_ERROR, "a step of run %s is lost: %s", run->id, err.text);
        forget_step(run);
        return;
    }
    run->execution.current_step_index = run->step.model.index;
    run->execution.total_steps++;
    (void)weir__outbox_push(run, WEIR_RUN_EVENT_STEP_STARTED, &run->step.model);
}

static void on_step_complete(weir__run *run, weir__span content)
{
    const weir__span name = weir__marker_step_name(content);
    const weir_run_step *const step = &run->step.model;
    if (step->id != NULL && weir__span_is(name, step->name))
        weir__run_step_end(run, 0, NULL);
    else
        weir__log(WEIR__LOG_INFO, "run %s: STEP_COMPLETE for '%.*s', which is not the open step", run->id,
                  (int)(name.size < 100 ? name.size : 100), name.data);
}

static void on_step_error(weir__run *run, weir__span content)
{
    const weir_run_step *const step = &run->step.model;
    if (step->id == NULL) {
        weir__log(WEIR__LOG_INFO, "run %s: STEP_ERROR without an open step", run->id);
        return;
    }
    char *const message = weir__span_copy(content);
    weir__text critical = {0};
    if (step->stop_on_error) {
        weir__text_printf(&critical, "Critical step failed: %s - ", step->name);
        weir__text_append(&critical, content.data, content.size);
    }
    const bool stop = step->stop_on_error;
    weir__run_step_end(run, 1, message != NULL ? message : "");
    if (stop)
        weir__run_stop(run, WEIR__STOP_CRITICAL, weir__text_string(&critical));
    weir__text_free(&critical);
    free(message);
}

// --------------------------------------------------------------------------------------------- artifacts

static int fill_artifact(const weir__run *run, weir_artifact *artifact, weir__span path,
                         weir__span description, weir_error *err)
{
    int rc = weir_artifact_init(artifact, run->id, err);
    if (rc != WEIR_OK)
        return rc;
    char *const given = weir__span_copy(path);
    weir__text joined = {0};
    if (given != NULL && given[0] == '/')
        weir__text_add(&joined, given);
    else if (given != NULL)
        weir__fs_join(&joined, run->execution.working_directory, given);
    free(artifact->file_path);
    artifact->file_path = weir__text_take(&joined);
    free(artifact->description);
    artifact->description = weir__span_copy(description);
    free(artifact->name);
    artifact->name = NULL;
    if (given == NULL || artifact->file_path == NULL || artifact->description == NULL ||
        !weir__copy_string(weir__path_name(given), &artifact->name) ||
        !weir__copy_string(run->step.model.id, &artifact->step_id))
        rc = weir__no_memory(err);
    free(given);
    return rc;
}

static void give_to_worker(weir__item *item)
{
    weir__runs_engine *const engine = item->run->engine;
    item->state = WEIR__ITEM_COPYING;
    pthread_mutex_lock(&engine->lock);
    TAILQ_INSERT_TAIL(&engine->copies, item, inbox_link);
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

// False: the marker has no path, the line is just a line.
static bool on_artifact(weir__run *run, weir__span content)
{
    weir__span path;
    weir__span description;
    (void)weir__marker_split(content, &path, &description);
    path = weir__span_trim(path);
    description = weir__span_trim(description);
    while (path.size > 1 && path.data[path.size - 1] == '/')
        path.size--; // a directory's name is its last component
    if (path.size == 0) {
        weir__log(WEIR__LOG_INFO, "run %s: ARTIFACT without a path", run->id);
        return false;
    }
    const bool in_step = run->step.model.id != NULL;
    weir__item *const item =
        weir__outbox_push(run, WEIR_RUN_EVENT_ARTIFACT, in_step ? &run->step.model : NULL);
    if (item == NULL)
        return true;
    weir_error err = WEIR_ERROR_INIT;
    if (fill_artifact(run, &item->artifact, path, description, &err) != WEIR_OK) {
        weir__log(WEIR__LOG_ERROR, "an artifact of run %s is lost: %s", run->id, err.text);
        item->kind = WEIR_RUN_EVENT_CHANGED;
        item->save_execution = true;
        return true;
    }
    item->has_artifact = true;
    weir__outbox_weigh(item);
    give_to_worker(item);
    return true;
}

// ------------------------------------------------------------------------------------------------- lines

void weir__run_line(void *context, weir__span line, bool first)
{
    weir__run *const run = context;
    weir__marker marker = {0};
    const bool strict = run->engine->runs->strict_markers;
    if (first && run->stop != WEIR__STOP_CRITICAL)
        marker = weir__marker_find(weir__markers_plain(line, &run->plain), strict);
    bool keep = false;
    switch (marker.kind) {
    case WEIR__MARKER_NONE:
        keep = true;
        break;
    case WEIR__MARKER_STEP_START:
        on_step_start(run, marker.content);
        break;
    case WEIR__MARKER_STEP_COMPLETE:
        on_step_complete(run, marker.content);
        break;
    case WEIR__MARKER_STEP_ERROR:
        on_step_error(run, marker.content);
        break;
    case WEIR__MARKER_ARTIFACT: // a word right before it: perhaps a chance hit, so the line is kept too
        keep = !on_artifact(run, marker.content) || marker.after_word;
        break;
    case WEIR__MARKER_META:
        on_meta(run, marker.content);
        keep = marker.after_word;
        break;
    }
    if (keep)
        log_line(run, line);
}
