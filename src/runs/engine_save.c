// SPDX-License-Identifier: MIT
//
// The outbox of a run: what is to be saved, oldest first. An item goes to the store when all before it have
// gone, and when what it speaks of is there: the step's lines are on disk, the artifact is copied. It leaves
// the outbox, and is told to listeners, when its commit has come back and all before it have left. So the
// rows of a run appear in the order in which things happened, and nobody hears of anything that a power cut
// could still take back.
//
// Several items are with the store at a time. When one fails for a cause that may pass (a lock, a full disk),
// the outbox waits until the others in flight have come back, then goes on from the failed one. Values that a
// later item has saved in between are not saved again: they would be older.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "runs/engine.h"

static bool may_pass(int code)
{
    return code == WEIR_BUSY || code == WEIR_FULL || code == WEIR_IO || code == WEIR_NOMEM ||
           code == WEIR_EXPIRED;
}

// ------------------------------------------------------------------------------------------- new items

void weir__item_free(weir__item *item)
{
    if (item == NULL)
        return;
    weir_execution_free(&item->execution);
    weir_run_step_free(&item->step);
    weir_artifact_free(&item->artifact);
    free(item);
}

static char *dump(const json_t *value)
{
    weir__text text = {0};
    weir__json_dump(&text, value);
    return weir__text_take(&text);
}

static int copy_with_metadata(const weir__run *run, weir__item *item, const weir_run_step *step)
{
    int rc = weir_execution_copy(&run->execution, &item->execution, NULL);
    if (rc != WEIR_OK)
        return rc;
    free(item->execution.metadata_json);
    item->execution.metadata_json = dump(run->metadata);
    if (item->execution.metadata_json == NULL)
        return WEIR_NOMEM;
    if (step == NULL)
        return WEIR_OK;
    rc = weir_run_step_copy(step, &item->step, NULL);
    if (rc != WEIR_OK)
        return rc;
    item->has_step = true;
    if (run->step.metadata == NULL)
        return WEIR_OK;
    free(item->step.metadata_json);
    item->step.metadata_json = dump(run->step.metadata);
    return item->step.metadata_json != NULL ? WEIR_OK : WEIR_NOMEM;
}

static size_t length(const char *text)
{
    return text != NULL ? strlen(text) : 0;
}

void weir__outbox_weigh(weir__item *item)
{
    const weir_execution *const execution = &item->execution;
    const weir_run_step *const step = &item->step;
    const weir_artifact *const artifact = &item->artifact;
    const size_t bytes = sizeof *item + length(execution->name) + length(execution->command) +
                         length(execution->environment_json) + length(execution->tags_json) +
                         length(execution->metadata_json) + length(execution->error_message) +
                         length(step->name) + length(step->error_message) + length(step->metadata_json) +
                         length(artifact->name) + length(artifact->description) + length(artifact->file_path);
    item->run->outbox_bytes += bytes - item->bytes;
    item->bytes = bytes;
}

bool weir__outbox_has_room(const weir__run *run)
{
    return run->outbox_count < WEIR__OUTBOX_MAX && run->outbox_bytes < WEIR__OUTBOX_BYTES_MAX;
}

static bool is_turning_point(weir_run_event_kind kind)
{
    return kind == WEIR_RUN_EVENT_QUEUED || kind == WEIR_RUN_EVENT_STARTED || kind == WEIR_RUN_EVENT_ENDED;
}

// Whether the execution's row may be saved again already.
static bool changes_are_due(const weir__run *run)
{
    return run->engine->now_ns >= run->changes_saved_ns + WEIR__CHANGES_MS * WEIR__NS_PER_MS;
}

