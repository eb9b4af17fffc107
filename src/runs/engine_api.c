// SPDX-License-Identifier: MIT
//
// What other threads ask of the engine. Requests are checked and copied here, on the caller's thread; the
// loop only gets what it can use. Waiting for a run of ours is a condition variable, for a run of another
// process a look at its row now and then.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runs/engine.h"

enum { look_ms = 100 };

static int no_engine(const weir_runs *runs, weir_error *err)
{
    return weir__error_set(err, WEIR_UNSUPPORTED, "%s was opened without an engine: scripts cannot be run",
                           runs->path);
}

// Hands a run to the loop.
static int enter(weir__runs_engine *engine, weir__run *run, weir_error *err)
{
    int rc = WEIR_OK;
    const size_t max = (size_t)engine->runs->max_running + engine->runs->max_queued;
    pthread_mutex_lock(&engine->lock);
    if (engine->closing) {
        rc = weir__error_set(err, WEIR_CLOSED, "%s is being closed: no new runs", engine->runs->path);
    } else if (engine->active_count >= max) {
        rc = weir__error_set(err, WEIR_BUSY, "%zu runs are running or waiting, which is the limit", max);
    } else {
        TAILQ_INSERT_TAIL(&engine->active, run, active_link);
        engine->active_count++;
        TAILQ_INSERT_TAIL(&engine->incoming, run, queue_link);
        weir__engine_wake_locked(engine);
        pthread_cond_broadcast(&engine->changed); // the watcher has something to watch
    }
    pthread_mutex_unlock(&engine->lock);
    return rc;
}

int weir_runs_start_async(weir_runs *runs, const weir_run_request *request, weir_run_started_fn *started,
                          void *context, weir_error *err)
{
    if (runs->engine == NULL)
        return no_engine(runs, err);
    if (weir__engine_check_process(runs->engine, err) != WEIR_OK)
        return WEIR_FORKED;
    weir__run *run = NULL;
    int rc = weir__run_create(runs->engine, request, &run, err);
    if (rc != WEIR_OK)
        return rc;
    run->started = started;
    run->started_context = context;
    rc = enter(runs->engine, run, err);
    if (rc != WEIR_OK)
        weir__run_free(run);
    return rc;
}

typedef struct start_wait {
    pthread_mutex_t lock;
    pthread_cond_t done_changed;
    bool done; // under lock, as the rest
    weir_error result;
    char *id;
    weir_execution *out; // NULL: not wanted
} start_wait;

static void on_started(void *context, const weir_error *result, const weir_execution *execution)
{
    start_wait *const wait = context;
    pthread_mutex_lock(&wait->lock);
    wait->result = *result;
    if (result->code == WEIR_OK) {
        WEIR_ASSERT(strlen(execution->id) < WEIR_ID_SIZE);
        memcpy(wait->id, execution->id, strlen(execution->id) + 1);
        if (wait->out != NULL)
            (void)weir_execution_copy(execution, wait->out, &wait->result);
    }
    wait->done = true;
    pthread_cond_signal(&wait->done_changed);
    pthread_mutex_unlock(&wait->lock);
}

int weir_runs_start(weir_runs *runs, const weir_run_request *request, char id[WEIR_ID_SIZE],
                    weir_execution *out, weir_error *err)
{
    id[0] = '\0';
    if (out != NULL)
        *out = (weir_execution){0};
    start_wait wait = {.id = id, .out = out};
    pthread_mutex_init(&wait.lock, NULL);
    pthread_cond_init(&wait.done_changed, NULL);
    int rc = weir_runs_start_async(runs, request, on_started, &wait, err);
    if (rc == WEIR_OK) {
        pthread_mutex_lock(&wait.lock);
        while (!wait.done)
            pthread_cond_wait(&wait.done_changed, &wait.lock);
        pthread_mutex_unlock(&wait.lock);
        rc = wait.result.code;
        if (rc != WEIR_OK)
            weir__error_copy(err, &wait.result);
    }
    pthread_cond_destroy(&wait.done_changed);
    pthread_mutex_destroy(&wait.lock);
    return rc;
}

