// SPDX-License-Identifier: MIT
//
// See pool.h. A ring of work items under one mutex; threads wait on its condition.
#include "server/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/error.h"

typedef struct item {
    weir__pool_fn *work;
    void *arg;
} item;

struct weir__pool {
    pthread_mutex_t lock;
    pthread_cond_t changed; // lock: count grew, or stopping
    item *ring;             // lock
    uint32_t ring_size;     // immutable
    uint32_t first, count;  // lock
    bool stopping;          // lock
    pthread_t *threads;     // creator and destroyer only
    uint32_t threads_count; // creator and destroyer only
};

static bool take(weir__pool *pool, item *taken)
{
    bool got = false;
    pthread_mutex_lock(&pool->lock);
    while (pool->count == 0 && !pool->stopping)
        pthread_cond_wait(&pool->changed, &pool->lock);
    if (pool->count > 0) {
        *taken = pool->ring[pool->first];
        pool->first = (pool->first + 1) % pool->ring_size;
        pool->count--;
        got = true;
    }
    pthread_mutex_unlock(&pool->lock);
    return got;
}

static void *worker(void *arg)
{
    weir__pool *pool = arg;
    item taken;
    while (take(pool, &taken))
        taken.work(taken.arg);
    return NULL;
}

int weir__pool_create(uint32_t threads, uint32_t queue_max, weir__pool **pool, weir_error *err)
{
    WEIR_ASSERT(threads > 0);
    WEIR_ASSERT(queue_max > 0);
    *pool = NULL;
    weir__pool *made = calloc(1, sizeof *made);
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
        weir__pool_destroy(made);
        return weir__error_set(err, WEIR_NOMEM, "cannot start %u threads for the server", threads);
    }
    *pool = made;
    return WEIR_OK;
}

bool weir__pool_submit(weir__pool *pool, weir__pool_fn *work, void *arg)
{
    pthread_mutex_lock(&pool->lock);
    const bool accepted = !pool->stopping && pool->count < pool->ring_size;
    if (accepted) {
        pool->ring[(pool->first + pool->count) % pool->ring_size] = (item){.work = work, .arg = arg};
        pool->count++;
        pthread_cond_signal(&pool->changed);
    }
    pthread_mutex_unlock(&pool->lock);
    return accepted;
}

void weir__pool_stop(weir__pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->threads_count; i++)
        pthread_join(pool->threads[i], NULL);
    pool->threads_count = 0;
}

void weir__pool_destroy(weir__pool *pool)
{
    if (pool == NULL)
        return;
    weir__pool_stop(pool);
    free(pool->threads);
    free(pool->ring);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
