// SPDX-License-Identifier: MIT
//
// The public side of writing, and the thread that takes the writer's turn when nobody else does.
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/thread.h"
#include "store/store.h"

enum {
    GATHER_NS_MAX = 200 * 1000, // longest wait for clients that were just answered to come back with more
    LOOK_MS = 20,               // how often deadlines are looked at while another has the turn
};

// ------------------------------------------------------------------------------------------- public calls

static bool gives_durable(const weir_store *store)
{
    return !store->memory && (store->config.durability == WEIR_DURABILITY_FULL ||
                              store->config.durability == WEIR_DURABILITY_INTERVAL);
}

static int check_write(const weir_store *store, weir_ack ack, bool blocks, weir_error *err)
{
    const int code = weir__store_check(store, err);
    if (code != WEIR_OK)
        return code;
    if (blocks && weir__writer_is_me())
        return weir__error_set(
            err, WEIR_INVALID,
            "%s: a job or a callback must not wait for a write: use weir_submit, or do it in this job",
            store->path);
    if (store->config.read_only)
        return weir__error_set(err, WEIR_DENIED, "%s: the store was opened read-only", store->path);
    if ((unsigned)ack > WEIR_ACK_APPLIED)
        return weir__error_set(err, WEIR_INVALID, "%s: there is no acknowledgement level %d", store->path,
                               (int)ack);
    if (ack == WEIR_ACK_DURABLE && !gives_durable(store))
        return weir__error_set(
            err, WEIR_UNSUPPORTED, "%s: a write cannot be acknowledged as durable %s; ask for COMMITTED",
            store->path, store->memory ? "in a database in memory" : "with this durability policy");
    return WEIR_OK;
}

static weir__job job_of(weir_store *store, weir_job_fn *run, void *arg, const weir_write_options *options)
{
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    return (weir__job){
        .run = run,
        .arg = arg,
        .release = options->release,
        .label = options->label,
        .submitted_ns = now_ns,
        .deadline_ns =
            weir__store_deadline_from(now_ns, options->deadline_ms, store->config.write_deadline_ms),
        .bytes = options->arg_bytes < SIZE_MAX - WEIR__JOB_OVERHEAD_BYTES
                     ? options->arg_bytes + WEIR__JOB_OVERHEAD_BYTES
                     : SIZE_MAX,
        .ack = options->ack,
        .alone = options->alone,
        .state = WEIR__JOB_QUEUED,
    };
}

static void refuse(const weir_write_options *options, void *arg)
{
    if (options->release)
        options->release(arg);
}

int weir_submit(weir_store *store, weir_job_fn *run, void *arg, const weir_write_options *given,
                weir_done_fn *done, void *context, weir_error *err)
{
    const weir_write_options options = given ? *given : (weir_write_options)WEIR_WRITE_OPTIONS_INIT;
    int code = check_write(store, options.ack, !options.fail_when_full, err);
    if (code == WEIR_OK) {
        weir__job job = job_of(store, run, arg, &options);
        job.done = done;
        job.context = context;
        code = weir__queue_submit(store, &job, options.fail_when_full, err);
    }
    if (code != WEIR_OK) // else the job may have ended, and the store with it
        refuse(&options, arg);
    return code;
}

int weir_write(weir_store *store, weir_job_fn *run, void *arg, const weir_write_options *given,
               weir_error *err)
{
    const weir_write_options options = given ? *given : (weir_write_options)WEIR_WRITE_OPTIONS_INIT;
    weir__waiter waiter = {.err = err};
    bool lead = false;
    int code = check_write(store, options.ack, true, err);
    if (code == WEIR_OK) {
        weir__job job = job_of(store, run, arg, &options);
        job.waiter = &waiter;
        code = weir__queue_submit_or_lead(store, &job, options.fail_when_full, &lead, err);
    }
    if (code != WEIR_OK) {
        refuse(&options, arg);
        return code;
    }
    if (lead) {
        weir__writer_run_group(store);
        weir__turn_return(store);
    }
    return weir__waiter_wait(&waiter);
}

