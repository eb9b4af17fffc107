// SPDX-License-Identifier: MIT
//
// The event loop. A turn: wait for descriptors or the next timer; take the inbox (new runs, items that came
// back, cancel requests); read from every script that has something to say, at most 64 KiB each, so that a
// chatty one cannot starve the others; note how far the log writer is; advance every run that was touched;
// give free slots to waiting runs, a few starts at a time. Nothing in a turn blocks, and a turn's length is
// bounded.
//
// Closing: new runs are refused, runs go on until the grace is over and are then cancelled; the loop ends
// when the last one is gone or, should one not die or not be saved, at a fixed time after that. What is then
// not recorded is settled by the next engine that opens the folder.
#include "runs/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "runs/spawn.h"

enum {
    events_per_turn = 128,
    starts_per_turn = 8,
    descriptors_of_ours = 64, // the database, epoll and so on
    watch_ms = 250,           // between two looks for cancel requests of other processes
    settle_ms = 5000,         // between two looks for runs whose engine has died
    give_up_ms = 10000,       // for a run to be saved after it was cancelled by closing
};

static uint64_t now(void)
{
    return weir__clock_now_ns(weir__clock_system());
}

void weir__engine_wake_locked(weir__runs_engine *engine)
{
    if (engine->awake)
        return;
    engine->awake = true;
    const uint64_t one = 1;
    ssize_t written;
    do
        written = write(engine->wake_fd, &one, sizeof one);
    while (written < 0 && errno == EINTR);
}

// ---------------------------------------------------------------------------------------------- the inbox

static void on_log_progress(void *context)
{
    weir__runs_engine *const engine = context;
    pthread_mutex_lock(&engine->lock);
    weir__engine_wake_locked(engine);
    pthread_mutex_unlock(&engine->lock);
}

static void wake_drain(weir__runs_engine *engine)
{
    uint64_t count;
    while (read(engine->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
        continue;
}

static void receive_run(weir__runs_engine *engine, weir__run *run)
{
    weir_error err = WEIR_ERROR_INIT;
    int rc = weir__timers_reserve(&engine->timers, ++engine->known, &err);
    if (rc == WEIR_OK && weir__outbox_push(run, WEIR_RUN_EVENT_QUEUED, NULL) == NULL)
        rc = weir__no_memory(&err);
    if (rc == WEIR_OK)
        return;
    weir__run_answer(run, &err, NULL);
    run->phase = WEIR__PHASE_GONE;
    weir__run_touch(run);
}

weir__run *weir__engine_find_locked(weir__runs_engine *engine, const char *id)
{
    weir__run *run;
    TAILQ_FOREACH(run, &engine->active, active_link)
    {
        if (strcmp(run->id, id) == 0)
            return run;
    }
    return NULL;
}

static void receive_cancels(weir__runs_engine *engine, char **ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&engine->lock);
        weir__run *const run = weir__engine_find_locked(engine, ids[i]);
        const bool again = run != NULL && run->cancels > 1;
        pthread_mutex_unlock(&engine->lock);
        if (run != NULL) // only this thread takes runs out of the list
            weir__run_stop(run, WEIR__STOP_CANCEL, "cancelled");
        if (again)
            weir__run_hurry(run);
        free(ids[i]);
    }
    free(ids);
}

static void receive(weir__runs_engine *engine)
{
    struct weir__run_list incoming = TAILQ_HEAD_INITIALIZER(incoming);
    struct weir__item_list done = TAILQ_HEAD_INITIALIZER(done);
    pthread_mutex_lock(&engine->lock);
    TAILQ_CONCAT(&incoming, &engine->incoming, queue_link);
    TAILQ_CONCAT(&done, &engine->done, inbox_link);
    char **const cancels = engine->cancels;
    const size_t cancels_count = engine->cancels_count;
    engine->cancels = NULL;
    engine->cancels_count = engine->cancels_capacity = 0;
    if (engine->awake)
        wake_drain(engine);
    engine->awake = false;
    pthread_mutex_unlock(&engine->lock);

    for (weir__item *item = TAILQ_FIRST(&done); item != NULL; item = TAILQ_FIRST(&done)) {
        TAILQ_REMOVE(&done, item, inbox_link);
        weir__outbox_finished(item);
    }
    for (weir__run *run = TAILQ_FIRST(&incoming); run != NULL; run = TAILQ_FIRST(&incoming)) {
        TAILQ_REMOVE(&incoming, run, queue_link);
        receive_run(engine, run);
    }
    receive_cancels(engine, cancels, cancels_count);
}