weir__item *weir__outbox_push(weir__run *run, weir_run_event_kind kind, const weir_run_step *step)
{
    weir__item *const item = calloc(1, sizeof *item);
    if (item == NULL || copy_with_metadata(run, item, step) != WEIR_OK) {
        weir__item_free(item);
        weir__log(WEIR__LOG_ERROR, "no memory to save what run %s did", run->id);
        return NULL;
    }
    item->run = run;
    item->kind = kind;
    item->state = WEIR__ITEM_READY;
    item->save_step = step != NULL && kind != WEIR_RUN_EVENT_ARTIFACT;
    item->save_record = kind == WEIR_RUN_EVENT_QUEUED || kind == WEIR_RUN_EVENT_STARTED;
    item->save_execution = is_turning_point(kind) || changes_are_due(run);
    if (item->save_execution)
        run->changes_saved_ns = run->engine->now_ns;
    run->execution_dirty = !item->save_execution;
    if (item->save_step && step == &run->step.model)
        run->step.dirty = false;
    TAILQ_INSERT_TAIL(&run->outbox, item, link);
    run->outbox_count++;
    weir__outbox_weigh(item);
    weir__run_touch(run);
    return item;
}

void weir__outbox_changes(weir__run *run)
{
    if (!changes_are_due(run) || run->phase != WEIR__PHASE_RUNNING)
        return;
    if (run->step.dirty)
        (void)weir__outbox_push(run, WEIR_RUN_EVENT_STEP_CHANGED, &run->step.model);
    else if (run->execution_dirty)
        (void)weir__outbox_push(run, WEIR_RUN_EVENT_CHANGED, NULL);
}

// ------------------------------------------------------------------------------------------ submitting

// On the store's thread.
static void on_commit(void *context, const weir_error *result)
{
    weir__item *const item = context;
    weir__runs_engine *const engine = item->run->engine;
    item->result = *result;
    pthread_mutex_lock(&engine->lock);
    TAILQ_INSERT_TAIL(&engine->done, item, inbox_link);
    weir__engine_wake_locked(engine);
    pthread_mutex_unlock(&engine->lock);
}

// Asks for the lines that an item waits for; true when they are there (or can never be, which is noted in the
// item).
static bool lines_are_on_disk(weir__item *item)
{
    weir__stream *const stream = item->stream;
    if (stream == NULL || stream->file == NULL || stream->flushed)
        return true;
    if (!stream->flush_asked) {
        stream->flush_asked = true;
        weir__log_file_flush(stream->file);
    }
    return false;
}

static void note_lost_lines(weir__item *item)
{
    weir__stream *const stream = item->stream;
    if (stream == NULL || stream->flush_error.code == WEIR_OK)
        return;
    weir__log(WEIR__LOG_ERROR, "the log of run %s is not on disk: %s", item->run->id,
              stream->flush_error.text);
    char **const metadata = item->has_step ? &item->step.metadata_json : &item->execution.metadata_json;
    (void)weir__json_put(metadata, "log_error", json_string(stream->flush_error.text), NULL);
    stream->flush_error = (weir_error){0};
}

static weir__run_output output_of(const weir__stream *stream)
{
    return (weir__run_output){
        .execution_id = stream->run->id,
        .step_id = stream->step_id,
        .lines = (int64_t)stream->lines_written,
        .bytes = (int64_t)stream->bytes_written,
    };
}

static int submit(weir__item *item, weir_error *err)
{
    weir__run *const run = item->run;
    WEIR_ASSERT(run != NULL);
    note_lost_lines(item);
    weir__save_set set = {
        .execution = item->save_execution ? &item->execution : NULL,
        .record = item->save_record ? &run->record : NULL,
        .steps = {item->save_step ? &item->step : NULL},
        .artifact = item->has_artifact ? &item->artifact : NULL,
        .clear_cancel_request = item->kind == WEIR_RUN_EVENT_ENDED,
    };
    weir__run_output output;
    if (item->stream != NULL && item->stream->lines > 0) {
        output = output_of(item->stream);
        set.outputs[0] = &output;
    }
    if (set.execution == NULL && set.record == NULL && set.steps[0] == NULL && set.artifact == NULL &&
        set.outputs[0] == NULL && !set.clear_cancel_request) {
        item->state = WEIR__ITEM_COMMITTED; // all of it was outdated, or was only to be told
        return WEIR_OK;
    }
    item->state = WEIR__ITEM_SUBMITTED;
    const int rc = weir__runs_submit(run->engine->runs, &set, on_commit, item, err);
    if (rc == WEIR_OK)
        run->outbox_flight++;
    return rc;
}

