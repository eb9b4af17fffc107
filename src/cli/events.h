// SPDX-License-Identifier: MIT
//
// What a run tells (weir_runs_listen) on its way from the engine's thread to the thread that draws. The
// engine must not wait for a terminal, so this is a bounded queue: when the reader is slow, log lines and
// intermediate states are dropped and counted; they are in the record all the same. Beginnings, ends and
// artifacts are never dropped.
//
// weir__events_listener() is called on the engine's thread; everything else on the reader's.
#ifndef WEIR_CLI_EVENTS_H
#define WEIR_CLI_EVENTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/runs.h>

// Bytes of log lines that may wait.
enum { WEIR__EVENTS_BYTES_MAX = 8 << 20 };

// One event with copies of all that it speaks of.
typedef struct weir__event weir__event;
struct weir__event {
    weir__event *next;
    weir_run_event_kind kind;
    char execution_id[WEIR_ID_LENGTH_MAX + 1];
    weir_execution execution; // id is NULL where the event has none
    weir_run_step step;
    weir_artifact artifact;
    weir_log_line *lines; // their content belongs to the event
    size_t lines_count;
    size_t bytes;           // what it counts for
    uint64_t lines_dropped; // before this event
};

typedef struct weir__events {
    pthread_mutex_t lock;
    weir__event *first, *last; // lock
    size_t bytes;              // lock: waiting
    uint64_t dropped;          // lock: lines since the last event that was queued
    int fd;                    // an eventfd, readable while something may wait
} weir__events;

int weir__events_init(weir__events *events, weir_error *err);
void weir__events_fini(weir__events *events);

// A weir_run_event_fn; the context is the weir__events.
void weir__events_listener(void *context, const weir_run_event *event);

// The oldest event, to be freed with weir__event_free(); NULL when there is none, then the eventfd is
// cleared.
weir__event *weir__events_take(weir__events *events);
void weir__event_free(weir__event *event);

#endif
