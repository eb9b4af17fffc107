// SPDX-License-Identifier: MIT
//
// Telling listeners. They are called on the loop's thread under listen_lock, which is recursive so that a
// listener may take itself off; entries are freed only when no call is under way. Lines wait in their stream
// until they are in the log file and the step they belong to has been told; while nobody listens, none are
// kept.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "runs/engine.h"

int weir_runs_listen(weir_runs *runs, weir_run_event_fn *call, void *context, uint64_t *listener_id,
                     weir_error *err)
{
    *listener_id = 0;
    weir__runs_engine *const engine = runs->engine;
    if (engine == NULL)
        return weir__error_set(err, WEIR_UNSUPPORTED, "%s was opened without an engine: no runs to listen to",
                               runs->path);
    weir__listener *const listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return weir__no_memory(err);
    pthread_mutex_lock(&engine->listen_lock);
    *listener = (weir__listener){.id = ++engine->listener_last, .call = call, .context = context};
    TAILQ_INSERT_TAIL(&engine->listeners, listener, link);
    atomic_fetch_add(&engine->listener_count, 1);
    *listener_id = listener->id;
    pthread_mutex_unlock(&engine->listen_lock);
    return WEIR_OK;
}

static void bury_the_dead(weir__runs_engine *engine)
{
    weir__listener *listener = TAILQ_FIRST(&engine->listeners);
    while (listener != NULL) {
        weir__listener *const next = TAILQ_NEXT(listener, link);
        if (listener->dead) {
            TAILQ_REMOVE(&engine->listeners, listener, link);
            free(listener);
        }
        listener = next;
    }
}

void weir_runs_unlisten(weir_runs *runs, uint64_t listener_id)
{
    weir__runs_engine *const engine = runs->engine;
    if (engine == NULL)
        return;
    pthread_mutex_lock(&engine->listen_lock);
    weir__listener *listener;
    TAILQ_FOREACH(listener, &engine->listeners, link)
    {
        if (listener->id == listener_id && !listener->dead) {
            listener->dead = true;
            atomic_fetch_sub(&engine->listener_count, 1);
        }
    }
    if (engine->publishing == 0)
        bury_the_dead(engine);
    pthread_mutex_unlock(&engine->listen_lock);
}

void weir__engine_publish(weir__runs_engine *engine, const weir_run_event *event)
{
    if (atomic_load(&engine->listener_count) == 0)
        return;
    pthread_mutex_lock(&engine->listen_lock);
    engine->publishing++;
    weir__listener *listener;
    TAILQ_FOREACH(listener, &engine->listeners, link)
    {
        if (!listener->dead)
            listener->call(listener->context, event);
    }
    if (--engine->publishing == 0)
        bury_the_dead(engine);
    pthread_mutex_unlock(&engine->listen_lock);
}

// ----------------------------------------------------------------------------------------------- lines

static void tail_clear(weir__stream *stream)
{
    weir__text_free(&stream->tail_text);
    stream->tail_count = 0;
}

static bool tail_reserve(weir__stream *stream)
{
    if (stream->tail_count < stream->tail_capacity)
        return true;
    const size_t capacity = stream->tail_capacity > 0 ? stream->tail_capacity * 2 : 16;
    weir__tail_line *const tail = reallocarray(stream->tail, capacity, sizeof *tail);
    if (tail == NULL)
        return false;
    stream->tail = tail;
    stream->tail_capacity = capacity;
    return true;
}

void weir__stream_remember(weir__stream *stream, weir_local_us time, weir__span line)
{
    if (atomic_load(&stream->run->engine->listener_count) == 0) {
        tail_clear(stream);
        return;
    }
    if (stream->tail_count == 0)
        stream->tail_first = stream->lines;
    const size_t offset = stream->tail_text.size;
    if (tail_reserve(stream)) {
        weir__text_append(&stream->tail_text, line.data, line.size);
        weir__text_append(&stream->tail_text, "", 1);
        if (!stream->tail_text.failed) {
            stream->tail[stream->tail_count++] = (weir__tail_line){time, offset, line.size};
            return;
        }
    }
    tail_clear(stream); // no memory: listeners miss lines, the file does not
}

static weir_log_line line_at(const weir__stream *stream, size_t i)
{
    return (weir_log_line){
        .time = stream->tail[i].time,
        .content = stream->tail_text.data + stream->tail[i].offset,
        .content_size = stream->tail[i].size,
        .step_id = stream->step_id,
        .step_name = stream->step_name,
        .number = stream->tail_first + i,
    };
}

// Forgets the first `count` lines.
static void tail_drop(weir__stream *stream, size_t count)
{
    if (count == stream->tail_count) {
        tail_clear(stream);
        return;
    }
    const size_t cut = stream->tail[count].offset;
    stream->tail_count -= count;
    stream->tail_first += count;
    stream->tail_text.size -= cut;
    memmove(stream->tail_text.data, stream->tail_text.data + cut, stream->tail_text.size);
    memmove(stream->tail, stream->tail + count, stream->tail_count * sizeof *stream->tail);
    for (size_t i = 0; i < stream->tail_count; i++)
        stream->tail[i].offset -= cut;
}

void weir__stream_publish(weir__stream *stream)
{
    if (!stream->announced || stream->tail_count == 0 || stream->lines_written <= stream->tail_first)
        return;
    const uint64_t written = stream->lines_written - stream->tail_first;
    const size_t count = written < stream->tail_count ? (size_t)written : stream->tail_count;
    weir_log_line *const lines = calloc(count, sizeof *lines);
    if (lines != NULL) {
        for (size_t i = 0; i < count; i++)
            lines[i] = line_at(stream, i);
        static char nothing[] = "";
        static char no_metadata[] = "{}";
        weir_run_step step = {.id = stream->step_id,
                              .execution_id = stream->run->id,
                              .name = stream->step_name,
                              .description = nothing,
                              .index = stream->step_index,
                              .status = WEIR_RUN_RUNNING,
                              .metadata_json = no_metadata};
        const bool is_open = stream->step_id != NULL && stream->run->step.stream == stream;
        const weir_run_event event = {
            .kind = WEIR_RUN_EVENT_LOG,
            .execution_id = stream->run->id,
            .step = is_open                   ? &stream->run->step.model
                    : stream->step_id != NULL ? &step
                                              : NULL,
            .lines = lines,
            .lines_count = count,
        };
        weir__engine_publish(stream->run->engine, &event);
    }
    free(lines);
    tail_drop(stream, count);
}