static int push_cancel_locked(weir__runs_engine *engine, const char *id, weir_error *err)
{
    char *const copy = strdup(id);
    if (copy == NULL)
        return weir__no_memory(err);
    if (engine->cancels_count == engine->cancels_capacity) {
        const size_t capacity = engine->cancels_capacity * 2 + 8;
        char **const cancels = reallocarray(engine->cancels, capacity, sizeof *cancels);
        if (cancels == NULL) {
            free(copy);
            return weir__no_memory(err);
        }
        engine->cancels = cancels;
        engine->cancels_capacity = capacity;
    }
    engine->cancels[engine->cancels_count++] = copy;
    weir__engine_wake_locked(engine);
    return WEIR_OK;
}

int weir_runs_cancel(weir_runs *runs, const char *id, weir_error *err)
{
    weir__runs_engine *const engine = runs->engine;
    bool ours = false;
    int rc = WEIR_OK;
    if (engine != NULL) {
        if (weir__engine_check_process(engine, err) != WEIR_OK)
            return WEIR_FORKED;
        pthread_mutex_lock(&engine->lock);
        weir__run *const run = weir__engine_find_locked(engine, id);
        ours = run != NULL;
        if (ours) {
            run->cancels++;
            rc = push_cancel_locked(engine, id, err);
        }
        pthread_mutex_unlock(&engine->lock);
    }
    return ours ? rc : weir__runs_request_cancel(runs, id, err);
}

size_t weir_runs_active_count(weir_runs *runs)
{
    if (runs->engine == NULL)
        return 0;
    pthread_mutex_lock(&runs->engine->lock);
    const size_t count = runs->engine->active_count;
    pthread_mutex_unlock(&runs->engine->lock);
    return count;
}

// Until a run of ours is gone or the time has come. Returns at once, with false, for other runs.
static bool wait_while_active(weir__runs_engine *engine, const char *id, uint64_t until_ns)
{
    if (engine == NULL)
        return false;
    bool ours = false;
    pthread_mutex_lock(&engine->lock);
    while (weir__engine_find_locked(engine, id) != NULL && !engine->over) {
        ours = true;
        if (weir__clock_now_ns(weir__clock_system()) >= until_ns)
            break;
        (void)weir__cond_wait_until(weir__clock_system(), &engine->changed, &engine->lock, until_ns);
    }
    pthread_mutex_unlock(&engine->lock);
    return ours;
}

// A run of ours that is gone, while its row says that it runs: its end could not be saved, and never will be here.
static int unrecorded(weir__runs_engine *engine, const char *id, weir_error *err)
{
    pthread_mutex_lock(&engine->lock);
    const weir_error cause = engine->save_error;
    pthread_mutex_unlock(&engine->lock);
    const int code = cause.code != WEIR_OK ? cause.code : WEIR_CLOSED;
    return weir__error_set(err, code, "the end of run %s could not be recorded: %s", id,
                           cause.code != WEIR_OK ? cause.text : "the engine is closed");
}

int weir_runs_wait(weir_runs *runs, const char *id, uint32_t deadline_ms, weir_execution *out,
                   weir_error *err)
{
    weir__clock *const clock = weir__clock_system();
    const uint64_t until_ns =
        deadline_ms == WEIR_NO_DEADLINE
            ? WEIR__FOREVER
            : weir__deadline_ns(weir__clock_now_ns(clock), deadline_ms * WEIR__NS_PER_MS);
    weir_execution execution = {0};
    if (out != NULL)
        *out = execution;
    int rc = WEIR_OK;
    if (runs->engine != NULL && (rc = weir__engine_check_process(runs->engine, err)) != WEIR_OK)
        return rc;
    for (;;) {
        const bool ours = wait_while_active(runs->engine, id, until_ns);
        weir_execution_free(&execution);
        rc = weir_runs_get(runs, id, &execution, err);
        if (rc != WEIR_OK || weir_run_status_is_final(execution.status))
            break;
        const uint64_t now_ns = weir__clock_now_ns(clock);
        if (now_ns >= until_ns) {
            rc = weir__error_set(err, WEIR_EXPIRED, "run %s has not ended within %u ms", id, deadline_ms);
            break;
        }
        if (ours) {
            rc = unrecorded(runs->engine, id, err);
            break;
        }
        const uint64_t look_ns = now_ns + look_ms * WEIR__NS_PER_MS;
        weir__clock_sleep_until(clock, look_ns < until_ns ? look_ns : until_ns);
    }
    if (out != NULL)
        *out = execution;
    else
        weir_execution_free(&execution);
    return rc;
}
