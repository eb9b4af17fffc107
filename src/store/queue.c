// SPDX-License-Identifier: MIT
//
// The queue of jobs, and the writer's turn.
//
// The queue is bounded by jobs and by bytes, counting every job that has not ended yet: also those in the
// group that is being committed. Job structs are recycled in one step per group, so a steady load takes and
// gives them under the lock that it holds anyway and allocates nothing.
//
// The turn is the right to use the writer's connection. It is not a mutex, because it is handed over in order
// of arrival (so that a checkpoint or a degraded read gets its turn under any load), may be waited for with a
// deadline, and is held through system calls.
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/error.h"
#include "store/store.h"

enum {
    SPARE_JOBS_MAX = WEIR__GROUP_JOBS_DEFAULT,
};

void weir__jobs_init(weir__job_list *list)
{
    *list = (weir__job_list){.first = NULL, .last = &list->first, .size = 0};
}

void weir__jobs_push(weir__job_list *list, weir__job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
    list->size++;
}

void weir__jobs_append(weir__job_list *list, weir__job_list *rest)
{
    if (rest->first) {
        *list->last = rest->first;
        list->last = rest->last;
        list->size += rest->size;
    }
    weir__jobs_init(rest);
}

void weir__queue_init(weir_store *store)
{
    weir__queue *queue = &store->queue;
    pthread_mutexattr_t spins_first; // it is held for a few instructions only
    pthread_mutexattr_init(&spins_first);
    pthread_mutexattr_settype(&spins_first, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&queue->lock, &spins_first);
    pthread_mutexattr_destroy(&spins_first);
    weir__cond_init(&queue->room);
    weir__cond_init(&queue->turn);
    weir__cond_init(&queue->work);
    weir__cond_init(&queue->pause);
    weir__cond_init(&queue->flushed);
    weir__cond_init(&queue->gone);
    weir__jobs_init(&queue->jobs);
    queue->turn_last = &queue->turn_first;
}

void weir__queue_fini(weir_store *store)
{
    weir__queue *queue = &store->queue;
    WEIR_ASSERT(queue->jobs.size == 0);
    while (queue->spare) {
        weir__job *job = queue->spare;
        queue->spare = job->next;
        free(job);
    }
    pthread_cond_destroy(&queue->gone);
    pthread_cond_destroy(&queue->flushed);
    pthread_cond_destroy(&queue->pause);
    pthread_cond_destroy(&queue->work);
    pthread_cond_destroy(&queue->turn);
    pthread_cond_destroy(&queue->room);
    pthread_mutex_destroy(&queue->lock);
}

// ------------------------------------------------------------------------------------------------ the turn

static void turn_unlink(weir__queue *queue, weir__turn_wait *wait)
{
    weir__turn_wait **link = &queue->turn_first;
    while (*link != wait)
        link = &(*link)->next;
    *link = wait->next;
    if (!*link)
        queue->turn_last = link;
}

void weir__turn_ask(weir_store *store, weir__turn_wait *wait)
{
    weir__queue *queue = &store->queue;
    *wait = (weir__turn_wait){.granted = !queue->turn_taken};
    if (wait->granted) {
        WEIR_ASSERT(queue->turn_first == NULL);
        queue->turn_taken = true;
        return;
    }
    *queue->turn_last = wait;
    queue->turn_last = &wait->next;
    weir__queue_wake_writer(queue); // a lingering group is committed when somebody wants the turn
}

int weir__turn_take(weir_store *store, uint64_t deadline_ns)
{
    weir__queue *queue = &store->queue;
    weir__turn_wait wait;
    weir__turn_ask(store, &wait);
    while (!wait.granted) {
        const int rc = weir__cond_wait_until(store->clock, &queue->turn, &queue->lock, deadline_ns);
        if (rc == ETIMEDOUT && !wait.granted) {
            turn_unlink(queue, &wait);
            return WEIR_BUSY;
        }
    }
    return WEIR_OK;
}

