// SPDX-License-Identifier: MIT
//
// The engine that runs scripts: what its files share.
//
//   engine.c            the event loop, opening and closing, the helper threads
//   engine_api.c        what other threads call: start, cancel, wait
//   engine_run.c        one run's process: start, output, signals, end
//   engine_markers.c    what the lines that a script prints do to its steps
//   engine_save.c       the outbox: what a run saves, in order, and what is told afterwards
//   engine_events.c     listeners
//   engine_claim.c      how an engine shows that it lives
//   engine_reconcile.c  runs whose engine died
//
// Threads. One thread, the loop's, owns every run and all that hangs on it. It never waits for a disk or a
// lock that is held across one: log lines go to the log writer (logwriter.h), rows to the store's writer
// (weir__runs_submit), copies of artifacts to worker threads, cancel requests of other processes are looked
// up by a watcher thread. They all answer through the engine's inbox, an eventfd wakes the loop.
//
// A run's life, by phase:
//
//     RECORDING --row committed--> QUEUED --slot free, process started--> RUNNING --process and output
//     over--> ENDING --> gone
//         |                          | ^
//         +--refused by the store    +--could not be started, or cancelled
//         -------------------------------------+
//
// Locks: engine->lock, then nothing. engine->listen_lock is held while listeners are called and may be
// followed by engine->lock, never the other way round.
#ifndef WEIR_RUNS_ENGINE_H
#define WEIR_RUNS_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/process.h"
#include "base/span.h"
#include "base/text.h"
#include "runs/lines.h"
#include "runs/logwriter.h"
#include "runs/runs.h"
#include "runs/timers.h"

enum {
    WEIR__ENGINE_WORKERS = 2,
    WEIR__OUTBOX_MAX = 256,                   // items of one run; beyond it its output is not read
    WEIR__OUTBOX_BYTES_MAX = 8 * 1024 * 1024, // of their texts, likewise
    WEIR__OUTBOX_FLIGHT_MAX = 64,             // of these, with the store
    WEIR__CHANGES_MS = 250,                   // between two saves of a run's counters and metadata
    WEIR__SAVE_RETRY_MS = 250,
    WEIR__PAUSE_POLL_MS = 100, // between two looks whether a paused script may go on
    WEIR__GROUP_POLL_MS = 20,  // between two looks whether a process group has vanished
};

typedef struct weir__run weir__run;
typedef struct weir__item weir__item;

typedef enum weir__run_phase {
    WEIR__PHASE_RECORDING,
    WEIR__PHASE_QUEUED,
    WEIR__PHASE_RUNNING,
    WEIR__PHASE_ENDING,
    WEIR__PHASE_GONE,
} weir__run_phase;

// Why we end a run; the first reason counts.
typedef enum weir__stop {
    WEIR__STOP_NONE,
    WEIR__STOP_CANCEL,
    WEIR__STOP_TIMEOUT,
    WEIR__STOP_CRITICAL, // STEP_ERROR in a step with stop_on_error
} weir__stop;

// --------------------------------------------------------------------------------------------- log lines

// A line that listeners have not been told of yet.
typedef struct weir__tail_line {
    weir_local_us time;
    size_t offset, size; // in weir__stream.tail_text
} weir__tail_line;

// The log of a step, or of the lines outside steps.
typedef struct weir__stream {
    weir__run *run;
    TAILQ_ENTRY(weir__stream) link;
    char *step_id, *step_name; // NULL: outside steps
    int64_t step_index;
    weir__log_file *file; // NULL until the first line
    uint64_t lines;       // appended
    uint64_t lines_written, bytes_written;
    bool flush_asked, flushed;
    weir_error flush_error;
    bool announced; // its beginning has been told, so may its lines
    weir__text tail_text;
    weir__tail_line *tail;
    size_t tail_count, tail_capacity;
    uint64_t tail_first; // number of tail[0]
} weir__stream;

// ------------------------------------------------------------------------------------------------- saves

typedef enum weir__item_state {
    WEIR__ITEM_COPYING, // an artifact, with a worker
    WEIR__ITEM_READY,
    WEIR__ITEM_SUBMITTED,
    WEIR__ITEM_COMMITTED,
    WEIR__ITEM_FAILED,  // to be tried again
    WEIR__ITEM_DROPPED, // can never be saved
} weir__item_state;

