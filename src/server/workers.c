// SPDX-License-Identifier: MIT
//
// See workers.h. A ring of work items under one mutex; threads wait on its condition.
#include "server/workers.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/error.h"

typedef struct item {
    weir__workers_fn *work;
    void *arg;
} item;

struct weir__workers {
    pthread_mutex_t lock;
    pthread_cond_t changed; // lock: count grew, or stopping
    item *ring;             // lock
    uint32_t ring_size;     // immutable
    uint32_t first, count;  // lock
    bool stopping;          // lock
    pthread_t *threads;     // creator and destroyer only
    uint32_t threads_count; // creator and destroyer only
};

static bool take(weir__workers *workers, item *taken)
{
    bool got = false;
    pthread_mutex_lock(&workers->lock);
    while (workers->count == 0 && !workers->stopping)
        pthread_cond_wait(&workers->changed, &workers->lock);
    if (workers->count > 0) {
        *taken = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->ring_size;
        workers->count--;
        got = true;
    }
    pthread_mutex_unlock(&workers->lock);
    return got;
}

static void *worker(void *arg)
{
    weir__workers *workers = arg;
    item taken;
    while (take(workers, &taken))
        taken.work(taken.arg);
    return NULL;
}

int weir__workers_create(uint32_t threads, uint32_t queue_max, weir__workers **workers, weir_error *err)
{
    WEIR_ASSERT(threads > 0);
    WEIR_ASSERT(queue_max > 0);
    *workers = NULL;
    weir__workers *made = calloc(1, sizeof *made);
    if (made == NULL)
        return weir__error_set(err, WEIR_NOMEM, "no memory for the server's threads");
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, NULL);
    made->ring_size = queue_max;
    made->ring = calloc(queue_max, sizeof *made->ring);
    made->threads = calloc(threads, sizeof *made->threads);
    int failed = made->ring == NULL || made->threads == NULL;
    while (failed == 0 && made->threads_count < threads) {
        failed = pthread_create(&made->threads[made->threads_count], NULL, worker, made);
        if (failed == 0)
            made->threads_count++;
    }
    if (failed != 0) {
        weir__workers_destroy(made);
        return weir__error_set(err, WEIR_NOMEM, "cannot start %u threads for the server", threads);
    }
    *workers = made;
    return WEIR_OK;
}

bool weir__workers_submit(weir__workers *workers, weir__workers_fn *work, void *arg)
{
    pthread_mutex_lock(&workers->lock);
    const bool accepted = !workers->stopping && workers->count < workers->ring_size;
    if (accepted) {
        workers->ring[(workers->first + workers->count) % workers->ring_size] =
            (item){.work = work, .arg = arg};
        workers->count++;
        pthread_cond_signal(&workers->changed);
    }
    pthread_mutex_unlock(&workers->lock);
    return accepted;
}

void weir__workers_stop(weir__workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->changed);
    pthread_mutex_unlock(&workers->lock);
    for (uint32_t i = 0; i < workers->threads_count; i++)
        pthread_join(workers->threads[i], NULL);
    workers->threads_count = 0;
}

void weir__workers_destroy(weir__workers *workers)
{
    if (workers == NULL)
        return;
    weir__workers_stop(workers);
    free(workers->threads);
    free(workers->ring);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}
