// SPDX-License-Identifier: MIT
//
// Telling clients what became of their jobs.
//
// Hundreds of threads may wait for one commit. Waking each costs the waker some microseconds, and the writer
// has better things to do: it wakes the first, and every woken thread wakes two more. A waiter lives on its
// thread's stack, and may be gone the moment its `done` is set: whoever wakes it touches nothing of it
// afterwards (a futex wake on an address that is no longer waited on is harmless), and it finds those it must
// wake in its own fields.
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/error.h"
#include "store/store.h"

// Of weir__waiter.done. Who is not asleep yet needs no system call to be woken.
enum {
    AWAKE = 0,
    DONE = 1,
    ASLEEP = 2,
};

typedef struct wake_tree {
    weir__waiter *root;
    weir__waiter *parent; // gets the next child
    weir__waiter *newest;
} wake_tree;

static void tree_add(wake_tree *tree, weir__waiter *waiter)
{
    waiter->next = NULL;
    waiter->wake[0] = waiter->wake[1] = NULL;
    if (!tree->root) {
        tree->root = tree->parent = tree->newest = waiter;
        return;
    }
    tree->newest->next = waiter;
    tree->newest = waiter;
    if (!tree->parent->wake[0]) {
        tree->parent->wake[0] = waiter;
    } else {
        tree->parent->wake[1] = waiter;
        tree->parent = tree->parent->next;
    }
}

static void wake(weir__waiter *waiter)
{
    if (!waiter)
        return;
    if (atomic_exchange_explicit(&waiter->done, DONE, memory_order_acq_rel) == ASLEEP)
        syscall(SYS_futex, &waiter->done, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int weir__waiter_wait(weir__waiter *waiter)
{
    uint32_t awake = AWAKE;
    atomic_compare_exchange_strong_explicit(&waiter->done, &awake, ASLEEP, memory_order_acq_rel,
                                            memory_order_acquire);
    while (atomic_load_explicit(&waiter->done, memory_order_acquire) != DONE)
        syscall(SYS_futex, &waiter->done, FUTEX_WAIT_PRIVATE, ASLEEP, NULL, NULL, 0);
    wake(waiter->wake[0]);
    wake(waiter->wake[1]);
    return waiter->code;
}

static void failure_result(const weir_store *store, const weir__job *job, weir_error *result)
{
    if (job->failure)
        weir__error_copy(result, job->failure);
    else
        weir__error_set(result, job->failure_code, "%s: the job %s failed", store->path,
                        job->label ? job->label : "without a name");
}

static void count(weir_store *store, const weir__job *job, int code)
{
    weir__writer *writer = &store->writer;
    atomic_fetch_add_explicit(&writer->jobs_done, 1, memory_order_relaxed);
    if (code != WEIR_OK)
        atomic_fetch_add_explicit(&writer->jobs_failed, 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&writer->acks[job->ack], 1, memory_order_relaxed);
}

static void report(weir_store *store, weir__job *job, const weir_error *result, wake_tree *tree)
{
    count(store, job, result->code);
    if (job->waiter) {
        job->waiter->code = result->code;
        if (result->code != WEIR_OK)
            weir__error_copy(job->waiter->err, result);
        tree_add(tree, job->waiter);
        job->waiter = NULL;
    }
    if (job->done)
        job->done(job->context, result);
}

void weir__acknowledge(weir_store *store, weir__job_list *jobs, const weir_error *result,
                       weir__histogram *latency_ns)
{
    static const weir_error FINE = WEIR_ERROR_INIT;
    wake_tree tree = {0};
    weir_error own;
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    for (weir__job *job = jobs->first; job; job = job->next) {
        const weir_error *told = result ? result : &FINE;
        if (!result && job->state == WEIR__JOB_FAILED) {
            failure_result(store, job, &own);
            told = &own;
        }
        if (!job->acknowledged) {
            if (latency_ns)
                weir__histogram_record(latency_ns, now_ns - job->submitted_ns);
            report(store, job, told, &tree);
        }
        if (job->release)
            job->release(job->arg);
        free(job->failure);
        job->failure = NULL;
    }
    wake(tree.root);
}

void weir__acknowledge_applied(weir_store *store, weir__job_list *jobs, weir__histogram *latency_ns)
{
    static const weir_error FINE = WEIR_ERROR_INIT;
    wake_tree tree = {0};
    uint64_t reported = 0;
    const uint64_t now_ns = weir__clock_now_ns(store->clock);
    for (weir__job *job = jobs->first; job; job = job->next) {
        if (job->ack != WEIR_ACK_APPLIED || job->acknowledged || job->state != WEIR__JOB_APPLIED)
            continue;
        job->acknowledged = true;
        reported++;
        weir__histogram_record(latency_ns, now_ns - job->submitted_ns);
        // A reader must know of the pending job before its client can know of the acknowledgement.
        atomic_fetch_add(&store->writer.applied_pending, 1);
        report(store, job, &FINE, &tree);
    }
    if (reported)
        wake(tree.root);
}