// What later items have saved already is newer than what a failed one holds.
static void drop_outdated(weir__item *failed)
{
    for (weir__item *item = TAILQ_NEXT(failed, link); item != NULL; item = TAILQ_NEXT(item, link)) {
        if (item->state != WEIR__ITEM_COMMITTED)
            continue;
        if (item->save_execution)
            failed->save_execution = false;
        if (item->save_step && failed->has_step && strcmp(item->step.id, failed->step.id) == 0)
            failed->save_step = false;
    }
}

static void note_failure(weir__item *item)
{
    weir__run *const run = item->run;
    if (may_pass(item->result.code) && item->kind != WEIR_RUN_EVENT_QUEUED) {
        item->state = WEIR__ITEM_FAILED;
        run->submit_after_ns = run->engine->now_ns + WEIR__SAVE_RETRY_MS * WEIR__NS_PER_MS;
        if (!run->saves_fail)
            weir__log(WEIR__LOG_WARNING, "saving run %s failed and is tried again: %s", run->id,
                      item->result.text);
        run->saves_fail = true;
        return;
    }
    item->state = WEIR__ITEM_DROPPED;
    pthread_mutex_lock(&run->engine->lock);
    run->engine->save_error = item->result;
    pthread_mutex_unlock(&run->engine->lock);
    weir__log(WEIR__LOG_ERROR, "what run %s did cannot be saved: %s", run->id, item->result.text);
}

// Hands the store what it may have. Stops at the first item that has to wait.
static void submit_what_may_go(weir__run *run)
{
    weir__item *item;
    TAILQ_FOREACH(item, &run->outbox, link)
    {
        if (item->state == WEIR__ITEM_FAILED) {
            if (run->outbox_flight > 0)
                return;
            drop_outdated(item);
            item->state = WEIR__ITEM_READY;
        }
        if (item->state == WEIR__ITEM_COPYING)
            return;
        if (item->state != WEIR__ITEM_READY)
            continue;
        if (run->outbox_flight >= WEIR__OUTBOX_FLIGHT_MAX || !lines_are_on_disk(item))
            return;
        weir_error err = WEIR_ERROR_INIT;
        if (submit(item, &err) != WEIR_OK) {
            item->result = err;
            note_failure(item);
            if (item->state == WEIR__ITEM_FAILED)
                return;
        }
    }
}

void weir__outbox_finished(weir__item *item)
{
    weir__run *const run = item->run;
    weir__run_touch(run);
    if (item->state == WEIR__ITEM_COPYING) {
        item->state = WEIR__ITEM_READY;
        if (item->result.code != WEIR_OK) {
            weir__log(WEIR__LOG_WARNING, "an artifact of run %s was not copied: %s", run->id,
                      item->result.text);
            (void)weir__json_put(&item->artifact.metadata_json, "copy_error", json_string(item->result.text),
                                 NULL);
        }
        return;
    }
    WEIR_ASSERT(item->state == WEIR__ITEM_SUBMITTED);
    WEIR_ASSERT(run->outbox_flight > 0);
    run->outbox_flight--;
    if (item->result.code == WEIR_OK) {
        item->state = WEIR__ITEM_COMMITTED;
        run->saves_fail = false;
    } else {
        note_failure(item);
    }
}

// --------------------------------------------------------------------------------------- what is told