void weir__turn_give(weir_store *store)
{
    weir__queue *queue = &store->queue;
    WEIR_ASSERT(queue->turn_taken);
    queue->turn_leads = false;
    weir__turn_wait *next = queue->turn_first;
    if (!next) {
        queue->turn_taken = false;
        return;
    }
    turn_unlink(queue, next);
    next->granted = true;
    pthread_cond_broadcast(&queue->turn);
}

void weir__turn_return(weir_store *store)
{
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    weir__turn_give(store);
    if (queue->jobs.size > 0)
        weir__queue_wake_writer(queue);
    pthread_mutex_unlock(&queue->lock);
}

// --------------------------------------------------------------------------------------------- in and out

int weir__queue_open(const weir_store *store, weir_error *err)
{
    const weir__queue *queue = &store->queue;
    if (queue->stop)
        return weir__error_set(err, WEIR_CLOSED, "%s: the store is closing", store->path);
    if (queue->fence.code) {
        weir__error_copy(err, &queue->fence);
        return queue->fence.code;
    }
    return WEIR_OK;
}

int weir__store_enter(weir_store *store, bool only_looks, weir_error *err)
{
    const int code = weir__store_check(store, err);
    if (code != WEIR_OK)
        return code;
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    const bool refused = only_looks ? queue->deserted : queue->stop;
    queue->guests += !refused;
    pthread_mutex_unlock(&queue->lock);
    return refused ? weir__error_set(err, WEIR_CLOSED, "%s: the store is closing", store->path) : WEIR_OK;
}

void weir__store_leave(weir_store *store)
{
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    WEIR_ASSERT(queue->guests > 0);
    queue->guests--;
    if (queue->stop)
        pthread_cond_broadcast(&queue->gone);
    pthread_mutex_unlock(&queue->lock);
}

bool weir__store_is_closing(weir_store *store)
{
    pthread_mutex_lock(&store->queue.lock);
    const bool closing = store->queue.stop;
    pthread_mutex_unlock(&store->queue.lock);
    return closing;
}

void weir__store_desert(weir_store *store)
{
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    queue->deserted = true;
    while (queue->guests > 0)
        weir__cond_wait_until(store->clock, &queue->gone, &queue->lock, WEIR__FOREVER);
    pthread_mutex_unlock(&queue->lock);
}

static bool is_full(const weir_store *store, size_t bytes)
{
    const weir__queue *queue = &store->queue;
    return queue->held >= store->config.queue_jobs_max ||
           (queue->held > 0 && queue->bytes + bytes > store->config.queue_bytes_max);
}

// With the lock: waits until `bytes` fit in.
static int wait_for_room(weir_store *store, size_t bytes, uint64_t deadline_ns, bool fail_when_full,
                         weir_error *err)
{
    weir__queue *queue = &store->queue;
    queue->full_count += is_full(store, bytes);
    while (is_full(store, bytes)) {
        int rc = fail_when_full ? ETIMEDOUT : 0;
        if (rc == 0) {
            queue->waiting_for_room++;
            rc = weir__cond_wait_until(store->clock, &queue->room, &queue->lock, deadline_ns);
            queue->waiting_for_room--;
            if (queue->stop)
                pthread_cond_broadcast(&queue->gone);
        }
        const int code = weir__queue_open(store, err);
        if (code != WEIR_OK)
            return code;
        if (rc == ETIMEDOUT && is_full(store, bytes))
            return weir__error_set(
                err, WEIR_BUSY,
                "%s: the queue of writes is full (%zu jobs, %zu bytes); the disk or another writer is "
                "slower than what comes in",
                store->path, queue->held, queue->bytes);
    }
    return WEIR_OK;
}

static weir__job *job_new(weir__queue *queue)
{
    weir__job *job = queue->spare;
    if (!job)
        return malloc(sizeof *job);
    queue->spare = job->next;
    queue->spare_size--;
    return job;
}

