// SPDX-License-Identifier: MIT
//
// The phases of a crew: PREPARING until every worker is ready, WARMING, MEASURING, STOPPING. The crew's
// thread moves them on; workers look at the phase between two writes. It sleeps in sigtimedwait(), so that
// Ctrl-C ends a window at once without a signal handler.
#include "bench/crew.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/assert.h"
#include "base/clock.h"

enum {
    WARM_UP_SHARE = 8,              // of the window
    STACK_BYTES = 256 * 1024,       // hundreds of threads; a job may run on any of them
    VALUES_PER_WORKER = 1000000000, // more rows than one can write in a window
};

enum { PREPARING, WARMING, MEASURING, STOPPING };

uint64_t weir__worker_now_ns(void)
{
    return weir__clock_now_ns(weir__clock_system());
}

void weir__worker_ready(weir__worker *worker)
{
    weir__crew *crew = worker->crew;
    pthread_mutex_lock(&crew->lock);
    crew->ready++;
    pthread_cond_broadcast(&crew->changed);
    while (!crew->go)
        pthread_cond_wait(&crew->changed, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

bool weir__worker_goes_on(const weir__worker *worker)
{
    return worker->err.code == WEIR_OK &&
           atomic_load_explicit(&worker->crew->phase, memory_order_relaxed) != STOPPING;
}

int64_t weir__worker_next_value(weir__worker *worker)
{
    WEIR_ASSERT(worker->values < VALUES_PER_WORKER);
    return (int64_t)worker->number * VALUES_PER_WORKER + (int64_t)worker->values++;
}

void weir__worker_acknowledge(weir__worker *worker, uint64_t rows, int64_t values_sum, uint64_t latency_ns)
{
    const int phase = atomic_load_explicit(&worker->crew->phase, memory_order_relaxed);
    worker->acknowledged += rows;
    worker->values_sum += values_sum;
    if (phase == MEASURING)
        worker->counted += rows;
    if (phase >= MEASURING)
        weir__histogram_record(&worker->latency_ns, latency_ns);
}

void weir__worker_fail(weir__worker *worker, int code, const weir_error *err)
{
    weir__error_copy(&worker->err, err);
    worker->err.code = code;
}

static void *worker_main(void *arg)
{
    weir__worker *worker = arg;
    worker->crew->work(worker);
    return NULL;
}

static int start(weir__crew *crew, void *context, weir_error *err)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int rc = 0;
    for (unsigned i = 0; i < crew->size && rc == 0; i++) {
        weir__worker *worker = &crew->workers[i];
        worker->crew = crew;
        worker->context = context;
        worker->number = i;
        rc = pthread_create(&worker->thread, &attributes, worker_main, worker);
        worker->started = rc == 0;
    }
    pthread_attr_destroy(&attributes);
    return rc == 0 ? WEIR_OK : weir__error_errno(err, rc, "cannot start %u threads", crew->size);
}

// Lets everybody begin, once all who were started are ready.
static void go(weir__crew *crew)
{
    unsigned started = 0;
    while (started < crew->size && crew->workers[started].started)
        started++;
    pthread_mutex_lock(&crew->lock);
    while (crew->ready < started)
        pthread_cond_wait(&crew->changed, &crew->lock);
    crew->go = true;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
}

// Sleeps; WEIR_CANCELLED when a signal arrived instead.
static int sleep_for(uint64_t sleep_ns, const sigset_t *signals, int *signal_number, weir_error *err)
{
    const uint64_t until_ns = weir__worker_now_ns() + sleep_ns;
    uint64_t now_ns;
    while ((now_ns = weir__worker_now_ns()) < until_ns) {
        const uint64_t left_ns = until_ns - now_ns;
        const struct timespec left = {.tv_sec = (time_t)(left_ns / WEIR__NS_PER_S),
                                      .tv_nsec = (long)(left_ns % WEIR__NS_PER_S)};
        const int number = sigtimedwait(signals, NULL, &left);
        if (number > 0) {
            *signal_number = number;
            return weir__error_set(err, WEIR_CANCELLED, "stopped by signal %d", number);
        }
    }
    return WEIR_OK;
}

static int measure(weir__crew *crew, uint64_t window_ns, const sigset_t *signals, int *signal_number,
                   weir_error *err)
{
    atomic_store(&crew->phase, WARMING);
    int code = sleep_for(window_ns / WARM_UP_SHARE, signals, signal_number, err);
    if (code != WEIR_OK)
        return code;
    const uint64_t start_ns = weir__worker_now_ns();
    atomic_store(&crew->phase, MEASURING);
    code = sleep_for(window_ns, signals, signal_number, err);
    atomic_store(&crew->phase, STOPPING);
    crew->window_ns = weir__worker_now_ns() - start_ns;
    return code;
}

int weir__crew_run(weir__crew *crew, unsigned size, weir__crew_work *work, void *context, uint64_t window_ns,
                   const sigset_t *signals, int *signal_number, weir_error *err)
{
    *crew = (weir__crew){.size = size, .work = work};
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->changed, NULL);
    crew->workers = calloc(size, sizeof *crew->workers);
    if (!crew->workers)
        return weir__error_set(err, WEIR_NOMEM, "not enough memory for %u threads", size);
    int code = start(crew, context, err);
    if (code != WEIR_OK)
        atomic_store(&crew->phase, STOPPING);
    go(crew);
    if (code == WEIR_OK)
        code = measure(crew, window_ns, signals, signal_number, err);
    atomic_store(&crew->phase, STOPPING);
    for (unsigned i = 0; i < size; i++) {
        weir__worker *worker = &crew->workers[i];
        if (worker->started)
            pthread_join(worker->thread, NULL);
        if (code == WEIR_OK && worker->err.code != WEIR_OK) {
            weir__error_copy(err, &worker->err);
            code = worker->err.code;
        }
    }
    return code;
}

void weir__crew_fini(weir__crew *crew)
{
    if (!crew->work)
        return;
    free(crew->workers);
    crew->workers = NULL;
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
}