// One thing to save and, when that is committed, to tell. Values are copies, as they were at the time.
struct weir__item {
    TAILQ_ENTRY(weir__item) link;       // run->outbox
    TAILQ_ENTRY(weir__item) inbox_link; // engine->done or engine->copies
    weir__run *run;
    weir_run_event_kind kind;
    weir__item_state state;
    size_t bytes;                   // in run->outbox_bytes
    bool save_execution, save_step; // false: only to be told
    bool save_record;
    weir_execution execution;
    bool has_step;
    weir_run_step step;
    bool has_artifact;
    weir_artifact artifact;
    weir__stream *stream; // has to be on disk before
    weir_error result;    // of the copy or the commit; written before the item is in the inbox
};

TAILQ_HEAD(weir__item_list, weir__item);

// -------------------------------------------------------------------------------------------------- runs

typedef struct weir__run_step_open {
    weir_run_step model; // id NULL: no step is open
    json_t *metadata;
    size_t metadata_bytes; // so far
    weir__stream *stream;
    bool dirty; // to be saved with the next change
} weir__run_step_open;

// What epoll hands back.
typedef struct weir__watch {
    weir__run *run;
    bool is_process; // its pidfd, else its output
} weir__watch;

struct weir__run {
    weir__timer timer; // first: the heap's entry is the run
    weir__runs_engine *engine;
    TAILQ_ENTRY(weir__run) active_link; // engine->active, under engine->lock
    TAILQ_ENTRY(weir__run) queue_link;  // engine->incoming (under engine->lock), then engine->queue
    TAILQ_ENTRY(weir__run) garbage_link;

    char id[WEIR_ID_SIZE]; // never changes
    weir__run_phase phase;
    weir_execution execution;
    json_t *metadata;
    size_t metadata_bytes; // so far, without the open step's
    weir__run_record record;
    char **argv;
    char **environment; // of the script, whole
    weir_run_started_fn *started;
    void *started_context;

    pid_t pid; // also the process group; 0: not started
    int pidfd, output;
    weir__watch process_watch, output_watch;
    bool paused; // its output is not watched: it produces faster than can be saved
    bool exited; // and reaped
    bool has_status;
    int64_t exit_code;
    uint64_t timeout_ns;     // absolute, WEIR__FOREVER: none
    uint64_t last_output_ns; // or the exit, or the end of a pause
    weir__lines lines;
    weir__text unread; // has been read, and waits for room in the outbox; the run is paused then
    size_t unread_at;  // where it goes on
    weir__text plain;  // scratch

    weir__stop stop;
    char *stop_message;
    unsigned cancels; // weir_runs_cancel for it, under engine->lock
    uint64_t kill_ns;
    bool killed, group_gone;
    uint64_t drain_ns;  // when what it left in its pipe no longer counts
    bool metadata_full; // said so already

    weir__run_step_open step;
    TAILQ_HEAD(, weir__stream) streams;
    weir__stream *outside;

    struct weir__item_list outbox;
    size_t outbox_count, outbox_flight, outbox_bytes;
    uint64_t submit_after_ns; // do not submit before
    bool saves_fail;          // said so already
    bool execution_dirty;
    uint64_t changes_saved_ns;
    bool end_pushed;
    bool forgotten;      // no longer in engine->active, freed at the end of the turn
    bool advance_wanted; // in this turn
    TAILQ_ENTRY(weir__run) advance_link;
};

TAILQ_HEAD(weir__run_list, weir__run);

// ------------------------------------------------------------------------------------------------ engine

typedef struct weir__listener {
    TAILQ_ENTRY(weir__listener) link;
    uint64_t id;
    weir_run_event_fn *call;
    void *context;
    bool dead; // taken off while listeners are called
} weir__listener;

struct weir__runs_engine {
    weir_runs *runs;
    weir__process_id self;
    weir__logs *logs;
    int epoll_fd, wake_fd;
    int claim_fd; // shows other processes that we live
    pthread_t loop, watcher, workers[WEIR__ENGINE_WORKERS];
    size_t threads_started;

    pthread_mutex_t lock;
    pthread_cond_t changed;         // under lock: a run is gone, an item to copy, closing
    struct weir__run_list active;   // under lock: all runs, in order of their start
    size_t active_count;            // under lock
    struct weir__run_list incoming; // under lock: the inbox: new runs,
    struct weir__item_list done;    //   items that are committed, refused or copied,
    char **cancels;                 //   ids to cancel
    size_t cancels_count, cancels_capacity;
    struct weir__item_list copies;          // under lock: artifacts for the workers
    bool awake;                             // under lock: wake_fd has been written
    bool closing;                           // under lock: no new runs
    bool over;                              // under lock: the loop has ended
    uint64_t close_cancel_ns, close_end_ns; // under lock: when closing cancels, and gives up
    weir_error save_error;                  // under lock: the last one that could not be repaired