static void receive_log_progress(weir__runs_engine *engine)
{
    weir__log_progress progress;
    while (weir__logs_next_progress(engine->logs, &progress)) {
        weir__stream *const stream = progress.owner;
        stream->lines_written = progress.lines;
        stream->bytes_written = progress.bytes;
        if (progress.flushed) {
            stream->flushed = true;
            stream->flush_error = progress.error;
        }
        weir__stream_publish(stream);
        weir__run_touch(stream->run);
    }
}

// ---------------------------------------------------------------------------------------------- the turn

static void advance_touched(weir__runs_engine *engine)
{
    for (weir__run *run = TAILQ_FIRST(&engine->advance); run != NULL; run = TAILQ_FIRST(&engine->advance)) {
        TAILQ_REMOVE(&engine->advance, run, advance_link);
        run->advance_wanted = false;
        weir__run_advance(run);
    }
}

// Fills free slots. Returns whether there is more to start.
static bool admit(weir__runs_engine *engine)
{
    for (int started = 0; engine->running < engine->slots; started++) {
        weir__run *const run = TAILQ_FIRST(&engine->queue);
        if (run == NULL)
            return false;
        if (started == starts_per_turn)
            return true;
        TAILQ_REMOVE(&engine->queue, run, queue_link);
        weir__run_start(run);
        weir__run_touch(run);
    }
    // Those that came in this turn and found no slot are answered now: they wait.
    weir__run *run;
    TAILQ_FOREACH_REVERSE(run, &engine->queue, weir__run_list, queue_link)
    {
        if (run->started == NULL)
            break;
        weir__run_answer(run, &(weir_error){0}, &run->execution);
    }
    return false;
}

static void fire_timers(weir__runs_engine *engine)
{
    for (weir__timer *timer = weir__timers_first(&engine->timers);
         timer != NULL && timer->due_ns <= engine->now_ns; timer = weir__timers_first(&engine->timers)) {
        weir__timers_set(&engine->timers, timer, WEIR__FOREVER);
        weir__run_touch((weir__run *)timer); // the timer is the run's first member
    }
}

static void collect_garbage(weir__runs_engine *engine)
{
    for (weir__run *run = TAILQ_FIRST(&engine->garbage); run != NULL; run = TAILQ_FIRST(&engine->garbage)) {
        TAILQ_REMOVE(&engine->garbage, run, garbage_link);
        weir__run_free(run);
    }
}

static int wait_ms(const weir__runs_engine *engine, uint64_t close_ns)
{
    const weir__timer *const timer = weir__timers_first(&engine->timers);
    uint64_t due_ns = timer != NULL && timer->due_ns < close_ns ? timer->due_ns : close_ns;
    const uint64_t now_ns = now();
    if (due_ns <= now_ns)
        return 0;
    due_ns = (due_ns - now_ns + WEIR__NS_PER_MS - 1) / WEIR__NS_PER_MS;
    return due_ns < 60000 ? (int)due_ns : 60000;
}

static void cancel_all(weir__runs_engine *engine)
{
    // The list changes only on this thread and at its end, where new runs are refused by now.
    pthread_mutex_lock(&engine->lock);
    weir__run *run = TAILQ_FIRST(&engine->active);
    pthread_mutex_unlock(&engine->lock);
    for (; run != NULL; run = TAILQ_NEXT(run, active_link))
        weir__run_stop(run, WEIR__STOP_CANCEL, "cancelled");
}

// Does what closing asks for; false when the loop is to end. *look_again_ns is when to ask again.
static bool go_on(weir__runs_engine *engine, bool *cancelled, uint64_t *look_again_ns)
{
    pthread_mutex_lock(&engine->lock);
    const bool closing = engine->closing;
    const uint64_t cancel_ns = engine->close_cancel_ns;
    const uint64_t end_ns = engine->close_end_ns;
    const size_t active = engine->active_count;
    pthread_mutex_unlock(&engine->lock);
    *look_again_ns = WEIR__FOREVER;
    if (!closing)
        return true;
    if (active == 0 || now() >= end_ns)
        return false;
    if (!*cancelled && now() >= cancel_ns) {
        cancel_all(engine);
        *cancelled = true;
    }
    *look_again_ns = *cancelled ? end_ns : cancel_ns;
    return true;
}