int weir_flush(weir_store *store, uint32_t deadline_ms, weir_error *err)
{
    const int code = check_write(store, WEIR_ACK_COMMITTED, true, err);
    if (code != WEIR_OK)
        return code;
    return weir__writer_flush(
        store, weir__store_deadline(store, deadline_ms, store->config.write_deadline_ms), false, err);
}

// ------------------------------------------------------------------------------------------------- flush

// With queue.lock: why `target` cannot be reached, if that is known already.
static int flush_failure(const weir_store *store, uint64_t errors_before, weir_error *err)
{
    const weir__queue *queue = &store->queue;
    const weir_error *why = queue->fence.code ? &queue->fence : &queue->commit_error;
    const bool passes = why->code == WEIR_BUSY || why->code == WEIR_FULL;
    if (why->code == WEIR_OK || queue->commit_error_count == errors_before || passes)
        return WEIR_OK;
    weir__error_copy(err, why);
    return why->code;
}

static int flush_late(const weir_store *store, weir_error *err)
{
    const weir__queue *queue = &store->queue;
    if (queue->commit_error.code) {
        weir__error_copy(err, &queue->commit_error);
        return queue->commit_error.code;
    }
    return weir__error_set(err, WEIR_BUSY, "%s: the writes before this were not committed by the deadline",
                           store->path);
}

// With queue.lock: why not everything before a flush is in the database, although everything has ended.
static int flush_missing(weir_store *store, const weir__flush *flush, weir_error *err)
{
    weir__queue *queue = &store->queue;
    const weir_error *why = &flush->dropped;
    if (!flush->for_read && queue->lost.code && !queue->lost_told) {
        queue->lost_told = true;
        why = &queue->lost;
    }
    if (why->code == WEIR_OK && !flush->for_read)
        why = &queue->fence;
    if (why->code != WEIR_OK)
        weir__error_copy(err, why);
    return why->code;
}

// With queue.lock: waits until every job up to the flush's target has ended.
static int flush_wait(weir_store *store, const weir__flush *flush, uint64_t deadline_ns, weir_error *err)
{
    weir__queue *queue = &store->queue;
    const uint64_t errors_before = queue->commit_error_count;
    int code = WEIR_OK;
    while (code == WEIR_OK && queue->committed_seq < flush->target) {
        const int rc = weir__cond_wait_until(store->clock, &queue->flushed, &queue->lock, deadline_ns);
        if (queue->committed_seq >= flush->target)
            break;
        code = flush_failure(store, errors_before, err);
        if (code == WEIR_OK && queue->writer_gone)
            code = weir__error_set(err, WEIR_CLOSED, "%s: the store was closed", store->path);
        if (code == WEIR_OK && rc == ETIMEDOUT)
            code = flush_late(store, err);
    }
    return code == WEIR_OK ? flush_missing(store, flush, err) : code;
}

static void flush_unlink(weir__queue *queue, weir__flush *flush)
{
    weir__flush **link = &queue->flush_first;
    while (*link != flush)
        link = &(*link)->next;
    *link = flush->next;
}

int weir__writer_flush(weir_store *store, uint64_t deadline_ns, bool for_read, weir_error *err)
{
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    const uint64_t target = queue->submitted_seq;
    weir__flush flush = {.next = queue->flush_first, .target = target, .for_read = for_read};
    if (target > queue->flush_seq)
        queue->flush_seq = target;
    queue->flush_first = &flush;
    queue->flushers++;
    weir__queue_wake_writer(queue);
    int code = flush_wait(store, &flush, deadline_ns, err);
    flush_unlink(queue, &flush);
    if (code == WEIR_OK && !for_read && store->config.durability == WEIR_DURABILITY_INTERVAL) {
        pthread_mutex_unlock(&queue->lock);
        code = weir__sync_wait(store, target, deadline_ns, err);
        pthread_mutex_lock(&queue->lock);
    }
    queue->flushers--;
    if (queue->stop)
        pthread_cond_broadcast(&queue->gone);
    pthread_mutex_unlock(&queue->lock);
    return code;
}

// ------------------------------------------------------------------------------------------------ the thread