    pthread_mutex_t listen_lock;            // recursive
    TAILQ_HEAD(, weir__listener) listeners; // under listen_lock
    uint64_t listener_last;                 // under listen_lock
    unsigned publishing;                    // under listen_lock: depth
    _Atomic size_t listener_count;

    // The loop's own.
    weir__timers timers;
    struct weir__run_list queue;   // QUEUED, in order
    struct weir__run_list garbage; // freed at the end of the turn
    struct weir__run_list advance; // touched in this turn
    size_t
        slots_max; // scripts at a time: max_running, or what the limit of open files allows; fixed at the start
    size_t slots;           // of these, what the system gives at present
    size_t running;         // slots in use
    size_t known;           // runs that were received and are not gone: each may want a timer
    uint64_t scan_after_ns; // no look through all processes before
    uint64_t now_ns;        // when this turn began
};

// Any thread: the run that is pending or running here, NULL when there is none. With the lock held.
weir__run *weir__engine_find_locked(weir__runs_engine *engine, const char *id);
// Any thread: makes the loop look at its inbox. With the lock held.
void weir__engine_wake_locked(weir__runs_engine *engine);

// engine_run.c; the loop's thread, weir__run_create and weir__run_free excepted.
// WEIR_FORKED in a child of the process that opened the engine, where none of its threads exist.
int weir__engine_check_process(const weir__runs_engine *engine, weir_error *err);
int weir__run_create(weir__runs_engine *engine, const weir_run_request *request, weir__run **run,
                     weir_error *err);
void weir__run_free(weir__run *run);
void weir__run_touch(weir__run *run);   // it will be advanced in this turn
void weir__run_advance(weir__run *run); // does what is due and sets its timer
void weir__run_start(weir__run *run);   // QUEUED -> RUNNING or ENDING
void weir__run_stop(weir__run *run, weir__stop reason, const char *message);
// It was asked to stop and is asked again: does not wait for the end of its grace.
void weir__run_hurry(weir__run *run);
void weir__run_output_ready(weir__run *run);
void weir__run_process_ended(weir__run *run);
void weir__run_answer(weir__run *run, const weir_error *result, const weir_execution *execution);

// engine_markers.c
void weir__run_line(void *run, weir__span line, bool first); // a weir__line_fn
// Ends the open step, if there is one: completed or failed by exit code, or failed with a message.
void weir__run_step_end(weir__run *run, int64_t exit_code, const char *message);
void weir__stream_free(weir__stream *stream);
int weir__stream_open(weir__run *run, const weir_run_step *step, weir__stream **stream, weir_error *err);

// engine_save.c
// NULL when there is no memory (logged). Of the execution's counters and metadata not more than one save per
// WEIR__CHANGES_MS goes along, unless `kind` is QUEUED, STARTED or ENDED.
weir__item *weir__outbox_push(weir__run *run, weir_run_event_kind kind, const weir_run_step *step);
void weir__outbox_weigh(weir__item *item); // after it was given more than it was pushed with
bool weir__outbox_has_room(const weir__run *run);
void weir__outbox_changes(weir__run *run); // pushes what is dirty and due
void weir__outbox_advance(weir__run *run);
void weir__outbox_finished(weir__item *item); // it came back through the inbox
void weir__item_free(weir__item *item);
uint64_t weir__outbox_deadline_ns(const weir__run *run);

// engine_events.c
void weir__engine_publish(weir__runs_engine *engine, const weir_run_event *event);
void weir__stream_remember(weir__stream *stream, weir_local_us time, weir__span line); // for listeners
void weir__stream_publish(weir__stream *stream); // lines that are in the file

// engine_claim.c; any thread.
// Shows, for as long as *fd is open, that the engine of this process lives.
int weir__engine_claim(const weir_runs *runs, const weir__process_id *engine, int *fd, weir_error *err);
// Whether an engine, wherever on this machine, shows that it lives. True when that cannot be found out.
bool weir__engine_is_claimed(const weir_runs *runs, int64_t pid, int64_t start_ticks);

// engine_reconcile.c; both block. The first does it all, the second only what has an engine that died.
int weir__engine_reconcile(weir_runs *runs, weir_error *err);
int weir__engine_settle(weir_runs *runs, weir_error *err);

#endif