// A caller that writes alone is better off doing the work itself: no thread has to be woken, twice, for each
// commit. So when nobody has the turn, nothing waits, and the last group was of one job, its thread takes the
// turn.
static bool may_lead(const weir_store *store, const weir__job *job)
{
    const weir__queue *queue = &store->queue;
    return !queue->turn_taken && queue->jobs.size == 0 && job->ack != WEIR_ACK_APPLIED &&
           !weir__checkpoint_is_behind(store) &&
           atomic_load_explicit(&store->writer.group_size_last, memory_order_relaxed) <= 1;
}

static int submit(weir_store *store, const weir__job *template, bool fail_when_full, bool *mine,
                  weir_error *err)
{
    weir__queue *queue = &store->queue;
    int code = weir__queue_open(store, err);
    if (code == WEIR_OK)
        code = wait_for_room(store, template->bytes, template->deadline_ns, fail_when_full, err);
    weir__job *job = code == WEIR_OK ? job_new(queue) : NULL;
    if (code == WEIR_OK && !job)
        code = weir__error_set(err, WEIR_NOMEM, "%s: out of memory for a write", store->path);
    if (!job)
        return code;
    *job = *template;
    job->seq = ++queue->submitted_seq;
    if (job->alone)
        queue->alone_seq = job->seq;
    queue->held++;
    queue->bytes += job->bytes;
    atomic_fetch_add_explicit(&store->writer.jobs_submitted, 1, memory_order_relaxed);
    if (mine && may_lead(store, job)) {
        *mine = true;
        queue->turn_taken = queue->turn_leads = true;
        store->writer.taken_seq = job->seq;
        weir__jobs_push(&store->writer.group, job);
        return WEIR_OK;
    }
    weir__jobs_push(&queue->jobs, job);
    if (queue->jobs.size > queue->jobs_peak)
        queue->jobs_peak = queue->jobs.size;
    weir__queue_wake_writer(queue);
    if (job->deadline_ns < queue->pause_until_ns) {
        queue->pause_until_ns = job->deadline_ns;
        pthread_cond_signal(&queue->pause);
    }
    return WEIR_OK;
}

int weir__queue_submit_or_lead(weir_store *store, const weir__job *template, bool fail_when_full, bool *mine,
                               weir_error *err)
{
    if (template->bytes > store->config.queue_bytes_max)
        return weir__error_set(
            err, WEIR_TOOBIG, "%s: an argument of %zu bytes is larger than the queue (%llu bytes)",
            store->path, template->bytes, (unsigned long long)store->config.queue_bytes_max);
    pthread_mutex_lock(&store->queue.lock);
    const int code = submit(store, template, fail_when_full, mine, err);
    pthread_mutex_unlock(&store->queue.lock);
    return code;
}

int weir__queue_submit(weir_store *store, const weir__job *template, bool fail_when_full, weir_error *err)
{
    return weir__queue_submit_or_lead(store, template, fail_when_full, NULL, err);
}

// Keeps as many structs as may wait for their next use; what is left in the list is to be freed. With the lock.
static void keep_spare(weir__queue *queue, weir__job_list *ended)
{
    if (ended->size == 0 || queue->spare_size + ended->size > SPARE_JOBS_MAX)
        return;
    *ended->last = queue->spare;
    queue->spare = ended->first;
    queue->spare_size += ended->size;
    weir__jobs_init(ended);
}

void weir__queue_recycle(weir_store *store, weir__job_list *ended)
{
    weir__queue *queue = &store->queue;
    size_t bytes = 0;
    for (const weir__job *job = ended->first; job; job = job->next)
        bytes += job->bytes;
    pthread_mutex_lock(&queue->lock);
    WEIR_ASSERT(queue->held >= ended->size);
    queue->held -= ended->size;
    queue->bytes -= bytes;
    keep_spare(queue, ended);
    if (queue->waiting_for_room)
        pthread_cond_broadcast(&queue->room);
    pthread_mutex_unlock(&queue->lock);
    while (ended->first) {
        weir__job *job = ended->first;
        ended->first = job->next;
        free(job);
    }
    weir__jobs_init(ended);
}