static void turn(weir__runs_engine *engine, int timeout_ms)
{
    struct epoll_event events[events_per_turn];
    int count = epoll_wait(engine->epoll_fd, events, events_per_turn, timeout_ms);
    if (count < 0) {
        WEIR_ASSERT(errno == EINTR);
        count = 0;
    }
    engine->now_ns = now();
    receive(engine);
    for (int i = 0; i < count; i++) {
        const weir__watch *const watch = events[i].data.ptr;
        if (watch == NULL)
            continue; // the wake-up
        if (watch->is_process)
            weir__run_process_ended(watch->run);
        else
            weir__run_output_ready(watch->run);
    }
    receive_log_progress(engine);
    fire_timers(engine);
}

static void *loop_main(void *context)
{
    weir__runs_engine *const engine = context;
    bool cancelled = false;
    bool more = false;
    uint64_t look_again_ns = WEIR__FOREVER;
    engine->now_ns = now();
    while (go_on(engine, &cancelled, &look_again_ns)) {
        turn(engine, more || !TAILQ_EMPTY(&engine->advance) ? 0 : wait_ms(engine, look_again_ns));
        advance_touched(engine);
        more = admit(engine);
        advance_touched(engine);
        collect_garbage(engine);
    }
    pthread_mutex_lock(&engine->lock);
    engine->over = true;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

// ----------------------------------------------------------------------------------------- other threads

// Copies artifacts.
static void *worker_main(void *context)
{
    weir__runs_engine *const engine = context;
    pthread_mutex_lock(&engine->lock);
    for (;;) {
        weir__item *const item = TAILQ_FIRST(&engine->copies);
        if (item == NULL && engine->over)
            break;
        if (item == NULL) {
            pthread_cond_wait(&engine->changed, &engine->lock);
            continue;
        }
        TAILQ_REMOVE(&engine->copies, item, inbox_link);
        const bool over = engine->over; // its row will not be saved any more
        pthread_mutex_unlock(&engine->lock);
        weir_error err = WEIR_ERROR_INIT;
        if (!over)
            (void)weir__artifact_store(engine->runs, &item->artifact, &err);
        pthread_mutex_lock(&engine->lock);
        item->result = err;
        TAILQ_INSERT_TAIL(&engine->done, item, inbox_link);
        weir__engine_wake_locked(engine);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

static void look_for_cancels(weir__runs_engine *engine)
{
    char **ids = NULL;
    size_t count = 0;
    weir_error err = WEIR_ERROR_INIT;
    if (weir__runs_read_cancel_requests(engine->runs, engine->self.pid, (int64_t)engine->self.start_ticks,
                                        &ids, &count, &err) != WEIR_OK) {
        weir__log(WEIR__LOG_WARNING, "cancel requests cannot be read: %s", err.text);
        return;
    }
    pthread_mutex_lock(&engine->lock);
    if (engine->cancels == NULL) {
        engine->cancels = ids;
        engine->cancels_count = engine->cancels_capacity = count;
        ids = NULL;
        count = 0;
    } // else: the loop has not taken the ones before; the rows are still there the next time
    if (engine->cancels_count > 0)
        weir__engine_wake_locked(engine);
    pthread_mutex_unlock(&engine->lock);
    for (size_t i = 0; i < count; i++)
        free(ids[i]);
    free(ids);
}

static void look_for_orphans(weir__runs_engine *engine)
{
    weir_error err = WEIR_ERROR_INIT;
    if (weir__engine_settle(engine->runs, &err) != WEIR_OK)
        weir__log(WEIR__LOG_WARNING, "runs of engines that died cannot be settled: %s", err.text);
}

// Notices that another process wants one of our runs cancelled, and that another engine has died.
static void *watcher_main(void *context)
{
    weir__runs_engine *const engine = context;
    uint64_t settle_ns = now() + settle_ms * WEIR__NS_PER_MS;
    pthread_mutex_lock(&engine->lock);
    while (!engine->over) {
        const bool idle = engine->active_count == 0;
        const uint64_t look_ns = idle ? settle_ns : now() + watch_ms * WEIR__NS_PER_MS;
        const uint64_t until_ns = look_ns < settle_ns ? look_ns : settle_ns;
        while (!engine->over && now() < until_ns && idle == (engine->active_count == 0))
            (void)weir__cond_wait_until(weir__clock_system(), &engine->changed, &engine->lock, until_ns);
        if (engine->over)
            break;
        pthread_mutex_unlock(&engine->lock);
        if (now() >= settle_ns) {
            look_for_orphans(engine);
            settle_ns = now() + settle_ms * WEIR__NS_PER_MS;
        }
        if (!idle)
            look_for_cancels(engine);
        pthread_mutex_lock(&engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}

// ------------------------------------------------------------------------------------------------- health

static void find_log_trouble(weir__runs_engine *engine, weir_finding *finding)
{
    weir__logs_status status;
    weir__logs_status_read(engine->logs, &status);
    *finding = (weir_finding){0};
    if (status.failing_files == 0 && status.lost_bytes == 0)
        return;
    finding->severity = WEIR_SEVERITY_ERROR;
    finding->name = "logs-failing";
    (void)snprintf(finding->seen, sizeof finding->seen,
                   "%llu log files cannot be written, %llu bytes wait in memory, %llu are lost: %.150s",
                   (unsigned long long)status.failing_files, (unsigned long long)status.pending_bytes,
                   (unsigned long long)status.lost_bytes, status.last_error.text);
    (void)snprintf(
        finding->meaning, sizeof finding->meaning,
        "lines of scripts are not on disk; when the memory for them is used up the scripts have to wait");
    (void)snprintf(finding->remedy, sizeof finding->remedy,
                   "make room for, or access to, the folder executions/ in %.150s", engine->runs->path);
}

static void find_save_trouble(weir__runs_engine *engine, weir_finding *finding)
{
    pthread_mutex_lock(&engine->lock);
    const weir_error cause = engine->save_error;
    pthread_mutex_unlock(&engine->lock);
    *finding = (weir_finding){0};
    if (cause.code == WEIR_OK)
        return;
    finding->severity = WEIR_SEVERITY_ERROR;
    finding->name = "runs-unsaved";
    (void)snprintf(finding->seen, sizeof finding->seen, "what runs did could not be saved: %.200s",
                   cause.text);
    (void)snprintf(finding->meaning, sizeof finding->meaning,
                   "records of runs of this process are incomplete since it was started");
    (void)snprintf(
        finding->remedy, sizeof finding->remedy,
        "mend the cause, then start the program again: runs whose end is missing are settled then");
}

size_t weir_runs_health(weir_runs *runs, weir_finding *findings, size_t size)
{
    weir_finding own[2] = {{0}};
    if (runs->engine != NULL && weir__engine_check_process(runs->engine, NULL) == WEIR_OK) {
        find_log_trouble(runs->engine, &own[0]);
        find_save_trouble(runs->engine, &own[1]);
    }
    size_t count = 0;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (own[i].name == NULL)
            continue;
        if (count < size)
            findings[count] = own[i];
        count++;
    }
    const size_t filled = count < size ? count : size;
    return count + weir_health(runs->store, findings + filled, size - filled);
}

// ------------------------------------------------------------------------------------ opening and closing

static int start_thread(pthread_t *thread, const char *name, void *(*run)(void *), weir__runs_engine *engine,
                        weir_error *err)
{
    const int rc = weir__thread_start(thread, name, run, engine, err);
    engine->threads_started += rc == WEIR_OK;
    return rc;
}

static int start_threads(weir__runs_engine *engine, weir_error *err)
{
    int rc = start_thread(&engine->loop, "weir-runs", loop_main, engine, err);
    if (rc == WEIR_OK)
        rc = start_thread(&engine->watcher, "weir-cancels", watcher_main, engine, err);
    for (size_t i = 0; rc == WEIR_OK && i < WEIR__ENGINE_WORKERS; i++)
        rc = start_thread(&engine->workers[i], "weir-artifacts", worker_main, engine, err);
    return rc;
}

static void join_threads(weir__runs_engine *engine)
{
    const pthread_t threads[] = {engine->loop, engine->watcher, engine->workers[0], engine->workers[1]};
    _Static_assert(sizeof threads / sizeof *threads == 2 + WEIR__ENGINE_WORKERS, "every thread is joined");
    for (size_t i = 0; i < engine->threads_started; i++)
        pthread_join(threads[i], NULL);
}

static int log_open(void *context, const char *execution_id, const char *name, int *fd, weir_error *err)
{
    return weir__log_open(context, execution_id, name, O_WRONLY | O_APPEND | O_CREAT, fd, err);
}

static int log_sync_dir(void *context, const char *execution_id, weir_error *err)
{
    int fd = -1;
    int rc = weir__runs_dir_open(context, WEIR__DIR_EXECUTIONS, execution_id, false, &fd, err);
    if (rc != WEIR_OK)
        return rc;
    // It may have been opened only to find names in it; such a descriptor cannot be synced.
    const int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (readable < 0 || fsync(readable) != 0)
        rc = weir__error_errno(err, errno, "cannot sync executions/%s", execution_id);
    if (readable >= 0)
        (void)close(readable);
    (void)close(fd);
    return rc;
}

static int open_descriptors(weir__runs_engine *engine, weir_error *err)
{
    engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    engine->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (engine->epoll_fd < 0 || engine->wake_fd < 0 ||
        epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, engine->wake_fd, &event) != 0)
        return weir__error_errno(err, errno, "cannot make an event loop");
    return WEIR_OK;
}

static void init_locks(weir__runs_engine *engine)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&engine->listen_lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_mutex_init(&engine->lock, NULL);
    weir__cond_init(&engine->changed);
}

static weir__runs_engine *engine_create(weir_runs *runs)
{
    weir__runs_engine *const engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return NULL;
    engine->runs = runs;
    engine->epoll_fd = engine->wake_fd = engine->claim_fd = -1;
    init_locks(engine);
    TAILQ_INIT(&engine->active);
    TAILQ_INIT(&engine->incoming);
    TAILQ_INIT(&engine->done);
    TAILQ_INIT(&engine->copies);
    TAILQ_INIT(&engine->listeners);
    TAILQ_INIT(&engine->queue);
    TAILQ_INIT(&engine->garbage);
    TAILQ_INIT(&engine->advance);
    return engine;
}

// How many log files may be open, and how many scripts run, within the limit of open files: a script needs two, and a
// quarter of the limit is left to the rest of the program.
static void share_descriptors(weir__runs_engine *engine, uint32_t *log_files_max)
{
    struct rlimit limit;
    engine->slots_max = engine->runs->max_running;
    *log_files_max = 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        const size_t files = limit.rlim_cur < 1u << 30 ? (size_t)limit.rlim_cur : 1u << 30;
        if (files / 8 < *log_files_max)
            *log_files_max = files / 8 > 0 ? (uint32_t)(files / 8) : 1;
        const size_t reserved = files / 4 + *log_files_max + descriptors_of_ours;
        const size_t scripts = files > reserved ? (files - reserved) / 2 : 0;
        if (scripts < engine->slots_max) {
            engine->slots_max = scripts > 0 ? scripts : 1;
            weir__log(WEIR__LOG_WARNING, "the limit of open files, %zu, allows %zu scripts at a time", files,
                      engine->slots_max);
        }
    }
    engine->slots = engine->slots_max;
}

int weir__runs_engine_open(weir_runs *runs, weir__runs_engine **out, weir_error *err)
{
    *out = NULL;
    int rc = weir__engine_reconcile(runs, err);
    if (rc != WEIR_OK)
        return rc;
    weir__runs_engine *const engine = engine_create(runs);
    if (engine == NULL)
        return weir__no_memory(err);
    weir__spawn_raise_limits();
    rc = weir__process_self(&engine->self, err);
    if (rc == WEIR_OK)
        rc = weir__engine_claim(runs, &engine->self, &engine->claim_fd, err);
    if (rc == WEIR_OK)
        rc = open_descriptors(engine, err);
    uint32_t log_files_max = 0;
    share_descriptors(engine, &log_files_max);
    const weir__logs_options options = {
        .files_max = log_files_max,
        .ops = {.context = runs, .open = log_open, .sync_dir = log_sync_dir},
        .wake = on_log_progress,
        .wake_context = engine,
    };
    if (rc == WEIR_OK)
        rc = weir__logs_open(&options, &engine->logs, err);
    if (rc == WEIR_OK)
        rc = start_threads(engine, err);
    if (rc != WEIR_OK) {
        (void)weir__runs_engine_close(engine, 0, NULL);
        weir__runs_engine_destroy(engine); // no run was ever with the store
        return rc;
    }
    *out = engine;
    return WEIR_OK;
}

// What the loop left behind when it gave up. Its items may still be with the store, which answers them at the latest
// when it is closed; until then the runs stay in memory.
static void abandon_runs(weir__runs_engine *engine)
{
    weir__run *run;
    TAILQ_FOREACH(run, &engine->active, active_link)
    {
        weir__log(WEIR__LOG_ERROR, "the end of run %s could not be recorded in time", run->id);
        if (run->pid > 0 && !run->exited)
            (void)kill(-run->pid, SIGKILL);
        weir__run_answer(run, &(weir_error){.code = WEIR_CLOSED, .text = "the engine was closed"}, NULL);
        while (!TAILQ_EMPTY(&run->streams)) // the log writer is closed next
            weir__stream_free(TAILQ_FIRST(&run->streams));
        run->step.stream = run->outside = NULL;
    }
}

static void free_runs(weir__runs_engine *engine)
{
    weir__item *item;
    TAILQ_FOREACH(item, &engine->done, inbox_link)
    {
        if (item->state == WEIR__ITEM_SUBMITTED)
            item->run->outbox_flight--;
    }
    for (weir__run *run = TAILQ_FIRST(&engine->active); run != NULL; run = TAILQ_FIRST(&engine->active)) {
        TAILQ_REMOVE(&engine->active, run, active_link);
        weir__run_free(run);
    }
}

void weir__runs_engine_destroy(weir__runs_engine *engine)
{
    free_runs(engine);
    while (!TAILQ_EMPTY(&engine->listeners)) {
        weir__listener *const listener = TAILQ_FIRST(&engine->listeners);
        TAILQ_REMOVE(&engine->listeners, listener, link);
        free(listener);
    }
    for (size_t i = 0; i < engine->cancels_count; i++)
        free(engine->cancels[i]);
    free(engine->cancels);
    weir__timers_free(&engine->timers);
    if (engine->epoll_fd >= 0)
        (void)close(engine->epoll_fd);
    if (engine->wake_fd >= 0)
        (void)close(engine->wake_fd);
    if (engine->claim_fd >= 0)
        (void)close(engine->claim_fd);
    pthread_cond_destroy(&engine->changed);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->listen_lock);
    free(engine);
}