// With queue.lock: sleeps until a job waits or the store ends.
static void sleep_until_jobs(weir_store *store)
{
    weir__queue *queue = &store->queue;
    while (queue->jobs.size == 0 && !queue->stop) {
        queue->writer_asleep = true;
        weir__cond_wait_until(store->clock, &queue->work, &queue->lock, WEIR__FOREVER);
    }
    queue->writer_asleep = false;
}

// With queue.lock. Somebody else may have the turn for long: a read of a store without a log, a checkpoint. The writes
// whose deadline comes meanwhile are told so, and weir_close at its own ends them all.
static void take_turn_for_jobs(weir_store *store)
{
    weir__queue *queue = &store->queue;
    weir__turn_wait wait;
    weir__turn_ask(store, &wait);
    while (!wait.granted) {
        const uint64_t look_ns = weir__clock_now_ns(store->clock) + LOOK_MS * WEIR__NS_PER_MS;
        if (weir__cond_wait_until(store->clock, &queue->turn, &queue->lock, look_ns) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&queue->lock);
        weir__writer_drop_waiting(store);
        pthread_mutex_lock(&queue->lock);
    }
}

static void *writer_main(void *arg)
{
    weir_store *store = arg;
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    while (!queue->stop || queue->jobs.size > 0) {
        if (queue->jobs.size == 0)
            sleep_until_jobs(store);
        if (queue->jobs.size == 0)
            continue;
        pthread_mutex_unlock(&queue->lock);
        weir__checkpoint_wait_for_room(store);
        pthread_mutex_lock(&queue->lock);
        take_turn_for_jobs(store);
        pthread_mutex_unlock(&queue->lock);
        weir__writer_take_jobs(store);
        weir__writer_run_group(store);
        pthread_mutex_lock(&queue->lock);
        weir__turn_give(store);
    }
    weir__turn_take(store, WEIR__FOREVER); // whoever writes on a thread of its own is done after this
    weir__turn_give(store);
    queue->writer_gone = true;
    pthread_cond_broadcast(&queue->gone);
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

int weir__writer_start(weir_store *store, weir_error *err)
{
    weir__writer *writer = &store->writer;
    weir__jobs_init(&writer->group);
    weir__rng_init(&writer->rng, weir__random_u64());
    if (store->config.read_only)
        return WEIR_OK;
    const int code = weir__thread_start(&writer->thread, "weir-writer", writer_main, store, err);
    writer->thread_started = code == WEIR_OK;
    return code;
}

// What is waited for without a limit after the deadline ends by itself: a job that runs is interrupted, a group that
// cannot begin or commit gives up at its next look at `abandon`, a checkpoint has a deadline, a read is interrupted.
int weir__writer_stop(weir_store *store, uint64_t deadline_ns, weir_error *err)
{
    weir__queue *queue = &store->queue;
    pthread_mutex_lock(&queue->lock);
    queue->stop = true;
    pthread_cond_signal(&queue->work);
    pthread_cond_broadcast(&queue->room);
    while (store->writer.thread_started && !queue->writer_gone) {
        if (weir__cond_wait_until(store->clock, &queue->gone, &queue->lock, deadline_ns) != ETIMEDOUT)
            continue;
        queue->abandon = true;
        atomic_store(&store->writer.conn->interrupt, true);
        pthread_cond_signal(&queue->pause);
        deadline_ns = WEIR__FOREVER;
    }
    if (!store->writer.thread_started) { // reads of a read-only store without a log take turns
        if (weir__turn_take(store, deadline_ns) != WEIR_OK) {
            atomic_store(&store->writer.conn->interrupt, true);
            weir__turn_take(store, WEIR__FOREVER);
        }
        weir__turn_give(store);
    }
    pthread_cond_broadcast(&queue->flushed);
    while (queue->waiting_for_room > 0 || queue->flushers > 0) // they have been told; let them leave
        weir__cond_wait_until(store->clock, &queue->gone, &queue->lock, WEIR__FOREVER);
    pthread_mutex_unlock(&queue->lock);
    if (store->writer.thread_started)
        pthread_join(store->writer.thread, NULL);
    store->writer.thread_started = false;
    weir__error_copy(err, &queue->lost);
    return queue->lost.code;
}