static void tell(const weir__item *item)
{
    const weir_run_event event = {
        .kind = item->kind,
        .execution_id = item->run->id,
        .execution = &item->execution,
        .step = item->has_step ? &item->step : NULL,
        .artifact = item->has_artifact ? &item->artifact : NULL,
    };
    weir__engine_publish(item->run->engine, &event);
}

static void announce(weir__stream *stream)
{
    if (stream == NULL)
        return;
    stream->announced = true;
    weir__stream_publish(stream);
}

static weir__stream *stream_of_step(weir__run *run, const char *step_id)
{
    weir__stream *stream;
    TAILQ_FOREACH(stream, &run->streams, link)
    {
        if (stream->step_id != NULL && strcmp(stream->step_id, step_id) == 0)
            return stream;
    }
    return NULL;
}

// What follows from an item's end for its run.
static void follow(weir__item *item)
{
    weir__run *const run = item->run;
    const bool saved = item->state == WEIR__ITEM_COMMITTED;
    switch (item->kind) {
    case WEIR_RUN_EVENT_QUEUED:
        if (saved && run->phase == WEIR__PHASE_RECORDING) {
            run->phase = WEIR__PHASE_QUEUED;
            TAILQ_INSERT_TAIL(&run->engine->queue, run, queue_link);
            weir__run_touch(run); // it may have been cancelled already
        } else if (!saved) {
            weir__run_answer(run, &item->result, NULL);
            run->phase = WEIR__PHASE_GONE;
        }
        break;
    case WEIR_RUN_EVENT_STARTED:
        weir__run_answer(run, &item->result, saved ? &item->execution : NULL);
        announce(run->outside);
        if (!saved) // whoever started it has been told that nothing runs
            weir__run_stop(run, WEIR__STOP_CANCEL, "its start could not be recorded");
        break;
    case WEIR_RUN_EVENT_STEP_STARTED:
        announce(stream_of_step(run, item->step.id));
        break;
    case WEIR_RUN_EVENT_STEP_ENDED:
        weir__stream_free(item->stream);
        break;
    case WEIR_RUN_EVENT_ENDED:
        weir__run_answer(run, &item->result, saved ? &item->execution : NULL);
        run->phase = WEIR__PHASE_GONE;
        break;
    case WEIR_RUN_EVENT_CHANGED:
    case WEIR_RUN_EVENT_STEP_CHANGED:
    case WEIR_RUN_EVENT_ARTIFACT:
    case WEIR_RUN_EVENT_LOG:
        break;
    }
}

void weir__outbox_advance(weir__run *run)
{
    if (run->engine->now_ns >= run->submit_after_ns)
        submit_what_may_go(run);
    for (weir__item *item = TAILQ_FIRST(&run->outbox); item != NULL; item = TAILQ_FIRST(&run->outbox)) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that TAILQ_REMOVE moves the first item
        if (item->state != WEIR__ITEM_COMMITTED && item->state != WEIR__ITEM_DROPPED)
            break;
        TAILQ_REMOVE(&run->outbox, item, link);
        run->outbox_count--;
        run->outbox_bytes -= item->bytes;
        if (item->state == WEIR__ITEM_COMMITTED)
            tell(item);
        follow(item);
        weir__item_free(item);
    }
}

uint64_t weir__outbox_deadline_ns(const weir__run *run)
{
    uint64_t due_ns = WEIR__FOREVER;
    const weir__item *item;
    TAILQ_FOREACH(item, &run->outbox, link)
    {
        if (item->state == WEIR__ITEM_FAILED && run->outbox_flight == 0)
            due_ns = run->submit_after_ns;
    }
    const uint64_t changes_ns = run->changes_saved_ns + WEIR__CHANGES_MS * WEIR__NS_PER_MS;
    if (run->phase == WEIR__PHASE_RUNNING && (run->execution_dirty || run->step.dirty) && changes_ns < due_ns)
        due_ns = changes_ns;
    return due_ns;
}