int weir__engine_check_process(const weir__runs_engine *engine, weir_error *err)
{
    if (engine->self.pid == 0 || engine->self.pid == getpid())
        return WEIR_OK;
    return weir__error_set(err, WEIR_FORKED, "%s was opened by the parent process: only that can use it",
                           engine->runs->path);
}

int weir__runs_engine_close(weir__runs_engine *engine, uint32_t grace_ms, weir_error *err)
{
    if (weir__engine_check_process(engine, err) != WEIR_OK)
        return WEIR_FORKED;
    const uint64_t cancel_ns = weir__deadline_ns(now(), (uint64_t)grace_ms * WEIR__NS_PER_MS);
    const uint64_t bound_ms = (uint64_t)engine->runs->cancel_grace_ms + give_up_ms;
    pthread_mutex_lock(&engine->lock);
    engine->closing = true;
    engine->close_cancel_ns = cancel_ns;
    engine->close_end_ns = weir__deadline_ns(cancel_ns, bound_ms * WEIR__NS_PER_MS);
    if (engine->wake_fd >= 0)
        weir__engine_wake_locked(engine);
    if (engine->threads_started == 0)
        engine->over = true;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    join_threads(engine);
    abandon_runs(engine);
    int rc = WEIR_OK;
    if (engine->logs != NULL)
        rc = weir__logs_close(engine->logs, err);
    if (rc == WEIR_OK && engine->save_error.code != WEIR_OK) {
        rc = engine->save_error.code;
        weir__error_copy(err, &engine->save_error);
    }
    if (rc == WEIR_OK && engine->active_count > 0)
        rc = weir__error_set(
            err, WEIR_EXPIRED,
            "the end of %zu runs could not be recorded in time; the next to open %s settles them",
            engine->active_count, engine->runs->path);
    return rc;
}
