// SPDX-License-Identifier: MIT
//
// A linked list under one lock that is held only to link and unlink; copying happens outside of it.
#include "cli/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"

int weir__events_init(weir__events *events, weir_error *err)
{
    *events = (weir__events){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (events->fd < 0)
        return weir__error_errno(err, errno, "cannot make an event descriptor");
    pthread_mutex_init(&events->lock, NULL);
    return WEIR_OK;
}

void weir__event_free(weir__event *event)
{
    if (event == NULL)
        return;
    weir_execution_free(&event->execution);
    weir_run_step_free(&event->step);
    weir_artifact_free(&event->artifact);
    for (size_t i = 0; i < event->lines_count; i++)
        free((char *)(uintptr_t)event->lines[i].content);
    free(event->lines);
    free(event);
}

void weir__events_fini(weir__events *events)
{
    while (events->first != NULL) {
        weir__event *const event = events->first;
        events->first = event->next;
        weir__event_free(event);
    }
    close(events->fd);
    pthread_mutex_destroy(&events->lock);
}

static bool may_be_dropped(const weir_run_event *event)
{
    return event->kind == WEIR_RUN_EVENT_LOG || event->kind == WEIR_RUN_EVENT_CHANGED ||
           event->kind == WEIR_RUN_EVENT_STEP_CHANGED;
}

static bool copy_lines(const weir_run_event *from, weir__event *to)
{
    if (from->lines_count == 0)
        return true;
    to->lines = calloc(from->lines_count, sizeof *to->lines);
    if (to->lines == NULL)
        return false;
    for (size_t i = 0; i < from->lines_count; i++) {
        const weir_log_line *const line = &from->lines[i];
        char *const content = strndup(line->content, line->content_size);
        if (content == NULL)
            return false;
        to->lines[to->lines_count++] = (weir_log_line){
            .time = line->time,
            .content = content,
            .content_size = line->content_size,
            .number = line->number,
        };
        to->bytes += sizeof *line + line->content_size;
    }
    return true;
}

// Gives copied lines the step of the event, whose strings live as long as they do.
static void name_lines(weir__event *event)
{
    for (size_t i = 0; i < event->lines_count; i++) {
        event->lines[i].step_id = event->step.id;
        event->lines[i].step_name = event->step.name;
    }
}

static weir__event *copy(const weir_run_event *from)
{
    weir__event *const to = calloc(1, sizeof *to);
    if (to == NULL)
        return NULL;
    to->kind = from->kind;
    to->bytes = sizeof *to;
    snprintf(to->execution_id, sizeof to->execution_id, "%s", from->execution_id);
    const bool fine =
        (from->execution == NULL || weir_execution_copy(from->execution, &to->execution, NULL) == WEIR_OK) &&
        (from->step == NULL || weir_run_step_copy(from->step, &to->step, NULL) == WEIR_OK) &&
        (from->artifact == NULL || weir_artifact_copy(from->artifact, &to->artifact, NULL) == WEIR_OK) &&
        copy_lines(from, to);
    if (!fine) {
        weir__event_free(to);
        return NULL;
    }
    name_lines(to);
    return to;
}

static bool is_full(weir__events *events)
{
    pthread_mutex_lock(&events->lock);
    const bool full = events->bytes >= WEIR__EVENTS_BYTES_MAX;
    pthread_mutex_unlock(&events->lock);
    return full;
}

static void note_dropped(weir__events *events, const weir_run_event *event)
{
    pthread_mutex_lock(&events->lock);
    events->dropped += event->lines_count;
    pthread_mutex_unlock(&events->lock);
}

void weir__events_listener(void *context, const weir_run_event *event)
{
    weir__events *const events = context;
    const uint64_t one = 1;
    weir__event *const added = may_be_dropped(event) && is_full(events) ? NULL : copy(event);
    if (added == NULL) {
        note_dropped(events, event);
    } else {
        pthread_mutex_lock(&events->lock);
        added->lines_dropped = events->dropped;
        events->dropped = 0;
        events->bytes += added->bytes;
        if (events->last != NULL)
            events->last->next = added;
        else
            events->first = added;
        events->last = added;
        pthread_mutex_unlock(&events->lock);
    }
    (void)!write(events->fd, &one, sizeof one);
}

weir__event *weir__events_take(weir__events *events)
{
    uint64_t count = 0;
    pthread_mutex_lock(&events->lock);
    weir__event *const event = events->first;
    if (event != NULL) {
        events->first = event->next;
        events->bytes -= event->bytes;
        if (events->first == NULL)
            events->last = NULL;
    } else {
        (void)!read(events->fd, &count, sizeof count);
    }
    pthread_mutex_unlock(&events->lock);
    return event;
}
